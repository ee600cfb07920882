"""A test program built once more, library and all, with an error in it."""

def _with_copts_impl(settings, attr):
    copt = "//command_line_option:copt"
    return {copt: settings[copt] + attr.copts}

_with_copts = transition(
    implementation = _with_copts_impl,
    inputs = ["//command_line_option:copt"],
    outputs = ["//command_line_option:copt"],
)

def _planted_error_test_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(
        output = out,
        target_file = ctx.executable.program,
        is_executable = True,
    )
    return [DefaultInfo(
        executable = out,
        runfiles = ctx.runfiles(files = [ctx.executable.program]),
    )]

planted_error_test = rule(
    doc = """Passes when the program does.

    The program is built with other options, which plant the error, and knows
    by the same macro that it must find it.
    """,
    implementation = _planted_error_test_impl,
    test = True,
    attrs = {
        "copts": attr.string_list(
            mandatory = True,
            doc = "compiler options for everything below the program",
        ),
        "program": attr.label(
            mandatory = True,
            cfg = _with_copts,
            executable = True,
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/" +
                      "function_transition_allowlist",
        ),
    },
)
