# SPDX-License-Identifier: BSD-3-Clause
"""pytest plugin of the suite: what each test covers, and what a failed test leaves behind (a trace in
the report, a capture under LIGHT_CONFORMANCE_OUT/pcap)."""
import os
import re

import pytest

import coverage_table
import light
import native

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.environ.get('LIGHT_CONFORMANCE_OUT')
FILTER = os.environ.get('LIGHT_CONFORMANCE_FILTER', '')


def pytest_configure(config):
    try:
        config.light_marks = marks = coverage_table.markers(HERE)
    except coverage_table.BadMarker as e:
        raise pytest.UsageError(str(e)) from e
    if OUT and not hasattr(config, 'workerinput'):
        config.pluginmanager.register(Coverage(marks))


def pytest_collection_modifyitems(config, items):
    """Only tests that have every word of the filter in their name, their requirements, or those' document or layer."""
    words = native.words_of(FILTER)
    if not words:
        return
    rows = native.catalogue()
    kept, dropped = [], []
    for item in items:
        ids = config.light_marks.get((item.path.name, item.originalname), [])
        (kept if native.matches(words, item.path.name, item.name, ids, rows) else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


@pytest.fixture(autouse=True)
def servers():
    """No packet may be lost inside a stack, and every server must end well when its socket closes."""
    light.live.clear()
    yield
    leaks = [s.leaked() for s in light.live]
    statuses = [s.close() for s in light.live]
    assert not any(statuses), f'the server ended with {statuses} (see its stderr)'
    assert not any(leaks), f'packets leaked: {leaks}'


def place(folder, nodeid):
    os.makedirs(os.path.join(OUT, folder), exist_ok=True)
    return os.path.join(OUT, folder, re.sub(r'[^\w.-]+', '_', nodeid.split('/')[-1]))


def save_captures(nodeid):
    """One file a stack, in the output folder."""
    base = place('pcap', nodeid)
    paths = [f'{base}.{i}.pcap' for i in range(len(light.live))]
    for stack, path in zip(light.live, paths):
        stack.write_pcap(path)
    return paths


def save_trace(nodeid, expected, traces):
    """What was sent and received, with times, and what was expected instead."""
    with open(place('trace', nodeid) + '.txt', 'w', encoding='utf-8') as out:
        for title, text in traces:
            out.write(f'{title}\n{text}\n\n')
        out.write(f'expected, and not so:\n{expected}\n')


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if OUT and (report.failed or report.when == 'call' and os.environ.get('CAPTURES')):
        paths = save_captures(item.nodeid)
        report.sections.append(('captures', '\n'.join(paths)))
    if report.failed:
        traces = [(f'trace of stack {i} (last lines; # call, > to the stack, < from it)', stack.trace_text())
                  for i, stack in enumerate(light.live)]
        report.sections.extend(traces)
        if OUT:
            save_trace(item.nodeid, report.longreprtext, traces)


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
        """With the tests in C, which run.sh ran before."""
        path = os.path.join(OUT, 'native.tsv')
        if os.path.exists(path):
            with open(path, encoding='utf-8') as f:
                for name, function, result in (line.rstrip('\n').split('\t') for line in f):
                    self.outcomes[name, function] = result == 'passed'
        coverage_table.write(HERE, os.path.join(OUT, 'coverage.tsv'), self.marks, self.outcomes)
