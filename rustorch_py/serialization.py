"""PyTorch's name of the saving functions; see `rustorch_py.utils.serialization`."""
from .utils.serialization import add_safe_globals, clear_safe_globals, get_safe_globals, load, safe_globals, save

__all__ = ["save", "load", "add_safe_globals", "clear_safe_globals", "get_safe_globals", "safe_globals", "default_restore_location"]


def default_restore_location(storage, location):
    """Return a loaded tensor or storage where it belongs: on the device called ``location`` ("cpu", "cuda:0").

    Raises:
        RuntimeError: no device of that name can hold it.
    """
    if str(location) == "cpu":
        return storage
    return storage.to(location)
