# SPDX-License-Identifier: BSD-3-Clause
"""pytest plugin of the suite: what each test covers, and what a failed test leaves behind (a trace in
the report, a capture under LIGHT_CONFORMANCE_OUT/pcap)."""
import os
import re

import pytest

import coverage_table
import light

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.environ.get('LIGHT_CONFORMANCE_OUT')


def pytest_configure(config):
    try:
        marks = coverage_table.markers(HERE)
    except coverage_table.BadMarker as e:
        raise pytest.UsageError(str(e)) from e
    if OUT and not hasattr(config, 'workerinput'):
        config.pluginmanager.register(Coverage(marks))


@pytest.fixture(autouse=True)
def servers():
    """No packet may be lost inside a stack, and every server must end well when its socket closes."""
    light.live.clear()
    yield
    leaks = [s.leaked() for s in light.live]
    statuses = [s.close() for s in light.live]
    assert not any(statuses), f'the server ended with {statuses} (see its stderr)'
    assert not any(leaks), f'packets leaked: {leaks}'


def save_captures(nodeid):
    """One file a stack, in the output folder."""
    folder = os.path.join(OUT, 'pcap')
    os.makedirs(folder, exist_ok=True)
    name = re.sub(r'[^\w.-]+', '_', nodeid.split('/')[-1])
    paths = [os.path.join(folder, f'{name}.{i}.pcap') for i in range(len(light.live))]
    for stack, path in zip(light.live, paths):
        stack.write_pcap(path)
    return paths


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if OUT and (report.failed or report.when == 'call' and os.environ.get('CAPTURES')):
        paths = save_captures(item.nodeid)
        report.sections.append(('captures', '\n'.join(paths)))
    if report.failed:
        for i, stack in enumerate(light.live):
            report.sections.append((f'trace of stack {i} (last lines; # call, > to the stack, < from it)',
                                    stack.trace_text()))


class Coverage:
    """Collects the outcomes of all tests, in the process that hands them out, and writes coverage.tsv."""

    def __init__(self, marks):
        self.marks, self.outcomes = marks, {}

    def pytest_runtest_logreport(self, report):
        path, name = report.nodeid.split('::', 1)
        key = os.path.basename(path), name.split('[')[0]
        if report.outcome != 'passed' or hasattr(report, 'wasxfail'):
            self.outcomes[key] = False
        elif report.when == 'call':
            self.outcomes.setdefault(key, True)

    def pytest_sessionfinish(self):
        coverage_table.write(HERE, os.path.join(OUT, 'coverage.tsv'), self.marks, self.outcomes)
