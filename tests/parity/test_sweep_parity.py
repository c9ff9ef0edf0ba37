"""What a walk over the public names beside PyTorch's found: each case was different once."""
import numpy as np
import pytest

import rustorch_py as rt

torch = pytest.importorskip("torch")


def answers(fn):
    """What fn(package) gives in both packages: an array, or the kind and first line of an error."""
    for t in (rt, torch):
        try:
            out = fn(t)
            yield out.detach().resolve_conj().numpy() if isinstance(out, t.Tensor) else out
        except Exception as e:
            yield [k for k in (TypeError, ValueError, IndexError, RuntimeError) if isinstance(e, k)], str(e).splitlines()[0]


x = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
CASES = [
    *(lambda t, f=f: getattr(t.fft, f)(t.tensor(x), 3) for f in ("fftn", "ifftn", "rfftn", "irfftn", "hfftn", "ihfftn")),
    lambda t: t.rrelu(t.tensor(x), 1.0), lambda t: t.nn.functional.rrelu(t.tensor(x), 0.5, 0.2, True), lambda t: t.rrelu_(t.tensor(x), 1.0),
    lambda t: t.zeros(3, 3).fill_diagonal_(1.0, True), lambda t: t.zeros(7, 2).fill_diagonal_(1.0, wrap=True),
]


@pytest.mark.parametrize("case", CASES)
def test_same(case):
    mine, theirs = answers(case)
    if isinstance(theirs, np.ndarray):
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
    else:
        assert mine == theirs


@pytest.mark.parametrize("wrap", [1, 0])
def test_wrap_is_bool(wrap):
    for t in (rt, torch):
        with pytest.raises(TypeError):
            t.zeros(3, 3).fill_diagonal_(1.0, wrap)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape, groups", [((5, 12), 3), ((250, 400), 1), ((2, 1200), 2), ((3, 8), 8), ((2, 6, 5, 5), 3), ((1, 4, 1, 1), 1)])
def test_group_norm_of_points(dtype, affine, shape, groups):
    """Channels side by side, and whole groups where nothing is scaled."""
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s).astype("float32") for s in (shape, shape[1:2], shape[1:2], shape)]
    found = []
    for t in (rt, torch):
        a, w, b, g = (t.tensor(v).to(getattr(t, dtype)) for v in arrays)
        leaves = [v.requires_grad_() for v in ((a, w, b) if affine else (a,))]
        out = t.nn.functional.group_norm(a, groups, *leaves[1:])
        out.backward(g)
        found.append([v.detach().double().numpy() for v in (out, *(leaf.grad for leaf in leaves))])
    close = {"float16": 2e-2, "bfloat16": 1e-1, "float32": 1e-4, "float64": 1e-10}[dtype]
    for mine, theirs in zip(*found):
        np.testing.assert_allclose(mine, theirs, rtol=close, atol=close * max(1, shape[0] / 10))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_nan_to_num_in_place(dtype):
    v = [1.5, float("nan"), float("inf"), -float("inf"), -0.0, 3.0]
    for args in ((), (2.0,), (1.0, 5.0, -6.0)):
        found = []
        for t in (rt, torch):
            a = t.tensor(v, dtype=getattr(t, dtype))
            leaf = t.tensor(v, dtype=getattr(t, dtype), requires_grad=True)
            assert a.nan_to_num_(*args) is a
            b = leaf * 1
            b.nan_to_num_(*args)
            b.sum().backward()
            strided = t.tensor([v, v], dtype=getattr(t, dtype)).t()
            strided.nan_to_num_(*args)
            found.append([a.double().numpy(), b.detach().double().numpy(), leaf.grad.double().numpy(), strided.double().numpy()])
        for mine, theirs in zip(*found):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("n", [1, 5, 1023, 1024, 4099, 300000])
def test_equal(dtype, n):
    for t in (rt, torch):
        a = t.ones(n, dtype=getattr(t, dtype))
        b = a.clone()
        assert t.equal(a, b) is True and a.equal(b) is True
        for at in (0, n // 2, n - 1):
            b[at] = 0
            assert t.equal(a, b) is False
            b[at] = 1
        if a.is_floating_point():
            a[n - 1], b[n - 1] = -0.0, 0.0
            assert t.equal(a, b)
            a[0] = b[0] = float("nan")
            assert not t.equal(a, a) or n == 1 or t is torch
            assert not t.equal(a, b)
        assert not t.equal(a, b[:-1])
