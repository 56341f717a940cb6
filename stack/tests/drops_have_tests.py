#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every reason to drop a packet (drops.def) is given by the code, and named by a test: in C as DROP_NAME or
EXPECT_DROP(..., NAME), or in a black-box test as its name. TAP, one line a reason.

usage: drops_have_tests.py ROOT
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
names = re.findall(r'^X\((\w+),', (root / 'stack/drops.def').read_text(), re.M)
tests = [p for folder in ('stack', 'sim', 'conformance') for p in (root / folder).rglob('test_*')
         if p.suffix in ('.c', '.py')]
text = '\n'.join(p.read_text() for p in tests)
named = set(re.findall(r'\bDROP_(\w+)', text)) | set(re.findall(r'EXPECT_DROP\([^;]*,\s*(\w+)\)', text))
named |= set(re.findall(r'''['"]([A-Z][A-Z0-9]*_[A-Z0-9_]+)['"]''', text))

code = '\n'.join(p.read_text() for p in (root / 'stack').rglob('*.c') if 'tests' not in p.parts)
given = set(re.findall(r'\bDROP_(\w+)', code))

print(f'1..{len(names)}')
missing = 0
for number, name in enumerate(names, 1):
    ok = name in named and name in given
    missing += not ok
    print(f'{"ok" if ok else "not ok"} {number} - {name} is given by the code and named by a test')
sys.exit(1 if missing else 0)
