#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""knuma bench: that it measures and says so; never what comes out of it."""

import csv
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = os.environ.get("KNUMA_TEST_ROOT", os.getcwd())
KNUMA = os.environ.get("KNUMA_TEST_BIN", os.path.join(ROOT, "tools/knuma"))
TIMES = ("cpu_ns", "cpu_p10_ns", "cpu_p90_ns", "wall_ns", "process_cpu_ns")


def bench(*args, env=None):
    return subprocess.run([KNUMA, "bench", *args], capture_output=True,
                          text=True, timeout=240, check=False,
                          env={**os.environ, **(env or {})})


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


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

    def workloads(self):
        done = bench("--list", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["workloads"]

    def test_every_loop_and_program_measures(self):
        """One workload of each loop; the others are rows of the same code."""
        loops = {w["name"] if w["loop"] == "none" else w["loop"]: w["name"]
                 for w in reversed(self.workloads()) if not w["long"]}
        self.assertGreater(len(loops), 20)
        for name, program in (("redis", "redis-server"),
                              ("sqlite", "sqlite3"), ("python3", "python3")):
            if not shutil.which(program):
                del loops[name]
        names = list(loops.values())
        for name, rows in self.rows("--compare=glibc", *names).items():
            names.remove(name)
            with self.subTest(workload=name):
                self.assertTrue(any(row["own"] for row in rows.values()))
                # Only knuma knows fake nodes.
                self.assertEqual(any(not row["own"] for row in rows.values()),
                                 name != "node-other-64")
                for row in rows.values():
                    self.check_row(row)
                    self.check_latencies(row, name == loops["tail"])
                    # Only a library of --config=counts counts.
                    self.assertNotIn("counts_per_1000", row)
        self.assertEqual(names, [])

    def check_latencies(self, row, has_them):
        times = [row["latency_%s_ns" % p]
                 for p in ("p50", "p90", "p99", "p999", "p9999", "max")]
        if not has_them:
            self.assertEqual(times, [None] * 6)
            return
        self.assertGreater(times[-1], 0)
        self.assertEqual(times, sorted(times))

    def test_every_installed_allocator_is_measured(self):
        done = bench("--quick", "-o", "json", "pair-16", "start-up")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        there = {name for name, library in report["libraries"].items()
                 if library and "(" not in name}
        self.assertIn("glibc", there)
        for w in report["workloads"]:
            others = {r["allocator"] for r in w["rows"] if not r["own"]}
            self.assertEqual(others, there - {
                "knuma", "alloc_pages", "vmalloc", "kmem_cache bulk",
                "kfree_rcu", "kmalloc_node", "numa_alloc_onnode", "memkind"})
            for row in w["rows"]:
                self.check_row(row)

    def test_the_list_has_the_workloads_of_the_field(self):
        rows = self.workloads()
        names = [w["name"] for w in rows]
        self.assertEqual(len(names), len(set(names)))
        batches = {(w["n"], w["loop"], w["size_bytes"]) for w in rows
                   if w["name"].startswith("batch-")}
        for n in 100, 10000:
            for loop in "batch", "lifo", "shuffle":
                sizes = {s for a, b, s in batches if (a, b) == (n, loop)}
                self.assertLessEqual({8, 64, 4096, 2 << 20, 64 << 20}, sizes)
        self.assertLessEqual(
            {8, 64, 1000}, {w["n"] for w in rows if w["loop"] == "server"
                            and w["cpus"] == 2})
        touched = {w["size_bytes"] for w in rows if w["loop"] == "touch"}
        self.assertLessEqual({64 << 10, 64 << 20}, touched)
        table = list(csv.DictReader(io.StringIO(
            bench("--list", "-o", "csv").stdout)))
        self.assertEqual([row["name"] for row in table], names)
        text = bench("--list").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in text], names)
        self.assertEqual([" (long) " in line for line in text],
                         [w["long"] for w in rows])

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

    def test_settings_of_the_environment_are_those_of_the_measured(self):
        """Seen by a mistake, which each process of knuma's rows names once."""
        done = bench("--quick", "-o", "json", "--compare=glibc", "pair-64",
                     env={"KNUMA_RSEQ": "perhaps"})
        rounds = [r["rounds"] for w in json.loads(done.stdout)["workloads"]
                  for r in w["rows"] if r["allocator"] != "glibc"]
        self.assertEqual(len(rounds), 2)
        self.assertEqual(done.stderr.count("KNUMA_RSEQ: rseq = perhaps"),
                         sum(rounds), done.stderr)

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
                           (("--compare=banana", "pair-16"), "'banana'"),
                           (("--cpus=x", "pair-16"), "'x'"),
                           (("--cpus=8191", "pair-16"), "--cpus=8191"),
                           (("--report=/dev/null/x", "pair-16"),
                            "/dev/null/x"),
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

    def test_cpus_that_are_there_and_one_that_is_not(self):
        mine = sorted(os.sched_getaffinity(0))
        self.rows("--no-compare", "--cpus=%d" % mine[0], "pair-16")
        done = bench("--cpus=%d,8191" % mine[0], "pair-16")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--cpus=%d,8191: this process may run on %d" %
                      (mine[0], mine[0]), done.stderr)

    def test_compare_takes_those_that_are_named(self):
        rows = self.rows("--compare=glibc", "pair-16")["pair-16"]
        self.assertEqual(set(rows), {"glibc", "knuma", "knuma (kmalloc)"})

    def test_compare_says_what_is_missing_and_where_to_get_it(self):
        with tempfile.TemporaryDirectory() as folder:
            # A file that is no library hides the one of the system.
            for name in ("libjemalloc.so.2", "libtbbmalloc_proxy.so.2"):
                with open(os.path.join(folder, name), "wb"):
                    pass
            env = {"LD_LIBRARY_PATH": folder}
            for option, package in (("--compare=jemalloc", "libjemalloc2"),
                                    ("--compare=glibc,tbbmalloc",
                                     "libtbbmalloc2")):
                done = bench(option, "pair-16", env=env)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(done.stdout, "")
                self.assertIn("apt-get install %s\n" % package, done.stderr)
            # All of them are wanted: the first that is missing is said.
            self.assertEqual(bench("--compare", "pair-16", env=env).returncode,
                             2)
            # Without the option they are passed over, with a message.
            done = bench("--quick", "-o", "csv", "pair-16", env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("tbbmalloc (libtbbmalloc2)", done.stderr)
            self.assertNotIn("tbbmalloc", done.stdout)

    def test_a_round_that_fails_says_why_and_the_others_go_on(self):
        def no_room():
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        done = subprocess.run(
            [KNUMA, "bench", "--quick", "--compare=glibc", "pair-16",
             "batch-100-64m-fifo"], capture_output=True, text=True,
            timeout=240, check=False, preexec_fn=no_room)
        self.assertEqual(done.returncode, 1, done.stderr)
        small, large = done.stdout.split("\nbatch-100-64m-fifo: ")
        self.assertNotIn("failed", small)
        for name in "glibc", "knuma":
            self.assertRegex(large, r"(?m)^%s +failed: no memory$" % name)

    def test_the_report(self):
        with tempfile.TemporaryDirectory() as parent:
            folder = os.path.join(parent, "new")
            done = bench("--quick", "--compare=glibc", "--report", folder,
                         "pair-16", "tail-8")
            self.assertEqual(done.returncode, 0, done.stderr)
            text = {name: read(os.path.join(folder, "bench." + name))
                    for name in ("html", "txt", "csv", "json")}
        self.assertEqual(text["txt"], done.stdout)
        rows = {w["name"]: [r["allocator"] for r in w["rows"]]
                for w in json.loads(text["json"])["workloads"]}
        self.assertEqual(list(rows), ["pair-16", "tail-8"])
        table = csv.DictReader(io.StringIO(text["csv"]))
        self.assertEqual([(r["workload"], r["allocator"]) for r in table],
                         [(w, a) for w in rows for a in rows[w]])
        for name in rows:
            self.assertIn('<h3 id="%s">' % name, text["html"])
        if shutil.which("gnuplot"):
            # CPU time, memory, and latencies.
            self.assertEqual(text["html"].count("<svg"), 3)
        else:
            self.assertIn("gnuplot is not installed", text["html"])

    def test_a_page_without_gnuplot_has_the_tables(self):
        with tempfile.TemporaryDirectory() as folder:
            done = bench("--quick", "--compare=glibc", "--report", folder,
                         "pair-16", env={"PATH": folder})
            self.assertEqual(done.returncode, 0, done.stderr)
            page = read(os.path.join(folder, "bench.html"))
        self.assertNotIn("<svg", page)
        self.assertIn("gnuplot is not installed", page)
        self.assertIn('<h3 id="pair-16">', page)

    def test_a_full_disk_ends_the_run_and_keeps_the_rest(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run(
                [KNUMA, "bench", "--quick", "--no-compare", "pair-16"],
                stdout=full, stderr=subprocess.PIPE, text=True, timeout=120,
                check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("standard output: No space left on device", done.stderr)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "bench.html")
            os.symlink("/dev/full", path)
            done = bench("--quick", "--no-compare", "--report", folder,
                         "pair-16")
            self.assertEqual(done.returncode, 2)
            self.assertIn(path + ": No space left on device", done.stderr)
            self.assertIn("\npair-16,knuma,",
                          read(os.path.join(folder, "bench.csv")))
            self.assertIn("\npair-16:", done.stdout)

    def test_an_interrupt_leaves_what_was_measured(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "bench.csv")
            with subprocess.Popen([KNUMA, "bench", "-o", "json", "--runs",
                                   "1000", "--no-compare", "--report", folder,
                                   "start-up", "pair-16"],
                                  stdout=subprocess.PIPE, text=True) as process:
                # The head is written when everything has been found.
                while not os.path.exists(path) or not read(path):
                    time.sleep(0.05)
                process.send_signal(signal.SIGINT)
                out, _ = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 2)
            report = json.loads(out)
            self.assertTrue(report["interrupted"])
            # The first has 15,000 rounds; the signal may come before it.
            self.assertLessEqual(len(report["workloads"]), 1)
            self.assertIn("Interrupted", read(os.path.join(folder,
                                                           "bench.html")))


if __name__ == "__main__":
    unittest.main()
