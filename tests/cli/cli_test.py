#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The knuma command as a user meets it: output, exit codes, files."""

import csv
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest

ROOT = os.environ.get("KNUMA_TEST_ROOT", os.getcwd())
KNUMA = os.environ.get("KNUMA_TEST_BIN", os.path.join(ROOT, "tools/knuma"))
EARLY = os.path.join(ROOT, "tests/cli/early.so")
COMMANDS = ("run", "stat", "top", "whatis", "trim", "reload", "get", "set", "topology",
            "check", "conf", "bench")


class Cli(unittest.TestCase):
    """Each test has a folder of its own, and nothing of the user's."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="knuma-cli-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.runtime = self.path("runtime")
        os.mkdir(self.runtime, 0o700)
        self.env = {
            "PATH": "/usr/bin:/bin",
            "HOME": self.folder,
            "KNUMA_CONF_FILE": "",
            "XDG_RUNTIME_DIR": self.runtime,
        }
        for name in os.environ:
            if (name in ("KNUMA_PRELOAD", "ASAN_OPTIONS", "GLIBC_TUNABLES") or
                    "LLVM_PROFILE" in name):
                self.env[name] = os.environ[name]

    def path(self, name):
        return os.path.join(self.folder, name)

    def file(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def knuma(self, *args, code=0, env=None, cwd=None):
        """(stdout, stderr) of `knuma ARGS`, which has to exit with CODE."""
        done = subprocess.run(
            [KNUMA, *args], env={**self.env, **(env or {})},
            cwd=cwd or self.folder, capture_output=True, text=True, timeout=60,
            check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def usage_error(self, *args):
        """The one line of a usage error; a hint stands below it."""
        out, err = self.knuma(*args, code=2)
        self.assertEqual(out, "")
        lines = err.splitlines()
        self.assertRegex(lines[0], r"^knuma")
        self.assertLessEqual(len(lines), 2, err)
        self.assertIn("--help", err)
        return lines[0]


class Usage(Cli):
    def test_help_and_version_are_output(self):
        out, err = self.knuma("--help")
        self.assertEqual(err, "")
        for command in COMMANDS:
            self.assertRegex(out, r"(?m)^  %s " % command)
        out, err = self.knuma("--version")
        self.assertRegex(out, r"^knuma \d+\.\d+\.\d+\n$")
        self.assertEqual(err, "")
        for command in COMMANDS:
            out, err = self.knuma(command, "--help")
            self.assertIn("Usage: knuma %s" % command, out)
            self.assertEqual(err, "")

    def test_usage_errors_are_two(self):
        self.assertIn("no command", self.usage_error())
        self.assertIn("unknown command 'banana'", self.usage_error("banana"))
        self.assertIn("--banana", self.usage_error("--banana"))
        for command in COMMANDS:
            self.assertIn("--banana", self.usage_error(command, "--banana"))
        self.usage_error("run")
        self.usage_error("run", "--")
        self.usage_error("check")
        self.usage_error("conf")
        self.usage_error("conf", "banana")
        self.usage_error("conf", "dump", "dump")
        self.usage_error("stat", "-o", "banana")
        self.usage_error("stat", "a", "b")
        self.usage_error("topology", "-o", "prom")
        self.usage_error("topology", "banana")
        self.usage_error("topology", "--zonelists", "-o", "json")

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([KNUMA, "conf", "dump"], env=self.env,
                                  stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("No space left", done.stderr)


class Check(Cli):
    def test_a_good_file_gives_no_output(self):
        good = self.file("good.conf", "# mine\n[knuma]\nspan = 1G\n")
        self.assertEqual(self.knuma("check", good), ("", ""))

    def test_mistakes_have_file_line_and_nearest_key(self):
        bad = self.file("bad.conf", "stats = yes\ntrim_dely_ms = 5\nx\n")
        out, err = self.knuma("check", bad, code=1)
        self.assertEqual(out.splitlines(), [
            bad + ":2: unknown key 'trim_dely_ms'; the nearest is "
            "'trim_delay_ms'",
            bad + ":3: not of the form key = value",
        ])
        self.assertEqual(err, "")

    def test_several_files(self):
        good = self.file("good.conf", "span = 1G\n")
        bad = self.file("bad.conf", "span = 1\n")
        out, _ = self.knuma("check", good, bad, code=1)
        self.assertEqual(
            out, bad + ":1: span = 1: outside of 1G to 64T\n")

    def test_a_file_that_cannot_be_read(self):
        out, _ = self.knuma("check", self.path("none"), code=2)
        self.assertIn(self.path("none") + ": does not exist", out)
        out, _ = self.knuma("check", self.folder, code=2)
        self.assertIn("Is a directory", out)


class Variables(Cli):
    def test_a_misspelt_one_is_named_once(self):
        _, err = self.knuma("run", "--", "true", env={
            "KNUMA_SOKET": "yes", "KNUMA_BANANA": "1"})
        self.assertEqual(err, "knuma: KNUMA_SOKET: unknown variable; the "
                         "nearest is KNUMA_SOCKET\n")
        _, err = self.knuma("run", "--", "true", code=2, env={
            "KNUMA_CONFIG_FILE": "k.conf", "KNUMA_STRICT": "yes"})
        self.assertIn("the nearest is KNUMA_CONF_FILE\n", err)

    def test_one_near_to_nothing_is_named_to_who_asks(self):
        env = {"KNUMA_BANANA": "1"}
        said = "knuma: KNUMA_BANANA: no setting has a name like this"
        self.assertEqual(self.knuma("run", "--", "true", env=env)[1], "")
        self.assertIn(said, self.knuma("run", "--stats", "--", "true",
                                       env=env)[1])
        self.assertIn(said, self.knuma("conf", "show", env=env)[1])


class Conf(Cli):
    def test_dump_is_a_legal_file_with_and_without_comments(self):
        dump, err = self.knuma("conf", "dump")
        self.assertEqual(err, "")
        self.knuma("check", self.file("dump.conf", dump))
        plain = re.sub(r"(?m)^#(\w+ =)", r"\1", dump)
        self.assertGreater(len(re.findall(r"(?m)^\w+ =", plain)), 20)
        self.knuma("check", self.file("plain.conf", plain))

    def test_dump_holds_the_built_in_values(self):
        dump, _ = self.knuma("conf", "dump")
        show, _ = self.knuma("conf", "show")
        for line in show.splitlines()[1:]:
            value = line.split("  # ")[0]
            self.assertIn("\n#" + value + "\n", dump)

    def test_the_installed_file_is_the_dump(self):
        with open(os.path.join(ROOT, "etc/knuma.conf"), encoding="utf-8") as f:
            self.assertEqual(self.knuma("conf", "dump")[0], f.read())

    def test_show_names_the_source(self):
        conf = self.file("a.conf", "\nspan = 1G\nbanana = 1\n")
        out, err = self.knuma("conf", "show", env={
            "KNUMA_CONF_FILE": conf, "KNUMA_CONF": "huge_after=1M",
            "KNUMA_TRIM_DELAY_MS": "5s"})
        self.assertIn("\nspan = 1G  # %s:2\n" % conf, out)
        self.assertIn("\nhuge_after = 1M  # KNUMA_CONF\n", out)
        self.assertIn("\ntrim_delay_ms = 5s  # KNUMA_TRIM_DELAY_MS\n", out)
        self.assertIn("\nguard_pages = yes  # built-in\n", out)
        self.assertEqual(
            err, "knuma: %s:3: unknown key 'banana'; `knuma conf dump' "
            "lists the keys\n" % conf)


    def test_dump_of_values_in_force(self):
        conf = self.file("a.conf", "span = 1G\nprofile = memory\n"
                         "depot_batches = 9\n[cache kmalloc-*]\n"
                         "magazine_capacity = 8\nslab_order = 1\n")
        out, err = self.knuma("conf", "dump", "--file", conf)
        self.assertEqual(err, "")
        for line in ("span = 1G", "depot_batches = 9", "huge_pages = no",
                     "#guard_pages = yes", "profile = memory",
                     "[cache kmalloc-*]", "magazine_capacity = 8"):
            self.assertIn("\n" + line + "\n", out)
        self.assertNotIn(conf, out)
        # It is a file that says the same.
        again = self.knuma("conf", "dump", "--file",
                           self.file("b.conf", out))[0]
        self.assertEqual(again, out)
        out, _ = self.knuma("conf", "dump", "--sources", env={
            "KNUMA_CONF_FILE": conf, "KNUMA_SPAN": "2G"})
        self.assertIn("\nspan = 2G  # KNUMA_SPAN\n", out)
        self.assertIn("\nhuge_pages = no  # %s:2 (profile memory)\n" % conf,
                      out)
        self.assertIn("\n#guard_pages = yes  # built-in\n", out)
        self.knuma("check", self.file("c.conf", out))

    def test_dump_of_a_process(self):
        self.file("own.conf", "span = 1G\nbanana = 1\n")
        with subprocess.Popen(
                ["sleep", "100"], cwd=self.folder,
                env={**self.env, "KNUMA_CONF_FILE": "own.conf",
                     "KNUMA_TRIM_DELAY_MS": "7s"}) as other:
            try:
                out, err = self.knuma("conf", "show", "--pid", str(other.pid),
                                      cwd="/")
            finally:
                other.kill()
        own = os.path.join(os.path.realpath(self.folder), "own.conf")
        self.assertIn("\nspan = 1G  # %s:1\n" % own, out)
        self.assertIn("\ntrim_delay_ms = 7s  # KNUMA_TRIM_DELAY_MS\n", out)
        self.assertIn("own.conf:2: unknown key 'banana'", err)

    def test_what_cannot_be_dumped(self):
        for args, why in ((("--file", "none"), "none cannot be read"),
                          (("--pid", "4194305"), "no process 4194305: ")):
            out, err = self.knuma("conf", "dump", *args, code=2)
            self.assertEqual(out, "")
            self.assertIn(why, err)
        self.assertIn("no process id",
                      self.usage_error("conf", "dump", "--pid", "1x"))
        self.assertIn("exclude", self.usage_error(
            "conf", "dump", "--pid", "1", "--file", "x"))


class Topology(Cli):
    def test_formats(self):
        out, err = self.knuma("topology")
        self.assertIn("distance", out)
        self.assertEqual(err, "")
        nodes = json.loads(self.knuma("topology", "-o", "json")[0])["nodes"]
        self.assertGreater(len(nodes), 0)
        rows = list(csv.reader(io.StringIO(
            self.knuma("topology", "-o", "csv")[0])))
        self.assertEqual(len({len(row) for row in rows}), 1)
        self.assertEqual(len(rows), 1 + len(nodes))
        self.assertEqual(self.knuma("topology", "-o", "text")[0].split()[0],
                         out.split()[0])


class FakeNodes(Cli):
    FAKE = {"KNUMA_FAKE_NODES": "3"}

    def test_topology_says_that_they_are_fake(self):
        out, err = self.knuma("topology", env=self.FAKE)
        self.assertRegex(out, r"^3 FAKE nodes possible, 3 online;")
        self.assertEqual(err, "")
        machine = json.loads(self.knuma("topology", "-o", "json",
                                        env=self.FAKE)[0])
        self.assertTrue(machine["fake_nodes"])
        self.assertEqual([n["zonelist"][0] for n in machine["nodes"]],
                         [0, 1, 2])
        rows = list(csv.DictReader(io.StringIO(
            self.knuma("topology", "-o", "csv", env=self.FAKE)[0])))
        self.assertEqual({row["source"] for row in rows}, {"fake"})
        self.assertIn("2: 2 ", self.knuma("topology", "--zonelists",
                                          env=self.FAKE)[0])

    def test_one_node_is_one(self):
        out, _ = self.knuma("topology", env={"KNUMA_FAKE_NODES": "1"})
        self.assertRegex(out, r"^1 FAKE node possible, 1 online;")

    def test_levels_too(self):
        levels = {"KNUMA_FAKE_NODES": "pack:2 [numa] core:3 pu:2"}
        machine = json.loads(self.knuma("topology", "-o", "json",
                                        env=levels)[0])
        self.assertEqual(len(machine["nodes"]), 2)
        self.assertTrue(machine["nodes"][1]["cpus"].startswith("6-11"))

    def test_statistics_of_a_run_say_so_and_where_pages_are(self):
        path = self.path("stat")
        self.knuma("run", "--set", "fake_nodes=4", "--stat-file", path, "--",
                   "ls", "/")
        text = self.knuma("stat", path)[0]
        self.assertIn("nodes are FAKE", text.splitlines()[0])
        stats = json.loads(self.knuma("stat", "-o", "json", path)[0])
        self.assertTrue(stats["fake_nodes"])
        self.assertEqual(len(stats["nodes"]), 4)
        self.assertEqual(stats["stats"]["away_bytes"], 0)
        checked = sum(n["home_checked"] for n in stats["nodes"])
        self.assertGreater(checked, 0)
        self.assertEqual(sum(n["home_stale"] for n in stats["nodes"]), 0)

    def test_a_bad_value_is_told(self):
        for value, why in (("x", "expected a number of nodes"),
                           ("65", "more than 64 nodes"),
                           ("pack:2", "expected")):
            out, err = self.knuma("topology",
                                  env={"KNUMA_FAKE_NODES": value})
            self.assertIn("KNUMA_FAKE_NODES: fake_nodes = " + value, err)
            self.assertIn(why, err)
            self.assertNotIn("FAKE", out)


class Run(Cli):
    def test_the_exit_code_is_the_commands(self):
        self.knuma("run", "--", "sh", "-c", "exit 0")
        self.knuma("run", "sh", "-c", "exit 7", code=7)
        self.knuma("run", "--", "sh", "-c", "kill -TERM $$",
                   code=-signal.SIGTERM)

    def test_settings_are_the_commands_alone(self):
        mine = self.path("mine")
        env = {"KNUMA_STATS_FILE": mine, "KNUMA_STATS": "yes"}
        _, err = self.knuma("run", "--", "true", env=env)
        self.assertEqual(err.count("knuma: version"), 1, err)
        with open(mine, encoding="utf-8") as f:
            before = f.read()
        self.assertIn("knuma_build_info", before)
        env["KNUMA_METRICS_FILE"] = self.path("metrics")
        env["KNUMA_SOCKET"] = self.path("socket")
        for args in ("stat", mine), ("conf", "show"), ("topology",):
            _, err = self.knuma(*args, env=env)
            self.assertEqual(err, "", args)
        with open(mine, encoding="utf-8") as f:
            self.assertEqual(f.read(), before)
        for name in "metrics", "socket":
            self.assertFalse(os.path.exists(self.path(name)), name)

    def test_variables_hold_when_one_is_set_before_main(self):
        env = ["LD_PRELOAD=" + EARLY, "KNUMA_A=1", "KNUMA_B=2"]
        env += ["%s=%s" % item for item in self.env.items()]
        done = subprocess.run(["env", "-i", *env, KNUMA, "run", "--", "env"],
                              capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in ("EARLY=yes", "KNUMA_A=1", "KNUMA_B=2",
                     "KNUMA_CONF_FILE="):
            self.assertEqual(done.stdout.splitlines().count(line), 1, line)

    def test_commands_that_do_not_start(self):
        _, err = self.knuma("run", "--", self.path("none"), code=127)
        self.assertIn("No such file", err)
        _, err = self.knuma("run", "--", "no-such-command", code=127)
        self.assertIn("no-such-command", err)
        _, err = self.knuma("run", "--", self.file("f", ""), code=126)
        self.assertIn("Permission denied", err)

    def test_arguments_pass_untouched(self):
        out, _ = self.knuma("run", "--", "printf", "%s|", "--stats", "--", "")
        self.assertEqual(out, "--stats|--||")
        out, _ = self.knuma("run", "printf", "%s|", "--help", "-o")
        self.assertEqual(out, "--help|-o|")

    def test_the_library_is_in_front_of_other_preloads(self):
        out, _ = self.knuma("run", "sh", "-c", "echo $LD_PRELOAD")
        self.assertRegex(out, r"^/[^:]*/libknuma_malloc\.so\.0\n$")
        out, _ = self.knuma("run", "sh", "-c", "echo $LD_PRELOAD",
                            env={"LD_PRELOAD": "libm.so.6"})
        self.assertRegex(out, r"^/[^:]*/libknuma_malloc\.so\.0:libm\.so\.6\n$")

    def test_the_library_is_loaded(self):
        out, _ = self.knuma("run", "cat", "/proc/self/maps")
        self.assertIn("libknuma_malloc.so.0", out)

    def test_a_library_that_is_not_there(self):
        _, err = self.knuma("run", "true", code=2,
                            env={"KNUMA_PRELOAD": "/no/library.so"})
        self.assertIn("KNUMA_PRELOAD=/no/library.so", err)
        os.makedirs(self.path("a/b"))
        alone = shutil.copy(KNUMA, self.path("a/b/knuma"))
        done = subprocess.run([alone, "run", "true"], env={
            k: v for k, v in self.env.items() if k != "KNUMA_PRELOAD"},
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("no libknuma_malloc.so.0 in", done.stderr)

    def test_set(self):
        out, _ = self.knuma("run", "--set", "trim_delay_ms=2s", "--set",
                            "init_on_alloc=no", "--", "sh", "-c",
                            "echo $KNUMA_TRIM_DELAY_MS $KNUMA_INIT_ON_ALLOC",
                            env={"KNUMA_TRIM_DELAY_MS": "1s"})
        self.assertEqual(out, "2s no\n")
        self.assertIn("the nearest is 'trim_delay_ms'", self.usage_error(
            "run", "--set", "trim_dely_ms=1", "true"))
        self.assertIn("--no-stat-file", self.usage_error(
            "run", "--stat-file", "", "true"))
        self.assertIn("unknown key 'x'; `knuma conf dump'", self.usage_error(
            "run", "--set", "x=1", "true"))
        self.assertIn("stats = maybe: expected yes or no", self.usage_error(
            "run", "--set", "stats=maybe", "true"))
        self.assertIn("outside of", self.usage_error(
            "run", "--set", "span=1", "true"))
        self.assertIn("KEY=VALUE", self.usage_error(
            "run", "--set", "stats", "true"))

    def test_profile(self):
        out, _ = self.knuma("run", "--profile", "memory", "--", "sh", "-c",
                            "echo $KNUMA_PROFILE")
        self.assertEqual(out, "memory\n")
        self.assertIn("none|latency|", self.usage_error(
            "run", "--profile", "fast", "true"))

    def test_conf(self):
        self.file("own.conf", "span = 1G\n")
        out, _ = self.knuma("run", "--conf", "own.conf", "--", "sh", "-c",
                            "cd /; cat $KNUMA_CONF_FILE")
        self.assertEqual(out, "span = 1G\n")
        _, err = self.knuma("run", "--conf", "none.conf", "true", code=2)
        self.assertIn("none.conf", err)

    def test_stats_prints_banner_and_text(self):
        # true closes its standard error before libraries end.
        _, err = self.knuma("run", "--stats", "--", "true")
        lines = err.splitlines()
        self.assertRegex(lines[0], r"^knuma: version \S+, process \d+, "
                         r"mode (rseq|fallback) \(.*\), \d+ nodes?, "
                         r"page sizes \S+.*, mbind ")
        self.assertRegex(lines[1], r"^knuma: limits: ")
        self.assertRegex(lines[2], r"^knuma \S+, process \d+: mode ")
        self.assertRegex(err, r"(?m)^alloc_slow +\d+ calls ")
        self.assertEqual(self.knuma("run", "--", "true")[1], "")

    def test_strict_refuses_to_start(self):
        bad = self.file("bad.conf", "strict = yes\nbanana = 1\n")
        out, err = self.knuma("run", "--conf", bad, "echo", "started", code=2)
        self.assertEqual(out, "")
        self.assertIn(bad + ":2: unknown key 'banana'", err)
        self.assertIn("not starting", err)

    def test_mistakes_are_named_and_the_command_runs(self):
        bad = self.file("bad.conf", "banana = 1\n")
        out, err = self.knuma("run", "--conf", bad, "echo", "started")
        self.assertEqual(out, "started\n")
        self.assertEqual(err, "knuma: %s:1: unknown key 'banana'; `knuma conf "
                         "dump' lists the keys\n" % bad)


class Stat(Cli):
    def last(self):
        return os.path.join(self.runtime, "knuma", "last.stat")

    def test_of_the_last_run(self):
        _, err = self.knuma("stat", code=2)
        self.assertIn("does not exist", err)
        out, _ = self.knuma("run", "--", "bash", "-c", "echo $$; bash -c :")
        self.assertEqual(stat.S_IMODE(os.stat(
            os.path.dirname(self.last())).st_mode), 0o700)
        stats = json.loads(self.knuma("stat", "-o", "json")[0])
        self.assertEqual(stats["schema"], 1)
        self.assertEqual(stats["pid"], int(out))
        self.assertIn("alloc_slow", stats["stats"])
        self.assertGreater(len(stats["nodes"]), 0)

    def test_a_killed_run_does_not_show_an_older_one(self):
        self.knuma("run", "--", "bash", "-c", ":")
        self.assertTrue(os.path.exists(self.last()))
        self.knuma("run", "--", "bash", "-c", "kill -KILL $$",
                   code=-signal.SIGKILL)
        _, err = self.knuma("stat", code=2)
        self.assertIn("ends by a signal", err)

    def test_other_places(self):
        self.knuma("run", "--stat-file", "own", "--", "bash", "-c", "cd /")
        self.knuma("stat", "own")
        self.assertFalse(os.path.exists(self.last()))
        self.knuma("run", "--no-stat-file", "--", "bash", "-c", ":")
        self.assertFalse(os.path.exists(self.last()))
        self.knuma("run", "--", "bash", "-c", ":",
                   env={"KNUMA_STATS_FILE": self.path("mine")})
        self.knuma("stat", self.path("mine"))
        conf = self.file("c.conf", "stats_file = " + self.path("third"))
        self.knuma("run", "--conf", conf, "--", "bash", "-c", ":")
        self.knuma("stat", self.path("third"))
        self.assertFalse(os.path.exists(self.last()))
        _, err = self.knuma("run", "--stat-file", "no/where", "--", "bash",
                            "-c", ":")
        self.assertIn("no/where cannot be written", err)

    def test_a_folder_of_others_is_not_used(self):
        os.mkdir(os.path.join(self.runtime, "knuma"), 0o777)
        os.chmod(os.path.join(self.runtime, "knuma"), 0o777)
        self.knuma("run", "--", "bash", "-c", ":")
        self.assertFalse(os.path.exists(self.last()))

    def test_formats_agree(self):
        self.knuma("run", "--", "bash", "-c", ":")
        with open(self.last(), encoding="utf-8") as f:
            written = f.read()
        self.assertEqual(self.knuma("stat", "-o", "prom")[0], written)
        stats = json.loads(self.knuma("stat", "-o", "json")[0])
        rows = list(csv.DictReader(io.StringIO(
            self.knuma("stat", "-o", "csv")[0])))
        text = self.knuma("stat")[0]
        for row in rows:
            if row["node"]:
                node, = [n for n in stats["nodes"]
                         if n["node"] == int(row["node"])]
                self.assertEqual(node[row["name"]], int(row["value"]))
            else:
                self.assertEqual(stats["stats"][row["name"]],
                                 int(row["value"]))
                self.assertRegex(text, r"(?m)^%s +%s %s " % (
                    row["name"], row["value"], row["unit"]))

    def test_openmetrics_grammar(self):
        self.knuma("run", "--", "bash", "-c", ":")
        lines = self.knuma("stat", "-o", "prom")[0].split("\n")
        self.assertEqual(lines[-2:], ["# EOF", ""])
        family, kind, seen = None, None, set()
        label = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"'
        sample = re.compile(r"^(\w+)(?:\{%s(?:,%s)*\})? \d+(?:\.\d+)?$" % (label, label))
        for line in lines[:-2]:
            if line.startswith("# TYPE "):
                family, kind = line.split()[2:]
                self.assertNotIn(family, seen)
                self.assertRegex(family, r"^knuma_[a-z_]+$")
                seen.add(family)
            elif line.startswith("# UNIT "):
                self.assertEqual(line.split()[2], family)
                self.assertTrue(family.endswith("_" + line.split()[3]))
            elif line.startswith("# HELP "):
                self.assertEqual(line.split()[2], family)
                self.assertGreater(len(line.split()), 3)
            else:
                self.assertRegex(line, sample)
                suffix = {"counter": "_total", "gauge": ""}
                self.assertEqual(sample.match(line).group(1),
                                 family + suffix[kind])

    def test_files_that_are_no_statistics(self):
        self.knuma("run", "--stat-file", "own", "--", "bash", "-c", ":")
        with open(self.path("own"), encoding="utf-8") as f:
            half = f.read()[:2000]
        for text in ("", "hello\n", "# EOF\n", half):
            _, err = self.knuma("stat", self.file("x", text), code=2)
            self.assertIn("not the whole statistics", err)
        _, err = self.knuma("stat", self.path("none"), code=2)
        self.assertIn("No such file", err)
        self.assertIn("the number or socket of a process", err)
        _, err = self.knuma("stat", self.folder, code=2)
        self.assertIn("Is a directory", err)

    def test_rows_of_a_later_version_are_left_out(self):
        self.knuma("run", "--stat-file", "own", "--", "bash", "-c", ":")
        with open(self.path("own"), encoding="utf-8") as f:
            text = f.read().replace(
                "# EOF\n", 'knuma_new_total 5\nknuma_newer{node="0"} 5\n'
                'knuma_numa_hit_total{cpu="0"} 5\nother 1\n# EOF\n')
        new = self.file("new", text)
        self.assertEqual(self.knuma("stat", new)[0],
                         self.knuma("stat", "own")[0])


if __name__ == "__main__":
    unittest.main()
