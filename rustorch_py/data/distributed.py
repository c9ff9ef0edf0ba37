"""PyTorch's place of `DistributedSampler`."""
from .sampler import DistributedSampler

__all__ = ["DistributedSampler"]
