# SPDX-License-Identifier: BSD-3-Clause
"""Sockets as a program that never blocks sees them: errno, readiness, options, at the interface on which the posix
library stands (stack/endpoint.h). Linux is the oracle."""
import errno

import pytest

from light import (ADDR, CONNECTED, ERROR, HANGUP, HOST, READABLE, READ_CLOSED, SHUT_BOTH, SHUT_READ, SHUT_WRITE, Stack,
                   WRITABLE, errno_of)
from packets import icmp_error, quote
from peer import M32, Peer, established, opened, syn_sent

SECOND = '192.0.2.10'


# ---- connect

# covers: sock-connect-nb
def test_connect_that_does_not_block():
    s = Stack()
    sock = s.stream()
    assert sock.call('connect', HOST, 80)['result'] == -errno.EINPROGRESS
    p = Peer(s, port=80)
    p.receive_syn()
    assert not sock.ready() & (WRITABLE | ERROR | HANGUP)
    p.send('SA')
    p.one('A')
    assert s.events_of(sock) & CONNECTED and sock.ready() & WRITABLE and sock.take_error() == 0


# covers: sock-connect-nb-fail sock-connect-refused sock-so-error
def test_connect_refused():
    s = Stack()
    p, sock, syn = syn_sent(s)
    p.send('RA', seq=0, ack=syn.seq + 1 & M32)
    assert sock.ready() & (WRITABLE | ERROR | HANGUP) == WRITABLE | ERROR | HANGUP
    assert sock.take_error() == errno.ECONNREFUSED
    assert sock.take_error() == 0
    assert not sock.ready() & ERROR


# covers: sock-connect-again
def test_connect_twice():
    s = Stack()
    p, sock, syn = syn_sent(s)
    assert errno_of(sock.connect, HOST, 80) == errno.EALREADY
    p.send('SA')
    p.one('A')
    first = errno_of(sock.connect, HOST, 80)
    assert first in (0, errno.EISCONN)
    assert errno_of(sock.connect, HOST, 80) == errno.EISCONN
    p.none()


# covers: sock-connect-unreach
@pytest.mark.parametrize('code,expected', [(0, errno.ENETUNREACH), (1, errno.EHOSTUNREACH)])
def test_unreachable_ends_an_attempt_at_once(code, expected):
    s = Stack()
    p, sock, syn = syn_sent(s)
    s.inject(icmp_error(3, code, quote(syn.frame)))
    assert sock.take_error() == expected
    s.run(130)
    p.none()


@pytest.mark.parametrize('code,expected', [(0, errno.ENETUNREACH), (1, errno.EHOSTUNREACH)])
def test_with_the_standard_profile_unreachable_is_told_at_the_end_of_an_attempt(code, expected):
    s = Stack(profile='standard')
    p, sock, syn = syn_sent(s)
    s.inject(icmp_error(3, code, quote(syn.frame)))
    assert not sock.take_error()
    s.run(400)
    assert sock.take_error() == expected


# covers: sock-connect-implicit sock-names
def test_names():
    s = Stack()
    sock = s.stream()
    assert errno_of(sock.peer) == errno.ENOTCONN
    sock.connect(HOST, 80)
    addr, port = sock.local()
    assert addr == ADDR and 1024 <= port
    p = Peer(s, port=80)
    p.accept()
    assert sock.local() == (ADDR, port) and sock.peer() == (HOST, 80)


# ---- bind

# covers: sock-bind-inuse
def test_bind_in_use():
    s = Stack(addresses=(ADDR + '/24', SECOND + '/24'))
    s.stream().bind(ADDR, 80)
    assert errno_of(s.stream().bind, ADDR, 80) == errno.EADDRINUSE
    assert errno_of(s.stream().bind, '0.0.0.0', 80) == errno.EADDRINUSE
    s.stream().bind(SECOND, 80)
    s.udp(80)
    assert errno_of(s.datagram().bind, ADDR, 80) == errno.EADDRINUSE


# covers: sock-bind-notavail sock-bind-twice sock-bind-zero
def test_bind_errors():
    s = Stack()
    assert errno_of(s.stream().bind, '192.0.2.77', 80) == errno.EADDRNOTAVAIL
    for sock in (s.stream(), s.datagram()):
        sock.bind(ADDR, 0)
        assert sock.local()[0] == ADDR and 32768 <= sock.local()[1] <= 60999
        assert errno_of(sock.bind, ADDR, 99) == errno.EINVAL


# covers: sock-reuseaddr-tw
def test_reuse_over_time_wait():
    s = Stack()
    listener = s.stream().set('REUSE_ADDR', 1).bind('0.0.0.0', 80).listen()
    p = Peer(s)
    p.connect()
    sock = listener.accept()
    sock.close()
    p.one('FA')
    p.send('FA')
    p.one('A')
    listener.close()
    assert p.state() == 'TIME_WAIT'
    assert errno_of(s.stream().bind, '0.0.0.0', 80) == errno.EADDRINUSE
    again = s.stream().set('REUSE_ADDR', 1).bind('0.0.0.0', 80).listen()
    q = Peer(s, port=40001)
    q.connect()
    again.accept()


# covers: sock-reuseaddr-listen
def test_no_two_listeners():
    s = Stack()
    s.stream().set('REUSE_ADDR', 1).bind('0.0.0.0', 80).listen()
    second = s.stream().set('REUSE_ADDR', 1)
    assert errno.EADDRINUSE in (errno_of(second.bind, '0.0.0.0', 80), errno_of(second.listen))


# covers: sock-reuseport-tcp
def test_reuseport_spreads():
    s = Stack()
    listeners = [s.stream().set('REUSE_PORT', 1).bind('0.0.0.0', 80).listen(256) for _ in range(4)]
    for i in range(200):
        Peer(s, port=20000 + i).connect()
    counts = []
    for listener in listeners:
        n = 0
        while not errno_of(listener.accept):
            n += 1
        counts.append(n)
    assert sum(counts) == 200 and min(counts) >= 25 and max(counts) <= 80, counts
    assert errno_of(s.stream().bind, '0.0.0.0', 80) == errno.EADDRINUSE


# ---- listen and accept

# covers: sock-listen-backlog
def test_the_accept_queue_is_bounded():
    s = Stack()
    listener = s.listener(80, backlog=3)
    peers = []
    for i in range(8):
        p = Peer(s, port=40000 + i)
        p.send('S')
        if p.segments():
            p.send('A')
        peers.append(p)
    ready = 0
    while not errno_of(listener.accept):
        ready += 1
    assert 3 <= ready <= 4
    s.run(20)                                    # the others come in by retransmission
    for p in peers:
        if p.segments() or p.irs is None:
            p.send('S', seq=p.isn)
            p.segments()
            p.seq = p.isn + 1
            p.send('A')
    assert not errno_of(listener.accept)


# covers: sock-accept-order sock-accept-again
def test_accept_in_order():
    s = Stack()
    listener = s.listener(80)
    for port in (40005, 40001, 40009):
        Peer(s, port=port).connect()
    got = [s.request('accept', listener.handle)['peer'] for _ in range(3)]
    assert got == [[HOST, 40005], [HOST, 40001], [HOST, 40009]]
    assert errno_of(listener.accept) == errno.EAGAIN and not listener.ready() & READABLE


# covers: sock-accept-inval
def test_accept_needs_a_listener():
    s = Stack()
    assert errno_of(s.stream().accept) == errno.EINVAL
    assert errno_of(s.udp(5000).accept) in (errno.EINVAL, errno.EOPNOTSUPP)


# covers: sock-accept-data
def test_data_and_fin_before_accept():
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    p.connect()
    p.send('A', b'early')
    p.send('FA')
    sock = listener.accept()
    assert sock.recv() == b'early' and sock.recv() == b''


# covers: sock-accept-inherit
def test_options_are_inherited():
    s = Stack()
    listener = s.stream()
    values = {'KEEPALIVE': 1, 'LINGER': 7, 'NODELAY': 1, 'KEEP_IDLE': 33, 'KEEP_INTERVAL': 4, 'KEEP_COUNT': 5,
              'TOS': 0x10, 'TTL': 44}
    for name, value in values.items():
        listener.set(name, value)
    listener.set('RECEIVE_BUFFER', 100000)
    listener.bind('0.0.0.0', 80).listen()
    Peer(s).connect()
    child = listener.accept()
    assert {name: child.get(name) for name in values} == values
    assert child.get('RECEIVE_BUFFER') == listener.get('RECEIVE_BUFFER')


# ---- receive and send

# covers: sock-recv-eof sock-recv-eagain sock-recv-notconn
def test_receiving():
    s = Stack()
    assert errno_of(s.stream().recv) == errno.ENOTCONN
    p, sock = established(s)
    assert errno_of(sock.recv) == errno.EAGAIN
    p.send('A', b'data')
    p.send('FA')
    assert sock.recv() == b'data'
    assert [sock.recv() for _ in range(3)] == [b'', b'', b'']


# covers: sock-send-partial
def test_partial_sends_make_an_exact_stream():
    s = Stack(tcp={'send_buffer_initial': 8192, 'send_buffer_max': 8192})
    p, sock = established(s, window=3000)
    data, at = bytes(i * 13 & 255 for i in range(50000)), 0
    while at < len(data):
        try:
            n = sock.send(data[at:at + 5000])
            assert 0 < n <= 5000
            at += n
        except OSError as e:
            assert e.errno == errno.EAGAIN and not sock.ready() & WRITABLE
            p.segments()
            p.send('A')
    for _ in range(20):
        p.segments()
        p.send('A')
    assert p.got == data


# covers: sock-send-epipe
def test_epipe():
    s = Stack()
    p, sock = established(s)
    sock.shutdown()
    assert errno_of(sock.send, b'x') == errno.EPIPE
    q, other = established(s, port=81)
    q.send('R')
    assert errno_of(other.send, b'x') == errno.ECONNRESET
    assert errno_of(other.send, b'x') == errno.EPIPE


# covers: sock-send-rst-errors
def test_errors_after_a_reset():
    s = Stack()
    p, sock = established(s)
    p.send('R')
    assert errno_of(sock.recv) == errno.ECONNRESET
    assert sock.recv() == b''
    assert errno_of(sock.send, b'x') == errno.EPIPE
    q, other = established(s, port=81)
    q.send('FA')
    q.send('R')
    assert errno_of(other.send, b'x') == errno.EPIPE


# covers: sock-cork sock-nodelay
def test_cork_and_nodelay():
    s = Stack()
    p, sock = established(s)
    sock.set('CORK', 1)
    sock.send(b'a' * 100)
    sock.send(b'b' * 100)
    p.none()
    sock.send(b'c' * 2000)
    assert [len(x.data) for x in p.segments()] == [1460]
    sock.set('CORK', 0)
    assert [len(x.data) for x in p.segments()] == [740]
    p.send('A')
    sock.set('CORK', 1)
    sock.send(b'd')
    s.run(0.19)
    p.none()
    s.run(0.02)
    assert p.one('A').data == b'd'
    sock.set('CORK', 0)
    sock.send(b'e')                                  # unacknowledged data: Nagle holds it
    held = p.segments()
    sock.set('NODELAY', 1)
    assert held + p.segments() and p.got.endswith(b'e')


# covers: sock-rcvbuf-window
def test_the_buffer_bounds_the_window():
    s = Stack()
    sock = s.stream().set('RECEIVE_BUFFER', 8192).connect(HOST, 80)
    p = Peer(s, port=80, wscale=0)
    syn = p.receive_syn()
    limit = sock.get('RECEIVE_BUFFER')
    assert syn.window <= limit < 65535
    p.send('SA')
    p.one('A')
    sent = 0
    for _ in range(40):
        p.send('A', b'x' * 1000)
        sent += 1000
        for x in p.segments():
            assert (x.ack - p.isn - 1 & M32) + (x.window << sock.info()['receive_scale']) <= limit
    got = 0
    while not errno_of(lambda: sock.recv(1)) and got <= limit:
        got += 1 + len(sock.recv())
    assert got <= limit < sent


# ---- shutdown and close

# covers: sock-shut-wr
def test_shut_write():
    s = Stack()
    p, sock = established(s)
    sock.send(b'queued')
    sock.shutdown(SHUT_WRITE)
    found = p.segments()
    assert b''.join(x.data for x in found) == b'queued' and 'F' in found[-1].flags
    sock.shutdown(SHUT_WRITE)
    p.none()
    p.send('A', b'still read')
    assert sock.recv() == b'still read'


# covers: sock-shut-rdwr
def test_shut_both():
    s = Stack()
    p, sock = established(s)
    sock.send(b'queued')
    sock.shutdown(SHUT_BOTH)
    assert 'F' in p.segments()[-1].flags
    assert sock.recv() == b'' and errno_of(sock.send, b'x') == errno.EPIPE
    assert sock.ready() & (READABLE | READ_CLOSED) == READABLE | READ_CLOSED


def test_shut_read():
    s = Stack()
    p, sock = established(s)
    sock.shutdown(SHUT_READ)
    assert sock.recv() == b''
    p.none()
    sock.send(b'can still write')
    assert p.one('A').data == b'can still write'


# covers: sock-shut-notconn
def test_shutdown_unconnected():
    s = Stack()
    assert errno_of(s.stream().shutdown) == errno.ENOTCONN
    assert errno_of(s.datagram().shutdown) == errno.ENOTCONN


# covers: sock-close-bg
def test_close_in_the_background():
    s = Stack()
    p, sock = established(s)
    sock.send(b'x' * 3000)
    sock.close()
    p.segments()
    s.run(1)                                         # all of it was lost
    again = p.segments()
    assert again and again[0].seq == p.irs + 1 & M32
    for _ in range(10):
        p.send('A')
        s.run(1)
        p.segments()
    assert p.got == b'x' * 3000 and p.state() == 'FIN_WAIT_2'


# covers: sock-close-unread
def test_close_with_unread_data():
    s = Stack()
    p, sock = established(s, window=0)
    sock.send(b'never sent')
    p.send('A', b'unread')
    p.segments()
    sock.close()
    assert 'R' in p.one().flags
    s.run(5)
    p.none()


# covers: sock-linger-zero
def test_linger_zero():
    s = Stack()
    p, sock = established(s)
    sock.set('LINGER', 0)
    sock.close()
    x = p.one()
    assert 'R' in x.flags and 'F' not in x.flags
    assert s.memory()['time_wait'] == 0 and p.state() == 'CLOSED'


# covers: sock-orphan-fw2
def test_an_orphan_leaves_fin_wait_2():
    s = Stack()
    p, sock = established(s)
    sock.close()
    p.one('FA')
    p.send('A')
    s.run(59)
    assert p.state() == 'FIN_WAIT_2'
    s.run(2)
    assert p.state() in ('CLOSED', 'TIME_WAIT') and s.memory()['connections'] == 0
    q, other = established(s, port=81)
    other.set('LINGER2', 5)
    other.close()
    q.one('FA')
    q.send('A')
    s.run(5.1)
    assert q.state() != 'FIN_WAIT_2'
    r, third = established(s, port=82)
    third.close()
    r.one('FA')
    r.send('A')
    r.send('A', b'for an orphan')
    assert 'R' in r.one().flags


# ---- readiness

# covers: sock-poll-states
def test_readiness_by_state():
    s = Stack()
    fresh = s.stream()
    assert fresh.ready() == WRITABLE | HANGUP
    listener = s.listener(80)
    assert listener.ready() == 0
    p = Peer(s)
    p.connect()
    assert listener.ready() == READABLE
    sock = listener.accept()
    assert sock.ready() == WRITABLE
    p.send('A', b'x')
    assert sock.ready() == WRITABLE | READABLE
    sock.recv()
    p.send('FA')
    assert sock.ready() == WRITABLE | READABLE | READ_CLOSED
    sock.shutdown()
    assert sock.ready() & HANGUP
    q, other = established(s, port=81)
    q.send('R')
    assert other.ready() & (ERROR | HANGUP | READABLE | WRITABLE) == ERROR | HANGUP | READABLE | WRITABLE


# ---- options

# covers: sock-keepalive-opts
def test_keepalive_options():
    s = Stack()
    p, sock = established(s)
    sock.set('KEEPALIVE', 1).set('KEEP_IDLE', 10).set('KEEP_INTERVAL', 2).set('KEEP_COUNT', 3)
    start = s.now
    s.run(30)
    found = p.segments()
    assert [round(x.time - start, 2) for x in found] == [10, 12, 14, 16]
    assert 'R' in found[-1].flags and sock.take_error() == errno.ETIMEDOUT
    for name, wrong in (('KEEP_IDLE', 0), ('KEEP_IDLE', 32768), ('KEEP_INTERVAL', 0), ('KEEP_INTERVAL', 32768),
                        ('KEEP_COUNT', 0), ('KEEP_COUNT', 128)):
        assert errno_of(s.stream().set, name, wrong) == errno.EINVAL, name


# covers: sock-user-timeout
def test_user_timeout():
    s = Stack()
    p, sock = established(s)
    sock.set('USER_TIMEOUT', 5000)
    sock.send(b'never acknowledged')
    start = s.now
    s.run(4.9)
    assert sock.take_error() == 0
    s.run(3)
    assert sock.take_error() == errno.ETIMEDOUT
    q, other = established(s, port=81)
    other.send(b'never acknowledged')
    s.run(100)
    assert other.take_error() == 0 and s.now > start + 100


# covers: sock-ip-tos-ttl
def test_ttl_values():
    s = Stack()
    for sock in (s.stream(), s.datagram()):
        for good in (1, 64, 255, -1):
            sock.set('TTL', good)
        for bad in (0, 256, -2):
            assert errno_of(sock.set, 'TTL', bad) == errno.EINVAL


def test_unknown_options():
    s = Stack()
    for sock in (s.stream(), s.datagram()):
        for option in (0, 60, 99, 1 << 30, -1):
            assert sock.call('set', option, 1)['result'] == -errno.ENOPROTOOPT
            assert sock.call('get', option)['result'] == -errno.ENOPROTOOPT


def test_opened_and_established_are_alike():
    s = Stack()
    for make in (established, opened):
        p, sock = make(s, port=90 if make is opened else 80)
        sock.send(b'ping')
        assert p.one('A').data == b'ping'
        p.send('A', b'pong')
        assert sock.recv() == b'pong'
