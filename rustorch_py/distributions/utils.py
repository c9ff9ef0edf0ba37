"""Small functions that all distributions share."""
from functools import update_wrapper

from .. import tensor as T
from .._info import finfo

__all__ = ["broadcast_all", "logits_to_probs", "clamp_probs", "probs_to_logits", "lazy_property", "tril_matrix_to_vec", "vec_to_tril_matrix"]

euler_constant = 0.57721566490153286060          # Euler-Mascheroni
_Number = (int, float, bool)


def broadcast_all(*values):
    """Broadcast tensors and numbers to one shape; numbers take the tensors' dtype and device.

    Args:
        values: tensors or numbers. Numbers alone become tensors of the default dtype.

    Returns:
        tuple of tensors of one shape.

    Raises:
        ValueError: an argument is neither.
    """
    tensors = [v for v in values if isinstance(v, T.Tensor)]
    if not all(isinstance(v, T.Tensor) or isinstance(v, _Number) for v in values):
        raise ValueError("Input arguments must all be instances of Number, Tensor or objects implementing __torch_function__; got "
                         + ", ".join(type(v).__name__ for v in values))
    if len(tensors) < len(values):
        kind = dict(dtype=tensors[0].dtype, device=tensors[0].device) if tensors else dict(dtype=T.get_default_dtype())
        values = [v if isinstance(v, T.Tensor) else T.tensor(v, **kind) for v in values]
    return tuple(T.broadcast_tensors(*values))


def _standard_normal(shape, dtype, device):
    return T.normal(T.zeros(shape, dtype=dtype, device=device), T.ones(shape, dtype=dtype, device=device))


def _sum_rightmost(value, dim):
    """Sum over the last `dim` dimensions."""
    if dim == 0:
        return value
    return value.reshape(value.shape[:-dim] + (-1,)).sum(-1)


def logits_to_probs(logits, is_binary=False):
    """Turn log odds (binary) or unnormalised log probabilities along the last dimension into probabilities."""
    return T.sigmoid(logits) if is_binary else T.softmax(logits, dim=-1)


def clamp_probs(probs):
    """Clamp probabilities to [eps, 1 - eps], eps that of the dtype."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs, is_binary=False):
    """Turn probabilities into log odds (binary) or log probabilities, clamped away from 0 and 1."""
    clamped = clamp_probs(probs)
    logits = T.log(clamped)
    return logits - T.log1p(-clamped) if is_binary else logits


class lazy_property:
    """Compute an attribute when it is first read and keep it; gradients are recorded even under no_grad."""

    def __init__(self, wrapped):
        self.wrapped = wrapped
        update_wrapper(self, wrapped)

    def __get__(self, instance, obj_type=None):
        if instance is None:
            return _lazy_property_and_property(self.wrapped)
        with T.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _lazy_property_and_property(lazy_property, property):
    """What a lazy property looks like on the class: a property, so that documentation tools see one."""

    def __init__(self, wrapped):
        property.__init__(self, wrapped)


def tril_matrix_to_vec(mat, diag=0):
    """Flatten the lower triangle of (..., n, n) matrices, row by row, to (..., k)."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, cols = T.tril_indices(n, n, diag)
    return mat[..., rows, cols]


def vec_to_tril_matrix(vec, diag=0):
    """Undo `tril_matrix_to_vec`: (..., k) to (..., n, n) with zeros above."""
    k = vec.shape[-1]
    n = (-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * k + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    if abs(round(n) - n) > finfo(vec.dtype).eps:
        raise ValueError(f"The size of last dimension is {k} which cannot be expressed as the lower triangular part of a square D x D matrix.")
    n = round(n)
    mat = vec.new_zeros(vec.shape[:-1] + (n, n))
    rows, cols = T.tril_indices(n, n, diag)
    mat[..., rows, cols] = vec
    return mat
