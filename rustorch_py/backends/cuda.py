"""CUDA's part of torch.backends."""
from enum import Enum

from ..cuda import is_available
from ..tensor import _switches
from ..errors import TensorError


class _Matmul:
    """Switches of products on a CUDA device."""

    @property
    def allow_tf32(self):
        """Whether float32 products may round their operands to TF32; the same switch as ``set_float32_matmul_precision``."""
        return _switches.get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, value):
        _flag("allow_tf32", value)
        _switches.set_float32_matmul_precision("high" if value else "highest")

    @property
    def fp32_precision(self):
        """What float32 products are computed in: "ieee" or "tf32"."""
        return "tf32" if self.allow_tf32 else "ieee"

    @fp32_precision.setter
    def fp32_precision(self, value):
        if value not in ("ieee", "tf32", "none"):
            raise TensorError(f"fp32_precision: expected 'ieee', 'tf32' or 'none', got {value!r}", op="fp32_precision")
        self.allow_tf32 = value == "tf32"

    @property
    def allow_fp16_reduced_precision_reduction(self):
        """Whether split sums of float16 products may be added in float16."""
        return _switches._reduced["float16"]

    @allow_fp16_reduced_precision_reduction.setter
    def allow_fp16_reduced_precision_reduction(self, value):
        _switches.allow_reduced_sums("float16", _flag("allow_fp16_reduced_precision_reduction", value))

    @property
    def allow_bf16_reduced_precision_reduction(self):
        """Whether split sums of bfloat16 products may be added in bfloat16."""
        return _switches._reduced["bfloat16"]

    @allow_bf16_reduced_precision_reduction.setter
    def allow_bf16_reduced_precision_reduction(self, value):
        _switches.allow_reduced_sums("bfloat16", _flag("allow_bf16_reduced_precision_reduction", value))

    def __setattr__(self, name, value):
        if not hasattr(type(self), name):
            raise AttributeError("Unknown attribute " + name)
        object.__setattr__(self, name, value)


def _flag(name, value):
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected a bool, got {type(value).__name__}")
    return value


matmul = _Matmul()


class _BlasBackend(Enum):
    """Who makes matrix products on CUDA devices."""
    Cublaslt = 1
    Own = 2


def preferred_blas_library(backend=None):
    """Choose, or ask, who makes matrix products on CUDA devices.

    Args:
        backend: "default" or "cublaslt" (also "cublas", of which cuBLASLt is the part that is used): NVIDIA's library where it is installed and has an
            algorithm, the package's own kernels elsewhere; "own": those alone. None changes nothing.
    Returns:
        ``_BlasBackend.Cublaslt`` or ``_BlasBackend.Own``: who does, as chosen and installed.
    Raises:
        RuntimeError: another name.
    """
    if backend is not None:
        name = backend.name.lower() if isinstance(backend, _BlasBackend) else backend
        if name not in ("default", "cublaslt", "cublas", "own"):
            raise TensorError(f"preferred_blas_library: expected 'default', 'cublaslt', 'cublas' or 'own', got {backend!r}", op="preferred_blas_library")
        _switches.prefer_own_products(name == "own")
    if _switches._own_products or not is_available():
        return _BlasBackend.Own
    from ..cuda import _backend
    return _BlasBackend.Cublaslt if _backend.blas()["library"] == "cublaslt" else _BlasBackend.Own


def is_built():
    """Tell whether the package holds a CUDA back end that can run."""
    return is_available()
