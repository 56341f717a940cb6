# SPDX-License-Identifier: BSD-3-Clause
"""light-run beside a library that does nothing: what it passes on and how it refuses."""
import os
import shutil
import socket
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(__file__), '..', '..')
BUILD = os.environ.get('LIGHT_BUILD', os.path.join(ROOT, 'build', 'release'))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    shutil.copy(os.path.join(BUILD, 'tools', 'light-run'), folder)
    subprocess.run(['gcc', '-shared', '-fPIC', '-x', 'c', '-', '-o', folder / 'liblight.so'],
                   input=b'int nothing = 1;', check=True)
    return folder


def run(folder, *arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith('LIGHT_') and k != 'LD_PRELOAD'}
    return subprocess.run([folder / 'light-run', *arguments], env=clean | environment, text=True,
                          capture_output=True, timeout=20)


def refusal(result, status=2):
    assert result.returncode == status
    assert result.stdout == ''
    assert result.stderr.startswith('light-run: ') and result.stderr.count('\n') == 1
    return result.stderr


@pytest.mark.parametrize('arguments, word', [
    ([], 'no command'),
    (['--bad', 'true'], '--bad'),
    (['--socket'], '--socket'),
    (['--loopback=x', 'true'], 'loopback'),
    (['--fd=x', 'true'], '--fd'),
    (['--spin=-1', 'true'], '--spin'),
    (['-s', '/nonexistent/socket', 'true'], '/nonexistent/socket'),
    (['-s', '/' + 'x' * 200, 'true'], 'longer'),
])
def test_a_wrong_use_gives_one_line(folder, arguments, word):
    assert word in refusal(run(folder, *arguments))


def test_settings_reach_the_command(folder):
    library = str(folder / 'liblight.so')
    result = run(folder, '--kernel-fallback', '-s', '/a/b', '-H', 'web', '--fd=high', '--loopback=light',
                 '--spin=20',
                 'sh', '-c', 'echo $LIGHT_SOCKET $LIGHT_HOST $LIGHT_FD $LIGHT_LOOPBACK '
                 '$LIGHT_FALLBACK $LIGHT_SPIN $LD_PRELOAD')
    assert result.stdout.split() == ['/a/b', 'web', 'high', 'light', 'kernel', '20', library]


def test_options_after_the_command_are_its_own(folder):
    assert run(folder, '--kernel-fallback', 'echo', '--help', '-s').stdout == '--help -s\n'
    assert run(folder, '--kernel-fallback', '--', 'echo', '-H').stdout == '-H\n'


def test_status_of_the_command_is_passed_on(folder):
    assert run(folder, '--kernel-fallback', 'sh', '-c', 'exit 7').returncode == 7


def test_a_missing_command_is_127_and_a_closed_one_126(folder, tmp_path):
    refusal(run(folder, '--kernel-fallback', 'no-such-command'), 127)
    (tmp_path / 'closed').write_text('')
    refusal(run(folder, '--kernel-fallback', str(tmp_path / 'closed')), 126)


def test_other_preloads_stay_and_ours_is_there_once(folder):
    library, other = str(folder / 'liblight.so'), '/usr/lib/x86_64-linux-gnu/libdl.so.2'
    result = run(folder, '--kernel-fallback', folder / 'light-run', '--kernel-fallback', 'sh', '-c',
                 'echo $LD_PRELOAD', LD_PRELOAD=other)
    assert result.stdout.strip() == other + ':' + library


def test_a_static_program_is_refused(folder, tmp_path):
    subprocess.run(['gcc', '-static', '-x', 'c', '-', '-o', tmp_path / 'static'],
                   input=b'int main(void) { return 0; }', check=True)
    assert 'static' in refusal(run(folder, '--kernel-fallback', str(tmp_path / 'static')))


@pytest.mark.parametrize('kind', [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_daemon_is_found_without_a_connection(folder, tmp_path, kind):
    path = str(tmp_path / 'daemon')
    with socket.socket(socket.AF_UNIX, kind) as daemon:
        daemon.bind(path)
        daemon.listen()
        assert run(folder, '-s', path, 'echo', 'up').stdout == 'up\n'
        daemon.setblocking(False)
        with pytest.raises(BlockingIOError):
            daemon.accept()
    assert 'refused' in refusal(run(folder, '-s', path, 'true'))
