"""Kullback-Leibler divergences: the registry, its dispatch, and the pairs with closed forms."""
import math
import warnings

from .. import autograd, linalg, tensor as T
from ..nn.functional import softplus
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .distribution import Distribution
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal, _batch_lowrank_logdet, _batch_lowrank_mahalanobis
from .multivariate_normal import MultivariateNormal, _batch_mahalanobis
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import _sum_rightmost, euler_constant

__all__ = ["register_kl", "kl_divergence"]

_KL_REGISTRY = {}                # (type of p, type of q) -> function
_KL_MEMOIZE = {}                 # what dispatch found, for any pair of types


def register_kl(type_p, type_q):
    """Decorate a function (p, q) that computes KL(p || q) for two distribution types and their subclasses.

    The most special pair wins; where two pairs are incomparable the one more special in p is taken, with a warning.

    Args:
        type_p, type_q: subclasses of Distribution.

    Raises:
        TypeError: one is none.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type) or not issubclass(kind, Distribution):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def decorator(fn):
        _KL_REGISTRY[type_p, type_q] = fn
        _KL_MEMOIZE.clear()
        return fn
    return decorator


def _dispatch_kl(type_p, type_q):
    """The registered function of the most special pair of base classes; NotImplemented without one."""
    above_p, above_q = type_p.__mro__, type_q.__mro__
    matches = [(above_p.index(p), above_q.index(q)) for p, q in _KL_REGISTRY if p in above_p and q in above_q]
    if not matches:
        return NotImplemented
    left, right = min(matches), min(matches, key=lambda m: m[::-1])
    pair = above_p[left[0]], above_q[left[1]]
    other = above_p[right[0]], above_q[right[1]]
    if _KL_REGISTRY[pair] is not _KL_REGISTRY[other]:
        warnings.warn(f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). "
                      f"Please register_kl({pair[0].__name__}, {other[1].__name__})", RuntimeWarning, stacklevel=3)
    return _KL_REGISTRY[pair]


def kl_divergence(p, q):
    """Compute KL(p || q), the mean under p of log p - log q.

    Args:
        p, q: distributions of a registered pair of types.

    Returns:
        tensor of batch shape.

    Raises:
        NotImplementedError: no closed form is registered.

    Example:
        >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
        tensor(0.5000)
    """
    key = type(p), type(q)
    if key not in _KL_MEMOIZE:
        _KL_MEMOIZE[key] = _dispatch_kl(*key)
    fn = _KL_MEMOIZE[key]
    if fn is NotImplemented:
        raise NotImplementedError(f"No KL(p || q) is implemented for p type {p.__class__.__name__} and q type {q.__class__.__name__}")
    return fn(p, q)


def _infinite_where(condition, value):
    return T.where(condition, T.full_like(value, math.inf), value)


def _x_log_x(x):
    return T.xlogy(x, x)


def _batch_trace_XXT(X):
    """tr(X X^T) of matrices."""
    return X.pow(2).sum((-2, -1))


def _half_log_det(tril):
    return tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


# ---- the same family twice ----

@register_kl(Bernoulli, Bernoulli)
def _kl_bernoulli_bernoulli(p, q):
    ones = _infinite_where(q.probs == 0, p.probs * (softplus(-q.logits) - softplus(-p.logits))).masked_fill(p.probs == 0, 0)
    zeros = _infinite_where(q.probs == 1, (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))).masked_fill(p.probs == 1, 0)
    return ones + zeros


@register_kl(Beta, Beta)
def _kl_beta_beta(p, q):
    sum_p, sum_q = p.concentration1 + p.concentration0, q.concentration1 + q.concentration0
    t1 = q.concentration1.lgamma() + q.concentration0.lgamma() + sum_p.lgamma()
    t2 = p.concentration1.lgamma() + p.concentration0.lgamma() + sum_q.lgamma()
    t3 = (p.concentration1 - q.concentration1) * T.digamma(p.concentration1)
    t4 = (p.concentration0 - q.concentration0) * T.digamma(p.concentration0)
    return t1 - t2 + t3 + t4 + (sum_q - sum_p) * T.digamma(sum_p)


@register_kl(Binomial, Binomial)
def _kl_binomial_binomial(p, q):
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return _infinite_where(p.total_count > q.total_count, kl)


@register_kl(Categorical, Categorical)
def _kl_categorical_categorical(p, q):
    t = p.probs * (p.logits - q.logits)
    return _infinite_where((q.probs == 0).expand_as(t), t).masked_fill((p.probs == 0).expand_as(t), 0).sum(-1)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _kl_continuous_bernoulli_continuous_bernoulli(p, q):
    return (p.mean * (p.logits - q.logits) + p._cont_bern_log_norm() + T.log1p(-p.probs) - q._cont_bern_log_norm() - T.log1p(-q.probs))


@register_kl(Dirichlet, Dirichlet)
def _kl_dirichlet_dirichlet(p, q):
    total = p.concentration.sum(-1)
    normalizers = total.lgamma() - q.concentration.sum(-1).lgamma() - (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    return normalizers + ((p.concentration - q.concentration) * (p.concentration.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Exponential, Exponential)
def _kl_exponential_exponential(p, q):
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _kl_expfamily_expfamily(p, q):
    """The Bregman divergence of the log normalizer (F. Nielsen & R. Nock, 2010)."""
    if not type(p) == type(q):
        raise NotImplementedError("The cross KL-divergence between different exponential families cannot be computed using Bregman divergences")
    of_p = [param.detach().requires_grad_() for param in p._natural_params]
    of_q = q._natural_params
    with T.enable_grad():
        log_norm = p._log_normalizer(*of_p)
        gradients = autograd.grad(log_norm.sum(), of_p, create_graph=True)
    result = q._log_normalizer(*of_q) - log_norm
    for param_p, param_q, gradient in zip(of_p, of_q, gradients):
        result = result - _sum_rightmost((param_q - param_p) * gradient, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _kl_gamma_gamma(p, q):
    return (q.concentration * (p.rate / q.rate).log() + T.lgamma(q.concentration) - T.lgamma(p.concentration)
            + (p.concentration - q.concentration) * T.digamma(p.concentration) + (q.rate - p.rate) * (p.concentration / p.rate))


@register_kl(Gumbel, Gumbel)
def _kl_gumbel_gumbel(p, q):
    ratio, loc_q, loc_p = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    return (-ratio.log() - loc_q + loc_p + ratio * euler_constant + T.exp(loc_q + (1 + ratio).lgamma() - loc_p) - (1 + euler_constant))


@register_kl(Geometric, Geometric)
def _kl_geometric_geometric(p, q):
    return -p.entropy() - T.log1p(-q.probs) / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _kl_halfnormal_halfnormal(p, q):
    return _kl_normal_normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _kl_laplace_laplace(p, q):
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * T.exp(-distance / p.scale) - 1


def _check_events(p, q):
    if p.event_shape != q.event_shape:
        raise ValueError(f"KL-divergence between two Multivariate Normals with different event shapes cannot be computed, "
                         f"got {p.event_shape} and {q.event_shape}")
    return p.event_shape[0]


def _woodbury_factor(q):
    """A with (W W^T + D)^-1 = D^-1 - A^T A for a low-rank q."""
    scaled = q._unbroadcasted_cov_factor.mT / q._unbroadcasted_cov_diag.unsqueeze(-2)
    return linalg.solve_triangular(q._capacitance_tril, scaled, upper=False)


def _lowrank_log_det(d):
    return _batch_lowrank_logdet(d._unbroadcasted_cov_factor, d._unbroadcasted_cov_diag, d._capacitance_tril)


def _lowrank_distance(p, q):
    return _batch_lowrank_mahalanobis(q._unbroadcasted_cov_factor, q._unbroadcasted_cov_diag, q.loc - p.loc, q._capacitance_tril)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _kl_lowrankmultivariatenormal_lowrankmultivariatenormal(p, q):
    n, a = _check_events(p, q), _woodbury_factor(q)
    w, d = p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag
    trace = ((d / q._unbroadcasted_cov_diag).sum(-1) + _batch_trace_XXT(w * q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1))
             - _batch_trace_XXT(a * d.sqrt().unsqueeze(-2)) - _batch_trace_XXT(a.matmul(w)))
    return 0.5 * (_lowrank_log_det(q) - _lowrank_log_det(p) + trace + _lowrank_distance(p, q) - n)


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _kl_multivariatenormal_lowrankmultivariatenormal(p, q):
    n, a, tril = _check_events(p, q), _woodbury_factor(q), p._unbroadcasted_scale_tril
    trace = _batch_trace_XXT(tril * q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1)) - _batch_trace_XXT(a.matmul(tril))
    return 0.5 * (_lowrank_log_det(q) - 2 * _half_log_det(tril) + trace + _lowrank_distance(p, q) - n)


def _solved(q, matrix):
    """L^-1 matrix for q's factor L, over the batches of both."""
    tril = q._unbroadcasted_scale_tril
    batch = T.broadcast_shapes(tril.shape[:-2], matrix.shape[:-2])
    return linalg.solve_triangular(tril.expand(batch + tril.shape[-2:]), matrix.expand(batch + matrix.shape[-2:]), upper=False)


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _kl_lowrankmultivariatenormal_multivariatenormal(p, q):
    n = _check_events(p, q)
    trace = (_batch_trace_XXT(_solved(q, p._unbroadcasted_cov_factor))
             + _batch_trace_XXT(_solved(q, T.diag_embed(p._unbroadcasted_cov_diag.sqrt()))))
    distance = _batch_mahalanobis(q._unbroadcasted_scale_tril, q.loc - p.loc)
    return 0.5 * (2 * _half_log_det(q._unbroadcasted_scale_tril) - _lowrank_log_det(p) + trace + distance - n)


@register_kl(MultivariateNormal, MultivariateNormal)
def _kl_multivariatenormal_multivariatenormal(p, q):
    n = _check_events(p, q)
    half_log_det = _half_log_det(q._unbroadcasted_scale_tril) - _half_log_det(p._unbroadcasted_scale_tril)
    trace = _batch_trace_XXT(_solved(q, p._unbroadcasted_scale_tril))
    return half_log_det + 0.5 * (trace + _batch_mahalanobis(q._unbroadcasted_scale_tril, q.loc - p.loc) - n)


@register_kl(Normal, Normal)
def _kl_normal_normal(p, q):
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(OneHotCategorical, OneHotCategorical)
def _kl_onehotcategorical_onehotcategorical(p, q):
    return _kl_categorical_categorical(p._categorical, q._categorical)


@register_kl(Pareto, Pareto)
def _kl_pareto_pareto(p, q):
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return _infinite_where(p.support.lower_bound < q.support.lower_bound, result)


@register_kl(Poisson, Poisson)
def _kl_poisson_poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(TransformedDistribution, TransformedDistribution)
def _kl_transformed_transformed(p, q):
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), len(p.event_shape) - len(p.base_dist.event_shape))


@register_kl(Uniform, Uniform)
def _kl_uniform_uniform(p, q):
    return _infinite_where((q.low > p.low) | (q.high < p.high), ((q.high - q.low) / (p.high - p.low)).log())


@register_kl(Cauchy, Cauchy)
def _kl_cauchy_cauchy(p, q):
    # F. Chyzak & F. Nielsen, A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions, 2019
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()


@register_kl(Independent, Independent)
def _kl_independent_independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


# ---- pairs where p reaches out of q's support ----

def _register_infinite(type_p, like, *types_q):
    def infinite(p, q):
        return T.full_like(getattr(p, like), math.inf)
    for type_q in types_q:
        register_kl(type_p, type_q)(infinite)


_register_infinite(Beta, "concentration1", Pareto)
_register_infinite(ContinuousBernoulli, "probs", Pareto)
_register_infinite(Exponential, "rate", Beta, ContinuousBernoulli, Pareto, Uniform)
_register_infinite(Gamma, "concentration", Beta, ContinuousBernoulli, Pareto, Uniform)
_register_infinite(Gumbel, "loc", Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
_register_infinite(Laplace, "loc", Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
_register_infinite(Normal, "loc", Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
_register_infinite(Pareto, "scale", Beta, ContinuousBernoulli, Uniform)
_register_infinite(Poisson, "rate", Bernoulli, Binomial)


# ---- two families: the cross entropy's terms are moments of p ----

def _cross_normal(mean, second_moment, q):
    """-E log q(x) of a normal q."""
    variance = q.scale.pow(2)
    return 0.5 * (variance * 2 * math.pi).log() + (0.5 * second_moment - mean * q.loc + 0.5 * q.loc.pow(2)) / variance


def _cross_gamma(mean, mean_log, q):
    return T.lgamma(q.concentration) - q.concentration * q.rate.log() - (q.concentration - 1) * mean_log + q.rate * mean


def _cross_exponential(mean, q):
    return -q.rate.log() + q.rate * mean


def _cross_continuous_bernoulli(mean, q):
    return -mean * q.logits - T.log1p(-q.probs) - q._cont_bern_log_norm()


def _outside_unit(low, high):
    return (low < 0) | (high > 1)


@register_kl(Bernoulli, Poisson)
def _kl_bernoulli_poisson(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
def _kl_beta_continuous_bernoulli(p, q):
    return -p.entropy() + _cross_continuous_bernoulli(p.mean, q)


@register_kl(Beta, Exponential)
def _kl_beta_exponential(p, q):
    return -p.entropy() + _cross_exponential(p.mean, q)


@register_kl(Beta, Gamma)
def _kl_beta_gamma(p, q):
    mean_log = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    return -p.entropy() + _cross_gamma(p.mean, mean_log, q)


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
def _kl_beta_normal(p, q):
    return -p.entropy() + _cross_normal(p.mean, p.variance + p.mean.pow(2), q)


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _kl_beta_uniform(p, q):
    return _infinite_where((q.low > 0) | (q.high < 1), -p.entropy() + (q.high - q.low).log())


@register_kl(ContinuousBernoulli, Exponential)
def _kl_continuous_bernoulli_exponential(p, q):
    return -p.entropy() + _cross_exponential(p.mean, q)


@register_kl(Exponential, Gamma)
def _kl_exponential_gamma(p, q):
    return -p.entropy() + _cross_gamma(p.mean, -euler_constant - p.rate.log(), q)


@register_kl(Exponential, Gumbel)
def _kl_exponential_gumbel(p, q):
    product, loc = p.rate * q.scale, q.loc / q.scale
    return product.log() - 1 - loc + T.exp(loc) * product / (product + 1) + product.reciprocal()


@register_kl(Exponential, Normal)
def _kl_exponential_normal(p, q):
    return -p.entropy() + _cross_normal(p.mean, 2 * p.rate.pow(-2), q)


@register_kl(Gamma, Exponential)
def _kl_gamma_exponential(p, q):
    return -p.entropy() + _cross_exponential(p.mean, q)


@register_kl(Gamma, Gumbel)
def _kl_gamma_gumbel(p, q):
    product, loc = p.rate * q.scale, q.loc / q.scale
    negative_entropy = (p.concentration - 1) * p.concentration.digamma() - p.concentration.lgamma() - p.concentration
    return (negative_entropy + product.log() + p.concentration / product + T.exp(loc) * (1 + product.reciprocal()).pow(-p.concentration) - loc)


@register_kl(Gamma, Normal)
def _kl_gamma_normal(p, q):
    return -p.entropy() + _cross_normal(p.mean, p.variance + p.mean.pow(2), q)


@register_kl(Gumbel, Normal)
def _kl_gumbel_normal(p, q):
    return -p.entropy() + _cross_normal(p.mean, p.variance + p.mean.pow(2), q)


@register_kl(Laplace, Normal)
def _kl_laplace_normal(p, q):
    return -p.entropy() + _cross_normal(p.mean, p.variance + p.mean.pow(2), q)


@register_kl(Normal, Gumbel)
def _kl_normal_gumbel(p, q):
    mean, ratio, loc = p.loc / q.scale, (p.scale / q.scale).pow(2), q.loc / q.scale
    return -0.5 * ratio.log() + mean - loc + T.exp(-mean + 0.5 * ratio + loc) - 0.5 * (1 + math.log(2 * math.pi))


@register_kl(Normal, Laplace)
def _kl_normal_laplace(p, q):
    distance = p.loc - q.loc
    z = distance / p.scale
    mean_distance = math.sqrt(2 / math.pi) * p.scale * T.exp(-0.5 * z.pow(2)) + distance * T.erf(math.sqrt(0.5) * z)
    return -(p.scale / q.scale).log() + mean_distance / q.scale - 0.5 * (1 + math.log(0.5 * math.pi))


@register_kl(Pareto, Exponential)
def _kl_pareto_exponential(p, q):
    product = p.scale * q.rate
    result = (p.alpha / product).log() - p.alpha.reciprocal() + p.alpha * product / (p.alpha - 1) - 1
    return _infinite_where(p.alpha <= 1, result)


@register_kl(Pareto, Gamma)
def _kl_pareto_gamma(p, q):
    mean_log = p.scale.log() + p.alpha.reciprocal()
    mean = p.alpha * p.scale / (p.alpha - 1)
    return _infinite_where(p.alpha <= 1, p.alpha.log() - mean_log - 1 + _cross_gamma(mean, mean_log, q))


@register_kl(Pareto, Normal)
def _kl_pareto_normal(p, q):
    mean, second = p.alpha * p.scale / (p.alpha - 1), p.alpha * p.scale.pow(2) / (p.alpha - 2)
    return _infinite_where(p.alpha <= 2, -p.entropy() + _cross_normal(mean, second, q))


def _uniform_mean_log(low, high):
    return (_x_log_x(high) - _x_log_x(low)) / (high - low) - 1


@register_kl(Uniform, Beta)
def _kl_uniform_beta(p, q):
    log_beta = q.concentration1.lgamma() + q.concentration0.lgamma() - (q.concentration1 + q.concentration0).lgamma()
    result = (log_beta - p.entropy() - (q.concentration1 - 1) * _uniform_mean_log(p.low, p.high)
              - (q.concentration0 - 1) * _uniform_mean_log(1 - p.high, 1 - p.low))
    return _infinite_where(_outside_unit(p.low, p.high), result)


@register_kl(Uniform, ContinuousBernoulli)
def _kl_uniform_continuous_bernoulli(p, q):
    return _infinite_where(_outside_unit(p.low, p.high), -p.entropy() + _cross_continuous_bernoulli(p.mean, q))


@register_kl(Uniform, Exponential)
def _kl_uniform_exponential(p, q):
    return _infinite_where(p.low < 0, -p.entropy() + _cross_exponential(p.mean, q))


@register_kl(Uniform, Gamma)
def _kl_uniform_gamma(p, q):
    return _infinite_where(p.low < 0, -p.entropy() + _cross_gamma(p.mean, _uniform_mean_log(p.low, p.high), q))


@register_kl(Uniform, Gumbel)
def _kl_uniform_gumbel(p, q):
    ratio, high, low = q.scale / (p.high - p.low), (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return ratio.log() + 0.5 * (high + low) - ratio * (T.exp(-high) - T.exp(-low))


@register_kl(Uniform, Normal)
def _kl_uniform_normal(p, q):
    return -p.entropy() + _cross_normal(p.mean, p.variance + p.mean.pow(2), q)


@register_kl(Uniform, Pareto)
def _kl_uniform_pareto(p, q):
    result = (q.alpha + 1) * _uniform_mean_log(p.low, p.high) - q.alpha.log() - q.alpha * q.scale.log() - p.entropy()
    return _infinite_where(p.low < q.support.lower_bound, result)
