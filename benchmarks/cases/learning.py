"""Optimizers, data loading and whole training steps."""
import warnings

from .._case import task
from . import _jax_models as jax_of

M = 1_000_000


# ---- optimizers --------------------------------------------------------------------------------------------
def step(method, shapes, **options):
    def make(t):
        parameters = [t.randn(*shape).requires_grad_() for shape in shapes]
        for p in parameters:
            p.grad = t.randn(*p.shape) * 0.01
        optimizer = getattr(t.optim, method)(parameters, **options)

        def run():
            optimizer.step()
            return parameters[-1]
        return run
    make.others = {"jax": jax_of.optimizer(method, shapes, options)}
    return make


ONE, DEEP = [(1000, 1000)], [(64, 64), (64,)] * 60
for name, method, options, arrays in (("SGD", "SGD", {"lr": 1e-3}, 3), ("SGD momentum", "SGD", {"lr": 1e-3, "momentum": 0.9}, 5),
                                      ("Adam", "Adam", {"lr": 1e-3}, 7), ("AdamW", "AdamW", {"lr": 1e-3}, 7), ("RMSprop", "RMSprop", {"lr": 1e-3}, 5),
                                      ("Adagrad", "Adagrad", {"lr": 1e-3}, 5), ("Adamax", "Adamax", {"lr": 1e-3}, 7), ("NAdam", "NAdam", {"lr": 1e-3}, 7)):
    task("optimizers", f"{name}, 1M parameters", step(method, ONE, **options), nbytes=4 * arrays * M, wants=3.0)
for name, method, options in (("SGD momentum", "SGD", {"lr": 1e-3, "momentum": 0.9}), ("Adam", "Adam", {"lr": 1e-3})):
    task("optimizers", f"{name}, 120 tensors", step(method, DEEP, **options), wants=3.0)


def clip(shapes):
    def make(t):
        parameters = [t.zeros(*shape).requires_grad_() for shape in shapes]
        gradients = [t.randn(*shape) for shape in shapes]
        for p, g in zip(parameters, gradients):
            p.grad = g
        return lambda: t.nn.utils.clip_grad_norm_(parameters, 1e9)
    make.others = {"jax": jax_of.clipper(shapes)}
    return make


task("optimizers", "clip_grad_norm_, 1M parameters", clip(ONE), nbytes=4 * M, wants=3.0)
task("optimizers", "clip_grad_norm_, 120 tensors", clip(DEEP), wants=3.0)


# ---- data -------------------------------------------------------------------------------------------------
def epoch(n, width, batch, shuffle, workers=0):
    def make(t):
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        data = t.utils.data
        source = data.TensorDataset(t.randn(n, width), t.randint(0, 10, (n,)))
        loader = data.DataLoader(source, batch_size=batch, shuffle=shuffle, num_workers=workers)

        def run():
            last = None
            for last in loader:
                continue
            return last
        return run
    return make


def first_batch(t):
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    data = t.utils.data
    source = data.TensorDataset(t.randn(320, 784), t.randint(0, 10, (320,)))
    loader = data.DataLoader(source, batch_size=32, num_workers=2)
    return lambda: next(iter(loader))


task("data", "epoch of 100 batches of 32 from tensors, 3200x784", epoch(3200, 784, 32, False), nbytes=2 * 4 * 3200 * 784, wants=3.0)
task("data", "epoch of 100 shuffled batches of 32, 3200x784", epoch(3200, 784, 32, True), nbytes=2 * 4 * 3200 * 784, wants=3.0)
task("data", "epoch of 100 shuffled batches of 32, two workers", epoch(3200, 784, 32, True, workers=2), wants=3.0)
task("data", "two workers started, first batch of 32", first_batch, wants=3.0)
task("data", "default_collate of 32 samples of 784", lambda t: (lambda samples: lambda: t.utils.data.default_collate(samples))(
    [(t.ones(784), i) for i in range(32)]))


# ---- training steps ---------------------------------------------------------------------------------------
def training(model, batch, criterion, method="Adam", lr=1e-3, clipping=None):
    """zero_grad, forward, loss, backward, step; `batch(t)` gives input and target, `criterion(t)` the loss function."""
    def make(t):
        net = model(t)
        x, y = batch(t)
        optimizer = getattr(t.optim, method)(net.parameters(), lr=lr)
        loss_of, parameters = criterion(t), list(net.parameters())

        def run():
            optimizer.zero_grad()
            loss = loss_of(net(x), y)
            loss.backward()
            if clipping:
                t.nn.utils.clip_grad_norm_(parameters, clipping)
            optimizer.step()
            return loss
        return run
    return make


def cross_entropy(t):
    return t.nn.CrossEntropyLoss()


def xor(t):
    nn = t.nn
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())


def xor_batch(t):
    return t.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), t.tensor([[0.0], [1.0], [1.0], [0.0]])


def mlp(t):
    nn = t.nn
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def wide_mlp(t):
    nn = t.nn
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def lenet(t):
    nn = t.nn
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def resnet(t):
    """ResNet-8 for 32x32 images: three stages of one block each."""
    nn = t.nn

    class Block(nn.Module):
        def __init__(self, inside, outside, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
            self.conv2, self.bn2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
            self.short = nn.Identity() if stride == 1 else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

        def forward(self, x):
            y = t.relu(self.bn1(self.conv1(x)))
            return t.relu(self.bn2(self.conv2(y)) + self.short(x))

    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def vgg(t):
    """Six 3x3 convolutions, each with its normalization and ReLU, in three stages; one Sequential."""
    nn, layers, inside = t.nn, [], 3
    for stage, width in enumerate((16, 32, 64)):
        for _ in range(2):
            layers += [nn.Conv2d(inside, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            inside = width
        layers.append(nn.MaxPool2d(2) if stage < 2 else nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 10))


def sequence(kind):
    def make(t):
        nn = t.nn

        class Tagger(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed, self.cell, self.head = nn.Embedding(1000, 128), getattr(nn, kind)(128, 128, batch_first=True), nn.Linear(128, 10)

            def forward(self, x):
                return self.head(self.cell(self.embed(x))[0][:, -1])
        return Tagger()
    return make


def gpt(t, layers=4, width=128, heads=4, words=256, length=64):
    """A decoder of `layers` pre-norm blocks, as in nanoGPT."""
    nn, F = t.nn, t.nn.functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, n, c = x.shape
            q, k, v = self.qkv(self.ln1(x)).split(width, dim=2)
            q, k, v = (a.view(b, n, heads, c // heads).transpose(1, 2) for a in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, n, c)
            x = x + self.out(y)
            return x + self.down(F.gelu(self.up(self.ln2(x))))

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
            self.blocks, self.ln, self.head = nn.Sequential(*(Block() for _ in range(layers))), nn.LayerNorm(width), nn.Linear(width, words, bias=False)

        def forward(self, x):
            return self.head(self.ln(self.blocks(self.words(x) + self.places(t.arange(x.shape[1])))))
    return Decoder()


def images(n, channels, side, classes=10):
    return lambda t: (t.randn(n, channels, side, side), t.randint(0, classes, (n,)))


def features(n, width):
    return lambda t: (t.randn(n, width), t.randint(0, 10, (n,)))


STEP = {"rtol": 1e-3, "atol": 1e-4}
task("training", "XOR 2-8-1, batch 4, Adam", training(xor, xor_batch, lambda t: t.nn.MSELoss()),
     {"jax": jax_of.step(jax_of.mlp((2, 8, 1), "tanh", "sigmoid"), (4, 2), (4, 1), jax_of.squares)}, wants=8.0, **STEP)
task("training", "MLP 784-128-10, batch 32, Adam", training(mlp, features(32, 784), cross_entropy),
     {"jax": jax_of.step(jax_of.mlp((784, 128, 10)), (32, 784), (32,))}, wants=4.0, flops=6 * 32 * (784 * 128 + 1280), **STEP)
task("training", "MLP 784-512-512-10, batch 256, Adam", training(wide_mlp, features(256, 784), cross_entropy),
     {"jax": jax_of.step(jax_of.mlp((784, 512, 512, 10)), (256, 784), (256,))}, wants=1.15, flops=6 * 256 * (784 * 512 + 512 * 512 + 5120), **STEP)
task("training", "LeNet, batch 64, Adam", training(lenet, images(64, 1, 28), cross_entropy),
     {"jax": jax_of.step(jax_of.lenet(), (64, 1, 28, 28), (64,))}, wants=1.8, **STEP)
task("training", "LeNet, batch 1, SGD", training(lenet, images(1, 1, 28), cross_entropy, "SGD"),
     {"jax": jax_of.step(jax_of.lenet(), (1, 1, 28, 28), (1,), method="SGD")}, wants=1.8, **STEP)
task("training", "ResNet-8 32x32, batch 32, SGD", training(resnet, images(32, 3, 32), cross_entropy, "SGD", lr=0.01),
     {"jax": jax_of.step(jax_of.resnet(training=True), (32, 3, 32, 32), (32,), method="SGD")}, wants=1.3, **STEP)
for kind in ("LSTM", "GRU"):
    task("training", f"{kind} 128, 50 words, batch 32, Adam",
         training(sequence(kind), lambda t: (t.randint(0, 1000, (32, 50)), t.randint(0, 10, (32,))), cross_entropy),
         {"jax": jax_of.step(jax_of.tagger(kind), (32, 50), (32,), words=1000, classes=10)}, wants=1.6, **STEP)


def next_word(t):
    loss = t.nn.functional.cross_entropy
    return lambda logits, y: loss(logits.view(-1, logits.shape[-1]), y.view(-1))


task("training", "GPT 4x128, 64 words, batch 16, AdamW, clipped",
     training(gpt, lambda t: (t.randint(0, 256, (16, 64)), t.randint(0, 256, (16, 64))), next_word, "AdamW", clipping=1.0),
     {"jax": jax_of.step(jax_of.gpt(), (16, 64), (16, 64), decay=0.01, clipping=1.0, words=256)}, wants=1.3, **STEP)
