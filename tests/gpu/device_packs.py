"""Kernels that take several packs of elements a thread: every width, odd sizes, misaligned views, lines of any length, against the CPU."""
import os

import numpy as np
import pytest

import rustorch_py as rt

assert rt.cuda.is_available()
rng = np.random.default_rng(0)
NAMES = {"f32": rt.float32, "f64": rt.float64, "f16": rt.float16, "bf16": rt.bfloat16, "i64": rt.int64, "i16": rt.int16, "u8": rt.uint8, "b8": rt.bool, "c64": rt.complex64}


def numbers(shape, dtype):
    x = rt.from_numpy(rng.standard_normal(shape) * 4)
    if dtype == rt.bool:
        return x > 0
    if dtype.is_complex:
        return rt.complex(x, rt.from_numpy(rng.standard_normal(shape))).to(dtype)
    return x.abs().to(dtype) if dtype == rt.uint8 else x.to(dtype)


def same(got, want, tolerance=0.0):
    got, want = got.cpu(), want.cpu()
    assert got.dtype == want.dtype and got.shape == want.shape
    if got.dtype in (rt.float16, rt.bfloat16):
        got, want = got.float(), want.float()
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=tolerance, atol=tolerance)


if rt.cuda.get_device_name().startswith("Software") and not os.environ.get("RUSTORCH_LONG_TESTS"):       # each kernel is compiled: a second
    FEW = ("f32", "bf16", "u8")
else:
    FEW = tuple(NAMES)


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("n", [1, 31, 4097, 9000])
def test_dense_packs(name, n):
    x = numbers(n + 3, NAMES[name])
    d = x.cuda()
    for start in (0, 1, 2):
        a, b = x[start:start + n], d[start:start + n]
        same(b + b, a + a)
        same(b.to(rt.float32 if not b.dtype.is_complex else rt.complex128), a.to(rt.float32 if not a.dtype.is_complex else rt.complex128))
        whole = rt.zeros(n + 3, dtype=x.dtype).cuda()                 # nothing beside a view is written
        whole[start:start + n].copy_(b)
        whole[start:start + n].add_(b)
        want = rt.zeros(n + 3, dtype=x.dtype)
        want[start:start + n].copy_(a)
        want[start:start + n].add_(a)
        same(whole, want)


@pytest.mark.parametrize("name", [n for n in FEW if n != "c64"])
def test_broadcast_packs(name):
    for shapes in [((70, 96), (96,)), ((70, 96), (70, 1)), ((70, 95), (95,)), ((6, 12, 9, 8), (12, 1, 1)), ((6, 12, 9, 7), (12, 1, 1)), ((5, 1, 40, 32), (1, 7, 1, 32)),
                   ((64, 1), (1, 80)), ((3, 5, 7, 11, 13), (5, 1, 11, 1))]:
        x, y = (numbers(s, NAMES[name]) for s in shapes)
        same(x.cuda() + y.cuda(), x + y)
        same(y.cuda() * x.cuda(), y * x)
        same(rt.where(y.cuda() > 1, x.cuda(), y.cuda()), rt.where(y > 1, x, y))
    x = numbers((90, 130), NAMES[name])
    for view in (lambda t: t[:, :-2], lambda t: t[::3, 2:], lambda t: t[1:, 1:], lambda t: t[:, ::2], lambda t: t.t()[1:]):
        same(view(x.cuda()) + 1, view(x) + 1)
        same(view(x.cuda()).contiguous(), view(x).contiguous())


@pytest.mark.parametrize("name", FEW)
def test_copies_by_tiles(name):
    dtype = NAMES[name]
    for shape, order in [((40, 70), (1, 0)), ((64, 64), (1, 0)), ((16, 100), (1, 0)), ((3, 33, 5, 20), (0, 2, 3, 1)), ((2, 17, 90), (0, 2, 1)), ((3, 18, 4, 33), (3, 0, 2, 1)),
                         ((130, 2, 65), (2, 1, 0)), ((15, 100), (1, 0))]:
        x = numbers(shape, dtype)
        same(x.cuda().permute(order).contiguous(), x.permute(order).contiguous())
        if not dtype.is_complex:
            same(x.cuda().permute(order).to(rt.float32, memory_format=rt.contiguous_format), x.permute(order).to(rt.float32, memory_format=rt.contiguous_format))
    x = numbers((80, 50), dtype)
    y = rt.zeros(60, 90, dtype=dtype)
    a, b = y.cuda(), y.clone()
    a[3:53, 5:85] = x.cuda().t()
    b[3:53, 5:85] = x.t()
    same(a, b)
    x = numbers((2, 20, 5, 7), dtype)
    same(x.cuda().contiguous(memory_format=rt.channels_last), x.contiguous(memory_format=rt.channels_last))


REDUCED = [((1,), None), ((31,), None), ((4096,), None), ((5000,), None), ((70000,), None), ((300001,), None), ((3, 70000), 1), ((9, 5000), 1), ((70, 31), 1), ((2000, 4), 1),
           ((2000, 5), 1), ((40, 4096), 1), ((70000, 3), 0), ((5000, 40), 0), ((3000, 33), 0), ((300, 4096), 0), ((31, 1000), 0), ((4, 6, 50, 8), (0, 2, 3)), ((4, 6, 50, 7), (0, 2)),
           ((2, 3, 4, 5, 6), (1, 3)), ((0, 5), 0), ((5, 0), 1), ((0,), None)]


@pytest.mark.parametrize("name", FEW)
def test_reductions(name):
    dtype = NAMES[name]
    tolerance = {"f32": 2e-5, "f64": 1e-12, "f16": 2e-3, "bf16": 1e-2, "c64": 1e-4}.get(name, 0)
    for shape, dim in REDUCED:
        x = numbers(shape, dtype)
        if dtype in (rt.float16, rt.bfloat16, rt.float32):
            x = x.abs()                                              # no cancellation: the order of a sum may differ
        same(x.cuda().sum(dim), x.sum(dim), tolerance)
        if x.numel() and not dtype.is_complex:
            same(x.cuda().amax(() if dim is None else dim), x.amax(() if dim is None else dim))
    x = numbers((50, 201), dtype)
    same(x.cuda()[1:, 1:].sum(1), x[1:, 1:].sum(1), max(tolerance, 1e-4 if tolerance else 0))
    same(x.cuda().t()[1:, 1:].sum(0), x.t()[1:, 1:].sum(0), max(tolerance, 1e-4 if tolerance else 0))
    same((x.cuda() != 0).any(1), (x != 0).any(1))


def test_reductions_are_the_same_each_time_and_see_nan():
    x = numbers((6, 90000), rt.float32)
    x[2, 77777] = float("nan")
    x[3, 5] = float("inf")
    d = x.cuda()
    first = d.sum(1).cpu().numpy()
    assert np.array_equal(first, d.sum(1).cpu().numpy(), equal_nan=True)
    assert np.isnan(first[2]) and np.isinf(first[3])
    for dim in (0, 1):
        np.testing.assert_array_equal(d.amax(dim).cpu().numpy(), x.amax(dim).numpy())
    assert np.isnan(d.sum().item())


def test_joined():
    for dtype in (rt.float32, rt.bfloat16):
        for shapes, dim in [([(4, 6)] * 3, 0), ([(4, 6), (4, 2), (4, 8)], 1), ([(2, 3, 8), (2, 1, 8), (2, 5, 8), (2, 0, 8)], 1), ([(3, 5)] * 40, 1), ([(3, 4096)] * 17, 0), ([(7,)] * 3, 0),
                            ([(70, 1), (70, 2), (70, 3)], 1)]:
            parts = [numbers(s, dtype) for s in shapes]
            same(rt.cat([t.cuda() for t in parts], dim), rt.cat(parts, dim))
        parts = [numbers((6, 20), dtype) for _ in range(5)]
        for dim in (0, 1, 2):
            same(rt.stack([t.cuda() for t in parts], dim), rt.stack(parts, dim))
        room = numbers((130,), dtype)
        same(rt.cat([room.cuda()[1:65], room.cuda()[2:66], room.cuda()[3:67]]), rt.cat([room[1:65], room[2:66], room[3:67]]))
    x = [numbers((3, 4), rt.float32).cuda().requires_grad_() for _ in range(3)]
    rt.cat(x, 1).backward(rt.arange(36.0).reshape(3, 12).cuda())
    same(x[1].grad, rt.arange(36.0).reshape(3, 12)[:, 4:8])


def test_rows_by_index():
    for dtype in (rt.float32, rt.bfloat16, rt.uint8):
        for shape in ((50, 64), (50, 7), (9, 1), (6, 4, 8)):
            x, i = numbers(shape, dtype), rt.from_numpy(rng.integers(0, shape[0], 333))
            same(rt.nn.functional.embedding(i.cuda(), x.cuda()) if len(shape) == 2 else x.cuda()[i.cuda()], x[i])
            same(x.cuda().index_select(0, i.cuda()), x.index_select(0, i))
            same(x.cuda()[i.cuda() - shape[0]], x[i])
            same(x.cuda()[:, 1:][i.cuda()], x[:, 1:][i])
            j = rt.from_numpy(rng.integers(0, shape[1], 5))
            same(x.cuda()[:, j.cuda()], x[:, j])
            same(x.cuda()[i[:6].cuda(), j[:1].cuda()], x[i[:6], j[:1]])
    y = numbers((50, 64), rt.float32)
    for device in ("cpu", "cuda"):
        z = y.to(device).clone()
        z[rt.arange(10).to(device)] = 0
        z[:, rt.tensor([1, 5]).to(device)] += 1
        same(z, y.clone().index_fill_(0, rt.arange(10), 0).index_add(1, rt.tensor([1, 5]), rt.ones(50, 2)))
    with pytest.raises(RuntimeError, match="index 50 is out of bounds"):
        y.cuda()[rt.tensor([3, 50]).cuda()].cpu()


def test_dropout_and_its_gradient():
    for dtype in (rt.float32, rt.bfloat16):
        for n in (5, 4096, 9001):
            x = rt.ones(n + 1, dtype=dtype).cuda()[1:].requires_grad_() if n == 5 else rt.ones(n, dtype=dtype).cuda().requires_grad_()
            y = rt.nn.functional.dropout(x, 0.25, True)
            y.backward(rt.full((n,), 3.0, dtype=dtype).cuda())
            kept = y.detach().cpu().float() != 0
            assert n == 5 or 0.7 < kept.float().mean().item() < 0.8
            np.testing.assert_allclose(x.grad.cpu().float().numpy(), np.where(kept.numpy(), 4.0, 0.0), rtol=1e-2)
