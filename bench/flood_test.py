#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""knuma bench flood: that it counts, that knuma keeps its bound, and says so."""

import csv
import io
import os
import subprocess
import unittest

ROOT = os.environ.get("KNUMA_TEST_ROOT", os.getcwd())
KNUMA = os.environ.get("KNUMA_TEST_BIN", os.path.join(ROOT, "tools/knuma"))


def flood(*args, env=None):
    return subprocess.run([KNUMA, "bench", "flood", *args],
                          capture_output=True, text=True, timeout=120,
                          check=False, env={**os.environ, **(env or {})})


class Flood(unittest.TestCase):
    def rows(self, *args):
        done = flood("-o", "csv", "--seconds=1", *args)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return {row["allocator"]: row
                for row in csv.DictReader(io.StringIO(done.stdout))}

    def test_knuma_keeps_its_bound(self):
        rows = self.rows("glibc")
        self.assertEqual(list(rows), ["glibc", "knuma"])
        for row in rows.values():
            self.assertGreater(int(row["queued"]), 0)
            self.assertGreater(float(row["waited_mib"]), 0)
            self.assertGreater(float(row["rss_peak_mib"]), 0)
            self.assertEqual(row["failed_because"], "")
        self.assertEqual(rows["glibc"]["bound_mib"], "")
        self.assertEqual(rows["knuma"]["call"], "kfree_rcu")
        self.assertEqual(rows["knuma"]["past_bound"], "0")
        self.assertLessEqual(float(rows["knuma"]["waited_mib"]),
                             float(rows["knuma"]["bound_mib"]))

    def test_the_table(self):
        done = flood("--seconds=1", "glibc")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("rcu_budget 16 MiB", "call_rcu", "kfree_rcu", "none"):
            self.assertIn(word, done.stdout)

    def test_wrong_usage(self):
        for args, said in ((["--seconds=0"], "1 to 3600"),
                           (["--seconds=x"], "1 to 3600"),
                           (["--seconds=4000"], "1 to 3600"),
                           (["nomalloc"], "no allocator 'nomalloc'"),
                           (["-o", "xml"], "none of text, csv"),
                           (["--nothing"], "--nothing")):
            with self.subTest(args=args):
                done = flood(*args)
                self.assertEqual(done.returncode, 2)
                self.assertIn(said, done.stderr)

    def test_help_and_version(self):
        self.assertIn("call_rcu", flood("--help").stdout)
        self.assertTrue(flood("--version").stdout.startswith("knuma "))

    def test_without_the_library(self):
        done = flood("--seconds=1", env={"KNUMA_PRELOAD": "/nowhere.so"})
        self.assertEqual(done.returncode, 2)
        self.assertIn("libknuma_malloc.so.0", done.stderr)


if __name__ == "__main__":
    unittest.main()
