#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bazelw passes its arguments on when every package is there, and says what is
# missing where it cannot install.

set -uo pipefail

tmp=$TEST_TMPDIR
failed=0

fail() {
	echo "FAIL: $*"
	failed=$((failed + 1))
}

mkdir -p "$tmp/tree" "$tmp/bin" "$tmp/no-apt"
cp bazelw "$tmp/tree"

command_file() {
	printf '#!/bin/bash\n%s\n' "$2" >"$tmp/bin/$1"
	chmod +x "$tmp/bin/$1"
}

command_file bazel 'echo "bazel in $PWD: $*"'
command_file apt-get 'echo "apt-get $*" >>"${0%/*}/../apt.log"'
command_file dpkg-query '
for package in "${@:3}"; do
	echo -n "$package=installed "
done'

# 1. All there: Bazel runs in the workspace, nothing is installed.
out=$(cd / && PATH=$tmp/bin:$PATH "$tmp/tree/bazelw" test //a:b --x='1 2')
[[ $out == "bazel in $(realpath "$tmp/tree"): test //a:b --x=1 2" ]] ||
	fail "arguments: $out"
[[ ! -e $tmp/apt.log ]] || fail "apt-get ran: $(cat "$tmp/apt.log")"

# 2. A folder inside the workspace stays the current one.
mkdir "$tmp/tree/sub"
out=$(cd "$tmp/tree/sub" && PATH=$tmp/bin:$PATH ../bazelw build)
[[ $out == "bazel in $(realpath "$tmp/tree/sub"): build" ]] || fail "folder: $out"

# 3. No apt-get: the list, and exit code 2.
for name in bash dirname cat; do
	ln -s "$(command -v "$name")" "$tmp/no-apt/$name"
done
err=$(PATH=$tmp/no-apt "$tmp/tree/bazelw" build 2>&1)
code=$?
((code == 2)) || fail "exit code $code without apt-get"
[[ $err == *bazel-bootstrap*libhwloc-dev* ]] || fail "no list: $err"

# 4. ... unless the caller vouches for them.
ln -s ../bin/bazel "$tmp/no-apt/bazel"
out=$(cd "$tmp/tree" && PATH=$tmp/no-apt BAZELW_NO_INSTALL=1 ./bazelw info)
[[ $out == "bazel in "*": info" ]] || fail "vouched: $out"

# 5. Packages that cannot be installed: fatal, unless only guests want them.
# bazelw installs through bash, as root or by sudo: neither runs here.
command_file dpkg-query '
for package in "${@:3}"; do
	[[ $package == @($ABSENT) ]] || echo -n "$package=installed "
done'
command_file bash '
echo "${@:2}" >>"${0%/*}/../root.log"
[[ ! " $* " =~ \ ($BROKEN)\  ]]'
command_file sudo '"$@"'

# installs ABSENT BROKEN CODE LINE...: bazelw's exit code, what it installs.
installs() {
	local absent=$1 broken=$2 code=$3 found=0
	shift 3

	rm -f "$tmp/root.log"
	out=$(ABSENT=$absent BROKEN=$broken PATH=$tmp/bin:$PATH \
		"$tmp/tree/bazelw" info 2>&1) || found=$?
	((found == code)) || fail "$absent, $broken: exit code $found: $out"
	[[ $(cat "$tmp/root.log") == "$(printf -- '--install-packages %s\n' "$@")" ]] ||
		fail "$absent, $broken: $(cat "$tmp/root.log")"
}
installs 'gcc|cpio' none 0 'gcc cpio'
[[ $out == *"bazel in "*": info" ]] || fail "installed: $out"
installs cpio cpio 0 cpio
[[ $out == *"cannot install cpio: tests/vm will be skipped"*": info" ]] ||
	fail "without guests: $out"
installs 'gcc|cpio' cpio 0 'gcc cpio' gcc
[[ $out == *"tests/vm will be skipped"* ]] || fail "gcc without cpio: $out"
installs 'gcc|cpio' gcc 2 'gcc cpio' gcc
[[ $out == *"cannot install: gcc"* && $out != *"bazel in"* ]] ||
	fail "no gcc: $out"

out=$("$tmp/tree/bazelw" --help) || fail "--help fails"
[[ $out == usage:* ]] || fail "--help: $out"
for package in bazel-bootstrap libhwloc-dev qemu-system-x86; do
	[[ $out == *" $package"* ]] || fail "--help does not name $package"
done

echo "$failed failed"
((failed == 0))
