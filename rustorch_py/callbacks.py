"""Hooks into a training run: the `Callback` class, the usual callbacks, and plain functions.

A `Trainer` calls every method below with itself as the first argument; whatever a callback wants to
know (epoch, batch, history, model, optimizer) it reads there. Epochs are counted from 1.
"""
from __future__ import annotations

import math
import os

from .errors import RustorchError

__all__ = [
    "Callback", "LambdaCallback", "EarlyStopping", "ModelCheckpoint", "HistoryLogger", "TensorBoardLogger",
    "TerminateOnNaN", "TrainingDiverged", "register_training_callback", "unregister_training_callback",
    "clear_training_callbacks", "training_callbacks",
]

_registered = []


class Callback:
    """Receive the events of a training run; override what is needed.

    State that must survive an interruption goes through `state_dict` and `load_state_dict`: the
    Trainer stores it in every checkpoint.

    On several ranks every rank has its callbacks; those with ``first_rank_only`` (they write files or to the terminal) run on rank 0.
    """

    first_rank_only = False

    def on_train_begin(self, trainer):
        """Run once before the first batch (also after a resume)."""

    def on_epoch_begin(self, trainer):
        """Run before the first batch of `trainer.epoch`."""

    def on_batch_begin(self, trainer):
        """Run before batch `trainer.batch` (from 0)."""

    def on_batch_end(self, trainer, logs):
        """Run after a batch; `logs` holds the running means of the epoch."""

    def on_validation_end(self, trainer, logs):
        """Run after the validation pass; `logs` holds the `val_` numbers."""

    def on_epoch_end(self, trainer, logs):
        """Run after an epoch; `logs` is the row that went into `trainer.history`."""

    def on_checkpoint(self, trainer, path):
        """Run after a checkpoint was written to `path`."""

    def on_interrupt(self, trainer):
        """Run when Ctrl-C stopped the run, after its checkpoint was written."""

    def on_train_end(self, trainer):
        """Run once after the last epoch, also after an early stop; not after an error."""

    def state_dict(self):
        """Return what a checkpoint must keep (numbers, strings, tensors, lists, dicts)."""
        return {}

    def load_state_dict(self, state):
        """Take back what `state_dict` returned."""


class LambdaCallback(Callback):
    """Make a callback of functions.

    Args:
        **hooks: functions by method name, called with that method's arguments.

    Example:
        >>> seen = []
        >>> callback = LambdaCallback(on_epoch_end=lambda trainer, logs: seen.append(logs["loss"]))
    """

    def __init__(self, **hooks):
        for name, function in hooks.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                known = ", ".join(n for n in vars(Callback) if n.startswith("on_"))
                raise TypeError(f"LambdaCallback: no event named {name!r}; events are {known}")
            setattr(self, name, function)


def register_training_callback(callback):
    """Call `callback` in every training run of this process from now on.

    Args:
        callback: a function `fn(epoch, loss, accuracy)`, called after each epoch with Python numbers
            (epoch from 1; accuracy is nan where the task has none), or a `Callback`.

    Returns:
        `callback` itself, so that this also serves as a decorator.
    """
    if not callable(callback) and not isinstance(callback, Callback):
        raise TypeError("register_training_callback: expected a function (epoch, loss, accuracy) or a Callback, "
                        f"got {type(callback).__name__}")
    _registered.append(callback)
    return callback


def unregister_training_callback(callback):
    """Stop calling `callback`; ValueError if it was never registered."""
    try:
        _registered.remove(callback)
    except ValueError:
        raise ValueError(f"unregister_training_callback: {callback!r} is not registered") from None


def clear_training_callbacks():
    """Forget every registered callback."""
    _registered.clear()


def training_callbacks():
    """Return the registered callbacks, oldest first, as a new list."""
    return list(_registered)


class _Monitor:
    """The best value so far of one column of the history.

    Args:
        name: column; 'auto' takes val_loss if the run validates, else loss.
        mode: 'min', 'max' or 'auto' (max for accuracy-like names).
        min_delta: least change that counts as better.
    """

    RISING = ("acc", "f1", "precision", "recall", "auc", "score", "r2")

    def __init__(self, name="auto", mode="auto", min_delta=0.0):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.name, self.mode, self.min_delta = name, mode, abs(min_delta)
        self.best, self.best_epoch = None, 0

    def column(self, logs):
        return ("val_loss" if "val_loss" in logs else "loss") if self.name == "auto" else self.name

    def rising(self, column):
        return self.mode == "max" or (self.mode == "auto" and any(word in column for word in self.RISING))

    def update(self, epoch, logs):
        """Return whether `logs` is better than all before it."""
        column = self.column(logs)
        if column not in logs:
            raise KeyError(f"monitor {column!r} is not in this run's metrics: {', '.join(logs)}")
        value = logs[column]
        if value is None or math.isnan(value):
            return False
        if self.best is not None:
            gain = value - self.best if self.rising(column) else self.best - value
            if gain <= self.min_delta:
                return False
        self.best, self.best_epoch = value, epoch
        return True

    def state_dict(self):
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state):
        self.best, self.best_epoch = state["best"], state["best_epoch"]


class EarlyStopping(Callback):
    """Stop when a metric has not become better for `patience` epochs.

    Args:
        patience: epochs without improvement that are allowed.
        monitor: a column of the history; 'auto' is val_loss, or loss without validation.
        mode: 'min', 'max', or 'auto' by the column's name.
        min_delta: least change that counts as an improvement.
        restore_best: put the best epoch's weights back into the model at the end.
    """

    def __init__(self, patience=5, monitor="auto", mode="auto", min_delta=0.0, restore_best=False):
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {patience}")
        self.patience = patience
        self.restore_best = restore_best
        self.monitor = _Monitor(monitor, mode, min_delta)
        self.waited = 0
        self.stopped_epoch = 0
        self._best_weights = None

    def on_epoch_end(self, trainer, logs):
        if self.monitor.update(trainer.epoch, logs):
            self.waited = 0
            if self.restore_best:
                self._best_weights = {k: v.detach().clone() for k, v in trainer.model.state_dict().items()}
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.stopped_epoch = trainer.epoch
            trainer.stop(f"no better {self.monitor.column(logs)} for {self.waited} epochs "
                         f"(best {self.monitor.best:.6g} in epoch {self.monitor.best_epoch})"
                         if self.monitor.best is not None else
                         f"{self.monitor.column(logs)} was never a number in {self.waited} epochs")

    def on_train_end(self, trainer):
        if self._best_weights is not None:
            trainer.model.load_state_dict(self._best_weights)

    def state_dict(self):
        state = {"monitor": self.monitor.state_dict(), "waited": self.waited}
        if self._best_weights is not None:
            state["best_weights"] = dict(self._best_weights)
        return state

    def load_state_dict(self, state):
        self.monitor.load_state_dict(state["monitor"])
        self.waited = state["waited"]
        self._best_weights = state.get("best_weights")


class ModelCheckpoint(Callback):
    """Write `last.safetensors` every few epochs and `best.safetensors` when a metric improves.

    Both are whole checkpoints: `Trainer.train(..., resume=path)` goes on from either.

    Args:
        directory: made if it does not exist.
        monitor, mode, min_delta: as in `EarlyStopping`.
        every: epochs between two `last` files; the final epoch is always written.
    """

    first_rank_only = True

    def __init__(self, directory, monitor="auto", mode="auto", min_delta=0.0, every=1):
        if every < 1:
            raise ValueError(f"ModelCheckpoint: every must be at least 1, got {every}")
        self.directory = os.fspath(directory)
        self.every = every
        self.monitor = _Monitor(monitor, mode, min_delta)

    @property
    def last_path(self):
        return os.path.join(self.directory, "last.safetensors")

    @property
    def best_path(self):
        return os.path.join(self.directory, "best.safetensors")

    def on_train_begin(self, trainer):
        os.makedirs(self.directory, exist_ok=True)

    def on_epoch_end(self, trainer, logs):
        if self.monitor.update(trainer.epoch, logs):
            trainer.save_checkpoint(self.best_path)
        if trainer.epoch % self.every == 0 or trainer.stopping or trainer.epoch == trainer.last_epoch:
            trainer.save_checkpoint(self.last_path)

    def state_dict(self):
        return {"monitor": self.monitor.state_dict()}

    def load_state_dict(self, state):
        self.monitor.load_state_dict(state["monitor"])


class HistoryLogger(Callback):
    """Keep `history.csv` and `history.json` in a folder up to date, one row per epoch.

    The files are written anew and renamed after each epoch, so that a reader never sees half a row
    and a resumed run leaves no row twice.
    """

    first_rank_only = True

    def __init__(self, directory):
        self.directory = os.fspath(directory)

    @property
    def csv_path(self):
        return os.path.join(self.directory, "history.csv")

    @property
    def json_path(self):
        return os.path.join(self.directory, "history.json")

    def on_train_begin(self, trainer):
        os.makedirs(self.directory, exist_ok=True)

    def on_epoch_end(self, trainer, logs):
        trainer.history.to_csv(self.csv_path)
        trainer.history.to_json(self.json_path)


class TensorBoardLogger(Callback):
    """Write metrics, and if asked weights, as TensorBoard events through tensorboardX.

    Args:
        directory: of the event files.
        histograms: also write each parameter's histogram after each epoch.
    """

    first_rank_only = True

    def __init__(self, directory, histograms=False):
        from .utils.tensorboard import SummaryWriter
        self.histograms = histograms
        self._make, self._writer = lambda: SummaryWriter(os.fspath(directory)), None

    @property
    def writer(self):
        """The SummaryWriter, made when first used: on several ranks only the first one writes."""
        if self._writer is None:
            self._writer = self._make()
        return self._writer

    def on_epoch_end(self, trainer, logs):
        for name, value in logs.items():
            if isinstance(value, (int, float)) and name != "epoch":
                self.writer.add_scalar(name, value, trainer.epoch)
        if self.histograms:
            for name, parameter in trainer.model.named_parameters():
                self.writer.add_histogram(name.replace(".", "/"), parameter, trainer.epoch)
        self.writer.flush()

    def on_train_end(self, trainer):
        self.writer.close()

    def on_interrupt(self, trainer):
        self.writer.close()


class TrainingDiverged(RustorchError, ArithmeticError):
    """The loss became nan or infinite."""


class TerminateOnNaN(Callback):
    """Raise `TrainingDiverged` as soon as a batch's loss is nan or infinite."""

    def on_batch_end(self, trainer, logs):
        if not math.isfinite(trainer.batch_loss):
            raise TrainingDiverged(
                f"loss is {trainer.batch_loss} in epoch {trainer.epoch}, batch {trainer.batch}: "
                "lower the learning rate, clip gradients, or look for bad values in the data",
                epoch=trainer.epoch, batch=trainer.batch)
