"""Text of tensors: fixed samples of what PyTorch prints (the parity tests compare with a live one)."""
import pytest

import rustorch_py as rt

nan, inf = float("nan"), float("inf")
SAMPLES = [
    (lambda: rt.tensor(1.5), "tensor(1.5000)"),
    (lambda: rt.tensor([1.0, 2.0]), "tensor([1., 2.])"),
    (lambda: rt.tensor([1, 20]), "tensor([ 1, 20])"),
    (lambda: rt.tensor([True, False]), "tensor([ True, False])"),
    (lambda: rt.tensor([1e10, 1e-5]), "tensor([1.0000e+10, 1.0000e-05])"),
    (lambda: rt.tensor([nan, 1.0, -inf]), "tensor([nan, 1., -inf])"),
    (lambda: rt.tensor([1 + 2j, 3.5]), "tensor([1.0000+2.j, 3.5000+0.j])"),
    (lambda: rt.zeros(0, 3), "tensor([], size=(0, 3))"),
    (lambda: rt.zeros(0, dtype=rt.int64), "tensor([], dtype=torch.int64)"),
    (lambda: rt.ones(2, dtype=rt.float64), "tensor([1., 1.], dtype=torch.float64)"),
    (lambda: rt.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
    (lambda: rt.ones(2, requires_grad=True) * 2, "tensor([2., 2.], grad_fn=<MulBackward0>)"),
    (lambda: rt.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (lambda: rt.tensor([[0.5, -1.25], [3.0, 1000.0]]), "tensor([[ 5.0000e-01, -1.2500e+00],\n        [ 3.0000e+00,  1.0000e+03]])"),
    (lambda: rt.arange(4).reshape(1, 2, 2), "tensor([[[0, 1],\n         [2, 3]]])"),
]


@pytest.mark.parametrize("make, text", SAMPLES, ids=[t for _, t in SAMPLES])
def test_repr(make, text):
    assert repr(make()) == str(make()) == text


def test_options():
    try:
        rt.set_printoptions(precision=2, threshold=4, edgeitems=1, linewidth=30)
        assert repr(rt.tensor([1.234, 2.0, 3.0, 4.0, 5.678])) == "tensor([1.23,  ..., 5.68])"
        rt.set_printoptions(profile="short")
        assert repr(rt.tensor(1.23456)) == "tensor(1.23)"
        rt.set_printoptions(sci_mode=True, profile="default")
        assert repr(rt.tensor(1.0)) == "tensor(1.0000e+00)"
        with pytest.raises(ValueError, match="profile"):
            rt.set_printoptions(profile="long")
    finally:
        rt.set_printoptions(profile="default")
    with rt.printoptions(precision=1):
        assert repr(rt.tensor(0.25)) == "tensor(0.2)"
    assert rt.get_printoptions()["precision"] == 4


def test_format_and_subclass():
    assert f"{rt.tensor(1.2345):.2f}" == "1.23" and f"{rt.tensor(3)}" == "3"
    assert f"{rt.tensor([1.0])}" == "tensor([1.])"
    with pytest.raises(TypeError):
        format(rt.ones(2), ".2f")

    class Named(rt.Tensor):
        pass

    assert repr(rt.ones(2).as_subclass(Named)) == "Named([1., 1.])"
