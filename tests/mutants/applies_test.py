# SPDX-License-Identifier: Apache-2.0
"""Every planted error of tests/mutants still fits the sources.

Who changes a line that a patch changes makes the patch anew, so that
mutants_test, which takes long, plants what it says.
"""

import os
import shutil
import tempfile
import unittest

from tests.mutants.mutants import mutants

ROOT = os.getcwd()
LEAST = 30


class Applies(unittest.TestCase):
    def setUp(self):
        self.tree = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        self.mutants = mutants(os.path.join(ROOT, "tests/mutants"))

    def copy(self, file):
        to = os.path.join(self.tree, file)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(os.path.join(ROOT, file), to)

    def test_there_are_many(self):
        self.assertGreaterEqual(len(self.mutants), LEAST)

    def test_each_is_of_the_library(self):
        for m in self.mutants:
            for file in m.files:
                self.assertRegex(file, r"^(alloc|numa|include)/", m.name)

    def test_each_names_tests_that_exist(self):
        for m in self.mutants:
            for name in m.tests:
                path = os.path.join(ROOT, "tests", name + ".c")
                self.assertTrue(os.path.exists(path), (m.name, name))

    def test_each_applies(self):
        for m in self.mutants:
            for file in m.files:
                self.copy(file)
            with self.subTest(m.name):
                why = m.apply(self.tree, dry_run=True)
                self.assertIsNone(why, "%s: the patch does not fit the sources "
                                  "any more; make it anew\n%s" % (m.path, why))


if __name__ == "__main__":
    unittest.main()
