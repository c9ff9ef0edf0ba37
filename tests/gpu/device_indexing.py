"""Reading and writing by index and mask, rows of tables, rearranging: the device against the CPU, values and gradients."""
import numpy as np
import pytest

import rustorch_py as rt
from tests.gpu.compare import check

assert rt.cuda.is_available()
F = rt.nn.functional
rng = np.random.default_rng(0)
X = rt.from_numpy(rng.standard_normal((4, 6, 5)).astype(np.float32))
I = rt.from_numpy(rng.integers(0, 4, (4, 3, 5)))
K = rt.from_numpy(rng.integers(0, 6, (7,)))
M = X > 0.3


def on(t, x):
    return t.to(x.device)


READS = {
    "index": lambda x: x[on(K % 4, x)],
    "index of the CPU": lambda x: x[K % 4],
    "two indices": lambda x: x[:, on(K, x), on(K % 5, x)],
    "two indices apart": lambda x: x[on(K % 4, x), :, on(K % 5, x)],
    "broadcast indices": lambda x: x[on(K[:4].reshape(4, 1) % 4, x), on(K, x)],
    "negative": lambda x: x[:, [-1, 0, 2]],
    "transposed": lambda x: x.transpose(0, 2)[on(K % 5, x), 1:3],
    "number on the device": lambda x: x[on(rt.tensor(2), x), 1],
    "mask": lambda x: x[on(M, x)],
    "mask of the CPU": lambda x: x[M],
    "mask of one dimension": lambda x: x[:, on(M[0, :, 0], x)],
    "mask and slice": lambda x: x[on(M[:, :, 0], x), 1:3],
    "mask and index": lambda x: x[on(M[:, 0, 0], x), on(K[:int(M[:, 0, 0].sum())], x)],
    "True": lambda x: x[True],
    "empty": lambda x: x[on(K[:0], x)],
    "index_select": lambda x: x.index_select(1, on(K, x)),
    "index_select of a view": lambda x: x.transpose(0, 2)[::2].index_select(1, on(K.int(), x)),
    "take": lambda x: x.take(on(K, x) * 3 - 2),
    "take of a view": lambda x: x.transpose(0, 1).take(on(K, x) * 3),
    "take_along_dim": lambda x: rt.take_along_dim(x, x.detach().argsort(1), 1),
    "masked_select": lambda x: x.masked_select(x.detach() > 0),
    "flip": lambda x: x.transpose(1, 2).flip(0, 2),
    "roll": lambda x: x.roll((1, -2), (0, 1)),
    "rot90": lambda x: x.rot90(1, (0, 2)),
    "tril": lambda x: x.tril(1),
    "triu of a view": lambda x: x.transpose(1, 2).triu(-1),
    "repeat": lambda x: x.repeat(2, 1, 3, 2),
    "tile": lambda x: x.tile((2, 2)),
    "repeat_interleave": lambda x: x.repeat_interleave(3, 1),
    "repeat_interleave of counts": lambda x: x.repeat_interleave(on(rt.tensor([1, 0, 2, 3]), x), 0),
    "cat": lambda x: rt.cat([x, x.flip(1) * 2], 1),
    "stack": lambda x: rt.stack([x, x * 2], 1),
}


@pytest.mark.parametrize("name", READS)
def test_reading(name):
    check(READS[name], X)


WRITES = {
    "index_add": lambda x, s: x.index_add(1, on(rt.tensor([1, 1, 3]), x), s, alpha=2),
    "index_copy": lambda x, s: x.index_copy(1, on(rt.tensor([1, 4, 3]), x), s),
    "index_fill": lambda x, s: x.index_fill(1, on(rt.tensor([1, -1]), x), s[0, 0, 0]),
    "index_put": lambda x, s: x.index_put((on(K[:4].unique(), x),), s[0, 0]),
    "index_put of the CPU": lambda x, s: x.index_put((K % 4, K % 6), s[0, 0], accumulate=True),
    "put": lambda x, s: x.put(on(rt.tensor([3, -5, 7]), x), s[0, 0, :3], accumulate=True),
    "put in a view": lambda x, s: x.transpose(0, 1).put(on(rt.tensor([3, -5, 7]), x), s[0, 0, :3]),
    "scatter": lambda x, s: x.scatter(1, on(rt.tensor([[[0] * 5, [4] * 5, [2] * 5]] * 4), x), s),
    "scatter_add": lambda x, s: x.scatter_add(1, on(I, x), s),
    "masked_scatter": lambda x, s: x.masked_scatter(on(M, x), x.flip(0) * 3),
    "masked_fill": lambda x, s: x.masked_fill(on(M[0], x), s[0, 0, 0]),
    **{f"scatter_reduce {how} {own}": lambda x, s, how=how, own=own: x.scatter_reduce(1, on(I, x), s, how, include_self=own)
       for how in ("sum", "prod", "mean", "amax", "amin") for own in (True, False)},
    **{f"index_reduce {how}": lambda x, s, how=how: x.index_reduce(1, on(rt.tensor([1, 1, 3]), x), s, how) for how in ("prod", "mean", "amax", "amin")},
}


@pytest.mark.parametrize("name", WRITES)
def test_writing(name):
    check(WRITES[name], X, X[:, 1:4] * 2)


def written(x, key, value):
    y = x * 1
    y[key] = value
    return y


def in_place(x, name, *args):
    y = x * 1
    return getattr(y, name)(*args)


def test_assignment_and_in_place_forms():
    check(lambda x: written(x, (0, on(K, x)), 7.0), X)
    check(lambda x: written(x, on(M, x), 7.0), X)
    check(lambda x: written(x, M, rt.tensor(7)), X)
    check(lambda x: written(x, on(M, x), x.detach()[on(M, x)] * 2), X)
    check(lambda x: written(x, (slice(None), on(rt.tensor(2), x)), x[:, 0]), X)
    check(lambda x: written(x, (K % 4, K % 6), rt.tensor(7.0)), X)
    check(lambda x: in_place(x, "masked_fill_", on(M, x), 2.0), X)
    check(lambda x: in_place(x, "index_add_", 1, on(rt.tensor([1, 1, 3]), x), x.detach()[:, :3]), X)
    check(lambda x: in_place(x, "scatter_", 1, on(I[:, :1], x), 3.0), X)
    check(lambda x: in_place(x, "triu_", 1), X)
    check(lambda x: in_place(x[:, :, 0], "fill_diagonal_", 5.0), X)
    check(lambda x: in_place(x.reshape(20, 6), "fill_diagonal_", 5.0, True), X)
    out = rt.empty(0, device="cuda")
    assert rt.index_select(X.cuda(), 1, K.cuda(), out=out) is out and rt.equal(out.cpu(), X.index_select(1, K))


@pytest.mark.parametrize("dtype", [rt.bool, rt.uint8, rt.int64, rt.float16, rt.complex128])
def test_dtypes(dtype):
    x, s = (X * 2).to(dtype), (X[:, :3] * 3).to(dtype)
    for key in (lambda x: x[:, on(K, x)], lambda x: x.flip(1), lambda x: x.tril(), lambda x: x[on(M, x)]):
        check(lambda x: key(x).detach(), x)
    check(lambda x, s: x.scatter_add(1, on(I, x), s).detach(), x, s, tolerance=1e-2)
    if not dtype.is_complex:
        check(lambda x, s: x.scatter_reduce(1, on(I, x), s, "amax").detach(), x, s)
        check(lambda x, s: x.scatter_reduce(1, on(I, x), s, "amin", include_self=False).detach(), x, s)


def test_nonzero():
    for shape in ((0,), (3, 0), (), (1,), (9000,), (70, 130), (3, 5, 7)):
        m = rt.from_numpy(np.asarray(rng.random(shape) < 0.3))
        check(lambda m: m.nonzero(), m)
        check(lambda m: m.nonzero(as_tuple=True), m)
    check(lambda x: rt.argwhere(x[1:] > 0), X)
    check(lambda x: rt.nonzero_static(x > 0, size=200, fill_value=-7), X)


@pytest.mark.parametrize("half", [False, True])
def test_tables(half):
    w = X[:, :, 0].half() if half else X[:, :, 0]
    close = {"tolerance": 2e-3} if half else {}
    check(lambda w: F.embedding(on(K % 4, w), w, padding_idx=2, scale_grad_by_freq=True), w, **close)
    check(lambda w: F.embedding(on(K.reshape(7, 1).int() % 4, w), w.detach() * 1, max_norm=1.0), w, **close)
    for mode in ("sum", "mean", "max"):
        check(lambda w: F.embedding_bag(on(K % 4, w), w, on(rt.tensor([0, 2, 2, 5]), w), mode=mode, padding_idx=2), w, **close)
    check(lambda w, s: F.embedding_bag(on(K % 4, w), w, on(rt.tensor([0, 2, 7]), w), mode="sum", per_sample_weights=s, include_last_offset=True),
          w, X[0, :, :2].reshape(-1)[:7].to(w.dtype), **close)


def test_second_derivatives():
    x = X[:, :, 0].double().cuda().requires_grad_(True)
    index, mask = K.cuda() % 4, M[:, :, 0].cuda()
    for fn in (lambda x: x[index], lambda x: x[mask], lambda x: x.index_select(0, index), lambda x: x.masked_fill(mask, 1.0),
               lambda x: x.scatter_add(0, index[:4].reshape(4, 1), x * 2), lambda x: F.embedding(index, x)):
        g, = rt.autograd.grad((fn(x) ** 3).sum(), x, create_graph=True)
        again, = rt.autograd.grad((g * g).sum(), x)
        y = x.detach().cpu().requires_grad_(True)
        index, mask = index.cpu(), mask.cpu()
        h, = rt.autograd.grad((fn(y) ** 3).sum(), y, create_graph=True)
        want, = rt.autograd.grad((h * h).sum(), y)
        index, mask = index.cuda(), mask.cuda()
        np.testing.assert_allclose(again.cpu().numpy(), want.numpy(), rtol=1e-10)


def test_what_is_refused():
    x = X.cuda()
    with pytest.raises(RuntimeError, match="either on cpu or on the same device"):
        X[K.cuda()]
    for call in (lambda: x.index_select(1, K), lambda: X.index_select(1, K.cuda()), lambda: x.gather(1, I), lambda: X.scatter_add(1, I.cuda(), X),
                 lambda: x.masked_fill(M, 1.0), lambda: X.masked_select(M.cuda()), lambda: F.embedding(K, x[:, :, 0]), lambda: x.take(K),
                 lambda: x.index_put((K.cuda(),), X)):
        with pytest.raises(RuntimeError, match="same device|one CUDA device"):
            call()
    for call in (lambda: x[K.cuda() + 1], lambda: x.index_add(0, K.cuda(), x[0].expand(7, 6, 5)), lambda: F.embedding(K.cuda(), x[:, :, 0])):
        with pytest.raises(RuntimeError, match="out of bounds"):
            call().cpu()
    with pytest.raises(IndexError, match="too many indices"):
        x[K.cuda(), K.cuda(), K.cuda(), K.cuda()]
    with pytest.raises(RuntimeError, match="negative"):
        x.repeat_interleave(rt.tensor([1, -1, 2, 3]).cuda(), 0)
