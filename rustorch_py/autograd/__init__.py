"""Define-by-run gradients: backward, grad, custom functions, modes and checks."""
from ..tensor import _leaf, _neural, _tensor, enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from ..tensor._function import public as _public
from ..tensor._node import Node
from . import formula as _formula  # noqa: F401  (installs the derivative builder)
from ._engine import backward, grad, tensor_backward as _tensor_backward, watch_leaves as _watch_leaves
from ._function import Function, FunctionCtx, once_differentiable
from ._threads import set_multithreading_enabled
from .anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from .variable import Variable

grad = _public(grad)                 # vmap has a rule for it

_tensor.set_entry("backward", _tensor_backward)
_neural.set_grad_function(grad)
_leaf.set_watcher(_watch_leaves)

_LAZY = {"functional": "functional", "gradcheck": "gradcheck", "gradgradcheck": "gradcheck", "graph": "graph", "forward_ad": "forward_ad", "profiler": "profiler",
         "grad_mode": "grad_mode", "function": "function"}


def __getattr__(name):
    if name in _LAZY:
        from importlib import import_module
        module = import_module("." + _LAZY[name], __name__)
        value = module if name == _LAZY[name] and name != "gradcheck" else getattr(module, name)
        globals()[name] = value
        if name == "gradgradcheck":                # its import has put the module under the other function's name
            globals()["gradcheck"] = module.gradcheck
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Function", "FunctionCtx", "Node", "Variable", "backward", "detect_anomaly", "enable_grad", "forward_ad", "functional", "grad", "gradcheck",
           "gradgradcheck", "graph", "inference_mode", "is_anomaly_enabled", "is_grad_enabled", "no_grad", "once_differentiable",
           "set_detect_anomaly", "set_grad_enabled", "set_multithreading_enabled"]
