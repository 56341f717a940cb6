# SPDX-License-Identifier: BSD-3-Clause
"""TCP Fast Open (RFC 7413), server and client, on the wire."""
import errno
import struct

import pytest

from light import HOST, HOST_MAC, SHUT_WRITE, Stack
from peer import M32, Peer, diff, mss
from tcpkit import acked, available, quiet_segments, settle, state

TFO, EXPERIMENTAL = b'\x22', b'\xfe'


def option(cookie=b''):
    return TFO + bytes([2 + len(cookie)]) + cookie


def experimental(cookie=b''):
    return EXPERIMENTAL + bytes([4 + len(cookie)]) + b'\xf9\x89' + cookie


def server(limit=8, backlog=16, **settings):
    s = Stack(**settings)
    listener = s.stream().bind(port=80).set('FASTOPEN', limit).listen(backlog)
    return s, listener


def ask(s, addr=HOST, port=39000, form=option, kind=34):
    """The cookie that the server gives."""
    p = Peer(s, port=port, addr=addr)
    p.send('S', options=mss(1460) + form())
    cookie = p.one('SA', ack=p.seq).options[kind]
    p.send('R', seq=p.seq)
    return cookie[2:] if kind == 254 else cookie


def fast(s, cookie, data=b'request', port=40000, addr=HOST, form=option, **peer):
    """A SYN with a cookie and data, and the SYN-ACK; p.seq is what it acknowledged."""
    p = Peer(s, port=port, addr=addr, **peer)
    p.send('S', data, seq=p.isn, options=mss(1460) + form(cookie))
    found = p.segments()
    p.synack = next(f for f in found if 'S' in f.flags)
    p.early = [f for f in found if 'S' not in f.flags]
    p.seq = p.synack.ack
    return p


def children(listener):
    found = []
    while True:
        try:
            found.append(listener.accept())
        except OSError as e:
            assert e.errno == errno.EAGAIN
            return found


# ---- server

# covers: 7413-4.2.1-req
@pytest.mark.parametrize('form,kind', [(option, 34), (experimental, 254)])
def test_a_cookie_is_given_to_who_asks(form, kind):
    s, listener = server()
    p = Peer(s)
    p.send('S', options=mss(1460) + form())
    synack = p.one('SA', ack=p.isn + 1)
    cookie = synack.options[kind][2 if kind == 254 else 0:]
    assert 4 <= len(cookie) <= 16 and len(cookie) % 2 == 0
    assert not children(listener)
    p.send('A')
    assert len(children(listener)) == 1
    q = fast(s, cookie, b'with data', port=41000, form=form)
    assert available(children(listener)[0]) == b'with data' and kind not in q.synack.options


# covers: 7413-4.2.2-accept
def test_data_is_delivered_before_the_handshake_is_complete():
    s, listener = server()
    cookie = ask(s)
    p = fast(s, cookie, b'request')
    assert p.synack.ack == p.isn + 1 + 7
    child, = children(listener)
    assert available(child) == b'request' and state(p) == 'SYN_RECEIVED'
    assert child.info()['syn_data']
    p.send('A')
    assert state(p) == 'ESTABLISHED'
    p.send('PA', b'more')
    assert available(child) == b'more' and acked(p) == p.seq
    child.close()
    p.segments()
    p.send('FA')
    assert s.counter('TCP_FASTOPEN_ACCEPTED') == 1


# covers: 7413-4.2.2-synackdata
def test_the_answer_needs_no_ack_of_the_handshake():
    s, listener = server()
    p = fast(s, ask(s), b'request')
    child, = children(listener)
    assert available(child) == b'request'
    assert child.send(b'a' * 16000) == 16000
    child.close()
    found = quiet_segments(p, 0.05)
    assert p.got == b'a' * len(p.got) and 8 * 1460 <= len(p.got) <= 14600        # the initial window
    assert all(f.seq == p.synack.seq + 1 + 1460 * i & M32 for i, f in enumerate(found))
    p.send('A')
    settle(p)
    assert p.got == b'a' * 16000


# covers: 7413-4.2.2-invalid
@pytest.mark.parametrize('bad', [b'12345678', b'1234', b'x' * 16])
def test_a_wrong_cookie_means_an_ordinary_handshake(bad):
    s, listener = server()
    good = ask(s)
    p = fast(s, bad, b'request')
    assert p.synack.ack == p.isn + 1 and p.synack.options[34] == good
    assert not children(listener)
    p.send('A')
    child, = children(listener)
    assert available(child) == b'' and not child.info()['syn_data']
    p.send('PA', b'request')
    assert available(child) == b'request'
    assert s.counter('TCP_FASTOPEN_INVALID') == 1


# covers: 7413-4.1.1-format
@pytest.mark.parametrize('raw', [TFO + b'\3a', TFO + b'\4ab', TFO + b'\5abc', TFO + b'\7abcde', TFO + b'\x13' + b'o' * 17,
                                 TFO + b'\x14' + b'o' * 18, EXPERIMENTAL + b'\4\xf9\x88', EXPERIMENTAL + b'\3\xf9'])
def test_other_lengths_are_no_fast_open(raw):
    s, listener = server()
    p = Peer(s)
    p.send('S', b'data', seq=p.isn, options=raw)
    synack = p.one('SA', ack=p.isn + 1)
    assert not {34, 254} & set(synack.options) and not children(listener)
    p.seq = synack.ack
    p.send('A', options=option())          # without SYN it is nothing
    assert len(children(listener)) == 1


# covers: 7413-4.1.1-format
def test_the_option_without_syn_is_ignored():
    s, listener = server()
    p = Peer(s)
    p.connect()
    child = listener.accept()
    p.send('PA', b'data', options=option(b'12345678'))
    assert available(child) == b'data'
    child.send(b'answer')
    assert all(34 not in f.options for f in quiet_segments(p))


# covers: 7413-4.1.2-mac
def test_a_cookie_is_of_its_client_and_server_alone():
    cookies = []
    for secret in ('07' * 16, '08' * 16):
        s, _ = server(secret=secret)
        for i in range(20):
            s.neighbour(f'192.0.2.{i + 10}', HOST_MAC)
            cookies.append(ask(s, addr=f'192.0.2.{i + 10}'))
            assert ask(s, addr=f'192.0.2.{i + 10}', port=39001) == cookies[-1]        # of no port
    assert len(set(cookies)) == 40
    bits = [sum(c[i // 8] >> i % 8 & 1 for c in cookies) for i in range(64)]
    assert all(5 <= n <= 35 for n in bits), bits
    # one client's cookie is no good to another
    s.neighbour('192.0.2.77', HOST_MAC)
    p = fast(s, cookies[-1], addr='192.0.2.77')
    assert p.synack.ack == p.isn + 1


# covers: 7413-4.1.2-expire
def test_a_cookie_lives_for_two_generations_of_the_key():
    s, listener = server(start=0)
    first = ask(s)
    s.run(3600)
    p = fast(s, first, port=40001)
    assert p.synack.ack == p.isn + 8 and p.synack.options[34] != first      # good still, but here is the next
    second = p.synack.options[34]
    s.run(3600)
    q = fast(s, first, port=40002)
    assert q.synack.ack == q.isn + 1 and 34 in q.synack.options
    r = fast(s, second, port=40003)
    assert r.synack.ack == r.isn + 8


# covers: 7413-4.2-limit
def test_only_so_many_at_a_time():
    s, listener = server(limit=2)
    cookie = ask(s)
    a, b, c = (fast(s, cookie, port=40000 + i) for i in range(3))
    assert diff(a.seq, a.isn) == diff(b.seq, b.isn) == 8 and diff(c.seq, c.isn) == 1
    assert s.counter('TCP_FASTOPEN_OVERFLOW') == 1
    a.send('A')
    d = fast(s, cookie, port=40010)
    assert diff(d.seq, d.isn) == 8
    # A reset does not make room at once (RFC 7413 5.1).
    d.send('R', seq=d.seq)
    e = fast(s, cookie, port=40011)
    assert diff(e.seq, e.isn) == 1
    s.run(61)
    s.frames.clear()
    f = fast(s, cookie, port=40012)
    assert diff(f.seq, f.isn) == 8


# covers: 7413-4.2.2-dupsyn
@pytest.mark.parametrize('when', ['before', 'after', 'closed'])
def test_a_repeated_syn_delivers_nothing_twice(when):
    s, listener = server()
    cookie = ask(s)
    p = fast(s, cookie, b'request')
    child, = children(listener)
    again = p.build('S', b'request', seq=p.isn, options=mss(1460) + option(cookie))
    if when != 'before':
        p.send('A')
    if when == 'closed':
        p.send('FA')
        p.segments()
    s.inject(again)
    found = p.segments()
    assert found[-1].ack == p.seq
    if when == 'before':
        assert 'S' in found[-1].flags and found[-1].seq == p.synack.seq
        p.send('A')
    assert available(child) == b'request' and not children(listener)


# covers: 7413-4.2.2-retx
def test_a_repeated_syn_ack_is_plain():
    s, listener = server()
    cookie = ask(s)
    p = fast(s, b'wrongone', port=41000)
    q = fast(s, cookie, port=42000)
    child, = children(listener)
    child.send(b'early')
    quiet_segments(q, 0.01)
    s.run(1.5)
    assert 34 not in p.one('SA').options
    again = q.one('SA')
    assert 34 not in again.options and again.ack == q.seq and not again.data
    q.send('A')
    settle(q, rounds=30, step=0.2)
    s.run(3)
    q.segments()
    assert q.got == b'early'


def test_a_handshake_that_never_ends_ends_the_child():
    s, listener = server()
    p = fast(s, ask(s))
    child, = children(listener)
    s.run(70)
    assert len([f for f in p.segments() if 'S' in f.flags]) == 5
    assert child.ready() and child.take_error() == errno.ETIMEDOUT
    assert s.memory()['half_open'] == 0


def test_a_child_outlives_its_listener():
    s, listener = server()
    p = fast(s, ask(s))
    child, = children(listener)
    listener.close()
    s.run(1.2)
    p.one('SA')
    p.send('A')
    p.send('PA', b' more')
    assert available(child) == b'request more'


def test_what_acknowledges_nothing_of_it_draws_a_reset():
    s, listener = server()
    p = fast(s, ask(s))
    p.send('A', ack=p.synack.seq)
    p.one('R', seq=p.synack.seq)
    p.send('A', ack=p.synack.seq + 2)
    p.one('R', seq=p.synack.seq + 2)
    assert state(p) == 'SYN_RECEIVED'


# covers: 7413-2-optin
def test_without_the_option_of_the_listener_it_is_ignored():
    s, listener = server(limit=0)
    p = Peer(s)
    p.send('S', b'data', seq=p.isn, options=option())
    assert 34 not in p.one('SA', ack=p.isn + 1).options
    s, listener = server(tcp={'fastopen': 1})
    p = Peer(s)
    p.send('S', options=option())
    assert 34 not in p.one('SA').options


# ---- client

def client(s, port=7000, **peer):
    """connect() of a socket with TCP_FASTOPEN_CONNECT: (peer, socket, whether it waits for data)."""
    p = Peer(s, port=port, **peer)
    sock = s.stream().set('FASTOPEN_CONNECT', 1)
    result = sock.call('connect', p.addr, port)['result']
    assert result in (0, -errno.EINPROGRESS)
    return p, sock, result == 0


def learn(s, cookie=b'12345678', form=option, **peer):
    """A first connection, which brings a cookie."""
    p, sock, waits = client(s, **peer)
    assert not waits
    syn = p.receive_syn()
    assert syn.options[34] == b'' and not syn.data
    p.send('SA', options=mss(p.mss) + form(cookie))
    p.segments()
    sock.abort()
    p.segments()


# covers: 7413-4.2.1-req
def test_a_client_without_a_cookie_asks_and_sends_no_data():
    s = Stack()
    p, sock, waits = client(s)
    assert not waits and p.receive_syn().options[34] == b''
    p.send('SA', options=mss(1460) + option(b'12345678'))
    p.one('A')
    sock.send(b'data')
    p.one('A', data=b'data')


# covers: 7413-4.1.3-cache
@pytest.mark.parametrize('size', [536, 1000, 1460, 4000])
@pytest.mark.parametrize('cookie', [b'1234', b'12345678', b'0123456789abcdef'])
def test_cookie_and_mss_are_remembered(size, cookie):
    s = Stack()
    learn(s, b'old cook')
    learn2 = Peer(s, port=7000, mss=size)
    sock = s.stream().set('FASTOPEN_CONNECT', 1)
    assert sock.call('connect', HOST, 7000)['result'] == 0
    sock.send(b'x')
    syn = learn2.receive_syn()
    assert syn.options[34] == b'old cook'
    learn2.send('SA', ack=syn.seq + 2, options=mss(size) + option(cookie))        # the latest counts
    sock.abort()
    learn2.segments()
    p, sock, waits = client(s)
    assert waits
    s.run(5)
    p.none()                                                                  # nothing before there is data
    sock.send(b'd' * 5000)
    syn = p.receive_syn()
    options = len(syn.ip) - 40 - len(syn.data)
    assert syn.options[34] == cookie and len(syn.data) == min(size, 1460) - options > 0


# covers: 7413-4.1.3-cache
def test_each_server_has_its_cookie():
    s = Stack()
    for i in range(3):
        s.neighbour(f'192.0.2.{50 + i}', HOST_MAC)
        learn(s, b'cookie %d' % i * 1, addr=f'192.0.2.{50 + i}')
    for i in range(3):
        p, sock, waits = client(s, addr=f'192.0.2.{50 + i}')
        sock.send(b'x')
        assert waits and p.receive_syn().options[34] == b'cookie %d' % i
    p, sock, waits = client(s)
    assert not waits


def test_data_of_the_syn_that_is_acknowledged_is_done():
    s = Stack()
    learn(s)
    p, sock, waits = client(s)
    sock.send(b'request')
    syn = p.receive_syn()
    assert syn.data == b'request'
    sock.send(b' and more')
    p.send('SA', ack=syn.seq + 8, options=mss(1460))
    p.one('A', seq=syn.seq + 8, data=b' and more')
    assert sock.info()['syn_data'] and sock.info()['bytes_acked'] == 7
    p.send('PA', b'answer', ack=syn.seq + 17)
    assert available(sock) == b'answer'
    assert s.counter('TCP_FASTOPEN_SENT') == 1 and s.counter('TCP_FASTOPEN_SENT_FAILED') == 0


# covers: 7413-4.2.2-invalid
@pytest.mark.parametrize('taken', [0, 3])
def test_data_that_was_not_taken_follows_the_handshake(taken):
    s = Stack()
    learn(s)
    p, sock, waits = client(s)
    sock.send(b'request')
    syn = p.receive_syn()
    p.send('SA', ack=syn.seq + 1 + taken, options=mss(1460) + option(b'new cook'))
    p.one('A', seq=syn.seq + 1 + taken, data=b'request'[taken:])
    assert sock.info()['syn_data'] == (taken > 0)
    sock.abort()
    # It was the cookie's fault: the new one is used at once.
    p, sock, waits = client(s, port=7001)
    sock.send(b'x')
    assert waits and p.receive_syn().options[34] == b'new cook'


# covers: 7413-4.2.2-retx 7413-4.1.3-neg
def test_a_syn_with_data_that_draws_nothing_goes_again_plain_and_is_not_tried_again_soon():
    s = Stack()
    learn(s)
    p, sock, waits = client(s)
    sock.send(b'request')
    p.receive_syn()
    s.run(1.1)
    again = p.receive_syn()
    assert 34 not in again.options and not again.data
    p.send('SA', ack=again.seq + 1)
    p.one('A', data=b'request')
    sock.abort()
    p.segments()
    q, other, waits = client(s, port=7001)
    assert not waits
    syn = q.receive_syn()
    assert 34 not in syn.options
    s.run(61)
    r, third, waits = client(s, port=7002)
    assert waits


# covers: 7413-4.1.3-neg
def test_a_server_that_takes_no_data_is_left_alone_for_longer_each_time():
    s = Stack()
    learn(s)
    for wait in (60, 120, 240):
        p, sock, waits = client(s)
        assert waits
        sock.send(b'request')
        syn = p.receive_syn()
        p.send('SA', ack=syn.seq + 1, options=mss(1460))
        p.one('A', data=b'request')
        sock.abort()
        p.segments()
        s.run(wait - 1)
        q, other, waits = client(s)
        assert not waits and 34 not in q.receive_syn().options
        other.abort()
        s.run(2)
        s.frames.clear()


# covers: 7413-2-optin
def test_only_who_asks_for_it_opens_fast():
    s = Stack()
    learn(s)
    p = Peer(s, port=7000)
    sock = s.stream().connect(HOST, 7000)
    syn = p.receive_syn()
    assert 34 not in syn.options and not syn.data
    s = Stack(tcp={'fastopen': 2})
    with pytest.raises(OSError) as e:
        s.stream().set('FASTOPEN_CONNECT', 1)
    assert e.value.errno == errno.EOPNOTSUPP


def test_half_close_and_close_wait_for_the_handshake():
    s = Stack()
    learn(s)
    for close in (False, True):
        p, sock, waits = client(s)
        sock.send(b'request')
        syn = p.receive_syn()
        sock.close() if close else sock.shutdown(SHUT_WRITE)
        p.none()
        p.send('SA', ack=syn.seq + 8, options=mss(1460))
        assert 'F' in settle(p)[0].flags
        p.send('FA', ack=syn.seq + 9)
        p.segments()
        if not close:
            sock.close()
    s.run(130)
    assert s.memory()['endpoints'] == 0


def test_options_of_fast_open_have_their_place():
    s = Stack()
    sock = s.stream()
    for bad in (-1, 2):
        with pytest.raises(OSError) as e:
            sock.set('FASTOPEN_CONNECT', bad)
        assert e.value.errno == errno.EINVAL
    sock.set('FASTOPEN', 5)
    assert sock.get('FASTOPEN') == 5 and sock.get('FASTOPEN_CONNECT') == 0
    p, connected, _ = client(s)
    assert connected.get('FASTOPEN_CONNECT') == 1
    for name in ('FASTOPEN', 'FASTOPEN_CONNECT'):
        with pytest.raises(OSError) as e:
            connected.set(name, 1)
        assert e.value.errno == errno.EINVAL


@pytest.mark.parametrize('cut', range(2, 19))
def test_a_cookie_that_is_cut_off_is_refused(cut):
    """The option says more than the header holds: the segment is malformed."""
    s, listener = server()
    p = Peer(s)
    raw = (TFO + struct.pack('>B', 18) + b'c' * 16)[:cut]
    raw += b'' if len(raw) % 4 == 0 else b'\1' * (4 - len(raw) % 4)
    p.send('S', options=raw)
    if len(raw) < 18:
        p.none()
        assert s.counter('TCP_OPTION') == 1
    else:
        p.one('SA')
