# SPDX-License-Identifier: BSD-3-Clause
"""The two ends of a device: each can run programs, and scenarios cannot tell the kernel's from Light's."""
import hashlib
import os
import re
import sys

from machine import Process, run, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("LIGHT_BUILD", os.path.join(HERE, "..", "..", "build", "release")))
PEER = os.path.join(HERE, "peer.py")
PYTHON = "/usr/bin/python3"
HTTP_PORT, ECHO_PORT, SWARM_PORT, CLOSED_PORT = 8080, 7007, 7008, 7999

NGINX = """daemon off; master_process off; pid %(folder)s/nginx.pid; error_log stderr warn; worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http { access_log off; sendfile on; keepalive_timeout 60;
  client_body_temp_path %(folder)s; proxy_temp_path %(folder)s; fastcgi_temp_path %(folder)s; uwsgi_temp_path %(folder)s;
  scgi_temp_path %(folder)s;
  server { listen %(address)s:%(port)d backlog=1024; root %(root)s; } }
"""


class End:
    """One end: an address in a namespace. `prefix` is what puts a command onto its stack."""
    started = 0

    def __init__(self, name, space, interface, address, folder, prefix=()):
        self.name, self.space, self.interface, self.address, self.folder = name, space, interface, address, folder
        self.prefix = list(prefix)
        self.processes = {}

    def argv(self, argv):
        return self.space.argv(self.prefix + list(argv))

    def run(self, *argv, **more):
        return run(self.argv(argv), **more)

    def start(self, word, *argv):
        """A process that ends with this end (or before, by .end())."""
        End.started += 1
        process = Process(self.argv(argv), os.path.join(self.folder, "%s-%s-%d.log" % (self.name, word, End.started)))
        self.processes[word] = process
        return process

    def peer(self, *words, **more):
        """One of peer.py's programs to its end; what it printed."""
        done = self.run(PYTHON, PEER, *map(str, words), check=False, **more)
        assert done.returncode == 0, "%s on %s: %s" % (" ".join(map(str, words)), self.name, done.stdout + done.stderr[-1500:])
        return done.stdout

    def start_peer(self, word, *words):
        return self.start(word, PYTHON, PEER, *map(str, words))

    def serve(self, word, command, port):
        """A server of peer.py that stays for other tests; started again if it died."""
        process = self.processes.get(word)
        if process is None or not process.alive():
            process = self.start_peer(word, command, self.address, port)
            process.said("^ready")
        return process

    def echo(self):
        self.serve("echo", "udp-echo", ECHO_PORT)
        return self.address, ECHO_PORT

    def tcp(self):
        self.serve("tcp", "tcp-server", SWARM_PORT)
        return self.address, SWARM_PORT

    def http(self, files):
        """nginx with those files; the URL it is at."""
        process = self.processes.get("nginx")
        url = "http://%s:%d" % (self.address, HTTP_PORT)
        if process is None or not process.alive():
            folder = os.path.join(self.folder, self.name + "-nginx")
            os.makedirs(folder, exist_ok=True)
            conf = os.path.join(folder, "nginx.conf")
            with open(conf, "w") as f:
                f.write(NGINX % {"folder": folder, "address": self.address, "port": HTTP_PORT, "root": files.root})
            self.start("nginx", "/usr/sbin/nginx", "-p", folder, "-c", conf, "-e", "stderr")
            wait_until("nginx of %s answers itself" % self.name, lambda: self.run(
                "curl", "-sS", "-m", "5", "-o", "/dev/null", url + "/64", check=False).returncode == 0)
        return url

    def mac(self):
        return self.space.mac(self.interface)

    def neighbours(self):
        """Address -> MAC, of those it could send to at once."""
        rows = re.findall(r"^(\S+) .*lladdr (\S+)", self.space.ip("neigh", "show", "dev", self.interface), re.M)
        return dict(rows)

    def end(self):
        for process in reversed(list(self.processes.values())):
            process.end()
        self.processes.clear()


class Files:
    """What is fetched: random content of known hashes."""

    def __init__(self, root, sizes):
        self.root, self.hashes = root, {}
        os.makedirs(root, exist_ok=True)
        for name, size in sizes.items():
            digest = hashlib.sha256()
            with open(os.path.join(root, name), "wb") as f:
                for _ in range(0, size, 1 << 20):
                    block = os.urandom(min(size, 1 << 20))
                    digest.update(block)
                    f.write(block)
            self.hashes[name] = digest.hexdigest()

    def fetch(self, end, url, name, *options, seconds=90):
        """curl on that end; the content must be what the file is."""
        target = os.path.join(end.folder, "%s-fetched-%s" % (end.name, name))
        done = end.run("curl", "-sS", "-m", str(seconds), "-o", target, *options, "%s/%s" % (url, name), check=False,
                       timeout=seconds + 30)
        assert done.returncode == 0, "curl on %s, %s: %s" % (end.name, name, done.stderr)
        self.check(target, name)

    def check(self, path, name):
        with open(path, "rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest()
        size = os.path.getsize(path)
        os.unlink(path)
        assert digest == self.hashes[name], "%s is wrong: %d bytes" % (name, size)


def need_build():
    for name in ("tools/lightd", "tools/light-run", "tools/lightctl", "posix/liblight.so"):
        if not os.path.exists(os.path.join(BUILD, name)):
            sys.exit("%s has no %s (LIGHT_BUILD)" % (BUILD, name))
