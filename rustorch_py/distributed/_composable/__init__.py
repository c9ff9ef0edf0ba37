"""The older place of functions that change a module where it is."""
from .fsdp import fully_shard

__all__ = ["fully_shard"]
