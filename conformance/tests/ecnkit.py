# SPDX-License-Identifier: BSD-3-Clause
"""Connections with ECN, both ways, and streams over them. RFC 3168, RFC 9768, RFC 8257."""
from light import ECN, Stack
from peer import Peer

NOT_ECT, ECT1, ECT0, CE = range(4)
MSS = 1000


def stack(ecn='passive', **tcp):
    settings = {k: tcp.pop(k) for k in ('profile', 'flags', 'mtu') if k in tcp}
    return Stack(tcp={'cc': 'newreno', 'ecn': ECN[ecn], **tcp}, **settings)


def push(sock, n):
    """As much of n bytes as there is room for."""
    try:
        return sock.send(b'0123456789' * (n // 10))
    except BlockingIOError:
        return 0


def classic(s, stack_port=80, rtt=0.01, **peer):
    """The peer opens with an ECN-setup SYN: (peer, socket)."""
    listener = s.listener(stack_port)
    p = Peer(s, stack_port=stack_port, mss=MSS, **peer)
    p.send('SEC')
    p.one('SAE', ecn=NOT_ECT)
    s.run(rtt)
    p.send('A')
    return p, listener.accept()


def accurate(s, stack_port=80, tos=NOT_ECT, ack=None, rtt=0.01, **peer):
    """The peer opens with an AccECN SYN whose IP header has `tos`; its ACK has `ack` in its ACE field."""
    listener = s.listener(stack_port)
    p = Peer(s, stack_port=stack_port, mss=MSS, **peer)
    p.send('S', ace=7, tos=tos)
    p.synack = p.segments()[0]
    s.run(rtt)
    p.send('A', ace=2 if ack is None else ack)
    return p, listener.accept()


def clock(p, segments, flags='A', **fields):
    """Acknowledges each segment by itself; returns what the stack sends to that."""
    found = []
    for x in segments:
        if x.data:
            p.send(flags, ack=x.end, **fields)
            found += p.segments()
    return found


def grown(s, p, sock, window):
    """Sends until cwnd is at least `window` bytes, all acknowledged."""
    while sock.info()['cwnd'] < window:
        push(sock, sock.info()['cwnd'])
        while True:
            new = [x for x in p.segments() if x.data]
            if not new:
                break
            s.run(0.01)
            for x in new:
                p.send('A', ack=x.end)
    s.run(0.1)
    p.segments()
    return sock.info()['cwnd']
