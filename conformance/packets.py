# SPDX-License-Identifier: BSD-3-Clause
"""Building blocks of the IP tests: fragments with any offsets, datagrams, whole messages put together
again from what the stack sent."""
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from light import ADDR, HOST, HOST_MAC, MAC
from oracle import checksum


def ether(payload, src=HOST_MAC, dst=MAC):
    return Ether(src=src, dst=dst) / payload


def udp(data=b'', sport=4000, dport=5000, src=HOST, dst=ADDR, chksum=None, **ip):
    """A UDP datagram in IP, as bytes-ready layers; ip: fields of the IP header."""
    return IP(src=src, dst=dst, **ip) / UDP(sport=sport, dport=dport, chksum=chksum) / Raw(data)


def payload_of(packet):
    """The bytes above the IP header, right checksums and all."""
    return bytes(IP(bytes(packet)).payload)


def fragment(body, offset, more, ident=1, proto=17, src=HOST, dst=ADDR, **ip):
    return IP(src=src, dst=dst, id=ident, proto=proto, frag=offset // 8, flags='MF' if more else 0,
              **ip) / Raw(body)


def split(body, cuts, **fields):
    """Fragments of a body cut at these offsets (multiples of 8)."""
    edges = [0] + list(cuts) + [len(body)]
    return [fragment(body[a:b], a, b < len(body), **fields) for a, b in zip(edges, edges[1:])]


def every(body, size, **fields):
    return split(body, range(size, len(body), size), **fields)


def joined(frames):
    """The IP payloads of all datagrams in these frames, in the order in which they are complete: what a
    standard receiver makes of them. Raises if pieces are missing or overlap."""
    parts, whole = {}, []
    for f in frames:
        ip = f[IP]
        raw = f.raw[14:14 + ip.len]
        key = ip.src, ip.dst, ip.proto, ip.id
        if not ip.flags.MF and not ip.frag:
            whole.append(raw[ip.ihl * 4:])
            continue
        got = parts.setdefault(key, {})
        assert ip.frag * 8 not in got, 'the same fragment twice'
        got[ip.frag * 8] = (raw[ip.ihl * 4:], bool(ip.flags.MF))
        body, more = b'', True
        while len(body) in got:
            piece, more = got[len(body)]
            body += piece
            if not more:
                break
        if not more:
            whole.append(body)
            del parts[key]
    assert not parts, 'a datagram that was not sent whole'
    return whole


def echo(data=b'ping', ident=7, seq=1, src=HOST, dst=ADDR, **ip):
    return IP(src=src, dst=dst, **ip) / ICMP(id=ident, seq=seq) / Raw(data)


def quote(frame, length=28):
    """The start of an emitted packet, as a router would quote it."""
    return frame.raw[14:14 + length]


def icmp_error(kind, code, quoted, src=HOST, dst=ADDR, extra=0):
    """An ICMP error that quotes these bytes; extra: its second word."""
    body = bytes([kind, code, 0, 0]) + extra.to_bytes(4, 'big') + quoted
    return IP(src=src, dst=dst, proto=1) / Raw(with_checksum(body))


def with_checksum(body):
    body = body[:2] + b'\0\0' + body[4:]
    return body[:2] + checksum(body).to_bytes(2, 'big') + body[4:]
