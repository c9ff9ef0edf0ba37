"""Sobol sequences: PyTorch's very numbers."""
import numpy as np
import pytest

import rustorch_py as rt

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dimension", [1, 2, 7, 300, 21201])
def test_direction_numbers(dimension):
    mine, theirs = (t.quasirandom.SobolEngine(dimension) for t in (rt, torch))
    np.testing.assert_array_equal(mine.sobolstate.numpy(), theirs.sobolstate.numpy())


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
@pytest.mark.parametrize("scramble, seed", [(False, None), (True, 0), (True, 12345), (True, None)])
@pytest.mark.parametrize("dimension", [1, 3, 20, 500])
def test_points(dimension, scramble, seed, dtype):
    engines = []
    for t in (rt, torch):
        t.manual_seed(5)
        engines.append(t.quasirandom.SobolEngine(dimension, scramble=scramble, seed=seed))
    assert repr(engines[0]) == repr(engines[1])

    def same(ask):
        mine, theirs = (ask(e, t) for e, t in zip(engines, (rt, torch)))
        assert mine.dtype == getattr(rt, str(theirs.dtype).partition(".")[2]) and mine.stride() == theirs.stride()
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
        assert engines[0].num_generated == engines[1].num_generated
        np.testing.assert_array_equal(engines[0].quasi.numpy(), engines[1].quasi.numpy())
    kind = lambda t: dtype and getattr(t, dtype)
    same(lambda e, t: e.draw(dtype=kind(t)))
    same(lambda e, t: e.draw(37, dtype=kind(t)))
    same(lambda e, t: e.fast_forward(1000).draw(3, dtype=kind(t)))
    same(lambda e, t: e.reset().draw_base2(6, dtype=kind(t)))
    same(lambda e, t: e.draw(5, out=t.empty(0, dtype=kind(t))))
    same(lambda e, t: e.reset().fast_forward(100).draw(9, dtype=kind(t)))
    same(lambda e, t: e.draw(0, dtype=kind(t)))


@pytest.mark.parametrize("wrong", [
    lambda t: t.quasirandom.SobolEngine(0), lambda t: t.quasirandom.SobolEngine(21202), lambda t: t.quasirandom.SobolEngine(3).fast_forward(3).draw_base2(1),
    lambda t: t.quasirandom.SobolEngine(3).draw(-1), lambda t: t.quasirandom.SobolEngine(3).draw(4, dtype=t.float16),
    lambda t: t.quasirandom.SobolEngine(3).draw(4, dtype=t.int64),
])
def test_errors(wrong):
    with pytest.raises((ValueError, RuntimeError)) as theirs:
        wrong(torch)
    with pytest.raises(theirs.type) as mine:
        wrong(rt)
    assert str(mine.value).splitlines()[0] == str(theirs.value).splitlines()[0]
