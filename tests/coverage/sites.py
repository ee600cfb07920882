#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which system calls of alloc/ and numa/ have failed in the tests, by place.

  python3 tests/coverage/sites.py                   from the root of the sources
  python3 tests/coverage/sites.py --keep=/tmp/s //tests:fault/calls_test
  python3 tests/coverage/sites.py --keep=/tmp/s --again         another look

Copies the sources, puts a question whether it failed around each call of the
machine's table and of the C library's system calls, and runs the tests of unit,
api, fault and cli on that with --config=coverage.  Whoever made a call fail, a
test or the kernel, it counts.  Prints each place where none has, one that no
test came to as `not reached', and `failed N of M call sites'.

Exit code: 0, 1 below --at-least, 2 when it cannot be said: a tool is not there,
nothing was built, or a test failed.
"""

import argparse
import collections
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
NEGATIVE = ("accept4", "bind", "fcntl", "fstat", "listen", "open", "poll",
            "pread", "read", "recv", "rename", "send", "sigaction", "socket",
            "stat", "syscall", "unlink", "write")
NOT_ZERO = ("pthread_create",)
# Calls made for others, functions of ours by such a name, and the table itself.
SKIPPED = ("alloc/preload/", "alloc/stats/stats.c", "numa/machine.c")

# Many results are not looked at; before the first line, lines stay.
QUIET = '_Pragma("clang diagnostic ignored \\"-Wunused-value\\"") '

# A call, and where its question stands: (line, column) in the copy.
Site = collections.namedtuple("Site", "line call place")


def name_of(source, i):
    """The call that begins at a token, and the token of its parenthesis."""
    words = [source.text(k) for k in range(i, i + 4)]
    if words[:2] == ["kn_machine", "."] and words[3] == "(":
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


def question(call):
    failed = "!= 0" if call in NOT_ZERO else "< 0"
    return "; (__INTPTR_TYPE__)r_%d " + failed + " ? r_%d : r_%d; })"


def rewrite(text):
    """The text with a question around each call, and the sites."""
    source = branches.Source(text)
    inserts = []        # (line, column, text, site or None)
    for i in range(len(source.tokens)):
        call, opening = name_of(source, i)
        if not call:
            continue
        first, last = source.tokens[i], source.tokens[source.pair[opening]]
        inserts.append((first.line, first.column,
                        "({ __auto_type r_%d = " % i, None))
        inserts.append((last.line, last.column + 1,
                        question(call) % (i, i, i), (first.line, call)))
    lines = text.split("\n")
    sites, shift = [], collections.Counter()
    for line, column, what, site in sorted(inserts, key=lambda x: x[:2]):
        at = column - 1 + shift[line]
        lines[line - 1] = lines[line - 1][:at] + what + lines[line - 1][at:]
        if site:
            sites.append(Site(*site, (line, at + 1 + len("; "))))
        shift[line] += len(what)
    return "\n".join(lines), sites


def sources(tree):
    for folder in coverage.TREES:
        for path, _, names in os.walk(os.path.join(tree, folder)):
            for name in sorted(names):
                at = os.path.relpath(os.path.join(path, name), tree)
                if name.endswith((".c", ".h")) and not at.startswith(SKIPPED):
                    yield at


def copy(tree):
    """A tree of its own, which the questions are put into."""
    names = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"],
                           cwd=coverage.ROOT, stdout=subprocess.PIPE,
                           check=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        to = os.path.join(tree, name)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy2(os.path.join(coverage.ROOT, name), to,
                     follow_symlinks=False)
    for name in sources(tree):
        with open(os.path.join(tree, name), encoding="utf-8") as f:
            text, _ = rewrite(f.read())
        with open(os.path.join(tree, name), "w", encoding="utf-8") as f:
            f.write(QUIET + text)


def account(origin, tree, exports):
    """[(file, line, call, times it failed, times it did not)]"""
    counts = {}
    for data in exports:
        for record in data["files"]:
            name = coverage.relative(record["filename"])
            if name:
                counts.setdefault(name, coverage.Counts()).add(record)
    rows = []
    for name in sources(tree):
        with open(os.path.join(origin, name), encoding="utf-8") as f:
            _, sites = rewrite(f.read())
        known = counts.get(name, coverage.Counts())
        for site in sites:
            if site.place in known.places:
                rows.append((name, site.line, site.call,
                             known.taken[site.place + ("true",)],
                             known.taken[site.place + ("false",)]))
            else:
                print("%s:%d: %s was not compiled" % (name, site.line,
                                                      site.call))
    return rows


def arguments():
    parser = argparse.ArgumentParser(
        description="Which system calls of alloc/ and numa/ have failed.")
    parser.add_argument("--at-least", type=int, metavar="N",
                        help="exit code 1 below N places")
    parser.add_argument("--keep", metavar="DIR",
                        help="leave the copy and the counters there")
    parser.add_argument("--again", action="store_true",
                        help="run nothing, count what --keep has left")
    parser.add_argument("tests", nargs="*", help="labels; default: all")
    args = parser.parse_args()
    if args.again and not args.keep:
        parser.error("--again needs --keep")
    return args


def main():
    args = arguments()
    work = os.path.abspath(args.keep or tempfile.mkdtemp(prefix="sites-"))
    tree = os.path.join(work, "tree")
    profiles = os.path.join(work, "profiles")
    merged = os.path.join(work, "merged.profdata")
    code = 0
    origin = coverage.ROOT
    try:
        if not args.again:
            shutil.rmtree(tree, ignore_errors=True)
            copy(tree)
        coverage.ROOT, coverage.FOLDERS = tree, FOLDERS
        if not args.again:
            code = coverage.run(args.tests or coverage.targets(), profiles)
        coverage.merge(profiles, merged)
        rows = account(origin, tree, coverage.export(merged))
        coverage.bazel("shutdown")
    finally:
        if not args.keep:
            shutil.rmtree(work, ignore_errors=True)
    for name, line, call, failed, other in rows:
        if not failed:
            print("%s:%d: %s%s" % (name, line, call,
                                   "" if other else " (not reached)"))
    failed = sum(1 for row in rows if row[3])
    print("\nfailed %d of %d call sites" % (failed, len(rows)))
    if code:
        coverage.die("tests failed, see above")
    return 1 if args.at_least is not None and failed < args.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
