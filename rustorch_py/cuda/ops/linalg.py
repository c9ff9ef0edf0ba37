"""Linear algebra: LAPACK's routines on column-major matrices of a device, as the doors of tensor/_linalg.pyx call them.

Large matrices go by panels: a panel is factored by one block of threads, what it does to the rest is matrix products.
"""
from ...autograd import no_grad
from ...errors import UnsupportedOpError
from ...tensor._devices import provide
from .._backend import launch

PANEL = 32                 # columns, and the rows of a triangle that the kernels solve
FILE = "linalg.cuh"


def _batch(x):
    """How many matrices."""
    n = 1
    for size in x.shape[:-2]:
        n *= size
    return n


def _flat(x):
    """Column-major matrices without gaps as one batch, a view (z, m, n) with the same layout."""
    m, n = x.shape[-2:]
    return x.as_strided((_batch(x), m, n), (max(m, 1) * max(n, 1), 1, max(m, 1)))


def _columns(z, m, n, like):
    """Empty column-major (z, m, n)."""
    return like.new_empty((z, n, m)).transpose(1, 2)


def _identity(z, n, like):
    x = _columns(z, n, n, like)
    x.zero_()
    x.diagonal(0, -2, -1).fill_(1)
    return x


# ---- triangles ----
def _solve_block(a, b, upper, unit, conjugate):
    """op(A) X = B in place for up to PANEL rows; a, b: (z, n, n) and (z, n, r) of any strides."""
    z, n, r = b.shape
    if r:
        launch(FILE, "trsm", (b.dtype,), (a, b), (n, r, a.stride(0), a.stride(1), a.stride(2), b.stride(0), b.stride(1), b.stride(2), upper, unit, conjugate),
               grid=((r + 255) // 256, z))


def _solve(a, b, upper, unit, conjugate=False):
    """The same for any number of rows: by blocks from the end that is known."""
    n = b.shape[1]
    starts = range(0, n, PANEL)
    for i in reversed(starts) if upper else starts:
        j = min(i + PANEL, n)
        _solve_block(a[:, i:j, i:j], b[:, i:j], upper, unit, conjugate)
        rest = slice(0, i) if upper else slice(j, n)
        block = a[:, rest, i:j]
        if block.shape[1] and b.shape[2]:
            b[:, rest].baddbmm_(block.conj() if conjugate and b.is_complex() else block, b[:, i:j], alpha=-1)


def trsm(x, a, upper, trans, unit):
    """op(A) X = B; x holds B and becomes X."""
    with no_grad():
        a, x = _flat(a), _flat(x)
        if trans != "N":
            a, upper = a.transpose(1, 2), not upper
        _solve(a, x, bool(upper), bool(unit), trans == "C")


# ---- LU ----
def _swap(x, pivots, k0, k1, c0, c1, backwards=False):
    z, m, n = x.shape
    if c1 > c0 and k1 > k0:
        launch(FILE, "laswp", (x.dtype,), (x, pivots), (z * (c1 - c0), m, m * n, k0, k1, pivots.shape[-1], c0, c1, backwards))


def getrf(lu, pivots, info):
    with no_grad():
        x = _flat(lu)
        z, m, n = x.shape
        k = min(m, n)
        for i in range(0, k, PANEL):
            j = min(i + PANEL, k)
            launch(FILE, "getrf", (x.dtype,), (x, pivots, info), (m, m * n, i, j, k), grid=z)
            _swap(x, pivots, i, j, 0, i)
            _swap(x, pivots, i, j, j, n)
            if j < n:
                _solve_block(x[:, i:j, i:j], x[:, i:j, j:], False, True, False)
                if j < m:
                    x[:, j:, j:].baddbmm_(x[:, j:, i:j], x[:, i:j, j:], alpha=-1)


def getrs(x, lu, pivots, trans):
    with no_grad():
        a, b = _flat(lu), _flat(x)
        n, r = b.shape[1:]
        pivots = pivots.reshape(b.shape[0], n)
        if trans == "N":
            _swap(b, pivots, 0, n, 0, r)
            _solve(a, b, False, True)
            _solve(a, b, True, False)
        else:
            a = a.transpose(1, 2)
            _solve(a, b, False, False, trans == "C")
            _solve(a, b, True, True, trans == "C")
            _swap(b, pivots, 0, n, 0, r, True)


def permutation(p, pivots):
    """The matrices P of A = P L U; p begins as zeros."""
    m = p.shape[-1]
    launch(FILE, "permutation", (p.dtype,), (p, pivots), (p.numel() // (m * m) if m else 0, m, pivots.shape[-1]), grid=max(1, min(p.numel() // max(m, 1), 65535)))


# ---- Cholesky ----
def clear(x, below):
    """Zero one triangle of column-major matrices, without the diagonal."""
    launch(FILE, "clear", (x.dtype,), (x,), (x.numel(), x.shape[-2], x.shape[-1], below))


def potrf(f, upper, info):
    with no_grad():
        x = _flat(f)
        z, n, _ = x.shape
        work = x
        if upper:                                        # U^H U of the upper triangle is L L^H of its adjoint
            work = _columns(z, n, n, x)
            work.copy_(x.mH)
        for i in range(0, n, PANEL):
            j = min(i + PANEL, n)
            launch(FILE, "potrf", (x.dtype,), (work, info), (n, n * n, i, j - i), grid=z)
            if j < n:
                below = work[:, j:, i:j]
                _solve_block(work[:, i:j, i:j], below.transpose(1, 2), False, False, True)        # X L^H = B: conj(L) X^T = B^T
                work[:, j:, j:].baddbmm_(below, below.mH, alpha=-1)
        if upper:
            x.copy_(work.mH)


# ---- QR ----
def _reflect(a, tau, c, k0, k1, c0, c1, adjoint):
    """Reflectors k0 to k1 of a, applied to columns of c from the left."""
    z, m, n = a.shape
    if c1 > c0 and k1 > k0:
        launch(FILE, "ormqr", (a.dtype,), (a, tau, c), (m, m * n, k0, k1, tau.shape[-1], m * c.shape[2], c0, c1, adjoint), grid=((c1 - c0 + 7) // 8, z))


def geqrf(f, tau):
    with no_grad():
        x = _flat(f)
        z, m, n = x.shape
        k = min(m, n)
        for i in range(0, k, PANEL):
            j = min(i + PANEL, k)
            launch(FILE, "geqrf", (x.dtype,), (x, tau), (m, m * n, i, j, tau.shape[-1]), grid=z)
            _reflect(x, tau, x, i, j, j, n, True)


def orgqr(q, tau):
    """The first columns of H1 H2 ... Hk; q begins as the reflectors."""
    with no_grad():
        a = _flat(q)
        k = tau.shape[-1]
        v = _columns(a.shape[0], a.shape[1], k, a)
        v.copy_(a[:, :, :k])
        a.zero_()
        a.diagonal(0, -2, -1).fill_(1)
        _reflect(v, tau, a, 0, k, 0, a.shape[2], False)


def ormqr(c, a, tau, left, adjoint):
    with no_grad():
        v, x = _flat(a), _flat(c)
        k = tau.shape[-1]
        if left:
            _reflect(v, tau, x, 0, k, 0, x.shape[2], adjoint)
        else:                                            # C Q = (Q^H C^H)^H
            turned = _columns(x.shape[0], x.shape[2], x.shape[1], x)
            turned.copy_(x.mH)
            _reflect(v, tau, turned, 0, k, 0, turned.shape[2], not adjoint)
            x.copy_(turned.mH)


# ---- Jacobi's methods ----
def _eps(x):
    return 1.1920929e-07 if x.dtype.itemsize == (8 if x.is_complex() else 4) else 2.220446049250313e-16


def _real(x, *shape):
    """Empty real numbers of x's precision."""
    return (x.real if x.is_complex() else x).new_empty(shape)


def _ordered(x, keys, descending):
    """Columns of x (z, m, n), or None, in the order of keys (z, n), and the keys."""
    z, n = keys.shape
    sorted_keys, out = keys.new_empty(keys.shape), None
    like = keys if x is None else x
    m = 0 if x is None else x.shape[1]
    if x is not None:
        out = _columns(z, m, n, x)
    if n and z:
        launch("eigen.cuh", "ordered", (like.dtype,), (x, keys, out, sorted_keys), (m, n, descending), grid=((n + 7) // 8, z))
    return out, sorted_keys


def heevd(v, w, vectors, lower, info):
    """v: the matrices, then the vectors; w: eigenvalues."""
    with no_grad():
        x = _flat(v)
        z, n, _ = x.shape
        a = _columns(z, n, n, x)
        half = x.tril() if lower else x.triu()
        other = (x.tril(-1) if lower else x.triu(1)).mH
        a.copy_(half + other)
        if x.is_complex():                               # the imaginary part of the diagonal is not looked at
            a.diagonal(0, -2, -1).copy_(x.diagonal(0, -2, -1).real)
        turns = _identity(z, n, x) if vectors else None
        room = (n + 1) // 2
        launch("eigen.cuh", "heevd", (x.dtype,), (a, turns, _real(x, z, room), x.new_empty((z, room)), info), (n, room), (_eps(x) * 0.5,), grid=z)
        found = _real(x, z, n)
        launch("eigen.cuh", "values", (x.dtype,), (a, found), (z * n, n, n, 1))
        columns, keys = _ordered(turns, found, False)
        w.reshape(z, n).copy_(keys)
        if vectors:
            x.copy_(columns)


def gesdd(f, s, u, vh, info):
    """f: the matrices, overwritten; u, vh: column-major results or None."""
    with no_grad():
        x = _flat(f)
        z, m, n = x.shape
        tall = m >= n
        g = x
        if not tall:                                     # A^H = U S V^H: A = V S U^H
            g = _columns(z, n, m, x)
            g.copy_(x.mH)
        rows, k = g.shape[1:]
        turns = _identity(z, k, x) if u is not None else None
        launch("eigen.cuh", "gesvj", (x.dtype,), (g, turns, info), (rows, k), (_eps(x) * 2,), grid=z)
        lengths = _real(x, z, k)
        launch("eigen.cuh", "values", (x.dtype,), (g, lengths), (z * k, rows, k, 0))
        g, keys = _ordered(g, lengths, True)
        s.reshape(z, k).copy_(keys)
        if u is None:
            return
        turns, _ = _ordered(turns, lengths, True)
        # the columns are orthogonal, so R is diagonal: Q is U but for signs, and goes on where columns are zero or absent
        tau = x.new_empty((z, k))
        geqrf(g, tau)
        left, right = (u, vh) if tall else (vh, u)
        left, right = _flat(left), _flat(right)
        wide = left.shape[2] if tall else left.shape[1]
        q = _identity(z, rows, x)[:, :, :wide] if wide == rows else None
        if q is None:
            q = _columns(z, rows, wide, x)
            q.zero_()
            q.diagonal(0, -2, -1).fill_(1)
        _reflect(g, tau, q, 0, k, 0, wide, False)
        d = g.diagonal(0, -2, -1)
        sign = ((d.real if x.is_complex() else d) < 0).to(keys.dtype) * -2 + 1
        q[:, :, :k].mul_(sign.unsqueeze(1))
        if tall:
            left.copy_(q)
            right.copy_(turns.mH)
        else:
            left.copy_(q.mH)
            right.copy_(turns)


def geev(f, w, v, info):
    """f: the matrices; w, v (or None): complex eigenvalues and vectors of length 1."""
    with no_grad():
        x = _flat(f)
        z, n, _ = x.shape
        h = _columns(z, n, n, w)
        h.copy_(x)
        schur = _identity(z, n, w)
        launch("schur.cuh", "schur", (w.dtype,), (h, schur, info), (n,), grid=z)
        w.reshape(z, n).copy_(h.diagonal(0, -2, -1))
        if v is None:
            return
        inner = _columns(z, n, n, w)
        launch("schur.cuh", "trevc", (w.dtype,), (h, inner), (z * n, n), (_eps(w),))
        found = schur @ inner
        size = found.abs()
        found = found / size.square().sum(1, True).sqrt()
        # the largest part of each vector is real, as LAPACK's
        top = size.amax(1, True)
        first = ((size == top).to(size.dtype) * _falling(size)).amax(1, True)
        lead = (found * ((size == top).to(size.dtype) * _falling(size) == first).to(found.dtype)).sum(1, True)
        _flat(v).copy_(found * (lead.conj() / lead.abs()))


def _falling(size):
    """n, n - 1, ..., 1 down the columns."""
    n = size.shape[1]
    from ...tensor import arange
    return (n - arange(n, device=size.device)).to(size.dtype).unsqueeze(-1)


# ---- least squares ----
def lstsq(x, a, driver, rcond, rank, s, info):
    """x: B padded to max(m, n) rows, then the solution in its first n; a: overwritten. Full rank is taken for granted, as LAPACK's gels does."""
    if driver != 0:
        raise UnsupportedOpError("torch.linalg.lstsq: parameter `driver` should be one of (gels) for CUDA", op="linalg.lstsq")
    with no_grad():
        f, b = _flat(a), _flat(x)
        z, m, n = f.shape
        turned = f
        if m < n:                                        # A^H = Q R: X = Q R^-H B
            turned = _columns(z, n, m, f)
            turned.copy_(f.mH)
        k = min(m, n)
        tau = f.new_empty((z, k))
        geqrf(turned, tau)
        top = b[:, :k]
        if m >= n:
            work = _columns(z, m, b.shape[2], b)
            work.copy_(b[:, :m])
            _reflect(turned, tau, work, 0, k, 0, b.shape[2], True)
            top.copy_(work[:, :k])
            _solve(turned[:, :k, :k], top, True, False)
        else:
            _solve(turned[:, :k, :k].transpose(1, 2), top, False, False, True)
            b[:, k:].zero_()
            work = _columns(z, n, b.shape[2], b)
            work.copy_(b)
            _reflect(turned, tau, work, 0, k, 0, b.shape[2], False)
            b.copy_(work)


# ---- indefinite matrices ----
def ldl_factor(f, pivots, info, hermitian):
    x = _flat(f)
    launch("ldl.cuh", "ldl_factor", (f.dtype,), (f, pivots, info), (x.shape[1], hermitian), grid=x.shape[0])


def ldl_solve(x, f, pivots, hermitian):
    b = _flat(x)
    launch("ldl.cuh", "ldl_solve", (x.dtype,), (x, f, pivots), (b.shape[0] * b.shape[2], b.shape[1], b.shape[2], hermitian))


provide("cuda", {f.__name__: f for f in (trsm, getrf, getrs, permutation, clear, potrf, geqrf, orgqr, ormqr, heevd, gesdd, geev, lstsq, ldl_factor, ldl_solve)})
