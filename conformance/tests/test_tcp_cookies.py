# SPDX-License-Identifier: BSD-3-Clause
"""SYN cookies (RFC 4987 3.6) from outside: what a listener does whose backlog is full of SYNs that nobody completes."""
import errno

import pytest

from light import Stack
from peer import M32, Peer
from tcpkit import acked, available, no_connection, quiet_segments

OFF, FULL, ALWAYS = 0, 1, 2


def flood(s, n, port=80):
    """SYNs of n strangers; the answers are thrown away."""
    for block in range(0, n, 100):
        s.inject(*[Peer(s, port=1024 + i, stack_port=port, addr=f'198.51.100.{i % 200 + 1}').build('S')
                   for i in range(block, min(block + 100, n))])
        s.frames.clear()


def accept_or_none(listener):
    try:
        return listener.accept()
    except OSError as e:
        assert e.errno == errno.EAGAIN
        return None


# covers: 4987-3.6-cookie
def test_a_client_gets_in_while_the_backlog_is_full_of_strangers():
    s = Stack()
    listener = s.listener(80, backlog=64)
    flood(s, 1000)
    kept = s.memory()['half_open']
    assert kept <= 64
    p = Peer(s, port=50000)
    p.send('S')
    p.one('SA', ack=p.seq)
    assert s.memory()['half_open'] == kept           # the SYN is not remembered
    flood(s, 500)
    s.run(40)                                        # nor repeated
    p.none()
    p.send('A')
    sock = listener.accept()
    p.send('PA', b'request')
    assert available(sock) == b'request'
    sock.send(b'answer')
    quiet_segments(p)
    assert p.got == b'answer'
    assert s.counter('TCP_HALF_OPEN_EVICTED') == 0


# covers: 4987-3.6-off
def test_below_the_backlog_state_is_kept():
    s = Stack()
    listener = s.listener(80, backlog=64)
    flood(s, 60)
    p = Peer(s, port=50000, wscale=5, sack=True)
    p.send('S')
    assert {3, 4} <= set(p.one('SA').options)        # options without timestamps: no cookie
    s.run(1.5)
    p.one('SA')                                      # and the SYN-ACK is repeated
    p.send('A')
    assert listener.accept().info()['send_scale'] == 5
    assert s.counter('TCP_COOKIES_SENT') == 0


# covers: 4987-3.6-auth
@pytest.mark.parametrize('alter', [{'ack': 1 << bit} for bit in range(3, 32)] + [
    {'seq': 1}, {'seq': -1}, {'port': 1}, {'addr': 1}, {'late': 121}], ids=str)
def test_what_is_not_the_cookie_draws_a_reset(alter):
    s = Stack(tcp={'syn_cookies': ALWAYS})
    listener = s.listener()
    p = Peer(s)
    p.send('S')
    p.one('SA')
    q = Peer(s, port=p.port + alter.get('port', 0), addr='192.0.2.7' if 'addr' in alter else p.addr)
    s.neighbour('192.0.2.7', '02:00:00:00:00:07')
    q.seq, q.ack = p.seq, p.ack
    s.run(alter.get('late', 0))
    ack = q.ack ^ alter.get('ack', 0)
    # Others' SYNs still are answered by cookies: it is looked at.
    Peer(s, port=49000).send('S')
    q.send('A', seq=q.seq + alter.get('seq', 0) & M32, ack=ack)
    q.one('R', seq=ack)
    assert accept_or_none(listener) is None
    assert s.counter('TCP_COOKIES_FAILED') == 1


def test_an_ack_is_no_cookie_where_none_went_out():
    s = Stack()
    listener = s.listener()
    p = Peer(s)
    p.send('A', ack=77)
    p.one('R', seq=77)
    assert accept_or_none(listener) is None and s.counter('TCP_COOKIES_FAILED') == 0


# covers: 4987-3.6-age
@pytest.mark.parametrize('start', [0, 17, 31, 59])
@pytest.mark.parametrize('wait,good', [(0, True), (55, True), (125, False), (240, False)])
def test_a_cookie_is_good_for_one_to_two_minutes(start, wait, good):
    s = Stack(tcp={'syn_cookies': ALWAYS})
    listener = s.listener()
    s.run(start)
    p = Peer(s)
    p.send('S')
    p.one('SA')
    s.run(wait)
    Peer(s, port=49000).send('S')
    p.send('A')
    assert (accept_or_none(listener) is not None) == good
    if not good:
        p.one('R', seq=p.ack)


# covers: 4987-3.6-mss
@pytest.mark.parametrize('said,used', [(1460, 1460), (1459, 1440), (1440, 1440), (1400, 1300), (1300, 1300), (1299, 536),
                                       (536, 536), (535, 256), (100, 64)])
def test_the_mss_is_kept_roughly(said, used):
    s = Stack(tcp={'syn_cookies': ALWAYS})
    listener = s.listener()
    p = Peer(s, mss=said)
    p.connect()
    listener.accept().send(b'x' * 20000)
    sizes = {len(f.data) for f in quiet_segments(p)}
    assert max(sizes) == used <= said


# covers: 4987-3.6-ts
@pytest.mark.parametrize('ts', [True, False])
@pytest.mark.parametrize('scale', [None, 0, 7, 14])
@pytest.mark.parametrize('sack', [True, False])
def test_options_survive_with_timestamps_alone(ts, scale, sack):
    s = Stack(tcp={'syn_cookies': ALWAYS})
    listener = s.listener()
    s.run(0.037)
    p = Peer(s, wscale=scale, timestamps=ts, sack=sack)
    p.send('S')
    synack = p.one('SA')
    assert (4 in synack.options) == (ts and sack) and (3 in synack.options) == (ts and scale is not None)
    s.run(3)
    p.send('A')
    info = listener.accept().info()
    assert info['timestamps'] == ts and info['sack'] == (ts and sack)
    assert info['window_scaling'] == (ts and scale is not None)
    assert info['send_scale'] == (scale or 0 if ts else 0)
    if ts:
        p.send('PA', b'x')
        late = quiet_segments(p)[-1]
        assert late.tsval - synack.tsval & M32 < 10000       # its clock did not run back, nor far ahead


def test_the_first_ack_may_be_lost():
    s = Stack(tcp={'syn_cookies': ALWAYS})
    listener = s.listener()
    p = Peer(s, timestamps=True, sack=True, wscale=2)
    p.send('S')
    p.one('SA')
    p.send('PA', b'data')                               # the ACK before it never came
    assert available(listener.accept()) == b'data'
    assert acked(p) == p.seq


def test_with_cookies_off_the_oldest_gives_way():
    s = Stack(tcp={'syn_cookies': OFF, 'max_half_open': 64})
    listener = s.listener(80, backlog=16)
    p = Peer(s, port=50000)
    p.send('S')
    p.one('SA')
    flood(s, 64)
    p.send('A')
    assert no_connection(p) and accept_or_none(listener) is None
    assert s.counter('TCP_HALF_OPEN_EVICTED') == 1 and s.counter('TCP_COOKIES_SENT') == 0


def test_a_full_queue_of_children_takes_no_cookie():
    s = Stack(tcp={'syn_cookies': ALWAYS})
    listener = s.listener(80, backlog=1)
    late = Peer(s, port=42000)
    late.send('S')
    late.one('SA')
    for i in range(2):
        Peer(s, port=41000 + i).connect()
    late.send('A')
    late.none()
    assert accept_or_none(listener) and accept_or_none(listener)
    late.send('PA', b'again')
    assert available(listener.accept()) == b'again'
