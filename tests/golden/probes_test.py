# SPDX-License-Identifier: Apache-2.0
"""The static probes of the library, against their table and OpenTelemetry's names.

Each row of probes.def is a note of the shared library with as many arguments,
there is no other, and docs/howto/trace.md names each.  Arguments are registers
or numbers: what lies in memory by an index or a symbol, bpftrace cannot read.
Those of OpenTelemetry have semaphores, in which who is attached is counted.
"""
import glob
import re
import subprocess
import sys


# Of design document 00003 of OpenTelemetry's eBPF profiler.
OTEL = {("alloc", 3), ("free", 1)}


def table(path):
    """Name -> number of arguments."""
    with open(path, encoding="utf-8") as f:
        rows = re.findall(r"(?m)^KN_PROBE(\d)\((\w+),", f.read())
    return {name: int(n) for n, name in rows}


def in_memory(library):
    """Arguments that are neither registers nor numbers."""
    text = subprocess.run(["readelf", "-n", "-W", library], check=True,
                          capture_output=True, text=True).stdout
    words = " ".join(re.findall(r"Arguments: *([^\n]*)", text)).split()
    return len(words), [w for w in words
                        if not re.fullmatch(r"-?\d@[%$]?-?\w+", w)]


def notes(library, provider, semaphore):
    """(name, number of arguments) of each note."""
    text = subprocess.run(["readelf", "-n", "-W", library], check=True,
                          capture_output=True, text=True).stdout
    return {(name, len(args.split())) for name, args in re.findall(
        r"Provider: %s\s+Name: (\w+)\s+Location: [^\n]*Semaphore: %s\n"
        r"\s+Arguments: *([^\n]*)" % (provider, semaphore), text)}


def main(library, rows, page):
    # Debian has it beside what differs by processor.
    if not (glob.glob("/usr/include/sys/sdt.h") or
            glob.glob("/usr/include/*/sys/sdt.h")):
        print("SKIPPED: no <sys/sdt.h>, so the library has no probes;"
              " apt-get install systemtap-sdt-dev")
        return 0
    expected = table(rows)
    found = notes(library, "knuma", "0x0+")
    otel = notes(library, "otel_memory", "0x0*[1-9a-f][0-9a-f]*")
    print("%d rows, %d kinds of notes" % (len(expected), len(found)))
    failed = 0
    if len(expected) < 5:
        print("FAIL: the table has no rows")
        failed += 1
    for what in sorted(set(expected.items()) ^ found):
        print("FAIL: %s with %d arguments: only in the %s"
              % (*what, "library" if what in found else "table"))
        failed += 1
    for name, n in sorted(OTEL ^ otel):
        print("FAIL: otel_memory:%s with %d arguments and a semaphore: only in %s"
              % (name, n, "the library" if (name, n) in otel else
                 "OpenTelemetry's contract"))
        failed += 1
    n, bad = in_memory(library)
    if n < 10 or bad:
        print("FAIL: of %d arguments, in memory: %s" % (n, " ".join(bad)))
        failed += 1
    with open(page, encoding="utf-8") as f:
        text = f.read()
    for name in list(expected) + ["otel_memory:%s" % name for name, _ in OTEL]:
        if "`%s`" % name not in text:
            print("FAIL: %s does not name %s" % (page, name))
            failed += 1
    return failed != 0


sys.exit(main(*sys.argv[1:]))
