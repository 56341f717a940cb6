#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which rows of requirements.tsv the passed tests cover.

usage: coverage_table.py COVERAGE.TSV [FILTER]   prints the summary of a run; FILTER (words between "/"): only rows
                                                 that have them in id, title, document or layer, one by one"""
import ast
import collections
import csv
import os
import re
import sys

import native

MARK = re.compile(r'^\s*# covers:(.*)$')
FUNCTION = r'^[\w\s\*]*\b%s\('


class BadMarker(Exception):
    pass


def rows(here):
    with open(os.path.join(here, 'requirements.tsv'), encoding='ascii') as f:
        return list(csv.DictReader(f, delimiter='\t', quoting=csv.QUOTE_NONE))


def table_ids(here, name):
    """{id: rest} of the rows of a Markdown table whose first cell is `id`."""
    found = {}
    with open(os.path.join(here, name), encoding='utf-8') as f:
        for line in f:
            m = re.match(r'\| `([^`]+)` \|(.*)\|\s*$', line)
            if m:
                found[m.group(1)] = [cell.strip() for cell in m.group(2).split('|')]
    return found


def marks_of_file(path):
    """{function: [ids]}; a mark that stands above no test is an error."""
    with open(path, encoding='utf-8') as f:
        text = f.read()
    lines, found, claimed = text.split('\n'), {}, set()
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith('test_'):
            continue
        first = min([node.lineno] + [d.lineno for d in node.decorator_list]) - 1
        while first and lines[first - 1].startswith('#'):
            first -= 1
        for at in range(first, node.lineno):          # between decorators too
            m = MARK.match(lines[at])
            if m:
                found.setdefault(node.name, []).extend(m.group(1).split())
                claimed.add(at)
    for number, line in enumerate(lines):
        if MARK.match(line) and number not in claimed:
            raise BadMarker(f'{path}:{number + 1}: a covers mark above no test')
    return found


def markers(here):
    """{(file, function): [ids]} of all tests; BadMarker if one names an id that is not in the table."""
    known = {r['id'] for r in rows(here)}
    found = {}
    folder = os.path.join(here, 'tests')
    for name in sorted(os.listdir(folder)):
        if not name.startswith('test_') or not name.endswith('.py'):
            continue
        for function, ids in marks_of_file(os.path.join(folder, name)).items():
            found[name, function] = ids
    try:
        found.update(native.markers(os.path.dirname(here)))
    except ValueError as e:
        raise BadMarker(str(e)) from e
    for (name, function), ids in found.items():
        for i in ids:
            if i not in known:
                raise BadMarker(f'{name}: {function}: no requirement is called {i}')
    for table in ('COMPLIANCE.md', 'INSPECTION.md'):
        for i in table_ids(here, table):
            if i not in known:
                raise BadMarker(f'{table}: no requirement is called {i}')
    return found


def inspected(here):
    """{id: place} from INSPECTION.md, where the named function is still in the named file."""
    found = {}
    for i, (place, *_) in table_ids(here, 'INSPECTION.md').items():
        m = re.fullmatch(r'`([^`: ]+): (\w+)`', place)
        path = m and os.path.join(here, '..', m.group(1))
        if not m or not os.path.exists(path):
            raise BadMarker(f'INSPECTION.md: {i}: name `file: function`')
        with open(path, encoding='utf-8') as f:
            if not re.search(FUNCTION % m.group(2), f.read(), re.M):
                raise BadMarker(f'INSPECTION.md: {i}: {place} is not there any more')
        found[i] = place.strip('`')
    return found


EXPECTED_LAYERS = ('tcp', 'cc', 'socket', 'ipv4', 'icmp', 'arp', 'udp')


def unaccounted(table, marks, tables):
    """What is wrong with the count, in sentences. tables: {file: ids}. Each row of priority 1 or 2 of these layers is named by a test, or
    by one of the tables, and no row by both."""
    tested = {i for ids in marks.values() for i in ids}
    wrong = []
    for r in table:
        places = [name for name, ids in tables.items() if r['id'] in ids]
        if r['id'] in tested and places:
            wrong.append(f'{places[0]}: {r["id"]} is covered by a test, too')
        elif len(places) > 1:
            wrong.append(f'{r["id"]} is in {" and ".join(places)}')
        elif r['id'] not in tested and not places and r['priority'] in '12' and r['layer'] in EXPECTED_LAYERS:
            wrong.append(f'{r["id"]} ({r["title"]}) is named by no test and no table')
    known = {r['id'] for r in table}
    wrong += [f'{name}: no requirement is called {i}' for name, ids in tables.items() for i in ids if i not in known]
    return wrong


def write(here, path, marks, outcomes):
    tests, passed = collections.defaultdict(list), set()
    for key, ids in marks.items():
        for i in ids:
            tests[i].append('::'.join(key))
            if outcomes.get(key):
                passed.add(i)
    ran = {i for key, ids in marks.items() if key in outcomes for i in ids}
    notes = inspected(here)
    declared = table_ids(here, 'COMPLIANCE.md')
    with open(path, 'w', encoding='utf-8') as out:
        out.write('id\tresult\ttests\n')
        for r in rows(here):
            i = r['id']
            result = ('passed' if i in passed else 'failed' if i in ran else 'not run' if i in tests
                      else 'inspected' if i in notes else 'not met' if i in declared else 'none')
            out.write(f'{i}\t{result}\t{" ".join(tests[i]) or notes.get(i, "")}\n')


LEVELS = ('MUST', 'SHOULD', 'MAY', 'LINUX')


def numbers(results):
    """covered / passed / total: covered by a test or by reading, of those passed, of all rows."""
    covered = [r for r in results if r in ('passed', 'failed', 'not run', 'inspected')]
    passed = [r for r in covered if r in ('passed', 'inspected')]
    return f'{len(covered)}/{len(passed)}/{len(results)}' if results else '-'


def table_of(title, groups, shown):
    """groups: {name: [(level, result)]}."""
    print(f'{title:26}' + ''.join(f'{column:>13}' for column in (*LEVELS, 'all', 'not met')))
    for name in sorted(groups):
        results = groups[name]
        if not shown(results):
            continue
        cells = [numbers([r for level, r in results if level == column]) for column in LEVELS]
        cells += [numbers([r for _, r in results]), str(sum(r == 'not met' for _, r in results))]
        print(f'{name:26}' + ''.join(f'{cell:>13}' for cell in cells))
    print()


def summary(here, path, only):
    with open(path, encoding='utf-8') as f:
        result = {r['id']: r['result'] for r in csv.DictReader(f, delimiter='\t', quoting=csv.QUOTE_NONE)}
    table = rows(here)
    words = native.words_of(only)
    if words:
        table = [r for r in table if native.matches(words, r['title'], '', [r['id']], {r['id']: r})]
        for r in table:
            print(f'{r["id"]:26} p{r["priority"]} {r["level"]:6} {result[r["id"]]:9} {r["title"]}')
        print()
    print('rows: covered by a test or by reading / of those passed / in all')
    for key, title in (('rfc', 'document'), ('layer', 'layer'), ('priority', 'priority')):
        groups = collections.defaultdict(list)
        for r in table:
            groups[r[key]].append((r['level'], result[r['id']]))
        table_of(title, groups, lambda results, all_rows=key != 'rfc': all_rows or any(r != 'none' for _, r in results))
    groups = collections.defaultdict(list)
    for r in table:
        if r['priority'] == '1':
            groups[r['layer']].append((r['level'], result[r['id']]))
    table_of('priority 1 of layer', groups, lambda results: True)
    table_of('all', {'all': [(r['level'], result[r['id']]) for r in table]}, lambda results: True)


if __name__ == '__main__':
    summary(os.path.dirname(os.path.abspath(__file__)), sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else '')
