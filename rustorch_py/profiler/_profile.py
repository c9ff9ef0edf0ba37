"""The profile itself: hooks that are in place only while one runs.

Rows of the operator table and nodes of the backward pass tell of themselves through one pointer test in `tensor/_ops.pyx`
and `autograd/_engine.pyx`. All other operators are seen by putting timed stand-ins into the faces (`rustorch_py`,
`rustorch_py.tensor`, `nn.functional`, the layers that hold a function, the methods of Tensor) on entry and the functions themselves back on leaving.
A function that a program took by name before (`from rustorch_py import conv2d`) is seen only as far as it calls others.
"""
from __future__ import annotations

import enum
import functools
import sys
import threading
import types
from time import perf_counter_ns

from .. import tensor as _t
from ..autograd import _engine
from ..errors import RustorchError
from ..tensor import _cpu, _ops, _tensor
from ..utils.atomic import atomic_write
from ._events import EventList, FunctionEvent, FunctionEventAvg

_PACKAGE = __package__.partition(".")[0]
# Called often and next to free, or used by the profiler itself.
_UNSEEN = {"default_generator", "Generator", "UntypedStorage", "TypedStorage", "is_tensor", "is_floating_point", "is_complex", "numel", "size", "dim",
           "stride", "data_ptr", "element_size", "is_contiguous", "storage_offset", "get_default_dtype", "set_default_dtype", "requires_grad_",
           "is_grad_enabled", "set_grad_enabled", "ndimension", "nelement", "get_device", "is_signed"}
_active = None


class ProfilerActivity(enum.Enum):
    """Kinds of work that a profile watches."""
    CPU = 0
    CUDA = 1


class _Stack(threading.local):
    def __init__(self):
        self.open = []


class profile:
    """Watch the operators that run inside a ``with`` block, forward and backward.

    Args:
        activities: of `ProfilerActivity`; CUDA is left out with a warning where there is none.
        record_shapes: keep the shapes of tensor arguments, for ``key_averages(group_by_input_shape=True)``.
        profile_memory: account for allocated bytes.

    Example:
        >>> with profile() as prof:
        ...     y = model(x)
        >>> prof.print_stats()
        >>> prof.export_chrome_trace("trace.json")
    """

    def __init__(self, *, activities=None, record_shapes=False, profile_memory=True):
        wanted = set(activities) if activities is not None else {ProfilerActivity.CPU}
        if ProfilerActivity.CUDA in wanted and not _cuda_available():
            import warnings
            warnings.warn("profile: CUDA is not available, disabling CUDA profiling", UserWarning, stacklevel=2)
        self.record_shapes = bool(record_shapes)
        self.profile_memory = bool(profile_memory)
        self.watch = ProfilerActivity.CPU in wanted
        self._events = []
        self._stack = _Stack()
        self._patches, self._class_patches = [], []
        self._started = self.wall_ns = 0

    # ---- running ----
    def start(self):
        """Begin watching."""
        global _active
        if _active is not None:
            raise RustorchError("profile: another profile is running; leave its block first", op="profile")
        if self.watch:
            self._hook()
        _active = self
        self._started = perf_counter_ns()

    def stop(self):
        """End watching; the numbers stay."""
        global _active
        if _active is not self:
            return
        self.wall_ns += perf_counter_ns() - self._started
        self._unhook()
        _active = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def _enter(self, name, args=()):
        stack = self._stack.open
        if stack and stack[-1][0].name == name:
            return None                          # a face and the row behind it are one call
        shapes = [list(a.shape) if isinstance(a, _t.Tensor) else [] for a in args] if self.record_shapes else None
        event = FunctionEvent(name, 0, threading.get_ident(), len(stack), shapes)
        frame = [event, 0, 0, _cpu.pool_in_use() if self.profile_memory else 0]
        stack.append(frame)
        event.start_ns = perf_counter_ns()
        return frame

    def _leave(self, frame):
        if frame is None:
            return
        now = perf_counter_ns()
        event, inner_ns, inner_bytes, before = frame
        stack = self._stack.open
        stack.pop()
        event.time_ns = now - event.start_ns
        event.self_time_ns = event.time_ns - inner_ns
        event.start_ns -= self._started
        if self.profile_memory:
            event.memory = _cpu.pool_in_use() - before
            event.self_memory = event.memory - inner_bytes
        if stack:
            stack[-1][1] += event.time_ns
            stack[-1][2] += event.memory
        self._events.append(event)

    # ---- hooks ----
    def _timed(self, name, fn):
        enter, leave = self._enter, self._leave

        @functools.wraps(fn)
        def timed(*args, **kwargs):
            frame = enter(name, args)
            try:
                return fn(*args, **kwargs)
            finally:
                leave(frame)
        return timed

    def _hook(self):
        known = _t._functions
        functions = {id(fn): (fn.__name__ if known.get(getattr(fn, "__name__", None)) is fn else name, fn) for name, fn in known.items()
                     if name not in _UNSEEN and callable(fn) and not isinstance(fn, type)}      # of several names, the function's own
        layers = sys.modules.get(_PACKAGE + ".nn.functional")
        for name, fn in () if layers is None else vars(layers).items():
            if isinstance(fn, types.FunctionType) and not name.startswith("_") and fn.__module__.startswith(layers.__name__):
                functions.setdefault(id(fn), (name, fn))
        timed = {key: self._timed(name.removeprefix("_make_"), fn) for key, (name, fn) in functions.items()}
        for module_name, module in list(sys.modules.items()):
            if not (module_name == _PACKAGE or module_name.startswith(_PACKAGE + ".")) or module_name.startswith((_PACKAGE + ".tensor.", __package__)):
                continue
            space = vars(module)
            for name, value in list(space.items()):
                if id(value) in timed:
                    self._patches.append((space, name, value))
                    space[name] = timed[id(value)]
                elif isinstance(value, type) and value.__module__ == module_name:
                    # Layers keep the function that they call as a static method: Conv2d._function.
                    for attribute, held in list(vars(value).items()):
                        if isinstance(held, staticmethod) and id(held.__func__) in timed:
                            self._class_patches.append((value, attribute, held))
                            setattr(value, attribute, staticmethod(timed[id(held.__func__)]))
        methods = {}
        for name, value in list(vars(_t.Tensor).items()):
            if name.startswith("__") or name in _UNSEEN or type(value).__name__ not in ("cython_function_or_method", "function"):
                continue
            methods[name] = value
        self._methods = methods
        _tensor.install({name: timed[id(fn)] if id(fn) in timed else self._timed(name, fn) for name, fn in methods.items()})
        self._slots = {name: fn for name, fn in _t._slots.items() if name in ("getitem", "setitem", "matmul")}
        for name, fn in self._slots.items():
            _tensor.set_entry(name, self._timed(name, fn))
        _ops.set_profiler((self._enter, self._leave))
        _engine.set_profiler((self._enter, self._leave))

    def _unhook(self):
        if not self.watch:
            return
        _ops.set_profiler(None)
        _engine.set_profiler(None)
        for space, name, value in self._patches:
            space[name] = value
        self._patches.clear()
        for owner, attribute, held in self._class_patches:
            setattr(owner, attribute, held)
        self._class_patches.clear()
        _tensor.install(self._methods)
        for name, fn in self._slots.items():
            _tensor.set_entry(name, fn)

    # ---- numbers ----
    def events(self):
        """Return every call as a list of `FunctionEvent`, in order of their starts."""
        return sorted(self._events, key=lambda e: e.start_ns)

    def key_averages(self, group_by_input_shape=False):
        """Return the calls summed by name (and by input shapes), in order of first calls."""
        sums = {}
        for event in self.events():
            shapes = event.shapes if group_by_input_shape else None
            key = (event.name, str(shapes))
            if key not in sums:
                sums[key] = FunctionEventAvg(event.name, shapes)
            sums[key].add(event)
        return EventList(sums.values())

    def print_stats(self, sort_by="self_cpu_time_total", row_limit=30):
        """Print calls, total and self time and memory of each operator."""
        print(self.key_averages().table(sort_by=sort_by, row_limit=row_limit), end="")
        print(f"Wall time: {self.wall_ns / 1e6:.3f}ms")

    def export_chrome_trace(self, path):
        """Write the calls as a trace that chrome://tracing and Perfetto open."""
        import json
        import os
        pid = os.getpid()
        rows = [{"name": e.name, "ph": "X", "cat": "cpu_op", "ts": e.start_ns / 1000, "dur": e.time_ns / 1000, "pid": pid, "tid": e.thread,
                 "args": {"Self time (us)": e.self_time_ns / 1000, "Memory (bytes)": e.memory,
                          **({"Input Dims": e.shapes} if e.shapes is not None else {})}} for e in self.events()]
        with atomic_write(path, "w", encoding="utf-8") as f:
            json.dump({"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": rows}, f)


def _cuda_available():
    from ..tensor._backend import is_registered
    return is_registered(1)


class record_function:
    """Give a stretch of code a name in the profile that is running; also a decorator. Without one it does nothing.

    Example:
        >>> with record_function("attention"):
        ...     y = attend(x)
    """

    def __init__(self, name, args=None):
        self.name = name if args is None else f"{name} {args}"
        self._frames = []

    def __enter__(self):
        running = _active if _active is not None and _active.watch else None
        self._frames.append((running, running._enter(self.name) if running is not None else None))
        return self

    def __exit__(self, *error):
        running, frame = self._frames.pop()
        if running is not None:
            running._leave(frame)

    def __call__(self, fn):
        @functools.wraps(fn)
        def named(*args, **kwargs):
            with record_function(self.name):
                return fn(*args, **kwargs)
        return named
