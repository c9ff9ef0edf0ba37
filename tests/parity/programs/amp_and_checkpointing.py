"""Mixed precision, gradient accumulation, gradient checkpointing, compile as a no-op."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        return x + self.down(F.silu(self.up(self.norm(x))))


class Model(nn.Module):
    def __init__(self, use_checkpoint=False):
        super().__init__()
        self.blocks = nn.ModuleList(Block(8) for _ in range(3))
        self.out = nn.Linear(8, 1)
        self.use_checkpoint = use_checkpoint

    def forward(self, x):
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.use_checkpoint else block(x)
        return self.out(x)


model = Model()
x, y = torch.randn(16, 8), torch.randn(16, 1)
with torch.autocast("cpu", dtype=torch.bfloat16):
    out = model(x)
    print(out.dtype, model.blocks[0].norm(x).dtype, (x @ x.T).dtype, F.softmax(x, -1).dtype, (x + x).dtype, torch.exp(x).dtype, F.mse_loss(out, y).dtype)
    with torch.autocast("cpu", enabled=False):
        print((x @ x.T).dtype)
    print(torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"))
print(torch.is_autocast_enabled("cpu"))
scaler = torch.amp.GradScaler("cpu", init_scale=2.0 ** 4, growth_interval=2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(4):
    optimizer.zero_grad()
    for part in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.mse_loss(model(x[part::2]), y[part::2]) / 2
        scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_value_(model.parameters(), 0.5)
    scaler.step(optimizer)
    scaler.update()
    print(f"{loss.item():.2f} {scaler.get_scale()} {loss.dtype}")
print(sorted(scaler.state_dict().items()))
torch.manual_seed(2)
plain, saving = Model(), Model(True)
saving.load_state_dict(plain.state_dict())
a = torch.randn(4, 8, requires_grad=True)
g = torch.autograd.grad(plain(a).sum(), [a, *plain.parameters()])
h = torch.autograd.grad(saving(a).sum(), [a, *saving.parameters()])
print(all(torch.allclose(p, q) for p, q in zip(g, h)), len(g))
seq = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.Tanh())
torch.manual_seed(3)
r1 = checkpoint_sequential(seq, 2, a, use_reentrant=False)
r1.sum().backward()
print(f"{a.grad.sum():.4f}", f"{r1.sum():.4f}")
compiled = torch.compile(plain, backend="eager")
print(torch.allclose(compiled(a), plain(a)), list(compiled.state_dict())[:1], type(compiled).__name__)


@torch.compile(backend="eager")
def fused(t, k=2.0):
    return torch.relu(t) * k


print(fused(torch.tensor([-1.0, 3.0])), fused.__name__)
half = Model().to(torch.bfloat16)
print({p.dtype for p in half.parameters()}, half(a.detach().bfloat16()).dtype, half.float().out.weight.dtype)
try:
    half(a.double())
except RuntimeError as e:
    print("RuntimeError")
print(torch.finfo(torch.bfloat16), torch.finfo(torch.float16).max, torch.iinfo(torch.int8).min, torch.iinfo(torch.int16))
with torch.no_grad():
    print(checkpoint(seq[0], a, use_reentrant=False).requires_grad)
