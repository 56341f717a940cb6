# SPDX-License-Identifier: BSD-3-Clause
"""A host on a device, with the Linux kernel as its peer. The same scenarios run with the kernel at both ends."""
import os
import time

import pytest

import daemons
import pairs
from ends import CLOSED_PORT, ECHO_PORT, End
from machine import Space, veth, wait_until

every_pair = pytest.mark.parametrize("pair", pairs.MAKERS, indirect=True)
with_kernel = pytest.mark.parametrize("pair", pairs.KERNEL_PEERS, indirect=True)

PINGS = [0, 1, 55, 1472, 1473, 2952, 9000, 20000, 65507]
DATAGRAMS = [1, 64, 1472, 1473, 9000, 65507]


def up_to(pair, sizes):
    return [size for size in sizes if size <= pair.longest]


def ping(end, address, size, *options):
    return end.space.run("ping", "-n", "-c", "1", "-W", "20", "-s", str(size), *options, address, check=False)


@with_kernel
def test_ping_of_any_size_is_answered(pair):
    for size in up_to(pair, PINGS):
        done = ping(pair.peer, pair.light.address, size)
        assert done.returncode == 0 and "wrong data" not in done.stdout, "%d bytes: %s" % (size, done.stdout)


@with_kernel
def test_ping_that_must_not_be_fragmented_fills_the_mtu(pair):
    assert ping(pair.peer, pair.light.address, pair.mtu - 28, "-M", "do").returncode == 0


@with_kernel
def test_the_peer_learns_our_mac(pair):
    pair.peer.space.ip("neigh", "flush", "all")
    assert ping(pair.peer, pair.light.address, 56).returncode == 0
    assert pair.peer.neighbours()[pair.light.address] == pair.light.mac()


@with_kernel
def test_arp_requests_are_answered_one_by_one(pair):
    done = pair.peer.space.run("arping", "-c", "2", "-w", "20", "-I", pair.peer.interface, pair.light.address)
    assert done.stdout.lower().count(pair.light.mac()) == 2


@every_pair
def test_we_learn_the_peers_mac(pair):
    pair.light.peer("udp-ask", *pair.peer.echo(), 10)
    assert pair.light.neighbours()[pair.peer.address] == pair.peer.mac()


@with_kernel
def test_a_mac_that_changes_is_learnt(pair):
    """The peer's interface gets another MAC and says so, by a gratuitous ARP."""
    pair.light.peer("udp-ask", *pair.peer.echo(), 10)
    before = pair.peer.mac()
    try:
        for mac in ("02:00:00:00:00:77", before):
            pair.peer.space.ip("link", "set", pair.peer.interface, "address", mac)
            pair.peer.space.run("arping", "-U", "-c", "1", "-w", "5", "-I", pair.peer.interface, pair.peer.address, check=False)
            wait_until("%s is known" % mac, lambda m=mac: pair.light.neighbours().get(pair.peer.address) == m)
            pair.light.peer("udp-ask", pair.peer.address, ECHO_PORT, 10)
    finally:
        pair.peer.space.ip("link", "set", pair.peer.interface, "address", before)


@pytest.mark.parametrize("pair", [name for name in pairs.MAKERS if name != "kernel"], indirect=True)
def test_lightctl_lists_the_interface_with_what_it_carried(pair):
    pair.light.peer("udp-ask", *pair.peer.echo(), 10)
    head, *rows = [line.split() for line in pair.daemon.ctl("link").stdout.splitlines()]
    assert head[:2] == ["INTERFACE", "STATE"] and rows, head
    row = dict(zip(head, rows[0]))
    assert row["STATE"] == "up" and row["MAC"] == pair.light.mac() and int(row["RX-PACKETS"]) > 0 and int(row["TX-PACKETS"]) > 0, row


@every_pair
def test_datagrams_of_any_size_reach_us_and_come_back(pair):
    pair.peer.peer("udp-ask", *pair.light.echo(), *up_to(pair, DATAGRAMS))


@every_pair
def test_datagrams_of_any_size_reach_the_peer_and_come_back(pair):
    pair.light.peer("udp-ask", *pair.peer.echo(), *up_to(pair, DATAGRAMS))


@every_pair
def test_our_closed_port_is_reported_to_the_peers_socket(pair):
    pair.peer.peer("udp-refused", pair.light.address, CLOSED_PORT)


@every_pair
def test_the_peers_closed_port_is_reported_to_our_socket(pair):
    pair.light.peer("udp-refused", pair.peer.address, CLOSED_PORT)


@with_kernel
def test_an_unknown_ip_protocol_is_reported_to_the_peer(pair):
    pair.peer.peer("unknown-protocol", pair.light.address)


@every_pair
def test_files_from_our_nginx_arrive_whole(pair, files):
    url = pair.light.http(files)
    for name in ("64", "1K", pair.big):
        files.fetch(pair.peer, url, name)


@every_pair
def test_files_from_the_peers_nginx_arrive_whole(pair, files):
    url = pair.peer.http(files)
    for name in ("64", "1K", pair.big):
        files.fetch(pair.light, url, name)


@every_pair
def test_a_thousand_connections_at_once_to_us(pair):
    pair.peer.peer("tcp-swarm", *pair.light.tcp(), 1000, timeout=120)


@every_pair
def test_a_thousand_connections_at_once_from_us(pair):
    pair.light.peer("tcp-swarm", *pair.peer.tcp(), 1000, timeout=120)


@with_kernel
def test_a_vlan_is_a_network_of_its_own(pair, files):
    """An interface of the peer's for the tagged frames, and one of ours; untagged frames go on beside them."""
    ends = [End(e.name + "-vlan", e.space, "%s.7" % e.name, pairs.TAGGED[e.address], e.folder, e.prefix)
            for e in (pair.light, pair.peer)]
    try:
        for end, plain in list(zip(ends, (pair.light, pair.peer)))[1 if pair.daemon else 0:]:
            end.start_peer("wire", "vlan-wire", plain.interface, pairs.VLAN, end.interface).said("^ready")
            end.space.ip("addr", "add", "%s/%d" % (end.address, pairs.PREFIX), "dev", end.interface)
            end.space.ip("link", "set", end.interface, "up")
        for size in up_to(pair, (0, pair.mtu - 28, 9000)):
            assert ping(ends[1], ends[0].address, size).returncode == 0, "%d bytes" % size
        ends[1].peer("udp-ask", *ends[0].echo(), *up_to(pair, DATAGRAMS))
        ends[0].peer("udp-ask", *ends[1].echo(), *up_to(pair, DATAGRAMS))
        files.fetch(ends[1], ends[0].http(files), "1M")
        files.fetch(ends[0], ends[1].http(files), "1M")
        pair.peer.peer("udp-ask", *pair.light.echo(), 100)
    finally:
        for end in ends:
            end.end()


@with_kernel
def test_a_narrow_path_behind_the_peer_is_found(pair, files):
    """The peer routes to a link of 1280 bytes and says so (ICMP fragmentation needed); our segments and datagrams shrink."""
    far = Space("far")
    try:
        veth(pair.peer.space, "far0", far, "near0")
        pair.peer.space.ip("addr", "add", "10.78.2.1/24", "dev", "far0")
        pair.peer.space.ip("link", "set", "far0", "mtu", "1280")
        far.ip("addr", "add", "10.78.2.2/24", "dev", "near0")
        far.ip("route", "add", "default", "via", "10.78.2.1")
        pair.peer.space.sysctl("net.ipv4.ip_forward", 1)
        assert pair.light.peer("udp-df", "10.78.2.2", CLOSED_PORT, min(pair.mtu, 1400) - 28).strip() == "mtu 1280"
        client = type(pair.peer)("far", far, "near0", "10.78.2.2", pair.folder)
        files.fetch(client, pair.light.http(files), "1M")
    finally:
        far.delete()


@with_kernel
@pytest.mark.parametrize("role", ["server", "client"])
def test_a_transfer_survives_the_interface_going_down_and_up(pair, files, role):
    server, client = (pair.light, pair.peer) if role == "server" else (pair.peer, pair.light)
    url, target = server.http(files), os.path.join(pair.folder, "flap-" + role)
    curl = client.start("curl-flap", "curl", "-sS", "-m", "120", "--limit-rate", "12M", "-o", target, url + "/16M")
    wait_until("the transfer is under way", lambda: os.path.exists(target) and os.path.getsize(target) > 1 << 20)
    pair.peer.space.ip("link", "set", pair.peer.interface, "down")
    time.sleep(0.4)
    stopped = os.path.getsize(target)
    pair.peer.space.ip("link", "set", pair.peer.interface, "up")
    assert curl.wait(120) == 0, curl.text()
    assert stopped < 16 << 20, "the interface went down too late"
    files.check(target, "16M")


@with_kernel
def test_frames_of_every_length_with_random_content_do_no_harm(pair):
    """Shorter ones than a header, and longer ones than the MTU, are what the kernel refuses to send."""
    before = pair.daemon.dropped() if pair.daemon else 0
    sent = int(pair.peer.peer("frames", pair.peer.interface, pair.light.mac(), pair.light.address, 0, 9018, 1))
    assert sent > 1400
    assert ping(pair.peer, pair.light.address, 1000).returncode == 0
    if pair.daemon:
        assert pair.daemon.dropped() >= before + 200
    pair.peer.peer("udp-ask", *pair.light.echo(), *up_to(pair, DATAGRAMS))
    pair.light.peer("udp-ask", *pair.peer.echo(), *up_to(pair, DATAGRAMS))


@every_pair
def test_zz_the_daemon_ends_with_every_packet_back(pair):
    """The last of each pair."""
    for end in (pair.light, pair.peer):
        end.end()
    for daemon in pair.daemons:
        daemons.ends_clean(daemon)
