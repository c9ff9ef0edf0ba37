"""Indexing: basic (views) and advanced (index and index_put).

A key is resolved in one pass into the geometry of one view (`Basic`) and a list of index tensors
for the view's dimensions; what remains after the view is `index` or `index_put_`. As in PyTorch,
Python integers are part of the view, and index tensors that stand next to each other put their
common shape in their place, else in front.
"""
from libc.stdint cimport int64_t, int32_t, uint8_t
from libc.stdlib cimport malloc, free
from libc.string cimport memcpy, memset
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.object cimport PyObject
from ._node cimport Node
from ._overlap cimport refuse_overlap
from ._base cimport *
from ._dtype cimport device_of, torch_name
from ._function cimport set_plain_call
from ._plan cimport copy_raw, cast_raw, contiguous_raw, clone_raw, full_, element_to_py, is_number
from ._ops cimport contiguous, drop_view, to_device, copy_into, sum_to, inplace_begin, inplace_end, track_view, recording
from ._data cimport from_data
from ._index_kernels cimport (RtIndexPlan, RT_IX_GET, RT_IX_SET, RT_IX_ADD, flat_index, outside, add_offsets, run_plan, true_positions,
                             true_coordinates, take_true, fill_masked, copy_geometry, raise_bounds, sizes, on_device, need_same, beside, steps_of)
from ._devices import run as run_on_device
from ..errors import AutogradError, DeviceError, DimError, DTypeError, ShapeError, TensorTypeError, TensorValueError


cdef object raise_key(object item):
    kind = type(item)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    raise DimError("only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
                   f"indices (got {name})", op="index")


# ---- basic indexing: one view for the whole key ----

cdef struct Basic:
    int nd                     # of the view
    int filled                 # view dimensions covered by the list of index tensors
    int last                   # last action: 0 alias, 1 select, 2 slice, 3 unsqueeze
    bint moved                 # False: the view is the tensor itself
    int64_t offset             # elements
    int64_t sh[64]
    int64_t st[64]
    int32_t src[64]            # dimension of the tensor behind each view dimension, -1 for a new one
    int64_t step[64]
    int64_t start[64]          # per tensor dimension


cdef inline int put_whole(TensorBase t, Basic *b, int dim) except -1:
    if b.nd >= RT_MAX_DIM:
        raise ShapeError(f"index: the result has more than {RT_MAX_DIM} dimensions", op="index")
    b.sh[b.nd], b.st[b.nd], b.src[b.nd], b.step[b.nd] = t.sh[dim], t.st[dim], dim, 1
    b.start[dim] = 0
    b.nd += 1
    return 0


cdef inline int put_new(TensorBase t, Basic *b, int dim) except -1:
    if b.nd >= RT_MAX_DIM:
        raise ShapeError(f"index: the result has more than {RT_MAX_DIM} dimensions", op="index")
    b.sh[b.nd], b.src[b.nd], b.step[b.nd] = 1, -1, 0
    b.st[b.nd] = t.sh[dim] * t.st[dim] if dim < t.nd else 1
    b.nd += 1
    b.moved = True
    b.last = 3
    return 0


cdef object raise_far(object item, int64_t dim, int64_t size):
    raise DimError(f"index {item} is out of bounds for dimension {dim} with size {size}", op="index")


cdef inline int put_int(TensorBase t, Basic *b, int dim, object item) except -1:
    cdef int beyond
    cdef int64_t i = PyLong_AsLongLongAndOverflow(item, &beyond), size = t.sh[dim]
    if beyond or i < -size or i >= size:
        raise_far(item, dim, size)
    if i < 0:
        i += size
    b.start[dim] = i
    b.offset += i * t.st[dim]
    b.moved = True
    b.last = 1
    return 0


cdef int64_t check_step(slice item) except -1:
    """A slice's step; PyTorch has positive ones only."""
    cdef int64_t step = 1
    if item.step is not None:
        step = item.step if type(item.step) is int else item.step.__index__()
    if step == 0:
        raise TensorValueError("slice step cannot be zero", op="index")
    if step < 0:
        raise TensorValueError("step must be greater than zero", op="index")
    return step


cdef inline int put_slice(TensorBase t, Basic *b, int dim, slice item) except -1:
    cdef int64_t size = t.sh[dim], start, stop, step = 1
    if b.nd >= RT_MAX_DIM:
        raise ShapeError(f"index: the result has more than {RT_MAX_DIM} dimensions", op="index")
    if item.step is not None:
        step = check_step(item)
    start = bound(item.start, 0, size)
    stop = bound(item.stop, size, size)
    if stop < start:
        stop = start
    b.sh[b.nd] = (stop - start + step - 1) // step
    b.st[b.nd], b.src[b.nd], b.step[b.nd] = t.st[dim] * step, dim, step
    b.start[dim] = start
    b.offset += start * t.st[dim]
    if b.sh[b.nd] != size:
        b.moved = True
    b.nd += 1
    b.last = 2
    return 0


cdef inline int64_t bound(object x, int64_t missing, int64_t size) except? -1:
    """A slice's start or stop, clipped to [0, size]."""
    cdef int64_t i
    if x is None:
        return missing
    if type(x) is not int:                                 # not "i = x" straight: that would take floats
        try:
            x = x.__index__()
        except AttributeError:
            raise TensorTypeError("slice indices must be integers or None or have an __index__ method", op="index") from None
    try:
        i = x
    except OverflowError:
        i = size if x > 0 else -1 - size
    if i < 0:
        i += size
        return 0 if i < 0 else i
    return size if i > size else i


cdef inline int put_rest(TensorBase t, Basic *b, int dim) except -1:
    while dim < t.nd:
        put_whole(t, b, dim)
        dim += 1
    return 0


cdef int put_index(Basic *b, list adv, int at, object index, int width) except -1:
    """Note the index of view dimensions [at, at + width)."""
    while b.filled < at:
        adv.append(None)
        b.filled += 1
    adv.append(index)
    b.filled += width
    return 0


cdef TensorBase truth_index(bint value):
    """What a bool stands for along its new dimension of size 1: take it, or take nothing."""
    cdef int64_t n = 1 if value else 0
    cdef TensorBase t = empty(1, &n, RT_I64, RT_CPU)
    if n:
        (<int64_t *>t.ptr)[0] = 0
    return t


cdef object only_element(TensorBase x):
    """A tensor's one element as a number; waits for a device."""
    return (<object>x).item() if on_device(x) else element_to_py(x.ptr, x.dt)


cdef bint is_truth(TensorBase x) noexcept:
    return x.dt == RT_BOOL or x.dt == RT_U8


cdef object normal_item(object item):
    """Anything that is no int, slice, None, Ellipsis, bool or tensor: a sequence becomes a tensor."""
    cdef TensorBase found
    if isinstance(item, (float, complex)):
        raise_key(item)
    if isinstance(item, (list, tuple, range, str)):
        first = item
        while isinstance(first, (list, tuple)) and first:
            first = first[0]
        if isinstance(first, str):
            raise TensorTypeError("new(): invalid data type 'str'", op="index")
        found = from_data(item, -1, RT_CPU)
        return found if found.n else cast_raw(found, RT_I64)        # an empty list takes nothing
    if hasattr(item, "__array_interface__") and getattr(item, "shape", None) != ():
        return from_data(item, -1, RT_CPU)
    if hasattr(item, "__index__"):
        return item.__index__()
    if hasattr(item, "__len__") and hasattr(item, "__getitem__"):
        return from_data(item, -1, RT_CPU)
    raise_key(item)


cdef tuple normal_key(object key):
    """The key as a tuple; a short list that holds slices, sequences or tensors counts as one (as in torch)."""
    if isinstance(key, tuple):
        return <tuple>key if type(key) is tuple else tuple(key)
    if isinstance(key, list) and len(key) < 32:
        for item in key:
            if item is None or item is Ellipsis or isinstance(item, (TensorBase, list, tuple, slice, range)):
                import warnings
                warnings.warn("Using a non-tuple sequence for multidimensional indexing is deprecated; use "
                              "x[tuple(seq)] instead of x[seq]", stacklevel=2)
                return tuple(key)
    return (key,)


cdef list parse(TensorBase t, object key, Basic *b):
    """Fill `b`; return index tensors for the view's dimensions (None where there is none), or None."""
    cdef tuple items = normal_key(key)
    cdef list clean = None, adv = None
    cdef object item
    cdef TensorBase x
    cdef bint filled = False
    cdef int dim = 0, specified = 0, k, i, left, beyond = 0
    b.nd = b.last = b.filled = 0
    b.offset = 0
    b.moved = False
    for k in range(len(items)):
        item = items[k]
        if type(item) is int or type(item) is slice:
            specified += 1
        elif item is None or item is Ellipsis or type(item) is bool:
            pass
        else:
            if not isinstance(item, TensorBase):
                item = normal_item(item)
                if clean is None:
                    clean = list(items)
                clean[k] = item
            if isinstance(item, TensorBase):
                x = <TensorBase>item
                specified += x.nd if is_truth(x) else 1
            else:
                specified += 1
    if specified > t.nd:
        if type(key) is slice:
            check_step(key)
        raise DimError(f"too many indices for tensor of dimension {t.nd}", op="index")
    left = t.nd - specified
    for item in (clean if clean is not None else items):
        # a second Ellipsis steps over as many dimensions again: only whole slices may follow it
        if beyond and item is not Ellipsis and (type(item) is not slice or check_step(item) != 1 or item.start is not None or item.stop is not None):
            raise DimError(f"Dimension out of range: a second Ellipsis leaves no dimension of {t.nd} for the key's next item", op="index")
        if type(item) is int:
            put_int(t, b, dim, item)
            dim += 1
        elif type(item) is slice:
            put_slice(t, b, dim, <slice>item)
            dim += 1
        elif item is None:
            put_new(t, b, dim)
        elif item is Ellipsis:
            if filled:
                beyond = left
                continue
            filled = True
            for i in range(left):
                put_whole(t, b, dim)
                dim += 1
        elif type(item) is bool:
            put_new(t, b, dim)
            if adv is None:
                adv = []
            put_index(b, adv, b.nd - 1, truth_index(item), 1)
        else:
            x = <TensorBase>item
            if x.nd == 0 and x.dt != RT_BOOL and x.dt != RT_U8 and rt_kind(x.dt) == RT_KIND_INT:
                put_int(t, b, dim, only_element(x))
                dim += 1
                continue
            if adv is None:
                adv = []
            if x.nd == 0 and is_truth(x):
                put_new(t, b, dim)
                put_index(b, adv, b.nd - 1, truth_index(bool(only_element(x))), 1)
            elif is_truth(x):
                put_index(b, adv, b.nd, x, x.nd)
                for i in range(x.nd):
                    put_whole(t, b, dim)
                    dim += 1
            else:
                if rt_kind(x.dt) != RT_KIND_INT or (x.dt != RT_I64 and x.dt != RT_I32):
                    raise DimError("tensors used as indices must be long, int, byte or bool tensors", op="index")
                put_index(b, adv, b.nd, x, 1)
                put_whole(t, b, dim)
                dim += 1
    put_rest(t, b, dim)
    return adv


cdef TensorBase basic_view(TensorBase t, Basic *b):
    """The view that `b` describes, with its history."""
    cdef TensorBase out = view_raw(t, b.nd, b.sh, b.st, b.offset)
    cdef BasicViewBackward node = None
    if t.rg and grad_mode():
        node = (SelectBackward0.__new__(SelectBackward0) if b.last == 1 else
                SliceBackward0.__new__(SliceBackward0) if b.last == 2 else
                UnsqueezeBackward0.__new__(UnsqueezeBackward0) if b.last == 3 else
                AliasBackward0.__new__(AliasBackward0))
        node.keep(t, b)
        attach1(out, node, t)
    track_view(out, t)
    return out


cdef class BasicViewBackward(Node):
    """Gradient of a view by a key: zeros of the tensor's shape with g written into the same view."""
    cdef int nd, src_nd, src_dt
    cdef int64_t *spec           # shape of the tensor, starts; then src, step and size per view dimension

    def __dealloc__(self):
        free(self.spec)

    cdef int keep(self, TensorBase t, Basic *b) except -1:
        cdef int i
        self.nd, self.src_nd, self.src_dt = b.nd, t.nd, t.dt
        self.spec = <int64_t *>malloc((2 * t.nd + 3 * b.nd + 1) * sizeof(int64_t))
        if self.spec is NULL:
            raise MemoryError()
        for i in range(t.nd):
            self.spec[i], self.spec[t.nd + i] = t.sh[i], b.start[i]
        for i in range(b.nd):
            self.spec[2 * t.nd + 3 * i] = b.src[i]
            self.spec[2 * t.nd + 3 * i + 1] = b.step[i]
            self.spec[2 * t.nd + 3 * i + 2] = b.sh[i]
        return 0

    cdef int locate(self, TensorBase t, Basic *b) except -1:
        """The same key applied to another tensor of the same shape."""
        cdef int i, d
        b.nd, b.offset, b.moved, b.last = self.nd, 0, True, 2
        for i in range(self.src_nd):
            b.start[i] = self.spec[self.src_nd + i]
            b.offset += b.start[i] * t.st[i]
        for i in range(self.nd):
            d = <int>self.spec[2 * self.src_nd + 3 * i]
            b.src[i], b.step[i] = d, self.spec[2 * self.src_nd + 3 * i + 1]
            b.sh[i] = self.spec[2 * self.src_nd + 3 * i + 2]
            b.st[i] = t.st[d] * b.step[i] if d >= 0 else 1
        return 0

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g, out
        cdef Basic b
        cdef WriteViewBackward node
        out = full_(self.src_nd, self.spec, 0, gt.dt, gt.dev)
        self.locate(out, &b)
        copy_raw(view_raw(out, b.nd, b.sh, b.st, b.offset), gt)
        if grad_mode() and gt.rg:
            node = WriteViewBackward.__new__(WriteViewBackward)
            node.key = self
            attach1(out, node, gt)
        return out


cdef class SelectBackward0(BasicViewBackward):
    pass

cdef class SliceBackward0(BasicViewBackward):
    pass

cdef class UnsqueezeBackward0(BasicViewBackward):
    pass

cdef class AliasBackward0(BasicViewBackward):
    pass


cdef class WriteViewBackward(Node):
    """Gradient of the zeros with g in a view: the view of the gradient."""
    cdef BasicViewBackward key

    cdef object apply(self, object g):
        cdef Basic b
        self.key.locate(<TensorBase>g, &b)
        return basic_view(<TensorBase>g, &b)


cdef object view_of_key(TensorBase self, object key):
    """The view by a key of ints and slices alone; None: it is another key."""
    cdef Basic b
    cdef object item
    cdef int dim = 0
    if type(key) is int:                                   # t[i]
        if self.nd == 0:
            raise DimError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim "
                           "tensor to a number", op="index")
        b.nd = b.last = 0
        b.offset = 0
        put_int(self, &b, 0, key)
        put_rest(self, &b, 1)
        return basic_view(self, &b)
    if type(key) is slice and self.nd:                     # t[a:b]
        b.nd = b.last = 0
        b.offset = 0
        put_slice(self, &b, 0, <slice>key)
        put_rest(self, &b, 1)
        return basic_view(self, &b)
    if type(key) is tuple and len(<tuple>key) <= self.nd:  # t[i, a:b]
        b.nd = b.last = 0
        b.offset = 0
        for item in <tuple>key:
            if type(item) is int:
                put_int(self, &b, dim, item)
            elif type(item) is slice:
                put_slice(self, &b, dim, <slice>item)
            else:
                return None
            dim += 1
        put_rest(self, &b, dim)
        return basic_view(self, &b)
    return None


cpdef object getitem(TensorBase self, object key):
    cdef Basic b
    cdef list adv
    cdef TensorBase out
    cdef object item = view_of_key(self, key)
    if item is not None:
        return item
    adv = parse(self, key, &b)
    if adv is None:
        return basic_view(self, &b)
    out = basic_view(self, &b) if b.moved else self
    return index_get(out, adv)


cdef object plain_getitem(PyObject *const *args, Py_ssize_t n):
    if n != 2 or not isinstance(<object>args[0], TensorBase):
        return None
    return getitem(<TensorBase>args[0], <object>args[1])


set_plain_call(getitem, plain_getitem)


cpdef int setitem(TensorBase self, object key, object value) except -1:
    cdef Basic b
    cdef list adv
    cdef TensorBase view, v
    cdef object item
    if isinstance(value, TensorBase):
        v = <TensorBase>value
    else:
        v = assigned_number(self, value)
    if type(key) is bool:
        if key:                                            # a plain copy, of any dtype
            copy_into(<TensorBase>(<object>self).unsqueeze(0), strip_ones(v, self.nd + 1))
        return 0                                           # False writes nothing, whatever the value's shape
    if type(key) is int and self.nd == 0:
        raise DimError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim "
                       "tensor to a number", op="index")
    adv = parse(self, key, &b)
    if adv is None:
        view = basic_view(self, &b) if b.moved or b.nd != self.nd else self
        v = strip_ones(v, view.nd)
        if same_shape(view, v):                  # else v is spread over the view, and no dense block any more
            refuse_overlap("copy_", view, v, False)
        copy_into(view, v)
        return 0
    view = basic_view(self, &b) if b.moved else self
    if (len(adv) == 1 and v.nd == 0 and v.dt == view.dt and not recording(view, v, None)
            and (<TensorBase>adv[0]).dt == RT_BOOL):
        mask_matches(view, <TensorBase>adv[0], 0, 0)
        fill_leading_mask(view, <TensorBase>beside_all(view, adv)[0], v)
        return 0
    if v.n == 1 and only_mask(adv):                        # a fill
        for item in adv:
            if item is not None and (<TensorBase>item).dt == RT_U8:
                raise DTypeError("masked_fill_ only supports boolean masks, but got mask with dtype unsigned char", op="index_put_")
        if v.dt != view.dt and not v.rg:
            v = cast_raw(beside(v, view), view.dt) if on_device(v) else assigned_number(self, element_to_py(v.ptr, v.dt))     # the number's dtype does not matter
    put_into(view, adv, strip_ones(v, RT_MAX_DIM), False, "index_put_")
    return 0


cdef bint only_mask(list indices):
    """Whether the only index is a mask."""
    cdef object only = None, item
    for item in indices:
        if item is not None:
            if only is not None:
                return False
            only = item
    return isinstance(only, TensorBase) and ((<TensorBase>only).dt == RT_BOOL or (<TensorBase>only).dt == RT_U8)


cdef int fill_leading_mask(TensorBase t, TensorBase mask, TensorBase v) except -1:
    """t[mask] = number: the mask covers t's first dimensions."""
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    for i in range(t.nd):
        sh[i] = mask.sh[i] if i < mask.nd else 1
        st[i] = mask.st[i] if i < mask.nd else 1
    mask = view_raw(mask, t.nd, sh, st, 0)
    inplace_begin("index_put_", t)
    fill_masked(t, mask, v)
    inplace_end(t, None)
    return 0


cdef TensorBase assigned_number(TensorBase self, object value):
    if is_number(value):
        return full_(0, NULL, value, self.dt, self.dev)
    raise TensorTypeError(f"can't assign a {type(value).__name__} to a torch.{torch_name(self.dt)}Tensor", op="index_put_")


cdef TensorBase strip_ones(TensorBase v, int keep):
    """Drop leading size-1 dimensions: all of them before the first larger one, when there are more than `keep`."""
    cdef int k = 0
    if keep < RT_MAX_DIM:
        while k < v.nd - keep and v.sh[k] == 1:
            k += 1
    else:
        while k < v.nd and v.sh[k] == 1:
            k += 1
    if k == 0:
        return v
    return drop_view(v, v.nd - k, v.sh + k) if is_contig(v) else drop_view(contiguous(v), v.nd - k, v.sh + k)


# ---- advanced indexing ----

cdef int mask_matches(TensorBase self, TensorBase mask, int dim, int arg) except -1:
    cdef int i
    for i in range(mask.nd):
        if dim + i >= self.nd:
            raise DimError(f"too many indices for tensor of dimension {self.nd}", op="index")
        if mask.sh[i] != self.sh[dim + i]:
            raise DimError(f"The shape of the mask {sizes(mask)} at index {i} does not match the shape of the indexed "
                           f"tensor {sizes(self)} at index {dim + i}", op="index")
    return 0


cdef list beside_all(TensorBase self, list indices):
    """Indices on self's device: those of the CPU may index any tensor."""
    cdef TensorBase x
    cdef list out = indices
    cdef int i
    for i in range(len(indices)):
        if indices[i] is None:
            continue
        x = as_base("index", "indices", indices[i])
        if x.dev != self.dev:
            if on_device(x):
                raise DeviceError(f"indices should be either on cpu or on the same device as the indexed tensor ({device_of(self.dev)})", op="index")
            if out is indices:
                out = list(indices)
            out[i] = beside(x, self)
    return out


cdef list expand_masks(TensorBase self, list indices):
    """One int64 index (or None) for each leading dimension of self: masks become their coordinates."""
    cdef list out = []
    cdef TensorBase x, coords
    cdef int64_t sh1, st1
    cdef int i
    cdef object item
    for item in indices:
        if item is None:
            out.append(None)
            continue
        x = as_base("index", "indices", item)
        if is_truth(x):
            if x.dt == RT_U8:
                import warnings
                warnings.warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
                              stacklevel=2)
                x = cast_raw(x, RT_BOOL)
            mask_matches(self, x, len(out), 0)
            if x.nd == 1:
                out.append(true_positions(x))
            else:
                coords = true_coordinates(x)
                sh1, st1 = coords.sh[0], coords.st[0]
                for i in range(x.nd):
                    out.append(view_raw(coords, 1, &sh1, &st1, i * coords.st[1]))
        else:
            if x.dt != RT_I64 and x.dt != RT_I32:
                raise DimError("tensors used as indices must be long, int, byte or bool tensors", op="index")
            out.append(x)
    if len(out) > self.nd:
        raise DimError(f"too many indices for tensor of dimension {self.nd} (got {len(out)})", op="index")
    return out


cdef TensorBase merge_masked(TensorBase self, list indices, list merged):
    """When the only index is a bool mask over dimensions that lie in memory as one, the view of self where they are
    one, and in `merged` the flat positions; else None."""
    cdef int i, at = -1, k
    cdef TensorBase mask = None
    cdef int64_t sh[64]
    cdef int64_t st[64]
    for i in range(len(indices)):
        if indices[i] is not None:
            if mask is not None or not isinstance(indices[i], TensorBase) or (<TensorBase>indices[i]).dt != RT_BOOL:
                return None
            mask, at = <TensorBase>indices[i], i
    if mask is None or mask.nd < 2 or at + mask.nd > self.nd:
        return None
    mask_matches(self, mask, at, 0)
    for i in range(at, at + mask.nd - 1):
        if self.st[i] != self.st[i + 1] * self.sh[i + 1]:
            return None
    k = 0
    for i in range(self.nd):
        if at <= i < at + mask.nd - 1:
            continue
        sh[k] = mask.n if i == at + mask.nd - 1 else self.sh[i]
        st[k] = self.st[i]
        k += 1
    for i in range(at):
        merged.append(None)
    merged.append(true_positions(mask))
    return view_raw(self, k, sh, st, 0)


cdef class Plan:
    """Advanced indices made ready: their common shape and offsets into the indexed tensor."""
    cdef TensorBase off          # one offset an element of the common shape, in units of `mul` bytes; on a device instead:
    cdef list flats, ranges, steps   # each index in the common shape, the size of its dimension and that one's step
    cdef int64_t n               # elements of the common shape
    cdef int64_t mul
    cdef int s_nd
    cdef int64_t s_sh[64]
    cdef int first, last         # indexed dimensions lie in [first, last]
    cdef bint apart              # another dimension lies between them
    cdef int r_nd                # shape of the indexing result
    cdef int64_t r_sh[64]
    cdef int s_at                # where the common shape begins in it
    cdef uint8_t indexed[64]
    cdef int at[64]              # dimension of the result of each other dimension


cdef Plan make_plan(TensorBase self, list indices):
    cdef Plan p = Plan.__new__(Plan)
    cdef TensorBase x, flat
    cdef int i, d, k, count = len(indices), seen = 0
    cdef int64_t bad, others = 1
    memset(p.indexed, 0, 64)
    p.first = p.last = -1
    for i in range(count):
        x = <TensorBase>indices[i]
        if x is None:
            continue
        if p.first < 0:
            p.first = i
        p.last = i
        p.indexed[i] = 1
        seen += 1
        merge_shape(p, x, indices)
    p.apart = p.last - p.first + 1 != seen
    for i in range(self.nd):
        if not p.indexed[i]:
            others *= self.sh[i]
    p.n = rt_numel(p.s_nd, p.s_sh)
    p.mul = 1
    if on_device(self):
        p.flats, p.ranges, p.steps = [], [], []
    elif seen == 1 and p.n >= 4096:              # indices without negative ones are offsets as they are
        x = <TensorBase>indices[p.first]
        flat = flat_index(x)
        if flat.nd == p.s_nd and flat.stor is not self.stor and outside(flat, 0, self.sh[p.first]) < 0:
            p.off, p.mul, count = flat, self.st[p.first] * rt_itemsize(self.dt), 0
    if p.off is None and not on_device(self):
        p.off = empty(p.s_nd, p.s_sh, RT_I64, RT_CPU)
    seen = 0
    for i in range(count):
        x = <TensorBase>indices[i]
        if x is None:
            continue
        flat = flat_index(x)
        if on_device(self):
            if flat.n != p.n or flat.nd != p.s_nd:
                flat = spread(flat, p.s_nd, p.s_sh)
            p.flats.append(flat)
            p.ranges.append(self.sh[i])
            p.steps.append(self.st[i])
            continue
        bad = outside(flat, -self.sh[i], self.sh[i])
        if bad >= 0 and p.off.n and (others or self.sh[i] == 0):      # an empty result reads nothing
            raise_bounds((<int64_t *>flat.ptr)[bad], i, self.sh[i])
        if flat.n != p.off.n or flat.nd != p.s_nd:
            flat = spread(flat, p.s_nd, p.s_sh)
        add_offsets(flat, self.sh[i], self.st[i] * rt_itemsize(self.dt), seen, p.off)
        seen = 1
    # shape of the result
    p.s_at = 0 if p.apart else p.first
    memcpy(p.r_sh + p.s_at, p.s_sh, p.s_nd * sizeof(int64_t))
    d = 0
    for i in range(self.nd):
        if not p.indexed[i]:
            if d == p.s_at:
                d += p.s_nd
            p.at[i] = d
            p.r_sh[d] = self.sh[i]
            d += 1
    p.r_nd = d if d > p.s_at else p.s_at + p.s_nd
    return p


cdef int merge_shape(Plan p, TensorBase x, list indices) except -1:
    """Broadcast x's shape into the plan's common shape."""
    cdef int nd = x.nd if x.nd > p.s_nd else p.s_nd, k, i, j
    cdef int64_t a, b
    cdef int64_t sh[64]
    for k in range(nd):
        i, j = p.s_nd - 1 - k, x.nd - 1 - k
        a = p.s_sh[i] if i >= 0 else 1
        b = x.sh[j] if j >= 0 else 1
        if a != b and a != 1 and b != 1:
            shapes = ", ".join([sizes(<TensorBase>t) for t in indices if t is not None])
            raise DimError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}", op="index")
        sh[nd - 1 - k] = b if a == 1 else a
    p.s_nd = nd
    memcpy(p.s_sh, sh, nd * sizeof(int64_t))
    return 0


cdef TensorBase spread(TensorBase x, int nd, const int64_t *sh):
    """x broadcast to a shape, in memory."""
    cdef TensorBase out = empty(nd, sh, x.dt, x.dev)
    cdef int64_t steps[64]
    cdef int k, j
    for k in range(nd):
        j = x.nd - nd + k
        steps[k] = x.st[j] if j >= 0 and x.sh[j] != 1 else 0
    copy_geometry(out, x, 0, steps)
    return out


cdef int run_indexed(int op, TensorBase self, TensorBase other, Plan p) except -1:
    """self[indices] -> other (GET), or other -> self[indices]; other has the result's shape, its common part
    moving by one step."""
    cdef RtIndexPlan r
    cdef int i, d, item = rt_itemsize(self.dt)
    cdef bint get = op == RT_IX_GET
    if on_device(self):
        return run_indexed_on_device(op, self, other, p)
    r.nb = r.na = 0
    r.off, r.n_off, r.mul = <int64_t *>p.off.ptr, p.off.n, p.mul
    r.dst, r.src = (other.ptr, self.ptr) if get else (self.ptr, other.ptr)
    r.j_step = 0
    for i in range(p.s_nd - 1, -1, -1):
        if p.s_sh[i] != 1:
            r.j_step = other.st[p.s_at + i] * item
            break
    for i in range(self.nd):
        if p.indexed[i]:
            continue
        d = p.at[i]
        if not p.apart and i < p.first:
            r.b_shape[r.nb] = self.sh[i]
            r.b_dst[r.nb] = (other.st[d] if get else self.st[i]) * item
            r.b_src[r.nb] = (self.st[i] if get else other.st[d]) * item
            r.nb += 1
        else:
            r.a_shape[r.na] = self.sh[i]
            r.a_dst[r.na] = (other.st[d] if get else self.st[i]) * item
            r.a_src[r.na] = (self.st[i] if get else other.st[d]) * item
            r.na += 1
    run_plan(op, self.dt, &r)
    return 0


cdef int run_indexed_on_device(int op, TensorBase self, TensorBase other, Plan p) except -1:
    """The same as one walk over the result's dimensions: the indices move along the common ones, self along the others."""
    cdef int i
    cdef list mine = [0] * p.r_nd, line = [0] * p.r_nd
    cdef int64_t step = 1
    for i in range(p.s_nd - 1, -1, -1):
        line[p.s_at + i] = step
        step *= p.s_sh[i]
    for i in range(self.nd):
        if not p.indexed[i]:
            mine[p.at[i]] = self.st[i]
    shape, yours = tuple([p.r_sh[i] for i in range(p.r_nd)]), steps_of(other)
    if op == RT_IX_GET:
        run_on_device("index", other, self, op, shape, yours, mine, line, tuple(p.flats), p.ranges, p.steps, True)
    else:
        run_on_device("index", self, other, op, shape, mine, yours, line, tuple(p.flats), p.ranges, p.steps, True)
    return 0


cdef bint one_step(TensorBase v, int at, int n) noexcept:
    """Do dimensions [at, at + n) of v move by a single step?"""
    cdef int i
    cdef int64_t expect = -1
    for i in range(at + n - 1, at - 1, -1):
        if v.sh[i] == 1:
            continue
        if expect >= 0 and v.st[i] != expect:
            return False
        expect = v.st[i] * v.sh[i]
    return True


cdef class IndexBackward0(Node):
    """Gradient of self[indices]: g added into zeros at the same places."""
    cdef list indices, versions
    cdef int nd
    cdef int64_t sh[64]

    cdef object apply(self, object g):
        cdef TensorBase zero = full_(self.nd, self.sh, 0, (<TensorBase>g).dt, (<TensorBase>g).dev)
        cdef list indices = unchanged(self, self.indices, self.versions)
        return put_out(zero, indices, <TensorBase>g, True)

    cdef int release(self) except -1:
        self.indices = None
        return Node.release(self)

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef list places = [i for i, x in enumerate(self.indices) if x is not None]
        cdef int64_t sh[64]
        if not places or places[len(places) - 1] - places[0] + 1 != len(places) or self.nd > 62:
            return NotImplemented                  # index tensors that stand apart put their shape in front of the gradients' dimension
        sh[0] = n
        memcpy(sh + 1, self.sh, self.nd * sizeof(int64_t))
        return put_out(full_(self.nd + 1, sh, 0, (<TensorBase>g).dt, (<TensorBase>g).dev), [None] + unchanged(self, self.indices, self.versions), <TensorBase>g, True)


cdef list versions_of(list indices):
    return [version_of(<TensorBase>x) if x is not None else 0 for x in indices]


cdef list unchanged(Node node, list indices, list versions):
    """The saved indices, unless they were released or written to."""
    if indices is None:
        raise AutogradError(f"{node.name()}: Trying to backward through the graph a second time; the saved indices were "
                            "freed. Specify retain_graph=True on the first backward", op="backward")
    if versions_of(indices) != versions:
        raise AutogradError(f"{node.name()}: one of the variables needed for gradient computation has been modified by an "
                            "inplace operation: an index tensor", op="backward")
    return indices


cdef TensorBase empty_indexed(TensorBase t, list indices, Plan p):
    """Room for t[indices]: it lies in memory as t and then the first indices do, as the operands of any other operator."""
    cdef int64_t st[64]
    cdef int64_t sh[64]
    cdef int64_t steps[64]
    cdef int i, k, j
    cdef TensorBase x, first = None, second = None
    cdef bint plain = is_contig(t)
    for i in range(len(indices)):
        x = <TensorBase>indices[i]
        if x is not None:
            plain = plain and is_contig(x)
    if plain:
        return empty(p.r_nd, p.r_sh, t.dt, t.dev)
    for k in range(p.s_nd):
        st[p.s_at + k] = 0
    for i in range(t.nd):
        if not p.indexed[i]:
            st[p.at[i]] = t.st[i]
    for i in range(len(indices)):
        x = <TensorBase>indices[i]
        if x is None or second is not None:
            continue
        for k in range(p.r_nd):                      # in the result's dimensions, of size 1 beside its own
            j = k - p.s_at
            sh[k] = p.s_sh[j] if 0 <= j < p.s_nd else 1
            steps[k] = x.n if j < 0 else 1
            if 0 <= j < p.s_nd:
                j += x.nd - p.s_nd
                steps[k] = 0 if j < 0 or (x.sh[j] == 1 and sh[k] != 1) else x.st[j]
        x = view_raw(x, p.r_nd, sh, steps, 0)
        if first is None:
            first = x
        else:
            second = x
    x = view_raw(t, p.r_nd, p.r_sh, st, 0)
    return empty_ordered(p.r_nd, p.r_sh, t.dt, t.dev, x, x if first is None else first, second)


cdef TensorBase index_get(TensorBase self, list indices):
    cdef list clean = [], saved_indices = indices
    cdef TensorBase t, out, laid
    cdef Plan p
    cdef IndexBackward0 node
    indices = saved_indices = beside_all(self, indices)
    if len(indices) == 1 and is_contig(self) and not (grad_mode() and self.rg) and isinstance(indices[0], TensorBase):
        t = <TensorBase>indices[0]
        if t.dt == RT_BOOL and t.nd == self.nd and t.nd and is_contig(t):
            mask_matches(self, t, 0, 0)
            return take_true(self, t)
    t = merge_masked(self, indices, clean)
    if t is None:
        t = self
        clean = saved_indices = expand_masks(self, indices)
    p = make_plan(t, clean)
    out = empty_indexed(t, clean, p)
    if out.n and one_step(out, p.s_at, p.s_nd):
        run_indexed(RT_IX_GET, t, out, p)
    elif out.n:
        laid = empty(p.r_nd, p.r_sh, self.dt, self.dev)
        run_indexed(RT_IX_GET, t, laid, p)
        copy_raw(out, laid)
    if grad_mode() and self.rg:
        node = IndexBackward0.__new__(IndexBackward0)
        node.indices = saved_indices
        node.versions = versions_of(saved_indices)
        node.nd = self.nd
        memcpy(node.sh, self.sh, self.nd * sizeof(int64_t))
        attach1(out, node, self)
    return out


cdef class IndexPutBackward0(Node):
    """Gradient of index_put: self keeps g outside the written places (all of g when accumulating)."""
    cdef list indices, versions
    cdef bint accumulate
    cdef tuple v_shape

    cdef object apply(self, object g):
        cdef list indices = unchanged(self, self.indices, self.versions)
        cdef TensorBase ga = None, gb = None, gt = <TensorBase>g
        if wants_edge(self, 0):
            ga = gt if self.accumulate else put_out(gt, indices, full_(0, NULL, 0, gt.dt, gt.dev), False)
        if wants_edge(self, 1):
            gb = sum_to(index_get(gt, indices), self.v_shape)
        return ga, gb

    cdef int release(self) except -1:
        self.indices = None
        return Node.release(self)


cdef IndexPutBackward0 put_node(list indices, bint accumulate, TensorBase values):
    cdef IndexPutBackward0 node = IndexPutBackward0.__new__(IndexPutBackward0)
    node.indices, node.versions, node.accumulate = indices, versions_of(indices), accumulate
    node.v_shape = shape_tuple(values)
    return node


cdef int put_raw(TensorBase self, list indices, TensorBase values, bint accumulate) except -1:
    cdef Plan p
    cdef TensorBase v = values, t, wide
    cdef list clean = []
    cdef int64_t st[64]
    cdef int k, j
    indices = beside_all(self, indices)
    need_same("index_put_", self, v)
    if accumulate and self.dt >= RT_NLOOPED and v.dt == self.dt:       # a stored type has no sums: add in the type it is computed in
        wide = cast_raw(self, rt_compute_dtype(self.dt))
        put_raw(wide, indices, cast_raw(v, wide.dt), True)
        return copy_raw(self, wide)
    t = merge_masked(self, indices, clean)
    if t is None:
        t = self
        clean = expand_masks(self, indices)
    p = make_plan(t, clean)
    if v.dt != self.dt:
        raise DTypeError("Index put requires the source and destination dtypes match, got "
                         f"{torch_name(self.dt)} for the destination and {torch_name(v.dt)} for the source.", op="index_put_")
    if v.nd > p.r_nd and v.n != 1:
        bad_values(v, p)
    for k in range(v.nd if v.nd < p.r_nd else p.r_nd):
        j = v.nd - 1 - k
        if v.sh[j] != 1 and v.sh[j] != p.r_sh[p.r_nd - 1 - k]:
            bad_values(v, p)
    if v.stor is self.stor:                                # reading and writing the same memory
        v = clone_raw(v)
    for k in range(p.r_nd):
        j = v.nd - p.r_nd + k
        st[k] = v.st[j] if j >= 0 and v.sh[j] != 1 else 0
    v = view_raw(v, p.r_nd, p.r_sh, st, 0)
    if not on_device(self) and not one_step(v, p.s_at, p.s_nd):
        v = contiguous_raw(v)
    if v.n:
        run_indexed(RT_IX_ADD if accumulate else RT_IX_SET, t, v, p)
    return 0


cdef object bad_values(TensorBase v, Plan p):
    cdef int i
    result = "[" + ", ".join([str(p.r_sh[i]) for i in range(p.r_nd)]) + "]"
    raise ShapeError(f"shape mismatch: value tensor of shape {sizes(v)} cannot be broadcast to indexing result of shape "
                     f"{result}", op="index_put_")


cdef TensorBase one_beside(TensorBase v, TensorBase t):
    """v; a 0-dim tensor of another device goes to t's."""
    return to_device(v, t.dev) if v.nd == 0 else v


cdef TensorBase put_out(TensorBase self, list indices, TensorBase values, bint accumulate):
    """index_put that leaves self as it is."""
    cdef TensorBase out = clone_raw(self)
    values = one_beside(values, self)
    put_raw(out, indices, values, accumulate)
    if recording(self, values, None):
        attach2(out, put_node(indices, accumulate, values), self, values)
    return out


cdef int put_into(TensorBase self, list indices, TensorBase values, bint accumulate, str op) except -1:
    cdef Node node = None
    values = one_beside(values, self)
    inplace_begin(op, self)
    refuse_overlap(op, self, values, True)
    for x in indices:
        if x is not None:
            refuse_overlap(op, self, <TensorBase?>x, True)
    put_raw(self, indices, values, accumulate)
    if recording(self, values, None):
        node = put_node(indices, accumulate, values)
        attach2(self, node, self, values)
    inplace_end(self, node)
    return 0


cdef list index_list(object indices):
    cdef list out
    if isinstance(indices, TensorBase):
        raise TensorTypeError("index_put(): argument 'indices' must be tuple of Tensors, not Tensor", op="index_put", argument="indices")
    out = list(indices)
    for x in out:
        if x is not None:
            as_base("index_put", "indices", x)
    if out.count(None) == len(out):
        raise DimError("index_put: expected at least one index tensor, got none", op="index_put")
    return out


def index_put(input, indices, values, accumulate=False):
    """Return a copy of input with values written (or added) at `indices`.

    Args:
        indices: tuple of index tensors, None for a dimension taken whole.
        values: tensor of input's dtype, broadcast to the shape that indexing gives.
        accumulate: add instead of write; an index that repeats adds each time, in order.
    """
    return put_out(as_base("index_put", "input", input), index_list(indices), as_base("index_put", "values", values), accumulate)


def index_put_(self, indices, values, accumulate=False):
    """Write (or add) values at `indices` in place; see `index_put`."""
    put_into(as_base("index_put_", "self", self), index_list(indices), as_base("index_put_", "values", values), accumulate, "index_put_")
    return self


SLOTS = {"getitem": getitem, "setitem": setitem}       # handed to class Tensor
FUNCTIONS = {"index_put": index_put, "index_put_": index_put_}
METHODS = {"index_put": index_put, "index_put_": index_put_}
