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


class no_grad:
    """Context manager and decorator: operators inside do not record themselves."""
    __slots__ = ("prev",)

    def __init__(self):
        self.prev = True

    def __new__(cls, fn=None):
        if fn is not None:
            return wrap(cls, fn)
        return object.__new__(cls)

    def __enter__(self):
        self.prev = grad_mode()
        set_grad_mode(False)

    def __exit__(self, *exc):
        set_grad_mode(self.prev)

    def __call__(self, fn):
        return wrap(type(self), fn)


class enable_grad:
    """Context manager and decorator: operators inside record themselves."""
    __slots__ = ("prev",)

    def __init__(self):
        self.prev = True

    def __new__(cls, fn=None):
        if fn is not None:
            return wrap(cls, fn)
        return object.__new__(cls)

    def __enter__(self):
        self.prev = grad_mode()
        set_grad_mode(not inference_mode_on())

    def __exit__(self, *exc):
        set_grad_mode(self.prev)

    def __call__(self, fn):
        return wrap(type(self), fn)


class set_grad_enabled:
    """Switch recording on or off: at once when called, back again when used as a context manager."""
    __slots__ = ("prev", "mode")

    def __init__(self, mode):
        self.prev = grad_mode()
        self.mode = mode
        set_grad_mode(mode)

    def __enter__(self):
        set_grad_mode(self.mode)

    def __exit__(self, *exc):
        set_grad_mode(self.prev)

    def __call__(self, fn):
        set_grad_mode(self.prev)
        mode = self.mode
        return wrap(lambda: set_grad_enabled(mode), fn)


class inference_mode:
    """Like no_grad; tensors made inside can never take part in recording."""
    __slots__ = ("prev", "prev_grad", "mode")

    def __new__(cls, mode=True):
        if callable(mode):
            return wrap(cls, mode)
        self = object.__new__(cls)
        self.mode = mode
        return self

    def __enter__(self):
        self.prev, self.prev_grad = inference_mode_on(), grad_mode()
        set_inference_mode_(self.mode)
        set_grad_mode(not self.mode)

    def __exit__(self, *exc):
        set_inference_mode_(self.prev)
        set_grad_mode(self.prev_grad)

    def __call__(self, fn):
        mode = self.mode
        return wrap(lambda: inference_mode(mode), fn)


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
