# SPDX-License-Identifier: BSD-3-Clause
"""TCP: F-RTO without SACK: is a timeout a loss or a delay? RFC 5682 2.1, and the response of RFC 4015. A round trip is
100 ms, the RTO a second."""
import pytest

from recoverykit import Flight


def timed_out(out=10, queue=20, **more):
    f = Flight(out, queue, sack=False, **more)
    f.before = f.cwnd(), f.ssthresh()
    assert f.wait(1.05) == [0]
    assert f.timeouts() == 1 and f.cwnd() < 2
    return f


def old(f, sent):
    return [n for n in sent if n < 10]


# covers: 5682-2.1-step1 5682-2.1-step2b
def test_the_first_new_ack_lets_two_new_segments_go():
    f = timed_out()
    f.wait()
    assert f.ack(1) == [10, 11]


# covers: 5682-2.1-step3b 4015-3.1-resume
def test_the_second_new_ack_declares_the_timeout_spurious():
    f = timed_out()
    f.wait(0.01)
    f.ack(1)
    f.wait(0.01)
    later = f.ack(2)
    assert f.undone() == 1
    for n in range(3, 11):
        f.wait(0.01)
        later += f.ack(n)
    assert old(f, later) == [] and later == sorted(set(later)) and later[0] >= 12
    assert f.highest() > 15


# covers: 5682-2.1-step3b
def test_a_delay_of_two_timeouts_costs_one_retransmission():
    f = Flight(10, 20, sack=False)
    f.wait(1.95)
    sent = []
    for n in range(1, 11):
        f.wait(0.001)
        sent += f.ack(n)
    f.wait(0.05)
    assert sum(len(f.times(n)) - 1 for n in range(10)) == 1, [f.times(n) for n in range(10)]
    assert f.undone() == 1 and f.timeouts() == 1


# covers: 5682-2.1-step2a
@pytest.mark.parametrize('what', ['duplicate', 'less', 'all'])
def test_other_first_acks_mean_ordinary_recovery(what):
    f = timed_out()
    f.wait()
    if what == 'all':
        sent = f.ack(10)                     # exactly recover
        assert len(sent) <= 2 and f.cwnd() <= 3 and f.undone() == 0
        return
    first = f.ack(0) if what == 'duplicate' else f.ack(0.5)
    assert [n for n in first if n >= 10] == [], 'new data'
    f.wait(0.01)
    sent = first + f.ack(1)
    assert 1 in sent and old(f, sent) == sent
    f.wait(0.01)
    f.ack(2)
    assert f.undone() == 0 and f.cwnd() < 6


# covers: 5682-2.1-step3a
def test_a_duplicate_as_the_second_ack_means_ordinary_recovery():
    f = timed_out()
    f.wait()
    assert f.ack(1) == [10, 11]
    f.wait(0.01)
    sent = f.ack(1)
    assert f.cwnd() <= 3
    f.wait(0.01)
    sent += f.ack(1)
    assert 1 in sent and f.undone() == 0


# covers: 5682-2.1-nonew
@pytest.mark.parametrize('why', ['none queued', 'window closed'])
def test_without_new_data_the_recovery_is_ordinary(why):
    closed = why == 'window closed'
    f = timed_out(16, window=125) if closed else timed_out(16, queue=0)     # 16000 bytes
    f.wait()
    sent = f.ack(1, window=117 if closed else 8000)                         # the edge stays where it is
    assert sent[:1] == [1] and max(sent) < 16


# covers: 5682-2.1-step1
def test_a_second_timeout_begins_anew():
    f = timed_out()
    f.wait(2.05)
    assert f.timeouts() == 2 and len(f.times(0)) == 3
    assert f.ack(1) == [10, 11]
    f.wait(0.01)
    f.ack(2)
    assert f.undone() == 1


# covers: 5682-2.1-step1
def test_a_timeout_within_the_recovery_of_another_is_not_doubted():
    f = timed_out()
    f.wait()
    f.ack(1)
    f.ack(1)                                 # ordinary recovery from here on
    f.ack(2)
    before = f.timeouts()
    for _ in range(100):
        if f.timeouts() > before:
            break
        f.wait(0.05)
    f.take()
    sent = f.ack(3)
    assert sent and old(f, sent) == sent, 'new data: F-RTO was entered'
    f.wait(0.01)
    f.ack(4)
    assert f.undone() == 0


# covers: 4015-3.1-reverse 5682-4-resp
@pytest.mark.parametrize('sack', [True, False])
def test_the_response_to_a_spurious_timeout(sack):
    """ssthresh is what was in flight or ssthresh before, whichever is more; cwnd what is in flight and what the ACK
    brought, at most an initial window."""
    f = Flight(20, 100, sack=False) if not sack else Flight(20, 100)
    f.wait()
    f.ack(0, *([(1, 20)] if sack else []))
    f.ack(0)
    f.ack(0)
    f.wait()
    f.ack(f.highest())                       # recovered: cwnd is ssthresh
    f.wait()
    una = f.una
    flight = f.highest() - una
    cwnd, ssthresh = f.cwnd(), f.ssthresh()
    start = f.timeouts()
    for _ in range(60):
        if f.timeouts() > start:
            break
        f.wait(0.05)
    assert f.timeouts() == start + 1
    flight = max(flight, f.highest() - una)
    f.wait(0.01)
    f.ack(una + 1)
    f.wait(0.01)
    f.ack(una + 1 + (6 if sack else 1))      # with SACK two were sent again in between
    assert f.undone() == 1
    assert max(ssthresh, flight) - 1.1 <= f.ssthresh() <= max(ssthresh, flight)
    assert f.cwnd() <= max(cwnd, flight) + 1
    assert f.highest() - f.una <= f.cwnd() + 0.001


# covers: 4015-3.1-rto
@pytest.mark.parametrize('sample, srtt, rttvar', [(0.9, 0.9, 0.45), (0.1, 0.402, 0.15)])
def test_the_first_round_trip_after_a_spurious_timeout_counts_in_full(sample, srtt, rttvar):
    """400 ms were measured twice: SRTT is that, RTTVAR 150 ms. G is a millisecond."""
    f = Flight(10, 2, sack=False, rtt=0.4)
    assert f.value('srtt') == 400 * 10**6 and f.value('rttvar') == 150 * 10**6
    assert f.wait(1.05) == [0]
    assert f.ack(1) == [10, 11]
    new = f.s.now
    f.wait(0.01)
    f.ack(2)
    assert f.undone() == 1
    f.s.until(new + sample)
    f.take()
    f.ack(11)
    assert f.value('srtt') == pytest.approx(srtt * 1e9, rel=0.001)
    assert f.value('rttvar') == pytest.approx(rttvar * 1e9, rel=0.001)
    rto = max(srtt + 4 * rttvar, 1)
    assert f.value('rto') == pytest.approx(rto * 1e9, rel=0.001)
