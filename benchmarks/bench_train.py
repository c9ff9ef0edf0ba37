"""Whole training steps, and that the loss curves are the same: python benchmarks/bench_train.py

Prints microseconds a step (zero_grad, forward, loss, backward, Adam) for an XOR net 2-8-1 at batch 4 and an
MLP 784-128-10 at batch 32, beside PyTorch eager, and the largest difference between the two loss curves.
"""
import importlib

from _common import load_torch, median_seconds, report

import rustorch_py as rt

torch = load_torch()


def xor(name, lib):
    nn, optim = importlib.import_module(name + ".nn"), importlib.import_module(name + ".optim")
    lib.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())
    x = lib.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = lib.tensor([[0.0], [1.0], [1.0], [0.0]])
    return stepper(model, optim.Adam(model.parameters(), lr=0.01), nn.MSELoss(), x, y)


def mlp(name, lib):
    nn, optim = importlib.import_module(name + ".nn"), importlib.import_module(name + ".optim")
    lib.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    x, y = lib.randn(32, 784), lib.randint(0, 10, (32,))
    return stepper(model, optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss(), x, y)


def cnn(name, lib):
    nn, optim = importlib.import_module(name + ".nn"), importlib.import_module(name + ".optim")
    lib.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
                          nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10))
    x, y = lib.randn(32, 1, 28, 28), lib.randint(0, 10, (32,))
    return stepper(model, optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss(), x, y)


def stepper(model, optimizer, criterion, x, y):
    def step():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss
    return step


def main():
    for title, make in (("XOR 2-8-1, batch 4", xor), ("MLP 784-128-10, batch 32", mlp), ("CNN 28x28, batch 32", cnn)):
        steps = [make("rustorch_py", rt)] + ([make("torch", torch)] if torch else [])
        curves = [[step().item() for _ in range(100)] for step in steps]
        got = median_seconds(steps, budget_s=1.0)
        report(title, got[0], got[1] if torch else None)
        if torch:
            print(f"    largest difference of 100 losses: {max(abs(a - b) for a, b in zip(*curves)):.1e}")


if __name__ == "__main__":
    main()
