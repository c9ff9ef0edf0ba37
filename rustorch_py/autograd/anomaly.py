"""Anomaly detection: each node remembers the forward line that made it; NaN gradients are errors."""
import warnings

from ..tensor import _base_modes
from . import _engine

_state = {"on": False, "check_nan": True}


def _remember(node):
    import traceback
    node._remember_trace(traceback.format_stack()[:-1])


def _set(mode, check_nan):
    _state["on"], _state["check_nan"] = bool(mode), bool(check_nan)
    _base_modes.set_node_hook(_remember if mode else None)
    _engine.set_anomaly(bool(mode), bool(check_nan))


class set_detect_anomaly:
    """Switch anomaly detection on or off for the process; as a context manager until its end."""

    def __init__(self, mode, check_nan=True):
        self.old = dict(_state)
        _set(mode, check_nan)

    def __enter__(self):
        return None

    def __exit__(self, *exc):
        _set(self.old["on"], self.old["check_nan"])


def is_anomaly_enabled():
    """Tell whether anomaly detection is on."""
    return _state["on"]


def is_anomaly_check_nan_enabled():
    """Tell whether NaN gradients are errors while anomaly detection is on."""
    return _state["check_nan"]


class detect_anomaly:
    """Context manager: anomaly detection inside."""

    def __init__(self, check_nan=True):
        warnings.warn("Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.", stacklevel=2)
        self.check_nan = check_nan

    def __enter__(self):
        self.old = dict(_state)
        _set(True, self.check_nan)

    def __exit__(self, *exc):
        _set(self.old["on"], self.old["check_nan"])
