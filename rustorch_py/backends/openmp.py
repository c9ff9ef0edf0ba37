"""OpenMP."""
from ..tensor._cpu import has_openmp


def is_available():
    """Tell whether the kernels were built with OpenMP."""
    return has_openmp()
