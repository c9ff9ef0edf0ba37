"""Weights of convolutions and recurrent layers that stay transformed or packed between calls: see test_prepacked.py for linear ones."""
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import rustorch_py as rt
from rustorch_py import nn
from rustorch_py import tensor as _tensor
from rustorch_py.tensor import _gemm

EPS = 2.0 ** -23


@pytest.fixture(autouse=True)
def restore():
    threads, limit, fixed = rt.get_num_threads(), rt.config.get_prepack_limit(), rt.config.is_deterministic()
    yield
    rt.config.use_deterministic(fixed)
    rt.set_num_threads(threads)
    rt.config.set_prepack_limit(limit)


def unpacked(call):
    """call() with nothing kept."""
    limit = rt.config.get_prepack_limit()
    rt.config.set_prepack_limit(0)
    try:
        with rt.no_grad():
            return call()
    finally:
        rt.config.set_prepack_limit(limit)


def warm(call, times=3):
    with rt.no_grad():
        for _ in range(times):
            y = call()
    return y


def same(a, b):
    return all(rt.equal(x, y) for x, y in zip(a, b)) if isinstance(a, (tuple, list)) else rt.equal(a, b)


def written(weight, call):
    """Writes of several kinds, each seen by the next call and those after it."""
    for write in (lambda: weight.data.add_(1), lambda: weight.detach().mul_(0.5), lambda: weight.data[1:2].zero_(),
                  lambda: setattr(weight, "data", rt.randn(weight.shape, dtype=weight.dtype)), lambda: weight.detach().numpy().__setitem__(0, 0.25)):
        write()
        assert same(warm(call, 1), unpacked(call)) and same(warm(call), unpacked(call))


# batch, in, out, height, width, groups
IMAGES = [(1, 16, 32, 16, 16, 1), (1, 32, 32, 16, 15, 1), (1, 32, 64, 8, 8, 1), (1, 64, 64, 8, 8, 1), (1, 64, 100, 7, 9, 1), (2, 20, 37, 6, 11, 1), (1, 48, 48, 12, 12, 3),
          (1, 16, 16, 32, 32, 1), (5, 24, 40, 20, 20, 1), (1, 64, 112, 6, 6, 1)]


@pytest.mark.parametrize("shape", IMAGES)
def test_convolution(level, shape):
    """Few tiles go by Winograd's way where nothing is recorded: right within 16 units of the sum of absolute products; the same bits kept or not."""
    n, c, o, h, w, groups = shape
    rt.manual_seed(3)
    layer, x = nn.Conv2d(c, o, 3, padding=1, groups=groups), rt.randn(n, c, h, w)
    both = nn.Sequential(layer, nn.BatchNorm2d(o), nn.ReLU()).eval()
    for t in (both[1].running_mean, both[1].running_var):
        t.uniform_(0.5, 2)
    found = []
    for threads in (1, 2, 3):
        rt.set_num_threads(threads)
        found.append(warm(lambda: layer(x)))
        assert same(found[-1], unpacked(lambda: layer(x)))
        assert same(warm(lambda: both(x)), unpacked(lambda: both(x)))
    assert all(same(y, found[0]) for y in found) and _gemm.is_prepacked(layer.weight)
    windows = sliding_window_view(np.pad(x.numpy().astype("float64"), ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
    k, q = c // groups, o // groups
    weights = layer.weight.detach().clone().numpy().astype("float64")
    product = lambda win, wt: np.concatenate([np.einsum("nchwij,ocij->nohw", win[:, g * k:(g + 1) * k], wt[g * q:(g + 1) * q], optimize=True) for g in range(groups)], 1)  # noqa: E731
    want = product(windows, weights) + layer.bias.detach().clone().numpy().astype("float64")[:, None, None]
    assert np.abs(found[0].numpy() - want).max() <= 16 * EPS * product(abs(windows), abs(weights)).max()
    mean, var = (t.clone().numpy()[:, None, None].astype("float64") for t in (both[1].running_mean, both[1].running_var))
    np.testing.assert_allclose(warm(lambda: both(x)).numpy(), np.maximum((want - mean) / np.sqrt(var + 1e-5), 0), rtol=1e-4, atol=2e-5)
    last = x.contiguous(memory_format=rt.channels_last)
    y = warm(lambda: layer(last))
    assert y.is_contiguous(memory_format=rt.channels_last) and same(y, unpacked(lambda: layer(last)))
    np.testing.assert_allclose(y.numpy(), want, rtol=0, atol=16 * EPS * product(abs(windows), abs(weights)).max())
    written(layer.weight, lambda: layer(x))


# batch, in, out, height, width, kernel down and across, stride, groups
MANY = [(1, 256, 128, 14, 14, 3, 3, 1, 1), (1, 160, 512, 7, 7, 3, 3, 1, 1), (2, 512, 520, 4, 5, 3, 3, 1, 1), (1, 128, 256, 13, 14, 3, 3, 2, 1), (1, 64, 96, 1, 300, 1, 7, 1, 1),
        (1, 40, 33, 1, 401, 1, 9, 3, 1), (1, 96, 200, 9, 9, 5, 5, 2, 2), (1, 130, 37, 9, 9, 2, 2, 2, 1)]


@pytest.mark.parametrize("shape", MANY)
def test_many_weights(level, shape):
    """Packed weights of few pixels: the same bits from the first call on and on any number of threads; factors of a normalization are kept with them."""
    n, c, o, h, w, high, wide, stride, groups = shape
    rt.manual_seed(3)
    layer, x = nn.Conv2d(c, o, (high, wide), stride=(stride if high > 1 else 1, stride), padding=(high // 2, wide // 2), groups=groups), rt.randn(n, c, h, w)
    norm = nn.BatchNorm2d(o)
    both = nn.Sequential(layer, norm, nn.ReLU()).eval()
    k, q = c // groups, o // groups
    padded = np.pad(x.numpy().astype("float64"), ((0, 0), (0, 0), (high // 2,) * 2, (wide // 2,) * 2))
    windows = sliding_window_view(padded, (high, wide), (2, 3))[:, :, ::layer.stride[0], ::stride]
    weights = layer.weight.detach().clone().numpy().astype("float64")
    product = lambda win, wt: np.concatenate([np.einsum("nchwij,ocij->nohw", win[:, g * k:(g + 1) * k], wt[g * q:(g + 1) * q], optimize=True) for g in range(groups)], 1)  # noqa: E731
    want = product(windows, weights) + layer.bias.detach().clone().numpy().astype("float64")[:, None, None]
    bound = 16 * EPS * product(abs(windows), abs(weights)).max()
    for given in (x, x.contiguous(memory_format=rt.channels_last)):
        found = []
        for threads in (1, 2, 3):
            rt.set_num_threads(threads)
            layer.weight.data.mul_(1)                                  # what was kept is old
            found += [warm(lambda: layer(given), 1) for _ in range(3)]
            assert _gemm.is_prepacked(layer.weight)
            assert np.abs(found[-1].numpy() - want).max() <= bound
            np.testing.assert_allclose(unpacked(lambda: layer(given)).numpy(), found[-1].numpy(), rtol=0, atol=bound)
        assert all(same(y, found[0]) for y in found) and found[0].stride() == unpacked(lambda: layer(given)).stride()
        for _ in range(2):
            for t in (norm.running_mean, norm.running_var, norm.weight.data):
                t.uniform_(0.5, 2)
            mean, var, times = (t.clone().numpy()[:, None, None].astype("float64") for t in (norm.running_mean, norm.running_var, norm.weight.data))
            for _ in range(3):
                np.testing.assert_allclose(warm(lambda: both(given), 1).numpy(), np.maximum((want - mean) / np.sqrt(var + 1e-5) * times, 0), rtol=1e-4, atol=2e-4)
    before = warm(lambda: layer(x))
    layer.weight.data.mul_(2)
    layer.bias.data.mul_(2)
    assert all(same(warm(lambda: layer(x), 1), 2 * before) for _ in range(3))
    layer.weight.detach().numpy()[:] = 0                              # nobody sees writes through the address
    assert same(warm(lambda: layer(x)), layer.bias.detach()[:, None, None].expand(before.shape))


def test_convolution_keeps_nothing_that_is_recorded_or_rearranged():
    layer, x = nn.Conv2d(32, 32, 3, padding=1), rt.randn(1, 32, 16, 16)
    for _ in range(3):
        layer(x).sum().backward()
    assert not _gemm.is_prepacked(layer.weight)
    rt.config.use_deterministic(True)
    plain = warm(lambda: layer(x))
    assert not _gemm.is_prepacked(layer.weight) and rt.equal(plain, layer(x).detach())
    rt.config.use_deterministic(False)
    fast = warm(lambda: layer(x))
    assert _gemm.is_prepacked(layer.weight) and not rt.equal(plain, fast)
    rt.nn.functional.conv2d(x.requires_grad_(), layer.weight.detach(), None, 1, 1).sum().backward()
    assert x.grad.isfinite().all()


def test_weights_are_kept_for_one_shape_at_a_time():
    """Few and many tiles read different forms: both stay right in turns."""
    layer = nn.Conv2d(64, 64, 3, padding=1)
    small, large = rt.randn(1, 64, 8, 8), rt.randn(8, 64, 32, 32)
    want = [unpacked(lambda x=x: layer(x)) for x in (small, large)]
    for _ in range(3):
        for x, y in zip((small, small, small, large, large, large), (want[0],) * 3 + (want[1],) * 3):
            assert rt.equal(warm(lambda x=x: layer(x), 1), y)


@pytest.mark.parametrize("kind, options", [("LSTM", {}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {"proj_size": 20}), ("LSTM", {"bidirectional": True})])
def test_recurrent(level, kind, options):
    rt.manual_seed(5)
    for dtype in (rt.float32, rt.float64):
        for size, hidden, steps, batch in ((40, 128, 20, 1), (24, 72, 9, 3), (16, 200, 12, 9), (24, 33, 8, 2)):
            layer, x = getattr(nn, kind)(size, hidden, **options).to(dtype), rt.randn(steps, batch, size, dtype=dtype)
            call = lambda: [t for part in layer(x) for t in (part if isinstance(part, tuple) else (part,))]  # noqa: E731
            found = []
            for threads in (1, 2, 3):
                rt.set_num_threads(threads)
                found.append(warm(call))
                assert same(found[-1], unpacked(call))
            assert _gemm.is_prepacked(layer.weight_hh_l0)
            # the input's product is cut by threads, and may add in another order where pieces are small; the steps may not
            assert all(rt.allclose(y, z, rtol=1e-5, atol=1e-6) for other in found for y, z in zip(other, found[0]))
            recorded = layer(x)[0]
            assert rt.allclose(recorded.detach(), found[0][0], rtol=1e-5, atol=1e-6)
    written(layer.weight_hh_l0, call)


@pytest.mark.parametrize("kind, gates", [(0, 1), (2, 4), (3, 3)])
def test_steps_do_not_depend_on_threads(level, kind, gates):
    for hidden, steps, batch in ((128, 20, 1), (72, 9, 3), (200, 12, 9), (33, 8, 2), (64, 1, 40)):
        x, w = rt.randn(steps, batch, gates * hidden), rt.randn(gates * hidden, hidden)
        found = []
        for threads in (1, 2, 3):
            rt.set_num_threads(threads)
            found.append(warm(lambda: [t for t in _tensor.recurrent_scan(kind, x, None, None, w) if t is not None]))
        assert all(same(y, found[0]) for y in found)


def test_packed_sequences_of_few_rows():
    layer = nn.LSTM(24, 128)
    parts = [rt.randn(n, 24) for n in (17, 12, 12, 5, 1)]
    packed = nn.utils.rnn.pack_sequence(parts)
    y, n = nn.utils.rnn.pad_packed_sequence(warm(lambda: layer(packed))[0])
    for i, part in enumerate(parts):
        rt.testing.assert_close(y[:n[i], i], warm(lambda: layer(part))[0], rtol=1e-5, atol=1e-6)
