"""Many gradients in one pass against one after the other, over the samples of PyTorch's operator database; Jacobians against PyTorch's."""
import itertools
import warnings
import zlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")                    # PyTorch's operator database imports it

import rustorch_py as rt  # noqa: E402

from mutations import PRIVATE, for_here, lookup  # noqa: E402


def here(x):
    if isinstance(x, torch.Tensor):
        y = for_here(x)
        return y.requires_grad_() if x.requires_grad else y
    if isinstance(x, (list, tuple)) and type(x) in (list, tuple):
        return type(x)(here(v) for v in x)
    return for_here(x)


def tensors(x):
    if isinstance(x, rt.Tensor):
        return [x]
    return [t for v in (x.values() if isinstance(x, dict) else x) for t in tensors(v)] if isinstance(x, (list, tuple, dict)) else []


def graphs(part, parts, dtypes=("float64", "complex128"), count=6):
    """(operator, results, inputs, three cotangents of each result) of operators that have gradients."""
    from torch.testing._internal.common_methods_invocations import op_db
    for op in op_db:
        function = lookup(rt, op.name)
        if PRIVATE.search(op.name) or not op.supports_autograd or not callable(function) or zlib.crc32(op.name.encode()) % parts != part:
            continue
        for dtype in dtypes:
            if getattr(torch, dtype) not in op.dtypes:
                continue
            torch.manual_seed(0)
            np.random.seed(0)
            try:
                samples = list(itertools.islice(op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=True), count))
            except Exception:  # no sample without a device
                continue
            for s in samples:
                try:
                    args, kwargs = here((s.input, *s.args)), {k: here(v) for k, v in s.kwargs.items()}
                    outs = [o for o in tensors(function(*args, **kwargs)) if o.requires_grad]
                except Exception:  # what is not there is counted elsewhere
                    continue
                ins = [x for x in tensors(args) + tensors(kwargs) if x.requires_grad]
                if outs and sum(x.numel() for x in ins + outs) < 3000:
                    yield op.name, outs, ins, [rt.randn((3,) + tuple(o.shape), dtype=o.dtype) for o in outs]


@pytest.mark.parametrize("create_graph", [False, True])
def test_as_one_by_one(create_graph):
    wrong, count = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, outs, ins, cotangents in graphs(1, 6):
            options = dict(retain_graph=True, create_graph=create_graph, allow_unused=True)
            try:
                rows = [rt.autograd.grad(outs, ins, [c[i] for c in cotangents], **options) for i in range(3)]
            except (RuntimeError, NotImplementedError) as error:
                with pytest.raises(type(error)):
                    rt.autograd.grad(outs, ins, cotangents, is_grads_batched=True, **options)
                continue
            count += 1
            for got, column in zip(rt.autograd.grad(outs, ins, cotangents, is_grads_batched=True, **options), zip(*rows)):
                if got is None or column[0] is None:
                    fine = got is None and column[0] is None
                else:
                    want = rt.stack(list(column))
                    fine = want.shape == got.shape and want.dtype is got.dtype and rt.allclose(want.detach(), got.detach(), 1e-7, 1e-8, equal_nan=True) and \
                        (not create_graph or want.requires_grad == got.requires_grad)
                if not fine:
                    wrong.append(name)
    assert count > 200
    assert not wrong, sorted(set(wrong))


def programs(m):
    w, b = m.arange(12, dtype=m.float64).reshape(4, 3) / 10, m.ones(3, dtype=m.float64)
    k = m.arange(18, dtype=m.float64).reshape(2, 1, 3, 3).div(20).sin()
    F = m.nn.functional
    return [
        lambda x: m.tanh(x @ w + b), lambda x: m.softmax(x, -1) * x[:, :1], lambda x: m.cat([x.t().reshape(2, 4), x.cumsum(1)], 1), lambda x: m.stack([x, x * 2], 1).mean((0, 1)),
        lambda x: F.conv2d(x.reshape(1, 1, 2, 4), k, padding=1), lambda x: F.layer_norm(x, (4,), x[0], x[1]), lambda x: x.std(1) + x.logsumexp(0).sum(), lambda x: x[m.tensor([1, 0, 1])].flip(0),
        lambda x: F.max_pool2d(x.reshape(1, 1, 2, 4), 2), lambda x: m.linalg.svdvals(x), lambda x: m.where(x > 0, x, x.exp()).amax(1), lambda x: (x.sum(), x.prod(0)),
        lambda x: F.pad(x.masked_fill(x > 1, 2), (1, 1)).roll(1, 0), lambda x: m.einsum("ij,kj->ik", x, x), lambda x: _written(m, x)]


def _written(m, x):
    y = x * 1
    y[:, 1] = x[:, 0] ** 2
    y[0].mul_(x[1])
    return y


@pytest.mark.parametrize("number", range(15))
def test_jacobians(number):
    def run(m):
        f = programs(m)[number]
        x = m.tensor([[0.3, -1.2, 2.0, 0.7], [1.1, 0.4, -0.6, 0.9]], dtype=m.float64)
        J = m.autograd.functional.jacobian
        found = [m.func.jacrev(f)(x), m.func.jacrev(f, chunk_size=3)(x), m.func.jacfwd(f)(x) if number not in (8, 9) else x, J(f, x, vectorize=True), J(f, x),
                 m.vmap(m.func.vjp(f, x)[1])(m.ones_like(f(x))[None].expand(3, *f(x).shape)) if number != 11 else x,
                 m.autograd.functional.hessian(lambda t: m.as_tensor(sum((o ** 3).sum() for o in _list(f(t)))), x, vectorize=True)]
        return [t for part in found for t in _list(part)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = run(rt), run(torch)
    assert len(ours) == len(theirs)
    for a, e in zip(ours, theirs):
        assert tuple(a.shape) == tuple(e.shape)
        np.testing.assert_allclose(a.detach().numpy(), e.detach().numpy(), rtol=1e-9, atol=1e-9)


def _list(x):
    return [t for part in x for t in _list(part)] if isinstance(x, (tuple, list)) else [x]


class Counted(rt.autograd.Function):
    calls = 0

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        Counted.calls += 1
        assert g.shape == (3,)
        return g * 2


def test_hooks_and_functions_see_one_gradient():
    x = rt.ones(3, requires_grad=True)
    seen = []
    y = x * 3
    y.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    got, = rt.autograd.grad(Counted.apply(y), x, rt.eye(3), is_grads_batched=True)
    assert got.tolist() == (rt.eye(3) * 60).tolist() and Counted.calls == 3 and seen == (rt.eye(3) * 2).tolist()


def test_chunks_bound_the_pass():
    """Each pass carries at most chunk_size gradients."""
    for chunk, passes in ((None, [6]), (4, [4, 2]), (1, [1] * 6), (100, [6])):
        sizes, run = [], rt.func._transforms.Record.pull

        def pull(self, outs, cotangents, *args, **kwargs):
            sizes.append(len(cotangents[0]))
            return run(self, outs, cotangents, *args, **kwargs)
        rt.func._transforms.Record.pull = pull
        try:
            rt.func.jacrev(lambda x: x.sin(), chunk_size=chunk)(rt.ones(2, 3))
        finally:
            rt.func._transforms.Record.pull = run
        assert sizes == passes


@pytest.mark.parametrize("text", ["F.jacobian(f, x, strategy='forward-mode')", "F.jacobian(f, x, strategy='sideways')", "F.jacobian(f, x, strict=True, vectorize=True)",
                                  "F.jacobian(f, x, create_graph=True, strategy='forward-mode', vectorize=True)", "F.hessian(f, x, outer_jacobian_strategy='x')",
                                  "m.autograd.grad(x * 2, x, m.ones(3, 4), is_grads_batched=True)", "m.autograd.grad((x * 2).sum(), x, is_grads_batched=True)"])
def test_refusals(text):
    def raised(m):
        x = m.ones(2, requires_grad=True)
        with pytest.raises(Exception) as error:
            eval(text, {"m": m, "F": m.autograd.functional, "x": x, "f": lambda t: t.sum()})
        return error.value
    kind = next(c for c in type(raised(torch)).__mro__ if c.__module__ == "builtins")
    assert isinstance(raised(rt), kind)


def test_none_at_once():
    x = rt.ones(2, 3, requires_grad=True)
    got, = rt.autograd.grad(x.sum(1), x, rt.ones(0, 2), is_grads_batched=True)
    assert got.shape == (0, 2, 3)
