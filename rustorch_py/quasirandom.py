"""Quasi-random numbers: points that fill the unit cube more evenly than independent ones."""
from . import tensor as _t
from .errors import TensorValueError

__all__ = ["SobolEngine"]


class SobolEngine:
    """Draws the points of a (scrambled) Sobol sequence, by Joe and Kuo's direction numbers.

    Args:
        dimension: of the points, 1 to 21201.
        scramble: mix the sequence by random matrices and a random shift (Matousek's scrambling), for other points that are as even.
        seed: of a random generator for the scrambling; None: the default generator goes on.

    Raises:
        ValueError: no such dimension.

    Example:
        >>> rustorch_py.quasirandom.SobolEngine(dimension=2).draw(3)
        tensor([[0.0000, 0.0000],
                [0.5000, 0.5000],
                [0.7500, 0.2500]])
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension, scramble=False, seed=None):
        if dimension > self.MAXDIM or dimension < 1:
            raise TensorValueError(f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]", op="SobolEngine")
        self.seed, self.scramble, self.dimension = seed, scramble, dimension
        self.sobolstate = _t.empty(dimension, self.MAXBIT, device="cpu", dtype=_t.int64)
        _t._sobol_engine_initialize_state_(self.sobolstate, dimension)
        if scramble:
            self._scramble()
        else:
            self.shift = _t.zeros(dimension, device="cpu", dtype=_t.int64)
        self.quasi = self.shift.clone()
        self._first_point = (self.quasi / 2 ** self.MAXBIT).reshape(1, -1)
        self.num_generated = 0

    def draw(self, n=1, out=None, dtype=None):
        """Return the next ``n`` points: (n, dimension).

        Args:
            n: how many.
            out: tensor to write to; it gets their size.
            dtype: float32 or float64; None: the default float dtype.
        """
        dtype = _t.get_default_dtype() if dtype is None else dtype
        if self.num_generated:
            result, self.quasi = _t._sobol_engine_draw(self.quasi, n, self.sobolstate, self.dimension, self.num_generated - 1, dtype=dtype)
        elif n == 1:
            result = self._first_point.to(dtype)
        else:
            result, self.quasi = _t._sobol_engine_draw(self.quasi, n - 1, self.sobolstate, self.dimension, 0, dtype=dtype)
            result = _t.cat((self._first_point.to(dtype), result))
        self.num_generated += n
        return result if out is None else out.resize_as_(result).copy_(result)

    def draw_base2(self, m, out=None, dtype=None):
        """Return the next ``2**m`` points; the number of all points drawn must then be a power of two, which keeps them balanced."""
        n = 2 ** m
        total = self.num_generated + n
        if total & (total - 1):
            raise TensorValueError("The balance properties of Sobol' points require n to be a power of 2. "
                                   f"{self.num_generated} points have been previously generated, then: n={self.num_generated}+2**{m}={total}. "
                                   "If you still want to do this, please use 'SobolEngine.draw()' instead.", op="SobolEngine.draw_base2")
        return self.draw(n=n, out=out, dtype=dtype)

    def reset(self):
        """Go back to the first point; return the engine."""
        self.quasi.copy_(self.shift)
        self.num_generated = 0
        return self

    def fast_forward(self, n):
        """Pass over ``n`` points; return the engine."""
        made = self.num_generated
        _t._sobol_engine_ff_(self.quasi, n if made else n - 1, self.sobolstate, self.dimension, made - 1 if made else 0)
        self.num_generated += n
        return self

    def _scramble(self):
        g = None
        if self.seed is not None:
            g = _t.Generator()
            g.manual_seed(self.seed)
        shift = _t.randint(2, (self.dimension, self.MAXBIT), device="cpu", generator=g)
        self.shift = (shift << _t.arange(self.MAXBIT, device="cpu")).sum(1)
        mix = _t.randint(2, (self.dimension, self.MAXBIT, self.MAXBIT), device="cpu", generator=g).tril()
        _t._sobol_engine_scramble_(self.sobolstate, mix, self.dimension)

    def __repr__(self):
        said = [f"dimension={self.dimension}"]
        if self.scramble:
            said.append("scramble=True")
        if self.seed is not None:
            said.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(said)})"
