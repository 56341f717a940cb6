# SPDX-License-Identifier: BSD-3-Clause
"""TCP: the byte stream. Checksums, sequence numbers, acceptability, reassembly, when to send and when to
acknowledge. RFC 9293 3.1, 3.4, 3.7.4, 3.8.6.3, 3.9.1.2-3, 3.10.7.4; RFC 5681 4.2."""
import csv
import errno
import os
import random

import pytest

from light import HOST, Stack, errno_of
from peer import Peer, diff, established
from tcpkit import M32, PROFILES, acked, available, in_state, pattern, quiet_segments, settle, state

VECTORS = os.path.join(os.path.dirname(__file__), '..', 'vectors')


# ---- checksums

# covers: MUST-2
@pytest.mark.parametrize('flags', [(), ('tx_csum',)])
def test_every_segment_has_a_right_checksum(flags):
    """The oracle sums every frame; sums of 0 and 0xffff and odd lengths are among them."""
    s = Stack(flags=flags)
    p, sock = established(s, timestamps=True)
    for n in list(range(1, 40)) + [535, 536, 1447, 1448]:
        for fill in (b'\0', b'\xff', b'\x5a'):
            sock.send(fill * n)
        settle(p)
    sock.send(pattern(5000))
    s.run(10)                                  # retransmissions
    p.segments()
    p.send('A', window=0)
    sock.send(b'probe me')
    s.run(30)
    p.send('A', window=5000)
    p.send('A')
    p.send('PA', b'one')
    s.run(1)
    sock.shutdown()
    s.run(1)
    sock.abort()
    q = Peer(s, stack_port=81)
    q.send('S')
    q.one('RA')
    seen = s.oracle.seen
    assert seen['tcp'] > 100 and seen['tcp syn'] and seen['tcp fin'] and seen['tcp rst'] >= 2


def flipped(frame):
    """Every copy with one bit of the TCP header or payload turned."""
    for i in range(34 * 8, len(frame) * 8):
        copy = bytearray(frame)
        copy[i // 8] ^= 0x80 >> i % 8
        yield bytes(copy)


# covers: MUST-3
@pytest.mark.parametrize('name', ['LISTEN', 'SYN_SENT', 'SYN_RECEIVED', 'ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2',
                                  'CLOSE_WAIT', 'CLOSING', 'LAST_ACK', 'TIME_WAIT'])
def test_wrong_checksums_are_dropped(name):
    s = Stack()
    if name == 'LISTEN':
        s.listener()
        p = Peer(s)
        frame = p.build('S')
    elif name == 'SYN_SENT':
        p = Peer(s, port=7000)
        s.stream().connect(HOST, 7000)
        p.receive_syn()
        frame = p.build('SA')
    else:
        p, sock = in_state(name, s)
        open_end = name in ('SYN_RECEIVED', 'ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2')
        frame = p.build('FPA' if open_end else 'RA', b'data' if open_end else b'', ack=p.ack)
    before = None if name == 'LISTEN' else next(
        i for i in s.sockets() if i['peer'] == [p.addr, p.port] and i['local'][1] == p.stack_port)
    memory = s.memory()
    p.segments()
    p.burst(*flipped(frame))
    s.none()
    assert s.memory() == memory and s.counter('TCP_CHECKSUM') == (len(frame) - 34) * 8
    if before:
        after = next(i for i in s.sockets() if i['peer'] == [p.addr, p.port] and i['local'][1] == p.stack_port)
        assert all(before[k] == after[k] for k in ('state', 'receive_queued', 'send_queued', 'bytes_received'))
    # The segment itself does something.
    s.inject(frame)
    if name != 'TIME_WAIT':
        s.run(0.6)
        assert p.segments() or state(p) != name


# ---- the stream

def with_window(s, listener, n, window, isn):
    """A connection whose receive window is exactly `window` bytes at the returned peer's next byte. The
    stack's buffer is filled except for that."""
    p = Peer(s, port=20000 + n, isn=isn)
    first = p.connect()
    sock = listener.accept()
    edge = first.ack + first.window & M32
    for _ in range(300):
        room = diff(edge, p.seq) - window
        if room <= 0:
            break
        p.send('A', b'x' * min(room, 1000))
        for f in quiet_segments(p, 0.25):
            edge = f.ack + f.window & M32
    quiet_segments(p, 0.25)
    return p, sock, diff(edge, p.seq)


def vectors(name):
    with open(os.path.join(VECTORS, name)) as f:
        return list(csv.DictReader(f, delimiter='\t'))


# covers: 9293-3.4-accept
@pytest.mark.parametrize('length', sorted({int(r['seg_len']) for r in vectors('segment_acceptability.tsv')}))
@pytest.mark.parametrize('window', [0, 1, 10])
def test_acceptability(window, length):
    """The vectors, shifted to the real RCV.NXT. Accepted is what is not answered at once (no length) or
    what is delivered once the gap before it is filled."""
    s = Stack(tcp={'receive_buffer_initial': 4096, 'receive_buffer_max': 4096, 'window_scaling': False},
              max_endpoints=1024)
    listener = s.listener(backlog=1000)
    rows = [r for r in vectors('segment_acceptability.tsv')
            if int(r['seg_len']) == length and int(r['rcv_wnd']) == window]
    assert len(rows) > 10
    checked = 0
    for n, row in enumerate(rows):
        nxt = int(row['rcv_nxt'])
        p, sock, open_now = with_window(s, listener, n, window, nxt - 5000 & M32)
        assert open_now == window, 'the window could not be arranged'
        offset = diff(int(row['seg_seq']), nxt)
        s.run(6)
        p.segments()
        before = sock.info()['receive_queued']
        p.send('A', b'N' * length, seq=p.seq + offset & M32)
        answers = p.segments()
        expected = row['acceptable'] == '1'
        if length == 0:
            assert (not answers) == expected, row
        else:
            assert not answers or answers[-1].ack in (p.seq, (p.seq + max(0, min(window, offset + length))) & M32), row
            s.run(1)
            if offset > 0:               # fill the gap
                p.segments()
                p.send('A', b'G' * offset, seq=p.seq)
                s.run(1)
            fresh = sock.info()['receive_queued'] - before - min(max(offset, 0), window)
            overlap = row['overlaps_window'] == '1'
            assert (fresh > 0) in ((expected, overlap) if expected != overlap else (expected,)), (row, fresh)
            assert fresh <= window
        sock.abort()
        p.segments()
        checked += 1
    assert checked == len(rows)


# covers: 9293-3.4-unaccept-ack
def test_unacceptable_segments_are_answered():
    s = Stack()
    p, sock = established(s)
    p.send('PA', pattern(3000)[:1000])
    p.send('PA', pattern(3000)[1000:2000])
    assert acked(p) == p.seq
    sock.send(b'in flight')
    nxt = p.one('A').end
    s.run(0.1)
    available(sock)
    p.segments()
    p.send('A', seq=p.seq - 1, ack=p.ack)
    window = p.segments()[-1].window
    sock.send(b'in flight')
    for flags, data, at in (('A', b'', -1), ('PA', b'old', -3), ('PA', b'old' * 100, -1000), ('A', b'', -2000),
                            ('PA', b'new', window), ('A', b'', window + 1000), ('FA', b'', -1), ('PA', b'q', 1 << 31),
                            ('UA', b'old', -500)):
        s.run(6)
        p.segments()
        p.send(flags, data, seq=p.seq + at)
        answer = p.one('A', ack=p.seq, data=b'')
        assert answer.seq == p.ack, (flags, at)
        p.send('R' + flags.replace('A', ''), data, seq=p.seq + at)
        p.none()
        assert state(p) == 'ESTABLISHED'
    assert errno_of(sock.recv) == errno.EAGAIN
    p.send('PA', b'good')
    assert sock.recv() == b'good' and nxt


# covers: 9293-3.4-trim
def test_straddling_segments_are_trimmed():
    s = Stack(tcp={'receive_buffer_initial': 8192, 'receive_buffer_max': 8192, 'window_scaling': False})
    p, sock = established(s)
    base = p.seq
    stream = pattern(30000)

    def segment(start, end):
        p.send('A', stream[start:end], seq=base + start)

    segment(0, 1000)
    segment(500, 1500)                    # old and new
    segment(0, 2000)
    segment(3000, 4000)                   # beyond a gap
    segment(1800, 3300)                   # overlaps both ends of the gap
    p.seq = base + 4000
    assert acked(p) == p.seq and available(sock) == stream[:4000]
    s.run(1)
    p.segments()
    p.send('A', seq=p.seq - 1)
    edge = p.seq + p.segments()[-1].window
    at = 4000
    while base + at + 1400 < edge:
        segment(at, at + 1000)
        at += 1000
    p.segments()
    segment(at, at + 1400 + diff(edge, base + at))     # reaches past the window
    got = available(sock)
    read = 4000 + len(got)
    assert got == stream[4000:read] and read >= at
    assert read <= diff(edge, base)
    p.seq = base + read
    s.run(1)
    p.segments()
    segment(read, read + 500)
    assert available(sock) == stream[read:read + 500]


# covers: 9293-3.4-trim SHLD-31
@pytest.mark.parametrize('seed', range(12))
def test_random_overlaps_deliver_each_byte_once(seed):
    chance = random.Random(seed)
    s = Stack()
    p, sock = established(s, isn=chance.choice([0, 0xffffe000, 0x7ffff000]))
    base, stream, got = p.seq, pattern(20000, seed), b''
    covered = 0
    for _ in range(3000):
        start = max(0, covered + chance.randint(-3000, 3000))
        end = min(len(stream), start + chance.randint(1, 1460))
        if start < end:
            p.send('A', stream[start:end], seq=base + start & M32)
        if chance.random() < 0.3:
            got += available(sock)
            assert got == stream[:len(got)]
        acks = p.segments()
        if acks:
            covered = max(covered, diff(acks[-1].ack, base))
        if covered == len(stream):
            break
    got += available(sock)
    assert got == stream and acked(p) == base + len(stream) & M32 if p.stack.frames else got == stream


# covers: SHLD-31 MUST-59 5681-3.2-fill-now
@pytest.mark.parametrize('profile', PROFILES)
def test_a_filled_gap_is_acknowledged_as_a_whole(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    for i in range(40):                       # out of any quick-acknowledgment phase
        p.send('A', b'x' * 1460)
    available(sock)
    s.run(1)
    p.segments()
    stream = pattern(10000)
    for at in (1000, 2000, 3000):
        p.send('A', stream[at:at + 1000], seq=p.seq + at)
        p.one('A', ack=p.seq)
    p.send('A', stream[:1000], seq=p.seq)
    p.one('A', ack=p.seq + 4000)
    assert available(sock) == stream[:4000]
    # Filling a part of a gap is acknowledged at once too.
    p.seq += 4000
    p.send('A', stream[6000:7000], seq=p.seq + 2000)
    p.one('A', ack=p.seq)
    p.send('A', stream[4000:5000], seq=p.seq)
    p.one('A', ack=p.seq + 1000)


# covers: 5681-3.2-dupack-now MAY-13 6582-5-rcv
@pytest.mark.parametrize('profile', PROFILES)
def test_out_of_order_segments_are_acknowledged_at_once(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    for i in range(40):
        p.send('A', b'x' * 1460)
    available(sock)
    s.run(1)
    p.segments()
    for i in range(1, 6):
        p.send('A', b'y' * 100, seq=p.seq + 200 * i)
        p.one('A', ack=p.seq, data=b'')
    p.send('A', b'y' * 200, seq=p.seq)
    p.one('A', ack=p.seq + 300)


# covers: 9293-3.10.7-noack
@pytest.mark.parametrize('name', ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT', 'CLOSING', 'LAST_ACK'])
def test_segments_without_ack_are_dropped(name):
    s = Stack()
    p, sock = in_state(name, s)
    p.segments()
    now = s.now
    for flags in ('', 'P', 'F', 'U', 'FPU'):
        p.send(flags, b'evil' if 'P' in flags else b'', seq=p.seq)
    p.none()
    assert state(p) == name and s.now == now
    if name != 'LAST_ACK':
        assert errno_of(sock.recv) in (errno.EAGAIN, 0)
        assert sock.info()['receive_queued'] == 0
    if name in ('ESTABLISHED', 'FIN_WAIT_2'):
        p.send('PA', b'good')
        assert sock.recv() == b'good'


# covers: 9293-3.10.7-ackfuture
def test_an_ack_of_unsent_data_is_answered():
    s = Stack()
    p, sock = established(s)
    sock.send(b'twelve bytes')
    sent = p.one('A')
    p.send('PA', b'evil', seq=p.seq, ack=sent.end + 1)
    p.one('A', seq=sent.end, ack=p.seq)
    assert sock.info()['send_queued'] == 12 and errno_of(sock.recv) == errno.EAGAIN
    s.run(3)
    assert any(f.data == b'twelve bytes' for f in p.segments())


# covers: 9293-3.10.7-dupack
def test_old_acks_are_tolerated():
    s = Stack()
    p, sock = established(s)
    for i in range(5):
        sock.send(b'x' * 1000)
        p.segments()
        p.send('A')
    sock.send(b'in flight')
    sent = p.one('A')
    for old in (sent.seq, sent.seq - 1, sent.seq - 1000, sent.seq - 4000):
        p.send('PA', b'data', ack=old)
        assert acked(p, 0.1) == p.seq and sock.recv() == b'data'
        assert sock.info()['send_queued'] == 9
    p.send('A', ack=sent.end)
    assert sock.info()['send_queued'] == 0


# covers: 9293-3.10.7-wl
def test_the_window_comes_from_the_newest_segment():
    s = Stack(tcp={'send_buffer_initial': 65536, 'send_buffer_max': 65536})
    # By sequence number: a segment that overtook another.
    p, sock = established(s, window=2000)
    p.send('A', b'b' * 10, seq=p.seq + 10, window=3000)
    p.send('A', b'a' * 10, seq=p.seq, window=60000)
    p.seq += 20
    p.segments()
    sock.send(pattern(20000))
    assert sum(f.length for f in p.segments()) <= 3000
    # By acknowledgment: same number, the older ACK comes later.
    q, other = established(s, port=90, window=4000)
    other.send(pattern(20000))
    first = q.segments()
    end = first[-1].end
    q.send('A', ack=end, window=0)
    q.none()
    q.send('A', ack=first[0].seq, window=60000)
    q.none()
    assert other.info()['send_window'] == 0
    # A duplicate of the newest (equal WL2) does open it.
    q.send('A', ack=end, window=6000)
    assert 0 < sum(f.length for f in q.segments()) <= 6000
