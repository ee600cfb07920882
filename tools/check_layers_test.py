# SPDX-License-Identifier: Apache-2.0
"""The tree keeps its layers, and the checker sees it when a file does not."""

import os
import shutil
import tempfile
import unittest

from tools import check_layers

# What a file says, and a part of the answer.
VIOLATIONS = [
    # Upward, by one row and by many.
    ("alloc/base/list.h", '#include "alloc/slab/slab.h"', "of the higher layer"),
    ("alloc/config/tunables.c", '#include "numa/rseq.h"', "of the higher layer"),
    ("numa/rseq/x86_64.h", '#include "alloc/magazine/magazine.h"', "of the higher layer"),
    ("alloc/page/buddy.c", '#  include\t"alloc/core/init.h"', "of the higher layer"),
    # Sideways.
    ("alloc/slab/slab.c", '#include "alloc/vmalloc/vmap.h"', "of the same layer"),
    ("alloc/config/tunables.c", '#include "alloc/stats/stats.def"', "of the same layer"),
    # The shim has no other copy of the heap, and nothing knows it.
    ("alloc/preload/malloc.c", '#include "alloc/slab/slab.h"', "preload shim sees"),
    ("alloc/core/init.c", '#include "alloc/preload/malloc.h"', "nothing includes the preload"),
    # Other projects' headers.
    ("alloc/page/zone.c", "#include <numa.h>", "belongs to numa only"),
    ("alloc/core/init.c", "#include <numaif.h>", "belongs to numa only"),
    ("alloc/page/zone.c", "#include <hwloc.h>", "belongs to numa only"),
    ("tools/knuma/top.c", "#include <hwloc/linux.h>", "belongs to numa only"),
    ("alloc/slab/slab.c", "#include <urcu-bp.h>", "belongs to alloc/deferred"),
    ("include/knuma/slab.h", "#include <urcu/call-rcu.h>", "belongs to alloc/deferred"),
    ("numa/cpu.c", "#include <ck_pr.h>", "belongs to alloc/base only"),
    ("alloc/stats/stats.c", "#include <ini.h>", "belongs to alloc/config only"),
    ("bench/bench.c", "#include <argp.h>", "belongs to tools only"),
    # How an include is written.
    ("alloc/base/lock.c", '#include "lock.h"', "not written from the root"),
    ("alloc/base/lock.c", '#include "alloc/slab/../base/lock.h"', "not written from the root"),
    ("alloc/base/lock.c", '#include "alloc/base/print.c"', "never included"),
    ("alloc/base/lock.c", "#include <alloc/base/lock.h>", "written in quotes"),
    ("alloc/base/lock.c", '#include "include/knuma/slab.h"', "write <knuma/slab.h>"),
    ("alloc/base/lock.c", '#include "tests/support/rng.h"', "in no folder"),
    ("alloc/base/lock.c", "#include HEADER", "cannot read"),
    ("include/knuma/slab.h", '#include "alloc/slab/slab.h"', "a public header"),
    # A folder the table does not know.
    ("alloc/hats/hat.c", "", "lies in no folder"),
    ("alloc/loose.h", "", "lies in no folder"),
    # After what looks like the start of a comment.
    ("alloc/base/print.c", 's = "/*";\n#include "alloc/slab/slab.h"\n/* */', "of the higher layer"),
]

ALLOWED = [
    ("include/knuma/rcu.h", "#include <urcu/call-rcu.h>\n#include <knuma/gfp.h>\n#include <stddef.h>"),
    ("alloc/base/atomic.h", "#include <ck_pr.h>\n#include <stdint.h>"),
    ("alloc/config/tunables.c", '#include <ini.h>\n#include "alloc/config/tunables.def"\n#include "alloc/base/print.h"'),
    ("alloc/deferred/kfree_rcu.c", '#include <urcu/flavor.h>\n#include "alloc/rcu/grace.h"'),
    ("numa/rseq/x86_64.h", '#include "numa/rseq.h"\n#include <linux/rseq.h>'),
    ("numa/topology.c", "#include <hwloc.h>\n#include <numa.h>\n#include <numaif.h>"),
    ("alloc/slab/cache.c", '#include <knuma/slab.h>\n#include "alloc/page/page_alloc.h"\n#include "numa/rseq.h"'),
    ("alloc/core/init.c", '#include "alloc/view/slabinfo.h"'),
    ("alloc/preload/malloc.c", '#include <knuma/malloc.h>\n#include "alloc/base/compiler.h"'),
    ("tools/knuma/main.c", '#include <argp.h>\n#include "bench/bench.h"\n#include <knuma/numa.h>'),
    ("alloc/base/list.h", '/* #include "alloc/slab/slab.h" */\n// #include <numa.h>'),
]


class CheckLayers(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        with open("tools/layers.bzl", encoding="utf-8") as f:
            self.plant("tools/layers.bzl", f.read())

    def plant(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text + "\n")

    def test_the_tree_keeps_its_layers(self):
        faults, n = check_layers.check(".")
        self.assertEqual(faults, [])
        self.assertGreater(n, 20, "the tree is not in the test's runfiles")

    def test_each_violation_is_named(self):
        for path, text, answer in VIOLATIONS:
            with self.subTest(path=path, text=text):
                self.plant(path, text)
                faults, n = check_layers.check(self.root)
                os.unlink(os.path.join(self.root, path))
                self.assertEqual(n, 1)
                self.assertEqual(len(faults), 1, faults)
                self.assertTrue(faults[0].startswith(path + ":"), faults)
                self.assertIn(answer, faults[0])

    def test_what_is_allowed_passes(self):
        for path, text in ALLOWED:
            self.plant(path, text)
        self.assertEqual(check_layers.check(self.root), ([], len(ALLOWED)))

    def test_the_line_is_named_and_the_exit_code_follows(self):
        path = "alloc/base/list.h"
        self.plant(path, '#include <stddef.h>\n/* a\n b */\n#include "alloc/slab/slab.h"')
        self.assertTrue(check_layers.check(self.root)[0][0].startswith(path + ":4: "))
        self.assertEqual(check_layers.main(["check_layers", self.root]), 1)
        self.plant(path, "#include <stddef.h>")
        self.assertEqual(check_layers.main(["check_layers", self.root]), 0)
        os.unlink(os.path.join(self.root, path))
        self.assertEqual(check_layers.main(["check_layers", self.root]), 2)


if __name__ == "__main__":
    unittest.main()
