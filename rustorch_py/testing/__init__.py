"""Comparisons for tests, with messages that say what differs, and sample tensors."""
from ._compare import assert_allclose, assert_close, assert_tensor_equal
from ._make_tensor import make_tensor

__all__ = ["assert_allclose", "assert_close", "assert_tensor_equal", "make_tensor"]
