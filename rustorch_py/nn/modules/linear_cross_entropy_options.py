"""How ``linear_cross_entropy`` cuts its work into chunks."""

from __future__ import annotations

from ... import tensor as _t

__all__ = ["LinearCrossEntropyOptions"]

_POLICIES = ("auto", "accurate", "balanced", "compact")


class LinearCrossEntropyOptions:
    """Choose chunks and precision of ``linear_cross_entropy``, to save memory on many classes.

    The logits of one chunk of rows exist at a time; backward computes them again.

    Args:
        allow_retain_graph: PyTorch needs it for a second backward; here one is always possible.
        batch_chunk_size: rows of a chunk; None for all rows (or ``chunking_method``).
        chunking_method: ``"auto"``, ``"aspect_ratio"`` or ``"aspect_ratio:N"`` (logits of a chunk take the
            memory of the input, or an N-th of it), or None.
        acc_policy: ``"auto"``, ``"accurate"``, ``"balanced"`` or ``"compact"``. All keep every intermediate
            in ``acc_dtype`` here, which is what PyTorch calls accurate.
        acc_dtype: dtype of the computation; float32 for 16-bit inputs if absent, else the input's.
    """

    __slots__ = ("acc_dtype", "acc_policy", "allow_retain_graph", "batch_chunk_size", "chunking_method")

    def __init__(
        self,
        allow_retain_graph=False,
        batch_chunk_size=None,
        chunking_method="auto",
        acc_policy="auto",
        acc_dtype=None,
    ):
        if acc_policy not in _POLICIES:
            raise ValueError(f"invalid acc_policy: {acc_policy!r}")
        if chunking_method not in (None, "auto"):
            name, colon, factor = chunking_method.partition(":")
            if name != "aspect_ratio" or (colon and not (factor.isdigit() and int(factor) > 0)):
                raise ValueError(f"invalid chunking_method: {chunking_method!r}")
        if batch_chunk_size is not None and not (isinstance(batch_chunk_size, int) and batch_chunk_size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {batch_chunk_size!r}")
        if acc_dtype is not None and acc_dtype not in (_t.float16, _t.bfloat16, _t.float32, _t.float64):
            raise ValueError(f"acc_dtype must be a floating-point dtype or None, got {acc_dtype!r}")
        self.allow_retain_graph = allow_retain_graph
        self.batch_chunk_size = batch_chunk_size
        self.chunking_method = chunking_method
        self.acc_policy = acc_policy
        self.acc_dtype = acc_dtype

    def __repr__(self):
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in reversed(self.__slots__))
        return f"LinearCrossEntropyOptions({fields})"

    def rows_per_chunk(self, rows, features, classes):
        """Return the rows of a chunk for an input (rows, features) and a number of classes."""
        method = self.chunking_method
        if method == "auto":
            method = "aspect_ratio:2" if self.batch_chunk_size is None else None
        if method is None:
            return min(self.batch_chunk_size or rows, rows) or 1
        factor = int(method.partition(":")[2] or 1)
        target = -(-rows // -(-classes // features))
        size = max(1, min((1 << max(target - 1, 0).bit_length()) // factor, rows))
        if self.batch_chunk_size is not None and min(self.batch_chunk_size, rows) != size:
            raise ValueError(
                f"batch_chunk_size (={self.batch_chunk_size}) and chunking_method ('{method}') give different chunk "
                f"sizes ({self.batch_chunk_size} vs {size}); pass only one."
            )
        return size

    def compute_dtype(self, dtype):
        """Return the dtype of the computation for an input's dtype."""
        if self.acc_dtype is not None:
            return self.acc_dtype
        return _t.float32 if dtype in (_t.float16, _t.bfloat16) else dtype
