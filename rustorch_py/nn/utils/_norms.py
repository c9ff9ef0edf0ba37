"""Norms of weights that the reparametrizations share."""

from __future__ import annotations

from ... import tensor as _t


def norm_except_dim(v, pow, dim):
    """Return the p-norm over all dimensions but one (over all, for -1), in a shape that broadcasts."""
    if dim == -1:
        return v.norm(pow)
    rows = v.transpose(0, dim)
    shape = (rows.shape[0],) + (1,) * (v.dim() - 1)
    return rows.reshape(rows.shape[0], -1).norm(pow, 1).reshape(shape).transpose(0, dim)


def scaled_direction(v, g, dim):
    """Return ``v * g / norm(v)``: the weight of weight normalization."""
    return v * (g / norm_except_dim(v, 2, dim))


def as_matrix(weight, dim):
    """View a weight as a matrix whose rows run over ``dim``."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.reshape(weight.shape[0], -1)


def unit(x, eps):
    """Divide a vector by its norm, at least eps."""
    return x / x.norm(2, 0, keepdim=True).clamp_min(eps)


def power_step(matrix, u, v, eps, u_first):
    """Improve the first singular vectors by one power iteration, in place."""
    with _t.no_grad():
        if u_first:
            u.copy_(unit(_t.mv(matrix, v), eps))
            v.copy_(unit(_t.mv(matrix.t(), u), eps))
        else:
            v.copy_(unit(_t.mv(matrix.t(), u), eps))
            u.copy_(unit(_t.mv(matrix, v), eps))
