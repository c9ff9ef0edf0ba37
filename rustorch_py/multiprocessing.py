"""Python's ``multiprocessing`` with ``spawn``: several processes run a function, and the first failure ends them all with its traceback.

Tensors travel between processes by value; those that ``share_memory_()`` moved keep their memory, in processes of every start method and
through queues, pipes and pools: what is sent is the descriptor of the file behind it.
"""
import copyreg
import multiprocessing as _mp
import multiprocessing.connection
import os
import pickle
import signal
import sys
import tempfile
import traceback
import weakref
from multiprocessing import *  # noqa: F401,F403
from multiprocessing import current_process, get_context, get_start_method, parent_process, reduction  # noqa: F401
from .tensor._convert import shared_file, storage_of_file
from .tensor._storage import Storage

__all__ = [*_mp.__all__, "ProcessContext", "ProcessException", "ProcessExitedException", "ProcessRaisedException", "SpawnContext", "get_all_sharing_strategies",
           "get_sharing_strategy", "set_sharing_strategy", "spawn", "start_processes"]


_known = weakref.WeakValueDictionary()         # number of the file -> storage that was sent or received


def _reduce_storage(storage):
    """Send a shared storage by its descriptor, any other by value."""
    found = shared_file(storage)
    if found is None:
        return copyreg.dispatch_table[Storage](storage)
    descriptor, nbytes = found
    place = os.fstat(descriptor).st_ino
    _known[place] = storage
    return _receive_storage, (reduction.DupFd(descriptor), nbytes, place)


def _receive_storage(handle, nbytes, place):
    known = _known.get(place)
    try:
        descriptor = handle.detach()
    except (OSError, EOFError):                 # the sender has ended
        if known is None:
            raise
        return known
    if known is not None:                       # memory that went around comes back as what it is here
        os.close(descriptor)
        return known
    storage = _known[place] = storage_of_file(descriptor, nbytes)
    return storage


reduction.ForkingPickler.register(Storage, _reduce_storage)

_strategy = "file_descriptor"


def get_all_sharing_strategies():
    """Return PyTorch's names of the ways in which shared tensors find their memory; here both mean a file in memory, sent by its descriptor."""
    return {"file_descriptor", "file_system"}


def get_sharing_strategy():
    """Return the name last chosen."""
    return _strategy


def set_sharing_strategy(new_strategy):
    """Choose the name of the way in which shared tensors find their memory.

    Raises:
        AssertionError: neither of the two.
    """
    global _strategy
    assert new_strategy in get_all_sharing_strategies(), f"set_sharing_strategy: expected one of {get_all_sharing_strategies()}, got {new_strategy!r}"
    _strategy = new_strategy


class ProcessException(Exception):
    """A process failed; ``error_index`` and ``pid`` say which."""

    def __init__(self, msg, error_index, pid):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self):
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """A process ended by an exception; the text holds its traceback."""

    def __init__(self, msg, error_index, error_pid):
        super().__init__(msg, error_index, error_pid)


class ProcessExitedException(ProcessException):
    """A process ended by a signal or by ``sys.exit``; ``exit_code``, ``signal_name`` say how."""

    def __init__(self, msg, error_index, error_pid, exit_code, signal_name=None):
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self):
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _run(fn, i, args, error_file):
    """The child: call, and leave a traceback behind if that fails."""
    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        with open(error_file, "wb") as f:
            pickle.dump(traceback.format_exc(), f)
        sys.exit(1)


class ProcessContext:
    """What `start_processes` returns: the processes, and `join`."""

    def __init__(self, processes, error_files):
        self.processes, self.error_files = processes, error_files
        self.sentinels = {p.sentinel: i for i, p in enumerate(processes)}

    def pids(self):
        """Return the processes' ids."""
        return [p.pid for p in self.processes]

    def join(self, timeout=None, grace_period=None):
        """Wait until a process ends; True: all have ended well. The first failure ends the others.

        Args:
            timeout: seconds to wait; None: as long as it takes.
            grace_period: seconds that the others get to end before they are terminated; None: none.
        Raises:
            ProcessRaisedException: a process raised; its traceback is in the text.
            ProcessExitedException: a process was ended by a signal, or left with a code other than 0.
        """
        if not self.sentinels:
            return True
        failed = None
        for sentinel in multiprocessing.connection.wait(self.sentinels, timeout=timeout):
            i = self.sentinels.pop(sentinel)
            self.processes[i].join()
            if self.processes[i].exitcode != 0:
                failed = i
                break
        if failed is None:
            if not self.sentinels:
                self._forget()
            return not self.sentinels
        if grace_period is not None:
            multiprocessing.connection.wait(self.sentinels, timeout=grace_period)
        for p in self.processes:
            if p.is_alive():
                p.terminate()
        for p in self.processes:
            p.join(30)
            if p.is_alive():
                p.kill()
                p.join()
        self._report(failed)

    def _report(self, failed):
        process, text = self.processes[failed], None
        if os.path.getsize(self.error_files[failed]):
            with open(self.error_files[failed], "rb") as f:
                text = pickle.load(f)
        self._forget()
        if text is not None:
            raise ProcessRaisedException(f"\n\n-- Process {failed} terminated with the following error:\n{text}", failed, process.pid)
        code = process.exitcode
        if code < 0:
            name = signal.Signals(-code).name
            raise ProcessExitedException(f"process {failed} terminated with signal {name}", failed, process.pid, code, name)
        raise ProcessExitedException(f"process {failed} terminated with exit code {code}", failed, process.pid, code)

    def _forget(self):
        for name in self.error_files:
            if os.path.exists(name):
                os.unlink(name)


SpawnContext = ProcessContext


def start_processes(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """Run ``fn(i, *args)`` in nprocs processes, i from 0.

    Args:
        join: wait until all have ended; False: return a `ProcessContext` at once.
        daemon: end them with this process.
        start_method: "spawn", "fork" or "forkserver".
    Raises:
        ProcessRaisedException, ProcessExitedException: with join, the first failure.
    """
    context = _mp.get_context(start_method)
    processes, files = [], []
    for i in range(nprocs):
        handle, name = tempfile.mkstemp(prefix="rustorch-process-", suffix=".error")
        os.close(handle)
        process = context.Process(target=_run, args=(fn, i, args, name), daemon=daemon)
        process.start()
        processes.append(process)
        files.append(name)
    started = ProcessContext(processes, files)
    if not join:
        return started
    while not started.join():
        pass


def spawn(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """Run ``fn(i, *args)`` in nprocs fresh processes; see `start_processes`."""
    if start_method != "spawn":
        raise ValueError(f"spawn: start_method is always 'spawn', got {start_method!r}; use start_processes")
    return start_processes(fn, args, nprocs, join, daemon, start_method="spawn")
