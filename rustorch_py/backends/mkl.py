"""Intel MKL: not used by this package."""

enabled = False


def is_available():
    """Tell whether the library is used: no."""
    return False
