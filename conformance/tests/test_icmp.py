# SPDX-License-Identifier: BSD-3-Clause
"""ICMP: RFC 792, RFC 1122 3.2.2, RFC 1812 4.3.2 (length, rate), RFC 6633."""
import errno
import itertools

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from light import (ADDR, BROADCAST, ERROR, HOST, HOST_MAC, READABLE, REMOTE, ROUTER, ROUTER_MAC, Stack)
from packets import echo, ether, fragment, icmp_error, quote, udp, with_checksum
from peer import Peer, established, opened


def closed_port(data=b'', **fields):
    return udp(data, dport=7777, **fields)


def errors(s):
    return [(f[ICMP].type, f[ICMP].code) for f in s.sent(ICMP)]


# covers: 1122-3.2.2-unknown
def test_unknown_types_are_dropped():
    s = Stack()
    for kind in (1, 2, 7, 19, 40, 41, 200, 255):
        s.inject(IP(src=HOST, dst=ADDR, proto=1) / Raw(with_checksum(bytes([kind, 0, 0, 0]) + b'x' * 60)))
    s.run(1)
    s.none()
    s.inject(echo())
    s.one(ICMP)


# covers: 1122-3.2.2-cksum
def test_checksum_and_length_are_verified():
    s = Stack()
    message = bytes(ICMP(id=1, seq=2) / Raw(b'ping!'))
    for bit in range(len(message) * 8):
        flipped = bytearray(message)
        flipped[bit // 8] ^= 1 << bit % 8
        s.inject(IP(src=HOST, dst=ADDR, proto=1) / Raw(bytes(flipped)))
    for n in range(0, 8):
        s.inject(IP(src=HOST, dst=ADDR, proto=1) / Raw(with_checksum(b'\x08' + bytes(7))[:n] if n < 4
                                                       else with_checksum(b'\x08' + bytes(n - 1))))
    s.none()
    s.inject(IP(src=HOST, dst=ADDR, proto=1) / Raw(message))
    s.one(ICMP)
    assert s.oracle.seen['icmp'] == 1


# covers: 1122-3.2.2-cksum
def test_an_error_with_a_bad_checksum_is_not_believed():
    s = Stack()
    sock = s.udp(5000)
    sock.connect(HOST, 9)
    sock.send(b'x')
    good = bytes(icmp_error(3, 3, quote(s.one(UDP))).payload)
    for bad in (good[:2] + bytes([good[2] ^ 1]) + good[3:], good[:-1] + bytes([good[-1] ^ 8])):
        s.inject(IP(src=HOST, dst=ADDR, proto=1) / Raw(bad))
    assert sock.take_error() == 0
    s.inject(IP(src=HOST, dst=ADDR, proto=1) / Raw(good))
    assert sock.take_error() == errno.ECONNREFUSED


# covers: 1122-3.2.2-quote 1122-3.2.2.1-port 1812-4.3.2.3-size 792-ttl
@pytest.mark.parametrize('size', [0, 1, 8, 100, 500, 520, 548, 549, 1400, 1472])
def test_an_error_quotes_the_packet_as_received(size):
    s = Stack()
    packet = closed_port(bytes(i & 255 for i in range(size)), ttl=17, tos=0x28, id=0xbeef)
    s.inject(packet)
    error = s.one(ICMP)
    assert (error[ICMP].type, error[ICMP].code) == (3, 3)
    assert (error[IP].src, error[IP].dst) == (ADDR, HOST)
    quoted, received = error.raw[42:14 + error[IP].len], bytes(packet)
    assert quoted == received[:len(quoted)]
    assert len(quoted) == min(len(received), 576 - 28)


# covers: 1122-3.2.2-quote
def test_options_of_the_packet_are_quoted_too():
    s = Stack()
    packet = IP(src=HOST, dst=ADDR, options=b'\1\1\1\0\1\1\1\0') / UDP(sport=1, dport=7777) / Raw(b'opt')
    s.inject(packet)
    error = s.one(ICMP)
    assert error.raw[42:14 + error[IP].len] == bytes(packet)


# covers: 1122-3.2.2-demux
def test_an_error_reaches_the_matching_socket_only():
    s = Stack()
    first, second, third = s.udp(5000), s.udp(5001), s.udp(5002)
    first.connect(HOST, 9)
    second.connect(HOST, 9)
    third.connect('192.0.2.3', 9)
    s.neighbour('192.0.2.3', '02:00:00:00:00:03')
    first.send(b'x')
    sent = s.one(UDP)
    ip = bytearray(quote(sent))
    ip[9] = 6                                    # the same ports, but quoted as TCP
    s.inject(icmp_error(3, 3, bytes(ip)))
    ip[9] = 132
    s.inject(icmp_error(3, 3, bytes(ip)))
    for sock in (first, second, third):
        assert sock.take_error() == 0
    s.inject(icmp_error(3, 3, quote(sent)))
    assert first.take_error() == errno.ECONNREFUSED
    assert second.take_error() == third.take_error() == 0
    assert not (second.ready() | third.ready()) & ERROR


# covers: 1122-3.2.2-demux
def test_a_quote_that_is_not_ours_is_ignored():
    s = Stack()
    sock = s.udp(5000)
    sock.connect(HOST, 9)
    sock.send(b'x')
    good = quote(s.one(UDP))
    foreign = bytearray(good)
    foreign[12:16] = bytes([192, 0, 2, 99])      # somebody else's packet
    for quoted in (bytes(foreign), good[:20], good[:27], good[:10], b'', b'\x4f' + good[1:],
                   b'\x65' + good[1:], good[:6] + b'\x20\x10' + good[8:]):
        s.inject(icmp_error(3, 3, quoted))
        assert sock.take_error() == 0, quoted
    s.inject(icmp_error(3, 3, good))
    assert sock.take_error() == errno.ECONNREFUSED


# covers: 1122-3.2.2-noerr-err
def test_no_error_about_an_error():
    s = Stack()
    quoted = bytes(IP(src=ADDR, dst=HOST) / UDP(sport=7777, dport=8888) / Raw(b'x' * 40))
    for kind, code in ((3, 0), (3, 3), (3, 15), (3, 99), (4, 0), (5, 0), (11, 0), (11, 1), (12, 0)):
        s.inject(icmp_error(kind, code, quoted))
        s.inject(icmp_error(kind, code, quoted[:20]))
        # Its first fragment only: at the timeout there is nothing to be said either.
        body = bytes(icmp_error(kind, code, quoted).payload)
        s.inject(fragment(body[:56], 0, True, ident=kind * 100 + code, proto=1))
    s.run(200)
    s.none()


# covers: 1122-3.2.2-noerr-bcast 1122-4.1.3.1-port
def test_no_error_about_a_broadcast_or_multicast():
    s = Stack()
    for dst, mac in (('255.255.255.255', BROADCAST), ('192.0.2.255', BROADCAST),
                     ('224.0.0.1', '01:00:5e:00:00:01'), (ADDR, BROADCAST), (ADDR, '01:00:5e:00:00:01')):
        s.inject(ether(closed_port(b'x', dst=dst), dst=mac),
                 ether(IP(src=HOST, dst=dst, proto=253) / Raw(b'x'), dst=mac),
                 ether(fragment(b'x' * 64, 0, True, dst=dst, ident=1), dst=mac))
    s.run(200)
    s.none()
    s.inject(closed_port(b'x'))
    assert errors(s) == [(3, 3)]


# covers: 1122-3.2.2-noerr-frag
def test_no_error_about_a_later_fragment():
    s = Stack()
    s.inject(fragment(b'x' * 64, 64, True, ident=1, proto=253), fragment(b'x' * 64, 128, False, ident=1, proto=253),
             fragment(b'x' * 64, 64, False, ident=2, proto=17))
    s.run(200)
    s.none()


# covers: 1122-3.2.2.1-port 1122-4.1.3.1-port
def test_port_unreachable():
    s = Stack()
    s.udp(5000)
    s.inject(closed_port(b'nobody'))
    assert errors(s) == [(3, 3)]
    s.inject(udp(b'somebody', dport=5000))
    s.none()


# covers: 1122-3.2.2.1-proto
def test_protocol_unreachable():
    s = Stack()
    for proto in (3, 47, 132, 253):
        s.inject(IP(src=HOST, dst=ADDR, proto=proto) / Raw(b'unknown protocol'))
        error = s.one(ICMP)
        assert (error[ICMP].type, error[ICMP].code) == (3, 2)
        s.run(2)


# covers: 1122-3.2.2.1-hint
@pytest.mark.parametrize('code', [0, 1, 5])
def test_tcp_keeps_trying_after_unreachable(code):
    s = Stack(profile='standard')
    peer, sock = opened(s)
    sock.send(b'data')
    segment = peer.one('A', data=b'data')
    s.inject(icmp_error(3, code, quote(segment.frame)))
    assert sock.state() == 'ESTABLISHED'
    s.run(1)
    assert [x.data for x in peer.segments()][:1] == [b'data']
    peer.send('A')
    assert sock.info()['send_queued'] == 0
    # And an attempt to connect.
    p = Peer(s, port=81)
    connecting = s.stream().connect(HOST, 81)
    syn = p.receive_syn()
    s.inject(icmp_error(3, code, quote(syn.frame)))
    s.run(1)
    p.one('S', seq=syn.seq)
    p.send('SA')
    p.one('A')
    assert connecting.state() == 'ESTABLISHED'


# covers: 1122-3.2.2.2-bad
def test_bad_redirects_are_ignored():
    s = Stack()
    sock = s.udp(5000)
    s.neighbour('192.0.2.3', '02:00:00:00:00:03')
    sock.sendto(b'x', REMOTE, 9)
    sent = s.one(UDP)
    assert sent[Ether].dst == ROUTER_MAC

    def redirect(src, gateway, quoted=quote(sent)):
        word = int.from_bytes(bytes(int(b) for b in gateway.split('.')), 'big')
        return icmp_error(5, 1, quoted, src=src, extra=word)
    s.inject(redirect(HOST, '192.0.2.3'))                    # not from the router
    s.inject(redirect('192.0.2.3', '192.0.2.3'))
    s.inject(redirect(ROUTER, '203.0.113.5'))                # a gateway off the link
    s.inject(redirect(ROUTER, '0.0.0.0'), redirect(ROUTER, '255.255.255.255'), redirect(ROUTER, ADDR))
    sock.sendto(b'x', REMOTE, 9)
    assert s.one()[Ether].dst == ROUTER_MAC


# covers: 1122-3.2.2.2-nosend 6633-3-send
def test_neither_redirects_nor_source_quench_are_sent():
    s = Stack()
    sock = s.udp(5000).set('RECEIVE_BUFFER', 4096)
    s.inject(ether(udp(b'x', dst='192.0.2.3')), ether(udp(b'x', src=HOST, dst=REMOTE)),
             ether(udp(b'x', src=REMOTE, dst='192.0.2.3')), ether(echo(dst='192.0.2.3')))
    s.none()
    for _ in range(20):                                       # more than the socket can hold
        s.inject(*[udp(b'y' * 1000) for _ in range(20)])
    for n in range(200):                                      # more SYNs than a backlog holds
        s.inject(IP(src=REMOTE, dst=ADDR) / TCP(sport=1000 + n, dport=80, flags='S'))
    s.inject(*[closed_port(b'z') for _ in range(50)])
    s.run(5)
    kinds = {f[ICMP].type for f in s.sent(ICMP)}
    assert kinds == {3} and sock.ready() & READABLE


# covers: 1122-3.2.2.6-echo
@pytest.mark.parametrize('size', [0, 1, 2, 56, 1471, 1472])
def test_echo(size):
    s = Stack(addresses=(ADDR + '/24', '192.0.2.10/24'))
    data = bytes(i * 7 & 255 for i in range(size))
    for dst in (ADDR, '192.0.2.10'):
        s.inject(echo(data, ident=0xabcd, seq=0xffff, dst=dst))
        reply = s.one(ICMP)
        assert (reply[IP].src, reply[IP].dst) == (dst, HOST)
        assert (reply[ICMP].type, reply[ICMP].code, reply[ICMP].id, reply[ICMP].seq) == (0, 0, 0xabcd, 0xffff)
        assert reply.raw[42:42 + size] == data and reply[IP].len == 28 + size


# covers: 1122-3.2.2.6-bcast
def test_broadcast_echo_is_ignored():
    s = Stack()
    for dst, mac in (('255.255.255.255', BROADCAST), ('192.0.2.255', BROADCAST),
                     ('224.0.0.1', '01:00:5e:00:00:01')):
        s.inject(ether(echo(dst=dst), dst=mac))
    s.run(1)
    s.none()


# covers: 792-ttl
def test_formats_of_all_that_is_sent():
    """The oracle parses each message; here all kinds that a host sends are made."""
    s = Stack()
    s.inject(echo(), closed_port(b'x'), IP(src=HOST, dst=ADDR, proto=99) / Raw(b'x'),
             fragment(b'x' * 64, 0, True, ident=9))
    s.run(200)
    s.sent()
    assert s.oracle.seen['icmp 0'] == 1 and s.oracle.seen['icmp 3'] == 2 and s.oracle.seen['icmp 11'] == 1


# covers: 1812-4.3.2.8-rate
def test_errors_are_rate_limited_and_echo_is_not():
    s = Stack()
    for _ in range(50):
        s.inject(*[closed_port(b'x') for _ in range(20)])
        s.inject(echo())
        s.run(0.02)
    answered = errors(s)
    assert answered.count((0, 0)) == 50
    assert 1 <= answered.count((3, 3)) <= 200
    s.run(10)
    s.inject(closed_port(b'x'))
    assert errors(s) == [(3, 3)]


# covers: 1812-4.3.2.8-rate
@pytest.mark.parametrize('rate,burst', [(5, 3), (50, 10)])
def test_the_rate_of_errors_is_configurable(rate, burst):
    s = Stack(icmp_errors_per_second=rate, icmp_errors_burst=burst, icmp_target_interval=1)
    for _ in range(500):
        s.inject(closed_port(b'x'))
        s.run(0.01)
    assert errors(s).count((3, 3)) == pytest.approx(5 * rate + burst, rel=0.25)


# covers: linux-icmp-ratelimit
def test_errors_to_one_host_are_one_a_second_after_a_burst():
    s = Stack()
    s.neighbour('192.0.2.3', HOST_MAC)
    for _ in range(300):
        s.inject(closed_port(b'x'))
        s.run(0.1)
    times = [f.time for f in s.sent() if f[ICMP].type == 3]
    assert len([t for t in times if t < times[0] + 0.95]) == 6
    late = [b - a for a, b in zip(times[6:], times[7:])]
    assert len(late) > 20 and min(late) >= 0.89 and sum(late) / len(late) >= 0.999
    s.inject(closed_port(b'y', src='192.0.2.3'))            # another host is not limited by this one
    assert errors(s) == [(3, 3)]


# covers: linux-icmp-ratelimit
def test_errors_to_all_are_a_thousand_a_second_with_a_burst_of_fifty_by_chance():
    s = Stack()
    bursts = []
    sources = itertools.count()

    def closed_ports(count):
        return [closed_port(b'x', src=f'198.{18 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}')
                for n in itertools.islice(sources, count)]

    for _ in range(4):
        s.inject(*closed_ports(120))
        bursts.append(len(errors(s)))
        s.run(100)                       # hosts whose hashes meet share a limit
    assert all(30 <= n <= 80 for n in bursts) and len(set(bursts)) > 1
    s.inject(*closed_ports(120))
    errors(s)
    s.run(0.001)
    for _ in range(300):
        s.inject(*closed_ports(4))
        s.run(0.001)
    assert 240 <= len(errors(s)) <= 360


def syn_sent(s):
    p = Peer(s, port=80)
    sock = s.stream().connect(HOST, 80)
    return p, sock, p.receive_syn()


@pytest.mark.parametrize('code,expected', [(2, errno.ENOPROTOOPT), (3, errno.ECONNREFUSED)])
def test_hard_errors_end_an_attempt_to_connect(code, expected):
    s = Stack()
    _, sock, syn = syn_sent(s)
    s.inject(icmp_error(3, code, quote(syn.frame)))
    assert sock.take_error() == expected


# covers: 6633-3-tcp MUST-55
def test_tcp_ignores_source_quench():
    s = Stack()
    peer, sock = established(s)
    sock.send(b'x' * 5000)
    segment = peer.segments()[0]
    before = sock.info()
    for _ in range(5):
        s.inject(icmp_error(4, 0, quote(segment.frame)))
    after = sock.info()
    assert (before['cwnd'], before['ssthresh']) == (after['cwnd'], after['ssthresh'])
    assert sock.take_error() == 0 and sock.state() == 'ESTABLISHED'
    s.none(ICMP)
