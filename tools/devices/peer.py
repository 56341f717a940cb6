#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The small programs of the device tests. The same file runs on the kernel's stack and, by light-run, on Light; it uses plain
sockets only, prints what it found as lines of text, and exits 1 with a reason where something is wrong.

usage: peer.py COMMAND ARGUMENT..."""
import errno
import fcntl
import os
import random
import resource
import select
import socket
import struct
import sys
import time

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU, IP_RECVERR = 10, 2, 14, 11
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, TP_STATUS_VLAN_VALID, ETH_P_ALL = 263, 8, 15, 1 << 4, 3
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 2, 0x1000, 0x4000
PATIENCE = int(os.environ.get("PATIENCE", "30"))


def fail(why):
    print("failed: %s" % why, flush=True)
    sys.exit(1)


def udp(address=None, port=0):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        s.setsockopt(socket.SOL_SOCKET, option, 400000)
    if address is not None:
        s.bind((address, port))
    return s


def udp_echo(address, port):
    """Every datagram back to where it came from, until killed."""
    s = udp(address, int(port))
    s.settimeout(None)
    print("ready", flush=True)
    while True:
        data, who = s.recvfrom(65536)
        s.sendto(data, who)


def udp_ask(address, port, *sizes):
    """Random content of each size there and back."""
    s = udp()
    s.connect((address, int(port)))
    for size in map(int, sizes):
        data = os.urandom(size)
        s.send(data)
        try:
            answer = s.recv(65536)
        except socket.timeout:
            fail("no answer to %d bytes" % size)
        if answer != data:
            fail("%d bytes came back as %d others" % (size, len(answer)))
    print("%d datagrams" % len(sizes))


def udp_refused(address, port):
    """A closed port says so: the second call after the ICMP message has come gets ECONNREFUSED."""
    s = udp()
    s.connect((address, int(port)))
    s.send(b"is anybody there")
    try:
        s.recv(100)
    except ConnectionRefusedError:
        print("refused")
        return
    except socket.timeout:
        fail("no error came back")
    fail("somebody answered")


def udp_df(address, port, size):
    """Sends with DF until the path's MTU is known; prints it, and what a datagram beyond it says."""
    s = udp()
    s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    s.connect((address, int(port)))
    for _ in range(100):
        try:
            s.send(bytes(int(size)))
        except OSError as e:
            if e.errno != errno.EMSGSIZE:
                fail("send: %s" % e)
            print("mtu %d" % s.getsockopt(socket.IPPROTO_IP, IP_MTU))
            return
        time.sleep(0.1)
    fail("never told that %s bytes are too long" % size)


def udp_flood(address, port, seconds, size):
    """As fast as it goes for a while; prints how many."""
    s = udp()
    s.connect((address, int(port)))
    data, count = os.urandom(int(size)), 0
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for _ in range(64):
            try:
                s.send(data)
                count += 1
            except (ConnectionRefusedError, BlockingIOError):
                pass
            except OSError as e:
                if e.errno != errno.ENOBUFS:
                    raise
    print("%d" % count)


def udp_slow_sink(address, port):
    """Reads one datagram in two milliseconds, which is slower than any sender; ends at one that says so."""
    s = udp(address, int(port))
    print("ready", flush=True)
    count = 0
    s.settimeout(None)
    while True:
        data = s.recv(65536)
        count += 1
        if data == b"end":
            break
        time.sleep(0.002)
    print("%d" % count)


def tcp_server(address, port):
    """Many connections at once: each gets back what it sends. One thread, epoll."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen(1024)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    open_ones = {}
    print("ready", flush=True)
    while True:
        for fd, _events in epoll.poll():
            if fd == listener.fileno():
                try:
                    s, _who = listener.accept()
                except BlockingIOError:
                    continue
                open_ones[s.fileno()] = s
                epoll.register(s.fileno(), select.EPOLLIN)
                continue
            try:
                data = open_ones[fd].recv(65536)
            except ConnectionResetError:
                data = b""
            if data:
                open_ones[fd].setblocking(True)
                open_ones[fd].sendall(data)
            else:
                epoll.unregister(fd)
                open_ones.pop(fd).close()


def tcp_swarm(address, port, number):
    """So many connections open at the same time; each then carries its own 100 bytes there and back, twice."""
    number = int(number)
    epoll, sockets, heard = select.epoll(), {}, {}
    for _ in range(number):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((address, int(port)))
        sockets[s.fileno()] = s
        epoll.register(s.fileno(), select.EPOLLOUT)
    waiting, end = set(sockets), time.monotonic() + 2 * PATIENCE
    while waiting:
        if time.monotonic() > end:
            fail("%d of %d never connected" % (len(waiting), number))
        for fd, _events in epoll.poll(1):
            error = sockets[fd].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                fail("connect: %s" % os.strerror(error))
            waiting.discard(fd)
            epoll.modify(fd, 0)
    for _round in range(2):
        for fd, s in sockets.items():
            heard[fd] = b""
            epoll.modify(fd, select.EPOLLIN)
            s.send(b"%099d\n" % fd)
        waiting = set(sockets)
        while waiting:
            if time.monotonic() > end:
                fail("%d of %d got no answer" % (len(waiting), number))
            for fd, _events in epoll.poll(1):
                data = sockets[fd].recv(100)
                if not data:
                    fail("a connection was closed")
                heard[fd] += data
                if len(heard[fd]) == 100:
                    if heard[fd] != b"%099d\n" % fd:
                        fail("an answer went to another connection")
                    waiting.discard(fd)
                    epoll.modify(fd, 0)
    print("%d connections" % number)


def tcp_trickle(address, port, path):
    """One connection that speaks until the file is gone: every answer must come. Prints how many did."""
    s = socket.create_connection((address, int(port)), timeout=PATIENCE)
    s.settimeout(2 * PATIENCE)
    print("connected", flush=True)
    count = 0
    while os.path.exists(path):
        word = b"%015d\n" % count
        s.sendall(word)
        answer = b""
        while len(answer) < len(word):
            more = s.recv(len(word) - len(answer))
            if not more:
                fail("closed after %d" % count)
            answer += more
        if answer != word:
            fail("%r came back as %r" % (word, answer))
        count += 1
        time.sleep(0.01)
    print("%d answers" % count)


def tcp_mss(address, port):
    """The longest segment of a connection."""
    s = socket.create_connection((address, int(port)), timeout=PATIENCE)
    s.sendall(b"x")
    s.recv(1)
    print("mss %d" % s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))


def unknown_protocol(address):
    """A host that does not know an IP protocol says so (RFC 1122 3.2.2.1). On the kernel's stack only."""
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    icmp.settimeout(1)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        raw.sendto(b"anything at all", (address, 0))
        try:
            data, who = icmp.recvfrom(2000)
        except socket.timeout:
            continue
        if who[0] == address and data[20:22] == b"\x03\x02" and data[28 + 9] == 253:
            print("protocol unreachable")
            return
    fail("no protocol unreachable came")


def frames(interface, mac, address, shortest, longest, seed):
    """One frame of every length with random content; half of them to that MAC and address as IPv4, ARP or a VLAN's, so that they
    get past the first look. Prints how many the kernel let out."""
    rng = random.Random(int(seed))
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((interface, 0))
    target, target_ip = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(address)
    sent = 0
    for length in range(int(shortest), int(longest) + 1):
        frame = bytearray(rng.randbytes(length))
        if length % 2 == 0 and length >= 14:
            frame[0:6] = target if length % 4 else b"\xff" * 6
            frame[12:14] = struct.pack("!H", rng.choice((0x0800, 0x0806, 0x8100)))
            for where, what in ((14, b"\x45"), (30, target_ip), (38, target_ip)):
                if length >= where + len(what):
                    frame[where:where + len(what)] = what
        for _ in range(100):
            try:
                s.send(frame)
                sent += 1
                break
            except OSError as e:
                if e.errno != errno.ENOBUFS:
                    break
                time.sleep(0.01)
    print("%d" % sent)


def vlan_wire(interface, vid, name):
    """A TAP interface of that name whose frames pass through `interface` as those of a VLAN: what a VLAN interface of the
    kernel does, which not every kernel has. Received frames keep their virtio-net header, in case they are super-frames."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.bind((interface, ETH_P_ALL))
    tag = struct.pack("!HH", 0x8100, int(vid))
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([tap, wire], [], [])
        if tap in ready:
            frame = os.read(tap, 65600)
            try:
                wire.send(bytes(10) + frame[10:22] + tag + frame[22:])
            except OSError as e:
                if e.errno not in (errno.ENOBUFS, errno.ENETDOWN):
                    raise
        if wire in ready:
            frame, aux, _flags, who = wire.recvmsg(65600, 64)
            status, _len, _snap, _mac, _net, tci = struct.unpack_from("IIIHHH", aux[0][2]) if aux else (0,) * 6
            if who[2] != socket.PACKET_OUTGOING and status & TP_STATUS_VLAN_VALID and tci & 4095 == int(vid):
                os.write(tap, frame)


COMMANDS = {f.__name__.replace("_", "-"): f for f in (
    udp_echo, udp_ask, udp_refused, udp_df, udp_flood, udp_slow_sink, tcp_server, tcp_swarm, tcp_trickle, tcp_mss,
    unknown_protocol, frames, vlan_wire)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__ + "\ncommands: " + " ".join(COMMANDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
