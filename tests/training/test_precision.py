"""Mixed precision: bfloat16 products, float32 weights."""
import pytest

import rustorch_py as torch
from rustorch_py import nn, optim
from rustorch_py.training import Trainer
from rustorch_py.training._precision import MixedPrecision


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))


def test_dtypes_inside_and_after():
    model = network()
    seen = {}
    for name, module in model.named_children():
        module.register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, (i[0].dtype, o.dtype)))
    x = torch.randn(5, 1, 6, 6)
    with MixedPrecision(model):
        loss = model(x).to(torch.float32).sum()
    assert seen["0"][1] == seen["4"][1] == torch.bfloat16
    assert seen["1"] == (torch.float32, torch.float32)
    loss.backward()
    assert all(p.dtype == torch.float32 and p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
    assert all(isinstance(p, nn.Parameter) for p in model.parameters())
    model(x)
    assert seen["0"][1] == torch.float32  # the hooks are gone


def test_gradients_are_near_those_of_float32():
    x = torch.randn(16, 1, 6, 6)
    grads = []
    for mixed in (False, True):
        model = network()
        if mixed:
            with MixedPrecision(model):
                model(x).to(torch.float32).square().mean().backward()
        else:
            model(x).square().mean().backward()
        grads.append([p.grad for p in model.parameters()])
    for exact, rounded in zip(*grads):
        assert (exact - rounded).norm().item() <= 0.05 * exact.norm().item() + 1e-3


def test_trains_as_well():
    generator = torch.Generator()
    generator.manual_seed(0)
    x = torch.randn(120, 1, 6, 6, generator=generator)
    y = (x[:, 0, :3].mean((1, 2)) > 0).to(torch.int64)
    batches = [(x[i:i + 20], y[i:i + 20]) for i in range(0, 120, 20)]
    final = {}
    for precision in (None, "bf16"):
        model = network()
        trainer = Trainer(model, optim.Adam(model.parameters(), 0.01), nn.CrossEntropyLoss(), precision=precision)
        final[precision] = trainer.train(batches, epochs=10).losses[-1]
        assert trainer.predict(x).dtype == torch.float32
    assert final["bf16"] < 0.5 and abs(final["bf16"] - final[None]) < 0.15


def test_an_error_inside_leaves_the_weights():
    model = network()
    with pytest.raises((RuntimeError, ValueError)):
        with MixedPrecision(model):
            model(torch.zeros(5, 2, 6, 6))
    assert all(isinstance(p, nn.Parameter) and p.dtype == torch.float32 for p in model.parameters())
    with pytest.raises(ValueError, match="precision"):
        Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), precision="fp16")
