"""The ``reduction`` argument of losses, and the older pair size_average / reduce."""

from __future__ import annotations

from ..tensor._ops import label_result

NONE, MEAN, SUM = 0, 1, 2
_CODES = {"none": NONE, "mean": MEAN, "sum": SUM}


def get_enum(reduction):
    """Return the code that tensor-level losses take."""
    code = _CODES.get(reduction) if isinstance(reduction, str) else None
    if code is None:
        if reduction == "elementwise_mean":
            _warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.")
            return MEAN
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return code


def legacy_get_string(size_average, reduce, emit_warning=True):
    """Translate size_average and reduce."""
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    reduction = "none" if not reduce else "mean" if size_average else "sum"
    if emit_warning:
        _warn(f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.")
    return reduction


def resolve(size_average, reduce, reduction):
    """Return the reduction's name after the older arguments had their say."""
    if size_average is None and reduce is None:
        return reduction
    return legacy_get_string(size_average, reduce)


def apply(loss, reduction, label=None):
    """Reduce an elementwise loss by name; the label is what the result's node is called."""
    if reduction in ("mean", "sum"):
        out = loss.mean() if reduction == "mean" else loss.sum()
        return out if label is None or out.grad_fn is None else label_result(out, label)
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _warn(message):
    import warnings

    warnings.warn(message, stacklevel=4)
