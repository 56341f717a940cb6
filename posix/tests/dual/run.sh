#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs every program of this folder twice, with the same assertions: on the kernel's loopback, then unchanged on Light, over
# a lightd of its own (--io=sim) with 127.0.0.0/8 served by Light. Prints TAP; exit status 1 if anything failed.
#
# usage: LIGHT_BUILD=DIR posix/tests/dual/run.sh [kernel|light|hosts|cores]...     (default: all)
#
# "light" and "hosts" run without the kernel's network where the right to take it away is given (unshare -n), so nothing can
# pass by it unseen. "hosts" uses the address of one of two simulated hosts instead of loopback, "cores" is "hosts" by a
# daemon with two stacks.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${LIGHT_BUILD:-$here/../../../build/release}
build=$(cd "$build" && pwd) || exit 2
work=$(mktemp -d /tmp/dual.XXXXXX) || exit 2
declare -A daemons
trap '[ ${#daemons[@]} -gt 0 ] && kill "${daemons[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT
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

# start_daemon QUEUES: one with that many stacks, unless it runs already.
start_daemon() {
	local queues=$1
	[ -n "${daemons[$queues]-}" ] && return
	"$build/tools/lightd" --io=sim --hosts=server=10.77.0.1,client=10.77.0.2 --queues="$queues" --socket="$work/light-$queues.sock" \
		>"$work/lightd-$queues.log" 2>&1 </dev/null &
	daemons[$queues]=$!
	for _ in $(seq 100); do
		grep -q '^lightd: ready' "$work/lightd-$queues.log" && return
		sleep 0.05
	done
	cat "$work/lightd-$queues.log"
	echo 'not ok - light: lightd does not start'
	exit 1
}

# daemon_lives WORLD QUEUES
daemon_lives() {
	if kill -0 "${daemons[$2]}" 2>/dev/null; then
		echo "ok - $1: the daemon lives"
	else
		sed 's/^/# /' "$work/lightd-$2.log"
		echo "not ok - $1: the daemon lives"
		failed=1
	fi
}

# between WORLD QUEUES: on an address of a simulated host
between() {
	start_daemon "$2"
	DUAL_ADDR=10.77.0.1 all "$1" $without_network "$build/tools/light-run" --socket="$work/light-$2.sock" --host=server --
	daemon_lives "$1" "$2"
}

[ $# -eq 0 ] && set -- kernel light hosts cores
for world; do
	case $world in
	kernel)
		all kernel env
		;;
	light)
		start_daemon 1
		all light $without_network "$build/tools/light-run" --socket="$work/light-1.sock" --loopback=light --
		daemon_lives light 1
		;;
	hosts)
		between hosts 1
		;;
	cores)
		between cores 2
		;;
	*)
		echo "run.sh: no world '$world'; there are: kernel light hosts cores" >&2
		exit 2
		;;
	esac
done
exit $failed
