"""Curves of a training run, and the confusion matrix."""
from __future__ import annotations

import math

from ._figure import COLORS, FAINT, GREY, INK, drawn


@drawn
def plot_training_history(losses, accuracies=None, *, val_losses=None, val_accuracies=None, title=None, figure=None):
    """Draw loss and accuracy over the epochs, validation beside training, the best epoch marked.

    Args:
        losses: one number an epoch, or a `training.History`, whose columns are then all used.
        accuracies: one number an epoch, between 0 and 1; None leaves that panel away.
        val_losses, val_accuracies: the same of held-out data.
        title: above the panels.
        path: file to write. show: open a window.

    Returns:
        Picture.

    Example:
        >>> picture = plot_training_history([1.2, 0.6, 0.4], [0.5, 0.8, 0.9])
    """
    rates = None
    if hasattr(losses, "columns") and hasattr(losses, "losses"):
        history = losses
        losses, accuracies = history.losses, accuracies if accuracies is not None else history.accuracies
        val_losses = val_losses if val_losses is not None else history.val_losses
        val_accuracies = val_accuracies if val_accuracies is not None else history.val_accuracies
        rates = history["lr"] if "lr" in history and len(set(history["lr"])) > 1 else None
    losses, accuracies, val_losses, val_accuracies = map(_numbers, (losses, accuracies, val_losses, val_accuracies))
    if not losses:
        raise ValueError("plot_training_history: losses is empty, there is nothing to draw")
    panels = 1 + bool(accuracies or val_accuracies) + bool(rates)
    figure.set_size_inches(4.6 * panels if panels > 1 else 6.2, 3.6)
    axes = list(figure.subplots(1, panels, squeeze=False)[0])

    axis = axes.pop(0)
    _curve(axis, losses, val_losses, "Loss", min)
    finite = [v for v in losses + val_losses if math.isfinite(v) and v > 0]
    if finite and max(finite) / min(finite) > 30:
        axis.set_yscale("log")
    if accuracies or val_accuracies:
        axis = axes.pop(0)
        _curve(axis, accuracies, val_accuracies, "Accuracy", max)
        shown = [v for v in accuracies + val_accuracies if math.isfinite(v)]
        if shown and 0 <= min(shown) and max(shown) <= 1:
            from matplotlib.ticker import PercentFormatter
            low = min(shown)
            axis.set_ylim(max(0.0, low - 0.06 * (1 - low) - 0.004), min(1.0, max(shown)) + 0.03 * (1 - low) + 0.002)
            axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    if rates:
        axis = axes.pop(0)
        axis.plot(range(1, len(rates) + 1), rates, color=COLORS[2])
        axis.set_title("Learning rate")
        _epochs(axis, len(rates))
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontweight="bold", color=INK)
    figure.tight_layout()


def _numbers(values):
    """Return a list of floats of a list, a tensor, an array or None; a missing value is nan."""
    if values is None:
        return []
    values = values.tolist() if hasattr(values, "tolist") else list(values)
    return [math.nan if v is None else float(v) for v in values]


def _epochs(axis, count):
    from matplotlib.ticker import MaxNLocator
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlim(1 - 0.02 * count, count + 0.02 * count + (0.5 if count == 1 else 0))


def _curve(axis, train, held_out, title, best):
    marker = {"marker": "o", "markersize": 4} if max(len(train), len(held_out)) <= 12 else {}
    for values, color, name in ((train, COLORS[0], "training"), (held_out, COLORS[1], "held out")):
        if not values:
            continue
        known = [v for v in values if math.isfinite(v)]
        top = best(known) if known else math.nan
        epoch = values.index(top) + 1 if known else 0
        text = f"{top:.2%}" if best is max and 0 <= top <= 1 else f"{top:.4g}"
        axis.plot(range(1, len(values) + 1), values, color=color,
                  label=f"{name}, best {text} in epoch {epoch}" if known else name, **marker)
        if known:
            axis.plot([epoch], [top], marker="o", markersize=7, markerfacecolor="white", markeredgecolor=color,
                      markeredgewidth=1.8, linestyle="none", zorder=5, clip_on=False)
    axis.set_title(title)
    _epochs(axis, max(len(train), len(held_out)))
    axis.legend(loc="upper right" if best is min else "lower right", fontsize=8.5)


@drawn
def plot_confusion_matrix(matrix, class_names=None, *, normalize=False, title="Confusion matrix", figure=None):
    """Draw how often each class (row) was taken for each class (column).

    Args:
        matrix: counts, square: a tensor, an array, nested lists or a `metrics.ConfusionMatrix`.
        class_names: one text a class; numbers by default.
        normalize: show shares of each row instead of counts.
        title, path, show: as in `plot_training_history`.

    Returns:
        Picture.
    """
    if hasattr(matrix, "matrix"):
        matrix = matrix.matrix()
    rows = matrix.tolist() if hasattr(matrix, "tolist") else [list(r) for r in matrix]
    n = len(rows)
    if not n or any(len(row) != n for row in rows):
        raise ValueError(f"plot_confusion_matrix: expected a square matrix, got {n} rows of lengths {[len(r) for r in rows]}")
    names = [str(c) for c in (class_names if class_names is not None else range(n))]
    if len(names) != n:
        raise ValueError(f"plot_confusion_matrix: {len(names)} class names for {n} classes")
    sums = [sum(row) or 1 for row in rows]
    shares = [[value / total for value in row] for row, total in zip(rows, sums)]

    side = min(max(3.4, 0.46 * n + 1.4), 14)
    figure.set_size_inches(side + 0.9, side)
    axis = figure.add_subplot()
    # The scale ends at the greatest confusion, so that single mistakes stay visible beside a full diagonal.
    from matplotlib.colors import LinearSegmentedColormap
    right = LinearSegmentedColormap.from_list("right", ["#f3f8fc", "#8fc1e3", "#0072b2"])
    wrong = LinearSegmentedColormap.from_list("wrong", ["#f5f7fa", "#fbd0b0", "#d55e00"])
    worst = max((shares[i][j] for i in range(n) for j in range(n) if i != j), default=0) or 1
    image = [[right(shares[i][j]) if i == j else wrong(shares[i][j] / max(worst, 0.05)) for j in range(n)] for i in range(n)]
    axis.imshow(image, interpolation="nearest")
    small = 9.5 if n <= 12 else 7.5 if n <= 25 else 0
    if small:
        for i in range(n):
            for j in range(n):
                if rows[i][j]:
                    text = f"{shares[i][j]:.0%}" if normalize else f"{rows[i][j]:g}"
                    dark = shares[i][j] > 0.6 if i == j else shares[i][j] / max(worst, 0.05) > 0.75
                    axis.text(j, i, text, ha="center", va="center", fontsize=small, color="white" if dark else INK)
    long = max(map(len, names)) > 3
    axis.set_xticks(range(n), names, rotation=45 if long else 0, ha="right" if long else "center")
    axis.set_yticks(range(n), names)
    axis.set_xticks([k - 0.5 for k in range(n + 1)], minor=True)
    axis.set_yticks([k - 0.5 for k in range(n + 1)], minor=True)
    axis.grid(False)
    axis.grid(which="minor", color="white", linewidth=1.5)
    axis.tick_params(which="both", length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    hits, total = sum(rows[i][i] for i in range(n)), sum(map(sum, rows))
    axis.set_title(title, pad=22)
    if total:
        axis.text(0, 1.02, f"{hits:g} of {total:g} right ({hits / total:.2%})", transform=axis.transAxes, fontsize=9,
                  color=GREY)
    recall = axis.secondary_yaxis("right")
    recall.set_yticks(range(n), [f"{shares[i][i]:.0%}" for i in range(n)], fontsize=8.5, color=GREY)
    recall.set_ylabel("of its row right", color=FAINT, fontsize=8.5)
    recall.tick_params(length=0)
    recall.spines["right"].set_visible(False)
    figure.tight_layout()
