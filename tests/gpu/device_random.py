"""Random numbers on the device: Philox against its published vectors, PyTorch's CUDA numbers, distributions, dropouts, states."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.cuda import _backend

assert rt.cuda.is_available()
F = rt.nn.functional
SOFTWARE = rt.cuda.get_device_name().startswith("Software")


def words_of(seed, offset, n, subsequence=0):
    """Words of a stream as the kernels draw them: thread `subsequence`'s element of a fill with whole int32 numbers."""
    g = rt.Generator("cuda").manual_seed(seed)
    g.set_offset(offset)
    out = rt.empty(1, dtype=rt.int64, device="cuda")
    found = []
    for _ in range(n):                                       # one element: its thread's first word of each block
        out.random_(generator=g)
        found.append(out.item())
    return found


def test_philox_gives_the_published_words():
    """Random123's kat_vectors: philox4x32 10, counter and key of zeros and of the digits of pi."""
    # key 0, counter 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8; a fill of int64 takes word 0 high, word 1 low, modulo 2**63
    assert words_of(0, 0, 1) == [(0x6627E8D5 << 32 | 0xE169C58D) % 2 ** 63]
    x = rt.empty(4 * 256 * 64, dtype=rt.int32, device="cuda")
    g = rt.Generator("cuda").manual_seed(0)
    x.random_(0, 2 ** 27, generator=g)
    blocks = min(x.numel() // 256, 16 if SOFTWARE else 10 ** 9)
    if SOFTWARE:                                             # 2 multiprocessors of 2048 threads: 16 blocks, four words a call
        got = [x[j * blocks * 256].item() for j in range(4)]
        assert got == [w % 2 ** 27 for w in (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)]
    # counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0: d16cfe09 94fdcceb 5001e420 24126ea1
    seed, block = 0x299F31D0A4093822, 0x85A308D3243F6A88
    state = rt.tensor(list(seed.to_bytes(8, "little") + ((block << 2) % 2 ** 64).to_bytes(8, "little")), dtype=rt.uint8)
    g.set_state(state)
    assert g.initial_seed() == seed and rt.equal(g.get_state(), state)


def test_numbers_are_pytorchs():
    """What torch.manual_seed(0); torch.rand(..., device="cuda") and torch.manual_seed(42); torch.randn(...) print."""
    rt.manual_seed(0)
    np.testing.assert_allclose(rt.rand(10, device="cuda").cpu().numpy(), [0.3990, 0.5167, 0.0249, 0.9401, 0.9459, 0.7967, 0.4150, 0.8203, 0.2290, 0.9096], atol=6e-5)
    np.testing.assert_allclose(rt.rand(10, device="cuda").cpu().numpy(), [0.9722, 0.7910, 0.4690, 0.3300, 0.3345, 0.3783, 0.7640, 0.6405, 0.1103, 0.3594], atol=6e-5)
    rt.manual_seed(42)
    np.testing.assert_allclose(rt.randn(19, device="cuda").cpu().numpy(),
                               [0.1940, 2.1614, -0.1721, 0.8491, -1.9244, 0.6530, -0.6494, -0.8175, 0.5280, -1.2753, -1.6621, -0.3033, -0.0926, 0.1992,
                                -1.1204, 1.8577, -0.7145, 0.6881, 0.7968], atol=6e-5)
    rt.manual_seed(42)
    np.testing.assert_allclose(rt.randn(4, device="cuda").cpu().numpy(), [0.1940, 2.1614, -0.1721, 0.8491], atol=6e-5)
    np.testing.assert_allclose(rt.randn(4, device="cuda").cpu().numpy(), [0.1391, -0.1082, -0.7174, 0.7566], atol=6e-5)


def test_states_and_seeds():
    rt.manual_seed(7)
    start = rt.cuda.get_rng_state()
    assert start.dtype == rt.uint8 and start.tolist() == [7] + [0] * 15 and rt.cuda.initial_seed() == 7
    a = rt.rand(5, device="cuda")
    after = rt.cuda.get_rng_state()
    assert int.from_bytes(bytes(after.tolist()[8:]), "little") == 4 == rt.cuda.default_generators[0].get_offset()
    rt.cuda.set_rng_state(start)
    assert rt.equal(rt.rand(5, device="cuda"), a)
    rt.cuda.set_rng_state(start[:8])                             # seed alone: from the beginning
    assert rt.equal(rt.rand(5, device="cuda"), a)
    rt.cuda.manual_seed_all(7)
    assert rt.equal(rt.rand(5, device="cuda"), a)
    g = rt.Generator(device="cuda").manual_seed(7)
    assert g.device == rt.device("cuda:0") and rt.equal(rt.rand(5, device="cuda", generator=g), a)
    twin = g.clone_state()
    assert rt.equal(rt.rand(3, device="cuda", generator=g), rt.rand(3, device="cuda", generator=twin))
    with rt.random.fork_rng():
        rt.rand(3, device="cuda")
    assert rt.equal(rt.cuda.get_rng_state(), after)
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator but found 'cuda'"):
        rt.rand(3, generator=g)
    with pytest.raises(RuntimeError, match="Expected a 'cuda' device type for generator but found 'cpu'"):
        rt.rand(3, device="cuda", generator=rt.Generator())
    with pytest.raises(RuntimeError, match="wrong size"):
        rt.cuda.set_rng_state(start[:3])
    with pytest.raises(RuntimeError, match="multiple of 4"):
        g.set_offset(3)
    with pytest.raises(RuntimeError, match="offset"):
        rt.Generator().get_offset()


def moments(x, mean, std, near=0.06):
    x = x.double().cpu()
    assert abs(x.mean().item() - mean) < near * max(std, 1e-9) * 2 and abs(x.std().item() - std) < near * std * 2, (x.mean(), x.std())


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16])
def test_distributions(dtype):
    rt.manual_seed(1)
    x = rt.empty(40, 50, dtype=dtype, device="cuda")
    moments(x.uniform_(-1, 3), 1, 4 / 12 ** 0.5)
    assert x.min().item() >= -1 and x.max().item() < 3.01
    moments(x.normal_(2, 3), 2, 3)
    moments(x.exponential_(2.0), 0.5, 0.5, 0.1)
    assert x.min().item() > 0
    moments(x.log_normal_(0, 0.5).log(), 0, 0.5)
    assert abs(x.cauchy_(1, 2).cpu().float().median().item() - 1) < 0.4
    moments(x.geometric_(0.25), 4, 12 ** 0.5, 0.1)
    moments(x.bernoulli_(0.3), 0.3, 0.21 ** 0.5)
    moments(rt.empty(2000, dtype=rt.int64, device="cuda").geometric_(0.5), 2, 2 ** 0.5, 0.1)


def test_whole_numbers():
    rt.manual_seed(2)
    x = rt.randint(-3, 9, (40, 50), device="cuda")
    assert x.dtype == rt.int64 and x.min().item() == -3 and x.max().item() == 8
    moments(x, 2.5, 143 ** 0.5 / 12 ** 0.5)
    wide = rt.randint(-2 ** 40, 2 ** 40, (500,), device="cuda").cpu()
    assert wide.abs().max().item() <= 2 ** 40 and wide.abs().max().item() > 2 ** 38
    for dtype in (rt.uint8, rt.int16, rt.float32, rt.bool):
        y = rt.empty(300, dtype=dtype, device="cuda").random_()
        assert y.float().max().item() > 0 and (dtype != rt.bool or 100 < y.sum().item() < 200)
    assert rt.empty(10, device="cuda").random_(5).max().item() < 5
    p = rt.tensor([0.0, 1.0, 0.5], device="cuda").repeat(200, 1)
    each = rt.bernoulli(p)
    assert each[:, 0].sum().item() == 0 and each[:, 1].sum().item() == 200 and 70 < each[:, 2].sum().item() < 130
    assert rt.empty(200, 3, dtype=rt.int32, device="cuda").bernoulli_(p[0]).sum(0).cpu().tolist()[:2] == [0, 200]
    with pytest.raises(RuntimeError, match="from"):
        rt.randint(5, 5, (2,), device="cuda")


def test_layouts_and_dtypes():
    rt.manual_seed(3)
    a = rt.rand(6, 5, device="cuda")
    for make in (lambda: rt.empty(5, 6, device="cuda").t(), lambda: rt.empty(6, 10, device="cuda")[:, ::2], lambda: rt.empty(6, 2, 5, device="cuda")[:, 1]):
        rt.manual_seed(3)
        x = make()
        x.uniform_()
        # the numbers come in the order of memory
        assert rt.equal(x.t().contiguous().reshape(-1) if x.stride(0) == 1 else x.contiguous().reshape(-1), a.reshape(-1))
    z = rt.randn(1000, dtype=rt.complex64, device="cuda")
    moments(rt.view_as_real(z), 0, 0.5 ** 0.5)
    assert rt.rand(0, 3, device="cuda").shape == (0, 3) and 0 <= rt.rand((), device="cuda").item() < 1
    assert rt.rand_like(a).device == a.device and rt.randn_like(a).shape == a.shape and rt.randint_like(a, 3).max().item() <= 2
    out = rt.empty(0, device="cuda")
    assert rt.rand(4, out=out) is out and out.shape == (4,)
    big = rt.empty((2,) * 24 + (1, 3), device="cuda")[(slice(None),) * 10 + (slice(0, 1),) * 14]
    rt.manual_seed(3)
    assert big.uniform_().cpu().reshape(-1)[:20].min().item() >= 0
    mean = rt.tensor([0.0, 100.0], device="cuda")
    assert rt.normal(mean, 1.0)[1].item() > 90 and rt.normal(0.0, 1.0, (3,), device="cuda").shape == (3,)


def philox(seed, call, subsequence):
    """The four words of calls of subsequences, arrays of numbers."""
    c = [call & 0xFFFFFFFF, call >> 32, subsequence & 0xFFFFFFFF, subsequence >> 32]
    low, high = seed & 0xFFFFFFFF, seed >> 32
    for i in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64((low + i * 0x9E3779B9) % 2 ** 32), b & np.uint64(0xFFFFFFFF),
             (a >> np.uint64(32)) ^ c[3] ^ np.uint64((high + i * 0xBB67AE85) % 2 ** 32), a & np.uint64(0xFFFFFFFF)]
    return np.stack(c, -1)


@pytest.mark.parametrize("dtype, n, side", [(rt.float32, 40000, 4), (rt.bfloat16, 80000, 8), (rt.float64, 20000, 2), (rt.float32, 20002, 2), (rt.float16, 20004, 4),
                                            (rt.float32, 20001, 1), (rt.float32, 64, 4)])
def test_dropout_takes_the_words_that_pytorch_takes(dtype, n, side):
    """Packs of 16 bytes where all is whole packs, of fewer elements otherwise; a call gives four words, and packs of two use two of them."""
    of = rt.cuda.get_device_properties(0)
    threads = 256 * min(of.multi_processor_count * of.max_threads_per_multi_processor // 256, -(-n // 256))
    rt.manual_seed(77)
    rt.rand(5, device="cuda")                                    # the stream goes on at 4
    y = F.dropout(rt.ones(n, dtype=dtype, device="cuda"), 0.3)
    i = np.arange(n)
    calls = max(side // 4, 1)
    if side == 1:
        turn, thread, word = i // (4 * threads), i % threads, i // threads % 4
    else:
        turn, thread, word = i // (side * threads), i // side % threads, i % side
    words = philox(77, (1 + turn * calls + word // 4).astype(np.uint64), thread.astype(np.uint64))
    number = words[i, word % 4].astype(np.float32).astype(np.float64) * np.float32(2.3283064e-10) + np.float32(1.1641532e-10)
    chance = 0.7 if dtype == rt.float64 else np.float32(0.7)
    assert np.array_equal((y != 0).cpu().numpy(), number.astype(np.float32) < chance)
    assert rt.cuda.default_generators[0].get_offset() == 4 + 4 * -(-n // (4 * threads))


def test_dropout_and_its_gradient():
    rt.manual_seed(0)
    for shape in ((8, 64), (7, 5), (3, 6, 3)):                          # four, one and two elements side by side
        x = rt.ones(shape, device="cuda", requires_grad=True)
        y = F.dropout(x, 0.25)
        y.sum().backward()
        kept = (y != 0).float()
        assert rt.allclose(y, kept / 0.75) and rt.allclose(x.grad, kept / 0.75)
    y = F.dropout(rt.ones(100, 100, device="cuda"), 0.3)
    assert 0.65 < (y != 0).float().mean().item() < 0.75
    assert rt.equal(F.dropout(y, 0.5, training=False), y) and F.dropout(y, 1.0).abs().sum().item() == 0
    half = F.dropout(rt.ones(64, dtype=rt.float16, device="cuda").t(), 0.5)
    assert set(half.cpu().tolist()) <= {0.0, 2.0}
    x = rt.randn(6, 4, 3, 3, device="cuda", requires_grad=True)
    for fn in (F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout):
        fn(x, 0.5, True).sum().backward()
    assert x.grad.isfinite().all().item()
    channels = F.dropout2d(rt.ones(20, 10, 2, 2, device="cuda"), 0.5).sum((2, 3))
    assert set(channels.cpu().reshape(-1).tolist()) == {0.0, 8.0}
    moments(F.alpha_dropout(rt.randn(4000, device="cuda"), 0.3, True), 0, 1, 0.1)
    x = rt.randn(50, device="cuda", requires_grad=True)
    y = F.rrelu(x, 0.1, 0.3, training=True)
    y.sum().backward()
    slope = x.grad.cpu()
    assert rt.allclose(y.detach().cpu(), x.detach().cpu() * slope) and ((slope >= 0.1) & ((slope < 0.3) | (slope == 1))).all()
    value, mask = rt.native_dropout(rt.ones(40, device="cuda"), 0.5, True)
    assert mask.dtype == rt.bool and rt.equal(value != 0, mask)


def test_samples_with_parameters_in_tensors():
    rt.manual_seed(5)
    for rate in (0.5, 7.0, 30.0, 200.0):
        moments(rt.poisson(rt.full((2000,), rate, device="cuda")), rate, rate ** 0.5, 0.08)
    for n, p in ((10.0, 0.3), (100.0, 0.9), (1000.0, 0.4)):
        moments(rt.binomial(rt.full((1500,), n, device="cuda"), rt.full((1500,), p, device="cuda")), n * p, (n * p * (1 - p)) ** 0.5, 0.08)
    for shape in (0.5, 3.0):
        moments(rt._standard_gamma(rt.full((3000,), shape, device="cuda")), shape, shape ** 0.5, 0.08)
    d = rt._sample_dirichlet(rt.tensor([[1.0, 2.0, 5.0]], device="cuda").repeat(300, 1))
    assert rt.allclose(d.sum(1).cpu(), rt.ones(300), atol=1e-5) and abs(d[:, 2].mean().item() - 0.625) < 0.05
    with pytest.raises(RuntimeError, match="poisson"):
        rt.poisson(rt.tensor([-1.0], device="cuda")).cpu()


def test_two_devices_have_two_streams():
    if rt.cuda.device_count() < 2:
        pytest.skip("needs two devices")
    rt.manual_seed(11)
    a, b = rt.rand(5, device="cuda:0"), rt.rand(5, device="cuda:1")
    assert rt.equal(a.cpu(), b.cpu()) and len(rt.cuda.get_rng_state_all()) == rt.cuda.device_count()
