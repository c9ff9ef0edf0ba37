"""Optimizer steps, saving, and batches per second: python benchmarks/bench_optim.py"""
import tempfile
import warnings
from pathlib import Path

from _common import load_torch, median_seconds, report

import rustorch_py as rt

torch = load_torch()
warnings.filterwarnings("ignore", message="This DataLoader will create")

MODELS = {"XOR net, 4 tensors": [(8, 2), (8,), (1, 8), (1,)],
          "MLP 784-128-10": [(128, 784), (128,), (10, 128), (10,)],
          "60 layers of 64x64": [(64, 64), (64,)] * 60,
          "one million": [(1000, 1000)]}


def step(lib, method, shapes, **options):
    params = [lib.randn(*shape).requires_grad_() for shape in shapes]
    for p in params:
        p.grad = lib.randn(*p.shape)
    return getattr(lib.optim, method)(params, **options).step


def epoch(lib, workers):
    data = lib.utils.data
    source = data.TensorDataset(lib.randn(20000, 100), lib.randint(0, 10, (20000,)))
    loader = data.DataLoader(source, batch_size=64, shuffle=True, num_workers=workers)

    def run():
        for _ in loader:
            pass
    return run


def saving(lib, folder):
    state = {f"layer.{i}": lib.randn(1000, 250) for i in range(20)}
    path = Path(folder) / lib.__name__
    lib.save(state, path)
    return (lambda: lib.save(state, path)), (lambda: lib.load(path))


def compare(name, make, unit="us"):
    functions = [make(rt)] + ([make(torch)] if torch else [])
    times = median_seconds(functions)
    report(name, times[0], times[1] if torch else None, unit)


for label, shapes in MODELS.items():
    for method, options in (("SGD", dict(lr=0.1, momentum=0.9)), ("Adam", {}), ("RMSprop", {}), ("Adagrad", {})):
        compare(f"{method} step, {label}", lambda lib: step(lib, method, shapes, **options))
for workers in (0, 2):
    compare(f"20000x100 in shuffled batches, {workers} workers", lambda lib: epoch(lib, workers), "ms")
with tempfile.TemporaryDirectory() as folder:
    compare("save 20 MB (ours: checksum, fsync, rename)", lambda lib: saving(lib, folder)[0], "ms")
    compare("load 20 MB (ours: checksum)", lambda lib: saving(lib, folder)[1], "ms")
