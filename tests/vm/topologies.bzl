"""The machines that tests/vm boots: one table. Literals only."""

# Version -> metapackage of Debian 12. 6.1 has no mm_cid in its rseq area.
KERNELS = {
    "6.1": "linux-image-cloud-amd64",
    "6.12": "linux-image-6.12-cloud-amd64",
}

# name, options of tests/vm/guest, kernels that run it in the short run.
# Memory is what the programs need: the initramfs lies in it too.
TOPOLOGIES = [
    struct(
        name = "one",
        options = ["--nodes=2x1024"],
        short = [],
    ),
    struct(
        name = "two",
        options = [
            "--nodes=2x512*2",
            "--distances=flat:21",
            "--hugepages=8",
        ],
        short = [],
    ),
    # The same on a libc that registers no rseq area.
    struct(
        name = "norseq",
        options = [
            "--nodes=2x512*2",
            "--distances=flat:21",
            "--env=GLIBC_TUNABLES=glibc.pthread.rseq=0",
        ],
        short = [],
    ),
    struct(
        name = "ring",
        options = ["--nodes=2x384*4", "--distances=ring:10"],
        short = ["6.12"],
    ),
    struct(
        name = "eight",
        options = ["--nodes=1x256*8", "--distances=ring:6"],
        short = [],
    ),
    # A node without CPUs and with slower memory, as behind CXL.
    struct(
        name = "cxl",
        options = [
            "--nodes=2x512*2/0x512",
            "--distances=10,21,24;21,10,34;24,34,10",
            "--hmat",
        ],
        short = ["6.12"],
    ),
    struct(
        name = "memoryless",
        options = [
            "--nodes=2x512/2x0/2x512",
            "--distances=10,16,21;16,10,21;21,21,10",
        ],
        short = ["6.1"],
    ),
    # A node of which the kernel leaves 40 to 46 MiB free.
    struct(
        name = "small",
        options = [
            "--nodes=2x768/2x64/2x384",
            "--distances=10,20,30;20,10,20;30,20,10",
            "--thp=madvise",
        ],
        short = [],
    ),
    # Node 2 can be taken offline, and unplugged, while programs run.
    struct(
        name = "cxlplug",
        options = [
            "--nodes=2x768/2x512",
            "--distances=10,21,24;21,10,34;24,34,10",
            "--plug=512",
        ],
        short = [],
    ),
]
