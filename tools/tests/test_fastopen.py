# SPDX-License-Identifier: BSD-3-Clause
"""TCP Fast Open (RFC 7413) by a program's own calls: Python over light-run at both ends, two hosts of one daemon."""
import json
import os
import subprocess
import sys
import time

import pytest

ROOT = os.path.join(os.path.dirname(__file__), '..', '..')
TOOLS = os.path.join(os.environ.get('LIGHT_BUILD', os.path.join(ROOT, 'build', 'release')), 'tools')

SERVER = '''
import socket, sys
s = socket.socket()
s.bind(("10.88.0.1", 8080))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN) == 16
s.listen(16)
print("ready", flush=True)
while True:
    c, _ = s.accept()
    early = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] >> 5 & 1      # TCPI_OPT_SYN_DATA
    c.sendall(c.recv(100).upper() + b" %d" % early)
    c.close()
'''

CLIENT = '''
import socket, sys
TCP_FASTOPEN_CONNECT = 30
for how in sys.argv[1:]:
    s = socket.socket()
    if how == "sendto":
        assert s.sendto(b"hello", socket.MSG_FASTOPEN, ("10.88.0.1", 8080)) == 5
    elif how == "nonblocking":
        s.setblocking(False)
        assert s.sendto(b"hello", socket.MSG_FASTOPEN, ("10.88.0.1", 8080)) == 5
        s.setblocking(True)
    else:
        s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        s.connect(("10.88.0.1", 8080))
        assert s.send(b"hello") == 5
    got = b""
    while True:
        part = s.recv(100)
        if not part:
            break
        got += part
    taken = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] >> 5 & 1
    try:
        s.sendto(b"x", socket.MSG_FASTOPEN, ("10.88.0.1", 8080))
        sys.exit("connected twice")
    except OSError:
        pass
    print(got.decode(), taken, flush=True)
'''


class Network:
    def __init__(self, folder, *options):
        self.socket = str(folder / 'light.sock')
        self.daemon = subprocess.Popen([TOOLS + '/lightd', '--io=sim', '--hosts', 'server=10.88.0.1,client=10.88.0.2', '--socket',
                                        self.socket, *options], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not os.path.exists(self.socket) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.server = subprocess.Popen(self.command('server', SERVER), stdout=subprocess.PIPE, text=True)
        assert self.server.stdout.readline() == 'ready\n'

    def command(self, host, program, *words):
        return [TOOLS + '/light-run', '--socket', self.socket, '--host', host, '--', sys.executable, '-c', program, *words]

    def connect(self, *how):
        out = subprocess.run(self.command('client', CLIENT, *how), capture_output=True, text=True, timeout=30)
        assert out.returncode == 0, out.stderr
        return out.stdout.splitlines()

    def counter(self, host, name):
        out = subprocess.run([TOOLS + '/lightctl', '--socket', self.socket, '--host', host, '--json', 'stats'], capture_output=True,
                             text=True, timeout=10, check=True)
        return json.loads(out.stdout)['counters'][name]

    def close(self):
        for p in (self.server, self.daemon):
            p.terminate()
            p.wait(timeout=10)


@pytest.fixture
def network(tmp_path, request):
    n = Network(tmp_path, *getattr(request, 'param', ()))
    yield n
    n.close()


@pytest.mark.parametrize('network', [(), ('--queues=2',)], indirect=True)
@pytest.mark.parametrize('how', ['sendto', 'connect', 'nonblocking'])
def test_the_second_connection_brings_its_data_with_the_syn(network, how):
    first = 'connect' if how == 'nonblocking' else how
    # On two cores each has cookies of its own to learn: eight connections use both.
    lines = network.connect(first, first, first, first, how, how, how, how)
    assert lines[0] == 'HELLO 0 0'
    assert lines[-4:] == ['HELLO 1 1'] * 4
    taken = lines.count('HELLO 1 1')
    assert network.counter('server', 'TCP_FASTOPEN_ACCEPTED') == network.counter('client', 'TCP_FASTOPEN_SENT') == taken >= 6


@pytest.mark.parametrize('network', [('--tcp-fastopen=client',), ('--tcp-fastopen=off',)], indirect=True)
def test_a_server_needs_leave(network):
    if network.daemon.args[-1].endswith('client'):
        assert network.connect('sendto', 'connect', 'sendto') == ['HELLO 0 0'] * 3
    else:
        with pytest.raises(AssertionError, match='not supported'):
            network.connect('sendto')
    assert network.counter('server', 'TCP_FASTOPEN_ACCEPTED') == 0
