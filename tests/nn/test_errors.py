"""Misuse of layers and functions: the exception type that PyTorch raises, and a line that says why."""

import pytest

import rustorch_py as torch
from rustorch_py import nn

F = nn.functional

CASES = [
    (lambda: nn.Linear(3, 2)(torch.ones(2, 4)), RuntimeError),
    (lambda: nn.Linear(3, 2)(torch.ones(2, 3, dtype=torch.float64)), RuntimeError),
    (lambda: nn.Conv2d(3, 4, 3)(torch.ones(1, 2, 8, 8)), RuntimeError),
    (lambda: nn.Conv2d(3, 4, 9)(torch.ones(1, 3, 4, 4)), RuntimeError),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError),
    (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError),
    (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), ValueError),
    (lambda: nn.Conv2d(3, 4, 3, padding="half"), ValueError),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ValueError),
    (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2)(torch.ones(1, 3, 4, 4), output_size=(30, 30)), ValueError),
    (lambda: nn.BatchNorm2d(3)(torch.ones(2, 3)), ValueError),
    (lambda: nn.BatchNorm1d(3)(torch.ones(1, 3)), ValueError),
    (lambda: nn.InstanceNorm2d(3, affine=True)(torch.ones(1, 4, 3, 3)), ValueError),
    (lambda: nn.LayerNorm(3)(torch.ones(2, 4)), RuntimeError),
    (lambda: nn.GroupNorm(2, 3), ValueError),
    (lambda: nn.CrossEntropyLoss()(torch.ones(2, 3), torch.tensor([0, 5])), IndexError),
    (lambda: nn.CrossEntropyLoss()(torch.ones(2, 3), torch.tensor([0, 1, 2])), ValueError),
    (lambda: nn.CrossEntropyLoss(reduction="all")(torch.ones(2, 3), torch.tensor([0, 1])), ValueError),
    (lambda: nn.BCELoss()(torch.ones(2, 3) * 2, torch.ones(2, 3)), RuntimeError),
    (lambda: nn.BCELoss()(torch.ones(2, 3), torch.ones(2)), ValueError),
    (lambda: nn.BCEWithLogitsLoss()(torch.ones(2, 3), torch.ones(2)), ValueError),
    (lambda: nn.HuberLoss(delta="x"), TypeError),
    (lambda: nn.MultiMarginLoss(p=3), ValueError),
    (lambda: nn.TripletMarginLoss(margin=0), ValueError),
    (lambda: nn.Embedding(5, 2)(torch.tensor([7])), IndexError),
    (lambda: nn.Embedding(5, 2, padding_idx=9), AssertionError),
    (lambda: nn.Dropout(1.5), ValueError),
    (lambda: nn.MaxPool2d(2, padding=2)(torch.ones(1, 1, 4, 4)), RuntimeError),
    (lambda: nn.Unflatten(1, "x"), TypeError),
    (lambda: nn.Hardtanh(1, 1), AssertionError),
    (lambda: nn.Bilinear(0, 1, 1), ValueError),
    (lambda: nn.MultiheadAttention(5, 2), AssertionError),
    (lambda: nn.Transformer(8, 2)(torch.ones(3, 1, 8), torch.ones(3, 2, 8)), RuntimeError),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 10, [5, 3]), ValueError),
    (lambda: F.interpolate(torch.ones(1, 1, 2, 2)), ValueError),
    (lambda: F.interpolate(torch.ones(1, 1, 2), size=3, mode="bilinear"), NotImplementedError),
    (lambda: F.interpolate(torch.ones(1, 1, 2), size=3, align_corners=True), ValueError),
    (lambda: F.pad(torch.ones(1, 1, 2), (3, 3), mode="reflect"), RuntimeError),
    (lambda: F.pad(torch.ones(2, 2, 2), (1,)), RuntimeError),
    (lambda: F.one_hot(torch.tensor([5]), 3), RuntimeError),
    (lambda: F.one_hot(torch.tensor([-1])), RuntimeError),
    (lambda: F.glu(torch.ones(3)), RuntimeError),
    (lambda: F.hardtanh(torch.ones(2), 2, 1), ValueError),
    (lambda: F.unfold(torch.ones(1, 1, 2, 2), 5), RuntimeError),
    (lambda: F.grid_sample(torch.ones(1, 1, 2, 2), torch.ones(1, 2, 2, 2), mode="x"), ValueError),
    (lambda: F.kl_div(torch.ones(2), torch.ones(2), reduction="x"), ValueError),
    (lambda: F.gaussian_nll_loss(torch.ones(2), torch.ones(2), -torch.ones(2)), ValueError),
    (lambda: F.embedding_bag(torch.tensor([0, 1]), torch.ones(3, 2)), ValueError),
    (lambda: F.huber_loss(torch.ones(2), torch.ones(2), delta=0), RuntimeError),
    (lambda: nn.init.xavier_uniform_(torch.ones(3)), ValueError),
    (lambda: nn.init.calculate_gain("x"), ValueError),
    (lambda: nn.init.kaiming_uniform_(torch.ones(3, 3), mode="x"), ValueError),
    (lambda: nn.Sequential(nn.ReLU(), torch.ones(2)), TypeError),
    (lambda: nn.ModuleList([1]), TypeError),
]


@pytest.mark.parametrize("call, error", CASES, ids=range(len(CASES)))
def test_misuse(call, error):
    with pytest.raises(error) as info:
        call()
    assert str(info.value)


def test_deprecated_arguments_warn():
    with pytest.warns(UserWarning, match="size_average and reduce"):
        assert nn.MSELoss(reduce=False).reduction == "none"
    with pytest.warns(UserWarning, match="different to the input size"):
        F.mse_loss(torch.ones(2, 3), torch.ones(3))
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        nn.Softmax()(torch.ones(2, 2))
    with pytest.warns(FutureWarning, match="deprecated in favor of `nn.init.uniform_`"):
        nn.init.uniform(torch.ones(2))
