# SPDX-License-Identifier: BSD-3-Clause
"""Datagram sockets as a program that never blocks sees them. Linux is the oracle."""
import errno

from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from light import ADDR, HOST, READABLE, Stack, errno_of
from packets import icmp_error, quote, udp

SECOND = '192.0.2.10'


# covers: sock-broadcast
def test_broadcast_needs_the_option():
    s = Stack()
    sock = s.udp(5000)
    for addr in ('255.255.255.255', '192.0.2.255'):
        assert errno_of(sock.sendto, b'x', addr, 9) == errno.EACCES
        assert errno_of(sock.connect, addr, 9) == errno.EACCES
    s.none()
    sock.set('BROADCAST', 1)
    sock.sendto(b'x', '192.0.2.255', 9)
    s.one(UDP)


# covers: sock-udp-connrefused sock-udp-unconn-err
def test_refused_datagrams():
    s = Stack()
    connected, loose = s.udp(5000), s.udp(5001)
    connected.connect(HOST, 9)
    connected.send(b'x')
    s.inject(icmp_error(3, 3, quote(s.one(UDP))))
    loose.sendto(b'x', HOST, 9)
    s.inject(icmp_error(3, 3, quote(s.one(UDP))))
    assert errno_of(connected.send, b'y') == errno.ECONNREFUSED
    assert errno_of(connected.send, b'y') == 0
    assert errno_of(loose.sendto, b'y', HOST, 9) == 0 and loose.take_error() == 0


# covers: sock-udp-connect-filter
def test_a_connected_datagram_socket():
    s = Stack()
    sock = s.udp(5000)
    assert errno_of(sock.send, b'x') == errno.EDESTADDRREQ
    sock.connect(HOST, 4000)
    s.inject(udp(b'stranger', src='192.0.2.3'), udp(b'peer'))
    assert sock.recvfrom()[0] == b'peer' and errno_of(sock.recvfrom) == errno.EAGAIN
    sock.connect('192.0.2.3', 4000)
    s.inject(udp(b'old'), udp(b'new', src='192.0.2.3'))
    assert sock.recvfrom()[0] == b'new' and errno_of(sock.recvfrom) == errno.EAGAIN
    sock.dissolve()
    s.inject(udp(b'anybody'))
    assert sock.recvfrom()[0] == b'anybody'
    assert errno_of(sock.peer) == errno.ENOTCONN


# covers: sock-udp-trunc
def test_a_datagram_that_does_not_fit_is_cut():
    s = Stack()
    sock = s.udp(5000)
    s.inject(udp(b'0123456789'), udp(b'next'))
    reply = sock.checked('recvfrom', 4)
    assert bytes.fromhex(reply['data']) == b'0123' and reply['result'] == 10
    assert sock.recvfrom()[0] == b'next'


# covers: sock-udp-demux
def test_the_best_match():
    s = Stack(addresses=(ADDR + '/24', SECOND + '/24'))
    wild, bound, connected = (s.datagram().set('REUSE_ADDR', 1) for _ in range(3))
    wild.bind('0.0.0.0', 5000)
    bound.bind(ADDR, 5000)
    connected.bind(ADDR, 5000).connect(HOST, 4000)
    s.inject(udp(b'c'), udp(b'b', sport=4001), udp(b'w', dst=SECOND))
    assert [x.recvfrom()[0] for x in (connected, bound, wild)] == [b'c', b'b', b'w']


# covers: sock-udp-overflow
def test_overflow_keeps_the_older():
    s = Stack()
    sock = s.udp(5000).set('RECEIVE_BUFFER', 4096)
    s.inject(*[IP(src=HOST, dst=ADDR) / UDP(sport=1, dport=5000) / Raw(b'%03d' % i * 50) for i in range(200)])
    got = []
    while sock.ready() & READABLE:
        got.append(sock.recvfrom()[0])
    assert got == [b'%03d' % i * 50 for i in range(len(got))] and 0 < len(got) < 200
    assert s.counter('UDP_BUFFER') == 200 - len(got)
