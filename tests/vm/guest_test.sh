#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What tests/vm/guest says and returns: on mistakes, without what it needs, and
# for guests that die, hang or fail, played by a shell script in QEMU's place.
# What fetch_kernel says without a network.

set -uo pipefail

guest=$PWD/tests/vm/guest
fetch=$PWD/tests/vm/fetch_kernel
tmp=$TEST_TMPDIR
failed=0
export FAKE=$tmp/fake KNUMA_VM_DIR=$tmp/cache

command_file() {
	printf '#!/bin/bash\n%s\n' "$2" >"$tmp/bin/$1"
	chmod +x "$tmp/bin/$1"
}

# expect CODE TEXT COMMAND...: its exit code, and a text that it prints.
expect() {
	local code=$1 text=$2 found=0
	shift 2

	out=$("$@" 2>&1) || found=$?
	if ((found != code)) || [[ $out != *"$text"* ]]; then
		printf 'FAIL: %s\n  expected %d, "%s"\n  found %d, "%s"\n' \
			"$*" "$code" "$text" "$found" "$out"
		failed=$((failed + 1))
	fi
}

expect_no() {
	[[ $out != *"$1"* ]] || {
		echo "FAIL: '$1' is in: $out"
		failed=$((failed + 1))
	}
}

mkdir -p "$tmp"/{bin,none,cache/kernels/6.12-x86_64/boot}
for tool in bash uname dirname getopt mktemp rm cat basename readlink; do
	ln -s "$(type -P "$tool")" "$tmp/none/$tool"
done
echo kernel >"$tmp/cache/kernels/6.12-x86_64/boot/vmlinuz-6.12"
cp "$(type -P true)" "$tmp/program"
cd "$tmp" || exit 2
export PATH=$tmp/bin:$PATH
command_file uname 'echo "${MACHINE-x86_64}"'
command_file busybox ''
command_file ldd '[[ $1 != *busybox ]]'
command_file ldconfig 'echo "$LIBRARY (libc6,x86-64) => $(type -P true)"
echo "libhwloc.so.15 (libc6,x86-64) => $(type -P true)"
echo "libgcc_s.so.1 (libc6,x86-64) => $(type -P true)"'
command_file cpio 'cat >/dev/null; cp vm/environment vm/setup vm/programs "$FAKE"'

# Runs the first line of $FAKE/boots with the ports as $console, $text, $steps.
command_file qemu-system-x86_64 '
echo "$*" >"$FAKE/arguments"
ports=($(grep -o "file:[^ ]*" <<<"$*"))
console=${ports[0]#file:} text=${ports[1]#file:} steps=${ports[2]#file:}
line=$(head -n 1 "$FAKE/boots")
sed -i 1d "$FAKE/boots"
eval "$line"'
mkdir "$FAKE"

# boots LINE...: what the guest does, one line for each boot.
boots() {
	printf '%s\n' "$@" >"$FAKE/boots"
}
good='echo ok >$text; printf "start program\nend program 0\ndone\n" >$steps'

# --- mistakes

expect 0 'usage:' "$guest" --help
expect 2 'usage:' "$guest" --no-such-option
expect 2 'none of 0 programs' "$guest"
expect 2 'nowhere is no program' "$guest" nowhere
expect 2 'none of 1 programs matches --only=x*' "$guest" '--only=x*' program
expect 2 '--nodes=2 is not' "$guest" --nodes=2 program
expect 2 '--nodes=2x512+2 is not' "$guest" --nodes=2x512+2 program
expect 2 'at least one CPU' "$guest" --nodes=0x512 program
expect 2 'at least one CPU' "$guest" --nodes=2x100 program
expect 2 'no number from node 1 to node 0' \
	"$guest" --nodes='1x256*2' --distances='10,20' program
expect 2 '--plug=x is no number' "$guest" --plug=x program
expect 2 '--thp=often' "$guest" --thp=often program
expect 2 '--env=1=2 is not' "$guest" --env=1=2 program
expect 2 'no file nowhere' "$guest" --file=nowhere program

# --- nothing to boot with

expect 0 'SKIPPED: no guest was started: guests are x86_64, this is pdp11' \
	env MACHINE=pdp11 "$guest" program
expect 0 'SKIPPED: no guest was started: qemu-system-x86_64 is not installed' \
	env PATH="$tmp/none" "$guest" program
expect 2 'SKIPPED: no guest was started' \
	env PATH="$tmp/none" KNUMA_VM_REQUIRED=1 "$guest" program
expect 0 'SKIPPED: no guest was started: there is no kernel 5.0' \
	"$guest" --kernel=5.0 program
echo 'missing: kernel 6.12: no network' >no_kernel
expect 0 'SKIPPED: no guest was started: missing: kernel 6.12: no network' \
	"$guest" --kernel=./no_kernel program

# --- guests

boots "$good"
expect 0 '1 passed, 0 failed' env KNUMA_X='a b' GLIBC_TUNABLES=c \
	"$guest" --nodes=2x512/0x256 --distances=flat:17 --hmat --plug=128 \
	--thp=never --hugepages=3 --env=Y=z program
expect_no 'again'
for text in nodeid=0,cpus=0-1,memdev=m0,initiator=0 nodeid=1,memdev=m1,initiator=0 \
	src=0,dst=1,val=17 src=2,dst=2,val=10 pc-dimm,id=dimm,memdev=plug,node=2 \
	target=1,hierarchy=memory,data-type=access-latency,latency=136 \
	target=1,hierarchy=memory,data-type=access-bandwidth,bandwidth=12047M; do
	grep -q -e "$text" "$FAKE/arguments" || expect 0 "$text" cat "$FAKE/arguments"
done
for text in 'KNUMA_X=a\ b' GLIBC_TUNABLES=c Y=z KNUMA_VM_PLUGGED=2 \
	'KNUMA_VM_CPUS=2\ 0\ 0' 'KNUMA_VM_MIB=512\ 256\ 128'; do
	expect 0 "export $text" cat "$FAKE/environment"
done
expect 0 'echo never >' cat "$FAKE/setup"
expect 0 'echo 3 >' cat "$FAKE/setup"
expect 0 program cat "$FAKE/programs"

panic='echo "Kernel panic - not syncing" >$console'
boots "$panic" "$panic" "$good"
expect 0 'died while it booted, again: Kernel panic - not syncing' \
	"$guest" program
boots "$panic" "$panic" "$panic" "$good"
expect 1 'FAIL: the guest guest died (QEMU ended with 0), before its start' \
	"$guest" program
expect 0 'printf' cat "$FAKE/boots"
boots 'echo "start program" >$steps; '"$panic" "$good"
expect 1 'FAIL: the guest guest died (QEMU ended with 0), at program' \
	"$guest" program
expect_no 'again'
boots 'echo "bad option" >&2; exit 1' "$good"
expect 1 'bad option' "$guest" program
boots 'echo "start program" >$steps; exec sleep 60'
expect 1 'FAIL: the guest guest did not end in 1 s, at program' \
	"$guest" --timeout=1 program
boots 'echo up >$console; exec sleep 60' "$good"
expect 1 'did not end in 1 s, before its start' "$guest" --timeout=1 program
hangs='exec sleep 60'
boots "$hangs" "$good"
expect 0 'hung while it booted, again' "$guest" --boot=1 program
boots "$hangs" "$hangs" "$hangs" "$good"
expect 1 'did not start a program in 1 s, three times' "$guest" --boot=1 program
expect 2 '--boot=x is no number' "$guest" --boot=x program
killed='echo "Out of memory: Killed" >$console
printf "start program\nend program 137\ndone\n" >$steps'
boots "${killed/$'\n'/; }"
expect 1 '0 passed, 1 failed' "$guest" program
boots "${killed/$'\n'/; }"
expect 1 'Out of memory: Killed' "$guest" program
# One program that said nothing is one that failed.
boots 'printf "done\n" >$steps'
expect 1 '0 passed, 1 failed' "$guest" program

# --- kernels

expect 0 'usage:' "$fetch" --help
expect 2 'usage:' "$fetch"
expect 2 'usage:' "$fetch" ../6 package
expect 0 "$tmp/cache/kernels/6.12-x86_64/boot/vmlinuz-6.12" "$fetch" 6.12 meta
command_file apt-get 'echo "apt-get $*" >>"$FAKE/apt"; exit 100'
command_file apt-cache 'echo "  Depends: linux-image-6.1.0-9-cloud-amd64"'
expect 1 'cannot download what meta depends on' "$fetch" 6.1 meta
grep -q 'download linux-image-6.1.0-9-cloud-amd64' "$FAKE/apt" ||
	expect 0 download cat "$FAKE/apt"
! compgen -G "$tmp/cache/kernels/fetch*" >/dev/null ||
	expect 0 'no fetch.*' ls "$tmp/cache/kernels"

# A package with a kernel in it, as it comes from Debian.
mkdir -p package/boot
echo image >package/boot/vmlinuz-6.1.0-9
echo options >package/boot/config-6.1.0-9
tar -C package -cf package.tar ./boot
command_file apt-get '[[ $* == *download* ]] && touch linux-image-9_amd64.deb'
command_file dpkg 'cat "'"$tmp"'/package.tar"'
expect 0 "$tmp/cache/kernels/6.1-x86_64/boot/vmlinuz-6.1.0-9" "$fetch" 6.1 meta
expect 0 image cat "$tmp/cache/kernels/6.1-x86_64/boot/vmlinuz-6.1.0-9"

echo "$failed failed"
((failed == 0))
