"""Models whose parameters, gradients and optimizer state are spread over ranks."""
from ._fsdp import FullyShardedDataParallel, ShardingStrategy
from .wrap import ModuleWrapPolicy, always_wrap_policy, size_based_auto_wrap_policy, transformer_auto_wrap_policy

__all__ = ["FullyShardedDataParallel", "ModuleWrapPolicy", "ShardingStrategy", "always_wrap_policy", "size_based_auto_wrap_policy",
           "transformer_auto_wrap_policy"]
