#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Has spin search every interleaving of the wake protocol: the protocol itself must hold, each mutant must not.
# Prints one TAP line a check. Needs spin and a C compiler.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT INT TERM
number=0
failed=0

# verdict PART [MUTANT]: prints "holds", "broken", or what went wrong with the tools.
verdict() {
	rm -rf "$work/run" && mkdir "$work/run" && cd "$work/run" || return
	spin -a -DPART_"$1"=1 ${2:+-D"$2"} "$here/doorbell.pml" >spin.log 2>&1 || { echo "spin failed: $(tail -1 spin.log)"; return; }
	${CC:-cc} -O1 -w -DSAFETY -DNOFAIR -DVECTORSZ=512 -o pan pan.c 2>cc.log || { echo "pan.c does not compile: $(tail -1 cc.log)"; return; }
	timeout 100 ./pan -m200000 >pan.log 2>&1
	if grep -q 'max search depth too small\|out of memory' pan.log; then echo "the search was not complete"; return; fi
	case $(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log) in
	0) echo holds ;;
	'') echo "the search did not end" ;;
	*) echo broken ;;
	esac
}

check() {   # WANTED PART [MUTANT]
	number=$((number + 1))
	got=$(verdict "$2" "${3:-}")
	name="$2${3:+ with $3}: $1"
	if [ "$got" = "$1" ]; then
		echo "ok $number - model $name"
	else
		echo "not ok $number - model $name"
		echo "# spin says: $got"
		failed=1
	fi
}

command -v spin >/dev/null || { echo "1..0 # SKIP spin is not installed"; exit 77; }
for part in LINE SET DAEMON ROOM BLOCKED; do
	check holds $part
	for mutant in NO_SLEEPER_FENCE NO_WAKER_FENCE NO_LOOK_AGAIN; do
		check broken $part $mutant
	done
done
check broken SET NO_TOLD_FENCE
check broken SET NO_TAKE_FENCE
check broken BLOCKED NO_CHECK
echo "1..$number"
exit $failed
