# SPDX-License-Identifier: Apache-2.0
"""What the fast paths are made of, read from the shared library.

Each entry point, up to where its cold part begins, has no call, no locked
instruction and no system call, and no loop; the table printed is the count of
its instructions.  The library has the section that the kernel's restartable
sequences are described in.
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
    "knuma_kmem_cache_free",
    "knuma_malloc",
    "knuma_free",
]
# Of the preload library, which jumps to libknuma when a path ends.
PRELOAD_ENTRY_POINTS = ["malloc", "free"]
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


def faults(insns):
    start, end = insns[0][0], insns[-1][0]
    # The hot part ends with the first return; what the compiler placed behind
    # it is reached by jumps only.
    returns = [i for i, x in enumerate(insns) if x[1].startswith("ret")]
    if not returns:
        return ["no return"], insns
    hot = insns[:returns[0] + 1]
    bad = []
    for address, mnemonic, operands in hot:
        text = mnemonic + " " + operands
        if mnemonic.startswith("call"):
            bad.append("%x: call: %s" % (address, text))
        if mnemonic == "lock" or mnemonic.startswith(("xchg", "cmpxchg")):
            bad.append("%x: locked: %s" % (address, text))
        if mnemonic in ("syscall", "sysenter", "int"):
            bad.append("%x: system call: %s" % (address, text))
        m = re.match(r"([0-9a-f]+)", operands)
        if (mnemonic.startswith("j") and m and
                start <= int(m.group(1), 16) <= address):
            bad.append("%x: loop: %s" % (address, text))
    return bad, hot


def check(library, names):
    """Whether something is wrong with these entry points."""
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
        bad, hot = faults(insns)
        print("%-30s %12d %8d" % (name, len(hot),
                                  sum(x[1].startswith("j") for x in hot)))
        for line in bad:
            print("   ", line)
            failed = True
    return failed


def main():
    print("%-30s %12s %8s" % ("entry point", "instructions", "branches"))
    failed = check(sys.argv[1], ENTRY_POINTS)
    failed |= check(sys.argv[2], PRELOAD_ENTRY_POINTS)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
