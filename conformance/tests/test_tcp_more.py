# SPDX-License-Identifier: BSD-3-Clause
"""TCP beyond the core: TIME-WAIT reuse (RFC 6191), the DSCP of a connection, shrunk windows, and what a peer may try that
is rare. Priority 2 and 3 rows."""
import errno

import pytest

from light import ADDR, Stack, errno_of
from packets import icmp_error, quote
from peer import M32, Peer, diff, established, timestamps
from tcpkit import pattern, time_wait


# covers: SHLD-2
def test_a_reset_with_data():
    s = Stack()
    p, sock = established(s)
    p.send('R', b'reason: none')
    assert p.state() == 'CLOSED' and errno_of(sock.recv) == errno.ECONNRESET


# ---- TIME-WAIT

def waiting(stamps, **settings):
    """A connection in TIME-WAIT whose socket is closed; the peer's next number is one behind its FIN."""
    s = Stack(**settings)
    p, sock = time_wait(s, timestamps=stamps)
    sock.close()
    s.run(2)
    return s, p


def syn_again(s, p, seq, stamp=None):
    """A SYN on the old four-tuple: (the answer or None, the peer that asked)."""
    q = Peer(s, port=p.port, stack_port=p.stack_port, isn=seq & M32)
    q.send('S', options=timestamps(stamp, 0) if stamp is not None else None)
    found = q.segments()
    assert len(found) <= 1
    return (found[0] if found else None), q


def accepted(answer):
    return answer is not None and set(answer.flags) == {'S', 'A'}


# covers: SHLD-4 6191-2-tsnewer MAY-2
@pytest.mark.parametrize('offset', [-100000, 0, 100000])
def test_a_newer_timestamp_ends_time_wait(offset):
    s, p = waiting(True)
    old_end = p.ack
    answer, q = syn_again(s, p, p.seq + offset, stamp=p.clock() + 1)
    assert accepted(answer)
    assert diff(answer.seq, old_end) > 0              # beyond all that the old connection used
    q.send('A', options=timestamps(p.clock() + 2, answer.tsval))
    p.listener.accept()
    assert s.memory()['time_wait'] == 0


# covers: 6191-2-tsequal 6191-2-nots
@pytest.mark.parametrize('stamped', [True, False])
def test_else_the_number_decides(stamped):
    for offset, expected in ((1000, True), (-1000, False)):
        s, p = waiting(True)
        # The timestamp of the peer's FIN is the last one seen.
        stamp = p.clock() - 2000 if stamped else None
        answer, _ = syn_again(s, p, p.seq + offset, stamp)
        assert accepted(answer) == expected, offset
        assert s.memory()['time_wait'] == (0 if expected else 1)


# covers: 6191-2-oldnots MAY-2
def test_time_wait_without_timestamps():
    for offset, stamp, expected in ((1000, None, True), (-1000, None, False), (1000, 77, True)):
        s, p = waiting(False)
        answer, _ = syn_again(s, p, p.seq + offset, stamp)
        assert accepted(answer) == expected, (offset, stamp)


# covers: 6191-2-drop
def test_other_syns_do_not_end_time_wait():
    s, p = waiting(True)
    answer, _ = syn_again(s, p, p.seq - 1000, stamp=p.clock() - 100000)
    assert not accepted(answer) and s.memory()['time_wait'] == 1
    if answer:
        assert set(answer.flags) == {'A'} and answer.ack == p.seq


# ---- DSCP

# covers: SHLD-21 SHLD-22 SHLD-23
def test_dscp_follows_the_socket():
    s = Stack()
    p, sock = established(s)
    for dscp in range(64):
        sock.set('TOS', dscp << 2)
        for _ in range(2):
            sock.send(b'x')
            for x in p.segments():
                assert x.ip[1] >> 2 == dscp
            p.send('A')


# ---- trouble on the way

# covers: SHLD-9
def test_trouble_can_be_seen():
    s = Stack()
    p, sock = established(s)
    sock.send(b'lost')
    s.run(10)
    info = sock.info()
    assert info['retransmits'] >= 3 and info['backoff'] >= 3 and info['retransmitted_total'] >= 3
    assert sock.take_error() == 0


# covers: SHLD-25
def test_the_soft_error_is_kept():
    s = Stack()
    p, sock = established(s)
    sock.send(b'data')
    s.inject(icmp_error(11, 0, quote(p.one('A').frame)))
    s.run(2000)
    assert sock.take_error() == errno.EHOSTUNREACH


# covers: SHLD-20
def test_soft_errors_are_not_told_unasked():
    s = Stack()
    p, sock = established(s)
    sock.send(b'data')
    x = p.one('A')
    for code in (0, 1, 5):
        s.inject(icmp_error(3, code, quote(x.frame)))
    assert sock.take_error() == 0
    p.send('A', b'and on')
    assert sock.recv() == b'and on'


# covers: SHLD-16 SHLD-17 MAY-7
def test_a_shrunk_window():
    s = Stack()
    p, sock = established(s, window=20000)
    sock.send(pattern(14600))
    first = p.segments()
    assert sum(len(x.data) for x in first) == 14600
    base = first[0].seq
    p.send('A', ack=base, window=3000)                   # most of what is out lies beyond now
    sock.send(pattern(5000))
    for _ in range(40):                                  # the peer answers, and its window stays small
        s.run(20)
        for x in p.segments():
            assert diff(x.end, base) <= 14600, 'new data beyond the edge'
        p.send('A', ack=base, window=3000)
    assert sock.state() == 'ESTABLISHED'
    p.segments()
    p.window, p.ack = 20000, base
    for _ in range(40):
        p.send('A')
        s.run(1)
        p.segments()
    assert p.got[-19600:] == pattern(14600) + pattern(5000)


# covers: 9293-A.3-minshall
def test_the_odd_end_of_a_large_write_leaves_at_once():
    s = Stack()
    p, sock = established(s)
    sock.send(pattern(1460 * 3 + 100))
    assert [len(x.data) for x in p.segments()] == [1460, 1460, 1460, 100]
    sock.send(b'tiny')                                   # but this waits for the 100 bytes before it
    p.none()
    p.send('A')
    assert p.one('A').data == b'tiny'


# covers: MAY-6
def test_a_probe_with_an_old_byte():
    s = Stack()
    p, sock = established(s)
    p.send('A', b'abc')
    assert sock.recv() == b'abc'
    s.run(1)
    p.segments()
    p.send('A', b'X', seq=p.seq - 1)
    assert p.one('A').ack == p.seq
    assert errno_of(sock.recv) == errno.EAGAIN


# covers: MAY-10 MAY-11
@pytest.mark.parametrize('options', [b'\x44\x0c\5\0' + bytes(8), b'\7\x0b\4' + bytes(8) + b'\0'],
                         ids=['timestamp', 'record route'])
def test_ip_options_that_are_not_acted_on(options):
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    p.connect(ip_options=options)
    sock = listener.accept()
    p.send('A', b'data', ip_options=options)
    assert sock.recv() == b'data'
    sock.send(b'back')
    assert p.segments()[-1].data == b'back'


# covers: MAY-16
def test_corked_writes_are_aggregated():
    s = Stack()
    p, sock = established(s)
    sock.set('CORK', 1)
    for _ in range(10):
        sock.send(b'h' * 100)
    p.none()
    sock.set('CORK', 0)
    assert len(p.one('A').data) == 1000


# ---- timestamps

# covers: 7323-3.2-noack
def test_tsecr_means_something_only_with_ack():
    s = Stack()
    p = Peer(s, port=80, timestamps=True)
    s.stream().connect(p.addr, 80)
    assert p.receive_syn().tsecr == 0
    listener = s.listener(90)
    q = Peer(s, stack_port=90, timestamps=True)
    q.send('S', options=timestamps(q.clock(), 0xdeadbeef))
    q.one('SA')
    s.run(0.5)
    q.send('A')
    rto = listener.accept().info()['srtt']
    assert 0 < rto < 1_000_000_000


# covers: 7323-3.2-missing
def test_a_segment_without_its_timestamp_does_not_abort():
    s = Stack()
    p, sock = established(s, timestamps=True)
    p.send('A', b'bare', seq=p.seq, options=b'')
    taken = b'' if errno_of(sock.recv) else b'bare'
    assert p.state() == 'ESTABLISHED'
    if not taken:
        p.send('A', b'bare')
    p.seq += len(taken)
    p.send('A', b'stamped')
    assert sock.recv().endswith(b'stamped')


# covers: 7323-5.5-stale
def test_after_24_days_an_old_timestamp_is_no_more_old():
    s = Stack()
    p, sock = established(s, timestamps=True)
    p.send('A', b'x', options=timestamps(0x70000000, p.ts_recent))
    sock.recv()
    s.run(25 * 86400)
    p.segments()
    p.send('A', b'restamped', options=timestamps(0x60000000, p.ts_recent))
    assert sock.recv() == b'restamped'
    p.send('A', b'more', options=timestamps(0x60000001, p.ts_recent))
    assert sock.recv() == b'more'


# covers: 7323-5.7-pmtud
def test_stamped_segments_have_df():
    s = Stack()
    p, sock = established(s, timestamps=True)
    sock.send(pattern(4000))
    found = p.segments()
    assert found and all(x.ip[6] & 0x40 for x in found)
    s.inject(icmp_error(3, 4, quote(found[0].frame), extra=1300))
    assert max(len(x.ip) for x in p.segments()) <= 1300


# covers: 7323-5.4-offset
def test_timestamps_do_not_tell_the_uptime():
    s = Stack()
    s.listener(80)
    values = set()
    for i in range(5):
        addr = f'192.0.2.{30 + i}'
        s.neighbour(addr, '02:00:00:00:00:30')
        values.add(Peer(s, addr=addr, timestamps=True).connect().tsval)
    spread = sorted(values)
    assert len(values) == 5 and spread[-1] - spread[0] > 1 << 24


# ---- forgeries

# covers: 5961-7-sidechannel
def test_challenges_of_one_connection_tell_nothing_of_another():
    s = Stack()
    p, sock = established(s)
    q, other = established(s, port=81)
    for i in range(200):
        p.send('R', seq=p.seq + 1 + i)
    p.segments()
    for i in range(3):
        q.send('R', seq=q.seq + 1 + i)
    assert len(q.segments()) == 3


# covers: linux-invalid-ratelimit
def test_answers_to_empty_refused_segments_are_limited():
    s = Stack()
    p, sock = established(s)
    for _ in range(100):
        p.send('A', seq=p.seq - 5000)
        s.run(0.02)
    assert 1 <= len(p.segments()) <= 5
    for i in range(5):                                   # with new data there is no limit
        p.send('A', b'x', seq=p.seq + 10 * (i + 1))
    assert len(p.segments()) == 5


# ---- windows and acknowledgments as Linux has them

# covers: linux-iw-rwnd
def test_the_first_window_takes_ten_segments():
    s = Stack()
    s.listener(80)
    assert Peer(s, wscale=7).connect().window >= 14600


# covers: linux-quickack
def test_the_first_segments_are_acknowledged_at_once():
    s = Stack()
    p, sock = established(s)
    for _ in range(6):
        p.send('A', pattern(1460))
        assert p.one('A').ack == p.seq
        s.run(0.01)
        sock.recv()


# covers: linux-delack
def test_the_delayed_ack_of_linux():
    s = Stack()
    p, sock = established(s)
    # A conversation: each request has its answer, and the answer carries the ACK.
    for _ in range(30):
        p.send('PA', pattern(1000))
        sock.recv()
        sock.send(b'answer')
        s.run(0.0001)
        p.segments()
        p.send('A')
    start = s.now
    p.send('PA', b'small')
    s.run(0.5)
    assert 0.0399 <= p.one('A').time - start <= 0.2001


def test_one_way_small_writes_do_not_wait_for_the_delayed_ack_each_time():
    s = Stack()
    p, sock = established(s)
    start = s.now
    for _ in range(50):
        p.send('PA', b'small')
        while not p.segments():
            s.run(0.0001)
            assert s.now - start < 0.2
        sock.recv()


# covers: linux-autotune
def test_the_window_grows_for_a_reader_that_keeps_up():
    s = Stack()
    listener = s.listener(80)
    p = Peer(s, wscale=7)
    p.send('S')
    p.one('SA')
    s.run(0.1)
    p.send('A')
    sock = listener.accept()
    edge, sent = 0, 0
    scale = sock.info()['receive_scale']
    for _ in range(14):                                  # round trips of 100 ms
        segments = p.segments()
        window = (segments[-1].window << scale) if segments else 65535
        edge = max(edge, window)
        burst = []
        while len(burst) * 1460 < min(window - 1460, 1 << 20):
            burst.append(p.build('A', pattern(1460), seq=p.seq + len(burst) * 1460))
        for i in range(0, len(burst), 64):
            s.inject(*burst[i:i + 64])
            while not errno_of(lambda: sock.recv(1 << 20)):
                pass
        p.seq = p.seq + len(burst) * 1460 & M32
        sent += len(burst) * 1460
        s.run(0.1)
        if edge >= 1_250_000:
            break
    assert edge >= 1_250_000, f'{edge} after {sent} bytes'


# covers: SHLD-6
def test_the_mss_follows_the_smallest_mtu():
    s = Stack(mtu=1000)
    s.listener(80)
    p = Peer(s, stack_addr=ADDR)
    assert p.connect().mss == 960


# ---- super-frames (a link that takes and gives runs of segments as one packet)

def test_super_frames_carry_the_same_stream():
    s = Stack(flags=('tso', 'tx_csum', 'rx_csum'))
    p, sock = established(s)
    data = pattern(60000)
    sock.send(data)
    longest = 0
    for _ in range(60):
        for x in p.segments():
            longest = max(longest, len(x.data))
            assert len(x.data) <= 1460 or x.frame.gso == 1460
        if len(p.got) == len(data):
            break
        p.send('A')
        s.run(0.01)
    assert p.got == data and longest > 1460
    p.send('A')
    s.request('good', s.interface, 1)
    p.send('A', pattern(20000))
    assert sock.recv() == pattern(20000)
    s.run(0.5)
    assert p.segments()[-1].ack == p.seq
