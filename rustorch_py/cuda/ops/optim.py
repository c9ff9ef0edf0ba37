"""Fused optimizer steps on the device: lists of parameters in one launch."""
from ... import tensor as _t
from ...tensor._devices import provide
from .._backend import launch, run_optim

SQUARES, UNSCALE = 11, 12                                          # tensor/kernels/optim.h


def run(first, method, dtype, items, count, options, factor, found):
    """A step of `count` items at address `items` (RtOptimItem), all on the device of `first`."""
    run_optim(first.get_device(), method, dtype, items, count, options, factor, found, None)


def norm(first, dtype, items, count, chunks):
    """The Euclidean norm of all items' elements together, a 0-dim tensor."""
    partial = _t.empty(chunks, dtype=_t.float64 if dtype == _t.float64 else _t.float32, device=first.device)
    run_optim(first.get_device(), SQUARES, dtype, items, count, 0, None, None, partial)
    out = _t.empty((), dtype=dtype, device=first.device)
    launch("clip.cuh", "norm", (dtype,), (out, partial), (chunks,), grid=1)
    return out


def clip_factor(norm, most):
    """min(1, most / norm) as a float64 0-dim tensor."""
    out = _t.empty((), dtype=_t.float64, device=norm.device)
    launch("clip.cuh", "factor", (norm.dtype,), (out, norm), (), (most,), grid=1, block=32)
    return out


def update_scale(scale, steps, found, growth, backoff, interval):
    launch("amp.cuh", "update_scale", (), (scale, steps, found), (interval,), (growth, backoff), grid=1, block=32)


def inverse_scale(scale):
    """1 / scale as a float64 0-dim tensor."""
    out = _t.empty((), dtype=_t.float64, device=scale.device)
    launch("amp.cuh", "inverse_scale", (), (out, scale), grid=1, block=32)
    return out


provide("cuda", {"optim_run": run, "optim_norm": norm, "clip_factor": clip_factor, "update_scale": update_scale, "inverse_scale": inverse_scale})
