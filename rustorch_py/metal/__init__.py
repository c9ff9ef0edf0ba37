"""Metal: built on macOS only; elsewhere every use says so."""
from ..errors import BackendUnavailableError
from ..tensor._backend import HINTS, is_registered


def is_available():
    """Tell whether a Metal back end is loaded."""
    return is_registered(2)


def device_count():
    """Return the number of Metal devices."""
    return 0


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def unavailable(*args, **kwargs):
        raise BackendUnavailableError(f"metal.{name}: {HINTS[2]}", op=f"metal.{name}")
    unavailable.__name__ = name
    return unavailable
