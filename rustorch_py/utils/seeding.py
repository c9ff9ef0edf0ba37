"""Seeds of every random stream a program may use, in one call."""
from __future__ import annotations

import os
import sys

from .. import tensor as _t
from ..errors import TensorTypeError, TensorValueError

__all__ = ["seed_everything"]


def seed_everything(seed):
    """Seed this package's default stream, Python's `random` and, if it is loaded, NumPy's.

    Args:
        seed: integer from 0 to 2**32 - 1 (NumPy's range).

    Returns:
        The seed.

    Example:
        >>> seed_everything(7)
        7
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TensorTypeError(f"seed_everything: seed must be an int, got {type(seed).__name__}", op="seed_everything")
    if not 0 <= seed < 2 ** 32:
        raise TensorValueError(f"seed_everything: seed must lie between 0 and 2**32 - 1, got {seed}",
                               op="seed_everything")
    import random
    os.environ["PYTHONHASHSEED"] = str(seed)      # for processes started from here
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    _t.manual_seed(seed)
    return seed
