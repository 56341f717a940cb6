# SPDX-License-Identifier: BSD-3-Clause
"""TCP: the retransmission timer (RFC 6298). Times are read off the
wire; round trips are made by answering late."""
import csv
import os

import pytest

from light import HOST, Stack
from peer import Peer, established
from tcpkit import PROFILES, gaps, measured, pattern, sample

VECTORS = os.path.join(os.path.dirname(__file__), '..', 'vectors')
LATE = ('step-up', 'spike')         # whose samples are longer than the RTO before them, in part
TICK = 0.0011                      # the stack's clock granularity, in which timers may be late


def vectors(name):
    cases = {}
    with open(os.path.join(VECTORS, name)) as f:
        for row in csv.DictReader(f, delimiter='\t'):
            cases.setdefault(row['case'], []).append(row)
    return cases


def expiry(p, sock, longest=200):
    """Seconds from a segment to its first retransmission."""
    sock.send(b'unanswered')
    sent = p.one('A', data=b'unanswered')
    p.stack.run(longest)
    again = p.segments()
    assert again, 'never retransmitted'
    p.check(again[0], seq=sent.seq, data=b'unanswered')
    return again[0].time - sent.time


# covers: 6298-2.1
@pytest.mark.parametrize('profile', PROFILES)
def test_initial_rto(profile):
    s = Stack(profile=profile)
    p = Peer(s, port=7000)
    s.stream().connect(HOST, 7000)
    first = p.receive_syn()
    s.run(10)
    times = [first.time] + [f.time for f in p.segments()]
    assert gaps(times)[:2] == pytest.approx([1, 2], abs=TICK)
    s.listener(80)
    q = Peer(s)
    q.send('S')
    s.run(5)
    assert gaps([f.time for f in q.segments()])[:2] == pytest.approx([1, 2], abs=TICK)


# covers: 6298-2.2 6298-2.3
@pytest.mark.parametrize('case', sorted(vectors('rto_rfc6298.tsv')))
def test_rto_follows_the_vectors(case):
    rows = vectors('rto_rfc6298.tsv')[case]
    samples = [int(r['sample_ms']) / 1000 for r in rows]
    late = {'rto_initial': 10}               # than any handshake here
    for column, tcp in (('rto_unclamped_ms', {'rto_min': 0.001, 'clock_granularity': 0.001}), ('rto_min1s_ms', {})):
        s = Stack(profile='standard', tcp={**tcp, **late})
        rtos = [float(r[column]) / 1000 for r in rows]
        checked = 0
        for n in range(1, len(rows) + 1):
            if any(rto <= x for rto, x in zip(rtos, samples[1:n])):
                break                        # a timeout would cut such a round trip short
            p, sock = measured(s, samples[:n], port=1000 + n)
            assert expiry(p, sock) == pytest.approx(rtos[n - 1], abs=TICK), (column, n)
            sock.abort()
            p.segments()
            checked += 1
        assert checked == len(rows) or column == 'rto_unclamped_ms' or case in LATE


# covers: 6298-2.2 MUST-18
def test_first_sample():
    s = Stack(profile='standard')
    p, sock = measured(s, [0.4])
    assert expiry(p, sock) == pytest.approx(1.2, abs=TICK)


# covers: 6298-2.3-order
def test_variance_is_updated_before_the_mean():
    s = Stack(profile='standard', tcp={'rto_min': 0.001})
    p, sock = measured(s, [0.1])
    # A timeout of 300 ms would spoil the sample of 500 ms: the estimator must be seen from a handshake of
    # 100 ms and a segment acknowledged after 500 ms without retransmission, so the floor is used for it.
    t = Stack(profile='standard', tcp={'rto_min': 0.6})
    q, other = measured(t, [0.1, 0.5])
    assert expiry(q, other) == pytest.approx(0.150 + 4 * 0.1375, abs=TICK)
    assert expiry(p, sock) == pytest.approx(0.3, abs=TICK)


# covers: 6298-2.4
@pytest.mark.parametrize('profile, floor', [('standard', 1.0), ('linux', 0.2)])
def test_minimum_rto(profile, floor):
    s = Stack(profile=profile)
    p, sock = measured(s, [0.001] * 30)
    waited = expiry(p, sock)
    assert floor <= waited <= floor + 0.01


# covers: linux-rto-min
def test_linux_floors_the_variance_term():
    s = Stack(profile='linux')
    p, sock = measured(s, [0.01] * 40)
    assert expiry(p, sock) == pytest.approx(0.21, abs=TICK)


# covers: 6298-4-G
@pytest.mark.parametrize('granularity', [0.001, 0.05])
def test_variance_is_at_least_one_granule(granularity):
    s = Stack(profile='standard', tcp={'rto_min': 0.001, 'clock_granularity': granularity})
    p, sock = measured(s, [0.5] * 60)
    assert expiry(p, sock) == pytest.approx(0.5 + granularity, abs=TICK)


# covers: 6298-2.5 linux-rto-max
@pytest.mark.parametrize('profile', PROFILES)
def test_maximum_rto(profile):
    s = Stack(profile=profile, tcp={'user_timeout': 3600 * 24, 'retries_2': 100})
    p, sock = measured(s, [0.1])
    sock.send(b'x')
    s.run(3000)
    between = gaps([f.time for f in p.segments()])
    cap = max(between)
    assert cap >= 60 and between[-5:] == pytest.approx([cap] * 5, abs=TICK)
    if profile == 'linux':
        assert cap == pytest.approx(120, abs=TICK)
    # Zero-window probes too.
    p, sock = measured(s, [0.1], port=90, window=0)
    sock.send(b'blocked')
    s.run(3000)
    between = gaps([f.time for f in p.segments()])
    assert max(between) == pytest.approx(cap, abs=TICK)


# covers: 6298-5.5 6298-5.6 MUST-18 6298-5-early
@pytest.mark.parametrize('profile', PROFILES)
def test_each_expiry_doubles(profile):
    s = Stack(profile=profile)
    p, sock = measured(s, [0.3])
    sock.send(b'x')
    s.run(60)
    times = [f.time for f in p.segments()]
    first = {'standard': 1.0, 'linux': 0.9}[profile]
    assert gaps(times)[:5] == pytest.approx([first * 2 ** i for i in range(5)], abs=2 * TICK)


# covers: 6298-5.5 6298-2.5
@pytest.mark.parametrize('case', sorted(vectors('rto_backoff.tsv')))
def test_backoff_follows_the_vectors(case):
    rows = vectors('rto_backoff.tsv')[case]
    first, cap = float(rows[0]['first_rto_s']), float(rows[0]['cap_s'])
    s = Stack(profile='linux', tcp={'rto_initial': first, 'rto_max': cap, 'clock_granularity': first, 'rto_min': 0.2,
                                    'syn_retries': 100, 'retries_2': 100})
    if case.startswith('syn'):
        p = Peer(s, port=7000)
        s.stream().connect(HOST, 7000)
        start = p.receive_syn().time
    else:
        # SRTT is next to nothing, so that the RTO is the granularity.
        p, sock = measured(s, [0])
        sock.send(b'x')
        start = p.one('A').time
    s.run(float(rows[-1]['time_s']) + 1)
    seen = [f.time - start for f in p.segments()]
    assert seen[:len(rows)] == pytest.approx([float(r['time_s']) for r in rows], abs=0.01)


# covers: 6298-3-karn MUST-18
def test_no_sample_from_a_retransmission():
    s = Stack(profile='standard')
    p, sock = measured(s, [0.3] * 20)
    before = sock.info()
    sock.send(b'once')
    first = p.one('A')
    s.run(1.5)
    p.one('A', seq=first.seq)                # at 1 s
    p.send('A')
    after = sock.info()
    assert (before['srtt'], before['rttvar']) == (after['srtt'], after['rttvar'])
    # The backed-off value stays until something sent once is acknowledged.
    sock.send(b'twice')
    second = p.one('A')
    s.run(2.5)
    again = p.one('A', seq=second.seq)
    assert again.time - second.time == pytest.approx(2, abs=TICK)
    p.send('A')
    assert sock.info()['srtt'] == before['srtt']


# covers: 6298-5-collapse
@pytest.mark.parametrize('profile, floor', [('standard', 1.0), ('linux', None)])
def test_a_fresh_sample_drops_the_backoff(profile, floor):
    s = Stack(profile=profile)
    p, sock = measured(s, [0.3] * 30)
    sock.send(b'x')
    s.run(20)
    assert len(p.segments()) >= 4
    p.send('A')
    # A segment that is sent once and acknowledged in 0.3 s.
    sample(p, sock, 0.3)
    expected = floor or 0.3 + 0.2
    assert expiry(p, sock) == pytest.approx(expected, abs=0.01)


# covers: 6298-5-clear
def test_the_estimator_after_many_backoffs():
    """Cleared or kept, nothing else: the next sample counts as the first or as a later one."""
    s = Stack(profile='standard', tcp={'rto_min': 0.001})
    p, sock = measured(s, [0.3] * 40)
    srtt, rttvar = (sock.info()[k] / 1e9 for k in ('srtt', 'rttvar'))
    sock.send(b'x')
    s.run(30)
    assert len(p.segments()) >= 5
    p.send('A')
    sample(p, sock, 0.8)
    later = 7 / 8 * srtt + 0.8 / 8 + 4 * (3 / 4 * rttvar + abs(srtt - 0.8) / 4)
    waited = expiry(p, sock)
    assert waited == pytest.approx(later, abs=TICK) or waited == pytest.approx(0.8 + 4 * 0.4, abs=TICK)


# covers: 6298-3-tsok
def test_a_sample_from_a_retransmission_by_timestamps():
    """An ACK that echoes the copy gives that copy's round trip, or none at all; never one from the first."""
    s = Stack(profile='standard')
    p, sock = measured(s, [0.3] * 20, timestamps=True)
    srtt = sock.info()['srtt'] / 1e9
    sock.send(b'x')
    first = p.one('A')
    s.run(1)
    again = p.one('A', seq=first.seq)
    assert again.tsval != first.tsval
    s.run(0.7)
    p.send('A')                              # echoes the copy
    assert sock.info()['srtt'] / 1e9 == pytest.approx(srtt * 7 / 8 + 0.7 / 8, abs=TICK) or \
        sock.info()['srtt'] / 1e9 == srtt


# covers: 6298-3-once
@pytest.mark.parametrize('stamped', [False, True])
def test_a_sample_each_round_trip(stamped):
    s = Stack(profile='standard')
    p, sock = measured(s, [0.1] * 20, timestamps=stamped)
    sock.send(pattern(60000))
    for delay in (0.1, 0.1, 0.1, 0.5):
        before = sock.info()['srtt'] / 1e9
        seen = p.segments()
        assert seen
        s.run(delay)
        p.send('A')
        s.run(0.01)
    # One round trip of the new delay has moved it: it was 100 ms and takes an eighth of 500 at least.
    assert sock.info()['srtt'] / 1e9 >= before + 0.9 * (0.5 - before) / 8


# covers: 7323-4.1-rule
def test_only_new_acknowledgments_give_samples():
    s = Stack(profile='standard')
    p, sock = measured(s, [0.2] * 10, timestamps=True)
    before = sock.info()['srtt']
    old = p.ts_recent
    s.run(30)
    p.ts_recent = old
    p.send('PA', b'data with an old echo')
    p.send('A')
    sock.send(b'x')
    p.segments()
    p.send('A', ack=p.ack - 1)
    p.send('PA', b'more', ack=p.ack - 1)
    assert sock.info()['srtt'] == before


# covers: 6298-5.1
@pytest.mark.parametrize('profile', PROFILES)
def test_sending_more_does_not_postpone_the_timeout(profile):
    s = Stack(profile=profile)
    p, sock = measured(s, [0.3])
    sock.set('NODELAY', 1)
    rto = sock.info()['rto'] / 1e9
    sock.send(b'first')
    first = p.one('A')
    s.run(rto / 2)
    sock.send(b'second')
    p.one('A', data=b'second')
    s.run(rto / 2 + 2 * TICK)
    again = p.segments()
    assert again[0].seq == first.seq and again[0].time - first.time == pytest.approx(rto, abs=TICK)


# covers: 6298-5.2
@pytest.mark.parametrize('profile', PROFILES)
def test_nothing_is_retransmitted_when_all_is_acknowledged(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    sock.send(pattern(5000))
    s.run(0.05)
    p.segments()
    p.send('A')
    s.run(0.05)
    p.segments()
    p.send('A')
    s.run(4000)
    p.none()


# covers: 6298-5.3
@pytest.mark.parametrize('profile', PROFILES)
def test_new_acks_restart_the_timer_and_duplicates_do_not(profile):
    s = Stack(profile=profile)
    p, sock = measured(s, [0.4] * 30)
    sock.set('NODELAY', 1)
    sock.send(b'first')
    first = p.one('A')
    sock.send(b'second')
    second = p.one('A')
    s.run(0.35)
    p.send('A', ack=first.end)
    s.run(0.1)
    p.send('A', ack=first.end)              # a duplicate
    rto = sock.info()['rto'] / 1e9
    s.run(3)
    again = p.segments()[0]
    assert again.seq == second.seq
    assert again.time - (first.time + 0.35) == pytest.approx(rto, abs=TICK)


# covers: 6298-5.4
@pytest.mark.parametrize('profile', PROFILES)
def test_only_the_earliest_is_retransmitted(profile):
    s = Stack(profile=profile)
    p, sock = measured(s, [0.2])
    sock.send(pattern(8 * 1460))
    sent = p.segments()
    assert len(sent) == 8
    s.run(1.5)
    again = p.segments()
    for copy in again:
        assert copy.seq == sent[0].seq and len(copy.data) == 1460
    assert len({f.time for f in again}) == len(again) >= 1


# covers: 6298-5.7
@pytest.mark.parametrize('opens', ['peer', 'stack'])
def test_three_seconds_after_a_lost_syn(opens):
    s = Stack(profile='standard')
    if opens == 'peer':
        listener = s.listener()
        p = Peer(s)
        p.send('S')
        s.run(1.5)
        assert len(p.segments()) == 2
        p.send('A')
        sock = listener.accept()
    else:
        p = Peer(s, port=80)
        sock = s.stream().connect(HOST, 80)
        p.receive_syn()
        s.run(1.5)
        p.one('S')
        p.send('SA')
        p.one('A')
    assert expiry(p, sock) == pytest.approx(3, abs=TICK)


# covers: 6298-5-early
@pytest.mark.parametrize('profile', PROFILES)
def test_no_retransmission_by_timer_is_early(profile):
    s = Stack(profile=profile)
    p, sock = measured(s, [0.15] * 5)
    sock.set('NODELAY', 1)
    last, checked = {}, 0
    for turn in range(120):
        sock.send(pattern(700, turn))
        for _ in range(1 + turn % 4):
            rto = sock.info()['rto'] / 1e9
            s.run(0.02 + 0.3 * (turn % 11 == 10) + 2 * (turn % 31 == 30))
            for f in p.segments():
                if f.seq in last and f.data:
                    assert f.time - last[f.seq] >= rto - TICK
                    checked += 1
                last[f.seq] = f.time
        if turn % 3 != 1:
            p.send('A')
    assert checked > 5
