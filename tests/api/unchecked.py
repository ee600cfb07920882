#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sentences of the public headers that no test looks at.

  python3 tests/api/unchecked.py --list    from the root of the sources

A sentence of an Errors: tag that names an errno value is checked where a test
has the value within a few lines behind a call of the function, before that
test ends; a comment above a table names the function, too.  Other sentences
of a function are checked where a test calls it at all, or a macro or an inline
function of the headers that does: which one a check is of, its name says.
Without an option it tests itself.
"""

import glob
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.getcwd(), "tools/man"))
import gen_man  # noqa: E402  pylint: disable=wrong-import-position

# How far behind a call its result is looked at.
NEAR = 400
FOLDERS = ("api", "concurrency", "fault", "unit", "property", "vm", "rseq")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def documented():
    """[(function, errno, sentence)] of all public headers."""
    found = []
    for path in sorted(glob.glob("include/knuma/*.h")):
        docs, _ = gen_man.parse_header(path, os.path.basename(path))
        for doc in docs:
            text = doc.tags.get("Errors", (None, ""))[1]
            for sentence in re.split(r"(?<=[.;])\s+", text):
                for err in re.findall(r"\bE[A-Z]{3,}\b", sentence):
                    found.append((doc.name, err, sentence))
    return found


def functions():
    """{function: first sentence} of all public headers."""
    found = {}
    for path in sorted(glob.glob("include/knuma/*.h")):
        docs, _ = gen_man.parse_header(path, os.path.basename(path))
        for doc in docs:
            for name in [doc.name] + doc.others:
                # kn_ are parts of macros.
                if not name.startswith("kn_") and not doc.synopsis[0].startswith(("struct", "enum")):
                    found[name] = doc.summary
    return found


def tests():
    return [read(path) for folder in FOLDERS
            for path in sorted(glob.glob("tests/%s/*.c*" % folder))]


def wrappers(text):
    """{macro or inline function of the headers: the words of its body}."""
    found = {}
    macro = r"(?m)^\s*#\s*define (\w+)((?:.*\\\n)*.*)"
    inline = r"(?m)^static inline [^;{}]*?(\w+)\([^;{}]*\)\n\{((?:\n|.)*?)^\}"
    for pattern in (macro, inline):
        for name, body in re.findall(pattern, text):
            found.setdefault(name, set()).update(re.findall(r"\w+", body))
    return found


def called(text, wraps):
    """Words that @text calls, and what those macros and functions name."""
    left = set(re.findall(r"\b(\w+)\(", text))
    found = set()
    while left:
        word = left.pop()
        found.add(word)
        left |= wraps.get(word, set()) - found
    return found


def is_checked(name, err, sources):
    call = re.compile(r"\b%s\(" % name)
    value = re.compile(r"\b%s\b" % err)
    for text in sources:
        for match in call.finditer(text):
            near = text[match.end():match.end() + NEAR]
            if value.search(near.split("\n}\n")[0]):
                return True
    return False


def unchecked():
    sources = tests()
    rows = {}
    headers = "\n".join(map(read, glob.glob("include/knuma/*.h")))
    done = called("\n".join(sources), wrappers(headers))
    for name, summary in functions().items():
        if name not in done:
            rows[name] = summary
    for name, err, sentence in documented():
        if not is_checked(name, err, sources):
            rows.setdefault("%s %s" % (name, err), sentence)
    return rows


class Unchecked(unittest.TestCase):
    def test_there_are_errors_and_functions(self):
        self.assertGreater(len(documented()), 80)
        self.assertGreater(len(functions()), 150)
        self.assertIn(("kmalloc_node", "EINVAL"),
                      [row[:2] for row in documented()])

    def test_what_a_macro_or_an_inline_function_calls_is_called(self):
        wraps = wrappers("#define add(x) \\\n\tgrow(&(x), 1)\n"
                         "static inline int grow(int *x, int n)\n{\n"
                         "\treturn slow(x);\n}\n"
                         "static inline int other(void)\n{\n\treturn 1;\n}\n")
        self.assertEqual(sorted(wraps), ["add", "grow", "other"])
        done = called("CHECK(add(i));", wraps)
        self.assertLessEqual({"CHECK", "add", "grow", "slow"}, done)
        self.assertNotIn("other", done)

    def test_a_check_is_found_and_a_missing_one_is_not(self):
        source = ["CHECK_FAILS(kmalloc_node(1, GFP_KERNEL, 9), EINVAL);"]
        self.assertTrue(is_checked("kmalloc_node", "EINVAL", source))
        self.assertFalse(is_checked("kmalloc_node", "ENOMEM", source))
        self.assertFalse(is_checked("kmalloc", "EINVAL", source))
        self.assertFalse(is_checked("kmalloc_node", "EINVAL", [
            "\tkmalloc_node(1, 2, 3);\n}\n\tCHECK_FAILS(f(), EINVAL);"]))


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        for row, sentence in sorted(unchecked().items()):
            print("%s: %s" % (row, sentence))
    else:
        unittest.main()
