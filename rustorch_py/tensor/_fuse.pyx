# build: cold
"""Fused loops: what a function launches is recorded, and a Program runs it as one loop. Note [Fused loops] in kernels/fuse.h.

Note [Recording]
:class:`Recording` stands before the CPU's back end while it is entered, and lists what its thread launches: elementwise kernels and
conversions with their operands' addresses and dtypes. Anything else that goes through the back end makes the recording useless. It is the
caller's to see that nothing else happens (jit/_source.py) and to compare results (jit/_program.py).
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memcpy
from ._base cimport TensorBase, RtIter, RtArray, RT_CPU, RT_F32, RT_F64, RT_MAX_ARGS, RT_MAX_DIM, empty, rt_itemsize, rt_iter_coalesce
from ._backend cimport RtBackend, backend_of, register_backend
from ._cpu cimport cast_one, fuse_plan, loop_wants
from ._plan cimport add_operand, merge_shape, plan_begin
from threading import Lock

from ..errors import TensorError

cdef extern from "fuse.h" nogil:
    enum: RT_FUSE_STEPS, RT_FUSE_SLOTS, RT_FUSE_NUMBERS, RT_FUSE_ROOM, RT_FUSE_VALUES, RT_FUSE_CHAIN, RT_CHAIN_TEMPS, RT_CHAIN_MOST, RT_CHAIN_RUN, \
        RT_CHAIN_LOAD, RT_CHAIN_STORE, RT_CHAIN_ADD, RT_CHAIN_SUB, RT_CHAIN_FROM, RT_CHAIN_MUL, RT_CHAIN_DIV, RT_CHAIN_INTO, RT_CHAIN_NEG
    ctypedef struct RtChained:
        uint8_t op, v
    ctypedef struct RtFuseStep:
        int32_t kernel, loop, source, nargs
        uint8_t v[8]
        double k[2]
    ctypedef struct RtFuse:
        int32_t noperands, nsteps, nslots, nnumbers, block, cost
        int32_t slot_size[1]
        char numbers[1][16]
        int32_t step_size[1][8]
        RtFuseStep steps[1]
        int32_t nchained
        RtChained chained[1]

cdef extern from "stream.h" nogil:
    int64_t rt_last_cache()

cdef extern from *:
    """
    #ifdef _MSC_VER
    static __declspec(thread) int rt_recording;
    #else
    static _Thread_local int rt_recording;
    #endif
    """
    int recording "rt_recording"                # this thread is the one that is watched

MAX_OPERANDS, MAX_STEPS, MAX_SLOTS, MAX_NUMBERS, ROOM = RT_MAX_ARGS, RT_FUSE_STEPS, RT_FUSE_SLOTS, RT_FUSE_NUMBERS, RT_FUSE_ROOM

CHAIN, FIRST_NUMBER, FIRST_TEMP, MAX_TEMPS, MAX_CHAINED = RT_FUSE_CHAIN, RT_MAX_ARGS + RT_FUSE_SLOTS, RT_FUSE_VALUES, RT_CHAIN_TEMPS, RT_CHAIN_MOST
LOAD, STORE, NEG = RT_CHAIN_LOAD, RT_CHAIN_STORE, RT_CHAIN_NEG
# operator -> the operation with its right operand, with its left one
ARITHMETIC = {"+": (RT_CHAIN_ADD, RT_CHAIN_ADD), "-": (RT_CHAIN_SUB, RT_CHAIN_FROM), "*": (RT_CHAIN_MUL, RT_CHAIN_MUL), "/": (RT_CHAIN_DIV, RT_CHAIN_INTO)}
F32, F64 = RT_F32, RT_F64

cdef struct Entry:
    int kernel, loop, nargs                     # kernel -1: a conversion
    char *ptr[RT_MAX_ARGS]
    int32_t dtype[RT_MAX_ARGS]
    bint moves[RT_MAX_ARGS]
    char number[RT_MAX_ARGS][16]
    double k[2]

cdef const RtBackend *real = NULL
cdef RtBackend watching
cdef Entry entries[RT_FUSE_STEPS]
cdef int count = 0
cdef bint spoiled = False


cdef void note(int kernel, int loop, RtIter *it, const double *k) noexcept nogil:
    global count, spoiled
    cdef Entry *e
    cdef int a, d
    if count == RT_FUSE_STEPS or it.host:
        spoiled = True
        return
    e = &entries[count]
    count += 1
    e.kernel, e.loop, e.nargs = kernel, loop, it.nargs
    e.k[0] = k[0] if k is not NULL else 0
    e.k[1] = k[1] if k is not NULL else 0
    for a in range(it.nargs):
        e.ptr[a], e.dtype[a], e.moves[a] = it.ptr[a], it.dtype[a], False
        for d in range(it.ndim):
            if it.step_bytes[d][a] != 0:
                e.moves[a] = True
        if not e.moves[a]:
            memcpy(e.number[a], it.ptr[a], rt_itemsize(it.dtype[a]))


cdef int on_elementwise(int device, int kernel, int loop, RtIter *it, const double *k) noexcept nogil:
    if recording:
        note(kernel, loop, it, k)
    return real.elementwise(device, kernel, loop, it, k)


cdef int on_convert(int device, RtIter *it) noexcept nogil:
    if recording:
        note(-1, it.dtype[0], it, NULL)
    return real.convert(device, it)


cdef int on_reduce(int device, int row, int acc_dtype, const RtArray *out, const RtArray *arr, const uint8_t *reduced, const double *k) noexcept nogil:
    global spoiled
    if recording:
        spoiled = True
    return real.reduce(device, row, acc_dtype, out, arr, reduced, k)


cdef int on_gemm(int device, const RtArray *out, const RtArray *a, const RtArray *b, int conj, const double *alpha, const double *beta) noexcept nogil:
    global spoiled
    if recording:
        spoiled = True
    return real.gemm(device, out, a, b, conj, alpha, beta)


cdef int on_fill(int device, RtIter *it, const char *value) noexcept nogil:
    global spoiled
    if recording:
        spoiled = True
    return real.fill(device, it, value)


_lock = Lock()


cdef class Recording:
    """What this thread launches on the CPU within a ``with``; one at a time in a process.

    Attributes:
        spoiled: something was launched that is neither a row nor a conversion, or too much.
        entries: a tuple a launch: (kernel or -1, loop's dtype code, k0, k1, operands), each operand (address, dtype code, bytes of its one
            element or None where it moves), the result first.
    """
    cdef readonly bint spoiled
    cdef readonly list entries

    def __enter__(self):
        global real, watching, recording, count, spoiled
        _lock.acquire()
        real = backend_of(RT_CPU)
        watching = real[0]
        watching.elementwise, watching.convert, watching.reduce, watching.gemm, watching.fill = on_elementwise, on_convert, on_reduce, on_gemm, on_fill
        recording, count, spoiled = True, 0, False
        register_backend(RT_CPU, &watching)
        return self

    def __exit__(self, *exc):
        global recording
        cdef int i, a
        cdef Entry *e
        register_backend(RT_CPU, real)
        recording = False
        self.spoiled = spoiled
        self.entries = []
        for i in range(count):
            e = &entries[i]
            self.entries.append((e.kernel, e.loop, e.k[0], e.k[1], [
                (<uintptr_t>e.ptr[a], e.dtype[a], None if e.moves[a] else e.number[a][:rt_itemsize(e.dtype[a])]) for a in range(e.nargs)]))
        _lock.release()


def address(TensorBase t not None):
    """Return where a tensor's first element lies."""
    return <uintptr_t>t.ptr


def code(TensorBase t not None):
    """Return the code of a tensor's dtype."""
    return t.dt


def last_cache():
    """Return the bytes of the last cache that this processor's cores share."""
    return rt_last_cache()


def itemsize(int dt):
    """Return the bytes of an element of a dtype's code."""
    return rt_itemsize(dt)


def wants(int kernel, int loop, int nargs):
    """Return the dtype codes that a row's loop takes its operands in, the result first."""
    cdef int32_t want[RT_MAX_ARGS]
    loop_wants(kernel, loop, nargs, want)
    return [want[a] for a in range(nargs)]


def converted(bytes raw not None, int source, int dt):
    """Return the bytes of one element in another dtype, by their codes."""
    cdef char element[16]
    cdef char given[16]
    memcpy(given, <const char *>raw, len(raw))
    cast_one(element, dt, given, source)
    return element[:rt_itemsize(dt)]


cdef class Program:
    """One loop over several results and inputs.

    Args:
        outs: dtype codes of the results.
        n_in: number of inputs.
        steps: tuples (kernel or -1, loop's dtype code, k0, k1, source's dtype code, values, bytes an element of each value); values count
            operands from 0, places from 8 and numbers from 8 + MAX_SLOTS (the layout of RtFuseStep). A chain is (CHAIN, dtype code, 0, 0, 0,
            values, operations).
        slots: bytes of an element of each place.
        numbers: bytes of each number.
        cost: cost class of an element, 0 to 4, as a row's.
        short: the same program without chains, for arrays whose runs are shorter than a chain is worth.
    """
    cdef RtFuse fuse
    cdef int n_out, n_in
    cdef int out[RT_MAX_ARGS]
    cdef Program short

    def __init__(self, list outs, int n_in, list steps, list slots, list numbers, int cost, Program short=None):
        cdef int i, a, room = 0
        cdef bytes raw
        if len(outs) + n_in > RT_MAX_ARGS or len(steps) > RT_FUSE_STEPS or len(slots) > RT_FUSE_SLOTS or len(numbers) > RT_FUSE_NUMBERS:
            raise TensorError("Program: too many operands, steps, places or numbers for one loop", op="Program")
        self.n_out, self.n_in, self.short = len(outs), n_in, short
        for i, dt in enumerate(outs):
            self.out[i] = dt
        self.fuse.noperands, self.fuse.nsteps, self.fuse.nslots, self.fuse.nnumbers, self.fuse.cost = len(outs) + n_in, len(steps), len(slots), len(numbers), cost
        for i, size in enumerate(slots):
            self.fuse.slot_size[i] = size
            room += size
        self.fuse.block = min(1024, RT_FUSE_ROOM // max(room, 1))
        self.fuse.block = self.fuse.block // (128 if self.fuse.block > 128 else 64) * (128 if self.fuse.block > 128 else 64)      # a chain's group of float32
        for i, raw in enumerate(numbers):
            memcpy(self.fuse.numbers[i], <const char *>raw, len(raw))
        for i, (kernel, loop, k0, k1, source, values, sizes) in enumerate(steps):
            if kernel == RT_FUSE_CHAIN:
                if self.fuse.nchained + len(values) > RT_CHAIN_MOST:
                    raise TensorError("Program: too many operations for one loop", op="Program")
                self.fuse.steps[i].kernel, self.fuse.steps[i].loop, self.fuse.steps[i].source, self.fuse.steps[i].nargs = kernel, loop, self.fuse.nchained, len(values)
                for v, op in zip(values, sizes):
                    self.fuse.chained[self.fuse.nchained].op, self.fuse.chained[self.fuse.nchained].v = op, v
                    self.fuse.nchained += 1
                continue
            self.fuse.steps[i].kernel, self.fuse.steps[i].loop, self.fuse.steps[i].source, self.fuse.steps[i].nargs = kernel, loop, source, len(values)
            self.fuse.steps[i].k[0], self.fuse.steps[i].k[1] = k0, k1
            for a in range(<int>len(values)):
                self.fuse.steps[i].v[a], self.fuse.step_size[i][a] = values[a], sizes[a]

    def __call__(self, *inputs):
        """Run the loop over tensors of the CPU, which broadcast; their dtypes are those that were recorded. Return the list of results."""
        cdef RtIter it
        cdef int64_t sh[RT_MAX_DIM]
        cdef int nd = 0, i, status
        cdef TensorBase t, first
        cdef const RtFuse *fuse
        if len(inputs) != self.n_in:
            raise TensorError(f"Program: expected {self.n_in} inputs, got {len(inputs)}", op="Program")
        for x in inputs:
            nd = merge_shape("fused loop", <TensorBase?>x, nd, sh)
        results = [empty(nd, sh, self.out[i], RT_CPU) for i in range(self.n_out)]
        first = <TensorBase>results[0]
        if first.n == 0:
            return results
        it.host = 0
        plan_begin(&it, first)
        for i in range(1, self.n_out):
            add_operand(&it, <TensorBase>results[i], i, nd, sh)
        for i in range(self.n_in):
            add_operand(&it, <TensorBase>inputs[i], self.n_out + i, nd, sh)
        it.nargs = self.n_out + self.n_in
        rt_iter_coalesce(&it)
        fuse = &self.fuse if self.short is None or it.ndim == 1 or it.shape[0] >= RT_CHAIN_RUN else &self.short.fuse
        with nogil:
            status = fuse_plan(&it, fuse)
        if status:
            raise TensorError("Program: the instruction set in force has no such loop", op="Program")
        return results

