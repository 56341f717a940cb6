# SPDX-License-Identifier: BSD-3-Clause
"""A capture played through the stack: answers at its own times, the same bytes each time, its end in virtual time."""
import os
import subprocess
import time

import pytest

scapy = pytest.importorskip("scapy.all")
from scapy.all import ARP, ICMP, IP, TCP, UDP, Ether, rdpcap, wrpcap  # noqa: E402

BUILD = os.environ.get("LIGHT_BUILD", os.path.join(os.path.dirname(__file__), "..", "..", "build", "release"))
LIGHTD = os.path.join(BUILD, "tools", "lightd")
US, PEER, START = "02:00:00:00:00:02", "02:00:00:00:00:01", 1700000000.0

if subprocess.run([LIGHTD, "--check", "--io=pcap", "--interface=x"], capture_output=True).returncode != 0:
    pytest.skip("this lightd was built without pcap", allow_module_level=True)


def ip(**more):
    return Ether(src=PEER, dst=US) / IP(src="10.9.0.1", dst="10.9.0.2", **more)


@pytest.fixture
def play(tmp_path):
    def run(packets, *options, name="answers.pcap", expect=0):
        file = str(tmp_path / "in.pcap")
        for i, p in enumerate(packets):
            if not getattr(p, "placed", False):
                p.time = START + 0.01 * i
        wrpcap(file, packets)
        out = str(tmp_path / name)
        done = subprocess.run([LIGHTD, "--io=pcap", "--read", file, "--write", out, "--address", "10.9.0.2/24", *options],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == expect, done.stderr
        return [p for p in rdpcap(out)] if expect == 0 else [], done, out
    return run


def to_peer(answers, layer):
    return [p for p in answers if layer in p and p[Ether].dst == PEER]


def test_arp_ping_and_closed_ports_are_answered_at_the_captures_own_times(play):
    answers, done, _ = play([Ether(src=PEER, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=PEER, psrc="10.9.0.1", pdst="10.9.0.2"),
                             ip() / ICMP(id=7, seq=1) / b"hello", ip() / UDP(sport=1000, dport=9) / b"nobody",
                             ip() / TCP(sport=1000, dport=81, flags="S", seq=5)], "--mac", US)
    arp, = [p for p in answers if ARP in p and p[ARP].op == 2]
    assert (arp[ARP].hwsrc, arp[ARP].pdst) == (US, "10.9.0.1")
    echo, unreachable = to_peer(answers, ICMP)
    assert echo[ICMP].type == 0 and bytes(echo[ICMP].payload)[:5] == b"hello" and abs(float(echo.time) - START - 0.01) < 1e-6
    assert (unreachable[ICMP].type, unreachable[ICMP].code) == (3, 3)
    reset, = [p for p in to_peer(answers, TCP)]
    assert "R" in reset[TCP].flags and reset[TCP].ack == 6 and abs(float(reset.time) - START - 0.03) < 1e-6
    assert "4 frames received" in done.stdout and "ICMP_ECHOES" in done.stdout and "TCP_RESETS_SENT" in done.stdout


def test_listeners_answer_syns_and_udp(play):
    answers, done, _ = play([ip() / UDP(sport=1000, dport=7) / b"echo me", ip() / TCP(sport=1000, dport=80, flags="S", seq=100)],
                            "--mac", US, "--listen=80", "--listen=udp:7")
    echoed, = to_peer(answers, UDP)
    assert bytes(echoed[UDP].payload)[:7] == b"echo me"
    syn_acks = to_peer(answers, TCP)
    assert all(str(p[TCP].flags) == "SA" and p[TCP].ack == 101 for p in syn_acks)
    # RFC 6298: sent again after 1, 3 and 7 seconds, while ten seconds of virtual time pass.
    assert [round(float(p.time) - START - 0.01) for p in syn_acks] == [0, 1, 3, 7]
    assert "1 datagrams echoed" in done.stdout


def test_a_handshake_made_for_the_seed_is_served_to_its_end(play):
    """Our sequence numbers follow from the seed: a first run shows them, and a capture made with them is a whole connection."""
    syn = ip() / TCP(sport=1000, dport=80, flags="S", seq=100, options=[("MSS", 1460)])
    answers, _, _ = play([syn], "--mac", US, "--listen=80", "--seed=5")
    isn = to_peer(answers, TCP)[0][TCP].seq
    data = b"GET / HTTP/1.0\r\n\r\n"
    answers, done, _ = play([syn, ip() / TCP(sport=1000, dport=80, flags="A", seq=101, ack=isn + 1),
                             ip() / TCP(sport=1000, dport=80, flags="PA", seq=101, ack=isn + 1) / data,
                             ip() / TCP(sport=1000, dport=80, flags="FA", seq=101 + len(data), ack=isn + 1)],
                            "--mac", US, "--listen=80", "--seed=5")
    assert "1 connections, %d bytes discarded" % len(data) in done.stdout
    last = to_peer(answers, TCP)
    assert any("F" in p[TCP].flags for p in last) and max(p[TCP].ack for p in last) == 102 + len(data)


def test_peers_are_told_the_user_timeout_if_that_is_wanted(play):
    syn = ip() / TCP(sport=1000, dport=80, flags="S", seq=100, options=[("MSS", 1460)])
    told = b"\x1c\x04\x01\x2c"  # RFC 5482: kind 28, 300 seconds
    for options, count in ((("--tcp-uto=300",), 2), (("--tcp-uto=300:100:7200",), 2), (("--tcp-uto=0",), 0), ((), 0)):
        syn_acks = to_peer(play([syn], "--mac", US, "--listen=80", *options)[0], TCP)
        assert len(syn_acks) == 4 and [told in bytes(p[TCP]) for p in syn_acks] == [True] * count + [False] * (4 - count)


def test_two_runs_write_the_same_bytes_and_another_seed_others(play):
    packets = [ip() / TCP(sport=1000 + i, dport=80, flags="S", seq=i) for i in range(50)]
    outputs = [open(play(packets, "--mac", US, "--listen=80", "--seed", seed, name=name)[2], "rb").read()
               for seed, name in (("3", "a"), ("3", "b"), ("4", "c"))]
    assert outputs[0] == outputs[1] and outputs[0] != outputs[2]


def test_hours_of_capture_take_no_time(play):
    packets = [ip() / ICMP(id=1, seq=i) for i in range(10)]
    for i, p in enumerate(packets):
        p.time, p.placed = START + 3600.0 * i, True
    before = time.monotonic()
    answers, _, _ = play(packets, "--mac", US)
    assert time.monotonic() - before < 5
    assert [round(float(p.time) - START) for p in to_peer(answers, ICMP)] == [3600 * i for i in range(10)]


def test_what_is_no_capture_is_refused(tmp_path):
    for content in (b"", b"this is no capture at all, whatever its name says"):
        (tmp_path / "x").write_bytes(content)
        done = subprocess.run([LIGHTD, "--io=pcap", "--read", str(tmp_path / "x"), "--address", "10.9.0.2/24"], capture_output=True, text=True,
                              timeout=20)
        assert done.returncode != 0 and done.stderr.startswith("lightd: ")


def test_answers_that_cannot_be_written_are_an_error(tmp_path):
    wrpcap(str(tmp_path / "in"), [ip() / ICMP()])
    done = subprocess.run([LIGHTD, "--io=pcap", "--read", str(tmp_path / "in"), "--write", "/nonexistent/out", "--address", "10.9.0.2/24"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "/nonexistent/out" in done.stderr


def test_two_listeners_on_one_port_are_an_error(tmp_path):
    wrpcap(str(tmp_path / "in"), [ip() / ICMP()])
    done = subprocess.run([LIGHTD, "--io=pcap", "--read", str(tmp_path / "in"), "--address", "10.9.0.2/24", "--listen=80", "--listen=80"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "port 80" in done.stderr
