"""finfo and iinfo: limits of dtypes."""
from . import tensor as _t
from .errors import TensorTypeError

# name: (bits, eps, max, tiny, smallest subnormal, decimal digits of resolution)
_FLOAT = {
    "float16": (16, 2.0 ** -10, 65504.0, 2.0 ** -14, 2.0 ** -24, 3),
    "bfloat16": (16, 2.0 ** -7, (2 - 2.0 ** -7) * 2.0 ** 127, 2.0 ** -126, 2.0 ** -133, 2),
    "float32": (32, 2.0 ** -23, (2 - 2.0 ** -23) * 2.0 ** 127, 2.0 ** -126, 2.0 ** -149, 6),
    "float64": (64, 2.0 ** -52, (2 - 2.0 ** -52) * 2.0 ** 1023, 2.0 ** -1022, 2.0 ** -1074, 15),
    "float8_e4m3fn": (8, 0.125, 448.0, 2.0 ** -6, 2.0 ** -9, 0), "float8_e5m2": (8, 0.25, 57344.0, 2.0 ** -14, 2.0 ** -16, 0),
    "float8_e4m3fnuz": (8, 0.125, 240.0, 2.0 ** -7, 2.0 ** -10, 0), "float8_e5m2fnuz": (8, 0.125, 57344.0, 2.0 ** -15, 2.0 ** -17, 0),
    "float8_e8m0fnu": (8, 1.0, 2.0 ** 127, 2.0 ** -127, 2.0 ** -127, 0),
}
_INT = {"uint8": (8, 0, 255), "int8": (8, -128, 127), "int16": (16, -2 ** 15, 2 ** 15 - 1), "int32": (32, -2 ** 31, 2 ** 31 - 1),
        "int64": (64, -2 ** 63, 2 ** 63 - 1), "uint16": (16, 0, 2 ** 16 - 1), "uint32": (32, 0, 2 ** 32 - 1), "uint64": (64, 0, 2 ** 64 - 1)}


_floats, _ints = {}, {}        # dtype -> its limits: they cannot be changed, so one object serves all who ask


def _dtype_of(name, given):
    if not isinstance(given, _t.dtype):
        raise TensorTypeError(f"{name}(): argument 'type' (position 1) must be torch.dtype, not {type(given).__name__}")
    return given


def _make(kind, **values):
    made = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


class _Limits:
    """What finfo and iinfo have in common."""
    __slots__ = ()
    __hash__ = None

    def __setattr__(self, name, value):
        if name in self.__slots__:
            raise AttributeError(f"attribute '{name}' of 'torch.{type(self).__name__}' objects is not writable")
        raise AttributeError(f"'torch.{type(self).__name__}' object has no attribute '{name}'")

    __delattr__ = lambda self, name: self.__setattr__(name, None)

    def __eq__(self, other):
        return type(self) is type(other) and self.dtype == other.dtype

    def __reduce__(self):
        return type(self), (getattr(_t, self.dtype),)


class finfo(_Limits):
    """Limits of a float dtype: bits, eps, max, min, tiny, smallest_normal, resolution, dtype."""
    __module__ = "rustorch_py"
    __slots__ = ("bits", "eps", "max", "min", "tiny", "smallest_normal", "smallest_subnormal", "resolution", "dtype")

    def __new__(cls, type=None):
        try:
            return _floats[type]
        except (KeyError, TypeError):
            pass
        if type is None:
            return cls(_t.get_default_dtype())
        dtype = _dtype_of("finfo", type)
        name = dtype.to_real().name if dtype.is_complex else dtype.name
        if name not in _FLOAT:
            raise TensorTypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{dtype}'")
        bits, eps, most, tiny, subnormal, digits = _FLOAT[name]
        made = _floats[type] = _make(cls, bits=bits, eps=eps, max=most, min=tiny if name == "float8_e8m0fnu" else -most, tiny=tiny,
                                     smallest_normal=tiny, smallest_subnormal=subnormal, resolution=10.0 ** -digits, dtype=name)
        return made

    def __repr__(self):
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
                f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})")


class iinfo(_Limits):
    """Limits of an integer dtype: bits, max, min, dtype."""
    __module__ = "rustorch_py"
    __slots__ = ("bits", "max", "min", "dtype")

    def __new__(cls, type):
        try:
            return _ints[type]
        except (KeyError, TypeError):
            pass
        if _dtype_of("iinfo", type).name not in _INT:
            raise TensorTypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'")
        bits, least, most = _INT[type.name]
        made = _ints[type] = _make(cls, bits=bits, max=most, min=least, dtype=type.name)
        return made

    def __repr__(self):
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
