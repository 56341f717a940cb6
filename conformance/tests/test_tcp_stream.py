# SPDX-License-Identifier: BSD-3-Clause
"""Two stacks over a bad cable: whatever happens to the frames, as long as it ends, both programs read exactly the bytes
written (RFC 9293 3.8). A failing seed is a parameter of the test's name."""
import errno
import heapq
import random
import struct

import pytest

from light import ADDR, HOST, HOST_MAC, MAC, READABLE, WRITABLE, Stack
from oracle import checksum
from tcpkit import pattern


class Fault:
    """What the cable does to a frame: a list of (delay, bytes)."""

    def __init__(self, seed, until, loss=0.0, duplicate=0.0, reorder=0.0, corrupt=0.0, cut=0.0, resplit=0.0, delay=0.01):
        self.rng, self.until, self.delay = random.Random(seed), until, delay
        self.loss, self.duplicate, self.reorder = loss, duplicate, reorder
        self.corrupt, self.cut, self.resplit = corrupt, cut, resplit

    def happens(self, probability):
        return self.rng.random() < probability

    def __call__(self, now, raw):
        if now > self.until:
            return [(self.delay, raw)]
        if self.happens(self.loss):
            return []
        frames = self.split(raw) if self.happens(self.resplit) else [raw]
        if self.happens(self.duplicate):
            frames += frames
        out = []
        for frame in frames:
            if self.happens(self.corrupt):
                frame = bytearray(frame)
                bit = self.rng.randrange(34 * 8, len(frame) * 8)
                frame[bit // 8] ^= 1 << bit % 8
                frame = bytes(frame)
            if self.happens(self.cut):
                frame = frame[:self.rng.randrange(14, len(frame))]
            late = self.rng.random() * 0.1 if self.happens(self.reorder) else 0
            out.append((self.delay + late, frame))
        return out

    def split(self, raw):
        """A data segment as two, with lengths and checksums right again, as a middlebox may do it."""
        total, offset = struct.unpack('>H', raw[16:18])[0], (raw[46] >> 4) * 4
        head, data = raw[14:34 + offset], raw[34 + offset:14 + total]
        if raw[23] != 6 or raw[14] != 0x45 or len(data) < 2 or raw[47] & 0x22:
            return [raw]
        at, frames = self.rng.randrange(1, len(data)), []
        for start, part in ((0, data[:at]), (at, data[at:])):
            seq = struct.unpack('>I', head[24:28])[0] + start & 0xffffffff
            flags = head[33] & (0xfe if start == 0 else 0xff)                # FIN on the last one only
            tcp = head[20:24] + struct.pack('>I', seq) + head[28:33] + bytes([flags]) + head[34:36] + b'\0\0' \
                + head[38:] + part
            pseudo = head[12:20] + struct.pack('>HH', 6, len(tcp))
            tcp = tcp[:16] + struct.pack('>H', checksum(pseudo + tcp)) + tcp[18:]
            ip = head[:2] + struct.pack('>H', 20 + len(tcp)) + head[4:10] + b'\0\0' + head[12:20]
            ip = ip[:10] + struct.pack('>H', checksum(ip)) + ip[12:]
            frames.append(raw[:14] + ip + tcp)
        return frames


class World:
    """Two stacks with one clock, and what is on its way between them."""

    def __init__(self, fault, **settings):
        self.fault, self.flying, self.count = fault, [], 0
        self.a = Stack(**settings)
        self.b = Stack(addresses=(HOST + '/24',), mac=HOST_MAC, neighbours=False, **settings)
        self.b.neighbour(ADDR, MAC)
        self.b.sent()

    def carry(self):
        for stack, other in ((self.a, self.b), (self.b, self.a)):
            for frame in stack.sent():
                for delay, raw in self.fault(frame.time, frame.raw):
                    self.count += 1
                    heapq.heappush(self.flying, (frame.time + delay, self.count, other, raw))

    def step(self, limit):
        """On to the next thing that happens; False at the limit."""
        self.carry()
        times = [t for t in (self.a.deadline(), self.b.deadline()) if t is not None]
        times += [self.flying[0][0]] if self.flying else []
        at = max(min(times, default=limit), self.a.now)
        if at >= limit:
            return False
        for stack in (self.a, self.b):
            stack.until(at)
        arrived = {self.a: [], self.b: []}
        while self.flying and self.flying[0][0] <= at:
            _, _, stack, raw = heapq.heappop(self.flying)
            arrived[stack].append(raw)
        for stack, frames in arrived.items():
            if frames:
                stack.inject(*frames)
        self.carry()
        return True


class Program:
    """Writes all of `data`, then closes its side; reads to the end, in bites of any size."""

    def __init__(self, sock, data, rng):
        self.sock, self.data, self.rng = sock, data, rng
        self.sent, self.got, self.ended, self.shut = 0, b'', False, False

    def work(self):
        while not self.ended and self.sock.ready() & READABLE:
            part = self.sock.recv(self.rng.randrange(1, 9000))
            self.ended = not part
            self.got += part
        while self.sent < len(self.data) and self.sock.ready() & WRITABLE:
            try:
                self.sent += self.sock.send(self.data[self.sent:self.sent + self.rng.randrange(1, 20000)])
            except OSError as e:
                assert e.errno == errno.EAGAIN
                break
        if self.sent == len(self.data) and not self.shut:
            self.sock.shutdown()
            self.shut = True


def transfer(seed, there, back, settings, **faults):
    rng = random.Random(seed)
    world = World(Fault(seed, 40, **faults), **settings)
    listener = world.b.listener(80)
    client = Program(world.a.stream().connect(HOST, 80), pattern(there, seed), rng)
    server = None
    limit = world.a.now + 900
    while world.step(limit):
        if server is None and listener.ready() & READABLE:
            server = Program(listener.accept(), pattern(back, seed + 1), rng)
        for program in (client, server):
            if program:
                program.work()
        if server and client.ended and server.ended:
            break
    assert server, 'never connected'
    assert server.got == client.data and client.got == server.data
    assert client.ended and server.ended
    for sock in (client.sock, server.sock, listener):
        sock.close()
    while world.step(limit):
        pass
    for stack in (world.a, world.b):
        stack.until(limit + 300)
        memory = stack.memory()
        assert not any(memory[k] for k in ('connections', 'half_open', 'time_wait', 'packets_held', 'extents_lent',
                                           'packets_lent')), memory


PLAIN = {'window_scaling': False, 'timestamps': False, 'sack': False}
SMALL = {'receive_buffer_initial': 4096, 'receive_buffer_max': 4096, 'send_buffer_initial': 8192,
         'send_buffer_max': 8192}


# covers: 9293-3.8-stream
@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('tcp', [{}, PLAIN, SMALL], ids=['default', 'plain', 'small'])
@pytest.mark.parametrize('faults', [
    {'loss': 0.05}, {'reorder': 0.3, 'duplicate': 0.1}, {'corrupt': 0.05, 'cut': 0.05}, {'resplit': 0.5, 'loss': 0.03},
    {'loss': 0.08, 'reorder': 0.2, 'duplicate': 0.05, 'corrupt': 0.03, 'cut': 0.02, 'resplit': 0.2}],
    ids=['loss', 'reorder', 'damage', 'resplit', 'all'])
def test_the_stream_is_exact(seed, tcp, faults):
    transfer(seed, 60000, 20000, {'tcp': tcp}, **faults)


# covers: 9293-3.8-stream
@pytest.mark.parametrize('profile', ['linux', 'standard'])
def test_a_total_loss_that_ends(profile):
    transfer(99, 30000, 0, {'profile': profile}, loss=0.6)
