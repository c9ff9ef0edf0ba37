"""The progress bar: tqdm in a terminal or a notebook, nothing elsewhere."""
from __future__ import annotations

import os
import sys


def in_notebook():
    """Return whether the caller's output goes to a Jupyter front end."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


# Both fit 80 columns with loss and accuracy of training and validation.
_RUNNING = "{desc} {bar:10} {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"
_DONE = "{desc} {bar:10} {n_fmt}/{total_fmt} {elapsed}{postfix}"


def _columns():
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 0


def make_bar(total, description, enabled):
    """Return a tqdm bar, or None where it is off.

    Args:
        total: steps, None if unknown.
        enabled: True, False, or None for 'where somebody looks': a terminal on stderr, a notebook.
    """
    notebook = in_notebook()
    if enabled is None:
        enabled = notebook or (sys.stderr is not None and sys.stderr.isatty())
    if not enabled:
        return None
    if notebook:
        from tqdm.auto import tqdm as notebook_bar
        return notebook_bar(total=total, desc=description, leave=True)
    from tqdm import tqdm
    # Some pseudo-terminals say that they have no columns at all; tqdm would draw empty lines there.
    width = {"dynamic_ncols": True} if _columns() else {"ncols": 100, "nrows": 24}
    if total:
        width["bar_format"] = _RUNNING
    return tqdm(total=total, desc=description, leave=True, **width)


def finish_bar(bar, logs):
    """Show an epoch's final numbers and leave the line."""
    if bar.total and not in_notebook():
        bar.bar_format = _DONE
    bar.set_postfix_str(short_logs(logs), refresh=True)
    bar.close()


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
