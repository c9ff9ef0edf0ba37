"""How many threads a line of elements gets: kernels/line.h."""
BLOCK, WARP, LANES = range(3)
SHORT = 1024                                     # elements of a line that a warp takes


def way_of(n, neighbours=False):
    """Return the way and the lines of a block. n: elements of a line; neighbours: lines lie side by side."""
    if neighbours:
        return LANES, 32
    return (WARP, 8) if n <= SHORT else (BLOCK, 1)


def blocks(lines, per_block):
    return -(-lines // per_block)
