# SPDX-License-Identifier: BSD-3-Clause
"""TCP: smaller demands. RFC 9293 SHOULDs and appendix A.2, RFC 1337, RFC 7413 and RFC 5482 not used, ports that
listeners hold, and MSS and ACKs where paths are narrow (RFC 2923)."""
import errno

import pytest

from light import HOST, HOST_MAC, MAC, Stack, errno_of
from packets import icmp_error, quote
from peer import Peer, diff, established, mss, opened
from tcpkit import acked, available, gone, pattern, pull, quiet_segments, state, time_wait

TFO, UTO = b'\x22', b'\x1c'


# covers: SHLD-10
def test_advice_not_before_the_third_retransmission():
    s = Stack(profile='linux', neighbours=False)
    reply = bytes.fromhex(''.join((MAC, HOST_MAC, '0806', '0001080006040002', HOST_MAC, 'c0000202', MAC,
                                   'c0000201')).replace(':', ''))
    listener = s.listener()
    p = Peer(s)
    p.send('S')
    s.inject(reply)
    p.one('SA')
    p.send('A')
    sock = listener.accept()
    s.sent()
    sock.send(b'unanswered')
    first = s.one()
    s.run(20)
    frames = s.sent()
    advised = next(f.time for f in frames if f.raw[12:14] == b'\x08\x06')
    again = [f for f in frames if p.mine(f) and f.time <= advised]
    assert len(again) >= 3 and first.time < again[0].time


# covers: SHLD-13
def test_urg_is_never_set_unasked():
    s = Stack()
    p, sock = established(s, timestamps=True)
    sock.set('KEEPALIVE', 1).set('KEEP_IDLE', 5)
    pull(p, sock, pattern(50000))
    p.send('UPA', b'!', urgent=1)
    sock.send(b'unanswered')
    s.run(10)
    p.segments()
    p.send('A', window=0)
    sock.send(b'blocked')
    s.run(20)
    p.segments()
    p.send('A', window=5000)
    s.run(30)
    p.send('A')
    s.run(30)
    sock.shutdown()
    s.run(1)
    sock.abort()
    assert s.oracle.seen['tcp'] > 40 and s.oracle.seen['tcp urg'] == 0


# covers: MAY-3
def test_the_mss_option_is_sent_even_if_it_is_the_default():
    s = Stack(mtu=576)
    s.listener()
    p = Peer(s)
    p.send('S')
    assert p.one('SA').mss == 536
    q = Peer(s, port=7000)
    s.stream().connect(HOST, 7000)
    assert q.receive_syn().mss == 536


# covers: 9293-A.2-seqval
def test_two_closed_windows_do_not_lock():
    s = Stack(tcp={'receive_buffer_initial': 4096, 'receive_buffer_max': 4096})
    p, sock = established(s)
    n = 0
    for _ in range(100):
        found = quiet_segments(p, 0.3)
        if found and found[-1].window == 0:
            break
        p.send('PA', b'x' * 256)
        n += 256
    p.send('A', window=0)
    sock.send(b'blocked too')
    s.run(5)
    p.segments()
    # The peer's probe is just outside the window, and tells that its own has opened.
    p.send('A', seq=p.seq - 1, ack=p.ack, window=5000)
    found = p.segments()
    assert any(b'locked too' in f.data for f in found)
    p.send('A')
    assert sock.info()['send_queued'] == 0
    # Probes that cross are answered once each.
    for _ in range(5):
        s.run(1)
        p.segments()
        p.send('A', seq=p.seq - 1)
        assert len(p.segments()) <= 1
    assert available(sock) == b'x' * n


# covers: 1337-2-ackoldseg
def test_old_segments_in_time_wait_are_acknowledged():
    s = Stack()
    p, sock = time_wait(s)
    sock.close()
    p.listener.close()
    for flags, data, at in (('PA', b'old', -4), ('A', b'o', -2), ('PA', b'older data', -100)):
        s.run(1)
        p.send(flags, data, seq=p.seq + at)
        p.one('A', seq=p.ack, ack=p.seq, data=b'')
    assert s.memory()['time_wait'] == 1


# covers: 5681-4.2-stretch
@pytest.mark.parametrize('size', [536, 100])
@pytest.mark.parametrize('profile', ['linux', 'standard'])
def test_small_segments_do_not_stretch_acks(size, profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    last, unacked = p.seq, 0
    for _ in range(300):
        p.send('A', b'x' * size)
        unacked += 1
        for f in p.segments():
            if diff(f.ack, last) > 0:
                last, unacked = f.ack, 0
        assert unacked < 2 or diff(p.seq, last) < 2 * 1460
        available(sock)
        p.segments()


# covers: 2923-2.3-mss
def test_the_mss_is_not_lowered_by_a_path_mtu():
    s = Stack()
    p, sock = established(s)
    sock.send(pattern(1460))
    s.inject(icmp_error(3, 4, quote(p.one('A').frame), extra=600))
    assert sock.get('MTU') == 600
    q = Peer(s, port=41000)
    q.send('S')
    assert q.one('SA').mss == 1460
    r = Peer(s, port=7000)
    s.stream().connect(HOST, 7000)
    assert r.receive_syn().mss == 1460


# covers: 6056-3.2-reserved
def test_ports_with_a_listener_are_not_chosen():
    s = Stack(max_endpoints=8192)
    held = set()
    for port in range(33000, 61000, 14):
        s.listener(port)
        held.add(port)
    chosen = [s.stream().connect(HOST, 7000).local()[1] for _ in range(600)]
    assert len(held) == 2000 and len(set(chosen)) == 600
    assert not held & set(chosen)            # by chance forty would be expected


# covers: 7413-2-optin 7413-4.1.1-format
@pytest.mark.parametrize('option', [TFO + b'\2', TFO + b'\3a', TFO + b'\6abcd', TFO + b'\x0a12345678', TFO + b'\x13' + b'o' * 17,
                                    b'\xfe\4\xf9\x89'])
def test_fast_open_is_ignored(option):
    s = Stack()
    listener = s.listener()
    p = Peer(s)
    p.send('S', b'early', seq=p.isn, options=mss(1000) + option)
    synack = p.one('SA')
    assert 34 not in synack.options and 254 not in synack.options
    p.seq = synack.ack
    assert errno_of(listener.accept) == errno.EAGAIN, 'delivered before the handshake'
    p.send('A', options=option)
    sock = listener.accept()
    p.send('PA', b'early'[diff(p.seq, p.isn) - 1:], options=option)
    assert acked(p) == p.isn + 6 and available(sock) == b'early'
    q, other = opened(s, port=7000)
    assert state(q) == 'ESTABLISHED'
    other.close()
    assert all(34 not in f.options for f in q.segments())


# covers: 7413-2-optin
def test_no_fast_open_is_asked_for():
    s = Stack()
    p = Peer(s, port=7000)
    s.stream().connect(HOST, 7000)
    syn = p.receive_syn()
    assert not {34, 253, 254} & set(syn.options) and not syn.data


# covers: 5482-3-unsupported 5482-3.1-app
@pytest.mark.parametrize('option', [UTO + b'\4\0\5', UTO + b'\4\x80\1', UTO + b'\4\0\0', UTO + b'\4\xff\xff'])
def test_the_user_timeout_option_is_ignored(option):
    s = Stack()
    listener = s.listener()
    p = Peer(s)
    p.send('S', options=mss(1460) + option)
    assert 28 not in p.one('SA').options
    p.send('A', options=option)
    sock = listener.accept().set('USER_TIMEOUT', 20000)
    p.send('PA', b'data', options=option)
    assert acked(p) == p.seq and sock.recv() == b'data'
    assert sock.get('USER_TIMEOUT') == 20000
    start = s.now
    sock.send(b'unanswered')
    s.until(start + 19)
    assert state(p) == 'ESTABLISHED'
    s.until(start + 22)
    assert gone(p) and sock.take_error() == errno.ETIMEDOUT


# covers: 7323-2.4-honour
def test_every_window_ever_offered_is_honoured():
    """Rounding may make a later window seem smaller; bytes up to the furthest edge are taken all the same."""
    size = 1 << 20
    s = Stack(tcp={'receive_buffer_initial': size, 'receive_buffer_max': size})
    listener = s.listener()
    p = Peer(s, wscale=0)
    shift = p.connect().options[3][0]
    sock = listener.accept()
    assert shift >= 4
    base, edge, sent = p.seq, 65535, 0
    stream = pattern(size)
    for i in range(3000):
        n = min(1 + i * 7 % 1459, edge - sent)
        if n <= 0:
            s.run(0.3)
        else:
            p.send('A', stream[sent:sent + n])
            sent += n
        for f in p.segments():
            edge = max(edge, diff(f.ack, base) + (f.window << shift))
        if sent == len(stream) or edge - sent <= 0 and i > 2500:
            break
    assert sent > 500000
    s.run(1)
    assert available(sock) == stream[:sent], 'bytes inside an offered window were refused'
