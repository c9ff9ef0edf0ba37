"""Training steps, eager and as a graph, and their losses: an MLP, ResNet-18, GPT-2 small."""
from ._measure import device_times, in_turns

SIZES = {
    "full": {"mlp": (128, 784, 1024, 10), "resnet": (64, 224, 64, 1000), "gpt": (8, 1024, 12, 12, 768, 50257), "steps": 20, "repeats": 10, "rounds": 3},
    "tiny": {"mlp": (4, 6, 8, 3), "resnet": (2, 32, 4, 5), "gpt": (1, 8, 1, 2, 16, 32), "steps": 2, "repeats": 1, "rounds": 1},
}


def mlp(lib, shape):
    """(model, loss of a batch, batch) of a perceptron of three layers."""
    batch, inputs, hidden, classes = shape
    nn = lib.nn
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes))
    return model, (lib.rand(batch, inputs), lib.randint(0, classes, (batch,)))


def resnet(lib, shape):
    """ResNet-18 (K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, 2015)."""
    batch, side, width, classes = shape
    nn = lib.nn

    class Block(nn.Module):
        def __init__(self, inside, outside, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
            self.conv2, self.bn2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
            self.short = None if stride == 1 and inside == outside else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

        def forward(self, x):
            y = self.bn2(self.conv2(lib.relu(self.bn1(self.conv1(x)))))
            return lib.relu(y + (x if self.short is None else self.short(x)))

    layers = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inside = width
    for stage in range(4):
        outside = width << stage
        layers += [Block(inside, outside, 1 if stage == 0 else 2), Block(outside, outside, 1)]
        inside = outside
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, classes)]
    return nn.Sequential(*layers), (lib.rand(batch, 3, side, side), lib.randint(0, classes, (batch,)))


def gpt(lib, shape):
    """GPT-2 (A. Radford et al., Language models are unsupervised multitask learners, 2019)."""
    batch, length, depth, heads, width, words = shape
    nn, F = lib.nn, lib.nn.functional

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, _ = x.shape
            q, k, v = (part.reshape(b, t, heads, width // heads).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(b, t, width))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
            self.layers, self.norm = nn.Sequential(*[Layer() for _ in range(depth)]), nn.LayerNorm(width)

        def forward(self, x):
            places = lib.arange(x.shape[1], device=x.device)
            x = self.norm(self.layers(self.words(x) + self.places(places)))
            return F.linear(x, self.words.weight).flatten(0, 1)

    return Gpt(), (lib.randint(0, words, (batch, length)), lib.randint(0, words, (batch * length,)))


MODELS = {"mlp": (mlp, False), "resnet": (resnet, True), "gpt": (gpt, True)}        # name -> (maker, in bfloat16)


def prepared(lib, name, shape, start):
    """(loss of a batch, optimizer, batch) on the device. `start`: {} or the first library's parameters as arrays, that all begin with."""
    maker, half = MODELS[name]
    lib.manual_seed(0)
    model, batch = maker(lib, shape)
    if not start:
        start["parameters"] = [p.detach().numpy().copy() for p in model.parameters()]
        start["batch"] = [x.numpy().copy() for x in batch]
    with lib.no_grad():
        for p, value in zip(model.parameters(), start["parameters"]):
            p.copy_(lib.from_numpy(value))
    model.to("cuda")
    batch = [lib.from_numpy(x).to("cuda") for x in start["batch"]]

    def loss_of(x, y):
        with lib.autocast("cuda", dtype=lib.bfloat16, enabled=half, cache_enabled=False):
            return lib.nn.functional.cross_entropy(model(x).float(), y)

    return loss_of, lib.optim.AdamW(model.parameters(), lr=1e-3), batch


def eager(lib, loss_of, optimizer, batch):
    """A step as everybody writes it."""
    def step():
        optimizer.zero_grad()
        loss = loss_of(*batch)
        loss.backward()
        optimizer.step()
        return loss.detach()
    return step


def graphed(lib, loss_of, optimizer, batch):
    """Forward and backward as a graph, then the optimizer."""
    if hasattr(lib.cuda, "make_graphed_step"):
        given = [x.clone() for x in batch]
        step = lib.cuda.make_graphed_step(loss_of, optimizer, *batch)
        return lambda: step(*given)
    params = [p for group in optimizer.param_groups for p in group["params"]]
    side = lib.cuda.Stream()
    side.wait_stream(lib.cuda.current_stream())
    with lib.cuda.stream(side):
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            loss_of(*batch).backward()
    lib.cuda.current_stream().wait_stream(side)
    optimizer.zero_grad(set_to_none=True)
    graph = lib.cuda.CUDAGraph()
    with lib.cuda.graph(graph):
        loss = loss_of(*batch)
        loss.backward()
    grads = [p.grad for p in params]

    given = [x.clone() for x in batch]

    def step():
        for x, new in zip(batch, given):                # the graph reads this memory: it must live, and holds the batch
            x.copy_(new, non_blocking=True)
        graph.replay()
        for p, g in zip(params, grads):
            p.grad = g
        optimizer.step()
        return loss.detach()
    return step


def training(libs, size):
    """Milliseconds a step, and how far the losses of both libraries lie apart."""
    rows = []
    for name in MODELS:
        start, curves = {}, {}
        for how in (eager, graphed):
            def make(lib, how=how):
                loss_of, optimizer, batch = prepared(lib, name, size[name], start)
                step = how(lib, loss_of, optimizer, batch)
                curve = [step().clone() for _ in range(size["steps"])]
                curves[lib.__name__, how.__name__] = [x.item() for x in curve]
                return step

            found = in_turns(libs, make, lambda lib, step: device_times(lib, step, size["repeats"]), size["rounds"])
            rows.append((f"train {name} {how.__name__}", "x".join(map(str, size[name])), "ms", found))
        pairs = {"both eager": (("rustorch_py", "eager"), ("torch", "eager")), "ours eager and graphed": (("rustorch_py", "eager"), ("rustorch_py", "graphed")),
                 "PyTorch's eager and graphed": (("torch", "eager"), ("torch", "graphed"))}
        for what, (one, other) in pairs.items():
            if one in curves and other in curves:
                found = [abs(a - b) / max(abs(a), 1e-12) for a, b in zip(curves[one], curves[other])]
                rows.append((f"losses of {name}, {what}", f"{size['steps']} steps, {curves[one][0]:.4g} to {curves[one][-1]:.4g}", "relative difference",
                             {"all": {"median": max(found), "best": min(found), "count": len(found)}}))
    return rows
