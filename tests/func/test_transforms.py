"""Derivatives of functions: values in closed form, nesting, containers, what is recorded, what is refused."""
import pytest

import rustorch_py as torch
from rustorch_py.func import functional_call, functionalize, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

D = torch.float64


def t(*values):
    return torch.tensor(values, dtype=D)


def test_grad_and_its_containers():
    x, y = t(1, 2), t(3, 4)
    assert torch.equal(grad(lambda a: (a ** 3).sum())(x), 3 * x ** 2)
    gx, gy = grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, y)
    assert torch.equal(gx, y) and torch.equal(gy, x)
    got = grad(lambda d: (d["a"] * d["b"][0]).sum())({"a": x, "b": [y]})
    assert torch.equal(got["a"], y) and torch.equal(got["b"][0], x)
    assert torch.equal(grad(lambda a, b: (a * b).sum(), argnums=-1)(x, y), x)
    assert torch.equal(grad(lambda a, k=1.: (a * k).sum())(x, k=3.), t(3, 3))


def test_value_and_aux():
    x = t(1, 2)
    g, (value, aux) = grad_and_value(lambda a: ((a * a).sum(), {"twice": a * 2}), has_aux=True)(x)
    assert torch.equal(g, 2 * x) and value == 5 and torch.equal(aux["twice"], 2 * x)
    assert not value.requires_grad and not aux["twice"].requires_grad and not g.requires_grad
    g, aux = grad(lambda a: (a.sum(), 7), has_aux=True)(x)
    assert aux == 7


def test_nesting_keeps_the_levels_apart():
    x = torch.tensor(3., dtype=D)
    assert grad(grad(grad(lambda a: a ** 4)))(x) == 72
    assert grad(lambda a: a * grad(lambda b: a + b)(a))(x) == 1            # perturbation confusion would give 2
    assert grad(lambda a: a * jvp(lambda b: a + b, (a,), (torch.ones_like(a),))[1])(x) == 1
    assert jvp(lambda a: a * jvp(lambda b: a * b, (a,), (torch.ones_like(a),))[1], (x,), (torch.ones_like(x),))[1] == 6


def test_results_are_recorded_only_for_somebody():
    x, w = t(1, 2), t(3, 4).requires_grad_()
    assert not grad(lambda a: (a ** 2).sum())(x).requires_grad
    got = grad(lambda a: (a ** 2 * w).sum())(x)                         # a captured leaf
    assert got.requires_grad
    got.sum().backward()
    assert torch.equal(w.grad, 2 * x)
    z = x.clone().requires_grad_()
    grad(lambda a: (a ** 3).sum())(z).sum().backward()
    assert torch.equal(z.grad, 6 * x) and x.grad is None
    with torch.no_grad():
        got = grad(lambda a: (a ** 2 * w).sum())(x)
        assert torch.equal(got, 2 * x * w.detach()) and not got.requires_grad
        assert torch.equal(jvp(lambda a: a ** 2, (x,), (x,))[1], 2 * x * x)
    assert torch.equal(grad(lambda a: (a + torch.no_grad()(lambda b: b * 5)(a)).sum())(x), t(1, 1))


def test_unused_inputs_get_zeros():
    x, y = t(1, 2), t(3, 4)
    gx, gy = grad(lambda a, b: a.sum(), (0, 1))(x, y)
    assert torch.equal(gy, torch.zeros_like(y))
    assert torch.equal(grad(lambda a: torch.tensor(2., dtype=D))(x), torch.zeros_like(x))
    assert torch.equal(jvp(lambda a: y, (x,), (x,))[1], torch.zeros_like(y))
    with pytest.raises(RuntimeError, match="independent of the inputs"):
        jvp(lambda a: y, (x,), (x,), strict=True)


def test_vjp():
    x, y = t(1, 2), t(3, 4)
    out, pull = vjp(lambda a, b: {"p": a * b, "s": a.sum()}, x, y)
    assert torch.equal(out["p"], x * y) and not out["p"].requires_grad
    for _ in range(2):                                                  # the graph stays
        gx, gy = pull({"p": t(1, 10), "s": torch.tensor(2., dtype=D)})
        assert torch.equal(gx, t(1, 10) * y + 2) and torch.equal(gy, t(1, 10) * x)
    _, pull, aux = vjp(lambda a: (a * 2, a + 1), x, has_aux=True)
    assert torch.equal(pull(t(1, 1))[0], t(2, 2)) and torch.equal(aux, x + 1)
    assert torch.equal(vmap(vjp(lambda a: a ** 2, x)[1])(torch.eye(2, dtype=D))[0], torch.diag(2 * x))


def test_jvp_and_linearize():
    x, v = t(1, 2), t(3, 4)
    out, push = jvp(lambda a: (a ** 2, a.argmax()), (x,), (v,))
    assert torch.equal(push[0], 2 * x * v) and push[1] == 0 and push[1].dtype is torch.int64
    out, push = linearize(lambda a: torch.sin(a), x)
    assert torch.equal(out, x.sin())
    torch.testing.assert_close(push(v), x.cos() * v)
    torch.testing.assert_close(vmap(push)(torch.eye(2, dtype=D)), torch.diag(x.cos()))
    w = v.clone().requires_grad_()                                     # gradients go through tangents
    jvp(lambda a: a ** 2, (x,), (w,))[1].sum().backward()
    assert torch.equal(w.grad, 2 * x)


def test_in_place_and_views_inside():
    def f(a):
        b = a * 2
        b[0] = a[1] * a[0]
        b.mul_(a)
        return b.sum()
    x = t(2, 3)                                                         # x0 x1 x0 + 2 x1^2
    assert torch.equal(grad(f)(x), t(12, 16))
    torch.testing.assert_close(jacfwd(f)(x), grad(f)(x))


@pytest.mark.parametrize("jac", [jacrev, jacfwd])
def test_jacobians(jac):
    x, y = t(1, 2, 3), t(4, 5)
    f = lambda a, b: (torch.outer(a, b), a.sum())  # noqa: E731
    outer, total = jac(f, argnums=(0, 1))(x, y)
    assert outer[0].shape == (3, 2, 3) and outer[1].shape == (3, 2, 2) and total[0].shape == (3,)
    assert torch.equal(outer[0], torch.einsum("ik,j->ijk", torch.eye(3, dtype=D), y))
    assert torch.equal(total[1], torch.zeros(2, dtype=D))
    got, aux = jac(lambda a: (a ** 2, a), has_aux=True)(x)
    assert torch.equal(got, torch.diag(2 * x)) and torch.equal(aux, x)
    d = jac(lambda m: {"q": m["x"] ** 2})({"x": x})
    assert torch.equal(d["q"]["x"], torch.diag(2 * x))
    assert jac(lambda a: a[:0])(x).shape == (0, 3) and jac(lambda a: a.sum())(x[:0]).shape == (0,)
    w = t(1, 1, 1).requires_grad_()
    jac(lambda a: a ** 2 * w)(x).sum().backward()
    assert torch.equal(w.grad, 2 * x)
    with pytest.raises(RuntimeError, match="to be real"):
        jac(lambda a: a)(x.to(torch.complex128))


def test_hessians():
    x = t(1, 2, 3)
    expected = torch.diag(6 * x)
    f = lambda a: (a ** 3).sum()  # noqa: E731
    for got in (hessian(f)(x), jacfwd(jacrev(f))(x), jacrev(jacfwd(f))(x), jacrev(jacrev(f))(x), jacfwd(jacfwd(f))(x), jacrev(grad(f))(x)):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(vmap(hessian(f))(torch.stack([x, 2 * x])), torch.stack([expected, 2 * expected]))
    h = hessian(lambda a, b: (a * b ** 2).sum(), argnums=(0, 1))(x, x)
    torch.testing.assert_close(h[0][1], torch.diag(2 * x))
    torch.testing.assert_close(h[1][1], torch.diag(2 * x))
    assert torch.equal(jvp(grad(f), (x,), (x,))[1], 6 * x * x)          # Hessian-vector product


def test_functional_call_and_custom_functions():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a ** 3

        @staticmethod
        def backward(ctx, g):
            a, = ctx.saved_tensors
            return g * 3 * a ** 2
    x = t(1, 2)
    assert torch.equal(grad(lambda a: Cube.apply(a).sum())(x), 3 * x ** 2)
    assert torch.equal(jvp(Cube.apply, (x,), (x,))[1], 3 * x ** 3)
    lin = torch.nn.Linear(2, 1)
    params = {k: p.detach() for k, p in lin.named_parameters()}
    got = grad(lambda p: functional_call(lin, p, (torch.ones(3, 2),)).sum())(params)
    assert torch.equal(got["weight"], torch.full((1, 2), 3.)) and got["bias"] == 3 and lin.weight.grad is None


def test_refusals():
    x = t(1, 2)
    for call, error, message in (
            (lambda: grad(lambda a: a)(x), RuntimeError, "to return a scalar Tensor, got tensor with 1 dims"),
            (lambda: grad(lambda a: 3)(x), RuntimeError, "to return a Tensor, got"),
            (lambda: grad(lambda a: a.sum(), has_aux=True)(x), RuntimeError, "should be a tuple"),
            (lambda: grad(lambda a: a.sum(), argnums=2)(x), RuntimeError, "Got argnum=2, but only 1 positional inputs"),
            (lambda: grad(lambda a: a.sum(), argnums=(0, 0))(x), RuntimeError, "must be unique"),
            (lambda: grad(lambda a: a.sum(), argnums=())(x), RuntimeError, "must be non-empty"),
            (lambda: grad(lambda a: a)(3.), ValueError, "must be Tensor"),
            (lambda: vjp(lambda a: a.argmax(), x), RuntimeError, "must be floating-point or complex"),
            (lambda: vjp(lambda a: (a, a), x)[1](x), RuntimeError, "structure of cotangents"),
            (lambda: jvp(lambda a: a, x, x), RuntimeError, "Expected primals to be a tuple"),
            (lambda: jvp(lambda a: a, (x,), (x, x)), RuntimeError, "same python structure"),
            (lambda: jvp(lambda a: 3, (x,), (x,)), RuntimeError, "only tensors"),
            (lambda: jacrev(lambda a: a, chunk_size=0), ValueError, "chunk_size"),
            (lambda: functionalize(lambda a: a, remove="x"), RuntimeError, "invalid argument for remove"),
            (lambda: torch.func.stack_module_state([]), RuntimeError, "at least one model")):
        with pytest.raises(error, match=message):
            call()
