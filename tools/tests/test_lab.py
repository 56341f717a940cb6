# SPDX-License-Identifier: BSD-3-Clause
"""What congestion control must and must not do, for every algorithm that the stack knows, in virtual time; and tools/sim/lab."""
import functools
import json
import os
import re
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(__file__), '..', '..')
BUILD = os.environ.get('LIGHT_BUILD', os.path.join(ROOT, 'build', 'release'))
LAB = os.path.join(ROOT, 'tools', 'sim', 'lab')
LIGHT_SIM = os.path.join(BUILD, 'tools', 'light-sim')
WORLDS = os.path.join(ROOT, 'sim', 'worlds')


def known():
    done = subprocess.run([LIGHT_SIM, 'run', os.path.join(WORLDS, 'bulk.conf'), '--set', 'cc=none'], text=True,
                          capture_output=True, check=False)
    return re.search(r"'none' is none of (.*)$", done.stderr.strip())[1].split(', ')


CONTROLS = known()
LOSS_BASED = [cc for cc in CONTROLS if cc in ('newreno', 'cubic')]
EVERY = pytest.mark.parametrize('cc', CONTROLS)


@functools.lru_cache(maxsize=None)
def world(name, *sets):
    command = [LIGHT_SIM, 'run', os.path.join(WORLDS, name + '.conf'), '--json']
    for one in sets:
        command += ['--set', one]
    done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)
    result = json.loads(done.stdout)
    assert not result['failed_world'], done.stderr
    assert result['failed'] == 0
    return result


def share(result, name):
    return sum(f['goodput'] for f in result['flows'] if f['name'] == name) / result['goodput']


@EVERY
@pytest.mark.parametrize('queue, least', [(20, 0.85), (80, 0.9), (400, 0.75)])
def test_flows_of_one_algorithm_share_a_queue(cc, queue, least):
    result = world('fair', f'cc={cc}', f'hosts.[1].down.queue={queue}')
    assert result['fairness'] >= least
    assert result['goodput'] >= 0.9 * 18.83e6


@EVERY
def test_a_long_path_is_not_starved_by_a_short_one(cc):
    result = world('rtt', f'cc={cc}')
    assert result['goodput'] >= 17.5e6
    assert 0.05 <= share(result, 'far') <= 0.9


@pytest.mark.parametrize('other', [cc for cc in CONTROLS if cc != 'cubic'])
@pytest.mark.parametrize('queue', [20, 80])
def test_cubic_leaves_others_their_part_and_keeps_its_own(other, queue):
    if other == 'dctcp':
        pytest.skip('for data centres of its own kind (RFC 8257 1)')
    result = world('mixed', 'flows.[0].cc=cubic', f'flows.[1].cc={other}', f'hosts.[1].down.queue={queue}')
    assert 0.1 <= share(result, 'first') <= 0.9
    assert result['goodput'] >= 17.5e6


@pytest.mark.parametrize('cc', LOSS_BASED)
def test_codel_takes_the_delay_from_who_fills_every_queue(cc):
    bloated, codel = world('bloat', f'cc={cc}'), world('codel', f'cc={cc}')
    assert bloated['queue-mean'] > 0.2
    assert codel['queue-mean'] < 0.01
    assert codel['goodput'] > 0.8 * bloated['goodput']


@pytest.mark.parametrize('cc', LOSS_BASED)
def test_red_keeps_the_queue_between_its_thresholds(cc):
    result = world('queues', f'cc={cc}')
    # 15 and 45 packets at 20 Mbit/s are 9 and 28 ms; the average may be below the lower one after each reduction.
    assert 0.003 < result['queue-mean'] < 0.028
    assert result['goodput'] > 17e6 and result['fairness'] > 0.9


@pytest.mark.parametrize('cc', LOSS_BASED)
@pytest.mark.parametrize('discipline', ['red', 'codel'])
def test_marks_take_the_place_of_losses(cc, discipline):
    # From 10 s on the windows are right: what slow start loses in a full queue comes before.
    marking = world('queues', f'cc={cc}', f'hosts.[1].down.discipline={discipline}')
    dropping = world('queues', f'cc={cc}', f'hosts.[1].down.discipline={discipline}', 'tcp.ecn=off')
    assert dropping['queue-marked'] == 0 and marking['queue-marked'] > 0
    assert marking['queue-dropped'] < dropping['queue-dropped']
    assert marking['goodput'] > 17e6


@pytest.mark.skipif('dctcp' not in CONTROLS, reason='no DCTCP')
def test_dctcp_keeps_the_queue_at_the_step():
    result = world('queues', 'cc=dctcp', 'hosts.[1].down.discipline=step', 'hosts.[1].down.step_delay=5ms')
    assert result['queue-marked'] > 0.01 and result['retransmitted'] == 0
    assert result['queue-mean'] < 0.007 and result['goodput'] > 17e6 and result['fairness'] > 0.8


@EVERY
def test_reordering_of_a_fifth_costs_neither_rate_nor_needless_segments(cc):
    straight = world('reorder', f'cc={cc}', 'hosts.[1].down.reorder=0')
    for part in ('1%', '5%', '20%'):
        result = world('reorder', f'cc={cc}', f'hosts.[1].down.reorder={part}')
        assert result['goodput'] >= 0.95 * straight['goodput'], part
        assert result['retransmitted'] <= straight['retransmitted'] + 0.002, part


@EVERY
def test_compressed_acks_do_not_stop_a_flow(cc):
    result = world('ack-compression', f'cc={cc}')
    assert result['goodput'] >= 0.85 * 18.83e6
    assert result['retransmitted'] <= 0.03


@EVERY
def test_a_narrow_way_back_does_not_stop_a_flow(cc):
    result = world('asymmetric', f'cc={cc}')
    assert result['goodput'] >= 20e6
    # Lost acknowledgments are no reason to send anything again.
    assert result['retransmitted'] <= 0.02


@EVERY
def test_after_a_link_comes_back_a_flow_goes_on(cc):
    result = world('flap', f'cc={cc}')
    assert result['completed'] == 1
    # 5 of 30 s down; the timer that had doubled finds the way within as long again.
    assert result['goodput'] >= 9.4e6 * (30 - 10) / 30 * 0.9


@EVERY
def test_small_packets_pass_where_large_ones_vanish(cc):
    result = world('mtu', f'cc={cc}')
    assert share(result, 'bulk') > 0 and result['completed'] == 2


@EVERY
def test_short_transfers_beside_a_download_end_soon(cc):
    result = world('web', f'cc={cc}')
    assert result['completed'] == 409
    assert result['completion-p50'] < 0.3 and result['completion-p99'] < 3


@EVERY
def test_buffers_grow_until_a_long_fat_path_is_full(cc):
    # 9.90 Gbit/s is all that fits; slow start has taken 25 round trips at most.
    result = world('long-fat-10g', f'cc={cc}')
    assert result['goodput'] >= 0.9 * 9.9e9 and result['retransmitted'] == 0
    assert result['buffers'] > 125e6


def test_buffers_on_a_long_fat_path_begin_small():
    result = world('long-fat-10g', 'flows.[0].bytes=100000')
    assert result['completed'] == 1 and result['buffers'] <= 256 << 10


def test_buffers_on_a_long_fat_path_keep_to_the_limit_of_memory():
    limit = 64 << 20
    result = world('long-fat-10g', f'tcp.memory_low={limit // 2}', f'tcp.memory_pressure={limit // 4 * 3}',
                   f'tcp.memory_high={limit}')
    assert 8 << 20 < result['buffers'] <= limit
    assert result['completed'] == 1 and result['retransmitted'] == 0
    # A window of 8 MB at least each 100 ms.
    assert 0.5e9 < result['goodput'] < 6e9


@EVERY
def test_half_of_a_large_window_goes_again_in_few_round_trips(cc):
    # 941 Mbit/s is all that fits; slow start at the beginning and what is buffered at the end take their time.
    assert world('overshoot', f'cc={cc}')['goodput'] >= (0.7e9 if cc in LOSS_BASED else 0.6e9)


@EVERY
def test_of_a_large_window_hardly_anything_goes_again_that_has_arrived(cc):
    result = world('overshoot', f'cc={cc}')
    again, dropped = sum(flow['again'] for flow in result['flows']), result['wire']['queue-full']
    assert dropped > 100 and 0.98 * dropped <= again <= 1.02 * dropped
    # NewReno halves its window, and that is the end of it: what the queue dropped, and not a segment more.
    assert cc != 'newreno' or again == dropped > 10000


def lab(*arguments):
    return subprocess.run([LAB, *arguments, '--build', BUILD], text=True, capture_output=True, timeout=300, check=False)


def test_lab_says_what_it_does_not_know():
    for arguments in (('nonsense',), ('tables', 'nonsense')):
        result = lab(*arguments)
        assert result.returncode == 1 and 'nonsense' in result.stderr
    assert subprocess.run([LAB, '--help'], text=True, capture_output=True, check=True).stdout.startswith('Experiments')


def test_lab_prints_a_row_for_each_algorithm():
    result = lab('tables', 'single')
    assert result.returncode == 0, result.stderr
    for cc in CONTROLS:
        assert re.search(rf'^\| {cc} \| [\d.]+ \|', result.stdout, re.M)


def test_a_cell_is_as_the_golden_table_has_it():
    golden = [line.split('\t') for line in open(os.path.join(ROOT, 'sim', 'golden', 'goodput.tsv'), encoding='ascii')
              if line.startswith('cubic\t0\t')]
    rows = {(row[2], row[3]): float(row[4]) for row in golden}
    for rtt, rate in (('10ms', '10M'), ('100ms', '10M')):
        result = lab('cell', 'cubic', '0', rtt, rate)
        assert abs(float(result.stdout.split()[0]) / rows[rtt, rate] - 1) <= 0.05
