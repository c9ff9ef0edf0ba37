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


def _unit(like, skip, k):
    """Zeros like a plain tensor, with a one at flat place k of the dimensions after the first `skip`."""
    e = _t.zeros(tuple(like.shape), dtype=like.dtype, device=like.device)
    e.flatten(skip).select(skip, k).fill_(1) if like.dim() > skip else e.fill_(1)
    return e


def _count(shape):
    n = 1
    for s in shape:
        n *= s
    return n


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False):
    """Return a function that computes the Jacobian of ``func`` by reverse mode: one backward pass an output element.

    Args:
        func: function of tensors that returns tensors, nested as you like; run once.
        argnums: number of the argument to differentiate, or a tuple of numbers.
        has_aux: func returns (output, aux); then (jacobian, aux) is returned.
        chunk_size: most rows to compute at a time; rows are computed singly here, whatever its value.
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
            n = _count(leaf.shape)
            rows = [run.pull([out], [_unit(out, skip, k)], tracked, True) for k in range(n)]
            block = []
            for i, x in enumerate(run.inputs):
                own = tuple(x.shape[skip:])
                if n:
                    j = _t.stack([r[i] for r in rows], skip).reshape(tuple(x.shape[:skip]) + tuple(leaf.shape) + own)
                else:
                    j = x.new_zeros(tuple(x.shape[:skip]) + tuple(leaf.shape) + own)
                block.append(from_plain(j, run.levels))
            blocks.append(tree_unflatten(block, run.in_spec))
        jacobian = tree_unflatten(blocks, spec)
        return (jacobian, run.shown(run.aux)) if has_aux else jacobian
    return wrapper


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """Return a function that computes the Jacobian of ``func`` by forward mode: one forward derivative an input element.

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
            columns = []
            for k in range(_count(own)):
                tangents = [_unit(y, skip, k) if j == i else _t.zeros_like(y) for j, y in enumerate(run.inputs)]
                columns.append(forward.push(tangents))
            for o, out in enumerate(forward.outs):
                shape = tuple(out.shape) + own
                j = _t.stack([c[o] for c in columns], -1).reshape(shape) if columns else out.new_zeros(shape)
                table[o].append(from_plain(j, run.levels))
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
