# SPDX-License-Identifier: BSD-3-Clause
"""TCP: windows on both sides. RFC 9293 3.8.6: shrinking, probing, silly windows, what is processed at zero."""
import errno

import pytest

from light import ERROR, HANGUP, Stack, URGENT, errno_of
from peer import diff, established
from tcpkit import PROFILES, acked, available, gone, pattern, pull, quiet_segments, state

SMALL = {'receive_buffer_initial': 8192, 'receive_buffer_max': 8192}
LARGE = {'send_buffer_initial': 1 << 18, 'send_buffer_max': 1 << 18}


def blocked(s, first=4000, data=b'blocked', **peer):
    """Data waits behind a window that has closed: (peer, socket, the time when it closed)."""
    p, sock = established(s, **peer)
    sock.send(pattern(first))
    p.segments()
    p.send('A')                              # perhaps the rest of it
    p.segments()
    p.send('A', window=0)
    sock.send(data)
    p.none()
    return p, sock, s.now


def filled(s, **peer):
    """The stack's receive window is closed: (peer, socket, bytes it holds)."""
    p, sock = established(s, **peer)
    n = 0
    for _ in range(200):
        found = quiet_segments(p, 0.3)
        window = found[-1].window if found else None
        if window == 0:
            break
        room = 512 if window is None else min(512, window)
        p.send('PA', pattern(n + room)[n:])
        n += room
    assert window == 0
    return p, sock, n


# covers: MUST-1
@pytest.mark.parametrize('window', [65535, 32768, 40001])
def test_the_window_is_unsigned(window):
    s = Stack(tcp=LARGE)
    p, sock = established(s, window=window)
    most = 0
    for _ in range(300):
        if errno_of(sock.send, pattern(70000)) not in (0, errno.EAGAIN):
            break
        most = max(most, sum(f.length for f in p.segments()))
        p.send('A')
        if most == window:
            break
    assert most == window


# ---- shrinking

# covers: MUST-34 SHLD-15
@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('window', [1, 700, 3000])
def test_a_window_that_shrinks_is_survived(profile, window):
    s = Stack(profile=profile)
    p, sock = established(s)
    stream = pattern(40000)
    sock.send(stream)
    sent = p.segments()
    edge = sent[-1].end
    assert diff(edge, sent[0].seq) > 10000
    p.ack = sent[0].seq
    p.send('A', window=window)              # takes most of it back
    for _ in range(6):
        s.run(1)
        for f in p.segments():
            assert diff(f.end, edge) <= 0, 'new data beyond the shrunk window'
            assert 'R' not in f.flags
        p.ack = sent[0].seq
        p.send('A', window=window)
    assert state(p) == 'ESTABLISHED' and not sock.ready() & (ERROR | HANGUP)
    p.got, p.ack = b'', sent[0].seq
    p.send('A', window=65535)
    pull(p, sock, stream[:0], step=0.3)
    for _ in range(200):
        if len(p.got) == len(stream):
            break
        if not p.segments():
            s.run(0.3)
        p.send('A', window=65535)
    assert p.got == stream


# covers: MUST-35
@pytest.mark.parametrize('profile', PROFILES)
def test_a_window_that_shrinks_to_zero_is_probed(profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    stream = pattern(40000)
    sock.send(stream)
    sent = p.segments()
    edge, front = sent[-1].end, sent[0].seq
    p.ack = front
    p.send('A', window=0)
    times = []
    for _ in range(1200):
        s.run(1)
        for f in p.segments():
            assert diff(f.end, edge) <= 1 and len(f.data) <= 1460
            times.append(f.time)
            p.ack = front
            p.send('A', window=0)
    assert len(times) >= 8 and state(p) == 'ESTABLISHED'
    late = [b - a for a, b in zip(times, times[1:])][-3:]
    assert min(late) >= 30, 'probes do not back off'
    p.got, p.ack = b'', front
    p.send('A', window=65535)
    opened_at = s.now
    for _ in range(300):
        if len(p.got) == len(stream):
            break
        if not p.segments():
            s.run(0.3)
        p.send('A', window=65535)
    assert p.got == stream and s.now - opened_at < 60


# ---- zero-window probes

# covers: MUST-36 SHLD-29 SHLD-30
@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('answers', [True, False])
def test_zero_window_probes(profile, answers):
    s = Stack(profile=profile)
    p, sock, since = blocked(s)
    rto = sock.info()['rto'] / 1e9
    nxt = p.ack
    times = []
    while len(times) < 7 and s.now < since + 400:
        s.run(0.05)
        for f in p.segments():
            # It must draw an ACK: a byte beyond the window, or an old number.
            assert (f.seq == nxt and len(f.data) >= 1) or diff(f.seq, nxt) < 0
            times.append(f.time)
            p.ack = nxt
            if answers:
                p.send('A', window=0)
    assert times[0] - since == pytest.approx(rto, rel=0.05)
    between = [b - a for a, b in zip([since] + times, times)]
    assert all(b == pytest.approx(2 * a, rel=0.05) for a, b in zip(between, between[1:])), between
    p.got, p.ack = b'', nxt
    now = s.now
    p.send('A', window=1000)
    first = p.one('A', data=b'blocked', seq=nxt)
    assert first.time == now
    p.send('A')
    s.run(300)
    p.none()


# covers: MUST-36 SHLD-29
def test_more_data_does_not_postpone_the_probe():
    s = Stack(tcp=LARGE)
    p, sock, since = blocked(s)
    rto = sock.info()['rto'] / 1e9
    for _ in range(20):
        s.run(rto / 4)
        sock.send(b'more')
    assert p.segments()[0].time - since == pytest.approx(rto, rel=0.05)


# covers: 6298-3-karn
def test_probes_give_no_samples():
    """What answers a probe may have waited in the peer, or be the answer to an earlier copy."""
    s = Stack()
    p, sock, since = blocked(s)
    before = sock.info()
    s.run(20)
    assert len(p.segments()) >= 3
    p.send('A', window=0)                    # takes the byte of the last copy, or the first
    s.run(0.5)
    p.send('A', window=0)
    after = sock.info()
    assert (before['srtt'], before['rttvar']) == (after['srtt'], after['rttvar'])


# covers: MUST-36
def test_a_peer_that_takes_the_byte_of_a_probe():
    s = Stack()
    p, sock, since = blocked(s, data=b'0123456789')
    p.got = b''
    for i in range(10):
        for _ in range(600):
            s.run(1)
            probe = [f for f in p.segments() if f.data]
            if probe:
                break
        assert probe and len(p.got) == i + 1, 'the byte that was taken comes again'
        p.send('A', window=0)
    assert p.got == b'0123456789'
    s.run(600)
    p.none()
    assert sock.info()['send_queued'] == 0


# covers: MUST-37 linux-zwp-abort
@pytest.mark.parametrize('profile', PROFILES)
def test_answered_probes_keep_the_connection(profile):
    s = Stack(profile=profile)
    p, sock, since = blocked(s)
    nxt, probes = p.ack, 0
    while s.now < since + 24 * 3600:
        s.run(30)
        for _ in p.segments():
            probes += 1
            p.ack = nxt
            p.send('A', window=0)
    assert probes > 300 and state(p) == 'ESTABLISHED' and not sock.ready() & (ERROR | HANGUP)
    p.got, p.ack = b'', nxt
    p.send('A', window=5000)
    assert p.one('A').data == b'blocked'


# covers: linux-zwp-abort
def test_linux_gives_up_after_unanswered_probes():
    s = Stack(profile='linux')
    p, sock, since = blocked(s)
    for _ in range(400):
        s.run(10)
        if sock.ready() & HANGUP:
            break
    assert sock.take_error() == errno.ETIMEDOUT and gone(p)
    assert len([f for f in p.segments() if 'R' not in f.flags]) == 15
    assert s.now - since > 600


# ---- silly windows, the sender

def silly(s, queue=30000, **peer):
    """Everything sent is acknowledged, the largest window was 10000, much is queued; the window is 0."""
    p, sock = established(s, window=10000, **peer)
    sock.send(pattern(queue))
    p.segments()
    p.send('A', window=0)
    p.none()
    return p, sock


# covers: MUST-38
@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('window', [1, 100, 700, 1459])
def test_the_sender_waits_for_a_decent_window(profile, window):
    s = Stack(profile=profile)
    p, sock = silly(s)
    start = s.now
    p.send('A', window=window)
    s.until(start + 0.099)
    p.none()
    s.until(start + 1.001)
    first = p.segments()[0]                  # the override timer
    assert 0.1 <= first.time - start <= 1.0 and len(first.data) == window


# covers: MUST-38
def test_the_sender_uses_a_decent_window_at_once():
    s = Stack()
    # A full segment.
    p, sock = silly(s)
    p.send('A', window=1459)
    p.none()
    p.send('A', window=1460)
    p.one('A', length=1460)
    # All that is queued.
    q, other = silly(s, queue=10000 + 300, port=90)
    q.send('A', window=299)
    q.none()
    q.send('A', window=300)
    assert q.one('A', length=300)
    # Half of the largest window, where that is less than a segment.
    r, third = established(s, port=91, window=1000)
    third.send(pattern(20000))
    assert sum(f.length for f in r.segments()) == 1000
    r.send('A', window=0)
    r.send('A', window=499)
    r.none()
    r.send('A', window=500)
    r.one('A', length=500)


# covers: MUST-38
def test_the_sender_does_not_dribble_into_an_opening_window():
    s = Stack(tcp=LARGE)
    p, sock = established(s, window=2920)
    sock.send(pattern(60000))
    base, edge, batches = p.irs + 1, 2920, 0
    for turn in range(200):
        sent = p.segments()
        if sent:
            batches += 1
            assert len(sent[0].data) == 1460
        # The peer's program reads 200 bytes at a time, and its TCP tells of each.
        taken = diff(p.ack, base)
        edge = max(edge, min(taken + 2920, edge + 200))
        p.send('A', window=edge - taken)
        s.run(0.01)
    assert batches > 10


# ---- silly windows, the receiver

# covers: MUST-39
@pytest.mark.parametrize('buffer, mss', [(8192, 1460), (2048, 1460), (65536, 1460), (65536, 500)])
def test_the_receiver_opens_its_window_in_decent_steps(buffer, mss):
    s = Stack(mtu=mss + 40, tcp={'receive_buffer_initial': buffer, 'receive_buffer_max': buffer})
    p, sock, n = filled(s, mss=mss)
    step, read = min(buffer // 2, mss), 0
    for _ in range(1000):
        part = sock.recv(53)
        assert part == pattern(n)[read:read + len(part)]
        read += len(part)
        news = p.segments()
        s.run(1)
        p.send('A', b'?', seq=p.seq)         # a probe
        news += quiet_segments(p, 0.6)
        if any(f.window for f in news):
            break
        assert read < buffer, 'never opens'
    window = [f.window for f in news if f.window][0]
    assert read >= step and window >= step, (read, window)
    assert window >= read - 1 - 53
    assert window <= buffer - (n - read), 'more than is free'
    assert news[-1].ack in (p.seq, p.seq + 1)


# covers: 9293-3.4-trim
def test_nothing_is_taken_beyond_the_window_even_if_it_would_fit():
    s = Stack(tcp={'receive_buffer_initial': 8192, 'receive_buffer_max': 8192})
    p, sock = established(s)
    n = 0
    while True:
        found = quiet_segments(p, 0.3)
        window = found[-1].window if found else 65535
        if window <= 10:
            break
        room = min(500, window - 10)
        p.send('A', pattern(n + room)[n:])
        n += room
    assert window == 10
    assert len(sock.recv(300)) == 300        # too little to open the window further
    p.none()
    for data in (pattern(n + 100)[n:], pattern(n + 60)[n:]):
        p.send('A', data, seq=p.seq)
        assert acked(p) == p.seq + 10
    assert available(sock) == pattern(n + 10)[300:]


# covers: 9293-3.8.6-zwin-ack
@pytest.mark.parametrize('profile', PROFILES)
def test_probes_of_a_closed_window_are_answered(profile):
    s = Stack(profile=profile, tcp=SMALL)
    p, sock, n = filled(s)
    for i in range(5):
        s.run(2)
        p.send('PA', b'?', seq=p.seq)
        p.one('A', ack=p.seq, window=0, seq=p.ack, data=b'')
    p.send('PA', b'?' * 100, seq=p.seq)
    assert p.segments()[-1].ack == p.seq
    assert available(sock) == pattern(n)
    s.run(1)
    p.segments()
    p.send('PA', b'!')
    assert acked(p) == p.seq and sock.recv() == b'!'


# covers: 9293-3.8.6-winupdate
@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('scale', [None, 5])
def test_a_window_that_reopens_is_told(profile, scale):
    s = Stack(profile=profile, tcp=SMALL)
    p, sock, n = filled(s, wscale=scale)
    s.run(30)
    p.none()
    assert len(sock.recv(5000)) == 5000
    update = p.one('A', ack=p.seq, data=b'')
    assert update.window > 0 and update.time == s.now


# covers: MAY-8
def test_the_receiver_may_stay_closed():
    s = Stack(tcp=SMALL)
    p, sock, n = filled(s)
    for _ in range(24 * 6):
        s.run(600)
        p.send('PA', b'?', seq=p.seq)
        p.one('A', ack=p.seq, window=0)
    assert state(p) == 'ESTABLISHED' and available(sock) == pattern(n)


# covers: MUST-66
def test_a_reset_counts_at_zero_window():
    s = Stack(tcp=SMALL)
    p, sock, n = filled(s)
    p.send('R', seq=p.seq + 1)
    assert state(p) == 'ESTABLISHED'
    p.send('R')
    assert gone(p) and sock.ready() & ERROR and sock.take_error() == errno.ECONNRESET


# covers: MUST-66
def test_acks_and_urgent_pointers_count_at_zero_window():
    s = Stack(tcp=SMALL)
    p, sock, n = filled(s)
    sock.send(b'in flight')
    p.one('A')
    p.send('A', b'?', seq=p.seq)             # unacceptable, but its ACK is valid
    assert sock.info()['send_queued'] == 0
    sock.send(b'more')
    p.segments()
    p.send('A')
    assert sock.info()['send_queued'] == 0
    s.events_of(sock)
    p.send('UA', b'!', seq=p.seq, urgent=1)
    assert s.events_of(sock) & URGENT and sock.ready() & URGENT
    assert s.sent() and available(sock) == pattern(n)
