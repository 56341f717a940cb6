# SPDX-License-Identifier: BSD-3-Clause
"""Calls whose effect is a matter of time, and what TCP_INFO says of a connection, at exact moments."""
import errno

from light import CONNECTED, ERROR, HANGUP, STATES, Stack
from peer import Peer, established
from recoverykit import Flight
from tcpkit import pattern

OPEN, DISORDER, REDUCED, RECOVERY, LOSS = range(5)


# covers: sock-connect-timeout
def test_a_connect_that_nobody_answers_ends_after_the_last_syn():
    s = Stack(profile='linux')
    s.neighbour('192.0.2.99', '02:00:00:00:00:99')
    sock = s.stream()
    assert sock.call('connect', '192.0.2.99', 80)['result'] == -errno.EINPROGRESS
    start = s.now
    s.until(start + 126)
    assert not sock.ready() & (ERROR | HANGUP)
    s.until(start + 128)
    assert sock.ready() & HANGUP and not s.events_of(sock) & CONNECTED
    assert sock.take_error() == errno.ETIMEDOUT


def conversation(s, p, sock):
    """Requests whose answers come soon and carry the ACKs."""
    for _ in range(30):
        p.send('PA', pattern(1000))
        sock.recv()
        sock.send(b'answer')
        s.run(0.0001)
        p.segments()
        p.send('A')


# covers: sock-quickack
def test_quickack_acknowledges_what_is_owed_and_then_for_a_while():
    s = Stack()
    p, sock = established(s)
    conversation(s, p, sock)
    p.send('PA', b'small')
    s.run(0.002)
    p.none()
    sock.set('QUICKACK', 1)
    s.run(0)
    assert p.one('A').ack == p.seq           # the pending one, now
    for _ in range(3):                       # and the next ones without the delay, but for a moment's grace
        p.send('PA', b'again')
        s.run(0.002)
        assert p.one('A').ack == p.seq
    conversation(s, p, sock)                 # it does not last
    p.send('PA', b'small')
    s.run(0.002)
    p.none()


# covers: sock-tcp-info
def test_info_says_what_the_packets_say():
    f = Flight(out=10)
    info = f.sock.info()
    assert info['state'] == STATES['ESTABLISHED'] and info['sack'] and not info['timestamps']
    assert abs(info['srtt'] / 1e9 - f.rtt) < 0.02 and info['rttvar'] > 0 and info['cwnd'] == 10 * info['mss']
    assert (info['in_flight_segments'], info['sacked'], info['lost'], info['sent_again'], info['recovery']) == (10, 0, 0, 0, OPEN)
    sent, acked = info['bytes_sent'], info['bytes_acked']
    f.wait()
    f.ack(0, (1, 3))                       # segments 1 and 2 beyond a gap
    info = f.sock.info()
    assert (info['in_flight_segments'], info['sacked'], info['recovery']) == (10, 2, DISORDER)
    f.ack(0, (1, 5))
    info = f.sock.info()
    assert (info['sacked'], info['lost'], info['sent_again'], info['recovery']) == (4, 0, 1, RECOVERY)
    assert info['retransmitted_total'] == 1 and info['bytes_retransmitted'] == 1000 and info['ssthresh'] < 10 * info['mss']
    f.ack(10)
    info = f.sock.info()
    assert (info['in_flight_segments'], info['sacked'], info['sent_again'], info['recovery']) == (0, 0, 0, OPEN)
    assert info['bytes_acked'] - acked == 10000 and info['bytes_sent'] - sent == 1000


def test_info_says_that_a_timeout_lost_all():
    f = Flight(out=10)
    f.s.run(4)
    info = f.sock.info()
    assert info['recovery'] == LOSS and info['backoff'] > 0 and info['cwnd'] <= info['mss']
    assert info['lost'] + info['sent_again'] == info['in_flight_segments'] == 10
