"""Losses. ``reduction`` is "mean", "sum" or "none" everywhere."""

from __future__ import annotations

import math

from ... import tensor as _t
from ...errors import DTypeError, DimError, ShapeError, TensorError, TensorTypeError
from ...tensor import Tensor, _margins
from ...tensor._devices import has_kernel, run
from .. import _reduction as _red
from ._util import warn
from ._distance import pairwise_distance

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

_CODES = {"none": 0, "mean": 1, "sum": 2}


def _fitted(loss, model, op):
    """Return the loss in the dtype of a tensor whose place PyTorch computes it in, and whose shape it must have."""
    if loss.shape != model.shape:
        raise ShapeError(f"{op}: output with shape {list(model.shape)} doesn't match the broadcast shape {list(loss.shape)}", op=op)
    if loss.dtype is model.dtype:
        return loss
    if not _t.can_cast(loss.dtype, model.dtype):
        raise DTypeError(f"{op}: result type {loss.dtype} can't be cast to the desired output type {model.dtype}", op=op)
    return loss.to(model.dtype)


# ---- classification --------------------------------------------------------------------------------


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """Return the cross entropy between logits and targets.

    Args:
        input: logits, (C), (N, C) or (N, C, d1, ...).
        target: class indices (the input's shape without C), or probabilities of the input's shape.
        weight: (C) factors of the classes.
        ignore_index: a target value that counts for nothing.
        reduction: ``"mean"`` divides by the summed weights of the targets.
        label_smoothing: share of the probability spread over all classes.
    """
    if size_average is not None or reduce is not None:
        reduction = _red.legacy_get_string(size_average, reduce)
    code = _CODES.get(reduction) if reduction.__class__ is str else None
    if code is None:
        code = _red.get_enum(reduction)
    return _t.cross_entropy_loss(input, target, weight, code, ignore_index, label_smoothing)


def nll_loss(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"
):
    """Return minus the log probability of the target classes.

    Args:
        input: log probabilities, (C), (N, C) or (N, C, d1, ...).
        target: class indices, the input's shape without C.
        weight: (C) factors of the classes.
        ignore_index: a target value that counts for nothing.
    """
    reduction = _red.resolve(size_average, reduce, reduction)
    return _t.nll_loss(input, target, weight, _red.get_enum(reduction), ignore_index)


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """Return ``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    Args:
        input: (N, features) or (features).
        linear_weight: (classes, ..., features).
        target: as for ``cross_entropy``.
        linear_bias: (classes, ...), optional.
        weight, reduction, ignore_index, label_smoothing: as for ``cross_entropy``.
        options: a ``LinearCrossEntropyOptions`` cuts the rows into chunks whose logits are not kept; without
            effect (a warning says so) with label smoothing, several output dimensions or probabilities as targets.
    """
    if input.dim() not in (1, 2):
        raise TensorError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise TensorError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    features = input.shape[-1]
    if features != linear_weight.shape[-1]:
        raise ShapeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{features} and {linear_weight.shape[-1]}, respectively"
        )
    outer = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != outer:
        raise ShapeError(f"expected linear_bias shape {outer}, got {tuple(linear_bias.shape)}")
    batch = tuple(input.shape[:-1])
    if len(outer) > 1 and not batch:
        raise ShapeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {features}), got unbatched input with shape {tuple(input.shape)}"
        )
    shape = batch + outer
    if tuple(target.shape) == shape and ignore_index is not None:
        raise TensorError("ignore_index cannot be specified when target contains probabilities")
    ignore_index = -100 if ignore_index is None else ignore_index
    if options is not None:
        if len(outer) == 1 and label_smoothing == 0.0 and target.dtype == _t.int64 and reduction in _CODES:
            return _chunked(input, linear_weight, target, linear_bias, weight, reduction, ignore_index, options)
        warn(
            "linear_cross_entropy: ``options`` ignored; the chunked path needs reduction in {'mean','sum','none'}, "
            "label_smoothing == 0, target.dtype == int64 and one output dimension"
        )
    if len(outer) > 1:
        linear_weight = linear_weight.reshape(-1, features)
        linear_bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = _t.linear(input, linear_weight, linear_bias).reshape(shape)
    return cross_entropy(
        logits,
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
    )


def _chunked(input, linear_weight, target, bias, weight, reduction, ignore_index, options):
    """Compute linear_cross_entropy by chunks of rows; backward computes each chunk's logits again."""
    from ...utils.checkpoint import checkpoint

    single = input.dim() == 1
    x, y = (input.unsqueeze(0), target.unsqueeze(0)) if single else (input, target)
    rows, features = x.shape
    size = options.rows_per_chunk(rows, features, linear_weight.shape[0])
    dtype = options.compute_dtype(x.dtype)
    factors = None if weight is None else weight.to(dtype)
    code = _red.NONE if reduction == "none" else _red.SUM

    def part(rows_x, rows_y, matrix, offset):
        logits = _t.linear(rows_x.to(dtype), matrix.to(dtype), None if offset is None else offset.to(dtype))
        return _t.cross_entropy_loss(logits, rows_y, factors, code, ignore_index, 0.0)

    losses = []
    for start in range(0, max(rows, 1), size):
        rows_x, rows_y = x[start : start + size], y[start : start + size]
        losses.append(checkpoint(part, rows_x, rows_y, linear_weight, bias, use_reentrant=False))
    if reduction == "none":
        out = losses[0] if len(losses) == 1 else _t.cat(losses)
        return (out.squeeze(0) if single else out).to(input.dtype)
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    if reduction == "mean":
        counted = y != ignore_index
        if factors is None:
            share = counted.sum().to(dtype)
        else:
            share = (factors[_t.where(counted, y, _t.zeros_like(y))] * counted.to(dtype)).sum()
        total = total / share
    return total.to(input.dtype)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Return the cross entropy of probabilities; logarithms are cut at -100.

    Args:
        input: probabilities.
        target: probabilities of the same shape.
        weight: factors, broadcast to that shape.
    """
    reduction = _red.resolve(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    with _t.no_grad():
        if has_kernel("check_probabilities", input) and input.dtype.is_floating_point:
            run("check_probabilities", input.contiguous())         # the device says so when it is next waited for
        elif not bool(((input >= 0) & (input <= 1)).all()):  # NaN fails too
            raise TensorError("all elements of input should be between 0 and 1", op="binary_cross_entropy")
    loss = _t.bce_pointwise(input, target)
    if weight is not None:
        loss = _fitted(loss * weight, loss, "binary_cross_entropy")
    return _red.apply(loss, reduction, "BinaryCrossEntropyBackward0")


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Return the binary cross entropy of logits, without overflow.

    Args:
        input: logits.
        target: probabilities of the same shape.
        weight: factors, broadcast to that shape.
        pos_weight: factors of the positive part, broadcast to that shape.
    """
    reduction = _red.resolve(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if pos_weight is None:
        loss = _t.bce_with_logits_pointwise(input, target)
    else:
        loss = (1 - target) * input - ((pos_weight - 1) * target + 1) * _t.logsigmoid(input)
    if weight is not None:
        loss = loss * weight
    return _red.apply(_fitted(loss, target, "binary_cross_entropy_with_logits"), reduction, "BinaryCrossEntropyWithLogitsBackward0")


# ---- regression ------------------------------------------------------------------------------------


def _same_size(input, target):
    try:
        if target.shape == input.shape:
            return
    except AttributeError:                                  # PyTorch's type: it asks for .size()
        name, value = ("input", input) if hasattr(target, "shape") else ("target", target)
        raise AttributeError(f"loss: argument '{name}' must be Tensor, got {type(value).__name__}, which has no size") from None
    warn(
        f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
        "This will likely lead to incorrect results due to broadcasting. "
        "Please ensure they have the same size.",
        stacklevel=4,
    )


def _check_weight(weight, input):
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")


def _weighted(loss, weight, reduction):
    """Reduce with factors: the mean divides by their sum."""
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else _red.apply(loss, reduction)


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Return the squared difference.

    Args:
        input, target: of the same shape (others broadcast, with a warning).
        weight: factors of that shape; the mean is then the weighted mean.
    """
    _same_size(input, target)
    if size_average is not None or reduce is not None:
        reduction = _red.legacy_get_string(size_average, reduce)
    loss = _t.mse_pointwise(input, target)
    if weight is not None:
        _check_weight(weight, input)
        return _weighted(loss, weight, reduction)
    return _red.apply(loss, reduction, "MseLossBackward0")


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Return the absolute difference (arguments as for ``mse_loss``)."""
    _same_size(input, target)
    reduction = _red.resolve(size_average, reduce, reduction)
    loss = _t.l1_pointwise(input, target)
    if weight is not None:
        _check_weight(weight, input)
        return _weighted(loss, weight, reduction)
    return _red.apply(loss, reduction)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Return the squared difference over 2 * beta below beta, the absolute difference minus beta / 2 above."""
    _same_size(input, target)
    reduction = _red.resolve(size_average, reduce, reduction)
    beta = float(beta)
    if not beta >= 0:
        raise TensorError("smooth_l1_loss does not support negative values for beta.", op="smooth_l1_loss")
    loss = _t.l1_pointwise(input, target) if beta == 0 else _t.smooth_l1_pointwise(input, target, beta)
    return _red.apply(loss, reduction, None if beta == 0 else "SmoothL1LossBackward0")


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Return half the squared difference up to delta, delta times (difference - delta / 2) above.

    Source: Huber (1964), Robust estimation of a location parameter.
    """
    _same_size(input, target)
    if not delta > 0:
        raise TensorError("huber_loss does not support non-positive values for delta.", op="huber_loss")
    loss = _t.huber_pointwise(input, target, delta)
    if weight is not None:
        _check_weight(weight, input)
        loss = loss * weight
    if loss.dtype is not input.dtype:
        loss = _fitted(loss, _t.empty(loss.shape, dtype=input.dtype, device=loss.device), "huber_loss")
    return _red.apply(loss, reduction, None if weight is not None else "HuberLossBackward0")


# ---- likelihoods and divergences ---------------------------------------------------------------------


def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction="mean"
):
    """Return minus the log likelihood of Poisson counts.

    Args:
        input: the rate, or its logarithm (``log_input``).
        target: counts.
        full: add Stirling's approximation of log(target!).
        eps: added to the rate before its logarithm.
    """
    reduction = _red.resolve(size_average, reduce, reduction)
    if reduction not in _CODES:
        raise ValueError(reduction + " is not a valid value for reduction")
    loss = _t.exp(input) - target * input if log_input else input - target * _t.log(input + eps)
    if full:
        stirling = target * _t.log(target) - target + 0.5 * _t.log(2 * math.pi * target)
        loss = loss + _t.where(target > 1, stirling, _t.zeros_like(stirling))
    return _red.apply(loss, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-06, reduction="mean"):
    """Return minus the log likelihood of normal samples.

    Args:
        input: means.
        target: samples.
        var: variances (at least ``eps`` counts): a number, the input's shape, or that shape with the last
            dimension missing or one dimension of size 1.
        full: add the constant log(2 pi) / 2.
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * _t.ones_like(input)
    elif not isinstance(var, _t.Tensor):
        raise TensorTypeError(f"gaussian_nll_loss(): argument 'var' must be Tensor or float, not {type(var).__name__}", op="gaussian_nll_loss")
    elif not var.dtype.is_floating_point:
        raise DTypeError(f"gaussian_nll_loss: result type Float can't be cast to the desired output type {var.dtype}", op="gaussian_nll_loss")
    elif (var < 0).any():
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        differing = [b for a, b in zip(input.shape, var.shape) if a != b]
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.dim() == var.dim() and differing == [1]):
            raise ValueError("var is of incorrect size")
    if reduction not in _CODES:
        raise ValueError(reduction + " is not valid")
    # The gradient passes as if nothing had been cut (PyTorch's choice).
    var = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (_t.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _red.apply(loss, reduction)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """Return the Kullback-Leibler divergence, elementwise terms reduced.

    Args:
        input: log probabilities.
        target: probabilities, or their logarithms (``log_target``).
        reduction: ``"batchmean"`` divides the sum by the first size (the mathematical definition).
    """
    if size_average is not None or reduce is not None:
        reduction = _red.legacy_get_string(size_average, reduce)
    elif reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
        )
    if log_target:
        loss = _t.exp(target) * (target - input)
    else:
        loss = _t.xlogy(target, target) - target * input
    if reduction == "batchmean":
        total = loss.sum()
        return total / input.shape[0] if input.dim() else total
    return _red.apply(loss, reduction)


def ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False
):
    """Return minus the log probability of label sequences under any alignment.

    Args:
        log_probs: (T, N, C) log probabilities, or (T, C).
        targets: (N, S) labels, or all labels in one dimension.
        input_lengths: frames of each sample, at most T.
        target_lengths: labels of each sample.
        blank: the class of "no label".
        reduction: ``"mean"`` divides each loss by its target's length first.
        zero_infinity: count impossible alignments as zero.

    Source: Graves et al. (2006), Connectionist temporal classification, section 4.1.
    """
    return _t.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _red.get_enum(reduction), zero_infinity
    )


# ---- margins and embeddings --------------------------------------------------------------------------


def margin_ranking_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """Return max(0, -target * (input1 - input2) + margin)."""
    reduction = _red.resolve(size_average, reduce, reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise ShapeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} ",
            op="margin_ranking_loss",
        )
    return _red.apply((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """Return the input where target is 1, max(0, margin - input) where it is -1."""
    reduction = _red.resolve(size_average, reduce, reduction)
    zero = _t.zeros_like(input)
    loss = _t.where(target != 1, (margin - input).clamp_min(0), zero) + _t.where(target != -1, input, zero)
    if not loss.is_floating_point() and not loss.is_complex() or loss.dtype != input.dtype and not input.is_floating_point() and not input.is_complex():
        if reduction == "mean":
            raise TensorError(f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {input.dtype}", op="hinge_embedding_loss")
        loss = loss.to(input.dtype)
    return _red.apply(loss, reduction)


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Return log(1 + exp(-target * input))."""
    reduction = _red.resolve(size_average, reduce, reduction)
    loss = _fitted(-_t.logsigmoid(target * input), input, "soft_margin_loss")
    return _red.apply(loss, reduction, "SoftMarginLossBackward0")


def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """Return the binary cross entropy of logits, averaged over the classes (last dimension)."""
    reduction = _red.resolve(size_average, reduce, reduction)
    loss = -(target * _t.logsigmoid(input) + (1 - target) * _t.logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    if reduction not in _CODES:
        raise ValueError(reduction + " is not valid")
    if input.dim() == 0:
        raise DimError("multilabel_soft_margin_loss: input needs a dimension of classes, got a 0-dim tensor", op="multilabel_soft_margin_loss")
    return _red.apply(loss.sum(input.dim() - 1) / input.shape[-1], reduction)


def _rows(name, input):
    """View (C) as (1, C), and a scalar as (1, 1); return it with whether that was done."""
    if input.dim() == 0:
        return input.reshape(1, 1), True
    if input.dim() not in (1, 2):
        raise ShapeError(
            f"{name}: Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}",
            op=name,
        )
    return (input.unsqueeze(0), True) if input.dim() == 1 else (input, False)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Return the hinge between every target class and every other class, over the number of classes.

    Args:
        input: (N, C) or (C) scores.
        target: int64 class indices of the same shape; -1 ends a row's list.
    """
    reduction = _red.resolve(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ShapeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}",
            op="multilabel_margin_loss",
        )
    if type(input) is type(target) is Tensor and reduction in _CODES:
        loss = _margins.multilabel_margin(input, target, reduction)
        if loss is not None:
            return loss
    x, single = _rows("multilabel_margin_loss", input)
    y = target.reshape(x.shape)
    n, c = x.shape
    # An entry counts if no -1 stands at or before it.
    live = (y >= 0).to(_t.int64).cumprod(1).to(_t.bool)
    safe = _t.where(live, y, _t.zeros_like(y))
    is_target = _t.zeros(n, c, dtype=_t.int64, device=x.device).scatter_add(1, safe, live.to(_t.int64)) > 0
    at = x.gather(1, safe)  # (N, C) scores of the listed targets
    gap = 1 - (at.unsqueeze(2) - x.unsqueeze(1))  # (N, listed, class)
    counts = live.unsqueeze(2) & is_target.logical_not().unsqueeze(1)
    loss = _t.where(counts, gap.clamp_min(0), _t.zeros_like(gap)).sum((1, 2)) / c
    return _red.apply(loss.squeeze(0) if single else loss, reduction, "MultilabelMarginLossBackward0")


def multi_margin_loss(
    input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """Return the hinge between the target class and the others, to the power p, over the number of classes.

    Args:
        input: (N, C) or (C) scores.
        target: class indices.
        p: 1 or 2.
        weight: (C) factors by target class.
    """
    reduction = _red.resolve(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    if type(input) is type(target) is Tensor and reduction in _CODES:
        loss = _margins.multi_margin(input, target, p, margin, weight, reduction,
                                     lambda x: _composed_multi_margin(x, target, p, margin, weight, reduction))
        if loss is not None:
            return loss
    return _composed_multi_margin(input, target, p, margin, weight, reduction)


def _composed_multi_margin(input, target, p, margin, weight, reduction):
    x, single = _rows("multi_margin_loss", input)
    y = target.reshape(-1)
    if weight is not None and weight.numel() != x.shape[1]:
        raise ShapeError(f"inconsistent weight size, expected {x.shape[1]} but got {list(weight.shape)}", op="multi_margin_loss")
    if y.shape[0] != x.shape[0] or target.dim() > 1:
        raise ShapeError(
            f"inconsistent target size, expected {x.shape[0]} but got {list(target.shape)}", op="multi_margin_loss"
        )
    gap = (margin - x.gather(1, y.unsqueeze(1)) + x).clamp_min(0)
    if p == 2:
        gap = gap * gap
    if weight is not None:
        gap = gap * weight[y].unsqueeze(1)
    loss = gap.scatter(1, y.unsqueeze(1), 0.0).sum(1) / x.shape[1]      # the target class beside itself does not count
    return _red.apply(loss.squeeze(0) if single and target.dim() == 0 else loss, reduction, "MultiMarginLossBackward0")


def cosine_embedding_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """Return 1 - cos where target is 1, max(0, cos - margin) where it is -1."""
    reduction = _red.resolve(size_average, reduce, reduction)
    if target.dim() not in (0, 1) or input1.dim() != target.dim() + 1 or input2.dim() != target.dim() + 1:
        raise ShapeError(
            f"cosine_embedding_loss: expects (N, D) or (D) inputs with (N) or () target, got sizes: "
            f"{tuple(input1.shape)}, {tuple(input2.shape)} and {tuple(target.shape)}",
            op="cosine_embedding_loss",
        )
    dim = target.dim()
    eps = 1e-12
    dot = (input1 * input2).sum(dim)
    norm1 = (input1 * input1).sum(dim) + eps
    norm2 = (input2 * input2).sum(dim) + eps
    cos = dot / (norm1 * norm2).sqrt()
    zero = _t.zeros_like(cos)
    loss = _t.where(target == 1, 1 - cos, zero) + _t.where(target == -1, (cos - margin).clamp_min(0), zero)
    return _red.apply(loss, reduction)


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-06,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """Return max(0, margin + distance to positive - distance to negative).

    Args:
        anchor, positive, negative: (N, D) or (D).
        p, eps: as for ``pairwise_distance``.
        swap: take the nearer of anchor and positive to the negative.

    Source: Balntas et al. (2016), Learning local feature descriptors with triplets.
    """
    reduction = _red.resolve(size_average, reduce, reduction)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """Return the triplet loss of any distance (see ``triplet_margin_loss``)."""
    if reduction not in _CODES:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise ShapeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs",
            op="triplet_margin_loss",
        )
    distance = pairwise_distance if distance_function is None else distance_function
    to_positive = distance(anchor, positive)
    to_negative = distance(anchor, negative)
    if swap:
        to_negative = _t.minimum(to_negative, distance(positive, negative))
    return _red.apply((margin + to_positive - to_negative).clamp_min(0), reduction)
