"""What carries tensors in a GPU's memory: NCCL, on CUDA streams.

Note [Streams of collectives]
A blocking call goes to the current stream, as a kernel would: it returns before the work is done, and what is submitted later comes
after it. One with async_op goes to a stream of the group that first waits for the current one; the Work's wait() lets the current
stream wait for an event behind it and does not hold up the host. Copies out of staging are submitted to the same stream, before that
event. What an asynchronous call uses is held until its event was seen to be over: the allocator may give memory that is let go to the
next tensor of the stream on which it was allocated, which need not be the one that waits.
"""
from __future__ import annotations

import os
import time
from importlib.util import find_spec

from .. import cuda
from .. import tensor as _t
from ..errors import BackendUnavailableError, DeviceError, DTypeError, TensorValueError
from . import _nccl
from ._host import places
from ._store import seconds
from ._work import Work, progress, watch, watched

EXTRA = "pip install 'rustorch_py[nccl]'"
_BYTES = 1                                    # NCCL's number of uint8: what is only moved travels as bytes
_TYPES = {_t.int8: 0, _t.uint8: 1, _t.int32: 2, _t.int64: 4, _t.float16: 6, _t.float32: 7, _t.float64: 8, _t.bfloat16: 9, _t.bool: 1}
_PARTS = {_t.complex64: _t.float32, _t.complex128: _t.float64}
_OPS = {"SUM": 0, "PRODUCT": 1, "MAX": 2, "MIN": 3, "AVG": 4}
_FLOATS = (_t.float16, _t.bfloat16, _t.float32, _t.float64)
_found = None


def find_library():
    """Return the path of libnccl.so.2 (RUSTORCH_NCCL, NVIDIA's wheel, the system's), or None."""
    given = os.environ.get("RUSTORCH_NCCL")
    if given:
        return given
    try:
        wheel = find_spec("nvidia.nccl")
    except ModuleNotFoundError:
        wheel = None
    for folder in (wheel.submodule_search_locations or ()) if wheel is not None else ():
        path = os.path.join(folder, "lib", "libnccl.so.2")
        if os.path.exists(path):
            return path
    from ctypes.util import find_library as of_system
    return of_system("nccl")


def load(op):
    """Load NCCL, once a process.

    Raises:
        DeviceError: there is no GPU. BackendUnavailableError: NCCL is missing or unfit.
    """
    global _found
    if not cuda.is_available():
        raise DeviceError(f"{op}: NCCL needs NVIDIA GPUs and there is none here; use 'mpi' (or 'gloo', which MPI serves)", op=op)
    if _found is not None:
        return
    path = find_library()
    if path is None:
        raise BackendUnavailableError(f"{op}: libnccl.so.2, NVIDIA's library of collectives, was not found: {EXTRA}, or name it in RUSTORCH_NCCL", op=op)
    try:
        _nccl.load(path)
    except (OSError, AttributeError) as error:
        raise BackendUnavailableError(f"{op}: {path} cannot be used ({' '.join(str(error).split())}): {EXTRA}", op=op) from error
    if _nccl.version() < (2, 11, 4):          # ncclRedOpCreatePreMulSum
        raise BackendUnavailableError(f"{op}: {path} is NCCL {'.'.join(map(str, _nccl.version()))}, 2.11.4 or later is needed: {EXTRA}", op=op)
    _found = path


class StreamWork(Work):
    """A collective in a stream.

    Args:
        lane: DeviceLane. event: behind all of it. source: sender of a message, for source_rank.
    """

    def __init__(self, op, lane, event, tensors, timeout, keep=None, source=None, on_host=False):
        self._lane, self._event, self._sent_by, self._on_host = lane, event, source, on_host
        self._end = time.monotonic() + timeout
        super().__init__(op, (), tensors, None, timeout, keep)
        watch()

    def _test(self):
        if self._event.query():
            self._complete(None)

    def wait(self, timeout=None):
        """Let the current stream wait for it; True.

        Args:
            timeout: hold up the host until it is done, at most this long (timedelta or seconds); zero or None: do not.
        Raises:
            DistBackendError: it failed, or the given time is over.
        """
        if timeout is not None and seconds(timeout) > 0:
            return super().wait(timeout)
        if self._on_host:
            with watched(self.op, self._timeout):
                self._event.synchronize()
            self.is_completed()
        elif not self._done:
            cuda.current_stream(self._lane.device).wait_event(self._event)
        if self._error is not None:
            raise self._error
        return True

    def trouble(self, now):
        if self._done or self._event.query():
            return None
        said = self._lane.problem()
        if said:
            return f"{self.op}: NCCL: {said}"
        return self.late() if now > self._end else None

    def source_rank(self):
        """Return the sender of a message."""
        if self._sent_by is None:
            return super().source_rank()
        return self._sent_by


class DeviceLane:
    """Collectives of one group on one GPU. A method takes contiguous tensors and returns functions of a stream's handle, for `run`.

    The communicator is made by the first collective, by all members together. Messages before that make one of the two ranks.

    Args:
        pg: ProcessGroup. device: cuda device with a number.
    """

    def __init__(self, pg, device):
        load("init_process_group")
        self.pg, self.device = pg, device
        self.stream = cuda.Stream(device)
        self._comm, self._pairs = None, {}

    # -- communicators ---------------------------------------------------------------------------

    def ready(self):
        """Make the communicator if there is none; all members call it. Returns it."""
        if self._comm is None:
            pg = self.pg
            with watched("init_process_group", pg.timeout), cuda.device(self.device):
                self.stream.query()                        # makes the device the thread's current one
                key = pg.comm.bcast(_nccl.unique_id() if pg.rank() == 0 else None, 0)
                self._comm = _nccl.Communicator(pg.size(), key, pg.rank())
        return self._comm

    @property
    def comm(self):
        """The communicator of all members."""
        return self._comm or self.ready()

    def _pair(self, peer):
        """Return (communicator, number of the peer in it) for messages."""
        if self._comm is not None:
            return self._comm, peer
        first = self.pg.rank() < peer
        if peer not in self._pairs:
            with watched("send, recv", self.pg.timeout), cuda.device(self.device):
                self.stream.query()
                if first:
                    key = _nccl.unique_id()
                    self.pg.p2p.send(key, peer, _KEY_TAG)
                else:
                    key = self.pg.p2p.recv(source=peer, tag=_KEY_TAG)
                self._pairs[peer] = _nccl.Communicator(2, key, int(not first))
        return self._pairs[peer], int(first)

    def problem(self):
        """Return the text of an error of work under way, or None."""
        return next((said for comm in (self._comm, *self._pairs.values()) if comm is not None and (said := comm.problem())), None)

    def close(self):
        """Wait for all work and give the communicators back."""
        cuda.synchronize(self.device)
        progress()
        for comm in (self._comm, *self._pairs.values()):
            if comm is not None:
                comm.close()
        self._comm, self._pairs = None, {}

    # -- calls -----------------------------------------------------------------------------------

    def run(self, op, async_op, calls, stage, tensors, limit=None, source=None, on_host=False):
        """Submit calls and what finishes them to a stream; return a Work with async_op, else None."""
        progress()                                          # lets go of what is over
        stream = current = cuda.current_stream(self.device)
        if async_op:
            stream = self.stream
            stream.wait_stream(current)
        limit = self.pg.timeout if limit is None else limit
        with watched(op, limit):
            if len(calls) > 1:
                _nccl.group_start()
            try:
                for call in calls:
                    call(stream.cuda_stream)
            finally:
                if len(calls) > 1:
                    _nccl.group_end()
        with cuda.stream(stream), _t.no_grad():
            stage.finish()
        work = StreamWork(op, self, stream.record_event(), tensors, limit, stage if async_op else None, source, on_host)
        if async_op:
            return work
        if on_host:
            work.wait()
        return None

    def refuse(self, name, dtype):
        """Raise if NCCL lacks a reduction for a dtype."""
        if name.startswith("B"):
            raise TensorValueError(f"Cannot use ReduceOp.{name} with NCCL", op=name)
        if dtype is _t.bool and name in ("AVG", "PREMUL_SUM"):
            raise DTypeError(f"ReduceOp.{name}: the mean or scaled sum of bool tensors is not defined", op=name)
        if dtype not in _TYPES and not (dtype in _PARTS and name in ("SUM", "AVG")):
            raise DTypeError(f"ReduceOp.{name}: NCCL has none for {dtype}; expected bool, int8, uint8, int32, int64, a float or, for sums and means, a "
                             "complex tensor", op=name)
        if name == "PREMUL_SUM" and dtype not in _FLOATS:
            raise DTypeError(f"ReduceOp.PREMUL_SUM: expected a float tensor, got {dtype}", op=name)

    def _reducing(self, stage, flat, name, factor):
        """Return (NCCL's dtype, elements each of ours is, reduction)."""
        dtype = flat.dtype
        kind = _TYPES[_PARTS.get(dtype, dtype)]
        if dtype is _t.bool:                                # or, and, as extremes of 0 and 1
            name = {"SUM": "MAX", "PRODUCT": "MIN"}.get(name, name)
        if name != "PREMUL_SUM":
            return kind, 2 if dtype in _PARTS else 1, _OPS[name]
        if isinstance(factor, _t.Tensor):
            if factor.numel() != 1 or factor.device != self.device or factor.dtype is not dtype:
                raise TensorValueError(f"ReduceOp.PREMUL_SUM: factor: expected one {dtype} on {self.device}, got {factor.numel()} {factor.dtype} on "
                                       f"{factor.device}", op=name)
            stage.keep.append(factor)
            op = self.comm.scaled_sum(b"", factor.data_ptr(), kind)
        else:
            op = self.comm.scaled_sum(bytes(_t.tensor([factor], dtype=dtype).view(_t.uint8).tolist()), 0, kind)
        stage.after.append(lambda: self.comm.drop(op))      # the call has been submitted by then
        return kind, 1, op

    def all_reduce(self, stage, flat, name, factor):
        kind, parts, op = self._reducing(stage, flat, name, factor)
        at, n, comm = flat.data_ptr(), flat.numel() * parts, self.comm
        return [lambda stream: comm.all_reduce(at, at, n, kind, op, stream)]

    def reduce(self, stage, flat, name, factor, target):
        kind, parts, op = self._reducing(stage, flat, name, factor)
        at, n, comm = flat.data_ptr(), flat.numel() * parts, self.comm
        return [lambda stream: comm.reduce(at, at, n, kind, op, target, stream)]

    def broadcast(self, flat, source):
        at, n, comm = flat.data_ptr(), _size(flat), self.comm
        return [lambda stream: comm.broadcast(at, n, _BYTES, source, stream)]

    def all_gather(self, sent, flat, counts):
        comm, size, into = self.comm, flat.element_size(), flat.data_ptr()
        if len(set(counts)) == 1:
            at, n = sent.data_ptr(), _size(sent)
            return [lambda stream: comm.all_gather(at, into, n, _BYTES, stream)]
        _put(flat, places(counts)[self.pg.rank()], sent, 0, sent.numel())
        return [lambda stream, at=into + at * size, n=n * size, i=i: comm.broadcast(at, n, _BYTES, i, stream)
                for i, (at, n) in enumerate(zip(places(counts), counts))]

    def reduce_scatter(self, stage, sent, flat, counts, name, factor):
        kind, parts, op = self._reducing(stage, sent, name, factor)
        comm, size, at, into = self.comm, sent.element_size(), sent.data_ptr(), flat.data_ptr()
        if len(set(counts)) == 1:
            n = counts[0] * parts
            return [lambda stream: comm.reduce_scatter(at, into, n, kind, op, stream)]
        return [lambda stream, at=at + first * size, n=n * parts, i=i: comm.reduce(at, into if i == self.pg.rank() else at, n, kind, op, i, stream)
                for i, (first, n) in enumerate(zip(places(counts), counts))]

    def _messages(self, sent, received, send_counts, receive_counts):
        """Return calls that send slice i of one tensor to rank i and receive slice i of another from it; the own one is copied."""
        comm, me, calls = self.comm, self.pg.rank(), []
        from_, to = places(send_counts), places(receive_counts)
        if send_counts[me] and receive_counts[me]:
            _put(received, to[me], sent, from_[me], send_counts[me])
        for i in range(self.pg.size()):
            if i != me and send_counts[i]:
                at, n = sent.data_ptr() + from_[i] * sent.element_size(), send_counts[i] * sent.element_size()
                calls.append(lambda stream, at=at, n=n, i=i: comm.send(at, n, _BYTES, i, stream))
            if i != me and receive_counts[i]:
                at, n = received.data_ptr() + to[i] * received.element_size(), receive_counts[i] * received.element_size()
                calls.append(lambda stream, at=at, n=n, i=i: comm.recv(at, n, _BYTES, i, stream))
        return calls

    def gather(self, sent, flat, target):
        size, here = self.pg.size(), flat is not None
        to_target = [sent.numel() if i == target else 0 for i in range(size)]
        return self._messages(sent, flat if here else sent, to_target, [sent.numel() if here else 0] * size)

    def scatter(self, sent, flat, source):
        size, here = self.pg.size(), sent is not None
        from_source = [flat.numel() if i == source else 0 for i in range(size)]
        return self._messages(sent if here else flat, flat, [flat.numel() if here else 0] * size, from_source)

    def exchange(self, op, async_op, sent, received, send_counts, receive_counts, stage, tensors):
        return self.run(op, async_op, self._messages(sent, received, send_counts, receive_counts), stage, tensors)

    def barrier(self, async_op, limit):
        """Wait on the host until all members have done what they submitted to their current streams."""
        from ._collectives import Stage
        stage = Stage()
        one = stage.read(_t.ones(1, device=self.device))
        at, comm = one.data_ptr(), self.comm
        return self.run("barrier", async_op, [lambda stream: comm.all_reduce(at, at, 1, _TYPES[_t.float32], 0, stream)], stage, (), limit, on_host=True)

    # -- messages --------------------------------------------------------------------------------

    def send_call(self, flat, peer):
        """Return the call that sends a contiguous tensor."""
        (comm, other), at, n = self._pair(peer), flat.data_ptr(), _size(flat)
        return lambda stream: comm.send(at, n, _BYTES, other, stream)

    def receive_call(self, flat, peer):
        """Return the call that receives into a contiguous tensor."""
        (comm, other), at, n = self._pair(peer), flat.data_ptr(), _size(flat)
        return lambda stream: comm.recv(at, n, _BYTES, other, stream)


_KEY_TAG = 32767                              # every MPI has tags up to this


def _size(tensor):
    return tensor.numel() * tensor.element_size()


def _put(into, at, values, first, n):
    """Copy n elements between contiguous tensors, in the current stream."""
    with _t.no_grad():
        into.view(-1)[at:at + n].copy_(values.view(-1)[first:first + n])
