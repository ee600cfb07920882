# SPDX-License-Identifier: Apache-2.0
"""What the fast paths are made of, read from the shared library.

Each entry point, up to where its cold part begins, has no call, no locked
instruction and no system call, no frame and no loop, and loads no address from
the global offset table; in the preload library one, that of kn_hot.  How many instructions,
branches, loads and stores it is made of stands in fastpath.table, for each
compiler; libraries of a compiler that has no rows there are held to the rules
alone.  The library has the section that the kernel's restartable sequences are
described in.

  fastpath_test.py LIBKNUMA LIBKNUMA_MALLOC TABLE
  fastpath_test.py LIBKNUMA LIBKNUMA_MALLOC TABLE --print   its rows, to paste
"""
import re
import subprocess
import sys

ENTRY_POINTS = [
    "knuma_kmalloc",
    "knuma_kmalloc_node",
    "knuma_kmem_cache_alloc",
    "knuma_kmem_cache_alloc_node",
    "knuma_kfree",
    "knuma_kfree_sized",
    "knuma_kvfree",
    "knuma_kvfree_sized",
    "knuma_kmem_cache_free",
    "knuma_malloc",
    "knuma_free",
    "knuma_free_sized",
]
# Of the preload library, which jumps to libknuma when a path ends.
PRELOAD_ENTRY_POINTS = [
    "malloc",
    "free",
    "free_sized",
    # operator new and new[], delete and delete[], also sized ones
    "_Znwm",
    "_Znam",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvm",
    "_ZdaPvm",
]
# knuma_calloc clears what it gives: its memset() is its one call.


def run(*command):
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


def body(library, name):
    """The instructions of a function: (address, mnemonic, operands)."""
    text = run("objdump", "-d", "--no-show-raw-insn",
               "--disassemble=" + name, library)
    found = []
    for line in text.splitlines():
        m = re.match(r"^\s*([0-9a-f]+):\t(.*)$", line)
        if m:
            words = m.group(2).split(None, 1)
            found.append((int(m.group(1), 16), words[0],
                          words[1] if len(words) > 1 else ""))
    return found


def compiler(library):
    """gcc-12, clang-14: what the library was made by."""
    text = run("readelf", "-p", ".comment", library)
    m = (re.search(r"(clang) version (\d+)", text) or
         re.search(r"(GCC): .* (\d+)\.\d+\.\d+", text))
    return "%s-%s" % (m.group(1).lower(), m.group(2)) if m else "unknown"


def hot_part(insns):
    """It ends with the first return; what the compiler placed behind it is
    reached by jumps only."""
    for i, x in enumerate(insns):
        if x[1].startswith("ret"):
            return insns[:i + 1]
    return []


def faults(insns, hot, addresses):
    """@addresses: how many it may load."""
    start, end = insns[0][0], insns[-1][0]
    if not hot:
        return ["no return"]
    bad = []
    for address, mnemonic, operands in hot:
        text = mnemonic + " " + operands
        if mnemonic.startswith("call"):
            bad.append("%x: call: %s" % (address, text))
        if mnemonic.startswith(("push", "pop")):
            bad.append("%x: frame: %s" % (address, text))
        if mnemonic == "lock" or mnemonic.startswith(("xchg", "cmpxchg")):
            bad.append("%x: locked: %s" % (address, text))
        if mnemonic in ("syscall", "sysenter", "int"):
            bad.append("%x: system call: %s" % (address, text))
        m = re.match(r"([0-9a-f]+)", operands)
        if (mnemonic.startswith("j") and m and
                start <= int(m.group(1), 16) <= address):
            bad.append("%x: loop: %s" % (address, text))
    # Tables are reached by lea; flags are compared where they are.
    loaded = [x for x in hot if re.match(r"mov .*\(%rip\),", " ".join(x[1:]))]
    for address, mnemonic, operands in loaded[addresses:]:
        bad.append("%x: loads an address: %s %s" % (address, mnemonic, operands))
    return bad


def memory(mnemonic, operands):
    """(loads, stores) of an instruction in the form of AT&T: what is written
    comes last."""
    if mnemonic.startswith(("lea", "nop", "j", "ret", "ud")):
        return 0, 0
    operands = re.sub(r"\s*[#<].*", "", operands)
    last = re.search(r"(^|,)([^,(]*(\([^)]*\))?)$", operands).group(2)
    if not ("(" in operands or "%fs:" in operands):
        return 0, 0
    if not ("(" in last or "%fs:" in last):
        return 1, 0
    if mnemonic.startswith(("cmp", "test")):
        return 1, 0
    return (0, 1) if mnemonic.startswith("mov") else (1, 1)


def shape(hot):
    """(instructions, branches, loads, stores)"""
    touched = [memory(x[1], x[2]) for x in hot]
    return (len(hot), sum(x[1].startswith("j") for x in hot),
            sum(t[0] for t in touched), sum(t[1] for t in touched))


def stored(table, made_by):
    """{entry point: shape} of one compiler."""
    found = {}
    with open(table, encoding="utf-8") as f:
        for line in f:
            words = line.split()
            if words and words[0] == made_by:
                found[words[1]] = tuple(int(w) for w in words[2:])
    return found


def check(library, names, table, show, addresses):
    """Whether something is wrong with these entry points."""
    made_by = compiler(library)
    expected = stored(table, made_by)
    failed = False
    if "__rseq_cs" not in run("readelf", "-SW", library):
        print("no section __rseq_cs in", library)
        failed = True
    for name in names:
        insns = body(library, name)
        if not insns:
            print(name, "is not in", library)
            failed = True
            continue
        hot = hot_part(insns)
        bad = faults(insns, hot, addresses)
        is_now = shape(hot)
        print("%-9s %-28s %12d %8d %5d %6d" % ((made_by, name) + is_now))
        if expected and not show and expected.get(name) != is_now:
            bad.append("in the table it is %s; if that is meant, take the row "
                       "above" % (expected.get(name),))
        for line in bad:
            print("   ", line)
            failed = True
    return failed


def main():
    table, show = sys.argv[3], "--print" in sys.argv[4:]
    print("%-9s %-28s %12s %8s %5s %6s" % (
        "#", "entry point", "instructions", "branches", "loads", "stores"))
    failed = check(sys.argv[1], ENTRY_POINTS, table, show, 0)
    failed |= check(sys.argv[2], PRELOAD_ENTRY_POINTS, table, show, 1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
