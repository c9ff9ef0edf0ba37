# build: sources=lapack.c blas cold
"""Decompositions and solvers through LAPACK, with gradients.

Each function here is one LAPACK routine over a batch: the input is copied to column-major matrices,
the routine overwrites them, results come back with column-major strides, as PyTorch's do. Gradients
are formulas over tensors (``_linalg_grad``), so they can be differentiated again. What composes
these is in ``_linalg_more``.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy
from ._base cimport (TensorBase, F_CONTIG, same_shape, empty, empty_strided, view_raw, as_base, grad_mode, attach_outputs, save, save_output, saved,
                     wants_edge, rt_kind, rt_itemsize, rt_real_dtype, rt_compute_dtype, RT_I32, RT_I64, RT_F16, RT_BF16, RT_F32, RT_F64, RT_C64, RT_C128,
                     RT_KIND_FLOAT, RT_KIND_COMPLEX)
from ._backend cimport RT_CPU, RT_META
from ._cpu cimport rt_num_threads
from ._node cimport Node
from ._dtype cimport torch_name
from ._plan cimport copy_raw, fill_value, number_to, contiguous_raw, reduce_raw
from ._gemm cimport RtGemmTable, gemm_table
from ._ops cimport binary, cast, deliver, unary
from . import _strided, _view_pieces
from ._create import arange
from ._devices import run as run_on_device
from ._return_types import named_result
from ..errors import DeviceError, DTypeError, LinAlgError, OutOfMemoryError, ShapeError, TooFewDimsError, UnsupportedOpError
include "_row_ids.pxi"

cdef extern from "lapack.h" nogil:
    void rt_lapack_init(int (*threads)() noexcept nogil)
    int rt_getrf(int dtype, int64_t batch, int64_t m, int64_t n, char *a, int32_t *piv, int32_t *info)
    int rt_getrs(const RtGemmTable *t, int dtype, int64_t batch, char trans, int64_t n, int64_t nrhs, const char *a, const int32_t *piv, char *b, int32_t *info)
    int rt_potrf(int dtype, int64_t batch, char uplo, int64_t n, char *a, int32_t *info)
    int rt_geqrf(int dtype, int64_t batch, int64_t m, int64_t n, char *a, char *tau, int32_t *info)
    int rt_orgqr(int dtype, int64_t batch, int64_t m, int64_t n, int64_t k, char *a, const char *tau, int32_t *info)
    int rt_ormqr(int dtype, int64_t batch, char side, char trans, int64_t m, int64_t n, int64_t k, const char *a, const char *tau, char *c,
                 int32_t *info)
    int rt_gesdd(int dtype, int64_t batch, char jobz, int64_t m, int64_t n, char *a, char *s, char *u, char *vt, int32_t *info)
    int rt_heevd(int dtype, int64_t batch, char jobz, char uplo, int64_t n, char *a, char *w, int32_t *info)
    int rt_geev(int dtype, int64_t batch, int64_t n, char *a, char *w, char *v, int32_t *info)
    int rt_lstsq(int dtype, int64_t batch, int driver, int64_t m, int64_t n, int64_t nrhs, char *a, char *b, double rcond, int64_t *rank,
                 char *s, int32_t *info)
    int rt_trsm(const RtGemmTable *t, int dtype, int64_t batch, int upper, char trans, int unit, int64_t n, int64_t nrhs, const char *a, char *b)
    int rt_ldl_factor(int dtype, int64_t batch, int hermitian, int64_t n, char *a, int32_t *piv, int32_t *info)
    int rt_ldl_solve(int dtype, int64_t batch, int hermitian, int64_t n, int64_t nrhs, const char *a, const int32_t *piv, char *b, int32_t *info)

rt_lapack_init(rt_num_threads)


# Gradient formulas by name, handed in by _linalg_grad and _linalg_more, which stand above this file.
FORMULAS = {}


# ---- recording -------------------------------------------------------------------------------------------
cdef class LinalgBackward(Node):
    """A recorded decomposition. ``formula(grads, saved, needs, *args)`` gives the inputs' gradients as a tuple;
    grads has an entry an output (None: no gradient came), saved what ``record`` was told to keep."""
    cdef object formula
    cdef tuple args
    cdef str label
    cdef int kept

    cdef object apply(self, object g):
        cdef int i
        grads = [g] if self.n_outputs == 1 else list(g)
        needs = tuple([wants_edge(self, i) for i in range(self.n_edges)])
        result = self.formula(grads, [saved(self, i) for i in range(self.kept)], needs, *self.args)
        return result[0] if self.n_edges == 1 else result

    cdef object own_name(self):
        return self.label


cdef bint recording(tuple inputs):
    if not grad_mode():
        return False
    for t in inputs:
        if (<TensorBase>t).rg:
            return True
    return False


cdef int record(str label, str formula, tuple inputs, list outputs, tuple keep, tuple args) except -1:
    """Attach a node; `keep` are inputs or outputs, saved in order."""
    cdef LinalgBackward node
    cdef int i
    if not recording(inputs):
        return 0
    node = LinalgBackward.__new__(LinalgBackward)
    node.formula, node.args, node.label, node.kept = FORMULAS[formula], args, label, <int>len(keep)
    attach_outputs(outputs, node, inputs)
    for i, t in enumerate(keep):
        for out in outputs:
            if out is t:
                save_output(node, i, <TensorBase>t)
                break
        else:
            save(node, i, <TensorBase>t)
    return 0


# ---- checks and layouts -----------------------------------------------------------------------------------------
cdef TensorBase matrix(object op, object x, object arg="A"):
    """A batch of matrices of a float or complex dtype."""
    cdef TensorBase t = as_base(op, arg, x)
    if t.nd < 2:
        raise TooFewDimsError(f"{op}: The input tensor {arg} must have at least 2 dimensions.", op=op)
    return numeric(op, t)


cdef TensorBase numeric(object op, TensorBase t):
    if rt_kind(t.dt) < RT_KIND_FLOAT:
        raise DTypeError(f"{op}: Expected a floating point or complex tensor as input. Got {torch_name(t.dt)}", op=op)
    if t.dt == RT_F16 or t.dt == RT_BF16:
        raise DTypeError(f"{op}: Low precision dtypes not supported. Got {torch_name(t.dt)}", op=op)
    return t


cdef inline bint on_device(TensorBase t) noexcept:
    return t.dev & 255 != 0


cdef TensorBase square(object op, object x, object arg="A"):
    cdef TensorBase t = matrix(op, x, arg)
    if t.sh[t.nd - 1] != t.sh[t.nd - 2]:
        raise ShapeError(f"{op}: {arg} must be batches of square matrices, but they are {t.sh[t.nd - 2]} by {t.sh[t.nd - 1]} matrices", op=op)
    return t


cdef int same_dtype(object op, TensorBase a, TensorBase b) except -1:
    if a.dt != b.dt:
        raise DTypeError(f"{op}: Expected A and B to have the same dtype, but found {torch_name(a.dt)} and {torch_name(b.dt)} instead", op=op)
    if a.dev != b.dev:
        raise DeviceError(f"{op}: Expected all tensors to be on the same device", op=op)
    return 0


cdef int64_t batch_of(TensorBase t) noexcept:
    cdef int64_t b = 1
    cdef int i
    for i in range(t.nd - 2):
        b *= t.sh[i]
    return b


cdef TensorBase columns(TensorBase like, int64_t m, int64_t n, int dt):
    """Empty column-major (..., m, n), batch dimensions of `like`."""
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int64_t step = max(m, 1) * max(n, 1)
    cdef int i
    for i in range(like.nd - 3, -1, -1):
        sh[i] = like.sh[i]
        st[i] = step
        step *= max(sh[i], 1)
    sh[like.nd - 2], sh[like.nd - 1] = m, n
    st[like.nd - 2], st[like.nd - 1] = 1, max(m, 1)
    return empty_strided(like.nd, sh, st, dt, like.dev)


cdef TensorBase copy_columns(TensorBase t):
    cdef TensorBase c = columns(t, t.sh[t.nd - 2], t.sh[t.nd - 1], t.dt)
    copy_raw(c, t)
    return c


cdef TensorBase as_columns(TensorBase t):
    """t itself when it is column-major without gaps, else such a copy. Read only."""
    cdef int64_t step = max(t.sh[t.nd - 2], 1) * max(t.sh[t.nd - 1], 1)
    cdef int i
    cdef bint fits = t.st[t.nd - 2] == 1 and t.st[t.nd - 1] == max(t.sh[t.nd - 2], 1)
    for i in range(t.nd - 3, -1, -1):
        fits = fits and (t.st[i] == step or t.sh[i] == 1)
        step *= t.sh[i]
    return t if fits else copy_columns(t)


cdef TensorBase vectors(TensorBase like, int64_t n, int dt):
    """Empty (..., n), batch dimensions of `like`."""
    cdef int64_t sh[64]
    memcpy(sh, like.sh, (like.nd - 2) * sizeof(int64_t))
    sh[like.nd - 2] = n
    return empty(like.nd - 1, sh, dt, like.dev)


cdef TensorBase numbers(TensorBase like, int dt):
    cdef TensorBase t = empty(like.nd - 2, like.sh, dt, like.dev)
    fill_value(t, 0)
    return t


cdef int check(object op, int status) except -1:
    if status:
        raise OutOfMemoryError(f"{op}: no memory for LAPACK's work space", op=op)
    return 0


cdef int first_bad(TensorBase info) noexcept:
    cdef int64_t i
    for i in range(info.n):
        if (<int32_t *>info.ptr)[i] != 0:
            return <int>i
    return -1


cdef int refuse(object op, TensorBase info, str what) except -1:
    """LinAlgError for the first matrix with info != 0; {} in `what` is the code."""
    cdef int i
    if info.dev & 255 == RT_META:
        return 0
    if on_device(info):
        info = <TensorBase>(<object>info).cpu()
    i = first_bad(info)
    if i < 0:
        return 0
    code = (<int32_t *>info.ptr)[i]
    where_ = f"(Batch element {i}): " if info.nd else ""
    raise LinAlgError(f"{op}: {where_}{what.format(code)}", op=op, info=code)


cdef str SINGULAR = "The diagonal element {} is zero, the inversion could not be completed because the input matrix is singular."
cdef str NO_PIVOT = "Element {} of U's diagonal is zero, and lu_solve would divide by it. linalg.lu and linalg.lu_factor_ex factor such a matrix all the same."
cdef str SINGULAR_SOLVE = "The solver failed because the input matrix is singular."
cdef str NOT_POSITIVE = "The factorization could not be completed because the input is not positive-definite (the leading minor of order {} is not positive-definite)."
cdef str NOT_CONVERGED = "The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated {} values."


def check_info(op, info, what="singular"):
    """Raise LinAlgError for the first non-zero entry of ``info``."""
    refuse(op, <TensorBase?>info, {"singular": SINGULAR_SOLVE, "inverse": SINGULAR, "factor": NO_PIVOT, "definite": NOT_POSITIVE}[what])


# ---- LU -------------------------------------------------------------------------------------------------------------
def lu_factor_raw(A, bint pivot=True, op="linalg.lu_factor_ex"):
    """Return (LU, pivots, info) of ``A``; LU carries the gradient."""
    cdef TensorBase a = matrix(op, A), lu, piv, info
    cdef int64_t m = a.sh[a.nd - 2], n = a.sh[a.nd - 1], b = batch_of(a)
    cdef int status = 0
    if not pivot:
        raise UnsupportedOpError(f"{op}: LU without pivoting is not implemented on the CPU", op=op)
    lu = copy_columns(a)
    piv = vectors(a, min(m, n), RT_I32)
    info = numbers(a, RT_I32)
    if lu.n and on_device(lu):
        run_on_device("getrf", lu, piv, info)
    elif lu.n:
        with nogil:
            status = rt_getrf(a.dt, b, m, n, lu.ptr, <int32_t *>piv.ptr, <int32_t *>info.ptr)
        check(op, status)
    record("LinalgLuFactorExBackward0", "lu_factor", (a,), [lu, None, None], (lu, piv), ())
    return lu, piv, info


def permutation(pivots, int64_t m, like):
    """Return the permutation matrix P of ``A = P L U`` from LAPACK's pivots, in ``like``'s dtype."""
    cdef TensorBase piv = contiguous_raw(<TensorBase?>pivots), t = <TensorBase?>like, p
    cdef int64_t sh[64]
    cdef int64_t b = 1, k = piv.sh[piv.nd - 1], z, i, j, row
    cdef int32_t *q
    cdef int size = rt_itemsize(t.dt)
    cdef char one[16]
    number_to(1, t.dt, one)                      # of any dtype: lu_unpack takes what it is given
    memcpy(sh, piv.sh, (piv.nd - 1) * sizeof(int64_t))
    for i in range(piv.nd - 1):
        b *= sh[i]
    sh[piv.nd - 1] = sh[piv.nd] = m
    p = empty(piv.nd + 1, sh, t.dt, t.dev)
    fill_value(p, 0)
    if on_device(p):
        run_on_device("permutation", p, piv)
        return p
    order = list(range(m))
    for z in range(b):
        q = <int32_t *>piv.ptr + z * k
        for i in range(m):
            order[i] = i
        for i in range(k):
            order[i], order[q[i] - 1] = order[q[i] - 1], order[i]
        for i in range(m):
            row = order[i]
            j = (z * m + row) * m + i
            memcpy(p.ptr + j * size, one, size)
    return p


def pivot_sign(pivots, like):
    """Return the determinant of the permutation that ``pivots`` spells: +1 or -1."""
    cdef TensorBase piv = contiguous_raw(<TensorBase?>pivots), t = <TensorBase?>like, s
    cdef int64_t k = piv.sh[piv.nd - 1], z, i
    cdef int sign
    if on_device(piv):
        moved = (<object>piv != arange(1, k + 1, device=piv.device)).sum(-1)
        return (1 - 2 * (moved % 2)).to(like.dtype)
    s = empty(piv.nd - 1, piv.sh, RT_F64, t.dev)
    for z in range(s.n):
        sign = 1
        for i in range(k):
            if (<int32_t *>piv.ptr)[z * k + i] != i + 1:
                sign = -sign
        (<double *>s.ptr)[z] = sign
    out = empty(s.nd, s.sh, t.dt, t.dev)
    copy_raw(out, s)
    return out


def lu_solve_raw(LU, pivots, B, str trans):
    """Return X of ``A X = B`` (trans "N"), ``A^T X = B`` ("T") or ``A^H X = B`` ("C") from LU and pivots. Not recorded."""
    cdef TensorBase lu = as_columns(<TensorBase?>LU), x = copy_columns(<TensorBase?>B), info, piv = contiguous_raw(<TensorBase?>pivots)
    cdef int status = 0
    cdef char c = ord(trans)
    cdef int64_t b = batch_of(x), n = x.sh[x.nd - 2], r = x.sh[x.nd - 1]
    if x.n and on_device(x):
        run_on_device("getrs", x, lu, piv, trans)
    elif x.n:
        info = numbers(x, RT_I32)
        with nogil:
            status = rt_getrs(gemm_table(), x.dt, b, c, n, r, lu.ptr, <int32_t *>piv.ptr, x.ptr, <int32_t *>info.ptr)
        check("linalg.lu_solve", status)
    return x


def solve_raw(A, B, op="linalg.solve_ex"):
    """Return (X, LU, pivots, info) with ``A X = B``; A (..., n, n) and B (..., n, k) have the same batch. X carries the gradient."""
    cdef TensorBase a = <TensorBase?>A, b = <TensorBase?>B, lu = copy_columns(a), x = copy_columns(b), piv, info, skip
    cdef int64_t z = batch_of(a), n = a.sh[a.nd - 1], r = b.sh[b.nd - 1]
    cdef int status = 0
    piv = vectors(a, n, RT_I32)
    info = numbers(a, RT_I32)
    skip = numbers(a, RT_I32)
    if lu.n and on_device(lu):
        run_on_device("getrf", lu, piv, info)
        if r:
            run_on_device("getrs", x, lu, piv, "N")
    elif lu.n:
        with nogil:
            status = rt_getrf(a.dt, z, n, n, lu.ptr, <int32_t *>piv.ptr, <int32_t *>info.ptr)
            if status == 0 and r:
                status = rt_getrs(gemm_table(), a.dt, z, b'N', n, r, lu.ptr, <int32_t *>piv.ptr, x.ptr, <int32_t *>skip.ptr)
        check(op, status)
    record("LinalgSolveExBackward0", "solve", (a, b), [x, None, None, None], (a, x), ())
    return x, lu, piv, info


def inv_raw(A, op="linalg.inv"):
    """Return (inverse, info)."""
    cdef TensorBase a = square(op, A), lu = copy_columns(a), x, piv, info, skip
    cdef int64_t z = batch_of(a), n = a.sh[a.nd - 1], i, j
    cdef int status = 0
    x = columns(a, n, n, a.dt)
    fill_value(x, 0)
    if n:
        fill_value(<TensorBase>_strided.diagonal(x, 0, -2, -1), 1)
    piv = vectors(a, n, RT_I32)
    info = numbers(a, RT_I32)
    skip = numbers(a, RT_I32)
    if lu.n and on_device(lu):
        run_on_device("getrf", lu, piv, info)
        run_on_device("getrs", x, lu, piv, "N")
    elif lu.n:
        with nogil:
            status = rt_getrf(a.dt, z, n, n, lu.ptr, <int32_t *>piv.ptr, <int32_t *>info.ptr)
            if status == 0:
                status = rt_getrs(gemm_table(), a.dt, z, b'N', n, n, lu.ptr, <int32_t *>piv.ptr, x.ptr, <int32_t *>skip.ptr)
        check(op, status)
    record("LinalgInvExBackward0", "inv", (a,), [x, None], (x,), ())
    return x, info


def solve_triangular_raw(A, B, bint upper, bint unit, str trans="N"):
    """Return X of ``op(A) X = B`` for triangular A; same batches. X carries the gradient when trans is "N"."""
    cdef TensorBase a = <TensorBase?>A, b = <TensorBase?>B, x = copy_columns(b), ac
    cdef int64_t z = batch_of(x), n = x.sh[x.nd - 2], r = x.sh[x.nd - 1]
    cdef int status = 0
    cdef char c = ord(trans)
    if x.n and on_device(x):
        run_on_device("trsm", x, as_columns(a), upper, trans, unit)
    elif x.n:
        ac = as_columns(a)
        with nogil:
            status = rt_trsm(gemm_table(), x.dt, z, upper, c, unit, n, r, ac.ptr, x.ptr)
        check("linalg.solve_triangular", status)
    if trans == "N":
        record("LinalgSolveTriangularBackward0", "solve_triangular", (a, b), [x], (a, x), (upper, unit))
    return x


# ---- Cholesky ---------------------------------------------------------------------------------------------------------
def cholesky_raw(A, bint upper=False, op="linalg.cholesky_ex"):
    """Return (L, info); the other triangle is zero."""
    cdef TensorBase a = square(op, A), f = copy_columns(a), info
    cdef int64_t z = batch_of(a), n = a.sh[a.nd - 1]
    cdef int status = 0
    cdef char uplo = b'U' if upper else b'L'
    info = numbers(a, RT_I32)
    if f.n:
        if on_device(f):
            run_on_device("potrf", f, upper, info)
        else:
            with nogil:
                status = rt_potrf(a.dt, z, uplo, n, f.ptr, <int32_t *>info.ptr)
            check(op, status)
        if upper:
            zero_below(f)
        else:
            zero_above(f)
    record("LinalgCholeskyExBackward0", "cholesky", (a,), [f, None], (f,), (upper,))
    return f, info


cdef extern from "string.h" nogil:
    void *memset(void *p, int c, size_t n)

cdef inline void clear(char *p, int64_t nbytes) noexcept nogil:
    if nbytes > 0:
        memset(p, 0, nbytes)


# ---- QR ------------------------------------------------------------------------------------------------------------------
def qr_raw(A, str mode="reduced", op="linalg.qr"):
    """Return (Q, R); Q is empty in mode "r"."""
    cdef TensorBase a = matrix(op, A), f, tau, q, r, info
    cdef int64_t m = a.sh[a.nd - 2], n = a.sh[a.nd - 1], z = batch_of(a), k = min(m, n), rows, i
    cdef int status = 0
    cdef int64_t none = 0
    if mode not in ("reduced", "complete", "r"):
        raise ShapeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'", op=op)
    f = copy_columns(a)
    tau = vectors(a, k, a.dt)
    info = numbers(a, RT_I32)
    if f.n and on_device(f):
        run_on_device("geqrf", f, tau)
    elif f.n:
        with nogil:
            status = rt_geqrf(a.dt, z, m, n, f.ptr, tau.ptr, <int32_t *>info.ptr)
        check(op, status)
    rows = m if mode == "complete" else k
    r = columns(a, rows, n, a.dt)
    copy_raw(r, <TensorBase>_view_pieces.narrow(f, -2, 0, rows))
    zero_below(r)
    if mode == "r":
        q = empty(1, &none, a.dt, a.dev)
    else:
        q = columns(a, m, rows, a.dt)
        if q.n:
            if k:
                copy_raw(<TensorBase>_view_pieces.narrow(q, -1, 0, k), <TensorBase>_view_pieces.narrow(f, -1, 0, k))
                if on_device(q):
                    run_on_device("orgqr", q, tau)
                else:
                    with nogil:
                        status = rt_orgqr(a.dt, z, m, rows, k, q.ptr, tau.ptr, <int32_t *>info.ptr)
                    check(op, status)
            else:
                fill_value(q, 0)
                fill_value(<TensorBase>_strided.diagonal(q, 0, -2, -1), 1)
    if recording((a,)):
        if mode == "r":
            record("LinalgQrBackward0", "qr_none", (a,), [None, r], (), ())
        else:
            record("LinalgQrBackward0", "qr", (a,), [q, r], (q, r), (mode, m, n))
    return q, r


cdef int zero_below(TensorBase r) except -1:
    """Clear what lies below the diagonal of column-major matrices."""
    cdef int64_t m = r.sh[r.nd - 2], n = r.sh[r.nd - 1], z = batch_of(r), q, j
    cdef int size = rt_itemsize(r.dt)
    if r.n == 0:
        return 0
    if on_device(r):
        run_on_device("clear", r, True)
        return 0
    for q in range(z):
        for j in range(min(n, m)):
            clear(r.ptr + ((q * n + j) * m + j + 1) * size, (m - j - 1) * size)
    return 0


def geqrf(input, *, out=None):
    """Compute the Householder form of QR: R above the diagonal, reflectors below it; returns (a, tau)."""
    cdef TensorBase a = matrix("geqrf", input, "input"), f = copy_columns(a), tau, info
    cdef int64_t m = a.sh[a.nd - 2], n = a.sh[a.nd - 1], z = batch_of(a)
    cdef int status = 0
    tau = vectors(a, min(m, n), a.dt)
    info = numbers(a, RT_I32)
    if f.n and on_device(f):
        run_on_device("geqrf", f, tau)
    elif f.n:
        with nogil:
            status = rt_geqrf(a.dt, z, m, n, f.ptr, tau.ptr, <int32_t *>info.ptr)
        check("geqrf", status)
    record("GeqrfBackward0", "geqrf_none", (a,), [f, tau], (), ())
    if out is not None:
        deliver("geqrf", f, out[0])
        deliver("geqrf", tau, out[1])
        return named_result("geqrf", "a", "tau")(out)
    return named_result("geqrf", "a", "tau")((f, tau))


def orgqr_raw(A, tau, op="linalg.householder_product"):
    """Return the first columns of H1 H2 ... Hk. Not recorded."""
    cdef TensorBase q = copy_columns(matrix(op, A)), t = contiguous_raw(<TensorBase?>tau), info = numbers(q, RT_I32)
    cdef int64_t m = q.sh[q.nd - 2], n = q.sh[q.nd - 1], k = t.sh[t.nd - 1], z = batch_of(q)
    cdef int status = 0
    if q.n and on_device(q):
        run_on_device("orgqr", q, t)
    elif q.n:
        with nogil:
            status = rt_orgqr(q.dt, z, m, n, k, q.ptr, t.ptr, <int32_t *>info.ptr)
        check(op, status)
    return q


def ormqr_raw(A, tau, other, bint left, bint transpose):
    """Multiply ``other`` by the full Q of reflectors. Not recorded."""
    cdef TensorBase a = as_columns(<TensorBase?>A), t = contiguous_raw(<TensorBase?>tau), c = copy_columns(<TensorBase?>other), info = numbers(c, RT_I32)
    cdef int64_t m = c.sh[c.nd - 2], n = c.sh[c.nd - 1], k = t.sh[t.nd - 1], z = batch_of(c)
    cdef int status = 0
    cdef char side = b'L' if left else b'R', tr = b'C' if transpose else b'N'
    if c.n and k and on_device(c):
        run_on_device("ormqr", c, a, t, left, transpose)
    elif c.n and k:
        with nogil:
            status = rt_ormqr(c.dt, z, side, tr, m, n, k, a.ptr, t.ptr, c.ptr, <int32_t *>info.ptr)
        check("ormqr", status)
    return c


# ---- SVD -----------------------------------------------------------------------------------------------------------------
def svd_raw(A, bint full_matrices=True, bint compute_uv=True, op="linalg.svd"):
    """Return (U, S, Vh); without vectors U and Vh are None."""
    cdef TensorBase a = matrix(op, A), f, u = None, s, vh = None, info
    cdef int64_t m = a.sh[a.nd - 2], n = a.sh[a.nd - 1], z = batch_of(a), k = min(m, n)
    cdef int status = 0
    cdef char job
    cdef char *up = NULL
    cdef char *vp = NULL
    compute_uv = compute_uv or recording((a,))
    job = b'N' if not compute_uv else b'A' if full_matrices else b'S'
    f = copy_columns(a)
    s = vectors(a, k, rt_real_dtype(a.dt))
    info = numbers(a, RT_I32)
    if compute_uv:
        u = columns(a, m, m if full_matrices else k, a.dt)
        vh = columns(a, n if full_matrices else k, n, a.dt)
        up, vp = u.ptr, vh.ptr
    if f.n:
        if on_device(f):
            run_on_device("gesdd", f, s, u, vh, info)
        else:
            with nogil:
                status = rt_gesdd(a.dt, z, job, m, n, f.ptr, s.ptr, up, vp, <int32_t *>info.ptr)
            check(op, status)
        refuse(op, info, NOT_CONVERGED.replace("{}", "singular") + " (error code: {})")
    elif compute_uv:
        for t in (u, vh):
            fill_value(<TensorBase>t, 0)
            if (<TensorBase>t).n:
                fill_value(<TensorBase>_strided.diagonal(t, 0, -2, -1), 1)
    if recording((a,)):
        record("LinalgSvdBackward0", "svd", (a,), [u, s, vh], (u, s, vh), (k, m, n))
    return u, s, vh


# ---- eigenvalues ---------------------------------------------------------------------------------------------------------
def eigh_raw(A, str UPLO="L", bint compute_v=True, op="linalg.eigh"):
    """Return (eigenvalues, eigenvectors) of Hermitian matrices; vectors None when not asked for."""
    cdef TensorBase a = square(op, A), v, w, info
    cdef int64_t z = batch_of(a), n = a.sh[a.nd - 1]
    cdef int status = 0
    cdef char job, uplo
    if UPLO.upper() not in ("L", "U"):
        raise ShapeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}", op=op)
    compute_v = compute_v or recording((a,))
    job = b'V' if compute_v else b'N'
    uplo = ord(UPLO.upper())
    v = copy_columns(a)
    w = vectors(a, n, rt_real_dtype(a.dt))
    info = numbers(a, RT_I32)
    if v.n:
        if on_device(v):
            run_on_device("heevd", v, w, compute_v, UPLO.upper() == "L", info)
        else:
            with nogil:
                status = rt_heevd(a.dt, z, job, uplo, n, v.ptr, w.ptr, <int32_t *>info.ptr)
            check(op, status)
        refuse(op, info, NOT_CONVERGED.replace("{}", "eigen") + " (error code: {})")
    record("LinalgEighBackward0", "eigh", (a,), [w, v], (w, v), ())
    return w, v if compute_v else None


def eig_raw(A, bint compute_v=True, op="linalg.eig"):
    """Return (eigenvalues, eigenvectors), complex; vectors None when not asked for."""
    cdef TensorBase a = square(op, A), f, v = None, w, info
    cdef int64_t z = batch_of(a), n = a.sh[a.nd - 1], i
    cdef int status = 0, dt = RT_C64 if a.dt == RT_F32 or a.dt == RT_C64 else RT_C128
    cdef char *vp = NULL
    if not all_finite(a):
        raise LinAlgError(f"{op}: input tensor should not contain infs or NaNs.", op=op)
    compute_v = compute_v or recording((a,))
    f = copy_columns(a)
    w = vectors(a, n, dt)
    if compute_v:
        v = columns(a, n, n, dt)
        vp = v.ptr
    info = numbers(a, RT_I32)
    if f.n:
        if on_device(f):
            run_on_device("geev", f, w, v, info)
        else:
            with nogil:
                status = rt_geev(a.dt, z, n, f.ptr, w.ptr, vp, <int32_t *>info.ptr)
            check(op, status)
        refuse(op, info, NOT_CONVERGED.replace("{}", "eigen") + " (error code: {})")
    record("LinalgEigBackward0", "eig", (a,), [w, v], (w, v), (rt_kind(a.dt) == RT_KIND_COMPLEX,))
    return w, v


cdef bint all_finite(TensorBase t):
    cdef TensorBase c
    cdef int64_t i, n
    if on_device(t):
        return t.dev & 255 == RT_META or bool((<object>t).isfinite().all())
    c = contiguous_raw(t)
    n = c.n * (2 if rt_kind(c.dt) == RT_KIND_COMPLEX else 1)
    if rt_real_dtype(c.dt) == RT_F32:
        for i in range(n):
            if not (<float *>c.ptr)[i] - (<float *>c.ptr)[i] == 0:
                return False
    else:
        for i in range(n):
            if not (<double *>c.ptr)[i] - (<double *>c.ptr)[i] == 0:
                return False
    return True


# ---- least squares ---------------------------------------------------------------------------------------------------------
DRIVERS = {"gels": 0, "gelsy": 1, "gelsd": 2, "gelss": 3}


def lstsq_raw(A, B, double rcond, str driver):
    """Return (padded solution with max(m, n) rows, its first n rows, rank or None, singular values or None). Not recorded."""
    cdef int64_t sh[64]
    cdef TensorBase a = <TensorBase?>A, b = <TensorBase?>B, f = copy_columns(a), x, s = None, rank, info
    cdef int64_t m = a.sh[a.nd - 2], n = a.sh[a.nd - 1], r = b.sh[b.nd - 1], z = batch_of(a)
    cdef int status = 0, which = DRIVERS[driver]
    cdef char *sp = NULL
    x = columns(b, max(m, n), r, a.dt)
    fill_value(x, 0)
    copy_raw(<TensorBase>_view_pieces.narrow(x, -2, 0, m), b)
    rank = numbers(a, RT_I64)
    info = numbers(a, RT_I32)
    if which >= 2:
        s = vectors(a, min(m, n), rt_real_dtype(a.dt))
        sp = s.ptr
    if f.n and x.n and on_device(f):
        run_on_device("lstsq", x, f, which, rcond, rank, s, info)
    elif f.n and x.n:
        with nogil:
            status = rt_lstsq(a.dt, z, which, m, n, r, f.ptr, x.ptr, rcond, <int64_t *>rank.ptr, sp, <int32_t *>info.ptr)
        check("linalg.lstsq", status)
        refuse("torch.linalg.lstsq", info, "The least squares solution could not be computed because the input matrix does not have full rank (error code: {}).")
    memcpy(sh, x.sh, x.nd * sizeof(int64_t))
    sh[x.nd - 2] = n
    return x, view_raw(x, x.nd, sh, x.st, 0), (None if which == 0 else rank), s


# ---- LDL ---------------------------------------------------------------------------------------------------------------------
def ldl_factor_raw(A, bint hermitian, op="linalg.ldl_factor_ex"):
    """Return (LD, pivots, info)."""
    cdef TensorBase a = square(op, A), f = copy_columns(a), piv, info
    cdef int64_t z = batch_of(a), n = a.sh[a.nd - 1]
    cdef int status = 0
    piv = vectors(a, n, RT_I32)
    info = numbers(a, RT_I32)
    if f.n:
        if on_device(f):
            run_on_device("ldl_factor", f, piv, info, hermitian)
        else:
            with nogil:
                status = rt_ldl_factor(a.dt, z, hermitian, n, f.ptr, <int32_t *>piv.ptr, <int32_t *>info.ptr)
            check(op, status)
        zero_above(f)
    return f, piv, info


cdef int zero_above(TensorBase f) except -1:
    """Clear what lies above the diagonal of square column-major matrices."""
    cdef int64_t n = f.sh[f.nd - 1], q, j
    cdef int size = rt_itemsize(f.dt)
    if on_device(f):
        run_on_device("clear", f, False)
        return 0
    for q in range(batch_of(f)):
        for j in range(n):
            clear(f.ptr + (q * n + j) * n * size, j * size)
    return 0


def ldl_solve_raw(LD, pivots, B, bint hermitian):
    """Return X from a Bunch-Kaufman factorization; same batches."""
    cdef TensorBase f = as_columns(<TensorBase?>LD), x = copy_columns(<TensorBase?>B), piv = contiguous_raw(<TensorBase?>pivots), info
    cdef int64_t z = batch_of(x), n = x.sh[x.nd - 2], r = x.sh[x.nd - 1]
    cdef int status = 0
    info = numbers(x, RT_I32)
    if x.n and on_device(x):
        run_on_device("ldl_solve", x, f, piv, hermitian)
    elif x.n:
        with nogil:
            status = rt_ldl_solve(x.dt, z, hermitian, n, r, f.ptr, <int32_t *>piv.ptr, x.ptr, <int32_t *>info.ptr)
        check("linalg.ldl_solve", status)
    return x


def attach_formula(str label, str formula, inputs, outputs, keep, args=()):
    """Record an operator whose value was computed without history; see ``LinalgBackward``."""
    record(label, formula, tuple(inputs), list(outputs), tuple(keep), tuple(args))


def identity(int64_t n, like):
    """Return the (n, n) identity in ``like``'s dtype and device."""
    cdef TensorBase t = <TensorBase?>like
    cdef int64_t sh[2]
    sh[0] = sh[1] = n
    cdef TensorBase e = empty(2, sh, t.dt, t.dev)
    fill_value(e, 0)
    if n:
        fill_value(<TensorBase>_strided.diagonal(e, 0, 0, 1), 1)
    return e


def norm_raw(x, double p, tuple dims, bint keepdim):
    """Return the p-norm over ``dims``. Not recorded; 16-bit floats are summed in float32."""
    cdef TensorBase t = <TensorBase?>x, r
    cdef uint8_t mask[64]
    cdef int real = rt_real_dtype(t.dt), acc = rt_compute_dtype(t.dt), out, row, i
    cdef double inf = float("inf")
    for i in range(t.nd):
        mask[i] = 0
    for i in dims:
        mask[i] = 1
    out = rt_compute_dtype(real)
    if p == 0:
        r = reduce_raw(RED_COUNT_NONZERO, t, mask, keepdim, acc, out, 0)
    elif p == 2:
        r = reduce_raw(RED_SUM_SQ, t, mask, keepdim, acc, out, 0)
        r = <TensorBase>unary(ROW_SQRT, r, None)
    elif p == 1:
        r = reduce_raw(RED_SUM_ABS, t, mask, keepdim, acc, out, 0)
    else:
        if rt_kind(t.dt) == RT_KIND_COMPLEX:
            t = <TensorBase>unary(ROW_ABS, t, None)
            acc = rt_compute_dtype(real)
        if p == inf or p == -inf:
            row = RED_MAX_ABS if p > 0 else RED_MIN_ABS
            r = reduce_raw(row, t, mask, keepdim, acc, out, 0)
        else:
            r = reduce_raw(RED_SUM_CUBE if p == 3 else RED_SUM_POW, t, mask, keepdim, acc, out, p)
            r = <TensorBase>binary(ROW_POW, r, 1 / p, None)
    return cast(r, real)


def plain_norm(x, ord, dim, bint keepdim):
    """`vector_norm` of a real tensor that nothing records, over one dimension or all; None: another call."""
    cdef TensorBase t, r
    cdef uint8_t mask[64]
    cdef int i, d = 0, acc, out, row
    cdef double p
    if not isinstance(x, TensorBase) or not (type(ord) is int or type(ord) is float):
        return None
    t = <TensorBase>x
    if t.nd == 0 or t.n == 0 or rt_kind(t.dt) != RT_KIND_FLOAT or t.rg and grad_mode():
        return None
    p = ord
    if p == 2:
        row = RED_SUM_SQ
    elif p == 1:
        row = RED_SUM_ABS
    elif p * 0 != 0 and p == p:          # infinite
        row = RED_MAX_ABS if p > 0 else RED_MIN_ABS
    else:
        return None
    if dim is not None:
        if type(dim) is not int or dim < -t.nd or dim >= t.nd:
            return None
        d = dim if dim >= 0 else dim + t.nd
    for i in range(t.nd):
        mask[i] = dim is None or i == d
    acc = out = rt_compute_dtype(t.dt)
    r = reduce_raw(row, t, mask, keepdim, acc, out, 0)
    if row == RED_SUM_SQ:
        r = <TensorBase>unary(ROW_SQRT, r, None)
    return cast(r, t.dt) if r.dt != t.dt else r


def plain_cross(x, y, int d):
    """The cross product over dimension d of two dense real tensors of one shape that nothing records; None: another call."""
    cdef TensorBase a = <TensorBase?>x, b = <TensorBase?>y, out
    cdef int64_t outer = 1, inner = 1, i, k
    cdef const float *p
    cdef const float *q
    cdef float *r
    cdef const double *wp
    cdef const double *wq
    cdef double *wr
    if a.dev != RT_CPU or b.dev != RT_CPU or a.dt != b.dt or (a.dt != RT_F32 and a.dt != RT_F64) or not same_shape(a, b) \
            or not (a.flags & b.flags & F_CONTIG) or (a.rg or b.rg) and grad_mode():
        return None
    out = empty(a.nd, a.sh, a.dt, RT_CPU)
    for i in range(a.nd):
        if i < d:
            outer *= a.sh[i]
        elif i > d:
            inner *= a.sh[i]
    with nogil:
        for k in range(outer):
            if a.dt == RT_F32:
                p, q, r = <const float *>a.ptr + 3 * inner * k, <const float *>b.ptr + 3 * inner * k, <float *>out.ptr + 3 * inner * k
                for i in range(inner):
                    r[i] = p[inner + i] * q[2 * inner + i] - p[2 * inner + i] * q[inner + i]
                    r[inner + i] = p[2 * inner + i] * q[i] - p[i] * q[2 * inner + i]
                    r[2 * inner + i] = p[i] * q[inner + i] - p[inner + i] * q[i]
            else:
                wp, wq, wr = <const double *>a.ptr + 3 * inner * k, <const double *>b.ptr + 3 * inner * k, <double *>out.ptr + 3 * inner * k
                for i in range(inner):
                    wr[i] = wp[inner + i] * wq[2 * inner + i] - wp[2 * inner + i] * wq[inner + i]
                    wr[inner + i] = wp[2 * inner + i] * wq[i] - wp[i] * wq[2 * inner + i]
                    wr[2 * inner + i] = wp[i] * wq[inner + i] - wp[inner + i] * wq[i]
    return out


def check_matrix(op, x, bint must_be_square=False, arg="A"):
    """Refuse what is not a batch of float or complex matrices."""
    return square(op, x, arg) if must_be_square else matrix(op, x, arg)


def check_same(op, a, b):
    """Refuse two dtypes or devices."""
    same_dtype(op, <TensorBase?>a, <TensorBase?>b)


FUNCTIONS = {"geqrf": geqrf}
METHODS = {"geqrf": geqrf}
