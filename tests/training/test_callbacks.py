"""Callbacks: order of events, registration, loggers."""
import csv
import json
import math

import pytest

import rustorch_py as torch
from rustorch_py import callbacks, nn, optim
from rustorch_py.training import History, Trainer


def trainer(**options):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    return Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), **options)


def batch(n=4):
    return torch.ones(n, 3), torch.zeros(n, dtype=torch.int64)


class Recorder(callbacks.Callback):
    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *arguments: object.__getattribute__(self, "events").append(name)
        return object.__getattribute__(self, name)


def test_order_of_events(tmp_path):
    recorder = Recorder()
    trainer(callbacks=[recorder], checkpoint_dir=tmp_path).train([batch(), batch()], epochs=1, val_loader=[batch()])
    assert recorder.events == ["on_train_begin", "on_epoch_begin", "on_batch_begin", "on_batch_end", "on_batch_begin",
                               "on_batch_end", "on_validation_end", "on_epoch_end", "on_checkpoint", "on_checkpoint",
                               "on_train_end"]


def test_registered_functions_and_callbacks():
    seen, recorder = [], Recorder()

    @callbacks.register_training_callback
    def note(epoch, loss, accuracy):
        seen.append((epoch, round(loss, 4), accuracy))

    callbacks.register_training_callback(recorder)
    try:
        assert callbacks.training_callbacks() == [note, recorder]
        history = trainer().train([batch()], epochs=2)
        assert seen == [(1, round(history.losses[0], 4), history.accuracies[0]),
                        (2, round(history.losses[1], 4), history.accuracies[1])]
        assert recorder.events.count("on_epoch_end") == 2
        callbacks.unregister_training_callback(note)
        trainer().train([batch()], epochs=1)
        assert len(seen) == 2
        with pytest.raises(ValueError, match="not registered"):
            callbacks.unregister_training_callback(note)
    finally:
        callbacks.clear_training_callbacks()
    assert callbacks.training_callbacks() == []
    with pytest.raises(TypeError):
        callbacks.register_training_callback(3)


def test_lambda_callback_checks_names():
    seen = []
    trainer(callbacks=[callbacks.LambdaCallback(on_epoch_end=lambda t, logs: seen.append(logs["epoch"]))]).train(
        [batch()], epochs=2)
    assert seen == [1, 2]
    with pytest.raises(TypeError, match="on_epoch_ends"):
        callbacks.LambdaCallback(on_epoch_ends=print)


def test_history_files(tmp_path):
    run = trainer(log_dir=tmp_path / "logs")
    history = run.train([batch()], epochs=3, val_loader=[batch()])
    with open(tmp_path / "logs" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == history.val_losses
    assert json.loads((tmp_path / "logs" / "history.json").read_text()) == history.rows
    again = History.from_json(tmp_path / "logs" / "history.json")
    assert again.rows == history.rows and again.columns == history.columns


def test_history_as_a_table(tmp_path):
    history = History([{"epoch": 1, "loss": 2.0, "val_loss": 2.5}, {"epoch": 2, "loss": math.nan, "val_loss": 1.5},
                       {"epoch": 3, "loss": 1.0, "val_loss": 1.7, "extra": 1}])
    assert history.losses[0] == 2.0 and math.isnan(history.losses[1])
    assert math.isnan(history["extra"][0]) and history["extra"][2] == 1
    assert history.best("val_loss")["epoch"] == 2
    assert history.accuracies == [] and "loss" in history and len(history) == 3
    with pytest.raises(KeyError, match="no column 'lss'"):
        history["lss"]
    history.to_json(tmp_path / "h.json")
    assert json.loads((tmp_path / "h.json").read_text())[1]["loss"] is None
    assert math.isnan(History.from_json(tmp_path / "h.json").losses[1])
    assert "3 epochs" in repr(history) and repr(History()) == "History(0 epochs)"


def test_monitor_direction_and_nan():
    for name, values, best in (("val_loss", [3.0, math.nan, 1.0, 2.0], 3), ("val_accuracy", [0.1, 0.4, math.nan, 0.3], 2)):
        monitor = callbacks._Monitor(name)
        for epoch, value in enumerate(values, 1):
            monitor.update(epoch, {name: value})
        assert monitor.best_epoch == best
    with pytest.raises(KeyError, match="val_loss"):
        callbacks._Monitor("val_loss").update(1, {"loss": 1.0})
    delta = callbacks._Monitor("loss", min_delta=0.5)
    assert [delta.update(i, {"loss": v}) for i, v in enumerate([3.0, 2.6, 2.4])] == [True, False, True]


def test_best_and_last_files(tmp_path):
    class Fake(Trainer):
        losses = iter([3.0, 1.0, 2.0])

        def _validate(self, loader, everyone):
            return {"val_loss": next(self.losses)}

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    run = Fake(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), checkpoint_dir=tmp_path)
    run.train([batch()], epochs=3, val_loader=[batch()])
    from rustorch_py.utils import load
    assert load(tmp_path / "best.safetensors")["completed_epochs"] == 2
    assert load(tmp_path / "last.safetensors")["completed_epochs"] == 3


def test_every_few_epochs_and_always_the_last(tmp_path):
    saved = []
    note = callbacks.LambdaCallback(on_checkpoint=lambda t, path: path.endswith("last.safetensors") and saved.append(t.epoch))
    trainer(callbacks=[note, callbacks.ModelCheckpoint(tmp_path, every=2)]).train([batch()], epochs=5)
    assert saved == [2, 4, 5]


def test_terminate_on_nan():
    run = trainer(callbacks=[callbacks.TerminateOnNaN()])
    x, y = batch()
    with pytest.raises(callbacks.TrainingDiverged, match="epoch 1, batch 1") as caught:
        run.train([(x, y), (x * math.nan, y)], epochs=2)
    assert caught.value.batch == 1


def test_tensorboard_logger(tmp_path, monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.delitem(sys.modules, "rustorch_py.utils.tensorboard", raising=False)
    from rustorch_py.errors import MissingDependencyError
    with pytest.raises(MissingDependencyError, match="tensorboardX"):
        callbacks.TensorBoardLogger(tmp_path)
    monkeypatch.undo()
    pytest.importorskip("tensorboardX")
    trainer(callbacks=[callbacks.TensorBoardLogger(tmp_path, histograms=True)]).train([batch()], epochs=2)
    assert any(p.stat().st_size > 100 for p in tmp_path.iterdir())
