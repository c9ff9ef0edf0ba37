"""In a notebook: one growing table for a training run, and every picture once."""
import pytest

nbformat = pytest.importorskip("nbformat", reason="running notebooks needs rustorch_py[notebooks]")
pytest.importorskip("nbclient", reason="running notebooks needs rustorch_py[notebooks]")
pytest.importorskip("ipykernel", reason="running notebooks needs rustorch_py[notebooks]")
from notebooks import run_notebook

from rustorch_py.training._progress import NotebookProgress

CELLS = ["""
import rustorch_py
from rustorch_py import nn, data, optim, training, visualization
x, y = rustorch_py.randn(64, 4), rustorch_py.randint(0, 3, (64,))
loader = data.DataLoader(data.TensorDataset(x, y), batch_size=8)
def trainer(**options):
    model = nn.Linear(4, 3)
    return training.Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), **options)
""", "history = trainer().train(loader, epochs=3, val_loader=loader)",
         "history = trainer(progress=False).train(loader, epochs=3)",
         "visualization.plot_training_history([3.0, 2.0, 1.0])",
         "visualization.plot_training_history([3.0, 2.0, 1.0], show=True)",
         "picture = visualization.plot_training_history([3.0, 2.0, 1.0], show=True)",
         "picture",
         "import matplotlib.pyplot as plt\nvisualization.plot_training_history([3.0, 2.0, 1.0])",
         "visualization.plot_training_history([3.0, 2.0, 1.0], show=True)"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    return [cell.outputs for cell in run_notebook(notebook, tmp_path_factory.mktemp("notebook")).cells]


def test_training_is_one_table(ran):
    assert [output.output_type for output in ran[1]] == ["display_data"]
    plain, page = ran[1][0].data["text/plain"], ran[1][0].data["text/html"]
    lines = plain.splitlines()
    assert lines[0].split() == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3"]
    assert page.count("<tr>") == 4 and "<pre>" not in page
    assert ran[2] == []


@pytest.mark.parametrize("cell", range(3, 9))
def test_pictures_show_once(ran, cell):
    assert sum("image/png" in getattr(output, "data", {}) for output in ran[cell]) == 1
    assert all(output.output_type in ("display_data", "execute_result") for output in ran[cell])


def test_table_with_many_epochs_stays_short(monkeypatch):
    progress = NotebookProgress(200)
    monkeypatch.setattr(progress, "show", lambda: None)
    for epoch in range(1, 124):
        bar = progress.bar(10, f"epoch {epoch}/200")
        bar.update(10)
        bar.set_postfix_str("loss <1>")
        assert "<pre>" in progress._repr_html_() and "loss &lt;1&gt;" in progress._repr_html_() and "10/10" in str(progress)
        bar.finish({"epoch": epoch, "loss": 0.5, "lr": 0.1, "seconds": 1.0})
    names, rows = progress.cells()
    assert names == ["epoch", "loss", "seconds"]          # a rate that never changes is left away
    assert len(rows) <= NotebookProgress.most_rows + 2 and rows[0][0] == "1" and rows[-1][0] == "123"
    assert progress.line == ""


