#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mistakes with the public headers that a compiler finds by their attributes.

Each row is a function body with a mistake, and what a compiler must say of it;
the same body without the mistake must compile without a word.
"""

import shutil
import subprocess
import unittest

HEAD = """#include <knuma/knuma.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
struct three { char c[3]; };
struct far { char c[4096]; struct rcu_head { void *p[2]; } rcu; };
extern struct rcu_flavor_struct { int x; } rcu_flavor;
void use(void *p);
int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
%s
\treturn 0;
}
"""

GCC = ("gcc",)
BOTH = ("gcc", "clang")

# Compilers, the option that is named in the message, a mistake, none.
ROWS = [
    (GCC, "-Wmismatched-dealloc",
     "free(kmalloc(8, GFP_KERNEL));", "kfree(kmalloc(8, GFP_KERNEL));"),
    (GCC, "-Wmismatched-dealloc",
     "vfree(kmalloc(8, GFP_KERNEL));", "kvfree(kmalloc(8, GFP_KERNEL));"),
    (GCC, "-Wmismatched-dealloc",
     "kfree(vmalloc(8));", "vfree(vmalloc(8));"),
    (GCC, "-Wmismatched-dealloc",
     "kfree(kvmalloc(1 << 20, GFP_KERNEL));",
     "kvfree(kvmalloc(1 << 20, GFP_KERNEL));"),
    (GCC, "-Wmismatched-dealloc",
     "kfree(kvmalloc_node_align(8, 64, GFP_KERNEL, 0));",
     "kvfree(kvmalloc_node_align(8, 64, GFP_KERNEL, 0));"),
    (GCC, "-Wmismatched-dealloc",
     "kfree(kzalloc_obj(struct far)); free(kzalloc_obj(struct far));",
     "kfree(kzalloc_obj(struct far));"),
    (GCC, "-Wmismatched-dealloc",
     "kfree(mempool_create_kmalloc_pool(1, 8));",
     "mempool_destroy(mempool_create_kmalloc_pool(1, 8));"),
    (GCC, "-Wmismatched-dealloc",
     "kfree(alloc_percpu(long));", "free_percpu(alloc_percpu(long));"),
    (GCC, "-Wmismatched-dealloc",
     "kfree(alloc_pages_exact(8192, GFP_KERNEL));",
     "free_pages_exact(alloc_pages_exact(8192, GFP_KERNEL), 8192);"),
    (GCC, "-Wuse-after-free",
     "char *p = kmalloc(8, GFP_KERNEL); kfree(p); use(p);",
     "char *p = kmalloc(8, GFP_KERNEL); use(p); kfree(p);"),
    (GCC, "-Warray-bounds",
     "char *p = kmalloc(4, GFP_KERNEL); memset(p, 1, 8); use(p);",
     "char *p = kmalloc(8, GFP_KERNEL); memset(p, 1, 8); use(p);"),
    (GCC, "-Warray-bounds",
     "char *p = kcalloc(2, 2, GFP_KERNEL); memset(p, 1, 8); use(p);",
     "char *p = kcalloc(2, 4, GFP_KERNEL); memset(p, 1, 8); use(p);"),
    (GCC, "-Warray-bounds",
     "char *p = kvzalloc(4, GFP_KERNEL); memset(p, 1, 8); use(p);",
     "char *p = kvzalloc(8, GFP_KERNEL); memset(p, 1, 8); use(p);"),
    (GCC, "-Warray-bounds",
     "char *p = vmalloc(4); memset(p, 1, 8); use(p);",
     "char *p = vmalloc(8); memset(p, 1, 8); use(p);"),
    (GCC, "-Warray-bounds",
     "char *p = krealloc(NULL, 4, GFP_KERNEL); memset(p, 1, 8); use(p);",
     "char *p = krealloc(NULL, 8, GFP_KERNEL); memset(p, 1, 8); use(p);"),
    (GCC, "-Walloc-size-larger-than=",
     "use(kvmalloc_node(SIZE_MAX, GFP_KERNEL, 0));",
     "use(kvmalloc_node(SIZE_MAX / 4, GFP_KERNEL, 0));"),
    (BOTH, "-Wunused-result",
     "krealloc(NULL, 8, GFP_KERNEL);", "use(krealloc(NULL, 8, GFP_KERNEL));"),
    (BOTH, "-Wunused-result",
     "kvrealloc(NULL, 8, GFP_KERNEL);",
     "use(kvrealloc(NULL, 8, GFP_KERNEL));"),
    (BOTH, "-Wunused-result",
     "vrealloc(NULL, 8, GFP_KERNEL);", "use(vrealloc(NULL, 8, GFP_KERNEL));"),
    (BOTH, "-Wunused-result",
     'kmem_cache_create("x", 8, NULL, 0);',
     'use(kmem_cache_create("x", 8, NULL, 0));'),
    (BOTH, "-Wunused-result",
     "alloc_pages(GFP_KERNEL, 0);", "use(alloc_pages(GFP_KERNEL, 0));"),
    (BOTH, "-Wunused-result",
     "memalloc_nofs_save();", "memalloc_nofs_restore(memalloc_nofs_save());"),
    (BOTH, "-Wunused-result",
     "mempool_t p; mempool_init_kmalloc_pool(&p, 1, 8);",
     "mempool_t p; return mempool_init_kmalloc_pool(&p, 1, 8);"),
    (BOTH, "-Wformat",
     'use(shrinker_alloc(0, "%s", 5));', 'use(shrinker_alloc(0, "%d", 5));'),
    (("clang",), "-Wnon-power-of-two-alignment",
     "use(kvmalloc_node_align(8, 24, GFP_KERNEL, 0));",
     "use(kvmalloc_node_align(8, 32, GFP_KERNEL, 0));"),
    (BOTH, "error:",
     "struct three *p = NULL; this_cpu_write(*p, *p);",
     "int *p = alloc_percpu(int); this_cpu_write(*p, 3); free_percpu(p);"),
    (BOTH, "rcu_head at 4096 or above",
     "struct far *p = NULL; kfree_rcu(p, rcu);", ";"),
]


def compile_with(compiler, body):
    return subprocess.run(
        [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-Iinclude", "-S",
         "-o", "/dev/null", "-xc", "-"], input=HEAD % body,
        capture_output=True, text=True, timeout=60, check=False).stderr


class Warnings(unittest.TestCase):
    def test_mistakes_are_warned_of(self):
        for compilers, message, wrong, _ in ROWS:
            for compiler in compilers:
                with self.subTest(compiler=compiler, body=wrong):
                    self.assertIn(message, compile_with(compiler, wrong))

    def test_without_them_there_is_nothing_to_say(self):
        body = "\n".join("\tif (argc == %d) { %s }" % (i, row[3])
                         for i, row in enumerate(ROWS))
        for compiler in BOTH:
            self.assertEqual(compile_with(compiler, body), "")

    def test_both_compilers_are_there(self):
        for compiler in BOTH:
            self.assertTrue(shutil.which(compiler), compiler)


if __name__ == "__main__":
    unittest.main()
