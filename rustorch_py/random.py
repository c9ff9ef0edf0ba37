"""The default random stream: seeds, states, and a block that leaves them alone."""
from contextlib import contextmanager

from .tensor import default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from .tensor import _random as _streams

__all__ = ["set_rng_state", "get_rng_state", "manual_seed", "seed", "initial_seed", "fork_rng", "default_generator"]


@contextmanager
def fork_rng(devices=None, enabled=True, device_type="cuda"):
    """Run a block, then put the default stream back where it was.

    Args:
        devices: further devices, numbers or names, whose streams to keep; None: all that are in use.
        enabled: whether to do anything.
        device_type: kind of the further devices.

    Raises:
        BackendUnavailableError: a device without a random stream is named.
    """
    if not enabled:
        yield
        return
    kept = _streams.used_generators(device_type) if devices is None else [
        _streams.device_generator(f"{device_type}:{d}" if isinstance(d, int) else d) for d in devices]
    states = [(g, g.get_state()) for g in kept]
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
        for generator, its in states:
            generator.set_state(its)
