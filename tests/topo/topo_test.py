#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Machines of tests/topo/*.xml: what `knuma topology' makes of each.

X.expected holds exit code, messages and output.  Files named bad_* are broken
by hand: they end with a message, or what is wrong in them is left out.  The
others are of lstopo(1): in guests of QEMU (one_node, memoryless_guest, cxl,
four_hmat, eight_ring), or of its synthetic machines with distances and
attributes by hwloc-annotate(1); sparse_ids, memoryless: renumbered by hand.

`topo_test.py --update' writes the files anew, to be read before a commit.
"""

import glob
import os
import subprocess
import sys
import unittest

ROOT = os.environ.get("KNUMA_TEST_ROOT", os.getcwd())
KNUMA = os.environ.get("KNUMA_TEST_BIN", os.path.join(ROOT, "tools/knuma"))
FOLDER = os.path.join(ROOT, "tests/topo")
MACHINES = sorted(glob.glob(os.path.join(FOLDER, "*.xml")))


def answer(machine):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("KNUMA_", "HWLOC_"))}
    done = subprocess.run(
        [KNUMA, "topology", "--zonelists", "--input",
         os.path.basename(machine)],
        cwd=FOLDER, env={**env, "KNUMA_CONF_FILE": "", "LC_ALL": "C"},
        capture_output=True, text=True, timeout=60, check=False)
    return "exit %d\n%s%s" % (done.returncode, done.stderr, done.stdout)


def expected(machine):
    return machine[:-len("xml")] + "expected"


class Topo(unittest.TestCase):
    maxDiff = None

    def test_each_machine(self):
        for machine in MACHINES:
            with self.subTest(os.path.basename(machine)):
                with open(expected(machine), encoding="utf-8") as f:
                    self.assertEqual(answer(machine), f.read())

    def test_all_sizes_are_here(self):
        sizes = set()
        for machine in MACHINES:
            lists = answer(machine).partition("zonelist\n")[2].partition("\n\n")
            sizes.add(len(lists[0].splitlines()))
        self.assertLessEqual(set(range(1, 9)), sizes)

    def test_a_missing_file_is_named(self):
        self.assertRegex(answer("nowhere.xml"),
                         r"^exit 2\nknuma: nowhere.xml: .*missing")


def update():
    for machine in MACHINES:
        with open(expected(machine), "w", encoding="utf-8") as f:
            f.write(answer(machine))


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        update()
    else:
        unittest.main()
