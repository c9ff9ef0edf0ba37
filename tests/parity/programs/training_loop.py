"""A classifier: DataLoader, schedulers, clipping, early stopping, checkpoints, EMA."""
import copy
import io
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, ReduceLROnPlateau, SequentialLR, LinearLR, StepLR
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)
X = torch.randn(200, 10)
y = (X[:, :3].sum(1) > 0).long() + (X[:, 3] > 1).long()
train, val = random_split(TensorDataset(X, y), [160, 40], generator=torch.Generator().manual_seed(1))
print(len(train), len(val), train.indices[:5], val[0][0].shape)
loader = DataLoader(train, batch_size=32, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(2))
print(len(loader), next(iter(loader))[1].tolist())


class Net(nn.Module):
    def __init__(self, hidden=16, p=0.1):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, hidden, bias=False), nn.BatchNorm1d(hidden), nn.GELU(), nn.Dropout(p), nn.Linear(hidden, hidden), nn.ReLU(inplace=True))
        self.head = nn.Linear(hidden, 3)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.apply(self._init)

    def _init(self, m):
        if isinstance(m, nn.Linear):
            nn.init.trunc_normal_(m.weight, std=0.02)
            if m.bias is not None:
                nn.init.zeros_(m.bias)

    def forward(self, x):
        if self.training:
            self.steps += 1
        return self.head(self.body(x))


model = Net()
print(model)
print(sum(p.numel() for p in model.parameters() if p.requires_grad), [n for n, _ in model.named_parameters()], [n for n, _ in model.named_buffers()])
decay = [p for n, p in model.named_parameters() if p.dim() > 1]
rest = [p for n, p in model.named_parameters() if p.dim() <= 1]
optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=1e-2, betas=(0.9, 0.95))
warm = LinearLR(optimizer, start_factor=0.1, total_iters=4)
scheduler = SequentialLR(optimizer, [warm, CosineAnnealingLR(optimizer, T_max=10, eta_min=1e-4)], milestones=[4])
plateau = ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=1)
ema = copy.deepcopy(model).requires_grad_(False)
best, state = math.inf, None
for epoch in range(4):
    model.train()
    total, right, n = 0.0, 0, 0
    for xb, yb in loader:
        optimizer.zero_grad(set_to_none=True)
        logits = model(xb)
        loss = F.cross_entropy(logits, yb, label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 0.5]))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        with torch.no_grad():
            for a, b in zip(ema.parameters(), model.parameters()):
                a.lerp_(b, 0.1)
        total += loss.item() * len(xb)
        right += (logits.argmax(-1) == yb).sum().item()
        n += len(xb)
    model.eval()
    with torch.inference_mode():
        out = torch.cat([model(xb) for xb, _ in DataLoader(val, 16)])
        target = torch.stack([t for _, t in val])
        vloss = F.cross_entropy(out, target)
    print(f"epoch {epoch} loss {total / n:.4f} acc {right / n:.3f} val {vloss:.4f} norm {norm:.4f} lr {scheduler.get_last_lr()[0]:.5f}")
    if vloss < best:
        best, state = vloss.item(), {k: v.detach().clone() for k, v in model.state_dict().items()}
plateau.step(1.0)
plateau.step(2.0)
plateau.step(3.0)
print([f"{g['lr']:.6f}" for g in optimizer.param_groups], plateau.num_bad_epochs)
buffer = io.BytesIO()
torch.save({"model": state, "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "epoch": 3}, buffer)
buffer.seek(0)
checkpoint = torch.load(buffer, map_location="cpu", weights_only=True)
print(checkpoint["epoch"], sorted(checkpoint["model"])[:4], sorted(checkpoint["optimizer"]["state"][0]), sorted(checkpoint["optimizer"]["param_groups"][0]))
fresh = Net()
print(fresh.load_state_dict(checkpoint["model"]))
again = torch.optim.AdamW([{"params": [p for p in fresh.parameters() if p.dim() > 1]}, {"params": [p for p in fresh.parameters() if p.dim() <= 1]}], lr=1.0)
again.load_state_dict(checkpoint["optimizer"])
print(again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"], again.state[fresh.body[0].weight]["step"], again)
fresh.eval()
print(fresh(X[:2]).detach().numpy().round(3).tolist(), [f"{p.norm():.4f}" for p in ema.parameters()], fresh.steps)
try:
    fresh.load_state_dict({k: v for k, v in state.items() if "head" not in k})
except RuntimeError as e:
    print(str(e))
try:
    bad = dict(state)
    bad["head.weight"] = torch.zeros(2, 2)
    bad["other"] = torch.zeros(1)
    fresh.load_state_dict(bad)
except RuntimeError as e:
    print(str(e))
print(fresh.load_state_dict({k: v for k, v in state.items() if "head" not in k}, strict=False))
one = OneCycleLR(torch.optim.SGD(fresh.parameters(), lr=0.1, momentum=0.9), max_lr=0.5, total_steps=10)
rates = []
for _ in range(9):
    one.optimizer.step()
    one.step()
    rates.append(round(one.get_last_lr()[0], 4))
print(rates, one.optimizer.param_groups[0]["momentum"])
lam = LambdaLR(torch.optim.SGD(fresh.parameters(), lr=0.1), lambda e: 0.9 ** e)
lam.optimizer.step()
lam.step()
print(lam.get_last_lr(), lam.state_dict()["last_epoch"], lam.optimizer)
