"""Calls of a module with other parameters than its own."""

from __future__ import annotations

import warnings
from contextlib import contextmanager

from ...tensor import Tensor

__all__ = ["functional_call"]


def _locate(module, name, tie_weights, index):
    """Return (module, attribute) pairs that a dotted name stands for: with its ties, if wanted."""
    path, _, attr = name.rpartition(".")
    owner = module.get_submodule(path)
    if not tie_weights:
        return [(owner, attr)]
    tensor = owner._parameters.get(attr)
    if tensor is None:
        tensor = owner._buffers.get(attr)
    return index.get(id(tensor), [(owner, attr)]) if tensor is not None else [(owner, attr)]


@contextmanager
def _swapped(module, values, tie_weights, strict):
    """Put other tensors into a module's dictionaries for a while."""
    index = {}
    known = set()
    for prefix, owner in module.named_modules(remove_duplicate=False):
        for group in (owner._parameters, owner._buffers):
            for attr, tensor in group.items():
                known.add(prefix + "." + attr if prefix else attr)
                if tensor is not None:
                    index.setdefault(id(tensor), []).append((owner, attr))
    missing = known - set(values)
    unexpected = set(values) - known
    if strict and (missing or unexpected):
        parts = []
        if unexpected:
            parts.append(f"Unexpected key(s): {', '.join(sorted(unexpected))}.")
        if missing:
            parts.append(f"Missing key(s): {', '.join(sorted(missing))}.")
        raise RuntimeError("Error(s) in reparametrizing for " + f"{type(module).__name__}:\n\t" + "\n\t".join(parts))
    undo = []
    try:
        for name, value in values.items():
            if name in unexpected:                # not one of the module's own: an attribute for the length of the call
                path, _, attr = name.rpartition(".")
                group = module.get_submodule(path).__dict__
                undo.append((group, attr, group.get(attr, undo)))
                group[attr] = value
                continue
            for owner, attr in _locate(module, name, tie_weights, index):
                group = owner._parameters if attr in owner._parameters else owner._buffers
                undo.append((group, attr, group[attr]))
                group[attr] = value
        yield
    finally:
        for group, attr, old in reversed(undo):
            if old is undo:
                del group[attr]
            else:
                group[attr] = old


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """Call `torch.func.functional_call`: this is its former name."""
    warnings.warn("`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future version of PyTorch. "
                  "Please use `torch.func.functional_call` instead which is a drop-in replacement.", FutureWarning, stacklevel=2)
    return call_with(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)


def call_with(
    module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """Call a module with the given tensors in place of its own.

    Args:
        module: the module.
        parameters_and_buffers: mapping from dotted name to tensor, or a tuple of such mappings.
        args: forward's argument, or a tuple of them.
        kwargs: forward's keyword arguments.
        tie_weights: names that share one tensor in the module share the given one too.
        strict: raise unless exactly the module's names are given.
    """
    if isinstance(parameters_and_buffers, (tuple, list)):
        merged = {}
        for part in parameters_and_buffers:
            repeated = merged.keys() & part.keys()
            if repeated:
                raise ValueError(
                    f"{sorted(repeated)} appeared in multiple dictionaries; behavior of functional call is ambiguous"
                )
            merged.update(part)
        parameters_and_buffers = merged
    elif not hasattr(parameters_and_buffers, "items"):
        raise ValueError(
            "Expected parameters_and_buffers to be a dict, or a list/tuple of dicts, "
            f"but got {type(parameters_and_buffers)}"
        )
    for name, value in parameters_and_buffers.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{value} is not an instance of torch.Tensor (name {name!r})")
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _swapped(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))
