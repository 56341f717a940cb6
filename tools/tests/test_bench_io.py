# SPDX-License-Identifier: BSD-3-Clause
"""tools/bench io: figures of a real device, options that are refused, and how testpmd's words are read."""
import json
import os
import shutil
import subprocess
import sys

import pytest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
BUILD = os.environ.get("LIGHT_BUILD", os.path.join(TOOLS, "..", "build", "release"))
sys.path.insert(0, TOOLS)

from benchlib import devices  # noqa: E402


def bench(*argv):
    return subprocess.run([os.path.join(TOOLS, "bench"), "io", "--build", BUILD, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120, check=False)


def test_quick_measures_a_tap_device(tmp_path):
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun") or not shutil.which("ethtool"):
        pytest.skip("a TAP device needs root and /dev/net/tun")
    if not os.path.exists(os.path.join(BUILD, "tools", "light-iobench")):
        pytest.skip("light-iobench is not built: a backend is missing")
    done = bench("--quick", "--json", str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "out.json") as text:
        table = json.load(text)["rows"][0]["figures"]
    assert set(table) == {"forward", "echo", "drop", "send", "ping"}
    for what, rows in table.items():
        assert rows[0]["rate"] > 100 and rows[0]["cycles"] > 50, "%s: %s" % (what, rows)
    assert 0 < table["ping"][0]["p50"] <= table["ping"][0]["p99"]
    for what in table:
        assert what in done.stdout
    assert "lb-io-tap" not in subprocess.run(["ip", "netns", "list"], stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.parametrize("words", [["--devices", "ethernet"], ["--sizes", "63"], ["--what", "nothing"], ["--rounds", "0"],
                                   ["--seconds", "0"], ["--window", "0"], ["--window", "1025"]])
def test_wrong_options_are_refused(words):
    done = bench(*words)
    assert done.returncode == 2
    assert words[0].strip("-") in done.stderr or words[1] in done.stderr


def test_testpmd_is_read_by_its_last_figures_and_its_cpu_time():
    said = """  RX-packets: 10             RX-dropped: 0             RX-total: 10
  +++ Accumulated forward statistics for all ports+++
  RX-packets: 4000           RX-dropped: 0             RX-total: 4000
  CPU cycles/packet=500.50 (total cycles=2002000 / total 5tswap packets=4000) at 2600 MHz Clock
"""
    read = devices.testpmd_figures(said, 0.5, 2.0)
    assert read["rate"] == 2000 and read["cycles"] == 250.25
    with pytest.raises(RuntimeError):
        devices.testpmd_figures("Bye...", 1.0, 1.0)


def test_ratios_pair_figures_of_the_same_round():
    ours, theirs = [{"rate": 10}, {"rate": 40}, {"rate": 90}], [{"rate": 10}, {"rate": 80}, {"rate": 100}]
    assert devices.ratio(ours, theirs, "rate") == 0.9
    assert devices.ratio(ours, [], "rate") is None
    table = devices.text({("device", 64): {"testpmd": [{"rate": 10.0, "cycles": None, "p50": None, "p99": None}],
                                           "echo": [{"rate": 9.0, "cycles": 5.0, "p50": None, "p99": None}]}})
    assert " 0.90" in table
