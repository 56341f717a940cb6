# SPDX-License-Identifier: BSD-3-Clause
"""IEEE 802.1Q: frames of VLANs on one link, as Scapy reads and writes them."""
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from light import BROADCAST, HOST, HOST_MAC, MAC, Stack
from packets import echo, ether, udp

US, PEER = '10.20.0.1', '10.20.0.2'


def with_vlan(vid=20, **settings):
    s = Stack(**settings)
    s.oracle.vlans.add(vid)
    s.oracle.addresses.add(bytes(int(n) for n in US.split('.')))
    vlan = s.result('vlan', s.interface, vid)
    assert s.result('address', vlan, US + '/24') == 0
    s.run(10)
    s.frames.clear()
    return s, vlan


def tagged(payload, vid=20, prio=0, src=HOST_MAC, dst=MAC):
    return Ether(src=src, dst=dst) / Dot1Q(vlan=vid, prio=prio) / payload


def test_arp_and_echo_are_answered_with_the_tag():
    s, _ = with_vlan()
    s.inject(tagged(ARP(hwsrc=HOST_MAC, psrc=PEER, pdst=US), dst=BROADCAST))
    reply = s.one(ARP)
    assert reply[Dot1Q].vlan == 20 and reply[ARP].psrc == US and reply[ARP].hwdst == HOST_MAC
    s.inject(tagged(echo(b'hello', src=PEER, dst=US), prio=5))
    reply = s.one(ICMP)
    assert reply[Dot1Q].vlan == 20 and reply[ICMP].type == 0 and bytes(reply[ICMP].payload)[:5] == b'hello'


def test_the_address_is_announced_in_its_vlan():
    s = Stack()
    s.oracle.vlans.add(7)
    s.oracle.addresses.add(bytes([10, 20, 0, 1]))
    vlan = s.result('vlan', s.interface, 7)
    s.result('address', vlan, US + '/24')
    s.run(10)
    frames = s.sent(ARP)
    assert len(frames) == 2 and all(f[Dot1Q].vlan == 7 and f[ARP].psrc == US == f[ARP].pdst for f in frames)


@pytest.mark.parametrize('vid', [1, 19, 21, 4094, 4095])
def test_another_vlan_is_not_heard(vid):
    s, _ = with_vlan()
    s.inject(tagged(echo(b'x', src=PEER, dst=US), vid=vid))
    s.none()
    assert s.counter('VLAN_UNKNOWN') == 1


def test_two_tags_are_refused():
    s, _ = with_vlan()
    s.inject(Ether(src=HOST_MAC, dst=MAC) / Dot1Q(vlan=20) / Dot1Q(vlan=20) / echo(b'x', src=PEER, dst=US))
    s.none()
    assert s.counter('VLAN_NESTED') == 1


def test_a_priority_tag_is_the_untagged_net():
    s, _ = with_vlan()
    s.inject(tagged(echo(b'x'), vid=0, prio=3))
    assert Dot1Q not in s.one(ICMP)


def test_the_precedence_becomes_the_priority():
    s, vlan = with_vlan()
    s.result('neighbour', vlan, PEER, HOST_MAC)
    sock = s.udp(5000)
    for tos in range(0, 256, 32):
        sock.set('TOS', tos)
        sock.sendto(b'x', PEER, 9)
        assert s.one(UDP)[Dot1Q].prio == tos >> 5


def test_full_segments_are_as_long_as_without_a_tag():
    s, vlan = with_vlan()
    s.result('neighbour', vlan, PEER, HOST_MAC)
    s.listener(80)
    s.inject(tagged(IP(src=PEER, dst=US) / TCP(sport=4000, dport=80, flags='S', seq=1, options=[('MSS', 1460)])))
    reply = s.one(TCP)
    assert reply[Dot1Q].vlan == 20 and dict(reply[TCP].options)['MSS'] == 1460
    sock = s.udp(5000)
    sock.sendto(b'x' * 1472, PEER, 9)
    assert len(s.one(UDP).raw) == 1518


def test_a_removed_vlan_is_not_heard_and_the_link_serves_on():
    s, vlan = with_vlan()
    assert s.result('unvlan', vlan) == 0
    s.inject(tagged(echo(b'x', src=PEER, dst=US)))
    s.none()
    sock = s.udp(5000)
    s.inject(ether(udp(b'in')))
    assert sock.recvfrom() == (b'in', (HOST, 4000))


def test_every_length_of_a_tagged_frame_is_survived():
    s, _ = with_vlan()
    whole = bytes(tagged(IP(src=PEER, dst=US) / UDP(sport=1, dport=2) / Raw(b'x' * 20)))
    for n in range(len(whole)):
        s.inject(whole[:n])
    s.none()
