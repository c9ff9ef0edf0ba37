"""Tensors spread over the ranks of a mesh, and operators on them."""
from . import _rules, _rules_layers, placement_types  # noqa: F401  (the rules are registered by that)
from ._dtensor import DTensor, distribute_module, distribute_tensor, empty, full, ones, rand, randn, zeros
from .placement_types import Partial, Placement, Replicate, Shard


def __getattr__(name):
    if name in ("parallel", "experimental"):
        from importlib import import_module
        return import_module("." + name, __name__)
    if name in ("DeviceMesh", "init_device_mesh"):
        from .. import device_mesh
        return getattr(device_mesh, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["DTensor", "Partial", "Placement", "Replicate", "Shard", "distribute_module", "distribute_tensor", "empty", "full", "ones", "placement_types",
           "rand", "randn", "zeros"]
