# SPDX-License-Identifier: BSD-3-Clause
"""lightctl on a running daemon: addresses, routes, neighbours and VLANs change, programs and the other cores notice."""
import json
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from test_lightd import LIGHT_RUN, LIGHTCTL, Daemon, run  # noqa: E402


@pytest.fixture(scope="module", params=["1", "2"], ids=["one_core", "two_cores"])
def daemon(tmp_path_factory, request):
    d = Daemon(str(tmp_path_factory.mktemp("ctl")), "--queues=" + request.param)
    yield d
    assert d.end() == 0


def refused(daemon, *words, status=1):
    done = daemon.ctl(*words)
    assert done.returncode == status and len(done.stderr.splitlines()) == 1 and done.stdout == ""
    return done.stderr


def done(daemon, *words):
    result = daemon.ctl(*words)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def addresses(daemon, host="server"):
    return {(r["interface"], r["address"], r["prefix"]) for r in daemon.ask("addr", "--host", host)["addresses"]}


def routes(daemon):
    return {("%s/%d" % (r["to"], r["prefix"]), r["gateway"], r["interface"]) for r in daemon.ask("route")["routes"]}


ECHO = "import socket\ns=socket.create_server(('%s',%d))\nprint('up',flush=True)\nwhile True:\n c,_=s.accept()\n c.sendall(c.recv(100))\n c.close()\n"
ASK = ("import socket\nfor i in range(%d):\n c=socket.create_connection(('%s',%d),timeout=5)\n c.sendall(b'hello')\n assert c.recv(10)==b'hello'\n"
       " c.close()\nprint('answered')")


def serve(daemon, address, port):
    p = subprocess.Popen([LIGHT_RUN, "--socket", daemon.socket, "--host", "server", "--", "/usr/bin/python3", "-c", ECHO % (address, port)],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "up\n", p.stderr.read()
    return p


def test_a_new_address_serves_at_once_and_on_every_core(daemon):
    done(daemon, "addr", "add", "10.78.0.1/24", "dev", "sim0")
    done(daemon, "addr", "add", "10.78.0.2/24", "dev", "sim0", "--host", "client")
    assert ("sim0", "10.78.0.1", 24) in addresses(daemon) and ("sim0", "10.78.0.2", 24) in addresses(daemon, "client")
    server = serve(daemon, "10.78.0.1", 7100)
    try:
        client = daemon.on("client", "/usr/bin/python3", "-c", ASK % (20, "10.78.0.1", 7100))
        assert client.stdout == "answered\n", client.stderr
        cores = daemon.ask("cores")["cores"]
        assert all(c["rx_packets"] > 10 for c in cores)
    finally:
        server.kill()
        server.wait()
    done(daemon, "addr", "del", "10.78.0.1/24")
    done(daemon, "addr", "del", "10.78.0.2", "dev", "sim0", "--host", "client")
    assert "10.78.0.1" not in str(addresses(daemon)) and "10.78.0.0/24" not in str(routes(daemon))


def test_a_program_that_runs_hears_of_a_new_address(daemon):
    """The library gives addresses without a route to the kernel: it must learn of the new network without a new start."""
    code = ("import socket,sys\nprint('up',flush=True)\nsys.stdin.readline()\nc=socket.socket()\nc.bind(('10.79.0.1',0))\nprint(c.getsockname()[0])")
    p = subprocess.Popen([LIGHT_RUN, "--socket", daemon.socket, "--host", "server", "--", "/usr/bin/python3", "-c", code],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "up\n"
    done(daemon, "addr", "add", "10.79.0.1/24", "dev", "sim0")
    out, err = p.communicate("go\n", timeout=10)
    assert out == "10.79.0.1\n", err
    done(daemon, "addr", "del", "10.79.0.1")


def test_routes_come_and_go(daemon):
    before = routes(daemon)
    done(daemon, "route", "add", "default", "via", "10.77.0.9")
    done(daemon, "route", "add", "10.5.0.0/16", "via", "10.77.0.8", "dev", "sim0")
    done(daemon, "route", "add", "10.6.0.0/16", "dev", "sim0")
    assert routes(daemon) - before == {("0.0.0.0/0", "10.77.0.9", "sim0"), ("10.5.0.0/16", "10.77.0.8", "sim0"), ("10.6.0.0/16", "0.0.0.0", "sim0")}
    done(daemon, "route", "del", "default")
    done(daemon, "route", "del", "10.5.0.0/16", "via", "10.77.0.8")
    done(daemon, "route", "del", "10.6.0.0/16", "dev", "sim0")
    assert routes(daemon) == before


def test_neighbours_come_and_go(daemon):
    done(daemon, "neigh", "add", "10.77.0.5", "lladdr", "02:00:00:00:00:05")
    rows = daemon.ask("neigh")["neighbours"]
    assert [r["address"] for r in rows] == [r["address"] for r in daemon.ask("arp")["neighbours"]]
    assert [(r["mac"], r["state"], r["interface"]) for r in rows if r["address"] == "10.77.0.5"] == [("02:00:00:00:00:05", "permanent", "sim0")]
    done(daemon, "neigh", "del", "10.77.0.5", "dev", "sim0")
    assert "10.77.0.5" not in json.dumps(daemon.ask("neigh"))


def test_traffic_crosses_a_vlan_made_while_it_runs(daemon):
    for host, address in (("server", "10.10.0.1/24"), ("client", "10.10.0.2/24")):
        done(daemon, "vlan", "add", "10", "dev", "sim0", "--host", host)
        done(daemon, "addr", "add", address, "dev", "sim0.10", "--host", host)
    assert [(v["name"], v["vid"], v["on"]) for v in daemon.ask("vlan")["vlans"]] == [("sim0.10", 10, "sim0")]
    assert {l["name"] for l in daemon.ask("link")["links"]} == {"sim0", "sim0.10"}
    server = serve(daemon, "10.10.0.1", 7101)
    try:
        client = daemon.on("client", "/usr/bin/python3", "-c", ASK % (10, "10.10.0.1", 7101))
        assert client.stdout == "answered\n", client.stderr
    finally:
        server.kill()
        server.wait()
    for host in ("server", "client"):
        done(daemon, "vlan", "del", "10", "dev", "sim0", "--host", host)
    assert daemon.ask("vlan")["vlans"] == [] and "10.10.0" not in str(addresses(daemon))


@pytest.mark.parametrize("words, said", [
    (["addr", "add", "10.77.0.1/24", "dev", "sim0"], "already"), (["addr", "add", "10.9.0.1", "dev", "sim0"], "addr add A/P"),
    (["addr", "add", "10.9.0.0/24", "dev", "sim0"], "host's address"), (["addr", "add", "10.9.0.1/24", "dev", "eth9"], "no interface eth9"),
    (["addr", "add", "10.9.0.1/24"], "addr add A/P"), (["addr", "add", "10.9.0.1/24", "dev"], "addr add A/P"),
    (["addr", "add", "10.9.0.1/24", "dev", "lo"], "no interface lo"), (["addr", "del", "10.9.0.1"], "no interface has"),
    (["addr", "del", "10.9.0.1", "dev", "sim0"], "none such"), (["addr", "add"], "addr add A/P"),
    (["route", "add", "default"], "route add"), (["route", "add", "default", "via", "1.2.3.4"], "no interface is on"),
    (["route", "add", "10.6.0.1/16", "dev", "sim0"], "behind its prefix"), (["route", "add", "10.77.0.0/24", "dev", "sim0"], "already"),
    (["route", "del", "10.99.0.0/24"], "none such"), (["route", "add", "10.6.0.0/16", "over", "sim0"], "route add"),
    (["neigh", "add", "10.77.0.5"], "neigh add"), (["neigh", "add", "10.77.0.5", "lladdr", "01:00:00:00:00:01"], "neigh add"),
    (["neigh", "add", "10.9.0.5", "lladdr", "02:00:00:00:00:01"], "no interface is on"), (["neigh", "del", "10.77.0.77"], "none such"),
    (["vlan", "add", "0", "dev", "sim0"], "1 to 4094"), (["vlan", "add", "5"], "vlan add"), (["vlan", "del", "5", "dev", "sim0"], "none such"),
    (["dhcp", "start", "dev", "eth9"], "no such interface"), (["dhcp", "stop", "dev", "sim0"], "no client"), (["dhcp", "start"], "dhcp start|stop"),
    (["addr", "--host", "nobody"], "no such host"), (["capture-stop"], "no capture"),
])
def test_what_cannot_be_is_a_sentence_and_changes_nothing(daemon, words, said):
    before = addresses(daemon), routes(daemon), daemon.ask("vlan")
    assert said in refused(daemon, *words)
    assert (addresses(daemon), routes(daemon), daemon.ask("vlan")) == before


@pytest.mark.parametrize("words, said", [
    (["addr", "list"], "add, del"), (["route", "flush"], "add, del"), (["dhcp", "add"], "start, stop"), (["link", "x"], "too many"),
    (["addr", "add", "a b"], "no word"), (["--core=99", "capture", "x"], "--core"), (["--interface=a b", "capture", "x"], "--interface"),
])
def test_wrong_words_are_refused_before_anyone_is_asked(daemon, words, said):
    assert said in refused(daemon, *words, status=2)


def test_there_is_room_for_eight_addresses_and_for_fifteen_interfaces(daemon):
    for i in range(7):
        done(daemon, "addr", "add", "10.80.%d.1/24" % i, "dev", "sim0")
    assert "8 of an interface" in refused(daemon, "addr", "add", "10.80.7.1/24", "dev", "sim0")
    for i in range(7):
        done(daemon, "addr", "del", "10.80.%d.1" % i)
    for vid in range(1, 15):
        done(daemon, "vlan", "add", str(vid), "dev", "sim0")
    assert "no room for another interface" in refused(daemon, "vlan", "add", "15", "dev", "sim0")
    for vid in range(1, 15):
        done(daemon, "vlan", "del", str(vid), "dev", "sim0")
    assert len(daemon.ask("link")["links"]) == 1


def test_a_dhcp_client_that_nobody_answers_asks_and_can_be_stopped(daemon):
    done(daemon, "dhcp", "start", "dev", "sim0")
    assert "already" in refused(daemon, "dhcp", "start", "dev", "sim0")
    time.sleep(0.3)
    lease, = daemon.ask("dhcp")["leases"]
    assert lease["interface"] == "sim0" and lease["state"] in ("init", "selecting") and lease["address"] == "0.0.0.0"
    done(daemon, "dhcp", "stop", "dev", "sim0")
    assert daemon.ask("dhcp")["leases"] == []


def test_other_users_may_look_and_not_change(daemon):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    os.chmod(daemon.socket, 0o666)
    os.chmod(os.path.dirname(daemon.socket), 0o755)
    code = "import os,sys\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\nos.execv(sys.argv[1], sys.argv[1:])"

    def nobody(*words):
        return run("/usr/bin/python3", "-c", code, LIGHTCTL, "--socket", daemon.socket, *words)
    for parent in (os.path.dirname(os.path.dirname(daemon.socket)), os.path.dirname(os.path.dirname(os.path.dirname(daemon.socket)))):
        os.chmod(parent, 0o755)
    assert nobody("status").returncode == 0 and nobody("addr").returncode == 0
    changed = nobody("addr", "add", "10.81.0.1/24", "dev", "sim0")
    assert changed.returncode == 2 and "not permitted" in changed.stderr
    assert "10.81.0.1" not in str(addresses(daemon))


def test_statistics_show_queues_and_cores(daemon):
    stats, cores = daemon.ask("stats"), daemon.ask("cores")["cores"]
    queues = stats["queues"]
    assert [(q["interface"], q["core"]) for q in queues] == [("sim0", c["core"]) for c in cores]
    assert sum(q["rx_packets"] for q in queues) == stats["counters"]["link_rx_packets"] > 0
    assert all(c["turns"] > 0 and c["sleeps"] > 0 and c["work"] > 0 for c in cores)
    assert len(cores) == daemon.ask("status")["cores"]


def test_every_core_captures_into_a_file_of_its_own(daemon, tmp_path):
    n = len(daemon.ask("cores")["cores"])
    file = str(tmp_path / "c.pcap")
    result = daemon.ctl("capture", file, "--for", "200ms", "--snap", "100")
    assert result.returncode == 0 and len(result.stdout.splitlines()) == n
    assert sorted(os.listdir(str(tmp_path))) == (["c.pcap"] if n == 1 else ["c.pcap.%d" % i for i in range(n)])
    assert "no such interface" in refused(daemon, "capture", file, "--interface", "eth9")
    assert "no such core" in refused(daemon, "capture", file, "--core", str(n))


def test_a_full_disk_ends_a_capture_with_a_sentence(tmp_path):
    disk = str(tmp_path / "disk")
    os.mkdir(disk)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True).returncode != 0:
        pytest.skip("a small disk needs root and mount")
    d = Daemon(str(tmp_path))
    try:
        capture = subprocess.Popen([LIGHTCTL, "--socket", d.socket, "capture", disk + "/c.pcap"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        server = serve(d, "10.77.0.1", 7102)
        for _ in range(50):
            if d.ask("status")["hosts"][0]["capturing"]:
                break
            time.sleep(0.05)
        client = d.on("client", "/usr/bin/python3", "-c", ASK % (300, "10.77.0.1", 7102))
        assert client.stdout == "answered\n", client.stderr     # the traffic goes on
        out, err = capture.communicate(timeout=10)
        assert capture.returncode == 1 and "disk is full" in err
        assert not d.ask("status")["hosts"][0]["capturing"]
        server.kill()
        server.wait()
    finally:
        d.end()
        subprocess.run(["umount", disk], check=True)
