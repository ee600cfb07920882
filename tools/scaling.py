#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What counts of shared work come to on many CPUs.

usage: scaling.py COUNTS.json TIMES.json

Both are reports of `knuma bench -o json`: the first of a library built with
--config=counts, the second of one that ships, on the same machine.  Prints two
tables in Markdown: the counts, and for each workload at how many CPUs each
kind of shared work has no time left.  Exit code 2 when a file does not fit.
"""

import json
import sys

NODES = 8
CPUS_PER_NODE = 128
CPUS = NODES * CPUS_PER_NODE

# What all users of one copy wait for, one after the other, in nanoseconds, and
# how many copies there are: of the whole process, of a node (8), of a node's 16
# stripes (128).  A line that moves between nodes takes LINE_FAR, within a node
# LINE_NEAR; a lock is two moves and what is done under it.
LINE_NEAR = 100
LINE_FAR = 300
STATISTICS = 16
SLAB_STRIPES = 16
FENCE = 20000
MMAP_LOCK = 500

TERMS = {
    # name: (copies, nanoseconds for each use, what it is)
    "statistics": (STATISTICS, LINE_FAR, "16 stripes of counters"),
    "node statistics": (NODES * STATISTICS, LINE_FAR,
                        "16 stripes of counters a node"),
    "node words": (NODES, LINE_NEAR, "heads of lists and sums of a node"),
    "lock_slab": (NODES * SLAB_STRIPES, 2 * LINE_NEAR + 100,
                  "partial slabs, 16 stripes a node"),
    "lock_zone": (NODES, 2 * LINE_NEAR + 200, "buddy lists of a node"),
    "lock_vmap": (NODES, 2 * LINE_NEAR + 200, "areas of a node"),
    "lock_drain": (1, FENCE, "gates: a fence on every CPU"),
    "lock_map": (1, 2 * LINE_FAR, "growth of the address space"),
    "calls": (1, MMAP_LOCK, "the kernel's lock of the address space"),
}


class Misfit(Exception):
    """A file that is no such report."""


def load(path):
    """{workload: first row of knuma's} of a report."""
    try:
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        return {w["name"]: next(r for r in w["rows"]
                                if r["own"] and r["rounds"])
                for w in report["workloads"]
                if any(r["own"] and r["rounds"] for r in w["rows"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misfit("%s: no report of knuma bench: %s" % (path, error)) from error


def uses_of(counts):
    """Uses of each term for 1,000 operations."""
    uses = {name: counts.get(name, 0) for name in TERMS}
    uses["node statistics"] = counts["node_statistics"]
    uses["statistics"] -= counts["node_statistics"]
    uses["node words"] = max(0, counts["shared"] - counts["statistics"] -
                             counts["slabs"] - 2 * counts["locks"])
    return uses


def limits_of(counts, cpu_ns):
    """{term: CPUs at which its copies are busy all the time}.

    N CPUs do N * 1000 / (1000 * cpu_ns) operations a nanosecond; a term's
    copies serve one use each in its time.  They are equal at N.
    """
    limits = {}
    for name, uses in uses_of(counts).items():
        copies, use_ns, _ = TERMS[name]
        if uses > 0:
            limits[name] = copies * 1000 * cpu_ns / (uses * use_ns)
    return limits


def figure(value):
    if value >= 1000:
        return "%d" % round(value)
    return "%.3g" % value


def table_of_counts(counted):
    names = ["locks", "waits", "shared", "statistics", "slabs", "calls"]
    yield "| workload | %s | locks by rank |" % " | ".join(names)
    yield "|---" * (len(names) + 2) + "|"
    for name, row in counted.items():
        counts = row["counts_per_1000"]
        ranks = ", ".join("%s %s" % (k[5:], figure(v))
                          for k, v in counts.items()
                          if k.startswith("lock_") and v >= 0.01)
        yield "| `%s` | %s | %s |" % (
            name, " | ".join(figure(counts[n]) for n in names), ranks)


def table_of_limits(counted, timed):
    yield "| workload | CPU ns | busy at | which | next |"
    yield "|---|---|---|---|---|"
    for name, row in counted.items():
        if name not in timed:
            continue
        cpu_ns = timed[name]["cpu_ns"]
        limits = sorted((cpus, term) for term, cpus in
                        limits_of(row["counts_per_1000"], cpu_ns).items())
        limits = [(c, t) for c, t in limits if c < 100 * CPUS]
        first = limits[0] if limits else (None, "none")
        after = ", ".join("%s %s" % (t, figure(c)) for c, t in limits[1:3])
        yield "| `%s` | %.3g | %s | %s | %s |" % (
            name, cpu_ns, figure(first[0]) if first[0] else "-", first[1],
            after or "-")


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        counted, timed = load(argv[1]), load(argv[2])
        # Programs and starts are not counted.
        counted = {name: row for name, row in counted.items()
                   if "counts_per_1000" in row}
        if not counted:
            raise Misfit("%s has no counts: build with --config=counts" %
                         argv[1])
    except Misfit as error:
        print("scaling.py: %s" % error, file=sys.stderr)
        return 2
    for line in table_of_counts(counted):
        print(line)
    print()
    for line in table_of_limits(counted, timed):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
