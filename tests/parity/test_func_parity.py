"""torch.func and torch.vmap beside PyTorch's: values, shapes, dtypes, exception types, and which results require gradients."""
import warnings

import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402
import rustorch_py.nn.functional as RF  # noqa: E402

from tests.func.vmap_cases import CASES, tensors  # noqa: E402

def flat(out):
    return list(out) if isinstance(out, (tuple, list)) else [out]


def same(ours, theirs):
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    for o, t in zip(ours, theirs):
        assert tuple(o.shape) == tuple(t.shape) and str(o.dtype) == str(t.dtype)
        assert o.requires_grad == t.requires_grad
        torch.testing.assert_close(torch.tensor(o.detach().tolist(), dtype=t.dtype).reshape(t.shape), t.detach(), rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name,fn,shapes", CASES, ids=[c[0] for c in CASES])
def test_vmap(name, fn, shapes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(rt.vmap(lambda *xs: fn(rt, RF, *xs))(*tensors(rt, shapes)),
             torch.vmap(lambda *xs: fn(torch, torch.nn.functional, *xs))(*tensors(torch, shapes)))


def pairs(build):
    """The same program on both packages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(build(rt), build(torch))


def data(T, *shape, **kwargs):
    n = 1
    for s in shape:
        n *= s
    return T.tensor([((7 * i) % 11) / 5 - 1 for i in range(n)], dtype=T.float64, **kwargs).reshape(shape)


PROGRAMS = {
    "grad": lambda T: T.func.grad(lambda x: x.sin().sum())(data(T, 3)),
    "grad argnums": lambda T: T.func.grad(lambda x, y: (x @ y).pow(2), argnums=(1, 0))(data(T, 3), data(T, 3)),
    "grad tracked": lambda T: T.func.grad(lambda x: (x ** 3).sum())(data(T, 3, requires_grad=True)),
    "grad captured": lambda T: (lambda w: T.func.grad(lambda x: (x ** 3 * w).sum())(data(T, 3)))(data(T, 3, requires_grad=True)),
    "grad no_grad": lambda T: T.no_grad()(lambda: T.func.grad(lambda x: (x ** 3).sum())(data(T, 3, requires_grad=True)))(),
    "grad_and_value": lambda T: T.func.grad_and_value(lambda x: x.exp().sum())(data(T, 3)),
    "vjp": lambda T: T.func.vjp(lambda x: (x.sin(), x.sum()), data(T, 3))[1]((data(T, 3), T.tensor(2., dtype=T.float64))),
    "vjp vmapped": lambda T: T.vmap(T.func.vjp(lambda x: x ** 3, data(T, 3))[1])(T.eye(3, dtype=T.float64)),
    "jvp": lambda T: T.func.jvp(lambda x: x.cumprod(0), (data(T, 4),), (data(T, 4) + 1,)),
    "jvp int": lambda T: T.func.jvp(lambda x: (x * 2, x.argmax()), (data(T, 4),), (data(T, 4) + 1,))[1],
    "jvp vmapped": lambda T: T.vmap(lambda v: T.func.jvp(lambda x: x ** 2 * x.sum(), (data(T, 3),), (v,))[1])(data(T, 4, 3)),
    "linearize": lambda T: T.func.linearize(lambda x: x.tanh(), data(T, 3))[1](data(T, 3)),
    "jacrev": lambda T: T.func.jacrev(lambda x: x.outer(x))(data(T, 3)),
    "jacfwd": lambda T: T.func.jacfwd(lambda x: x.outer(x))(data(T, 3)),
    "jacrev pair": lambda T: [j for row in T.func.jacrev(lambda x, y: (x * y, x.sum()), (0, 1))(data(T, 3), data(T, 3)) for j in row],
    "jacfwd pair": lambda T: [j for row in T.func.jacfwd(lambda x, y: (x * y, x.sum()), (0, 1))(data(T, 3), data(T, 3)) for j in row],
    "jacrev chunked": lambda T: T.func.jacrev(lambda x: x ** 2, chunk_size=2)(data(T, 5)),
    "jacrev tracked": lambda T: T.func.jacrev(lambda x: x ** 2)(data(T, 2, requires_grad=True)),
    "hessian": lambda T: T.func.hessian(lambda x: (x ** 3).sum() * x[0])(data(T, 3)),
    "hessian vmapped": lambda T: T.vmap(T.func.hessian(lambda x: x.sin().prod()))(data(T, 2, 3)),
    "jacfwd of jacfwd": lambda T: T.func.jacfwd(T.func.jacfwd(lambda x: x.prod()))(data(T, 3) + 2),
    "per sample": lambda T: T.vmap(T.func.grad(lambda w, x: (w @ x).tanh().sum()), (None, 0))(data(T, 2, 3), data(T, 5, 3)),
    "vmap captured": lambda T: (lambda w: T.vmap(lambda x: x @ w)(data(T, 2, 3)))(data(T, 3, requires_grad=True)),
    "vmap nested dims": lambda T: T.vmap(T.vmap(lambda x, y: x.outer(y), (0, None), 1), (1, 0), -1)(data(T, 3, 4, 2), data(T, 4, 5)),
    "vmap 0-d types": lambda T: T.vmap(lambda x, y: x * y)(data(T, 3), data(T, 3, 2).float()),
    "vmap int types": lambda T: T.vmap(lambda x, y: x + y)(T.arange(3), data(T, 3, 2).float()),
    "forward_ad": lambda T: _dual(T),
}


def _dual(T):
    fw = T.autograd.forward_ad
    with fw.dual_level():
        return tuple(x.detach() for x in fw.unpack_dual(fw.make_dual(data(T, 3), data(T, 3) + 1).sin() * 2))


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    pairs(PROGRAMS[name])


def test_normal_numbers_are_pytorch_s_under_vmap():
    for randomness in ("same", "different"):
        got = []
        for T in (rt, torch):
            T.manual_seed(3)
            got.append(T.vmap(lambda x: x + T.randn(4) + T.rand(4), randomness=randomness)(data(T, 3, 4).float()))
        torch.testing.assert_close(torch.tensor(got[0].tolist()), got[1])


BAD = {
    "sizes": lambda T: T.vmap(T.add)(data(T, 2), data(T, 3)),
    "no input": lambda T: T.vmap(T.sin)(),
    "in_dims type": lambda T: T.vmap(T.sin, in_dims="0")(data(T, 2)),
    "in_dims structure": lambda T: T.vmap(T.add, in_dims=(0,))(data(T, 2), data(T, 2)),
    "in_dim range": lambda T: T.vmap(T.sin, in_dims=2)(data(T, 2)),
    "in_dim float": lambda T: T.vmap(T.sin, in_dims=(0.5,))(data(T, 2)),
    "number": lambda T: T.vmap(T.add)(data(T, 2), 1),
    "out_dims type": lambda T: T.vmap(T.sin, out_dims="0")(data(T, 2)),
    "out_dims structure": lambda T: T.vmap(T.sin, out_dims=(0, 0))(data(T, 2)),
    "out None": lambda T: T.vmap(T.sin, out_dims=None)(data(T, 2)),
    "no tensor": lambda T: T.vmap(lambda x: 1)(data(T, 2)),
    "random": lambda T: T.vmap(lambda x: x + T.rand(1))(data(T, 2)),
    "randomness": lambda T: T.vmap(T.sin, randomness="often")(data(T, 2)),
    "item": lambda T: T.vmap(lambda x: x.item())(data(T, 2)),
    "branch": lambda T: T.vmap(lambda x: x if x > 0 else -x)(data(T, 2)),
    "in-place": lambda T: T.vmap(lambda x, y: x.add_(y), (None, 0))(data(T, 2), data(T, 3, 2)),
    "grad vector": lambda T: T.func.grad(T.sin)(data(T, 2)),
    "grad argnum": lambda T: T.func.grad(T.sum, argnums=1)(data(T, 2)),
    "grad aux": lambda T: T.func.grad(T.sum, has_aux=True)(data(T, 2)),
    "vjp int": lambda T: T.func.vjp(T.argmax, data(T, 2)),
    "vjp structure": lambda T: T.func.vjp(T.sin, data(T, 2))[1]((data(T, 2), data(T, 2))),
    "jvp primals": lambda T: T.func.jvp(T.sin, data(T, 2), data(T, 2)),
    "jvp structure": lambda T: T.func.jvp(T.sin, (data(T, 2),), data(T, 2)),
    "jvp strict": lambda T: T.func.jvp(lambda x: data(T, 2), (data(T, 2),), (data(T, 2),), strict=True),
    "jacrev complex": lambda T: T.func.jacrev(T.sin)(data(T, 2).to(T.complex128)),
    "jacrev chunk": lambda T: T.func.jacrev(T.sin, chunk_size=-1)(data(T, 2)),
    "functionalize": lambda T: T.func.functionalize(T.sin, remove="all")(data(T, 2)),
    "dual outside": lambda T: T.autograd.forward_ad.make_dual(data(T, 2), data(T, 2)),
}


@pytest.mark.parametrize("name", BAD)
def test_refusals(name):
    with pytest.raises(Exception) as theirs:
        BAD[name](torch)
    with pytest.raises(type(theirs.value)) as ours:
        BAD[name](rt)
    if name == "in-place":
        return                                                   # PyTorch's own message names the shapes that did not fit in the end
    assert str(ours.value).split("(")[0].split(":")[0][:20] == str(theirs.value).split("(")[0].split(":")[0][:20]
