"""Smooth operators for rustorch_py: ``ops.smooth.softclip`` (C) and ``ops.smooth.logcosh`` (Python).

rustorch_py imports this package when ``rustorch_py.ops.smooth`` is first used.
"""
import math
from pathlib import Path

from rustorch_py import Tensor, library, nn

# ---- the operator in C -----------------------------------------------------------------------------------
library.load(next(Path(__file__).parent.glob("_loops*.so")))


# ---- the operator in Python ------------------------------------------------------------------------------
@library.custom_op("smooth::logcosh", mutates_args=())
def logcosh(x: Tensor, beta: float = 1.0) -> Tensor:
    """log(cosh(beta x)) / beta: |x| with a round bottom, a smooth loss."""
    z = (x * beta).abs()
    return (z + nn.functional.softplus(-2 * z) - math.log(2)) / beta     # no overflow, however large z is


@logcosh.register_fake
def _(x, beta=1.0):
    return x.new_empty(x.shape)


def _setup(ctx, inputs, output):
    x, ctx.beta = inputs
    ctx.save_for_backward(x)


def _backward(ctx, grad):
    x, = ctx.saved_tensors
    return grad * (x * ctx.beta).tanh(), None


logcosh.register_autograd(_backward, setup_context=_setup)
