"""Random numbers on the device: Note [Same numbers as PyTorch's CUDA] in kernels/philox.h."""
import math

from ... import tensor as _t
from ...errors import DTypeError
from ...tensor._devices import provide
from .._backend import launch, properties
from ._layout import merged, numbers

TINY = {_t.float16: 2.0 ** -14, _t.bfloat16: 2.0 ** -126, _t.float32: 2.0 ** -126, _t.float64: 2.0 ** -1022}      # smallest normal numbers
_most_blocks = {}            # device number -> blocks of 256 threads that it runs at once


def _blocks(device, n):
    """Blocks of 256 threads that draw n numbers."""
    most = _most_blocks.get(device)
    if most is None:
        found = properties(device)
        most = _most_blocks[device] = found["multi_processor_count"] * (found["max_threads_per_multi_processor"] // 256)
    return min(most, -(-n // 256))


def _dims(t, *others):
    """Number of dimensions, then of each size and every tensor's step, in the first one's order of memory, merged."""
    order = sorted(range(t.ndim), key=lambda d: (-t.stride(d), d))
    rows = merged([t.shape[d] for d in order], *([x.stride(d) for d in order] for x in (t, *others)))
    return (len(rows), *numbers(rows))


def _signed(x):
    """The 64 bits of a whole number as an int64."""
    return x - (1 << 64) if x >= 1 << 63 else x


def _target(t, dims, most):
    """t, or where its dimensions are more than a kernel takes a new tensor to be copied into it, and the dimensions to walk."""
    return (t, dims) if len(dims) <= most else (new := _t.empty(t.shape, dtype=t.dtype, device=t.device), _dims(new))


def _fill(file, kernel, t, generator, parameters, per_call=4, tail=()):
    """Draw a number for each element of t."""
    t = t.detach()
    if t.dtype.is_complex:
        t = _t.view_as_real(t)
    n = t.numel()
    grid = _blocks(t.get_device(), n)
    seed, offset, words = generator._take(((n - 1) // (256 * grid * per_call) + 1) * 4)
    target, dims = _target(t, _dims(t), 42)
    ints = (n, 0, _signed(seed), offset, *dims)
    if tail:
        ints += (0,) * (46 - len(ints)) + tail
    launch(file, kernel, (t.dtype,), (target, words), ints, parameters, grid=grid)
    if target is not t:
        t.copy_(target)


def _calls(t):
    """Numbers that a call gives: two of float64."""
    return 2 if t.dtype in (_t.float64, _t.complex128) else 4


def uniform(t, generator, low, high):
    _fill("random.cuh", "uniform", t, generator, (low, high), _calls(t))


def normal(t, generator, mean, std):
    if t.dtype.is_complex:
        if mean:
            raise DTypeError("normal_: a complex tensor takes mean 0 on a device", op="normal_")
        std = std / math.sqrt(2)
    _fill("random.cuh", "normal", t, generator, (mean, std), _calls(t))


def _continuous(kernel):
    return lambda t, generator, a, b: _fill("random.cuh", kernel, t, generator, (a, b), _calls(t))


def integers(t, generator, width, low, wide):
    _fill("random_whole.cuh", "wide" if wide else "whole", t, generator, (), 2 if wide else 4, (_signed(width), low))


def _chance(kernel):
    return lambda t, generator, p: _fill("random_whole.cuh", kernel, t, generator, (p,), _calls(t))


def bernoulli_each(t, generator, p):
    p = p.detach().to(_t.float64 if t.dtype == _t.float64 else _t.float32)
    n, t = t.numel(), t.detach()
    seed, offset, words = generator._take(10)
    target, dims = t, _dims(t, p)
    if len(dims) > 44:
        target, p = _t.empty(t.shape, dtype=t.dtype, device=t.device), p.contiguous()
        dims = _dims(target, p)
    launch("random_whole.cuh", "bernoulli_each", (t.dtype,), (target, words, p), (n, 0, _signed(seed), offset, *dims), grid=min(-(-n // 1024), 1 << 30))
    if target is not t:
        t.copy_(target)


def dropout(y, generator, x, keep, p):
    """y = x * keep / (1 - p), keep drawn; all three have one order of memory without gaps."""
    n = y.numel()
    grid = _blocks(y.get_device(), n)
    seed, offset, words = generator._take(((n - 1) // (1024 * grid) + 1) * 4)
    side = 4
    while side > 1 and (n % side or x.data_ptr() % (side * x.element_size()) or y.data_ptr() % (side * x.element_size())):
        side //= 2
    launch("random.cuh", "dropout", (y.dtype,), (y, words, x, keep), (n, side, _signed(seed), offset), (1 - p,), grid=grid)


def dropout_mask(y, x, keep, p):
    launch("random.cuh", "mask", (y.dtype,), (y, None, x, keep), (y.numel(),), (0.0 if p == 1 else 1 / (1 - p),), grid=-(-y.numel() * y.dtype.itemsize // 8192))


def rrelu(y, generator, slope, x, low, high):
    n = y.numel()
    grid = _blocks(y.get_device(), n)
    seed, offset, words = generator._take(((n - 1) // (256 * grid * _calls(y)) + 1) * 4)
    launch("random.cuh", "rrelu", (y.dtype,), (y, words, x, slope), (n, 0, _signed(seed), offset), (low, high), grid=grid)


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
    last = 1 << (31 if bits <= 32 else 63)
    integers(keys, generator, 2 * last - 1, -last, True)
    keys = keys.to(_t.int64)
    if bits < 64:
        keys = keys & ((1 << bits) - 1)
    keys, order = _t.sort(keys, stable=True)
    seed, offset, words = generator._take(n)
    launch("random_sample.cuh", "shuffle_runs", (_t.float32,), (order, words, keys), (n, 0, _signed(seed), offset), grid=min(-(-n // 256), 1 << 30))
    out.copy_(order)


provide("cuda", {
    "random_uniform": uniform, "random_normal": normal, "random_log_normal": _continuous("log_normal"), "random_cauchy": _continuous("cauchy"),
    "random_exponential": _continuous("exponential"), "random_integers": integers, "random_geometric": _chance("geometric"),
    "random_bernoulli": _chance("bernoulli"), "random_bernoulli_each": bernoulli_each, "random_dropout": dropout, "dropout_mask": dropout_mask,
    "random_rrelu": rrelu, "random_poisson": _sample("poisson", 20), "random_binomial": _sample("binomial", 42),
    "random_gamma": _sample("gamma", 10, TINY.__getitem__), "random_multinomial": multinomial, "random_permutation": permutation,
})
