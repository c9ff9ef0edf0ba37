"""Affine layers."""

from __future__ import annotations

import math

from ... import tensor as _t
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module

__all__ = ["Bilinear", "Identity", "Linear", "NonDynamicallyQuantizableLinear"]

_linear = _t.linear


class Identity(Module):
    """Return the input. Arguments are taken and not used."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        """Return the input."""
        return input


class Linear(Module):
    """Apply ``x @ weight.T + bias``.

    Args:
        in_features: size of the input's last dimension (``input_size`` is another name).
        out_features: size of the output's last dimension (``output_size`` is another name).
        bias: learn an offset.

    Shape:
        (..., in_features) to (..., out_features).

    Example:
        >>> import rustorch_py as torch
        >>> torch.nn.Linear(3, 2)(torch.ones(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        in_features=None,
        out_features=None,
        bias=True,
        device=None,
        dtype=None,
        *,
        input_size=None,
        output_size=None,
    ):
        super().__init__()
        self.in_features = in_features = _one_of("in_features", in_features, "input_size", input_size)
        self.out_features = out_features = _one_of("out_features", out_features, "output_size", output_size)
        self.weight = Parameter(_t.empty((out_features, in_features), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(_t.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew, uniformly within 1 / sqrt(in_features)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = init._calculate_fan_in_and_fan_out(self.weight)[0]
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        """Apply the map."""
        return _linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def _one_of(name, value, other_name, other):
    """Return the one of two spellings of an argument that was given."""
    if (value is None) == (other is None):
        what = "both given" if value is not None else "missing"
        raise TypeError(f"Linear: argument '{name}' (or '{other_name}') {what}; give exactly one of the two")
    return other if value is None else value


class NonDynamicallyQuantizableLinear(Linear):
    """The output projection of MultiheadAttention: a Linear under another name."""

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        super().__init__(in_features, out_features, bias=bias, device=device, dtype=dtype)


class Bilinear(Module):
    """Apply ``x1 @ weight[k] @ x2 + bias[k]``.

    Args:
        in1_features, in2_features: sizes of the inputs' last dimensions.
        out_features: size of the output's last dimension.
        bias: learn an offset.
    """

    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        if isinstance(in1_features, int) and in1_features == 0:      # negative ones are refused as sizes
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(_t.empty((out_features, in1_features, in2_features), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(_t.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew, uniformly within 1 / sqrt(in1_features)."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        """Apply the map."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self):
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
