#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/reference/kernel-calls.md from the public headers.

  kernel_calls.py HEADER... >docs/reference/kernel-calls.md

Which calls of the kernel's allocators there are, by header, what differs (the
"Differs:" of their comments), and which there are not.
"""

import re
import sys
import textwrap

import gen_man

# Of knuma alone, or the same calls again under a macro.
NOT_THE_KERNELS = {"alloc_tag.h", "group.h", "knuma.h", "malloc.h", "numa.h",
                   "stats.h", "tunables.h", "types.h", "version.h"}
OWN = re.compile(r"(knuma|kn|KN)_|kvfree_call_rcu_flavor$|kv?free_sized$")

# The kernel's header, where that has another name.
KERNELS_NAME = {"kmalloc.h": "slab.h", "kmalloc_obj.h": "slab.h",
                "kvmalloc.h": "slab.h", "kstring.h": "string.h",
                "memalloc.h": "sched/mm.h", "page.h": "gfp.h",
                "rcu.h": "rcupdate.h"}

# Calls, and why they are not there.
LEFT_OUT = [
    ("kmem_buckets_create kmem_buckets_alloc kmem_buckets_valloc",
     "a cache of its own, or a group (`<knuma/group.h>`), keeps a user's "
     "objects apart and counts them"),
    ("__kmalloc_noprof __kmalloc_node_noprof __kmalloc_large_noprof",
     "inside of `kmalloc`; the one that the kernel's tests call, "
     "`__kmalloc_cache_noprof`, is there"),
    ("rcu_barrier call_rcu synchronize_rcu rcu_read_lock",
     "liburcu's, of the flavour that the program takes"),
    ("kfree_rcu_nolock",
     "`kfree_rcu` may be called anywhere, in signal handlers, too"),
    ("__vmalloc_node_range find_vm_area",
     "a range of the kernel's addresses, and its list of areas"),
    ("vmap vunmap vm_map_ram vm_unmap_ram vm_unmap_aliases vmalloc_to_page",
     "pages are anonymous memory, which cannot be mapped twice"),
    ("alloc_pages_bulk_list",
     "gone from the kernel since 6.14"),
    ("alloc_pages_nolock free_pages_nolock",
     "`alloc_pages` with `GFP_NOWAIT` and `__free_pages` may be called anywhere"),
    ("alloc_pages_mpol folio_alloc vma_alloc_folio alloc_contig_pages",
     "of the page cache, of mappings and of devices; a process has its own "
     "policies for its mappings"),
    ("page_frag_alloc page_frag_free",
     "pieces of a page for packets: objects of a cache cost as little"),
    ("DEFINE_PER_CPU get_cpu_ptr put_cpu_ptr",
     "static copies need the linker, and preemption cannot be switched off; "
     "`alloc_percpu` and `this_cpu_add` need neither"),
]

HEAD = """# Kernel calls

The calls of Linux's allocators that knuma has, by header, and what differs from Linux 6.12 to 7.0. Their comments in the headers, of which
the manual pages are made, say the rest. Flags: [gfp.md](gfp.md). `./bazelw build //tools/man:kernel-calls` makes this page,
`bazel-bin/tools/man/kernel-calls.md`.

"""


def unique(names):
    return list(dict.fromkeys(names))


def quoted(names):
    return ", ".join("`%s`" % n for n in names)


def is_call(doc):
    return not any("{" in s for s in doc.synopsis)


def linux_header(name, headers):
    """The kernel's name for <knuma/name>, which is there and includes it."""
    own = "linux/" + KERNELS_NAME.get(name, name)
    found, queue = set(), [own]
    while queue:
        at = queue.pop()
        if at not in found:
            found.add(at)
            queue += re.findall(r"#include <knuma/([\w/]+\.h)>", headers[at])
    if name not in found:
        sys.exit("kernel_calls: <%s> does not include <knuma/%s>" % (own, name))
    return own


def differs(doc):
    text = doc.tags.get("Source", (None, ""))[1]
    text = re.sub(r"@?(\b(?:__)?[A-Z]\w*_\w+|\b\w+\(\)|(?<=@)\w+)", r"`\1`",
                  text.partition("Differs: ")[2])
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def section(path, name, headers):
    docs, bare = gen_man.parse_header(path, name)
    docs = [d for d in docs if is_call(d)]
    names = [n for d in docs for n in [d.name] + d.others] + bare
    names = unique(n for n in names if not OWN.match(n))
    rows = [(quoted([d.name]), differs(d)) for d in docs
            if d.name in names and differs(d)]
    told = {d.name for d in docs if differs(d)}
    out = "## `<knuma/%s>`, as `<%s>`\n\n" % (name, linux_header(name, headers))
    out += textwrap.fill(quoted(n for n in names if n not in told) + ".", 140,
                         break_long_words=False, break_on_hyphens=False)
    out += "\n\n"
    if rows:
        out += "| differs | how |\n|---|---|\n"
        out += "".join("| %s | %s |\n" % row for row in rows) + "\n"
    return out, names


def main(paths):
    files = {p[p.index("include/knuma/") + len("include/knuma/"):]: p
             for p in sorted(paths) if p.endswith(".h")}
    headers = {}
    for name, path in files.items():
        with open(path, encoding="utf-8") as f:
            headers[name] = f.read()
    page, there = HEAD, set()
    for name, path in files.items():
        if "/" not in name and name not in NOT_THE_KERNELS:
            text, names = section(path, name, headers)
            page += text
            there.update(names)
    page += "## Left out\n\n| calls | why |\n|---|---|\n"
    for names, why in LEFT_OUT:
        both = there.intersection(names.split())
        if both:
            sys.exit("kernel_calls: %s is said to be left out, and is declared"
                     % ", ".join(sorted(both)))
        page += "| %s | %s |\n" % (quoted(names.split()), why)
    sys.stdout.write(page)


if __name__ == "__main__":
    main(sys.argv[1:])
