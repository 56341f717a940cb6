# SPDX-License-Identifier: BSD-3-Clause
"""TCP with classic ECN: handshake, echo, reduction. RFC 3168 6.1."""
import struct

import pytest

from ecnkit import CE, ECT0, MSS, NOT_ECT, classic, clock, grown, push, stack
from oracle import checksum
from peer import Peer, established, opened, sack as block
from tcpkit import pattern, quiet_segments


def requested(s, flags='SAE', **peer):
    """The stack opens with an ECN-setup SYN, answered by `flags`."""
    p = Peer(s, port=80, mss=MSS, **peer)
    sock = s.stream().connect(p.addr, 80)
    syn = p.receive_ecn_syn()
    p.send(flags)
    p.one('A', ack=p.seq, ecn=NOT_ECT)
    return p, sock, syn


# ---- handshake

# covers: 3168-6.1.1-syn 3168-6.1.1-synnotect
@pytest.mark.parametrize('setting, flags', [('off', 'S'), ('passive', 'S'), ('request', 'SEC'), ('accurate-passive', 'S')])
def test_only_who_is_told_to_asks_for_ecn(setting, flags):
    s = stack(setting)
    p = Peer(s, port=80)
    s.stream().connect(p.addr, 80)
    p.receive_ecn_syn(flags, ecn=NOT_ECT)


# covers: SHLD-8 3168-6.1.1-synack 3168-6.1.1-synnotect
@pytest.mark.parametrize('setting', ['off', 'passive', 'request', 'accurate-passive', 'accurate'])
@pytest.mark.parametrize('syn', ['S', 'SE', 'SC', 'SEC'])
def test_an_ecn_setup_syn_is_answered_by_an_ecn_setup_syn_ack(setting, syn):
    s = stack(setting)
    s.listener(80)
    p = Peer(s)
    p.send(syn)
    if setting.startswith('accurate') and syn in ('SE', 'SC'):
        return                       # RFC 9768 3.1.3 reads these otherwise
    p.one('SAE' if syn == 'SEC' and setting != 'off' else 'SA', ecn=NOT_ECT)
    p.send('A')
    assert p.state() == 'ESTABLISHED'


# covers: 3168-6.1.1-noect
@pytest.mark.parametrize('how', ['passive plain', 'active plain', 'active refused'])
def test_no_ect_unless_negotiated(how):
    s = stack('request' if how == 'active refused' else 'passive')
    if how == 'passive plain':
        p, sock = established(s)
    elif how == 'active plain':
        p, sock = opened(s)
    else:
        p, sock, _ = requested(s, 'SA')
    assert sock.info()['ecn'] == 0
    sock.send(pattern(3000))
    found = p.segments()
    assert sum(len(x.data) for x in found) == 3000
    p.send('AE', ack=p.ack, tos=CE)
    sock.send(pattern(3000))
    sock.shutdown()
    found += p.segments()
    assert all(x.ecn == NOT_ECT and not set('EC') & set(x.flags) for x in found)


# covers: 3168-6.1.1-nonecn
@pytest.mark.parametrize('answer', ['SA', 'SAC', 'SAEC'])
def test_other_syn_acks_make_connections_without_ecn(answer):
    s = stack('request')
    p, sock, _ = requested(s, answer)
    sock.send(pattern(5000))
    found = p.segments()
    assert p.got == pattern(5000)
    assert all(x.ecn == NOT_ECT for x in found) and sock.info()['ecn'] == 0
    p.send('A', b'x' * 10, tos=CE)
    assert 'E' not in quiet_segments(p)[-1].flags


# covers: 3168-6.1.1-fallback
def test_a_syn_that_is_lost_comes_again_without_ecn():
    s = stack('request')
    p = Peer(s, port=80)
    sock = s.stream().connect(p.addr, 80)
    first = p.receive_ecn_syn('SEC')
    s.run(1.5)
    again = p.receive_ecn_syn('S')
    assert again.seq == first.seq
    p.send('SA')
    p.one('A', ack=p.seq)
    sock.send(b'hello')
    p.one('A', data=b'hello', ecn=NOT_ECT)
    # ... and an answer to the first one does not bring it back
    q = Peer(s, port=81)
    other = s.stream().connect(q.addr, 81)
    q.receive_ecn_syn('SEC')
    s.run(1.5)
    q.receive_ecn_syn('S')
    q.send('SAE')
    q.segments()
    other.send(b'hello')
    q.one('A', data=b'hello', ecn=NOT_ECT)


# covers: 3168-6.1.1-tw
@pytest.mark.parametrize('syn, answer', [('SEC', 'SAE'), ('S', 'SA')])
def test_a_syn_that_ends_time_wait_negotiates_anew(syn, answer):
    s = stack()
    listener = s.listener(80)
    p = Peer(s, timestamps=True)
    p.send('S' if syn == 'SEC' else 'SEC')
    p.segments()
    p.send('A')
    sock = listener.accept()
    sock.close()
    p.segments()
    p.send('A')
    p.send('FA')
    p.segments()
    assert p.state() == 'TIME_WAIT'
    s.run(2)
    q = Peer(s, timestamps=True, isn=p.seq + 100000)
    q.ts_offset = p.ts_offset
    q.send(syn)
    q.one(answer)
    q.send('A')
    child = listener.accept()
    child.send(b'x')
    q.one('A', data=b'x', ecn=ECT0 if syn == 'SEC' else NOT_ECT)


# ---- what carries ECT

# covers: 3168-6.1.2-ect0 3168-6.1.4-pureack 3168-6.1.1-synnotect
@pytest.mark.parametrize('side', ['passive', 'active'])
def test_new_data_is_ect_0_and_acks_are_not(side):
    s = stack('passive' if side == 'passive' else 'request')
    p, sock = classic(s) if side == 'passive' else requested(s)[:2]
    assert sock.info()['ecn'] == 1
    sock.send(pattern(5500))
    found = p.segments()
    assert p.got == pattern(5500) and all(x.ecn == ECT0 for x in found)
    p.send('A', b'data' * 250)
    p.send('A', b'data' * 250)
    assert all(x.ecn == NOT_ECT for x in quiet_segments(p))
    sock.shutdown()
    assert p.one('FA').ecn == NOT_ECT


# covers: 3168-6.1.5-retx 3168-6.1.2-cwrretx
@pytest.mark.parametrize('sack', [False, True])
@pytest.mark.parametrize('how', ['fast', 'timeout'])
def test_retransmissions_are_not_ect_and_have_no_cwr(sack, how):
    s = stack()
    p, sock = classic(s, sack=sack)
    grown(s, p, sock, 10 * MSS)
    push(sock, 10 * MSS)
    first = p.segments()
    assert all(x.ecn == ECT0 for x in first)
    base = first[0].seq
    if how == 'fast':
        s.run(0.01)
        for k in range(2, 7):
            p.send('A', ack=base, options=block((base + MSS, base + k * MSS)) if sack else b'')
    s.run(0.01 if how == 'fast' else 3)
    again = [x for x in p.segments() if x.data and x.seq == base]
    assert again and all(x.ecn == NOT_ECT and 'C' not in x.flags for x in again)


# covers: 3168-6.1.6-probe
def test_probes_of_a_closed_window_have_neither_ect_nor_cwr():
    s = stack()
    p, sock = classic(s)
    grown(s, p, sock, 10 * MSS)
    push(sock, 2 * MSS)
    p.segments()
    p.send('AE', window=0)                   # CWR is due now
    sock.send(b'more' * 100)
    s.run(5)
    probes = [x for x in p.segments() if x.data]
    assert len(probes) >= 2
    assert all(x.ecn == NOT_ECT and 'C' not in x.flags for x in probes)


# covers: 3168-5-erase
def test_a_program_cannot_set_ect():
    s = stack()
    p, sock = established(s)
    sock.set('TOS', 0x13)                    # class 4, and CE
    sock.send(b'plain')
    assert p.one('A', data=b'plain').ip[1] == 0x10
    q, other = classic(s, 81, port=40001)
    other.set('TOS', 0x11)
    other.send(b'ecn')
    assert q.one('A', data=b'ecn').ip[1] == 0x10 | ECT0


# covers: 3168-5.3-frag
@pytest.mark.parametrize('fields, echoed', [
    ((ECT0, CE), True), ((CE, ECT0), True), ((CE, CE), True), ((ECT0, ECT0), False), ((CE, NOT_ECT), None), ((NOT_ECT, CE), None)])
def test_a_mark_on_one_fragment_marks_the_segment(fields, echoed):
    s = stack()
    p, sock = classic(s)
    whole = p.build('A', pattern(400))
    eth, ip, payload = whole[:14], whole[14:34], whole[34:]
    for i, (part, tos) in enumerate(zip((payload[:200], payload[200:]), fields)):
        h = struct.pack('>BBHHHBBH', 0x45, tos, 20 + len(part), 77, (0x2000 if i == 0 else 0) | i * 25, 64, 6, 0) + ip[12:20]
        h = h[:10] + struct.pack('>H', checksum(h)) + h[12:]
        s.inject(eth + h + part)
    found = quiet_segments(p)
    if echoed is None:
        assert not found and s.counter('FRAGMENT_ECN') == 1
    else:
        assert found[-1].ack == p.seq + 400 and ('E' in found[-1].flags) == echoed


# ---- the echo

# covers: 3168-6.1.3-echo
def test_ce_is_echoed_until_cwr():
    s = stack()
    p, sock = classic(s)
    p.send('A', b'a' * MSS, tos=ECT0)
    assert not [x for x in quiet_segments(p) if 'E' in x.flags]
    p.send('A', b'b' * MSS, tos=CE)
    assert p.one('AE', ack=p.seq)            # at once
    for _ in range(6):
        p.send('A', b'c' * MSS, tos=ECT0)
        assert all('E' in x.flags for x in quiet_segments(p))
    sock.send(b'an answer')                  # data is an acknowledgment as well
    p.one('AE', data=b'an answer')
    p.send('AC', b'd' * MSS, tos=ECT0)
    p.one('A', ack=p.seq)


# covers: 3168-6.1.3-cwrstop
def test_cwr_ends_the_echo_and_a_mark_with_it_begins_it_again():
    s = stack()
    p, sock = classic(s)
    p.send('A', b'a' * MSS, tos=CE)
    p.one('AE')
    p.send('AC', b'b' * MSS, tos=CE)
    assert quiet_segments(p)[-1].flags == 'AE'
    p.send('AC', b'c' * MSS, tos=ECT0)
    p.one('A', ack=p.seq)
    p.send('A', b'd' * MSS, tos=ECT0)
    assert all('E' not in x.flags for x in quiet_segments(p))


# covers: 3168-6.1.3-delack
@pytest.mark.parametrize('marked', [0, 1])
def test_an_ack_of_two_segments_tells_of_a_mark_on_either(marked):
    s = stack()
    p, sock = classic(s)
    p.burst(p.build('A', b'a' * MSS, tos=CE if marked == 0 else ECT0),
            p.build('A', b'b' * MSS, seq=p.seq + MSS, tos=CE if marked == 1 else ECT0))
    p.seq += 2 * MSS
    assert p.one('AE', ack=p.seq)


# covers: 3168-6.1.5-oow
@pytest.mark.parametrize('where', ['before', 'beyond'])
def test_ce_out_of_the_window_is_not_echoed(where):
    s = stack()
    p, sock = classic(s)
    p.send('A', b'a' * MSS)
    quiet_segments(p)
    p.send('A', b'b' * MSS, seq=p.seq - MSS if where == 'before' else p.seq + 10_000_000, tos=CE)
    assert all('E' not in x.flags for x in quiet_segments(p))
    p.send('A', b'c' * MSS, tos=ECT0)
    assert all('E' not in x.flags for x in quiet_segments(p))
    assert sock.info()['received_ce'] == 0


# ---- the reduction

# covers: 3168-6.1.2-react 3168-6.1.2-cwr
@pytest.mark.parametrize('cc, share', [('newreno', 0.5), ('cubic', 0.7)])
@pytest.mark.parametrize('sack', [False, True])
def test_ece_reduces_the_window_as_a_loss_does(cc, share, sack):
    s = stack(cc=cc)
    p, sock = classic(s, sack=sack)
    window = grown(s, p, sock, 20 * MSS)
    push(sock, window)
    first = [x for x in p.segments() if x.data]
    flight = sum(len(x.data) for x in first)
    again = sock.info()['retransmitted_total']
    s.run(0.01)
    p.send('AE', ack=first[0].end)
    push(sock, 3 * window)
    new = p.segments()
    info = sock.info()
    assert abs(info['ssthresh'] - share * flight) <= 2 * MSS
    new += clock(p, first[1:], 'AE')
    info = sock.info()
    assert abs(info['cwnd'] - share * flight) <= 2 * MSS
    assert info['retransmitted_total'] == again
    data = [x for x in new if x.data]
    assert abs(sum(len(x.data) for x in data) - share * flight) <= 2 * MSS
    assert ['C' in x.flags for x in data] == [True] + [False] * (len(data) - 1)
    assert min(x.seq for x in data) == first[-1].end


# covers: 3168-6.1.2-once
def test_one_reduction_for_a_window():
    s = stack()
    p, sock = classic(s)
    window = grown(s, p, sock, 32 * MSS)
    push(sock, 4 * window)
    first = [x for x in p.segments() if x.data]
    second = [x for x in clock(p, first, 'AE') if x.data]        # all of them with ECE
    once = sock.info()
    assert once['ssthresh'] >= window // 2 - 2 * MSS
    assert s.counter('TCP_ECN_REDUCED') == 1
    assert second and 'C' in second[0].flags
    p.send('AE', ack=second[0].end)                                # of data sent after it: again
    assert s.counter('TCP_ECN_REDUCED') == 2
    assert sock.info()['ssthresh'] < once['ssthresh'] * 0.7


# covers: 3168-6.1.2-noinc
@pytest.mark.parametrize('sack', [False, True])
@pytest.mark.parametrize('slow_start', [True, False])
def test_an_ack_with_ece_never_lets_the_window_grow(sack, slow_start):
    s = stack()
    p, sock = classic(s, sack=sack)
    if not slow_start:                              # a reduction first, so that ssthresh is behind
        grown(s, p, sock, 20 * MSS)
        push(sock, 20 * MSS)
        clock(p, p.segments(), 'AE')
        push(sock, 5 * MSS)
        clock(p, p.segments())
    push(sock, 100 * MSS)
    for _ in range(6):
        found = [x for x in p.segments() if x.data]
        most = sock.info()['cwnd']
        s.run(0.01)
        for x in found:
            p.send('AE', ack=x.end)
            assert sock.info()['cwnd'] <= most
        push(sock, 100 * MSS)


# covers: 3168-6.1.2-one
def test_a_window_of_one_segment_waits_for_the_timer():
    s = stack(initial_window=1, profile='standard')
    p, sock = classic(s)
    push(sock, 10 * MSS)
    x = p.one('A', ecn=ECT0)
    assert len(x.data) == MSS
    s.run(0.05)
    p.send('AE', ack=x.end)
    at, rto = s.now, sock.info()['rto'] / 1e9
    p.none()
    s.run(rto - 0.01)
    p.none()
    s.run(0.02)
    found = [y for y in p.segments() if y.data]
    assert len(found) == 1 and 'C' in found[0].flags and found[0].ecn == ECT0
    assert abs(found[0].time - at - rto) < 0.005 and found[0].seq == x.end


# covers: 3168-6.1.2-order
@pytest.mark.parametrize('first', ['mark', 'loss'])
def test_a_mark_and_a_loss_in_one_window_reduce_it_once(first):
    s = stack()
    p, sock = classic(s, sack=True)
    window = grown(s, p, sock, 20 * MSS)
    push(sock, window)
    out = [x for x in p.segments() if x.data]
    base, flight = out[1].seq, sum(len(x.data) for x in out)
    s.run(0.01)
    p.send('AE' if first == 'mark' else 'A', ack=out[0].end)      # the second is lost
    for k in range(3, 8):
        p.send('AE', ack=base, options=block((base + MSS, base + (k - 1) * MSS)))
    s.run(0.005)
    assert [x for x in p.segments() if x.data and x.seq == base]    # sent again
    p.send('AE', ack=out[-1].end)
    info = sock.info()
    assert info['ssthresh'] >= flight // 2 - 3 * MSS, info


# covers: 3168-6.1.2-cwr
@pytest.mark.parametrize('how', ['fast', 'timeout'])
def test_cwr_tells_of_every_reduction(how):
    s = stack()
    p, sock = classic(s, sack=True)
    window = grown(s, p, sock, 10 * MSS)
    push(sock, window)
    out = [x for x in p.segments() if x.data]
    base = out[0].seq
    if how == 'fast':
        s.run(0.01)
        for k in range(2, 6):
            p.send('A', ack=base, options=block((base + MSS, base + k * MSS)))
    s.run(0.01 if how == 'fast' else 3)
    push(sock, 30 * MSS)
    found = [x for x in p.segments() if x.data]
    found = found[[x.seq for x in found].index(base):]             # a loss probe may have gone before
    new = []
    while found:                 # each retransmission arrives, nothing of the first ones did
        new += [x for x in found if (x.seq - out[-1].end) % 2**32 < 1 << 31]
        found = [] if len(new) >= 3 else [x for x in clock(p, found[-1:]) if x.data]
    assert len(new) >= 3
    assert ['C' in x.flags for x in new] == [True] + [False] * (len(new) - 1)


def test_info_shows_what_was_agreed_and_seen():
    s = stack()
    p, sock = classic(s)
    info = sock.info()
    assert (info['ecn'], info['ecn_seen'], info['received_ce'], info['delivered_ce']) == (1, 0, 0, 0)
    p.send('A', b'a' * MSS, tos=CE)
    push(sock, 3 * MSS)
    p.segments()
    p.send('AE')
    info = sock.info()
    assert (info['ecn'], info['ecn_seen'], info['received_ce'], info['delivered_ce']) == (1, 1, 1, 3)


def test_a_segment_with_cwr_is_never_a_super_frame():
    s = stack(flags=('tso', 'tx_csum'))
    p, sock = classic(s)
    window = grown(s, p, sock, 40 * MSS)
    push(sock, window)
    out = [x for x in p.segments() if x.data]
    assert any(x.frame.gso for x in out)
    push(sock, 3 * window)
    p.send('AE')
    p.segments()
    found = []
    for _ in range(5):
        p.send('A')
        found += [x for x in p.segments() if x.data]
    marked = [x for x in found if 'C' in x.flags] + [x for x in out if 'C' in x.flags]
    assert all(not x.frame.gso for x in marked)
