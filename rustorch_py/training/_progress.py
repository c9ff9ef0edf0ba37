"""The progress bar: tqdm in a terminal or a notebook, nothing elsewhere."""
from __future__ import annotations

import os
import sys


def in_notebook():
    """Return whether the caller's output goes to a Jupyter front end."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


_LAYOUT = "{desc} {bar:24} {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"


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
    from tqdm import tqdm
    if notebook:
        from tqdm.auto import tqdm
        return tqdm(total=total, desc=description, leave=True)
    # Some pseudo-terminals say that they have no columns at all; tqdm would draw empty lines there.
    width = {"dynamic_ncols": True} if _columns() else {"ncols": 100, "nrows": 24}
    if total:
        width["bar_format"] = _LAYOUT
    return tqdm(total=total, desc=description, leave=True, **width)


def format_logs(logs):
    """Return metrics as short text for the end of a line."""
    parts = []
    for name, value in logs.items():
        if name in ("epoch", "seconds"):
            continue
        if not isinstance(value, float):
            parts.append(f"{name} {value}")
        elif name.endswith("accuracy"):
            parts.append(f"{name} {value:.2%}")
        else:
            parts.append(f"{name} {value:.4g}")
    return "  ".join(parts)
