#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages of section 3 from the comments of the public headers.

  gen_man.py --out=FOLDER --version=VERSION [--page=FILE]... [--header=FILE]...

Each kernel-doc comment becomes the page of its function, unless a page of
docs/man has that name; other functions that stand under the comment, and those
that a page of docs/man declares, become links to it.  With --table=FILE, the
table of GFP flags becomes gfp_flags(7knuma).
"""

import argparse
import os
import re
import sys

# Macros that are no calls; what begins with kn_ is for the headers themselves.
NO_CALLS = {"ALIGN", "ALIGN_DOWN", "IS_ALIGNED", "PTR_ALIGN", "ZERO_OR_NULL_PTR"}
TAGS = ("Alignment", "Context", "Return", "Errors", "Notes", "Source")
# What a declaration says to the compiler only.
ATTRIBUTE = re.compile(
    r"\b(?:KN_SYM|KN_ALLOC|KN_ALLOC_ALIGN|KN_FREED_BY|KN_MALLOC)\([^()]*\)"
    r"|\bKN_[A-Z_]+\b|\b__must_check\b|\bstatic inline\b")


class Doc:
    """One comment and what it documents."""

    def __init__(self, name, summary, header):
        self.name = name
        self.summary = summary
        self.header = header
        self.params = []  # [name, text]
        self.body = []    # paragraphs; a tuple is code
        self.tags = {}
        self.synopsis = []
        self.others = []  # further functions of the same comment


def fail(message):
    sys.exit("gen_man: " + message)


def comment_lines(comment):
    """The text of a comment, line by line."""
    lines = []
    for line in comment.split("\n")[1:-1]:
        line = re.sub(r"^\s*\*\s?", "", line, count=1) \
            if line.strip() == "*" else re.sub(r"^\s*\* ?", "", line, count=1)
        lines.append(line.rstrip())
    return lines


def parse_comment(comment, header):
    lines = comment_lines(comment)
    head = re.match(r"(?:struct |enum )?(\w+) - (.+)$", lines[0])
    if not head:
        fail("%s: '%s' is not NAME - SUMMARY" % (header, lines[0]))
    doc = Doc(head.group(1), head.group(2), header)
    text = None  # the paragraph that a further line belongs to
    for line in lines[1:]:
        param = re.match(r"@(\w+): (.*)$", line)
        tag = re.match(r"(%s):\s+(.*)$" % "|".join(TAGS), line)
        if param:
            doc.params.append([param.group(1), param.group(2)])
            text = doc.params[-1]
        elif tag:
            doc.tags[tag.group(1)] = [None, tag.group(2)]
            text = doc.tags[tag.group(1)]
        elif not line.strip():
            text = None
        elif text is not None and not isinstance(text, tuple):
            text[1] += " " + line.strip()
        elif line.startswith("  "):
            if doc.body and doc.body[-1][0] == "code":
                doc.body[-1][1] += "\n" + line.strip()
            else:
                doc.body.append(["code", line.strip()])
        else:
            text = ["text", line]
            doc.body.append(text)
    return doc


def declarations(code):
    """[(name, text)] of what stands between two comments."""
    found = []
    # Bodies of inline functions, from the inside out.
    code = re.sub(r"=\s*\{[^{}]*\};", ";", code)
    struct = re.match(r"\s*((?:struct|enum) (\w+) \{.*?\n\}[^;]*;)", code, re.S)
    if struct:
        return [(struct.group(2), struct.group(1))]
    while True:
        less = re.sub(r"\{[^{}]*\}", ";", code)
        if less == code:
            break
        code = less
    for macro in re.finditer(r"(?m)^#define (\w+)(\([\w, .]*\))", code):
        found.append((macro.group(1), macro.group(1) + macro.group(2) + ";"))
    code = re.sub(r"(?m)^#(?:.*\\\n)*.*$", "", code)
    for statement in code.split(";"):
        statement = ATTRIBUTE.sub("", statement)
        statement = re.sub(r"\s+", " ", statement).strip()
        name = re.match(r"[\w* ]*?\b(\w+)\(", statement)
        if name and not statement.startswith("typedef"):
            found.append((name.group(1), statement + ";"))
    return found


def parse_header(path, header):
    """The documented and the other functions of one header."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    docs, bare = [], []
    pieces = re.split(r"(/\*.*?\*/)", text, flags=re.S)
    doc = None
    for piece in pieces:
        if piece.startswith("/**\n"):
            doc = parse_comment(piece, header)
            docs.append(doc)
        elif piece.startswith("/*"):
            # A comment inside a structure belongs to it.
            if doc is None or not doc.synopsis or \
                    not doc.synopsis[-1].startswith(("struct", "enum")):
                doc = None
        else:
            for name, synopsis in declarations(piece):
                if doc is None:
                    bare.append(name)
                    continue
                doc.synopsis.append(synopsis)
                if name != doc.name:
                    doc.others.append(name)
    for doc in docs:
        if not doc.synopsis:
            fail("%s: nothing stands under the comment of %s" % (
                header, doc.name))
    return docs, bare


def escape(text):
    text = text.replace("\\", "\\e")
    text = text.replace("'", "\\(aq").replace("`", "\\(ga")
    return text.replace("^", "\\(ha").replace("~", "\\(ti")


def prose(text):
    """A sentence: parameters in italics, names of code in bold."""
    text = escape(text)
    text = re.sub(r"@(\w+)", r"\\fI\1\\fR", text)
    text = re.sub(r"\b([a-z_]\w*)\(\)", r"\\fB\1\\fR()", text)
    text = re.sub(r"(?<![\w\\])(-?(?:__GFP|GFP|SLAB|KMALLOC|NUMA|ZERO|MAX|E)"
                  r"[A-Z_]+|NULL)\b", r"\\fB\1\\fR", text)
    text = re.sub(r"(?<![\w\\])-(?=\d|\\|E)", r"\\-", text)
    # A line begins with no control character, and with each sentence.
    lines = [s for s in re.split(r"(?<=[.:;])\s+(?=[A-Z\\])", text) if s]
    return "\n".join("\\&" + s if s[0] in ".'" else s for s in lines)


def code(text):
    lines = escape(text).replace("-", "\\-").split("\n")
    return ".PP\n.nf\n%s\n.fi\n" % "\n".join(
        "\\&" + s if s[:1] in (".", "'") else s for s in lines)


def synopsis(text):
    """A declaration, broken before 72 columns."""
    if text.startswith(("struct", "enum")):
        text = re.sub(r"\t", "    ", text)
        return "\n".join("\\&" + escape(s) if s[:1] in (".", "'") else
                         escape(s) for s in text.split("\n"))
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) > 70:
            lines.append(line)
            line = "    "
        line += ("" if not line.strip() else " ") + word \
            if line.strip() else line + word
    lines.append(line)
    return "\n".join(escape(s).replace("-", "\\-") for s in lines)


def page(doc, families, version):
    out = ['.\\" SPDX-License-Identifier: Apache-2.0',
           '.\\" Made by tools/man/gen_man.py from the comment of '
           '<knuma/%s>.' % doc.header,
           '.TH %s 3knuma "" "knuma %s" "knuma Calls"' % (
               doc.name.upper(), version),
           ".SH NAME",
           "%s \\- %s" % (", ".join([doc.name] + doc.others),
                          escape(doc.summary)),
           ".SH SYNOPSIS", ".nf",
           "\\fB#include <knuma/%s>\\fR" % doc.header, ""]
    out += [synopsis(s) for s in doc.synopsis]
    out += [".fi", ".SH DESCRIPTION"]
    for name, text in doc.params:
        out += [".TP", "\\fI%s\\fR" % name, prose(text)]
    for i, (kind, text) in enumerate(doc.body):
        if kind == "code":
            out.append(code(text).rstrip("\n"))
        else:
            if i or doc.params:
                out.append(".PP")
            out.append(prose(text))
    if not doc.params and not doc.body:
        out.append(prose(doc.summary[0].upper() + doc.summary[1:] + "."))
    for title, tags in (("RETURN VALUE", ["Return"]), ("ERRORS", ["Errors"]),
                        ("ALIGNMENT", ["Alignment"]),
                        ("NOTES", ["Notes", "Source"]),
                        ("THREAD SAFETY, FORK AND SIGNALS", ["Context"])):
        texts = [doc.tags[tag][1] for tag in tags if tag in doc.tags]
        if texts:
            out.append(".SH " + title)
            out.append("\n.PP\n".join(prose(text[0].upper() + text[1:])
                                      for text in texts))
    out.append(".SH SEE ALSO")
    out += [".BR %s (3knuma)," % f for f in families]
    out.append(".BR knuma (7)")
    return "\n".join(out) + "\n"


def mentioned(doc):
    """Functions that the comment names."""
    text = " ".join([t for _, t in doc.params] + [t for _, t in doc.body] +
                    [t for _, t in doc.tags.values()])
    return set(re.findall(r"\b(\w+)\(\)", text))


def flags_page(path, version):
    """gfp_flags(7knuma) from the tables of docs/reference/gfp.md."""
    with open(path, encoding="utf-8") as f:
        text = f.read()

    def plain(cell):
        return prose(cell.replace("`", "").replace("\\|", "|"))

    out = ['.\\" SPDX-License-Identifier: Apache-2.0',
           '.TH GFP_FLAGS 7knuma "" "knuma %s" "knuma Calls"' % version,
           ".SH NAME",
           "gfp_flags \\- what each flag of an allocation does",
           ".SH SYNOPSIS", ".nf", "\\fB#include <knuma/gfp.h>\\fR", ".fi"]
    for title, part in re.findall(r"(?ms)^## (.*?)\n(.*?)(?=^## |\Z)", text):
        out.append(".SH " + title.upper())
        for paragraph in re.split(r"\n\n+", part.strip()):
            if paragraph.startswith("|"):
                for row in paragraph.split("\n")[2:]:
                    cells = [c.strip() for c in
                             re.split(r"(?<!\\)\|", row)[1:-1]]
                    out += [".TP", "\\fB%s\\fR" % escape(
                        cells[0].replace("`", ""))]
                    out += [plain(c[0].upper() + c[1:].rstrip(".") + ".")
                            for c in cells[1:] if c]
            else:
                out += [".PP", plain(paragraph.replace("\n", " "))]
    out += [".SH SEE ALSO", ".BR kmalloc (3knuma),", ".BR knuma (7)"]
    return "\n".join(out) + "\n"


def family_names(path):
    """Functions that a page of docs/man names or declares."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    head = re.search(r"(?ms)^\.SH NAME\n(.*?) \\- ", text).group(1)
    declared = re.search(r"(?ms)^\.SH SYNOPSIS\n(.*?)^\.SH", text).group(1)
    return set(head.replace("\n", " ").split(", ")) | \
        set(re.findall(r"\b(\w+)\(", declared))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--version-header", required=True)
    parser.add_argument("--table")
    parser.add_argument("--page", action="append", default=[])
    parser.add_argument("--header", action="append", default=[])
    args = parser.parse_args()

    with open(args.version_header, encoding="utf-8") as f:
        version = re.search(r'KNUMA_VERSION_STRING\s+"(.*?)"', f.read())
    if not version:
        fail("%s: no version" % args.version_header)
    version = version.group(1)
    families = {os.path.basename(p).rsplit(".", 1)[0]: family_names(p)
                for p in sorted(args.page) if p.endswith(".3knuma")}
    pages, links, bare, docs_of = {}, {}, set(), {}
    for path in sorted(args.header):
        docs, rest = parse_header(path, os.path.basename(path))
        bare.update(rest)
        docs_of.update((doc.name, doc) for doc in docs)
    for doc in docs_of.values():
        if doc.name not in families:
            of = {f for f in families if doc.name in families[f]}
            pages[doc.name] = page(doc, sorted(
                of | (mentioned(doc) & set(docs_of) - {doc.name})), version)
        for other in doc.others:
            links[other] = doc.name
    for name in sorted(bare):
        for family in families:
            if name in families[family]:
                links.setdefault(name, family)
        if name not in links and name not in docs_of and \
                name not in NO_CALLS and not name.lower().startswith("kn_"):
            fail("%s() has no comment and is on no page of docs/man" % name)
    os.makedirs(args.out, exist_ok=True)
    for name, target in links.items():
        if name not in pages and name not in families:
            pages[name] = ".so man3/%s.3knuma\n" % target
    for name, text in pages.items():
        with open(os.path.join(args.out, name + ".3knuma"), "w",
                  encoding="utf-8") as f:
            f.write(text)
    if args.table:
        with open(os.path.join(args.out, "gfp_flags.7knuma"), "w",
                  encoding="utf-8") as f:
            f.write(flags_page(args.table, version))


if __name__ == "__main__":
    main()
