# SPDX-License-Identifier: BSD-3-Clause
"""TCP: the User Timeout Option (RFC 5482), which is off unless a stack is told to use it."""
import errno

import pytest

from light import HANGUP, HOST, Stack
from peer import Peer, mss
from tcpkit import gone, state

UTO = 28


def uto(value, minutes=False):
    return bytes([UTO, 4]) + ((minutes << 15) | value).to_bytes(2, 'big')


def told(segment):
    """Seconds that the option of a segment says; None without it."""
    if UTO not in segment.options:
        return None
    assert len(segment.options[UTO]) == 2
    value = int.from_bytes(segment.options[UTO], 'big')
    assert value & 0x7fff, 'zero is reserved'
    return (value & 0x7fff) * (60 if value >> 15 else 1)


def stack(adv=200, **tcp):
    return Stack(tcp={'adv_uto': adv, **tcp})


def accepted(s, in_syn=b'', in_ack=b'', **fields):
    """(peer, socket, SYN-ACK)"""
    listener = s.listener()
    p = Peer(s, **fields)
    p.send('S', options=p.options_for('S') + in_syn)
    synack = p.one('SA')
    p.send('A', options=p.options_for('A') + in_ack)
    return p, listener.accept(), synack


def ends_after(p, sock, seconds):
    """That a byte which nobody acknowledges keeps the connection for so long."""
    s, start = p.stack, p.stack.now
    sock.send(b'x')
    s.until(start + seconds - 0.5)
    assert not sock.ready() & HANGUP and state(p) == 'ESTABLISHED'
    s.until(start + seconds + 1.5)
    assert sock.take_error() == errno.ETIMEDOUT and gone(p)


# covers: 5482-3.3-format
@pytest.mark.parametrize('adv, seconds, minutes', [
    (1, 1, 0), (200, 200, 0), (32767, 32767, 0), (32768, 547, 1), (32767 * 60, 32767, 1), (40000 * 60, 32767, 1), (0.2, 1, 0)])
def test_seconds_or_minutes_in_fifteen_bits(adv, seconds, minutes):
    s = stack(adv)
    p, _, synack = accepted(s)
    assert synack.options[UTO] == (minutes << 15 | seconds).to_bytes(2, 'big')


# covers: 5482-3.3-format
@pytest.mark.parametrize('option, lives', [
    (uto(500), 500), (uto(9, minutes=True), 540), (uto(0), 200), (uto(0, minutes=True), 200),
    (b'\x1c\3\5', 200), (b'\x1c\5\1\xf4\0', 200), (b'\x1c\2', 200)])
def test_what_is_received_is_understood(option, lives):
    """Zero and wrong lengths are as if there was none, and the options before it hold."""
    p, sock, _ = accepted(stack(200), in_syn=option)
    ends_after(p, sock, lives)


# covers: 5482-3.1-formula
@pytest.mark.parametrize('adv, remote, adopted', [
    (200, 300, 300), (300, 200, 300), (120, 50, 120), (20, 30, 100), (200, 32767, 3600), (5000, 200, 3600), (200, None, 200)])
def test_the_larger_of_both_within_the_limits(adv, remote, adopted):
    p, sock, _ = accepted(stack(adv), in_syn=b'' if remote is None else uto(remote))
    ends_after(p, sock, adopted)


# covers: 5482-3.1-formula
def test_the_last_one_received_holds():
    s = stack(200)
    p, sock, _ = accepted(s, in_syn=uto(1000))
    p.send('PA', b'data', options=uto(700))
    p.send('A', options=uto(400))
    s.run(1)
    p.segments()
    ends_after(p, sock, 400)


# covers: 5482-3.1-formula
def test_only_from_an_acceptable_segment():
    s = stack(200)
    p, sock, _ = accepted(s)
    p.send('A', seq=p.seq + 70000, options=uto(900))
    p.send('A', ack=p.ack + 1000, options=uto(900))
    s.run(1)
    p.segments()
    ends_after(p, sock, 200)


# covers: 5482-3.1-formula
def test_as_a_client():
    s = stack(200)
    p = Peer(s, port=7000)
    sock = s.stream().connect(HOST, 7000)
    p.receive_syn()
    p.send('SA', options=mss(1460) + uto(600))
    p.one('A')
    ends_after(p, sock, 600)


# covers: 5482-3.1-limits
@pytest.mark.parametrize('remote, adopted', [(30, 250), (300, 300), (1000, 400)])
def test_limits_are_settings(remote, adopted):
    p, sock, _ = accepted(stack(200, uto_lower=250, uto_upper=400), in_syn=uto(remote))
    ends_after(p, sock, adopted)


# covers: 5482-3.1-limits
def test_never_below_the_retransmission_timeout():
    """What is sent again is given the time to be answered, and neither limit is heeded for that."""
    p, sock, _ = accepted(stack(1, uto_lower=2, uto_upper=60, rto_min=90))
    s, start = p.stack, p.stack.now
    sock.send(b'x')
    s.until(start + 91)
    assert state(p) == 'ESTABLISHED' and [f.data for f in p.segments()] == [b'x'] * 2
    s.until(start + 120.5)                   # twice the RTO, and no more than 120 s
    assert state(p) == 'ESTABLISHED'
    s.until(start + 122)
    assert gone(p)


# covers: 5482-3-send
def test_a_client_tells_in_the_syn_and_once_more():
    s = stack(300)
    p = Peer(s, port=7000)
    sock = s.stream().connect(HOST, 7000)
    assert told(p.receive_syn()) == 300
    p.send('SA')
    assert told(p.one('A')) == 300
    sock.send(b'data')
    assert told(p.one('PA')) is None


# covers: 5482-3-send
@pytest.mark.parametrize('size', [4, 1448, 1460, 20000])
@pytest.mark.parametrize('stamps', [False, True])
def test_a_server_tells_in_the_syn_ack_and_once_more(size, stamps):
    """Of full segments the first is shorter by the option: no packet is longer than the path takes."""
    s = stack(300)
    p, sock, synack = accepted(s, timestamps=stamps)
    assert told(synack) == 300
    p.none()
    data = bytes(i & 255 for i in range(size))
    sock.send(data)
    first, *rest = p.segments()
    assert told(first) == 300
    for _ in range(20):
        assert all(told(f) is None for f in rest)
        assert all(len(f.ip) <= 1500 for f in [first] + rest)
        if len(p.got) == size:
            break
        p.send('A')
        rest = p.segments()
    assert p.got == data


# covers: 5482-3-send
def test_the_next_segment_after_a_change():
    s = stack(300)
    p, sock, _ = accepted(s)
    sock.send(b'one')
    assert told(p.one('PA')) == 300
    p.send('A')
    sock.set('USER_TIMEOUT', 20500)
    p.none()                                 # nothing is sent for it alone
    p.send('PA', b'hello')
    s.run(0.2)
    assert told(p.one('A')) == 21            # rounded up
    sock.send(b'two')
    assert told(p.one('PA')) is None
    p.send('A')
    sock.set('USER_TIMEOUT', 0)
    sock.send(b'three')
    assert told(p.one('PA')) == 300


# covers: 5482-3.1-app
def test_what_the_program_set_holds():
    s = stack(300)
    listener = s.listener()
    listener.set('USER_TIMEOUT', 20000)
    p = Peer(s)
    p.send('S', options=mss(1460) + uto(600))
    assert told(p.one('SA')) == 20
    p.send('A', options=uto(700))
    sock = listener.accept()
    assert sock.get('USER_TIMEOUT') == 20000
    ends_after(p, sock, 20)


# covers: 5482-3-send
def test_a_full_header_goes_without_and_the_next_one_with():
    """Timestamps and three blocks of SACK take all 40 bytes."""
    s = stack(300)
    p, sock, _ = accepted(s, timestamps=True, sack=True)
    for i in range(3):
        p.send('A', b'x' * 10, seq=p.seq + 100 * (i + 1), options=p.options_for('A'))
    seen = p.segments()
    assert [told(f) for f in seen] == [300, None, None]
    sock.set('USER_TIMEOUT', 50000)
    p.send('A', b'x' * 10, seq=p.seq + 1000, options=p.options_for('A'))
    full = p.one('A')
    assert len(full.sack) == 3 and told(full) is None
    p.send('A', b'x' * 2000)
    s.run(0.3)
    assert [told(f) for f in p.segments()][:1] == [50]


def test_a_syn_goes_without_in_the_end():
    s = stack(300)
    p = Peer(s, port=7000)
    s.stream().connect(HOST, 7000)
    syns = [p.receive_syn()]
    s.run(20)
    syns += p.segments()
    assert len(syns) >= 4 and [told(f) for f in syns[:4]] == [300, 300, None, None]


def test_a_retransmission_carries_it_once_more():
    s = stack(300)
    p, sock, _ = accepted(s)
    sock.send(b'lost')
    s.run(5)
    assert [told(f) for f in p.segments()[:5]].count(300) == 2


# A keep-alive ends nothing earlier than the user timeout would (RFC 5482 4.2).
def test_keep_alive_waits_for_the_user_timeout():
    s = stack(300)
    p, sock, _ = accepted(s)
    for option, value in (('KEEP_IDLE', 10), ('KEEP_INTERVAL', 1), ('KEEP_COUNT', 3)):
        sock.set(option, value)
    sock.set('KEEPALIVE', 1)
    s.run(299)
    assert state(p) == 'ESTABLISHED' and len(p.segments()) > 280
    s.run(3)
    assert gone(p) and sock.take_error() == errno.ETIMEDOUT


def test_nobody_keeps_what_its_program_has_closed_for_the_peer():
    """RFC 5482 5: else every client could make a server hold its dead connections for an hour."""
    s = Stack(tcp={'adv_uto': 300, 'orphan_retries': 3})
    p, sock, _ = accepted(s, in_syn=uto(3000))
    sock.send(b'unanswered')
    sock.close()
    s.run(20)
    assert gone(p)


# covers: 5482-3-unsupported
def test_off_by_default():
    s = Stack()
    p, sock, synack = accepted(s, in_syn=uto(100), in_ack=uto(100))
    sock.send(b'data')
    assert told(synack) is None and told(p.one('PA')) is None
    sock.set('USER_TIMEOUT', 20000)
    p.send('A')
    sock.send(b'data')
    assert told(p.one('PA')) is None
