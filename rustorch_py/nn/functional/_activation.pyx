"""Activation functions, each with its in-place form where PyTorch has one. Compiled: they are called most, and do little themselves."""
from ... import tensor as _t
from ...errors import TensorError
from ._util import warn

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]

# These are the compiled functions themselves: no Python frame between caller and kernel.
gelu = _t.gelu
hardshrink = _t.hardshrink
logsigmoid = _t.logsigmoid
sigmoid = _t.sigmoid
softplus = _t.softplus
softshrink = _t.softshrink
softsign = _t.softsign
tanh = _t.tanh
tanhshrink = _t.tanhshrink
prelu = _t.prelu
celu_ = _t.celu_
elu_ = _t.elu_
hardtanh_ = _t.hardtanh_
leaky_relu_ = _t.leaky_relu_
relu_ = _t.relu_
rrelu_ = _t.rrelu_
selu_ = _t.selu_
threshold_ = _t.threshold_

cdef object _relu = _t.relu
cdef object _softmax = _t.softmax
cdef object _log_softmax = _t.log_softmax


def relu(input, inplace=False):
    """Set negative elements to zero."""
    return input.relu_() if inplace else _relu(input)


def threshold(input, threshold, value, inplace=False):
    """Replace elements that are not above ``threshold`` by ``value``."""
    return (_t.threshold_ if inplace else _t.threshold)(input, threshold, value)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """Cut elements to [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return (_t.hardtanh_ if inplace else _t.hardtanh)(input, min_val, max_val)


def relu6(input, inplace=False):
    """Cut elements to [0, 6]."""
    return (_t.relu6_ if inplace else _t.relu6)(input)


def elu(input, alpha=1.0, inplace=False):
    """Apply x where positive, alpha * (exp(x) - 1) elsewhere."""
    return (_t.elu_ if inplace else _t.elu)(input, alpha)


def selu(input, inplace=False):
    """Apply the self-normalizing ELU.

    Source: Klambauer et al. (2017), Self-normalizing neural networks.
    """
    return (_t.selu_ if inplace else _t.selu)(input)


def celu(input, alpha=1.0, inplace=False):
    """Apply x where positive, alpha * (exp(x / alpha) - 1) elsewhere."""
    return (_t.celu_ if inplace else _t.celu)(input, alpha)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """Apply x where positive, negative_slope * x elsewhere."""
    return (_t.leaky_relu_ if inplace else _t.leaky_relu)(input, negative_slope)


def hardsigmoid(input, inplace=False):
    """Apply relu6(x + 3) / 6."""
    return (_t.hardsigmoid_ if inplace else _t.hardsigmoid)(input)


def hardswish(input, inplace=False):
    """Apply x * relu6(x + 3) / 6."""
    return (_t.hardswish_ if inplace else _t.hardswish)(input)


def silu(input, inplace=False):
    """Apply x * sigmoid(x)."""
    return (_t.silu_ if inplace else _t.silu)(input)


def mish(input, inplace=False):
    """Apply x * tanh(softplus(x))."""
    return (_t.mish_ if inplace else _t.mish)(input)


def glu(input, dim=-1):
    """Split in halves a, b along ``dim`` and return a * sigmoid(b)."""
    if input.dim() == 0:
        raise TensorError("glu does not support scalars because halving size must be even", op="glu")
    size = input.shape[dim]
    if size % 2:
        raise TensorError(
            f"glu: halving dimension must be even, but dimension {dim} is size {size}", op="glu"
        )
    a, b = input.split(size // 2, dim) if size else (input, input)
    return a * _t.sigmoid(b)


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """Apply a leaky relu whose slope is drawn per element in training, and fixed otherwise.

    Source: Xu et al. (2015), Empirical evaluation of rectified activations.
    """
    return (_t.rrelu_ if inplace else _t.rrelu)(input, lower, upper, training)


cdef object _implicit_dim(object name, object n_dims, object stacklevel):
    """Choose the dimension that older programs meant when they gave none."""
    # PyTorch counts the frame of its function and of a helper, which are not there in compiled code
    warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
         stacklevel=stacklevel - 1)
    return 0 if n_dims in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Normalize exponentials to sum one along ``dim``.

    Args:
        input: any shape.
        dim: the dimension.
        dtype: convert the input first.
    """
    if dim is None:
        dim = _implicit_dim("softmax", input.dim(), _stacklevel)
    return _softmax(input, dim) if dtype is None else _softmax(input, dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """Return ``softmax(-input)``."""
    if dim is None:
        dim = _implicit_dim("softmin", input.dim(), _stacklevel)
    return _softmax(-input, dim) if dtype is None else _softmax(-input, dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Return the logarithm of ``softmax``, computed without overflow."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input.dim(), _stacklevel)
    return _log_softmax(input, dim) if dtype is None else _log_softmax(input, dim, dtype=dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """Draw from the Gumbel-softmax distribution, differentiably.

    Args:
        logits: unnormalized log probabilities.
        tau: temperature.
        hard: return one-hot samples, with the soft ones' gradient.
        eps: without effect (kept for old calls).
        dim: the dimension along which probabilities sum to one.

    Source: Jang et al. (2016), Categorical reparameterization with Gumbel-softmax.
    """
    if eps != 1e-10:
        warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -_t.empty_like(logits).detach().exponential_().log()
    soft = _softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = _t.zeros_like(soft.detach()).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
