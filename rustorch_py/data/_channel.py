"""Messages between a loader and its workers: pickles over a socket, tensors in shared memory.

Note [Shared memory without names]
    The tensors of a message travel in one anonymous memory file whose descriptor is passed over
    the socket (memfd on Linux, an unlinked temporary file elsewhere). There is no name in the file
    system, so nothing is left behind however the processes end: the kernel frees the memory with
    the last descriptor and the last mapping. The receiver maps the file; its tensors keep the
    mapping alive.
"""
from __future__ import annotations

import io
import mmap
import os
import pickle
import socket
import struct

from .. import tensor as _t
from ..errors import TensorError
from ..tensor import Tensor
from ..utils._memory import bytes_of, dtype_name

_HEAD = struct.Struct("<QQ")      # bytes of the pickle, bytes of the memory file (0: none)
_INLINE = 2048                    # bytes: smaller tensors travel inside the pickle
_MAP_FROM = 1 << 16               # bytes: smaller files are read, larger ones mapped
_ALIGN = 64                       # bytes


def _memory_file(nbytes):
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("rustorch-batch", os.MFD_CLOEXEC)
    else:
        import tempfile
        with tempfile.TemporaryFile() as f:
            fd = os.dup(f.fileno())
    os.ftruncate(fd, nbytes)
    return fd


class _Pickler(pickle.Pickler):
    """Sets tensors aside for the memory file."""

    def __init__(self, out):
        super().__init__(out, pickle.HIGHEST_PROTOCOL)
        self.parts = []      # (place, bytes)
        self.nbytes = 0
        self._seen = {}

    def persistent_id(self, obj):
        kind = type(obj)
        if kind is _t.dtype:
            return "dtype", dtype_name(obj)
        if kind is _t.device:
            return "device", str(obj)
        if kind is not Tensor or obj.device.type != "cpu":
            return None
        if id(obj) in self._seen:
            return self._seen[id(obj)][1]
        if obj.requires_grad and not obj.is_leaf:
            raise TensorError("DataLoader: a worker cannot send a tensor with history; detach() it in the dataset or "
                              "in collate_fn", op="DataLoader")
        raw = bytes_of(obj)
        head = (dtype_name(obj.dtype), tuple(obj.shape), obj.requires_grad)
        if len(raw) <= _INLINE:
            pid = ("inline", *head, bytes(raw))
        else:
            place = -(-self.nbytes // _ALIGN) * _ALIGN
            self.parts.append((place, raw))
            self.nbytes = place + len(raw)
            pid = ("shared", *head, place)
        self._seen[id(obj)] = obj, pid      # the reference keeps the id from being used again
        return pid


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream, memory):
        super().__init__(stream)
        self._memory = memory
        self._made = {}

    def persistent_load(self, pid):
        kind = pid[0]
        if kind == "dtype":
            return getattr(_t, pid[1])
        if kind == "device":
            return _t.device(pid[1])
        _, dtype, shape, requires_grad, where = pid
        key = (kind, where) if kind == "shared" else id(where)
        if key in self._made:
            return self._made[key][0]
        dtype = getattr(_t, dtype)
        count = 1
        for size in shape:
            count *= size
        if not count:
            tensor = _t.empty(shape, dtype=dtype)
        elif kind == "inline":
            tensor = _t.frombuffer(bytearray(where), dtype=dtype).reshape(shape)
        else:
            tensor = _t.frombuffer(self._memory, dtype=dtype, count=count, offset=where).reshape(shape)
        if requires_grad:
            tensor.requires_grad_(True)
        self._made[key] = tensor, where
        return tensor


def encode(obj):
    """Return (bytes for the socket, descriptor of the memory file or None)."""
    out = io.BytesIO()
    out.write(_HEAD.pack(0, 0))
    pickler = _Pickler(out)
    pickler.dump(obj)
    fd = None
    if pickler.parts:
        fd = _memory_file(pickler.nbytes)
        try:
            for place, raw in pickler.parts:
                _write_at(fd, raw, place)
        except BaseException:
            os.close(fd)
            raise
    blob = out.getbuffer()
    _HEAD.pack_into(blob, 0, len(blob) - _HEAD.size, pickler.nbytes)
    return blob, fd


def _write_at(fd, raw, place):
    done = 0
    while done < len(raw):
        done += os.pwrite(fd, raw[done:], place + done)


def send(sock, message):
    """Send what :func:`encode` returned, waiting until it has left."""
    blob, fd = message
    if fd is None:
        sock.sendall(blob)
        return
    try:
        sent = socket.send_fds(sock, [blob], [fd])
        sock.sendall(blob[sent:])
    finally:
        os.close(fd)


def receive(sock):
    """Return the next message; raise EOFError when the other side is gone."""
    try:
        head, fds, _, _ = socket.recv_fds(sock, _HEAD.size, 1)
        fd = fds[0] if fds else None
        try:
            if not head:
                raise EOFError
            head += _read(sock, _HEAD.size - len(head))
            npickle, nmemory = _HEAD.unpack(head)
            blob = _read(sock, npickle)
            memory = _open_memory(fd, nmemory) if nmemory else None
        finally:
            if fd is not None:
                os.close(fd)
    except (ConnectionError, BrokenPipeError):
        raise EOFError from None
    return _Unpickler(io.BytesIO(blob), memory).load()


def _read(sock, n):
    blob = bytearray(n)
    view, done = memoryview(blob), 0
    while done < n:
        got = sock.recv_into(view[done:])
        if not got:
            raise EOFError
        done += got
    return blob


def _open_memory(fd, nbytes):
    if nbytes >= _MAP_FROM:
        return mmap.mmap(fd, nbytes)
    memory, done = bytearray(nbytes), 0
    while done < nbytes:
        part = os.pread(fd, nbytes - done, done)
        memory[done:done + len(part)] = part
        done += len(part)
    return memory
