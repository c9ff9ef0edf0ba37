"""The older name of `rustorch_py.distributed.tensor`."""
from .tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_module, distribute_tensor, empty, full, ones, rand, randn, zeros

_Partial = Partial

__all__ = ["DTensor", "Partial", "Placement", "Replicate", "Shard", "distribute_module", "distribute_tensor", "empty", "full", "ones", "rand", "randn", "zeros"]
