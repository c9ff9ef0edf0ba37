"""Names that older scripts use: ``FloatTensor`` and its siblings, ``Tensor.new``, elementwise Python callables."""
from . import _addmm, _pointwise, _rows, _strided
from ..errors import ShapeError, TensorTypeError
from ._base import TensorBase
from ._create import empty_
from ._data import tensor
from ._dtype import NAMED, set_default_dtype
from ._interop import TypedStorage, UntypedStorage, storage_tensor


class TensorKind(type):
    """Type of ``FloatTensor`` and its siblings: calling one makes a tensor, ``isinstance`` looks at dtype and device."""

    def __call__(cls, *args, device=None):
        if cls.is_cuda and not _backend_there("cuda"):
            raise TensorTypeError(f"type {cls.__qualname__} not available. There is no CUDA device here.", op="new")
        return _made(args, cls.dtype, "cuda" if cls.is_cuda and device is None else device)

    def __instancecheck__(cls, x):
        return isinstance(x, TensorBase) and x.dtype is cls.dtype and x.device.type == ("cuda" if cls.is_cuda else "cpu")

    def __repr__(cls):
        return f"<class '{cls.__qualname__}'>" if cls.is_cuda else f"<class 'torch.{cls.__name__}'>"


def _made(args, dtype, device):
    """A tensor of sizes (uninitialised), or of a sequence, array or tensor."""
    if len(args) == 1 and not isinstance(args[0], int) and type(args[0]).__name__ != "Size":
        source = args[0]
        if isinstance(source, TensorBase):
            if source.dtype is not dtype:
                raise TensorTypeError(f"expected {dtype} (got {source.dtype}); convert with .to({dtype})", op="new")
            return source.detach()
        if isinstance(source, (TypedStorage, UntypedStorage)):
            flat = storage_tensor(source)
            if flat.dtype is not dtype:
                raise TensorTypeError(f"expected a storage of {dtype}, got one of {flat.dtype}", op="new")
            return flat
        return tensor(source, dtype=dtype, device=device)
    sizes = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
    return empty_(tuple(sizes) if sizes else (0,), dtype=dtype, device=device)


_KINDS = {"FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "BFloat16Tensor": "bfloat16", "LongTensor": "int64",
          "IntTensor": "int32", "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8", "BoolTensor": "bool",
          "ComplexFloatTensor": "complex64", "ComplexDoubleTensor": "complex128"}
TYPES = {name: TensorKind(name, (), {"dtype": NAMED[d], "__module__": "rustorch_py", "is_cuda": False,
                                     "__doc__": f"Constructor of {d} tensors, as PyTorch's legacy type of that name."})
         for name, d in _KINDS.items()}


def _backend_there(device_type):
    from importlib import import_module
    return import_module(f"..{device_type}", __package__).is_available()


# torch.cuda.FloatTensor and its siblings
CUDA_TYPES = {name: TensorKind(name, (), {"dtype": NAMED[d], "__module__": "torch.cuda", "__qualname__": f"torch.cuda.{name}", "is_cuda": True,
                                          "__doc__": f"Constructor of {d} tensors on a CUDA device, as PyTorch's legacy type of that name."})
              for name, d in _KINDS.items()}


class StorageKind(type):
    """Type of ``FloatStorage`` and its siblings: calling one makes a TypedStorage, ``isinstance`` looks at dtype and device."""

    def __call__(cls, *args, wrap_storage=None):
        return TypedStorage(*args, wrap_storage=wrap_storage, dtype=cls.dtype)

    def __instancecheck__(cls, x):
        return isinstance(x, TypedStorage) and x.dtype is cls.dtype and x.device.type == "cpu"

    def __repr__(cls):
        return f"<class 'torch.{cls.__name__}'>"

    def from_buffer(cls, buffer, byte_order=None, count=-1, offset=0):
        """Copy the elements of a buffer; ``byte_order`` ("native", "little", "big") is needed above one byte an element."""
        return TypedStorage.from_buffer(buffer, byte_order, count, offset, dtype=cls.dtype)


STORAGES = {name.replace("Tensor", "Storage"): StorageKind(name.replace("Tensor", "Storage"), (), {
                "dtype": NAMED[d], "__module__": "rustorch_py", "is_cuda": False, "__doc__": f"Constructor of {d} storages, as PyTorch's legacy type of that name."})
            for name, d in _KINDS.items()}


def set_default_tensor_type(t):
    """Set the default float dtype by tensor type: ``set_default_tensor_type(torch.DoubleTensor)``, or its name."""
    kind = TYPES.get(t.rsplit(".", 1)[-1]) if isinstance(t, str) else t
    if not isinstance(kind, TensorKind) or not kind.dtype.is_floating_point:
        raise TensorTypeError(f"invalid type object: only floating-point types are supported as the default type, got {t}")
    set_default_dtype(kind.dtype)


def new(self, *args, device=None):
    """Make a tensor of self's dtype: of sizes, or of a sequence."""
    return _made(args, self.dtype, self.device if device is None else device)


def apply_(self, callable):
    """Replace each element by ``callable(element)``; slow, CPU only."""
    _numbers_only("apply_", self)
    flat = [callable(v) for v in self.detach().reshape(-1).tolist()]
    return self.copy_(tensor(flat, dtype=self.dtype).reshape(self.shape)) if flat else self


def map_(self, other, callable):
    """Replace each element by ``callable(element, other's)``; slow, CPU only."""
    _numbers_only("map_", self)
    pairs = zip(self.detach().reshape(-1).tolist(), other.detach().expand_as(self).reshape(-1).tolist())
    flat = [callable(a, b) for a, b in pairs]
    return self.copy_(tensor(flat, dtype=self.dtype).reshape(self.shape)) if flat else self


def map2_(self, x, y, callable):
    """Replace each element by ``callable(element, x's, y's)``; slow, CPU only."""
    _numbers_only("map2_", self)
    triples = zip(*(t.detach().expand_as(self).reshape(-1).tolist() for t in (self, x, y)))
    flat = [callable(*v) for v in triples]
    return self.copy_(tensor(flat, dtype=self.dtype).reshape(self.shape)) if flat else self


def _numbers_only(op, t):
    if t.requires_grad:
        raise TensorTypeError(f"Can't call {op}() on Variable that requires grad. Use var.detach().{op}() instead.", op=op)
    if t.device.type != "cpu":
        raise TensorTypeError(f"{op} is only implemented on CPU tensors", op=op)


def fill_diagonal_(self, fill_value, wrap=False):
    """Fill the main diagonal in place; wrap: start it anew below, in tall matrices."""
    if self.dim() < 2:
        raise ShapeError("dimensions must larger than 1", op="fill_diagonal_")
    if self.dim() > 2:
        if len(set(self.shape)) != 1:
            raise ShapeError("all dimensions of input must be of equal length", op="fill_diagonal_")
        self.as_strided((self.shape[0],), (sum(self.stride()),), self.storage_offset()).fill_(fill_value)
        return self
    rows, columns = self.shape
    self.diagonal().fill_(fill_value)
    if wrap:
        for start in range(columns + 1, rows, columns + 1):
            self.narrow(0, start, rows - start).diagonal().fill_(fill_value)
    return self


def get_device(input):
    """Return the index of the tensor's device; -1 on the CPU."""
    return -1 if input.device.type == "cpu" else input.device.index or 0


def is_signed(input):
    """Tell whether the dtype has negative numbers."""
    return input.dtype.is_signed


def norm_except_dim(v, pow=2, dim=0):
    """Compute the norm over all dimensions but one, which keep size 1 (dim -1: over all)."""
    if dim == -1:
        return v.norm(pow)
    kept = v.movedim(dim, 0)
    n = kept.reshape(kept.shape[0], -1).norm(pow, 1)
    return n.reshape([-1 if i == dim % v.dim() else 1 for i in range(v.dim())])


def frobenius_norm(input, dim=(), keepdim=False):
    """Compute the Frobenius norm over ``dim`` (default all)."""
    size = input.abs()
    dims = tuple(range(input.dim())) if dim == () else dim
    return (size * size).sum(dims, keepdim=keepdim).sqrt()


def to_dense(self, dtype=None, *, masked_grad=None):
    """Return the tensor itself, or in ``dtype``: all tensors are dense here."""
    return self if dtype is None else self.to(dtype)


def _of_sparse(name):
    def method(self):
        raise ShapeError(f"{name} expected sparse tensor layout but got Strided", op=name)
    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Refuse: only sparse tensors have {name}, and only dense ones exist here."
    return method


FUNCTIONS = {f.__name__: f for f in (set_default_tensor_type, get_device, is_signed, norm_except_dim, frobenius_norm)}
FUNCTIONS.update(TYPES)
FUNCTIONS.update(STORAGES)
FUNCTIONS.update(gcd_=_rows.gcd_, lcm_=_rows.lcm_, xlogy_=_rows.xlogy_, ldexp_=_pointwise.ldexp_, addmv_=_addmm.addmv_,
                 as_strided_=_strided.as_strided_)
METHODS = {f.__name__: f for f in (new, apply_, map_, map2_, fill_diagonal_, to_dense, _of_sparse("indices"), _of_sparse("values"))}
# Accelerators for which there is no back end: no tensor lies on them.
METHODS.update({name: property(lambda self: False, doc=f"Whether the tensor lies on a device of the kind {name[3:]}: no, there is no back end for it.")
                for name in ("is_xpu", "is_mtia", "is_ipu", "is_xla", "is_maia", "is_vulkan")})
