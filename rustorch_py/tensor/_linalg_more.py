"""Linear algebra under PyTorch's names: checks, batches and composition over ``_linalg``.

``LINALG`` holds what the module ``rustorch_py.linalg`` offers; FUNCTIONS and METHODS the older names at
the top level.
"""
from . import _einsum, _linalg, _linalg_grad, _matmul, _strided, _view, _view_complex
from ._base import TensorBase
from ._base_modes import is_grad_enabled, no_grad
from ._create import arange
from ._join import cat, stack
from ._dtype import NAMED, contiguous_format
from ._linalg import attach_formula, check_info, check_matrix, check_same, identity
from ._linalg_norms import (INF, _deliver, _view_dim, cdist, dist, linalg_norm, matrix_norm, norm, nuclear_norm, vector_norm)
from ._random_make import randn
from ._return_types import named_result
from ..errors import DTypeError, LinAlgError, ShapeError, TensorTypeError, TensorValueError, TooFewDimsError

_H = _linalg_grad.H


def _batch(*shapes):
    """Broadcast batch shapes."""
    result = []
    for dims in zip(*[(1,) * (max(map(len, shapes)) - len(s)) + tuple(s) for s in shapes]):
        size = max(dims) if 0 not in dims else 0
        if any(d not in (1, size) for d in dims):
            raise ShapeError(f"linalg: batch shapes {', '.join(str(list(s)) for s in shapes)} do not broadcast")
        result.append(size)
    return tuple(result)


def _broadcast(a, b):
    """Expand the batch dimensions of two stacks of matrices to one shape."""
    if a.shape[:-2] == b.shape[:-2]:
        return a, b
    lead = _batch(a.shape[:-2], b.shape[:-2])
    return a.expand(lead + tuple(a.shape[-2:])), b.expand(lead + tuple(b.shape[-2:]))


def _eps(dtype):
    return 1.1920928955078125e-07 if str(dtype).rpartition(".")[2] in ("float32", "complex64") else 2.220446049250313e-16


# ---- solvers and inverses ------------------------------------------------------------------------------------
def _is_vector(a, b):
    """PyTorch's rule: b is a (batch of) vector(s) when it is 1-d or has exactly A's shape without the last dimension."""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])


def _solve(A, B, left, op):
    A = check_matrix(op, A, True)
    check_same(op, A, B)
    vector = _is_vector(A, B)
    if vector:
        B = B.unsqueeze(-1)
        if not left:
            raise ShapeError(f"{op}: Vector broadcasting of the left hand side is not supported for left=False. In this case {op} is "
                             f"equivalent to B / A.squeeze(-1)", op=op)
    n = A.shape[-1]
    if B.ndim < 2:
        raise ShapeError(f"{op}: The input tensor B must have at least 2 dimensions.", op=op)
    if B.shape[-2 if left else -1] != n:
        raise ShapeError(f"{op}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
                         f"({A.shape[-2]}x{n} and {B.shape[-2]}x{B.shape[-1]})", op=op)
    if not left:
        A, B = A.mT, B.mT
    A, B = _broadcast(A, B)
    x, lu, pivots, info = _linalg.solve_raw(A, B, op)
    if not left:
        x = x.mT
    if vector:
        x = x.squeeze(-1)
        x = x.mT.clone(memory_format=contiguous_format).mT if x.ndim > 1 else x           # PyTorch lays stacks of vectors as one matrix
    return x, lu, pivots, info


def solve(A, B, *, left=True, out=None):
    """Solve ``A X = B`` (or ``X A = B`` with left=False) for square A.

    Args:
        A: (..., n, n) tensor.
        B: (..., n, k) tensor, or a vector (n), or (..., n) with A's batch.
        left: side of A.
        out: tensor to write to.
    Raises:
        LinAlgError: a matrix is singular.
    """
    x, _, _, info = _solve(A, B, left, "torch.linalg.solve")
    check_info("torch.linalg.solve", info)
    return _deliver(x, out)


def solve_ex(A, B, *, left=True, check_errors=False, out=None):
    """Solve like ``solve`` without raising; returns (result, info), info > 0 where A is singular."""
    x, _, _, info = _solve(A, B, left, "torch.linalg.solve_ex")
    if check_errors:
        check_info("torch.linalg.solve_ex", info)
    return _deliver(named_result("linalg_solve_ex", "result", "info")((x, info)), out)


def inv(A, *, out=None):
    """Invert square matrices.

    Raises:
        LinAlgError: a matrix is singular.
    """
    x, info = _linalg.inv_raw(A, "linalg.inv")
    check_info("linalg.inv", info, "inverse")
    return _deliver(x, out)


def inverse(input, *, out=None):
    """Invert square matrices; see ``linalg.inv``."""
    return inv(input, out=out)


def inv_ex(A, *, check_errors=False, out=None):
    """Invert without raising; returns (inverse, info)."""
    x, info = _linalg.inv_raw(A, "linalg.inv_ex")
    if check_errors:
        check_info("linalg.inv_ex", info, "inverse")
    return _deliver(named_result("linalg_inv_ex", "inverse", "info")((x, info)), out)


def _as_dtype_of(op, A, B):
    """B, a matrix, in the dtype of A: as in PyTorch the result has A's dtype."""
    if not isinstance(A, TensorBase) or not isinstance(B, TensorBase) or A.dtype == B.dtype:
        return check_matrix(op, B, False, "B")
    if A.device != B.device:
        check_same(op, A, B)
    return check_matrix(op, B.to(A.dtype), False, "B")


def solve_triangular(A, B, *, upper, left=True, unitriangular=False, out=None):
    """Solve ``A X = B`` (or ``X A = B``) for triangular A; the other triangle is not read.

    Args:
        A: (..., n, n) tensor.
        B: (..., n, k) tensor.
        upper: A is upper triangular.
        left: side of A.
        unitriangular: take A's diagonal as ones.
        out: tensor to write to.
    """
    op = "linalg.solve_triangular"
    A, B = check_matrix(op, A, True), _as_dtype_of(op, A, B)
    if A.shape[-1] != B.shape[-2 if left else -1]:
        raise ShapeError(f"{op}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
                         f"({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})", op=op)
    if left:
        x = _linalg.solve_triangular_raw(*_broadcast(A, B), upper, unitriangular)
    else:
        x = _linalg.solve_triangular_raw(*_broadcast(A.mT, B.mT), not upper, unitriangular).mT
    return _deliver(x, out)


def triangular_solve(input, A, upper=True, transpose=False, unitriangular=False, *, out=None):
    """Solve ``A X = input`` for triangular A; returns (solution, cloned_coefficient)."""
    a, b = check_matrix("triangular_solve", A, True), check_matrix("triangular_solve", input, False, "b")
    check_same("triangular_solve", a, b)
    a, b = _broadcast(a, b)
    clone = a.mT.clone(memory_format=contiguous_format).mT                 # column by column, as LAPACK reads it
    if transpose:
        a, upper = a.mT, not upper
    x = solve_triangular(a, b, upper=upper, unitriangular=unitriangular)
    return _deliver(named_result("triangular_solve", "solution", "cloned_coefficient")((x, clone)), out)


def tensorsolve(A, B, dims=None, *, out=None):
    """Solve ``tensordot(A, X, X.ndim) = B`` for X; ``dims`` of A are moved to its end first."""
    if dims is not None:
        rest = [d for d in range(A.ndim) if d not in [x % A.ndim for x in dims]]
        A = A.permute(rest + [x % A.ndim for x in dims])
    shape = A.shape[B.ndim:]
    n = 1
    for s in shape:
        n *= s
    if n != B.numel():
        raise LinAlgError(f"Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
                          f"but got {n} != {B.numel()}", op="linalg.tensorsolve")
    x = solve(A.reshape(n, n), B.reshape(n))
    return _deliver(x.reshape(tuple(shape)), out, cast=True)


def tensorinv(A, ind=2, *, out=None):
    """Invert A as a map from its last dimensions to its first ``ind``."""
    if ind <= 0:
        raise ShapeError("Expected a strictly positive integer for 'ind'", op="linalg.tensorinv")
    if A.ndim < ind:
        raise ShapeError(f"linalg.tensorinv: expected at least {ind} dimensions, got {A.ndim}", op="linalg.tensorinv")
    left, right = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    m = n = 1
    for s in left:
        m *= s
    for s in right:
        n *= s
    if m != n:
        raise LinAlgError(f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got {n} != {m}",
                          op="linalg.tensorinv")
    x, info = _linalg.inv_raw(A.reshape(m, n), "linalg.tensorinv")
    if not info.is_meta and info.item() != 0:
        raise LinAlgError("Failed to invert the input tensor, because it is singular.", op="linalg.tensorinv")
    return _deliver(x.reshape(right + left), out, cast=True)


# ---- determinants -----------------------------------------------------------------------------------------------
def det(A, *, out=None):
    """Compute the determinant of square matrices."""
    a = check_matrix("linalg.det", A, True)
    with no_grad():
        lu, pivots, _ = _linalg.lu_factor_raw(a)
        d = lu.diagonal(0, -2, -1).prod(-1) * _linalg.pivot_sign(pivots, lu)
    attach_formula("LinalgDetBackward0", "det", (a,), (d,), (a, d))
    return _deliver(d, out)


def _slogdet(A, op):
    a = check_matrix(op, A, True)
    with no_grad():
        lu, pivots, _ = _linalg.lu_factor_raw(a)
        d = lu.diagonal(0, -2, -1)
        sign, size = d.sgn().prod(-1) * _linalg.pivot_sign(pivots, lu), d.abs().log().sum(-1)
    attach_formula("LinalgSlogdetBackward0", "slogdet", (a,), (sign, size), (a, sign))
    return sign, size


def linalg_slogdet(A, *, out=None):
    """Compute sign and log(abs) of the determinant; returns (sign, logabsdet)."""
    return _deliver(named_result("linalg_slogdet", "sign", "logabsdet")(_slogdet(A, "linalg.slogdet")), out)


def slogdet(input, *, out=None):
    """Compute sign and log(abs) of the determinant; returns (sign, logabsdet)."""
    return _deliver(named_result("slogdet", "sign", "logabsdet")(_slogdet(input, "slogdet")), out)


def logdet(input):
    """Compute the logarithm of the determinant: NaN where it is negative, -inf where it is 0."""
    sign, size = _slogdet(input, "logdet")
    if input.is_complex():
        return size + sign.log()
    return size.masked_fill(sign == -1, float("nan"))


# ---- LU -----------------------------------------------------------------------------------------------------------
def lu_factor_ex(A, *, pivot=True, check_errors=False, out=None):
    """Factor ``A = P L U``; returns (LU, pivots, info): L (unit diagonal, not stored) and U in one matrix."""
    lu, pivots, info = _linalg.lu_factor_raw(A, pivot)
    if check_errors:
        check_info("linalg.lu_factor_ex", info, "inverse")
    return _deliver(named_result("linalg_lu_factor_ex", "LU", "pivots", "info")((lu, pivots, info)), out)


def lu_factor(A, *, pivot=True, out=None):
    """Factor ``A = P L U``; returns (LU, pivots).

    Raises:
        LinAlgError: an element of U's diagonal is zero: what is solved with it would be divided by zero. `lu` and `lu_factor_ex` take such an A.
    """
    lu, pivots, info = _linalg.lu_factor_raw(A, pivot, "linalg.lu_factor")
    check_info("linalg.lu_factor", info, "factor")
    return _deliver(named_result("linalg_lu_factor", "LU", "pivots")((lu, pivots)), out)


def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True, *, out=None):
    """Take a factorization apart; returns (P, L, U), empty tensors for what was not asked for."""
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    none = LU_data.new_empty((0,))
    p = low = up = none
    if unpack_pivots:
        _check_pivots("lu_unpack", LU_pivots, LU_data)
        p = _linalg.permutation(LU_pivots, m, LU_data)
    if unpack_data:
        low = LU_data[..., :, :k].tril(-1) + identity(max(m, k), LU_data)[:m, :k]
        up = LU_data[..., :k, :].triu()
    return _deliver(named_result("lu_unpack", "P", "L", "U")((p, low, up)), out)


def lu(A, *, pivot=True, out=None):
    """Decompose ``A = P L U``; returns (P, L, U)."""
    factor, pivots, _ = _linalg.lu_factor_raw(A, pivot, "linalg.lu")
    return _deliver(named_result("linalg_lu", "P", "L", "U")(tuple(lu_unpack(factor, pivots))), out)


def _legacy_lu(A, pivot=True, get_infos=False, out=None):
    """Factor ``A = P L U``; returns (LU, pivots), and info when asked for."""
    result = _linalg.lu_factor_raw(A, pivot, "lu")
    if get_infos:
        return _deliver(named_result("_lu_with_info", "LU", "pivots", "info")(result), out)
    return _deliver(result[:2], out)


def _check_pivots(op, pivots, factor, signed=False):
    """Refuse what is not the pivots that came with a factor: LAPACK believes them and would write anywhere."""
    size, name = factor.shape[-2], f"{op}: pivots"
    if not isinstance(pivots, TensorBase):
        raise TensorTypeError(f"{name} must be Tensor, not {type(pivots).__name__}", op=op)
    if str(pivots.dtype) != "torch.int32":
        raise ShapeError(f"{name} should be a Tensor of scalar type torch.int32, got {pivots.dtype}", op=op)
    if pivots.dim() == 0 or pivots.shape[-1] != min(factor.shape[-2:]):
        raise TooFewDimsError(f"{name}: expected {min(factor.shape[-2:])} for each matrix, got pivots of shape {list(pivots.shape)}", op=op)
    if pivots.numel() and not pivots.is_meta:
        low, high = pivots.aminmax()
        if int(high) > size or int(low) < (-size if signed else 1) or signed and bool((pivots == 0).any()):
            raise ShapeError(f"{name} must be between {'1' if not signed else '-' + str(size)} and {size}; pass the result of the factorization", op=op)
    return pivots


def linalg_lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    """Solve ``A X = B``, ``A^H X = B`` (adjoint) or the same from the right, from ``lu_factor``'s result."""
    op = "linalg.lu_solve"
    LU, B = check_matrix(op, LU, True, "LU"), check_matrix(op, B, False, "B")
    check_same(op, LU, B)
    if LU.shape[-1] != B.shape[-2 if left else -1]:
        raise ShapeError(f"{op}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
                         f"({LU.shape[-2]}x{LU.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})", op=op)
    if not left:                                       # X A = B is A^T X^T = B^T
        x = linalg_lu_solve(LU, pivots, _H(B), adjoint=not adjoint)
        return _deliver(_H(x), out)
    lu_, b = _broadcast(LU, B)
    if tuple(pivots.shape[:-1]) != tuple(LU.shape[:-2]):
        raise ShapeError(f"{op}: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape {list(pivots.shape)} instead", op=op)
    piv = _check_pivots(op, pivots, LU).expand(tuple(lu_.shape[:-1]))
    if is_grad_enabled() and (lu_.requires_grad or b.requires_grad):
        p, low, up = lu_unpack(lu_, piv)
        if adjoint:
            x = _linalg.solve_triangular_raw(_H(up), b, False, False)
            x = p @ _linalg.solve_triangular_raw(_H(low), x, True, True)
        else:
            x = _linalg.solve_triangular_raw(low, p.mT @ b, False, True)
            x = _linalg.solve_triangular_raw(up, x, True, False)
    else:
        x = _linalg.lu_solve_raw(lu_, piv, b, "C" if adjoint else "N")
    return _deliver(x, out)


def lu_solve(input, LU_data, LU_pivots, *, out=None):
    """Solve ``A X = input`` from ``lu_factor``'s result."""
    return linalg_lu_solve(LU_data, LU_pivots, input, out=out)


def ldl_factor_ex(A, *, hermitian=False, check_errors=False, out=None):
    """Factor a symmetric (or Hermitian) matrix as L D L^T; returns (LD, pivots, info)."""
    ld, pivots, info = _linalg.ldl_factor_raw(A, hermitian)
    if check_errors:
        check_info("linalg.ldl_factor_ex", info, "inverse")
    return _deliver(named_result("linalg_ldl_factor_ex", "LD", "pivots", "info")((ld, pivots, info)), out)


def ldl_factor(A, *, hermitian=False, out=None):
    """Factor a symmetric (or Hermitian) matrix as L D L^T; returns (LD, pivots)."""
    ld, pivots, info = _linalg.ldl_factor_raw(A, hermitian, "linalg.ldl_factor")
    check_info("torch.linalg.ldl_factor", info, "inverse")
    return _deliver(named_result("linalg_ldl_factor", "LD", "pivots")((ld, pivots)), out)


def ldl_solve(LD, pivots, B, *, hermitian=False, out=None):
    """Solve from ``ldl_factor``'s result."""
    op = "linalg.ldl_solve"
    LD, B = check_matrix(op, LD, True, "LD"), check_matrix(op, B, False, "B")
    check_same(op, LD, B)
    if LD.shape[-1] != B.shape[-2]:
        raise ShapeError(f"{op}: Incompatible shapes of A and B for the equation AX = B ({LD.shape[-2]}x{LD.shape[-1]} and "
                         f"{B.shape[-2]}x{B.shape[-1]})", op=op)
    if pivots.ndim and tuple(pivots.shape[:-1]) != tuple(LD.shape[:-2]):
        raise ShapeError(f"{op}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape {list(pivots.shape)} instead", op=op)
    ld, b = _broadcast(LD, B)
    return _deliver(_linalg.ldl_solve_raw(ld, _check_pivots(op, pivots, LD, signed=True).expand(tuple(ld.shape[:-1])), b, hermitian), out)


# ---- Cholesky ------------------------------------------------------------------------------------------------------
def cholesky_ex(A, *, upper=False, check_errors=False, out=None):
    """Factor positive-definite matrices without raising; returns (L, info)."""
    f, info = _linalg.cholesky_raw(A, upper)
    if check_errors:
        check_info("linalg.cholesky_ex", info, "definite")
    return _deliver(named_result("linalg_cholesky_ex", "L", "info")((f, info)), out)


def linalg_cholesky(A, *, upper=False, out=None):
    """Factor Hermitian positive-definite ``A = L L^H`` (or ``U^H U``).

    Raises:
        LinAlgError: a matrix is not positive-definite.
    """
    f, info = _linalg.cholesky_raw(A, upper, "linalg.cholesky")
    check_info("linalg.cholesky", info, "definite")
    return _deliver(f, out)


def cholesky(input, upper=False, *, out=None):
    """Factor Hermitian positive-definite matrices; see ``linalg.cholesky``."""
    f, info = _linalg.cholesky_raw(input, upper, "cholesky")
    check_info("cholesky", info, "definite")
    return _deliver(f, out, cast=True)


def cholesky_solve(B, L, upper=False, *, out=None):
    """Solve ``A X = B`` from A's Cholesky factor."""
    op = "cholesky_solve"
    B, L = check_matrix(op, B, False, "B"), check_matrix(op, L, True, "L")
    if B.shape[-2] != L.shape[-1]:
        raise ShapeError(f"Incompatible matrix sizes for cholesky_solve: each A matrix is {L.shape[-1]} by {L.shape[-1]} but each b matrix is "
                         f"{B.shape[-2]} by {B.shape[-1]}", op=op)
    b, low = _broadcast(B, L)
    check_same(op, b, low)
    x = _two_triangles(low.detach(), b.detach(), upper)
    attach_formula("CholeskySolveBackward0", "cholesky_solve", (b, low), (x,), (low, x), (upper,))
    return _deliver(x, out, cast=True)


def _cholesky_solve_grad(grads, saved, needs, upper):
    """A = L L^H: grad A = -grad B X^H, and both factors carry it."""
    g, (f, x) = grads[0], saved
    if g is None:
        return None, None
    gb = cholesky_solve(g, f, upper)
    gf = None
    if needs[1]:
        both = gb @ _H(x)
        both = both + _H(both)
        gf = -(f @ both) if upper else -(both @ f)
    return gb if needs[0] else None, gf


def _two_triangles(f, b, upper):
    """X of L L^H X = b (or U^H U X = b). Not recorded."""
    with no_grad():
        x = _linalg.solve_triangular_raw(_H(f) if upper else f, b, False, False)
        return _linalg.solve_triangular_raw(f if upper else _H(f), x, True, False)


def cholesky_inverse(L, upper=False, *, out=None):
    """Invert A from its Cholesky factor."""
    L = check_matrix("cholesky_inverse", L, True, "L")
    x = _two_triangles(L.detach(), identity(L.shape[-1], L).expand(tuple(L.shape)), upper)
    attach_formula("CholeskyInverseBackward0", "cholesky_inverse", (L,), (x,), (L, x), (upper,))
    return _deliver(x, out, cast=True)


# ---- QR ------------------------------------------------------------------------------------------------------------
def linalg_qr(A, mode="reduced", *, out=None):
    """Decompose ``A = Q R``; mode "reduced", "complete" or "r" (R only). Returns (Q, R)."""
    return _deliver(named_result("linalg_qr", "Q", "R")(_linalg.qr_raw(A, mode)), out)


def qr(input, some=True, *, out=None):
    """Decompose ``A = Q R``; returns (Q, R)."""
    return _deliver(named_result("qr", "Q", "R")(_linalg.qr_raw(input, "reduced" if some else "complete", "qr")), out)


def _reflectors(a, tau, columns):
    """H_1 H_2 ... H_k applied to the first ``columns`` columns of the identity, out of recorded operators."""
    m, k = a.shape[-2], tau.shape[-1]
    q = identity(m, a)[:, :columns].expand(tuple(a.shape[:-2]) + (m, columns))
    low = a.tril(-1) + identity(max(m, a.shape[-1]), a)[:m, :a.shape[-1]]
    for i in range(k - 1, -1, -1):
        v = low[..., :, i:i + 1]
        q = q - tau[..., i:i + 1].unsqueeze(-1) * (v @ (_H(v) @ q))
    return q


def householder_product(A, tau, *, out=None):
    """Multiply Householder reflectors: the first columns of ``H_1 H_2 ... H_k``.

    Args:
        A: (..., m, n) tensor, reflectors below the diagonal, as ``geqrf`` gives them.
        tau: (..., k) tensor, k <= n <= m.
        out: tensor to write to.
    """
    op = "linalg.householder_product"
    A = check_matrix(op, A)
    if A.shape[-2] < A.shape[-1]:
        raise ShapeError("torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]", op=op)
    if tau.ndim != A.ndim - 1:
        raise TooFewDimsError(f"torch.linalg.householder_product: Expected tau to have one dimension less than input, but got tau.ndim equal to {tau.ndim} "
                         f"and input.ndim is equal to {A.ndim}", op=op)
    if tau.shape[-1] > A.shape[-1]:
        raise ShapeError("torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]", op=op)
    check_same(op, A, tau)
    if is_grad_enabled() and (A.requires_grad or tau.requires_grad):
        return _deliver(_reflectors(A, tau, A.shape[-1]), out, cast=True)
    return _deliver(_linalg.orgqr_raw(A, tau), out, cast=True)


def ormqr(input, tau, other, left=True, transpose=False, *, out=None):
    """Multiply ``other`` by the full Q of reflectors: ``Q other``, ``other Q``, with ``Q^H`` when transpose."""
    a, other = check_matrix("ormqr", input, False, "input"), check_matrix("ormqr", other, False, "other")
    check_same("ormqr", a, other)
    m = a.shape[-2]
    if tau.ndim != a.ndim - 1 or other.ndim != a.ndim:
        raise TooFewDimsError(f"torch.ormqr: Expected tau to have one dimension less than input, and other as many, but got tau.ndim equal to {tau.ndim}, "
                         f"input.ndim {a.ndim} and other.ndim {other.ndim}", op="ormqr")
    if tau.shape[-1] != min(other.shape[-2 if left else -1], a.shape[-1]) or tau.shape[:-1] != a.shape[:-2] or other.shape[:-2] != a.shape[:-2]:
        raise ShapeError(f"torch.ormqr: shapes of input {list(a.shape)}, tau {list(tau.shape)} and other {list(other.shape)} do not fit", op="ormqr")
    if other.shape[-2 if left else -1] != m:
        raise ShapeError(f"torch.ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2]", op="ormqr")
    if is_grad_enabled() and (a.requires_grad or tau.requires_grad or other.requires_grad):
        q = _reflectors(a, tau, m)
        q = _H(q) if transpose else q
        return _deliver(q @ other if left else other @ q, out)
    a = a[..., :, :tau.shape[-1]]
    return _deliver(_linalg.ormqr_raw(a, tau, other, left, transpose), out)


# ---- SVD and what stands on it ------------------------------------------------------------------------------------------
def _driver(driver):
    if driver is not None:
        raise ShapeError(f"linalg.svd: keyword argument `driver=` is only supported on CUDA inputs, got {driver!r}", op="linalg.svd")


def linalg_svd(A, full_matrices=True, *, driver=None, out=None):
    """Decompose ``A = U diag(S) Vh``; returns (U, S, Vh), S descending."""
    _driver(driver)
    return _deliver(named_result("linalg_svd", "U", "S", "Vh")(_linalg.svd_raw(A, full_matrices)), out)


def svdvals(A, *, driver=None, out=None):
    """Compute the singular values, descending."""
    _driver(driver)
    return _deliver(_linalg.svd_raw(A, False, False, "linalg.svdvals")[1], out)


def svd(input, some=True, compute_uv=True, *, out=None):
    """Decompose ``A = U diag(S) V^H``; returns (U, S, V), with compute_uv=False U and V are zeros."""
    if compute_uv:
        u, s, vh = _linalg.svd_raw(input, not some, True, "svd")
        v = _H(vh)
    else:
        s = _linalg.svd_raw(input, False, False, "svd")[1]
        m, n = input.shape[-2:]
        lead = tuple(input.shape[:-2])
        u, v = input.new_zeros(lead + (m, m)), input.new_zeros(lead + (n, n))
    return _deliver(named_result("svd", "U", "S", "V")((u, s, v)), out)


def _tolerance(A, atol, rtol):
    """Default: eps * max(m, n) relative, unless atol alone was given."""
    if rtol is None:
        default = _eps(A.dtype) * max(A.shape[-2:])
        if atol is None:
            rtol = default
        elif hasattr(atol, "ndim"):
            rtol = (atol <= 0).to(_view_complex.real(A).dtype) * default
        else:
            rtol = default if atol <= 0 else 0.0
    return (0.0 if atol is None else atol), rtol


def _threshold(s, atol, rtol):
    """max(atol, rtol * largest singular value), shaped to compare with (..., k) values."""
    top = s.amax(-1, True) if s.shape[-1] else s.new_zeros(tuple(s.shape[:-1]) + (1,))
    rel = (rtol.unsqueeze(-1) if hasattr(rtol, "ndim") else rtol) * top
    if hasattr(atol, "ndim"):
        return rel.maximum(atol.unsqueeze(-1).to(rel.dtype))
    return rel.clamp(min=atol)


def _spectrum(A, hermitian):
    """Singular values, descending; of Hermitian matrices by their eigenvalues."""
    if hermitian:
        w = _linalg.eigh_raw(A, "L", False)[0]
        return w.abs()
    return _linalg.svd_raw(A, False, False)[1]


def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """Count singular values above ``max(atol, rtol * largest)``.

    Args:
        A: (..., m, n) tensor.
        tol: older spelling of an absolute tolerance.
        hermitian: A is Hermitian; eigenvalues are used.
        atol, rtol: tolerances, numbers or tensors; default ``rtol = eps * max(m, n)`` when atol is not given.
        out: tensor to write to.
    """
    A = check_matrix("linalg.matrix_rank", A, hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    if A.numel() == 0:
        return _deliver(arange(1).new_zeros(tuple(A.shape[:-2])), out, cast=True)
    atol, rtol = _tolerance(A, atol, rtol)
    with no_grad():
        s = _spectrum(A.detach(), hermitian)
        return _deliver((s > _threshold(s, atol, rtol)).sum(-1), out, cast=True)


def linalg_pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """Compute the Moore-Penrose pseudoinverse.

    Args:
        A: (..., m, n) tensor.
        rcond: older spelling of rtol.
        hermitian: A is Hermitian; eigenvalues are used.
        atol, rtol: singular values not above ``max(atol, rtol * largest)`` count as zero.
        out: tensor to write to.
    """
    A = check_matrix("linalg.pinv", A, hermitian)
    if rcond is not None:
        if isinstance(rcond, complex) or isinstance(rcond, TensorBase) and rcond.is_complex():
            raise DTypeError("torch.linalg.pinv: rcond tensor of complex type is not supported", op="linalg.pinv")
        rtol = rcond
    if A.numel() == 0:
        return _deliver(_H(A).clone(), out, cast=True)
    atol, rtol = _tolerance(A, atol, rtol)
    with no_grad():
        a = A.detach()
        if hermitian:
            w, v = _linalg.eigh_raw(a)
            size = w.abs()
            good = size > _threshold(size, atol, rtol)
            inverse_ = (1 / w).masked_fill(good.logical_not(), 0)
            p = (v * inverse_.unsqueeze(-2).to(v.dtype)) @ _H(v)
        else:
            u, s, vh = _linalg.svd_raw(a, False)
            good = s > _threshold(s, atol, rtol)
            inverse_ = (1 / s).masked_fill(good.logical_not(), 0)
            p = _H(vh) @ (inverse_.unsqueeze(-1).to(u.dtype) * _H(u))
    attach_formula("LinalgPinvBackward0", "pinv", (A,), (p,), (A, p))
    return _deliver(p, out, cast=True)


def pinverse(input, rcond=1e-15):
    """Compute the pseudoinverse; see ``linalg.pinv``."""
    return linalg_pinv(input, rtol=rcond)


def cond(A, p=None, *, out=None):
    """Compute the condition number in a norm: None or 2 (singular values), -2, "fro", "nuc", inf, -inf, 1, -1."""
    A = check_matrix("linalg.cond", A, p not in (None, 2, -2))
    if p in (None, 2, -2):
        s = svdvals(A)
        r = s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
        return _deliver(r, out, cast=True)
    x, info = _linalg.inv_raw(A)
    r = matrix_norm(A, p) * matrix_norm(x, p)
    if bool((info != 0).any()):
        r = r.masked_fill(info != 0, INF)
    return _deliver(r, out, cast=True)


def lstsq(A, B, rcond=None, *, driver=None, out=None):
    """Solve least squares ``min |A X - B|``; returns (solution, residuals, rank, singular_values).

    Args:
        A: (..., m, n) tensor.
        B: (..., m, k) or (..., m) tensor.
        rcond: relative cut of small singular values; default eps * max(m, n).
        driver: "gelsy" (default), "gels", "gelsd" or "gelss".
        out: four tensors to write to.
    """
    op = "torch.linalg.lstsq"
    A = check_matrix(op, A)
    if B.ndim < 1:
        raise ShapeError(f"{op}: other must have at least 1 dimension.", op=op)
    check_same(op, A, B)
    driver = ("gelsy" if A.device.type == "cpu" else "gels") if driver is None else driver
    if driver not in _linalg.DRIVERS:
        raise ShapeError(f"{op}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)", op=op)
    vector = A.ndim - 1 == B.ndim and A.shape[:-1] == B.shape
    b = B.unsqueeze(-1) if vector else B
    if not A.ndim - 1 <= B.ndim <= A.ndim:
        raise ShapeError(f"{op}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1, got {A.ndim} and {B.ndim}", op=op)
    if b.ndim < 2 or b.shape[-2] != A.shape[-2]:
        raise ShapeError(f"{op}: input.size(-2) should match other.size(-2)", op=op)
    if b.ndim < A.ndim:                          # PyTorch's rule: the batch of such a B is all of its shape but the last
        b = b.expand(*_view.broadcast_shapes(A.shape[:-2], B.shape[:-1]), *b.shape[-2:])
    a, b = _broadcast(A, b)
    m, n = a.shape[-2:]
    cut = _eps(a.dtype) * max(m, n) if rcond is None else float(rcond)
    with no_grad():
        whole, x, rank, s = _linalg.lstsq_raw(a.detach(), b.detach(), cut, driver)
        rest = whole[..., n:, :]
        none = _view_complex.real(x).new_empty((0,))
        full = rank is None or bool((rank == n).all())
        residuals = (rest.abs() ** 2).sum(-2) if m > n and full and driver != "gelsy" else none
    if is_grad_enabled() and (a.requires_grad or b.requires_grad):
        attach_formula("LinalgLstsqBackward0", "lstsq", (a, b), (x,), (a, b))
        residuals = ((a @ x - b).abs() ** 2).sum(-2) if residuals is not none else _view_complex.real(x.reshape(-1)[:0])
    for dim, size in enumerate(A.shape[:-2]):    # of A's own batch, however often B repeats it
        if size != a.shape[dim]:
            rank, s = (t if t is None else t.narrow(dim, 0, size) for t in (rank, s))
    if rank is None:
        rank = arange(1).new_empty((0,))
    if s is None:
        s = none
    x = x.squeeze(-1) if vector else x
    return _deliver(named_result("linalg_lstsq", "solution", "residuals", "rank", "singular_values")((x, residuals, rank, s)), out, cast=True)


def _lstsq_grad(grads, saved, needs):
    """The solution is pinv(A) B."""
    g, (a, b) = grads[0], saved
    if g is None:
        return None, None
    p = linalg_pinv(a)
    ga = _linalg_grad.pinv([g @ _H(b)], [a, p], (True,))[0] if needs[0] else None
    return ga, _H(p) @ g if needs[1] else None


def _basis(A, q, niter):
    """Orthonormal columns that nearly span A's range (Halko, Martinsson, Tropp 2009, algorithm 4.4)."""
    x = A @ randn(A.shape[-1], q, dtype=A.dtype, device=A.device)
    q_ = _linalg.qr_raw(x)[0]
    for _ in range(niter or 0):
        q_ = _linalg.qr_raw(_H(A) @ q_)[0]
        q_ = _linalg.qr_raw(A @ q_)[0]
    return q_


def svd_lowrank(A, q=6, niter=2, M=None):
    """Approximate the ``q`` leading singular triples of A (or A - M); returns (U, S, V).

    Source: N. Halko, P.-G. Martinsson, J. Tropp, "Finding structure with randomness" (2009), algorithm 5.1.
    """
    q = 6 if q is None else q
    if M is not None:
        A = A - M.expand(tuple(A.shape))
    if A.shape[-2] < A.shape[-1]:
        u, s, v = svd_lowrank(_H(A), q, niter)
        return v, s, u
    basis = _basis(A, q, niter)
    u, s, vh = _linalg.svd_raw(_H(basis) @ A, False)
    return basis @ u, s, _H(vh)


def pca_lowrank(A, q=None, center=True, niter=2):
    """Approximate principal components: ``svd_lowrank`` of A, with its columns centred first."""
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise TensorValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}", op="pca_lowrank")
    if not niter >= 0:
        raise TensorValueError(f"niter(={niter}) must be non-negative integer", op="pca_lowrank")
    return svd_lowrank(A - A.mean(-2, True) if center else A, q, niter)


# ---- eigenvalues -----------------------------------------------------------------------------------------------------------
def eigh(A, UPLO="L", *, out=None):
    """Decompose Hermitian matrices; returns (eigenvalues, eigenvectors), values ascending."""
    return _deliver(named_result("linalg_eigh", "eigenvalues", "eigenvectors")(_linalg.eigh_raw(A, UPLO)), out)


def eigvalsh(A, UPLO="L", *, out=None):
    """Compute the eigenvalues of Hermitian matrices, ascending."""
    return _deliver(_linalg.eigh_raw(A, UPLO, False, "linalg.eigvalsh")[0], out)


def eig(A, *, out=None):
    """Decompose square matrices; returns complex (eigenvalues, eigenvectors)."""
    return _deliver(named_result("linalg_eig", "eigenvalues", "eigenvectors")(_linalg.eig_raw(A)), out, cast=True)


def eigvals(A, *, out=None):
    """Compute the complex eigenvalues of square matrices."""
    return _deliver(_linalg.eig_raw(A, False, "linalg.eigvals")[0], out, cast=True)


# ---- powers, exponential -------------------------------------------------------------------------------------------------------
def matrix_power(A, n, *, out=None):
    """Raise square matrices to an integer power; negative powers invert first."""
    if A.ndim < 2:
        raise ShapeError("linalg.matrix_power: The input tensor A must have at least 2 dimensions.", op="linalg.matrix_power")
    if A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"linalg.matrix_power: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices",
                         op="linalg.matrix_power")
    if n == 0:
        return _deliver(A.masked_fill(A.new_ones((1,), dtype=NAMED["bool"]), 0) + identity(A.shape[-1], A), out, cast=True)
    base, n = (inv(A), -n) if n < 0 else (A, n)
    if n == 1 and base is A:
        return _deliver(A.clone(), out, cast=True)
    result = None
    while n:
        if n & 1:
            result = base if result is None else result @ base
        n >>= 1
        if n:
            base = base @ base
    return _deliver(result, out, cast=True)


_PADE_13 = (64764752532480000., 32382376266240000., 7771770303897600., 1187353796428800., 129060195264000., 10559470521600.,
            670442572800., 33522128640., 1323241920., 40840800., 960960., 16380., 182., 1.)


def matrix_exp(input):
    """Compute the matrix exponential by scaling, a Pade approximant of order 13, and squaring.

    Source: N. Higham, "The scaling and squaring method for the matrix exponential revisited" (2005).
    """
    if isinstance(input, TensorBase) and input.dtype in (NAMED["float16"], NAMED["bfloat16"]):
        return matrix_exp(input.float()).to(input.dtype)
    a = check_matrix("linalg.matrix_exp", input, True)
    n = a.shape[-1]
    if a.numel() == 0:
        return a.clone()
    with no_grad():
        x = a.detach()
        size = _linalg.norm_raw(_linalg.norm_raw(x, 1.0, (x.ndim - 2,), True), INF, (x.ndim - 1,), True)
        halvings = (size / 5.371920351148152).log2().ceil().clamp(min=0)
        halvings = halvings.masked_fill(halvings.isfinite().logical_not(), 0)
        x = x * (2.0 ** -halvings).to(x.dtype)
        e, b = identity(n, x), _PADE_13
        x2 = x @ x
        x4 = x2 @ x2
        x6 = x4 @ x2
        odd = x @ (x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * e)
        even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * e
        r = _linalg.solve_raw(even - odd, even + odd)[0]
        most = 0 if a.is_meta else int(halvings.max().item())
        for i in range(most):
            r = (r @ r).where(halvings > i, r) if halvings.numel() > 1 else r @ r
        r = r.contiguous()
    attach_formula("LinalgMatrixExpBackward0", "matrix_exp", (a,), (r,), (a,))
    return r


def _matrix_exp_grad(grads, saved, needs):
    """exp of (A^H G; 0 A^H) has the gradient in its upper right block (N. Higham, Functions of Matrices, 3.6)."""
    g, (a,) = grads[0], saved
    if g is None:
        return (None,)
    n, ah = a.shape[-1], _H(a)
    block = cat((cat((ah, g), -1), cat((ah * 0, ah), -1)), -2)
    return (matrix_exp(block)[..., :n, n:],)


_linalg.FORMULAS.update(matrix_exp=_matrix_exp_grad, cholesky_solve=_cholesky_solve_grad, lstsq=_lstsq_grad)


# ---- products and small things -----------------------------------------------------------------------------------------------------
def linalg_cross(input, other, *, dim=-1, out=None):
    """Compute cross products along a dimension of size 3; shapes broadcast."""
    op = "linalg.cross"
    if input.ndim != other.ndim:
        raise ShapeError(f"{op}: inputs must have the same number of dimensions.", op=op)
    d = _view_dim(dim, input.ndim)
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise ShapeError(f"{op}: inputs dimension {dim} must have length 3. Got {input.shape[d]} and {other.shape[d]}", op=op)
    product = _linalg.plain_cross(input, other, d)
    if product is not None:
        return _deliver(product, out)
    a, b = input.unbind(d), other.unbind(d)
    parts = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    return _deliver(stack(parts, d), out)


def cross(input, other, dim=None, *, out=None):
    """Compute cross products; without ``dim``, along the first dimension of size 3."""
    if dim is None:
        for d, size in enumerate(input.shape):
            if size == 3:
                dim = d
                break
        else:
            raise ShapeError("no dimension of size 3 in input", op="cross")
    return linalg_cross(input, other, dim=dim, out=out)


def vecdot(x, y, *, dim=-1, out=None):
    """Sum ``conj(x) * y`` along a dimension."""
    if x.is_complex():
        x = x.conj()
    product = x * y
    return _deliver(product.sum(dim) if product.is_floating_point() or product.is_complex() else product.sum(dim, dtype=product.dtype), out)


def linalg_diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """Return a view of the diagonals of matrices."""
    return _strided.diagonal(A, offset, dim1, dim2)


def linalg_vander(x, N=None):
    """Build Vandermonde matrices: columns x^0, x^1, ... x^(N-1) of the last dimension."""
    x = x.reshape(1) if x.ndim == 0 else x
    if str(x.dtype) in ("torch.bool", "torch.float16", "torch.bfloat16"):
        raise DTypeError(f"linalg.vander supports floating point, complex, and integer tensors, but got {x.dtype}", op="linalg.vander")
    x = x if x.dtype.is_floating_point or x.dtype.is_complex else x.long()
    n = x.shape[-1] if N is None else N
    if n <= 1:
        raise ShapeError(f"N must be greater than 1, got {n}", op="linalg.vander")
    columns = [x.new_ones(tuple(x.shape))]
    for _ in range(n - 1):
        columns.append(columns[-1] * x)
    return stack(columns, -1)


LINALG = {
    "cholesky": linalg_cholesky, "cholesky_ex": cholesky_ex, "cond": cond, "cross": linalg_cross, "det": det, "diagonal": linalg_diagonal,
    "eig": eig, "eigh": eigh, "eigvals": eigvals, "eigvalsh": eigvalsh, "householder_product": householder_product, "inv": inv,
    "inv_ex": inv_ex, "ldl_factor": ldl_factor, "ldl_factor_ex": ldl_factor_ex, "ldl_solve": ldl_solve, "lstsq": lstsq, "lu": lu,
    "lu_factor": lu_factor, "lu_factor_ex": lu_factor_ex, "lu_solve": linalg_lu_solve, "matmul": _matmul.matmul, "matrix_exp": matrix_exp,
    "matrix_norm": matrix_norm, "matrix_power": matrix_power, "matrix_rank": matrix_rank, "multi_dot": _einsum.multi_dot,
    "norm": linalg_norm, "pinv": linalg_pinv, "qr": linalg_qr, "slogdet": linalg_slogdet, "solve": solve, "solve_ex": solve_ex,
    "solve_triangular": solve_triangular, "svd": linalg_svd, "svdvals": svdvals, "tensorinv": tensorinv, "tensorsolve": tensorsolve,
    "vander": linalg_vander, "vecdot": vecdot, "vector_norm": vector_norm,
}
FUNCTIONS = {
    "inverse": inverse, "det": det, "logdet": logdet, "slogdet": slogdet, "cholesky": cholesky, "cholesky_inverse": cholesky_inverse,
    "cholesky_solve": cholesky_solve, "qr": qr, "svd": svd, "pinverse": pinverse, "triangular_solve": triangular_solve, "lu": _legacy_lu,
    "lu_unpack": lu_unpack, "lu_solve": lu_solve, "ormqr": ormqr, "orgqr": householder_product, "matrix_exp": matrix_exp,
    "matrix_power": matrix_power, "cross": cross, "cdist": cdist, "dist": dist, "norm": norm, "nuclear_norm": nuclear_norm, "svd_lowrank": svd_lowrank, "pca_lowrank": pca_lowrank,
}
METHODS = {name: FUNCTIONS[name] for name in FUNCTIONS if name not in ("lu_unpack", "cdist", "nuclear_norm", "svd_lowrank", "pca_lowrank")}
