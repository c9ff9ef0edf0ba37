"""Random keys, reads and writes; gather, scatter, index_* with random arguments."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, strategies as st

import rustorch_py as rt

from .pairs import call, fuzz, pairs, same

INT = st.integers(-4, 4)


def slices():
    bound = st.one_of(st.none(), INT)
    return st.builds(slice, bound, bound, st.one_of(st.none(), st.integers(1, 3), st.sampled_from([0, -1])))


@st.composite
def arrays(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=2).map(tuple))
    seed = draw(st.integers(0, 1000))
    if draw(st.integers(0, 3)) == 0:
        return np.random.RandomState(seed).randint(0, 2, shape).astype(bool)
    return np.random.RandomState(seed).randint(-3, 3, shape).astype(draw(st.sampled_from(["int64", "int64", "int32", "uint8"])))


@st.composite
def keys(draw):
    item = st.one_of(INT, slices(), slices(), st.none(), st.just(Ellipsis), arrays(), st.booleans(), st.lists(INT, min_size=1, max_size=3))
    found = draw(st.lists(item, min_size=1, max_size=4))
    return found[0] if len(found) == 1 and draw(st.booleans()) else tuple(found)


def for_library(key, make):
    if isinstance(key, tuple):
        return tuple(for_library(k, make) for k in key)
    return make(key.copy()) if isinstance(key, np.ndarray) else key


def undefined(key):
    """Whether PyTorch's answer to a key is undefined: behind a second Ellipsis a slice reads sizes past the tensor's last one."""
    if not isinstance(key, tuple):
        return False
    dots = [i for i, k in enumerate(key) if k is Ellipsis]
    return len(dots) > 1 and any(isinstance(k, slice) for k in key[dots[1]:])


def texts(key):
    return repr(key).replace("\n", "")


@fuzz
@given(pairs(["float32", "int64", "bool"]), keys())
def test_read(a, key):
    if undefined(key):
        return
    got = call(lambda: a.t[for_library(key, torch.from_numpy)]), call(lambda: a.r[for_library(key, rt.from_numpy)])
    same(*got, f"{a}[{texts(key)}]")
    if got[0][0] == "value" and got[0][1].numel():
        t, r = got[0][1], got[1][1]
        shares = [x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr() for x, y in ((a.t, t), (a.r, r))]
        assert shares[0] == shares[1], f"{a}[{texts(key)}]: shares memory {shares[0]}, here {shares[1]}"


@fuzz
@given(pairs(["float32", "int64", "bool"], layouts=["plain", "transposed", "stepped"]), keys(), st.one_of(st.sampled_from([0, 1, 2.5, True]), pairs(["float32", "int64", "bool"])))
def test_write(a, key, value):
    if undefined(key):
        return
    t, r = (value.t, value.r) if hasattr(value, "t") else (value, value)
    got = (call(lambda: a.t.__setitem__(for_library(key, torch.from_numpy), t)), call(lambda: a.r.__setitem__(for_library(key, rt.from_numpy), r)))
    about = f"{a}[{texts(key)}] = {value}"
    same(*got, about)
    if got[0][0] == "value" and not duplicates(a.t, key):
        same(("value", a.t), ("value", a.r), about)


def duplicates(x, key):
    """Whether an element is written more than once: which write stays is not defined."""
    counts = torch.zeros(x.shape, dtype=torch.int64)
    where = torch.arange(counts.numel()).view(x.shape)[for_library(key, torch.from_numpy)]
    return where.unique().numel() != where.numel()


@fuzz
@given(pairs(["float64"], layouts=["plain"]), keys())
def test_gradient_of_read(a, key):
    t, r = a.t.clone().requires_grad_(), a.r.clone().requires_grad_()
    got = call(lambda: t[for_library(key, torch.from_numpy)]), call(lambda: r[for_library(key, rt.from_numpy)])
    if "error" in (got[0][0], got[1][0]):
        return
    got[0][1].sum().backward()
    got[1][1].sum().backward()
    same(("value", t.grad), ("value", r.grad), f"gradient of {a}[{texts(key)}]")


@st.composite
def index_calls(draw):
    a = draw(pairs(["float32", "int64", "float64"], layouts=["plain", "transposed", "stepped"]))
    dim = draw(st.integers(-4, 3))
    seed = draw(st.integers(0, 1000))
    kind = draw(st.sampled_from(["gather", "scatter", "scatter_add", "scatter_reduce", "index_select", "index_add", "index_fill", "index_copy", "take", "take_along_dim"]))
    rng = np.random.RandomState(seed)
    if kind in ("index_select", "index_add", "index_fill", "index_copy"):
        length = a.t.shape[dim] if a.t.dim() and -a.t.dim() <= dim < a.t.dim() else 1
        index = rng.permutation(max(length, 1))[: draw(st.integers(0, 4))] if kind == "index_copy" else rng.randint(-1 if seed % 7 == 0 else 0, max(length, 1), draw(st.integers(0, 4)))
    elif kind == "take":
        index = rng.randint(-3, 3, draw(st.lists(st.integers(0, 3), max_size=2)))
    else:
        shape = [draw(st.integers(0, max(n, 0))) if i != dim % max(a.t.dim(), 1) else draw(st.integers(0, 4)) for i, n in enumerate(a.t.shape)]
        length = a.t.shape[dim] if a.t.dim() and -a.t.dim() <= dim < a.t.dim() else 1
        index = rng.randint(0, max(length, 1), shape)
    return a, kind, dim, np.asarray(index).astype("int64"), draw(st.sampled_from(["sum", "prod", "mean", "amax", "amin"])), draw(st.booleans())


@fuzz
@given(index_calls())
def test_index_functions(case):
    a, kind, dim, index, reduce, include = case
    if kind == "index_fill" and not a.t.numel():
        return                                        # PyTorch returns before its checks

    def run(m, x):
        i = m.from_numpy(index.copy())
        if kind in ("gather", "take_along_dim"):
            return getattr(m, kind)(x, dim, i) if kind == "gather" else m.take_along_dim(x, i, dim)
        if kind == "take":
            return m.take(x, i)
        if kind == "index_select":
            return m.index_select(x, dim, i)
        if kind == "index_fill":
            return x.index_fill(dim, i, 3)
        source = m.ones(i.shape, dtype=x.dtype) * 2 if kind.startswith("scatter") else x.index_select(dim, i) * 2
        if kind == "scatter_reduce":
            return x.scatter_reduce(dim, i, source, reduce, include_self=include)
        return getattr(x, kind)(dim, i, source)

    same(call(lambda: run(torch, a.t)), call(lambda: run(rt, a.r)), f"{kind}({a}, dim={dim}, index={texts(index)}, {reduce}, {include})")
