"""How a tensor prints. Pure Python over ``tolist()``, ``shape``, ``dtype`` and slicing.

A tensor above the threshold is first cut to its corners (nested lists with `CUT` where elements
were left out); number formats are chosen from what is shown, then the lists are laid out.
"""
from contextlib import contextmanager
from math import inf, isfinite

from ..errors import TensorValueError
from ._dtype import get_default_dtype


class _Options:
    """Settings of `set_printoptions`."""

    __slots__ = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")

    def __init__(self):
        self.precision, self.threshold, self.edgeitems, self.linewidth, self.sci_mode = 4, 1000, 3, 80, None


OPTIONS = _Options()
PROFILES = {
    "default": dict(precision=4, threshold=1000, edgeitems=3, linewidth=80),
    "short": dict(precision=2, threshold=1000, edgeitems=2, linewidth=80),
    "full": dict(precision=4, threshold=inf, edgeitems=3, linewidth=80),
}
CUT = object()      # stands for the elements a summary leaves out


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Set how tensors print.

    Args:
        precision: digits after the point (4).
        threshold: number of elements above which the middle is left out (1000).
        edgeitems: elements shown at each end of a cut dimension (3).
        linewidth: characters in a line (80).
        profile: "default", "short" or "full"; single settings given beside it win.
        sci_mode: True or False to force scientific notation on or off; None chooses by the values.
            Every call sets it, so a call without it returns to None.
    """
    if profile is not None:
        if str(profile) not in PROFILES:
            raise TensorValueError(f"set_printoptions: profile is {profile!r}; expected one of {sorted(PROFILES)}")
        for key, value in PROFILES[profile].items():
            setattr(OPTIONS, key, value)
    for key, value in (("precision", precision), ("threshold", threshold),
                       ("edgeitems", edgeitems), ("linewidth", linewidth)):
        if value is not None:
            setattr(OPTIONS, key, value)
    OPTIONS.sci_mode = sci_mode


def get_printoptions():
    """Return the settings of `set_printoptions` as a dict."""
    return {key: getattr(OPTIONS, key) for key in OPTIONS.__slots__}


@contextmanager
def printoptions(**kwargs):
    """Set print options for the length of a ``with`` block."""
    old = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**old)


def _corners(t, cut):
    """Nested lists of t's values; with `cut`, long dimensions become head, CUT, tail."""
    if not cut or t.ndim == 0:
        return t.tolist()
    edge, size = OPTIONS.edgeitems, t.shape[0]
    if size <= 2 * edge:
        return t.tolist() if t.ndim == 1 else [_corners(t[i], cut) for i in range(size)]
    if t.ndim == 1:
        return t[:edge].tolist() + [CUT] + (t[size - edge:].tolist() if edge else [])
    return ([_corners(t[i], cut) for i in range(edge)] + [CUT]
            + [_corners(t[i], cut) for i in range(size - edge, size)])


def _flatten(values, out):
    for v in values:
        if isinstance(v, list):
            _flatten(v, out)
        elif v is not CUT:
            out.append(v)
    return out


class _Format:
    """One number format for all values shown."""

    def __init__(self, values, floating):
        self.floating, self.integral, self.sci, self.width = floating, True, False, 1
        if not floating:
            self.width = max((len(str(v)) for v in values), default=1)
            return
        values = [v for v in values if v != 0 and isfinite(v)]
        if not values:
            return
        low, high = min(abs(v) for v in values), max(abs(v) for v in values)
        self.integral = all(v.is_integer() for v in values)
        if OPTIONS.sci_mode is None:
            self.sci = high / low > 1000.0 or high > 1e8 or low < 1e-4
        else:
            self.sci = OPTIONS.sci_mode
        if self.sci:
            self.width = max(len(f"{v:.{OPTIONS.precision}e}") for v in values)
        elif self.integral:
            self.width = max(len(f"{v:.0f}") for v in values) + 1
        else:
            self.width = max(len(f"{v:.{OPTIONS.precision}f}") for v in values)
        self.width = max(self.width, 1)

    def __call__(self, v):
        if not self.floating:
            text = str(v)
        elif self.sci:
            text = f"{v:{self.width}.{OPTIONS.precision}e}"
        elif self.integral:
            text = f"{v:.0f}" + ("." if isfinite(v) else "")
        else:
            text = f"{v:.{OPTIONS.precision}f}"
        return text.rjust(self.width)


class _ComplexFormat:
    """Real and imaginary parts, each with its own format."""

    def __init__(self, values):
        self.re = _Format([v.real for v in values], True)
        self.im = _Format([v.imag for v in values], True)
        self.width = self.re.width + self.im.width + 1

    def __call__(self, v):
        imag = (self.im(v.imag) + "j").lstrip()
        return self.re(v.real) + (imag if imag[0] in "+-" else "+" + imag)


def _layout(values, ndim, indent, fmt):
    """Text of nested lists, `indent` columns in."""
    if ndim == 0:
        return fmt(values)
    if ndim == 1:
        if len(values) == 1 and values[0] is CUT:
            cells = ["..."]
        else:
            cells = [" ..." if v is CUT else fmt(v) for v in values]
        per_line = max(1, int((OPTIONS.linewidth - indent) // (fmt.width + 2)))
        lines = [", ".join(cells[i:i + per_line]) for i in range(0, len(cells), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = ["..." if v is CUT else _layout(v, ndim - 1, indent + 1, fmt) for v in values]
    return "[" + ("," + "\n" * (ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def _contents(t, indent):
    values = _corners(t, t.numel() > OPTIONS.threshold)
    flat = _flatten(values, []) if t.ndim else [values]
    fmt = _ComplexFormat(flat) if t.dtype.is_complex else _Format(flat, t.dtype.is_floating_point)
    return _layout(values, t.ndim, indent, fmt)


def tensor_repr(t, default_dtype, name="tensor", contents=None):
    """Return the text of ``repr(t)``.

    Args:
        t: the tensor.
        default_dtype: the dtype that goes without saying among floats.
        name: what stands before the bracket: "tensor", or the class name of a subclass.
        contents: text to show for the values instead of the values.
    """
    prefix = name + "("
    indent = len(prefix)
    default, dtype, suffixes = str(default_dtype), str(t.dtype), []
    unsaid = (default, "torch.complex128" if default == "torch.float64" else "torch.complex64",
              "torch.int64", "torch.bool")
    device = t.device
    if device.type not in ("cpu", "meta"):
        suffixes.append(f"device='{device}'")
    plain = t.detach() if t.requires_grad else t
    if device.type == "meta":
        suffixes.append("device='meta'")
        suffixes.append(f"size={tuple(t.shape)}")
        if dtype != default:
            suffixes.append("dtype=" + dtype)
        text = "..."
    elif t.numel() == 0:
        if t.ndim != 1:
            suffixes.append(f"size={tuple(t.shape)}")
        if dtype != default:
            suffixes.append("dtype=" + dtype)
        text = "[]"
    else:
        if not OPTIONS.edgeitems:
            suffixes.append(f"size={tuple(t.shape)}")
        if dtype not in unsaid:
            suffixes.append("dtype=" + dtype)
        text = _contents(plain, indent) if contents is None else contents
    fn = t.grad_fn
    if fn is not None:
        suffixes.append(f"grad_fn=<{fn.name().rsplit('::')[-1]}>")
    elif t.requires_grad:
        suffixes.append("requires_grad=True")

    text = prefix + text
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > OPTIONS.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


def repr_slot(t):
    """Return ``repr(t)``; subclasses other than Parameter print under their own name."""
    name = type(t).__name__
    return tensor_repr(t, get_default_dtype(), "tensor" if name in ("Tensor", "Parameter") else name)


SLOTS = {"repr": repr_slot}
FUNCTIONS = {"set_printoptions": set_printoptions, "get_printoptions": get_printoptions,
             "printoptions": printoptions}
METHODS = {}
