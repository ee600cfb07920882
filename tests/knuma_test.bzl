"""Tests of knuma: one target per file, made from the folder's content."""

load("//tools:copts.bzl", "KN_TEST_COPTS", "KN_TEST_CXXOPTS")

_FALLBACK_ENV = {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}

def knuma_test(name, srcs, deps = [], copts = [], fallback = False, env = {}, tags = [], **kwargs):
    """A cmocka program, linked statically: it reaches hidden symbols too.

    Args:
      name: the target.
      srcs: .c files, or one .cc file for what only C++ sees.
      deps: more than the library, tests/support and cmocka.
      copts: more than those of tools/copts.bzl.
      fallback: also make <name>_fallback, the same program without rseq.
      env: environment of the program.
      tags: of the targets; <name>_fallback has "fallback" besides.
      **kwargs: of cc_test: size, data, args.
    """
    cxx = [s for s in srcs if s.endswith(".cc")]

    # Compiled once for both targets.
    native.cc_library(
        name = name + "_objects",
        testonly = True,
        srcs = srcs,
        copts = (KN_TEST_CXXOPTS if cxx else KN_TEST_COPTS) + copts,
        alwayslink = True,
        deps = deps + [
            "//:knuma",
            "//tests:support",
            "@system//:cmocka",
            "@system//:pthread",
        ] + (["@system//:stdcxx"] if cxx else []),
    )
    native.cc_test(
        name = name,
        env = env,
        tags = tags,
        deps = [name + "_objects"],
        **kwargs
    )
    if fallback:
        native.cc_test(
            name = name + "_fallback",
            env = dict(env, **_FALLBACK_ENV),
            tags = tags + ["fallback"],
            deps = [name + "_objects"],
            **kwargs
        )

def knuma_tests(folder, rows = {}, **kwargs):
    """One knuma_test for each <folder>/*_test.c, named <folder>/<stem>.

    The programs together are <folder>_programs, for tests/vm.

    Args:
      folder: below this package.
      rows: stem -> attributes for this file that differ from kwargs.
      **kwargs: of knuma_test.
    """
    files = native.glob([folder + "/**/*_test.c", folder + "/**/*_test.cc"], allow_empty = True)
    stems = []
    for file in files:
        stem = file[len(folder) + 1:].rpartition(".")[0]
        stems.append(stem)
        knuma_test(
            name = folder + "/" + stem,
            srcs = [file],
            **dict(kwargs, **rows.get(stem, {}))
        )
    native.filegroup(
        name = folder + "_programs",
        testonly = True,
        srcs = [folder + "/" + stem for stem in stems],
        visibility = ["//tests:__subpackages__"],
    )
    for stem in rows:
        if stem not in stems:
            fail("tests/BUILD.bazel: no file %s/%s.c for its row" % (folder, stem))
