"""The layers of knuma: what stands on what.

Read by tools/knuma_layer.bzl, which makes the Bazel targets, and by
tools/check_layers.py, which checks the #include lines. Literals only.
"""

# A file includes its own folder and folders of earlier rows; never another
# folder of its own row, never a later row.
LAYERS = [
    ["include/knuma"],
    ["alloc/base"],
    ["alloc/config", "alloc/stats"],
    ["alloc/rcu", "numa"],
    ["alloc/magazine"],
    ["alloc/account"],
    ["alloc/page"],
    ["alloc/slab", "alloc/vmalloc"],
    ["alloc/kvmalloc", "alloc/deferred", "alloc/mempool", "alloc/percpu", "alloc/view"],
    ["alloc/core", "alloc/malloc"],
]

# The preload shim is a library of its own over the exported functions: it sees
# the public headers and those of these folders, and links nothing of them.
PRELOAD = "alloc/preload"
PRELOAD_SEES = ["alloc/base", "numa"]

# Rows of third_party/system.BUILD that a folder is built with.
SYSTEM_LIBRARIES = {
    "alloc/base": ["ck", "pthread"],
    "alloc/config": ["inih"],
    "alloc/deferred": ["urcu_headers"],
    "alloc/rcu": ["urcu_headers"],
    "numa": ["dl", "hwloc_headers", "numa_headers"],
}

# Headers of other projects: the only folders or files that may include them.
EXTERNAL_HEADERS = {
    "argp.h": ["tools"],
    "ck_*": ["alloc/base"],
    "hwloc*": ["numa"],
    "jansson.h": ["tools"],
    "ncurses.h": ["tools"],
    "ini.h": ["alloc/config"],
    "numa*.h": ["numa"],
    "sys/sdt.h": ["alloc/base"],
    "urcu*": [
        "alloc/deferred",
        "alloc/rcu",
        "bench/flood",
        "include/knuma/linux/rcupdate.h",
        "include/knuma/rcu.h",
    ],
}
