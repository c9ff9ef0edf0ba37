# build: sources=random.c,random_each.c,random_engine.c cold
"""Random numbers on the CPU: Generator and in-place fills.

Every draw is PyTorch's for the same seed; Note [Same numbers as PyTorch] in random.h says how.

Threads: a Generator has no lock of its own. A fill runs under the GIL from first to last draw, so
threads that share a generator see whole fills in some order, as in PyTorch.
"""
cimport cython
from cpython.object cimport PyTypeObject
from libc.stdint cimport INT64_MAX, INT64_MIN
from libc.string cimport memcpy
from ._backend cimport backend_of
from ._node cimport Node
from ._base cimport (
    RT_BOOL, RT_U8, RT_I8, RT_I16, RT_I32, RT_I64, RT_F16, RT_BF16, RT_F32, RT_F64, RT_KIND_FLOAT, RT_KIND_INT, RT_KIND_COMPLEX, RT_CPU,
    RT_SHELL, RT_META, RT_DEVICE_TYPE, rt_kind, rt_real_dtype, as_base, attach, empty as new_empty,
    fill_array, grad_mode, set_grad_mode, shape_tuple)
from ._dtype cimport device_code, device_of, dtype_of, torch_name
from ._ops cimport expand_to, inplace_begin, inplace_end
from ._cpu cimport isa_level, rt_num_threads
from ._plan cimport full_
from ._devices import kernel_of, run as run_on_device

from ..errors import (
    AutogradError, BackendUnavailableError, DeviceError, DTypeError, IntOverflowError, ShapeError, TensorError, TensorTypeError,
    TensorValueError, UnsupportedOpError)

cdef extern from "rustorch/half.h" nogil:
    ctypedef struct rt_f16:
        pass
    ctypedef struct rt_bf16:
        pass
    float rt_f16_to_f32(rt_f16 h)
    rt_f16 rt_f32_to_f16(float f)
    float rt_bf16_to_f32(rt_bf16 h)
    rt_bf16 rt_f32_to_bf16(float f)


# ---- generators ------------------------------------------------------------------------------------

cdef uint64_t seed_of(object seed) except? 0:
    """A Python int as the 64 bits of a seed; negative ones wrap, as in PyTorch."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TensorTypeError(f"manual_seed expected a long, but got {type(seed).__name__}", op="manual_seed")
    try:
        seed = seed.__index__()
        return <uint64_t>seed if seed >= 0 else <uint64_t><int64_t>seed
    except OverflowError:
        raise TensorValueError(f"manual_seed: seed {seed} must lie in [-2**63, 2**64)", op="manual_seed") from None


cdef bint draws(object device_type) except -1:
    """Whether a device type's back end draws numbers."""
    return kernel_of(device_type, "random_uniform") is not None


cdef object fresh_seed():
    from os import urandom
    return int.from_bytes(urandom(8), "little")


cdef extern from "type_name.h":
    int rt_type_name(PyTypeObject *type, const char *name) except -1


cdef class Generator:
    """A stream of random numbers with a seed and a state.

    Args:
        device: where the numbers are made: ``"cpu"`` (a Mersenne Twister) or a device whose back end draws numbers (``"cuda"``:
            Philox 4x32-10, whose state is a seed and an offset).

    Raises:
        BackendUnavailableError: the device has no generator.

    Example:
        >>> g = Generator().manual_seed(0)
        >>> rand(2, generator=g)
        tensor([0.4963, 0.7682])
    """

    def __cinit__(self, device="cpu"):
        self.dev = device_code("Generator", device)
        if self.dev != 0:
            backend_of(self.dev)            # starts it, or says why there is none
        if self.dev != 0 and not draws(device_of(self.dev).type):
            raise BackendUnavailableError(
                f"Generator: no random numbers are made on device '{device}'; use Generator('cpu') and move the tensors",
                op="Generator", device=device)
        rt_random_seed(&self.g, RT_RANDOM_DEFAULT_SEED)

    @property
    def device(self):
        """The device of the stream."""
        return device_of(self.dev)

    def _take(self, uint64_t increment):
        """Advance a device's stream by `increment`, rounded up to a multiple of 4.

        Returns:
            (seed, offset, words): where to draw from. While a graph is captured `words` is a tensor of the device with the seed and
            the offset that the replay starts from, and `offset` counts from there; else it is None.
        """
        cdef uint64_t seed, offset
        words = self.take(increment, &seed, &offset)
        return seed, offset, words

    cdef object take(self, uint64_t increment, uint64_t *seed, uint64_t *offset):
        """:meth:`_take` for Cython; returns words."""
        cdef bint captured = self.words is not None
        seed[0] = 0 if captured else self.g.seed
        offset[0] = self.offset - self.captured_from if captured else self.offset
        self.offset += (increment + 3) // 4 * 4
        return self.words

    def _capture(self, words):
        """Draw through a tensor of the device (seed, offset) from now on; None ends it and returns how far the stream went."""
        cdef uint64_t went = self.offset - self.captured_from
        self.words = words
        if words is not None:
            self.captured_from = self.offset
            return None
        self.offset = self.captured_from
        return went

    def manual_seed(self, seed):
        """Start the stream of a seed anew and return self.

        Args:
            seed: an int in [-2**63, 2**64); negative ones count from the top.
        """
        rt_random_seed(&self.g, seed_of(seed))
        self.offset = 0
        return self

    def seed(self):
        """Start from a seed that the system's entropy source gives, and return the seed."""
        cdef object seed = fresh_seed()
        self.manual_seed(seed)
        return seed

    def initial_seed(self):
        """Return the seed the stream was last started from."""
        return self.g.seed

    def get_state(self):
        """Return the state as a uint8 tensor on the CPU, byte for byte PyTorch's: 5056 elements, of a device's stream 16 (seed, offset)."""
        cdef int64_t n = RT_RANDOM_STATE_NBYTES if self.dev == 0 else 16
        cdef TensorBase t = new_empty(1, &n, RT_U8, 0)
        if self.dev == 0:
            rt_random_get_state(&self.g, <uint8_t *>t.ptr)
        else:
            memcpy(t.ptr, &self.g.seed, 8)
            memcpy(t.ptr + 8, &self.offset, 8)
        return t

    def set_state(self, new_state):
        """Go on from a state that ``get_state`` (or PyTorch's) returned."""
        cdef TensorBase t
        cdef uint8_t state[5056]
        cdef int64_t i
        if not isinstance(new_state, TensorBase):
            raise TensorTypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}", op="set_state")
        t = <TensorBase>new_state
        if t.dt != RT_U8 or t.dev != 0:
            raise TensorTypeError(f"RNG state must be a torch.ByteTensor, got {dtype_of(t.dt)} on {device_of(t.dev)}", op="set_state")
        if self.dev != 0:
            if t.nd != 1 or (t.n != 16 and t.n != 8):
                raise TensorError(f"RNG state is wrong size: expected 16 bytes (seed, offset), got shape {shape_tuple(t)}", op="set_state")
            for i in range(t.n):
                state[i] = (<uint8_t *>t.ptr)[i * t.st[0]]
            memcpy(&self.g.seed, state, 8)
            self.offset = 0
            if t.n == 16:
                memcpy(&self.offset, state + 8, 8)
            return
        if t.n != RT_RANDOM_STATE_NBYTES or t.nd != 1:
            raise TensorError(f"set_state: expected {RT_RANDOM_STATE_NBYTES} bytes, got shape {shape_tuple(t)}", op="set_state")
        for i in range(t.n):
            state[i] = (<uint8_t *>t.ptr)[i * t.st[0]]
        if rt_random_set_state(&self.g, state):
            raise TensorError("set_state: Invalid mt19937 state: the bytes are not a state of this generator", op="set_state")

    def clone_state(self):
        """Return a new generator that goes on from the same state."""
        cdef Generator other = Generator(device_of(self.dev))
        other.g = self.g
        other.offset = self.offset
        return other

    def get_offset(self):
        """Return how far a device's stream has gone: a multiple of 4."""
        if self.dev == 0:
            raise DeviceError("get_offset: CPU Generator does not use offset", op="get_offset")
        return self.offset

    def set_offset(self, offset):
        """Go on from an offset of a device's stream, a multiple of 4."""
        if self.dev == 0:
            raise DeviceError("set_offset: CPU Generator does not use offset", op="set_offset")
        if offset % 4:
            raise TensorValueError(f"set_offset: offset must be a multiple of 4, got {offset}", op="set_offset")
        self.offset = <uint64_t>offset

    def graphsafe_get_state(self):
        """Return a generator that stands for the state, as :meth:`clone_state`."""
        return self.clone_state()

    def graphsafe_set_state(self, state):
        """Go on from the state of another generator; returns self."""
        if not isinstance(state, Generator) or (<Generator>state).dev & 0xff != self.dev & 0xff:
            raise TensorTypeError(f"graphsafe_set_state: expected a Generator on {device_of(self.dev).type}", op="graphsafe_set_state")
        self.g = (<Generator>state).g
        self.offset = (<Generator>state).offset
        return self

    def __copy__(self):
        return self.clone_state()

    def __deepcopy__(self, memo):
        return self.clone_state()

    def __reduce__(self):
        return Generator, (self.device,), (self.initial_seed(), None, self.get_state())

    def __setstate__(self, state):
        self.manual_seed(state[0])
        self.set_state(state[2])


rt_type_name(<PyTypeObject *>Generator, b"rustorch_py._C.Generator")

default_generator = Generator()
default_generator.seed()
cdef Generator default_stream = default_generator
cdef dict device_streams = {}   # device code -> its default Generator, made when it is first asked for
cdef object device_seed = None  # what those start from; None: entropy


def device_generator(device):
    """Return the default generator of a device; starts from the last :func:`manual_seed`, else from entropy."""
    return generator_of(device_code("default_generator", device))


cdef object generator_of(int dev):
    if dev == 0:
        return default_generator
    found = device_streams.get(dev)
    if found is None:
        found = Generator(device_of(dev))
        if device_seed is None:
            found.seed()
        else:
            found.manual_seed(device_seed)
        device_streams[dev] = found
    return found


def used_generators(device_type=None):
    """Return the default generators of devices (of one type) that exist by now."""
    return [g for g in device_streams.values() if device_type is None or g.device.type == device_type]


def seed_devices(seed):
    """Seed the default generators of all devices, those not yet made too; None: each from the system's entropy."""
    global device_seed
    device_seed = seed
    for found in device_streams.values():
        if seed is None:
            found.seed()
        else:
            found.manual_seed(seed)


cdef RtRandom *stream(object op, object generator) except NULL:
    rt_random_set_isa(isa_level(), rt_num_threads())
    if generator is None:
        return &default_stream.g
    if isinstance(generator, Generator):
        return &(<Generator>generator).g
    raise TensorTypeError(f"{op}(): argument 'generator' must be torch.Generator, not {type(generator).__name__}", op=op)


def manual_seed(seed):
    """Seed the default generators of the CPU and all devices; returns the CPU's.

    Args:
        seed: anything ``int()`` takes; the value in [-2**63, 2**64).
    """
    seed = int(seed)
    seed_devices(seed)
    return default_generator.manual_seed(seed)


def seed():
    """Seed the default generator from the system's entropy and return the seed."""
    found = default_generator.seed()
    seed_devices(found)
    return found


def initial_seed():
    """Return the seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state():
    """Return the state of the default generator (uint8, 5056 elements)."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Set the state of the default generator."""
    default_generator.set_state(new_state)


# ---- in-place fills: the frame -------------------------------------------------------------------------

cdef int refuse(object op, TensorBase t) except -1:
    raise UnsupportedOpError(f"\"{op}\" not implemented for '{torch_name(t.dt)}'", op=op, dtype=dtype_of(t.dt))


cdef class ZeroBackward(Node):
    """Of numbers that do not depend on the inputs' values: zeros of the inputs' shapes."""
    cdef list likes           # an entry per edge: (shape, dtype code)
    cdef str label

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        cdef list grads = [zeros_of(shape, code) for shape, code in self.likes]
        return grads[0] if len(grads) == 1 else grads


cdef TensorBase zeros_of(tuple shape, int dt):
    cdef int64_t sh[64]
    cdef int i
    for i in range(<int>len(shape)):
        sh[i] = shape[i]
    return full_(<int>len(shape), sh, 0, dt, 0)


cdef Node forget(str label, TensorBase out, tuple inputs):
    """Record gradient zero from `out` to the inputs; None when no input wants one."""
    cdef ZeroBackward node
    if not grad_mode() or not any([x is not None and (<TensorBase>x).rg for x in inputs]):
        return None
    node = ZeroBackward.__new__(ZeroBackward)
    node.label = label
    node.likes = [((), RT_F32) if x is None else (shape_tuple(<TensorBase>x), (<TensorBase>x).dt) for x in inputs]
    attach(out, node, inputs)
    return node


cdef bint drawn_here(TensorBase t, object generator) except -1:
    """True on the CPU. False for tensors without memory (meta, no elements) and for those of devices: :func:`drawn_there`."""
    if generator is not None and RT_DEVICE_TYPE((<Generator>generator).dev) != RT_DEVICE_TYPE(t.dev) and RT_DEVICE_TYPE(t.dev) < RT_SHELL:
        raise TensorError(f"Expected a '{device_of(t.dev).type}' device type for generator but found '{device_of((<Generator>generator).dev).type}'")
    return RT_DEVICE_TYPE(t.dev) == RT_CPU and t.n != 0


cdef bint drawn_there(TensorBase t) noexcept:
    """Whether t is a device's and has elements."""
    return RT_DEVICE_TYPE(t.dev) != RT_CPU and RT_DEVICE_TYPE(t.dev) != RT_SHELL and t.n != 0


cdef object draw(str name, TensorBase t, object generator, tuple arguments):
    """Let the device fill t: Note [Kernels of devices] in _devices.py."""
    if RT_DEVICE_TYPE(t.dev) == RT_META:
        return None
    return run_on_device(name, t, generator_of(t.dev) if generator is None else generator, *arguments)


cdef object done(str label, TensorBase t):
    """End an in-place fill: the old history gets gradient zero, the version grows."""
    inplace_end(t, forget(label, t, (t,)) if t.rg and grad_mode() else None)
    return t


@cython.final
cdef class no_grad_here:
    def __enter__(self):
        self.before = grad_mode()
        set_grad_mode(False)

    def __exit__(self, *error):
        set_grad_mode(self.before)


cdef dict only(str op, dict named, tuple allowed):
    """Keyword arguments that Cython cannot spell (``from``); others are refused."""
    for key in named:
        if key not in allowed:
            raise TensorTypeError(f"{op}() got an unexpected keyword argument '{key}'", op=op)
    return named


cdef tuple two(str op, str first, double a, str second, double b, tuple args, dict named):
    """Two numbers that come by position or by name."""
    only(op, named, (first, second))
    if len(args) > 2 or (args and first in named) or (len(args) == 2 and second in named):
        raise TensorTypeError(f"{op}() takes ({first}={a}, {second}={b}), each once", op=op)
    return (number(op, first, args[0] if args else named.get(first, a)),
            number(op, second, args[1] if len(args) == 2 else named.get(second, b)))


cdef double number(str op, str arg, object x) except? -1.0:
    if isinstance(x, TensorBase) and (<TensorBase>x).nd:
        raise TensorTypeError(f"{op}(): argument '{arg}' must be float, not Tensor", op=op)
    try:
        return <double>x
    except TypeError:
        raise TensorTypeError(f"{op}(): argument '{arg}' must be float, not {type(x).__name__}", op=op) from None


cdef int64_t integer(str op, str arg, object x) except? -1:
    if isinstance(x, (float, bool)) or not hasattr(x, "__index__") or isinstance(x, TensorBase) and ((<TensorBase>x).nd or rt_kind((<TensorBase>x).dt) != RT_KIND_INT):
        raise TensorTypeError(f"{op}(): argument '{arg}' must be int, not {type(x).__name__}", op=op)
    try:
        return <int64_t>x.__index__()
    except OverflowError:
        raise IntOverflowError(f"{op}(): argument '{arg}' = {x} does not fit in 64 bits", op=op) from None


cdef int out_of_bounds(str op, str what, object value, int dt) except -1:
    raise TensorValueError(f"{op}: {what} = {value} is out of bounds for {dtype_of(dt)}", op=op)


# ---- in-place fills ----------------------------------------------------------------------------------------

def uniform_(input, *args, generator=None, **named):
    """Fill with uniform numbers: ``uniform_(from=0, to=1)``, the upper end excluded.

    Args:
        input: float or complex tensor (each part of a complex number is drawn).
        from, to: the interval.
        generator: stream to draw from; the default one if None.

    Raises:
        TensorError: to < from, or an end that the dtype cannot hold.
    """
    cdef TensorBase t = as_base("uniform_", "input", input)
    cdef double low, high
    cdef RtRandom *g = stream("uniform_", generator)
    low, high = two("uniform_", "from", 0.0, "to", 1.0, args, named)
    return run_uniform(t, generator, g, low, high)


cdef object run_uniform(TensorBase t, object generator, RtRandom *g, double low, double high):
    cdef RtArray a
    cdef double top
    if rt_kind(t.dt) < RT_KIND_FLOAT:
        refuse("check_uniform_bounds", t)
    top = largest(rt_real_dtype(t.dt))
    if not -top <= low <= top:
        out_of_bounds("uniform_", "from", low, t.dt)
    if not -top <= high <= top:
        out_of_bounds("uniform_", "to", high, t.dt)
    if low > high:
        raise TensorValueError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}", op="uniform_")
    if high - low > top:
        raise TensorValueError(f"uniform_: to - from = {high - low} is more than {dtype_of(t.dt)} can hold", op="uniform_")
    inplace_begin("uniform_", t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        rt_random_uniform(g, &a, low, high)
    elif drawn_there(t):
        draw("random_uniform", t, generator, (low, high))
    return done("UniformBackward0", t)


def normal_(input, mean=0, std=1, *, generator=None):
    """Fill with normal numbers of the given mean and standard deviation.

    A complex number gets half of the variance in each part.
    """
    cdef TensorBase t = as_base("normal_", "input", input)
    cdef double m = number("normal_", "mean", mean), s = number("normal_", "std", std)
    return run_normal(t, generator, stream("normal_", generator), m, s)


cdef object run_normal(TensorBase t, object generator, RtRandom *g, double m, double s):
    cdef RtArray a
    if not s >= 0:
        raise TensorValueError(f"normal expects std >= 0.0, but found std {s:g}", op="normal_")
    if rt_kind(t.dt) < RT_KIND_FLOAT:
        refuse("normal_kernel_cpu", t)
    inplace_begin("normal_", t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        rt_random_normal(g, &a, m, s)
    elif drawn_there(t):
        draw("random_normal", t, generator, (m, s))
    return done("NormalBackward0", t)


def log_normal_(input, mean=1, std=2, *, generator=None):
    """Fill with exp(x), x normal with this mean and standard deviation."""
    cdef TensorBase t = as_base("log_normal_", "input", input)
    cdef RtArray a
    cdef double m = number("log_normal_", "mean", mean), s = number("log_normal_", "std", std)
    cdef RtRandom *g = stream("log_normal_", generator)
    if not s > 0:
        raise TensorValueError(f"log_normal_ expects std > 0.0, but found std={std}", op="log_normal_")
    if rt_kind(t.dt) != RT_KIND_FLOAT:
        refuse("log_normal_cpu", t)
    inplace_begin("log_normal_", t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        rt_random_log_normal(g, &a, m, s)
    elif drawn_there(t):
        draw("random_log_normal", t, generator, (m, s))
    return done("LogNormalBackward0", t)


def cauchy_(input, median=0, sigma=1, *, generator=None):
    """Fill from the Cauchy distribution."""
    cdef TensorBase t = as_base("cauchy_", "input", input)
    cdef RtArray a
    cdef double m = number("cauchy_", "median", median), s = number("cauchy_", "sigma", sigma)
    cdef RtRandom *g = stream("cauchy_", generator)
    if not s > 0:
        raise TensorValueError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}", op="cauchy_")
    if rt_kind(t.dt) != RT_KIND_FLOAT:
        raise DTypeError("cauchy_: a continuous distribution needs a floating point dtype, got "
                         f"{dtype_of(t.dt)}", op="cauchy_")
    inplace_begin("cauchy_", t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        rt_random_cauchy(g, &a, m, s)
    elif drawn_there(t):
        draw("random_cauchy", t, generator, (m, s))
    return done("CauchyBackward0", t)


def exponential_(input, lambd=1, *, generator=None):
    """Fill from the exponential distribution of rate `lambd`."""
    cdef TensorBase t = as_base("exponential_", "input", input)
    cdef RtArray a
    cdef double rate = number("exponential_", "lambd", lambd)
    cdef RtRandom *g = stream("exponential_", generator)
    if not rate > 0:
        raise TensorValueError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}", op="exponential_")
    if rt_kind(t.dt) != RT_KIND_FLOAT:
        raise DTypeError("exponential_: a continuous distribution needs a floating point dtype, got "
                         f"{dtype_of(t.dt)}", op="exponential_")
    inplace_begin("exponential_", t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        rt_random_exponential(g, &a, rate)
    elif drawn_there(t):
        draw("random_exponential", t, generator, (rate, 0.0))
    return done("ExponentialBackward0", t)


def geometric_(input, p, *, generator=None):
    """Fill with the number of trials up to the first success of probability `p`."""
    cdef TensorBase t = as_base("geometric_", "input", input)
    cdef RtArray a
    cdef double chance = number("geometric_", "p", p)
    cdef RtRandom *g = stream("geometric_", generator)
    if not 0 < chance < 1:
        raise TensorValueError(f"geometric_ expects p to be in (0, 1), but got p={p}", op="geometric_")
    if t.dt == RT_BOOL or rt_kind(t.dt) == RT_KIND_COMPLEX:
        refuse("geometric_cpu", t)
    inplace_begin("geometric_", t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        rt_random_geometric(g, &a, chance)
    elif drawn_there(t):
        draw("random_geometric", t, generator, (chance,))
    return done("GeometricBackward0", t)


def bernoulli_(input, p=0.5, *, generator=None):
    """Fill with 1 with probability `p`, else 0.

    Args:
        p: a number, or a float tensor that broadcasts to the shape of `input`.
    """
    cdef TensorBase t = as_base("bernoulli_", "input", input)
    cdef RtArray a
    cdef double chance
    cdef RtRandom *g = stream("bernoulli_", generator)
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        refuse("bernoulli_scalar_cpu_", t)
    if isinstance(p, TensorBase):
        inplace_begin("bernoulli_", t)
        bernoulli_each(g, t, <TensorBase>p, generator)
        inplace_end(t, forget("BernoulliBackward0", t, (t, p)))
        return t
    chance = number("bernoulli_", "p", p)
    if not 0 <= chance <= 1:
        raise TensorValueError(f"bernoulli_ expects p to be in [0, 1], but got p={p}", op="bernoulli_")
    inplace_begin("bernoulli_", t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        rt_random_bernoulli(g, &a, chance)
    elif drawn_there(t):
        draw("random_bernoulli", t, generator, (chance,))
    return done("BernoulliBackward0", t)


cdef int bernoulli_each(RtRandom *g, TensorBase t, TensorBase p, object generator) except -1:
    cdef RtArray a, b
    cdef bint here = drawn_here(t, generator)
    if rt_kind(p.dt) != RT_KIND_FLOAT:
        refuse("bernoulli_tensor_cpu_p_", p)
    if not here and not drawn_there(t):
        return 0
    if p.nd > t.nd:
        raise ShapeError(f"bernoulli: probabilities of shape {shape_tuple(p)} do not broadcast to {shape_tuple(t)}", op="bernoulli")
    p = expand_to(p, t.nd, t.sh)
    if not here:
        draw("random_bernoulli_each", t, generator, (p,))
        return 0
    fill_array(t, &a)
    fill_array(p, &b)
    if rt_random_bernoulli_each(g, &a, &b):
        raise TensorValueError("bernoulli: every probability must lie in [0, 1]", op="bernoulli")
    return 0


def random_(input, *args, generator=None, **named):
    """Fill with whole numbers: ``random_()``, ``random_(to)``, ``random_(from, to)``.

    The upper end is excluded; ``to=None`` means all the dtype holds. Without arguments a float
    dtype gets 0 ... 2**digits, so that every number is exact.
    """
    cdef TensorBase t = as_base("random_", "input", input)
    cdef RtArray a
    cdef RtRandom *g = stream("random_", generator)
    only("random_", named, ("from", "to"))
    if len(args) > 2 or (args and "from" in named) or (len(args) == 2 and "to" in named):
        raise TensorTypeError("random_() takes (), (to) or (from, to)", op="random_")
    if len(args) == 2:
        return random_range("random_", t, args[0], args[1], generator)
    if args:
        return random_range("random_", t, args[0], named["to"], generator) if "to" in named else random_range("random_", t, 0, args[0], generator)
    if named:
        if "to" not in named:
            raise TensorTypeError("random_() takes (), (to) or (from, to)", op="random_")
        return random_range("random_", t, named.get("from", 0), named["to"], generator)
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        refuse("random_kernel_cpu", t)
    inplace_begin("random_", t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        rt_random_int(g, &a)
    elif drawn_there(t):
        top = int_max(t.dt) if rt_kind(t.dt) < RT_KIND_FLOAT else <int64_t>1 << digits(t.dt)
        draw("random_integers", t, generator, (top + 1, 0, t.dt == RT_I64 or t.dt == RT_F64))
    return done("RandomBackward0", t)


cdef object random_range(str op, TensorBase t, object from_, object to_, object generator):
    cdef RtArray a
    cdef RtRandom *g = stream(op, generator)
    cdef int64_t low = integer(op, "from", from_), high, last
    cdef uint64_t width
    cdef bint whole = False
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        raise DTypeError(f"{op}: handles only integral, floating-point and boolean types, got {dtype_of(t.dt)}", op=op)
    if to_ is not None:
        high = integer(op, "to", to_)
        if low >= high:
            raise TensorValueError(f"{op} expects 'from' to be less than 'to', but got from={low} >= to={high}", op=op)
        if rt_kind(t.dt) == RT_KIND_FLOAT:
            low = next_from(low, t.dt)
            high = next_to(high, t.dt)
            if low >= high:
                raise TensorValueError(f"{op}: no number of {dtype_of(t.dt)} lies in [{from_}, {to_})", op=op)
        last = high - 1
        width = <uint64_t>high - <uint64_t>low
    elif low != INT64_MIN:
        if rt_kind(t.dt) == RT_KIND_FLOAT:
            last = <int64_t>1 << digits(t.dt)
            low = next_from(low, t.dt)
            if low >= last:
                raise TensorValueError(f"{op}: from={low} must be less than {last}, the last whole number exact in {dtype_of(t.dt)}", op=op)
        else:
            last = int_max(t.dt)
        width = <uint64_t>last - <uint64_t>low + 1
    else:
        whole = True
        if t.dt != RT_I64 and t.dt != RT_F64 and t.dt != RT_F32 and t.dt != RT_BF16:
            refuse("random_full_64_bits_range_kernel_cpu", t)
    if not whole:
        check_range(op, low, last, t.dt)
    inplace_begin(op, t)
    if drawn_here(t, generator):
        fill_array(t, &a)
        if whole:
            rt_random_int_full64(g, &a)
        else:
            rt_random_int_range(g, &a, width, low)
    elif drawn_there(t):
        if whole:
            draw("random_integers", t, generator, (0, 0, True))
        else:
            draw("random_integers", t, generator, (width, low, width >= 1 << 28))
    return done("RandomBackward0", t)


cdef int check_range(str op, int64_t low, int64_t last, int dt) except -1:
    cdef double top
    cdef int64_t exact
    if rt_kind(dt) == RT_KIND_FLOAT:
        top = largest(dt)
        if not -top <= <double>low <= top:
            out_of_bounds(op, "from", low, dt)
        if not -top <= <double>last <= top:
            out_of_bounds(op, "to - 1", last, dt)
        exact = <int64_t>1 << digits(dt)
        if low < -exact or low > exact or last < -exact or last > exact:
            from warnings import warn
            warn(f"{op}: numbers beyond 2**{digits(dt)} are not all exact in {dtype_of(dt)}, so [{low}, {last}] "
                 "is not drawn evenly", UserWarning, stacklevel=3)
        return 0
    if low < int_min(dt) or low > int_max(dt):
        out_of_bounds(op, "from", low, dt)
    if last < int_min(dt) or last > int_max(dt):
        out_of_bounds(op, "to - 1", last, dt)
    return 0


cdef int digits(int dt) noexcept:
    """Bits of a float's significand, the hidden one included."""
    return 53 if dt == RT_F64 else 24 if dt == RT_F32 else 11 if dt == RT_F16 else 8


cdef double largest(int dt) noexcept:
    if dt == RT_F64:
        return 1.7976931348623157e308
    return 3.4028234663852886e38 if dt == RT_F32 else 65504.0 if dt == RT_F16 else 3.3895313892515355e38


cdef int64_t int_max(int dt) noexcept:
    return (1 if dt == RT_BOOL else 255 if dt == RT_U8 else 127 if dt == RT_I8 else 32767 if dt == RT_I16 else
            2147483647 if dt == RT_I32 else INT64_MAX)


cdef int64_t int_min(int dt) noexcept:
    return 0 if dt == RT_BOOL or dt == RT_U8 else -int_max(dt) - 1


cdef int64_t through(int64_t v, int dt) noexcept:
    """v as a number of the float dtype, back as an int64."""
    cdef double d
    if dt == RT_F64:
        d = <double>v
    elif dt == RT_F32:
        d = <double><float>v
    elif dt == RT_F16:
        d = rt_f16_to_f32(rt_f32_to_f16(<float>v))
    else:
        d = rt_bf16_to_f32(rt_f32_to_bf16(<float>v))
    if not -9223372036854775808.0 <= d < 9223372036854775808.0:
        return INT64_MIN                # an integer conversion out of range, as x86 does it
    return <int64_t>d


cdef int64_t step_near(int64_t v, int dt) noexcept:
    """Distance of neighbouring numbers of the dtype just below |v|."""
    cdef uint64_t u = <uint64_t>v if v >= 0 else 0 - <uint64_t>v
    cdef int n = 0
    while u > 1:
        u >>= 1
        n += 1
    n -= digits(dt) - 1
    return <int64_t>1 << n if n > 0 else 0


# Rounding a drawn whole number to the dtype must not leave [from, to): the ends move inwards to
# numbers that the dtype holds.
cdef int64_t next_from(int64_t low, int dt) noexcept:
    cdef int64_t up
    if low == INT64_MAX:
        return low
    up = through(low + 1, dt)
    return up + step_near(low + 1, dt) if up < low else low


cdef int64_t next_to(int64_t high, int dt) noexcept:
    cdef int64_t down = through(high - 1, dt)
    return down - step_near(high - 1, dt) if down >= high else high


# ---- for other modules: random*.c are linked into this one only -------------------------------------------------

cdef int draw_dropout(int dt, void *y, const void *x, uint8_t *keep, int64_t n, double p) noexcept:
    rt_random_set_isa(isa_level(), rt_num_threads())
    return rt_random_dropout(&default_stream.g, dt, y, x, keep, n, p)


cdef int apply_mask(int dt, void *y, const void *x, const uint8_t *keep, int64_t n, double p) noexcept:
    return rt_dropout_backward(dt, y, x, keep, n, p)


cdef int draw_rrelu(RtRandom *g, int dt, void *y, void *slope, const void *x, int64_t n, double low, double high) noexcept:
    return rt_random_rrelu(g, dt, y, slope, x, n, low, high)


cdef int draw_gamma(RtRandom *g, const RtArray *out, const RtArray *shape) noexcept:
    return rt_random_gamma(g, out, shape)


cdef int draw_poisson(RtRandom *g, const RtArray *out, const RtArray *rate) noexcept:
    return rt_random_poisson(g, out, rate)


cdef int draw_binomial(RtRandom *g, int dt, void *out, const void *count, const void *p, int64_t n) noexcept:
    return rt_random_binomial(g, dt, out, count, p, n)


cdef void draw_permutation(RtRandom *g, const RtArray *out, int64_t n) noexcept:
    rt_random_permutation(g, out, n)


cdef int draw_multinomial(RtRandom *g, const RtArray *out, const RtArray *p) noexcept:
    return rt_random_multinomial(g, out, p)


FUNCTIONS = {
    "Generator": Generator, "default_generator": default_generator, "manual_seed": manual_seed, "seed": seed,
    "initial_seed": initial_seed, "get_rng_state": get_rng_state, "set_rng_state": set_rng_state,
}
METHODS = {
    "uniform_": uniform_, "normal_": normal_, "log_normal_": log_normal_, "cauchy_": cauchy_, "exponential_": exponential_,
    "geometric_": geometric_, "bernoulli_": bernoulli_, "random_": random_,
}
