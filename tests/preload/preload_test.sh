#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that know nothing of knuma, run on it unchanged.
#
# preload_test.sh FORKS THREADS: how many of them tests/preload/forks makes.
set -u

run="$PWD/tools/knuma run --no-stat-file --"
export KNUMA_PRELOAD=$PWD/libknuma_malloc.so.0
dir=$(mktemp -d) || exit 1
server=
cleanup() {
	[ -z "$server" ] || kill "$server" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
failures=0

check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		echo "ok: $name"
	else
		echo "FAIL: $name: exit $?"
		tail -n 20 "$dir/out"
		failures=$((failures + 1))
	fi
}

answers_ping() {
	for _ in $(seq 100); do
		redis-cli -s "$dir/redis.sock" ping 2>/dev/null | grep -q PONG &&
			return 0
		sleep 0.1
	done
	return 1
}

is_mapped() { # PID: the heap of that process is knuma's
	grep -q libknuma_malloc "/proc/$1/maps"
}

same_output() { # COMMAND...: with and without knuma
	"$@" >"$dir/plain" 2>&1
	local code=$?
	$run "$@" >"$dir/knuma" 2>&1
	[ $? -eq $code ] && cmp "$dir/plain" "$dir/knuma"
}

check "ls prints what it prints" same_output ls -laR /etc/default
check "python3 computes what it computes" same_output python3 -c '
import json, threading, zlib
d = {str(i): [i] * (i % 50) for i in range(20000)}
s = json.dumps(d)
assert json.loads(s) == d
t = [threading.Thread(target=lambda: zlib.compress(s.encode())) for _ in range(8)]
[x.start() for x in t]; [x.join() for x in t]
print(len(s))'
check "python3 starts processes" $run python3 -c '
import multiprocessing, subprocess
if __name__ == "__main__":
    with multiprocessing.Pool(4) as p:
        assert p.map(len, ["x" * i for i in range(500)]) == list(range(500))
    for _ in range(20):
        assert subprocess.run(["true"]).returncode == 0'
check "C++ threads and operators" $run tests/preload/threads
check "a threaded program that forks" $run tests/preload/forks "$@"
check "the same without rseq" env GLIBC_TUNABLES=glibc.pthread.rseq=0 \
	$run tests/preload/forks "$@"

# --- sized frees, which a program of C23 and each of C++ make

sized_frees() { # MANY: bytes that the object of 40 is said to have
	KNUMA_CHECK=full $run python3 - "$1" <<-'EOF' 2>"$dir/said"
		import ctypes, sys
		c, n, p = ctypes.CDLL(None), ctypes.c_size_t, ctypes.c_void_p
		c.malloc.restype = c.aligned_alloc.restype = c._Znwm.restype = p
		many = n(int(sys.argv[1]))
		c.free_sized(p(c.malloc(n(40))), many)
		c._ZdlPvm(p(c._Znwm(n(40))), many)
		c.free_aligned_sized(p(c.aligned_alloc(n(16), n(40))), n(16), many)
		c._ZdaPvmSt11align_val_t(p(c.aligned_alloc(n(16), n(40))), many, n(16))
	EOF
}
wrong_sizes() { # NAME: lines that say so
	grep -c "knuma: $1(.*Wrong size. The object has 48 bytes" "$dir/said"
}
check "sized frees that are right" sized_frees 40
check "nothing is said of them" test ! -s "$dir/said"
check "sized frees that are wrong" sized_frees 49
check "that is said" test "$(wrong_sizes free_sized)" = 2
check "also of aligned ones" test "$(wrong_sizes free_aligned_sized)" = 2

# --- with debugged caches

export KNUMA_SLAB_DEBUG=FZPU
check "python3 and SQLite with slab_debug" same_output python3 -c '
import json, sqlite3, threading
def work():
    db = sqlite3.connect(":memory:")
    db.execute("create table t (a integer, b text)")
    db.executemany("insert into t values (?, ?)",
                   [(i, "x" * (i % 70)) for i in range(5000)])
    return db.execute("select sum(a), sum(length(b)) from t").fetchone()
t = [threading.Thread(target=work) for _ in range(4)]
[x.start() for x in t]; [x.join() for x in t]
print(work(), len(json.dumps([str(i) for i in range(5000)])))'
check "C++ threads with slab_debug" $run tests/preload/threads
overflow() { # a byte behind 50 of them, and a second free
	$run python3 -c '
import ctypes
c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
c.free.argtypes = [ctypes.c_void_p]
p = c.malloc(50)
ctypes.memset(p + 50, 7, 1)
c.free(p)
c.free(p)
c.free(p)
print("and on")' >"$dir/report" 2>&1
	[ $? -eq 0 ] && cat "$dir/report" &&
		grep -q "BUG kmalloc-64: kmalloc Redzone overwritten" "$dir/report" &&
		grep -q "Allocated in .*age=.*cpu=.*pid=" "$dir/report" &&
		grep -q "BUG kmalloc-64: Object already free" "$dir/report" &&
		grep -q "^and on" "$dir/report"
}
check "an overflow and a double free are reported" overflow
unset KNUMA_SLAB_DEBUG

# --- from the first moment of a process to the last

for i in 1 2 3; do
	check "exit while threads go on, $i" $run tests/preload/lifetime ends
done
check "exit without rseq" env GLIBC_TUNABLES=glibc.pthread.rseq=0 \
	$run tests/preload/lifetime ends
check "a library in front, which looks malloc up" env \
	LD_PRELOAD="$PWD/tests/preload/wrapper.so:$KNUMA_PRELOAD" \
	tests/preload/lifetime ends
check "libraries that come and go" tests/preload/lifetime loads \
	"$KNUMA_PRELOAD" "$PWD/libknuma.so.0"
check "libraries that are there already" $run tests/preload/lifetime loads \
	"$KNUMA_PRELOAD" "$PWD/libknuma.so.0"
for limit in 300000 1500000 4000000; do
	check "threads under a limit of $limit KiB" bash -c \
		"ulimit -v $limit; $run tests/preload/lifetime limit | grep '64 MiB'"
done

# A limit that the program sets for itself: all is reserved by then, but where a
# limit at the start has kept that from happening.
lowers() { # EXPECTED COMMAND...
	local expected=$1 said
	shift
	said=$("$@" tests/preload/lifetime lowers | grep heap)
	[ "$said" = "$expected" ] || { echo "$said"; false; }
}
check "a limit of its own leaves the heap as it is" \
	lowers "heap yes, threads no" $run
check "a limit of its own, below that at the start" \
	lowers "heap yes, threads yes" prlimit --as=8000000000 $run

# --- one thread that sleeps after its load: nobody comes to give memory back

for size in 500 2000 20000 400000; do
	check "64 MiB of up to $size bytes go back when they are freed" \
		$run tests/preload/ebb burst 16384 "$size"
done
keeps() { ! KNUMA_TRIM_KEEP=1G $run tests/preload/ebb burst 16384 2000; }
check "with trim_keep they stay" keeps
check "what is needed again stays" env KNUMA_TRIM_DELAY_MS=3600s \
	$run tests/preload/ebb waves
for rseq in yes no; do
	check "a handler frees what it likes, rseq $rseq" \
		env KNUMA_RSEQ=$rseq KNUMA_TRIM_KEEP=0 \
		$run tests/preload/ebb handlers
done
for size in 0 1000; do
	check "a block that realloc makes $size bytes of goes back" \
		$run tests/preload/ebb realloc 16384 $size
done

# --- how it comes into a process, and when not

check "LD_PRELOAD without a path" env LD_PRELOAD=libknuma_malloc.so.0 \
	LD_LIBRARY_PATH="$PWD" grep -q libknuma_malloc /proc/self/maps
static_program() { # one that Debian always has
	file=/sbin/ldconfig
	! readelf -lW $file | grep -q INTERP &&
		LD_PRELOAD=$KNUMA_PRELOAD KNUMA_STATS=1 $file -p >"$dir/static" 2>&1 &&
		$file -p | cmp - "$dir/static"
}
check "a static program is not affected" static_program

# Set-user-id: a copy that somebody else runs.
as_nobody() {
	python3 -c 'import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}
mkdir -p "$dir/setuid/.config/knuma" && chmod 755 "$dir" "$dir/setuid"
cp tests/preload/secure "$dir/setuid/plain"
cp tests/preload/secure "$dir/setuid/copy"
cp -L "$(command -v grep)" "$dir/setuid/grep"
cp libknuma.so.0 libknuma_malloc.so.0 "$dir/setuid"
chmod 755 "$dir"/setuid/*
chmod 4755 "$dir/setuid/copy" "$dir/setuid/grep"
echo "vmalloc_cache = 3M" >"$dir/setuid/.config/knuma/knuma.conf"
settings_of() { # PROGRAM
	HOME="$dir/setuid" XDG_CONFIG_HOME="" KNUMA_INIT_ON_ALLOC=1 \
		KNUMA_STATS=1 as_nobody "$dir/setuid/$1" 2>&1
}
same() { # EXPECTED ACTUAL
	[ "$1" = "$2" ] || { echo "expected: $1; found: $2"; false; }
}
if [ "$(id -u)" = 0 ] && [[ $(settings_of copy) == secure=1* ]]; then
	check "settings of a plain copy are those of the user" same \
		"secure=0 init_on_alloc=yes vmalloc_cache=3M stats=yes " \
		"$(settings_of plain | grep secure=)"
	check "a set-user-id program ignores environment and the user's file" same \
		"secure=1 init_on_alloc=no vmalloc_cache=64M stats=no " \
		"$(settings_of copy)"
	preloaded_by_nobody() { # PROGRAM
		LD_PRELOAD="$dir/setuid/libknuma_malloc.so.0" \
			as_nobody "$1" -q libknuma_malloc /proc/self/maps
	}
	check "a plain program of nobody is preloaded" preloaded_by_nobody grep
	not_preloaded() { ! preloaded_by_nobody "$dir/setuid/grep"; }
	check "the loader preloads no set-user-id program" not_preloaded
else
	echo "SKIPPED: set-user-id programs: it takes root, and a file system" \
		"and namespace that allow them"
fi
for nodes in 4 "pack:8 [numa] core:64 pu:2"; do
	check "fake nodes: $nodes" env KNUMA_FAKE_NODES="$nodes" \
		$run tests/preload/threads
done
names_fake_nodes() {
	KNUMA_FAKE_NODES=4 KNUMA_STATS=1 $run ls / 2>&1 >/dev/null |
		grep -q "4 FAKE nodes"
}
check "the banner says that nodes are fake" names_fake_nodes
check "a limit on address space" bash -c "ulimit -v 3000000; $run python3 -c 'print(1)'"

if command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null; then
	$run redis-server --port 0 --unixsocket "$dir/redis.sock" --save "" \
		--dir "$dir" >"$dir/redis.log" 2>&1 &
	server=$!
	check "redis answers" answers_ping
	check "redis lives on knuma" is_mapped "$server"
	check "redis-benchmark" redis-benchmark -s "$dir/redis.sock" -q -n 20000 \
		-P 16 -r 10000 -t set,get,lpush,lpop,sadd,hset,zadd,mset
	check "redis saves, which forks" redis-cli -s "$dir/redis.sock" save
	redis-cli -s "$dir/redis.sock" shutdown nosave >/dev/null 2>&1
	wait "$server"
	check "redis ends well" test $? -eq 0
	server=
else
	echo "FAIL: redis-server is not installed; ./bazelw installs it"
	failures=$((failures + 1))
fi
exit $((failures != 0))
