"""vmap against a loop over the examples: values, gradients, nesting, chunks; and what it refuses."""
import warnings
from itertools import product

import pytest

import rustorch_py as torch
import rustorch_py.nn.functional as F
from rustorch_py.func import grad, jacrev, vmap

from tests.func.vmap_cases import CASES, tensors


def flat(out):
    return list(out) if isinstance(out, (tuple, list)) else [out]


def looped(fn, inputs, dims):
    size = next(x.shape[d] for x, d in zip(inputs, dims) if d is not None)
    rows = [flat(fn(*[x if d is None else x.select(d, i) for x, d in zip(inputs, dims)])) for i in range(size)]
    return [torch.stack(list(column)) for column in zip(*rows)]


@pytest.mark.parametrize("name,fn,shapes", CASES, ids=[c[0] for c in CASES])
def test_as_a_loop(name, fn, shapes):
    """Every choice of mapped inputs, in one go (no loop: that would warn), at the front and at another dimension."""
    inputs = tensors(torch, shapes)
    call = lambda *xs: fn(torch, F, *xs)  # noqa: E731
    for mapped in product((True, False), repeat=len(inputs)):
        if not any(mapped) or (name == "set batched" and not mapped[0]) or name == "in-place" and not mapped[0] or \
                name in ("iadd", "set int", "set tensor", "set number") and not mapped[0]:
            continue
        dims = tuple(0 if m else None for m in mapped)
        given = [x if m else x[0] for x, m in zip(inputs, mapped)]
        expected = looped(call, given, dims)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = flat(vmap(call, dims)(*given))
            moved = flat(vmap(call, tuple(None if d is None else -1 for d in dims), out_dims=-1)(
                *[x.movedim(0, -1) if m else x for x, m in zip(given, mapped)]))
        for g, m, e in zip(got, moved, expected):
            assert g.dtype is e.dtype and g.shape == e.shape
            torch.testing.assert_close(g, e)
            torch.testing.assert_close(m.movedim(-1, 0), e)


@pytest.mark.parametrize("name,fn,shapes", CASES, ids=[c[0] for c in CASES])
def test_gradients_are_a_loop_s(name, fn, shapes):
    def total(*xs):
        out = [o for o in flat(fn(torch, F, *xs)) if o.is_floating_point()]
        return sum((o * o).sum() for o in out) if out else xs[0].sum() * 0

    inputs = tensors(torch, shapes)
    at = tuple(i for i, x in enumerate(inputs) if x.is_floating_point())
    if not at:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = vmap(grad(total, at))(*inputs)
    for i in range(3):
        for g, e in zip(got, grad(total, at)(*[x[i] for x in inputs])):
            torch.testing.assert_close(g[i], e, equal_nan=True)


@pytest.mark.parametrize("name,fn,shapes", CASES[::4], ids=[c[0] for c in CASES[::4]])
def test_nested(name, fn, shapes):
    """vmap of vmap: the outer level maps the first input only where there are several."""
    inputs = [x.unsqueeze(0).repeat((2,) + (1,) * x.dim()) for x in tensors(torch, shapes)]
    call = lambda *xs: fn(torch, F, *xs)  # noqa: E731
    got = flat(vmap(vmap(call))(*inputs))
    for i in range(2):
        for g, e in zip(got, looped(call, [x[i] for x in inputs], (0,) * len(inputs))):
            torch.testing.assert_close(g[i], e)


def test_outer_product_by_nesting():
    x, y = torch.randn(3), torch.randn(4)
    got = vmap(vmap(lambda a, b: a * b, (None, 0)), (0, None))(x, y)
    torch.testing.assert_close(got, torch.outer(x, y))


def test_containers_and_dims():
    x, y = torch.randn(5, 3), torch.randn(3, 5)

    def f(d, pair, scale):
        return {"s": d["x"] + pair[0], "t": (pair[0] * scale, d["x"].sum())}
    out = vmap(f, in_dims=({"x": 0}, (1, None), None), out_dims={"s": 1, "t": (0, 0)})({"x": x}, (y, y), 2.)
    torch.testing.assert_close(out["s"], (x + y.t()).t())
    torch.testing.assert_close(out["t"][0], 2 * y.t())
    torch.testing.assert_close(out["t"][1], x.sum(1))


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 8])
def test_chunks(chunk_size):
    x, w = torch.randn(4, 7), torch.randn(4)
    torch.testing.assert_close(vmap(torch.dot, (1, None), chunk_size=chunk_size)(x, w), w @ x)


def test_in_place_reaches_the_input_and_not_a_shared_one():
    x, y = torch.zeros(3, 2), torch.ones(3, 2)
    vmap(lambda a, b: a.add_(b))(x, y)
    assert (x == 1).all()
    with pytest.raises(RuntimeError, match="inplace arithmetic"):
        vmap(lambda a, b: a.add_(b), (None, 0))(torch.zeros(2), y)


def test_functions_without_a_rule_loop_and_say_so():
    x = torch.randn(3, 6, dtype=torch.float64)
    with pytest.warns(UserWarning, match="performance drop"):
        got = vmap(lambda t: torch.histc(t, 4, -2, 2))(x)
    torch.testing.assert_close(got, torch.stack([torch.histc(t, 4, -2, 2) for t in x]))


def test_captured_tensors_get_gradients():
    w = torch.randn(3, requires_grad=True)
    x = torch.randn(5, 3)
    vmap(lambda t: (t * w).sum())(x).sum().backward()
    torch.testing.assert_close(w.grad, x.sum(0))


def test_gradient_through_vmap():
    x = torch.randn(4, 3, dtype=torch.float64)
    got = grad(lambda t: vmap(lambda r: r.pow(3).sum())(t).sum())(x)
    torch.testing.assert_close(got, 3 * x ** 2)


def test_per_sample_gradients_of_a_model():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 4 * 4, 3)).double()
    params = {k: v.detach() for k, v in model.named_parameters()}
    x, y = torch.randn(5, 1, 6, 6, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0])

    def loss(p, image, label):
        return F.cross_entropy(torch.func.functional_call(model, p, (image.unsqueeze(0),)), label.unsqueeze(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = vmap(grad(loss), (None, 0, 0))(params, x, y)
    for i in range(5):
        model.zero_grad()
        F.cross_entropy(model(x[i:i + 1]), y[i:i + 1]).backward()
        for name, p in model.named_parameters():
            torch.testing.assert_close(got[name][i], p.grad)


def test_ensembles():
    models = [torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)) for _ in range(3)]
    params, buffers = torch.func.stack_module_state(models)
    assert all(p.is_leaf and p.requires_grad for p in params.values())
    x = torch.randn(5, 3)
    got = vmap(lambda p, b, t: torch.func.functional_call(models[0], (p, b), (t,)), (0, 0, None))(params, buffers, x)
    torch.testing.assert_close(got, torch.stack([m(x) for m in models]))
    got.sum().backward()
    assert params["0.weight"].grad.shape == (3, 4, 3)


def test_vmap_of_jacrev():
    x = torch.randn(4, 3, dtype=torch.float64)
    got = vmap(jacrev(lambda t: torch.stack([t.prod(), t.sum() ** 2])))(x)
    torch.testing.assert_close(got, torch.stack([jacrev(lambda t: torch.stack([t.prod(), t.sum() ** 2]))(r) for r in x]))


def test_randomness():
    x = torch.zeros(3, 4)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda t: t + torch.randn(4))(x)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda t: F.dropout(t))(x)
    assert (vmap(lambda t: F.dropout(t, training=False))(x) == x).all()
    for draw in (lambda t: t + torch.randn(4), lambda t: t + torch.rand_like(t), lambda t: t.clone().normal_(), lambda t: F.dropout(t + 1.),
                 lambda t: t + torch.randint(0, 1000, (4,)), lambda t: torch.randperm(20) + t.sum(), lambda t: torch.bernoulli(t + 0.5)):
        torch.manual_seed(0)
        same = vmap(draw, randomness="same")(x)
        assert (same[0] == same[1]).all() and (same[0] == same[2]).all()
        different = vmap(draw, randomness="different")(x)
        assert not (different[0] == different[1]).all() or not (different[0] == different[2]).all()
    with pytest.raises(RuntimeError, match="Only allowed values for randomness"):
        vmap(torch.sin, randomness="no")


def test_what_cannot_be_mapped():
    x = torch.randn(3, 2)
    for fn, message in ((lambda t: t.sum().item(), r"\.item\(\)"), (lambda t: t if t.sum() > 0 else -t, "control flow"), (lambda t: t[t > 0], "shape"),
                        (lambda t: t.nonzero(), "shape"), (lambda t: float(t.sum()), r"\.item\(\)"), (lambda t: t.sum().backward(), "backward")):
        with pytest.raises(RuntimeError, match=message):
            vmap(fn)(x)
    kept = []
    vmap(lambda t: kept.append(t) or t)(x)
    with pytest.raises(RuntimeError, match="outside of the vmap"):
        kept[0] + 1


def test_bad_arguments():
    x, y = torch.randn(3, 2), torch.randn(4, 2)
    for call, message in ((lambda: vmap(torch.add)(x, y), "same size in the mapped dimension"), (lambda: vmap(torch.sin)(), "got no inputs"),
                          (lambda: vmap(torch.sin, in_dims=5)(x), "in_dim to satisfy -2 <= in_dim < 2"),
                          (lambda: vmap(torch.sin, in_dims="x")(x), "expected `in_dims` to be int"),
                          (lambda: vmap(torch.add, in_dims=(0,))(x, x), "not compatible with the structure of `inputs`"),
                          (lambda: vmap(torch.add)(x, 2.), "cannot vmap over non-Tensor"), (lambda: vmap(torch.sin, in_dims=None)(x), "expected `in_dims`"),
                          (lambda: vmap(torch.add, in_dims=(None, None))(x, x), "at least one Tensor"),
                          (lambda: vmap(lambda t: 3)(x), "must only return Tensors"),
                          (lambda: vmap(torch.sin, out_dims=None)(x), "can not return a BatchedTensor when out_dim is None"),
                          (lambda: vmap(torch.sin, out_dims=(0, 1))(x), "not compatible with the structure of `outputs`"),
                          (lambda: vmap(torch.sin, chunk_size=0), "chunk_size should be")):
        with pytest.raises(ValueError, match=message):
            call()


def test_what_one_example_shows():
    seen = []

    def f(t):
        seen.append((tuple(t.shape), t.dim(), t.dtype, t.device.type, isinstance(t, torch.Tensor), t.requires_grad, repr(t).split("(")[0]))
        return t
    vmap(f)(torch.randn(3, 2, requires_grad=True))
    assert seen == [((2,), 1, torch.float32, "cpu", True, True, "BatchedTensor")]


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * 3 * x ** 2


class LoopedCube(Cube):
    generate_vmap_rule = True


class MappedCube(Cube):
    @staticmethod
    def vmap(info, in_dims, x):
        assert info.batch_size == 3 and in_dims == (0,)
        return MappedCube.apply(x), 0


def test_custom_functions():
    x = torch.randn(3, 2, dtype=torch.float64)
    for cls in (LoopedCube, MappedCube):
        torch.testing.assert_close(vmap(cls.apply)(x), x ** 3)
        torch.testing.assert_close(vmap(grad(lambda t: cls.apply(t).sum()))(x), 3 * x ** 2)
    with pytest.raises(RuntimeError, match="does not have vmap support"):
        vmap(Cube.apply)(x)


class LoopedTimes(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, y=2.0, k=3):
        return x * y * k

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.inputs = inputs

    @staticmethod
    def backward(ctx, g):
        x, y, k = ctx.inputs
        return g * y * k, g * x * k if isinstance(y, torch.Tensor) else None, None


class MappedTimes(LoopedTimes):
    generate_vmap_rule = False

    @staticmethod
    def vmap(info, in_dims, x, y, k):
        assert in_dims == (0, 0 if isinstance(y, torch.Tensor) else None, None)
        return MappedTimes.apply(x, y, k=k), 0


class LoopedNamed(Cube):
    generate_vmap_rule = True

    @staticmethod
    def forward(ctx, x, y=2.0, k=3):
        return x * y * k


def test_custom_functions_with_arguments_by_name():
    x, y = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    for cls in (LoopedTimes, MappedTimes, LoopedNamed):
        torch.testing.assert_close(vmap(lambda x: cls.apply(x, k=4))(x), x * 8)
        torch.testing.assert_close(vmap(lambda x, y: cls.apply(x, k=5, y=y))(x, y), x * y * 5)
    for cls in (LoopedTimes, MappedTimes):
        torch.testing.assert_close(vmap(grad(lambda y, x: cls.apply(x, k=5, y=y).sum()))(y, x), x * 5)

    class Refused(LoopedNamed):
        generate_vmap_rule = False
        vmap = staticmethod(lambda info, in_dims, x, **kwargs: (x, 0))
    with pytest.raises(RuntimeError, match="y is batched and given by name"):
        vmap(lambda x, y: Refused.apply(x, y=y))(x, y)


def test_autograd_grad_inside():
    x, w = torch.randn(3, 2, dtype=torch.float64), torch.randn(2, dtype=torch.float64, requires_grad=True)

    def own(t):
        t = t.detach().requires_grad_()
        return torch.autograd.grad((t ** 3).sum(), t)[0]
    torch.testing.assert_close(vmap(own)(x), 3 * x ** 2)
    torch.testing.assert_close(vmap(lambda t: torch.autograd.grad((t * w).pow(2).sum(), w)[0])(x), 2 * x ** 2 * w.detach())     # shared: one gradient an example
    y = w ** 2
    torch.testing.assert_close(vmap(lambda v: torch.autograd.grad(y, w, v, retain_graph=True)[0])(torch.eye(2, dtype=torch.float64)), torch.diag(2 * w.detach()))
