"""The loader's side of loading by worker processes.

Each worker has a socket of its own. Tasks are numbered and dealt out in turn, a few ahead per
worker (`prefetch_factor`); an answer carries its task's number. In order, the loader waits for the
worker whose turn it is; otherwise for any.
"""
from __future__ import annotations

import atexit
import contextlib
import multiprocessing.connection      # what waiting for a process imports: at exit after Ctrl-C, that would change the exit code
import multiprocessing.util      # before `_reap` is registered below: at exit this ends daemons at once, and is to come after
import os
import select
import signal
import socket
import time
import weakref

from ..errors import RustorchError
from ._channel import encode, receive, send
from .dataloader import _BaseDataLoaderIter, _fetcher_factory, pin_memory
from ._worker import LEAVE_S, worker_main


class WorkerDiedError(RustorchError, RuntimeError):
    """A worker process ended without an answer."""


class WorkerTimeoutError(RustorchError, RuntimeError, TimeoutError):
    """No worker answered within the loader's timeout."""


class _Worker:
    """One worker: its process, its socket, and the numbers of its unanswered tasks."""

    __slots__ = ("process", "sock", "open_tasks", "active")

    def __init__(self, process, sock):
        self.process, self.sock = process, sock
        self.open_tasks = []
        self.active = True      # False once its stream has ended


@contextlib.contextmanager
def _interrupts_held():
    """Hold Ctrl-C back while a process is made: a half-made one would answer it, too."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# Note [Workers that leave]
#    A worker whose loader is done with it ends by itself, which takes the kernel several milliseconds for the memory of a
#    large process. Nobody waits for that: the processes stand in `_leaving` until they have ended, and are looked at when
#    workers start or are let go. One that does not end is terminated there once its time is over; its own watch
#    (`_worker._watch`) ends it also when no further loader comes. At exit the program waits for all of them.
_leaving = []      # [process, when it has to have ended, how to end it then]


def _reap(at_most=None):
    """Take those that have ended off the list, end those whose time is over; wait until no more than ``at_most`` are left."""
    now = time.monotonic()
    for entry in list(_leaving):
        process, deadline, means = entry
        while at_most is not None and len(_leaving) > at_most and means and process.is_alive():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                getattr(process, means.pop(0))()
                deadline = time.monotonic() + 1.0
        if not process.is_alive():
            process.join()
            with contextlib.suppress(ValueError):      # a loader collected meanwhile, here or in another thread, has looked, too
                _leaving.remove(entry)
        elif now > deadline and means:
            getattr(process, means.pop(0))()
            entry[1] = now + 1.0


atexit.register(_reap, 0)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leaving.clear)      # they are the parent's


def _shut_down(workers, owner):
    """Let all workers go: they leave when their socket closes. See Note [Workers that leave]."""
    if os.getpid() != owner:      # a forked copy of the loader: nothing of this is its own
        return
    for worker in workers:
        try:
            # Not only close: workers of other loaders may have inherited a copy of the socket.
            worker.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass      # its worker is gone already
        worker.sock.close()
        _leaving.append([worker.process, time.monotonic() + LEAVE_S, ["terminate", "kill"]])
    workers.clear()
    _reap()


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """One run (or, with persistent workers, one after another) by worker processes."""

    def __init__(self, loader):
        super().__init__(loader)
        import multiprocessing
        context = loader.multiprocessing_context or multiprocessing.get_context()
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        self._workers = workers = []
        # Not __del__: it runs also when the constructor fails, and at exit before the workers' atexit.
        self._shut_down = weakref.finalize(self, _shut_down, workers, os.getpid())
        make_fetcher = _fetcher_factory(self._iterable, self._auto_collation, self._collate_fn, self._drop_last)
        inherits = context.get_start_method() == "fork"
        _reap(self._num_workers)      # a program that drops iterator after iterator does not collect processes
        self._next_task = 0
        self._clear()
        try:
            for worker_id in range(self._num_workers):
                ours, its = socket.socketpair()
                others = [worker.sock for worker in workers] + [ours] if inherits else []
                process = context.Process(
                    target=worker_main, daemon=True, name=f"rustorch-loader-{worker_id}",
                    args=(its, others, worker_id, self._num_workers, self._base_seed, self._dataset,
                          make_fetcher, loader.worker_init_fn))
                try:
                    with _interrupts_held():
                        process.start()
                except BaseException:
                    ours.close()
                    raise
                finally:
                    its.close()
                workers.append(_Worker(process, ours))
                if self._prefetch_factor:      # it is at work while the next process is made
                    self._turn = worker_id
                    self._deal()
            self._deal_ahead()
        except BaseException:
            self._shut_down()
            raise

    def _clear(self):
        self._first_task = self._next_number = self._next_task      # answers to older tasks are dropped
        self._answers = {}          # number -> (kind, data), come but not yet given out
        self._owner_of = {}         # number -> worker
        self._turn = 0
        self._exhausted = False
        for worker in self._workers:
            worker.active = True

    def _deal_ahead(self):
        for _ in range(self._prefetch_factor * self._num_workers - (self._next_task - self._first_task)):
            self._deal()

    def _reset(self, loader):
        super()._reset(loader)
        for worker in self._workers:
            self._send(worker, (None, None))
        self._clear()
        self._deal_ahead()

    # -- dealing out ------------------------------------------------------------------------------

    def _deal(self):
        """Give the next task to the next active worker that has room."""
        if self._exhausted:
            return
        for _ in range(len(self._workers)):
            worker = self._workers[self._turn]
            self._turn = (self._turn + 1) % len(self._workers)
            if worker.active and (self._in_order or len(worker.open_tasks) < max(1, self._prefetch_factor)):
                break
        else:
            return
        try:
            indices = next(self._sampler_iter)
        except StopIteration:
            self._exhausted = True
            return
        number = self._next_task
        self._next_task += 1
        worker.open_tasks.append(number)
        self._owner_of[number] = worker
        self._send(worker, (number, indices))

    def _send(self, worker, task):
        """Send without blocking for ever: a worker that waits for us to read is read meanwhile."""
        blob, fd = encode(task)
        if fd is not None:      # a large tensor of indices: the descriptor must go with the first byte
            send(worker.sock, (blob, fd))
            return
        done = 0
        try:
            while done < len(blob):
                events = _poll([worker], None, select.POLLIN | select.POLLOUT)
                if events[0][1] & select.POLLOUT:
                    try:
                        done += worker.sock.send(blob[done:], socket.MSG_DONTWAIT)
                        continue
                    except BlockingIOError:
                        pass
                if events[0][1] & select.POLLIN:
                    self._take(worker)
                elif not events[0][1] & select.POLLOUT:
                    raise EOFError
        except (EOFError, ConnectionError):
            self._report_death(worker)

    # -- taking in --------------------------------------------------------------------------------

    def _take(self, worker):
        """Receive one answer and file it."""
        try:
            number, kind, data = receive(worker.sock)
        except EOFError:
            self._report_death(worker)
        if number in worker.open_tasks:
            worker.open_tasks.remove(number)
        if number < self._first_task:
            return
        if kind == "end":
            worker.active = False
        self._answers[number] = kind, data

    def _wait(self, workers):
        """Receive at least one answer of the given workers."""
        ready = _poll(workers, self._timeout or None, select.POLLIN)
        if not ready:
            raise WorkerTimeoutError(f"DataLoader timed out after {self._timeout} seconds", op="DataLoader")
        for worker, _ in ready:
            self._take(worker)

    def _report_death(self, worker):
        worker.process.join(1.0)
        code = worker.process.exitcode
        pid = worker.process.pid
        if code is not None and code < 0:
            try:
                how = f"killed by signal: {signal.Signals(-code).name}"
            except ValueError:
                how = f"killed by signal {-code}"
        else:
            how = f"exit code {code}"
        self._shut_down()
        raise WorkerDiedError(f"DataLoader worker (pid(s) {pid}) exited unexpectedly ({how}); its own message, if any, "
                              "is on stderr; num_workers=0 shows errors in this process", op="DataLoader") from None

    def _next_data(self):
        while True:
            if not self._workers:
                raise StopIteration
            number = self._choose()
            if number is None:
                if not self._persistent_workers:
                    self._shut_down()
                raise StopIteration
            kind, data = self._answers.pop(number)
            del self._owner_of[number]
            self._deal()
            if kind == "end":
                continue
            if kind == "error":
                data.reraise()
            return pin_memory(data) if self._pin_memory else data

    def _choose(self):
        """Return the number of the answer to give out next, waiting for it; None at the end."""
        if self._in_order:
            while self._next_number < self._next_task:
                number = self._next_number
                worker = self._owner_of[number]
                while number not in self._answers:
                    if not worker.open_tasks or number not in worker.open_tasks:
                        break      # its stream ended before this task
                    self._wait([worker])
                self._next_number += 1
                if number in self._answers:
                    return number
                del self._owner_of[number]
            return None
        while not self._answers:
            waiting = [worker for worker in self._workers if worker.open_tasks]
            if not waiting:
                return None
            self._wait(waiting)
        return next(iter(self._answers))


def _poll(workers, timeout_s, events):
    poller = select.poll()
    by_fd = {}
    for worker in workers:
        by_fd[worker.sock.fileno()] = worker
        poller.register(worker.sock, events)
    found = poller.poll(None if timeout_s is None else timeout_s * 1000)
    return [(by_fd[fd], event) for fd, event in found]
