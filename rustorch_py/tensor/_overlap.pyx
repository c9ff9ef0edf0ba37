"""Where in memory the elements of tensors lie: do two tensors meet, does one fill a block?"""
from libc.stdint cimport int64_t
from ._base cimport TensorBase, F_CONTIG, rt_itemsize, same_shape
from ..errors import ShapeError


cdef bint overlaps(TensorBase a, TensorBase b) noexcept:
    """Do the memory ranges of two tensors meet?"""
    cdef char *ea = a.ptr
    cdef char *eb = b.ptr
    cdef int i
    if a.stor is not b.stor:
        return False
    for i in range(a.nd):
        ea += (a.sh[i] - 1) * a.st[i] * rt_itemsize(a.dt)
    for i in range(b.nd):
        eb += (b.sh[i] - 1) * b.st[i] * rt_itemsize(b.dt)
    return a.ptr <= eb and b.ptr <= ea


cdef bint same_strides(TensorBase a, TensorBase b) noexcept:
    cdef int i
    for i in range(a.nd):
        if a.st[i] != b.st[i] and a.sh[i] > 1:
            return False
    return True


cdef bint is_dense(TensorBase t) noexcept:
    cdef int64_t step = 1
    cdef int i, left = 0
    cdef bint found
    if t.flags & F_CONTIG:
        return True
    for i in range(t.nd):
        left += t.sh[i] != 1
    while left:                                # the dimension that begins where those before it end
        found = False
        for i in range(t.nd):
            if t.sh[i] != 1 and t.st[i] == step:
                step *= t.sh[i]
                left -= 1
                found = True
                break
        if not found:
            return False
    return True


cdef int refuse_overlap(object op, TensorBase out, TensorBase x, bint same) except -1:
    """Raise where two dense blocks share a part, as PyTorch does, which lets others pass; `same`: also where they are one block."""
    if x is None or x.stor is not out.stor or x.n == 0 or out.n == 0 or not overlaps(out, x) or not is_dense(out) or not is_dense(x):
        return 0
    if not same and same_shape(out, x) and x.ptr == out.ptr and x.dt == out.dt and same_strides(out, x):
        return 0                                # the same elements in the same order
    raise ShapeError("unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. "
                     "Please clone() the tensor before performing the operation.", op=op)
