# SPDX-License-Identifier: BSD-3-Clause
"""The networks that are compared: the kernel over veth, Light over its simulated link, and Light as the server of a client that is the
kernel's, by a backend. Each has a server's and a client's side, and a prefix that puts a command there; the commands are the same."""
import os
import subprocess

from benchlib.machine import Space, Veth, wait_until

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"


class Kernel:
    def __init__(self, name, offloads):
        self.name = name
        self.title = "kernel, veth, offloads " + ("on" if offloads else "off")
        self.veth = Veth("on" if offloads else "off", SERVER, CLIENT, offloads)

    def up(self, processes, folder):
        self.veth.up()
        self.title += ", " + self.veth.congestion_control()

    def prefix(self, side):
        return self.veth.prefix(side)

    def down(self):
        self.veth.down()


class Light:
    def __init__(self, name, build, super_frames, cores=None):
        self.name = name
        self.build = build
        self.super_frames = super_frames
        self.cores = cores
        self.title = "Light, simulated link, " + ("super-frames" if super_frames else "MTU frames")
        self.socket = None

    def program(self, name):
        return os.path.join(self.build, "tools", name)

    def up(self, processes, folder):
        self.socket = os.path.join(folder, self.name + ".sock")
        argv = [self.program("lightd"), "--io=sim", "--hosts=server=%s,client=%s" % (SERVER, CLIENT),
                "--socket", self.socket, "--poll=adaptive"]
        if self.super_frames:
            argv.append("--super-frames")
        if self.cores is not None:
            argv.append("--cores=" + self.cores)
        self.start(processes, folder, argv)

    def start(self, processes, folder, argv):
        log = os.path.join(folder, self.name + "-lightd.log")
        daemon = processes.start(argv, log)
        status = [self.program("lightctl"), "--socket", self.socket, "status"]
        wait_until("lightd answers", lambda: daemon.poll() is not None or subprocess.run(
            status, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0)
        if daemon.poll() is not None:
            with open(log) as text:
                raise RuntimeError("%s: %s" % (" ".join(argv), text.read()[-500:]))

    def prefix(self, side):
        return [self.program("light-run"), "--socket", self.socket, "--host", side, "--"]

    def down(self):
        pass


class Served(Light):
    """Light serves by a backend, in one namespace; the client runs on the kernel's stack: in another one behind a veth pair, or,
    with a TAP device, in the same one."""
    IO = {"afxdp": ["--io=afxdp", "--interface=veth0"], "pcap": ["--io=pcap", "--interface=veth0"],
          "tap": ["--io=tap", "--interface=veth0"], "af_packet": ["--io=dpdk", "--port=0"]}
    EAL = {"af_packet": ["--no-pci", "--no-telemetry", "--no-huge", "--no-shconf", "--log-level=4", "-m", "256",
                         "--vdev=net_af_packet0,iface=veth0"]}

    def __init__(self, name, build, poll, cores=None):
        super().__init__(name, build, False, cores)
        self.backend, self.poll = name, poll
        self.title = "Light by %s, client on the kernel" % ("DPDK's af_packet" if name == "af_packet" else name)
        if poll is not None:
            self.title += ", --poll=" + poll
        self.veth = Space(name, CLIENT) if name == "tap" else Veth(name, None, CLIENT, False, ("tx", "tso", "gso", "txvlan"))

    def up(self, processes, folder):
        self.veth.up()
        self.socket = os.path.join(folder, self.name + ".sock")
        argv = self.veth.prefix("server") + [self.program("lightd"), *self.IO[self.backend], "--address=%s/24" % SERVER,
                                             "--socket", self.socket]
        argv += ["--poll=" + self.poll] if self.poll is not None else []
        argv += ["--cores=" + self.cores] if self.cores is not None else []
        argv += ["--", *self.EAL[self.backend]] if self.backend in self.EAL else []
        self.start(processes, folder, argv)
        self.veth.ready()

    def prefix(self, side):
        if side == "client":
            return self.veth.prefix("client")
        return self.veth.prefix("server") + [self.program("light-run"), "--socket", self.socket, "--"]

    def down(self):
        self.veth.down()
