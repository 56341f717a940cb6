# SPDX-License-Identifier: BSD-3-Clause
"""TCP: when data goes and when it is acknowledged. RFC 9293 3.7.4, 3.8, 3.8.6.3, 3.9.1.2; RFC 5681 4.2."""
import random

import pytest

from light import READABLE, Stack
from peer import diff, established
from tcpkit import PROFILES, available, pattern, settle


# covers: MUST-17 SHLD-7
@pytest.mark.parametrize('profile', PROFILES)
def test_nagle_and_nodelay(profile):
    s = Stack(profile=profile)
    (p, slow), (q, fast) = established(s), established(s, port=90)
    fast.set('NODELAY', 1)
    for sock in (slow, fast):
        for c in b'hello':
            sock.send(bytes([c]))
    p.one('A', data=b'h')
    assert [f.data for f in q.segments()] == [b'h', b'e', b'l', b'l', b'o']
    p.send('A')
    p.one('A', data=b'ello')
    # A full segment does not wait.
    slow.send(b'z' * 1000)
    p.none()
    slow.send(b'z' * 1000)
    p.one('A', data=b'z' * 1460)
    p.send('A')
    p.one('A', data=b'z' * 540)
    # And it can be turned on where something is held back.
    slow.send(b'held')
    p.none()
    slow.set('NODELAY', 1)
    slow.send(b'!')
    assert b''.join(f.data for f in p.segments()) == b'held!'


# covers: MUST-60 MUST-61
@pytest.mark.parametrize('profile', PROFILES)
def test_data_leaves_at_once_with_psh(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    for n in (1, 5, 1459, 1460, 1461, 5000):
        start = s.now
        sock.send(pattern(n))
        found = p.segments()
        if sum(f.length for f in found) < n:          # Nagle holds the odd rest until the ACK
            p.send('A')
            found += p.segments()
        assert b''.join(f.data for f in found) == pattern(n)
        assert all(f.time == start for f in found)
        assert 'P' in found[-1].flags
        p.send('A')
        p.none()


# covers: SHLD-28 SHLD-27
def test_segments_are_as_large_as_they_can_be():
    s = Stack()
    p, sock = established(s, window=100)
    sock.send(b'x' * 100)
    p.segments()
    for _ in range(200):
        sock.send(b'y' * 37)                # pushes, while the window is closed
    p.send('A', window=65535)
    found = settle(p)
    lengths = [len(f.data) for f in found if f.data]
    assert sum(lengths) == 7400 and lengths[:-1] == [1460] * (len(lengths) - 1)


# covers: 9293-3.8-retx-front
@pytest.mark.parametrize('profile', PROFILES)
def test_the_timer_retransmits_the_front(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    sock.send(pattern(6000))
    sent = p.segments()
    assert len(sent) >= 4
    p.send('PA', b'new data from the peer' * 20, ack=sent[0].seq)
    s.run(2)
    again = [f for f in p.segments() if f.data][0]
    assert again.seq == sent[0].seq and len(again.data) <= 1460
    assert again.data == pattern(6000)[:len(again.data)] and again.ack == p.seq
    assert again.window < sent[0].window or again.ack + again.window >= sent[0].ack + sent[0].window


# covers: 9293-3.8-ackcurrent
def test_every_segment_carries_the_current_ack():
    s = Stack()
    p, sock = established(s)
    chance = random.Random(3)
    base, last, beyond = p.seq, 0, []
    checked = 0

    def check():
        nonlocal checked
        for f in p.segments():
            assert 'A' in f.flags and f.ack == last, f
            checked += 1

    last = base
    for turn in range(300):
        n = chance.randint(1, 1000)
        if turn % 3:
            p.send('PA', pattern(n), seq=last)
            last += n
            for start, end in sorted(beyond):
                last = max(last, end) if start <= last else last
        check()
        if turn % 20 == 7:
            p.send('PA', b'ahead', seq=last + 2000)
            beyond.append((last + 2000, last + 2005))
        if turn % 4 == 0:
            sock.send(pattern(chance.randint(1, 3000)))
        if turn % 5 == 0:
            available(sock)
        check()
        if turn % 50 == 40:
            s.run(1.5)                      # retransmissions
            check()
        if chance.random() < 0.5:
            p.send('A', seq=last)
        check()
    sock.shutdown()
    s.run(5)
    check()
    p.send('A', seq=last)
    check()
    assert checked > 200


# ---- acknowledging

# covers: MUST-40 SHLD-18 5681-4.2-delack
@pytest.mark.parametrize('profile', PROFILES)
def test_acks_are_delayed_less_than_half_a_second(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    for i in range(40):
        p.send('A', b'x' * 1460)
        available(sock)
    s.run(1)
    p.segments()
    delays = []
    for n in (1, 100, 1459, 1460):
        at = s.now
        p.send('PA', b'y' * n)
        available(sock)
        immediate = p.segments()
        s.run(3)
        ack = (immediate + p.segments())
        assert ack[-1].ack == p.seq and len(ack) == 1
        delays.append(ack[0].time - at)
        assert ack[0].time - at < 0.5
    assert delays[0] > 0 and delays[1] > 0, 'small segments are not acknowledged at once'
    # Data that leaves meanwhile takes the ACK with it.
    p.send('PA', b'request')
    p.none()
    sock.send(b'answer')
    p.one('A', ack=p.seq, data=b'answer')
    p.send('A')
    s.run(1)
    p.none()


# covers: MUST-40 5681-4.2-delack
@pytest.mark.parametrize('profile, between', [('linux', 0.03), ('linux', 0.1), ('standard', 0.15), ('standard', 0.4)])
@pytest.mark.parametrize('flags', ['A', 'PA'])
def test_more_segments_do_not_postpone_the_ack(profile, between, flags):
    s = Stack(profile=profile)
    p, sock = established(s)
    waiting = {}                              # the end of each segment, and when it arrived
    for _ in range(60):
        p.send(flags, b'drip')
        waiting[p.seq] = s.now
        available(sock)
        s.run(between)
        for f in p.segments():
            for end in [e for e in waiting if diff(f.ack, e) >= 0]:
                assert f.time - waiting.pop(end) < 0.5
        assert all(s.now - at < 0.5 for at in waiting.values())


# covers: SHLD-19 5681-4.2-oneack
@pytest.mark.parametrize('profile', PROFILES)
def test_bulk_is_acknowledged_every_second_segment(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    acks = sent = updates = 0
    last = p.seq
    for i in range(400):
        p.send('A', b'x' * 1460)
        sent += 1
        found = p.segments()
        assert len(found) <= 1
        acks += len(found)
        if found:
            last = found[-1].ack
        assert diff(p.seq, last) < 2 * 1460
        available(sock)
        found = p.segments()                 # an update of the window acknowledges too
        updates += len(found)
        if found:
            last = found[-1].ack
        s.run(0.0005)
    assert sent / 2 <= acks + updates <= sent + updates


# covers: MUST-58
@pytest.mark.parametrize('n', [2, 8, 20])
def test_acks_of_a_burst_are_aggregated(n):
    s = Stack()
    p, sock = established(s)
    frames = []
    for i in range(n):
        frames.append(p.build('A', b'x' * 1460, seq=p.seq + 1460 * i))
    p.seq += 1460 * n
    p.burst(*frames)
    found = p.segments()
    assert 1 <= len(found) < n and found[-1].ack == p.seq


# covers: MAY-17
def test_data_without_psh_is_delivered():
    s = Stack()
    p, sock = established(s)
    p.send('A', b'no push')
    assert s.events_of(sock) & READABLE and sock.recv() == b'no push'
