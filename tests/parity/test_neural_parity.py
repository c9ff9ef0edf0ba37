"""Compare the kernels of the neural floor with PyTorch: values, gradients, gradients of gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402
from rustorch_py import tensor as _t  # noqa: E402

RNG = np.random.default_rng(11)
F = torch.nn.functional


def f(*shape):
    """Normal values."""
    return RNG.standard_normal(shape)


def case(label, ours, theirs, *arrays, wrt=None):
    """Values of ours(*tensors) and theirs(*tensors) must agree; wrt: which arguments get gradients."""
    if wrt is None:
        wrt = [i for i, a in enumerate(arrays) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return pytest.param(ours, theirs, arrays, wrt, id=label)


def both(name, *arrays, label=None, their_name=None, **kwargs):
    """The same call on both sides: torch-level name here, torch.nn.functional or torch there."""
    theirs = getattr(F, their_name or name, None) or getattr(torch, their_name or name)
    ours = getattr(_t, name)
    shown = label or name + "-".join(f"{k}={v}" for k, v in kwargs.items()).replace(" ", "")
    return case(shown, lambda *a: ours(*a, **kwargs), lambda *a: theirs(*a, **kwargs), *arrays)


CONV = [
    both("conv1d", f(2, 4, 13), f(6, 4, 3), f(6), padding=1),
    both("conv1d", f(4, 13), f(6, 4, 3), f(6), stride=2, label="conv1d-unbatched"),
    both("conv1d", f(2, 4, 70), f(4, 1, 5), f(4), groups=4, dilation=3),
    both("conv2d", f(2, 3, 8, 9), f(5, 3, 3, 2), f(5)),
    both("conv2d", f(2, 3, 8, 9), f(5, 3, 3, 2), padding="same"),
    both("conv2d", f(2, 3, 8, 9), f(5, 3, 4, 2), padding="same", dilation=(1, 2), label="conv2d-same-even"),
    both("conv2d", f(2, 3, 8, 9), f(5, 3, 3, 2), padding="valid"),
    both("conv2d", f(3, 4, 17, 16), f(6, 2, 3, 3), f(6), stride=(2, 3), padding=(1, 2), groups=2),
    both("conv2d", f(1, 8, 20, 24), f(16, 8, 1, 1), f(16), label="conv2d-1x1"),
    both("conv2d", f(2, 8, 20, 24), f(16, 8, 1, 1), f(16), stride=2, label="conv2d-1x1-stride"),
    both("conv2d", f(2, 8, 9, 9), f(16, 1, 3, 3), f(16), groups=8, padding=1, label="conv2d-depthwise"),
    both("conv2d", f(8, 40, 40), f(4, 8, 3, 3), f(4), padding=2, dilation=2, label="conv2d-unbatched"),
    both("conv2d", f(0, 3, 8, 8), f(5, 3, 3, 3), f(5), label="conv2d-empty-batch"),
    both("conv3d", f(2, 3, 5, 6, 7), f(4, 3, 2, 3, 3), f(4), padding=(0, 1, 1), stride=(1, 2, 1)),
    both("conv_transpose1d", f(2, 4, 7), f(4, 3, 3), f(3), stride=2, output_padding=1, padding=1),
    both("conv_transpose2d", f(2, 4, 7, 6), f(4, 3, 3, 2), f(6), stride=2, padding=1, groups=2, output_padding=(1, 0)),
    both("conv_transpose2d", f(2, 4, 7, 6), f(4, 3, 3, 2), dilation=2),
    both("conv_transpose2d", f(4, 7, 6), f(4, 3, 1, 1), f(3), stride=3, label="conv_transpose2d-gaps"),
    both("conv_transpose3d", f(1, 2, 3, 4, 3), f(2, 3, 2, 2, 3), f(3), stride=(1, 2, 1)),
    case("convolution-transposed",
         lambda x, w: _t.convolution(x, w, None, [2], [1], [1], True, [0], 1),
         lambda x, w: torch.convolution(x, w, None, [2], [1], [1], True, [0], 1), f(2, 3, 6), f(3, 2, 3)),
    both("conv_tbc", f(7, 2, 3), f(3, 3, 4), f(4), pad=1),
]

POOL = [
    both("max_pool1d", f(2, 3, 11), kernel_size=3, stride=2, padding=1),
    both("max_pool2d", f(2, 3, 8, 9), kernel_size=2),
    both("max_pool2d", f(2, 3, 8, 9), kernel_size=(3, 2), stride=(2, 1), padding=1, dilation=(2, 1), ceil_mode=True),
    both("max_pool2d", f(3, 8, 9), kernel_size=3, padding=1, label="max_pool2d-unbatched"),
    both("max_pool3d", f(2, 3, 5, 6, 7), kernel_size=2, stride=(1, 2, 2)),
    both("avg_pool1d", f(2, 3, 11), kernel_size=3, stride=2, padding=1, count_include_pad=False),
    both("avg_pool2d", f(2, 3, 8, 9), kernel_size=2),
    both("avg_pool2d", f(2, 3, 8, 9), kernel_size=3, stride=2, padding=1, ceil_mode=True),
    both("avg_pool2d", f(2, 3, 8, 9), kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    both("avg_pool2d", f(2, 3, 8, 9), kernel_size=(3, 2), divisor_override=5),
    both("avg_pool3d", f(2, 3, 5, 6, 7), kernel_size=2, padding=1),
    both("adaptive_avg_pool1d", f(2, 3, 11), output_size=4),
    both("adaptive_avg_pool2d", f(2, 3, 8, 9), output_size=(3, 5)),
    both("adaptive_avg_pool2d", f(2, 3, 8, 9), output_size=1),
    both("adaptive_avg_pool2d", f(2, 3, 8, 9), output_size=(None, 4)),
    both("adaptive_avg_pool3d", f(2, 3, 5, 6, 7), output_size=(2, 3, 4)),
    *[case(f"adaptive_max_pool{n}d",
           lambda x, n=n: getattr(_t, f"adaptive_max_pool{n}d")(x, 3)[0],
           lambda x, n=n: getattr(F, f"adaptive_max_pool{n}d")(x, 3), f(2, 3, *(7, 8, 5)[:n])) for n in (1, 2, 3)],
]

W, B = f(6), f(6)
NORM = [
    *[case(f"batch_norm-train-{shape}",
           lambda x, w, b: _t.batch_norm(x, w, b, None, None, True, 0.1, 1e-5),
           lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 1e-5), f(*shape), W, B)
      for shape in ((7, 6), (3, 6, 5), (3, 6, 5, 4), (2, 6, 2, 3, 4))],
    case("batch_norm-plain", lambda x: _t.batch_norm(x, None, None, None, None, True, 0.1, 1e-5),
         lambda x: F.batch_norm(x, None, None, None, None, True), f(4, 6, 3)),
    case("batch_norm-eval", lambda x, m, v, w, b: _t.batch_norm(x, w, b, m, v.exp(), False, 0.1, 1e-5),
         lambda x, m, v, w, b: F.batch_norm(x, m, v.exp(), w, b, False, 0.1, 1e-5), f(3, 6, 5), f(6), f(6), W, B,
         wrt=[0, 3, 4]),
    case("instance_norm", lambda x, w, b: _t.instance_norm(x, w, b, None, None, True, 0.1, 1e-5),
         lambda x, w, b: F.instance_norm(x, None, None, w, b), f(3, 6, 5, 4), W, B),
    both("layer_norm", f(3, 4, 6), normalized_shape=(6,)),
    case("layer_norm-affine", lambda x, w, b: _t.layer_norm(x, (4, 6), w, b), lambda x, w, b: F.layer_norm(x, (4, 6), w, b),
         f(3, 4, 6), f(4, 6), f(4, 6)),
    case("layer_norm-wide", lambda x, w: _t.layer_norm(x, (700,), w), lambda x, w: F.layer_norm(x, (700,), w), f(3, 700), f(700)),
    case("rms_norm", lambda x, w: _t.rms_norm(x, (6,), w, 1e-5), lambda x, w: F.rms_norm(x, (6,), w, 1e-5), f(3, 4, 6), f(6)),
    case("group_norm", lambda x, w, b: _t.group_norm(x, 3, w, b), lambda x, w, b: F.group_norm(x, 3, w, b), f(3, 6, 5, 4), W, B),
    case("group_norm-plain", lambda x: _t.group_norm(x, 2), lambda x: F.group_norm(x, 2), f(3, 6)),
]

T = RNG.integers(0, 5, (7,))
T2 = RNG.integers(0, 5, (3, 4, 6))
T2[0, 0, :3] = -100
CW = np.abs(f(5)) + 0.1
PROB = np.exp(f(7, 5))
PROB /= PROB.sum(1, keepdims=True)
RED = {"none": 0, "mean": 1, "sum": 2}


def cross(red, **kw):
    """Both spellings of cross_entropy."""
    return (lambda x, t, *w: _t.cross_entropy_loss(x, t, *w, reduction=RED[red], **kw),
            lambda x, t, *w: F.cross_entropy(x, t, *w, reduction=red, **kw))


LOSS = [
    *[both(n, f(*s), dim=d) for n in ("softmax", "log_softmax")
      for s, d in (((4, 9), 1), ((4, 9), 0), ((2, 5, 70), 1), ((2, 5, 3), -3), ((1, 300), 1))],
    *[both("logsumexp", f(3, 4, 5), their_name="logsumexp", dim=d, keepdim=k) for d, k in ((1, False), ((0, 2), True), (-1, True))],
    *[case(f"cross_entropy-{r}-{i}", *cross(r, **kw), f(*shape), t, *w, wrt=[0])
      for r in RED for i, (shape, t, w, kw) in enumerate((
          ((7, 5), T, (), {}), ((7, 5), T, (CW,), {}), ((3, 5, 4, 6), T2, (CW,), {"label_smoothing": 0.1}),
          ((7, 5), T, (), {"label_smoothing": 0.2}), ((7, 5), T, (), {"ignore_index": 2}), ((5,), np.array(3), (), {})))],
    *[case(f"cross_entropy-prob-{r}", *cross(r, label_smoothing=0.1), f(7, 5), PROB, CW, wrt=[0, 1]) for r in RED],
    *[case(f"nll-{r}", lambda x, t, w, r=r: _t.nll_loss(x, t, w, RED[r]), lambda x, t, w, r=r: F.nll_loss(x, t, w, reduction=r),
           f(3, 5, 4, 6), T2, CW, wrt=[0]) for r in RED],
]

IDX = RNG.integers(0, 9, (3, 5))


def FREQUENCY(w, i):  # noqa: N802
    """PyTorch's second gradient forgets the scale, so only first gradients are compared."""
    return _t.embedding(w, i, -1, True)


EMB = [
    case("embedding", lambda w, i: _t.embedding(w, i), lambda w, i: F.embedding(i, w), f(9, 4), IDX, wrt=[0]),
    case("embedding-padding", lambda w, i: _t.embedding(w, i, 3), lambda w, i: F.embedding(i, w, 3), f(9, 4), IDX, wrt=[0]),
    case("embedding-freq", FREQUENCY, lambda w, i: F.embedding(i, w, scale_grad_by_freq=True),
         f(9, 4), IDX, wrt=[0]),
]

BAG = np.array([0, 2, 2, 5])
MOVE = [
    case("constant_pad_nd", lambda x: _t.constant_pad_nd(x, (1, 2, -1, 3), 1.5), lambda x: F.pad(x, (1, 2, -1, 3), value=1.5), f(2, 3, 4)),
    both("im2col", f(2, 3, 6, 7), their_name="unfold", kernel_size=(2, 3), dilation=(2, 1), padding=1, stride=(1, 2)),
    both("col2im", f(2, 12, 20), their_name="fold", output_size=(5, 6), kernel_size=2),
    *[case(f"embedding_bag-{m}", lambda w, i, o, m=m: _t.embedding_bag(w, i, o, mode=m)[0],
           lambda w, i, o, m=m: F.embedding_bag(i, w, o, mode=("sum", "mean", "max")[m]), f(9, 4), RNG.integers(0, 9, 7), BAG, wrt=[0])
      for m in (0, 1)],
    case("embedding_bag-weighted", lambda w, p, i, o: _t.embedding_bag(w, i, o, per_sample_weights=p, padding_idx=3)[0],
         lambda w, p, i, o: F.embedding_bag(i, w, o, mode="sum", per_sample_weights=p, padding_idx=3), f(9, 4), f(7),
         RNG.integers(0, 9, 7), BAG, wrt=[0, 1]),
]

CASES = MOVE + CONV + POOL + NORM + LOSS + EMB


def tensors(lib, arrays, wrt, dtype):
    """The arrays as tensors; floats in `dtype`, gradients for wrt."""
    out = []
    for i, a in enumerate(arrays):
        t = lib.tensor(a.astype(dtype) if a.dtype.kind == "f" else a)
        out.append(t.requires_grad_() if i in wrt else t)
    return out


def close(a, b, dtype, what):
    """Equal shapes, dtypes and values."""
    assert tuple(a.shape) == tuple(b.shape), what
    assert str(a.dtype) == str(b.dtype), what
    tol = 1e-9 if dtype == "float64" else 3e-5
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tol * 10, atol=tol * (1 + np.abs(b.detach().numpy()).max(initial=0)),
                               err_msg=what)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ours, theirs, arrays, wrt", CASES)
def test_same_as_torch(ours, theirs, arrays, wrt, dtype):
    """Values, first gradients and, in float64, gradients of gradients."""
    a, b = tensors(rt, arrays, wrt, dtype), tensors(torch, arrays, wrt, dtype)
    y, z = ours(*a), theirs(*b)
    close(y, z, dtype, "value")
    g = np.random.default_rng(5).standard_normal(tuple(z.shape)).astype(dtype)
    g1, g2 = rt.tensor(g).requires_grad_(), torch.tensor(g).requires_grad_()
    ours_in, theirs_in = [a[i] for i in wrt], [b[i] for i in wrt]
    d1 = rt.autograd.grad(y, ours_in, g1, retain_graph=True)
    d2 = torch.autograd.grad(z, theirs_in, g2, retain_graph=True)
    for i, (p, q) in enumerate(zip(d1, d2)):
        close(p, q, dtype, f"gradient {wrt[i]}")
    if dtype != "float64" or ours is FREQUENCY:
        return
    d1 = rt.autograd.grad(y, ours_in, g1, create_graph=True)
    d2 = torch.autograd.grad(z, theirs_in, g2, create_graph=True)
    for i, (p, q) in enumerate(zip(d1, d2)):
        close(p, q, dtype, f"gradient {wrt[i]} with create_graph")
    v = [np.random.default_rng(i).standard_normal(tuple(q.shape)) for i, q in enumerate(d2)]
    keep = [i for i, q in enumerate(d2) if q.requires_grad]
    s1 = sum((d1[i] * rt.tensor(v[i])).sum() for i in keep)
    s2 = sum((d2[i] * torch.tensor(v[i])).sum() for i in keep)
    h1 = rt.autograd.grad(s1, [*ours_in, g1], allow_unused=True)
    try:
        h2 = torch.autograd.grad(s2, [*theirs_in, g2], allow_unused=True)
    except RuntimeError as error:            # embedding_bag: PyTorch has no second gradient to compare with
        assert "is not implemented" in str(error)
        return
    for i, (p, q) in enumerate(zip(h1, h2)):
        q = torch.zeros_like([*theirs_in, g2][i]) if q is None else q
        p = rt.zeros_like([*ours_in, g1][i]) if p is None else p
        close(p, q, dtype, f"second gradient {i}")


@pytest.mark.parametrize("layout", ["transposed", "sliced", "channels_last", "expanded"])
def test_layouts(layout):
    """Strided inputs give what contiguous ones give."""
    x = f(2, 6, 9, 8).astype("float32")
    w = f(4, 6, 3, 3).astype("float32")
    t, u = rt.tensor(x), torch.tensor(x)
    if layout == "transposed":
        t, u = t.transpose(2, 3), u.transpose(2, 3)
    elif layout == "sliced":
        t, u = t[:, :, ::2, 1:], u[:, :, ::2, 1:]
    elif layout == "channels_last":
        t, u = t.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), u.contiguous(memory_format=torch.channels_last)
    else:
        t, u = t[:1].expand(3, 6, 9, 8), u[:1].expand(3, 6, 9, 8)
    close(_t.conv2d(t, rt.tensor(w), padding=1), F.conv2d(u, torch.tensor(w), padding=1), "float32", "conv2d")
    close(_t.max_pool2d(t, 2), F.max_pool2d(u, 2), "float32", "max_pool2d")
    close(_t.avg_pool2d(t, 2), F.avg_pool2d(u, 2), "float32", "avg_pool2d")
    close(_t.softmax(t, 1), F.softmax(u, 1), "float32", "softmax")
    close(_t.group_norm(t, 2), F.group_norm(u, 2), "float32", "group_norm")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half(dtype):
    """16-bit floats round once: at most a unit in the last place from PyTorch."""
    x, w = f(2, 4, 8, 8), f(4, 4, 3, 3)
    ours = lambda a: rt.tensor(a).to(getattr(rt, dtype))  # noqa: E731
    theirs = lambda a: torch.tensor(a).to(getattr(torch, dtype))  # noqa: E731
    for p, q in ((_t.conv2d(ours(x), ours(w)), F.conv2d(theirs(x), theirs(w))),
                 (_t.max_pool2d(ours(x), 2), F.max_pool2d(theirs(x), 2)),
                 (_t.softmax(ours(x), 1), F.softmax(theirs(x), 1)),
                 (_t.layer_norm(ours(x), (8,)), F.layer_norm(theirs(x), (8,)))):
        assert str(p.dtype) == str(q.dtype)
        eps = 2 ** -7 if dtype == "bfloat16" else 2 ** -10
        np.testing.assert_allclose(p.float().numpy(), q.float().numpy(), rtol=2 * eps, atol=2 * eps)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_max_pool_indices_and_unpool(n):
    """Positions are PyTorch's, and max_unpool puts values back."""
    x = f(2, 3, *(8, 6, 4)[:n]).astype("float32")
    x.reshape(-1)[5] = np.nan
    y, i = getattr(_t, f"max_pool{n}d_with_indices")(rt.tensor(x), 2)
    z, k = getattr(F, f"max_pool{n}d")(torch.tensor(x), 2, return_indices=True)
    np.testing.assert_array_equal(i.numpy(), k.numpy())
    np.testing.assert_array_equal(y.numpy(), z.numpy())
    size = x.shape[2:]
    back = getattr(_t, f"max_unpool{n}d")(y, i, list(size))
    np.testing.assert_array_equal(back.numpy(), getattr(F, f"max_unpool{n}d")(z, k, 2, output_size=size).numpy())


def test_running_statistics():
    """Running mean and variance move as PyTorch's, in place."""
    x = f(5, 3, 4).astype("float32")
    m, v = rt.zeros(3), rt.ones(3)
    m2, v2 = torch.zeros(3), torch.ones(3)
    for _ in range(3):
        _t.batch_norm(rt.tensor(x), None, None, m, v, True, 0.3, 1e-5)
        F.batch_norm(torch.tensor(x), m2, v2, None, None, True, 0.3, 1e-5)
    close(m, m2, "float32", "running_mean")
    close(v, v2, "float32", "running_var")


def test_native_norms():
    """The native names return the statistics too."""
    x = f(3, 6, 5)
    for p, q in zip(_t.native_batch_norm(rt.tensor(x), None, None, None, None, True, 0.1, 1e-5),
                    torch.native_batch_norm(torch.tensor(x), None, None, None, None, True, 0.1, 1e-5)):
        close(p, q, "float64", "native_batch_norm")
    for p, q in zip(_t.native_layer_norm(rt.tensor(x), (5,), None, None, 1e-5),
                    torch.native_layer_norm(torch.tensor(x), (5,), None, None, 1e-5)):
        close(p, q, "float64", "native_layer_norm")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("joined", [False, True])
def test_ctc_loss(reduction, joined):
    """Loss and gradient, with an impossible alignment among the samples."""
    lp = f(9, 4, 5)
    labels = RNG.integers(1, 5, (4, 4))
    labels[3] = 2
    frames, counts = [9, 7, 8, 5], [4, 2, 0, 4]
    flat = np.concatenate([row[:n] for row, n in zip(labels, counts)]) if joined else labels
    a, b = rt.tensor(lp).requires_grad_(), torch.tensor(lp).requires_grad_()
    code = RED[reduction]
    for zero in (True, False):
        y = _t.ctc_loss(_t.log_softmax(a, 2), rt.tensor(flat), frames, counts, 0, code, zero)
        z = F.ctc_loss(F.log_softmax(b, 2), torch.tensor(flat), frames, counts, 0, reduction, zero)
        close(y, z, "float64", "ctc_loss")
        if zero:
            close(rt.autograd.grad(y.sum(), a)[0], torch.autograd.grad(z.sum(), b)[0], "float64", "gradient")


@pytest.mark.parametrize("n", [0, 1, 3])
def test_weighted_taps(n):
    """Against the same mixture written with a matrix; positions below 0 read nothing."""
    x = f(3, 6, 5)
    idx = RNG.integers(-1, 6, (4, n))
    w = f(4, n)
    m = np.zeros((4, 6))
    for i in range(4):
        for k in range(n):
            if idx[i, k] >= 0:
                m[i, idx[i, k]] += w[i, k]
    t = rt.tensor(x).requires_grad_()
    y = _t.weighted_taps(t, 1, rt.tensor(idx), rt.tensor(w))
    np.testing.assert_allclose(y.detach().numpy(), np.einsum("im,bmj->bij", m, x), atol=1e-12)
    g = f(3, 4, 5)
    np.testing.assert_allclose(rt.autograd.grad(y, t, rt.tensor(g))[0].numpy(), np.einsum("im,bij->bmj", m, g), atol=1e-12)


def test_embedding_bag_max():
    """Values, winning indices and gradient of mode max."""
    w, i = f(9, 4), RNG.integers(0, 9, 7)
    a, b = rt.tensor(w).requires_grad_(), torch.tensor(w).requires_grad_()
    y, of, size, at = _t.embedding_bag(a, rt.tensor(i), rt.tensor(BAG), mode=2)
    z, of2, size2, at2 = torch.embedding_bag(b, torch.tensor(i), torch.tensor(BAG), False, 2)
    close(y, z, "float64", "value")
    np.testing.assert_array_equal(of.numpy(), of2.numpy())
    filled = np.diff([*BAG, 7]) > 0
    np.testing.assert_array_equal(at.numpy()[filled], at2.numpy()[filled])
    close(rt.autograd.grad(y.sum(), a)[0], torch.autograd.grad(z.sum(), b)[0], "float64", "gradient")


ERRORS = [
    ("conv2d", lambda lib, fn: fn.conv2d(lib.zeros(1, 3, 8, 8), lib.zeros(4, 2, 3, 3))),
    ("conv2d", lambda lib, fn: fn.conv2d(lib.zeros(1, 2, 2, 2), lib.zeros(4, 2, 3, 3))),
    ("conv2d", lambda lib, fn: fn.conv2d(lib.zeros(1, 2, 8, 8), lib.zeros(4, 2, 3, 3), stride=0)),
    ("conv2d", lambda lib, fn: fn.conv2d(lib.zeros(1, 2, 8, 8), lib.zeros(4, 2, 3, 3), padding=-1)),
    ("conv2d", lambda lib, fn: fn.conv2d(lib.zeros(1, 2, 8, 8), lib.zeros(4, 2, 3, 3), padding="same", stride=2)),
    ("conv2d", lambda lib, fn: fn.conv2d(lib.zeros(1, 2, 8, 8), lib.zeros(4, 2, 3, 3), lib.zeros(5))),
    ("conv2d", lambda lib, fn: fn.conv2d(lib.zeros(1, 2, 8, 8), lib.zeros(4, 2, 3, 3).double())),
    ("conv2d", lambda lib, fn: fn.conv2d(lib.zeros(8, 8), lib.zeros(4, 2, 3, 3))),
    ("max_pool2d", lambda lib, fn: fn.max_pool2d(lib.zeros(1, 2, 8, 8), 2, padding=2)),
    ("avg_pool2d", lambda lib, fn: fn.avg_pool2d(lib.zeros(1, 2, 2, 2), 5)),
    ("softmax", lambda lib, fn: lib.softmax(lib.zeros(3, 3), 5)),
    ("cross_entropy", lambda lib, fn: (fn.cross_entropy if lib is torch else fn.cross_entropy_loss)(lib.zeros(3, 4), lib.tensor([0, 1, 9]))),
    ("cross_entropy", lambda lib, fn: (fn.cross_entropy if lib is torch else fn.cross_entropy_loss)(lib.zeros(3, 4), lib.tensor([0, 1]))),
    ("embedding", lambda lib, fn: lib.embedding(lib.zeros(3, 4), lib.tensor([3]))),
    ("layer_norm", lambda lib, fn: lib.layer_norm(lib.zeros(3, 4), (3,))),
    ("group_norm", lambda lib, fn: lib.group_norm(lib.zeros(3, 4), 3)),
]


@pytest.mark.parametrize("name, call", ERRORS)
def test_same_error_types(name, call):
    """What PyTorch refuses is refused with an exception of the same type."""
    with pytest.raises(Exception) as theirs:
        call(torch, F)
    with pytest.raises(theirs.type):
        call(rt, _t)
