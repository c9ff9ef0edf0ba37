"""Training leaves nothing behind, with the garbage collector switched off."""

import gc
import os
import weakref

import pytest

import rustorch_py as torch
from rustorch_py import nn


class Everything(nn.Module):
    """Layers of all families, with hooks of all kinds."""

    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(0.2), nn.Flatten(),
            nn.Linear(36, 8))
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.out = nn.utils.parametrizations.weight_norm(nn.Linear(8, 3))
        self.out.register_full_backward_hook(lambda m, gi, go: None)
        self.norm.register_full_backward_pre_hook(lambda m, go: None)
        self.norm.register_forward_hook(lambda m, args, out: None)

    def forward(self, x):
        h = self.rnn(self.image(x).unsqueeze(0))[0]
        return self.out(self.norm(self.attention(h, h, h)[0]))[0]


def test_no_cycles_in_training():
    net = Everything()
    optimizer = torch.optim.AdamW(net.parameters())
    criterion = nn.CrossEntropyLoss()
    x, y = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])

    def step():
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    step()
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(50):
            step()
        assert len(gc.get_objects()) - before < 50  # a leak would leave several objects a step
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_models_are_freed_at_once():
    gc.collect()
    gc.disable()
    try:
        net = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2), nn.TransformerEncoderLayer(4, 2, 8))
        seen = [weakref.ref(m) for m in net.modules()] + [weakref.ref(p) for p in net.parameters()]
        state = net.state_dict()
        del net
        assert not any(r() is not None for r in seen)
        assert len(state) > 10
    finally:
        gc.enable()


def resident_kib():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the resident size from /proc")
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_memory_is_flat_over_training(optimizer):
    """Dropout, batch norm, a convolution, clipping and a schedule. RUSTORCH_LONG_TESTS=1 takes 100,000 steps."""
    steps = 100_000 if os.environ.get("RUSTORCH_LONG_TESTS") else 2000
    net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(24, 8), nn.LayerNorm(8),
                        nn.GELU(), nn.Linear(8, 3))
    method = getattr(torch.optim, optimizer)(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(method, steps)
    criterion = nn.CrossEntropyLoss()
    x, y = torch.rand(8, 1, 8), torch.randint(0, 3, (8,))

    def run(n):
        for _ in range(n):
            method.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            method.step()
            schedule.step()
        return loss.item()

    run(300)
    gc.collect()
    gc.disable()
    try:
        in_use, resident = torch.memory.memory_stats()["allocated_bytes.current"], resident_kib()
        run(steps)
        assert torch.memory.memory_stats()["allocated_bytes.current"] <= in_use + 1024
        assert resident_kib() - resident < 1024
        assert gc.collect() == 0
    finally:
        gc.enable()
