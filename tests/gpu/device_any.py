"""Memory, copies, conversions, fills, products and a network: what every device does as the CPU does it."""
import numpy as np
import pytest

import rustorch_py as rt
from tests.gpu.place import DEVICE, DTYPES, backend, text

rng = np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def conversions():
    """The kernels that test_conversions launches, compiled together."""
    shape = {"kind": text.CAST, "id": 0, "loop": 0, "mode": text.DENSE, "vector": 1, "moving": 3, "host": 0}
    codes = [d.code for d in DTYPES]
    backend.prepare([{**shape, "dtypes": [a, b]} for a in codes for b in codes if a != b])


def test_there_and_back():
    for dtype in DTYPES:
        x = rt.from_numpy(rng.standard_normal((4, 6)) * 5).to(dtype)
        for view in (x, x.t(), x[1:, ::2], x[2], x[0, 0]):
            y = view.to(DEVICE)
            assert y.device == rt.device(DEVICE, 0) and y.dtype == dtype and y.get_device() == 0
            assert rt.equal(y.cpu(), view)
    assert rt.zeros(0, 3, device=DEVICE).cpu().shape == (0, 3)
    with pytest.raises(TypeError, match="cpu"):
        x.to(DEVICE).numpy()


def test_conversions_are_those_of_the_cpu():
    x = rt.tensor([0.0, -0.0, 1.5, -2.7, 300.0, float("nan"), 3e9, -1e-8])
    for dtype in DTYPES:
        start = x.to(dtype)
        for other in DTYPES:
            want, got = start.to(other), start.to(DEVICE).to(other).cpu()
            got, want = (t.float() if other in (rt.float16, rt.bfloat16) else t for t in (got, want))          # any NaN is as good as another
            np.testing.assert_array_equal(got.numpy(), want.numpy(), err_msg=f"{dtype} {other}")
            if want.is_floating_point():
                np.testing.assert_array_equal(np.signbit(got.numpy())[:2], np.signbit(want.numpy())[:2], err_msg=f"zeros of {dtype} {other}")


def test_strides_of_many_dimensions():
    x = rt.arange(2 ** 13).reshape((2,) * 13)
    order = list(range(12, -1, -1))
    assert rt.equal(x.to(DEVICE).permute(order).contiguous().cpu(), x.permute(order).contiguous())
    assert rt.equal((x.to(DEVICE).permute(order) + x.to(DEVICE)).cpu(), x.permute(order) + x)
    big = rt.zeros((1,) * 20 + (3,) + (1,) * 20 + (2,))
    assert (big.to(DEVICE) + 1).cpu().sum().item() == 6


def test_fills_and_numbers():
    x = rt.full((3, 5), 2.5, device=DEVICE)
    assert x.sum().item() == 37.5
    x[:, 1::2].fill_(-1)
    assert x.cpu().tolist() == [[2.5, -1, 2.5, -1, 2.5]] * 3
    assert (x * rt.tensor(2.0) + 1.5).cpu().tolist() == [[6.5, -0.5, 6.5, -0.5, 6.5]] * 3      # a 0-dim tensor of the host may take part
    assert (3 - x).cpu()[0, 1].item() == 4
    assert rt.where(x > 0, x, 0.0).sum().item() == 22.5
    if rt.complex128 in DTYPES:
        y = rt.zeros(4, dtype=rt.complex128, device=DEVICE)
        y.fill_(1 + 2j)
        assert y.sum().item() == 4 + 8j
    with pytest.raises(RuntimeError, match="same device"):
        x + rt.ones(3, 5)


@pytest.mark.parametrize("dtype", [d for d in (rt.float32, rt.float64, rt.bfloat16, rt.float16, rt.int64, rt.complex64) if d in DTYPES])
def test_products(dtype):
    def make(*shape):
        a = rng.standard_normal(shape) * 2 + (1j * rng.standard_normal(shape) if dtype.is_complex else 0)
        return rt.from_numpy(np.rint(a) if dtype in (rt.int64, rt.bfloat16, rt.float16) else a).to(dtype)

    def same(got, want):
        assert rt.allclose(got.cpu().to(rt.complex128), want.to(rt.complex128), rtol=1e-4, atol=1e-4), dtype

    a, b, c = make(37, 19), make(19, 70), make(37, 70)
    same(a.to(DEVICE) @ b.to(DEVICE), a @ b)
    same(a.to(DEVICE).t().contiguous().t() @ b.to(DEVICE).t().contiguous().t(), a @ b)
    same(rt.addmm(c.to(DEVICE), a.to(DEVICE), b.to(DEVICE), beta=2, alpha=3), rt.addmm(c, a, b, beta=2, alpha=3))
    same(rt.mv(a.to(DEVICE), b[:, 0].to(DEVICE)), rt.mv(a, b[:, 0]))
    same(rt.bmm(make(3, 5, 4).to(DEVICE) * 0 + 1, make(3, 4, 2).to(DEVICE) * 0 + 2), rt.full((3, 5, 2), 8, dtype=dtype))
    assert (rt.zeros(0, 3, dtype=dtype, device=DEVICE) @ rt.zeros(3, 2, dtype=dtype, device=DEVICE)).shape == (0, 2)
    assert (rt.zeros(2, 0, dtype=dtype, device=DEVICE) @ rt.zeros(0, 2, dtype=dtype, device=DEVICE)).cpu().tolist() == [[0, 0], [0, 0]]


def test_training_a_network_gives_the_cpus_curve():
    def run(device):
        rt.manual_seed(0)
        model = rt.nn.Sequential(rt.nn.Linear(2, 8), rt.nn.Tanh(), rt.nn.Linear(8, 1)).to(device)
        x = rt.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], device=device)
        y = rt.tensor([[0.0], [1], [1], [0]], device=device)
        optimizer = rt.optim.SGD(model.parameters(), lr=0.5)
        curve = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = rt.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        assert next(model.parameters()).device.type == device
        return curve

    np.testing.assert_allclose(run(DEVICE), run("cpu"), rtol=1e-4)


@pytest.mark.parametrize("dtype, value", [case for case in [
    (rt.float32, 0), (rt.float32, 1.5), (rt.float64, 0), (rt.float64, 1.5), (rt.int8, -3), (rt.int16, 300), (rt.int16, -1), (rt.bool, True),
    (rt.bfloat16, 2.5), (rt.int64, -1), (rt.int64, 5), (rt.complex128, 0), (rt.complex64, 1 + 2j), (rt.float32, float("nan"))] if case[0] in DTYPES])
def test_fills_write_their_elements_and_no_others(dtype, value):
    for n, begin, count in ((10, 0, 10), (10, 1, 7), (10, 3, 6), (40000, 8, 20000)):
        x, want = (rt.ones(n, dtype=dtype, device=device) for device in (DEVICE, "cpu"))
        x[begin:begin + count] = value
        want[begin:begin + count] = value
        assert rt.equal(x.cpu().view(rt.uint8), want.view(rt.uint8)), (n, begin, count)
