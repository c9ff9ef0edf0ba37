"""Von Mises distribution."""
import math

from .. import special, tensor as T
from . import constraints
from .distribution import Distribution
from .utils import lazy_property

__all__ = ["VonMises"]


def _log_modified_bessel_fn(x, order=0):
    """log I_order(x) for x >= 0, order 0 or 1, without overflow."""
    if order not in (0, 1):
        raise AssertionError(f"order must be 0 or 1, got {order}")
    return x + (special.i0e(x) if order == 0 else special.i1e(x)).log()


def _rejection_sample(loc, concentration, proposal_r, x):
    """Fill x by rejection from a wrapped Cauchy envelope (D. J. Best & N. I. Fisher, Efficient simulation of the von Mises distribution, 1979)."""
    done = T.zeros(x.shape, dtype=T.bool, device=loc.device)
    while not done.all():
        u1, u2, u3 = T.rand((3,) + tuple(x.shape), dtype=loc.dtype, device=loc.device).unbind()
        z = T.cos(math.pi * u1)
        f = (1 + proposal_r * z) / (proposal_r + z)
        c = concentration * (proposal_r - f)
        accept = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
        if accept.any():
            x = T.where(accept, (u3 - 0.5).sign() * f.acos(), x)
            done = done | accept
    return (x + math.pi + loc) % (2 * math.pi) - math.pi


class VonMises(Distribution):
    """Von Mises distribution of angles in radians.

    Args:
        loc: mean angle.
        concentration: > 0.
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _params = {"loc": 0, "concentration": 0}

    def __init__(self, loc, concentration, validate_args=None):
        self._state(validate_args, loc=loc, concentration=concentration)

    def expand(self, batch_shape, _instance=None):
        return super().expand(self.loc.expand(batch_shape).shape, _instance)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        return (self.concentration * T.cos(value - self.loc) - math.log(2 * math.pi)
                - _log_modified_bessel_fn(self.concentration, order=0))

    # samples are made in double precision: the envelope's parameter cancels for small concentrations
    @lazy_property
    def _loc(self):
        return self.loc.to(T.double)

    @lazy_property
    def _concentration(self):
        return self.concentration.to(T.double)

    @lazy_property
    def _proposal_r(self):
        kappa = self._concentration
        tau = 1 + (1 + 4 * kappa ** 2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        return T.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho ** 2) / (2 * rho))

    def sample(self, sample_shape=T.Size()):
        with T.no_grad():
            x = T.empty(self._extended_shape(sample_shape), dtype=self._loc.dtype, device=self.loc.device)
            return _rejection_sample(self._loc, self._concentration, self._proposal_r, x).to(self.loc.dtype)

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    @lazy_property
    def variance(self):
        """Return the circular variance, 1 - I_1 / I_0."""
        return 1 - (_log_modified_bessel_fn(self.concentration, order=1) - _log_modified_bessel_fn(self.concentration, order=0)).exp()
