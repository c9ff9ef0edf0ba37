"""Collects what the op modules offer: torch-level functions and methods of Tensor.

Add an op module's name to MODULES, one a line; later entries win where names repeat.
"""
import os
from importlib import import_module

from ._autocast import rule_of
from ._devices import HOST_ONLY
from ._function import public
from ._node_names import NAMES

MODULES = [
    "_rows",
    "_pointwise",
    "_reduce",
    "_view",
    "_strided",
    "_view_pieces",
    "_view_complex",
    "_create",
    "_convert",
    "_leaf",
    "_random",
    "_random_make",
    "_random_draws",
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
    "_matmul",
    "_addmm",
    "_recurrent",
    "_attention",
    "_einsum",
    "_resample",
    "_pad",
    "_optim",
    "_dlpack",
    "_data",
    "_interop",
    "_advanced",
    "_index",
    "_scatter",
    "_mask",
    "_join",
    "_rearrange",
    "_linalg",
    "_linalg_more",
    "_lobpcg",
    "_printing",
    "_special",
    "_sobol",
    "_gamma",
    "_composed_shape",
    "_composed_math",
    "_composed_copies",
    "_composed_signal",
    "_legacy",
    "_switches",
    "_autocast",
    "_files",
    "_sparse_doors",
]

# Kernels of nn.functional: offered by this package, but no torch-level names
NN_ONLY = {"mse_pointwise", "l1_pointwise", "smooth_l1_pointwise", "huber_pointwise", "bce_pointwise", "bce_with_logits_pointwise", "gelu",
           "softplus", "elu", "elu_", "leaky_relu", "leaky_relu_", "hardtanh", "hardtanh_"}


def collect():
    """Import the op modules; return (functions, methods, slots): slots go to `_tensor.set_entry`."""
    functions, methods, slots = {}, {}, {}
    # OpenBLAS makes a pool of threads when it is loaded; the package has one already (kernels/gemm.c, Note [One thread pool])
    asked = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        modules = [import_module("." + name, __package__) for name in MODULES]
    finally:
        if asked is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = asked
    for module in modules:
        functions.update(getattr(module, "FUNCTIONS", {}))
        methods.update(getattr(module, "METHODS", {}))
        NN_ONLY.update(getattr(module, "NN_ONLY", ()))
        slots.update(getattr(module, "SLOTS", {}))
    rules = {id(fn): rule_of(name) for names in (methods, functions) for name, fn in names.items() if rule_of(name)}
    faces = {}                               # one callable a function, whatever its names

    def face(fn):
        if id(fn) not in faces:
            faces[id(fn)] = public(fn, rules.get(id(fn), 0), getattr(fn, "__name__", None) in HOST_ONLY)
        return faces[id(fn)]

    named = [*functions.items(), *methods.items()]
    functions = {name: face(fn) for name, fn in functions.items()}
    methods = {name: face(fn) for name, fn in methods.items()}
    known = {*functions, *methods, *NAMES}
    for name, fn in named:                               # what goes by their own names is decided
        own = getattr(fn, "__name__", name)
        if callable(fn) and not isinstance(fn, type) and own not in known or "<" in getattr(fn, "__qualname__", name):
            fn.__name__ = fn.__qualname__ = name         # clone_ for a clone that takes a method's arguments, a lambda
    return functions, methods, slots
