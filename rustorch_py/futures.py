"""Values that come later (``torch.futures``)."""
from __future__ import annotations

import threading

from .errors import TensorError

__all__ = ["Future", "collect_all", "wait_all"]


# Functions that move on work which moves only when asked (messages under way, of rustorch_py.distributed); a waiting future calls
# them. They tell whether something is under way.
_pumps = []


class Future:
    """A value, or an error, that some other code will set.

    Args:
        devices: devices of the tensors in the value; kept, as work on the CPU needs no waiting.

    Example:
        >>> future = Future()
        >>> doubled = future.then(lambda f: 2 * f.value())
        >>> future.set_result(3)
        >>> doubled.wait()
        6
    """

    def __init__(self, *, devices=None):
        self.devices = list(devices) if devices is not None else []
        self._ready = threading.Condition()
        self._done = False
        self._value = self._error = None
        self._callbacks = []

    def __class_getitem__(cls, item):
        return cls

    def done(self):
        """Tell whether the value or the error is there."""
        with self._ready:
            return self._done

    def wait(self):
        """Block until done; return the value or raise the error."""
        with self._ready:
            while not self._done and not _pumps:
                self._ready.wait()
        while not self.done():
            under_way = any([pump() for pump in _pumps])
            with self._ready:
                if not self._done:
                    self._ready.wait(0.0001 if under_way else 0.05)
        return self.value()

    def value(self):
        """Return the value of a future that is done, or raise its error."""
        if not self.done():
            raise TensorError("Future.value: the future is not completed; call wait()", op="value")
        if self._error is not None:
            raise self._error
        return self._value

    def then(self, callback):
        """Return a future of ``callback(self)``, called once this one is done; its error becomes that future's."""
        result = Future(devices=self.devices)

        def run(future):
            try:
                result.set_result(callback(future))
            except Exception as error:
                result.set_exception(error)
        self._when_done(run)
        return result

    def add_done_callback(self, callback):
        """Call ``callback(self)`` once done; its errors are logged."""
        def run(future):
            try:
                callback(future)
            except Exception:
                from ._log import logger
                logger.exception("Future: a callback failed")
        self._when_done(run)

    def _when_done(self, run):
        with self._ready:
            if not self._done:
                self._callbacks.append(run)
                return
        run(self)

    def set_result(self, result):
        """Set the value and call the callbacks.

        Raises:
            TensorError: the future is done already.
        """
        self._finish(result, None)

    def set_exception(self, result):
        """Set an error, which wait() and value() will raise."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._finish(None, result)

    def _finish(self, value, error):
        with self._ready:
            if self._done:
                raise TensorError("Future can only be set once: it is completed already", op="set_result")
            self._value, self._error, self._done = value, error, True
            waiting, self._callbacks = self._callbacks, []
            self._ready.notify_all()
        for run in waiting:
            run(self)


def collect_all(futures):
    """Return a future of the list of these futures, done when all of them are; the first error becomes its own."""
    futures = list(futures)
    result = Future()
    lock = threading.Lock()
    left = len(futures)

    def one_done(_):
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        for future in futures:
            if future._error is not None:
                result.set_exception(future._error)
                return
        result.set_result(futures)

    if not futures:
        result.set_result(futures)
    for future in futures:
        future._when_done(one_done)
    return result


def wait_all(futures):
    """Wait for all futures and return their values; raise the first error."""
    return [future.wait() for future in collect_all(futures).wait()]


def fork(func, *args, **kwargs):
    """Call a function and return its result in a `Future`. As PyTorch does outside of compiled code, the call is made at once."""
    future = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future):
    """Return the result of a future made by `fork`."""
    return future.wait()
