"""Forward-mode derivatives by dual tensors (``torch.autograd.forward_ad``).

A dual tensor is a tensor recorded like any other; ``unpack_dual`` computes the tangent of what was made from it by two
reverse passes (J. Townsend, "A new trick for calculating Jacobian vector products", 2017). So, other than in PyTorch, a
dual tensor and what is made from it say ``requires_grad``, and recording is on inside `dual_level`.
"""
from typing import NamedTuple, Optional

from .. import tensor as _t
from ..tensor import Tensor
from ._engine import grad as _grad, reaches_other_leaves

_levels = []


class UnpackedDualTensor(NamedTuple):
    """The value of a dual tensor and its tangent, None where it has none."""

    primal: Tensor
    tangent: Optional[Tensor]


class _Level:
    def __init__(self):
        self.duals = []                  # (tensor recorded, tangent)
        self.mode = _t.is_grad_enabled()


def _current(level, what):
    if level is None:
        level = len(_levels) - 1
    if level < 0 or level >= len(_levels):
        raise RuntimeError(f"Trying to {what} a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first.")
    return _levels[level]


def enter_dual_level():
    """Begin a level; return its number. As in PyTorch, one level at a time."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment; use func.jvp inside func.jvp")
    _levels.append(_Level())
    return 0


def exit_dual_level(*, level=None):
    """End the level; its tensors' tangents are gone."""
    if level is None:
        level = len(_levels) - 1
    if not _levels or level != len(_levels) - 1:
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was created.")
    _levels.pop()


class dual_level:
    """Context manager: a level of dual tensors.

    Example:
        >>> with dual_level():
        ...     x = make_dual(rustorch_py.tensor(3.), rustorch_py.tensor(1.))
        ...     unpack_dual(x * x).tangent
        tensor(6.)
    """

    def __enter__(self):
        self.number = enter_dual_level()
        self.recording = _t.enable_grad()
        self.recording.__enter__()
        return self.number

    def __exit__(self, *exc):
        self.recording.__exit__(*exc)
        exit_dual_level(level=self.number)


def make_dual(tensor, tangent, *, level=None):
    """Return a tensor with a direction: what is made from it has tangents.

    Args:
        tensor: floating-point or complex.
        tangent: the direction; tensor's shape and dtype.
    """
    here = _current(level, "create")
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise ValueError(f"Expected primal to be floating point or complex, but got: {tensor.dtype}")
    if not (tangent.is_floating_point() or tangent.is_complex()):
        raise ValueError(f"Expected tangent to be floating point or complex, but got: {tangent.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(f"make_dual: expected a tangent of the primal's size {list(tensor.shape)}, got {list(tangent.shape)}")
    if tensor.dtype != tangent.dtype:
        raise RuntimeError(f"make_dual: expected a tangent of the primal's dtype {tensor.dtype}, got {tangent.dtype}")
    with _t.enable_grad():
        dual = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    here.duals.append((dual, tangent))
    return dual


def unpack_dual(tensor, *, level=None):
    """Return ``(primal, tangent)`` of a tensor; the tangent is None where nothing dual went into it."""
    if level is None and not _levels:
        return UnpackedDualTensor(tensor, None)
    here = _current(level, "unpack")
    inputs = [d for d, _ in here.duals]
    if not tensor.requires_grad or not inputs:
        return UnpackedDualTensor(tensor, None)
    recorded = here.mode and (any(d.grad_fn is not None or v.requires_grad for d, v in here.duals) or reaches_other_leaves([tensor], inputs))
    primal = tensor.view_as(tensor) if recorded else tensor.detach()
    for dual, tangent in here.duals:
        if dual is tensor:
            return UnpackedDualTensor(primal, tangent)
    with _t.enable_grad():
        cotangent = _t.zeros_like(tensor).requires_grad_()
        back = _grad([tensor], inputs, [cotangent], create_graph=True, allow_unused=True)
        pairs = [(b, v) for b, (_, v) in zip(back, here.duals) if b is not None and b.requires_grad]
        if not pairs:
            return UnpackedDualTensor(primal, None if all(b is None for b in back) else _t.zeros_like(tensor))
        tangent, = _grad([b for b, _ in pairs], [cotangent], [v for _, v in pairs], retain_graph=True, create_graph=recorded, materialize_grads=True)
    return UnpackedDualTensor(primal, tangent)


__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]
