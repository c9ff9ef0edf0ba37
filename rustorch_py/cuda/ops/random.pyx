"""Random numbers on the device: Note [Same numbers as PyTorch's CUDA] in kernels/philox.h."""
import math
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from ... import tensor as _t
from ...errors import DTypeError
from ...tensor._base cimport TensorBase, empty, rt_itemsize, rt_kind, RT_F32, RT_F64, RT_C128, RT_KIND_COMPLEX
from ...tensor._devices import provide
from ...tensor._plan cimport cast_raw, contiguous_raw, copy_raw
from ...tensor._random cimport Generator
from .._backend import launch
from .._backend cimport Kernel, RtCall, point, processors, threads_at_once
from ._layout cimport Rows, add_dim, begin, end, put

cdef extern from "<math.h>" nogil:
    float fmaf(float, float, float)

TINY = {_t.float16: 2.0 ** -14, _t.bfloat16: 2.0 ** -126, _t.float32: 2.0 ** -126, _t.float64: 2.0 ** -1022}      # smallest normal numbers
cdef Kernel UNIFORM = Kernel("random.cuh", "uniform")
cdef Kernel NORMAL = Kernel("random.cuh", "normal")
cdef Kernel DROPOUT = Kernel("random.cuh", "dropout")
cdef Kernel MASK = Kernel("random.cuh", "mask")
cdef Kernel RRELU = Kernel("random.cuh", "rrelu")
cdef Kernel WHOLE = Kernel("random_whole.cuh", "whole")
cdef Kernel WIDE = Kernel("random_whole.cuh", "wide")
cdef Kernel BERNOULLI_EACH = Kernel("random_whole.cuh", "bernoulli_each")

cdef object ONE = 1                              # a Python number: shifts do not end at 64 bits


cdef int64_t blocks_of(TensorBase t, int64_t n) except -1:
    """Blocks of 256 threads that draw n numbers: no more than the device runs at once."""
    cdef int64_t most = <int64_t>processors(t.dev >> 8) * (threads_at_once(t.dev >> 8) // 256), want = (n + 255) // 256
    return min(most, want)


cdef int dims_of(Rows *r, TensorBase t, TensorBase other) except -1:
    """Sizes with the steps of t and another tensor (or None), in t's order of memory, merged."""
    cdef int order[64]
    cdef int i, j, d
    begin(r)
    for d in range(t.nd):
        i = d
        while i > 0 and t.st[order[i - 1]] < t.st[d]:
            order[i] = order[i - 1]
            i -= 1
        order[i] = d
    for i in range(t.nd):
        d = order[i]
        add_dim(r, t.sh[d], t.st[d], 0 if other is None else other.st[d], 0)
    end(r)
    return 0


cdef int take(Generator generator, uint64_t increment, Kernel kernel, RtCall *a, TensorBase t) except -1:
    """Advance the stream, and let the kernel draw from there: p[1], n[2], n[3]."""
    cdef uint64_t seed, offset
    point(kernel, a, 1, <TensorBase>generator.take(increment, &seed, &offset), t)
    a.n[2], a.n[3] = <int64_t>seed, <int64_t>offset
    return 0


cdef int fill(Kernel kernel, TensorBase t, Generator generator, double first, double second, int64_t per_call, int64_t width=0, int64_t low=0,
              bint whole=False) except -1:
    """Draw a number for each element of t; per_call: numbers that a call of the generator gives a thread."""
    cdef RtCall a
    cdef Rows r
    cdef TensorBase target
    cdef int64_t grid
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        t = <TensorBase>_t.view_as_real((<object>t).detach())
    target = t
    grid = blocks_of(t, t.n)
    take(generator, <uint64_t>(((t.n - 1) // (256 * grid * per_call) + 1) * 4), kernel, &a, t)
    dims_of(&r, t, None)
    if r.n > 20:                                                   # more than a kernel takes
        target = empty(t.nd, t.sh, t.dt, t.dev)
        dims_of(&r, target, None)
    point(kernel, &a, 0, target, t)
    a.n[0], a.n[1], a.n[4] = t.n, 0, r.n
    put(&a, 5, &r, 2)
    if whole:
        a.n[46], a.n[47] = width, low
    a.k[0], a.k[1] = first, second
    kernel.launch(t, t.dt, &a, grid)
    if target is not t:
        copy_raw(t, target)
    return 0


cdef int64_t calls(TensorBase t) noexcept:
    """Numbers that a call gives: two of float64."""
    return 2 if t.dt == RT_F64 or t.dt == RT_C128 else 4


def uniform(TensorBase t, Generator generator, double low, double high):
    fill(UNIFORM, t, generator, low, high, calls(t))


def normal(TensorBase t, Generator generator, double mean, double std):
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        if mean:
            raise DTypeError("normal_: a complex tensor takes mean 0 on a device", op="normal_")
        std = std / math.sqrt(2)
    fill(NORMAL, t, generator, mean, std, calls(t))


def continuous(str name):
    """The fill of a distribution with two parameters."""
    cdef Kernel kernel = Kernel("random.cuh", name)
    return lambda t, generator, a, b: fill(kernel, t, generator, a, b, calls(t))


def integers(TensorBase t, Generator generator, uint64_t width, int64_t low, bint wide):
    fill(WIDE if wide else WHOLE, t, generator, 0, 0, 2 if wide else 4, <int64_t>width, low, True)


def chance(str name):
    """The fill of a distribution of a chance."""
    cdef Kernel kernel = Kernel("random_whole.cuh", name)
    return lambda t, generator, p: fill(kernel, t, generator, p, 0, calls(t))


def bernoulli_each(TensorBase t, Generator generator, TensorBase p):
    cdef RtCall a
    cdef Rows r
    cdef TensorBase target = t
    p = cast_raw(p, RT_F64 if t.dt == RT_F64 else RT_F32)
    take(generator, 10, BERNOULLI_EACH, &a, t)
    dims_of(&r, t, p)
    if r.n > 14:
        target, p = empty(t.nd, t.sh, t.dt, t.dev), contiguous_raw(p)
        dims_of(&r, target, p)
    point(BERNOULLI_EACH, &a, 0, target, t)
    point(BERNOULLI_EACH, &a, 2, p, t)
    a.n[0], a.n[1], a.n[4] = t.n, 0, r.n
    put(&a, 5, &r, 3)
    BERNOULLI_EACH.launch(t, t.dt, &a, min((t.n + 1023) // 1024, <int64_t>1 << 30))
    if target is not t:
        copy_raw(t, target)


cdef double last_chance = -1                      # of the last call, and what came of it
cdef bint last_wide = False
cdef int64_t last_words = 0


cdef int64_t words_below(double chance, bint wide) noexcept:
    """How many words, from 0 on, make a number below a chance (rt_unit of philox.h: it grows with the word), compared as float32 or float64."""
    global last_chance, last_wide, last_words
    cdef int64_t low = 0, high = <int64_t>1 << 32, middle
    cdef float number
    if chance != last_chance or wide != last_wide:
        while low < high:
            middle = (low + high) // 2
            number = fmaf(<float>middle, <float>2.3283064e-10, <float>2.3283064e-10 / 2)
            if (number < chance) if wide else (number < <float>chance):
                low = middle + 1
            else:
                high = middle
        last_chance, last_wide, last_words = chance, wide, low
    return last_words


def dropout(TensorBase y, Generator generator, TensorBase x, TensorBase keep, double p):
    """y = x * keep / (1 - p), keep drawn; all three have one order of memory without gaps."""
    cdef RtCall a
    cdef int64_t n = y.n, grid = blocks_of(y, n), item = rt_itemsize(x.dt), side = 16 // item, count, below
    take(generator, <uint64_t>(((n - 1) // (1024 * grid) + 1) * 4), DROPOUT, &a, y)
    while side > 1 and (n % side or <uintptr_t>x.ptr % <uintptr_t>(side * item) or <uintptr_t>y.ptr % <uintptr_t>(side * item)):
        side //= 2
    point(DROPOUT, &a, 0, y, y)
    point(DROPOUT, &a, 2, x, y)
    point(DROPOUT, &a, 3, keep, y)
    below = words_below(1 - p, item == 8)
    a.n[0], a.n[1], a.n[4], a.n[5] = n, side, max(below - 1, <int64_t>0), below > 0
    a.k[0] = 1 - p
    count = side if side > 1 else 4
    DROPOUT.launch(y, y.dt, &a, grid, min((n - 1) // (256 * grid * count) + 1, <int64_t>65535))


def dropout_mask(TensorBase y, TensorBase x, TensorBase keep, double p):
    cdef RtCall a
    point(MASK, &a, 0, y, y)
    point(MASK, &a, 1, None, y)
    point(MASK, &a, 2, x, y)
    point(MASK, &a, 3, keep, y)
    a.n[0], a.k[0] = y.n, 0.0 if p == 1 else 1 / (1 - p)
    MASK.launch(y, y.dt, &a, (y.n * rt_itemsize(y.dt) + 8191) // 8192)


def rrelu(TensorBase y, Generator generator, TensorBase slope, TensorBase x, double low, double high):
    cdef RtCall a
    cdef int64_t n = y.n, grid = blocks_of(y, n)
    take(generator, <uint64_t>(((n - 1) // (256 * grid * calls(y)) + 1) * 4), RRELU, &a, y)
    point(RRELU, &a, 0, y, y)
    point(RRELU, &a, 2, x, y)
    point(RRELU, &a, 3, slope, y)
    a.n[0], a.n[1], a.k[0], a.k[1] = n, 0, low, high
    RRELU.launch(y, y.dt, &a, grid)


def _signed(x):
    """The 64 bits of a whole number as an int64."""
    return x - (ONE << 64) if x >= ONE << 63 else x


def _sample(kernel, increment, number=None):
    def run(out, generator, *parameters):
        target = out if out.is_contiguous() else _t.empty(out.shape, dtype=out.dtype, device=out.device)
        seed, offset, words = generator._take(increment)
        launch("random_sample.cuh", kernel, (out.dtype,), (target, words, *(p.detach().to(out.dtype).contiguous() for p in parameters)),
               (out.numel(), 0, _signed(seed), offset), () if number is None else (number(out.dtype),), grid=min(-(-out.numel() // 256), 1 << 30))
        if target is not out:
            out.copy_(target)
    return run


def multinomial(out, generator, weights):
    """Draws with replacement: a search in the running sums of each row's shares."""
    with _t.no_grad():
        rows = weights.detach().reshape(-1, weights.shape[-1])
        rows = rows.float() if rows.dtype in (_t.float16, _t.bfloat16) else rows
        sums = (rows / rows.sum(-1, keepdim=True)).cumsum(-1).contiguous()
    target = out if out.is_contiguous() else _t.empty(out.shape, dtype=out.dtype, device=out.device)
    draws = out.shape[-1]
    seed, offset, words = generator._take(4)
    launch("random_sample.cuh", "multinomial", (sums.dtype,), (target, words, sums), (out.numel(), 0, _signed(seed), offset, sums.shape[1], draws),
           grid=(-(-draws // 128), min(sums.shape[0], 65535)), block=128)
    if target is not out:
        out.copy_(target)


def permutation(out, generator):
    """0 ... n-1 sorted by random keys of as many bits as make equal ones rare; the order of equal ones is drawn too."""
    n = out.numel()
    bits = min(64, math.ceil(math.log2(n - (6.0 * n * n + 1) / (math.log(0.9) * 12))))
    key = _t.int32 if bits <= 32 else _t.int64
    keys = _t.empty(n, dtype=key, device=out.device)
    last = ONE << (31 if bits <= 32 else 63)
    integers(keys, generator, 2 * last - 1, -last, True)
    keys = keys.to(_t.int64)
    if bits < 64:
        keys = keys & ((ONE << bits) - 1)
    keys, order = _t.sort(keys, stable=True)
    seed, offset, words = generator._take(n)
    launch("random_sample.cuh", "shuffle_runs", (_t.float32,), (order, words, keys), (n, 0, _signed(seed), offset), grid=min(-(-n // 256), 1 << 30))
    out.copy_(order)


provide("cuda", {
    "random_uniform": uniform, "random_normal": normal, "random_log_normal": continuous("log_normal"), "random_cauchy": continuous("cauchy"),
    "random_exponential": continuous("exponential"), "random_integers": integers, "random_geometric": chance("geometric"),
    "random_bernoulli": chance("bernoulli"), "random_bernoulli_each": bernoulli_each, "random_dropout": dropout, "dropout_mask": dropout_mask,
    "random_rrelu": rrelu, "random_poisson": _sample("poisson", 20), "random_binomial": _sample("binomial", 42),
    "random_gamma": _sample("gamma", 10, TINY.__getitem__), "random_multinomial": multinomial, "random_permutation": permutation,
})
