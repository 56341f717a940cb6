# SPDX-License-Identifier: BSD-3-Clause
"""A simulated network in real time with three hosts: Light (10.78.0.1) and two kernels (10.78.0.11, .12), each in a network
namespace of its own, joined by lightd --io=sim --tap. Every cable has the same impairments on its host's way out."""
import json
import os
import select
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
BUILD = os.path.abspath(os.environ.get('LIGHT_BUILD', os.path.join(ROOT, 'build', 'release')))
PYTHON = '/usr/bin/python3'
ADDRESS = {'light': '10.78.0.1', 'kernel': '10.78.0.11', 'kernel2': '10.78.0.12'}
PATIENCE = 150


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class World:
    """Made by `with`; what it made is gone at its end."""

    def __init__(self, *options, sysctl=None):
        self.options, self.sysctl = options, sysctl or {}
        self.name = f'ltk{os.getpid()}'
        self.namespaces = {'kernel': self.name + 'a', 'kernel2': self.name + 'b'}
        self.daemon = None

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix='light-kernelpeer.')
        self.socket = os.path.join(self.folder.name, 'light.sock')
        try:
            for name in self.namespaces.values():
                run('ip', 'netns', 'add', name)
            self.start()
            for host, name in self.namespaces.items():
                for key, value in {'net.ipv6.conf.all.disable_ipv6': 1, **self.sysctl}.items():
                    run('ip', 'netns', 'exec', name, 'sysctl', '-q', '-w', f'{key}={value}')
                run('ip', '-n', name, 'link', 'set', 'lo', 'up')
                run('ip', '-n', name, 'addr', 'add', ADDRESS[host] + '/24', 'dev', 'peer0')
                run('ip', '-n', name, 'link', 'set', 'peer0', 'up')
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        self.log = open(os.path.join(self.folder.name, 'lightd.log'), 'w+', encoding='utf-8')
        taps = ','.join('peer0@' + name for name in self.namespaces.values())
        self.daemon = subprocess.Popen(
            [os.path.join(BUILD, 'tools', 'lightd'), '--io=sim', '--hosts=light=' + ADDRESS['light'], '--tap=' + taps,
             '--socket=' + self.socket, *self.options], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        for _ in range(100):
            if self.daemon.poll() is not None or 'lightd: ready' in self.said():
                break
            time.sleep(0.05)
        assert 'lightd: ready' in self.said(), self.said()

    def said(self):
        with open(self.log.name, encoding='utf-8') as f:
            return f.read()

    def __exit__(self, *_):
        if self.daemon is not None:
            self.daemon.terminate()
            try:
                self.daemon.wait(10)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self.log.close()
        for name in self.namespaces.values():
            subprocess.run(['ip', 'netns', 'del', name], check=False, stderr=subprocess.DEVNULL)
        self.folder.cleanup()

    def command(self, host, *words):
        if host == 'light':
            return [os.path.join(BUILD, 'tools', 'light-run'), '--socket=' + self.socket, '--', *words]
        return ['ip', 'netns', 'exec', self.namespaces[host], *words]

    def peer(self, host, scenario, role, address, options):
        return subprocess.Popen(
            self.command(host, PYTHON, os.path.join(HERE, 'peer.py'), scenario, role, address,
                         *(f'{k}={v}' for k, v in options.items())),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def converse(self, scenario, client, server, client_options=None, server_options=None, **options):
        """Runs both ends; returns (what the client said, what the server said), or fails with all that was printed."""
        ends = []
        try:
            ends.append(self.peer(server, scenario, 'server', ADDRESS[server], {**options, **(server_options or {})}))
            assert select.select([ends[0].stdout], [], [], PATIENCE)[0], f'{server} does not listen'
            first = ends[0].stdout.readline()
            assert first == 'listening\n', first + ends[0].stderr.read()
            ends.append(self.peer(client, scenario, 'client', ADDRESS[server], {**options, **(client_options or {})}))
            said = [end.communicate(timeout=PATIENCE) for end in reversed(ends)]
        finally:
            for end in ends:
                if end.poll() is None:
                    end.kill()
                    end.wait()
        results = []
        for host, (out, error) in zip((client, server), said):
            try:
                results.append(json.loads(out.strip().split('\n')[-1]))
            except ValueError:
                raise AssertionError(f'{scenario}, {host}: {out}{error}\n{self.said()}') from None
            assert results[-1]['ok'], f'{scenario}, {host}: {results[-1]}{error}'
        return tuple(results)
