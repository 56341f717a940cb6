# SPDX-License-Identifier: BSD-3-Clause
"""Options: RFC 9293 3.1, 3.2 and 3.7.1 (MSS), RFC 7323 (window scale, timestamps), RFC 2018 (permission only)."""
import struct

import pytest

from light import HOST, Stack
from packets import icmp_error, quote
from peer import (M32, SACK_PERMITTED, Peer, established, mss, opened, sack, timestamps, wscale)

UNKNOWN = b'\xfa\x06abcd'


def largest(p, sock, n=20000):
    """The largest payload that the stack sends when it has plenty."""
    sock.send(b'm' * n)
    sizes = []
    for _ in range(30):
        sizes += [len(x.data) for x in p.segments()]
        p.send('A')
    assert sum(sizes) == n
    return max(sizes)


# covers: MUST-4 MUST-64
@pytest.mark.parametrize('options', [
    b'\1\1\1' + mss(500) + b'\0' + b'\2\4\5\xb4',           # EOL, then something like an option
    b'\1' + mss(500) + b'\0\0\0',
    wscale(2) + mss(500) + b'\0',                           # MSS at an odd offset
    mss(500) + b'\1' + wscale(1),
    SACK_PERMITTED + b'\1' + mss(500) + b'\1',
], ids=['nop-eol-garbage', 'odd', 'odd-after-scale', 'scale-last', 'odd-after-sack'])
def test_options_of_a_syn(options):
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    p.connect(options=options)
    sock = listener.accept()
    assert largest(p, sock) == 500


# covers: MUST-6
@pytest.mark.parametrize('unknown', [UNKNOWN, b'\xfd\2', b'\xc8\x03x', b'\x1e' + bytes([24]) + b'z' * 22])
def test_an_unknown_option_before_a_known_one(unknown):
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    p.connect(options=unknown + mss(500))
    sock = listener.accept()
    assert largest(p, sock) == 500
    p.send('A', b'data', options=unknown)
    assert sock.recv() == b'data'


# covers: MUST-5
def test_options_on_any_segment():
    s = Stack()
    options = b'\1\1\1' + UNKNOWN + b'\1\1\1'
    p, sock = established(s)
    p.send('A', b'data', options=options)
    assert sock.recv() == b'data'
    sock.send(b'answer')
    p.segments()
    p.send('A', options=options)
    assert sock.info()['send_queued'] == 0
    p.send('FA', options=options)
    assert sock.recv() == b''
    q, other = established(s, port=81)
    q.send('R', options=options)
    assert q.state() == 'CLOSED'


# covers: MUST-64
def test_unaligned_timestamps_are_read():
    s = Stack()
    p, sock = established(s, timestamps=True)
    for lead in (b'', b'\1', b'\1\1', b'\1\1\1'):
        value = p.clock() + 1000 * len(lead)
        p.send('A', b'd', options=lead + timestamps(value, p.ts_recent))
        s.run(0.5)
        assert p.segments()[-1].tsecr == value


# covers: MUST-7
def test_illegal_option_lengths_do_no_harm():
    s = Stack()
    safe, sock = established(s)
    listener = s.listener(81)
    for kind in (2, 3, 4, 5, 8, 30, 254):
        for length in (0, 1, 41, 255):
            for lead in (b'', b'\1\1', b'\1\1\1'):
                bad = (lead + bytes([kind, length]) + b'ab').ljust(8, b'\1')
                p = Peer(s, port=41000, stack_port=81)
                p.send('S', options=bad)
                for x in p.segments():
                    p.send('R', seq=p.isn + 1)
                safe.send('A', b'x', seq=safe.seq, options=bad)
                safe.seq += len(sock.recv()) if sock.ready() & 1 else 0
        # The length byte itself is missing.
        Peer(s, port=41001, stack_port=81).send('S', options=b'\1\1\1' + bytes([kind]))
    for kind, wrong in ((2, 3), (2, 5), (3, 4), (4, 3), (8, 9), (8, 11), (8, 4)):
        Peer(s, port=41002, stack_port=81).send('S', options=bytes([kind, wrong]) + b'\1' * 10)
    safe.segments()
    assert safe.state() == 'ESTABLISHED'
    safe.send('A', b'works')
    assert sock.recv() == b'works'
    s.run(100)
    q = Peer(s, port=42000, stack_port=81)
    q.connect()
    assert listener.state() == 'LISTEN'


# covers: MUST-14 SHLD-5 MUST-67
@pytest.mark.parametrize('mtu', [1500, 1400, 576])
def test_mss_is_announced(mtu):
    s = Stack(mtu=mtu)
    s.listener(80)
    p = Peer(s)
    assert p.connect().mss == mtu - 40
    q = Peer(s, port=90)
    s.stream().connect(HOST, 90)
    assert q.receive_syn().mss == mtu - 40


# covers: MUST-14 MUST-16
@pytest.mark.parametrize('peer_mss,stamps,expected', [
    (1460, False, 1460), (1460, True, 1448), (1000, True, 988), (1000, False, 1000), (65535, False, 1460),
    (100, False, 100), (536, True, 524)])
def test_effective_send_mss(peer_mss, stamps, expected):
    s = Stack()
    p, sock = established(s, mss=peer_mss, timestamps=stamps)
    assert largest(p, sock) == expected


# covers: MUST-15
@pytest.mark.parametrize('open_it', [established, opened])
def test_without_an_mss_option_536(open_it):
    s = Stack()
    p, sock = open_it(s, mss=None)
    assert largest(p, sock) == 536


# covers: MUST-65
def test_mss_belongs_to_the_syn():
    s = Stack()
    p, sock = established(s, mss=1000)
    p.send('A', options=mss(200))
    p.send('A', b'x', options=mss(1460))
    assert largest(p, sock) == 1000
    sock.shutdown()
    assert all(2 not in x.options for x in p.segments())
    p.send('FA')
    assert all(2 not in x.options for x in p.segments())


# covers: SHLD-28 SHLD-27
def test_full_segments():
    s = Stack()
    p, sock = established(s, window=0)
    for _ in range(300):
        sock.send(b'w' * 33)                          # 9900 bytes
    assert not any(x.data for x in p.segments())
    p.send('A', window=65535)
    sizes = [len(x.data) for x in p.segments() if x.data]
    assert sizes == [1460] * 6 + [9900 - 6 * 1460]


# covers: MUST-2 MUST-68 9293-3.1-reserved 7323-3.2-always
def test_every_kind_of_segment_is_well_formed():
    """The oracle looks at each; here all kinds are made."""
    s = Stack()
    for stamps in (False, True):
        p, sock = established(s, port=80 + stamps, timestamps=stamps, sack=True, wscale=3)
        sock.send(b'data' * 700)
        s.run(2)                                      # retransmissions
        p.segments()
        p.send('A', b'gap', seq=p.seq + 100)
        p.send('A', window=0)
        sock.send(b'probe')
        s.run(3)
        p.send('A', window=100)
        s.run(3)
        sock.set('KEEPALIVE', 1).set('KEEP_IDLE', 5)
        p.segments()
        p.send('A')
        s.run(20)
        sock.shutdown()
        s.run(2)
        found = p.segments()
        p.send('A')
        p.send('R', seq=p.seq + 5)
        found += p.segments()
        assert all((8 in x.options) == stamps for x in found)
        p.send('FA')
        q, other = established(s, port=90 + stamps, timestamps=stamps)
        other.abort()
        assert 'R' in q.one().flags
    Peer(s, stack_port=99).send('S')
    seen = s.oracle.seen
    assert all(seen['tcp ' + kind] for kind in ('syn', 'ack', 'fin', 'rst', 'psh'))
    assert seen['tcp'] > 30 and seen['tcp option 2'] and seen['tcp option 8'] and seen['tcp option 3']


# covers: 9293-3.1-reserved
@pytest.mark.parametrize('bits', [1, 2, 4, 8, 15])
def test_reserved_bits_are_ignored(bits):
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    p.connect(reserved=bits & 14)                     # bit 0 was ECN nonce sum
    sock = listener.accept()
    p.send('A', b'data', reserved=bits)
    assert sock.recv() == b'data'
    p.send('FA', reserved=bits)
    assert sock.recv() == b''


# covers: 9293-3.1-dataoff
def test_an_impossible_data_offset_is_dropped():
    s = Stack()
    p, sock = established(s)
    s.listener(81)
    for offset in list(range(0, 5)) + [7, 10, 15]:
        p.send('A', b'abcd', seq=p.seq, offset=offset)
        if offset < 5 or offset > 6:
            p.none()
        q = Peer(s, port=45000 + offset, stack_port=81)
        s.inject(q.build('S', options=b'', offset=offset))
        q.none()
    for cut in range(34, 54):                         # and segments that end in the header
        s.inject(shorter(p.build('A', b'', seq=p.seq), cut))
    p.none()
    p.send('A', b'good')
    assert sock.recv() == b'good'


def shorter(frame, n):
    """Cut to n bytes, with lengths and checksums right for that."""
    from oracle import checksum
    frame = frame[:n]
    ip = frame[14:16] + struct.pack('>H', n - 14) + frame[18:24] + b'\0\0' + frame[26:34]
    ip = ip[:10] + struct.pack('>H', checksum(ip)) + ip[12:]
    tcp = frame[34:]
    if len(tcp) >= 18:
        tcp = tcp[:16] + b'\0\0' + tcp[18:]
        total = checksum(ip[12:20] + struct.pack('>HH', 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack('>H', total) + tcp[18:]
    return frame[:14] + ip + tcp


# covers: MUST-3
@pytest.mark.parametrize('state', ['LISTEN', 'SYN_SENT', 'ESTABLISHED', 'FIN_WAIT_2'])
def test_any_flipped_bit_is_noticed(state):
    s = Stack()
    listener = s.listener(80)
    p = Peer(s)
    if state == 'LISTEN':
        frame = p.build('S')
    elif state == 'SYN_SENT':
        p = Peer(s, port=80)
        s.stream().connect(HOST, 80)
        p.receive_syn()
        frame = p.build('SA')
    else:
        p.connect()
        sock = listener.accept()
        if state == 'FIN_WAIT_2':
            sock.shutdown()
            p.one('FA')
            p.send('A')
        frame = p.build('PA', b'data!')
    before = p.state()
    for bit in range((len(frame) - 34) * 8):
        flipped = bytearray(frame)
        flipped[34 + bit // 8] ^= 1 << bit % 8
        s.inject(bytes(flipped))
    s.none()
    assert p.state() == before
    s.inject(frame)
    if state == 'LISTEN':
        p.one('SA')
    elif state == 'SYN_SENT':
        p.one('A')
    else:
        assert sock.recv() == b'data!'


# covers: 7323-2.2-offer 7323-2.2-synack
def test_window_scale_is_offered_and_answered():
    s = Stack()
    p = Peer(s, port=80)
    s.stream().connect(HOST, 80)
    assert 0 <= p.receive_syn().options[3][0] <= 14
    s.listener(90)
    assert 3 in Peer(s, stack_port=90, wscale=0).connect().options
    assert 3 not in Peer(s, port=40001, stack_port=90).connect().options


# covers: 7323-2.2-both
def test_both_sides_must_offer_scaling():
    s = Stack()
    p, sock = opened(s, wscale=None, window=3000)
    sock.send(b'x' * 20000)
    assert sum(len(x.data) for x in p.segments()) == 3000
    q, other = established(s, port=90, wscale=None)
    q.send('A', b'y')
    s.run(0.5)
    window = q.segments()[-1].window
    q.send('A', b'z', seq=q.seq + window - 1)         # the last byte of the raw window
    assert q.one('A').ack == q.seq
    assert other.info()['receive_scale'] == other.info()['send_scale'] == 0


# covers: 7323-2.2-nonsyn
def test_window_scale_off_a_syn_is_ignored():
    s = Stack()
    p, sock = established(s, wscale=1, window=1000)
    p.send('A', options=wscale(7))
    sock.send(b'x' * 10000)
    sent = p.segments()
    assert sum(len(x.data) for x in sent) == 2000
    assert all(3 not in x.options for x in sent)


# covers: 7323-2.2-synunscaled
def test_the_window_of_a_syn_is_not_scaled():
    s = Stack(tcp={'initial_window': 40})
    p = Peer(s, port=80, wscale=7, window=4000)
    sock = s.stream().connect(HOST, 80)
    p.receive_syn()
    p.send('SA')
    p.one('A')
    sock.send(b'x' * 20000)
    assert sum(len(x.data) for x in p.segments()) == 4000
    s.listener(90)
    synack = Peer(s, stack_port=90, wscale=7).connect()
    assert synack.window >= 5000


# covers: 7323-2.3-shift-in
@pytest.mark.parametrize('shift', [0, 1, 7, 14])
def test_the_peers_window_is_shifted(shift):
    s = Stack(tcp={'initial_window': 200, 'send_buffer_initial': 1 << 20, 'send_buffer_max': 1 << 20})
    p, sock = established(s, wscale=shift, window=65535)
    field = max(3 << 14 >> shift, 3)
    p.send('A', window=field)
    sock.send(b'x' * ((field << shift) + 5000))
    s.run(0.01)
    got = sum(len(x.data) for x in p.segments())
    assert got == field << shift


# covers: 7323-2.3-max14
@pytest.mark.parametrize('shift', [15, 255])
def test_a_shift_is_at_most_14(shift):
    s = Stack(tcp={'initial_window': 200, 'receive_buffer_max': 1 << 30})
    p, sock = established(s, wscale=shift)
    assert sock.info()['send_scale'] == 14
    p.send('A', window=2)
    sock.send(b'x' * 100000)
    s.run(0.01)
    assert sum(len(x.data) for x in p.segments()) == 2 << 14
    q = Peer(s, port=90)
    s.stream().connect(HOST, 90)
    assert q.receive_syn().options[3][0] <= 14


# covers: 7323-3.2-offer
def test_timestamps_are_offered_and_answered():
    s = Stack()
    p = Peer(s, port=80)
    s.stream().connect(HOST, 80)
    syn = p.receive_syn()
    assert syn.tsecr == 0
    s.listener(90)
    q = Peer(s, stack_port=90, timestamps=True)
    value = q.clock()
    assert q.connect().tsecr == value
    assert 8 not in Peer(s, port=40001, stack_port=90).connect().options


# covers: 7323-3.2-unneg
def test_an_unnegotiated_timestamp_is_ignored():
    s = Stack()
    p, sock = established(s)
    for value in (5, 1, 0x80000000):
        p.send('A', b'data', options=timestamps(value, 77))
        assert sock.recv() == b'data'
    s.run(0.5)
    assert all(8 not in x.options for x in p.segments())


# covers: 7323-5.4-clock
def test_the_timestamp_clock():
    s = Stack()
    p, sock = established(s, timestamps=True)
    samples = []
    for _ in range(50):
        s.run(0.731)
        sock.send(b'x')
        samples += [(x.time, x.tsval) for x in p.segments() if x.data][:1]
        p.send('A')
    ticks = [(b[1] - a[1] & M32) / (b[0] - a[0]) for a, b in zip(samples, samples[1:])]
    assert all(1 <= t <= 1003 for t in ticks) and max(ticks) - min(ticks) < 5
    assert all((b[1] - a[1] & M32) < 1 << 31 for a, b in zip(samples, samples[1:]))


# covers: 7323-5.3-R1 7323-5.3-eq
def test_paws():
    s = Stack()
    p, sock = established(s, timestamps=True)
    p.send('A', b'first', options=timestamps(1000000, p.ts_recent))
    s.run(0.5)
    p.segments()
    p.send('A', b'OLD', seq=p.seq, options=timestamps(999999, p.ts_recent))
    p.one('A', ack=p.seq)
    p.send('A', b'equal', options=timestamps(1000000, p.ts_recent))
    assert sock.recv() == b'firstequal'


# covers: 7323-5.2-wrap
def test_timestamps_compare_modulo():
    s = Stack()
    p, sock = established(s, timestamps=True)
    p.ts_offset = 0
    for value in (p.clock() + 0x70000000, 0xe0000000, 0xfffffff0, 5, 0x7ffffff0):
        p.send('A', b'n', options=timestamps(value, p.ts_recent))
        assert sock.recv() == b'n', hex(value)
    p.send('A', b'OLD', seq=p.seq, options=timestamps(0x7ffffff0 + 0x80000000 + 1, p.ts_recent))
    p.send('A', b'n', options=timestamps(0x7ffffff1, p.ts_recent))
    assert sock.recv() == b'n'


# covers: 7323-5.2-rstpaws
def test_a_reset_with_an_old_timestamp():
    s = Stack()
    p, sock = established(s, timestamps=True)
    p.send('A', b'x', options=timestamps(1000000, p.ts_recent))
    p.send('R', options=timestamps(5, 0))
    assert p.state() == 'CLOSED'


# covers: 7323-4.3-delack 7323-4.3-gap 7323-4.3-fill
def test_which_timestamp_is_echoed():
    s = Stack()
    p, sock = established(s, timestamps=True, mss=1460)
    for _ in range(20):                               # beyond any quick acknowledgments at the start
        p.send('A', b'w' * 1000)
        s.run(0.3)
    p.segments()
    base = p.clock() + 10
    first = p.build('A', b'a', options=timestamps(base, p.ts_recent))
    second = p.build('A', b'b', seq=p.seq + 1, options=timestamps(base + 1, p.ts_recent))
    s.inject(first, second)
    p.seq += 2
    s.run(0.6)
    assert p.one('A', ack=p.seq).tsecr == base        # the earliest of those acknowledged
    p.send('A', b'e', options=timestamps(base + 3, p.ts_recent))
    s.run(0.6)
    p.one('A', ack=p.seq)
    p.send('A', b'd', seq=p.seq + 1, options=timestamps(base + 5, p.ts_recent))
    assert p.one('A', ack=p.seq).tsecr == base + 3    # a gap: the last one in order
    p.send('A', b'c', options=timestamps(base + 9, p.ts_recent))
    p.seq += 1
    assert p.one('A', ack=p.seq).tsecr == base + 9    # the one that filled it


# covers: 2018-2-perm
def test_sack_permission():
    s = Stack()
    p = Peer(s, port=80)
    s.stream().connect(HOST, 80)
    p.receive_syn()
    s.listener(90)
    assert 4 not in Peer(s, stack_port=90).connect().options
    q = Peer(s, port=40001, stack_port=90, sack=True)
    q.connect()
    q.send('A', b'data')
    s.run(1)
    assert all(4 not in x.options for x in q.segments())


# covers: 2018-4-nosack
def test_no_sack_without_permission():
    s = Stack()
    p, sock = established(s, sack=False)
    p.send('A', b'gap', seq=p.seq + 100)
    assert all(5 not in x.options for x in p.segments())
    sock.send(b'x' * 1460 * 4)
    found = p.segments()
    for _ in range(4):
        p.send('A', ack=found[0].seq, options=b'\1\1' + sack((found[1].seq, found[3].end)))
    s.run(3)
    assert found[0].seq in [x.seq for x in p.segments()]


# covers: 1191-3-df
def test_every_segment_has_df():
    s = Stack()
    p, sock = established(s)
    sock.send(b'x' * 3000)
    s.run(3)
    sock.shutdown()
    p.send('FA')
    frames = s.frames[:]
    q, other = opened(s, port=90)
    other.send(b'y')
    frames += s.frames
    assert len(frames) > 5
    assert all(f.raw[20] & 0x40 for f in frames if f.raw[23] == 6)


# covers: 1191-3-noincrease 1191-3-reduce
def test_the_path_mtu_is_lowered_and_not_raised():
    s = Stack()
    p, sock = established(s)
    sock.send(b'x' * 1460)
    x = p.one('A')
    s.inject(icmp_error(3, 4, quote(x.frame), extra=1400))
    assert max(len(y.frame.raw) for y in p.segments()) <= 14 + 1400
    assert sock.get('MTU') == 1400
    p.send('A')
    sock.send(b'x' * 1300)
    x = p.one('A')
    for mtu in (1450, 1500, 9000, 65535):
        s.inject(icmp_error(3, 4, quote(x.frame), extra=mtu))
    p.send('A')
    assert sock.get('MTU') == 1400
    sock.send(b'z' * 5000)
    assert max(len(y.frame.raw) for y in p.segments()) == 14 + 1400


# covers: 1191-3-never 5927-7.2-min
@pytest.mark.parametrize('profile', ['linux', 'standard'])
@pytest.mark.parametrize('mtu', [0, 1, 20, 40, 67, 68, 500])
def test_the_path_mtu_has_a_floor(mtu, profile):
    s = Stack(profile=profile)
    p, sock = established(s)
    sock.send(b'x' * 1460)
    x = p.one('A')
    s.inject(icmp_error(3, 4, quote(x.frame), extra=mtu))
    assert sock.get('MTU') >= (552 if profile == 'linux' else 68)
    sent = p.segments()
    s.run(5)
    assert all(y.data for y in sent + p.segments())
    p.send('A')
    assert p.got == b'x' * 1460 or sock.info()['send_queued'] > 0


# covers: 1191-3-mss
def test_the_mss_option_is_not_lowered_by_the_path():
    s = Stack()
    p, sock = established(s)
    sock.send(b'x' * 1460)
    s.inject(icmp_error(3, 4, quote(p.one('A').frame), extra=1000))
    assert sock.get('MTU') == 1000
    q = Peer(s, port=90)
    s.stream().connect(HOST, 90)
    assert q.receive_syn().mss == 1460
