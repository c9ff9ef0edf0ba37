"""Layer, group and batch normalization as passes over rows of the operator table: right, and not fused."""
from ... import tensor as _t
from ...tensor._devices import provide


def _wide(x):
    x = x.detach()
    return x if x.dtype == _t.float32 else x.float()


def _rows(t, rows, groups, channels, plane):
    return t.reshape(rows // groups, groups, channels, plane)


def row_norm(y, x, weight, bias, mean, rstd, rows, groups, channels, plane, eps, rms):
    """y <- normalized rows of `channels` times `plane` elements; row r is of group r % groups, whose channels have weights and biases of their own."""
    with _t.no_grad():
        wide = _wide(x).reshape(rows, channels * plane)
        if not rms:
            center = wide.mean(1, True)
            mean.copy_(center.reshape(mean.shape))
            wide = wide - center
        scale = ((wide * wide).mean(1, True) + eps).rsqrt()
        rstd.copy_(scale.reshape(rstd.shape))
        out = _rows(wide * scale, rows, groups, channels, plane)
        if weight is not None:
            out = out * _wide(weight).reshape(1, groups, channels, 1)
        if bias is not None:
            out = out + _wide(bias).reshape(1, groups, channels, 1)
        y.detach().copy_(out.reshape(y.shape))


def row_norm_back(x, g, weight, mean, rstd, gx, gw, gb, rows, groups, channels, plane, rms):
    with _t.no_grad():
        scale = _wide(rstd).reshape(rows, 1)
        hat = _wide(x).reshape(rows, channels * plane)
        hat = hat * scale if rms else (hat - _wide(mean).reshape(rows, 1)) * scale
        wide = _rows(_wide(g), rows, groups, channels, plane)
        if gw is not None:
            gw.detach().copy_((wide * _rows(hat, rows, groups, channels, plane)).sum((0, 3)).reshape(gw.shape))
        if gb is not None:
            gb.detach().copy_(wide.sum((0, 3)).reshape(gb.shape))
        if gx is not None:
            if weight is not None:
                wide = wide * _wide(weight).reshape(1, groups, channels, 1)
            wide = wide.reshape(rows, channels * plane)
            rest = wide - hat * (wide * hat).mean(1, True)
            if not rms:
                rest = rest - wide.mean(1, True)
            gx.detach().copy_((rest * scale).reshape(gx.shape))


def _channels(t, x):
    """Numbers of channels against x."""
    return _wide(t).reshape((1, -1) + (1,) * (x.ndim - 2))


def _others(x):
    return tuple(d for d in range(x.ndim) if d != 1)


def batch_norm_statistics(x, mean, rstd, running_mean, running_var, momentum, eps):
    """Mean and 1 / deviation of each channel; running statistics move."""
    with _t.no_grad():
        wide, dims = _wide(x), _others(x)
        center = wide.mean(dims)
        gap = wide - _channels(center, x)
        total = (gap * gap).sum(dims)
        count = x.numel() // max(x.shape[1], 1)
        mean.copy_(center)
        rstd.copy_((total / count + eps).rsqrt())
        if running_mean is not None:
            running_mean.copy_(_wide(running_mean) * (1 - momentum) + center * momentum)
        if running_var is not None:
            running_var.copy_(_wide(running_var) * (1 - momentum) + total * (momentum / (count - 1) if count > 1 else float("nan")))


def batch_norm(y, x, mean, rstd, weight, bias):
    with _t.no_grad():
        out = (_wide(x) - _channels(mean, x)) * _channels(rstd, x)
        if weight is not None:
            out = out * _channels(weight, x)
        if bias is not None:
            out = out + _channels(bias, x)
        y.detach().copy_(out)


def batch_norm_back(x, g, weight, mean, rstd, gx, gw, gb, train):
    with _t.no_grad():
        wide, dims, count = _wide(g), _others(x), x.numel() // max(x.shape[1], 1)
        hat = (_wide(x) - _channels(mean, x)) * _channels(rstd, x)
        total, dot = wide.sum(dims), (wide * hat).sum(dims)
        if gw is not None:
            gw.detach().copy_(dot)
        if gb is not None:
            gb.detach().copy_(total)
        if gx is not None:
            if train:
                wide = wide - _channels(total, x) / count - hat * (_channels(dot, x) / count)
            scale = _channels(rstd, x)
            gx.detach().copy_(wide * (scale if weight is None else scale * _channels(weight, x)))


provide("metal", {f.__name__: f for f in (row_norm, row_norm_back, batch_norm_statistics, batch_norm, batch_norm_back)})
