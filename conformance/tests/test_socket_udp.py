# SPDX-License-Identifier: BSD-3-Clause
"""Datagram sockets as a program that never blocks sees them. Linux is the oracle."""
import errno

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from light import ADDR, BROADCAST, HOST, HOST_MAC, READABLE, Stack, errno_of
from packets import ether, icmp_error, quote, udp

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


# covers: sock-udp-sendto-conn
def test_sendto_on_a_connected_socket_goes_where_it_says():
    s = Stack()
    s.neighbour('192.0.2.3', HOST_MAC)
    sock = s.udp(5000).connect(HOST, 4000)
    sock.sendto(b'elsewhere', '192.0.2.3', 9)
    sock.send(b'peer')
    first, second = s.sent(UDP)
    assert (first[IP].dst, first[UDP].dport, first[Raw].load) == ('192.0.2.3', 9, b'elsewhere')
    assert (second[IP].dst, second[UDP].dport, second[Raw].load) == (HOST, 4000, b'peer')
    assert sock.peer() == (HOST, 4000)


# covers: sock-udp-emsgsize
def test_what_is_too_long_is_refused_whole():
    s = Stack()
    sock = s.udp(5000)
    assert errno_of(sock.sendto, bytes(65508), HOST, 9) == errno.EMSGSIZE
    sock.set('MTU_DISCOVER', 2)                     # IP_PMTUDISC_DO
    assert errno_of(sock.sendto, bytes(1473), HOST, 9) == errno.EMSGSIZE
    s.none()
    sock.sendto(bytes(1472), HOST, 9)
    sent = s.one(UDP)
    assert sent[IP].flags == 'DF'
    s.inject(icmp_error(3, 4, quote(sent), extra=1000))
    sock.take_error()
    assert errno_of(sock.sendto, bytes(973), HOST, 9) == errno.EMSGSIZE
    s.none()
    sock.sendto(bytes(972), HOST, 9)
    s.one(UDP)


# covers: sock-udp-badck-poll
def test_a_bad_checksum_makes_nothing_readable():
    s = Stack()
    for sock in (s.udp(5000), s.shared_datagram().bind('0.0.0.0', 5001)):
        port = sock.local()[1]
        s.inject(udp(b'bad', dport=port, chksum=0x1234))
        assert not sock.ready() & READABLE and not s.events_of(sock) & READABLE
        s.inject(udp(b'good', dport=port), udp(b'worse', dport=port, chksum=0x4321))
        assert sock.ready() & READABLE
    assert s.counter('UDP_CHECKSUM') == 4


# covers: sock-reuseport-udp
def test_flows_are_spread_and_each_stays_with_one_socket():
    s = Stack()
    socks = [s.datagram().set('REUSE_PORT', 1).bind('0.0.0.0', 5000) for _ in range(4)]
    flows = [(src, sport) for src in (HOST, '192.0.2.3', '192.0.2.4') for sport in range(2000, 2100)]
    served = {flow: set() for flow in flows}
    for turn in range(3):
        for src, sport in flows:
            s.inject(udp(b'%d' % turn, src=src, sport=sport))
            got = [i for i, sock in enumerate(socks) if sock.ready() & READABLE]
            assert len(got) == 1
            socks[got[0]].recvfrom()
            served[src, sport].add(got[0])
    assert all(len(who) == 1 for who in served.values())
    shares = [sum(i in who for who in served.values()) for i in range(4)]
    assert min(shares) > 40 and max(shares) < 115, shares        # of 300, evenly by chance: 75 each, deviation 7.5


# covers: sock-reuseport-all
@pytest.mark.parametrize('kind', ['datagram', 'stream'])
def test_all_who_share_a_port_must_say_so_before(kind):
    s = Stack()

    def opened(reuse):
        sock = getattr(s, kind)()
        return sock.set('REUSE_PORT', 1) if reuse else sock

    def held(sock):
        return sock.listen(5) if kind == 'stream' else sock

    held(opened(False).bind('0.0.0.0', 5000))
    assert errno_of(opened(True).bind, '0.0.0.0', 5000) == errno.EADDRINUSE
    held(opened(True).bind('0.0.0.0', 5001))
    assert errno_of(opened(False).bind, '0.0.0.0', 5001) == errno.EADDRINUSE
    held(opened(True).bind('0.0.0.0', 5001))


# covers: sock-udp-mcast-all
@pytest.mark.parametrize('to', ['255.255.255.255', '192.0.2.255', '224.0.0.1'])
def test_every_socket_gets_its_copy_of_what_goes_to_many(to):
    s = Stack()
    wild, other, many = (s.datagram().set('REUSE_ADDR', 1) for _ in range(3))
    wild.bind('0.0.0.0', 5000)
    other.bind('0.0.0.0', 5000)
    many.bind(to, 5000)
    bystander = s.datagram().set('REUSE_ADDR', 1).bind(ADDR, 5000)
    s.inject(ether(udp(b'all', dst=to), dst='01:00:5e:00:00:01' if to == '224.0.0.1' else BROADCAST))
    for sock in (wild, other, many):
        assert sock.recvfrom()[0] == b'all' and errno_of(sock.recvfrom) == errno.EAGAIN
    assert errno_of(bystander.recvfrom) == errno.EAGAIN


# covers: 1112-7-allhosts
def test_all_hosts_is_heard_without_joining_and_never_reported():
    s = Stack()
    sock = s.udp(5000)
    s.inject(ether(udp(b'hosts', dst='224.0.0.1'), dst='01:00:5e:00:00:01'))
    assert sock.recvfrom()[0] == b'hosts'
    for query in (bytes.fromhex('1164ee9b00000000'), bytes.fromhex('1164ec1e0000000002 7d0000'.replace(' ', ''))):
        s.inject(ether(IP(src=HOST, dst='224.0.0.1', ttl=1, proto=2) / Raw(query), dst='01:00:5e:00:00:01'))
    s.run(30)
    s.none()
