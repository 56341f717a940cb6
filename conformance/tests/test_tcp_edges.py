# SPDX-License-Identifier: BSD-3-Clause
"""TCP: the rarer turns of RFC 9293. Data on a SYN and behind a FIN, closing too early, IP options and
soft errors seen from TCP, what options are emitted in every situation."""
import errno
import random

import pytest

from light import HANGUP, HOST, Stack, URGENT
from packets import icmp_error, quote
from peer import Peer, diff, established, opened
from tcpkit import PROFILES, acked, at_end, available, gone, pattern, pull, simultaneous, state


# covers: 9293-3.5-syn-data
@pytest.mark.parametrize('late', [False, True])
def test_data_on_a_syn(late):
    s = Stack()
    listener = s.listener()
    p = Peer(s)
    p.send('S', b'early', seq=p.isn)
    synack = p.one('SA')
    kept = diff(synack.ack, p.isn) - 1
    assert kept in (0, 5)
    p.seq = synack.ack
    if not late:
        p.send('A')
    p.send('PA', b'early and late'[kept:])
    sock = listener.accept()
    assert acked(p) == p.isn + 1 + 14
    assert available(sock) == b'early and late'


# covers: 9293-3.5-syn-data
def test_data_on_a_syn_ack():
    s = Stack()
    p = Peer(s, port=7000)
    sock = s.stream().connect(HOST, 7000)
    p.receive_syn()
    p.send('SA', b'greeting', seq=p.isn)
    seen = acked(p)
    kept = diff(seen, p.isn) - 1
    assert kept in (0, 8)
    p.seq = seen
    p.send('PA', b'greetings'[kept:])
    assert acked(p) == p.isn + 1 + 9
    assert available(sock) == b'greetings'


# covers: 9293-3.6-close-synrcvd
@pytest.mark.parametrize('how', ['close', 'shutdown'])
def test_close_in_syn_received_does_not_hang(how):
    s = Stack()
    p, sock = simultaneous(s)
    sock.close() if how == 'close' else sock.shutdown()
    reset = False
    for _ in range(20):
        found = p.segments()
        reset = reset or any('R' in f.flags for f in found)
        if reset or gone(p):
            break
        if any('F' in f.flags for f in found) and state(p) != 'TIME_WAIT':
            p.send('FA')
        else:
            p.send('A')
        s.run(10)
    assert reset or gone(p)
    s.run(300)
    assert s.memory()['connections'] == 0 and s.memory()['time_wait'] == 0


# covers: 9293-3.6-close-synrcvd
def test_close_in_syn_received_without_an_answer_does_not_hang():
    s = Stack()
    p, sock = simultaneous(s)
    sock.close()
    s.run(2000)
    assert gone(p) and s.memory()['connections'] == 0


# covers: 9293-3.6-data-after-fin
@pytest.mark.parametrize('inline', [0, 1])
def test_text_after_the_fin_is_ignored(inline):
    s = Stack()
    p, sock = established(s)
    sock.set('OOB_INLINE', inline)
    s.events_of(sock)
    p.send('PA', b'beyond', seq=p.seq + 4)          # kept beyond a gap, and then behind the FIN
    p.send('PA', b'further', seq=p.seq + 20)
    p.send('FPA', b'end')
    p.send('PA', b'evil')
    p.send('PA', b'more')
    p.send('UPA', b'urgent', urgent=6)
    p.send('FPA', b'again')
    s.run(1)
    assert available(sock) == b'end' and at_end(sock)
    assert not sock.ready() & URGENT and not s.events_of(sock) & URGENT
    assert sock.info()['bytes_received'] == 3
    assert state(p) == 'CLOSE_WAIT'
    sock.send(b'answer')
    assert p.segments()[-1].ack == p.isn + 1 + 4


# covers: 9293-3.6-data-after-fin
def test_text_after_a_fin_beyond_a_gap_is_ignored():
    s = Stack()
    p, sock = established(s)
    p.send('FPA', b'world', seq=p.seq + 6)
    p.send('PA', b'evil', seq=p.seq + 12)
    p.send('PA', b'worldly goods', seq=p.seq + 6)
    p.send('PA', b'hello ', seq=p.seq)
    p.send('PA', b'evil', seq=p.seq + 12)
    s.run(1)
    assert available(sock) == b'hello world' and at_end(sock)


# covers: MUST-47
@pytest.mark.parametrize('code, error', [(0, errno.ENETUNREACH), (1, errno.EHOSTUNREACH)])
def test_the_program_learns_of_soft_errors(code, error):
    s = Stack(profile='standard', tcp={'user_timeout': 60})
    p, sock = established(s)
    q, other = established(s, port=90)
    for c in (sock, other):
        c.send(b'into the void')
    sent = p.one('A')
    q.one('A')
    s.inject(icmp_error(3, code, quote(sent.frame)))
    assert state(p) == 'ESTABLISHED'
    for _ in range(30):
        s.run(20)
        if sock.ready() & other.ready() & HANGUP:
            break
    assert sock.take_error() == error
    assert other.take_error() == errno.ETIMEDOUT


def test_a_soft_error_is_forgotten_when_things_move_on():
    s = Stack(profile='standard', tcp={'user_timeout': 60})
    p, sock = established(s)
    sock.send(b'into the void')
    s.inject(icmp_error(3, 1, quote(p.one('A').frame)))
    p.send('A')
    sock.send(b'and again')
    s.run(400)
    assert sock.take_error() == errno.ETIMEDOUT


# covers: MUST-55 6633-3-tcp
def test_source_quench_is_discarded():
    s = Stack(tcp={'send_buffer_initial': 1 << 18, 'send_buffer_max': 1 << 18})
    p, sock = established(s)
    sock.send(pattern(100000))
    sent = p.segments()
    before = sock.info()
    for f in sent:
        s.inject(icmp_error(4, 0, quote(f.frame)))
    p.none()
    after = sock.info()
    assert all(before[k] == after[k] for k in ('cwnd', 'ssthresh', 'state', 'rto', 'send_unsent'))
    p.send('A')
    assert len(p.segments()) >= len(sent)


UNKNOWN_OPTIONS = [b'\x5e\4ab', b'\x9e\x08' + b'x' * 6, b'\1\1\1\0', b'\xde\3x\0', b'\1' * 3 + b'\x5e\x25' + b'y' * 35]


# covers: MUST-50
@pytest.mark.parametrize('options', UNKNOWN_OPTIONS)
def test_unknown_ip_options_do_not_matter(options):
    s = Stack()
    listener = s.listener()
    p = Peer(s)
    p.send('S', ip_options=options)
    p.one('SA', ack=p.seq, mss=1460)
    p.send('A', ip_options=options)
    sock = listener.accept()
    p.send('PA', b'data', ip_options=options)
    assert acked(p) == p.seq and sock.recv() == b'data'
    sock.send(b'answer')
    assert p.one('A', data=b'answer').ip[0] == 0x45
    p.send('A', ip_options=options)
    assert sock.info()['send_queued'] == 0
    p.send('FA', ip_options=options)
    assert acked(p) == p.seq and at_end(sock)


def every_kind_of_segment(s, **peer):
    """SYN, SYN-ACK, data, ACKs with one gap and with many, retransmissions, probes, FIN, RST."""
    p, sock = established(s, **peer)
    q, other = opened(s, port=7000, **peer)
    for a, b in ((p, sock), (q, other)):
        a.send('PA', b'in order')
        for gap in (5, 50, 100, 150, 200, 250):
            a.send('PA', b'later', seq=a.seq + gap)
        pull(a, b, pattern(5000))
        b.send(b'unanswered')
        s.run(5)
        a.segments()
        a.send('A')
        a.send('A', window=0)
        b.send(b'into a closed window')
        s.run(20)
        a.segments()
        a.send('A', window=5000)
        s.run(1)
        a.segments()
        a.send('A')
    sock.close()
    other.shutdown()
    s.run(2)
    other.abort()
    s.sent()


# covers: MUST-68 MUST-69 2018-3-format 2018-2-perm
@pytest.mark.parametrize('peer', [
    {}, {'timestamps': True}, {'wscale': 3}, {'sack': True}, {'timestamps': True, 'sack': True},
    {'timestamps': True, 'wscale': 0}, {'timestamps': True, 'sack': True, 'wscale': 7}, {'mss': None},
    {'mss': None, 'sack': True, 'wscale': 3}])
@pytest.mark.parametrize('profile', PROFILES)
def test_all_emitted_options_are_well_formed(peer, profile):
    """The oracle walks the options of every frame: lengths, padding, what belongs on a SYN only."""
    s = Stack(profile=profile)
    every_kind_of_segment(s, **peer)
    seen = s.oracle.seen
    assert seen['tcp option 2'] >= 2 and seen['tcp'] > 20 and seen['tcp rst'] and seen['tcp fin']
    if peer.get('timestamps'):
        assert seen['tcp option 8'] > 10
    if peer.get('sack'):
        assert seen['tcp option 5'] > 5
    else:
        assert seen['tcp option 5'] == 0


# covers: SHLD-14 7323-2.3-shift-out
@pytest.mark.parametrize('scaled', [False, True])
def test_windows_never_promise_too_much_nor_go_back(scaled):
    size = 200000
    s = Stack(tcp={'receive_buffer_initial': size, 'receive_buffer_max': size})
    listener = s.listener()
    p = Peer(s, wscale=2 if scaled else None)
    synack = p.connect()
    sock = listener.accept()
    shift = synack.options[3][0] if scaled else 0
    assert shift == (2 if scaled else 0)     # 65535 << 1 is less than 200000
    base, edge, read, sent = p.seq, synack.window, 0, 0
    stream, chance = pattern(600000), random.Random(5)
    for turn in range(4000):
        room = edge - sent
        if room > 0 and sent < len(stream):
            n = min(room, 1460, len(stream) - sent)
            p.send('A', stream[sent:sent + n])
            sent += n
        else:
            s.run(0.3)
        if chance.random() < 0.2:
            try:
                part = sock.recv(chance.randint(1, 20000))
            except OSError as e:
                assert e.errno == errno.EAGAIN
                part = b''
            assert part == stream[read:read + len(part)]
            read += len(part)
        for f in p.segments():
            right = diff(f.ack, base) + (f.window << shift)
            assert right > edge - (1 << shift), 'the right edge moved left'
            assert right - read <= size, 'more than fits was promised'
            edge = max(edge, right)
        if read == len(stream):
            break
    assert sent >= 300000
    assert stream[read:sent] == available(sock), 'a promise was broken'


# ---- timestamps and reassembly

# covers: 7323-4.3-recent
def test_which_timestamp_is_echoed():
    from peer import timestamps
    s = Stack()
    p, sock = established(s, timestamps=True)
    value = p.clock() + 1000

    def echo(seq, tsval, data=b'', flags='A'):
        p.send(flags, data, seq=seq, options=b'\1\1' + timestamps(tsval, p.ts_recent))
        s.run(0.6)
        p.segments()
        sock.send(b'?')
        x = p.segments()[-1]
        p.send('A', options=b'\1\1' + timestamps(0, 0))      # too old: changes nothing
        p.send('A', seq=x.ack, options=b'\1\1' + timestamps(x.tsecr, x.tsval))
        s.run(0.6)
        p.segments()
        return x.tsecr

    nxt = p.seq
    assert echo(nxt, value) == value                          # a bare ACK at Last.ACK.sent
    assert echo(nxt + 100, value + 10, b'later') == value     # beyond Last.ACK.sent
    assert echo(nxt, value + 5, b'x') == value + 5            # in order
    p.seq = nxt + 1
    assert echo(nxt, value + 7, b'xy') == value + 7           # acknowledged before, in part
    p.seq = nxt + 2
    assert echo(nxt + 2, value + 9) == value + 9              # no data
    assert echo(nxt + 2, value + 8, b'evil') == value + 9     # older: PAWS
    assert sock.recv() == b'xy'


# covers: 7323-5.3-once
def test_timestamps_of_queued_segments_are_not_tested_again():
    from peer import timestamps
    s = Stack()
    p, sock = established(s, timestamps=True)
    now = p.clock() + 100
    p.send('A', b'world', seq=p.seq + 5, options=b'\1\1' + timestamps(now, 0))
    p.send('A', b'hello', seq=p.seq, options=b'\1\1' + timestamps(now + 5000, 0))
    assert available(sock) == b'helloworld'


# ---- what SACK must not break

# covers: 6675-4-keep 2018-8-hold 2018-5-rto
@pytest.mark.parametrize('profile', PROFILES)
def test_a_peer_that_reneges_gets_everything_again(profile):
    from peer import sack
    s = Stack(profile=profile)
    p, sock = established(s, sack=True)
    stream = pattern(14600)
    sock.send(stream)
    sent = p.segments()
    assert len(sent) == 10
    front = sent[0].seq
    # Everything, even the left edge, is said to be here, and then it is not.
    p.ack = front
    p.send('A', options=b'\1\1' + sack((sent[1].seq, sent[-1].end)))
    p.send('A', options=b'\1\1' + sack((front, sent[-1].end)))
    p.segments()
    p.ack, p.got = front, b''
    s.run(3)
    again = p.segments()
    assert again and again[0].seq == front, 'the front is retransmitted after a timeout'
    for _ in range(60):
        if len(p.got) == len(stream):
            break
        p.send('A')
        s.run(3)
        p.segments()
    assert p.got == stream


# covers: 1191-6.4-retx
def test_what_was_too_big_is_sent_again_at_once():
    s = Stack()
    p, sock = established(s)
    stream = pattern(5840)
    sock.send(stream)
    sent = p.segments()
    assert len(sent) == 4
    p.ack, p.got = sent[0].seq, b''
    for f in sent:                           # a router tells of each
        s.inject(icmp_error(3, 4, quote(f.frame), extra=1000))
    s.run(0.01)
    again = p.segments()
    assert again and again[0].seq == sent[0].seq, 'waits for the timer'
    assert all(len(f.data) <= 960 for f in again)
    ranges = [(f.seq, f.end) for f in again]
    assert len(ranges) == len(set(ranges)), 'the burst of messages brought copies'
    for _ in range(50):
        if p.got == stream:
            break
        p.send('A')
        s.run(0.3)
        p.segments()
    assert p.got == stream
