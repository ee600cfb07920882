# SPDX-License-Identifier: Apache-2.0
"""Real programs on the C library's allocator and on knuma: the same results.

Each row is a script for bash, run twice in an empty folder: what it prints and
its exit code are compared, and knuma may have nothing to say.  A row whose
programs are not installed is skipped; --install gets them by apt-get first.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

SHORT, LONG = True, False
SKIP = 77  # exit code of a script that cannot run here; its output says why

# Of scripts that start servers: no process is left behind.
SERVER = r"""
stop() { kill $server 2>/dev/null; wait $server 2>/dev/null; }
trap stop EXIT
on_knuma() { # PID
	[ -z "${LD_PRELOAD-}" ] || grep -q libknuma_malloc /proc/$1/maps ||
		echo "process $1 is not on knuma"
}
"""

# name, packages, commands, when, script
ROWS = [
    ("coreutils", [], ["ls", "find", "sort"], SHORT, r"""
ls -laR /usr/include/linux | md5sum
find /usr/include -name '*.h' -newermt 2000-01-01 | sort | md5sum
seq 40000 | sort -R --random-source=/bin/ls | sort -n --parallel=4 -S 1M | md5sum
"""),
    ("bash", [], ["bash"], SHORT, r"""
declare -A a
for i in {1..10000}; do a[k$i]=$((i * i % 977)); done
s=0
for k in "${!a[@]}"; do ((s += ${a[$k]})); done
echo $s ${#a[@]}
x=
for i in {1..2000}; do x+=$(echo $i); done
echo ${#x} ${x//1/one} | md5sum
for i in {1..50}; do (exit $i) & done; wait; echo $?
"""),
    ("perl", ["perl"], ["perl"], SHORT, r"""
perl -e '
my %h; $h{$_ * 7919 % 100003} = "x" x ($_ % 300) for 1..20000;
my $s = join ",", map { "$_:" . length $h{$_} } sort { $a <=> $b } keys %h;
$s =~ s/(\d+):(\d+)/$2-$1/g; print length $s, " ", unpack("%32C*", $s), "\n";
for (1..50) { my $p = fork; exit 0 unless $p; waitpid $p, 0; }
print scalar(keys %h), "\n"'
"""),
    ("python3", ["python3"], ["python3"], SHORT, r"""
cat >work.py <<'END'
import hashlib, json, multiprocessing, subprocess, threading, zlib
def work(n):
    return hashlib.md5(json.dumps({str(i): [i] * (i % 50) for i in range(n)}).encode()).hexdigest()
if __name__ == "__main__":
    print(work(20000))
    out = [None] * 8
    def thread(i): out[i] = len(zlib.compress(bytes(range(256)) * 1000 * (i + 1)))
    t = [threading.Thread(target=thread, args=(i,)) for i in range(8)]
    [x.start() for x in t]; [x.join() for x in t]
    print(out)
    with multiprocessing.get_context("fork").Pool(4) as p:
        print(p.map(work, [100, 200, 300, 400] * 5))
    for how in "spawn", "forkserver":
        with multiprocessing.get_context(how).Pool(2) as p:
            print(p.map(work, [100, 200]))
    print([subprocess.run(["true"]).returncode for _ in range(30)])
END
python3 work.py
"""),
    ("python3's own tests", ["libpython3-testsuite"], ["python3"], LONG, r"""
python3 -c 'import test.test_dict' 2>/dev/null ||
	{ echo "python3 has no test.test_dict: install libpython3-testsuite"; exit 77; }
wanted="test_list test_dict test_gc test_threading \
	test_subprocess test_multiprocessing_fork test_set test_bytes test_deque \
	test_json test_re test_sort test_bigmem test_capi test_tracemalloc test_weakref \
	test_fork1 test_thread test_concurrent_futures test_mmap test_array test_zlib"
found=$(python3 -c 'import importlib.util as u, sys
for t in sys.argv[1:]: print(t if u.find_spec("test." + t) else "")' $wanted)
python3 -m test -j2 --timeout 600 $found >log 2>&1
grep -oE 'test_[a-z_0-9]+ (passed|failed|skipped)' log | sort -u
grep -A 20 ' failed:$' log >&2
true
"""),
    ("git", ["git"], ["git"], SHORT, r"""
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
git init -q -b main r && cd r
for i in {1..12}; do
	for k in {1..8}; do seq $i $((i * k * 37)) >file$k; done
	git add . && git commit -q -m "commit $i"
done
git gc -q --aggressive --prune=now && git fsck --full 2>&1
cd .. && git clone -q --no-local r c 2>&1 && cd c
git log --stat | md5sum; git rev-list --objects --all | md5sum
git blame file3 | md5sum; git grep -c 9 | md5sum; git status -s
"""),
    ("gcc", ["gcc"], ["gcc"], SHORT, r"""
for i in $(seq 80); do
	echo "int f$i(int *a, int n) { int s = $i; for (int k = 0; k < n; k++)"
	echo " s += a[k] * $i ^ (s >> k % 7); return n ? s : f$((i > 1 ? i - 1 : 1))(a, s); }"
done >big.c
gcc -O2 -w -S -o - big.c | md5sum
"""),
    ("g++, a large unit", ["g++"], ["g++"], LONG, r"""
{ echo '#include <bits/stdc++.h>'; echo '#include <regex>'
for i in $(seq 30); do echo "struct s$i { int a; bool operator<(const s$i &o) const { return a < o.a; } };"
echo "std::map<s$i, std::vector<s$i>> m$i; void g$i() { m$i[{$i}].push_back({1}); std::sort(m$i[{1}].begin(), m$i[{1}].end()); }"; done
echo 'std::regex r("a(b|c)*d"); bool t(const std::string &s) { return std::regex_match(s, r); }'; } >big.cc
g++ -O2 -S -o - big.cc | md5sum
"""),
    ("clang", ["clang"], ["clang"], LONG, r"""
{ echo '#include <bits/stdc++.h>'; for i in $(seq 20); do
echo "std::map<std::array<int, $i>, std::string> m$i; void g$i() { m$i[{$i}] = std::to_string($i); }"; done; } >big.cc
clang++ -O2 -S -o - big.cc | md5sum
"""),
    ("tar, xz, zstd", ["xz-utils", "zstd"], ["tar", "xz", "zstd"], SHORT, r"""
tar --sort=name --mtime=@0 --owner=0 --group=0 -cf a.tar -C /usr/include linux
for i in 1; do cat a.tar; done >b
zstd -q -T4 -B1048576 -7 b -o b.zst && md5sum <b.zst && zstd -qdc b.zst | cmp - b && echo zstd
xz -0 -T2 --block-size=2MiB -k b && md5sum <b.xz && xz -dc b.xz | cmp - b && echo xz
mkdir d && tar -xf a.tar -C d && diff -r d/linux /usr/include/linux && echo tar
"""),
    ("redis", ["redis-server", "redis-tools"], ["redis-server", "redis-benchmark"],
     SHORT, SERVER + r"""
redis-server --port 0 --unixsocket $PWD/s --save "" --dir $PWD --io-threads 2 >log 2>&1 &
server=$!
for i in $(seq 200); do redis-cli -s s ping 2>/dev/null | grep -q PONG && break; sleep 0.1; done
on_knuma $server
redis-benchmark -s s -q -n ${REQUESTS:-1000} -r 1000 -P 8 --threads 2 2>&1 |
	tr '\r' '\n' | grep 'requests per second' | sed 's/:.*//' | sort -u
redis-cli -s s flushall
for i in $(seq 500); do echo "set k$i $(printf %0$((i * 7))d $i)"; echo "zadd z $i m$i"; done |
	redis-cli -s s | sort | uniq -c
redis-cli -s s config set activedefrag no >/dev/null
redis-cli -s s bgsave >/dev/null
while redis-cli -s s info persistence | grep -q bgsave_in_progress:1; do sleep 0.1; done
redis-cli -s s debug digest
redis-cli -s s debug reload; redis-cli -s s debug digest; redis-cli -s s dbsize
redis-cli -s s shutdown nosave; wait $server; echo ended $?
"""),
    ("redis, all of redis-benchmark", ["redis-server", "redis-tools"],
     ["redis-server", "redis-benchmark"], LONG, SERVER + r"""
redis-server --port 0 --unixsocket $PWD/s --save "" --dir $PWD --io-threads 4 \
	--maxmemory 100mb --maxmemory-policy allkeys-lru --appendonly yes >log 2>&1 &
server=$!
for i in $(seq 200); do redis-cli -s s ping 2>/dev/null | grep -q PONG && break; sleep 0.1; done
on_knuma $server
redis-benchmark -s s -q -n 100000 -r 100000 -d 300 -P 16 --threads 4 2>&1 |
	tr '\r' '\n' | grep 'requests per second' | sed 's/:.*//' | sort -u
redis-cli -s s bgrewriteaof >/dev/null; sleep 2
redis-cli -s s memory purge; redis-cli -s s ping
redis-cli -s s shutdown nosave; wait $server; echo ended $?
"""),
    ("sqlite3", ["sqlite3"], ["sqlite3"], LONG, r"""
sqlite3 d.db <<'END'
PRAGMA threads = 4;
CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO t SELECT i, hex(i * 7919 % 100003) || substr('abcdefghij', i % 10), i * i % 9973 FROM n;
CREATE INDEX tb ON t (b); CREATE INDEX tc ON t (c, b);
DELETE FROM t WHERE c % 3 = 0; UPDATE t SET b = b || '-x' WHERE c % 5 = 1;
VACUUM; ANALYZE; PRAGMA integrity_check;
SELECT count(*), sum(c), max(b), min(b) FROM t;
SELECT c, group_concat(b) FROM (SELECT * FROM t ORDER BY b) GROUP BY c LIMIT 50;
END
sqlite3 d.db .dump | md5sum
"""),
    ("postgresql", ["postgresql"], ["setpriv", "pgbench"], LONG, r"""
[ $(id -u) = 0 ] || { echo "the server wants another user: run as root"; exit 77; }
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
id=$(id -u postgres 2>/dev/null || id -u nobody)
chown $id . && chmod 755 . && export HOME=$PWD PGHOST=$PWD PGUSER=x
as() { setpriv --reuid=$id --regid=65534 --clear-groups "$@"; }
as $bin/initdb -D d -U x -N -A trust >log 2>&1; echo initdb $?
as $bin/pg_ctl -D d -w -l server.log -o "-k $PWD -c listen_addresses= -c fsync=off" start >>log; echo start $?
stop() { as $bin/pg_ctl -D d -m immediate stop >/dev/null 2>&1; }
trap stop EXIT
[ -z "${LD_PRELOAD-}" ] || grep -q libknuma_malloc /proc/$(head -n 1 d/postmaster.pid)/maps || echo not on knuma
as pgbench -i -s 3 -q postgres >>log 2>&1; echo init $?
as pgbench -c 8 -j 4 -t 300 -n postgres 2>>log | grep 'actually processed'
as psql -At postgres <<'END'
SELECT count(*) FROM pgbench_history;
SELECT (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(abalance) FROM pgbench_accounts);
SET max_parallel_workers_per_gather = 4; SET parallel_setup_cost = 0; SET work_mem = '64MB';
SELECT count(*), sum(a.aid) FROM pgbench_accounts a JOIN pgbench_accounts b ON a.aid = b.aid;
SELECT md5(string_agg(x::text, ',')) FROM (SELECT i * 7919 % 100003 x FROM generate_series(1, 100000) i ORDER BY 1) s;
CREATE INDEX ON pgbench_accounts (filler, aid); VACUUM FULL;
END
trap - EXIT
as $bin/pg_ctl -D d -m fast stop >>log; echo stop $?
grep -cE 'PANIC|FATAL|terminated' server.log
true
"""),
] + [
    ("stress-ng " + options, ["stress-ng"], ["stress-ng"], LONG,
     "stress-ng --%s --verify -t 60 >log 2>&1 || { cat log; exit 1; }\n"
     "grep -cE 'fail:|error:' log\ntrue\n" % options)
    for options in (
        "malloc 2 --malloc-bytes 64M --malloc-ops 5000",
        "malloc 2 --malloc-pthreads 4 --malloc-bytes 32M --malloc-ops 5000",
        "malloc 2 --malloc-thresh 8K --malloc-touch --malloc-bytes 16M --malloc-ops 5000",
        "malloc 2 --malloc-zerofree --malloc-bytes 16M --malloc-ops 2000",
        "bigheap 1 --bigheap-growth 1M --bigheap-ops 500",
        "qsort 1 --qsort-ops 3",
        "tree 1 --tree-ops 5",
        "hash 1 --hash-ops 200",
        "fork 2 --fork-ops 2000",
        "vfork 2 --vfork-ops 2000",
        "pthread 2 --pthread-ops 20000",
        "zlib 1 --zlib-ops 20",
    )
] + [
    ("openssl", ["openssl"], ["openssl"], LONG, r"""
openssl speed -seconds 1 -bytes 1024 sha256 aes-128-cbc 2>&1 | grep -cE '^(sha256|aes-128-cbc) '
openssl speed -seconds 1 -multi 2 rsa2048 2>&1 | grep -c '^rsa 2048'
openssl genrsa -out k 2048 2>/dev/null; openssl rsa -in k -check -noout
seq 100000 | openssl dgst -sha512
"""),
    ("node", ["nodejs"], ["node"], LONG, r"""
node -e '
const { Worker, isMainThread } = require("worker_threads");
let o = {}; for (let i = 0; i < 300000; i++) o["k" + i] = { i, s: "x".repeat(i % 50) };
const s = JSON.stringify(o);
console.log(require("crypto").createHash("md5").update(s).digest("hex"));
console.log(require("zlib").gzipSync(s).length);
let left = 4; for (let i = 0; i < 4; i++) new Worker("let b = []; for (let i = 0; i < 2000; i++) b.push(Buffer.alloc(10000, i)); require(\"worker_threads\").parentPort.postMessage(b.length)", { eval: true }).on("message", m => { if (!--left) console.log("workers", m); });'
"""),
    ("java", ["default-jre-headless"], ["java"], LONG, r"""
java -Xmx256m -version 2>&1 | md5sum
java -Xmx256m -XshowSettings:properties -version 2>&1 | grep -cE 'java.version|java.vm.name'
java -Xmx256m -Xlog:gc -XX:+UseG1GC -cp /nowhere None >/dev/null 2>&1; echo $?
java --list-modules | md5sum
"""),
]


def missing(commands):
    return [c for c in commands if not shutil.which(c)]


def install(packages):
    """By apt-get, starting no services; whether it could."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
    done = subprocess.run(
        ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "install",
         "--no-install-recommends"] + packages,
        env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    return done.returncode == 0


def run(script, env):
    """Exit code, output, standard error, seconds."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="knuma-programs-") as folder:
        os.chmod(folder, 0o755)
        done = subprocess.run(["bash", "-c", script], cwd=folder, env=env,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              check=False)
    return (done.returncode, done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"), time.monotonic() - start)


def compare(script, preload):
    """What to print of a row, and whether it failed."""
    env = dict(os.environ, LC_ALL="C", TZ="UTC")
    env.pop("LD_PRELOAD", None)
    code, out, err, seconds = run(script, env)
    if code == SKIP:
        return "SKIPPED: " + out.strip(), False
    if code != 0 or not out:
        return ("it fails without knuma: exit code %d\n%s%s" %
                (code, out, err[-3000:])), True
    found, text, complaints, on_knuma = run(script, dict(env, LD_PRELOAD=preload))
    times = "%.1f s, %.1f s" % (seconds, on_knuma)
    said = [l for l in (complaints + text).splitlines() if "knuma: " in l]
    if (found, text) != (code, out) or said:
        return ("differs (%s): exit code %d, on knuma %d\n--- without:\n%s"
                "--- on knuma:\n%s%s" % (times, code, found, out[-3000:],
                                         text[-3000:], complaints[-3000:])), True
    return "same (%s)" % times, False


def copies(folder, libraries):
    """Libraries where any user can read them: rows change the user."""
    os.chmod(folder, 0o755)
    for library in libraries:
        target = os.path.join(folder, os.path.basename(library))
        shutil.copyfile(library, target)
        os.chmod(target, 0o755)
    return os.path.join(folder, "libknuma_malloc.so.0")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--libraries", default=".",
                        help="folder of libknuma.so.0 and libknuma_malloc.so.0")
    parser.add_argument("--all", action="store_true", help="the long rows, too")
    parser.add_argument("--only", help="rows whose name has this in it")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--install", action="store_true",
                        help="get missing programs by apt-get, as root")
    args = parser.parse_args()
    rows = [r for r in ROWS if (args.all or r[3] or args.only) and
            (args.only or "") in r[0]]
    if args.list or not rows:
        print("\n".join(r[0] for r in rows) or "no such row")
        return 0 if rows else 2
    failed = 0
    with tempfile.TemporaryDirectory(prefix="knuma-preload-") as folder:
        preload = copies(folder, [os.path.join(args.libraries, name) for name in
                                  ("libknuma.so.0", "libknuma_malloc.so.0")])
        for name, packages, commands, _, script in rows:
            if missing(commands) and args.install:
                install(packages)
            if missing(commands):
                print("%-40s SKIPPED: not installed: %s (package %s)" %
                      (name, " ".join(missing(commands)), " ".join(packages)),
                      flush=True)
                continue
            result, bad = compare(script, preload)
            failed += bad
            print("%-40s %s" % (name, result), flush=True)
    return 1 if failed else 0


sys.exit(main())
