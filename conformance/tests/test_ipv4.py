# SPDX-License-Identifier: BSD-3-Clause
"""IPv4 headers, addresses and routes: RFC 791, RFC 1122 3.2 and 3.3, RFC 1812 5.3.7, RFC 6864."""
import csv
import errno
import os
import random

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from light import (ADDR, BROADCAST, HOST, HOST_MAC, MAC, READABLE, REMOTE, ROUTER, ROUTER_MAC, Stack,
                   errno_of)
from oracle import checksum
from packets import echo, ether, joined, udp
from peer import Peer, established

SECOND = '192.0.2.10'
VECTORS = os.path.join(os.path.dirname(__file__), '..', 'vectors')


class Receiver:
    """A stack with a UDP socket at 5000 and a listener at 80, and the question whether a packet got in."""

    def __init__(self, **settings):
        self.stack = Stack(**settings)
        self.sock = self.stack.udp(5000)
        self.stack.listener(80)

    def delivered(self, *frames):
        self.stack.inject(*frames)
        got = []
        while self.sock.ready() & READABLE:
            got.append(self.sock.recvfrom(65535)[0])
        return got

    def dropped(self, *frames):
        """Not delivered, and nothing said about it, also not later."""
        got = self.delivered(*frames)
        self.stack.run(0.1)
        sent = self.stack.sent()
        return not got and not sent


def raw(packet):
    return bytes(ether(packet))


def fixed(frame):
    """With a right IP header checksum."""
    ihl = (frame[14] & 15) * 4
    header = frame[14:24] + b'\0\0' + frame[26:14 + ihl]
    return frame[:24] + checksum(header).to_bytes(2, 'big') + frame[26:]


# covers: 1122-3.2.1.1-ver
def test_another_version_is_dropped():
    r = Receiver()
    for packet in (udp(b'x'), echo()):
        frame = raw(packet)
        for version in [v for v in range(16) if v != 4]:
            assert r.dropped(fixed(frame[:14] + bytes([version << 4 | 5]) + frame[15:])), version
    assert r.delivered(raw(udp(b'x'))) == [b'x']


# covers: 1122-3.2.1.2-cksum
def test_any_flipped_header_bit_is_noticed():
    r = Receiver()
    frame = raw(udp(b'x', chksum=0))
    for bit in range(160):
        flipped = bytearray(frame)
        flipped[14 + bit // 8] ^= 1 << bit % 8
        assert r.dropped(bytes(flipped)), f'bit {bit}'
    assert r.delivered(frame) == [b'x']
    r.stack.inject(ether(echo()))
    sent = r.stack.one(ICMP)
    assert checksum(sent.raw[14:34]) == 0


# covers: 791-3.1-ihl
def test_lengths_that_do_not_fit_are_dropped():
    r = Receiver()
    frame = raw(udp(b'payload!', chksum=0))
    for ihl in range(0, 5):
        assert r.dropped(fixed(frame[:14] + bytes([0x40 | ihl]) + frame[15:])), f'ihl {ihl}'
    for total in range(0, 20):
        assert r.dropped(fixed(frame[:16] + total.to_bytes(2, 'big') + frame[18:])), f'total {total}'
    for total in (37, 100, 1500, 65535):
        assert r.dropped(fixed(frame[:16] + total.to_bytes(2, 'big') + frame[18:])), f'total {total}'
    for ihl in range(10, 16):           # the header is longer than the packet
        assert r.dropped(fixed(frame[:14] + bytes([0x40 | ihl]) + frame[15:])), f'ihl {ihl}'
    for n in range(14, 50):
        assert r.dropped(frame[:n]), f'cut at {n}'
    assert r.delivered(frame) == [b'payload!']


# covers: 791-3.1-trail
def test_bytes_behind_the_total_length_are_not_data():
    r = Receiver()
    for extra in (1, 7, 46, 1000):
        assert r.delivered(raw(udp(b'data')) + b'\xaa' * extra) == [b'data']
        r.stack.inject(raw(echo(b'ping')) + b'\xaa' * extra)
        assert bytes(r.stack.one(ICMP)[ICMP].payload)[:4] == b'ping'
    peer, sock = established(r.stack, port=81)
    frame = peer.build('A', b'tcp data')
    r.stack.inject(frame + b'\xaa' * 30)
    assert sock.recv() == b'tcp data'


# covers: 1122-3.2.1.3-dst 1812-5.3.1-ttl
def test_a_packet_for_another_address_is_dropped_and_not_forwarded():
    r = Receiver()
    r.stack.oracle.addresses.add(b'\xcb\x00\x71\x01')
    other = r.stack.result('link', 'eth1', MAC, 1500)
    r.stack.result('address', other, '203.0.113.1/24')
    r.stack.result('neighbour', other, '203.0.113.9', '02:00:00:00:00:09')
    r.stack.run(10)
    r.stack.sent()
    for dst in ('192.0.2.77', '192.0.3.1', '10.0.0.1', '203.0.113.9', REMOTE, '239.1.2.3', '240.0.0.1'):
        assert r.dropped(raw(udp(b'x', dst=dst))), dst
        assert r.dropped(raw(echo(dst=dst))), dst
        assert r.dropped(raw(IP(src=HOST, dst=dst) / TCP(dport=80, flags='S'))), dst
    # Nor with a source route through us (RFC 791 3.1: loose, strict).
    for kind in (131, 137):
        options = bytes([kind, 7, 4]) + bytes([203, 0, 113, 9]) + b'\0'
        for dst in ('203.0.113.9', ADDR):
            frame = raw(IP(src=HOST, dst=dst, ttl=9, ihl=7, proto=17) / Raw(
                options + bytes(UDP(sport=4000, dport=5001) / Raw(b'x'))))
            r.stack.inject(fixed(frame))
            assert not r.stack.sent(where=lambda f: IP in f and f[IP].dst == '203.0.113.9')


BAD_SOURCES = ['224.0.0.1', '239.255.255.255', '255.255.255.255', '192.0.2.255', '240.0.0.1',
               '254.1.2.3', '127.0.0.1', '127.255.255.255', ADDR]


# covers: 1122-3.2.1.3-src 1122-4.1.3.6-src 1122-3.2.2-noerr-src
def test_an_impossible_source_is_dropped():
    r = Receiver()
    for src in BAD_SOURCES:
        assert r.dropped(raw(udp(b'x', src=src))), src
        assert r.dropped(raw(udp(b'x', src=src, dport=7777))), f'{src}: answered'
        assert r.dropped(raw(echo(src=src))), src
        assert r.dropped(raw(IP(src=src, dst=ADDR) / TCP(sport=9, dport=80, flags='S'))), src
        assert r.dropped(raw(IP(src=src, dst=ADDR, proto=253) / Raw(b'x'))), src
    assert r.dropped(raw(udp(b'x', src='0.0.0.0', dport=7777)))
    assert r.delivered(raw(udp(b'x', src=REMOTE))) == [b'x']


# covers: 1812-5.3.7-martian
def test_martians_are_filtered():
    r = Receiver()
    for src in ('0.0.0.1', '0.255.255.255', '127.0.0.1', '224.0.0.5', '240.0.0.1', '255.255.255.254'):
        assert r.dropped(raw(udp(b'x', src=src))), src
        assert r.dropped(raw(udp(b'x', src=src, dport=7777))), src
    for dst in ('127.0.0.1', '127.1.2.3'):
        assert r.dropped(raw(udp(b'x', dst=dst))), dst
        assert r.dropped(raw(echo(dst=dst))), dst
    assert r.delivered(raw(udp(b'x', src='1.0.0.1'))) == [b'x']


# covers: 1122-3.2.1.3-loop
def test_loopback_stays_inside():
    r = Receiver()
    s = r.stack
    inner = s.udp(6000, '127.0.0.1')
    for dst in ('127.0.0.1', '127.9.9.9'):
        errno_of(s.udp().sendto, b'inside', dst, 6000)
        errno_of(s.stream().connect, dst, 80)
    s.run(3)
    s.none()
    assert inner.recvfrom()[0] == b'inside'
    errno_of(inner.sendto, b'out', HOST, 9)     # whatever it does, not with this source
    s.run(1)
    assert not s.sent(where=lambda f: IP in f and f[IP].src.startswith('127.'))
    assert r.dropped(raw(udp(b'x', dst='127.0.0.1', dport=6000)))
    assert not inner.ready() & READABLE


# covers: 1122-3.2.1.3-own
def test_every_source_is_one_of_ours():
    s = Stack(addresses=(ADDR + '/24', SECOND + '/24'))
    s.listener(80)
    for bound in ('0.0.0.0', ADDR, SECOND, '192.0.2.255', '255.255.255.255', '224.0.0.5'):
        sock = s.datagram().set('BROADCAST', 1)
        if errno_of(sock.bind, bound, 0):
            continue
        for to in (HOST, REMOTE, '255.255.255.255', '192.0.2.255', '224.0.0.9'):
            errno_of(sock.sendto, b'x', to, 9)
    for dst in (ADDR, SECOND):
        s.inject(ether(echo(dst=dst)), ether(udp(b'x', dport=7777, dst=dst)),
                 ether(IP(src=HOST, dst=dst) / TCP(sport=5, dport=80, flags='S')),
                 ether(IP(src=HOST, dst=dst) / TCP(sport=6, dport=81, flags='S')))
    s.inject(ether(udp(b'x', dport=7777, dst='192.0.2.255'), dst=BROADCAST),
             ether(echo(dst='255.255.255.255'), dst=BROADCAST))
    s.run(3)
    sources = {f[IP].src for f in s.sent(IP)}
    assert sources == {ADDR, SECOND} and s.oracle.seen['ip'] > 20
    assert errno_of(s.datagram().bind, '192.0.2.99', 0) == errno.EADDRNOTAVAIL
    assert errno_of(s.stream().bind, HOST, 0) == errno.EADDRNOTAVAIL


# covers: 1122-3.2.1.7-ttl0 1122-3.2.1.7-def 792-ttl
def test_ttl_of_what_is_sent():
    s = Stack()
    sock = s.udp(5000)
    assert sock.get('TTL') == 64
    sock.sendto(b'x', HOST, 9)
    assert s.one(UDP)[IP].ttl == 64
    for ttl in (1, 17, 255):
        sock.set('TTL', ttl)
        sock.sendto(b'x', HOST, 9)
        assert s.one(UDP)[IP].ttl == ttl
    for wrong in (0, 256, -2):
        assert errno_of(sock.set, 'TTL', wrong) == errno.EINVAL
    errno_of(sock.set, 'MULTICAST_TTL', 0)
    errno_of(sock.sendto, b'x', '224.0.0.9', 9)
    s.inject(ether(echo(ttl=1)), ether(udp(b'x', dport=7777, ttl=1)), ether(udp(b'x', proto=253, ttl=1)))
    s.run(1)
    assert all(f[IP].ttl > 0 for f in s.sent(IP)) and s.oracle.seen['icmp 0'] and s.oracle.seen['icmp 3']


# covers: 1122-3.2.1.7-def
def test_the_default_ttl_is_configurable():
    s = Stack(ttl=99)
    s.udp(5000).sendto(b'x', HOST, 9)
    assert s.one(UDP)[IP].ttl == 99
    s.inject(echo())
    assert s.one(ICMP)[IP].ttl == 99
    s.stream().connect(HOST, 80)
    assert s.one(TCP)[IP].ttl == 99


# covers: 1122-3.2.1.7-ttl1
def test_a_ttl_below_two_is_delivered():
    r = Receiver()
    for ttl in (0, 1):
        assert r.delivered(raw(udp(b'x', ttl=ttl))) == [b'x']
        r.stack.inject(raw(echo(ttl=ttl)))
        r.stack.one(ICMP)


def with_options(options, data=b'opts'):
    options += b'\0' * (-len(options) % 4)
    body = bytes(UDP(sport=4000, dport=5000, chksum=0) / Raw(data))
    frame = raw(IP(src=HOST, dst=ADDR, proto=17, ihl=5 + len(options) // 4,
                   len=20 + len(options) + len(body)) / Raw(options + body))
    body_at = 34 + len(options)
    frame = frame[:34] + options + frame[body_at:]
    frame = frame[:body_at + 4] + (8 + len(data)).to_bytes(2, 'big') + b'\0\0' + frame[body_at + 8:]
    return fixed(frame)


# covers: 1122-3.2.1.8-opts
def test_unknown_options_are_ignored_and_overruns_dropped():
    r = Receiver()
    for options in (b'\1\1\1\0', b'\x9e\4ab', b'\x1f\x08abcdef', b'\xde\2', b'\1\x9e\4ab\1', b'\1' * 40,
                    b'\x9e\x28' + b'z' * 38, b'\x44\x0c\5\0' + bytes(8), b'\7\7\4' + bytes(4)):
        assert r.delivered(with_options(options)) == [b'opts'], options
        r.stack.sent()
    for options in (b'\x9e\5ab', b'\x9e\0ab', b'\x9e\1ab', b'\1\1\1\x9e', b'\x9e\xff' + bytes(10)):
        assert r.delivered(with_options(options)) == [], options
        assert all(f[ICMP].type == 12 for f in r.stack.sent(ICMP))


# covers: 1122-3.3.1.1-onlink
def test_on_link_goes_direct_and_the_rest_to_the_router():
    s = Stack()
    sock = s.udp(5000)
    s.neighbour('192.0.2.200', '02:00:00:00:00:c8')
    for dst, mac in ((HOST, HOST_MAC), ('192.0.2.200', '02:00:00:00:00:c8'), (REMOTE, ROUTER_MAC),
                     ('192.0.3.1', ROUTER_MAC), ('192.0.1.255', ROUTER_MAC), (ROUTER, ROUTER_MAC)):
        sock.sendto(b'x', dst, 9)
        sent = s.one()
        assert (sent[Ether].dst, sent[IP].dst) == (mac, dst)
    sock.sendto(b'x', '192.0.2.66', 9)
    assert s.one(ARP)[ARP].pdst == '192.0.2.66'


# covers: 1122-3.3.1.2-nogw
def test_without_a_router_the_link_works():
    s = Stack(gateway=None)
    sock = s.udp(5000)
    sock.sendto(b'x', HOST, 9)
    s.one(UDP)
    assert errno_of(sock.sendto, b'x', REMOTE, 9) == errno.ENETUNREACH
    assert errno_of(s.stream().connect, REMOTE, 80) == errno.ENETUNREACH
    assert errno_of(s.datagram().connect, REMOTE, 80) == errno.ENETUNREACH
    s.run(5)
    s.none()


# covers: 1122-3.3.4.2-reply
def test_a_reply_comes_from_the_address_that_was_asked():
    s = Stack(addresses=(ADDR + '/24', SECOND + '/24'))
    s.listener(80)
    s.inject(echo(dst=SECOND))
    assert s.one(ICMP)[IP].src == SECOND
    s.inject(IP(src=HOST, dst=SECOND) / TCP(sport=9, dport=80, flags='S', seq=5))
    assert s.one(TCP)[IP].src == SECOND
    s.inject(IP(src=HOST, dst=SECOND) / TCP(sport=9, dport=81, flags='S', seq=5))
    assert s.one(TCP)[IP].src == SECOND
    s.inject(udp(b'x', dport=7777, dst=SECOND))
    assert s.one(ICMP)[IP].src == SECOND
    sock = s.udp(5000, SECOND)
    sock.connect(HOST, 4000)
    s.inject(udp(b'q', dst=SECOND))
    assert sock.recv() == b'q'
    sock.send(b'answer')
    assert s.one(UDP)[IP].src == SECOND


# covers: 1122-3.3.6-bcast
def test_broadcasts_are_for_us():
    r = Receiver()
    for dst in ('255.255.255.255', '192.0.2.255'):
        assert r.delivered(bytes(ether(udp(b'all', dst=dst), dst=BROADCAST))) == [b'all'], dst
    assert r.delivered(bytes(ether(udp(b'all', dst='192.0.3.255'), dst=BROADCAST))) == []


# covers: 6864-4.3-unique
def test_ids_do_not_repeat_within_two_minutes():
    s = Stack()
    sock = s.udp(5000).set('MTU_DISCOVER', 0)
    ids = []
    for i in range(600):
        for _ in range(5):
            sock.sendto(b'x' * 10, HOST, 9)
        sock.sendto(b'x' * 3000, HOST, 9)
        s.run(0.19)
        seen = set()
        for f in s.sent(UDP if i % 50 == 0 else None, where=lambda f: f.raw[23] == 17):
            assert not f.raw[20] & 0x40
            ident = f.raw[18] << 8 | f.raw[19]
            if not (f.raw[20] & 0x1f or f.raw[21]):
                seen.add(ident)
                ids.append(ident)
        s.frames.clear()
    assert s.now < 130 and len(ids) >= 3600
    assert len(set(ids)) == len(ids)


# covers: 6864-4.3-df
def test_a_packet_with_df_is_never_fragmented():
    s = Stack()
    sock = s.udp(5000).set('MTU_DISCOVER', 2)
    sock.sendto(b'x' * 1472, HOST, 9)
    assert s.one(UDP)[IP].flags.DF
    assert errno_of(sock.sendto, b'x' * 1473, HOST, 9) == errno.EMSGSIZE
    s.run(1)
    s.none()


# covers: 1122-3.3.3-frag
def test_a_large_datagram_is_fragmented():
    s = Stack()
    sock = s.udp(5000).set('MTU_DISCOVER', 0)
    rng = random.Random(1)
    for n in (1473, 1480, 2952, 2953, 9000, 65507):
        data = rng.randbytes(n)
        sock.sendto(data, HOST, 9)
        s.run(0.1)
        frames = s.sent(IP)
        assert len(frames) == -(-(n + 8) // 1480)
        assert all(not f[IP].flags.DF and f[IP].len <= 1500 for f in frames)
        [body] = joined(frames)
        assert body[8:] == data and UDP(body).len == n + 8
        pseudo = frames[0].raw[26:34] + b'\0\x11' + (n + 8).to_bytes(2, 'big')
        assert checksum(pseudo + body) == 0


def checksum_vectors():
    with open(os.path.join(VECTORS, 'internet_checksum.tsv'), encoding='ascii') as f:
        return [(r['name'], bytes.fromhex(r['bytes_hex'] or ''), int(r['checksum_hex'], 16))
                for r in csv.DictReader(f, delimiter='\t')]


# covers: 1071-1-alg 1071-2-odd
@pytest.mark.parametrize('name,data,expected', checksum_vectors(), ids=[v[0] for v in checksum_vectors()])
def test_checksum_vectors(name, data, expected):
    """An echo reply with identifier and sequence number 0 has the checksum of its data alone."""
    if len(data) > 1472:
        pytest.fail('a vector too long for one frame')
    s = Stack()
    s.inject(echo(data, ident=0, seq=0))
    sent = s.one(ICMP)
    assert sent.raw[34:36] == b'\0\0' and sent.raw[42:42 + len(data)] == data
    assert int.from_bytes(sent.raw[36:38], 'big') in ({0, 0xffff} if expected in (0, 0xffff) else {expected})


# covers: 1071-2-order 1071-2-odd
def test_checksums_hold_for_any_split():
    """Payloads at every length and alignment, across the wrap of the socket's ring, and both ways."""
    s = Stack(tcp={'receive_buffer_initial': 4096, 'receive_buffer_max': 4096,
                   'send_buffer_initial': 4096, 'send_buffer_max': 4096, 'initial_window': 40})
    rng = random.Random(7)
    sock = s.udp(5000)
    for n in list(range(0, 70)) + [255, 1001, 1471, 1472]:
        data = rng.randbytes(n)
        sock.sendto(data, HOST, 9)
        s.inject(udp(data))
        assert sock.recvfrom()[0] == data
    assert s.oracle.seen['udp'] >= 74
    s.sent()
    peer, tcp = established(s, mss=101)
    sent = received = b''
    for n in [1, 3, 50, 101, 102, 999, 2000, 1, 77] * 6:
        data = rng.randbytes(n)
        tcp.send(data)
        sent += data
        for _ in range(60):
            peer.segments()
            if len(peer.got) == len(sent):
                break
            peer.send('A')
        peer.send('A', data[:1400])
        received += data[:1400]
        assert tcp.recv() == data[:1400]
    assert peer.got == sent and len(sent) > 4 * 4096


@pytest.mark.parametrize('swap', [0xffff, 0x0001, 0x0100])
def test_a_wrong_checksum_of_any_kind_is_noticed(swap):
    r = Receiver()
    frame = bytearray(raw(udp(b'check me')))
    frame[40] ^= swap >> 8
    frame[41] ^= swap & 255
    assert r.dropped(bytes(frame))


def test_vouched_checksums_are_not_looked_at_again():
    r = Receiver(flags=('rx_csum',))
    r.stack.request('good', r.stack.interface, 1)
    frame = bytearray(raw(udp(b'check me')))
    frame[40] ^= 0xff
    assert r.delivered(bytes(frame)) == [b'check me']


def test_a_link_that_sums_gets_whole_checksums():
    s = Stack(flags=('tx_csum',))
    peer, sock = established(s)
    sock.send(b'summed by the link')
    assert peer.one('A').data == b'summed by the link'
    s.udp(5000).sendto(b'so is this', HOST, 9)
    assert s.one(UDP)[Raw].load == b'so is this'


def test_a_peer_at_the_second_address_is_served():
    s = Stack(addresses=(ADDR + '/24', SECOND + '/24'))
    p = Peer(s, stack_addr=SECOND)
    s.listener(80)
    p.connect()
