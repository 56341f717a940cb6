# SPDX-License-Identifier: BSD-3-Clause
"""What is configured rather than carried: MTU, DHCP, changes while programs run, several interfaces; and devices without a peer."""
import os
import random
import re
import struct

import pytest

import pairs
from daemons import EAL, LIGHTD, PLAIN, ends_clean
from ends import PEER as PROGRAM
from ends import End
from machine import Process, wait_until
from pairs import LIGHT, PEER


@pytest.fixture
def own(request):
    """own(name, ...): a pair that ends with the test."""
    made = []

    def make(name, **keys):
        made.append(pairs.make(name, **keys))
        request.node.funcargs["made"] = made[-1]
        return made[-1]
    yield make
    for pair in made:
        pair.down()


def ping(end, address, size):
    return end.space.run("ping", "-n", "-c", "1", "-W", "20", "-M", "do", "-s", str(size), address, check=False)


@pytest.mark.parametrize("name, mtu", [(name, mtu) for name in ("tap-1", "afxdp-1", "pcap-1", "dpdk-tap", "dpdk-pcap", "dpdk-memif-1")
                                       for mtu in (1280, 9000) if (name, mtu) != ("dpdk-tap", 9000)])
def test_segments_and_datagrams_are_as_long_as_the_mtu_says(own, files, name, mtu):
    pair = own(name, mtu=mtu, more=["--mtu", str(mtu)])
    for client, server in ((pair.peer, pair.light), (pair.light, pair.peer)):
        mss = int(re.search(r"mss (\d+)", client.peer("tcp-mss", *server.tcp()))[1])
        assert mss in (mtu - 40, mtu - 52), "%s: %d" % (client.name, mss)
        files.fetch(client, server.http(files), "1M")
        client.peer("udp-ask", *server.echo(), 1, mtu - 28, mtu - 27, 65507)
    if name.startswith("dpdk-memif"):
        return
    assert ping(pair.peer, LIGHT, mtu - 28).returncode == 0
    if mtu == 9000:
        before = pair.daemon.dropped()
        assert int(pair.peer.peer("frames", pair.peer.interface, pair.light.mac(), LIGHT, 0, 9018, 2)) > 8900
        assert ping(pair.peer, LIGHT, mtu - 28).returncode == 0
        assert pair.daemon.dropped() > before + 1000
    ends_clean(pair.daemon)


def test_an_mtu_beyond_the_device_is_refused_with_its_limits(own):
    """DPDK's net_tap ends at 1504 bytes."""
    pair = own("none")
    done = pair.light.space.run(LIGHTD, "--socket", os.path.join(pair.folder, "s"), "--io=dpdk", "--port=0", "--address=10.78.1.1/24",
                                "--mtu=9000", "--", *EAL, *PLAIN, "--vdev=net_tap0,iface=light0", check=False)
    assert done.returncode > 0 and re.search(r"9000 bytes is not possible, net_tap takes \d+ to 1504", done.stderr), done.stderr


@pytest.mark.parametrize("name", ["tap-1", "tap-2", "afxdp-1", "pcap-1"])
def test_dhcp_gives_the_address_and_the_way_out(own, name):
    """dnsmasq is the server. The lease is used, renewed, and given back when asked to, and at the end."""
    pair = own(name, lease=True)
    log = os.path.join(pair.folder, "dnsmasq.log")
    server = Process(pair.peer.space.argv([
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=" + pair.peer.interface, "--bind-interfaces",
        "--user=root", "--log-dhcp", "--log-facility=-", "--no-ping", "--pid-file=", "--dhcp-leasefile=" + os.path.join(pair.folder, "leases"),
        "--dhcp-range=10.78.1.50,10.78.1.60,255.255.255.0,2m", "--dhcp-option=3," + PEER, "--dhcp-option=26,1400",
        "--dhcp-option-force=58,3", "--dhcp-option-force=59,60", "--dhcp-authoritative"]), log)
    server.said("DHCP, IP range|IP range")
    leased = wait_until("an address came", lambda: next(
        (a for a in pair.daemon.ask("addr")["addresses"] if not a["address"].startswith("127.")), None), 60)
    assert re.match(r"10\.78\.1\.(5\d|60)$", leased["address"]) and leased["prefix"] == 24
    pair.light.address = leased["address"]
    pair.peer.peer("udp-ask", *pair.light.echo(), 100, 1372)
    pair.light.peer("udp-ask", *pair.peer.echo(), 100, 1372)
    routes = pair.daemon.ask("route")["routes"]
    assert any(r["prefix"] == 0 and r["gateway"] == PEER for r in routes), routes
    wait_until("the lease was renewed", lambda: len(re.findall(r"DHCPACK\(.*\) " + re.escape(leased["address"]), server.text())) >= 2, 60)
    interface = pair.daemon.ask("link")["links"][0]["name"]
    pair.daemon.ctl("dhcp", "stop", "dev", interface)
    wait_until("the lease was given back", lambda: "DHCPRELEASE" in server.text())
    assert [a["address"] for a in pair.daemon.ask("addr")["addresses"]] == ["127.0.0.1"]
    pair.daemon.ctl("dhcp", "start", "dev", interface)
    wait_until("an address came again", lambda: len(pair.daemon.ask("addr")["addresses"]) == 2, 60)
    pair.peer.peer("udp-ask", *pair.light.echo(), 10, 1000)
    ends_clean(pair.daemon)
    wait_until("the end gave the lease back, too", lambda: server.text().count("DHCPRELEASE(") == 2)
    server.end()


@pytest.mark.parametrize("name", ["tap-1", "afxdp-1", "pcap-2", "dpdk-af_packet"])
def test_addresses_come_and_go_while_a_program_runs(own, name, tmp_path):
    """A connection of another address does not notice; a server on the new address is reached, and no more when it is gone."""
    pair = own(name)
    flag = tmp_path / "go-on"
    flag.write_text("")
    trickle = pair.peer.start_peer("trickle", "tcp-trickle", *pair.light.tcp(), flag)
    trickle.said("^connected")
    more = End("more", pair.light.space, pair.light.interface, "10.78.1.77", pair.folder, pair.light.prefix)
    for _ in range(2):
        pair.daemon.ctl("addr", "add", "10.78.1.77/24", "dev", pair.daemon.ask("link")["links"][0]["name"])
        pair.peer.peer("udp-ask", *more.echo(), 100, 1400)
        pair.daemon.ctl("addr", "del", "10.78.1.77/24")
        pair.peer.space.ip("neigh", "flush", "all")
        assert pair.peer.space.run("ping", "-c", "1", "-W", "1", "10.78.1.77", check=False).returncode != 0
        more.end()
    pair.daemon.ctl("route", "add", "10.99.0.0/16", "via", PEER)
    pair.peer.space.ip("addr", "add", "10.99.0.1/32", "dev", "lo")
    far = End("far", pair.peer.space, "lo", "10.99.0.1", pair.folder)
    pair.light.peer("udp-ask", *far.echo(), 100)
    pair.daemon.ctl("route", "del", "10.99.0.0/16")
    flag.unlink()
    assert trickle.wait(60) == 0, trickle.text()
    far.end()
    ends_clean(pair.daemon)


def test_a_route_decides_between_several_interfaces(own, files):
    """A TAP device and AF_XDP in one daemon, from a configuration file: each network is reached over its own interface."""
    pair = own("several")
    two = End("two", pair.spaces[1], "peer1", "10.78.3.2", pair.folder)
    before = {link["name"]: link for link in pair.daemon.ask("link")["links"]}
    files.fetch(pair.light, pair.peer.http(files), "1M")
    between = {link["name"]: link for link in pair.daemon.ask("link")["links"]}
    assert between["light0"]["rx_bytes"] - before["light0"]["rx_bytes"] > 1 << 20
    assert between["light1"]["rx_bytes"] - before["light1"]["rx_bytes"] < 1 << 16
    light1 = End("light1", pair.light.space, "light1", "10.78.3.1", pair.folder, pair.light.prefix)
    files.fetch(two, light1.http(files), "1M")
    pair.light.peer("udp-ask", *two.echo(), 1, 1472, 9000)
    after = {link["name"]: link for link in pair.daemon.ask("link")["links"]}
    assert after["light1"]["tx_bytes"] - between["light1"]["tx_bytes"] > 1 << 20
    assert after["light0"]["tx_bytes"] - between["light0"]["tx_bytes"] < 1 << 16
    for end in (two, light1):
        end.end()
    ends_clean(pair.daemon)


def test_net_ring_brings_back_what_is_sent(own):
    """A ring whose one end is its other: each frame comes back, and is nobody's."""
    pair = own("ring")
    wait_until("frames have come back", lambda: pair.light.run(
        "/usr/bin/python3", PROGRAM, "udp-flood", "10.78.1.9", "9", "0.2", "100", check=False) and pair.daemon.dropped() > 10)
    assert pair.daemon.counters()["link_rx_packets"] > 10
    ends_clean(pair.daemon)


def test_net_null_is_a_flood_that_stops_nobody(own):
    """Empty frames without end: they are dropped and counted, lightctl is answered, programs reach each other."""
    pair = own("null")
    before = pair.daemon.dropped()
    pair.light.peer("udp-ask", *pair.light.echo(), 100, 1000)
    pair.light.peer("tcp-swarm", *pair.light.tcp(), 100)
    assert pair.daemon.dropped() > before + 1000
    ends_clean(pair.daemon)


def test_two_cores_on_the_simulated_network(own, files):
    pair = own("sim-2")
    for client, server in ((pair.peer, pair.light), (pair.light, pair.peer)):
        files.fetch(client, server.http(files), "16M")
        client.peer("udp-ask", *server.echo(), 1, 1472, 65507)
        client.peer("tcp-swarm", *server.tcp(), 1000)
    assert len(pair.daemon.ask("cores")["cores"]) == 2
    assert pair.daemon.end() == 0


def frames_of_every_length():
    rng = random.Random(3)
    for length in range(9019):
        frame = bytearray(rng.randbytes(length))
        if length >= 34 and length % 2:
            frame[0:6], frame[12:15], frame[30:34] = b"\x02\0\0\0\0\x01", b"\x08\0\x45", bytes((10, 78, 1, 1))
        yield frame


@pytest.mark.parametrize("io", ["pcap", "dpdk"])
def test_captures_of_frames_of_every_length_do_no_harm(own, io, tmp_path):
    """From 0 to 9018 bytes, as no kernel would let them out: played by --io=pcap, and through net_pcap."""
    capture = tmp_path / "every.pcap"
    with open(capture, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for number, frame in enumerate(frames_of_every_length()):
            f.write(struct.pack("<IIII", 1000 + number // 1000, number % 1000 * 1000, len(frame), len(frame)) + frame)
    pair = own("none")
    if io == "pcap":
        done = pair.light.space.run(LIGHTD, "--io=pcap", "--mtu", "9000", "--mac", "02:00:00:00:00:01", "--read", str(capture), "--write",
                                                 str(tmp_path / "answers.pcap"), "--address", LIGHT + "/24", "--listen", "80", check=False)
        assert done.returncode == 0, done.stderr
        assert re.search(r"9,?019", done.stdout + done.stderr), done.stdout + done.stderr
        return
    eal = [*EAL, *PLAIN, "--vdev=net_pcap0,rx_pcap=%s,tx_pcap=%s" % (capture, tmp_path / "out.pcap")]
    pair.serve(pair.light.space, "port0", ["--io=dpdk", "--port=0", "--mtu", "9000"], eal)
    wait_until("all have been received", lambda: pair.daemon.dropped() > 8900, 60)
    pair.light = pair.peer
    pair.light.peer("udp-ask", *pair.light.echo(), 100)
    ends_clean(pair.daemon)
