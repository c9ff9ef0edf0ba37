"""Programs that trace, print, change and run graphs do so alike under both libraries, to the letter."""
import importlib
import sys
import warnings
from pathlib import Path

import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fx_cases import CASES  # noqa: E402


def lines(case, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [str(line).replace("rustorch_py", "torch") for line in CASES[case](importlib.import_module(name), importlib.import_module(name + ".fx"))]


@pytest.mark.parametrize("case", CASES)
def test_same_text(case):
    assert lines(case, "rustorch_py") == lines(case, "torch")
