"""The devices' random streams: Philox 4x32-10, a seed and an offset each."""
from ..tensor import device as _device_type
from ..tensor._random import device_generator, seed_devices
from . import _index, _load

__all__ = ["get_rng_state", "get_rng_state_all", "initial_seed", "manual_seed", "manual_seed_all", "seed", "seed_all", "set_rng_state", "set_rng_state_all"]


def _generator(device, what):
    return device_generator(_device_type("cuda", _index(device, what)))


def get_rng_state(device="cuda"):
    """Return the state of a device's stream: a uint8 tensor of 16 elements on the CPU, seed and offset."""
    return _generator(device, "get_rng_state").get_state()


def get_rng_state_all():
    """Return the states of all devices' streams, a list."""
    return [get_rng_state(i) for i in range(_load())]


def set_rng_state(new_state, device="cuda"):
    """Let a device's stream go on from a state that :func:`get_rng_state` (or PyTorch's) returned."""
    _generator(device, "set_rng_state").set_state(new_state)


def set_rng_state_all(new_states):
    """Let all devices' streams go on from a list of states."""
    for i, state in enumerate(new_states):
        set_rng_state(state, i)


def manual_seed(seed):
    """Seed the stream of the current device; without devices there is nothing to seed."""
    seed = int(seed)
    if _load():
        _generator(None, "manual_seed").manual_seed(seed)


def manual_seed_all(seed):
    """Seed the streams of all devices."""
    seed_devices(int(seed))


def seed():
    """Seed the stream of the current device from the system's entropy."""
    if _load():
        _generator(None, "seed").seed()


def seed_all():
    """Seed the streams of all devices from the system's entropy, all with one seed."""
    count = _load()
    if count:
        start = _generator(0, "seed_all").seed()
        for i in range(1, count):
            _generator(i, "seed_all").manual_seed(start)


def initial_seed():
    """Return the seed of the current device's stream."""
    return _generator(None, "initial_seed").initial_seed()
