"""The Keras-like Model on top of the Trainer."""
import copy

import pytest

import rustorch_py as torch
from rustorch_py import nn, optim
from rustorch_py.data import DataLoader, TensorDataset
from rustorch_py.training import Model, Trainer, TrainingHistory


def blobs(n=120):
    generator = torch.Generator()
    generator.manual_seed(0)
    x = torch.randn(n, 4, generator=generator)
    return x, (x[:, 0] > 0).to(torch.int64) + (x[:, 1] > 0).to(torch.int64)


def model(**options):
    torch.manual_seed(0)
    made = Model([nn.Linear(4, 16), nn.ReLU()])
    assert made.add(nn.Linear(16, 3)) is made
    return made.compile("adam", "cross_entropy", lr=0.02, **options)


def test_fit_is_the_trainers_loop():
    x, y = blobs()
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    trainer = Trainer(plain, optim.Adam(plain.parameters(), 0.02), nn.CrossEntropyLoss())
    expected = trainer.train(DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True), epochs=3)
    history = model().fit(x, y, epochs=3)
    assert isinstance(history, TrainingHistory) and history.losses == expected.losses
    assert history.accuracies == expected.accuracies


def test_learns_evaluates_and_predicts():
    x, y = blobs()
    made = model()
    history = made.fit(x, y, epochs=30, validation_split=0.25)
    assert len(history) == 30 and history.val_accuracies[-1] > 0.85
    output = made.predict(x, batch_size=50)
    assert tuple(output.shape) == (120, 3) and not output.requires_grad
    result = made.evaluate(x, y)
    assert result["accuracy"] == (output.argmax(1) == y).sum().item() / 120
    assert made.fit(x, y, epochs=2) is made.history and len(made.history) == 32


def test_numpy_and_loaders():
    numpy = pytest.importorskip("numpy")
    x, y = blobs()
    made = model()
    a = made.fit(x.numpy().astype(numpy.float64), y.numpy(), epochs=1, shuffle=False).losses
    b = model().fit(x, y, epochs=1, shuffle=False).losses
    c = model().fit(DataLoader(TensorDataset(x, y), batch_size=32), epochs=1,
                    validation_data=(x, y)).losses
    assert a == b == c
    assert made.evaluate(DataLoader(TensorDataset(x, y), batch_size=7))["accuracy"] == made.evaluate(x, y)["accuracy"]


@pytest.mark.parametrize("loss, last, target", [
    ("mse", nn.Linear(4, 1), lambda x: x.sum(1, keepdim=True)), ("mae", nn.Linear(4, 1), lambda x: x.sum(1, keepdim=True)),
    ("bce_with_logits", nn.Linear(4, 1), lambda x: (x[:, :1] > 0).to(torch.float32)),
    ("binary_crossentropy", nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), lambda x: (x[:, :1] > 0).to(torch.float32)),
])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_losses_and_optimizers_by_name(loss, last, target, optimizer):
    x, _ = blobs()
    made = Model(copy.deepcopy(last)).compile(optimizer, loss, lr=0.05 if optimizer != "adam" else 0.1)
    history = made.fit(x, target(x), epochs=15)
    assert history.losses[-1] < 0.8 * history.losses[0]
    assert ("accuracy" in history) == (loss.startswith("b"))


def test_optimizers_in_every_form():
    x, y = blobs()
    by_class = model().compile(optim.Adam, nn.CrossEntropyLoss(), lr=0.02)
    by_function = model().compile(lambda p: optim.Adam(p, 0.02), nn.functional.cross_entropy)
    ready = model()
    ready.compile(optim.Adam(ready.parameters(), 0.02), scheduler=lambda o: optim.lr_scheduler.StepLR(o, 100))
    losses = []
    for made in (model(), by_class, by_function, ready):
        torch.manual_seed(1)
        losses.append(made.fit(x, y, epochs=2).losses)
    assert losses[0] == losses[1] == losses[2] == losses[3]


def test_state_dict_holds_layers_alone():
    x, y = blobs()
    made = model()
    made.fit(x, y)
    assert list(made.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [type(m).__name__ for m in made.children()] == ["Linear", "ReLU", "Linear"]
    twin = copy.deepcopy(made)
    assert twin.predict(x).tolist() == made.predict(x).tolist()
    assert isinstance(made[:2], Model) and len(made[:2]) == 2
    assert made.summary((1, 4), verbose=False).total_parameters == 4 * 16 + 16 + 16 * 3 + 3


def test_mistakes_are_named():
    x, y = blobs()
    with pytest.raises(RuntimeError, match="compile"):
        Model(nn.Linear(4, 3)).fit(x, y)
    with pytest.raises(ValueError, match="unknown optimizer 'lion'"):
        Model(nn.Linear(4, 3)).compile("lion")
    with pytest.raises(ValueError, match="unknown loss"):
        Model(nn.Linear(4, 3)).compile("sgd", "crossentropy")
    made = model()
    with pytest.raises(ValueError, match="120 samples, y 119"):
        made.fit(x, y[:-1])
    with pytest.raises(ValueError, match="y, its targets"):
        made.fit(x)
    with pytest.raises(ValueError, match="validation_split"):
        made.fit(x, y, validation_split=1.5)
    with pytest.raises(TypeError, match="Module"):
        made.add(3)
