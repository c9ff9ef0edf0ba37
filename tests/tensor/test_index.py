"""Indexing, gather and scatter, masks and joins against NumPy; gradients by finite differences."""
import inspect

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import rustorch_py as rt
from rustorch_py.autograd import gradcheck, gradgradcheck
from rustorch_py.errors import DimError, ShapeError
from rustorch_py.tensor import _cpu

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128"]
LAYOUTS = ["contiguous", "transposed", "sliced", "broadcast"]


def sample(shape, dtype="float32", layout="contiguous"):
    """An array and the tensor of the same values in the layout asked for."""
    n = int(np.prod(shape))
    a = (np.arange(n).reshape(shape) * 7 % 31 - (0 if dtype in ("bool", "uint8") else 9)).astype(dtype)
    if layout == "transposed" and a.ndim > 1:
        t = rt.from_numpy(np.ascontiguousarray(a.swapaxes(0, 1))).transpose(0, 1)
    elif layout == "sliced" and a.ndim:
        t = rt.from_numpy(np.repeat(a, 2, axis=0))[::2]
    elif layout == "broadcast" and a.ndim:
        a = np.broadcast_to(a[:1], a.shape)
        t = rt.tensor(a[:1].copy()).expand(a.shape)
    else:
        t = rt.tensor(a)
    return a, t


def same(t, a):
    a = np.asarray(a)
    assert tuple(t.shape) == a.shape
    assert str(t.dtype) == "torch." + str(a.dtype)
    np.testing.assert_array_equal(t.numpy(), a)


I = np.array([2, 0, -1])
J = np.array([[1, 0], [3, -2]])
M = np.array([True, False, True])
GET_KEYS = [
    0, -1, slice(1, None), slice(None, None, 2), (slice(None), 1), (1, slice(0, 2)), (Ellipsis, 0), None, (None, 1, None), (),
    (slice(5, 1),), (slice(-100, 100), slice(None, None, 3)), I, (I, I), (slice(None), J), (I, slice(None), I % 2), M,
    (M, slice(1, 3)), (slice(None), J, None), (Ellipsis, I % 2), (I[:, None], J[:1]), True, False, (1, I), (slice(1, 2), I, 0),
    range(2), [0, 1], np.int64(1),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("key", GET_KEYS, ids=repr)
def test_get(key, layout):
    a, t = sample((3, 4, 2), layout=layout)
    expected = a[key]
    if isinstance(key, tuple) and any(isinstance(k, int) for k in key) and any(isinstance(k, np.ndarray) for k in key):
        view, rest = a, list(key)                          # an int is a view here, not an index to broadcast
        for d, k in reversed(list(enumerate(rest))):
            if isinstance(k, int):
                view = view.take(k, axis=d)
                del rest[d]
        expected = view[tuple(rest)]
    key = tuple(rt.tensor(k) if isinstance(k, np.ndarray) else k for k in key) if isinstance(key, tuple) else key
    same(t[key], expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_get_and_set_dtypes(dtype):
    a, t = sample((5, 6), dtype)
    same(t[rt.tensor(I)], a[I])
    same(t[:, rt.tensor(I)], a[:, I])
    mask = a != a[0, 1]
    same(t[rt.from_numpy(mask)], a[mask])
    t[rt.tensor(I), 1:3] = t[0, 1:3]
    a[I, 1:3] = a[0, 1:3]
    same(t, a)
    t[rt.from_numpy(mask)] = 1
    a[mask] = 1
    same(t, a)
    t[1] = t[2]
    a[1] = a[2]
    t[::2, 3:] = 0
    a[::2, 3:] = 0
    same(t, a)


def test_views_share_memory_and_advanced_copies():
    t = rt.zeros(3, 4)
    t[1:, ::2][0] = 5
    assert t.tolist() == [[0, 0, 0, 0], [5, 0, 5, 0], [0, 0, 0, 0]]
    t[rt.tensor([0])][0] = 9
    assert t[0].tolist() == [0, 0, 0, 0]
    assert t[0].data_ptr() == t.data_ptr() and t[..., None].shape == (3, 4, 1)


def test_placement_of_index_dimensions():
    t = rt.zeros(2, 3, 4, 5)
    i, j = rt.tensor([[0, 1, 1]]), rt.tensor([[0], [1]])
    assert t[:, i, j].shape == (2, 2, 3, 5)                # together: in their place
    assert t[i, :, j].shape == (2, 3, 3, 5)                # apart: in front
    assert t[0, :, i].shape == (3, 1, 3, 5)
    assert t[:, rt.ones(3, 4, dtype=rt.bool)].shape == (2, 12, 5)
    assert t[rt.tensor(True)].shape == (1, 2, 3, 4, 5)


def test_accumulate_is_in_order_and_repeats():
    t = rt.zeros(3)
    t.index_put_((rt.tensor([0, 0, 2, 0]),), rt.tensor([1.0, 2.0, 3.0, 4.0]), accumulate=True)
    assert t.tolist() == [7.0, 0.0, 3.0]
    x = rt.tensor([1e8, 1.0, -1e8, 1.0])
    first = rt.zeros(1).index_add(0, rt.zeros(4, dtype=rt.int64), x)
    assert first.item() == float(np.float32(np.float32(np.float32(1e8) + np.float32(1)) - np.float32(1e8)) + np.float32(1))


def test_writing_through_overlapping_source():
    t = rt.arange(6)
    t[rt.tensor([0, 1, 2])] = t[rt.tensor([1, 2, 3])]
    assert t.tolist() == [1, 2, 3, 3, 4, 5]
    t = rt.arange(6)
    with pytest.raises(RuntimeError, match="single memory location"):        # as PyTorch
        t[1:] = t[:-1]
    t[:] = t[2]
    assert t.tolist() == [2] * 6


@pytest.mark.parametrize("key, message", [
    (5, "index 5 is out of bounds for dimension 0 with size 2"),
    ((0, -4), "index -4 is out of bounds for dimension 1 with size 3"),
    ((0, 0, 0), "too many indices for tensor of dimension 2"),
    ("a", "invalid data type 'str'"),
    (1.5, "only integers, slices"),
    (slice(None, None, -1), "step must be greater than zero"),
    (slice(None, None, 0), "slice step cannot be zero"),
    (slice(1.5), "slice indices must be integers"),
    ([7], "index 7 is out of bounds for dimension 0 with size 2"),
    ([True], "The shape of the mask [1] at index 0 does not match the shape of the indexed tensor [2, 3] at index 0"),
    (([0, 1], [0, 1, 2]), "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]"),
    ([0.5], "tensors used as indices must be long, int, byte or bool tensors"),
])
def test_errors(key, message):
    with pytest.raises((IndexError, ValueError, TypeError)) as info:
        rt.zeros(2, 3)[key]
    assert message in str(info.value)


def test_set_errors():
    t = rt.zeros(2, 3)
    with pytest.raises(RuntimeError, match="cannot be broadcast to indexing result of shape"):
        t[rt.tensor([0])] = rt.ones(2)
    with pytest.raises(TypeError, match="can't assign a list"):
        t[0] = [1, 2, 3]
    with pytest.raises(RuntimeError, match="source and destination dtypes match"):
        t[rt.tensor([0])] = rt.ones(3, dtype=rt.float64)
    with pytest.raises(RuntimeError, match="without overflow"):
        rt.zeros(2, dtype=rt.uint8)[0] = 300
    with pytest.raises(IndexError, match="0-dim"):
        rt.tensor(1.0)[0]
    with pytest.raises(DimError):
        rt.gather(t, 0, rt.tensor([[2]]))
    with pytest.raises(ShapeError):
        rt.cat([t, rt.zeros(3, 2)])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_gather_scatter(dim, layout):
    a, t = sample((4, 5, 3), "float64", layout)
    index = np.abs(np.arange(24).reshape(4, 2, 3) * 5) % 3
    view = a[:4, :2, :3] if dim in (0, -1, 1) else a
    same(rt.gather(t, dim, rt.from_numpy(index)), np.take_along_axis(a if dim == 1 else view, index, dim))
    src = np.linspace(0, 1, 24).reshape(4, 2, 3)
    for reduce, fn in (("sum", np.add), ("prod", np.multiply), ("amax", np.maximum), ("amin", np.minimum)):
        expected = np.array(a)
        for at in np.ndindex(index.shape):
            to = list(at)
            to[dim] = index[at]
            expected[tuple(to)] = fn(expected[tuple(to)], src[at])
        got = rt.tensor(np.array(a)).scatter_reduce(dim, rt.from_numpy(index), rt.from_numpy(src), reduce)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-14)
    mean = rt.zeros(2).scatter_reduce(0, rt.tensor([0, 0, 0]), rt.tensor([1.0, 2.0, 6.0]), "mean", include_self=False)
    assert mean.tolist() == [3.0, 0.0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_index_family(layout):
    a, t = sample((4, 5), "float32", layout)
    t = t.clone() if layout == "broadcast" else t
    i = np.array([3, 1, 1])
    index = rt.tensor(i)
    same(t.index_select(1, index), a[:, i])
    b = np.array(a)
    np.add.at(b, i, 2 * a[:3])
    same(t.index_add(0, index, t[:3], alpha=2), b)
    b = np.array(a)
    b[:, [0, 2]] = a[:, [1, 3]]
    same(t.index_copy(1, rt.tensor([0, 2]), t[:, [1, 3]]), b)
    b = np.array(a)
    b[:, [0, 2]] = 9
    same(t.index_fill(1, rt.tensor([0, 2]), 9), b)
    same(t.take(rt.tensor([[0, -1], [7, 3]])), a.reshape(-1)[np.array([[0, -1], [7, 3]])])
    b = np.array(a, order="C")
    b.reshape(-1)[[4, 2]] = [50, 60]
    same(t.put(rt.tensor([4, 2]), rt.tensor([50.0, 60.0])), b)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16", "float32", "int16", "int64", "complex64", "complex128"])
def test_masked_fill_broadcasts(dtype, layout, level):
    a, t = sample((5, 17), dtype, layout)
    if dtype == "float16":
        t, a = t.clone(), a.copy()
        t[0, :2], a[0, :2] = float("nan"), float("nan")
    rng = np.random.default_rng(0)
    for shape in ((5, 17), (17,), (5, 1), (), (3, 5, 17)):
        mask = rng.random(shape) > 0.5
        same(t.masked_fill(rt.from_numpy(np.array(mask)), 1), np.where(mask, np.array(1, dtype), a))
        if len(shape) < 3:
            for own in (t.clone(), t.clone().repeat_interleave(2, 1)[:, ::2], t.t().contiguous().clone().t()):
                same(own.masked_fill_(rt.from_numpy(np.array(mask)), 1), np.where(mask, np.array(1, dtype), a))
    assert t.masked_fill(rt.ones(0, 5, 17, dtype=rt.bool), 1).shape == (0, 5, 17)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["bool", "float32", "int16", "complex128"])
def test_masks(dtype, layout):
    a, t = sample((3, 17), dtype, layout)
    mask = (np.arange(51).reshape(3, 17) % 4) == 1
    m = rt.from_numpy(mask)
    same(t.masked_select(m), a[mask])
    same(t.masked_fill(m, 1), np.where(mask, np.array(1, dtype), a))
    b = np.array(a)
    b[mask] = a.reshape(-1)[:mask.sum()]
    same(t.masked_scatter(m, t), b)
    same(rt.nonzero(t), np.argwhere(a))
    for x, y in zip(rt.nonzero(t, as_tuple=True), np.nonzero(a)):
        same(x, y)
    same(rt.where(m, t, t.flip(1)), np.where(mask, a, a[:, ::-1]))
    assert [x.tolist() for x in rt.where(m)] == [x.tolist() for x in np.nonzero(mask)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["bool", "float32", "int16", "complex128", "float16"])
def test_joins_and_moves(dtype, layout):
    a, t = sample((3, 4, 5), dtype, layout)
    for dim in (0, 1, 2, -1):
        same(rt.cat([t, t, t[:0] if dim == 0 else t], dim), np.concatenate([a, a] if dim == 0 else [a, a, a], dim))
        same(rt.stack([t, t], dim), np.stack([a, a], dim))
        same(t.flip(dim), np.flip(a, dim))
        same(t.roll(2, dim), np.roll(a, 2, dim))
        same(t.roll((-7, 1), (dim, 1)), np.roll(a, (-7, 1), (dim, 1)))
    same(t.roll(3), np.roll(a, 3))
    same(t.repeat(2, 1, 3), np.tile(a, (2, 1, 3)))
    same(t.repeat(2, 2, 1, 3), np.tile(a, (2, 2, 1, 3)))
    same(rt.tile(t, (2,)), np.tile(a, (2,)))
    same(t.repeat_interleave(2, 1), np.repeat(a, 2, 1))
    same(t.repeat_interleave(rt.tensor([0, 3, 1]), 0), np.repeat(a, [0, 3, 1], 0))
    for k in range(-2, 4):
        same(rt.rot90(t, k, (0, 2)), np.rot90(a, k, (0, 2)))
        same(t.tril(k - 1), np.tril(a, k - 1))
        same(t.triu(k - 1), np.triu(a, k - 1))
        same(t[0].clone().tril_(k), np.tril(a[0], k))
        same(rt.diag(t[0], k - 1), np.diag(a[0], k - 1))
        same(rt.diag(t[0, 0], k - 1), np.diag(a[0, 0], k - 1))
    same(rt.hstack([t, t]), np.hstack([a, a]))
    same(rt.vstack([t[0, 0], t[0]]), np.vstack([a[0, 0], a[0]]))
    same(rt.dstack([t[0], t[1]]), np.dstack([a[0], a[1]]))
    same(rt.column_stack([t[0, :, 0], t[0]]), np.column_stack([a[0, :, 0], a[0]]))


def test_cat_promotes_and_skips_empty():
    out = rt.cat([rt.tensor([1]), rt.tensor([2.5]), rt.tensor([], dtype=rt.float64)])
    assert out.tolist() == [1.0, 2.5] and out.dtype == rt.float64
    assert rt.cat([rt.tensor([]), rt.ones(2, 2)], 1).shape == (2, 2)
    into = rt.empty(3)
    assert rt.cat([rt.ones(1), rt.zeros(2)], out=into) is into and into.tolist() == [1, 0, 0]
    same(rt.tril_indices(3, 4, 1), np.stack(np.tril_indices(3, 1, 4)))
    same(rt.triu_indices(4, 3, -1), np.stack(np.triu_indices(4, -1, 3)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_keys(data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    a = np.arange(int(np.prod(shape))).reshape(shape)
    key = []
    for size in shape[:data.draw(st.integers(0, len(shape)))]:
        kind = data.draw(st.sampled_from(["slice", "index", "none"]))
        if kind == "slice":
            ends = st.one_of(st.none(), st.integers(-5, 5))
            key.append(slice(data.draw(ends), data.draw(ends), data.draw(st.sampled_from([None, 1, 2, 3]))))
        elif kind == "index":
            key.append(np.array(data.draw(st.lists(st.integers(-size, size - 1), min_size=2, max_size=2))))
        else:
            key += [None, slice(None)]
    t = rt.tensor(a)
    mine = tuple(rt.tensor(k) if isinstance(k, np.ndarray) else k for k in key)
    same(t[mine], a[tuple(key)])
    t[mine] = -1
    a[tuple(key)] = -1
    same(t, a)


I4 = [[0, 2, 1, 3], [1, 3, 0, 2], [2, 0, 3, 1]]
I0 = [[0, 2, 1, 1], [1, 1, 0, 2], [2, 0, 0, 0]]
MASK = [[True, False, True, True], [False, False, True, False], [True, True, False, True]]


def i4():
    return rt.tensor(I4)


def i0():
    return rt.tensor(I0)


def j3():
    return rt.tensor([0, 2, 2])


def mask34():
    return rt.tensor(MASK)


def inplace_mix(x, y):
    z = x * 1
    z[1] = y[0]
    z[:, j3()[:2]] = y[:, :2] * 2
    z[mask34()] = 0.5
    return z


def inplace_ops(x, y):
    z = x * 1
    z.index_add_(0, j3(), y)
    z.scatter_(1, i4(), y)
    z[0].mul_(y[1])
    z.masked_fill_(mask34(), y[0, 0])
    return z.tril_()


GRADIENTS = {
    "int": lambda x: x[1], "slices": lambda x: x[1:3, ::2], "none": lambda x: x[None, ..., 1], "index": lambda x: x[j3()],
    "index column": lambda x: x[:, j3()], "index pair": lambda x: x[j3(), j3()], "mask": lambda x: x[mask34()],
    "apart": lambda x: x[j3(), None, j3()], "gather": lambda x: x.gather(0, i0()), "scatter_add": lambda x, y: x.scatter_add(0, i0(), y),
    "scatter": lambda x, y: x.scatter(1, i4(), y), "scatter value": lambda x: x.scatter(1, i4(), 2.0),
    **{f"scatter_reduce {r} {s}": (lambda x, y, r=r, s=s: x.scatter_reduce(0, i0(), y, r, include_self=s))
       for r in ("sum", "mean", "prod", "amax", "amin") for s in (True, False)},
    "index_select": lambda x: x.index_select(1, j3()), "index_add": lambda x, y: x.index_add(0, j3(), y, alpha=2),
    "index_copy": lambda x, y: x.index_copy(0, rt.tensor([2, 0, 1]), y), "index_fill": lambda x: x.index_fill(1, j3(), 3.0),
    "index_reduce": lambda x, y: x.index_reduce(0, j3(), y, "prod"),
    "index_put add": lambda x, y: x.index_put((j3(),), y, accumulate=True),
    "index_put": lambda x, y: x.index_put((rt.tensor([0, 2]),), y[:2]), "take": lambda x: x.take(i0()),
    "put": lambda x, y: x.put(rt.tensor([0, 5, 7]), y[:, 0]), "put add": lambda x, y: x.put(rt.tensor([0, 5, 5]), y[:, 0], accumulate=True),
    "masked_fill": lambda x: x.masked_fill(mask34(), 1.0), "masked_fill value": lambda x, y: x.masked_fill(mask34(), y[0, 0]),
    "masked_select": lambda x: x.masked_select(mask34()), "masked_scatter": lambda x, y: x.masked_scatter(mask34(), y),
    "cat": lambda x, y: rt.cat([x, y, x], 1), "stack": lambda x, y: rt.stack([x, y], 1), "repeat": lambda x: x.repeat(2, 1, 3),
    "repeat_interleave": lambda x: x.repeat_interleave(rt.tensor([1, 0, 2]), 0), "roll": lambda x: x.roll((1, 2), (0, 1)),
    "flip": lambda x: x.flip(0, 1), "rot90": lambda x: x.rot90(1, (0, 1)), "tril": lambda x: x.tril(1), "triu": lambda x: x.triu(-1),
    "diag": lambda x: rt.diag(x, 1), "diag_embed": lambda x: rt.diag_embed(x, 1),
    "select_scatter": lambda x, y: rt.select_scatter(x, y[0], 0, 1), "slice_scatter": lambda x, y: rt.slice_scatter(x, y[:, :2], 1, 0, 4, 2),
    "diagonal_scatter": lambda x, y: rt.diagonal_scatter(x, y[0, :3]), "take_along_dim": lambda x: rt.take_along_dim(x, i0(), 1),
    "in place": inplace_mix, "in place operators": inplace_ops,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    rt.manual_seed(5)
    fn = GRADIENTS[name]
    count = 1 if len([p for p in inspect.signature(fn).parameters.values() if p.default is p.empty]) == 1 else 2
    args = tuple(rt.randn(3, 4, dtype=rt.float64).requires_grad_() for _ in range(count))
    assert gradcheck(fn, args)
    assert gradgradcheck(fn, args)


def test_history_names_and_leaf_rules():
    x = rt.ones(3, 4, requires_grad=True)
    names = [x[0], x[0:1], x[None], x[rt.tensor([0])], x.gather(0, rt.tensor([[0]])), rt.cat([x]), rt.stack([x]), x.flip(0), x.tril()]
    assert [t.grad_fn.name() for t in names] == ["SelectBackward0", "SliceBackward0", "UnsqueezeBackward0", "IndexBackward0",
                                                  "GatherBackward0", "CatBackward0", "StackBackward0", "FlipBackward0", "TrilBackward0"]
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        x[0] = 1
    with rt.no_grad():
        x[0] = 5
    assert x[0, 0].item() == 5
    i = rt.tensor([0, 1])
    y = x[i].sum()
    i += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (7, 3), (2, 5), (3, 3, 3)])
@pytest.mark.parametrize("wrap", [False, True])
def test_fill_diagonal(shape, wrap):
    a = np.zeros(shape, "float32")
    np.fill_diagonal(a, 2, wrap=wrap)
    same(rt.zeros(shape).fill_diagonal_(2, wrap), a)
    same(rt.zeros(shape[::-1]).permute(*range(len(shape))[::-1]).fill_diagonal_(2, wrap), a)


def test_element_by_element():
    assert rt.arange(3).apply_(lambda x: x * 2).tolist() == [0, 2, 4]
    assert rt.ones(2, 3).map_(rt.arange(3.0), lambda x, y: x - y).tolist() == [[1, 0, -1]] * 2
    with pytest.raises(RuntimeError):
        rt.ones(2, 3).map_(rt.ones(4), lambda x, y: x)
    with pytest.raises(RuntimeError, match="requires grad"):
        rt.ones(1, requires_grad=True).apply_(abs)
    assert [t.item() for t in reversed(rt.arange(3))] == [2, 1, 0]
    assert rt.nonzero_static(rt.tensor([0, 1]), size=2, fill_value=7).tolist() == [[1], [7]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_by_index_on_every_instruction_set(dtype):
    draw, before = np.random.default_rng(11), _cpu.simd_level()
    a = rt.from_numpy(draw.standard_normal((37, 70)).astype(np.float32)).to(getattr(rt, dtype))
    rows, places = draw.integers(0, 37, 37), draw.integers(0, 70, (37, 70))
    try:
        for level in _cpu.LEVELS[: _cpu.LEVELS.index(_cpu.best_simd_level()) + 1]:
            _cpu.set_simd_level(level)
            for op, join in (("sum", lambda x, y: x + y), ("prod", lambda x, y: x * y), ("amax", max), ("amin", min)):
                want = a.clone()
                for i in range(37):
                    for j in range(70):
                        want[i, places[i, j]] = join(want[i, places[i, j]], a[i, j])
                assert rt.equal(a.scatter_reduce(1, rt.from_numpy(places), a, op), want), (level, op)
            want = a.clone()
            for i, to in enumerate(rows):
                want[to] = want[to] + a[i]
            assert rt.equal(a.index_add(0, rt.from_numpy(rows), a), want)
            want = a.t().contiguous()
            assert rt.equal(want.index_add(1, rt.from_numpy(rows), want), a.index_add(0, rt.from_numpy(rows), a).t())
    finally:
        _cpu.set_simd_level(before)


@pytest.mark.parametrize("classes", [1, 2, 21, 3000])
@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (7, 1, 4), (500, 90)])
def test_one_hot(shape, classes):
    index = np.random.default_rng(classes).integers(0, classes, shape)
    for a in (index, index.T):
        out = rt.nn.functional.one_hot(rt.from_numpy(a), classes)
        assert out.dtype is rt.int64 and out.is_contiguous()
        np.testing.assert_array_equal(out.numpy(), np.arange(classes) == np.asarray(a)[..., None])
