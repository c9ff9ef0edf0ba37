"""Random reductions, scans and sorts: dims, keepdim, dtype, layouts, empty and 0-dim inputs."""
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, strategies as st

import rustorch_py as rt

from .pairs import DTYPES, FLOATS, call, fuzz, pairs, same

DIM = st.integers(-4, 3)
DIMS = st.one_of(DIM, st.lists(DIM, max_size=3).map(tuple))
SEVERAL = ["sum", "mean", "amax", "amin", "logsumexp", "std", "var", "all", "any", "nansum", "nanmean", "count_nonzero", "std_mean", "var_mean"]
ONE = ["prod", "max", "min", "argmax", "argmin", "cumsum", "cumprod", "cummax", "cummin", "median", "mode", "softmax", "log_softmax", "sort", "unbind", "logcumsumexp",
       "nanmedian", "aminmax"]
WHOLE = ["sum", "mean", "prod", "max", "min", "argmax", "argmin", "std", "var", "all", "any", "median", "norm", "amax", "amin", "nansum", "count_nonzero", "unique"]


def finite(x):
    return x.nan_to_num(1, 2, -2) if x.is_floating_point() else x


def loose(a):
    return {"torch.float16": 2e-2, "torch.bfloat16": 1e-1}.get(str(a.t.dtype), 1e-4)


@fuzz
@given(st.sampled_from(SEVERAL), pairs(), DIMS, st.booleans())
def test_over_dims(name, a, dims, keep):
    if a.t.is_complex() and name in ("amax", "amin") and not a.t.numel() or name == "logsumexp" and dims == ():
        return                                        # PyTorch returns before its checks; and trips over its own empty list
    def run(m, x):
        keywords = {} if name == "count_nonzero" else {"keepdim": keep}
        return getattr(m, name)(x, dim=dims, **keywords)
    # the mean beside a variance comes from PyTorch's running update, which makes nan of inf
    t, r = (finite(a.t), finite(a.r)) if name.endswith("_mean") else (a.t, a.r)
    same(call(lambda: run(torch, t)), call(lambda: run(rt, r)), f"{name}({a}, dim={dims}, keepdim={keep})", loose(a))


@fuzz
@given(st.sampled_from(ONE), pairs(), DIM)
def test_over_one_dim(name, a, dim):
    if name in ("softmax", "log_softmax", "cummax", "cummin") and not (a.t.numel() and a.t.is_floating_point()):
        return                                        # PyTorch returns before its checks
    def run(m, x):
        if name == "aminmax":
            return m.aminmax(x, dim=dim)
        if name == "sort":
            return m.sort(x, dim=dim, stable=True)
        if name in ("mode", "median", "nanmedian"):
            return getattr(m, name)(x, dim).values   # which of equal elements is named is not defined
        return getattr(m, name)(x, dim)
    t, r = (finite(a.t), finite(a.r)) if name in ("cumprod", "prod", "mode", "logcumsumexp") else (a.t, a.r)
    if name in ("median", "nanmedian") and not t.is_contiguous():
        return                                        # PyTorch reads past an expanded input
    same(call(lambda: run(torch, t)), call(lambda: run(rt, r)), f"{name}({a}, {dim})", loose(a))


@fuzz
@given(st.sampled_from(WHOLE), pairs())
def test_whole(name, a):
    if name == "prod" and (a.t.is_complex() or a.t.dtype == torch.float16) and a.t.numel() > 8:
        return                                        # overflows to inf or nan by the order of the factors
    same(call(lambda: getattr(torch, name)(a.t)), call(lambda: getattr(rt, name)(a.r)), f"{name}({a})", loose(a))


@fuzz
@given(st.sampled_from(["sum", "mean", "prod", "cumsum", "cumprod", "softmax"]), pairs(), DIM, st.sampled_from(DTYPES))
def test_with_dtype(name, a, dim, dtype):
    t, r = finite(a.t), finite(a.r)
    if (name.startswith("cum") and dtype == "bool" or name == "softmax") and a.t.numel() < 2:
        return                                        # PyTorch has no such loop and does not need it here
    same(call(lambda: getattr(torch, name)(t, dim, dtype=getattr(torch, dtype))), call(lambda: getattr(rt, name)(r, dim, dtype=getattr(rt, dtype))),
         f"{name}({a}, {dim}, dtype={dtype})", max(loose(a), {"float16": 2e-2, "bfloat16": 1e-1}.get(dtype, 0)))


@fuzz
@given(pairs(), st.integers(-1, 4), DIM, st.booleans())
def test_topk_values(a, k, dim, largest):
    def run(m, x):
        return m.topk(x, k, dim, largest).values
    same(call(lambda: run(torch, a.t)), call(lambda: run(rt, a.r)), f"topk({a}, {k}, {dim}, {largest})")


@fuzz
@given(st.sampled_from(["sum", "mean", "amax", "logsumexp", "std", "var", "prod", "cumsum", "softmax", "norm", "max", "median", "cumprod"]), pairs(["float64"]), DIM)
def test_gradients(name, a, dim):
    t, r = finite(a.t).clone().requires_grad_(), finite(a.r).clone().requires_grad_()
    got = []
    for m, x in ((torch, t), (rt, r)):
        def run():
            y = x.norm(2, dim) if name == "norm" else getattr(m, name)(x, dim)
            y = y[0] if name in ("max", "median") else y
            (y * y).sum().backward()
            return x.grad
        got.append(call(run))
    same(*got, f"gradient of {name}({a}, {dim})", 1e-7)
