"""Losses of margins, fractional pooling, limits of dtypes, shallow copies of modules and compressed matrices beside PyTorch's."""
import copy

import numpy as np
import pytest

import rustorch_py as rt

torch = pytest.importorskip("torch")


def both(fn, *arrays, grad=True):
    """Results and gradients by the first array of fn(package, *tensors) in both packages."""
    found = []
    for t in (rt, torch):
        given = [t.tensor(a) for a in arrays]
        if grad:
            given[0].requires_grad_()
        out = fn(t, *given)
        parts = [out.detach().numpy()]
        if grad:
            (out * out).sum().backward()
            parts.append(given[0].grad.numpy())
        found.append(parts)
    for mine, theirs in zip(*found):
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-5 if mine.dtype == np.float32 else 1e-12, atol=1e-6 if mine.dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(5, 7), (7,), (3, 300), (400, 60), (1, 1)])
def test_multilabel_margin_loss(dtype, reduction, shape):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape).astype(dtype), rng.integers(-1, shape[-1], shape)
    both(lambda t, x, y: t.nn.functional.multilabel_margin_loss(x, y, reduction=reduction), x, y)
    both(lambda t, x, y: t.nn.functional.multilabel_margin_loss(x.t(), y.t(), reduction=reduction) if x.dim() == 2 else x.sum(), np.ascontiguousarray(x.T),
         np.ascontiguousarray(y.T))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(5, 7), (7,), (400, 60), (2, 1)])
def test_multi_margin_loss(dtype, reduction, p, weighted, shape):
    rng = np.random.default_rng(1)
    c = shape[-1]
    x, y, w = rng.standard_normal(shape).astype(dtype), rng.integers(0, c, shape[:-1]), rng.random(c).astype(dtype)
    both(lambda t, x, y, w: t.nn.functional.multi_margin_loss(x, y, p=p, margin=0.7, weight=w if weighted else None, reduction=reduction), x, y, w)
    if len(shape) == 1:
        both(lambda t, x, y, w: t.nn.functional.multi_margin_loss(x, y.reshape(1), p=p, reduction=reduction), x, y, w)


def test_margins_again_by_the_gradient():
    """PyTorch has no second derivative of these losses; that of squares is not zero."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((4, 6)), rng.integers(0, 6, 4)
    assert rt.autograd.gradgradcheck(lambda a: rt.nn.functional.multi_margin_loss(a, rt.tensor(y), p=2), rt.tensor(x).requires_grad_())


@pytest.mark.parametrize("fn, x, y", [
    ("multi_margin_loss", (2, 3), [0, 3]), ("multi_margin_loss", (2, 3), [0, -1]),
    ("multilabel_margin_loss", (2, 3), [[0, 3, -1], [1, 2, -1]]), ("multilabel_margin_loss", (2, 3), [[0, -2, -1], [1, 2, -1]]),
])
def test_classes_out_of_range(fn, x, y):
    said = []
    for t in (rt, torch):
        with pytest.raises(RuntimeError) as e:
            getattr(t.nn.functional, fn)(t.zeros(x), t.tensor(y))
        said.append(str(e.value).splitlines()[0])
    assert said[0] == said[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dims, shape, kernel, size", [
    (2, (2, 3, 9, 11), (2, 3), (4, 5)), (2, (3, 8, 8), 2, (5, 1)), (2, (2, 16, 64, 64), 3, (31, 30)), (3, (2, 2, 6, 7, 8), (2, 2, 3), (3, 4, 5)),
    (3, (2, 6, 6, 6), 2, 3),
])
def test_fractional_pooling(dtype, dims, shape, kernel, size):
    x = np.random.default_rng(3).standard_normal(shape).astype(dtype)
    x.reshape(-1)[5] = np.nan

    def run(t, x):
        t.manual_seed(7)
        out, where = getattr(t.nn.functional, f"fractional_max_pool{dims}d")(x, kernel, output_size=size, return_indices=True)
        run.where.append(where.numpy())
        return out.nan_to_num(0.25)
    run.where = []
    both(run, x)
    np.testing.assert_array_equal(*run.where)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "uint8", "int64", "float8_e5m2"])
def test_limits(dtype):
    for kind in ("finfo", "iinfo"):
        said = []
        for t in (rt, torch):
            try:
                i = getattr(t, kind)(getattr(t, dtype))
                said.append((repr(i), i.dtype, i.max, i.min, i.bits, i == getattr(t, kind)(getattr(t, dtype))))
            except TypeError as e:
                said.append(str(e).rpartition("'")[0].rpartition("'")[0])          # PyTorch names its own class there
        assert said[0] == said[1]
    for t in (rt, torch):
        with pytest.raises(AttributeError, match="attribute 'eps' of 'torch.finfo' objects is not writable"):
            t.finfo(t.float32).eps = 3
        with pytest.raises(AttributeError):
            t.iinfo(t.int8).other = 3


def test_default_limits_follow_the_default_dtype():
    assert rt.finfo() == rt.finfo(rt.float32)
    rt.set_default_dtype(rt.float64)
    try:
        assert rt.finfo().bits == 64
    finally:
        rt.set_default_dtype(rt.float32)


@pytest.mark.parametrize("asked", [None, "cpu", "cpu:0", 3, "meta"])
def test_device_modules(asked):
    said = []
    for t in (rt, torch):
        try:
            said.append(t.get_device_module(asked).__name__.partition(".")[2])
        except RuntimeError as e:
            said.append(str(e).splitlines()[0])
    assert said[0] == said[1]
    assert rt.get_device_module(rt.device("cpu")) is rt.cpu


def test_shallow_copies_of_modules():
    for t in (rt, torch):
        net = t.nn.Sequential(t.nn.Linear(2, 2), t.nn.BatchNorm1d(2))
        net.note = [1]
        twin = copy.copy(net)
        assert type(twin) is type(net) and twin[0] is net[0] and twin.note is net.note and twin._modules is net._modules
        net.add_module("more", t.nn.ReLU())
        assert len(twin) == 3 and twin.more is net.more                       # the dictionaries are shared
        twin.other = 1
        assert not hasattr(net, "other")

        class Own(t.nn.Module):
            def __getstate__(self):
                return {**self.__dict__, "seen": True}
        assert copy.copy(Own()).seen


@pytest.mark.parametrize("shape", [(4, 5), (1, 1), (3, 0), (0, 3), (70, 90)])
@pytest.mark.parametrize("way", ["to_sparse_csr", "to_sparse_csc"])
def test_compressed_matrices(shape, way):
    x = np.random.default_rng(4).standard_normal(shape).astype("float32")
    x[x < 0.3] = 0
    for turned in (False, True):
        found = []
        for t in (rt, torch):
            a = t.tensor(x)
            s = getattr(a.t() if turned else a, way)()
            names = ("crow_indices", "col_indices") if way.endswith("csr") else ("ccol_indices", "row_indices")
            found.append([getattr(s, n)().numpy() for n in names] + [s.values().numpy(), s.to_dense().numpy()])
        for mine, theirs in zip(*found):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype
