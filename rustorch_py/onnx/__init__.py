"""Models as ONNX files (``torch.onnx``), through the ``onnx`` package (``pip install 'rustorch_py[onnx]'``).

Note [Export]
The model is run once on the example arguments while it is traced (`rustorch_py.fx`): every value is a proxy that also has what was computed,
so that shapes are known and the program may decide by them. Sizes that dynamic axes can change stay values of the graph
(``x.view(x.size(0), -1)`` works for every batch). What the graph consists of is then written in ONNX's operators, function by function
(`_ops.py`, `_nn.py`): a layer needs no writer of its own, since its forward consists of functions that have one.
"""
from enum import Enum

__all__ = ["ONNXProgram", "OnnxExporterError", "OperatorExportTypes", "TrainingMode", "export", "is_in_onnx_export"]


class TrainingMode(Enum):
    """The mode that a model is exported in: EVAL, PRESERVE (as it stands) or TRAINING."""
    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


class OperatorExportTypes(Enum):
    """Which operators a file may hold; only ONNX, those of the standard, is written."""
    ONNX = 0
    ONNX_ATEN = 1
    ONNX_ATEN_FALLBACK = 2
    ONNX_FALLTHROUGH = 3


class OnnxExporterError(RuntimeError):
    """A model that cannot be written: the message names the operator."""


_exporting = False


def is_in_onnx_export():
    """Tell whether a model is being exported."""
    return _exporting


def __getattr__(name):
    if name in ("export", "ONNXProgram"):
        from importlib import import_module
        return getattr(import_module("._export", __name__), name)
    if name == "errors":
        from importlib import import_module
        return import_module(".errors", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
