"""Applying a plan of parallel styles to a module."""
from __future__ import annotations

import warnings
from fnmatch import fnmatch

from ....errors import TensorTypeError, TensorValueError
from .._dtensor import this_mesh
from .style import ParallelStyle

__all__ = ["parallelize_module"]


def parallelize_module(module, device_mesh=None, parallelize_plan=None, *, src_data_rank=0):
    """Spread a module's parameters over a mesh of one dimension; returns the module.

    Args:
        module: changed in place.
        device_mesh: of one dimension, a slice of a larger one (``mesh["tp"]``); None: all ranks.
        parallelize_plan: a style, or a dictionary from names of submodules, in which ``*`` stands for any part, to styles.
        src_data_rank: whose parameters count (its place along the mesh); None: each rank's own, without messages.

    Example:
        >>> parallelize_module(mlp, mesh["tp"], {"up": ColwiseParallel(), "down": RowwiseParallel()})         # doctest: +SKIP

    Source: Shoeybi et al., "Megatron-LM: Training Multi-Billion Parameter Language Models Using Model Parallelism", 2019.
    """
    op = "parallelize_module"
    mesh = this_mesh(op, device_mesh)
    if mesh.ndim != 1:
        raise TensorValueError(f"{op}: device_mesh: expected one dimension, got {mesh}; take a slice: mesh[\"tp\"]", op=op)
    if parallelize_plan is None:
        warnings.warn("No parallelize_plan is provided and auto-parallel is not supported at the moment, so this parallelize_module call will do nothing.",
                      stacklevel=2)
        return module
    if isinstance(parallelize_plan, ParallelStyle):
        parallelize_plan.src_data_rank = src_data_rank
        return parallelize_plan._apply(module, mesh)
    if not isinstance(parallelize_plan, dict):
        raise TensorTypeError(f"{op}: Expect Union[ParallelStyle, Dict[str, ParallelStyle]] for parallelize_plan, {type(parallelize_plan)} found!", op=op)
    for path, style in parallelize_plan.items():
        if not isinstance(style, ParallelStyle):
            raise TensorTypeError(f"{op}: {path}: expected a ParallelStyle, got {type(style).__name__}", op=op)
        if path == "":
            parallelize_module(module, mesh, style, src_data_rank=src_data_rank)
            continue
        found = _matches(module, path.split("."))
        if not found:
            warnings.warn(f"Parallelize plan key '{path}' could not be resolved: no submodule matching token '{path.split('.')[0]}' in module {type(module).__name__}, "
                          "skipping this plan entry.", stacklevel=2)
        for submodule in found:
            parallelize_module(submodule, mesh, style, src_data_rank=src_data_rank)
    return module


def _matches(module, parts):
    """Return the submodules whose names match patterns, level by level."""
    if not parts:
        return [module]
    return [m for name, child in module.named_children() if fnmatch(name, parts[0]) for m in _matches(child, parts[1:])]
