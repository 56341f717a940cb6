# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong with devices: each time a counter rises or the log says it in a line, the daemon lives, and what worked before
works again when the cause is gone. Every test has a device of its own."""
import os
import re
import signal
import time

import pytest

import machine
import pairs
import xdp
from daemons import Daemon, ends_clean
from ends import PEER as PROGRAM
from ends import PYTHON
from machine import wait_until
from pairs import LIGHT, PEER

BACKENDS = ["tap-1", "afxdp-1", "pcap-1", "dpdk-af_packet"]
each_backend = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def own(request):
    """own(backend, ...): a pair that ends with the test."""
    made = []

    def make(backend, *more, **keys):
        made.append(pairs.make(backend, more=more, **keys))
        request.node.funcargs["made"] = made[-1]
        return made[-1]
    yield make
    for pair in made:
        pair.down()


def works(pair):
    """Both ways, from the very start: ARP may have to begin anew."""
    for end, other in ((pair.light, pair.peer), (pair.peer, pair.light)):
        address = other.echo()
        wait_until("%s reaches %s" % (end.name, other.name), lambda e=end, a=address: e.run(
            "env", "PATIENCE=2", PYTHON, PROGRAM, "udp-ask", *map(str, a), "100", str(min(3000, pair.longest)), check=False).returncode == 0, 60)


@each_backend
def test_a_sender_faster_than_the_reader_loses_datagrams_and_nothing_else(own, backend):
    pair = own(backend)
    sink = pair.light.start_peer("sink", "udp-slow-sink", LIGHT, 7100)
    sink.said("^ready")
    before = pair.daemon.dropped()
    sent = int(pair.peer.peer("udp-flood", LIGHT, 7100, 1, 1000))
    assert pair.daemon.dropped() > before, "of %d datagrams none was counted as dropped" % sent
    works(pair)
    end = [PYTHON, "-c", "import socket; socket.socket(2, 2).sendto(b'end', ('%s', 7100))" % LIGHT]

    def ended():
        pair.peer.run(*end)
        return not sink.alive()
    wait_until("the reader has read what was kept", ended, 60)
    ends_clean(pair.daemon)


@each_backend
def test_a_full_transmit_queue_loses_datagrams_and_nothing_else(own, backend):
    pair = own(backend)
    pair.peer.echo()
    assert int(pair.light.peer("udp-flood", PEER, 7101, 1, 1400)) > 100
    works(pair)
    ends_clean(pair.daemon)


@pytest.mark.parametrize("backend, packets", [("tap-1", 64), ("afxdp-1", 64), ("pcap-1", 64), ("dpdk-af_packet", 2688)])
def test_the_smallest_pool_still_carries_transfers(own, files, backend, packets):
    """TCP has to lose its way there, with so little room, and finds it again."""
    pair = own(backend, "--packets=%d" % packets)
    files.fetch(pair.peer, pair.light.http(files), "64K")
    files.fetch(pair.light, pair.peer.http(files), "64K")
    pair.peer.peer("tcp-swarm", *pair.light.tcp(), 100)
    pair.peer.peer("udp-flood", *pair.light.echo(), 0.5, 1400)
    works(pair)
    ends_clean(pair.daemon)


@each_backend
def test_a_link_that_flaps_keeps_its_connections(own, backend, tmp_path):
    pair = own(backend)
    flag = tmp_path / "go-on"
    flag.write_text("")
    trickle = pair.light.start_peer("trickle", "tcp-trickle", *pair.peer.tcp(), flag)
    trickle.said("^connected")
    for number in range(12):
        end = pair.light if number % 3 == 2 else pair.peer
        end.space.ip("link", "set", end.interface, "down")
        time.sleep(0.03)
        end.space.ip("link", "set", end.interface, "up")
        time.sleep(0.07)
    works(pair)
    flag.unlink()
    assert trickle.wait(100) == 0, trickle.text()
    ends_clean(pair.daemon)


@each_backend
def test_an_interface_that_is_deleted_is_told_of_and_used_again_when_it_is_back(own, backend):
    """Used again by all but DPDK, whose drivers hold on to the old one."""
    pair = own(backend)
    works(pair)
    pair.light.space.ip("link", "del", pair.light.interface)
    wait_until("the log tells of it", lambda: re.search("light0.*(gone|deleted)|the link is down", pair.daemon.log()))
    assert pair.daemon.ask("status")["pid"] > 0
    pair.light.peer("udp-flood", PEER, 7101, 0.2, 100)
    if not backend.startswith("dpdk"):
        pair.again()
        works(pair)
    ends_clean(pair.daemon)


def test_an_xdp_program_taken_off_is_noticed(own):
    pair = own("afxdp-1", index=4242)
    works(pair)
    assert xdp.detach(4242) == 1
    wait_until("the log tells of it", lambda: re.search("XDP program", pair.daemon.log()))
    works(pair)
    ends_clean(pair.daemon)
    assert xdp.attached(4242) == 0


def test_a_killed_daemon_leaves_no_xdp_program_and_its_successor_serves(own):
    pair = own("afxdp-1", index=4243)
    works(pair)
    assert xdp.attached(4243) == 1
    pair.daemon.process.end(signal.SIGKILL)
    wait_until("the program is gone with its daemon", lambda: xdp.attached(4243) == 0)
    pair.light.end()
    pair.daemon.start()
    works(pair)
    ends_clean(pair.daemon)


def test_a_disk_that_is_full_ends_the_capture_and_nothing_else(own, files, tmp_path):
    pair = own("tap-1")
    disk = tmp_path / "disk.mount"
    disk.mkdir()
    machine.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)])
    try:
        ctl = machine.Process(pair.daemon.ctl_argv("capture", str(disk / "full.pcap")), str(tmp_path / "ctl.log"))
        wait_until("the capture runs", lambda: pair.daemon.ask("status")["hosts"][0]["capturing"])
        files.fetch(pair.peer, pair.light.http(files), "16M")
        assert ctl.wait() == 1
        for said in (ctl.text(), pair.daemon.log()):
            assert int(re.search(r"disk is full.* (\d+) that came later are missing", said)[1]) > 0
        os.unlink(disk / "full.pcap")
        done = pair.daemon.ctl("capture", "--for", "300ms", "--snap", "100", str(disk / "again.pcap"))
        assert " 0 missed" in done.stdout
        works(pair)
    finally:
        machine.run(["umount", str(disk)], check=False)
    ends_clean(pair.daemon)


@each_backend
def test_a_daemon_short_of_memory_says_so_or_serves(own, backend):
    """Address space from next to nothing upwards: refusal is one clear line, never a signal."""
    pair = own(backend)
    pair.daemon.end()
    served = 0
    for number, megabytes in enumerate((16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)):
        daemon = Daemon(pair.light.space, pair.folder, pair.daemon.options, pair.daemon.eal, "small%d" % number,
                        prefix=["prlimit", "--as=%d" % (megabytes << 20)])
        daemon.launch()
        wait_until("lightd in %d MB ends or serves" % megabytes,
                   lambda d=daemon: not d.alive() or d.ctl("status", check=False).returncode == 0, 60)
        if daemon.alive():
            served += 1
            assert daemon.end() == 0
            break
        assert daemon.process.wait() > 0, "in %d MB: %s" % (megabytes, daemon.process.wait())
        assert re.search("memory|allocat|shared object", daemon.log(), re.I), daemon.log()
    assert served
