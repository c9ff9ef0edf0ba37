"""Padding against an index made by NumPy, for every instruction set, layout and element size."""
import numpy as np
import pytest

import rustorch_py as rt
import rustorch_py.nn.functional as F

SHAPES = [((2, 3, 5, 7), (2, 3, 1, 2)), ((2, 3, 5, 7), (-1, 2, 3, -2)), ((1, 2, 3, 4, 5), (1, 2, 2, 1, 1, 1)), ((2, 4, 40), (3, 3)), ((3, 9), (8, 2)),
          ((3, 70, 5, 6), (1, 1, 1, 1)), ((1, 1, 70000), (5, 6)), ((3, 4, 70, 90), (0, 0, 2, 2)), ((2, 3, 4, 1), (0, 0, 3, 1)), ((16, 20, 30, 31), (1, 2, 2, 1))]
FORMATS = {4: rt.channels_last, 5: rt.channels_last_3d}


def oracle(x, pad, mode, value=0):
    """The padded array and, for each of its elements, the element of x that it shows (-1: none)."""
    index = np.arange(x.size).reshape(x.shape)
    for i in range(len(pad) // 2):
        d = x.ndim - 1 - i
        before, after = pad[2 * i], pad[2 * i + 1]
        n = x.shape[d]
        o = np.arange(-before, n + after)
        if mode == "constant":
            index = np.where(((o < 0) | (o >= n)).reshape([-1 if k == d else 1 for k in range(x.ndim)]), -1, index.take(o.clip(0, n - 1), d))
            continue
        if mode == "circular":
            o = np.arange(max(-before, 0), min(n, n + after))
            o = np.concatenate([o[len(o) - max(before, 0):], o, o[:max(after, 0)]])
        elif mode == "replicate":
            o = o.clip(0, n - 1)
        else:
            o = np.where(o < 0, -o, np.where(o >= n, 2 * (n - 1) - o, o))
        index = index.take(o, d)
    return np.where(index < 0, np.array(value).astype(x.dtype), x.reshape(-1)[index]), index


def cases():
    """Modes, shapes and amounts that have a result."""
    for shape, pad in SHAPES:
        for mode in ("constant", "reflect", "replicate", "circular"):
            n = len(pad) // 2
            sides = [(shape[-1 - i], pad[2 * i], pad[2 * i + 1]) for i in range(n)]
            if mode != "constant" and n < len(shape) - 2:
                continue
            if mode == "reflect" and any(max(b, a) >= size for size, b, a in sides):
                continue
            if mode == "circular" and any(max(b, a) > size + min(b, 0) + min(a, 0) for size, b, a in sides):
                continue
            yield mode, shape, pad


CASES = list(cases())
LAYOUTS = ["plain", "last", "turned"]


def laid(x, layout):
    """The array as a tensor: row-major, channels innermost (None: it has no such form), or dense in another order."""
    t = rt.tensor(x)
    if layout == "last":
        return t.contiguous(memory_format=FORMATS[x.ndim]) if x.ndim in FORMATS else None
    return t.transpose(-1, -2).contiguous().transpose(-1, -2) if layout == "turned" else t


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "float32", "int64", "complex128"])
@pytest.mark.parametrize("mode, shape, pad", CASES)
def test_every_element(level, mode, shape, pad, dtype, layout):
    """Elements of 1, 2, 4, 8 and 16 bytes."""
    x = (np.random.default_rng(1).standard_normal(shape) * 50).astype(dtype)
    t = laid(x, layout)
    if t is None:
        return
    if dtype == "bool" and mode not in ("constant", "circular"):           # as PyTorch does
        with pytest.raises(NotImplementedError, match="Bool"):
            F.pad(t, pad, mode)
        return
    got = F.pad(t, pad, mode, 3 if mode == "constant" else None)
    want, _ = oracle(x, pad, mode, 3)
    np.testing.assert_array_equal(got.numpy(), want)
    lies = FORMATS[x.ndim] if layout == "last" and mode != "circular" else rt.contiguous_format
    assert got.is_contiguous(memory_format=lies)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "bfloat16", "float16"])
@pytest.mark.parametrize("mode, shape, pad", CASES)
def test_every_gradient(level, mode, shape, pad, dtype, layout, same_on_threads):
    """Each element's gradient is the sum over the positions that show it, whatever the number of threads."""
    x = np.zeros(shape, np.float32)
    t = laid(x, layout)
    if t is None:
        return
    t = t.to(getattr(rt, dtype)).requires_grad_()
    want, index = oracle(x, pad, mode)
    g = np.random.default_rng(2).integers(-8, 9, want.shape).astype(np.float32)   # whole numbers: 16 bits hold their sums
    sums = np.zeros(x.size + 1)
    np.add.at(sums, index.ravel(), g.ravel())
    given = rt.tensor(g).to(t.dtype)
    given = given * 1j if dtype == "complex64" else given

    def grad():
        got = rt.autograd.grad(F.pad(t, pad, mode), t, given)[0]
        return [(got.imag if dtype == "complex64" else got).float().numpy()]
    np.testing.assert_array_equal(grad()[0], sums[:-1].reshape(shape))
    same_on_threads(grad)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_derivatives(mode):
    """First and second derivatives against differences."""
    x = rt.randn(2, 3, 4, 5, dtype=rt.float64)
    for t in (x, x.contiguous(memory_format=rt.channels_last)):
        t = t.requires_grad_()
        assert rt.autograd.gradcheck(lambda t: F.pad(t, (2, 1, 1, 3), mode).sin(), (t,))
        assert rt.autograd.gradgradcheck(lambda t: F.pad(t, (2, 1, 1, 3), mode).sin(), (t,))


def test_no_elements():
    """Arrays without elements, and amounts that leave none or make some of nothing."""
    assert F.pad(rt.ones(0, 3, 4), (1, 1), "reflect").shape == (0, 3, 6)
    assert F.pad(rt.ones(0, 3, 4, 4), (1, 1, 1, 1), "circular").shape == (0, 3, 6, 6)
    assert F.pad(rt.ones(3, 0), (1, 1), value=2.0).tolist() == [[2.0, 2.0]] * 3
    assert F.pad(rt.ones(2, 3), (-2, -1)).shape == (2, 0)
    assert F.pad(rt.tensor(1.5), ()).item() == 1.5
    x = rt.ones(0, 3, 4, requires_grad=True)
    F.pad(x, (1, 1), "replicate").sum().backward()
    assert x.grad.shape == (0, 3, 4)
