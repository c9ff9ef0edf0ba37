"""Results larger than the last cache, which are stored past it (Note [Past the caches] in kernels/stream.h)."""
import os

import numpy as np
import pytest

import rustorch_py as torch


def last_cache():
    try:
        with open("/sys/devices/system/cpu/cpu0/cache/index3/size", encoding="ascii") as f:
            return int(f.read().strip().rstrip("K")) << 10
    except (ValueError, OSError):
        return 1 << 25


N = min(last_cache(), 1 << 27) // 3          # floats: two arrays of them are more than twice the cache


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).standard_normal(N + 5, dtype="float32")


@pytest.mark.parametrize("first", [0, 1, 3])
def test_results_and_places(values, threads, first):
    x, ends = torch.from_numpy(values)[first:N + first], torch.full((N + 64,), 7.0)
    want = values[first:N + first]
    out = ends[first:N + first]
    torch.mul(x, 2, out=out)
    np.testing.assert_array_equal(out.numpy(), want * 2)
    torch.add(x, x, out=out)
    np.testing.assert_array_equal(out.numpy(), want + want)
    np.testing.assert_array_equal((x > 0).numpy(), want > 0)
    out.copy_(x)
    np.testing.assert_array_equal(out.numpy(), want)
    out.neg_()
    np.testing.assert_array_equal(out.numpy(), -want)
    out.fill_(3)
    assert (out.numpy() == 3).all()
    assert (ends.numpy()[:first] == 7).all() and (ends.numpy()[N + first:] == 7).all()


def test_dtypes(values, threads):
    x = torch.from_numpy(values)[:N]
    np.testing.assert_array_equal(x.to(torch.float64).numpy(), values[:N].astype("float64"))
    half = x.to(torch.bfloat16)
    np.testing.assert_array_equal((half + half).float().numpy(), (half.float() * 2).numpy())
    i = (x * 100).to(torch.int64)
    np.testing.assert_array_equal((i + 1).numpy(), i.numpy() + 1)
    c = torch.complex(x, x)
    np.testing.assert_array_equal((c + 1).numpy(), c.numpy() + 1)


def test_rows(values, threads):
    m = torch.from_numpy(values)[:N // 2051 * 2051].reshape(-1, 2051)
    part, want = m[:, 1:2050], m.numpy()[:, 1:2050]
    np.testing.assert_array_equal((part + m[0, 1:2050]).numpy(), want + want[0])
    np.testing.assert_array_equal((part + part[:, :1]).numpy(), want + want[:, :1])
    np.testing.assert_array_equal(part.clone().numpy(), want)
    wide = torch.zeros(m.shape[0], 2051)
    wide[:, 1:2050] = part
    np.testing.assert_array_equal(wide.numpy()[:, 1:2050], want)
    assert not wide.numpy()[:, 0].any() and not wide.numpy()[:, 2050].any()
    wide[:, 1:2050] = 4
    assert (wide.numpy()[:, 1:2050] == 4).all() and not wide.numpy()[:, 0].any() and not wide.numpy()[:, 2050].any()
