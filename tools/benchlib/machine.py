# SPDX-License-Identifier: BSD-3-Clause
"""The machine under measurement: processes with an end, CPU seconds of everything, network namespaces."""
import contextlib
import os
import shutil
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds():
    """Seconds that all cores of the machine have worked since boot (user, system, interrupts; not idle, not stolen)."""
    with open("/proc/stat") as stat:
        fields = [int(x) for x in stat.readline().split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / TICK


class Account:
    """CPU seconds of what we started, interrupts in its context included, by a control group of ours (cpuacct, version 1): what a busy machine's
    other work does not add to. Without one, of the whole machine."""
    ROOT = "/sys/fs/cgroup/cpuacct"

    def __init__(self):
        self.folder = None

    def open(self):
        folder = os.path.join(self.ROOT, "lb-%d" % os.getpid())
        try:
            os.mkdir(folder)
            self.folder = folder
            self.move(folder)
        except OSError as why:
            self.close()
            raise SystemExit("bench: --cpu=own: %s" % why)

    def move(self, folder):
        with open(os.path.join(folder, "cgroup.procs"), "w") as procs:
            procs.write(str(os.getpid()))

    def seconds(self):
        if self.folder is None:
            return cpu_seconds()
        with open(os.path.join(self.folder, "cpuacct.usage")) as usage:
            return int(usage.read()) / 1e9

    def close(self):
        """Everything that was started has ended."""
        if self.folder is None:
            return
        self.move(self.ROOT)
        for _ in range(50):
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)
                break
            time.sleep(0.02)
        self.folder = None


def need(*programs):
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        raise SystemExit("bench: not installed: %s (tools/setup installs it)" % ", ".join(missing))


class Processes:
    """Background processes that are gone when we are: ended by pid, in reverse order."""

    def __init__(self):
        self.all = []

    def start(self, argv, log, env=None):
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=open(log, "ab"), stderr=subprocess.STDOUT,
                                   env=env, start_new_session=True)
        self.all.append(process)
        return process

    def stop(self, process):
        if process not in self.all:
            return
        self.all.remove(process)
        for sig, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            try:
                os.killpg(process.pid, sig)
            except ProcessLookupError:
                pass
            try:
                process.wait(patience)
                return
            except subprocess.TimeoutExpired:
                continue

    def stop_all(self):
        for process in reversed(list(self.all)):
            self.stop(process)


def run(argv, timeout=60):
    """A foreground command's output; an error says what it printed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, text=True, errors="replace")
    if done.returncode != 0:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(argv), done.returncode, (done.stderr or done.stdout)[-500:]))
    return done.stdout


def wait_until(what, true, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.05)
    raise RuntimeError("gave up waiting until %s" % what)


@contextlib.contextmanager
def cubic_by_default():
    """A namespace takes the congestion control that is the default when it is made, and may itself only choose among those
    the first namespace allows: so the default is changed for that moment, and put back."""
    names = ["net.ipv4.tcp_congestion_control", "net.ipv4.tcp_allowed_congestion_control"]
    before = [run(["sysctl", "-n", name]).strip() for name in names]
    run(["sysctl", "-qw", names[0] + "=cubic"])
    try:
        yield
    finally:
        for name, value in zip(names, before):
            run(["sysctl", "-qw", "%s=%s" % (name, value)])


class Spaces:
    """Network namespaces of ours, gone with down(). Without IPv6, so that nothing speaks there unasked."""

    def __init__(self):
        self.made = []

    def add(self, *names):
        with cubic_by_default():
            for name in names:
                run(["ip", "netns", "add", name])
                self.made.append(name)
                run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                     "net.ipv6.conf.default.disable_ipv6=1"])
                run(["ip", "-n", name, "link", "set", "lo", "up"])

    def down(self):
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False)
        self.made = []

    def ready(self):
        """Once the server's end is served."""


class Veth(Spaces):
    """Two network namespaces of ours, joined by a veth pair. A side without an address is not the kernel's. Offloads are on, or those named
    are off on both ends."""
    ALL = ("tso", "gso", "gro", "tx", "rx")

    def __init__(self, name, server, client, offloads, off=ALL):
        super().__init__()
        self.spaces = {"server": "lb-%s-s-%d" % (name, os.getpid()), "client": "lb-%s-c-%d" % (name, os.getpid())}
        self.addresses = {"server": server, "client": client}
        self.off = () if offloads else off

    def up(self):
        self.add(*self.spaces.values())
        run(["ip", "link", "add", "veth0", "netns", self.spaces["server"], "type", "veth",
             "peer", "name", "veth0", "netns", self.spaces["client"]])
        for side, space in self.spaces.items():
            if self.addresses[side] is not None:
                run(["ip", "-n", space, "addr", "add", self.addresses[side] + "/24", "dev", "veth0"])
            run(["ip", "-n", space, "link", "set", "veth0", "up"])
            if self.off:
                run(["ip", "netns", "exec", space, "ethtool", "-K", "veth0"] + [x for name in self.off for x in (name, "off")])

    def congestion_control(self):
        return run(["ip", "netns", "exec", self.spaces["server"], "sysctl", "-n",
                    "net.ipv4.tcp_congestion_control"]).strip()

    def mac(self, side):
        with_link = run(["ip", "-n", self.spaces[side], "-o", "link", "show", "veth0"])
        return with_link.split("link/ether ")[1].split()[0]

    def prefix(self, side):
        return ["ip", "netns", "exec", self.spaces[side]]


class Space(Spaces):
    """One namespace, in which the server makes the device veth0 (TAP); the kernel gets its end."""

    def __init__(self, name, client):
        super().__init__()
        self.name, self.client = "lb-%s-%d" % (name, os.getpid()), client

    def up(self):
        self.add(self.name)

    def ready(self):
        run(["ip", "-n", self.name, "addr", "add", self.client + "/24", "dev", "veth0"])
        run(["ip", "-n", self.name, "link", "set", "veth0", "up"])

    def prefix(self, side):
        return ["ip", "netns", "exec", self.name]
