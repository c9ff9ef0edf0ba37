"""Limit gradients by norm or by value."""

from __future__ import annotations

from ... import tensor as _t
from ...errors import TensorError
from ...tensor import Tensor
from ...tensor._devices import has_kernel, run

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _as_list(tensors):
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Return the norm of all tensors' elements together.

    Args:
        tensors: a tensor or an iterable of them.
        norm_type: order of the norm, also ``inf``.
        error_if_nonfinite: raise where it is NaN or infinite.
        foreach: kept from PyTorch's signature; there is one implementation here.
    """
    tensors = _as_list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return _t.tensor(0.0)
    total = _t._fused_norm(tensors) if norm_type == 2 else None
    if isinstance(total, float):
        total = _t.tensor(total, dtype=tensors[0].dtype)
    elif total is None:
        with _t.no_grad():
            device = tensors[0].device
            norms = [t.norm(norm_type).to(device) for t in tensors]
            total = norms[0] if len(norms) == 1 else _t.stack(norms).norm(norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise TensorError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`",
            op="clip_grad_norm_",
        )
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scale gradients by ``max_norm / total_norm`` where that is below 1, in place.

    Args:
        parameters: a tensor or an iterable of them.
        max_norm: largest norm allowed.
        total_norm: the gradients' norm, a tensor (see ``get_total_norm``).
        foreach: kept from PyTorch's signature.
    """
    grads = [p.grad for p in _as_list(parameters) if p.grad is not None]
    if not grads:
        return
    with _t.no_grad():
        # Always multiplied, without looking: on a device, looking would wait for it.
        if total_norm.dim() == 0 and total_norm.dtype.is_floating_point and has_kernel("clip_factor", total_norm):
            factor = run("clip_factor", total_norm, float(max_norm))
        else:
            factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        fused = factor.device.type == "cpu" or has_kernel("optim_run", factor)
        if fused and len(set(map(id, grads))) == len(grads) and _t._fused_scale(grads, factor.item() if factor.device.type == "cpu" else factor.double()):
            return
        for grad in grads:
            grad.mul_(factor.to(grad.device))


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale gradients in place so that their joint norm is at most ``max_norm``.

    Args:
        parameters: a tensor or an iterable of them.
        max_norm: largest norm allowed.
        norm_type: order of the norm, also ``inf``.
        error_if_nonfinite: raise where the norm is NaN or infinite.
        foreach: kept from PyTorch's signature.

    Returns:
        the norm before clipping.
    """
    generator = not hasattr(parameters, "__len__")
    parameters = _as_list(parameters)
    if generator and not parameters:
        import warnings

        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    grads = [p.grad for p in parameters if p.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Call ``clip_grad_norm_`` (older name)."""
    import warnings

    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Cut gradients to [-clip_value, clip_value], in place."""
    clip_value = float(clip_value)
    with _t.no_grad():
        for param in _as_list(parameters):
            if param.grad is not None:
                param.grad.clamp_(-clip_value, clip_value)
