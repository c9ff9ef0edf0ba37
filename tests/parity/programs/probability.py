"""torch.distributions: policies, VAEs, transforms, divergences, constraints."""
import math

import torch
import torch.distributions as D
from torch.distributions import Bernoulli, Beta, Categorical, Dirichlet, Gamma, Independent, MultivariateNormal, Normal, kl_divergence

torch.manual_seed(0)
D.Distribution.set_default_validate_args(True)
logits = torch.randn(4, 3, requires_grad=True)
policy = Categorical(logits=logits)
action = policy.sample()
print(policy, action, policy.log_prob(action).shape, policy.entropy().detach(), policy.probs.sum(-1), policy.mode, policy.batch_shape, policy.event_shape)
loss = -(policy.log_prob(action) * torch.tensor([1.0, -1.0, 0.5, 2.0])).mean() - 0.01 * policy.entropy().mean()
loss.backward()
print(f"{loss:.5f} {logits.grad.norm():.5f}")
mu, log_std = torch.zeros(2, 3, requires_grad=True), torch.zeros(3, requires_grad=True)
gauss = Independent(Normal(mu, log_std.exp()), 1)
z = gauss.rsample()
print(gauss, gauss.log_prob(z).shape, gauss.entropy(), z.requires_grad, gauss.mean.shape, gauss.stddev.shape)
kl = kl_divergence(Normal(mu + 1, log_std.exp() * 2), Normal(torch.zeros(3), torch.ones(3)))
print(kl.sum(-1), kl_divergence(gauss, Independent(Normal(torch.ones(2, 3), 1.0), 1)))
kl.sum().backward()
print(mu.grad[0], log_std.grad)
tanh = D.TransformedDistribution(Normal(torch.zeros(2), 1.0), [D.TanhTransform(cache_size=1), D.AffineTransform(0.5, 2.0)])
a = tanh.rsample((3,))
print(tanh.log_prob(a).shape, a.shape, tanh.support, bool(((a > -1.5) & (a < 2.5)).all()))
cov = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
mvn = MultivariateNormal(torch.zeros(2), cov)
print(mvn, mvn.log_prob(torch.ones(2)), mvn.entropy(), mvn.scale_tril, mvn.precision_matrix, mvn.sample((2,)).shape, mvn.variance)
mix = D.MixtureSameFamily(Categorical(torch.tensor([0.3, 0.7])), Normal(torch.tensor([-1.0, 1.0]), torch.tensor([0.5, 0.2])))
print(mix.log_prob(torch.tensor([0.0, 1.0])), mix.mean, mix.variance, mix.cdf(torch.tensor(0.0)))
for d in (Bernoulli(0.3), Beta(2.0, 3.0), Gamma(2.0, 1.0), D.Exponential(2.0), D.Laplace(0.0, 1.0), D.Poisson(3.0), D.StudentT(5.0), D.Uniform(-1.0, 1.0), D.LogNormal(0.0, 1.0),
          D.Geometric(0.2), D.Gumbel(0.0, 1.0), D.HalfNormal(1.0), D.Cauchy(0.0, 1.0), D.Binomial(10, 0.5), D.VonMises(0.0, 1.0), D.Weibull(1.0, 2.0), D.Pareto(1.0, 3.0), D.Chi2(3.0)):
    v = d.sample((2,))
    print(d, d.mean, d.variance, v, d.log_prob(v), d.has_rsample)
print(Dirichlet(torch.ones(3) * 2).log_prob(torch.tensor([0.2, 0.3, 0.5])), D.Multinomial(5, torch.ones(3)).sample(), D.OneHotCategorical(torch.ones(3)).sample(), D.LKJCholesky(3, 1.0).sample().shape)
relaxed = D.RelaxedOneHotCategorical(torch.tensor(0.5), logits=torch.zeros(3))
print(relaxed.rsample(), D.RelaxedBernoulli(torch.tensor(0.5), probs=torch.tensor(0.3)).rsample())
print(Normal(torch.zeros(2, 1), torch.ones(3)).expand((4, 2, 3)).batch_shape, Normal(0.0, 1.0).icdf(torch.tensor(0.975)), Normal(0.0, 1.0).cdf(torch.tensor(1.0)), Normal(0.0, 1.0).perplexity())
for bad in (lambda: Normal(0.0, -1.0), lambda: Categorical(probs=torch.tensor([-1.0, 2.0])), lambda: Bernoulli(2.0), lambda: Normal(0.0, 1.0).log_prob(torch.tensor(float("nan"))), lambda: Categorical(),
            lambda: MultivariateNormal(torch.zeros(2), -cov), lambda: kl_divergence(Normal(0.0, 1.0), Gamma(1.0, 1.0)), lambda: Beta(2.0, 3.0).log_prob(torch.tensor(2.0))):
    try:
        bad()
    except (ValueError, NotImplementedError) as e:
        print(type(e).__name__ in ("ValueError", "NotImplementedError") or isinstance(e, (ValueError, NotImplementedError)), str(e))
print(D.constraints.positive.check(torch.tensor([1.0, -1.0])), D.constraints.simplex.check(torch.tensor([0.5, 0.5])), D.biject_to(D.constraints.positive)(torch.tensor(0.0)), D.transform_to(D.constraints.lower_cholesky)(torch.zeros(2, 2)))
torch.manual_seed(4)
print(D.Categorical(probs=torch.tensor([[0.1, 0.9], [0.5, 0.5]])).sample((3,)), Normal(torch.tensor([1.0]), 2.0).sample(), torch.distributions.Normal(0, 1).sample())
