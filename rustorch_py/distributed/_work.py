"""Collectives under way, and what watches over those that block.

MPI moves a message on only while somebody is inside MPI: `progress` looks after everything under way. It is called by whoever
waits, by futures being waited for, and by DistributedDataParallel between the gradients of a backward.
"""
from __future__ import annotations

import contextlib
import threading
import time

from .. import futures as _futures
from .. import tensor as _t
from ..errors import DistBackendError
from ._mpi import fail, mpi
from ._store import seconds

__all__ = ["Work", "progress"]

_live = {}           # id -> Work with requests under way, oldest first


def progress():
    """Move on all messages under way, finish what is complete, and tell whether something is left."""
    for work in list(_live.values()):
        work.is_completed()
    return bool(_live)


class Work:
    """A collective or a message under way.

    Args:
        op: its name, for errors.
        requests: MPI requests.
        tensors: what result() gives.
        finish: called once when all requests are complete (copies out of staging, divides means).
        timeout: seconds that wait() may take before the job is ended, as for a blocking call.
        keep: whatever must live as long as the messages.
    """

    def __init__(self, op, requests, tensors=(), finish=None, timeout=None, keep=None, sender=None):
        self.op, self._requests, self._tensors, self._finish, self._timeout = op, list(requests), list(tensors), finish, timeout
        self._keep, self._sender = keep, sender
        self._lock = threading.Lock()
        self._done = self._error = self._future = self._source = None
        _live[id(self)] = self
        if progress not in _futures._pumps:
            _futures._pumps.append(progress)

    def is_completed(self):
        """Tell whether it is done; moves it on."""
        if not self._done and self._lock.acquire(blocking=False):
            try:
                self._test()
            finally:
                self._lock.release()
        return bool(self._done)

    def _test(self):
        MPI = mpi()
        statuses = [MPI.Status() for _ in self._requests] if self._sender is not None else None
        try:
            if not self._requests or MPI.Request.Testall(self._requests, statuses):
                self._complete(statuses)
        except MPI.Exception as error:
            self._complete(None, DistBackendError(f"{self.op}: {error}", op=self.op))

    def _complete(self, statuses, error=None):
        if self._done:
            return
        if error is None:
            try:
                if self._sender is not None:
                    self._source = self._sender(statuses)
                if self._finish is not None:
                    with _t.no_grad():
                        self._finish()
            except Exception as problem:
                error = problem
        self._error, self._done = error, True
        self._finish = self._keep = None
        self._requests = []
        _live.pop(id(self), None)
        if self._future is not None:
            self._settle()

    def _settle(self):
        if self._error is not None:
            self._future.set_exception(self._error)
        else:
            self._future.set_result(self._tensors)

    def wait(self, timeout=None):
        """Wait until it is done; True then.

        Args:
            timeout: at most this long (timedelta or seconds); zero or None: the group's time, after which the job ends.
        Raises:
            DistBackendError: it failed, or the given time is over.
        """
        limit = seconds(timeout) if timeout is not None else 0.0
        if limit > 0:
            end = time.monotonic() + limit
            while not self.is_completed():
                if time.monotonic() > end:
                    raise DistBackendError(f"{self.op}: not complete within {limit:g} s", op=self.op)
                time.sleep(0.0002)
        else:
            with self._lock:
                if not self._done:
                    MPI = mpi()
                    statuses = [MPI.Status() for _ in self._requests] if self._sender is not None else None
                    with watched(self.op, self._timeout):
                        try:
                            MPI.Request.Waitall(self._requests, statuses)
                            self._complete(statuses)
                        except MPI.Exception as error:
                            self._complete(None, DistBackendError(f"{self.op}: {error}", op=self.op))
        if self._error is not None:
            raise self._error
        return True

    def synchronize(self):
        """Wait until it is done."""
        self.wait()

    def block_current_stream(self):
        """Wait until it is done: host memory has no streams."""
        self.wait()

    def late(self):
        """Return what is said when it lasts too long."""
        return f"{self.op}: not complete after {self._timeout:g} s; another rank never called it, or is gone"

    def trouble(self, now):
        """Return why the job must end, or None. Called again and again by a thread of its own, while there are Works."""
        return None

    def is_success(self):
        """Tell whether it is done without an error."""
        return self.is_completed() and self._error is None

    def exception(self):
        """Return the error it ended with, or None."""
        self.is_completed()
        return self._error

    def result(self):
        """Return the list of tensors it filled.

        Raises:
            DistBackendError: it is not done.
        """
        if not self.is_completed():
            raise DistBackendError(f"{self.op}: result() before it is complete; call wait()", op=self.op)
        return self._tensors

    def source_rank(self):
        """Return the sender of a received message.

        Raises:
            DistBackendError: it is no receive, or not done.
        """
        if self._sender is None or not self.is_completed():
            raise DistBackendError(f"{self.op}: sourceRank() may only be called on a completed receive", op=self.op)
        return self._source

    def get_future(self):
        """Return a `torch.futures.Future` of the list of tensors."""
        if self._future is None:
            self._future = _futures.Future()
            if self._done:
                self._settle()
        return self._future


# Note [Blocking calls that last too long]
# A blocking MPI call cannot be left, and a rank that left it would not be in step with the others. So a thread looks at the calls
# that last, and ends the job with one clear error when a group's timeout is over, as NCCL's watchdog does.
_inside = {}         # thread id -> (name of the call, when it must be over, timeout)
_watcher = None
checks = []          # functions that return why the job must end, or None


def watch():
    """Begin to look after what lasts too long."""
    global _watcher
    if _watcher is None:
        _watcher = threading.Thread(target=_watch, name="distributed-watchdog", daemon=True)
        _watcher.start()


@contextlib.contextmanager
def watched(op, timeout):
    """Run a blocking call; end the job if it lasts longer than timeout seconds."""
    if timeout is None:
        yield
        return
    watch()
    me = threading.get_ident()
    outer = _inside.get(me)
    _inside[me] = (op, time.monotonic() + timeout, timeout)
    try:
        yield
    finally:
        if outer is None:
            _inside.pop(me, None)
        else:
            _inside[me] = outer


def _watch():
    while True:
        now = time.monotonic()
        for op, end, timeout in list(_inside.values()):
            if now > end:
                _give_up(f"{op}: not complete after {timeout:g} s; another rank never called it, or is gone")
        for work in list(_live.values()):
            if said := work.trouble(now):
                _give_up(said)
        for look in list(checks):
            if said := look():
                _give_up(said)
        nearest = min((end for _, end, _ in list(_inside.values())), default=now + 1)
        time.sleep(min(1.0, max(0.01, nearest - now)))


def _give_up(said):
    from ._failure import abort
    abort(said)


def blocking(op, timeout, calls):
    """Make blocking MPI calls, one after the other."""
    MPI = mpi()
    with watched(op, timeout):
        try:
            for call, args in calls:
                call(*args)
        except MPI.Exception as error:
            fail(op, error)

