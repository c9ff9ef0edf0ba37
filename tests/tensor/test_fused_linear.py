"""A product, its bias and an activation in one pass: the unfused operators' results, over dtypes, layouts and instruction sets."""
import pytest

import rustorch_py as rt
from rustorch_py import nn

F = nn.functional
# rows, inner, columns: dot products, streams, tiles, a grid, and short sums with a result that is cut
SIZES = [(1, 40, 7), (3, 130, 70), (7, 33, 129), (13, 9, 5), (64, 300, 96), (200, 784, 128), (1030, 12, 300), (16, 0, 8)]


@pytest.fixture(autouse=True)
def restore():
    threads, fixed = rt.get_num_threads(), rt.config.is_deterministic()
    yield
    rt.set_num_threads(threads)
    rt.config.use_deterministic(fixed)


def operands(m, k, n, layout, dtype):
    rt.manual_seed(m + k + n)
    if layout == "rows":
        return rt.randn(m, k).to(dtype), rt.randn(k, n).to(dtype)
    if layout == "columns":
        return rt.randn(k, m).to(dtype).T, rt.randn(n, k).to(dtype).T
    return rt.randn(2 * m, k + 3).to(dtype)[::2, 1:k + 1], rt.randn(k, 2 * n + 1).to(dtype)[:, 1::2]


def same(got, want, dtype):
    """To the bit where the same loop multiplies both; sums that are grouped otherwise differ by their rounding."""
    assert got.dtype == want.dtype and got.shape == want.shape
    tol = {rt.float32: 2e-5, rt.float64: 1e-12, rt.bfloat16: 3e-2, rt.float16: 4e-3}[dtype]
    assert rt.allclose(got.double(), want.double(), rtol=tol, atol=tol * 10)


@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16, rt.float16])
@pytest.mark.parametrize("layout", ["rows", "columns", "steps"])
def test_addmm_activation_is_the_composition(level, layout, dtype):
    for i, (m, k, n) in enumerate(SIZES):
        a, b = operands(m, k, n, layout, dtype)
        row, others = rt.randn(n).to(dtype), (rt.randn(m, n).to(dtype), rt.randn(2 * n).to(dtype)[::2], rt.randn(1).to(dtype), rt.randn(m, 1).to(dtype))
        for added in (row, others[i % 4]):
            for beta, alpha in ((1, 1), (-0.5, 2)):
                product = rt.addmm(added, a, b, beta=beta, alpha=alpha)
                same(rt._addmm_activation(added, a, b, beta=beta, alpha=alpha), rt.relu(product), dtype)
                same(rt._addmm_activation(added, a, b, beta=beta, alpha=alpha, use_gelu=True), F.gelu(product), dtype)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_are_those_of_the_two_operators_and_do_not_depend_on_threads(threads):
    rt.config.use_deterministic(True)
    for m, k, n in ((64, 300, 96), (256, 784, 128), (2050, 16, 260)):
        x, w = operands(m, k, n, "rows", rt.float32)
        bias = rt.randn(n)
        rt.set_num_threads(1)
        want = F.linear(x, w.T.contiguous(), bias)
        rt.set_num_threads(threads)
        layer = nn.Linear(k, n)
        layer.weight.data, layer.bias.data = w.T.contiguous(), bias
        with rt.no_grad():
            assert rt.equal(nn.Sequential(layer, nn.ReLU())(x), rt.relu(want))
            assert rt.equal(nn.Sequential(layer, nn.GELU())(x), F.gelu(want))


def test_integers_and_complex_numbers_have_no_pass_of_their_own():
    a, b = rt.arange(6).reshape(2, 3) - 3, rt.arange(12).reshape(3, 4)
    assert rt._addmm_activation(rt.ones(4, dtype=rt.int64), a, b).tolist() == rt.relu(a @ b + 1).tolist()


def test_values_that_are_no_numbers_pass():
    a = rt.tensor([[1.0, float("nan")], [float("inf"), 1.0]])
    got = rt._addmm_activation(rt.zeros(2), a, rt.eye(2))
    assert got[0].isnan().all() and got[1, 0].isnan() or got[1, 0].isinf()
    assert rt.equal(got.isnan(), rt.relu(rt.addmm(rt.zeros(2), a, rt.eye(2))).isnan())


@pytest.mark.parametrize("gelu", [False, True])
def test_gradients(gelu):
    rt.manual_seed(0)
    bias, a, b = (rt.randn(*s, dtype=rt.float64, requires_grad=True) for s in ((5,), (4, 3), (3, 5)))
    assert rt.autograd.gradcheck(lambda *t: rt._addmm_activation(*t, beta=0.5, alpha=2, use_gelu=gelu), (bias, a, b))


# ---- Sequential ---------------------------------------------------------------------------------------------------
FOLLOWERS = [nn.ReLU(), nn.ReLU(inplace=True), nn.GELU(), nn.GELU(approximate="tanh")]


@pytest.mark.parametrize("follower", FOLLOWERS, ids=repr)
@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_sequential(follower, dtype, bias):
    rt.manual_seed(1)
    layer = nn.Linear(33, 20, bias=bias).to(dtype)
    net = nn.Sequential(layer, follower, nn.Linear(20, 4).to(dtype))
    for shape in ((33,), (5, 33), (2, 3, 33), (0, 33)):
        x = rt.randn(*shape).to(dtype)
        want = net[2](follower(layer(x)))
        with rt.no_grad():
            assert rt.equal(net(x), want.detach())
        assert net(x).grad_fn is not None
    assert x.grad_fn is None


def steps(x, record):
    """What ran in a call of a net, by a profile."""
    with rt.profiler.profile() as prof:
        record(x)
    return {event.name for event in prof.events()}


def test_whoever_watches_sees_two_operators():
    layer, relu = nn.Linear(3, 4), nn.ReLU()
    net, x = nn.Sequential(layer, relu), rt.randn(2, 3)
    seen = []
    with rt.no_grad():
        want = net(x)
        for module in (layer, relu):
            handle = module.register_forward_hook(lambda module, args, out: seen.append(out.clone()))
            assert rt.equal(net(x), want)
            handle.remove()
        assert rt.equal(rt.relu(seen[0]), want) and rt.equal(seen[1], want)
        assert any("relu" in name for name in steps(x, net))
        handle = nn.modules.module.register_module_forward_hook(lambda module, args, out: seen.append(module))
        net(x)
        handle.remove()
        assert seen[2:] == [layer, relu, net]
    out = net(x)
    assert out.grad_fn.name() == "ReluBackward0"
    with rt.no_grad(), rt.autocast("cpu", dtype=rt.bfloat16):
        assert net(x).dtype == rt.bfloat16


def test_changed_modules_are_called():
    class Loud(nn.Linear):
        def forward(self, input):
            return super().forward(input) * 100

    x = rt.ones(1, 2)
    with rt.no_grad():
        loud = Loud(2, 1)
        assert rt.equal(nn.Sequential(loud, nn.ReLU())(x), rt.relu(loud(x)))
        layer, relu = nn.Linear(2, 2), nn.ReLU()
        layer.forward = lambda input: rt.full((1, 2), -3.0)
        assert nn.Sequential(layer, relu)(x).tolist() == [[0, 0]]
        relu.forward = lambda input: input - 1
        assert nn.Sequential(layer, relu)(x).tolist() == [[-4, -4]]
        two = nn.Linear(2, 2)
        assert rt.equal(nn.Sequential(two, two)(x), two(two(x)))
        assert rt.equal(nn.Sequential(two)(x), two(x))


def test_errors_are_those_of_the_layer():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with rt.no_grad():
        with pytest.raises(RuntimeError, match="cannot be multiplied"):
            net(rt.ones(2, 5))
        with pytest.raises(RuntimeError, match="dtype"):
            net(rt.ones(2, 3, dtype=rt.float64))
        with pytest.raises(TypeError):
            net([1.0, 2.0, 3.0])


@pytest.mark.parametrize("activation", ["relu", "gelu", F.silu, nn.ReLU()], ids=str)
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_layers_of_transformers(kind, activation):
    rt.manual_seed(2)
    layer = (nn.TransformerEncoderLayer if kind == "encoder" else nn.TransformerDecoderLayer)(8, 2, 24, activation=activation, batch_first=True).eval()
    x = rt.randn(3, 5, 8)
    args = (x,) if kind == "encoder" else (x, x)
    want = layer(*args)
    assert want.requires_grad
    with rt.no_grad():
        assert rt.equal(layer(*args), want.detach())
        seen = []
        handle = layer.linear1.register_forward_hook(lambda module, args, out: seen.append(out))
        assert rt.equal(layer(*args), want.detach()) and seen[0].shape == (3, 5, 24)
        handle.remove()
