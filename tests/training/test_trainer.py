"""The training loop against loops written out by hand."""
import math
import os
import signal

import pytest

import rustorch_py as torch
from rustorch_py import callbacks, nn, optim
from rustorch_py.data import DataLoader, TensorDataset
from rustorch_py.errors import DataError
from rustorch_py.training import Trainer


def problem(samples=70, features=6, classes=3, seed=0):
    generator = torch.Generator()
    generator.manual_seed(seed)
    x = torch.randn(samples, features, generator=generator)
    y = (x @ torch.randn(features, classes, generator=generator)).argmax(1)
    return x, y


def network(features=6, classes=3, dropout=0.0, seed=1):
    torch.manual_seed(seed)
    layers = [nn.Linear(features, 16), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
    return nn.Sequential(*layers, nn.Linear(16, classes))


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def assert_same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b):
        assert x.tolist() == y.tolist()


def test_same_as_a_loop_by_hand():
    x, y = problem()
    by_hand = network()
    optimizer = optim.SGD(by_hand.parameters(), 0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    losses, accuracies = [], []
    for _ in range(3):
        total = right = 0
        for i in range(0, len(x), 16):
            optimizer.zero_grad()
            output = by_hand(x[i:i + 16])
            loss = criterion(output, y[i:i + 16])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(output)
            right += (output.argmax(1) == y[i:i + 16]).sum().item()
        losses.append(total / len(x))
        accuracies.append(right / len(x))

    model = network()
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1, momentum=0.9), criterion)
    history = trainer.train(DataLoader(TensorDataset(x, y), batch_size=16), epochs=3)
    assert history.losses == pytest.approx(losses, rel=1e-12)
    assert history.accuracies == accuracies
    assert history.epochs == [1, 2, 3]
    assert_same(weights(model), weights(by_hand))
    assert trainer.global_step == 3 * 5


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("accumulate", [2, 5, 7])
def test_accumulated_batches_make_the_step_of_the_large_batch(accumulate, reduction):
    x, y = problem()

    def trained(batch_size, accumulate):
        model = network()
        trainer = Trainer(model, optim.SGD(model.parameters(), 0.01), nn.CrossEntropyLoss(reduction=reduction),
                          accumulate=accumulate)
        trainer.train(DataLoader(TensorDataset(x, y), batch_size=batch_size), epochs=2)
        return weights(model), trainer.global_step

    small, steps = trained(10, accumulate)
    large, large_steps = trained(10 * accumulate, 1)
    assert steps == large_steps == 2 * math.ceil(7 / accumulate)
    for a, b in zip(small, large):
        assert (a - b).abs().max().item() < 1e-5


def test_clip_norm_and_value_bound_the_step():
    x, y = problem()
    for options in ({"clip_norm": 1e-3}, {"clip_value": 1e-4}):
        model = network()
        before = weights(model)
        Trainer(model, optim.SGD(model.parameters(), 1.0), nn.CrossEntropyLoss(), **options).train(
            DataLoader(TensorDataset(x, y), batch_size=70))
        moved = [a - b for a, b in zip(weights(model), before)]
        if "clip_norm" in options:
            norm = math.sqrt(sum((m ** 2).sum().item() for m in moved))
            assert norm == pytest.approx(1e-3, rel=1e-3)
        else:
            assert max(m.abs().max().item() for m in moved) == pytest.approx(1e-4, rel=1e-3)


def test_validation_leaves_training_alone_and_counts_in_evaluation_mode():
    x, y = problem()
    loader = DataLoader(TensorDataset(x, y), batch_size=16)
    model = network(dropout=0.5)
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss())
    history = trainer.train(loader, epochs=2, val_loader=loader)
    model.eval()
    with torch.no_grad():
        output = model(x)
    assert history.val_accuracies[-1] == (output.argmax(1) == y).sum().item() / len(y)
    assert history.val_losses[-1] == pytest.approx(nn.CrossEntropyLoss()(output, y).item(), rel=1e-5)
    model.train()
    assert trainer.evaluate(loader)["accuracy"] == history.val_accuracies[-1]
    assert model.training and all(m.training for m in model.modules())


def test_evaluate_puts_single_modules_modes_back():
    x, y = problem()
    model = network(dropout=0.5)
    model[2].eval()
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss())
    loader = DataLoader(TensorDataset(x, y), batch_size=16)
    trainer.train(loader, epochs=1, val_loader=loader)
    assert model.training and not model[2].training


def test_predict_gives_all_batches_without_gradients():
    x, y = problem()
    model = network(dropout=0.5)
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss())
    whole = trainer.predict(x)
    assert tuple(whole.shape) == (70, 3) and not whole.requires_grad
    for loader in (DataLoader(TensorDataset(x, y), batch_size=16), DataLoader(TensorDataset(x), batch_size=16)):
        assert (trainer.predict(loader) - whole).abs().max().item() < 1e-6
    with pytest.raises(ValueError, match="no batch"):
        trainer.predict([])


def test_several_inputs_and_dictionaries():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, a, b):
            return self.layer(a + b)

    x, y = problem()
    flat = [(x[:35], x[:35], y[:35]), (x[35:], x[35:], y[35:])]
    nested = [((a, b), t) for a, b, t in flat]
    named = [({"a": a, "b": b}, t) for a, b, t in flat]
    results = []
    for batches in (flat, nested, named):
        torch.manual_seed(0)
        model = Two()
        results.append(Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss()).train(batches, 2).losses)
    assert results[0] == results[1] == results[2]


def test_regression_has_no_accuracy_and_callbacks_get_nan():
    x = torch.randn(20, 4)
    y = x.sum(1, keepdim=True)
    model = nn.Linear(4, 1)
    seen = []
    callbacks.register_training_callback(lambda epoch, loss, accuracy: seen.append((epoch, loss, accuracy)))
    try:
        history = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.MSELoss()).train([(x, y)], epochs=3)
    finally:
        callbacks.clear_training_callbacks()
    assert "accuracy" not in history
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert [loss for _, loss, _ in seen] == history.losses
    assert all(math.isnan(accuracy) for _, _, accuracy in seen)
    assert all(f"{accuracy:.4f}" == "nan" for _, _, accuracy in seen)


def test_metrics_by_name_and_function():
    x, y = problem()
    model = network()

    def wrong(output, target):
        return (output.argmax(1) != target).sum().item() / len(target)

    history = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(),
                      metrics=["accuracy", wrong]).train([(x, y)], epochs=2, val_loader=[(x, y)])
    assert history.columns == ["epoch", "loss", "accuracy", "wrong", "val_loss", "val_accuracy", "val_wrong", "lr", "seconds"]
    for right, other in zip(history["accuracy"], history["wrong"]):
        assert right + other == pytest.approx(1)


def test_schedulers_step_per_epoch_or_per_step():
    x, y = problem(samples=40)
    batches = [(x[i:i + 10], y[i:i + 10]) for i in range(0, 40, 10)]
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.8)
    halving = optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    history = Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=halving).train(batches, epochs=3)
    assert history["lr"] == pytest.approx([0.8, 0.4, 0.2])

    optimizer = optim.SGD(model.parameters(), 0.8)
    halving = optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=halving, scheduler_interval="step").train(batches, epochs=1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.8 / 16)

    optimizer = optim.SGD(model.parameters(), 0.1)
    one_cycle = optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=8)
    Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=one_cycle).train(batches, epochs=2)
    assert one_cycle.last_epoch == 8

    optimizer = optim.SGD(model.parameters(), 0.0)  # nothing gets better
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)
    optimizer.param_groups[0]["lr"] = 1e-9
    Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=plateau).train(batches, epochs=3, val_loader=batches)
    assert plateau.num_bad_epochs + plateau.last_epoch > 0


def test_training_twice_goes_on_counting():
    x, y = problem()
    model = network()
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss())
    trainer.train([(x, y)], epochs=2)
    trainer.train([(x, y)], epochs=2)
    assert trainer.history.epochs == [1, 2, 3, 4]
    assert trainer.train([(x, y)], epochs=0).epochs == [1, 2, 3, 4]


def test_early_stopping_and_best_weights():
    x, y = problem()
    model = network()
    losses = iter([3.0, 2.0, 2.5, 2.6, 2.7, 1.0])
    snapshots = []

    class Script(callbacks.Callback):
        def on_validation_end(self, trainer, logs):
            snapshots.append(weights(model))

    class Scripted(Trainer):
        def _validate(self, loader, everyone):
            super()._validate(loader, everyone)
            return {"val_loss": next(losses)}

    stopper = callbacks.EarlyStopping(patience=3, restore_best=True)
    trainer = Scripted(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[Script()],
                       early_stopping=stopper)
    history = trainer.train([(x, y)], epochs=10, val_loader=[(x, y)])
    assert len(history) == 5 and stopper.stopped_epoch == 5
    assert "epoch 2" in trainer.stop_reason
    assert_same(weights(model), snapshots[1])


def test_wrong_batches_and_empty_loaders_say_so():
    x, y = problem()
    model = network()
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss())
    with pytest.raises(DataError, match="no batch"):
        trainer.train([], epochs=1)
    with pytest.raises(DataError, match=r"\(input, target\)"):
        trainer.train([x], epochs=1)
    with pytest.raises(ValueError, match="accumulate"):
        Trainer(model, trainer.optimizer, nn.CrossEntropyLoss(), accumulate=0)
    with pytest.raises(ValueError, match="epochs"):
        trainer.train([(x, y)], epochs=-1)


def test_no_bar_where_stderr_is_no_terminal(capfd):
    x, y = problem()
    model = network()
    Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss()).train([(x, y)], epochs=2)
    out, err = capfd.readouterr()
    assert out == "" and err == ""
    Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), progress=True).train([(x, y)], epochs=2)
    assert "epoch 2/2" in capfd.readouterr().err


def test_bar_shows_in_a_terminal():
    """A pseudo-terminal as stderr gets the bar without being asked."""
    pty = pytest.importorskip("pty")
    import subprocess
    import sys
    parent, child = pty.openpty()
    code = ("import rustorch_py as t\nfrom rustorch_py import nn, optim, training\nm = nn.Linear(2, 2)\n"
            "m.bias.data = t.tensor([1.0, -1.0])\n"  # the zeros below are class 0 from the start
            "training.Trainer(m, optim.SGD(m.parameters(), 0.1), nn.CrossEntropyLoss())"
            ".train([(t.zeros(3, 2), t.zeros(3, dtype=t.int64))], epochs=2)")
    try:
        subprocess.run([sys.executable, "-c", code], stderr=child, check=True, timeout=120)
        text = os.read(parent, 65536).decode()
    finally:
        os.close(parent)
        os.close(child)
    assert "epoch 1/2" in text and "1/1" in text and "acc 100.00%" in text


def test_own_signal_handler_of_a_program_stays():
    x, y = problem()
    model = network()
    calls = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        class Press(callbacks.Callback):
            def on_batch_end(self, trainer, logs):
                os.kill(os.getpid(), signal.SIGINT)

        Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[Press()]).train([(x, y)])
        assert calls == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGINT) is before
