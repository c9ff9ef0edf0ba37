"""Random numbers: kernels/random.metal. A seed gives the same numbers on every Metal device; they are not those of PyTorch's MPS."""
from ... import tensor as _t
from ...tensor._devices import provide
from .._backend import launch


def _signed(v):
    """The int64 of the lowest 64 bits of a whole number."""
    v &= (1 << 64) - 1
    return v - (1 << 64) if v >> 63 else v


def _stream(generator):
    """Take four numbers a thread of a generator's stream; returns seed and offset as kernels are given them."""
    seed, offset = generator._take(4)[:2]
    return _signed(seed), offset


def _draw(name, t, generator, ints=(), numbers=(), others=(), each=4):
    """Launch for t's elements; where they do not lie one after another they are drawn beside it."""
    t = t.detach()
    target = t if t.is_contiguous() else _t.empty(t.shape, dtype=t.dtype, device=t.device)
    seed, offset = _stream(generator)
    threads = (t.numel() + each - 1) // each
    kernel = _t.uint8 if t.dtype == _t.bool else t.dtype
    launch("random.metal", name, (kernel,), (target, *others), (t.numel(), seed, offset, *ints), numbers, (threads + 255) // 256)
    if target is not t:
        t.copy_(target)


def uniform(t, generator, low, high):
    _draw("uniform", t, generator, numbers=(low, high))


def normal(t, generator, mean, std):
    _draw("normal", t, generator, numbers=(mean, std))


def bernoulli(t, generator, p):
    _draw("bernoulli", t, generator, numbers=(p,))


def integers(t, generator, width, low, wide):
    """low + whole numbers below width, which is 0 for all 2 ** 64 of them. wide: not asked for, each number takes 64 bits."""
    _draw("integers", t, generator, (_signed(width), low), each=2)


def dropout(y, generator, x, keep, p):
    """y = x * keep / (1 - p), keep drawn; all three have one order of memory without gaps."""
    seed, offset = _stream(generator)
    launch("random.metal", "dropout", (y.dtype,), (y, x, keep), (y.numel(), seed, offset), (1 - p, 0.0 if p == 1 else 1 / (1 - p)), ((y.numel() + 3) // 4 + 255) // 256)


def dropout_mask(y, x, keep, p):
    with _t.no_grad():
        y.detach().copy_(x.detach() * keep.detach() * (0.0 if p == 1 else 1 / (1 - p)))


provide("metal", {"random_uniform": uniform, "random_normal": normal, "random_bernoulli": bernoulli, "random_integers": integers, "random_dropout": dropout,
                  "dropout_mask": dropout_mask})
