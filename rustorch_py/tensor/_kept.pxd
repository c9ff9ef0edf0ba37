from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free
from posix.stdlib cimport posix_memalign
from ._base cimport TensorBase
from ._storage cimport Storage

# Packed forms of weights that stay between calls: Note [Kept operands] in kernels/kept.h.
cdef extern from "kept.h" nogil:
    enum: RT_KEPT_KEY
    ctypedef struct RtKept:
        void *data
    RtKept *rt_kept_find(void **slot, const int64_t *key, uint64_t writes, int *make)
    RtKept *rt_kept_put(void **slot, const int64_t *key, uint64_t writes, void *data)
    void rt_kept_done(RtKept *kept)

# What a form is of: the first word of its key, beside the instruction set and the dtype.
cdef enum:
    KEPT_LINEAR = 1
    KEPT_SCAN
    KEPT_CONV


# A form that is looked for; the caller fills key[2:], find_kept() the rest.
cdef struct Wanted:
    int64_t key[RT_KEPT_KEY]
    uint64_t writes
    int make                  # there is none, and it is time to make it


cdef inline RtKept *find_kept(TensorBase w, int kind, int level, Wanted *of) noexcept:
    """w's form of a kind for an instruction set, to be given back to rt_kept_done(); NULL: there is none."""
    of.key[0], of.key[1] = kind | level << 8 | w.dt << 16, <int64_t>w.ptr
    of.writes = w.stor.writes
    return rt_kept_find(&w.stor.kept, of.key, of.writes, &of.make)


cdef inline void *kept_room(size_t nbytes) noexcept nogil:
    """Memory for a form, or NULL."""
    cdef void *made = NULL
    return made if posix_memalign(&made, 64, nbytes) == 0 else NULL


cdef inline RtKept *put_kept(Storage s, Wanted *of, void *made) noexcept:
    """Keep what was made (NULL: nothing), unless s was written to meanwhile; then as find_kept()."""
    if made is NULL or s.writes != of.writes:
        free(made)
        return NULL
    return rt_kept_put(&s.kept, of.key, of.writes, made)
