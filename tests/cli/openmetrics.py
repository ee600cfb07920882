# SPDX-License-Identifier: Apache-2.0
"""A strict reader of OpenMetrics text, as far as knuma writes it."""

import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
_SAMPLE = re.compile(r"^(%s)(?:\{(%s(?:,%s)*)\})? (-?\d+(?:\.\d+)?)$" % (
    _NAME, _LABEL, _LABEL))
_SUFFIX = {"counter": "_total", "gauge": ""}


class Family:
    """One metric: its type, unit, help, and samples by labels."""

    def __init__(self, kind):
        self.kind = kind
        self.unit = None
        self.help = None
        self.samples = {}


def _labels(text):
    found = {}
    for name, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text or ""):
        if name in found:
            raise ValueError("label %s twice" % name)
        found[name] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(
            m.group(1), m.group(1)), value)
    return tuple(sorted(found.items()))


def parse(text):
    """Name -> Family; ValueError for what the format does not allow."""
    if not text.endswith("# EOF\n"):
        raise ValueError("no # EOF at the end")
    lines = text.split("\n")[:-2]
    families, name = {}, None
    for number, line in enumerate(lines, 1):
        where = "line %d: %s" % (number, line)
        words = line.split(" ", 3)
        if words[0] == "#":
            if len(words) < 4 or words[1] not in ("TYPE", "UNIT", "HELP"):
                raise ValueError(where)
            if words[1] == "TYPE":
                name = words[2]
                if name in families or words[3] not in _SUFFIX or \
                        not re.fullmatch(_NAME, name):
                    raise ValueError(where)
                families[name] = Family(words[3])
                continue
            family = families.get(name)
            if words[2] != name or family.samples:
                raise ValueError("not together: " + where)
            if words[1] == "UNIT":
                if family.unit or not name.endswith("_" + words[3]):
                    raise ValueError(where)
                family.unit = words[3]
            else:
                if family.help:
                    raise ValueError(where)
                family.help = words[3]
            continue
        match = _SAMPLE.match(line)
        if not match or name is None:
            raise ValueError(where)
        family = families[name]
        if match.group(1) != name + _SUFFIX[family.kind]:
            raise ValueError("of another family: " + where)
        labels = _labels(match.group(2))
        if labels in family.samples:
            raise ValueError("twice: " + where)
        value = float(match.group(3))
        if family.kind == "counter" and value < 0:
            raise ValueError("a counter below 0: " + where)
        family.samples[labels] = value
    for name, family in families.items():
        if family.help is None:
            raise ValueError(name + " has no help")
    return families
