# SPDX-License-Identifier: BSD-3-Clause
"""TCP: resets and forgeries. RFC 9293 3.5.3, 3.10.7.4; RFC 5961."""
import errno

import pytest

from light import ERROR, HANGUP, Stack, errno_of
from peer import Peer, established
from tcpkit import acked, available, gone, in_state, no_connection, pattern, state

SYNCHRONISED = ('ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT', 'CLOSING', 'LAST_ACK')


def window_of(p):
    """The bytes that the stack's window has open beyond p.seq (no scaling)."""
    keep = p.ack
    p.segments()
    p.ack = keep
    p.send('A', seq=p.seq - 1)              # draws an ACK
    return p.one('A', ack=p.seq).window


# covers: MUST-12
def test_fin_and_rst_are_told_apart():
    s = Stack()
    p, sock = established(s)
    p.send('FPA', b'goodbye')
    assert sock.recv() == b'goodbye'
    assert sock.recv() == b'' and sock.take_error() == 0
    q, other = established(s, port=90)
    q.send('R')
    assert other.ready() & ERROR and other.ready() & HANGUP
    assert errno_of(other.recv) == errno.ECONNRESET


# covers: 9293-3.5.3-rst-states
@pytest.mark.parametrize('name', ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT'])
def test_reset_in_synchronised_states(name):
    s = Stack()
    p, sock = in_state(name, s, window=100)
    if name in ('ESTABLISHED', 'CLOSE_WAIT'):
        sock.send(pattern(5000))            # most of it must wait, and then never leaves
    p.segments()
    p.send('R')
    p.none()
    assert sock.ready() & HANGUP and sock.ready() & ERROR
    # After the peer's FIN only our writing fails: EPIPE, as on Linux (sock-send-rst-errors).
    assert errno_of(sock.recv) == (errno.EPIPE if name == 'CLOSE_WAIT' else errno.ECONNRESET)
    assert errno_of(sock.send, b'x') == errno.EPIPE
    s.run(300)
    p.none()
    assert gone(p)
    p.listener.close()
    assert no_connection(p)


# covers: 9293-3.5.3-rst-states
@pytest.mark.parametrize('name', ['CLOSING', 'LAST_ACK'])
def test_reset_when_both_have_closed(name):
    s = Stack()
    p, sock = in_state(name, s)
    p.segments()
    p.send('R')
    p.none()
    assert gone(p) and s.memory()['time_wait'] == 0
    s.run(300)
    p.none()


# covers: 5961-3.2-exact 5961-3.2-outside 5961-3.2-challenge
@pytest.mark.parametrize('name', SYNCHRONISED)
def test_only_the_exact_reset_counts(name):
    s = Stack()
    p, sock = in_state(name, s)
    nxt = p.ack
    if name in ('FIN_WAIT_1', 'CLOSING', 'LAST_ACK'):
        p.ack = p.fin.seq                   # to acknowledge the FIN would leave the state
    s.run(10)
    window = window_of(p)
    assert window > 1000
    p.segments()
    for outside in (p.seq - 1, p.seq + window, p.seq - 1000, p.seq + 0x80000000):
        p.send('R', seq=outside)
        p.none()
        assert state(p) == name
    for inside in (p.seq + 1, p.seq + window - 1):
        s.run(6)
        p.segments()
        p.send('R', seq=inside)
        p.one('A', seq=nxt, ack=p.seq, data=b'')
        assert state(p) == name
    p.send('R')
    assert gone(p)


# covers: 5961-3.2-exact
def test_only_the_exact_reset_ends_time_wait():
    s = Stack()
    p, sock = in_state('TIME_WAIT', s)
    sock.close()
    for wrong in (p.seq - 1, p.seq + 1, p.seq + 1000, p.seq + 0x80000000):
        p.send('R', seq=wrong)
        assert s.memory()['time_wait'] == 1


# covers: 5961-3.2-second
def test_a_genuine_reset_completes_by_the_challenge():
    s = Stack()
    p, sock = established(s)
    p.send('R', seq=p.seq + 100)
    challenge = p.one('A')
    p.send('R', seq=challenge.ack)
    assert gone(p) and errno_of(sock.recv) == errno.ECONNRESET


# covers: 5961-4.2-syn
@pytest.mark.parametrize('name', SYNCHRONISED)
def test_a_syn_is_challenged(name):
    s = Stack()
    p, sock = in_state(name, s)
    for seq in (p.seq, p.seq + 100, p.seq - 100, p.seq + 0x70000000, p.isn):
        for flags in ('S', 'SA'):
            s.run(6)
            p.segments()
            p.send(flags, seq=seq)
            p.one('A', seq=p.ack, ack=p.seq, data=b'')
            assert state(p) == name


# covers: 5961-4.2-restart
def test_a_peer_that_restarted_gets_through():
    s = Stack()
    p, sock = established(s)
    again = Peer(s, isn=p.seq + 5000)
    again.send('S')
    challenge = p.one('A', ack=p.seq)
    again.send('R', seq=challenge.ack)
    assert errno_of(sock.recv) == errno.ECONNRESET
    again.seq = again.isn
    again.connect()
    child = p.listener.accept()
    again.send('PA', b'hello again')
    assert child.recv() == b'hello again'


# covers: 5961-5.2-low 5961-5.2-high MAY-12 9293-3.10.7-ackfuture
def test_the_range_of_acceptable_acks():
    s = Stack()
    p, sock = established(s, window=5000)
    for _ in range(10):
        sock.send(b'z' * 1000)
        p.segments()
        p.send('A')
    una = p.ack
    s.run(6)
    p.segments()
    for wrong in (una - 5001, una + 1, una + 0x7fffffff, una - 0x40000000):
        s.run(6)
        p.send('PA', b'evil', seq=p.seq, ack=wrong)
        p.one('A', seq=una, ack=p.seq, data=b'')
        assert errno_of(sock.recv) == errno.EAGAIN
    p.send('PA', b'good', ack=una - 5000)
    assert acked(p) == p.seq and sock.recv() == b'good'
    # Something in flight: SND.NXT itself is right, one more is not.
    sock.send(b'y' * 100)
    sent = p.one('A')
    s.run(0.01)
    p.send('PA', b'evil', seq=p.seq, ack=sent.end + 1)
    p.one('A', ack=p.seq)
    assert sock.info()['send_queued'] == 100 and errno_of(sock.recv) == errno.EAGAIN
    p.send('PA', b'fine', ack=sent.end)
    assert sock.info()['send_queued'] == 0 and sock.recv() == b'fine'


# covers: 5961-5.2-fin
@pytest.mark.parametrize('ack', [1, 100000, -200000])
def test_a_forged_fin_is_rejected(ack):
    s = Stack()
    p, sock = established(s)
    p.send('FA', seq=p.seq, ack=p.ack + ack)
    s.run(1)
    assert state(p) == 'ESTABLISHED' and errno_of(sock.recv) == errno.EAGAIN
    p.segments()
    p.send('PA', b'data')
    assert sock.recv() == b'data'


# covers: 5961-7-throttle
def test_challenges_are_throttled():
    s = Stack()
    p, sock = established(s)
    s.run(10)
    p.segments()
    for _ in range(10):
        p.burst(*[p.build('R', seq=p.seq + 1 + i) for i in range(100)])
        s.run(0.1)
    assert 1 <= len(p.segments()) <= 10
    for i in range(5):
        p.send('PA', b'data %d' % i)
        assert acked(p) == p.seq
    assert available(sock) == b'data 0data 1data 2data 3data 4'
