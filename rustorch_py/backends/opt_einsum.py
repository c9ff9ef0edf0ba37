"""opt_einsum, which orders the products of an einsum of many operands: not used by this package."""

enabled = False
strategy = None


def is_available():
    """Tell whether the library is used: no."""
    return False


def get_opt_einsum():
    """Return the library's module, None where it is not used."""
    return None
