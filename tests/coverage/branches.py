# SPDX-License-Identifier: Apache-2.0
"""Error branches of C sources, found by their text.

An error branch is a side of a condition that leads to an error exit: to a block
that ends in one or reports one, or past an `if` that ends in a return, or out
of a loop, to statements that end in one.  Of `a || b' each operand that decides
alone has a side of its own, of `a && b' the last.  So are a `case' that begins
with an error exit and the side of a `?:' in a `return' that is an error value.

  error value   NULL, false, -1, -Exxx, Exxx, -errno, err, KN_x_NONE
  error exit    return of one, or of a call of a function above it that returns
                nothing else; goto
  report        kn_bug(), kn_warn(), kn_warn_once(), errno = Exxx, or a call of
                a function above it that always does that

KN_CHECK and KN_ASSERT are none: what they look for is an error of knuma itself.
"""

import collections
import re

# Where a side is counted: the places its condition can begin at, which side of
# it, and the statement it leads to, for conditions that stand in a macro.
Side = collections.namedtuple("Side", "line text places side target")

_TOKEN = re.compile(r'''
    (?P<skip>\s+|/\*.*?\*/|//[^\n]*)
  | (?P<pre>^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<punct>->|\+\+|--|&&|\|\||<<=|>>=|<<|>>|[-+*/%&|^=!<>]=|\.\.\.|.)
''', re.S | re.M | re.X)

_OPEN, _CLOSE = "([{", ")]}"
_REPORTS = ("kn_bug", "kn_warn", "kn_warn_once")
# They say nothing to the compiler when branches are counted.
_HINTS = ("likely", "unlikely")

Token = collections.namedtuple("Token", "text line column")


class Statement:
    """kind: block if loop switch case return goto jump plain."""

    def __init__(self, kind, first):
        self.kind = kind
        self.first = first      # token it begins at
        self.end = first        # token behind it
        self.cond = None        # (first, end) of a condition or an expression
        self.body = []          # statements of a block, or one
        self.other = None       # else


def tokens_of(text):
    found = []
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        word = match.group()
        if match.lastgroup not in ("skip", "pre") and word not in _HINTS:
            found.append(Token(word, line, match.start() - start + 1))
        newlines = word.count("\n")
        if newlines:
            line += newlines
            start = match.start() + word.rindex("\n") + 1
    return found


class Source:
    """The functions of one file."""

    def __init__(self, text):
        self.tokens = tokens_of(text)
        self.pair = self._pairs()
        self.functions = {}     # name: block
        self._find_functions()
        self.refusing = set()   # return nothing but error values
        self.reporting = set()  # report, whatever they are called with
        self._find_refusing()

    def _pairs(self):
        pair, stack = {}, []
        for i, token in enumerate(self.tokens):
            if token.text in _OPEN:
                stack.append(i)
            elif token.text in _CLOSE and stack:
                pair[stack.pop()] = i
        return pair

    def text(self, i):
        return self.tokens[i].text if i < len(self.tokens) else ""

    def words(self, first, end):
        return [t.text for t in self.tokens[first:end]]

    def _find_functions(self):
        i, name = 0, None
        while i < len(self.tokens):
            text = self.text(i)
            if text == "(":
                if name is None and i and re.match(r"\w", self.text(i - 1)):
                    name = self.text(i - 1)
                i = self.pair.get(i, i)
            elif text == "{":
                if self.text(i - 1) == ")":
                    self.functions[name] = self.block(i)
                i = self.pair.get(i, len(self.tokens))
                name = None
            elif text == ";":
                name = None
            i += 1

    # Statements.

    def block(self, i):
        s = Statement("block", i)
        end = self.pair[i]
        i += 1
        while i < end:
            item = self.statement(i)
            s.body.append(item)
            i = item.end
        s.end = end + 1
        return s

    def statement(self, i):
        text = self.text(i)
        if text == "{":
            return self.block(i)
        if text == "do":
            return self._do(i)
        if text in ("if", "for", "while", "switch"):
            return self._controlled(i)
        if text in ("case", "default"):
            return self._case(i)
        if text in ("return", "goto", "break", "continue"):
            return self._jump(i)
        if re.match(r"\w", text) and self.text(i + 1) == ":":
            s = Statement("case", i)
            s.end = i + 2
            return s
        return self._plain(i)

    def _controlled(self, i):
        kind = {"for": "loop", "while": "loop"}.get(self.text(i), self.text(i))
        s = Statement(kind, i)
        close = self.pair[i + 1]
        s.cond = (i + 2, close)
        if self.text(i) == "for":
            semicolons = [k for k in range(i + 2, close)
                          if self.text(k) == ";"]
            s.cond = (semicolons[0] + 1, semicolons[1])
        s.body = [self.statement(close + 1)]
        s.end = s.body[0].end
        if kind == "if" and self.text(s.end) == "else":
            s.other = self.statement(s.end + 1)
            s.end = s.other.end
        return s

    def _do(self, i):
        s = Statement("loop", i)
        s.body = [self.statement(i + 1)]
        at = s.body[0].end + 1          # while (
        s.cond = (at + 1, self.pair[at])
        s.end = self.pair[at] + 2
        return s

    def _case(self, i):
        s = Statement("case", i)
        while self.text(i) != ":":
            i += 1
        s.end = i + 1
        return s

    def _jump(self, i):
        text = self.text(i)
        s = Statement(text if text in ("return", "goto") else "jump", i)
        s.end = self._semicolon(i)
        s.cond = (i + 1, s.end - 1)
        return s

    def _plain(self, i):
        s = Statement("plain", i)
        # A loop by a macro: a word, parentheses, and no semicolon.
        if re.match(r"\w", self.text(i)) and self.text(i + 1) == "(":
            behind = self.pair[i + 1] + 1
            if self.text(behind) == "{" or re.match(r"[A-Za-z_]",
                                                    self.text(behind)):
                s.kind = "macro"
                s.body = [self.statement(behind)]
                s.end = s.body[0].end
                return s
        s.end = self._semicolon(i)
        s.cond = (i, s.end - 1)
        return s

    def _semicolon(self, i):
        while self.text(i) != ";":
            i = self.pair.get(i, i) + 1
            if i >= len(self.tokens):
                break
        return i + 1

    # Error exits.

    def is_error_value(self, first, end):
        words = self.words(first, end)
        while words[:1] == ["("]:       # a cast, or parentheses
            close = self.pair[first]
            if close == end - 1:
                first, end = first + 1, end - 1
            else:
                first = close + 1
            words = self.words(first, end)
        text = "".join(words)
        if re.match(r"(NULL|false|err|-err|-1|-?E[A-Z0-9]+|-errno)$|"
                    r"KN_\w+_NONE$", text):
            return True
        return (len(words) > 2 and words[1] == "(" and
                self.pair[first + 1] == end - 1 and
                (words[0] in self.refusing or
                 words[0] in ("ERR_PTR", "kn_ptr_err")))

    def is_exit(self, s):
        if s.kind == "goto":
            return True
        return s.kind == "return" and self.is_error_value(*s.cond)

    def is_report(self, s):
        if s.kind != "plain":
            return False
        words = self.words(*s.cond)
        if words[:2] == ["errno", "="]:
            return re.match(r"-|E[A-Z]", words[2]) is not None
        return bool(words) and (words[0] in _REPORTS or
                                words[0] in self.reporting)

    def leads_to_error(self, s):
        """Whether a statement, the side of a condition, does."""
        if s is None:
            return False
        items = s.body if s.kind == "block" else [s]
        return bool(items) and (self.is_exit(items[-1]) or
                                any(self.is_report(i) for i in items))

    def comes_to_error(self, items):
        """Whether what comes next does, straight."""
        for s in items:
            if self.is_exit(s) or self.is_report(s):
                return True
            if s.kind != "plain":
                return False
        return False

    def returns_of(self, s):
        if s is None:
            return []
        found = [s] if s.kind == "return" else []
        for item in s.body + ([s.other] if s.other else []):
            found += self.returns_of(item)
        return found

    def _find_refusing(self):
        for name, body in self.functions.items():
            returns = [r.cond for r in self.returns_of(body)
                       if r.cond[0] < r.cond[1]]
            if any(self.is_report(item) for item in body.body):
                self.reporting.add(name)
            if returns and all(self.is_error_value(*r) and
                               self.text(r[0]) != "err" for r in returns):
                self.refusing.add(name)

    # Sides.

    def sides(self):
        found = []
        for body in self.functions.values():
            self._walk(body, [], found)
        return sorted(set(found), key=lambda s: (s.line, s.places))

    def _ends(self, s):
        """Whether nothing behind the statement is reached through it."""
        last = s.body[-1] if s.kind == "block" and s.body else s
        return last.kind in ("return", "goto", "jump")

    def _walk(self, s, follow, found):
        if s.kind == "block":
            for i, item in enumerate(s.body):
                rest = s.body[i + 1:]
                self._walk(item, rest if rest else follow, found)
            return
        if s.kind == "if":
            bad = s.body[0] if self.leads_to_error(s.body[0]) else None
            good = None
            if s.other:
                good = s.other if self.leads_to_error(s.other) else None
            elif self._ends(s.body[0]) and self.comes_to_error(follow):
                good = follow[0]
            self._leaves(*s.cond, bad, good, found)
        elif s.kind == "loop":
            good = follow[0] if self.comes_to_error(follow) else None
            self._leaves(*s.cond, None, good, found)
        elif s.kind == "case" and self.text(s.first) in ("case", "default"):
            if self.comes_to_error(follow):
                self._emit(s.first, s.end - 1, "true", follow[0], found)
        elif s.kind == "return":
            self._choices(*s.cond, s, found)
        inner = follow if s.kind == "if" else []
        for item in s.body + ([s.other] if s.other else []):
            self._walk(item, inner, found)

    def _split(self, first, end, operator):
        parts, start, i = [], first, first
        while i < end:
            if self.text(i) == operator:
                parts.append((start, i))
                start = i + 1
            elif self.text(i) == "?":
                return [(first, end)]
            i = self.pair.get(i, i) + 1
        return parts + [(start, end)]

    def _leaves(self, first, end, true, false, found, before=()):
        """true and false: the statement that the side leads to in error."""
        if first >= end or (true is None and false is None):
            return
        if self.text(first) == "(" and self.pair[first] == end - 1:
            self._leaves(first + 1, end - 1, true, false, found,
                         before + (first,))
            return
        for operator in ("||", "&&"):
            parts = self._split(first, end, operator)
            if len(parts) > 1:
                for part in parts[:-1]:
                    self._leaves(*part, true if operator == "||" else None,
                                 false if operator == "&&" else None, found)
                self._leaves(*parts[-1], true, false, found)
                return
        if true is not None:
            self._emit(first, end, "true", true, found, before)
        if false is not None:
            self._emit(first, end, "false", false, found, before)

    def _choices(self, first, end, s, found):
        i, mark = first, None
        while i < end:
            if self.text(i) == "?":
                mark = i
                break
            i = self.pair.get(i, i) + 1
        if mark is None:
            return
        depth, i = 0, mark + 1
        while i < end:
            depth += {"?": 1, ":": -1}.get(self.text(i), 0)
            if depth < 0:
                break
            i = self.pair.get(i, i) + 1
        self._leaves(first, mark,
                     s if self.is_error_value(mark + 1, i) else None,
                     s if self.is_error_value(i + 1, end) else None, found)
        self._choices(i + 1, end, s, found)

    def _emit(self, first, end, side, target, found, before=()):
        at = self.tokens[first]
        places = tuple((self.tokens[i].line, self.tokens[i].column)
                       for i in (first,) + before)
        words = " ".join(self.words(first, end))
        for tight in (" ( ", " ) ", " , ", " -> ", " . ", " ; ", " [ ", " ] "):
            words = words.replace(tight, tight.strip())
        t = target
        while t.kind == "block" and t.body:
            t = t.body[0]
        to = self.tokens[t.first]
        found.append(Side(at.line, words, places, side, (to.line, to.column)))


def error_sides(text):
    return Source(text).sides()
