# SPDX-License-Identifier: BSD-3-Clause
"""TCP: what is lost, by time: RACK. RFC 8985 6. A round trip is 100 ms unless a test says otherwise."""
import pytest

from recoverykit import Flight, RTT

TICK = 0.000001


def reordered(f, at=None):
    """A hole is filled by its first transmission: reordering, seen while nothing was lost. Returns the next segment."""
    at = f.una if at is None else at
    f.ack(at, (at + 1, at + 2))
    f.ack(at + 2)
    assert f.recovering() == 0 and f.value('retransmitted_total') == 0
    return at + 2


# ---- DupThresh

# covers: 8985-6.2-dupthresh
def test_three_sacked_segments_are_enough_while_there_was_no_reordering():
    f = Flight(10)
    f.wait()
    assert f.ack(0, (1, 2)) == [] and f.ack(0, (1, 3)) == []
    assert f.ack(0, (1, 4)) == [0]
    assert f.times(0)[1] == f.s.now


# covers: 8985-6.2-nodupthresh 8985-6.2-wnd 8985-6.2-timer
def test_three_are_not_enough_once_there_was():
    f = Flight(12)
    f.wait()
    n = reordered(f)
    assert f.ack(n, (n + 1, 10)) == []
    assert f.wait(RTT / 4 - TICK) == []
    assert f.wait(2 * TICK)[:1] == [n]
    assert f.recovering() == 1 and f.timeouts() == 0


# ---- reordering

# covers: 8985-6.2-reord
@pytest.mark.parametrize('how', ['sack', 'ack'])
def test_a_hole_filled_by_its_first_transmission_is_reordering(how):
    f = Flight(12)
    f.wait()
    f.ack(0, (2, 3))
    if how == 'sack':
        f.ack(0, (1, 3))
    else:
        f.ack(1, (2, 3))
    una = f.una
    assert f.ack(una, (3, 8)) == []          # would be enough otherwise
    assert f.wait(RTT / 4 + TICK) != []


# covers: 8985-6.2-reord
@pytest.mark.parametrize('what', ['in order', 'sent again'])
def test_what_is_no_reordering(what):
    f = Flight(12)
    f.wait()
    if what == 'in order':
        for n in range(1, 13):
            f.ack(n)
    else:
        f.ack(0, (1, 12))                    # 0 is sent again, and that arrives below what was SACKed
        f.wait()
        f.ack(12)
    began = f.recovering()
    f.write(4)
    assert f.take() == [12, 13, 14, 15]
    f.wait()
    assert f.ack(12, (13, 16))[0] == 12 and f.recovering() == began + 1, 'three are enough: no reordering was seen'


# covers: 8985-6.2-wnd
@pytest.mark.parametrize('rtt', [0.04, 0.2])
def test_the_window_is_a_quarter_of_the_least_round_trip(rtt):
    f = Flight(12, rtt=rtt)
    f.wait()
    n = reordered(f)
    f.ack(n, (n + 1, 10))
    assert f.wait(rtt / 4 - TICK) == []
    assert f.wait(2 * TICK)[:1] == [n]


# covers: 8985-6.2-wnd
def test_the_window_is_nought_in_recovery_while_there_was_no_reordering():
    f = Flight(20)
    f.wait()
    f.ack(0, (1, 4))
    f.ack(0, (1, 4), (6, 7))                 # one segment above 4 and 5
    f.wait(0.001)
    f.ack(0, (1, 4), (6, 9))
    assert f.times(4)[1:] and f.s.now - f.times(4)[1] < RTT / 4


def multiplied(rounds, dsacks=1, rtt=0.04):
    """Reordering was seen, and in each of so many round trips so many D-SACKs."""
    f = Flight(10, queue=200, rtt=rtt)
    f.wait()
    n = reordered(f)
    for _ in range(rounds):
        f.wait()
        n = f.highest()
        f.ack(n)
        for k in range(dsacks):
            f.ack(n, (n - 3 + k, n - 2 + k))
    f.wait()
    return f, n


def waits(f, n):
    """How long a hole is waited for."""
    top = max(k for k in range(n, f.highest()) if f.times(k)[0] == f.times(n)[0])
    assert top >= n + 3
    f.ack(n, (n + 1, top + 1))
    start = f.s.now
    for _ in range(200):
        if len(f.times(n)) > 1:
            break
        f.wait(0.001)
    assert f.timeouts() == 0
    return f.times(n)[1] - start


# covers: 8985-6.2-dsack 8985-6.2-wnd
@pytest.mark.parametrize('rounds, dsacks, window', [(1, 0, 0.01), (1, 1, 0.02), (2, 1, 0.03), (2, 3, 0.03)])
def test_each_round_trip_with_a_dsack_widens_the_window(rounds, dsacks, window):
    f, n = multiplied(rounds, dsacks)
    assert waits(f, n) == pytest.approx(window, abs=0.0001)


# covers: 8985-6.2-dsack 8985-6.2-wnd
def test_the_window_is_bounded_by_srtt():
    f, n = multiplied(5)
    srtt = f.value('srtt') / 1e9
    assert waits(f, n) == pytest.approx(srtt, abs=0.001)


# covers: 8985-6.2-persist
@pytest.mark.parametrize('recoveries, window', [(15, 0.03), (16, 0.01)])
def test_the_window_is_small_again_after_sixteen_recoveries(recoveries, window):
    f, n = multiplied(2)
    began = f.recovering()
    for _ in range(recoveries):
        assert waits(f, n) == pytest.approx(0.03, abs=0.0001)
        for _ in range(8):                   # the window grows again
            if f.value('send_unsent') < 20000:
                f.write(20)
            f.wait()
            n = f.highest()
            f.ack(n)
        f.wait()
    assert f.recovering() - began == recoveries and f.undone() == 0
    assert waits(f, n) == pytest.approx(window, abs=0.0001)


# covers: 8985-6.2-minrtt
def test_the_least_round_trip_is_that_of_the_last_minutes():
    """20 ms at first, 80 ms for seven minutes: the window is a quarter of the latter."""
    f = Flight(10, rtt=0.02)
    f.wait()
    reordered(f)
    f.ack(10)
    for _ in range(42):
        f.write(1)
        f.wait(0.08)
        f.ack(f.highest())
        f.wait(10)
    f.write(6)
    f.take()
    f.wait(0.08)
    assert waits(f, f.una) == pytest.approx(0.02, abs=0.001)


# ---- what is lost

# covers: 8985-6.2-loss 8985-4-gran
@pytest.mark.parametrize('apart, wait', [(0.0002, 0.00005), (0.0003, 0)])
def test_a_segment_is_lost_when_its_time_is_over_and_not_a_tick_before(apart, wait):
    """Two segments on a path of 1 ms; the window is 250 us from the later one's arrival."""
    f = Flight(10, rtt=0.001)
    f.wait()
    f.ack(10)
    for _ in range(3):
        f.write(1)
        assert len(f.take()) == 1
        f.wait(apart)
    f.s.until(f.times(11)[0] + 0.001)
    assert f.take() == []
    found = f.ack(10, (11, 12))              # 10 was sent a little earlier
    if wait:
        assert found == [] and f.wait(wait - TICK) == []
        found = f.wait(2 * TICK)
    assert found == [10]


# covers: 8985-6.2-loss
def test_nothing_sent_later_than_what_arrived_is_lost():
    f = Flight(10, queue=10)
    f.wait()
    f.ack(0, (1, 2))                         # 10 leaves
    f.wait(RTT / 10)
    f.ack(0, (1, 4))
    f.wait(RTT / 2)
    f.ack(0, (1, 10))
    f.wait(RTT / 4)
    assert len(f.times(0)) == 2 and all(len(f.times(n)) == 1 for n in range(10, f.highest()))


# covers: 8985-6.2-tie
def test_a_burst_sent_at_one_time_is_ordered_by_sequence():
    f = Flight(10)
    assert len({x.time for x in f.segments[-10:]}) == 1
    f.wait()
    assert f.ack(0, (4, 7)) == [0, 1]
    # 0 to 3 were sent before 6 and are lost, 7 to 9 after it: three in flight, and the two sent now.
    assert f.cwnd() == 5


# covers: 8985-6.2-timer
def test_a_single_sacked_segment_finds_the_hole_by_the_timer():
    f = Flight(2)
    f.wait()
    assert f.ack(0, (1, 2)) == []
    assert f.wait(RTT / 4 - TICK) == []
    assert f.wait(2 * TICK) == [0]
    assert f.recovering() == 1 and f.timeouts() == 0
    f.wait()
    f.ack(2)
    assert f.wait(5) == []


# covers: 8985-6.2-lostretx 8985-6.1-xmit
def test_a_retransmission_that_is_lost_is_sent_again():
    f = Flight(20, queue=20)
    f.wait()
    f.ack(0, (1, 4))
    assert len(f.times(0)) == 2
    for n in range(5, 21):
        f.wait(0.001)
        f.ack(0, (1, n))
    new = [f.number(x) for x in f.segments if f.number(x) >= 20]
    assert new
    # A round trip later what was sent after the retransmission arrives.
    f.s.until(f.times(new[-1])[0] + RTT)
    f.take()
    f.ack(0, (1, new[-1] + 1))
    f.wait(RTT / 4 + 0.001)
    assert len(f.times(0)) == 3 and f.timeouts() == 0
    assert f.times(0)[2] - f.times(0)[1] < 1.5 * RTT


# covers: 8985-6.2-spurious
@pytest.mark.parametrize('stamps', [False, True])
def test_an_ack_of_the_original_says_nothing_of_what_was_sent_later(stamps):
    """0 was sent again, its original was only late: what was sent between the two is not lost by that. Without
    timestamps the ACK comes sooner than any round trip; with them it echoes the original's."""
    f = Flight(10, queue=10, stamps=stamps)
    original = f.p.ts_recent
    f.wait()
    f.ack(0, (1, 2), echo=original)
    f.wait(0.002)
    f.ack(0, (1, 3), echo=original)
    f.wait(0.002)
    f.ack(0, (1, 4), echo=original)
    assert f.times(0)[1:] and f.highest() > 10
    f.wait(RTT + 0.01 if stamps else RTT / 2)
    f.ack(4, echo=original)
    f.wait(0.001)
    # What was sent just before the retransmission is in flight still.
    assert all(len(f.times(n)) == 1 for n in range(4, f.highest()))


# ---- the timeout

# covers: 8985-6.3-rto
def test_a_timeout_takes_only_what_is_old_for_lost():
    """10 to 13 a second ago, 14 to 17 just before it."""
    f = Flight(10)
    f.wait()
    f.ack(10)
    f.write(4)
    assert f.take() == [10, 11, 12, 13]
    for _ in range(100):                     # a probe of the tail comes first; the timeout a second after it
        if f.times(13)[1:]:
            break
        f.wait(0.01)
    probe = f.times(13)[1]
    f.s.until(probe + 0.98)
    assert f.timeouts() == 0
    f.write(4)
    late = f.take()
    assert late == [14, 15, 16, 17]
    f.wait(0.04)
    assert f.timeouts() == 1 and f.times(10)[1:]
    f.ack(11)
    for n in range(12, 15):
        f.wait(0.01)
        f.ack(n)
    assert all(len(f.times(n)) == 1 for n in late), 'sent again although it could not have been acknowledged'
