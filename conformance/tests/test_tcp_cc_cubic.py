# SPDX-License-Identifier: BSD-3-Clause
"""TCP: CUBIC on the wire where its windows are cut: marks at the smallest window, and what is taken back. RFC 9438. And the table
of RFC 5681 for the first window."""
import pytest

from ecnkit import MSS, classic, clock, grown, push, stack
from light import Stack
from peer import Peer, established
from recoverykit import Flight
from tcpkit import pattern


# ---- marks without end

# covers: 9438-4.6-ece1
def test_marks_reduce_cubic_to_one_segment_and_then_to_one_in_a_backed_off_rto():
    s = stack(cc='cubic', profile='standard')
    p, sock = classic(s)
    assert grown(s, p, sock, 40 * MSS) >= 40 * MSS
    windows, gaps, last, waiting = [], [], s.now, []
    for _ in range(60):
        push(sock, 20 * MSS)
        found = waiting + [x for x in p.segments() if x.data]
        if not found:
            s.run(0.05)
            waiting = [x for x in p.segments() if x.data]
            continue
        if windows[-2:] == [MSS, MSS]:
            gaps.append(found[0].time - last)
        last = found[-1].time
        s.run(0.05)
        waiting = clock(p, found, 'AE')
        windows.append(sock.info()['cwnd'])
    assert windows[0] < 40 * MSS and windows == sorted(windows, reverse=True)
    assert windows[-1] == MSS
    assert len(gaps) >= 2 and all(gap >= 0.99 for gap in gaps), gaps


# ---- what was needless

def twins(segments=40, **more):
    """Two flows alike, after a loss and three round trips of avoidance."""
    made = []
    for _ in range(2):
        f = Flight(segments, queue=500, stamps=True, tcp={'cc': 'cubic', **more})
        f.wait()
        f.ack(0, (1, 4))
        f.wait()
        f.ack(f.highest())
        for _ in range(3):
            whole_round(f)
        made.append(f)
    a, b = made
    assert a.cwnd() == b.cwnd() < segments and a.ssthresh() == b.ssthresh() < segments
    return a, b


def whole_round(f):
    push(f.sock, 100 * MSS)
    f.wait()
    for n in range(f.una + 1, int(f.highest()) + 1):
        f.ack(n)


# covers: 9438-4.9-undo
def test_a_needless_recovery_leaves_cubic_as_it_was():
    """One of two flows alike sees a segment late, and sends it again for nothing; from then on both go on alike."""
    a, b = twins()
    for f in a, b:
        f.wait()
    before, originals = a.cwnd(), a.p.ts_recent
    una = a.una
    a.ack(una, (una + 1, una + 4), echo=originals)
    assert a.recovering() == 2 and a.ssthresh() < before
    for f in a, b:
        f.wait(0.01)
        f.ack(una + 4, echo=originals)
    assert a.undone() == 1 and a.cwnd() == pytest.approx(before, abs=0.2)
    assert a.ssthresh() == b.ssthresh()
    grown_from = a.cwnd()
    for _ in range(40):
        for f in a, b:
            whole_round(f)
        assert a.cwnd() == pytest.approx(b.cwnd(), rel=0.02)
    assert a.cwnd() > 1.3 * grown_from


# covers: 9438-4.9-spurrto
def test_a_needless_timeout_gives_cubic_its_window_back():
    """ssthresh is at least what was in flight (RFC 4015 3.1), so that slow start leads there; then it grows as it would have."""
    needless, needed = twins()
    una, before = needless.una, needless.cwnd()
    for f in needless, needed:
        while not f.timeouts():
            f.wait(0.05)
        f.take()
        assert f.cwnd() < 3 and f.ssthresh() < 0.8 * before
        f.wait(0.05)
    needless.ack(una + 3)                    # what was sent once arrives
    assert needless.undone() == 1
    assert before - 1.1 <= needless.ssthresh() <= before + 3
    assert needless.highest() - needless.una <= needless.cwnd() + 0.001 <= before + 3
    needed.ack(una + 1)                      # nothing but what was sent again,
    end = needed.highest()
    needed.ack(una + 1, (end - 2, end))      # ... and of what followed only what is new
    assert needed.undone() == 0
    whole_round(needless)
    assert needless.cwnd() >= before - 1
    assert needed.cwnd() < 5 and needed.ssthresh() < 0.8 * before


# ---- the first window

# covers: 5681-3.1-iw
@pytest.mark.parametrize('passive', [False, True])
@pytest.mark.parametrize('size, segments', [(536, 4), (1095, 4), (1096, 3), (1460, 3), (2190, 3), (2191, 2), (8000, 2)])
def test_the_first_window_without_rfc_6928(passive, size, segments):
    s = Stack(mtu=9000, tcp={'initial_window': 4, 'send_buffer_initial': 1 << 18, 'send_buffer_max': 1 << 18})
    if passive:
        listener = s.listener(80)
        p = Peer(s, stack_port=80, mss=size)
        p.connect()
        sock = listener.accept()
    else:
        p, sock = established(s, mss=size)
    sock.send(pattern(60000))
    assert [x.length for x in p.segments() if x.data] == [size] * segments
