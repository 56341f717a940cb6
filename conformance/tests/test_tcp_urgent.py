# SPDX-License-Identifier: BSD-3-Clause
"""Urgent data: RFC 9293 3.8.5 as RFC 6093 reads it and Linux has it: one byte out of band, the pointer names the
number behind it."""
import errno

from light import READABLE, URGENT, Stack, errno_of
from peer import M32, established
from tcpkit import pattern


def take(sock):
    reply = sock.checked('urgent_take')
    return bytes([reply['byte']])


def at_mark(sock):
    return sock.call('at_mark')['result'] == 1


def urgent_send(sock, byte):
    sock.checked('urgent_send', byte[0])


# covers: MUST-30
def test_urgent_data_is_received_out_of_band():
    s = Stack()
    p, sock = established(s)
    assert errno_of(take, sock) == errno.EINVAL
    p.send('AU', b'abcXdef', urgent=4)
    assert s.events_of(sock) & URGENT and sock.ready() & URGENT
    assert take(sock) == b'X'
    assert errno_of(take, sock) == errno.EINVAL
    assert sock.recv() == b'abc'
    assert sock.recv() == b'def'
    assert not sock.ready() & URGENT


# covers: MUST-30
def test_urgent_data_inline():
    s = Stack()
    p, sock = established(s)
    sock.set('OOB_INLINE', 1)
    p.send('AU', b'abcXdef', urgent=4)
    assert b''.join(iter_recv(sock)) == b'abcXdef'


def iter_recv(sock):
    while sock.ready() & READABLE:
        yield sock.recv()


# covers: MUST-30 MUST-62
def test_urgent_data_is_sent():
    s = Stack()
    p, sock = established(s)
    sock.send(b'before')
    p.one('A', data=b'before')
    p.send('A')
    urgent_send(sock, b'!')
    x = p.one('AU')
    assert x.data == b'!' and x.seq + x.urgent & M32 == x.seq + 1 & M32
    p.send('A')
    sock.send(b'after')
    assert 'U' not in p.one('A', data=b'after').flags


# covers: MUST-33
def test_the_mark_is_seen_and_not_read_across():
    s = Stack()
    p, sock = established(s)
    p.send('AU', b'0123456789', urgent=6)
    assert not at_mark(sock)
    assert sock.recv(3) == b'012' and not at_mark(sock)
    assert sock.recv(100) == b'34' and at_mark(sock)
    assert take(sock) == b'5'
    assert at_mark(sock)
    assert sock.recv() == b'6789' and not at_mark(sock)


# covers: MUST-32
def test_the_indication_is_immediate_and_only_for_news():
    s = Stack()
    p, sock = established(s)
    p.send('AU', b'abc', urgent=100)                     # the byte itself is still far
    assert s.events_of(sock) & URGENT
    assert errno_of(take, sock) == errno.EAGAIN
    p.send('AU', b'def', urgent=97)                      # the same byte again
    assert not s.events_of(sock) & URGENT
    p.send('AU', b'ghi', urgent=150)                     # forward
    assert s.events_of(sock) & URGENT
    assert sock.recv() == b'abcdefghi'


# covers: MUST-66
def test_reset_urgent_and_ack_at_a_zero_window():
    s = Stack(tcp={'receive_buffer_initial': 4096, 'receive_buffer_max': 4096})
    p, sock = established(s)
    for _ in range(10):
        window = sock.info()['receive_window']
        if window == 0:
            break
        p.send('A', b'f' * min(window, 1000))
    assert p.segments()[-1].window == 0
    sock.send(b'outgoing')
    p.one('A', data=b'outgoing', window=0)
    s.events_of(sock)
    p.send('AU', urgent=1)                                # the byte would be the next one
    assert s.events_of(sock) & URGENT
    assert sock.info()['send_queued'] == 0                # the ACK of that segment counted
    p.send('R')
    assert p.state() == 'CLOSED'


# covers: MUST-31
def test_a_long_urgent_run_is_sent():
    s = Stack(tcp={'send_buffer_initial': 1 << 20, 'send_buffer_max': 1 << 20, 'initial_window': 10})
    p, sock = established(s, wscale=7, window=4000)
    data = pattern(200000)
    sock.send(data)
    urgent_send(sock, b'!')
    flagged = []
    for _ in range(400):
        found = p.segments()
        flagged += [x for x in found if 'U' in x.flags]
        if len(p.got) > len(data):
            break
        p.send('A')
    assert p.got == data + b'!'
    end = p.irs + 1 + len(data) + 1 & M32
    assert flagged and flagged[-1].seq + flagged[-1].urgent & M32 == end
    for x in flagged:                                     # never a byte that is not the urgent one
        assert x.seq + x.urgent & M32 == end or x.urgent == 0xffff


# covers: MUST-31
def test_a_long_urgent_run_is_received():
    s = Stack()
    p, sock = established(s)
    data, got = pattern(200000), b''
    for at in range(0, len(data), 1000):
        left = len(data) - at
        p.send('AU', data[at:at + 1000], urgent=min(left, 65535))
        got += b''.join(iter_recv(sock))
        p.segments()
    # A byte that the pointer had named before it went on is an ordinary one again, as on Linux.
    assert got == data[:-1]
    assert take(sock) == data[-1:]
    assert not sock.ready() & READABLE
