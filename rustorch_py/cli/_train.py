"""`rustorch train`."""
from __future__ import annotations

import json
import math
import os
import shlex
import signal
import sys
import time

from .. import callbacks, nn, optim
from .. import tensor as _t
from ..data import DataLoader, TensorDataset
from ..errors import DataError
from ..tensor._cpu import set_num_threads
from ..training import Trainer, _ranks, metrics
from ..training._progress import format_logs
from ..training._trainer import read_checkpoint
from ..utils import save
from ..utils.atomic import atomic_write
from . import _data, _models

# Options that belong to a run: kept in its checkpoints, taken from there on --resume.
DEFAULTS = {"data": None, "label": None, "image_size": None, "held_out": 0.2, "model": None, "model_args": None,
            "epochs": 20, "batch_size": 64, "lr": 0.003, "optimizer": "adamw", "schedule": "cosine",
            "weight_decay": 0.01, "clip_norm": None, "patience": None, "seed": 0, "device": "cpu", "threads": None,
            "out": None}
# What may differ from the run that is resumed: how long and where, not what is computed.
CHANGEABLE = ("epochs", "device", "threads", "out", "data", "patience")


def run(arguments):
    """Carry out `rustorch train`; returns the exit code. Under mpirun the ranks train together; rank 0 speaks and writes."""
    _ranks.join()
    first = _ranks.is_first()
    options, checkpoint = _options(arguments)
    if options["threads"]:
        set_num_threads(options["threads"])
    device = _t.device(options["device"])
    data = _data.load(options["data"], label=options["label"], image_size=options["image_size"],
                      held_out=options["held_out"], seed=options["seed"])
    options["model"] = options["model"] or ("cnn" if data.is_image else "mlp")
    options["out"] = options["out"] or _default_out(data.name, options["model"])
    out = options["out"]
    os.makedirs(out, exist_ok=True)

    _t.manual_seed(options["seed"])
    model = _models.build(options["model"], data, _model_arguments(options))
    # Moved before the optimizer sees the parameters.
    model.to(device)
    trainer = _trainer(model, options, device)
    loader = DataLoader(TensorDataset(data.train_x, data.train_y), batch_size=options["batch_size"], shuffle=True)
    held_out = DataLoader(TensorDataset(data.test_x, data.test_y), batch_size=max(256, options["batch_size"]))

    parameters = sum(p.numel() for p in model.parameters())
    if first:
        print(f"{data.name}: {len(data.train_y):,} samples to train on, {len(data.test_y):,} held out, "
              f"{data.num_classes} classes, inputs {'×'.join(map(str, data.input_shape))}")
        print(f"{options['model']}: {parameters:,} parameters on {device}, {options['epochs']} epochs{_ranks.text()}", flush=True)
    started = time.perf_counter()
    with _TerminateLikeInterrupt():
        try:
            trainer.train(loader, options["epochs"], held_out, resume=checkpoint)
        except KeyboardInterrupt as stop:
            if trainer.interrupt_checkpoint:
                raise KeyboardInterrupt(
                    f"interrupted in epoch {trainer.epoch} after batch {trainer.batch + 1}; saved "
                    f"{trainer.interrupt_checkpoint}; go on with: rustorch train --resume {shlex.quote(out)}") from stop
            raise
    seconds = time.perf_counter() - started
    if not first:
        return 0
    if trainer.stop_reason:
        print(f"stopped early: {trainer.stop_reason}")

    confusion = metrics.ConfusionMatrix(data.num_classes)
    result = trainer.evaluate(held_out, [confusion])
    matrix = confusion.matrix()
    right, total = int(matrix.diagonal().sum().item()), int(matrix.sum().item())
    print(f"held-out accuracy {right / total:.2%} ({right} of {total} right), loss {result['loss']:.4f}, "
          f"{seconds:.1f} s of training")
    files = _write_results(trainer, data, options, confusion, right / total)
    if not arguments.no_pictures:
        files += _draw(trainer, data, model, confusion, out)
    width = max(len(path) for path, _ in files)
    for path, what in files:
        print(f"  {path:<{width}}  {what}")
    return 0


def _options(arguments):
    """Return (options of the run, checkpoint path or None) from the command line and a resumed run."""
    given = {name: getattr(arguments, name) for name in DEFAULTS if getattr(arguments, name) is not None}
    if arguments.resume is None:
        if not given.get("data"):
            raise DataError("train: give --data (digits, a folder, IMAGES LABELS, a .csv or an .npz) or --resume")
        return {**DEFAULTS, **given}, None
    place = path = _own_folder(given) if arguments.resume is True else arguments.resume
    if os.path.isdir(path):
        path = os.path.join(path, "checkpoints", "last.safetensors")
        if not os.path.exists(path):
            raise DataError(f"--resume {place}: no checkpoint there ({path} does not exist)")
    saved = read_checkpoint(path)["config"].get("cli")
    if saved is None:
        raise DataError(f"--resume {path}: the checkpoint was not made by `rustorch train`")
    for name, value in given.items():
        if name not in CHANGEABLE and value != saved[name]:
            raise DataError(f"--{name.replace('_', '-')} {value}: the run being resumed has {saved[name]}; leave it away, or "
                            "start a new run")
    return {**DEFAULTS, **saved, **given}, path


def _default_out(data_name, model):
    return os.path.join("runs", f"{data_name}-{model.rpartition(':')[2]}")


def _own_folder(given):
    """Return the folder of the run that these options would have started."""
    if "out" in given:
        return given["out"]
    if "data" not in given:
        raise DataError("--resume without a PATH needs --out, or the --data of the run")
    name = _data.name_of(given["data"])
    if "model" in given:
        return _default_out(name, given["model"])
    found = [folder for folder in (_default_out(name, model) for model in _models.NAMED) if os.path.isdir(folder)]
    if len(found) != 1:
        raise DataError(f"--resume: {'several runs' if found else 'no run'} of {name} in runs/"
                        f"{': ' + ', '.join(found) if found else ''}; give --resume PATH")
    return found[0]


def _model_arguments(options):
    if options["model_args"] is None:
        return None
    try:
        arguments = json.loads(options["model_args"])
    except json.JSONDecodeError as error:
        raise DataError(f"--model-args is not JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise DataError(f"--model-args: expected an object like {{\"hidden\": 64}}, got {options['model_args']}")
    return arguments


def _trainer(model, options, device):
    make = {"adamw": optim.AdamW, "adam": optim.Adam, "sgd": optim.SGD}[options["optimizer"]]
    extra = {"momentum": 0.9, "nesterov": True} if options["optimizer"] == "sgd" else {}
    optimizer = make(model.parameters(), lr=options["lr"], weight_decay=options["weight_decay"], **extra)
    scheduler = None
    if options["schedule"] == "cosine":
        # One warm-up epoch, then half a cosine. A function of the epoch alone, so that a resumed run needs
        # no state of it and may have another number of epochs.
        epochs = options["epochs"]
        warm = 1 if epochs > 3 else 0

        def factor(epoch):
            if epoch < warm:
                return 0.3
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (epoch - warm) / max(1, epochs - warm))))

        scheduler = optim.lr_scheduler.LambdaLR(optimizer, factor)
    watchers = [callbacks.TerminateOnNaN()]
    if not sys.stderr.isatty():
        watchers.append(_Lines())
    return Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler, device=device, callbacks=watchers,
                   clip_norm=options["clip_norm"], early_stopping=options["patience"],
                   checkpoint_dir=os.path.join(options["out"], "checkpoints"), log_dir=options["out"],
                   config={"cli": {name: options[name] for name in DEFAULTS}})


class _Lines(callbacks.Callback):
    """One line an epoch where there is no terminal for a bar."""

    first_rank_only = True

    def on_epoch_end(self, trainer, logs):
        print(f"epoch {trainer.epoch}/{trainer.last_epoch}  {format_logs(logs)}", flush=True)


class _TerminateLikeInterrupt:
    """SIGTERM saves a checkpoint like Ctrl-C: schedulers of shared machines send it before they take them away."""

    def __enter__(self):
        self.before = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))

    def __exit__(self, *error):
        signal.signal(signal.SIGTERM, self.before)


def _write_results(trainer, data, options, confusion, accuracy):
    out = options["out"]
    model_path, run_path = os.path.join(out, "model.safetensors"), os.path.join(out, "run.json")
    save(trainer.model.state_dict(), model_path)
    precision, recall, f1 = confusion.per_class()
    with atomic_write(run_path, "w", encoding="utf-8") as file:
        json.dump({"options": {name: options[name] for name in DEFAULTS}, "classes": data.class_names,
                   "input_shape": list(data.input_shape), "mean": data.mean, "std": data.std,
                   "held_out_accuracy": accuracy, "epochs": trainer.completed_epochs,
                   "confusion_matrix": confusion.matrix().tolist(),
                   "precision": precision, "recall": recall, "f1": f1}, file, indent=1)
        file.write("\n")
    return [(model_path, "weights"), (run_path, "options, scaling, classes, scores of each class"),
            (os.path.join(out, "history.csv"), "numbers of each epoch (also .json)"),
            (os.path.join(out, "checkpoints"), "last.safetensors and best.safetensors, for --resume")]


def _draw(trainer, data, model, confusion, out):
    from ..errors import MissingDependencyError
    from .. import visualization as viz
    files = []

    def path(name, what):
        files.append((os.path.join(out, name), what))
        return files[-1][0]

    try:
        trainer.history.plot(path("curves.png", "training curves"), title=f"{data.name}: {len(trainer.history)} epochs")
        viz.plot_confusion_matrix(confusion, data.class_names, title=f"{data.name}: held-out samples",
                                  path=path("confusion.png", "confusion matrix of the held-out samples"))
        viz.plot_model_graph(model, data.test_x[:1].to(next(model.parameters()).device), title=f"{data.name} classifier",
                             path=path("graph.png", "model graph"))
        if data.is_image and data.input_shape[0] in (1, 3):
            predicted = _t.cat([trainer.predict(data.test_x[i:i + 256]).argmax(1).cpu()
                                for i in range(0, len(data.test_x), 256)])
            wrong = (predicted != data.test_y).nonzero().flatten()
            if wrong.numel():
                names = data.class_names
                viz.plot_images(data.raw_test_x[wrong], [names[i] for i in data.test_y[wrong].tolist()],
                                [names[i] for i in predicted[wrong].tolist()],
                                title=f"Wrong answers ({wrong.numel()} of {len(data.test_y)})",
                                path=path("mistakes.png", "held-out images that the model gets wrong"))
    except MissingDependencyError as error:
        print(f"rustorch: no pictures: {error}", file=sys.stderr)
        return []
    return files
