"""Anomaly detection: each node remembers the forward line that made it; NaN gradients are errors."""
from ..tensor import _base_modes
from . import _engine

_state = {"on": False, "check_nan": True}


def _remember(node):
    import traceback
    node._remember_trace(traceback.format_stack()[:-1])


def set_detect_anomaly(mode, check_nan=True):
    """Switch anomaly detection on or off for the process."""
    _state["on"], _state["check_nan"] = bool(mode), bool(check_nan)
    _base_modes.set_node_hook(_remember if mode else None)
    _engine.set_anomaly(bool(mode), bool(check_nan))


def is_anomaly_enabled():
    """Tell whether anomaly detection is on."""
    return _state["on"]


def is_anomaly_check_nan_enabled():
    """Tell whether NaN gradients are errors while anomaly detection is on."""
    return _state["check_nan"]


class detect_anomaly:
    """Context manager: anomaly detection inside."""

    def __init__(self, check_nan=True):
        self.check_nan = check_nan

    def __enter__(self):
        self.old = dict(_state)
        set_detect_anomaly(True, self.check_nan)

    def __exit__(self, *exc):
        set_detect_anomaly(self.old["on"], self.old["check_nan"])
