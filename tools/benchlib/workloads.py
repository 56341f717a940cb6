# SPDX-License-Identifier: BSD-3-Clause
"""What is measured: a server, and a client that says how fast it went. Every result has a rate (units per second) and
p50 and p99 in microseconds; the unit is named."""
import json
import os
import re

from benchlib.environments import SERVER
from benchlib.machine import run

NGINX = """worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log; {user}
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
uwsgi_temp_path {dir}; scgi_temp_path {dir}; keepalive_requests 1000000000; open_file_cache max=16;
server {{ listen {addr}:8080 backlog=4096; root {dir}/html; }} }}
"""


def to_usec(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1.0, "ms": 1e3, "s": 1e6}[unit]


class Wrk:
    unit = "request"

    def __init__(self, connections):
        self.name = "nginx keep-alive, wrk -c %d" % connections
        self.connections = connections
        self.server = "nginx"

    def client(self, tools, seconds):
        return ["wrk", "-t1", "-c%d" % self.connections, "-d%ds" % max(1, round(seconds)), "--latency",
                "http://%s:8080/index.html" % SERVER]

    def parse(self, text):
        errors = re.search(r"Socket errors: (.*)|Non-2xx.*", text)
        if errors:
            raise RuntimeError("wrk: " + errors.group(0))
        return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
                "p50": to_usec(re.search(r"(?m)^\s+50%\s+(\S+)", text).group(1)),
                "p99": to_usec(re.search(r"(?m)^\s+99%\s+(\S+)", text).group(1))}


class ApacheBench:
    """ab's -e file has percentiles with microseconds; its summary only whole milliseconds."""
    unit = "connection with a request"

    def __init__(self, concurrency):
        self.name = "nginx connection per request, ab -c %d" % concurrency
        self.concurrency = concurrency
        self.server = "nginx"

    def client(self, tools, seconds):
        count = {1: 6000, 10: 12000, 100: 15000}[self.concurrency]
        self.table = os.path.join(tools["folder"], "ab.csv")
        return ["ab", "-q", "-r", "-n", str(max(200, int(count * seconds))), "-c", str(self.concurrency), "-e", self.table,
                "http://%s:8080/index.html" % SERVER]

    def parse(self, text):
        failed = int(re.search(r"Failed requests:\s+(\d+)", text).group(1))
        if failed:
            raise RuntimeError("ab: %d failed requests" % failed)
        with open(self.table) as table:
            rows = dict(line.strip().split(",") for line in table if line[0].isdigit())
        return {"rate": float(re.search(r"Requests per second:\s+([\d.]+)", text).group(1)),
                "p50": float(rows["50"]) * 1e3, "p99": float(rows["99"]) * 1e3}


class RedisBenchmark:
    unit = "GET"

    def __init__(self, pipeline):
        self.name = "redis-benchmark GET -c 50 -P %d" % pipeline
        self.pipeline = pipeline
        self.server = "redis"

    def client(self, tools, seconds):
        count = int((40000 if self.pipeline == 1 else 400000) * seconds)
        return ["redis-benchmark", "-h", SERVER, "-p", "6399", "-t", "get", "-n", str(count), "-c", "50",
                "-P", str(self.pipeline), "--csv"]

    def parse(self, text):
        lines = [line.replace('"', "").split(",") for line in text.splitlines() if line.startswith('"')]
        row = dict(zip(lines[0], lines[-1]))
        return {"rate": float(row["rps"]), "p50": float(row["p50_latency_ms"]) * 1e3,
                "p99": float(row["p99_latency_ms"]) * 1e3}


class NetLoad:
    def __init__(self, name, unit, mode, size=64):
        self.name, self.unit, self.mode, self.size = name, unit, mode, size
        self.server = mode

    def client(self, tools, seconds):
        return [tools["netload"], self.mode, SERVER, str(PORTS[self.mode]), "-t", str(seconds), "-n", str(self.size)]

    def parse(self, text):
        row = json.loads(text)
        scale = 1e-9 * 8 if self.mode == "bulk" else 1.0
        return {"rate": row["rate"] * scale, "p50": row["p50_us"], "p99": row["p99_us"]}


PORTS = {"one-byte": 7071, "bulk": 7072, "ping-tcp": 7073, "ping-udp": 7074}

WORKLOADS = [ApacheBench(1), ApacheBench(10), ApacheBench(100), Wrk(1), Wrk(16), Wrk(64), Wrk(256),
             RedisBenchmark(1), RedisBenchmark(16),
             NetLoad("connect, 1 byte, close", "connection", "one-byte"),
             NetLoad("bulk, send of 64 KB", "Gbit", "bulk", 65536),
             NetLoad("TCP ping-pong 64 B", "round trip", "ping-tcp"),
             NetLoad("UDP ping-pong 64 B", "round trip", "ping-udp")]


def server_command(kind, tools, folder):
    if kind == "nginx":
        os.makedirs(os.path.join(folder, "html"), exist_ok=True)
        with open(os.path.join(folder, "html", "index.html"), "w") as page:
            page.write("x" * 64 + "\n")
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w") as out:
            out.write(NGINX.format(dir=folder, addr=SERVER, user="user root;" if os.geteuid() == 0 else ""))
        return ["nginx", "-c", config]
    if kind == "redis":
        return ["redis-server", "--port", "6399", "--bind", SERVER, "--save", "", "--appendonly", "no",
                "--protected-mode", "no", "--dir", folder]
    return [tools["netload"], "--serve", kind, SERVER, str(PORTS[kind])]


def probe_command(kind, tools):
    """A client command that succeeds once the server serves."""
    if kind == "nginx":
        return ["curl", "-s", "-o", "/dev/null", "-m", "2", "http://%s:8080/index.html" % SERVER]
    if kind == "redis":
        return ["redis-cli", "-h", SERVER, "-p", "6399", "ping"]
    return [tools["netload"], kind, SERVER, str(PORTS[kind]), "-t", "0.01"]


def run_client(workload, prefix, tools, seconds):
    return workload.parse(run(prefix + workload.client(tools, seconds), timeout=60 + 20 * seconds))
