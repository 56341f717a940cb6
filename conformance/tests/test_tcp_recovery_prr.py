# SPDX-License-Identifier: BSD-3-Clause
"""TCP: how fast recovery sends: proportional rate reduction. RFC 6937, RFC 9937, RFC 5681 4.3. Counts are of whole
segments: every window here is a multiple of one."""
import random

import pytest

from recoverykit import Flight, MSS, RTT, Path, vectors


def entry(out=20, queue=40, lost=(0,), **more):
    """Up to the third SACKed segment behind the losses; what that made the stack send."""
    f = Flight(out, queue, **more)
    f.wait()
    first = max(lost) + 1
    assert f.ack(0, (first, first + 1)) == [out]
    f.wait(0.001)
    assert f.ack(0, (first, first + 2)) == [out + 1]
    f.wait(0.001)
    return f, f.ack(0, (first, first + 3))


# ---- the vectors

# covers: 6937-3-ex1 6937-3-ex2 6937-3-prop 6937-3-crb 9937-6-cwnd
@pytest.mark.parametrize('case, lost', [('1-loss', 1), ('15-losses', 15)])
def test_the_worked_examples(case, lost):
    """RecoverFS is 20: RFC 9937 leaves out what was SACKed before. ACKs with SACK blocks alone are not safe: they take
    the conservative bound."""
    rows = vectors('prr_examples.tsv', case=case, recover_fs='20', bound='crb')
    f, sent = entry(lost=range(lost))
    assert f.ssthresh() == 10
    again = 0
    for row in rows:
        n = int(row['ack_of'])
        if row is not rows[0]:
            sent = f.ack(0, (lost, n + 1))
        assert len(sent) == int(row['send']), row
        if again < lost:                     # what is lost goes first
            assert sent == list(range(again, again + len(sent)))[:max(lost - again, 0)] + sent[lost - again:]
        again += len([x for x in sent if x < 20])
        assert f.cwnd() == pytest.approx(int(row['pipe_before']) + int(row['send']), abs=0.999), row
    assert rows and f.recovering() == 1


# covers: 6937-3-ex2 6937-3-ssrb 6937-3-crb 9937-6-safeack
@pytest.mark.parametrize('ack, released', [
    ((2, (15, 22)), [5, 6, 7]),              # snd_una moves, nothing more is lost: one more than the two delivered
    ((0, (2, 4), (15, 22)), [0, 1]),         # it does not move; what was sent again before 2 is lost again
    ((1, (3, 4), (15, 22)), [1, 2]),         # it moves, but 1 and 2 are lost again: the two that were delivered
])
def test_the_bound_depends_on_the_acknowledgment(ack, released):
    f, sent = entry(lost=range(15))
    assert sent == [0]
    for n, gap in (1, 0.001), (2, 0.001), (3, 0.096), (4, 0.001):
        f.wait(gap)
        assert f.ack(0, (15, 18 + n)) == [n]
    f.wait()
    assert f.ack(*ack) == released


# covers: 6937-3-ssrb
def test_safe_acks_bring_the_flight_back_to_ssthresh_and_no_further():
    f, sent = entry(lost=range(15))
    pipe = []
    p = Path(f, [(n, 1) for n in range(15)])
    p.there = set(range(15, 18))
    p.order = [(15, 18)]
    p.queue = [(t, n) for t, n in p.queue if n not in range(15, 18)]
    released = []
    while p.una < 15:
        n, sent = p.step()
        released.append(len(sent))
        pipe.append(len(p.queue))
    assert max(released) <= 2 and 2 in released
    assert max(pipe) <= f.ssthresh() == 10
    assert pipe[-1] >= 9


# ---- delivered

# covers: 6937-3-delivered
def test_acks_that_deliver_nothing_release_nothing():
    f, sent = entry()
    assert sent == [0]
    for _ in range(10):
        assert f.ack(0, (1, 4)) == []
        assert f.ack(0) == []
    assert f.ack(0, (1, 5)) == []            # the second of two
    assert len(f.ack(0, (1, 6))) == 1


# ---- entry, exit

# covers: 9937-6-entry
def test_the_first_retransmission_does_not_wait():
    """18 are in flight, ssthresh is 10, one was delivered: half a segment, by proportion."""
    f, sent = entry()
    assert sent == [0] and f.times(0)[1] == f.s.now


# covers: 9937-6-entry
def test_nor_does_it_if_a_timer_finds_the_loss():
    """Nothing is delivered at that time: the allowance is nought."""
    f = Flight(20)
    f.wait()
    assert f.ack(0, (1, 2)) == []
    assert f.wait(RTT / 4 - 0.001) == []
    assert f.wait(0.002) == [0] and f.recovering() == 1
    assert f.ssthresh() == 10                # half the flight; what is SACKed belongs to it (RFC 6675 1)


# covers: 6937-3-exit 9937-6-cwnd
def test_the_window_at_the_end():
    f, sent = entry(queue=200)
    p = Path(f, [(0, 1)])
    p.there, p.order = {1, 2, 3}, [(1, 4)]
    p.queue = [(t, n) for t, n in p.queue if n not in (1, 2, 3)]
    flight = None
    while p.una < 22:
        flight = len(p.queue)
        p.step()
    assert abs(flight - f.ssthresh()) <= 1
    assert f.cwnd() == f.ssthresh() == 10


# covers: 5681-4.3-rate
@pytest.mark.parametrize('cc, share', [('newreno', 0.5), ('cubic', 0.7)])
@pytest.mark.parametrize('lost', [(0,), (0, 3, 7), (2, 5, 9, 14)])
def test_a_round_trip_of_recovery_carries_less(cc, share, lost):
    f = Flight(20, 200, tcp={'cc': cc})
    p = Path(f, [(n, 1) for n in lost])
    sent, began = [], None
    while p.una < 20:
        n, new = p.step()
        if began is None and f.recovering():
            began = f.s.now
        if began is not None:
            sent += [f.s.now] * len(new)
    assert f.timeouts() == 0 and f.recovering() == 1
    for at in sorted(set(sent)):
        count = sum(at <= t < at + RTT - 1e-6 for t in sent)
        assert count <= share * 20 + 1, (at, count)


# ---- a model

class Model:
    """RFC 9937 6 in bytes, as its pseudocode has it, and the loss rule of RFC 8985 on a path without reordering: what was
    sent before something that has arrived is lost."""

    def __init__(self, out):
        self.sent = {n: n for n in range(out)}       # segment: place in the order of transmission
        self.clock, self.next = out, out
        self.gone, self.una, self.newest = set(), 0, -1
        self.recover = None
        self.lost, self.sacks = set(), 0
        self.ssthresh = None

    def outstanding(self):
        return [n for n in range(self.una, self.next) if n not in self.gone]

    def pipe(self):
        return MSS * sum(n not in self.lost for n in self.outstanding())

    def ack(self, una, arrived):
        """What may be sent after this ACK, in recovery; None: not in recovery."""
        before_pipe, sacked_before = self.pipe(), len([n for n in self.gone if n >= self.una])
        delivered = MSS if arrived not in self.gone else 0
        moved = una > self.una
        self.gone.add(arrived)
        self.lost.discard(arrived)
        span = self.next - self.una
        cumulative = len([n for n in range(self.una, una) if n == arrived])
        self.una = una
        self.newest = max(self.newest, self.sent[arrived])
        if self.recover is not None and self.una >= self.recover:
            return None
        self.sacks += not moved
        new = set()
        if self.recover is not None or self.sacks >= 3:
            new = {n for n in self.outstanding() if n not in self.lost and self.sent[n] < self.newest}
        self.lost |= new
        if self.recover is None:
            if not self.lost:
                return None
            self.recover, self.ssthresh = self.next, before_pipe // 2
            self.delivered = self.out = 0
            self.from_ = MSS * (span - sacked_before + cumulative)
            moved = False
        self.delivered += delivered
        pipe = self.now = self.pipe()
        if pipe > self.ssthresh:
            may = -(-self.delivered * self.ssthresh // self.from_ // MSS) * MSS - self.out
        else:
            may = max(self.delivered - self.out, delivered)
            if moved and not new:
                may += MSS
            may = min(self.ssthresh - pipe, may)
        if self.out == 0 and may < MSS:
            may = MSS
        return max(may, 0)

    def put(self, n):
        self.sent[n] = self.clock
        self.clock += 1
        self.lost.discard(n)
        self.next = max(self.next, n + 1)
        if self.recover is not None:
            self.out += MSS


# covers: 6937-3-init 6937-3-crb 6937-3-ssrb 6937-3-delivered 9937-6-safeack 9937-6-cwnd
@pytest.mark.parametrize('seed', range(12))
def test_every_ack_releases_what_the_model_says(seed):
    """Random losses of a window of 30, some of them twice."""
    rng = random.Random(seed)
    count = rng.choice([1, 2, 4, 8, 15, 20])
    lost = [(n, 1) for n in rng.sample(range(27), count)]
    lost += [(n, 2) for n, _ in lost if rng.random() < 0.15]
    f = Flight(30, 300)
    p, m = Path(f, lost), Model(30)
    checked = 0
    for _ in range(400):
        n, sent = p.step()
        may = m.ack(p.una, n)
        for x in sent:
            m.put(x)
        if may is None:
            if m.recover is not None:
                break
            continue
        assert len(sent) == may // MSS, (n, p.una, sent, may)
        assert f.value('cwnd') == max(m.now + may, MSS)
        assert f.value('ssthresh') == m.ssthresh
        checked += 1
    assert checked > 10 and f.cwnd() * MSS == f.value('ssthresh') and f.timeouts() == 0


# covers: 9937-6-notrto
def test_after_a_timeout_it_is_slow_start():
    """A recovery that ends in a timeout: what PRR counted has no say any more."""
    f = Flight(20)
    f.wait()
    f.ack(0, (1, 4))
    assert f.recovering() == 1
    for _ in range(40):
        if f.timeouts():
            break
        f.wait(0.05)
    assert f.timeouts() == 1 and f.cwnd() == 1
    una, window = 4, 1
    for _ in range(4):
        f.wait()
        f.ack(una)
        window += 1
        assert f.cwnd() == window and all(len(f.times(n)) == 2 for n in range(una, una + window))
        una += 1
