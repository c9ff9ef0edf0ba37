"""One forward pass watched: which modules ran, on what shapes, and how their outputs flow.

Forward hooks tell when a module starts and ends; the graph of gradients between the ends tells what
feeds what, also through plain functions (an addition, a reshape) that belong to no module.
"""
from __future__ import annotations

import math
import re

from . import tensor as _t


class Step:
    """A box of the traced graph.

    Attributes:
        kind: 'input', 'module', 'op' or 'output'.
        label: class name of the module, or name of the operator.
        path: names from the root to the module, a tuple; an operator's is its container's path and its label.
        detail: the module's extra_repr.
        in_shape, out_shape: tuples, None where unknown.
        parameters: number of the module's own parameters. trainable: those that require gradients.
        reused: an earlier step ran the same module, so its parameters are not counted again.
        mult_adds: multiply-add operations, 0 where not of the counted kinds.
        inputs: earlier steps that feed this one.
    """

    def __init__(self, kind, label, path=(), module=None):
        self.kind, self.label, self.path, self.module = kind, label, path, module
        self.detail = module.extra_repr() if module is not None and hasattr(module, "extra_repr") else ""
        self.in_shape = self.out_shape = None
        self.parameters = self.trainable = self.mult_adds = 0
        self.out_nbytes = 0
        self.reused = False
        self.inputs = []
        self.repeats = 1
        self.frame = None

    @property
    def name(self):
        return ".".join(self.path)

    def __repr__(self):
        return f"Step({self.kind} {self.name or self.label} -> {self.out_shape})"


class Trace:
    """The steps of one forward pass in order of execution, and `calls`: every module call, containers too."""

    def __init__(self):
        self.steps = []
        self.calls = []


class _Call:
    def __init__(self, module, path, depth, time):
        self.module, self.path, self.depth, self.time = module, path, depth, time
        self.inputs, self.inner, self.end = [], 0, None
        self.in_shape = self.out_shape = None
        self.out_nbytes = 0
        self.step = None


def _tensors(value):
    """Yield the tensors inside nested lists, tuples and dicts."""
    if isinstance(value, _t.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)


def example_inputs(input_size, dtypes=None, device=None):
    """Return random tensors of the given sizes, made without touching the global generator.

    Args:
        input_size: a shape, or a list of shapes for several inputs.
        dtypes: one dtype or a list; integer inputs are zeros, which suit every embedding.
    """
    sizes = [input_size] if not input_size or isinstance(input_size[0], int) else list(input_size)
    if not isinstance(dtypes, (list, tuple)):
        dtypes = [dtypes] * len(sizes)
    if len(dtypes) != len(sizes):
        raise ValueError(f"{len(sizes)} input sizes but {len(dtypes)} dtypes")
    generator = _t.Generator()
    generator.manual_seed(0)
    made = []
    for size, dtype in zip(sizes, dtypes):
        dtype = dtype or _t.get_default_dtype()
        value = (_t.rand(tuple(size), generator=generator).to(dtype) if dtype.is_floating_point
                 else _t.zeros(tuple(size), dtype=dtype))
        made.append(value.to(device) if device is not None else value)
    return made


def guess_inputs(model):
    """Return example inputs that the model accepts, guessed from its first layer; None if none works."""
    first = next((m for m in model.modules() if not list(m.children()) and next(m.parameters(), None) is not None), None)
    if first is None:
        return None
    name, guesses = type(first).__name__, []
    if hasattr(first, "in_channels"):
        dims = getattr(first, "weight").ndim - 2
        guesses = [((1, first.in_channels, *[s] * dims), None) for s in (32, 28, 224, 64, 16, 8, 128, 256)]
    elif hasattr(first, "in_features"):
        guesses = [((1, first.in_features), None), ((1, 8, first.in_features), None)]
        root = math.isqrt(first.in_features)
        if root * root == first.in_features:
            guesses.append(((1, 1, root, root), None))
    elif hasattr(first, "num_embeddings"):
        guesses = [((1, 8), _t.int64), ((1,), _t.int64)]
    elif hasattr(first, "input_size"):
        guesses = [((1, 8, first.input_size), None), ((1, first.input_size), None)]
    elif name.startswith("BatchNorm") or name.startswith("InstanceNorm"):
        guesses = [((1, first.num_features, *[8] * dims), None) for dims in (0, 1, 2, 3)]
    elif hasattr(first, "normalized_shape"):
        guesses = [((1, *first.normalized_shape), None), ((1, 8, *first.normalized_shape), None)]
    device = next(first.parameters()).device
    for size, dtype in guesses:
        inputs = example_inputs(size, dtype, device)
        try:
            trace(model, inputs)
        except (RuntimeError, ValueError, TypeError, IndexError):
            continue  # not this size; the caller reports if no guess fits
        return inputs
    return None


def trace(model, inputs):
    """Run `model(*inputs)` once in evaluation mode and return its `Trace`.

    The model's mode, buffers and gradients and the global random state stay as they were.
    """
    names = {}
    for name, module in model.named_modules():
        names.setdefault(id(module), tuple(name.split(".")) if name else ())
    result = Trace()
    clock = _Clock()
    made_by = {}     # gradient node -> [(time, step)], the latest last; also by id() of tensors without one
    keep = []        # tensors and nodes whose ids are in use
    owner = {}       # gradient node -> path of the innermost container that made it
    stack = []

    def note(tensor, step):
        node = tensor.grad_fn
        made_by.setdefault(node if node is not None else ("tensor", id(tensor)), []).append((clock.now(), step))
        keep.append(tensor)

    def before(module, args, kwargs=None):
        call = _Call(module, names.get(id(module), ()), len(stack), clock.tick())
        if stack:
            stack[-1].inner += 1
        given = list(_tensors(args)) + list(_tensors(kwargs or {}))
        call.inputs = [(t.grad_fn, t) for t in given]
        call.in_shape = tuple(given[0].shape) if given else None
        stack.append(call)
        result.calls.append(call)

    def after(module, args, output):
        call = stack.pop()
        call.end = clock.tick()
        outputs = list(_tensors(output))
        if outputs:
            call.out_shape = tuple(outputs[0].shape)
            call.out_nbytes = sum(o.numel() * o.element_size() for o in outputs)
        if call.inner == 0 and stack:
            call.step = step = Step("module", type(module).__name__, call.path, module)
            step.in_shape, step.out_shape, step.out_nbytes = call.in_shape, call.out_shape, call.out_nbytes
            step.mult_adds = mult_adds(module, call.in_shape, call.out_shape)
            step.call = call
            result.steps.append(step)
            for out in outputs:
                note(out, step)
        else:
            _own(outputs, [node for node, _ in call.inputs], call.path, owner)

    flags = [(module, module.training) for module in model.modules()]
    handles = []
    try:
        model.eval()
        for module in dict.fromkeys(model.modules()):
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after))
        with _t.enable_grad():
            given = []
            for index, value in enumerate(inputs):
                if value.is_floating_point():
                    # A clone, so that the input has a node of its own to be recognised by.
                    value = value.detach().requires_grad_(True).clone()
                step = Step("input", "input" if len(inputs) == 1 else f"input {index + 1}")
                step.out_shape = tuple(value.shape)
                step.out_nbytes = value.numel() * value.element_size()
                result.steps.append(step)
                note(value, step)
                given.append(value)
            outputs = list(_tensors(model(*given)))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in flags:
            module.training = training

    if len(result.calls) == 1 and outputs:  # the model itself is a single layer
        step = Step("module", type(model).__name__, (), model)
        step.in_shape, step.out_shape = result.calls[0].in_shape, result.calls[0].out_shape
        step.out_nbytes = result.calls[0].out_nbytes
        step.mult_adds = mult_adds(model, step.in_shape, step.out_shape)
        step.call = result.calls[0]
        step.call.step = step
        for out in outputs:
            note(out, step)
        result.steps.append(step)

    links = _Links(made_by, owner, result.steps)
    for step in [s for s in result.steps if s.kind == "module"]:
        for node, tensor in step.call.inputs:
            links.connect(step, node, tensor, step.call.time)
    for index, tensor in enumerate(outputs):
        step = Step("output", "output" if len(outputs) == 1 else f"output {index + 1}")
        step.out_shape = tuple(tensor.shape)
        links.connect(step, tensor.grad_fn, tensor, clock.tick())
        result.steps.append(step)
    _count_parameters(model, result)
    result.steps = _topological(result.steps)
    return result


class _Clock:
    def __init__(self):
        self.time = 0

    def tick(self):
        self.time += 1
        return self.time

    def now(self):
        return self.time


def _own(outputs, borders, path, owner):
    """Give the gradient nodes between a container's inputs and outputs to it, unless an inner one has them."""
    borders = set(node for node in borders if node is not None)
    todo = [out.grad_fn for out in outputs if out.grad_fn is not None]
    seen = set()
    while todo:
        node = todo.pop()
        if node in seen or node in borders:
            continue
        seen.add(node)
        owner.setdefault(node, path)
        todo.extend(_sources(node))


class _Links:
    """Finds the steps that feed a tensor, making operator steps for gradient nodes outside modules."""

    def __init__(self, made_by, owner, steps):
        self.made_by, self.owner, self.steps = made_by, owner, steps
        self.ops = {}

    def latest(self, key, before):
        """The last step that produced `key` before that time: an Identity hands on its input's node."""
        found = None
        for time, step in self.made_by.get(key, ()):
            if time < before:
                found = step
        return found

    def connect(self, step, node, tensor, time):
        source = self.latest(("tensor", id(tensor)), time) if node is None else self.find(node, time)
        if source is None or source is step:
            return
        if source.out_shape is None:
            source.out_shape = tuple(tensor.shape)
        if source not in step.inputs:
            step.inputs.append(source)

    def find(self, start, time):
        """The step for a gradient node; iterative, as plain-function stretches can be long."""
        known = self.latest(start, time)
        if known is not None:
            return known
        order, todo, seen = [], [start], set()
        while todo:
            node = todo.pop()
            if node in seen or node in self.ops or self.latest(node, time) is not None:
                continue
            seen.add(node)
            order.append(node)
            todo.extend(_sources(node))
        waiting = set(order)
        # Sources first: a node is made once all its own sources are.
        while waiting:
            progress = False
            for node in reversed(order):
                if node not in waiting:
                    continue
                sources = _sources(node)
                if any(s in waiting for s in sources):
                    continue
                waiting.discard(node)
                progress = True
                self.ops[node] = self.make(node, [self.latest(s, time) or self.ops.get(s) for s in sources])
            if not progress:
                break
        return self.ops.get(start)

    def make(self, node, sources):
        """An operator's step; None for what depends on parameters or constants alone."""
        sources = list(dict.fromkeys(s for s in sources if s is not None))
        if not sources:
            return None
        label = op_label(node)
        if label in ("clone", "contiguous", "copy", "detach", "alias", "to_copy"):
            return sources[0]
        step = Step("op", label, self.owner.get(node, ()) + (label,))
        step.out_shape = _node_shape(node)
        if step.out_shape is None and label in ("add", "sub", "mul", "div", "relu", "gelu", "sigmoid", "tanh", "silu"):
            shapes = [s.out_shape for s in sources if s.out_shape is not None]
            step.out_shape = max(shapes, key=lambda s: (len(s), s)) if shapes else None
        step.inputs = sources
        self.steps.append(step)
        return step


def _sources(node):
    """Return the gradient nodes that feed a node; leaves, which have no history, are left out."""
    return [edge[0] for edge in node.next_functions if edge[0] is not None and not hasattr(edge[0], "variable")]


def _node_shape(node):
    metadata = getattr(node, "_input_metadata", None)
    return tuple(metadata[0].shape) if metadata else None


_OP_NAMES = {"unsafe_view": "reshape", "reshape_alias": "reshape", "view": "reshape", "t": "transpose",
             "max_pool_with_indices": "max_pool", "safe_softmax": "softmax"}


def op_label(node):
    """Return the operator's name from a gradient node's: 'AddBackward0' is 'add'."""
    name = node.name() if callable(getattr(node, "name", None)) else type(node).__name__
    name = re.sub(r"Backward\d*$", "", name)
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    return _OP_NAMES.get(name, name)


def _count_parameters(model, result):
    counted = set()
    for step in result.steps:
        if step.kind != "module":
            continue
        own = {id(p): p for p in step.module.parameters()}
        step.reused = bool(own) and all(key in counted for key in own)
        step.parameters = sum(p.numel() for p in own.values())
        step.trainable = sum(p.numel() for p in own.values() if p.requires_grad)
        counted.update(own)


def _topological(steps):
    """Order steps so that sources come first, staying near the order of execution."""
    placed, order = set(), []
    for root in steps:
        if root.kind == "output":
            continue
        _place(root, placed, order)
    for root in steps:
        _place(root, placed, order)
    return order


def _place(root, placed, order):
    todo = [(root, False)]
    while todo:
        step, ready = todo.pop()
        if id(step) in placed:
            continue
        if ready:
            placed.add(id(step))
            order.append(step)
            continue
        todo.append((step, True))
        todo.extend((source, False) for source in reversed(step.inputs) if id(source) not in placed)


def mult_adds(module, in_shape, out_shape):
    """Return the multiply-adds of a layer's forward pass; 0 for layers without a matrix product.

    Counted: linear, bilinear, convolutions, transposed convolutions, LSTM/GRU/RNN, multi-head attention.
    """
    if in_shape is None or out_shape is None:
        return 0
    name, out = type(module).__name__, math.prod(out_shape)
    if hasattr(module, "in1_features"):
        return out * module.in1_features * module.in2_features
    if hasattr(module, "kernel_size") and hasattr(module, "in_channels"):
        weight = module.weight
        taps = math.prod(weight.shape[2:])
        if getattr(module, "transposed", False) or "Transpose" in name:
            return math.prod(in_shape) * taps * weight.shape[1]
        return out * taps * weight.shape[1]
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        return out * module.in_features
    if hasattr(module, "hidden_size") and hasattr(module, "num_layers"):
        # One multiply-add for each weight at each position of each sequence.
        positions = math.prod(in_shape) // in_shape[-1]
        return positions * sum(p.numel() for n, p in module.named_parameters() if n.startswith("weight"))
    if hasattr(module, "embed_dim") and hasattr(module, "num_heads"):
        batch_first = getattr(module, "batch_first", False)
        length = in_shape[0] if len(in_shape) == 2 else in_shape[1 if batch_first else 0]
        positions = math.prod(in_shape) // in_shape[-1]
        return positions * (4 * module.embed_dim ** 2 + 2 * length * module.embed_dim)
    return 0
