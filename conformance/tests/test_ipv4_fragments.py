# SPDX-License-Identifier: BSD-3-Clause
"""Reassembly: RFC 791 3.2, RFC 815, RFC 1122 3.3.2."""
import itertools
import random

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

from light import ADDR, HOST, READABLE, Stack
from packets import echo, every, fragment, joined, payload_of, split, udp

SECOND = '192.0.2.10'


class Receiver:
    def __init__(self, **settings):
        self.stack = Stack(addresses=(ADDR + '/24', SECOND + '/24'), **settings)
        self.sock = self.stack.udp(5000).set('RECEIVE_BUFFER', 1 << 20)

    def delivered(self, *packets):
        if packets:
            self.stack.inject(*packets)
        got = []
        while self.sock.ready() & READABLE:
            got.append(self.sock.recvfrom(65535)[0])
        return got


def body(data, **fields):
    """A UDP datagram to be cut up."""
    return payload_of(udp(data, **fields))


# covers: 1122-3.3.2-reasm
@pytest.mark.parametrize('size', [548, 1472, 1473, 9000, 65507])
def test_any_order_is_reassembled(size):
    r = Receiver()
    rng = random.Random(size)
    data = rng.randbytes(size)
    for ident, order in enumerate(('forward', 'backward', 'shuffled')):
        pieces = every(body(data), 1480 if size > 1480 else 184, ident=ident)
        if order == 'backward':
            pieces.reverse()
        if order == 'shuffled':
            rng.shuffle(pieces)
        for i in range(0, len(pieces) - 1, 16):
            assert r.delivered(*pieces[i:min(i + 16, len(pieces) - 1)]) == []
        assert r.delivered(pieces[-1]) == [data], order
    assert r.stack.memory()['fragments_held'] == 0


# covers: 1122-3.3.2-timeout
@pytest.mark.parametrize('profile', ['linux', 'standard'])
def test_an_incomplete_datagram_is_discarded(profile):
    r = Receiver(profile=profile)
    early, late = (split(body(b'x' * 40), [16, 32], ident=i) for i in (1, 2))
    r.delivered(early[0], late[0])
    r.stack.run(29)
    assert r.delivered(*early[1:]) == [b'x' * 40]
    r.stack.run(28)
    r.delivered(late[1])                         # does not prolong the time
    r.stack.until(10 + 121)
    assert r.stack.memory()['fragments_held'] == 0
    assert r.delivered(late[2]) == []
    assert r.delivered(late[0]) == []
    assert r.delivered(late[1]) == [b'x' * 40]   # all of it anew


# covers: 1122-3.3.2-icmp 1122-3.3.2-timeout
@pytest.mark.parametrize('profile', ['linux', 'standard'])
def test_time_exceeded_if_fragment_zero_came(profile):
    r = Receiver(profile=profile)
    pieces = split(body(b'y' * 600), [304], ident=7, ttl=33)
    start = r.stack.now
    r.delivered(pieces[0])
    r.stack.run(30)
    r.delivered(pieces[0])                       # a duplicate does not prolong the time
    r.stack.run(200)
    error = r.stack.one(ICMP)
    assert (error[ICMP].type, error[ICMP].code, error[IP].dst) == (11, 1, HOST)
    waited = error.time - start
    assert 60 <= waited <= 120 or profile == 'linux' and waited == 30
    received = bytes(pieces[0])
    quoted = error.raw[42:14 + error[IP].len]
    assert quoted == received[:len(quoted)] and len(quoted) >= 28


# covers: 1122-3.3.2-icmp 1122-3.2.2-noerr-frag
def test_no_time_exceeded_without_fragment_zero():
    r = Receiver()
    pieces = split(body(b'y' * 600), [304, 400], ident=7)
    r.delivered(pieces[1], pieces[2])
    r.stack.run(200)
    r.stack.none()
    assert r.stack.memory()['fragments_held'] == 0


# covers: 791-3.2-key
def test_only_fragments_of_one_datagram_are_combined():
    r = Receiver()
    whole = body(b'k' * 40, chksum=0)
    first, last = split(whole, [24], ident=5)
    base = dict(ident=5, src=HOST, dst=ADDR, proto=17)
    for other in (dict(ident=6), dict(ident=0x0500), dict(src='192.0.2.3'), dict(dst=SECOND), dict(proto=1),
                  dict(proto=6), dict(src='198.51.100.2')):
        fields = {**base, **other}
        assert r.delivered(first, fragment(whole[24:], 24, False, **fields)) == [], other
        r.stack.run(200)
        assert r.delivered(fragment(whole[:24], 0, True, **fields), last) == [], other
        r.stack.run(200)
    assert r.delivered(first, last) == [b'k' * 40]
    # Two datagrams under the same ID to two of our addresses, interleaved.
    a = split(body(b'a' * 40, dst=ADDR), [24], ident=9, dst=ADDR)
    b = split(body(b'b' * 40, dst=SECOND), [24], ident=9, dst=SECOND)
    assert r.delivered(a[0], b[0], b[1], a[1]) == [b'b' * 40, b'a' * 40]


# covers: 791-3.2-offset
def test_impossible_fragments_do_no_harm():
    r = Receiver()
    whole = body(b'o' * 100, chksum=0)
    for n in (1, 7, 9, 15, 23, 31):
        assert r.delivered(fragment(whole[:n], 0, True, ident=n)) == []
    # Uneven pieces that would fit together byte for byte are not put together.
    assert r.delivered(fragment(whole[:20], 0, True, ident=99), fragment(whole[16:], 16, False, ident=99)) == []
    # Nor are they kept: the right pieces that follow are not disturbed.
    assert r.delivered(fragment(whole[:20], 0, True, ident=98), *split(whole, [24, 48], ident=98)) == [b'o' * 100]
    for offset in (65528, 65520, 65512):
        for size in (16, 100, 1400):
            if offset + size > 65535 - 20:
                assert r.delivered(fragment(b'z' * size, offset, False, ident=offset)) == []
                assert r.delivered(fragment(b'z' * (size // 8 * 8), offset, True, ident=offset)) == []
    for n in (0, 8):
        assert r.delivered(fragment(b'', n, True, ident=50 + n)) == []
    r.stack.sent()
    assert r.delivered(*split(whole, [40, 80], ident=77)) == [b'o' * 100]


# covers: 791-3.2-end
def test_bytes_of_two_datagrams_are_never_mixed():
    """Two datagrams of different lengths under one ID; both ends are known before either is complete."""
    rng = random.Random(3)
    r = Receiver()
    for ident in range(200):
        size_a, size_b = rng.sample(range(24, 120), 2)
        first, rest = [], []
        for letter, size in ((b'A', size_a), (b'B', size_b)):
            cuts = sorted(rng.sample(range(8, (size + 7) // 8 * 8, 8), rng.randrange(1, 3)))
            pieces = split(body(letter * size, chksum=0), cuts, ident=ident)
            first.append(pieces[0])
            rest += pieces[1:]
        rng.shuffle(rest)
        rng.shuffle(first)
        for data in r.delivered(*rest, *first):
            assert data in (b'A' * size_a, b'B' * size_b), (ident, data)


# covers: 791-3.2-end
@pytest.mark.parametrize('order', list(itertools.permutations(range(3))))
def test_conflicting_ends_deliver_nothing_mixed(order):
    r = Receiver()
    whole = body(b'e' * 56, chksum=0)             # 64 bytes
    first = fragment(whole[:32], 0, True)
    ends = [fragment(b'f' * 32, 32, False), fragment(b'g' * 40, 32, False)]
    beyond = fragment(b'h' * 16, 64, True)        # data past the first end
    for extra in (ends[1], beyond):
        pieces = [first, ends[0], extra]
        got = r.delivered(*(pieces[i] for i in order))
        assert order[2] != 0 or got == [], 'complete only after the conflict'
        for data in got:
            assert data in (whole[8:32] + b'f' * 32, whole[8:32] + b'g' * 32)
        r.stack.run(200)


# covers: 815-3-holes
def test_every_order_of_five_fragments():
    r = Receiver()
    data = bytes(range(100))
    whole = body(data)
    for ident, order in enumerate(itertools.permutations(range(5))):
        pieces = split(whole, [24, 48, 56, 96], ident=ident)
        assert r.delivered(*(pieces[i] for i in order[:-1])) == []
        assert r.delivered(pieces[order[-1]]) == [data], order


# covers: 815-3-holes
def test_random_orders_and_duplicates_of_eight():
    r = Receiver()
    rng = random.Random(815)
    for ident in range(120):
        count = rng.randrange(2, 9)
        data = rng.randbytes(count * 24 + rng.randrange(0, 16))
        whole = body(data)
        cuts = sorted(rng.sample(range(8, len(whole), 8), count - 1))
        pieces = split(whole, cuts, ident=ident)
        order = list(range(count)) + [rng.randrange(count) for _ in range(rng.randrange(4))]
        rng.shuffle(order)
        last = max(order.index(i) for i in range(count))
        assert r.delivered(*(pieces[i] for i in order[:last])) == []
        assert r.delivered(pieces[order[last]]) == [data], order


# covers: ipv4-frag-overlap
@pytest.mark.parametrize('offset,size', [(8, 24), (16, 24), (24, 8), (0, 8), (0, 40), (40, 8), (32, 24)])
def test_an_overlap_discards_the_datagram(offset, size):
    """Pieces [0,32) and [32,64) of 80 bytes are here; the overlapping one carries other bytes."""
    r = Receiver()
    whole = body(b'v' * 72, chksum=0)
    pieces = split(whole, [32, 64], ident=1)
    bad = fragment(b'W' * size, offset, True, ident=1)
    assert r.delivered(pieces[0], pieces[1], bad, pieces[2]) == []
    r.stack.run(200)
    assert r.delivered(bad, *pieces) == []
    r.stack.run(200)
    assert r.delivered(*split(whole, [32, 64], ident=2)) == [b'v' * 72]


# covers: ipv4-frag-overlap
def test_an_exact_duplicate_is_no_overlap():
    r = Receiver()
    pieces = split(body(b'v' * 72), [32, 64], ident=1)
    assert r.delivered(pieces[0], pieces[0], pieces[1], pieces[1], pieces[0], pieces[2]) == [b'v' * 72]


# covers: ipv4-frag-mem
def test_a_flood_of_first_fragments_is_bounded():
    limit = 256 * 1024
    r = Receiver(max_fragments=limit)
    rng = random.Random(4)
    before = r.stack.memory()
    highest = 0
    for _ in range(40):
        flood = [fragment(b'f' * 1480, 0, True, ident=rng.randrange(65536),
                          src=f'198.51.{rng.randrange(256)}.{rng.randrange(1, 255)}') for _ in range(25)]
        r.stack.inject(*flood)
        now = r.stack.memory()
        highest = max(highest, now['packets_lent'], now['fragments_held'])
    # 1000 fragments came: what is held cannot be more than the limit has room for.
    assert now['packets_lent'] - before['packets_lent'] <= limit // 1480 + 1
    assert r.delivered(*split(body(b'genuine ' * 10), [24, 48], ident=1)) == [b'genuine ' * 10]
    r.stack.run(200)
    assert r.stack.memory()['fragments_held'] == 0


# covers: 1122-3.2.2.6-frag 1122-3.2.2.6-echo
@pytest.mark.parametrize('size', [1473, 4000, 65507])
def test_a_fragmented_echo_is_answered_whole(size):
    r = Receiver()
    data = random.Random(size).randbytes(size)
    request = payload_of(echo(data, ident=0x1234, seq=0x5678))
    pieces = every(request, 1480, ident=3, proto=1)
    for i in range(0, len(pieces), 16):
        r.stack.inject(*pieces[i:i + 16])
    r.stack.run(0.1)
    [reply] = joined(r.stack.sent(IP))
    answer = ICMP(reply)
    assert (answer.type, answer.code, answer.id, answer.seq) == (0, 0, 0x1234, 0x5678)
    assert reply[8:] == data


def test_a_fragment_of_a_datagram_for_nobody_draws_one_unreachable():
    r = Receiver()
    r.stack.inject(*split(body(b'u' * 100, dport=7777), [40, 80], ident=1))
    error = r.stack.one(ICMP)
    assert (error[ICMP].type, error[ICMP].code) == (3, 3)


def test_an_unfragmented_datagram_needs_no_memory():
    r = Receiver()
    assert r.delivered(IP(src=HOST, dst=ADDR) / UDP(sport=1, dport=5000) / Raw(b'whole')) == [b'whole']
    assert r.stack.memory()['fragments_held'] == 0
