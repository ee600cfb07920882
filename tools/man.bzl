"""The generated pages of the manual: a folder of files."""

def _man_pages_impl(ctx):
    out = ctx.actions.declare_directory(ctx.attr.name)
    args = ctx.actions.args()
    args.add("--out", out.path)
    args.add("--version-header", ctx.file.version_header)
    args.add("--table", ctx.file.table)
    args.add_all(ctx.files.pages, before_each = "--page")
    args.add_all(ctx.files.headers, before_each = "--header")
    ctx.actions.run(
        executable = ctx.executable._gen,
        inputs = ctx.files.headers + ctx.files.pages + [ctx.file.version_header, ctx.file.table],
        outputs = [out],
        arguments = [args],
        mnemonic = "ManPages",
    )
    return [DefaultInfo(
        files = depset([out]),
        runfiles = ctx.runfiles(files = [out]),
    )]

man_pages = rule(
    implementation = _man_pages_impl,
    attrs = {
        "headers": attr.label_list(allow_files = [".h"]),
        "pages": attr.label_list(allow_files = True),
        "table": attr.label(allow_single_file = True),
        "version_header": attr.label(allow_single_file = True),
        "_gen": attr.label(
            default = "//tools/man:gen_man",
            executable = True,
            cfg = "exec",
        ),
    },
)
