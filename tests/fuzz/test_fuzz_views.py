"""Random programs of view operators, then a write: shapes, strides, sharing and what the base holds afterwards."""
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, strategies as st

from .pairs import call, fuzz, pairs, same

SMALL = st.integers(-3, 4)
DIM = st.integers(-4, 3)


def sizes(draw):
    return draw(st.lists(st.integers(-1, 4), min_size=0, max_size=4))


STEPS = {
    "transpose": lambda d: (d(DIM), d(DIM)), "permute": lambda d: (d(st.lists(DIM, max_size=4)),), "unsqueeze": lambda d: (d(DIM),), "squeeze": lambda d: (d(DIM),),
    "squeeze_all": lambda d: (), "select": lambda d: (d(DIM), d(SMALL)), "narrow": lambda d: (d(DIM), d(SMALL), d(st.integers(-1, 4))),
    "view": lambda d: (sizes(d),), "reshape": lambda d: (sizes(d),), "expand": lambda d: (sizes(d),), "flatten": lambda d: (d(DIM), d(DIM)), "t": lambda d: (),
    "diagonal": lambda d: (d(st.integers(-2, 2)), d(DIM), d(DIM)), "unfold": lambda d: (d(DIM), d(st.integers(-1, 4)), d(st.integers(0, 3))),
    "movedim": lambda d: (d(DIM), d(DIM)), "unflatten": lambda d: (d(DIM), d(st.lists(st.integers(-1, 3), max_size=3))), "chunk": lambda d: (d(st.integers(-1, 4)), d(DIM)),
    "split": lambda d: (d(st.integers(-1, 4)), d(DIM)), "unbind": lambda d: (d(DIM),), "contiguous": lambda d: (), "clone": lambda d: (), "detach": lambda d: (),
    "tensor_split": lambda d: (d(st.one_of(st.integers(-1, 4), st.lists(SMALL, max_size=3))), d(DIM)), "as_strided": lambda d: (sizes(d), sizes(d), d(st.integers(-1, 3))),
    "mT": lambda d: (), "H": lambda d: (), "real": lambda d: (), "conj": lambda d: (), "view_as_real": lambda d: (), "ravel": lambda d: (), "swapaxes": lambda d: (d(DIM), d(DIM)),
    "hsplit": lambda d: (d(st.integers(1, 3)),), "vsplit": lambda d: (d(st.integers(1, 3)),), "broadcast_to": lambda d: (sizes(d),), "roll": lambda d: (d(SMALL), d(DIM)),
    "flip": lambda d: (d(st.lists(DIM, max_size=3)),), "repeat": lambda d: ([abs(n) for n in sizes(d)],), "rot90": lambda d: (d(SMALL), [0, 1]),
}


def undefined(x, name, arguments):
    """Whether PyTorch's answer to a step is undefined, or another one on purpose here."""
    return (name in ("conj", "H") and x.is_complex()                                                                # a copy here, a lazy view in PyTorch
            or name in ("expand", "broadcast_to") and arguments[0].count(-1) > x.dim()                              # a tensor of size -1, of an empty one
            or name == "as_strided" and min(arguments[0], default=0) < 0 and 0 in arguments[0])                     # and here, of any


def apply(x, name, arguments):
    if name in ("mT", "H", "real"):
        return getattr(x, name)
    if name == "squeeze_all":
        return x.squeeze()
    if name == "view_as_real":
        import sys
        return sys.modules[type(x).__module__.split(".")[0]].view_as_real(x)
    if name in ("hsplit", "vsplit", "chunk", "split", "unbind", "tensor_split"):
        return getattr(x, name)(*arguments)[0]
    return getattr(x, name)(*arguments)


@st.composite
def programs(draw):
    return [(n, STEPS[n](draw)) for n in draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4))]


@fuzz
@given(pairs(["float32", "int64", "bool", "complex64", "bfloat16"]), programs(), st.sampled_from([0, 1, 2]))
def test_view_programs(a, program, write):
    t, r, about = a.t, a.r, str(a)
    for name, arguments in program:
        if undefined(t, name, arguments):
            return
        about += f".{name}{arguments}"
        got = call(lambda: apply(t, name, arguments)), call(lambda: apply(r, name, arguments))
        same(*got, about)
        if got[0][0] == "error":
            return
        t, r = got[0][1], got[1][1]
        if t.numel() > 4096:
            return
        if t.numel():
            shares = [x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr() for x, y in ((a.t, t), (a.r, r))]
            assert shares[0] == shares[1], f"{about}: shares memory with its base {shares[0]}, here {shares[1]}"
            steps = [[n for n, size in zip(x.stride(), x.shape) if size > 1 or shares[0]] for x in (t, r)]      # a copy's steps of single elements do not matter
            assert steps[0] == steps[1], f"{about}: strides {t.stride()}, here {r.stride()}"
            if shares[0]:
                assert r.storage_offset() == t.storage_offset(), about
        assert r.is_contiguous() == t.is_contiguous(), about
        assert r.is_conj() == t.is_conj(), about
    if write == 1:
        got = call(lambda: t.fill_(1)), call(lambda: r.fill_(1))
    elif write == 2:
        got = call(lambda: t.add_(t)), call(lambda: r.add_(r))
    else:
        return
    same(*got, about + " then a write")
    if got[0][0] == "value":
        same(("value", a.t), ("value", a.r), about + " then a write: the base")


@fuzz
@given(pairs(["float64"], layouts=["plain"]), programs(), st.booleans())
def test_gradients_through_views(a, program, write):
    """The gradient of a random program of views, with and without a write into the view."""
    t0, r0 = a.t.nan_to_num(0, 1, -1).requires_grad_(), a.r.nan_to_num(0, 1, -1).requires_grad_()
    t, r, about = t0 * 1, r0 * 1, str(a)
    bases = t, r
    for name, arguments in program:
        if undefined(t, name, arguments):
            return
        about += f".{name}{arguments}"
        got = call(lambda: apply(t, name, arguments)), call(lambda: apply(r, name, arguments))
        same(*got, about)
        if got[0][0] == "error":
            return
        t, r = got[0][1], got[1][1]
        if t.numel() > 4096:
            return
    if write:
        got = call(lambda: t.mul_(3)), call(lambda: r.mul_(3))
        same(*got, about + ".mul_(3)")
        if got[0][0] == "error":
            return
    got = [call(lambda x=x, b=b, z=z: ((x * x).sum() + (b * 2).sum()).backward()) for x, b, z in ((t, bases[0], t0), (r, bases[1], r0))]
    assert got[0][0] == got[1][0], f"{about}: backward: PyTorch {got[0][1]!r}, here {got[1][1]!r}"
    if got[0][0] == "value":
        same(("value", t0.grad), ("value", r0.grad), about + ": gradient")
