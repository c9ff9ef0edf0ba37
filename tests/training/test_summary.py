"""summary(): shapes, parameters and multiply-adds against counts by hand."""
import pytest

import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.training import summary
from rustorch_py._trace import guess_inputs, trace


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.act = nn.ReLU()

    def forward(self, x):
        return x + self.act(self.inner(x))


def test_counts_by_hand(capsys):
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(8 * 4 * 4, 10))
    result = summary(model, (2, 3, 8, 8))
    assert result.total_parameters == (3 * 9 + 1) * 8 + 16 + 129 * 10
    assert result.mult_adds == 2 * 8 * 64 * 27 + 2 * 128 * 10
    assert [row["layer"] for row in result.rows] == ["Sequential", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Flatten",
                                                     "Linear"]
    assert result.rows[1]["output_shape"] == (2, 8, 8, 8) and result.rows[-1]["output_shape"] == (2, 10)
    assert result.input_nbytes == 2 * 3 * 64 * 4
    text = capsys.readouterr().out
    assert "2×8×8×8" in text and f"{result.total_parameters:,}" in text


def test_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model[2].eval()
    before = {k: v.tolist() for k, v in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    summary(model, (5, 4), verbose=False)
    assert torch.rand(2).tolist() == expected
    assert {k: v.tolist() for k, v in model.state_dict().items()} == before
    assert model.training and not model[2].training
    assert all(p.grad is None for p in model.parameters())
    assert not model[0]._forward_hooks and not model[0]._forward_pre_hooks


def test_shared_and_frozen_parameters():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    result = summary(model, (1, 4), verbose=False)
    assert result.total_parameters == 20 and result.mult_adds == 32
    assert [row["reused"] for row in result.rows] == [False, False, False, True]
    shared.bias.requires_grad_(False)
    assert "4 frozen" in str(summary(model, (1, 4), verbose=False))


def test_depth_folds_containers():
    model = nn.Sequential(nn.Linear(4, 4), Residual(4))
    shallow = summary(model, (1, 4), depth=1, verbose=False)
    assert [row["layer"] for row in shallow.rows] == ["Sequential", "Linear", "Residual"]
    assert shallow.rows[2]["parameters"] == 20 and shallow.rows[2]["mult_adds"] == 16


def test_needs_exactly_one_input():
    for options in ({}, {"input_size": (1, 4), "input_data": torch.zeros(1, 4)}):
        with pytest.raises(ValueError, match="either"):
            summary(nn.Linear(4, 4), **options)


def test_trace_finds_residual_links():
    model = nn.Sequential(nn.Linear(4, 4), Residual(4), Residual(4))
    steps = trace(model, [torch.zeros(2, 4)]).steps
    adds = [s for s in steps if s.label == "add"]
    assert [s.path for s in adds] == [("1", "add"), ("2", "add")]
    assert {s.name for s in adds[0].inputs} == {"0", "1.act"}
    assert {s.name for s in adds[1].inputs} == {"1.add", "2.act"}
    assert steps[-1].kind == "output" and steps[-1].inputs == [adds[1]]


def test_trace_through_layers_that_hand_on_their_input():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Identity(), nn.ReLU(inplace=True))
    steps = trace(model, [torch.zeros(2, 3)]).steps
    assert [s.label for s in steps] == ["input", "Linear", "Dropout", "Identity", "ReLU", "output"]
    assert all(after.inputs == [before] for before, after in zip(steps, steps[1:]))


def test_trace_of_integer_inputs_and_plain_functions():
    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 2)

        def forward(self, tokens):
            return self.head(torch.relu(self.table(tokens)).mean(1))

    model = Text()
    steps = trace(model, guess_inputs(model)).steps
    assert [s.label for s in steps] == ["input", "Embedding", "relu", "mean", "Linear", "output"]
    assert all(after.inputs == [before] for before, after in zip(steps, steps[1:]))


@pytest.mark.parametrize("model, shape", [
    (nn.Sequential(nn.Flatten(), nn.Linear(784, 2)), (1, 784)),
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 26 * 26, 2)), (1, 1, 28, 28)),
    (nn.Linear(7, 2), (1, 7)),
    (nn.ReLU(), None),
])
def test_guessed_inputs(model, shape):
    guess = guess_inputs(model)
    assert (tuple(guess[0].shape) if guess is not None else None) == shape
