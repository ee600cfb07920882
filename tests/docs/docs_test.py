#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the documentation says, against what is there.

Links lead somewhere, the program of README.md runs, and settings, statistics,
commands and functions that are named exist.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.getcwd()
KNUMA = os.path.join(ROOT, "tools/knuma")
PAGES = sorted(glob.glob("*.md") + glob.glob("docs/**/*.md", recursive=True))
MAN = sorted(glob.glob("docs/man/*"))
MADE = sorted(glob.glob("man3/*"))

# Exported for what is compiled into programs and for the preload library.
NO_CALLS = {"knuma_hot_1", "knuma_free_slow", "knuma_freed", "knuma_thread_created",
            "knuma_thread_refused"}


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def knuma(*args):
    return subprocess.run([KNUMA, *args], check=True, capture_output=True,
                          text=True, timeout=60).stdout


def defaults():
    """Setting -> built-in value, as text."""
    return dict(re.findall(r"(?m)^#(\w+) = ?(.*)$", knuma("conf", "dump")))


def anchor(heading):
    """As the usual viewers of Markdown make it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


class Links(unittest.TestCase):
    def test_the_pages_are_here(self):
        for page in ("README.md", "docs/README.md", "docs/design/slab.md"):
            self.assertIn(page, PAGES)

    def test_relative_links_lead_somewhere(self):
        for page in PAGES:
            text = re.sub(r"(?ms)^```.*?^```", "", read(page))
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, fragment = target.partition("#")
                path = os.path.normpath(
                    os.path.join(os.path.dirname(page), path)) if path else page
                self.assertTrue(os.path.exists(path), (page, target))
                if fragment:
                    heads = re.findall(r"(?m)^#+ (.*)$", read(path))
                    self.assertIn(fragment, map(anchor, heads), (page, target))

    def test_each_page_is_in_the_map(self):
        listed = read("docs/README.md")
        for page in PAGES:
            if page.startswith("docs/") and page != "docs/README.md":
                self.assertIn("(%s)" % page[len("docs/"):], listed)


class Readme(unittest.TestCase):
    def setUp(self):
        self.text = read("README.md")

    def test_it_is_short(self):
        self.assertLess(len(self.text.splitlines()), 200)

    def test_it_leads_to_each_howto(self):
        pages = [p for p in PAGES if p.startswith("docs/howto/")]
        self.assertGreater(len(pages), 5)
        for page in pages:
            self.assertIn("(%s" % page, self.text)

    def test_its_program_runs(self):
        source, = re.findall(r"(?ms)^```c\n(.*?)^```", self.text)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "first.c")
            with open(path, "w", encoding="utf-8") as f:
                f.write(source)
            for compiler in "gcc", "clang":
                program = os.path.join(folder, compiler)
                subprocess.run(
                    [compiler, "-std=c11", "-pedantic", "-Wall", "-Wextra",
                     "-Werror", "-O2", "-Iinclude", path, "-o", program,
                     "libknuma.so.0", "-Wl,-rpath," + ROOT],
                    check=True, timeout=60)
                out = subprocess.run([program], check=True, timeout=60,
                                     capture_output=True, text=True).stdout
                pages = (1 << 20) // os.sysconf("SC_PAGE_SIZE")
                self.assertRegex(out, r"^%d pages on node \d+\n$" % pages)

    def test_its_first_words_are_those_of_the_figures(self):
        head = self.text.split("\n## ")[0]
        rows = {name: cells.split("|") for name, cells in re.findall(
            r"(?m)^\| `([\w-]+)` \|(.*)\|$", self.text)}
        self.assertIn("a thousandth of the CPU time of `numa_alloc_onnode`",
                      head)
        self.assertAlmostEqual(float(rows["node-touch-64"][4]), 0.001, 3)
        self.assertIn("thirds of glibc's CPU time, and more than gperftools'",
                      head)
        self.assertAlmostEqual(float(rows["pair-64"][0]), 2 / 3, delta=0.1)
        self.assertGreater(float(rows["pair-64"][3]), 1)

    def test_the_commands_of_its_blocks_exist(self):
        blocks = "".join(re.findall(r"(?ms)^```\w*\n(.*?)^```", self.text))
        names = set(re.findall(r"(?m)(?:^|; |bin/)knuma ([a-z]+)", blocks))
        self.assertLessEqual({"run", "stat", "top", "topology"}, names)
        self.assertLessEqual(names, set(re.findall(
            r"(?m)^  (\w+) {2,}\S", knuma("--help"))))

    def test_its_settings_are_the_built_in_ones(self):
        rows = re.findall(r"(?m)^\| `(\w+)` \| `(\w+)` \|", self.text)
        self.assertGreater(len(rows), 5)
        for name, value in rows:
            self.assertEqual(defaults().get(name), value, name)


class Manual(unittest.TestCase):
    def test_the_pages_are_here(self):
        for page in "knuma.1", "knuma.conf.5", "knuma.7":
            self.assertIn("docs/man/" + page, MAN)

    def test_knuma_conf_has_each_setting(self):
        rows = dict(re.findall(r"(?m)^\\fB(\w+)\\fR = (.*?)(?: \*)?$",
                               read("docs/man/knuma.conf.5")))
        rows = {k: v.replace("\\-", "-") for k, v in rows.items()}
        want = {k: v or "(empty)" for k, v in defaults().items()}
        self.assertEqual(rows, want)

    def test_knuma_conf_says_of_each_setting_what_the_tables_say(self):
        page = read("docs/man/knuma.conf.5").replace("\\-", "-")
        tables = read("docs/reference/settings.md").split("\n## ")
        rows = re.findall(r"(?m)^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| "
                          r"(.*) \|$", tables[0])
        self.assertEqual([row[0] for row in rows], list(defaults()))
        for name, _, values, changes, about in rows:
            text = re.search(
                r"(?ms)^\.TP\n\\fB%s\\fR = [^\n]*?( \*)?\n(.*?)^\.(TP|SH)"
                % name, page)
            self.assertEqual(bool(text.group(1)), changes == "any time", name)
            self.assertTrue(text.group(2).lower().startswith(
                about.lower() + ".\n"), (name, about))
            if not values.startswith("a number of nodes"):
                self.assertIn(values.lower() + ".", text.group(2).lower())
        profiles = re.findall(r"(?m)^\| `([\w-]+)` \| (`.*`) \| (.*) \| (.*) "
                              r"\|$", tables[1])
        self.assertGreater(len(profiles), 3)
        for name, cells, use, cost in profiles:
            self.assertIn(".B %s\nFor %s: %s.\nCost: %s.\n" % (
                name, use, cells.replace("`", ""), cost), page)
        keys = re.findall(r"(?m)^\| `(\w+)` \| (.*?) \| (.*) \|$", tables[2])
        self.assertGreater(len(keys), 3)
        for name, values, about in keys:
            self.assertIn(".B %s\n%s%s.\n%s.\n" % (
                name, about[0].upper(), about[1:], values), page)

    def test_knuma_run_names_each_profile(self):
        table = read("docs/reference/settings.md").split("\n## ")[1]
        names = re.findall(r"(?m)^\| `([\w-]+)` \| `", table)
        self.assertIn("numa-strict", names)
        said = "et several at once: %s or %s" % (", ".join(names[:-1]),
                                                 names[-1])
        self.assertIn(" s" + said,
                      " ".join(knuma("run", "--help").split()))
        self.assertIn("\nS%s, see\n" % said,
                      read("docs/man/knuma.1").replace("\\-", "-"))

    def test_the_reference_of_settings_is_the_tables(self):
        self.assertEqual(
            read("docs/reference/settings.md"), read("tools/settings.md"),
            "./bazelw run //tools:gen_conf -- --reference "
            ">docs/reference/settings.md")

    def test_the_reference_of_kernel_calls_is_the_headers(self):
        page = read("docs/reference/kernel-calls.md")
        self.assertEqual(
            page, read("tools/man/kernel-calls.md"),
            "./bazelw build //tools/man:kernel-calls; "
            "cp bazel-bin/tools/man/kernel-calls.md docs/reference")
        there, _, left_out = page.partition("## Left out")
        for name in "kmalloc_node", "alloc_pages_node", "__vmalloc_node":
            self.assertIn("`%s`" % name, there)
        self.assertIn("`vmap`", left_out)

    def test_the_synopsis_has_each_form(self):
        synopsis = re.search(r"(?s)\.SH SYNOPSIS\n(.*?)\.SH",
                             read("docs/man/knuma.1")).group(1)
        forms = re.findall(r"(?m)^(?:Usage:|  or: ) knuma bench (\w+)",
                           knuma("bench", "--help"))
        self.assertIn("flood", forms)
        for form in forms:
            self.assertIn("\\fBknuma bench %s\\fR" % form, synopsis)

    def test_knuma_has_each_command_and_option(self):
        page = read("docs/man/knuma.1").replace("\\-", "-")
        commands = re.findall(r"(?m)^  (\w+) {2,}\S", knuma("--help"))
        self.assertIn("run", commands)
        for command in commands:
            self.assertIn("\n.SS knuma %s\n" % command, page)
        for command in commands:
            if command == "bench":
                continue
            for short, option in re.findall(r"(?m)^ +(?:(-\w), )?(--[\w-]+)",
                                            knuma(command, "--help")):
                if option not in ("--usage", "--help", "--version"):
                    self.assertRegex(page.replace("\\fB", ""), "%s\\b" % (
                        short or option), (command, option))

    def test_knuma_bench_has_each_option_and_measure(self):
        page = read("docs/man/knuma-bench.1").replace("\\-", "-")
        for command in [], ["numa"], ["locality"], ["flood"]:
            options = re.findall(r"(?m)^ +(?:-o, )?(--[\w-]+)",
                                 knuma("bench", *command, "--help"))
            self.assertIn("--output", options)
            for option in options:
                self.assertIn(option, page)
        cells = knuma("bench", "numa", "--quick", "-o", "csv").splitlines()[1:]
        self.assertEqual(
            list(dict.fromkeys(row.split(",")[0] for row in cells)),
            re.findall(r"(?m)^\.TP\n\.B ([a-z]+)$", page))

    def test_functions_are_declared(self):
        headers = "".join(read(h) for h in glob.glob("include/knuma/*.h"))
        for page in MAN:
            if not page.endswith(".3knuma"):
                continue
            names = re.search(r"(?m)^\.SH NAME\n(.*) \\- ", read(page)).group(1)
            for name in names.split(", "):
                self.assertRegex(headers, r"\b%s\(" % name, page)

    def test_each_exported_function_has_a_page(self):
        symbols = subprocess.run(
            ["nm", "-D", "--defined-only", "libknuma.so.0"], check=True,
            capture_output=True, text=True, timeout=60).stdout
        names = set(re.findall(r" [A-Z] (knuma_\w+)", symbols))
        self.assertGreater(len(names), 80)
        pages = {os.path.basename(p)[:-len(".3knuma")] for p in MAN + MADE
                 if p.endswith(".3knuma")}
        missing = {n for n in names
                   if n not in pages and n[len("knuma_"):] not in pages}
        self.assertEqual(missing, NO_CALLS)

    def test_links_between_pages_lead_somewhere(self):
        pages = {os.path.basename(p) for p in MAN + MADE}
        for page in MAN + MADE:
            text = read(page)
            for target in re.findall(r"(?m)^\.so man3/(.*)$", text):
                self.assertIn(target, pages, page)
            for name, section in re.findall(
                    r"(?m)^\.BR (\S+) \((\d+knuma)\)", text):
                self.assertIn("%s.%s" % (name.replace("\\-", "-"), section),
                              pages, page)

    def test_made_pages_are_of_functions_and_structures(self):
        self.assertIn("man3/knuma_alloc_tag.3knuma", MADE)
        self.assertNotIn("man3/__attribute__.3knuma", MADE)

    def test_made_pages_have_the_parts_of_their_comments(self):
        for page in MADE:
            text = read(page)
            if text.startswith(".so "):
                continue
            heads = re.findall(r"(?m)^\.SH (.*)$", text)
            self.assertEqual(heads[:2], ["NAME", "SYNOPSIS"], page)
            self.assertEqual(heads[-1], "SEE ALSO", page)
            self.assertFalse(re.search(r"\bKN_[A-Z]+|static inline|@\w",
                                       text), page)
        page = read("man3/kmalloc_node.3knuma")
        for part in ("void *kmalloc_node(size_t size, gfp_t gfp, int node);",
                     ".SH ERRORS\n\\fBENOMEM\\fR when", "\\fInode\\fR"):
            self.assertIn(part, page)

    @unittest.skipUnless(shutil.which("groff"), "no groff here")
    def test_groff_has_nothing_to_say(self):
        for page in MAN:
            done = subprocess.run(
                ["groff", "-t", "-man", "-ww", "-Tutf8", page], check=True,
                capture_output=True, text=True, timeout=60)
            self.assertEqual(done.stderr, "", page)
        made = [p for p in MADE if not read(p).startswith(".so ")]
        self.assertGreater(len(made), 80)
        done = subprocess.run(
            ["groff", "-man", "-ww", "-z", "-Tutf8", *made], check=True,
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "")


class Flags(unittest.TestCase):
    """docs/reference/gfp.md against include/knuma/gfp.h."""

    def setUp(self):
        self.header = read("include/knuma/gfp.h")
        self.page = read("docs/reference/gfp.md")

    def test_each_flag_has_a_row_of_its_effect(self):
        rows = dict(re.findall(r"(?m)^\| `(__GFP_\w+)` \| (\w+) \|", self.page))
        flags, effect = {}, None
        for comment, flag in re.findall(
                r"/\*(.*?)\*/|#define (__GFP_\w+)\s+\(\(gfp_t\)1 << \d+\)",
                self.header, re.S):
            if comment:
                effect = "honoured" if "Honoured." in comment else "ignored"
            else:
                flags[flag] = effect
        self.assertEqual(len(flags), 27)
        self.assertEqual(rows, flags)

    def test_combinations_are_those_of_the_header(self):
        rows = re.findall(r"(?m)^\| `(GFP_\w+)` \| (.*?) \|", self.page)
        defined = re.findall(r"(?m)^#define (GFP_\w+)", self.header)
        self.assertEqual([name for name, _ in rows], defined)
        checks = []
        for name, parts in rows:
            plus, _, minus = parts.partition(", without ")
            plus, minus = (re.findall(r"`(\w+)`", s) for s in (plus, minus))
            checks.append("_Static_assert(%s == ((%s) & ~(%s)), \"%s\");" % (
                name, " | ".join(plus), " | ".join(minus) or "0u", name))
        done = subprocess.run(
            ["gcc", "-std=c11", "-Iinclude", "-fsyntax-only", "-xc", "-"],
            input="#include <knuma/gfp.h>\n" + "\n".join(checks) + "\n",
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_what_is_rejected(self):
        shift = int(re.search(r"__GFP_BITS_SHIFT\s+(\d+)",
                              self.header).group(1))
        self.assertIn("Bits %d to 30 are rejected" % (shift + 1), self.page)


class Sentences(unittest.TestCase):
    def test_each_of_the_headers_has_a_check(self):
        done = subprocess.run([sys.executable, "tests/api/unchecked.py"],
                              check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


class Design(unittest.TestCase):
    def test_statistics_that_are_named_exist(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "stat")
            knuma("run", "--stat-file", path, "--", "ls", "/")
            known = {row.split(",")[0]
                     for row in knuma("stat", "-o", "csv", path).splitlines()}
        page = read("docs/design/config-and-stats.md")
        table = re.search(r"(?ms)^\| family \|.*?\n\n", page).group(0)
        names = re.findall(r"`(\w+)(\*?)`", table)
        self.assertGreater(len(names), 20)
        for name, star in names:
            self.assertTrue(
                any(k == name or star and k.startswith(name) for k in known),
                name)

    @unittest.skipUnless(
        subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True,
                       check=False).stdout.startswith("12"), "not gcc 12")
    def test_fast_paths_are_not_longer_than_said(self):
        rows = re.findall(r"(?m)^\| `(\w+)` \| (\d+) \| (\d+) \|$",
                          read("docs/design/magazine.md"))
        self.assertGreater(len(rows), 5)
        for name, instructions, branches in rows:
            symbol = name if name.startswith("knuma_") else "knuma_" + name
            text = subprocess.run(
                ["objdump", "-d", "--no-show-raw-insn",
                 "--disassemble=" + symbol, "libknuma.so.0"], check=True,
                capture_output=True, text=True).stdout
            code = re.findall(r"(?m)^ +[0-9a-f]+:\t(\w+)", text)
            hit = code[:code.index("ret") + 1]
            self.assertLessEqual(len(hit), int(instructions), name)
            self.assertLessEqual(sum(op[0] == "j" for op in hit),
                                 int(branches), name)


if __name__ == "__main__":
    unittest.main()
