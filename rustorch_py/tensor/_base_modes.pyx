# build: cold
"""Switches of recording: no_grad, enable_grad, set_grad_enabled, inference_mode."""
from ..errors import TensorTypeError
from ._base cimport grad_mode, set_grad_mode, inference_mode_on, set_inference_mode_, set_anomaly_hook, set_pack_hook


from cpython.object cimport PyTypeObject

cdef extern from "type_name.h":
    int rt_type_name(PyTypeObject *type, const char *name) except -1


def is_grad_enabled():
    """Tell whether operators record themselves in this thread."""
    return grad_mode()


def is_inference_mode_enabled():
    """Tell whether inference mode is on in this thread."""
    return inference_mode_on()


cdef object wrap(object manager, object fn):
    """Decorate a function or generator function."""
    if isinstance(fn, type):
        raise TypeError("grad mode decorators take functions, not classes")
    import functools
    import inspect
    if inspect.isgeneratorfunction(fn):
        @functools.wraps(fn)
        def generator(*args, **kwargs):
            with manager():
                inner = fn(*args, **kwargs)
            value, error = None, None
            while True:
                try:
                    with manager():
                        got = inner.throw(error) if error is not None else inner.send(value)
                except StopIteration as stop:
                    return stop.value
                value = error = None
                try:
                    value = yield got
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as raised:
                    error = raised
        return generator

    @functools.wraps(fn)
    def inner_fn(*args, **kwargs):
        with manager():
            return fn(*args, **kwargs)
    return inner_fn


# Note [Switches of C]
# A step of training enters and leaves no_grad several times, so the switches are extension types. no_grad(f) is not a switch but f decorated, as
# with PyTorch; an extension type's call always gives an instance, so these types have another __new__ put before theirs, and another vectorcall.
cdef extern from *:
    """
    static PyObject *(*rt_decorate)(PyObject *type, PyObject *fn);

    /* What the call's only argument decorates, or NULL: it asks for an instance. */
    static PyObject *rt_decorated(PyObject *type, PyObject *fn, int callable_only, int *done) {
        *done = fn && fn != Py_None && (!callable_only || PyCallable_Check(fn));
        return *done ? rt_decorate(type, fn) : NULL;
    }
    #define RT_SWITCH(name, callable_only)                                                                                   \
        static newfunc rt_make_##name;                                                                                       \
        static vectorcallfunc rt_call_##name;                                                                                \
        static PyObject *rt_new_##name(PyTypeObject *type, PyObject *args, PyObject *kwargs) {                               \
            Py_ssize_t n = PyTuple_GET_SIZE(args);                                                                           \
            int done;                                                                                                        \
            PyObject *fn = n == 1 ? PyTuple_GET_ITEM(args, 0) : n == 0 && kwargs && !callable_only ? PyDict_GetItemString(kwargs, "fn") : NULL; \
            PyObject *result = rt_decorated((PyObject *)type, fn, callable_only, &done);                                     \
            return done ? result : rt_make_##name(type, args, kwargs);                                                       \
        }                                                                                                                    \
        static PyObject *rt_vector_##name(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames) {         \
            Py_ssize_t n = PyVectorcall_NARGS(nargsf), named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;                      \
            int done;                                                                                                        \
            PyObject *fn = n == 1 && !named ? args[0]                                                                        \
                : n == 0 && named == 1 && !callable_only && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "fn") == 0 ? args[0] : NULL; \
            PyObject *result = rt_decorated(type, fn, callable_only, &done);                                                 \
            return done ? result : rt_call_##name(type, args, nargsf, kwnames);                                              \
        }                                                                                                                    \
        static void rt_put_##name(PyObject *switch_type, PyObject *(*decorate)(PyObject *, PyObject *)) {                    \
            PyTypeObject *type = (PyTypeObject *)switch_type;                                                                \
            rt_decorate = decorate;                                                                                          \
            rt_make_##name = type->tp_new;                                                                                   \
            type->tp_new = rt_new_##name;                                                                                    \
            rt_call_##name = type->tp_vectorcall;                                                                            \
            if (rt_call_##name) type->tp_vectorcall = rt_vector_##name;                                                      \
        }
    RT_SWITCH(no_grad, 0)
    RT_SWITCH(enable_grad, 0)
    RT_SWITCH(inference_mode, 1)
    """
    void rt_put_no_grad(object kind, object (*decorate)(object kind, object fn)) noexcept
    void rt_put_enable_grad(object kind, object (*decorate)(object kind, object fn)) noexcept
    void rt_put_inference_mode(object kind, object (*decorate)(object kind, object fn)) noexcept


cdef class no_grad:
    """Context manager and decorator: operators inside do not record themselves."""
    cdef public bint prev

    def __init__(self, fn=None):
        self.prev = True

    def __enter__(self):
        self.prev = grad_mode()
        set_grad_mode(False)

    def __exit__(self, kind, error, trace):
        set_grad_mode(self.prev)

    def __reduce__(self):
        return type(self), ()

    def __call__(self, fn):
        return wrap(type(self), fn)


cdef class enable_grad:
    """Context manager and decorator: operators inside record themselves."""
    cdef public bint prev

    def __init__(self, fn=None):
        self.prev = True

    def __enter__(self):
        self.prev = grad_mode()
        set_grad_mode(not inference_mode_on())

    def __exit__(self, kind, error, trace):
        set_grad_mode(self.prev)

    def __reduce__(self):
        return type(self), ()

    def __call__(self, fn):
        return wrap(type(self), fn)


cdef class set_grad_enabled:
    """Switch recording on or off: at once when called, back again when used as a context manager."""
    cdef public bint prev
    cdef public object mode

    def __init__(self, mode):
        if mode is not True and mode is not False:
            raise TensorTypeError(f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}")
        self.prev = grad_mode()
        self.mode = mode
        set_grad_mode(mode)

    def __enter__(self):
        set_grad_mode(self.mode)

    def __exit__(self, kind, error, trace):
        set_grad_mode(self.prev)

    def __call__(self, fn):
        set_grad_mode(self.prev)
        mode = self.mode
        return wrap(lambda: set_grad_enabled(mode), fn)


cdef class inference_mode:
    """Like no_grad; tensors made inside can never take part in recording."""
    cdef public bint prev, prev_grad
    cdef public object mode

    def __init__(self, mode=True):
        self.mode = mode

    def __enter__(self):
        self.prev, self.prev_grad = inference_mode_on(), grad_mode()
        set_inference_mode_(self.mode)
        set_grad_mode(not self.mode)

    def __exit__(self, kind, error, trace):
        set_inference_mode_(self.prev)
        set_grad_mode(self.prev_grad)

    def __reduce__(self):
        return type(self), (self.mode,)

    def __call__(self, fn):
        mode = self.mode
        return wrap(lambda: inference_mode(mode), fn)


rt_put_no_grad(no_grad, wrap)
rt_put_enable_grad(enable_grad, wrap)
rt_put_inference_mode(inference_mode, wrap)
rt_type_name(<PyTypeObject *>no_grad, b"rustorch_py.autograd.grad_mode.no_grad")
rt_type_name(<PyTypeObject *>enable_grad, b"rustorch_py.autograd.grad_mode.enable_grad")
rt_type_name(<PyTypeObject *>set_grad_enabled, b"rustorch_py.autograd.grad_mode.set_grad_enabled")
rt_type_name(<PyTypeObject *>inference_mode, b"rustorch_py.autograd.grad_mode.inference_mode")


cdef object traced = None, streamed = None


def set_node_hook(fn):
    """Call ``fn(node)`` for each node recorded from now on; None stops it (anomaly detection)."""
    global traced
    traced = fn
    set_anomaly_hook(both if streamed is not None and fn is not None else streamed if fn is None else fn)


def set_stream_hook(fn):
    """Call ``fn(node)`` for each node recorded from now on, beside the other hook (a back end that has streams)."""
    global streamed
    streamed = fn
    set_node_hook(traced)


def both(node):
    """Call both hooks."""
    streamed(node)
    traced(node)


def set_saved_tensor_hooks(pair):
    """Pass every tensor saved for backward through ``pair = (pack, unpack)``; None stops it."""
    set_pack_hook(pair)
