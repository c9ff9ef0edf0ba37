"""PyTorch's name of the exporter's error; see `rustorch_py.onnx`."""
from . import OnnxExporterError

__all__ = ["OnnxExporterError"]
