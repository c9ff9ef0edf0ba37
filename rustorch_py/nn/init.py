"""Fill tensors with initial values, in place and without recording gradients.

The draws are PyTorch's, in PyTorch's order: the same seed gives the same weights.
"""

from __future__ import annotations

import math

from .. import tensor as _t

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_GAIN_ONE = frozenset(
    "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d sigmoid".split()
)


def _warn(message, category=UserWarning, stacklevel=3):
    import warnings

    warnings.warn(message, category, stacklevel=stacklevel)


def calculate_gain(nonlinearity, param=None):
    """Return the factor by which a nonlinearity wants its weights' standard deviation scaled.

    Args:
        nonlinearity: name of a function of ``nn.functional``.
        param: the negative slope, for ``"leaky_relu"``.
    """
    if nonlinearity in _GAIN_ONE:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def _no_grad_uniform_(tensor, a, b, generator=None):
    with _t.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def _no_grad_normal_(tensor, mean, std, generator=None):
    with _t.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def _no_grad_fill_(tensor, val):
    with _t.no_grad():
        return tensor.fill_(val)


def _no_grad_zero_(tensor):
    with _t.no_grad():
        return tensor.zero_()


def _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=None):
    def below(x):
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    if mean < a - 2 * std or mean > b + 2 * std:
        _warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=4,
        )
    with _t.no_grad():
        if below((b - mean) / std) - below((a - mean) / std) > 0.3:
            # Most draws fall inside: draw from the normal and repeat those that do not.
            low = _t.tensor(a, dtype=tensor.dtype).item()
            high = _t.tensor(b, dtype=tensor.dtype).item()
            tensor.normal_(mean, std, generator=generator)
            outside = (tensor < low) | (tensor > high)
            while outside.any():
                tensor.copy_(_t.where(outside, _t.empty_like(tensor).normal_(mean, std, generator=generator), tensor))
                outside = (tensor < low) | (tensor > high)
            return tensor
        # A far tail or a narrow window: uniform draws, accepted by the ratio of densities.
        mode = max(a, min(mean, b))
        log_peak = -0.5 * ((mode - mean) / std) ** 2

        def log_ratio(x):
            return x.clone().sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(log_peak)

        coin = _t.empty_like(tensor)
        tensor.uniform_(a, b, generator=generator)
        pending = coin.uniform_(generator=generator).log_().gt(log_ratio(tensor))
        while pending.any():
            fresh = _t.empty_like(tensor).uniform_(a, b, generator=generator)
            tensor.copy_(_t.where(pending, fresh, tensor))
            rejected = coin.uniform_(generator=generator).log_().gt(log_ratio(fresh))
            pending = pending & rejected
        return tensor


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Fill with draws from the uniform distribution on [a, b)."""
    return _no_grad_uniform_(tensor, a, b, generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Fill with draws from a normal distribution."""
    return _no_grad_normal_(tensor, mean, std, generator)


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Fill with draws from a normal distribution cut to [a, b]."""
    return _no_grad_trunc_normal_(tensor, mean, std, a, b, generator)


def constant_(tensor, val):
    """Fill with one value."""
    return _no_grad_fill_(tensor, val)


def ones_(tensor):
    """Fill with ones."""
    return _no_grad_fill_(tensor, 1.0)


def zeros_(tensor):
    """Fill with zeros."""
    return _no_grad_zero_(tensor)


def eye_(tensor):
    """Fill a matrix with the identity."""
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with _t.no_grad():
        tensor.zero_()
        n = min(tensor.shape)
        if n:
            index = _t.arange(n)
            tensor[index, index] = 1
    return tensor


def dirac_(tensor, groups=1):
    """Fill a convolution's weight so that it passes its input channels through.

    Args:
        tensor: 3-, 4- or 5-dimensional weight (out channels, in channels, window ...).
        groups: number of groups of the convolution.
    """
    n_dims = tensor.dim()
    if n_dims not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    sizes = tensor.shape
    if sizes[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    per_group = sizes[0] // groups
    centre = tuple(n // 2 for n in sizes[2:])
    with _t.no_grad():
        tensor.zero_()
        for g in range(groups):
            for d in range(min(per_group, sizes[1])):
                tensor[(g * per_group + d, d, *centre)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor):
    """Return how many inputs one output sees, and how many outputs one input feeds."""
    sizes = tensor.shape
    if len(sizes) < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(sizes[2:])
    return sizes[1] * field, sizes[0] * field


def _calculate_correct_fan(tensor, mode):
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Fill with uniform draws whose variance balances fan-in and fan-out.

    Source: Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward networks.
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / float(fan_in + fan_out)))
    return _no_grad_uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Fill with normal draws whose variance balances fan-in and fan-out (see ``xavier_uniform_``)."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return _no_grad_normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fill with uniform draws whose variance a rectifier keeps.

    Args:
        tensor: the weight.
        a: negative slope, for ``"leaky_relu"``.
        mode: ``"fan_in"`` keeps the variance forward, ``"fan_out"`` backward.
        nonlinearity: name for ``calculate_gain``.
        generator: source of the draws.

    Source: He et al. (2015), Delving deep into rectifiers.
    """
    if 0 in tensor.shape:
        _warn("Initializing zero-element tensors is a no-op")
        return tensor
    fan = _calculate_correct_fan(tensor, mode)
    bound = math.sqrt(3.0) * (calculate_gain(nonlinearity, a) / math.sqrt(fan))
    return _no_grad_uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fill with normal draws whose variance a rectifier keeps (see ``kaiming_uniform_``)."""
    if 0 in tensor.shape:
        _warn("Initializing zero-element tensors is a no-op")
        return tensor
    fan = _calculate_correct_fan(tensor, mode)
    return _no_grad_normal_(tensor, 0, calculate_gain(nonlinearity, a) / math.sqrt(fan), generator)


def orthogonal_(tensor, gain=1, generator=None):
    """Fill with a (semi-)orthogonal matrix; dimensions after the first are flattened.

    Source: Saxe et al. (2013), Exact solutions to the nonlinear dynamics of learning.
    """
    if tensor.dim() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    cols = tensor.numel() // rows
    with _t.no_grad():
        flat = tensor.new_empty((rows, cols)).normal_(0, 1, generator=generator)
        if rows < cols:
            flat = flat.t()
        q, r = _t.qr(flat)
        q = q * _t.diag(r, 0).sign()  # makes the distribution uniform
        if rows < cols:
            q = q.t()
        tensor.copy_(q.reshape(tensor.shape)).mul_(gain)
    return tensor


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Fill a matrix with normal draws, a share ``sparsity`` of each column zero.

    Source: Martens (2010), Deep learning via Hessian-free optimization.
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, cols = tensor.shape
    n_zeros = math.ceil(sparsity * rows)
    with _t.no_grad():
        tensor.normal_(0, std, generator=generator)
        for col in range(cols):
            tensor[_t.randperm(rows)[:n_zeros], col] = 0
    return tensor


def _make_deprecated(function):
    """Build the older name (without underscore) of a function."""
    name = function.__name__[:-1]

    def deprecated(*args, **kwargs):
        _warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.", FutureWarning, stacklevel=3
        )
        return function(*args, **kwargs)

    deprecated.__name__ = deprecated.__qualname__ = name
    deprecated.__doc__ = f"Call ``{name}_`` (older name)."
    return deprecated


uniform = _make_deprecated(uniform_)
normal = _make_deprecated(normal_)
constant = _make_deprecated(constant_)
eye = _make_deprecated(eye_)
dirac = _make_deprecated(dirac_)
xavier_uniform = _make_deprecated(xavier_uniform_)
xavier_normal = _make_deprecated(xavier_normal_)
kaiming_uniform = _make_deprecated(kaiming_uniform_)
kaiming_normal = _make_deprecated(kaiming_normal_)
orthogonal = _make_deprecated(orthogonal_)
sparse = _make_deprecated(sparse_)
