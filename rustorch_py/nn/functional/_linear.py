"""Affine maps and table look-ups."""

from __future__ import annotations

from ... import tensor as _t
from ...tensor._index_kernels import one_hot_rows
from ...errors import DTypeError, ShapeError, TensorError, TensorTypeError
from ._util import warn

__all__ = ["bilinear", "embedding", "embedding_bag", "grouped_mm", "linear", "one_hot"]

linear = _t.linear
bilinear = _t.bilinear


def one_hot(tensor, num_classes=-1):
    """Return int64 rows with a one at each index.

    Args:
        tensor: int64 indices of any shape.
        num_classes: size of the new last dimension; -1 takes the largest index plus one.
    """
    if tensor.dtype != _t.int64:
        raise TensorError("one_hot is only applicable to index tensor of type LongTensor.", op="one_hot")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise TensorError("one_hot: Can not infer total number of classes from empty tensor.", op="one_hot")
        return _t.zeros(*tensor.shape, num_classes, dtype=_t.int64, device=tensor.device)
    if num_classes < 1 and num_classes != -1:
        raise TensorError("one_hot: num_classes should be positive", op="one_hot")
    if tensor.device.type == "cpu" or num_classes == -1:           # else the device looks while it writes
        if int(tensor.min().item()) < 0:
            raise TensorError("one_hot: Class values must be non-negative.", op="one_hot")
        largest = int(tensor.max().item())
        if num_classes == -1:
            num_classes = largest + 1
        elif largest >= num_classes:
            raise TensorError("one_hot: Class values must be smaller than num_classes.", op="one_hot")
    if type(tensor) is _t.Tensor and tensor.device.type == "cpu" and tensor.dim() < 63:
        return one_hot_rows(tensor, num_classes)
    out = tensor.new_zeros((*tensor.shape, num_classes))
    return out.scatter_(-1, tensor.unsqueeze(-1), 1)


def _renorm_rows(weight, index, max_norm, norm_type):
    """Scale the rows that are looked up down to ``max_norm``, in place, unrecorded."""
    with _t.no_grad():
        rows = _t.unique(index)
        picked = weight.detach()[rows]
        norms = picked.norm(norm_type, 1, True)
        scale = _t.where(norms > max_norm, max_norm / (norms + 1e-7), _t.ones_like(norms))
        weight.detach()[rows] = picked * scale


def _check_padding(padding_idx, rows, kind=AssertionError):
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise kind(f"Padding_idx must be within num_embeddings: expected {-rows} to {rows - 1}, got {padding_idx}")
    return padding_idx + rows if padding_idx < 0 else padding_idx


def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False
):
    """Look up rows of a table.

    Args:
        input: int64 (or int32) indices of any shape.
        weight: the table (rows, features).
        padding_idx: a row that gets no gradient.
        max_norm: rows that are looked up are first scaled down to this norm, in the table.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide a row's gradient by how often it was looked up.
        sparse: the table's gradient is a sparse tensor (COO) of the rows that were looked up.

    Returns:
        (*input's shape, features)
    """
    padding_idx = _check_padding(padding_idx, weight.shape[0])
    if max_norm is not None:
        if not isinstance(norm_type, (int, float)):
            raise TensorTypeError(f"embedding(): argument 'norm_type' must be float, not {type(norm_type).__name__}", op="embedding")
        _renorm_rows(weight, input, max_norm, norm_type)
    return _t.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


_BAG_MODES = {"sum": 0, "mean": 1, "max": 2}


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """Look up bags of rows and reduce each bag to one row.

    Args:
        input: indices, (bags, size) or one dimension cut into bags by ``offsets``.
        weight: the table (rows, features).
        offsets: start of each bag in a one-dimensional input.
        max_norm, norm_type, scale_grad_by_freq: as for ``embedding``.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        sparse: the table's gradient is a sparse tensor (COO) of the rows that were looked up; not for mode "max".
        per_sample_weights: factors shaped like the input (mode ``"sum"`` only).
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: a row that bags leave out.

    Returns:
        (bags, features); empty bags give zeros.
    """
    if not weight.is_floating_point() and input.is_floating_point():
        warn("Argument order of nn.functional.embedding_bag was changed: it is (input, weight, ...).")
        weight, input = input, weight
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, "
            f"then it must have the same shape as the input ({input.shape})"
        )
    if per_sample_weights is not None and per_sample_weights.dtype is not weight.dtype:
        raise DTypeError(f"embedding_bag: expected weight and per_sample_weights of one dtype, but got {weight.dtype} and {per_sample_weights.dtype}")
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if not isinstance(mode, str) or mode not in _BAG_MODES:
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}')."
        )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        offsets = _t.arange(0, input.numel(), input.shape[1], dtype=input.dtype, device=input.device)
        include_last_offset = False
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")

    padding_idx = _check_padding(padding_idx, weight.shape[0], TensorError)
    if max_norm is not None:
        _renorm_rows(weight, input, max_norm, norm_type)
    return _t.embedding_bag(
        weight,
        input,
        offsets,
        scale_grad_by_freq,
        _BAG_MODES[mode],
        sparse,
        per_sample_weights,
        include_last_offset,
        padding_idx,
    )[0]


def _group_ends(offs, most):
    """The offsets as numbers, checked against the size that they cut."""
    if offs.dtype is not _t.int32:
        raise TensorError("Offsets have to be int32", op="grouped_mm")
    if offs.dim() != 1:
        raise ShapeError(f"grouped_mm: expected offs with 1 dimension, got {offs.dim()}", op="grouped_mm")
    ends = offs.tolist()
    if any(a > b for a, b in zip([0, *ends], [*ends, most])):
        raise TensorError(f"grouped_mm: expected offs that rise from 0 to at most {most}, got {ends}", op="grouped_mm")
    return ends


def grouped_mm(mat_a, mat_b, *, offs=None, bias=None, out_dtype=None):
    """Multiply matrices group by group; the groups are stacked, or follow one another along one dimension and end at offs.

    Args:
        mat_a: (groups, m, k); or (m, k), cut in groups of rows or, with a mat_b of two dimensions, of k.
        mat_b: (groups, k, n); or (k, n), cut in groups of columns or of k.
        offs: int32 (groups,) where each group ends; with a matrix of two dimensions only.
        bias: must be None, as in PyTorch.
        out_dtype: must be mat_a's dtype, as in PyTorch.

    Returns:
        (groups, m, n) of two stacks or two matrices cut along k; else (m, n), zero beyond the last group.
    """
    op = "grouped_mm"
    if mat_a.dim() not in (2, 3) or mat_b.dim() not in (2, 3):
        name, x = ("mat_a", mat_a) if mat_a.dim() not in (2, 3) else ("mat_b", mat_b)
        raise ShapeError(f"{name} has to be 2 or 3d, got {x.dim()}d", op=op)
    if (offs is not None) == (mat_a.dim() == mat_b.dim() == 3):
        raise TensorError("Have to provide offsets if there is a 2d matrix, or no offset if both matrices are 3d", op=op)
    if mat_a.dtype not in (_t.float32, _t.bfloat16, _t.float16):
        raise DTypeError(f"Expected mat_a to be Float32, BFloat16 or Float16 matrix, got {mat_a.dtype}", op=op)
    if mat_b.dtype is not mat_a.dtype:
        raise DTypeError(f"grouped_mm: expected matrices of one dtype, got {mat_a.dtype} and {mat_b.dtype}", op=op)
    if out_dtype not in (None, mat_a.dtype):
        raise DTypeError(f"Grouped gemm output dtype must match `mat_a` dtype {mat_a.dtype}, got {out_dtype}", op=op)
    if bias is not None:
        raise TensorError("Bias not supported yet", op=op)
    if mat_a.shape[-1] != mat_b.shape[-2]:
        raise ShapeError(f"contraction dimension of mat_a and mat_b must match, got {tuple(mat_a.shape)} and {tuple(mat_b.shape)}", op=op)
    if offs is None:
        if mat_a.shape[0] != mat_b.shape[0]:
            raise ShapeError(f"batched dimension has to match, got {mat_a.shape[0]} and {mat_b.shape[0]}", op=op)
        return _t.bmm(mat_a, mat_b)
    stacked = mat_a if mat_a.dim() == 3 else mat_b if mat_b.dim() == 3 else None
    along = mat_a.shape[0] if stacked is mat_b else mat_b.shape[-1] if stacked is mat_a else mat_a.shape[-1]
    ends = _group_ends(offs, along)
    if stacked is not None and stacked.shape[0] != len(ends):
        raise ShapeError(f"matrix batch sizes have to match: {stacked.shape[0]} groups and {len(ends)} offsets", op=op)
    parts = list(zip([0, *ends], ends))
    if stacked is None:
        return _t.stack([mat_a[:, a:b] @ mat_b[a:b] for a, b in parts])
    if stacked is mat_b:
        rows = [mat_a[a:b] @ mat_b[i] for i, (a, b) in enumerate(parts)]
        return _t.cat([*rows, mat_a.new_zeros(along - ends[-1], mat_b.shape[-1])])
    columns = [mat_a[i] @ mat_b[:, a:b] for i, (a, b) in enumerate(parts)]
    return _t.cat([*columns, mat_a.new_zeros(mat_a.shape[1], along - ends[-1])], 1)
