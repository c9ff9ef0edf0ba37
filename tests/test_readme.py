"""Runs the README's Python blocks, one after the other, as a reader would."""
import contextlib
import io
import re
from pathlib import Path

import pytest

import rustorch_py

pytest.importorskip("matplotlib", reason="one block draws")
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What each block prints."""
    patch = pytest.MonkeyPatch()
    patch.chdir(tmp_path_factory.mktemp("readme"))
    patch.setenv("MPLBACKEND", "Agg")
    space, texts, threads = {"__name__": "readme"}, [], rustorch_py.get_num_threads()
    try:
        for number, block in enumerate(BLOCKS):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block, f"README block {number}", "exec"), space)
            texts.append(out.getvalue())
        yield texts
    finally:
        patch.undo()
        rustorch_py.set_debug_mode(False)
        rustorch_py.set_num_threads(threads)
        rustorch_py.callbacks.clear_training_callbacks()


def test_every_block_runs(printed):
    assert len(printed) == len(BLOCKS) >= 4


def test_printed_as_written(printed):
    """A comment after print(...) is what it prints; '...' stands for anything."""
    checked = 0
    for block, text in zip(BLOCKS, printed):
        for promise in re.findall(r"^ *print\(.*\) +# (.*)$", block, re.MULTILINE):
            pattern = re.escape(promise).replace(re.escape("..."), ".*")
            assert re.search(pattern, text), f"{promise!r} is not in {text!r}"
            checked += 1
    assert checked >= 4
