"""Softmax, losses and norms on the device for lines of every length: in registers, by packs, from misaligned places, and longer ones; against the CPU."""
import numpy as np
import pytest

import rustorch_py as rt
import rustorch_py.nn.functional as F

assert rt.cuda.is_available()
rng = np.random.default_rng(0)
LAST = rt.channels_last


def numbers(*shape, start=0):
    """Random numbers; `start`: elements before the first one in memory, which misalign it."""
    n = int(np.prod(shape))
    return rt.from_numpy(rng.standard_normal(n + start).astype(np.float32))[start:].reshape(shape)


def both(fn, *tensors, dtype=rt.float32, tolerance=2e-5, start=0):
    """Values and gradients of fn on the device beside the CPU's; `start` as above, on the device."""
    found = []
    for device in ("cpu", "cuda"):
        leaves = []
        for t in tensors:
            t = t.to(dtype) if t.dtype.is_floating_point else t
            if device == "cuda":
                room = rt.empty(t.numel() + start, dtype=t.dtype, device="cuda")[start:]
                last = t.ndim == 4 and t.is_contiguous(memory_format=LAST) and not t.is_contiguous()
                room.copy_((t.permute(0, 2, 3, 1) if last else t).reshape(-1))
                t = room.view(t.shape[0], t.shape[2], t.shape[3], t.shape[1]).permute(0, 3, 1, 2) if last else room.view(t.shape)
            leaves.append(t.detach().requires_grad_(t.dtype.is_floating_point))
        out = fn(*leaves)
        g = (rt.arange(out.numel()) % 7 - 3).reshape(out.shape).to(out.dtype) / 4
        if out.requires_grad:
            out.backward(g.to(device))
        found.append([out.detach()] + [t.grad for t in leaves if t.grad is not None])
    for i, (want, got) in enumerate(zip(*found)):
        assert got.device.type == "cuda" and got.dtype == want.dtype and got.shape == want.shape
        want, got = want.double().numpy(), got.cpu().double().numpy()
        scale = np.abs(want[np.isfinite(want)]).max(initial=1.0)
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, err_msg=str(i))


LENGTHS = [(5, 1), (9, 4), (40, 31), (33, 64), (3, 1000), (3, 4096), (3, 5000), (2, 20000), (2, 40000)]


@pytest.mark.parametrize("dtype, tolerance", [(rt.float32, 2e-5), (rt.bfloat16, 2e-2)])
def test_softmax(dtype, tolerance):
    for shape in LENGTHS:
        for start in ((0, 1) if shape[1] in (64, 4096, 40000) else (0,)):
            both(lambda x: x.softmax(-1), numbers(*shape), dtype=dtype, tolerance=tolerance, start=start)
            both(lambda x: x.log_softmax(-1), numbers(*shape), dtype=dtype, tolerance=tolerance, start=start)
    both(lambda x: x.softmax(1), numbers(3, 70, 5), dtype=dtype, tolerance=tolerance)
    both(lambda x: x.logsumexp(1), numbers(4, 5001), dtype=dtype, tolerance=tolerance)


def test_softmax_of_odd_numbers():
    inf, nan = float("inf"), float("nan")
    for n in (4, 64, 40001):
        x = numbers(7, n)
        x[0, 1], x[1, 2], x[2, 0], x[3] = nan, inf, -inf, -inf
        x[4, 1], x[4, 2], x[5] = inf, inf, -1e30
        x[6] = 1e30
        both(lambda x: x.softmax(-1).nan_to_num(7.0), x)
        both(lambda x: x.log_softmax(-1).nan_to_num(7.0, 8.0, 9.0), x)
        for a, b in ((x.softmax(-1), x.cuda().softmax(-1)), (x.logsumexp(-1), x.cuda().logsumexp(-1))):
            np.testing.assert_allclose(b.cpu().numpy(), a.numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype, tolerance", [(rt.float32, 3e-5), (rt.bfloat16, 2e-2)])
def test_cross_entropy(dtype, tolerance):
    for rows, classes in ((6, 3), (9, 1000), (5, 5003), (3, 50257)):
        target = rt.from_numpy(rng.integers(0, classes, rows))
        target[0] = -100
        both(lambda x, t: F.cross_entropy(x, t), numbers(rows, classes), target, dtype=dtype, tolerance=tolerance)
    both(lambda x, t, w: F.cross_entropy(x, t, w, label_smoothing=0.1, reduction="sum"), numbers(9, 1003), rt.from_numpy(rng.integers(0, 1003, 9)), numbers(1003).abs(),
         dtype=dtype, tolerance=tolerance)
    both(lambda x, t: F.nll_loss(x, t, reduction="none"), numbers(9, 37), rt.from_numpy(rng.integers(0, 37, 9)), dtype=dtype, tolerance=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [(rt.float32, 1e-4), (rt.bfloat16, 3e-2)])
def test_norms_of_rows(dtype, tolerance):
    for shape in [(40, 31), (33, 64), (600, 40), (3, 4096), *([(9, 4), (3, 1000), (2, 9000)] if dtype == rt.float32 else [])]:
        n = shape[1]
        both(lambda x, w, b: F.layer_norm(x, (n,), w, b), numbers(*shape), numbers(n), numbers(n), dtype=dtype, tolerance=tolerance)
    both(lambda x, w: F.rms_norm(x, (100,), w), numbers(20, 100), numbers(100), dtype=dtype, tolerance=tolerance)
    if dtype == rt.float32:
        both(lambda x: F.rms_norm(x, (40000,)), numbers(1, 40000), dtype=dtype, tolerance=tolerance)
        both(lambda x: F.layer_norm(x, (40001,)), numbers(1, 40001), dtype=dtype, tolerance=tolerance)
    both(lambda x: F.layer_norm(x, (64,)), numbers(9, 64), dtype=dtype, tolerance=tolerance, start=1)
    both(lambda x, w, b: F.layer_norm(x, (64,), w, b), numbers(9, 64), numbers(64), numbers(64), dtype=dtype, tolerance=tolerance, start=3)
    for shape, groups in (((3, 8, 5, 8), 4), ((3, 6, 5, 7), 3), ((4, 12), 3), ((2, 6, 40, 64), 2), ((1, 2, 4, 4100), 1), ((1, 2, 5, 1777), 1)):
        both(lambda x, w, b: F.group_norm(x, groups, w, b), numbers(*shape), numbers(shape[1]), numbers(shape[1]), dtype=dtype, tolerance=tolerance)


def test_norms_far_from_zero():
    x = numbers(4, 3, 40, 24) * 1e-2 + 100
    x[0, 0, 0, 0] = 0
    want = F.batch_norm(x.double(), None, None, training=True)
    for y in (x, x.contiguous(memory_format=LAST)):
        np.testing.assert_allclose(F.batch_norm(y.cuda(), None, None, training=True).cpu().numpy(), want.numpy(), rtol=2e-2, atol=2e-2)
    want = F.layer_norm(x.double().reshape(12, -1), (960,))
    np.testing.assert_allclose(F.layer_norm(x.reshape(12, -1).cuda(), (960,)).cpu().numpy(), want.numpy(), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("dtype, tolerance", [(rt.float32, 1e-4), (rt.bfloat16, 3e-2), (rt.float64, 1e-10)])
def test_batch_norm(dtype, tolerance):
    for shape in ((3, 8, 5, 8), (4, 16, 6, 7), (2, 5, 4, 6), (40, 24, 8, 8), (2, 3, 5, 7)):
        for last in (False, True):
            x = numbers(*shape)
            x = x.contiguous(memory_format=LAST) if last else x
            w, b = numbers(shape[1]), numbers(shape[1])
            both(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), x, w, b, dtype=dtype, tolerance=tolerance)
            both(lambda x: F.batch_norm(x, None, None, training=True), x, dtype=dtype, tolerance=tolerance, start=1)
    both(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), numbers(50, 32), numbers(32), numbers(32), dtype=dtype, tolerance=tolerance)
    both(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), numbers(20, 6, 16), numbers(6), numbers(6), dtype=dtype, tolerance=tolerance)
    made = []
    for device in ("cpu", "cuda"):
        m = rt.nn.BatchNorm2d(8, dtype=dtype, device=device)
        x = (rt.arange(3 * 8 * 6 * 4) % 11).reshape(3, 8, 6, 4).to(dtype).to(device)
        m(x)
        m(x.contiguous(memory_format=LAST))
        m.eval()
        made.append([t.detach().cpu().double().numpy() for t in (m.running_mean, m.running_var, m(x), m(x.contiguous(memory_format=LAST)))])
    for want, got in zip(*made):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
