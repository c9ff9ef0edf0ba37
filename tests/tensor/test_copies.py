"""Copies between layouts: every element size x permutation x instruction set, against NumPy."""
import itertools

import numpy as np
import pytest

import rustorch_py as rt



@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(37, 50), (16, 16), (3, 17, 33), (2, 40, 5, 24), (8, 9, 64), (1, 100, 1, 90), (9, 1), (3, 0, 4)])
def test_permuted_copies(shape, dtype, level):
    a = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
    t = rt.from_numpy(a)
    for order in itertools.permutations(range(len(shape))):
        np.testing.assert_array_equal(t.permute(*order).contiguous().numpy(), a.transpose(order))
        dst = rt.zeros(shape, dtype=t.dtype).permute(*order)              # a strided destination
        dst.copy_(t.permute(*order))
        np.testing.assert_array_equal(dst.numpy(), a.transpose(order))


def test_large_copies_use_all_paths(level):
    rng = np.random.default_rng(2)
    a = rng.standard_normal((515, 1030)).astype(np.float32)
    t = rt.from_numpy(a)
    np.testing.assert_array_equal(t.t().contiguous().numpy(), a.T)
    np.testing.assert_array_equal(t[::2, 1::3].t().contiguous().numpy(), a[::2, 1::3].T)
    np.testing.assert_array_equal(t[:, :1].expand(515, 1030).contiguous().numpy(), np.broadcast_to(a[:, :1], a.shape))
    np.testing.assert_array_equal(t[:1].expand(515, 1030).t().contiguous().numpy(), np.broadcast_to(a[:1], a.shape).T)
    image = rng.standard_normal((4, 30, 31, 33)).astype(np.float32)
    np.testing.assert_array_equal(rt.from_numpy(image).permute(0, 2, 3, 1).contiguous().numpy(), image.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(rt.from_numpy(image).to(memory_format=rt.channels_last).numpy(), image)
    filled = rt.zeros(700, 600)
    filled.t()[::2].fill_(3.0)
    assert filled.sum().item() == 3.0 * 700 * 300


@pytest.mark.parametrize("length", [2111, 2113, 2129, 4096, 4097, 70001])
def test_long_copies_at_every_distance(length, level):
    """Destinations just above their source modulo a page take another way (Note [Page aliases])."""
    rng = np.random.default_rng(length)
    a = rng.integers(0, 256, 80000, dtype=np.uint8)
    t = rt.from_numpy(a)
    for ahead in [*range(0, 70), 95, 96, 97, 255, 508, 509, 511, 512, 513, 4095]:
        for at in (0, 24, 61):
            to = rt.full((80000,), 7, dtype=rt.uint8)
            first = (a.ctypes.data + at + ahead - to.data_ptr()) % 4096
            to[first:first + length].copy_(t[at:at + length])
            want = np.full(80000, 7, np.uint8)
            want[first:first + length] = a[at:at + length]
            np.testing.assert_array_equal(to.numpy(), want)


def test_elementwise_with_a_crosswise_operand(level):
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((300, 300)).astype(np.float32), rng.standard_normal((300, 300))
    x, y = rt.from_numpy(a), rt.from_numpy(b)
    np.testing.assert_array_equal((x.t() + x).numpy(), a.T + a)
    np.testing.assert_allclose((x + y.t()).numpy(), a + b.T, rtol=1e-15)           # converted as well
    np.testing.assert_array_equal(rt.where(x.t() > 0, x, x.t()).numpy(), np.where(a.T > 0, a, a.T))
    want = a + a.T
    x.add_(x.t().clone())
    np.testing.assert_array_equal(x.numpy(), want)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("sizes", [(129, 257), (3, 70, 131), (40, 5, 120), (33, 4, 9, 65)], ids=str)
def test_turned_operands(sizes, dtype, level):
    """Operands dense along other dimensions than the result: one and several of them, of one dtype and mixed."""
    rng = np.random.default_rng(12)
    for axes in itertools.permutations(range(len(sizes))):
        shape, back = [sizes[i] for i in axes], [len(sizes) - 1 - i for i in axes]
        a, b, c = (rng.integers(0, 5, s).astype(dtype) for s in (sizes, shape, sizes[::-1]))
        d = rng.integers(1, 5, shape[-1]).astype("int8")
        x, y, z, k = (rt.from_numpy(v) for v in (a, b, c, d))
        turned, reverse, xt, zt = a.transpose(axes), c.transpose(back), x.permute(axes), z.permute(back)
        y = y.contiguous()
        for got, want in ((xt + y, turned + b), (y * xt, b * turned), (y + zt, b + reverse), (rt.addcmul(y, xt, zt), b + turned * reverse),
                          (rt.where(y == 3, xt, y), np.where(b == 3, turned, b)), (k + xt, d + turned), (xt == zt, turned == reverse)):
            np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize("n", [1, 7, 8, 15, 16, 33, 1000])
def test_half_conversions(n, level):
    x = np.concatenate([np.random.default_rng(n).standard_normal(n) * 300, [65504, 65520, 1e-7, 6e-8, np.inf, -np.inf, -0.0, 2.0 ** -24, 3e-5]]).astype(np.float32)
    with np.errstate(over="ignore"):
        want = x.astype(np.float16)
    t = rt.from_numpy(x)
    np.testing.assert_array_equal(t.to(rt.float16).numpy().view(np.uint16), want.view(np.uint16))
    np.testing.assert_array_equal(t.to(rt.float16).to(rt.float32).numpy(), want.astype(np.float32))
    np.testing.assert_array_equal(t[::2].to(rt.float16).numpy(), want[::2])
    assert np.isnan(rt.tensor([float("nan")] * 9).to(rt.float16).to(rt.float32).numpy()).all()


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(5,), (64,), (40_001,), (200, 700), (3, 70, 301), (2, 3, 4, 5), (0, 4), ()])
def test_masks(shape, density, level):
    rng = np.random.default_rng(4)
    mask = np.asarray(rng.random(shape) < density)
    m = rt.from_numpy(mask)
    np.testing.assert_array_equal(rt.nonzero(m).numpy(), np.argwhere(mask) if shape else np.zeros((int(mask), 0), np.int64))
    for dtype in (np.uint8, np.int16, np.float32, np.float64, np.complex128):
        a = np.asarray(rng.integers(0, 100, shape)).astype(dtype)
        t = rt.from_numpy(a)
        np.testing.assert_array_equal(rt.masked_select(t, m).numpy(), a[mask])
        if shape:
            np.testing.assert_array_equal(t[m].numpy(), a[mask])
    leaf = rt.ones(shape, dtype=rt.float64).requires_grad_()
    (leaf.masked_select(m) * 2).sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), mask * 2.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("channels", [2, 3, 4, 5, 6, 7, 8, 11, 16, 17, 32])
def test_pixels_turned_round(channels, dtype, level):
    """Short runs side by side (Note [Short runs]): images with their channels innermost, backwards, cut and put into larger ones."""
    rng = np.random.default_rng(channels)
    for shape in [(1, 9, channels), (3, 1, channels), (2, 2, channels), (5, 33, channels), (1, 200, channels), (120, 131 if channels < 12 else 40, channels)]:
        a = rng.integers(0, 200, shape).astype(dtype)
        t = rt.from_numpy(a)
        for dims in [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)]:
            np.testing.assert_array_equal(t.flip(dims).numpy(), np.flip(a, dims))
        for k in (1, 2, 3):
            np.testing.assert_array_equal(t.rot90(k).numpy(), np.rot90(a, k))
        np.testing.assert_array_equal(t[:, ::2].contiguous().numpy(), a[:, ::2])
        room = np.full((shape[0] + 2, shape[1] + 2, channels + 1), 7, dtype)
        into = rt.from_numpy(room.copy())
        room[1:-1, 1:-1, 1:] = np.flip(a, 1)
        into[1:-1, 1:-1, 1:] = t.flip(1)
        np.testing.assert_array_equal(into.numpy(), room)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("channels, r", [(4, 2), (9, 3), (12, 2), (32, 2), (32, 4), (18, 3)])
def test_pixels_dealt_anew(channels, r, dtype, level):
    for h, w in [(12, 24), (36, 24), (60, 120)]:
        a = np.random.default_rng(r).integers(0, 200, (2, channels, h, w)).astype(dtype)
        t = rt.from_numpy(a).contiguous(memory_format=rt.channels_last)
        for x in (rt.from_numpy(a), t):
            if channels % (r * r) == 0:
                want = a.reshape(2, channels // (r * r), r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(2, -1, h * r, w * r)
                got = rt.nn.functional.pixel_shuffle(x, r)
                np.testing.assert_array_equal(got.numpy(), want)
                np.testing.assert_array_equal(rt.nn.functional.pixel_unshuffle(got, r).numpy(), a)
            want = a.reshape(2, channels, h // r, r, w // r, r).transpose(0, 1, 3, 5, 2, 4).reshape(2, -1, h // r, w // r)
            np.testing.assert_array_equal(rt.nn.functional.pixel_unshuffle(x, r).numpy(), want)
            groups = 2 if channels % 2 == 0 else 3
            want = a.reshape(2, groups, channels // groups, h, w).swapaxes(1, 2).reshape(a.shape)
            np.testing.assert_array_equal(rt.nn.functional.channel_shuffle(x, groups).numpy(), want)


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16, rt.float16, rt.int64, rt.uint8], ids=str)
@pytest.mark.parametrize("n", [2, 3, 5, 8, 13, 32, 40, 127])
def test_short_rows_beside_what_repeats(n, dtype, level):
    """A row's operand repeated for all rows, and an element for all of a row (Note [Short rows] in cpu.c)."""
    rng = np.random.default_rng(n)
    for outer, rows in [(1, 1500), (3, 700), (40, 33), (5000, 8)]:
        shapes = [(outer, rows, n), (1, 1, n), (outer, 1, n), (outer, rows, 1), (1, rows, 1)]
        a, *others = [rng.integers(1, 9, s).astype(np.float64) for s in shapes]
        x = rt.from_numpy(a).to(dtype)
        for b in others:
            y = rt.from_numpy(b).to(dtype)
            np.testing.assert_array_equal((x * y).double().numpy(), a * b)
            np.testing.assert_array_equal((y > x).numpy(), b > a)
            np.testing.assert_array_equal(rt.where(y > 4, x, y).double().numpy(), np.where(b > 4, a, b))
            np.testing.assert_array_equal((x.double() - y.float()).numpy(), a - b)             # converted on the way
        if dtype not in (rt.uint8, rt.bfloat16):                                                # 512 is the most
            product = x * rt.from_numpy(others[1]).to(dtype)
            product *= rt.from_numpy(others[0]).to(dtype)
            np.testing.assert_array_equal(product.double().numpy(), a * others[1] * others[0])
