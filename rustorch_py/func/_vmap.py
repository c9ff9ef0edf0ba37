"""vmap: a function of one example, mapped over a batch. See Note [Batched tensors] in `_batched`."""
from functools import wraps

from .. import tensor as _t
from ..tensor import Tensor
from ..utils._pytree import broadcast_to_and_flatten, tree_flatten, tree_unflatten
from . import _rules, _rules_autograd, _rules_composed, _rules_neural, _rules_random  # noqa: F401  (they register the rules)
from ._batched import BatchedTensor, batched, is_at, open_level


def _name(func):
    return getattr(func, "__name__", None) or repr(func)


def _flat_inputs(func, in_dims, args):
    """Return (leaves, their dimensions, structure, batch size), checked."""
    where = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(f"{where}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, got: "
                         f"{type(in_dims)}.")
    if not args:
        raise ValueError(f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a "
                         f"function with no inputs. The latter is unsupported.")
    leaves, spec = tree_flatten(args)
    dims = broadcast_to_and_flatten(in_dims, spec)
    if dims is None:
        raise ValueError(f"{where}: in_dims is not compatible with the structure of `inputs`. in_dims has structure "
                         f"{tree_flatten(in_dims)[1]} but inputs has structure {spec}.")
    for i, (x, dim) in enumerate(zip(leaves, dims)):
        if not isinstance(dim, int) and dim is not None:
            raise ValueError(f"{where}: Got in_dim={dim} for an input but in_dim must be either an integer dimension or None.")
        if dim is None:
            continue
        if not isinstance(x, Tensor):
            raise ValueError(f"{where}: Got in_dim={dim} for an input but the input is of type {type(x)}. We cannot vmap over non-Tensor "
                             f"arguments, please use None as the respective in_dim")
        if not -x.dim() <= dim < x.dim():
            raise ValueError(f"{where}: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {x.dim()} so expected "
                             f"in_dim to satisfy -{x.dim()} <= in_dim < {x.dim()}.")
        dims[i] = dim % x.dim()
    sizes = [x.shape[d] for x, d in zip(leaves, dims) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(s != sizes[0] for s in sizes):
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped dimension")
    return leaves, dims, spec, sizes[0]


def _flat_out_dims(func, out_dims, out, spec):
    where = f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>)"
    if isinstance(out, Tensor):
        if isinstance(out_dims, int) or out_dims is None:
            return [out_dims]
        if isinstance(out_dims, tuple) and len(out_dims) == 1:
            return list(out_dims)
        dims = None
    else:
        dims = broadcast_to_and_flatten(out_dims, spec)
    if dims is None:
        raise ValueError(f"{where}: out_dims is not compatible with the structure of `outputs`. out_dims has structure "
                         f"{tree_flatten(out_dims)[1]} but outputs has structure {spec}.")
    return dims


def _closed(func, x, dim, level):
    """An output of the function as the caller gets it: the batch at dimension `dim`."""
    name = _name(func)
    if dim is None:
        if is_at(x, level):
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        return x
    if not isinstance(x, Tensor):
        raise ValueError(f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(x)}. Did you mean to set out_dims= to None for "
                         f"output?")
    nd = x.dim() + 1
    if not -nd <= dim < nd:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-nd}, {nd - 1}], but got {dim})")
    if not is_at(x, level):
        return x.unsqueeze(0).expand((level.size,) + tuple(x.shape)).movedim(0, dim)
    return x._value.movedim(0, dim) if dim else x._value


def _run(func, leaves, dims, spec, size, out_dims, randomness, kwargs):
    """One pass over a batch: (flat outputs, their dimensions, structure)."""
    with open_level(size, randomness) as level:
        mapped = [x if d is None else batched(x.movedim(d, 0) if d else x.view_as(x), level) for x, d in zip(leaves, dims)]
        out = func(*tree_unflatten(mapped, spec), **kwargs)
        flat, out_spec = tree_flatten(out)
        out_flat_dims = _flat_out_dims(func, out_dims, out, out_spec)
        return [_closed(func, x, d, level) for x, d in zip(flat, out_flat_dims)], out_flat_dims, out_spec


def _check_out_dims(func, out_dims):
    for d in tree_flatten(out_dims)[0]:
        if not isinstance(d, int) and d is not None:
            raise ValueError(f"vmap({_name(func)}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of ints "
                             f"representing where in the outputs the vmapped dimension should appear.")


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """Return a function that maps ``func`` over a dimension of its inputs: operators run once, for the whole batch.

    Operators that have no rule for this are run example by example, with a warning.

    Args:
        func: function of tensors, written for one example.
        in_dims: the dimension of each input to map over; None: the input is the same for all. An int for all inputs, or a
            tuple of the inputs' structure.
        out_dims: where the batch goes in each output; None: the output is not batched.
        randomness: "error" refuses random functions; "different" draws other numbers for each example, "same" equal ones.
        chunk_size: most examples at a time; None: all.
    Raises:
        ValueError: in_dims or out_dims that do not fit, batch sizes that differ, outputs that are no tensors.
        RuntimeError: a random function under "error"; ``item()``, ``if`` or ``nonzero()`` on a mapped tensor.

    Example:
        >>> vmap(rustorch_py.dot)(rustorch_py.ones(2, 3), rustorch_py.ones(2, 3))
        tensor([3., 3.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @wraps(func)
    def wrapped(*args, **kwargs):
        _check_out_dims(func, out_dims)
        leaves, dims, spec, size = _flat_inputs(func, in_dims, args)
        if chunk_size is None or chunk_size >= size:
            flat, _, out_spec = _run(func, leaves, dims, spec, size, out_dims, randomness, kwargs)
            return tree_unflatten(flat, out_spec)
        state = _t.get_rng_state() if randomness == "same" else None
        parts = []
        for start in range(0, size, chunk_size):
            n = min(chunk_size, size - start)
            piece = [x if d is None else x.narrow(d, start, n) for x, d in zip(leaves, dims)]
            if state is not None:
                _t.set_rng_state(state)
            flat, out_flat_dims, out_spec = _run(func, piece, dims, spec, n, out_dims, randomness, kwargs)
            parts.append(flat)
        return tree_unflatten([p[0] if d is None else _t.cat(list(p), d) for p, d in zip(zip(*parts), out_flat_dims)], out_spec)
    return wrapped


__all__ = ["BatchedTensor", "vmap"]
