# SPDX-License-Identifier: Apache-2.0
"""Plants errors into copies of the library, one at a time; tests must notice.

  ./bazelw run //tests/mutants:mutants_test
  ./bazelw run //tests/mutants:mutants_test -- --only wrong_node

The tree is copied, and each patch applied to the copy.  The tests that the patch
names are built and run there until one fails.  All of them must pass without a
patch first.  What survives is a test that is missing.

Exit code: 0 when all were caught, 1 when not, 2 when that could not be found
out: a patch that does not apply, a mutant that does not compile, a test that
fails without one.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, ROOT)

from tests.mutants.mutants import mutants  # noqa: E402


def say(text):
    print(text, flush=True)


def copy_tree(to):
    """The sources as they are, uncommitted changes as well."""
    for name in os.listdir(ROOT):
        src, dst = os.path.join(ROOT, name), os.path.join(to, name)
        if name == ".git" or name.startswith("bazel-"):
            continue
        if os.path.isdir(src):
            shutil.copytree(src, dst, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(src, dst)


class Copy:
    """A copy of the tree with a Bazel of its own."""

    def __init__(self, work):
        self.tree = os.path.join(work, "tree")
        self.events = os.path.join(work, "events.json")
        self.log = os.path.join(work, "log")
        self.startup = ["--output_user_root=" + os.path.join(work, "out")]
        os.makedirs(self.tree, exist_ok=True)
        copy_tree(self.tree)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("TEST_", "RUNFILES", "BAZEL", "KNUMA",
                                         "BUILD_W", "PYTHON"))}
        self.env["BAZELW_NO_INSTALL"] = "1"

    def bazel(self, *args):
        with open(self.log, "w", encoding="utf-8") as log:
            return subprocess.run(["./bazelw", *self.startup, *args],
                                  cwd=self.tree, env=self.env, stdout=log,
                                  stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, check=False)

    def test(self, names, keep_going):
        """(tests that failed, whether all were built)."""
        if os.path.exists(self.events):
            os.unlink(self.events)
        self.bazel("test", "--noshow_progress", "--color=no",
                   "--test_tag_filters=", "--test_timeout=120",
                   # A stress test that hangs ends sooner.
                   "--test_env=KNUMA_TEST_SECONDS=60",
                   "--build_event_json_file=" + self.events,
                   "--test_keep_going" if keep_going else
                   "--notest_keep_going",
                   *("//tests:" + name for name in names))
        return self.read_events(names)

    def read_events(self, names):
        failed, built = [], set()
        if not os.path.exists(self.events):
            return [], False
        with open(self.events, encoding="utf-8") as f:
            for line in f:
                event = json.loads(line)
                ident = event["id"]
                if "targetCompleted" in ident:
                    if event.get("completed", {}).get("success"):
                        built.add(ident["targetCompleted"]["label"])
                elif "testResult" in ident:
                    status = event.get("testResult", {}).get("status")
                    if status in ("FAILED", "TIMEOUT"):
                        name = ident["testResult"]["label"]
                        failed.append(name[len("//tests:"):])
        return (sorted(set(failed)),
                built == {"//tests:" + name for name in names})

    def read(self, files):
        """Name -> content, for write()."""
        kept = {}
        for file in files:
            with open(os.path.join(self.tree, file), "rb") as f:
                kept[file] = f.read()
        return kept

    def write(self, kept):
        for file, content in kept.items():
            with open(os.path.join(self.tree, file), "wb") as f:
                f.write(content)

    def show_log(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            say("".join(f.readlines()[-60:]))


def passes_unchanged(copy, chosen):
    names = sorted({name for m in chosen for name in m.tests})
    say("%d mutants; %d tests, first without any:" % (len(chosen), len(names)))
    failed, built = copy.test(names, keep_going=True)
    if built and not failed:
        return True
    copy.show_log()
    say("FAIL: without a mutant, %s" %
        (", ".join(failed) or "not everything builds"))
    return False


def try_one(copy, m):
    """The test that caught it, "" when none did; None: it could not be tried."""
    kept = copy.read(m.files)
    why = m.apply(copy.tree)
    if why:
        say("FAIL: %s does not apply\n%s" % (m.path, why))
        copy.write(kept)
        return None
    try:
        failed, built = copy.test(m.tests, keep_going=False)
    finally:
        copy.write(kept)
    if failed:
        return failed[0]
    if built:
        return ""
    copy.show_log()
    say("FAIL: %s does not compile" % m.name)
    return None


def run(copy, chosen):
    caught = survived = 0

    if not passes_unchanged(copy, chosen):
        return 2
    for i, m in enumerate(chosen, 1):
        since = time.monotonic()
        by = try_one(copy, m)
        caught += bool(by)
        survived += by == ""
        say("%3d/%d  %-30s %-32s %4.0f s" % (
            i, len(chosen), m.name,
            "SURVIVED" if by == "" else by or "NOT TRIED",
            time.monotonic() - since))
    say("caught %d of %d" % (caught, len(chosen)))
    if caught + survived < len(chosen):
        return 2
    return 1 if survived else 0


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--only", action="append", metavar="NAME",
                   help="this mutant, and others that are named so")
    p.add_argument("--list", action="store_true", help="what is planted")
    p.add_argument("--work", metavar="DIR",
                   help="copy and build in DIR and leave them there")
    args = p.parse_args()
    chosen = [m for m in mutants(HERE) if not args.only or m.name in args.only]
    if len(chosen) < len(args.only or [1]):
        p.error("no such mutant; there are: "
                + " ".join(m.name for m in mutants(HERE)))
    if args.list:
        for m in chosen:
            say("%-30s %s" % (m.name, m.what))
        return 0
    work = args.work or tempfile.mkdtemp(prefix="mutants.")
    os.makedirs(work, exist_ok=True)
    copy = Copy(work)
    try:
        return run(copy, chosen)
    finally:
        copy.bazel("shutdown")
        if not args.work:
            # Bazel's output trees are read-only.
            subprocess.run(["chmod", "-R", "u+w", work], check=False)
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
