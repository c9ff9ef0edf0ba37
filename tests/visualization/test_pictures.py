"""Pictures: files of every kind, what is drawn, errors in one line."""
import math
import subprocess
import sys

import pytest

import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.training import History, metrics

pytest.importorskip("matplotlib")
from rustorch_py import visualization as viz  # noqa: E402


def pixels(path):
    image = pytest.importorskip("matplotlib.image").imread(path)
    packed = (image[..., :3] * 255).astype("int64") @ [65536, 256, 1]
    return image.shape[:2], len(set(packed.ravel().tolist()))


def assert_drawn(path, least_colors=30):
    (height, width), colors = pixels(path)
    assert height > 200 and width > 200 and colors >= least_colors


def test_training_history(tmp_path):
    losses = [2.3 * math.exp(-e / 4) + 0.05 for e in range(20)]
    accuracies = [1 - 0.9 * math.exp(-e / 3) for e in range(20)]
    picture = viz.plot_training_history(losses, accuracies, val_losses=losses, path=tmp_path / "curves.png")
    assert_drawn(tmp_path / "curves.png")
    assert isinstance(picture, viz.Picture) and len(picture.axes) == 2
    lines = picture.axes[0].get_lines()
    assert list(lines[0].get_ydata()) == losses
    assert picture.axes[0].get_yscale() == "log" and picture._repr_png_().startswith(b"\x89PNG")
    assert len(viz.plot_training_history(losses).axes) == 1
    assert len(viz.plot_training_history(torch.tensor(losses), torch.tensor(accuracies)).axes) == 2
    with pytest.raises(ValueError, match="empty"):
        viz.plot_training_history([])


def test_history_draws_itself(tmp_path):
    history = History([{"epoch": i, "loss": 1 / i, "accuracy": 1 - 1 / (i + 1), "val_loss": 1.1 / i, "lr": 0.1 / i}
                       for i in range(1, 4)])
    picture = history.plot(tmp_path / "deep" / "er" / "curves.png")
    assert len(picture.axes) == 3
    assert_drawn(tmp_path / "deep" / "er" / "curves.png")
    nan = History([{"loss": math.nan}, {"loss": math.inf}])
    nan.plot(tmp_path / "nan.png")


@pytest.mark.parametrize("kind, magic", [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml"), ("jpg", b"\xff\xd8")])
def test_formats_by_ending(tmp_path, kind, magic):
    if kind == "jpg":
        pytest.importorskip("PIL")
    path = tmp_path / f"picture.{kind}"
    viz.plot_training_history([2, 1], path=path)
    assert path.read_bytes().startswith(magic)
    with pytest.raises(ValueError, match="xyz"):
        viz.plot_training_history([2, 1], path=tmp_path / "picture.xyz")
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


def test_confusion_matrix(tmp_path):
    metric = metrics.ConfusionMatrix()
    target = torch.tensor([0, 1, 2, 2, 1, 0])
    output = torch.eye(3)[torch.tensor([0, 1, 2, 1, 1, 0])]
    metric.update(output, target)
    picture = viz.plot_confusion_matrix(metric, ["cat", "dog", "sheep"], path=tmp_path / "m.png")
    assert_drawn(tmp_path / "m.png")
    texts = [t.get_text() for t in picture.axes[0].texts]
    assert "5 of 6 right (83.33%)" in texts and texts.count("1") == 2 and texts.count("2") == 2
    viz.plot_confusion_matrix([[0, 0], [0, 0]], normalize=True)
    viz.plot_confusion_matrix([[1] * 40] * 40)
    with pytest.raises(ValueError, match="square"):
        viz.plot_confusion_matrix([[1, 2]])
    with pytest.raises(ValueError, match="2 class names for 3"):
        viz.plot_confusion_matrix(metric, ["a", "b"])


@pytest.mark.parametrize("shape", [(), (7,), (200,), (5, 9), (3, 5, 5), (8, 3, 5, 5), (1, 1)])
def test_tensors_of_any_shape(tmp_path, shape):
    viz.visualize_tensor(torch.randn(shape), title="Gewichte Verteilung", path=tmp_path / "t.png")
    assert_drawn(tmp_path / "t.png", 10)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int64", "uint8", "bool", "complex64"])
def test_tensors_of_any_dtype(dtype):
    values = torch.ones(4, 6).to(getattr(torch, dtype))
    picture = viz.visualize_tensor(values)
    assert dtype in picture.axes[0].get_title(loc="left")


def test_tensors_with_gradients_and_odd_values():
    viz.visualize_tensor(nn.Linear(3, 3).weight)
    odd = torch.tensor([[1.0, math.nan], [math.inf, -1.0]])
    assert any("nan/inf 2" in t.get_text() for t in viz.visualize_tensor(odd).texts)
    viz.visualize_tensor(torch.full((3, 3), math.nan))
    viz.plot_histogram(odd)
    with pytest.raises(ValueError, match="empty"):
        viz.visualize_tensor(torch.zeros(0, 3))


def test_model_histograms():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    picture = viz.plot_weight_histograms(model)
    assert [a.get_title(loc="left") for a in picture.axes if a.get_visible()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(ValueError, match="gradient"):
        viz.plot_gradient_histograms(model)
    model(torch.ones(3, 4)).sum().backward()
    viz.plot_gradient_histograms(model)
    with pytest.raises(ValueError, match="no parameters"):
        viz.plot_weight_histograms(nn.ReLU())


def test_filters_attention_images(tmp_path):
    viz.plot_filters(nn.Conv2d(3, 16, 5), path=tmp_path / "rgb.png")
    viz.plot_filters(nn.Conv2d(4, 32, 3), path=tmp_path / "grey.png")
    viz.plot_filters(nn.Conv1d(4, 8, 5))
    with pytest.raises(ValueError, match="dimensions"):
        viz.plot_filters(nn.Linear(3, 3))
    viz.plot_attention(torch.rand(1, 6, 5, 5), list("abcde"), path=tmp_path / "heads.png")
    viz.plot_attention(torch.rand(5, 7), list("abcde"), key_tokens=list("1234567"))
    viz.plot_images(torch.rand(10, 1, 8, 8), range(10), torch.zeros(10, dtype=torch.int64), path=tmp_path / "images.png")
    viz.plot_images(torch.rand(2, 3, 8, 8))
    for path in tmp_path.iterdir():
        assert_drawn(path)
    with pytest.raises(ValueError, match=r"\(N, H, W\)"):
        viz.plot_images(torch.rand(3, 2, 8, 8))


def test_pyplot_is_left_alone():
    code = ("import sys, rustorch_py\nfrom rustorch_py import visualization as viz\n"
            "assert 'matplotlib' not in sys.modules\n"
            "viz.plot_training_history([2, 1])\n"
            "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    from rustorch_py.errors import MissingDependencyError
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"rustorch_py\[viz\]"):
        viz.plot_training_history([2, 1])
