"""Sparse tensors: by coordinates, and matrices by compressed rows or columns.

Note [Sparse tensors]
    A SparseTensor has the sizes of what it stands for; its indices and values are ordinary tensors, and gradients flow
    through the values. It takes its calls through ``__torch_function__`` (Note [Overrides] in `_overrides`): each function
    it knows has a rule below, the others say that they do not take sparse tensors. To the kernels it is a tensor on a
    device that does not exist, so that no call can pass by.
"""
from .. import tensor as _t
from ..errors import ShapeError, TensorError, TensorTypeError, UnsupportedOpError
from ._function import shell
from ._overrides import DisableTorchFunctionSubclass, public_names
from ._printing import get_printoptions, printoptions
from ._embedding import merge_places
from ._sparse_doors import LAYOUTS
from ._tensor import Size, Tensor

RULES = {}
_names = {}              # function -> name
_COO, _CSR, _CSC = LAYOUTS["sparse_coo"], LAYOUTS["sparse_csr"], LAYOUTS["sparse_csc"]


class SparseTensor(Tensor):
    """A sparse tensor. Made by `sparse_coo_tensor` and its siblings, or ``to_sparse``."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if not _names:
            _names.update(public_names(RULES, (_t, "")))
        name = _names.get(func) or getattr(func, "__name__", str(func))
        rule = RULES.get(name)
        if rule is None:
            found = next(x for x in _flat(args, kwargs or {}) if isinstance(x, SparseTensor))
            raise UnsupportedOpError(f"{name}: not there for tensors of layout {found.layout}; call to_dense() first", op=name)
        return rule(*args, **(kwargs or {}))

    shape, dtype, ndim, itemsize = Tensor.shape, Tensor.dtype, Tensor.ndim, Tensor.itemsize

    layout = property(lambda self: self._kind)
    device = property(lambda self: self._val.device)
    is_sparse = property(lambda self: self._kind is _COO)
    is_sparse_csr = property(lambda self: self._kind is _CSR)
    is_cpu = property(lambda self: self._val.is_cpu)
    is_cuda = property(lambda self: self._val.is_cuda)
    is_mps = is_metal = is_meta = is_quantized = is_nested = is_mkldnn = False
    grad_fn = property(lambda self: self._val.grad_fn)
    is_leaf = property(lambda self: self._val.is_leaf)
    data = property(lambda self: self.detach())
    T = property(lambda self: transpose(self, 0, 1) if self.dim() == 2 else _refuse("T", self))
    mT = property(lambda self: transpose(self, -2, -1))

    @property
    def requires_grad(self):
        return self._val.requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self._val.requires_grad = value

    def requires_grad_(self, requires_grad=True):
        """Set whether gradients are computed for the values, in place."""
        self._val.requires_grad_(requires_grad)
        return self

    @property
    def grad(self):
        """The gradient at the places that are stored, or None."""
        return None if self._val.grad is None else _like(self, self._val.grad)

    @grad.setter
    def grad(self, value):
        self._val.grad = None if value is None else value._val if isinstance(value, SparseTensor) else masked(value, self)._val

    def __hash__(self):
        return id(self) >> 4

    def __repr__(self, **kwargs):
        return _shown(self)

    def __len__(self):
        if not self.dim():
            raise TensorTypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self):
        return iter([select(self, 0, i) for i in range(len(self))])

    def __bool__(self):
        return bool(self.to_dense())

    def __deepcopy__(self, memo):
        out = memo[id(self)] = _like(self, self._val.detach().clone().requires_grad_(self.requires_grad))
        return out

    def __reduce_ex__(self, protocol):
        return _rebuild, (str(self._kind), self._idx, self._val, tuple(self.shape), self._sorted)


def _rebuild(kind, idx, val, size, is_sorted):
    return _new(LAYOUTS[kind.rpartition(".")[2]], idx, val, size, is_sorted)


def _flat(args, kwargs):
    for x in (*args, *kwargs.values()):
        if isinstance(x, (list, tuple)):
            yield from x
        else:
            yield x


def _new(kind, idx, val, size, is_sorted):
    """A SparseTensor of parts known to fit.

    Args:
        idx: (sparse dimensions, nnz), or (compressed, plain) of a compressed layout.
        is_sorted: coalesced.
    """
    out = shell(SparseTensor, val.new_empty((1,) * (len(size) + 1)).expand((1, *size)))
    out._kind, out._idx, out._val, out._sorted = kind, idx, val, is_sorted
    return out


def _like(x, val):
    """x with other values at its places."""
    return _new(x._kind, x._idx, val, tuple(x.shape), x._sorted)


def _refuse(name, x):
    raise UnsupportedOpError(f"{name}: not there for tensors of layout {x.layout} and {x.dim()} dimensions; call to_dense() first", op=name)


def rule(names):
    """Register what a function does with sparse tensors, by name."""
    def keep(fn):
        for name in names.split():
            RULES[name] = fn
        return fn
    return keep


# ---- making --------------------------------------------------------------------------------------------
def _tensor_of(x, dtype=None, device=None):
    return x.to(dtype=dtype or x.dtype, device=device or x.device) if isinstance(x, Tensor) else _t._make_tensor(x, dtype=dtype, device=device)


def _index_of(x):
    return _tensor_of(x).long()


def make_coo(indices, values, size, dtype, device, requires_grad, is_coalesced):
    """See `sparse_coo_tensor`."""
    op = "sparse_coo_tensor"
    if values is None:                                             # sparse_coo_tensor(size)
        missing = "size" if indices is None and size is None else "values" if indices is not None and size is not None else None
        if missing is not None:
            raise TensorTypeError(f"sparse_coo_tensor(): missing argument '{missing}'", op=op, argument=missing)
        size = indices if size is None else size
        size = (size,) if isinstance(size, int) else tuple(size)
        idx, val = _t.zeros((len(size), 0), dtype=_t.int64, device=device), _t.zeros(0, dtype=dtype, device=device)
        return _new(_COO, idx, val.requires_grad_(requires_grad), size, True)
    idx, val = _index_of(indices), _tensor_of(values, dtype, device)
    if val.dim() == 0:
        val = val.unsqueeze(0) if idx.shape[-1] == 1 else val.expand(idx.shape[-1])
    if idx.dim() != 2:
        raise TensorError(f"indices must be sparse_dim x nnz, but got: {list(idx.shape)}", op=op)
    if idx.shape[1] != val.shape[0]:
        raise TensorError(f"indices and values must have same nnz, but got nnz from indices: {idx.shape[1]}, nnz from values: {val.shape[0]}", op=op)
    low, high = (idx.min(1).values.tolist(), idx.max(1).values.tolist()) if idx.numel() else ([], [])
    if any(n < 0 for n in low):
        raise TensorError(f"found negative index {min(low)} for dim {low.index(min(low))}", op=op)
    if size is None:
        if not idx.numel() and idx.shape[0]:
            size = (0,) * idx.shape[0] + tuple(val.shape[1:])
        else:
            size = tuple(n + 1 for n in high) + tuple(val.shape[1:])
    size = tuple(size)
    if len(size) != idx.shape[0] + val.dim() - 1:
        raise TensorError(f"number of dimensions must be sparse_dim ({idx.shape[0]}) + dense_dim ({val.dim() - 1}), but got {len(size)}", op=op)
    for d, n in enumerate(high):
        if n >= size[d]:
            raise TensorError(f"size is inconsistent with indices: for dim {d}, size is {size[d]} but found index {n}", op=op)
    if tuple(val.shape[1:]) != size[idx.shape[0]:]:
        raise TensorError(f"values has incorrect size, expected {[idx.shape[1], *size[idx.shape[0]:]]}, got {list(val.shape)}", op=op)
    if requires_grad and not val.requires_grad:
        val = val.detach().requires_grad_()
    return _new(_COO, idx, val, size, bool(is_coalesced) or idx.shape[1] < 2)


def make_compressed(kind, compressed, plain, values, size, dtype, device, requires_grad):
    """See `sparse_csr_tensor`."""
    op = kind + "_tensor"
    crow, col, val = _index_of(compressed), _index_of(plain), _tensor_of(values, dtype, device)
    if crow.dim() != 1 or col.dim() != 1 or val.dim() != 1:
        raise UnsupportedOpError(f"{op}: batches and dense dimensions are not supported: expected 1-dimensional indices and values, got "
                                 f"{crow.dim()}, {col.dim()} and {val.dim()} dimensions", op=op)
    if len(col) != len(val):
        raise TensorError(f"{op}: expected as many plain indices as values, got {len(col)} and {len(val)}", op=op)
    if size is None:
        other = int(col.max()) + 1 if len(col) else 0
        size = (len(crow) - 1, other) if kind == "sparse_csr" else (other, len(crow) - 1)
    size = tuple(size)
    rows, cols = size if kind == "sparse_csr" else size[::-1]
    if len(crow) != rows + 1 or crow[0] != 0 or crow[-1] != len(col) or bool((crow.diff() < 0).any()):
        raise TensorError(f"{op}: compressed indices must be {rows + 1} numbers that rise from 0 to nnz = {len(col)}", op=op)
    if len(col) and (int(col.min()) < 0 or int(col.max()) >= cols):
        raise TensorError(f"{op}: plain indices must be in [0, {cols})", op=op)
    if requires_grad and not val.requires_grad:
        val = val.detach().requires_grad_()
    return _new(LAYOUTS[kind], (crow, col), val, size, True)


def from_dense(x, sparse_dim, layout):
    """See `to_sparse`."""
    if layout not in (None, _COO, _CSR, _CSC):
        raise UnsupportedOpError(f"to_sparse: expected layout sparse_coo, sparse_csr or sparse_csc, got {layout}", op="to_sparse")
    n = x.dim() if sparse_dim is None else sparse_dim
    if x.dim() and not 0 < n <= x.dim():
        raise TensorError(f"sparse_dim argument for to_sparse must be in >0, <={x.dim()}, got {n}", op="to_sparse")
    dense = x.detach()
    if layout in (_CSR, _CSC) and n == x.dim() == 2:
        # the matrix, or its transpose, in row-major order has its nonzeros in the order wanted
        turned = layout is _CSC
        major, minor = ((dense.t().contiguous() if turned else dense) != 0).nonzero().t().contiguous()
        crow = _t.searchsorted(major, _t.arange(x.shape[turned] + 1, device=x.device))
        return _new(layout, (crow, minor), x[(minor, major) if turned else (major, minor)], tuple(x.shape), True)
    there = dense != 0
    if n < x.dim():
        there = there.flatten(n).any(-1)
    idx = there.nonzero().t().contiguous()
    out = _new(_COO, idx, x[tuple(idx)], tuple(x.shape), True) if x.dim() else \
        _new(_COO, _t.zeros((0, 1), dtype=_t.int64), x.reshape(1), (), True)
    return out if layout in (None, _COO) else compressed(out, layout)


# ---- between layouts -----------------------------------------------------------------------------------
def _coordinates(x):
    """(indices, values) by coordinates."""
    if x._kind is _COO:
        return x._idx, x._val
    crow, other = x._idx
    major = _t.repeat_interleave(_t.arange(len(crow) - 1, device=crow.device), crow.diff())
    return _t.stack([major, other] if x._kind is _CSR else [other, major]), x._val


def as_coo(x):
    """Return x by coordinates."""
    if x._kind is _COO:
        return x
    idx, val = _coordinates(x)
    return _new(_COO, idx, val, tuple(x.shape), x._kind is _CSR)


def _flat_places(idx, sizes):
    """One number a place, row-major."""
    place = _t.zeros(idx.shape[1], dtype=_t.int64, device=idx.device)
    for d, n in enumerate(sizes):
        place = place * n + idx[d]
    return place


def _places(flat, sizes):
    rows = []
    for n in reversed(sizes):
        rows.append(flat % n if n else flat)
        flat = flat.div(n, rounding_mode="floor") if n else flat
    return _t.stack(rows[::-1]) if rows else flat.new_zeros((0, len(flat)))


@rule("coalesce")
def coalesce(x):
    """Sort the indices and add up values at the same place."""
    if x._kind is not _COO:
        raise TensorError(f"coalesce expected sparse coordinate tensor layout but got {x.layout}", op="coalesce")
    if x._sorted:
        return x
    sizes = tuple(x.shape[:x._idx.shape[0]])
    flat, back = _t.unique(_flat_places(x._idx, sizes), return_inverse=True)
    val = x._val.new_zeros((len(flat), *x._val.shape[1:])).index_add(0, back, x._val)
    return _new(_COO, _places(flat, sizes), val, tuple(x.shape), True)


def compressed(x, kind):
    """Return a matrix by compressed rows or columns."""
    if x._kind is kind:
        return x
    if x.dim() != 2 or x._val.dim() != 1:
        raise UnsupportedOpError(f"to_sparse_csr: only matrices without dense dimensions, got {x.dim()} dimensions", op="to_sparse_csr")
    x = as_coo(x)
    if kind is _CSC:
        x = coalesce(transpose(x, 0, 1))
    else:
        x = coalesce(x)
    rows = x.shape[0]
    crow = _t.cat([_t.zeros(1, dtype=_t.int64), _t.bincount(x._idx[0], minlength=rows).cumsum(0)])
    return _new(kind, (crow, x._idx[1]), x._val, tuple(x.shape) if kind is _CSR else tuple(x.shape)[::-1], True)


@rule("to_sparse")
def to_sparse(x, sparse_dim=None, *, layout=None, **kwargs):
    if isinstance(sparse_dim, type(_COO)):
        layout = sparse_dim
    return compressed(x, layout) if layout in (_CSR, _CSC) else as_coo(x)


RULES["to_sparse_coo"] = as_coo
RULES["to_sparse_csr"] = lambda x, dense_dim=None: compressed(x, _CSR)
RULES["to_sparse_csc"] = lambda x, dense_dim=None: compressed(x, _CSC)


@rule("to_dense")
def to_dense(x, dtype=None, *, masked_grad=None):
    """Return the strided tensor."""
    if dtype is not None:
        raise TensorError("dtype argument is not supported by sparse_to_dense", op="to_dense")
    idx, val = _coordinates(x)
    out = val.new_zeros(tuple(x.shape))
    n = idx.shape[0]
    if n == 0:
        return out + val.sum(0)
    sizes = tuple(x.shape[:n])
    flat = out.reshape((_numel(sizes), *x.shape[n:]))
    if val.dtype is _t.bool:
        return flat.index_put((_flat_places(idx, sizes),), val).reshape(tuple(x.shape))
    return flat.index_add(0, _flat_places(idx, sizes), val).reshape(tuple(x.shape))


def _numel(sizes):
    n = 1
    for s in sizes:
        n *= s
    return n


def masked(x, mask):
    """See `sparse_mask`."""
    if not isinstance(mask, SparseTensor):
        raise TensorTypeError("sparse_mask: expected mask to be a sparse tensor", op="sparse_mask")
    if tuple(x.shape) != tuple(mask.shape):
        raise ShapeError(f"sparse_mask(): operands have incompatible sizes; self has size {list(x.shape)} but mask has size {list(mask.shape)}",
                         op="sparse_mask")
    dense = x.to_dense() if isinstance(x, SparseTensor) else x
    return _like(mask, dense[tuple(_coordinates(mask)[0])])


RULES["sparse_mask"] = masked


# ---- questions -----------------------------------------------------------------------------------------
def _parts(name, kinds, part):
    def get(x):
        if x._kind not in kinds:
            raise TensorError(f"{name} expected a tensor of layout {kinds[0]} but got {x.layout}", op=name)
        return part(x)
    RULES[name] = get


def _coalesced(name, part):
    def get(x):
        if not x._sorted:
            raise TensorError(f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first", op=name)
        return part(x)
    return get


_parts("indices", (_COO,), _coalesced("indices", lambda x: x._idx))
_parts("values", (_COO, _CSR, _CSC), _coalesced("values", lambda x: x._val))
_parts("_indices", (_COO,), lambda x: x._idx)
_parts("_values", (_COO, _CSR, _CSC), lambda x: x._val)
_parts("_nnz", (_COO, _CSR, _CSC), lambda x: x._val.shape[0])
_parts("is_coalesced", (_COO,), lambda x: x._sorted)
_parts("crow_indices", (_CSR,), lambda x: x._idx[0])
_parts("col_indices", (_CSR,), lambda x: x._idx[1])
_parts("ccol_indices", (_CSC,), lambda x: x._idx[0])
_parts("row_indices", (_CSC,), lambda x: x._idx[1])
_parts("sparse_dim", (_COO, _CSR, _CSC), lambda x: x._idx.shape[0] if x._kind is _COO else 2)
_parts("dense_dim", (_COO, _CSR, _CSC), lambda x: x._val.dim() - 1)


def _natively(name):
    fn = getattr(Tensor, name)

    def ask(*args, **kwargs):
        with DisableTorchFunctionSubclass():
            return fn(*args, **kwargs)
    RULES[name] = ask


for _name in "dim size numel nelement element_size is_floating_point is_complex is_signed ndimension is_same_size".split():
    _natively(_name)
@rule("numpy __array__")
def no_numpy(x, *args, **kwargs):
    raise TensorTypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.", op="numpy")


RULES["is_tensor"] = lambda x: True
RULES["is_contiguous"] = lambda x, *args, **kwargs: False
RULES["get_device"] = lambda x: x._val.get_device()


# ---- gradients that are sparse -------------------------------------------------------------------------
def rows_gradient(g, indices, rows, skip=-1):
    """The gradient of a table of so many rows whose rows at ``indices`` were picked, as a sparse tensor that is not coalesced.

    Args:
        g: (*indices' shape, width).
        skip: an index that gets no gradient; -1: none.
    """
    flat, val = indices.reshape(-1), g.reshape(-1, g.shape[-1])
    if skip != -1:
        there = flat != skip
        flat, val = flat[there], val[there]
    return _new(_COO, flat.unsqueeze(0), val, (rows, g.shape[-1]), len(flat) < 2)


def picked_gradient(g, index, dim, shape):
    """The gradient of gather as a sparse tensor that is not coalesced."""
    if not shape:
        return _new(_COO, _t.zeros((0, g.numel()), dtype=_t.int64, device=g.device), g.reshape(-1), (), g.numel() < 2)
    if not g.dim():
        return _new(_COO, index.reshape(1, 1), g.reshape(1), shape, True)
    rows = []
    for d in range(g.dim()):
        if d == dim:
            rows.append(index.reshape(-1))
        else:
            rows.append(_t.arange(g.shape[d], device=g.device).reshape((-1,) + (1,) * (g.dim() - 1 - d)).expand(tuple(g.shape)).reshape(-1))
    return _new(_COO, _t.stack(rows).long(), g.reshape(-1), shape, g.numel() < 2)


def accumulated(old, g, recorded):
    """What becomes of a leaf's gradient ``old`` (or None) when g comes, one of them sparse.

    Args:
        recorded: whether this step is recorded; else old is changed in place where its layout allows.
    """
    if old is None:
        return g if recorded else _new(g._kind, g._idx, g._val.detach().clone(), tuple(g.shape), g._sorted)
    if isinstance(old, SparseTensor) and not isinstance(g, SparseTensor):
        return add(g, old)
    return add(old, g) if recorded else add_(old, g)


# ---- value by value ------------------------------------------------------------------------------------
def _with_values(fn, linear):
    def apply(x, *args, **kwargs):
        if not linear and not x._sorted:
            x = coalesce(x)
        return _like(x, fn(x._val, *args, **kwargs))
    return apply


for _name in "neg negative to float double half bfloat16 int long short char clone detach cpu cuda".split():
    RULES[_name] = _with_values(getattr(Tensor, _name), True)
RULES["__neg__"] = RULES["neg"]
for _name in """abs sqrt sin tan tanh sinh asin atan asinh atanh relu sign sgn square floor ceil trunc round expm1 log1p erf isnan isinf deg2rad rad2deg
                bool abs_ relu_ neg_""".split():
    if hasattr(Tensor, _name) or hasattr(_t, _name):
        RULES[_name] = _with_values(getattr(Tensor, _name, None) or getattr(_t, _name), _name == "neg_")
RULES["__abs__"] = RULES["abs"]
del _name


@rule("pow __pow__")
def power(x, exponent):
    if isinstance(x, SparseTensor) and not isinstance(exponent, Tensor) and exponent > 0:
        x = x if x._sorted else coalesce(x)
        return _like(x, x._val ** exponent)
    raise UnsupportedOpError("pow: a sparse tensor to a positive number only", op="pow")


@rule("type_as")
def type_as(x, other):
    return _like(x, x._val.to(other.dtype))


@rule("copy_")
def copy_(x, src, non_blocking=False):
    if not isinstance(x, SparseTensor) or not isinstance(src, SparseTensor):
        raise TensorError(f"copy_() between dense and sparse Tensors is not implemented! Found self of layout {x.layout} and src of layout {src.layout}",
                          op="copy_")
    x._idx, x._val, x._sorted, x._kind = src._idx, src._val.to(x._val.dtype), src._sorted, src._kind
    return x


@rule("zero_")
def zero_(x):
    x._idx, x._val, x._sorted = x._idx[:, :0], x._val[:0], True
    return x


@rule("zeros_like")
def zeros_like(x, **kwargs):
    x, dtype = as_coo(x), kwargs.get("dtype") or x.dtype
    val = x._val.new_zeros((0, *x._val.shape[1:]), dtype=dtype, requires_grad=kwargs.get("requires_grad", False))
    return _new(_COO, x._idx.new_zeros((x._idx.shape[0], 0)), val, tuple(x.shape), True)


@rule("register_hook retain_grad")
def on_values(x, *args):
    return x._val.register_hook(*args) if args else x._val.retain_grad()


# ---- arithmetic ----------------------------------------------------------------------------------------
def _is_number(x):
    return not isinstance(x, Tensor) or (not isinstance(x, SparseTensor) and x.dim() == 0)


@rule("mul multiply __mul__ __rmul__")
def mul(x, y):
    """Scale, or multiply place by place; with a strided tensor at the places that are stored."""
    if not isinstance(x, SparseTensor):
        x, y = y, x
    if _is_number(y):
        return _like(x, x._val * y)
    if isinstance(y, SparseTensor):
        if tuple(x.shape) != tuple(y.shape):
            raise ShapeError(f"mul: expected sparse operands of one size, got {list(x.shape)} and {list(y.shape)}", op="mul")
        kind = x._kind
        a, b = coalesce(as_coo(x)), coalesce(as_coo(y))
        sizes = tuple(a.shape[:a._idx.shape[0]])
        pa, pb = _flat_places(a._idx, sizes), _flat_places(b._idx, sizes)
        at = _t.searchsorted(pb, pa).clamp(max=max(len(pb) - 1, 0))
        both = pb[at] == pa if len(pb) else _t.zeros(len(pa), dtype=_t.bool)
        out = _new(_COO, a._idx[:, both], a._val[both] * b._val[at[both] if len(pb) else at[:0]], tuple(a.shape), True)
        return out if kind is _COO else compressed(out, kind)
    return _like(x, x._val * y.expand(tuple(x.shape))[tuple(_coordinates(x)[0])])


@rule("div divide true_divide __truediv__")
def div(x, y, rounding_mode=None):
    if not isinstance(x, SparseTensor) or not _is_number(y):
        raise UnsupportedOpError("div: Sparse division requires a scalar or zero-dim dense tensor divisor", op="div")
    if rounding_mode is not None and not x._sorted:
        x = coalesce(x)
    return _like(x, x._val.div(y, rounding_mode=rounding_mode))


@rule("add __add__")
def add(x, y, *, alpha=1):
    """Sparse and sparse give sparse, strided and sparse strided."""
    if not isinstance(x, SparseTensor):
        if not isinstance(x, Tensor):
            raise UnsupportedOpError("add: a number and a sparse tensor; the result would be dense: call to_dense() first", op="add")
        if tuple(x.shape) != tuple(y.shape):
            raise ShapeError(f"add: expected 'self' and 'other' to have same size, but self has size {list(x.shape)} while other has size "
                             f"{list(y.shape)} (FYI: dense-sparse addition does not currently support broadcasting)", op="add")
        return x + alpha * to_dense(y)
    if not isinstance(y, SparseTensor):
        raise TensorError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.", op="add")
    if tuple(x.shape) != tuple(y.shape):
        raise ShapeError(f"add: expected sizes of 'self' and 'other' to match, but {list(x.shape)} != {list(y.shape)}", op="add")
    a, b = as_coo(x), as_coo(y)
    if a._idx.shape[0] != b._idx.shape[0]:
        raise TensorError(f"add: expected 'self' and 'other' to have same sparse dims, got {a._idx.shape[0]} and {b._idx.shape[0]}", op="add")
    other = b._val if alpha == 1 else b._val * alpha
    dtype = _t.promote_types(a.dtype, b.dtype)
    if x._kind is not _COO or not (a._val.is_contiguous() and b._val.is_contiguous()):
        out = _new(_COO, _t.cat([a._idx, b._idx], 1), _t.cat([a._val.to(dtype), other.to(dtype)]), tuple(x.shape), False)
        if x._kind is not _COO:
            return compressed(coalesce(out), x._kind)
        if out._val.shape[0] > out.numel():                                 # the list would grow for ever
            out = coalesce(out)
            out._sorted = False
        return out
    # PyTorch merges the two lists of places as they stand, sorted or not
    sizes = tuple(a.shape[:a._idx.shape[0]])
    put_a, put_b, n = merge_places(_flat_places(a._idx, sizes), _flat_places(b._idx, sizes))
    idx = a._idx.new_empty((len(sizes), n))
    idx[:, put_a], idx[:, put_b] = a._idx, b._idx
    val = other.new_zeros((n, *other.shape[1:]), dtype=dtype).index_add(0, put_a, a._val.to(dtype)).index_add(0, put_b, other.to(dtype))
    return _new(_COO, idx, val, tuple(x.shape), a._sorted and b._sorted)


RULES["__radd__"] = lambda x, y: add(y, x)


@rule("sub subtract __sub__")
def sub(x, y, *, alpha=1):
    return add(x, y, alpha=-alpha)


@rule("__rsub__")
def rsub(x, y):
    return add(y, x, alpha=-1)


@rule("add_ __iadd__")
def add_(x, y, *, alpha=1):
    if isinstance(x, SparseTensor):
        return copy_(x, add(x, y, alpha=alpha))
    if tuple(x.shape) == tuple(y.shape) and x.dtype is y.dtype and x.dim() and not y.requires_grad:
        idx, val = _coordinates(y)                                # only the places that are stored are written
        if idx.shape[0] == 1:
            return x.index_add_(0, idx[0], val, alpha=alpha)
        return x.index_put_(tuple(idx), val if alpha == 1 else val * alpha, accumulate=True)
    return x.copy_(add(x, y, alpha=alpha))


@rule("sub_ __isub__")
def sub_(x, y, *, alpha=1):
    return add_(x, y, alpha=-alpha)


@rule("mul_ __imul__")
def mul_(x, y):
    if not isinstance(x, SparseTensor):
        raise UnsupportedOpError("mul_: a strided tensor times a sparse one in place; call to_dense() first", op="mul_")
    return copy_(x, mul(x, y))


@rule("div_ __itruediv__")
def div_(x, y):
    return copy_(x, div(x, y))


# ---- sums, norms ---------------------------------------------------------------------------------------
@rule("sum")
def total(x, dim=None, keepdim=False, *, dtype=None):
    """Sum over everything (strided), or over dimensions (sparse where sparse dimensions are left, else strided)."""
    if dim is None or dim == ():
        return x._val.sum(dtype=dtype)
    x = as_coo(x)
    sparse, nd = x._idx.shape[0], x.dim()
    dims = sorted({d % nd for d in (dim if isinstance(dim, (tuple, list)) else (dim,))})
    val = x._val if dtype is None else x._val.to(dtype)
    dense = [d - sparse + 1 for d in dims if d >= sparse]
    if dense:
        val = val.sum(dense, keepdim)
    left = [d for d in range(sparse) if d not in dims]
    sizes = [1 if d in dims else n for d, n in enumerate(x.shape)] if keepdim else [n for d, n in enumerate(x.shape) if d not in dims]
    if not left and not keepdim:
        return val.sum(0)
    idx = x._idx.clone() if keepdim else x._idx[left]
    if keepdim:
        for d in dims:
            if d < sparse:
                idx[d] = 0
    return coalesce(_new(_COO, idx, val, tuple(sizes), False))


@rule("norm")
def norm(x, p="fro", dim=None, keepdim=False, dtype=None):
    if dim is not None:
        raise UnsupportedOpError("norm: of a whole sparse tensor only, without dim", op="norm")
    return coalesce(as_coo(x))._val.norm(2 if p == "fro" else p, dtype=dtype)


@rule("any")
def any_(x):
    return x._val.any()


def softmax(x, dim, dtype=None, log=False):
    """Softmax along a dimension over what is stored; places that are not stored count as minus infinity."""
    x = coalesce(as_coo(x))
    if dtype is not None:
        x = _like(x, x._val.to(dtype))
    d, sparse = dim % x.dim(), x._idx.shape[0]
    if d >= sparse:
        return _like(x, (_t.log_softmax if log else _t.softmax)(x._val, d - sparse + 1))
    rest = [i for i in range(sparse) if i != d]
    sizes = [x.shape[i] for i in rest]
    group = _flat_places(x._idx[rest], sizes) if rest else x._idx.new_zeros(x._val.shape[0])
    n = _numel(sizes)
    val = x._val
    where = group.reshape((-1,) + (1,) * (val.dim() - 1)).expand(tuple(val.shape))
    top = val.detach().new_full((n, *val.shape[1:]), float("-inf")).scatter_reduce(0, where, val.detach(), "amax")
    shifted = val - top[group]
    summed = val.new_zeros((n, *val.shape[1:])).index_add(0, group, shifted.exp())[group]
    return _like(x, shifted - summed.log() if log else shifted.exp() / summed)


@rule("log_softmax")
def log_softmax(x, dim, dtype=None):
    return softmax(x, dim, dtype, True)


RULES["softmax"] = softmax


# ---- moving places -------------------------------------------------------------------------------------
@rule("transpose swapaxes swapdims")
def transpose(x, dim0, dim1):
    if not -x.dim() <= dim0 < x.dim() or not -x.dim() <= dim1 < x.dim():
        _refuse("transpose", x)
    a, b = dim0 % x.dim(), dim1 % x.dim()
    if x._kind is not _COO:
        size = tuple(x.shape)
        return x if a == b else _new(_CSC if x._kind is _CSR else _CSR, x._idx, x._val, size[::-1], True)
    sparse = x._idx.shape[0]
    if (a < sparse) != (b < sparse):
        raise UnsupportedOpError("transpose: a sparse and a dense dimension of a sparse tensor", op="transpose")
    size = list(x.shape)
    size[a], size[b] = size[b], size[a]
    if a >= sparse:
        return _new(_COO, x._idx, x._val.transpose(a - sparse + 1, b - sparse + 1), tuple(size), x._sorted)
    order = list(range(sparse))
    order[a], order[b] = order[b], order[a]
    return _new(_COO, x._idx[order], x._val, tuple(size), x._sorted and a == b)


@rule("t")
def t(x):
    return transpose(x, 0, 1) if x.dim() == 2 else x if x.dim() < 2 else _refuse("t", x)


@rule("unsqueeze")
def unsqueeze(x, dim):
    x = as_coo(x)
    d, sparse = dim % (x.dim() + 1), x._idx.shape[0]
    size = list(x.shape)
    size.insert(d, 1)
    if d > sparse:
        return _new(_COO, x._idx, x._val.unsqueeze(d - sparse + 1), tuple(size), x._sorted)
    idx = _t.cat([x._idx[:d], x._idx.new_zeros((1, x._idx.shape[1])), x._idx[d:]])
    return _new(_COO, idx, x._val, tuple(size), x._sorted)


@rule("index_select")
def index_select(x, dim, index):
    """Rows, columns ... by number; the result is coalesced."""
    kind, x = x._kind, as_coo(x)
    d, sparse = dim % x.dim(), x._idx.shape[0]
    size = list(x.shape)
    size[d] = len(index)
    if d >= sparse:
        return _new(_COO, x._idx, x._val.index_select(d - sparse + 1, index), tuple(size), x._sorted)
    if len(index) and not bool(((index >= 0) & (index < x.shape[d])).all()):
        raise TensorError(f"index_select(): index out of range in dimension {d} of size {x.shape[d]}", op="index_select")
    # each stored place goes to every position that asks for its row
    order = index.argsort()
    asked = index[order]
    begin, end = _t.searchsorted(asked, x._idx[d]), _t.searchsorted(asked, x._idx[d], right=True)
    count = end - begin
    source = _t.repeat_interleave(_t.arange(x._idx.shape[1]), count)
    within = _t.arange(len(source)) - _t.repeat_interleave(count.cumsum(0) - count, count)
    idx = x._idx[:, source].clone()
    idx[d] = order[begin[source] + within]
    out = _new(_COO, idx, x._val[source], tuple(size), False)
    if kind is not _COO:
        return compressed(out, kind)
    return coalesce(out) if x._sorted else out


@rule("select")
def select(x, dim, index):
    out = index_select(as_coo(x), dim, _t._make_tensor([index % x.shape[dim]]))
    d, sparse = dim % x.dim(), out._idx.shape[0]
    size = list(out.shape)
    del size[d]
    if d >= sparse:
        return _new(_COO, out._idx, out._val.squeeze(d - sparse + 1), tuple(size), out._sorted)
    left = [i for i in range(sparse) if i != d]
    if not left:
        return out._val.sum(0)
    return _new(_COO, out._idx[left], out._val, tuple(size), out._sorted)


@rule("narrow")
def narrow(x, dim, start, length):
    return index_select(x, dim, _t.arange(start, start + length))


@rule("__getitem__")
def getitem(x, key):
    if not isinstance(x, SparseTensor):
        raise UnsupportedOpError("indexing with a sparse tensor; call to_dense() first", op="__getitem__")
    key = key if isinstance(key, tuple) else (key,)
    dim = 0
    for k in key:
        if isinstance(k, int):
            if not -x.shape[dim] <= k < x.shape[dim]:
                raise IndexError(f"index {k} is out of bounds for dimension {dim} with size {x.shape[dim]}")
            x = select(x, dim, k)
        elif isinstance(k, slice):
            if k != slice(None):
                x = index_select(x, dim, _t.arange(*k.indices(x.shape[dim])))
            dim += 1
        elif isinstance(k, Tensor) and k.dim() == 1:
            x = index_select(x, dim, k.nonzero().reshape(-1) if k.dtype is _t.bool else k % x.shape[dim])
            dim += 1
        else:
            raise UnsupportedOpError("indexing of sparse tensors: by numbers, slices and 1-dimensional tensors", op="__getitem__")
    return x


@rule("cat concat concatenate")
def cat(tensors, dim=0):
    if not all(isinstance(x, SparseTensor) for x in tensors):
        raise UnsupportedOpError("cat: sparse tensors with strided ones", op="cat")
    parts = [as_coo(x) for x in tensors]
    d, sparse = dim % parts[0].dim(), parts[0]._idx.shape[0]
    if d >= sparse:
        raise UnsupportedOpError("cat: along a dense dimension of sparse tensors", op="cat")
    idx, start = [], 0
    for x in parts:
        if [n for i, n in enumerate(x.shape) if i != d] != [n for i, n in enumerate(parts[0].shape) if i != d]:
            raise ShapeError(f"cat: sizes differ besides dimension {d}: {list(parts[0].shape)} and {list(x.shape)}", op="cat")
        moved = x._idx.clone()
        moved[d] += start
        idx.append(moved)
        start += x.shape[d]
    size = list(parts[0].shape)
    size[d] = start
    return _new(_COO, _t.cat(idx, 1), _t.cat([x._val for x in parts]), tuple(size), d == 0 and all(x._sorted for x in parts))


@rule("stack")
def stack(tensors, dim=0):
    return cat([unsqueeze(x, dim) for x in tensors], dim)


@rule("sparse_resize_")
def sparse_resize_(x, size, sparse_dim, dense_dim):
    if sparse_dim != x._idx.shape[0] or dense_dim != x._val.dim() - 1 or any(n < m for n, m in zip(size, x.shape)) and x._val.shape[0]:
        raise UnsupportedOpError("sparse_resize_: to larger sizes of the same number of sparse and dense dimensions", op="sparse_resize_")
    if tuple(size[sparse_dim:]) != tuple(x.shape[sparse_dim:]):
        raise UnsupportedOpError("sparse_resize_: dense dimensions keep their sizes", op="sparse_resize_")
    new = _new(_COO, x._idx, x._val, tuple(size), x._sorted)
    Tensor.data.__set__(x, new)
    return x


@rule("resize_as_sparse_")
def resize_as_sparse_(x, the_template):
    if not isinstance(the_template, SparseTensor):
        raise TensorError(f"resize_as_sparse_: expected a sparse template, got layout {the_template.layout}", op="resize_as_sparse_")
    if not isinstance(x, SparseTensor):
        raise TensorError(f"resize_as_sparse_: expected a sparse tensor, got layout {x.layout}", op="resize_as_sparse_")
    y, size = as_coo(the_template), tuple(the_template.shape)
    if x._kind is _COO and not x._val.shape[0]:                              # nothing is stored: any sizes fit
        sparse = y._idx.shape[0]
        Tensor.data.__set__(x, _new(_COO, x._idx.new_zeros((sparse, 0)), x._val.new_zeros((0, *size[sparse:])), size, True))
        x._idx, x._val = x._idx.new_zeros((sparse, 0)), x._val.new_zeros((0, *size[sparse:]))
        return x
    if x._kind is _COO and any(n < m for n, m in zip(size, x.shape)):
        raise TensorError(f"resize_as_sparse_: shrinking the size of sparse dimensions (from {list(x.shape)} to {list(size)}) on a non-empty sparse "
                          f"tensor is not supported; for an empty one of this size call torch.sparse_coo_tensor(size)", op="resize_as_sparse_")
    return sparse_resize_(x, size, y._idx.shape[0], y._val.dim() - 1)


for _part in ("indices", "values", "crow_indices", "col_indices", "ccol_indices", "row_indices"):
    RULES[_part + "_copy"] = lambda x, part=RULES[_part]: part(x).clone()


# ---- products ------------------------------------------------------------------------------------------
def _check_product(op, a, b):
    if a.dim() != 2 or b.dim() not in (1, 2):
        raise UnsupportedOpError(f"{op}: a sparse matrix with a matrix or vector, got {a.dim()} and {b.dim()} dimensions", op=op)
    if a.shape[1] != b.shape[0]:
        raise ShapeError(f"{op}: inner sizes differ: {list(a.shape)} and {list(b.shape)}", op=op)


@rule("matmul mm mv spmm __matmul__")
def matmul(a, b):
    """Sparse with strided gives strided, sparse with sparse sparse."""
    if not isinstance(a, SparseTensor):
        if a.dim() == 1:
            return matmul(transpose(b, 0, 1), a)
        return matmul(transpose(b, 0, 1), a.t()).t()
    if a._val.dim() != 1:
        raise UnsupportedOpError("matmul: a sparse matrix with dense dimensions", op="matmul")
    _check_product("matmul", a, b)
    if isinstance(b, SparseTensor):
        return _sparse_product(a, b)
    (row, col), val = _coordinates(a)
    picked = b.index_select(0, col) * (val if b.dim() == 1 else val.unsqueeze(1))
    return picked.new_zeros((a.shape[0], *b.shape[1:])).index_add(0, row, picked)


RULES["__rmatmul__"] = lambda a, b: matmul(b, a)
RULES["dsmm"] = matmul


@rule("hspmm hsmm")
def hspmm(mat1, mat2):
    """The rows of the product that have something, each with all columns."""
    if not isinstance(mat1, SparseTensor) or isinstance(mat2, SparseTensor):
        raise UnsupportedOpError("hspmm: expected a sparse and a strided matrix", op="hspmm")
    if mat2.dim() != 2:
        raise TensorError(f"hspmm: Argument #3: matrices expected, got {mat2.dim()}D tensor", op="hspmm")
    _check_product("hspmm", mat1, mat2)
    rows = _t.unique(_coordinates(mat1)[0][0])
    return _new(_COO, rows.unsqueeze(0), matmul(mat1, mat2)[rows], (mat1.shape[0], mat2.shape[1]), False)


@rule("sspaddmm saddmm")
def sspaddmm(input, mat1, mat2, *, beta=1, alpha=1):
    """Places of the input, then those of the product."""
    if not (isinstance(input, SparseTensor) and isinstance(mat1, SparseTensor)) or isinstance(mat2, SparseTensor):
        raise TensorError("sspaddmm: expected a sparse input, a sparse and a strided matrix", op="sspaddmm")
    product = hspmm(mat1, mat2)
    if tuple(input.shape) != tuple(product.shape):
        raise ShapeError(f"sspaddmm: Argument #1: expected sizes {list(product.shape)}, got {list(input.shape)}", op="sspaddmm")
    rows, n = product._idx[0], product.shape[1]
    idx = _t.stack([_t.repeat_interleave(rows, n), _t.arange(n, device=rows.device).repeat(len(rows))])
    val = product._val.reshape(-1) if alpha == 1 else product._val.reshape(-1) * alpha
    old_idx, old = _coordinates(input)
    return _new(_COO, _t.cat([old_idx, idx], 1), _t.cat([old if beta == 1 else old * beta, val]), tuple(input.shape), False)


@rule("lobpcg")
def lobpcg(A, *args, **kwargs):
    from ._lobpcg import lobpcg as run                                       # products are all that it asks of a matrix
    return run(A, *args, **kwargs)


@rule("smm")
def smm(input, mat2):
    if not isinstance(input, SparseTensor):
        raise TensorError("tensor.sspaddmm(...) can only be called on sparse tensors", op="smm")
    zero = _new(_COO, _t.zeros((2, 0), dtype=_t.int64, device=mat2.device), mat2.new_zeros(0), (input.shape[0], mat2.shape[-1]), True)
    return sspaddmm(zero, input, mat2, beta=0)


def _sparse_product(a, b):
    """Each stored place (i, k) of a meets the whole row k of b."""
    kind = a._kind
    (row, mid), left = _coordinates(a)
    b = compressed(b, _CSR)
    start, col = b._idx
    count = start.diff()[mid]
    source = _t.repeat_interleave(_t.arange(len(mid)), count)
    at = start[mid][source] + _t.arange(len(source)) - _t.repeat_interleave(count.cumsum(0) - count, count)
    out = coalesce(_new(_COO, _t.stack([row[source], col[at]]), left[source] * b._val[at], (a.shape[0], b.shape[1]), False))
    return out if kind is _COO else compressed(out, _CSR)


@rule("addmm")
def addmm(input, a, b, *, beta=1, alpha=1):
    product = matmul(a, b)
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else (input if beta == 1 else input * beta) + product


# ---- printing ------------------------------------------------------------------------------------------
def _shown(x):
    names = {_COO: ("indices",), _CSR: ("crow_indices", "col_indices"), _CSC: ("ccol_indices", "row_indices")}[x._kind]
    parts = zip(names, (x._idx,) if x._kind is _COO else x._idx)
    lines = []
    for name, part in (*parts, ("values", x._val.detach())):
        margin = len(name + "=tensor(")
        with printoptions(linewidth=max(1, get_printoptions()["linewidth"] - margin)):
            dense = Tensor.__repr__(part)
        if part.numel() == 0:
            dense = f"tensor([], size={tuple(part.shape)})"
        elif "dtype=" in dense:
            dense = dense[:dense.rindex(",", 0, dense.rindex("dtype="))] + ")"
        lines.append(f"{name}=" + dense.replace("\n", "\n" + " " * margin))
    text = "tensor(" + ",\n       ".join(lines)
    tail = [f"size={tuple(x.shape)}", f"nnz={x._val.shape[0]}"]
    if x.dtype not in (_t.get_default_dtype(), _t.int64, _t.bool) or not x._val.numel() and x.dtype is not _t.get_default_dtype():
        tail.append(f"dtype={x.dtype}")
    tail.append(f"layout={x._kind}")
    if x._val.grad_fn is not None:
        tail.append(f"grad_fn=<{x._val.grad_fn.name()}>")
    elif x.requires_grad:
        tail.append("requires_grad=True")
    width, force = len(text) - text.rfind("\n") + 1, x._kind is _COO
    for part in tail:
        if force or width + len(part) + 2 > 80:
            text, width, force = text + ",\n       " + part, 7 + len(part), False
        else:
            text, width = text + ", " + part, width + len(part) + 2
    return text + ")"


__all__ = ["Size", "SparseTensor"]
