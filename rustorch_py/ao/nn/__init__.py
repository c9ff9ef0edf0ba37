"""Modules made of several layers."""
from . import intrinsic

__all__ = ["intrinsic"]
