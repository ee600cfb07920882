# SPDX-License-Identifier: Apache-2.0
"""Which calls tests/coverage/sites.py finds, and the questions it puts there."""

import os
import sys
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
}
"""
        self.assertEqual(calls(text), [
            (3, "munmap"), (4, "madvise"), (6, "send"), (7, "pthread_create")])

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

    def test_lines_stay_and_places_are_those_of_the_questions(self):
        text = """int f(void)
{
	return kn_machine.madvise(p, kn_machine.getcpu(),
				  1) ? open(a) : 0;
}
"""
        out, found = sites.rewrite(text)
        self.assertEqual(out.count("\n"), text.count("\n"))
        self.assertEqual(sorted(s.call for s in found),
                         ["getcpu", "madvise", "open"])
        for site in found:
            line, column = site.place
            at = out.split("\n")[line - 1][column - 1:]
            self.assertRegex(at, r"^\(__INTPTR_TYPE__\)r_\d+ < 0 \? ")

    def test_threads_fail_with_what_is_not_zero(self):
        out, _ = sites.rewrite("int f(void)\n{\n\tpthread_create(a);\n}\n")
        self.assertRegex(out, r"r_(\d+) != 0 \? r_\1 : r_\1; \}\);")


if __name__ == "__main__":
    unittest.main()
