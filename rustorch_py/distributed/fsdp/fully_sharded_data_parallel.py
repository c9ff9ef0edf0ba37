"""PyTorch's place of `FullyShardedDataParallel`."""
from ._fsdp import FullyShardedDataParallel, ShardingStrategy

__all__ = ["FullyShardedDataParallel", "ShardingStrategy"]
