"""`rustorch train` as a user runs it: what it leaves, how it fails, how it stops and goes on."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from rustorch_py.cli import main
from test_cli_data import idx, images, mnist

numpy = pytest.importorskip("numpy")
SMALL = ["--model", "mlp", "--batch-size", "8", "--no-pictures"]


def rustorch(*arguments, cwd, **options):
    return subprocess.run([sys.executable, "-m", "rustorch_py.cli", *map(str, arguments)], cwd=cwd, capture_output=True,
                          text=True, timeout=240, env=environment(), **options)


def environment():
    """Ours, with the package found from any folder."""
    paths = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def table(folder, n=400, classes=4, features=6):
    rng = numpy.random.default_rng(0)
    x = rng.normal(size=(n, features))
    y = (x @ rng.normal(size=(features, classes))).argmax(1)
    path = folder / "table.csv"
    path.write_text("".join(",".join(f"{v:.6f}" for v in row) + f",{c}\n" for row, c in zip(x, y)))
    return path


def results(out):
    from rustorch_py.utils import load
    rows = json.loads((out / "history.json").read_text())
    for row in rows:
        del row["seconds"]
    return rows, {k: v.tolist() for k, v in load(out / "model.safetensors").items()}


def test_leaves_model_history_and_pictures(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    folder = mnist(tmp_path / "m")
    assert main(["train", "--data", str(folder), "--epochs", "4", "--batch-size", "10"]) == 0
    out = tmp_path / "runs" / "m-cnn"
    text = capsys.readouterr().out
    for name in ("model.safetensors", "run.json", "history.csv", "history.json", "curves.png", "confusion.png", "graph.png",
                 "checkpoints/last.safetensors", "checkpoints/best.safetensors"):
        assert (out / name).stat().st_size > 0
    for name in ("model.safetensors", "curves.png", "confusion.png", "graph.png", "history.csv"):
        assert os.path.join("runs", "m-cnn", name) in text
    assert "30 samples to train on, 9 held out" in text and re.search(r"epoch 4/4  loss .*val_accuracy", text)
    saved = json.loads((out / "run.json").read_text())
    assert f"held-out accuracy {saved['held_out_accuracy']:.2%}" in text and saved["classes"] == ["0", "1", "2"]
    assert sum(map(sum, saved["confusion_matrix"])) == 9 and saved["options"]["epochs"] == 4
    assert not [p for p in out.rglob("*") if p.name.endswith(".tmp")]

    from safetensors.numpy import load_file
    assert any(v.ndim == 4 for v in load_file(out / "model.safetensors").values())


def test_same_seed_same_numbers_and_other_seed_not(tmp_path, monkeypatch):
    path = table(tmp_path)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert main(["train", "--data", str(path), *SMALL, "--epochs", "2", "--seed", str(seed), "--out", str(tmp_path / name)]) == 0
    assert results(tmp_path / "a") == results(tmp_path / "b") != results(tmp_path / "c")


@pytest.mark.parametrize("options", [["--model", "linear", "--optimizer", "sgd", "--schedule", "constant"],
                                     ["--optimizer", "adam", "--clip-norm", "1", "--weight-decay", "0", "--patience", "3"]])
def test_learns_a_table(tmp_path, options):
    out = tmp_path / "out"
    assert main(["train", "--data", str(table(tmp_path)), *options, "--epochs", "25", "--batch-size", "16", "--lr", "0.02",
                 "--no-pictures", "--out", str(out)]) == 0
    assert json.loads((out / "run.json").read_text())["held_out_accuracy"] > 0.85


def test_digits_to_98_percent(tmp_path, capsys):
    pytest.importorskip("sklearn")
    out = tmp_path / "out"
    assert main(["train", "--data", "digits", "--epochs", "8", "--no-pictures", "--out", str(out)]) == 0
    assert json.loads((out / "run.json").read_text())["held_out_accuracy"] >= 0.98


@pytest.mark.parametrize("when", [1, 3])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_saves_and_resume_gives_the_same_numbers(tmp_path, when, number):
    path = table(tmp_path, n=3000)
    arguments = ["train", "--data", path, *SMALL, "--epochs", "20"]  # long enough for a signal to meet it under way
    whole = rustorch(*arguments, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr

    process = subprocess.Popen([sys.executable, "-m", "rustorch_py.cli", *map(str, arguments), "--out", "parts"], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    for line in process.stdout:
        if line.startswith(f"epoch {when}/20"):
            break
    time.sleep(0.03)  # into the next epoch
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "go on with: rustorch train --resume parts" in err and "Traceback" not in err
    assert len(err.strip().splitlines()) == 1

    resumed = rustorch("train", "--resume", "parts", "--no-pictures", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert results(tmp_path / "parts") == results(tmp_path / "whole")
    assert (tmp_path / "parts" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_resume_rules(tmp_path, capsys):
    out = str(tmp_path / "out")
    path = str(table(tmp_path))
    assert main(["train", "--data", path, *SMALL, "--epochs", "2", "--out", out]) == 0
    capsys.readouterr()
    assert main(["train", "--resume", out, "--epochs", "3", "--no-pictures"]) == 0
    assert "epoch 3/3" in capsys.readouterr().out
    assert main(["train", "--resume", out, "--lr", "0.5"]) == 2
    assert "--lr 0.5: the run being resumed has 0.003" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert "no checkpoint there" in capsys.readouterr().err
    assert main(["train", "--resume", os.path.join(out, "model.safetensors")]) == 2
    assert "not a training checkpoint" in capsys.readouterr().err
    last = os.path.join(out, "checkpoints", "last.safetensors")
    with open(last, "r+b") as file:
        file.truncate(1000)
    assert main(["train", "--resume", out]) == 2
    assert "last.safetensors cannot be read" in capsys.readouterr().err


def test_resume_without_a_path_finds_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = str(table(tmp_path))
    assert main(["train", "--data", path, *SMALL, "--epochs", "1"]) == 0
    assert main(["train", "--data", path, "--epochs", "2", "--no-pictures", "--resume"]) == 0
    assert "epoch 2/2" in capsys.readouterr().out
    assert main(["train", "--data", path, "--model", "linear", "--epochs", "1", "--no-pictures"]) == 0
    capsys.readouterr()
    assert "several runs of table" in fail(capsys, "--data", path, "--resume")
    assert "no run of other" in fail(capsys, "--data", "other.csv", "--resume")
    assert "--resume without a PATH" in fail(capsys, "--resume")
    assert main(["train", "--data", path, "--model", "linear", "--epochs", "2", "--no-pictures", "--resume"]) == 0
    assert main(["train", "--out", os.path.join("runs", "table-mlp"), "--epochs", "3", "--no-pictures", "--resume"]) == 0
    assert "epoch 3/3" in capsys.readouterr().out


def fail(capsys, *arguments, code=2):
    assert main(["train", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    assert err.startswith("rustorch: error: ") and len(err.splitlines()) == 1, err
    return err


def test_one_clear_line_for_what_cannot_be(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = table(tmp_path)
    assert "--data" in fail(capsys)
    assert "no such file" in fail(capsys, "--data", "nowhere")
    assert "module:Class" in fail(capsys, "--data", path, "--model", "resnet")
    assert "needs images" in fail(capsys, "--data", path, "--model", "cnn")
    assert "no_such_module" in fail(capsys, "--data", path, "--model", "no_such_module:Net")
    assert "not JSON" in fail(capsys, "--data", path, "--model", "m:C", "--model-args", "{")
    assert "cuda" in fail(capsys, "--data", path, "--device", "cuda:9")
    assert "--model-args is for" in fail(capsys, "--data", path, "--model", "mlp", "--model-args", '{"a": 1}')
    (tmp_path / "file").write_text("")
    assert "file" in fail(capsys, "--data", path, *SMALL, "--out", tmp_path / "file" / "out")
    x, y = images(12)
    (tmp_path / "i").write_bytes(idx(x))
    (tmp_path / "l").write_bytes(idx(y)[:-2])
    assert "cut off" in fail(capsys, "--data", tmp_path / "i", tmp_path / "l")
    assert "lower the learning rate" in fail(capsys, "--data", path, "--model", "mlp", "--optimizer", "sgd", "--lr", "1e30",
                                             "--epochs", "4", "--no-pictures", code=1)


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--lr", "-1"], ["--lr", "nan"], ["--held-out", "1"],
                                       ["--batch-size", "x"], ["--optimizer", "lion"]])
def test_usage_errors_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "--data", "digits", *arguments])
    assert caught.value.code == 2 and arguments[0] in capsys.readouterr().err


def test_own_model_class(tmp_path, capsys, monkeypatch):
    (tmp_path / "my_nets.py").write_text("""
from rustorch_py import nn
class Net(nn.Module):
    def __init__(self, hidden=8, classes=4):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, hidden), nn.Tanh(), nn.Linear(hidden, classes))
    def forward(self, x):
        return self.body(x)
def not_a_module():
    return 3
""")
    path = table(tmp_path)
    done = rustorch("train", "--data", path, "--model", "my_nets:Net", "--model-args", '{"hidden": 5}', "--epochs", "1",
                    "--no-pictures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "59 parameters" in done.stdout and (tmp_path / "runs" / "table-Net" / "model.safetensors").exists()
    resumed = rustorch("train", "--resume", tmp_path / "runs" / "table-Net", "--epochs", "2", "--no-pictures", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "expected a Module" in fail(capsys, "--data", path, "--model", "my_nets:not_a_module")
    assert "no Other" in fail(capsys, "--data", path, "--model", "my_nets:Other")
    assert "must have shape (2, 4), got (2, 7)" in fail(capsys, "--data", path, "--model", "my_nets:Net", "--model-args",
                                                        '{"classes": 7}')
    assert "--model-args" in fail(capsys, "--data", path, "--model", "my_nets:Net", "--model-args", '{"width": 7}')


def test_bar_on_a_terminal_and_lines_elsewhere(tmp_path):
    pty = pytest.importorskip("pty")
    path = table(tmp_path)
    parent, child = pty.openpty()
    try:
        done = subprocess.run([sys.executable, "-m", "rustorch_py.cli", "train", "--data", str(path), *SMALL, "--epochs", "2"],
                              cwd=tmp_path, stdout=subprocess.PIPE, stderr=child, text=True, timeout=120, env=environment())
        bar = os.read(parent, 1 << 16).decode()
    finally:
        os.close(parent)
        os.close(child)
    assert done.returncode == 0
    assert re.search(r"epoch 2/2 .* loss \S+ acc \S+% val \S+ acc \S+%", bar) and "epoch 2/2" not in done.stdout
    assert "held-out accuracy" in done.stdout


def test_pictures_without_matplotlib_are_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["train", "--data", str(table(tmp_path)), "--epochs", "1", "--out", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert "no pictures" in err and "rustorch_py[viz]" in err and "graph.png" not in out
    assert (tmp_path / "out" / "model.safetensors").exists()
