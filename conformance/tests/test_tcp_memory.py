# SPDX-License-Identifier: BSD-3-Clause
"""Buffers: windows that grow with use, what happens where memory is short, and how many orphans there may be."""
import pytest

from light import Stack
from peer import Peer, established
from tcpkit import available, gone, pattern, pull

RTT = 0.1


def window_rounds(p, sock, rounds, reads=True):
    """The peer fills the window each round trip and the program reads all of it; the largest window that was offered."""
    best = 0
    for _ in range(rounds):
        room, frames = p.offered, []
        while room > 0:
            n = min(1460, room)
            frames.append(p.build('A', bytes(n)))
            p.seq = p.seq + n & 0xffffffff
            room -= n
        for at in range(0, len(frames), 64):
            p.stack.inject(*frames[at:at + 64])
            if reads:
                available(sock)
        p.stack.run(RTT)
        for x in p.segments():
            p.offered = (x.window << p.shift) - (p.seq - x.ack & 0xffffffff)
            best = max(best, x.window << p.shift)
    return best


def receiver(s, port=80, **peer):
    listener = s.listener(port)
    p = Peer(s, wscale=7, stack_port=port, **peer)
    p.send('S')
    synack = p.one('SA')
    p.shift = synack.options[3][0]
    s.run(RTT)
    p.send('A')
    p.offered = synack.window
    return p, listener.accept()


@pytest.mark.parametrize('timestamps', [True, False])
def test_the_window_grows_with_use_and_not_beyond_its_maximum(timestamps):
    s = Stack(tcp={'receive_buffer_max': 1 << 20})
    p, sock = receiver(s, timestamps=timestamps)
    first = p.offered
    best = window_rounds(p, sock, 8)
    assert first <= 1 << 16 and 1 << 19 < best <= 1 << 20


def test_a_buffer_that_was_set_does_not_grow():
    s = Stack()
    listener = s.stream().bind(port=80).set('RECEIVE_BUFFER', 1 << 16).listen()
    p = Peer(s, wscale=7)
    p.send('S')
    synack = p.one('SA')
    p.shift, p.offered = synack.options[3][0], synack.window
    s.run(RTT)
    p.send('A')
    assert window_rounds(p, listener.accept(), 5) <= 1 << 16


def test_under_pressure_windows_stop_growing_and_nothing_is_lost():
    s = Stack(tcp={'memory_low': 100000, 'memory_pressure': 150000, 'memory_high': 400000, 'receive_buffer_max': 1 << 20})
    p, sock = receiver(s)
    full = [receiver(s, port=81 + i) for i in range(3)]
    for q, other in full:                    # what is not read keeps its memory
        window_rounds(q, other, 1, reads=False)
    assert s.counter('TCP_MEMORY_PRESSURE') == 1
    assert window_rounds(p, sock, 8) <= 1 << 16
    data = pattern(50000)
    pull(p, sock, data)
    assert p.got == data
    for q, other in full:
        assert len(available(other)) > 50000
        other.abort()
        q.segments()
    assert window_rounds(p, sock, 8) > 1 << 17


def press(s, port, most):
    """Programs that do not read, until the memory of buffers is short."""
    held = []
    while not s.counter('TCP_MEMORY_PRESSURE') and len(held) < most:
        q, other = receiver(s, port=port + len(held))
        window_rounds(q, other, 1, reads=False)
        held.append((q, other))
    assert s.counter('TCP_MEMORY_PRESSURE') == 1
    return held


# covers: 2018-8-renege
@pytest.mark.parametrize('arrives', ['in order', 'beyond the gap'])
def test_what_lies_beyond_a_gap_is_given_up_where_memory_is_short_and_taken_again(arrives):
    s = Stack(tcp={'memory_low': 100000, 'memory_pressure': 250000, 'memory_high': 10000000})
    p, sock = receiver(s, sack=True)
    base, data = p.seq, pattern(45000)

    def give(start, end):
        for at in range(start, end, 1000):
            p.send('A', data[at:min(at + 1000, end)], seq=base + at)
        return p.segments()[-1]

    def held(ack):
        return [(a - base, b - base) for a, b in ack.sack]

    give(0, 1000)
    # The first memory holds 16 KB; what comes at 40,000 needs more.
    assert held(give(5000, 7000)) == [(5000, 7000)]
    assert held(give(40000, 42000)) == [(40000, 42000), (5000, 7000)]
    others = press(s, 81, 8)
    assert s.counter('TCP_PRUNED') == 0
    ack = give(1000, 2000) if arrives == 'in order' else give(7000, 8000)
    # The highest went, and is not reported; what lies near stays.
    assert held(ack) == ([(5000, 7000)] if arrives == 'in order' else [(5000, 8000)])
    assert s.counter('TCP_PRUNED') == 1
    # Beyond a gap nothing gets memory now, in order everything does.
    assert held(give(40000, 42000)) == held(ack)
    assert give(2000 if arrives == 'in order' else 1000, 5000).ack - base >= 7000
    give(7000, 45000)
    assert available(sock) == data
    for q, other in others:
        assert len(available(other)) > 50000


def test_data_in_order_gets_the_memory_of_what_lay_beyond_gaps():
    s = Stack(tcp={'memory_low': 100000, 'memory_pressure': 250000, 'memory_high': 280000})
    gaps = []
    for i in range(3):                          # 16 and 64 KB each
        p, sock = receiver(s, port=81 + i, sack=True)
        base, data = p.seq, pattern(60000, i)
        p.send('A', data[:1000], seq=base)
        for at in range(40000, 60000, 1000):
            p.send('A', data[at:at + 1000], seq=base + at)
        assert p.segments()[-1].sack == [(base + 40000, base + 60000)]
        gaps.append((p, sock, base, data))

    def give(p, base, data, start):
        for at in range(start, len(data), 1000):
            p.send('A', data[at:at + 1000], seq=base + at)
        return p.segments()[-1].ack - base

    p, sock = receiver(s, port=80)
    base, data = p.seq, pattern(60000, 9)
    assert give(p, base, data, 0) < 20000       # all there is
    assert s.counter('TCP_MEMORY_PRESSURE') == 1
    for i, (q, _, start, other) in enumerate(gaps):   # their peers go on: one gives up what nobody can read yet, and that is enough
        q.send('A', other[1000:2000], seq=start + 1000)
        assert q.segments()[-1].sack == ([] if i == 0 else [(start + 40000, start + 60000)])
    assert s.counter('TCP_PRUNED') == 1
    assert give(p, base, data, 16000) == 60000
    assert available(sock) == data
    for q, other, start, data in gaps:          # with the least memory, too, it comes whole
        got, acked = available(other), 2000
        while acked < 60000:
            before, acked = acked, give(q, start, data, acked)
            assert acked > before
            got += available(other)
        assert got == data


def test_everybody_has_a_little_beyond_the_limit():
    s = Stack(tcp={'memory_low': 1, 'memory_pressure': 2, 'memory_high': 3})
    peers = [established(s, port=80 + i, sack=True) for i in range(4)]
    for p, sock in peers:
        data = pattern(30000, p.stack_port)
        pull(p, sock, data)
        got, sent = b'', 0
        # In order with its second half first: what does not fit is dropped and comes again.
        for _ in range(200):
            piece = data[sent:sent + 1000]
            if not piece:
                break
            p.send('A', data[sent + 1000:sent + 2000], seq=p.seq + 1000)
            p.send('A', piece, seq=p.seq)
            got += available(sock)
            s.run(0.05)
            acked = [x.ack for x in p.segments()][-1]
            sent += acked - p.seq & 0xffffffff
            p.seq = acked
        assert got + available(sock) == data
    assert s.counter('TCP_MEMORY_PRESSURE') == 1


# covers: linux-orphan
def test_orphans_beyond_the_limit_are_reset():
    s = Stack(tcp={'max_orphans': 2})
    listener = s.listener()
    peers = []
    for i in range(4):
        p = Peer(s, port=40000 + i)
        p.connect()
        peers.append((p, listener.accept()))
    for p, sock in peers[:2]:
        sock.close()
        p.one('FA')
    peers[2][1].close()
    peers[2][0].one('RA')
    assert gone(peers[2][0]) and s.counter('TCP_ORPHANS_RESET') == 1
    # In time, too: the first one's peer answers and never closes, the second's never answers.
    peers[0][0].send('A')
    s.run(61)
    assert gone(peers[0][0])
    peers[1][0].segments()
    peers[3][1].close()
    peers[3][0].one('FA')
    s.run(900)
    assert all(gone(p) for p, _ in peers)
