#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sentences of the public headers that no test looks at.

  python3 tests/api/unchecked.py --list    from the root of the sources
  python3 tests/api/unchecked.py --all     each sentence, and what checks it

A sentence is checked by a test that claims it (sentences.py), or by one of the
rules below, each of which says what it proves.  Without an option it tests
itself and the tree: no claim is stale, and no sentence is left out that is not
counted in LEFT.
"""

import glob
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sentences as s  # noqa: E402  pylint: disable=wrong-import-position

# Sentences without a check.  The number only falls.
LEFT = 0
# How far behind a call its result is looked at.
NEAR = 400
FOLDERS = ("api", "cli", "concurrency", "fault", "golden", "unit", "property",
           "vm", "rseq")
# Calls of tests that run in each context: KIND(function, statement).
CALLS = "tests/concurrency/calls.def"

# What nobody could see broken: it binds the caller, or leaves something open.
OPEN = re.compile(
    r"(?i)(?:they|their \w+|the \w+|other threads|@\w+|of two at a time \w+"
    r"|GFP_KERNEL) may |(?:may|must|needs|use|whoever) |not (?:at the same time"
    r"|freed|null)|a thread leaves|the last thing|once, before|free with \w+\(\)$"
    r"|.* is the caller's(?: alone| to set)?$|@p is not freed|nothing more|or an "
    r"error$|else of about|.* any page$|(?:.* )?undefined(?: if nothing was tried)?$"
    r"|true when read|the answer is of the moment|.*, a moment old: the thread may"
    r"|waits(?:,|$| for | as )|(?:as|that of) the (?:allocator|call) |knuma's own$"
    r"|makes? (?:a )?system calls?$|calls \w+\(")
# A name for what is passed or returned, which says no more than that.
NOUN = re.compile(r"(?:(?:the|a|its|their) [\w@]+(?: \w+){0,3}|@\w+|bytes)"
                  r"(?:, its content undefined)?$")
REFERENCE = re.compile(r"(?:[\w@ ]+: )?as (\w+)\(\)(?: and (\w+)\(\))?$")
# Another call, or what calls this one: both are made by tests.
SAME = re.compile(
    r"(?i)(?:(?:\w+\(\)|, | and )+(?: (?:is|are) (?:the same|\w+\(\)) ?.*"
    r"| likewise| is its pair| has \w+)|\w+ is the same|.* are those of \w+\(\)"
    r"|\w+\(\),? (?:with|of|near|for) [\w ]+(?:\(\))?(?:, and its fastest form"
    r"|: may wait, not for a signal handler)?|what (?:\w+\(\)|the macros) .*calls?"
    r"|called by the macros below)$")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def tests():
    """{path: text} of the tests."""
    return {path: read(path) for folder in FOLDERS
            for path in sorted(glob.glob("tests/%s/*.c*" % folder) +
                               glob.glob("tests/%s/*_test.py" % folder))}


def wrappers(text):
    """{macro or inline function of the headers: the words of its body}."""
    found = {}
    text = re.sub(r"\bKN_[A-Z_]+\([^()]*\) ", "", text)
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


def arguments(text, at):
    """The arguments of a call whose parenthesis is open at @at."""
    depth, args, begin = 0, [], at
    for i in range(at, min(at + NEAR, len(text))):
        if text[i] in "([{":
            depth += 1
        elif text[i] in ")]}":
            depth -= 1
        if depth < 0 or depth == 0 and text[i] == ",":
            args.append(text[begin:i].strip())
            begin = i + 1
        if depth < 0:
            break
    return args


class Rules:
    """What the tests do, and which sentences that proves."""

    def __init__(self, docs, sources, headers, rows):
        self.docs = {doc.name: doc for doc in docs}
        for doc in docs:
            for name in doc.others:
                self.docs.setdefault(name, doc)
        texts = [text for path, text in sources.items()
                 if not path.endswith(".py")]
        self.all = "\n".join(texts)
        self.places = {}  # function: [(text, end of the name)]
        for text in texts:
            for match in re.finditer(r"\b(\w+)\(", text):
                self.places.setdefault(match.group(1), []).append(
                    (text, match.end()))
        self.wraps = wrappers(headers)
        self.done = called(self.all, self.wraps)
        self.rows = rows
        self.causes = {}
        for doc in docs:
            for sentence in s.of_doc(doc):
                for err in sentence.errnos:
                    key = doc.name, err
                    self.causes[key] = self.causes.get(key, 0) + 1

    def calls(self, name):
        """The text behind each call of @name, until the test ends."""
        for text, at in self.places.get(name, ()):
            yield text, at, text[at:at + NEAR].split("\n}\n")[0]

    def gives(self, name, err):
        """A test has the errno value close behind a call."""
        return any(re.search(r"\b%s\b" % err, near)
                   for _, _, near in self.calls(name))

    def takes_null(self, name, index):
        return any(arguments(text, at)[index:index + 1] in
                   (["NULL"], ["ZERO_SIZE_PTR"], ["0"])
                   for text, at, _ in self.calls(name))

    def returns_0(self, name):
        """A test compares the result of a call with 0."""
        return any(re.match(r"[^;]*?\)(?:,\s*0\)| == 0\b)", near) or
                   re.search(r"!$", text[:at - len(name) - 1])
                   for text, at, near in self.calls(name))

    def member(self, name):
        """A test reads or sets the member of a structure."""
        return re.search(r"(?:\.|->)%s\b" % name, self.all) is not None

    def leads_to(self, name, tag, seen=()):
        """The function whose @tag is meant by the one of @name."""
        doc = self.docs.get(name)
        if doc is None or name in seen:
            return None
        if tag in doc.tags:
            return doc
        of = re.search(r"(\w+)\(\)", " ".join(
            [doc.summary] + [text for kind, text in doc.body if kind == "text"]))
        return of and self.leads_to(of.group(1), tag, seen + (name,))

    def by_rule(self, sentence):
        """Which rule proves @sentence, or None."""
        doc, text = sentence.doc, sentence.text
        name, section = doc.name, sentence.section
        if re.match(r"(?:struct|enum) \w+ \{", doc.synopsis[0]):
            if section == "summary":
                return "a name"
            if section[0] == "@" and sentence.first and \
                    self.member(section[1:]):
                return "used by a test"
            return (OPEN.match(text) or SAME.match(text)) and "open"
        is_called = name in self.done or any(o in self.done
                                             for o in doc.others)
        if section == "summary":
            return is_called and "called"
        if section == "Source" or section == "Notes":
            return "an explanation"
        if section[0] == "@":
            return self.parameter(sentence) if is_called else None
        reference = REFERENCE.match(text)
        if reference and section != "text":
            if all(self.leads_to(to, section)
                   for to in reference.groups() if to):
                if section != "Context":
                    return is_called and "called"
            else:
                return None
        if section == "Context":
            return self.context(sentence)
        if section == "Errors":
            return self.error(sentence)
        if section == "Return":
            return self.result(sentence, is_called)
        if section == "text" and SAME.match(text):
            named = re.findall(r"(\w+)\(\)", text)
            return all(n in self.done for n in named) and "called"
        return OPEN.match(text) and "open"

    def parameter(self, sentence):
        """What to pass; a pointer that may be NULL is NULL in a test."""
        doc, text = sentence.doc, sentence.text
        index = [n for n, _ in doc.params].index(sentence.section[1:])
        if re.search(r"(?<!not )\bNULL\b|^0 is a no-op", text):
            return any(self.takes_null(n, index)
                       for n in [doc.name] + doc.others) and "called with NULL"
        if sentence.first and not re.search("rounded|at most,", text) or \
                OPEN.match(text) or "as for " in text or \
                re.match(r"GFP_KERNEL if in doubt|accepted without", text):
            return "called"
        return None

    def error(self, sentence):
        """A value with one cause is seen behind a call."""
        names = [sentence.name] + sentence.doc.others
        errnos = sentence.errnos
        if errnos and all(self.causes[sentence.name, e] == 1 for e in errnos):
            return all(any(self.gives(n, e) for n in names)
                       for e in errnos) and "errno behind a call"
        return OPEN.match(sentence.text) and "open"

    def result(self, sentence, is_called):
        names = [sentence.name] + sentence.doc.others
        text = sentence.text
        if re.match(r"(?:NULL|0) on failure(?:, and errno tells why)?$", text):
            return any(self.gives(n, r"E(?:NOMEM|INVAL)") for n in names) \
                and "errno behind a call"
        if text == "0":
            return any(map(self.returns_0, names)) and "compared with 0"
        if sentence.first and NOUN.match(text):
            return is_called and "called"
        return OPEN.match(text) and "open"

    def context_of(self, name):
        """What Context: says of a function, also by that of another one."""
        doc = self.leads_to(name, "Context")
        text = doc.tags["Context"][1] if doc else ""
        to = re.match(r"as (\w+)\(\)", text)
        return text + " " + self.context_of(to.group(1)) if to else text

    def kinds(self, sentence):
        """The rows of a function, or of the one that it is a form of."""
        found = set()
        for name in [sentence.name] + sentence.doc.others:
            if name in self.rows:
                found.add(self.rows[name])
            elif name in self.wraps:
                found |= {self.rows.get(n) for n in
                          called(name + "(", self.wraps)} - {None}
        return found

    def context(self, sentence):
        """A row of the table that tests run in this context."""
        kinds = self.kinds(sentence)
        text = sentence.text.lower()
        reference = re.match(r"(?:[\w@ ]+: )?as (\w+)\(\)(?:$| with a head$"
                             r"|, by the same)", text)
        if reference:
            text = self.context_of(reference.group(1)).lower()
            if not kinds or not text:
                return None
        if "never waits" in text or "no system call" in text or \
                "leaves errno alone" in text or "waits only if" in text:
            need = {"FREE"} if "errno" in text else {"FREE", "NOWAIT"}
            return kinds & need and "row of " + CALLS
        if "signal handler" in text and "no signal handler" not in text:
            return kinds & {"FREE", "NOWAIT", "SIGNAL"} and "row of " + CALLS
        if text.startswith("any thread"):
            return kinds and "row of " + CALLS
        return OPEN.match(text) and "open"


def table_of_calls():
    """{function: KIND} of the table of calls."""
    return {name: kind for kind, name in
            re.findall(r"(?m)^(\w+)\((\w+),", read(CALLS))}


def look(errors):
    """[(sentence, what checks it or None)] of the public headers."""
    docs = s.documented()
    sources = tests()
    claims = [c for path, text in sources.items()
              for c in s.claims_of(path, text, errors)]
    claimed = s.match_claims(claims, docs, errors)
    rules = Rules(docs, sources, "\n".join(map(read, s.headers())),
                  table_of_calls())
    for name in rules.rows.keys() - rules.docs.keys():
        errors.append("%s: no header documents %s" % (CALLS, name))
    return [(x, "claimed" if str(x) in claimed else rules.by_rule(x) or None)
            for doc in docs for x in s.of_doc(doc)]


class Unchecked(unittest.TestCase):
    def sentences_of(self, comment, code="void f(int *a);\n"):
        doc = s.gen_man.parse_comment("/**\n" + comment + " */", "x.h")
        doc.synopsis = [text for _, text in s.gen_man.declarations(code)]
        return s.of_doc(doc)

    def test_a_comment_is_split(self):
        found = self.sentences_of(
            " * f - do it\n * @a: where; NULL is a no-op\n *\n"
            " * Does it.  Then\n * it ends.\n *\n * Return: 0.\n"
            " * Errors: ENOMEM when there is none, or @a is above 3; -EINVAL\n"
            " *         when it is odd, -EPERM when refused.\n")
        self.assertEqual([str(x) for x in found], [
            "f, summary: do it", "f, @a: where", "f, @a: NULL is a no-op",
            "f, text: Does it", "f, text: Then it ends", "f, Return: 0",
            "f, Errors: ENOMEM when there is none", "f, Errors: @a is above 3",
            "f, Errors: -EINVAL when it is odd",
            "f, Errors: -EPERM when refused"])
        self.assertEqual([x.errnos for x in found[-4:]],
                         [["ENOMEM"], ["ENOMEM"], ["EINVAL"], ["EPERM"]])

    def claim(self, text):
        """(errors, sentences) of a test with the body @text."""
        errors = []
        claims = s.claims_of("t.c", "static void t(void)\n{\n%s\n}\n" % text,
                             errors)
        doc = s.gen_man.parse_comment(
            "/**\n * f - do it\n *\n * Does it.  Never does that.\n */", "x.h")
        return errors, s.match_claims(claims, [doc], errors)

    def test_a_claim_names_words_of_one_sentence(self):
        errors, done = self.claim('/* checks f: "never does" */\n\tCHECK(1);')
        self.assertEqual((errors, done), ([], {"f, text: Never does that"}))
        errors, done = self.claim(
            '\t/*\n\t * checks f: "do it",\n\t * "Does\n\t * it"; f: "that"'
            "\n\t */\n\tassert_true(1);")
        self.assertEqual((errors, len(done)), ([], 3))

    def test_a_claim_in_python_is_followed_by_an_assertion(self):
        for text, errors in (
                ('x\n\n# checks f: "do it"\nself.assertTrue(y)\n\nz', 0),
                ('x\n\n# checks f: "do it"\ny()\n\nself.assertTrue(z)\n\n', 1)):
            found = []
            s.claims_of("t.py", text, found)
            self.assertEqual(len(found), errors)

    def test_a_claim_that_is_none_is_an_error(self):
        for text, why in (
                ('/* checks f: "always" */ CHECK(1);', "0 sentences"),
                ('/* checks g: "do it" */ CHECK(1);', "0 sentences"),
                ('/* checks f: "does" */ CHECK(1);', "2 sentences"),
                ('/* checks f */ CHECK(1);', "not of the form"),
                ('CHECK(1); /* checks f: "do it" */ g();', "no assertion"),
                ('}\n\n/* checks f: "do it" */\nstatic int x;', "no assertion")):
            errors, done = self.claim(text)
            self.assertEqual((len(errors), done), (1, set()), text)
            self.assertIn(why, errors[0])

    def test_a_check_is_found_and_a_missing_one_is_not(self):
        text = ("CHECK_FAILS(kmalloc_node(1, GFP_KERNEL, 9), EINVAL);\n"
                "kfree(NULL);\n\tf(1);\n}\n\tCHECK_FAILS(g(), EPERM);")
        rules = Rules([], {"t.c": text}, "", {})
        self.assertTrue(rules.gives("kmalloc_node", "EINVAL"))
        self.assertFalse(rules.gives("kmalloc_node", "ENOMEM"))
        self.assertFalse(rules.gives("kmalloc", "EINVAL"))
        self.assertFalse(rules.gives("f", "EPERM"))
        self.assertTrue(rules.takes_null("kfree", 0))
        self.assertFalse(rules.takes_null("f", 0))

    def test_what_a_macro_or_an_inline_function_calls_is_called(self):
        wraps = wrappers("#define add(x) \\\n\tgrow(&(x), 1)\n"
                         "static inline int grow(int *x, int n)\n{\n"
                         "\treturn slow(x);\n}\n"
                         "static inline int other(void)\n{\n\treturn 1;\n}\n")
        self.assertEqual(sorted(wraps), ["add", "grow", "other"])
        done = called("CHECK(add(i));", wraps)
        self.assertLessEqual({"CHECK", "add", "grow", "slow"}, done)
        self.assertNotIn("other", done)

    def test_the_tree(self):
        errors = []
        rows = look(errors)
        left = [str(x) for x, by in rows if not by]
        self.assertEqual(errors, [])
        self.assertGreater(len(rows), 1500)
        self.assertLessEqual(
            len(left), LEFT, "sentences without a check: claim them beside an "
            "assertion (tests/api/sentences.py):\n" + "\n".join(left))
        self.assertGreaterEqual(len(left), LEFT, "LEFT can be %d" % len(left))


def main():
    errors = []
    rows = look(errors)
    for sentence, by in rows:
        if sys.argv[1] == "--all":
            print("%s [%s]" % (sentence, by or "UNCHECKED"))
        elif not by:
            print(sentence)
    left = sum(1 for _, by in rows if not by)
    print("%d sentences, %d without a check" % (len(rows), left))
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    if sys.argv[1:] in (["--list"], ["--all"]):
        sys.exit(main())
    unittest.main()
