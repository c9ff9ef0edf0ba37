"""Collects what the op modules offer: torch-level functions and methods of Tensor.

Add an op module's name to MODULES; later entries win where names repeat.
"""
from importlib import import_module

MODULES = [
    "_rows",
    "_pointwise",
    "_reduce",
    "_view",
    "_create",
    "_convert",
    "_random",
    "_dropout",
    "_conv",
    "_pool",
    "_norm",
    "_softmax",
    "_embedding",
    "_argreduce",
    "_scan",
    "_sort",
    "_stats",
]


def collect():
    """Import the op modules; return (functions, methods)."""
    functions, methods = {}, {}
    for name in MODULES:
        module = import_module("." + name, __package__)
        functions.update(getattr(module, "FUNCTIONS", {}))
        methods.update(getattr(module, "METHODS", {}))
    return functions, methods
