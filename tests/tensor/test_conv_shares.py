"""One small image with many channels: threads share the result channels; packed weights, sums by hand, bits that no thread changes."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import nn

F = nn.functional
# channels in and out, side, kernel, stride, padding, dilation
SHAPES = [(64, 64, 8, 3, 1, 1, 1), (32, 64, 16, 3, 2, 1, 1), (48, 80, 7, 3, 1, 1, 1), (40, 130, 9, 3, 2, 0, 1), (33, 97, 6, 5, 1, 2, 1), (64, 112, 7, 3, 1, 2, 2),
          (96, 100, 5, 1, 2, 0, 1), (200, 224, 4, 3, 1, 1, 1), (64, 37, 8, 2, 1, 0, 1), (16, 16, 32, 3, 1, 1, 1), (3, 16, 32, 3, 1, 1, 1), (3, 9, 21, 3, 1, 1, 1)]


@pytest.fixture(autouse=True)
def restore():
    threads = rt.get_num_threads()
    yield
    rt.set_num_threads(threads)
    rt.config.set_fast_convolution(True)
    rt.config.use_deterministic(False)


def by_hand(x, w, b, stride, padding, dilation):
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    high, wide = w.shape[2:]
    rows, columns = ((x.shape[d + 2] - dilation * (w.shape[d + 2] - 1) - 1) // stride + 1 for d in (0, 1))
    y = np.zeros((x.shape[0], w.shape[0], rows, columns))
    for i in range(high):
        for j in range(wide):
            window = x[:, :, i * dilation:i * dilation + stride * (rows - 1) + 1:stride, j * dilation:j * dilation + stride * (columns - 1) + 1:stride]
            y += np.einsum("nchw,oc->nohw", window, w[:, :, i, j].astype(np.float64))
    return y + b.reshape(1, -1, 1, 1)


@pytest.mark.parametrize("fast", [True, False])
def test_sums_and_threads(level, fast):
    rt.config.set_fast_convolution(fast)
    rt.config.use_deterministic(True)           # without it a product's sums may be cut by threads
    for dtype, tol in ((rt.float32, 2e-5), (rt.float64, 1e-13)):
        for channels, out, side, kernel, stride, padding, dilation in SHAPES:
            for batch in (1, 2):
                rt.manual_seed(side)
                x, w, b = rt.randn(batch, channels, side, side + 1).to(dtype), rt.randn(out, channels, kernel, kernel).to(dtype), rt.randn(out).to(dtype)
                want, results = by_hand(x.numpy(), w.numpy(), b.numpy(), stride, padding, dilation), []
                for threads in (1, 2, 3, 5):
                    rt.set_num_threads(threads)
                    for format in (rt.contiguous_format, rt.channels_last):
                        y = F.conv2d(x.to(memory_format=format), w.to(memory_format=format), b, stride, padding, dilation)
                        assert np.abs(y.numpy() - want).max() <= tol * np.abs(want).max(), (channels, out, side, threads)
                        results.append(y)
                assert all(rt.equal(r, results[i % 2]) for i, r in enumerate(results)), (channels, out, side, batch)


def test_transposed(level):
    for channels, out, side, kernel, stride in ((64, 64, 8, 3, 1), (96, 48, 5, 4, 2), (80, 130, 6, 3, 1)):
        x, w = rt.randn(1, channels, side, side), rt.randn(channels, out, kernel, kernel)
        want = np.zeros((1, out, (side - 1) * stride + kernel, (side - 1) * stride + kernel))
        for i in range(kernel):
            for j in range(kernel):
                want[:, :, i:i + stride * (side - 1) + 1:stride, j:j + stride * (side - 1) + 1:stride] += np.einsum(
                    "nchw,co->nohw", x.numpy().astype(np.float64), w.numpy()[:, :, i, j].astype(np.float64))
        for threads in (1, 2, 3):
            rt.set_num_threads(threads)
            y = F.conv_transpose2d(x, w, stride=stride)
            assert np.abs(y.numpy() - want).max() <= 2e-5 * np.abs(want).max()


def test_chains(level):
    """Factors of a normalization go into the packed weights."""
    for channels, out, side, kernel, stride, padding, dilation in SHAPES:
        chain = nn.Sequential(nn.Conv2d(channels, out, kernel, stride, padding, dilation), nn.BatchNorm2d(out), nn.ReLU()).eval()
        chain[1].running_mean.normal_()
        chain[1].running_var.uniform_(0.5, 2)
        nn.init.normal_(chain[1].weight)
        x = rt.randn(1, channels, side, side)
        with rt.no_grad():
            want = chain[2](chain[1](chain[0](x)))
            for threads in (1, 2, 3):
                rt.set_num_threads(threads)
                assert rt.allclose(chain(x), want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))
