# SPDX-License-Identifier: BSD-3-Clause
"""TCP with accurate ECN: handshake, counters, feedback. RFC 9768."""
import pytest

from ecnkit import CE, ECT0, ECT1, MSS, NOT_ECT, accurate, push, stack
from peer import Peer, Segment
from tcpkit import quiet_segments

CODES = {NOT_ECT: 2, ECT1: 3, ECT0: 4, CE: 6}


def asked(s, ace=2, tos=NOT_ECT, port=80, **peer):
    """The stack opens with an AccECN SYN, answered by a SYN-ACK with `ace`: (peer, socket, its ACK)."""
    p = Peer(s, port=port, mss=MSS, **peer)
    sock = s.stream().connect(p.addr, port)
    p.receive_syn(None, ace=7, ecn=NOT_ECT)
    p.send('SA', ace=ace, tos=tos)
    found = p.segments()
    return p, sock, found[-1] if found else None


def counters(segment):
    """(e0b, ceb, e1b) of the option; None where they are left out."""
    for kind, order in ((172, (0, 1, 2)), (174, (2, 1, 0))):
        if kind in segment.options:
            body = segment.options[kind]
            found = [None] * 3
            for i in range(len(body) // 3):
                found[order[i]] = int.from_bytes(body[3 * i:3 * i + 3], 'big')
            return tuple(found)
    return None


def option(*fields, kind=172, extra=b''):
    body = b''.join(n.to_bytes(3, 'big') for n in fields) + extra
    return bytes((kind, 2 + len(body))) + body


# ---- handshake

# covers: 9768-3.1.1-syn
def test_a_client_asks_with_all_three_bits():
    s = stack('accurate')
    p = Peer(s, port=80)
    sock = s.stream().connect(p.addr, 80)
    p.receive_syn(None, ace=7, ecn=NOT_ECT)
    assert sock.info()['ecn'] == 0               # no mode yet


# covers: 9768-3.1.1-synack
@pytest.mark.parametrize('tos', [NOT_ECT, ECT1, ECT0, CE])
@pytest.mark.parametrize('setting', ['accurate', 'accurate-passive'])
def test_the_syn_ack_tells_how_the_syn_came(setting, tos):
    s = stack(setting)
    p, sock = accurate(s, tos=tos)
    assert p.synack.ace == CODES[tos] and p.synack.ecn == NOT_ECT
    assert sock.info()['ecn'] == 2


# covers: 9768-3.1.2-classic
@pytest.mark.parametrize('ace, mode', [(1, 1), (0, 0), (7, 0)])
def test_a_client_falls_back(ace, mode):
    s = stack('accurate')
    p, sock, ack = asked(s, ace=ace)
    assert ack.ace == 0 and sock.info()['ecn'] == mode
    sock.send(b'data')
    assert p.one(None, data=b'data').ecn == (ECT0 if mode else NOT_ECT)
    p.send('A', b'x' * MSS, tos=CE)
    assert quiet_segments(p)[-1].ace == (1 if mode else 0)


# covers: 9768-3.1.2-server
@pytest.mark.parametrize('syn, answer, mode', [(3, 1, 1), (0, 0, 0)])
def test_a_server_falls_back(syn, answer, mode):
    s = stack('accurate-passive')
    listener = s.listener(80)
    p = Peer(s, mss=MSS)
    p.send('S', ace=syn)
    assert p.segments()[0].ace == answer
    p.send('A')
    assert listener.accept().info()['ecn'] == mode


# covers: 3168-6.1.1-synack
def test_a_server_that_knows_classic_ecn_only_answers_an_accecn_syn_with_it():
    s = stack('passive')
    s.listener(80)
    p = Peer(s, mss=MSS)
    p.send('S', ace=7)
    assert p.segments()[0].ace == 1


# covers: 9768-3.1.3-fwd
@pytest.mark.parametrize('syn', [1, 2, 4, 5, 6])
def test_other_syns_are_taken_for_accecn(syn):
    s = stack('accurate-passive')
    s.listener(80)
    p = Peer(s, mss=MSS)
    p.send('S', ace=syn, tos=ECT0)
    assert p.segments()[0].ace == CODES[ECT0]


# covers: 9768-3.1.3-fwd
def test_a_syn_ack_of_the_nonce_is_taken_for_accecn():
    s = stack('accurate')
    p, sock, ack = asked(s, ace=5)
    assert sock.info()['ecn'] == 2
    sock.send(b'data')
    assert p.one(None, data=b'data').ecn == ECT0      # its field came unchanged


# covers: 9768-3.1.4-retx
def test_the_second_syn_asks_again_and_the_third_does_not():
    s = stack('accurate')
    p = Peer(s, port=80)
    s.stream().connect(p.addr, 80)
    s.run(8)
    found = syns(s)
    assert [x.ace for x in found][:3] == [7, 7, 0]
    assert len({x.seq for x in found}) == 1


def syns(s):
    return [Segment(f) for f in s.sent(where=lambda f: f.raw[12:14] == b'\x08\x00' and f.raw[23] == 6)]


# covers: 9768-3.1.5-noswitch
@pytest.mark.parametrize('again', [0, 7])
def test_another_syn_does_not_change_the_mode(again):
    s = stack('accurate-passive')
    p, sock = accurate(s)
    p.send('S', seq=p.isn, ace=again)
    quiet_segments(p)
    assert sock.info()['ecn'] == 2
    p.send('A', b'x' * MSS, tos=CE)
    assert quiet_segments(p)[-1].ace == 6


# covers: 9768-3.1.5-rst
@pytest.mark.parametrize('first, then', [(7, 3), (3, 7)])
def test_a_server_resets_who_asks_for_both(first, then):
    s = stack('accurate-passive')
    s.listener(80)
    p = Peer(s, mss=MSS)
    p.send('S', ace=first)
    p.segments()
    p.send('S', seq=p.isn, ace=then)
    assert 'R' in p.one().flags
    assert p.state() == 'CLOSED'


# covers: 9768-3.1.5-rst
@pytest.mark.parametrize('first, then', [(2, 1), (1, 2)])
def test_a_client_resets_who_answers_both(first, then):
    s = stack('accurate')
    p, sock, _ = asked(s, ace=first)
    p.send('SA', seq=p.isn, ace=then)
    assert 'R' in p.one().flags and p.state() == 'CLOSED'


# covers: 9768-3.1.5-srvnoect
def test_a_server_that_saw_a_plain_syn_sets_no_ect_but_gives_feedback():
    s = stack('accurate-passive')
    listener = s.listener(80)
    p = Peer(s, mss=MSS)
    p.send('S', ace=7)
    p.segments()
    p.send('S', seq=p.isn, ace=0)
    assert p.one().ace == CODES[NOT_ECT]
    p.send('A', ace=2)
    sock = listener.accept()
    sock.send(b'data')
    assert p.one(None, data=b'data').ecn == NOT_ECT
    p.send('A', b'x' * MSS, tos=CE)
    assert quiet_segments(p)[-1].ace == 6


# covers: 9768-3.2.3.2-retx 9768-3.1.5-srvnoect
def test_syn_acks_again_are_without_the_option_then_without_bits():
    s = stack('accurate-passive')
    listener = s.listener(80)
    p = Peer(s, mss=MSS, timestamps=True, sack=True, wscale=7)
    p.send('S', ace=7)
    first = p.segments()[0]
    assert first.ace == 2 and counters(first) == (1, 0, 1)
    s.run(1.5)
    second = p.one()
    assert second.ace == 2 and counters(second) is None
    s.run(2)
    assert p.one().ace == 0
    p.send('A', ace=2)
    sock = listener.accept()
    assert sock.info()['ecn'] == 2 and sock.info()['ecn_mute'] == 1
    p.send('A', b'x' * MSS, tos=CE)
    assert quiet_segments(p)[-1].ace == 6


# ---- counters

# covers: 9768-3.2-cep 9768-3.2.2-ace 9768-3.1.5-nocwr
@pytest.mark.parametrize('side', ['passive', 'active'])
def test_ace_counts_packets_with_ce(side):
    s = stack('accurate')
    p, sock = accurate(s) if side == 'passive' else asked(s)[:2]
    expected = 5
    for tos, flags, data in [(ECT0, 'A', b'x' * MSS), (CE, 'A', b'x' * MSS), (CE, 'A', b'y'), (NOT_ECT, 'A', b'x' * MSS),
                             (CE, 'A', b''), (CE, 'A', b'x' * MSS), (CE, 'A', b'x' * MSS)]:
        p.send(flags, data, tos=tos, ace=5)
        expected += tos == CE
        quiet_segments(p)
        sock.send(b'now')                          # data carries it as well
        assert p.one(None, data=b'now').ace == expected % 8
    assert expected == 10
    assert sock.info()['received_ce'] == 5


# covers: 9768-3.2-cep
def test_ce_on_the_syn_and_out_of_the_window_does_not_count():
    s = stack('accurate')
    p, sock = accurate(s, tos=CE)
    p.send('A', b'x' * MSS, seq=p.seq + 50_000_000, tos=CE, ace=5)
    sock.send(b'now')
    assert [x.ace for x in p.segments()][-1] == 5


# covers: 9768-3.2.2-ace
def test_three_marks_from_the_start_give_zero():
    s = stack('accurate')
    p, sock = accurate(s)
    for _ in range(3):
        p.send('A', b'x' * MSS, tos=CE, ace=5)
    assert quiet_segments(p)[-1].ace == 0


# covers: 9768-3.2-bytes 9768-3.2.3-opt
def test_bytes_are_counted_by_field():
    s = stack('accurate')
    p, sock = accurate(s)
    p.send('A', b'x' * 700, tos=ECT0, ace=5)
    assert counters(quiet_segments(p)[-1]) == (701, None, None)
    p.send('A', b'x' * 300, tos=CE, ace=5)
    assert counters(quiet_segments(p)[-1]) == (701, 300, None)
    p.send('A', b'x' * 50, tos=ECT1, ace=5)
    assert counters(quiet_segments(p)[-1]) == (701, 300, 51)
    p.send('A', b'x' * 50, tos=NOT_ECT, ace=5)
    sock.send(b'now')
    info = sock.info()
    assert info['received_bytes'] == [700, 300, 50]


# covers: 9768-3.2.3-opt
def test_a_sender_of_ect_1_is_told_in_the_other_order():
    s = stack('accurate')
    p, sock = accurate(s)
    p.send('A', b'x' * 700, tos=ECT1, ace=5)
    x = quiet_segments(p)[-1]
    assert 174 in x.options and counters(x) == (None, None, 701)


# covers: 9768-3.2.3-opt
@pytest.mark.parametrize('opt, expected', [
    (option(1001, 2000, 1), [1000, 2000, 0]), (option(1, 2000, 1001, kind=174), [1000, 2000, 0]), (option(1001, 2000), [1000, 2000, 0]),
    (option(1001), [1000, 0, 0]), (option(), [0, 0, 0]), (option(1001, 2000, extra=b'\7\7'), [1000, 2000, 0]),
    (option(1001, 2000, 1, 5), [1000, 2000, 0])])
def test_options_of_any_length_are_read(opt, expected):
    s = stack('accurate')
    p, sock = accurate(s)
    push(sock, 3 * MSS)
    found = p.segments()
    p.send('A', ack=found[-1].end, ace=7, options=opt)
    assert sock.info()['delivered_bytes'] == expected


# covers: 9768-3.2.3.2-nosyn
def test_no_option_on_a_syn_and_none_believed_there():
    s = stack('accurate')
    p = Peer(s, port=80)
    s.stream().connect(p.addr, 80)
    assert counters(p.receive_syn(None)) is None
    listener = s.listener(81)
    q = Peer(s, stack_port=81, port=40001, mss=MSS)
    q.send('S', ace=7, options=q.syn_options() + option(777, 888, 999))
    q.segments()
    q.send('A', ace=2)
    assert listener.accept().info()['delivered_bytes'] == [0, 0, 0]


# covers: 9768-3.2.3.3-sack
@pytest.mark.parametrize('stamped', [False, True])
def test_sack_comes_before_the_option(stamped):
    s = stack('accurate')
    p, sock = accurate(s, sack=True, timestamps=stamped)
    base = p.seq
    for k in range(1, 7):
        p.send('A', b'x' * 100, seq=base + 200 * k, tos=(ECT0, CE, ECT1)[k % 3], ace=5)
        x = p.segments()[-1]
        assert len(x.sack) >= min(k, 2)
    assert len(x.sack) >= 2 and (not stamped or counters(x) is None)


# covers: 9768-3.1.1-dsack
def test_duplicates_are_reported():
    s = stack('accurate')
    p, sock = accurate(s, sack=True)
    p.send('A', b'x' * 100, ace=5)
    quiet_segments(p)
    p.send('A', b'x' * 100, seq=p.seq - 100, ace=5)
    assert quiet_segments(p)[-1].sack == [((p.seq - 100) % 2**32, p.seq % 2**32)]


# ---- the ACK of the SYN-ACK

# covers: 9768-3.2.2.1-hs
@pytest.mark.parametrize('tos', [NOT_ECT, ECT1, ECT0, CE])
def test_the_ack_of_the_syn_ack_tells_how_it_came(tos):
    s = stack('accurate')
    p, sock, ack = asked(s, tos=tos)
    assert ack.flags.strip('EC') == 'A' and not ack.data and ack.ace == CODES[tos]
    p.send('A', b'x' * MSS, tos=ECT0, ace=5)
    assert quiet_segments(p)[-1].ace == (6 if tos == CE else 5)


# covers: 9768-3.2.2.1-srv 9768-3.2.2.3-mangle
@pytest.mark.parametrize('ace, ect, deaf', [(0, False, True), (1, True, False), (2, True, False), (5, True, False), (7, True, False),
                                             (3, False, False), (4, False, False), (6, False, False)])
def test_a_server_reads_the_ack_of_its_syn_ack(ace, ect, deaf):
    s = stack('accurate')
    p, sock = accurate(s, ack=ace)
    push(sock, 6 * MSS)
    found = [x for x in p.segments() if x.data]
    assert {x.ecn for x in found} == {ECT0 if ect else NOT_ECT}
    p.send('A', ack=found[1].end, ace=6 if ace == 6 else 5)       # no mark more
    assert sock.info()['delivered_ce'] == 0
    p.send('A', ack=found[3].end, ace=7)
    assert sock.info()['delivered_ce'] == (0 if deaf else 1 if ace == 6 else 2)
    p.send('A', b'x' * MSS, tos=CE, ace=7)                          # it still gives feedback
    assert quiet_segments(p)[-1].ace == 6


# covers: 9768-3.2.2.3-mangle
@pytest.mark.parametrize('ace, ect', [(2, True), (5, True), (3, False), (4, False), (6, False)])
def test_a_client_sets_no_ect_where_its_syn_was_changed(ace, ect):
    s = stack('accurate')
    p, sock, _ = asked(s, ace=ace)
    sock.send(b'data')
    assert p.one(None, data=b'data').ecn == (ECT0 if ect else NOT_ECT)
    p.send('A', b'x' * MSS, tos=CE, ace=5)
    assert quiet_segments(p)[-1].ace == 6


# ---- what follows from feedback

# covers: 9768-3.2.2.2-decode
@pytest.mark.parametrize('sack', [False, True])
def test_ace_advances_modulo_eight(sack):
    s = stack('accurate')
    p, sock = accurate(s, sack=sack)
    ace = 5
    for marks in (1, 0, 3, 7, 2, 0, 5, 6):
        push(sock, MSS)
        x = [y for y in p.segments() if y.data][-1]
        s.run(0.01)
        ace = (ace + marks) % 8
        before = sock.info()['delivered_ce']
        p.send('A', ack=x.end, ace=ace)
        assert sock.info()['delivered_ce'] - before == marks
        p.send('A', ack=x.end, ace=(ace + 3) % 8)     # brings nothing new: an old one perhaps
        assert sock.info()['delivered_ce'] - before == marks


# covers: 9768-3.2.2.5-safe
@pytest.mark.parametrize('ace, opt, expected', [
    (5, b'', 16), (7, b'', 10), (4, b'', 15),                    # eight or more may be hidden
    (5, option(1, 0, 1), 0), (7, option(1, 2000, 1), 2), (5, option(1, 3000, 1), 0)])
def test_an_ack_of_many_packets_is_taken_for_the_worst(ace, opt, expected):
    s = stack('accurate', initial_window=16, send_buffer_initial=65536)
    p, sock = accurate(s)
    push(sock, 16 * MSS)
    found = [x for x in p.segments() if x.data]
    assert len(found) >= 14
    p.send('A', ack=found[-1].end, ace=ace, options=opt)
    n = len(found)
    got = sock.info()['delivered_ce']
    least = (ace - 5) % 8
    assert got % 8 == least
    if not opt:
        assert n - 8 < got <= n
    else:
        assert got == expected


# covers: 9768-3.1.5-nocwr
def test_a_mark_reduces_the_window_once_a_round_trip_and_no_cwr_is_sent():
    s = stack('accurate')
    p, sock = accurate(s)
    ace = 5
    window = grown_accurate(s, p, sock, 20 * MSS)
    push(sock, window)
    found = [x for x in p.segments() if x.data]
    s.run(0.01)
    push(sock, 3 * window)
    new = []
    for x in found:
        ace = (ace + 1) % 8
        p.send('A', ack=x.end, ace=ace)
        new += [y for y in p.segments() if y.data]
    assert s.counter('TCP_ECN_REDUCED') == 1
    assert abs(sock.info()['ssthresh'] - window // 2) <= 2 * MSS
    assert new and all(x.ace == 5 for x in new)                    # r.cep, and nothing else


def grown_accurate(s, p, sock, window):
    while sock.info()['cwnd'] < window:
        push(sock, sock.info()['cwnd'])
        while True:
            new = [x for x in p.segments() if x.data]
            if not new:
                break
            s.run(0.01)
            for x in new:
                p.send('A', ack=x.end, ace=5)
    s.run(0.1)
    p.segments()
    return sock.info()['cwnd']


# ---- when it is told

# covers: 9768-3.2.2.5-change
def test_a_mark_after_none_is_acknowledged_at_once():
    s = stack('accurate', delayed_ack=0.2)
    p, sock = accurate(s)
    for _ in range(20):                          # out of the quick phase at the start
        p.send('A', b'x' * MSS, tos=ECT0, ace=5)
    quiet_segments(p)
    p.send('A', b'x' * MSS, tos=ECT0, ace=5)
    p.none()
    quiet_segments(p)
    p.send('A', b'x' * MSS, tos=CE, ace=5)
    assert p.one(None, ack=p.seq, ace=6)


# covers: 9768-3.2.2.5-incr
def test_marks_are_acknowledged_at_the_latest_after_two():
    s = stack('accurate', delayed_ack=0.2)
    p, sock = accurate(s)
    for _ in range(20):
        p.send('A', b'x' * MSS, tos=ECT0, ace=5)
    quiet_segments(p)
    seq, frames = p.seq, []
    for k in range(9):
        frames.append(p.build('A', b'x' * MSS, seq=seq + k * MSS, tos=CE, ace=5))
    p.burst(*frames)
    found = p.segments()
    steps = [5] + [x.ace for x in found]
    assert all((b - a) % 8 <= 2 for a, b in zip(steps, steps[1:]))
    assert sum((b - a) % 8 for a, b in zip(steps, steps[1:])) == 9


# covers: 9768-3.2.2.5-incr
def test_marks_on_acks_are_acknowledged_after_three():
    s = stack('accurate')
    p, sock = accurate(s)
    for _ in range(2):
        p.send('A', tos=CE, ace=5)
        p.none()
    p.send('A', tos=CE, ace=5)
    assert p.one(None, ace=0)


# covers: 9768-5.1-cookie
@pytest.mark.parametrize('ace, mode', [(0, 0), (1, 0), (2, 2), (3, 2), (4, 2), (5, 2), (6, 2), (7, 2)])
def test_a_cookie_that_comes_back_tells_of_accecn(ace, mode):
    s = stack('accurate-passive', syn_cookies=2)
    listener = s.listener(80)
    p = Peer(s, mss=MSS)
    p.send('S', ace=7)
    p.segments()
    p.send('A', ace=ace)
    assert listener.accept().info()['ecn'] == mode
