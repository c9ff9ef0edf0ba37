"""The package's own spellings beside PyTorch's: create_tensor, create_variable, tensor_add, ..."""
from . import autograd as _autograd
from . import tensor as _t
from .errors import AutogradError, TensorError, TensorTypeError


def create_tensor(data, shape=None, dtype=None, device=None, requires_grad=False):
    """Make a tensor of ``data``, in ``shape`` if given.

    Args:
        data: nested sequence, number, array or tensor.
        shape: ints whose product is the number of elements.
        dtype: default: as ``tensor(data)`` infers it.
    Raises:
        TensorError: the data do not fit the shape or dtype.

    Example:
        >>> create_tensor([1, 2, 3, 4], shape=[2, 2])
        tensor([[1, 2],
                [3, 4]])
    """
    try:
        out = _t.tensor(data, dtype=dtype, device=device) if not isinstance(data, _t.Tensor) else _t.clone(data)
    except (TypeError, ValueError) as error:
        if isinstance(error, TensorError):
            raise
        raise TensorTypeError(f"create_tensor: cannot make a tensor of {type(data).__name__}: {error}", op="create_tensor") from error
    if shape is not None:
        size = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        count = 1
        for s in size:
            count *= s
        if count != out.numel() and -1 not in size:
            raise TensorError(f"create_tensor: data has {out.numel()} elements, shape {list(size)} needs {count}", op="create_tensor", shape=size)
        out = out.reshape(size)
    return out.requires_grad_() if requires_grad else out


def create_variable(data, requires_grad=False):
    """Make a tensor that takes part in differentiation when ``requires_grad``."""
    return _autograd.Variable(data, requires_grad=requires_grad)


def tensor_add(a, b):
    """Add two tensors."""
    return _t.add(a, b)


def tensor_matmul(a, b):
    """Multiply two matrices (or batches of them)."""
    return _t.matmul(a, b)


def backward(loss, gradient=None, retain_graph=None, create_graph=False):
    """Compute the gradients of ``loss`` for the leaves of its graph."""
    if not isinstance(loss, _t.Tensor):
        raise AutogradError(f"backward: expected a Tensor, got {type(loss).__name__}")
    loss.backward(gradient, retain_graph, create_graph)


def set_debug_mode(enabled):
    """Check gradients for NaN and name the forward line that made them."""
    _autograd.set_detect_anomaly(bool(enabled))


def get_debug_mode():
    """Tell whether the debug mode is on."""
    return _autograd.is_anomaly_enabled()
