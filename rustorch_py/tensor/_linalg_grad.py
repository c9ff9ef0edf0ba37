"""Gradients of the decompositions, as formulas over tensors.

Each function takes (grads, saved, needs, *args): gradients of the outputs (None where none came), what
the forward kept, which inputs want a gradient; it returns a tuple with an entry an input. Everything is
made of recorded operators, so a gradient can be differentiated again.

Sources: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode
AD" (2008); M. Seeger et al., "Auto-Differentiating Linear Algebra" (2017); for complex matrices the
adjoint is the conjugate transpose.
"""
from ..errors import AutogradError
from . import _linalg
from ._view_complex import imag as _imag, real as _real
from ._join import cat as _cat
from ._linalg import identity as _eye


def H(x):
    """Conjugate transpose of the last two dimensions."""
    return x.mH


def _tril(x, k=0):
    return x.tril(k)


def _triu(x, k=0):
    return x.triu(k)


def _diag(x):
    return x.diagonal(0, -2, -1)


def _embed(d):
    """Vectors on the diagonals of matrices."""
    n = d.shape[-1]
    return d.unsqueeze(-1) * _eye(n, d)


def _skew(x):
    return x - H(x)


def _real_if(x, complex_input):
    return x if complex_input else _real(x)


# ---- solvers ------------------------------------------------------------------------------------------
def _solve(a, b):
    return _linalg.solve_raw(a, b)[0]


def _tri(a, b, upper, unit=False):
    return _linalg.solve_triangular_raw(a, b, upper, unit)


def inv(grads, saved, needs):
    g, (y,) = grads[0], saved
    if g is None:
        return (None,)
    yh = H(y)
    return (-(yh @ g @ yh),)


def solve(grads, saved, needs):
    g, (a, x) = grads[0], saved
    if g is None:
        return None, None
    gb = _solve(H(a), g)
    return (-(gb @ H(x)) if needs[0] else None, gb if needs[1] else None)


def solve_triangular(grads, saved, needs, upper, unit):
    g, (a, x) = grads[0], saved
    if g is None:
        return None, None
    gb = _tri(H(a), g, not upper, unit)
    ga = None
    if needs[0]:
        ga = -(gb @ H(x))
        ga = _triu(ga, 1 if unit else 0) if upper else _tril(ga, -1 if unit else 0)
    return ga, gb if needs[1] else None


def lu_factor(grads, saved, needs):
    g, (lu, pivots) = grads[0], saved
    if g is None:
        return (None,)
    m, n = lu.shape[-2:]
    k = min(m, n)
    p = _linalg.permutation(pivots, m, lu)
    square = lu[..., :k, :k]
    low, up = _tril(square, -1) + _eye(k, lu), _triu(square)
    gs = g[..., :k, :k]
    left, right = H(low) @ _tril(gs, -1), _triu(gs) @ H(up)
    if m > n:
        l2, g2 = lu[..., k:, :], g[..., k:, :]
        right = right - H(l2) @ g2
    elif m < n:
        u2, g2 = lu[..., :, k:], g[..., :, k:]
        left = left - g2 @ H(u2)
    core = _tril(left, -1) + _triu(right)
    core = _tri(H(low), core, True, True)                        # L^-H core
    core = H(_tri(up, H(core), True))                            # ... U^-H
    if m > n:
        low_part = H(_tri(up, H(g2), True))
        core = _cat((core, low_part), -2)
    elif m < n:
        core = _cat((core, _tri(H(low), g2, True, True)), -1)
    return (p @ core,)


# ---- Cholesky, QR ---------------------------------------------------------------------------------------
def cholesky(grads, saved, needs, upper):
    g, (f,) = grads[0], saved
    if g is None:
        return (None,)
    low, g = (H(f), H(g)) if upper else (f, g)
    phi = _tril(H(low) @ g)
    phi = phi + H(_tril(phi, -1))
    lh = H(low)
    x = _tri(lh, phi, True)                                      # L^-H phi
    x = H(_tri(lh, H(x), True))                                  # ... L^-1
    return (0.5 * x,)


def cholesky_inverse(grads, saved, needs, upper):
    g, (f, y) = grads[0], saved
    if g is None:
        return (None,)
    both = y @ (g + H(g)) @ y
    return (-(f @ both) if upper else -(both @ f),)


def qr_none(grads, saved, needs):
    raise AutogradError("The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, "
                        "mode='reduced') if you are going to require gradients", op="linalg.qr")


def geqrf_none(grads, saved, needs):
    raise AutogradError("the derivative for 'geqrf' is not implemented", op="geqrf")


def qr(grads, saved, needs, mode, m, n):
    (gq, gr), (q, r) = grads, saved
    if gq is None and gr is None:
        return (None,)
    if mode == "complete" and m > n:
        raise AutogradError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols", op="linalg.qr")
    if m >= n:
        return (_qr_tall(gq, gr, q, r),)
    # wide: A = (X | Y), R = (U | V), X = Q U, Y = Q V
    u, v = r[..., :, :m], r[..., :, m:]
    gu = gv = None
    if gr is not None:
        gu, gv = gr[..., :, :m], gr[..., :, m:]
        y = q @ v
        more = y @ H(gv)
        gq = more if gq is None else gq + more
    gx = _qr_tall(gq, gu, q, u)
    gy = q @ gv if gv is not None else v.new_zeros(v.shape)
    return (_cat((gx, gy), -1),)


def _qr_tall(gq, gr, q, r):
    """m >= n; syminv: M + M^H with half its diagonal, of M's upper triangle."""
    parts = []
    if gr is not None:
        parts.append(gr @ H(r))
    if gq is not None:
        parts.append(-(H(q) @ gq))
    core = _triu(parts[0] if len(parts) == 1 else parts[0] + parts[1])
    d = _real(_diag(core))
    core = core + H(core)
    core = core - _embed(d.to(core.dtype))
    if core.is_complex():
        c = _diag(core)
        core = core - _embed(c - _real(c))
    x = q @ core
    if gq is not None:
        x = x + gq
    return H(_tri(r, H(x), True))                                # x R^-H


# ---- eigenvalues, SVD -------------------------------------------------------------------------------------
def _gaps(w):
    """E_ij = w_j - w_i, ones on the diagonal."""
    return w.unsqueeze(-2) - w.unsqueeze(-1) + _eye(w.shape[-1], w)


def eigh(grads, saved, needs):
    (gw, gv), (w, v) = grads, saved
    if gw is None and gv is None:
        return (None,)
    if gv is None:
        return ((v * gw.unsqueeze(-2)) @ H(v),)
    core = H(v) @ gv
    core = core / _gaps(w)
    core = core - _embed(_diag(core))
    if gw is not None:
        core = core + _embed(gw.to(core.dtype))
    return (v @ core @ H(v),)


def eig(grads, saved, needs, complex_input):
    (gw, gv), (w, v) = grads, saved
    if gw is None and gv is None:
        return (None,)
    vh = H(v)
    if gv is None:
        core = _embed(gw)
    else:
        # geev normalises the vectors: their length is fixed, which takes the real diagonal away
        core = vh @ gv
        core = core - (vh @ v) * _real(_diag(core)).unsqueeze(-2)
        core = core / _gaps(w).conj()
        core = core - _embed(_diag(core))
        if gw is not None:
            core = core + _embed(gw)
    return (_real_if(_solve(vh, core @ vh), complex_input),)


def svd(grads, saved, needs, k, m, n):
    (gu, gs, gvh), (u, s, vh) = grads, saved
    if gu is None and gs is None and gvh is None:
        return (None,)
    u, vh = u[..., :, :k], vh[..., :k, :]
    if gu is None and gvh is None:
        return ((u * gs.unsqueeze(-2)) @ vh,)
    is_complex = u.is_complex()
    core = None
    gaps = _gaps(s * s)                                          # ones on its diagonal
    if gu is not None:
        gu = gu[..., :, :k]
        uu = _skew(H(u) @ gu)
        core = uu * s.unsqueeze(-2)
    if gvh is not None:
        gvh = gvh[..., :k, :]
        vv = _skew(vh @ H(gvh))
        part = s.unsqueeze(-1) * vv
        core = part if core is None else core + part
    core = core / gaps
    core = core - _embed(_diag(core))
    if gs is not None:
        core = core + _embed(gs.to(core.dtype))
    if is_complex and gu is not None and gvh is not None:
        core = core + _embed(_diag(uu) / (2 * s))
    x = u @ core
    if m > k and gu is not None:
        gus = gu / s.unsqueeze(-2)
        x = x + gus - u @ (H(u) @ gus)
    x = x @ vh
    if n > k and gvh is not None:
        sgv = gvh / s.unsqueeze(-1)
        x = x + u @ (sgv - (sgv @ H(vh)) @ vh)
    return (x,)


# ---- composed values with a shorter gradient -----------------------------------------------------------------
def det(grads, saved, needs):
    g, (a, d) = grads[0], saved
    if g is None:
        return (None,)
    # A^-H conj(det) g. Near a singular matrix the errors of the inverse and the determinant cancel, both come from LU of the same matrix.
    moved = _regular(a, d)
    if moved is not a:
        a = moved
        lu, pivots, _ = _linalg.lu_factor_raw(a)
        d = _diag(lu).prod(-1) * _linalg.pivot_sign(pivots, lu)
    return ((g * d.conj()).unsqueeze(-1).unsqueeze(-1) * H(_linalg.inv_raw(a)[0]),)


def _regular(a, d):
    """a, with singular matrices moved off singularity by a few units of rounding."""
    singular = d.detach() == 0
    if not bool(singular.any()):
        return a
    step = {"float32": 1e-6, "complex64": 1e-6}.get(str(a.dtype).rpartition(".")[2], 2e-15)
    size = _linalg.norm_raw(a.detach(), float("inf"), (a.ndim - 2, a.ndim - 1), True)
    return a + _eye(a.shape[-1], a) * ((size + (size == 0)) * step * singular.unsqueeze(-1).unsqueeze(-1)).to(a.dtype)


def slogdet(grads, saved, needs):
    (gs, gl), (a, sign) = grads, saved
    if gs is None and gl is None:
        return (None,)
    n = a.shape[-1]
    if a.is_complex():
        w = gl.to(a.dtype) if gl is not None else None
        if gs is not None:
            turn = -_imag(gs.conj() * sign) * 1j
            w = turn if w is None else w + turn
    else:
        w = gl
        if w is None:
            return (a * 0,)
    return (_solve(H(a), w.unsqueeze(-1).unsqueeze(-1) * _eye(n, a)),)


def pinv(grads, saved, needs):
    g, (a, p) = grads[0], saved
    if g is None:
        return (None,)
    ph, gh = H(p), H(g)
    m, n = a.shape[-2:]
    if m <= n:
        k = gh @ p
        kph = k @ ph
        return (-H(p @ k) + kph - (a @ p) @ kph + (ph @ p) @ (gh - k @ a),)
    k = p @ gh
    phk = ph @ k
    return (-H(k @ p) + (gh - a @ k) @ p @ ph + phk - (phk @ p) @ a,)


def vector_norm(grads, saved, needs, p, dims, keepdim):
    """Subgradient 0 where the norm is 0."""
    g, (x, y) = grads[0], saved
    if g is None:
        return (None,)
    if not keepdim:
        for d in sorted(dims):
            g, y = g.unsqueeze(d), y.unsqueeze(d)
    if p == 0:
        return (x * 0,)
    if p == 1:
        return (x.sgn() * g,)
    if p == 2:
        zero = y == 0
        return ((x * (g / y)).masked_fill(zero, 0),)
    size = x.abs()
    if p == float("inf") or p == float("-inf"):
        hit = size == y
        return (x.sgn() * (g / hit.sum(tuple(dims), True)) * hit,)
    if p < 1:
        t = x.sgn() * size.pow(p - 1) * g * y.pow(1 - p)
        return (t.masked_fill(x == 0, 0),)
    if p < 2:
        t = x.sgn() * size.pow(p - 1) * (g / y.pow(p - 1))
        return (t.masked_fill(y == 0, 0),)
    return ((x * size.pow(p - 2) * (g / y.pow(p - 1))).masked_fill(y == 0, 0),)


_linalg.FORMULAS.update(
    inv=inv, solve=solve, solve_triangular=solve_triangular, lu_factor=lu_factor, cholesky=cholesky,
    cholesky_inverse=cholesky_inverse, qr=qr, qr_none=qr_none,
    geqrf_none=geqrf_none, eigh=eigh, eig=eig, svd=svd, det=det, slogdet=slogdet, pinv=pinv, vector_norm=vector_norm)
