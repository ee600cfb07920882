# SPDX-License-Identifier: Apache-2.0
"""Which calls tests/coverage/sites.py finds, and the questions it puts there."""

import array
import contextlib
import io
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.getcwd(), "tests/coverage"))

import sites  # noqa: E402  pylint: disable=wrong-import-position


def calls(text):
    return [(site.line, site.call) for site in sites.rewrite(text)[1]]


class Sites(unittest.TestCase):
    def test_calls_of_the_table_and_of_the_c_library(self):
        text = """int f(int fd)
{
	if (kn_machine.munmap(p, 1))
		return kn_machine.madvise(p,
					  2, 3);
	(void)!send(fd, p, 1, 0);
	err = pthread_create(&t, NULL, g, NULL);
	return real.mmap(NULL, 1);
}
"""
        self.assertEqual(calls(text), [
            (3, "munmap"), (4, "madvise"), (6, "send"), (7, "pthread_create"),
            (8, "mmap")])

    def test_what_is_no_call_or_cannot_fail(self):
        self.assertEqual(calls("""int open(const char *path);
static int read(void)
{
	/* kn_machine.mmap() */
	s->send(1);
	s.send(1);
	sum = read();
	kn_machine.name(p, 1, "x");
	syscall(SYS_gettid);
	kn_machine.mmap = other;
	text = "open(1)";
	reopen(1);
}
"""), [])

    def test_lines_stay_and_each_place_has_a_number(self):
        text = """int f(void)
{
	return kn_machine.madvise(p, kn_machine.getcpu(),
				  1) ? open(a) : 0;
}
"""
        out, found = sites.rewrite(text, 7)
        self.assertEqual(out.count("\n"), text.count("\n"))
        self.assertEqual(sorted(s.call for s in found),
                         ["getcpu", "madvise", "open"])
        for place in (7, 8, 9):
            self.assertRegex(out, r"kn_site\(%d, \(__INTPTR_TYPE__\)r_\d+ < 0\)"
                             % place)

    def test_threads_fail_with_what_is_not_zero(self):
        out, _ = sites.rewrite("int f(void)\n{\n\tpthread_create(a);\n}\n")
        self.assertRegex(out, r"kn_site\(0, \(__INTPTR_TYPE__\)r_(\d+) != 0\); "
                         r"r_\1; \}\);")

    def test_sources_without_calls_stay_as_they_are(self):
        self.assertEqual(sites.rewrite("int a;\n"), ("int a;\n", []))


TEXT = """int f(void)
{
	read(1);
	open(a);
	read(1);
}
"""


class Counts(unittest.TestCase):
    def setUp(self):
        self.sites = [("a.c", s) for s in sites.rewrite(TEXT)[1]]
        self.known = {}

    def run_with(self, *counts):
        with tempfile.NamedTemporaryFile() as f:
            f.write(array.array("L", counts).tobytes())
            f.flush()
            sites.add(self.known, self.sites, f.name)

    def report(self, *rows, only=()):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = sites.report(self.sites, self.known, rows, only)
        return code, out.getvalue()

    def test_runs_are_added_and_what_is_left_is_named(self):
        self.run_with(1, 1, 1, 0, 0, 0)
        self.assertEqual(self.report(), (1, "a.c:4: open\n"
                                            "a.c:5: read (not reached)\n\n"
                                            "failed 1 of 3 call sites\n"))
        self.run_with(0, 0, 0, 2, 0, 1)
        self.assertEqual(self.report(),
                         (0, "\nfailed 3 of 3 call sites\n"))

    def test_places_stay_when_lines_above_them_change(self):
        self.run_with(0, 1, 0, 1, 0, 1)
        self.sites = [("a.c", s) for s in sites.rewrite("\n" + TEXT)[1]]
        self.assertEqual(self.report()[0], 0)

    def test_one_file_can_be_looked_at(self):
        self.assertEqual(self.report(only=["b.c"]),
                         (0, "\nfailed 0 of 0 call sites\n"))

    def test_a_place_with_a_reason_is_not_asked_for_and_must_not_fail(self):
        row = ("a.c", "open", "open(a)", "because")
        self.run_with(0, 1, 1, 0, 0, 1)
        self.assertEqual(self.report(row), (0, "\nfailed 2 of 2 call sites\n"))
        self.run_with(0, 0, 0, 1, 0, 0)
        self.assertEqual(self.report(row)[0], 1)

    def test_a_reason_without_a_place_is_an_error(self):
        err = io.StringIO()
        with contextlib.redirect_stderr(err), self.assertRaises(SystemExit):
            self.report(("a.c", "open", "open(b)", "because"))
        self.assertIn("open(b)", err.getvalue())


if __name__ == "__main__":
    unittest.main()
