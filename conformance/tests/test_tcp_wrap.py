# SPDX-License-Identifier: BSD-3-Clause
"""TCP: sequence numbers that wrap. RFC 9293 3.4: a connection must not depend on where its numbers begin, so
whole lives of connections are compared, segment by segment, with one whose numbers are far from any edge."""
import pytest

from light import ADDR, HOST, Stack, errno_of
from peer import Peer, diff
from tcpkit import M32, acked, at_end, available, pattern, pull, state

EDGES = (0xffffffff, 0xfffffffe, 0x7fffffff, 0xfffff000, 0)


def isn_at(target, probe):
    """The start time at which the stack's ISN in situation `probe` is `target`: it grows by one every
    4 microseconds (RFC 9293 3.4.1)."""
    start = 1_000_000_000_000
    found = probe(Stack(start=start))
    start += diff(target, found) % (1 << 32) * 4000
    return start


def passive_isn(s):
    s.listener(80)
    p = Peer(s, isn=1)
    p.send('S')
    return p.one('SA').seq


def active_isn(s):
    p = Peer(s, port=7000)
    s.stream().bind(ADDR, 50000).connect(HOST, 7000)
    return p.receive_syn().seq


# covers: 9293-3.4-modulo
@pytest.mark.parametrize('theirs', EDGES)
@pytest.mark.parametrize('ours', EDGES)
@pytest.mark.parametrize('opens', ['peer', 'stack'])
def test_sequence_numbers_wrap(theirs, ours, opens):
    s = Stack(start=isn_at(ours, passive_isn if opens == 'peer' else active_isn))
    if opens == 'peer':
        listener = s.listener()
        p = Peer(s, isn=theirs)
        p.connect()
        sock = listener.accept()
    else:
        p = Peer(s, port=7000, isn=theirs)
        sock = s.stream().bind(ADDR, 50000).connect(HOST, 7000)
        p.accept()
    assert p.irs == ours
    stream = pattern(9000)
    sent = pull(p, sock, stream)
    assert sum(f.length for f in sent) == 9000
    back = pattern(9000, 5)
    for at in (0, 2000, 1000, 3000, 4000, 8000, 7000, 6000, 5000):
        p.send('PA', back[at:at + 1000], seq=p.isn + 1 + at & M32)
    p.seq = p.isn + 1 + 9000 & M32
    assert acked(p) == p.seq and available(sock) == back
    # A retransmission and the FINs.
    sock.send(b'again')
    s.run(3)
    assert all(f.data == b'again' for f in p.segments())
    p.send('FA')
    assert acked(p) == p.seq and at_end(sock)
    sock.close()
    p.one('FA', seq=ours + 1 + 9005 & M32)
    p.send('A')
    assert state(p) is None


class Life:
    """A scripted life of a connection; log: what the stack did, with numbers relative to where they began."""

    def __init__(self, ours, theirs):
        self.s = Stack(start=isn_at(ours, passive_isn), tcp={'receive_buffer_initial': 65536})
        listener = self.s.listener()
        self.p = Peer(self.s, isn=theirs, sack=True, window=30000)
        self.p.send('S')
        self.log = []
        self.take()
        assert self.p.irs == ours
        self.s.run(0.05)
        self.p.send('A')
        self.sock = listener.accept()

    def take(self):
        p, found = self.p, self.p.segments()
        for f in found:
            self.log.append((round(f.time, 6), f.flags, f.seq - p.irs & M32, f.ack - p.isn & M32,
                             f.window, f.urgent, f.data, [(a - p.isn & M32, b - p.isn & M32) for a, b in f.sack]))
        return found

    def ack(self, offset, **fields):
        """Acknowledges up to a byte of the stream, whatever came."""
        self.p.send('A', ack=self.p.irs + 1 + offset, **fields)
        return self.take()

    def losses(self):
        self.sock.send(pattern(29200))
        self.take()
        for i in range(1, 10):                   # the first and the fifth are missing
            self.ack(0)
        self.s.run(0.1)
        self.ack(4 * 1460)                       # a partial acknowledgment
        self.s.run(0.1)
        self.ack(len(self.p.got))
        self.sock.send(pattern(14600, 7))
        for _ in range(6):                       # silence: timeouts
            self.s.run(1)
            self.take()
        while len(self.p.got) < 43800:
            self.s.run(0.1)
            self.take()
            self.ack(len(self.p.got))
        self.ack(43800)

    def reassembly(self):
        p, stream = self.p, pattern(8000, 3)
        for start, end in ((0, 1000), (3000, 4000), (5000, 6000), (500, 1500), (3500, 5500), (7000, 8000),
                           (1500, 3000), (0, 3000), (6000, 7500)):
            p.send('PA', stream[start:end], seq=p.isn + 1 + start)
            self.take()
            self.s.run(0.03)
        self.log.append(available(self.sock))
        p.seq = p.isn + 1 + 8000 & M32
        self.take()

    def nonsense(self):
        p = self.p
        for flags, data, at, ack in (('A', b'', -1, 0), ('PA', b'old', -3, 0), ('R', b'', -1, 0), ('R', b'', 1, 0),
                                     ('S', b'', 0, 0), ('PA', b'evil', 0, 1), ('PA', b'evil', 0, -60000),
                                     ('PA', b'late', 100000, 0), ('', b'evil', 0, 0), ('R', b'', 100000, 0)):
            self.s.run(1)
            p.send(flags, data, seq=p.seq + at & M32, ack=p.ack + ack & M32)
            self.take()
        self.log.append(errno_of(self.sock.recv))

    def window(self):
        p = self.p
        p.send('A', window=0)
        self.sock.send(b'behind a closed window')
        self.s.run(20)
        self.take()
        p.send('A', window=10)
        self.s.run(2)
        self.take()
        p.send('A', window=30000)
        self.take()
        p.send('A', window=30000)

    def urgent(self):
        p = self.p
        self.sock.send(b'pay')
        self.sock.checked('urgent_send', ord('!'))
        self.take()
        p.send('A')
        self.take()
        p.send('UPA', b'attend!', urgent=7)
        self.log.append((self.sock.recv(), self.sock.checked('urgent_take')['byte']))

    def end(self):
        p = self.p
        self.sock.send(b'last words')
        self.sock.shutdown()
        self.s.run(4)
        self.take()
        p.send('FPA', b'goodbye', ack=p.ack - 11)
        self.take()
        p.send('A')
        self.s.run(1)
        self.take()
        self.log.append(available(self.sock))
        p.send('FA', seq=p.seq - 1)
        self.take()
        self.log.append(state(p))


def life(ours, theirs):
    x = Life(ours, theirs)
    for part in (x.losses, x.reassembly, x.nonsense, x.window, x.urgent, x.end):
        part()
    return x.log


# covers: 9293-3.4-modulo
@pytest.mark.parametrize('ours', EDGES + (0xffff8000, 0xffffc000, 0x7fff8000))
def test_a_life_does_not_depend_on_where_its_numbers_begin(ours):
    middle = life(0x20000000, 0x20000000)
    assert len(middle) > 60
    for theirs in (0x20000000, ours, 0xffffffff, 0xfffff000):
        other = life(ours, theirs)
        for a, b in zip(middle, other):
            assert a == b
        assert len(middle) == len(other)
