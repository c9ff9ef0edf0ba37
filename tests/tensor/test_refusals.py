"""Arguments of the wrong kind: TypeError that names operator and argument, also where the operator is composed of others; nothing reaches memory."""
import pytest

import rustorch_py as rt

X = rt.ones(3, 3)
PIVOTS = rt.tensor([1, 2, 3], dtype=rt.int32)


@pytest.mark.parametrize("call", ["rt.nan_to_num('a')", "rt.isclose([1.0], X)", "rt.renorm(None, 2, 0, 1)", "rt.cov(3)", "rt.logdet('a')", "rt.trace([1])",
                                  "rt.ldexp(2, X)", "rt.linspace(0, 1, 3.0)", "rt.logspace(0, 1, 3.0)"])
def test_no_tensor(call):
    with pytest.raises(TypeError, match=r"must be|expected|got"):
        eval(call)


def test_the_argument_is_named():
    with pytest.raises(TypeError, match=r"nan_to_num\(\): argument 'input' \(position 1\) must be Tensor, not str"):
        rt.nan_to_num("a")


def test_an_error_of_the_users_own_stays_what_it_is():
    class Mine:
        def __iter__(self):
            return self.missing
    with pytest.raises(AttributeError, match="missing"):
        rt.gradient(X, dim=Mine())


@pytest.mark.parametrize("pivots", [rt.tensor([1, 2, 9], dtype=rt.int32), rt.tensor([0, 2, 3], dtype=rt.int32), rt.tensor([1, 2], dtype=rt.int32),
                                    rt.tensor([1, 2, 3]), rt.ones(3, dtype=rt.bool)])
def test_pivots_are_checked(pivots):
    for call in (lambda: rt.lu_unpack(X, pivots), lambda: rt.linalg.lu_solve(X, pivots, X), lambda: rt.linalg.ldl_solve(X, pivots, X)):
        with pytest.raises(RuntimeError, match="pivots"):
            call()


def test_sizes_are_checked():
    with pytest.raises(RuntimeError, match="Incompatible matrix sizes"):
        rt.cholesky_solve(rt.ones(2, 1), X)
    with pytest.raises(RuntimeError, match="Incompatible matrix sizes"):
        rt.cholesky_solve(rt.ones(1, 2, 1, 2, 1), X)
    rt.linalg.lu_solve(rt.eye(3), PIVOTS, X)


def test_a_step_of_zero():
    with pytest.raises((ValueError, RuntimeError), match="step must be nonzero"):
        rt.arange(0, 64, 0.5, out=rt.empty(0, dtype=rt.int64))
    with pytest.raises(RuntimeError, match="argument 'out'"):
        rt.complex(rt.ones(2).double(), rt.ones(2).double(), out=rt.empty(2, dtype=rt.complex64))


@pytest.mark.parametrize("write", [lambda x, v: x.fill_(v), lambda x, v: rt.full((2,), v, dtype=x.dtype), lambda x, v: x.masked_fill(x > 0, v), lambda x, v: x.clamp(max=v),
                                   lambda x, v: x.clamp_(-v, v), lambda x, v: x.__setitem__(0, v), lambda x, v: x.scatter(0, rt.tensor([0]), v)])
def test_numbers_beyond_a_float_dtype(write):
    for dtype, fits, beyond in ((rt.float16, 65504.0, 65505.0), (rt.bfloat16, 3.38e38, 3.4e38), (rt.float32, 3.4e38, 3.5e38)):
        write(rt.ones(2, dtype=dtype), fits)
        write(rt.ones(2, dtype=dtype), float("inf"))
        with pytest.raises(RuntimeError, match="without overflow"):
            write(rt.ones(2, dtype=dtype), beyond)


def test_complex_views_of_odd_places():
    room = rt.arange(7.0)
    with pytest.raises(RuntimeError, match="storage_offset divisible by 2"):
        rt.view_as_complex(room[1:].view(3, 2))
    x = rt.zeros(3, dtype=rt.complex64, requires_grad=True)
    rt.view_as_real(x).backward(room[1:].view(3, 2))              # a gradient that lies so
    assert x.grad.tolist() == [1 + 2j, 3 + 4j, 5 + 6j]
