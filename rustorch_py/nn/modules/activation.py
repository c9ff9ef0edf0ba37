"""Activation layers."""

from __future__ import annotations

from ... import tensor as _t
from .. import functional as F
from .. import init
from ..parameter import Parameter
from ._call import fuse_linear
from .attention import MultiheadAttention  # noqa: F401  PyTorch keeps it in this file
from .linear import Linear
from .module import Module, _warn

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]

_relu, _sigmoid, _tanh = _t.relu, _t.sigmoid, _t.tanh


class _InPlace(Module):
    """Base of activations whose one option is ``inplace``.

    Args:
        inplace: write the result into the input.
    """

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


def _in_place_text(module):
    return ", inplace=True" if module.inplace else ""


class ReLU(_InPlace):
    """Apply max(0, x)."""

    def forward(self, input):
        """Apply the function."""
        return input.relu_() if self.inplace else _relu(input)


class SiLU(_InPlace):
    """Apply x * sigmoid(x)."""

    def forward(self, input):
        """Apply the function."""
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """Apply x * tanh(softplus(x))."""

    def forward(self, input):
        """Apply the function."""
        return F.mish(input, self.inplace)


class SELU(_InPlace):
    """Apply the self-normalizing ELU."""

    def forward(self, input):
        """Apply the function."""
        return F.selu(input, self.inplace)


class Hardsigmoid(_InPlace):
    """Apply relu6(x + 3) / 6."""

    def forward(self, input):
        """Apply the function."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self):
        return ""


class Hardswish(_InPlace):
    """Apply x * relu6(x + 3) / 6."""

    def forward(self, input):
        """Apply the function."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self):
        return ""


class Sigmoid(Module):
    """Apply 1 / (1 + exp(-x))."""

    def forward(self, input):
        """Apply the function."""
        return _sigmoid(input)


class Tanh(Module):
    """Apply the hyperbolic tangent."""

    def forward(self, input):
        """Apply the function."""
        return _tanh(input)


class LogSigmoid(Module):
    """Apply log(sigmoid(x))."""

    def forward(self, input):
        """Apply the function."""
        return F.logsigmoid(input)


class Softsign(Module):
    """Apply x / (1 + abs(x))."""

    def forward(self, input):
        """Apply the function."""
        return F.softsign(input)


class Tanhshrink(Module):
    """Apply x - tanh(x)."""

    def forward(self, input):
        """Apply the function."""
        return F.tanhshrink(input)


class GELU(Module):
    """Apply x times the normal distribution function of x.

    Args:
        approximate: ``"none"``, or ``"tanh"`` for the approximation through tanh.

    Source: Hendrycks and Gimpel (2016), Gaussian error linear units.
    """

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        """Apply the function."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class Threshold(Module):
    """Replace elements that are not above a threshold.

    Args:
        threshold: the limit.
        value: what replaces them.
        inplace: write the result into the input.
    """

    def __init__(self, threshold, value, inplace=False):
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input):
        """Apply the function."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        return f"threshold={self.threshold}, value={self.value}{_in_place_text(self)}"


class RReLU(Module):
    """Apply a leaky relu with a random slope in training.

    Args:
        lower, upper: bounds of the slope; their mean is used in evaluation.
        inplace: write the result into the input.
    """

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False):
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input):
        """Apply the function."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self):
        return f"lower={self.lower}, upper={self.upper}{_in_place_text(self)}"


class Hardtanh(Module):
    """Cut elements to [min_val, max_val].

    Args:
        min_val, max_val: the bounds.
        inplace: write the result into the input.
        min_value, max_value: older names of the bounds.
    """

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None):
        super().__init__()
        if min_value is not None:
            _warn("keyword argument `min_value` is deprecated and renamed to `min_val`", FutureWarning)
            min_val = min_value
        if max_value is not None:
            _warn("keyword argument `max_value` is deprecated and renamed to `max_val`", FutureWarning)
            max_val = max_value
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace
        if max_val <= min_val:
            raise AssertionError(f"max_val ({max_val}) must be greater than min_val ({min_val})")

    def forward(self, input):
        """Apply the function."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        return f"min_val={self.min_val}, max_val={self.max_val}{_in_place_text(self)}"


class ReLU6(Hardtanh):
    """Cut elements to [0, 6]."""

    def __init__(self, inplace=False):
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class ELU(Module):
    """Apply x where positive, alpha * (exp(x) - 1) elsewhere.

    Args:
        alpha: minus the limit at minus infinity.
        inplace: write the result into the input.
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input):
        """Apply the function."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return f"alpha={self.alpha}{_in_place_text(self)}"


class CELU(ELU):
    """Apply x where positive, alpha * (exp(x / alpha) - 1) elsewhere.

    Args:
        alpha: minus the limit at minus infinity.
        inplace: write the result into the input.
    """

    def forward(self, input):
        """Apply the function."""
        return F.celu(input, self.alpha, self.inplace)


class GLU(Module):
    """Split in halves a, b and return a * sigmoid(b).

    Args:
        dim: the dimension to split.
    """

    def __init__(self, dim=-1):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        """Apply the function."""
        return F.glu(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class Hardshrink(Module):
    """Set elements in [-lambd, lambd] to zero.

    Args:
        lambd: the bound.
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        """Apply the function."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self):
        return f"{self.lambd}"


class Softshrink(Hardshrink):
    """Move elements by lambd towards zero, those nearer to zero.

    Args:
        lambd: the bound.
    """

    def forward(self, input):
        """Apply the function."""
        return F.softshrink(input, self.lambd)


class LeakyReLU(Module):
    """Apply x where positive, negative_slope * x elsewhere.

    Args:
        negative_slope: the slope.
        inplace: write the result into the input.
    """

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input):
        """Apply the function."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}{_in_place_text(self)}"


class Softplus(Module):
    """Apply log(1 + exp(beta * x)) / beta.

    Args:
        beta: sharpness.
        threshold: where beta * x is above, the function is x.
    """

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input):
        """Apply the function."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class PReLU(Module):
    """Apply x where positive, weight * x elsewhere; the weight is learned.

    Args:
        num_parameters: 1, or the number of channels.
        init: the weight's initial value.

    Source: He et al. (2015), Delving deep into rectifiers.
    """

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(_t.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self):
        """Fill the weight with its initial value."""
        init.constant_(self.weight, self.init)

    def forward(self, input):
        """Apply the function."""
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class _AlongDim(Module):
    """Base of functions along one dimension.

    Args:
        dim: the dimension.
    """

    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim

    def __setstate__(self, state):
        super().__setstate__(state)
        if not hasattr(self, "dim"):
            self.dim = None

    def extra_repr(self):
        return f"dim={self.dim}"


class Softmin(_AlongDim):
    """Normalize exp(-x) to sum one along a dimension."""

    def forward(self, input):
        """Apply the function."""
        return F.softmin(input, self.dim, _stacklevel=5)


class Softmax(_AlongDim):
    """Normalize exp(x) to sum one along a dimension."""

    def forward(self, input):
        """Apply the function."""
        return F.softmax(input, self.dim, _stacklevel=5)


class LogSoftmax(_AlongDim):
    """Return the logarithm of the softmax along a dimension."""

    def forward(self, input):
        """Apply the function."""
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """Apply softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input):
        """Apply the function."""
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3, _stacklevel=5)


fuse_linear(Linear, ReLU, GELU, F.relu, F.gelu)
