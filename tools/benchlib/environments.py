# SPDX-License-Identifier: BSD-3-Clause
"""The networks that are compared: the kernel over veth, and Light over its simulated link. Each has a server's and a client's
side, and a prefix that puts a command there; the commands are the same."""
import os
import subprocess

from benchlib.machine import Veth, wait_until

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
        daemon = processes.start(argv, os.path.join(folder, self.name + "-lightd.log"))
        status = [self.program("lightctl"), "--socket", self.socket, "status"]
        wait_until("lightd answers", lambda: daemon.poll() is None and subprocess.run(
            status, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0)

    def prefix(self, side):
        return [self.program("light-run"), "--socket", self.socket, "--host", side, "--"]

    def down(self):
        pass
