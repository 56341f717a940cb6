# SPDX-License-Identifier: BSD-3-Clause
"""ARP: RFC 826, the host rules of RFC 1122 2.3.2, probes and conflicts of RFC 5227."""
import errno

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from light import ADDR, BROADCAST, HOST, HOST_MAC, MAC, ROUTER, Stack, errno_of

OTHER, OTHER_MAC = '192.0.2.77', '02:00:00:00:00:77'
ZERO_MAC = '00:00:00:00:00:00'


def arp(op='who-has', sender=HOST, mac=HOST_MAC, target=ADDR, target_mac=ZERO_MAC, dst=None, **fields):
    dst = dst or (BROADCAST if op == 'who-has' else MAC)
    return Ether(src=mac, dst=dst) / ARP(op=op, hwsrc=mac, psrc=sender, hwdst=target_mac, pdst=target,
                                         **fields)


def fresh(**settings):
    return Stack(neighbours=False, **settings)


def resolved(s, addr=HOST):
    """The MAC under which the stack knows addr, or None."""
    entry = s.neighbours().get(addr)
    return entry['mac'] if entry and entry['state'] not in ('incomplete', 'failed') else None


def sends_to(s, addr=HOST):
    """The destination MAC of a datagram sent now; None if only an ARP request left."""
    s.udp().sendto(b'x', addr, 9)
    frames = [f for f in s.sent(UDP) if f[IP].dst == addr]
    return frames[-1][Ether].dst if frames else None


# covers: 826-reply
def test_request_for_us_is_answered():
    s = fresh()
    s.inject(arp())
    reply = s.one(ARP)
    assert (reply[Ether].dst, reply[Ether].src) == (HOST_MAC, MAC)
    assert (reply[ARP].op, reply[ARP].hwsrc, reply[ARP].psrc) == (2, MAC, ADDR)
    assert (reply[ARP].hwdst, reply[ARP].pdst) == (HOST_MAC, HOST)


# covers: 826-reply
def test_unicast_request_is_answered_at_once():
    s = fresh()
    s.inject(arp(dst=MAC))
    assert s.one(ARP).time == s.now


# covers: 826-other
def test_request_for_another_address_is_not_answered():
    s = fresh()
    s.inject(arp(target=OTHER), arp(target='192.0.2.0'), arp(target='192.0.2.255'))
    s.run(2)
    s.none()
    s.inject(arp())
    assert s.one(ARP)[ARP].pdst == HOST


# covers: 826-merge
@pytest.mark.parametrize('packet', [
    arp('is-at', mac=OTHER_MAC),
    arp('who-has', mac=OTHER_MAC, target=OTHER),
    arp('is-at', mac=OTHER_MAC, target=OTHER, dst=BROADCAST),
    arp('who-has', mac=OTHER_MAC, target=HOST),           # gratuitous
], ids=['reply', 'request-for-other', 'reply-to-other', 'gratuitous'])
def test_a_known_sender_is_merged_from_any_packet(packet):
    s = fresh()
    s.inject(arp())
    assert resolved(s) == HOST_MAC
    s.run(2)                    # Linux and others protect an entry for a moment after an update
    s.inject(packet)
    assert resolved(s) == OTHER_MAC
    s.sent()
    assert sends_to(s) == OTHER_MAC


# covers: 826-learn
def test_the_requester_is_learnt():
    s = fresh()
    s.inject(arp())
    s.sent()
    assert sends_to(s) == HOST_MAC
    s.none(ARP)


# covers: 826-nolearn
def test_bystanders_are_not_learnt():
    s = fresh()
    s.inject(arp(sender=OTHER, mac=OTHER_MAC, target=HOST),
             arp('is-at', sender=OTHER, mac=OTHER_MAC, target=HOST, dst=BROADCAST))
    assert OTHER not in s.neighbours()
    assert sends_to(s, OTHER) is None
    assert s.one(ARP)[ARP].pdst == OTHER


# covers: 826-format
def test_request_format():
    s = fresh()
    assert sends_to(s) is None
    request = s.one(ARP)
    assert (request[Ether].dst, request[Ether].src, request[Ether].type) == (BROADCAST, MAC, 0x0806)
    a = request[ARP]
    assert (a.hwtype, a.ptype, a.hwlen, a.plen, a.op) == (1, 0x0800, 6, 4, 1)
    assert (a.hwsrc, a.psrc, a.pdst) == (MAC, ADDR, HOST)


def malformed():
    good = bytes(arp(mac=OTHER_MAC))
    yield 'htype', good[:14] + b'\0\6' + good[16:]
    yield 'ptype', good[:16] + b'\x86\xdd' + good[18:]
    yield 'hlen', good[:18] + b'\x08' + good[19:]
    yield 'plen', good[:19] + b'\x10' + good[20:]
    for op in (0, 3, 8, 25, 0xffff):
        yield f'op{op}', good[:20] + op.to_bytes(2, 'big') + good[22:]
    for n in range(14, 42):
        yield f'cut{n}', good[:n]
    # A sender that is no station's address.
    for name, mac in (('broadcast', b'\xff' * 6), ('group', b'\1\0\x5e\0\0\1')):
        yield name, good[:22] + mac + good[28:]


# covers: 826-invalid
def test_malformed_packets_change_nothing():
    s = fresh()
    s.inject(arp())
    s.run(2)
    s.sent()
    for name, frame in malformed():
        s.inject(frame)
        assert resolved(s) == HOST_MAC, name
    s.run(0.5)
    s.none()
    assert set(s.neighbours()) == {HOST}


# covers: 826-resolve
def test_the_first_packet_waits_for_the_reply():
    s = fresh()
    s.udp(5000).sendto(b'first', HOST, 9)
    s.one(ARP)
    s.none(UDP)
    s.inject(arp('is-at', target_mac=MAC))
    sent = s.one(UDP)
    assert sent[Ether].dst == HOST_MAC and sent[Raw].load == b'first'
    s.run(5)
    s.none(UDP)


# covers: 1122-2.3.2.1-flush
def test_a_silently_changed_mac_is_found_out():
    s = fresh()
    s.inject(arp())
    s.sent()
    sock = s.udp()
    reached = None
    for second in range(180):
        assert errno_of(sock.sendto, b'x', HOST, 9) in (0, errno.EHOSTUNREACH)
        s.run(1)
        for f in s.sent():
            if ARP in f and f[ARP].op == 1 and f[Ether].dst in (BROADCAST, OTHER_MAC):
                s.inject(arp('is-at', mac=OTHER_MAC, target_mac=MAC))
            elif UDP in f and f[Ether].dst == OTHER_MAC and reached is None:
                reached = second
    assert reached is not None and reached <= 120, f'the new MAC was reached after {reached} s'


# covers: 1122-2.3.2.1-conf
@pytest.mark.parametrize('timeout', [4, 35, 100])
def test_an_entry_in_use_is_asked_for_again_within_the_timeout_that_was_set(timeout):
    s = Stack(neighbours=False, **({} if timeout == 35 else {'neighbour_timeout': timeout * 10**9}))
    sock = s.udp()
    confirmed, asked = [], []
    sock.sendto(b'x', HOST, 9)
    for _ in range(30 * timeout):
        for f in s.sent(ARP):
            asked.append((f.time, f[Ether].dst))
            s.inject(arp('is-at', target_mac=MAC))
            confirmed.append(s.now)
        sock.sendto(b'x', HOST, 9)
        s.run(0.1)
    assert len(asked) >= 3 and all(dst == HOST_MAC for _, dst in asked[1:])
    gaps = [t - c for (t, _), c in zip(asked[1:], confirmed)]
    assert all(timeout / 2 <= gap <= timeout for gap in gaps), gaps


# covers: linux-gratuitous
@pytest.mark.parametrize('op', ['who-has', 'is-at'])
def test_gratuitous_arp_updates_after_a_second_and_creates_nothing(op):
    s = fresh()
    gratuitous = arp(op, mac=OTHER_MAC, target=HOST, dst=BROADCAST)
    s.inject(gratuitous)
    assert HOST not in s.neighbours()
    s.inject(arp())
    assert resolved(s) == HOST_MAC
    s.run(0.9)
    s.inject(gratuitous)
    assert resolved(s) == HOST_MAC
    s.run(0.2)
    s.inject(gratuitous)
    assert resolved(s) == OTHER_MAC


# covers: 1122-2.3.2.1-flood
def test_requests_are_at_most_one_a_second():
    s = fresh()
    sock = s.udp()
    times = []
    for _ in range(400):
        try:
            sock.sendto(b'x', HOST, 9)
        except OSError as e:
            assert e.errno == errno.EHOSTUNREACH
        s.run(0.025)
        times += [f.time for f in s.sent(ARP) if f[ARP].pdst == HOST]
    assert len(times) >= 3
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert min(gaps) >= 1, f'requests at {times}'


# covers: 1122-2.3.2.2-queue
def test_the_latest_packet_is_kept_and_the_queue_is_bounded():
    s = fresh()
    sock = s.udp()
    for i in range(500):
        sock.sendto(f'packet {i}'.encode(), HOST, 9)
    assert 1 <= s.memory()['packets_held'] <= 128
    s.inject(arp('is-at', target_mac=MAC))
    payloads = [f[Raw].load for f in s.sent(UDP)]
    assert payloads[-1] == b'packet 499'
    assert len(payloads) <= 128
    assert s.memory()['packets_held'] == 0


# covers: 1122-2.3.2.2-queue
def test_each_neighbour_has_its_own_queue():
    s = fresh()
    sock = s.udp()
    sock.sendto(b'one', HOST, 9)
    sock.sendto(b'two', OTHER, 9)
    s.inject(arp('is-at', target_mac=MAC), arp('is-at', sender=OTHER, mac=OTHER_MAC, target_mac=MAC))
    assert {(f[Ether].dst, f[Raw].load) for f in s.sent(UDP)} == \
        {(HOST_MAC, b'one'), (OTHER_MAC, b'two')}


# covers: arp-fail
def test_failed_resolution_reaches_the_sender():
    s = fresh()
    sock = s.udp()
    sock.connect(HOST, 9)
    sock.sendto(b'x')
    s.run(4)
    requests = s.sent(ARP)
    assert len(requests) == 3
    assert [round(b.time - a.time, 6) for a, b in zip(requests, requests[1:])] == [1, 1]
    s.none(UDP)
    assert s.memory()['packets_held'] == 0
    assert sock.take_error() == errno.EHOSTUNREACH
    s.inject(arp('is-at', target_mac=MAC))
    s.none(UDP)


# covers: arp-fail
def test_failed_resolution_fails_a_connect():
    s = fresh()
    sock = s.stream().connect(HOST, 80)
    s.run(200)
    assert sock.take_error() == errno.EHOSTUNREACH


# covers: 5227-2.5-answer
def test_probes_are_answered_and_not_learnt():
    s = fresh()
    s.inject(arp(sender='0.0.0.0'))
    reply = s.one(ARP)
    assert (reply[ARP].op, reply[ARP].hwsrc, reply[ARP].psrc) == (2, MAC, ADDR)
    assert (reply[ARP].pdst, reply[ARP].hwdst) == ('0.0.0.0', HOST_MAC)
    assert not {'0.0.0.0', '-'} & set(s.neighbours())


def test_an_address_is_announced_when_it_is_given():
    s = Stack(neighbours=False, quiet=False)
    s.run(10)
    announced = s.sent(ARP)
    assert announced and all(f[ARP].psrc == f[ARP].pdst == ADDR and f[Ether].dst == BROADCAST
                             and f[ARP].op == 1 for f in announced)


def test_echo_reply_needs_no_request_after_ours_was_learnt():
    s = fresh()
    s.inject(arp())
    s.sent()
    s.inject(IP(src=HOST, dst=ADDR) / ICMP(id=7, seq=1) / Raw(b'ping'))
    assert s.one()[Ether].dst == HOST_MAC


def test_off_link_traffic_resolves_the_router():
    s = fresh()
    s.udp().sendto(b'x', '198.51.100.7', 9)
    assert s.one()[ARP].pdst == ROUTER
