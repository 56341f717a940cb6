# SPDX-License-Identifier: BSD-3-Clause
"""TCP: what was needless is taken back: F-RTO (RFC 5682) with SACK, Eifel (RFC 3522) by timestamps, D-SACK, and the
response to it (RFC 4015). A round trip is 100 ms, the RTO a second."""
import pytest

from recoverykit import Flight


def timed_out(*args, **kwargs):
    """Ten segments, silence, a probe of the tail, the timeout: 0 was sent again."""
    f = Flight(*(args or (10,)), **kwargs)
    f.before = f.cwnd(), f.ssthresh()
    f.originals = f.p.ts_recent
    for _ in range(30):
        if f.timeouts():
            break
        f.wait(0.05)
    f.take()
    assert f.timeouts() == 1 and f.cwnd() < 3 and len(f.times(0)) == 2
    return f


# ---- F-RTO with SACK

# covers: 5682-3.1-sack 5682-2.1-step3b 4015-3.1-resume
@pytest.mark.parametrize('how', ['ack', 'sack'])
def test_a_late_original_declares_the_timeout_spurious(how):
    """It was sent before the timeout and never again: the rest of the flight is only late, too."""
    f = timed_out(10, queue=10)
    sent = len(f.segments)
    f.wait(0.05)
    if how == 'ack':
        f.ack(3)
    else:
        f.ack(0, (2, 3))
    assert f.undone() == 1
    for n in range(4, 11):
        f.wait(0.005)
        f.ack(n)
    f.ack(10)
    later = [f.number(x) for x in f.segments[sent:]]
    assert later and min(later) >= 10, 'something of the old flight was sent again'
    assert later == sorted(set(later))


# covers: 5682-3.1-sack 5682-2.1-step3b
@pytest.mark.parametrize('spike', [0.05, 0.15])
def test_acks_that_come_late_one_by_one_draw_one_retransmission(spike):
    """Without timestamps each of them could be of a retransmission, if the one before had drawn it: new data goes instead (step 2b).
    Later than a round trip, the first even looks like it, to RACK as well."""
    f = timed_out(10, queue=10)
    recover = f.highest()
    f.wait(spike)
    assert f.ack(1) == [recover, recover + 1], 'two new segments'
    for n in range(2, recover + 1):
        f.wait(0.002)
        f.ack(n)
        assert f.undone() == 1
    f.wait(0.3)
    assert [n for n in range(1, recover) if len(f.times(n)) > 1] == []


# covers: 5682-3.1-sack
def test_new_data_that_arrives_where_old_does_not_tells_a_loss():
    """Step 3a: the two new segments are SACKed, what was out before is not."""
    f = timed_out(10, queue=10)
    recover = f.highest()
    f.wait(0.05)
    assert f.ack(1) == [recover, recover + 1]
    f.wait(0.1)
    again = f.ack(1, (recover, recover + 1))
    assert f.undone() == 0
    assert again[:2] == [1, 2], 'what was lost goes again'
    assert f.cwnd() <= 4


# covers: 5682-3.1-sack
def test_an_ack_of_the_retransmission_alone_says_nothing():
    f = timed_out()
    f.wait()
    f.ack(1)
    assert f.undone() == 0 and f.cwnd() < 4
    assert f.times(1)[1:], 'slow start sends the next one again'


# covers: 5682-3.1-sack
def test_sacks_before_the_first_new_ack_only_fill_the_scoreboard():
    """The tail's probe arrived, as the peer says by SACK: sent twice, it tells nothing of when."""
    f = timed_out()
    f.wait()
    f.ack(0, (9, 10))
    assert f.undone() == 0
    f.wait()
    f.ack(1, (9, 10))
    for n in range(2, 10):
        f.wait()
        f.ack(n, *([(9, 10)] if n < 9 else []))
    assert len(f.times(9)) == 2 and f.timeouts() == 1


# covers: 5682-2.1-step1
def test_each_timeout_sends_the_first_segment():
    f = timed_out()
    f.wait(2.5)
    assert f.timeouts() == 2 and len(f.times(0)) == 3
    assert all(len(f.times(n)) == 1 for n in range(1, 9))
    # The second one begins anew: late originals tell as before.
    f.ack(4)
    assert f.undone() == 1


# covers: 5682-2.1-step1
def test_a_timeout_within_a_recovery_is_not_doubted():
    f = Flight(10, queue=10)
    f.wait()
    f.ack(0, (1, 4))
    for _ in range(40):
        if f.timeouts():
            break
        f.wait(0.05)
    assert f.timeouts() == 1
    f.ack(5)                                 # 4 was sent once
    assert f.undone() == 0 and f.ssthresh() < 6 and f.cwnd() < 6


# ---- the response

# covers: 5682-4-resp
def test_the_window_of_before_comes_back():
    """ssthresh as it was; cwnd what is in flight and what the ACK brought, and no more than before."""
    f = timed_out(10, queue=30)
    ssthresh = f.before[1]
    f.wait(0.05)
    f.ack(3)
    assert f.ssthresh() >= min(ssthresh, f.before[0])
    assert 7 <= f.cwnd() <= f.before[0] + 3
    outstanding = f.highest() - 3
    assert outstanding <= f.cwnd()


# covers: 5682-4-resp
def test_the_window_is_not_more_than_before():
    """In congestion avoidance: neither it nor ssthresh grows by the detour."""
    f = Flight(20, queue=200)
    f.wait()
    f.ack(0, (1, 20))
    f.wait()
    f.ack(f.highest())                       # recovered: cwnd is ssthresh
    cwnd, ssthresh = f.cwnd(), f.ssthresh()
    assert cwnd == ssthresh
    una = f.una
    f.take()
    for _ in range(60):
        if f.timeouts():
            break
        f.wait(0.05)
    assert f.timeouts() == 1 and f.cwnd() < 3
    flight = f.highest() - una
    f.ack(una + 3)
    assert f.undone() == 1
    assert ssthresh - 0.001 <= f.ssthresh() <= max(ssthresh, flight)
    assert f.cwnd() <= cwnd + 1


def test_the_backoff_is_undone():
    f = timed_out()
    assert f.value('backoff') == 1
    f.wait(0.05)
    f.ack(3)
    assert f.value('backoff') == 0


# ---- Eifel and D-SACK

# covers: 5682-2.1-step3b
def test_a_delay_of_two_timeouts_costs_one_retransmission():
    """Two RTOs of silence; the ACKs of the ten originals come one after another. (The probe of the tail was new data.)"""
    f = timed_out(10, queue=10, stamps=True)
    f.wait(0.9)
    for n in range(1, 11):
        f.ack(n, echo=f.originals)
    assert f.undone() == 1 and f.timeouts() == 1
    assert [n for n in range(10) if len(f.times(n)) > 1] == [0]
    assert len(f.times(0)) == 2


def test_timestamps_tell_at_the_first_ack():
    """The ACK of 0 alone is of the original: its echo is older than the retransmission (RFC 3522)."""
    f = timed_out(10, stamps=True)
    f.wait(0.05)
    f.ack(1, echo=f.originals)
    assert f.undone() == 1 and not f.times(1)[1:]
    g = timed_out(10, stamps=True)
    g.wait()
    g.ack(1)                                 # echoes the retransmission
    assert g.undone() == 0 and g.times(1)[1:]


@pytest.mark.parametrize('stamps', [False, True])
def test_a_needless_fast_retransmit_is_undone(stamps):
    f = Flight(10, queue=30, stamps=stamps)
    cwnd, ssthresh, originals = f.cwnd(), f.ssthresh(), f.p.ts_recent
    f.wait()
    f.ack(0, (1, 4), echo=originals)
    assert f.recovering() == 1 and f.ssthresh() == 5
    f.wait(0.01)
    f.ack(4, echo=originals)                 # the original of 0
    if not stamps:
        assert f.undone() == 0
        f.wait()
        f.ack(4, (0, 1))                     # and its copy
    assert f.undone() == 1 and f.ssthresh() == ssthresh and f.cwnd() >= cwnd


# covers: 2883-5-effect
def test_a_dsack_for_less_than_was_sent_again_undoes_nothing():
    f = Flight(20)
    f.wait()
    f.ack(0, (2, 12))                        # 0 and 1 are sent again
    assert f.times(0)[1:] and f.times(1)[1:]
    f.wait(0.01)
    f.ack(12)                                # the originals: no round trip has passed
    f.wait()
    f.ack(12, (0, 1))
    assert f.undone() == 0
    f.ack(12, (1, 2))
    assert f.undone() == 1
