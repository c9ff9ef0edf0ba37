"""Sparse tensors (``torch.sparse``): products, sums and softmax over what is stored. See `tensor/_sparse.py`."""
from .. import tensor as _t
from ..errors import ShapeError, TensorError
from ..tensor import Tensor
from ..tensor import _sparse

__all__ = ["DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor", "LongTensor", "addmm", "log_softmax", "mm", "softmax", "spdiags", "sum"]


def _need_sparse(op, x):
    if not isinstance(x, _sparse.SparseTensor):
        raise TensorError(f"sparse.{op}: expected a sparse tensor, got {x.layout if isinstance(x, Tensor) else type(x).__name__}", op=op)
    return x


def mm(sparse, dense, reduce="sum"):
    """Return the product of two matrices, the first or both sparse; gradients flow to both, to the stored values only.

    Args:
        sparse: sparse matrix (n, m).
        dense: matrix (m, p), strided or sparse.
        reduce: "sum", or "mean", "amax", "amin" of each row's products (a strided second matrix).
    """
    if reduce == "sum":
        return _sparse.matmul(sparse, dense)
    if reduce not in ("mean", "amax", "amin"):
        raise TensorError(f"sparse.mm: expected reduce 'sum', 'mean', 'amax' or 'amin', got {reduce!r}", op="mm")
    _sparse._check_product("sparse.mm", _need_sparse("mm", sparse), dense)
    (row, col), val = _sparse._coordinates(sparse)
    picked = dense.index_select(0, col) * val.unsqueeze(1)
    out = picked.new_zeros((sparse.shape[0], dense.shape[1]))
    return out.scatter_reduce(0, row.unsqueeze(1).expand(tuple(picked.shape)), picked, reduce, include_self=False)


def addmm(mat, mat1, mat2, *, beta=1.0, alpha=1.0):
    """Return ``beta * mat + alpha * (mat1 @ mat2)`` with a sparse mat1."""
    return _sparse.addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


def sum(input, dim=None, dtype=None):
    """Return the sum of a sparse tensor: of everything (strided), or over dimensions (sparse)."""
    return _sparse.total(_need_sparse("sum", input), dim, dtype=dtype)


def softmax(input, dim, *, dtype=None):
    """Return softmax along a dimension; places that are not stored count as minus infinity."""
    return _sparse.softmax(_need_sparse("softmax", input), dim, dtype)


def log_softmax(input, dim, *, dtype=None):
    """Return the logarithm of `softmax`."""
    return _sparse.softmax(_need_sparse("log_softmax", input), dim, dtype, log=True)


def spdiags(diagonals, offsets, shape, layout=None):
    """Return a sparse matrix with the given diagonals.

    Args:
        diagonals: (number of diagonals, length) or (length,); element j of a diagonal stands in column j.
        offsets: the number of each diagonal; 0 is the main one, positive ones are above it.
        shape: (rows, columns).
        layout: default ``sparse_coo``.
    """
    diagonals = diagonals.unsqueeze(0) if diagonals.dim() == 1 else diagonals
    offsets = offsets.reshape(-1)
    if len(offsets) != diagonals.shape[0]:
        raise ShapeError(f"Number of diagonals ({diagonals.shape[0]}) does not match the number of offsets ({len(offsets)})", op="spdiags")
    if len(set(offsets.tolist())) != len(offsets):
        raise TensorError("Offset tensor contains duplicate values", op="spdiags")
    cols = _t.arange(diagonals.shape[1]).expand(tuple(diagonals.shape))
    rows = cols - offsets.unsqueeze(1)
    inside = (rows >= 0) & (rows < shape[0]) & (cols < shape[1])
    out = _t.sparse_coo_tensor(_t.stack([rows[inside], cols[inside]]), diagonals[inside], tuple(shape))
    return out if layout in (None, _t.sparse_coo) else out.to_sparse(layout=layout)


def _legacy(name, dtype):
    def make(*args, device=None):
        if len(args) == 1 and isinstance(args[0], (tuple, list)) or args and all(isinstance(a, int) for a in args):
            return _t.sparse_coo_tensor(tuple(args[0]) if len(args) == 1 and not isinstance(args[0], int) else args, dtype=dtype, device=device)
        return _t.sparse_coo_tensor(*args, dtype=dtype, device=device)
    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"Return a sparse tensor of {dtype}: (indices, values, size), or sizes; an old form of `sparse_coo_tensor`."
    return make


FloatTensor, DoubleTensor, HalfTensor = (_legacy(n, d) for n, d in (("FloatTensor", _t.float32), ("DoubleTensor", _t.float64), ("HalfTensor", _t.float16)))
IntTensor, LongTensor = _legacy("IntTensor", _t.int32), _legacy("LongTensor", _t.int64)
