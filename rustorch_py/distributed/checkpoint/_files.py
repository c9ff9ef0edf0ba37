"""Checkpoints in a folder: Note [A checkpoint of many ranks] in `__init__`."""
from __future__ import annotations

import io
import json
import os
from abc import ABC, abstractmethod

from ... import tensor as _t
from ...errors import FileFormatError, TensorTypeError, TensorValueError
from ...utils.atomic import atomic_write
from ...utils.serialization import load as load_file
from ...utils.serialization import save as save_file
from ._plan import BytesStorageMetadata, ChunkStorageMetadata, Metadata, TensorProperties, TensorStorageMetadata

__all__ = ["FileSystemReader", "FileSystemWriter", "StorageReader", "StorageWriter"]

SUMMARY = ".metadata"
FORMAT = "rustorch_py.distributed.checkpoint"
_SUFFIX = ".safetensors"


class StorageWriter(ABC):
    """Where ranks write a checkpoint. Subclass it to write elsewhere than into a folder."""

    @abstractmethod
    def reset(self, checkpoint_id=None):
        """Begin a save, to another place if one is given."""

    @abstractmethod
    def prepare(self):
        """Make the place ready; called on rank 0 first."""

    @abstractmethod
    def write(self, save_id, rank, entries):
        """Write this rank's entries {name inside: tensor or object}; returns the file's name. What is there stays as it is."""

    @abstractmethod
    def finish(self, summary):
        """Make the save the checkpoint, in one step; called on rank 0 when all ranks have written."""


class StorageReader(ABC):
    """Where ranks read a checkpoint from."""

    @abstractmethod
    def reset(self, checkpoint_id=None):
        """Begin a load, from another place if one is given."""

    @abstractmethod
    def read_metadata(self):
        """Return the checkpoint's `Metadata`."""

    @abstractmethod
    def read(self, file):
        """Return one file's {name inside: tensor}; tensors may be mapped memory."""


def _folder(op, path):
    if not isinstance(path, (str, os.PathLike)):
        raise TensorTypeError(f"{op}: path: expected a path, got {type(path).__name__}", op=op)
    return os.fspath(path)


class FileSystemWriter(StorageWriter):
    """Write a checkpoint into a folder that all ranks see.

    Args:
        path: the folder; made if it is not there.
        single_file_per_rank: must be True.
        sync_files: accepted as True only: files are flushed to the disk before the checkpoint counts.
        thread_count: must be 1.
        overwrite: replace the folder's checkpoint; else it is an error that there is one.
    """

    def __init__(self, path, single_file_per_rank=True, sync_files=True, thread_count=1, *, overwrite=True):
        op = "FileSystemWriter"
        for name, value, only in (("single_file_per_rank", single_file_per_rank, True), ("sync_files", sync_files, True), ("thread_count", thread_count, 1)):
            if value != only:
                raise TensorValueError(f"{op}: {name}: must be {only}, got {value!r}", op=op)
        self.path, self.overwrite = _folder(op, path), overwrite

    @property
    def checkpoint_id(self):
        """The folder."""
        return self.path

    def reset(self, checkpoint_id=None):
        if checkpoint_id is not None:
            self.path = _folder("FileSystemWriter", checkpoint_id)

    def prepare(self):
        os.makedirs(self.path, exist_ok=True)
        if not self.overwrite and os.path.exists(os.path.join(self.path, SUMMARY)):
            raise TensorValueError(f"FileSystemWriter: {self.path} holds a checkpoint and overwrite is False", op="FileSystemWriter")

    def write(self, save_id, rank, entries):
        name = f"__{rank}_{save_id}{_SUFFIX}"
        with atomic_write(os.path.join(self.path, name)) as f:      # its name, too, is on the disk before the summary is written
            save_file(entries, f)
        return name

    def finish(self, summary):
        text = json.dumps({"format": FORMAT, "version": 1, **summary}, indent=1)
        with atomic_write(os.path.join(self.path, SUMMARY), "w", encoding="utf-8") as f:
            f.write(text)
        used = {e["file"] for entry in summary["entries"].values() for e in entry["parts"]}
        for name in os.listdir(self.path):            # earlier saves, and pieces of saves that were killed
            if name not in used and (name.startswith("__") and name.endswith(_SUFFIX) or name.startswith((".__", "." + SUMMARY)) and name.endswith(".tmp")):
                os.unlink(os.path.join(self.path, name))


class FileSystemReader(StorageReader):
    """Read a checkpoint from a folder.

    Args:
        path: the folder.
    """

    def __init__(self, path):
        self.path = _folder("FileSystemReader", path)

    @property
    def checkpoint_id(self):
        """The folder."""
        return self.path

    def reset(self, checkpoint_id=None):
        if checkpoint_id is not None:
            self.path = _folder("FileSystemReader", checkpoint_id)

    def read_metadata(self):
        """Return what the checkpoint holds.

        Raises:
            FileNotFoundError: the folder holds no checkpoint. FileFormatError: its summary is none of ours.
        """
        where = os.path.join(self.path, SUMMARY)
        with open(where, "rb") as f:
            text = f.read()
        try:
            found = json.loads(text)
            if found["format"] != FORMAT or found["version"] != 1:
                raise ValueError(f"format {found['format']!r}, version {found['version']!r}")
            held, places = {}, {}
            for name, entry in found["entries"].items():
                if entry["kind"] == "object":
                    held[name] = BytesStorageMetadata()
                    places[name, None] = entry["parts"][0]["file"], entry["parts"][0]["key"]
                    continue
                chunks = [ChunkStorageMetadata(tuple(e["offsets"]), tuple(e["sizes"])) for e in entry["parts"]]
                held[name] = TensorStorageMetadata(TensorProperties(getattr(_t, entry["dtype"])), _t.Size(entry["shape"]), chunks)
                for e in entry["parts"]:
                    places[name, tuple(e["offsets"])] = e["file"], e["key"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"load: {where} is no summary of a checkpoint that this version reads ({error})", op="load") from None
        return Metadata(held, places, found["save_id"], found["world_size"], "1")

    def read(self, file):
        return load_file(os.path.join(self.path, file), mmap=True)


def packed(obj):
    """Return an object as a tensor of bytes."""
    out = io.BytesIO()
    save_file(obj, out)
    return _t.frombuffer(bytearray(out.getvalue()), dtype=_t.uint8)


def unpacked(tensor):
    """Undo `packed`. Only plain data and harmless types come out (`serialization.add_safe_globals`)."""
    return load_file(io.BytesIO(tensor.numpy().tobytes()))
