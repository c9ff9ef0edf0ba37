"""What a checkpoint holds so that a resumed run draws the very same numbers.

Note [Same numbers after a resume]
A run's future depends on: weights, optimizer, schedulers, the random generators, and where in the
loader's order it stands. The order is drawn when an epoch's iterator is made. So a checkpoint keeps
the generators' states at two points: when the current epoch's iterator was made, and now. To resume:
set the first, make the iterator, skip the batches done, set the second, go on.
"""
from __future__ import annotations

import random
import sys

from .. import tensor as _t

FORMAT = "rustorch-checkpoint-1"


def loader_generators(loader):
    """Return the generators that a loader draws its order from, each once."""
    found = []
    batch_sampler = getattr(loader, "batch_sampler", None)
    for owner in (loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)):
        generator = getattr(owner, "generator", None)
        if generator is not None and all(generator is not other for other in found):
            found.append(generator)
    return found


def rng_state(loader=None):
    """Return the states of all generators: ours, Python's, NumPy's if in use, the loader's own."""
    version, words, gauss = random.getstate()
    state = {"cpu": _t.get_rng_state(), "python": {"version": version, "words": _t.tensor(words, dtype=_t.int64),
                                                   "gauss": gauss}}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        name, keys, position, has_gauss, cached = numpy.random.get_state()
        state["numpy"] = {"name": name, "keys": _t.tensor(keys.tolist(), dtype=_t.int64), "position": int(position),
                          "has_gauss": int(has_gauss), "cached": float(cached)}
    state["loader"] = [generator.get_state() for generator in loader_generators(loader)]
    return state


def set_rng_state(state, loader=None):
    """Put back what `rng_state` returned."""
    _t.set_rng_state(state["cpu"])
    saved = state["python"]
    random.setstate((saved["version"], tuple(saved["words"].tolist()), saved["gauss"]))
    if "numpy" in state:
        import numpy
        saved = state["numpy"]
        numpy.random.set_state((saved["name"], numpy.array(saved["keys"].tolist(), dtype=numpy.uint32),
                                saved["position"], saved["has_gauss"], saved["cached"]))
    for generator, saved in zip(loader_generators(loader), state["loader"]):
        generator.set_state(saved)
