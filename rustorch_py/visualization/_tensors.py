"""Tensors as pictures: values, histograms, filters, attention maps, images."""
from __future__ import annotations

import math

from ._figure import COLORS, GREY, INK, drawn


def _array(tensor, what):
    """Return a tensor (or anything array-like) as a float64 or bool NumPy array; complex as magnitudes."""
    import numpy
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        if tensor.is_complex():
            tensor = tensor.abs()
        if tensor.is_floating_point():
            tensor = tensor.double()  # NumPy has no bfloat16
        tensor = tensor.numpy()
    array = numpy.asarray(tensor)
    if array.size == 0:
        raise ValueError(f"{what}: the tensor is empty, shape {tuple(array.shape)}")
    if array.dtype.kind == "c":
        array = abs(array)
    return array.astype(float)


def _statistics(array):
    import numpy
    finite = array[numpy.isfinite(array)]
    if not finite.size:
        return "no finite value"
    text = f"mean {finite.mean():.3g}   std {finite.std():.3g}   min {finite.min():.3g}   max {finite.max():.3g}"
    zeros, odd = float((finite == 0).mean()), array.size - finite.size
    return text + (f"   zeros {zeros:.1%}" if zeros else "") + (f"   nan/inf {odd}" if odd else "")


def _limits(array):
    """Colour limits: symmetric around 0 for values of both signs, so that 0 is always the neutral colour."""
    import numpy
    finite = array[numpy.isfinite(array)]
    if not finite.size:
        return 0.0, 1.0, "viridis"
    low, high = float(finite.min()), float(finite.max())
    if low < 0 < high:
        edge = max(-low, high)
        return -edge, edge, "RdBu_r"
    return low, high if high > low else low + 1, "viridis"


def _tiles(array, limit=64):
    """Lay the leading dimensions out as a grid of tiles (rows, columns), with nan lines between."""
    import numpy
    array = array.reshape(-1, *array.shape[-2:])[:limit]
    count, height, width = array.shape
    columns = math.ceil(math.sqrt(count * height / width)) or 1
    columns = min(count, max(1, columns))
    rows = math.ceil(count / columns)
    grid = numpy.full((rows * (height + 1) - 1, columns * (width + 1) - 1), numpy.nan)
    for index in range(count):
        r, c = divmod(index, columns)
        grid[r * (height + 1):r * (height + 1) + height, c * (width + 1):c * (width + 1) + width] = array[index]
    return grid


def _heat(figure, axis, array, labels=False):
    low, high, colours = _limits(array)
    from matplotlib import colormaps
    cmap = colormaps[colours].with_extremes(bad="white")
    image = axis.imshow(array, cmap=cmap, vmin=low, vmax=high, interpolation="nearest",
                        aspect="equal" if 0.2 < array.shape[0] / array.shape[1] < 5 else "auto")
    axis.grid(False)
    if not labels:
        axis.set_xticks([])
        axis.set_yticks([])
    bar = figure.colorbar(image, ax=axis, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _histogram(axis, array, color=COLORS[0], bins=None):
    import numpy
    finite = array[numpy.isfinite(array)].ravel()
    if not finite.size:
        axis.text(0.5, 0.5, "no finite value", transform=axis.transAxes, ha="center", color=GREY)
        return
    bins = bins or int(min(80, max(10, 2 * round(finite.size ** (1 / 3)))))
    axis.hist(finite, bins=bins, color=color, alpha=0.85, edgecolor="white", linewidth=0.3)
    if finite.min() < 0 < finite.max():
        axis.axvline(0, color=GREY, linewidth=0.8, linestyle=":")


@drawn
def visualize_tensor(tensor, title=None, *, figure=None):
    """Draw a tensor's values, with its histogram and statistics.

    A vector becomes a curve, a matrix a heat map, more dimensions a grid of their last two (the first 64).

    Args:
        tensor: of any dtype and device; complex values are drawn as magnitudes.
        title: above the picture; shape and dtype stand below it.
        path: file to write. show: open a window.

    Returns:
        Picture.

    Example:
        >>> visualize_tensor(model[0].weight, title="First layer", path="weight.png")
    """
    array = _array(tensor, "visualize_tensor")
    dtype = str(getattr(tensor, "dtype", array.dtype)).rpartition(".")[2]
    shape = "×".join(map(str, array.shape)) if array.ndim else "one number"
    figure.set_size_inches(9.2, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    if array.ndim <= 1:
        flat = array.reshape(-1)
        if flat.size <= 60:
            left.bar(range(flat.size), flat, color=COLORS[0])
        else:
            left.plot(flat, color=COLORS[0], linewidth=1.0)
        left.set_xlabel("index")
    elif array.ndim == 2:
        _heat(figure, left, array, labels=True)
    else:
        _heat(figure, left, _tiles(array))
        tiles = math.prod(array.shape[:-2])
        left.set_xlabel(f"{min(tiles, 64)} of {tiles} planes of {array.shape[-2]}×{array.shape[-1]}")
    left.set_title(f"{shape}  {dtype}", fontweight="normal", fontsize=9.5, color=GREY)
    _histogram(right, array)
    right.set_title("Distribution", fontweight="normal", fontsize=9.5, color=GREY)
    right.set_ylabel("values")
    figure.suptitle(title or "Tensor", x=0.02, ha="left", fontweight="bold", color=INK)
    figure.text(0.02, 0.885, _statistics(array), fontsize=8.5, color=GREY, ha="left")
    figure.tight_layout(rect=(0, 0, 1, 0.93))


@drawn
def plot_histogram(tensor, title=None, *, bins=None, figure=None):
    """Draw the distribution of a tensor's values.

    Args:
        tensor: of any shape and dtype.
        bins: number of bars; chosen by the number of values by default.
    """
    array = _array(tensor, "plot_histogram")
    figure.set_size_inches(6.0, 3.6)
    axis = figure.add_subplot()
    _histogram(axis, array, bins=bins)
    axis.set_title(title or "Distribution", pad=20)
    axis.text(0, 1.03, _statistics(array), transform=axis.transAxes, fontsize=8.5, color=GREY)
    axis.set_ylabel("values")
    figure.tight_layout()


def _grid_of_histograms(figure, named, color, title):
    from matplotlib import ticker
    columns = min(4, len(named))
    rows = math.ceil(len(named) / columns)
    figure.set_size_inches(3.1 * columns, 2.25 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel()[len(named):]:
        axis.set_visible(False)
    for axis, (name, array) in zip(axes.ravel(), named):
        _histogram(axis, array, color)
        axis.set_title(name if len(name) <= 32 else "…" + name[-31:], fontsize=9)
        axis.tick_params(labelsize=7.5)
        axis.xaxis.set_major_locator(ticker.MaxNLocator(5))
        axis.yaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
        axis.xaxis.get_offset_text().set_fontsize(7.5)
        finite = array[array == array]
        axis.set_xlabel(f"{'×'.join(map(str, array.shape)) or 'one number'}   std {finite.std() if finite.size else math.nan:.2g}",
                        fontsize=7.5, loc="left")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", color=INK)
    figure.tight_layout()


@drawn
def plot_weight_histograms(model, *, title="Weights", figure=None):
    """Draw the distribution of every parameter of a model, one panel each."""
    named = [(n, _array(p, "plot_weight_histograms")) for n, p in model.named_parameters() if p.numel()]
    if not named:
        raise ValueError("plot_weight_histograms: the model has no parameters")
    _grid_of_histograms(figure, named, COLORS[0], title)


@drawn
def plot_gradient_histograms(model, *, title="Gradients", figure=None):
    """Draw the distribution of every parameter's gradient, one panel each; call it after `backward`."""
    named = [(n, _array(p.grad, "plot_gradient_histograms")) for n, p in model.named_parameters() if p.grad is not None]
    if not named:
        raise ValueError("plot_gradient_histograms: no parameter has a gradient; call it between backward and zero_grad")
    _grid_of_histograms(figure, named, COLORS[1], title)


@drawn
def plot_filters(layer, *, title=None, limit=64, figure=None):
    """Draw a convolution's kernels as tiles, three input channels as colours.

    Args:
        layer: a convolution, or its weight (out, in, height, width).
        limit: most tiles drawn.
    """
    weight = _array(layer.weight if hasattr(layer, "weight") else layer, "plot_filters")
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
    if weight.ndim != 4:
        raise ValueError(f"plot_filters: expected a weight of 3 or 4 dimensions, got shape {tuple(weight.shape)}")
    axis = figure.add_subplot()
    if weight.shape[1] == 3:
        import numpy
        scaled = (weight - weight.min()) / (weight.max() - weight.min() or 1)
        planes = [_tiles(scaled[:, channel], limit) for channel in range(3)]
        image = numpy.nan_to_num(numpy.stack(planes, -1), nan=1.0)
        figure.set_size_inches(5.5, 5.5 * image.shape[0] / image.shape[1] + 0.6)
        axis.imshow(image, interpolation="nearest")
        axis.set_axis_off()
    else:
        grid = _tiles(weight, limit)
        figure.set_size_inches(6.0, min(9.0, max(2.0, 5.0 * grid.shape[0] / grid.shape[1])) + 0.6)
        _heat(figure, axis, grid)
    total = weight.shape[0] * (1 if weight.shape[1] == 3 else weight.shape[1])
    note = f"  ({min(limit, total)} of {total})" if total > limit else ""
    axis.set_title((title or f"Filters {'×'.join(map(str, weight.shape))}") + note)
    figure.tight_layout()


@drawn
def plot_attention(weights, tokens=None, *, key_tokens=None, title="Attention", figure=None):
    """Draw attention weights as heat maps, one a head.

    Args:
        weights: (queries, keys), (heads, queries, keys) or (1, heads, queries, keys).
        tokens: names of the queries, and of the keys too unless `key_tokens` is given.
    """
    array = _array(weights, "plot_attention")
    array = array.reshape(-1, *array.shape[-2:])
    heads = array.shape[0]
    columns = min(4, heads)
    rows = math.ceil(heads / columns)
    tokens = list(tokens) if tokens is not None else None
    key_tokens = list(key_tokens) if key_tokens is not None else tokens
    side = min(7.0, max(2.6, 0.28 * max(array.shape[1:]) + 1.2)) if columns == 1 else 2.9
    figure.set_size_inches(side * columns + 0.6, side * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False)
    image = None
    for index, axis in enumerate(axes.ravel()):
        if index >= heads:
            axis.set_visible(False)
            continue
        image = axis.imshow(array[index], cmap="viridis", vmin=0, vmax=array.max() or 1, interpolation="nearest")
        axis.grid(False)
        if heads > 1:
            axis.set_title(f"head {index}", fontsize=9)
        axis.tick_params(length=0)
        if tokens is not None and index % columns == 0:
            axis.set_yticks(range(len(tokens)), tokens, fontsize=7.5)
        elif tokens is not None:
            axis.set_yticks([])
        if key_tokens is not None:
            upright = all(len(str(token)) == 1 for token in key_tokens)
            axis.set_xticks(range(len(key_tokens)), key_tokens, rotation=0 if upright else 90, fontsize=7.5)
    figure.suptitle(title, x=0.02, ha="left", fontweight="bold", color=INK)
    figure.tight_layout()
    figure.colorbar(image, ax=list(axes.ravel()), fraction=0.03, pad=0.02).outline.set_visible(False)


@drawn
def plot_images(images, labels=None, predictions=None, *, title=None, limit=24, figure=None):
    """Draw images as a grid, captions green where the prediction is the label and red elsewhere.

    Args:
        images: (N, H, W), (N, 1, H, W) or (N, 3, H, W).
        labels, predictions: one an image, numbers or texts.
        limit: most images drawn.
    """
    array = _array(images, "plot_images")
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise ValueError(f"plot_images: expected (N, H, W) or (N, 1 or 3, H, W), got shape {tuple(array.shape)}")
    array = array[:limit]
    low, high = array.min(), array.max()
    columns = min(8, len(array))
    rows = math.ceil(len(array) / columns)
    caption = labels is not None or predictions is not None
    figure.set_size_inches(1.15 * columns, (1.4 if caption else 1.15) * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False)
    plain = [[v.item() if hasattr(v, "item") else v for v in values] if values is not None else None
             for values in (labels, predictions)]
    for index, axis in enumerate(axes.ravel()):
        axis.set_axis_off()
        if index >= len(array):
            continue
        picture = array[index].transpose(1, 2, 0)
        if picture.shape[-1] == 1:
            axis.imshow(picture[..., 0], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        else:
            axis.imshow((picture - low) / (high - low or 1), interpolation="nearest")
        label, prediction = (values[index] if values is not None else None for values in plain)
        if label is not None and prediction is not None:
            axis.set_title(f"{prediction}" if label == prediction else f"{prediction} (is {label})", fontsize=9,
                           loc="center", color=COLORS[2] if label == prediction else COLORS[1])
        elif caption:
            axis.set_title(f"{label if label is not None else prediction}", fontsize=9, loc="center")
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontweight="bold", color=INK)
    figure.tight_layout()
