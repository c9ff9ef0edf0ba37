"""Arguments in the order of earlier years, which PyTorch still takes: asked for after a call has failed with a TypeError.

``x.add_(alpha, other)``, ``x.addcmul_(value, t1, t2)`` and ``torch.addmm(beta, input, alpha, a, b)`` are in many an old
optimizer; ``x.add(2., 3)`` names other and alpha by place; ``x.squeeze(0, 1)`` and ``x.hsplit(1, 2)`` give a tuple's numbers one by one.
"""
import warnings

_SCALED = frozenset("add add_ sub sub_".split())
_VALUED = frozenset("addcmul addcmul_ addcdiv addcdiv_".split())
_PRODUCTS = frozenset("addmm addmm_ addmv addmv_ addr addr_ addbmm addbmm_ baddbmm baddbmm_".split())
_SPREAD = frozenset("squeeze squeeze_ hsplit vsplit dsplit".split())
NAMES = _SCALED | _VALUED | _PRODUCTS | _SPREAD | {"rsub"}

_told = set()                            # warnings that are given once


def _is_tensor(x):
    return hasattr(x, "dim")


def _is_number(x):
    """A number, or a tensor that stands for one."""
    return isinstance(x, (int, float, complex)) or _is_tensor(x) and x.dim() == 0 and not x.requires_grad


def _number(x):
    return x.item() if _is_tensor(x) else x


def _deprecated(name, old, new):
    if not _told:
        _told.add(name)
        warnings.warn(f"This overload of {name} is deprecated:\n\t{name}({old})\nConsider using one of the following signatures instead:\n"
                      f"\t{name}({new})", UserWarning, stacklevel=3)


def newer(name, args):
    """Return (arguments by place, keywords to add) in today's order; None where the arguments are no old form of the function."""
    n = len(args)
    if name in _SPREAD:
        return ((args[0], tuple(args[1:])), {}) if n > 2 and all(type(x) is int for x in args[1:]) else None
    if name in _SCALED or name == "rsub":
        if n != 3 or not _is_tensor(args[0]) or not _is_number(args[1]):
            return None
        if _is_number(args[2]):                        # (input, other, alpha)
            return (args[0], _number(args[1])), {"alpha": _number(args[2])}
        if name == "rsub" or not _is_tensor(args[2]):
            return None
        _deprecated(name, "Number alpha, Tensor other", "Tensor other, *, Number alpha = 1")
        return (args[0], args[2]), {"alpha": _number(args[1])}
    if name in _VALUED:
        if n != 4 or not _is_number(args[1]) or not all(map(_is_tensor, (args[0], args[2], args[3]))):
            return None
        _deprecated(name, "Number value, Tensor tensor1, Tensor tensor2", "Tensor tensor1, Tensor tensor2, *, Number value = 1")
        return (args[0], args[2], args[3]), {"value": _number(args[1])}
    # a function has beta first, a method after its tensor; alpha comes after both
    for kinds in ("nttt", "ntntt", "tntt", "tnntt"):
        if n == len(kinds) and all(_is_number(x) if kind == "n" else _is_tensor(x) for x, kind in zip(args, kinds)):
            break
    else:
        return None
    tensors = tuple(x for x, kind in zip(args, kinds) if kind == "t")
    numbers = [_number(x) for x, kind in zip(args, kinds) if kind == "n"]
    _deprecated(name, "Number beta, Tensor self, Number alpha, Tensor, Tensor", "Tensor self, Tensor, Tensor, *, Number beta = 1, Number alpha = 1")
    return tensors, dict(zip(("beta", "alpha"), numbers))
