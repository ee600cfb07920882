#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hundred mistakes in configuration files, each named with its line.

A row is what stands in the file, and what `knuma check` has to say of it: what
is wrong and what to do.  All rows are tried in one file, and each in a file of
its own; then mistakes of files as a whole.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.getcwd()
KNUMA = os.path.join(ROOT, "tools/knuma")

# Keys whose names are near to something.
MISSPELT = {
    "trim_dely_ms": "trim_delay_ms", "trim_delay": "trim_delay_ms",
    "trim-delay-ms": "trim_delay_ms", "trim.delay.ms": "trim_delay_ms",
    "TRIM_DELAY_MS": "trim_delay_ms", "Stats": "stats", "stat": "stats",
    "sats": "stats", "rsqe": "rseq", "hugepages": "huge_pages",
    "hueg_pages": "huge_pages", "huge_afer": "huge_after",
    "hugetlbs": "hugetlb", "lock_mem0ry": "lock_memory",
    "magazin_capacity": "magazine_capacity",
    "magazine_byte": "magazine_bytes", "depot_batch": "depot_batches",
    "vmaloc_cache": "vmalloc_cache", "vmalloc_dely_ms": "vmalloc_delay_ms",
    "gaurd_pages": "guard_pages", "vma_buget": "vma_budget",
    "kvmalloc_page_max": "kvmalloc_pages_max", "reserv": "reserve",
    "rcu_dealy_ms": "rcu_delay_ms", "rcu_bugdet": "rcu_budget",
    "spam": "span", "vfork_is_fork": "vfork_as_fork",
    "initonalloc": "init_on_alloc", "stats_fiel": "stats_file",
    "fake_node": "fake_nodes", "strictt": "strict", "profil": "profile",
    "node_fall_back": "node_fallback", "back_ground": "background",
}
UNKNOWN = ("banana", "max_open_files", "x", "arena.0.decay_ms",
           "two words", "quotes\"", "a_name_of_more_than_thirty_two_letters")
SIZE = "expected a size, as 65536, 64K or 8M"
TIME = "expected a time, as 100ms or 2s"
NUMBER = "expected a whole number"
TRUTH = "expected yes or no"
NODES = "expected a number of nodes, or levels as pack:2 numa:2 pu:4"

# (line, what is said of it)
VALUES = [
    ("span = 5x", SIZE), ("span = K", SIZE), ("span = -1G", SIZE),
    ("span = 1.5G", SIZE), ("span = 1 G B", SIZE), ("span = 1GG", SIZE),
    ("span = \"1G\"", SIZE), ("span =", SIZE), ("span = 0x10G", SIZE),
    ("span = 1s", SIZE), ("span = 1M", "outside of 1G to 64T"),
    ("span = 65T", "outside of 1G to 64T"),
    ("span = 18446744073709551616", "outside of 1G to 64T"),
    ("span = 99999999999T", "outside of 1G to 64T"),
    ("reserve = 2G", "outside of 0 to 1G"),
    ("kvmalloc_pages_max = 4097K", "outside of 0 to 4M"),
    ("trim_delay_ms = 3m", TIME), ("trim_delay_ms = 1.5s", TIME),
    ("trim_delay_ms = soon", TIME), ("trim_delay_ms = 5K", TIME),
    ("trim_delay_ms = 86401s", "outside of 0ms to 86400s"),
    ("rcu_delay_ms = 10001", "outside of 0ms to 10s"),
    ("magazine_capacity = 0", "outside of 1 to 126 objects"),
    ("magazine_capacity = 127", "outside of 1 to 126 objects"),
    ("magazine_capacity = 7K", NUMBER), ("magazine_capacity = many", NUMBER),
    ("depot_batches = 65537", "outside of 0 to 65536 batches"),
    ("depot_batches = +5", NUMBER), ("stats_pid = 4194305", "outside of 0"),
    ("stats = maybe", TRUTH), ("stats = 2", TRUTH), ("stats =", TRUTH),
    ("guard_pages = yess", TRUTH), ("rseq = enable", TRUTH),
    ("background = later", "expected one of auto|yes|no"),
    ("rcu_full = wait", "expected one of fail|grow"),
    ("profile = fast", "expected one of none|latency|memory|"),
    ("profile = Latency", "expected one of none|latency|memory|"),
    ("fake_nodes = x", NODES), ("fake_nodes = 0-3", NODES),
    ("fake_nodes = pack:2", NODES), ("fake_nodes = pack:2 numa:2", NODES),
    ("fake_nodes = pu:0", NODES), ("fake_nodes = [numa pu:2", NODES),
    ("fake_nodes = 65", "more than 64 nodes or 8192 CPUs"),
    ("fake_nodes = numa:2 pu:9999", "more than 64 nodes or 8192 CPUs"),
]
FORM = "not of the form key = value"
OTHER = [
    ("nonsense", FORM), ("yes", FORM), ("stats yes", FORM),
    ("= 3", "unknown key ''"), ("<stats>yes</stats>", FORM),
    ("{\"stats\"}", FORM),
    (b"st\0ats = yes", "contains a 0 byte; the line is ignored"),
    (b"stats_file = /caf\xe9", "is not UTF-8; the line is ignored"),
    (b"stats_file = \xc0\xaf", "is not UTF-8; the line is ignored"),
    (b"stats_file = /\xe2\x82", "is not UTF-8; the line is ignored"),
    (b"stats_file = \xf5\x80\x80\x80", "is not UTF-8; the line is ignored"),
    (b"\x01stats = yes", "contains a control character; the line is ignored"),
    (b"stats = yes\x1b[0m", "contains a control character"),
    ("stats_file = /" + "x" * 300, "longer than 198 bytes; the line is"),
    ("# " + "x" * 300, "longer than 198 bytes; the line is ignored"),
    ("[knuma", "a section is written [name]"),
    ("[knuma] stats = yes", "a section is written [name]"),
    ("[Knuma]", "unknown section [Knuma]; its keys are ignored: there are"),
    ("[jemalloc]", "unknown section [jemalloc]; its keys are ignored"),
    ("[]", "unknown section []; its keys are ignored"),
    ("[cache]", "a cache has a name of 1 to 47 bytes"),
    ("[cache " + "n" * 48 + "]", "a cache has a name of 1 to 47 bytes"),
]
CACHE = [
    ("span = 1G", "span is no setting of one cache; it belongs to [knuma]"),
    ("depot_batch = 3", "of a cache; the nearest is 'depot_batches'"),
    ("colour = 3", "unknown key 'colour' of a cache; knuma.conf(5) lists"),
    ("magazine_capacity = 127", "outside of 1 to 126 objects"),
    ("magazine_bytes = lots", SIZE), ("slab_order = 5", "outside of 0 to 4"),
    ("slab_order = -1", NUMBER), ("depot_batches =", NUMBER),
]


def rows():
    """(lines before, line, what is said), each line another mistake."""
    for name, near in MISSPELT.items():
        yield b"[knuma]", "%s = 1" % name, \
            "unknown key '%s'; the nearest is '%s'" % (name, near)
    for name in UNKNOWN:
        yield b"[knuma]", "%s = 1" % name, \
            "unknown key '%s'; `knuma conf dump' lists the keys" % name
    for line, said in VALUES + OTHER:
        yield b"[knuma]", line, said
    for line, said in CACHE:
        yield b"[cache a]", line, said


def as_bytes(line):
    return line if isinstance(line, bytes) else line.encode()


class Mistakes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="knuma-mistakes-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def file(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(content)
        return path

    def check(self, *paths, code=1, **kwargs):
        """The lines that `knuma check` prints."""
        done = subprocess.run(
            [KNUMA, "check", *paths], env={"PATH": "/usr/bin:/bin"},
            capture_output=True, timeout=60, check=False, **kwargs)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode("utf-8", "surrogateescape").splitlines()

    def test_there_are_a_hundred_and_all_differ(self):
        lines = [(section, as_bytes(line)) for section, line, _ in rows()]
        self.assertGreaterEqual(len(lines), 100)
        self.assertEqual(len(set(lines)), len(lines))

    def test_all_in_one_file(self):
        content, expected, section, caches = b"", [], b"[knuma]", 0
        for want, line, said in rows():
            if want != section or as_bytes(line).startswith(b"["):
                # A section of a cache stands once in a file.
                section = want
                caches += 1
                content += want.replace(b" a]", b" a%d]" % caches) + b"\n"
            content += as_bytes(line) + b"\n"
            expected.append((content.count(b"\n"), said))
            if as_bytes(line).startswith(b"["):
                section = None
        path = self.file("all.conf", content)
        found = self.check(path)
        self.assertEqual(len(found), len(expected))
        for text, (number, said) in zip(found, expected):
            self.assertTrue(text.startswith("%s:%d: " % (path, number)),
                            (text, number, said))
            self.assertIn(said, text)

    def test_each_in_a_file_of_its_own(self):
        paths, expected = [], []
        for i, (section, line, said) in enumerate(rows()):
            # Where it stands varies, and what the line before ends with.
            content = b"# %d\r\n\n" % i * (i % 3) + section + b"\n" + \
                as_bytes(line) + b"\n" * (i % 2)
            paths.append(self.file("%d.conf" % i, content))
            expected.append("%s:%d: " % (paths[-1], 2 * (i % 3) + 2))
        found = self.check(*paths)
        self.assertEqual(len(found), len(expected))
        for text, where, (_, _, said) in zip(found, expected, rows()):
            self.assertTrue(text.startswith(where), (text, where))
            self.assertIn(said, text)

    def test_second_lines(self):
        for content, line, said in (
                (b"stats = yes\nstats = no\n", 2,
                 "stats is already set in line 1; this line is ignored"),
                (b"[cache a]\nslab_order = 1\nslab_order = 2\n", 3,
                 "slab_order is already set in line 2; this line is ignored"),
                (b"[cache a]\n\n[cache a]\nslab_order = 9\n", 3,
                 "[cache a] is already in line 1; this section is ignored"),
                (b"".join(b"[cache c%d]\n" % i for i in range(65)), 65,
                 "more than 64 sections of caches; this one is ignored: use "
                 "patterns")):
            path = self.file("second.conf", content)
            self.assertEqual(self.check(path),
                             ["%s:%d: %s" % (path, line, said)])

    def test_files_as_a_whole(self):
        missing = os.path.join(self.folder, "missing")
        self.assertEqual(self.check(missing, code=2),
                         [missing + ": does not exist"])
        self.assertEqual(self.check(self.folder, code=2),
                         [self.folder + ": cannot be read: Is a directory"])
        loop = os.path.join(self.folder, "loop")
        os.symlink(loop, loop)
        self.assertEqual(
            self.check(loop, code=2),
            [loop + ": cannot be read: Too many levels of symbolic links"])
        under = os.path.join(self.file("f", b""), "under")
        self.assertEqual(self.check(under, code=2),
                         [under + ": cannot be read: Not a directory"])
        self.assertRegex("\n".join(self.check("/dev/zero", code=2)),
                         r"/dev/zero: longer than 1048576 bytes")

    def test_a_file_without_permission(self):
        path = self.file("secret.conf", b"stats = yes\n")
        os.chmod(path, 0)
        # Root may read it all the same; without this capability it may not.
        less = []
        if os.access(path, os.R_OK):
            less = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
            done = subprocess.run([*less, "cat", path], capture_output=True,
                                  check=False)
            if done.returncode == 0 or b"Permission denied" not in done.stderr:
                self.skipTest("nothing here is kept from root: %r"
                              % done.stderr)
        done = subprocess.run([*less, KNUMA, "check", path],
                              env={"PATH": "/usr/bin:/bin"},
                              capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (
            2, path + ": cannot be read: Permission denied\n"))

    def test_a_program_says_the_same_and_strict_ends_it(self):
        path = self.file("some.conf", b"stats = maybe\n[knuma\nspan = 1G\n")
        found = self.check(path)
        for strict, code in ("no", 0), ("yes", 2):
            done = subprocess.run(
                [KNUMA, "run", "--conf", path, "--set", "strict=" + strict,
                 "--no-stat-file", "true"], env={"PATH": "/usr/bin:/bin"},
                capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            for text in found:
                self.assertIn("knuma: %s\n" % text, done.stderr)
            self.assertEqual("not starting because of 2 mistakes" in
                             done.stderr, strict == "yes")

    def test_messages_fit_a_terminal_and_are_one_line(self):
        content = b"".join(as_bytes(line) + b"\n" for _, line, _ in rows())
        for text in self.check(self.file("all.conf", content)):
            self.assertRegex(text, r"^/[^:]+:\d+: \S.*[^.\s]$")
            self.assertFalse(re.search(r"[\x00-\x1f\x7f]", text), text)


if __name__ == "__main__":
    unittest.main()
