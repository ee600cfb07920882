"""Guest kernels: packages of Debian, fetched when a test needs them."""

load("//tests/vm:topologies.bzl", "KERNELS")

def _guest_impl(ctx):
    fetch = ctx.path(ctx.attr._fetch)
    names = []
    for version, package in KERNELS.items():
        name = "kernel_" + version
        names.append(name)
        done = ctx.execute([fetch, version, package])
        if done.return_code == 0:
            ctx.symlink(done.stdout.strip(), name)
        else:
            # tests/vm/guest prints this and skips: no network is no error.
            why = done.stderr.strip().splitlines()
            ctx.file(name, "missing: kernel %s: %s\n" % (
                version,
                why[-1] if why else "fetch_kernel ended with %d" % done.return_code,
            ), executable = False)

    # A test that was skipped is run again when what it lacked is there.
    names.append("tools")
    ctx.file("tools", "".join([
        "%s %s\n" % (tool, ctx.which(tool))
        for tool in ["qemu-system-x86_64", "busybox", "cpio"]
    ]), executable = False)
    ctx.file("BUILD.bazel", "exports_files(%r)\n" % names)

guest = repository_rule(
    implementation = _guest_impl,
    doc = """Files kernel_<version>, and what is installed to boot them.

    A kernel that cannot be fetched is a file that says so. Nothing is fetched
    unless a test of tests/vm is built.
    """,
    environ = ["HOME", "KNUMA_VM_DIR", "PATH", "XDG_CACHE_HOME"],
    local = True,
    attrs = {
        "_fetch": attr.label(default = "//tests/vm:fetch_kernel"),
    },
)
