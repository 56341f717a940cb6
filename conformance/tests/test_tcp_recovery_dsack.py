# SPDX-License-Identifier: BSD-3-Clause
"""TCP: D-SACK, both as the receiver that reports what came twice and as the sender that is told. RFC 2883."""
import pytest

from light import Stack
from peer import established
from recoverykit import Flight, blocks_of, vectors
from tcpkit import available, pattern

EXAMPLES = sorted({r['case'] for r in vectors('sack_examples.tsv')} - {'rfc2018-case2', 'rfc2018-case3'})


# ---- the receiver

# covers: 2883-4-first 2883-4-second 2883-4.2-partial
@pytest.mark.parametrize('case', EXAMPLES)
def test_the_worked_examples(case):
    rows = vectors('sack_examples.tsv', case=case)
    assert len(rows) >= 3
    left = int(rows[0]['initial_rcv_nxt'])
    s = Stack()
    p, sock = established(s, sack=True, isn=(left - 1) & 0xffffffff)
    assert p.seq == left
    for row in rows:
        start, end = int(row['seq']), int(row['end'])
        length = (end - start) & 0xffffffff
        at = (start - left) & 0xffffffff
        p.send('A', pattern(at + length)[at:] if at < 1 << 20 else pattern(length), seq=start)
        found = p.segments()
        if row['blocks'] == '-' and not found:
            continue                         # in order: it may be delayed
        assert len(found) == 1
        assert found[0].ack == int(row['ack'])
        expected = [] if row['blocks'] == '-' else [tuple(map(int, b.split('-'))) for b in row['blocks'].split(',')]
        assert found[0].sack == expected, row
    assert available(sock) == pattern((int(rows[-1]['ack']) - left) & 0xffffffff)


# covers: 2883-4-first
def test_a_wholly_duplicate_segment_is_the_first_block():
    s = Stack()
    p, sock = established(s, sack=True, isn=2999)
    p.send('A', b'x' * 500)
    p.send('A', b'x' * 500)
    p.segments()
    p.send('A', b'x' * 500, seq=3000)
    x = p.one('A', ack=4000)
    assert x.sack == [(3000, 3500)]
    assert available(sock) == b'x' * 1000


# covers: 2883-4-once
@pytest.mark.parametrize('gap', [False, True])
def test_a_duplicate_is_reported_once(gap):
    s = Stack()
    p, sock = established(s, sack=True)
    base = p.seq
    p.send('A', b'x' * 500)
    if gap:
        p.send('A', b'x' * 100, seq=base + 1000)
    p.segments()
    rest = [(1000, 1100)] if gap else []
    p.send('A', b'x' * 500, seq=base)
    assert blocks_of(p.one('A'), base) == [(0, 500)] + rest
    # What follows without a duplicate says nothing of it: an answer to a keep-alive, an ACK of data, data.
    p.send('A', seq=base - 1)
    assert blocks_of(p.one('A'), base) == rest
    p.send('A', b'x' * 500)
    s.run(0.5)
    assert blocks_of(p.one('A', ack=base + 1000 + 100 * gap), base) == []
    sock.send(b'data')
    assert not p.one('A', data=b'data').sack
    # A second copy is a second event.
    p.send('A', b'x' * 500, seq=base)
    assert blocks_of(p.one('A'), base) == [(0, 500)]


# covers: 2883-4-second
def test_a_duplicate_beyond_the_gap_is_followed_by_the_block_that_holds_it():
    s = Stack()
    p, sock = established(s, sack=True, isn=3999)
    p.send('A', b'x' * 500, seq=4500)
    p.send('A', b'x' * 500, seq=5000)
    p.segments()
    p.send('A', b'x' * 500, seq=5000)
    assert p.one('A', ack=4000).sack == [(5000, 5500), (4500, 5500)]


# covers: 2883-4.2-partial
def test_only_the_part_that_is_a_duplicate_is_reported():
    s = Stack()
    p, sock = established(s, sack=True)
    base = p.seq
    p.send('A', b'x' * 500)
    p.segments()
    p.send('A', b'x' * 500, seq=base + 300)
    x = p.one('A', ack=base + 800)
    assert blocks_of(x, base) == [(300, 500)]


def test_without_sack_nothing_is_reported():
    s = Stack()
    p, sock = established(s)
    p.send('A', b'x' * 500)
    p.send('A', b'x' * 500, seq=p.seq - 500)
    assert all(5 not in x.options for x in p.segments())


# ---- the sender

# covers: 2883-5-effect
@pytest.mark.parametrize('block', [(0, 1), (-3, -2)])
def test_dsacks_alone_are_no_sign_of_loss(block):
    """What they report lies below the ACK; between them nothing arrives."""
    f = Flight(10)
    f.wait()
    f.ack(2)
    before, cwnd = f.recovering(), f.cwnd()
    for _ in range(8):
        assert f.ack(2, block) == []
    assert f.recovering() == before and f.cwnd() == cwnd
    assert f.value('retransmitted_total') == 0
    f.wait(0.5)                              # two round trips: the tail is probed, which nothing SACKed would prevent
    assert f.times(9)[1:] and not f.times(2)[1:]


# covers: 2883-5-detect
def test_a_dsack_within_the_second_block_marks_only_the_second():
    f = Flight(10, queue=10)
    f.wait()
    # Segment 1 came twice, and 1 to 3 have arrived: no three segments, no loss.
    for _ in range(2):
        f.ack(0, (1, 2), (1, 3))
    assert f.recovering() == 0 and not f.times(0)[1:]
    f.ack(0, (1, 2), (1, 4))
    assert f.recovering() == 1 and f.times(0)[1:]


# covers: 2883-5-detect
def test_an_old_ack_is_judged_by_its_own_number():
    """A block beyond the ACK number it came with is no report of a duplicate, however far SND.UNA is by now."""
    f = Flight(10)
    f.wait()
    assert f.ack(0, (1, 5))[:1] == [0] and f.recovering() == 1
    f.ack(5)
    f.ack(0, (1, 2))                         # was overtaken by the one before
    assert f.undone() == 0
    f.ack(5, (0, 1))                         # the peer has 0 twice: nothing was lost
    assert f.undone() == 1
