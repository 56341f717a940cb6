# SPDX-License-Identifier: BSD-3-Clause
"""lightd in a namespace, and the end of a device that it makes."""
import glob
import json
import os
import re

from ends import BUILD, HERE, End
from machine import Process, run, wait_until

LIGHTD, LIGHTCTL, LIGHT_RUN = (os.path.join(BUILD, "tools", name) for name in ("lightd", "lightctl", "light-run"))
# Nothing is looked for on the PCI bus or shared between daemons. Huge pages, or plain memory: DPDK refuses both at once.
EAL = ["--no-pci", "--no-telemetry", "--log-level=4"]
HUGE = ["--in-memory", "--single-file-segments", "-m", "64"]
PLAIN = ["--no-huge", "--no-shconf", "-m", "256"]



class Daemon:
    """One lightd. `eal` is what stands behind "--"."""

    def __init__(self, space, folder, options, eal=(), word="lightd", prefix=()):
        self.space, self.folder, self.word, self.options, self.eal = space, folder, word, options, eal
        self.socket = os.path.join(folder, word + ".sock")
        self.argv = [*prefix, LIGHTD, "--socket", self.socket, *options, *(["--", *eal] if eal else [])]
        self.process = None
        self.starts = 0

    def launch(self):
        """Begins, without waiting for it to be ready."""
        self.starts += 1
        self.process = Process(self.space.argv(self.argv), os.path.join(self.folder, "%s-%d.log" % (self.word, self.starts)))
        return self

    def start(self):
        self.launch()
        wait_until("%s is ready" % self.word, lambda: not self.process.alive() or self.ctl("status", check=False).returncode == 0, 60)
        assert self.process.alive(), "%s ended: %s" % (" ".join(self.argv), self.log())
        return self

    def log(self):
        return self.process.text()

    def ctl_argv(self, *words):
        return [LIGHTCTL, "--socket", self.socket, *words]

    def ctl(self, *words, check=True):
        return run(self.ctl_argv(*words), check=check)

    def ask(self, *words):
        return json.loads(self.ctl("--json", *words).stdout)

    def counters(self):
        """Every counter of the host and its devices that lightctl shows, by name; interfaces and queues added up."""
        found = {}

        def gather(value, name):
            if isinstance(value, dict):
                for key, inner in value.items():
                    gather(inner, key)
            elif isinstance(value, list):
                for inner in value:
                    gather(inner, name)
            elif isinstance(value, int) and not isinstance(value, bool):
                found[name] = found.get(name, 0) + value
        gather(self.ask("stats"), "")
        return found

    def dropped(self):
        """What was thrown away, for whatever reason, by the stack or below it."""
        with open(os.path.join(HERE, "..", "..", "stack", "drops.def")) as f:
            reasons = set(re.findall(r"^X\((\w+)", f.read(), re.M))
        return sum(v for k, v in self.counters().items() if k in reasons or re.search(r"drop|miss|error|invalid|full", k))

    def alive(self):
        return self.process is not None and self.process.alive()

    def end(self):
        """Ends as an administrator ends it; the exit status."""
        return self.process.end(patience=20)


def ends_clean(daemon):
    """It ends by itself, and says that every packet came back."""
    status = daemon.end()
    assert status == 0, "status %s: %s" % (status, daemon.log()[-2000:])
    left = re.findall(r"(\d+) packets? (?:are )?outstanding", daemon.log())
    assert left and not any(map(int, left)), daemon.log()[-2000:]


class LightEnd(End):
    def __init__(self, name, daemon, interface, address, folder, host=None):
        super().__init__(name, daemon.space, interface, address, folder,
                         [LIGHT_RUN, "--socket", daemon.socket, *(["--host", host] if host else []), "--"])
        self.daemon = daemon

    def mac(self):
        return self.daemon.ask("link")["links"][0]["mac"]

    def neighbours(self):
        return {n["address"]: n["mac"] for n in self.daemon.ask("arp")["neighbours"] if n["state"] not in ("incomplete", "failed")}


def missing_driver(name):
    """Why a DPDK driver is not there; None: it is."""
    if glob.glob("/usr/lib/*/dpdk/pmds-*/librte_net_%s.so" % name):
        return None
    return "DPDK's driver net_%s is not installed" % name
