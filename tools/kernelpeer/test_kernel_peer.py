# SPDX-License-Identifier: BSD-3-Clause
"""The Linux kernel is the peer, in both roles, over a cable that delays, loses and reorders."""
import time

import pytest

from world import ADDRESS

BOTH_ROLES = pytest.mark.parametrize('client, server', [('light', 'kernel'), ('kernel', 'light')])
BAD = ('--delay=3ms', '--jitter=500us', '--loss=0.5%', '--reorder=1%', '--duplicate=0.2%')
GOOD = ('--delay=20ms',)

WORLDS = {
    'all': ((), {}),
    'light-without-timestamps': (('--tcp-without=timestamps',), {}),
    'light-without-sack': (('--tcp-without=sack',), {}),
    'light-without-scaling': (('--tcp-without=window-scaling',), {}),
    'light-without-any': (('--tcp-without=timestamps,sack,window-scaling',), {}),
    'kernel-without-timestamps': ((), {'net.ipv4.tcp_timestamps': 0}),
    'kernel-without-sack': ((), {'net.ipv4.tcp_sack': 0}),
    'kernel-without-scaling': ((), {'net.ipv4.tcp_window_scaling': 0}),
    'standard-profile': (('--profile=standard',), {}),
    'newreno': (('--cc=newreno',), {'net.ipv4.tcp_congestion_control': 'reno'}),
    'cookies-of-the-kernel': ((), {'net.ipv4.tcp_syncookies': 2}),
    'cookies-of-light': (('--tcp-syncookies=always',), {}),
}


@BOTH_ROLES
@pytest.mark.parametrize('world', [(BAD + options, sysctl) for options, sysctl in WORLDS.values()], indirect=True, ids=list(WORLDS))
def test_100_transfers_of_any_size_arrive_whole(world, client, server):
    said, _ = world.converse('transfers', client, server, count=100, seed=len(client))
    assert said['transfers'] == 100 and said['bytes'] > 1 << 20


@BOTH_ROLES
@pytest.mark.parametrize('scenario', ['simultaneous_close', 'half_close', 'reset', 'zero_window', 'urgent', 'keepalive'])
@pytest.mark.parametrize('world', [(GOOD, {}), (BAD, {})], indirect=True, ids=['good', 'bad'])
def test_a_conversation(world, scenario, client, server):
    world.converse(scenario, client, server)


@pytest.mark.parametrize('world', [(GOOD, {})], indirect=True, ids=['good'])
def test_a_simultaneous_open(world):
    when = time.time() + 1.5
    world.converse('simultaneous_open', 'light', 'kernel', when=when,
                   client_options={'own': ADDRESS['light'], 'other': ADDRESS['kernel']},
                   server_options={'own': ADDRESS['kernel'], 'other': ADDRESS['light']})
