"""Sizes and steps of tensors as kernels take them."""


def merged(shape, *steps):
    """Merge the neighbouring dimensions that several walks take as one.

    Args:
        shape: sizes, outermost first.
        steps: of each walk, in elements, as many as sizes (0: the walk stays where it is).

    Returns:
        list: [size, step of each walk] a dimension, outermost first, none of size 1; at least one. kernels/block.h, ``rt_offsets``.
    """
    rows = []
    for size, *walks in zip(shape, *steps):
        if size == 1:
            continue
        if rows and all(outer == inner * size for outer, inner in zip(rows[-1][1:], walks)):
            rows[-1] = [rows[-1][0] * size, *walks]
        else:
            rows.append([size, *walks])
    return rows or [[1] + [0] * len(steps)]


def numbers(rows):
    """The rows of :func:`merged` one after another."""
    return [n for row in rows for n in row]
