"""Scans and picked elements of lanes: the device against the CPU, values and gradients."""
import pytest

import rustorch_py as rt
from tests.gpu.compare import LONG, ODD, TIES, X, check

assert rt.cuda.is_available()
SCANS = ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")


@pytest.mark.parametrize("name", SCANS)
def test_scans(name):
    for dim in (0, 1, -1):
        check(lambda x: getattr(x, name)(dim), X)
        check(lambda x: getattr(x.transpose(0, 2)[::2], name)(dim), X)
    if name != "cumprod":
        check(lambda x: getattr(x.detach(), name)(1), ODD)
        check(lambda x: getattr(x.detach(), name)(1), LONG, tolerance=1e-3)
        check(lambda x: getattr(x.detach().t(), name)(0), LONG, tolerance=1e-3)
    check(lambda x: getattr(x, name)(0), X[0, 0, 0])
    check(lambda x: getattr(x.detach(), name)(0), X[:0])
    check(lambda x: getattr(x.expand(40, 5000), name)(0), X[0, 0, :1], tolerance=1e-2)           # a thread a lane


def test_scans_of_dtypes():
    check(lambda x: x.cumsum(1), (X * 9).int())
    check(lambda x: x.cummin(1), (X * 9).to(rt.uint8))
    check(lambda x: x.cumsum(1, dtype=rt.float64), X > 0)
    check(lambda x: x.cumprod(1), rt.complex(X, X.flip(0)))
    check(lambda x: x.cumsum(-1).detach(), X.half(), tolerance=1e-2)
    x = X.cuda()
    out = rt.empty(0, device="cuda")
    assert rt.cumsum(x, 1, out=out) is out and rt.allclose(out.cpu(), X.cumsum(1), atol=1e-5)
    assert rt.allclose(x.clone().cumsum_(2).cpu(), X.cumsum(2), atol=1e-5)
    with pytest.raises(NotImplementedError, match="logcumsumexp"):
        (x > 0).logcumsumexp(0)


@pytest.mark.parametrize("name", ["argmax", "argmin", "max", "min", "median", "nanmedian", "mode"])
def test_picked_elements(name):
    for x in (X, ODD, (X * 3).round()):
        for dim in (0, 1, -1):
            check(lambda x: getattr(x, name)(dim, keepdim=dim == 1), x)
    check(lambda x: getattr(x, name)(1), TIES)
    check(lambda x: getattr(x, name)(0), LONG[:, :5000])
    check(lambda x: getattr(x.detach(), name)(1), TIES[0, :4000].reshape(50, 80))
    check(lambda x: getattr(x, name)(0), X[0, 0, 0])
    if name != "mode":
        check(lambda x: getattr(x, name)(), X)
    if name.startswith("arg"):
        check(lambda x: getattr(x, name)(), LONG.repeat(1, 2))
        check(lambda x: getattr(x, name)(1), (X * 9).to(rt.int64))
        check(lambda x: getattr(x.expand(90, 40), name)(1), X[0, 0, :1].reshape(1, 1))
    with pytest.raises(IndexError, match="non-zero size"):
        getattr(X[:0].cuda(), name)(0)
