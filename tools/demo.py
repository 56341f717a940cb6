# SPDX-License-Identifier: BSD-3-Clause
"""What tools/demo shows once Light is built: a server and a client host, real programs on both, first over a clean link, then
over a bad one. Everything it starts is gone when it ends, however it ends."""
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from benchlib.machine import TICK, Processes, wait_until

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
REQUESTS, CONCURRENCY = 20000, 50
BIG = 16 << 20

NGINX = """worker_processes 2; daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx-error.log; {user}
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
uwsgi_temp_path {dir}; scgi_temp_path {dir}; sendfile on; keepalive_requests 1000000;
server {{ listen {addr}:8080 backlog=1024; root {dir}/html; }} }}
"""


class Failure(Exception):
    pass


def say(text=""):
    print(text, flush=True)


def group_cpu(group):
    """CPU seconds of the living processes of a group and of those they have waited for."""
    total = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % entry) as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += sum(int(x) for x in fields[11:15])
    return total / TICK


class Net:
    """A lightd of our own with two hosts, and commands on them."""

    def __init__(self, build, folder, name, *link):
        self.tools = os.path.join(build, "tools")
        self.folder, self.name, self.link = folder, name, link
        self.socket = os.path.join(folder, name + ".sock")
        self.processes = Processes()

    def __enter__(self):
        argv = [os.path.join(self.tools, "lightd"), "--io=sim", "--hosts=server=%s,client=%s" % (SERVER, CLIENT),
                "--socket", self.socket, *self.link]
        self.daemon = self.processes.start(argv, self.log("lightd"))
        try:
            wait_until("lightd answers", lambda: self.alive() and self.control("status") is not None)
        except RuntimeError as error:
            with open(self.log("lightd")) as log:
                raise Failure("%s: %s" % (error, log.read().strip())) from None
        return self

    def __exit__(self, *_):
        self.processes.stop_all()

    def alive(self):
        if self.daemon.poll() is not None:
            raise Failure("lightd ended with status %d" % self.daemon.returncode)
        return True

    def log(self, name):
        return os.path.join(self.folder, "%s-%s.log" % (self.name, name))

    def control(self, *question):
        done = subprocess.run([os.path.join(self.tools, "lightctl"), "--socket", self.socket, "--json", *question],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def on(self, host, *argv):
        return [os.path.join(self.tools, "light-run"), "--socket", self.socket, "--host", host, "--", *argv]

    def serve(self, *argv):
        return self.processes.start(self.on("server", *argv), self.log(os.path.basename(argv[0])))

    def client(self, *argv, timeout=60):
        """Runs a client to its end; its output and the CPU seconds it took."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(self.on("client", *argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            raise Failure("%s: exit %d: %s" % (argv[0], done.returncode, done.stderr.decode(errors="replace")[-400:]))
        return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def retransmitted(self):
        total = 0
        for host in ("server", "client"):
            total += self.control("stats", "--host", host)["counters"]["TCP_RETRANSMITTED"]
        return total


class Shown:
    """One row of the report: what a client did, how fast, and what it cost whom."""

    def __init__(self, net, server, what):
        self.net, self.server, self.what = net, server, what

    def __enter__(self):
        self.daemon_cpu, self.server_cpu = group_cpu(self.net.daemon.pid), group_cpu(self.server.pid)
        self.retransmitted = self.net.retransmitted()
        self.client_cpu, self.figures = 0.0, ""
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            say("  %-38s %-46s %6.2f %6.2f %6.2f %6d" % (
                self.what, self.figures, group_cpu(self.net.daemon.pid) - self.daemon_cpu,
                group_cpu(self.server.pid) - self.server_cpu, self.client_cpu,
                self.net.retransmitted() - self.retransmitted))


def heading():
    say("  %-38s %-46s %6s %6s %6s %6s" % ("", "", "CPU s", "CPU s", "CPU s", "re-"))
    say("  %-38s %-46s %6s %6s %6s %6s" % ("", "", "lightd", "server", "client", "sent"))


def make_site(folder):
    os.makedirs(os.path.join(folder, "html"))
    with open(os.path.join(folder, "html", "index.html"), "w") as page:
        page.write("<!doctype html><title>Light</title><p>Served by nginx through Light.\n")
    with open(os.path.join(folder, "html", "big"), "wb") as big:
        big.write(os.urandom(BIG))
    config = os.path.join(folder, "nginx.conf")
    with open(config, "w") as out:
        out.write(NGINX.format(dir=folder, addr=SERVER, user="user root;" if os.geteuid() == 0 else ""))
    return config


def digest(data):
    return hashlib.sha256(data).hexdigest()


def original(folder, name):
    with open(os.path.join(folder, "html", name), "rb") as file:
        return file.read()


def answers(net, *argv):
    try:
        net.client(*argv, timeout=5)
        return True
    except (Failure, subprocess.TimeoutExpired):
        return net.alive() and False


def start_nginx(net, folder, config):
    server = net.serve("nginx", "-c", config)
    wait_until("nginx serves", lambda: answers(net, "curl", "-s", "-o", "/dev/null", "http://%s:8080/" % SERVER), 20)
    return server


def show_curl(net, server, folder, name, title):
    url = "http://%s:8080/%s" % (SERVER, name)
    with Shown(net, server, title) as row:
        start = time.monotonic()
        got, row.client_cpu = net.client("curl", "-sS", "--fail", url, timeout=90)
        took = time.monotonic() - start
        want = original(folder, name)
        if got != want:
            raise Failure("%s: %d bytes with hash %s came instead of %d with %s" % (url, len(got), digest(got), len(want), digest(want)))
        row.figures = "%.3f s, %.0f Mbit/s, sha256 %s equal" % (took, len(got) * 8e-6 / took, digest(got)[:12])


def show_ab(net, server, folder, title, *flags):
    table = os.path.join(folder, "ab.csv")
    with Shown(net, server, title) as row:
        out, row.client_cpu = net.client("ab", "-q", *flags, "-n", str(REQUESTS), "-c", str(CONCURRENCY), "-e", table,
                                         "http://%s:8080/index.html" % SERVER)
        text = out.decode()
        complete = int(re.search(r"Complete requests:\s+(\d+)", text).group(1))
        failed = int(re.search(r"Failed requests:\s+(\d+)", text).group(1))
        if complete != REQUESTS or failed or "Non-2xx" in text:
            raise Failure("ab: %d of %d requests done, %d failed" % (complete, REQUESTS, failed))
        with open(table) as rows:
            percent = dict(line.strip().split(",") for line in rows if line[0].isdigit())
        row.figures = "%8.0f requests/s, p50 %.2f ms, p99 %.2f ms" % (
            float(re.search(r"Requests per second:\s+([\d.]+)", text).group(1)), float(percent["50"]), float(percent["99"]))


def show_redis(net, server, title, pipeline, count):
    for test in ("set", "get"):
        with Shown(net, server, "%s, %s" % (title, test.upper())) as row:
            out, row.client_cpu = net.client("redis-benchmark", "-h", SERVER, "-p", "6399", "-t", test, "-n", str(count),
                                             "-c", str(CONCURRENCY), "-P", str(pipeline), "--csv")
            lines = [line.replace('"', "").split(",") for line in out.decode().splitlines() if line.startswith('"')]
            if len(lines) != 2:
                raise Failure("redis-benchmark said: %r" % out[-300:])
            figures = dict(zip(*lines))
            row.figures = "%8.0f requests/s, p50 %.2f ms, p99 %.2f ms" % (
                float(figures["rps"]), float(figures["p50_latency_ms"]), float(figures["p99_latency_ms"]))


def clean_link(build, folder, config):
    say("\nlightd --io=sim: hosts server (%s) and client (%s), a link without impairment" % (SERVER, CLIENT))
    with Net(build, folder, "clean") as net:
        heading()
        server = start_nginx(net, folder, config)
        show_curl(net, server, folder, "index.html", "nginx (2 workers), curl, a page")
        show_curl(net, server, folder, "big", "nginx, curl, a file of 16 MB")
        show_ab(net, server, folder, "nginx, ab, a connection per request")
        show_ab(net, server, folder, "nginx, ab -k, keep-alive", "-k")
        redis = net.serve("redis-server", "--port", "6399", "--bind", SERVER, "--save", "", "--protected-mode", "no",
                          "--dir", folder)
        wait_until("redis serves", lambda: answers(net, "redis-cli", "-h", SERVER, "-p", "6399", "ping"), 20)
        show_redis(net, redis, "redis, 50 clients", 1, 100000)
        show_redis(net, redis, "redis, 50 clients, pipeline 16", 16, 400000)


def bad_link(build, folder, config):
    say("\nthe same over a bad link: 20 ms there and back, 2 % loss, 2 % reordering, seed 7")
    with Net(build, folder, "bad", "--delay=10ms", "--loss=2%", "--reorder=2%", "--seed=7") as net:
        heading()
        server = start_nginx(net, folder, config)
        show_curl(net, server, folder, "index.html", "nginx, curl, a page")
        show_curl(net, server, folder, "big", "nginx, curl, a file of 16 MB")


def on_signal(number, _frame):
    raise SystemExit(128 + number)


def main():
    build = os.path.abspath(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    folder = tempfile.mkdtemp(prefix="light-demo-")
    os.chmod(folder, 0o755)
    try:
        config = make_site(folder)
        clean_link(build, folder, config)
        bad_link(build, folder, config)
    except (Failure, RuntimeError, subprocess.TimeoutExpired) as error:
        say("\nFAILED: %s" % error)
        for name in sorted(os.listdir(folder)):
            if name.endswith(".log") and os.path.getsize(os.path.join(folder, name)):
                with open(os.path.join(folder, name), errors="replace") as log:
                    say("--- %s\n%s" % (name, log.read()[-1500:].strip()))
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say("\nEvery byte arrived, and nothing that was started is left.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
