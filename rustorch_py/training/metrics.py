"""Numbers that tell how well a model does, gathered batch by batch.

A metric has `update(output, target)`, `compute()` and `reset()`; a plain function
`fn(output, target) -> number` also serves, its values averaged over samples (`Averaged`).
"""
from __future__ import annotations

import math

from .. import tensor as _t

__all__ = ["Metric", "Mean", "Averaged", "Accuracy", "ConfusionMatrix", "Precision", "Recall", "F1",
           "MeanSquaredError", "MeanAbsoluteError", "R2Score"]


class Metric:
    """Base class. `name` is the column in the history; plain attributes are the state."""

    name = "metric"

    def reset(self):
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} must define reset")

    def update(self, output, target):
        """Take in one batch."""
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def compute(self):
        """Return the value over all batches since `reset`, a Python number; nan before the first."""
        raise NotImplementedError(f"{type(self).__name__} must define compute")

    def state_dict(self):
        """Return the running state, kept in checkpoints made in the middle of an epoch."""
        return {k: v for k, v in vars(self).items() if isinstance(v, (int, float, str, list, _t.Tensor))}

    def load_state_dict(self, state):
        """Take back what `state_dict` returned."""
        vars(self).update(state)


class Mean(Metric):
    """The mean of numbers, each with a weight."""

    def __init__(self, name="mean"):
        self.name = name
        self.reset()

    def reset(self):
        self.total, self.weight = 0.0, 0

    def update(self, value, weight=1):
        self.total += value * weight
        self.weight += weight

    def compute(self):
        return self.total / self.weight if self.weight else math.nan


class Averaged(Mean):
    """The mean over samples of a function of (output, target).

    Args:
        function: returns a number or a one-element tensor, a mean over the batch.
        name: column; the function's name by default.
    """

    def __init__(self, function, name=None):
        super().__init__(name or getattr(function, "__name__", type(function).__name__.lower()))
        self.function = function

    def update(self, output, target):
        super().update(float(self.function(output, target)), len(target))


class Accuracy(Metric):
    """The share of right answers.

    Args:
        task: 'multiclass' (class scores in dimension 1, integer targets), 'binary' (one score a target,
            compared with `threshold`), or 'auto': multiclass if the target has one dimension less.
        threshold: score from which a binary answer is yes: 0.5 for probabilities, 0 for logits.
        top_k: a multiclass answer is right if the target is among the k highest scores.

    Shape:
        output (N, C, ...) and target (N, ...); binary: the same number of elements.
    """

    def __init__(self, task="auto", threshold=0.5, top_k=1, name=None):
        if task not in ("auto", "binary", "multiclass"):
            raise ValueError(f"Accuracy: task must be 'auto', 'binary' or 'multiclass', got {task!r}")
        if top_k < 1:
            raise ValueError(f"Accuracy: top_k must be at least 1, got {top_k}")
        self.task, self.threshold, self.top_k = task, threshold, top_k
        self.name = name or ("accuracy" if top_k == 1 else f"top{top_k}_accuracy")
        self.reset()

    def reset(self):
        self.right, self.count = 0, 0

    def update(self, output, target):
        multiclass = self.task == "multiclass" or (self.task == "auto" and output.ndim == target.ndim + 1
                                                   and not target.is_floating_point())
        if multiclass and self.top_k > 1:
            best = output.topk(min(self.top_k, output.shape[1]), 1).indices
            hits = (best == target.unsqueeze(1)).any(1)
        elif multiclass:
            hits = output.argmax(1) == target
        else:
            if output.numel() != target.numel():
                raise ValueError(f"Accuracy: output {tuple(output.shape)} does not fit target {tuple(target.shape)}")
            hits = (output.reshape(-1) > self.threshold) == (target.reshape(-1) > 0.5)
        self.right += int(hits.sum().item())
        self.count += hits.numel()

    def compute(self):
        return self.right / self.count if self.count else math.nan


class ConfusionMatrix(Metric):
    """How often class i (row) was taken for class j (column).

    Args:
        num_classes: None takes it from the first output's size 1.
        threshold: for outputs with one score a target, which are two classes.
    """

    name = "confusion_matrix"

    def __init__(self, num_classes=None, threshold=0.5):
        self.num_classes, self.threshold = num_classes, threshold
        self.reset()

    def reset(self):
        self.counts = None

    def update(self, output, target):
        if output.ndim == target.ndim + 1 and output.shape[1] > 1:
            classes = output.shape[1]
            predicted = output.argmax(1)
        else:
            classes = 2
            predicted = (output > self.threshold)
        predicted = predicted.reshape(-1).to(_t.int64)
        target = target.reshape(-1).to(_t.int64)
        n = self.num_classes = self.num_classes or classes
        if self.counts is None:
            self.counts = _t.zeros(n, n, dtype=_t.int64)
        self.counts += _t.bincount(target * n + predicted, minlength=n * n).reshape(n, n).cpu()

    def matrix(self):
        """Return the counts, an int64 tensor (classes, classes)."""
        n = self.num_classes or 0
        return self.counts if self.counts is not None else _t.zeros(n, n, dtype=_t.int64)

    def per_class(self):
        """Return three lists: precision, recall and F1 of each class (0 where undefined)."""
        rows = self.matrix().tolist()
        precision, recall, f1 = [], [], []
        for i, row in enumerate(rows):
            right, truly, said = row[i], sum(row), sum(other[i] for other in rows)
            p, r = right / said if said else 0.0, right / truly if truly else 0.0
            precision.append(p)
            recall.append(r)
            f1.append(2 * p * r / (p + r) if p + r else 0.0)
        return precision, recall, f1

    def compute(self):
        """Return the share on the diagonal, which is the accuracy."""
        rows = self.matrix().tolist()
        total = sum(map(sum, rows))
        return sum(row[i] for i, row in enumerate(rows)) / total if total else math.nan


class _PerClass(ConfusionMatrix):
    """Mean over classes (macro average) of one of `ConfusionMatrix.per_class`'s lists."""

    which = 0

    def compute(self):
        values = self.per_class()[self.which]
        return sum(values) / len(values) if values else math.nan


class Precision(_PerClass):
    """Of what was called class c, the share that is c; mean over classes."""

    name, which = "precision", 0


class Recall(_PerClass):
    """Of what is class c, the share that was called c; mean over classes."""

    name, which = "recall", 1


class F1(_PerClass):
    """The harmonic mean of precision and recall; mean over classes."""

    name, which = "f1", 2


class _Error(Mean):
    def __init__(self, name=None):
        super().__init__(name or type(self).name)

    def update(self, output, target):
        if output.numel() != target.numel():
            raise ValueError(f"{self.name}: output {tuple(output.shape)} does not fit target {tuple(target.shape)}")
        super().update(float(self.error(output.reshape(-1), target.reshape(-1))), target.numel())


class MeanSquaredError(_Error):
    """The mean of squared differences."""

    name = "mse"

    @staticmethod
    def error(output, target):
        return ((output - target) ** 2).mean().item()


class MeanAbsoluteError(_Error):
    """The mean of absolute differences."""

    name = "mae"

    @staticmethod
    def error(output, target):
        return (output - target).abs().mean().item()


class R2Score(Metric):
    """The share of the target's variance that the output explains; 1 is perfect, 0 is the mean's score."""

    name = "r2"

    def __init__(self):
        self.reset()

    def reset(self):
        # Welford's running mean and sum of squared deviations, batch form (Chan, Golub, LeVeque 1979).
        self.count, self.mean, self.deviation, self.residual = 0, 0.0, 0.0, 0.0

    def update(self, output, target):
        target, output = target.reshape(-1).to(_t.float64), output.reshape(-1).to(_t.float64)
        n = target.numel()
        mean = target.mean().item()
        self.residual += ((output - target) ** 2).sum().item()
        delta, total = mean - self.mean, self.count + n
        self.deviation += ((target - mean) ** 2).sum().item() + delta * delta * self.count * n / total
        self.mean += delta * n / total
        self.count = total

    def compute(self):
        return 1 - self.residual / self.deviation if self.deviation else math.nan


NAMED = {"accuracy": Accuracy, "precision": Precision, "recall": Recall, "f1": F1, "mse": MeanSquaredError,
         "mae": MeanAbsoluteError, "r2": R2Score}


def get(metric):
    """Return a Metric for a name ('accuracy', 'f1', 'mae', ...), a function, a Metric or its class."""
    if isinstance(metric, str):
        if metric not in NAMED:
            raise ValueError(f"unknown metric {metric!r}; known: {', '.join(NAMED)}")
        return NAMED[metric]()
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if isinstance(metric, Metric):
        return metric
    if callable(metric):
        return Averaged(metric)
    raise TypeError(f"a metric is a name, a Metric or a function (output, target), got {type(metric).__name__}")


# Losses whose outputs are scores of classes or of yes and no: what accuracy means there.
_CLASS_LOSSES = {"CrossEntropyLoss", "NLLLoss", "MultiMarginLoss", "cross_entropy", "nll_loss", "multi_margin_loss"}
_BINARY_LOSSES = {"BCEWithLogitsLoss": 0.0, "BCELoss": 0.5, "binary_cross_entropy_with_logits": 0.0,
                  "binary_cross_entropy": 0.5, "SoftMarginLoss": 0.0}


def default_metrics(criterion, output, target):
    """Return the metrics that fit a loss and its first batch: accuracy for classes, none for regression."""
    if not isinstance(output, _t.Tensor) or not isinstance(target, _t.Tensor):
        return []
    name = getattr(criterion, "__name__", None) or type(criterion).__name__
    if name in _BINARY_LOSSES:
        return [Accuracy("binary", threshold=_BINARY_LOSSES[name])]
    if name in _CLASS_LOSSES:
        # Class probabilities as targets have the output's shape; only class indices have an accuracy.
        return [Accuracy("multiclass")] if output.ndim == target.ndim + 1 else []
    classes = output.ndim == target.ndim + 1 and not target.is_floating_point() and target.dtype != _t.bool
    return [Accuracy("multiclass")] if classes else []
