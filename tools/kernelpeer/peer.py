#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""One end of a conversation, an ordinary program: it runs on the kernel's stack or, by light-run, on Light, and does not know.

usage: peer.py SCENARIO ROLE ADDRESS [KEY=VALUE...]     ROLE: server (binds ADDRESS) or client (connects to it)

Prints one line of JSON at its end, "ok" among it, and for a server "listening" first."""
import concurrent.futures
import errno
import hashlib
import json
import random
import select
import socket
import struct
import sys
import threading
import time

PORT = 5001
PATIENCE = 60      # seconds for any one call


def data_of(seed, size):
    return random.Random(seed).randbytes(size)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def read_all(s):
    parts = []
    while True:
        part = s.recv(1 << 16)
        if not part:
            return b''.join(parts)
        parts.append(part)


def read_exactly(s, n):
    data = b''
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            raise EOFError(f'{len(data)} of {n} bytes')
        data += part
    return data


def options_of(s, options):
    if options.get('cc'):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, options['cc'].encode())
    if 'rcvbuf' in options:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(options['rcvbuf']))
    if options.get('nodelay'):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def listener(address, options, port=PORT):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    options_of(s, options)
    s.bind((address, port))
    s.listen(128)
    s.settimeout(PATIENCE)
    print('listening', flush=True)
    return s


def accepted(address, options):
    with listener(address, options) as s:
        c, _ = s.accept()
        c.settimeout(PATIENCE)
        options_of(c, options)
        return c


def connected(address, options, port=PORT):
    s = socket.socket()
    s.settimeout(PATIENCE)
    options_of(s, options)
    s.connect((address, port))
    return s


def opened(role, address, options):
    return accepted(address, options) if role == 'server' else connected(address, options)


# ---- 100 transfers ----

HEADER = struct.Struct('!BII')      # direction, seed, size
UP, DOWN, BOTH = range(3)


def send_all(s, data, rng):
    """In pieces of random sizes."""
    at = 0
    while at < len(data):
        n = rng.choice((1, 100, 1448, 5000, 65536, 1 << 20))
        s.sendall(data[at:at + n])
        at += n
    s.shutdown(socket.SHUT_WR)


def talk(s, direction, seed, size, first):
    """What this side sends and hears; returns what is wrong, or None. `first`: the client's part."""
    mine, yours = (direction in (UP, BOTH), direction in (DOWN, BOTH))
    if not first:
        mine, yours = yours, mine
    out = data_of(seed * 2 + (not first), size if mine else 0)
    wanted = data_of(seed * 2 + first, size if yours else 0)
    sender = threading.Thread(target=send_all, args=(s, out, random.Random(seed)))
    sender.start()
    heard = read_all(s)
    sender.join()
    if digest(heard) != digest(wanted):
        return f'transfer {seed}: {len(heard)} bytes of {len(wanted)}, or not the same ones'
    return None


def transfers_server(address, options):
    count, wrong = int(options['count']), []

    def serve(c):
        with c:
            c.settimeout(PATIENCE)
            return talk(c, *HEADER.unpack(read_exactly(c, HEADER.size)), False)
    with listener(address, options) as s, concurrent.futures.ThreadPoolExecutor(count) as pool:
        work = [pool.submit(serve, s.accept()[0]) for _ in range(count)]
        wrong = [w.result() for w in work if w.result()]
    return {'ok': not wrong, 'wrong': wrong, 'transfers': count}


def transfers_client(address, options):
    count, rng = int(options['count']), random.Random(int(options.get('seed', 1)))
    plans = [(rng.randrange(3), number, rng.choice((0, 1, 1447, 1448, 1449, rng.randrange(20000), rng.randrange(400000))))
             for number in range(count)]

    def one(plan):
        with connected(address, options) as s:
            s.sendall(HEADER.pack(*plan))
            return talk(s, *plan, True)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        wrong = [w for w in pool.map(one, plans) if w]
    return {'ok': not wrong, 'wrong': wrong, 'transfers': count, 'bytes': sum(p[2] for p in plans)}


# ---- ends ----

def simultaneous_close(role, address, options):
    """Both close at the same moment, while the other's FIN is still on its way."""
    with opened(role, address, options) as s:
        if role == 'client':
            s.sendall(struct.pack('!d', time.time() + 0.4))
            when = struct.unpack('!d', read_exactly(s, 8))[0]
        else:
            raw = read_exactly(s, 8)
            s.sendall(raw)
            when = struct.unpack('!d', raw)[0]
        time.sleep(max(0, when - time.time()))
        s.shutdown(socket.SHUT_WR)
        return {'ok': read_all(s) == b''}


def half_close(role, address, options):
    """The client ends its stream first; a megabyte goes the other way after that."""
    size = 1 << 20
    with opened(role, address, options) as s:
        if role == 'client':
            s.sendall(b'question')
            s.shutdown(socket.SHUT_WR)
            return {'ok': read_all(s) == data_of(5, size)}
        question = read_all(s)
        time.sleep(0.2)
        s.sendall(data_of(5, size))
        return {'ok': question == b'question'}


def reset(role, address, options):
    """The client aborts with unsent data in the way; the server learns it from a read, and from a write after."""
    with opened(role, address, options) as s:
        if role == 'client':
            read_exactly(s, 5)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            return {'ok': True}
        s.sendall(b'hello')
        seen = []
        for call in (lambda: s.recv(1), lambda: s.send(b'x')):
            try:
                seen.append(call())
            except OSError as e:
                seen.append(errno.errorcode[e.errno])
        return {'ok': seen == ['ECONNRESET', 'EPIPE'], 'seen': [str(x) for x in seen]}


def zero_window(role, address, options):
    """The server reads nothing for two seconds, then everything."""
    size = 3 << 20
    with opened(role, address, {**options, 'rcvbuf': 65536} if role == 'server' else options) as s:
        if role == 'client':
            s.sendall(data_of(7, size))
            s.shutdown(socket.SHUT_WR)
            return {'ok': read_all(s) == b'thanks'}
        time.sleep(2)
        good = digest(read_all(s)) == digest(data_of(7, size))
        s.sendall(b'thanks')
        return {'ok': good}


def urgent(role, address, options):
    """One urgent byte between others: told by POLLPRI, taken out of band, its place marked."""
    with opened(role, address, options) as s:
        if role == 'client':
            s.sendall(b'before')
            s.send(b'!', socket.MSG_OOB)
            s.sendall(b'after')
            return {'ok': read_exactly(s, 2) == b'ok'}
        told = select.select([], [], [s], PATIENCE)[2] == [s]
        byte = None
        for _ in range(100):
            try:
                byte = s.recv(1, socket.MSG_OOB)
                break
            except OSError:
                time.sleep(0.02)
        first = read_exactly(s, 6)
        rest = read_exactly(s, 5)
        s.sendall(b'ok')
        return {'ok': told and (byte, first, rest) == (b'!', b'before', b'after'), 'seen': repr((told, byte, first, rest))}


def simultaneous_open(role, address, options):
    """Both connect, from the port the other connects to, before either SYN has arrived."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(PATIENCE)
    s.bind((options['own'], PORT))
    print('listening', flush=True)
    time.sleep(max(0, float(options['when']) - time.time()))
    s.connect((options['other'], PORT))
    s.sendall(role.encode())
    s.shutdown(socket.SHUT_WR)
    return {'ok': read_all(s) == (b'client' if role == 'server' else b'server')}


def keepalive(role, address, options):
    """Silence longer than the probes' patience: an answering peer keeps the connection, and it serves still."""
    with opened(role, address, options) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (('TCP_KEEPIDLE', 1), ('TCP_KEEPINTVL', 1), ('TCP_KEEPCNT', 2)):
            s.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if role == 'client':
            time.sleep(5)
            s.sendall(b'still there')
            return {'ok': read_exactly(s, 3) == b'yes'}
        good = read_exactly(s, 11) == b'still there'
        s.sendall(b'yes')
        return {'ok': good}


def goodput(role, address, options):
    """Bytes a second that a server reads of what a client sends for some seconds, the first quarter left out; then it closes."""
    seconds = float(options['seconds'])
    with opened(role, address, options) as s:
        if role == 'client':
            block = bytes(1 << 18)
            try:
                while True:
                    s.sendall(block)
            except ConnectionError:
                return {'ok': True}
        began, n, from_here = time.monotonic(), 0, None
        while time.monotonic() < began + seconds:
            n += len(s.recv(1 << 20))
            if from_here is None and time.monotonic() > began + seconds / 4:
                from_here, n = time.monotonic(), 0
        return {'ok': from_here is not None, 'rate': n * 8 / (time.monotonic() - from_here) if from_here else 0}


SCENARIOS = {f.__name__: f for f in (simultaneous_close, half_close, reset, zero_window, urgent, simultaneous_open, keepalive, goodput)}


def main(scenario, role, address, *words):
    options = dict(word.split('=', 1) for word in words)
    if scenario == 'transfers':
        result = (transfers_server if role == 'server' else transfers_client)(address, options)
    else:
        result = SCENARIOS[scenario](role, address, options)
    print(json.dumps(result), flush=True)
    return 0 if result['ok'] else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
