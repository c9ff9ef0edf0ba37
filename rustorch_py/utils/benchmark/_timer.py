"""Timing one statement."""
from __future__ import annotations

import enum
import importlib
import statistics
import timeit
from textwrap import dedent

from ...errors import TensorValueError, UnsupportedOpError
from ._measurement import Measurement, TaskSpec, set_torch_threads

_PACKAGE = __name__.partition(".")[0]
_LONGEST = 2 ** 31 - 1


def timer():
    """Return the time in seconds, after what an accelerator was given is done."""
    accelerator = importlib.import_module(_PACKAGE + ".accelerator")
    if accelerator.is_available():
        accelerator.synchronize()
    return timeit.default_timer()


class Language(enum.Enum):
    """Languages of statements; only PYTHON is timed."""
    PYTHON = 0
    CPP = 1


class Timer:
    """Time a statement: warmed up, with a given number of threads, and with accelerators done.

    Args:
        stmt: text to run many times.
        setup: text to run once before each measurement.
        global_setup: of C++ statements, which are not timed.
        timer: function that tells the time in seconds.
        globals: names that the texts use; ``torch`` is this package.
        label, sub_label, description: what it is, for people: the title, the row and the column of a :class:`Compare`.
        env: where it ran; equal tasks of different environments are not merged.
        num_threads: threads while the statement runs.
        language: Python.

    Raises:
        ValueError: a statement that is no text, a C++ setup, an unknown language.
        UnsupportedOpError: a C++ statement, which would have to be compiled against PyTorch's headers.

    Example:
        >>> m = Timer("x + 1", globals={"x": torch.ones(4)}).timeit(100)
        >>> m.number_per_run, m.median > 0
        (100, True)
    """

    def __init__(self, stmt="pass", setup="pass", global_setup="", timer=timer, globals=None, label=None, sub_label=None, description=None, env=None,
                 num_threads=1, language=Language.PYTHON):
        if not isinstance(stmt, str):
            raise TensorValueError(f"Timer: Currently only a `str` stmt is supported, got {type(stmt).__name__}")
        if language in (Language.CPP, "cpp", "c++"):
            raise UnsupportedOpError("Timer: C++ statements are not timed: write a program against the package's C headers", op="Timer")
        if language not in (Language.PYTHON, "py", "python"):
            raise TensorValueError(f"Timer: Invalid language `{language}`.")
        if global_setup:
            raise TensorValueError(f"Timer: global_setup is C++ only, got `{global_setup}`. Most likely this code can simply be moved to `setup`.")
        stmt, setup = (dedent(text).removeprefix("\n").rstrip() for text in (stmt, setup))
        names = dict(globals or {})
        names.setdefault("torch", importlib.import_module(_PACKAGE))
        self._timer = timeit.Timer(stmt, setup, timer, names)
        self._task_spec = TaskSpec(stmt, setup, global_setup, label, sub_label, description, env, num_threads)

    def _seconds(self, number):
        return max(self._timer.timeit(number), 1e-9)

    def _measurement(self, number, times):
        return Measurement(number, times, self._task_spec)

    def timeit(self, number=1000000):
        """Run the statement a number of times, after a hundredth of that to warm up; return the Measurement of one time."""
        with set_torch_threads(self._task_spec.num_threads):
            self._seconds(max(int(number // 100), 2))
            return self._measurement(number, [self._seconds(number)])

    def repeat(self, repeat=-1, number=-1):
        """Not offered, as in PyTorch: see :meth:`blocked_autorange`."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback=None):
        """Not offered, as in PyTorch: see :meth:`blocked_autorange`."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _block(self, min_run_time):
        """How often the statement must run for the clock to cost nothing."""
        overhead, number = statistics.median(self._seconds(0) for _ in range(5)), 1
        while number * 10 <= _LONGEST:
            taken = self._seconds(number)
            if taken > min_run_time or overhead / taken <= 1e-4 and taken >= min_run_time / 1000:
                break
            number *= 10
        return number

    def _blocks(self, number, enough, min_run_time, max_run_time, callback):
        times, total = [], 0.0
        while total < min_run_time or not enough(times):
            times.append(self._seconds(number))
            total += times[-1]
            if callback:
                callback(number, times[-1])
            if max_run_time and total > max_run_time:
                break
        return self._measurement(number, times)

    def blocked_autorange(self, callback=None, min_run_time=0.2):
        """Run blocks of the statement for at least ``min_run_time`` seconds, each so long that the clock's own time does not count.

        Args:
            callback: called with the size and the seconds of each block.
            min_run_time: seconds.

        Returns:
            The Measurement, one time a block.
        """
        with set_torch_threads(self._task_spec.num_threads):
            return self._blocks(self._block(min_run_time), lambda times: True, min_run_time, None, callback)

    def adaptive_autorange(self, threshold=0.1, *, min_run_time=0.01, max_run_time=10.0, callback=None):
        """Run blocks until the interquartile range is below ``threshold`` of the median, or for ``max_run_time`` seconds."""
        def enough(times):
            return len(times) > 3 and self._measurement(number, times).meets_confidence(threshold)

        with set_torch_threads(self._task_spec.num_threads):
            number = self._block(0.05)
            return self._blocks(number, enough, min_run_time, max_run_time, callback)

    def collect_callgrind(self, number=100, *, repeats=None, collect_baseline=True, retain_out_file=False):
        """Not offered: valgrind counts the instructions of whole programs.

        Raises:
            UnsupportedOpError: always.
        """
        raise UnsupportedOpError("Timer.collect_callgrind: instructions are not counted here; run the program under `valgrind --tool=callgrind`",
                                 op="collect_callgrind")
