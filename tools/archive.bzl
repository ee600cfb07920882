"""One static archive out of a cc_library and everything of this tree below it."""

def _merged_archive_impl(ctx):
    archives = [
        library.pic_static_library or library.static_library
        for input in ctx.attr.lib[CcInfo].linking_context.linker_inputs.to_list()
        for library in input.libraries
    ]
    archives = [a for a in archives if a]
    if not archives:
        fail("%s holds no objects" % ctx.attr.lib.label)
    out = ctx.actions.declare_file(ctx.attr.out)

    # One relocatable object, so that hidden symbols can be made local: what
    # a program sees of the archive is what it sees of the shared library.
    ctx.actions.run_shell(
        inputs = archives,
        outputs = [out],
        arguments = [out.path] + [a.path for a in archives],
        command = """
set -eu
out=$1; shift
object=$out.dir/knuma.o
mkdir -p "$out.dir"
trap 'rm -rf "$out.dir"' EXIT
ld -r -o "$object" --whole-archive "$@"
objcopy --localize-hidden "$object"
rm -f "$out"
ar rcsD "$out" "$object"
""",
        mnemonic = "MergeArchive",
    )
    return [DefaultInfo(
        files = depset([out]),
        runfiles = ctx.runfiles(files = [out]),
    )]

merged_archive = rule(
    implementation = _merged_archive_impl,
    attrs = {
        "lib": attr.label(mandatory = True, providers = [CcInfo]),
        "out": attr.string(mandatory = True),
    },
)
