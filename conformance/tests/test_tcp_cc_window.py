# SPDX-License-Identifier: BSD-3-Clause
"""TCP: how the congestion window begins, grows and waits, seen as what may be outstanding. RFC 3465 (byte counting), RFC 5681,
RFC 6928 (initial window), RFC 7661 (validation). A round trip is 100 ms."""
import pytest

from light import Stack
from packets import icmp_error, quote
from peer import Peer, diff, established, syn_sent
from tcpkit import pattern
from test_tcp_newreno import BUFFER, MSS, Flow, recovered


# ---- byte counting

# covers: 3465-2.2-ss
def test_every_second_segment_acknowledged_still_doubles():
    f = Flow()
    flights = []
    for _ in range(4):
        f.fill()
        f.take()
        flights.append(len(f.unacked))
        ends = [x.end for x in f.unacked]
        f.s.run(0.1)
        for end in ends[1::2] + (ends[-1:] if len(ends) % 2 else []):
            f.ack(end)
        f.fill()
    assert all(1.9 * a <= b <= 2 * a for a, b in zip(flights, flights[1:])), flights


# covers: 3465-2.3-L
def test_an_acknowledgment_of_ten_segments_adds_two():
    f = Flow(rounds=2)
    f.take()
    before = f.value('cwnd')
    f.s.run(0.1)
    f.ack(f.unacked[9].end)
    assert f.value('cwnd') == before + 2 * MSS


# covers: 3465-2.3-rto
def test_after_a_timeout_an_acknowledgment_adds_one_segment():
    f = Flow(rounds=2)
    f.take()
    window = list(f.unacked)
    f.s.run(1.5)
    f.take()
    f.duplicates(1)                          # the timeout was no mistake (RFC 5682 2.1)
    for end in (window[0].end, window[12].end):
        before = f.value('cwnd')
        assert before < f.value('ssthresh')
        f.ack(end)
        assert before < f.value('cwnd') <= before + MSS
        f.take()


# covers: 3465-3.1-tiny
def test_tiny_segments_do_not_inflate_the_window():
    s = Stack(profile='standard', tcp=BUFFER)
    p, sock = established(s)
    sock.set('NODELAY', 1)
    before = sock.info()['cwnd']
    for _ in range(100):
        for _ in range(10):
            sock.send(b'x')
        for x in p.segments():
            p.send('A', ack=x.end)
    assert before <= sock.info()['cwnd'] <= before + 1100


# covers: 5681-3.1-ss
@pytest.mark.parametrize('cc', ['newreno', 'cubic'])
def test_a_segment_acknowledged_in_pieces_adds_no_more_than_one(cc):
    f = Flow(rounds=1)
    f.sock.set('CONGESTION', {'newreno': 1, 'cubic': 2}[cc])
    f.fill()
    f.take()
    before, first = f.value('cwnd'), f.unacked[0]
    f.s.run(0.1)
    for tenth in range(1, 11):
        f.ack(first.seq + tenth * MSS // 10)
    assert before < f.value('cwnd') <= before + MSS


# covers: 3465-2.1-ca 5681-3.1-ca-bytes
def test_a_window_of_bytes_adds_a_segment():
    f = recovered()
    f.round()
    acked, steps = None, 0
    for _ in range(8):
        f.fill()
        f.take()
        f.s.run(0.1)
        for x in list(f.unacked):
            before = f.value('cwnd')
            f.ack(x.end)
            if acked is not None:
                acked += x.length
            if f.value('cwnd') == before:
                assert acked is None or acked < before
                continue
            assert f.value('cwnd') == before + MSS
            if acked is not None:
                assert before <= acked < before + x.length
                acked -= before
                steps += 1
            else:
                acked = 0
        f.fill()
    assert steps >= 5


# ---- the beginning

# covers: 5681-3.1-synloss 6928-2-synloss
@pytest.mark.parametrize('lost, segments', [(0, 10), (1, 10), (2, 1), (3, 1)])
@pytest.mark.parametrize('passive', [False, True])
def test_the_initial_window_after_lost_syns(passive, lost, segments):
    s = Stack(profile='standard', tcp=BUFFER)
    if passive:
        listener = s.listener(80)
        p = Peer(s, stack_port=80)
        p.send('S')
        synack = p.one('SA')
        for _ in range(lost):
            s.run(s.deadline() - s.now + 0.001)
            again = [x for x in p.segments() if x.flags == 'SA']
            while not again:
                s.run(1)
                again = [x for x in p.segments() if x.flags == 'SA']
            assert again[0].seq == synack.seq
        p.send('A')
        sock = listener.accept()
    else:
        p, sock, _ = syn_sent(s)
        seen = 0
        while seen < lost:
            s.run(0.5)
            seen += len([x for x in p.segments() if x.flags == 'S'])
        p.send('SA')
        p.segments()
    p.window = 65535
    sock.send(pattern(1 << 15))
    assert sum(x.length for x in p.segments()) == segments * MSS


# covers: 5681-3.1-pmtu
def test_a_smaller_path_mtu_scales_the_first_window():
    s = Stack(tcp=BUFFER)
    p, sock = established(s, mss=1460)
    sock.send(pattern(40000))
    first = [x for x in p.segments() if x.data]
    assert sum(x.length for x in first) == 14600
    s.inject(icmp_error(3, 4, quote(first[0].frame), extra=576))
    again = [x for x in p.segments() if x.data]
    size = max(x.length for x in again)
    assert size <= 536
    assert len(again) <= 10 and sock.info()['cwnd'] <= 10 * size


# ---- after idle times

# covers: 6928-2-rw
def test_a_small_window_stays_small_over_idle_times():
    f = recovered()
    for _ in range(3):                       # down to a few segments
        f.take()
        f.s.run(70)
        f.ack(max((x.end for x in f.unacked), key=lambda e: diff(e, f.una)))
    s = Stack(profile='standard', tcp={**BUFFER})
    p, sock = established(s)
    sock.send(pattern(2 * MSS))
    p.segments()
    s.run(1.5)                               # lost: a window of one, ssthresh of two
    last = p.segments()[-1]
    p.send('A', ack=last.end)
    p.send('A', ack=max((x.end for x in p.segments()), default=last.end, key=lambda e: diff(e, last.end)))
    before = sock.info()['cwnd']
    assert before <= 4 * MSS
    p.send('A', ack=p.irs + 1 + 2 * MSS)
    before = sock.info()['cwnd']
    s.run(60)
    sock.send(pattern(1 << 15))
    assert sum(x.length for x in p.segments()) <= before <= 4 * MSS


# ---- validation

class Limited:
    """A window of many segments, and then a program that sends two each round trip."""

    def __init__(self, cc=1, segments=400, rtt=0.1):
        self.s = Stack(profile='standard', tcp=BUFFER)
        self.p, self.sock = established(self.s, wscale=7)
        self.sock.set('CONGESTION', cc)
        self.p.window = 8000
        self.p.send('A')
        self.send(pattern(segments * MSS))
        while self.step(rtt):
            pass
        self.window = self.sock.info()['cwnd']
        assert self.window >= segments * MSS // 5

    def send(self, data):
        while data:
            data = data[self.sock.send(data):]

    def step(self, rtt=0.1):
        """A round trip. True: something was sent in it."""
        found = [x for x in self.p.segments() if x.data]
        if not found:
            return False
        self.s.run(rtt)
        for x in found:
            self.p.send('A', ack=x.end)
        return True

    def idle(self, seconds, segments=2, rtt=0.1):
        for _ in range(round(seconds / rtt)):
            self.send(pattern(segments * MSS))
            self.step(rtt)

    def burst(self):
        """How many segments leave at once now."""
        self.send(pattern(300 * MSS))
        return len([x for x in self.p.segments() if x.data])

    def value(self, name):
        return self.sock.info()[name]

    def lose_first(self, segments):
        """That many segments of which the first is lost, until it is repaired. (sent, sent again)"""
        self.send(pattern(segments * MSS))
        sent = [x for x in self.p.segments() if x.data]
        self.s.run(0.1)
        una, high, again = sent[0].seq, sent[-1].end, []
        for _ in sent[1:]:
            self.p.send('A', ack=una)
            found = self.p.segments()
            again += [x for x in found if diff(x.seq, high) < 0]
        self.s.run(0.1)
        assert again
        return sent, again, high


# covers: 7661-4.3-phase
@pytest.mark.parametrize('cc', [1, 2])
def test_an_unused_window_stays(cc):
    f = Limited(cc)
    f.idle(60)
    assert f.value('cwnd') == f.window


# covers: 7661-4.4.3-nvp
@pytest.mark.parametrize('cc', [1, 2, 4])
def test_an_unused_window_is_given_up_by_halves(cc):
    f = Limited(cc, segments=200)
    ssthresh, window = f.value('ssthresh'), f.window
    f.idle(3)
    f.idle(288, segments=1, rtt=0.8)
    assert f.value('cwnd') == window
    for _ in range(2):
        f.idle(24, segments=1, rtt=0.8)      # five minutes are over
        ssthresh = max(ssthresh, window - window // 4)
        window = window // 2
        assert (f.value('cwnd'), f.value('ssthresh')) == (window, ssthresh)
        f.idle(276, segments=1, rtt=0.8)
        assert f.value('cwnd') == window > 20 * MSS


# covers: 7661-4.4.3-nvp
def test_no_more_is_given_up_than_down_to_the_initial_window():
    f = Limited(segments=10)
    assert 12 * MSS < f.window <= 20 * MSS
    f.idle(310, segments=1, rtt=0.8)
    assert f.value('cwnd') == 10 * MSS
    f.idle(600, segments=1, rtt=0.8)
    assert f.value('cwnd') == 10 * MSS


# covers: 7661-4.4.3-nvp
def test_a_window_in_use_again_is_kept_another_five_minutes():
    f = Limited()
    f.idle(3)
    f.idle(280, segments=1, rtt=0.8)
    f.send(pattern(400 * MSS))
    while f.step(0.8):
        pass
    before = f.value('cwnd')
    f.idle(280, segments=1, rtt=0.8)
    assert f.value('cwnd') == before >= f.window
    f.idle(40, segments=1, rtt=0.8)
    assert f.value('cwnd') == before // 2


# covers: 7661-4.4.2-burst
@pytest.mark.parametrize('cc', [1, 2, 4])
@pytest.mark.parametrize('usual, least, most', [(2, 2, 10), (20, 10, 21)])
def test_a_burst_into_an_unused_window_is_bounded(cc, usual, least, most):
    """By an initial window, or by what round trips have carried lately."""
    f = Limited(cc)
    f.idle(3, segments=usual)
    f.send(pattern(100 * MSS))
    burst = [x for x in f.p.segments() if x.data]
    assert least <= len(burst) <= most < f.window // MSS
    # What is written meanwhile is no reason for more.
    for _ in range(10):
        f.send(pattern(20 * MSS))
        f.s.run(0.001)
    assert not [x for x in f.p.segments() if x.data]
    # Acknowledgments are: for what they take out of the network and another burst; of the whole window within a few round trips.
    flights = []
    f.s.run(0.09)
    f.p.send('A', ack=burst[-1].end)
    while True:
        found = [x for x in f.p.segments() if x.data]
        if not found:
            break
        flights.append(len(found))
        f.s.run(0.1)
        for x in found:
            f.p.send('A', ack=x.end)
    assert len(burst) <= flights[0] <= most + len(burst) and max(flights) >= 50
    assert f.value('send_queued') == 0


# covers: 7661-4.2-pipeack
@pytest.mark.parametrize('rtt, stays, goes', [(0.1, 0.7, 1.6), (0.8, 1.6, 4)])
def test_what_was_used_counts_for_three_round_trips_and_a_second_at_least(rtt, stays, goes):
    f = Limited(rtt=rtt)                     # the last flight: 90 segments of 400
    f.idle(stays, rtt=rtt)
    assert f.burst() >= 80
    f = Limited(rtt=rtt)
    f.idle(goes, rtt=rtt)
    assert f.value('cwnd') == f.window and f.burst() <= 10


# covers: 7661-4.4.1-loss
@pytest.mark.parametrize('cc, beta', [(1, 0.5), (2, 0.7)])
@pytest.mark.parametrize('flight, used', [(5, 8), (9, 6)])
def test_a_loss_in_an_unused_window(cc, beta, flight, used):
    f = Limited(cc)
    f.idle(3, segments=used)                 # pipeACK
    sent, again, high = f.lose_first(flight)
    assert f.value('ssthresh') == pytest.approx(max(used, flight) * MSS * beta, abs=1)
    f.p.send('A', ack=high)
    resent = sum(x.length for x in again)
    assert resent == MSS
    assert f.value('ssthresh') == pytest.approx(max(used, flight) * MSS * beta - resent / 2, abs=1)
    assert f.value('cwnd') <= max(MSS, (max(used, flight) * MSS * beta - resent / 2) + 1)


# covers: 7661-4.4.1-loss
def test_a_loss_in_an_unused_window_leaves_a_segment():
    f = Limited()
    f.idle(3, segments=4)
    f.send(pattern(5 * MSS))
    sent = [x for x in f.p.segments() if x.data]
    f.s.run(0.1)
    for _ in range(3):                       # all but the last are lost, one after the other
        f.p.send('A', ack=sent[0].seq)
    for x in sent[:4]:
        f.p.segments()
        f.s.run(0.1)
        f.p.send('A', ack=x.end)
    f.s.run(0.1)
    f.p.segments()
    f.p.send('A', ack=sent[-1].end)
    assert f.value('cwnd') == f.value('ssthresh') == MSS


# covers: 7661-4.4-rto
def test_a_timeout_in_an_unused_window():
    f = Limited()
    f.idle(3)
    f.send(pattern(6 * MSS))
    first = f.p.segments()[0]
    f.s.run(3)
    assert f.value('cwnd') == MSS and f.value('ssthresh') == 3 * MSS
    assert f.p.segments()[0].seq == first.seq


# covers: 5681-3.2-step4
def test_more_duplicates_than_segments_release_no_more():
    f = Flow(rounds=1)
    f.take()
    window = list(f.unacked)
    f.s.run(0.1)
    sent = [x for found in f.duplicates(4 * len(window)) for x in found if diff(x.seq, window[-1].end) >= 0]
    assert len(sent) <= len(window)


# ---- algorithms side by side

# covers: MAY-18
def test_each_connection_has_the_algorithm_it_asks_for():
    s = Stack(profile='standard', tcp=BUFFER)
    listener = s.listener(80)
    socks = []
    for port, cc in ((40001, None), (40002, 2), (40003, 3), (40004, 1)):
        p = Peer(s, port=port, stack_port=80)
        p.connect()
        sock = listener.accept()
        if cc:
            sock.set('CONGESTION', cc)
        socks.append(sock)
    assert [x.info()['cc'] for x in socks] == ['newreno', 'cubic', 'bbr', 'newreno']
    assert [x.get('CONGESTION') for x in socks] == [1, 2, 3, 1]
    socks[1].set('CONGESTION', 3)
    assert [x.info()['cc'] for x in socks] == ['newreno', 'bbr', 'bbr', 'newreno']
    # ... and a listener's children have its own.
    listener.set('CONGESTION', 2)
    p = Peer(s, port=40009, stack_port=80)
    p.connect()
    assert listener.accept().info()['cc'] == 'cubic'
    assert socks[0].info()['cc'] == 'newreno'


# ---- CUBIC on the wire

def cubic(rounds=0, **peer):
    f = Flow(**peer)
    f.sock.set('CONGESTION', 2)
    for _ in range(rounds):
        f.round()
    return f


# covers: 9438-4.2-newack
def test_only_new_acknowledgments_grow_cubic():
    f = cubic(rounds=2)
    f.take()
    before = f.value('cwnd')
    f.s.run(0.1)
    f.duplicates(2)
    f.p.window += 1
    f.ack(f.una)
    f.p.window += 1
    f.ack(f.una)
    assert f.value('cwnd') <= before
    f.ack(f.unacked[0].end)
    assert f.value('cwnd') > before - MSS


# covers: 9438-4.6-immediate
def test_cubic_reduces_at_once_and_once():
    f = cubic(rounds=2)
    f.take()
    window, flight = list(f.unacked), f.flight()
    f.s.run(0.1)
    f.duplicates(3)
    ssthresh = f.value('ssthresh')
    assert 0.69 * flight <= ssthresh <= 0.71 * flight
    assert f.value('cwnd') < flight
    f.duplicates(10)
    f.ack(window[1].end)                     # another hole: the same window
    f.duplicates(3)
    assert f.value('ssthresh') == ssthresh


# covers: 9438-4.6-cwndgrow
def test_cubic_does_not_grow_what_is_not_used():
    s = Stack(profile='standard', tcp={**BUFFER, 'cc': 'cubic'})
    p, sock = established(s)
    start = sock.info()['cwnd']
    for _ in range(100):
        sock.send(pattern(5 * MSS))
        ends = [x.end for x in p.segments()]
        s.run(0.1)
        for end in ends:
            p.send('A', ack=end)
    assert sock.info()['cwnd'] <= start + 2 * MSS
