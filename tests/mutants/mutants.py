# SPDX-License-Identifier: Apache-2.0
"""The planted errors of this folder: their patch files and what they say."""

import glob
import os
import re
import subprocess

HEADER = re.compile(r"SPDX-License-Identifier: Apache-2\.0\n"
                    r"Planted: (?P<what>[^\n]+\.)\n"
                    r"Tests: (?P<tests>[^\n]+)\n\n--- a/")


class Mutant:
    """One patch: its name, what it plants, the tests that must notice."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-len(".patch")]
        with open(path, encoding="utf-8") as f:
            text = f.read()
        header = HEADER.match(text)
        if not header:
            raise ValueError("%s: it begins with no SPDX line, `Planted: "
                             "SENTENCE.', `Tests: NAME...'" % path)
        self.what = header["what"]
        self.tests = header["tests"].split()
        self.files = re.findall(r"(?m)^\+\+\+ b/(\S+)", text)

    def apply(self, tree, dry_run=False):
        """None, or why the patch does not fit the files below tree.

        The lines that it changes must be there, not the one beside them.
        """
        done = subprocess.run(
            ["patch", "-p1", "--fuzz=1", "--forward", "--no-backup-if-mismatch",
             "--reject-file=-", "--input", os.path.abspath(self.path)]
            + ["--dry-run"] * dry_run,
            cwd=tree, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr if done.returncode else None


def mutants(folder):
    """All of folder, by name."""
    return [Mutant(p) for p in sorted(glob.glob(os.path.join(folder,
                                                             "*.patch")))]
