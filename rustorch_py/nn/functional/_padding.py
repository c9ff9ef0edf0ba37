"""Padding."""

from __future__ import annotations

import math

from ... import tensor as _t
from ...errors import DTypeError, ShapeError, TensorError
from ...tensor._autocast import in_float32
from ...tensor._room import refuse_endless
from ._util import memory_format_of

__all__ = ["pad"]


def _ring(mode, size, before, after):
    """Return, for each output position along a dimension, the input position it copies."""
    if mode == "replicate":
        return [min(max(i, 0), size - 1) for i in range(-before, size + after)]
    if mode == "circular":
        return [i % size for i in range(-before, size + after)]
    last = size - 1  # reflect: the edge itself is not repeated
    return [abs(i) if i <= last else 2 * last - i for i in range(-before, size + after)]


_INT = {int}


def pad(input, pad, mode="constant", value=None):
    """Enlarge a tensor at the ends of its last dimensions.

    Args:
        input: the tensor.
        pad: amounts (before, after) from the last dimension backwards; negative amounts crop.
        mode: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``; all but the first take an
            input with one or two more dimensions than are padded.
        value: the constant, 0 if absent.
    """
    if type(pad) is not tuple or not {*map(type, pad)} <= _INT:
        pad = tuple([int(n) for n in pad])
    if len(pad) % 2:
        raise TensorError("Padding length must be divisible by 2", op="pad")
    if mode == "constant":
        return _t.constant_pad_nd(input, pad, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise TensorError(f'Padding mode "{mode}" doesn\'t take in value argument', op="pad")
    n_pad = len(pad) // 2
    n_dims = input.dim()
    if n_dims not in (n_pad + 1, n_pad + 2) or n_pad > 3:
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now; "
            f"got {len(pad)} amounts for an input of {n_dims} dimensions"
        )
    sizes = _padded_sizes(tuple(input.shape), pad, mode)
    refuse_endless("pad", "pad", math.prod(sizes), input.element_size())
    if mode != "circular" and input.dtype == _t.bool:
        raise DTypeError(f'"{ {"reflect": "reflection", "replicate": "replication"}[mode]}_pad{n_pad}d" not implemented for \'Bool\'', op="pad")
    if mode == "replicate" or mode == "reflect" and n_pad < 3:
        input = in_float32(input)
    if 0 in sizes:
        return input.flatten()[:0].clone().reshape(sizes)
    out = input
    if mode == "circular" and min(pad) < 0:
        # Negative amounts crop first; what is left wraps around.
        out = _t.constant_pad_nd(input, tuple(min(n, 0) for n in pad))
        pad = tuple(max(n, 0) for n in pad)
    if not any(pad):
        return out.clone() if out is input else out
    if mode == "circular" and out is not input and any(max(pad[2 * i], pad[2 * i + 1]) > out.shape[n_dims - 1 - i] for i in range(n_pad)):
        raise ShapeError("Padding value causes wrapping around more than once.", op="pad")
    if input.device.type == "cpu":
        return _t.pad_shown(out, pad, mode)
    for i in range(n_pad):
        dim = n_dims - 1 - i
        before, after = pad[2 * i], pad[2 * i + 1]
        size = out.shape[dim]
        if before == after == 0:
            continue
        index = _t.tensor(_ring(mode, size, before, after), dtype=_t.int64, device=input.device)
        if out.is_floating_point():
            out = _t.weighted_taps(out, dim, index.unsqueeze(1))
        else:
            out = out.index_select(dim, index)
    return out.contiguous(memory_format=memory_format_of(input)) if mode != "circular" else out


def _padded_sizes(shape, pad, mode):
    """Return the result's shape; raise where the mode has no values for it."""
    sizes = list(shape)
    n_pad = len(pad) // 2
    if mode != "circular" and 0 in shape[len(shape) - n_pad - 1 :]:
        raise ShapeError(
            f"pad: expected an input whose sizes are not 0, but for the batch, in mode {mode!r}; got {list(shape)}",
            op="pad",
        )
    for i in range(n_pad):
        dim = len(shape) - 1 - i
        before, after = pad[2 * i], pad[2 * i + 1]
        size = shape[dim]
        if mode == "reflect" and max(before, after) >= size:
            raise ShapeError(
                "Padding size should be less than the corresponding input dimension, but got: padding "
                f"({before}, {after}) at dimension {dim} of input {list(shape)}",
                op="pad",
            )
        if mode == "circular" and max(before, after) > size:
            raise ShapeError("Padding value causes wrapping around more than once.", op="pad")
        sizes[dim] += before + after
        if sizes[dim] < 0:
            raise ShapeError(
                f"pad: dimension {dim} of size {size} with padding ({before}, {after}) leaves nothing", op="pad"
            )
    if mode != "circular" and max(sizes[len(shape) - n_pad :]) < 1:
        raise ShapeError(f"pad: input {list(shape)} with padding {list(pad)} leaves nothing", op="pad")
    return sizes
