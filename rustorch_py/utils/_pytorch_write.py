"""Writing the zip files of `torch.save`, without PyTorch.

What :mod:`._pytorch_file` reads. Storages are written whole, once each, and a tensor is its storage, offset, shape and strides: views
share memory with their base again when loaded, in PyTorch and here. The pickle names PyTorch's own functions, which need not be there
to be named: hence Python's own pickler, whose table of types may be added to.
"""
from __future__ import annotations

import importlib
import io
import pickle
import sys
import zipfile
from collections import OrderedDict

from .. import tensor as _t
from ..errors import TensorError, TensorTypeError
from ..tensor import Tensor
from ._memory import bytes_of, dtype_name
from ._pytorch_file import _STORAGES

_CLASS_OF = {dtype: name for name, dtype in _STORAGES.items() if name != "UntypedStorage"}
_PACKAGE = __name__.partition(".")[0]
_ALIGNMENT = 64            # of each storage in the file, as PyTorch writes them


class _Global:
    """A name that the pickle refers to."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise NotImplementedError                       # the pickler asks whether it could be called


_BYTES = _Global("torch.storage", "UntypedStorage")
_REBUILD, _REBUILD_V3 = _Global("torch._utils", "_rebuild_tensor_v2"), _Global("torch._utils", "_rebuild_tensor_v3")
_SPARSE, _LAYOUT = _Global("torch._utils", "_rebuild_sparse_tensor"), _Global("torch.serialization", "_get_layout")
_PARAMETER, _SIZE, _DEVICE = _Global("torch._utils", "_rebuild_parameter"), _Global("torch", "Size"), _Global("torch", "device")
_named_here = {}


def _named(name):
    """The one object for ``torch.<name>``: the pickler remembers what it wrote by identity."""
    return _named_here.setdefault(name, _Global("torch", name))


class _Reference:
    """A storage in the pickle."""

    def __init__(self, pid):
        self.pid = pid


class _Layout:
    """A layout in a pickle: PyTorch looks it up by name."""

    def __init__(self, name):
        self.name = name


class _Pickler(pickle._Pickler):
    """Pickles what PyTorch's `save` would write for the same object."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, out):
        super().__init__(out, 2)
        nn = importlib.import_module(_PACKAGE + ".nn")
        self.dispatch = {**self.dispatch, nn.Parameter: _Pickler.save_parameter, nn.Buffer: _Pickler.save_tensor}
        sparse = sys.modules.get(_PACKAGE + ".tensor._sparse")            # not loaded: there are no sparse tensors
        if sparse is not None:
            self.dispatch[sparse.SparseTensor] = _Pickler.save_sparse
        self.storages = []                              # each as a flat tensor of bytes
        self._known = {}                                # address -> dtype of the first tensor, reference

    def persistent_id(self, obj):
        return obj.pid if type(obj) is _Reference else None

    def save_name(self, name):
        self.write(pickle.GLOBAL + f"{name.module}\n{name.name}\n".encode())
        self.memoize(name)

    dispatch[_Global] = save_name

    def save_dtype(self, dtype):
        self.save(_named(dtype_name(dtype)))

    dispatch[_t.dtype] = save_dtype

    def save_size(self, size):
        self.save_reduce(_SIZE, (tuple(size),), obj=size)

    dispatch[_t.Size] = save_size

    def save_device(self, device):
        kind = "mps" if device.type == "metal" else device.type
        self.save_reduce(_DEVICE, (kind,) if device.index is None else (kind, device.index), obj=device)

    dispatch[_t.device] = save_device

    def save_parameter(self, parameter):
        data = parameter.detach()
        self.save_reduce(_PARAMETER, (data, parameter.requires_grad, OrderedDict()), obj=parameter)

    def save_global(self, obj, name=None):
        module = getattr(obj, "__module__", None) or ""
        if module.partition(".")[0] == _PACKAGE:
            raise TensorTypeError(f"save: format='pytorch' holds tensors and Python's own values, got {name or obj.__qualname__} of {module}; save its "
                                  "state_dict(), or leave format out", op="save", argument="obj")
        super().save_global(obj, name)

    for kind, known in tuple(dispatch.items()):
        if known is pickle._Pickler.save_global:
            dispatch[kind] = save_global
    del kind, known

    def save_tensor(self, tensor):
        if tensor.device.type == "meta":
            raise TensorError("save: format='pytorch' cannot hold tensors of 'meta', which have no elements", op="save")
        dtype, storage = tensor.dtype, tensor.untyped_storage()
        key = storage if storage.nbytes() else ("empty", len(self.storages))
        own_class = _CLASS_OF.get(dtype_name(dtype))
        if key not in self._known:
            where = "mps" if tensor.device.type == "metal" else str(tensor.device)
            kind, size = (_BYTES, 1) if own_class is None else (_named(own_class), dtype.itemsize)
            self._known[key] = dtype, _Reference(("storage", kind, str(len(self.storages)), where, storage.nbytes() // size))
            self.storages.append(_t.empty(0, dtype=_t.uint8, device=tensor.device).set_(storage))
        first, reference = self._known[key]
        if first is not dtype:
            raise TensorError(f"save: Cannot save multiple tensors or storages that view the same data as different types: {first} and {dtype}", op="save")
        place = reference, tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()), tensor.requires_grad, OrderedDict()
        if own_class is None:
            self.save_reduce(_REBUILD_V3, (*place, dtype), obj=tensor)
        else:
            self.save_reduce(_REBUILD, place, obj=tensor)

    dispatch[Tensor] = save_tensor

    def save_sparse(self, tensor):
        if tensor.layout == _t.sparse_coo:
            parts = tensor._indices(), tensor._values(), tuple(tensor.shape), tensor.is_coalesced()
        elif tensor.layout == _t.sparse_csr:
            parts = tensor.crow_indices(), tensor.col_indices(), tensor.values(), tuple(tensor.shape)
        else:
            parts = tensor.ccol_indices(), tensor.row_indices(), tensor.values(), tuple(tensor.shape)
        self.save_reduce(_SPARSE, (_Layout(str(tensor.layout).rpartition(".")[2]), parts), obj=tensor)

    def save_layout(self, layout):
        self.save_reduce(_LAYOUT, ("torch." + layout.name,))

    dispatch[_Layout] = save_layout


def write_pytorch(obj, stream):
    """Write an object as ``torch.save`` does; the arguments are checked by :func:`.serialization.save`."""
    text = io.BytesIO()
    pickler = _Pickler(text)
    pickler.dump(obj)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "data.pkl", text.getvalue())
        _add(archive, ".format_version", b"1")
        _add(archive, ".storage_alignment", str(_ALIGNMENT).encode())
        _add(archive, "byteorder", b"little")
        for key, flat in enumerate(pickler.storages):
            _add(archive, f"data/{key}", bytes_of(flat.cpu()))
        _add(archive, "version", b"3\n")


def _add(archive, name, raw):
    """Add a file whose bytes begin at a multiple of 64."""
    info = zipfile.ZipInfo("archive/" + name)
    info.file_size = len(raw)
    wide = len(raw) * 1.05 > zipfile.ZIP64_LIMIT
    lead = archive.fp.tell() + 30 + len(info.filename) + (20 if wide else 0) + 4
    space = -lead % _ALIGNMENT
    info.extra = b"FB" + space.to_bytes(2, "little") + b"Z" * space
    with archive.open(info, "w", force_zip64=wide) as f:
        f.write(raw)
