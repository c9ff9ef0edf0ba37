"""Batch normalization over the batches of all ranks (nn.SyncBatchNorm)."""
from __future__ import annotations

from .. import tensor as _t
from ..autograd import Function
from ._collectives import all_gather_into_tensor, all_reduce


class SyncNorm(Function):
    """Normalize by the mean and variance over all ranks' samples.

    Each rank sends its mean, variance and count, which are combined as in Chan, Golub, LeVeque, "Algorithms for computing the sample
    variance" (1983): no difference of large sums. Backward sends the two sums that the input's gradient reads.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, running_mean, running_var, momentum, eps, group):
        """Return the normalized input; updates the running statistics."""
        wide = _t.float64 if x.dtype is _t.float64 else _t.float32
        dims = [d for d in range(x.dim()) if d != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        channels = x.shape[1]
        count = x.numel() // channels
        values = x.to(wide)
        if count:
            mean, var = values.mean(dims), values.var(dims, correction=0)
        else:
            mean = var = _t.zeros(channels, dtype=wide, device=x.device)
        every = _t.empty(group.size(), 2 * channels + 1, dtype=wide, device=x.device)
        all_gather_into_tensor(every, _t.cat([mean, var, _t.tensor([float(count)], dtype=wide, device=x.device)]), group)
        means, variances, counts = every[:, :channels], every[:, channels:-1], every[:, -1:]
        total = counts.sum()
        if total.item() <= 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(x.shape)} on this rank and {int(total.item())} in all")
        mean = (means * counts).sum(0) / total
        var = ((variances + (means - mean).square()) * counts).sum(0) / total
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(mean.to(running_mean.dtype), alpha=momentum)
            running_var.mul_(1 - momentum).add_((var * (total / (total - 1))).to(running_var.dtype), alpha=momentum)
        invstd = (var + eps).rsqrt()
        normal = (values - mean.view(shape)) * invstd.view(shape)
        out = normal
        if weight is not None:
            out = out * weight.to(wide).view(shape)
        if bias is not None:
            out = out + bias.to(wide).view(shape)
        ctx.save_for_backward(x, weight, mean, invstd)
        ctx.group, ctx.total, ctx.dims, ctx.shape, ctx.has_bias, ctx.wide = group, total, dims, shape, bias is not None, wide
        return out.to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        """Return the gradients of input, weight and bias."""
        x, weight, mean, invstd = ctx.saved_tensors
        shape, dims = ctx.shape, ctx.dims
        g = grad.to(ctx.wide)
        normal = (x.to(ctx.wide) - mean.view(shape)) * invstd.view(shape)
        sums = _t.stack([g.sum(dims), (g * normal).sum(dims)])
        grad_bias = sums[0].to(weight.dtype if weight is not None else grad.dtype) if ctx.has_bias else None
        grad_weight = sums[1].to(weight.dtype) if weight is not None else None
        grad_x = None
        if ctx.needs_input_grad[0]:
            over_all = sums.clone()
            all_reduce(over_all, group=ctx.group)
            over_all /= ctx.total
            scale = invstd if weight is None else invstd * weight.to(ctx.wide)
            grad_x = ((g - over_all[0].view(shape) - normal * over_all[1].view(shape)) * scale.view(shape)).to(x.dtype)
        return grad_x, grad_weight, grad_bias, None, None, None, None, None


def sync_batch_norm(x, weight, bias, running_mean, running_var, momentum, eps, group):
    """Normalize x of shape (N, C, ...) over all members' samples; running statistics are updated in place.

    Args:
        momentum: share of this batch in the running statistics. group: ProcessGroup of more than one member.
    """
    return SyncNorm.apply(x, weight, bias, running_mean, running_var, momentum, eps, group)
