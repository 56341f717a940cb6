# SPDX-License-Identifier: BSD-3-Clause
"""What must not be guessed or exhausted: initial sequence numbers (RFC 9293 3.4.1, RFC 6528), source ports
(RFC 6056), the backlog of half-open connections (RFC 4987)."""
import errno

from light import ADDR, HOST, ROUTER_MAC, Stack, errno_of
from peer import M32, Peer, diff, established


def isn(s, port=80, stack_port=2000, addr=HOST):
    """The ISN of a connection from a fixed port, closed again without a trace."""
    p = Peer(s, port=port, addr=addr)
    sock = s.stream().set('REUSE_ADDR', 1).bind(ADDR, stack_port)
    sock.connect(addr, port)
    syn = p.receive_syn()
    sock.abort()
    s.sent()
    return syn.seq


# covers: MUST-8 SHLD-1 6528-3-timewait
def test_the_isn_follows_the_clock():
    s = Stack()
    last, at = isn(s), s.now
    for step in (0.000004, 0.001, 0.5, 3, 60, 3600, 10000):
        s.run(step)
        value = isn(s)
        elapsed = round((s.now - at) * 250000)
        assert abs(diff(value, last) - diff(elapsed & M32, 0)) <= 1, step
        last, at = value, s.now


# covers: SHLD-1
def test_the_isn_depends_on_every_field_and_the_key():
    values = {}
    for secret in ('00' * 16, '00' * 15 + '01'):
        s = Stack(secret=secret)
        base = isn(s)
        assert isn(s) == base                       # the same again at the same instant
        others = [isn(s, port=81), isn(s, stack_port=2001), isn(s, addr='192.0.2.254')]
        values[secret] = [base] + others
        assert all(abs(diff(v, base)) > 1000 for v in others)
    a, b = values.values()
    assert all(abs(diff(x, y)) > 1000 for x, y in zip(a, b))


# covers: MUST-9
def test_isns_are_not_predictable():
    runs = []
    for secret in ('22' * 16, '33' * 16):
        s = Stack(secret=secret)
        runs.append([isn(s, port=1000 + i) for i in range(1000)])
    for values in runs:
        steps = [(b - a) & M32 for a, b in zip(values, values[1:])]
        assert len(set(steps)) == len(steps)
        for shift in (28, 16, 0):                   # high, middle and low bits
            bins = [0] * 16
            for v in values:
                bins[v >> shift & 15] += 1
            # Chi-square, 15 degrees of freedom: 0.9999 quantile 44.3
            assert sum((n - 62.5) ** 2 / 62.5 for n in bins) < 44.3, bins
    assert not set(runs[0]) & set(runs[1])


# covers: 4987-3.2-backlog
def test_a_syn_flood_is_bounded():
    s = Stack(tcp={'max_half_open': 256})
    listener = s.listener(80)
    early, q = established(s, port=81)
    pools = None
    for block in range(100):
        s.inject(*[Peer(s, port=1024 + i, addr=f'198.51.{block}.{i % 200 + 1}', mac=ROUTER_MAC).build('S')
                   for i in range(200)])
        s.frames.clear()
        assert s.memory()['half_open'] <= 256
        pools = pools or s.memory()['pools']
    assert s.memory()['pools'] <= 2 * pools
    early.send('A', b'others work')
    assert q.recv() == b'others work'
    s.run(120)
    s.frames.clear()
    Peer(s, port=50000).connect()
    listener.accept()


# covers: linux-abort-overflow
def test_a_full_accept_queue_is_silent():
    s = Stack()
    listener = s.listener(80, backlog=1)
    for i in range(2):                              # Linux lets backlog + 1 in
        Peer(s, port=41000 + i).connect()
    p = Peer(s, port=42000)
    p.send('S')
    for segment in p.segments():
        assert 'R' not in segment.flags
        p.send('A', ack=segment.seq + 1 & M32)
    assert not [x for x in p.segments() if 'R' in x.flags]
    listener.accept()
    listener.accept()
    assert errno_of(listener.accept) == errno.EAGAIN


# covers: 6056-3.3-unique
def test_no_two_connections_share_a_four_tuple():
    s = Stack(max_endpoints=70000)
    seen = set()
    for i in range(300):
        sock = s.stream().connect(HOST, 80)
        seen.add(sock.local()[1])
    assert len(seen) == 300


# covers: 6056-3.2-range 6056-3.3-obf
def test_ports_are_spread_and_not_predictable():
    s = Stack(max_endpoints=4096)
    ports = []
    for i in range(1000):
        sock = s.stream().connect(f'198.51.{i // 250}.{i % 250 + 1}', 80)
        ports.append(sock.local()[1])
        sock.abort()
    s.frames.clear()
    assert min(ports) >= 32768 and max(ports) <= 60999
    bins = [0] * 10
    for p in ports:
        bins[(p - 32768) * 10 // (61000 - 32768)] += 1
    # Chi-square, 9 degrees of freedom: 0.9999 quantile 33.7
    assert sum((n - 100) ** 2 / 100 for n in bins) < 33.7, bins
    assert len({b - a for a, b in zip(ports, ports[1:])}) > 900
