"""The training loop."""
from __future__ import annotations

import math
import os
import signal
import threading
import time

from .. import callbacks as _callbacks
from .. import tensor as _t
from ..amp import GradScaler, autocast
from ..errors import DataError
from ..nn import utils as _nn_utils
from ..utils import load as _load, save as _save
from ..utils._notebook import notebook_shell
from . import _ranks, metrics as _metrics
from ._checkpoint import FORMAT, rng_state, set_rng_state
from ._history import History
from ._progress import NotebookProgress, finish_bar, make_bar, short_logs

# Schedulers made to be stepped after every optimizer step; all others are stepped once an epoch.
_PER_STEP_SCHEDULERS = ("OneCycleLR", "CyclicLR")
_PRECISIONS = {"bf16": _t.bfloat16, "fp16": _t.float16}


class Trainer:
    """Train a model: the loop, metrics, validation, checkpoints, early stopping, logs, a progress bar.

    Args:
        model: a Module.
        optimizer: over the model's parameters.
        criterion: loss as Module or function of (output, target).
        metrics: list of names, functions or `metrics.Metric`; 'auto' is accuracy for classification.
        scheduler: a learning-rate scheduler or a list of them. ReduceLROnPlateau receives the validation
            loss (training loss without validation).
        scheduler_interval: 'epoch', 'step', or 'auto' (step for OneCycleLR and CyclicLR).
        callbacks: list of `callbacks.Callback`.
        device: where model and batches are moved; None leaves both where they are.
        precision: 'bf16' or 'fp16' runs the model under `torch.autocast` in that dtype: weights, optimizer and loss stay
            float32. 'fp16' scales the loss (`amp.GradScaler`) and leaves out steps whose gradients overflow; the scaler
            is part of checkpoints. None computes in the model's own dtype.
        accumulate: batches whose gradients make one optimizer step. Gradients are weighted by samples, so
            that the step is that of the one large batch.
        clip_norm: greatest norm of all gradients together. clip_value: greatest size of each entry.
        early_stopping: epochs without improvement, or an `EarlyStopping`.
        checkpoint_dir: folder for `last.safetensors` and `best.safetensors`; Ctrl-C also saves there.
        log_dir: folder for `history.csv` and `history.json`.
        progress: True, False, or None: a bar if stderr is a terminal, a table that grows in a notebook.
        config: a dictionary of plain values kept in checkpoints as it is.

    Example:
        >>> trainer = Trainer(model, optim.Adam(model.parameters()), nn.CrossEntropyLoss())
        >>> history = trainer.train(loader, epochs=5, val_loader=held_out)
    """

    def __init__(self, model, optimizer, criterion, *, metrics="auto", scheduler=None, scheduler_interval="auto",
                 callbacks=(), device=None, precision=None, accumulate=1, clip_norm=None, clip_value=None, early_stopping=None,
                 checkpoint_dir=None, log_dir=None, progress=None, config=None):
        if accumulate < 1:
            raise ValueError(f"Trainer: accumulate must be at least 1, got {accumulate}")
        if scheduler_interval not in ("auto", "epoch", "step"):
            raise ValueError(f"Trainer: scheduler_interval must be 'auto', 'epoch' or 'step', got {scheduler_interval!r}")
        if precision not in (None, *_PRECISIONS):
            raise ValueError(f"Trainer: precision must be None, 'bf16' or 'fp16', got {precision!r}")
        self.precision = precision
        self.device = _t.device(device) if device is not None else None
        self.scaler = GradScaler("cpu" if self.device is None else self.device.type, enabled=precision == "fp16")
        self.model = model.to(self.device) if self.device is not None else model
        self.criterion = criterion
        if self.device is not None and hasattr(criterion, "to"):
            self.criterion = criterion.to(self.device)
        self.optimizer = optimizer
        if scheduler is None:
            self.schedulers = []
        else:
            self.schedulers = list(scheduler) if isinstance(scheduler, (list, tuple)) else [scheduler]
        self.scheduler_interval = scheduler_interval
        self.metrics = None if metrics == "auto" else [_metrics.get(m) for m in metrics or ()]
        self.accumulate, self.clip_norm, self.clip_value = accumulate, clip_norm, clip_value
        self.progress = progress
        self.config = dict(config or {})

        self.callbacks = list(callbacks)
        if early_stopping is not None:
            if not isinstance(early_stopping, _callbacks.EarlyStopping):
                early_stopping = _callbacks.EarlyStopping(patience=early_stopping)
            self.callbacks.append(early_stopping)
        self.checkpoint_dir = os.fspath(checkpoint_dir) if checkpoint_dir is not None else None
        if log_dir is not None:
            self.callbacks.append(_callbacks.HistoryLogger(log_dir))
        if self.checkpoint_dir is not None:
            # Last, so that its files hold what the other callbacks of the epoch have decided.
            self.callbacks.append(_callbacks.ModelCheckpoint(self.checkpoint_dir))

        self.history = History()
        self.epoch = 0            # being trained, from 1
        self.completed_epochs = 0
        self.last_epoch = 0       # where the current call of train() ends
        self.batch = -1           # within the epoch, from 0
        self.batch_loss = math.nan
        self.global_step = 0      # optimizer steps
        self.stopping = False
        self.stop_reason = None
        self.interrupt_checkpoint = None
        self._interrupted = False
        self._loss = _metrics.Mean("loss")
        self._loader = None
        self._epoch_rng = None    # generators when this epoch's iterator was made
        self._loaded = None       # what train() still needs of a checkpoint that was read
        self._notebook = None     # the table of this call of train(), in a notebook
        self._team = None         # the other ranks, where mpirun started several (see _ranks)
        self._forward_model = None     # what a training step calls: the model, or its DistributedDataParallel

    # -- the public verbs ------------------------------------------------------------------------

    def train(self, loader, epochs=1, val_loader=None, *, resume=None):
        """Train, and return the `History`.

        Ctrl-C lets the current step finish, writes `checkpoint_dir/last.safetensors` and raises
        KeyboardInterrupt; a second Ctrl-C stops at once. A run resumed from that file continues with the
        same numbers as one that was never interrupted (see Note [Same numbers after a resume]).

        Under mpirun the ranks train together (see `_ranks`): the same program, the same batches, rank 0 has the bar and the files. Started
        again by `rustorch launch --max-restarts`, it goes on from the last checkpoint.

        Args:
            loader: yields (input, target) batches; several inputs may come as (a, b, ..., target) or
                ((a, b), target).
            epochs: how many to train; after a resume, the number at which the whole run ends.
            val_loader: evaluated after each epoch, giving the `val_` columns.
            resume: a checkpoint's path, or True for `checkpoint_dir/last.safetensors`.
        """
        if epochs < 0:
            raise ValueError(f"train: epochs must not be negative, got {epochs}")
        self._loader = loader
        self._team = _ranks.join()
        self._forward_model = self.model if self._team is None else self._team.wrap(self.model)
        last = os.path.join(self.checkpoint_dir or ".", "last.safetensors")
        if resume is None and self.checkpoint_dir is not None and _ranks.restarted() and self._first(os.path.exists(last)):
            resume = True
        if resume:
            self.load_checkpoint(last if resume is True else resume)
        self.stopping, self.stop_reason, self.interrupt_checkpoint = False, None, None
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            self.last_epoch = epochs
            self.stopping, self.stop_reason = loaded["stopped"], loaded["stop_reason"]
            set_rng_state(loaded["rng"], loader)
        else:
            self.last_epoch = self.completed_epochs + epochs

        shown = self.progress is not False and _ranks.is_first() and notebook_shell() is not None
        self._notebook = NotebookProgress(self.last_epoch - self.completed_epochs) if shown else None
        functions = _callbacks.training_callbacks()
        registered = [c for c in functions if isinstance(c, _callbacks.Callback)]
        if not _ranks.is_first():
            registered = [c for c in registered if not c.first_rank_only]
        functions = [c for c in functions if not isinstance(c, _callbacks.Callback)]
        everyone = registered + [c for c in self.callbacks if _ranks.is_first() or not c.first_rank_only]
        if not self.model.training:  # else single modules that the user put into eval mode stay there
            self.model.train()
        with _CatchInterrupt(self):
            self._tell(everyone, "on_train_begin")
            while self.completed_epochs < self.last_epoch and not self.stopping:
                self.epoch = self.completed_epochs + 1
                logs = self._run_epoch(loader, val_loader, everyone, loaded and loaded["epoch"] and loaded)
                loaded = None
                self.completed_epochs = self.epoch
                self.history.append(logs)
                for function in functions:
                    function(self.epoch, logs["loss"], logs.get("accuracy", math.nan))
                self._tell(everyone, "on_epoch_end", logs)
                if self._interrupted:
                    self._save_and_raise(everyone)
            self._tell(everyone, "on_train_end")
        return self.history

    def evaluate(self, loader, metrics=None):
        """Return the loss and the metrics over a loader, as a dictionary; weights stay as they are.

        Args:
            metrics: list as in the constructor; None takes the Trainer's own.
        """
        if metrics is not None:
            metrics = [_metrics.get(m) for m in metrics]
            for metric in metrics:
                metric.reset()
        return self._evaluate(loader, metrics)

    def predict(self, data):
        """Return the model's outputs, without gradients, for a tensor or for all batches of a loader."""
        batches = [data] if isinstance(data, _t.Tensor) else data
        outputs = []
        with _EvalMode(self.model):
            for batch in batches:
                inputs = batch if isinstance(batch, _t.Tensor) else self._split(batch, lone=True)[0]
                outputs.append(self._forward(self._move(inputs)))
        if not outputs:
            raise ValueError("predict: the loader gave no batch")
        return _t.cat(outputs) if len(outputs) > 1 else outputs[0]

    def stop(self, reason=None):
        """End training after the current epoch (for callbacks)."""
        self.stopping, self.stop_reason = True, reason

    def save_checkpoint(self, path):
        """Write everything a resume needs to one safetensors file, atomically; on several ranks the first one writes."""
        if not _ranks.is_first():
            return
        in_epoch = self.epoch > self.completed_epochs
        state = {
            "format": FORMAT,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedulers": [s.state_dict() for s in self.schedulers],
            "callbacks": {f"{i}:{type(c).__name__}": c.state_dict() for i, c in enumerate(self.callbacks)},
            "history": self.history.rows,
            "completed_epochs": self.completed_epochs,
            "global_step": self.global_step,
            "stopped": self.stopping,
            "stop_reason": self.stop_reason,
            "rng": rng_state(self._loader),
            "epoch": {"batches": self.batch + 1, "rng": self._epoch_rng, "loss": self._loss.state_dict(),
                      "metrics": [m.state_dict() for m in self.metrics or ()]} if in_epoch else None,
            "config": self.config,
            "scaler": self.scaler.state_dict(),
        }
        _save(state, path)
        for callback in self.callbacks:
            callback.on_checkpoint(self, path)

    def load_checkpoint(self, path):
        """Take everything back from `save_checkpoint`'s file; the next `train` goes on from there."""
        state = self._first(read_checkpoint(path) if _ranks.is_first() or self._team is None else None)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if len(state["schedulers"]) != len(self.schedulers):
            raise DataError(f"load_checkpoint: {path} holds {len(state['schedulers'])} schedulers, "
                            f"this Trainer has {len(self.schedulers)}")
        for scheduler, saved in zip(self.schedulers, state["schedulers"]):
            scheduler.load_state_dict(saved)
        for i, callback in enumerate(self.callbacks):
            saved = state["callbacks"].get(f"{i}:{type(callback).__name__}")
            if saved:
                callback.load_state_dict(saved)
        self.history = History(state["history"])
        self.completed_epochs = self.epoch = state["completed_epochs"]
        self.global_step = state["global_step"]
        self.config = state["config"]
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        self._loaded = {name: state[name] for name in ("stopped", "stop_reason", "rng", "epoch")}
        return self

    # -- one epoch -------------------------------------------------------------------------------

    def _run_epoch(self, loader, val_loader, everyone, unfinished):
        started = time.perf_counter()
        if hasattr(getattr(loader, "sampler", None), "set_epoch"):
            loader.sampler.set_epoch(self.epoch - 1)
        self.batch = -1
        self._loss.reset()
        for metric in self.metrics or ():
            metric.reset()
        if unfinished:
            set_rng_state(unfinished["epoch"]["rng"], loader)
        if self._team is not None:
            self._team.begin_epoch(loader)
        self._epoch_rng = rng_state(loader)
        batches = iter(loader)
        total = len(loader) if hasattr(loader, "__len__") else None
        width = len(str(self.last_epoch))
        description = f"epoch {self.epoch:>{width}}/{self.last_epoch}"
        if self._notebook is not None:
            bar = self._notebook.bar(total, description)
        else:
            bar = make_bar(total, description, self.progress if _ranks.is_first() else False)
        try:
            if unfinished:
                self._skip(batches, unfinished["epoch"], unfinished["rng"], bar)
            self._tell(everyone, "on_epoch_begin")
            self._train_batches(batches, everyone, bar)
            if self.batch < 0:
                raise DataError("train: the loader gave no batch (is the data set smaller than batch_size with "
                                "drop_last=True?)")
            logs = {"epoch": self.epoch, **self._numbers()}
            # The rate this epoch ended with; schedulers then set the next epoch's.
            rate = float(self.optimizer.param_groups[0]["lr"])
            if val_loader is not None:
                if bar is not None:
                    bar.set_postfix_str(short_logs(logs) + " validating", refresh=True)
                logs.update(self._validate(val_loader, everyone))
            self._step_schedulers(logs)
            logs["lr"] = rate
            logs["seconds"] = round(time.perf_counter() - started, 4)
            if bar is not None:
                finish_bar(bar, logs)
            return logs
        finally:
            if bar is not None:
                bar.close()

    def _skip(self, batches, state, rng_now, bar):
        """Pass over the batches that were done before the interruption (see the Note in _checkpoint)."""
        for done in range(state["batches"]):
            batch = next(batches, None)
            if batch is None:
                raise DataError(f"resume: the loader ended after {done} batches, the checkpoint was made after "
                                f"{state['batches']}; resume with the same data and batch size")
            if self.metrics is None:
                # The kinds of metric follow from a batch; the numbers come from the checkpoint.
                with _EvalMode(self.model):
                    inputs, target = self._split(batch)
                    self.metrics = _metrics.default_metrics(self.criterion, self._forward(self._move(inputs)),
                                                            self._move(target))
        set_rng_state(rng_now, self._loader)
        self.batch = state["batches"] - 1
        self._loss.load_state_dict(state["loss"])
        for metric, saved in zip(self.metrics or (), state["metrics"]):
            metric.load_state_dict(saved)
        if bar is not None:
            bar.update(state["batches"])

    def _train_batches(self, batches, everyone, bar):
        sums = getattr(self.criterion, "reduction", "mean") == "sum"
        weigh = self.accumulate > 1 and not sums
        held = samples = 0  # batches and samples whose gradients wait for a step
        self.optimizer.zero_grad()
        for batch in batches:
            self.batch += 1
            self._tell(everyone, "on_batch_begin")
            inputs, target = self._split(batch)
            size = _length(target)
            if self._team is None:
                target = self._move(target)
                output = self._forward(self._move(inputs))
                loss = self.criterion(output, target)
                self.scaler.scale(loss * size if weigh else loss).backward()
                self.batch_loss = loss.item()
            else:
                output, target, loss, size = self._team_step(inputs, target, size, sums, weigh)
            held, samples = held + 1, samples + size
            self._loss.update(self.batch_loss / size if sums else self.batch_loss, size)
            with _t.no_grad():
                if self.metrics is None:
                    self.metrics = _metrics.default_metrics(self.criterion, output, target)
                for metric in self.metrics:
                    metric.update(output, target)
            del output, loss  # the graph goes before the next batch is made

            if held == self.accumulate:
                self._optimizer_step(1.0 / samples if weigh else None)
                held = samples = 0
            if bar is not None:
                bar.set_postfix_str(short_logs(self._numbers()), refresh=False)
                bar.update()
            if everyone:
                self._tell(everyone, "on_batch_end", self._numbers())
            if self._interrupted and held == 0:
                self._save_and_raise(everyone)
        if held:
            self._optimizer_step(1.0 / samples if weigh else None)

    def _team_step(self, inputs, target, size, sums, weigh):
        """Forward and backward of this rank's rows; returns the batch's outputs, targets, own loss and number of rows."""
        team = self._team
        inputs, target, mine, size = team.share(inputs, target, size, team.sharded(self._loader))
        with team.own_random():
            target = self._move(target)
            output = self._forward(self._move(inputs), self._forward_model)
            loss = self.criterion(output, target)
            # DistributedDataParallel divides the sum of the ranks' gradients by their number.
            weight = float(mine > 0) if sums else mine / size
            self.scaler.scale(loss * (weight * team.size * (size if weigh else 1))).backward()
        self.batch_loss, interrupted = team.sum(loss.item() * weight if mine else 0.0, float(self._interrupted))
        self._interrupted = interrupted > 0
        if self.metrics is None or self.metrics:
            output, target = team.gather(output, mine), team.gather(target, mine)
        return output, target, loss, size

    def _first(self, value):
        """Return rank 0's value."""
        return value if self._team is None else self._team.from_first(value)

    def _optimizer_step(self, factor):
        self.scaler.unscale_(self.optimizer)
        if factor is not None:
            self._scale_gradients(factor)
        if self.clip_value is not None:
            _nn_utils.clip_grad_value_(self.model.parameters(), self.clip_value)
        if self.clip_norm is not None:
            _nn_utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.global_step += 1
        for scheduler in self.schedulers:
            if self._interval(scheduler) == "step":
                scheduler.step()

    def _scale_gradients(self, factor):
        with _t.no_grad():
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)

    def _interval(self, scheduler):
        if self.scheduler_interval != "auto":
            return self.scheduler_interval
        return "step" if _is_a(scheduler, *_PER_STEP_SCHEDULERS) else "epoch"

    def _step_schedulers(self, logs):
        for scheduler in self.schedulers:
            if self._interval(scheduler) == "step":
                continue
            if _is_a(scheduler, "ReduceLROnPlateau"):
                scheduler.step(logs.get("val_loss", logs["loss"]))
            else:
                scheduler.step()

    def _validate(self, loader, everyone):
        before = rng_state(self._loader)
        try:
            numbers = {f"val_{k}": v for k, v in self._evaluate(loader, interruptible=True).items()}
        except _ValidationInterrupted:
            # As if validation had not begun: a resumed run starts it again with the same generators.
            set_rng_state(before, self._loader)
            self._save_and_raise(everyone)
        self._tell(everyone, "on_validation_end", numbers)
        return numbers

    def _evaluate(self, loader, chosen=None, interruptible=False):
        mean = _metrics.Mean()
        sums = getattr(self.criterion, "reduction", "mean") == "sum"
        if chosen is None and self.metrics is not None:
            chosen = [_fresh(metric) for metric in self.metrics]
        team = self._team if interruptible else None      # evaluate() may be called by one rank alone
        sharded = team is not None and team.sharded(loader)
        with _EvalMode(self.model):
            for batch in loader:
                inputs, target = self._split(batch)
                size = mine = _length(target)
                if team is not None:
                    inputs, target, mine, size = team.share(inputs, target, size, sharded)
                target = self._move(target)
                output = self._forward(self._move(inputs))
                value = self.criterion(output, target).item()
                if team is not None:
                    value, interrupted = team.sum((value if sums else value * mine / size) if mine else 0.0, float(self._interrupted))
                    self._interrupted = interrupted > 0
                if chosen is None:
                    chosen = _metrics.default_metrics(self.criterion, output, target)
                if team is not None and chosen:
                    output, target = team.gather(output, mine), team.gather(target, mine)
                mean.update(value / size if sums else value, size)
                for metric in chosen:
                    metric.update(output, target)
                if interruptible and self._interrupted:
                    raise _ValidationInterrupted
        return {"loss": mean.compute(), **{m.name: m.compute() for m in chosen or ()}}

    # -- small parts -----------------------------------------------------------------------------

    def _split(self, batch, lone=False):
        """Return (input, target) of a batch. `lone`: a batch may be inputs alone."""
        if isinstance(batch, (list, tuple)) and len(batch) == 2:
            return batch[0], batch[1]
        if isinstance(batch, (list, tuple)) and len(batch) > 2:
            return tuple(batch[:-1]), batch[-1]
        if lone:
            return (batch[0] if isinstance(batch, (list, tuple)) else batch), None
        raise DataError("train: a batch must be (input, target) or (input, ..., target), got "
                        f"{type(batch).__name__}{f' of length {len(batch)}' if isinstance(batch, (list, tuple)) else ''}")

    def _forward(self, inputs, model=None):
        model = self.model if model is None else model
        if self.precision is None:
            return _call(model, inputs)
        with autocast("cpu" if self.device is None else self.device.type, dtype=_PRECISIONS[self.precision]):
            return _widened(_call(model, inputs))

    def _move(self, value):
        if self.device is None:
            return value
        if isinstance(value, _t.Tensor):
            return value.to(self.device)
        if isinstance(value, (list, tuple)):
            return type(value)(self._move(v) for v in value)
        if isinstance(value, dict):
            return {k: self._move(v) for k, v in value.items()}
        return value

    def _numbers(self):
        return {"loss": self._loss.compute(), **{m.name: m.compute() for m in self.metrics or ()}}

    def _tell(self, everyone, event, *arguments):
        for callback in everyone:
            getattr(callback, event)(self, *arguments)

    def _save_and_raise(self, everyone):
        if self.checkpoint_dir is not None:
            os.makedirs(self.checkpoint_dir, exist_ok=True)
            self.interrupt_checkpoint = os.path.join(self.checkpoint_dir, "last.safetensors")
            self.save_checkpoint(self.interrupt_checkpoint)
        self._tell(everyone, "on_interrupt")
        if self._team is not None:
            self._team.barrier()           # a rank that leaves ends the job: not before rank 0 has written
        where = f"; saved {self.interrupt_checkpoint}" if self.interrupt_checkpoint else ""
        raise KeyboardInterrupt(f"training interrupted in epoch {self.epoch} after batch {self.batch + 1}{where}")


class _ValidationInterrupted(Exception):
    """Raised inside a validation pass when Ctrl-C came."""


class _CatchInterrupt:
    """Turn the first Ctrl-C into a flag that the loop reads between steps.

    Only in the main thread, and only where Python's own handler is in place: a program's handler stays.
    """

    def __init__(self, trainer):
        self.trainer = trainer
        self.installed = False

    def __enter__(self):
        self.trainer._interrupted = False
        if (threading.current_thread() is threading.main_thread()
                and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
            signal.signal(signal.SIGINT, self.handle)
            self.installed = True

    def handle(self, number, frame):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.trainer._interrupted = True

    def __exit__(self, *error):
        if self.installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class _EvalMode:
    """Evaluation without gradients; puts each module's own training flag back afterwards."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.flags = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        self.no_grad = _t.no_grad()
        self.no_grad.__enter__()

    def __exit__(self, *error):
        self.no_grad.__exit__(*error)
        for module, training in self.flags:
            module.training = training


def _is_a(value, *class_names):
    """Return whether a class of one of these names is among the value's bases.

    By name, so that schedulers of other libraries that follow PyTorch's are known too.
    """
    return any(base.__name__ in class_names for base in type(value).__mro__)


def _call(model, inputs):
    if isinstance(inputs, (list, tuple)):
        return model(*inputs)
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(inputs)


def _widened(output):
    """Return 16-bit outputs as float32, for the loss and the metrics."""
    if isinstance(output, (list, tuple)):
        return type(output)(_widened(item) for item in output)
    if isinstance(output, dict):
        return {name: _widened(item) for name, item in output.items()}
    return output.to(_t.float32) if isinstance(output, _t.Tensor) and output.dtype in _PRECISIONS.values() else output


def _length(value):
    """Return the number of samples in a batch's target."""
    if isinstance(value, _t.Tensor):
        return value.shape[0] if value.ndim else 1
    if isinstance(value, (list, tuple)) and value:
        return _length(value[0]) if isinstance(value[0], _t.Tensor) else len(value)
    if isinstance(value, dict) and value:
        return _length(next(iter(value.values())))
    return 1


def _fresh(metric):
    """Return an empty copy of a metric, so that validation does not disturb the training numbers."""
    import copy
    twin = copy.copy(metric)
    twin.reset()
    return twin


def read_checkpoint(path):
    """Return a checkpoint's dictionary; DataError with one clear line if the file is not one.

    Raises:
        DataError: missing, damaged, or some other kind of file.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise DataError(f"checkpoint {path} does not exist")
    try:
        state = _load(path)
    except MemoryError:
        raise
    except Exception as error:
        raise DataError(f"checkpoint {path} cannot be read: {error}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise DataError(f"{path} is not a training checkpoint (expected a file written by Trainer.save_checkpoint)")
    return state
