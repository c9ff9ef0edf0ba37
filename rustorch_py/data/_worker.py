"""The worker's side: a process that fetches batches until its loader is gone."""
from __future__ import annotations

import os
import sys

from .. import tensor as _t
from ..tensor._cpu import set_num_threads
from . import _worker_info
from ._channel import encode, receive, send


def seed_worker(base_seed, worker_id):
    """Seed Python's, this package's and NumPy's generators as PyTorch does; returns the seed."""
    import random
    seed = base_seed + worker_id
    random.seed(seed)
    _t.manual_seed(seed)
    if "numpy.random" in sys.modules:
        _seed_numpy(sys.modules["numpy.random"], base_seed, worker_id)
    else:
        sys.meta_path.insert(0, _NumpySeeder(base_seed, worker_id))
    return seed


def _seed_numpy(random, base_seed, worker_id):
    # NumPy's own mixing keeps its stream apart from those seeded with the same number.
    words = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    random.seed(random.SeedSequence(words).generate_state(4).tolist())


class _NumpySeeder:
    """Seeds NumPy's generator when the dataset's code imports it: workers that do not need it start faster."""

    def __init__(self, *seeds):
        self._seeds = seeds

    def find_spec(self, name, path=None, target=None):
        if name != "numpy.random":
            return None
        import importlib.util
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _seed_numpy(module, *self._seeds)

        spec.loader.exec_module = exec_module
        return spec


class WorkerError:
    """An exception on its way from a worker: its class and its traceback as text."""

    def __init__(self, where):
        import traceback
        kind, _, _ = sys.exc_info()
        self.kind = kind
        self.text = f"Caught {kind.__name__} {where}.\nOriginal {traceback.format_exc()}"

    def __reduce__(self):
        return _rebuild_error, (self.kind, self.text)

    def reraise(self):
        """Raise an exception of the same class, with the worker's traceback in its message."""
        text = _KeyErrorText(self.text) if self.kind is KeyError else self.text
        try:
            error = self.kind(text)
        except Exception:
            raise RuntimeError(self.text) from None      # a class that wants other arguments
        raise error


def _rebuild_error(kind, text):
    error = WorkerError.__new__(WorkerError)
    error.kind, error.text = kind, text
    return error


class _KeyErrorText(str):
    """KeyError shows the repr of its argument: keep the line breaks readable."""

    def __repr__(self):
        return str(self)


LEAVE_S = 5.0      # seconds a worker may take to end by itself once its loader is done with it


def _watch(sock):
    """End this process if its parent dies, or is done with it, while the dataset computes."""
    import select
    import threading
    import time
    parent = os.getppid()
    poller = select.poll()
    poller.register(sock.fileno(), 0)      # hanging up is always told

    def watch():
        while os.getppid() == parent and not poller.poll(1000):
            pass
        if os.getppid() == parent:
            time.sleep(LEAVE_S)
        os._exit(1)

    threading.Thread(target=watch, name="rustorch-loader-watch", daemon=True).start()


def worker_main(sock, others, worker_id, num_workers, base_seed, dataset, make_fetcher, init_fn):
    """Serve one loader.

    Args:
        sock: the connection to the loader.
        others: sockets inherited by fork that are not this worker's; they are closed, so that each
            connection ends when its two ends do.
        worker_id, num_workers, base_seed: who this worker is.
        dataset: its copy of the dataset.
        make_fetcher: function (dataset) -> fetcher.
        init_fn: the user's worker_init_fn, or None.
    """
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)      # Ctrl-C goes to the loader, which ends its workers
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})      # held while the process was made
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:
        other.close()
    _watch(sock)
    set_num_threads(1)      # the processes are the parallelism
    where = f"in DataLoader worker process {worker_id}"
    fetcher = trouble = None
    try:
        seed = seed_worker(base_seed, worker_id)
        _worker_info.current = _worker_info.WorkerInfo(worker_id, num_workers, seed, dataset)
        if init_fn is not None:
            init_fn(worker_id)
        fetcher = make_fetcher(dataset)
    except Exception:
        trouble = WorkerError(where)

    try:
        while True:
            task = receive(sock)
            if task is None:
                break
            number, indices = task
            if number is None:      # a new run over the data with the same workers
                try:
                    fetcher, trouble = make_fetcher(dataset), None
                except Exception:
                    trouble = WorkerError(where)
                continue
            send(sock, _answer(number, indices, fetcher, trouble, where))
            trouble = None if fetcher is not None else trouble
    except (EOFError, BrokenPipeError, ConnectionError):
        pass      # the loader is gone
    finally:
        sock.close()


def _answer(number, indices, fetcher, trouble, where):
    """Fetch one batch; return the encoded message (number, kind, data)."""
    if trouble is not None:
        return _encode_error(number, trouble)
    try:
        try:
            data = fetcher.fetch(indices)
        except StopIteration:
            if not fetcher.is_stream:
                raise
            return encode((number, "end", None))
        return encode((number, "data", data))
    except Exception:
        return _encode_error(number, WorkerError(where))


def _encode_error(number, error):
    import pickle
    try:
        # A class that the loader cannot find again would fail there: try it here.
        pickle.loads(pickle.dumps(error))
    except Exception:
        error.kind = RuntimeError
    return encode((number, "error", error))
