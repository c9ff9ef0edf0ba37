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


def packed(rows, item, far, tensors):
    """Let elements that always move together move as one wider element, of up to 16 bytes.

    Args:
        rows: of :func:`merged` for two tensors that are copied and a third walk, which must stay where it is along the innermost row.
        item: bytes of an element.
        far: other steps of the two tensors.
        tensors: whose first elements must be aligned.

    Returns:
        tuple: rows, far and item, in wider elements where that is possible.
    """
    width = 16 // item
    while width > 1:
        if (rows[-1][1:] == [1, 1, 0] and all(n % width == 0 for n in (rows[-1][0], *far, *(n for row in rows[:-1] for n in row[1:3])))
                and all(t.data_ptr() % (item * width) == 0 for t in tensors)):
            outer = [[size, a // width, b // width, rest] for size, a, b, rest in rows[:-1]]
            return [*outer, [rows[-1][0] // width, 1, 1, 0]], [n // width for n in far], item * width
        width //= 2
    return rows, far, item
