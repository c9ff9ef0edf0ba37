"""The table of rows. `op` makes a row of one function of arrays, `task` one of a maker per library."""
from dataclasses import dataclass
from typing import Callable

CASES = []
FAMILIES = ("dispatch", "elementwise", "kernels", "reductions", "indexing", "gemm", "conv", "norms", "attention", "recurrent",
            "optimizers", "data", "training", "inference", "saving", "random")
NUMPY, ARRAYS, ALL = ("numpy",), ("numpy", "jax"), ("numpy", "jax", "mlx", "tinygrad")
TORCHLIKE = ("jax", "mlx", "tinygrad")      # what NumPy has no function for


@dataclass
class Case:
    """A row.

    Attributes:
        family, name: its place in the table; the name is unique.
        make: ``make(peer) -> run``, the thing to time: a function of no arguments whose result is compared with
            PyTorch's; called once a library.
        peers: libraries beside ours and PyTorch, by name.
        nbytes, flops: memory traffic at least needed and arithmetic of one call, for the shares of the machine's limits.
        check: takes from a result what is compared, when that is not all (the order of equal elements is free in a sort).
        rtol, atol: allowed difference from PyTorch's result; None compares nothing (the result is no number).
        heavy: left out by --quick.
        wants: the ratio to PyTorch that is aimed at.
    """
    family: str
    name: str
    make: Callable
    peers: tuple = ()
    nbytes: float = 0
    flops: float = 0
    check: Callable | None = None
    rtol: float | None = 1e-4
    atol: float = 1e-5
    heavy: bool = False
    wants: float = 0.95


def add(case):
    if case.family not in FAMILIES:
        raise ValueError(f"{case.name}: unknown family {case.family!r}; expected one of {', '.join(FAMILIES)}")
    if any(case.name == other.name for other in CASES):
        raise ValueError(f"two rows are named {case.name!r}")
    CASES.append(case)


def op(family, name, fn, *inputs, peers=(), dtype=None, others=None, **options):
    """Add the row ``fn(m, *inputs)``, `m` being each library's namespace (torch, numpy, jax.numpy, mlx.core, tinygrad's tensors).

    Args:
        inputs: functions of a NumPy generator that give the arrays; each library gets the same values.
        peers: libraries whose namespace spells `fn` the same way.
        others: functions of libraries that spell it otherwise, by name.
        dtype: a name; floats of `inputs` are converted to it in every library.
    """
    others = others or {}

    def make(peer):
        import numpy
        generator = numpy.random.default_rng(0)
        arrays = [peer.array(make_input(generator), dtype) for make_input in inputs]
        return peer.bind(others.get(peer.name, fn), arrays)
    add(Case(family, name, make, (*peers, *others), **options))


def task(family, name, make, others=None, **options):
    """Add a row that uses PyTorch's API beyond one call: ``make(t)`` with `t` torch or rustorch_py returns the function to time.

    Args:
        others: other libraries' makers by name, ``maker(module)``; those that `make` carries as its attribute `others` if None.
    """
    others = others or getattr(make, "others", {})

    def build(peer):
        if peer.name in others:
            return peer.finish(others[peer.name](peer.module))
        peer.module.manual_seed(0)
        return make(peer.module)
    add(Case(family, name, build, tuple(others), **options))


def jax_compiled(forward, *shapes, gradients=True):
    """JAX's maker of ``forward(m, *leaves)``, with `gradients` of the gradients of all leaves for a gradient of ones: one function for jax.jit."""
    def make(m):
        import jax
        import numpy
        generator = numpy.random.default_rng(0)
        leaves = [m.asarray(generator.standard_normal(shape, dtype="float32")) for shape in shapes]

        if not gradients:
            plain = jax.jit(lambda *inputs: forward(m, *inputs))
            return lambda: plain(*leaves)
        one = m.ones_like(forward(m, *leaves))            # an argument: a product with ones that the compiler knows would be a sum

        @jax.jit
        def run(one, *leaves):
            return jax.vjp(lambda *inputs: forward(m, *inputs), *leaves)[1](one)
        return lambda: run(one, *leaves)
    return make


def randn(*shape):
    """Normal float32 values of a shape."""
    return lambda generator: generator.standard_normal(shape, dtype="float32")


def uniform(*shape, low=0.01, high=1.0):
    return lambda generator: generator.uniform(low, high, shape).astype("float32")


def integers(low, high, *shape):
    return lambda generator: generator.integers(low, high, shape)


def bools(*shape):
    return lambda generator: generator.random(shape) < 0.5


def load():
    """Return the whole table, in the order of the families."""
    if not CASES:
        from . import cases
        cases.load()
        CASES.sort(key=lambda case: FAMILIES.index(case.family))
    return CASES
