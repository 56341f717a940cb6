# SPDX-License-Identifier: BSD-3-Clause
"""IPv4 groups: who gets what is sent to one (RFC 1112), what of memberships is told to routers (RFC 3376, and
RFC 2236 and RFC 1112 while an older router is on the link), and the options of ip(7). Messages are built and read here by hand."""
import errno
import socket
import struct

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from light import ADDR, HOST, HOST_MAC, MAC, Stack, errno_of
from oracle import checksum
from packets import ether, split, udp, with_checksum

GROUP, OTHER = '239.1.2.3', '239.1.2.4'
SECOND = '198.51.100.10'
V3_ROUTERS, V2_ROUTERS, ALL = '224.0.0.22', '224.0.0.2', '224.0.0.1'
IS_INCLUDE, IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE = 1, 2, 3, 4
ALERT = bytes([0x94, 4, 0, 0])


def mac_of(group):
    b = socket.inet_aton(group)
    return '01:00:5e:%02x:%02x:%02x' % (b[1] & 127, b[2], b[3])


def to_group(data=b'x', group=GROUP, **fields):
    return ether(udp(data, dst=group, **fields), dst=mac_of(group))


def igmp(body, dst=ALL, alert=True, src=HOST):
    """A message, its checksum as given; alert: with the router alert option, as all but those of version 1."""
    header = struct.pack('>BBHHHBBH4s4s', 0x46 if alert else 0x45, 0xc0, (24 if alert else 20) + len(body), 0, 0, 1, 2, 0,
                         socket.inet_aton(src), socket.inet_aton(dst)) + (ALERT if alert else b'')
    header = header[:10] + checksum(header).to_bytes(2, 'big') + header[12:]
    return bytes(Ether(src=HOST_MAC, dst=mac_of(dst), type=0x800)) + header + body


def query(code=100, group='0.0.0.0', sources=(), robustness=2, interval=125):
    body = struct.pack('>BBH4sBBH', 0x11, code, 0, socket.inet_aton(group), robustness, interval, len(sources))
    return igmp(with_checksum(body + b''.join(map(socket.inet_aton, sources))), dst=ALL if group == '0.0.0.0' else group)


def old_query(code, group='0.0.0.0'):
    return igmp(with_checksum(struct.pack('>BBH4s', 0x11, code, 0, socket.inet_aton(group))),
                dst=ALL if group == '0.0.0.0' else group, alert=code != 0)


def messages(s):
    """What was sent of IGMP, each (when, destination, type, what): of a version 3 report, its records (type, group, sources)."""
    out = []
    for f in s.sent(IP, where=lambda f: f[IP].proto == 2):
        ip = f.raw[14:]
        total = struct.unpack('>H', ip[2:4])[0]
        assert ip[0] == 0x46 and ip[20:24] == ALERT, 'no router alert option'
        assert ip[8] == 1, 'a TTL that is not 1'
        body = ip[24:total]
        words = struct.unpack(f'>{len(body) // 2}H', body)
        assert sum(words) % 0xffff == 0, 'a wrong checksum'
        destination = socket.inet_ntoa(ip[16:20])
        assert f.packet.dst == mac_of(destination)
        if body[0] != 0x22:
            assert len(body) == 8
            out.append((f.time, destination, body[0], socket.inet_ntoa(body[4:8])))
            continue
        records, at = [], 8
        for _ in range(struct.unpack('>H', body[6:8])[0]):
            kind, aux, n = body[at], body[at + 1], struct.unpack('>H', body[at + 2:at + 4])[0]
            assert aux == 0
            sources = [socket.inet_ntoa(body[at + 8 + 4 * i:at + 12 + 4 * i]) for i in range(n)]
            records.append((kind, socket.inet_ntoa(body[at + 4:at + 8]), sources))
            at += 8 + 4 * n
        assert at == len(body)
        out.append((f.time, destination, 0x22, records))
    return out


def settled(group=GROUP, **settings):
    """A stack with a member, whose joining was reported and is over."""
    s = Stack(**settings)
    sock = s.udp(5000).join(group)
    s.run(20)
    messages(s)
    return s, sock


def got(sock):
    out = []
    while errno_of(lambda: out.append(sock.recvfrom()[0])) == 0:
        pass
    return out


def second_interface(s):
    number = s.result('link', 'eth1', MAC, 1500)
    assert s.result('address', number, SECOND + '/24') == 0
    s.oracle.addresses.add(socket.inet_aton(SECOND))
    s.run(10)
    s.sent()
    return number


# ---- who gets what

# covers: 1112-6.1-join
def test_a_group_is_delivered_to_members_while_there_are_any():
    s = Stack()
    sock = s.udp(5000)
    s.inject(to_group(b'before'))
    assert got(sock) == [] and s.counter('IP_DESTINATION') == 1
    sock.join(GROUP)
    s.inject(to_group(b'joined'), to_group(b'another', group=OTHER))
    assert got(sock) == [b'joined'] and s.counter('IP_DESTINATION') == 2
    sock.leave(GROUP)
    s.inject(to_group(b'after'))
    assert got(sock) == []
    assert not s.sent(where=lambda f: IP in f and f[IP].proto == 1)      # nor does anybody complain


# covers: 1112-6.1-join
def test_a_group_is_joined_on_one_interface():
    s = Stack()
    second = second_interface(s)
    sock = s.udp(5000).join(GROUP, SECOND)
    frame = bytes(to_group(b'first'))
    s.request('inject', s.interface, frame.hex())
    assert got(sock) == []
    s.request('inject', second, bytes(to_group(b'second')).hex())
    assert got(sock) == [b'second']
    sock.leave(GROUP, second)
    sock.join(GROUP)                                                     # as routes say: the first
    s.request('inject', s.interface, frame.hex())
    s.request('inject', second, bytes(to_group(b'second')).hex())
    assert got(sock) == [b'first']


# covers: 1112-6.1-join
def test_every_member_gets_a_copy_and_the_last_one_ends_it():
    s = Stack()
    socks = [s.datagram().set('REUSE_ADDR', 1).bind(addr, 5000).join(GROUP) for addr in ('0.0.0.0', GROUP)]
    elsewhere, unicast = s.udp(5001).join(GROUP), s.datagram().set('REUSE_ADDR', 1).bind(ADDR, 5000)
    s.inject(to_group(b'one'))
    assert [got(sock) for sock in socks] == [[b'one']] * 2 and got(elsewhere) == [] and got(unicast) == []
    socks[1].close()
    s.inject(to_group(b'two'))
    assert got(socks[0]) == [b'two']
    socks[0].leave(GROUP)
    elsewhere.abort()
    s.inject(to_group(b'three'))
    assert got(socks[0]) == []


def test_a_group_in_fragments():
    s = Stack()
    sock = s.udp(5000).join(GROUP)
    whole = bytes(udp(bytes(2000), dst=GROUP))[20:]
    s.inject(*[ether(piece, dst=mac_of(GROUP)) for piece in split(whole, [1000], dst=GROUP)])
    assert [len(x) for x in got(sock)] == [2000]


# ---- the options

def test_who_may_join_and_leave():
    s = Stack()
    sock, stream = s.udp(5000), s.stream()
    assert errno_of(sock.join, '10.0.0.1') == errno.EINVAL
    assert errno_of(sock.join, GROUP, '203.0.113.9') == errno.ENODEV
    assert errno_of(sock.join, GROUP, 9) == errno.ENODEV
    assert errno_of(stream.join, GROUP) == errno.EPROTO
    assert errno_of(sock.leave, GROUP) == errno.EADDRNOTAVAIL
    sock.join(GROUP, ADDR)
    for interface in (0, ADDR, s.interface):
        assert errno_of(sock.join, GROUP, interface) == errno.EADDRINUSE
    assert errno_of(sock.leave, GROUP, '127.0.0.1') == errno.EADDRNOTAVAIL
    sock.leave(GROUP)
    assert errno_of(sock.leave, GROUP) == errno.EADDRNOTAVAIL
    nowhere = Stack(addresses=(), gateway=None)
    assert errno_of(nowhere.udp(5000).join, GROUP) == errno.ENODEV


def test_a_socket_is_in_twenty_groups():
    s = Stack()
    sock = s.udp(5000)
    for i in range(20):
        sock.join(f'239.0.0.{i}')
    assert errno_of(sock.join, '239.0.0.20') == errno.ENOBUFS
    sock.leave('239.0.0.7').join('239.0.0.20')


def test_what_is_sent_to_a_group_comes_back_to_members_unless_told_not_to():
    s = Stack()
    member, sender, stranger = s.udp(5000).join(GROUP), s.udp(5001), s.udp(5002)
    assert sender.get('MULTICAST_LOOP') == 1 and sender.get('MULTICAST_TTL') == 1
    sender.sendto(b'loop', GROUP, 5000)
    assert s.one(UDP)[Raw].load == b'loop'
    assert member.recvfrom() == (b'loop', (ADDR, 5001)) and got(member) == []
    sender.set('MULTICAST_LOOP', 0).sendto(b'no loop', GROUP, 5000)
    assert s.one(UDP)[Raw].load == b'no loop' and got(member) == []
    sender.set('MULTICAST_LOOP', 1).sendto(b'nobody there', OTHER, 5000)
    assert s.one(UDP)[IP].dst == OTHER and got(member) == [] == got(stranger)
    sender.set('MULTICAST_TTL', 0).sendto(b'this host', GROUP, 5000)      # ip(7): never leaves it
    s.none(UDP)
    assert got(member) == [b'this host']
    sender.set('MULTICAST_TTL', 9).sendto(bytes(3000), GROUP, 5000)       # cut for the link, whole for the host
    assert {f[IP].ttl for f in s.sent(IP, where=lambda f: f[IP].dst == GROUP)} == {9} and got(member) == [bytes(3000)]
    # A member that sends hears itself.
    member.sendto(b'self', GROUP, 5000)
    assert got(member) == [b'self']


def test_the_interface_that_is_sent_by():
    s = Stack()
    second = second_interface(s)
    sock, member = s.udp(5000), s.udp(6000).join(GROUP, second)
    sock.sendto(b'default', GROUP, 6000)
    f = s.one(UDP)
    assert f.interface == s.interface and f[IP].src == ADDR and got(member) == []
    address = int.from_bytes(socket.inet_aton(SECOND), 'big')
    for value in (address, second << 32):
        sock.set('MULTICAST_IF', value)
        assert sock.get('MULTICAST_IF') & 0xffffffff == value & 0xffffffff
        sock.sendto(b'second', GROUP, 6000)
        f = s.one(UDP)
        assert f.interface == second and f[IP].src == SECOND and f.packet.dst == mac_of(GROUP)
        assert got(member) == [b'second']
    sock.set('MULTICAST_IF', 0).sendto(b'default', GROUP, 6000)
    assert s.one(UDP).interface == s.interface
    assert errno_of(sock.set, 'MULTICAST_IF', 0xcb007109) == errno.EADDRNOTAVAIL
    assert errno_of(sock.set, 'MULTICAST_IF', 9 << 32) == errno.EADDRNOTAVAIL
    assert errno_of(s.stream().set, 'MULTICAST_IF', address) == errno.EINVAL


def test_the_loopback_interface_carries_groups():
    s = Stack()
    member, sender = s.udp(5000).join(GROUP, '127.0.0.1'), s.udp(5001)
    sender.set('MULTICAST_IF', 0x7f000001).sendto(b'inside', GROUP, 5000)
    assert member.recvfrom() == (b'inside', ('127.0.0.1', 5001)) and got(member) == []
    s.run(10)
    s.none()


def test_groups_that_only_others_joined():
    s = Stack()
    member, everything, own = (s.datagram().set('REUSE_ADDR', 1).bind('0.0.0.0', 5000) for _ in range(3))
    member.join(GROUP)
    assert own.get('MULTICAST_ALL') == 1
    own.set('MULTICAST_ALL', 0).join(OTHER)
    assert errno_of(own.set, 'MULTICAST_ALL', 2) == errno.EINVAL
    s.inject(to_group(b'group'), to_group(b'other', group=OTHER))
    assert (got(member), got(everything), got(own)) == ([b'group', b'other'], [b'group', b'other'], [b'other'])


# ---- reports

# covers: 3376-5.1-report
def test_joining_is_reported_at_once_and_again_at_a_random_time():
    gaps = []
    for seed in range(1, 6):
        s = Stack(secret='%032x' % seed)
        at = s.now
        s.udp(5000).join(GROUP)
        s.run(30)
        sent = messages(s)
        assert [m[1:] for m in sent] == [(V3_ROUTERS, 0x22, [(TO_EXCLUDE, GROUP, [])])] * 2
        assert sent[0][0] == at and 0 < sent[1][0] - at <= 1
        gaps.append(sent[1][0] - at)
    assert len(set(gaps)) == len(gaps)


# covers: 3376-5.1-report
def test_joining_is_reported_as_often_as_the_querier_says():
    s = Stack()
    s.inject(query(robustness=4))
    at = s.now
    s.udp(5000).join(GROUP)
    s.run(30)
    sent = [m for m in messages(s)]
    assert len(sent) == 4 and all(m[3] == [(TO_EXCLUDE, GROUP, [])] for m in sent)
    times = [m[0] for m in sent]
    assert times[0] == at and all(0 < b - a <= 1 for a, b in zip(times, times[1:]))


def test_a_second_member_and_one_of_two_leaving_change_nothing():
    s, sock = settled()
    other = s.udp(5001).join(GROUP)
    other.close()
    s.run(20)
    assert messages(s) == []


def test_all_hosts_is_joined_without_a_report():
    s = Stack()
    sock = s.udp(5000).join(ALL)
    s.inject(query())
    s.run(30)
    sock.close()
    s.run(30)
    assert messages(s) == []


# covers: 3376-5.1-leave
@pytest.mark.parametrize('how', ['leave', 'close', 'abort'])
def test_the_last_to_leave_is_reported(how):
    s, sock = settled()
    other = s.udp(5001).join(GROUP)
    other.leave(GROUP)
    assert messages(s) == []
    at = s.now
    sock.leave(GROUP) if how == 'leave' else getattr(sock, how)()
    s.run(20)
    sent = messages(s)
    assert [m[1:] for m in sent] == [(V3_ROUTERS, 0x22, [(TO_INCLUDE, GROUP, [])])] * 2
    assert sent[0][0] == at and 0 < sent[1][0] - at <= 1
    s.inject(query())
    s.run(20)
    assert messages(s) == []


# covers: 3376-5.1-leave
def test_who_joins_again_says_the_last_word():
    s, sock = settled()
    sock.leave(GROUP)
    sock.join(GROUP)
    s.run(20)
    kinds = [m[3][0][0] for m in messages(s)]
    assert kinds[0] == TO_INCLUDE and kinds[1:] and set(kinds[1:]) == {TO_EXCLUDE}


def test_the_carrier_comes_back():
    s, _ = settled()
    s.request('carrier', s.interface, 0)
    s.run(5)
    s.request('carrier', s.interface, 1)
    s.run(20)
    assert {tuple(m[3][0][:2]) for m in messages(s)} == {(TO_EXCLUDE, GROUP)}


# ---- queries

# covers: 3376-5.2-query
def test_a_general_query_is_answered_within_the_time_it_gives():
    delays = []
    for seed in range(1, 6):
        s, sock = settled(secret='%032x' % seed)
        sock.join(OTHER)
        s.run(20)
        messages(s)
        at = s.now
        s.inject(query(code=50))
        s.run(60)
        sent = messages(s)
        assert len(sent) == 1 and sent[0][1:3] == (V3_ROUTERS, 0x22)
        assert sorted(sent[0][3]) == [(IS_EXCLUDE, GROUP, []), (IS_EXCLUDE, OTHER, [])]
        assert 0 < sent[0][0] - at <= 5
        delays.append(sent[0][0] - at)
    assert len(set(delays)) == len(delays) and max(delays) > 1


# covers: 3376-5.2-query
def test_a_query_about_a_group_is_answered_for_that_group():
    s, sock = settled()
    sock.join(OTHER)
    s.run(20)
    messages(s)
    at = s.now
    s.inject(query(code=10, group=GROUP))
    s.run(20)
    sent = messages(s)
    assert [m[1:] for m in sent] == [(V3_ROUTERS, 0x22, [(IS_EXCLUDE, GROUP, [])])] and 0 < sent[0][0] - at <= 1
    s.inject(query(code=10, group='239.9.9.9'))
    s.run(20)
    assert messages(s) == []


# covers: 3376-5.2-query
def test_a_query_about_sources_is_answered_with_those_that_are_wanted():
    s, _ = settled()
    s.inject(query(code=20, group=GROUP, sources=['10.0.0.1', '10.0.0.2']))
    s.inject(query(code=20, group=GROUP, sources=['10.0.0.3']))
    s.run(20)
    assert [m[3] for m in messages(s)] == [[(IS_INCLUDE, GROUP, ['10.0.0.1', '10.0.0.2', '10.0.0.3'])]]
    s.inject(query(code=20, group=GROUP, sources=['10.0.0.1']))
    s.inject(query(code=20, group=GROUP))
    s.run(20)
    assert [m[3] for m in messages(s)] == [[(IS_EXCLUDE, GROUP, [])]]
    s.inject(query(code=20, group=GROUP, sources=['10.0.%d.%d' % (i // 256, i % 256) for i in range(200)]))
    s.run(20)
    assert [m[3] for m in messages(s)] == [[(IS_EXCLUDE, GROUP, [])]]      # more than are kept: all of it


# covers: 3376-5.2-query
def test_long_response_times_are_a_small_floating_point_number():
    s, _ = settled()
    at = s.now
    s.inject(query(code=0xff))                       # (15 | 16) << 10 tenths: 3174.4 s
    s.run(4000)
    sent = messages(s)
    assert len(sent) == 1 and 12.7 < sent[0][0] - at <= 3174.4


# ---- bounds

# covers: 3376-9.1-flood
def test_a_flood_of_queries_is_answered_once_and_never_at_once():
    s = Stack()
    socks = [s.udp(5000 + k) for k in range(10)]
    for k, sock in enumerate(socks):
        for i in range(20):
            sock.join(f'239.7.{k}.{i}')
    s.run(20)
    messages(s)
    for _ in range(200):
        s.inject(query(code=100), query(code=100, group='239.7.0.0'))
        assert len(messages(s)) <= 1
    s.run(20)
    sent = messages(s)
    records = [r for m in sent for r in m[3]]
    # Those of the first queries; 200 groups are 1,600 bytes of records, two packets.
    assert len(sent) <= 4 and {r[1] for r in records} == {f'239.7.{k}.{i}' for k in range(10) for i in range(20)}


# covers: 3376-9.1-flood
def test_older_queries_are_answered_group_by_group_at_random_times():
    s = Stack()
    sock = s.udp(5000)
    for i in range(20):
        sock.join(f'239.7.0.{i}')
    s.run(20)
    messages(s)
    at = s.now
    for _ in range(50):
        s.inject(old_query(100))
    assert messages(s) == []
    s.run(10)
    sent = messages(s)
    assert sorted(m[3] for m in sent) == sorted(f'239.7.0.{i}' for i in range(20))
    assert len({m[0] for m in sent}) == 20 and all(0 < m[0] - at <= 10 for m in sent)


# covers: 3376-4-cksum
def test_messages_that_are_wrong_are_ignored():
    s, _ = settled()
    broken = struct.pack('>BBH4sBBH', 0x11, 10, 0x1234, bytes(4), 2, 125, 0)
    s.inject(igmp(broken))
    assert s.counter('IGMP_CHECKSUM') == 1
    for kind in (0x00, 0x13, 0x17, 0x22, 0x30, 0xff):
        s.inject(igmp(with_checksum(bytes([kind]) + bytes(11))))
    assert s.counter('IGMP_TYPE') == 6
    short = [bytes([0x11, 10]) + bytes(n - 2) for n in (2, 4, 7, 9, 10, 11)]
    lying = struct.pack('>BBH4sBBH', 0x11, 10, 0, bytes(4), 2, 125, 3) + bytes(8)
    for body in short + [lying]:
        s.inject(igmp(with_checksum(body)))
    assert s.counter('IGMP_SHORT') == 7
    s.run(60)
    assert messages(s) == []
    s.inject(query(code=10))
    s.run(5)
    assert len(messages(s)) == 1


# ---- older routers

# covers: 3376-7.2-compat
@pytest.mark.parametrize('version, code, kind', [(2, 100, 0x16), (1, 0, 0x12)])
def test_an_older_router_is_answered_in_its_version_until_it_is_gone(version, code, kind):
    s, sock = settled()
    at = s.now
    s.inject(old_query(code))
    s.run(20)
    sent = messages(s)
    assert [m[1:] for m in sent] == [(GROUP, kind, GROUP)] and 0 < sent[0][0] - at <= 10
    # Version 3 queries do not end it; robustness 2 times 125 s and 10 s do (RFC 3376 8.12).
    s.inject(query(code=10))
    s.until(at + 259)
    assert [m[1:] for m in messages(s)] == [(GROUP, kind, GROUP)]
    s.inject(query(code=1))
    s.run(0.5)
    assert [m[2] for m in messages(s)] == [kind]
    s.until(at + 261)
    s.inject(query(code=10))
    s.run(5)
    assert [m[1:] for m in messages(s)] == [(V3_ROUTERS, 0x22, [(IS_EXCLUDE, GROUP, [])])]


# covers: 3376-7.2-compat
def test_joining_and_leaving_while_an_older_router_is_there():
    s = Stack()
    s.inject(old_query(100))
    sock = s.udp(5000).join(GROUP)
    s.run(20)
    assert [m[1:] for m in messages(s)] == [(GROUP, 0x16, GROUP)] * 2
    sock.leave(GROUP)
    s.run(20)
    assert [m[1:] for m in messages(s)] == [(V2_ROUTERS, 0x17, GROUP)]
    s.inject(old_query(0))                           # version 1 knows no leaving
    sock.join(GROUP)
    s.run(20)
    assert [m[1:] for m in messages(s)] == [(GROUP, 0x12, GROUP)] * 2
    sock.leave(GROUP)
    s.run(20)
    assert messages(s) == []


# covers: 3376-7.2-compat
def test_another_hosts_report_makes_ours_needless():
    s, sock = settled()
    s.inject(old_query(100), igmp(with_checksum(struct.pack('>BBH4s', 0x16, 0, 0, socket.inet_aton(GROUP))), dst=GROUP))
    s.run(30)
    assert messages(s) == []
    sock.leave(GROUP)                                # the other one is still there (RFC 2236 3)
    s.run(20)
    assert messages(s) == []


# covers: 3376-7.2-compat
def test_a_change_of_version_cancels_what_was_pending():
    s, _ = settled()
    s.inject(query(code=100))
    s.inject(old_query(100))
    s.run(30)
    assert [m[1:] for m in messages(s)] == [(GROUP, 0x16, GROUP)]
