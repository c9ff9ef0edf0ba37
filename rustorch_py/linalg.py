"""Linear algebra: decompositions, solvers, norms, products of matrices (``torch.linalg``)."""
from .errors import LinAlgError
from .tensor._autocast import covered
from .tensor._linalg_more import LINALG

globals().update({**LINALG, **covered(LINALG, "linalg_")})
__all__ = sorted(LINALG) + ["LinAlgError"]
del LINALG
