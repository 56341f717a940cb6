# SPDX-License-Identifier: BSD-3-Clause
"""tools/bench io: packets a second and cycles a packet of each backend, beside dpdk-testpmd on the same device in the same run.

One process serves the device (light-iobench, or testpmd turning frames round), another gives it work from the far end; each on a CPU of
its own. Cycles are of turns that had packets; ours leave out those in which another process had the CPU, testpmd's are scaled to the
CPU time that it had."""
import argparse
import contextlib
import json
import os
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from benchlib.machine import Space, Veth, need, run

OURS, FAR = "10.79.0.1", "10.79.0.2"
OURS_MAC, FAR_MAC = "02:4c:69:67:68:01", "02:4c:69:67:68:02"
EAL = ["--no-pci", "--no-telemetry", "--no-huge", "--no-shconf", "--log-level=4", "-m", "256"]
SIZES = {64: 60, 1500: 1514}   # named as people do; bytes without the check sequence
TESTPMD = ["--forward-mode=5tswap", "--record-core-cycles", "--burst=64", "--disable-link-check", "--total-num-mbufs=16384",
           "--nb-cores=1", "--rxd=1024", "--txd=1024"]
WHAT = ("testpmd", "forward", "echo", "drop", "send", "ping")


class Device:
    """A veth pair whose ends are two namespaces. `ours` are light-iobench's options, `vdev` is testpmd's device in our place."""
    what, carrier_first = WHAT, True

    def __init__(self, name, title, ours, vdev):
        self.name, self.title, self.ours, self.vdev = name, title, ours, vdev
        self.net = self.make_net()

    def make_net(self):
        return Veth("io-" + self.name, None, None, False, ("tx", "tso", "gso", "gro", "txvlan"))

    def up(self, folder):
        self.net.up()

    def down(self):
        self.net.down()

    def party(self, side):
        return "%s,%s" % ({"server": OURS, "client": FAR}[side], self.net.mac(side))

    def near(self, folder):
        return self.ours

    def far(self, folder):
        return ["--io=afxdp", "--interface=veth0"]

    def eal(self, folder):
        return [*EAL, "--vdev=" + self.vdev]

    def served(self):
        """Once the near end is open."""

    def clean(self, folder):
        """What a testpmd that was killed leaves."""
        run(self.net.prefix("server") + ["ip", "link", "set", "veth0", "xdp", "off"])


def dpdk(vdev):
    return ["--io=dpdk", "--", *EAL, "--vdev=" + vdev]


class Tap(Device):
    """The far end is an AF_XDP socket on the kernel's end of the device."""

    def make_net(self):
        return Space("io-" + self.name, FAR)

    def party(self, side):
        return "%s,%s" % (OURS, OURS_MAC) if side == "server" else "%s,%s" % (FAR, FAR_MAC)

    def served(self):
        """The kernel's end appears with the near one."""
        run(["ip", "-n", self.net.name, "link", "set", "veth0", "address", FAR_MAC, "up"])

    def clean(self, folder):
        pass


class Memif(Device):
    """Two processes of DPDK, memory between them."""
    carrier_first = False

    def make_net(self):
        return Space("io-" + self.name, FAR)

    def served(self):
        pass

    def party(self, side):
        return "%s,%s" % ((OURS, OURS_MAC) if side == "server" else (FAR, FAR_MAC))

    def clean(self, folder):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, "memif.sock"))

    def vdev_of(self, folder, role, mac):
        return "net_memif0,role=%s,id=0,mac=%s,socket=%s,socket-abstract=no" % (role, mac, os.path.join(folder, "memif.sock"))

    def near(self, folder):
        return dpdk(self.vdev_of(folder, "server", OURS_MAC))

    def far(self, folder):
        return dpdk(self.vdev_of(folder, "client", FAR_MAC))

    def eal(self, folder):
        return [*EAL, "--vdev=" + self.vdev_of(folder, "server", OURS_MAC)]


class Alone(Memif):
    """A device without a far end: net_ring gives back what is sent, net_null receives what nobody sent."""

    def __init__(self, name, title, vdev, what):
        super().__init__(name, title, dpdk(vdev), vdev)
        self.what = what

    def near(self, folder):
        return self.ours

    def far(self, folder):
        return None

    def eal(self, folder):
        return [*EAL, "--vdev=" + self.vdev]


def devices():
    veth, packet, xdp = "net_pcap0,iface=veth0", "net_af_packet0,iface=veth0", "net_af_xdp0,iface=veth0"
    return [Tap("tap", "--io=tap", ["--io=tap", "--interface=veth0"], "net_tap0,iface=veth0"),
            Device("afxdp", "--io=afxdp, veth", ["--io=afxdp", "--interface=veth0"], xdp),
            Device("pcap", "--io=pcap, veth", ["--io=pcap", "--interface=veth0"], veth),
            Device("af_packet", "--io=dpdk net_af_packet, veth", dpdk(packet), packet),
            Device("af_xdp", "--io=dpdk net_af_xdp, veth", dpdk(xdp), xdp),
            Memif("memif", "--io=dpdk net_memif", None, None),
            Alone("ring", "--io=dpdk net_ring (its own far end)", "net_ring0", ("testpmd", "echo")),
            Alone("null", "--io=dpdk net_null (no far end)", "net_null0,size=%d", ("drop", "send"))]


# ---- processes ----

class Near:
    """What serves the device, until stop() asks it to end and gives its last words."""

    def __init__(self, argv, log, ready):
        self.log = open(log, "w+")
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        start_new_session=True)
        self.words, self.argv = "", argv
        self.wait_for(ready)

    def wait_for(self, ready):
        end = time.monotonic() + 20
        while not re.search(ready, self.words + self.said()):
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError("%s: %s" % (" ".join(self.argv), (self.said() + self.words)[-600:]))
            if select.select([self.process.stdout], [], [], 0.02)[0]:
                self.words += os.read(self.process.stdout.fileno(), 65536).decode(errors="replace")

    def said(self):
        with open(self.log.name, errors="replace") as text:
            return text.read()

    def clocks(self):
        """Now, and the CPU seconds of each thread so far."""
        used = {}
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.process.pid, task)) as stat:
                used[task] = int(stat.read().split()[0]) / 1e9
        return time.monotonic(), used

    def stop(self, by_key):
        try:
            if by_key:
                out = self.process.communicate("\n", timeout=20)[0]
            else:
                os.kill(self.pid(), signal.SIGTERM)
                out = self.process.communicate(timeout=20)[0]
            return self.words + out
        finally:
            self.kill()

    def pid(self):
        return self.process.pid

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


class Bench:
    def __init__(self, args, folder):
        self.program, self.args, self.folder = os.path.join(args.build, "tools", "light-iobench"), args, folder

    def iobench(self, device, side, mode, size, options, window=64):
        """The command line of one end."""
        ours, theirs = device.party(side), device.party("client" if side == "server" else "server")
        behind = options.index("--") if "--" in options else len(options)
        options = [o % size if "net_null" in o else o for o in options]
        if "--io=tap" not in options:
            ours = ours.split(",")[0]
        return device.net.prefix(side) + [self.program, *options[:behind], "--mode=" + mode, "--address=" + ours, "--peer=" + theirs,
                                          "--frame=%d" % size, "--window=%d" % window, *options[behind:]]

    def near(self, device, mode, size):
        if mode == "testpmd":
            more = ["--tx-first", "--txpkts=%d" % size, "--port-topology=loop"] if device.name == "ring" else []
            argv = device.net.prefix("server") + ["stdbuf", "-oL", "dpdk-testpmd", "--lcores=0@0,1@0", *device.eal(self.folder), "--", *TESTPMD, *more]
            return Near(argv, os.path.join(self.folder, "testpmd.log"), "Press enter to exit")
        argv = self.iobench(device, "server", mode, size, device.near(self.folder))
        argv[argv.index(self.program) + 1:argv.index(self.program) + 1] = ["--cpu=0", "--milliseconds=120000"] + (
            ["--mirror"] if device.name == "ring" else [])
        return Near(argv, os.path.join(self.folder, "near.log"), "(?m)^ready$")

    def far(self, device, mode, size, window):
        options = device.far(self.folder)
        if options is None:
            time.sleep(self.args.seconds)
            return None
        argv = self.iobench(device, "client", mode, size, options, window)
        argv[argv.index(self.program) + 1:argv.index(self.program) + 1] = [
            "--cpu=%d" % (1 % os.cpu_count()), "--milliseconds=%d" % (self.args.seconds * 1000)]
        return last_json(run(argv, timeout=60 + self.args.seconds))

    def measure(self, device, what, size):
        mode = "echo" if what == "ping" else what
        near = self.near(device, mode, size)
        try:
            device.served()
            if mode != "testpmd" and device.carrier_first:
                near.wait_for("(?m)^carrier$")
            before = near.clocks()
            far = self.far(device, {"drop": "send", "send": "drop"}.get(what, "load"), size, 1 if what == "ping" else self.args.window)
            share = share_of(before, near.clocks())
        except BaseException:
            near.kill()
            device.clean(self.folder)
            raise
        said = near.stop(what == "testpmd")
        device.clean(self.folder)
        # testpmd may die of its memif after it has said all.
        if near.process.returncode != 0 and what != "testpmd":
            raise RuntimeError("%s: exit %d" % (" ".join(near.argv), near.process.returncode))
        return figures(what, said, far, share, time.monotonic() - before[0])


def share_of(before, after):
    """What the busiest thread had of a CPU meanwhile."""
    used = max(cpu - before[1].get(task, 0) for task, cpu in after[1].items())
    return min(1.0, used / (after[0] - before[0]))


def last_json(text):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError("light-iobench ended without figures: " + text[-300:])
    return json.loads(lines[-1])


def testpmd_figures(said, share, seconds):
    """What it counted itself, and the cycles scaled to the CPU time that it had."""
    cycles = re.findall(r"CPU cycles/packet=([\d.]+)", said)
    packets = re.findall(r"RX-packets: (\d+)", said)
    if not packets:
        raise RuntimeError("testpmd said no figures: " + said[-300:])
    return {"rate": int(packets[-1]) / seconds, "cycles": float(cycles[-1]) * share if cycles else None}


def figures(what, said, far, share, seconds):
    near = testpmd_figures(said, share, seconds) if what == "testpmd" else last_json(said)
    result = {"rate": near["rate"], "cycles": near["cycles"], "p50": None, "p99": None}
    if far is not None and what != "drop":
        result["rate"] = far["rate"]
    if what == "ping":
        result.update(p50=far["p50_us"], p99=far["p99_us"])
    return result


# ---- the table ----

def median(rows, key):
    values = [r[key] for r in rows if r[key] is not None]
    return statistics.median(values) if values else None


def ratio(rows, base, key):
    pairs = [a[key] / b[key] for a, b in zip(rows, base) if a[key] and b[key]]
    return statistics.median(pairs) if pairs else None


def text(results):
    lines = ["%-36s %6s %-9s %12s %11s %9s %9s %12s" % ("device", "bytes", "", "packets/s", "cycles", "p50 us", "p99 us", "x testpmd")]

    def cell(value, form):
        return "-" if value is None else form % value
    for (title, size), table in results.items():
        for what, rows in table.items():
            beside = ratio(rows, table.get("testpmd", []), "rate") if what in ("forward", "echo") else None
            lines.append("%-36s %6d %-9s %12s %11s %9s %9s %12s" % (
                title, size, what, cell(median(rows, "rate"), "%.0f"), cell(median(rows, "cycles"), "%.0f"),
                cell(median(rows, "p50"), "%.1f"), cell(median(rows, "p99"), "%.1f"), cell(beside, "%.2f")))
    lines.append("testpmd: DPDK's forwarder with 5tswap in our place on the same device (tap: its net_tap, pcap: its net_pcap); forward: the same "
                 "by our link;\necho: a UDP socket of stack/; ping: one frame at a time; cycles: of the near end, a packet.")
    return "\n".join(lines)


def options(argv):
    names = [d.name for d in devices()]
    parser = argparse.ArgumentParser(prog="bench io", description="Packets a second and cycles a packet of each backend, beside dpdk-testpmd.")
    parser.add_argument("--devices", default=",".join(names), help="of " + ", ".join(names))
    parser.add_argument("--what", default=",".join(WHAT), help="of " + ", ".join(WHAT))
    parser.add_argument("--sizes", default="64,1500", help="of 64, 1500")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take medians of (default 3)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each run (default 0.5)")
    parser.add_argument("--window", type=int, default=256, help="frames on their way in testpmd, forward and echo (default 256)")
    parser.add_argument("--quick", action="store_true", help="a round of 0.2 s of the TAP device with 64 bytes, without testpmd: does it work?")
    parser.add_argument("--build", default=os.path.join(os.path.dirname(__file__), "..", "..", "build", "release"), help="where Light is built")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    if args.quick:
        args.devices, args.sizes, args.rounds, args.seconds, args.what = "tap", "64", 1, 0.2, "forward,echo,drop,send,ping"
    args.devices, args.what, args.sizes = args.devices.split(","), args.what.split(","), args.sizes.split(",")
    for chosen, known in ((args.devices, names), (args.what, WHAT), (args.sizes, [str(s) for s in SIZES])):
        if not set(chosen) <= set(known):
            parser.error("'%s': of %s" % (",".join(chosen), ", ".join(known)))
    if args.rounds < 1 or args.seconds <= 0 or not 1 <= args.window <= 1024:
        parser.error("--rounds is at least 1, --seconds more than 0, --window 1 to 1024")
    return args


def run_device(bench, device, args, results, errors):
    for size in map(int, args.sizes):
        table = {w: [] for w in device.what if w in args.what}
        for number in range(args.rounds):
            for what in table:
                print("  %s: %s of %d bytes, round %d of %d" % (device.name, what, size, number + 1, args.rounds), file=sys.stderr, flush=True)
                try:
                    table[what].append(bench.measure(device, what, SIZES[size]))
                except (RuntimeError, OSError, subprocess.SubprocessError, IndexError) as why:
                    errors.append("%s: %s: %s" % (device.name, what, why))
        results[device.title, size] = table


def main(argv):
    args = options(argv)
    need("ip", "ethtool", *(["dpdk-testpmd"] if "testpmd" in args.what else []))
    if os.geteuid() != 0:
        raise SystemExit("bench: devices in network namespaces need root")
    folder, results, errors = tempfile.mkdtemp(prefix="light-bench-io-"), {}, []
    try:
        for device in [d for d in devices() if d.name in args.devices]:
            try:
                device.up(folder)
                run_device(Bench(args, folder), device, args, results, errors)
            finally:
                device.down()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(text(results))
    if args.json:
        with open(args.json, "w") as out:
            json.dump({"rows": [{"device": t, "bytes": s, "figures": f} for (t, s), f in results.items()], "errors": errors}, out, indent=1)
    for error in errors:
        print("bench: " + error, file=sys.stderr)
    return 1 if errors else 0
