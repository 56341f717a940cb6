#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs the conformance tests and says what they cover.
#
# usage: conformance/run.sh [FILTER] [PYTEST OPTIONS...]
#   FILTER   words between "/" (tcp/rack, 8985, MUST-2): only tests that have all of them in file, name, or their requirements
#            (id, document, layer); the requirements that have them are listed
#   CAPTURES=1 keeps a capture of every test, as seeds for the fuzzers and to look at
#   BUILD    build directory (default: build/conformance); SANITIZE=1 builds with ASan and UBSan
#   WORKERS  how many tests at a time (2)
# Leaves coverage.tsv, a report, and of failed tests a capture and a trace in BUILD/conformance-run.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
build=${BUILD:-$root/build/conformance${SANITIZE:+-asan}}
filter=
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
	filter=$1
	shift
fi

python=
for candidate in python3 /usr/bin/python3; do
	if "$candidate" -c 'import scapy, pytest' 2>/dev/null; then
		python=$candidate
		break
	fi
done
if [ -z "$python" ]; then
	echo "conformance: python3 with scapy and pytest is needed: apt-get install python3-scapy python3-pytest" >&2
	exit 2
fi

if [ ! -f "$build/build.ninja" ]; then
	meson setup "$build" "$root" ${SANITIZE:+-Db_sanitize=address,undefined} >/dev/null || exit 2
fi
ninja -C "$build" conformance/light-conformance >"$build/conformance-build.log" 2>&1 || {
	tail -40 "$build/conformance-build.log" >&2
	exit 2
}

out=$build/conformance-run
rm -rf "$out"
mkdir -p "$out"
export LIGHT_CONFORMANCE=$build/conformance/light-conformance LIGHT_CONFORMANCE_OUT=$out
export PYTHONDONTWRITEBYTECODE=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

export LIGHT_CONFORMANCE_FILTER=$filter
native=0
"$python" "$here/native.py" "$build" "$out" "$filter" >"$out/native.log" 2>&1 || native=1
cat "$out/native.log"

workers=()
if "$python" -c 'import xdist' 2>/dev/null; then
	workers=(-n "${WORKERS:-2}" --dist loadfile)
fi
"$python" -m pytest -q -p no:cacheprovider --rootdir "$here" --junitxml="$out/report.xml" \
	"${workers[@]}" "$@" "$here/tests"
status=$?
# A filter may leave tests in C only.
[ $status -eq 5 ] && [ -n "$filter" ] && [ -s "$out/native.tsv" ] && status=0
[ $native -eq 0 ] || status=1

if [ -f "$out/coverage.tsv" ]; then
	echo
	"$python" "$here/coverage_table.py" "$out/coverage.tsv" "$filter"
fi
"$python" - "$out/report.xml" "$out/native.tsv" <<-'END' || status=1
	import os
	import sys
	import xml.etree.ElementTree as tree
	try:
	    suite = tree.parse(sys.argv[1]).getroot().find('testsuite').attrib
	except OSError:
	    print('0 passed, 1 failed')
	    sys.exit(1)
	failed = int(suite['failures']) + int(suite['errors'])
	skipped = int(suite['skipped'])
	passed = int(suite['tests']) - failed - skipped
	if os.path.exists(sys.argv[2]):
	    with open(sys.argv[2], encoding='utf-8') as table:
	        native = table.read()
	    passed += native.count('\tpassed\n')
	    failed += native.count('\tfailed\n')
	else:
	    failed += 1
	print(f'{passed} passed, {failed} failed' + (f', {skipped} skipped' if skipped else ''))
	sys.exit(failed > 0 or passed == 0)
END
exit $status
