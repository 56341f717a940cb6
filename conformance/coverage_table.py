#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which rows of requirements.tsv the passed tests cover.

usage: coverage_table.py COVERAGE.TSV [FILTER]   prints the summary of a run; FILTER: only rows
                                                 whose id, rfc or layer contains it, one by one"""
import ast
import collections
import csv
import os
import re
import sys

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
            for i in ids:
                if i not in known:
                    raise BadMarker(f'{name}: {function}: no requirement is called {i}')
            found[name, function] = ids
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


def line(name, results):
    covered = sum(r in ('passed', 'inspected') for r in results)
    failed, unmet = results.count('failed'), results.count('not met')
    rest = len(results) - covered - failed - unmet
    return f'{name:26} {len(results):5} {covered:8} {failed:7} {unmet:8} {rest:12}'


def summary(here, path, only):
    with open(path, encoding='utf-8') as f:
        result = {r['id']: r for r in csv.DictReader(f, delimiter='\t', quoting=csv.QUOTE_NONE)}
    groups = collections.OrderedDict()
    table = rows(here)
    for key, title in (('rfc', 'document'), ('layer', 'layer'), ('priority', 'priority'), ('level', 'level')):
        by = collections.defaultdict(list)
        for r in table:
            by[r[key]].append(result[r['id']]['result'])
        groups[title] = by
    by = groups['priority 1 of layer'] = collections.defaultdict(list)
    for r in table:
        if r['priority'] == '1':
            by[r['layer']].append(result[r['id']]['result'])
    for title, by in groups.items():
        print(f'{title:26} {"rows":>5} {"covered":>8} {"failed":>7} {"not met":>8} {"not covered":>12}')
        for name in sorted(by):
            if any(r != 'none' for r in by[name]) or title != 'document':
                print(line(name, by[name]))
        print()
    if only:
        for r in table:
            if only in r['id'] or only == r['rfc'] or only == r['layer']:
                print(f'{r["id"]:26} p{r["priority"]} {r["level"]:6} {result[r["id"]]["result"]:9} {r["title"]}')
    print(line('all', [r['result'] for r in result.values()]))


if __name__ == '__main__':
    summary(os.path.dirname(os.path.abspath(__file__)), sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else '')
