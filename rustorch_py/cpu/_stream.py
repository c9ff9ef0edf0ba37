"""Streams and events of the CPU: a call's work is done when it returns, so there is never anything to wait for."""
from ..errors import BackendUnavailableError, TensorTypeError
from ..tensor import device as _device
from ..tensor._backend import HINTS, is_registered


def _place(op, device):
    place = _device("cpu" if device is None else device)
    if place.type != "cpu":
        kind = {"cuda": 1, "metal": 2}.get(place.type)
        if kind is None or not is_registered(kind):
            raise BackendUnavailableError(f"{op}: no streams on {place}: {HINTS.get(kind, 'the device has none')}", op=op)
        raise BackendUnavailableError(f"{op}: the back end of {place} offers no streams", op=op)
    return place


class Stream:
    """A queue of work on a device (``torch.Stream``); on the CPU it is always empty.

    Args:
        device: whose queue; the CPU if absent.
        priority: the CPU has one priority, 0.
    """
    __module__ = "rustorch_py"

    def __new__(cls, device=None, *, priority=0):
        self = object.__new__(cls)
        self.device = _place("Stream", device)
        self.stream_id = 0
        return self

    device_type = 0

    @property
    def device_index(self):
        """Number of the device; -1 if it has none."""
        return -1 if self.device.index is None else self.device.index

    def query(self):
        """Tell whether all work is done."""
        return True

    def synchronize(self):
        """Wait until all work is done: at once."""

    def record_event(self, event=None):
        """Return an event (the one given, or a new one) that has happened here."""
        event = Event(self.device) if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        """Let work after this call wait for an event, which has happened."""
        _kind("wait_event", "event", event, Event)

    def wait_stream(self, stream):
        """Let work after this call wait for another stream, which is empty."""
        _kind("wait_stream", "stream", stream, Stream)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def __eq__(self, other):
        return isinstance(other, Stream) and other.device == self.device

    def __hash__(self):
        return hash(self.device)

    def __repr__(self):
        return f"torch.Stream device_type={self.device.type}, device_index={self.device_index}, stream_id={self.stream_id}"


class Event:
    """A moment in a stream (``torch.Event``); with ``enable_timing`` it keeps the time.

    Args:
        device: whose stream; the CPU if absent.
        enable_timing: keep the time, for `elapsed_time`.
    """
    __module__ = "rustorch_py"

    def __init__(self, device=None, *, enable_timing=False, blocking=False, interprocess=False):
        self.device = _place("Event", device)
        self.enable_timing = bool(enable_timing)
        self.event_id = 0
        self._time_ns = None

    def record(self, stream=None):
        """Mark the moment."""
        from time import perf_counter_ns
        if stream is not None:
            _kind("record", "stream", stream, Stream)
        self._time_ns = perf_counter_ns()

    def query(self):
        """Tell whether the work before the moment is done."""
        return True

    def wait(self, stream=None):
        """Let a stream wait for the moment, which has passed."""
        if stream is not None:
            _kind("wait", "stream", stream, Stream)

    def synchronize(self):
        """Wait for the moment, which has passed."""

    def elapsed_time(self, end_event):
        """Return the milliseconds between two recorded moments."""
        _kind("elapsed_time", "end_event", end_event, Event)
        if not (self.enable_timing and end_event.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._time_ns is None or end_event._time_ns is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return (end_event._time_ns - self._time_ns) / 1e6

    def __repr__(self):
        return f"torch.Event device_type={self.device.type}, device_index={-1 if self.device.index is None else self.device.index}"


def _kind(op, name, value, cls):
    if not isinstance(value, cls):
        raise TensorTypeError(f"{op}(): argument '{name}' must be {cls.__name__}, not {type(value).__name__}", op=op)


_current = Stream()


def current_stream(device=None):
    """Return the stream that work goes to: the CPU has one."""
    return _current


class StreamContext:
    """Send the work inside a ``with`` block to a stream; None changes nothing.

    Args:
        stream: a `Stream`, or None.
    """

    def __init__(self, stream):
        if stream is not None:
            _kind("stream", "stream", stream, Stream)
        self.stream = stream

    def __enter__(self):
        return self.stream

    def __exit__(self, *error):
        return False


def stream(stream):
    """Return a context whose work goes to a stream."""
    return StreamContext(stream)
