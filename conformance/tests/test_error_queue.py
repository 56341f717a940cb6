# SPDX-License-Identifier: BSD-3-Clause
"""The error queue of IP_RECVERR, ip(7): what each ICMP error leaves, in which order, how many, and what goes with it."""
import errno

import pytest
from scapy.layers.inet import ICMP, IP, UDP

from light import ERROR, HOST, QUEUED, Stack, errno_of
from packets import icmp_error, quote
from peer import established, syn_sent

ROUTER = '192.0.2.77'
LOCAL, FROM_ICMP = 1, 2

ERRORS = [                       # type, code, the message's second word; errno, info
    (3, 0, 0, errno.ENETUNREACH, 0),
    (3, 1, 0, errno.EHOSTUNREACH, 0),
    (3, 2, 0, errno.ENOPROTOOPT, 0),
    (3, 3, 0, errno.ECONNREFUSED, 0),
    (3, 4, 1400, errno.EMSGSIZE, 1400),
    (3, 13, 0, errno.EHOSTUNREACH, 0),
    (11, 0, 0, errno.EHOSTUNREACH, 0),
    (12, 0, 20 << 24, errno.EPROTO, 20),
]


def asking(s, port=5000):
    return s.udp(port).set('RECV_ERR', 1)


# covers: sock-errqueue
@pytest.mark.parametrize('kind,code,word,error,info', ERRORS)
def test_each_error_is_queued_with_what_icmp_said(kind, code, word, error, info):
    s = Stack()
    sock = asking(s)
    sock.sendto(b'a question', HOST, 9)
    packet = icmp_error(kind, code, quote(s.one(UDP), 38), src=ROUTER, extra=word)
    packet.ttl, packet.tos = 33, 0x20
    s.inject(packet)
    assert sock.ready() & ERROR and sock.ready() & QUEUED
    told = sock.take_queued()
    assert (told['errno'], told['origin'], told['type'], told['code'], told['info']) == (error, FROM_ICMP, kind, code, info)
    assert told['offender'] == [ROUTER, 0] and told['to'] == [HOST, 9]
    assert bytes.fromhex(told['data']) == b'a question'
    assert (told['ttl'], told['tos'], told['interface']) == (33, 0x20, s.interface)
    assert sock.take_queued() is None and sock.take_error() == 0 and not sock.ready() & (ERROR | QUEUED)


# covers: sock-errqueue
def test_what_so_error_says_goes_with_the_queue():
    s = Stack()
    sock = asking(s)
    for port, code in ((9, 3), (10, 1)):
        sock.sendto(b'x', HOST, port)
        s.inject(icmp_error(3, code, quote(s.one(UDP)), src=ROUTER))
        assert sock.take_error() in (errno.ECONNREFUSED, errno.EHOSTUNREACH)
    assert sock.take_error() == 0 and sock.ready() & QUEUED
    assert sock.take_queued()['to'] == [HOST, 9]
    assert sock.take_error() == errno.EHOSTUNREACH and sock.take_error() == 0
    assert sock.take_queued()['to'] == [HOST, 10]
    assert sock.take_error() == 0 and not sock.ready() & (ERROR | QUEUED)


# covers: sock-errqueue
def test_the_queue_is_bounded_and_what_does_not_fit_is_counted():
    s = Stack()
    sock = asking(s)
    sock.sendto(b'x', HOST, 9)
    packet = icmp_error(3, 3, quote(s.one(UDP)), src=ROUTER)
    for _ in range(200):
        s.inject(packet)
    dropped = s.counter('ERROR_QUEUE')
    taken = 0
    while sock.take_queued():
        taken += 1
    assert taken == 128 and dropped == 200 - taken
    s.inject(packet)
    assert sock.take_queued() and s.counter('ERROR_QUEUE') == dropped


# covers: sock-errqueue
def test_nothing_is_kept_for_who_does_not_ask_any_more():
    s = Stack()
    sock, deaf = asking(s), s.udp(5001)
    for each in (sock, deaf):
        each.sendto(b'x', HOST, 9)
        s.inject(icmp_error(3, 3, quote(s.one(UDP))))
    assert deaf.take_queued() is None and not deaf.ready() & QUEUED
    assert sock.ready() & QUEUED
    sock.set('RECV_ERR', 0)
    assert not sock.ready() & QUEUED and sock.take_queued() is None
    sock.take_error()
    sock.set('RECV_ERR', 1).sendto(b'x', HOST, 9)
    s.inject(icmp_error(3, 3, quote(s.one(UDP))))
    sock.close()                                        # with something in its queue


# covers: sock-errqueue
def test_a_datagram_longer_than_the_path_is_an_error_of_our_own():
    s = Stack()
    sock = asking(s).set('MTU_DISCOVER', 2)
    assert errno_of(sock.sendto, b'x' * 1473, HOST, 9) == errno.EMSGSIZE
    s.none()
    told = sock.take_queued()
    assert (told['errno'], told['origin'], told['type'], told['code'], told['info']) == (errno.EMSGSIZE, LOCAL, 0, 0, 1500)
    assert told['to'] == [HOST, 0] and told['data'] == ''


# covers: sock-errqueue
def test_a_syn_is_quoted_with_its_header():
    s = Stack()
    p, sock, syn = syn_sent(s)
    sock.set('RECV_ERR', 1)
    s.inject(icmp_error(11, 0, quote(syn.frame, 40), src=ROUTER))
    told = sock.take_queued()
    assert (told['errno'], told['type'], told['code']) == (errno.EHOSTUNREACH, 11, 0)
    assert told['offender'] == [ROUTER, 0] and told['to'] == [HOST, syn.dport]
    assert bytes.fromhex(told['data']) == syn.frame.raw[34:54]


# covers: sock-errqueue
def test_an_open_stream_that_asks_hears_at_once_and_goes_on():
    s = Stack()
    p, sock = established(s)
    sock.send(b'data')
    x = p.one('A')
    s.inject(icmp_error(3, 1, quote(x.frame)))
    assert not sock.ready() & ERROR
    sock.set('RECV_ERR', 1)
    s.inject(icmp_error(3, 1, quote(x.frame)))
    assert sock.ready() & ERROR and sock.take_error() == errno.EHOSTUNREACH
    assert sock.take_queued() is None and sock.state() == 'ESTABLISHED'
