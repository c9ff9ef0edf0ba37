"""Linear algebra: decompositions, solvers, norms, products of matrices (``torch.linalg``)."""
from .errors import LinAlgError
from .tensor._linalg_more import LINALG

globals().update(LINALG)
__all__ = sorted(LINALG) + ["LinAlgError"]
del LINALG
