"""Elements moved by index on the device, against the CPU."""
import numpy as np
import pytest

import rustorch_py as rt

assert rt.cuda.is_available()
X = rt.from_numpy(np.random.default_rng(0).standard_normal((4, 6, 5)).astype(np.float32))
I = rt.from_numpy(np.random.default_rng(1).integers(0, 4, (4, 3, 5)))


def same(fn, *tensors):
    """fn's values and gradients, on the device and on the CPU."""
    results = []
    for device in ("cpu", "cuda"):
        leaves = [t.clone().to(device).requires_grad_(t.dtype.is_floating_point) for t in tensors]
        out = fn(*leaves)
        assert out.device.type == device
        if out.requires_grad:
            out.backward(rt.linspace(-1, 1, out.numel()).reshape(out.shape).to(device))
        results.append([out.detach().cpu()] + [t.grad.cpu() for t in leaves if t.grad is not None])
    assert len(results[0]) == len(results[1])
    for want, got in zip(*results):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.int64, rt.uint8, rt.bool, rt.complex64, rt.complex128])
def test_gather(dim, dtype):
    same(lambda x, i: rt.gather(x, dim, i).detach(), X.to(dtype), I[:, :, :4] if dim != 2 else I)
    same(lambda x, i: rt.gather(x.transpose(0, 2), dim, i.transpose(0, 2)).detach(), X.to(dtype), I)


def test_scatter_of_distinct_places():
    places = rt.stack([rt.randperm(6)[:3] for _ in range(20)], 1).reshape(3, 4, 5).transpose(0, 1)
    same(lambda x, i, s: x.scatter(1, i, s).detach(), X, places, X[:, :3] * 2)
    same(lambda x, i: x.scatter(1, i, 3.0).detach(), X, places)


def test_bad_index_is_reported():
    bad = I.clone()
    bad[1, 2, 3] = 17
    out = rt.gather(X.cuda(), 1, bad.cuda())
    with pytest.raises(RuntimeError, match="index 17 is out of bounds for dimension with size 6.*index_get"):
        out.cpu()
    assert rt.ones(3).cuda().sum().item() == 3            # the device goes on
