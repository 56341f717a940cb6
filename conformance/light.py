# SPDX-License-Identifier: BSD-3-Clause
"""One stack in virtual time, as tests see it: Stack drives a light-conformance process over a
socketpair, Socket wraps an endpoint handle, Frame is what the stack emitted and when.
Times are seconds since the stack was made; errors of calls are OSError with Linux's errno."""
import errno
import json
import os
import socket
import struct
import subprocess

from scapy.layers.inet import IP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

import oracle

SERVER = os.environ.get('LIGHT_CONFORMANCE', '/nonexistent/light-conformance')
BROADCAST = 'ff:ff:ff:ff:ff:ff'

# The network of every test: the stack under test, a host on its link, a router, a host beyond it.
MAC, ADDR = '02:00:00:00:00:01', '192.0.2.1'
HOST_MAC, HOST = '02:00:00:00:00:02', '192.0.2.2'
ROUTER_MAC, ROUTER = '02:00:00:00:00:fe', '192.0.2.254'
REMOTE = '198.51.100.7'

READABLE, WRITABLE, READ_CLOSED, HANGUP, ERROR, URGENT, CONNECTED, RELEASED, QUEUED = (1 << i for i in range(9))
SHUT_READ, SHUT_WRITE, SHUT_BOTH = 1, 2, 3

OPTIONS = {name: i + 1 for i, name in enumerate(
    '''REUSE_ADDR REUSE_PORT BROADCAST KEEPALIVE LINGER SEND_BUFFER RECEIVE_BUFFER RECEIVE_LOW
    OOB_INLINE TTL TOS PKTINFO RECV_ERR MTU_DISCOVER FREEBIND MULTICAST_TTL NODELAY CORK MAXSEG
    QUICKACK KEEP_IDLE KEEP_INTERVAL KEEP_COUNT SYN_COUNT USER_TIMEOUT LINGER2 DEFER_ACCEPT
    NOTSENT_LOWAT WINDOW_CLAMP MTU SHADOW CONGESTION FASTOPEN FASTOPEN_CONNECT MAX_PACING_RATE
    MULTICAST_LOOP MULTICAST_ALL MULTICAST_IF JOIN LEAVE'''.split())}
STATES = {name: i + 1 for i, name in enumerate(
    '''ESTABLISHED SYN_SENT SYN_RECEIVED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED CLOSE_WAIT LAST_ACK
    LISTEN CLOSING'''.split())}
TIME_SETTINGS = {'rto_initial', 'rto_min', 'rto_max', 'clock_granularity', 'delayed_ack', 'msl',
                 'fin_wait_2', 'keep_idle', 'keep_interval', 'user_timeout', 'adv_uto', 'uto_lower', 'uto_upper',
                 'mtu_probe_again'}

ECN = {name: i for i, name in enumerate('off passive request accurate-passive accurate'.split())}

live = []          # stacks of the running test, for the report of a failure


class Frame:
    """An emitted frame. frame[TCP], ARP in frame and frame.show() are scapy's."""

    def __init__(self, time, interface, gso, raw):
        self.time, self.interface, self.gso, self.raw = time, interface, gso, raw
        self._packet = None

    @property
    def packet(self):
        if self._packet is None:
            self._packet = Ether(self.raw)
        return self._packet

    def __getitem__(self, layer):
        return self.packet[layer]

    def __contains__(self, layer):
        return layer in self.packet

    def __repr__(self):
        return f'<{self.time:.6f} {self.packet.summary()}>'


class Socket:
    def __init__(self, stack, handle):
        self.stack, self.handle = stack, handle

    def call(self, name, *words):
        """The reply of a call; its 'result' may be a negative errno."""
        return self.stack.request(name, self.handle, *words)

    def checked(self, name, *words):
        reply = self.call(name, *words)
        if reply['result'] < 0:
            raise OSError(-reply['result'], errno.errorcode.get(-reply['result'], '?'), name)
        return reply

    def bind(self, addr='0.0.0.0', port=0):
        self.checked('bind', addr, port)
        return self

    def listen(self, backlog=16):
        self.checked('listen', backlog)
        return self

    def accept(self):
        return Socket(self.stack, self.checked('accept')['ep'])

    def connect(self, addr=HOST, port=80):
        result = self.call('connect', addr, port)['result']
        if result < 0 and result != -errno.EINPROGRESS:
            raise OSError(-result, errno.errorcode.get(-result, '?'), 'connect')
        return self

    def dissolve(self):
        self.checked('connect')

    def send(self, data):
        return self.checked('send', data.hex() or '-')['result']

    def recv(self, n=65536):
        return bytes.fromhex(self.checked('recv', n)['data'])

    def sendto(self, data, addr=None, port=None):
        to = () if addr is None else (addr, port)
        return self.checked('sendto', data.hex() or '-', *to)['result']

    def recvfrom(self, n=65536):
        """(data, (addr, port))"""
        reply = self.checked('recvfrom', n)
        return bytes.fromhex(reply['data']), tuple(reply['from'])

    def recvmsg(self, n=65536):
        """The reply of a socket with shared rings: data, from, to, interface, tos, ttl."""
        return self.checked('recvmsg', n)

    def sendmsg(self, data, addr, port, source='-'):
        return self.checked('sendmsg', data.hex() or '-', addr, port, source)['result']

    def shutdown(self, how=SHUT_WRITE):
        self.checked('shutdown', how)

    def close(self):
        self.checked('close')

    def abort(self):
        self.checked('abort')

    def set(self, option, value):
        self.checked('set', OPTIONS[option], int(value))
        return self

    def get(self, option):
        return self.checked('get', OPTIONS[option])['value']

    @staticmethod
    def membership(group, interface):
        """interface: 0 (as routes say), a number, or an address."""
        if isinstance(interface, str):
            interface = int.from_bytes(socket.inet_aton(interface), 'big')
        return int.from_bytes(interface.to_bytes(4, 'big') + socket.inet_aton(group), 'big', signed=True)

    def join(self, group, interface=0):
        return self.set('JOIN', self.membership(group, interface))

    def leave(self, group, interface=0):
        return self.set('LEAVE', self.membership(group, interface))

    def local(self):
        return tuple(self.checked('local')['name'])

    def peer(self):
        return tuple(self.checked('peer')['name'])

    def ready(self):
        return self.call('ready')['result']

    def take_error(self):
        return self.call('take_error')['result']

    def take_queued(self):
        """The oldest of the error queue; None: there is none."""
        reply = self.call('take_queued')
        return None if reply['result'] == -errno.EAGAIN else reply

    def info(self):
        return self.checked('info')['info']

    def state(self):
        return next(n for n, v in STATES.items() if v == self.info()['state'])


class Stack:
    """profile: 'linux' or 'standard'; tcp: settings by name, times in seconds; other settings as
    the server's "new" takes them. Hosts of the test network are permanent neighbours unless
    neighbours=False; what the stack says when it gets its address is dropped unless quiet=False."""

    def __init__(self, addresses=(ADDR + '/24',), profile='linux', mtu=1500, flags=(), gateway=ROUTER,
                 neighbours=True, quiet=True, tcp=(), mac=MAC, **settings):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.process = subprocess.Popen([SERVER, '--fd', str(theirs.fileno())],
                                        pass_fds=[theirs.fileno()])
        theirs.close()
        self.wire, self.lines = ours, ours.makefile('rb')
        self.trace, self.frames, self.events = [], [], []
        self.start = self.ns = settings.pop('start', 1_000_000_000_000)
        self.mtu = mtu
        self.oracle = oracle.Oracle(mtu, [a.split('/')[0] for a in addresses], mac)
        self.oracle.accurate_ecn = dict(tcp).get('ecn', 0) in (ECN['accurate-passive'], ECN['accurate'])
        self.oracle.dctcp = dict(tcp).get('cc') == 'dctcp'
        live.append(self)
        words = [f'profile={profile}', f'start={self.start}']
        for name, value in dict(tcp).items():
            words.append(f'tcp.{name}={self.setting(name, value)}')
        words += [f'{name}={value}' for name, value in settings.items()]
        self.request('new', *words)
        self.interface = self.result('link', 'eth0', mac, mtu, *flags)
        for address in addresses:
            assert self.result('address', self.interface, address) == 0
        if gateway:
            assert self.result('route', '0.0.0.0/0', gateway, self.interface) == 0
        if neighbours:
            self.neighbour(HOST, HOST_MAC)
            self.neighbour(ROUTER, ROUTER_MAC)
        if quiet:
            self.run(10)
            self.frames.clear()

    @staticmethod
    def setting(name, value):
        if name in TIME_SETTINGS:
            return round(value * 1e9)
        return int(value) if isinstance(value, bool) else value

    # ---- the server

    def request(self, *words):
        line = ' '.join(str(w) for w in words)
        self.wire.sendall(line.encode() + b'\n')
        answer = self.lines.readline()
        if not answer:
            raise AssertionError(f'the server died at: {line[:200]}')
        reply = json.loads(answer)
        if words[0] not in ('inject', 'queue', 'until', 'new', 'link', 'address', 'route', 'neighbour'):
            shown = line if len(line) < 90 else line[:70] + f'... ({len(line)} characters)'
            self.trace.append((self.ns, '#', f'{shown} = {reply.get("result", reply.get("error"))}'))
        self.ns = reply.get('now', self.ns)
        bad = None
        for at, interface, gso, text in reply.get('frames', ()):
            frame = Frame((at - self.start) / 1e9, interface, gso, bytes.fromhex(text))
            self.trace.append((at, '<', frame.raw))
            self.frames.append(frame)
            bad = bad or self.oracle.check(frame)
        self.events += reply.get('events', ())
        assert 'error' not in reply, f'{line[:200]}: {reply["error"]}'
        assert 'broken' not in reply, f'an invariant of the stack does not hold: {reply["broken"]}'
        assert not bad, f'no stack may send this: {bad}'
        return reply

    def result(self, *words):
        return self.request(*words)['result']

    def leaked(self):
        """Packets that the stack has neither given back nor waits with; 0 if the server is gone."""
        try:
            memory = self.memory()
        except (AssertionError, OSError, ValueError):
            return 0
        return memory['packets_lent'] - memory['packets_held']

    def close(self):
        """The server's exit status; sanitizers report by it."""
        self.wire.close()
        self.lines.close()
        return self.process.wait(timeout=30)

    # ---- the world

    @property
    def now(self):
        return (self.ns - self.start) / 1e9

    def neighbour(self, addr, mac):
        assert self.result('neighbour', self.interface, addr, mac) == 0

    @staticmethod
    def frame_bytes(packet):
        if isinstance(packet, Packet):
            if isinstance(packet, IP):
                packet = Ether(src=HOST_MAC, dst=MAC) / packet
            elif isinstance(packet, ARP):
                packet = Ether(src=packet.hwsrc, dst=BROADCAST if packet.op == 1 else MAC) / packet
            packet = bytes(packet)
        return packet

    def inject(self, *packets):
        """Gives frames to the stack as one burst and lets it work. Packets without an Ethernet
        header come from HOST_MAC; bytes are taken as they are."""
        frames = [self.frame_bytes(p) for p in packets]
        for raw in frames:
            self.trace.append((self.ns, '>', raw))
        self.request('inject', self.interface, *(raw.hex() or '-' for raw in frames))

    def run(self, seconds):
        """Lets virtual time pass; every timer fires exactly when it is due."""
        self.request('until', self.ns + round(seconds * 1e9))

    def until(self, seconds):
        self.request('until', self.start + round(seconds * 1e9))

    def fault(self, pool=-1, queue=-1):
        self.request('fault', self.interface, pool, queue)

    def deadline(self):
        at = self.request('deadline')['deadline']
        return None if at is None else (at - self.start) / 1e9

    def counters(self):
        return self.request('counters')['counters']

    def counter(self, name):
        return next(v for k, v in self.counters().items() if k.upper() == name)

    def memory(self):
        return self.request('memory')['memory']

    def neighbours(self):
        return {n['addr']: n for n in self.request('neighbours')['neighbours']}

    def sockets(self):
        return self.request('walk')['sockets']

    def events_of(self, sock):
        """All events of a socket since the last call, or'ed."""
        mask = 0
        for handle, bits in self.events:
            mask |= bits if handle == sock.handle else 0
        self.events = [e for e in self.events if e[0] != sock.handle]
        return mask

    # ---- sockets

    def stream(self):
        return Socket(self, self.request('open', 'stream')['ep'])

    def datagram(self):
        return Socket(self, self.request('open', 'datagram')['ep'])

    def shared_datagram(self):
        """A socket whose rings are used as a program in another process uses them."""
        return Socket(self, self.request('open_ring', 'datagram')['ep'])

    def udp(self, port=0, addr='0.0.0.0'):
        return self.datagram().bind(addr, port)

    def listener(self, port=80, addr='0.0.0.0', backlog=16):
        return self.stream().bind(addr, port).listen(backlog)

    # ---- what was sent

    def sent(self, layer=None, where=None):
        """Takes the emitted frames (with that scapy layer, for which `where` holds)."""
        taken, left = [], []
        for f in self.frames:
            wanted = (layer is None or layer in f) and (where is None or where(f))
            (taken if wanted else left).append(f)
        self.frames = left
        return taken

    def one(self, layer=None, where=None):
        """The only such frame."""
        frames = self.sent(layer, where)
        name = layer.__name__ if layer else 'any'
        assert len(frames) == 1, f'expected one frame ({name}), got {len(frames)}: {frames}'
        return frames[0]

    def none(self, layer=None, where=None):
        frames = self.sent(layer, where)
        assert not frames, f'expected no frame, got {frames}'

    # ---- reports

    def trace_text(self, last=40):
        lines = []
        for at, direction, what in self.trace[-last:]:
            if isinstance(what, bytes):
                try:
                    what = Ether(what).summary() + f' ({len(what)} bytes)'
                except Exception:                  # a malformed frame is part of many tests
                    what = f'{len(what)} bytes: {what[:40].hex()}'
            lines.append(f'{(at - self.start) / 1e9:14.6f} {direction} {what}')
        return '\n'.join(lines)

    def write_pcap(self, path):
        with open(path, 'wb') as out:
            out.write(struct.pack('<IHHiIII', 0xa1b23c4d, 2, 4, 0, 0, 262144, 1))
            for at, _, raw in self.trace:
                if isinstance(raw, bytes):
                    out.write(struct.pack('<IIII', at // 10**9, at % 10**9, len(raw), len(raw)) + raw)


def errno_of(call, *args):
    """The errno that a call fails with; 0 if it does not."""
    try:
        call(*args)
    except OSError as e:
        return e.errno
    return 0
