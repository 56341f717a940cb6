# SPDX-License-Identifier: BSD-3-Clause
"""TCP: keep-alives. RFC 9293 3.8.4; SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT."""
import errno

import pytest

from light import ERROR, HANGUP, Stack
from peer import established, opened
from tcpkit import PROFILES, available, gone, state

NEAR = dict(abs=0.02)


def kept(s, idle=None, interval=None, count=None, port=80, **peer):
    p, sock = established(s, port=port, **peer)
    for option, value in (('KEEP_IDLE', idle), ('KEEP_INTERVAL', interval), ('KEEP_COUNT', count)):
        if value is not None:
            sock.set(option, value)
    return p, sock.set('KEEPALIVE', 1)


# covers: MUST-25
@pytest.mark.parametrize('profile', PROFILES)
def test_off_by_default(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    q, other = opened(s, port=7000)
    s.run(24 * 3600)
    s.none()
    assert state(p) == state(q) == 'ESTABLISHED'
    assert sock.get('KEEPALIVE') == 0


# covers: MAY-5 SHLD-12 MUST-28 linux-keepalive
@pytest.mark.parametrize('profile', PROFILES)
def test_the_first_probe_after_two_hours(profile):
    s = Stack(profile=profile)
    p, sock = kept(s)
    start = s.now
    s.until(start + 7199.9)
    p.none()
    s.until(start + 7201)
    probe = p.one('A', seq=p.ack - 1, data=b'', ack=p.seq)
    if profile == 'linux':
        assert probe.time - start == pytest.approx(7200, **NEAR)


# covers: linux-keepalive
def test_linux_probes_nine_times():
    s = Stack(profile='linux')
    p, sock = kept(s)
    start = s.now
    s.until(start + 7200 + 75 * 9 - 0.1)
    assert not sock.ready() & (HANGUP | ERROR)
    probes = [f.time - start for f in p.segments()]
    assert probes == pytest.approx([7200 + 75 * i for i in range(9)], **NEAR)
    s.run(0.2)
    assert sock.ready() & HANGUP and sock.take_error() == errno.ETIMEDOUT


# covers: MUST-27
@pytest.mark.parametrize('idle', [1, 10, 600, 20000])
def test_the_interval_can_be_set(idle):
    s = Stack()
    p, sock = kept(s, idle=idle)
    s.run(0.5)
    p.send('PA', b'data')
    available(sock)
    start = s.now
    s.run(idle - 0.1)
    assert not [f for f in p.segments() if f.seq != p.ack]
    s.run(0.2)
    probe = p.one('A', seq=p.ack - 1)
    assert probe.time - start == pytest.approx(idle, **NEAR)
    assert sock.get('KEEP_IDLE') == idle


# covers: MUST-24
def test_switched_by_connection_at_any_time():
    s = Stack()
    (p, one), (q, other) = kept(s, idle=10), kept(s, idle=10, port=90)
    s.run(5)
    one.set('KEEPALIVE', 0)
    s.run(100)
    p.none()
    assert len(q.segments()) >= 2
    q.send('A')
    one.set('KEEPALIVE', 1)
    other.set('KEEPALIVE', 0)
    s.run(12)
    assert p.segments()
    q.none()
    p.send('A')
    s.run(9)
    p.none()
    s.run(2)
    p.one('A', seq=p.ack - 1)


# covers: MUST-26
def test_only_when_idle():
    s = Stack()
    p, sock = kept(s, idle=10, interval=10)
    # Data or a bare ACK from the peer begins the interval anew.
    for what in ('data', 'ack', 'answer'):
        for _ in range(4):
            s.run(7)
            if what == 'data':
                p.send('PA', b'data')
                available(sock)
            elif what == 'ack':
                p.send('A')
            else:
                sock.send(b'x')
                p.segments()
                p.send('A')
        s.run(0.5)
        found = p.segments()
        assert not any(f.seq == p.ack - 1 for f in found), what
        s.run(9.3)
        p.none()
        s.run(0.5)
        p.one('A', seq=p.ack - 1)
        p.send('A')
    # With something outstanding the retransmission timer rules.
    sock.send(b'outstanding')
    first = p.one('A')
    s.run(60)
    found = p.segments()
    assert found and all(f.seq == first.seq and f.data == b'outstanding' for f in found)


# covers: MUST-29
@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('count', [2, 5])
def test_one_lost_probe_is_not_death(count, profile):
    s = Stack(profile=profile)
    p, sock = kept(s, idle=10, interval=3, count=count)
    for _ in range(3):                       # all but the last are lost, time and again
        start = s.now
        s.run(10 + 3 * (count - 1) + 0.5)
        probes = p.segments()
        assert [f.time - start for f in probes] == pytest.approx([10 + 3 * i for i in range(count)], **NEAR)
        assert state(p) == 'ESTABLISHED'
        p.send('A')
    start = s.now
    s.run(10 + 3 * count - 0.1)
    assert len(p.segments()) == count and not sock.ready() & HANGUP
    s.run(0.2)
    assert sock.ready() & HANGUP and sock.take_error() == errno.ETIMEDOUT and gone(p)


# covers: MUST-29
@pytest.mark.parametrize('profile', PROFILES)
def test_one_lost_probe_of_the_defaults_is_not_death(profile):
    s = Stack(profile=profile)
    p, sock = kept(s)
    s.run(7200 + 74)
    p.one('A', seq=p.ack - 1)                # is lost
    s.run(2)
    p.one('A', seq=p.ack - 1)
    p.send('A')
    s.run(7100)
    assert state(p) == 'ESTABLISHED'


# covers: SHLD-12
def test_a_probe_of_a_dead_peer_is_answered_by_its_reset():
    s = Stack()
    p, sock = kept(s, idle=10)
    s.run(11)
    probe = p.one('A', seq=p.ack - 1, data=b'')
    p.send('R', seq=probe.ack)
    assert sock.ready() & HANGUP and sock.take_error() == errno.ECONNRESET
