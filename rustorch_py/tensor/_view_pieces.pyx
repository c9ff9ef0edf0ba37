"""Views of a tensor's pieces: one index, a range, and all pieces at once, whose gradients are written into one tensor."""
from ._base cimport *
from ._dtype cimport dtype_of
from ._node cimport Node
from ._ops cimport copy_into
from ._index_kernels cimport copy_list
from ._plan cimport fill_value
from ._view cimport select_view, slice_view, to_c
from ._room import refuse_endless
from ..errors import DTypeError, DimError, IntOverflowError, ShapeError, TensorTypeError


def select(input, dim, index):
    """View one index of a dimension, which goes away."""
    cdef TensorBase t = as_base("select", "input", input)
    cdef int d
    cdef int64_t i = index
    if t.nd == 0:
        raise DimError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim("select", dim, t.nd)
    if i < -t.sh[d] or i >= t.sh[d]:
        raise DimError(f"select(): index {i} out of range for tensor of size {list(shape_tuple(t))} at dimension {d}", op="select")
    return select_view(t, d, i + t.sh[d] if i < 0 else i)


def narrow(input, dim, start, length):
    """View ``length`` indices of a dimension from ``start`` on."""
    cdef TensorBase t = as_base("narrow", "input", input)
    cdef int d
    cdef int64_t s = start, n = length
    if t.nd == 0:
        raise DimError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim("narrow", dim, t.nd)
    if n < 0:
        raise ShapeError("narrow(): length must be non-negative.")
    if s < -t.sh[d] or s > t.sh[d]:
        raise DimError(f"start out of range (expected to be in range of [{-t.sh[d]}, {t.sh[d]}], but got {s})")
    if s < 0:
        s += t.sh[d]
    if s + n > t.sh[d]:
        raise ShapeError(f"start ({s}) + length ({n}) exceeds dimension size ({t.sh[d]}).", op="narrow")
    return slice_view(t, d, s, n, 1)


cdef class PiecesBackward(Node):
    """Gradient of split and unbind: the pieces' gradients side by side, zeros where a piece got none."""
    cdef tuple shape
    cdef list sizes                       # of the pieces; None: unbind
    cdef int dim, dt, dev
    cdef str label

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        return self.joined(g, self.shape, self.dim)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.joined(g, (n,) + self.shape, self.dim + 1)

    cdef TensorBase joined(self, object g, tuple shape, int dim):
        cdef TensorBase z, part, v
        cdef int64_t sh[64]
        cdef int64_t at = 0, size
        cdef int nd = to_c(shape, sh), i
        cdef list to = [], source = []
        z = empty(nd, sh, self.dt, self.dev)
        for i in range(self.n_outputs):
            part = g[i] if self.n_outputs > 1 else g
            size = 1 if self.sizes is None else self.sizes[i]
            v = select_view(z, dim, i) if self.sizes is None else slice_view(z, dim, at, size, 1)
            at += size
            if part is None:
                fill_value(v, 0)
            elif part.rg and grad_mode():
                copy_into(v, part)
            else:
                to.append(v)
                source.append(part)
        if to:
            copy_list(to, source)
        return z


cdef tuple pieces(TensorBase t, int d, list sizes, str label):
    """Views of pieces next to each other, of these sizes; with `sizes` None of single indices, whose dimension goes away.

    All are outputs of one node. They are marked: PyTorch refuses writes into them while gradients are recorded.
    """
    cdef list out = []
    cdef int64_t at = 0, size
    cdef int i
    cdef bint record = t.rg and grad_mode()
    cdef PiecesBackward node
    if record:
        set_grad_mode(False)
    try:
        if sizes is None:
            out = [select_view(t, d, i) for i in range(t.sh[d])]
        else:
            for size in sizes:
                out.append(slice_view(t, d, at, size, 1))
                at += size
    finally:
        if record:
            set_grad_mode(True)
    if record and out:
        node = PiecesBackward.__new__(PiecesBackward)
        node.shape, node.sizes, node.dim, node.dt, node.dev, node.label = shape_tuple(t), sizes, d, t.dt, t.dev, label
        attach_outputs(out, node, (t,))
        for v in out:
            (<TensorBase>v).flags |= F_MULTI
    return tuple(out)


def untracked(views):
    """Forget that the pieces are views: each may be written, the memory stays shared (unsafe_split and its kind)."""
    cdef TensorBase v
    for v in views:
        v.base = None
        v.flags &= ~F_MULTI
    return views


cdef list lengths_of(object sections):
    """The lengths of pieces: a tuple or list of ints, and nothing else, as in PyTorch."""
    cdef list found = []
    if not isinstance(sections, (tuple, list)):
        raise TensorTypeError(f"split(): argument 'split_sizes' must be tuple of ints, not {type(sections).__name__}", op="split")
    for i, item in enumerate(sections):
        if isinstance(item, (bool, float)) or not hasattr(item, "__index__") or isinstance(item, TensorBase) and rt_kind((<TensorBase>item).dt) != RT_KIND_INT:
            raise TensorTypeError(f"split(): argument 'split_sizes' must be tuple of ints, but found element of type {type(item).__name__} at pos {i}", op="split")
        found.append(item.__index__())
    return found


def split(tensor, split_size_or_sections, dim=0):
    """View the pieces of a dimension: pieces of one size (the last may be smaller), or of the listed sizes."""
    cdef TensorBase t = as_base("split", "tensor", tensor)
    cdef int d = wrap_dim("split", dim, t.nd)
    cdef int64_t at = 0, size
    cdef list sizes = []
    if t.nd == 0:
        raise ShapeError("split expects at least a 1-dimensional tensor")
    if isinstance(split_size_or_sections, TensorBase) and (<TensorBase>split_size_or_sections).n == 1:
        split_size_or_sections = int(split_size_or_sections)
    if isinstance(split_size_or_sections, int) and not isinstance(split_size_or_sections, bool):
        if not -1 << 63 <= split_size_or_sections < 1 << 63:
            raise IntOverflowError(f"split: Overflow when unpacking long long: {split_size_or_sections} does not fit 64 bits", op="split")
        size = split_size_or_sections
        if size < 0:
            raise ShapeError(f"split expects split_size be non-negative, but got split_size={size}")
        if size == 0:
            if t.sh[d]:
                raise ShapeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {t.sh[d]}")
            return pieces(t, d, [0], "SplitBackward0")
        while at < t.sh[d] or not sizes:
            sizes.append(min(size, t.sh[d] - at))
            at += size
        return pieces(t, d, sizes, "SplitBackward0")
    sizes = lengths_of(split_size_or_sections)
    if sum(sizes) != t.sh[d] or any(s < 0 for s in sizes):
        raise ShapeError(f"split_with_sizes expects split_sizes to sum exactly to {t.sh[d]} (input tensor's size at dimension {d}), but got "
                         f"split_sizes={sizes}")
    return pieces(t, d, sizes, "SplitWithSizesBackward0")


def split_method(self, split_size, dim=0):
    """View the pieces of a dimension: pieces of one size (the last may be smaller), or of the listed sizes."""
    return split(self, split_size, dim)


def split_with_sizes(input, split_sizes, dim=0):
    """View the pieces of a dimension, of the listed sizes."""
    return split(input, split_sizes if isinstance(split_sizes, (tuple, list)) else lengths_of(split_sizes), dim)


def chunk(input, chunks, dim=0):
    """View a dimension in ``chunks`` pieces of equal size, the last perhaps smaller."""
    cdef TensorBase t = as_base("chunk", "input", input)
    cdef int d = wrap_dim("chunk", dim, t.nd)
    if chunks <= 0:
        raise ShapeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    if t.nd == 0:
        raise ShapeError("chunk expects at least a 1-dimensional tensor")
    size = (t.sh[d] + chunks - 1) // chunks
    if size == 0:
        return pieces(t, d, [0] * chunks, "SplitBackward0")
    return split(t, size, d)


def tensor_split(input, indices_or_sections, dim=0):
    """Split at indices, or into a number of nearly equal pieces."""
    cdef TensorBase t = as_base("tensor_split", "input", input)
    cdef int d
    cdef int64_t k
    if t.nd == 0:
        raise ShapeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = wrap_dim("tensor_split", dim, t.nd)
    if isinstance(indices_or_sections, TensorBase):
        if (<TensorBase>indices_or_sections).dt != RT_I64 or (<TensorBase>indices_or_sections).nd > 1:
            raise DTypeError(f"tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor of int64, but got "
                             f"{(<TensorBase>indices_or_sections).nd} dims of {dtype_of((<TensorBase>indices_or_sections).dt)}", op="tensor_split")
        indices_or_sections = indices_or_sections.tolist()
    n = t.sh[d]
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        if k <= 0:
            raise ShapeError(f"number of sections must be larger than 0, got {k}")
        if k > 1 << 20:
            refuse_endless("tensor_split", "sections", k, 200)
        sizes = [n // k + (i < n % k) for i in range(k)]
        bounds = [0]
        for s in sizes:
            bounds.append(bounds[-1] + s)
    else:
        bounds = [0] + [min(max(i + n if i < 0 else i, 0), n) for i in indices_or_sections] + [n]
    return tuple(slice_view(t, d, a, max(b - a, 0), 1) for a, b in zip(bounds[:-1], bounds[1:]))


def hsplit(input, indices_or_sections):
    """Split along dimension 1 (0 for vectors)."""
    cdef TensorBase t = as_base("hsplit", "input", input)
    return checked_split("hsplit", t, indices_or_sections, 0 if t.nd == 1 else 1, 1)


def vsplit(input, indices_or_sections):
    """Split along dimension 0."""
    return checked_split("vsplit", as_base("vsplit", "input", input), indices_or_sections, 0, 2)


def dsplit(input, indices_or_sections):
    """Split along dimension 2."""
    return checked_split("dsplit", as_base("dsplit", "input", input), indices_or_sections, 2, 3)


cdef object checked_split(str op, TensorBase t, object where_, int d, int least):
    if t.nd < least:
        raise ShapeError(f"torch.{op} requires a tensor with at least {least} dimension, but got a tensor with {t.nd} dimensions!")
    if isinstance(where_, int) and (where_ <= 0 or t.sh[d] % where_):
        raise ShapeError(f"torch.{op} attempted to split along dimension {d}, but the size of the dimension {t.sh[d]} is not divisible by "
                         f"the split_size {where_}!")
    return tensor_split(t, where_, d)


def unbind(input, dim=0):
    """Return views of all indices of a dimension, which goes away."""
    cdef TensorBase t = as_base("unbind", "input", input)
    cdef int d = wrap_dim("unbind", dim, t.nd)
    if t.nd == 0:
        raise DimError("Dimension specified as 0 but tensor has no dimensions")
    return pieces(t, d, None, "UnbindBackward0")


FUNCTIONS = {"select": select, "narrow": narrow, "split": split, "split_with_sizes": split_with_sizes, "chunk": chunk,
             "tensor_split": tensor_split, "hsplit": hsplit, "vsplit": vsplit, "dsplit": dsplit, "unbind": unbind}
METHODS = {**FUNCTIONS, "split": split_method}
