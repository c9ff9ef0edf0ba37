"""Custom operators: PyTorch's ``torch.library``, libraries of operators in C, and installed plugins.

An operator has a name ("namespace::name"), a schema, kernels by device and, if wanted, a gradient. Three ways to one:

* :func:`custom_op` over a Python function with type hints;
* :class:`Library`, :func:`define` and :func:`impl` from a schema;
* :func:`load` for a shared library written in C against ``rustorch/plugin.h`` (``rustorch_py.get_include()``).

It is called as ``rustorch_py.ops.<namespace>.<name>``. A package that declares an entry point of the group
``rustorch_py.plugins``, named as its namespace, is found and loaded when that namespace is first used.
"""
from ._check import get_ctx, opcheck
from ._custom import CustomOpDef, custom_op
from ._define import (Library, define, fallthrough_kernel, impl, impl_abstract, register_autograd, register_fake, register_kernel)
from ._load import load
from ._plugins import Plugin, load_plugin, plugins
from ._registry import OpOverload, OpOverloadPacket, Tag
from ._schema import infer_schema

__all__ = ["CustomOpDef", "Library", "OpOverload", "OpOverloadPacket", "Plugin", "Tag", "custom_op", "define", "fallthrough_kernel", "get_ctx", "impl",
           "impl_abstract", "infer_schema", "load", "load_plugin", "opcheck", "plugins", "register_autocast", "register_autograd", "register_fake", "register_kernel", "register_vmap"]


def __getattr__(name):
    # They stand on vmap and autocast, which few libraries of operators need.
    if name in ("register_autocast", "register_vmap"):
        from . import _modes
        return getattr(_modes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
