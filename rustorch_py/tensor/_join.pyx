"""Joining: cat, stack, repeat."""
from libc.stdint cimport int64_t, uint8_t
from cpython.object cimport PyObject
from cpython.long cimport PyLong_CheckExact
from libc.string cimport memcpy
from ._node cimport Node
from ._base cimport *
from ._plan cimport cast_raw, contiguous_raw, full_, result_dtype_list
from ._ops cimport cast, contiguous, sum_mask, deliver, alloc_out
from ._neural cimport empty_in_order, suggests_last
from ._view cimport select_view, slice_view, unsqueeze_view, reshape_view
from ._index_kernels cimport cat_slab, copy_geometry, copy_list, on_device, need_same, repeat_slab, sizes
from ._function cimport set_plain_call
from ._devices import has_kernel, run as run_on_device
from . import _scatter, _sort, _view
from ..errors import AutogradError, DTypeError, DeviceError, ShapeError, TensorTypeError, TensorValueError


# ---- cat and stack -----------------------------------------------------------------------------------------
cdef tuple tensor_list(str op, object tensors):
    cdef tuple out
    cdef Py_ssize_t i
    if isinstance(tensors, TensorBase):
        raise TensorTypeError(f"{op}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor", op=op)
    try:
        out = tuple(tensors)
    except TypeError:
        raise TensorTypeError(f"{op}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}", op=op) from None
    for i in range(len(out)):
        if not isinstance(out[i], TensorBase):
            raise TensorTypeError(f"expected Tensor as element {i} in argument 0, but got {type(out[i]).__name__}", op=op)
    return out


cdef bint any_grad(tuple tensors):
    cdef object t
    if not grad_mode():
        return False
    for t in tensors:
        if (<TensorBase>t).rg:
            return True
    return False


cdef class CatBackward0(Node):
    """Gradient of cat: each input gets its part."""
    cdef int dim
    cdef list widths, dtypes     # along dim; -1: a skipped empty input

    cdef object apply(self, object g):
        return self.parts(<TensorBase>g, -1)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.parts(<TensorBase>g, n)

    cdef object parts(self, TensorBase gt, Py_ssize_t n):
        cdef list out = []
        cdef int i, dim = self.dim + (n >= 0)
        cdef int64_t at = 0, width
        cdef int64_t none[2]
        none[0], none[1] = n if n >= 0 else 0, 0
        for i in range(self.n_edges):
            width = self.widths[i]
            if width < 0:
                out.append(empty(1 if n < 0 else 2, none, self.dtypes[i], gt.dev) if wants_edge(self, i) else None)
                continue
            out.append(cast(slice_view(gt, dim, at, width, 1), self.dtypes[i]) if wants_edge(self, i) else None)
            at += width
        return out[0] if self.n_edges == 1 else tuple(out)


cdef bint joined_there(TensorBase r, tuple tensors, int dim) except -1:
    """Let a device's kernel lay several tensors side by side at once; False: they are not that many, or not contiguous and of r's dtype."""
    cdef TensorBase t
    cdef object x
    if len(tensors) < 3 or RT_DEVICE_TYPE(r.dev) == RT_CPU or r.n == 0 or not is_contig(r):
        return False
    for x in tensors:
        t = <TensorBase>x
        if t.dt != r.dt or not is_contig(t):
            return False
    if not has_kernel("join", r):
        return False
    run_on_device("join", r, [x for x in tensors if (<TensorBase>x).n], dim)
    return True


cdef bint skipped(TensorBase t) noexcept:
    return t.nd == 1 and t.sh[0] == 0


cdef TensorBase cat_list(tuple tensors, object dim, object out):
    cdef int64_t sh[64]
    cdef int i, j, d, nd = -1, dt, count = <int>len(tensors)
    cdef TensorBase t, first = None, r
    cdef CatBackward0 node
    cdef bint last
    cdef int64_t at = 0
    if count == 0:
        raise TensorValueError("torch.cat(): expected a non-empty list of Tensors", op="cat")
    for i in range(count):
        t = <TensorBase>tensors[i]
        if t.nd == 0:
            raise ShapeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated", op="cat")
        if first is None and not skipped(t):
            first = t
    if first is None:
        first = <TensorBase>tensors[0]
    nd = first.nd
    d = 0 if skipped(first) else wrap_dim("cat", dim, nd)       # PyTorch does not look at dim when every tensor is skipped
    dt = (<TensorBase>tensors[0]).dt if count == 1 else first.dt
    for i in range(count):
        if (<TensorBase>tensors[i]).dt != dt:
            dt = result_dtype_list(list(tensors))
            break
    memcpy(sh, first.sh, nd * sizeof(int64_t))
    sh[d] = 0
    for i in range(count):
        t = <TensorBase>tensors[i]
        if skipped(t) and nd != 1:
            continue
        if t.dev != first.dev:
            raise DeviceError(f"cat: expected all tensors to be on the same device, but tensor number {i} is on another", op="cat")
        if t.nd != nd:
            raise ShapeError(f"Tensors must have same number of dimensions: got {nd} and {t.nd}", op="cat")
        for j in range(nd):
            if j != d and t.sh[j] != sh[j]:
                raise ShapeError(f"Sizes of tensors must match except in dimension {d}. Expected size {sh[j]} but got size {t.sh[j]} for "
                                 f"tensor number {i} in the list.", op="cat")
        sh[d] += t.sh[d]
    if out is not None:
        if any_grad(tensors):
            raise AutogradError("cat(): functions with out=... arguments don't support automatic differentiation, but one of the "
                                "arguments requires grad.", op="cat")
        for i in range(count):
            if (<TensorBase>tensors[i]).stor is (<TensorBase?>out).stor:      # also covers out among the inputs
                r = cat_list(tensors, dim, None)
                return <TensorBase>deliver("cat", r, out)
    last = out is None and (nd == 4 or nd == 5)
    for i in range(count):
        last = last and suggests_last(<TensorBase>tensors[i])
    r = empty_in_order(nd, sh, dt, first.dev, True) if last else alloc_out("cat", out, nd, sh, dt, first.dev)
    cdef list to = [], source = []
    cdef bint done = joined_there(r, tensors, d)
    for i in range(0 if done else count):
        t = <TensorBase>tensors[i]
        if skipped(t) and nd != 1 or t.n == 0:
            continue
        if t.dt == r.dt and is_contig(t) and is_contig(r) and RT_DEVICE_TYPE(r.dev) == RT_CPU:
            cat_slab(r, at, t, d)
        else:
            sh[d] = t.sh[d]
            to.append(view_raw(r, nd, sh, r.st, at * r.st[d]))
            source.append(t)
        at += t.sh[d]
    if to:
        copy_list(to, source)
    if out is not None:
        bump(r)
        return r
    if any_grad(tensors):
        node = CatBackward0.__new__(CatBackward0)
        node.dim = d
        node.widths = [-1 if skipped(<TensorBase>x) and nd != 1 else (<TensorBase>x).sh[d] for x in tensors]
        node.dtypes = [(<TensorBase>x).dt for x in tensors]
        attach(r, node, tensors)
    return r


def cat(tensors, dim=0, *, out=None):
    """Join tensors along an existing dimension; other sizes must agree, dtypes are promoted.

    Args:
        tensors: sequence of tensors; empty 1-d tensors are skipped.
    """
    return cat_list(tensor_list("cat", tensors), dim, out)


cdef object plain_cat(PyObject *const *args, Py_ssize_t n):
    """Of contiguous tensors of one dtype in this memory, where nothing is recorded."""
    cdef tuple tensors
    cdef TensorBase t, first, r
    cdef int64_t sh[4]
    cdef int64_t at = 0
    cdef int i, j, d = 0, count
    cdef bint recorded = grad_mode()
    if n < 1 or n > 2 or not (isinstance(<object>args[0], list) or isinstance(<object>args[0], tuple)):
        return None
    tensors = tuple(<object>args[0])
    count = <int>len(tensors)
    if count == 0 or not isinstance(tensors[0], TensorBase):
        return None
    first = <TensorBase>tensors[0]
    if first.nd < 1 or first.nd > 3 or RT_DEVICE_TYPE(first.dev) != RT_CPU or first.dt >= RT_NLOOPED or skipped(first):
        return None
    if n == 2:
        if not PyLong_CheckExact(<object>args[1]):
            return None
        d = wrap_dim("cat", <object>args[1], first.nd)
    memcpy(sh, first.sh, first.nd * sizeof(int64_t))
    sh[d] = 0
    for i in range(count):
        if not isinstance(tensors[i], TensorBase):
            return None
        t = <TensorBase>tensors[i]
        if t.dt != first.dt or t.nd != first.nd or t.dev != first.dev or recorded and t.rg or not is_contig(t):
            return None
        for j in range(t.nd):
            if j != d and t.sh[j] != sh[j]:
                return None
        sh[d] += t.sh[d]
    r = empty(first.nd, sh, first.dt, first.dev)
    for i in range(count):
        cat_slab(r, at, <TensorBase>tensors[i], d)
        at += (<TensorBase>tensors[i]).sh[d]
    return r


set_plain_call(cat, plain_cat)


def concat(tensors, dim=0, *, out=None):
    """Join tensors along an existing dimension; see `cat`."""
    return cat_list(tensor_list("concat", tensors), dim, out)


def concatenate(tensors, dim=0, *, axis=None, out=None):
    """Join tensors along an existing dimension; see `cat`."""
    return cat_list(tensor_list("concatenate", tensors), dim if axis is None else axis, out)


cdef class StackBackward0(Node):
    """Gradient of stack: each input gets its slice."""
    cdef int dim
    cdef list dtypes

    cdef object apply(self, object g):
        return self.parts(<TensorBase>g, self.dim)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.parts(<TensorBase>g, self.dim + 1)

    cdef object parts(self, TensorBase g, int dim):
        cdef int i
        cdef list out = []
        for i in range(self.n_edges):
            out.append(cast(select_view(g, dim, i), self.dtypes[i]) if wants_edge(self, i) else None)
        return out[0] if self.n_edges == 1 else tuple(out)


def stack(tensors, dim=0, *, out=None):
    """Join tensors of one shape along a new dimension."""
    cdef tuple items = tensor_list("stack", tensors)
    cdef int64_t sh[64]
    cdef int64_t one[64]
    cdef int64_t st[64]
    cdef int i, j, d, dt, count = <int>len(items)
    cdef int64_t long_[64]
    cdef bint last
    cdef TensorBase t, first, r = None
    cdef StackBackward0 node
    if count == 0:
        raise TensorValueError("stack expects a non-empty TensorList", op="stack")
    first = <TensorBase>items[0]
    d = wrap_dim("stack", dim, first.nd + 1)
    dt = first.dt
    for i in range(1, count):
        t = <TensorBase>items[i]
        if not same_shape(t, first):
            raise ShapeError(f"stack expects each tensor to be equal size, but got {sizes(first)} at entry 0 and {sizes(t)} at entry {i}",
                             op="stack")
        if t.dev != first.dev:
            raise DeviceError(f"stack: expected all tensors to be on the same device, but tensor number {i} is on another", op="stack")
        if t.dt != dt:
            dt = result_dtype_list(list(items))
    j = 0
    for i in range(first.nd + 1):
        if i == d:
            sh[i], one[i] = count, 1
        else:
            sh[i] = one[i] = first.sh[j]
            j += 1
    if out is not None:
        return deliver("stack", cat_list(tuple([unsqueeze_view(<TensorBase>x, d) for x in items]), d, None), out)
    if d < first.nd and (first.nd == 4 or first.nd == 5):                          # channels innermost if they all lie so, as cat would
        last = True
        for i in range(count):
            last = last and suggests_last(<TensorBase>items[i])
        if last:
            memcpy(long_, first.sh, first.nd * sizeof(int64_t))
            long_[d] *= count
            r = empty_in_order(first.nd, long_, dt, first.dev, True)
            memcpy(st, r.st, d * sizeof(int64_t))
            memcpy(st + d + 1, r.st + d, (first.nd - d) * sizeof(int64_t))
            st[d] = first.sh[d] * r.st[d]
            r = view_raw(r, first.nd + 1, sh, st, 0)
    if r is None:
        r = empty(first.nd + 1, sh, dt, first.dev)
    cdef list to = [], source = []
    cdef bint done = joined_there(r, items, d)
    for i in range(0 if done else count):
        t = <TensorBase>items[i]
        if t.n == 0:
            continue
        if t.dt == dt and is_contig(t) and is_contig(r) and RT_DEVICE_TYPE(r.dev) == RT_CPU:
            cat_slab(r, i, view_raw(t, r.nd, one, NULL, 0), d)
        else:
            j = 0
            for k in range(t.nd + 1):
                if k != d:
                    st[j] = r.st[k]
                    j += 1
            to.append(view_raw(r, t.nd, t.sh, st, i * r.st[d]))
            source.append(t)
    if to:
        copy_list(to, source)
    if any_grad(items):
        node = StackBackward0.__new__(StackBackward0)
        node.dim = d
        node.dtypes = [(<TensorBase>x).dt for x in items]
        attach(r, node, items)
    return r


# ---- at least n dimensions, and the stacks along fixed dimensions ---------------------------------------------
cdef TensorBase raise_dims(TensorBase t, int nd):
    cdef int64_t[3] ones = [1, 1, 1]
    if t.nd >= nd:
        return t
    if t.nd == 0:
        return reshape_view(t, nd, ones)
    if t.nd == 1:
        t = unsqueeze_view(t, 0)
    return unsqueeze_view(t, 2) if nd == 3 and t.nd == 2 else t


cdef object at_least(str op, tuple tensors, int nd):
    if len(tensors) == 1:
        if isinstance(tensors[0], TensorBase):
            return raise_dims(<TensorBase>tensors[0], nd)
        return tuple([raise_dims(as_base(op, "tensors", t), nd) for t in tensors[0]])
    return tuple([raise_dims(as_base(op, "tensors", t), nd) for t in tensors])


def atleast_1d(*tensors):
    """View tensors with at least one dimension."""
    return at_least("atleast_1d", tensors, 1)


def atleast_2d(*tensors):
    """View tensors with at least two dimensions."""
    return at_least("atleast_2d", tensors, 2)


def atleast_3d(*tensors):
    """View tensors with at least three dimensions."""
    return at_least("atleast_3d", tensors, 3)


cdef tuple stackable(str op, object tensors, int nd):
    cdef tuple items = tensor_list(op, tensors)
    if not items:
        raise TensorValueError(f"{op} expects a non-empty TensorList", op=op)
    return tuple([raise_dims(<TensorBase>t, nd) for t in items])


def hstack(tensors, *, out=None):
    """Join tensors side by side: along dimension 1, or 0 for 1-d tensors."""
    cdef tuple items = stackable("hstack", tensors, 1)
    return cat_list(items, 0 if (<TensorBase>items[0]).nd == 1 else 1, out)


def vstack(tensors, *, out=None):
    """Join tensors as rows, along dimension 0."""
    return cat_list(stackable("vstack", tensors, 2), 0, out)


def dstack(tensors, *, out=None):
    """Join tensors in depth, along dimension 2."""
    return cat_list(stackable("dstack", tensors, 3), 2, out)


def column_stack(tensors, *, out=None):
    """Join tensors side by side, 1-d tensors as columns."""
    cdef tuple items = tensor_list("column_stack", tensors)
    if not items:
        raise TensorValueError("column_stack expects a non-empty TensorList", op="column_stack")
    return cat_list(tuple([_view.reshape(t, ((<TensorBase>t).n, 1)) if (<TensorBase>t).nd <= 1 else t for t in items]), 1, out)


# ---- repeat ----------------------------------------------------------------------------------------------------
cdef class RepeatBackward0(Node):
    """Gradient of repeat: the sum over all copies."""
    cdef tuple repeats, shape

    cdef object apply(self, object g):
        return self.add_copies(<TensorBase>g, -1)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.add_copies(<TensorBase>g, n)

    cdef TensorBase add_copies(self, TensorBase gt, Py_ssize_t many):
        cdef int64_t sh[64]
        cdef uint8_t mask[64]
        cdef int i, k = many >= 0, n = <int>len(self.repeats), lead = n - <int>len(self.shape)
        sh[0], mask[0] = many, 0
        if gt.n == 0:
            for i in range(len(self.shape)):
                sh[k + i] = self.shape[i]
            return full_(k + <int>len(self.shape), sh, 0, gt.dt, gt.dev)
        for i in range(n):
            if self.repeats[i] != 1 or i < lead:
                sh[k], mask[k] = self.repeats[i], 1
                k += 1
            if i >= lead:
                sh[k], mask[k] = self.shape[i - lead], 0
                k += 1
        return sum_mask(reshape_view(contiguous(gt), k, sh), mask, False)


cdef TensorBase repeat_(TensorBase t, tuple repeats):
    cdef int64_t sh[64]
    cdef int64_t wide[64]
    cdef int64_t steps[64]
    cdef int64_t st[64]
    cdef int i, k = 0, n = <int>len(repeats), lead = n - t.nd
    cdef int64_t r, size
    cdef TensorBase out
    cdef RepeatBackward0 node
    if lead < 0:
        raise ShapeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor", op="repeat")
    if n > RT_MAX_DIM:
        raise ShapeError(f"repeat: at most {RT_MAX_DIM} dimensions, got {n}", op="repeat")
    for i in range(n):
        r = repeats[i]
        if r < 0:
            raise ShapeError(f"Trying to create tensor with negative dimension {r}: {list(repeats)}", op="repeat")
        size = t.sh[i - lead] if i >= lead else 1
        if <double>r * <double>size > 2.0 ** 62:
            raise ShapeError(f"repeat: no tensor has a dimension of {<object>r * size} elements, as {list(repeats)} copies ask for", op="repeat")
        sh[i] = r * size
    out = empty(n, sh, t.dt, t.dev)
    if out.n:
        for i in range(n):                                 # each dimension seen as (copies, size)
            r, size = repeats[i], t.sh[i - lead] if i >= lead else 1
            if r != 1 and size != 1:
                wide[k], steps[k], st[k] = r, 0, out.st[i] * size
                k += 1
                wide[k], steps[k], st[k] = size, t.st[i - lead], out.st[i]
            elif r != 1:
                wide[k], steps[k], st[k] = r, 0, out.st[i]
            else:
                wide[k], st[k] = size, out.st[i]
                steps[k] = t.st[i - lead] if i >= lead else 0
            k += 1
            if k > 62:
                raise ShapeError("repeat: too many repeated dimensions", op="repeat")
        copy_geometry(view_raw(out, k, wide, st, 0), t, 0, steps)
    if t.rg and grad_mode():
        node = RepeatBackward0.__new__(RepeatBackward0)
        node.repeats, node.shape = repeats, shape_tuple(t)
        attach1(out, node, t)
    return out


cdef tuple int_tuple(str op, str arg, tuple args):
    """Ints given one by one or as one sequence."""
    cdef object seq = args
    if len(args) == 1 and not hasattr(args[0], "__index__"):
        seq = args[0]
    try:
        return tuple([x.__index__() for x in seq])
    except (TypeError, AttributeError):
        raise TensorTypeError(f"{op}(): argument '{arg}' must be tuple of ints, not {type(seq).__name__}", op=op) from None


def repeat(self, *args, repeats=None):
    """Return copies of the tensor laid side by side, repeats[i] times along dimension i (ints one by one, or a sequence)."""
    return repeat_(as_base("repeat", "self", self), repeat_counts("repeat", "repeats", args if repeats is None else (repeats,)))


cdef tuple repeat_counts(str op, str arg, tuple repeats):
    if not repeats:
        raise TensorTypeError(f"{op}() missing 1 required positional arguments: \"{arg}\"", op=op)
    if len(repeats) == 1 and not isinstance(repeats[0], int) and not isinstance(repeats[0], TensorBase):
        return int_tuple(op, arg, (tuple(repeats[0]),))
    return tuple([x.__index__() for x in repeats])


cdef TensorBase tile_(TensorBase t, tuple dims):
    return repeat_(t, (1,) * (t.nd - len(dims)) + dims)


def tile(input, dims):
    """Return copies of input laid side by side; fewer dims than input's are padded with ones in front."""
    return tile_(as_base("tile", "input", input), int_tuple("tile", "dims", (dims,) if isinstance(dims, int) else (tuple(dims),)))


def tile_method(self, *args, dims=None):
    """Return copies of the tensor laid side by side; see `tile`."""
    return tile_(as_base("tile", "self", self), repeat_counts("tile", "dims", args if dims is None else (dims,)))


def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Repeat each element (or slice along `dim`); with one argument return the index that does it.

    Args:
        repeats: an int, or a 1-d integer tensor with one count for each slice.
        dim: dimension to repeat along; the flattened input without it.
        output_size: the length of the result, when the caller knows it; checked.
    """
    cdef TensorBase t = as_base("repeat_interleave", "input", input), r, index
    cdef int64_t i, j, n, total = 0, count
    cdef int64_t sh[64]
    cdef int64_t *to
    cdef bint alone = repeats is None
    cdef int d = 0
    if alone:
        r = t
        if r.nd != 1:
            raise TensorTypeError("repeat_interleave only accept 1D vector as repeat", op="repeat_interleave")
    elif isinstance(repeats, TensorBase):
        r = <TensorBase>repeats
    else:
        n = repeats
        r = full_(0, NULL, n, RT_I64, t.dev)
    if r.dt != RT_I64 and r.dt != RT_I32:
        raise DTypeError("repeats has to be Long or Int tensor", op="repeat_interleave")
    if not alone:
        if dim is None:
            t = reshape_view(t, 1, &t.n)
        else:
            d = wrap_dim("repeat_interleave", dim, t.nd)
        if t.nd == 0:
            t = unsqueeze_view(t, 0)
        n = t.sh[d]
        if r.nd > 1:
            raise ShapeError("repeats must be 0-dim or 1-dim tensor", op="repeat_interleave")
        if r.n != 1 and r.n != n:
            raise ShapeError(f"repeats must have the same size as input along dim, but got repeats.size(0) = {r.n} and input.size({d}) = {n}",
                             op="repeat_interleave")
    else:
        n = r.n
    if not alone:
        need_same("repeat_interleave", t, r)
    r = contiguous_raw(cast_raw(r, RT_I64))
    if on_device(r):
        index = repeated_places(r, n, output_size, None if alone else repeats)
        return cast_raw(index, (<TensorBase>input).dt) if alone else _scatter.index_select(t, d, index)
    for i in range(n):
        count = (<int64_t *>r.ptr)[i if r.n != 1 else 0]
        if count < 0:
            raise ShapeError("repeats can not be negative", op="repeat_interleave")
        total += count
    if output_size is not None and output_size != total:
        raise ShapeError("repeat_interleave: Invalid output_size, please make sure it matches the sum of repeats", op="repeat_interleave")
    if not alone and r.n == 1 and total and not (t.rg and grad_mode()):
        memcpy(sh, t.sh, t.nd * sizeof(int64_t))
        sh[d] = total
        index = empty(t.nd, sh, t.dt, t.dev)
        if index.n:
            repeat_slab(index, contiguous_raw(t), d, total // n)
        return index
    index = empty(1, &total, RT_I64, RT_CPU)
    to = <int64_t *>index.ptr
    for i in range(n):
        for j in range((<int64_t *>r.ptr)[i if r.n != 1 else 0]):
            to[0] = i
            to += 1
    if alone:
        return cast_raw(index, (<TensorBase>input).dt)
    return _scatter.index_select(t, d, index)


cdef TensorBase repeated_places(TensorBase counts, int64_t n, object output_size, object repeats):
    """repeat_interleave's index on a device: place j belongs to the first element whose running count is past j."""
    c = <object>counts
    if isinstance(repeats, int):                           # known here: nothing to wait for
        total = n * repeats
        if repeats < 0:
            raise ShapeError("repeats can not be negative", op="repeat_interleave")
    else:
        if n and bool((c < 0).any()):
            raise ShapeError("repeats can not be negative", op="repeat_interleave")
        total = c.sum().item() * (n if counts.n == 1 and n != 1 else 1)
    if output_size is not None and output_size != total:
        raise ShapeError("repeat_interleave: Invalid output_size, please make sure it matches the sum of repeats", op="repeat_interleave")
    places = c.new_ones(total).cumsum(0) - 1
    if counts.n == 1:
        return <TensorBase?>places.div(c.reshape(()), rounding_mode="floor")
    return <TensorBase?>_sort.searchsorted(c.cumsum(0), places, right=True)


FUNCTIONS = {f.__name__: f for f in (
    cat, concat, concatenate, stack, atleast_1d, atleast_2d, atleast_3d, hstack, vstack, dstack, column_stack, tile, repeat_interleave)}
FUNCTIONS["row_stack"] = vstack
METHODS = {"repeat_interleave": repeat_interleave, "repeat": repeat, "tile": tile_method}
