"""Views: new shape and strides over the same memory, each with its gradient.

The gradient of a permutation or reshape is a view again; that of select and slice writes into
zeros through the same view; every other geometry goes through as_strided (`_strided`).
"""
from cpython.long cimport PyLong_Check, PyLong_CheckExact
from cpython.object cimport PyObject
from ._base cimport *
from ._node cimport Node
from ._ops cimport track_view, expand_to, contiguous, copy_into
from ._plan cimport copy_raw, full_
from ._dtype cimport dtype_code
from ._function cimport set_plain_call
from ..errors import IntOverflowError, LengthError, ShapeError, TensorTypeError


cdef TensorBase zeros_of(int nd, const int64_t *sh, int dt, int dev):
    return full_(nd, sh, 0, dt, dev)


cdef int to_c(tuple shape, int64_t *sh) except -1:
    cdef int i
    for i in range(len(shape)):
        sh[i] = shape[i]
    return <int>len(shape)


cdef inline int64_t fits(object op, object size) except? -1:
    try:
        return size
    except OverflowError:
        raise IntOverflowError(f"{op}(): argument 'size' failed to unpack: {size} does not fit 64 bits", op=op) from None


cdef int parse_shape(object op, tuple args, int64_t *sh) except -1:
    """Read sizes that are given one by one or as one sequence."""
    cdef object seq = args, item
    cdef int i = 0
    if not args:
        raise TensorTypeError(f"{op}() missing 1 required positional arguments: \"size\"", op=op)
    if len(args) == 1 and not PyLong_Check(args[0]) and (isinstance(args[0], (tuple, list)) or
                                                         (not hasattr(args[0], "__index__") and hasattr(args[0], "__iter__"))):
        seq = args[0]
    if len(seq) > 64:
        raise ShapeError(f"{op}: at most 64 dimensions, got {len(seq)}")
    for item in seq:
        if PyLong_CheckExact(item):
            sh[i] = fits(op, item)
        elif hasattr(item, "__index__") and (i or not isinstance(item, bool)):    # PyTorch, too, looks at the first alone
            sh[i] = fits(op, item.__index__())
        else:
            raise TensorTypeError(f"{op}(): argument 'size' must be tuple of ints, but found element of type {type(item).__name__} "
                                  f"at pos {i}", op=op)
        i += 1
    return i


cdef extern from *:
    """
    static int rt_plain_sizes(PyObject *const *args, Py_ssize_t n, int64_t *sh) {
        if (n == 1 && PyTuple_Check(args[0])) { n = PyTuple_GET_SIZE(args[0]); args = ((PyTupleObject *)args[0])->ob_item; }
        if (n < 1 || n > 16) return -1;
        for (Py_ssize_t i = 0; i < n; i++) {
            int overflow;
            if (!PyLong_CheckExact(args[i])) return -1;
            sh[i] = PyLong_AsLongLongAndOverflow(args[i], &overflow);
            if (overflow) return -1;
        }
        return (int)n;
    }
    """
    int rt_plain_sizes(PyObject *const *args, Py_ssize_t n, int64_t *sh) noexcept


cdef int plain_sizes(PyObject *const *args, Py_ssize_t n, int64_t *sh) noexcept:
    return rt_plain_sizes(args, n, sh)


# ---- one index, a range of indices ----------------------------------------------------------------------
cdef class SelectBackward0(Node):
    cdef tuple shape
    cdef int dim
    cdef int64_t index

    cdef object apply(self, object g):
        return self.put(<TensorBase>g, self.shape, self.dim)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.put(<TensorBase>g, (n,) + self.shape, self.dim + 1)

    cdef TensorBase put(self, TensorBase gt, tuple shape, int dim):
        cdef TensorBase z, v
        cdef int64_t sh[64]
        cdef int nd = to_c(shape, sh)
        z = zeros_of(nd, sh, gt.dt, gt.dev)
        v = select_view(z, dim, self.index)
        if gt.rg and grad_mode():
            copy_into(v, gt)
        else:
            copy_raw(v, gt)
        return z


cdef TensorBase select_view(TensorBase t, int dim, int64_t index):
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i, j = 0
    cdef TensorBase v
    cdef SelectBackward0 node
    for i in range(t.nd):
        if i != dim:
            sh[j] = t.sh[i]
            st[j] = t.st[i]
            j += 1
    v = view_raw(t, t.nd - 1, sh, st, index * t.st[dim])
    track_view(v, t)
    if t.rg and grad_mode():
        node = SelectBackward0.__new__(SelectBackward0)
        node.shape = shape_tuple(t)
        node.dim = dim
        node.index = index
        attach1(v, node, t)
    return v


cdef class SliceBackward0(Node):
    cdef tuple shape
    cdef int dim
    cdef int64_t start, length, step

    cdef object apply(self, object g):
        return self.put(<TensorBase>g, self.shape, self.dim)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.put(<TensorBase>g, (n,) + self.shape, self.dim + 1)

    cdef TensorBase put(self, TensorBase gt, tuple shape, int dim):
        cdef TensorBase z, v
        cdef int64_t sh[64]
        cdef int nd = to_c(shape, sh)
        z = zeros_of(nd, sh, gt.dt, gt.dev)
        v = slice_view(z, dim, self.start, self.length, self.step)
        if gt.rg and grad_mode():
            copy_into(v, gt)
        else:
            copy_raw(v, gt)
        return z


cdef TensorBase slice_view(TensorBase t, int dim, int64_t start, int64_t length, int64_t step):
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    cdef TensorBase v
    cdef SliceBackward0 node
    for i in range(t.nd):
        sh[i] = t.sh[i]
        st[i] = t.st[i]
    sh[dim] = length
    st[dim] = t.st[dim] * step
    v = view_raw(t, t.nd, sh, st, start * t.st[dim] if length else 0)
    track_view(v, t)
    if t.rg and grad_mode():
        node = SliceBackward0.__new__(SliceBackward0)
        node.shape = shape_tuple(t)
        node.dim = dim
        node.start = start
        node.length = length
        node.step = step
        attach1(v, node, t)
    return v


# ---- reshape family -----------------------------------------------------------------------------------
cdef class ReshapeBackward(Node):
    """Gradient of view, reshape, squeeze, unsqueeze, flatten: the input's shape again."""
    cdef str label
    cdef tuple shape

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        cdef int64_t sh[64]
        cdef int nd = to_c(self.shape, sh)
        return reshape_view(<TensorBase>g, nd, sh)

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef int64_t sh[64]
        cdef int nd = to_c((n,) + self.shape, sh)
        return reshape_view(<TensorBase>g, nd, sh)


cdef TensorBase record_reshape(TensorBase v, TensorBase t, str label):
    cdef ReshapeBackward node
    track_view(v, t)
    if t.rg and grad_mode():
        node = ReshapeBackward.__new__(ReshapeBackward)
        node.label = label
        node.shape = shape_tuple(t)
        attach1(v, node, t)
    return v


cdef bint view_strides(TensorBase t, int nd, const int64_t *sh, int64_t *st) noexcept:
    """Strides that let t be seen in shape sh, or False. Walks both shapes from the inside, block by block."""
    cdef int64_t base, run = 1, got = 1
    cdef int v = nd - 1, d
    if t.n == 0:
        rt_contiguous_strides(nd, sh, st)
        return True
    if t.nd == 0:
        for d in range(nd):
            st[d] = 1
        return True
    base = t.st[t.nd - 1]
    for d in range(t.nd - 1, -1, -1):
        run *= t.sh[d]
        # the end of a block of dimensions that lie one after the other in memory
        if d == 0 or (t.sh[d - 1] != 1 and t.st[d - 1] != run * base):
            while v >= 0 and (got < run or sh[v] == 1):
                st[v] = got * base
                got *= sh[v]
                v -= 1
            if got != run:
                return False
            if d > 0:
                base = t.st[d - 1]
                run = 1
                got = 1
    return v == -1


cdef int infer_shape(object op, TensorBase t, int nd, int64_t *sh) except -1:
    """Fill in a -1."""
    cdef int i, hole = -1
    cdef int64_t n = 1
    for i in range(nd):
        if sh[i] == -1:
            if hole >= 0:
                raise ShapeError("only one dimension can be inferred", op=op)
            hole = i
        elif sh[i] < 0:
            raise ShapeError(f"invalid shape dimension {sh[i]}", op=op)
        else:
            n *= sh[i]
    if hole >= 0:
        if n == 0:
            raise ShapeError(f"cannot reshape tensor of 0 elements into shape {[sh[i] for i in range(nd)]} because the unspecified "
                             f"dimension size -1 can be any value and is ambiguous", op=op)
        if t.n % n:
            raise ShapeError(f"shape '{[sh[i] for i in range(nd)]}' is invalid for input of size {t.n}", op=op)
        sh[hole] = t.n // n
    elif n != t.n:
        raise ShapeError(f"shape '{[sh[i] for i in range(nd)]}' is invalid for input of size {t.n}", op=op)
    return 0


cdef TensorBase try_view(TensorBase t, int nd, const int64_t *sh):
    cdef int64_t st[64]
    if t.flags & F_CONTIG and (t.n == 0 or t.nd == 0 or t.st[t.nd - 1] == 1):     # a last dimension of size 1 hands its own stride on
        return record_reshape(view_raw(t, nd, sh, NULL, 0), t, "ViewBackward0")
    if not view_strides(t, nd, sh, st):
        return None
    return record_reshape(view_raw(t, nd, sh, st, 0), t, "ViewBackward0")


cdef TensorBase reshape_view(TensorBase t, int nd, const int64_t *sh):
    cdef TensorBase v = try_view(t, nd, sh)
    if v is None:
        v = try_view(contiguous(t), nd, sh)
    return v


def view(self, *size, dtype=None):
    """View the same memory in another shape, or, given a dtype, as that dtype.

    Raises:
        RuntimeError: the strides forbid it; use reshape.
    """
    cdef TensorBase t = as_base("view", "self", self), v
    cdef int64_t sh[64]
    cdef int nd
    if dtype is None and len(size) == 1 and hasattr(size[0], "is_floating_point") and hasattr(size[0], "itemsize") and not isinstance(size[0], TensorBase):
        dtype = size[0]
    if dtype is not None:
        return view_dtype(t, dtype)
    nd = parse_shape("view", size, sh)
    infer_shape("view", t, nd, sh)
    v = try_view(t, nd, sh)
    if v is None:
        raise ShapeError("view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
                         "contiguous subspaces). Use .reshape(...) instead.", op="view")
    return v


cdef TensorBase view_dtype(TensorBase t, object dtype):
    cdef int dt = dtype_code("view", dtype), old = rt_itemsize(t.dt), new = rt_itemsize(dt), i
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef TensorBase v
    for i in range(t.nd):
        sh[i] = t.sh[i]
        st[i] = t.st[i]
    if new != old:
        if t.nd == 0:
            raise ShapeError(f"self.dim() cannot be 0 to view a tensor of element size {old} as one of element size {new}")
        if t.st[t.nd - 1] != 1:
            raise ShapeError("self.stride(-1) must be 1 to view a tensor as a dtype of another element size")
        if new < old:
            for i in range(t.nd):
                st[i] = st[i] * (old // new)
            sh[t.nd - 1] = sh[t.nd - 1] * (old // new)
            st[t.nd - 1] = 1
        else:
            if sh[t.nd - 1] * old % new or storage_offset(t) * old % new:
                raise ShapeError(f"self.size(-1) and self.storage_offset() must be divisible by {new // old} to view as that dtype")
            for i in range(t.nd - 1):
                if st[i] * old % new:
                    raise ShapeError(f"self.stride({i}) must be divisible by {new // old} to view as that dtype")
                st[i] = st[i] * old // new
            sh[t.nd - 1] = sh[t.nd - 1] * old // new
    v = alias(t)
    v.dt = dt
    set_dims(v, t.nd, sh, st)
    return v


def reshape(input, *sizes, shape=None):
    """Return the elements in another shape: a view where possible, else a copy. One size may be -1."""
    cdef TensorBase t = as_base("reshape", "input", input)
    cdef int64_t sh[64]
    cdef int nd = parse_shape("reshape", sizes if shape is None else (*sizes, shape), sh)
    infer_shape("reshape", t, nd, sh)
    return reshape_view(t, nd, sh)


cdef TensorBase plain_shape(object op, PyObject *const *args, Py_ssize_t n, int64_t *sh, int *nd):
    """The tensor and the shape (-1 inferred) of a call with ints or one tuple of ints; None for any other."""
    cdef TensorBase t
    if n < 2 or not isinstance(<object>args[0], TensorBase):
        return None
    nd[0] = rt_plain_sizes(args + 1, n - 1, sh)
    if nd[0] < 0:
        return None
    t = <TensorBase><object>args[0]
    infer_shape(op, t, nd[0], sh)
    return t


cdef object plain_view(PyObject *const *args, Py_ssize_t n):
    cdef int64_t sh[16]
    cdef int nd
    cdef TensorBase t = plain_shape("view", args, n, sh, &nd)
    return None if t is None else try_view(t, nd, sh)              # None: `view` says why


cdef object plain_reshape(PyObject *const *args, Py_ssize_t n):
    cdef int64_t sh[16]
    cdef int nd
    cdef TensorBase t = plain_shape("reshape", args, n, sh, &nd)
    return None if t is None else reshape_view(t, nd, sh)


set_plain_call(view, plain_view)
set_plain_call(reshape, plain_reshape)


cdef object listed(object op, object name, object given):
    """Sizes of a function, which come in a tuple or list; a method takes them one by one, too."""
    if not isinstance(given, (tuple, list)):
        raise TensorTypeError(f"{op}(): argument '{name}' (position 2) must be tuple of ints, not {type(given).__name__}", op=op, argument=name)
    return given


def _reshape_fn(input, shape):
    """Return the elements in another shape: a view where possible, else a copy. One size may be -1."""
    return reshape(input, listed("reshape", "shape", shape))


def view_as(self, other):
    """View in the shape of ``other``."""
    return view(self, shape_tuple(as_base("view_as", "other", other)))


def reshape_as(self, other):
    """Reshape to the shape of ``other``."""
    return reshape(self, shape_tuple(as_base("reshape_as", "other", other)))


def flatten(input, start_dim=0, end_dim=-1):
    """Merge the dimensions start_dim..end_dim into one."""
    cdef TensorBase t = as_base("flatten", "input", input)
    cdef int a = wrap_dim("flatten", start_dim, t.nd), b = wrap_dim("flatten", end_dim, t.nd), i, j = 0
    cdef int64_t sh[64]
    if a > b:
        raise ShapeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if t.nd == 0:
        sh[0] = 1
        return reshape_view(t, 1, sh)
    if a == b:
        return t
    for i in range(t.nd):
        if i > a and i <= b:
            sh[j - 1] = sh[j - 1] * t.sh[i]
        else:
            sh[j] = t.sh[i]
            j += 1
    return reshape_view(t, j, sh)


def ravel(input):
    """Return a contiguous one-dimensional tensor of all elements."""
    cdef TensorBase t = as_base("ravel", "input", input)
    cdef int64_t sh[1]
    sh[0] = t.n
    return contiguous(reshape_view(t, 1, sh))


def unflatten(input, dim, sizes):
    """Split one dimension into several; one size may be -1."""
    cdef TensorBase t = as_base("unflatten", "input", input)
    cdef int d
    cdef tuple shape = shape_tuple(t)
    sizes = tuple(sizes)
    if not sizes:
        raise ShapeError("unflatten: sizes must be non-empty")
    if t.nd == 0:
        raise ShapeError(f"unflatten: Dimension specified as {dim} but tensor has no dimensions")
    d = wrap_dim("unflatten", dim, t.nd)
    if sizes.count(-1) > 1:
        raise ShapeError(f"unflatten: only one dimension can be inferred, got sizes {list(sizes)}")
    known = 1
    for s in sizes:
        if s != -1:
            known *= s
    if (-1 not in sizes and known != shape[d]) or (-1 in sizes and (known == 0 or shape[d] % known)):
        raise ShapeError(f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} ({shape[d]}) in the input tensor")
    return view(t, shape[:d] + tuple(shape[d] // known if s == -1 else s for s in sizes) + shape[d + 1:])


def squeeze(input, dim=None):
    """Drop dimensions of size 1: all, one, or those of a tuple."""
    cdef TensorBase t = as_base("squeeze", "input", input)
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i, j = 0
    cdef set drop
    if dim is None:
        drop = {i for i in range(t.nd)}
    elif isinstance(dim, (tuple, list)):
        drop = {wrap_dim("squeeze", d, t.nd) for d in dim}
    else:
        drop = {wrap_dim("squeeze", dim, t.nd)}
    for i in range(t.nd):
        if t.sh[i] == 1 and i in drop:
            continue
        sh[j] = t.sh[i]
        st[j] = t.st[i]
        j += 1
    return record_reshape(view_raw(t, j, sh, st, 0), t, "SqueezeBackward0" if dim is None else
                          "SqueezeBackward2" if isinstance(dim, (tuple, list)) else "SqueezeBackward1")


cdef TensorBase unsqueeze_view(TensorBase t, int dim):
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    for i in range(dim):
        sh[i] = t.sh[i]
        st[i] = t.st[i]
    sh[dim] = 1
    st[dim] = t.sh[dim] * t.st[dim] if dim < t.nd else 1
    for i in range(dim, t.nd):
        sh[i + 1] = t.sh[i]
        st[i + 1] = t.st[i]
    return record_reshape(view_raw(t, t.nd + 1, sh, st, 0), t, "UnsqueezeBackward0")


def unsqueeze(input, dim):
    """Insert a dimension of size 1 at ``dim``."""
    cdef TensorBase t = as_base("unsqueeze", "input", input)
    return unsqueeze_view(t, wrap_dim("unsqueeze", dim, t.nd + 1))


# in-place forms change only the geometry of the tensor itself
cdef TensorBase take_geometry(TensorBase t, TensorBase v):
    t.ptr = v.ptr
    set_dims(t, v.nd, v.sh, v.st)
    if v.fn is not None:
        if t.flags & F_RETAIN_GRAD and t.fn is not None and t.fn.extra is not None:    # PyTorch keeps the gradient of the old shape
            t.fn.extra.setdefault("retain_old", set()).add(t.out_nr)
        t.fn = v.fn
        t.out_nr = v.out_nr
    return t


def squeeze_(self, dim=None):
    """Drop dimensions of size 1 of the tensor itself."""
    return take_geometry(as_base("squeeze_", "self", self), squeeze(self, dim))


def unsqueeze_(self, dim):
    """Insert a dimension of size 1 in the tensor itself."""
    return take_geometry(as_base("unsqueeze_", "self", self), unsqueeze(self, dim))


# ---- permutations ------------------------------------------------------------------------------------------
cdef class PermuteBackward0(Node):
    cdef str label
    cdef list inverse

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        cdef int order[64]
        cdef int i
        for i in range(len(self.inverse)):
            order[i] = self.inverse[i]
        return permute_named(<TensorBase>g, order, self.label)

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef int order[64]
        cdef int i
        order[0] = 0
        for i in range(len(self.inverse)):
            order[i + 1] = self.inverse[i] + 1
        return permute_named(<TensorBase>g, order, self.label)


cdef TensorBase permute_named(TensorBase t, const int *order, str label):
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    cdef TensorBase v
    cdef PermuteBackward0 node
    for i in range(t.nd):
        sh[i] = t.sh[order[i]]
        st[i] = t.st[order[i]]
    v = view_raw(t, t.nd, sh, st, 0)
    track_view(v, t)
    if t.rg and grad_mode():
        node = PermuteBackward0.__new__(PermuteBackward0)
        node.label = label
        node.inverse = [0] * t.nd
        for i in range(t.nd):
            node.inverse[order[i]] = i
        attach1(v, node, t)
    return v


cdef TensorBase permute_view(TensorBase t, const int *order):
    return permute_named(t, order, "PermuteBackward0")


cdef TensorBase transpose_view(TensorBase t, int a, int b):
    cdef int order[64]
    cdef int i
    for i in range(t.nd):
        order[i] = i
    if t.nd:
        order[a] = b
        order[b] = a
    return permute_named(t, order, "TransposeBackward0")


cdef TensorBase transpose_last(TensorBase t, object op):
    if t.nd == 0:
        return alias_view(t)
    if t.nd < 2:
        raise ShapeError(f"tensor.{op} is only supported on matrices or batches of matrices. Got {t.nd}-D tensor.", op=op)
    return transpose_view(t, t.nd - 2, t.nd - 1)


cdef TensorBase t_reverse(TensorBase t):
    cdef int order[64]
    cdef int i
    for i in range(t.nd):
        order[i] = t.nd - 1 - i
    return permute_named(t, order, "PermuteBackward0")


def permute(input, *order_, dims=None):
    """Reorder the dimensions."""
    cdef TensorBase t = as_base("permute", "input", input)
    cdef int64_t want[64]
    cdef int order[64]
    cdef int nd = parse_shape("permute", order_ if dims is None else (*order_, dims), want), i, d
    cdef set seen = set()
    if nd != t.nd:
        raise ShapeError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering "
                         f"of dimensions i.e. input.dim() = {t.nd} is not equal to len(dims) = {nd}", op="permute")
    for i in range(nd):
        d = wrap_dim("permute", want[i], nd)
        if d in seen:
            raise ShapeError("permute(): duplicate dims are not allowed.", op="permute")
        seen.add(d)
        order[i] = d
    return permute_view(t, order)


def _permute_fn(input, dims):
    """Reorder the dimensions."""
    return permute(input, listed("permute", "dims", dims))


def transpose(input, dim0, dim1):
    """Swap two dimensions."""
    cdef TensorBase t = as_base("transpose", "input", input)
    return transpose_view(t, wrap_dim("transpose", dim0, t.nd), wrap_dim("transpose", dim1, t.nd))


def transpose_(self, dim0, dim1):
    """Swap two dimensions of the tensor itself."""
    return take_geometry(as_base("transpose_", "self", self), transpose(self, dim0, dim1))


def t(input):
    """Transpose a matrix; tensors of fewer dimensions come back as they are."""
    cdef TensorBase x = as_base("t", "input", input)
    cdef int order[2]
    if x.nd > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.nd}D", op="t")
    if x.nd < 2:
        return record_reshape(alias(x), x, "TBackward0")
    order[0], order[1] = 1, 0
    return permute_named(x, order, "TBackward0")


def t_(self):
    """Transpose the matrix itself."""
    return take_geometry(as_base("t_", "self", self), t(self))


cdef TensorBase alias_view(TensorBase x):
    return record_reshape(alias(x), x, "AliasBackward0")


def adjoint(input):
    """Conjugate transpose of the last two dimensions."""
    cdef TensorBase x = as_base("adjoint", "input", input)
    cdef object v = transpose_last(x, "adjoint")
    return v.conj() if rt_kind(x.dt) == RT_KIND_COMPLEX else v


cdef TensorBase move_one(TensorBase x, int source, int destination):
    """Dimension `source` becomes dimension `destination`; the rest keep their order."""
    cdef int order[64]
    cdef int i, at = 0
    for i in range(x.nd):
        if i != destination:
            at += at == source
            order[i] = at
            at += 1
        else:
            order[i] = source
    return permute_view(x, order)


def movedim(input, source, destination):
    """Move dimensions to other positions; the rest keep their order."""
    cdef TensorBase x = as_base("movedim", "input", input)
    cdef int order[64]
    cdef int i
    if type(source) is int and type(destination) is int:
        return move_one(x, wrap_dim("movedim", source, x.nd), wrap_dim("movedim", destination, x.nd))
    src = [source] if isinstance(source, int) else list(source)
    dst = [destination] if isinstance(destination, int) else list(destination)
    if isinstance(source, int) != isinstance(destination, int):
        raise TensorTypeError(f"movedim(): source and destination must both be int or both tuple of ints, got {type(source).__name__} and {type(destination).__name__}")
    if len(src) != len(dst):
        raise ShapeError(f"movedim: Invalid source or destination dims: source ({src} dims) should contain the same number of dims as "
                         f"destination ({dst} dims)")
    src = [wrap_dim("movedim", d, x.nd) for d in src]
    dst = [wrap_dim("movedim", d, x.nd) for d in dst]
    if len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise ShapeError("movedim: repeated dim in `source` or `destination`")
    rest = [d for d in range(x.nd) if d not in src]
    place = dict(zip(dst, src))
    for i in range(x.nd):
        order[i] = place[i] if i in place else rest.pop(0)
    return permute_view(x, order)


# ---- expand -----------------------------------------------------------------------
def expand(input, *size, implicit=False):
    """Repeat size-1 dimensions without copying; -1 keeps a size."""
    cdef TensorBase t = as_base("expand", "input", input)
    cdef int64_t sh[64]
    cdef int nd = parse_shape("expand", size, sh), i, shift = nd - t.nd
    if nd < t.nd:
        raise ShapeError(f"expand({list(shape_tuple(t))}, size={[sh[i] for i in range(nd)]}): the number of sizes provided ({nd}) must be "
                         f"greater or equal to the number of dimensions in the tensor ({t.nd})", op="expand")
    for i in range(nd):
        if sh[i] == -1:
            if i < shift:
                raise ShapeError(f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}", op="expand")
            sh[i] = t.sh[i - shift]
    return expand_to(t, nd, sh)


def expand_as(input, other):
    """Expand to the shape of ``other``."""
    return expand(input, shape_tuple(as_base("expand_as", "other", other)))


def broadcast_to(input, size):
    """Expand to ``size``."""
    return expand(input, size)


cdef bint all_alike(tuple tensors):
    """Whether all are tensors of one shape."""
    cdef object x
    for x in tensors:
        if not isinstance(x, TensorBase) or not same_shape(<TensorBase>x, <TensorBase>tensors[0]):
            return False
    return True


def broadcast_tensors(*tensors):
    """Expand tensors to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if all_alike(tensors):
        return tuple([expand_to(<TensorBase>x, (<TensorBase>x).nd, (<TensorBase>x).sh) for x in tensors])
    shape = common_shape(tuple([shape_tuple(as_base("broadcast_tensors", "tensors", x)) for x in tensors]))
    return tuple(expand(x, shape) for x in tensors)


def broadcast_shapes(*shapes):
    """Return the Size that tensors of these shapes broadcast to."""
    for shape in shapes:
        if not (isinstance(shape, int) or isinstance(shape, (tuple, list)) and all([isinstance(n, int) or hasattr(n, "__index__") for n in shape])):
            raise TensorTypeError(f"Input shapes should be of type ints, a tuple of ints, or a list of ints, got {shape}", op="broadcast_shapes")
    return expand(empty(0, NULL, RT_F32, 0), common_shape(shapes)).shape


cdef tuple common_shape(tuple shapes):
    cdef list sizes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes], out
    out = [1] * max([len(s) for s in sizes], default=0)
    for s in sizes:
        for i in range(-1, -1 - len(s), -1):
            if s[i] < 0:
                raise LengthError(f"Attempting to broadcast a dimension with negative length: ({s[i]})")
            if s[i] == 1 or s[i] == out[i]:
                continue
            if out[i] != 1:
                raise ShapeError("Shape mismatch: objects cannot be broadcast to a single shape")
            out[i] = s[i]
    return tuple(out)


FUNCTIONS = {"reshape": _reshape_fn, "flatten": flatten, "ravel": ravel, "unflatten": unflatten, "squeeze": squeeze, "unsqueeze": unsqueeze,
             "permute": _permute_fn, "transpose": transpose, "swapaxes": transpose, "swapdims": transpose, "t": t, "adjoint": adjoint,
             "movedim": movedim, "moveaxis": movedim, "broadcast_to": broadcast_to, "broadcast_tensors": broadcast_tensors,
             "broadcast_shapes": broadcast_shapes}
METHODS = {**{k: v for k, v in FUNCTIONS.items() if k not in ("broadcast_tensors", "broadcast_shapes")},
           "reshape": reshape, "permute": permute, "view": view, "view_as": view_as, "reshape_as": reshape_as, "expand": expand,
           "expand_as": expand_as, "squeeze_": squeeze_, "unsqueeze_": unsqueeze_, "transpose_": transpose_,
           "swapaxes_": transpose_, "swapdims_": transpose_, "t_": t_}
METHODS["broadcast_to"] = lambda self, *size: expand(self, *size)
