# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of loss recovery share: a sender with a window of segments in flight, counted from 0, and a peer
that says by ACK and SACK blocks which of them have arrived. Segment n is bytes [n * MSS, (n + 1) * MSS)."""
import csv
import os

from light import Stack
from peer import diff, sack, timestamps
from tcpkit import measured, pattern

MSS = 1000
RTT = 0.1
VECTORS = os.path.join(os.path.dirname(__file__), '..', 'vectors')


def vectors(name, **fields):
    """The rows of a vector file in which these columns have these values."""
    with open(os.path.join(VECTORS, name)) as f:
        rows = list(csv.DictReader(f, delimiter='\t'))
    return [r for r in rows if all(r[k] == v for k, v in fields.items())]


class Flight:
    """`out` segments leave at once: the initial window is as large. `queue` more are written behind them. Round trips
    of the handshake and of one byte were measured; the RTO is a second, and the ACKs come when the test says so."""

    def __init__(self, out=10, queue=0, rtt=RTT, sack=True, stamps=False, tcp=(), profile='standard', samples=2,
                 window=8000, **peer):
        settings = {'cc': 'newreno', 'initial_window': out, 'send_buffer_initial': 1 << 20,
                    'send_buffer_max': 1 << 20, **dict(tcp)}
        self.s = Stack(profile=profile, tcp=settings)
        self.p, self.sock = measured(self.s, [rtt] * samples, sack=sack, wscale=7, window=window, timestamps=stamps,
                                     mss=MSS + 12 * stamps, **peer)
        self.base, self.una, self.rtt = self.p.ack, 0, rtt
        self.segments = []              # all with data, in the order sent
        self.ts_echo = None
        assert self.value('mss') == MSS
        if out + queue:
            self.write(out + queue)
            assert self.take() == list(range(out))

    def write(self, segments, extra=0):
        n = segments * MSS + extra
        assert self.sock.send(pattern(n)) == n

    def take(self):
        """The numbers of the segments sent since the last look."""
        return [self.number(x) for x in self.taken()]

    def taken(self):
        found = [x for x in self.p.segments() if x.length]
        self.segments += found
        return found

    def number(self, segment):
        at = diff(segment.seq, self.base)
        return at // MSS if at % MSS == 0 else at / MSS

    def highest(self):
        """The number behind the last segment ever sent."""
        return max(self.number(x) for x in self.segments) + 1

    def seq(self, number):
        return self.base + round(number * MSS) & 0xffffffff

    def ack(self, to=None, *blocks, echo=None, **fields):
        """Acknowledges what lies below segment `to` (None: as before), with SACK blocks of segments [a, b); echo: the
        timestamp that comes back. What the stack then sends is returned."""
        if to is not None:
            self.una = max(self.una, to)
        else:
            to = self.una
        options = b''
        if self.p.timestamps:
            options += timestamps(self.p.clock(), self.p.ts_recent if echo is None else echo)
        if blocks:
            options += sack(*[(self.seq(a), self.seq(b)) for a, b in blocks])
        self.p.send('A', ack=self.seq(to), options=options, **fields)
        return self.take()

    def wait(self, seconds=None):
        """A while passes, a round trip unless it says how long; what was sent meanwhile is returned."""
        self.s.run(self.rtt if seconds is None else seconds)
        return self.take()

    def sack_one_by_one(self, first, last, to=None):
        """An ACK for each of segments [first, last), as they arrive behind a hole; what each of them made the stack
        send. first: where the block begins."""
        return [self.ack(to, (first, n + 1)) for n in range(first, last)]

    def value(self, name):
        return self.sock.info()[name]

    def cwnd(self):
        return self.value('cwnd') / MSS

    def ssthresh(self):
        return self.value('ssthresh') / MSS

    def count(self, name):
        return self.s.counter(name)

    def timeouts(self):
        return self.count('TCP_TIMEOUTS')

    def undone(self):
        return self.count('TCP_UNDONE')

    def recovering(self):
        """Fast recoveries begun so far."""
        return self.count('TCP_FAST_RETRANSMITS')

    def times(self, number):
        """When a segment was sent, each time."""
        return [x.time for x in self.segments if x.length and self.number(x) == number]


class Path:
    """A way there and back of one round trip, in order, and a receiver that SACKs: what the sender gives it arrives
    `rtt` later as an ACK, except the transmissions that are named lost: (segment, which time)."""

    SPACING = 0.0001                    # between ACKs: what they release is told apart by its time

    def __init__(self, flight, lost=()):
        self.f, self.lost, self.last = flight, set(lost), 0
        self.there, self.una, self.order = set(), 0, []     # order: ranges, the newest first
        self.seen = {}                                      # how often each segment was sent
        self.queue = []                                     # (time of the ACK, segment)
        self.put(flight.segments, [flight.number(x) for x in flight.segments])

    def put(self, segments, numbers):
        for x, n in zip(segments, numbers):
            self.seen[n] = self.seen.get(n, 0) + 1
            if (n, self.seen[n]) not in self.lost:
                self.last = max(x.time + self.f.rtt, self.last + self.SPACING)
                self.queue.append((self.last, n))

    def arrive(self, n):
        """The receiver's view after segment n: its SACK blocks."""
        self.there.add(n)
        while self.una in self.there:
            self.una += 1
        start = end = n
        while start - 1 in self.there and start - 1 >= self.una:
            start -= 1
        while end in self.there:
            end += 1
        self.order = [(a, b) for a, b in self.order if b > self.una and not (a >= start and b <= end)]
        if start >= self.una and end > self.una:
            self.order.insert(0, (max(start, self.una), end))
        return self.order[:3]

    def step(self):
        """The next ACK reaches the sender. Returns (segment that arrived, what the stack sent), or None: silence."""
        before = len(self.f.segments)
        if not self.queue:
            return None
        at, n = self.queue.pop(0)
        if at > self.f.s.now:
            self.f.s.until(at)
            self.put_new(before)
            before = len(self.f.segments)
        blocks = self.arrive(n)
        self.f.ack(self.una, *blocks)
        return n, self.put_new(before)

    def put_new(self, before):
        self.f.taken()
        new = self.f.segments[before:]
        numbers = [self.f.number(x) for x in new]
        self.put(new, numbers)
        return numbers


def blocks_of(segment, base):
    return [(diff(a, base), diff(b, base)) for a, b in segment.sack]


__all__ = [n for n in dir() if not n.startswith('_')]
