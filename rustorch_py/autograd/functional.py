"""Whole derivatives of functions: jacobian, hessian, vjp, jvp, vhp, hvp."""
from .. import tensor as _t
from ..errors import AutogradError, TensorTypeError, UnsupportedOpError
from ._engine import grad as _grad


def _as_tuple(values, name, what):
    """Return (tuple of tensors, whether it was a tuple). A list is refused: what is returned would not show that one was given."""
    if isinstance(values, _t.Tensor):
        return (values,), False
    must = f"The {name} given to {what} must be either a Tensor or a tuple of Tensors but the"
    if not isinstance(values, tuple):
        raise TensorTypeError(f"{must} given {name} has type {type(values)}.")
    for i, v in enumerate(values):
        if not isinstance(v, _t.Tensor):
            raise TensorTypeError(f"{must} value at index {i} has type {type(v)}.")
    return values, True


def _fresh(inputs, create_graph):
    """Inputs to differentiate at: connected to the caller's graph only under create_graph."""
    return tuple(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in inputs)


def _run(func, inputs, what):
    out = func(*inputs)
    return _as_tuple(out, "outputs of the user-provided function", what)


def _grad_or_none(outs, ins, vs, **options):
    """`grad` weighted by vs, of those outputs that have a graph; None for each input where none has."""
    live = [(o, v) for o, v in zip(outs, vs) if o.requires_grad]
    return _grad([o for o, _ in live], ins, [v for _, v in live], allow_unused=True, **options) if live else (None,) * len(ins)


def _vector(v, refs, what):
    """The vector of a product, of the sizes of what it goes with."""
    v, _ = _as_tuple(v, "v", what)
    if len(v) != len(refs):
        raise AutogradError(f"v is a tuple of invalid length: should be {len(refs)} but got {len(v)}.")
    for i, (a, r) in enumerate(zip(v, refs)):
        if a.shape != r.shape:
            which = f"Entry {i} in v" if len(refs) > 1 else "v"
            raise AutogradError(f"{which} has invalid size: should be {r.shape} but got {a.shape}.")
    return v


def _check_recorded(outs, strict):
    for i, out in enumerate(outs):
        if strict and not out.requires_grad:
            raise AutogradError(f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
                                "differentiable manner from the input when running in strict mode.")


def _zeros_if_none(grads, refs, strict, what):
    filled = []
    for i, (g, r) in enumerate(zip(grads, refs)):
        if g is None:
            if strict:
                raise AutogradError(f"The {what} of the user-provided function is independent of input {i}. This is not allowed in strict mode.")
            g = _t.zeros_like(r)
        filled.append(g)
    return tuple(filled)


def _check_gradients(grads, strict):
    for i, g in enumerate(grads):
        if strict and not g.requires_grad:
            raise AutogradError(f"While computing the hessian, found that the jacobian of the user-provided function with respect to input {i} is "
                                "independent of the input. This is not allowed in strict mode. You should ensure that your function is twice "
                                "differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for example).")


def _finish(values, many, create_graph):
    values = values if create_graph else tuple(v.detach() for v in values)
    return values if many else values[0]


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """Return (outputs, vᵀ J): the product of a vector with the Jacobian of ``func`` at ``inputs``."""
    ins, many_in = _as_tuple(inputs, "inputs", "vjp")
    with _t.enable_grad():
        ins = _fresh(ins, create_graph)
        outs, many_out = _run(func, ins, "vjp")
        if v is None:
            if len(outs) != 1 or outs[0].numel() != 1:
                raise AutogradError("The vector v can only be None if the user-provided function returns a single Tensor with a single element.")
            v = tuple(_t.ones_like(o) for o in outs)
        else:
            v = _vector(v, outs, "vjp")
        _check_recorded(outs, strict)
        got = _grad_or_none(outs, ins, v, create_graph=create_graph)
    return _finish(outs, many_out, create_graph), _finish(_zeros_if_none(got, ins, strict, "output"), many_in, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """Return (outputs, J v), by differentiating the vjp with respect to its vector (the double-backward trick)."""
    ins, many_in = _as_tuple(inputs, "inputs", "jvp")
    with _t.enable_grad():
        ins = _fresh(ins, create_graph)
        if v is None:
            if len(ins) != 1 or ins[0].numel() != 1:
                raise AutogradError("The vector v can only be None if the input to the user-provided function is a single Tensor with a single element.")
            v = tuple(_t.ones_like(i) for i in ins)
        else:
            v = _vector(v, ins, "jvp")
        outs, many_out = _run(func, ins, "jvp")
        _check_recorded(outs, strict)
        dummy = tuple(_t.zeros_like(o).requires_grad_() for o in outs)
        back = _grad_or_none(outs, ins, dummy, create_graph=True)
        back = _zeros_if_none(back, ins, strict, "output")
        got = _grad_or_none(back, dummy, v, create_graph=create_graph)
    return _finish(outs, many_out, create_graph), _finish(_zeros_if_none(got, outs, strict, "gradient"), many_out, create_graph)


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """Return the Jacobian of ``func`` at ``inputs``: shape (*output, *input) per pair; nested tuples for several.

    Args:
        func: function of tensors that returns a tensor or a tuple of tensors.
        inputs: tensor or tuple of tensors.
        create_graph: record the Jacobian's own graph.
        strict: raise where an output does not depend on an input, instead of zeros.
        vectorize: all rows (columns in forward mode) in one pass, instead of one pass each.
        strategy: "reverse-mode", or "forward-mode", which is made with ``vectorize`` only.
    Raises:
        RuntimeError: strict and independent outputs, or strict and vectorize.
        NotImplementedError: "forward-mode" without vectorize or with create_graph.

    Example:
        >>> jacobian(rustorch_py.exp, rustorch_py.zeros(2), vectorize=True)
        tensor([[1., 0.],
                [0., 1.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(f"jacobian: expected strategy 'reverse-mode' or 'forward-mode', got {strategy!r}")
    forward = strategy == "forward-mode"
    if forward and create_graph:
        raise UnsupportedOpError("jacobian: create_graph=True and strategy='forward-mode' are not supported together; set one of them otherwise", op="jacobian")
    if strict and (vectorize or forward):
        other = "strategy='forward-mode'" if forward else "vectorize=True"
        raise AutogradError(f"jacobian: strict=True and {other} are not supported together; set one of them otherwise")
    if forward and not vectorize:
        raise UnsupportedOpError("jacobian: strategy='forward-mode' is made for vectorize=True only", op="jacobian")
    ins, many_in = _as_tuple(inputs, "inputs", "jacobian")
    with _t.enable_grad():
        ins = _fresh(ins, create_graph)
        outs, many_out = _run(func, ins, "jacobian")
        _check_recorded(outs, strict)
        table = [_columns(out, ins) if forward else (_rows_at_once if vectorize else _rows)(out, ins, create_graph, strict) for out in outs]
    table = [_finish(row, many_in, create_graph) for row in table]
    return tuple(table) if many_out else table[0]


def _rows(out, ins, create_graph, strict):
    """One output's Jacobian for each input, by one pass a row."""
    rows = []
    flat = out.reshape(-1)
    for k in range(out.numel()):
        if not out.requires_grad:
            rows.append(tuple(_t.zeros_like(i) for i in ins))
            continue
        got = _grad(flat[k], ins, retain_graph=True, create_graph=create_graph, allow_unused=True)
        rows.append(_zeros_if_none(got, ins, strict, "output"))
    return tuple(_t.stack([r[i] for r in rows]).reshape(tuple(out.shape) + tuple(x.shape)) if rows
                 else x.new_zeros(tuple(out.shape) + tuple(x.shape)) for i, x in enumerate(ins))


def _unit_vectors(x):
    """The unit vectors of a tensor's elements, along a new dimension 0."""
    return _t.eye(x.numel(), dtype=x.dtype, device=x.device).reshape((x.numel(),) + tuple(x.shape))


def _rows_at_once(out, ins, create_graph, strict):
    """The same by one pass for all rows."""
    got = [None] * len(ins)
    if out.requires_grad and out.numel():
        got = _grad(out, ins, _unit_vectors(out), retain_graph=True, create_graph=create_graph, allow_unused=True, is_grads_batched=True)
    return tuple(x.new_zeros(shape) if g is None else g.reshape(shape)
                 for g, x, shape in ((g, x, tuple(out.shape) + tuple(x.shape)) for g, x in zip(got, ins)))


def _columns(out, ins):
    """The same by one pass for all columns: the pull-back is linear in its cotangent, and its own derivative pulled back along v is J v."""
    dummy = _t.zeros_like(out).requires_grad_()
    back = _grad(out, ins, dummy, create_graph=True, allow_unused=True) if out.requires_grad else [None] * len(ins)
    blocks = []
    for x, b in zip(ins, back):
        got = None
        if b is not None and b.requires_grad and x.numel():
            got, = _grad(b, dummy, _unit_vectors(x), retain_graph=True, allow_unused=True, is_grads_batched=True)
        shape = tuple(out.shape) + tuple(x.shape)
        blocks.append(out.new_zeros(shape) if got is None else got.movedim(0, -1).reshape(shape))
    return tuple(blocks)


def _scalar(func):
    def checked(*args):
        out = func(*args)
        if not isinstance(out, _t.Tensor):
            raise AutogradError("The function given to hessian, vhp or hvp should return a single Tensor")
        if out.numel() != 1:
            raise AutogradError("The Tensor returned by the function given to hessian, vhp or hvp should contain a single element")
        return out.reshape(())
    return checked


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """Return the matrix of second derivatives of a scalar function; nested tuples for several inputs.

    Args:
        vectorize, outer_jacobian_strategy: as ``vectorize`` and ``strategy`` of `jacobian`, for the derivative of the gradient.
    """
    if outer_jacobian_strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(f"hessian: expected outer_jacobian_strategy 'reverse-mode' or 'forward-mode', got {outer_jacobian_strategy!r}")
    ins, many = _as_tuple(inputs, "inputs", "hessian")
    func = _scalar(func)

    def gradient(*xs):
        with _t.enable_grad():
            xs = tuple(x if x.requires_grad else x.detach().requires_grad_() for x in xs)
            out = func(*xs)
            _check_recorded((out,), strict)
            got = _zeros_if_none(_grad_or_none((out,), xs, (_t.ones_like(out),), create_graph=True), xs, False, "output")
            _check_gradients(got, strict)
        return got if many else got[0]

    return jacobian(gradient, inputs, create_graph=create_graph, strict=strict, vectorize=vectorize, strategy=outer_jacobian_strategy)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """Return (output, vᵀ H) for a scalar function."""
    ins, many = _as_tuple(inputs, "inputs", "vhp")
    func = _scalar(func)
    with _t.enable_grad():
        ins = _fresh(ins, create_graph)
        if v is None:
            if len(ins) != 1 or ins[0].numel() != 1:
                raise AutogradError("The vector v can only be None if the input to the user-provided function is a single Tensor with a single element.")
            vs = (_t.ones_like(ins[0]),)
        else:
            vs = _vector(v, ins, "vhp")
        out = func(*ins)
        _check_recorded((out,), strict)
        first = _zeros_if_none(_grad_or_none((out,), ins, (_t.ones_like(out),), create_graph=True), ins, False, "output")
        _check_gradients(first, strict)
        got = _grad_or_none(first, ins, vs, create_graph=create_graph)
    return _finish((out,), False, create_graph), _finish(_zeros_if_none(got, ins, strict, "jacobian"), many, create_graph)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """Return (output, H v) for a scalar function; H is symmetric, so this is vhp."""
    return vhp(func, inputs, v, create_graph, strict)
