"""Devices, streams, events and memory of ``rustorch_py.cuda``; loaded when one of its names is first used."""
from collections import namedtuple

from ..errors import OutOfMemoryError
from ..tensor._dtype import default_cuda_index, device as device_type, set_default_cuda_index
from . import _index, _load, _need

__all__ = ["Event", "OutOfMemoryError", "ExternalStream", "Stream", "StreamContext", "current_stream", "default_stream", "device", "device_of", "empty_cache",
           "get_arch_list", "get_device_capability", "get_device_name", "get_device_properties", "ipc_collect", "is_bf16_supported",
           "max_memory_allocated", "max_memory_cached", "max_memory_reserved", "mem_get_info",
           "memory_allocated", "memory_cached", "memory_reserved", "memory_stats", "memory_summary", "reset_max_memory_allocated",
           "host_memory_stats", "reset_max_memory_cached", "reset_peak_memory_stats", "set_device", "set_stream", "stream", "synchronize"]

_Properties = namedtuple("_CudaDeviceProperties", "name major minor total_memory multi_processor_count L2_cache_size max_threads_per_multi_processor "
                         "clock_rate shared_memory_per_multiprocessor regs_per_multiprocessor is_integrated warp_size")


class CudaDeviceProperties(_Properties):
    """What a device says about itself; memory in bytes, clock in kHz."""

    __slots__ = ()

    def __repr__(self):
        return (f"_CudaDeviceProperties(name={self.name!r}, major={self.major}, minor={self.minor}, total_memory={self.total_memory >> 20}MB, "
                f"multi_processor_count={self.multi_processor_count}, L2_cache_size={self.L2_cache_size >> 20}MB)")


# ---- devices ---------------------------------------------------------------------------------------------------------
def get_device_properties(device=None):
    """Return name, compute capability, memory and processors of a device.

    Args:
        device: number, name or :class:`device`; the current one if None.

    Raises:
        BackendUnavailableError: there is no CUDA device.
        DeviceError: there is no device of this number.
    """
    index = _index(device, "get_device_properties")
    return CudaDeviceProperties(**_need("get_device_properties").properties(index))


def get_device_name(device=None):
    """Return the name of a device."""
    return get_device_properties(device).name


def get_device_capability(device=None):
    """Return the compute capability of a device as (major, minor)."""
    found = get_device_properties(device)
    return found.major, found.minor


def get_arch_list():
    """Return the architectures that kernels are compiled for: that of each device, at first use."""
    return sorted({"sm_%d%d" % get_device_capability(i) for i in range(_load())})


def is_bf16_supported(including_emulation=True):
    """Tell whether bfloat16 can be computed with; on devices older than sm_80 only by conversion to float32."""
    return bool(_load()) and (including_emulation or get_device_capability()[0] >= 8)


def set_device(device):
    """Let "cuda" alone mean this device; a negative number changes nothing. Holds for all threads."""
    if isinstance(device, int) and device < 0:
        return
    set_default_cuda_index(_index(device, "set_device"))


class device:
    """Context manager under which "cuda" alone means this device; None or a negative number: no change.

    Example:
        >>> with rustorch_py.cuda.device(1):            # doctest: +SKIP
        ...     x = rustorch_py.zeros(3, device="cuda")
    """

    def __init__(self, device):
        self.idx = -1 if device is None or isinstance(device, int) and device < 0 else _index(device, "device")
        self.prev_idx = -1

    def __enter__(self):
        self.prev_idx = default_cuda_index()
        set_device(self.idx)

    def __exit__(self, *exc):
        set_default_cuda_index(self.prev_idx)
        return False


class device_of(device):
    """:class:`device` of a tensor; without effect for one on the CPU."""

    def __init__(self, obj):
        super().__init__(obj.get_device() if obj.is_cuda else -1)


def synchronize(device=None):
    """Wait until a device has done all its work."""
    index = _index(device, "synchronize")
    _need("synchronize").synchronize(index)


def ipc_collect():
    """Give back memory that other processes have let go; memory is not shared between processes here, so there is none."""
    _need("ipc_collect")


# ---- memory ----------------------------------------------------------------------------------------------------------
def mem_get_info(device=None):
    """Return the free and the total bytes of a device's memory, over all processes."""
    index = _index(device, "mem_get_info")
    return _need("mem_get_info").mem_info(index)


def _stats(device, what):
    if not _load():
        return dict.fromkeys(("allocated", "allocated_peak", "reserved", "reserved_peak", "allocations", "hits", "frees", "retries"), 0)
    index = _index(device, what)
    return _need(what).memory_stats(index)


def memory_allocated(device=None):
    """Return the bytes of a device's memory that tensors hold."""
    return _stats(device, "memory_allocated")["allocated"]


def max_memory_allocated(device=None):
    """Return the most bytes that tensors have held."""
    return _stats(device, "max_memory_allocated")["allocated_peak"]


def memory_reserved(device=None):
    """Return the bytes that the caching allocator has from the driver."""
    return _stats(device, "memory_reserved")["reserved"]


def max_memory_reserved(device=None):
    """Return the most bytes that the caching allocator has had from the driver."""
    return _stats(device, "max_memory_reserved")["reserved_peak"]


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def memory_stats(device=None):
    """Return the allocator's counters under PyTorch's names."""
    s = _stats(device, "memory_stats")
    return {"allocated_bytes.all.current": s["allocated"], "allocated_bytes.all.peak": s["allocated_peak"],
            "reserved_bytes.all.current": s["reserved"], "reserved_bytes.all.peak": s["reserved_peak"],
            "allocation.all.allocated": s["allocations"], "allocation.all.freed": s["frees"],
            "allocation.all.current": s["allocations"] - s["frees"], "num_alloc_retries": s["retries"], "cache_hits": s["hits"]}


def _size(n):
    """Bytes as PyTorch's table has them: at most five digits."""
    for unit in ("B  ", "KiB", "MiB", "GiB", "TiB"):
        if n < 10240 or unit == "TiB":
            return f"{int(n):7d} {unit}"
        n /= 1024


def memory_summary(device=None, abbreviated=False):
    """Return a table of the allocator's counters as text; `abbreviated` leaves out the counts of calls."""
    s = _stats(device, "memory_summary")
    index = _index(device, "memory_summary") if _load() else 0
    rule, line = "|" + "=" * 75 + "|", "|" + "-" * 75 + "|"
    lines = [rule, f"|{f'CUDA memory summary, device ID {index}':^75}|", line, f"|{'alloc retries: ' + str(s['retries']):^75}|", rule,
             f"|{'Metric':^24}|{'Cur Usage':^24}|{'Peak Usage':^25}|", line]
    for name, now, peak in (("Allocated memory", s["allocated"], s["allocated_peak"]), ("Reserved memory", s["reserved"], s["reserved_peak"])):
        lines += [f"| {name:<23}|{_size(now):^24}|{_size(peak):^25}|", line]
    lines += [f"| {'Unallocated reserve':<23}|{_size(s['reserved'] - s['allocated']):^24}|{'':^25}|", line]
    if not abbreviated:
        for name, key in (("Allocations", "allocations"), ("From the cache", "hits"), ("Frees", "frees")):
            lines += [f"| {name:<23}|{s[key]:^24}|{'':^25}|", line]
    return "\n".join([*lines[:-1], rule, ""])


def host_memory_stats():
    """Return the bytes of page-locked memory that tensors hold, and that the cache has from the driver."""
    used, held = _need("host_memory_stats").host_memory() if _load() else (0, 0)
    return {"active_bytes.current": used, "allocated_bytes.current": held}


def reset_peak_memory_stats(device=None):
    """Let the peaks start from what is in use now."""
    index = _index(device, "reset_peak_memory_stats")
    _need("reset_peak_memory_stats").reset_peak(index)


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def empty_cache():
    """Give cached device memory back to the driver; without devices there is none."""
    for index in range(_load()):
        _need("empty_cache").trim(index)
    if _load():
        _need("empty_cache").trim_host()


# ---- streams and events ----------------------------------------------------------------------------------------------
class Stream:
    """A queue of work on a device; work of different streams may overlap.

    Args:
        device: the current one if None.
        priority: 0, or negative for work that goes first.
    """

    def __init__(self, device=None, priority=0, *, _handle=None):
        self.device_index = _index(device, "Stream")
        self._own = _handle is None
        self._backend = _need("Stream")
        self.cuda_stream = self._backend.new_stream(self.device_index, priority) if self._own else _handle
        self.priority = priority

    @property
    def device(self):
        return device_type("cuda", self.device_index)

    def __del__(self):
        if getattr(self, "_own", False) and getattr(self, "cuda_stream", 0):
            self._backend.drop_stream(self.device_index, self.priority, self.cuda_stream)

    def synchronize(self):
        """Wait until everything in the stream is done."""
        self._backend.stream_synchronize(self.device_index, self.cuda_stream)

    def query(self):
        """Tell whether everything in the stream is done."""
        return self._backend.stream_query(self.device_index, self.cuda_stream)

    def wait_event(self, event):
        """Let work submitted from now on wait for an event."""
        if event._handle:
            self._backend.stream_wait(self.device_index, self.cuda_stream, event._handle)

    def record_event(self, event=None):
        """Record an event behind what is in the stream; returns it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_stream(self, stream):
        """Let work submitted from now on wait for what is in another stream now."""
        self.wait_event(stream.record_event())

    def __eq__(self, other):
        return isinstance(other, Stream) and (self.device_index, self.cuda_stream) == (other.device_index, other.cuda_stream)

    def __hash__(self):
        return hash((self.device_index, self.cuda_stream))

    def __enter__(self):
        self._context = StreamContext(self)
        self._context.__enter__()
        return self

    def __exit__(self, *exc):
        return self._context.__exit__(*exc)

    def __repr__(self):
        return f"<rustorch_py.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A stream that another library made and owns.

    Args:
        stream_ptr: its address, a number.
        device: the current one if None.
    """

    def __init__(self, stream_ptr, device=None):
        super().__init__(device, _handle=stream_ptr)


class Event:
    """A mark in a stream.

    Args:
        enable_timing: :meth:`elapsed_time` may be asked.
        blocking: :meth:`synchronize` sleeps instead of spinning.
        interprocess: only False.
    """

    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        if interprocess:
            raise NotImplementedError("cuda.Event: events are not shared between processes, expected interprocess=False")
        self._backend, self._handle, self._device = _need("Event"), 0, 0
        self._timed, self._blocking = enable_timing, blocking

    def record(self, stream=None):
        """Put the mark behind what is in a stream (the current one) now."""
        stream = current_stream() if stream is None else stream
        if not self._handle:
            self._device = stream.device_index
            self._handle = self._backend.new_event(self._device, self._timed, self._blocking)
        self._backend.record_event(self._device, self._handle, stream.cuda_stream)

    def wait(self, stream=None):
        """Let a stream (the current one) wait for the mark."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self):
        """Tell whether the work before the mark is done; True before the first record."""
        return not self._handle or self._backend.event_query(self._device, self._handle)

    def synchronize(self):
        """Wait until the work before the mark is done."""
        if self._handle:
            self._backend.event_synchronize(self._device, self._handle)

    def elapsed_time(self, end_event):
        """Return the milliseconds from this mark to another. Raises RuntimeError for events that were not recorded or not timed."""
        if not (self._timed and end_event._timed):
            raise RuntimeError("cuda.Event.elapsed_time: expected two events made with enable_timing=True")
        if not (self._handle and end_event._handle):
            raise RuntimeError("cuda.Event.elapsed_time: both events must be recorded before calculating elapsed time.")
        return self._backend.event_elapsed(self._handle, end_event._handle)

    def __del__(self):
        if getattr(self, "_handle", 0):
            self._backend.drop_event(self._device, self._handle)

    def __repr__(self):
        return f"<rustorch_py.cuda.Event {self._handle:#x}>" if self._handle else "<rustorch_py.cuda.Event uninitialized>"


def current_stream(device=None):
    """Return the stream that this thread's work on a device goes to."""
    index = _index(device, "current_stream")
    return Stream(index, _handle=_need("current_stream").get_stream(index))


def default_stream(device=None):
    """Return the stream that work goes to unless another is chosen."""
    return Stream(_index(device, "default_stream"), _handle=0)


_streams_used = []          # not empty: somebody chose a stream


def set_stream(stream):
    """Let this thread's work on the stream's device go to it; None changes nothing."""
    if stream is not None:
        backend = _need("set_stream")
        if stream.cuda_stream and not _streams_used:
            from .ops.memory import streams_are_used
            _streams_used.append(True)
            streams_are_used()
        backend.set_stream(stream.device_index, stream.cuda_stream)


class StreamContext:
    """Context manager under which this thread's work goes to a stream; None: no change."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        if self.stream is not None:
            self._before = current_stream(self.stream.device_index)
            set_stream(self.stream)

    def __exit__(self, *exc):
        if self.stream is not None:
            set_stream(self._before)
        return False


def stream(stream):
    """Return a context under which this thread's work goes to `stream`."""
    return StreamContext(stream)
