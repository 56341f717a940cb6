# SPDX-License-Identifier: BSD-3-Clause
"""Opening: RFC 9293 3.5 and 3.10.7.1-3.10.7.4 for CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED; addresses (3.9.1.1,
3.9.2.3)."""
import errno

import pytest
from scapy.layers.inet import IP

from light import ADDR, BROADCAST, CONNECTED, ERROR, HOST, READABLE, Stack, errno_of
from peer import M32, Peer, established, opened, syn_sent

SECOND = '192.0.2.10'


def syn_received(s, port=80, **peer):
    listener = s.listener(port)
    p = Peer(s, stack_port=port, **peer)
    p.send('S')
    return p, listener, p.one('SA', ack=p.seq)


def test_passive_open():
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    p.connect()
    assert s.events_of(listener) & READABLE
    sock = listener.accept()
    assert sock.peer() == (HOST, 40000) and sock.local() == (ADDR, 80)
    assert errno_of(listener.accept) == errno.EAGAIN


def test_active_open():
    s = Stack()
    p, sock, syn = syn_sent(s)
    assert syn.ack == 0
    p.send('SA')
    p.one('A', seq=syn.seq + 1 & M32, ack=p.seq)
    assert s.events_of(sock) & CONNECTED and sock.state() == 'ESTABLISHED'


# ---- CLOSED and LISTEN

# covers: 9293-3.5.2-closed
@pytest.mark.parametrize('flags,data', [('S', b''), ('', b''), ('F', b''), ('', b'abc'), ('SF', b'ab'),
                                        ('FPU', b'x'), ('A', b''), ('FA', b'data'), ('SA', b'')])
def test_a_segment_to_a_closed_port_is_reset(flags, data):
    s = Stack()
    p = Peer(s, stack_port=81)
    p.send(flags, data, seq=7000, ack=99 if 'A' in flags else 0)
    if 'A' in flags:
        p.one('R', seq=99, ack=0, data=b'')
    else:
        length = len(data) + ('S' in flags) + ('F' in flags)
        p.one('RA', seq=0, ack=7000 + length, data=b'')
    p.none()


# covers: 9293-3.5.2-closed
def test_a_reset_to_a_closed_port_draws_nothing():
    s = Stack()
    p = Peer(s, stack_port=81)
    for flags in ('R', 'RA', 'RS', 'RFA'):
        p.send(flags, seq=1, ack=2)
    s.run(1)
    s.none()


# covers: 9293-3.5.2-listen-ack
@pytest.mark.parametrize('flags,data', [('A', b''), ('FA', b''), ('SA', b''), ('PA', b'data')])
def test_an_ack_to_a_listener_is_reset(flags, data):
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    p.send(flags, data, seq=5, ack=12345)
    p.one('R', seq=12345, ack=0)
    assert errno_of(listener.accept) == errno.EAGAIN
    Peer(s, port=40001).connect()
    listener.accept()


# covers: 9293-3.5.2-listen-rst
def test_a_reset_to_a_listener_is_ignored():
    s = Stack()
    listener = s.listener(80)
    for flags in ('R', 'RA', 'RS'):
        Peer(s).send(flags, seq=5, ack=9)
    s.none()
    assert listener.state() == 'LISTEN'
    Peer(s).connect()


# covers: 9293-3.5.2-listen-other
@pytest.mark.parametrize('flags', ['', 'F', 'U', 'FPU', 'P'])
def test_other_segments_to_a_listener_are_dropped(flags):
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    p.send(flags, b'data', seq=5)
    s.run(2)
    s.none()
    assert errno_of(listener.accept) == errno.EAGAIN
    Peer(s, port=40001).connect()


# covers: 9293-3.5.1-olddup
def test_an_old_duplicate_syn():
    s = Stack()
    s.listener(80)
    p = Peer(s, isn=90)
    p.send('S')
    old = p.one('SA', ack=91)
    p.send('R', seq=old.ack)
    assert p.state() == 'CLOSED' and s.memory()['half_open'] == 0
    s.none()
    q = Peer(s, isn=100)
    q.connect()
    assert q.state() == 'ESTABLISHED'


# ---- SYN-SENT

# covers: 9293-3.5.2-synsent-badack
def test_a_wrong_ack_in_syn_sent():
    s = Stack()
    p, sock, syn = syn_sent(s)
    for flags in ('A', 'SA'):
        for ack in (syn.seq, syn.seq + 2, syn.seq - 1, syn.seq + 0x40000000):
            p.send(flags, seq=5, ack=ack & M32)
            p.one('R', seq=ack & M32, ack=0)
            assert sock.state() == 'SYN_SENT'
    p.send('SA')
    p.one('A')
    assert sock.state() == 'ESTABLISHED'


# covers: 9293-3.5.3-synsent-rst 5961-3.2-synsent
def test_a_reset_in_syn_sent_needs_the_ack():
    s = Stack()
    p, sock, syn = syn_sent(s)
    p.send('R', seq=syn.seq + 1)
    p.send('R', seq=0)
    for ack in (syn.seq, syn.seq + 2, 0):
        p.send('RA', seq=0, ack=ack & M32)
    s.none()
    assert sock.state() == 'SYN_SENT' and sock.take_error() == 0
    p.send('RA', seq=0, ack=syn.seq + 1)
    assert s.events_of(sock) & ERROR
    assert sock.take_error() == errno.ECONNREFUSED
    s.run(10)
    s.none()


# covers: 9293-3.6-close-synsent
def test_close_in_syn_sent():
    s = Stack()
    p, sock, syn = syn_sent(s)
    sock.close()
    s.none()
    p.send('SA', ack=syn.seq + 1)
    p.one('R', seq=syn.seq + 1)
    s.run(200)
    s.none()
    assert s.memory()['connections'] == 0


# covers: MUST-10
def test_simultaneous_open():
    s = Stack()
    p, sock, syn = syn_sent(s)
    p.send('S')
    p.one('SA', seq=syn.seq, ack=p.seq)
    p.ack = syn.seq + 1 & M32
    p.send('A')
    assert sock.state() == 'ESTABLISHED'
    sock.send(b'out')
    assert p.one('A').data == b'out'
    p.send('A', b'in')
    assert sock.recv() == b'in'


# covers: MUST-11
def test_syn_received_remembers_where_it_came_from():
    s = Stack()
    p, listener, _ = syn_received(s)
    p.send('R')
    assert p.state() == 'CLOSED' and listener.state() == 'LISTEN'
    assert listener.take_error() == 0 and errno_of(listener.accept) == errno.EAGAIN
    q, sock, syn = syn_sent(s, port=81)
    q.send('S')
    q.one('SA')
    q.send('R')
    assert sock.take_error() == errno.ECONNREFUSED


# ---- SYN-RECEIVED

# covers: 9293-3.5.2-synrcvd-badack
def test_a_wrong_ack_in_syn_received():
    s = Stack()
    p, listener, synack = syn_received(s)
    for ack in (synack.seq, synack.seq + 2, synack.seq - 5):
        p.send('A', seq=p.seq, ack=ack & M32)
        p.one('R', seq=ack & M32)
        assert errno_of(listener.accept) == errno.EAGAIN
    p.send('A')
    listener.accept()


# covers: 9293-3.5-syn-retx linux-synack-retries
def test_syn_ack_retransmission():
    s = Stack()
    p, listener, first = syn_received(s)
    s.run(200)
    again = p.segments()
    assert all((x.seq, x.ack, set(x.flags)) == (first.seq, first.ack, {'S', 'A'}) for x in again)
    assert [round(x.time - first.time, 3) for x in again] == [1, 3, 7, 15, 31]
    assert s.memory()['half_open'] == 0


# covers: linux-synack-retries
def test_the_embryo_is_dropped_at_63_seconds():
    s = Stack()
    p, listener, first = syn_received(s)
    s.until(first.time + 62.9)
    assert s.memory()['half_open'] == 1
    s.until(first.time + 63.1)
    assert s.memory()['half_open'] == 0
    p.segments()
    p.send('A')
    p.one('R')


# covers: 9293-3.5-syn-retx
def test_a_repeated_syn_draws_the_same_syn_ack():
    s = Stack()
    p, listener, first = syn_received(s)
    s.run(0.3)
    p.send('S', seq=p.isn)
    assert p.one('SA', ack=first.ack).seq == first.seq
    p.send('A')
    listener.accept()


# covers: 9293-3.5-synack-dup
def test_a_repeated_syn_ack_is_acknowledged():
    s = Stack()
    p, sock = opened(s)
    s.run(1)
    p.send('SA', seq=p.isn)
    p.one('A', ack=p.seq)
    assert sock.state() == 'ESTABLISHED'
    p.send('A', b'data')
    assert sock.recv() == b'data'


# ---- retransmission of the SYN

# covers: linux-syn-retries 6298-2.1 MUST-22
def test_syn_retries_of_linux():
    s = Stack()
    p = Peer(s, port=80)
    sock = s.stream().connect(HOST, 80)
    start = s.now
    syn = p.receive_syn()
    s.run(126.9)
    again = p.segments()
    assert all((x.seq, x.flags, x.sport) == (syn.seq, 'S', syn.sport) for x in again)
    assert [round(x.time - start, 3) for x in again] == [1, 3, 7, 15, 31, 63]
    assert sock.take_error() == 0
    s.run(0.2)
    assert s.events_of(sock) & ERROR and sock.take_error() == errno.ETIMEDOUT
    s.run(300)
    s.none()


# covers: MUST-23 MUST-22
def test_syn_retries_of_the_standard():
    s = Stack(profile='standard')
    p = Peer(s, port=80)
    sock = s.stream().connect(HOST, 80)
    p.receive_syn()
    s.run(179)
    assert sock.take_error() == 0
    s.run(400)
    times = [x.time for x in p.segments()]
    assert times[-1] - times[0] >= 90
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert all(b == pytest.approx(2 * a, abs=0.003) or b >= 60 for a, b in zip(gaps, gaps[1:]))
    assert sock.take_error() == errno.ETIMEDOUT


# ---- addresses

# covers: MUST-41
def test_listening_on_a_port_in_use_disturbs_nothing():
    s = Stack()
    p, sock = established(s)
    sock.send(b'unacknowledged')
    p.one('A')
    p.listener.close()
    second = s.stream().set('REUSE_ADDR', 1)
    if not errno_of(second.bind, '0.0.0.0', 80):
        errno_of(second.listen)
    assert errno_of(s.stream().bind, '0.0.0.0', 80) == errno.EADDRINUSE
    s.none()
    assert sock.state() == 'ESTABLISHED'
    s.run(1)
    assert p.segments()[0].data == b'unacknowledged'     # the timer goes on
    p.send('A', b'still here')
    assert sock.recv() == b'still here'
    q = Peer(s, port=40009)
    q.connect()
    second.accept()


# covers: MUST-42
def test_listening_beside_an_open_in_progress():
    s = Stack()
    p = Peer(s, port=8080)
    sock = s.stream().set('REUSE_ADDR', 1).bind(ADDR, 80)
    sock.connect(HOST, 8080)
    p.receive_syn()
    listener = s.stream().set('REUSE_ADDR', 1).bind('0.0.0.0', 80).listen()
    q = Peer(s, port=40001)
    q.connect()
    listener.accept()
    p.send('SA')
    p.one('A')
    assert sock.state() == 'ESTABLISHED'


# covers: MUST-43 MUST-45
@pytest.mark.parametrize('addr', [ADDR, SECOND])
def test_the_local_address_can_be_chosen_and_stays(addr):
    s = Stack(addresses=(ADDR + '/24', SECOND + '/24'))
    p = Peer(s, port=80)
    sock = s.stream().bind(addr, 0).connect(HOST, 80)
    syn = p.receive_syn()
    assert sock.local() == (addr, syn.sport)
    s.run(1.5)                                       # a retransmission
    p.send('SA')
    sock.send(b'data')
    s.run(3)
    sock.abort()
    frames = s.sent(IP)
    assert len(frames) >= 4 and {f[IP].src for f in frames} == {addr}
    s.stream().bind(addr, 90).listen()
    q = Peer(s, stack_port=90, stack_addr=addr)
    q.connect()
    other = SECOND if addr == ADDR else ADDR
    r = Peer(s, stack_port=90, stack_addr=other, port=40001)
    r.send('S')
    r.one('RA')


# covers: MUST-44
def test_ip_chooses_the_source():
    s = Stack(addresses=(ADDR + '/24', '198.18.0.1/16'))
    s.neighbour('198.18.0.9', '02:00:00:00:00:09')
    for peer_addr, expected in ((HOST, ADDR), ('198.18.0.9', '198.18.0.1')):
        p = Peer(s, port=80, addr=peer_addr)
        sock = s.stream().connect(peer_addr, 80)
        assert sock.local()[0] == expected
        syn = p.receive_syn()
        assert p.stack_addr == expected and sock.local() == (expected, syn.sport)


# covers: MUST-45
def test_a_passive_connection_keeps_the_address_of_the_syn():
    s = Stack(addresses=(ADDR + '/24', SECOND + '/24'))
    listener = s.listener(80)
    p = Peer(s, stack_addr=SECOND)
    p.connect()
    sock = listener.accept()
    assert sock.local() == (SECOND, 80)
    sock.send(b'data')
    s.run(5)
    sock.abort()
    frames = s.sent(IP)
    assert len(frames) >= 3 and {f[IP].src for f in frames} == {SECOND}


# covers: MUST-46
def test_connect_to_an_impossible_address():
    s = Stack()
    for addr in ('255.255.255.255', '192.0.2.255', '224.0.0.1', '239.1.2.3'):
        assert errno_of(s.stream().connect, addr, 80) in (
            errno.ENETUNREACH, errno.EACCES, errno.EINVAL, errno.EADDRNOTAVAIL), addr
    s.run(2)
    s.none()


# covers: MUST-57
@pytest.mark.parametrize('dst,mac', [('255.255.255.255', BROADCAST), ('192.0.2.255', BROADCAST),
                                     ('224.0.0.1', '01:00:5e:00:00:01'), (ADDR, BROADCAST),
                                     (ADDR, '01:00:5e:00:00:01')])
def test_a_segment_to_a_broadcast_is_dropped(dst, mac):
    s = Stack()
    s.listener(80)
    for flags in ('S', 'A', 'FA', 'SA', ''):
        for port in (80, 81):
            p = Peer(s, stack_port=port)
            s.inject(p.build(flags, dst=dst, to_mac=mac))
    s.run(3)
    s.none()
    assert s.memory()['half_open'] == 0 and s.memory()['connections'] == 0


# covers: MUST-63
@pytest.mark.parametrize('src', ['255.255.255.255', '192.0.2.255', '224.0.0.1', '0.0.0.0', '127.0.0.1',
                                 '240.0.0.1', ADDR])
def test_a_syn_from_an_impossible_address_is_ignored(src):
    s = Stack()
    s.listener(80)
    s.inject(Peer(s).build('S', src=src))
    s.inject(Peer(s, stack_port=81).build('S', src=src))
    s.run(3)
    s.none()
    assert s.memory()['half_open'] == 0
