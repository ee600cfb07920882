#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The model of docs/perf/scaling.md, with counts that are made up."""

import contextlib
import io
import json
import os
import tempfile
import unittest

from tools import scaling

NOTHING = {"waits": 0, "shared": 0, "statistics": 0, "node_statistics": 0,
           "slabs": 0, "calls": 0, "locks": 0}


def report(counts, cpu_ns, name="pair"):
    row = {"allocator": "knuma", "own": True, "rounds": 5, "cpu_ns": cpu_ns}
    if counts is not None:
        row["counts_per_1000"] = counts
    other = {"allocator": "glibc", "own": False, "rounds": 5, "cpu_ns": 1}
    return {"workloads": [{"name": name, "rows": [other, row]}]}


class Scaling(unittest.TestCase):
    def limits(self, cpu_ns=100, **counts):
        return scaling.limits_of({**NOTHING, **counts}, cpu_ns)

    def test_nothing_shared_has_no_limit(self):
        self.assertEqual(self.limits(), {})
        # Objects' bits are as many as slabs.
        self.assertEqual(self.limits(shared=900, slabs=900), {})

    def test_a_limit_is_copies_by_uses(self):
        copies, use_ns, _ = scaling.TERMS["lock_zone"]
        one = self.limits(locks=1000, lock_zone=1000, shared=2000)
        self.assertEqual(list(one), ["lock_zone"])
        self.assertAlmostEqual(one["lock_zone"], copies * 100 / use_ns)
        # Twice the uses: half as many CPUs; twice the work beside: twice.
        two = self.limits(locks=2000, lock_zone=2000, shared=4000)
        self.assertAlmostEqual(two["lock_zone"], one["lock_zone"] / 2)
        slow = self.limits(cpu_ns=200, locks=1000, lock_zone=1000, shared=2000)
        self.assertAlmostEqual(slow["lock_zone"], one["lock_zone"] * 2)

    def test_writes_are_divided_among_terms(self):
        uses = scaling.uses_of({**NOTHING, "shared": 100, "statistics": 40,
                                "node_statistics": 30, "slabs": 20,
                                "locks": 5, "lock_slab": 5})
        self.assertEqual(uses["statistics"], 10)
        self.assertEqual(uses["node statistics"], 30)
        self.assertEqual(uses["lock_slab"], 5)
        self.assertEqual(uses["node words"], 100 - 40 - 20 - 2 * 5)

    def run_main(self, *reports):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for i, text in enumerate(reports):
                paths.append(os.path.join(folder, "%d.json" % i))
                with open(paths[-1], "w", encoding="utf-8") as f:
                    f.write(text if isinstance(text, str) else
                            json.dumps(text))
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), \
                    contextlib.redirect_stderr(err):
                code = scaling.main(["scaling.py"] + paths)
        return code, out.getvalue(), err.getvalue()

    def test_the_tables_name_the_term_that_is_busy_first(self):
        counts = {**NOTHING, "calls": 1, "statistics": 1000, "shared": 1000}
        code, out, err = self.run_main(report(counts, 100),
                                       report(None, 100))
        self.assertEqual((code, err), (0, ""))
        # 16 stripes, 300 ns, one for each operation of 100 ns.
        self.assertIn("| `pair` | 100 | 5.33 | statistics | calls 200 |\n",
                      out)

    def test_files_that_do_not_fit(self):
        good = report(NOTHING, 100)
        for files, word in ((("{", good), "no report of knuma bench"),
                            (({"a": 1}, good), "no report of knuma bench"),
                            ((report(None, 1), good), "--config=counts"),
                            ((good,), "usage:")):
            code, out, err = self.run_main(*files)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(word, err)
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(scaling.main(["", "/no/file", "/no/file"]), 2)
        self.assertIn("/no/file: ", err.getvalue())


if __name__ == "__main__":
    unittest.main()
