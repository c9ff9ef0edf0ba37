"""The libraries that are compared: how each is imported, fed, called and waited for."""
import importlib
import importlib.metadata
import importlib.util
import os

from . import _spellings
from ._statement import Statement

OURS, REFERENCE = "rustorch_py", "torch"
# name: (module whose presence decides, module that makes arrays, distribution)
KNOWN = {"rustorch_py": ("rustorch_py", "rustorch_py", "rustorch_py"), "torch": ("torch", "torch", "torch"), "numpy": ("numpy", "numpy", "numpy"),
         "jax": ("jaxlib", "jax.numpy", "jax"), "mlx": ("mlx", "mlx.core", "mlx"), "tinygrad": ("tinygrad", "tinygrad", "tinygrad")}

OTHERS = ("jax", "mlx", "tinygrad")          # where they took part, a result has a name of its own


class Peer:
    """One library.

    Attributes:
        name: ours, "torch", "numpy", "jax", "mlx" or "tinygrad".
        module: what a row's function is given.
        version: of the installed distribution.
    """

    def __init__(self, name):
        self.name = name
        self.module = importlib.import_module(KNOWN[name][1])
        self.version = importlib.metadata.version(KNOWN[name][2]) if name != OURS else self.module.__version__

    def array(self, values, dtype=None):
        """This library's array with the values of a NumPy array; `dtype` converts floats."""
        array = self.module.from_numpy(values)
        return array.to(getattr(self.module, dtype)) if dtype and values.dtype.kind == "f" else array

    def bind(self, fn, arrays):
        """``fn(module, *arrays)`` as a function of no arguments."""
        module = self.module
        if len(arrays) == 1:
            a, = arrays
            return lambda: fn(module, a)
        if len(arrays) == 2:
            a, b = arrays
            return lambda: fn(module, a, b)
        return lambda: fn(module, *arrays)

    def finish(self, run):
        """Make `run` wait for its result, where the library computes later."""
        return run


class Numpy(Peer):
    def array(self, values, dtype=None):
        return values


class Jax(Peer):
    """`fn` is compiled by jax.jit, as its users do; arrays are arguments, so that nothing is folded away."""

    def __init__(self, name):
        super().__init__(name)
        self.module = _spellings.jax_face()

    def array(self, values, dtype=None):
        return self.module.asarray(values, dtype if values.dtype.kind == "f" else None)

    def bind(self, fn, arrays):
        import jax
        compiled = jax.jit(lambda *inputs: fn(self.module, *inputs))
        return lambda: jax.block_until_ready(compiled(*arrays))

    def finish(self, run):
        import jax
        if isinstance(run, Statement):
            return run.waiting(jax.block_until_ready)
        return lambda: jax.block_until_ready(run())


class Mlx(Peer):
    def __init__(self, name):
        super().__init__(name)
        self.module = _spellings.mlx_face()

    def array(self, values, dtype=None):
        return self.module.array(values, getattr(self.module, dtype) if dtype and values.dtype.kind == "f" else None)

    def bind(self, fn, arrays):
        return self.finish(super().bind(fn, arrays))

    def finish(self, run):
        evaluate = self.module.eval

        def evaluated(result):
            evaluate(result)
            return result
        return run.waiting(evaluated) if isinstance(run, Statement) else lambda: evaluated(run())


class Tinygrad(Peer):
    """`fn` is captured by TinyJit, as its users do: uncaptured, a call takes milliseconds."""

    def __init__(self, name):
        super().__init__(name)
        self.tensor, self.module = self.module.Tensor, _spellings.TensorMethods()
        (self.tensor([1.0]) + 1).realize()                           # fails where there is no clang

    def array(self, values, dtype=None):
        array = self.tensor(values)
        return (array.cast(dtype) if dtype and values.dtype.kind == "f" else array).realize()

    def bind(self, fn, arrays):
        from tinygrad import TinyJit
        run = TinyJit(lambda *inputs: fn(self.module, *inputs).realize())
        for _ in range(3):                                           # plain, captured, replayed
            run(*arrays)
        return lambda: run(*arrays)

    def finish(self, run):
        return run.waiting(lambda result: result.realize()) if isinstance(run, Statement) else lambda: run().realize()


def load(threads):
    """Import every library that is installed, each told to use `threads` threads; returns peers by name.

    Call it before NumPy is imported: its OpenBLAS reads the environment once.
    """
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, str(threads))
    # NumPy's OpenBLAS spins for 24 ms after a call, on the processor that the next library's turn needs: 2^4 cycles instead of 2^26
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}")
    os.environ.setdefault("DEV", "CPU")
    peers = {}
    kinds = {"numpy": Numpy, "jax": Jax, "mlx": Mlx, "tinygrad": Tinygrad}
    for name, (marker, _, _) in KNOWN.items():
        if importlib.util.find_spec(marker) is None:
            continue
        try:
            peers[name] = kinds.get(name, Peer)(name)
        except (ImportError, OSError, RuntimeError) as error:
            if name == OURS:
                raise
            print(f"{name} is installed but does not work, so it is left out: {error}")
    for name in (OURS, REFERENCE):
        if name in peers:
            peers[name].module.set_num_threads(threads)
    return peers
