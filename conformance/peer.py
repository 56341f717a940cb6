# SPDX-License-Identifier: BSD-3-Clause
"""The other end of a TCP connection, by hand: Peer keeps its sequence numbers and builds options, and
otherwise does only what the test says. Its acknowledgment follows in-order data by itself, but it
sends nothing unasked."""
import struct

from light import ADDR, HOST, HOST_MAC, MAC, STATES
from oracle import checksum
import ipaddress

FLAGS = 'FSRPAUEC'     # E and C: ECE and CWR
M32 = 0xffffffff


def diff(a, b):
    """a - b of sequence numbers."""
    return (a - b + 0x80000000 & M32) - 0x80000000


def mss(n):
    return struct.pack('>BBH', 2, 4, n)


def wscale(n):
    return struct.pack('>BBB', 3, 3, n)


def timestamps(value, echo):
    return struct.pack('>BBII', 8, 10, value & M32, echo & M32)


SACK_PERMITTED = b'\4\2'


def sack(*blocks):
    return struct.pack('>BB', 5, 2 + 8 * len(blocks)) + b''.join(
        struct.pack('>II', a & M32, b & M32) for a, b in blocks)


class Segment:
    """What the stack sent. options: {kind: body}."""

    def __init__(self, frame):
        ip = frame.raw[14:14 + (frame.raw[16] << 8 | frame.raw[17])]
        tcp = ip[(ip[0] & 15) * 4:]
        self.frame, self.time, self.ip = frame, frame.time, ip
        self.sport, self.dport, self.seq, self.ack = struct.unpack('>HHII', tcp[:12])
        self.flags = ''.join(f for i, f in enumerate(FLAGS) if tcp[13] >> i & 1)
        self.window, self.urgent = tcp[14] << 8 | tcp[15], tcp[18] << 8 | tcp[19]
        self.data = tcp[(tcp[12] >> 4) * 4:]
        self.options = dict(self.walk(tcp[20:(tcp[12] >> 4) * 4]))

    @staticmethod
    def walk(options):
        while options and options[0]:
            if options[0] == 1:
                options = options[1:]
                continue
            yield options[0], options[2:options[1]]
            options = options[options[1]:]

    @property
    def ecn(self):
        """The ECN field of the IP header: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE."""
        return self.ip[1] & 3

    @property
    def ace(self):
        """AE, CWR and ECE as a number (RFC 9768)."""
        tcp = self.ip[(self.ip[0] & 15) * 4:]
        return (tcp[12] & 1) << 2 | tcp[13] >> 6

    @property
    def length(self):
        return len(self.data) + ('S' in self.flags) + ('F' in self.flags)

    @property
    def end(self):
        return self.seq + self.length & M32

    @property
    def mss(self):
        return struct.unpack('>H', self.options[2])[0]

    @property
    def tsval(self):
        return struct.unpack('>I', self.options[8][:4])[0]

    @property
    def tsecr(self):
        return struct.unpack('>I', self.options[8][4:])[0]

    @property
    def sack(self):
        body = self.options.get(5, b'')
        return [struct.unpack('>II', body[i:i + 8]) for i in range(0, len(body), 8)]

    def __repr__(self):
        return (f'<{self.time:.6f} {self.sport}>{self.dport} {self.flags} seq={self.seq} '
                f'ack={self.ack} win={self.window} len={len(self.data)}>')


class Peer:
    def __init__(self, stack, port=40000, stack_port=80, addr=HOST, stack_addr=ADDR, mac=HOST_MAC,
                 isn=1000, window=65535, mss=1460, wscale=None, timestamps=False, sack=False):
        self.stack, self.mac, self.addr, self.stack_addr = stack, mac, addr, stack_addr
        self.port, self.stack_port = port, stack_port
        self.isn, self.seq, self.ack, self.irs = isn, isn, 0, None
        self.window, self.mss, self.wscale, self.sack = window, mss, wscale, sack
        self.timestamps, self.ts_recent, self.ts_offset = timestamps, 0, 5000
        self.got = b''        # the stream so far, in order

    # ---- sending

    def clock(self):
        return int(self.stack.now * 1000) + self.ts_offset & M32

    def syn_options(self):
        options = b''
        if self.mss is not None:
            options += mss(self.mss)
        if self.wscale is not None:
            options += wscale(self.wscale)
        if self.sack:
            options += SACK_PERMITTED
        return options

    def options_for(self, flags):
        options = self.syn_options() if 'S' in flags else b''
        if self.timestamps and 'R' not in flags:
            options += timestamps(self.clock(), self.ts_recent)
        return options

    def build(self, flags='A', data=b'', seq=None, ack=None, window=None, options=None, urgent=0,
              reserved=0, ace=None, offset=None, tcp_checksum=None, tos=0, ttl=64, src=None, dst=None, ip_options=b'',
              to_mac=MAC):
        """A frame with a segment of this connection; nothing is remembered of it."""
        options = self.options_for(flags) if options is None else options
        options += b'\0' * (-len(options) % 4)
        seq = self.seq if seq is None else seq
        ack = (self.ack if 'A' in flags else 0) if ack is None else ack
        window = self.window if window is None else window
        offset = 5 + len(options) // 4 if offset is None else offset
        bits = sum(1 << FLAGS.index(f) for f in flags)
        if ace is not None:
            bits, reserved = bits & 63 | (ace & 3) << 6, ace >> 2
        tcp = struct.pack('>HHIIBBHHH', self.port, self.stack_port, seq & M32, ack & M32,
                          offset << 4 | reserved, bits, window, 0, urgent) + options + data
        src = ipaddress.ip_address(src or self.addr).packed
        dst = ipaddress.ip_address(dst or self.stack_addr).packed
        right = checksum(src + dst + struct.pack('>HH', 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack('>H', right if tcp_checksum is None else tcp_checksum) + tcp[18:]
        ip = struct.pack('>BBHHHBBH', 0x45 + len(ip_options) // 4, tos, 20 + len(ip_options) + len(tcp),
                         1, 0, ttl, 6, 0) + src + dst + ip_options
        ip = ip[:10] + struct.pack('>H', checksum(ip)) + ip[12:]
        mac = bytes.fromhex((to_mac + self.mac).replace(':', ''))
        return mac + b'\x08\x00' + ip + tcp

    def send(self, flags='A', data=b'', seq=None, **fields):
        """Injects a segment; without an explicit seq it is the next of the stream and counts."""
        self.stack.inject(self.build(flags, data, seq, **fields))
        if seq is None:
            self.seq = self.seq + len(data) + ('S' in flags) + ('F' in flags) & M32

    def burst(self, *frames):
        self.stack.inject(*frames)

    # ---- what the stack sent

    def mine(self, frame):
        raw = frame.raw
        if len(raw) < 54 or raw[12:14] != b'\x08\x00' or raw[23] != 6:
            return False
        at = 14 + (raw[14] & 15) * 4
        return (raw[at:at + 4] == struct.pack('>HH', self.stack_port, self.port)
                and raw[30:34] == ipaddress.ip_address(self.addr).packed)

    def note(self, segment):
        if 'S' in segment.flags and self.irs is None:
            self.irs, self.ack = segment.seq, segment.seq
        if 8 in segment.options:
            self.ts_recent = segment.tsval
        if self.irs is not None and diff(segment.seq, self.ack) <= 0 < diff(segment.end, self.ack):
            if 'S' not in segment.flags:
                self.got += segment.data[diff(self.ack, segment.seq):]
            self.ack = segment.end

    def segments(self):
        """Takes all segments for this peer that were sent and not yet looked at."""
        found = [Segment(f) for f in self.stack.sent(where=self.mine)]
        for s in found:
            self.note(s)
        return found

    def none(self):
        found = self.segments()
        assert not found, f'expected no segment, got {found}'

    def one(self, flags=None, **fields):
        """The only new segment, checked: flags as a set ('P' may be there or not unless named), and any
        attribute of Segment."""
        found = self.segments()
        assert len(found) == 1, f'expected one segment ({flags}, {fields}), got {found}'
        self.check(found[0], flags, **fields)
        return found[0]

    @staticmethod
    def check(segment, flags=None, **fields):
        if flags is not None:
            seen = set(segment.flags) - ({'P'} - set(flags))
            assert seen == set(flags), f'expected flags {flags}, got {segment}'
        for name, value in fields.items():
            assert getattr(segment, name) == value, \
                f'expected {name}={value!r}, got {getattr(segment, name)!r} in {segment}'

    def state(self):
        """The state of the connection as the stack shows it; 'CLOSED' if it knows none."""
        for info in self.stack.sockets():
            if info['peer'] == [self.addr, self.port] and info['local'][1] == self.stack_port:
                return next(n for n, v in STATES.items() if v == info['state'])
        return 'CLOSED'

    # ---- whole exchanges

    def connect(self, **syn):
        """The three-way handshake with a listener."""
        self.send('S', **syn)
        synack = self.one('SA', ack=self.seq)
        self.send('A')
        return synack

    def accept(self, **synack):
        """Answers the stack's SYN."""
        syn = self.receive_syn()
        self.send('SA', **synack)
        self.one('A', ack=self.seq)
        return syn

    def receive_ecn_syn(self, flags='SEC', **fields):
        """As receive_syn, of a stack that asks for ECN (or may not)."""
        return self.receive_syn(flags, **fields)

    def receive_syn(self, flags='S', **fields):
        """Takes the stack's SYN, whatever port it comes from."""
        frames = self.stack.sent(where=lambda f: f.raw[12:14] == b'\x08\x00' and f.raw[23] == 6
                                 and f.raw[30:34] == ipaddress.ip_address(self.addr).packed
                                 and struct.unpack('>H', f.raw[36:38])[0] == self.port)
        assert len(frames) == 1, f'expected one SYN, got {frames}'
        syn = Segment(frames[0])
        self.check(syn, flags, **fields)
        self.stack_port = syn.sport
        self.stack_addr = str(ipaddress.ip_address(syn.ip[12:16]))
        self.note(syn)
        return syn


def established(stack, port=80, **peer):
    """A connection that the peer opened: (peer, socket)."""
    listener = stack.listener(port)
    p = Peer(stack, stack_port=port, **peer)
    p.connect()
    p.listener = listener
    return p, listener.accept()


def opened(stack, port=80, **peer):
    """A connection that the stack opened: (peer, socket)."""
    p = Peer(stack, port=port, **peer)
    sock = stack.stream().connect(p.addr, port)
    p.accept()
    return p, sock


def syn_sent(stack, port=80, **peer):
    """The stack's SYN is not answered yet: (peer, socket, the SYN)."""
    p = Peer(stack, port=port, **peer)
    sock = stack.stream().connect(p.addr, port)
    return p, sock, p.receive_syn()
