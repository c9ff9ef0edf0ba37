"""What stands before a public function: NumPy's argument names (axis for dim, keepdims for keepdim), and autocast."""
from cpython.object cimport PyObject

cdef extern from "function.h":
    ctypedef object (*RtCastHook)(object function, int rule, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtCastHook rt_cast_hook
    int rt_casting
    int rt_function_ready() except -1
    object rt_function_new(object inner, int renames, int rule)

rt_function_ready()


cdef void set_cast_hook(CastHook fn) noexcept:
    global rt_cast_hook
    rt_cast_hook = fn


cdef bint get_casting() noexcept:
    return rt_casting


cdef void set_casting(bint on) noexcept:
    global rt_casting
    rt_casting = on


def public(fn, int rule=0):
    """Return fn as a callable that also takes ``axis`` and ``keepdims`` and obeys autocast, or fn itself when neither applies.

    Args:
        fn: function of tensors.
        rule: what autocast does with its arguments (`_autocast.RULES`); 0: nothing.
    """
    code = getattr(fn, "__code__", None)
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
    renames = ("dim" in names or "keepdim" in names) and "axis" not in names
    return rt_function_new(fn, renames, rule) if renames or rule else fn
