# SPDX-License-Identifier: BSD-3-Clause
"""The DHCP client (RFC 2131) against a server made of Scapy's own reading and writing of messages."""
import ipaddress

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from light import HOST, HOST_MAC, MAC, Stack

OFFERED = '192.0.2.77'
LEASE = [('lease_time', 600), ('subnet_mask', '255.255.255.0'), ('router', HOST)]


def client():
    s = Stack(addresses=(), gateway=None)
    s.oracle.dhcp = True
    s.oracle.addresses.add(ipaddress.ip_address(OFFERED).packed)
    assert s.result('dhcp', s.interface) == 0
    return s


def options(frame):
    return {o[0]: o[1] for o in frame[DHCP].options if isinstance(o, tuple)}


def message(s, kind):
    """The only DHCP message sent since, which must be of this kind."""
    frame = s.one(DHCP)
    assert frame[UDP].sport == 68 and frame[UDP].dport == 67
    assert frame[BOOTP].op == 1 and frame[BOOTP].chaddr[:6] == bytes.fromhex(MAC.replace(':', ''))
    assert options(frame)['message-type'] == kind
    return frame


def answer(s, to, kind, extra=LEASE, address=OFFERED, **fields):
    s.inject(Ether(src=HOST_MAC, dst=MAC) / IP(src=HOST, dst=address) / UDP(sport=67, dport=68) /
             BOOTP(op=2, xid=to[BOOTP].xid, yiaddr=address, chaddr=bytes.fromhex(MAC.replace(':', '')), **fields) /
             DHCP(options=[('message-type', kind), ('server_id', HOST)] + extra + ['end']))


def bound(extra=LEASE):
    s = client()
    answer(s, message(s, 1), 'offer', extra)
    request = message(s, 3)
    assert options(request)['requested_addr'] == OFFERED and options(request)['server_id'] == HOST
    assert request[IP].src == request[BOOTP].ciaddr == '0.0.0.0'
    answer(s, request, 'ack', extra)
    s.run(8)
    return s


def addresses(s):
    return s.request('addresses', s.interface)['addresses']


def test_a_lease_is_probed_set_and_announced():
    s = bound()
    assert addresses(s) == [OFFERED + '/24']
    arps = s.sent(ARP)
    assert [f[ARP].psrc for f in arps] == ['0.0.0.0'] * 3 + [OFFERED] * (len(arps) - 3)
    assert all(f[ARP].pdst == OFFERED for f in arps)
    assert {(r['to'], r['prefix'], r['gateway']) for r in s.request('routes')['routes']} == {
        ('192.0.2.0', 24, '-'), ('-', 0, HOST)}


def test_the_parameters_that_are_used_are_asked_for_in_the_order_of_rfc_3442():
    s = client()
    asked = options(message(s, 1))['param_req_list']
    assert asked.index(121) < asked.index(3)
    assert {1, 3, 6, 15, 26, 51, 58, 59, 121} <= set(asked)


def test_a_lease_is_renewed_and_given_up_when_nobody_answers():
    s = bound()
    s.sent()
    s.run(295)
    renewal = message(s, 3)
    assert renewal[IP].src == renewal[BOOTP].ciaddr == OFFERED and renewal[IP].dst == HOST
    answer(s, renewal, 'ack')
    s.run(596)
    assert addresses(s) == [OFFERED + '/24']
    s.run(10)
    assert addresses(s) == []


@pytest.mark.parametrize('flags', [0, 0x8000])
def test_a_refusal_ends_the_lease(flags):
    s = bound()
    s.sent()
    s.run(295)
    answer(s, message(s, 3), 'nak', [], flags=flags)
    assert addresses(s) == []
    s.run(2)
    message(s, 1)


def test_an_address_that_answers_is_declined():
    s = client()
    answer(s, message(s, 1), 'offer')
    answer(s, message(s, 3), 'ack')
    s.run(1.5)
    s.inject(ARP(op=2, hwsrc=HOST_MAC, psrc=OFFERED, hwdst=MAC, pdst='0.0.0.0'))
    declined = options(message(s, 4))
    assert declined['requested_addr'] == OFFERED and declined['server_id'] == HOST
    s.run(9)
    assert addresses(s) == []


def test_file_and_sname_may_hold_options():
    s = bound([('lease_time', 600), ('dhcp-option-overload', 3)])
    assert addresses(s) == [OFFERED + '/24']   # the mask that the class of the address has
    s = client()
    extra = [('lease_time', 600), ('dhcp-option-overload', 1)]
    answer(s, message(s, 1), 'offer', extra, file=b'\x01\x04\xff\xff\x00\x00\xff')
    answer(s, message(s, 3), 'ack', extra, file=b'\x01\x04\xff\xff\x00\x00\xff')
    s.run(8)
    assert addresses(s) == [OFFERED + '/16']
