# SPDX-License-Identifier: BSD-3-Clause
"""What must hold of every frame a stack emits, whatever the test: an independent, strict parser of
Ethernet, ARP, IPv4, ICMP, UDP and TCP. Checksums here are computed the slow and obvious way."""
import collections
import ipaddress
import struct


def checksum(data):
    """RFC 1071; 0 over data that includes a right checksum."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def group_mac(addr):
    return b'\x01\x00\x5e' + bytes([addr[1] & 0x7f]) + addr[2:4]


class Violation(Exception):
    pass


def require(condition, text):
    if not condition:
        raise Violation(text)


class Oracle:
    """seen counts the checked frames by kind, so that a test can tell that it checked something."""

    def __init__(self, mtu, addresses, mac):
        self.accurate_ecn = self.dctcp = False     # what the stack was asked for
        self.mtu = mtu
        self.addresses = {ipaddress.ip_address(a).packed for a in addresses}
        self.mac = bytes.fromhex(mac.replace(':', ''))
        self.vlans = set()      # the numbers of those that the stack was given
        self.dhcp = False       # a client runs: it may speak without an address
        self.seen = collections.Counter()

    def check(self, frame):
        """None, or what is wrong."""
        try:
            self.ethernet(frame.raw, frame.gso)
        except Violation as v:
            return f'{v}: {frame.raw[:100].hex()}'
        return None

    def ethernet(self, raw, gso):
        require(len(raw) >= 14, 'a frame without a whole Ethernet header')
        require(raw[6:12] == self.mac, 'a source MAC that is not ours')
        if raw[12:14] == b'\x81\0':
            require(len(raw) >= 18, 'a tag cut off')
            require((raw[14] << 8 | raw[15]) & 0xfff in self.vlans, 'a tag of no VLAN of ours')
            require(not raw[14] & 0x10, 'drop eligible')
            raw = raw[:12] + raw[16:]
            self.seen['tag'] += 1
        require(gso or len(raw) <= 14 + max(self.mtu, 46), 'a frame beyond the MTU')
        kind = raw[12:14]
        self.seen['frame'] += 1
        if kind == b'\x08\x06':
            self.arp(raw)
        else:
            require(kind == b'\x08\x00', 'an EtherType other than ARP and IPv4')
            self.ip4(raw[:6], raw[14:], gso)

    def arp(self, raw):
        require(len(raw) >= 42, 'ARP cut off')
        require(raw[14:20] == b'\0\1\x08\0\6\4', 'ARP not for Ethernet and IPv4')
        require(raw[20:22] in (b'\0\1', b'\0\2'), 'ARP opcode')
        require(raw[22:28] == self.mac, 'ARP sender hardware address not ours')
        require(raw[28:32] in self.addresses or raw[28:32] == bytes(4), 'ARP sender address not ours')
        require(not any(raw[42:]), 'padding that is not zero')
        self.seen['arp'] += 1

    def ip4(self, to, p, gso):
        require(len(p) >= 20 and p[0] >> 4 == 4, 'IP header cut off or not version 4')
        header_len, total = (p[0] & 15) * 4, p[2] << 8 | p[3]
        require(20 <= header_len <= total <= len(p), 'IP lengths')
        require(not any(p[total:]), 'padding that is not zero')
        require(checksum(p[:header_len]) == 0, 'IP header checksum')
        require(p[8] != 0, 'TTL 0')
        source, destination = p[12:16], p[16:20]
        asks = self.dhcp and source == bytes(4) and destination == b'\xff' * 4 and p[9] == 17 and \
            p[header_len:header_len + 4] == b'\0\x44\0\x43'
        reports = p[9] == 2 and source == bytes(4)      # RFC 3376 4.2.13
        require(source in self.addresses or asks or reports, 'an IP source that is not ours')
        require(destination[0] not in (0, 127), 'a destination in 0/8 or 127/8')
        if destination == b'\xff\xff\xff\xff':
            require(to == b'\xff' * 6, 'IP broadcast not in a link broadcast')
        elif 224 <= destination[0] <= 239:
            require(to == group_mac(destination), 'the MAC of a multicast group')
        fragment = p[6] << 8 | p[7]
        require(not fragment & 0x8000, 'reserved IP flag')
        require(not (fragment & 0x4000 and fragment & 0x3fff), 'a fragment with DF')
        require(not fragment & 0x2000 or (total - header_len) % 8 == 0, 'fragment not a multiple of 8')
        self.seen['ip'] += 1
        if fragment & 0x3fff:
            self.seen['fragment'] += 1
        elif not gso:
            self.transport(p[9], source, destination, p[header_len:total])
            require(p[9] != 6 or not p[1] & 3 or self.ect_allowed(p[header_len:total]), 'ECT on what is no data')

    def transport(self, protocol, source, destination, data):
        pseudo = source + destination + struct.pack('>HH', protocol, len(data))
        if protocol == 1:
            self.icmp(data)
        elif protocol == 17:
            self.udp(pseudo, data)
        elif protocol == 2:
            self.igmp(destination, data)
        else:
            require(protocol == 6, 'a protocol that nobody asked for')
            self.tcp(pseudo, data)

    def ect_allowed(self, tcp):
        """RFC 3168 6.1.1, 6.1.4: not on SYN, RST, or without data; DCTCP's may (RFC 8257 3.6)."""
        return len(tcp) > (tcp[12] >> 4) * 4 if not tcp[13] & 6 else self.dctcp

    def icmp(self, data):
        require(len(data) >= 8, 'ICMP cut off')
        require(checksum(data) == 0, 'ICMP checksum')
        require(data[0] in (0, 3, 8, 11, 12), f'ICMP type {data[0]} from a host')
        if data[0] in (3, 11, 12):
            require(len(data) >= 28, 'ICMP error that quotes too little')
            had = (data[10] << 8 | data[11]) - (data[8] & 15) * 4      # behind the quoted header
            require(len(data) >= 8 + (data[8] & 15) * 4 + min(8, had), 'ICMP error that quotes too little')
            require(len(data) + 20 <= 576, 'ICMP error longer than 576 bytes')
            require(data[0] == 12 or data[4:6] == b'\0\0', 'unused ICMP fields not zero')
            require(data[0] == 12 or (data[0], data[1]) == (3, 4) or data[6:8] == b'\0\0',
                    'unused ICMP fields not zero')
        self.seen['icmp'] += 1
        self.seen[f'icmp {data[0]}'] += 1

    def igmp(self, destination, data):
        require(len(data) >= 8 and checksum(data) == 0, 'IGMP cut off, or its checksum')
        require(data[0] in (0x12, 0x16, 0x17, 0x22), f'IGMP type {data[0]} from a host')
        to = {0x17: b'\xe0\0\0\x02', 0x22: b'\xe0\0\0\x16'}.get(data[0], data[4:8])
        require(destination == to, 'IGMP to another group than its type is for')
        require(data[0] == 0x22 or len(data) == 8 and 224 <= data[4] <= 239, 'an IGMP report of no group')
        self.seen[f'igmp {data[0]:#x}'] += 1

    def udp(self, pseudo, data):
        require(len(data) >= 8 and data[4] << 8 | data[5] == len(data), 'UDP length')
        require(data[6:8] != b'\0\0' and checksum(pseudo + data) == 0, 'UDP checksum')
        require(data[0:2] != b'\0\0' and data[2:4] != b'\0\0', 'UDP port 0')
        self.seen['udp'] += 1

    def tcp(self, pseudo, data):
        require(len(data) >= 20, 'TCP cut off')
        require(checksum(pseudo + data) == 0, 'TCP checksum')
        header_len, flags = (data[12] >> 4) * 4, data[13]
        require(20 <= header_len <= len(data), 'TCP data offset')
        require(not data[12] & (14 if self.accurate_ecn else 15), 'reserved TCP bits')
        require(data[0:2] != b'\0\0' and data[2:4] != b'\0\0', 'TCP port 0')
        self.tcp_options(data[20:header_len], bool(flags & 2))
        self.seen['tcp'] += 1
        for bit, name in enumerate(('fin', 'syn', 'rst', 'psh', 'ack', 'urg')):
            self.seen['tcp ' + name] += flags >> bit & 1

    def tcp_options(self, options, syn):
        sizes, at = {2: 4, 3: 3, 4: 2, 8: 10}, 0
        while at < len(options):
            kind = options[at]
            if kind == 0:
                require(not any(options[at:]), 'bytes behind EOL that are not zero')
                break
            if kind == 1:
                at += 1
                continue
            require(at + 1 < len(options), 'a TCP option without its length')
            size = options[at + 1]
            require(2 <= size <= len(options) - at, 'a TCP option that overruns the header')
            require(sizes.get(kind, size) == size, f'the size of TCP option {kind}')
            require(syn or kind not in (2, 3, 4), f'TCP option {kind} without SYN')
            require(kind != 5 or (size - 2) % 8 == 0 and size > 2 and not syn, 'a SACK option')
            self.seen[f'tcp option {kind}'] += 1
            at += size
