"""Functions of plain tensors applied to the local parts of DTensors."""
from __future__ import annotations

import functools

from ....errors import DistError, TensorValueError
from ....tensor import Tensor
from ....utils._pytree import tree_flatten, tree_unflatten
from .._dtensor import DTensor

__all__ = ["local_map"]


def local_map(func=None, out_placements=None, in_placements=None, in_grad_placements=None, device_mesh=None, *, redistribute_inputs=False):
    """Return a function of DTensors that calls ``func`` with their local parts.

    Args:
        func: function of plain tensors; None: return a decorator.
        out_placements: how its results lie: one list of placements, or a tuple of one for each result; None for what is no tensor.
        in_placements: how each argument must lie; None: as it comes.
        in_grad_placements: of each argument, what the gradients of the local parts are (`DTensor.to_local`).
        device_mesh: of the results; None: that of the first DTensor.
        redistribute_inputs: move arguments that lie otherwise; else they are an error.

    Called without a DTensor the function is as it was.

    Example:
        >>> local_map(lambda x, w: x @ w, [Shard(0)], ([Shard(0)], [Replicate()]))(x, w)             # doctest: +SKIP
    """
    op = "local_map"
    if func is None:
        return functools.partial(local_map, out_placements=out_placements, in_placements=in_placements, in_grad_placements=in_grad_placements,
                                 device_mesh=device_mesh, redistribute_inputs=redistribute_inputs)

    def of_each(given, name, count):
        if given is None:
            return [None] * count
        if len(given) != count:
            raise TensorValueError(f"{op}: {name}: expected one entry for each of {count} values, got {len(given)}", op=op)
        return list(given)

    @functools.wraps(func)
    def mapped(*args, **kwargs):
        leaves, spec = tree_flatten(args)
        mesh = device_mesh or next((x._mesh for x in leaves if isinstance(x, DTensor)), None)
        if not any(isinstance(x, DTensor) for x in leaves):
            return func(*args, **kwargs)
        wanted, grads = of_each(in_placements, "in_placements", len(leaves)), of_each(in_grad_placements, "in_grad_placements", len(leaves))
        local = []
        for i, (x, want, grad) in enumerate(zip(leaves, wanted, grads)):
            if isinstance(x, DTensor):
                if want is not None and tuple(want) != x._placements:
                    if not redistribute_inputs:
                        raise TensorValueError(f"{op}: argument {i} has placements {x._placements} but the input placements needed are {tuple(want)}; if redistribute "
                                               "is needed, set redistribute_inputs to True", op=op)
                    x = x.redistribute(placements=want)
                x = x.to_local(grad_placements=grad)
            elif isinstance(x, Tensor) and want is None and in_placements is None and x.dim():
                raise DistError(f"{op}: argument {i}: got mixed torch.Tensor and DTensor; give in_placements", op=op)
            local.append(x)
        got = func(*tree_unflatten(local, spec), **kwargs)
        results, out_spec = tree_flatten(got)
        several = isinstance(out_placements, tuple)
        places = of_each(out_placements if several else (out_placements,), "out_placements", len(results))
        for i, (x, place) in enumerate(zip(results, places)):
            if isinstance(x, Tensor) and place is not None:
                results[i] = DTensor.from_local(x, mesh, place)
        return tree_unflatten(results, out_spec)
    return mapped
