"""Compare tensors, numbers and structures of them."""
from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from .. import tensor as _t
from ..errors import TensorTypeError, TensorValueError
from ..tensor import Tensor
from ..utils._memory import dtype_name

# Default (rtol, atol) by dtype: PyTorch's documented table. Integers compare exactly.
_TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}


def _default_tolerances(*dtypes):
    pairs = [_TOLERANCES.get(dtype_name(dtype), (0.0, 0.0)) for dtype in dtypes]
    return max(p[0] for p in pairs), max(p[1] for p in pairs)


class _Options:
    """What a comparison allows."""

    def __init__(self, rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride, allow_subclasses):
        if (rtol is None) != (atol is None):
            missing = "atol" if atol is None else "rtol"
            raise TensorValueError("Both 'rtol' and 'atol' must be either specified or omitted, "
                                   f"but got no {missing}.")
        self.rtol, self.atol, self.equal_nan = rtol, atol, equal_nan
        self.check_device, self.check_dtype = check_device, check_dtype
        self.check_layout, self.check_stride = check_layout, check_stride
        self.allow_subclasses = allow_subclasses

    def tolerances(self, *dtypes):
        return _default_tolerances(*dtypes) if self.rtol is None else (self.rtol, self.atol)


def assert_close(actual, expected, *, allow_subclasses=True, rtol=None, atol=None, equal_nan=False,
                 check_device=True, check_dtype=True, check_layout=True, check_stride=False, msg=None):
    """Assert that values are close: ``|actual - expected| <= atol + rtol * |expected|``.

    Args:
        actual, expected: tensors, NumPy arrays, numbers, None, or sequences and mappings of them.
        allow_subclasses: compare values of related types; False asks for one type.
        rtol, atol: tolerances, both or none; by default after the dtype (float32: 1.3e-6 and 1e-5).
        equal_nan: let two NaNs be equal.
        check_device, check_dtype, check_layout, check_stride: compare these as well.
        msg: text, or function of the message, to raise instead.

    Raises:
        AssertionError: with the number of mismatches and the greatest differences and their index.
        TypeError: if the inputs cannot be compared.

    Example:
        >>> assert_close(_t.tensor([1.0, 2.0]), _t.tensor([1.0, 2.0 + 1e-7]))
    """
    options = _Options(rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride, allow_subclasses)
    trouble = _compare(actual, expected, options, ())
    if trouble is None:
        return
    text, where = trouble
    if where:
        text += f"\n\nThe failure occurred for item {''.join(f'[{key!r}]' for key in where)}"
    if msg is not None:
        text = msg(text) if callable(msg) else msg
    raise AssertionError(text)


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg=""):
    """Assert that tensors are close, whatever their dtype; arrays and numbers are made tensors.

    PyTorch's former name; :func:`assert_close` is the better one.

    Args:
        actual, expected: tensors, arrays, numbers or lists.
        rtol, atol, equal_nan, msg: as for :func:`assert_close`.
    """
    warnings.warn("`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a future release. Please use "
                  "`torch.testing.assert_close()` instead.", FutureWarning, stacklevel=2)
    actual = actual if isinstance(actual, Tensor) else _t.tensor(actual)
    expected = expected if isinstance(expected, Tensor) else _t.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = _default_tolerances(actual.dtype, expected.dtype)
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True, check_dtype=False,
                 check_stride=False, msg=msg or None)


def assert_tensor_equal(result, expected, *, equal_nan=True, msg=None):
    """Assert that a tensor has exactly the expected shape and values.

    Args:
        result: tensor.
        expected: tensor (then the dtype counts too), array, number or nested list.
        equal_nan: let two NaNs be equal.
        msg: text, or function of the message, to raise instead.

    Example:
        >>> assert_tensor_equal(_t.tensor([1, 2, 3]) + 1, [2, 3, 4])
    """
    if not isinstance(result, Tensor):
        result = _t.as_tensor(result)
    given = isinstance(expected, Tensor)
    if not given:
        expected = _t.as_tensor(expected)
    assert_close(result, expected, rtol=0.0, atol=0.0, equal_nan=equal_nan, check_dtype=given, check_device=given,
                 msg=msg)


def _is_array(value):
    return type(value).__module__ == "numpy" and hasattr(value, "dtype")


def _is_number(value):
    return isinstance(value, (bool, int, float, complex))


def _compare(actual, expected, options, where):
    """Return None, or (message, keys to the place of the failure)."""
    if actual is None or expected is None:
        return None if actual is expected else (f"None mismatch: {actual} is not {expected}", where)
    if not options.allow_subclasses and type(actual) is not type(expected):
        raise _incomparable(actual, expected)
    if isinstance(actual, Tensor) and isinstance(expected, Tensor):
        text = _compare_tensors(actual, expected, options)
        return None if text is None else (text, where)
    if _is_array(actual) and _is_array(expected):
        text = _compare_tensors(_t.as_tensor(actual), _t.as_tensor(expected), options)
        return None if text is None else (text, where)
    if isinstance(actual, bool) and isinstance(expected, bool):
        return None if actual is expected else (f"Booleans mismatch: {actual} is not {expected}", where)
    if _is_number(actual) and _is_number(expected):
        text = _compare_numbers(actual, expected, options)
        return None if text is None else (text, where)
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing = sorted(set(expected) - set(actual), key=repr)
        extra = sorted(set(actual) - set(expected), key=repr)
        if missing or extra:
            return ("The keys of the mappings do not match:\n"
                    f"Missing keys in the actual mapping: {missing}\n"
                    f"Additional keys in the actual mapping: {extra}", where)
        keys = list(actual)
    elif _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", where
        keys = range(len(actual))
    else:
        raise _incomparable(actual, expected)
    for key in keys:
        trouble = _compare(actual[key], expected[key], options, (*where, key))
        if trouble is not None:
            return trouble
    return None


def _is_sequence(value):
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _incomparable(actual, expected):
    return TensorTypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and "
                           f"{type(expected)}.", op="assert_close")


def _attribute(name, actual, expected):
    return f"The values for attribute '{name}' do not match: {actual} != {expected}."


def _compare_tensors(actual, expected, options):
    if actual.shape != expected.shape:
        return _attribute("shape", actual.shape, expected.shape)
    if options.check_layout and actual.layout != expected.layout:
        return _attribute("layout", actual.layout, expected.layout)
    if options.check_device and actual.device != expected.device:
        return _attribute("device", actual.device, expected.device)
    if options.check_dtype and actual.dtype != expected.dtype:
        return _attribute("dtype", actual.dtype, expected.dtype)
    if actual.layout != _t.strided or expected.layout != _t.strided:
        return _compare_sparse(actual, expected, options)      # they have no strides; their parts do
    if options.check_stride and actual.stride() != expected.stride():
        return _attribute("stride()", actual.stride(), expected.stride())
    rtol, atol = options.tolerances(actual.dtype, expected.dtype)
    with _t.no_grad():
        a, b = actual.detach().cpu(), expected.detach().cpu()
        if a.dtype == _t.bool and b.dtype == _t.bool:
            a, b = a.to(_t.int64), b.to(_t.int64)
        elif a.dtype != b.dtype:
            common = _t.promote_types(a.dtype, b.dtype)
            a, b = a.to(common), b.to(common)
        elif not a.is_floating_point() and not a.is_complex():
            a, b = a.to(_t.int64), b.to(_t.int64)      # narrow integers would wrap in the difference
        close = _t.isclose(a, b, rtol=rtol, atol=atol, equal_nan=options.equal_nan)
        if close.all().item():
            return None
        if a.dim() == 0:
            return _scalar_message(a.item(), b.item(), rtol, atol)
        return _tensor_message(a, b, ~close, rtol, atol)


_PARTS = {"sparse_coo": ("_indices", "_values"), "sparse_csr": ("crow_indices", "col_indices", "values"), "sparse_csc": ("ccol_indices", "row_indices", "values")}


def _compare_sparse(actual, expected, options):
    """The parts of two sparse tensors of one layout; of two layouts what they stand for."""
    if actual.layout != expected.layout:
        return _compare_tensors(actual.to_dense(), expected.to_dense(), options)
    if actual.layout == _t.sparse_coo and actual.is_coalesced() != expected.is_coalesced():
        actual, expected = actual.coalesce(), expected.coalesce()
    if actual._nnz() != expected._nnz():
        words = "sparse COO" if actual.layout == _t.sparse_coo else f"sparse {str(actual.layout)[-3:].upper()}"
        return f"The number of specified values in {words} tensors does not match: {actual._nnz()} != {expected._nnz()}"
    for part in _PARTS[str(actual.layout).rpartition(".")[2]]:
        trouble = _compare_tensors(getattr(actual, part)(), getattr(expected, part)(), options)
        if trouble is not None:
            return f"{part.strip('_').replace('_', ' ').capitalize()} of sparse tensors: {trouble}"
    return None


def _tensor_message(a, b, wrong, rtol, atol):
    count, total = int(wrong.sum().item()), wrong.numel()
    flat_wrong = wrong.flatten()
    difference = (a - b).abs().flatten()
    relative = difference / b.abs().flatten()
    exact = rtol == 0 and atol == 0
    lines = [f"Tensor-likes are not {'equal' if exact else 'close'}!", "",
             f"Mismatched elements: {count} / {total} ({count / total:.1%})"]
    for name, values, allowed in (("absolute", difference, atol), ("relative", relative, rtol)):
        # Elements that match do not count, whatever their difference (both infinite, both zero).
        values = _t.where(flat_wrong, values, _t.zeros_like(values))
        at = int(values.argmax().item())
        index = []
        rest = at
        for size in reversed(tuple(a.shape)):
            rest, i = divmod(rest, size)
            index.append(i)
        line = f"Greatest {name} difference: {values[at].item()} at index {tuple(reversed(index))}"
        lines.append(line if exact else f"{line} (up to {allowed} allowed)")
    return "\n".join(lines)


def _compare_numbers(actual, expected, options):
    kinds = [_t.complex128 if isinstance(v, complex) else _t.float64 if isinstance(v, float) else _t.int64
             for v in (actual, expected)]
    if options.check_dtype and type(actual) is not type(expected):
        return f"The (d)types do not match: {type(actual)} != {type(expected)}."
    rtol, atol = options.tolerances(*kinds)
    if actual == expected or (options.equal_nan and actual != actual and expected != expected):
        return None
    infinite = abs(actual) == float("inf") or abs(expected) == float("inf")
    if not infinite and abs(actual - expected) <= atol + rtol * abs(expected):
        return None
    return _scalar_message(actual, expected, rtol, atol)


def _scalar_message(actual, expected, rtol, atol):
    difference = abs(actual - expected)
    relative = difference / abs(expected) if expected != 0 else (float("inf") if difference else 0.0)
    exact = rtol == 0 and atol == 0
    return (f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {expected} but got {actual}.\n"
            f"Absolute difference: {difference}{'' if exact else f' (up to {atol} allowed)'}\n"
            f"Relative difference: {relative}{'' if exact else f' (up to {rtol} allowed)'}")
