"""Functions on DTensors and long sequences whose form may change."""
from .._dispatch import implicit_replication
from ._attention import context_parallel, context_parallel_unshard, ring_attention

__all__ = ["context_parallel", "context_parallel_unshard", "implicit_replication", "ring_attention"]
