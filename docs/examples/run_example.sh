#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run_example.sh - runs an example and holds its output against expected/
#
# usage: run_example.sh PROGRAM EXPECTED
#
# A line of EXPECTED is a line of output in which * stands for anything. A line
# that begins with "+ " stands for one or more such lines.

set -uo pipefail

(($# == 2)) || { echo "usage: ${0##*/} PROGRAM EXPECTED" >&2; exit 2; }

# is_like N PATTERN: is there a line N of output, and is it one of these?
is_like() {
	# shellcheck disable=SC2053  # a pattern is what is wanted
	(($1 < ${#lines[@]})) && [[ ${lines[$1]} == $2 ]]
}

# compare EXPECTED: prints what is wrong with the lines of output.
compare() {
	local i=0 pattern

	while IFS= read -r pattern; do
		if ! is_like $i "${pattern#+ }"; then
			echo "line $((i + 1)) is not as in $1: $pattern"
			return 1
		fi
		i=$((i + 1))
		[[ $pattern == "+ "* ]] || continue
		while is_like $i "${pattern#+ }"; do
			i=$((i + 1))
		done
	done <"$1"
	if ((i < ${#lines[@]})); then
		echo "line $((i + 1)) is one too many"
		return 1
	fi
}

output=$("$1" 2>&1)
code=$?
mapfile -t lines <<<"$output"
fault=$(compare "$2") && ((code == 0)) && exit 0

echo "$output"
echo "FAIL: exit code $code${fault:+, $fault}"
exit 1
