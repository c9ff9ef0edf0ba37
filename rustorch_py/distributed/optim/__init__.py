"""Optimizers whose state is spread over ranks."""
from ._zero import ZeroRedundancyOptimizer

__all__ = ["ZeroRedundancyOptimizer"]
