"""Operators of neural networks on the device, forward and gradients, against the CPU."""
import numpy as np
import pytest

import rustorch_py as rt
import rustorch_py.nn.functional as F

assert rt.cuda.is_available()
LAST = rt.channels_last


def made(*shape, seed=0):
    return rt.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def same(fn, *tensors, dtype=rt.float32, tol=2e-4):
    """fn's values, strides and gradients on the device are those of the CPU."""
    results, strides = [], []
    for device in ("cpu", "cuda"):
        leaves = [t.to(dtype).to(device).detach().requires_grad_() if t.dtype.is_floating_point else t.to(device) for t in tensors]
        out = fn(*leaves)
        assert out.device.type == device
        out.backward(rt.linspace(-1, 1, out.numel()).reshape(out.shape).to(out.dtype).to(device))
        strides.append(out.stride())
        results.append([out.detach().cpu()] + [t.grad.cpu() for t in leaves if t.requires_grad])
    for want, got in zip(*results):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got.double().numpy(), want.double().numpy(), rtol=tol, atol=tol * max(1.0, want.double().abs().max().item() if want.numel() else 1.0))
    assert strides[0] == strides[1]


# ---- convolutions: shapes of x, w; arguments ----
CONVOLUTIONS = {
    "plain": ((2, 3, 9, 8), (16, 3, 3, 3), dict(padding=1)),
    "stride": ((2, 16, 9, 8), (12, 16, 3, 3), dict(padding=1, stride=2)),
    "uneven": ((2, 8, 9, 8), (12, 8, 3, 2), dict(padding=(0, 2), stride=(2, 1), dilation=(1, 2))),
    "depthwise": ((2, 16, 9, 8), (32, 1, 3, 3), dict(padding=1, stride=2, groups=16)),
    "groups": ((3, 32, 7, 5), (18, 16, 3, 3), dict(groups=2)),
    "split sums": ((1, 64, 7, 7), (70, 64, 3, 3), dict(padding=1)),
    "unbatched": ((9, 6, 5), (10, 9, 1, 1), dict(stride=3)),
    "signals": ((3, 9, 30), (10, 9, 5), dict(padding=2, stride=2)),
    "same": ((3, 9, 30), (10, 9, 4), dict(padding="same", dilation=2)),
    "volumes": ((2, 8, 4, 5, 6), (9, 8, 3, 3, 3), dict(padding=1, stride=(1, 2, 2))),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name):
    x, w, how = CONVOLUTIONS[name]
    fn = (F.conv1d, F.conv2d, F.conv3d)[len(w) - 3]
    same(lambda x, w, b: fn(x, w, b, **how), made(*x), made(*w, seed=1), made(w[0], seed=2))


def test_convolution_with_channels_innermost():
    for x, w, how in (CONVOLUTIONS["stride"], CONVOLUTIONS["uneven"], CONVOLUTIONS["depthwise"], CONVOLUTIONS["groups"]):
        same(lambda x, w: F.conv2d(x.to(memory_format=LAST), w, **how), made(*x), made(*w, seed=1))


TRANSPOSED = {
    "stride 2": ((2, 16, 5, 4), (16, 12, 3, 3), dict(padding=1, stride=2, output_padding=1)),
    "dilated groups": ((2, 16, 5, 4), (16, 10, 3, 3), dict(padding=1, stride=3, groups=2, dilation=2)),
    "signals": ((2, 5, 7), (5, 3, 4), dict(stride=2)),
    "volumes": ((1, 9, 3, 2, 4), (9, 8, 2, 3, 2), dict(stride=2)),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name):
    x, w, how = TRANSPOSED[name]
    fn = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(w) - 3]
    same(lambda x, w, b: fn(x, w, b, **how), made(*x), made(*w, seed=1), made(w[1] * how.get("groups", 1), seed=2))


@pytest.mark.parametrize("dtype", [rt.float64, rt.bfloat16])
def test_convolution_of_other_floats(dtype):
    same(lambda x, w, b: F.conv2d(x, w, b, padding=1), made(2, 16, 9, 8), made(12, 16, 3, 3, seed=1) / 4, made(12, seed=2), dtype=dtype,
         tol={rt.float64: 1e-9, rt.bfloat16: 3e-2}[dtype])


def test_convolution_of_integers_and_complex():
    x, w = rt.arange(60).reshape(1, 3, 4, 5), rt.arange(324).reshape(12, 3, 3, 3)
    assert rt.equal(F.conv2d(x.cuda(), w.cuda()).cpu(), F.conv2d(x, w))
    x, w = rt.complex(made(1, 9, 6), made(1, 9, 6, seed=3)), rt.complex(made(10, 9, 3), made(10, 9, 3, seed=4))
    np.testing.assert_allclose(F.conv1d(x.cuda(), w.cuda()).cpu().numpy(), F.conv1d(x, w).numpy(), rtol=1e-4, atol=1e-4)


def test_gradients_of_gradients():
    x, w = made(1, 1, 3, 2).double().cuda().requires_grad_(), made(2, 1, 2, 1).double().cuda().requires_grad_()
    for fn, inputs in ((F.conv2d, (x, w)), (lambda x: F.max_pool2d(x, 2, 1), (x,)), (lambda x: F.avg_pool2d(x, 2, 1), (x,)), (lambda x: x.log_softmax(2), (x,)),
                       (lambda x: F.layer_norm(x, (2,)), (x,))):
        assert rt.autograd.gradgradcheck(fn, inputs)


def test_tensors_on_two_devices():
    with pytest.raises(RuntimeError, match="same device"):
        F.conv2d(made(1, 1, 3, 3), made(1, 1, 2, 2).cuda())
    with pytest.raises(RuntimeError, match="same device"):
        F.layer_norm(made(2, 3), (3,), made(3).cuda())
    with pytest.raises(RuntimeError, match="same device"):
        F.cross_entropy(made(2, 3).cuda(), rt.tensor([0, 1]))


# ---- pooling ----
def unpooled(x):
    y, where = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(y * y, where, 2)


POOLS = {
    "max": (lambda x: F.max_pool2d(x, 3, 2, 1), (2, 5, 9, 8)), "max dilated": (lambda x: F.max_pool1d(x, 3, 2, dilation=2), (2, 5, 19)),
    "max volumes": (lambda x: F.max_pool3d(x, 2, ceil_mode=True), (2, 3, 5, 5, 4)), "max adaptive": (lambda x: F.adaptive_max_pool2d(x, (3, 5)), (2, 5, 9, 8)),
    "max innermost": (lambda x: F.max_pool2d(x.to(memory_format=LAST), 3, 2, 1), (2, 5, 9, 8)),
    "average": (lambda x: F.avg_pool2d(x, 3, 2, 1), (2, 5, 9, 8)), "average without padding": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), (5, 9, 8)),
    "average by": (lambda x: F.avg_pool3d(x, 2, divisor_override=3), (2, 3, 5, 5, 4)), "average signals": (lambda x: F.avg_pool1d(x, 3), (2, 3, 11)),
    "average adaptive": (lambda x: F.adaptive_avg_pool2d(x, (3, 5)), (2, 5, 9, 8)), "unpool": (unpooled, (2, 3, 6, 8)),
    "average innermost": (lambda x: F.adaptive_avg_pool2d(x.to(memory_format=LAST), 1), (2, 5, 9, 8)), "lp": (lambda x: F.lp_pool2d(x, 2, 3), (2, 5, 9, 8)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pooling(name):
    fn, shape = POOLS[name]
    same(fn, made(*shape))


def test_pooling_gives_positions():
    x = made(2, 3, 8, 8)
    x[0, 1, 2, 3] = float("nan")
    for want, got in zip(F.max_pool2d(x, 3, 2, 1, return_indices=True), F.max_pool2d(x.cuda(), 3, 2, 1, return_indices=True)):
        np.testing.assert_array_equal(got.cpu().numpy(), want.numpy())
    assert rt.equal(F.max_pool1d(rt.arange(12).reshape(1, 12).cuda(), 3).cpu(), rt.tensor([[2, 5, 8, 11]]))


# ---- softmax, losses, normalisation ----
X, IMAGE, LOGITS, LONG = made(5, 7), made(3, 4, 5, 6), made(6, 5, seed=1), made(3, 2500)
TARGET, PIXELS = rt.tensor([0, 3, 1, 4, 2, 2]), rt.from_numpy(np.random.default_rng(2).integers(0, 4, (3, 5, 6)))
W4, B4 = made(4, seed=3), made(4, seed=4)
LINES = {
    "softmax": (lambda x: x.softmax(1), X), "softmax across": (lambda x: x.softmax(1), IMAGE), "softmax long": (lambda x: x.softmax(-1), LONG),
    "log_softmax": (lambda x: F.log_softmax(x, 0), X), "log_softmax long": (lambda x: x.log_softmax(1), LONG), "logsumexp": (lambda x: x.logsumexp((0, 2)), IMAGE),
    "cross_entropy": (lambda x, t: F.cross_entropy(x, t), LOGITS, TARGET), "sum": (lambda x, t: F.cross_entropy(x, t, reduction="sum"), LOGITS, TARGET),
    "smoothed": (lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1, ignore_index=2), LOGITS, TARGET),
    "weighted": (lambda x, t, w: F.cross_entropy(x, t, w, label_smoothing=0.2, reduction="none"), IMAGE, PIXELS, W4.abs().long() + 1),
    "shares": (lambda x, s: F.cross_entropy(x, s.softmax(1)), LOGITS, LOGITS * 2), "nll": (lambda x, t: F.nll_loss(x, t), IMAGE, PIXELS),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (7,), w, b), X, made(7), made(7, seed=2)), "layer_norm of more": (lambda x: F.layer_norm(x, (5, 6)), IMAGE),
    "layer_norm long": (lambda x, w: F.layer_norm(x, (2500,), w), LONG, made(2500)), "rms_norm": (lambda x, w: F.rms_norm(x, (7,), w), X, made(7)),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), IMAGE, W4, B4), "instance_norm": (lambda x: F.instance_norm(x), IMAGE),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), IMAGE, W4, B4),
    "batch_norm innermost": (lambda x, w, b: F.batch_norm(x.to(memory_format=LAST), None, None, w, b, training=True), IMAGE, W4, B4),
    "batch_norm of rows": (lambda x: F.batch_norm(x, None, None, training=True), X),
    "batch_norm strided": (lambda x: F.batch_norm(x.transpose(2, 3), None, None, training=True), IMAGE),
    "batch_norm eval": (lambda x, w: F.batch_norm(x, w.detach(), w.detach().abs() + 1, w), IMAGE, W4),
}


@pytest.mark.parametrize("name", LINES)
def test_lines(name):
    fn, *tensors = LINES[name]
    if name == "weighted":
        tensors[2] = tensors[2].float()
        return same(lambda x, t, w: fn(x, t, w.detach()) + 0 * w.sum(), *tensors)
    same(fn, *tensors)


def test_lines_of_halves(dtype=rt.bfloat16, tol=3e-2):
    for fn, *tensors in (LINES["softmax"], LINES["cross_entropy"], LINES["layer_norm"], LINES["group_norm"], LINES["batch_norm"]):
        same(fn, *tensors, dtype=dtype, tol=tol)
    x, w = made(4, 6).to(dtype).cuda().requires_grad_(), made(6).cuda().requires_grad_()
    y = F.layer_norm(x, (6,), w)                                # weights in float32, as autocast leaves them
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype and w.grad.dtype == rt.float32


def test_infinities():
    inf = float("inf")
    x = rt.tensor([[1.0, -inf, 2.0], [-inf, -inf, -inf], [inf, 1.0, 2.0], [float("nan"), 1.0, 0.0], [-inf, 3.0, 3.0]])
    for fn in (lambda x: x.softmax(1), lambda x: x.log_softmax(1), lambda x: x.logsumexp(1)):
        np.testing.assert_allclose(fn(x.cuda()).cpu().numpy(), fn(x).numpy(), rtol=1e-6)


def test_running_statistics():
    for layer, shape in ((rt.nn.BatchNorm2d(4), (3, 4, 5, 6)), (rt.nn.InstanceNorm2d(4, track_running_stats=True), (3, 4, 5, 6)), (rt.nn.BatchNorm1d(4, dtype=rt.bfloat16), (9, 4))):
        x = made(*shape).to(layer.running_mean.dtype)
        other = type(layer)(4, track_running_stats=True, dtype=layer.running_mean.dtype).cuda()
        for seed in range(3):
            want, got = layer(x + seed), other((x + seed).cuda())
        tol = 1e-4 if x.dtype == rt.float32 else 4e-2
        np.testing.assert_allclose(got.detach().cpu().float().numpy(), want.detach().float().numpy(), rtol=tol, atol=tol)
        for name in ("running_mean", "running_var"):
            np.testing.assert_allclose(getattr(other, name).cpu().float().numpy(), getattr(layer, name).float().numpy(), rtol=tol, atol=tol)


def test_a_target_that_is_no_class():
    loss = F.cross_entropy(LOGITS.cuda(), rt.tensor([0, 3, 1, 9, 2, 2]).cuda(), reduction="none")
    with pytest.raises(RuntimeError, match="index 9 is out of bounds"):
        loss.cpu()


# ---- attention ----
@pytest.mark.parametrize("how", ["plain", "causal", "bool", "float", "grouped", "wide", "unseen rows"])
def test_attention(how):
    q, k, v = made(2, 4, 70, 20), made(2, 2 if how == "grouped" else 4, 45, 20, seed=1), made(2, 2 if how == "grouped" else 4, 45, 33, seed=2)
    extra = {"causal": dict(is_causal=True), "grouped": dict(enable_gqa=True, is_causal=True)}.get(how, {})
    mask = None
    if how in ("bool", "unseen rows"):
        mask = made(70, 45, seed=3) > -0.5
    if how == "unseen rows":
        mask[5] = False
    if how == "float":
        mask = made(2, 1, 1, 45, seed=3)
    if how == "wide":
        q, k = made(1, 1, 5, 130), made(1, 1, 7, 130, seed=1)
        v = made(1, 1, 7, 100, seed=2)
    same(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, None if mask is None else mask.to(q.device), **extra), q, k, v)


def test_attention_of_halves_and_layouts():
    same(lambda q, k, v: F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in (q, k, v)), is_causal=True), made(2, 40, 3, 16), made(2, 40, 3, 16, seed=1),
         made(2, 40, 3, 16, seed=2), dtype=rt.bfloat16, tol=3e-2)


# ---- recurrent layers, CTC, resampling ----
@pytest.mark.parametrize("kind, how", [("RNN", dict()), ("RNN", dict(nonlinearity="relu")), ("LSTM", dict(bidirectional=True, num_layers=2)), ("LSTM", dict(proj_size=3)), ("GRU", dict(bias=False)), ("GRU", dict(bidirectional=True))])
def test_recurrent_layers(kind, how):
    rt.manual_seed(0)
    layer = getattr(rt.nn, kind)(4, 5, **how)
    other = getattr(rt.nn, kind)(4, 5, **how)
    other.load_state_dict(layer.state_dict())
    other.cuda()
    packed = rt.nn.utils.rnn.pack_padded_sequence(made(6, 3, 4), [6, 4, 2])
    for x in (made(6, 3, 4), packed):
        want, want_last = layer(x)
        got, got_last = other(x.to("cuda"))
        if x is packed:
            want, got = want.data, got.data
        for a, b in ((want, got), *zip(want_last if kind == "LSTM" else (want_last,), got_last if kind == "LSTM" else (got_last,))):
            np.testing.assert_allclose(b.detach().cpu().numpy(), a.detach().numpy(), rtol=1e-4, atol=1e-5)
        layer.zero_grad()
        other.zero_grad()
        for out, last in ((want, want_last), (got, got_last)):
            (out.square().sum() + sum(s.sum() for s in (last if kind == "LSTM" else (last,)))).backward()
        for a, b in zip(layer.parameters(), other.parameters()):
            np.testing.assert_allclose(b.grad.cpu().numpy(), a.grad.numpy(), rtol=1e-3, atol=1e-4)


def test_ctc_loss():
    targets = rt.tensor([[1, 2, 2, 4], [3, 3, 0, 0], [1, 0, 0, 0]])
    for reduction in ("none", "mean", "sum"):
        same(lambda x, t: F.ctc_loss(x.log_softmax(2), t, (9, 8, 0), (4, 2, 1), reduction=reduction, zero_infinity=True), made(9, 3, 5), targets)
    same(lambda x, t: F.ctc_loss(x.log_softmax(1), t, (9,), (4,)), made(9, 5), targets[0])


RESAMPLED = {
    "nearest": (dict(scale_factor=2), (1, 2, 3, 4)), "linear": (dict(size=7, mode="linear"), (1, 2, 4)), "bilinear": (dict(size=(7, 3), mode="bilinear"), (1, 2, 5, 4)),
    "corners": (dict(size=(7, 3), mode="bilinear", align_corners=True), (1, 2, 5, 4)), "bicubic": (dict(scale_factor=1.7, mode="bicubic"), (1, 2, 5, 4)),
    "trilinear": (dict(size=(4, 5, 2), mode="trilinear"), (1, 2, 3, 4, 3)), "area": (dict(size=(3, 2), mode="area"), (1, 2, 5, 4)),
    "antialias": (dict(size=(3, 2), mode="bilinear", antialias=True), (1, 2, 5, 4)), "exact": (dict(size=(7, 3), mode="nearest-exact"), (1, 2, 5, 4)),
}


@pytest.mark.parametrize("name", RESAMPLED)
def test_interpolate(name):
    how, shape = RESAMPLED[name]
    same(lambda x: F.interpolate(x, **how), made(*shape))


def test_windows_and_paddings():
    same(lambda x: F.unfold(x, (2, 3), dilation=(1, 2), padding=1, stride=(2, 1)), made(2, 3, 6, 7))
    same(lambda x: F.fold(x, (5, 6), (2, 3), padding=1, stride=2), made(2, 12, 9))
    for mode in ("constant", "reflect", "replicate", "circular"):
        same(lambda x: F.pad(x, (1, 2, 2, 1), mode), made(2, 3, 4, 5))
    same(lambda x: F.pixel_shuffle(x, 2), made(2, 8, 3, 3))
    same(lambda x: F.pixel_unshuffle(x, 2), made(2, 2, 4, 6))
