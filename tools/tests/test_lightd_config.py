# SPDX-License-Identifier: BSD-3-Clause
"""lightd.conf and the options: every key good and bad, messages with file and line, the command line over the file."""
import os
import re
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
BUILD = os.environ.get("LIGHT_BUILD", os.path.join(ROOT, "build", "release"))
LIGHTD = os.path.join(BUILD, "tools", "lightd")
EXAMPLE = os.path.join(ROOT, "tools", "lightd", "lightd.conf")

# What a test may use of interfaces: a capture needs no right, but a backend that this lightd has.
BUILT = {io: subprocess.run([LIGHTD, "--check", "--io=" + io, "--port=0" if io == "dpdk" else "--interface=x0"],
                            stderr=subprocess.DEVNULL).returncode == 0 for io in ("tap", "afxdp", "pcap", "dpdk")}


def needs(io):
    return pytest.mark.skipif(not BUILT[io], reason="this lightd was built without " + io)


def check(*argv):
    return subprocess.run([LIGHTD, "--check", *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


@pytest.fixture
def conf(tmp_path):
    def write(text, *argv):
        file = tmp_path / "lightd.conf"
        file.write_text(text)
        done = check("--config", str(file), *argv)
        return done.returncode, done.stderr.replace(str(file), "conf")
    return write


def test_a_number_with_a_zero_before_it_is_decimal():
    """100 hosts are too many, 64 (octal 0100) would not be."""
    done = check("--hosts=0100")
    assert done.returncode == 2 and "'0100'" in done.stderr
    assert check("--hosts=010").returncode == check("--queues=0x2").returncode == 0
    assert check("--mtu=01500").returncode == 0 and check("--queues=08").returncode == 0


def test_nothing_said_is_right():
    assert check().returncode == 0


def test_a_file_that_is_not_there_is_said(tmp_path):
    done = check("--config", str(tmp_path / "none"))
    assert done.returncode == 2 and "No such file" in done.stderr


def test_a_word_that_is_no_syntax_is_said_with_its_line(conf):
    status, said = conf("io = \"sim\";\n\nqueues = = 1;\n")
    assert status == 2 and said.startswith("conf:3: ")


TOP = [
    ('io = "%s"', ["sim"], ["dpkd", ""]),
    ("mtu = %s", ["576", "1500", "9000"], ["575", "9217", '"big"', "-1", "true"]),
    ("seed = %s", ["0", "77"], ["-1", '"x"']),
    ("queues = %s", ["1"], ["0", "17", '"many"']),
    ('cores = "%s"', ["0"], ["64", "x", "0,0", "0,", "1-0", ""]),
    ('poll = "%s"', ["busy", "adaptive"], ["lazy", ""]),
    ('cc = "%s"', ["newreno"], ["nosuch", ""]),
    ('profile = "%s"', ["linux", "standard"], ["windows"]),
    ('ecn = "%s"', ["off", "passive", "request", "accurate-passive", "accurate"], ["on", ""]),
    ('tcp-without = "%s"', ["timestamps", "sack,window-scaling"], ["", "mss", "sack timestamps"]),
    ('tcp-fastopen = "%s"', ["off", "client", "server", "both"], ["on", "3"]),
    ('tcp-syncookies = "%s"', ["off", "full", "always"], ["on", "1"]),
    ('tcp-uto = "%s"', ["0", "300", "1966020", "300:100:100"], ["", "300:", "300:100", "300:101:100", "300:0:100", "1966021", "1:2:3:4", "5m"]),
    ("verbose = %s", ["true", "false"], ['"yes"', "1"]),
    ("max-sockets = %s", ["16", "262144"], ["15", "4000001"]),
    ('socket = { path = "%s"; }', ["/tmp/x.sock"], ["", "/" + "x" * 108]),
    ('socket = { mode = "%s"; }', ["0660", "600"], ["rw", "0", "1777", "0668"]),
    ('socket = { group = "%s"; }', ["root"], ["no-such-group", ""]),
    ("quotas = { programs = %s; }", ["1", "2000"], ["0", "2001"]),
    ("quotas = { programs-per-user = %s; }", ["1"], ["0"]),
    ("quotas = { processes = %s; }", ["256"], ["257"]),
    ("quotas = { threads = %s; }", ["1"], ["257"]),
    ("quotas = { epolls = %s; }", ["1"], ["0"]),
    ("quotas = { sockets = %s; }", ["1048576"], ["1048577"]),
    ("quotas = { sockets-per-user = %s; }", ["5"], ["0"]),
    ("quotas = { buffers = %s; }", ['"64M"', "1000000"], ['"64T"', '"M"', "0", '"1"', '"99999999999999999999"', '"18446744073G"']),
    ('quotas = { buffers-per-user = "%s"; }', ["4G"], ["x"]),
    ('quotas = { warm = "%s"; }', ["1M"], ["-1M"]),
    ('sim = { hosts = "%s"; }', ["3", "a=10.0.0.1,b", "a"], ["0", "65", "a,a", "a=1.2.3", "a b", ""]),
    ("sim = { hosts = %s; }", ['["a", "b=10.0.0.9"]'], ['["a", "a"]', "{ a = 1; }"]),
    ('sim = { tap = "%s"; }', ["k0", "k0@blue,k0@red", "k0@/run/netns/blue"], ["", "sixteen-letters-", "a b", "k0@", "k0,k0"]),
    ("sim = { tap = %s; }", ['["k0", "k1@blue"]'], ['["k0", "k0"]', "{ a = 1; }"]),
    ("sim = { super-frames = %s; }", ["true"], ["1"]),
    ('sim = { rate = "%s"; }', ["10M", "1G"], ["fast", "-1"]),
    ('sim = { delay = "%s"; }', ["20ms", "0"], ["20", "2h"]),
    ('sim = { jitter = "%s"; }', ["1ms"], ["x"]),
    ("sim = { loss = %s; }", ["0.02", '"2%"', "0", "1"], ["1.1", '"200%"', '"nan"']),
    ("sim = { duplicate = %s; }", ["0.5"], ["2"]),
    ("sim = { reorder = %s; }", ["0.5"], ["2"]),
    ("sim = { corrupt = %s; }", ["0.5"], ["2"]),
    ("sim = { queue = %s; }", ["100"], ["0", "1000001"]),
]


@pytest.mark.parametrize("key, good, bad", TOP, ids=[re.sub(r"[^a-z-]+", " ", k[0]).strip() for k in TOP])
def test_a_key_takes_what_is_right_and_refuses_the_rest_with_file_and_line(conf, key, good, bad):
    for value in good:
        assert conf("# first line\n" + key % value + ";\n") == (0, "")
    for value in bad:
        status, said = conf("# first line\n" + key % value + ";\n")
        assert status == 2 and said.startswith("conf:2: ") and len(said.splitlines()) == 1, value


INTERFACE = [
    ('name = "%s"', "pcap", ["eth1", "a.b-c_d"], ["", "sixteen-letters-", "a b", "a/b"]),
    ('addresses = ["%s"]', "pcap", ["10.0.0.2/24", "10.0.0.2/32", "10.0.0.0/31"],
     ["10.0.0.2", "10.0.0.0/24", "10.0.0.255/24", "224.0.0.1/24", "127.0.0.1/8", "10.0.0.2/33", "10.0.0.2/0", "x"]),
    ("dhcp = %s", "pcap", ["true", "false"], ["1"]),
    ("mtu = %s", "pcap", ["1400", "9000"], ["100", "9001"]),
    ('mac = "%s"', "pcap", ["02:00:00:00:00:01"], ["01:00:00:00:00:01", "00:00:00:00:00:00", "02:00:00:00:00", "02-00-00-00-00-01", "x"]),
    ("packets = %s", "pcap", ["64"], ["63", "1048577"]),
    ('backend = "%s"', "pcap", ["pcap"], ["sim", "ether"]),
    ('vlans = ( { id = %s; } )', "pcap", ["1", "4094"], ["0", "4095", '"x"']),
    ('vlans = ( { id = 5; addresses = ["%s"]; } )', "pcap", ["10.5.0.1/24"], ["10.5.0.1"]),
    ("vlans = ( { id = 5; dhcp = %s; } )", "pcap", ["true"], ["2"]),
    ("vlans = %s", "pcap", ["()", "( { id = 1; }, { id = 2; } )"], ["5", "( 5 )", "( { id = 1; }, { id = 1; } )", "( { } )"]),
    ('xdp-mode = "%s"', "afxdp", ["auto", "copy", "zero-copy"], ["fast"]),
    ("xdp-skb = %s", "afxdp", ["true"], ["2"]),
    ("busy-poll = %s", "afxdp", ["true"], ['"maybe"']),
    ("no-offload = %s", "tap", ["true"], ["7"]),
    ("port = %s", "dpdk", ["0", "31"], ["32", "-1"]),
    ("promiscuous = %s", "dpdk", ["true"], ["2"]),
]


@pytest.mark.parametrize("key, io, good, bad", INTERFACE, ids=[re.sub(r"[^a-z-]+", " ", k[0]).strip() for k in INTERFACE])
def test_a_key_of_an_interface_too(conf, key, io, good, bad):
    if not BUILT[io]:
        pytest.skip("this lightd was built without " + io)
    name = "" if key.startswith("name") else ' name = "eth0";'
    also = " port = 0;" if io == "dpdk" and not key.startswith("port") else ""
    text = 'io = "%s";\ninterfaces = ( {%s%s\n  %s; } );\n'
    for value in good:
        assert conf(text % (io, name, also, key % value)) == (0, ""), value
    for value in bad:
        status, said = conf(text % (io, name, also, key % value))
        assert status == 2 and re.match(r"conf:[23]: ", said), value


@needs("pcap")
@pytest.mark.parametrize("text, said", [
    ('routes = ( { to = "default"; via = "10.0.0.1"; } )', None),
    ('routes = ( { to = "10.1.0.0/16"; dev = "eth0"; }, "10.2.0.0/16,via 10.0.0.1" )', None),
    ('gateway = "10.0.0.1"', None),
    ('neighbours = ( { address = "10.0.0.9"; mac = "02:00:00:00:00:09"; } )', None),
    ('neighbours = ( { address = "10.0.0.9"; mac = "02:00:00:00:00:09"; dev = "eth0"; } )', None),
    ('routes = ( { to = "default"; via = "10.9.0.1"; } )', "in no network"),
    ('routes = ( { to = "default"; dev = "eth9"; } )', "eth9"),
    ('routes = ( { to = "10.1.0.1/16"; dev = "eth0"; } )', "behind the prefix"),
    ('routes = ( { to = "default"; } )', "gateway or an interface"),
    ('routes = ( { to = "default"; over = "eth0"; } )', "'over' is no key"),
    ('routes = 5', "list of groups"),
    ('gateway = "10.0.0"', "IPv4"),
    ('gateway = "10.9.0.1"', "in no network"),
    ('neighbours = ( { address = "10.9.0.9"; mac = "02:00:00:00:00:09"; } )', "in no network"),
    ('neighbours = ( { address = "10.0.0.9"; mac = "03:00:00:00:00:09"; } )', "a MAC"),
    ('neighbours = ( { address = "10.0.0.9"; mac = "02:00:00:00:00:09"; dev = "x"; } )', "none of those given"),
    ('name = "box"', None), ('name = "a b"', "letters"),
    ('dpdk = { arguments = ["--no-pci"]; }', "DPDK"),
    ('sim = { hosts = "2"; }', "only for --io=sim"),
    ('pcap = { listen = ["80", "udp:53"]; }', "replay"),
])
def test_routes_and_neighbours_fit_the_interfaces(conf, text, said):
    status, errors = conf('io = "pcap";\ninterfaces = ( { name = "eth0"; addresses = ["10.0.0.2/24"]; } );\n' + text + ";\n")
    assert (status, errors) == (0, "") if said is None else status == 2 and said in errors


@pytest.mark.parametrize("text, line", [
    ("nonsense = 1;", 1), ("socket = {\n colour = 1; };", 2), ("quotas = { x = 1; };", 1), ("sim = { x = 1; };", 1),
    ("socket = 5;", 1), ("pcap = { x = 1; };", 1), ("io = [\"sim\"];", 1),
    ('interfaces = (\n { name = "a";\n colour = 1; } );', 3), ('interfaces = ( { name = "a"; vlans = (\n { id = 1; x = 2; } ); } );', 2),
])
def test_an_unknown_key_is_an_error_that_names_the_known_ones(conf, text, line):
    status, said = conf(text + "\n")
    assert status == 2 and said.startswith("conf:%d: " % line)
    assert "no key here; there are" in said or "wanted" in said


def test_check_says_all_that_is_wrong_and_a_start_only_the_first(conf, tmp_path):
    text = 'mtu = 1;\nqueues = 0;\npoll = "x";\n'
    status, said = conf(text)
    assert status == 2 and [line.split(": ")[0] for line in said.splitlines()] == ["conf:1", "conf:2", "conf:3"]
    start = subprocess.run([LIGHTD, "--config", str(tmp_path / "lightd.conf")], capture_output=True, text=True, timeout=20)
    assert start.returncode == 2 and len(start.stderr.splitlines()) == 1


@needs("pcap")
@pytest.mark.parametrize("text, said", [
    ("{ name = \"a\"; }, { name = \"a\"; }", "called a"),
    ("{ name = \"a\"; addresses = [\"10.0.0.1/24\"]; }, { name = \"b\"; addresses = [\"10.0.0.1/16\"]; }", "stands twice"),
    ("{ }", "needs a name"),
    ("{ name = \"a\"; port = 3; }", "only for interfaces of dpdk"),
    ("{ name = \"a\"; xdp-skb = true; }", "only for interfaces of afxdp"),
    ("{ name = \"a\"; no-offload = true; }", "only for interfaces of tap"),
    ("{ name = \"a-long-name-12\"; vlans = ( { id = 4000; } ); }", "longer than 15"),
])
def test_interfaces_fit_each_other(conf, text, said):
    status, errors = conf('io = "pcap";\ninterfaces = ( ' + text + " );\n")
    assert status == 2 and said in errors and errors.startswith("conf:2: ")


@needs("pcap")
def test_more_interfaces_than_a_stack_has_are_refused(conf):
    vlans = ", ".join("{ id = %d; }" % i for i in range(1, 15))
    status, said = conf('io = "pcap";\ninterfaces = ( { name = "a"; vlans = ( %s ); }, { name = "b"; } );\n' % vlans)
    assert status == 2 and "at most 15" in said


@needs("pcap")
@pytest.mark.parametrize("argv, said", [
    (["--io=pcap"], "--interface NAME"), (["--io=pcap", "--address=10.0.0.2/24"], "needs a name"),
    (["--io=pcap", "--interface=a", "--vlan=5=10.5.0.1/24,10.5.0.2/24", "--vlan=6=dhcp", "--dhcp", "--mtu=1400"], None),
    (["--address=10.0.0.2/24", "--io=pcap", "--interface=a", "--gateway=10.0.0.1"], None),
    (["--io=pcap", "--interface=a", "--address=10.0.0.2/24", "--interface=b", "--address=10.1.0.2/24", "--route=10.3.0.0/16,via 10.1.0.1"], None),
    (["--io=pcap", "--interface=a", "--vlan=5=x"], "--vlan"), (["--io=pcap", "--interface=a", "--vlan=0"], "--vlan"),
    (["--io=pcap", "--interface=a", "--mac=x"], "--mac"), (["--io=pcap", "--interface=a", "--route=x"], "--route"),
    (["--io=pcap", "--interface=a", "--neighbour=10.0.0.1"], "--neighbour"),
    (["--io=pcap", "--interface=a", "--write=x"], "--read"), (["--io=pcap", "--read=/nonexistent"], "/nonexistent"),
    (["--io=pcap", "--interface=a", "--listen=80"], "--listen"), (["--io=pcap", "--interface=a", "--listen=0"], "--listen"),
    (["--io=pcap", "--interface=a", "--", "-l", "0"], "DPDK"), (["--interface=a"], "--hosts"), (["--name=x"], "--hosts"),
    (["--io=pcap", "--interface=a", "--rate=1G"], "--rate: only for --io=sim"), (["--io=pcap", "--interface=a", "--seed=3"], "--seed"),
    (["--io=pcap", "--interface=a", "--super-frames"], "--super-frames"), (["--io=pcap", "--read=" + EXAMPLE, "--dhcp"], "--dhcp"),
    (["--gateway=10.0.0.1"], "sim"), (["--read=" + EXAMPLE], "--io=pcap"), (["--quota-buffers=1T"], "--quota-buffers"),
])
def test_options_fit_each_other(argv, said):
    done = check(*argv)
    assert (done.returncode, done.stderr) == (0, "") if said is None else done.returncode == 2 and said in done.stderr


@needs("pcap")
def test_the_command_line_wins_over_the_file(conf):
    text = 'io = "pcap";\nmtu = 1;\ninterfaces = ( { name = "eth0"; addresses = ["10.0.0.2/24"]; } );\ngateway = "10.0.0.1";\n'
    assert conf(text.replace("mtu = 1;", ""), "--interface=eth1", "--address=10.0.0.9/24")[0] == 0
    status, said = conf(text.replace("mtu = 1;", ""), "--interface=eth1", "--address=10.9.0.9/24")
    assert status == 2 and "conf:4" in said           # the file's gateway, with the command line's interface
    assert conf(text.replace("mtu = 1;", ""), "--interface=eth1", "--address=10.9.0.9/24", "--gateway=10.9.0.1")[0] == 0


def test_a_backend_that_was_not_built_is_named():
    for io, built in BUILT.items():
        if not built:
            done = check("--io=" + io, "--interface=x0")
            assert "built without " + io in done.stderr


def test_the_example_is_right(tmp_path):
    done = check("--config", EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")


@needs("pcap")
@needs("tap")
@needs("dpdk")
@needs("afxdp")
def test_the_example_shows_every_key_and_each_is_taken(conf, tmp_path):
    """Every commented line of the example, uncommented: what is left to say is only that settings of backends stand beside each other."""
    text = open(EXAMPLE).read()
    shown = set(re.findall(r"(?:^\s*#?\s*|[{;] )([a-z][a-z-]*) =", text, re.M))
    _, said = conf("nonsense = 1;\n")
    top = set(re.search(r"there are (.*)", said).group(1).split(", "))
    assert top <= shown, top - shown
    for section, write in (("interface", "interfaces = ( { nonsense = 1; } );"), ("vlan", "interfaces = ( { vlans = ( { id = 1; nonsense = 1; } ); } );"),
                           ("socket", "socket = { nonsense = 1; };"), ("quotas", "quotas = { nonsense = 1; };"),
                           ("sim", "sim = { nonsense = 1; };"), ("pcap", "pcap = { nonsense = 1; };"), ("dpdk", "dpdk = { nonsense = 1; };")):
        _, said = conf(write + "\n")
        keys = set(re.search(r"there are (.*)", said).group(1).split(", "))
        assert keys <= shown, (section, keys - shown)
    plain = re.sub(r"^#(  |(?! |$))", r"\1", text, flags=re.M)
    _, said = conf(plain)
    assert [line.split(": ", 1)[1] for line in said.splitlines()] == [
        "--name: with --io=sim, --hosts names the hosts",
        "--route, --gateway and --neighbour: not for --io=sim, whose hosts are on one network",
        "--read and --write are for --io=pcap",
        "--read: a replay has one interface and one queue",
        "--read: /tmp/bug.pcap cannot be read"]
    assert re.findall(r"^conf:\d+", said, re.M) == ["conf:%d" % (plain[:plain.index("\n" + key)].count("\n") + 2) for key in
                                                    ("name =", "gateway =", "  read =", "  read =", "  read =")]
