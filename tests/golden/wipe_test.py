# SPDX-License-Identifier: Apache-2.0
"""Wipes before a free are in the compiled library.

A compiler may leave out stores to memory that is freed next; a call of
explicit_bzero() it may not.  So that call stands in each function whose name
promises a wipe, before the call or jump that frees.
"""
import re
import subprocess
import sys

WIPES = ["knuma_kfree_sensitive", "knuma_kvfree_sensitive"]


def calls(library, name):
    """Names behind the calls and jumps of a function, in order."""
    text = subprocess.run(
        ["objdump", "-dR", "--no-show-raw-insn", "--disassemble=" + name,
         library], check=True, capture_output=True, text=True).stdout
    slots = subprocess.run(["readelf", "-rW", library], check=True,
                           capture_output=True, text=True).stdout
    slot = {int(a, 16): n for a, n in re.findall(
        r"(?m)^([0-9a-f]+) .* (\w+)@\S* \+ 0$", slots)}
    found = []
    for line in text.splitlines():
        m = re.match(r"^\s*[0-9a-f]+:\t(call|jmp)\w*\s+(.*)$", line)
        if not m:
            continue
        target = re.search(r"# ([0-9a-f]+) <", m.group(2))
        symbol = re.search(r"<([\w.]+)(?:@plt)?>", m.group(2))
        if target and int(target.group(1), 16) in slot:
            found.append(slot[int(target.group(1), 16)])
        elif symbol:
            found.append(symbol.group(1))
    return found


def main(library):
    failed = 0
    for name in WIPES:
        found = calls(library, name)
        print("%-24s %s" % (name, " ".join(found)))
        # The second is the fortified form of the first.
        wipe = [i for i, x in enumerate(found)
                if x in ("explicit_bzero", "__explicit_bzero_chk")]
        free = [i for i, x in enumerate(found)
                if "free" in x and not x.startswith(name)]
        # checks kfree_sensitive: "the compiler cannot leave that out"
        if not wipe or not free or free[-1] < wipe[0]:
            print("FAIL: %s does not wipe before it frees" % name)
            failed += 1
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
