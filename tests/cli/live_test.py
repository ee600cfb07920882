#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that ask a running process, and what it says over time."""

import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unittest

import openmetrics

ROOT = os.getcwd()
KNUMA = os.path.join(ROOT, "tools/knuma")
APP = os.path.join(ROOT, "tests/cli/live_app")
PRELOAD = os.path.join(ROOT, "libknuma_malloc.so.0")


class Live(unittest.TestCase):
    """A process with a socket, in folders of the test's own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="knuma-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.env = {
            "PATH": "/usr/bin:/bin",
            "HOME": self.folder,
            "KNUMA_CONF_FILE": "",
            "KNUMA_FAKE_NODES": "2",
            "XDG_RUNTIME_DIR": self.folder,
            **{k: v for k, v in os.environ.items() if "LLVM_PROFILE" in k},
        }

    def knuma(self, *args, code=0, env=None):
        done = subprocess.run(
            [KNUMA, *args], env={**self.env, **(env or {})},
            capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def start(self, **env):
        """The app, whose socket is there."""
        env = {"KNUMA_SOCKET": "yes", **env}
        app = subprocess.Popen(
            [APP], env={**self.env, **env}, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.addCleanup(self.stop, app)
        pid, *self.addresses = app.stdout.readline().split()
        self.assertEqual(int(pid), app.pid)
        if env["KNUMA_SOCKET"] != "no":
            self.wait_for(self.path(app.pid))
        return app

    def stop(self, app):
        app.stdin.close()
        app.wait(60)
        app.stdout.close()

    def path(self, pid):
        return os.path.join(self.folder, "knuma", "%d.sock" % pid)

    @staticmethod
    def is_served(path):
        """A socket has a name before it takes connections."""
        if not os.path.exists(path) or os.path.isfile(path):
            return os.path.isfile(path)
        with socket.socket(socket.AF_UNIX) as s:
            return not s.connect_ex(path)

    def wait_for(self, path):
        for _ in range(6000):
            if self.is_served(path):
                return
            time.sleep(0.01)
        self.fail(path + " does not come")

    def tell(self, app, letter):
        app.stdin.write(letter + "\n")
        app.stdin.flush()

    def stats(self, pid):
        return json.loads(self.knuma("stat", "-o", "json", str(pid))[0])


class View(Live):
    """The form of each file is checked by tests/api/view_test.c."""

    def views(self, app):
        return [line.split()[0] for line in
                self.knuma("view", str(app.pid))[0].splitlines()]

    def read(self, folder, name):
        with open(os.path.join(folder, name), encoding="ascii") as f:
            return f.read()

    def test_names_are_listed(self):
        self.assertEqual(self.views(self.start()), [
            "slabinfo", "buddyinfo", "pagetypeinfo", "vmallocinfo",
            "node0/numastat", "node1/numastat"])

    def test_caches_and_areas_of_the_program(self):
        app = self.start()
        slabs = self.knuma("view", str(app.pid), "slabinfo")[0]
        self.assertRegex(slabs, r"(?m)^app +1 +\d+ +304 ")
        areas = self.knuma("view", self.path(app.pid), "vmallocinfo")[0]
        line, = areas.splitlines()
        self.assertEqual(int(line.split("-")[0], 16),
                         int(self.addresses[1], 16))
        self.assertRegex(line, r" live_app\+0x[0-9a-f]+ pages=256 vmalloc "
                               r"N[01]=256$")

    def test_a_folder_of_all_views(self):
        app = self.start()
        folder = os.path.join(self.folder, "views")
        for _ in range(2):  # the second time they are there
            out, _ = self.knuma("view", "-d", folder, str(app.pid))
            self.assertEqual(out, "")
        for name in self.views(app):
            text = self.knuma("view", str(app.pid), name)[0]
            self.assertEqual(self.read(folder, name), text)

    def test_what_cannot_be_viewed(self):
        app = self.start()
        pid = str(app.pid)
        for args, message in (
                ((pid, "slab"), "there is no 'slab'; `view' alone lists"),
                ((pid, "node2/numastat"), "there is no 'node2/numastat'"),
                ((pid, "x" * 600), "is no view; `knuma view %s' lists" % pid),
                ((pid, "a\nb"), "is no view"),
                (("-d", "/tmp", pid, "slabinfo"), "no NAME with it"),
                ((pid, "slabinfo", "x"), "unexpected argument 'x'"),
                (("none",), "'none' is no process"),
                ((), "no process given"),
                (("-d", "/proc/none/v", pid), "cannot be written: No such"),
                (("-d", "/dev/null", pid), "cannot be written: Not a dir")):
            self.assertIn(message, self.knuma("view", *args, code=2)[1])

    def test_names_that_a_process_makes_up_are_not_written(self):
        """Who runs as another user may answer anything to root."""
        for name in ("../stray", "/tmp/stray", "node0/../../stray", "stray",
                     "node0/slabinfo", "node01/numastat", ""):
            path = os.path.join(self.folder, "liar")
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(path)
                s.listen()
                teller = threading.Thread(target=self.lie, args=(s, name))
                teller.start()
                folder = os.path.join(self.folder, "views")
                self.assertIn("Invalid argument", self.knuma(
                    "view", "-d", folder, path, code=2)[1])
                teller.join()
            os.unlink(path)
            self.assertFalse(os.path.exists(folder))

    @staticmethod
    def lie(listener, name):
        answers = ({"views": [{"name": name, "help": ""}]}, {"text": "x"})
        for answer in answers:
            client, _ = listener.accept()
            with client, client.makefile("rw") as f:
                f.readline()
                f.write(json.dumps(answer) + "\n")

    def test_a_finished_run_leaves_them(self):
        folder = os.path.join(self.folder, "left")
        self.knuma("run", "--view-dir", folder, "env", "true",
                   env={"KNUMA_PRELOAD": PRELOAD})
        # checks knuma_view_save: "The setting view_dir does the same at exit"
        self.assertIn("kmalloc-64", self.read(folder, "slabinfo"))
        self.assertIn("numa_hit", self.read(folder, "node1/numastat"))
        _, err = self.knuma("run", "--view-dir", "/dev/null/x", "true",
                            env={"KNUMA_PRELOAD": PRELOAD})
        self.assertIn("view_dir /dev/null/x cannot be written: Not a", err)
        self.assertIn("needs a name", self.knuma(
            "run", "--view-dir", "", "true", code=2)[1])


class KernelReaders(Live):
    """Programs that read the kernel's files, shown ours."""

    def setUp(self):
        super().setUp()
        self.views = os.path.join(self.folder, "views")
        app = self.start()
        self.knuma("view", "-d", self.views, str(app.pid))

    def shown(self, program, mount):
        """What @program prints where @mount has put our files in place."""
        if not shutil.which(program[0]):
            self.skipTest("no " + program[0])
        script = mount + ' || exit 99; exec "$@"'
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", script, self.views, *program],
            env={**self.env, "LC_ALL": "C", "TERM": "dumb"},
            capture_output=True, text=True, timeout=100, check=False)
        if done.returncode == 99 or done.stderr.startswith("unshare:"):
            self.skipTest("no mounts of its own: " + done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def slabinfo(self, *program):
        return self.shown(program, 'mount --bind "$0/slabinfo" /proc/slabinfo')

    def test_slabtop(self):
        self.assertRegex(self.slabinfo("slabtop", "-o"),
                         r"(?m)^ *\d+ +1 +\d+% +0\.30K +1 +\d+ +\d+K app *$")

    def test_vmstat(self):
        self.assertRegex(self.slabinfo("vmstat", "-m"),
                         r"(?m)^app +1 +\d+ +304 +\d+$")

    def test_numastat(self):
        text = self.shown(
            ["numastat"], "mount --bind \"$0\" /sys/devices/system/node")
        with open(self.views + "/node1/numastat", encoding="ascii") as f:
            ours = dict(line.split() for line in f)
        self.assertRegex(text, r"^ +node0 +node1\n")
        for word, count in ours.items():
            self.assertRegex(text, r"(?m)^%s +\d+ +%s$" % (word, count))


class Stat(Live):
    def test_formats_agree_on_an_idle_process(self):
        app = self.start()
        pid = str(app.pid)
        stats = self.stats(pid)
        self.assertEqual(stats["schema"], 1)
        self.assertEqual(stats["pid"], app.pid)
        self.assertEqual(len(stats["nodes"]), 2)
        rows = {r["name"]: int(r["value"]) for r in csv.DictReader(
            io.StringIO(self.knuma("stat", "-o", "csv", pid)[0]))
            if not r["node"]}
        text = self.knuma("stat", pid)[0]
        prom = openmetrics.parse(self.knuma("stat", "-o", "prom", pid)[0])
        for name in ("allocated_bytes", "mapped_bytes", "slab_new"):
            self.assertEqual(rows[name], stats["stats"][name])
            self.assertRegex(text, r"(?m)^%s +%d " % (name, rows[name]))
            sample, = prom["knuma_" + name].samples.values()
            self.assertEqual(sample, rows[name])

    def test_a_socket_is_a_process_too(self):
        app = self.start()
        self.assertEqual(json.loads(self.knuma(
            "stat", "-o", "json", self.path(app.pid))[0])["pid"], app.pid)

    def test_metrics_of_caches(self):
        app = self.start()
        prom = openmetrics.parse(
            self.knuma("stat", "-o", "prom", str(app.pid))[0])
        active = prom["knuma_cache_active"]
        self.assertEqual(active.kind, "gauge")
        self.assertEqual(prom["knuma_cache_bytes"].unit, "bytes")
        self.assertEqual(prom["knuma_cache_allocs"].kind, "counter")
        held = [v for k, v in active.samples.items()
                if dict(k)["cache"] == "app"]
        self.assertEqual(sum(held), 1)
        for labels in active.samples:
            self.assertEqual(sorted(dict(labels)), ["cache", "node"])

    def test_groups(self):
        pid = str(self.start().pid)
        held, other = json.loads(
            self.knuma("stat", "-o", "json", pid)[0])["groups"]
        self.assertEqual(held, {
            "group": 'a "tenant"', "usage_bytes": 1024, "peak_bytes": 1024,
            "limit_bytes": 1500, "objects": 1, "reclaims": 1, "refused": 1,
            "forced": 0, "destroyed": False})
        self.assertEqual((other["group"], other["limit_bytes"]),
                         ("without limit", None))
        text = self.knuma("stat", pid)[0]
        self.assertRegex(text, r'(?m)^a "tenant" +1024 +1024 +1500 +1 +1 +0$')
        self.assertRegex(text, r"(?m)^without limit +0 +0 +none +0 +0 +0$")
        prom = openmetrics.parse(self.knuma("stat", "-o", "prom", pid)[0])
        usage = prom["knuma_group_usage_bytes"]
        self.assertEqual((usage.kind, usage.unit), ("gauge", "bytes"))
        self.assertEqual({dict(k)["group"]: v
                          for k, v in usage.samples.items()},
                         {'a "tenant"': 1024, "without limit": 0})
        self.assertEqual(sum(prom["knuma_group_refused"].samples.values()), 1)
        self.assertEqual(len(prom["knuma_group_limit_bytes"].samples), 1)

    def test_a_path_with_the_process_in_it(self):
        path = os.path.join(self.folder, "of-%p.sock")
        app = subprocess.Popen(
            [APP], env={**self.env, "KNUMA_SOCKET": path}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.stop, app)
        app.stdout.readline()
        self.wait_for(path.replace("%p", str(app.pid)))
        self.assertEqual(self.stats(app.pid)["pid"], app.pid)


    def test_a_title_over_the_environment(self):
        own = os.path.join(self.folder, "own-%p.sock")
        for env in ({}, {"KNUMA_SOCKET": own}):
            app = subprocess.Popen(
                [APP], env={**self.env, "KNUMA_SOCKET": "yes", **env},
                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.addCleanup(self.stop, app)
            app.stdout.readline()
            self.wait_for(own.replace("%p", str(app.pid)) if env else
                          self.path(app.pid))
            self.tell(app, "t")
            self.assertEqual(app.stdout.readline(), "titled\n")
            out, _ = self.knuma("stat", "-o", "json", str(app.pid), env=env)
            self.assertEqual(json.loads(out)["pid"], app.pid)


class NoSocket(Live):
    def test_how_to_turn_it_on_is_said(self):
        app = self.start(KNUMA_SOCKET="no")
        for command in (["stat"], ["check"], ["trim"], ["reload"],
                        ["top", "--batch"], ["top"]):
            out, err = self.knuma(*command, str(app.pid), code=2)
            self.assertEqual(out, "")
            self.assertEqual(len(err.splitlines()), 1, err)
            self.assertIn("process %d has no socket: start it with "
                          "KNUMA_SOCKET=yes" % app.pid, err)
        _, err = self.knuma("whatis", str(app.pid), "0x1000", code=2)
        self.assertIn("has no socket", err)

    def test_no_process(self):
        _, err = self.knuma("stat", "4194303", code=2)
        self.assertEqual(err, "knuma: there is no process 4194303: it has "
                         "ended, or `pgrep NAME' finds the right one\n")

    @unittest.skipIf(os.getuid(), "who is not root has no rights to drop")
    def test_a_process_that_may_not_be_asked(self):
        app = self.start()
        os.chmod(self.path(app.pid), 0)
        for args in (["stat"], ["top"], ["trim"], ["check"],
                     ["conf", "dump", "--pid"]):
            done = subprocess.run(
                ["setpriv", "--inh-caps=-all", "--bounding-set=-all", KNUMA,
                 *args, str(app.pid)], env=self.env, capture_output=True,
                text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 2, args)
            self.assertEqual(done.stdout, "", args)
            self.assertEqual(
                done.stderr, "knuma: process %d is of another user: ask as "
                "that user or as root\n" % app.pid, args)

    def test_usage(self):
        for args in (["top"], ["top", "x"], ["top", "1", "2"], ["whatis", "1"],
                     ["whatis"], ["trim"], ["trim", "x"], ["reload", "1", "2"],
                     ["get", "1"], ["set", "1", "span"], ["get", "x", "span"],
                     ["set", "1", "span", "1G", "2G"],
                     ["top", "-d", "0", "1"], ["top", "-n", "x", "1"],
                     ["top", "-s", "x", "1"], ["whatis", "-o", "csv", "1", "2"]):
            _, err = self.knuma(*args, code=2)
            self.assertIn("--help", err)

    def test_who_is_not_the_process_gets_no_question(self):
        app = self.start(KNUMA_SOCKET="no")
        os.makedirs(os.path.join(self.folder, "knuma"), 0o700)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path(app.pid))
            other.listen(8)
            _, err = self.knuma("stat", str(app.pid), code=2)
            self.assertIn("has no socket", err)
            other.setblocking(False)
            peer, _ = other.accept()
            with peer:
                self.assertEqual(peer.recv(100), b"")

    def test_a_socket_that_speaks_something_else(self):
        path = os.path.join(self.folder, "other.sock")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen(8)
            for said, told in ((b"hello\n", "is no JSON"), (b"", "no answer"),
                               (b"[]\n", "is no JSON"),
                               (b'{"error":"tired"}\n', ": tired")):
                asking = subprocess.Popen(
                    [KNUMA, "stat", path], env=self.env, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                peer, _ = other.accept()
                peer.recv(100)
                peer.sendall(said)
                peer.close()
                _, err = asking.communicate(timeout=60)
                self.assertEqual(asking.returncode, 2)
                self.assertIn(told, err)
        _, err = self.knuma("stat", path, code=2)
        self.assertIn("Connection refused", err)


class Whatis(Live):
    def whatis(self, pid, address):
        return json.loads(self.knuma("whatis", "-o", "json", str(pid),
                                     address)[0])

    def test_object_area_stack(self):
        app = self.start()
        obj, area, stack = self.addresses
        found = self.whatis(app.pid, hex(int(obj, 16) + 5))
        self.assertEqual(
            (found["kind"], found["cache"], found["start"], found["offset"],
             found["bytes"], found["state"]),
            ("object", "app", obj, 5, 300, "allocated"))
        self.assertIn(found["node_wanted"], (0, 1))
        self.assertTrue(found["in_memory"])
        found = self.whatis(app.pid, area)
        self.assertEqual((found["kind"], found["bytes"], found["state"]),
                         ("vmalloc area", 1 << 20, "allocated"))
        found = self.whatis(app.pid, stack)
        self.assertIn("foreign", found["kind"])
        self.assertEqual(found["mapping"], "[stack]")
        text = self.knuma("whatis", str(app.pid), obj)[0]
        self.assertRegex(text, r"(?m)^cache +app$")
        self.assertRegex(text, r"(?m)^state +allocated$")

    def test_what_is_no_address(self):
        app = self.start()
        _, err = self.knuma("whatis", str(app.pid), "here", code=2)
        self.assertIn("'here' is no address", err)
        _, err = self.knuma("whatis", str(app.pid), "1\n2", code=2)
        self.assertIn("line break", err)


class Actions(Live):
    def test_check_is_silent_when_sound(self):
        app = self.start()
        self.assertEqual(self.knuma("check", str(app.pid)), ("", ""))
        self.tell(app, "b")
        for _ in range(5):
            self.assertEqual(self.knuma("check", str(app.pid)), ("", ""))

    def test_trim(self):
        app = self.start()
        self.assertRegex(self.knuma("trim", str(app.pid))[0],
                         r"^purged_bytes +\d+\n$")
        self.assertIn("purged_bytes", json.loads(
            self.knuma("trim", "-o", "json", str(app.pid))[0]))

    def test_reload_is_all_or_nothing(self):
        conf = os.path.join(self.folder, "k.conf")

        def write(text):
            with open(conf, "w", encoding="utf-8") as f:
                f.write(text)

        def delay():
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.path(app.pid))
                s.sendall(b"get vmalloc_delay_ms\n")
                return json.loads(s.makefile().readline())["value"]

        write("vmalloc_delay_ms = 5s\n")
        app = self.start(KNUMA_CONF_FILE=conf)
        self.assertEqual(delay(), "5s")
        out, _ = self.knuma("reload", str(app.pid))
        self.assertRegex(out, r"^said +none\n$")
        write("vmalloc_delay_ms = 7s\nspan = 2G\n")
        out, _ = self.knuma("reload", str(app.pid))
        self.assertIn("span", out)
        self.assertEqual(delay(), "7s")
        write("vmalloc_delay_ms = 9s\nbanana = 1\n")
        _, err = self.knuma("reload", str(app.pid), code=2)
        self.assertIn("banana", err)
        self.assertEqual(delay(), "7s")

    def test_a_setting_is_asked_for_and_changed(self):
        conf = os.path.join(self.folder, "k.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("vmalloc_cache = 8M\n")
        pid = str(self.start(KNUMA_CONF_FILE=conf).pid)

        def get(name):
            return json.loads(self.knuma("get", "-o", "json", pid, name)[0])

        self.assertEqual(get("vmalloc_cache"), {
            "schema": 1, "name": "vmalloc_cache", "value": "8M",
            "source": conf + ":1", "runtime": True})
        self.assertFalse(get("span")["runtime"])
        out, _ = self.knuma("set", pid, "vmalloc_cache", "16M")
        self.assertRegex(out, r"(?m)^value +16M$")
        self.assertEqual(get("vmalloc_cache")["value"], "16M")
        self.knuma("reload", pid)
        self.assertEqual(get("vmalloc_cache")["value"], "16M")
        for name, value, said in (
                ("vmalloc_cach", "1M", "the nearest is 'vmalloc_cache'"),
                ("span", "2G", "set: span is read at start"),
                ("vmalloc_cache", "lots", "expected a size, as 65536"),
                ("vmalloc_cache", "2T", "outside of 0 to 1T"),
                ("rcu_full", "wait", "expected one of fail|grow")):
            out, err = self.knuma("set", pid, name, value, code=2)
            self.assertEqual((out, len(err.splitlines())), ("", 1), err)
            self.assertIn(said, err)
        self.assertIn("the nearest is 'span'",
                      self.knuma("get", pid, "spam", code=2)[1])
        self.assertEqual(get("vmalloc_cache")["value"], "16M")

    def test_a_fork_child_answers_for_itself(self):
        app = self.start()
        self.tell(app, "f")
        child = int(app.stdout.readline())
        try:
            self.wait_for(self.path(child))
            for pid in (app.pid, child):
                self.assertEqual(self.stats(pid)["pid"], pid)
        finally:
            os.kill(child, signal.SIGKILL)

    def test_the_end_takes_the_socket_away_and_a_kill_leaves_it(self):
        app = self.start()
        self.stop(app)
        self.assertFalse(os.path.exists(self.path(app.pid)))
        app = self.start()
        app.kill()
        app.wait(60)
        _, err = self.knuma("stat", str(app.pid), code=2)
        self.assertIn("there is no process", err)
        _, err = self.knuma("stat", self.path(app.pid), code=2)
        self.assertIn("Connection refused", err)

    def test_under_the_preload(self):
        app = subprocess.Popen(
            [KNUMA, "run", "--set", "socket=yes", "--no-stat-file", "--",
             "cat"], env=self.env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.addCleanup(app.stdout.close)
        self.wait_for(self.path(app.pid))
        self.assertEqual(self.stats(app.pid)["pid"], app.pid)
        app.communicate(timeout=60)
        self.assertFalse(os.path.exists(self.path(app.pid)))


class Top(Live):
    def test_batch_prints_frames(self):
        app = self.start()
        self.tell(app, "b")
        out, err = self.knuma("top", "--batch", "-n", "3", "-d", "0.2",
                              str(app.pid))
        self.assertEqual(err, "")
        self.assertNotIn("\x1b", out)
        frames = out.split("knuma top - process %d, " % app.pid)[1:]
        self.assertEqual(len(frames), 3)
        for frame in frames:
            self.assertRegex(frame, r"(?m)^FAKE nodes +node0 +node1 +Total *$")
            for row in ("system_free", "free", "used", "resident", "numa_hit",
                        "numa_foreign", "other_node"):
                self.assertRegex(frame, r"(?m)^%s( +\S+){3}$" % row)
            self.assertRegex(frame, r"(?m)^CACHE +OBJECTS +ACTIVE +CACHED +"
                             r"SLABS +SIZE +ALLOC/s +FREE/s$")
        app_row = r"(?m)^app +\d+ +\d+ +\d+ +\d+ +\S+ +(\S+) +(\S+)$"
        self.assertEqual(re.search(app_row, frames[0]).groups(), ("-", "-"))
        for rate in re.search(app_row, frames[2]).groups():
            self.assertGreater(int(rate), 0)

    def test_order(self):
        app = self.start()
        out, _ = self.knuma("top", "-b", "-n", "1", "-s", "name",
                            str(app.pid))
        names = [line.split()[0] for line in
                 out.partition("CACHE")[2].splitlines()[1:] if line]
        self.assertIn("app", names)
        self.assertEqual(names, sorted(names))

    def test_a_process_that_ends_is_told(self):
        app = self.start()
        top = subprocess.Popen(
            [KNUMA, "top", "-b", "-d", "0.1", str(app.pid)], env=self.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        top.stdout.readline()
        self.stop(app)
        _, err = top.communicate(timeout=60)
        self.assertEqual(top.returncode, 2)
        self.assertIn("there is no process", err)

    def test_no_terminal(self):
        app = self.start()
        _, err = self.knuma("top", str(app.pid), code=2)
        self.assertIn("--batch needs none", err)
        out = subprocess.run(
            [KNUMA, "top", str(app.pid)], env={**self.env, "TERM": "xterm"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(out.returncode, 2)
        self.assertIn("are not a terminal; --batch needs none", out.stderr)

    def screen(self, top, wanted):
        """Reads what is drawn until WANTED comes."""
        drawn = ""
        while wanted not in drawn:
            ready, _, _ = select.select([top], [], [], 60)
            self.assertTrue(ready, "%s not in %r" % (wanted, drawn))
            drawn += os.read(top, 65536).decode(errors="replace")
        return drawn

    def run_screen(self, **env):
        app = self.start()
        pid, top = pty.fork()
        if not pid:
            os.execve(KNUMA, ["knuma", "top", "-d", "0.2", str(app.pid)],
                      {**self.env, "TERM": "xterm", **env})
        self.addCleanup(os.close, top)
        fcntl.ioctl(top, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        drawn = self.screen(top, "numa_hit")
        os.write(top, b"c")
        drawn += self.screen(top, "ALLOC/s")
        os.write(top, b"h")
        drawn += self.screen(top, "this page")
        os.write(top, b"x")
        drawn += self.screen(top, "numa_hit")
        os.write(top, b"s")
        drawn += self.screen(top, "active")
        os.write(top, b"q")
        while True:
            try:
                if not os.read(top, 65536):
                    break
            except OSError:
                break
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        return drawn

    def test_keys_choose_what_is_drawn(self):
        self.assertIn("\x1b[36m", self.run_screen())

    def test_no_color(self):
        self.assertNotIn("\x1b[36m", self.run_screen(NO_COLOR="1"))


class Metrics(Live):
    def read(self, path):
        with open(path, encoding="utf-8") as f:
            return openmetrics.parse(f.read())

    def test_each_file_is_whole_and_counters_rise(self):
        path = os.path.join(self.folder, "m.prom")
        app = self.start(KNUMA_METRICS_FILE=path,
                         KNUMA_METRICS_INTERVAL_MS="100ms",
                         KNUMA_SOCKET="no")
        self.tell(app, "b")
        self.wait_for(path)
        last, seen = -1, set()
        end = time.monotonic() + 60
        while len(seen) < 5 and time.monotonic() < end:
            seen.add(os.stat(path).st_ino)
            pops, = self.read(path)["knuma_magazine_pops"].samples.values()
            self.assertGreaterEqual(pops, last)
            last = pops
            time.sleep(0.02)
        self.assertGreater(last, 0)
        self.assertGreaterEqual(len(seen), 2)

    def test_the_reader_refuses_what_is_wrong(self):
        good = "# TYPE a counter\n# HELP a b\na_total 1\n# EOF\n"
        openmetrics.parse(good)
        for bad in (good[:-1], good.replace("# EOF\n", ""),
                    good.replace("a_total", "a"),
                    good.replace("a_total 1", "a_total 1\na_total 2"),
                    good.replace("a_total 1", "a_total x"),
                    good.replace("a_total 1", 'a_total{b="c} 1'),
                    good.replace("# HELP a b\n", ""),
                    good.replace("a_total 1\n", "a_total 1\n\n")):
            with self.assertRaises(ValueError):
                openmetrics.parse(bad)


if __name__ == "__main__":
    unittest.main()
