#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""knuma bench locality: formats, what it says of one node, how it counts."""

import csv
import io
import json
import os
import struct
import subprocess
import unittest

ROOT = os.environ.get("KNUMA_TEST_ROOT", os.getcwd())
KNUMA = os.environ.get("KNUMA_TEST_BIN", os.path.join(ROOT, "tools/knuma"))
PHASES = ["first", "freed", "moved"]


def bench(*args, env=None, text=True):
    return subprocess.run([KNUMA, "bench", *args], capture_output=True,
                          text=text, timeout=200, check=False,
                          env={**os.environ, **(env or {})})


def usable_nodes():
    """{id: its first CPU} of the nodes with memory and CPUs."""
    report = json.loads(bench("locality", "--quick", "-o", "json").stdout)
    return {n["id"]: int(n["cpus"].split("-")[0].split(",")[0])
            for n in report["nodes"] if n["memory"] and n["cpus"]}


NODES = usable_nodes()
NODE, CPU = next(iter(NODES.items()))


class Usage(unittest.TestCase):
    def check_refused(self, command, args, word):
        done = bench(command, *args)
        self.assertEqual(done.returncode, 2, args)
        self.assertEqual(done.stdout, "")
        first, second = done.stderr.splitlines()
        self.assertTrue(first.startswith("knuma bench %s: " % command), first)
        self.assertIn(word, first)
        self.assertIn("`knuma bench %s --help'" % command, second)

    def test_mistakes_are_two_lines_and_exit_code_two(self):
        for args, word in ((["banana"], "'banana'"),
                           (["--banana"], "--banana"),
                           (["--runs", "0"], "'0'"),
                           (["--runs", "1001"], "'1001'"),
                           (["--runs", "x"], "'x'"),
                           (["-o", "prom"], "'prom'"),
                           (["--nodes", "777"], "no node 777"),
                           (["--nodes", "3-1"], "'3-1'"),
                           (["--nodes", "0,"], "'0,'"),
                           (["--nodes", ""], "''"),
                           (["--nodes", "99999"], "'99999'")):
            self.check_refused("locality", args, word)

    def test_help_and_version(self):
        done = bench("locality", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.startswith("Usage: knuma bench locality "))
        self.assertRegex(bench("locality", "--version").stdout,
                         r"^knuma \d")

    def test_without_the_library(self):
        done = bench("locality", env={"KNUMA_PRELOAD": "/no/library.so"})
        self.assertEqual(done.returncode, 2)
        self.assertIn("libknuma_malloc.so.0", done.stderr)


class Locality(unittest.TestCase):
    def rows(self, report):
        return {r["allocator"]: r["phases"] for r in report["rows"]}

    def test_formats_have_the_same_rows(self):
        text = bench("locality", "--quick")
        report = json.loads(bench("locality", "--quick", "-o", "json").stdout)
        table = list(csv.DictReader(io.StringIO(
            bench("locality", "--quick", "-o", "csv").stdout)))
        rows = self.rows(report)
        self.assertIn("glibc", rows)
        self.assertIn("knuma", rows)
        self.assertEqual([(a, p) for a in rows for p in rows[a]],
                         [(r["allocator"], r["phase"]) for r in table])
        self.assertEqual(list(rows["knuma"]), PHASES)
        for note in report["notes"]:
            self.assertIn("\n%s\n" % note, text.stdout)
        self.assertEqual(report["measurable"], text.returncode == 0)

    @unittest.skipIf(len(NODES) > 1, "a machine with several nodes")
    def test_one_node_is_not_measurable(self):
        done = bench("locality", "--quick", "-o", "json")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        report = json.loads(done.stdout)
        self.assertFalse(report["measurable"])
        self.assertTrue(any("Not measurable here" in n and "there is 1" in n
                            for n in report["notes"]), report["notes"])
        for phases in self.rows(report).values():
            for phase in phases.values():
                self.assertIsNone(phase["off_node_percent"])
                self.assertEqual(phase["pages"], 0)

    @unittest.skipUnless(len(NODES) > 1, "a machine with one node")
    def test_knuma_gives_pages_of_the_own_node(self):
        report = json.loads(bench("locality", "--quick", "-o", "json").stdout)
        for phase in self.rows(report)["knuma"].values():
            self.assertEqual(phase["off_node_percent"], 0)
            self.assertGreater(phase["pages"], 0)

    def count(self, *homes):
        """(pages, pages elsewhere) of each phase, as the child counts them."""
        done = bench("--child", "locality", "2", "256",
                     *["%d:%d" % home for home in homes], text=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        count = struct.unpack("6Q", done.stdout)
        return list(zip(count[:3], count[3:]))

    def test_pages_are_counted_against_the_node_that_is_named(self):
        # Two threads for each of two homes, 256 KiB each.
        at_least = 4 * 256 * 1024 // os.sysconf("SC_PAGE_SIZE")
        for pages, elsewhere in self.count((NODE, CPU), (NODE, CPU)):
            self.assertGreaterEqual(pages, at_least)
            if len(NODES) == 1:
                self.assertEqual(elsewhere, 0)
        for pages, elsewhere in self.count((1000, CPU), (1000, CPU)):
            self.assertGreaterEqual(pages, at_least)
            self.assertEqual(elsewhere, pages)

    def test_a_child_that_cannot_run_on_its_node_fails(self):
        done = bench("--child", "locality", "1", "64", "0:8191")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no CPU of the node to run on", done.stderr)


if __name__ == "__main__":
    unittest.main()
