"""Ready-made parametrizations."""

from __future__ import annotations

from ... import tensor as _t
from ...tensor import Tensor
from ...tensor._linalg_more import solve
from ..modules.module import Module
from . import parametrize
from ._norms import as_matrix, norm_except_dim, power_step, scaled_direction, unit
from ._spectral_norm import default_dim

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _tensor_of(module, name):
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


class _WeightNorm(Module):
    def __init__(self, dim=0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        return scaled_direction(weight_v, weight_g, self.dim)

    def right_inverse(self, weight):
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module, name="weight", dim=0):
    """Train a weight as length times direction; return the module.

    Args:
        module: the module.
        name: the weight's name.
        dim: the dimension that has a length for every index; None for one length in all.

    Source: Salimans and Kingma (2016), Weight normalization.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def accept_older_keys(state_dict, prefix, *rest):
        old = [f"{prefix}{name}{end}" for end in ("_g", "_v")]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(accept_older_keys)
    return module


class _SpectralNorm(Module):
    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        n_dims = weight.dim()
        if not -n_dims <= dim < n_dims:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{n_dims}, {n_dims - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % n_dims
        self.eps = eps
        if n_dims > 1:
            self.n_power_iterations = n_power_iterations
            with _t.no_grad():
                matrix = as_matrix(weight, self.dim)
                rows, cols = matrix.shape
                self.register_buffer("_u", unit(matrix.new_empty(rows).normal_(0, 1), eps))
                self.register_buffer("_v", unit(matrix.new_empty(cols).normal_(0, 1), eps))
                self._power_method(matrix, 15)

    def _power_method(self, matrix, n_power_iterations):
        for _ in range(n_power_iterations):
            power_step(matrix, self._u, self._v, self.eps, u_first=True)

    def forward(self, weight):
        if weight.dim() == 1:
            return unit(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        # The buffers change at the next forward; this graph keeps its own copies.
        return weight / _t.dot(self._u.clone(), _t.mv(matrix, self._v.clone()))

    def right_inverse(self, value):
        return value


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Keep a weight's largest singular value at 1; return the module.

    Args:
        module: the module.
        name: the weight's name.
        n_power_iterations: power iterations per forward in training.
        eps: least norm.
        dim: the dimension of the outputs, found out if absent.

    Source: Miyato et al. (2018), Spectral normalization for generative adversarial networks.
    """
    weight = _tensor_of(module, name)
    dim = default_dim(module) if dim is None else dim
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module


def _reflections(a, tau):
    """Return the first columns of the product of Householder reflections 1 - tau v v^T.

    Args:
        a: (..., n, k); vector j is column j below the diagonal, 1 on it, 0 above.
        tau: (..., k).
    """
    n, k = a.shape[-2:]
    q = _t.eye(n, k, dtype=a.dtype, device=a.device).expand(*a.shape[:-2], n, k)
    v = a.tril(-1) + _t.eye(n, k, dtype=a.dtype, device=a.device)
    for j in range(k - 1, -1, -1):
        column = v[..., :, j : j + 1]
        q = q - tau[..., j : j + 1].unsqueeze(-1) * _t.matmul(column, _t.matmul(column.transpose(-2, -1), q))
    return q


def _orthogonal_basis(a):
    """Return the Q of A = QR whose R has a positive diagonal."""
    q, r = _t.qr(a)
    sign = r.diagonal(0, -2, -1).sign()
    return q * _t.where(sign == 0, _t.ones_like(sign), sign).unsqueeze(-2)


class _Orthogonal(Module):
    def __init__(self, weight, orthogonal_map, *, use_trivialization=True):
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x):
        flip = x.shape[-2] < x.shape[-1]
        if flip:
            x = x.transpose(-2, -1)
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            a = x.tril(-1)
            tau = 2.0 / (1.0 + (a * a).sum(-2))
            q = _reflections(a, tau)
            # The diagonal only carries signs; it gets no gradient.
            q = q * x.detach().diagonal(0, -2, -1).sign().unsqueeze(-2)
        else:
            x = x.tril()
            if n != k:
                x = _t.cat([x, x.new_zeros((*x.shape[:-2], n, n - k))], -1)
            a = x - x.transpose(-2, -1)
            if self.orthogonal_map == "matrix_exp":
                q = _t.matrix_exp(a)
            else:
                eye = _t.eye(n, dtype=a.dtype, device=a.device)
                q = solve(eye - 0.5 * a, eye + 0.5 * a)
            if n != k:
                q = q[..., :k]
        base = self._buffers.get("base")
        if base is not None:
            q = _t.matmul(base, q)
        return q.transpose(-2, -1) if flip else q

    def right_inverse(self, q):
        if q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {q.shape}."
            )
        with _t.no_grad():
            start = q
            flip = q.shape[-2] < q.shape[-1]
            if flip:
                q = q.transpose(-2, -1)
            n, k = q.shape[-2:]
            if "base" not in self._buffers:
                if self.orthogonal_map != "householder":
                    raise NotImplementedError(
                        "It is not possible to assign to the matrix exponential or the Cayley parametrizations when use_trivialization=False."
                    )
                a, tau = _t.geqrf(q)
                diagonal = a.diagonal(0, -2, -1)
                diagonal.sign_()
                diagonal[tau == 0] *= -1
                return a.transpose(-2, -1) if flip else a
            if n != k:
                q = _t.cat([q, _t.randn(*q.shape[:-2], n, n - k, dtype=q.dtype, device=q.device)], -1)
            self.base = _orthogonal_basis(q)
            # Minus the identity is mapped to the identity, so the weight starts at the base.
            out = _t.zeros_like(start)
            out.diagonal(0, -2, -1).fill_(-1.0)
            return out


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True):
    """Keep a weight orthogonal (or with orthonormal rows or columns); return the module.

    Args:
        module: the module.
        name: the weight's name; at least two dimensions, matrices in the last two.
        orthogonal_map: ``"matrix_exp"``, ``"cayley"`` or ``"householder"``; the first for square weights and the
            last for others if absent.
        use_trivialization: start from a base, which makes assignment possible.

    Source: Lezcano-Casado (2019), Trivializations for gradient-based optimization on manifolds.
    """
    weight = _tensor_of(module, name)
    if weight.dim() < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    parametrization = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, parametrization, unsafe=True)
    return module
