"""Writing in place where one operand or both record: gradients beside PyTorch's."""
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

INDEX = [[0, 1, 1, 2], [2, 2, 0, 1], [1, 1, 1, 0]]
CALLS = {
    **{f"scatter_reduce_ {how} {own}": (lambda t, x, y, how=how, own=own: x.scatter_reduce_(0, t.tensor(INDEX), y, how, include_self=own))
       for how in ("sum", "mean", "prod", "amax", "amin") for own in (True, False)},
    **{f"index_reduce_ {how}": (lambda t, x, y, how=how: x.index_reduce_(0, t.tensor([2, 0, 0]), y, how)) for how in ("mean", "prod", "amax", "amin")},
    **{f"{name} {kind}": (lambda t, x, y, name=name, kind=kind: getattr(x, name)(y if kind == "tensor" else y[:, :1] if kind == "row" else 0.5))
       for name in ("lt_", "le_", "gt_", "ge_", "eq_", "ne_") for kind in ("tensor", "row", "number")},
    "float_power_": lambda t, x, y: x.float_power_(y), "float_power_ 2": lambda t, x, y: x.float_power_(2), "mvlgamma_": lambda t, x, y: x.add_(2).mvlgamma_(2),
    "cumprod_": lambda t, x, y: x.mul_(y).cumprod_(1), "renorm_": lambda t, x, y: x.add_(y).renorm_(2, 0, 0.5), "nan_to_num_": lambda t, x, y: x.mul_(y).nan_to_num_(),
}
OTHER = {"igamma_": lambda t, x, y: x.igamma_(y), "igammac_": lambda t, x, y: x.igammac_(y)}         # of which PyTorch has the gradient of `other` alone


def gradients(t, call, of):
    """What the result's history is called, and both gradients of a sum of squares."""
    g = torch.Generator().manual_seed(1)
    x, y = (t.tensor((torch.rand(3, 4, dtype=torch.float64, generator=g) * 0.6 + 0.2).tolist(), dtype=t.float64, requires_grad=want) for want in of)
    w = x * 1 if of[0] else x.clone()
    call(t, w, y)
    if not w.requires_grad:
        return None
    (w * w + w).sum().backward()
    return type(w.grad_fn).__name__, [None if a.grad is None else a.grad.tolist() for a in (x, y)]


WHICH = {"both": (True, True), "self": (True, False), "other": (False, True)}


@pytest.mark.parametrize("name, which", [(name, which) for name in CALLS for which in WHICH] + [(name, "other") for name in OTHER])
def test_gradients(name, which):
    of = WHICH[which]
    call = CALLS.get(name) or OTHER[name]
    want, got = gradients(torch, call, of), gradients(rt, call, of)
    assert (want is None) == (got is None)
    if want is None:
        return
    if name.split()[0] in ("lt_", "le_", "gt_", "ge_", "eq_", "ne_"):
        assert got[0] == want[0]
    for a, b in zip(want[1], got[1]):
        assert (a is None) == (b is None)
        if a is not None:
            assert rt.allclose(rt.tensor(b), rt.tensor(a), rtol=1e-5, atol=1e-7)


# PyTorch's derivatives of these read the operands, so their results may be written to before the backward pass.
WRITTEN = {
    "div": lambda t, x, y: x / y, "div y": lambda t, x, y: y / x, "x ** -1": lambda t, x, y: x ** -1, "x ** 0.5": lambda t, x, y: x ** 0.5,
    "x ** -0.5": lambda t, x, y: x ** -0.5, "x ** 2": lambda t, x, y: x ** 2, "x ** -2": lambda t, x, y: x ** -2, "pow_": lambda t, x, y: (x * 1).pow_(0.5),
    "erfinv": lambda t, x, y: (x * 1).erfinv(), "logaddexp": lambda t, x, y: t.logaddexp(x, y), "logaddexp2": lambda t, x, y: t.logaddexp2(x, y),
    "normalize": lambda t, x, y: t.nn.functional.normalize(x, dim=1), "div_": lambda t, x, y: (x * 1).div_(y),
    "local_response_norm": lambda t, x, y: t.nn.functional.local_response_norm((x * y).reshape(1, 3, 4), 2), "cond": lambda t, x, y: t.linalg.cond(x @ y.t()),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_results_that_are_written_to(name):
    def grads(t):
        g = torch.Generator().manual_seed(2)
        x, y = (t.tensor((torch.rand(3, 4, dtype=torch.float64, generator=g) * 0.6 + 0.2).tolist(), dtype=t.float64, requires_grad=True) for _ in "xy")
        z = WRITTEN[name](t, x, y)
        z += 1
        z.sum().backward()
        return [None if a.grad is None else a.grad.tolist() for a in (x, y)]

    for a, b in zip(grads(torch), grads(rt)):
        assert (a is None) == (b is None)
        if a is not None:
            assert rt.allclose(rt.tensor(b), rt.tensor(a), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("power", [0.5, -0.5, -1, 2, 3, -2])
def test_names_of_powers(power):
    def name(t):
        return type((t.ones(2, requires_grad=True) ** power).grad_fn).__name__

    assert name(rt) == name(torch)


RETAINED = {
    "view written": lambda v, y: v.mul_(3), "base written": lambda v, y: y.mul_(3), "base added to": lambda v, y: y.add_(3),
    "neighbour written": lambda v, y: y[1:].mul_(3), "written three times": lambda v, y: (y.mul_(3), v.mul_(2), v.mul_(2)), "own shape": lambda v, y: v.unsqueeze_(0),
}


@pytest.mark.parametrize("name", RETAINED)
def test_retained_gradients_of_views(name):
    def grads(t):
        x = t.ones(3, requires_grad=True)
        y = x * 1
        v = y[:2]
        v.retain_grad()
        early = v * 5
        RETAINED[name](v, y)
        (early.sum() + (v * 2).sum()).backward()
        return v.grad.tolist(), x.grad.tolist()

    assert grads(rt) == grads(torch)


def test_views_of_leaves_that_are_views():
    def leaf(t):
        return t.ones(3)[:2].requires_grad_()

    def detached_base(t):
        y = t.ones(3, requires_grad=True) * 1
        v = y[:2]
        y.detach_()
        return v

    for t in (torch, rt):
        for v in (leaf(t), leaf(t)[:1], leaf(t).view(2), detached_base(t)):
            with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad is being used in an in-place operation"):
                v.add_(1)
            with t.no_grad():
                assert v.add_(1).tolist() == [2] * len(v)
