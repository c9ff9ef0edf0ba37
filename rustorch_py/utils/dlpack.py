"""Tensors to and from other libraries without a copy, through DLPack."""
from ..tensor import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
