"""Small models learn the same on the device as on the CPU, step by step."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import nn
import rustorch_py.nn.functional as F

assert rt.cuda.is_available()


class Block(nn.Module):
    """A residual block of stride 2, as ResNet-18 has them."""

    def __init__(self, channels, out):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.short = nn.Sequential(nn.Conv2d(channels, out, 1, 2, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.short(x))


class Reader(nn.Module):
    """An LSTM over tokens."""

    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.head = nn.Linear(11, 8, bias=False), nn.LSTM(8, 12, 2, batch_first=True), nn.Linear(12, 5)

    def forward(self, tokens):
        return self.head(self.lstm(self.embed(tokens))[0][:, -1])


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, length, width))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self, words=11, width=16, heads=2, length=9):
        super().__init__()
        self.words, self.places = nn.Linear(words, width, bias=False), nn.Parameter(rt.zeros(length, width))
        self.layers = nn.Sequential(Layer(width, heads), Layer(width, heads))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, tokens):
        return self.head(self.norm(self.layers(self.words(tokens) + self.places))).transpose(1, 2)


def images(rng):
    return rt.from_numpy(rng.standard_normal((6, 3, 12, 12)).astype(np.float32)), rt.from_numpy(rng.integers(0, 5, 6))


def words(rng):
    return rt.eye(11)[rt.from_numpy(rng.integers(0, 11, (4, 9)))], rt.from_numpy(rng.integers(0, 5, 4))


def sentences(rng):
    text = rng.integers(0, 11, (4, 10))
    return rt.eye(11)[rt.from_numpy(text[:, :-1].copy())], rt.from_numpy(np.ascontiguousarray(text[:, 1:]))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 32), nn.ReLU(), nn.Linear(32, 5)), images, rt.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "cnn": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 5)),
            images, rt.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "resnet": (lambda: nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Block(8, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)),
               images, rt.optim.SGD, dict(lr=0.05, momentum=0.9, weight_decay=1e-4)),
    "lstm": (Reader, words, rt.optim.Adam, dict(lr=0.01)),
    "gpt": (Gpt, sentences, rt.optim.AdamW, dict(lr=0.003)),
}


@pytest.mark.parametrize("name", MODELS)
def test_losses(name):
    model_of, batch, optimizer, how = MODELS[name]
    curves, weights = [], []
    for device in ("cpu", "cuda"):
        rt.manual_seed(0)
        model = model_of().to(device)
        steps, rng, losses = optimizer(model.parameters(), **how), np.random.default_rng(0), []
        x, target = (t.to(device) for t in batch(rng))
        for _ in range(6):
            loss = F.cross_entropy(model(x), target)
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses.append(loss.item())
        curves.append(losses)
        weights.append([v.detach().cpu() for v in model.state_dict().values()])
    assert curves[0][-1] < curves[0][0]
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-3, atol=2e-4)
    for want, got in zip(*weights):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=2e-2, atol=2e-3)
