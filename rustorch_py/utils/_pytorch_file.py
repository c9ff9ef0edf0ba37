"""Reading the zip files of `torch.save`, without PyTorch.

The archive holds `data.pkl`, a pickle whose tensors are references to storages, and one file
`data/<key>` per storage. Only the names that PyTorch writes for tensors are known here; the rest
of the pickle goes through the same allow-list as our own files.
"""
from __future__ import annotations

import io
import zipfile
from collections import OrderedDict

from .. import tensor as _t
from ..errors import FileFormatError
from ._memory import bytes_of
from ._unpickle import RestrictedUnpickler

_STORAGES = {"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
             "BFloat16Storage": "bfloat16", "ComplexDoubleStorage": "complex128", "ComplexFloatStorage": "complex64",
             "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
             "ByteStorage": "uint8", "BoolStorage": "bool", "UntypedStorage": "uint8"}
_DTYPES = {*_STORAGES.values(), "complex32", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
           "float8_e8m0fnu"}


def load_pytorch(stream, where, options):
    """Load an archive of ``torch.save``; ``options`` as in :mod:`serialization`."""
    from .serialization import _placer, _read_into
    map_location, weights_only, module, args = options
    place = _placer(map_location)
    try:
        archive = zipfile.ZipFile(stream)
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise FileFormatError(f"load: {where} is a zip file, but not one of torch.save: it has no data.pkl",
                                  op="load")
        root = pickles[0][:-len("data.pkl")]
        order = root + "byteorder"
        if order in names and archive.read(order) != b"little":
            raise FileFormatError(f"load: {where} was written on a big-endian machine, which is not supported",
                                  op="load")
        text = archive.read(pickles[0])
    except zipfile.BadZipFile as error:
        raise FileFormatError(f"load: {where} is damaged: {error}", op="load") from None

    storages = {}

    def storage(pid):
        kind, storage_type, key, location, numel = pid
        if kind != "storage":
            raise FileFormatError(f"load: {where}: unknown reference {kind!r}", op="load")
        if key not in storages:
            dtype = storage_type.dtype
            name = f"{root}data/{key}"
            if name not in names or archive.getinfo(name).file_size < numel * dtype.itemsize:
                raise FileFormatError(f"load: {where} is damaged: storage {key} is missing or too short", op="load")
            flat = _t.empty((numel,), dtype=dtype)
            if numel:
                try:
                    with archive.open(name) as f:
                        raw = bytes_of(flat)
                        got = _read_into(f, raw)
                except (KeyError, zipfile.BadZipFile) as error:
                    raise FileFormatError(f"load: {where} is damaged: storage {key}: {error}", op="load") from None
                if got < len(raw):
                    raise FileFormatError(f"load: {where} is damaged: storage {key} has {got} of {len(raw)} bytes",
                                          op="load")
            storages[key] = place(flat, location)
        return _Storage(storages[key])

    replaced = _torch_names()
    if weights_only:
        return _whole(RestrictedUnpickler(io.BytesIO(text), storage, where, replaced).load())
    import pickle
    base = (module or pickle).Unpickler

    class Unpickler(base):
        def find_class(self, module, name):
            if (module, name) in replaced:
                return replaced[module, name]
            return _ours(module, name) or super().find_class(module, name)

    Unpickler.persistent_load = staticmethod(storage)
    return _whole(Unpickler(io.BytesIO(text), **args).load())


def _ours(module, name):
    """What this package has under the name of a class or function of PyTorch, so that whole modules and optimizers load; else None."""
    if module.partition(".")[0] != "torch":
        return None
    import importlib
    package = __name__.partition(".")[0]
    for place in (module, "torch.nn") if module.startswith("torch.nn.modules.") else (module,):       # layers lie in other files here
        try:
            found = importlib.import_module(package + place[len("torch"):])
            for part in name.split("."):
                found = getattr(found, part)
            return found
        except (ImportError, AttributeError):
            pass
    return None


def _whole(loaded):
    return loaded.flat.untyped_storage() if isinstance(loaded, _Storage) else loaded


class _Storage:
    """A storage, as far as rebuilding needs it: its elements as a flat tensor."""

    def __init__(self, flat):
        self.flat = flat


class _StorageType:
    def __init__(self, dtype):
        self.dtype = dtype


def _rebuild_tensor(storage, offset, size, stride):
    size, stride = tuple(size), tuple(stride)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    if offset < 0 or min(stride, default=0) < 0 or (0 not in size and last >= storage.flat.numel()):
        raise FileFormatError("load: a tensor lies outside of its storage", op="load")
    return storage.flat.as_strided(size, stride, offset)


def _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks, metadata=None):
    return _as_it_was(_rebuild_tensor(storage, offset, size, stride), metadata).requires_grad_(requires_grad)


def _as_it_was(tensor, metadata):
    """A tensor that PyTorch saved with its conjugate or its negative still to be computed."""
    if metadata and metadata.get("conj"):
        tensor = tensor.conj_physical()
    return -tensor if metadata and metadata.get("neg") else tensor


def _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None):
    # Written for dtypes without a storage class of their own: the storage is bytes.
    return _as_it_was(_rebuild_tensor(_Storage(storage.flat.view(dtype)), offset, size, stride), metadata).requires_grad_(requires_grad)


def _rebuild_parameter(data, requires_grad, backward_hooks):
    import importlib
    return importlib.import_module(__name__.partition(".")[0] + ".nn").Parameter(data, requires_grad)


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    param = _rebuild_parameter(data, requires_grad, backward_hooks)
    if isinstance(state, dict):
        param.__dict__.update(state)
    return param


def _rebuild_sparse_tensor(layout, data):
    if str(layout) in ("torch.sparse_coo", "rustorch_py.sparse_coo"):
        indices, values, size = data[:3]
        return _t.sparse_coo_tensor(indices, values, tuple(size), is_coalesced=data[3] if len(data) > 3 else None)
    compressed, plain, values, size = data
    return _t.sparse_compressed_tensor(compressed, plain, values, tuple(size), layout=layout)


def _rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad):
    return _t.empty_strided(tuple(size), tuple(stride), dtype=dtype, device="meta").requires_grad_(requires_grad)


_LAYOUTS = {"torch." + name: getattr(_t, name) for name in ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")}


def _get_layout(name):
    # The name is the file's: looked up in a table, as an attribute of any module it would hand out every function there is.
    if not isinstance(name, str) or name not in _LAYOUTS:
        raise FileFormatError(f"load: unknown layout {name!r}", op="load")
    return _LAYOUTS[name]


def _rebuild_from_type_v2(function, kind, args, state):
    if not any(function is known for known in _REBUILDERS):   # the file names it: what else it may name is not to be called, and no object but a tensor written
        raise FileFormatError(f"load: {getattr(function, '__name__', function)!r} does not rebuild a tensor", op="load")
    made = function(*args)
    if not isinstance(made, _t.Tensor):
        raise FileFormatError(f"load: {function.__name__} made no tensor", op="load")
    if kind is not _t.Tensor and isinstance(kind, type) and issubclass(kind, _t.Tensor) and type(made) is not kind:
        made = made.as_subclass(kind)
    if isinstance(state, tuple):                          # (attributes, slots)
        state = {**(state[0] or {}), **(state[1] or {})}
    for name, value in (state or {}).items():
        setattr(made, name, value)
    return made


_REBUILDERS = (_rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3, _rebuild_parameter, _rebuild_parameter_with_state, _rebuild_sparse_tensor,
               _rebuild_meta_tensor_no_storage)


def _torch_names():
    """Map the names in PyTorch's pickles to what stands for them here."""
    names = {
        ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
        ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter_with_state,
        ("torch._utils", "_rebuild_sparse_tensor"): _rebuild_sparse_tensor,
        ("torch._utils", "_rebuild_meta_tensor_no_storage"): _rebuild_meta_tensor_no_storage,
        ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type_v2,
        ("torch.serialization", "_get_layout"): _get_layout,
        ("torch", "Tensor"): _t.Tensor,
        ("torch", "Size"): _t.Size,
        ("torch", "device"): _t.device,
        ("torch.storage", "UntypedStorage"): _StorageType(_t.uint8),
        ("collections", "OrderedDict"): OrderedDict,
    }
    for storage, dtype in _STORAGES.items():
        names["torch", storage] = _StorageType(getattr(_t, dtype))
    for dtype in _DTYPES:
        names["torch", dtype] = getattr(_t, dtype)
    return names
