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
from ..tensor import _cpu, _gemm, _ops, _tensor
from ..utils.atomic import atomic_write
from ._events import EventList, FunctionEvent, FunctionEventAvg
from ._schedule import ProfilerAction

_PACKAGE = __package__.partition(".")[0]
# Called often and next to free, or used by the profiler itself.
_UNSEEN = {"default_generator", "Generator", "UntypedStorage", "TypedStorage", "is_tensor", "is_floating_point", "is_complex", "numel", "size", "dim",
           "stride", "data_ptr", "element_size", "is_contiguous", "storage_offset", "get_default_dtype", "set_default_dtype", "requires_grad_",
           "is_grad_enabled", "set_grad_enabled", "ndimension", "nelement", "get_device", "is_signed"}
_KEPT = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
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
        schedule: function of the step's number to `ProfilerAction` (see `schedule`); the program calls `step` after each step. Default: everything.
        on_trace_ready: called with the profile when a cycle of the schedule, or the block, has ended.
        record_shapes: keep the shapes of tensor arguments, for ``key_averages(group_by_input_shape=True)``.
        profile_memory: account for allocated bytes.
        with_stack: keep the Python lines from which operators were called, as ``stack`` of each event.
        with_flops: count the operations of products, convolutions and attention, as ``flops`` of each event.
        with_modules: as in PyTorch, without effect on programs that run eagerly.
        acc_events: keep the events of earlier cycles.

    Example:
        >>> with profile() as prof:
        ...     y = model(x)
        >>> prof.print_stats()
        >>> prof.export_chrome_trace("trace.json")
    """

    def __init__(self, *, activities=None, schedule=None, on_trace_ready=None, record_shapes=False, profile_memory=True, with_stack=False,
                 with_flops=False, with_modules=False, acc_events=False):
        wanted = set(activities) if activities is not None else {ProfilerActivity.CPU}
        if ProfilerActivity.CUDA in wanted and not _cuda_available():
            import warnings
            warnings.warn("profile: CUDA is not available, disabling CUDA profiling", UserWarning, stacklevel=2)
        self.record_shapes = bool(record_shapes)
        self.profile_memory = bool(profile_memory)
        self.with_stack, self.with_flops, self.acc_events = bool(with_stack), bool(with_flops), bool(acc_events)
        self.watch = ProfilerActivity.CPU in wanted
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.step_num, self.current_action = 0, ProfilerAction.NONE
        self._metadata, self._step = {}, None
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
        _active = self
        self.current_action = ProfilerAction.NONE
        self._take(ProfilerAction.RECORD if self.schedule is None else self.schedule(self.step_num))

    def stop(self):
        """End watching; the numbers stay."""
        global _active
        if _active is not self:
            return
        kept = self.current_action in _KEPT
        self._take(ProfilerAction.NONE)
        _active = None
        if kept and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self):
        """Say that a step of the program has ended; the schedule tells what happens in the next one."""
        self.step_num += 1
        ready = self.current_action is ProfilerAction.RECORD_AND_SAVE
        new = ProfilerAction.RECORD if self.schedule is None else self.schedule(self.step_num)
        if ready:
            self._take(ProfilerAction.NONE)
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
        self._take(new)

    def _take(self, action):
        """Go over from one action to another."""
        old, self.current_action = self.current_action, action
        if self._step is not None:
            self._leave(self._step)
            self._step = None
        if old is not ProfilerAction.NONE and action is ProfilerAction.NONE:
            if old in _KEPT:
                self.wall_ns += perf_counter_ns() - self._started
            if self.watch:
                self._unhook()
        if old is ProfilerAction.NONE and action is not ProfilerAction.NONE and self.watch:
            self._hook()
        if old not in _KEPT and action is not ProfilerAction.NONE:
            if not self.acc_events and self.schedule is not None:
                self._events.clear()
                self.wall_ns = 0
            self._started = perf_counter_ns()
        if self.schedule is not None and action is not ProfilerAction.NONE and self.watch:
            self._step = self._enter(f"ProfilerStep#{self.step_num}")

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
        if self.with_stack:
            event.stack = _lines()
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
        if stack and stack[-1] is frame:
            stack.pop()
        elif any(f is frame for f in stack):         # a step that ended inside of a call: what is open in it ends with it
            while stack.pop() is not frame:
                pass
        else:
            return
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

    def _flops(self, name, count):
        for frame in self._stack.open:
            frame[0].flops += count

    def add_metadata(self, key, value):
        """Add a text to the trace."""
        self._metadata[key] = str(value)

    def add_metadata_json(self, key, value):
        """Add a value, given as JSON, to the trace."""
        import json
        self._metadata[key] = json.loads(value)

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
        if self.with_flops:
            _gemm.set_flop_hook(self._flops)
        _ops.set_profiler((self._enter, self._leave))
        _engine.set_profiler((self._enter, self._leave))

    def _unhook(self):
        if self.with_flops:
            _gemm.set_flop_hook(None)
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
        """Write the calls as a trace that chrome://tracing and Perfetto open; compressed where the path ends in ".gz"."""
        import gzip
        import json
        import os
        pid = os.getpid()
        rows = [{"name": e.name, "ph": "X", "cat": "cpu_op", "ts": e.start_ns / 1000, "dur": e.time_ns / 1000, "pid": pid, "tid": e.thread,
                 "args": {"Self time (us)": e.self_time_ns / 1000, "Memory (bytes)": e.memory,
                          **({"Input Dims": e.shapes} if e.shapes is not None else {}), **({"Call stack": ";".join(e.stack)} if e.stack else {}),
                          **({"Flops": e.flops} if e.flops else {})}} for e in self.events()]
        text = json.dumps({"schemaVersion": 1, "displayTimeUnit": "ms", **self._metadata, "traceEvents": rows}).encode()
        with atomic_write(path, "wb") as f:
            f.write(gzip.compress(text) if str(path).endswith(".gz") else text)


def _lines():
    """The Python calls around an operator, innermost first, those inside of this package left out."""
    frame, lines = sys._getframe(2), []
    while frame is not None:
        code = frame.f_code
        if not frame.f_globals.get("__name__", "").startswith(_PACKAGE):
            lines.append(f"{code.co_filename}({frame.f_lineno}): {code.co_name}")
        frame = frame.f_back
    return lines


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
