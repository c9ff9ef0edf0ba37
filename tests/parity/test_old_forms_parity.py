"""Orders of arguments from earlier years, names of them and results without a derivative: what PyTorch still takes or refuses, beside it."""
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

SETUP = "x = m.ones(3); y = m.arange(3.); a = m.arange(4.).view(2, 2); v = m.arange(2.); b = m.ones(2, 2, 2); c = m.arange(24.).view(2, 3, 4); s = m.ones(1, 1, 3); z = m.tensor(2.); g = m.tensor(2., requires_grad=True)"
CALLS = """x.add_(2, y); x.add(2., y); m.add(x, 2, y); x.sub(2, y); x.sub_(2, y); m.sub(x, 2, y); x.add(2., 3); m.add(x, 2., 3); x.sub(2., 3); x.add_(2., 3); m.rsub(x, 2., 3)
x.addcmul_(2, x, y); m.addcmul(x, 2, x, y); x.addcmul(2, x, y); x.addcdiv_(2., y, x); m.addcdiv(x, 2., y, x); x.addcdiv(2., y, x)
m.addmm(2, a, a, a); m.addmm(2, a, 3, a, a); a.addmm(2, a, a); a.addmm(2, 3, a, a); a.clone().addmm_(2, 3, a, a); a.clone().addmm_(2, a, a)
m.addmv(2, v, a, v); m.addmv(2, v, 3, a, v); v.addmv(2, a, v); v.addmv(2, 3, a, v); v.clone().addmv_(2, 3, a, v)
m.addr(2, a, v, v); m.addr(2, a, 3, v, v); a.addr(2, v, v); a.addr(2, 3, v, v); a.clone().addr_(2, 3, v, v)
m.addbmm(2, a, b, b); m.addbmm(2, a, 3, b, b); a.addbmm(2, b, b); a.addbmm(2, 3, b, b); a.clone().addbmm_(2, 3, b, b)
m.baddbmm(2, b, b, b); m.baddbmm(2, b, 3, b, b); b.baddbmm(2, b, b); b.baddbmm(2, 3, b, b); b.clone().baddbmm_(2, 3, b, b)
x.add(y, 2); m.add(x, y, 2); x.add_(2); x.add_(2, 3, 4); x.addcmul_(x, y, 2); m.addcmul(x, x, y, 2); m.addmm(a, 2, 3); x.add_('a', y); m.add(2, x, y); x.add(2, y, alpha=3)
m.addmm(2, a, a, a, alpha=3); a.addmm(2, a, a, beta=3); m.addcmul(x, 2, x, y, value=3); m.add(x, 2, 3, alpha=2); m.addmm(2, a, a, a, out=a.clone())
m.add(x, z, y); x.add_(z, y); m.add(x, z, z); x.add(2, z); m.addcmul(x, z, x, y); m.addcmul(x, z, z, y); m.rsub(x, 2, z); m.add(x, y, z); m.rsub(x, y, 2)
m.addmm(z, a, a, a); m.addmm(z, a, z, a, a); a.addmm(z, a, a); a.addmm(z, z, a, a); m.addmm(2, z, a, a); m.add(x, g, y); m.addmm(g, a, a, a)
s.squeeze(0, 1); s.squeeze_(0, 1); c.hsplit(1, 2)[2]; c.vsplit(1, 2)[0]; c.dsplit(1, 3)[1]; c.hsplit(1., 2)
a.resize(4); a.resize(1, 4); a.resize_as(m.ones(4)); a.resize(5); m.ones(3, requires_grad=True).resize(3, 1); a.t().resize(2, 2); a.t().resize_as(a); a.resize(2, 2); m.arange(8.)[::2].resize(4)
m.nonzero(m.tensor([1., 0, 2])); m.argwhere(m.tensor([1., 0, 2])); m.nonzero(m.zeros(3)); m.tensor([[1, 0], [2, 1]]).nonzero()
m.sparse_coo_tensor(); m.sparse_coo_tensor(size=None); m.sparse_coo_tensor(5).to_dense(); m.sparse_coo_tensor(size=(2, 3)).to_dense(); m.sym_sum([1, 2]); m.sym_sum(1, 2, 3); m.sym_sum([1, 2.5]); m.sym_sum([])
m.triplet_margin_loss(a, a + 1, a - 1); m.triplet_margin_loss(a, a + 1, a - 3, 1., 2, 1e-6, True, 2); m.margin_ranking_loss(x, y, x, 1.); m.margin_ranking_loss(x, y, x, 0., 1)
m.hinge_embedding_loss(x, y, reduction=1); m.cosine_embedding_loss(a, a + 1, m.ones(2)); m.cosine_embedding_loss(a, a + 1, m.ones(2), 0., 2); m.kl_div(a, a + 1, 1)
m.kl_div(a, a + 1, log_target=True); m.binary_cross_entropy_with_logits(x, y, None, None, 1); m.binary_cross_entropy_with_logits(x, y, pos_weight=y); m.poisson_nll_loss(x, y, True, False, 1e-8, 2)
"""
CALLS = [c.strip() for line in CALLS.splitlines() for c in line.split(";") if c.strip()]


def outcome(m, call):
    space = {"m": m}
    exec(SETUP, space)
    try:
        r = eval(call, space)
    except Exception as error:
        return error
    return (list(r.shape), r.stride(), str(r.dtype).rpartition(".")[2], r.requires_grad, r.tolist()) if isinstance(r, m.Tensor) else r


@pytest.mark.parametrize("call", CALLS)
def test_call(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, ours = outcome(torch, call), outcome(rt, call)
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), ours
    elif isinstance(theirs, tuple):
        assert ours[:4] == theirs[:4], (theirs, ours)
        np.testing.assert_allclose(ours[4], theirs[4], rtol=1e-6)
    else:
        assert ours == theirs


def test_gradients_and_words_of_old_forms():
    from rustorch_py.tensor import _old_forms
    _old_forms._told.clear()
    x, y = rt.ones(3, requires_grad=True), rt.arange(3.).requires_grad_()
    with pytest.warns(UserWarning, match="This overload of add is deprecated"):
        x.add(2, y).addcmul(3, x, y).sum().backward()
    assert x.grad.tolist() == [1, 4, 7] and y.grad.tolist() == [5, 5, 5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")                   # told once a process, as in PyTorch
        rt.ones(2).add_(2, rt.ones(2))
    with pytest.raises(TypeError, match="takes exactly 2 positional arguments"):
        x.add(y, 2)


@pytest.mark.parametrize("call", ["m.floor_divide(a, b)", "a // b", "a // 2", "5 // a", "a.clone().floor_divide_(b)", "m.heaviside(a, b)"])
def test_results_without_a_derivative(call):
    for m in (torch, rt):
        a, b = m.tensor([3., -2., 5.], requires_grad=True), m.tensor([2., 2., -3.], requires_grad=True)
        r = eval(call, {"m": m, "a": a, "b": b})
        assert r.requires_grad and type(r.grad_fn).__name__ == "NotImplemented"
        with pytest.raises(RuntimeError, match="derivative for aten::(floor_divide_?|heaviside) is not implemented"):
            r.sum().backward()


@pytest.mark.parametrize("write", ["(a * 2).heaviside_(b)", "m.ones(3).heaviside_(b)", "(a * 2)[:].heaviside_(m.ones(3))", "m.heaviside(a, b, out=m.empty(3))"])
def test_a_step_written_over_a_history(write):
    values = []
    for m in (torch, rt):
        a, b = m.tensor([3., -2., 0.], requires_grad=True), m.tensor([2., 2., -3.], requires_grad=True)
        r = eval(write, {"m": m, "a": a, "b": b})
        assert r.requires_grad
        values.append(r.detach().tolist())
        with pytest.raises(RuntimeError, match="derivative for aten::heaviside_? is not implemented"):
            r.sum().backward()
    assert values[0] == values[1]


def test_logit_with_ends_that_changed_places_and_arrays_without_sign():
    found = []
    for m in (torch, rt):
        x = m.tensor([.1, .5, .9], requires_grad=True)
        y = (x * 1).logit_(.7)
        y.sum().backward()
        found.append((y.tolist(), x.grad.tolist()))
        equal = m.arange(3, dtype=m.uint8) == np.array([0, 1, 3], np.uint8)
        assert equal.tolist() == [True, True, False]
        for kind in ("uint16", "uint32", "uint64"):
            assert (m.arange(3).to(getattr(m, kind)) == np.array([0, 1, 3], kind)).tolist() == [True, True, False]
            with pytest.raises(RuntimeError, match="Promotion for uint16, uint32, uint64"):
                m.arange(3) == np.arange(3).astype(kind)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_rounded_division_has_zeros(mode):
    for m in (torch, rt):
        a, b = m.tensor([3., -2., 5.], requires_grad=True), m.tensor([2., 2., -3.], requires_grad=True)
        r = a.div(b, rounding_mode=mode)
        assert type(r.grad_fn).__name__.startswith("DivBackward")
        (r.sum() + a.clone().div_(b, rounding_mode=mode).sum()).backward()
        assert a.grad.tolist() == b.grad.tolist() == [0, 0, 0]
        y = a * 1
        y[:2].div_(b[:2], rounding_mode=mode)              # into the history of the viewed tensor, too
        a.grad = None
        y.sum().backward()
        assert a.grad.tolist() == [0, 0, 1] and b.grad.tolist() == [0, 0, 0]
