#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which system calls of alloc/ and numa/ have failed in the tests, by place.

  python3 tests/coverage/sites.py                   from the root of the sources
  python3 tests/coverage/sites.py --keep=/tmp/s //tests:fault/calls_test
  python3 tests/coverage/sites.py --keep=/tmp/s --add //tests:fault/start_test
  python3 tests/coverage/sites.py --keep=/tmp/s --again numa/span.c

Copies the sources, has each call of the machine's table and of the C library's
system calls counted by whether it failed, and runs the tests of unit, api, fault
and cli on that.  Whoever made a call fail, a test or the kernel, it counts.  The
counts are in a file that every process of the tests maps, so that one that is
killed has written them.  With --add they are put to those of the runs before,
and only what has changed is built and run: a place is the same as long as its
line is.

Prints each place where no call has failed, one that no test came to as `not
reached', and `failed N of M call sites'.  Places of the table CANNOT, with the
reason, are not among them, and must not fail.

Exit code: 0, 1 when a place is left, or one of CANNOT has failed, 2 when it
cannot be said: nothing was built, a test failed, a row of CANNOT fits no place.
"""

import argparse
import array
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)

# pylint: disable=wrong-import-position
import branches  # noqa: E402
import coverage  # noqa: E402

FOLDERS = ("api", "fault", "unit")
# Entries of the table that have no way to fail.
CERTAIN = ("address_limit", "data_limit", "name", "page_size", "total_ram",
           "unwatch")
# Calls that are not in it.  close() and what only tidies up is left out.
NEGATIVE = ("accept4", "bind", "connect", "fchmod", "fcntl", "fstat",
            "getrlimit", "getsockopt", "listen", "madvise", "mincore", "mkdir",
            "mlock2", "mmap", "mprotect", "mremap", "munmap", "open", "poll",
            "prctl", "pread", "read", "recv", "rename", "send", "sigaction",
            "socket", "stat", "syscall", "sysinfo", "unlink", "write")
NOT_ZERO = ("pthread_create",)
# Calls made for others, and functions of ours by such a name.
SKIPPED = ("alloc/preload/", "alloc/stats/stats.c")

# Places that fail in no test: file, call, a part of the line, and the reason.
CANNOT = ()

# In the first line of a source with places, so that lines stay.  Many results
# are not looked at.
BEGIN = ('void kn_site(unsigned place, int failed); '
         '_Pragma("GCC diagnostic ignored \\"-Wunused-value\\"") ')

# Added to alloc/base of the copy.  What is called before the constructor, or in
# a process that may not open the file, is counted in its own memory.
COUNTER = r'''
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

void kn_site(unsigned place, int failed);

static unsigned long early[%(places)d][2];
static unsigned long (*counts)[2] = early;

void kn_site(unsigned place, int failed)
{
	__atomic_fetch_add(&counts[place][!!failed], 1, __ATOMIC_RELAXED);
}

static void __attribute__((constructor(101))) map_counts(void)
{
	int fd = open("%(file)s", O_RDWR | O_CLOEXEC);
	void *p;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(early), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0);
	close(fd);
	if (p == MAP_FAILED)
		return;
	counts = p;
	for (unsigned i = 0; i < %(places)d; i++)
		for (unsigned k = 0; k < 2; k++)
			__atomic_fetch_add(&counts[i][k], early[i][k],
					   __ATOMIC_RELAXED);
}
'''

# A call: its line, and what that says.
Site = collections.namedtuple("Site", "line call text")


def name_of(source, i):
    """The call that begins at a token, and the token of its parenthesis."""
    words = [source.text(k) for k in range(i, i + 4)]
    # The table, and what it was before that of fake nodes.
    if words[0] in ("kn_machine", "real") and words[1::2] == [".", "("]:
        return (None if words[2] in CERTAIN else words[2]), i + 3
    before = source.text(i - 1) if i else ""
    if words[1] != "(" or words[0] not in NEGATIVE + NOT_ZERO:
        return None, 0
    # A declaration, a member of something else, a function of ours.
    if before in (".", "->", "*") or (before[-1:].isalnum() and
                                      before != "return"):
        return None, 0
    if words[2] == ")" or words[2] == "SYS_gettid":
        return None, 0
    return words[0], i + 1


def rewrite(text, first=0):
    """The text with each call counted, places from @first on, and the sites."""
    source = branches.Source(text)
    old = text.split("\n")
    lines, sites = list(old), []
    inserts = []        # (line, column, text)
    for i in range(len(source.tokens)):
        call, opening = name_of(source, i)
        if not call:
            continue
        begin, end = source.tokens[i], source.tokens[source.pair[opening]]
        failed = "!= 0" if call in NOT_ZERO else "< 0"
        inserts.append((begin.line, begin.column,
                        "({ __auto_type r_%d = " % i))
        inserts.append((end.line, end.column + 1,
                        "; kn_site(%d, (__INTPTR_TYPE__)r_%d %s); r_%d; })" %
                        (first + len(sites), i, failed, i)))
        sites.append(Site(begin.line, call, old[begin.line - 1].strip()))
    # From the end, so that what is before stays where it is.
    for line, column, what in sorted(inserts, reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:column - 1] + what + old[column - 1:]
    return (BEGIN if sites else "") + "\n".join(lines), sites


def sources():
    for folder in coverage.TREES:
        for path, _, names in os.walk(os.path.join(coverage.ROOT, folder)):
            for name in sorted(names):
                at = os.path.relpath(os.path.join(path, name), coverage.ROOT)
                if name.endswith((".c", ".h")) and not at.startswith(SKIPPED):
                    yield at


def read(name):
    with open(os.path.join(coverage.ROOT, name), encoding="utf-8") as f:
        return f.read()


def write(path, text):
    """Leaves a file alone that says that already: it is not built again."""
    try:
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def copy(tree, counts):
    """The sources, with calls counted in that file: [(name, Site)]"""
    listed = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"],
                            cwd=coverage.ROOT, stdout=subprocess.PIPE,
                            check=True, text=True).stdout
    counted, sites = {}, []
    for name in sources():
        text, found = rewrite(read(name), len(sites))
        if found:
            counted[name] = text
            sites += [(name, site) for site in found]
    counted["alloc/base/site.c"] = COUNTER % {"file": counts,
                                              "places": len(sites)}
    names = [n for n in listed.split("\0") if n and
             os.path.lexists(os.path.join(coverage.ROOT, n))]
    for path, _, there in os.walk(tree):
        for name in there:
            at = os.path.relpath(os.path.join(path, name), tree)
            if at not in counted and at not in names:
                os.unlink(os.path.join(path, name))
    for name in names:
        to = os.path.join(tree, name)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        if name not in counted:
            shutil.copy2(os.path.join(coverage.ROOT, name), to,
                         follow_symlinks=False)
    for name, text in counted.items():
        write(os.path.join(tree, name), text)
    return sites


def run(labels, again):
    """Runs the tests; with again only those whose result is not known."""
    # The file of the counts is outside of what a sandbox may write.
    return coverage.bazel("test", "--keep_going",
                          "--cache_test_results=" + ("auto" if again else "no"),
                          "--strategy=TestRunner=local", *labels).returncode


def key(name, site):
    return "%s: %s: %s" % (name, site.call, site.text)


def keys(sites):
    """A name for each place that stays when lines above it change."""
    times = collections.Counter()
    for name, site in sites:
        k = key(name, site)
        times[k] += 1
        yield "%s (%d)" % (k, times[k])


def add(known, sites, path):
    """Puts the counts of a run, not failed and failed, to what is known."""
    counts = array.array("L")
    with open(path, "rb") as f:
        counts.frombytes(f.read())
    for i, k in enumerate(keys(sites)):
        before = known.get(k, [0, 0])
        known[k] = [before[0] + counts[2 * i], before[1] + counts[2 * i + 1]]


def reason(name, site, rows):
    """The row that says why a place cannot fail, or None."""
    for row in rows:
        if (row[0], row[1]) == (name, site.call) and row[2] in site.text:
            return row
    return None


def report(sites, known, rows, only=()):
    """Prints what is left, and returns the exit code."""
    left, total, bad, used = 0, 0, 0, set()
    for k, (name, site) in zip(keys(sites), sites):
        other, failed = known.get(k, (0, 0))
        row = reason(name, site, rows)
        used.add(row)
        at = "%s:%d: %s" % (name, site.line, site.call)
        if only and not name.startswith(tuple(only)):
            continue
        if row and failed:
            bad += 1
            print("%s: has failed, and CANNOT says: %s" % (at, row[3]))
        if row:
            continue
        total += 1
        if not failed:
            left += 1
            print(at + ("" if other else " (not reached)"))
    print("\nfailed %d of %d call sites" % (total - left, total))
    for row in rows:
        if row not in used:
            coverage.die("no place for the row of CANNOT: %s: %s: %s" % row[:3])
    return 1 if left or bad else 0


def arguments():
    parser = argparse.ArgumentParser(
        description="Which system calls of alloc/ and numa/ have failed.")
    parser.add_argument("--keep", metavar="DIR",
                        help="leave the copy and the counts there")
    parser.add_argument("--add", action="store_true",
                        help="put what fails to the counts that --keep has")
    parser.add_argument("--again", action="store_true",
                        help="run nothing, print the counts that --keep has")
    parser.add_argument("what", nargs="*", help="labels of tests, default all; "
                        "with --again files and folders")
    args = parser.parse_args()
    if (args.again or args.add) and not args.keep:
        parser.error("--again and --add need --keep")
    return args


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def main():
    args = arguments()
    work = os.path.abspath(args.keep or tempfile.mkdtemp(prefix="sites-"))
    tree, counts = os.path.join(work, "tree"), os.path.join(work, "counts")
    sums = os.path.join(work, "sums.json")
    code = 0
    try:
        known = load(sums) if args.add or args.again else {}
        if args.again:
            sites = [(n, s) for n in sources() for s in rewrite(read(n))[1]]
            return report(sites, known, CANNOT, args.what)
        os.makedirs(tree, exist_ok=True)
        sites = copy(tree, counts)
        with open(counts, "wb") as f:
            f.write(bytes(16 * len(sites)))
        os.chmod(counts, 0o666)
        coverage.ROOT, coverage.FOLDERS = tree, FOLDERS
        code = run(args.what or coverage.targets(), args.add)
        add(known, sites, counts)
        with open(sums, "w", encoding="utf-8") as f:
            json.dump(known, f, indent=1)
        coverage.bazel(*(["shutdown"] if args.keep else ["clean", "--expunge"]))
    finally:
        if not args.keep:
            shutil.rmtree(work, ignore_errors=True)
    if code:
        coverage.die("tests failed, see above")
    return report(sites, known, CANNOT)


if __name__ == "__main__":
    sys.exit(main())
