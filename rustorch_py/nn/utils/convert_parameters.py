"""Parameters as one vector, and back."""

from __future__ import annotations

from ... import tensor as _t
from ...errors import ShapeError
from ...tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """Return all parameters' elements in one dimension."""
    return _t.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec, parameters):
    """Give the parameters the values of a vector (they become views of it).

    Args:
        vec: as many elements as the parameters have.
        parameters: the parameters.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for param in parameters:
        n = param.numel()
        if start + n > vec.numel():
            raise ShapeError(
                f"vector_to_parameters: the parameters have more elements than the vector's {vec.numel()}",
                op="vector_to_parameters",
            )
        param.data = vec[start : start + n].view_as(param).data
        start += n
