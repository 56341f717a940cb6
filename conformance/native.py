#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests in C that cover rows of requirements.tsv: a table, a property, a world in the simulator or a call of an unmodified
program is often a better proof than packets. Their mark is a line above the function:

    /* covers: 9438-4.2-W 9438-4.2-K */
    static void the_window_follows_the_vectors(void **state)

usage: native.py BUILD OUT [FILTER]   builds and runs the programs that have marks and leaves OUT/native.tsv
                                      (file, function, passed or failed); prints failures, then "N passed, N failed\""""
import concurrent.futures
import csv
import glob
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
MARK = re.compile(r'^/\* covers: ([^*]*)\*/\s*$')
NEXT = re.compile(r'^(?:static void|TEST\()\s*(\w+)')
TAP = re.compile(r'^(not )?ok\b(?: \d+)?(?: - | )(.*)$')
DUAL = os.path.join('posix', 'tests', 'dual')
LIMIT = 400        # seconds for one program


def marks_of_file(path):
    """{function: [ids]}, and the lines of marks that stand above no test."""
    with open(path, encoding='utf-8') as f:
        lines = f.read().split('\n')
    found, stray, ids, at = {}, [], [], 0
    for number, line in enumerate(lines, 1):
        mark = MARK.match(line)
        if mark:
            ids, at = ids + mark.group(1).split(), number
        elif ids:
            function = NEXT.match(line)
            if function:
                found[function.group(1)] = ids
            elif line.startswith(('/*', ' *')):
                continue               # what the test is about
            else:
                stray.append(at)
            ids = []
    return found, stray


def sources(root):
    return sorted(glob.glob(os.path.join(root, '*', '**', 'tests', '**', '*.c'), recursive=True))


def markers(root):
    """{(path below the root, function): [ids]}; ValueError for a mark above no test."""
    found = {}
    for path in sources(root):
        functions, stray = marks_of_file(path)
        name = os.path.relpath(path, root)
        if stray:
            raise ValueError(f'{name}:{stray[0]}: a covers mark above no test')
        found.update({(name, function): ids for function, ids in functions.items()})
    return found


def matches(words, name, function, ids, rows):
    """Whether a test has all words of a filter in its name, its requirements, or their document or layer."""
    text = ' '.join([name, function, *ids, *(f'{rows[i]["rfc"]} {rows[i]["layer"]}' for i in ids if i in rows)]).lower()
    return all(word.lower() in text for word in words)


def words_of(filter_text):
    return [word for word in filter_text.replace('/', ' ').split() if word]


def executables(build):
    """{source path below the root: executable} of every target."""
    targets = json.loads(subprocess.run(['meson', 'introspect', build, '--targets'], check=True, capture_output=True).stdout)
    found = {}
    for target in targets:
        if target['type'] == 'executable':
            for group in target['target_sources']:
                for source in group.get('sources', []):
                    found.setdefault(os.path.relpath(source, ROOT), []).append(target['filename'][0])
    return found


def run(name, command, environment):
    """{test: passed} of one program that speaks TAP, and what it printed."""
    try:
        done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, timeout=LIMIT, check=False)
        text, status = done.stdout.decode(errors='replace'), done.returncode
    except subprocess.TimeoutExpired as e:
        text, status = (e.stdout or b'').decode(errors='replace') + f'\nnot ended after {LIMIT} s', 1
    results = {}
    for line in text.split('\n'):
        tap = TAP.match(line)
        if tap:
            words = tap.group(2).split('#')[0].split(': ')
            key = words[-1].strip()
            results[key] = results.get(key, True) and not tap.group(1) and '# skip' not in line.lower()
    return name, results, text, status


def jobs(build, wanted):
    """(name, command, environment) for each program to run; builds them first."""
    programs, made, dual = executables(build), [], False
    for name in wanted:
        if name.startswith(DUAL):
            dual = True
        elif name in programs:
            made.append((name, [programs[name][0]], {'CMOCKA_MESSAGE_OUTPUT': 'TAP'}))
    goals = [os.path.relpath(command[0], os.path.abspath(build)) for _, command, _ in made]
    if dual:
        goals = []         # all: daemon, library and the programs themselves
    built = subprocess.run(['ninja', '-C', build, *goals], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if built.returncode:
        raise RuntimeError(built.stdout.decode(errors='replace')[-3000:])
    if dual:
        made.append((DUAL, [os.path.join(ROOT, DUAL, 'run.sh'), 'hosts'], {'LIGHT_BUILD': os.path.abspath(build)}))
    return made


def catalogue():
    with open(os.path.join(HERE, 'requirements.tsv'), encoding='ascii') as f:
        return {r['id']: r for r in csv.DictReader(f, delimiter='\t', quoting=csv.QUOTE_NONE)}


def main(build, out, filter_text):
    rows = catalogue()
    words = words_of(filter_text)
    marks = {key: ids for key, ids in markers(ROOT).items() if matches(words, *key, ids, rows)}
    wanted = sorted({name for name, _ in marks})
    passed = failed = 0
    results = {}
    with open(os.path.join(out, 'native.tsv'), 'w', encoding='utf-8') as table, \
            concurrent.futures.ThreadPoolExecutor(int(os.environ.get('WORKERS', 2))) as pool:
        for name, outcome, text, status in pool.map(lambda job: run(*job), jobs(build, wanted) if wanted else []):
            results[name] = outcome
            if status or not all(outcome.values()):
                print(text[-4000:])
        for (name, function), _ in sorted(marks.items()):
            outcome = results.get(name, results.get(DUAL) if name.startswith(DUAL) else None)
            if outcome is None:
                continue            # not part of this build
            good = outcome.get(function, False)
            if function not in outcome:
                print(f'{name}: {function} did not run')
            passed, failed = passed + good, failed + (not good)
            table.write(f'{name}\t{function}\t{"passed" if good else "failed"}\n')
    print(f'tests in C that cover requirements: {passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ''))
