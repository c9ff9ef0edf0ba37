"""Variational autoencoders of several kinds: Gaussian, Bernoulli likelihoods, beta-TC terms, Gumbel-softmax codes, a mixture prior, importance weights, a flow posterior; the registry of divergences."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import distributions as D
from torch.distributions import constraints, transform_to, biject_to
from torch.distributions.kl import register_kl

torch.manual_seed(0)
D.Distribution.set_default_validate_args(True)


class VAE(nn.Module):
    def __init__(self, d=16, z=3, h=12):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(d, h), nn.Softplus(), nn.Linear(h, 2 * z))
        self.dec = nn.Sequential(nn.Linear(z, h), nn.Mish(), nn.Linear(h, d))
        self.register_buffer("zero", torch.zeros(z))
        self.logits, self.means, self.scales = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.randn(4, z)), nn.Parameter(torch.zeros(4, z))

    def posterior(self, x):
        mu, raw = self.enc(x).chunk(2, -1)
        return D.Independent(D.Normal(mu, F.softplus(raw) + 1e-3), 1)

    @property
    def prior(self):
        return D.MixtureSameFamily(D.Categorical(logits=self.logits), D.Independent(D.Normal(self.means, self.scales.exp()), 1))

    def forward(self, x, samples=1):
        q = self.posterior(x)
        z = q.rsample((samples,))
        p = D.Independent(D.Bernoulli(logits=self.dec(z)), 1)
        return q, z, p


x = (torch.rand(20, 16) < torch.linspace(0.1, 0.9, 16)).float()
net = VAE()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(4):
    q, z, p = net(x, 5)
    rec = p.log_prob(x.expand(5, -1, -1))
    standard = D.Independent(D.Normal(net.zero, torch.ones_like(net.zero)), 1)
    kl = D.kl_divergence(q, standard.expand(q.batch_shape))
    elbo = (rec.mean(0) - kl).mean()
    w = rec + net.prior.log_prob(z) - q.log_prob(z)
    iwae = (torch.logsumexp(w, 0) - math.log(5)).mean()
    logqz = D.Normal(q.mean[None], q.stddev[None]).log_prob(z[0][:, None])
    tc = (torch.logsumexp(logqz.sum(2), 1) - torch.logsumexp(logqz, 1).sum(1)).mean()
    loss = -elbo - 0.1 * iwae + 0.01 * tc
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, *(f"{v.item():.4f}" for v in (elbo, iwae, tc, kl.mean())))
print(net.prior, net.prior.mean, q.base_dist.loc.shape, p.mean.shape)
codes = nn.Linear(16, 6)
for tau, hard in ((1.0, False), (0.5, True)):
    torch.manual_seed(2)
    g = F.gumbel_softmax(codes(x).view(20, 2, 3), tau=tau, hard=hard, dim=-1)
    r = D.RelaxedOneHotCategorical(torch.tensor(tau), logits=codes(x).view(20, 2, 3))
    s = r.rsample()
    (g.sum(0)[0, 0] + r.log_prob(s).mean()).backward()
    print(g[0], r.log_prob(s).mean(), codes.weight.grad.norm())


class Planar(D.Transform):
    domain = codomain = constraints.real_vector
    bijective = True

    def __init__(self, w, u, b):
        super().__init__()
        self.w, self.b = w, b
        dot = (w * u).sum()
        self.u = u + (F.softplus(dot) - 1 - dot) * w / (w * w).sum()

    def _call(self, z):
        return z + self.u * torch.tanh(z @ self.w + self.b)[..., None]

    def log_abs_det_jacobian(self, z, y):
        return torch.log1p((1 - torch.tanh(z @ self.w + self.b) ** 2) * (self.w * self.u).sum())


w, u, b = (nn.Parameter(torch.randn(s) * 0.5) for s in ((2,), (2,), ()))
opt = torch.optim.Adam([w, u, b], lr=0.05)
target = D.MultivariateNormal(torch.tensor([1.0, -1.0]), torch.tensor([[1.0, 0.6], [0.6, 1.0]]))
for step in range(4):
    flow = Planar(w, u, b)
    z0 = D.Independent(D.Normal(torch.zeros(2), torch.ones(2)), 1).sample((64,))
    z1 = flow(z0)
    loss = (-flow.log_abs_det_jacobian(z0, z1) - target.log_prob(z1)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, f"{loss.item():.5f}")


class Spike(D.Distribution):
    arg_constraints = {"p": constraints.unit_interval}
    support = constraints.nonnegative

    def __init__(self, p, validate_args=None):
        self.p = torch.as_tensor(p)
        super().__init__(self.p.shape, validate_args=validate_args)


@register_kl(Spike, Spike)
def _kl_spike(a, b):
    return a.p * (a.p / b.p).log() + (1 - a.p) * ((1 - a.p) / (1 - b.p)).log()


print(D.kl_divergence(Spike(0.3), Spike(0.5)), Spike(torch.tensor([0.1, 0.2])))
for make in (lambda: Spike(2.0), lambda: D.kl_divergence(Spike(0.3), D.Normal(0.0, 1.0)), lambda: D.Normal(0.0, -1.0), lambda: D.Categorical(torch.tensor([-1.0, 2.0])),
             lambda: D.Normal(torch.zeros(2), torch.ones(3)), lambda: D.Bernoulli(0.5).log_prob(torch.tensor(0.3)), lambda: D.Uniform(1.0, 0.0)):
    try:
        print(make())
    except Exception as error:
        print("refused", isinstance(error, (ValueError, RuntimeError)))
for c in (constraints.positive, constraints.simplex, constraints.interval(-1, 2), constraints.lower_cholesky, constraints.corr_cholesky, constraints.ordered_vector if hasattr(constraints, "ordered_vector") else constraints.real):
    raw = torch.linspace(-1, 1, 3) if c is not constraints.lower_cholesky else torch.linspace(-1, 1, 9).view(3, 3)
    y = transform_to(c)(raw)
    print(c, y, c.check(y).all().item())
print(biject_to(constraints.simplex)(torch.tensor([0.3, -0.2])), biject_to(constraints.positive).inv(torch.tensor(2.0)))
pairs = [(D.Gamma(2.0, 1.0), D.Gamma(3.0, 2.0)), (D.Beta(2.0, 3.0), D.Beta(1.0, 1.0)), (D.Dirichlet(torch.tensor([1.0, 2.0])), D.Dirichlet(torch.tensor([2.0, 2.0]))),
         (D.Poisson(3.0), D.Poisson(2.0)), (D.Laplace(0.0, 1.0), D.Normal(0.0, 1.0)), (D.Uniform(0.0, 1.0), D.Normal(0.0, 1.0)), (D.Exponential(1.0), D.Gamma(2.0, 1.0)),
         (D.Geometric(0.3), D.Geometric(0.4)), (D.Gumbel(0.0, 1.0), D.Gumbel(1.0, 2.0)), (D.Weibull(1.0, 1.0), D.Weibull(2.0, 1.5)) if False else (D.HalfNormal(1.0), D.HalfNormal(2.0)),
         (D.OneHotCategorical(torch.tensor([0.2, 0.8])), D.OneHotCategorical(torch.tensor([0.5, 0.5]))), (D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(2)), target)]
print([round(D.kl_divergence(a, b).sum().item(), 5) for a, b in pairs])
