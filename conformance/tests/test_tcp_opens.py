# SPDX-License-Identifier: BSD-3-Clause
"""Options and calls about the beginning and the end of connections whose effect is seen on the wire."""
import errno

import pytest

from light import HANGUP, READABLE, SHUT_READ, Stack
from peer import Peer
from tcpkit import acked, available, gaps, quiet_segments, state, time_wait


def refusal(call):
    try:
        call()
    except OSError as e:
        return e.errno
    return 0


# covers: sock-syncnt
@pytest.mark.parametrize('count', [1, 2, 5, 7])
def test_so_many_syns_are_repeated(count):
    s = Stack()
    sock = s.stream().set('SYN_COUNT', count)
    p = Peer(s, port=7000)
    sock.connect(p.addr, 7000)
    times = []
    while not sock.ready() & HANGUP:
        times += [f.time for f in s.sent() if f.raw[23] == 6]
        s.run(1)
        assert s.now < 1000
    assert [round(g) for g in gaps(times)] == [min(2 ** i, 120) for i in range(count)]
    assert sock.take_error() == errno.ETIMEDOUT
    assert s.stream().get('SYN_COUNT') == 6                     # the default, and what it means
    for bad in (0, 128, -1):
        assert refusal(lambda: s.stream().set('SYN_COUNT', bad)) == errno.EINVAL


def deferring(seconds, **settings):
    s = Stack(**settings)
    listener = s.listener()
    listener.set('DEFER_ACCEPT', seconds)
    p = Peer(s)
    p.send('S')
    p.one('SA')
    p.send('A')
    p.none()
    assert refusal(listener.accept) == errno.EAGAIN and not listener.ready() & READABLE
    return s, listener, p


# covers: sock-defer-accept
@pytest.mark.parametrize('later', [0, 2, 9])
def test_a_deferred_connection_is_there_with_its_data(later):
    s, listener, p = deferring(10)
    s.run(later)
    p.segments()
    assert refusal(listener.accept) == errno.EAGAIN
    p.send('PA', b'request')
    assert available(listener.accept()) == b'request'
    assert acked(p) == p.seq


# covers: sock-defer-accept
@pytest.mark.parametrize('seconds', [3, 10])
def test_after_its_time_the_next_ack_hands_it_over(seconds):
    s, listener, p = deferring(seconds)
    began = s.now
    while not (found := p.segments()):
        s.run(0.5)
        assert s.now - began < 40
    p.check(found[0], 'SA')                                     # the timer went on: the SYN-ACK asks again
    assert s.now - began >= seconds
    assert refusal(listener.accept) == errno.EAGAIN
    p.send('A')
    assert state(p) == 'ESTABLISHED'
    assert available(listener.accept()) == b''


# covers: sock-defer-accept
def test_a_deferred_connection_that_says_nothing_is_dropped():
    s, listener, p = deferring(3)
    s.run(130)
    assert [f for f in p.segments() if 'S' in f.flags]
    assert s.memory()['half_open'] == 0 and refusal(listener.accept) == errno.EAGAIN
    p.send('PA', b'too late')
    p.one('R')


# covers: sock-accept-rst
def test_a_connection_that_was_reset_is_accepted_and_then_fails():
    s = Stack()
    listener = s.listener()
    p = Peer(s)
    p.connect()
    p.send('PA', b'lost')
    p.segments()
    p.send('R')
    assert listener.ready() & READABLE
    sock = listener.accept()
    assert refusal(sock.recv) == errno.ECONNRESET
    assert sock.recv() == b''
    q = Peer(s, port=41000)
    q.connect()
    listener.accept()                                           # the queue goes on


# covers: sock-listen-shutdown
def test_a_listener_that_is_shut_down_listens_no_more():
    s = Stack()
    listener = s.listener()
    half, queued, late = (Peer(s, port=41000 + i) for i in range(3))
    half.send('S')
    half.one('SA')
    queued.connect()
    listener.shutdown(SHUT_READ)
    assert refusal(listener.accept) == errno.EINVAL and listener.ready() & HANGUP
    queued.one('RA', seq=queued.ack)
    late.send('S')
    late.one('RA', ack=late.seq)
    half.send('A')
    half.one('R', seq=half.ack)
    listener.listen(4)
    again = Peer(s, port=42000)
    again.connect()
    listener.accept()


# covers: sock-close-listen-q
@pytest.mark.parametrize('data', [b'', b'unread'])
def test_closing_a_listener_resets_those_in_its_queue(data):
    s = Stack()
    listener = s.listener()
    peers = [Peer(s, port=41000 + i) for i in range(3)]
    for p in peers:
        p.connect()
    kept = listener.accept()
    for p in peers:
        if data:
            p.send('PA', data)
            acked(p)
    listener.close()
    for p in peers[1:]:
        p.one('RA', seq=p.ack)
    peers[0].none()
    peers[0].send('PA', b'mine')
    assert available(kept) == data + b'mine'


@pytest.mark.parametrize('seconds,lasts', [(3, 3), (20, 20), (0, 60), (-1, 0), (500, 120)])
def test_an_orphan_waits_so_long_for_the_peers_fin(seconds, lasts):
    """TCP_LINGER2 (tcp(7)); the default is tcp_fin_timeout."""
    s = Stack()
    p = Peer(s)
    listener = s.listener()
    p.connect()
    sock = listener.accept().set('LINGER2', seconds)
    sock.close()
    p.one('FA')
    p.send('A')
    if lasts:
        s.run(lasts - 0.5)
        assert state(p) == 'FIN_WAIT_2'
    s.run(1)
    assert state(p) is None
    p.send('A')
    p.one('R')


# covers: 1337-2-assassin
@pytest.mark.parametrize('at', [0, 1, -1, 1000])
@pytest.mark.parametrize('old', [False, True])
def test_a_reset_does_not_end_time_wait(at, old):
    s = Stack()
    p, sock = time_wait(s)
    sock.close()
    p.listener.close()
    s.run(10)
    if old:
        # RFC 1337: an old duplicate draws our ACK, and that the peer's reset.
        p.send('PA', b'old', seq=p.seq - 100)
        ack = p.one('A', ack=p.seq)
        p.send('R', seq=ack.ack + at)
    else:
        p.send('R', seq=p.seq + at)
    p.none()
    s.run(45)
    assert s.memory()['time_wait'] == 1
    p.send('FA', seq=p.seq - 1)
    p.one('A', ack=p.seq)
    s.run(61)
    assert s.memory()['time_wait'] == 0


# covers: 4987-3.4-recycle
def test_an_established_connection_is_never_dropped_for_a_syn():
    s = Stack(tcp={'syn_cookies': 0, 'max_half_open': 32})
    listener = s.listener(80, backlog=64)
    p = Peer(s)
    p.connect()
    for i in range(200):
        Peer(s, port=1024 + i).send('S')
    s.frames.clear()
    p.send('PA', b'still here')
    assert available(listener.accept()) == b'still here'
    assert quiet_segments(p)[-1].ack == p.seq
