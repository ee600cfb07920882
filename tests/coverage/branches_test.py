# SPDX-License-Identifier: Apache-2.0
"""What tests/coverage/branches.py takes for an error branch."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.getcwd(), "tests/coverage"))
import branches  # noqa: E402  pylint: disable=wrong-import-position


def sides(body, before=""):
    """[(condition, side)] of the error branches of one function."""
    text = before + "static int f(int a, int b)\n{\n" + body + "\n}\n"
    return [(s.text, s.side) for s in branches.error_sides(text)]


class Sides(unittest.TestCase):
    def test_a_block_that_ends_in_an_error(self):
        self.assertEqual(sides("if (a) return -EINVAL; return 0;"),
                         [("a", "true")])
        self.assertEqual(sides("if (a) { b = 1; return NULL; } return p;"),
                         [("a", "true")])
        self.assertEqual(sides("if (a) return b; else return false;"),
                         [("a", "false")])
        self.assertEqual(sides("if (a) goto out; b = 1; out: return b;"),
                         [("a", "true")])
        self.assertEqual(sides("if (a) return 1; return 0;"), [])

    def test_operands_that_decide_alone(self):
        self.assertEqual(sides("if (a || !b) return -ENOMEM; return 0;"),
                         [("a", "true"), ("! b", "true")])
        self.assertEqual(sides("if (a && b) return -ENOMEM; return 0;"),
                         [("b", "true")])
        self.assertEqual(sides("if (a && (b || c)) return err; return 0;"),
                         [("b", "true"), ("c", "true")])
        self.assertEqual(sides("if (a && b) return 0; return -ENOENT;"),
                         [("a", "false"), ("b", "false")])

    def test_what_comes_next(self):
        self.assertEqual(sides("if (a) return p; b = 2; return NULL;"),
                         [("a", "false")])
        # The way on is the same on both sides.
        self.assertEqual(sides("if (a) b = 2; return NULL;"), [])
        self.assertEqual(
            sides("for (int i = 0; i < a; i++) if (b) return 0; return -1;"),
            [("i < a", "false")])
        self.assertEqual(
            sides("switch (a) { case 1: return 0; default: return -EIO; }"),
            [("default", "true")])

    def test_a_choice_that_is_returned(self):
        self.assertEqual(sides("return a ? b : NULL;"), [("a", "false")])
        self.assertEqual(sides("return a ? -EIO : b ? 0 : -ENOENT;"),
                         [("a", "true"), ("b", "false")])

    def test_reports(self):
        self.assertEqual(sides('if (a) { kn_bug("x"); b = 1; } return 0;'),
                         [("a", "true")])
        self.assertEqual(sides("if (a) errno = ENOMEM; return p;"),
                         [("a", "true")])
        self.assertEqual(sides("if (a) errno = saved; return p;"), [])
        wrong = 'static void wrong(int a)\n{\n\tkn_bug("x", a);\n}\n'
        self.assertEqual(sides("if (a) wrong(b); return 0;", wrong),
                         [("a", "true")])
        refuse = "static void *refuse(int a)\n{\n\treturn NULL;\n}\n"
        self.assertEqual(sides("if (a) return refuse(b); return p;", refuse),
                         [("a", "true")])

    def test_casts_hints_comments_and_macros_do_not_matter(self):
        self.assertEqual(
            sides("if (unlikely(a /* || c */))\n"
                  "#define X if (b) return NULL\n"
                  "\treturn (void *)(intptr_t)err;\n"
                  "kn_for_each(a, b) { if (a) return KN_PFN_NONE; }\n"
                  "do { b--; } while (b); return 0;"),
            [("a", "true"), ("a", "true")])

    def test_where_it_is_counted(self):
        side = branches.error_sides("int f(int a)\n{\n\tif (likely(!a))\n"
                                    "\t\treturn -EIO;\n\treturn 0;\n}\n")[0]
        # At the condition or the parenthesis before it; else at the return.
        self.assertEqual(side.places, ((3, 13), (3, 12)))
        self.assertEqual(side.target, (4, 3))


if __name__ == "__main__":
    unittest.main()
