"""Resampling and rearranging of images."""

from __future__ import annotations

import math

from ... import tensor as _t
from ...errors import ShapeError, TensorError, TensorTypeError, TensorValueError, TooFewDimsError
from ...tensor._autocast import covered
from ...tensor._devices import kernel_of
from ...tensor._resize import known, resize, resize_bytes, sample_planes
from ._util import memory_format_of, warn

__all__ = [
    "affine_grid",
    "channel_shuffle",
    "grid_sample",
    "interpolate",
    "native_channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


def _lies_last(x):
    """Whether images lie with their channels innermost."""
    return memory_format_of(x) is _t.channels_last


def pixel_shuffle(input, upscale_factor):
    """Rearrange (..., C * r * r, H, W) to (..., C, H * r, W * r)."""
    if input.dim() < 3:
        raise ShapeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)",
            op="pixel_shuffle",
        )
    r = int(upscale_factor)
    if r <= 0:
        raise TensorError(f"pixel_shuffle expects a positive upscale_factor, but got {r}", op="pixel_shuffle")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise ShapeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={c} is not divisible by {r * r}",
            op="pixel_shuffle",
        )
    n = len(lead)
    if r == 1:
        return input.clone(memory_format=memory_format_of(input))
    if _lies_last(input):
        cells = input.permute(0, 2, 3, 1).reshape(*lead, h, w, c // (r * r), r, r)
        return cells.permute(0, 1, 4, 2, 5, 3).reshape(*lead, h * r, w * r, c // (r * r)).permute(0, 3, 1, 2)
    cells = input.reshape(*lead, c // (r * r), r, r, h, w)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return cells.permute(order).contiguous().view(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input, downscale_factor):
    """Rearrange (..., C, H * r, W * r) to (..., C * r * r, H, W): the inverse of ``pixel_shuffle``."""
    if input.dim() < 3:
        raise ShapeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)",
            op="pixel_unshuffle",
        )
    r = int(downscale_factor)
    if r <= 0:
        raise TensorError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}", op="pixel_unshuffle")
    *lead, c, h, w = input.shape
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but ({h}, {w}) "
            f"are not divisible by {r}",
            op="pixel_unshuffle",
        )
    n = len(lead)
    if r == 1:
        return input.clone(memory_format=memory_format_of(input))
    if _lies_last(input):
        cells = input.permute(0, 2, 3, 1).reshape(*lead, h // r, r, w // r, r, c)
        return cells.permute(0, 1, 3, 5, 2, 4).reshape(*lead, h // r, w // r, c * r * r).permute(0, 3, 1, 2)
    cells = input.reshape(*lead, c, h // r, r, w // r, r)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return cells.permute(order).contiguous().view(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input, groups):
    """Interleave the channels of ``groups`` equal groups.

    Source: Zhang et al. (2018), ShuffleNet.
    """
    if input.dim() < 3:
        raise ShapeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}",
            op="channel_shuffle",
        )
    n, c, *rest = input.shape
    if groups <= 0:
        raise TensorError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}", op="channel_shuffle"
        )
    if c % groups:
        raise ShapeError(
            f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.",
            op="channel_shuffle",
        )
    if groups in (1, c):
        return input.clone(memory_format=memory_format_of(input))
    if _lies_last(input):
        return input.permute(0, 2, 3, 1).reshape(n, *rest, groups, c // groups).transpose(3, 4).reshape(n, *rest, c).permute(0, 3, 1, 2)
    return input.reshape(n, groups, c // groups, *rest).transpose(1, 2).reshape(n, c, *rest)


native_channel_shuffle = channel_shuffle


# ---- interpolation ------------------------------------------------------------------------------
# Every mode but "area" is separable: along each dimension an output position is a weighted sum of a
# few input positions. `_taps_*` give (positions, weights), each a list of tensors of the output size.


def _work_dtype(input):
    return _t.float64 if input.dtype == _t.float64 else _t.float32


def _ratio(size, new, scale, align_corners):
    """Return how far the input moves when the output moves by one."""
    if align_corners:
        return (size - 1) / (new - 1) if new > 1 else 0.0
    return 1.0 / scale if scale is not None and scale > 0 else size / new


def _source(input, new, ratio, align_corners):
    """Return the (fractional) input position of every output position."""
    at = _t.arange(new, dtype=_work_dtype(input), device=input.device)
    return at * ratio if align_corners else (at + 0.5) * ratio - 0.5


def _taps_nearest(input, size, new, scale, exact):
    if size == new and not exact:
        return [_t.arange(new, device=input.device)], None
    # Single precision, as PyTorch computes it whatever the input's dtype.
    at = _t.arange(new, dtype=_t.float32, device=input.device)
    ratio = _ratio(size, new, scale, False)
    at = (at + 0.5) * ratio if exact else at * ratio
    return [at.floor().to(_t.int64).clamp(max=size - 1)], None


def _taps_linear(input, size, new, scale, align_corners):
    at = _source(input, new, _ratio(size, new, scale, align_corners), align_corners).clamp(min=0)
    low = at.floor().clamp(max=size - 1)
    share = (at - low).clamp(0, 1)
    low = low.to(_t.int64)
    return [low, (low + 1).clamp(max=size - 1)], [1 - share, share]


def _cubic_weights(t, a=-0.75):
    """Return the four weights of cubic convolution at fraction t.

    Source: Keys (1981), Cubic convolution interpolation for digital image processing; a = -0.75 as in PyTorch.
    """

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _taps_cubic(input, size, new, scale, align_corners):
    at = _source(input, new, _ratio(size, new, scale, align_corners), align_corners)
    low = at.floor()
    weights = _cubic_weights(at - low)
    low = low.to(_t.int64)
    return [(low + k).clamp(0, size - 1) for k in (-1, 0, 1, 2)], weights


def _filter_value(kind, x):
    """Return the value of an anti-aliasing filter at distance x."""
    x = abs(x)
    if kind == "bilinear":
        return max(1.0 - x, 0.0)
    if kind == "bicubic":
        a = -0.5  # the value of PIL, which PyTorch takes with antialias=True
        if x < 1:
            return ((a + 2) * x - (a + 3)) * x * x + 1
        return ((x - 5) * x + 8) * x * a - 4 * a if x < 2 else 0.0
    if x >= 3:  # lanczos, three lobes
        return 0.0
    if x == 0:
        return 1.0
    angle = math.pi * x
    return 3.0 * math.sin(angle) * math.sin(angle / 3) / (angle * angle)


_FILTER_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


def _antialias_matrix(input, size, new, scale, align_corners, kind):
    """Return the (new, size) matrix that resamples one dimension with a widened filter."""
    ratio = _ratio(size, new, scale, align_corners)
    support = _FILTER_SUPPORT[kind] * max(ratio, 1.0)
    shrink = 1.0 / ratio if ratio >= 1.0 else 1.0
    rows = []
    for i in range(new):
        centre = ratio * (i + 0.5)
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), size)
        weights = [_filter_value(kind, (j + first - centre + 0.5) * shrink) for j in range(last - first)]
        total = sum(weights)
        if total:
            weights = [w / total for w in weights]
        rows.append([0.0] * first + weights + [0.0] * (size - last))
    return _t.tensor(rows, dtype=_work_dtype(input), device=input.device)


def _table(input, taps, args):
    """Return the positions and weights of a dimension, one row an output position; positions alone if the input holds whole numbers."""
    positions, weights = taps(input, *args)
    if weights is None and not input.is_floating_point():
        return positions[0], None
    return _t.stack(positions, 1), None if weights is None else _t.stack(weights, 1).to(input.dtype)


_KEPT = 64
_tables = {}  # what a table depends on -> table: a device makes it by dozens of launches, and needs it in every step


def _resample(input, dim, taps, *args):
    capturing = None if input.device.type == "cpu" else kernel_of(input.device.type, "capturing")
    if capturing is None or capturing():  # what is captured has numbers only when the graph is replayed
        index, weights = _table(input, taps, args)
    else:
        key = taps, args, input.dtype, input.device, kernel_of(input.device.type, "stream_number")(input.device.index)
        found = _tables.get(key)
        if found is None:
            with _t.inference_mode(False), _t.no_grad():
                found = _table(input, taps, args)
            if len(_tables) >= _KEPT:
                _tables.pop(next(iter(_tables)))
            _tables[key] = found
        index, weights = found
    return _t.weighted_taps(input, dim, index, weights) if index.dim() == 2 else input.index_select(dim, index)


def _resize_bytes(input, old, new, factors, mode, align_corners, antialias):
    """Resize a uint8 image as PyTorch and Pillow do: one axis after the other, weights as integers of 16 bits, bytes in between.

    Products and sums of integers below 2**24 are exact in float64, so the result is the integer one.
    """
    out = input
    for dim in (3, 2):
        a, b, f = old[dim - 2], new[dim - 2], factors[dim - 2]
        if a == b and f in (None, 1.0):
            continue
        x = out.double()
        if antialias:
            index, weights = None, _antialias_matrix(x, a, b, f, align_corners, mode)
        else:
            index, weights = _table(x, _taps_cubic if mode == "bicubic" else _taps_linear, (a, b, f, align_corners))
            if weights.numel() and index.shape[1] > 1:         # taps beyond the edge fall on the edge's pixel: one weight for both
                weights = _t.zeros(b, a, dtype=weights.dtype, device=weights.device).scatter_add(1, index, weights).gather(1, index) * _first_of(index)
        largest, precision = float(weights.max()), 0
        while precision < 22 and int(0.5 + largest * (1 << precision + 1)) < 1 << 15:
            precision += 1
        scaled = weights.double() * (1 << precision)
        scaled = (scaled + scaled.sign() * 0.5).trunc()
        x = _t.matmul(x.transpose(dim, -1), scaled.t()).transpose(dim, -1) if antialias else _t.weighted_taps(x, dim, index, scaled)
        out = ((x + (1 << precision >> 1)) / (1 << precision)).floor().clamp(0, 255).to(_t.uint8)
    return (out if out is not input else input.clone()).contiguous(memory_format=memory_format_of(input))


def _first_of(index):
    """1 for a tap whose position no earlier tap of its row has, else 0."""
    seen = (index.unsqueeze(2) == index.unsqueeze(1)).tril(-1)
    return seen.any(2).logical_not()


def _rows(input, size, new, scale, mode, align_corners, antialias):
    """Return for every position of a resized dimension its list of (position of the input, weight)."""
    if mode == "area":
        spans = [(i * size // new, -(-(i + 1) * size // new)) for i in range(new)]
        return [[(j, 1.0 / (end - start)) for j in range(start, end)] for start, end in spans]
    if antialias:
        matrix = _antialias_matrix(input, size, new, scale, align_corners, mode)
        return [[(j, w) for j, w in enumerate(row) if w] for row in matrix.tolist()]
    if mode in ("nearest", "nearest-exact"):
        positions, _ = _taps_nearest(input, size, new, scale, mode == "nearest-exact")
        return [[(j, 1.0)] for j in positions[0].tolist()]
    positions, weights = (_taps_cubic if mode == "bicubic" else _taps_linear)(input, size, new, scale, align_corners)
    table = zip(_t.stack(positions, 1).tolist(), _t.stack(weights, 1).tolist())
    return [list(zip(at, by)) for at, by in table]


_RESIZED = (_t.float32, _t.float64, _t.bfloat16, _t.float16)         # by the CPU's loops for whole images
_MODE_DIMS = {"linear": 3, "bilinear": 4, "trilinear": 5, "bicubic": 4, "lanczos": 4}


def _scaled(size, factor):
    try:
        new = int(math.floor(size * factor))
    except (OverflowError, ValueError):
        new = 1 << 63
    if abs(new) >= 1 << 63:
        raise TensorValueError(f"interpolate: a size of {size} times {factor} does not fit 64 bits", op="interpolate")
    return new


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Resize the spatial dimensions.

    Args:
        input: (N, C, ...) with one to three spatial dimensions.
        size: new size, a number or one per spatial dimension.
        scale_factor: factor instead of a size.
        mode: ``"nearest"``, ``"nearest-exact"``, ``"area"``, ``"linear"`` (3-D input), ``"bilinear"``,
            ``"bicubic"`` (4-D), ``"trilinear"`` (5-D), ``"lanczos"`` (4-D, with antialias).
        align_corners: let the corner pixels' centres coincide (linear and cubic modes).
        recompute_scale_factor: derive the factor anew from the rounded size.
        antialias: widen the filter when shrinking (bilinear, bicubic, lanczos).
    """
    arguments = size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
    out = known(input, *arguments)             # asked for before with the same sizes: nothing is read anew
    if out is not None:
        return out
    mode = mode if isinstance(mode, str) else repr(mode)
    plain = mode in ("nearest", "area", "nearest-exact")
    if plain and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: "
            "linear | bilinear | bicubic | trilinear"
        )
    if align_corners is not None and not isinstance(align_corners, bool):
        raise TensorTypeError(f"interpolate(): argument 'align_corners' must be bool, not {type(align_corners).__name__}", op="interpolate")
    align_corners = bool(align_corners)
    n = input.dim() - 2
    old = tuple(input.shape[2:])
    if isinstance(scale_factor, _t.Tensor):
        raise TensorTypeError("interpolate(): argument 'scale_factor' must be float or tuple of floats, not Tensor", op="interpolate")
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given = size if size is not None else scale_factor
    if isinstance(given, (list, tuple)) or hasattr(given, "__len__") and not hasattr(given, "item"):
        given = tuple(given)
        if len(given) != n:
            what = "output size" if size is not None else "scale_factor"
            raise ValueError(
                f"Input and {what} must have the same number of spatial dimensions, but got input with spatial "
                f"dimensions of {list(old)} and {what} of {given}. Please provide input tensor in "
                "(N, C, d1, d2, ...,dK) format."
            )
    else:
        given = (given,) * n
    factors = (None,) * n
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        for value in given:
            if isinstance(value, (float, bool)) or not hasattr(value, "__index__") or isinstance(value, _t.Tensor) and value.dtype.is_floating_point:
                raise TensorTypeError(f"interpolate(): expected size to be one of int or a tuple of ints, but got {given}", op="interpolate")
        new = tuple(int(v) for v in given)
    else:
        new = tuple(_scaled(o, f) for o, f in zip(old, given))
        if not recompute_scale_factor and mode != "area":
            factors = tuple(float(f) for f in given)
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    wanted = _MODE_DIMS.get(mode)
    if n not in (1, 2, 3) or (wanted is None and not plain):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the modes: nearest | "
            f"linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
        )
    if wanted is not None and wanted != input.dim():
        raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {wanted}D input")
    if min(new) <= 0 or min(old) <= 0:
        raise TensorError(
            f"Input and output sizes should be greater than 0, but got input {list(old)} output {list(new)}",
            op="interpolate",
        )
    if mode == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")
    if mode == "lanczos" and align_corners:
        raise ValueError("Lanczos mode does not support align_corners=True")
    nearest = mode in ("nearest", "nearest-exact")
    if input.device.type == "cpu" and (input.dtype in _RESIZED or nearest and input.dtype == _t.uint8):
        with _t.inference_mode(False), _t.no_grad():
            axes = [(a, _rows(input, a, b, f, mode, align_corners, antialias)) for a, b, f in zip(old, new, factors)]
        return resize(input, axes, nearest, mode == "area" and n == 3, arguments)          # volumes: as PyTorch's pooling leaves them
    if mode == "area":
        pool = (_t.adaptive_avg_pool1d, _t.adaptive_avg_pool2d, _t.adaptive_avg_pool3d)[n - 1]
        return pool(input, new if n > 1 else new[0])
    out = input
    if input.dtype == _t.uint8 and mode in ("bilinear", "bicubic"):
        if input.device.type != "cpu":
            return _resize_bytes(input, old, new, factors, mode, align_corners, antialias)
        with _t.inference_mode(False), _t.no_grad():
            like = _t.empty(0, dtype=_t.float64)       # of the dtype that weights are computed in
            axes = [(a, None if a == b and f in (None, 1.0) else _rows(like, a, b, f, mode, align_corners, antialias)) for a, b, f in zip(old, new, factors)]
        return resize_bytes(input, axes, arguments)
    for d in reversed(range(n)):
        dim, a, b, f = d + 2, old[d], new[d], factors[d]
        if antialias:
            matrix = _antialias_matrix(input, a, b, f, align_corners, mode).to(input.dtype)
            out = _t.matmul(out.transpose(dim, -1), matrix.t()).transpose(dim, -1)
        elif plain:
            out = _resample(out, dim, _taps_nearest, a, b, f, mode == "nearest-exact")
        elif mode == "bicubic":
            out = _resample(out, dim, _taps_cubic, a, b, f, align_corners)
        else:
            out = _resample(out, dim, _taps_linear, a, b, f, align_corners)
    return out.contiguous(memory_format=memory_format_of(input))


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """Resize (deprecated name of ``interpolate``)."""
    warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """Resize with nearest neighbours (deprecated: use ``interpolate``)."""
    warn("`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """Resize bilinearly with aligned corners (deprecated: use ``interpolate``)."""
    warn("`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ---- sampling at given places -------------------------------------------------------------------


def affine_grid(theta, size, align_corners=None):
    """Return the sampling grid of affine maps, for ``grid_sample``.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes.
        size: output size (N, C, H, W) or (N, C, D, H, W).
        align_corners: whether -1 and 1 are the centres or the outer edges of the corner pixels.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3), coordinates in the order x, y(, z).
    """
    if align_corners is None:
        warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
            "Please specify align_corners=True if the old behavior is desired."
        )
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    n = len(size) - 2
    if n not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (n, n + 1):
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {size}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    spatial = tuple(size[2:])
    axes = []
    for d in range(n - 1, -1, -1):
        steps = spatial[d]
        if steps == 1:
            line = _t.zeros(1, dtype=theta.dtype, device=theta.device)
        else:
            line = _t.linspace(-1, 1, steps, dtype=theta.dtype, device=theta.device)
            if not align_corners:
                line = line * ((steps - 1) / steps)
        shape = [1] * n
        shape[d] = steps
        axes.append(line.reshape(shape).expand(spatial))
    axes.append(_t.ones(spatial, dtype=theta.dtype, device=theta.device))
    base = _t.stack(axes, -1).reshape(1, -1, n + 1).expand(size[0], -1, -1)
    if theta.dtype in (_t.float16, _t.bfloat16) and theta.device.type == "cpu":      # products of three columns are too thin for 16-bit loops
        return _t.matmul(base.float(), theta.transpose(1, 2).float()).to(theta.dtype).reshape(size[0], *spatial, n)
    return _t.matmul(base, theta.transpose(1, 2)).reshape(size[0], *spatial, n)


def _reflect(x, low2, high2):
    """Mirror coordinates at low2 / 2 and high2 / 2 until they lie between."""
    if low2 == high2:
        return _t.zeros_like(x)
    low, span = low2 / 2, (high2 - low2) / 2
    x = (x - low).abs()
    extra = _t.fmod(x, span)
    flips = (x / span).floor()
    even = _t.fmod(flips, 2) == 0
    return _t.where(even, extra + low, span - extra + low)


def _place(x, size, padding_mode, align_corners):
    """Bring coordinates outside the image back, by the padding mode."""
    if padding_mode == "border":
        return x.clamp(0, size - 1)
    if padding_mode == "reflection":
        x = _reflect(x, 0, 2 * (size - 1)) if align_corners else _reflect(x, -1, 2 * size - 1)
        return x.clamp(0, size - 1)
    return x


def _pick(flat, index, inside):
    """Read pixels: flat (N, C, pixels), index and inside (N, positions); outside gives zero."""
    n, c = flat.shape[:2]
    got = flat.gather(2, index.unsqueeze(1).expand(n, c, index.shape[1]))
    return got if inside is None else got * inside.to(flat.dtype).unsqueeze(1)


def _read(flat, cells, sizes):
    """Read pixels at integer coordinates (one (N, positions) tensor per dimension); outside is zero."""
    inside = None
    index = None
    for cell, size in zip(cells, sizes):
        ok = (cell >= 0) & (cell <= size - 1)
        inside = ok if inside is None else inside & ok
        safe = _t.where(ok, cell, 0.0).to(_t.int64)         # nan is outside, too: its weight makes it nan again
        index = safe if index is None else index * size + safe
    return _pick(flat, index, inside)


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Sample an image or volume at the places that a grid names.

    Args:
        input: (N, C, H, W) or (N, C, D, H, W).
        grid: (N, H', W', 2) or (N, D', H', W', 3): x, y(, z) between -1 and 1.
        mode: ``"bilinear"`` (trilinear for volumes), ``"nearest"`` or ``"bicubic"`` (images).
        padding_mode: ``"zeros"``, ``"border"`` or ``"reflection"`` for places outside.
        align_corners: whether -1 and 1 are the centres or the outer edges of the corner pixels.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'"
        )
    if align_corners is None:
        warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
            "Please specify align_corners=True if the old behavior is desired."
        )
        align_corners = False
    n = input.dim() - 2
    if n not in (2, 3) or grid.dim() != input.dim() or grid.shape[-1] != n or grid.shape[0] != input.shape[0]:
        raise TooFewDimsError(
            "grid_sampler(): expected 4D or 5D input and a grid with the same batch size whose last size is the number "
            f"of spatial dimensions, but got input {list(input.shape)} and grid {list(grid.shape)}",
            op="grid_sample",
        )
    if mode == "bicubic" and n != 2:
        raise TensorError("grid_sampler(): bicubic interpolation only supports 4D input", op="grid_sample")
    if n == 2:
        out = sample_planes(
            input, grid, bool(align_corners), padding_mode, mode,
            lambda x, places: _grid_sample(x, places, mode, padding_mode, align_corners),
        )
        if out is not None:
            return out
    return _grid_sample(input, grid, mode, padding_mode, align_corners)


def _grid_sample(input, grid, mode, padding_mode, align_corners):
    """`grid_sample` in recorded operators, for every mode, dtype and device."""
    n = input.dim() - 2
    sizes = tuple(input.shape[2:])
    batch, channels = input.shape[:2]
    flat = input.reshape(batch, channels, -1)
    shape = (batch, channels, *grid.shape[1:-1])
    at = []  # one (N, positions) tensor per dimension, depth or height first
    for d in range(n):
        x = grid.select(-1, n - 1 - d).reshape(batch, -1)
        size = sizes[d]
        x = (x + 1) * ((size - 1) / 2) if align_corners else ((x + 1) * size - 1) / 2
        at.append(x if mode == "bicubic" else _place(x, size, padding_mode, align_corners))

    if mode == "nearest":
        out = _read(flat, [x.detach().round() for x in at], sizes)
        if grid.requires_grad:  # its gradient is zero, not absent
            out = out + 0 * at[0].unsqueeze(1)
        return out.reshape(shape)
    low = [x.detach().floor() for x in at]
    share = [x - f for x, f in zip(at, low)]
    out = None
    if mode == "bilinear":
        for corner in range(2**n):
            bits = [(corner >> d) & 1 for d in range(n)]
            weight = None
            for d in range(n):
                w = share[d] if bits[d] else 1 - share[d]
                weight = w if weight is None else weight * w
            part = _read(flat, [f + b for f, b in zip(low, bits)], sizes) * weight.unsqueeze(1)
            out = part if out is None else out + part
        return out.reshape(shape)
    wy, wx = _cubic_weights(share[0]), _cubic_weights(share[1])
    for i in range(4):
        row = None
        for j in range(4):
            cells = [low[0] + (i - 1), low[1] + (j - 1)]
            cells = [_place(c, s, padding_mode, align_corners) for c, s in zip(cells, sizes)]
            part = _read(flat, cells, sizes) * wx[j].unsqueeze(1)
            row = part if row is None else row + part
        row = row * wy[i].unsqueeze(1)
        out = row if out is None else out + row
    return out.reshape(shape)


_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """Sample as ``grid_sample`` does, with numbers for the modes.

    Args:
        input, grid: as of ``grid_sample``.
        interpolation_mode: 0 bilinear, 1 nearest, 2 bicubic.
        padding_mode: 0 zeros, 1 border, 2 reflection.
        align_corners: whether -1 and 1 are the centres of the corner pixels.
    """
    for name, value, names in (("interpolation_mode", interpolation_mode, _MODES), ("padding_mode", padding_mode, _PADDINGS)):
        if value not in range(3):
            raise TensorError(f"grid_sampler(): {name} must be one of {dict(enumerate(names))}, got {value!r}", op="grid_sampler")
    return grid_sample(input, grid, _MODES[interpolation_mode], _PADDINGS[padding_mode], bool(align_corners))


def _of_rank(op, rank, input, *rest):
    if input.dim() != rank:
        raise TooFewDimsError(f"{op}(): expected {rank}D input, got shape {list(input.shape)}", op=op)
    return grid_sampler(input, *rest)


def grid_sampler_2d(input, grid, interpolation_mode, padding_mode, align_corners):
    """Sample images (N, C, H, W); see ``grid_sampler``."""
    return _of_rank("grid_sampler_2d", 4, input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(input, grid, interpolation_mode, padding_mode, align_corners):
    """Sample volumes (N, C, D, H, W); see ``grid_sampler``."""
    return _of_rank("grid_sampler_3d", 5, input, grid, interpolation_mode, padding_mode, align_corners)


# offered as torch.grid_sampler and its siblings: rustorch_py/__init__.py
globals().update(covered({fn.__name__: fn for fn in (grid_sampler, grid_sampler_2d, grid_sampler_3d)}))
