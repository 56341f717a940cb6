# SPDX-License-Identifier: BSD-3-Clause
"""What stands at the two ends of a device: the matrix of the tests. Each pair is made by one function and named by it."""
import os
import shutil

import pytest

import machine
from daemons import EAL, HUGE, PLAIN, Daemon, LightEnd, missing_driver
from ends import End, Files
from machine import Process, Space, veth

LIGHT, PEER, PREFIX = "10.78.1.1", "10.78.1.2", 24
VLAN, TAGGED = 7, {LIGHT: "10.78.7.1", PEER: "10.78.7.2"}   # addresses in a VLAN that all have
SIZES = {"64": 64, "1K": 1024, "64K": 1 << 16, "1M": 1 << 20, "16M": 16 << 20, "100M": 100 << 20}
LOGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "logs", "devices")
_files = []


def files():
    """The files to fetch, made once a run of pytest."""
    if not _files:
        _files.append(Files(os.path.join(machine.folder("files"), "root"), SIZES))
    return _files[0]


class Pair:
    """One device with its two ends. `big` is the file that is fetched where much is wanted, `longest` the longest datagram that
    the device lets through: net_af_packet has the kernel reassemble fragments, into a slot that holds 1982 bytes."""
    count = 0

    def __init__(self, name, big="100M", mtu=1500, index=0, more=(), longest=65507, lease=False):
        self.name, self.big, self.mtu, self.index, self.more, self.longest = name, big, mtu, index, list(more), longest
        self.lease = lease      # lightd asks for its address
        Pair.count += 1
        self.folder = machine.folder("%s.%d" % (name, Pair.count))
        self.spaces, self.daemons, self.tcpdump = [], [], None
        self.light = self.peer = None

    @property
    def daemon(self):
        return self.daemons[0] if self.daemons else None

    def space(self, word):
        space = Space(word)
        self.spaces.append(space)
        return space

    def serve(self, space, interface, options, eal=(), word="lightd", address=LIGHT, gateway=PEER):
        """lightd in that namespace; its end is ours, or, if there is one already, the other."""
        where = ["--dhcp"] if self.lease else ["--address", "%s/%d" % (address, PREFIX), "--gateway", gateway,
                                               "--vlan", "%d=%s/%d" % (VLAN, TAGGED[address], PREFIX)]
        daemon = Daemon(space, self.folder, [*options, *where, *self.more], eal, word)
        self.daemons.append(daemon.start())
        end = LightEnd("light" if self.light is None else "peer", daemon, interface, address, self.folder)
        if self.light is None:
            self.light = end
        else:
            self.peer = end
        return daemon

    def watch(self, space, interface):
        """The last frames of the peer's end, for whoever looks at a failure: two files of 4 MB in turn."""
        self.tcpdump = Process(space.argv(["tcpdump", "-i", interface, "-n", "-U", "-s", "200", "-B", "4096", "-C", "4", "-W", "2", "-Z", "root",
                                           "-w", os.path.join(self.folder, "frames.pcap")]),
                               os.path.join(self.folder, "tcpdump.log"))
        self.tcpdump.said("listening on")

    def again(self):
        """Makes the device anew, after it was deleted."""
        one, two = self.light.space, self.peer.space
        if one is two:
            one.ip("tuntap", "add", "dev", self.peer.interface, "mode", "tap", "multi_queue", "vnet_hdr")
        else:
            veth(one, self.light.interface, two, self.peer.interface, offloads=False, mtu=self.mtu, index=self.index)
        two.ip("addr", "add", "%s/%d" % (PEER, PREFIX), "dev", self.peer.interface)
        two.ip("link", "set", self.peer.interface, "up")

    def keep(self, target):
        """Logs and frames into a folder that stays."""
        os.makedirs(target, exist_ok=True)
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            if os.path.isfile(path) and (name.endswith(".log") or ".pcap" in name):
                shutil.copy(path, target)

    def down(self):
        for end in (self.light, self.peer):
            if end is not None:
                end.end()
        for daemon in self.daemons:
            daemon.process.end()
        if self.tcpdump is not None:
            self.tcpdump.end()
        for space in self.spaces:
            space.delete()
        shutil.rmtree(self.folder, ignore_errors=True)


def kernel(pair):
    """The kernel at both ends: shows that the scenarios ask for what a host does."""
    one, two = pair.space("l"), pair.space("p")
    veth(one, "light0", two, "peer0", offloads=False)
    for space, name, address in ((one, "light0", LIGHT), (two, "peer0", PEER)):
        space.ip("addr", "add", "%s/%d" % (address, PREFIX), "dev", name)
    one.ip("route", "add", "default", "via", PEER)
    pair.light = End("light", one, "light0", LIGHT, pair.folder)
    pair.peer = End("peer", two, "peer0", PEER, pair.folder)
    pair.watch(two, "peer0")


def light_and_kernel(pair, options, eal=(), queues=1, device_queues=0):
    """lightd on one end of a veth pair, which has no address there; the kernel has the other."""
    one, two, interface = pair.space("l"), pair.space("p"), "light0"
    veth(one, interface, two, "peer0", queues=device_queues or queues, offloads=False, mtu=pair.mtu, index=pair.index)
    two.ip("addr", "add", "%s/%d" % (PEER, PREFIX), "dev", "peer0")
    pair.watch(two, "peer0")
    pair.peer = End("peer", two, "peer0", PEER, pair.folder)
    pair.serve(one, interface, [*options, "--queues", str(queues)], eal)


def light_in_kernel(pair, options, eal=(), queues=1):
    """lightd makes a TAP device: the kernel that has its other end is the one that it runs on."""
    one, interface = pair.space("l"), "light0"
    if pair.lease:  # it outlives the daemon: what that says last is heard by a server that then still has its interface
        one.ip("tuntap", "add", "dev", interface, "mode", "tap", "multi_queue", "vnet_hdr")
    pair.peer = End("peer", one, interface, PEER, pair.folder)
    pair.serve(one, interface, [*options, "--queues", str(queues)], eal)
    one.ip("addr", "add", "%s/%d" % (PEER, PREFIX), "dev", interface)
    one.ip("link", "set", interface, "up")
    pair.watch(one, interface)


def tap(pair, queues=1):
    light_in_kernel(pair, ["--io=tap", "--interface=light0", "--mac=02:4c:69:67:68:74"], queues=queues)


def afxdp(pair, queues=1, device_queues=0):
    light_and_kernel(pair, ["--io=afxdp", "--interface=light0"], queues=queues, device_queues=device_queues)


def pcap(pair, queues=1):
    light_and_kernel(pair, ["--io=pcap", "--interface=light0"], queues=queues)


def eal(driver, vdev, memory):
    reason = missing_driver(driver)
    if reason:
        pytest.skip(reason)
    return [*EAL, *memory, "--vdev=" + vdev]


def dpdk(pair, driver, vdev, queues=1, memory=PLAIN, place=light_and_kernel):
    place(pair, ["--io=dpdk", "--port=0"], eal(driver, vdev, memory), queues)


def two_daemons(pair, first, second, memory, queues=1):
    """Light at both ends; `first` has to be there before `second`. Each is a driver and its device."""
    for word, (driver, vdev), address, gateway in (("lightd", first, LIGHT, PEER), ("second", second, PEER, LIGHT)):
        space = pair.space(word[0])
        pair.serve(space, "port0", ["--io=dpdk", "--port=0", "--queues", str(queues)],
                   eal(driver, vdev % {"folder": pair.folder, "queues": queues}, memory), word, address, gateway)


def memif(pair, queues=1):
    device = "net_memif0,role=%s,id=0,socket=%%(folder)s/memif,socket-abstract=no"
    two_daemons(pair, ("memif", device % "server"), ("memif", device % "client"), PLAIN, queues)


def vhost(pair, queues=1):
    two_daemons(pair, ("vhost", "net_vhost0,iface=%(folder)s/vhost,queues=%(queues)d"),
                ("virtio", "net_virtio_user0,path=%(folder)s/vhost,queues=%(queues)d"), HUGE, queues)


def several(pair):
    """A TAP device and a veth pair, in one daemon with a configuration file."""
    one, two = pair.space("l"), pair.space("p")
    veth(one, "light1", two, "peer1", offloads=False)
    two.ip("addr", "add", "10.78.3.2/24", "dev", "peer1")
    config = os.path.join(pair.folder, "lightd.conf")
    with open(config, "w") as f:
        f.write("""io = "tap";
interfaces = (
  { name = "light0"; backend = "tap"; addresses = [ "%s/%d" ]; mac = "02:4c:69:67:68:74"; },
  { name = "light1"; backend = "afxdp"; addresses = [ "10.78.3.1/24" ]; } );
gateway = "%s";
""" % (LIGHT, PREFIX, PEER))
    daemon = Daemon(one, pair.folder, ["--config", config])
    pair.daemons.append(daemon.start())
    one.ip("addr", "add", "%s/%d" % (PEER, PREFIX), "dev", "light0")
    one.ip("link", "set", "light0", "up")
    pair.light, pair.peer = LightEnd("light", daemon, "light0", LIGHT, pair.folder), End("peer", one, "light0", PEER, pair.folder)


def alone(pair, driver, vdev):
    """A device that has no other end."""
    pair.serve(pair.space("l"), "port0", ["--io=dpdk", "--port=0", "--neighbour", "10.78.1.9=02:00:00:00:00:09"],
               eal(driver, vdev, PLAIN))


def simulated(pair):
    """Both hosts in one daemon of two cores."""
    daemon = Daemon(pair.space("l"), pair.folder, ["--io=sim", "--hosts=light=%s,peer=%s" % (LIGHT, PEER), "--queues=2"])
    pair.daemons.append(daemon.start())
    pair.light, pair.peer = (LightEnd(name, daemon, "", address, pair.folder, name)
                             for name, address in (("light", LIGHT), ("peer", PEER)))


def none(pair):
    """Only a namespace; the test starts lightd."""
    pair.light = End("light", pair.space("l"), "lo", LIGHT, pair.folder)


KERNEL_PEERS = {
    "kernel": (kernel, {}),
    "tap-1": (tap, {}),
    "tap-2": (lambda p: tap(p, 2), {}),
    "afxdp-1": (afxdp, {}),
    "afxdp-2": (lambda p: afxdp(p, 2), {}),
    "afxdp-1-of-4": (lambda p: afxdp(p, 1, 4), {}),
    "pcap-1": (pcap, {}),
    "pcap-2": (lambda p: pcap(p, 2), {"big": "16M"}),
    "dpdk-tap": (lambda p: dpdk(p, "tap", "net_tap0,iface=light0", place=light_in_kernel), {"big": "16M"}),
    "dpdk-af_packet": (lambda p: dpdk(p, "af_packet", "net_af_packet0,iface=light0"), {"longest": 1900}),
    "dpdk-af_xdp": (lambda p: dpdk(p, "af_xdp", "net_af_xdp0,iface=light0", memory=HUGE), {}),
    "dpdk-pcap": (lambda p: dpdk(p, "pcap", "net_pcap0,iface=light0"), {"big": "16M"}),
}
MAKERS = {
    **KERNEL_PEERS,
    "dpdk-memif-1": (memif, {}),
    "dpdk-memif-2": (lambda p: memif(p, 2), {}),
    "dpdk-vhost-virtio": (vhost, {}),
}
APART = {
    "several": (several, {}),
    "ring": (lambda p: alone(p, "ring", "net_ring0"), {}),
    "null": (lambda p: alone(p, "null", "net_null0,size=64"), {}),
    "sim-2": (simulated, {}),
    "none": (none, {}),
}


def make(name, **changes):
    """A pair of that name, with what is to be different: mtu, index (of the interface), more (options of lightd)."""
    maker, usual = {**MAKERS, **APART}[name]
    pair = Pair(name, **{**usual, **changes})
    try:
        maker(pair)
    except BaseException as why:
        if not isinstance(why, pytest.skip.Exception):
            pair.keep(os.path.join(LOGS, "start-of-" + name))
        pair.down()
        raise
    return pair
