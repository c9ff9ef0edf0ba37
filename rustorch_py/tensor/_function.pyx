"""What stands before a public function: NumPy's argument names (axis for dim, keepdims for keepdim), autocast, overrides."""
from cpython.object cimport PyObject
from ._base cimport TensorBase, set_dims, rt_kind, RT_KIND_INT, RT_KIND_COMPLEX
from ._backend cimport RT_CPU, RT_META, RT_NDEVICETYPES, peek_backend
from ._dtype cimport dtype
from ..errors import TensorTypeError, TensorValueError

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object x, int *overflow) except? -1

cdef extern from "function.h":
    ctypedef object (*RtCastHook)(object function, int rule, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtCastHook rt_cast_hook
    int rt_casting
    ctypedef object (*RtOverrideHook)(object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtOverrideHook rt_override_hook
    ctypedef object (*RtBlameHook)(object error, object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtBlameHook rt_blame_hook
    ctypedef object (*RtKindsHook)(object function)
    RtKindsHook rt_kinds_hook
    ctypedef int (*RtFitHook)(object function, object name, Py_ssize_t place, int kind, object given) except -1
    RtFitHook rt_fit_hook
    void *rt_tensor_type
    void *rt_dtype_type
    enum: RT_ARG_TENSOR, RT_ARG_BOOL, RT_ARG_INT, RT_ARG_INTS, RT_ARG_FLOAT, RT_ARG_NUMBER, RT_ARG_STR, RT_ARG_DTYPE, RT_ARG_TENSORS, RT_ARG_TENSOR_OR_NUMBER, RT_ARG_INTS_OR_STR, RT_ARG_SIZE, RT_ARG_OUT, RT_ARG_FORMAT, RT_ARG_INTS_OR_FLAG, RT_ARG_OR_NONE
    int rt_overriding
    ctypedef object (*RtDeviceHook)(object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtDeviceHook rt_device_hook
    int rt_devices
    int rt_function_ready() except -1
    object rt_function_new(object inner, int renames, int rule, int host_only, PlainCall plain)

rt_function_ready()


cdef dict plain_calls = {}               # function -> address of its PlainCall


cdef int set_plain_call(object fn, PlainCall call) except -1:
    plain_calls[fn] = <size_t>call
    return 0


cdef void set_cast_hook(CastHook fn) noexcept:
    global rt_cast_hook
    rt_cast_hook = fn


cdef bint get_casting() noexcept:
    return rt_casting


cdef void set_casting(bint on) noexcept:
    global rt_casting
    rt_casting = on


# ---- what is no tensor -----------------------------------------------------------------------------------
cdef tuple NO_TENSORS = (str, bytes, bool, int, float, complex, list, tuple, dict, set, type(None), object)


cdef object blame(object error, object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames):
    """The TypeError for the argument whose missing attribute is the error, or None: another object's, or a tensor's."""
    cdef Py_ssize_t i, total = n + (len(<tuple>kwnames) if kwnames is not NULL else 0)
    cdef str text = str(error)
    if not text.startswith("'") or "' object has no attribute '" not in text:
        return None
    kind = text[1:text.index("'", 1)]
    for i in range(total):
        given = type(<object>args[i])
        if given.__name__ != kind or given not in NO_TENSORS:
            continue
        code = getattr(function, "__code__", None)
        names = code.co_varnames if code is not None else ()
        name = (<tuple>kwnames)[i - n] if i >= n else names[i] if i < len(names) else "input"
        place = f" (position {i + 1})" if i < n else ""
        op = getattr(function, "__name__", "function")
        return TensorTypeError(f"{op}(): argument '{name}'{place} must be Tensor, not {kind}", op=op, argument=name)
    return None

rt_blame_hook = blame


# ---- kinds of arguments: _kinds.py ------------------------------------------------------------------------
cdef object kinds_of = None, kind_words = None


cdef object ask_kinds(object function):
    """The names and kinds of a function's arguments, and how many may be given by place."""
    global kinds_of, kind_words
    if kinds_of is None:
        from ._kinds import WORDS, kinds_of as found
        kinds_of, kind_words = found, WORDS
    code = getattr(function, "__code__", None)
    if code is None:
        return (), b"", 0
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
    return names, kinds_of(function, names), code.co_argcount

rt_kinds_hook = ask_kinds


cdef bint is_int(object x) except -1:
    """Whether PyTorch takes x for an int: no bool, no float; a tensor of one integer; raises TensorValueError where it does not fit 64 bits."""
    cdef int overflow = 0
    if isinstance(x, bool):
        return False
    if isinstance(x, TensorBase):
        return (<TensorBase>x).nd == 0 and rt_kind((<TensorBase>x).dt) == RT_KIND_INT
    if isinstance(x, int):
        PyLong_AsLongLongAndOverflow(x, &overflow)
        if overflow:
            raise TensorValueError(f"Overflow when unpacking long long: {x} does not fit 64 bits")
        return True
    return hasattr(type(x), "__index__") and type(x).__name__ not in ("bool", "bool_")


cdef bint is_real(object x, bint or_complex) except -1:
    """Whether PyTorch takes x for a float, or for any number: a tensor of one element is one."""
    cdef int overflow = 0
    if isinstance(x, (str, bytes)):
        return False
    if isinstance(x, TensorBase):
        return (<TensorBase>x).nd == 0 and (or_complex or rt_kind((<TensorBase>x).dt) != RT_KIND_COMPLEX)
    if isinstance(x, int) and or_complex:
        PyLong_AsLongLongAndOverflow(x, &overflow)
        if overflow:
            raise OverflowError("int too big to convert")
    if isinstance(x, (int, float)):
        return True
    if isinstance(x, complex):
        return or_complex
    return hasattr(type(x), "__float__") and getattr(x, "ndim", 0) == 0


cdef int fit(object function, object name, Py_ssize_t place, int kind, object given) except -1:
    """Raise TypeError where `given` is not of its kind."""
    global rt_tensor_type
    cdef int base = kind & ~RT_ARG_OR_NONE
    cdef bint good = False
    if given is not None:
        if base == RT_ARG_TENSOR or base == RT_ARG_TENSOR_OR_NUMBER:
            good = isinstance(given, TensorBase)
            if good and rt_tensor_type == NULL and type(given).__base__ is TensorBase:
                kind_of_given = type(given)
                rt_tensor_type = <void *>kind_of_given
            if not good and base == RT_ARG_TENSOR_OR_NUMBER:
                good = is_real(given, True)
        elif base == RT_ARG_BOOL:
            good = type(given).__name__ in ("bool", "bool_") and type(given).__module__ == "numpy"
        elif base == RT_ARG_INT:
            good = is_int(given)
        elif base in (RT_ARG_INTS, RT_ARG_INTS_OR_STR, RT_ARG_SIZE, RT_ARG_INTS_OR_FLAG):
            if isinstance(given, (tuple, list)):
                good = True
                for i, item in enumerate(given):
                    if not is_int(item):
                        raise TensorTypeError(f"{function.__name__}(): argument '{name}' must be tuple of ints, but found element of type "
                                              f"{type(item).__name__} at pos {i}", op=function.__name__, argument=name)
            elif isinstance(given, bool):
                good = base == RT_ARG_INTS_OR_FLAG and place >= 0
            elif isinstance(given, str):
                good = base == RT_ARG_INTS_OR_STR
            elif isinstance(given, TensorBase):          # PyTorch takes a tensor of one integer for a list of one
                good = base != RT_ARG_SIZE and (<TensorBase>given).nd <= 1 and (<TensorBase>given).n == 1 and rt_kind((<TensorBase>given).dt) == RT_KIND_INT
            else:
                good = base != RT_ARG_SIZE and is_int(given)
        elif base == RT_ARG_OUT:
            good = isinstance(given, (TensorBase, tuple, list))
        elif base == RT_ARG_FORMAT:
            good = type(given).__name__ == "memory_format"
        elif base == RT_ARG_FLOAT or base == RT_ARG_NUMBER:
            good = is_real(given, base == RT_ARG_NUMBER)
        elif base == RT_ARG_STR:
            good = isinstance(given, str)
        elif base == RT_ARG_DTYPE:
            good = isinstance(given, dtype) or given in (float, int, bool, complex)
        elif base == RT_ARG_TENSORS:
            good = isinstance(given, (tuple, list)) or hasattr(type(given), "__next__")
            if isinstance(given, (tuple, list)):
                for i, item in enumerate(given):
                    if not isinstance(item, TensorBase):
                        raise TensorTypeError(f"{function.__name__}(): expected Tensor as element {i} in argument '{name}', but got {type(item).__name__}",
                                              op=function.__name__, argument=name)
    if good:
        return 0
    where = f" (position {place + 1})" if place >= 0 else ""
    raise TensorTypeError(f"{function.__name__}(): argument '{name}'{where} must be {kind_words[base]}, not {type(given).__name__}",
                          op=function.__name__, argument=name)

rt_fit_hook = fit
rt_dtype_type = <void *>dtype


# ---- overrides: Note [Overrides] in _overrides.py ----------------------------------------------------------
cdef extern from *:
    """
    static __thread int rt_subclass_off, rt_modes_on; /* in this thread: classes are not asked; modes entered */
    """
    int rt_subclass_off
    int rt_modes_on

cdef dict asks = {}                      # type -> whether its __torch_function__ is to be asked
cdef object asks_of = None               # computes that
cdef object dispatch = None              # makes an overridden call: (function, relevant args, args, kwargs)
cdef set watched = set()                 # functions that `watcher` is asked about even without a relevant argument
cdef object watcher = None


cdef inline bint is_relevant(object x) except -1:
    known = asks.get(type(x))
    if known is None:
        known = asks[type(x)] = asks_of(type(x))
    return known


cdef int find_relevant(object x, list found) except -1:
    """Add what overrides calls: x, or items of the list or tuple x."""
    if isinstance(x, (list, tuple)):
        for item in x:
            if isinstance(item, TensorBase) or not isinstance(item, (int, float, list, tuple)):
                if is_relevant(item):
                    found.append(item)
    elif is_relevant(x):
        found.append(x)
    return 0


cdef object override(object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames):
    cdef list found
    cdef Py_ssize_t i, total = n
    if rt_subclass_off and not rt_modes_on:
        return NotImplemented
    found = []
    if kwnames is not NULL:
        total += len(<tuple>kwnames)
    if not rt_subclass_off:
        for i in range(total):
            find_relevant(<object>args[i], found)
    if not found and not rt_modes_on and function not in watched:
        return NotImplemented
    given = tuple([<object>args[i] for i in range(n)])
    named = {}
    if kwnames is not NULL:
        for i in range(total - n):
            named[(<tuple>kwnames)[i]] = <object>args[n + i]
    if not found and not rt_modes_on:
        return watcher(function, given, named)
    return dispatch(function, found, given, named)

rt_override_hook = override


def set_override_entry(asks_type, dispatcher):
    """Take the functions of `_overrides`: ``asks_type(type)`` and ``dispatcher(function, relevant, args, kwargs)``."""
    global asks_of, dispatch
    asks_of, dispatch = asks_type, dispatcher


def watch(functions, fn):
    """Ask ``fn(function, args, kwargs)`` about calls of these functions that nothing overrides; NotImplemented: go on."""
    global watcher
    watched.update(functions)
    watcher = fn


def count_overriding(int change):
    """Change the number of reasons to ask: classes with __torch_function__, modes entered."""
    global rt_overriding
    rt_overriding += change
    asks.clear()


def overriding_state(subclass_off=None, modes=None):
    """Set this thread's state where given; return (whether classes are left unasked, number of modes entered) as it was."""
    global rt_subclass_off, rt_modes_on
    old = bool(rt_subclass_off), rt_modes_on
    if subclass_off is not None:
        rt_subclass_off = subclass_off
    if modes is not None:
        rt_modes_on = modes
    return old


def relevant_args(values):
    """Return those of some values that override calls in this thread now."""
    cdef list found = []
    if not rt_subclass_off:
        for x in values:
            if is_relevant(x):
                found.append(x)
    return found


# ---- devices: Note [Operators of devices] in _devices.py ----------------------------------------------------
cdef object device_call = None           # makes a call on a device: (function, device type, args, kwargs)


cdef int device_among(object x, int depth) except -1:
    """The type of the device of a tensor, or of the first of a list that is not the host's; 0: none."""
    cdef int found
    if isinstance(x, TensorBase):
        found = (<TensorBase>x).dev & 255
        return 0 if found == RT_META else found
    if isinstance(x, (list, tuple)) and depth < 2:
        for item in x:
            found = device_among(item, depth + 1)
            if found:
                return found
    return 0


cdef object on_device(object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames):
    cdef Py_ssize_t i, total = n + (len(<tuple>kwnames) if kwnames is not NULL else 0)
    cdef int found = 0
    for i in range(total):
        found = device_among(<object>args[i], 0)
        if found:
            break
    if not found:
        return NotImplemented
    return device_call(function, found, tuple([<object>args[i] for i in range(n)]),
                       {(<tuple>kwnames)[i - n]: <object>args[i] for i in range(n, total)})

rt_device_hook = on_device


def set_device_entry(call):
    """Take the function of `_devices` that makes a call on a device, and begin to ask it where a back end is registered."""
    global device_call, rt_devices
    cdef int i
    device_call = call
    rt_devices = 0
    for i in range(1, RT_NDEVICETYPES):
        rt_devices += peek_backend(i) is not NULL


def shell(cls, TensorBase value not None):
    """Return an instance of cls, a subclass of Tensor, that has the shape of ``value[0]`` and its dtype, but no elements to compute with.

    A kernel that is given one raises, since the back end of such tensors does not exist; so cls must answer every call itself.
    """
    cdef TensorBase out = <TensorBase?>cls.__new__(cls)
    out.dt = value.dt
    out.dev = RT_META
    out.stor = value.stor
    out.ptr = value.ptr
    set_dims(out, value.nd - 1, value.sh + 1, NULL)
    return out


def public(fn, int rule=0, int host_only=0):
    """Return fn as a callable that also takes ``axis`` and ``keepdims``, obeys autocast and asks ``__torch_function__``.

    Args:
        fn: function of tensors; anything that is no function is returned as it is.
        rule: what autocast does with its arguments (`_autocast.RULES`); 0: nothing.
        host_only: whether it reads the memory of its arguments.
    """
    if type(fn).__name__ not in ("function", "cython_function_or_method", "builtin_function_or_method"):
        return fn
    code = getattr(fn, "__code__", None)
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
    renames = ("dim" in names or "keepdim" in names) and "axis" not in names
    return rt_function_new(fn, renames, rule, host_only, <PlainCall><size_t>plain_calls.get(fn, 0))
