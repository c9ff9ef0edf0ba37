"""Random numbers: kernels/random.metal. A seed gives the same numbers on every Metal device; they are not those of PyTorch's MPS."""
from ... import tensor as _t
from ...tensor._devices import provide
from .._backend import launch


def _draw(name, t, generator, ints=(), numbers=(), others=(), each=4):
    """Launch for t's elements; where they do not lie one after another they are drawn beside it."""
    t = t.detach()
    target = t if t.is_contiguous() else _t.empty(t.shape, dtype=t.dtype, device=t.device)
    seed, offset = generator._take(4)[:2]
    seed = seed - (1 << 64) if seed >> 63 else seed
    threads = (t.numel() + each - 1) // each
    kernel = _t.uint8 if t.dtype == _t.bool else t.dtype
    launch("random.metal", name, (kernel,), (target, *others), (t.numel(), seed, offset, *ints), numbers, (threads + 255) // 256)
    if target is not t:
        t.copy_(target)


def uniform(t, generator, low, high):
    _draw("uniform", t, generator, numbers=(low, high - low))


def normal(t, generator, mean, std):
    _draw("normal", t, generator, numbers=(mean, std))


def bernoulli(t, generator, p):
    _draw("bernoulli", t, generator, numbers=(p,))


def integers(t, generator, width, low, wide):
    """width: of 2**64 numbers, 0; those are not drawn here."""
    width = width or 1 << 63
    _draw("integers", t, generator, (min(width, (1 << 63) - 1), low), each=2)


def dropout(y, generator, x, keep, p):
    """y = x * keep / (1 - p), keep drawn; all three have one order of memory without gaps."""
    seed, offset = generator._take(4)[:2]
    seed = seed - (1 << 64) if seed >> 63 else seed
    launch("random.metal", "dropout", (y.dtype,), (y, x, keep), (y.numel(), seed, offset), (1 - p, 0.0 if p == 1 else 1 / (1 - p)), ((y.numel() + 3) // 4 + 255) // 256)


def dropout_mask(y, x, keep, p):
    with _t.no_grad():
        y.detach().copy_(x.detach() * keep.detach() * (0.0 if p == 1 else 1 / (1 - p)))


provide("metal", {"random_uniform": uniform, "random_normal": normal, "random_bernoulli": bernoulli, "random_integers": integers, "random_dropout": dropout,
                  "dropout_mask": dropout_mask})
