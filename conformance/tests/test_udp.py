# SPDX-License-Identifier: BSD-3-Clause
"""UDP: RFC 768, RFC 1122 4.1, ports of RFC 6056."""
import errno
import random

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

from light import ADDR, BROADCAST, ERROR, HOST, READABLE, REMOTE, Stack, errno_of
from oracle import checksum
from packets import ether, every, icmp_error, joined, payload_of, quote, udp

SECOND = '192.0.2.10'


def two_addresses(**settings):
    return Stack(addresses=(ADDR + '/24', SECOND + '/24'), **settings)


def drained(sock):
    got = []
    while sock.ready() & READABLE:
        got.append(sock.recvfrom(65535)[0])
    return got


def datagram(data, length=None, chksum=0, sport=4000, dport=5000, src=HOST):
    """With any length field; checksum 0: none."""
    header = sport.to_bytes(2, 'big') + dport.to_bytes(2, 'big')
    header += (8 + len(data) if length is None else length).to_bytes(2, 'big') + chksum.to_bytes(2, 'big')
    return IP(src=src, dst=ADDR, proto=17) / Raw(header + data)


# covers: 768-1-len
def test_the_length_field_is_checked():
    s = Stack()
    sock = s.udp(5000)
    data = b'0123456789'
    for length in list(range(0, 8)) + [19, 20, 100, 1480, 65535]:
        s.inject(datagram(data, length))
        assert drained(sock) == [], f'length {length}'
    for length in range(8, 19):
        s.inject(datagram(data, length))
        assert drained(sock) == [data[:length - 8]], f'length {length}'
    for n in range(0, 8):
        s.inject(IP(src=HOST, dst=ADDR, proto=17) / Raw(bytes(datagram(b'').payload)[:n]))
    s.none()
    assert drained(sock) == []


# covers: 768-1-cksum 1122-4.1.3.4-default
def test_every_datagram_has_a_checksum_over_the_pseudo_header():
    s = Stack()
    sock = s.udp(5000)
    rng = random.Random(2)
    for n in (0, 1, 2, 3, 100, 1471, 1472):
        data = rng.randbytes(n)
        sock.sendto(data, HOST, 9)
        sent = s.one(UDP)
        body = sent.raw[34:14 + sent[IP].len]
        pseudo = sent.raw[26:34] + b'\0\x11' + len(body).to_bytes(2, 'big')
        assert checksum(pseudo + body) == 0 and body[6:8] != b'\0\0'


# covers: 768-1-cksum
def test_a_computed_zero_is_sent_as_ffff():
    s = Stack()
    sock = s.udp(5000)
    sock.sendto(b'\0\0', HOST, 9)
    first = s.one(UDP).raw
    value = int.from_bytes(first[40:42], 'big')
    sock.sendto(value.to_bytes(2, 'big'), HOST, 9)   # cancels the sum
    assert s.one(UDP).raw[40:42] == b'\xff\xff'
    other = s.udp(5001)
    s.inject(udp(value.to_bytes(2, 'big'), dport=5001, chksum=None))
    assert drained(other) == [value.to_bytes(2, 'big')]


# covers: 768-1-zero
def test_no_checksum_is_accepted():
    s = Stack()
    sock = s.udp(5000)
    s.inject(datagram(b'unsummed', chksum=0))
    assert drained(sock) == [b'unsummed']


# covers: 1122-4.1.3.4-bad
def test_a_wrong_checksum_is_dropped_and_counted():
    s = Stack()
    sock = s.udp(5000)
    right = payload_of(udp(b'checksum'))
    before = s.counter('UDP_CHECKSUM')
    bad = 0
    for bit in range(len(right) * 8):
        flipped = bytearray(right)
        flipped[bit // 8] ^= 1 << bit % 8
        if bit // 8 in (2, 3, 4, 5):
            continue                       # another port, another length: other rules
        bad += 1
        s.inject(IP(src=HOST, dst=ADDR, proto=17) / Raw(bytes(flipped)))
    assert s.counter('UDP_CHECKSUM') == before + bad
    # Also at a port where nobody listens there is no ICMP.
    s.inject(datagram(b'x', chksum=0x1234, dport=7777))
    s.none()
    assert drained(sock) == []
    s.inject(IP(src=HOST, dst=ADDR, proto=17) / Raw(right))
    assert drained(sock) == [b'checksum']


# covers: 1122-4.1.3.4-bad
def test_the_checksum_covers_the_addresses():
    s = two_addresses()
    sock = s.udp(5000)
    body = payload_of(udp(b'pseudo', dst=SECOND))
    s.inject(IP(src=HOST, dst=ADDR, proto=17) / Raw(body))
    assert drained(sock) == []
    s.inject(IP(src=HOST, dst=SECOND, proto=17) / Raw(body))
    assert drained(sock) == [b'pseudo']


# covers: 1122-4.1.3.1-port
def test_port_unreachable_only_for_unicast():
    s = Stack()
    s.inject(udp(b'x', dport=9999))
    error = s.one(ICMP)
    assert (error[ICMP].type, error[ICMP].code) == (3, 3)
    s.inject(ether(udp(b'x', dport=9999, dst='192.0.2.255'), dst=BROADCAST),
             ether(udp(b'x', dport=9999, dst='224.0.0.1'), dst='01:00:5e:00:00:01'))
    s.none()
    s.inject(*[udp(b'x', dport=9999) for _ in range(2000)])
    assert len(s.sent(ICMP)) < 500


# covers: 1122-4.1.3.3-icmp
@pytest.mark.parametrize('kind,code,expected', [(3, 3, errno.ECONNREFUSED), (3, 2, errno.ENOPROTOOPT)])
def test_an_error_is_pending_on_a_connected_socket(kind, code, expected):
    s = Stack()
    sock = s.udp(5000)
    sock.connect(HOST, 9)
    sock.send(b'x')
    s.inject(icmp_error(kind, code, quote(s.one(UDP))))
    assert sock.ready() & ERROR
    assert errno_of(sock.recv) == expected
    assert sock.take_error() == 0                 # reported once
    sock.send(b'y')                               # and the socket works on
    s.one(UDP)


# covers: 1122-4.1.3.3-icmp
def test_the_next_send_reports_the_error_too():
    s = Stack()
    sock = s.udp(5000)
    sock.connect(HOST, 9)
    sock.send(b'x')
    s.inject(icmp_error(3, 3, quote(s.one(UDP))))
    assert errno_of(sock.send, b'y') == errno.ECONNREFUSED
    assert errno_of(sock.send, b'y') == 0


# covers: 1122-4.1.3.3-icmp
def test_an_unconnected_socket_hears_of_errors_if_it_asks():
    s = Stack()
    deaf, asking = s.udp(5000), s.udp(5001).set('RECV_ERR', 1)
    for sock in (deaf, asking):
        sock.sendto(b'x', HOST, 9)
        s.inject(icmp_error(3, 3, quote(s.one(UDP))))
    assert deaf.take_error() == 0
    assert asking.take_error() == errno.ECONNREFUSED


# covers: 6633-5-udp
def test_source_quench_is_ignored():
    s = Stack()
    sock = s.udp(5000).set('RECV_ERR', 1)
    sock.connect(HOST, 9)
    sock.send(b'x')
    s.inject(icmp_error(4, 0, quote(s.one(UDP))))
    assert sock.take_error() == 0 and not sock.ready() & ERROR
    sock.send(b'y')
    s.one(UDP)


# covers: 1122-4.1.3.5-wild
def test_the_more_specific_socket_wins():
    s = two_addresses()
    wild = s.datagram().set('REUSE_ADDR', 1).bind('0.0.0.0', 5000)
    first = s.datagram().set('REUSE_ADDR', 1).bind(ADDR, 5000)
    s.inject(udp(b'to first', dst=ADDR), udp(b'to second', dst=SECOND))
    assert drained(first) == [b'to first'] and drained(wild) == [b'to second']
    first.close()
    s.inject(udp(b'again', dst=ADDR))
    assert drained(wild) == [b'again']
    only = s.udp(5001, SECOND)
    s.inject(udp(b'x', dst=ADDR, dport=5001))
    assert s.one(ICMP)[ICMP].code == 3 and drained(only) == []
    s.inject(udp(b'x', dst=SECOND, dport=5001))
    assert drained(only) == [b'x']


# covers: 1122-4.1.3.5-specdst
def test_the_destination_is_told_and_the_source_chosen():
    s = two_addresses()
    sock = s.shared_datagram().set('PKTINFO', 1).bind('0.0.0.0', 5000)
    for dst, mac in ((ADDR, None), (SECOND, None), ('192.0.2.255', BROADCAST)):
        packet = udp(b'to ' + dst.encode(), dst=dst, tos=0x20, ttl=9)
        s.inject(ether(packet, dst=mac) if mac else packet)
        got = sock.recvmsg()
        assert bytes.fromhex(got['data']) == b'to ' + dst.encode()
        assert (got['from'], got['to']) == ([HOST, 4000], [dst, 5000])
        assert (got['interface'], got['tos'], got['ttl']) == (s.interface, 0x20, 9)
    for source in (ADDR, SECOND):
        sock.sendmsg(b'reply', HOST, 4000, source)
        sent = s.one(UDP)
        assert (sent[IP].src, sent[UDP].sport, sent[Raw].load) == (source, 5000, b'reply')
    sock.sendmsg(b'reply', HOST, 4000)
    assert s.one(UDP)[IP].src == ADDR
    sock.sendmsg(b'forged', HOST, 4000, '192.0.2.99')      # not ours
    s.none()


def test_shared_rings_carry_many_datagrams():
    s = Stack()
    sock = s.shared_datagram().bind('0.0.0.0', 5000)
    rng = random.Random(8)
    for _ in range(40):
        data = [rng.randbytes(rng.randrange(1400)) for _ in range(7)]
        s.inject(*[udp(d) for d in data])
        assert [bytes.fromhex(sock.recvmsg()['data']) for _ in data] == data
        for d in data:
            assert sock.sendmsg(d, HOST, 9) == len(d)
        assert [f.raw[42:14 + f[IP].len] for f in s.sent(UDP)] == data
    assert errno_of(sock.recvmsg) == errno.EAGAIN


@pytest.mark.parametrize('which', ['send_head', 'receive_tail'])
def test_impossible_indices_are_refused(which):
    s = Stack()
    sock = s.shared_datagram().bind('0.0.0.0', 5000)
    sock.sendmsg(b'x', HOST, 9)
    s.inject(udp(b'waiting'))
    s.sent()
    for by in (1 << 30, -(1 << 30), -1 - (1 << 20), -1, 1 << 24):
        assert sock.call('move', which, by)['result'] == -errno.EPROTO, by
    s.none()
    assert bytes.fromhex(sock.recvmsg()['data']) == b'waiting'
    sock.sendmsg(b'fine', HOST, 9)
    s.one(UDP)


def test_a_connected_socket_hears_only_its_peer():
    s = Stack()
    sock = s.udp(5000)
    sock.connect(HOST, 4000)
    s.inject(udp(b'stranger', src='192.0.2.3'), udp(b'other port', sport=4001), udp(b'peer'))
    assert drained(sock) == [b'peer']


# covers: udp-zero-len
def test_empty_datagrams():
    s = Stack()
    sock = s.udp(5000)
    assert errno_of(sock.recvfrom) == errno.EAGAIN and not sock.ready() & READABLE
    s.inject(udp(b''))
    assert sock.ready() & READABLE
    assert sock.recvfrom() == (b'', (HOST, 4000))
    assert errno_of(sock.recvfrom) == errno.EAGAIN
    assert sock.sendto(b'', HOST, 9) == 0
    sent = s.one(UDP)
    assert sent[UDP].len == 8 and sent[IP].len == 28


# covers: udp-max
def test_the_largest_datagram():
    s = Stack()
    sock = s.udp(5000).set('RECEIVE_BUFFER', 1 << 20).set('SEND_BUFFER', 1 << 20).set('MTU_DISCOVER', 0)
    data = random.Random(5).randbytes(65507)
    assert sock.sendto(data, HOST, 9) == 65507
    s.run(0.1)
    [body] = joined(s.sent(IP))
    assert body[8:] == data
    assert errno_of(sock.sendto, data + b'x', HOST, 9) == errno.EMSGSIZE
    s.run(0.1)
    s.none()
    s.inject(*every(payload_of(udp(data)), 1480))
    assert drained(sock) == [data]


# covers: udp-boundaries
def test_boundaries_are_kept():
    s = Stack()
    sock = s.udp(5000).set('RECEIVE_BUFFER', 1 << 20)
    rng = random.Random(6)
    sizes = [0, 1, 1472, 0, 700, 2, 0, 15, 16, 17] + [rng.randrange(1473) for _ in range(60)]
    data = [rng.randbytes(n) for n in sizes]
    for i in range(0, len(data), 10):
        s.inject(*[udp(d) for d in data[i:i + 10]])
    for d in data:
        assert sock.recvfrom()[0] == d
    assert errno_of(sock.recvfrom) == errno.EAGAIN
    for d in data:
        sock.sendto(d, HOST, 9)
    assert [f.raw[42:14 + f[IP].len] for f in s.sent(UDP)] == data
    s.inject(udp(b'cut here'), udp(b'next'))
    assert sock.recvfrom(3)[0] == b'cut'           # the rest is lost, not the next one's start
    assert sock.recvfrom()[0] == b'next'


def ports(secret, count=300):
    s = Stack(secret=secret, max_endpoints=1024)
    taken = []
    for _ in range(count):
        sock = s.datagram()
        sock.connect(HOST, 53)
        taken.append(sock.local()[1])
        sock.close()
        s.run(0.001)
    return taken


# covers: 6056-3.3-udp
def test_ports_are_not_predictable():
    first, other = ports('00' * 16), ports('11' * 16)
    for taken in (first, other):
        assert min(taken) >= 1024
        steps = {b - a for a, b in zip(taken, taken[1:])}
        assert len(steps) > 150, 'the next port follows from the last one'
        low, high = min(taken), max(taken)
        assert high - low > 20000
        # Chi-square over 10 bins; 9 degrees of freedom, 0.999 quantile 27.9; a margin for few samples.
        bins = [0] * 10
        for p in taken:
            bins[(p - low) * 10 // (high - low + 1)] += 1
        chi = sum((n - 30) ** 2 / 30 for n in bins)
        assert chi < 35, bins
    assert sum(a == b for a, b in zip(first, other)) < 10


def test_a_full_buffer_drops_and_recovers():
    s = Stack()
    sock = s.udp(5000).set('RECEIVE_BUFFER', 4096)
    s.inject(*[udp(b'%04d' % i * 100) for i in range(100)])
    got = drained(sock)
    assert 1 <= len(got) < 100 and got == [b'%04d' % i * 100 for i in range(len(got))]
    assert s.counter('UDP_BUFFER') == 100 - len(got)
    s.inject(udp(b'after'))
    assert drained(sock) == [b'after']
    s.none(ICMP)


def test_remote_peers_are_named_with_their_own_address():
    s = Stack()
    sock = s.udp(5000)
    s.inject(udp(b'far', src=REMOTE, sport=1234))
    assert sock.recvfrom() == (b'far', (REMOTE, 1234))
