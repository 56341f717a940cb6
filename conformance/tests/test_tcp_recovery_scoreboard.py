# SPDX-License-Identifier: BSD-3-Clause
"""TCP: what the sender makes of SACK blocks: what counts as a duplicate, when a loss is seen, what is sent again and
what instead. RFC 6675, RFC 2018 5, RFC 3042."""
import pytest

from recoverykit import Flight, RTT
from tcpkit import pattern


# ---- what is a duplicate

# covers: 6675-2-dupack 3042-2-sack
def test_acks_that_sack_nothing_new_are_no_duplicates():
    f = Flight(10, queue=10)
    f.wait()
    assert f.ack(0, (1, 2)) == [10]          # limited transmit
    for _ in range(6):
        assert f.ack(0, (1, 2)) == []        # nothing more has left
    assert f.ack(0) == []
    assert f.recovering() == 0
    assert f.ack(0, (1, 3)) == [11]
    assert f.ack(0, (1, 3), (1, 2)) == []
    assert f.ack(0, (1, 4)) == [0] and f.recovering() == 1


# covers: 6675-2-dupack
@pytest.mark.parametrize('what', ['data', 'window'])
def test_acks_with_data_or_another_window_are_duplicates_if_they_sack(what):
    f = Flight(10)
    f.wait()
    for n in range(3):
        if what == 'data':
            f.ack(0, (1, 2 + n), data=b'x' * 10)
        else:
            f.ack(0, (1, 2 + n), window=7000 + n)
    assert f.recovering() == 1 and len(f.times(0)) == 2


# covers: 6675-5-update
@pytest.mark.parametrize('bad', [(3, 2), (3, 3), (9, 11), (-2, -1), (-1, 4), (10, 12)])
def test_blocks_that_say_what_cannot_be_are_ignored(bad):
    """Ends before its start, empty, beyond what was sent, before what was acknowledged."""
    f = Flight(10)
    f.wait()
    for _ in range(4):
        # In the second place: in the first one below the ACK could be a report of a duplicate.
        assert f.ack(0, (1, 2), bad) == []
    assert f.recovering() == 0 and f.value('retransmitted_total') == 0
    assert f.ack(0, (1, 3)) == [] and f.ack(0, (1, 4)) == [0]
    assert f.recovering() == 1


# covers: 6675-5-update
@pytest.mark.parametrize('payload', [False, True])
def test_blocks_count_with_data_before_and_in_recovery(payload):
    data = {'data': b'x' * 10} if payload else {}
    f = Flight(10)
    f.wait()
    f.ack(0, (1, 3), **data)
    f.ack(0, (1, 4), **data)                 # recovery
    f.ack(0, (5, 8), (1, 4), **data)         # and within
    f.wait(0)
    # What was never named, and only that: 0 and 4 (and the tail 8, 9 not yet).
    assert sorted({f.number(x) for x in f.segments[10:]}) == [0, 4]
    f.ack(8, **data)
    assert f.recovering() == 1


# ---- what is lost

# covers: 6675-4-islost
@pytest.mark.parametrize('sacked, lost', [(2, False), (2.001, True), (3, True)])
def test_more_than_two_segments_above(sacked, lost):
    f = Flight(10)
    f.wait()
    found = f.ack(0, (1, 1 + sacked))
    assert (0 in found) == lost == (f.recovering() == 1)


# covers: 6675-4-islost
def test_three_ranges_above():
    """However few bytes they are."""
    f = Flight(10)
    f.wait()
    assert f.ack(0, (2, 2.1), (4, 4.1)) == [] and f.recovering() == 0
    assert 0 in f.ack(0, (2, 2.1), (4, 4.1), (6, 6.1)) and f.recovering() == 1


# covers: 6675-5-enter 6675-5-ssthresh
def test_three_duplicates_start_recovery():
    f = Flight(12, queue=4)
    f.wait()
    first, second, third = f.sack_one_by_one(1, 4)
    assert (first, second) == ([12], [13])
    assert third == [0], 'the segment at HighACK + 1 first'
    assert f.segments[-1].time == f.s.now
    assert f.ssthresh() == 6, 'half of what was out, without what limited transmit added'


# covers: 6675-5-enter
def test_three_small_segments_start_recovery():
    """Duplicates are counted, not bytes: less than two full segments were SACKed."""
    f = Flight(10)
    f.wait()
    f.ack(10)
    f.sock.set('NODELAY', 1)
    for _ in range(6):
        f.sock.send(pattern(100))
    assert [x.length for x in f.taken()] == [100] * 6
    f.wait()
    assert [len(f.ack(10, (10.1, 10.2 + n / 10))) for n in range(3)] == [0, 0, 1]
    assert f.number(f.segments[-1]) == 10 and f.recovering() == 1


# covers: 6675-5-enter
def test_one_ack_that_sacks_three_segments_is_enough():
    f = Flight(12)
    f.wait()
    assert f.ack(0, (1, 4))[0] == 0
    assert f.recovering() == 1


# ---- what is sent

# covers: 2018-5-skip 6675-4-next1
def test_the_holes_are_sent_from_the_lowest_and_nothing_else():
    f = Flight(20)
    f.wait()
    f.ack(0, (1, 4), (6, 8), (10, 12))
    for _ in range(6):
        f.wait(RTT / 10)
        f.ack(0, (1, 4), (6, 8), (10, 16))
        f.ack(0, (1, 4), (6, 8), (10, 20))
    again = [f.number(x) for x in f.segments[20:]]
    assert again == [0, 4, 5, 8, 9]          # once each: below HighRxt nothing is sent a second time


# covers: 6675-4-next2
def test_new_data_when_nothing_is_lost_any_more():
    f = Flight(10, queue=10)
    f.wait()
    sent = f.ack(0, (1, 4))
    assert sent[0] == 0 and f.recovering() == 1
    for n in range(5, 11):
        sent += f.ack(0, (1, n))
    assert len(sent) >= 4 and sent[1:] == list(range(10, 9 + len(sent)))


# covers: 6675-4-next2
def test_new_data_in_recovery_respects_the_peers_window():
    f = Flight(10, queue=10, window=80)      # 10240 bytes
    f.wait()
    assert f.ack(0, (1, 4)) == [0]
    for n in range(5, 11):
        assert f.ack(0, (1, n)) == []


# covers: 6675-4-next3
def test_a_hole_that_is_not_surely_lost_is_sent_when_nothing_else_can():
    f = Flight(12)
    f.wait()
    assert f.ack(0, (1, 4)) == [0]
    sent = f.ack(0, (6, 7), (1, 4))          # one segment above 4 and 5: IsLost says no
    for n in range(8, 11):
        sent += f.ack(0, (6, n), (1, 4))
    assert sent == [4, 5]
    assert f.recovering() == 1


# covers: 6675-4-pipe 6675-5-stepC
@pytest.mark.parametrize('lost', [(0,), (0, 5, 6), (0, 1, 2, 3), tuple(range(0, 20, 2))])
def test_no_more_is_in_flight_than_the_window(lost):
    """A shadow of the scoreboard: what is neither SACKed nor lost, and what was sent again. What an ACK releases fits
    into the window that is left."""
    f = Flight(20, queue=30)
    f.wait()
    sacked, again, sent = set(), set(), 20
    for n in range(20):
        if n in lost:
            continue
        sacked.add(n)
        blocks, at = [], n
        while at - 1 in sacked:
            at -= 1
        blocks.append((at, n + 1))
        new = f.ack(0, *blocks)
        top = max(sacked)
        pipe_before = pipe(f, sacked, again, sent, top)
        for x in new:
            if x < sent:
                assert x in lost and x not in again
                again.add(x)
            else:
                assert x == sent
                sent += 1
        now = pipe(f, sacked, again, sent, top)
        assert now == pipe_before + len(new)
        assert not new or now <= f.cwnd(), (n, now, f.cwnd())
        if f.recovering() and not new:
            assert f.cwnd() - now < 1 or sent == 50
    assert 0 in again and again <= set(lost)


def pipe(f, sacked, again, sent, top):
    count = 0
    for n in range(sent):
        lost = f.recovering() and n < min(top, 20)
        count += (n not in sacked and not lost) + (n in again and n not in sacked)
    return count


# ---- the end of recovery

# covers: 6675-5-point
def test_recovery_ends_at_what_was_sent_when_it_began():
    f = Flight(10, queue=20)
    f.wait()
    f.ack(0, (1, 3))                         # may let new segments go: they belong to the flight
    f.ack(0, (1, 4))
    point = f.highest()
    assert f.recovering() == 1
    for n in range(5, 10):
        f.ack(0, (1, n))
    ssthresh = f.ssthresh()
    f.wait()
    f.ack(9)                                 # partial: 9 on is in flight
    assert f.recovering() == 1
    sent = f.highest()
    assert sent > point
    # More of the same window is lost: no second reduction.
    f.ack(9, (10, point))
    assert f.recovering() == 1 and f.ssthresh() == ssthresh and len(f.times(9)) == 2
    f.wait()
    f.ack(point)
    top = f.highest()
    assert top >= point + 4
    f.wait()
    f.ack(point, (point + 1, top))           # of the next window: a loss of its own
    assert f.recovering() == 2 and f.ssthresh() < ssthresh


# covers: 6675-5-point
def test_what_was_sacked_beyond_the_point_stays_sacked():
    f = Flight(10, queue=20)
    f.wait()
    f.ack(0, (1, 4))
    for n in range(5, 11):
        f.ack(0, (1, n))
    new = [f.number(x) for x in f.segments if f.number(x) >= 10]
    assert len(new) >= 3
    f.wait()
    f.ack(0, (11, 12), (1, 10))              # 10 is missing, 11 there
    f.ack(10, (11, 12))                      # beyond the point? it was 10: over
    cut = f.value('cwnd')
    f.wait()
    assert len(f.times(11)) == 1
    f.ack(10, (11, new[-1] + 1))
    for _ in range(5):
        f.wait()
        f.ack(10, (11, new[-1] + 1))
    assert len(f.times(10)) >= 2 and all(len(f.times(n)) == 1 for n in new[1:]) and cut


# ---- timeouts

def timed_out_in_recovery(*args, **kwargs):
    """1 to 3 were SACKed, 0 was sent again, and nothing came for a second: F-RTO does not apply (RFC 5682 3.1 step 1)."""
    f = Flight(*args, **kwargs)
    f.wait()
    f.ack(0, (1, 4))
    assert f.recovering() == 1 and f.times(0)[1:]
    for _ in range(40):
        if f.timeouts():
            break
        f.wait(0.05)
    assert f.timeouts() == 1
    assert f.cwnd() < 3 and len(f.times(0)) == 3
    return f


# covers: 6675-5.1-rto
def test_a_timeout_ends_recovery_and_holds_the_next_one():
    f = timed_out_in_recovery(20, queue=20)
    high = f.highest()
    ssthresh = f.ssthresh()
    # The old flight's arrivals make duplicates: no recovery before all of it is acknowledged.
    f.ack(4)
    for n in range(6, 12):
        f.ack(4, (5, n))
        f.wait(0.01)
    assert f.recovering() == 1 and f.ssthresh() == ssthresh
    f.wait(0.05)
    f.ack(high - 1)
    assert f.recovering() == 1
    for _ in range(3):
        una = high
        f.ack(una)
        f.wait(0.05)
        high = f.highest()
    assert high >= una + 4, 'nothing to lose'
    f.ack(una, (una + 1, high))
    assert f.recovering() == 2, 'beyond the point a new recovery may begin'


# covers: 6675-5.1-use
def test_what_is_sacked_after_a_timeout_is_not_sent_again():
    f = timed_out_in_recovery(10)
    f.segments.clear()
    # The retransmission of 0 fills a hole; with its ACK comes what else had arrived.
    f.ack(4, (5, 7), (8, 9))
    for _ in range(3):
        f.wait(0.05)
        f.ack(4, (5, 7), (8, 9))
    assert [f.number(x) for x in f.segments][:2] == [4, 7]
    f.wait(0.05)
    f.ack(7, (8, 9))
    f.wait(0.05)
    assert {f.number(x) for x in f.segments} == {4, 7, 9}


# covers: 6675-6-timer
def test_a_long_recovery_with_progress_does_not_time_out():
    """Twenty round trips of one hole each: three times the timeout."""
    f = Flight(40, rtt=0.15)
    f.wait()
    f.ack(0, *[(n, n + 1) for n in (39, 37, 35)])
    assert f.recovering() == 1
    una = 0
    started = f.s.now
    for _ in range(22):
        f.wait()
        una += 1
        f.ack(una, *[(n, n + 1) for n in (39, 37, 35) if n > una])
    assert f.s.now - started > 3 and f.timeouts() == 0
