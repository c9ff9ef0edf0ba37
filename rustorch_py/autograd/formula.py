"""A row's derivative over tensors: the text of the operator table, evaluated with recorded operators.

Used when the gradient must itself be differentiable (create_graph); the plain backward runs the
compiled loop of the same text.
"""
from ..tensor import _create, _ops, _pointwise, _rows, _view_complex


def _of_tensors(function):
    """The function with a number among its operands made a tensor like the other one."""
    def call(x, y):
        if not hasattr(x, "shape"):
            x = _create.full_like(y, x)
        elif not hasattr(y, "shape"):
            y = _create.full_like(x, y)
        return function(x, y)
    return call


_NAMES = {
    **_rows.FUNCTIONS,
    **{name: _of_tensors(_rows.FUNCTIONS[name]) for name in ("maximum", "minimum", "fmax", "fmin", "copysign", "hypot", "atan2")},
    "where": _pointwise.choose, "pow": _pointwise.pow, "conj": _view_complex.conj, "round": _pointwise.round,
    "abs_c": lambda x: _rows.abs(x), "cdiv": lambda x, y: x / y, "mul_i": lambda x: x * 1j,
    "floordiv": lambda x, y: _pointwise.div(x, y, rounding_mode="floor"), "truncdiv": lambda x, y: _pointwise.div(x, y, rounding_mode="trunc"),
    "softplus1": lambda x: -_rows.logsigmoid(-x), "inf": lambda x: float("inf"),
    "land": _rows.logical_and, "lor": _rows.logical_or, "lxor": _rows.logical_xor,
    "real_ge0": lambda x: _view_complex.real(x) >= 0, "lt_half": lambda x: _rows.abs(x) < 0.5,
    "fmax_left": lambda x, y: _rows.logical_or(x >= y, _rows.isnan(y)), "fmin_left": lambda x, y: _rows.logical_or(x <= y, _rows.isnan(y)),
    "clamp": lambda x, lo, hi: _pointwise.clamp(x, lo, hi),
    "polygamma": lambda n, x: _pointwise.polygamma(int(n), x),
    "sgn": lambda x: _rows.sgn(x), "sign": lambda x: _rows.sgn(x),
}


def _compile(row, text):
    """Text with its lets in front, as a function of the row's vocabulary."""
    body = text
    lines = [f"    {name} = {value}" for name, value in row.let.items()]
    source = "def derivative(g, x, y, z, o, k0, k1):\n" + "\n".join(lines + [f"    return {body}"])
    scope = dict(_NAMES)
    exec(compile(source, f"<optable {row.name}>", "exec"), scope)
    return scope["derivative"]


def build(index, i):
    """Return the derivative of row ``index`` for input ``i`` as a function over tensors."""
    from ..tensor import optable        # only double backward reads the table at run time
    row = optable.ROWS[index]
    real = _compile(row, row.grad[i])
    if not row.cgrad:
        return real
    cplx = _compile(row, row.cgrad[i])

    def derivative(g, x, y, z, o, k0, k1):
        is_complex = any(t is not None and t.dtype.is_complex for t in (x, y, z))
        return (cplx if is_complex else real)(g, x, y, z, o, k0, k1)
    return derivative


_ops.set_formula_builder(build)
