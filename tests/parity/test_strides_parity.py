"""Strides of results, and views and copies, as PyTorch has them.

Two lists of calls run over images that lie in six ways (layouts.py); a quarter of PyTorch's operator database is swept, all of it with RUSTORCH_SWEEP=1 (half
a minute). What differs stands in strides.txt under its reason: that list may only become shorter.
"""
import os
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")                    # PyTorch's operator database imports it

import layouts  # noqa: E402
import rustorch_py as rt  # noqa: E402
import stride_sweep  # noqa: E402

LIST = Path(__file__).with_name("strides.txt")


def listed():
    """{(what, layout, call or operator): reason} of strides.txt; `what` is strides, memory or operator."""
    found, reason = {}, None
    for line in LIST.read_text().splitlines():
        if line.startswith("## "):
            reason = line[3:]
        elif line and not line.startswith("#"):
            what, where, call = line.split(" ", 2)
            for layout in where.split(","):
                found[what, layout, call] = reason
    return found


def compare(what, found):
    """Nothing that is not listed differs, and what is listed does (of those calls that ran)."""
    known = {key for key in listed() if key[0] == what}
    differ = {key: text for key, text in found.items() if text}
    new = [f"{' '.join(key)}: {text}" for key, text in differ.items() if key not in known]
    assert not new, "\n".join(new)
    mended = [" ".join(key) for key in known if key in found and not found[key]]
    assert not mended, "take out of strides.txt: " + "; ".join(mended)


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
@pytest.mark.parametrize("what, text", [("strides", layouts.CALLS), ("memory", layouts.VIEWS)], ids=["strides", "memory"])
def test_results_lie_as_pytorchs(what, text, layout):
    found, ran = {}, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in layouts.calls(text):
            theirs, ours = (getattr(layouts, what)(m, call, layout) for m in (torch, rt))
            if not isinstance(theirs, str):
                ran += 1
                found[what, layout, call] = "" if theirs == ours else f"{theirs}, here {ours}"
    assert ran > 150
    compare(what, found)


def test_operator_database():
    parts = 1 if os.environ.get("RUSTORCH_SWEEP") else 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        swept, names = stride_sweep.sweep("", parts)
    assert sum(calls for calls, rows in swept.values()) > 1500
    found = {("operator", how or "plain", name): "" for how in swept for name in names}
    for how, (calls, rows) in swept.items():
        for name, (count, example) in rows.items():
            found["operator", how or "plain", name] = str(example)
    compare("operator", found)
