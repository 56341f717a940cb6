# SPDX-License-Identifier: BSD-3-Clause
"""TCP: urgent data. RFC 9293 3.8.5, RFC 6093; MSG_OOB, SO_OOBINLINE, SIOCATMARK. The pointer means the
octet behind the urgent one."""
import errno

import pytest

from light import READABLE, Stack, URGENT, errno_of
from peer import diff, established
from tcpkit import M32, acked, pattern, settle


def take(sock):
    return bytes([sock.checked('urgent_take')['byte']])


def at_mark(sock):
    return sock.checked('at_mark')['result']


# covers: MUST-30 MUST-62
def test_an_urgent_byte_is_sent():
    s = Stack()
    p, sock = established(s)
    sock.send(b'normal')
    p.one('A')
    p.send('A')
    start = p.ack
    sock.checked('urgent_send', ord('!'))
    x = p.one('UA', data=b'!')
    assert x.seq == start and x.seq + x.urgent & M32 == start + 1 & M32
    # Until it is acknowledged segments before its end go on to say so, later ones do not.
    s.run(1)
    assert all('U' in f.flags and f.seq + f.urgent & M32 == start + 1 & M32 for f in p.segments())
    p.send('A')
    sock.send(b'normal again')
    assert 'U' not in p.one('A').flags


# covers: MUST-30 MUST-62
def test_data_before_the_urgent_byte_points_to_it():
    s = Stack()
    p, sock = established(s, window=0)
    sock.send(b'before')
    sock.checked('urgent_send', ord('!'))
    sock.send(b'after')
    start = p.ack
    p.segments()
    p.send('A', window=1000)
    found = settle(p)
    assert p.got == b'before!after'
    for f in found:
        if f.data and diff(f.seq, start + 7) < 0:
            assert 'U' in f.flags and f.seq + f.urgent & M32 == start + 7 & M32


# covers: MUST-30 MUST-33
def test_urgent_data_is_received():
    s = Stack()
    p, sock = established(s)
    p.send('PA', b'before')
    p.send('UPA', b'!', urgent=1)
    p.send('PA', b'after')
    assert sock.ready() & URGENT and not at_mark(sock)
    assert sock.recv() == b'before', 'a read stops at the mark'
    assert at_mark(sock) == 1
    assert take(sock) == b'!'
    assert sock.recv() == b'after' and not at_mark(sock)
    assert errno_of(take, sock) == errno.EINVAL and not sock.ready() & URGENT


# covers: MUST-33
def test_urgent_data_in_line():
    s = Stack()
    p, sock = established(s)
    sock.set('OOB_INLINE', 1)
    p.send('UPA', b'abc!', urgent=4)
    p.send('PA', b'after')
    assert not at_mark(sock)
    first = sock.recv(2)
    assert first == b'ab' and not at_mark(sock)
    assert errno_of(take, sock) == errno.EINVAL
    rest = sock.recv()
    assert rest == b'c' and at_mark(sock) == 1, 'a read stops at the mark'
    assert sock.recv() == b'!after' and not at_mark(sock)


# covers: MUST-32
def test_the_indication_is_immediate_and_only_for_news():
    s = Stack()
    p, sock = established(s)
    s.events_of(sock)
    p.send('UA', urgent=5, seq=p.seq)        # the data is still to come
    assert s.events_of(sock) & URGENT and sock.ready() & URGENT
    assert errno_of(take, sock) == errno.EAGAIN
    p.send('UA', urgent=5, seq=p.seq)
    assert not s.events_of(sock) & URGENT, 'the same pointer is no news'
    p.send('UA', urgent=3, seq=p.seq)
    assert not s.events_of(sock) & URGENT, 'nor is one that goes back'
    p.send('UA', urgent=9, seq=p.seq)
    assert s.events_of(sock) & URGENT, 'one that goes forward is'
    p.send('PA', b'12345678!tail')
    assert s.events_of(sock) & READABLE
    assert sock.recv() == b'12345678' and take(sock) == b'!'
    assert sock.recv() == b'tail'
    p.send('UPA', b'?', urgent=1)
    assert s.events_of(sock) & URGENT and take(sock) == b'?'


# covers: MUST-30
def test_the_pointer_of_a_segment_that_is_partly_old():
    s = Stack()
    p, sock = established(s)
    p.send('A', b'abc')
    p.send('UA', b'abcd!', seq=p.seq - 3, urgent=5)
    p.seq += 2
    assert acked(p) == p.seq
    assert sock.recv() == b'abcd' and take(sock) == b'!'
    assert errno_of(sock.recv) == errno.EAGAIN


# covers: MUST-31
@pytest.mark.parametrize('overtake', [False, True])
def test_much_urgent_data_is_received(overtake):
    s = Stack(tcp={'receive_buffer_initial': 1 << 19, 'receive_buffer_max': 1 << 19})
    p, sock = established(s, wscale=0)
    sock.set('OOB_INLINE', 1)
    stream = pattern(200_000)
    base, got, at = p.seq, b'', 0
    frames = []
    while at < len(stream):
        n = min(1460, len(stream) - at)
        # The urgent run ends with the stream; a pointer reaches 65535 at most.
        frames.append(p.build('UA', stream[at:at + n], seq=base + at, urgent=min(65535, len(stream) - at)))
        at += n
    for i in range(0, len(frames), 8):
        batch = frames[i:i + 8]
        p.burst(*(reversed(batch) if overtake else batch))
        while True:
            try:
                got += sock.recv()
            except OSError as e:
                assert e.errno == errno.EAGAIN
                break
    p.seq = base + len(stream)
    assert got == stream and acked(p) == p.seq
    p.send('PA', b'not urgent')
    assert sock.recv() == b'not urgent'


# covers: MUST-31
def test_much_urgent_data_is_sent():
    s = Stack(tcp={'send_buffer_initial': 1 << 20, 'send_buffer_max': 1 << 20})
    p, sock = established(s, window=0)
    stream = pattern(149_999)
    queued = 0
    while queued < len(stream):
        queued += sock.send(stream[queued:])
    sock.checked('urgent_send', ord('!'))
    sock.send(b'and on')
    p.segments()
    base = p.irs + 1
    p.ack, p.got = base, b''
    p.send('A', window=60000)
    found = []
    for _ in range(3000):
        new = p.segments()
        found += new
        if len(p.got) >= 150_006:
            break
        if not new:
            s.run(0.1)
        p.send('A', window=60000)
    assert p.got == stream + b'!' + b'and on'
    end = base + 150_000
    for f in found:
        if 'U' in f.flags:
            # Beyond the reach of 16 bits a pointer can only say "further on".
            assert f.seq + f.urgent & M32 == end & M32 or f.urgent == 0xffff
        elif f.data:
            assert diff(f.seq, end) >= 0 or diff(end, f.seq) > 0xffff
    assert any('U' in f.flags for f in found)
