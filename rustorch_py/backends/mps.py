"""The Metal device, under PyTorch's name."""
from ..metal import is_available


def is_built():
    """Tell whether the package holds a Metal back end."""
    return is_available()
