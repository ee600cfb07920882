# SPDX-License-Identifier: Apache-2.0
#
# tests/install/checks.sh - what the scripts of this folder check with; sourced
#
# $tmp is a folder to write to. $failed counts.

failed=0

check() {
	local what=$1
	shift

	if "$@" >"$tmp/out" 2>&1; then
		echo "ok: $what"
	else
		echo "FAIL: $what: $*"
		cat "$tmp/out"
		failed=$((failed + 1))
	fi
}

# same WHAT EXPECTED ACTUAL
same() {
	if [[ $2 == "$3" ]]; then
		echo "ok: $1"
	else
		printf 'FAIL: %s\n  expected: %s\n  found:    %s\n' "$@"
		failed=$((failed + 1))
	fi
}

exits_with() {
	local code=$1 found=0
	shift

	"$@" || found=$?
	((found == code))
}
