#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: fuzz/run.sh smoke                     each harness as the test command runs it, about 20 seconds
#        fuzz/run.sh long SECONDS [HARNESS...] each for so long; what it finds stays for the next run
#        fuzz/run.sh show HARNESS FILE         one input again, with its report
#
# Builds with clang in build/fuzz. One line a harness; exit status 1 if one failed.
set -u
cd "$(dirname "$0")/.." || exit 2
dir=build/fuzz
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

die() {
	echo "fuzz/run.sh: $*" >&2
	exit 2
}

build() {
	local log=build/fuzz.log
	mkdir -p build
	{
		{ [ -e $dir/build.ninja ] || CC=${CC:-clang-14} meson setup $dir -Dfuzz=true -Dtests=false \
			-Db_sanitize=address,undefined -Db_lundef=false; } && ninja -C $dir
	} >$log 2>&1 </dev/null || {
		tail -n 30 $log
		die "the build failed"
	}
}

# run NAME SECONDS RUNS
run() {
	local name=$1 log=$dir/fuzz_$1.log max
	max=$(sed -n "s/^  '$name': .*, \([0-9]*\)\],*$/\1/p" fuzz/meson.build)
	mkdir -p $dir/fuzz/found-"$name"
	if $dir/fuzz/fuzz_"$name" -runs="$3" -max_total_time="$2" -verbosity=1 -print_final_stats=1 -timeout=20 \
		-rss_limit_mb=4096 -max_len="${max:-4096}" -artifact_prefix=$dir/fuzz/ \
		$dir/fuzz/found-"$name" $dir/fuzz/seeds/"$name" >"$log" 2>&1 </dev/null; then
		echo "ok - fuzz_$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs," \
			"$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)"
		return 0
	fi
	echo "not ok - fuzz_$name"
	grep -m 3 -E 'fuzz: |ERROR: |runtime error|check failed|Test unit written' "$log" | sed 's/^/# /'
	return 1
}

case ${1-} in
smoke)
	[ $# -eq 1 ] || die "smoke takes no argument"
	seconds=20 runs=20000 names=()
	;;
long)
	[[ ${2-} =~ ^[1-9][0-9]*$ ]] || die "usage: fuzz/run.sh long SECONDS [HARNESS...]"
	seconds=$2 runs=-1 names=("${@:3}")
	;;
show)
	[ $# -eq 3 ] && [ -r "$3" ] || die "usage: fuzz/run.sh show HARNESS FILE"
	build
	exec $dir/fuzz/fuzz_"$2" "$3"
	;;
*)
	die "usage: fuzz/run.sh smoke | long SECONDS [HARNESS...] | show HARNESS FILE"
	;;
esac

build
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(sed -n "s/^  '\([a-z]*\)': \[\[.*/\1/p" fuzz/meson.build)
failed=0
for name in "${names[@]}"; do
	[ -x $dir/fuzz/fuzz_"$name" ] || die "there is no harness $name"
	run "$name" $seconds $runs || failed=1
done
exit $failed
