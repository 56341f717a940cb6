# SPDX-License-Identifier: BSD-3-Clause
"""DCTCP on the wire: what it asks for, how its receiver reports, and the cut. RFC 8257."""
import pytest

from ecnkit import CE, ECT0, MSS, NOT_ECT, clock, grown, push, stack
from peer import Peer, sack as block
from tcpkit import quiet_segments


def dctcp(s, **peer):
    listener = s.listener(80)
    p = Peer(s, mss=MSS, **peer)
    p.send('SEC')
    p.synack = p.segments()[0]
    s.run(0.01)
    p.send('A')
    return p, listener.accept()


def unhurried(p):
    """Out of the quick acknowledgments at the start."""
    for _ in range(20):
        p.send('A', b'x' * MSS, tos=ECT0)
    quiet_segments(p)


# covers: 8257-3.6-syn
def test_it_asks_for_ecn_by_itself_and_its_control_packets_are_ect():
    s = stack('off', cc='dctcp')
    p = Peer(s, port=80, mss=MSS)
    sock = s.stream().connect(p.addr, 80)
    p.receive_syn('SEC', ecn=ECT0)
    p.send('SAE', tos=CE)                             # ignored there
    assert p.one('A').ecn == NOT_ECT and sock.info()['received_ce'] == 0
    sock.abort()
    reset = p.segments()[-1]
    assert 'R' in reset.flags and reset.ecn == ECT0
    q, other = dctcp(s, port=40001)
    assert set(q.synack.flags) == set('SAE') and q.synack.ecn == ECT0


# covers: 8257-3.4-grow
def test_without_ecn_it_is_reno():
    s = stack('off', cc='dctcp')
    p = Peer(s, port=80, mss=MSS)
    sock = s.stream().connect(p.addr, 80)
    p.receive_syn('SEC')
    s.run(0.01)
    p.send('SA')
    p.segments()
    window = grown(s, p, sock, 20 * MSS)
    assert window >= 20 * MSS
    push(sock, 3 * MSS)
    assert all(x.ecn == NOT_ECT for x in p.segments())


# covers: 8257-3.2-state 8257-3.2-two
def test_a_change_of_ce_is_acknowledged_at_once():
    s = stack(cc='dctcp', delayed_ack=0.2)
    p, sock = dctcp(s)
    unhurried(p)
    p.send('A', b'a' * MSS, tos=ECT0)
    p.none()                                          # it may wait
    first = p.seq
    p.send('A', b'b' * MSS, tos=CE)
    before, after = p.segments()
    assert ('E' in before.flags, before.ack) == (False, first)
    assert ('E' in after.flags, after.ack) == (True, p.seq)
    p.send('A', b'c' * MSS, tos=CE)
    p.send('A', b'd' * MSS, tos=CE)
    assert all('E' in x.flags for x in quiet_segments(p))
    p.send('A', b'e' * MSS, tos=ECT0)                # no CWR needed
    assert p.one('A', ack=p.seq)


# covers: 8257-3.2-state
def test_ece_is_the_state_of_what_an_ack_covers_in_a_burst_too():
    s = stack(cc='dctcp', delayed_ack=0.2)
    p, sock = dctcp(s)
    unhurried(p)
    fields = [ECT0, ECT0, CE, CE, CE, ECT0, CE, ECT0]
    base = p.seq
    p.burst(*(p.build('A', b'x' * MSS, seq=base + i * MSS, tos=f) for i, f in enumerate(fields)))
    p.seq += len(fields) * MSS
    found, at = quiet_segments(p), base
    for x in found:
        covered = {fields[i] for i in range((at - base) // MSS, (x.ack - base) // MSS)}
        assert len(covered) <= 1 and (not covered or covered == {CE if 'E' in x.flags else ECT0}), (x, covered)
        at = x.ack
    assert at == p.seq


# covers: 8257-3.3-cut 8257-3.3-cwr 8257-3.3-alpha
def test_the_cut_is_by_the_share_of_marks():
    s = stack(cc='dctcp')
    p, sock = dctcp(s)
    grown(s, p, sock, 16 * MSS)
    for _ in range(40):                               # alpha goes to nearly nothing
        push(sock, 2 * MSS)
        s.run(0.01)
        p.send('A')
        p.segments()
    p.send('A')
    window = sock.info()['cwnd']
    push(sock, window)
    found = [x for x in p.segments() if x.data]
    s.run(0.01)
    push(sock, 2 * window)
    p.send('AE', ack=found[0].end)
    rest = clock(p, found[1:])
    cwnd = sock.info()['cwnd']
    # 15/16 to the power of some forty windows: a tenth, or less, of which half
    assert window * 0.88 <= sock.info()['ssthresh'] <= window
    assert cwnd >= window * 0.85
    new = [x for x in rest if x.data]
    assert sum('C' in x.flags for x in new) <= 1
    assert s.counter('TCP_ECN_REDUCED') == 1


# covers: 8257-3.5-loss
@pytest.mark.parametrize('how', ['fast', 'timeout'])
def test_a_loss_halves_the_window_and_a_timeout_leaves_one_segment(how):
    s = stack(cc='dctcp')
    p, sock = dctcp(s, sack=True)
    window = grown(s, p, sock, 20 * MSS)
    push(sock, window)
    found = [x for x in p.segments() if x.data]
    flight = sum(len(x.data) for x in found)
    base = found[0].seq
    s.run(0.01 if how == 'fast' else 0)
    if how == 'fast':
        for k in range(2, 8):
            p.send('A', ack=base, options=block((base + MSS, base + k * MSS)))
        s.run(0.005)
        assert abs(sock.info()['ssthresh'] - flight // 2) <= MSS
    else:
        s.run(0.8)
        info = sock.info()
        assert info['cwnd'] <= MSS and info['ssthresh'] < flight * 0.6
