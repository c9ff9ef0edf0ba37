"""Types of the named results: ``torch.return_types.max`` and its siblings."""
from . import tensor as _t  # noqa: F401  (its modules register their types)
from .tensor._return_types import TYPES as _TYPES

globals().update(_TYPES)
__all__ = sorted(_TYPES)
