"""What stands before a public function: NumPy's argument names (axis for dim, keepdims for keepdim), autocast, overrides."""
from cpython.object cimport PyObject
from cython cimport final
from libc.stdint cimport uint64_t
from ._base cimport TensorBase, set_dims, rt_kind, RT_KIND_BOOL, RT_KIND_INT, RT_KIND_COMPLEX, RT_U8, RT_F16, RT_BF16, RT_NDTYPES
from ._backend cimport RT_CPU, RT_SHELL, RT_NDEVICETYPES, peek_backend
from ._dtype cimport dtype, dtype_of, torch_name
from ._node cimport Node, call_node, next_seq
from ..errors import DTypeError, IntOverflowError, TensorTypeError, TensorValueError
from ._node_names import NAMES

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object x, int *overflow) except? -1

cdef extern from "function.h":
    ctypedef object (*RtCastHook)(object function, int rule, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtCastHook rt_cast_hook
    int rt_casting
    int rt_casting_threads
    ctypedef object (*RtOverrideHook)(object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtOverrideHook rt_override_hook
    ctypedef object (*RtBlameHook)(object error, object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtBlameHook rt_blame_hook
    ctypedef object (*RtOldFormHook)(object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtOldFormHook rt_old_form_hook
    ctypedef object (*RtKindsHook)(object function)
    RtKindsHook rt_kinds_hook
    ctypedef object (*RtFitHook)(object function, object name, Py_ssize_t place, int kind, object given)
    RtFitHook rt_fit_hook
    ctypedef int (*RtDemandHook)(object demand, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) except -1
    RtDemandHook rt_demand_hook
    void *rt_tensor_type
    void *rt_dtype_type
    enum: RT_ARG_TENSOR, RT_ARG_BOOL, RT_ARG_INT, RT_ARG_INTS, RT_ARG_FLOAT, RT_ARG_NUMBER, RT_ARG_STR, RT_ARG_DTYPE, RT_ARG_TENSORS, RT_ARG_TENSOR_OR_NUMBER, RT_ARG_INTS_OR_STR, RT_ARG_SIZE, RT_ARG_OUT, RT_ARG_FORMAT, RT_ARG_INTS_OR_FLAG, RT_ARG_TENSOR_OR_INT, RT_ARG_TENSOR_OR_INTS, RT_ARG_REAL, RT_ARG_OR_NONE
    int rt_overriding
    ctypedef object (*RtDeviceHook)(object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
    RtDeviceHook rt_device_hook
    int rt_devices
    int rt_function_ready() except -1
    ctypedef int (*RtNameHook)(object result, object label, PyObject *const *args, Py_ssize_t n, uint64_t before) except -1
    RtNameHook rt_name_hook
    uint64_t (*rt_before_hook)() noexcept
    object rt_function_new(object inner, int renames, int rule, int host_only, PlainCall plain, object label)

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
    global rt_casting, rt_casting_threads
    rt_casting_threads += on - (rt_casting != 0)
    rt_casting = on


cdef int overriding_classes = 0          # of rt_overriding


cdef bint unwatched() noexcept:
    return not rt_casting_threads and rt_overriding == overriding_classes


# ---- Note [Names of nodes] ------------------------------------------------------------------------------
# A function composed of others ends in a node of the last of them; PyTorch has one node, named after the function. So the last node goes by that
# name (`_node_names.py`). Only what was recorded during the call is named: a function may hand its argument back.
cdef int name_nodes(object result, object label, PyObject *const *args, Py_ssize_t n, uint64_t before) except -1:
    cdef TensorBase t
    if isinstance(result, TensorBase):
        t = <TensorBase>result
        if t.fn is not None and (<Node>t.fn).seq > before:
            if type(label) is not str:
                label = label([<object>args[i] for i in range(n)], result)
            if label is not None:
                call_node(<Node>t.fn, label)
    elif isinstance(result, (tuple, list)):
        for x in result:
            name_nodes(x, label, args, n, before)
    return 0

rt_name_hook = name_nodes
rt_before_hook = next_seq


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


# ---- Note [Old forms] -------------------------------------------------------------------------------------
# PyTorch takes some orders of arguments of earlier years: x.add_(alpha, other). They fail here as what they are, wrong
# kinds or too many; so they are looked for after the failure, and cost nothing in calls that do not fail.
cdef object newer = None, old_names = frozenset()


cdef object old_form(object function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames):
    """Make the call with its arguments in today's order; NotImplemented where they are no old form."""
    global newer, old_names
    cdef Py_ssize_t i
    if newer is None:
        from ._old_forms import NAMES, newer as found
        newer, old_names = found, NAMES
    name = getattr(function, "__name__", None)
    if name not in old_names:
        return NotImplemented
    found = newer(name, tuple([<object>args[i] for i in range(n)]))
    if found is None:
        return NotImplemented
    places, named = found
    if kwnames is not NULL:
        for i, key in enumerate(<tuple>kwnames):
            if key in ("alpha", "beta", "value"):          # an old form gives them by place, or not at all
                return NotImplemented
            named[key] = <object>args[n + i]
    return function(*places, **named)

rt_old_form_hook = old_form


# ---- kinds of arguments: _kinds.py ------------------------------------------------------------------------
cdef object kinds_of = None, demand_of = None, kind_words = None


cdef object ask_kinds(object function):
    """The names and kinds of a function's arguments, how many may be given by place, and its Demand or None."""
    global kinds_of, kind_words, demand_of
    if kinds_of is None:
        from ._kinds import WORDS, kinds_of as found, demand_of as demand_found
        kinds_of, kind_words, demand_of = found, WORDS, demand_found
    code = getattr(function, "__code__", None)
    if code is None:
        return (), b"", 0, None
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
    asked = demand_of(function, names)
    return names, kinds_of(function, names), code.co_argcount, None if asked is None else Demand(function, names, *asked)

rt_kinds_hook = ask_kinds


cdef int check_size(object x) except -1:
    cdef int overflow = 0
    PyLong_AsLongLongAndOverflow(x, &overflow)
    if overflow:
        raise IntOverflowError(f"Overflow when unpacking long long: {x} does not fit 64 bits")
    return 0


cdef object as_int(object x):
    """The int that PyTorch takes x for, None where it takes it for none: no bool, no float; a tensor of one integer is one."""
    if isinstance(x, bool):
        return None
    if isinstance(x, TensorBase):
        return int(x.item()) if (<TensorBase>x).nd == 0 and rt_kind((<TensorBase>x).dt) == RT_KIND_INT else None
    if isinstance(x, int):
        check_size(x)
        return x
    if hasattr(type(x), "__index__") and type(x).__name__ not in ("bool", "bool_"):
        return x.__index__()
    return None


cdef object as_ints(object function, object name, object given):
    """A tuple or list with what is no int in it made one; itself where all are."""
    cdef list made = None
    for i, item in enumerate(given):
        number = as_int(item)
        if number is None:
            raise TensorTypeError(f"{function.__name__}(): argument '{name}' must be tuple of ints, but found element of type "
                                  f"{type(item).__name__} at pos {i}", op=function.__name__, argument=name)
        if number is not item:
            if made is None:
                made = list(given)
            made[i] = number
    return given if made is None else tuple(made)


cdef object as_real(object x, int kind):
    """The number that PyTorch takes x for, or None: a tensor of one element is one. kind: FLOAT, NUMBER (may be complex, an int of 64 bits)
    or REAL (as NUMBER, of a real value)."""
    if isinstance(x, (str, bytes)):
        return None
    if isinstance(x, TensorBase):
        if (<TensorBase>x).nd or kind == RT_ARG_FLOAT and rt_kind((<TensorBase>x).dt) == RT_KIND_COMPLEX:
            return None
        return x if (<TensorBase>x).dev & 255 == RT_SHELL else x.item()
    if kind == RT_ARG_FLOAT and isinstance(x, int):
        return float(x)
    if isinstance(x, int):
        check_size(x)
    if isinstance(x, (int, float)):
        return x
    if isinstance(x, complex):
        if kind == RT_ARG_REAL:
            raise TensorValueError(f"value cannot be converted to type double without overflow: {x}")
        return None if kind == RT_ARG_FLOAT else x
    if hasattr(type(x), "__float__") and getattr(x, "ndim", 0) == 0:
        return float(x) if kind == RT_ARG_FLOAT or not hasattr(x, "item") else x.item()
    return None


cdef object fit(object function, object name, Py_ssize_t place, int kind, object given):
    """What the function gets for `given`; raise TypeError where that is not of its kind."""
    global rt_tensor_type
    cdef int base = kind & ~RT_ARG_OR_NONE
    if given is not None:
        if base in (RT_ARG_TENSOR, RT_ARG_TENSOR_OR_NUMBER, RT_ARG_TENSOR_OR_INT, RT_ARG_TENSOR_OR_INTS) and isinstance(given, TensorBase):
            if rt_tensor_type == NULL and type(given).__base__ is TensorBase:
                kind_of_given = type(given)
                rt_tensor_type = <void *>kind_of_given
            return given
        found = None
        if base == RT_ARG_TENSOR_OR_NUMBER:
            found = as_real(given, RT_ARG_NUMBER)
        elif base == RT_ARG_BOOL:
            found = bool(given) if type(given).__name__ in ("bool", "bool_") and type(given).__module__ == "numpy" else None
        elif base == RT_ARG_INT or base == RT_ARG_TENSOR_OR_INT:
            found = as_int(given)
        elif base in (RT_ARG_INTS, RT_ARG_INTS_OR_STR, RT_ARG_SIZE, RT_ARG_INTS_OR_FLAG, RT_ARG_TENSOR_OR_INTS):
            if isinstance(given, (tuple, list)):
                found = as_ints(function, name, given)
            elif isinstance(given, bool):
                found = given if base == RT_ARG_INTS_OR_FLAG and place >= 0 else None
            elif isinstance(given, str):
                found = given if base == RT_ARG_INTS_OR_STR else None
            elif isinstance(given, TensorBase):          # PyTorch takes a tensor of one integer for a list of one
                if base != RT_ARG_SIZE and (<TensorBase>given).nd <= 1 and (<TensorBase>given).n == 1 and rt_kind((<TensorBase>given).dt) == RT_KIND_INT:
                    found = int(given.item())
            elif base != RT_ARG_SIZE:
                found = as_int(given)
        elif base == RT_ARG_OUT:
            found = given if isinstance(given, (TensorBase, tuple, list)) else None
        elif base == RT_ARG_FORMAT:
            found = given if type(given).__name__ == "memory_format" else None
        elif base == RT_ARG_FLOAT or base == RT_ARG_NUMBER or base == RT_ARG_REAL:
            found = as_real(given, base)
        elif base == RT_ARG_STR:
            found = given if isinstance(given, str) else None
        elif base == RT_ARG_DTYPE:
            found = given if isinstance(given, dtype) or given in (float, int, bool, complex) else None
        elif base == RT_ARG_TENSORS:
            found = given if isinstance(given, (tuple, list)) or hasattr(type(given), "__next__") else None
            if isinstance(given, (tuple, list)):
                for i, item in enumerate(given):
                    if not isinstance(item, TensorBase):
                        raise TensorTypeError(f"{function.__name__}(): expected Tensor as element {i} in argument '{name}', but got {type(item).__name__}",
                                              op=function.__name__, argument=name)
        if found is not None:
            return found
    where = f" (position {place + 1})" if place >= 0 else ""
    raise TensorTypeError(f"{function.__name__}(): argument '{name}'{where} must be {kind_words[base]}, not {type(given).__name__}",
                          op=function.__name__, argument=name)

rt_fit_hook = fit
rt_dtype_type = <void *>dtype


@final
cdef class Demand:
    """What a function asks of its arguments' dtypes.

    Args:
        function: the function itself.
        names: its arguments.
        takes: {argument: letters of the dtypes that it may have}: b bool, i integers, u uint8, h float16, g bfloat16, f the wider floats, c complex.
        alike: names of the arguments that must be of one dtype.
        scalars: names of numbers: a complex one belongs to complex tensors.
        no_bool: a bool belongs to tensors of bool, too.
    """
    cdef object function
    cdef tuple names
    cdef unsigned int takes[32]
    cdef unsigned int alike, scalars
    cdef bint no_bool

    def __init__(self, function, tuple names, dict takes, alike, scalars, bint no_bool):
        cdef int i
        self.function, self.names = function, names
        self.alike = self.scalars = 0
        self.no_bool = no_bool
        for i in range(min(len(names), 32)):
            self.takes[i] = 0
            letters = takes.get(names[i])
            if letters is not None:
                for dt in range(32):
                    if letter_of(dt) in letters or dt == RT_U8 and "u" in letters:
                        self.takes[i] |= 1u << dt
            self.alike |= <unsigned int>(names[i] in alike) << i
            self.scalars |= <unsigned int>(names[i] in scalars) << i


cdef str letter_of(int dt):
    if dt == RT_F16 or dt == RT_BF16:
        return "h" if dt == RT_F16 else "g"
    return "bifc"[rt_kind(dt)] if dt < RT_NDTYPES else "?"


cdef object unmet(Demand demand, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, str what, str argument):
    """The error; the TypeError of a call that does not fit the signature where that is wrong, too."""
    import inspect
    names = [name if name in demand.names else {"axis": "dim", "keepdims": "keepdim"}.get(name, name) for name in (<tuple>kwnames if kwnames is not NULL else ())]
    try:
        inspect.signature(demand.function).bind(*[<object>args[i] for i in range(n)], **{name: None for name in names})
    except TypeError as error:
        return TensorTypeError(f"{demand.function.__name__}() {error}", op=demand.function.__name__)
    return DTypeError(what, op=demand.function.__name__, argument=argument)


cdef int meet(Demand demand, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) except -1:
    """Raise DTypeError where a tensor's dtype is none that the function takes, or not that of the tensors it must be like."""
    cdef Py_ssize_t i, j, total = n + (len(<tuple>kwnames) if kwnames is not NULL else 0)
    cdef TensorBase t, first = None, like = None
    cdef int first_at = 0
    cdef object x
    for j in range(total):
        i = j
        if j >= n:
            for i in range(len(demand.names)):
                if demand.names[i] is (<tuple>kwnames)[j - n]:
                    break
            else:
                continue
        if i >= 32:
            continue
        x = <object>args[j]
        if isinstance(x, TensorBase):
            t = <TensorBase>x
            if first is None:
                first = t
            if demand.takes[i] and not demand.takes[i] >> t.dt & 1 and (t.dev & 255 == RT_CPU or t.dt != RT_F16 and t.dt != RT_BF16):
                name = demand.function.__name__
                raise unmet(demand, args, n, kwnames, f"\"{name}\" not implemented for '{torch_name(t.dt)}' (argument '{demand.names[i]}')", demand.names[i])
            if demand.alike >> i & 1:
                if like is None:
                    like, first_at = t, i
                elif t.dt != like.dt:
                    name = demand.function.__name__
                    raise unmet(demand, args, n, kwnames, f"{name}(): expected '{demand.names[i]}' to have the dtype of '{demand.names[first_at]}', "
                                f"{dtype_of(like.dt)}, but got {dtype_of(t.dt)}", demand.names[i])
        elif demand.scalars >> i & 1 and first is not None:
            if isinstance(x, complex) and rt_kind(first.dt) != RT_KIND_COMPLEX:
                raise TensorValueError(f"{demand.function.__name__}(): argument '{demand.names[i]}': value cannot be converted to type "
                                       f"{dtype_of(first.dt)} without overflow: {x}", op=demand.function.__name__)
            if demand.no_bool and isinstance(x, bool) and rt_kind(first.dt) != RT_KIND_BOOL:
                raise TensorValueError(f"{demand.function.__name__}(): Boolean {demand.names[i]} only supported for Boolean results.",
                                       op=demand.function.__name__)
    return 0

rt_demand_hook = <RtDemandHook>meet


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


def count_overriding(int change, bint of_class=False):
    """Change the number of reasons to ask: classes with __torch_function__, modes entered."""
    global rt_overriding, overriding_classes
    rt_overriding += change
    if of_class:
        overriding_classes += change
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
        return 0 if found == RT_SHELL else found
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
        rt_devices |= peek_backend(i) is not NULL


def shell(cls, TensorBase value not None):
    """Return an instance of cls, a subclass of Tensor, that has the shape of ``value[0]`` and its dtype, but no elements to compute with.

    A kernel that is given one raises, since the back end of such tensors does not exist; so cls must answer every call itself.
    """
    cdef TensorBase out = <TensorBase?>cls.__new__(cls)
    out.dt = value.dt
    out.dev = RT_SHELL
    out.stor = value.stor
    out.ptr = value.ptr
    set_dims(out, value.nd - 1, value.sh + 1, NULL)
    return out


cdef dict faces = {}                     # function -> what public() made of it


def known(fn, rule=0, host_only=0):
    """Return the callable that stands before fn: what a pickle of a function without a public name says."""
    return faces.get(fn) or public(fn, rule, host_only)


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
    face = rt_function_new(fn, renames, rule, host_only, <PlainCall><size_t>plain_calls.get(fn, 0), NAMES.get(getattr(fn, "__name__", None)))
    faces[fn] = face
    return face
