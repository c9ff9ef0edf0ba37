"""Sorting, selection, searching and counting: the device against the CPU, values and gradients."""
import numpy as np
import pytest

import rustorch_py as rt
from tests.gpu.compare import LONG, ODD, TIES, X, check

assert rt.cuda.is_available()
rng = np.random.default_rng(1)


@pytest.mark.parametrize("descending", [False, True])
def test_sorting(descending):
    for dim in (0, 1, -1):
        check(lambda x: x.sort(dim, descending), X)
        check(lambda x: x.transpose(0, 2).argsort(dim, descending), ODD)
    check(lambda x: x.detach().sort(1, descending), ODD)
    check(lambda x: x.sort(1, descending), TIES)
    check(lambda x: x.sort(0, descending), TIES.t()[:1500])
    check(lambda x: x.sort(0, descending), X[0, 0, 0])
    check(lambda x: x.sort(0, descending), X[:0])


@pytest.mark.parametrize("dtype", [rt.bool, rt.uint8, rt.int8, rt.int64, rt.float64, rt.bfloat16])
def test_sorting_of_dtypes(dtype):
    x = (LONG[:, :2500] * 90).to(dtype)
    check(lambda x: [t.detach() for t in x.sort(1)], x)
    check(lambda x: x[:, :700].argsort(1, descending=True, stable=True), x)


def test_sorting_of_unsigned_words():
    x = rt.from_numpy(rng.integers(0, 2**64, 40, dtype=np.uint64))
    check(lambda x: x.argsort(), x)


@pytest.mark.parametrize("k", [1, 5, 500, 4000])
def test_best(k):
    check(lambda x: x.topk(k, 1), TIES)
    if k <= 5:
        check(lambda x: x.topk(k, 1, largest=False), X)
        check(lambda x: x.detach().topk(k, 1), ODD)
        check(lambda x: x.topk(k, 1, sorted=False)[0].sum(1), TIES, tolerance=1e-3)
        check(lambda x: x.t().kthvalue(k, 0, keepdim=True), TIES)


def test_sets():
    for x in (TIES, ODD, (X * 3).to(rt.int64)):
        check(lambda x: x.detach().unique(return_inverse=True, return_counts=True), x)
        check(lambda x: x.detach().round().unique_consecutive(return_inverse=True, return_counts=True) if x.dtype.is_floating_point else
              x.unique_consecutive(return_inverse=True, return_counts=True), x)
    rows = (X[:, :, :2] * 1).round()
    for dim in (0, 1, -1):
        check(lambda x: x.detach().unique(dim=dim, return_inverse=True, return_counts=True), rows)
        check(lambda x: x.detach().unique_consecutive(dim=dim, return_inverse=True, return_counts=True), rows)
    check(lambda x: x.detach().unique(return_counts=True), X[:0])
    check(lambda x: rt.isin(x.detach().round(), rt.tensor([1.0, -1.0, float("nan")]).to(x.device)), ODD)
    check(lambda x: rt.isin(x.detach().round(), 1.0, invert=True), X)


def test_searching():
    check(lambda x: rt.searchsorted(x.detach().sort(1)[0], x.detach()[:, :9]), LONG)
    check(lambda x: rt.searchsorted(x.detach(), x.detach()[:, :9], sorter=x.detach().argsort(1), side="right", out_int32=True), TIES)
    check(lambda x: rt.bucketize(x.detach(), rt.linspace(-1, 1, 9).to(x.device), right=True), ODD)
    check(lambda x: rt.searchsorted(rt.arange(9).to(x.device), 3), X)


def test_counting():
    k = rt.from_numpy(rng.integers(0, 6, 700))
    check(lambda k: k.bincount(), k)
    check(lambda k: k.bincount(minlength=5000), k)
    check(lambda k: k.bincount(rt.arange(700).to(k.device) / 7, minlength=9), k)
    check(lambda k: k[:0].bincount(), k)
    check(lambda x: x.detach().histc(10), X)
    check(lambda x: x.detach().histc(5000, -2, 2), LONG)
    check(lambda x: rt.histogram(x.detach(), 10, weight=x.detach().abs(), density=True), X)
    check(lambda x: rt.histogram(x.detach(), rt.tensor([-1.0, 0, 0.5, 1]).to(x.device)), X)
    check(lambda x: rt.histogramdd(x.detach().reshape(-1, 2), [3, 4]), X)
    with pytest.raises(RuntimeError, match="non-negative"):
        (k.cuda() - 3).bincount()


def test_quantiles():
    check(lambda x: x.quantile(rt.tensor([0.1, 0.6]).to(x.device), 1), X)
    check(lambda x: x.quantile(0.4, interpolation="nearest"), X)
    check(lambda x: x.detach().quantile(0.5, 1, keepdim=True), ODD)
    check(lambda x: x.detach().nanquantile(0.3, 1), ODD)
    check(lambda x: x.msort(), X)
