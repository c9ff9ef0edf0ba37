"""Poolings by their definition, in both memory orders, for each instruction set: values, positions, gradients."""

import itertools

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t

RNG = np.random.default_rng(8)


def windows(size, kernel, stride, pad, dilation, ceil):
    """For each output position of one dimension the input positions of its window, and how many padding adds."""
    out = -(-(size + 2 * pad - dilation * (kernel - 1) - 1) // stride) if ceil else (size + 2 * pad - dilation * (kernel - 1) - 1) // stride
    out += 1
    if ceil and (out - 1) * stride >= size + pad:
        out -= 1
    found = []
    for t in range(out):
        taps = [t * stride - pad + k * dilation for k in range(kernel)]
        found.append(([i for i in taps if 0 <= i < size], len([i for i in taps if i < size + pad])))
    return found


def adaptive(size, out):
    spans = [range(t * size // out, -(-(t + 1) * size // out)) for t in range(out)]
    return [(list(s), len(s)) for s in spans]


def pooled(x, dims, kind, count_pad, divisor, g):
    """(values, positions, gradient of x) over the windows `dims` of the last dimensions."""
    n, lead, size = len(dims), x.shape[:-len(dims)], x.shape[-len(dims):]
    y = np.zeros((*lead, *map(len, dims)))
    at, dx = np.zeros(y.shape, "int64"), np.zeros(x.shape)
    for t in itertools.product(*(range(len(d)) for d in dims)):
        cells = list(itertools.product(*(dims[d][t[d]][0] for d in range(n))))
        flat = [int(np.ravel_multi_index(c, size)) for c in cells]
        part = x.reshape(*lead, -1)[..., flat]
        here = (..., *t)
        if kind == "max":
            best = part.argmax(-1)
            y[here], at[here] = part.max(-1), np.asarray(flat)[best]
            for where in np.ndindex(*lead):
                dx.reshape(*lead, -1)[(*where, at[(*where, *t)])] += g[(*where, *t)]
        else:
            count = divisor or np.prod([dims[d][t[d]][1] if count_pad else len(dims[d][t[d]][0]) for d in range(n)])
            y[here] = part.sum(-1) / count
            for i in flat:
                dx.reshape(*lead, -1)[..., i] += g[here] / count
    return y, at, dx


CASES = [
    # size, kernel, stride, pad, dilation, ceil_mode
    ((32, 32), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((9, 70), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((7, 15), (2, 2), (2, 2), (1, 1), (1, 1), True),
    ((10, 33), (3, 2), (2, 2), (1, 1), (1, 1), False),
    ((11, 41), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((8, 37), (3, 3), (1, 1), (1, 1), (1, 1), False),
    ((9, 40), (2, 3), (3, 3), (0, 1), (1, 1), True),
    ((12, 13), (3, 2), (2, 1), (1, 0), (2, 3), False),
    ((6, 8), (1, 4), (1, 2), (0, 2), (1, 1), False),
    ((69,), (2,), (2,), (0,), (1,), False),
    ((83,), (5,), (4,), (2,), (1,), True),
    ((11, 61), (3, 6), (2, 5), (1, 3), (1, 1), True),
    ((11, 61), (3, 4), (2, 4), (1, 0), (1, 2), False),
    ((70,), (5,), (2,), (2,), (1,), True),
    ((4, 6, 34), (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1), False),
    ((5, 4, 7), (3, 2, 3), (2, 1, 2), (1, 1, 1), (1, 1, 1), True),
]


def put(a, dtype, last):
    t = rt.tensor(a.astype(dtype))
    return t.contiguous(memory_format=rt.channels_last if a.ndim == 4 else rt.channels_last_3d) if last else t


def check(op, arrays, dtype, last, want, index=None):
    x, g = put(arrays[0], dtype, last).requires_grad_(), put(arrays[1], dtype, False)
    y = op(x)
    if index is not None:
        y, at = y
        np.testing.assert_array_equal(at.numpy(), index)
    (dx,) = rt.autograd.grad(y, x, g)
    tol = 1e-6 if dtype == "float32" else 1e-14
    for got, expected in ((y.detach(), want[0]), (dx, want[1])):
        np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=tol * 10 * (1 + np.abs(expected).max()))
        if last:
            assert got.is_contiguous(memory_format=rt.channels_last if x.dim() == 4 else rt.channels_last_3d)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size, kernel, stride, pad, dilation, ceil", CASES)
def test_pools(level, size, kernel, stride, pad, dilation, ceil, dtype):
    n = len(size)
    x = RNG.standard_normal((2, 3, *size)).astype("float32").astype("float64")
    dims = [windows(*a, ceil) for a in zip(size, kernel, stride, pad, dilation)]
    g = RNG.standard_normal((2, 3, *map(len, dims))).astype("float32").astype("float64")
    for last in (False, True)[:n]:
        y, at, dx = pooled(x, dims, "max", True, None, g)
        check(lambda t: getattr(_t, f"max_pool{n}d_with_indices")(t, kernel, stride, pad, dilation, ceil), (x, g), dtype, last, (y, dx), at)
        if set(dilation) != {1}:
            continue
        for count_pad in (True, False):
            y, _, dx = pooled(x, dims, "avg", count_pad, None, g)
            check(lambda t: getattr(_t, f"avg_pool{n}d")(t, kernel, stride, pad, ceil, count_pad), (x, g), dtype, last, (y, dx))
        if n > 1:
            y, _, dx = pooled(x, dims, "avg", True, 7, g)
            check(lambda t: getattr(_t, f"avg_pool{n}d")(t, kernel, stride, pad, ceil, True, 7), (x, g), dtype, last, (y, dx))


@pytest.mark.parametrize("size, out", [((12, 40), (6, 20)), ((12, 40), (1, 1)), ((9, 35), (4, 6)), ((33,), (3,)), ((4, 6, 8), (2, 5, 4)), ((5, 7), (5, 7))])
def test_adaptive_pools(level, size, out):
    n = len(size)
    x, g = RNG.standard_normal((2, 3, *size)), RNG.standard_normal((2, 3, *out))
    dims = [adaptive(*a) for a in zip(size, out)]
    for last in (False, True)[:n if max(out) > 1 else 1]:
        y, at, dx = pooled(x, dims, "max", True, None, g)
        check(lambda t: getattr(_t, f"adaptive_max_pool{n}d")(t, out), (x, g), "float64", last, (y, dx), at)
        y, _, dx = pooled(x, dims, "avg", True, None, g)
        check(lambda t: getattr(_t, f"adaptive_avg_pool{n}d")(t, out), (x, g), "float64", last, (y, dx))


def test_last_order_details(level):
    """The last NaN wins, integers keep their order, gradients of gradients run."""
    x = RNG.standard_normal((1, 20, 6, 6)).astype("float32")
    x[0, 3, 0, 1] = x[0, 3, 1, 0] = np.nan
    a, b = (_t.max_pool2d_with_indices(put(x, "float32", last), 2) for last in (False, True))
    np.testing.assert_array_equal(a[0].numpy(), b[0].numpy())
    np.testing.assert_array_equal(a[1].numpy(), b[1].numpy())
    whole = _t.max_pool2d(put(np.arange(72.0).reshape(1, 2, 6, 6), "int64", True), 2)
    assert whole.is_contiguous(memory_format=rt.channels_last) and whole.tolist()[0][0][0] == [7, 9, 11]
    t = put(RNG.permutation(2 * 2 * 36).reshape(2, 2, 6, 6) * 0.1, "float64", True).requires_grad_()
    for op in (lambda v: _t.max_pool2d(v, 2), lambda v: _t.avg_pool2d(v, 3, 2, 1)):
        assert rt.autograd.gradcheck(op, (t,)) and rt.autograd.gradgradcheck(op, (t,))
