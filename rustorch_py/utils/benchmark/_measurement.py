"""What was measured, and how its numbers are shown."""
from __future__ import annotations

import math
import statistics
from contextlib import contextmanager
from dataclasses import dataclass, fields
from textwrap import indent

from ...errors import TensorValueError
from ...tensor._cpu import get_num_threads, set_num_threads

_UNITS = {"ns": (1e-9, "nanosecond"), "us": (1e-6, "microsecond"), "ms": (1e-3, "millisecond"), "s": (1.0, "second")}
_MOST_DIGITS = 4
_CLOCK = 25e-9                                     # seconds that no clock tells apart
_WIDE, _VERY_WIDE = 0.1, 0.25                      # interquartile range by median


@dataclass(frozen=True, repr=False)
class TaskSpec:
    """What a :class:`Timer` runs, but for its globals; the fields are the Timer's arguments."""
    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self):
        """The label and sub-label; the statement where there is no label."""
        if self.label is None and "\n" in self.stmt:
            return f"stmt:{f' ({self.sub_label})' if self.sub_label else ''}\n{indent(self.stmt, '  ')}"
        return (self.stmt if self.label is None else self.label) + (f": {self.sub_label}" if self.sub_label else "")

    def setup_str(self):
        """Return the setup as it is shown; nothing for none."""
        if self.setup in ("", "pass"):
            return ""
        return f"setup:\n{indent(self.setup, '  ')}" if "\n" in self.setup else f"setup: {self.setup}"

    def summarize(self):
        """Return title, description and setup as text."""
        return "\n".join(part + "\n" * ("\n" in part) for part in (self.title, self.description or "", self.setup_str()) if part)


_SPEC = frozenset(field.name for field in fields(TaskSpec))


@dataclass(repr=False)
class Measurement:
    """Times of one statement; the fields of its task are attributes too.

    Args:
        number_per_run: how often the statement ran for each time.
        raw_times: seconds of each run.
        task_spec: what ran.
        metadata: the caller's own.
    """
    number_per_run: int
    raw_times: list
    task_spec: TaskSpec
    metadata: dict | None = None

    def __getattr__(self, name):
        if name in _SPEC:
            return getattr(self.task_spec, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def times(self):
        """Seconds of the statement once, one number a run."""
        return [t / self.number_per_run for t in self.raw_times]

    def _quantile(self, q):
        return _quantile(sorted(self.times), q)

    @property
    def median(self):
        return self._quantile(0.5)

    @property
    def mean(self):
        return statistics.fmean(self.times)

    @property
    def iqr(self):
        """The interquartile range in seconds."""
        return self._quantile(0.75) - self._quantile(0.25)

    @property
    def significant_figures(self):
        """How many figures of the median mean something: from the deviation of the middle half, one to four."""
        n = len(self.raw_times)
        middle = sorted(self.times)[n // 4:math.ceil(3 * n / 4)]
        spread = max(1.645 * statistics.pstdev(middle) / math.sqrt(len(middle)), _CLOCK)
        return min(max(math.floor(math.log10(self.median / spread)), 1), _MOST_DIGITS)

    def meets_confidence(self, threshold=_WIDE):
        """Tell whether the interquartile range is below a part of the median."""
        return self.iqr / self.median < threshold

    def _warnings(self):
        if not self.raw_times or self.meets_confidence(_WIDE):
            return []
        what = "could indicate system fluctuation" if self.meets_confidence(_VERY_WIDE) else "suggests significant environmental influence"
        return [f"  WARNING: Interquartile range is {self.iqr / self.median * 100:.1f}% of the median measurement.\n           This {what}."]

    @property
    def has_warnings(self):
        """Whether the times differ too much to be trusted."""
        return bool(self._warnings())

    @property
    def title(self):
        return self.task_spec.title

    @property
    def as_row_name(self):
        """The name of the row in a table."""
        return self.task_spec.sub_label or self.task_spec.stmt or "[Unknown]"

    def __repr__(self):
        n, threads = len(self.raw_times), self.task_spec.num_threads
        lines = [object.__repr__(self), self.task_spec.summarize()]
        if n:
            unit, scale = select_unit(self.median)
            low, high = self._quantile(0.25), self._quantile(0.75)
            lines.append(f"  {'Median: ' if n > 1 else ''}{self.median / scale:.2f} {unit}")
            if n >= 4:
                lines.append(f"  IQR:    {(high - low) / scale:.2f} {unit} ({low / scale:.2f} to {high / scale:.2f})")
        runs = f"{self.number_per_run} runs per measurement," if n > 1 else f"{self.number_per_run} runs ,"
        lines.append(f"  {n} measurement{'s' if n > 1 else ''}, {runs} {threads} thread{'s' if threads > 1 else ''}")
        return "\n".join(lines + self._warnings())

    @staticmethod
    def merge(measurements):
        """Return one measurement a task, with the times of all that are of it."""
        times = {}
        for m in measurements:
            times.setdefault(m.task_spec, []).extend(m.times)
        return [Measurement(1, found, task) for task, found in times.items()]


def _quantile(ordered, q):
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def select_unit(t):
    """Return the unit for a time in seconds, and that unit in seconds: ``("us", 1e-06)``."""
    unit = {-3: "ns", -2: "us", -1: "ms"}.get(int(math.log10(t) // 3) if t > 0 else -3, "s")
    return unit, _UNITS[unit][0]


def unit_to_english(u):
    """Return the name of a unit: "microsecond" for "us"."""
    return _UNITS[u][1]


def trim_sigfig(x, n):
    """Round x to n significant figures."""
    if n != int(n):
        raise TensorValueError(f"trim_sigfig: n must be a whole number, got {n}")
    if not x:
        return 0.0
    scale = 10.0 ** (math.ceil(math.log10(abs(x))) - int(n))
    return float(round(x / scale) * scale)


def ordered_unique(elements):
    """Return the elements without repetitions, in the order of their first."""
    return list(dict.fromkeys(elements))


@contextmanager
def set_torch_threads(n):
    """Compute with n threads inside a ``with`` block."""
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)
