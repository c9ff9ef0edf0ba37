"""A table of a model's layers."""
from __future__ import annotations

from .. import tensor as _t
from .._trace import example_inputs, trace


class ModelSummary:
    """What `summary` found out; `str()` gives the table.

    Attributes:
        rows: dictionaries with name, layer, depth, input_shape, output_shape, parameters, mult_adds.
        total_parameters, trainable_parameters: numbers, shared parameters counted once.
        mult_adds: multiply-adds of one forward pass over the given input.
        input_nbytes, parameter_nbytes, activation_nbytes: memory of the input, of parameters and buffers, and
            of all layer outputs (what a training step keeps for backward, once).
    """

    def __init__(self, title, rows, **totals):
        self.title, self.rows = title, rows
        vars(self).update(totals)

    def __repr__(self):
        return (f"ModelSummary({self.title}: {self.total_parameters:,} parameters, "
                f"{self.mult_adds:,} multiply-adds)")

    def __str__(self):
        head = ("Layer", "Output shape", "Parameters", "Multiply-adds")
        body = [("  " * row["depth"] + (f"{row['name']}: " if row["name"] else "") + row["layer"],
                 "×".join(map(str, row["output_shape"])) if row["output_shape"] is not None else "",
                 "shared" if row["reused"] else f"{row['parameters']:,}" if row["parameters"] else "",
                 f"{row['mult_adds']:,}" if row["mult_adds"] else "") for row in self.rows]
        widths = [max(len(line[i]) for line in [head, *body]) for i in range(4)]
        rule = "─" * (sum(widths) + 6)

        def line(cells):
            return (f"{cells[0]:<{widths[0]}}  {cells[1]:<{widths[1]}}  {cells[2]:>{widths[2]}}  "
                    f"{cells[3]:>{widths[3]}}").rstrip()

        frozen = self.total_parameters - self.trainable_parameters
        return "\n".join([
            self.title, rule, line(head), rule, *map(line, body), rule,
            f"Parameters     {self.total_parameters:,}" + (f" ({frozen:,} frozen)" if frozen else ""),
            f"Multiply-adds  {self.mult_adds:,}",
            f"Memory         input {nbytes(self.input_nbytes)}, parameters {nbytes(self.parameter_nbytes)}, "
            f"activations {nbytes(self.activation_nbytes)}",
        ])


def nbytes(count):
    """Return a number of bytes as text with a unit."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024


def summary(model, input_size=None, *, input_data=None, dtypes=None, depth=None, verbose=True):
    """Print a table of the layers that a forward pass visits, and return it as `ModelSummary`.

    Args:
        model: a Module; its mode, buffers and gradients stay as they are.
        input_size: shape of the input with its batch size, or a list of shapes.
        input_data: a tensor or a list of tensors instead of `input_size`.
        dtypes: of the made-up inputs, one or a list.
        depth: deepest level shown; None shows all.
        verbose: print the table.

    Example:
        >>> summary(nn.Linear(4, 2), (1, 4), verbose=False).total_parameters
        10
    """
    if (input_size is None) == (input_data is None):
        raise ValueError("summary: give either input_size or input_data")
    if input_data is not None:
        inputs = [input_data] if isinstance(input_data, _t.Tensor) else list(input_data)
    else:
        parameter = next(model.parameters(), None)
        inputs = example_inputs(input_size, dtypes, parameter.device if parameter is not None else None)
    traced = trace(model, inputs)

    rows, counted = [], set()
    for call in traced.calls:
        if depth is not None and call.depth > depth:
            continue
        own = {id(p): p.numel() for p in call.module.parameters()}
        leaf = call.step is not None
        # A container shows the sum of what it hides at this depth, else only what no child has.
        if leaf or (depth is not None and call.depth == depth):
            inside = [c for c in traced.calls if c.step is not None and c.path[:len(call.path)] == call.path
                      and call.time <= c.time <= call.end]
            parameters, operations = sum(own.values()), sum(c.step.mult_adds for c in inside)
        else:
            parameters = sum(p.numel() for p in call.module.parameters(recurse=False))
            operations = 0
        reused = bool(own) and leaf and all(key in counted for key in own)
        if leaf:
            counted.update(own)
        rows.append({"name": call.path[-1] if call.path else "", "path": ".".join(call.path),
                     "layer": type(call.module).__name__, "depth": call.depth, "input_shape": call.in_shape,
                     "output_shape": call.out_shape, "parameters": parameters, "reused": reused,
                     "mult_adds": operations})
    parameters = list(dict.fromkeys(model.parameters()))
    result = ModelSummary(
        type(model).__name__, rows,
        total_parameters=sum(p.numel() for p in parameters),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        mult_adds=sum(step.mult_adds for step in traced.steps),
        input_nbytes=sum(t.numel() * t.element_size() for t in inputs),
        parameter_nbytes=sum(t.numel() * t.element_size() for t in [*parameters, *model.buffers()]),
        activation_nbytes=sum(step.out_nbytes for step in traced.steps if step.kind == "module"))
    if verbose:
        print(result)
    return result
