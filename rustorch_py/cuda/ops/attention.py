"""Scaled dot product attention: cuDNN's (_dnn.py) where it is installed and does the case, else kernels/attention.cuh."""
from ...tensor._devices import provide
from ...tensor._dtype import _dtype_by_name
from .. import _dnn
from .._backend import launch

NO_MASK, BOOL_MASK, FLOAT_MASK = range(3)
BOOL = _dtype_by_name("bool")
ROOMS = (64, 128, 256)                           # features that a kernel has registers for
TILE = 32
GRID = 65535


def _steps(t):
    """Steps of image, head and position."""
    return (0,) * (4 - t.ndim) + t.stride()[:-1]


def _size(t, back):
    return t.shape[-back] if t.ndim >= back else 1


def _describe(q, k, v, mask, causal):
    """(numbers before the output's steps, the mask's steps, room for features)"""
    d, e = q.shape[-1], v.shape[-1]
    room = next(n for n in ROOMS if n >= max(d, e))
    kind = NO_MASK if mask is None else BOOL_MASK if mask.dtype == BOOL else FLOAT_MASK
    return ((_size(q, 4), _size(q, 3), _size(k, 3), q.shape[-2], k.shape[-2], d, e, int(causal), kind, *_steps(q), *_steps(k), *_steps(v)),
            (0,) * 4 if mask is None else tuple(mask.stride()), room)


def attention(out, sums, q, k, v, mask, causal, scale):
    if _dnn.switches.enabled and _dnn.attention(out, sums, q, k, v, mask, causal, scale):
        return
    ints, mask_steps, room = _describe(q, k, v, mask, causal)
    launch("attention.cuh", "attention", (q.dtype, room), (out, sums, q, k, v, mask), (*ints, *_steps(out), *mask_steps), (scale,),
           grid=(-(-q.shape[-2] // (2 * TILE)), min(ints[0] * ints[1], GRID)))


def attention_back(g, q, k, v, mask, out, sums, gq, gk, gv, causal, scale):
    if _dnn.switches.enabled and _dnn.attention_back(g, q, k, v, mask, out, sums, gq, gk, gv, causal, scale):
        return
    ints, mask_steps, room = _describe(q, k, v, mask, causal)
    ints = (*ints, *_steps(out), *mask_steps, *_steps(g), *_steps(gq), *_steps(gk), *_steps(gv))
    types, heads, rows = (q.dtype, room), ints[0] * ints[1], sums.numel()
    delta = sums.new_empty(rows)
    launch("attention.cuh", "attention_delta", types, (delta, out, g), ints, grid=-(-rows // 8))
    launch("attention.cuh", "attention_back_q", types, (gq, q, k, v, mask, g, sums, delta), ints, (scale,),
           grid=(-(-q.shape[-2] // (2 * TILE)), min(heads, GRID)))
    launch("attention.cuh", "attention_back_kv", types, (gk, gv, q, k, v, mask, g, sums, delta), ints, (scale,),
           grid=(-(-k.shape[-2] // TILE), min(ints[0] * ints[2], GRID)))


provide("cuda", {"attention": attention, "attention_back": attention_back})
