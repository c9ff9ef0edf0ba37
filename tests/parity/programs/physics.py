"""A physics-informed network trained by LBFGS, a Gaussian process by Cholesky, Kalman filtering, splines, sparse systems: float64 throughout."""
import math

import torch
import torch.nn as nn
from torch.distributions import MultivariateNormal

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)


class Sine(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.w = w

    def forward(self, x):
        return torch.sin(self.w * x)

    def extra_repr(self):
        return f"w={self.w}"


net = nn.Sequential(nn.Linear(1, 10), Sine(2.0), nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 1))
print(net, net[0].weight.dtype)
x = torch.linspace(0, 1, 20).unsqueeze(1).requires_grad_()
opt = torch.optim.LBFGS(net.parameters(), lr=1.0, max_iter=5, history_size=10, line_search_fn="strong_wolfe")


def residual():
    u = net(x) * x * (1 - x)
    du, = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)
    d2u, = torch.autograd.grad(du, x, torch.ones_like(du), create_graph=True)
    return ((d2u + math.pi ** 2 * torch.sin(math.pi * x)) ** 2).mean()


def closure():
    opt.zero_grad()
    loss = residual()
    loss.backward()
    return loss


for step in range(3):
    loss = opt.step(closure)
    print(step, f"{loss.item():.6f}", opt.state_dict()["state"][0]["n_iter"])
print(((net(x) * x * (1 - x)) - torch.sin(math.pi * x)).abs().max().item() < 1.0)


class Kernel(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_len, self.log_scale, self.log_noise = (nn.Parameter(torch.tensor(v)) for v in (-1.0, 0.0, -2.0))

    def forward(self, a, b):
        return self.log_scale.exp() * torch.exp(-0.5 * (torch.cdist(a, b) / self.log_len.exp()) ** 2)


k, X = Kernel(), torch.rand(15, 1)
y = torch.sin(6 * X).squeeze(1) + 0.1 * torch.randn(15)
opt = torch.optim.Rprop(k.parameters(), lr=0.05)
for step in range(6):
    opt.zero_grad()
    L = torch.linalg.cholesky(k(X, X) + k.log_noise.exp() * torch.eye(15))
    alpha = torch.cholesky_solve(y.unsqueeze(1), L)
    nll = 0.5 * y @ alpha.squeeze(1) + L.diagonal().log().sum() + 7.5 * math.log(2 * math.pi)
    nll.backward()
    opt.step()
    print(step, f"{nll.item():.6f}", [round(p.item(), 5) for p in k.parameters()])
assert torch.allclose(nll, -MultivariateNormal(torch.zeros(15), scale_tril=L).log_prob(y))
with torch.no_grad():
    S = torch.linspace(0, 1, 4).unsqueeze(1)
    Ks = k(X, S)
    v = torch.linalg.solve_triangular(L, Ks, upper=False)
    print((Ks.T @ alpha).squeeze(1), (k(S, S) - v.T @ v).diagonal())
F_, Q, H, R = torch.tensor([[1.0, 0.1], [0.0, 1.0]]), torch.eye(2) * 0.01, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.1]])
m, P, ll = torch.zeros(2), torch.eye(2), 0.0
for z in torch.cumsum(torch.randn(10) * 0.3, 0):
    m, P = F_ @ m, F_ @ P @ F_.T + Q
    S = H @ P @ H.mT + R
    K = torch.linalg.solve(S, H @ P).mT
    r = z - H @ m
    ll = ll - 0.5 * (r @ torch.linalg.solve(S, r) + torch.logdet(2 * math.pi * S))
    m, P = m + K @ r, P - K @ S @ K.T
print(m, P, ll)
n = 12
A = torch.sparse_coo_tensor(torch.tensor([[*range(n), *range(n - 1), *range(1, n)], [*range(n), *range(1, n), *range(n - 1)]]),
                            torch.cat([torch.full((n,), 2.0), torch.full((2 * n - 2,), -1.0)]), (n, n)).coalesce()
b, u = torch.ones(n), torch.zeros(n)
r = b - torch.mv(A, u); p = r.clone(); rs = r @ r
for it in range(20):
    Ap = torch.mv(A, p)
    a = rs / (p @ Ap)
    u, r = u + a * p, r - a * Ap
    new = r @ r
    if new.sqrt() < 1e-10:
        break
    p, rs = r + new / rs * p, new
print(it, u, torch.linalg.eigvalsh(A.to_dense())[:3], torch.linalg.matrix_norm(A.to_dense() @ u.unsqueeze(1) - b.unsqueeze(1)).item() < 1e-8)
knots, vals = torch.linspace(0, 1, 6), torch.cos(torch.linspace(0, 3, 6))
q = torch.tensor([0.05, 0.5, 0.77, 1.0])
i = torch.searchsorted(knots, q, right=True).clamp(1, 5) - 1
t = (q - knots[i]) / (knots[i + 1] - knots[i])
slope = torch.gradient(vals, spacing=(knots,))[0] * 0.2
print((2 * t ** 3 - 3 * t ** 2 + 1) * vals[i] + (t ** 3 - 2 * t ** 2 + t) * slope[i] + (-2 * t ** 3 + 3 * t ** 2) * vals[i + 1] + (t ** 3 - t ** 2) * slope[i + 1])
w = torch.hann_window(16)
sig = torch.sin(torch.arange(64.0) * 0.7) + 0.5 * torch.cos(torch.arange(64.0) * 1.9)
spec = torch.stft(sig, 16, 4, window=w, return_complex=True)
print(spec.abs().mean(1).topk(3), torch.allclose(torch.istft(spec, 16, 4, window=w, length=64), sig))
torch.set_default_dtype(torch.float32)
