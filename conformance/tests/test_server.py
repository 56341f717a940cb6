# SPDX-License-Identifier: BSD-3-Clause
"""The harness itself: the server survives bad requests, faults of the link do what they say, the clock is exact, the
oracle and the coverage count notice what they are for."""
import json
import os
import socket
import subprocess

import pytest
from scapy.layers.inet import ICMP, UDP
from scapy.layers.l2 import ARP

import coverage_table
import native
from light import ADDR, HOST, HOST_MAC, MAC, SERVER, Frame, Stack
from oracle import Oracle
from packets import echo, ether, udp
from peer import established

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')

BAD = ['', ' ', 'nothing', 'inject', 'inject 1 0', 'inject 1 xyz', 'inject 99 00', 'until', 'until -1', 'until x',
       'until 99999999999999999999999', 'open', 'open raw', 'bind 1', 'bind x 1.2.3.4 5', 'bind 1 1.2.3 5',
       'bind 1 1.2.3.4 65536', 'send 1', 'send 1 0', 'recv 1 -5', 'recv 1 99999999999', 'set 1 2', 'set 1 x 3',
       'link a', 'link a b 1500', 'link a 02:00:00:00:00:01 9', 'link a 02:00:00:00:00:01 1500 warp',
       'address 1 1.2.3.4', 'address 1 1.2.3.4/33', 'route 1.2.3.4/8 - x', 'neighbour 1 1.2.3.4 02:00',
       'fault 1 -2 0', 'fault 7 1 1', 'shutdown 1 0', 'urgent_send 1 256', 'recvmsg 0 5', 'sendmsg 1 00 a 1 -',
       'connect 1 1.2.3.4', 'good 1 2', 'new tcp.nothing=1', 'new profile=x', 'new secret=00', 'new tcp.sack=2']


def converse(requests):
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([SERVER, '--fd', str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    lines = ours.makefile('rb')
    replies = []
    for request in requests:
        ours.sendall(request.encode('latin-1') + b'\n')
        replies.append(json.loads(lines.readline()))
    ours.close()
    lines.close()
    assert process.wait(timeout=10) == 0
    return replies


@pytest.mark.parametrize('prefix', [[], ['new', 'link eth0 02:00:00:00:00:01 1500', 'open stream']])
def test_bad_requests_get_an_error(prefix):
    replies = converse(prefix + BAD)
    for request, reply in zip(BAD, replies[len(prefix):]):
        assert 'error' in reply or reply['result'] < 0, request


def test_a_stale_handle_is_an_error():
    calls = ['bind 5 - 1', 'listen 5 1', 'accept 5', 'connect 5', 'send 5 00', 'recv 5 1', 'sendto 5 00',
             'recvfrom 5 1', 'shutdown 5 1', 'close 5', 'abort 5', 'set 5 1 1', 'get 5 1', 'local 5', 'peer 5',
             'urgent_send 5 1', 'urgent_take 5', 'at_mark 5', 'info 5']
    for call, reply in zip(calls, converse(['new'] + calls)[1:]):
        assert reply['result'] == -9, call


def test_the_server_ends_with_its_client():
    for request in (b'', b'new\n', b'new\nlink a 02:00:00:00:00:01 1500\nhalf a req', b'x' * 200000):
        ours, theirs = socket.socketpair()
        process = subprocess.Popen([SERVER, '--fd', str(theirs.fileno())], pass_fds=[theirs.fileno()])
        theirs.close()
        ours.sendall(request)
        ours.close()
        assert process.wait(timeout=10) in (0, 1)


def test_wrong_arguments_exit_2():
    for arguments in ([], ['--fd'], ['--fd', 'x'], ['--listen', 'y' * 300], ['--bad', '1']):
        run = subprocess.run([SERVER] + arguments, capture_output=True, timeout=10)
        assert run.returncode == 2 and run.stderr
    assert b'usage' in subprocess.run([SERVER, '--help'], capture_output=True, timeout=10).stdout


def test_listen_serves_one_client(tmp_path):
    path = str(tmp_path / 'socket')
    process = subprocess.Popen([SERVER, '--listen', path])
    client = socket.socket(socket.AF_UNIX)
    for _ in range(500):
        try:
            client.connect(path)
            break
        except (FileNotFoundError, ConnectionRefusedError):
            try:
                process.wait(timeout=0.01)
            except subprocess.TimeoutExpired:
                pass
    client.sendall(b'new\n')
    assert json.loads(client.makefile().readline())['result'] == 0
    client.close()
    assert process.wait(timeout=10) == 0 and not os.path.exists(path)


def test_new_forgets_everything():
    s = Stack()
    s.udp(5000)
    s.request('new')
    assert s.memory()['endpoints'] == 0 and s.sockets() == []


def test_timers_fire_at_their_time():
    s = Stack(neighbours=False)
    s.run(0.123456789)
    start = s.now
    s.udp().sendto(b'x', HOST, 9)
    s.run(10)
    times = [round((f.time - start) * 1e9) for f in s.sent(ARP) if f[ARP].pdst == HOST]
    assert times == [0, 10**9, 2 * 10**9]


def test_a_dry_pool_loses_a_reply_and_nothing_else():
    s = Stack()
    s.fault(pool=0)
    s.inject(udp(b'x', dport=7777))              # the error about it needs a packet
    s.none()
    assert s.counter('LINK_NO_PACKET') == 1
    p_sock = s.udp(5000)
    s.fault()
    s.inject(echo())
    s.one(ICMP)
    p_sock.sendto(b'x', HOST, 9)
    s.one(UDP)
    assert s.memory()['packets_lent'] == 0


def test_a_full_link_delays_tcp_and_loses_nothing():
    s = Stack()
    p, sock = established(s)
    s.fault(queue=2)
    data = bytes(range(256)) * 40
    sock.send(data)
    s.run(0.01)
    assert len(p.segments()) <= 2
    s.fault()
    for _ in range(40):
        s.run(0.3)
        p.segments()
        p.send('A')
        if len(p.got) == len(data):
            break
    assert p.got == data
    assert s.memory()['packets_lent'] == 0


def test_the_oracle_notices():
    s = Stack()
    s.inject(echo(b'payload'))
    good = s.one(ICMP).raw
    check = Oracle(1500, [ADDR], MAC)
    assert check.check(Frame(0, 1, 0, good)) is None
    for at in (6, 12, 14, 16, 20, 22, 24, 26, 34, 36, 40):
        bad = bytearray(good)
        bad[at] ^= 0x81
        assert check.check(Frame(0, 1, 0, bytes(bad))), f'byte {at}'
    assert check.check(Frame(0, 1, 0, good[:40]))
    assert check.check(Frame(0, 1, 0, bytes(ether(echo(), src=HOST_MAC, dst=MAC))))


def test_coverage_marks_must_name_rows(tmp_path):
    here = tmp_path / 'conformance'
    tests = here / 'tests'
    tests.mkdir(parents=True)
    for name in ('requirements.tsv', 'COMPLIANCE.md', 'INSPECTION.md'):
        (here / name).write_text(open(os.path.join(HERE, name), encoding='utf-8').read(), encoding='utf-8')
    mark = '# cov' + 'ers: '
    file = tests / 'test_x.py'
    file.write_text(f'{mark}826-reply\n@decorated\ndef test_a():\n    pass\n')
    assert coverage_table.markers(str(here)) == {('test_x.py', 'test_a'): ['826-reply']}
    for bad in (f'{mark}826-nothing\ndef test_a():\n    pass\n', f'{mark}826-reply\n\nx = 1\n'):
        file.write_text(bad)
        with pytest.raises(coverage_table.BadMarker):
            coverage_table.markers(str(here))


def test_marks_in_c_must_stand_above_a_test_and_name_rows(tmp_path):
    here, tests = tmp_path / 'conformance', tmp_path / 'stack' / 'tests'
    (here / 'tests').mkdir(parents=True)
    tests.mkdir(parents=True)
    for name in ('requirements.tsv', 'COMPLIANCE.md', 'INSPECTION.md'):
        (here / name).write_text(open(os.path.join(HERE, name), encoding='utf-8').read(), encoding='utf-8')
    file, mark = tests / 'test_x.c', '/* cov' + 'ers: {} */\n'
    file.write_text(mark.format('826-reply') + '/* Why. */\nstatic void a(void **state)\n')
    assert coverage_table.markers(str(here)) == {('stack/tests/test_x.c', 'a'): ['826-reply']}
    for bad in (mark.format('826-nothing') + 'static void a(void **state)\n', mark.format('826-reply') + '\nint x;\n'):
        file.write_text(bad)
        with pytest.raises(coverage_table.BadMarker):
            coverage_table.markers(str(here))


def test_a_filter_looks_at_names_and_requirements():
    rows = {'8985-7.2-pto': {'rfc': '8985', 'layer': 'cc'}}
    for words, ids, found in (('tcp/rack', [], True), ('tcp/udp', [], False), ('8985', ['8985-7.2-pto'], True),
                              ('cc/RACK', ['8985-7.2-pto'], True), ('8985', [], False)):
        assert native.matches(native.words_of(words), 'test_tcp_rack.py', 'test_a', ids, rows) == found


def test_only_passed_tests_cover(tmp_path):
    marks = {('t.py', 'a'): ['826-reply', '826-other'], ('t.py', 'b'): ['826-reply', '826-merge'],
             ('t.py', 'c'): ['826-learn']}
    path = tmp_path / 'coverage.tsv'
    coverage_table.write(HERE, str(path), marks, {('t.py', 'a'): True, ('t.py', 'b'): False})
    result = dict(line.split('\t')[:2] for line in path.read_text().splitlines())
    assert (result['826-reply'], result['826-other'], result['826-merge'], result['826-learn'],
            result['826-format']) == ('passed', 'passed', 'failed', 'not run', 'none')


def test_every_expected_row_is_covered_or_accounted_for():
    tables = {name: coverage_table.table_ids(HERE, name) for name in ('COMPLIANCE.md', 'INSPECTION.md')}
    marks = coverage_table.markers(os.path.abspath(HERE))
    assert coverage_table.unaccounted(coverage_table.rows(HERE), marks, tables) == []


def test_the_count_notices_what_is_missing_and_what_is_said_twice():
    def row(i, layer='tcp', priority='1'):
        return {'id': i, 'layer': layer, 'priority': priority, 'title': i.upper()}
    table = [row('a'), row('b', 'udp', '2'), row('c'), row('d', 'ipv6'), row('e', priority='3'), row('f')]
    marks = {('x.py', 'test_x'): ['a', 'b']}
    good = {'COMPLIANCE.md': {'c': []}, 'INSPECTION.md': {'f': []}}
    assert coverage_table.unaccounted(table, marks, good) == []
    assert coverage_table.unaccounted(table, {}, good) == ['a (A) is named by no test and no table', 'b (B) is named by no test and no table']
    twice = {'COMPLIANCE.md': {'a': [], 'c': []}, 'INSPECTION.md': {'c': [], 'f': [], 'g': []}}
    assert coverage_table.unaccounted(table, marks, twice) == [
        'COMPLIANCE.md: a is covered by a test, too', 'c is in COMPLIANCE.md and INSPECTION.md',
        'INSPECTION.md: no requirement is called g']
