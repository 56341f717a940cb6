# SPDX-License-Identifier: BSD-3-Clause
"""Programs in containers on the machine's lightd: PID, mount, network, IPC and user namespaces of their own, and nothing shared but
the folder of the daemon's socket."""
import json
import os
import subprocess
import time

import pytest

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.realpath(os.environ.get("LIGHT_BUILD", os.path.join(ROOT, "build", "release")))
PYTHON = "/usr/bin/python3"
# A user's own container: no right of root's outside, a network namespace without any interface that is up.
CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount", "--net", "--ipc", "--mount-proc"]

SERVER = """
import os, socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", 8080)); s.listen()
if os.fork() == 0: os._exit(0)
os.wait()
print("pid", os.getpid(), flush=True)
while True:
    c, who = s.accept()
    if os.fork() == 0:
        c.sendall(c.recv(100).upper()); os._exit(0)
    c.close(); os.wait()
"""
CLIENT = """
import os, socket, sys
for n in range(int(sys.argv[1])):
    s = socket.create_connection(("10.77.0.1", 8080), 20); s.sendall(b"hello %d" % n); assert s.recv(100) == b"HELLO %d" % n; s.close()
print("pid", os.getpid(), os.listdir("/sys/class/net") if os.path.isdir("/sys/class/net") else [])
"""


def can_unshare():
    return subprocess.run([*CONTAINER, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20).returncode == 0


pytestmark = pytest.mark.skipif(not can_unshare(), reason="no user and PID namespaces of one's own here")


def clean():
    return {k: v for k, v in os.environ.items() if not k.startswith("LIGHT_") and k != "LD_PRELOAD"}


class Machine:
    """A daemon, and programs inside containers and outside."""

    def __init__(self, folder):
        self.socket = folder / "light" / "light.sock"
        self.processes = []
        self.start_daemon([])

    def start_daemon(self, before):
        daemon = subprocess.Popen([*before, os.path.join(BUILD, "tools", "lightd"), "--io=sim", "--socket", self.socket],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.processes.append(daemon)
        assert "ready" in daemon.stderr.readline()
        return daemon

    def program(self, container, host, *argv, socket=None):
        argv = [os.path.join(BUILD, "tools", "light-run"), "--socket", socket or self.socket, "--host", host, PYTHON, "-c", *argv]
        process = subprocess.Popen([*container, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=clean())
        self.processes.append(process)
        return process

    def client(self, container, times, socket=None):
        process = self.program(container, "client", CLIENT, str(times), socket=socket)
        said, wrong = process.communicate(timeout=60)
        assert process.returncode == 0, wrong
        return said

    def listeners(self):
        done = subprocess.run([os.path.join(BUILD, "tools", "lightctl"), "--socket", self.socket, "--host", "server", "--json", "ss"],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return [s for s in json.loads(done.stdout)["sockets"] if s["state"] == "LISTEN"]

    def end(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def machine(tmp_path):
    m = Machine(tmp_path)
    yield m
    m.end()


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_server_in_a_container_serves_clients_in_others_and_outside(machine):
    server = machine.program(CONTAINER, "server", SERVER)
    assert server.stdout.readline() == "pid 1\n"
    assert machine.client(CONTAINER, 20).startswith("pid 1 ")
    assert not machine.client([], 20).startswith("pid 1 ")


def test_the_daemon_knows_a_container_s_processes_by_the_machine_s_numbers(machine):
    server = machine.program(CONTAINER, "server", SERVER)
    assert server.stdout.readline() == "pid 1\n"
    pids = {s["pid"] for s in machine.listeners()}
    assert len(pids) == 1
    with open("/proc/%d/status" % pids.pop()) as status:
        assert [line.split()[-1] for line in status if line.startswith("NSpid:")] == ["1"]


def test_a_container_that_is_killed_leaves_nothing(machine):
    server = machine.program(CONTAINER, "server", SERVER)
    assert server.stdout.readline() == "pid 1\n"
    assert len(machine.listeners()) == 1
    server.kill()
    until(lambda: machine.listeners() == [])
    again = machine.program(CONTAINER, "server", SERVER)
    assert again.stdout.readline() == "pid 1\n"
    machine.client(CONTAINER, 3)


def test_a_daemon_in_a_container_serves_programs_outside(tmp_path):
    """It cannot see their processes (their number is 0 there), and learns of their end from their sockets alone."""
    machine = Machine.__new__(Machine)
    machine.socket, machine.processes = tmp_path / "light" / "light.sock", []
    try:
        machine.start_daemon(CONTAINER)
        server = machine.program([], "server", SERVER)
        assert server.stdout.readline().startswith("pid ")
        machine.client(CONTAINER, 5)
        assert {s["pid"] for s in machine.listeners()} == {0}
        server.kill()
        until(lambda: machine.listeners() == [])
    finally:
        machine.end()


def mounted(what, where):
    """A container in which `what` is visible as `where`."""
    return [*CONTAINER, "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', what, where]


def test_a_folder_lent_to_a_container_outlives_a_restart_and_the_socket_itself_does_not(machine, tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.touch()
    ask = "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\nprint('mounted', flush=True)\nsys.stdin.readline()\n" \
          "print(s.connect_ex(sys.argv[1]))"
    said = []
    lent = [(machine.socket.parent, folder, folder / "light.sock"), (machine.socket, file, file)]
    asking = [subprocess.Popen([*mounted(what, where), PYTHON, "-c", ask, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
              for what, where, path in lent]
    machine.processes.extend(asking)
    assert [p.stdout.readline() for p in asking] == ["mounted\n"] * 2
    machine.processes[0].terminate()
    assert machine.processes[0].wait(20) == 0
    machine.start_daemon([])
    for process in asking:
        said.append(int(process.communicate("go\n", timeout=20)[0]))
    assert said == [0, 111]
