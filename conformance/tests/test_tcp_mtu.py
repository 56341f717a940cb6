# SPDX-License-Identifier: BSD-3-Clause
"""Path MTU discovery by TCP itself (RFC 4821, 2923), with and without ICMP: the peer's path swallows what is too long."""
import errno

import pytest

from light import HOST, Stack
from packets import icmp_error, quote
from peer import M32, Peer, diff, established, sack
from tcpkit import PROFILES, available, pattern

RTT = 0.05


class Narrow(Peer):
    """A peer behind a path that loses what `eats` says; it acknowledges each segment, with SACK, a round trip later."""

    eats = staticmethod(lambda segment: False)

    def note(self, segment):
        if 'S' in segment.flags:
            super().note(segment)

    def arrived(self, segment):
        """Takes a segment in; returns the frame of the acknowledgment."""
        self.beyond = getattr(self, 'beyond', {})
        self.beyond[segment.seq] = segment.data
        while self.ack in self.beyond:
            data = self.beyond.pop(self.ack)
            self.got += data
            self.ack = self.ack + len(data) & M32
        for seq in [q for q in self.beyond if diff(q, self.ack) < 0]:
            data = self.beyond.pop(seq)
            fresh = data[diff(self.ack, seq):]
            self.got += fresh
            self.ack = self.ack + len(fresh) & M32
        return self.build('A', options=self.blocks(segment.seq))

    def blocks(self, newest):
        runs = []
        for seq in sorted(self.beyond, key=lambda q: diff(q, self.ack)):
            end = seq + len(self.beyond[seq]) & M32
            if runs and diff(seq, runs[-1][1]) <= 0:
                runs[-1][1] = max(runs[-1][1], end, key=lambda e: diff(e, self.ack))
            else:
                runs.append([seq, end])
        runs.sort(key=lambda r: not (diff(r[0], newest) <= 0 < diff(r[1], newest)))
        return b'\1\1' + sack(*runs[:4]) if runs else b''


def narrow(s, limit=None, **peer):
    """(peer, socket): an established connection; nothing longer than limit passes from now on."""
    listener = s.listener()
    p = Narrow(s, **{'sack': True, 'wscale': 7, **peer})
    p.send('S')
    p.one('SA')
    s.run(RTT)
    p.window = peer.get('window', 128)     # 16 KB with the scale of 7: so that round trips are few
    p.send('A')
    p.sock = listener.accept().set('SEND_BUFFER', 1 << 16)
    if limit:
        p.eats = lambda segment: len(segment.ip) > limit
    p.sent_all, p.queued = [], 0
    return p, p.sock


def fill(p, most=1 << 28):
    """The program keeps its buffer full, up to `most` bytes in all."""
    while p.queued < most:
        try:
            p.queued += p.sock.send(pattern(min(most - p.queued, 1 << 15), p.queued & 0xff))
        except OSError as e:
            assert e.errno == errno.EAGAIN
            return


def round_trip(p, most=1 << 28):
    """What is sent now, and the answers to it a round trip later; returns the segments."""
    fill(p, most)
    segments = [x for x in p.segments() if x.data]
    p.sent_all += segments
    p.stack.run(RTT)
    answers = [p.arrived(x) for x in segments if not p.eats(x)]
    for at in range(0, len(answers), 32):
        p.stack.inject(*answers[at:at + 32])
    return segments


def oversized(segments, size):
    return [x for x in segments if len(x.ip) > size]


def until_probe(p, size, rounds=100):
    """Goes on until a packet longer than size is sent, and returns it; it is not answered yet."""
    for _ in range(rounds):
        fill(p)
        segments = [x for x in p.segments() if x.data]
        p.sent_all += segments
        found = oversized(segments, size)
        if found:
            assert len(found) == 1
            return found[0], segments
        p.stack.run(RTT)
        answers = [p.arrived(x) for x in segments if not p.eats(x)]
        if answers:
            p.stack.inject(*answers[:32])
    raise AssertionError('no probe')


def answer(p, segments):
    p.stack.run(RTT)
    for x in segments:
        if not p.eats(x):
            p.stack.inject(p.arrived(x))


# covers: 4821-7.2-init 4821-7.1-range 4821-7.6.1-success
@pytest.mark.parametrize('mss', [1460, 1300])
def test_a_search_begins_at_the_base_and_a_probe_that_passes_raises_the_size(mss):
    s = Stack(tcp={'mtu_probing': 2})
    p, sock = narrow(s, mss=mss)
    probe, segments = until_probe(p, 1064)
    before = [x for x in p.sent_all if x is not probe]
    assert max(len(x.ip) for x in before) == 1064
    assert 1064 < len(probe.ip) <= mss + 40
    answer(p, segments)
    for _ in range(20):
        round_trip(p)
    assert max(len(x.ip) for x in p.sent_all[-20:]) == mss + 40


# covers: 4821-7.1-range
def test_probes_stay_in_the_range_and_all_else_within_what_passes():
    s = Stack(tcp={'mtu_probing': 2})
    p, sock = narrow(s, 1391)
    low, high = 1064, 1500
    for _ in range(1200):
        for x in round_trip(p):
            if len(x.ip) <= low:
                continue
            assert len(x.ip) <= high, 'a probe beyond search_high'
            if p.eats(x):
                high = len(x.ip) - 1
            else:
                low = len(x.ip)
        if high - low < 8:
            break
    assert 1391 - 8 < low <= 1391 <= high


# covers: 4821-7.4-pre
@pytest.mark.parametrize('data,window,probes', [(4400, 65535, 0), (4600, 65535, 1), (60000, 4400, 0), (60000, 4600, 1)])
def test_a_probe_needs_data_and_window_for_itself_and_three_segments(data, window, probes):
    s = Stack(tcp={'mtu_probing': 2})
    p, sock = narrow(s, wscale=None, window=window)
    sock.set('NODELAY', 1)
    fill(p, data)
    assert len(oversized(p.segments(), 1064)) == probes


# covers: 4821-7.4-pre
def test_one_probe_at_a_time_and_none_in_recovery():
    s = Stack(tcp={'mtu_probing': 2})
    p, sock = narrow(s, 1100)
    probe, segments = until_probe(p, 1064)
    # Everything but the probe is answered: no other one, however much may go.
    p.stack.run(RTT)
    for x in segments:
        if x is not probe:
            p.stack.inject(p.arrived(x))
            fill(p)
            assert not oversized([y for y in p.segments() if diff(y.seq, probe.seq) >= 0], 1064)
    q = Stack(tcp={'mtu_probing': 2})
    r, _ = narrow(q)
    fill(r)
    first = r.segments()
    lost = [x for x in first if x.data][0]
    # The first segment is lost, everything behind it has come: recovery lasts until it is acknowledged.
    probe = oversized(first, 1064)
    q.run(RTT)
    for x in first[1:]:
        if x.data:
            q.inject(r.arrived(x))
    in_recovery = r.segments()
    assert any(x.seq == lost.seq for x in in_recovery), 'the loss was not seen'
    assert len(probe) <= 1 and not oversized(in_recovery, 1064)


# covers: 4821-7.6.2-fail
def test_the_loss_of_a_probe_alone_is_no_congestion():
    s = Stack(tcp={'mtu_probing': 2})
    p, sock = narrow(s, 1400)
    probe, segments = until_probe(p, 1064)
    before = sock.info()['cwnd']
    answer(p, segments)
    again = [x for x in p.segments() if x.data]
    p.sent_all += again
    assert sock.info()['cwnd'] >= before, 'cwnd was reduced'
    pieces = sorted((x for x in again if diff(x.seq, probe.end) < 0), key=lambda x: x.seq)
    assert pieces and pieces[0].seq == probe.seq and pieces[-1].end == probe.end
    assert all(len(x.ip) <= 1064 for x in pieces)
    lost_at, window = s.now, sock.info()['cwnd'] // 1024
    answer(p, again)
    smaller, _ = until_probe(p, 1064, 1000)
    assert len(smaller.ip) < len(probe.ip), 'search_high did not fall'
    assert s.now - lost_at >= 0.7 * window * RTT, 'probes again too soon'


# covers: 4821-7.6.4-inconcl
def test_other_losses_beside_a_probe_say_nothing_of_the_size():
    s = Stack(tcp={'mtu_probing': 2})
    p, sock = narrow(s)
    probe, segments = until_probe(p, 1064)
    rest = []
    while len(rest) < 6:                     # enough behind it
        rest = [x for x in segments if diff(x.seq, probe.end) >= 0]
        if len(rest) < 6:
            p.stack.run(RTT)
            for x in segments:
                if diff(x.seq, probe.seq) < 0 and diff(x.seq, p.ack) >= 0:
                    p.stack.inject(p.arrived(x))
            more = [x for x in p.segments() if x.data]
            assert more
            segments += more
    before = sock.info()['cwnd']
    p.stack.run(RTT)
    for x in segments:
        if x is not probe and x is not rest[0] and diff(x.seq, p.ack) >= 0:
            p.stack.inject(p.arrived(x))
    again = [x for x in p.segments() if x.data]
    assert any(x.seq == probe.seq for x in again)
    answer(p, again)
    assert sock.info()['ssthresh'] < before, 'no response to congestion'
    second, _ = until_probe(p, 1064, 1000)
    assert len(second.ip) == len(probe.ip), 'the range has changed'


# covers: 4821-7.3-converge 2923-2.1-reprobe
def test_the_search_ends_and_begins_again_after_ten_minutes():
    s = Stack(tcp={'mtu_probing': 2})
    p, sock = narrow(s, 1400)
    last, passed, high = 0, 1064, 1500
    for _ in range(1000):
        for x in round_trip(p):
            last = s.now if len(x.ip) > passed else last
            if p.eats(x):
                high = min(high, len(x.ip) - 1)
            else:
                passed = max(passed, len(x.ip))
        if high - passed < 8:
            break
    assert 1400 - 8 < passed <= 1400
    p.eats = lambda segment: False
    for moment in (100, 300, 580):
        while round_trip(p, p.queued):
            pass
        s.until(last + moment)
        for _ in range(4):
            assert not oversized(round_trip(p), passed), 'the search did not end'
    while round_trip(p, p.queued):
        pass
    s.until(last + 620)
    for _ in range(10):
        round_trip(p)
    assert sock.get('MAXSEG') == 1460


# covers: 4821-7.7-blackhole 2923-2.1-blackhole
@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('with_sack', [True, False])
def test_a_transfer_through_a_black_hole_completes(profile, with_sack):
    s = Stack(profile=profile)
    p, sock = narrow(s, 1000, sack=with_sack)
    if not with_sack:
        p.blocks = lambda newest: b''
    total = 200000
    sizes = []
    for _ in range(3000):
        for x in round_trip(p, total):
            if not sizes or sizes[-1] != len(x.ip):
                sizes.append(len(x.ip))
        if len(p.got) == total:
            break
    assert len(p.got) == total
    # 1500, then the base, then half of it, which passes.
    assert sizes[0] == 1500 and sizes.index(1064) < sizes.index(552)
    first = p.sent_all[0].seq
    assert len([x for x in p.sent_all if x.seq == first and len(x.ip) == 1500]) >= 3, 'the size fell before R1'


# covers: 2923-2.1-reprobe
def test_larger_packets_come_back_when_the_black_hole_was_none():
    s = Stack()
    p, sock = narrow(s, 1000)
    for _ in range(300):
        round_trip(p)
        if len(p.got) > 20000:
            break
    assert sock.get('MAXSEG') < 1024
    p.eats = lambda segment: False
    for _ in range(2000):
        round_trip(p)
        if sock.get('MAXSEG') >= 1450:
            break
    assert sock.get('MAXSEG') >= 1450


# covers: 4821-4-rescale
def test_a_larger_size_leaves_cwnd_its_bytes():
    s = Stack(tcp={'mtu_probing': 2})
    p, sock = narrow(s)
    probe, segments = until_probe(p, 1064)
    p.stack.run(RTT)
    for x in segments:
        if diff(x.seq, probe.end) > 0:
            break
        before = sock.info()['cwnd']
        p.stack.inject(p.arrived(x))
    # Slow start adds what was acknowledged, and no more.
    assert sock.get('MAXSEG') == 1460
    assert sock.info()['cwnd'] <= before + len(probe.data)


# covers: 4821-4-rescale
def test_a_smaller_size_leaves_cwnd_its_packets():
    s = Stack()
    p, sock = narrow(s)
    for _ in range(3):
        segments = round_trip(p)
    fill(p)
    segments = p.segments()
    before = sock.info()['cwnd']
    s.inject(icmp_error(3, 4, quote(segments[0].frame), extra=770))
    assert sock.get('MAXSEG') == 730
    assert sock.info()['cwnd'] <= before // 2


# covers: 1191-6.4-cwnd
def test_a_packet_that_is_too_big_is_no_congestion():
    s = Stack()
    p, sock = narrow(s)
    for _ in range(3):
        round_trip(p)
    fill(p)
    segments = p.segments()
    before, threshold = sock.info()['cwnd'], sock.info()['ssthresh']
    s.inject(icmp_error(3, 4, quote(segments[0].frame), extra=1400))
    s.run(0.001)
    assert any(x.seq == segments[0].seq for x in p.segments())
    assert sock.info()['cwnd'] > before * 0.9 and sock.info()['ssthresh'] >= threshold * 0.9


# covers: 2923-2.2-stretch
def test_small_segments_of_a_large_mss_do_not_stretch_acks():
    s = Stack(mtu=9000)
    p, sock = established(s, mss=8960, window=65535)
    last, unacked = p.seq, 0
    for _ in range(200):
        p.send('A', b'x' * 1460)
        unacked += 1
        available(sock)                      # what it says of the window acknowledges, too
        for f in p.segments():
            if diff(f.ack, last) > 0:
                last, unacked = f.ack, 0
        assert unacked < 2


# covers: sock-ip-mtu
def test_ip_mtu_tells_the_present_path_mtu():
    s = Stack()
    p, sock = narrow(s)
    assert sock.get('MTU') == 1500
    sock.send(pattern(1460))
    s.inject(icmp_error(3, 4, quote(p.segments()[0].frame), extra=1200))
    assert sock.get('MTU') == 1200
    u = s.datagram().connect(HOST, 99)
    assert u.get('MTU') == 1200
    with pytest.raises(OSError) as e:
        s.datagram().get('MTU')
    assert e.value.errno == errno.ENOTCONN
