"""Functions as one loop: the same bits as operator by operator, forward and backward; what is no straight line runs as it stands."""
import gc
import math
import threading
import weakref

import pytest

import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.autograd import gradcheck, gradgradcheck
from rustorch_py.jit import _fuse

F = nn.functional
N = _fuse.FEWEST
slope, table = 0.1, {"slope": 0.1}


def tanh_gelu(x):
    return 0.5 * x * (1.0 + torch.tanh(0.7978845608028654 * (x + 0.044715 * x ** 3)))


def quick_gelu(x):
    """A docstring is no statement."""
    return x * torch.sigmoid(1.702 * x)


def seed_function(x, y):
    return torch.operations.mul(x, y) + torch.operations.sin(x)


def gate(x, y, z):
    a = torch.sigmoid(x)
    b: torch.Tensor = F.silu(y)
    return a * b + (1 - a) * z.tanh()


def choose(x, y):
    return torch.where(x > y, x - y, (x * y).abs().clamp(max=2.0))


def helper(x, k):
    return torch.exp(-k * x * x)


def with_helper(x, k=0.5):
    return helper(x, k) - helper(x, 2 * k)


def with_global(x):
    return F.leaky_relu(x, slope) + x.square()


def mixed(x, i):
    return (x + i) / 2 > i


def same_twice(x, y):
    return (x * y) * (x * y) + x / (1 + y.abs())


FUNCTIONS = [(quick_gelu, 1), (tanh_gelu, 1), (seed_function, 2), (gate, 3), (choose, 2), (with_helper, 1), (with_global, 1), (same_twice, 2)]
KINDS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def same(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride()
    assert bool(((a == b) | ((a != a) & (b != b))).all())


def inputs(n, dtype, *shapes):
    shapes = shapes or [(N + 7,)] * n
    return [(torch.randn(s, generator=torch.Generator().manual_seed(i)) * 2).to(dtype) for i, s in enumerate(shapes)]


def made(fn):
    """The fused function, and how to ask how many kinds of arguments it has a program for."""
    fused = torch.jit.script(fn)
    return fused, lambda: sum(kind is not None for kind in fused.fused.kinds.values())


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("fn, n", FUNCTIONS, ids=lambda v: getattr(v, "__name__", None))
def test_same_bits(level, fn, n, dtype):
    fused, programs = made(fn)
    given = inputs(n, dtype)
    same(fused(*given), fn(*given))
    assert programs() == 1
    same(fused(*given), fn(*given))


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("fn, n", FUNCTIONS, ids=lambda v: getattr(v, "__name__", None))
def test_same_gradients(level, fn, n, dtype):
    fused, programs = made(fn)
    ours, theirs = ([t.requires_grad_() for t in inputs(n, dtype)] for _ in range(2))
    a, b = fused(*ours), fn(*theirs)
    assert a.grad_fn.name() == "CompiledFunctionBackward" and programs() == 1
    same(a, b)
    weight = torch.randn(N + 7).to(dtype)
    (a * weight).sum().backward()
    (b * weight).sum().backward()
    for x, y in zip(ours, theirs):
        same(x.grad, y.grad)


def chained(x, y, z):
    a = x * y - z                                      # read three times, from a temp
    b = 2 / (1 - a) - (3 - x) / (y - 4)
    return (-a - b * a) * (a - (x + y) * (z - 1)) + torch.addcmul(a, y, z, value=0.3) - torch.add(b, x, alpha=-1.7)


def chained_around(x, y, z):
    a = (x - y) * 0.5
    b = torch.exp(-a * a) + a                          # what is in front is read behind it too
    return (b - z) * (b + z) / (a * torch.sigmoid(b - 1) + 2)


@pytest.mark.parametrize("dtype", KINDS[:2], ids=str)
@pytest.mark.parametrize("fn", [chained, chained_around], ids=lambda f: f.__name__)
def test_chains_of_arithmetic(level, fn, dtype):
    short = N // 5 + 1
    for shapes in ([(N + extra,)] * 3 for extra in (0, 1, 17, 64, 127)):
        fused, programs = made(fn)
        ours, theirs = ([t.requires_grad_() for t in inputs(3, dtype, *shapes)] for _ in range(2))
        a, b = fused(*ours), fn(*theirs)
        same(a, b)
        a.sum().backward()
        b.sum().backward()
        assert programs() == 1
        for p, q in zip(ours, theirs):
            same(p.grad, q.grad)
    for shapes in ([(short, 5), (short, 1), (5,)], [(short, 1), (1, 5), (short, 5)], [(short, 5), (), (short, 5)]):
        fused, programs = made(fn)
        given = inputs(3, dtype, *shapes)
        same(fused(*given), fn(*given))
    given = [t[:, ::2] for t in inputs(3, dtype, *[(short, 10)] * 3)]
    same(made(fn)[0](*given), fn(*given))


@pytest.mark.parametrize("number", [1e39, -1e39, 3.4028235e38])
def test_numbers_beyond_float32_in_a_chain(level, number):
    def fn(x, y):
        return torch.add(x, y, alpha=number) - x

    given = inputs(2, torch.float32)
    fused, programs = made(fn)
    same(fused(*given), fn(*given))
    assert programs() == 1


def test_more_at_a_time_than_a_chain_keeps(level):
    def wide(x):
        a, b, c, d, e, f, g, h, i = x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7, x + 8, x + 9
        j, k, l, m, n, o, p, q, r = a * b, b * c, c * d, d * e, e * f, f * g, g * h, h * i, i * a
        return a * j + b * k + c * l + d * m + e * n + f * o + g * p + h * q + i * r + (j + k + l + m + n + o + p + q + r)

    x, = inputs(1, torch.float32)
    same(made(wide)[0](x), wide(x))


@pytest.mark.parametrize("cache", [0, 1 << 40])
def test_kept_for_backward_where_the_cache_holds_it(cache, monkeypatch):
    monkeypatch.setattr(_fuse._fuse, "last_cache", lambda: cache)
    fused, _ = made(gate)
    ours, theirs = ([t.requires_grad_() for t in inputs(3, torch.float32)] for _ in range(2))
    result = fused(*ours)
    assert len(result.grad_fn.saved_tensors) == (4 if cache else 3)               # there is room for one more operand
    for _ in range(2):
        result.sum().backward(retain_graph=True)
        gate(*theirs).sum().backward()
    for x, y in zip(ours, theirs):
        same(x.grad, y.grad)


@pytest.mark.parametrize("shapes", [((400, 100), (100,)), ((64, 1), (64, 700)), ((1, N + 1), (2, 1)), ((30, 40, 50), (40, 1)), ((N + 1,), ()), ((), (N, 1)), ((1,), (N, 1))], ids=str)
def test_broadcast(shapes):
    for fn in (seed_function, same_twice):
        fused, programs = made(fn)
        ours, theirs = ([t.requires_grad_(t.dim() > 0) for t in inputs(2, torch.float64, *shapes)] for _ in range(2))
        a, b = fused(*ours), fn(*theirs)
        same(a, b)
        assert programs() == (shapes[fn is same_twice] != ())    # sin(x), 1 + y.abs(): arithmetic of single elements stays as it stands
        a.sum().backward()
        b.sum().backward()
        for x, y in zip(ours, theirs):
            assert (x.grad is None) == (y.grad is None)
            if x.grad is not None:
                torch.testing.assert_close(x.grad, y.grad, rtol=1e-12, atol=1e-12)


def test_dtypes_are_promoted():
    fused, programs = made(mixed)
    for x in inputs(1, torch.float32) + inputs(1, torch.float16):
        for i in (torch.arange(N + 7) % 5, (torch.arange(N + 7) % 5).to(torch.uint8), torch.tensor(3), torch.tensor(2.5, dtype=torch.float64), 2, 2.0, True):
            same(fused(x, i), mixed(x, i))
    assert programs() == 10                            # not where single elements are converted first


def test_numbers_are_part_of_the_kind():
    fused, programs = made(helper)
    x, = inputs(1, torch.float32)
    for k in (0.5, 2, 2.0, 3 + 0j, 0.0, -0.0):
        same(fused(x, k), helper(x, k))
        same(fused(x=x, k=k), helper(x, k))
    assert programs() == 6
    same(torch.jit.script(lambda x, k: x * k)(x, 0.0), x * 0.0)
    assert math.copysign(1, float(torch.jit.script(lambda x, k: x.abs() * k)(x, -0.0)[0])) == -1


def test_names_from_outside_may_change(monkeypatch):
    fused, programs = made(with_global)
    x, = inputs(1, torch.float32)
    same(fused(x), with_global(x))
    monkeypatch.setitem(globals(), "slope", 0.7)
    same(fused(x), with_global(x))
    monkeypatch.setitem(globals(), "helper", lambda x, k: x - k)
    fused, _ = made(with_helper)
    same(fused(x), with_helper(x))
    scale = 2.0

    def inner(x):
        return x * scale

    fused, programs = made(inner)
    same(fused(x), x * 2)
    scale = 3.0
    same(fused(x), x * 3)
    assert programs() == 1


offset = torch.tensor(1.0)


def tensor_default(x, k=offset):
    return x * 2 + k


def test_defaults_are_part_of_a_function():
    def scaled(x, k=2.0):
        return x * k

    fused, programs = made(scaled)
    x, = inputs(1, torch.float32)
    same(fused(x), x * 2)
    scaled.__defaults__ = (3.0,)
    same(fused(x), x * 3)
    assert programs() == 1
    fused, programs = made(tensor_default)
    same(fused(x), x * 2 + 1)
    assert programs() == 0


def branch(x):
    if x.dim() > 1:
        return x + 1
    return x - 1


def loop(x):
    for _ in range(3):
        x = x * 2
    return x


def shaped(x):
    return x / x.shape[0]


def in_place(x):
    y = x * 2
    y += 1
    return y


def reduced(x):
    return x - x.mean()


def drawn(x):
    return x + torch.rand_like(x)


def from_a_table(x):
    return x * table["slope"]


def several(x):
    return x + 1, x - 1


def returns_its_argument(x):
    return x


def written(x, out):
    return torch.add(x, 1, out=out)


@pytest.mark.parametrize("fn", [branch, loop, shaped, in_place, reduced, from_a_table, several, returns_its_argument], ids=lambda f: f.__name__)
def test_runs_as_it_stands(fn):
    fused, programs = made(fn)
    x, = inputs(1, torch.float32)
    a, b = fused(x), fn(x)
    for p, q in zip(a, b) if isinstance(a, tuple) else [(a, b)]:
        same(p, q)
    assert programs() == 0


def test_random_numbers_and_results_given():
    x, = inputs(1, torch.float32)
    torch.manual_seed(3)
    a = made(drawn)[0](x)
    torch.manual_seed(3)
    same(a, drawn(x))
    out = torch.empty(N + 7)
    assert made(written)[0](x, out) is out
    same(out, x + 1)


def test_calls_that_do_not_fit():
    fused, programs = made(quick_gelu)
    x, = inputs(1, torch.float32, (2, 256, 256))
    same(fused(x[:, :5, :5]), quick_gelu(x[:, :5, :5]))
    same(fused(x.transpose(1, 2)), quick_gelu(x.transpose(1, 2)))
    with torch.autocast("cpu"):
        assert fused(x).dtype == quick_gelu(x).dtype
    with torch.inference_mode():
        assert fused(x).is_inference()
    assert programs() == 0
    with torch.compiler.set_stance("force_eager"):
        same(fused(x), quick_gelu(x))
        assert programs() == 0
    same(fused(nn.Parameter(x)), quick_gelu(x))
    assert programs() == 1
    with pytest.raises(TypeError):
        fused(x, x)
    with pytest.raises(TypeError):
        fused("x")
    with pytest.raises(RuntimeError):
        made(seed_function)[0](x, x[:, :5])


def test_second_derivatives():
    for fn, n in FUNCTIONS:
        if fn is choose:
            continue                                   # not smooth
        fused, _ = made(fn)
        given = [t.requires_grad_() for t in inputs(n, torch.float64)]
        first, = torch.autograd.grad(fused(*given).sum(), given[0], create_graph=True)
        second, = torch.autograd.grad(first.square().sum(), given[0])
        first, = torch.autograd.grad(fn(*given).sum(), given[0], create_graph=True)
        same(second, torch.autograd.grad(first.square().sum(), given[0])[0])


def test_gradcheck(monkeypatch):
    monkeypatch.setattr(_fuse, "FEWEST", 1)
    for fn, n in ((gate, 3), (seed_function, 2)):
        fused, programs = made(fn)
        given = [t.requires_grad_() for t in inputs(n, torch.float64, *[(3, 4)] * n)]
        assert gradcheck(fused, given) and gradgradcheck(fused, given) and programs() == 1


def test_some_arguments_need_gradients():
    fused, _ = made(gate)
    ours, theirs = inputs(3, torch.float32), inputs(3, torch.float32)
    ours[1].requires_grad_(), theirs[1].requires_grad_()
    fused(*ours).sum().backward()
    gate(*theirs).sum().backward()
    same(ours[1].grad, theirs[1].grad)
    assert ours[0].grad is None
    y = ours[1]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z = y * 1
        result = fused(ours[0], z, ours[2])
        z.add_(1)
        result.sum().backward()


def test_compile_and_trace():
    x, = inputs(1, torch.float32)
    for fused in (torch.compile(quick_gelu), torch.compile()(quick_gelu), torch.compile(quick_gelu, mode="max-autotune"), torch.jit.trace(quick_gelu, x)):
        same(fused(x), quick_gelu(x))
        assert fused.__name__ == "quick_gelu" and fused.__doc__ == quick_gelu.__doc__ and len(fused.fused.kinds) == 1
    assert torch.compile(quick_gelu, backend="eager") is quick_gelu and torch.compile(quick_gelu, disable=True) is quick_gelu
    layer = nn.Linear(2, 2)
    assert torch.jit.script(layer) is layer and torch.jit.script(quick_gelu).fused_from is quick_gelu

    class Gelu(nn.Module):
        @torch.jit.script
        def forward(self, x):
            return quick_gelu(x)

    same(Gelu()(x), quick_gelu(x))
    outer = torch.jit.script(lambda x: torch.jit.script(quick_gelu)(x) + 1)
    same(outer(x), quick_gelu(x) + 1)


def test_threads_and_many_numbers():
    fused, programs = made(helper)
    x, = inputs(1, torch.float32)
    wrong = []

    def work(first):
        for k in range(first, first + 30):
            if not torch.equal(fused(x, k / 8), helper(x, k / 8)):
                wrong.append(k)
    threads = [threading.Thread(target=work, args=(i * 20,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and programs() <= _fuse.MOST_KINDS


def test_nothing_and_not_finite():
    fused, _ = made(same_twice)
    x, y = inputs(2, torch.float32)
    x[:5] = torch.tensor([math.inf, -math.inf, math.nan, 0.0, -0.0])
    y[3:6] = math.inf
    same(fused(x, y), same_twice(x, y))
    assert fused(torch.empty(0), torch.empty(0)).shape == (0,)


def test_arguments_are_not_kept():
    fused, programs = made(quick_gelu)
    x, = inputs(1, torch.float32)
    alive = weakref.ref(x)
    fused(x)
    del x
    gc.collect()
    assert programs() == 1 and alive() is None
