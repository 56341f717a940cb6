# SPDX-License-Identifier: BSD-3-Clause
"""What the TCP tests share: states seen from outside, whole situations of RFC 9293 figure 5, and loops
that acknowledge."""
import errno

from light import HANGUP, SHUT_WRITE, STATES
from peer import Peer, established

M32 = 0xffffffff
MSL = {'linux': 30, 'standard': 120}
PROFILES = ('linux', 'standard')


def state(p):
    """The state of the peer's connection in the stack; None if there is none."""
    for info in p.stack.sockets():
        if info['peer'] == [p.addr, p.port] and info['local'][1] == p.stack_port:
            return next(n for n, v in STATES.items() if v == info['state'])
    return None


def gone(p):
    return state(p) in (None, 'CLOSED')


def no_connection(p):
    """The stack knows nothing of this connection: what the peer says is answered by a reset (RFC 9293
    3.10.7.1)."""
    p.segments()
    p.send('A', seq=p.seq)
    p.one('R', seq=p.ack)
    return True


def available(sock, n=1 << 20):
    """All that can be read now; ends with b'' at the end of the stream too."""
    got = b''
    while True:
        try:
            part = sock.recv(n)
        except OSError as e:
            assert e.errno == errno.EAGAIN, e
            return got
        if not part:
            return got
        got += part


def at_end(sock):
    """The end of the stream is next."""
    try:
        return sock.recv() == b''
    except OSError:
        return False


def quiet_segments(p, seconds=1):
    """What the stack sends in a while, delayed ACKs included."""
    p.stack.run(seconds)
    return p.segments()


def acked(p, seconds=0.6):
    """The last acknowledgment of what was sent, after any delay of ACKs."""
    found = quiet_segments(p, seconds)
    assert found, 'no acknowledgment'
    return found[-1].ack


def settle(p, rounds=50, step=0.05):
    """Acknowledges everything until the stack is silent; returns all segments."""
    found = []
    for _ in range(rounds):
        new = p.segments()
        found += new
        if not any(s.length for s in new):
            break
        p.send('A')
        p.stack.run(step)
    return found


def pull(p, sock, data, window=None, step=0.01, rounds=2000):
    """The peer receives all of `data`, acknowledging each batch; returns the segments."""
    found, queued = [], 0
    for _ in range(rounds):
        if queued < len(data):
            try:
                queued += sock.send(data[queued:queued + (1 << 18)])
            except OSError as e:
                assert e.errno == errno.EAGAIN
        new = p.segments()
        found += new
        if len(p.got) >= len(data):
            break
        if any(s.length for s in new):
            p.send('A', **({} if window is None else {'window': window}))
        else:
            p.stack.run(step)
    assert p.got == data[:len(p.got)] and len(p.got) >= len(data), (len(p.got), len(data))
    p.send('A', **({} if window is None else {'window': window}))
    return found + p.segments()


def pattern(n, seed=0):
    """Bytes in which any misplaced piece shows."""
    return bytes((i * 31 + (i >> 8) * 7 + seed) & 0xff for i in range(n))


def wait_ready(sock, bits, seconds=0):
    sock.stack.run(seconds)
    return sock.ready() & bits == bits


def failure(sock):
    """The error that ended a connection; it is taken."""
    assert sock.ready() & HANGUP, 'not ended'
    return sock.take_error()


# ---- situations; each returns (peer, socket)

def simultaneous(s, port=7000, **peer):
    """SYN-RECEIVED by a simultaneous open (RFC 9293 figure 7)."""
    p = Peer(s, port=port, **peer)
    sock = s.stream().connect(p.addr, port)
    syn = p.receive_syn()
    p.send('S')
    p.one('SA', seq=syn.seq, ack=p.seq)
    return p, sock


def fin_wait_1(s, **peer):
    p, sock = established(s, **peer)
    sock.shutdown(SHUT_WRITE)
    p.fin = p.one('FA')
    return p, sock


def fin_wait_2(s, **peer):
    p, sock = fin_wait_1(s, **peer)
    p.send('A')
    p.none()
    return p, sock


def closing(s, **peer):
    p, sock = fin_wait_1(s, **peer)
    p.send('FA', ack=p.fin.seq)
    p.one('A', ack=p.seq)
    return p, sock


def time_wait(s, **peer):
    p, sock = fin_wait_2(s, **peer)
    p.send('FA')
    p.one('A', ack=p.seq)
    return p, sock


def close_wait(s, **peer):
    p, sock = established(s, **peer)
    p.send('FA')
    assert acked(p) == p.seq
    return p, sock


def last_ack(s, **peer):
    p, sock = close_wait(s, **peer)
    sock.close()
    p.fin = p.one('FA')
    return p, sock


def in_state(name, s, **peer):
    return {
        'SYN_RECEIVED': lambda s, **k: simultaneous(s, k.pop('port', 80), **k), 'ESTABLISHED': established,
        'FIN_WAIT_1': fin_wait_1, 'FIN_WAIT_2': fin_wait_2, 'CLOSING': closing, 'TIME_WAIT': time_wait,
        'CLOSE_WAIT': close_wait, 'LAST_ACK': last_ack,
    }[name](s, **peer)


def measured(s, samples, port=80, **peer):
    """A connection on which the stack took exactly these round trips, in seconds; the first is the
    handshake's."""
    listener = s.listener(port)
    p = Peer(s, stack_port=port, **peer)
    p.send('S')
    p.one('SA')
    s.run(samples[0])
    p.send('A')
    sock = listener.accept()
    for r in samples[1:]:
        sample(p, sock, r)
    return p, sock


def sample(p, sock, r):
    sock.send(b's')
    p.one('A', data=b's')
    p.stack.run(r)
    p.none()
    p.send('A')


def gaps(times):
    return [b - a for a, b in zip(times, times[1:])]


__all__ = [n for n in dir() if not n.startswith('_')]
