"""Inference at batch 1, and models on disk."""
import atexit
import shutil
import tempfile
from pathlib import Path

from .._case import task
from . import _jax_models as jax_of
from .learning import gpt, lenet, mlp, resnet, sequence, vgg, wide_mlp, xor


def inference(model, batch):
    def make(t):
        net, x = model(t).eval(), batch(t)
        guard = t.inference_mode

        def run():
            with guard():
                return net(x)
        return run
    return make


LOOSE = {"rtol": 1e-3, "atol": 1e-4}
task("inference", "XOR net, batch 1", inference(xor, lambda t: t.ones(1, 2)),
     {"jax": jax_of.inference(jax_of.mlp((2, 8, 1), "tanh", "sigmoid"), (1, 2))}, wants=5.0, **LOOSE)
task("inference", "MLP 784-128-10, batch 1", inference(mlp, lambda t: t.randn(1, 784)),
     {"jax": jax_of.inference(jax_of.mlp((784, 128, 10)), (1, 784))}, wants=5.0, **LOOSE)
task("inference", "MLP 784-512-512-10, batch 64", inference(wide_mlp, lambda t: t.randn(64, 784)),
     {"jax": jax_of.inference(jax_of.mlp((784, 512, 512, 10)), (64, 784))}, flops=2 * 64 * (784 * 512 + 512 * 512 + 5120), **LOOSE)
task("inference", "LeNet, batch 1", inference(lenet, lambda t: t.randn(1, 1, 28, 28)),
     {"jax": jax_of.inference(jax_of.lenet(), (1, 1, 28, 28))}, wants=5.0, **LOOSE)
task("inference", "ResNet-8 32x32, batch 1", inference(resnet, lambda t: t.randn(1, 3, 32, 32)),
     {"jax": jax_of.inference(jax_of.resnet(), (1, 3, 32, 32))}, wants=5.0, **LOOSE)
task("inference", "ResNet-8 32x32, batch 32", inference(resnet, lambda t: t.randn(32, 3, 32, 32)),
     {"jax": jax_of.inference(jax_of.resnet(), (32, 3, 32, 32))}, **LOOSE)
task("inference", "VGG-6 32x32, batch 1", inference(vgg, lambda t: t.randn(1, 3, 32, 32)),
     {"jax": jax_of.inference(jax_of.vgg(), (1, 3, 32, 32))}, wants=5.0, **LOOSE)
task("inference", "VGG-6 32x32, batch 32", inference(vgg, lambda t: t.randn(32, 3, 32, 32)),
     {"jax": jax_of.inference(jax_of.vgg(), (32, 3, 32, 32))}, **LOOSE)
task("inference", "LSTM 128, 50 words, batch 1", inference(sequence("LSTM"), lambda t: t.randint(0, 1000, (1, 50))),
     {"jax": jax_of.inference(jax_of.tagger("LSTM"), (1, 50), 1000)}, wants=5.0, **LOOSE)
task("inference", "GPT 4x128, 64 words, batch 1", inference(gpt, lambda t: t.randint(0, 256, (1, 64))),
     {"jax": jax_of.inference(jax_of.gpt(), (1, 64), 256)}, wants=5.0, **LOOSE)

FOLDER = []


def folder():
    """One temporary folder a run, removed at exit."""
    if not FOLDER:
        FOLDER.append(Path(tempfile.mkdtemp(prefix="rustorch-bench-")))
        atexit.register(shutil.rmtree, FOLDER[0], ignore_errors=True)
    return FOLDER[0]


def state(t, layers, *shape):
    return {f"layer.{i}": t.randn(*shape) for i in range(layers)}


def saving(layers, *shape):
    def make(t):
        tensors, path = state(t, layers, *shape), folder() / f"{t.__name__}-{layers}-save"
        return lambda: t.save(tensors, path)
    return make


def loading(layers, *shape):
    def make(t):
        path = folder() / f"{t.__name__}-{layers}-load"
        t.save(state(t, layers, *shape), path)
        return lambda: t.load(path)
    return make


def saving_numpy(layers, *shape):
    def make(np):
        arrays, path = {f"layer.{i}": np.ones(shape, "float32") for i in range(layers)}, folder() / f"numpy-{layers}.npz"
        return lambda: np.savez(path, **arrays)
    return make


def loading_numpy(layers, *shape):
    def make(np):
        saving_numpy(layers, *shape)(np)()
        return lambda: dict(np.load(folder() / f"numpy-{layers}.npz"))
    return make


for name, count, *shape in (("20 tensors, 20 MB", 20, 1000, 250), ("100 small tensors", 100, 16, 16)):
    task("saving", f"save {name}", saving(count, *shape), {"numpy": saving_numpy(count, *shape)}, rtol=None, nbytes=20e6 if count == 20 else 0)
    task("saving", f"load {name}", loading(count, *shape), {"numpy": loading_numpy(count, *shape)}, nbytes=20e6 if count == 20 else 0)
task("saving", "load_state_dict, MLP", lambda t: (lambda net: (lambda weights: lambda: net.load_state_dict(weights))(net.state_dict()))(mlp(t)), rtol=None)
