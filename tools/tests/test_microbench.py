# SPDX-License-Identifier: BSD-3-Clause
"""light-microbench: what a segment costs each end, and how it refuses."""
import json
import os
import subprocess

ROOT = os.path.join(os.path.dirname(__file__), '..', '..')
BUILD = os.environ.get('LIGHT_BUILD', os.path.join(ROOT, 'build', 'release'))


def run(*arguments):
    return subprocess.run([os.path.join(BUILD, 'tools', 'light-microbench'), *arguments], text=True,
                          capture_output=True, timeout=120)


def test_the_cost_of_a_segment_is_given_for_each_end_and_each_part():
    p = run('--only', 'split', '--json')
    assert p.returncode == 0, p.stderr
    rows = {r['name']: r['value'] for r in json.loads(p.stdout) if r['unit'] == 'cycles'}
    assert len(rows) == 7
    for end in ('received', 'sent'):
        whole = rows['segment of 1448 bytes %s, with copy and checksum' % end]
        copied = rows['segment of 1448 bytes %s, with copy, link sums' % end]
        alone = rows['segment of 76 bytes %s, link sums: the protocol alone' % end]
        # What a copy of 1448 bytes adds is more than chance; a sum beside a copy may cost next to nothing.
        assert 10 < alone < copied < 20 * alone
        assert alone < whole < 20 * alone
    assert rows["the programs' own copies of 1448 bytes, into and out of the rings"] > 0


def test_a_part_that_is_not_there_is_refused_with_those_that_are():
    p = run('--only', 'nothing')
    assert p.returncode == 2 and 'split' in p.stderr and 'lane' in p.stderr


def test_a_short_run_counts_a_hundredth():
    p = run('--only', 'segment', '--short', '--json')
    assert p.returncode == 0, p.stderr
    assert json.loads(p.stdout)[0]['value'] > 100
