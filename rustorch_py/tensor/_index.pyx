"""Indexing by keys: t[key] and t[key] = value.

A key is resolved in one pass into the geometry of one view (`Basic`) and a list of index tensors for
the view's dimensions; what remains after the view is `index` or `index_put_` (`_advanced`). As in
PyTorch, Python integers are part of the view.
"""
from libc.stdint cimport int64_t, int32_t
from libc.stdlib cimport malloc, free
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.object cimport PyObject
from ._node cimport Node
from ._overlap cimport refuse_overlap
from ._base cimport *
from ._dtype cimport torch_name
from ._function cimport set_plain_call
from ._plan cimport copy_raw, cast_raw, full_, element_to_py, is_number
from ._ops cimport contiguous, drop_view, copy_into, track_view, recording
from ._data cimport from_data
from ._index_kernels cimport on_device, beside
from ._advanced cimport is_truth, mask_matches, beside_all, fill_leading_mask, index_get, put_into
from ..errors import DimError, DTypeError, ShapeError, TensorTypeError, TensorValueError


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


cdef extern from *:
    """
    /* Where the element of a key of one int a dimension lies; 0: the key has something else, or an int out of bounds. */
    static inline int rt_element_of(PyObject *key, int nd, const int64_t *sh, const int64_t *st, int64_t *offset) {
        *offset = 0;
        for (int d = 0; d < nd; d++) {
            PyObject *item = PyTuple_GET_ITEM(key, d);
            int64_t i;
            if (Py_TYPE(item) != &PyLong_Type) return 0;
    #if PY_VERSION_HEX >= 0x030c0000
            if (!PyUnstable_Long_IsCompact((PyLongObject *)item)) return 0;
            i = PyUnstable_Long_CompactValue((PyLongObject *)item);
    #else
            int beyond;
            i = PyLong_AsLongLongAndOverflow(item, &beyond);
            if (beyond) return 0;
    #endif
            if (i < 0) i += sh[d];
            if ((uint64_t)i >= (uint64_t)sh[d]) return 0;
            *offset += i * st[d];
        }
        return 1;
    }
    """
    bint rt_element_of(tuple key, int nd, const int64_t *sh, const int64_t *st, int64_t *offset)


cdef object view_of_key(TensorBase self, object key):
    """The view by a key of ints and slices alone; None: it is another key."""
    cdef Basic b
    cdef object item
    cdef TensorBase element
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
    # t[i, j], the commonest of all where nothing is recorded
    if type(key) is tuple and len(<tuple>key) == self.nd and not (self.rg and grad_mode()) and rt_element_of(<tuple>key, self.nd, self.sh, self.st, &b.offset):
        element = element_raw(self, b.offset)
        track_view(element, self)
        return element
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
        mask_matches(view, <TensorBase>adv[0], 0)
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


SLOTS = {"getitem": getitem, "setitem": setitem}       # handed to class Tensor
