"""Models made ready for inference: ``ao.quantization.fuse_modules`` and the modules it makes, ``ao.nn.intrinsic``.

Quantized tensors are not there; what is fused computes in float.
"""
from . import nn, quantization

__all__ = ["nn", "quantization"]
