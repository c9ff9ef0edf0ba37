"""A normalising flow, score matching and a gradient penalty: gradients of gradients."""
import math
import torch
from torch import nn
from torch.distributions import MultivariateNormal


class Coupling(nn.Module):
    def __init__(self, d, h, mask):
        super().__init__()
        self.register_buffer('mask', mask)
        mk = lambda last: nn.Sequential(nn.Linear(d, h), nn.Tanh(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, d), *last)
        self.s, self.t = mk([nn.Tanh()]), mk([])
    def forward(self, x):
        m = x * self.mask
        s, t = self.s(m) * (1 - self.mask), self.t(m) * (1 - self.mask)
        return m + (1 - self.mask) * (x * torch.exp(s) + t), s.sum(dim=1)
    def inverse(self, z):
        m = z * self.mask
        s, t = self.s(m) * (1 - self.mask), self.t(m) * (1 - self.mask)
        return m + (1 - self.mask) * (z - t) * torch.exp(-s)


class RealNVP(nn.Module):
    def __init__(self, d=2, h=32, n=4):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(d, h, torch.tensor([i % 2, (i + 1) % 2], dtype=torch.float32)) for i in range(n))
        self.register_buffer('loc', torch.zeros(d))
        self.register_buffer('cov', torch.eye(d))
    def log_prob(self, x):
        ld = x.new_zeros(x.size(0))
        for l in self.layers:
            x, d = l(x)
            ld = ld + d
        return MultivariateNormal(self.loc, self.cov).log_prob(x) + ld
    def sample(self, n):
        z = MultivariateNormal(self.loc, covariance_matrix=self.cov).sample((n,))
        for l in reversed(self.layers): z = l.inverse(z)
        return z


class Energy(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(2, 64), nn.Softplus(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
    def score(self, x):
        x = x.requires_grad_(True) if x.is_leaf else x
        return torch.autograd.grad(self.f(x).sum(), x, create_graph=True)[0]


def build():
    torch.manual_seed(0)
    th = torch.rand(1024) * math.pi
    X = torch.stack([th.cos(), th.sin()], 1) + .05 * torch.randn(1024, 2)
    flow, en = RealNVP(), Energy()
    opt = torch.optim.Adamax(flow.parameters(), lr=5e-3)
    opt2 = torch.optim.RAdam(en.parameters(), lr=1e-3)
    def step(i):
        x = X[torch.randint(0, 1024, (128,))]
        loss = -flow.log_prob(x).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        xs = x.clone().detach().requires_grad_(True)
        s = en.score(xs)
        tr = sum(torch.autograd.grad(s[:, k].sum(), xs, create_graph=True, retain_graph=True)[0][:, k] for k in range(2))
        sm = (tr + 0.5 * s.pow(2).sum(1)).mean()
        alpha = torch.rand(128, 1)
        xi = (alpha * x + (1 - alpha) * torch.randn_like(x)).requires_grad_()
        g, = torch.autograd.grad(outputs=en.f(xi), inputs=xi, grad_outputs=torch.ones(128, 1), create_graph=True, retain_graph=True, only_inputs=True)
        gp = ((g.norm(2, dim=1) - 1) ** 2).mean()
        opt2.zero_grad()
        (sm + 0.1 * gp).backward()
        opt2.step()
        with torch.no_grad(): sa = flow.sample(64)
        H = torch.autograd.functional.hessian(lambda v: en.f(v).sum(), x[0])
        return loss.item(), sm.item(), gp.item(), sa.abs().mean().item(), torch.linalg.slogdet(H).logabsdet.item()
    return step, dict(flow=flow, en=en), dict(opt=opt, opt2=opt2)


step, models, _ = build()
for i in range(4):
    print(*step(i))
for name, model in models.items():
    print(name, model, list(model.state_dict()))
