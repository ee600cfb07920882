"""Models in Promela, searched to exhaustion by Spin."""

def model_test(name, planted, claims = [], **kwargs):
    """<name>.pml holds in every state, and Spin finds each planted error.

    Args:
      name: of the target, and of the model beside it.
      planted: how many errors PLANTED can put into the model: the targets
        <name>_planted_1 and on.
      claims: the model's ltl formulas, each searched for on its own, with
        LIVENESS defined and weak fairness.
      **kwargs: of sh_test.
    """
    for n in range(planted + 1):
        native.sh_test(
            name = name + ("_planted_%d" % n if n else ""),
            size = "medium",
            # A search takes seconds; on a busy machine many more.
            timeout = "long",
            srcs = ["check"],
            args = (["--planted=%d" % n] if n else []) +
                   ["--claim=" + c for c in claims] +
                   ["$(location %s.pml)" % name],
            data = [name + ".pml"],
            # No compiler option of a configuration reaches a model.
            tags = ["long", "once"],
            **kwargs
        )
