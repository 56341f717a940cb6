# SPDX-License-Identifier: BSD-3-Clause
"""TCP: the tail loss probe and the timers around it. RFC 8985 3.4, 7, 8. A round trip is 100 ms, the RTO a second."""
import pytest

from light import Stack
from peer import Peer
from recoverykit import Flight, MSS, RTT, Path
from tcpkit import pattern

TICK = 0.000001
PTO = 2 * RTT
DELAYED_ACK = 0.2


def probes(f):
    return f.count('TCP_LOSS_PROBES')


def silent_until(f, at):
    f.s.until(at - TICK)
    assert f.take() == []


def probe(f, at):
    """The probe leaves at that time; its segment."""
    silent_until(f, at)
    sent = f.wait(2 * TICK)
    assert len(sent) == 1
    return sent[0]


# ---- when

# covers: 8985-7.2-pto 8985-7.2-when
@pytest.mark.parametrize('rtt', [0.02, 0.1])
def test_several_segments_are_probed_after_two_round_trips(rtt):
    f = Flight(4, rtt=rtt)
    assert probe(f, f.s.now + 2 * rtt) == 3


# covers: 8985-7.2-pto
def test_a_single_segment_may_wait_for_a_delayed_ack():
    f = Flight(1)
    assert probe(f, f.s.now + PTO + DELAYED_ACK) == 0


# covers: 8985-7.2-pto
def test_without_a_round_trip_measured_it_is_a_second():
    """The SYN-ACK was sent twice, so the handshake measures nothing, and the RTO is 3 seconds (RFC 6298 5.7)."""
    s = Stack(profile='standard', tcp={'cc': 'newreno'})
    listener = s.listener()
    p = Peer(s, sack=True, mss=MSS, wscale=7)
    p.send('S')
    s.run(1.5)
    assert len(p.segments()) == 2
    p.send('A')
    sock = listener.accept()
    assert sock.info()['srtt'] == 0 and sock.info()['rto'] == 3 * 10**9
    sock.send(pattern(2 * MSS))
    sent = p.segments()
    s.run(1 - TICK)
    assert p.segments() == []
    s.run(2 * TICK)
    assert [x.seq for x in p.segments()] == [sent[-1].seq]


# covers: 8985-7.2-pto
def test_the_probe_is_no_later_than_the_timeout_would_be():
    """One segment: two round trips and a delayed ACK are longer than the RTO, 100 ms and the floor of 200."""
    f = Flight(1, profile='linux', samples=40)
    rto = f.value('rto') / 1e9
    assert rto < 2 * RTT + 0.2
    f.s.until(f.s.now + rto - TICK)
    assert f.take() == []
    assert f.wait(2 * TICK) == [0]
    assert f.count('TCP_LOSS_PROBES') == 1 and f.timeouts() == 0
    assert f.wait(rto - 3 * TICK) == []
    assert f.wait(4 * TICK) == [0] and f.timeouts() == 1


# covers: 8985-7.2-when
def test_new_data_and_its_acks_put_the_probe_off():
    f = Flight(10)
    f.wait()
    f.ack(10)
    f.write(4)
    f.wait(0.15)
    f.write(1)
    f.take()
    assert f.highest() == 15
    silent_until(f, f.s.now + 0.15)
    f.ack(12)
    assert probe(f, f.s.now + 2 * f.value('srtt') / 1e9) == 14
    assert probes(f) == 1


# covers: 8985-7.2-when
@pytest.mark.parametrize('cause', ['recovery', 'timeout'])
def test_no_probe_in_recovery(cause):
    f = Flight(10)
    f.wait()
    if cause == 'recovery':
        f.ack(0, (1, 8))
        assert f.recovering() == 1
        f.wait(0.9)
        assert probes(f) == 0
    else:
        f.wait(2)
        assert (f.timeouts(), probes(f)) == (1, 1)
        f.ack(1)
        f.wait(0.9)
        assert probes(f) == 1


# covers: 8985-7.2-when
def test_no_probe_while_something_is_sacked():
    """Reordering was seen, so two round trips pass before the hole is lost; what finds it is no probe."""
    f = Flight(12)
    f.wait()
    f.ack(0, (1, 2))
    f.ack(2)
    f.ack(2, (3, 4))
    f.wait(PTO + 0.05)
    assert probes(f) == 0 and f.times(2)[1:] and not f.times(11)[1:]


# ---- what

# covers: 8985-7.3-new
@pytest.mark.parametrize('window, segment', [(8000, 16), (125, 15)])
def test_new_data_is_the_probe_if_the_peer_takes_it(window, segment):
    """cwnd is used up: one segment beyond it. A window of 16000 bytes has no room for one."""
    f = Flight(16, queue=5, window=window)
    cwnd = f.cwnd()
    assert probe(f, f.s.now + PTO) == segment
    assert f.cwnd() == cwnd


# covers: 8985-7.3-last
def test_otherwise_the_last_segment_is():
    f = Flight(10)
    f.wait()
    f.ack(10)
    f.write(5, extra=300)
    assert [x.length for x in f.taken()] == [MSS] * 5 + [300]
    silent_until(f, f.s.now + PTO)
    f.s.run(2 * TICK)
    x, = f.taken()
    assert x.end == f.seq(15.3) and x.length in (300, MSS)


# covers: 8985-7.3-last
def test_of_a_long_record_it_is_only_the_last_segment():
    f = Flight(5)
    assert probe(f, f.s.now + PTO) == 4
    assert f.segments[-1].length == MSS


# covers: 8985-7.3-one 8985-7.3-rto 8985-8-timers
@pytest.mark.parametrize('queue', [0, 5])
def test_after_the_probe_only_the_timeout_runs(queue):
    f = Flight(10, queue=queue)
    start = f.s.now
    probe(f, start + PTO)
    rto = f.value('rto') / 1e9
    silent_until(f, start + PTO + rto)
    assert f.timeouts() == 0 and probes(f) == 1
    f.wait(3 * TICK)
    assert f.timeouts() == 1 and f.times(0)[1:]


# covers: 8985-7.3-one
def test_no_second_probe_while_one_is_out_whatever_is_acknowledged():
    f = Flight(10)
    probe(f, f.s.now + PTO)
    for n in range(1, 6):
        f.wait(0.05)
        f.ack(n)
    f.wait(0.9)
    assert probes(f) == 1


# covers: 8985-7.3-one
def test_no_second_probe_before_a_round_trip_was_measured():
    """The probe's D-SACK says that it was needless; but the ACK of what was sent twice measures nothing."""
    f = Flight(10)
    probe(f, f.s.now + PTO)
    f.ack(10)
    f.ack(10, (9, 10))
    f.write(2)
    sent = f.s.now
    assert f.take() == [10, 11]
    silent_until(f, sent + 0.9)
    assert probes(f) == 1
    f.ack(12)                                # measured
    f.write(2)
    assert f.take() == [12, 13]
    f.wait(0.9 * f.value('rto') / 1e9)
    assert probes(f) == 2


# ---- what it brings

# covers: 8985-7.4-tail
@pytest.mark.parametrize('lost', [2, 3, 5, 9])
def test_the_probe_finds_a_lost_tail(lost):
    f = Flight(10)
    p = Path(f, [(n, 1) for n in range(10 - lost, 10)])
    while p.step():
        pass
    f.wait(PTO + 0.01)                       # silence: the probe
    p.put_new(len(f.segments) - 1)
    assert f.times(9)[1:] and probes(f) == 1
    rounds(f, p)
    assert p.una == 10 and f.timeouts() == 0 and f.recovering() == 1
    assert all(len(f.times(n)) == 2 for n in range(10 - lost, 10))


def rounds(f, p):
    """Runs the path until all is acknowledged; the time that took."""
    start = f.s.now
    while p.una < f.highest():
        assert p.step() is not None, (p.una, f.s.now)
    return (f.s.now - start) / f.rtt


# covers: 8985-3.4-tail
def test_the_example_of_a_tail_drop():
    f = Flight(20)
    p = Path(f, [(n, 1) for n in range(10, 20)])
    while p.step():
        pass
    last_ack = f.s.now
    assert probe(f, last_ack + PTO) == 19
    p.put_new(len(f.segments) - 1)
    p.step()                                 # its SACK
    assert f.s.now == pytest.approx(last_ack + PTO + RTT, abs=0.001)
    assert f.recovering() == 1 and f.times(10)[1] == f.s.now
    # One round trip at least; PRR lets the nine go over three, because nothing is in flight any more.
    assert rounds(f, p) < 4.5
    assert f.timeouts() == 0 and all(len(f.times(n)) == 2 for n in range(10, 20))


def repaired(f):
    """Only the last segment was lost, and the probe repaired it."""
    f.wait()
    f.ack(9)
    assert probe(f, f.s.now + PTO + DELAYED_ACK) == 9
    f.wait()


# covers: 8985-7.4-single
def test_a_loss_that_the_probe_repaired_reduces_the_window_once():
    f = Flight(10)
    repaired(f)
    cwnd = f.cwnd()
    f.ack(10)
    f.write(4)
    f.wait()
    f.ack(11)                                # beyond TLP.end_seq, and no D-SACK
    reduced = f.ssthresh()
    assert f.cwnd() < cwnd and reduced < cwnd
    f.ack(12)
    f.ack(14)
    assert f.ssthresh() == reduced and f.recovering() == 0


# covers: 8985-7.4-spurious
@pytest.mark.parametrize('how', ['dsack', 'duplicate', 'new data'])
def test_a_needless_probe_costs_nothing(how):
    f = Flight(10, queue=2 * (how == 'new data'))
    cwnd, ssthresh = f.cwnd(), f.ssthresh()
    probe(f, f.s.now + PTO)
    f.wait(0.01)
    f.ack(10)
    f.wait()
    if how == 'dsack':
        f.ack(10, (9, 10))
    elif how == 'duplicate':
        f.ack(10)
    else:
        f.ack(12)
    f.write(4)
    f.wait()
    f.ack(f.highest() - 1)
    f.ack(f.highest())
    assert f.cwnd() >= cwnd and f.ssthresh() == ssthresh and f.recovering() == 0


# ---- timers

# covers: 8985-8-timers
def test_the_reordering_timer_runs_alone():
    """While it runs, neither probe nor timeout; when it has fired, the timeout runs from then."""
    f = Flight(2, rtt=0.4)
    f.wait(0.4)
    f.ack(0, (1, 2))
    due = f.s.now + 0.1
    assert probe(f, due) == 0                # and then nothing for an RTO
    silent_until(f, f.s.now + f.value('rto') / 1e9 - 2 * TICK)
    assert probes(f) == 0 and f.timeouts() == 0


# covers: 8985-8-timers
def test_a_window_that_closes_leaves_one_timer():
    """What is in flight, and the window closes: no tail probe, one timeout or window probe at a time."""
    f = Flight(5, queue=5)
    f.wait()
    f.ack(5, window=0)
    f.take()
    start = f.s.now
    times = []
    for _ in range(300):
        f.s.run(0.02)
        times += [x.time - start for x in f.p.segments()]
    assert probes(f) == 0
    assert len(times) == 2 and times[1] == pytest.approx(3 * times[0], rel=0.01), times


# covers: 8985-4-sack
def test_without_sack_there_is_no_probe_and_no_time_of_transmission():
    f = Flight(10, sack=False)
    start = f.s.now
    rto = f.value('rto') / 1e9
    f.wait()
    f.ack(1)
    f.ack(1)
    f.ack(1)                                 # two duplicates
    silent_until(f, start + RTT + rto)       # no probe, and no timer for reordering
    assert probes(f) == 0
    f.wait(2 * TICK)
    assert f.timeouts() == 1


# covers: 8985-7.1-reset
def test_a_recovery_ends_what_the_probe_was_waiting_for():
    """When it is over, an ACK beyond TLP.end_seq tells of no second loss; and another probe may be sent."""
    f = Flight(20)
    assert probe(f, f.s.now + PTO) == 19
    f.wait(0.01)
    assert f.ack(0, (1, 5))[:1] == [0] and f.recovering() == 1
    ssthresh = f.ssthresh()
    f.wait()
    f.ack(20)
    f.write(4)
    assert f.take() == [20, 21, 22, 23]
    f.wait()
    f.ack(24)
    assert f.ssthresh() == ssthresh and f.recovering() == 1
    f.write(4)
    assert f.take() == [24, 25, 26, 27]
    f.wait(2 * f.value('srtt') / 1e9 + 0.01)
    assert probes(f) == 2
