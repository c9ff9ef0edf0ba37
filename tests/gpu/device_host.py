"""What the host does around kernels: tensors made of numbers, small copies and checks without waiting, few launches."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.cuda import _backend

F = rt.nn.functional
assert rt.cuda.is_available()


def without_waiting(fn, launches=None):
    """fn's result; it must not have waited for the device."""
    waits, before = _backend.waits(), _backend.launches()
    result = fn()
    assert _backend.waits() == waits
    assert launches is None or _backend.launches() - before <= launches
    return result


@pytest.mark.parametrize("make", [
    lambda d: rt.arange(7, device=d), lambda d: rt.arange(3, 40, 5, device=d), lambda d: rt.arange(10, -5, -4, device=d),
    lambda d: rt.arange(0.5, 9, 0.75, device=d), lambda d: rt.arange(0, 300, dtype=rt.int16, device=d), lambda d: rt.arange(0, 2, 0.25, dtype=rt.bfloat16, device=d),
    lambda d: rt.arange(5, dtype=rt.float64, device=d), lambda d: rt.arange(0, device=d), lambda d: rt.arange(-3.7, 9, 2.5, dtype=rt.int32, device=d),
    lambda d: rt.arange(2000, device=d), lambda d: rt.range(1, 4, 0.5, device=d),
    lambda d: rt.linspace(-1, 5, 9, device=d), lambda d: rt.linspace(2, 3, 1, device=d), lambda d: rt.linspace(0, 10, 7, dtype=rt.int64, device=d),
    lambda d: rt.linspace(0, 1, 0, device=d), lambda d: rt.linspace(1, -1, 301, dtype=rt.float64, device=d),
    lambda d: rt.logspace(-2, 3, 11, dtype=rt.float64, device=d), lambda d: rt.logspace(0, 4, 5, base=2, device=d), lambda d: rt.eye(3, 5, device=d),
    lambda d: rt.full((2, 3), 7, device=d), lambda d: rt.hann_window(9, device=d), lambda d: rt.tril_indices(4, 3, device=d),
])
def test_tensors_made_of_numbers(make):
    got, want = without_waiting(lambda: make("cuda")), make("cpu")
    assert got.device.type == "cuda" and got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got.cpu().double().numpy(), want.double().numpy(), rtol=1e-6)


def test_numbers_into_out():
    for n in (6, 4):
        out = rt.zeros(12, device="cuda")[::2]
        assert rt.arange(n, out=out) is out and out.tolist() == list(range(n))
    out = rt.zeros(5, device="cuda")
    assert rt.linspace(0, 1, 5, out=out) is out and out.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert rt.arange(3, device="cuda", dtype=rt.float32, requires_grad=True).requires_grad


@pytest.mark.parametrize("n", [1, 3, 119, 238])
@pytest.mark.parametrize("dtype", [rt.uint8, rt.float32, rt.complex64])
def test_small_copies(n, dtype):
    x = rt.arange(n).to(dtype)
    y = without_waiting(lambda: x.cuda(), 1) if n * dtype.itemsize <= 952 else x.cuda()
    assert rt.equal(y.cpu(), x)
    z = rt.zeros(n + 1, dtype=dtype, device="cuda")[1:]                 # an address of no alignment
    z.copy_(x)
    x.zero_()
    assert rt.equal(z.cpu(), y.cpu())


def test_small_values_do_not_wait():
    x, mask = rt.zeros(4, 6, device="cuda"), rt.eye(4, 6, device="cuda") > 0
    t = without_waiting(lambda: rt.tensor([1.0, 2.0], device="cuda"))
    without_waiting(lambda: x.masked_fill_(mask, rt.tensor(3.0)))
    without_waiting(lambda: x[2:].copy_(rt.tensor(4.0)))
    picked = without_waiting(lambda: x[[0, 3]])
    assert t.tolist() == [1, 2] and picked.tolist() == x.tolist()[::3] and x[2, 5].item() == 4 and x[1, 1].item() == 3


def test_a_graph_keeps_small_copies():
    x, y = rt.zeros(3, device="cuda"), rt.zeros(40, dtype=rt.int64, device="cuda")
    host = rt.tensor([1.0, 2.0, 3.0])
    with rt.cuda.stream(rt.cuda.Stream()):
        x.copy_(host)
        y.copy_(rt.arange(40, device="cuda"))
    graph = rt.cuda.CUDAGraph()
    with rt.cuda.graph(graph):
        x.copy_(host)
        y.copy_(rt.arange(40, device="cuda"))
    host.zero_()
    x.zero_()
    y.zero_()
    graph.replay()
    rt.cuda.synchronize()
    assert x.tolist() == [1, 2, 3] and y.tolist() == list(range(40))


def test_classes_are_checked_where_they_are():
    i = rt.tensor([[0, 2], [1, 4]], device="cuda")
    assert rt.equal(without_waiting(lambda: F.one_hot(i, 5)).cpu(), F.one_hot(i.cpu(), 5)) and F.one_hot(i).shape == (2, 2, 5)
    F.one_hot(i, 4)
    with pytest.raises(RuntimeError, match="index 4 is out of bounds"):
        rt.cuda.synchronize()
    with pytest.raises(RuntimeError, match="num_classes should be positive"):
        F.one_hot(i, 0)


def test_probabilities_are_checked_where_they_are():
    p, t = rt.tensor([0.0, 0.25, 1.0], device="cuda"), rt.tensor([1.0, 0.0, 1.0], device="cuda")
    loss = without_waiting(lambda: F.binary_cross_entropy(p, t))
    np.testing.assert_allclose(loss.item(), F.binary_cross_entropy(p.cpu(), t.cpu()).item(), rtol=1e-6)
    for bad in (1.5, -0.5, float("nan")):
        F.binary_cross_entropy(p + rt.tensor([0, bad, 0], device="cuda"), t)
        with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1, which number 1 is not"):
            rt.cuda.synchronize()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [rt.float32, rt.float16])
def test_classes_loss_and_its_total(reduction, dtype):
    rng = np.random.default_rng(3)
    for shape in ((70, 5), (3, 4, 7), (6,)):
        x, w = rt.from_numpy(rng.standard_normal(shape).astype(np.float32)).to(dtype), rt.linspace(0.5, 2, shape[1] if len(shape) > 1 else shape[0]).to(dtype)
        t = rt.from_numpy(rng.integers(0, len(w), shape[:1] + shape[2:] if len(shape) > 1 else ()))
        for options in ({}, {"weight": w}, {"label_smoothing": 0.1, "ignore_index": 1}):
            found = []
            for device in ("cpu", "cuda"):
                leaf = x.detach().clone().to(device).requires_grad_()
                given = {k: v.to(device) if isinstance(v, rt.Tensor) else v for k, v in options.items()}
                loss = F.cross_entropy(leaf, t.to(device), reduction=reduction, **given)
                loss.sum().backward()
                found.append((loss.detach().cpu().float().numpy(), leaf.grad.cpu().float().numpy()))
            for want, got in zip(*found):
                np.testing.assert_allclose(got, want, rtol=2e-3 if dtype == rt.float16 else 1e-5, atol=2e-3 if dtype == rt.float16 else 1e-6)


def test_a_loss_of_many_lines():
    x, t = rt.randn(70000, 2).requires_grad_(), rt.randint(0, 2, (70000,))
    y = x.detach().cuda().requires_grad_()
    want, got = F.cross_entropy(x, t), F.cross_entropy(y, t.cuda())
    want.backward()
    got.backward()
    np.testing.assert_allclose(got.item(), want.item(), rtol=1e-4)
    np.testing.assert_allclose(y.grad.cpu().numpy(), x.grad.numpy(), rtol=1e-4, atol=1e-8)


def test_a_step_of_training_launches_little():
    x, t = rt.rand(4, 6, device="cuda"), rt.tensor([0, 1, 2, 0], device="cuda")
    logits = rt.rand(4, 3, device="cuda").requires_grad_()
    assert without_waiting(lambda: F.cross_entropy(logits, t), 2).shape == ()
    model = rt.nn.Linear(6, 3).cuda()
    seen = {}
    for name, p in model.named_parameters():
        p.register_hook(lambda g, name=name: seen.update({name: g.data_ptr()}))
    F.cross_entropy(model(x), t).backward()
    assert {name: p.grad.data_ptr() for name, p in model.named_parameters()} == seen       # a gradient is taken, not copied


@pytest.mark.parametrize("dtype", [rt.float32, rt.bfloat16, rt.int8, rt.complex128])
def test_lists_of_copies_are_one_launch(dtype):
    x = rt.arange(2 * 6 * 4).reshape(2, 6, 4).to(dtype)
    y = x.cuda()
    parts = lambda t: [t[:, :1], t[:, 1:4].flip(0), t.permute(1, 0, 2)[:2], t[:, 5:5], t.expand(2, 6, 4)]      # noqa: E731
    joined = without_waiting(lambda: rt.cat(parts(y), 1), 2)                     # flip is the other one
    assert rt.equal(joined.cpu(), rt.cat(parts(x), 1))
    assert rt.equal(without_waiting(lambda: rt.stack([y[0].t(), y[1].t(), y[0, :, :1].expand(6, 4).t()], 1), 1).cpu(),
                    rt.stack([x[0].t(), x[1].t(), x[0, :, :1].expand(6, 4).t()], 1))
    many = [y[i % 2, i % 6, i % 3:] for i in range(40)]
    assert rt.equal(without_waiting(lambda: rt.cat(many), 3).cpu(), rt.cat([t.cpu() for t in many]))
    assert rt.equal(rt.cat([y, y.to(rt.complex128)]).cpu(), rt.cat([x, x.to(rt.complex128)]))            # others are converted on their way
    deep = [t.reshape((1, 2) * 6 + (1,)) for t in rt.arange(128.0, device="cuda").chunk(2)]
    assert rt.equal(rt.cat(deep, 12).cpu(), rt.cat([t.cpu() for t in deep], 12))
    long = rt.rand(300, 1000, device="cuda")
    assert rt.equal(rt.cat([long, long[:2], long.t().contiguous().t()]).cpu(), rt.cat([long.cpu(), long[:2].cpu(), long.cpu()]))


def test_gradients_of_pieces_meet_in_one_launch():
    x = rt.rand(3, 12)
    found = []
    for device in ("cpu", "cuda"):
        leaf = x.detach().clone().to(device).requires_grad_()
        a, b, c = leaf.chunk(3, 1)
        (a.t().exp().sum() + (c * 2).sum()).backward()
        found.append(leaf.grad.cpu())
    assert rt.equal(found[0][:, 4:8], rt.zeros(3, 4)) and rt.allclose(found[0], found[1])


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64])
@pytest.mark.parametrize("scale", [0.01, 100, float("inf"), float("nan"), 0])
def test_clipping_by_norm(dtype, scale):
    found = []
    for device in ("cpu", "cuda"):
        params = [rt.nn.Parameter(rt.zeros(n, dtype=dtype, device=device)) for n in (3, 70000, 5)]
        for p in params:
            p.grad = rt.linspace(-1, 1, p.numel(), dtype=dtype, device=device) * scale
        clip = lambda: rt.nn.utils.clip_grad_norm_(params, 2.5)                  # noqa: E731, B023
        norm = without_waiting(clip, 4) if device == "cuda" else clip()
        assert norm.dtype == dtype and norm.device.type == device and norm.shape == ()
        found.append([norm.item()] + [x for p in params for x in p.grad.tolist()[:5]])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


@pytest.mark.parametrize("options", [{"mode": "nearest"}, {"mode": "bilinear"}, {"mode": "bicubic", "align_corners": True}, {"mode": "nearest-exact"}])
def test_tables_of_interpolation_are_kept(options):
    x = rt.rand(1, 2, 5, 6)
    want = F.interpolate(x, size=(8, 9), **options)
    with rt.inference_mode():                                                   # the table serves gradients too
        F.interpolate(x.cuda(), size=(8, 9), **options)
    y = x.cuda().requires_grad_()
    got = without_waiting(lambda: F.interpolate(y, size=(8, 9), **options), 3)
    got.sum().backward()
    np.testing.assert_allclose(got.detach().cpu().numpy(), want.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y.grad.sum().item(), 2 * 72, rtol=1e-4)
    assert rt.equal(F.interpolate(x.cuda(), size=(8, 9), **options), got)
    y = x.cuda()
    with rt.cuda.stream(rt.cuda.Stream()):
        F.interpolate(y, scale_factor=1.6, **options)
    graph = rt.cuda.CUDAGraph()
    with rt.cuda.graph(graph):
        captured = F.interpolate(y, scale_factor=1.6, **options)
    graph.replay()
    rt.cuda.synchronize()
    np.testing.assert_allclose(captured.cpu().numpy(), F.interpolate(x, scale_factor=1.6, **options).numpy(), rtol=1e-5, atol=1e-6)


def test_streams_of_backward_are_asked_where_they_are_used():
    x = rt.rand(8, device="cuda").requires_grad_()
    side = rt.cuda.Stream()
    with rt.cuda.stream(side):
        y = (x * x).sum()
    assert y.grad_fn._get_streams()[0] == side.cuda_stream and (x * 2).grad_fn._get_streams() is None
    rt.cuda.current_stream().wait_stream(side)
    (y + (x * 3).sum()).backward()
    rt.cuda.synchronize()
    assert rt.allclose(x.grad.cpu(), 2 * x.detach().cpu() + 3) and rt.cuda.current_stream().cuda_stream == 0


def test_gradients_begin_with_a_one_that_is_kept():
    x = rt.rand(5, device="cuda").requires_grad_()
    def step():
        loss = (x * x).sum()
        before = _backend.launches()
        loss.backward()
        return _backend.launches() - before
    step()
    assert step() == step()
    x.grad = None
    scalar = rt.tensor(3.0, device="cuda", requires_grad=True)
    scalar.backward()
    scalar.grad.mul_(5)                                                         # a gradient of its own
    (scalar * scalar).backward()
    assert scalar.grad.item() == 11
    loss = (x * 2).sum()
    loss.register_hook(lambda g: g.mul_(10))                                    # writes into it
    loss.backward()
    assert x.grad.tolist() == [20] * 5
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2] * 5
    g, = rt.autograd.grad((x * x).sum(), x, create_graph=True)
    assert rt.allclose(g, 2 * x) and rt.allclose(rt.autograd.grad(g.sum(), x)[0], rt.full_like(x, 2))
