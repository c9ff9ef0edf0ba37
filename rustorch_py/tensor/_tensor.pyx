"""Top of the room: class Tensor, its slots and properties. Methods are installed by `install`."""
cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.object cimport PyTypeObject, PyObject, Py_EQ, Py_NE, Py_LT, Py_LE, Py_GT
from cpython.float cimport PyFloat_FromDouble
from cpython.long cimport PyLong_FromLongLong
from libc.stdint cimport int64_t
from ._base cimport *
from ._storage cimport Storage
from ._ops cimport binary_slot, binary_inplace, unary, detach
from ._plan cimport element_to_py, is_number
from ._dtype cimport dtype as dtype_class, dtype_of, device_of
from ._function cimport set_plain_call, unwatched
from ._index cimport view_of_key
from ._view cimport transpose_last, t_reverse
from ._dtype import strided, device as _device_class
from . import _pointwise
from ._base import Size
from ._node import named
from ._dlpack import cuda_array_interface
from ..errors import AutogradError, DTypeError, ShapeError, TensorTypeError, TensorValueError, UnsupportedOpError
include "_row_ids.pxi"

cdef extern from *:
    """
    /* Lets programs put methods of their own into a class that C made, as they do with PyTorch's Tensor. */
    static void rt_type_open(PyTypeObject *type) { type->tp_flags &= ~Py_TPFLAGS_IMMUTABLETYPE; }
    """
    void rt_type_open(PyTypeObject *type)

cdef extern from "type_name.h":
    int rt_type_name(PyTypeObject *type, const char *name) except -1
    int rt_type_set(PyTypeObject *type, object name, object value) except -1

# Functions of modules above this one, handed down at import: getitem, setitem, backward, repr ...
cdef object getitem_fn = None
cdef object setitem_fn = None
cdef object backward_fn = None
cdef object repr_fn = None


cdef bint lost_gradient_told = False


cdef int warn_of_lost_gradient(TensorBase t) except -1:
    global lost_gradient_told
    if t.rg and not lost_gradient_told and grad_mode():
        import warnings
        lost_gradient_told = True
        warnings.warn("Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                      "Consider using tensor.detach() first.", UserWarning, stacklevel=1)
    return 0


cdef class Tensor(TensorBase):
    """An n-dimensional array of one dtype on one device, with an optional history for gradients.

    Made by :func:`tensor`, :func:`zeros` and their siblings, or ``Tensor(sizes...)`` /
    ``Tensor(sequence)`` as PyTorch's legacy constructor (float32).
    """

    def __init__(self, *args, device=None, requires_grad=False):
        if self.stor is None:
            legacy_fill(self, args, device)
            if requires_grad:
                self.rg = True

    # ---- arithmetic ----
    def __add__(self, other):
        return binary_slot(ROW_ADD, self, other)
    def __radd__(self, other):
        return binary_slot(ROW_ADD, other, self)
    def __sub__(self, other):
        return binary_slot(ROW_SUB, self, other)
    def __rsub__(self, other):
        return binary_slot(ROW_SUB, other, self)
    def __mul__(self, other):
        return binary_slot(ROW_MUL, self, other)
    def __rmul__(self, other):
        return binary_slot(ROW_MUL, self, other)
    def __truediv__(self, other):
        return binary_slot(ROW_DIV, self, other)
    def __rtruediv__(self, other):
        return binary_slot(ROW_DIV, other, self)
    def __floordiv__(self, other):
        return binary_slot(ROW_FLOOR_DIVIDE, self, other)
    def __rfloordiv__(self, other):
        return binary_slot(ROW_FLOOR_DIVIDE, other, self)
    def __mod__(self, other):
        return binary_slot(ROW_REMAINDER, self, other)
    def __rmod__(self, other):
        return binary_slot(ROW_REMAINDER, other, self)
    def __divmod__(self, other):
        return binary_slot(ROW_FLOOR_DIVIDE, self, other), binary_slot(ROW_REMAINDER, self, other)
    def __pow__(self, other, mod):
        if not (isinstance(other, TensorBase) or is_number(other)):
            return NotImplemented
        if type(other) is not Tensor and type(self) is not Tensor and type(other) is not type(self) and isinstance(other, TensorBase):
            return self.pow(other)               # which asks both classes
        return _pointwise.pow(self, other)
    def __rpow__(self, other, mod):
        if not is_number(other):
            return NotImplemented
        return _pointwise.pow(other, self)
    def __matmul__(self, other):
        if not isinstance(other, TensorBase):
            return NotImplemented
        return matmul_fn(self, other)
    def __neg__(self):
        return unary(ROW_NEG, self, None)
    def __pos__(self):
        return self
    def __abs__(self):
        return unary(ROW_ABS, self, None)
    def __invert__(self):
        if rt_kind((<TensorBase>self).dt) > RT_KIND_INT:
            raise TensorTypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
        return unary(ROW_BITWISE_NOT, self, None)
    def __and__(self, other):
        return binary_slot(ROW_BITWISE_AND, self, other)
    def __rand__(self, other):
        return binary_slot(ROW_BITWISE_AND, other, self)
    def __or__(self, other):
        return binary_slot(ROW_BITWISE_OR, self, other)
    def __ror__(self, other):
        return binary_slot(ROW_BITWISE_OR, other, self)
    def __xor__(self, other):
        return binary_slot(ROW_BITWISE_XOR, self, other)
    def __rxor__(self, other):
        return binary_slot(ROW_BITWISE_XOR, other, self)
    def __lshift__(self, other):
        return _pointwise.shift_slot(self, other, True)
    def __rlshift__(self, other):
        return _pointwise.shift_slot(other, self, True)
    def __rshift__(self, other):
        return _pointwise.shift_slot(self, other, False)
    def __rrshift__(self, other):
        return _pointwise.shift_slot(other, self, False)
    def __iadd__(self, other):
        return binary_inplace(ROW_ADD, self, other)
    def __isub__(self, other):
        return binary_inplace(ROW_SUB, self, other)
    def __imul__(self, other):
        return binary_inplace(ROW_MUL, self, other)
    def __itruediv__(self, other):
        return binary_inplace(ROW_DIV, self, other)
    def __ifloordiv__(self, other):
        return binary_inplace(ROW_FLOOR_DIVIDE, self, other)
    def __imod__(self, other):
        return binary_inplace(ROW_REMAINDER, self, other)
    def __ipow__(self, other):
        return _pointwise.pow_(self, other)
    def __iand__(self, other):
        return binary_inplace(ROW_BITWISE_AND, self, other)
    def __ior__(self, other):
        return binary_inplace(ROW_BITWISE_OR, self, other)
    def __ixor__(self, other):
        return binary_inplace(ROW_BITWISE_XOR, self, other)
    def __ilshift__(self, other):
        return binary_inplace(ROW_BITWISE_LEFT_SHIFT, self, other)
    def __irshift__(self, other):
        return binary_inplace(ROW_BITWISE_RIGHT_SHIFT, self, other)

    def __richcmp__(self, other, int op):
        cdef int row
        if op == Py_EQ:
            row = ROW_EQ
        elif op == Py_NE:
            row = ROW_NE
        elif op == Py_LT:
            row = ROW_LT
        elif op == Py_LE:
            row = ROW_LE
        elif op == Py_GT:
            row = ROW_GT
        else:
            row = ROW_GE
        found = binary_slot(row, self, other)
        if found is NotImplemented and op == Py_EQ and type(other).__name__ == "ndarray" and other.dtype.kind in "biufc":
            from ._data import as_tensor                 # x == array is elementwise, as in PyTorch; its other comparisons are not
            return binary_slot(row, self, as_tensor(other))
        return found

    def __hash__(self):
        return <Py_ssize_t>(<void *>self) >> 4

    # ---- numbers ----
    def __bool__(self):
        if self.n != 1:
            if self.n == 0:
                raise TensorValueError("Boolean value of Tensor with no values is ambiguous")
            raise TensorValueError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(one_element(self))

    def __float__(self):
        warn_of_lost_gradient(self)
        return float(one_element(self))

    def __int__(self):
        return int(one_element(self))

    def __index__(self):
        if rt_kind(self.dt) > RT_KIND_INT or self.n != 1:
            raise TensorTypeError("only integer tensors of a single element can be converted to an index")
        return int(one_element(self))

    def __complex__(self):
        warn_of_lost_gradient(self)
        return complex(one_element(self))

    def __contains__(self, element):
        if isinstance(element, TensorBase) or is_number(element):
            return bool((self == element).any())
        raise TensorTypeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")

    # ---- sequence ----
    def __len__(self):
        if self.nd == 0:
            raise TensorTypeError("len() of a 0-d tensor")
        return self.sh[0]

    def __iter__(self):
        if self.nd == 0:
            raise TensorTypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __getitem__(self, key):
        cdef object view
        if self.dev == RT_CPU and type(self) is Tensor and unwatched():      # as getitem_fn would be called after looking at the arguments
            view = view_of_key(self, key)
            if view is not None:
                return view
        return getitem_fn(self, key)

    def __setitem__(self, key, value):
        setitem_fn(self, key, value)

    def __repr__(self):
        return repr_fn(self)

    def __format__(self, spec):
        if self.nd == 0 and type(self) is Tensor:
            return one_element(self).__format__(spec)
        return object.__format__(self, spec)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        export_buffer(self, buffer, flags)

    def __releasebuffer__(self, Py_buffer *buffer):
        release_buffer(buffer)

    # ---- properties ----
    @property
    def shape(self):
        """Sizes of the dimensions."""
        return shape_of(self)

    @property
    def dtype(self):
        return dtype_of(self.dt)

    @property
    def device(self):
        return device_of(self.dev)

    @property
    def layout(self):
        return strided

    @property
    def __cuda_array_interface__(self):
        """Address, shape and strides of a CUDA tensor, for Numba and CuPy."""
        return cuda_array_interface(self)

    @property
    def ndim(self):
        return self.nd

    @property
    def itemsize(self):
        return rt_itemsize(self.dt)

    @property
    def nbytes(self):
        return self.n * rt_itemsize(self.dt)

    @property
    def requires_grad(self):
        """Whether gradients are computed for this tensor."""
        return bool(self.rg)

    @requires_grad.setter
    def requires_grad(self, value):
        set_requires_grad(self, value)

    @property
    def grad(self):
        """The accumulated gradient, or None."""
        if self.grad_ is None and self.rg and not (self.flags & F_RETAIN_GRAD) and history(self) is not None:
            warn_of_grad()
        return self.grad_

    @grad.setter
    def grad(self, value):
        cdef TensorBase g
        if value is None:
            self.grad_ = None
            return
        if not isinstance(value, TensorBase):
            raise TensorTypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
        g = <TensorBase>value
        if g is self:
            raise AutogradError("can't assign Variable as its own grad")
        wanted = dtype_of(self.dt) if self.meta is None else self.meta.get("grad_dtype", dtype_of(self.dt))
        if wanted is not None and wanted is not dtype_of(g.dt):
            raise AutogradError(f"attempting to assign a gradient with dtype '{dtype_of(g.dt)}' to a tensor with grad_dtype "
                                f"'{wanted}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype).")
        if not same_shape(g, self):
            raise AutogradError(f"assigned grad has data of a different size: expected {list(shape_tuple(self))}, got {list(shape_tuple(g))}")
        if g.dev != self.dev and not (<object>g).is_sparse:
            raise AutogradError(f"assigned grad has data located on a different device: expected {device_of(self.dev)}, got {device_of(g.dev)}")
        self.grad_ = g

    @grad.deleter
    def grad(self):
        self.grad_ = None

    @property
    def grad_dtype(self):
        """The dtype that backward casts a leaf's gradient to before it is added to ``.grad``: by default the leaf's own; None: any."""
        if history(self) is not None:
            raise AutogradError("grad_dtype can only be accessed on leaf tensors.")
        return dtype_of(self.dt) if self.meta is None else self.meta.get("grad_dtype", dtype_of(self.dt))

    @grad_dtype.setter
    def grad_dtype(self, value):
        if history(self) is not None:
            raise AutogradError("grad_dtype can only be set on leaf tensors.")
        if value is not None and not isinstance(value, dtype_class):
            raise AutogradError(f"grad_dtype must be a torch.dtype or None, but got {type(value).__name__}")
        if value is not None and self.grad_ is not None and (<TensorBase>self.grad_).dt != (<dtype_class>value).code:
            raise AutogradError(f"Cannot set grad_dtype to '{value}' because there is already a gradient with dtype "
                                f"'{dtype_of((<TensorBase>self.grad_).dt)}'. Clear the gradient first (.grad = None), or name its dtype.")
        if self.meta is None:
            self.meta = {}
        self.meta["grad_dtype"] = value

    @property
    def grad_fn(self):
        """The node that made this tensor, or None."""
        node = history(self)
        return None if node is None else named(node)

    @property
    def is_leaf(self):
        return history(self) is None

    @property
    def name(self):
        """None, always: in PyTorch too, tensors have no names of their own."""
        return None

    @property
    def output_nr(self):
        return self.out_nr

    @property
    def retains_grad(self):
        return bool(self.flags & F_RETAIN_GRAD)

    @property
    def _version(self):
        if self.flags & F_INFERENCE:
            raise AutogradError("Inference tensors do not track version counter.")
        return self.stor.version

    @property
    def _base(self):
        return self.base

    @property
    def data(self):
        """The same memory without history; writes through it are not seen by autograd."""
        cdef TensorBase v = alias(self)
        v.flags |= F_DATA_ALIAS
        return v

    @data.setter
    def data(self, value):
        cdef TensorBase t = as_base("data", "value", value)
        if rt_kind(t.dt) < RT_KIND_FLOAT and self.rg:
            raise DTypeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        give_memory(self, t)

    @property
    def T(self):
        """All dimensions reversed."""
        if self.nd != 2 and self.nd != 0:
            warn_of_reversal()
        return t_reverse(self)

    @property
    def mT(self):
        """Last two dimensions swapped."""
        return transpose_last(self, "mT")

    @property
    def H(self):
        """Conjugate transpose of a matrix."""
        if self.nd > 2 or self.nd == 1:
            raise ShapeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self.nd}-D tensor.")
        out = t_reverse(self)
        return out.conj() if rt_kind(self.dt) == RT_KIND_COMPLEX else out

    @property
    def mH(self):
        """Conjugate transpose of the last two dimensions."""
        out = transpose_last(self, "mH")
        return out.conj() if rt_kind(self.dt) == RT_KIND_COMPLEX else out

    @property
    def is_cpu(self):
        return self.dev & 255 == 0

    @property
    def is_cuda(self):
        return self.dev & 255 == 1

    @property
    def is_mps(self):
        return self.dev & 255 == 2

    @property
    def is_metal(self):
        return self.dev & 255 == 2

    @property
    def is_meta(self):
        return self.dev & 255 == RT_META

    @property
    def is_sparse(self):
        return False

    @property
    def is_quantized(self):
        return False

    @property
    def is_nested(self):
        return False

    @property
    def is_mkldnn(self):
        return False

    @property
    def names(self):
        return (None,) * self.nd

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Compute the gradients of this tensor for the leaves of its graph and add them to ``.grad``.

        Args:
            gradient: gradient of the outcome with respect to this tensor; needed unless it has one element.
            retain_graph: keep saved tensors for another backward (default: ``create_graph``).
            create_graph: record the gradients' own graph, for higher derivatives.
            inputs: accumulate into these tensors only.
        """
        return backward_fn(self, gradient, retain_graph, create_graph, inputs)

    @staticmethod
    def _make_subclass(cls, data, require_grad=False):
        """Return an instance of ``cls`` that shares data's memory, without history."""
        cdef TensorBase src = as_base("_make_subclass", "data", data)
        # Not cls.__new__: a subclass may define that by calling this very function.
        cdef TensorBase out = <TensorBase?>Tensor.__new__(cls)
        out.dt = src.dt
        out.dev = src.dev
        out.stor = src.stor
        out.ptr = src.ptr
        set_dims(out, src.nd, src.sh, src.st)
        if require_grad:
            if rt_kind(src.dt) < RT_KIND_FLOAT:
                raise AutogradError("Only Tensors of floating point and complex dtype can require gradients")
            out.rg = True
        return out

    def as_subclass(self, cls):
        """Return a view of this tensor as an instance of ``cls``."""
        out = Tensor._make_subclass(cls, self, False)
        (<TensorBase>out).rg = self.rg
        (<TensorBase>out).fn = history(self)
        (<TensorBase>out).out_nr = self.out_nr
        return out


cdef object one_element(TensorBase t):
    if t.n != 1:
        raise TensorValueError(f"a Tensor with {t.n} elements cannot be converted to Scalar")
    if t.dev & 255 == RT_META:
        raise UnsupportedOpError("Tensor.item() cannot be called on meta tensors", op="item")
    if t.dev & 255:
        return t.cpu().item()
    return element_to_py(t.ptr, t.dt)


cdef set told = set()                     # warnings that are given once


cdef int warn_of_reversal() except -1:
    if "T" not in told:
        told.add("T")
        from warnings import warn
        warn("The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will throw an error in a future release. "
             "Consider `x.mT` to transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.",
             UserWarning, stacklevel=1)
    return 0


cdef int warn_of_grad() except -1:
    from warnings import warn
    warn("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during autograd.backward(). "
         "If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf "
         "Tensor by mistake, make sure you access the leaf Tensor instead.", UserWarning, stacklevel=1)
    return 0


cdef int set_requires_grad(TensorBase t, bint value) except -1:
    if value and rt_kind(t.dt) < RT_KIND_FLOAT:
        raise AutogradError("only Tensors of floating point and complex dtype can require gradients")
    if not value and history(t) is not None:
        raise AutogradError("you can only change requires_grad flags of leaf variables. If you want to use a computed variable in "
                            "a subgraph that doesn't require differentiation use var_no_grad = var.detach().")
    if value and t.flags & F_INFERENCE and not inference_mode_on():
        raise AutogradError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
    t.rg = value
    return 0


def requires_grad_(self, requires_grad=True):
    """Set whether gradients are computed for this tensor, in place."""
    set_requires_grad(as_base("requires_grad_", "self", self), requires_grad)
    return self


def item(self):
    """Return the only element as a Python number."""
    cdef TensorBase t = as_base("item", "self", self)
    return one_element(t)


cdef object plain_item(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t
    if n != 1 or not isinstance(<object>args[0], TensorBase):
        return None
    t = <TensorBase>args[0]
    if t.n == 1 and not t.dev & 255:
        if t.dt == RT_F32:
            return PyFloat_FromDouble((<const float *>t.ptr)[0])
        if t.dt == RT_I64:
            return PyLong_FromLongLong((<const int64_t *>t.ptr)[0])
    return one_element(t) if t.dt < RT_NLOOPED else None


set_plain_call(item, plain_item)


# ---- buffer protocol: NumPy and others read CPU tensors without a copy ----------------------------------
cdef extern from *:
    """
    static const char *rt_buffer_format(int dt) {
        static const char *f[] = {"?", "B", "b", "h", "i", "q", "e", NULL, "f", "d", "Zf", "Zd", NULL, "H", "I", "Q"};
        return dt < (int)(sizeof f / sizeof *f) ? f[dt] : NULL;
    }
    """
    const char *rt_buffer_format(int dt)

from libc.stdlib cimport malloc, free


cdef int export_buffer(TensorBase t, Py_buffer *buffer, int flags) except -1:
    cdef int i
    cdef Py_ssize_t *dims
    if t.dev & 255:
        raise BufferError(f"cannot export a {device_of(t.dev)} tensor; copy it to the host first with .cpu()")
    if t.rg:
        raise BufferError("Can't export a Tensor that requires grad. Use tensor.detach().")
    if rt_buffer_format(t.dt) is NULL:
        raise BufferError(f"the buffer protocol has no {dtype_of(t.dt).name}; convert with {'.cfloat()' if t.dt == RT_C32 else '.float()'} first")
    dims = <Py_ssize_t *>malloc((2 * t.nd + 1) * sizeof(Py_ssize_t))     # the last one: the storage, which `t` may have changed by then
    if dims is NULL:
        raise MemoryError()
    for i in range(t.nd):
        dims[i] = t.sh[i]
        dims[t.nd + i] = t.st[i] * rt_itemsize(t.dt)
    buffer.buf = t.ptr
    buffer.obj = t
    buffer.len = t.n * rt_itemsize(t.dt)
    buffer.itemsize = rt_itemsize(t.dt)
    buffer.readonly = 0
    buffer.ndim = t.nd
    buffer.format = <char *>rt_buffer_format(t.dt)
    buffer.shape = dims
    buffer.strides = dims + t.nd
    buffer.suboffsets = NULL
    buffer.internal = dims
    if not flags & 0x0010 and not t.flags & F_CONTIG:      # PyBUF_STRIDES
        free(dims)
        raise BufferError("the tensor is not contiguous")
    Py_INCREF(t.stor)
    dims[2 * t.nd] = <Py_ssize_t><void *>t.stor
    t.stor.exports += 1
    return 0


cdef void release_buffer(Py_buffer *buffer) noexcept:
    cdef Storage s = <Storage><void *>(<Py_ssize_t *>buffer.internal)[2 * buffer.ndim]
    s.exports -= 1
    s.writes += 1                          # it may have been written to
    Py_DECREF(s)
    free(buffer.internal)


# ---- what the floors above hand down --------------------------------------------------------------------
cdef object matmul_fn = None
cdef object legacy_fn = None


cdef int legacy_fill(TensorBase t, tuple args, object device) except -1:
    cdef TensorBase src
    if legacy_fn is None:
        raise TensorTypeError("Tensor(): not ready")
    src = <TensorBase?>legacy_fn(args, device)
    return give_memory(t, src)


cdef extern from *:
    """
    static int rt_swap_types(PyObject *a, PyObject *b) {
        PyTypeObject *x = Py_TYPE(a), *y = Py_TYPE(b);
        if (x->tp_basicsize != y->tp_basicsize || x->tp_dictoffset != y->tp_dictoffset) return 0;
        Py_SET_TYPE(a, y); /* each object's reference to its type goes along */
        Py_SET_TYPE(b, x);
        return 1;
    }
    """
    bint rt_swap_types(object a, object b)


def swap_contents(a, b):
    """Exchange what two tensors hold (class, memory, geometry, history, gradient, hooks); the objects, and who refers to them, stay."""
    cdef TensorBase x = as_base("swap_tensors", "t1", a), y = as_base("swap_tensors", "t2", b), old = alias(x)
    if not rt_swap_types(a, b):
        raise TensorTypeError(f"swap_tensors: instances of {type(a).__name__} and {type(b).__name__} differ in size")
    x.flags, y.flags = y.flags, x.flags
    give_memory(x, y)
    give_memory(y, old)
    x.rg, y.rg = y.rg, x.rg
    x.out_nr, y.out_nr = y.out_nr, x.out_nr
    x.fn, y.fn = y.fn, x.fn
    x.grad_, y.grad_ = y.grad_, x.grad_
    x.base, y.base = y.base, x.base
    x.base_epoch, y.base_epoch = y.base_epoch, x.base_epoch
    x.epoch, y.epoch = y.epoch, x.epoch
    x.meta, y.meta = y.meta, x.meta
    for t in (x, y):
        if (<TensorBase>t).meta is not None:
            (<TensorBase>t).meta.pop("accumulator", None)          # the node that stands for the other one


cdef int give_memory(TensorBase to, TensorBase source) except -1:
    to.dt = source.dt
    to.dev = source.dev
    to.stor = source.stor
    to.ptr = source.ptr
    set_dims(to, source.nd, source.sh, source.st)
    return 0


def set_entry(name, fn):
    """Give a slot its function: getitem, setitem, backward, repr, matmul, legacy."""
    global getitem_fn, setitem_fn, backward_fn, repr_fn, matmul_fn, legacy_fn
    if name == "getitem":
        getitem_fn = fn
    elif name == "setitem":
        setitem_fn = fn
    elif name == "backward":
        backward_fn = fn
    elif name == "repr":
        repr_fn = fn
    elif name == "matmul":
        matmul_fn = fn
    elif name == "legacy":
        legacy_fn = fn
    else:
        raise ValueError(f"set_entry: no slot {name!r}")


def install(methods):
    """Make functions methods of Tensor: the very same compiled function, first argument the tensor."""
    for name, fn in methods.items():
        rt_type_set(<PyTypeObject *>Tensor, name, fn)


set_tensor_type(<PyTypeObject *>Tensor)
rt_type_name(<PyTypeObject *>Tensor, b"rustorch_py.Tensor")
rt_type_open(<PyTypeObject *>Tensor)
METHODS = {"requires_grad_": requires_grad_, "item": item}
install(METHODS)
