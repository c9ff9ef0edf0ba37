"""Progress: a tqdm bar in a terminal, a table that grows in a notebook, nothing elsewhere."""
from __future__ import annotations

import html
import math
import os
import sys
import time


# Both fit 80 columns with loss and accuracy of training and validation.
_RUNNING = "{desc} {bar:10} {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"
_DONE = "{desc} {bar:10} {n_fmt}/{total_fmt} {elapsed}{postfix}"


def _columns():
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 0


def make_bar(total, description, enabled):
    """Return a tqdm bar on stderr, or None where it is off.

    Args:
        total: steps, None if unknown.
        enabled: True, False, or None for 'if stderr is a terminal'.
    """
    if enabled is None:
        enabled = sys.stderr is not None and sys.stderr.isatty()
    if not enabled:
        return None
    from tqdm import tqdm
    # Some pseudo-terminals say that they have no columns at all; tqdm would draw empty lines there.
    width = {"dynamic_ncols": True} if _columns() else {"ncols": 100, "nrows": 24}
    if total:
        width["bar_format"] = _RUNNING
    return tqdm(total=total, desc=description, leave=True, **width)


def finish_bar(bar, logs):
    """Show an epoch's final numbers and leave the line."""
    if isinstance(bar, _NotebookBar):
        bar.finish(logs)
        return
    if bar.total:
        bar.bar_format = _DONE
    bar.set_postfix_str(short_logs(logs), refresh=True)
    bar.close()


class NotebookProgress:
    """The epochs of one call of `Trainer.train` as one table, the running epoch as a bar below it.

    tqdm's own notebook bars need ipywidgets, leave a widget an epoch, and are not kept in a saved notebook; this is
    one output, updated in place, that reads the same as HTML and as text.

    Args:
        epochs: how many the call trains; of more than `most_rows`, evenly spaced ones are shown.
    """

    most_rows = 16

    def __init__(self, epochs):
        self.epochs, self.rows, self.line = epochs, [], ""
        self._handle = None

    def bar(self, total, description):
        """Return the bar of an epoch, with the methods of tqdm's that the Trainer calls."""
        return _NotebookBar(self, total, description)

    def show(self):
        """Draw the table anew."""
        from IPython.display import display
        if self._handle is None:
            self._handle = display(self, display_id=True)
        else:
            self._handle.update(self)

    def cells(self):
        """Return the head and the shown rows as lists of texts."""
        every = math.ceil(self.epochs / self.most_rows) or 1
        last = len(self.rows) - 1
        shown = [row for i, row in enumerate(self.rows) if (i + 1) % every == 0 or i in (0, last)]
        names = [name for name in dict.fromkeys(name for row in self.rows for name in row)
                 if name != "lr" or len({row.get("lr") for row in self.rows}) > 1]
        return names, [[_cell(name, row.get(name)) for name in names] for row in shown]

    def __repr__(self):
        lines = []
        if self.rows:
            head, rows = self.cells()
            widths = [max(map(len, column)) for column in zip(head, *rows)]
            lines = ["  ".join(text.rjust(width) for text, width in zip(row, widths)) for row in [head, *rows]]
        return "\n".join(lines + ([self.line] if self.line else []))

    def _repr_html_(self):
        text = ""
        if self.rows:
            head, rows = self.cells()
            text = ("<table><thead><tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in head) + "</tr></thead><tbody>"
                    + "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows) + "</tbody></table>")
        return text + (f"<pre>{html.escape(self.line)}</pre>" if self.line else "")


class _NotebookBar:
    """The running epoch's line under the table."""

    interval_s = 0.1

    def __init__(self, progress, total, description):
        self.progress, self.total, self.description = progress, total, description
        self.n, self.postfix = 0, ""
        self._started = time.perf_counter()
        self._drawn = -math.inf
        self._draw()

    def set_postfix_str(self, text, refresh=True):
        self.postfix = text
        if refresh:
            self._draw(now=True)

    def update(self, n=1):
        self.n += n
        self._draw()

    def _draw(self, now=False):
        moment = time.perf_counter()
        if not now and moment - self._drawn < self.interval_s:
            return
        from tqdm import tqdm
        self._drawn = moment
        self.progress.line = tqdm.format_meter(self.n, self.total, moment - self._started, ncols=100, prefix=self.description,
                                               postfix=self.postfix, bar_format=_RUNNING if self.total else None)
        self.progress.show()

    def finish(self, logs):
        self.progress.rows.append(dict(logs))
        self.close()

    def close(self):
        if self.progress.line:
            self.progress.line = ""
            self.progress.show()


def _cell(name, value):
    if value is None:
        return ""
    return f"{value:.1f}" if name == "seconds" else _text(name, value, 4)


def short_logs(logs):
    """Return loss and metrics as text for the bar: 'loss 0.31 acc 90.94% val 0.27 acc 95.00%'."""
    train = [(name, value) for name, value in logs.items() if not name.startswith("val_")]
    held_out = [(name[4:], value) for name, value in logs.items() if name.startswith("val_")]
    parts = [f"{_SHORT.get(name, name)} {_text(name, value, 3)}" for name, value in train
             if name not in ("epoch", "seconds", "lr")]
    parts += [f"{'val' if name == 'loss' else _SHORT.get(name, name)} {_text(name, value, 3)}" for name, value in held_out]
    return " ".join(parts)


_SHORT = {"accuracy": "acc"}


def _text(name, value, digits):
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.{digits}g}"


def format_logs(logs):
    """Return metrics as text for a line of their own."""
    return "  ".join(f"{name} {_text(name, value, 4)}" for name, value in logs.items() if name not in ("epoch", "seconds"))
