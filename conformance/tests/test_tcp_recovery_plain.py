# SPDX-License-Identifier: BSD-3-Clause
"""TCP: recovery of connections without SACK: duplicates and partial ACKs. RFC 5681 3.2, RFC 6582, RFC 8985 4. A duplicate
is an ACK as the last one. A round trip is 100 ms, the RTO a second."""
import pytest

from recoverykit import Flight, RTT, vectors


def plain(out=10, queue=40, **more):
    f = Flight(out, queue, sack=False, **more)
    f.wait()
    return f


def duplicates(f, n, gap=0.0001):
    """What each of n duplicates makes the stack send."""
    sent = []
    for _ in range(n):
        f.wait(gap)
        sent.append(f.ack())
    return sent


def new(f, sent):
    """Those that were sent for the first time."""
    return [n for part in sent for n in part if len(f.times(n)) == 1]


# covers: 6582-3.2-init
@pytest.mark.parametrize('isn', [0, 0x7fffffff, 0xfffffff0])
def test_a_loss_in_the_first_window_is_recovered_fast(isn):
    """recover starts at the ISS: nothing of the handshake stands in the way."""
    f = Flight(10, sack=False, samples=1, isn=isn)
    f.wait()
    assert duplicates(f, 3)[2] == [0]
    assert f.recovering() == 1 and f.timeouts() == 0


# covers: 5681-3.2-step3
def test_recovery_sends_by_proportion():
    """PRR takes the place of inflation (RFC 9937): each duplicate stands for one segment that was delivered, so the
    worked example holds without SACK, too."""
    rows = vectors('prr_examples.tsv', case='1-loss', recover_fs='20', bound='crb')
    f = plain(20)
    assert duplicates(f, 2) == [[20], [21]]
    for row in rows:
        sent, = duplicates(f, 1)
        assert len(sent) == int(row['send']), row
    assert f.ssthresh() == 10 and f.times(0)[1:]


# covers: 5681-3.2-step4
def test_each_duplicate_releases_one_segment_at_most():
    f = plain(20)
    limited = sum(duplicates(f, 2), [])
    assert limited == [20, 21]
    assert duplicates(f, 1) == [[0]]
    more = duplicates(f, 17)
    assert all(len(sent) <= 1 for sent in more) and new(f, more)
    assert f.ssthresh() == 10


# covers: 5681-3.2-step4
def test_more_duplicates_than_segments_release_nothing_more():
    """A peer that divides its ACKs: 22 segments were out, so no more than 22 can have left."""
    f = plain(20, queue=200)
    duplicates(f, 3)
    before = f.highest()
    duplicates(f, 200)
    assert f.highest() - before <= 22
    settled = f.highest()
    duplicates(f, 50)
    assert f.highest() == settled


def test_a_partial_ack_releases_its_hole_and_one_more_at_most():
    """5 of 20 segments left with it, for which duplicates had been counted already."""
    f = plain(20, queue=200)
    duplicates(f, 19 - 1)                    # 0 and 5 are lost
    f.wait()
    sent = f.ack(5)
    assert 5 in sent and len(sent) <= 2


# covers: 6582-3.2-timer
def test_the_first_partial_ack_restarts_the_timer():
    f = plain(20)
    start = f.s.now
    duplicates(f, 10)
    f.s.until(start + 0.8)
    f.take()
    f.ack(3)                                 # 3 is sent again
    partial = f.s.now
    assert len(f.times(3)) == 2 and f.timeouts() == 0
    f.s.until(partial + f.value('rto') / 1e9 - 0.001)
    assert f.timeouts() == 0
    f.wait(0.3)
    assert f.timeouts() == 1


# covers: 8985-4-sack
def test_without_sack_the_time_of_transmission_finds_nothing():
    """What was sent later arrives much later than a reordering window, and two duplicates are not three."""
    f = plain(10)
    duplicates(f, 2)
    assert f.wait(RTT / 2) == [] and f.recovering() == 0
    assert duplicates(f, 1) == [[0]]
