"""Compiler options, the only place that lists them."""

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wundef",
    "-Wvla",
]

# Equal to `#define _GNU_SOURCE`, so that a file may also say it itself.
_GNU = ["-D_GNU_SOURCE="]

# gcc 12 takes the address of a struct's first array, indexed in a loop, for a
# null pointer and deletes the call around it; this option keeps the call.
_GCC12 = ["-fno-delete-null-pointer-checks"]

# The library. The last six undo or refine what the toolchain sets.
KN_COPTS = _GNU + _GCC12 + _WARNINGS + [
    "-Wconversion",
    "-Wno-sign-conversion",
    "-fvisibility=hidden",
    "-ftls-model=initial-exec",
    "-fomit-frame-pointer",
    "-fno-stack-protector",
    "-fno-semantic-interposition",
    # A linker that leaves out functions one by one cannot do so where a note
    # of a probe points into one.
    "-fno-function-sections",
    # malloc() of the preload library is a jump to libknuma: one, not two.
    "-fno-plt",
]

# The command line tool and the benchmarks.
KN_TOOL_COPTS = _GNU + _GCC12 + _WARNINGS + [
    "-Wconversion",
    "-Wno-sign-conversion",
]

KN_TOOL_CXXOPTS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-Wshadow",
]

# Tests keep assert(). They write up to ksize(), which a fortified memset() of an
# object with a known request calls an overflow.
KN_TEST_COPTS = _GNU + _GCC12 + _WARNINGS + [
    "-UNDEBUG",
    "-U_FORTIFY_SOURCE",
]
KN_TEST_CXXOPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-UNDEBUG",
]
