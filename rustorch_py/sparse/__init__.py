"""Sparse tensors (``torch.sparse``): products, sums and softmax over what is stored. See `tensor/_sparse.py`."""
from functools import wraps

from .. import tensor as _t
from ..errors import ShapeError, TensorError
from ..tensor import Tensor
from ..tensor import _sparse, _sparse_doors

__all__ = ["DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor", "LongTensor", "addmm", "as_sparse_gradcheck", "check_sparse_tensor_invariants",
           "log_softmax", "mm", "softmax", "spdiags", "sum"]


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


class check_sparse_tensor_invariants:
    """Ask that constructors of sparse tensors check what they are given; a context manager and decorator too.

    The constructors always check here: indices that do not fit are an error whatever the setting, which programs may set and read.

    Args:
        enable: the setting inside.

    Example:
        >>> with check_sparse_tensor_invariants():
        ...     print(check_sparse_tensor_invariants.is_enabled())
        True
    """

    def __init__(self, enable=True):
        self.state = enable
        self.saved_state = None

    @staticmethod
    def is_enabled():
        """Tell the setting."""
        return _sparse_doors.checks()

    @staticmethod
    def enable():
        """Switch it on."""
        _sparse_doors.set_checks(True)

    @staticmethod
    def disable():
        """Switch it off."""
        _sparse_doors.set_checks(False)

    def __enter__(self):
        if self.saved_state is not None:
            raise TensorError("This context manager instance is already activated. Use a different context manager instance for context nesting.",
                              op="check_sparse_tensor_invariants")
        self.saved_state = _sparse_doors.set_checks(self.state)

    def __exit__(self, *exc):
        _sparse_doors.set_checks(self.saved_state)
        self.saved_state = None

    def __call__(self, fn):
        @wraps(fn)
        def checked(*args, **kwargs):
            with type(self)(self.state):
                return fn(*args, **kwargs)
        return checked


def as_sparse_gradcheck(gradcheck):
    """Return a gradcheck for functions of sparse tensors: it moves the stored values (``masked=True``), or every element (False).

    Args:
        gradcheck: ``autograd.gradcheck`` or ``gradgradcheck``.
    """
    @wraps(gradcheck)
    def check(func, inputs, *args, masked=False, **kwargs):
        given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
        plain, rebuild = [], []
        for x in given:
            if not isinstance(x, _sparse.SparseTensor):
                plain.append(x)
                rebuild.append(None)
            elif masked or not x.requires_grad:
                plain.append(x._val.detach().clone().requires_grad_(x.requires_grad))
                rebuild.append(lambda val, x=x: _sparse._like(x, val))
            else:
                # every element moves, so every place is stored, in the layout that was given
                plain.append(x.detach().to_dense().requires_grad_())
                rebuild.append(lambda dense, x=x: _full(dense, x))

        def dense_out(out):
            if isinstance(out, (tuple, list)):
                return tuple(dense_out(o) for o in out)
            return out.to_dense() if isinstance(out, _sparse.SparseTensor) else out

        def strided(*values):
            return dense_out(func(*(v if make is None else make(v) for v, make in zip(values, rebuild))))
        return gradcheck(strided, tuple(plain), *args, **kwargs)
    return check


def _full(dense, like):
    """A sparse tensor that stores every element of a strided one, by like's layout."""
    sparse = like.sparse_dim() if like.layout is _t.sparse_coo else dense.dim()
    idx = _t.ones(tuple(dense.shape[:sparse]), dtype=_t.bool).nonzero().t().contiguous()
    out = _t.sparse_coo_tensor(idx, dense[tuple(idx)], tuple(dense.shape), is_coalesced=True)
    return out if like.layout is _t.sparse_coo else out.to_sparse(layout=like.layout)
