#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""knuma bench: that it measures and says so; never what comes out of it."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

ROOT = os.environ.get("KNUMA_TEST_ROOT", os.getcwd())
KNUMA = os.environ.get("KNUMA_TEST_BIN", os.path.join(ROOT, "tools/knuma"))
TIMES = ("cpu_ns", "cpu_p10_ns", "cpu_p90_ns", "wall_ns", "process_cpu_ns")


def bench(*args, env=None):
    return subprocess.run([KNUMA, "bench", *args], capture_output=True,
                          text=True, timeout=120, check=False,
                          env={**os.environ, **(env or {})})


class Bench(unittest.TestCase):
    def rows(self, *args):
        """{workload: {allocator: row}} of a quick run that fails nowhere."""
        done = bench("--quick", "-o", "json", *args)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["schema"], 1)
        self.assertFalse(report["interrupted"])
        return {w["name"]: {r["allocator"]: r for r in w["rows"]}
                for w in report["workloads"]}

    def check_row(self, row):
        self.assertGreaterEqual(row["rounds"], 5)
        self.assertIsNone(row["failed"])
        for name in TIMES:
            self.assertGreater(row[name], 0, name)
        self.assertLessEqual(row["cpu_p10_ns"], row["cpu_ns"])
        self.assertLessEqual(row["cpu_ns"], row["cpu_p90_ns"])
        self.assertGreater(row["rss_peak_mib"], 0)

    def test_every_workload_measures_every_allocator(self):
        names = [line.split()[0]
                 for line in bench("--list").stdout.splitlines()]
        self.assertGreater(len(names), 10)
        if not shutil.which("redis-server"):
            names.remove("redis")
        for name, rows in self.rows(*names).items():
            names.remove(name)
            with self.subTest(workload=name):
                self.assertTrue(any(row["own"] for row in rows.values()))
                self.assertTrue(any(not row["own"] for row in rows.values()))
                for row in rows.values():
                    self.check_row(row)
        self.assertEqual(names, [])

    def test_ratios(self):
        rows = self.rows("pair-64")["pair-64"]
        others = [row for row in rows.values() if not row["own"]]
        best = min(row["cpu_ns"] for row in others)
        for row in rows.values():
            self.assertAlmostEqual(row["to_best"], row["cpu_ns"] / best, 3)
        for row in others:
            self.assertAlmostEqual(row["knuma_to_this"],
                                   rows["knuma"]["cpu_ns"] / row["cpu_ns"], 3)

    def test_knuma_alone(self):
        self.assertEqual(set(self.rows("--no-compare", "pair-16")["pair-16"]),
                         {"knuma", "knuma (kmalloc)"})

    def test_csv_and_text_have_the_rows_of_json(self):
        rows = self.rows("pair-16", "node-pair-64")
        table = csv.DictReader(io.StringIO(
            bench("--quick", "-o", "csv", "pair-16", "node-*-64").stdout))
        names = [(row["workload"], row["allocator"]) for row in table
                 if row["workload"] in rows]
        self.assertEqual(names, [(w, a) for w in rows for a in rows[w]])
        text = bench("--quick", "pair-16").stdout
        for name in rows["pair-16"]:
            self.assertIn("\n%-17s" % name, text)

    def test_usage_errors_are_two(self):
        for args, word in ((("banana",), "'banana'"),
                           (("--runs", "4", "pair-16"), "'4'"),
                           (("--runs", "x", "pair-16"), "'x'"),
                           (("-o", "prom"), "'prom'"),
                           (("--banana",), "--banana")):
            done = bench(*args)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stdout, "")
            first, second = done.stderr.splitlines()
            self.assertIn(word, first)
            self.assertIn("--help", second)

    def test_without_the_library(self):
        done = bench("pair-16", env={"KNUMA_PRELOAD": "/no/library.so"})
        self.assertEqual(done.returncode, 2)
        self.assertIn("libknuma_malloc.so.0", done.stderr)

    def test_an_interrupt_leaves_what_was_measured(self):
        with subprocess.Popen([KNUMA, "bench", "-o", "json", "--runs", "1000",
                               "start-up", "pair-16"],
                              stdout=subprocess.PIPE, text=True) as process:
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 2)
        report = json.loads(out)
        self.assertTrue(report["interrupted"])
        self.assertEqual(len(report["workloads"]), 1)


if __name__ == "__main__":
    unittest.main()
