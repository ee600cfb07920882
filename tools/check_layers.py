#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_layers - holds the #include lines of knuma against tools/layers.bzl

usage: tools/check_layers.py [ROOT]

Prints one line per violation as FILE:LINE: text.
Exit code: 0 none, 1 some, 2 usage or an unreadable tree.
"""

import ast
import fnmatch
import os
import re
import sys

SUFFIXES = (".c", ".h", ".def", ".S", ".cc")
TREES = ("include", "alloc", "numa", "bench", "tools")
NOT_SOURCES = ("alloc/knuma.lds", "alloc/preload/preload.lds")

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*(?:include|include_next|import)\b[ \t]*(.*?)[ \t]*$", re.M)


class Table:
    """The constants of layers.bzl."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read(), path)
        values = {}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                values[node.targets[0].id] = ast.literal_eval(node.value)
        self.row = {f: i for i, row in enumerate(values["LAYERS"]) for f in row}
        self.public = values["LAYERS"][0][0]
        self.preload = values["PRELOAD"]
        self.preload_sees = [self.public] + values["PRELOAD_SEES"]
        self.external = values["EXTERNAL_HEADERS"]

    def folder_of(self, path):
        """The folder of the table that holds path, or None."""
        folder = os.path.dirname(path)
        while folder:
            if folder in self.row or folder == self.preload:
                return folder
            folder = os.path.dirname(folder)
        return None

    def may_see(self, folder, target):
        """None if folder may include target, else the reason why not."""
        if target == folder:
            return None
        if folder == self.preload:
            if target in self.preload_sees:
                return None
            return "the preload shim sees %s only" % ", ".join(self.preload_sees)
        if target == self.preload:
            return "nothing includes the preload shim"
        mine, other = self.row[folder], self.row[target]
        if other < mine:
            return None
        if other == mine:
            return "%s and %s are of the same layer, %d" % (folder, target, mine)
        return "%s is of layer %d, %s of the higher layer %d" % (folder, mine, target, other)


def without_comments(text):
    """The text with comments blanked; line numbers and strings stay."""
    def blank(m):
        s = m.group(0)
        return s if s.startswith('"') else re.sub(r"[^\n]", " ", s)
    return COMMENT.sub(blank, text.replace("\\\n", "  "))


def includes(text):
    """(line, argument) of each #include."""
    clean = without_comments(text)
    for m in INCLUDE.finditer(clean):
        yield clean.count("\n", 0, m.start()) + 1, m.group(1)


def external_fault(table, path, header):
    for pattern, owners in table.external.items():
        if fnmatch.fnmatchcase(header, pattern):
            if any(path == o or path.startswith(o + "/") for o in owners):
                return None
            return "<%s> belongs to %s only" % (header, ", ".join(owners))
    return None


def angle_fault(table, path, header):
    if header.startswith("knuma/"):
        return None
    if header.startswith(("alloc/", "numa/")):
        return "<%s>: internal headers are written in quotes" % header
    return external_fault(table, path, header)


def quote_fault(table, path, header):
    folder = table.folder_of(path)
    if header.startswith("../") or "/../" in header or "/" not in header:
        return '"%s" is not written from the root of the tree' % header
    if header.endswith((".c", ".cc")):
        return '"%s": a source file is never included' % header
    if folder == table.public:
        return '"%s": a public header includes <knuma/...> and libc only' % header
    if header.startswith(table.public + "/"):
        return '"%s": write <%s>' % (header, header[len("include/"):])
    if path.startswith(("tools/", "bench/")):
        return None
    target = table.folder_of(header)
    if target is None:
        return '"%s" lies in no folder of the layer table' % header
    return table.may_see(folder, target)


def file_faults(table, path, text):
    if table.folder_of(path) is None and path.startswith(("alloc/", "numa/", "include/")):
        yield 1, "lies in no folder of the layer table (tools/layers.bzl)"
        return
    for line, arg in includes(text):
        if len(arg) > 2 and arg[0] == "<" and arg[-1] == ">":
            fault = angle_fault(table, path, arg[1:-1])
        elif len(arg) > 2 and arg[0] == '"' and arg[-1] == '"':
            fault = quote_fault(table, path, arg[1:-1])
        else:
            fault = "cannot read this #include: " + arg
        if fault:
            yield line, fault


def sources(root):
    """Paths, from the root, of what the table speaks about."""
    for tree in TREES:
        for folder, _, names in os.walk(os.path.join(root, tree), followlinks=True):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if path.endswith(SUFFIXES) and path not in NOT_SOURCES:
                    yield path


def check(root):
    """Every violation below root, as lines of text, and the number of files."""
    table = Table(os.path.join(root, "tools", "layers.bzl"))
    faults, n = [], 0
    for path in sources(root):
        n += 1
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
            text = f.read()
        faults += ["%s:%d: %s" % (path, line, what) for line, what in file_faults(table, path, text)]
    return faults, n


def main(argv):
    if len(argv) > 2 or argv[1:2] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0 if argv[1:2] in (["-h"], ["--help"]) else 2
    root = argv[1] if len(argv) == 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    try:
        faults, n = check(root)
    except OSError as e:
        print("check_layers: %s" % e, file=sys.stderr)
        return 2
    for fault in faults:
        print(fault)
    if n == 0:
        print("check_layers: no source file below %s" % root, file=sys.stderr)
        return 2
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
