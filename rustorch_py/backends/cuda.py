"""CUDA's part of torch.backends."""
from ..cuda import is_available


class _Matmul:
    """Switches of products on a CUDA device."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built():
    """Tell whether the package holds a CUDA back end that can run."""
    return is_available()
