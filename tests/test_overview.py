"""Runs the Python blocks of the project's overview, word for word (tests/overview/*.py), on the names they take for granted."""
import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
import rustorch_py
import rustorch_py.nn as nn

BLOCKS = Path(__file__).parent / "overview"


def small_run():
    model = nn.Sequential([nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)])
    x, t = rustorch_py.randn(8, 4), rustorch_py.randint(0, 3, (8,))
    dataset = rustorch_py.data.TensorDataset(x, t)
    optimizer = rustorch_py.optim.SGD(model.parameters(), lr=0.1)
    return dict(model=model, input_data=x, target=t, criterion=nn.CrossEntropyLoss(), optimizer=optimizer, num_epochs=2,
                dataloader=rustorch_py.data.DataLoader(dataset, batch_size=4))


def names(block):
    """What the block takes for granted."""
    have = {"rustorch_py": rustorch_py, "nn": nn, **small_run()}
    t = rustorch_py.ones(2, 2)
    extra = {
        "networks": dict(data=[0.5] * (2 * 784), batch_size=2),
        "tensor_module": dict(a=t, b=t, matrix=t, tensor_input=rustorch_py.ones(3, 4)),
        "autograd_module": dict(data=[1.0, 2.0], compute_loss=lambda v: (v * v).sum()),
        "nn_module": dict(in_features=4, out_features=3, in_channels=1, out_channels=2, kernel_size=3, input_size=4, hidden_size=5, num_layers=2),
        "devices": dict(tensor=t),
        "distributed": dict(tensor=t),
        "data": dict(train_data=rustorch_py.randn(8, 4), train_targets=rustorch_py.zeros(8)),
        "jit": dict(tensor1=t, tensor2=t),
        "visualization": dict(tensor=t, losses=[1.0, 0.5], accuracies=[0.5, 0.9]),
        "errors": dict(data=[1, 2, 3], shape=[2, 2]),
    }
    have.update(extra.get(block, {}))
    return have


def run(block, text=None):
    space = {"__name__": "overview", **names(block)}
    exec(compile(text or (BLOCKS / f"{block}.py").read_text(encoding="utf-8"), block, "exec"), space)
    return space


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = rustorch_py.get_num_threads()
    yield
    rustorch_py.set_num_threads(threads)
    rustorch_py.set_debug_mode(False)
    rustorch_py.config.enable_fast_math(False)
    rustorch_py.callbacks.clear_training_callbacks()


@pytest.mark.parametrize("block", ["tensors", "gradients", "networks", "tensor_module", "autograd_module", "nn_module", "optim_module", "devices", "data",
                                   "simd_threads", "memory", "jit", "numpy_exchange", "callbacks", "visualization", "testing", "debugging", "errors"])
def test_block(block):
    space = run(block)
    if block == "testing":
        space["test_tensor_operations"]()


def test_block_torch_exchange():
    pytest.importorskip("torch", reason="the block needs PyTorch itself")
    run("torch_exchange")


def test_block_distributed_without_ranks():
    with pytest.raises(rustorch_py.DeviceError):
        run("distributed")


def test_block_settings_without_cuda():
    text = (BLOCKS / "settings.py").read_text(encoding="utf-8")
    with pytest.raises(rustorch_py.DeviceError):
        run("settings")
    run("settings", text.replace('rustorch_py.config.set_default_device("cuda:0")\n', ""))
