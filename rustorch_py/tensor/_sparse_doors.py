"""Names of sparse tensors at the top level and on Tensor; `_sparse` does the work and is loaded when first asked for."""
from ._dtype import layout, strided
from ._tensor import Tensor
from ..errors import TensorError, TensorTypeError, UnsupportedOpError

LAYOUTS = {name: layout(name) for name in ("sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")}


def sparse_coo_tensor(indices=None, values=None, size=None, *, dtype=None, device=None, pin_memory=False, requires_grad=False, check_invariants=None,
                      is_coalesced=None):
    """Return a sparse tensor of values at coordinates; values at the same place add up.

    Args:
        indices: integers (sparse dimensions, nnz); or, alone, the size of an empty tensor.
        values: (nnz, *dense dimensions).
        size: sizes; default the smallest that hold the indices.
        dtype: of the values; default theirs.
        requires_grad: record operations on it; values that require gradients get them too.
        is_coalesced: say that indices are sorted and without repetition.
        check_invariants, pin_memory: indices are always checked, memory never pinned.
    Raises:
        RuntimeError: indices that do not fit size, another number of values than of indices.
    """
    from . import _sparse
    return _sparse.make_coo(indices, values, size, dtype, device, requires_grad, is_coalesced)


def sparse_csr_tensor(crow_indices, col_indices, values, size=None, *, dtype=None, device=None, pin_memory=False, requires_grad=False,
                      check_invariants=None):
    """Return a sparse matrix by compressed rows.

    Args:
        crow_indices: (rows + 1,) where each row begins in col_indices and values.
        col_indices: (nnz,) columns, sorted in each row.
        values: (nnz,)
        size: (rows, columns); default the smallest that holds the indices.
    """
    from . import _sparse
    return _sparse.make_compressed("sparse_csr", crow_indices, col_indices, values, size, dtype, device, requires_grad)


def sparse_csc_tensor(ccol_indices, row_indices, values, size=None, *, dtype=None, device=None, pin_memory=False, requires_grad=False,
                      check_invariants=None):
    """Return a sparse matrix by compressed columns; see `sparse_csr_tensor`."""
    from . import _sparse
    return _sparse.make_compressed("sparse_csc", ccol_indices, row_indices, values, size, dtype, device, requires_grad)


def sparse_compressed_tensor(compressed_indices, plain_indices, values, size=None, *, dtype=None, layout=None, device=None, pin_memory=False,
                             requires_grad=False, check_invariants=None):
    """Return a sparse matrix of the given layout: ``sparse_csr`` or ``sparse_csc``."""
    for name in ("sparse_csr", "sparse_csc"):
        if layout is LAYOUTS[name]:
            from . import _sparse
            return _sparse.make_compressed(name, compressed_indices, plain_indices, values, size, dtype, device, requires_grad)
    raise UnsupportedOpError(f"sparse_compressed_tensor: expected layout torch.sparse_csr or torch.sparse_csc, got {layout}", op="sparse_compressed_tensor")


def to_sparse(self, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None):
    """Return a sparse copy: by coordinates over the first ``sparse_dim`` dimensions, or of the layout given."""
    from . import _sparse
    if isinstance(sparse_dim, type(strided)):
        sparse_dim, layout = None, sparse_dim
    if blocksize is not None or layout in (LAYOUTS["sparse_bsr"], LAYOUTS["sparse_bsc"]):
        raise UnsupportedOpError("to_sparse: block layouts are not supported; use sparse_coo, sparse_csr or sparse_csc", op="to_sparse")
    return _sparse.from_dense(self, sparse_dim, layout)


def to_sparse_coo(self):
    """Return a sparse copy by coordinates."""
    return self.to_sparse()


def to_sparse_csr(self, dense_dim=None):
    """Return a sparse copy by compressed rows."""
    return self.to_sparse(layout=LAYOUTS["sparse_csr"])


def to_sparse_csc(self, dense_dim=None):
    """Return a sparse copy by compressed columns."""
    return self.to_sparse(layout=LAYOUTS["sparse_csc"])


def sparse_mask(self, mask):
    """Return the elements of this tensor at the places of a sparse tensor, as one."""
    from . import _sparse
    return _sparse.masked(self, mask)


def spmm(input, mat2):
    """Return the product of a sparse matrix and a matrix."""
    return input @ mat2


def dsmm(input, mat2):
    """Return the product of two matrices; the same as ``mm``."""
    return input @ mat2


def hspmm(mat1, mat2):
    """Return the product of a sparse and a strided matrix as a hybrid tensor: the rows that have something, each with all columns."""
    raise UnsupportedOpError(f"hspmm: expected a sparse first matrix, got layout {mat1.layout}; use mm", op="hspmm")


hsmm = hspmm


def sspaddmm(input, mat1, mat2, *, beta=1, alpha=1):
    """Return ``beta * input + alpha * (mat1 @ mat2)`` of sparse input and mat1 and strided mat2, as a sparse tensor that is not coalesced."""
    raise TensorError("tensor.sspaddmm(...) can only be called on sparse tensors", op="sspaddmm")


saddmm = sspaddmm


def smm(input, mat2):
    """Return the product of a sparse and a strided matrix as a sparse tensor."""
    raise TensorError("tensor.sspaddmm(...) can only be called on sparse tensors", op="smm")


def resize_as_sparse_(self, the_template):
    """Give a sparse tensor the sizes and the numbers of sparse and dense dimensions of another one, in place."""
    raise TensorError(f"resize_as_sparse_: expected a sparse tensor, got layout {self.layout}", op="resize_as_sparse_")


def _copy(part):
    def copied(input):
        return getattr(input, part)().clone()
    copied.__name__ = copied.__qualname__ = part + "_copy"
    copied.__doc__ = f"Copy the ``{part}`` of a sparse tensor."
    return copied


_invariants = {"on": False}


def set_checks(on):
    """Remember whether `sparse.check_sparse_tensor_invariants` was asked for; returns what was before."""
    before, _invariants["on"] = _invariants["on"], bool(on)
    return before


def checks():
    """Tell whether `sparse.check_sparse_tensor_invariants` was asked for."""
    return _invariants["on"]


def _refused(name, layout_name):
    def method(self, *args, **kwargs):
        raise TensorError(f"{name} expected sparse {layout_name} tensor layout but got Strided", op=name)
    method.__name__ = name
    method.__doc__ = f"Answer for sparse tensors; a strided tensor has no {name}."
    return method


def _dims(name, value):
    def method(self):
        if not isinstance(self, Tensor):
            raise TensorTypeError(f"{name}: expected a Tensor, got {type(self).__name__}", op=name)
        return value(self)
    method.__name__ = name
    method.__doc__ = f"Return {name} of a sparse tensor; a strided one has {'dense dimensions only' if name != 'is_coalesced' else 'none'}."
    return method


FUNCTIONS = {"sparse_coo_tensor": sparse_coo_tensor, "sparse_csr_tensor": sparse_csr_tensor, "sparse_csc_tensor": sparse_csc_tensor,
             "sparse_compressed_tensor": sparse_compressed_tensor, "spmm": spmm, **LAYOUTS,
             "dsmm": dsmm, "hspmm": hspmm, "hsmm": hsmm, "smm": smm, "sspaddmm": sspaddmm, "saddmm": saddmm, "resize_as_sparse_": resize_as_sparse_,
             **{part + "_copy": _copy(part) for part in ("indices", "values", "crow_indices", "col_indices", "ccol_indices", "row_indices")}}
METHODS = {"to_sparse": to_sparse, "to_sparse_coo": to_sparse_coo, "to_sparse_csr": to_sparse_csr, "to_sparse_csc": to_sparse_csc,
           "sparse_mask": sparse_mask, "smm": smm, "sspaddmm": sspaddmm, "resize_as_sparse_": resize_as_sparse_, "sparse_dim": _dims("sparse_dim", lambda t: 0), "dense_dim": _dims("dense_dim", lambda t: t.dim()),
           "is_sparse_csr": property(lambda self: False, doc="Whether the layout is sparse_csr."),
           **{name: _refused(name, "coordinate") for name in ("coalesce", "is_coalesced", "indices", "values", "_indices", "_values", "_nnz",
                                                             "sparse_resize_", "sparse_resize_and_clear_")},
           **{name: _refused(name, "row compressed") for name in ("crow_indices", "col_indices")},
           **{name: _refused(name, "column compressed") for name in ("ccol_indices", "row_indices")}}
