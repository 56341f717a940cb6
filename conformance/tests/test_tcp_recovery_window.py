# SPDX-License-Identifier: BSD-3-Clause
"""TCP: recovery against a peer that takes things back: SACKed data that it throws away (RFC 2018 8), a window whose edge
moves left (RFC 7323 2.4), a path whose MTU shrinks (RFC 1191 6.4)."""
import pytest

from light import ROUTER
from packets import icmp_error, quote
from recoverykit import Flight


# ---- reneging

def reneged(**more):
    """0 is repaired, and the cumulative ACK ends where SACKed data begins."""
    f = Flight(10, **more)
    f.wait()
    f.ack(0, (1, 6))
    assert f.times(0)[1:] and not f.times(1)[1:]
    f.wait()
    f.ack(1)
    return f


# covers: linux-reneging
@pytest.mark.parametrize('profile', ['standard', 'linux'])
def test_what_the_peer_threw_away_is_sent_again_soon(profile):
    f = reneged(profile=profile)
    start = f.s.now
    assert not f.times(1)[1:], 'it may be a matter of two ACKs'
    f.wait(0.05)
    assert f.times(1)[1:] and f.times(1)[1] - start < 0.05
    # All of it: nothing is taken for received any more.
    for n in range(2, 11):
        f.wait(0.02)
        f.ack(n)
    assert all(len(f.times(n)) >= 2 for n in range(1, 6))
    assert f.wait(3) == []


# covers: linux-reneging
def test_an_ack_that_follows_at_once_shows_that_it_was_none():
    f = reneged()
    f.wait(0.002)
    f.ack(6)
    f.wait(0.05)
    assert not any(f.times(n)[1:] for n in range(1, 6)) and f.timeouts() == 0


# ---- the window's edge

# covers: 7323-2.4-sender
def test_what_was_in_the_window_once_is_sent_again_once():
    f = Flight(10)
    f.wait()
    # 5 to 7 are lost, and only 5 and 6 remain in the window.
    assert f.ack(5, (8, 10), window=16) == []
    assert f.wait(0.05) == [5]
    f.wait()
    assert f.ack(6, (8, 10), window=8) == [6, 7], 'the first time wherever the edge is'
    # The second time only what is within.
    f.segments.clear()
    f.wait(1.5)
    assert f.timeouts() == 1 and f.times(6)
    f.ack(7, (8, 10), window=4)              # 512 bytes of 7
    f.wait(8)
    assert f.timeouts() >= 2
    edge = f.seq(7) + 512
    assert f.segments and all(x.end <= edge for x in f.segments)
    # It opens: the rest.
    f.segments.clear()
    f.ack(7, (8, 10), window=8000)
    f.wait(30)
    assert max(x.end for x in f.segments) == f.seq(8)
    f.ack(10)
    assert f.wait(5) == []


# covers: 7323-2.4-sender
def test_what_is_new_waits_for_the_window():
    f = Flight(10, queue=20)
    f.wait()
    f.ack(5, window=39)                      # 4992 bytes: to where the tail of what is out begins
    assert f.highest() == 10
    f.ack(9, window=8)                       # 1024 bytes more
    assert f.highest() <= 10.024
    f.ack(9, window=8000)
    assert f.highest() > 11


# ---- the MTU

# covers: 1191-6.4-cwnd
@pytest.mark.parametrize('sack', [True, False])
def test_a_packet_that_was_too_big_is_no_congestion(sack):
    f = Flight(10, sack=sack)
    cwnd, ssthresh = f.value('cwnd'), f.ssthresh()
    x = f.segments[0]
    f.s.inject(icmp_error(3, 4, quote(x.frame), src=ROUTER, extra=800))
    f.wait(0.01)
    assert f.value('mss') == 760 and f.value('path_mtu') == 800
    # As many segments as before, which are smaller (RFC 4821 4); a loss would leave seven.
    assert f.value('cwnd') == cwnd // 1000 * 760 and f.ssthresh() == ssthresh
    assert f.timeouts() == 0 and f.recovering() == 0
