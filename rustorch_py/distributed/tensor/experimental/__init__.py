"""Functions on DTensors and long sequences whose form may change."""
from .._dispatch import implicit_replication
from ._attention import context_parallel, context_parallel_unshard, ring_attention
from ._local_map import local_map

__all__ = ["context_parallel", "context_parallel_unshard", "implicit_replication", "local_map", "ring_attention"]
