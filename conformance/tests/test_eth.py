# SPDX-License-Identifier: BSD-3-Clause
"""Ethernet: RFC 894, RFC 1122 2.4, groups of RFC 1112 6.4."""
import csv
import os

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from light import ADDR, BROADCAST, HOST, HOST_MAC, MAC, READABLE, ROUTER_MAC, Stack
from packets import echo, ether, udp
from peer import established

VECTORS = os.path.join(os.path.dirname(__file__), '..', 'vectors')


# covers: 894-2-frame
def test_ipv4_travels_in_ethernet_ii():
    s = Stack()
    sock = s.udp(5000)
    s.inject(ether(udp(b'in')))
    assert sock.recvfrom() == (b'in', (HOST, 4000))
    sock.sendto(b'out', HOST, 4000)
    sent = s.one()
    assert sent.raw[:14] == bytes.fromhex((HOST_MAC + MAC).replace(':', '')) + b'\x08\x00'
    assert sent.raw[14] == 0x45


# covers: 894-2-pad
def test_padding_is_ignored_on_receipt():
    s = Stack()
    sock = s.udp(5000)
    for n in range(0, 20):
        data = bytes(range(n))
        frame = bytes(ether(udp(data)))
        s.inject(frame + b'\xee' * (60 - len(frame)))
        assert sock.recvfrom()[0] == data
    for n in range(0, 12):
        frame = bytes(ether(echo(b'p' * n)))
        s.inject(frame + b'\xee' * (60 - len(frame)))
        sent = s.one(ICMP)
        assert sent[IP].len == 28 + n and not any(sent.raw[14 + 28 + n:])


# covers: 894-2-pad
def test_short_packets_leave_without_memory_leftovers():
    s = Stack()
    sock = s.udp(5000)
    sock.sendto(b'\xff' * 1000, HOST, 9)
    for n in range(0, 30):
        sock.sendto(b'\xff' * n, HOST, 9)
    for f in s.sent(UDP):
        assert not any(f.raw[14 + f[IP].len:])
    s.inject(Ether(src=HOST_MAC, dst=BROADCAST) / ARP(hwsrc=HOST_MAC, psrc=HOST, pdst=ADDR))
    assert not any(s.one(ARP).raw[42:])


# covers: 894-2-mtu
@pytest.mark.parametrize('mtu', [1500, 1280, 576, 68])
def test_no_frame_is_longer_than_the_mtu(mtu):
    s = Stack(mtu=mtu)
    sock = s.udp(5000).set('MTU_DISCOVER', 0)
    for n in (1, mtu - 29, mtu - 28, mtu - 27, mtu, 3 * mtu, 9000):
        sock.sendto(b'x' * n, HOST, 9)
        frames = s.sent()
        assert frames and max(len(f.raw) for f in frames) <= 14 + mtu
    s.inject(*[ether(e) for e in (echo(b'y' * 200), echo(b'z' * 1200))])
    frames = s.sent(IP)
    assert frames and max(len(f.raw) for f in frames) <= 14 + max(mtu, 46)
    peer, tcp = established(s, port=81)
    tcp.send(b'd' * 8000)
    lengths = [len(f.raw) for f in s.sent(TCP)]
    assert lengths and max(lengths) == 14 + mtu


# covers: 1122-2.4-bcast
@pytest.mark.parametrize('to', [BROADCAST, '01:00:5e:00:00:01', '33:33:00:00:00:01'])
def test_nothing_answers_a_link_broadcast(to):
    s = Stack()
    s.listener(80)
    s.inject(ether(udp(b'x', dport=7777), dst=to))
    s.inject(ether(IP(src=HOST, dst=ADDR, proto=253) / Raw(b'unknown'), dst=to))
    s.inject(ether(IP(src=HOST, dst=ADDR) / TCP(sport=1, dport=80, flags='S', seq=1), dst=to))
    s.inject(ether(IP(src=HOST, dst=ADDR) / TCP(sport=1, dport=81, flags='S', seq=1), dst=to))
    s.inject(ether(IP(src=HOST, dst=ADDR) / TCP(sport=1, dport=81, flags='A', seq=1), dst=to))
    s.run(5)
    s.none()
    s.inject(ether(udp(b'x', dport=7777)))
    assert s.one(ICMP)[ICMP].type == 3


# covers: eth-dst-filter
def test_frames_for_another_station_are_ignored():
    s = Stack()
    sock = s.udp(5000)
    s.inject(ether(udp(b'x'), dst='02:00:00:00:00:99'), ether(echo(), dst='02:00:00:00:00:99'),
             ether(ARP(op=1, hwsrc=HOST_MAC, psrc=HOST, pdst=ADDR), dst='02:00:00:00:00:99'))
    s.none()
    assert not sock.ready() & READABLE
    s.inject(ether(echo()))
    s.one(ICMP)


# covers: eth-short
def test_short_frames_and_unknown_types_are_counted():
    s = Stack()
    before = s.counters()
    whole = bytes(ether(echo()))
    for n in range(0, 14):
        s.inject(whole[:n])
    for kind in (0x0000, 0x0600, 0x0801, 0x86de, 0x8847, 0x9000, 0xffff):
        s.inject(whole[:12] + kind.to_bytes(2, 'big') + whole[14:])
    s.run(1)
    s.none()
    after = s.counters()
    changed = {k.upper(): after[k] - before[k] for k in after if after[k] != before[k]}
    assert changed.pop('ETH_SHORT') == 14 and changed.pop('ETH_TYPE') == 7
    s.inject(whole)
    s.one(ICMP)


def groups():
    with open(os.path.join(VECTORS, 'multicast_mac.tsv'), encoding='ascii') as f:
        return [(r['address'], r['group_or_address_mac'])
                for r in csv.DictReader(f, delimiter='\t') if '.' in r['address']]


# covers: 1112-6.4-mac 1122-3.3.6-send
def test_a_group_is_sent_to_its_mac():
    s = Stack()
    sock = s.udp(5000)
    assert groups()
    for addr, mac in groups():
        sock.sendto(b'x', addr, 9)
        sent = s.one()
        assert (sent[Ether].dst, sent[IP].dst) == (mac, addr)


# covers: 1112-6.4-mac
def test_reception_looks_at_the_whole_group():
    s = Stack()
    sock = s.udp(5000)
    # All of these map to the MAC of 224.0.0.1.
    for addr in ('224.128.0.1', '225.0.0.1', '239.128.0.1'):
        s.inject(ether(udp(b'x', dst=addr), dst='01:00:5e:00:00:01'))
    assert not sock.ready() & READABLE
    s.none()


# covers: 1122-3.3.6-send
def test_an_ip_broadcast_is_a_link_broadcast():
    s = Stack()
    sock = s.udp(5000).set('BROADCAST', 1)
    for addr in ('255.255.255.255', '192.0.2.255'):
        sock.sendto(b'x', addr, 9)
        sent = s.one()
        assert (sent[Ether].dst, sent[IP].dst, sent[IP].src) == (BROADCAST, addr, ADDR)
    sock.sendto(b'x', '198.51.100.255', 9)      # nobody here can know that it is one
    assert s.one()[Ether].dst == ROUTER_MAC
