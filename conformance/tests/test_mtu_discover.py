# SPDX-License-Identifier: BSD-3-Clause
"""IP_MTU_DISCOVER of datagram sockets (ip(7)), and applications that probe (RFC 4821 9)."""
import errno

import pytest
from scapy.layers.inet import IP

from light import HOST, Stack
from packets import icmp_error, quote

DONT, WANT, DO, PROBE = range(4)


def socket_with(s, mode, estimate=None):
    """A connected socket to whose peer the path MTU is known to be `estimate`."""
    if estimate:
        u = s.datagram().set('MTU_DISCOVER', WANT).connect(HOST, 7)
        u.send(bytes(1400))
        s.inject(icmp_error(3, 4, quote(s.one(IP)), extra=estimate))
        assert u.get('MTU') == estimate
        u.take_error()
    return s.datagram().set('MTU_DISCOVER', mode).connect(HOST, 9)


def refused(u, n):
    with pytest.raises(OSError) as e:
        u.send(bytes(n))
    assert e.value.errno == errno.EMSGSIZE
    u.stack.none()
    return True


def whole_with_df(frame, n):
    ip = frame[IP]
    return ip.flags == 'DF' and ip.frag == 0 and ip.len == n + 28


# covers: sock-mtu-discover
def test_dont_clears_df_and_fragments():
    s = Stack()
    u = socket_with(s, DONT)
    u.send(bytes(100))
    assert s.one(IP)[IP].flags == 0
    u.send(bytes(3000))
    pieces = s.sent(IP)
    assert len(pieces) == 3 and all('DF' not in p[IP].flags for p in pieces)


# covers: sock-mtu-discover
@pytest.mark.parametrize('estimate', [None, 1000])
def test_do_sets_df_and_refuses_what_is_too_long(estimate):
    s = Stack()
    u = socket_with(s, DO, estimate)
    fits = (estimate or 1500) - 28
    u.send(bytes(fits))
    assert whole_with_df(s.one(IP), fits)
    assert refused(u, fits + 1)


# covers: sock-mtu-discover 4821-9-app
def test_probe_sets_df_whatever_the_estimate():
    s = Stack()
    u = socket_with(s, PROBE, 1000)
    for n in (900, 973, 1400, 1472):
        u.send(bytes(n))
        assert whole_with_df(s.one(IP), n)
    assert refused(u, 1473)
