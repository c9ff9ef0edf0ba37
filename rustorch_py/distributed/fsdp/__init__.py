"""Models whose parameters, gradients and optimizer state are spread over ranks."""
from . import fully_sharded_data_parallel
from ._fsdp import FullyShardedDataParallel, ShardingStrategy
from ._fully_shard import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, UnshardHandle, fully_shard, register_fsdp_forward_method
from .wrap import ModuleWrapPolicy, always_wrap_policy, size_based_auto_wrap_policy, transformer_auto_wrap_policy

__all__ = ["CPUOffloadPolicy", "FSDPModule", "FullyShardedDataParallel", "MixedPrecisionPolicy", "ModuleWrapPolicy", "OffloadPolicy", "ShardingStrategy",
           "UnshardHandle", "always_wrap_policy", "fully_shard", "fully_sharded_data_parallel",
           "register_fsdp_forward_method", "size_based_auto_wrap_policy", "transformer_auto_wrap_policy"]
