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


_known = {}        # dtype -> the attributes of its finfo


def _dtype_of(name, given):
    if not isinstance(given, _t.dtype):
        raise TensorTypeError(f"{name}(): argument 'type' (position 1) must be torch.dtype, not {type(given).__name__}")
    return given


class finfo:
    """Limits of a float dtype: bits, eps, max, min, tiny, smallest_normal, resolution, dtype."""
    __module__ = "rustorch_py"

    def __init__(self, type=None):
        dtype = _t.get_default_dtype() if type is None else type
        known = _known.get(dtype)
        if known is not None:
            self.__dict__.update(known)
            return
        dtype = _dtype_of("finfo", dtype)
        name = dtype.to_real().name if dtype.is_complex else dtype.name
        if name not in _FLOAT:
            raise TensorTypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{dtype}'")
        self.bits, self.eps, self.max, self.tiny, self.smallest_subnormal, digits = _FLOAT[name]
        self.min, self.smallest_normal, self.resolution, self.dtype = self.tiny if name == "float8_e8m0fnu" else -self.max, self.tiny, 10.0 ** -digits, name
        _known[dtype] = dict(self.__dict__)

    def __repr__(self):
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
                f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})")

    def __eq__(self, other):
        return isinstance(other, finfo) and self.dtype == other.dtype

    __hash__ = None


class iinfo:
    """Limits of an integer dtype: bits, max, min, dtype."""
    __module__ = "rustorch_py"

    def __init__(self, type):
        if _dtype_of("iinfo", type).name not in _INT:
            raise TensorTypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'")
        self.bits, self.min, self.max = _INT[type.name]
        self.dtype = type.name

    def __repr__(self):
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other):
        return isinstance(other, iinfo) and self.dtype == other.dtype

    __hash__ = None
