"""Mixed precision: 16-bit products, float32 weights."""
import pytest

import rustorch_py as torch
from rustorch_py import nn, optim
from rustorch_py.training import Trainer


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))


def test_dtypes_inside_and_after():
    model = network()
    seen = {}
    for name, module in model.named_children():
        module.register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, (i[0].dtype, o.dtype)))
    x, y = torch.randn(5, 1, 6, 6), torch.zeros(5, dtype=torch.int64)
    for precision, low in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), precision=precision)
        trainer.train([(x, y)])
        assert seen["0"][1] == seen["4"][1] == low
        assert all(isinstance(p, nn.Parameter) and p.dtype == torch.float32 for p in model.parameters())
        model(x)
        assert seen["0"][1] == torch.float32


def test_gradients_are_near_those_of_float32():
    x = torch.randn(16, 1, 6, 6)
    grads = []
    for precision in (None, "bf16", "fp16"):
        model = network()
        trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.MSELoss(), precision=precision)
        trainer._forward(x).square().mean().backward()
        grads.append([p.grad for p in model.parameters()])
    for exact, *rounded in zip(*grads):
        for grad in rounded:
            assert (exact - grad).norm().item() <= 0.05 * exact.norm().item() + 1e-3


def test_trains_as_well():
    generator = torch.Generator()
    generator.manual_seed(0)
    x = torch.randn(120, 1, 6, 6, generator=generator)
    y = (x[:, 0, :3].mean((1, 2)) > 0).to(torch.int64)
    batches = [(x[i:i + 20], y[i:i + 20]) for i in range(0, 120, 20)]
    final = {}
    for precision in (None, "bf16", "fp16"):
        model = network()
        trainer = Trainer(model, optim.Adam(model.parameters(), 0.01), nn.CrossEntropyLoss(), precision=precision)
        final[precision] = trainer.train(batches, epochs=10).losses[-1]
        assert trainer.predict(x).dtype == torch.float32
    for precision in ("bf16", "fp16"):
        assert final[precision] < 0.5 and abs(final[precision] - final[None]) < 0.15


def test_an_error_inside_leaves_the_weights():
    model = network()
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), precision="bf16")
    with pytest.raises((RuntimeError, ValueError)):
        trainer._forward(torch.zeros(5, 2, 6, 6))
    assert all(isinstance(p, nn.Parameter) and p.dtype == torch.float32 for p in model.parameters())
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(ValueError, match="precision"):
        Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), precision="int8")


def test_a_step_that_overflows_is_left_out_and_the_scale_is_saved(tmp_path):
    model = nn.Linear(2, 1)
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.MSELoss(), precision="fp16", metrics=())
    before = model.weight.detach().clone()
    trainer.train([(torch.ones(1, 2), torch.full((1, 1), 1e5))])       # 65536 times its gradient is beyond float16
    assert torch.equal(model.weight, before) and trainer.scaler.get_scale() == 2.0 ** 15
    trainer.save_checkpoint(tmp_path / "one.safetensors")
    twin = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.MSELoss(), precision="fp16", metrics=())
    assert twin.load_checkpoint(tmp_path / "one.safetensors").scaler.state_dict() == trainer.scaler.state_dict()


def test_fp16_clips_unscaled_gradients():
    model = nn.Linear(2, 1)
    before = model.weight.detach().clone()
    trainer = Trainer(model, optim.SGD(model.parameters(), 1.0), nn.MSELoss(), precision="fp16", metrics=(), clip_norm=1e-3)
    trainer.train([(torch.ones(1, 2), torch.zeros(1, 1))])
    assert 0 < (model.weight - before).norm().item() <= 1.01e-3
