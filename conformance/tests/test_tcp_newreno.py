# SPDX-License-Identifier: BSD-3-Clause
"""TCP: congestion control without SACK, seen as flights of segments. RFC 5681, RFC 6582 (NewReno), RFC 3042
(limited transmit), RFC 6928 (initial window). A round trip is 100 ms; the RTO is a second."""
import errno

import pytest

from light import Stack
from peer import diff, established, opened
from tcpkit import pattern

MSS = 1460
BUFFER = {'send_buffer_initial': 1 << 20, 'send_buffer_max': 1 << 20, 'cc': 'newreno'}


class Flow:
    """A sender that always has data, and a peer with an open window that acknowledges as told."""

    def __init__(self, rounds=0, open_=established, **peer):
        self.s = Stack(profile='standard', tcp=BUFFER)
        self.p, self.sock = open_(self.s, **{'wscale': 7, **peer})
        self.p.window = peer.get('window', 8000)
        self.p.send('A')
        self.una = self.p.irs + 1
        self.unacked = []
        self.fill()
        for _ in range(rounds):
            self.round()

    def fill(self):
        try:
            while True:
                self.sock.send(pattern(1 << 16))
        except OSError as e:
            assert e.errno == errno.EAGAIN

    def take(self):
        """New segments with data, in the order sent."""
        found = [f for f in self.p.segments() if f.data]
        self.unacked += found
        return found

    def ack(self, to, **fields):
        self.p.send('A', ack=to, **fields)
        if diff(to, self.una) > 0:
            self.una = to
        self.unacked = [f for f in self.unacked if diff(f.end, self.una) > 0]

    def duplicates(self, n):
        """n duplicate ACKs; what each of them made the stack send."""
        sent = []
        for _ in range(n):
            self.ack(self.una)
            sent.append(self.take())
        return sent

    def round(self):
        """All that is outstanding is acknowledged, segment by segment, a round trip later."""
        self.take()
        ends = [f.end for f in self.unacked]
        self.s.run(0.1)
        for i, end in enumerate(ends):
            self.ack(end)
            if i % 8 == 0:
                self.fill()
        self.fill()
        return len(ends)

    def value(self, name):
        return self.sock.info()[name]

    def flight(self):
        self.take()
        return sum(f.length for f in self.unacked)

    def lose(self, *lost):
        """A window of which these segments are lost (indices): as many duplicates as the others make. The
        segments sent meanwhile are returned, and those of the window."""
        self.take()
        window = list(self.unacked)
        self.s.run(0.1)
        if min(lost) > 0:
            self.ack(window[min(lost) - 1].end)
        extra = self.take()
        for i in range(min(lost) + 1, len(window)):
            if i not in lost:
                extra += self.duplicates(1)[0]
        return window, extra


# ---- windows at the beginning

# covers: 6928-2-iw10 5681-3.1-handshake
@pytest.mark.parametrize('opens', [established, opened])
@pytest.mark.parametrize('size, flight', [(1460, 14600), (536, 5360), (1000, 10000)])
def test_the_initial_window(opens, size, flight):
    f = Flow(open_=opens, mss=size)
    assert f.flight() == flight


# covers: 6928-2-iw10
def test_the_initial_window_of_large_segments():
    s = Stack(mtu=1600, tcp=BUFFER)
    p, sock = established(s, mss=1560)
    sock.send(pattern(40000))
    sent = sum(f.length for f in p.segments())
    assert 14600 - 1560 < sent <= 14600


# covers: 5681-3.1-ssthresh0
def test_slow_start_goes_on_without_a_loss():
    f = Flow(window=3000)                    # 384000 bytes
    flights = [f.round() for _ in range(7)]
    assert all(b >= 1.9 * a for a, b in zip(flights, flights[1:]) if b < 250), flights
    assert f.flight() > 3000 * 128 - MSS


# covers: 5681-3.1-ssnodup
@pytest.mark.parametrize('avoidance', [False, True])
def test_duplicates_do_not_open_the_window(avoidance):
    f = Flow(rounds=2)
    if avoidance:
        f = recovered()
    f.take()
    before, last = f.value('cwnd'), f.unacked[-1].end
    f.duplicates(2)
    f.ack(last)                              # ends limited transmit; grows the window by this one ACK
    assert f.value('cwnd') <= before + (1 if avoidance else 2) * MSS


# ---- timeouts

# covers: 5681-3.1-lw 6928-2-lw
def test_the_loss_window_is_one_segment():
    f = Flow(rounds=2)
    f.take()
    first = f.unacked[0]
    f.s.run(1.5)
    again = f.take()
    assert [(x.seq, len(x.data)) for x in again] == [(first.seq, MSS)]
    f.ack(first.end)
    assert len(f.take()) == 2                # slow start


# covers: 5681-3.1-rto-ssthresh
def test_ssthresh_comes_from_the_flight():
    f = Flow(rounds=3)
    f.take()
    flight = f.flight()
    f.s.run(1.5)
    assert f.value('ssthresh') == max(flight // 2, 2 * MSS)
    # A window of which little is used says nothing.
    s = Stack(profile='standard', tcp=BUFFER)
    p, sock = established(s)
    sock.send(pattern(3 * MSS))
    p.segments()
    s.run(1.5)
    assert sock.info()['ssthresh'] == 2 * MSS


# covers: 5681-3.1-rto-hold
def test_ssthresh_holds_for_later_timeouts():
    f = Flow(rounds=3)
    f.take()
    f.s.run(1.5)
    ssthresh = f.value('ssthresh')
    assert ssthresh > 4 * MSS
    f.s.run(20)
    assert len(f.take()) >= 3 and f.value('ssthresh') == ssthresh
    assert f.value('cwnd') == f.value('mss') < MSS     # which a black hole may have made smaller by now


# covers: 6582-3.2-rto 6582-3.2-enter
def test_duplicates_after_a_timeout_start_no_recovery():
    f = Flow(rounds=2)
    f.take()
    window = list(f.unacked)
    f.s.run(1.5)
    f.take()
    ssthresh = f.value('ssthresh')
    f.ack(window[0].end)
    f.take()
    # The first duplicate tells that the timeout was no mistake (RFC 5682 2.1 step 3a); the retransmissions of what was not lost make more.
    sent = sum(f.duplicates(7)[1:], [])
    assert not any(x.seq == window[1].seq for x in sent)
    assert f.value('ssthresh') == ssthresh


# ---- fast retransmit

# covers: 5681-3.2-fr 3042-2-send 3042-2-norx
def test_the_third_duplicate_retransmits():
    f = Flow(rounds=2)
    f.take()
    window, highest = list(f.unacked), f.unacked[-1].end
    f.s.run(0.1)
    first, second, third = f.duplicates(3)
    for sent in (first, second):             # one new segment each
        assert len(sent) == 1 and sent[0].seq == highest
        highest = sent[0].end
    assert [(x.seq, x.data) for x in third] == [(window[0].seq, window[0].data)]
    assert third[0].time == f.s.now


# covers: 3042-2-send
def test_limited_transmit_respects_the_peers_window():
    f = Flow(window=100)                     # 12800 bytes
    f.take()
    assert f.flight() == 12800
    assert f.duplicates(2) == [[], []]


# covers: 3042-2-cwnd
def test_limited_transmit_leaves_cwnd():
    f = Flow(rounds=2)
    f.take()
    cwnd = f.value('cwnd')
    window = list(f.unacked)
    f.s.run(0.1)
    assert sum(map(len, f.duplicates(2))) == 2
    f.ack(window[-1].end)                    # nothing was lost after all
    assert f.flight() <= f.value('cwnd') <= cwnd + 2 * MSS


# covers: 5681-3.2-dupdef
@pytest.mark.parametrize('what', ['data', 'window', 'idle'])
def test_what_is_no_duplicate(what):
    f = Flow(rounds=1)
    f.take()
    front = f.unacked[0]
    if what == 'idle':
        s = Stack(profile='standard', tcp=BUFFER)
        p, sock = established(s)
        for _ in range(6):
            p.send('A')
        p.segments()
        sock.send(pattern(5 * MSS))
        sent = p.segments()
        p.send('A', ack=sent[0].seq)
        assert all(x.seq != sent[0].seq for x in p.segments())
        return
    for i in range(6):
        if what == 'data':
            f.p.send('A', b'data', ack=front.seq)
        else:
            f.p.send('A', ack=front.seq, window=8001 + i)
    assert all(x.seq != front.seq for x in f.take())


# covers: 5681-3.2-step2
def test_ssthresh_of_a_fast_retransmit():
    f = Flow(rounds=2)
    flight = f.flight()
    f.s.run(0.1)
    f.duplicates(3)
    assert f.value('ssthresh') == flight // 2
    small = Flow()
    small.take()
    assert small.value('ssthresh') > 1 << 20


# covers: 6582-3.2-partial 5681-4.3-recov
def test_partial_acks_retransmit_hole_after_hole():
    f = Flow(rounds=2)
    window, extra = f.lose(0, 5, 9)
    ssthresh = f.value('ssthresh')
    assert [x.seq for x in extra if diff(x.seq, window[-1].end) < 0] == [window[0].seq]
    started = f.s.now
    for hole, end in ((5, window[4].end), (9, window[8].end)):
        f.s.run(0.1)
        f.ack(end)
        sent = f.take()
        assert window[hole].seq in [x.seq for x in sent]
        assert all(x.seq == window[hole].seq or diff(x.seq, window[-1].end) >= 0 for x in sent)
        assert f.value('ssthresh') == ssthresh, 'reduced twice for one window'
    f.s.run(0.1)
    f.ack(max((x.end for x in f.unacked), key=lambda e: diff(e, f.una)))
    assert f.s.now - started < 0.5           # no timeout was needed
    assert f.value('ssthresh') == ssthresh and f.value('cwnd') <= ssthresh


def recovered():
    """After a fast recovery, with cwnd back at ssthresh: congestion avoidance."""
    f = Flow(rounds=2)
    f.lose(0)
    f.s.run(0.1)
    f.ack(max((x.end for x in f.unacked), key=lambda e: diff(e, f.una)))
    for _ in range(8):
        if f.value('cwnd') >= f.value('ssthresh'):
            break
        f.round()
    return f


# covers: 5681-3.2-step6 6582-3.2-full
def test_the_window_after_recovery():
    f = Flow(rounds=2)
    window, extra = f.lose(0)
    ssthresh = f.value('ssthresh')
    top = max((x.end for x in f.unacked), key=lambda e: diff(e, f.una))
    f.s.run(0.1)
    f.ack(top)
    assert f.value('cwnd') <= ssthresh
    burst = f.take()
    assert sum(x.length for x in burst) <= ssthresh
    assert 1 <= len(burst) <= 4, 'a burst at the end of recovery'
    assert f.flight() <= f.value('cwnd')
    # It grows from there to ssthresh and then by one segment a round trip.
    for _ in range(20):
        f.round()
    assert f.value('cwnd') >= ssthresh


# covers: 5681-4.3-recov
def test_losses_of_two_windows_reduce_twice():
    f = recovered()
    first = f.value('ssthresh')
    f.take()
    f.lose(0)
    assert f.value('ssthresh') < first


# ---- congestion avoidance

# covers: 5681-3.1-ca
@pytest.mark.parametrize('pieces', ['each', 'second', 'tenths'])
def test_congestion_avoidance_is_linear(pieces):
    f = recovered()
    growth = []
    for _ in range(8):
        f.fill()
        f.take()
        before = f.value('cwnd')
        ends = [x.end for x in f.unacked]
        f.s.run(0.1)
        if pieces == 'second':
            ends = ends[1::2] + (ends[-1:] if len(ends) % 2 else [])
        for end in ends:
            if pieces == 'tenths':
                for tenth in range(9, 0, -1):
                    f.ack(end - tenth * 146)
            f.ack(end)
        growth.append(f.value('cwnd') - before)
    assert all(g <= MSS for g in growth), growth
    assert sum(growth) >= len(growth) * MSS / 2


# covers: 5681-4.1-idle
def test_the_window_restarts_after_idleness():
    s = Stack(profile='standard', tcp=BUFFER)
    p, sock = established(s, wscale=7)
    p.window = 8000
    p.send('A')
    for _ in range(200):                     # slow start with a queue that empties in the end
        if sock.info()['cwnd'] > 100 * MSS:
            break
        try:
            sock.send(pattern(1 << 17))
        except OSError as e:
            assert e.errno == errno.EAGAIN
        ends = [x.end for x in p.segments()]
        s.run(0.1)
        for end in ends:
            p.send('A', ack=end)
    for _ in range(200):
        ends = [x.end for x in p.segments()]
        if not ends:
            break
        s.run(0.1)
        p.send('A', ack=ends[-1])
    assert sock.info()['cwnd'] > 50 * MSS and sock.info()['send_queued'] == 0
    s.run(5)
    p.send('PA', b'the peer is not idle')
    s.run(0.5)
    p.segments()
    sock.send(pattern(1 << 18))
    assert sum(x.length for x in p.segments()) <= 10 * MSS


# covers: 7661-4.4-nogrow
def test_an_unused_window_does_not_grow():
    s = Stack(profile='standard', tcp=BUFFER)
    p, sock = established(s)
    start = sock.info()['cwnd']
    for _ in range(100):
        sock.send(pattern(2 * MSS))
        ends = [x.end for x in p.segments()]
        s.run(0.1)
        for end in ends:
            p.send('A', ack=end)
    assert sock.info()['cwnd'] <= max(start, 4 * MSS)
