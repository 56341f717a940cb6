# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces, veth pairs, processes and hugepages that are gone when their maker is.

Every namespace is named after the process that made it, so that whoever comes next can tell what a killed run left behind: see
remove_stale. Processes die with the thread that started them (PR_SET_PDEATHSIG), whatever ended it."""
import contextlib
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import time

PREFIX = "ltd"
STATE = "/run/light-devices-hugepages."
HUGEPAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def run(argv, timeout=60, check=True, **more):
    """A foreground command; an error says what it printed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          text=True, errors="replace", **more)
    if check and done.returncode != 0:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(argv), done.returncode, (done.stderr or done.stdout)[-1500:]))
    return done


def wait_until(what, true, seconds=30.0, pause=0.02):
    """Waits for a condition, not for a time: the limit is generous, and says what did not come."""
    end = time.monotonic() + seconds
    while True:
        result = true()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError("after %g s still not: %s" % (seconds, what))
        time.sleep(pause)


def _die_with_parent():
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A background process with a log of its own, ended by its pid."""

    def __init__(self, argv, log, env=None):
        self.argv, self.log = argv, log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env,
                                          preexec_fn=_die_with_parent)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def text(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def said(self, what):
        """Waits until the log has a line that matches, and gives the match."""
        def look():
            found = re.search(what, self.text(), re.M)
            if not found and not self.alive():
                raise AssertionError("%s ended (%s) without saying '%s':\n%s" % (
                    self.argv[0], self.popen.returncode, what, self.text()[-2000:]))
            return found
        return wait_until("'%s' in %s" % (what, self.log), look)

    def wait(self, seconds=60):
        """Its exit status, when it ends by itself."""
        return self.popen.wait(seconds)

    def end(self, sig=signal.SIGTERM, patience=10.0):
        """Its exit status; killed (and so -9) if it does not end in time."""
        for number in (sig, signal.SIGKILL):
            if self.popen.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.popen.wait(patience)
        raise RuntimeError("%s cannot be ended" % self.argv)


class Space:
    """A network namespace without IPv6, so that nothing speaks there unasked."""
    count = 0

    def __init__(self, word):
        Space.count += 1
        self.name = "%s%d-%s%d" % (PREFIX, os.getpid(), word, Space.count)
        run(["ip", "netns", "add", self.name])
        self.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        self.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.sysctl("net.ipv4.tcp_congestion_control", "cubic", check=False)
        self.ip("link", "set", "lo", "up")

    def argv(self, argv):
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv, **more):
        return run(self.argv(argv), **more)

    def ip(self, *words):
        return run(["ip", "-n", self.name, *words]).stdout

    def sysctl(self, name, value, check=True):
        self.run("sysctl", "-qw", "%s=%s" % (name, value), check=check)

    def ethtool(self, interface, *words):
        self.run("ethtool", "-K", interface, *words)

    def mac(self, interface):
        return re.search(r"link/ether (\S+)", self.ip("link", "show", interface))[1]

    def delete(self):
        remove_space(self.name)


def veth(a, name_a, b, name_b, queues=1, mtu=1500, offloads=True, index=0):
    """A pair of Ethernet interfaces, both up. Without offloads frames carry whole checksums and are as long as the MTU says."""
    many = ["numrxqueues", str(queues), "numtxqueues", str(queues)]
    number = ["index", str(index)] if index else []
    run(["ip", "link", "add", name_a, *number, "netns", a.name, *many, "type", "veth", "peer", "name", name_b, "netns", b.name, *many])
    for space, name in ((a, name_a), (b, name_b)):
        if not offloads:
            space.ethtool(name, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        space.ip("link", "set", name, "mtu", str(mtu))
        space.ip("link", "set", name, "up")


def remove_space(name):
    """What runs in it is ended first: it would keep the namespace alive without a name."""
    listed = run(["ip", "netns", "pids", name], check=False).stdout.split()
    for pid in listed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run(["ip", "netns", "del", name], check=False)


def _is_a_run_of_ours(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return b"python" in f.read()
    except OSError:
        return False


def remove_stale():
    """What killed runs left: namespaces (with all inside), folders, hugepages."""
    for name in run(["ip", "netns", "list"]).stdout.split("\n"):
        mine = re.match(PREFIX + r"(\d+)-\S+", name)
        if mine and not _is_a_run_of_ours(int(mine[1])):
            remove_space(mine[0])
    for folder in glob.glob("/tmp/%s[0-9]*-*" % PREFIX):
        mine = re.match(r"/tmp/" + PREFIX + r"(\d+)-", folder)
        if mine and not _is_a_run_of_ours(int(mine[1])):
            with contextlib.suppress(OSError):
                run(["umount", "-q", *glob.glob(folder + "/*.mount")], check=False)
            shutil.rmtree(folder, ignore_errors=True)
    give_hugepages_back()


def _number(path):
    with open(path) as f:
        return int(f.read())


def _change_hugepages(pages):
    before = _number(HUGEPAGES)
    with open(HUGEPAGES, "w") as f:
        f.write(str(max(0, before + pages)))
    return _number(HUGEPAGES) - before


def take_hugepages(pages):
    """So many more pages of 2 MB until give_hugepages_back; what was taken lies in a file for whoever comes after a kill.
    Returns the number that the kernel had (it may be less)."""
    taken = _change_hugepages(pages)
    with open(STATE + str(os.getpid()), "w") as state:
        state.write(str(taken))
    return taken


def give_hugepages_back():
    """Ours, and those of runs that are gone."""
    for state in glob.glob(STATE + "*"):
        pid = int(state[len(STATE):])
        if pid == os.getpid() or not _is_a_run_of_ours(pid):
            _change_hugepages(-_number(state))
            os.unlink(state)


def folder(word):
    path = "/tmp/%s%d-%s" % (PREFIX, os.getpid(), word)
    os.makedirs(path)
    return path


def remove_own():
    """Whatever tests of this process forgot."""
    for name in run(["ip", "netns", "list"]).stdout.split("\n"):
        mine = re.match(PREFIX + r"(\d+)-\S+", name)
        if mine and int(mine[1]) == os.getpid():
            remove_space(mine[0])
    for path in glob.glob("/tmp/%s%d-*" % (PREFIX, os.getpid())):
        shutil.rmtree(path, ignore_errors=True)
    give_hugepages_back()


if __name__ == "__main__":
    remove_stale()
