# build: cold
"""Switches of recording: no_grad, enable_grad, set_grad_enabled, inference_mode."""
from ._base cimport grad_mode, set_grad_mode, inference_mode_on, set_inference_mode_, set_anomaly_hook, set_pack_hook


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
# with PyTorch; an extension type's __new__ always gives an instance, so these types have another one put before it.
cdef extern from *:
    """
    static PyObject *(*rt_decorate)(PyObject *type, PyObject *fn);
    static newfunc rt_make_no_grad, rt_make_enable_grad, rt_make_inference_mode;

    static PyObject *rt_switch_or_decorated(newfunc make, PyTypeObject *type, PyObject *args, PyObject *kwargs, int callable_only) {
        PyObject *fn = NULL;
        if (PyTuple_GET_SIZE(args) == 1) fn = PyTuple_GET_ITEM(args, 0);
        else if (PyTuple_GET_SIZE(args) == 0 && kwargs && !callable_only) fn = PyDict_GetItemString(kwargs, "fn");
        if (fn && fn != Py_None && (!callable_only || PyCallable_Check(fn))) return rt_decorate((PyObject *)type, fn);
        return make(type, args, kwargs);
    }
    static PyObject *rt_new_no_grad(PyTypeObject *t, PyObject *a, PyObject *k) { return rt_switch_or_decorated(rt_make_no_grad, t, a, k, 0); }
    static PyObject *rt_new_enable_grad(PyTypeObject *t, PyObject *a, PyObject *k) { return rt_switch_or_decorated(rt_make_enable_grad, t, a, k, 0); }
    static PyObject *rt_new_inference_mode(PyTypeObject *t, PyObject *a, PyObject *k) {
        return rt_switch_or_decorated(rt_make_inference_mode, t, a, k, 1);
    }
    static void rt_put_new(PyObject *no_grad, PyObject *enable_grad, PyObject *inference_mode, PyObject *(*decorate)(PyObject *, PyObject *)) {
        rt_decorate = decorate;
        rt_make_no_grad = ((PyTypeObject *)no_grad)->tp_new;
        ((PyTypeObject *)no_grad)->tp_new = rt_new_no_grad;
        rt_make_enable_grad = ((PyTypeObject *)enable_grad)->tp_new;
        ((PyTypeObject *)enable_grad)->tp_new = rt_new_enable_grad;
        rt_make_inference_mode = ((PyTypeObject *)inference_mode)->tp_new;
        ((PyTypeObject *)inference_mode)->tp_new = rt_new_inference_mode;
    }
    """
    void rt_put_new(object no_grad, object enable_grad, object inference_mode, object (*decorate)(object kind, object fn)) noexcept


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

    def __call__(self, fn):
        return wrap(type(self), fn)


cdef class set_grad_enabled:
    """Switch recording on or off: at once when called, back again when used as a context manager."""
    cdef public bint prev
    cdef public object mode

    def __init__(self, mode):
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

    def __call__(self, fn):
        mode = self.mode
        return wrap(lambda: inference_mode(mode), fn)


rt_put_new(no_grad, enable_grad, inference_mode, wrap)


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
