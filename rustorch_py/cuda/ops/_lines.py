"""How many threads a line of elements gets: kernels/line.h."""
from functools import lru_cache

from .._backend import properties

BLOCK, WARP, LANES = range(3)
SHORT = 1024                                     # elements of a line that a warp takes
_processors = {}                                 # device number -> multiprocessors


def processors(device):
    found = _processors.get(device)
    if found is None:
        found = _processors[device] = properties(device)["multi_processor_count"]
    return found


def way_of(n, neighbours=False):
    """Return the way and the lines of a block. n: elements of a line; neighbours: lines lie side by side."""
    if neighbours:
        return LANES, 32
    return (WARP, 8) if n <= SHORT else (BLOCK, 1)


def blocks(lines, per_block):
    return -(-lines // per_block)


def short(packs, few):
    """Return (log2 of a line's threads, packs a thread, threads of a block, lines of a block) for lines that are kept in registers, or None
    for those too long.

    Args:
        packs: of a line.
        few: how many packs a thread may have, ascending.
    """
    for lanes, choices in ((32, few[:1]), (256, few[:1]), (256, few), (512, few), (1024, few)):
        for count in choices:
            if lanes * count >= packs:
                least = max(1, -(-packs // count))
                log = (least - 1).bit_length()
                threads = max(256, 1 << log) if log <= 5 else 1 << log
                return log, count, threads, threads >> log
    return None


@lru_cache(4096)
def divisor(size):
    """The two numbers of an RtDivisor (kernels/plan.h): numbers below 2^31 by `size`."""
    shift = max(0, size - 1).bit_length()
    return (1 << 32) * ((1 << shift) - size) // size + 1, shift
