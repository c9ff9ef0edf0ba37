"""Recurrent layers, a product and a kernel a step: kernels/recurrent.cuh.

States are held for all sequences; a step reads and writes those of the first ones, as many as it has. So one that ended keeps its last
state, and one that begins late (going back) has its first one.
"""
from libc.stdint cimport int64_t
from ...tensor._backend cimport RtBackend, backend_of
from ...tensor._base cimport RtArray, TensorBase, empty, view_raw
from ...tensor._devices import provide
from ...tensor._matmul import FUNCTIONS
from ...tensor._plan cimport clone_raw, copy_raw, fill_value
from .._backend cimport Kernel, RtCall, point
from ...errors import DeviceError

_mm = FUNCTIONS["mm"]
cdef enum:
    TANH, RELU, LSTM, GRU
cdef int[4] GATES
cdef int[4] KEPT
GATES[:] = [1, 1, 4, 3]
KEPT[:] = [1, 1, 5, 4]
cdef Kernel CELL = Kernel("recurrent.cuh", "cell")
cdef Kernel CELL_BACK = Kernel("recurrent.cuh", "cell_back")


cdef list steps_of(sizes, bint reverse):
    """(first row, rows) of each step, in the order in which they are made."""
    cdef int64_t at = 0
    cdef list found = []
    for size in sizes:
        if size:
            found.append((at, size))
        at += size
    return found[::-1] if reverse else found


cdef TensorBase matrix(int64_t rows, int64_t columns, TensorBase like):
    cdef int64_t sh[2]
    sh[0], sh[1] = rows, columns
    return empty(2, sh, like.dt, like.dev)


cdef TensorBase state_of(TensorBase given, int64_t rows, int64_t columns, TensorBase like):
    cdef TensorBase t
    if given is not None:
        return clone_raw(given)
    t = matrix(rows, columns, like)
    fill_value(t, 0)
    return t


cdef TensorBase rows_of(TensorBase t, int64_t first, int64_t n):
    """Rows of a contiguous matrix, or None of None."""
    cdef int64_t sh[2]
    if t is None:
        return None
    sh[0], sh[1] = n, t.sh[1]
    return view_raw(t, 2, sh, t.st, first * t.st[0])


cdef void as_batch(RtArray *x, TensorBase t, bint turned) noexcept:
    x.data, x.dtype, x.ndim = t.ptr, t.dt, 3
    x.shape[0], x.shape[1], x.shape[2] = 1, t.sh[1 if turned else 0], t.sh[0 if turned else 1]
    x.strides[0], x.strides[1], x.strides[2] = 0, t.st[1 if turned else 0], t.st[0 if turned else 1]


cdef int product(TensorBase out, TensorBase a, TensorBase b, bint b_turned, double beta) except -1:
    """out = beta out + a @ b, or b transposed; matrices."""
    cdef const RtBackend *door = backend_of(out.dev)
    cdef RtArray c, x, y
    cdef double *alphas = [1.0, 0.0]
    cdef double *betas = [beta, 0.0]
    as_batch(&c, out, False)
    as_batch(&x, a, False)
    as_batch(&y, b, b_turned)
    if door.gemm(out.dev, &c, &x, &y, 0, alphas, betas):
        raise DeviceError(door.last_error().decode(errors="replace"))
    return 0


def recurrent_scan(TensorBase gates, TensorBase h0, TensorBase c0, TensorBase w_hh, TensorBase b_hh, TensorBase w_hr, int kind, bint reverse, list sizes,
                   bint keep):
    """Run all steps; returns outputs, last states (and cell states or None), and what :func:`recurrent_scan_back` needs."""
    cdef RtCall a
    cdef int64_t size = w_hh.sh[1], count = sizes[0], hidden = w_hh.sh[0] // GATES[kind], first, n
    cdef int64_t sh[3]
    cdef int d
    cdef int64_t rows = 1
    for d in range(gates.nd - 1):
        rows *= gates.sh[d]
        sh[d] = gates.sh[d]
    cdef TensorBase flat = rows_of_all(gates, rows), part = matrix(count, w_hh.sh[0], flat)
    cdef TensorBase h = state_of(h0, count, size, flat), c = state_of(c0, count, hidden, flat) if kind == LSTM else None
    cdef TensorBase out = matrix(rows, size, flat), raw = out if w_hr is None else matrix(rows, hidden, flat)
    cdef TensorBase kept = matrix(rows, KEPT[kind] * hidden, flat) if keep else None, before = matrix(rows, size, flat) if keep else None
    cdef TensorBase state, here
    for first, n in steps_of(sizes, reverse):
        state, here = rows_of(h, 0, n), rows_of(part, 0, n)
        product(here, state, w_hh, True, 0)
        point(CELL, &a, 0, rows_of(flat, first, n), flat)
        point(CELL, &a, 1, here, flat)
        point(CELL, &a, 2, b_hh, flat)
        point(CELL, &a, 3, state, flat)
        point(CELL, &a, 4, c, flat)
        point(CELL, &a, 5, rows_of(raw, first, n), flat)
        point(CELL, &a, 6, state if w_hr is None else None, flat)
        point(CELL, &a, 7, rows_of(kept, first, n), flat)
        point(CELL, &a, 8, rows_of(before, first, n) if w_hr is None else None, flat)
        a.n[0], a.n[1], a.n[2] = n * hidden, kind, hidden
        if w_hr is not None and keep:
            copy_raw(rows_of(before, first, n), state)
        CELL.launch(flat, flat.dt, &a)
        if w_hr is not None:
            product(state, rows_of(raw, first, n), w_hr, True, 0)
            copy_raw(rows_of(out, first, n), state)
    sh[gates.nd - 1] = size
    return view_raw(out, gates.nd, sh, NULL, 0), h, c, (kept, before, raw) if keep else None


cdef TensorBase rows_of_all(TensorBase t, int64_t rows):
    """A contiguous tensor as a matrix."""
    cdef int64_t sh[2]
    sh[0], sh[1] = rows, t.sh[t.nd - 1]
    return view_raw(t, 2, sh, NULL, 0)


def recurrent_scan_back(TensorBase gates, TensorBase h0, TensorBase c0, TensorBase w_hh, TensorBase b_hh, TensorBase w_hr, TensorBase g_out, TensorBase g_hn,
                        TensorBase g_cn, int kind, bint reverse, sizes, tuple saved, tuple wanted):
    """Gradients of gates, h0, c0, w_hh, b_hh and w_hr; what is not wanted is None."""
    cdef RtCall a
    cdef TensorBase kept = saved[0], before = saved[1], raw = saved[2]
    cdef int64_t rows = kept.sh[0], size = w_hh.sh[1], count = sizes[0], hidden = w_hh.sh[0] // GATES[kind], first, n
    cdef TensorBase g_h = state_of(g_hn, count, size, kept), g_c = state_of(g_cn, count, hidden, kept) if kind == LSTM else None
    cdef TensorBase g_gates = matrix(rows, GATES[kind] * hidden, kept), g_hidden = matrix(rows, GATES[kind] * hidden, kept) if kind == GRU else g_gates
    cdef TensorBase g_proj = None if w_hr is None else matrix(rows, size, kept), g_raw = None if w_hr is None else matrix(count, hidden, kept)
    cdef TensorBase state, source, outer, flat = None if g_out is None else rows_of_all(g_out, rows)
    for first, n in reversed(steps_of(sizes, reverse)):
        state = source = rows_of(g_h, 0, n)
        outer = rows_of(flat, first, n)
        if w_hr is not None:
            if outer is not None:
                (<object>state).add_(outer)
            copy_raw(rows_of(g_proj, first, n), state)
            source, outer = rows_of(g_raw, 0, n), None
            product(source, state, w_hr, False, 0)
        point(CELL_BACK, &a, 0, rows_of(g_gates, first, n), kept)
        point(CELL_BACK, &a, 1, rows_of(g_hidden, first, n), kept)
        point(CELL_BACK, &a, 2, source, kept)
        point(CELL_BACK, &a, 3, outer, kept)
        point(CELL_BACK, &a, 4, g_c, kept)
        point(CELL_BACK, &a, 5, rows_of(kept, first, n), kept)
        point(CELL_BACK, &a, 6, rows_of(before, first, n), kept)
        a.n[0], a.n[1], a.n[2] = n * hidden, kind, hidden
        CELL_BACK.launch(kept, kept.dt, &a)
        product(state, rows_of(g_hidden, first, n), w_hh, False, 1 if kind == GRU else 0)        # a GRU's direct part is there already
    return ((<object>g_gates).reshape((<object>gates).shape), g_h if wanted[1] else None, g_c if wanted[2] else None,
            _mm((<object>g_hidden).t(), before) if wanted[3] else None, (<object>g_hidden).sum(0) if wanted[4] else None,
            _mm((<object>g_proj).t(), raw) if wanted[5] else None)


provide("cuda", {"recurrent_scan": recurrent_scan, "recurrent_scan_back": recurrent_scan_back})
