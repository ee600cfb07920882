#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""knuma bench numa and knuma bench locality.

Formats, what they say of one node and of fake ones, how they count, what an
interrupt leaves; never what comes out of a measurement.
"""

import csv
import html.parser
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
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
            self.check_refused("numa", args, word)

    def test_a_report_that_cannot_be_written_is_refused_at_once(self):
        self.check_refused("locality", ["--report", "/tmp"], "--report")
        self.check_refused("numa", ["--report", "/dev/null"], "/dev/null: ")
        self.check_refused("numa", ["--report", "/no/such/folder"],
                           "/no/such/folder: ")

    def test_the_command_comes_first(self):
        for command in "numa", "locality":
            done = bench("--quick", command)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("write `knuma bench %s' first" % command,
                          done.stderr)

    def test_help_and_version(self):
        for command in "numa", "locality":
            done = bench(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertTrue(
                done.stdout.startswith("Usage: knuma bench %s " % command))
            self.assertRegex(bench(command, "--version").stdout, r"^knuma \d")

    def test_without_the_library(self):
        for command in "numa", "locality":
            done = bench(command, env={"KNUMA_PRELOAD": "/no/library.so"})
            self.assertEqual((done.returncode, done.stdout), (2, ""))
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

    def test_fake_nodes_are_not_measurable(self):
        done = bench("locality", "-o", "json", env={"KNUMA_FAKE_NODES": "4"})
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        report = json.loads(done.stdout)
        self.assertEqual(len(report["nodes"]), 4)
        self.assertTrue(report["fake_nodes"])
        self.assertFalse(report["measurable"])
        self.assertTrue(any("made up" in n for n in report["notes"]))


class Page(html.parser.HTMLParser):
    """What a page has: text, tables of values, and addresses it refers to."""

    VOID = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.text = [], [], ""
        self.cells = self.pictures = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.cells += tag == "td" and "style" in dict(attrs)
        self.pictures += tag == "svg"
        self.links += [v for k, v in attrs
                       if k in ("src", "href") or
                       k == "xlink:href" and not v.startswith("#")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_data(self, data):
        self.text += data


class Numa(unittest.TestCase):
    MEASURES = ["small", "area", "page", "remote", "latency", "read", "copy"]

    def quick(self, *args, env=None, code=0):
        done = bench("numa", "--quick", "-o", "json", *args, env=env)
        self.assertEqual((done.returncode, done.stderr), (code, ""))
        return json.loads(done.stdout)

    def check_measured(self, report):
        """Each cell has a value, and the p99 is not the better one."""
        for measure in report["measures"]:
            self.assertTrue(measure["cells"], measure["name"])
            for cell in measure["cells"]:
                self.assertIsNone(cell["failed"])
                self.assertGreaterEqual(cell["samples"], 5)
                low, high = cell["median"], cell["p99"]
                if measure["unit"] == "GB/s":
                    low, high = high, low
                self.assertGreater(low, 0)
                self.assertLessEqual(low, high)

    def test_every_pair_is_measured(self):
        report = self.quick()
        self.check_measured(report)
        self.assertEqual([m["name"] for m in report["measures"]],
                         self.MEASURES)
        self.assertEqual(report["one_node"], len(report["nodes"]) == 1)
        rows = [n["id"] for n in report["nodes"] if n["cpus"]]
        columns = [n["id"] for n in report["nodes"] if n["memory"]]
        for measure in report["measures"]:
            if measure["name"] == "remote":
                continue
            self.assertEqual(
                [(c["allocator"], c["row"], c["column"])
                 for c in measure["cells"]],
                [(a, r, c) for a in report["libraries"] for r in rows
                 for c in columns])
        self.assertEqual(next(iter(report["libraries"])), "knuma")
        self.assertEqual(set(report["measures"][0]["calls"]),
                         set(report["libraries"]))

    def test_a_chosen_node_is_the_one_that_is_measured(self):
        report = self.quick("--nodes", str(NODE))
        self.assertEqual([n["id"] for n in report["nodes"]], [NODE])
        self.assertTrue(report["one_node"])
        self.assertTrue(any(n.startswith("One node: the matrix was not "
                                         "measured")
                            for n in report["notes"]), report["notes"])
        latency = report["measures"][self.MEASURES.index("latency")]
        for cell in latency["cells"]:
            self.assertEqual((cell["row"], cell["column"]), (NODE, NODE))
            # move_pages may be denied; then nothing is claimed.
            self.assertIn(cell["off_node_percent"], (0, None))

    def test_fake_nodes_are_labelled_in_each_format(self):
        env = {"KNUMA_FAKE_NODES": "2"}
        report = self.quick(env=env)
        self.check_measured(report)
        self.assertTrue(report["fake_nodes"])
        self.assertEqual(list(report["libraries"]), ["knuma"])
        self.assertEqual(len(report["nodes"]), 2)
        text = bench("numa", "--quick", env=env).stdout
        self.assertIn("\nFake nodes: ", text)
        rows = csv.DictReader(io.StringIO(
            bench("numa", "--quick", "-o", "csv", env=env).stdout))
        self.assertEqual({row["remark"] for row in rows}, {"fake nodes"})

    def test_nodes_without_a_pair_are_refused(self):
        # More CPUs than there are: the second node has none of this machine.
        env = {"KNUMA_FAKE_NODES": "pack:2 numa:1 pu:1024"}
        nodes = self.quick(env=env)["nodes"]
        empty = [n["id"] for n in nodes if not n["cpus"]]
        self.assertTrue(empty)
        done = bench("numa", "--nodes", str(empty[0]), env=env)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("none of them has CPUs", done.stderr)

    def report(self, *args, env=None):
        """{file: text} of --report."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report")
            done = bench("numa", "--quick", "--report", path, *args, env=env)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            files = {}
            for name in os.listdir(path):
                with open(os.path.join(path, name), encoding="utf-8") as f:
                    files[name] = f.read()
            self.assertEqual(done.stdout, files["numa.txt"])
            return files

    def test_report_has_the_same_cells_in_each_file(self):
        files = self.report()
        self.assertEqual(sorted(files), ["numa.csv", "numa.html", "numa.json",
                                         "numa.txt"])
        report = json.loads(files["numa.json"])
        cells = [(m["name"], c["allocator"], str(c["row"]), str(c["column"]),
                  str(c["samples"]), float(c["median"]))
                 for m in report["measures"] for c in m["cells"]]
        table = csv.DictReader(io.StringIO(files["numa.csv"]))
        self.assertEqual(
            [(r["measure"], r["allocator"], r["row"], r["column"],
              r["samples"], float(r["median"])) for r in table], cells)
        page = Page(files["numa.html"])
        self.assertEqual(page.cells, len(cells))
        for note in report["notes"]:
            self.assertIn(note, page.text)
            self.assertIn(note, files["numa.txt"])

    def test_a_file_that_cannot_be_written_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink("/dev/full", os.path.join(folder, "numa.csv"))
            os.mkdir(os.path.join(folder, "numa.html"))
            done = bench("numa", "--quick", "--report", folder)
            self.assertEqual(done.returncode, 2)
            lines = sorted(done.stderr.splitlines())
            self.assertEqual(len(lines), 2)
            self.assertIn("/numa.csv: No space left on device", lines[0])
            self.assertIn("/numa.html: Is a directory", lines[1])
            with open(os.path.join(folder, "numa.json"),
                      encoding="utf-8") as f:
                self.check_measured(json.load(f))

    def test_pages_of_the_buffer_are_counted_against_the_node_asked(self):
        report = self.quick("--nodes", str(NODE))
        if "libnuma" not in report["libraries"]:
            self.skipTest("no libnuma here")
        names = ["small", "area", "page", "remote", "latency"]
        for node, is_right in (NODE, True), (1000, False):
            # 3: KN_CALLS_numa of bench/peer.h.
            done = bench("--child", "cell", "3",
                         report["libraries"]["libnuma"],
                         str(1 << names.index("latency")), str(1 << 20), "1",
                         "%d:%d" % (NODE, CPU), "%d:-" % node, text=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            pages, elsewhere, _ = struct.unpack("3Q", done.stdout[-24:])
            self.assertEqual(pages, (1 << 20) // os.sysconf("SC_PAGE_SIZE"))
            if not is_right:
                self.assertEqual(elsewhere, pages)
            elif len(NODES) == 1:
                self.assertEqual(elsewhere, 0)

    def test_page_stands_alone(self):
        page = Page(self.report()["numa.html"])
        self.assertEqual((page.open, page.links), ([], []))
        first = page.text.split("Nodes against nodes")[1].strip()
        first = first.split("\n")[0]
        for word in "knuma ", os.uname().release, "node %d" % NODE, "Measured":
            self.assertIn(word, first)

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot here")
    def test_page_has_a_plot_of_each_measure(self):
        page = Page(self.report()["numa.html"])
        self.assertEqual(page.pictures, len(self.MEASURES))
        self.assertNotIn("No plots", page.text)

    def page_with(self, gnuplot):
        """The page when gnuplot is this shell script."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "gnuplot")
            with open(path, "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\n" + gnuplot)
            os.chmod(path, 0o755)
            env = {"PATH": folder + ":" + os.environ["PATH"]}
            return Page(self.report(env=env)["numa.html"])

    def test_page_has_what_gnuplot_draws_from_each_script(self):
        page = self.page_with("""
grep -q '^set terminal svg' "$1" && grep -q '^plot' "$1" || exit 1
echo '<?xml version="1.0"?>'
echo '<svg><text>'; grep -c 'END$' "$1"; echo '</text></svg>'
""")
        self.assertEqual((page.pictures, page.open),
                         (len(self.MEASURES), []))
        self.assertNotIn("<?xml", page.text)
        self.assertNotIn("No plots", page.text)

    def test_page_without_plots_says_so_when_gnuplot_fails(self):
        for script in "exit 1\n", "echo 'no picture'\n":
            page = self.page_with(script)
            self.assertEqual((page.pictures, page.open), (0, []))
            self.assertIn("could not draw", page.text)

    def test_page_without_gnuplot_says_so(self):
        page = Page(self.report(env={"PATH": "/no/path"})["numa.html"])
        self.assertEqual(page.pictures, 0)
        self.assertIn("No plots: gnuplot is not installed", page.text)

    def test_an_interrupt_leaves_what_was_measured(self):
        with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
                [KNUMA, "bench", "numa", "--runs", "1000", "-o", "json",
                 "--progress", "--report", folder],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True) as process:
            # The second pair has begun: the first has a round.
            nr = len(NODES) ** 2
            line = ""
            while not re.search(r"pair ([2-9]|\d\d)", line):
                line = process.stderr.readline()
                self.assertRegex(
                    line, r"^knuma bench: numa, pair \d+ of \d+\n$")
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=100)
            self.assertEqual(process.returncode, 2)
            report = json.loads(out)
            with open(os.path.join(folder, "numa.json"),
                      encoding="utf-8") as f:
                self.assertEqual(json.load(f), report)
            with open(os.path.join(folder, "numa.html"),
                      encoding="utf-8") as f:
                self.assertIn("Interrupted: ", Page(f.read()).text)
        self.assertTrue(report["interrupted"])
        cells = report["measures"][0]["cells"]
        self.assertGreaterEqual(len(cells), nr)
        self.assertGreater(cells[0]["samples"], 0)
        self.assertTrue(all(c["failed"] is None for c in cells))

    def test_a_child_that_fails_is_named_and_the_others_go_on(self):
        with tempfile.TemporaryDirectory() as folder:
            # A library of the right name that has none of the calls.
            broken = os.path.join(folder, "libmemkind.so.0")
            with open(os.path.join(folder, "x.c"), "w",
                      encoding="utf-8") as f:
                f.write("int memkind_create_fixed(void){return 1;}\n")
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", broken,
                            os.path.join(folder, "x.c")], check=True,
                           timeout=60)
            done = bench("numa", "--quick", "-o", "json",
                         env={"LD_LIBRARY_PATH": folder})
        self.assertEqual(done.returncode, 1)
        self.assertIn("memkind_malloc", done.stderr)
        for measure in json.loads(done.stdout)["measures"]:
            for cell in measure["cells"]:
                if cell["allocator"] == "memkind":
                    self.assertIn("exit code 1", cell["failed"])
                    self.assertIsNone(cell["median"])
                else:
                    self.assertIsNone(cell["failed"])
                    self.assertGreater(cell["median"], 0)


if __name__ == "__main__":
    unittest.main()
