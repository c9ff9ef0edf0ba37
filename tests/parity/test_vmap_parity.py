"""PyTorch's operator database under vmap: what PyTorch maps is mapped here, with equal results and without a loop.

A fifth of the operators is swept by default; RUSTORCH_SWEEP=1 sweeps all of them (about a minute). Differences that are left stand in
vmap_differences.txt, each with its reason: it may only become shorter (``python tests/parity/vmap_sweep.py --write``).
"""
import os
import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")                    # PyTorch's operator database imports it

import rustorch_py as rt  # noqa: E402
import vmap_sweep  # noqa: E402


def test_nothing_new_differs():
    parts = 1 if os.environ.get("RUSTORCH_SWEEP") == "1" else 5
    allowed, calls, new = vmap_sweep.known(), 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for label, mode, kind, text in vmap_sweep.sweep(count=8 if parts == 1 else 4, part=(0, parts)):
            calls += 1
            if kind and (label, mode, kind) not in allowed:
                new.append(f"{kind} {label}: {mode}: {text}")
    assert calls > 1000
    assert not new, "\n".join(new)


@pytest.mark.parametrize("text", [
    "m.vmap(lambda x, i: x.index_put((i,), x[:2], accumulate=True))(m.arange(12.).reshape(3, 4), m.tensor([[0, 1], [1, 1], [3, 3]]))",
    "m.vmap(lambda x, y: m.searchsorted(x, y))(m.arange(12.).reshape(3, 4), m.tensor([[0.5, 2], [5, 6.5], [8, 20]]))",
    "m.vmap(lambda v: m.vmap(lambda w: m.func.vjp(lambda x: x ** 3 * v, m.arange(3.))[1](w)[0])(m.eye(3)))(m.arange(2.))",
    "m.vmap(lambda a, b: m.kron(a, b))(m.arange(12.).reshape(3, 2, 2), m.arange(9.).reshape(3, 3))",
    "m.vmap(lambda x: m.gradient(x, dim=0)[0])(m.arange(12.).reshape(3, 4) ** 2)",
    "m.vmap(lambda y, w: m.nn.functional.cross_entropy(m.eye(3), y, w))(m.tensor([[0, 1, 2], [2, 2, 1]]), m.tensor([[1., 2, 3], [3, 1, 2]]))",
    "m.vmap(lambda x: m.hstack([x, x]).sum() + m.dstack((x, x)).prod() + m.block_diag(x, x).sum())(m.arange(1., 7).reshape(3, 2))",
    "m.vmap(lambda x: m.linalg.diagonal(x))(m.arange(12.).reshape(3, 2, 2))", "m.vmap(lambda x: m.linalg.tensorinv(x, 1))(m.eye(4).expand(2, 4, 4).reshape(2, 4, 2, 2))",
])
def test_calls(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours, theirs = (eval(text, {"m": m}) for m in (rt, torch))
    torch.testing.assert_close(torch.tensor(ours.tolist()), theirs)


@pytest.mark.parametrize("name", ["median", "nanmedian", "max", "min"])
@pytest.mark.parametrize("text", ["V(G(f))(x)", "G(lambda x: V(f)(x).sum())(x)", "V(V(G(f)))(m.stack([x, x + 1]))", "V(G(f))(m.stack([x, x + 1]))",
                                  "V(G(lambda x: V(f)(x).sum()))(m.stack([x, x + 1]))", "V(m.func.jacfwd(f))(x)", "V(f)(x)"])
def test_ties_share_where_each_example_has_a_gradient(name, text):
    def value(m):
        x = m.tensor([[1., 1, 3], [1, 2, 3], [2, 2, 2]])
        return eval(text, {"m": m, "V": m.func.vmap, "G": m.func.grad, "f": getattr(m, name), "x": x}).tolist()

    assert value(rt) == value(torch)


def test_shape_changes_in_place_are_refused():
    for name in ("t_", "transpose_", "unsqueeze_"):
        with pytest.raises(RuntimeError, match="in place"):
            rt.vmap(lambda x: getattr(x, name)(*[] if name == "t_" else [0] if name == "unsqueeze_" else [0, 1]))(rt.ones(2, 3, 4))
