# SPDX-License-Identifier: BSD-3-Clause
"""TCP: when a connection is given up, and the congestion control every stack has. RFC 9293 3.8.2, 3.8.3, 3.10.8."""
import errno

import pytest

from light import ERROR, HANGUP, HOST, HOST_MAC, MAC, READABLE, Stack, WRITABLE, errno_of
from peer import Peer, diff, established
from tcpkit import PROFILES, gaps, gone, measured, no_connection, pattern, state


def asked(s):
    """ARP requests for the host."""
    return s.sent(where=lambda f: f.raw[12:14] == b'\x08\x06' and f.raw[38:42] == b'\xc0\0\2\2')


# covers: MUST-20
def test_r1_advises_ip_and_r2_gives_up():
    s = Stack(profile='linux', neighbours=False)
    reply = bytes.fromhex(''.join((MAC, HOST_MAC, '0806', '0001080006040002', HOST_MAC, 'c0000202', MAC,
                                   'c0000201')).replace(':', ''))
    listener = s.listener()
    p = Peer(s)
    p.send('S')
    assert asked(s)
    s.inject(reply)
    p.one('SA')
    p.send('A')
    sock = listener.accept()
    assert s.neighbours()[HOST]['state'] == 'reachable'
    sock.send(b'unanswered')
    first = p.one('A')
    s.run(0.3)
    assert not asked(s), 'not before R1'
    reached = None
    while s.now - first.time < 20 and reached is None:
        s.run(0.1)
        if asked(s):
            reached = s.now
            s.inject(reply)
    assert reached, 'the neighbour is not looked at again'
    copies = len([f for f in p.segments() if f.seq == first.seq])
    assert copies >= 3
    for _ in range(4000):
        if sock.ready() & HANGUP:
            break
        s.run(1)
        if asked(s):
            s.inject(reply)
    assert s.now - first.time > 100
    assert sock.take_error() == errno.ETIMEDOUT


# covers: 9293-3.10.8-rtxmax SHLD-11
@pytest.mark.parametrize('profile', PROFILES)
def test_r2_ends_the_connection_for_every_waiter(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    s.events_of(sock)
    start = s.now
    sock.send(b'unanswered')
    s.until(start + 100)
    assert state(p) == 'ESTABLISHED' and not sock.ready() & (ERROR | HANGUP)
    while not sock.ready() & HANGUP and s.now < start + 5000:
        s.run(10)
    assert s.events_of(sock) & (ERROR | HANGUP | READABLE | WRITABLE) == ERROR | HANGUP | READABLE | WRITABLE
    assert sock.ready() & (ERROR | HANGUP) == ERROR | HANGUP
    assert errno_of(sock.recv) == errno.ETIMEDOUT
    assert errno_of(sock.send, b'x') == errno.EPIPE
    p.segments()
    p.listener.close()
    assert no_connection(p)


# covers: linux-retries2
def test_linux_gives_up_after_924_seconds():
    s = Stack(profile='linux')
    p, sock = measured(s, [0])               # RTO 200 ms
    sock.send(b'unanswered')
    start = s.now
    s.until(start + 924)
    assert not sock.ready() & HANGUP
    copies = p.segments()
    assert len(copies) == 16                 # the first and 15 more
    s.run(2)
    assert sock.ready() & HANGUP and sock.take_error() == errno.ETIMEDOUT
    p.none()


# covers: MUST-21 9293-3.10.8-usertimeout
@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('timeout', [5, 30, 300])
def test_user_timeout(profile, timeout):
    s = Stack(profile=profile)
    p, sock = established(s)
    q, other = established(s, port=90)
    sock.set('USER_TIMEOUT', timeout * 1000)
    start = s.now
    sock.send(b'unanswered')
    other.send(b'unanswered')
    s.until(start + timeout - 0.5)
    assert not sock.ready() & HANGUP
    s.until(start + timeout + 1.5)
    assert sock.ready() & (HANGUP | ERROR) == HANGUP | ERROR
    if timeout < 100:
        assert not other.ready() & HANGUP and state(q) == 'ESTABLISHED'
    assert errno_of(sock.recv) == errno.ETIMEDOUT and gone(p)
    p.segments()
    s.run(500)
    p.none()
    p.listener.close()
    assert no_connection(p)


# covers: 9293-3.10.8-usertimeout
@pytest.mark.parametrize('name', ['SYN_SENT', 'CLOSE_WAIT', 'FIN_WAIT_1'])
def test_user_timeout_in_other_states(name):
    s = Stack()
    if name == 'SYN_SENT':
        sock = s.stream().set('USER_TIMEOUT', 10000).connect(HOST, 7000)
    else:
        p, sock = established(s)
        sock.set('USER_TIMEOUT', 10000)
        if name == 'CLOSE_WAIT':
            p.send('FA')
        sock.send(b'x')
        if name == 'FIN_WAIT_1':
            sock.shutdown()
    start = s.now
    s.until(start + 9.5)
    assert not sock.ready() & HANGUP
    s.until(start + 12)
    assert sock.ready() & HANGUP and sock.take_error() == errno.ETIMEDOUT


# covers: MUST-19
def test_basic_congestion_control():
    s = Stack(profile='standard', tcp={'send_buffer_initial': 1 << 20, 'send_buffer_max': 1 << 20, 'cc': 'newreno'})
    p, sock = established(s, wscale=7)
    p.window = 60000

    def keep_full():
        try:
            while True:
                sock.send(pattern(1 << 17))
        except OSError as e:
            assert e.errno == errno.EAGAIN

    def flight_of(segments):
        return sum(f.length for f in segments) / 1460

    def round_trip(skip=None):
        """One round: each segment is acknowledged by itself."""
        keep_full()
        segments = p.segments()
        ends = [f.end for f in segments]
        s.run(0.1)
        for end in ends:
            p.send('A', ack=end)
        return flight_of(segments)

    flights = [round_trip() for _ in range(4)]
    assert flights[0] == 10 and flights == pytest.approx([10, 20, 40, 80], abs=2), flights
    # A loss: the first of the round is missing, the others make duplicates.
    keep_full()
    segments = p.segments()
    s.run(0.1)
    front = segments[0].seq
    for f in segments[1:]:
        p.send('A', ack=front)
    again = p.segments()
    assert front in [f.seq for f in again], 'no fast retransmit'
    s.run(0.1)
    top = max((segments + again), key=lambda f: diff(f.end, front)).end
    p.ack = top
    p.send('A', ack=top)
    base = flight_of(p.segments())
    p.send('A')
    half = sock.info()['cwnd'] / 1460
    assert half <= 0.6 * flight_of(segments)
    s.run(0.1)
    growth = [round_trip() for _ in range(14)]
    top = sock.info()['ssthresh'] / 1460
    steps = [b - a for a, b in zip(growth, growth[1:]) if a >= top - 1]
    assert len(steps) >= 5 and all(0 <= x <= 2 for x in steps), growth
    assert 0.5 <= sum(steps) / len(steps) <= 1.5, growth
    assert base <= flight_of(segments)
    # Timeouts.
    keep_full()
    p.segments()
    s.run(40)
    again = p.segments()
    assert len({f.seq for f in again}) == 1
    between = gaps([f.time for f in again])
    assert all(b == pytest.approx(2 * a, rel=0.02) for a, b in zip(between, between[1:])) and len(between) >= 3
    assert sock.info()['cwnd'] <= 2 * 1460
