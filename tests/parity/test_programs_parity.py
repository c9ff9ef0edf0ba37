"""Whole programs, as people write them (programs/), run by PyTorch and by this package from one text: they must print the same."""
import contextlib
import io
import re
import sys
import types
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import rustorch_py  # noqa: E402

FOLDER = Path(__file__).parent / "programs"
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\d+(?:[eE][-+]?\d+)?)")


def ours(text):
    """The program with this package in PyTorch's place."""
    text = re.sub(r"^import torch$", "import rustorch_py as torch", text, flags=re.M)
    text = re.sub(r"^import torch\.", "import rustorch_py.", text, flags=re.M)
    return re.sub(r"^from torch\b", "from rustorch_py", text, flags=re.M)


def printed(path, text):
    """Run a program in a module of its own, from a file (TorchScript reads it); return what it printed."""
    path.write_text(text, encoding="utf-8")
    module = types.ModuleType("program")
    sys.modules["program"] = module
    out = io.StringIO()
    try:
        # PyTorch's own test helpers, once imported, forbid to set flags as programs do
        with contextlib.redirect_stdout(out), warnings.catch_warnings(), getattr(torch.backends, "__allow_nonbracketed_mutation")():
            warnings.simplefilter("ignore")
            exec(compile(text, str(path), "exec"), module.__dict__)
    finally:
        del sys.modules["program"]
    return out.getvalue()


def alike(a, b):
    """Whether two lines are the same, numbers with a point up to rounding; after "!" stand the classes of an error, of which ours has more."""
    raised = re.fullmatch(r"(.*)! (\w+)[ \w]*", a), re.fullmatch(r"(.*)! ([ \w]+)", b)
    if all(raised):
        return raised[0][1] == raised[1][1] and raised[0][2] in raised[1][2].split()
    if NUMBER.sub("#", a) != NUMBER.sub("#", b):
        return False
    for x, y in zip(NUMBER.findall(a), NUMBER.findall(b)):
        if x != y and ("." not in x + y and "e" not in x + y or abs(float(x) - float(y)) > 2e-4 * max(1, abs(float(y)))):
            return False
    return True


@pytest.mark.parametrize("name", sorted(p.name for p in FOLDER.glob("*.py")))
def test_program(name, tmp_path):
    text = (FOLDER / name).read_text(encoding="utf-8").replace('if __name__ == "__main__"', "if True")
    theirs, mine = (printed(tmp_path / f"{k}.py", t).replace("rustorch_py", "torch").splitlines() for k, t in (("theirs", text), ("ours", ours(text))))
    different = [f"{a}\n    {b}" for a, b in zip(theirs, mine) if not alike(a, b)]
    assert not different and len(theirs) == len(mine), "\n".join(different[:20]) or (len(theirs), len(mine), theirs[-1:], mine[-1:])
