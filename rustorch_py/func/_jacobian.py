"""Whole matrices of derivatives: jacrev, jacfwd, hessian."""
from functools import wraps

from .. import tensor as _t
from ..tensor import Tensor
from ..utils._pytree import tree_flatten, tree_leaves, tree_unflatten
from ._batched import from_plain
from ._transforms import Forward, Record, check_argnums


def _refuse_complex(api, tree, what):
    for i, x in enumerate(tree_leaves(tree)):
        if isinstance(x, Tensor) and x.is_complex():
            raise RuntimeError(f"{api}: Expected all {what} to be real but received complex tensor at flattened input idx: {i}")


def _flat_outputs(api, out):
    leaves, spec = tree_flatten(out)
    if not leaves:
        raise RuntimeError(f"{api}: Expected output of f to be a non-empty tuple of Tensors.")
    for o in leaves:
        if not isinstance(o, Tensor):
            kind = f"Tensor or Tensors, got {type(o)}" if spec.type is None else f"Tensor or Tensors, got {type(o)} as an output"
            raise RuntimeError(f"{api}: Expected output of f to be a {kind}")
    _refuse_complex(api.split("(")[0], leaves, "outputs")
    return leaves, spec


def _count(shape):
    n = 1
    for s in shape:
        n *= s
    return n


def _basis(like, skip, start, count):
    """Some unit vectors of a plain tensor's elements, along a new dimension 0: one at flat places start, start + 1 ... of the dimensions
    after the first `skip`, the same for each index of those."""
    own = tuple(like.shape[skip:])
    rows = _t.zeros((count, _count(own)), dtype=like.dtype, device=like.device)
    rows.diagonal(start).fill_(1)
    return rows.reshape((count,) + (1,) * skip + own).expand((count,) + tuple(like.shape))


def _pieces(total, chunk_size):
    """(start, count) of the passes over `total` unit vectors."""
    step = total if chunk_size is None else min(chunk_size, total)
    return [(at, min(step, total - at)) for at in range(0, total, step)] if total else []


def _rows_to(got, skip, shape):
    """Many gradients along dimension 0, put after the levels' dimensions and given their shape."""
    got = got.movedim(0, skip)
    return (got.contiguous() if skip else got).reshape(shape)


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False):
    """Return a function that computes the Jacobian of ``func`` by reverse mode: one backward pass for many
    output elements.

    Args:
        func: function of tensors that returns tensors, nested as you like; run once.
        argnums: number of the argument to differentiate, or a tuple of numbers.
        has_aux: func returns (output, aux); then (jacobian, aux) is returned.
        chunk_size: most output elements in one pass; None: all. Less needs less memory.
    Returns:
        a function; it gives, for each output, the structure of the inputs with tensors of shape (*output, *input).

    Example:
        >>> jacrev(rustorch_py.sin)(rustorch_py.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @wraps(func)
    def wrapper(*args):
        _refuse_complex("jacrev", args, "inputs")
        run = Record("vjp(f, *primals)", func, args, check_argnums(argnums, len(args)), None, has_aux)
        leaves, spec = _flat_outputs("jacrev(f, ...)(*args)", run.out)
        outs = run.plain_outputs(leaves)
        skip = len(run.levels)
        tracked = run.is_tracked(outs)
        blocks = []
        for leaf, out in zip(leaves, outs):
            passes = [run.pull([out], [_basis(out, skip, at, n)], tracked, True, many=True) for at, n in _pieces(_count(leaf.shape), chunk_size)]
            block = []
            for i, x in enumerate(run.inputs):
                shape = tuple(x.shape[:skip]) + tuple(leaf.shape) + tuple(x.shape[skip:])
                parts = [p[i] for p in passes]
                j = x.new_zeros(shape) if not parts else _rows_to(parts[0] if len(parts) == 1 else _t.cat(parts), skip, shape)
                block.append(from_plain(j, run.levels))
            blocks.append(tree_unflatten(block, run.in_spec))
        jacobian = tree_unflatten(blocks, spec)
        return (jacobian, run.shown(run.aux)) if has_aux else jacobian
    return wrapper


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """Return a function that computes the Jacobian of ``func`` by forward mode: the derivatives along all
    elements of an input in one pass.

    Args:
        func: function of tensors that returns tensors, nested as you like; run once.
        argnums: number of the argument to differentiate, or a tuple of numbers.
        has_aux: func returns (output, aux); then (jacobian, aux) is returned.
        randomness: "error", "different" or "same". The function is run once, so that all columns see the same numbers.
    Returns:
        a function; it gives, for each output, the structure of the inputs with tensors of shape (*output, *input).
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")

    @wraps(func)
    def wrapper(*args):
        _refuse_complex("jacfwd", args, "inputs")
        run = Record("jvp(f, primals, tangents)", func, args, check_argnums(argnums, len(args)), None, has_aux)
        leaves, spec = _flat_outputs("jacfwd(f, ...)(*args)", run.out)
        forward = Forward(run, leaves)
        skip = len(run.levels)
        table = [[] for _ in leaves]
        for i, x in enumerate(run.inputs):
            own = tuple(x.shape[skip:])
            n = _count(own)
            pushed = forward.push([_basis(y, skip, 0, n) if k == i else y.new_zeros(()).expand((n,) + tuple(y.shape))
                                   for k, y in enumerate(run.inputs)], many=True) if n else None
            for o, out in enumerate(forward.outs):
                shape = tuple(out.shape) + own
                table[o].append(from_plain(pushed[o].movedim(0, -1).reshape(shape) if n else out.new_zeros(shape), run.levels))
        jacobian = tree_unflatten([tree_unflatten(row, run.in_spec) for row in table], spec)
        return (jacobian, run.shown(run.aux)) if has_aux else jacobian
    return wrapper


def hessian(func, argnums=0):
    """Return a function that computes second derivatives: forward mode over reverse mode.

    Args:
        func: function of tensors, usually to a scalar.
        argnums: number of the argument to differentiate, or a tuple of numbers.

    Example:
        >>> hessian(lambda x: (x ** 3).sum())(rustorch_py.tensor([1., 2.]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
