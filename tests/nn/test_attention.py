"""scaled_dot_product_attention by tiles against NumPy in float64, over masks, layouts, dtypes and instruction sets."""
import math

import numpy as np
import pytest

import rustorch_py as torch
from rustorch_py.autograd import gradcheck, gradgradcheck
from rustorch_py.nn.functional import scaled_dot_product_attention as attend



def oracle(q, k, v, add, g, scale=None):
    """Output and gradients; add (b, h, q, k) is -inf where a key is hidden. k and v may have fewer heads."""
    group = q.shape[1] // k.shape[1]
    kk, vv = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    s = q @ kk.swapaxes(-1, -2) * scale + add
    top = np.maximum(s.max(-1, keepdims=True), -1e300)
    e = np.exp(s - top)
    total = e.sum(-1, keepdims=True)
    p = np.where(total == 0, 0, e / np.where(total == 0, 1, total))
    dp = g @ vv.swapaxes(-1, -2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * scale

    def fold(x):
        return x.reshape(x.shape[0], k.shape[1], group, *x.shape[2:]).sum(2)

    return p @ vv, ds @ kk, fold(ds.swapaxes(-1, -2) @ q), fold(p.swapaxes(-1, -2) @ g)


def laid_out(x, layout, dtype):
    """The same values, contiguous, as (b, t, h, d) seen the other way round, or with steps between features."""
    if layout == "heads inside":
        return torch.tensor(np.ascontiguousarray(x.transpose(0, 2, 1, 3)), dtype=dtype).transpose(1, 2)
    if layout == "spread":
        return torch.tensor(np.repeat(x, 2, -1), dtype=dtype)[..., ::2]
    return torch.tensor(x, dtype=dtype)


CASES = [  # batch, heads, kv heads, queries, keys, features, value features
    (2, 2, 2, 128, 128, 32, 32),
    (1, 2, 2, 70, 300, 24, 40),
    (1, 4, 2, 65, 65, 8, 8),
    (1, 1, 1, 134, 131, 64, 64),
    (3, 2, 1, 3, 77, 16, 20),
    (1, 2, 2, 9, 1, 5, 3),
    (1, 1, 1, 67, 17, 256, 256),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
@pytest.mark.parametrize("mask", ["none", "causal", "bool", "float", "padding"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients(case, mask, dtype, level):
    b, h, hk, n, m, d, e = case
    rng = np.random.default_rng(0)
    q, k, v, g = (rng.standard_normal(s) for s in ((b, h, n, d), (b, hk, m, d), (b, hk, m, e), (b, h, n, e)))
    add, given = np.zeros((b, h, n, m)), None
    if mask == "causal":
        add = np.where(np.tril(np.ones((n, m), bool)), 0, -np.inf) + add
    elif mask == "bool":
        keep = rng.random((n, m)) < 0.7
        keep[n // 2] = False                                   # a row that sees nothing
        add, given = np.where(keep, 0, -np.inf) + add, torch.tensor(keep)
    elif mask == "float":
        bias = rng.standard_normal((b, 1, n, m))
        add, given = bias + add, torch.tensor(bias, dtype=dtype)
    elif mask == "padding":
        keep = np.ones((b, 1, 1, m), bool)
        keep[0, :, :, m // 2 + 1:] = False
        add, given = np.where(keep, 0, -np.inf) + add, torch.tensor(keep)
    want = oracle(q, k, v, add, g)
    tolerance = 3e-5 if dtype is torch.float32 else 1e-11
    layouts = ("plain", "heads inside", "spread")
    for layout in layouts if mask in ("none", "bool") else layouts[1:2]:
        leaves = [laid_out(x, layout, dtype).detach().requires_grad_() for x in (q, k, v)]
        with torch.no_grad():
            np.testing.assert_allclose(attend(*leaves, given, is_causal=mask == "causal", enable_gqa=True).numpy(), want[0],
                                       tolerance, tolerance)
        out = attend(*leaves, given, is_causal=mask == "causal", enable_gqa=True)
        out.backward(laid_out(g, layout, dtype))
        for name, x, y in zip(("out", "q", "k", "v"), (out.detach(), *(t.grad for t in leaves)), want):
            np.testing.assert_allclose(x.numpy(), y, tolerance, tolerance, err_msg=f"{layout} {name}")


@pytest.mark.parametrize("causal", [False, True])
def test_derivatives(causal):
    torch.manual_seed(0)
    q, k, v = (torch.randn(*s, dtype=torch.float64).requires_grad_() for s in ((1, 2, 6, 3), (1, 1, 5, 3), (1, 1, 5, 2)))

    def run(q, k, v):
        return attend(q, k, v, is_causal=causal, scale=0.7, enable_gqa=True)

    assert gradcheck(run, (q, k, v))
    assert gradgradcheck(run, (q, k, v))


def test_derivatives_with_a_mask_in_two_dimensions():
    torch.manual_seed(1)
    q, k, v = (torch.randn(*s, dtype=torch.float64).requires_grad_() for s in ((5, 3), (4, 3), (4, 2)))
    keep = torch.rand(5, 4) < 0.6
    assert gradcheck(lambda *x: attend(*x, keep), (q, k, v))
    assert gradgradcheck(lambda *x: attend(*x, keep), (q, k, v))


def test_mask_with_a_gradient():
    torch.manual_seed(2)
    q, k, v, m = (torch.randn(*s, dtype=torch.float64).requires_grad_() for s in ((2, 3, 4, 3), (2, 3, 5, 3), (2, 3, 5, 2), (1, 3, 1, 5)))
    assert gradcheck(attend, (q, k, v, m))


@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
def test_half_precision(dtype, tolerance):
    torch.manual_seed(3)
    q, k, v = (torch.randn(2, 2, 90, 16) for _ in range(3))
    halves = [x.to(dtype).requires_grad_() for x in (q, k, v)]
    out = attend(*halves, is_causal=True)
    assert out.dtype is dtype
    want = attend(*(x.detach().float() for x in halves), is_causal=True)
    assert torch.allclose(out.float(), want, atol=tolerance)
    out.sum().backward()
    assert all(x.grad.dtype is dtype for x in halves)


def test_large_scores_and_nan():
    q = torch.tensor([[1e4], [-1e4]]).reshape(1, 1, 2, 1).repeat(1, 1, 4, 1)
    k, v = torch.linspace(-5, 5, 200).reshape(1, 1, 200, 1), torch.arange(200.0).reshape(1, 1, 200, 1)
    out = attend(q, k, v, scale=1.0)
    assert torch.equal(out.flatten(), torch.tensor([199.0, 0.0] * 4))
    k[0, 0, 150] = math.nan
    assert bool(attend(q, k, v).isnan().all())
    few = attend(q[:, :, :2], k, v, is_causal=True)
    assert not bool(few.isnan().any())


def test_dropout_drops():
    torch.manual_seed(4)
    q = torch.randn(1, 1, 8, 4)
    assert not torch.allclose(attend(q, q, q, dropout_p=0.5), attend(q, q, q))


def test_empty_and_odd_batches():
    assert attend(torch.zeros(0, 2, 3, 4), torch.zeros(0, 2, 3, 4), torch.zeros(0, 2, 3, 4)).shape == (0, 2, 3, 4)
    q = torch.randn(2, 3, 2, 5, 4)
    assert torch.allclose(attend(q, q, q), attend(q.flatten(0, 1), q.flatten(0, 1), q.flatten(0, 1)).reshape(q.shape), atol=1e-6)
    shared = torch.randn(1, 2, 5, 4)
    assert torch.allclose(attend(q[0], shared, shared), attend(q[0], shared.expand(3, -1, -1, -1), shared.expand(3, -1, -1, -1)), atol=1e-6)


def test_memory_does_not_hold_the_scores():
    """Peak memory of a long sequence stays far under one (T, T) matrix."""
    from rustorch_py import memory
    n = 4096
    q = torch.randn(1, 1, n, 16, requires_grad=True)
    memory.reset_peak_memory_stats()
    before = memory.memory_stats()["allocated_bytes.current"]
    attend(q, q, q, is_causal=True).sum().backward()
    assert memory.memory_stats()["allocated_bytes.peak"] - before < n * n * 4 / 4


class Decoder(torch.nn.Module):
    """One block of a language model, with or without a cache."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm, self.qkv, self.out = torch.nn.LayerNorm(width), torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)

    def forward(self, x, cache=None):
        n, t, c = x.shape
        q, k, v = (s.view(n, t, self.heads, c // self.heads).transpose(1, 2) for s in self.qkv(self.norm(x)).split(c, 2))
        y = attend(q, k, v, is_causal=True) if cache is None else cache.attend(q, k, v)
        return x + self.out(y.transpose(1, 2).reshape(n, t, c))


@pytest.mark.parametrize("pieces", [[7, 1, 1, 1], [1] * 10, [4, 3, 2, 1]])
def test_cache_gives_what_the_whole_sequence_gives(pieces):
    torch.manual_seed(5)
    blocks = [Decoder(24, 3) for _ in range(2)]
    x = torch.randn(2, 10, 24)
    with torch.no_grad():
        want = x
        for block in blocks:
            want = block(want)
        caches, got, at = [torch.nn.attention.KVCache(12) for _ in blocks], [], 0
        for size in pieces:
            y = x[:, at:at + size]
            for block, cache in zip(blocks, caches):
                y = block(y, cache)
            got.append(y)
            at += size
    assert torch.allclose(torch.cat(got, 1), want, atol=1e-5)
    assert [len(c) for c in caches] == [10, 10]


def test_cache_refuses_and_resets():
    cache = torch.nn.attention.KVCache(4)
    x = torch.randn(1, 2, 3, 5)
    keys, _ = cache.append(x, x)
    assert torch.equal(keys, x) and len(cache) == 3
    with pytest.raises(RuntimeError, match="max_length 4"):
        cache.append(x, x)
    with pytest.raises(RuntimeError, match="as before"):
        cache.append(x[:, :1, :1], x[:, :1, :1])
    cache.reset(1)
    assert len(cache) == 1 and torch.equal(cache.append(x[:, :, :2], x[:, :, :2])[0][:, :, 1:], x[:, :, :2])
    cache.reset()
    assert cache.append(x[:, :1], x[:, :1])[0].shape == (1, 1, 3, 5)
    with pytest.raises(ValueError):
        torch.nn.attention.KVCache(0)
