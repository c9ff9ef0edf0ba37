"""The README's first block is a PyTorch program: the same curve there."""
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
BLOCK = re.search(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE).group(1)


def curve(text):
    losses = []
    space = {"losses": losses}
    exec(compile(text.replace("    optimizer.step()\n", "    optimizer.step()\n    losses.append(loss.item())\n"), "README", "exec"), space)
    return losses


def test_the_same_curve(capsys):
    ours, theirs = curve(BLOCK), curve(BLOCK.replace("rustorch_py", "torch"))
    assert len(ours) == 500 and ours == pytest.approx(theirs, rel=0, abs=1e-7)
    first, second = capsys.readouterr().out.strip().splitlines()
    assert first.split("grad_fn")[0] == second.split("grad_fn")[0]
