"""Sizes that no machine holds are refused at once: no crash, no endless loop, no tensor that says less than was asked for."""
import pytest

import rustorch_py as rt
from rustorch_py import nn
from rustorch_py.nn import functional as F

BIG = 2 ** 63 - 1


@pytest.mark.parametrize("make", [
    lambda: rt.zeros(2 ** 40, 2 ** 40), lambda: rt.empty(2 ** 31, 2 ** 31, 4), lambda: rt.rand(2 ** 32, 2 ** 32), lambda: rt.eye(2 ** 40), lambda: rt.eye(2 ** 62),
    lambda: rt.ones(2).repeat(2 ** 62, 2 ** 62), lambda: rt.ones(2).repeat(2 ** 63 - 1), lambda: rt.empty_strided((2, 2), (2 ** 62, 2 ** 62)),
    lambda: rt.ones(2, 1).expand(2 ** 62, 2, 4), lambda: rt.tril_indices(2 ** 40, 2 ** 40), lambda: rt.ones(4).tensor_split(2 ** 62),
    lambda: rt.ones(4).as_strided((2,), (2 ** 62,)), lambda: rt.ones(4).as_strided((2, 2), (2 ** 62, 2 ** 62)), lambda: rt.ones(4).as_strided((2,), (1,), 2 ** 62),
    lambda: rt.ones(4).as_strided((2 ** 62, 2 ** 62), (0, 0)), lambda: F.conv1d(rt.ones(1, 1, 4), rt.ones(1, 1, 2), padding=BIG),
    lambda: F.conv1d(rt.ones(1, 1, 4), rt.ones(1, 1, 2), dilation=BIG), lambda: F.conv_transpose2d(rt.ones(1, 1, 4, 4), rt.ones(1, 1, 2, 2), stride=2 ** 62),
    lambda: F.max_pool1d(rt.ones(1, 1, 4), 2 ** 62), lambda: F.max_pool2d(rt.ones(1, 1, 4, 4), 2, stride=BIG), lambda: F.avg_pool2d(rt.ones(1, 1, 4, 4), 2 ** 62, padding=2 ** 61),
    lambda: F.adaptive_avg_pool1d(rt.ones(1, 1, 4), 2 ** 62), lambda: F.adaptive_max_pool2d(rt.ones(1, 1, 4, 4), 2 ** 40), lambda: F.pad(rt.ones(1, 1, 2), (2 ** 62, 0), mode="replicate"),
    lambda: nn.Embedding(2 ** 40, 2 ** 30), lambda: nn.LayerNorm([2 ** 40, 2 ** 40]), lambda: nn.LSTM(2, 2, num_layers=10 ** 20), lambda: nn.GRU(2, 2, num_layers=10 ** 9),
    lambda: nn.Transformer(num_encoder_layers=10 ** 9), lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 10 ** 20),
    lambda: rt.utils.data.DataLoader([1, 2], num_workers=2 ** 70), lambda: rt.distributions.Normal(0.0, 1.0).sample((2 ** 40, 2 ** 40)),
])
def test_refused(make):
    with pytest.raises(RuntimeError):
        make()


def test_nothing_of_much_is_nothing():
    assert rt.zeros(0, 2 ** 62).numel() == 0 and rt.ones(3).expand(0, 3).numel() == 0


@pytest.mark.parametrize("stride", [7, 2 ** 31, 2 ** 40, BIG])
def test_a_step_beyond_the_input_is_one_step(stride):
    x, w = rt.randn(2, 3, 6, dtype=rt.float64, requires_grad=True), rt.randn(4, 3, 2, dtype=rt.float64, requires_grad=True)
    out = F.conv1d(x, w, stride=stride)
    assert rt.allclose(out, F.conv1d(x[:, :, :2], w))
    assert rt.autograd.gradgradcheck(lambda x, w: F.conv1d(x, w, stride=stride), (x, w))


def test_nan_in_a_grid_gives_nan():
    for mode in ("bilinear", "bicubic"):
        assert F.grid_sample(rt.ones(1, 1, 2, 2), rt.full((1, 1, 1, 2), float("nan")), mode=mode, align_corners=False).isnan().all()
    assert F.grid_sample(rt.ones(1, 1, 2, 2), rt.full((1, 1, 1, 2), float("inf")), align_corners=False).isnan().all()


def test_sizes_are_ints():
    size = rt.Size([True, rt.tensor(3)])
    assert [type(n) for n in size] == [int, int] and size == (1, 3)
    for wrong in ([1.5], [rt.tensor(1.0)], ["a"]):
        with pytest.raises(TypeError):
            rt.Size(wrong)


@pytest.mark.parametrize("make, error", [
    (lambda: nn.LSTM(0, 2), ValueError), (lambda: nn.GRU(2.5, 2), TypeError), (lambda: nn.RNN(2, 2, bidirectional=1), TypeError), (lambda: rt.set_grad_enabled(1), TypeError),
    (lambda: F.conv1d(rt.ones(1, 1, 4), rt.ones(1, 1, 0)), RuntimeError), (lambda: F.pad(rt.ones(1, 1, 2).bool(), (1, 1), mode="reflect"), NotImplementedError),
    (lambda: nn.MultiheadAttention(4, 2)(rt.ones(2, 1, 4), rt.ones(2, 1, 4), rt.ones(2, 1, 4), attn_mask="a"), TypeError), (lambda: F.lp_pool2d(rt.ones(1, 1, 4, 4), 2, [2]), ValueError),
])
def test_kind_of_error(make, error):
    with pytest.raises(error):
        make()
