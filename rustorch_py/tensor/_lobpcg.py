"""Leading eigenpairs of large symmetric matrices by products with blocks of vectors: LOBPCG.

Each step looks for better vectors in the span of three blocks: the present vectors X, their (preconditioned) residuals W,
and the directions P of the step before. "basic" solves the small eigenproblem of the blocks as they are; "ortho" makes them
orthonormal first, which stays sound where they are nearly dependent.

Sources: A. Knyazev, "Toward the optimal preconditioned eigensolver" (2001); J. Duersch et al., "A robust and efficient
implementation of LOBPCG" (2018): basis of P, criterion of convergence; A. Stathopoulos, K. Wu, "A block orthogonalization
procedure with constant synchronization requirements" (2002): orthonormal W.
"""
from . import _linalg
from ._base_modes import no_grad
from ._create import zeros
from ._join import cat, stack
from ._linalg import attach_formula, identity
from ._random_make import randn
from ..errors import LinAlgError, TensorTypeError, TensorValueError

_EPS = {"float32": 1.2e-07, "float64": 2.23e-16}
_OP = "lobpcg"


def _times(a, x):
    return x if a is None else a @ x


def _eigh(a, largest):
    values, vectors = _linalg.eigh_raw((a + a.mT) / 2)
    return (values.flip(-1), vectors.flip(-1)) if largest else (values, vectors)


class _Worker:
    """The state of a run: what a tracker sees.

    Attributes:
        A, B, iK: the matrices; B and iK may be None for the identity.
        X, E, R: vectors (m, n), values (n,), residuals (m, n).
        S: the blocks of the next step side by side.
        iparams, fparams, bparams: options; ivars, fvars, bvars, tvars: numbers of the present step. ``bvars["force_stop"] = True`` ends the run.
    """

    def __init__(self, A, B, X, iK, iparams, fparams, bparams, method, tracker):
        self.A, self.B, self.X, self.iK = A, B, X, iK
        self.iparams, self.fparams, self.bparams, self.method, self.tracker = iparams, fparams, bparams, method, tracker
        self.E, self.R, self.S = X.new_zeros(X.shape[1]), zeros(tuple(X.shape), dtype=X.dtype), X
        self.P = X[:, :0]
        self.ivars = {"istep": 0, "iterations_left": iparams["niter"], "converged_count": 0, "converged_end": 0}
        self.fvars, self.bvars, self.tvars = {}, {}, {}
        for name, a in (("X_norm", None), ("A_norm", A), ("B_norm", B)):
            self.fvars[name] = _times(a, X).norm().item() / (1 if name == "X_norm" else self.fvars["X_norm"])

    def run(self):
        step = self._ortho if self.method == "ortho" else self._basic
        n = self.X.shape[1]
        while True:
            first = self.ivars["istep"] == 0
            # "ortho" leaves found pairs as they are: all else is orthogonal to them. "basic" keeps them in the small problem
            done = self.ivars["converged_count"] if self.method == "ortho" else 0
            block = self.X if first else self.S[:, done:]
            active = n if first else n - done
            self._improve(block, active, step)
            self._count_converged()
            self.ivars["istep"] += 1
            self.ivars["iterations_left"] -= 1
            done = self.ivars["converged_count"]
            residual = self.R[:, done:]
            known = cat((self.X, self.P), 1)
            w = _times(self.iK, residual)
            if self.method == "ortho":
                w = self._orthonormal(w, known)
            self.S = cat((known, w), 1)
            self.ivars["converged_end"] = self.S.shape[1]
            if self.tracker is not None:
                self.tracker(self)
            if self.bvars.get("force_stop") or self.ivars["iterations_left"] <= 0 or done >= self.iparams["k"] or self.S.shape[1] == n:
                return

    def _improve(self, block, active, step):
        """Take the best vectors in the span of a block for X, what they owe to its other columns for P."""
        values, mix = step(block)
        best = mix[:, :active]
        old = best.shape[0] if self.ivars["istep"] == 0 else active              # the first rows of the mix belong to X itself
        rest = best.clone()
        rest[:old] = 0
        self.P = self._directions(block, best, rest)
        self.X = cat((self.X[:, :self.X.shape[1] - active], block @ best), 1)
        self.E = cat((self.E[:self.E.shape[0] - active], values[:active]))
        self.R = _times(self.A, self.X) - _times(self.B, self.X) * self.E

    def _directions(self, block, best, rest):
        if self.method == "basic":
            p = block @ rest
            return p[:, p.norm(dim=0) > 0]
        # within an orthonormal block: orthogonal to X, an orthonormal basis of what is left
        rest = rest - best @ (best.mT @ rest)
        u, s, _ = _linalg.svd_raw(rest, False)
        kept = s > 10 * _EPS[self.dtype_name] * max(1.0, s.max().item() if s.numel() else 1.0)
        return block @ u[:, kept]

    @property
    def dtype_name(self):
        return str(self.X.dtype).rpartition(".")[2]

    def _basic(self, block):
        """Values and coefficients of the small problem ``(S'AS) c = (S'BS) c e``, the blocks scaled to unit length."""
        gram = block.mT @ _times(self.B, block)
        scale = gram.diagonal().rsqrt()
        factor, info = _linalg.cholesky_raw(gram * scale * scale.unsqueeze(1), False)
        if int(info) != 0:
            raise LinAlgError("lobpcg: the blocks of method 'basic' became dependent; use method='ortho'", op=_OP)
        inverse = _linalg.solve_triangular_raw(factor, identity(factor.shape[-1], factor), False, False).mT * scale.unsqueeze(1)
        small = inverse.mT @ (block.mT @ _times(self.A, block)) @ inverse
        values, mix = _eigh(small, self.bparams["largest"])
        return values, inverse @ mix

    def _ortho(self, block):
        if self.ivars["istep"] == 0:
            return self._basic(block)                                             # X as given need not be orthonormal
        return _eigh(block.mT @ _times(self.A, block), self.bparams["largest"])

    def _orthonormal(self, u, v):
        """B-orthonormal columns of what u adds to the span of v; columns that add nothing are dropped."""
        tol = self.fparams["ortho_tol"]
        bv = _times(self.B, v)
        for i in range(self.iparams["ortho_i_max"]):
            self.ivars["ortho_i"], self.ivars["ortho_j"] = i, 0
            u = u - v @ (bv.mT @ u)
            for j in range(self.iparams["ortho_j_max"]):
                self.ivars["ortho_j"] = j
                u = self._svqb(u)
                if u.shape[1] == 0:
                    return u
                error = (u.mT @ _times(self.B, u) - identity(u.shape[1], u)).norm().item() / u.norm().item()
                self.fvars[f"ortho_UBUmI_rerr[{i}, {j}]"] = error
                if error < tol:
                    break
            error = (bv.mT @ u).norm().item() / (bv.norm().item() * u.norm().item())
            self.fvars[f"ortho_VBU_rerr[{i}]"] = error
            if error < tol:
                break
        return u

    def _svqb(self, u):
        """Orthonormal combinations of columns, from the eigenvectors of their scaled Gram matrix."""
        gram = u.mT @ _times(self.B, u)
        length = gram.diagonal()
        there = length > 0
        if not bool(there.all()):
            u, gram, length = u[:, there], gram[there][:, there], length[there]
        if u.shape[1] == 0:
            return u
        scale = length.rsqrt()
        values, mix = _linalg.eigh_raw(gram * scale * scale.unsqueeze(1))
        least = self.fparams["ortho_tol_drop" if self.bparams["ortho_use_drop"] else "ortho_tol_replace"] * values.abs().max().item()
        kept = values > least
        values, mix = values[kept], mix[:, kept]
        return (u * scale) @ (mix * values.rsqrt())

    def _count_converged(self):
        """Leading pairs whose residual is small against the norms of A and B (Duersch et al. 2018, section 4.3)."""
        error = self.R.norm(dim=0) / (self.X.norm(dim=0) * (self.fvars["A_norm"] + self.E.abs() * self.fvars["B_norm"]))
        self.tvars["rerr"] = error
        below = (error < self.fparams["tol"]).tolist()
        self.ivars["converged_count"] = max(self.ivars["converged_count"], (below + [False]).index(False))


def lobpcg(A, k=None, B=None, X=None, n=None, iK=None, niter=None, tol=None, largest=None, method=None, tracker=None, ortho_iparams=None,
           ortho_fparams=None, ortho_bparams=None):
    """Find the k largest or smallest eigenvalues of a symmetric problem ``A x = e B x``, B positive definite, and their vectors.

    Args:
        A: (..., m, m) symmetric, float32 or float64, strided or sparse. Gradients flow to a strided A without B.
        k: how many pairs; default 1, or X's columns.
        B: (..., m, m); default the identity.
        X: (..., m, n) vectors to begin with; default random. n: their number, default k; m must be at least 3 n.
        iK: (..., m, m) preconditioner, an approximation of A's inverse.
        niter: most steps; default 1000. tol: relative size of residuals at which a pair counts as found; default the root of the dtype's precision.
        largest: the largest (default) or smallest eigenvalues.
        method: "ortho" (default) or "basic".
        tracker: called with the run's state (`_Worker`) after each step.
        ortho_iparams, ortho_fparams, ortho_bparams: dicts with "i_max", "j_max"; "tol", "tol_drop", "tol_replace"; "use_drop".

    Returns:
        (E, X): values (..., k), the most extreme first, and vectors (..., m, k) as columns.

    Raises:
        ValueError: a matrix too small for the number of pairs, an unknown method.

    Example:
        >>> values, vectors = rustorch_py.lobpcg(rustorch_py.diag(rustorch_py.arange(1.0, 10.0)), k=2)
        >>> [round(e, 4) for e in values.tolist()]
        [9.0, 8.0]
    """
    name = str(A.dtype).rpartition(".")[2]
    if name not in _EPS:
        raise TensorTypeError(f"lobpcg: expected A of float32 or float64, got {name}", op=_OP)
    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        raise AssertionError(f"A must be square, got shape {tuple(A.shape)}")
    method = "ortho" if method is None else method
    if method not in ("ortho", "basic"):
        raise TensorValueError(f"lobpcg: expected method 'ortho' or 'basic', got {method!r}", op=_OP)
    m = A.shape[-1]
    k = (1 if X is None else X.shape[-1]) if k is None else k
    n = (k if X is None else X.shape[-1]) if n is None else n
    if m < 3 * n:
        raise TensorValueError(f"LOBPCG algorithm is not applicable when the number of A rows (={m}) is smaller than 3 x the number of "
                               f"requested eigenpairs (={n})", op=_OP)
    if k > n:
        raise TensorValueError(f"lobpcg: expected at least k={k} vectors to begin with, got n={n}", op=_OP)
    if X is not None and tuple(X.shape[-2:]) != (m, n):
        raise TensorValueError(f"lobpcg: expected X of shape {(m, n)}, got {tuple(X.shape[-2:])}", op=_OP)
    if B is not None and B.requires_grad or A.requires_grad and (A.is_sparse or A.is_sparse_csr or B is not None):
        raise TensorValueError("lobpcg: gradients are there for a strided A without B only; detach() the inputs", op=_OP)
    largest = True if largest is None else bool(largest)
    tau = _EPS[name] ** 0.5 if tol is None else tol
    iparams = {"m": m, "n": n, "k": k, "niter": 1000 if niter is None else niter, **{"ortho_" + key: v for key, v in {"i_max": 3, "j_max": 3, **(ortho_iparams or {})}.items()}}
    fparams = {"tol": tau, **{"ortho_" + key: v for key, v in {"tol": tau, "tol_drop": tau, "tol_replace": tau, **(ortho_fparams or {})}.items()}}
    bparams = {"largest": largest, **{"ortho_" + key: v for key, v in {"use_drop": False, **(ortho_bparams or {})}.items()}}

    def one(a, b, x, ik):
        worker = _Worker(a, b, randn(m, n, dtype=a.dtype) if x is None else x.clone(), ik, dict(iparams), dict(fparams), dict(bparams), method, tracker)
        worker.run()
        return worker.E[:k], worker.X[:, :k]

    with no_grad():
        plain = [None if t is None else t.detach() for t in (A, B, X, iK)]
        if A.dim() == 2:
            values, vectors = one(*plain)
        else:
            lead = tuple(A.shape[:-2])
            flat = [None if t is None else t.expand(lead + tuple(t.shape[-2:])).reshape((-1,) + tuple(t.shape[-2:])) for t in plain]
            pairs = [one(*(None if t is None else t[i] for t in flat)) for i in range(flat[0].shape[0])]
            values = stack([e for e, _ in pairs]).reshape(lead + (k,)) if pairs else A.new_empty(lead + (k,))
            vectors = stack([v for _, v in pairs]).reshape(lead + (m, k)) if pairs else A.new_empty(lead + (m, k))
    if A.requires_grad:
        attach_formula("LOBPCGAutogradFunctionBackward", "lobpcg", (A,), (values, vectors), (A, values, vectors))
    return values, vectors


def _lobpcg_grad(grads, saved, needs):
    """First-order perturbation theory; what a vector takes from outside of the span of the k found comes from a linear system."""
    g_values, g_vectors = grads
    a, values, v = saved
    out = 0
    if g_values is not None:
        out = (v * g_values.unsqueeze(-2)) @ v.mT
    if g_vectors is not None:
        k = v.shape[-1]
        eye = identity(k, v)
        gap = values.unsqueeze(-2) - values.unsqueeze(-1)                       # column i: e_i - e_j
        inside = (v.mT @ g_vectors) * (1 - eye) / (gap + eye)
        outer = v @ v.mT
        away = g_vectors - outer @ g_vectors
        # e_i - A is singular on the span; this much of the span's projector makes it regular without touching the complement
        lift = 2 * values.detach().abs().amax(-1, keepdim=True).unsqueeze(-1) + 1
        base = lift * outer - a
        full = identity(a.shape[-1], a)
        columns = [_linalg.solve_raw(base + values[..., i:i + 1].unsqueeze(-1) * full, away[..., i:i + 1])[0] for i in range(k)]
        beyond = cat(columns, -1)
        beyond = beyond - outer @ beyond
        out = out + (v @ inside + beyond) @ v.mT
    return (None if isinstance(out, int) else out,)


_linalg.FORMULAS["lobpcg"] = _lobpcg_grad
FUNCTIONS = {"lobpcg": lobpcg}
METHODS = {}
