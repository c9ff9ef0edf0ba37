# cython: preliminary_late_includes_cy28=True
"""C fields of a tensor, making tensors, recording history. Knows nothing of operators."""
cimport cython
from cpython.object cimport PyObject, PyTypeObject
from libc.stdlib cimport malloc, free
from libc.string cimport memcpy
from ._node cimport Node
from ._storage cimport Storage, new_storage
from ._dtype cimport check_stored
from ..errors import AutogradError, DimError, ShapeError, TensorTypeError

cdef extern from *:
    """
    /* per thread: recording on/off, inference mode */
    static __thread int rt_grad_mode = 1;
    static __thread int rt_inference = 0;
    static inline int rt_get_grad_mode(void) { return rt_grad_mode; }
    static inline void rt_set_grad_mode(int v) { rt_grad_mode = v; }
    static inline int rt_get_inference(void) { return rt_inference; }
    static inline void rt_set_inference(int v) { rt_inference = v; }
    """
    int rt_get_grad_mode() noexcept nogil
    void rt_set_grad_mode(int v) noexcept nogil
    int rt_get_inference() noexcept nogil
    void rt_set_inference(int v) noexcept nogil


@cython.trashcan(True)
cdef class TensorBase:
    def __cinit__(self):
        self.sh = self.dims
        self.st = self.dims + INLINE_DIMS

    def __dealloc__(self):
        if self.sh != self.dims:
            free(self.sh)


# ---- making tensors ------------------------------------------------------------------------------
# Note [Spare tensors]
#     An operator on a few elements spends as long on the object around its result as on the result. Instances of the
#     public class itself (not of subclasses) are therefore kept when they die, their fields empty, and handed out again;
#     their __dict__ is made when it is first written to, and those without history, gradient or hooks, which cannot be
#     the head of a chain, are taken apart without the trashcan. Nor can views that recorded nothing: the tensor behind
#     a view is none itself, and its own history, if it has any, goes through the trashcan.
cdef extern from *:
    """
    typedef struct __pyx_obj_11rustorch_py_6tensor_5_base_TensorBase RtTensor;
    #ifdef Py_GIL_DISABLED
    #define RT_SPARE 0
    #else
    #define RT_SPARE 64
    #endif
    static PyTypeObject *rt_tensor_type;
    static PyObject *rt_no_args;
    static destructor rt_tensor_dealloc_any;
    static RtTensor *rt_spare[RT_SPARE + 1];
    static int rt_n_spare, rt_max_spare;

    static void rt_tensor_free(void *o) {
        if (Py_TYPE((PyObject *)o) == rt_tensor_type && rt_n_spare < rt_max_spare) rt_spare[rt_n_spare++] = (RtTensor *)o;
        else PyObject_GC_Del(o);
    }
    static void rt_tensor_dealloc(PyObject *o) {
        RtTensor *t = (RtTensor *)o;
        if (Py_TYPE(o) != rt_tensor_type || (PyObject *)t->fn != Py_None || t->grad_ != Py_None || t->meta != Py_None || t->__dict__ ||
            t->__weakref__) {
            rt_tensor_dealloc_any(o);
            return;
        }
        PyObject_GC_UnTrack(o);
        if (t->sh != t->dims) free(t->sh);
        Py_DECREF((PyObject *)t->stor);
        Py_DECREF((PyObject *)t->base);
        Py_DECREF(Py_None); Py_DECREF(Py_None); Py_DECREF(Py_None);
        rt_tensor_free(o);
    }
    static int rt_take_tensor_type(PyTypeObject *type) {
        rt_tensor_type = type;
        rt_no_args = PyTuple_New(0);
        if (!rt_no_args) return -1;
        if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
            rt_max_spare = RT_SPARE;
            rt_tensor_dealloc_any = type->tp_dealloc;
            type->tp_dealloc = rt_tensor_dealloc;
            type->tp_free = rt_tensor_free;
            PyType_Modified(type);
        }
        return 0;
    }
    static inline PyObject *rt_new_tensor(void) {
        if (!rt_n_spare) return rt_tensor_type->tp_new(rt_tensor_type, rt_no_args, NULL);
        RtTensor *t = rt_spare[--rt_n_spare];
        PyObject *none = Py_None;
        Py_INCREF(none); Py_INCREF(none); Py_INCREF(none); Py_INCREF(none); Py_INCREF(none);
        t->stor = (void *)none;
        t->fn = (void *)none;
        t->grad_ = none;
        t->base = (void *)none;
        t->meta = none;
        t->__dict__ = t->__weakref__ = NULL;
        t->ptr = NULL;
        t->dt = t->nd = t->dev = t->rg = t->out_nr = 0;
        t->flags = t->base_epoch = t->epoch = 0;
        t->n = 0;
        t->sh = t->dims;
        t->st = t->dims + sizeof t->dims / sizeof *t->dims / 2;
        PyObject_Init((PyObject *)t, rt_tensor_type);
        PyObject_GC_Track(t);
        return (PyObject *)t;
    }
    """
    int rt_take_tensor_type(PyTypeObject *type) except -1
    object rt_new_tensor()


cdef int set_tensor_type(PyTypeObject *type) except -1:
    return rt_take_tensor_type(type)


cdef TensorBase new_tensor():
    return <TensorBase>rt_new_tensor()


cdef extern from *:
    """
    static inline int rt_times(int64_t *n, int64_t size) { return __builtin_expect(__builtin_mul_overflow(*n, size, n), 0); }
    """
    bint rt_times(int64_t *n, int64_t size) noexcept


cdef int raise_count(int nd, const int64_t *sh) except -1:
    raise ShapeError(f"numel: integer multiplication overflow: no tensor has the sizes {[sh[i] for i in range(nd)]}")


cdef int set_dims(TensorBase t, int nd, const int64_t *sh, const int64_t *st) except -1:
    """Set shape and strides (st NULL: contiguous), count elements, note contiguity. Pointers may be t's own."""
    cdef int i
    cdef int64_t n = 1, limit
    cdef int64_t *block
    cdef int64_t *old = NULL
    if nd > 64:
        raise ShapeError(f"tensors have at most 64 dimensions, got {nd}")
    if nd > INLINE_DIMS and nd > t.nd:
        block = <int64_t *>malloc(2 * nd * sizeof(int64_t))
        if block is NULL:
            raise MemoryError()
        if t.sh != t.dims:
            old = t.sh
        if sh is not NULL:
            memcpy(block, sh, nd * sizeof(int64_t))
        if st is not NULL:
            memcpy(block + nd, st, nd * sizeof(int64_t))
            st = block + nd
        sh = block
        t.sh = block
        t.st = block + nd
        if old is not NULL:
            free(old)
    t.nd = nd
    for i in range(nd):
        t.sh[i] = sh[i]
        if rt_times(&n, sh[i]):
            raise_count(nd, sh)
    t.n = n
    if st is NULL:
        rt_contiguous_strides(nd, t.sh, t.st)
        t.flags |= F_CONTIG
    else:
        for i in range(nd):
            t.st[i] = st[i]
        if rt_is_contiguous(nd, t.sh, t.st):
            t.flags |= F_CONTIG
        else:
            t.flags &= ~<uint32_t>F_CONTIG
    return 0


cdef int check_metal(int dt) except -1:
    """Metal has no numbers of 64 bits but whole ones."""
    if dt == RT_F64 or dt == RT_C128:
        name = "float64" if dt == RT_F64 else "complex128"
        raise TensorTypeError(f"Cannot convert a MPS Tensor to {name} dtype as the MPS framework doesn't support {name}. "
                              f"Please use {'float32' if dt == RT_F64 else 'complex64'} instead.")
    return 0


cdef TensorBase empty(int nd, const int64_t *sh, int dt, int dev):
    cdef TensorBase t = new_tensor()
    if dev & 255 == RT_METAL:
        check_metal(dt)
    t.dt = dt
    t.dev = dev
    set_dims(t, nd, sh, NULL)
    if t.n < 0 or t.n > (<int64_t>1 << 58):
        raise ShapeError(f"empty: a tensor of shape {shape_tuple(t)} is too large or has a negative size")
    t.stor = new_storage(<size_t>t.n * rt_itemsize(dt), dev)
    t.ptr = t.stor.ptr
    if rt_get_inference():
        t.flags |= F_INFERENCE
    return t


cdef TensorBase empty_strided(int nd, const int64_t *sh, const int64_t *st, int dt, int dev):
    cdef TensorBase t = new_tensor()
    cdef int64_t extent = 1
    cdef double reach = 1                                   # the same, which cannot overflow
    cdef int i
    if dev & 255 == RT_METAL:
        check_metal(dt)
    t.dt = dt
    t.dev = dev
    set_dims(t, nd, sh, st)
    for i in range(nd):
        extent += (sh[i] - 1) * st[i]
        reach += (<double>sh[i] - 1) * <double>st[i]
    if t.n != 0 and reach > 2.0 ** 58:
        raise ShapeError(f"Storage size calculation overflowed with sizes={list(shape_tuple(t))} and strides={[st[i] for i in range(nd)]}")
    if t.n == 0:
        extent = 0
    t.stor = new_storage(<size_t>extent * rt_itemsize(dt), dev)
    t.ptr = t.stor.ptr
    if rt_get_inference():
        t.flags |= F_INFERENCE
    return t


cdef TensorBase empty_like_shape(TensorBase t, int dt):
    return empty(t.nd, t.sh, dt, t.dev)


cdef TensorBase empty_preserve(TensorBase t, int dt):
    cdef int order[64]
    cdef int64_t st[64]
    cdef int i, j, k, o, at
    cdef int64_t s = 1
    if t.flags & F_CONTIG or t.n == 0:
        return empty(t.nd, t.sh, dt, t.dev)
    for i in range(t.nd):                      # dimensions by stride, smallest first; ties keep the row-major order
        k = t.nd - 1 - i
        order[i] = k
        at = i
        for j in range(i - 1, -1, -1):
            o = order[j]
            if t.st[o] == 0 or t.st[k] == 0:   # a broadcast dimension stays where it is, and others pass it
                continue
            if t.st[o] < t.st[k]:
                break
            if t.st[o] == t.st[k] and t.sh[o] <= t.sh[k]:
                continue
            order[at] = o
            order[j] = k
            at = j
    for i in range(t.nd):
        st[order[i]] = s
        s *= t.sh[order[i]] if t.sh[order[i]] > 1 else 1
    return empty_strided(t.nd, t.sh, st, dt, t.dev)


cdef int later(TensorBase t, int nd, const int64_t *sh, int d, int e) noexcept:
    """Whether dimension d of the result must come after e in memory, as operand t lies: 1, -1 for before, 0 for unknown."""
    cdef int i = d - nd + t.nd, j = e - nd + t.nd
    cdef int64_t s = 0 if i < 0 or t.sh[i] == 1 and sh[d] != 1 else t.st[i], r = 0 if j < 0 or t.sh[j] == 1 and sh[e] != 1 else t.st[j]
    if s == 0 or r == 0:
        return 0
    return -1 if s < r else 1 if s > r or sh[d] > sh[e] else 0


cdef TensorBase empty_ordered(int nd, const int64_t *sh, int dt, int dev, TensorBase a, TensorBase b, TensorBase c):
    """A result of broadcast operands: its dimensions lie in memory as theirs do, the first that knows decides (PyTorch's TensorIterator)."""
    cdef int order[64]
    cdef int64_t st[64]
    cdef int64_t s = 1
    cdef int i, j, at, k, found
    for i in range(nd):
        order[i] = nd - 1 - i
    for i in range(1, nd):
        at = i
        for j in range(i - 1, -1, -1):
            found = later(a, nd, sh, order[j], order[at])
            if found == 0:
                found = later(b, nd, sh, order[j], order[at])
            if found == 0 and c is not None:
                found = later(c, nd, sh, order[j], order[at])
            if found < 0:
                break
            if found > 0:
                k = order[j]
                order[j] = order[at]
                order[at] = k
                at = j
    for i in range(nd):
        st[order[i]] = s
        s *= sh[order[i]] if sh[order[i]] > 1 else 1
    return empty_strided(nd, sh, st, dt, dev)


cdef TensorBase view_raw(TensorBase t, int nd, const int64_t *sh, const int64_t *st, int64_t offset_elements):
    cdef TensorBase v = new_tensor()
    v.dt = t.dt
    v.dev = t.dev
    v.flags = t.flags & (F_DATA_ALIAS | F_INFERENCE)
    set_dims(v, nd, sh, st)
    v.stor = t.stor
    v.ptr = t.ptr + offset_elements * rt_itemsize(t.dt)
    return v


cdef TensorBase element_raw(TensorBase t, int64_t offset_elements):
    cdef TensorBase v = new_tensor()
    v.dt = t.dt
    v.dev = t.dev
    v.flags = t.flags & (F_DATA_ALIAS | F_INFERENCE) | F_CONTIG
    v.n = 1
    v.stor = t.stor
    v.ptr = t.ptr + offset_elements * rt_itemsize(t.dt)
    return v


cdef TensorBase alias(TensorBase t):
    return view_raw(t, t.nd, t.sh, t.st, 0)


cdef void fill_array(TensorBase t, RtArray *a) noexcept:
    a.data = t.ptr
    a.dtype = t.dt
    a.ndim = t.nd
    memcpy(a.shape, t.sh, t.nd * sizeof(int64_t))
    memcpy(a.strides, t.st, t.nd * sizeof(int64_t))


cdef int64_t storage_offset(TensorBase t) noexcept:
    return (t.ptr - t.stor.ptr) // rt_itemsize(t.dt)


cdef extern from *:
    """
    static PyObject *rt_tuple_of(const int64_t *values, int n) {
        PyObject *t = PyTuple_New(n);
        for (int i = 0; t && i < n; i++) {
            PyObject *v = PyLong_FromLongLong(values[i]);
            if (!v) { Py_CLEAR(t); break; }
            PyTuple_SET_ITEM(t, i, v);
        }
        return t;
    }
    """
    tuple rt_tuple_of(const int64_t *values, int n)


cdef extern from "size.h":
    object rt_size_class(object (*convert)(object))
    object rt_size_of(const int64_t *sizes, int n)


cdef object plain_sizes(object items):
    """Sizes as ints: of anything that has an index."""
    for i, s in enumerate(items):
        if type(s) is not int and not hasattr(s, "__index__"):
            raise TensorTypeError(f"torch.Size() takes an iterable of 'int' (item {i} is '{type(s).__name__}')")
    return tuple([int(s.__index__()) for s in items])


Size = rt_size_class(plain_sizes)


cdef object shape_of(TensorBase t):
    return rt_size_of(t.sh, t.nd)


cdef tuple shape_tuple(TensorBase t):
    return rt_tuple_of(t.sh, t.nd)


cdef tuple stride_tuple(TensorBase t):
    return rt_tuple_of(t.st, t.nd)


cdef int same_shape(TensorBase a, TensorBase b) noexcept:
    cdef int i
    if a.nd != b.nd:
        return 0
    for i in range(a.nd):
        if a.sh[i] != b.sh[i]:
            return 0
    return 1


cdef int wrap_dim(object op, int64_t dim, int nd) except -1:
    cdef int span = nd if nd > 0 else 1
    if dim < -span or dim >= span:
        raise DimError(f"Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got {dim})", op=op, dim=dim)
    return <int>(dim + span if dim < 0 else dim)


cdef TensorBase as_base(object op, object arg, object x):
    if isinstance(x, TensorBase):
        if (<TensorBase>x).dt >= RT_NLOOPED:
            check_stored(op, (<TensorBase>x).dt)
        return <TensorBase>x
    raise TensorTypeError(f"{op}(): argument '{arg}' must be Tensor, not {type(x).__name__}", op=op, argument=arg)


# ---- history -----------------------------------------------------------------------------------------
cdef bint grad_mode() noexcept:
    return rt_get_grad_mode()


cdef void set_grad_mode(bint on) noexcept:
    rt_set_grad_mode(on)


cdef bint inference_mode_on() noexcept:
    return rt_get_inference()


cdef void set_inference_mode_(bint on) noexcept:
    rt_set_inference(on)


cdef ViewHook remake_view_history = NULL       # filled by _view


cdef void set_view_hook(ViewHook fn):
    global remake_view_history
    remake_view_history = fn


# filled by autograd when anomaly detection is on: called with each new node
cdef object anomaly_hook = None


cdef void set_anomaly_hook(object fn):
    global anomaly_hook
    anomaly_hook = fn


cdef Node history(TensorBase t):
    if t.base is not None and t.base.epoch != t.base_epoch:
        return remake_view_history(t)
    return t.fn


cdef inline object target_of(TensorBase t, int32_t *nr):
    """What an edge from t points to: its history, the leaf itself, or None."""
    cdef Node fn
    nr[0] = 0
    if t is None or not t.rg:
        return None
    fn = history(t)
    if fn is None:
        return t
    nr[0] = t.out_nr
    return fn


cdef inline int bind(TensorBase out, Node node, int nr) except -1:
    out.fn = node
    out.out_nr = nr
    out.rg = True
    if anomaly_hook is not None:
        anomaly_hook(node)
    return 0


cdef int attach1(TensorBase out, Node node, TensorBase a) except -1:
    node.n_edges = 1
    node.e0 = target_of(a, &node.i0)
    return bind(out, node, 0)


cdef int attach2(TensorBase out, Node node, TensorBase a, TensorBase b) except -1:
    node.n_edges = 2
    node.e0 = target_of(a, &node.i0)
    node.e1 = target_of(b, &node.i1)
    return bind(out, node, 0)


cdef int set_edges(Node node, tuple inputs) except -1:
    cdef int i
    cdef int32_t nr
    cdef object target
    node.n_edges = <int>len(inputs)
    if node.n_edges > 3:
        node.more = []
    for i in range(node.n_edges):
        target = target_of(<TensorBase?>inputs[i] if inputs[i] is not None else None, &nr)
        if i == 0:
            node.e0 = target
            node.i0 = nr
        elif i == 1:
            node.e1 = target
            node.i1 = nr
        elif i == 2:
            node.e2 = target
            node.i2 = nr
        else:
            node.more.append((target, nr))
    return 0


cdef int attach(TensorBase out, Node node, tuple inputs) except -1:
    set_edges(node, inputs)
    return bind(out, node, 0)


cdef int attach_outputs(list outs, Node node, tuple inputs) except -1:
    cdef int i
    cdef TensorBase t
    set_edges(node, inputs)
    node.n_outputs = <int>len(outs)
    for i in range(node.n_outputs):
        if outs[i] is None:
            continue
        t = <TensorBase?>outs[i]
        if rt_kind(t.dt) >= RT_KIND_FLOAT:
            bind(t, node, i)
    return 0


cdef int put_saved(Node node, int slot, TensorBase t, uint32_t version) except -1:
    if slot == 0:
        node.s0 = t
        node.v0 = version
    elif slot == 1:
        node.s1 = t
        node.v1 = version
    elif slot == 2:
        node.s2 = t
        node.v2 = version
    else:
        if node.saved_more is None:
            node.saved_more = []
            node.versions_more = []
        while len(node.saved_more) <= slot - 3:
            node.saved_more.append(None)
            node.versions_more.append(0)
        node.saved_more[slot - 3] = t
        node.versions_more[slot - 3] = version
    return 0


cdef object pack_hook = None            # saved_tensors_hooks: (pack, unpack) or None
cdef void set_pack_hook(object pair):
    global pack_hook
    pack_hook = pair


cdef int save(Node node, int slot, TensorBase t) except -1:
    if t is None:
        return 0
    if t.flags & F_INFERENCE and not rt_get_inference():
        raise AutogradError("Inference tensors cannot be saved for backward. Please do not use Tensors created in inference "
                            "mode in computation tracked by autograd. To work around this, you can make a clone to get a "
                            "normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
                            "`torch.inference_mode()`.")
    if pack_hook is not None:
        return pack_saved(node, slot, t, t.out_nr)
    return put_saved(node, slot, t, t.stor.version)


cdef int pack_saved(Node node, int slot, TensorBase t, int out_nr) except -1:
    """Hand a tensor to the saved-tensor hooks instead of keeping it."""
    if node.extra is None:
        node.extra = {}
    node.extra.setdefault("packed", {})[slot] = (pack_hook[1], pack_hook[0](t), out_nr)
    return 0


cdef int save_output(Node node, int slot, TensorBase out) except -1:
    cdef TensorBase kept = alias(out)
    kept.out_nr = out.out_nr
    if slot < 32:
        node.out_mask |= <uint32_t>1 << slot
    if pack_hook is not None:
        return pack_saved(node, slot, kept, out.out_nr)
    return put_saved(node, slot, kept, kept.stor.version)


cdef object stale(Node node, TensorBase t, uint32_t now, uint32_t then):
    made = t.fn.name() if t.fn is not None else ("a leaf" if not node.out_mask else node.name())
    raise AutogradError(f"one of the variables needed for gradient computation has been modified by an inplace operation: "
                        f"a tensor of shape {list(shape_tuple(t))}, made by {made} and saved for {node.name()}, is at version {now}; "
                        f"expected version {then} instead. Hint: enable anomaly detection to find the operation that failed to "
                        f"compute its gradient, with torch.autograd.set_detect_anomaly(True).",
                        op=node.name(), version=now, expected=then)


cdef object gone(Node node):
    raise AutogradError("Trying to backward through the graph a second time (or directly access saved tensors after they have "
                        "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
                        "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or "
                        "if you need to access saved tensors after calling backward.", op=node.name())


cdef TensorBase saved(Node node, int slot):
    cdef TensorBase t, whole
    cdef uint32_t then
    cdef int out_nr
    cdef object got
    if node.released:
        gone(node)
    if slot == 0:
        got, then = node.s0, node.v0
    elif slot == 1:
        got, then = node.s1, node.v1
    elif slot == 2:
        got, then = node.s2, node.v2
    elif node.saved_more is not None and slot - 3 < len(node.saved_more):
        got, then = node.saved_more[slot - 3], <uint32_t>node.versions_more[slot - 3]
    else:
        got, then = None, 0
    if got is None:
        if node.extra is not None and "packed" in node.extra and slot in node.extra["packed"]:
            entry = node.extra["packed"][slot]
            t = <TensorBase?>entry[0](entry[1])
            out_nr = entry[2]
        else:
            return None
    else:
        t = <TensorBase>got
        out_nr = t.out_nr
        if t.stor.version != then:
            stale(node, t, t.stor.version, then)
    if slot < 32 and node.out_mask >> slot & 1 and rt_get_grad_mode():
        whole = alias(t)                       # give the output its history back: it is this node's own
        whole.fn = node
        whole.out_nr = out_nr
        whole.rg = True
        return whole
    return t


cdef extern from *:
    """
    #include <Python.h>
    static _Thread_local PyObject *rt_only_node, *rt_only_targets;      /* borrowed: see only_to */
    """
    PyObject *rt_only_node
    PyObject *rt_only_targets


def only_to(Node node, set targets):
    """From now on the gradients that `node` computes in this thread are wanted on its edges to `targets` only (None: on all), for a
    run that serves given inputs. Returns what was set before; the caller keeps both alive and sets that again."""
    global rt_only_node, rt_only_targets
    before = (<object>rt_only_node if rt_only_node != NULL else None, <object>rt_only_targets if rt_only_node != NULL else None)
    rt_only_node = <PyObject *>node if node is not None else NULL
    rt_only_targets = <PyObject *>targets
    return before


cdef bint wants_edge(Node node, int i) noexcept:
    cdef object target
    if i == 0:
        target = node.e0
    elif i == 1:
        target = node.e1
    elif i == 2:
        target = node.e2
    else:
        target = node.more[i - 3][0] if node.more is not None else None
    return target is not None and (rt_only_node != <PyObject *>node or target in <set>rt_only_targets)


cdef int bump(TensorBase t) noexcept:
    if not t.flags & F_DATA_ALIAS:
        t.stor.version += 1
    t.stor.writes += 1
    return 0


cdef uint32_t version_of(TensorBase t) noexcept:
    return t.stor.version
