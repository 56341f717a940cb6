# SPDX-License-Identifier: BSD-3-Clause
"""TCP: what the receiver reports of bytes beyond a gap. RFC 2018."""
import csv
import os

import pytest

from light import Stack
from peer import diff, established
from tcpkit import available, pattern

VECTORS = os.path.join(os.path.dirname(__file__), '..', 'vectors', 'sack_examples.tsv')


def cases(prefix):
    found = {}
    with open(VECTORS) as f:
        for row in csv.DictReader(f, delimiter='\t'):
            if row['case'].startswith(prefix):
                found.setdefault(row['case'], []).append(row)
    return found


def blocks(p, segment, base):
    return [(diff(a, base), diff(b, base)) for a, b in segment.sack]


# covers: 2018-7-examples 2018-4-first 2018-4-when
@pytest.mark.parametrize('case', sorted(cases('rfc2018')))
@pytest.mark.parametrize('isn', [0, 0xfffff000])
def test_the_worked_examples(case, isn):
    rows = cases('rfc2018')[case]
    left = int(rows[0]['initial_rcv_nxt'])
    s = Stack()
    p, sock = established(s, sack=True, isn=isn)
    base = p.seq - left                      # so that numbers are those of the example
    for row in rows:
        start, end = int(row['seq']), int(row['end'])
        p.send('A', pattern(end)[start:end], seq=base + start)
        found = p.segments()
        if row['blocks'] == '-' and not found:
            continue                         # in order: it may be delayed
        assert len(found) == 1
        assert diff(found[0].ack, base) == int(row['ack'])
        expected = [] if row['blocks'] == '-' else [tuple(map(int, b.split('-'))) for b in row['blocks'].split(',')]
        assert blocks(p, found[0], base) == expected, row


# covers: 2018-4-many 2018-4-repeat 2018-3-format
@pytest.mark.parametrize('stamped, most', [(False, 4), (True, 3)])
def test_as_many_blocks_as_fit(stamped, most):
    s = Stack()
    p, sock = established(s, sack=True, timestamps=stamped)
    base = p.seq
    expected = []
    for k in range(1, 7):
        p.send('A', b'x' * 100, seq=base + 200 * k)
        expected.insert(0, (200 * k, 200 * k + 100))
        x = p.one('A', ack=base)
        assert blocks(p, x, base) == expected[:most]
        assert len(x.options[5]) == 8 * min(k, most)


# covers: 2018-4-when
def test_every_ack_reports_while_there_is_a_gap():
    s = Stack()
    p, sock = established(s, sack=True)
    base = p.seq
    p.send('A', b'x' * 100, seq=base + 1000)
    assert blocks(p, p.one('A'), base) == [(1000, 1100)]
    # One that is in order and one that is a duplicate, a question, and data of ours.
    p.send('A', b'x' * 100)
    assert blocks(p, p.one('A', ack=base + 100), base) == [(1000, 1100)]
    p.send('A', seq=base - 1)
    assert blocks(p, p.segments()[-1], base) == [(1000, 1100)]
    sock.send(b'data')
    assert blocks(p, p.one('A', data=b'data'), base) == [(1000, 1100)]
    p.send('A')
    p.send('A', b'x' * 900)
    x = p.one('A', ack=base + 1100)
    assert not x.sack
    assert available(sock) == b'x' * 1100


# covers: 4987-3.6-off
def test_state_is_kept_when_calm():
    """Cookies would lose options and could not repeat the SYN-ACK."""
    from peer import Peer
    s = Stack()
    listener = s.listener()
    p = Peer(s, mss=1234, wscale=5, timestamps=True, sack=True)
    p.send('S')
    first = p.one('SA')
    s.run(3.5)
    again = p.segments()
    assert len(again) == 2
    for x in [first] + again:
        assert x.seq == first.seq and {2, 3, 4, 8} <= set(x.options)
    assert s.memory()['half_open'] == 1
    p.send('A')
    info = listener.accept().info()
    assert info['mss'] == 1222 and info['send_scale'] == 5 and info['timestamps'] and info['sack']
