#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which branches of alloc/ and numa/ the tests take, error branches by name.

  python3 tests/coverage/coverage.py                  from the root of the sources
  python3 tests/coverage/coverage.py --at-least=95 --json=/tmp/coverage.json
  python3 tests/coverage/coverage.py --keep=/tmp/c //tests:fault/calls_test
  python3 tests/coverage/coverage.py --keep=/tmp/c --again      another look

Builds and runs tests with --config=coverage and prints for each file how many
sides of its branches, and of its error branches, were taken; which of those were
not; and `covered N of M error branches (P %)'.  What an error branch is stands in
tests/coverage/branches.py.

Exit code: 0, 1 below --at-least, 2 when it cannot be said: a tool is not there,
nothing was built, or a test failed, which may have been about to take some.
"""

import argparse
import bisect
import collections
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import branches  # noqa: E402  pylint: disable=wrong-import-position

TREES = ("alloc", "numa")
FOLDERS = ("api", "concurrency", "fault", "preload", "property", "rseq",
           "topo", "unit")
LIBRARIES = ("libknuma.so.0", "libknuma_malloc.so.0")
# Programs with an error planted into the library count into the same branches.
TESTS = ('filter("^//tests:(%s)/", tests(//tests:all)) '
         'except kind(planted_error_test, //tests:all) '
         'union tests(//tests/cli:all)')


def die(text):
    print("coverage: " + text, file=sys.stderr)
    sys.exit(2)


def bazel(*arguments, **kwargs):
    return subprocess.run(["./bazelw", *arguments], cwd=ROOT, check=False,
                          **kwargs)


def llvm(name):
    """The tool beside clang: it reads no other version's profiles."""
    clang = shutil.which("clang")
    if not clang:
        die("no clang: apt-get install clang")
    path = os.path.join(os.path.dirname(os.path.realpath(clang)), name)
    if not os.path.exists(path):
        die("no %s: apt-get install llvm, the version of clang" % path)
    return path


def targets():
    done = bazel("query", TESTS % "|".join(FOLDERS), stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, text=True)
    if done.returncode:
        die("bazel query: " + done.stderr)
    return done.stdout.split()


def run(labels, profiles):
    """Runs the tests; each process leaves counters of its own."""
    shutil.rmtree(profiles, ignore_errors=True)
    os.makedirs(profiles)
    done = bazel("build", "--config=coverage",
                 *["//:" + name for name in LIBRARIES])
    if done.returncode:
        die("the libraries were not built")
    # Counters are files below one path, which a sandbox would not have.
    return bazel("test", "--config=coverage", "--keep_going",
                 "--cache_test_results=no", "--strategy=TestRunner=local",
                 "--test_env=LLVM_PROFILE_FILE=%s/%%p-%%m%%c.profraw" % profiles,
                 *labels).returncode


def merge(profiles, merged):
    names = sorted(glob.glob(os.path.join(profiles, "*.profraw")))
    # A process that was killed while it began has left an empty one.
    names = [n for n in names if os.path.getsize(n)]
    if not names:
        die("the tests left no profiles in " + profiles)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write("\n".join(names) + "\n")
        f.flush()
        subprocess.run([llvm("llvm-profdata"), "merge", "--failure-mode=all",
                        "-o", merged, "--input-files=" + f.name], check=True)


def export(merged):
    """llvm-cov's account of each library."""
    objects = [os.path.join(binaries(), name) for name in LIBRARIES]
    found = []
    for path in objects:
        done = subprocess.run([llvm("llvm-cov"), "export", path,
                               "-instr-profile=" + merged],
                              stdout=subprocess.PIPE, check=True)
        found.append(json.loads(done.stdout)["data"][0])
    return found


def binaries():
    done = bazel("info", "--config=coverage", "bazel-bin", text=True,
                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        die("bazel info: " + done.stderr)
    return done.stdout.strip()


class Counts:
    """What is known of one file."""

    def __init__(self):
        self.taken = collections.Counter()      # (line, column, side)
        self.places = set()
        self.segments = []                      # (line, column, count)

    def add(self, record):
        for line, column, _, _, true, false, *_ in record["branches"]:
            self.places.add((line, column))
            self.taken[line, column, "true"] += true
            self.taken[line, column, "false"] += false
        self.segments = [(line, column, count) for line, column, count, has, *_
                         in record["segments"] if has]

    def reached(self, place):
        """How often a statement was; None where nothing was compiled."""
        i = bisect.bisect_right(self.segments, place + (float("inf"),))
        return self.segments[i - 1][2] if i else None

    def of(self, side):
        """How often an error branch was taken, or None."""
        for place in side.places:
            if place in self.places:
                return self.taken[place + (side.side,)]
        return self.reached(side.target)


def relative(name):
    """alloc/x.c of what the compiler called it."""
    for tree in TREES:
        at = name.find("/" + tree + "/")
        if name.startswith(tree + "/"):
            return name
        if at >= 0:
            return name[at + 1:]
    return None


def account(exports):
    """[{file, branches, taken, errors, missed}] of the sources."""
    counts = {}
    for data in exports:
        for record in data["files"]:
            name = relative(record["filename"])
            if name:
                counts.setdefault(name, Counts()).add(record)
    rows = []
    for name, known in sorted(counts.items()):
        with open(os.path.join(ROOT, name), encoding="utf-8") as f:
            sides = branches.error_sides(f.read())
        sides = [(s, known.of(s)) for s in sides]
        sides = [(s, n) for s, n in sides if n is not None]
        rows.append({
            "file": name,
            "branches": 2 * len(known.places),
            "taken": sum(known.taken[p + (side,)] > 0 for p in known.places
                         for side in ("true", "false")),
            "error_branches": len(sides),
            "missed": [{"line": s.line, "side": s.side, "condition": s.text}
                       for s, n in sides if not n],
        })
    return rows


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def show(rows):
    print("%-36s %9s %9s %9s %9s" %
          ("file", "branches", "taken", "error", "taken"))
    for row in rows:
        errors = row["error_branches"]
        print("%-36s %9d %9d %9d %9d" %
              (row["file"], row["branches"], row["taken"], errors,
               errors - len(row["missed"])))
    print()
    for row in rows:
        for miss in row["missed"]:
            print("%s:%d: never %s: %s" % (row["file"], miss["line"],
                                           miss["side"], miss["condition"]))


def main():
    parser = argparse.ArgumentParser(
        description="Which branches the tests take.")
    parser.add_argument("tests", nargs="*", help="labels; all that are short")
    parser.add_argument("--at-least", type=float, metavar="PERCENT",
                        help="exit code 1 when fewer error branches are covered")
    parser.add_argument("--json", metavar="FILE", help="the same for programs")
    parser.add_argument("--keep", metavar="DIR", help="leave the profiles here")
    parser.add_argument("--again", action="store_true",
                        help="do not run tests, read what --keep has left")
    args = parser.parse_args()
    if args.again and not args.keep:
        parser.error("--again needs --keep")

    llvm("llvm-cov")
    work = os.path.abspath(args.keep or tempfile.mkdtemp(prefix="coverage-"))
    profiles = os.path.join(work, "profiles")
    merged = os.path.join(work, "merged.profdata")
    code = 0
    try:
        if not args.again:
            code = run(args.tests or targets(), profiles)
        merge(profiles, merged)
        rows = account(export(merged))
    finally:
        if not args.keep:
            shutil.rmtree(work, ignore_errors=True)

    total = sum(row["error_branches"] for row in rows)
    covered = total - sum(len(row["missed"]) for row in rows)
    share = percent(covered, total)
    show(rows)
    print("\ncovered %d of %d error branches (%.1f %%)" % (covered, total, share))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"schema": 1, "covered": covered, "error_branches": total,
                       "files": rows}, f, indent=1)
            f.write("\n")
    if code:
        die("tests failed, see above")
    if args.at_least is not None and share < args.at_least:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
