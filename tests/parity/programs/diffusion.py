"""Denoising diffusion: schedules, sinusoidal times, FiLM blocks, v-prediction, classifier-free guidance, ancestral and DDIM sampling, EMA by hand; then flow matching with an ODE solver."""
import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import einsum

torch.manual_seed(0)


def cosine_beta_schedule(steps, s=0.008):
    t = torch.linspace(0, steps, steps + 1, dtype=torch.float64) / steps
    ac = torch.cos((t + s) / (1 + s) * math.pi * 0.5) ** 2
    ac = ac / ac[0]
    return torch.clip(1 - ac[1:] / ac[:-1], 0, 0.999)


def extract(a, t, shape):
    return a.gather(-1, t).reshape(t.shape[0], *((1,) * (len(shape) - 1)))


class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, t):
        half = self.dim // 2
        e = torch.exp(torch.arange(half, device=t.device) * -(math.log(10000) / (half - 1)))
        e = t[:, None] * e[None, :]
        return torch.cat((e.sin(), e.cos()), dim=-1)


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, dim, 1))

    def forward(self, x):
        return F.normalize(x, dim=1) * self.g * (x.shape[1] ** 0.5)


class LinearAttention(nn.Module):
    def __init__(self, dim, heads=2, dim_head=4):
        super().__init__()
        self.heads, self.scale = heads, dim_head ** -0.5
        self.to_qkv, self.to_out = nn.Conv1d(dim, heads * dim_head * 3, 1, bias=False), nn.Conv1d(heads * dim_head, dim, 1)

    def forward(self, x):
        b, c, n = x.shape
        q, k, v = (t.view(b, self.heads, -1, n) for t in self.to_qkv(x).chunk(3, dim=1))
        q, k = q.softmax(dim=-2) * self.scale, k.softmax(dim=-1)
        context = einsum("b h d n, b h e n -> b h d e", k, v)
        return self.to_out(einsum("b h d e, b h d n -> b h e n", context, q).reshape(b, -1, n))


class Net(nn.Module):
    def __init__(self, dim=8, classes=3):
        super().__init__()
        self.time = nn.Sequential(SinusoidalPosEmb(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, 2 * dim))
        self.classes = nn.Embedding(classes + 1, 2 * dim)
        self.init, self.norm, self.attn = nn.Conv1d(1, dim, 7, padding=3), RMSNorm(dim), LinearAttention(dim)
        self.block, self.gn, self.final = nn.Conv1d(dim, dim, 3, padding=1), nn.GroupNorm(4, dim), nn.Conv1d(dim, 1, 1)

    def forward(self, x, t, c):
        h = self.init(x)
        scale, shift = (self.time(t.float()) + self.classes(c))[:, :, None].chunk(2, dim=1)
        h = F.silu(self.gn(self.block(h)) * (scale + 1) + shift) + h
        return self.final(h + self.attn(self.norm(h)))


T = 20
betas = cosine_beta_schedule(T)
alphas = 1.0 - betas
ac = torch.cumprod(alphas, dim=0)
prev = F.pad(ac[:-1], (1, 0), value=1.0)
post_var = (betas * (1.0 - prev) / (1.0 - ac)).float()
c1, c2 = (betas * prev.sqrt() / (1 - ac)).float(), ((1 - prev) * alphas.sqrt() / (1 - ac)).float()
ac, prev = ac.float(), prev.float()
snr = ac / (1 - ac)
net = Net()
ema = copy.deepcopy(net).requires_grad_(False)
opt = torch.optim.Adam(net.parameters(), lr=2e-3, betas=(0.9, 0.99), amsgrad=True)
for step in range(6):
    label = torch.randint(0, 3, (16,))
    x0 = torch.sin(torch.linspace(0, 6.28, 24)[None, None] * (label[:, None, None] + 1))
    t, noise = torch.randint(0, T, (16,)).long(), torch.randn_like(x0)
    a, s = extract(ac, t, x0.shape).sqrt(), (1 - extract(ac, t, x0.shape)).sqrt()
    x = a * x0 + s * noise
    v = a * noise - s * x0
    c = torch.where(torch.rand(16) < 0.2, torch.full_like(label, 3), label)
    loss = F.mse_loss(net(x, t, c), v, reduction="none").flatten(1).mean(1)
    weight = extract(snr.clamp(max=5) / (snr + 1), t, loss.shape)
    loss = (loss * weight).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for p, e in zip(net.parameters(), ema.parameters()):
            e.lerp_(p, 0.1)
    print(step, f"{loss.item():.5f}", f"{weight.sum().item():.4f}")


@torch.no_grad()
def predict(x, t, c, w=1.5):
    out, null = ema(x, t, c), ema(x, t, torch.full_like(c, 3))
    v = null + (out - null) * w
    a, s = extract(ac, t, x.shape).sqrt(), (1 - extract(ac, t, x.shape)).sqrt()
    start = (a * x - s * v).clamp(-1, 1)
    return start, (x - a * start) / s


torch.manual_seed(5)
c = torch.tensor([0, 1, 2])
x = torch.randn(3, 1, 24)
for i in reversed(range(T)):
    t = torch.full((3,), i)
    start, _ = predict(x, t, c)
    mean = extract(c1, t, x.shape) * start + extract(c2, t, x.shape) * x
    x = mean + (post_var[i].clamp(min=1e-20).log() * 0.5).exp() * torch.randn_like(x) if i else mean
print(x.squeeze(1)[:, :5], x.std().item())
x = torch.randn(3, 1, 24)
times = list(reversed(torch.linspace(-1, T - 1, steps=6).int().tolist()))
for now, nxt in zip(times[:-1], times[1:]):
    start, eps = predict(x, torch.full((3,), now), c)
    if nxt < 0:
        x = start
        continue
    sigma = 0.5 * ((1 - ac[now] / ac[nxt]) * (1 - ac[nxt]) / (1 - ac[now])).sqrt()
    x = start * ac[nxt].sqrt() + (1 - ac[nxt] - sigma ** 2).sqrt() * eps + sigma * torch.randn_like(x)
print(x.squeeze(1)[:, ::8], times)
field = nn.Sequential(nn.Linear(3, 16), nn.ELU(), nn.Linear(16, 2))
opt = torch.optim.Adamax(field.parameters(), 1e-2)
for step in range(5):
    x1, x0, t = torch.randn(32, 2) * 0.1 + torch.tensor([1.0, -1.0]), torch.randn(32, 2), torch.rand(32, 1)
    loss = F.mse_loss(field(torch.cat([(1 - t) * x0 + t * x1, t], 1)), x1 - x0)
    opt.zero_grad(); loss.backward(); opt.step()
with torch.no_grad():
    x, h = torch.randn(4, 2), 0.25
    f = lambda x, t: field(torch.cat([x, torch.full((4, 1), t)], 1))
    for i in range(4):
        k1 = f(x, i * h); k2 = f(x + h / 2 * k1, i * h + h / 2); k3 = f(x + h / 2 * k2, i * h + h / 2); k4 = f(x + h * k3, i * h + h)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
print(f"{loss.item():.5f}", x)
