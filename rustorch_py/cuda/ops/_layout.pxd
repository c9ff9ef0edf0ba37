"""Sizes and steps of tensors as kernels take them."""
from libc.stdint cimport int64_t, uintptr_t
from .._backend cimport RtCall, RT_CALL_INTS

cdef struct Rows:                                # size, then the step of up to three walks, in elements; outermost first
    int n
    int64_t row[64][4]


cdef inline void begin(Rows *r) noexcept:
    r.n = 0


cdef inline void add_dim(Rows *r, int64_t size, int64_t a, int64_t b, int64_t c) noexcept:
    """The next dimension; it joins the one before where the walks take both as one. Steps may be 0: the walk stays where it is."""
    cdef int64_t *last
    if size == 1:
        return
    if r.n:
        last = r.row[r.n - 1]
        if last[1] == a * size and last[2] == b * size and last[3] == c * size:
            last[0] *= size
            last[1], last[2], last[3] = a, b, c
            return
    last = r.row[r.n]
    last[0], last[1], last[2], last[3] = size, a, b, c
    r.n += 1


cdef inline void end(Rows *r) noexcept:
    """At least one dimension. kernels/block.h, ``rt_offsets``."""
    if r.n == 0:
        r.row[0][0], r.row[0][1], r.row[0][2], r.row[0][3] = 1, 0, 0, 0
        r.n = 1


cdef inline int64_t count_of(const Rows *r) noexcept:
    cdef int i
    cdef int64_t n = 1
    for i in range(r.n):
        n *= r.row[i][0]
    return n


cdef inline int put(RtCall *a, int at, const Rows *r, int columns) except -1:
    """The rows one after another from n[at] on, of each its size and columns - 1 steps; returns the place behind."""
    cdef int i, j
    if at + r.n * columns > RT_CALL_INTS:
        raise ValueError(f"a kernel takes fewer dimensions than {r.n}")
    for i in range(r.n):
        for j in range(columns):
            a.n[at] = r.row[i][j]
            at += 1
    return at


cdef inline bint divides(int64_t width, const Rows *r, const int64_t *far, int nfar, int64_t nbytes, const char *p, const char *q) noexcept:
    cdef const int64_t *last = r.row[r.n - 1]
    cdef int i
    if last[1] != 1 or last[2] != 1 or last[3] != 0 or last[0] % width or <uintptr_t>p % <uintptr_t>nbytes or <uintptr_t>q % <uintptr_t>nbytes:
        return False
    for i in range(nfar):
        if far[i] % width:
            return False
    for i in range(r.n - 1):
        if r.row[i][1] % width or r.row[i][2] % width:
            return False
    return True


cdef inline int64_t pack(Rows *r, int64_t item, int64_t *far, int nfar, const char *p, const char *q) noexcept:
    """Let elements that always move together move as one wider element, of up to 16 bytes; returns its size.

    r: walks of p and q, which are copied, and a third one, which must stay where it is along the innermost row. far: other steps of the two.
    """
    cdef int64_t width = 16 // item
    cdef int i
    while width > 1:
        if divides(width, r, far, nfar, item * width, p, q):
            for i in range(r.n - 1):
                r.row[i][1] //= width
                r.row[i][2] //= width
            r.row[r.n - 1][0] //= width
            for i in range(nfar):
                far[i] //= width
            return item * width
        width //= 2
    return item
