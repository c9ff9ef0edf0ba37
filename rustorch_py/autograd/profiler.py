"""PyTorch's older name of the profiler floor."""
from ..errors import RustorchError
from ..profiler import EventList, FunctionEvent, record_function
from ..profiler import profile as _profile

__all__ = ["EventList", "FunctionEvent", "profile", "record_function"]


class profile(_profile):
    """Watch the operators that run inside a ``with`` block, as `rustorch_py.profiler.profile` does, under the older settings.

    Args:
        enabled: False: the block runs unwatched.
        use_cpu: watch the host's operators.
        use_cuda, use_device, use_kineto: as in PyTorch; devices are watched through the host's calls.
        **options: record_shapes, profile_memory, with_stack, with_flops, with_modules.

    Example:
        >>> with profile() as prof:
        ...     y = rustorch_py.ones(3).add(1)
        >>> any(event.name == "add" for event in prof.function_events)
        True
    """

    def __init__(self, enabled=True, *, use_cuda=False, use_device=None, use_cpu=True, use_kineto=False, profile_memory=False, **options):
        super().__init__(activities=None if use_cpu else (), profile_memory=profile_memory, **options)
        self.enabled = bool(enabled)
        self._done = False

    def __enter__(self):
        if not self.enabled:
            return None
        return super().__enter__()

    def __exit__(self, *error):
        if self.enabled:
            super().__exit__(*error)
            self._done = True

    @property
    def function_events(self):
        """The calls as an `EventList`; None while the block has not ended."""
        return EventList(self.events()) if self._done else None

    def _checked(self):
        if not self._done:
            raise RustorchError("profile: the profiler has not finished running: ask after its with block", op="profile")
        return self.key_averages()

    def table(self, sort_by=None, row_limit=100, max_name_column_width=55):
        """Return the sums by name as text (see `EventList.table`)."""
        return self._checked().table(sort_by, row_limit, max_name_column_width)

    def total_average(self):
        """Return one event that sums all calls."""
        return self._checked().total_average()

    @property
    def self_cpu_time_total(self):
        """All time spent in operators, in microseconds."""
        return self._checked().self_cpu_time_total
