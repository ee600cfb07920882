"""Tests in guests: one boot of one machine runs many programs."""

load("//tests/vm:topologies.bzl", "KERNELS", "TOPOLOGIES")

def vm_test(name, options, kernel, programs, files = [], tags = [], **kwargs):
    """Boots a machine and runs programs in it; see tests/vm/guest --help.

    Args:
      name: the target.
      options: of tests/vm/guest.
      kernel: a key of KERNELS.
      programs: labels of programs, or of filegroups of them.
      files: what the programs open by their path from the workspace.
      tags: more than those that keep it to one guest at a time, and out of
        configurations that differ in compiler options only.
      **kwargs: of sh_test.
    """
    image = "@guest//:kernel_" + kernel
    native.sh_test(
        name = name,
        size = "medium",
        # The guest has a limit of its own; "long" would be filtered as a tag.
        timeout = "eternal",
        srcs = ["guest"],
        args = ["--name=" + name, "--kernel=$(location %s)" % image] +
               ["'%s'" % o for o in options] +
               ["--file=$(rootpath %s)" % f for f in files] +
               ["$(rootpaths %s)" % p for p in programs],
        data = programs + files + ["init", image, "@guest//:tools"],
        tags = tags + ["cpu:2", "once"],
        **kwargs
    )

def vm_tests(short, long, own = {}, long_own = [], **kwargs):
    """A vm_test <machine>_<kernel> for each row of TOPOLOGIES and each kernel.

    Args:
      short: programs of the rows that are in the short run.
      long: programs of the others.
      own: program -> the machines it runs in; [] for every row.
      long_own: those of own that are not for the short rows.
      **kwargs: of vm_test.
    """
    machines = [row.name for row in TOPOLOGIES]
    for program, rows in own.items():
        for row in rows:
            if row not in machines:
                fail("%s: no machine %s in topologies.bzl" % (program, row))
    for row in TOPOLOGIES:
        for kernel in KERNELS:
            is_short = kernel in row.short
            vm_test(
                name = "%s_%s" % (row.name, kernel),
                kernel = kernel,
                options = row.options,
                programs = (short if is_short else long) + [
                    program
                    for program, rows in own.items()
                    if (not rows or row.name in rows) and
                       not (is_short and program in long_own)
                ],
                tags = [] if is_short else ["long"],
                **kwargs
            )
