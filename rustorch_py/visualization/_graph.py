"""The model graph: a box for each layer that a forward pass visits, lines for what feeds what."""
from __future__ import annotations

from ._figure import GREY, INK, drawn

# Fill and edge of a box by kind of layer; the kind is looked for in the class or operator name.
_KINDS = (
    (("input", "output"), "#f3f4f6", "#9ca3af"),
    (("conv",), "#dbeafe", "#3b82f6"),
    (("linear", "addmm", "matmul", "bmm", "mm", "bilinear"), "#dcfce7", "#22a35a"),
    (("norm",), "#f1f5f9", "#94a3b8"),
    (("pool", "upsample", "unfold", "mean"), "#ede9fe", "#8b5cf6"),
    (("dropout",), "#fafafa", "#cbd5e1"),
    (("lstm", "gru", "rnn"), "#fef9c3", "#ca8a04"),
    (("attention", "transformer"), "#fce7f3", "#db2777"),
    (("embedding",), "#e0f2fe", "#0284c7"),
    (("relu", "elu", "gelu", "silu", "mish", "sigmoid", "tanh", "softmax", "swish", "softplus", "shrink"),
     "#ffedd5", "#f08c2e"),
)
_BOX_W, _BOX_H = 2.9, 0.50   # inches
_ROW, _COLUMN = 0.78, 3.5
_TALL = 14                   # rows beyond which a graph is cut into strips


@drawn
def plot_model_graph(model, example_input=None, *, input_size=None, title=None, collapse=True, figure=None):
    """Draw a model as a graph traced from one forward pass.

    Each box tells the layer, its settings, the shape that it gives and its number of parameters.
    Residual links and branches are drawn as they run; neighbours of equal structure and shape are
    drawn once in a frame with their number.

    Args:
        model: a Module; it stays as it was.
        example_input: a tensor, or a list of tensors for several inputs.
        input_size: a shape (or a list) instead. With neither, a shape is guessed from the first layer.
        title: the class name by default.
        collapse: draw repeated blocks once.
        path: file to write. show: open a window.

    Returns:
        Picture.

    Example:
        >>> plot_model_graph(model, rustorch_py.zeros(1, 1, 28, 28), path="graph.png")
    """
    from .. import _trace
    if example_input is not None:
        inputs = list(example_input) if isinstance(example_input, (list, tuple)) else [example_input]
    elif input_size is not None:
        parameter = next(model.parameters(), None)
        inputs = _trace.example_inputs(input_size, device=parameter.device if parameter is not None else None)
    else:
        inputs = _trace.guess_inputs(model)
        if inputs is None:
            raise ValueError(f"plot_model_graph: no input shape could be guessed for {type(model).__name__}; "
                             "give example_input or input_size")
    steps = _trace.trace(model, inputs).steps
    frames = []
    if collapse:
        steps, frames = _collapse(steps)
    place = _layout(steps)
    _draw(figure, steps, place, frames, title or type(model).__name__, model)


def _signature(unit, base):
    """What makes two blocks equal: layers, settings, shapes and inner wiring, without names above the block."""
    index = {id(step): i for i, step in enumerate(unit)}
    return tuple((step.kind, step.label, step.path[base:], step.detail, step.out_shape, step.parameters, step.frame,
                  tuple(index.get(id(s), "outside") for s in step.inputs)) for step in unit)


def _collapse(steps):
    """Keep the first of each run of equal neighbouring blocks; return (steps, frames).

    A frame is (steps of the block, how often). Outer blocks are collapsed before inner ones.
    """
    frames = []
    longest = max((len(s.path) for s in steps), default=0)
    for base in range(1, longest + 1):
        parents = dict.fromkeys(s.path[:base - 1] for s in steps if len(s.path) >= base)
        for parent in parents:
            units, order = {}, []
            for step in steps:
                if len(step.path) >= base and step.path[:base - 1] == parent:
                    key = step.path[base - 1]
                    # Only numbered children (Sequential, ModuleList) are neighbours in a row.
                    if key.isdigit() and step.kind != "op" or (key.isdigit() and len(step.path) > base):
                        units.setdefault(key, []).append(step)
                        if key not in order:
                            order.append(key)
            start = 0
            while start < len(order):
                end = start + 1
                first = units[order[start]]
                wanted = _signature(first, base)
                while end < len(order) and _signature(units[order[end]], base) == wanted \
                        and _feeds_only(units[order[end - 1]], units[order[end]], steps):
                    end += 1
                count = end - start
                if count >= (2 if len(first) > 1 else 3):
                    gone = [step for key in order[start + 1:end] for step in units[key]]
                    _replace(steps, gone, units[order[end - 1]], first)
                    dead = set(map(id, gone))
                    steps = [s for s in steps if id(s) not in dead]
                    frames = [([s for s in members if id(s) not in dead], n) for members, n in frames]
                    for step in first:
                        step.frame = (step.frame, count)
                    frames.append((first, count))
                start = end
    return steps, frames


def _feeds_only(before, after, steps):
    """Whether a block's outside inputs all come from the block before it, and nothing else uses that block."""
    inside, previous = set(map(id, after)), set(map(id, before))
    if not all(id(source) in inside or id(source) in previous for step in after for source in step.inputs):
        return False
    return not any(id(source) in previous for step in steps if id(step) not in inside and id(step) not in previous
                   for source in step.inputs)


def _replace(steps, gone, last, first):
    """Let what the last block fed be fed by the same steps of the first."""
    twin = {id(old): new for old, new in zip(last, first)}
    dead = set(map(id, gone))
    for step in steps:
        if id(step) not in dead:
            step.inputs = list(dict.fromkeys(twin.get(id(s), s) for s in step.inputs))


def _layout(steps):
    """Return {id(step): (column, row)}: rows by longest path, a step below its first input if that is free."""
    rows, place, used = {}, {}, set()
    for step in steps:
        row = max((rows[id(s)] + 1 for s in step.inputs if id(s) in rows), default=0)
        rows[id(step)] = row
        # The main line is the input with the longest history; it keeps its column.
        main = max((s for s in step.inputs if id(s) in rows), key=lambda s: rows[id(s)], default=None)
        column = place[id(main)][0] if main is not None else 0
        while (column, row) in used:
            column += 1
        used.add((column, row))
        place[id(step)] = (column, row)
    return place


def _strips(steps, place, frames):
    """Return the rows at which a tall graph is cut into strips side by side; [0] if it is not cut.

    A cut lies where a single link between neighbouring boxes of the main line crosses it, and no frame.
    """
    rows = 1 + max(row for _, row in place.values())
    if rows <= _TALL:
        return [0]
    crossing = [[] for _ in range(rows + 1)]
    for step in steps:
        for source in step.inputs:
            (c0, r0), (c1, r1) = place[id(source)], place[id(step)]
            for row in range(r0 + 1, r1 + 1):
                crossing[row].append((c0, c1, r1 - r0))
    clean = {row for row in range(1, rows) if crossing[row] == [(0, 0, 1)]}
    for members, _ in frames:
        inside = [place[id(step)][1] for step in members]
        clean -= set(range(min(inside) + 1, max(inside) + 1))
    count = min(4, -(-rows // _TALL))
    starts = [0]
    for k in range(1, count):
        wanted = round(k * rows / count)
        near = [row for row in clean if abs(row - wanted) <= rows / count / 3 and row > starts[-1]]
        if near:
            starts.append(min(near, key=lambda row: abs(row - wanted)))
    return starts


def _colors(step):
    name = step.label.lower()
    for words, fill, edge in _KINDS:
        if any(word in name for word in words):
            return fill, edge
    return "#ffffff", "#9ca3af"


def _shape(shape):
    return "×".join(map(str, shape)) if shape else ("" if shape is None else "one number")


def _detail(step):
    """The settings that tell most, short: '32→64, 3×3, stride 2'."""
    module = step.module
    if module is None:
        return ""

    def size(value):
        values = list(value) if isinstance(value, (tuple, list)) else [value]
        return "×".join(map(str, values)) if len(values) > 1 else str(values[0])

    parts = []
    if hasattr(module, "in_channels"):
        parts.append(f"{module.in_channels}→{module.out_channels}")
    elif hasattr(module, "in_features"):
        parts.append(f"{module.in_features}→{module.out_features}")
    elif hasattr(module, "num_embeddings"):
        parts.append(f"{module.num_embeddings}→{module.embedding_dim}")
    elif hasattr(module, "hidden_size"):
        parts.append(f"{module.input_size}→{module.hidden_size}")
        if getattr(module, "num_layers", 1) != 1:
            parts.append(f"{module.num_layers} layers")
        if getattr(module, "bidirectional", False):
            parts.append("both ways")
    elif hasattr(module, "num_heads"):
        parts.append(f"{module.num_heads} heads")
    if getattr(module, "kernel_size", None) is not None:
        parts.append(size(module.kernel_size))
        stride = getattr(module, "stride", 1)
        flat = set(stride) if isinstance(stride, (tuple, list)) else {stride}
        if flat - {1} and stride != module.kernel_size:
            parts.append(f"stride {size(sorted(flat)) if len(flat) > 1 else flat.pop()}")
        if getattr(module, "groups", 1) != 1:
            parts.append(f"{module.groups} groups")
    if hasattr(module, "p") and isinstance(module.p, float):
        parts.append(f"p {module.p:g}")
    return ", ".join(parts)


def _width(step):
    """Operators get narrower boxes than layers."""
    return _BOX_W * (0.72 if step.kind == "op" else 1)


def _count(n):
    return f"{n:,}" if n < 10000 else f"{n / 1000:.1f} k" if n < 1e6 else f"{n / 1e6:.2f} M"


def _draw(figure, steps, place, frames, title, model):
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path
    columns = 1 + max(column for column, _ in place.values())
    starts = _strips(steps, place, frames)
    rows = max(end - start for start, end in zip(starts, [*starts[1:], 1 + max(row for _, row in place.values())]))
    between = columns * _COLUMN + (0.9 if frames else 0.3)  # from one strip to the next

    def strip(step):
        return sum(start <= place[id(step)][1] for start in starts) - 1

    def centre(step):
        column, row = place[id(step)]
        return column * _COLUMN + strip(step) * between, -(row - starts[strip(step)]) * _ROW

    taken = {cell: True for cell in place.values()}
    skips, straight = [], []
    for step in steps:
        for source in step.inputs:
            (c0, r0), (c1, r1) = place[id(source)], place[id(step)]
            blocked = c0 == c1 and any(taken.get((c0, r)) for r in range(r0 + 1, r1))
            (skips if blocked else straight).append((source, step))
    # Links past other boxes run in lanes at the left; short ones nearest to the boxes.
    lanes, widest = [], 0
    skips.sort(key=lambda e: place[id(e[1])][1] - place[id(e[0])][1])
    for source, step in skips:
        low, high = place[id(source)][1], place[id(step)][1]
        column = place[id(source)][0]
        lane = 0
        while any(k == lane and c == column and not (high <= a or low >= b) for k, c, a, b in lanes):
            lane += 1
        lanes.append((lane, column, low, high))
        widest = max(widest, lane + 1)
        x0, y0 = centre(source)
        x1, y1 = centre(step)
        x = x0 - _BOX_W / 2 - 0.30 - 0.22 * lane
        top, bottom, curve = y0 - 0.06, y1 + 0.06, 0.16
        path = Path([(x0 - _width(source) / 2, top), (x + curve, top), (x, top), (x, top - curve), (x, bottom + curve),
                     (x, bottom), (x + curve, bottom), (x1 - _width(step) / 2, bottom)],
                    [Path.MOVETO, Path.LINETO, Path.CURVE3, Path.CURVE3, Path.LINETO, Path.CURVE3, Path.CURVE3, Path.LINETO])
        straight.append(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=9, color="#db2777",
                                        linewidth=1.4, shrinkA=0, shrinkB=0, zorder=1.5))

    left = -_BOX_W / 2 - 0.45 - 0.22 * widest - (0.25 if frames else 0)
    right = (columns - 1) * _COLUMN + (len(starts) - 1) * between + _BOX_W / 2 + 0.35 + (0.35 if frames else 0)
    bottom, top = -(rows - 1) * _ROW - _BOX_H / 2 - 0.2, _BOX_H / 2 + 0.75
    figure.set_size_inches(right - left, top - bottom)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)
    axis.set_axis_off()

    for index, (members, count) in enumerate(frames):
        xs, ys = zip(*(centre(step) for step in members))
        ids = set(map(id, members))
        inner_lanes = [lane for (lane, *_), (_, step) in zip(lanes, skips) if id(step) in ids]
        # Frames inside this one come later in the list; each makes this one a little wider.
        around = 0.06 * sum(set(map(id, inner)) <= ids for inner, _ in frames[index + 1:])
        pad = 0.16 + 3 * around
        room = 0.36 + 0.22 * (max(inner_lanes) + 1) if inner_lanes else pad
        x0, x1 = min(xs) - _BOX_W / 2 - room, max(xs) + _BOX_W / 2 + pad
        y0, y1 = min(ys) - _BOX_H / 2 - 0.08 - around, max(ys) + _BOX_H / 2 + 0.12 + around
        axis.add_patch(FancyBboxPatch((x0, y0), x1 - x0, y1 - y0, boxstyle="round,pad=0,rounding_size=0.12",
                                      facecolor="#f8fafc", edgecolor="#64748b", linestyle=(0, (4, 3)), linewidth=1.1,
                                      zorder=0.5 + 0.01 * index))
        # On the right border, one above the other where frames are nested.
        axis.text(x1 + 0.1, y0 + (0.72 if around else 0.28) * (y1 - y0), f"× {count}", ha="center", va="center", fontsize=11,
                  fontweight="bold", color="#334155", zorder=4,
                  bbox={"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": "#64748b", "linewidth": 0.8})

    for item in straight:
        if isinstance(item, FancyArrowPatch):
            axis.add_patch(item)
            continue
        source, step = item
        (x0, y0), (x1, y1) = centre(source), centre(step)
        y0, y1 = y0 - _BOX_H / 2, y1 + _BOX_H / 2
        gap = (_ROW - _BOX_H) / 2
        if strip(source) != strip(step):
            # Down, then up between the strips to the top of the next.
            turn = x1 - _BOX_W / 2 - (between - (columns - 1) * _COLUMN - _BOX_W) / 2
            path = Path([(x0, y0), (x0, y0 - gap), (turn, y0 - gap), (turn, y1 + gap), (x1, y1 + gap), (x1, y1)])
            axis.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=9, color="#64748b", linewidth=1.2,
                                           shrinkA=0, shrinkB=0, zorder=1, joinstyle="round"))
        elif x0 == x1:
            axis.add_patch(FancyArrowPatch((x0, y0), (x1, y1), arrowstyle="-|>", mutation_scale=9, color="#64748b",
                                           linewidth=1.2, shrinkA=0, shrinkB=0, zorder=1))
        else:
            # Sideways: leave the gap below the source, or enter in the gap above the target.
            across = y0 - gap if x1 > x0 else y1 + gap
            path = Path([(x0, y0), (x0, across), (x1, across), (x1, y1)])
            axis.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=9, color="#64748b",
                                           linewidth=1.2, zorder=1, joinstyle="round"))

    for step in steps:
        x, y = centre(step)
        fill, edge = _colors(step)
        small, width = step.kind == "op", _width(step)
        axis.add_patch(FancyBboxPatch((x - width / 2, y - _BOX_H / 2), width, _BOX_H,
                                      boxstyle=f"round,pad=0,rounding_size={0.22 if small else 0.08}",
                                      facecolor=fill, edgecolor=edge, linewidth=1.2, zorder=2,
                                      linestyle=(0, (3, 2)) if step.reused else "solid"))
        detail, shape = _detail(step), _shape(step.out_shape)
        count = "shared" if step.reused else f"{_count(step.parameters)} param." if step.parameters else ""
        label = step.label if step.kind != "input" and step.kind != "output" else step.label.capitalize()
        second = "   ".join(part for part in (shape, count) if part)
        axis.text(x, y + (0.105 if second else 0), label, ha="center", va="center", fontsize=9.5, zorder=3, color=INK,
                  fontweight="normal" if small else "bold") if not detail else _two(axis, x, y + 0.105, label, detail)
        if second:
            axis.text(x, y - 0.115, second, ha="center", va="center", fontsize=8, color=GREY, zorder=3)
        if step.kind == "module" and step.path:
            # Above the box, where no long label of the box can meet it.
            axis.text(x + width / 2 - 0.04, y + _BOX_H / 2 + 0.012, step.path[-1], ha="right", va="bottom", fontsize=6,
                      color=GREY, zorder=3)

    total = sum(p.numel() for p in dict.fromkeys(model.parameters()))
    axis.text(-_BOX_W / 2, top - 0.08, title, ha="left", va="top", fontsize=13, fontweight="bold", color=INK)
    axis.text(-_BOX_W / 2, top - 0.36, f"{total:,} parameters", ha="left", va="top", fontsize=9, color=GREY)


def _two(axis, x, y, label, detail):
    """Write a bold label and its details after it, the pair centred."""
    from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea
    pair = HPacker(children=[TextArea(label, textprops={"fontsize": 9.5, "fontweight": "bold", "color": INK}),
                             TextArea(detail, textprops={"fontsize": 8.5, "color": INK})], pad=0, sep=6, align="baseline")
    box = AnnotationBbox(pair, (x, y), frameon=False, pad=0, box_alignment=(0.5, 0.5))
    box.set_zorder(3)
    axis.add_artist(box)
