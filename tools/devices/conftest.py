# SPDX-License-Identifier: BSD-3-Clause
"""Pairs are shared by the tests that name them, one at a time in each process; what a failed test leaves to be read goes to
build/logs/devices/TEST/."""
import os
import re
import shutil
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import ends      # noqa: E402
import machine   # noqa: E402
import pairs     # noqa: E402
from pairs import LOGS  # noqa: E402

HUGEPAGES = 256


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        return
    ends.need_build()
    machine.remove_stale()
    machine.take_hugepages(HUGEPAGES)
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)


def pytest_unconfigure(config):
    machine.remove_own()
    if not hasattr(config, "workerinput"):
        machine.remove_stale()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of one pair go to one process, so that the pair is made once; those with a pair of their own go anywhere."""
    for item in items:
        spec = getattr(item, "callspec", None)
        item.add_marker(pytest.mark.xdist_group(spec.params.get("pair", item.nodeid) if spec else item.nodeid))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for pair in [v for v in item.funcargs.values() if isinstance(v, pairs.Pair)]:
            pair.keep(os.path.join(LOGS, re.sub(r"[^\w.-]+", "-", item.name)))


@pytest.fixture(scope="session")
def files():
    return pairs.files()


@pytest.fixture(scope="session")
def pair(request):
    p = pairs.make(request.param)
    yield p
    p.down()
