#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs every program of this folder twice, with the same assertions: on the kernel's loopback, then unchanged on Light, over
# a lightd of its own (--io=sim) with 127.0.0.0/8 served by Light. Prints TAP; exit status 1 if anything failed.
#
# usage: LIGHT_BUILD=DIR posix/tests/dual/run.sh [kernel|light|hosts]...     (default: all three)
#
# "light" and "hosts" run without the kernel's network where the right to take it away is given (unshare -n), so nothing can
# pass by it unseen. "hosts" uses the address of one of two simulated hosts instead of loopback.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${LIGHT_BUILD:-$here/../../../build/release}
build=$(cd "$build" && pwd) || exit 2
work=$(mktemp -d /tmp/dual.XXXXXX) || exit 2
daemon=
trap '[ -n "$daemon" ] && kill "$daemon" 2>/dev/null; wait; rm -rf "$work"' EXIT
programs=$(cd "$here" && ls -- *.c | sed -n 's/\.c$//p' | grep -vx dual)
failed=0

# An interface that is up makes the kernel know which addresses are not its own; none is left to connect to.
without_network=
unshare -n ip link set lo up 2>/dev/null && without_network="unshare -n $work/no-network"
cat >"$work/no-network" <<'END'
#!/bin/sh
ip link set lo up && ip addr flush dev lo && exec "$@"
END
chmod +x "$work/no-network"

# all WORLD COMMAND...: every program by this command, side by side; then what they said, in order.
all() {
	local world=$1 name pids=() i=0
	shift
	for name in $programs; do
		DUAL_WORLD=$world "$@" "$build/posix/dual_$name" >"$work/$world-$name" 2>&1 </dev/null &
		pids+=($!)
	done
	for name in $programs; do
		if ! wait "${pids[i++]}"; then
			failed=1
			grep -q '^not ok' "$work/$world-$name" || echo "not ok - $world: $name died" >>"$work/$world-$name"
		fi
		sed "s/^\(not ok\|ok\) \([0-9]*\) - $world: dual_/\1 \2 - $world: /" "$work/$world-$name"
	done
}

start_daemon() {
	[ -n "$daemon" ] && return
	"$build/tools/lightd" --io=sim --hosts=server=10.77.0.1,client=10.77.0.2 --socket="$work/light.sock" \
		>"$work/lightd.log" 2>&1 </dev/null &
	daemon=$!
	for _ in $(seq 100); do
		grep -q '^lightd: ready' "$work/lightd.log" && return
		sleep 0.05
	done
	cat "$work/lightd.log"
	echo 'not ok - light: lightd does not start'
	exit 1
}

daemon_lives() {
	if kill -0 "$daemon" 2>/dev/null; then
		echo "ok - $1: the daemon lives"
	else
		sed 's/^/# /' "$work/lightd.log"
		echo "not ok - $1: the daemon lives"
		failed=1
	fi
}

[ $# -eq 0 ] && set -- kernel light hosts
for world; do
	case $world in
	kernel)
		all kernel env
		;;
	light)
		start_daemon
		all light $without_network "$build/tools/light-run" --socket="$work/light.sock" --loopback=light --
		daemon_lives light
		;;
	hosts)
		start_daemon
		DUAL_ADDR=10.77.0.1 all hosts $without_network "$build/tools/light-run" --socket="$work/light.sock" --host=server --
		daemon_lives hosts
		;;
	*)
		echo "run.sh: no world '$world'; there are: kernel light hosts" >&2
		exit 2
		;;
	esac
done
exit $failed
