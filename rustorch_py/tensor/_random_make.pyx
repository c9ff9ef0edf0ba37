# build: cold
"""Tensors made of random numbers: rand, randn, randint, randperm and those like another tensor."""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from ._base cimport (
    TensorBase, RtArray, RT_BOOL, RT_I64, RT_KIND_FLOAT, RT_KIND_COMPLEX, rt_kind, as_base, bump, empty, fill_array)
from ._create cimport check_layout, finish, like, make
from ._dtype cimport default_code, device_code, dtype_code, dtype_of, torch_name
from ._function cimport set_plain_call
from ._random cimport (
    RtRandom, digits, draw, draw_permutation, drawn_here, drawn_there, int_max, integer, no_grad_here, only, out_of_bounds, random_range,
    run_normal, run_uniform, stream)
from ._random import normal_, uniform_
from ._view cimport plain_sizes
from ..errors import DTypeError, TensorTypeError, TensorValueError, UnsupportedOpError


cdef TensorBase room(str op, tuple size, object kw_size, object out, object dtype, object layout, object device, object pin_memory):
    """The tensor a factory fills: `out` resized, or a new one."""
    if not size and kw_size is None:
        raise TensorTypeError(f"{op}() needs a size: ints, or one sequence of ints", op=op)
    if out is not None and dtype is not None and as_base(op, "out", out).dt != dtype_code(op, dtype):
        raise DTypeError(f"{op}: dtype {dtype} does not match dtype of out parameter ({dtype_of((<TensorBase>out).dt)})", op=op)
    return make(op, size, kw_size, out, dtype, layout, device, pin_memory)


def rand(*size_, size=None, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return uniform numbers in [0, 1).

    Args:
        *size: ints, or one sequence of ints.
        generator: stream to draw from; the default one if None.
        out: tensor to write into; it is resized.
        dtype: float or complex; default: the default float dtype.

    Example:
        >>> _ = manual_seed(0)
        >>> rand(3)
        tensor([0.4963, 0.7682, 0.0885])
    """
    cdef TensorBase t
    cdef RtRandom *g = stream("rand", generator)
    t = room("rand", size_, size, out, dtype, layout, device, pin_memory)
    run_uniform(t, generator, g, 0, 1)
    return finish("rand", t, requires_grad)


def randn(*size_, size=None, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return normal numbers of mean 0 and variance 1. Arguments as of :func:`rand`."""
    cdef TensorBase t
    cdef RtRandom *g = stream("randn", generator)
    t = room("randn", size_, size, out, dtype, layout, device, pin_memory)
    run_normal(t, generator, g, 0, 1)
    return finish("randn", t, requires_grad)


def randint(*args, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, **named):
    """Return whole numbers in [low, high): ``randint(high, size)`` or ``randint(low, high, size)``.

    Args:
        low, high: ints; low is 0 if not given.
        size: sequence of ints.
        dtype: int64 if None.
    """
    cdef list values = list(args)
    cdef TensorBase t
    only("randint", named, ("low", "high", "size"))
    names = [name for name in ("low", "high", "size") if name not in named]
    if len(values) == len(names) - 1 and names[:1] == ["low"]:       # (high, size): low is 0
        names.pop(0)
        named["low"] = 0
    if len(values) != len(names):
        raise TensorTypeError("randint() takes (high, size) or (low, high, size); got "
                              f"{tuple([type(a).__name__ for a in args])} and {sorted(named)}", op="randint")
    named.update(zip(names, values))
    low, high, size = named["low"], named["high"], named["size"]
    if not isinstance(size, (tuple, list)):
        raise TensorTypeError(f"randint(): argument 'size' must be tuple of ints, not {type(size).__name__}", op="randint")
    integer("randint", "low", low)
    integer("randint", "high", high)
    if dtype is None and out is None:
        dtype = dtype_of(RT_I64)
    t = room("randint", (size,), None, out, dtype, layout, device, pin_memory)
    finish("randint", t, requires_grad)                                 # refuses before anything is drawn
    with no_grad_here():
        return random_range("randint", t, low, high, generator)


def randperm(n, *, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Return 0 ... n-1 in random order.

    Args:
        n: how many.
        dtype: int64 if None; it must hold n - 1 (a float: n exactly).
    """
    cdef TensorBase t
    cdef RtArray a
    cdef int64_t count = integer("randperm", "n", n)
    cdef int dt
    cdef RtRandom *g = stream("randperm", generator)
    if dtype is None and out is None:
        dtype = dtype_of(RT_I64)
    dt = as_base("randperm", "out", out).dt if out is not None else dtype_code("randperm", dtype)
    if dt == RT_BOOL or rt_kind(dt) == RT_KIND_COMPLEX:
        raise UnsupportedOpError(f"\"randperm\" not implemented for '{torch_name(dt)}'", op="randperm")
    if rt_kind(dt) == RT_KIND_FLOAT and count > (<int64_t>1 << digits(dt)) + 1:
        raise TensorValueError(f"randperm: n cannot be greater than {(<int64_t>1 << digits(dt)) + 1} for {dtype_of(dt)}, got {count}",
                               op="randperm")
    if rt_kind(dt) < RT_KIND_FLOAT and count > 0 and count > int_max(dt):
        out_of_bounds("randperm", "n", count, dt)
    t = room("randperm", (count,), None, out, dtype, layout, device, pin_memory)
    finish("randperm", t, requires_grad)
    if drawn_here(t, generator):
        fill_array(t, &a)
        draw_permutation(g, &a, count)
    elif drawn_there(t):
        draw("random_permutation", t, generator, ())
    if out is not None:
        bump(t)
    return t


def rand_like(input, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, memory_format=None):
    """Return uniform numbers in [0, 1) in the shape, dtype and layout of `input`."""
    cdef TensorBase t
    stream("rand_like", generator)
    check_layout("rand_like", layout, pin_memory)
    t = like("rand_like", input, dtype, layout, device, memory_format)
    uniform_(t, generator=generator)
    return finish("rand_like", t, requires_grad)


def randn_like(input, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, memory_format=None):
    """Return standard normal numbers in the shape, dtype and layout of `input`."""
    cdef TensorBase t
    stream("randn_like", generator)
    check_layout("randn_like", layout, pin_memory)
    t = like("randn_like", input, dtype, layout, device, memory_format)
    normal_(t, generator=generator)
    return finish("randn_like", t, requires_grad)


def randint_like(input, *args, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
                 memory_format=None, **named):
    """Return whole numbers like `input`: ``randint_like(input, high)`` or ``randint_like(input, low, high)``."""
    cdef TensorBase t
    only("randint_like", named, ("low", "high"))
    if len(args) + len(named) > 2 or (len(args) == 2 and named):
        raise TensorTypeError("randint_like() takes (input, high) or (input, low, high)", op="randint_like")
    if "high" in named:
        low, high = args[0] if args else named.get("low", 0), named["high"]
    elif args:
        low, high = (args[0], args[1]) if len(args) == 2 else (named.get("low", 0), args[0])
    else:
        raise TensorTypeError("randint_like() takes (input, high) or (input, low, high)", op="randint_like")
    high = high.item() if isinstance(high, TensorBase) and (<TensorBase>high).n == 1 else high
    integer("randint_like", "low", low)
    integer("randint_like", "high", high)
    check_layout("randint_like", layout, pin_memory)
    t = like("randint_like", input, dtype, layout, device, memory_format)
    finish("randint_like", t, requires_grad)
    with no_grad_here():
        return random_range("randint_like", t, low, high, generator)

# ---- calls of ints alone, without parsing arguments --------------------------------------------------------------
cdef TensorBase plain_room(PyObject *const *args, Py_ssize_t n, int dt):
    """A new tensor of the sizes in args; None: the function itself looks."""
    cdef int64_t sh[16]
    cdef int nd = plain_sizes(args, n, sh), i
    for i in range(nd):
        if sh[i] < 0:
            return None
    return None if nd < 0 else empty(nd, sh, dt, device_code(None, None))


cdef object plain_rand(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = plain_room(args, n, default_code())
    return None if t is None else run_uniform(t, None, stream("rand", None), 0, 1)


cdef object plain_randn(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t = plain_room(args, n, default_code())
    return None if t is None else run_normal(t, None, stream("randn", None), 0, 1)


cdef object plain_randint(PyObject *const *args, Py_ssize_t n):
    cdef TensorBase t
    if n < 2 or n > 3 or type(<object>args[0]) is not int or type(<object>args[n - 2]) is not int or type(<object>args[n - 1]) is not tuple:
        return None
    t = plain_room(args + n - 1, 1, RT_I64)
    if t is None:
        return None
    return random_range("randint", t, <object>args[0] if n == 3 else 0, <object>args[n - 2], None)


set_plain_call(rand, plain_rand)
set_plain_call(randn, plain_randn)
set_plain_call(randint, plain_randint)


FUNCTIONS = {"rand": rand, "rand_like": rand_like, "randn": randn, "randn_like": randn_like, "randint": randint, "randint_like": randint_like,
             "randperm": randperm}
METHODS = {}
