"""vmap of ``autograd.grad`` and of custom ``autograd.Function``s. See `_dispatch`."""
from typing import NamedTuple

from .. import tensor as _t
from ..autograd import Function
from ..autograd._function import by_place
from ..tensor import Tensor
from ..utils._pytree import broadcast_to_and_flatten, tree_flatten, tree_unflatten
from ._batched import batched, is_at, value_at
from ._dispatch import looped, rule, shells


class VmapInfo(NamedTuple):
    """What a custom function's ``vmap`` is told."""

    batch_size: int
    randomness: str


@rule("autograd_grad")
def autograd_grad(level, func, outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, *args, **kwargs):
    """Gradients example by example where an input is shared, else of all examples at once."""
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    cots = [None] * len(outs) if grad_outputs is None else [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    cots = [_t.ones_like(o) if c is None else c for o, c in zip(outs, cots)]
    if all(is_at(x, level) for x in ins):
        got = func([value_at(o, level) for o in outs], [x._value for x in ins], [value_at(c, level) for c in cots], retain_graph, create_graph,
                   *args, **kwargs)
        return tuple(None if g is None else batched(g, level) for g in got)
    keep = create_graph if retain_graph is None else retain_graph
    if not any(True for _ in shells((*outs, *ins, *(value_at(c, level) for c in cots)))) and len(args) < 3 and not kwargs.get("is_grads_batched"):
        got = func(outs, ins, [value_at(c, level) for c in cots], keep, create_graph, *args, is_grads_batched=True, **kwargs)      # only the cotangents differ
        return tuple(None if g is None else batched(g, level) for g in got)
    rows = []
    for i in range(level.size):
        one = []
        for o, c in zip(outs, cots):
            c = value_at(c, level)[i]
            if is_at(o, level):                                   # only this example's output has a cotangent
                full = _t.zeros_like(o._value)
                full[i] = c
                c = full
            one.append(c)
        got = func([o._value if is_at(o, level) else o for o in outs], [x._value if is_at(x, level) else x for x in ins], one,
                   keep or i + 1 < level.size, create_graph, *args, **kwargs)
        rows.append([g if g is None or not is_at(x, level) else g[i] for g, x in zip(got, ins)])
    return tuple(None if column[0] is None else batched(_t.stack(list(column)), level) for column in zip(*rows))


def apply_custom(cls, args, kwargs):
    """``cls.apply(*args, **kwargs)`` with batched tensors among the arguments: by its ``vmap``, or example by example if it asks for that."""
    level = max((x._level for x in shells((*args, *kwargs.values()))), key=lambda L: L.depth)
    if cls.setup_context is not Function.setup_context:
        args, kwargs = by_place(cls.forward, args, kwargs)
    if hasattr(cls, "vmap"):
        if getattr(cls, "generate_vmap_rule", False):
            raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overridden vmap staticmethod. "
                               f"Please set generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid ambiguity.")
        named = [name for name, a in kwargs.items() if shells((a,))]
        if named:
            raise RuntimeError(f"vmap: {cls.__name__}.vmap is told the batch dimensions of arguments by place only; {named[0]} is batched and given by name")
        dims = tuple(0 if is_at(a, level) else None for a in args)
        out, out_dims = cls.vmap(VmapInfo(level.size, level.randomness), dims, *[a._value if d == 0 else a for a, d in zip(args, dims)],
                                **kwargs)
        leaves, spec = tree_flatten(out)
        flat_dims = broadcast_to_and_flatten(out_dims, spec)
        if flat_dims is None:
            raise RuntimeError(f"vmap: {cls.__name__}.vmap returned out_dims {out_dims}, which do not have the structure of its outputs")
        return tree_unflatten([x if d is None else batched(x.movedim(d, 0), level) for x, d in zip(leaves, flat_dims)], spec)
    if not getattr(cls, "generate_vmap_rule", False):
        raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please override and implement the vmap "
                           f"staticmethod or set generate_vmap_rule=True.")
    return looped(level, cls.__name__, cls.apply, args, kwargs, warn=False)


_apply = Function.__dict__["apply"].__func__


def apply(cls, *args, **kwargs):
    """Run forward and record backward; inside vmap as the class says, since its forward would run unrecorded on the values."""
    return apply_custom(cls, args, kwargs) if shells((*args, *kwargs.values()) if kwargs else args) else _apply(cls, *args, **kwargs)


Function.apply = classmethod(apply)      # from the first use of func on; before that there is nothing batched to see
