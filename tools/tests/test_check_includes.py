# SPDX-License-Identifier: BSD-3-Clause
"""Every rule of tools/check-includes finds what it is there to find, and nothing in a good tree."""
import os
import subprocess

import pytest

CHECK = os.path.join(os.path.dirname(__file__), '..', 'check-includes')
SPDX = '/* SPDX-License-Identifier: BSD-3-Clause */\n'

GOOD = {
    'stack/meson.build': "'stack',",
    'sim/meson.build': "'world', 'check',",
    'io/meson.build': "'mem',",
    'ipc/meson.build': "'client', # the daemon's\n 'server',",
    'posix/meson.build': "'socket': ['socket.c']",
    'stack/stack.h': '#ifndef LIGHT_STACK_H\n#include "base/nsec.h"\n#include <stdint.h>\n#endif\n',
    'stack/base/nsec.h': '',
    'stack/dgram.h': '',
    'stack/tcp/conn.h': '#include "stack.h"\n',
    'stack/stack.c': '#include "tcp/conn.h"\n',
    'sim/world.c': '#include "stack/stack.h"\n#include <unistd.h>\n',
    'sim/check.c': '#include "stack/tcp/conn.h"\n',
    'ipc/client.h': '#include "stack/dgram.h"\n',
    'ipc/client.c': '#include "ipc/client.h"\n#include <rte_ring.h>\n',
    'ipc/server.c': '#include "stack/stack.h"\n',
    'posix/socket.c': '#include "ipc/client.h"\n#include <sys/socket.h>\n',
    'posix/tests/test_socket.c': '#include "ipc/server.c"\n',
}


def check(tmp_path, **bad):
    for path, text in (GOOD | bad).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if text.startswith('!') else SPDX + text)
    return subprocess.run([CHECK, tmp_path], capture_output=True, text=True)


def test_a_good_tree_passes(tmp_path):
    result = check(tmp_path)
    assert (result.returncode, result.stdout.count('\nok ')) == (0, 8), result.stdout


@pytest.mark.parametrize('path, text, rule', [
    ('stack/stack.c', '#include "ipc/client.h"\n', 'include_arrows'),
    ('stack/stack.c', '#include "absent.h"\n', 'include_arrows'),
    ('sim/world.c', '#include "stack/tcp/conn.h"\n', 'include_arrows'),
    ('sim/world.c', '#include "ipc/client.h"\n', 'include_arrows'),
    ('io/mem.c', '#include "stack/stack.h"\n', 'include_arrows'),
    ('posix/socket.c', '#include "stack/dgram.h"\n', 'include_arrows'),
    ('ipc/client.h', '#include "stack/stack.h"\n', 'programs_see'),
    ('stack/stack.c', '#include <unistd.h>\n', 'libc_only'),
    ('sim/world.c', '#include <rte_ring.h>\n', 'libc_only'),
    ('stack/stack.c', '#ifdef FAST\n#endif\n', 'conditional'),
    ('stack/stack.h', '#if FAST\n#endif\n', 'conditional'),
    ('io/mem.c', 'int x;\n' * 601, 'short'),
    ('io/mem.c', '!int x;\n', 'licence'),
    ('io/pcap.c', 'int x;\n', 'built'),
    ('stack/tests/test_arp.c', 'int x;\n', 'built'),
    ('io/mem.c', '/* TO' 'DO: later */\n', 'unfinished'),
])
def test_a_violation_fails_its_rule_only(tmp_path, path, text, rule):
    result = check(tmp_path, **{path: text})
    wrong = [line for line in result.stdout.split('\n') if line.startswith('not ok')]
    assert result.returncode == 1 and len(wrong) == 1 and rule in wrong[0], result.stdout
    assert path in result.stdout
