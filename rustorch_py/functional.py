"""PyTorch's module of functions made of others; all of them are at the top too."""
from .tensor import _face_names

__all__ = """atleast_1d atleast_2d atleast_3d broadcast_shapes broadcast_tensors cartesian_prod block_diag cdist chain_matmul einsum istft lu norm meshgrid
             pca_lowrank split stft svd_lowrank tensordot unique unique_consecutive unravel_index""".split()
_names = _face_names()
globals().update({name: _names[name] for name in __all__})
