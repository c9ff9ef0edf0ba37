"""Writes into memory that is read in the same call, or that several elements share: refused where PyTorch refuses, equal where it does not."""
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

ONE = "m.zeros(1).expand(3)"                         # three elements in one place
CALLS = f"""{ONE}.copy_(m.ones(3)); {ONE}.add_(1); {ONE}.scatter_(0, i[:1], 1.); {ONE}.scatter_add_(0, i[:1], m.ones(1)); {ONE}.index_add_(0, i[:1], m.ones(1))
{ONE}.index_copy_(0, i[:1], m.ones(1)); {ONE}.masked_scatter_(m.ones(3) > 0, m.ones(3)); {ONE}.put_(i[:1], m.ones(1)); {ONE}.normal_(); {ONE}.cumsum_(0); {ONE}.fill_(1)
m.add(m.ones(3), 1, out={ONE}); m.cat([m.ones(2), m.ones(1)], out={ONE}); m.mm(m.ones(3, 3), m.ones(3, 3), out=m.zeros(1, 1).expand(3, 3))
x[1:].copy_(x[:-1]); x[1:].add_(x[:-1]); m.add(x[:-1], 1, out=x[1:]); x[1:].scatter_(0, i[:1], x[:1]); x.scatter_(0, i, x); x.scatter_add_(0, i, x); x.copy_(x); x.add_(x); x.view(2, 2).copy_(x[:2]); x.view(2, 2).__setitem__(0, x[2:]); x.__setitem__(slice(None), x[2:3]); x.copy_(x[2:3]); x.view(2, 2).__setitem__(slice(None), x[:2])
x.index_copy_(0, i, x); x.index_add_(0, i, x); x.index_put_((i,), x); x.__setitem__(i, x); x.__setitem__(slice(1, None), x[:-1]); m.gather(x, 0, i, out=x); m.take(x, i, out=x)
m.gather(x, 0, i[:3], out=x[:3]); m.index_select(x, 0, i, out=x); m.gather(m.arange(4), 0, i, out=i); i.scatter_(0, i, i + 4); x.put_(i[:2], x[1:3]); x.view(2, 2).t().copy_(x.view(2, 2))
x[::2].copy_(x[1::2]); x[:2].copy_(x[2:]); x.masked_fill_(x > 1, x[0]); x.index_fill_(0, i[:1], x[0]); m.cumsum(x, 0, out=x); x[:2].index_add_(0, i[2:], x[2:])"""


def outcome(m, text):
    m.manual_seed(0)
    try:
        got = eval(text, {"m": m, "x": m.arange(4.), "i": m.tensor([3, 2, 1, 0])})
        return None if got is None else got.tolist()
    except Exception as error:  # compared by its kind
        return next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")


@pytest.mark.parametrize("text", [c.strip() for c in CALLS.replace("\n", ";").split(";")])
def test_as_pytorch(text):
    assert outcome(rt, text) == outcome(torch, text)
