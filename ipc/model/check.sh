#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Has spin search every interleaving of the wake protocol: the protocol itself must hold, and each mutant (a fence, a look, an order taken
# away) must not. Prints one TAP line a check. Needs spin and a C compiler.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT INT TERM
number=0
failed=0

# verdict MODEL [-D...]: prints "holds", "broken", or what went wrong with the tools.
verdict() {
	rm -rf "$work/run" && mkdir "$work/run" && cd "$work/run" || return
	model=$1
	shift
	spin -a "$@" "$here/$model.pml" >spin.log 2>&1 || { echo "spin failed: $(tail -1 spin.log)"; return; }
	${CC:-cc} -O1 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=512 -o pan pan.c 2>cc.log ||
		{ echo "pan.c does not compile: $(tail -1 cc.log)"; return; }
	timeout 100 ./pan -m200000 >pan.log 2>&1
	if grep -q 'max search depth too small\|out of memory' pan.log; then echo "the search was not complete"; return; fi
	case $(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log) in
	0) echo holds ;;
	'') echo "the search did not end" ;;
	*) echo broken ;;
	esac
}

check() {   # WANTED MODEL [-D...]
	wanted=$1
	shift
	number=$((number + 1))
	got=$(verdict "$@")
	if [ "$got" = "$wanted" ]; then
		echo "ok $number - model $* : $wanted"
	else
		echo "not ok $number - model $* : $wanted"
		echo "# spin says: $got"
		failed=1
	fi
}

# with MODEL "-D..." MUTANT...: the part must hold, each mutant of it be broken.
with() {
	model=$1 part=$2
	shift 2
	# shellcheck disable=SC2086
	check holds "$model" $part
	for mutant; do
		# shellcheck disable=SC2086
		check broken "$model" $part -D"$mutant"
	done
}

command -v spin >/dev/null || { echo "1..0 # SKIP spin is not installed"; exit 77; }
with doorbell -DLINE BREAK_SLEEPER_LOCKED BREAK_ROUND BREAK_RECHECK BREAK_DAEMON_FENCE BREAK_ORDER BREAK_CLEARS
with doorbell "-DLINE -DANY" BREAK_ANY BREAK_CLEARS
with doorbell -DLANE BREAK_SLEEPER_FENCE BREAK_RECHECK BREAK_DAEMON_FENCE BREAK_ORDER
with doorbell -DDAEMON BREAK_DAEMON_FENCE BREAK_RECHECK BREAK_PROGRAM_LOCKED BREAK_ORDER
with doorbell -DROOM BREAK_RECHECK BREAK_TAKE_FENCE BREAK_DAEMON_FENCE
with doorbell -DTOLD BREAK_DAEMON_FENCE BREAK_TAKE_FENCE BREAK_LOOK_FIRST
with blocked "" NO_SLEEPER_FENCE NO_WAKER_FENCE NO_LOOK_AGAIN NO_CHECK
echo "1..$number"
exit $failed
