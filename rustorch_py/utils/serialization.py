"""Saving and loading: one file format, safetensors, for tensors and for what surrounds them.

Note [File layout]
    A saved file is a safetensors file: eight bytes with the length of a JSON header, the header
    (name -> dtype, shape, place), and the tensors' bytes. Any safetensors reader gets the tensors;
    a flat dict from name to tensor keeps its names. The header's ``__metadata__`` holds

        format     "pt"
        rustorch   JSON: {"version": 1, "tensors": [...], "root": ...}
        crc32      checksum, hexadecimal, of the tensors' bytes followed by the header's text
                   without this very field

    ``tensors`` has one row per tensor of the saved object: ``name`` of the entry, and where they
    differ from the plain case ``grad`` (true if it requires a gradient), ``device``, ``dtype``
    (complex128 and complex32, which safetensors lacks, are stored as pairs of F64 and F16), and ``shape``, ``stride``,
    ``offset`` for a view into its entry: tensors that share memory share an entry, and share
    memory again when loaded. The entry of a strided tensor goes from its first element to its last.

    ``root`` is the object. JSON's own values and lists stand for themselves; everything else is an
    object with one tag: {"dict": [[key, value], ...]}, "odict" (ordered; "attr" beside it for the
    instance's attributes), "counter", "tuple", "set", "size", "complex", "bytes" (base64),
    "dtype", "device", {"t": row of `tensors`}. An object that these do not describe is one pickle:
    ``root`` is {"pickle": name of an entry}, whose bytes are the pickle, and the tensors in it are
    references to rows of ``tensors``.

    A file without ``rustorch`` in its metadata loads as a dict from name to tensor.
"""
from __future__ import annotations

import io
import json
import os
from collections import Counter, OrderedDict

from .. import tensor as _t
from ..errors import FileFormatError, TensorError, TensorTypeError, TensorValueError
from ..tensor import Tensor
from ._checksum import crc32, read_tensors, start_writing
from ._memory import bytes_of, dtype_name
from ._unpickle import EmptyFileError, RestrictedUnpickler, UnknownFileError, add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from .atomic import atomic_write

__all__ = ["save", "load", "add_safe_globals", "clear_safe_globals", "get_safe_globals", "safe_globals"]

_CODES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "complex64": "C64",
          "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
          "uint16": "U16", "uint32": "U32", "uint64": "U64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
          "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0"}
_PAIRS = {"complex128": "float64", "complex32": "float16"}      # what the format lacks, as pairs of another dtype
_NAMES = {code: name for name, code in _CODES.items()}
_TOGETHER = 1 << 20            # bytes: files of more are read by several threads
_MAX_HEADER = 100_000_000      # bytes; the format's own limit
_PLAIN = (type(None), bool, int, float, str)
_ZIP_MAGIC = b"PK\x03\x04"


class _NotPlain(Exception):
    """The object needs a pickle."""


class _TensorTable:
    """The tensors of one object: a row each, and the entries that hold their bytes."""

    def __init__(self):
        self.tensors = []       # kept alive, so that ids stay theirs
        self.names = []         # wished name of each
        self._row_of = {}

    def add(self, tensor, name):
        row = self._row_of.get(id(tensor))
        if row is None:
            row = self._row_of[id(tensor)] = len(self.tensors)
            self.tensors.append(tensor)
            self.names.append(name)
        return row

    def finish(self, taken=()):
        """Decide which entry holds which tensor.

        Returns:
            rows for the metadata, and the entries as (name, dtype code, shape, contiguous tensor).
        """
        rows = [{} for _ in self.tensors]
        entries, used = [], set(taken)
        groups = {}
        for i, tensor in enumerate(self.tensors):
            if tensor.device.type != "cpu":
                rows[i]["device"] = str(tensor.device)
            if tensor.requires_grad:
                rows[i]["grad"] = True
            key = ("alone", i)
            if tensor.device.type == "cpu" and tensor.numel() > 0:
                key = (tensor.untyped_storage(), tensor.dtype)      # equal on one storage; its address would be given away for good
            groups.setdefault(key, []).append(i)
        for members in groups.values():
            name = self._unused(self.names[members[0]], used)
            first = self.tensors[members[0]].detach()
            if len(members) == 1 and self._alone(first):
                held = first.cpu().contiguous()
            else:
                held, start = self._span([self.tensors[i].detach() for i in members])
                for i in members:
                    tensor = self.tensors[i]
                    plain = len(members) == 1 and tensor.is_contiguous()
                    if not (plain or (tensor.is_contiguous() and tensor.numel() == held.numel())):
                        rows[i].update(shape=list(tensor.shape), stride=list(tensor.stride()),
                                       offset=tensor.storage_offset() - start)
                    elif tuple(tensor.shape) != tuple(first.shape) or len(members) > 1:
                        rows[i].update(shape=list(tensor.shape), stride=list(tensor.stride()), offset=0)
                if len(members) > 1 and first.is_contiguous() and first.numel() == held.numel():
                    held = held.reshape(first.shape)      # the first tensor's own shape, for other readers
            for i in members:
                rows[i]["name"] = name
            dtype = dtype_name(held.dtype)
            if dtype in _PAIRS:
                for i in members:
                    rows[i]["dtype"] = dtype
                held = _t.view_as_real(held)
                dtype = _PAIRS[dtype]
            if dtype not in _CODES:
                raise TensorError(f"save: dtype {held.dtype} of {name!r} has no place in a safetensors file", op="save")
            entries.append((name, _CODES[dtype], list(held.shape), held))
        return rows, entries

    @staticmethod
    def _unused(name, used):
        name = name or "tensor"
        unique, n = name, 1
        while unique in used or unique == "__metadata__":
            n += 1
            unique = f"{name}#{n}"
        used.add(unique)
        return unique

    @staticmethod
    def _extent(tensor):
        start = tensor.storage_offset()
        return start, start + 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride()))

    @staticmethod
    def _alone(tensor):
        """Whether an entry of the tensor's own shape says all about it: not where its strides must be kept."""
        return tensor.device.type != "cpu" or tensor.numel() == 0 or tensor.is_contiguous()

    @classmethod
    def _span(cls, tensors):
        extents = [cls._extent(tensor) for tensor in tensors]
        start, end = min(e[0] for e in extents), max(e[1] for e in extents)
        return tensors[0].as_strided((end - start,), (1,), start), start


def _encode(obj, table, path, seen):
    """Describe an object in the words of Note [File layout]; raise _NotPlain where they do not reach."""
    kind = type(obj)
    if kind in _PLAIN:
        return obj
    if kind is Tensor:
        return {"t": table.add(obj, path)}
    if kind in (dict, OrderedDict, Counter, list, set):
        if id(obj) in seen:      # one container in two places, or inside itself: identity matters
            raise _NotPlain
        seen[id(obj)] = obj

    def below(key):
        return f"{path}.{key}" if path else str(key)

    if kind is list:
        return [_encode(value, table, below(i), seen) for i, value in enumerate(obj)]
    if kind in (dict, OrderedDict, Counter):
        pairs = [[_encode(key, table, below(key), seen), _encode(value, table, below(key), seen)]
                 for key, value in obj.items()]
        if kind is dict:
            return {"dict": pairs}
        if kind is Counter:
            return {"counter": pairs}
        attributes = obj.__dict__
        if attributes:
            return {"odict": pairs, "attr": _encode(dict(attributes), table, below("_attr"), seen)}
        return {"odict": pairs}
    if kind is tuple:
        return {"tuple": [_encode(value, table, below(i), seen) for i, value in enumerate(obj)]}
    if kind is set:
        return {"set": [_encode(value, table, below(i), seen) for i, value in enumerate(obj)]}
    if kind is _t.Size:
        return {"size": list(obj)}
    if kind is complex:
        return {"complex": [obj.real, obj.imag]}
    if kind is bytes:
        import base64
        return {"bytes": base64.b64encode(obj).decode("ascii")}
    if kind is _t.dtype:
        return {"dtype": dtype_name(obj)}
    if kind is _t.device:
        return {"device": str(obj)}
    raise _NotPlain


def _decode(node, tensors):
    if type(node) in _PLAIN:
        return node
    if type(node) is list:
        return [_decode(value, tensors) for value in node]
    for tag in node:
        value = node[tag]
        if tag == "t":
            return tensors[value]
        if tag in ("dict", "odict", "counter"):
            pairs = [(_decode(k, tensors), _decode(v, tensors)) for k, v in value]
            if tag == "dict":
                return dict(pairs)
            if tag == "counter":
                return Counter(dict(pairs))
            result = OrderedDict(pairs)
            if "attr" in node:
                result.__dict__.update(_decode(node["attr"], tensors))
            return result
        if tag == "tuple":
            return tuple(_decode(v, tensors) for v in value)
        if tag == "set":
            return {_decode(v, tensors) for v in value}
        if tag == "size":
            return _t.Size(value)
        if tag == "complex":
            return complex(*value)
        if tag == "bytes":
            import base64
            return base64.b64decode(value, validate=True)
        if tag == "dtype":
            return _dtype_by_name(value)
        if tag == "device":
            return _t.device(value)
    raise KeyError(f"unknown tag {sorted(node)}")


def _dtype_by_name(name):
    if name not in _CODES and name not in _PAIRS:
        raise KeyError(f"unknown dtype {name!r}")
    return getattr(_t, name)


# -- writing ------------------------------------------------------------------------------------


def save(obj, f, pickle_module=None, pickle_protocol=None, _use_new_zipfile_serialization=True, *, metadata=None, format="safetensors"):
    """Write an object and its tensors to one file: safetensors, or the zip file that PyTorch writes and reads.

    Dicts, lists, tuples, numbers, strings and tensors (state dicts of modules, optimizers,
    schedulers and any nest of them) are described in the header and load without pickle; any other
    picklable object is pickled inside the file. A path is written atomically: under a temporary
    name, flushed to the disk, then renamed; at any time, also after a crash of the machine, the path
    is the new file whole or what was there before. The rename itself is left to the file system: a
    crash in the first seconds after ``save`` may bring back the file from before
    (:func:`~rustorch_py.utils.atomic.atomic_write`).

    Args:
        obj: what to save.
        f: path, or object with ``write``.
        pickle_module, pickle_protocol: used when the object needs a pickle; None: Python's own.
        _use_new_zipfile_serialization: accepted as PyTorch does; False is refused.
        metadata: dict of strings to keep in the header beside ours (safetensors only).
        format: "safetensors", whose entries hold as much of a storage as the saved tensors reach, or "pytorch": a file that
            ``torch.load`` of PyTorch reads too, with storages whole. Tensors that share memory share it again in both.

    Raises:
        TensorTypeError: ``format="pytorch"`` and the object holds an instance of a class of this package; save its state_dict.
        TensorValueError: a format or an argument that does not go with it.

    Example:
        >>> save(model.state_dict(), "model.safetensors")      # doctest: +SKIP
        >>> save(model.state_dict(), "model.pt", format="pytorch")      # doctest: +SKIP

    See Note [File layout] for what is inside.
    """
    if not _use_new_zipfile_serialization:
        raise TensorValueError("save: PyTorch's legacy format is not written; leave "
                               "_use_new_zipfile_serialization True", op="save")
    if not (isinstance(f, (str, os.PathLike)) or hasattr(f, "write")):
        raise TensorTypeError(f"save: f must be a path or have a write method, got {type(f).__name__}", op="save")
    if format == "pytorch":
        if metadata is not None or pickle_module is not None or pickle_protocol not in (None, 2):
            raise TensorValueError("save: format='pytorch' takes no metadata, and its pickle is Python's of protocol 2; leave metadata, pickle_module "
                                   "and pickle_protocol out", op="save")
        from ._pytorch_write import write_pytorch
        write = lambda out: write_pytorch(obj, out)
    elif format == "safetensors":
        header, chunks = _prepare(obj, metadata, pickle_module, pickle_protocol)
        write = lambda out: _write(out, header, chunks)
    else:
        raise TensorValueError(f"save: format must be 'safetensors' or 'pytorch', got {format!r}", op="save", argument="format")
    if hasattr(f, "write"):
        write(f)
    else:
        with atomic_write(f, sync_folder=False) as out:
            write(out)


def _prepare(obj, metadata, pickle_module, pickle_protocol):
    """Return the header's bytes and the chunks of tensor bytes, in file order."""
    table = _TensorTable()
    stream = None
    try:
        if pickle_module is not None:
            raise _NotPlain
        root = _encode(obj, table, "", {})
    except (_NotPlain, RecursionError):
        table = _TensorTable()
        stream = _pickle(obj, table, pickle_module, pickle_protocol)
        root = {"pickle": "rustorch.pickle"}
    rows, entries = table.finish(taken={"rustorch.pickle"} if stream is not None else ())
    entries = [(name, code, shape, bytes_of(held)) for name, code, shape, held in entries]
    if stream is not None:
        entries.append(("rustorch.pickle", "U8", [len(stream)], memoryview(stream)))
    # Wide types first: every tensor then begins at a multiple of its element's size.
    width = {"C64": 8, "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4}
    entries.sort(key=lambda entry: -width.get(entry[1], 2 if "16" in entry[1] else 1))

    place, crc, header = 0, 0, {}
    for name, code, shape, raw in entries:
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [place, place + len(raw)]}
        place += len(raw)
        crc = crc32(raw, crc)
    described = {"version": 1, "tensors": rows, "root": root}
    notes = {str(k): str(v) for k, v in (metadata or {}).items()}
    notes.update(format="pt", rustorch=_json(described))
    header = {"__metadata__": notes, **header}
    notes["crc32"] = f"{crc32(_json(header).encode(), crc):08x}"
    text = _json(header).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise TensorError(f"save: the description of the object takes {len(text)} bytes, the format allows "
                          f"{_MAX_HEADER}; put large data into tensors", op="save")
    return len(text).to_bytes(8, "little") + text, [raw for _, _, _, raw in entries]


_json = json.JSONEncoder(separators=(",", ":")).encode


def _write(out, header, chunks):
    out.write(header)
    fd = out.fileno() if type(out) is io.BufferedWriter else None
    started = 0
    for raw in chunks:
        out.write(raw)
        if fd is not None and len(raw) > io.DEFAULT_BUFFER_SIZE:      # the disk works while the next are copied
            here = out.tell()
            if here - started >= _TOGETHER:
                start_writing(fd, started, here - started)
                started = here


def _pickle(obj, table, module, protocol):
    import pickle
    module = module or pickle
    out = io.BytesIO()

    class Pickler(module.Pickler):
        def persistent_id(self, value):
            kind = type(value)
            if kind is Tensor:
                return ("t", table.add(value, f"tensor.{len(table.tensors)}"))
            if kind is _t.dtype:
                return ("dtype", dtype_name(value))
            if kind is _t.device:
                return ("device", str(value))
            return None

    Pickler(out, pickle.HIGHEST_PROTOCOL if protocol is None else protocol).dump(obj)
    return out.getvalue()


# -- reading ------------------------------------------------------------------------------------


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Read an object that :func:`save` wrote, any safetensors file, or a file of PyTorch's ``torch.save``.

    Args:
        f: path, or object with ``read`` (and ``seek`` for PyTorch's files).
        map_location: where tensors go: a device, a dict from saved to wanted device, or a function
            of (tensor on the CPU, saved device's name).
        pickle_module: module whose Unpickler reads a pickle; needs ``weights_only=False``.
        weights_only: True (the default): a pickle inside may only build known, harmless types;
            see :func:`add_safe_globals`. False runs whatever the pickle says: for trusted files only.
        mmap: map the file instead of reading it (paths only): tensors are read when first touched,
            and the checksum is not looked at.
        **pickle_load_args: for the Unpickler.

    Returns:
        The object.

    Raises:
        FileFormatError: the file is damaged, cut short or of another kind.
        pickle.UnpicklingError: the pickle asks for more than ``weights_only`` allows.
    """
    if weights_only is None:
        weights_only = pickle_module is None
    if weights_only and pickle_module is not None:
        raise TensorError("load: can not safely load weights when explicit pickle_module is specified; "
                          "pass weights_only=False", op="load")
    options = (map_location, weights_only, pickle_module, pickle_load_args)
    if hasattr(f, "read"):
        if mmap:
            raise TensorValueError("load: f must be a path when mmap=True", op="load")
        return _load_stream(f, getattr(f, "name", "the given file"), None, options)
    path = os.fspath(f)
    with open(path, "rb") as stream:
        view = None
        if mmap and os.fstat(stream.fileno()).st_size:
            import mmap as mmap_module
            view = mmap_module.mmap(stream.fileno(), 0, access=mmap_module.ACCESS_COPY)
        return _load_stream(stream, path, view, options)


def _load_stream(stream, where, view, options):
    lead = _read_exactly(stream, 8, where)
    if lead[:4] == _ZIP_MAGIC:
        from ._pytorch_file import load_pytorch
        stream.seek(-8, os.SEEK_CUR)
        return load_pytorch(stream, where, options)
    length = int.from_bytes(lead, "little")
    if not 2 <= length <= _MAX_HEADER:
        raise UnknownFileError(f"load: {where} is not a file saved by rustorch_py.save, a safetensors file or one of "
                              "torch.save: its first bytes fit none of them", op="load")
    try:
        header = json.loads(_read_exactly(stream, length, where))
        notes = header.get("__metadata__", {})
        crc_expected = notes.pop("crc32", None)
        text = _json(header).encode() if crc_expected is not None else None
        header.pop("__metadata__", None)
        entries = _check_header(header)
    except FileFormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"load: {where} is damaged: its header cannot be read ({error})", op="load") from None
    held, crc = _read_entries(stream, entries, where, view, 8 + length)
    if crc_expected is not None and view is None:
        crc = f"{crc32(text, crc):08x}"
        if crc != crc_expected:
            raise FileFormatError(f"load: {where} is damaged: its checksum is {crc}, its header says {crc_expected}",
                                  op="load")
    if "rustorch" not in notes:
        place = _placer(options[0])
        return {name: place(tensor, "cpu") for name, tensor in held.items()}
    try:
        described = json.loads(notes["rustorch"])
        if described["version"] != 1:
            raise FileFormatError(f"load: {where} was written by a newer version (layout "
                                  f"{described['version']!r}); upgrade rustorch_py", op="load")
        tensors = _make_tensors(described["tensors"], held, options[0])
        root = described["root"]
        if not (type(root) is dict and "pickle" in root):
            return _decode(root, tensors)
        stream = bytes(bytes_of(held[root["pickle"]]))
    except FileFormatError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"load: {where} is damaged: its description does not fit its tensors ({error})",
                              op="load") from error
    return _unpickle(stream, tensors, options, where)


def _read_exactly(stream, n, where):
    data = stream.read(n)
    if len(data) < n:
        kind = FileFormatError if n != 8 or data.startswith(_ZIP_MAGIC) else UnknownFileError if data else EmptyFileError
        raise kind(f"load: {where} is damaged: it ends after {len(data)} of {n} bytes of its "
                              f"{'lead' if n == 8 else 'header'}", op="load")
    return data


def _check_header(header):
    """Return entries (name, dtype, shape, nbytes) in file order, after checking that they tile the data."""
    entries = []
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        if entry["dtype"] not in _NAMES:
            raise ValueError(f"dtype {entry['dtype']} of {name!r} is not known here")
        dtype = getattr(_t, _NAMES[entry["dtype"]], None)
        if dtype is None:
            raise ValueError(f"dtype {entry['dtype']} of {name!r} is not known here")
        shape = entry["shape"]
        numel = 1
        for size in shape:
            if type(size) is not int or size < 0:
                raise ValueError(f"shape {shape} of {name!r}")
            numel *= size
        if type(start) is not int or type(end) is not int or end - start != numel * dtype.itemsize:
            raise ValueError(f"{name!r} of shape {shape} does not fit its place {start}..{end}")
        entries.append((start, end, name, dtype, shape))
    entries.sort(key=lambda entry: entry[:2])
    place = 0
    for start, end, name, _, _ in entries:
        if start != place:
            raise ValueError(f"{name!r} begins at {start}, expected {place}")
        place = end
    return entries


def _read_entries(stream, entries, where, view, begin):
    """Read each entry's bytes into a tensor of its own, with their checksum; with ``view``, map them."""
    held, crc = {}, 0
    total = entries[-1][1] if entries else 0
    left = _bytes_left(stream) if view is None else None
    if left is not None and left < total:      # before any memory is asked for
        raise FileFormatError(f"load: {where} is damaged: it holds {left} of {total} bytes of tensors", op="load")
    if view is not None:
        if len(view) < begin + total:
            raise FileFormatError(f"load: {where} is damaged: it holds {len(view) - begin} of {total} bytes of tensors",
                                  op="load")
        for start, stop, name, dtype, shape in entries:
            if start == stop or (begin + start) % dtype.itemsize:
                # Nothing to map, or not aligned in the file: a copy.
                held[name] = _t.empty(shape, dtype=dtype)
                bytes_of(held[name])[:] = memoryview(view)[begin + start:begin + stop]
            else:
                held[name] = _t.frombuffer(view, dtype=dtype, count=(stop - start) // dtype.itemsize,
                                           offset=begin + start).reshape(shape)
        return held, None
    if total >= _TOGETHER and type(stream) is io.BufferedReader and type(stream.raw) is io.FileIO:
        return _read_together(stream, entries, where, total)
    for start, stop, name, dtype, shape in entries:
        tensor = _t.empty(shape, dtype=dtype)
        if stop > start:
            raw = bytes_of(tensor)
            got = _read_into(stream, raw)
            if got < stop - start:
                raise FileFormatError(f"load: {where} is damaged: it ends inside {name!r}, after {start + got} of "
                                      f"{total} bytes of tensors", op="load")
            crc = crc32(raw, crc)
        held[name] = tensor
    return held, crc


def _read_together(stream, entries, where, total):
    """`_read_entries` of a file: all tensors at once, by as many threads as operators use."""
    held = {name: _t.empty(shape, dtype=dtype) for _, _, name, dtype, shape in entries}
    begin = stream.tell()
    got, crc = read_tensors(stream.fileno(), begin, list(held.values()), 0)
    if got < total:
        name = next(name for start, stop, name, _, _ in entries if got < stop)
        raise FileFormatError(f"load: {where} is damaged: it ends inside {name!r}, after {got} of {total} bytes of tensors", op="load")
    stream.seek(begin + total)
    return held, crc


def _bytes_left(stream):
    """Return how many bytes follow, None if the stream cannot tell."""
    try:
        here = stream.tell()
        end = stream.seek(0, os.SEEK_END)
        stream.seek(here)
        return end - here
    except (AttributeError, OSError, ValueError, TypeError):
        return None


def _read_into(stream, raw):
    done = 0
    while done < len(raw):
        if hasattr(stream, "readinto"):
            n = stream.readinto(raw[done:])
        else:
            data = stream.read(min(len(raw) - done, 1 << 24))
            n = len(data)
            raw[done:done + n] = data
        if not n:
            break
        done += n
    return done


def _make_tensors(rows, held, map_location):
    place = _placer(map_location)
    moved = {}      # entries sent to another device, so that sharing survives
    tensors = []
    for row in rows:
        name, device = row["name"], row.get("device", "cpu")
        key = (name, device)
        if key not in moved:
            base = held[name]
            if row.get("dtype") in _PAIRS:
                base = _t.view_as_complex(base)
            moved[key] = place(base, device)
        tensor = moved[key]
        if "shape" in row:
            size, stride, offset = row["shape"], row["stride"], row["offset"]
            last = offset + sum((n - 1) * s for n, s in zip(size, stride))
            if offset < 0 or min(stride, default=0) < 0 or (0 not in size and last >= tensor.numel()):
                raise ValueError(f"view of {name!r} outside of it")
            tensor = tensor.as_strided(size, stride, tensor.storage_offset() + offset)
        elif any(t is tensor for t in tensors):
            tensor = tensor.detach()
        if row.get("grad"):
            tensor.requires_grad_(True)
        tensors.append(tensor)
    return tensors


def _placer(map_location):
    """Return a function (tensor on the CPU, saved device) -> tensor where it belongs."""
    def to(tensor, device):
        return tensor if str(device) == "cpu" else tensor.to(device)

    if map_location is None:
        return to
    if isinstance(map_location, dict):
        def by_table(tensor, device):
            wanted = map_location.get(device, map_location.get(_t.device(device), device))
            return to(tensor, _t.device(wanted))
        return by_table
    if callable(map_location) and not isinstance(map_location, (str, _t.device)):
        def by_function(tensor, device):
            result = map_location(tensor, device)
            if result is None:
                return to(tensor, device)
            return result if isinstance(result, Tensor) else tensor
        return by_function
    target = _t.device(map_location)
    return lambda tensor, device: to(tensor, target)


def _unpickle(stream, tensors, options, where):
    import pickle
    _, weights_only, module, args = options

    def persistent_load(pid):
        kind, value = pid
        if kind == "t":
            return tensors[value]
        if kind == "dtype":
            return _dtype_by_name(value)
        if kind == "device":
            return _t.device(value)
        raise pickle.UnpicklingError(f"unknown reference {kind!r}")

    if weights_only:
        return RestrictedUnpickler(io.BytesIO(stream), persistent_load, where).load()
    base = (module or pickle).Unpickler

    class Unpickler(base):
        pass

    Unpickler.persistent_load = staticmethod(persistent_load)
    return Unpickler(io.BytesIO(stream), **args).load()
