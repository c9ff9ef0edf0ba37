"""A piece of Python that is timed as it stands."""


class Statement:
    """Text compiled into the very loop that is timed, so that no function called around it is measured with it.

    A call through a lambda costs some 20 ns, a third of what the smallest operations take: counted on all sides it would hide most of
    the difference between them.

    Args:
        text: one line: an expression, or statements whose `result` is another expression (None: of a `text` that has no value).
        names: what the text reads, as local variables.
        wait: called with the result of each turn of the loop, where a library computes later.
    """

    def __init__(self, text, names, result="", wait=None):
        self.text, self.names, self.result = text, names, result
        arguments, value = ", ".join(names), text if result == "" else result
        lines = [] if result == "" else [text]
        if wait is not None:
            value, arguments = f"wait__({value})", f"{arguments}, wait__"
            names = {**names, "wait__": wait}
        body = [*lines, value] if result == "" or wait is not None else lines
        source = [f"def loop(calls__, clock__, {arguments}):", "    start__ = clock__()", "    for _ in calls__:", *("        " + line for line in body),
                  "    return clock__() - start__", f"def once({arguments}):", *("    " + line for line in lines), f"    return {value}"]
        space = {}
        exec(compile("\n".join(source), f"<benchmark {text!r}>", "exec"), space)
        self.loop, self.once, self.values = space["loop"], space["once"], tuple(names.values())

    def __call__(self):
        """Run it once; returns its result."""
        return self.once(*self.values)

    def seconds(self, n, clock):
        """What `n` turns take together."""
        return self.loop(range(n), clock, *self.values)

    def waiting(self, wait):
        """The same with each result waited for; `wait` returns what it was given."""
        return Statement(self.text, self.names, self.result, wait)
