"""The default random stream: seeds, states, and a block that leaves them alone."""
from contextlib import contextmanager

from .tensor import default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = ["set_rng_state", "get_rng_state", "manual_seed", "seed", "initial_seed", "fork_rng", "default_generator"]


@contextmanager
def fork_rng(devices=None, enabled=True, device_type="cuda"):
    """Run a block, then put the default stream back where it was.

    Args:
        devices: further devices whose streams to keep; only the CPU has one so far, so it must be
            None or empty.
        enabled: whether to do anything.
        device_type: kind of the further devices.

    Raises:
        BackendUnavailableError: a device without a random stream is named.
    """
    if not enabled:
        yield
        return
    if devices:
        from .errors import BackendUnavailableError
        raise BackendUnavailableError(f"fork_rng: no random stream exists on {device_type} devices {list(devices)}", op="fork_rng")
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
