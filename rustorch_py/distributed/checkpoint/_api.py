"""Saving and loading checkpoints of many ranks."""
from __future__ import annotations

import enum
import os
import threading
import time
import traceback
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ... import tensor as _t
from ...errors import DistError, TensorTypeError, TensorValueError
from ...tensor import Tensor
from .. import _group
from .._collectives import all_reduce
from .._objects import all_gather_object, broadcast_object_list
from .._reduce_op import ReduceOp
from ._files import FileSystemReader, FileSystemWriter, StorageReader, StorageWriter, packed, unpacked
from ._plan import DefaultLoadPlanner, DefaultSavePlanner, TensorStorageMetadata, describe, flatten, local_part, put, share_out

__all__ = ["AsyncCheckpointerType", "AsyncSaveResponse", "CheckpointException", "Stateful", "async_save", "load", "load_state_dict", "save", "save_state_dict"]


class CheckpointException(BaseException):
    """A save or load failed, on any rank; all ranks raise it.

    Args:
        msg: what failed. failures: rank -> (exception, its traceback as text).
    """

    def __init__(self, msg, failures):
        super().__init__(msg, failures)
        self._failures = failures

    @property
    def failures(self):
        """Exceptions by rank, each with its traceback."""
        return self._failures

    def __str__(self):
        return "".join([f"{self.args[0]}: CheckpointException ranks:{list(self._failures)}\n",
                        *(f"Traceback (most recent call last): (RANK {rank})\n{text}" for rank, (_, text) in self._failures.items())])


@runtime_checkable
class Stateful(Protocol):
    """An object that gives its state and takes it back; modules and optimizers are such."""

    def state_dict(self):
        ...

    def load_state_dict(self, state_dict):
        ...


class AsyncCheckpointerType(enum.Enum):
    """What writes in the background: a thread of this process."""
    THREAD = "thread"
    PROCESS = "process"


@dataclass
class AsyncSaveResponse:
    """Futures of an asynchronous save: the copy is made; the checkpoint is written."""
    staging_completion: Future
    upload_completion: Future


# ---- what the ranks do together -------------------------------------------------------------------------------------

class _Ranks:
    """The ranks of a save or load; one alone without a process group."""

    def __init__(self, op, process_group, no_dist):
        self.pg = None if no_dist or not _group.is_initialized() else _group.member(op, process_group)
        self.rank, self.size = (0, 1) if self.pg is None else (self.pg.rank(), self.pg.size())

    def gather(self, value):
        got = [value] * self.size
        if self.pg is not None:
            all_gather_object(got, value, self.pg)
        return got

    def share(self, value):
        box = [value]
        if self.pg is not None:
            broadcast_object_list(box, group=self.pg, group_src=0)
        return box[0]

    def agree(self, what, error):
        """Raise on all ranks what failed on any. Waits for all; looks every millisecond, so that a thread leaves the processor to others."""
        failed = _t.tensor([0 if error is None else 1])
        if self.pg is not None:
            work = all_reduce(failed, ReduceOp.MAX, self.pg, async_op=True)
            while not work.is_completed():
                time.sleep(0.001)
            work.wait()
        if failed.item():
            mine = None if error is None else (_picklable(error), "".join(traceback.format_exception(type(error), error, error.__traceback__)))
            found = {rank: e for rank, e in enumerate(self.gather(mine)) if e is not None}
            raise CheckpointException(what, found) from error

    def step(self, what, fn, *args):
        """Call a function on all ranks; returns its value, or raises on all."""
        got = error = None
        try:
            got = fn(*args)
        except Exception as e:
            error = e
        self.agree(what, error)
        return got


def _picklable(error):
    import pickle
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return DistError(f"{type(error).__name__}: {error}")


# ---- saving ---------------------------------------------------------------------------------------------------------

def _storage(op, storage, checkpoint_id, kind, files):
    if storage is None:
        if checkpoint_id is None:
            raise DistError(f"{op}: Cannot determine which storage is to be used; give checkpoint_id, a folder, or storage_{'writer' if kind is StorageWriter else 'reader'}", op=op)
        return files(checkpoint_id)
    if not isinstance(storage, kind):
        raise TensorTypeError(f"{op}: expected a {kind.__name__}, got {type(storage).__name__}", op=op)
    storage.reset(checkpoint_id)
    return storage


def _planner(op, planner, kind):
    if planner is not None and not isinstance(planner, kind):
        raise TensorTypeError(f"{op}: planner: expected a {kind.__name__}, got {type(planner).__name__}", op=op)
    return planner or kind()


def _states(state_dict):
    """Return the state dict with the states of objects that have one in their places."""
    if not isinstance(state_dict, dict):
        raise TensorTypeError(f"checkpoint: state_dict: expected a dict, got {type(state_dict).__name__}", op="checkpoint")
    return {k: v.state_dict() if isinstance(v, Stateful) and not isinstance(v, Tensor) else v for k, v in state_dict.items()}


class _Save:
    """One save: who writes what is decided when it is made; `write` does the rest."""

    def __init__(self, ranks, storage, state_dict, copy):
        self.ranks, self.storage = ranks, storage
        flat = ranks.step("save", lambda: flatten(_states(state_dict))[0])
        rows = ranks.gather(ranks.step("save", describe, flat))
        self.owners = ranks.step("save", share_out, rows)
        self.save_id = ranks.share(os.urandom(6).hex())
        self.entries = {}
        for (name, offsets), (rank, _) in self.owners.items():
            if rank == ranks.rank:
                value = flat[name]
                if isinstance(value, Tensor):
                    local = local_part(name, value)[0]
                    self.entries[_key(name, offsets)] = local.clone() if copy else local
                else:
                    self.entries[_key(name, offsets)] = packed(value)

    def write(self):
        """Write this rank's file; rank 0 writes the summary when all have."""
        ranks, storage = self.ranks, self.storage
        ranks.step("save", lambda: storage.prepare() if ranks.rank == 0 else None)
        file = ranks.step("save", lambda: storage.write(self.save_id, ranks.rank, self.entries) if self.entries else None)
        files = ranks.gather(file)
        ranks.step("save", lambda: storage.finish(self.summary(files)) if ranks.rank == 0 else None)

    def summary(self, files):
        """Return what the checkpoint holds and where, for JSON."""
        entries, total = {}, 0
        for (name, offsets), (rank, row) in sorted(self.owners.items(), key=lambda item: (item[0][0], item[0][1] or ())):
            _, kind, shape, dtype, _, sizes, nbytes = row
            total += nbytes
            entry = entries.setdefault(name, {"kind": kind, "parts": []} if kind == "object" else
                                       {"kind": kind, "dtype": dtype.split(".")[-1], "shape": list(shape), "parts": []})
            part = {"file": files[rank], "key": _key(name, offsets)}
            entry["parts"].append(part if kind == "object" else {"offsets": list(offsets), "sizes": list(sizes), **part})
        return {"save_id": self.save_id, "world_size": self.ranks.size, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "tensor_bytes": total, "entries": entries}


def _key(name, offsets):
    return name if offsets is None or not any(offsets) else f"{name}@{','.join(map(str, offsets))}"


def save(state_dict, *, checkpoint_id=None, storage_writer=None, planner=None, process_group=None, no_dist=False, use_collectives=True):
    """Write a checkpoint: all ranks of the group call this; each writes its parts of DTensors, and other tensors are written once.

    Until the last step the folder's earlier checkpoint is whole and is the one that counts.

    Args:
        state_dict: tensors, DTensors, objects, nested dicts of them, and objects with ``state_dict()`` at the top.
        checkpoint_id: folder. storage_writer: None: a `FileSystemWriter` of it.
        planner: None or a `DefaultSavePlanner`.
        process_group: None: all ranks; without a group this process alone. no_dist: this process alone.
        use_collectives: must be True.
    Returns:
        the checkpoint's `Metadata`, where the storage can be read (None elsewhere).
    Raises:
        CheckpointException: on all ranks, when it fails on one.

    Example:
        >>> save({"model": model, "optimizer": optimizer, "step": 3}, checkpoint_id="checkpoints/last")       # doctest: +SKIP
    """
    op = "save"
    _collective(op, use_collectives)
    _planner(op, planner, DefaultSavePlanner)
    ranks = _Ranks(op, process_group, no_dist)
    storage = _storage(op, storage_writer, checkpoint_id, StorageWriter, FileSystemWriter)
    _Save(ranks, storage, state_dict, False).write()
    return FileSystemReader(storage.path).read_metadata() if isinstance(storage, FileSystemWriter) else None


def _collective(op, use_collectives):
    if use_collectives is not True:
        raise TensorValueError(f"{op}: use_collectives: must be True, got {use_collectives!r}", op=op)


def async_save(state_dict, *, checkpoint_id=None, storage_writer=None, planner=None, process_group=None,
               async_checkpointer_type=AsyncCheckpointerType.THREAD, async_stager=None, no_dist=False, use_collectives=True):
    """Copy this rank's parts and write the checkpoint in a thread, while training goes on; returns a future of `save`'s end.

    One save is under way at a time: wait for the future before the next. The process must not end before that.

    Args:
        async_checkpointer_type: THREAD. async_stager: must be None.
        others: as of `save`.
    """
    op = "async_save"
    _collective(op, use_collectives)
    if async_checkpointer_type is not AsyncCheckpointerType.THREAD:
        raise TensorValueError(f"{op}: async_checkpointer_type: only THREAD is supported, got {async_checkpointer_type}", op=op)
    if async_stager is not None:
        raise TensorValueError(f"{op}: async_stager: not supported, must be None", op=op)
    _planner(op, planner, DefaultSavePlanner)
    ranks = _Ranks(op, process_group, no_dist)
    storage = _storage(op, storage_writer, checkpoint_id, StorageWriter, FileSystemWriter)
    work = _Save(ranks, storage, state_dict, True)
    if ranks.pg is not None:                    # messages of the thread and of training must not mix
        ranks.pg = _group.duplicate(ranks.pg, "checkpoint")
    future = Future()

    def go():
        try:
            work.write()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)
        finally:
            if ranks.pg is not None:
                ranks.pg.shutdown()
    threading.Thread(target=go, name="checkpoint", daemon=False).start()
    return future


# ---- loading --------------------------------------------------------------------------------------------------------

def load(state_dict, *, checkpoint_id=None, storage_reader=None, planner=None, process_group=None, no_dist=False):
    """Read a checkpoint into a state dict, in place: each rank reads what its tensors need, however many ranks wrote it.

    Args:
        state_dict: what to load: tensors and DTensors are filled, other values replaced, objects with ``load_state_dict`` get theirs.
        checkpoint_id: folder. storage_reader: None: a `FileSystemReader` of it.
        planner: None or a `DefaultLoadPlanner`.
        process_group, no_dist: as of `save`.
    Raises:
        CheckpointException: on all ranks, when it fails on one: no checkpoint, a missing name, another shape, a damaged file.
    """
    op = "load"
    planner = _planner(op, planner, DefaultLoadPlanner)
    ranks = _Ranks(op, process_group, no_dist)
    storage = _storage(op, storage_reader, checkpoint_id, StorageReader, FileSystemReader)
    states = ranks.step(op, _states, state_dict)
    ranks.step(op, _read, states, storage, planner)

    for key in list(state_dict):
        if not (isinstance(state_dict[key], Stateful) and not isinstance(state_dict[key], Tensor)):
            state_dict[key] = states[key]
    ranks.step(op, lambda: [v.load_state_dict(states[k]) for k, v in state_dict.items() if v is not states[k]])


def _read(states, storage, planner):
    metadata = storage.read_metadata()
    flat, paths = flatten(states)
    files = {}

    def stored(name, offsets):
        file, key = metadata.storage_data[name, offsets]
        if file not in files:
            files[file] = storage.read(file)
        return files[file][key]

    for name, value in flat.items():
        found = metadata.state_dict_metadata.get(name)
        if found is None:
            if planner.allow_partial_load:
                continue
            raise DistError(f"load: Missing key in checkpoint state_dict: {name}.", op="load")
        if isinstance(found, TensorStorageMetadata) != isinstance(value, Tensor):
            raise DistError(f"load: {name}: the checkpoint has {'a tensor' if isinstance(found, TensorStorageMetadata) else 'an object'}, "
                            f"the state dict {type(value).__name__}", op="load")
        if isinstance(value, Tensor):
            _fill(name, value, found, stored)
        else:
            put(states, paths[name], unpacked(stored(name, None)))


def _fill(name, value, found, stored):
    """Copy into this rank's part of a tensor from all stored parts that meet it."""
    local, at, shape = local_part(name, value)
    if shape != tuple(found.size):
        raise TensorValueError(f"load: Size mismatch between saved {tuple(found.size)} and current: {shape} for {name}", op="load")
    missing = local.numel()
    with _t.no_grad():
        for chunk in found.chunks:
            begin = [max(a, b) for a, b in zip(at, chunk.offsets)]
            end = [min(a + n, b + m) for a, n, b, m in zip(at, local.shape, chunk.offsets, chunk.sizes)]
            if any(e <= b for b, e in zip(begin, end)):
                continue
            here = tuple(slice(b - a, e - a) for b, e, a in zip(begin, end, at))
            there = tuple(slice(b - a, e - a) for b, e, a in zip(begin, end, chunk.offsets))
            source = stored(name, chunk.offsets)
            target = local[here] if here else local
            target.copy_(source[there] if there else source)
            missing -= target.numel()
    if missing:
        raise DistError(f"load: {name}: {missing} elements of this rank's part are in no part of the checkpoint", op="load")


def save_state_dict(state_dict, storage_writer, process_group=None, coordinator_rank=0, no_dist=False, planner=None):
    """`save` under its older name; coordinator_rank must be 0."""
    if coordinator_rank != 0:
        raise TensorValueError(f"save_state_dict: coordinator_rank: must be 0, got {coordinator_rank}", op="save_state_dict")
    return save(state_dict, storage_writer=storage_writer, process_group=process_group, no_dist=no_dist, planner=planner)


def load_state_dict(state_dict, storage_reader, process_group=None, coordinator_rank=0, no_dist=False, planner=None):
    """`load` under its older name; coordinator_rank must be 0."""
    if coordinator_rank != 0:
        raise TensorValueError(f"load_state_dict: coordinator_rank: must be 0, got {coordinator_rank}", op="load_state_dict")
    load(state_dict, storage_reader=storage_reader, process_group=process_group, no_dist=no_dist, planner=planner)
