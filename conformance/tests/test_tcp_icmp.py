# SPDX-License-Identifier: BSD-3-Clause
"""ICMP errors and TCP: RFC 9293 3.9.2.2, RFC 5927."""
import errno

import pytest

from light import ERROR, HOST, Stack
from packets import icmp_error, quote
from peer import Peer, established, syn_sent

SOFT = [(3, 0), (3, 1), (3, 5), (11, 0), (11, 1), (12, 0)]
HARD = [(3, 2), (3, 3)]


# covers: MUST-54 5927-5.2-scope
def test_an_error_reaches_its_connection_only():
    s = Stack()
    p, first, syn = syn_sent(s)
    q, second, other = syn_sent(s, port=81)
    r, sock = established(s, port=90)
    foreign = bytearray(quote(syn.frame))
    foreign[20:22] = (syn.sport ^ 1).to_bytes(2, 'big')           # a four-tuple that we do not have
    s.inject(icmp_error(3, 3, bytes(foreign)))
    assert not first.take_error() and not second.take_error()
    s.inject(icmp_error(3, 3, quote(syn.frame)))
    assert first.take_error() == errno.ECONNREFUSED
    assert not second.take_error() and not sock.take_error() and sock.state() == 'ESTABLISHED'
    q.send('SA')
    q.one('A')
    assert second.state() == 'ESTABLISHED'


# covers: MUST-56
@pytest.mark.parametrize('kind,code', SOFT)
def test_soft_errors_do_not_abort(kind, code):
    s = Stack()
    p, sock = established(s)
    sock.send(b'data')
    x = p.one('A')
    for _ in range(3):
        s.inject(icmp_error(kind, code, quote(x.frame)))
    assert sock.state() == 'ESTABLISHED'
    p.send('A', b'more')
    assert sock.recv() == b'more'
    sock.send(b'and more')
    assert p.segments()[-1].data == b'and more'


# covers: SHLD-26
@pytest.mark.parametrize('code,expected', [(2, errno.ENOPROTOOPT), (3, errno.ECONNREFUSED)])
def test_hard_errors_abort_an_attempt(code, expected):
    s = Stack()
    p, sock, syn = syn_sent(s)
    s.inject(icmp_error(3, code, quote(syn.frame)))
    assert s.events_of(sock) & ERROR and sock.take_error() == expected
    s.run(10)
    s.none()


# covers: 5927-5.2-hard SHLD-26
@pytest.mark.parametrize('kind,code', HARD)
def test_hard_errors_are_soft_when_synchronised(kind, code):
    s = Stack()
    p, sock = established(s)
    sock.send(b'data')
    x = p.one('A')
    s.inject(icmp_error(kind, code, quote(x.frame)))
    assert sock.state() == 'ESTABLISHED'
    p.send('A', b'go on')
    assert sock.recv() == b'go on'


# covers: 5927-4.1-seq MUST-54
def test_the_quoted_number_must_be_in_flight():
    s = Stack()
    p, sock, syn = syn_sent(s)
    for seq in (syn.seq - 1, syn.seq + 1, syn.seq + 1000):
        wrong = bytearray(quote(syn.frame))
        wrong[24:28] = (seq & 0xffffffff).to_bytes(4, 'big')
        s.inject(icmp_error(3, 3, bytes(wrong)))
        assert sock.state() == 'SYN_SENT' and not sock.take_error()
    s.inject(icmp_error(3, 3, quote(syn.frame)))
    assert sock.take_error() == errno.ECONNREFUSED
    q, other = established(s, port=90)
    other.send(b'x' * 1460)
    x = q.one('A')
    for seq in (x.seq - 1, x.end):
        wrong = bytearray(quote(x.frame))
        wrong[24:28] = (seq & 0xffffffff).to_bytes(4, 'big')
        s.inject(icmp_error(3, 4, bytes(wrong), extra=1000))
        assert other.get('MTU') == 1500
    s.inject(icmp_error(3, 4, quote(x.frame), extra=1000))
    assert other.get('MTU') == 1000


# covers: 5927-7.2-claimed
def test_an_implausible_mtu_is_ignored():
    s = Stack()
    p, sock = established(s)
    sock.send(b'x' * 500)
    x = p.one('A')
    s.inject(icmp_error(3, 4, quote(x.frame), extra=1500))
    s.inject(icmp_error(3, 4, quote(x.frame), extra=4000))
    assert sock.get('MTU') == 1500
    p.none()


def test_the_soft_error_is_told_when_the_attempt_fails():
    s = Stack()
    p, sock, syn = syn_sent(s)
    s.inject(icmp_error(3, 1, quote(syn.frame)))
    s.run(200)
    assert sock.take_error() == errno.EHOSTUNREACH


# covers: MUST-49 MUST-48
def test_ttl_and_tos_of_a_connection():
    s = Stack()
    p = Peer(s, port=80)
    sock = s.stream().set('TTL', 33).set('TOS', 0xb8).connect(HOST, 80)
    syn = p.receive_syn()
    p.send('SA')
    found = [syn, p.one('A')]
    sock.send(b'data')
    s.run(2)
    sock.shutdown()
    found += p.segments()
    p.send('A')
    p.send('FA')
    found += p.segments()
    assert len(found) >= 5
    assert all(x.ip[8] == 33 and x.ip[1] & 0xfc == 0xb8 for x in found)
    q, other = established(s, port=90)
    other.send(b'x')
    assert q.one('A').ip[8] == 64
