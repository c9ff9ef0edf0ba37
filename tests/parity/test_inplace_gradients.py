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


@pytest.mark.parametrize("of", [(True, True), (True, False), (False, True)], ids=["both", "self", "other"])
@pytest.mark.parametrize("name", [*CALLS, *OTHER])
def test_gradients(name, of):
    if name in OTHER and of[0]:
        pytest.skip("PyTorch has no such gradient")
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
