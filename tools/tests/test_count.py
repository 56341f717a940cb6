# SPDX-License-Identifier: BSD-3-Clause
"""tools/count: a number for every kind of output, and no suite passes by running nothing."""
import json
import os
import subprocess

import pytest

COUNT = os.path.join(os.path.dirname(__file__), '..', 'count')


def count(tmp_path, text, status):
    (tmp_path / 'suite.log').write_text(text)
    return subprocess.run([COUNT, 'text', tmp_path / 'suite.log', str(status)], capture_output=True,
                          text=True, check=True).stdout.split('\n')


@pytest.mark.parametrize('text, status, numbers', [
    ('anything\n', 0, '1 0 0'),
    ('anything\n', 3, '0 1 0'),
    ('no privileges\n', 77, '0 0 1'),
    ('1..2\nok 1 - a\nok 2 - b\n# ok - g\n1..1\nok 1 - c\n', 0, '3 0 0'),
    ('1..2\nok 1 - a\nnot ok 2 - b\n', 1, '1 1 0'),
    ('1..2\nok 1 - a\n', 139, '1 1 0'),
    ('ok 1 - a # SKIP no spin\nok 2 - b\n', 0, '1 0 1'),
    ('10 passed, 0 failed\n12 passed, 0 failed, 1 skipped\n', 0, '12 0 1'),
    ('12 passed, 1 failed\n', 1, '12 1 0'),
    ('12 passed, 0 failed\n', 1, '12 1 0'),
    ('0 passed, 0 failed\n', 0, '0 1 0'),
    ('=== 3 passed, 1 failed, 2 skipped in 0.1s ===\n', 1, '3 1 2'),
    ('3 passed in 65.02s (0:01:05)\n', 0, '3 0 0'),
    ('2 passed, 1 error in 0.1s\n', 1, '2 1 0'),
    ('no tests ran in 0.01s\n', 5, '0 1 0'),
])
def test_text(tmp_path, text, status, numbers):
    assert count(tmp_path, text, status)[0] == numbers


def test_a_skip_says_why(tmp_path):
    assert 'skipped: suite: a: no spin' in count(tmp_path, 'ok 1 - a # SKIP no spin\n', 0)


def test_a_failure_shows_its_output(tmp_path):
    assert 'left != right' in count(tmp_path, 'not ok 1 - a\nleft != right\n', 1)


def test_meson_results_add_up(tmp_path):
    tests = [
        {'name': 'light:u / a', 'stdout': 'ok 1 - x\nok 2 - y\n', 'result': 'OK'},
        {'name': 'light:u / b', 'stdout': 'ok 1 - x\n', 'result': 'TIMEOUT', 'duration': 30.0},
        {'name': 'light:u / c', 'stdout': 'no root\n', 'result': 'SKIP'},
        {'name': 'light:u / d', 'stdout': '', 'result': 'FAIL', 'returncode': -11},
    ]
    log = tmp_path / 'testlog.json'
    log.write_text('\n'.join(map(json.dumps, tests)))
    out = subprocess.run([COUNT, 'meson', log], capture_output=True, text=True, check=True).stdout
    assert out.startswith('3 2 1\nskipped: c: no root\n')
    assert '--- b' in out and 'timed out' in out and 'exit status -11' in out
