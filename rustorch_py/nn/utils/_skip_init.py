"""Modules without the cost to the random stream of their initial weights."""

from __future__ import annotations

from ... import tensor as _t
from ...errors import TensorError
from ..modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls, *args, **kwargs):
    """Make a module whose weights are to be overwritten: the random stream stays where it was.

    Args:
        module_cls: the class; its constructor takes ``device``.
        *args, **kwargs: the constructor's arguments.
    """
    from inspect import signature

    if not issubclass(module_cls, Module):
        raise TensorError(f"Expected a Module; got {module_cls}")
    if "device" not in signature(module_cls).parameters:
        raise TensorError("Module must support a 'device' arg to skip initialization")
    state = _t.get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        _t.set_rng_state(state)
