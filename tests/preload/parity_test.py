# SPDX-License-Identifier: Apache-2.0
"""The same calls on the C library's allocator and on knuma: the same answers.

What may differ is listed, with knuma's answer and the reason, in
parity.differences.
"""
import os
import re
import subprocess
import sys

PRELOAD = os.path.abspath("libknuma_malloc.so.0")
FOLDER = "tests/preload/"
MODES = {
    "knuma": {},
    "without rseq": {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"},
    "four fake nodes": {"KNUMA_FAKE_NODES": "4"},
}
failures = []


def check(name, ok, details=""):
    print("%s: %s" % ("ok" if ok else "FAIL", name))
    if not ok:
        print(details)
        failures.append(name)


def run(command, env=None):
    """Exit code, standard output, standard error."""
    env = dict(os.environ, **(env or {}))
    done = subprocess.run(command, env=env, capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def on_knuma(command, **env):
    return run(command, dict(env, LD_PRELOAD=PRELOAD))


def allowed():
    """(pattern of the call, pattern of the answer) of each known difference."""
    rows = []
    for line in open(FOLDER + "parity.differences", encoding="utf-8"):
        if not line.startswith("#"):
            call, answer, reason = line.split(" | ")
            assert reason.strip(), line
            rows.append([re.compile(re.escape(p).replace(r"\*", ".*"))
                         for p in (call, answer)])
    return rows


def differences(libc, knuma, rows, used):
    """Pairs of lines that no row explains."""
    found = []
    if len(libc) != len(knuma):
        found.append(("%d lines" % len(libc), "%d lines" % len(knuma)))
    for a, b in zip(libc, knuma):
        if a == b:
            continue
        call, answer = b.rsplit(": ", 1) if "free:errno" not in b else \
            b.split(": ", 1)
        for i, (row_call, row_answer) in enumerate(rows):
            if row_call.fullmatch(call) and row_answer.fullmatch(answer):
                used.add(i)
                break
        else:
            found.append((a, b))
    return found


def compare(program, rows, used):
    code, libc, err = run([FOLDER + program])
    check(program + " on the C library", code == 0 and len(libc) > 1000, err)
    for mode, env in MODES.items():
        code, knuma, err = on_knuma([FOLDER + program], **env)
        found = differences(libc.splitlines(), knuma.splitlines(), rows, used)
        check("%s, %s" % (program, mode), code == 0 and not found and not err,
              "exit code %d\n%s\n" % (code, err) +
              "\n".join("libc:  %s\nknuma: %s" % f for f in found[:20]))


def one_library_serves_all_names():
    code, out, err = on_knuma([FOLDER + "parity", "--whose"])
    others = [l for l in out.splitlines() if not l.endswith(PRELOAD)]
    check("every name is knuma's", code == 0 and not others and
          len(out.splitlines()) > 25, "\n".join(others) + err)


def a_module_catches_bad_alloc():
    """In a program without a C++ runtime that others could see."""
    script = ("import ctypes; print(ctypes.CDLL('./%smodule.so')"
              ".module_catches_bad_alloc())" % FOLDER)
    for name, how in ("the C library", run), ("knuma", on_knuma):
        code, out, err = how([sys.executable, "-c", script])
        check("a module's bad_alloc on %s" % name,
              (code, out) == (0, "1\n"), out + err)


def nobody_can_throw():
    """operator new, called by its mangled name in a program in C."""
    script = ("import ctypes; new = ctypes.CDLL(None)._Znwm; "
              "new(ctypes.c_size_t(2**63))")
    code, _, err = on_knuma([sys.executable, "-c", script])
    check("without a C++ runtime it aborts, and says why",
          code == -6 and "no C++ runtime is loaded" in err, "%d %s" % (code, err))


def main():
    rows, used = allowed(), set()
    for program in "parity", "parity_cc", "parity_replaced":
        compare(program, rows, used)
    # One of them is a matter of the C library's version.
    libc = tuple(int(n) for n in os.confstr("CS_GNU_LIBC_VERSION").split()[1]
                 .split("."))
    unused = [rows[i][0].pattern for i in range(len(rows)) if i not in used]
    check("every listed difference is there", not unused or libc >= (2, 38),
          "\n".join(unused))
    one_library_serves_all_names()
    a_module_catches_bad_alloc()
    nobody_can_throw()
    return 1 if failures else 0


sys.exit(main())
