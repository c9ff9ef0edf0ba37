"""Whole models as users write them: the same text runs under both libraries, from one seed, with the same losses."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

RNG = np.random.default_rng(0)


def residual_net(lib):
    """A small residual network."""
    nn, F = lib.nn, lib.nn.functional

    class Block(nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(cout)
            self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(cout)
            self.down = None
            if stride != 1 or cin != cout:
                self.down = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

        def forward(self, x):
            out = F.relu(self.bn1(self.conv1(x)), inplace=True)
            out = self.bn2(self.conv2(out))
            out += x if self.down is None else self.down(x)
            return F.relu(out)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2))
            self.layers = nn.Sequential(*[Block(a, b, s) for a, b, s in ((8, 8, 1), (8, 16, 2), (16, 16, 1))])
            self.pool = nn.AdaptiveAvgPool2d((1, 1))
            self.head = nn.Linear(16, 5)
            for m in self.modules():
                if isinstance(m, nn.Conv2d):
                    nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

        def forward(self, x):
            x = self.pool(self.layers(self.stem(x)))
            return self.head(lib.flatten(x, 1))

    return Net(), (RNG.standard_normal((6, 3, 16, 16)).astype(np.float32),), RNG.integers(0, 5, 6)


def character_gpt(lib):
    """A small causal transformer with tied embeddings, attention written out."""
    nn, F = lib.nn, lib.nn.functional
    vocab, width, heads, length = 17, 16, 4, 9

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.drop = nn.Dropout(0.1)
            self.register_buffer("mask", lib.tril(lib.ones(length, length)).view(1, 1, length, length))

        def forward(self, x):
            b, t, c = x.size()
            q, k, v = (y.view(b, t, heads, c // heads).transpose(1, 2) for y in self.qkv(x).split(width, dim=2))
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
            y = self.drop(F.softmax(att, dim=-1)) @ v
            return self.out(y.transpose(1, 2).contiguous().view(b, t, c))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attn = Attention()
            self.mlp = nn.ModuleDict({"up": nn.Linear(width, 4 * width), "act": nn.GELU(), "down": nn.Linear(4 * width, width)})

        def forward(self, x):
            x = x + self.attn(self.ln1(x))
            m = self.mlp
            return x + m["down"](m["act"](m["up"](self.ln2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tok, self.pos = nn.Embedding(vocab, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList([Block() for _ in range(2)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocab, bias=False)
            self.apply(self.start)
            self.tok.weight = self.head.weight

        def start(self, m):
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, mean=0.0, std=0.02)
            if isinstance(m, nn.Linear) and m.bias is not None:
                nn.init.zeros_(m.bias)

        def forward(self, i):
            x = self.tok(i) + self.pos(lib.arange(i.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)).transpose(1, 2)

    text = RNG.integers(0, vocab, (4, length + 1))
    return GPT(), (text[:, :-1].copy(),), text[:, 1:].copy()


def tagger(lib):
    """Embedding, bidirectional LSTM, packed sequences."""
    nn = lib.nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(20, 8, padding_idx=0)
            self.rnn = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True, dropout=0.2)
            self.out = nn.Linear(12, 4)

        def forward(self, i):
            packed = nn.utils.rnn.pack_padded_sequence(self.emb(i), [7, 5, 2], batch_first=True)
            x, (h, c) = self.rnn(packed)
            x, lengths = nn.utils.rnn.pad_packed_sequence(x, batch_first=True)
            return self.out(x).permute(0, 2, 1)

    return Tagger(), (RNG.integers(1, 20, (3, 7)),), RNG.integers(0, 4, (3, 7))


def unet(lib):
    """Down, up, skip connection; transposed convolution, interpolation, group norm."""
    nn, F = lib.nn, lib.nn.functional

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU())
            self.b = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.InstanceNorm2d(8, affine=True), nn.LeakyReLU(0.1))
            self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
            self.side = nn.Conv2d(8, 4, 1)
            self.out = nn.Conv2d(12, 3, 1)

        def forward(self, x):
            a = self.a(x)
            b = self.b(a)
            s = F.interpolate(self.side(b), size=a.shape[-2:], mode="bilinear", align_corners=False)
            return self.out(lib.cat([a, self.up(b), s], dim=1))

    return UNet(), (RNG.standard_normal((2, 1, 8, 8)).astype(np.float32),), RNG.integers(0, 3, (2, 8, 8))


MODELS = {f.__name__: f for f in (residual_net, character_gpt, tagger, unet)}


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("method", ["SGD", "AdamW"])
def test_ten_steps(name, method):
    curves, states = [], []
    data = None
    for lib in (rt, torch):
        lib.manual_seed(1)
        net, inputs, target = MODELS[name](lib)
        data = data or (inputs, target)  # the same for both
        inputs, target = data
        options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3} if method == "SGD" else {"lr": 1e-3}
        optimizer = getattr(lib.optim, method)(net.parameters(), **options)
        criterion = lib.nn.CrossEntropyLoss(label_smoothing=0.05)
        args, goal = [lib.from_numpy(x) for x in inputs], lib.from_numpy(target)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = criterion(net(*args), goal)
            loss.backward()
            lib.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        net.eval()
        with lib.no_grad():
            losses.append(criterion(net(*args), goal).item())
        curves.append(losses)
        states.append({k: v.numpy() for k, v in net.state_dict().items()})
    np.testing.assert_allclose(curves[0], curves[1], rtol=2e-4, atol=1e-5)
    assert list(states[0]) == list(states[1])
    assert curves[0][-2] < curves[0][0]
