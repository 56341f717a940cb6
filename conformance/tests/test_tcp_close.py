# SPDX-License-Identifier: BSD-3-Clause
"""Closing: RFC 9293 3.6, 3.10.4 and 3.10.5, TIME-WAIT, RST in synchronised states (RFC 5961 3)."""
import errno

import pytest

from light import (ERROR, HANGUP, READ_CLOSED, READABLE, RELEASED, SHUT_WRITE, Stack, errno_of)
from peer import M32, Peer, established, opened, syn_sent


def drive(state, **settings):
    """A connection in this state: (stack, peer, socket). The socket is still open unless the state needs a
    close; what the stack sent on the way was taken."""
    s = Stack(**settings)
    if state == 'SYN_SENT':
        p, sock, _ = syn_sent(s)
        return s, p, sock
    if state == 'SYN_RECEIVED':
        sock = s.listener(80)
        p = Peer(s)
        p.send('S')
        p.one('SA')
        return s, p, sock
    p, sock = established(s)
    if state in ('CLOSE_WAIT', 'LAST_ACK'):
        p.send('FA')
        s.run(0.5)
        p.one('A', ack=p.seq)
    if state in ('FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSING', 'TIME_WAIT', 'LAST_ACK'):
        sock.shutdown(SHUT_WRITE)
        fin = p.one('FA')
        if state in ('FIN_WAIT_2', 'TIME_WAIT'):
            p.send('A')
        if state == 'TIME_WAIT':
            p.send('FA')
            p.one('A')
        if state == 'CLOSING':
            p.send('FA', ack=fin.seq)
            p.one('A')
    assert p.state() == state
    return s, p, sock


SYNCHRONISED = ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT', 'CLOSING', 'LAST_ACK', 'TIME_WAIT']


# covers: MUST-12
def test_the_program_tells_fin_from_rst():
    s = Stack()
    p, sock = established(s)
    p.send('A', b'last words')
    p.send('FA')
    assert s.events_of(sock) & READ_CLOSED
    assert sock.recv() == b'last words'
    assert sock.recv() == b'' and sock.recv() == b''
    q, other = established(s, port=81)
    q.send('A', b'never read')
    q.send('R')
    assert s.events_of(other) & ERROR
    assert errno_of(other.recv) == errno.ECONNRESET


# covers: MUST-13 linux-timewait 9293-3.6-timewait-fin
@pytest.mark.parametrize('profile,msl', [('linux', 30), ('standard', 120), ('linux', 5)])
def test_time_wait_lasts_two_msl(profile, msl):
    s, p, sock = drive('TIME_WAIT', profile=profile, tcp={'msl': msl})
    start = s.now
    sock.close()
    s.until(start + 2 * msl - 0.1)
    p.send('FA', seq=p.seq - 1)
    p.one('A', ack=p.seq)                            # which starts the time anew
    s.run(2 * msl - 0.1)
    assert p.state() == 'TIME_WAIT'
    s.run(0.2)
    assert p.state() == 'CLOSED'
    p.send('FA', seq=p.seq - 1)
    p.one('R')
    assert s.memory()['time_wait'] == 0


# covers: linux-timewait
def test_time_wait_of_linux_is_a_minute():
    s, p, sock = drive('TIME_WAIT')
    sock.close()
    s.run(59.9)
    assert s.memory()['time_wait'] == 1
    s.run(0.2)
    assert s.memory()['time_wait'] == 0


# covers: 9293-3.6-fw1
@pytest.mark.parametrize('how', ['ack', 'fin', 'fin with ack'])
def test_fin_wait_1(how):
    s, p, sock = drive('FIN_WAIT_1')
    fin_seq = p.ack - 1 & M32
    if how == 'ack':
        p.send('A')
        assert p.state() == 'FIN_WAIT_2'
        p.none()
    elif how == 'fin':
        p.send('FA', ack=fin_seq)
        p.one('A', ack=p.seq)
        assert p.state() == 'CLOSING'
    else:
        p.send('FA')
        p.one('A', ack=p.seq)
        assert p.state() == 'TIME_WAIT'


# covers: 9293-3.6-fw2
def test_fin_wait_2_receives():
    s, p, sock = drive('FIN_WAIT_2')
    p.send('A', b'still ')
    p.send('A', b'coming')
    assert sock.recv() == b'still coming'
    s.run(0.5)
    assert p.segments()[-1].ack == p.seq
    p.send('FA')
    p.one('A', ack=p.seq)
    assert p.state() == 'TIME_WAIT' and sock.recv() == b''


# covers: 9293-3.6-closing
def test_simultaneous_close():
    s, p, sock = drive('CLOSING')
    p.send('A')
    assert p.state() == 'TIME_WAIT'
    p.none()


# covers: 9293-3.6-lastack
def test_last_ack_ends_on_the_ack():
    s, p, sock = drive('LAST_ACK')
    sock.close()
    p.send('A')
    assert p.state() == 'CLOSED' and s.events_of(sock) & RELEASED
    p.none()
    p.send('A', b'late', seq=p.seq)
    p.one('R')


# covers: 9293-3.6-closewait
def test_close_wait_keeps_sending():
    s, p, sock = drive('CLOSE_WAIT')
    for _ in range(5):
        s.run(1000)
        sock.send(b'x' * 3000)
        assert sum(len(x.data) for x in p.segments()) == 3000
        p.send('A')
    sock.send(b'the end')
    sock.close()
    last = p.segments()
    assert b''.join(x.data for x in last) == b'the end' and 'F' in last[-1].flags
    p.send('A')
    assert p.state() == 'CLOSED'


# covers: 9293-3.6-closewait
def test_fin_follows_all_queued_data():
    s = Stack()
    p, sock = established(s, window=2000)
    data = bytes(range(256)) * 64
    sock.send(data)
    sock.close()
    for _ in range(40):
        p.segments()
        p.send('A')
    assert p.got == data
    assert p.state() == 'FIN_WAIT_2'


# covers: 9293-3.6-finretx
def test_a_fin_is_retransmitted():
    s = Stack()
    p, sock = established(s)
    sock.send(b'last')
    sock.shutdown(SHUT_WRITE)
    first = p.segments()
    assert 'F' in first[-1].flags
    s.run(20)
    again = [x for x in p.segments()]
    fins = [x for x in again if 'F' in x.flags]
    assert len(fins) >= 3
    gaps = [b.time - a.time for a, b in zip(again, again[1:])]
    assert all(b == pytest.approx(2 * a, abs=0.003) for a, b in zip(gaps, gaps[1:]))
    assert all(x.end == first[-1].end for x in fins)
    p.send('A')
    assert p.state() == 'FIN_WAIT_2'
    s.run(10)
    p.none()


# covers: 9293-3.6-fin-ooo
def test_a_fin_above_a_gap_waits():
    s = Stack()
    p, sock = established(s)
    p.send('FA', b'world', seq=p.seq + 6)
    assert not s.events_of(sock) & (READABLE | READ_CLOSED) and p.state() == 'ESTABLISHED'
    assert p.one('A').ack == p.seq
    p.send('A', b'hello ')
    assert p.one('A').ack == p.seq + 6
    assert p.state() == 'CLOSE_WAIT'
    assert sock.recv() == b'hello world' and sock.recv() == b''


# covers: 9293-3.6-close-listen
def test_closing_a_listener():
    s = Stack()
    listener = s.listener(80)
    done, embryo = Peer(s, port=40000), Peer(s, port=40001)
    done.connect()
    embryo.send('S')
    embryo.one('SA')
    listener.close()
    assert 'R' in done.one().flags
    assert s.memory()['half_open'] == 0 and s.memory()['connections'] == 0
    embryo.segments()
    s.run(10)
    embryo.none()
    for p in (Peer(s, port=40002), embryo):
        p.send('S', seq=p.isn)
        p.one('RA')


# covers: SHLD-3
def test_close_with_unread_data_resets():
    s = Stack()
    p, sock = established(s)
    p.send('A', b'unread')
    p.segments()
    sock.close()
    assert 'R' in p.segments()[-1].flags
    assert p.state() == 'CLOSED'
    q, other = established(s, port=81)               # data after a full close
    other.close()
    q.one('FA')
    q.send('A')
    q.send('A', b'too late')
    assert 'R' in q.segments()[-1].flags


# covers: MAY-1
def test_close_ends_reading_and_shutdown_does_not():
    s = Stack()
    p, sock = established(s)
    sock.shutdown(SHUT_WRITE)
    p.one('FA')
    p.send('A', b'for you')
    assert sock.recv() == b'for you'
    assert errno_of(sock.send, b'x') == errno.EPIPE
    q, other = established(s, port=81)
    other.close()
    assert errno_of(other.recv) == errno.EBADF


# covers: 9293-3.10.5-abort
@pytest.mark.parametrize('state', ['SYN_RECEIVED', 'ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT'])
def test_abort(state):
    if state == 'SYN_RECEIVED':
        s = Stack()
        p, sock, syn = syn_sent(s)
        p.send('S')                                  # simultaneous open
        p.one('SA')
        expected = syn.seq + 1 & M32
    else:
        s, p, sock = drive(state)
        if state in ('ESTABLISHED', 'CLOSE_WAIT'):
            sock.send(b'queued and lost')
            p.one()
        expected = p.ack
    sock.set('LINGER', 0)
    sock.close()
    reset = p.one()
    assert 'R' in reset.flags and reset.seq == expected and not reset.data
    assert p.state() == 'CLOSED' and s.memory()['connections'] == 0
    s.run(300)
    p.none()
    s.listener(90)
    q = Peer(s, port=p.port, stack_port=90)
    q.connect()


# covers: 9293-3.5.3-rst-states
@pytest.mark.parametrize('state', ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT', 'CLOSING',
                                   'LAST_ACK'])
def test_a_reset_in_synchronised_states(state):
    s, p, sock = drive(state)
    p.send('R')
    s.none()
    assert p.state() == 'CLOSED' and s.memory()['connections'] == 0
    if state in ('ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2'):
        assert errno_of(sock.recv) == errno.ECONNRESET
    if state == 'CLOSE_WAIT':
        assert sock.take_error() in (errno.ECONNRESET, errno.EPIPE)
    if state in ('ESTABLISHED', 'CLOSE_WAIT'):
        assert errno_of(sock.send, b'x') == errno.EPIPE
    assert sock.ready() & HANGUP


# covers: 9293-3.5.3-rst-states
def test_a_reset_discards_what_is_queued():
    s = Stack()
    p, sock = established(s)
    sock.send(b'x' * 5000)
    p.segments()
    p.send('R')
    s.run(100)
    p.none()
    assert s.memory()['extents_lent'] <= 2           # at most the socket's own, until it is closed
    sock.close()
    assert s.memory()['extents_lent'] == 0


# covers: 5961-3.2-exact 5961-3.2-challenge 5961-3.2-outside
@pytest.mark.parametrize('state', ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT'])
def test_resets_beside_the_left_edge(state):
    s, p, sock = drive(state)
    window = sock.info()['receive_window']
    assert window > 1000
    inside = [p.seq + 1, p.seq + 500, p.seq + window - 1]
    outside = [p.seq - 1, p.seq - 100, p.seq + window, p.seq + window + 1, p.seq + 0x7fffff00]
    for seq in outside if state != 'CLOSE_WAIT' else outside[:2]:
        p.send('R', seq=seq)
        p.none()
        assert p.state() == state
    if state != 'CLOSE_WAIT':
        for seq in inside:
            p.send('R', seq=seq)
            p.one('A', ack=p.seq, data=b'', seq=p.ack)
            assert p.state() == state
    p.send('R')
    assert p.state() == 'CLOSED'


# covers: 5961-3.2-second 9293-3.5.1-halfopen
def test_the_reset_that_answers_a_challenge():
    s = Stack()
    p, sock = established(s)
    p.send('R', seq=p.seq + 10)
    challenge = p.one('A')
    p.send('R', seq=challenge.ack)                   # as a peer without state answers it
    assert errno_of(sock.recv) == errno.ECONNRESET


# covers: 5961-4.2-syn
@pytest.mark.parametrize('state', ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT', 'CLOSING',
                                   'LAST_ACK'])
def test_a_syn_in_a_synchronised_state_is_challenged(state):
    s, p, sock = drive(state)
    for seq in (p.seq, p.seq + 100, p.isn, p.seq + 0x40000000):
        p.send('S', seq=seq)
        p.one('A', seq=p.ack, ack=p.seq, data=b'')
        assert p.state() == state
        s.run(0.1 if state in ('ESTABLISHED', 'FIN_WAIT_2', 'CLOSE_WAIT') else 0)


# covers: 5961-4.2-restart
def test_a_restarted_peer_recovers():
    s = Stack()
    p, sock = established(s)
    q = Peer(s, isn=777777)                          # the same ports, nothing remembered
    q.send('S')
    challenge = q.one('A')
    q.send('R', seq=challenge.ack)
    assert errno_of(sock.recv) == errno.ECONNRESET
    q.seq, q.irs = q.isn, None
    q.connect()
    assert p.listener.accept().state() == 'ESTABLISHED'


# covers: 5961-7-throttle
def test_challenges_are_throttled():
    s = Stack()
    p, sock = established(s)
    for _ in range(40):
        s.inject(*[p.build('R', seq=p.seq + 1 + i) for i in range(25)])
        s.run(0.025)
    assert 1 <= len(p.segments()) <= 20
    p.send('A', b'legitimate')
    s.run(0.5)
    assert p.one('A').ack == p.seq and sock.recv() == b'legitimate'


# covers: 9293-3.5.1-halfopen
def test_a_peer_that_lost_its_state():
    s = Stack()
    p, sock = established(s)
    sock.send(b'anyone there?')
    segment = p.one('A')
    p.send('R', seq=segment.ack)
    assert errno_of(sock.recv) == errno.ECONNRESET
    p.send('A', b'stray', seq=p.seq)                 # and now we are the one without state
    p.one('R', seq=p.ack)


# covers: 9293-3.4-len
def test_syn_and_fin_take_a_number_each():
    s = Stack()
    s.listener(80)
    p = Peer(s, isn=M32)
    p.send('S')
    p.one('SA', ack=0)
    p.send('A')
    p.send('FA', b'xyz')
    s.run(0.5)
    assert p.segments()[-1].ack == 4


@pytest.mark.parametrize('state', SYNCHRONISED)
def test_nothing_is_left_behind(state):
    s, p, sock = drive(state)
    sock.close()
    s.run(2000)
    memory = s.memory()
    assert not any(memory[k] for k in ('connections', 'half_open', 'time_wait', 'packets_held',
                                       'extents_lent', 'packets_lent')), memory
    s.events_of(sock)


# covers: 9293-3.8-ackcurrent
def test_every_segment_carries_the_current_ack():
    s = Stack()
    p, sock = opened(s)
    for i in range(20):
        p.send('A', b'in' * (i + 1))
        sock.send(b'out' * (i + 1))
        if i % 3 == 0:
            p.send('A', b'gap', seq=p.seq + 1000)    # does not count
        if i % 4 == 0:
            s.run(1.5)                               # retransmissions
        for x in p.segments():
            assert 'A' in x.flags
        assert x.ack == p.seq
        assert x.window << p_scale(sock) > 0
    sock.recv()
    sock.shutdown(SHUT_WRITE)
    assert all('A' in x.flags for x in p.segments())


def p_scale(sock):
    return sock.info()['receive_scale']
