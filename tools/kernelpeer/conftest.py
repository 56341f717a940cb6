# SPDX-License-Identifier: BSD-3-Clause
"""Worlds are shared by the tests that ask for the same one, which run in one process."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from world import World  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xdist_group(repr(item.callspec.params['world'])))


@pytest.fixture(scope='module')
def world(request):
    """Parameter: (options of lightd, sysctls of both kernels)."""
    options, sysctl = request.param
    with World(*options, sysctl=sysctl) as w:
        yield w
        assert w.daemon.poll() is None, w.said()
