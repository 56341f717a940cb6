# SPDX-License-Identifier: BSD-3-Clause
"""light-sim: worlds from options, captures, swarms, and how it refuses."""
import os
import re
import struct
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(__file__), '..', '..')
BUILD = os.environ.get('LIGHT_BUILD', os.path.join(ROOT, 'build', 'release'))


def run(*arguments):
    return subprocess.run([os.path.join(BUILD, 'tools', 'light-sim'), *arguments], text=True,
                          capture_output=True, timeout=120)


@pytest.mark.parametrize('arguments, word', [
    (['--bad'], '--bad'),
    (['--hosts'], '--hosts'),
    (['other'], 'other'),
    (['--json'], '--json'),
    (['swarm', 'swarm'], 'swarm'),
    (['--hosts=1'], '2 hosts'),
    (['--hosts=65'], '65'),
    (['--rate=10x'], '10x'),
    (['--delay=5'], '5'),
    (['--loss=200%'], '200%'),
    (['--mtu=100'], '100'),
    (['--offload=all'], 'all'),
    (['--kind=shout'], 'shout'),
    (['--bytes=-1'], '-1'),
    (['--cc=nosuch'], 'nosuch'),
    (['--pcap=file'], 'file'),
    (['--pcap=7:/tmp/x'], 'host 7'),
    (['--pcap=0:/nonexistent/x'], '/nonexistent/x'),
    (['--pcap=0:/dev/full'], '/dev/full'),
    (['swarm', '--seeds=9-3'], '3'),
])
def test_a_wrong_use_gives_one_line(arguments, word):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ''
    assert result.stderr.startswith('light-sim: ') and result.stderr.count('\n') == 1
    assert word in result.stderr


def test_help_names_every_option():
    result = run('--help')
    assert result.returncode == 0
    for option in ('--hosts', '--rate', '--loss', '--pcap', '--seeds', '--cc', '--offload'):
        assert option in result.stdout


@pytest.mark.parametrize('options', [
    [],
    ['--kind=ask', '--hosts=4', '--connections=20', '--together=5'],
    ['--kind=both', '--offload=tso', '--rate=1G', '--queue=100'],
    ['--kind=echo', '--delay=20ms', '--loss=2%', '--reorder=5%', '--duplicate=1%', '--corrupt=1%'],
    ['--connections=0', '--pings=20', '--ping-bytes=4000', '--mtu=576'],
    ['--kind=sink', '--half-close', '--standard', '--initial-window=2', '--nodelay', '--jitter=3ms'],
])
def test_a_world_runs_to_its_end_and_twice_the_same(options):
    first, second = run('--bytes=100000', *options), run('--bytes=100000', *options)
    assert first.returncode == 0, first.stdout
    found = re.search(r'(\d+) bytes in .* virtual time.*; hash ([0-9a-f]{16})', first.stdout)
    assert found and 'FAILED' not in first.stdout
    assert found.group(2) in second.stdout
    if '--pings=20' in options:
        assert '20 of 20 datagrams' in first.stdout
    else:
        assert int(found.group(1)) > 0


def test_the_seed_decides():
    hashes = {re.search('hash (.*)', run('--loss=5%', f'--seed={seed}').stdout).group(1) for seed in (1, 2, 3)}
    assert len(hashes) == 3


def test_what_takes_too_long_has_failed():
    result = run('--bytes=10000000', '--rate=1M', '--limit=1s')
    assert result.returncode == 1
    assert 'FAILED' in result.stdout and 'not done' in result.stdout


def test_a_capture_holds_what_passed(tmp_path):
    path = tmp_path / 'x.pcap'
    result = run('--bytes=10000', '--delay=1ms', f'--pcap=1:{path}')
    assert result.returncode == 0
    data = path.read_bytes()
    magic, _, _, _, _, _, network = struct.unpack('<IHHiIII', data[:24])
    assert magic == 0xa1b23c4d and network == 1
    at, times = 24, []
    while at < len(data):
        seconds, nanoseconds, kept, length = struct.unpack('<IIII', data[at:at + 16])
        assert kept == length <= 1514
        times.append((seconds, nanoseconds))
        at += 16 + kept
    assert at == len(data) and len(times) > 10
    assert times == sorted(times)


def test_a_trace_has_a_line_a_frame():
    result = run('--bytes=1', '--trace')
    assert 'arp request 10.0.0.2 > 10.0.0.1' in result.stdout
    assert re.search(r'10\.0\.0\.2 > 10\.0\.0\.1 tcp \d+ > 80 \[S\]', result.stdout)


def test_a_swarm_is_tap_and_a_seed_can_be_followed():
    result = run('swarm', '--seeds=5-7')
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == '1..3'
    assert [line.split(' - ')[0] for line in lines[1:]] == ['ok 1', 'ok 2', 'ok 3']
    followed = run('swarm', '--seeds=5', '--trace')
    assert followed.returncode == 0
    assert followed.stdout.startswith('# seed 5: ') and 'hash' in followed.stdout.splitlines()[-1]
