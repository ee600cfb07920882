# SPDX-License-Identifier: Apache-2.0
"""What the public headers say, sentence by sentence, and what tests claim.

A claim is a comment of a test, above the assertion that it is about:

  /* checks kfree, kvfree: "NULL and ZERO_SIZE_PTR"; kmalloc: "0 is legal" */

In Python it is a comment of one line.  The words between quotes are a part of
one sentence of each of these functions.
"""

import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.getcwd(), "tools/man"))
import gen_man  # noqa: E402  pylint: disable=wrong-import-position

ERRNO = r"-?\bE(?:2BIG|[A-Z]{3,})\b"
CLAIM = re.compile(r"/\*(?:\n\s*\*)?\s*checks\s(.*?)\*/", re.S)
PYTHON_CLAIM = re.compile(r"# checks (.*)")
ASSERTION = re.compile(
    r"\b(?:assert_\w+|CHECK\w*|ASSERT\w*|REQUIRE\w*|fail|fail_msg|check_\w+"
    r"|static_assert|_Static_assert|self\.assert\w+)\(|\bfailed \+= ")


class Sentence:
    """A sentence, or what stands of it between two semicolons."""

    def __init__(self, doc, section, text, first):
        self.doc = doc
        self.name = doc.name
        self.section = section  # summary, @param, text or the tag
        self.text = text.rstrip(".;: ")
        self.first = first      # of its section
        self.errnos = []        # of an Errors: that names some

    def __str__(self):
        return "%s, %s: %s" % (self.name, self.section, self.text)


def split(text):
    return [s for s in re.split(r"(?<=[.;])\s+", text) if s.strip()]


def split_errors(text):
    """Each errno value alone, and each of its causes: (errnos, text)."""
    for sentence in split(text):
        errnos = []
        for part in re.split(r",? (?:and |or )?(?=%s (?:when|for|as|with|in))"
                             r"|(?<=\)), and (?=%s)" % (ERRNO, ERRNO),
                             sentence):
            for cause in re.split(r", or (?=@|about|what|address|their|when)",
                                  part):
                errnos = re.findall(ERRNO, cause) or errnos
                yield [e.lstrip("-") for e in errnos], cause


def of_doc(doc):
    found = [Sentence(doc, "summary", doc.summary, True)]

    def add(section, text):
        for i, piece in enumerate(split(text)):
            found.append(Sentence(doc, section, piece, i == 0))

    for name, text in doc.params:
        add("@" + name, text)
    for kind, text in doc.body:
        if kind == "text":
            add("text", text)
    for tag, (_, text) in doc.tags.items():
        if tag != "Errors":
            add(tag, text)
            continue
        for errnos, cause in split_errors(text):
            found.append(Sentence(doc, tag, cause, False))
            found[-1].errnos = errnos
    return found


def headers():
    return sorted(glob.glob("include/knuma/**/*.h", recursive=True))


def documented():
    """The comments of all public headers."""
    found = []
    for path in headers():
        found += gen_man.parse_header(path, os.path.basename(path))[0]
    return found


def words(text):
    return " ".join(re.findall(r"[^\s]+", text.replace("...", " ").lower()))


class Claim:
    """A claim: the functions, a part of their sentence, where it stands."""

    def __init__(self, where, names, text):
        self.where, self.names, self.text = where, names, text

    def __str__(self):
        return '%s: %s: "%s"' % (self.where, ", ".join(self.names), self.text)


def parse_claim(where, comment):
    """The claims of one comment; None when it has another form."""
    found = []
    comment = re.sub(r"\n\s*\*(?: |(?=\n))", "\n", comment)
    comment = re.sub(r"\s+", " ", comment).strip()
    quoted = r'"[^"]*"'
    group = re.compile(r"((?:\w+)(?:, \w+)*): (%s(?:, %s)*)(?:; |$)" % (
        quoted, quoted))
    at = 0
    while at < len(comment):
        match = group.match(comment, at)
        if not match:
            return None
        for text in re.findall(quoted, match.group(2)):
            found.append(Claim(where, match.group(1).split(", "),
                               text.strip('"')))
        at = match.end()
    return found


def claims_of(path, text, errors):
    """The claims of one test; what is wrong with them goes to @errors."""
    found = []
    python = path.endswith(".py")
    opens, closes = ("\n\n", "\n\n") if python else ("\n{\n", "\n}")
    for match in (PYTHON_CLAIM if python else CLAIM).finditer(text):
        where = "%s:%d" % (path, text.count("\n", 0, match.start()) + 1)
        claims = parse_claim(where, match.group(1))
        if not claims:
            errors.append('%s: not of the form checks FUNCTION, ...: "WORDS", '
                          "...; ..." % where)
            continue
        begin = text.rfind(opens, 0, match.start())
        ended = -1 if python else text.rfind(closes, 0, match.start())
        end = text.find(closes, match.end())
        if begin <= ended or end < 0 or \
                not ASSERTION.search(text[match.end():end]):
            errors.append("%s: no assertion follows in the same function"
                          % where)
            continue
        found += claims
    return found


def match_claims(claims, docs, errors):
    """The sentences that @claims are about."""
    of = {}
    for doc in docs:
        sentences = of_doc(doc)
        for name in [doc.name] + doc.others:
            of.setdefault(name, []).extend(sentences)
    done = set()
    for claim in claims:
        for name in claim.names:
            hits = [s for s in of.get(name, [])
                    if words(claim.text) in words(s.text)]
            hits = [s for s in hits
                    if words(claim.text) == words(s.text)] or hits
            if len(hits) == 1:
                done.add(str(hits[0]))
            else:
                errors.append("%s: %s has %d sentences with these words" % (
                    claim, name, len(hits)))
    return done
