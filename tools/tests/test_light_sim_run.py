# SPDX-License-Identifier: BSD-3-Clause
"""light-sim run: worlds from files, what is refused and where, what is written and drawn."""
import csv
import glob
import json
import os
import re
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(__file__), '..', '..')
BUILD = os.environ.get('LIGHT_BUILD', os.path.join(ROOT, 'build', 'release'))
WORLDS = sorted(glob.glob(os.path.join(ROOT, 'sim', 'worlds', '*.conf')))
SMALL = '''duration = "2s";
hosts = ( { name = "a"; both = { delay = "5ms"; }; },
          { name = "b"; both = { delay = "5ms"; }; down = { rate = "5M"; queue = 20; }; } );
flows = ( { name = "one"; from = "a"; to = "b"; } );
'''


def run(*arguments):
    return subprocess.run([os.path.join(BUILD, 'tools', 'light-sim'), 'run', *map(str, arguments)], text=True,
                          capture_output=True, timeout=120)


def world(tmp_path, text):
    path = tmp_path / 'world.conf'
    path.write_text(text)
    return path


def controls():
    """What the stack knows, as the refusal of an unknown one says."""
    text = run(WORLDS[0], '--set', 'cc=none').stderr
    return re.search(r"'none' is none of (.*)$", text.strip())[1].split(', ')


@pytest.mark.parametrize('text, line, words', [
    ('duration = ', 1, 'syntax'),
    ('nonsense = 3;', 1, "'nonsense' is no key here"),
    ('duration = "5";', 1, "'5' is not a time"),
    ('hosts = ( { name = "a"; } );', 1, '2 to 64'),
    ('hosts = [ 1, 2 ];', 1, 'list of groups'),
    ('hosts = ( { name = "a"; },\n { name = "a"; } );', 2, "'a' already"),
    ('hosts = ( { name = "a b"; }, { name = "c"; } );', 1, 'not a name'),
    ('hosts = ( { cores = 2; }, { name = "c"; } );', 1, 'name is missing'),
    ('hosts = ( { name = "a"; both = { rate = "fast"; }; }, { name = "b"; } );', 1, "'fast'"),
    ('hosts = ( { name = "a"; both = { loss = "120%"; }; }, { name = "b"; } );', 1, "'120%'"),
    ('hosts = ( { name = "a"; both = 5; }, { name = "b"; } );', 1, 'a group is wanted'),
    ('hosts = ( { name = "a"; both = { discipline = "wred"; }; }, { name = "b"; } );', 1, 'drop-tail, red, codel, step'),
    ('hosts = ( { name = "a"; both = { discipline = "codel"; }; }, { name = "b"; } );', 1, 'without a rate'),
    ('hosts = ( { name = "a"; both = { rate = "1M"; discipline = "red"; }; }, { name = "b"; } );', 1, 'red_min'),
    ('hosts = ( { name = "a"; both = { rate = "1M"; discipline = "step"; }; }, { name = "b"; } );', 1, 'step_delay'),
    (SMALL + 'tcp = { rto = "1s"; };', 5, "'rto' is no key here"),
    (SMALL + 'tcp = { sack = "yes"; };', 5, 'neither true nor false'),
    (SMALL + 'tcp = { initial_window = 0; };', 5, 'from 1 to 1000'),
    (SMALL + 'cc = "magic";', 5, "'magic' is none of newreno"),
    (SMALL.replace('to = "b"', 'to = "c"'), 4, "no host 'c'"),
    (SMALL.replace('to = "b"', 'to = "a"'), 4, 'the same host'),
    (SMALL.replace('from = "a"; ', ''), 4, 'from is missing'),
    (SMALL.replace('duration = "2s";', ''), 4, 'needs a stop'),
    (SMALL.replace('name = "one";', 'copies = 1000;'), 4, 'from 1 to 256'),
    (SMALL.replace('name = "one";', 'kind = "echo";'), 4, 'bytes is missing'),
    (SMALL + 'events = ( { at = "1s"; host = "b"; } );', 5, 'an event is one of'),
    (SMALL + 'events = ( { at = "1s"; host = "b"; link = "up"; mtu = 900; } );', 5, 'an event is one of'),
    (SMALL + 'events = ( { at = "1s"; host = "b"; mtu = 9000; } );', 5, "the world's, 1500"),
    (SMALL + 'events = ( { at = "1s"; host = "x"; link = "up"; } );', 5, "no host 'x'"),
    (SMALL + 'expect = ( { what = "speed"; least = 3; } );', 5, 'none of goodput'),
    (SMALL + 'expect = ( { what = "goodput"; } );', 5, 'a least or a most'),
    (SMALL + 'expect = ( { what = "goodput"; least = 3; most = 2; } );', 5, 'least is not above most'),
    (SMALL + 'expect = ( { what = "goodput"; flow = "x"; least = 2; } );', 5, "no flow 'x'"),
    (SMALL + 'measure = "2s";', 5, 'before the duration'),
])
def test_what_is_wrong_in_a_file_is_said_with_its_line(tmp_path, text, line, words):
    path = world(tmp_path, text)
    result = run(path)
    assert result.returncode == 2, result
    assert result.stdout == ''
    assert result.stderr.startswith(f'light-sim: {path}:{line}: ') and result.stderr.count('\n') == 1
    assert words in result.stderr


@pytest.mark.parametrize('arguments, word', [
    (['/nonexistent.conf'], '/nonexistent.conf'),
    ([], 'file of a world'),
    ([WORLDS[0], 'more'], 'more'),
    ([WORLDS[0], '--set', 'seed'], 'seed'),
    ([WORLDS[0], '--set', 'nowhere.[3].x=1'], 'there is no'),
    ([WORLDS[0], '--set', 'seed=x'], "'x'"),
    ([WORLDS[0], '--draw', 'x.svg'], '--csv'),
    ([WORLDS[0], '--csv', '/proc/none'], '/proc/none'),
])
def test_a_wrong_use_gives_one_line(arguments, word):
    result = run(*arguments)
    assert result.returncode == 2, result
    assert result.stderr.startswith('light-sim: ') and result.stderr.count('\n') == 1
    assert word in result.stderr


def test_an_expectation_that_does_not_hold_fails_with_its_line(tmp_path):
    path = world(tmp_path, SMALL + 'expect = ( { what = "goodput"; least = "4M"; },\n { what = "goodput"; least = "6M"; } );')
    result = run(path)
    assert result.returncode == 1
    assert f'{path}:6: goodput is 4.' in result.stderr and 'at least 6e+06' in result.stderr
    assert result.stderr.count('\n') == 1


def test_set_takes_the_place_of_what_the_file_says(tmp_path):
    path = world(tmp_path, SMALL)
    slow = json.loads(run(path, '--json', '--set', 'duration=4s').stdout)
    fast = json.loads(run(path, '--json', '--set', 'duration=4s', '--set', 'hosts.[1].down.rate=20M').stdout)
    assert 4.2e6 < slow['goodput'] < 4.71e6
    assert 16e6 < fast['goodput'] < 18.9e6
    again = json.loads(run(path, '--json', '--set', 'duration=4s').stdout)
    assert again['hash'] == slow['hash'] != fast['hash']


def test_what_is_written_down_agrees_with_the_summary(tmp_path):
    path = world(tmp_path, SMALL)
    result = json.loads(run(path, '--json', '--csv', tmp_path / 'out').stdout)
    read = {name: list(csv.DictReader(open(tmp_path / 'out' / f'{name}.csv')))
            for name in ('connections', 'queues', 'segments')}
    data = [row for row in read['segments'] if row['event'] != 'ack']
    assert len(data) == result['flows'][0]['data_segments']
    assert sum(row['event'] == 'again' for row in data) == result['flows'][0]['again'] > 0
    sent = max(int(row['sequence']) + int(row['bytes']) for row in data)
    acknowledged = max(int(row['sequence']) for row in read['segments'] if row['event'] == 'ack')
    assert acknowledged in (sent, sent + 1)     # with the FIN
    assert int(read['queues'][-1]['dropped']) == result['wire']['queue-full'] > 0
    assert all(0 <= int(row['packets']) < 20 for row in read['queues'])
    windows = [int(row['cwnd']) for row in read['connections']]
    assert windows[0] == 10 * 1448 and max(windows) > 20 * 1448
    # 10 ms apart, and looking changes nothing.
    times = [float(row['time']) for row in read['queues']]
    assert all(abs(b - a - 0.01) < 1e-6 for a, b in zip(times, times[1:]))
    assert json.loads(run(path, '--json').stdout)['hash'] == result['hash']


@pytest.mark.parametrize('kind, begins', [('svg', b'<?xml'), ('png', b'\x89PNG'), ('pdf', b'%PDF')])
def test_a_picture_is_drawn(tmp_path, kind, begins):
    pytest.importorskip('matplotlib')
    result = run(world(tmp_path, SMALL), '--csv', tmp_path / 'out', '--draw', tmp_path / f'p.{kind}')
    assert result.returncode == 0, result.stderr
    assert (tmp_path / f'p.{kind}').read_bytes().startswith(begins)


def test_a_picture_that_cannot_be_drawn_is_a_failure(tmp_path):
    result = run(world(tmp_path, SMALL), '--csv', tmp_path / 'out', '--draw', '/nonexistent/p.svg')
    assert result.returncode == 1 and '/nonexistent/p.svg' in result.stderr


# What a world expects holds for its own algorithm; delivery and the invariants for each.
@pytest.mark.parametrize('path', WORLDS, ids=[os.path.basename(path)[:-5] for path in WORLDS])
def test_every_world_delivers_with_every_algorithm(path):
    assert run(path).returncode == 0
    for cc in controls():
        result = json.loads(run(path, '--json', '--set', f'cc={cc}').stdout)
        assert not result['failed_world'] and result['failed'] == 0 and result['completed'] >= 1
