"""A function's values and gradients on the device beside those on the CPU."""
import numpy as np

import rustorch_py as rt

rng = np.random.default_rng(0)
X = rt.from_numpy(rng.standard_normal((4, 6, 5)).astype(np.float32))
ODD = X.clone()                                                    # with NaN, infinities and both zeros
ODD[1, 2, 3] = ODD[1, 4, 3] = float("nan")
ODD[0, 0], ODD[0, 1], ODD[2, 3, 0], ODD[2, 4, 0] = -0.0, 0.0, float("inf"), -float("inf")
LONG = rt.from_numpy(rng.standard_normal((2, 20000)).astype(np.float32))      # several blocks a lane
TIES = (LONG[:, :9000] * 50).round()


def flat(results):
    """A nest of results as one list of tensors."""
    return [t for part in results for t in flat(part)] if isinstance(results, (tuple, list)) else [results]


def check(fn, *tensors, tolerance=1e-5):
    """Compare fn(*tensors) and the gradients of its floating arguments, with one weight an element, on both devices."""
    found = []
    for device in ("cpu", "cuda"):
        leaves = [t.detach().clone().to(device).requires_grad_(t.dtype.is_floating_point) for t in tensors]
        results = flat(fn(*leaves))
        assert all(r.device.type == device for r in results)
        total = sum((r * rt.linspace(-1, 1, r.numel()).reshape(r.shape).to(device)).sum() for r in results if r.requires_grad)
        if isinstance(total, rt.Tensor):
            total.backward()
        found.append([r.detach().cpu() for r in results] + [t.grad.cpu() for t in leaves if t.grad is not None])
    assert len(found[0]) == len(found[1])
    for want, got in zip(*found):
        assert got.dtype == want.dtype and got.shape == want.shape
        wide = [t.double() if t.dtype.is_floating_point else t for t in (got, want)]
        np.testing.assert_allclose(wide[0].numpy(), wide[1].numpy(), rtol=tolerance, atol=tolerance)
