"""The notebooks of tutorials/: each runs without an error or a warning, and is committed with its outputs and pictures."""
import getpass
import os
import re
import shutil
import socket
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[1] / "tutorials"
NOTEBOOKS = sorted(path.name for path in TUTORIALS.glob("*.ipynb"))

nbformat = pytest.importorskip("nbformat", reason="running notebooks needs rustorch_py[notebooks]")
pytest.importorskip("nbclient", reason="running notebooks needs rustorch_py[notebooks]")
pytest.importorskip("ipykernel", reason="running notebooks needs rustorch_py[notebooks]")
from notebooks import outputs, run_notebook, texts

# Folders of the machine that ran a notebook; warnings; escape codes of coloured tracebacks.
UNWANTED = [r"(?<![\w.])/(?:home|root|tmp|work|usr|var|opt|Users|private)/", r"[A-Z]:\\", r"\w*Warning:", r"Traceback", r"\x1b\[", r" at 0x[0-9a-f]{6,}"]


def test_there_are_tutorials():
    assert len(NOTEBOOKS) >= 6
    listed = re.findall(r"\w+\.ipynb", (TUTORIALS / "README.md").read_text(encoding="utf-8"))
    assert listed == NOTEBOOKS, "tutorials/README.md lists other notebooks than there are"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_committed_outputs(name):
    path = TUTORIALS / name
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    shown = outputs(notebook)
    assert path.stat().st_size < 500_000, "keep a notebook below 500 KB"
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code"), "run every cell before committing"
    assert any("image/png" in getattr(output, "data", {}) for output in shown), "a picture is expected"
    here = [re.escape(word) for word in (str(Path.home()), socket.gethostname(), getpass.getuser()) if len(word) > 4]
    for output in shown:
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
        for text in texts(output):
            for pattern in UNWANTED + here:
                assert not re.search(pattern, text), f"{pattern} in an output: {text[:300]}"
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")):
        if link != "07_operator_plugin.ipynb":
            assert (TUTORIALS / link).exists(), f"broken link {link}"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_tutorial_runs(name, tmp_path):
    """In a copy of tutorials/, so that nothing is written beside the originals."""
    folder = tmp_path / "tutorials"
    shutil.copytree(TUTORIALS, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    notebook = nbformat.read(folder / name, as_version=4)
    before = set(os.listdir(folder))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    run_notebook(notebook, folder)
    for output in outputs(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
    assert set(os.listdir(folder)) - before <= {".jupyter"}, "a tutorial leaves files behind"
