# SPDX-License-Identifier: BSD-3-Clause
"""TCP: no more is outstanding than RFC 5681 would have, by a model that sees what passes the wire: random losses, acknowledgments that are
delayed, a program and a peer's window that come and go. Without SACK. A round trip is 100 ms, the RTO a second."""
import random

import pytest

from light import Stack
from peer import diff, established
from tcpkit import pattern
from test_tcp_newreno import BUFFER, MSS

RTT = 0.1


class Model:
    """The standard's sender: RFC 5681 with RFC 3465, 3042, 6582, and RFC 9937 in recovery. All numbers are bytes of the stream."""

    def __init__(self, window):
        self.una = self.high = self.acked = self.dups = 0
        self.cwnd, self.ssthresh, self.recover = window, 1 << 31, -1
        self.edge, self.phase = 0, 'open'

    def grow(self, n):
        if self.cwnd < self.ssthresh:
            self.cwnd += min(n, MSS if self.phase == 'timeout' else 2 * MSS)
            return
        self.acked += n
        if self.acked >= self.cwnd:
            self.acked -= self.cwnd
            self.cwnd += MSS

    def cut(self, flight):
        self.ssthresh = max(flight // 2, 2 * MSS)
        self.recover, self.acked, self.again = self.high, 0, self.una

    def ack(self, to, window):
        moved, self.una = to - self.una, to
        self.edge = to + window
        if moved == 0:
            if self.high == to or self.phase == 'timeout':
                return
            self.dups += 1
            if self.phase == 'open' and self.dups == 3 and to > self.recover:
                self.cut(min(self.high - to, self.cwnd))         # without what limited transmit sent
                self.cwnd, self.phase = self.ssthresh, 'recovery'
                self.flight, self.delivered, self.out, self.holes = self.high - to, MSS, 0, 1
            elif self.phase == 'recovery':
                self.delivered = min(self.delivered + MSS, self.flight)
            return
        if self.phase == 'recovery':
            if to >= self.recover:
                self.phase, self.dups = 'open', 0
                self.cwnd = min(self.ssthresh, max(self.high - to, MSS) + MSS)   # RFC 6582 3.2 step 3
            else:                            # a part: the next hole
                self.holes += 1
                self.delivered = min(self.delivered + moved, self.flight)
            return
        self.dups = 0
        self.grow(moved)
        if self.phase == 'timeout' and to >= self.recover:
            self.phase = 'open'

    def timeout(self, again):
        if not again:
            self.cut(self.high - self.una)
        self.cwnd, self.phase, self.dups, self.recover, self.again = MSS, 'timeout', 0, self.high, self.una

    def window(self):
        """Slow start ends by steps of two segments, and avoidance has steps of one that come a little earlier or later."""
        return self.cwnd + (2 * MSS if self.cwnd >= self.ssthresh else 0)

    def sent(self, start, end, beyond):
        """beyond: bytes that have arrived behind a gap. What is wrong with sending this; None: nothing."""
        fresh, self.high = end > self.high, max(self.high, end)
        if end > self.edge:
            return 'beyond the window'
        outstanding = self.high - self.una
        if self.phase == 'open':
            most = self.window() + min(self.dups, 2) * MSS
            return f'{outstanding} outstanding, {most} allowed' if outstanding > most else None
        if self.phase == 'recovery':
            self.out += end - start
            inflated = self.ssthresh + self.dups * MSS
            share = -(-self.delivered * self.ssthresh // self.flight // MSS) * MSS + self.holes * MSS
            if outstanding > inflated and self.out > share and outstanding - beyond - MSS > self.ssthresh + MSS:
                return f'{outstanding} outstanding, {inflated} allowed; {self.out} sent, {share} allowed'
            return None
        if fresh:                            # F-RTO: two segments (RFC 5682 2.1)
            most = max(self.cwnd, MSS) + 2 * MSS
            return None if outstanding - beyond <= most or self.high - self.recover <= 2 * MSS else f'{outstanding - beyond} in the network'
        return None if end - self.una <= self.cwnd else f'{end - self.una} again, {self.cwnd} allowed'


class Trace:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.loss = self.rng.choice([0, 0.005, 0.02, 0.1])
        self.s = Stack(profile='standard', tcp=BUFFER)
        self.p, self.sock = established(self.s, wscale=7)
        self.base = self.p.irs + 1
        self.model = Model(10 * MSS)
        self.edge = 0
        self.window = self.rng.choice([20, 60, 1000]) * MSS
        self.wire, self.expected, self.beyond, self.held = [], 0, {}, 0
        self.timeouts, self.phases, self.segments = 0, set(), 0
        self.answer(0)

    def write(self):
        for _ in range(self.rng.choice([0, 1, 1, 8])):
            try:
                self.sock.send(pattern(self.rng.randrange(1, 40 * MSS)))
            except BlockingIOError:
                return

    def take(self):
        """What the stack sends, one after the other, before the model; and whether it gets through."""
        timeouts = self.s.counter('TCP_TIMEOUTS')
        if timeouts > self.timeouts:
            self.model.timeout(self.model.phase == 'timeout' and self.model.una == self.model.again)
            self.timeouts = timeouts
        for x in self.p.segments():
            if not x.data:
                continue
            start = diff(x.seq, self.base)
            wrong = self.model.sent(start, start + x.length, sum(self.beyond.values()))
            assert wrong is None, (self.s.now, self.model.phase, start // MSS, wrong)
            self.phases.add(self.model.phase)
            self.segments += 1
            if self.rng.random() >= self.loss:
                self.wire.append((x.time + RTT, start, x.length))

    def answer(self, to):
        if to > self.model.una or self.edge == 0:
            self.edge = max(self.edge, to + self.window)
        window = (self.edge - to) // 128
        self.edge = to + window * 128
        self.p.send('A', ack=self.base + to & 0xffffffff, window=window)
        self.model.ack(to, window * 128)
        self.take()
        if self.model.phase == 'open' and self.model.dups == 0:
            assert self.sock.info()['cwnd'] <= self.model.window()

    def arrive(self, start, length):
        if start > self.expected:
            self.beyond[start] = length
            self.answer(self.expected)
            return
        gap = len(self.beyond) > 0
        self.expected = max(self.expected, start + length)
        while self.expected in self.beyond:
            self.expected += self.beyond.pop(self.expected)
        self.held += 1
        if gap or self.held >= self.rng.choice([1, 2, 2, 4]):
            self.held = 0
            self.answer(self.expected)

    def step(self):
        if self.rng.random() < 0.3:
            self.write()
            self.take()
        if not self.wire:
            if self.held:
                self.held = 0
                self.answer(self.expected)
            else:
                self.s.run(0.05)
                self.take()
            return
        time, start, length = self.wire.pop(0)
        while self.s.now < time - 1e-9:
            self.s.run(min(time - self.s.now, max(self.s.deadline() - self.s.now, 0)) or 1e-4)
            self.take()
        self.arrive(start, length)


# covers: 5681-3-limit
@pytest.mark.parametrize('seed', range(10))
def test_no_more_is_outstanding_than_the_standard_has(seed):
    t = Trace(seed)
    for _ in range(1200):
        t.step()
    assert t.segments > 300 and 'open' in t.phases
    assert t.s.counter('TCP_UNDONE') == 0
