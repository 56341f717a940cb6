# SPDX-License-Identifier: BSD-3-Clause
"""What "meson install" puts into place: the layout, the service, the manual, and that all of it is true and works from there."""
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.realpath(os.environ.get("LIGHT_BUILD", os.path.join(ROOT, "build", "release")))
MANUAL = os.path.join(ROOT, "tools", "man")
PAGES = ["lightd.8", "lightctl.8", "light-run.1", "light-sim.1", "lightd.conf.5"]


def run(*argv, status=0, **more):
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **more)
    assert status is None or done.returncode == status, done.stdout + done.stderr
    return done


def install(destdir):
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", destdir)


def files(destdir):
    return sorted(os.path.relpath(os.path.join(folder, name), destdir) for folder, _, names in os.walk(destdir) for name in names)


def option(name):
    """One of the build's options, absolute where it is a folder below the prefix."""
    introspected = run("meson", "introspect", "--buildoptions", BUILD).stdout
    values = {o["name"]: o["value"] for o in json.loads(introspected)}
    return os.path.join(values["prefix"], values[name]).lstrip("/")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    destdir = tmp_path_factory.mktemp("installed")
    install(destdir)
    return destdir


@pytest.fixture(scope="module")
def binaries(tree):
    return tree / option("bindir")


# ---- the layout ----

def test_everything_a_service_needs_is_installed(tree):
    bindir, man, prefix = option("bindir"), option("mandir"), option("prefix")
    wanted = ["%s/%s" % (bindir, name) for name in ("lightd", "lightctl", "light-run")]
    wanted += ["%s/liblight.so" % option("libdir"), "%s/light/lightd.conf" % option("sysconfdir")]
    wanted += ["%s/lib/systemd/system/lightd.service" % prefix, "%s/lib/sysusers.d/light.conf" % prefix]
    wanted += ["%s/doc/light/examples/lightd.conf" % option("datadir")]
    wanted += ["%s/man%s/%s" % (man, page[-1], page) for page in PAGES]
    assert [w for w in wanted if w not in files(tree)] == []


def test_nothing_else_is_installed_but_programs(tree):
    others = [f for f in files(tree) if not re.search(
        r"/(lightd|lightctl|light-run|light-sim|light-sim-draw|light-microbench|light-packetdrill\.so|liblight\.so|lightd\.conf|light\.conf|lightd\.service|light[a-z.-]+\.[158])$", f)]
    assert others == []


def test_no_file_is_writable_for_others_and_programs_need_no_rights(tree):
    for name in files(tree):
        mode = os.stat(tree / name).st_mode
        assert mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID) == 0, name


def test_a_second_installation_keeps_the_configuration(tmp_path):
    install(tmp_path)
    conf = tmp_path / option("sysconfdir") / "light" / "lightd.conf"
    assert conf.read_text() == (tmp_path / option("datadir") / "doc/light/examples/lightd.conf").read_text()
    conf.write_text('io = "sim";\nverbose = true;\n')
    install(tmp_path)
    assert conf.read_text() == 'io = "sim";\nverbose = true;\n'


# ---- it works from there ----

def test_the_installed_configuration_is_right(tree, binaries):
    run(binaries / "lightd", "--check", "--config", tree / option("sysconfdir") / "light/lightd.conf")


def test_an_installed_light_run_preloads_the_installed_library(tree, binaries):
    said = run(binaries / "light-run", "--kernel-fallback", "-s", "/nonexistent", "sh", "-c", "echo $LD_PRELOAD").stdout
    assert said.strip() == str(tree / option("libdir") / "liblight.so")


SERVER = """
import socket
s = socket.socket(); s.bind(("", 8080)); s.listen(); print("listening", flush=True)
c, who = s.accept(); c.sendall(c.recv(100).upper() + who[0].encode())
"""
CLIENT = """
import socket
s = socket.create_connection(("10.77.0.1", 8080)); s.sendall(b"hello "); print(s.recv(100).decode())
"""


def test_installed_programs_serve_each_other(tree, binaries, tmp_path):
    socket = tmp_path / "folder" / "light.sock"
    conf = tree / option("sysconfdir") / "light/lightd.conf"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LIGHT_") and k != "LD_PRELOAD"}
    daemon = subprocess.Popen([binaries / "lightd", "--config", conf, "--socket", socket], stderr=subprocess.PIPE, text=True)
    server = None
    try:
        assert "ready" in daemon.stderr.readline()
        light = [binaries / "light-run", "--socket", socket, "--host"]
        server = subprocess.Popen([*light, "server", "/usr/bin/python3", "-c", SERVER], stdout=subprocess.PIPE, text=True, env=clean)
        assert server.stdout.readline() == "listening\n"
        assert run(*light, "client", "/usr/bin/python3", "-c", CLIENT, env=clean).stdout == "HELLO 10.77.0.2\n"
        assert server.wait(20) == 0
        assert '"cores"' in run(binaries / "lightctl", "--socket", socket, "--json", "status").stdout
        daemon.terminate()
        assert daemon.wait(20) == 0
    finally:
        for process in (server, daemon):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        daemon.stderr.close()
        if server is not None:
            server.stdout.close()


# ---- the service ----

def unit(tree):
    return (tree / option("prefix") / "lib/systemd/system/lightd.service").read_text()


def test_the_unit_names_what_is_installed(tree):
    text = unit(tree)
    assert "@" not in text
    conf = "/%s/light/lightd.conf" % option("sysconfdir")
    assert "\nExecStart=/%s/lightd --config %s\n" % (option("bindir"), conf) in text
    assert "\nExecStartPre=/%s/lightd --check --config %s\n" % (option("bindir"), conf) in text
    for program, file in re.findall(r"^Exec\w+=(\S+) .*--config (\S+)$", text, re.M):
        assert os.access(str(tree) + program, os.X_OK) and os.path.exists(str(tree) + file)


def test_the_unit_gives_no_more_than_what_backends_need(tree):
    text = unit(tree)
    given = re.findall(r"^(\w+Capabilit\w+|CapabilityBoundingSet)=(.*)$", text, re.M)
    assert dict(given) == {"AmbientCapabilities": "CAP_NET_RAW CAP_NET_ADMIN CAP_BPF",
                           "CapabilityBoundingSet": "CAP_NET_RAW CAP_NET_ADMIN CAP_BPF"}
    assert "\nUser=light\n" in text and "\nLimitMEMLOCK=infinity\n" in text and "\nNoNewPrivileges=yes\n" in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tree, tmp_path):
    file = tmp_path / "lightd.service"
    file.write_text(unit(tree).replace("/%s/lightd" % option("bindir"), str(tree / option("bindir") / "lightd")))
    done = run("systemd-analyze", "verify", "--man=no", file, status=None)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "lightd.service" in line]
    assert said == []
    file.write_text(file.read_text().replace("Restart=on-failure", "Restart=sometimes"))
    done = run("systemd-analyze", "verify", "--man=no", file, status=None)
    assert "sometimes" in done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="no systemd-sysusers")
def test_the_user_is_made(tree, tmp_path):
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", "--root", tmp_path, "--inline", *[
        line for line in (tree / option("prefix") / "lib/sysusers.d/light.conf").read_text().splitlines() if line and line[0] != "#"])
    assert re.search(r"^light:", (tmp_path / "etc/passwd").read_text(), re.M)
    assert re.search(r"^light:", (tmp_path / "etc/group").read_text(), re.M)


# ---- the manual ----

def words(page):
    """The page as a reader sees it, without the marks of the source."""
    text = run("man", "-l", "-Tutf8", os.path.join(MANUAL, page), env=os.environ | {"MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""})
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", text.stdout)


@pytest.mark.parametrize("program, page", [("lightd", "lightd.8"), ("lightctl", "lightctl.8"), ("light-run", "light-run.1")])
def test_every_option_is_in_the_manual_and_no_other(binaries, program, page):
    has = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", run(binaries / program, "--help").stdout))
    manual = words(page)
    named = set(re.findall(r"^\s+(?:-.*)?--([a-z][a-z-]+)", manual, re.M)) | set(re.findall(r"--([a-z][a-z-]+)", manual))
    assert len(has) > 5
    assert has - named == set()
    assert named - has == set()


def test_every_command_of_lightctl_is_in_its_manual(binaries):
    said = run(binaries / "lightctl", "nonsense", status=2).stderr
    commands = re.findall(r"[a-z-]+", said.partition("is no command:")[2].replace(" or ", ", "))
    assert "ss" in commands and "capture-stop" in commands
    manual = words("lightctl.8")
    assert [c for c in commands if not re.search(r"^\s{5,}(\w+, )?%s\b" % c, manual, re.M)] == []


def test_every_key_of_the_configuration_is_in_its_manual():
    with open(os.path.join(ROOT, "tools", "lightd", "lightd.conf")) as conf:
        keys = set(re.findall(r"^#?\s*(?:\{ )?([a-z][a-z-]*)\s*=", conf.read(), re.M))
    keys |= {"id", "addresses", "dhcp", "via", "dev", "to", "address", "mac"}
    assert {"interfaces", "xdp-mode", "buffers-per-user", "arguments", "listen"} <= keys
    manual = words("lightd.conf.5")
    assert [k for k in sorted(keys) if not re.search(r"^\s+(?:[a-z-]+, )*%s\b|\b%s\b" % (k, k), manual, re.M)] == []


def test_every_key_that_the_manual_names_is_accepted(binaries):
    """A key that lightd does not know is refused as such, whatever its value."""
    sections = {"interfaces": ("interfaces = ( { %s = 1; } );", []), "socket": ("socket = { %s = 1; };", []),
                "quotas": ("quotas = { %s = 1; };", []), "sim": ("sim = { %s = 1; };", []), "dpdk": ("dpdk = { %s = 1; };", []),
                "pcap": ("pcap = { %s = 1; };", []), "KEYS": ("%s = 1;", [])}
    with open(os.path.join(MANUAL, "lightd.conf.5")) as page:
        section = None
        for line in page:
            title = re.match(r"\.S[sh] (\w+)", line)
            section = title.group(1) if title else section
            if section in sections and line.startswith(".It Ic "):
                sections[section][1].extend(line[7:].strip().split(" , "))
    unknown = run(binaries / "lightd", "--check", "--config", "/dev/stdin", status=None)
    assert unknown.returncode == 0
    for section, (text, keys) in sections.items():
        assert keys, section
        for key in keys:
            done = subprocess.run([binaries / "lightd", "--check", "--config", "/dev/stdin"], input=text % key, capture_output=True, text=True)
            nonsense = subprocess.run([binaries / "lightd", "--check", "--config", "/dev/stdin"], input=text % "nonsense",
                                      capture_output=True, text=True)
            assert nonsense.returncode == 2
            assert done.stderr.replace(key, "nonsense") != nonsense.stderr, key


@pytest.mark.parametrize("page", PAGES)
def test_the_manual_is_well_formed(page):
    file = os.path.join(MANUAL, page)
    if not shutil.which("mandoc") and not shutil.which("groff"):
        pytest.skip("neither mandoc nor groff")
    if shutil.which("mandoc"):
        done = run("mandoc", "-Tlint", "-Wwarning", file, status=None)
        assert [line for line in done.stdout.splitlines() if "referenced manual not found" not in line] == []
    if shutil.which("groff"):
        assert run("groff", "-mandoc", "-ww", "-Tutf8", file).stderr == ""
