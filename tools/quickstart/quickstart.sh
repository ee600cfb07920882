#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# quickstart.sh - shows on this machine what knuma does: ./bazelw run //:quickstart
#
# Opens no network port: redis is reached by a socket in a folder of its own,
# and both are gone at the end.
#
# Exit code: 0 all steps done; 1 a step showed what it should not; 2 this
# machine lacks what a step needs.

set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2

knuma=tools/knuma
place=tools/quickstart/place
where=tools/quickstart/where
redis=
result=0

tmp=$(mktemp -d /tmp/knuma-quickstart.XXXXXX) || exit 2
stats=$tmp/redis.stat
socket=$tmp/redis.sock

# stop_redis SIGNAL: true when it ended by itself, with exit code 0.
stop_redis() {
	local i code=0

	[[ -n $redis ]] || return 0
	kill "-$1" "$redis" 2>/dev/null
	for ((i = 0; i < 100; i++)); do
		kill -0 "$redis" 2>/dev/null || break
		sleep 0.05
	done
	kill -KILL "$redis" 2>/dev/null
	wait "$redis" 2>/dev/null || code=$?
	redis=
	((code == 0))
}

clean_up() {
	stop_redis TERM
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() {
	printf '\n%s\n' "$*"
}

# fail CODE TEXT...
fail() {
	local code=$1
	shift

	echo "quickstart: $*" >&2
	exit "$code"
}

for program in redis-server redis-cli redis-benchmark; do
	command -v "$program" >/dev/null ||
		fail 2 "no $program here; ./bazelw installs it on Debian"
done

step "1. The machine as knuma sees it (knuma topology)."
"$knuma" topology || fail 2 "the machine cannot be read"

step "2. Memory is asked of each node by name, written, and looked up with move_pages(2)."
"$place"
case $? in
0) echo "  Every page lies on the node that was asked for." ;;
2) fail 2 "placement cannot be shown here" ;;
*) fail 1 "memory does not lie where it was asked for" ;;
esac

step "3. The same work by knuma, by libc's malloc (glibc) and others, and by numa_alloc_onnode (knuma bench)."
"$knuma" bench pair-64 batch-100 node-touch-64 2>"$tmp/bench.err"
case $? in
0) ;;
1)
	cat "$tmp/bench.err" >&2
	fail 1 "the benchmark failed"
	;;
*)
	cat "$tmp/bench.err" >&2
	echo "quickstart: the benchmark cannot run here; going on" >&2
	result=2
	;;
esac

step "4. redis-server runs with knuma as its malloc (knuma run -- redis-server ...)."
"$knuma" run --stat-file "$stats" -- redis-server --port 0 \
	--unixsocket "$socket" --dir "$tmp" --save '' --appendonly no \
	--daemonize no --logfile "$tmp/redis.log" >"$tmp/redis.out" 2>&1 &
redis=$!

answers() {
	[[ $(redis-cli -s "$socket" ping 2>/dev/null) == PONG ]]
}

for ((i = 0; i < 100; i++)); do
	answers && break
	kill -0 "$redis" 2>/dev/null || break
	sleep 0.1
done
answers || {
	tail -n 5 "$tmp/redis.out" "$tmp/redis.log" >&2 2>/dev/null
	fail 1 "redis-server does not answer"
}
grep -q libknuma_malloc.so.0 "/proc/$redis/maps" ||
	fail 1 "redis-server runs without knuma"

timeout 60 redis-benchmark -s "$socket" -q -n 100000 -r 100000 -d 400 -P 16 \
	-t set,get,lpush,lpop >"$tmp/benchmark" 2>&1 || {
	cat "$tmp/benchmark" >&2
	fail 1 "redis-benchmark failed"
}
tr '\r' '\n' <"$tmp/benchmark" | grep 'requests per second' | sed 's/^/  /'
answers || fail 1 "redis-server does not answer any more"

step "5. Where the memory of redis-server, process $redis, lies (/proc/$redis/numa_maps)."
"$where" "$redis"
case $? in
0) ;;
1) fail 1 "redis-server has no memory of knuma" ;;
*)
	echo "quickstart: this kernel does not tell; going on" >&2
	result=2
	;;
esac
rss() {
	sed -n 's/^VmRSS:[[:space:]]*//p' "/proc/$redis/status"
}

before=$(rss)
sleep 3
echo "  VmRSS: $before; after three idle seconds, in which free memory goes back: $(rss)"

step "6. What knuma counted for it (knuma stat); each line ends with what it means."
stop_redis TERM || fail 1 "redis-server did not end well"
"$knuma" stat "$stats" >"$tmp/stat" || fail 1 "redis-server left no statistics"
grep -E '^(knuma |allocated_bytes|active_bytes|page_free_bytes|magazine_|alloc_slow|free_slow|slab_new|purged_bytes) *' \
	"$tmp/stat" | sed 's/^/  /'
sed -n '/^ .*node/,$p' "$tmp/stat" | grep -E 'Total|numa_|_node' | sed 's/^/  /'

((result == 0)) || fail "$result" "a step could not run here, see above"
step "Done. Now: README.md, and bazel-bin/tools/knuma --help."
