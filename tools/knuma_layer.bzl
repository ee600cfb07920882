"""One cc_library for each folder of the layer table."""

load("//tools:copts.bzl", "KN_COPTS")
load("//tools:layers.bzl", "LAYERS", "PRELOAD", "PRELOAD_SEES", "SYSTEM_LIBRARIES")

# Row 0 is //:headers.
SOURCE_FOLDERS = [f for row in LAYERS[1:] for f in row]

_HEADERS = ["**/*.h"]
_TABLES = ["**/*.def"]
_SOURCES = ["**/*.c", "**/*.S"]

def _row_of(folder):
    for i, row in enumerate(LAYERS):
        if folder in row:
            return i
    fail("tools/layers.bzl has no row for " + folder)

def _library(folder, visibility, deps, copts = []):
    native.cc_library(
        name = folder.split("/")[-1],
        srcs = native.glob(_SOURCES, allow_empty = True),
        hdrs = native.glob(_HEADERS, allow_empty = True),
        textual_hdrs = native.glob(_TABLES, allow_empty = True),
        copts = KN_COPTS + copts,
        # Hidden symbols are reached from other folders: never a library each.
        linkstatic = True,
        # Exports and constructors that nothing references stay in.
        alwayslink = True,
        visibility = visibility,
        deps = ["//:headers"] + deps + [
            "@system//:" + row
            for row in SYSTEM_LIBRARIES.get(folder, [])
        ],
    )

    # For tools/check_layers.py and tests/mutants.
    native.filegroup(
        name = "sources",
        srcs = native.glob(_SOURCES + _HEADERS + _TABLES, allow_empty = True),
        visibility = [
            "//tests/mutants:__pkg__",
            "//tools:__pkg__",
        ],
    )

def knuma_layer():
    """The library of this package: sees lower rows, is seen by higher ones."""
    folder = native.package_name()
    row = _row_of(folder)
    lower = [f for r in LAYERS[1:row] for f in r]
    higher = [f for r in LAYERS[row + 1:] for f in r]
    _library(
        folder,
        visibility = [
            "//:__pkg__",
            "//tests:__subpackages__",
            "//tools:__subpackages__",
        ] + ["//%s:__pkg__" % f for f in higher],
        deps = ["//" + f for f in lower],
    )
    if folder in PRELOAD_SEES:
        # What the preload shim may include without linking it.
        native.cc_library(
            name = "headers",
            hdrs = native.glob(_HEADERS, allow_empty = True),
            textual_hdrs = native.glob(_TABLES, allow_empty = True),
            visibility = ["//%s:__pkg__" % PRELOAD],
        )

def knuma_preload():
    """The objects of libknuma_malloc.so.0."""
    _library(
        native.package_name(),
        copts = ["-DKN_PRELOAD"],
        visibility = ["//:__pkg__"],
        deps = ["//%s:headers" % folder for folder in PRELOAD_SEES] + [
            "@system//:" + row
            for folder in PRELOAD_SEES
            for row in SYSTEM_LIBRARIES.get(folder, [])
            if row.endswith("_headers") or row == "ck"
        ],
    )
