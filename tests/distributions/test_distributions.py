"""Distributions without another package to compare with: moments of samples, gradients of samples, rules and errors."""
import math
import pickle
import subprocess
import sys

import pytest

import rustorch_py as torch
from rustorch_py import distributions as dist
from rustorch_py.autograd import gradcheck
from rustorch_py.distributions import constraints, transforms

D = torch.float64


def t(data, grad=False):
    return torch.tensor(data, dtype=D, requires_grad=grad)


MOMENTS = [
    dist.Bernoulli(t([0.2, 0.7])), dist.Beta(t([2.0, 0.6]), t([3.0, 0.9])), dist.Binomial(7, t([0.2, 0.8])), dist.Chi2(t([1.0, 5.0])),
    dist.ContinuousBernoulli(t([0.2, 0.5, 0.95])), dist.Dirichlet(t([[0.6, 1.0, 3.0]])), dist.Exponential(t([0.5, 3.0])),
    dist.FisherSnedecor(t([3.0]), t([12.0])), dist.Gamma(t([0.4, 6.0]), t([2.0, 0.5])), dist.GeneralizedPareto(t([0.0, 1.0]), t([1.0, 2.0]), t([-0.3, 0.1])),
    dist.Geometric(t([0.2, 0.7])), dist.Gumbel(t([0.0, 2.0]), t([1.0, 0.3])), dist.HalfNormal(t([1.0, 3.0])), dist.InverseGamma(t([6.0]), t([2.0])),
    dist.Kumaraswamy(t([0.7, 2.0]), t([1.5, 3.0])), dist.Laplace(t([0.0, 1.0]), t([1.0, 2.0])), dist.LogNormal(t([0.0]), t([0.5])),
    dist.LowRankMultivariateNormal(t([0.0, 1.0]), t([[1.0], [-0.5]]), t([0.5, 1.0])), dist.Multinomial(5, t([0.2, 0.5, 0.3])),
    dist.MultivariateNormal(t([0.0, 1.0]), t([[2.0, 0.6], [0.6, 1.0]])), dist.NegativeBinomial(t([2.0, 5.5]), t([0.3, 0.6])), dist.Normal(t([0.0, 3.0]), t([1.0, 0.2])),
    dist.OneHotCategorical(t([0.2, 0.5, 0.3])), dist.Pareto(t([1.0]), t([6.0])), dist.Poisson(t([0.5, 30.0])), dist.StudentT(t([8.0]), 1.0, 2.0),
    dist.Uniform(t([0.0, -1.0]), t([1.0, 4.0])), dist.Weibull(t([1.0, 2.0]), t([1.5, 4.0])), dist.Wishart(t(5.0), t([[2.0, 0.3], [0.3, 1.0]])),
    dist.MixtureSameFamily(dist.Categorical(t([0.3, 0.7])), dist.Normal(t([-1.0, 2.0]), t([0.5, 1.0]))),
]


@pytest.mark.parametrize("d", MOMENTS, ids=lambda d: type(d).__name__)
def test_moments_of_samples(d):
    torch.manual_seed(0)
    x = d.sample((6000,))
    deviation = d.variance.sqrt()
    error = (x.mean(0) - d.mean) / (deviation / 6000 ** 0.5)
    assert error.abs().max() < 5
    assert ((x.var(0) / d.variance).log().abs()).max() < 0.35
    assert torch.isfinite(d.log_prob(x)).all()


CDFS = [dist.Cauchy(t(0.3), t(2.0)), dist.Exponential(t(2.0)), dist.HalfCauchy(t(0.5)), dist.HalfNormal(t(2.0)), dist.Laplace(t(0.3), t(2.0)),
        dist.Normal(t(0.3), t(2.0)), dist.Uniform(t(-1.0), t(2.0)), dist.Gumbel(t(0.3), t(2.0)), dist.Kumaraswamy(t(2.0), t(3.0)), dist.Pareto(t(1.0), t(3.0)),
        dist.Weibull(t(1.0), t(1.7)), dist.LogNormal(t(0.0), t(0.5)), dist.ContinuousBernoulli(t(0.3)), dist.ContinuousBernoulli(t(0.5)),
        dist.GeneralizedPareto(t(0.0), t(1.0), t(0.0)), dist.GeneralizedPareto(t(0.0), t(1.0), t(-0.5))]


@pytest.mark.parametrize("d", CDFS, ids=lambda d: type(d).__name__)
def test_cdf_density_and_quantiles_fit(d):
    q = torch.linspace(0.05, 0.95, 18, dtype=D)                   # not the median, where Laplace has a kink
    x = d.icdf(q).detach().requires_grad_()
    assert torch.allclose(d.cdf(x), q)
    slope, = torch.autograd.grad(d.cdf(x).sum(), x)
    assert torch.allclose(slope.log(), d.log_prob(x), atol=1e-8)


def test_gamma_samples_gradient_is_the_quantile_functions():
    """dx/da = -(dP/da) / density, with P(a, x) differenced numerically."""
    for a in (0.05, 0.4, 1.0, 3.0, 20.0, 200.0):
        for where in (0.2, 0.7, 1.0, 1.3, 2.0):
            x = t(a * where)
            h = 1e-5 * a
            slope = (torch.igamma(t(a + h), x) - torch.igamma(t(a - h), x)) / (2 * h)
            want = -slope / dist.Gamma(t(a), t(1.0)).log_prob(x).exp()
            if float(dist.Gamma(t(a), t(1.0)).log_prob(x)) < -20:
                continue                               # differences of P drown in rounding
            got = torch._standard_gamma_grad(t(a), x)
            assert torch.allclose(got, want, rtol=2e-5), (a, where, got, want)


@pytest.mark.parametrize("a, x", [(1e4, 1e4), (1.00001e4, 1.00001e4), (3e4, 2.95e4), (1e6, 1.002e6), (1e9, 1e9 + 1e4)])
def test_gamma_gradient_of_large_shapes(a, x):
    # Wilson-Hilferty: x = a (1 - 1 / (9 a) + z / (3 sqrt(a)))^3 at fixed z
    c = lambda s: 1 - 1 / (9 * s)                      # noqa: E731
    z = ((x / a) ** (1 / 3) - c(a)) * 3 * math.sqrt(a)
    root = c(a) + z / (3 * math.sqrt(a))
    want = root ** 3 + a * 3 * root ** 2 * (1 / (9 * a * a) - z / (6 * a ** 1.5))
    assert math.isclose(float(torch._standard_gamma_grad(t(a), t(x))), want, rel_tol=1e-6)


def test_gamma_gradient_at_the_edges():
    got = torch._standard_gamma_grad(t([0.0, 1.0, 1e-300, 1e-3, float("nan")]), t([1.0, 0.0, 1e-308, 2.2e-308, 1.0]))
    assert got[0] == 0 and got[1] == 0 and torch.isfinite(got[2:4]).all() and got[4] != got[4]


def test_beta_samples_gradient_is_the_quantile_functions():
    """With b = 1 the quantile is q^(1/a), with a = 1 it is 1 - (1 - q)^(1/b): exact derivatives."""
    x = torch.linspace(0.01, 0.99, 25, dtype=D)
    for a in (0.01, 0.3, 1.0, 8.0, 500.0):
        got = torch._dirichlet_grad(x, t(a).expand(25), t(a + 1).expand(25)) * (1 - x)
        assert torch.allclose(got, -x * x.log() / a, rtol=1e-9)
    for b in (0.3, 1.0, 8.0, 60.0):                    # by b, at a = 1: mirror image
        got = torch._dirichlet_grad(1 - x, t(b).expand(25), t(b + 1).expand(25)) * x
        assert torch.allclose(got, -(1 - x) * (1 - x).log() / b, rtol=1e-9)
    for b in (2, 5, 40):                               # whole b: I_x(a, b) is a finite sum, for any a
        for a in (0.02, 0.7, 3.0, 60.0):
            def cdf(a):
                j = torch.arange(b, dtype=D)
                terms = torch.lgamma(a + j) - torch.lgamma(t(a)) - torch.lgamma(j + 1) + j * (1 - x).log().unsqueeze(-1)
                return x ** a * terms.exp().sum(-1)
            h = 1e-5 * a
            density = dist.Beta(t(a), t(float(b))).log_prob(x).exp()
            want = -(cdf(a + h) - cdf(a - h)) / (2 * h) / density
            got = torch._dirichlet_grad(x, t(a).expand(25), t(a + b).expand(25)) * (1 - x)
            seen = density > 1e-3                      # elsewhere the differences drown in rounding
            assert torch.allclose(got[seen], want[seen], rtol=1e-6, atol=1e-7)


SMOOTH = [
    ("Normal", lambda a, b: dist.Normal(a, b)), ("Gamma", lambda a, b: dist.Gamma(a + 3, b)), ("Laplace", lambda a, b: dist.Laplace(a, b)),
    ("Cauchy", lambda a, b: dist.Cauchy(a, b)), ("Gumbel", lambda a, b: dist.Gumbel(a, b)), ("Uniform", lambda a, b: dist.Uniform(a, a + b)),
    ("LogNormal", lambda a, b: dist.LogNormal(a, b)), ("Weibull", lambda a, b: dist.Weibull(b, a + 2)), ("Pareto", lambda a, b: dist.Pareto(b, a + 2)),
    ("Kumaraswamy", lambda a, b: dist.Kumaraswamy(a + 2, b)), ("GeneralizedPareto", lambda a, b: dist.GeneralizedPareto(a, b, 0.1 * b)),
    ("HalfNormal", lambda a, b: dist.HalfNormal(b)), ("Exponential", lambda a, b: dist.Exponential(b)), ("ContinuousBernoulli", lambda a, b: dist.ContinuousBernoulli(logits=a + 2)),
    ("RelaxedBernoulli", lambda a, b: dist.RelaxedBernoulli(b, logits=a)), ("RelaxedOneHotCategorical", lambda a, b: dist.RelaxedOneHotCategorical(b[0], logits=a)),
    ("MultivariateNormal", lambda a, b: dist.MultivariateNormal(a, torch.diag(b) + 0.1)),
    ("LowRankMultivariateNormal", lambda a, b: dist.LowRankMultivariateNormal(a, a.unsqueeze(-1), b)), ("LogisticNormal", lambda a, b: dist.LogisticNormal(a, b)),
]


@pytest.mark.parametrize("name, make", SMOOTH, ids=[s[0] for s in SMOOTH])
def test_gradcheck(name, make):
    a, b = t([0.3, -0.8, 0.1], True), t([0.7, 1.4, 1.1], True)

    def samples(a, b):
        torch.manual_seed(4)
        d = make(a, b)
        return d.rsample((2,)) + 0 * (a.sum() + b.sum())

    torch.manual_seed(4)
    with torch.no_grad():
        x = make(a, b).rsample((2,))
    if name != "Gamma":                                # rejection: a sample jumps when the shape moves; its quantile is checked above
        assert gradcheck(samples, (a, b))
    d = make(a, b)
    x = x.clamp(min=1.001 * float(b.max())) if name == "Pareto" else x
    assert gradcheck(lambda a, b: make(a, b).log_prob(x) + 0 * (a.sum() + b.sum()), (a, b)), d


def test_dirichlet_gradient_sums_to_zero():
    c = t([[0.5, 1.0, 3.0], [4.0, 5.0, 0.7]], True)
    x = dist.Dirichlet(c).rsample((5,))
    g, = torch.autograd.grad(x.sum(), c)                # the sum is 1 whatever c
    assert g.abs().max() < 1e-12


def test_entropy_is_minus_the_mean_log_density():
    torch.manual_seed(2)
    for d in (dist.Normal(t(0.0), t(2.0)), dist.Gamma(t(2.0), t(3.0)), dist.Beta(t(2.0), t(3.0)), dist.StudentT(t(5.0)),
              dist.Kumaraswamy(t(2.0), t(3.0)), dist.Weibull(t(1.0), t(1.5)), dist.Wishart(t(4.0), torch.eye(2, dtype=D)), dist.InverseGamma(t(3.0), t(1.0)),
              dist.ContinuousBernoulli(t(0.3)), dist.Multinomial(4, t([0.2, 0.3, 0.5])), dist.GeneralizedPareto(t(0.0), t(1.0), t(0.2)), dist.Pareto(t(1.0), t(3.0))):
        log_prob = d.log_prob(d.sample((8000,)))
        assert abs(float(-log_prob.mean() - d.entropy())) < 5 * float(log_prob.std()) / 8000 ** 0.5 + 1e-3, d


def test_kl_is_the_mean_log_ratio():
    torch.manual_seed(2)
    pairs = [(dist.Beta(t(2.0), t(3.0)), dist.Normal(t(0.3), t(0.5))), (dist.Gamma(t(2.0), t(3.0)), dist.Gumbel(t(0.3), t(0.5))),
             (dist.ContinuousBernoulli(t(0.3)), dist.Uniform(t(0.0), t(1.0))), (dist.Normal(t(0.0), t(1.0)), dist.Laplace(t(0.5), t(2.0))),
             (dist.Uniform(t(0.2), t(0.8)), dist.Beta(t(2.0), t(3.0))), (dist.Cauchy(t(0.0), t(1.0)), dist.Cauchy(t(1.0), t(2.0))),
             (dist.Wishart(t(5.0), torch.eye(2, dtype=D)), dist.Wishart(t(4.0), 1.5 * torch.eye(2, dtype=D)))]
    for p, q in pairs:
        x = p.sample((8000,))
        ratio = p.log_prob(x) - q.log_prob(x)
        assert abs(float(ratio.mean() - dist.kl_divergence(p, q))) < 5 * float(ratio.std()) / 8000 ** 0.5 + 1e-6, (p, q)


def test_kumaraswamy_mode_is_where_the_density_is_highest():
    d = dist.Kumaraswamy(t([3.0, 2.0]), t([4.0, 1.5]))
    for step in (-1e-3, 1e-3):
        assert (d.log_prob(d.mode) > d.log_prob(d.mode + step)).all()
    assert dist.Kumaraswamy(t(0.5), t(2.0)).mode.isnan()


@pytest.mark.parametrize("make, x", [
    (transforms.CorrCholeskyTransform, [0.3, -1.2, 0.7]), (transforms.StickBreakingTransform, [0.3, -1.2, 0.7]), (transforms.TanhTransform, [0.3]),
    (transforms.SigmoidTransform, [0.3]), (transforms.SoftplusTransform, [0.3]), (lambda: transforms.PowerTransform(t(1.7)), [0.3]),
    (lambda: transforms.AffineTransform(1.0, t([2.0, -3.0]), event_dim=1), [0.3, 0.4])])
def test_jacobians_beside_autograd(make, x):
    transform, x = make(), t(x)
    y = transform(x)
    def free(v):
        out = transform(v)
        if isinstance(transform, transforms.StickBreakingTransform):
            return out[:-1]
        if isinstance(transform, transforms.CorrCholeskyTransform):
            return dist.utils.tril_matrix_to_vec(out, -1)
        return out
    jacobian = torch.autograd.functional.jacobian(free, x)
    want = torch.linalg.slogdet(jacobian)[1]
    assert torch.allclose(transform.log_abs_det_jacobian(x, y).sum(), want)
    assert torch.allclose(transform.inv(y), x)


def test_a_subclass_of_a_users_own():
    class Shifted(dist.Distribution):
        arg_constraints = {"shift": constraints.real}
        support = constraints.real
        has_rsample = True

        def __init__(self, shift, validate_args=None):
            self.shift, = dist.utils.broadcast_all(shift)
            super().__init__(self.shift.shape, validate_args=validate_args)

        def rsample(self, sample_shape=torch.Size()):
            return self.shift + torch.randn(self._extended_shape(sample_shape))

        def log_prob(self, value):
            if self._validate_args:
                self._validate_sample(value)
            return dist.Normal(self.shift, 1.0).log_prob(value)

    d = Shifted(torch.tensor([1.0, 2.0]))
    assert d.sample((3,)).shape == (3, 2) and repr(d) == "Shifted(shift: torch.Size([2]))"
    with pytest.raises(NotImplementedError):
        d.expand((3, 2))
    with pytest.raises(ValueError, match="shift"):
        Shifted(torch.tensor(float("nan")))

    @dist.register_kl(Shifted, dist.Normal)
    def kl(p, q):
        return dist.kl_divergence(dist.Normal(p.shift, 1.0), q)
    try:
        assert torch.allclose(dist.kl_divergence(Shifted(torch.tensor(0.0)), dist.Normal(1.0, 1.0)), torch.tensor(0.5))
    finally:
        del dist.kl._KL_REGISTRY[Shifted, dist.Normal]
        dist.kl._KL_MEMOIZE.clear()

    class Own(dist.Normal):
        def __init__(self, both):
            super().__init__(both, both.exp())
    with pytest.raises(NotImplementedError, match="expand"):
        Own(torch.tensor(0.0)).expand((2,))

    class Plain(dist.Normal):
        pass
    assert type(Plain(0.0, 1.0).expand((2,))) is Plain


def test_ambiguous_divergences_warn():
    class A(dist.Normal):
        pass

    dist.register_kl(A, dist.Normal)(lambda p, q: 1)
    dist.register_kl(dist.Normal, A)(lambda p, q: 2)
    try:
        with pytest.warns(RuntimeWarning, match="Ambiguous"):
            assert dist.kl_divergence(A(0.0, 1.0), A(0.0, 1.0)) == 1
    finally:
        for pair in ((A, dist.Normal), (dist.Normal, A)):
            del dist.kl._KL_REGISTRY[pair]
        dist.kl._KL_MEMOIZE.clear()


def test_validation_can_be_switched_off():
    with pytest.raises(ValueError, match="Expected parameter scale"):
        dist.Normal(0.0, -1.0)
    dist.Normal(0.0, -1.0, validate_args=False)
    dist.Distribution.set_default_validate_args(False)
    try:
        dist.Normal(0.0, -1.0).log_prob(torch.tensor(float("nan")))
    finally:
        dist.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="within the support"):
        dist.Exponential(1.0).log_prob(torch.tensor(-1.0))
    with pytest.raises(ValueError, match="not broadcastable"):
        dist.Normal(torch.zeros(2), 1.0).log_prob(torch.zeros(3))


def test_lazy_parameters_keep_their_gradient_under_no_grad():
    logits = t([0.3, -0.2], True)
    d = dist.Bernoulli(logits=logits)
    with torch.no_grad():
        d.probs
    assert d.probs.requires_grad
    assert isinstance(dist.Bernoulli.probs, property)


def test_caches_are_per_transform_and_weak():
    transform = transforms.ExpTransform(cache_size=1)
    x = torch.tensor([1.0])
    y = transform(x)
    inverse = transform.inv
    assert transform(x) is y and inverse(y) is x and transform.inv is inverse
    copy = pickle.loads(pickle.dumps(transforms.ComposeTransform([transforms.ExpTransform(), transforms.TanhTransform()])))
    assert torch.equal(copy(x), x.exp().tanh())


def test_it_loads_on_first_use():
    code = "import sys, rustorch_py; assert not any('distributions' in m for m in sys.modules); rustorch_py.distributions.normal.Normal"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.complex64])
def test_gamma_refuses_other_dtypes(dtype):
    with pytest.raises(NotImplementedError):
        torch._standard_gamma(torch.ones(3).to(dtype))
    with pytest.raises(NotImplementedError):
        torch._sample_dirichlet(torch.ones(3).to(dtype))


def test_gradients_of_samples_refuse_mixed_dtypes():
    with pytest.raises(RuntimeError, match="output"):
        torch._standard_gamma_grad(torch.ones(3), t([1.0, 1.0, 1.0]))
    with pytest.raises(RuntimeError):
        torch._dirichlet_grad(torch.ones(3), torch.ones(2), torch.ones(3))
