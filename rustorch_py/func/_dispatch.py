"""What vmap does with each call: a rule by the function's name, or a loop over the examples.

A rule is ``rule(level, function, *args, **kwargs)`` with the call's own arguments. It makes calls on the values of batched
tensors, whose dimension 0 is the batch, and wraps what comes out. See Note [Batched tensors] in `_batched`.
"""
import operator
import warnings

from .. import tensor as _t
from ..errors import BackendUnavailableError
from ..tensor import Tensor
from ..overrides import RuleNames
from ..utils._pytree import rebuilt
from ._batched import BatchedTensor, batched, is_at

RULES = {}             # name -> rule
# Operators by name: Tensor's own would not see that a value is batched at an outer level
_OPERATORS = {f"__{n}__": getattr(operator, f"__{n}__") for n in "add sub mul truediv floordiv mod pow and or xor lshift rshift eq ne lt le gt ge neg pos abs "
              "invert iadd isub imul itruediv ifloordiv imod ipow iand ior ixor ilshift irshift".split()}
_OPERATORS.update({f"__r{n}__": (lambda op: lambda a, b: op(b, a))(getattr(operator, f"__{n}__"))
                   for n in "add sub mul truediv floordiv mod pow and or xor lshift rshift".split()}, __divmod__=divmod)
_looped = set()        # composed functions that were found to need the loop


def rule(names):
    """Register a rule for functions by name."""
    def keep(fn):
        for name in names.split():
            RULES[name] = fn
        return fn
    return keep


def wrap(level, got):
    """Wrap the tensors of a result."""
    if isinstance(got, Tensor):
        return batched(got, level)
    if isinstance(got, tuple) and hasattr(got, "_fields"):
        return rebuilt(type(got), [wrap(level, g) for g in got])
    if isinstance(got, (tuple, list)):
        return type(got)(wrap(level, g) for g in got)
    return got


def dim_at(dim, nd):
    """A dimension of one example, as a dimension of the value. Out of range: DimError, of one example's sizes."""
    room = max(nd, 1)
    if not -room <= dim < room:
        from ..errors import DimError
        raise DimError(f"Dimension out of range (expected to be in range of [{-room}, {room - 1}], but got {dim})")
    return dim % room + 1


def lift(level, a, rank):
    """The value of a, with ones put in so that an example has `rank` dimensions; what is not batched is as it is."""
    if not is_at(a, level):
        return a
    v, missing = a._value, rank - a.dim()
    return v if missing <= 0 else v.reshape((level.size,) + (1,) * missing + tuple(a.shape))


# ---- which function, which rule ------------------------------------------------------------------------
name_of = RuleNames(RULES)        # the name by which rules know a function


def shells(args):
    """Batched tensors among arguments, lists and tuples searched."""
    found = []
    for a in args:
        if isinstance(a, BatchedTensor):
            found.append(a)
        elif isinstance(a, (list, tuple)):
            found += shells(a)
    return found


def call(func, args, kwargs):
    """Make a call that has batched tensors among its arguments."""
    level = None
    for x in shells((*args, *kwargs.values()) if kwargs else args):
        if level is None or x._level.depth > level.depth:
            level = x._level
    if not level.alive:
        raise RuntimeError("vmap: a tensor was used outside of the vmap that it belongs to")
    name = name_of(func)
    if kwargs.get("out") is not None:
        raise RuntimeError(f"vmap: {name}: 'out' cannot be given inside vmap; use the result instead")
    fn = RULES.get(name)
    if fn is not None:
        return fn(level, _OPERATORS.get(name, func), *args, **kwargs)
    return without_rule(level, name, func, args, kwargs)


BatchedTensor._call = staticmethod(call)


def without_rule(level, name, func, args, kwargs):
    """A call of a function that has no rule: as what it is composed of, else example by example."""
    inner = getattr(func, "__wrapped__", func)
    if type(inner).__name__ == "function" and not name.endswith("_") and name not in _looped:
        try:
            return inner(*args, **kwargs)
        except BackendUnavailableError as error:             # a kernel was given a batched tensor: Note [Batched tensors]
            if "meta" not in str(error):
                raise
            _looped.add(name)
    return looped(level, name, func, args, kwargs)


def _example(x, level, i):
    if is_at(x, level):
        return x._value[i]
    if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
        return type(x)(_example(y, level, i) for y in x)
    return x


def looped(level, name, func, args, kwargs, warn=True):
    """Make a call example by example, and stack what comes out."""
    if level.size == 0:
        raise RuntimeError(f"vmap: {name} has no batching rule, and a loop over a batch of size 0 gives nothing")
    if warn:
        warnings.warn(f"There is a performance drop because we have not yet implemented the batching rule for {name}: vmap loops over the "
                      f"{level.size} examples.", UserWarning, stacklevel=4)
    inplace = name.endswith("_") and not name.endswith("__")
    if inplace and not is_at(args[0], level):
        refuse_inplace(name)
    rows = [func(*[_example(a, level, i) for a in args], **{k: _example(a, level, i) for k, a in kwargs.items()}) for i in range(level.size)]
    return args[0] if inplace else _stacked(level, name, rows)


def _stacked(level, name, rows):
    first = rows[0]
    if isinstance(first, Tensor):
        if any(r.shape != first.shape for r in rows):
            raise RuntimeError(f"vmap: {name} gives results of different shapes for different examples; such operators cannot be mapped")
        return batched(_t.stack(rows), level)
    if isinstance(first, (tuple, list)):
        parts = [_stacked(level, name, list(p)) for p in zip(*rows)]
        return rebuilt(type(first), parts) if hasattr(first, "_fields") else type(first)(parts)
    if any(r != first for r in rows[1:]):
        raise RuntimeError(f"vmap: {name} gives a Python value that differs between examples; such operators cannot be mapped")
    return first


def refuse_inplace(name):
    """Raise: in-place on a tensor that has no room for all examples."""
    raise RuntimeError(f"vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that has "
                       f"more elements than `self`. This happened due to `other` being vmapped over but `self` not being vmapped over in a "
                       f"vmap. Please try to use out-of-place operators instead of inplace arithmetic ({name}). If said operator is being "
                       f"called inside the PyTorch framework, please file a bug report instead.")
