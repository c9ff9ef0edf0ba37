"""NCCL's C functions, as pointers looked up in NVIDIA's library when the first GPU tensor travels. No header is needed to build."""
from libc.stddef cimport size_t
from libc.string cimport memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from ..errors import DistBackendError

cdef extern from *:
    """
    #include <stddef.h>
    #include <string.h>
    typedef struct { char text[128]; } NcclId;
    typedef void *NcclComm;

    /* X(result, name in RtNccl, NCCL's name, arguments). The same since NCCL 2.11; a stream is a driver's CUstream. */
    #define RT_NCCL_CALLS(X)                                                                                                      \\
        X(int, version, "ncclGetVersion", (int *version))                                                                         \\
        X(int, unique_id, "ncclGetUniqueId", (NcclId *id))                                                                        \\
        X(int, init_rank, "ncclCommInitRank", (NcclComm *comm, int ranks, NcclId id, int rank))                                   \\
        X(int, destroy, "ncclCommDestroy", (NcclComm comm))                                                                       \\
        X(int, abort, "ncclCommAbort", (NcclComm comm))                                                                           \\
        X(int, async_error, "ncclCommGetAsyncError", (NcclComm comm, int *error))                                                 \\
        X(const char *, error_string, "ncclGetErrorString", (int error))                                                          \\
        X(const char *, last_error, "ncclGetLastError", (NcclComm comm))                                                          \\
        X(int, all_reduce, "ncclAllReduce", (const void *sent, void *got, size_t n, int dtype, int op, NcclComm comm, void *stream)) \\
        X(int, reduce, "ncclReduce", (const void *sent, void *got, size_t n, int dtype, int op, int root, NcclComm comm, void *stream)) \\
        X(int, broadcast, "ncclBroadcast", (const void *sent, void *got, size_t n, int dtype, int root, NcclComm comm, void *stream)) \\
        X(int, all_gather, "ncclAllGather", (const void *sent, void *got, size_t n, int dtype, NcclComm comm, void *stream))      \\
        X(int, reduce_scatter, "ncclReduceScatter", (const void *sent, void *got, size_t n, int dtype, int op, NcclComm comm, void *stream)) \\
        X(int, send, "ncclSend", (const void *sent, size_t n, int dtype, int peer, NcclComm comm, void *stream))                  \\
        X(int, recv, "ncclRecv", (void *got, size_t n, int dtype, int peer, NcclComm comm, void *stream))                         \\
        X(int, group_start, "ncclGroupStart", (void))                                                                             \\
        X(int, group_end, "ncclGroupEnd", (void))                                                                                 \\
        X(int, premul_create, "ncclRedOpCreatePreMulSum", (int *op, void *scalar, int dtype, int where, NcclComm comm))           \\
        X(int, premul_destroy, "ncclRedOpDestroy", (int op, NcclComm comm))

    typedef struct {
    #define X(result, name, symbol, arguments) result (*name) arguments;
        RT_NCCL_CALLS(X)
    #undef X
    } RtNccl;
    static RtNccl nccl;
    #define X(result, name, symbol, arguments) symbol,
    static const char *const nccl_symbols[] = {RT_NCCL_CALLS(X)};
    #undef X
    enum { NCCL_CALLS = sizeof(nccl_symbols) / sizeof(*nccl_symbols) };
    static void nccl_set_call(int i, void *pointer) { memcpy((char *)&nccl + sizeof(void *) * (size_t)i, &pointer, sizeof pointer); }
    """
    ctypedef struct NcclId:
        char text[128]
    ctypedef void *NcclComm
    ctypedef struct RtNccl:
        int (*version)(int *) noexcept nogil
        int (*unique_id)(NcclId *) noexcept nogil
        int (*init_rank)(NcclComm *, int, NcclId, int) noexcept nogil
        int (*destroy)(NcclComm) noexcept nogil
        int (*abort)(NcclComm) noexcept nogil
        int (*async_error)(NcclComm, int *) noexcept nogil
        const char *(*error_string)(int) noexcept nogil
        const char *(*last_error)(NcclComm) noexcept nogil
        int (*all_reduce)(const void *, void *, size_t, int, int, NcclComm, void *) noexcept nogil
        int (*reduce)(const void *, void *, size_t, int, int, int, NcclComm, void *) noexcept nogil
        int (*broadcast)(const void *, void *, size_t, int, int, NcclComm, void *) noexcept nogil
        int (*all_gather)(const void *, void *, size_t, int, NcclComm, void *) noexcept nogil
        int (*reduce_scatter)(const void *, void *, size_t, int, int, NcclComm, void *) noexcept nogil
        int (*send)(const void *, size_t, int, int, NcclComm, void *) noexcept nogil
        int (*recv)(void *, size_t, int, int, NcclComm, void *) noexcept nogil
        int (*group_start)() noexcept nogil
        int (*group_end)() noexcept nogil
        int (*premul_create)(int *, void *, int, int, NcclComm) noexcept nogil
        int (*premul_destroy)(int, NcclComm) noexcept nogil
    RtNccl nccl
    const char **nccl_symbols
    int NCCL_CALLS
    void nccl_set_call(int i, void *pointer) nogil

cdef object library = None
cdef enum: IN_PROGRESS = 7


def load(path):
    """Take the functions from a library.

    Args:
        path: of libnccl.so.2, or its name for the system's loader.
    Raises:
        OSError: it cannot be loaded. AttributeError: it lacks a function.
    """
    global library
    import ctypes
    cdef int i
    cdef list found = []
    opened = ctypes.CDLL(path)
    for i in range(NCCL_CALLS):
        found.append(ctypes.cast(getattr(opened, nccl_symbols[i].decode()), ctypes.c_void_p).value)
    for i in range(NCCL_CALLS):
        nccl_set_call(i, <void *><size_t>found[i])
    library = opened


cdef int check(int status, str what, NcclComm comm) except -1:
    cdef const char *more
    if status != 0 and status != IN_PROGRESS:
        more = nccl.last_error(comm)
        text = f"{what}: NCCL error {status}: {nccl.error_string(status).decode(errors='replace')}"
        if more != NULL and more[0]:
            text += f" ({' '.join(more.decode(errors='replace').split())})"
        raise DistBackendError(text, op=what)
    return 0


def version():
    """Return NCCL's version as a tuple."""
    cdef int number = 0
    check(nccl.version(&number), "ncclGetVersion", NULL)
    return (number // 10000, number // 100 % 100, number % 100)


def unique_id():
    """Return what all members of a new communicator must know, as bytes."""
    cdef NcclId made
    check(nccl.unique_id(&made), "ncclGetUniqueId", NULL)
    return PyBytes_FromStringAndSize(made.text, 128)


def group_start():
    """Begin a list of calls that start together."""
    check(nccl.group_start(), "ncclGroupStart", NULL)


def group_end():
    """Start the calls since group_start."""
    cdef int status
    with nogil:
        status = nccl.group_end()
    check(status, "ncclGroupEnd", NULL)


cdef class Communicator:
    """One member's end of an NCCL communicator. Calls take addresses of device memory, counts, NCCL's numbers of dtypes and
    reductions, and a stream's handle; they return before the work is done.

    Args:
        ranks: number of members. id: what `unique_id` gave one of them. rank: this one's number; its device is the current one.
    """
    cdef NcclComm comm

    def __init__(self, int ranks, bytes id, int rank):
        cdef NcclId known
        cdef int status
        if len(id) != 128:
            raise ValueError(f"Communicator: id: expected 128 bytes, got {len(id)}")
        memcpy(known.text, PyBytes_AS_STRING(id), 128)
        with nogil:
            status = nccl.init_rank(&self.comm, ranks, known, rank)
        check(status, "ncclCommInitRank", NULL)

    def close(self):
        """Give it back; all its work must be done."""
        cdef NcclComm comm = self.comm
        cdef int status
        self.comm = NULL
        if comm != NULL:
            with nogil:
                status = nccl.destroy(comm)
            check(status, "ncclCommDestroy", NULL)

    def abort(self):
        """Give it up, whatever is under way."""
        cdef NcclComm comm = self.comm
        self.comm = NULL
        if comm != NULL:
            with nogil:
                nccl.abort(comm)

    def problem(self):
        """Return the text of an error that work under way has met, or None."""
        cdef int error = 0
        if self.comm == NULL or nccl.async_error(self.comm, &error) != 0 or error == 0 or error == IN_PROGRESS:
            return None
        return nccl.error_string(error).decode(errors="replace")

    def all_reduce(self, size_t sent, size_t got, size_t n, int dtype, int op, size_t stream):
        cdef int status
        with nogil:
            status = nccl.all_reduce(<void *>sent, <void *>got, n, dtype, op, self.comm, <void *>stream)
        check(status, "ncclAllReduce", self.comm)

    def reduce(self, size_t sent, size_t got, size_t n, int dtype, int op, int root, size_t stream):
        cdef int status
        with nogil:
            status = nccl.reduce(<void *>sent, <void *>got, n, dtype, op, root, self.comm, <void *>stream)
        check(status, "ncclReduce", self.comm)

    def broadcast(self, size_t memory, size_t n, int dtype, int root, size_t stream):
        cdef int status
        with nogil:
            status = nccl.broadcast(<void *>memory, <void *>memory, n, dtype, root, self.comm, <void *>stream)
        check(status, "ncclBroadcast", self.comm)

    def all_gather(self, size_t sent, size_t got, size_t n, int dtype, size_t stream):
        cdef int status
        with nogil:
            status = nccl.all_gather(<void *>sent, <void *>got, n, dtype, self.comm, <void *>stream)
        check(status, "ncclAllGather", self.comm)

    def reduce_scatter(self, size_t sent, size_t got, size_t n, int dtype, int op, size_t stream):
        cdef int status
        with nogil:
            status = nccl.reduce_scatter(<void *>sent, <void *>got, n, dtype, op, self.comm, <void *>stream)
        check(status, "ncclReduceScatter", self.comm)

    def send(self, size_t sent, size_t n, int dtype, int peer, size_t stream):
        cdef int status
        with nogil:
            status = nccl.send(<void *>sent, n, dtype, peer, self.comm, <void *>stream)
        check(status, "ncclSend", self.comm)

    def recv(self, size_t got, size_t n, int dtype, int peer, size_t stream):
        cdef int status
        with nogil:
            status = nccl.recv(<void *>got, n, dtype, peer, self.comm, <void *>stream)
        check(status, "ncclRecv", self.comm)

    def scaled_sum(self, bytes factor, size_t on_device, int dtype):
        """Return a new reduction: the sum of values times a factor, given as the bytes of one value or as its address on the device."""
        cdef int op = 0
        cdef void *scalar = <void *>on_device if on_device else <void *>PyBytes_AS_STRING(factor)
        check(nccl.premul_create(&op, scalar, dtype, 0 if on_device else 1, self.comm), "ncclRedOpCreatePreMulSum", self.comm)
        return op

    def drop(self, int op):
        """Give back a reduction that `scaled_sum` made."""
        check(nccl.premul_destroy(op, self.comm), "ncclRedOpDestroy", self.comm)
