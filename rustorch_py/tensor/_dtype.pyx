# build: cold
"""Interned dtype, device, layout and memory_format objects, and promotion between dtypes."""
cimport cython
from cpython.object cimport PyTypeObject
from ._base_c cimport (RT_BOOL, RT_U8, RT_I8, RT_I16, RT_I32, RT_I64, RT_F16, RT_BF16, RT_F32, RT_F64, RT_C64, RT_C128,
                       RT_C32, RT_U16, RT_U64, RT_E4M3FN, RT_E8M0FNU, RT_NDTYPES, RT_NLOOPED,
                       rt_itemsize, rt_kind, rt_real_dtype, RT_KIND_FLOAT, RT_KIND_COMPLEX, RT_KIND_INT)
from ._backend cimport backend_of, RT_CPU, RT_CUDA, RT_SHELL, RT_META
from ..errors import DeviceError, DTypeError, TensorTypeError, UnsupportedOpError

cdef extern from "type_name.h":
    int rt_type_name(PyTypeObject *type, const char *name) except -1

cdef list NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
                   "complex32", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
cdef list TORCH_NAMES = ["Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double", "ComplexFloat", "ComplexDouble",
                         "ComplexHalf", "UInt16", "UInt32", "UInt64", "Float8_e4m3fn", "Float8_e5m2", "Float8_e4m3fnuz", "Float8_e5m2fnuz", "Float8_e8m0fnu"]
cdef list OBJECTS = []


@cython.final
cdef class dtype:
    """Element type of a tensor. The objects are interned: compare them with ``is`` or ``==``."""

    def __init__(self):
        raise TypeError("dtype objects cannot be made; use torch.float32 and its siblings")

    def __repr__(self):
        return "torch." + self.name

    def __reduce__(self):
        return self.name

    def __hash__(self):
        return 7919 + self.code

    def __deepcopy__(self, memo):
        return self

    def __copy__(self):
        return self

    @property
    def is_floating_point(self):
        """True for real floats."""
        return rt_kind(self.code) == RT_KIND_FLOAT

    @property
    def is_complex(self):
        return rt_kind(self.code) == RT_KIND_COMPLEX

    @property
    def is_signed(self):
        return self.code != RT_BOOL and self.code != RT_U8 and not RT_U16 <= self.code <= RT_U64 and self.code != RT_E8M0FNU

    @property
    def abbr(self):
        """A short name: ``f32``."""
        for long, short in (("bfloat", "bf"), ("float", "f"), ("complex", "c"), ("uint", "u"), ("int", "i"), ("bool", "b8")):
            if self.name.startswith(long):
                return short + self.name[len(long):].replace("_", "")
        return self.name

    def to_real(self):
        """Return the dtype of the real part."""
        return dtype_of(rt_real_dtype(self.code))

    def to_complex(self):
        """Return the complex dtype whose parts hold this one."""
        if self.code == RT_F64 or self.code == RT_C128:
            return dtype_of(RT_C128)
        if self.code == RT_F16 or self.code == RT_C32:
            return dtype_of(RT_C32)
        if self.code >= RT_E4M3FN:
            raise DTypeError(f"Unknown Complex ScalarType for {torch_name(self.code)}")
        return dtype_of(RT_C64)


rt_type_name(<PyTypeObject *>dtype, b"rustorch_py.dtype")
cdef int _i
cdef dtype _d
for _i in range(len(NAMES)):
    _d = dtype.__new__(dtype)
    _d.code = _i
    _d.name = NAMES[_i]
    _d.itemsize = rt_itemsize(_i)
    OBJECTS.append(_d)


cdef dtype dtype_of(int code):
    return <dtype>OBJECTS[code]


def _dtype_by_name(name):
    return OBJECTS[NAMES.index(name)]


cdef str torch_name(int code):
    return <str>TORCH_NAMES[code]


cdef int default_float = RT_F32


cdef int default_code() noexcept:
    return default_float


cdef int default_complex() noexcept:
    return RT_C128 if default_float == RT_F64 else RT_C64


cdef int dtype_code(object op, object d) except -1:
    if isinstance(d, dtype):
        return (<dtype>d).code
    if d is float:
        return RT_F64
    if d is int:
        return RT_I64
    if d is bool:
        return RT_BOOL
    if d is complex:
        return RT_C128
    raise TensorTypeError(f"{op}(): argument 'dtype' must be torch.dtype, not {type(d).__name__}", op=op)


def get_default_dtype():
    """Return the float dtype of new tensors made from Python floats."""
    return dtype_of(default_float)


def set_default_dtype(d):
    """Set the float dtype of new tensors made from Python floats (float16, bfloat16, float32, float64)."""
    global default_float
    cdef int code = dtype_code("set_default_dtype", d)
    if rt_kind(code) != RT_KIND_FLOAT:
        raise TensorTypeError("only floating-point types are supported as the default type")
    default_float = code


# ---- promotion ------------------------------------------------------------------------------------
cdef int table[21][21]


cdef int promote(int a, int b) except -1:
    cdef int dt = table[a][b]
    return dt if dt >= 0 else refuse_promotion(a, b)


cdef int refuse_promotion(int a, int b) except -1:
    kinds = "Float8 Types" if a >= RT_E4M3FN or b >= RT_E4M3FN else "uint16, uint32, uint64 types"
    raise DTypeError(f"Promotion for {kinds} is not supported, attempted to promote {torch_name(a)} and {torch_name(b)}", op="promote_types")


cdef int _pair(int a, int b):
    """-1: PyTorch has no answer."""
    cdef int t
    if a == b:
        return a
    if a >= RT_E4M3FN or b >= RT_E4M3FN:
        return -1
    if a >= RT_U16 or b >= RT_U16:                          # with floats only
        t = b if a >= RT_U16 else a
        return t if t < RT_NLOOPED and rt_kind(t) == RT_KIND_FLOAT else -1
    if a == RT_C32 or b == RT_C32:
        t = b if a == RT_C32 else a
        return RT_C32 if t <= RT_F16 else _pair(RT_C64, t)
    if a > b:
        t = a
        a = b
        b = t
    if a == RT_BOOL:
        return b
    if rt_kind(b) == RT_KIND_INT:
        if a == RT_U8:
            return RT_I16 if b == RT_I8 else b
        return b
    if rt_kind(b) == RT_KIND_FLOAT:
        if rt_kind(a) <= RT_KIND_INT:
            return b
        if a == RT_F16 and b == RT_BF16:
            return RT_F32
        return b
    # b complex
    if b == RT_C64 and a == RT_F64:
        return RT_C128
    return b


cdef int _j
for _i in range(RT_NDTYPES):
    for _j in range(RT_NDTYPES):
        table[_i][_j] = _pair(_i, _j)


def promote_types(type1, type2):
    """Return the smallest dtype that holds both, by PyTorch's table."""
    return dtype_of(promote(dtype_code("promote_types", type1), dtype_code("promote_types", type2)))


def can_cast(from_, to):
    """Tell whether a conversion keeps the category (complex > float > integer > bool)."""
    return bool(castable(dtype_code("can_cast", from_), dtype_code("can_cast", to)))


cdef bint castable(int src, int dst) noexcept:
    if rt_kind(src) > rt_kind(dst):
        return False
    if src != RT_BOOL and dst == RT_BOOL:
        return False
    return True


# ---- stored types ------------------------------------------------------------------------------------
# Operators that only move or convert elements take every dtype.
cdef frozenset MOVES = frozenset("""
    adjoint as_strided as_strided_ broadcast_tensors chunk conj diagonal dsplit expand expand_as flatten hsplit imag movedim narrow permute ravel real
    reshape reshape_as resolve_conj select split squeeze squeeze_ t t_ tensor_split transpose transpose_ unbind unflatten unfold unsqueeze unsqueeze_
    view view_as view_as_complex view_as_real vsplit clone contiguous copy_ cpu cuda data_ptr detach detach_ dim element_size fill fill_ get_device
    is_complex is_conj is_contiguous is_floating_point is_inference is_nonzero is_pinned is_same_size is_set_to is_shared is_signed numel pin_memory
    resize_ resize_as_ set_ share_memory_ size storage_offset stride to type type_as __reversed__ diag diag_embed diagflat diagonal_scatter repeat
    repeat_interleave roll select_scatter slice_scatter tile cat concat concatenate stack hstack vstack dstack column_stack new_tensor item tolist
    __deepcopy__ __reduce_ex__ numpy storage untyped_storage new index requires_grad_ register_hook register_post_accumulate_grad_hook retain_grad
    _make_subclass data __dlpack__ __dlpack_device__ where masked_select result_type zeros_like ones_like empty_like full_like new_zeros new_ones
    new_full new_empty new_empty_strided zero zero_ positive any all isnan eq ne mul pad constant_pad_nd block_diag out index_put index_put_
    bool int long short char byte half float double bfloat16 chalf cfloat cdouble flip fliplr flipud rot90 atleast_1d atleast_2d atleast_3d index_select
    conj_physical outer
""".split())
# What else each family computes.
cdef dict COMPUTES = {
    RT_C32: frozenset("""add sub add_scaled neg abs sgn conj_physical isfinite isinf addcmul count_nonzero nonzero masked_fill index_copy index_fill
                         tril triu rsub isclose allclose""".split()),
    RT_U16: frozenset("""bitwise_and bitwise_or bitwise_xor floor ceil trunc isfinite isinf isposinf isneginf signbit sum prod nansum cumsum cumprod equal sort argsort msort unique
                         unique_consecutive atan2 copysign round fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 hfft2 ihfft2 fftn ifftn rfftn
                         irfftn hfftn ihfftn airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1
                         scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0""".split()),
    RT_E4M3FN: frozenset("abs isfinite isinf eye".split()),
}


cdef int check_stored(object op, int dt) except -1:
    """Refuse a dtype that has no loops, unless the operator moves elements or is computed for it in another dtype."""
    cdef str name = <str>op
    cdef object family = COMPUTES[RT_C32 if dt == RT_C32 else RT_U16 if dt <= RT_U64 else RT_E4M3FN]
    if name in MOVES or name in family or name[-1:] == "_" and (name[:-1] in MOVES or name[:-1] in family):
        return 0
    raise UnsupportedOpError(f'"{name}" not implemented for \'{torch_name(dt)}\'', op=name, dtype=dtype_of(dt))


# ---- devices -----------------------------------------------------------------------------------------
cdef dict DEVICES = {}
cdef tuple TYPES = ("cpu", "cuda", "metal", "meta", "meta")         # by code; RT_SHELL's tensors say where they are themselves
cdef dict CODES = {"cpu": RT_CPU, "cuda": RT_CUDA, "metal": 2, "meta": RT_META}
cdef list default_device_stack = [0]
cdef int cuda_index = -1      # what "cuda" without a number means; -1: not asked for yet


def default_cuda_index():
    """Return the number of the device that "cuda" alone means: RUSTORCH_CUDA_DEVICE, or 0. Read once, when first needed.

    Raises:
        DeviceError: the variable is no number of a device.
    """
    global cuda_index
    if cuda_index < 0:
        import os
        text = os.environ.get("RUSTORCH_CUDA_DEVICE", "").strip() or "0"
        if not (text.isascii() and text.isdigit()) or int(text) > 255:
            raise DeviceError(f"RUSTORCH_CUDA_DEVICE: expected the number of a device (0, 1, ...), got {text!r}")
        cuda_index = int(text)
    return cuda_index


def set_default_cuda_index(int index):
    """Let "cuda" alone mean this device from now on, in devices made before too."""
    global cuda_index
    cuda_index = index
    if ("cuda", None) in DEVICES:
        object.__setattr__(DEVICES["cuda", None], "_code", 1 | index << 8)



class device:
    """A place for tensors: ``device("cpu")``, ``device("cuda:1")``, ``device("cuda", 1)``.

    Objects are interned, so ``is`` compares them. "mps" is accepted for "metal".

    Attributes:
        type: "cpu", "cuda", "metal" or "meta", whose tensors have shapes, dtypes and strides but no elements.
        index: number of the device, or None.
    """
    __module__ = "rustorch_py"
    __slots__ = ("type", "index", "_code", "_saved")

    def __new__(cls, type=None, index=None):
        found = DEVICES.get((type, index)) if isinstance(type, str) else None
        if found is not None:
            return found
        if isinstance(type, device):
            return type
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TensorTypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        kind, sep, number = type.partition(":")
        if sep:
            if index is not None:
                raise DeviceError(f"type (string) must not include an index because index was passed explicitly: {type}")
            if not number.isdigit():
                raise DeviceError(f"Invalid device string: '{type}'")
            index = int(number)
        if kind == "mps":
            kind = "metal"
        if kind not in TYPES:
            raise DeviceError(f"Expected one of cpu, cuda, metal, meta device type at start of device string: {kind}")
        if index is not None and (index < 0 or (kind == "cpu" and index != 0)):
            raise DeviceError(f"device: index {index} is not valid for device type '{kind}'")
        found = DEVICES.get((kind, index))
        if found is None:
            found = object.__new__(cls)
            object.__setattr__(found, "type", kind)
            object.__setattr__(found, "index", index)
            if index is None:
                object.__setattr__(found, "_code", CODES[kind] | ((default_cuda_index() if kind == "cuda" else 0) << 8))
            else:
                object.__setattr__(found, "_code", CODES[kind] | (index << 8))
            object.__setattr__(found, "_saved", [])
            DEVICES[kind, index] = found
        return found

    def __setattr__(self, name, value):
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __repr__(self):
        return f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return (device, (self.type,) if self.index is None else (self.type, self.index))

    def __hash__(self):
        return hash((self.type, self.index))

    def __eq__(self, other):
        return self is other

    def __enter__(self):
        default_device_stack.append(self._code)
        return self

    def __exit__(self, *exc):
        default_device_stack.pop()


cdef object CPU = device("cpu")
cdef dict BY_TEXT = {}           # what was given as text -> device
cdef list CUDA = []              # devices of the type by number, as far as they were asked for


cdef int device_code(object op, object d) except -1:
    if d is None:
        return <int>default_device_stack[-1]
    if d is CPU:
        return 0
    found = BY_TEXT.get(d) if type(d) is str else device(d)
    if found is None:
        found = BY_TEXT[d] = device(d)
    cdef int code = <int>found._code
    if code & 255 != RT_CPU and code & 255 != RT_SHELL:
        backend_of(code)                     # raises where there is none, also for tensors without elements
    return code


cdef object device_of(int code):
    if code == 0:
        return CPU
    if code & 255 == RT_CUDA:
        while len(CUDA) <= code >> 8:
            CUDA.append(device("cuda", len(CUDA)))
        return CUDA[code >> 8]
    return device(TYPES[code & 255], code >> 8 if code & 255 < RT_SHELL else None)


def get_default_device():
    """Return the device of new tensors."""
    return device_of(default_device_stack[-1])


def set_default_device(d):
    """Set the device of new tensors; None means the CPU."""
    default_device_stack[:] = [0 if d is None else device(d)._code]


# ---- layout, memory format ------------------------------------------------------------------------------
class layout:
    """Memory layout of a tensor: ``strided`` or one of the sparse ones."""
    __module__ = "rustorch_py"
    __slots__ = ("_name",)

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return "torch." + self._name

    def __reduce__(self):
        return self._name


class memory_format:
    """Order of dimensions in memory: contiguous_format, channels_last, channels_last_3d, preserve_format."""
    __module__ = "rustorch_py"
    __slots__ = ("_name",)

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return "torch." + self._name

    def __reduce__(self):
        return self._name


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
preserve_format = memory_format("preserve_format")

NAMED = {name: OBJECTS[i] for i, name in enumerate(NAMES)}
NAMED.update(half=OBJECTS[RT_F16], float=OBJECTS[RT_F32], double=OBJECTS[RT_F64], short=OBJECTS[RT_I16], int=OBJECTS[RT_I32],
             long=OBJECTS[RT_I64], chalf=OBJECTS[RT_C32], cfloat=OBJECTS[RT_C64], cdouble=OBJECTS[RT_C128])
