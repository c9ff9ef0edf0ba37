"""What the Metal back end has besides the doors of every device: its memory, its dtypes, losses, training, errors."""
import gc

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.errors import KernelCompileError, UnsupportedOpError
from rustorch_py.metal import _backend
from tests.gpu.place import SOFTWARE

F = rt.nn.functional
rng = np.random.default_rng(0)


def normal(*shape):
    return rt.from_numpy(rng.standard_normal(shape).astype(np.float32))


def test_names_of_the_device():
    assert rt.mps.is_available() and rt.backends.mps.is_available() and rt.metal.device_count() == rt.mps.device_count() > 0
    x = rt.ones(2, device="mps")
    assert x.is_mps and x.is_metal and x.device == rt.device("metal:0") and rt.device("mps:0") is x.device
    assert rt.accelerator.current_accelerator().type == "metal" and rt.accelerator.device_count() == rt.metal.device_count()
    rt.accelerator.synchronize()
    with pytest.raises(RuntimeError, match="invalid device ordinal 77"):
        rt.metal.synchronize(77)
    with pytest.raises(RuntimeError, match="ordinal"):
        rt.ones(1, device="metal:77")
    with pytest.raises(ValueError, match="metal device"):
        rt.metal.synchronize("cpu")


def test_numbers_of_64_bits_are_refused_as_pytorch_refuses_them():
    text = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. Please use float32 instead."
    x = rt.ones(3)
    for make in (lambda: x.double().to("mps"), lambda: x.to("mps").to(rt.float64), lambda: x.to("mps").double(),
                 lambda: rt.zeros(2, dtype=rt.float64, device="mps"), lambda: rt.empty_strided((2, 2), (1, 2), dtype=rt.float64, device="mps")):
        with pytest.raises(TypeError) as caught:
            make()
        assert str(caught.value) == text
    with pytest.raises(TypeError, match="complex128.*Please use complex64"):
        rt.zeros(2, dtype=rt.complex128, device="mps")


def test_what_is_not_there_is_refused_by_name():
    x = normal(3, 4).to("mps")
    with pytest.raises(UnsupportedOpError, match="topk: has no kernel for metal:0"):
        x.topk(2)
    with pytest.raises(UnsupportedOpError, match="index_max: not implemented for .*float32 on metal:0"):
        x.scatter_reduce(0, rt.zeros(3, 4, dtype=rt.int64, device="mps"), x, "amax")
    with pytest.raises(UnsupportedOpError, match="digamma. not implemented for 'float32' on metal:0"):
        rt.digamma(x)
    with pytest.raises(UnsupportedOpError, match="add.*complex64. on metal:0"):
        rt.ones(2, dtype=rt.complex64, device="mps") + 1


def test_memory_is_counted_cached_and_given_back():
    gc.collect()
    rt.metal.empty_cache()
    rt.metal.reset_peak_memory_stats()
    before = rt.metal.current_allocated_memory()
    x = rt.empty(3 * 2 ** 20, dtype=rt.uint8, device="mps")
    assert rt.mps.current_allocated_memory() == before + 3 * 2 ** 20 and rt.metal.memory_reserved() >= 3 * 2 ** 20
    where = x.data_ptr()
    del x
    assert rt.metal.memory_allocated() == before and rt.metal.max_memory_allocated() >= before + 3 * 2 ** 20
    x = rt.empty(3 * 2 ** 20 - 100, dtype=rt.uint8, device="mps")
    assert x.data_ptr() == where                                         # from the cache
    del x
    driver = rt.mps.driver_allocated_memory()
    rt.metal.empty_cache()
    assert rt.mps.driver_allocated_memory() == driver - 3 * 2 ** 20 and rt.mps.recommended_max_memory() > 0
    with pytest.raises(rt.OutOfMemoryError, match="MPS backend out of memory. Tried to allocate 16.00 TiB"):
        rt.empty(2 ** 44, dtype=rt.uint8, device="mps")


def test_the_host_waits_only_when_it_reads():
    x = normal(40, 30)
    y = x.to("mps")
    before = _backend.waits()
    z = y
    for _ in range(200):                                                 # several command buffers
        z = (z * 0.5 + y).relu()
    z = z + rt.arange(30.0).to("mps")                                    # a small write of the host, behind all that
    assert _backend.waits() == before
    want = x
    for _ in range(200):
        want = (want * 0.5 + x).relu()
    assert rt.allclose(z.cpu(), want + rt.arange(30.0)) and _backend.waits() > before
    big = rt.zeros(5000, device="mps")
    kept = big + 1
    big.copy_(rt.full((5000,), 7.0))                                     # while what read it is under way
    assert kept.cpu().unique().tolist() == [1.0] and big.cpu().unique().tolist() == [7.0]
    rt.mps.commit()
    rt.mps.synchronize()


def test_a_copy_on_the_device_waits_for_what_it_reads():
    x = rt.ones(4, device="mps") + 1
    x.resize_(100)                                                       # while the sum is under way
    assert x[:4].tolist() == [2.0] * 4


def test_devices_have_memories_of_their_own():
    if rt.metal.device_count() < 2:
        pytest.skip("one device")
    x = normal(3, 4).to("metal:0")
    y = (x * 2).to("metal:1")
    assert y.device == rt.device("metal:1") and rt.equal((y + 1).cpu(), x.cpu() * 2 + 1)
    with pytest.raises(RuntimeError, match="same device"):
        x + y


@pytest.mark.parametrize("shape, dim", [((5, 7), 1), ((5, 7), 0), ((3, 700), 1), ((2, 9, 4), 1)])
@pytest.mark.parametrize("dtype", [rt.float32, rt.float16, rt.bfloat16])
def test_softmax(shape, dim, dtype):
    x = normal(*shape)
    x.view(-1)[3] = -float("inf")
    x, tolerance = x.to(dtype), {rt.float32: 1e-6, rt.float16: 2e-3, rt.bfloat16: 2e-2}[dtype]
    for fn in (rt.softmax, rt.log_softmax, rt.logsumexp):
        a, b = x.clone().requires_grad_(), x.to("mps").requires_grad_()
        want, got = fn(a, dim), fn(b, dim)
        assert got.dtype == dtype and rt.allclose(got.cpu().float(), want.float(), atol=tolerance, rtol=tolerance), fn
        g = rt.ones_like(want) * 0.5
        want.backward(g)
        got.backward(g.to("mps"))
        assert rt.allclose(b.grad.cpu().float(), a.grad.float(), atol=tolerance, rtol=tolerance, equal_nan=True), fn


def test_losses_of_classes():
    x, target, w = normal(6, 10), rt.tensor([1, 2, -100, 9, 0, 3]), normal(10).abs()
    for options in ({}, {"weight": w}, {"label_smoothing": 0.1}, {"reduction": "none"}, {"reduction": "sum", "weight": w, "label_smoothing": 0.2}):
        a, b = x.clone().requires_grad_(), x.to("mps").requires_grad_()
        want = F.cross_entropy(a, target, **options)
        got = F.cross_entropy(b, target.to("mps"), **{k: v.to("mps") if k == "weight" else v for k, v in options.items()})
        assert rt.allclose(got.cpu(), want, atol=1e-6), options
        want.sum().backward()
        got.sum().backward()
        assert rt.allclose(a.grad, b.grad.cpu(), atol=1e-6), options
    with pytest.raises(RuntimeError, match="index 77 is out of bounds for dimension with size 10"):
        F.cross_entropy(x.to("mps"), rt.full((6,), 77).to("mps")).item()
    assert rt.ones(2, device="mps").sum().item() == 2                     # the device lives on
    assert rt.allclose(F.nll_loss(rt.log_softmax(x.to("mps"), 1), target.to("mps")).cpu(), F.nll_loss(rt.log_softmax(x, 1), target))


@pytest.mark.parametrize("make", [lambda p: rt.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01), lambda p: rt.optim.Adam(p, lr=0.01),
                                  lambda p: rt.optim.AdamW(p, lr=0.01)], ids=["SGD", "Adam", "AdamW"])
def test_a_classifier_learns_as_on_the_cpu(make):
    x, y = normal(32, 10), rt.from_numpy(rng.integers(0, 3, 32))

    def run(device):
        rt.manual_seed(0)
        model = rt.nn.Sequential(rt.nn.Linear(10, 16), rt.nn.ReLU(), rt.nn.Linear(16, 4), rt.nn.GELU(), rt.nn.Linear(4, 3)).to(device)
        optimizer, curve, inputs, classes = make(model.parameters()), [], x.to(device), y.to(device)
        for _ in range(10):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), classes)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        return curve

    np.testing.assert_allclose(run("mps"), run("cpu"), rtol=1e-4)


def test_long_sums_and_large_products():
    x = normal(300, 2000)
    d = x.to("mps")
    for dims in (0, 1, (0, 1)):
        assert rt.allclose(d.sum(dims).cpu(), x.double().sum(dims).float(), rtol=1e-5, atol=1e-3)
        assert rt.equal(d.amax(dims).cpu(), x.amax(dims))
    for index in range(rt.metal.device_count()):          # the software device's first one has matrices of simdgroups, its second has not
        for dtype, tolerance in ((rt.float32, 1e-3), (rt.float16, 0.1), (rt.int32, 0)):
            t = (x * 4).to(dtype) if dtype == rt.int32 else x.to(dtype)
            d = t.to(f"metal:{index}")
            got = rt.addmm(d[:130, :200], d[:130, :150], d[:200, :150].t(), beta=2, alpha=3).cpu()
            assert rt.allclose(got.float(), rt.addmm(t[:130, :200], t[:130, :150], t[:200, :150].t(), beta=2, alpha=3).float(), rtol=2e-3, atol=tolerance), (index, dtype)


@pytest.mark.skipif(not SOFTWARE, reason="of the software device")
def test_a_failure_is_told_by_what_comes_after_a_wait_that_tells_nothing(monkeypatch):
    from rustorch_py.metal import _text
    whole, x = _text.kernel_text, normal(3).to("mps").abs()
    bad = "(device float *y [[buffer(0)]], uint at [[thread_position_in_grid]]) {\n    if (at == 0) RT_SYNC();\n}\n"
    monkeypatch.setattr(_text, "kernel_text", lambda key, matrices: (whole(key)[0], "kernel void " + whole(key)[0] + bad))
    y = rt.atanh(x)
    monkeypatch.undo()
    rt.metal.empty_cache()                                               # waits, and the failed command buffer is gone
    with pytest.raises(RuntimeError, match="a kernel failed on the device.*barriers"):
        y + 1
    assert (x + 1).cpu().isfinite().all()


@pytest.mark.skipif(not SOFTWARE, reason="of the software device")
def test_a_kernel_that_does_not_compile_says_why(monkeypatch):
    from rustorch_py.metal import _text
    whole, x = _text.kernel_text, normal(3).to("mps").abs() + 1
    monkeypatch.setattr(_text, "kernel_text", lambda key, matrices: (whole(key)[0], "kernel void " + whole(key)[0] + "() {\n    whatever;\n}\n"))
    with pytest.raises((KernelCompileError, RuntimeError), match="(?s)rt_acosh.*whatever"):
        rt.acosh(x)
    monkeypatch.setattr(_text, "kernel_text", lambda key, matrices: (whole(key)[0], "kernel void other() {\n}\n"))
    with pytest.raises((KernelCompileError, RuntimeError), match="the library has no function rt_asinh"):
        rt.asinh(x)


# ---- operators with kernels of their own, or CUDA's ----
def check(fn, *tensors, tolerance=1e-5):
    """fn's values and gradients on the device beside those on the CPU."""
    found = []
    for device in ("cpu", "mps"):
        leaves = [t.detach().clone().to(device).requires_grad_(t.is_floating_point()) for t in tensors]
        result = fn(*leaves)
        if result.requires_grad:
            (result * rt.linspace(-1, 1, result.numel()).reshape(result.shape).to(device)).sum().backward()
        found.append([result.detach().cpu()] + [t.grad.cpu() for t in leaves if t.grad is not None])
    assert len(found[0]) == len(found[1])
    for want, got in zip(*found):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=tolerance, atol=tolerance)


def on(t, x):
    return t.to(x.device)


INDEX = rt.tensor([3, 1, 1, 5])
PICKED = rt.tensor([[0, 1], [2, 3], [7, 7], [1, 0], [4, 4], [5, 5]])
MOVES = {
    "rows": lambda x: x[[3, 1, 5]], "rows with a gradient": lambda x: x[on(INDEX, x)], "columns": lambda x: x.index_select(1, on(INDEX, x)),
    "gather": lambda x: x.gather(1, on(PICKED, x)), "scatter": lambda x: x.detach().scatter(1, on(PICKED, x), 9.0),
    "scatter_add": lambda x: x.detach().scatter_add(1, on(PICKED, x), x[:, :2].detach()), "pairs": lambda x: x[on(INDEX, x), on(rt.tensor([0, -1, 2, 3]), x)],
    "put": lambda x: x.detach().index_put((on(INDEX[:2], x),), on(rt.tensor(5.0), x)), "flip": lambda x: x.flip(0, 1), "roll": lambda x: x.roll(2, 1),
    "masked_fill": lambda x: x.masked_fill(x > 0, -1), "triangles": lambda x: x.tril(1) + x.triu(-1), "cat": lambda x: rt.cat([x, x * 2], 1),
    "stack": lambda x: rt.stack([x, x * 2]), "arange": lambda x: x + rt.arange(8, device=x.device), "argmax": lambda x: x.argmax(1),
    "max": lambda x: x.max(0).values, "min": lambda x: x.min(1).values, "cumsum": lambda x: x.cumsum(1), "cumprod": lambda x: x.cumprod(0),
    "var": lambda x: x.var(1) + x.std(1), "norm": lambda x: x.norm(), "pad": lambda x: F.pad(x, (1, 2)), "einsum": lambda x: rt.einsum("ij,kj->ik", x, x),
}


@pytest.mark.parametrize("name", MOVES)
def test_elements_moved_and_found(name):
    check(MOVES[name], normal(6, 8))


def test_bad_indices_are_told_when_the_host_waits():
    x = normal(4, 5).to("mps")
    with pytest.raises(RuntimeError, match="index 9 is out of bounds for dimension with size 4, in rt_one_index_get_i"):
        x[rt.tensor([0, 9]).to("mps")].cpu()
    assert x.sum().isfinite()


def test_places_of_extremes_as_on_the_cpu():
    x = normal(3, 5000)
    x[0, 7] = x[0, 4000] = float("nan")
    x[1, 10] = x[1, 20] = x[1].max() + 1
    for t in (x, (x[1:] * 100).to(rt.int64), x[1:].to(rt.float16)):
        for fn in (rt.argmax, rt.argmin):
            assert rt.equal(fn(t.to("mps"), 1).cpu(), fn(t, 1)) and rt.equal(fn(t.to("mps"), 0).cpu(), fn(t, 0))


def test_long_running_sums_and_masks():
    x = normal(2, 20000)
    for t, tolerance in ((x, 1e-2), ((x * 3).to(rt.int64), 0), (x.half(), 0.5)):
        want, got = t.cumsum(1), t.to("mps").cumsum(1).cpu()
        assert got.dtype == want.dtype and rt.allclose(got.double(), want.double(), rtol=2e-3, atol=tolerance), t.dtype
    assert rt.allclose(rt.cumprod((1 + x * 1e-3).to("mps"), 1).cpu(), rt.cumprod(1 + x * 1e-3, 1), rtol=1e-4)
    for t in (x[:, :7].contiguous(), x, x.reshape(4, 100, 100), rt.zeros(3), rt.tensor(3.0)):
        assert rt.equal((t.to("mps") > 1).nonzero().cpu(), (t > 1).nonzero())
    d, w = x.to("mps"), x.clone()
    assert rt.equal(d[d > 1].cpu(), x[x > 1])
    d[d > 0], w[w > 0] = 0.5, 0.5
    assert rt.equal(d.cpu(), w)
    check(lambda t: t.cumsum(0).pow(2), x[0, :100].clone(), tolerance=1e-3)
    check(lambda t: t[t > 0], x[0, :100].clone())


@pytest.mark.parametrize("options", [dict(padding=1), dict(stride=2), dict(padding=2, dilation=2), dict(groups=2), dict(stride=(2, 1), padding=(1, 0))], ids=str)
def test_convolutions(options):
    channels = 4 // options.get("groups", 1)
    check(lambda x, w, b: F.conv2d(x, w, b, **options), normal(2, 4, 7, 6), normal(6, channels, 3, 3), normal(6), tolerance=1e-4)


def test_convolutions_of_other_dimensions():
    check(lambda x, w: F.conv1d(x, w, padding=1), normal(2, 3, 9), normal(4, 3, 3), tolerance=1e-4)
    check(lambda x, w: F.conv3d(x, w), normal(1, 2, 4, 5, 4), normal(3, 2, 2, 3, 2), tolerance=1e-4)
    check(lambda x, w: F.conv_transpose2d(x, w, stride=2), normal(2, 3, 4, 4), normal(3, 5, 3, 3), tolerance=1e-4)
    check(lambda x, w: F.conv2d(x, w), normal(2, 3, 6, 6).contiguous(memory_format=rt.channels_last), normal(4, 3, 1, 1), tolerance=1e-4)


@pytest.mark.parametrize("fn", [lambda x: F.max_pool2d(x, 2), lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 2), lambda x: F.avg_pool2d(x, 3, 2, 1),
                                lambda x: F.adaptive_avg_pool2d(x, (1, 1)), lambda x: F.adaptive_max_pool2d(x, (2, 3))])
def test_pools(fn):
    check(fn, normal(2, 3, 8, 6))


def test_normalizations():
    check(lambda x, w, b: F.layer_norm(x, (8,), w, b), normal(3, 6, 8), normal(8), normal(8))
    check(lambda x, w: F.rms_norm(x, (8,), w), normal(6, 8), normal(8))
    check(lambda x, w, b: F.group_norm(x, 2, w, b), normal(3, 4, 5, 2), normal(4), normal(4))
    check(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), normal(4, 3, 5, 5), normal(3), normal(3))
    models = [rt.nn.BatchNorm1d(5).to(device) for device in ("cpu", "mps")]
    for _ in range(3):
        x = normal(7, 5)
        for model in models:
            model(x.to(next(model.parameters()).device))
    for a, b in zip(models[0].buffers(), models[1].buffers()):
        assert rt.allclose(a.float(), b.cpu().float(), atol=1e-6)
    assert rt.allclose(models[0].eval()(x), models[1].eval()(x.to("mps")).cpu(), atol=1e-6)


def test_embeddings():
    check(lambda w: F.embedding(on(rt.tensor([[3, 1, 1], [5, 0, 3]]), w), w, padding_idx=1), normal(6, 4))
    check(lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True), normal(2, 2, 5, 4))


def test_random_numbers():
    rt.manual_seed(3)
    x, g = rt.rand(20000, device="mps"), rt.Generator("mps").manual_seed(3)
    assert rt.equal(rt.rand(20000, device="mps", generator=g).cpu(), x.cpu()) and not rt.equal(rt.rand(20000, device="mps", generator=g).cpu(), x.cpu())
    assert 0 <= x.min().item() < 0.001 < 0.999 < x.max().item() < 1 and abs(x.mean().item() - 0.5) < 0.01
    rt.mps.manual_seed(5)
    state = rt.mps.get_rng_state()
    first = rt.rand(3, device="mps").cpu()
    rt.mps.set_rng_state(state)
    assert rt.equal(rt.rand(3, device="mps").cpu(), first)
    y = rt.randn(20001, device="mps")
    assert abs(y.mean().item()) < 0.03 and abs(y.std().item() - 1) < 0.03 and rt.randn(3, 2, device="mps").t().contiguous().isfinite().all()
    z = rt.randint(-3, 4, (5000,), device="mps").cpu()
    assert sorted(set(z.tolist())) == list(range(-3, 4))
    ones = rt.ones(10000, device="mps", requires_grad=True)
    kept = F.dropout(ones, 0.25)
    kept.sum().backward()
    assert set(kept.detach().cpu().unique().tolist()) == {0.0, float(np.float32(1 / 0.75))} and abs((kept > 0).float().mean().item() - 0.75) < 0.03
    assert rt.equal(ones.grad.cpu(), kept.detach().cpu())
    assert abs(rt.empty(10000, device="mps").bernoulli_(0.3).mean().item() - 0.3) < 0.03


def test_random_numbers_stay_below_their_bound():
    for dtype in (rt.float16, rt.bfloat16, rt.float32):
        x = rt.rand(60000, dtype=dtype, device="mps").cpu().float()
        assert 0 <= x.min() and x.max() < 1, dtype
        x = rt.empty(60000, dtype=dtype, device="mps").uniform_(-0.25, 3).cpu().float()
        assert -0.25 <= x.min() and x.max() < 3 and abs(x.mean() - 1.375) < 0.02, dtype


def test_whole_numbers_of_all_64_bits():
    low, high = -2 ** 63, 2 ** 63 - 1
    for x in (rt.empty(4000, dtype=rt.int64, device="mps").random_(low, None), rt.empty(4000, dtype=rt.int64, device="mps").random_(low, high),
              rt.randint(low, high, (4000,), device="mps")):
        x = x.cpu().double() / 2.0 ** 63
        assert x.min() < -0.99 and x.max() > 0.99 and abs(x.mean()) < 0.05
    x = rt.empty(4000, dtype=rt.int64, device="mps").random_().cpu().double() / 2.0 ** 63
    assert 0 <= x.min() < 0.01 and 0.99 < x.max() and abs(x.mean() - 0.5) < 0.03


def test_gradients_are_clipped():
    norms = []
    for device in ("cpu", "mps"):
        p = rt.nn.Parameter(rt.arange(4.0).to(device))
        p.grad = rt.arange(4.0).to(device)
        norms.append((rt.nn.utils.clip_grad_norm_([p], 1.0).item(), p.grad.norm().item()))
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-5)


def test_a_small_image_model_learns_as_on_the_cpu():
    x, y = normal(8, 1, 8, 8), rt.from_numpy(rng.integers(0, 3, 8))

    def run(device):
        rt.manual_seed(0)
        model = rt.nn.Sequential(rt.nn.Conv2d(1, 4, 3, padding=1), rt.nn.BatchNorm2d(4), rt.nn.ReLU(), rt.nn.MaxPool2d(2), rt.nn.Flatten(),
                                 rt.nn.Linear(64, 3)).to(device)
        optimizer, curve, inputs, classes = rt.optim.Adam(model.parameters(), lr=0.01), [], x.to(device), y.to(device)
        for _ in range(6):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), classes)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        return curve

    np.testing.assert_allclose(run("mps"), run("cpu"), rtol=1e-3)
