"""A model cut into the stages of a pipeline.

Note [Cutting a model]
`pipeline` runs the model once on example inputs. Modules in which no cut lies are called whole; what the modules around them compute is recorded as
a list of steps, by tensors of a subclass that asks for every call made with them. A stage is a stretch of that list with the modules and parameters
it uses, under their names in the model. It takes and returns the values that later steps read, also those that only pass through. As with a traced
program, sizes and branches of the recorded part are those of the example.
"""
from __future__ import annotations

import contextlib
import enum
from collections import Counter, OrderedDict
from typing import NamedTuple

from ... import tensor as _t
from ...errors import DistError, TensorTypeError, TensorValueError
from ...nn.modules.container import Sequential
from ...nn.modules.module import Module
from ...overrides import DisableTorchFunctionSubclass
from ...utils._pytree import tree_flatten, tree_leaves, tree_unflatten
from .stage import build_stage

__all__ = ["Pipe", "SplitPoint", "pipe_split", "pipeline", "split_sequential"]


class SplitPoint(enum.Enum):
    """Where a model is cut: before or after a submodule."""
    BEGINNING = 1
    END = 2


_watching = []          # what listens to pipe_split() while `pipeline` runs a model


def pipe_split():
    """Mark the boundary between two stages in a forward function; does nothing except while `pipeline` looks at the model."""
    if _watching:
        _watching[-1].split()


class _Value(NamedTuple):
    """A tensor that a step or the caller brings."""
    number: int


class _Named(NamedTuple):
    """A parameter or buffer of the model."""
    name: str


class _Step(NamedTuple):
    """A call: of a module by name, or of a function. Arguments are leaves of a tree, results' tensors get numbers."""
    target: object
    leaves: list
    shape: object
    results: list            # number for each leaf of the result, None for what is no tensor


class _Traced(_t.Tensor):
    """A tensor whose uses are recorded."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return _watching[-1].function(func, args, kwargs or {})


# What takes a tensor's values out of the program: the recorded steps could not follow.
_READS = {"item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "__complex__", "__array__", "__contains__"}


class _Names:
    """First run: find the modules in which pipe_split is called."""

    def __init__(self):
        self.stack, self.entered = [], set()

    def split(self):
        self.entered.update(self.stack)


class _Recorder:
    """Second run: record the steps."""

    def __init__(self, module):
        self.names = {id(t): name for kind in (module.named_parameters(), module.named_buffers()) for name, t in kind}
        self.steps, self.cuts, self.numbers = [], [], 0
        self.inside = False                  # of a module that is called whole

    def split(self):
        self.cuts.append(len(self.steps))

    def wrap(self, tensor, place=None):
        """Return a tensor whose uses are recorded; place is a parameter's `_Named`, else it gets a number."""
        traced = tensor.as_subclass(_Traced)
        if place is None:
            place = _Value(self.numbers)
            self.numbers += 1
        traced._place = place
        return traced

    @contextlib.contextmanager
    def own_tensors(self, module, entered):
        """Let the modules with cuts hold traced parameters and buffers meanwhile."""
        held = [(store, key, value) for name, part in module.named_modules() if name in entered
                for store in (part._parameters, part._buffers) for key, value in store.items() if value is not None]
        try:
            for store, key, value in held:
                store[key] = self.wrap(value, _Named(self.names[id(value)]))
            yield
        finally:
            for store, key, value in held:
                store[key] = value

    def leaf(self, value):
        if isinstance(value, _Traced):
            return value._place
        if not isinstance(value, _t.Tensor):
            return value
        name = self.names.get(id(value))
        if name is not None:
            return _Named(name)
        if value.requires_grad:
            raise DistError("pipeline: a tensor with gradients was computed from parameters alone, outside of the modules called whole; move that into a submodule",
                            op="pipeline")
        return value

    def record(self, target, args, kwargs, call):
        """Make a call with plain tensors and record it; returns its result traced."""
        leaves, shape = tree_flatten((args, kwargs))
        described = [self.leaf(value) for value in leaves]
        traced = [value for value in leaves if isinstance(value, _Traced)]
        with DisableTorchFunctionSubclass():
            plain_args, plain_kwargs = tree_unflatten([v.as_subclass(_t.Tensor) if isinstance(v, _Traced) else v for v in leaves], shape)
            result = call(*plain_args, **plain_kwargs)
            found, result_shape = tree_flatten(result)
            wrapped = [self.wrap(v) if isinstance(v, _t.Tensor) else v for v in found]
        numbers = [v._place.number if isinstance(v, _Traced) else None for v in wrapped]
        name = getattr(target, "__name__", "") if not isinstance(target, str) else target
        if traced and (any(n is not None for n in numbers) or name == "__setitem__"):
            self.steps.append(_Step(target, described, shape, numbers))
            return tree_unflatten(wrapped, result_shape)
        return result

    def function(self, func, args, kwargs):
        name = getattr(func, "__name__", str(func))
        if name in _READS:
            raise DistError(f"pipeline: {name}: the part of forward that is cut depends on a tensor's values; only what a submodule called whole does may",
                            op="pipeline")
        return self.record(func, args, kwargs, func)


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextlib.contextmanager
def _forwards(module, make):
    """Replace forward of all submodules by ``make(name, module)`` (None: leave it); their hooks rest meanwhile."""
    changed = []
    try:
        for name, part in module.named_modules():
            forward = make(name, part)
            if forward is not None:
                changed.append((part, {key: part.__dict__.get(key) for key in ("forward", *_HOOKS)}))
                for key in _HOOKS:
                    part.__dict__[key] = OrderedDict()
                part.__dict__["forward"] = forward
        yield
    finally:
        for part, before in changed:
            for key, value in before.items():
                if value is None:
                    part.__dict__.pop(key, None)
                else:
                    part.__dict__[key] = value


def _entered(module, spec, args, kwargs):
    """Return the names of the modules in which a cut lies."""
    watch = _Names()
    for name in spec:
        parts = name.split(".")
        watch.entered.update(".".join(parts[:i]) for i in range(len(parts)))

    def make(name, part):
        inner = part.forward

        def forward(*a, **k):
            watch.stack.append(name)
            try:
                return inner(*a, **k)
            finally:
                watch.stack.pop()
        return forward
    _watching.append(watch)
    try:
        with _forwards(module, make), _t.no_grad(), _kept(module):
            module(*args, **kwargs)
    finally:
        _watching.pop()
    return watch.entered | {""}


@contextlib.contextmanager
def _kept(module):
    """Put buffers and the random state back afterwards."""
    state, buffers = _t.get_rng_state(), [(b, b.clone()) for b in module.buffers()]
    try:
        yield
    finally:
        _t.set_rng_state(state)
        with _t.no_grad():
            for buffer, before in buffers:
                if not _t.equal(buffer, before):
                    buffer.copy_(before)


class _Holder(Module):
    """A place for submodules and parameters under their names in the model."""


class _StageModule(Module):
    """A stretch of the recorded steps, with what it uses."""

    def __init__(self, model, steps, takes, gives, result):
        super().__init__()
        self._steps, self._takes, self._gives, self._result = steps, takes, gives, result
        targets = [step.target for step in steps if isinstance(step.target, str)]
        names = [leaf.name for leaf in [leaf for step in steps for leaf in step.leaves] + tree_leaves(result) if isinstance(leaf, _Named)]
        for target in dict.fromkeys(targets):
            holder, last = self._holder(target)
            holder.add_module(last, model.get_submodule(target))
        for name in dict.fromkeys(names):
            holder, last = self._holder(name)
            if last not in holder._parameters and last not in holder._buffers:
                value = dict(model.named_parameters()).get(name)
                if value is not None:
                    holder.register_parameter(last, value)
                else:
                    holder.register_buffer(last, dict(model.named_buffers())[name])
        self.training = model.training

    def _holder(self, name):
        *path, last = name.split(".")
        holder = self
        for part in path:
            if part not in holder._modules:
                holder.add_module(part, _Holder())
            holder = holder._modules[part]
        return holder, last

    def _named(self, name):
        holder, last = self._holder(name)
        return getattr(holder, last)

    def forward(self, *inputs, **kwargs):
        values = dict(zip(self._takes, tree_leaves((inputs, kwargs))))

        def real(leaf):
            return values[leaf.number] if type(leaf) is _Value else self._named(leaf.name) if type(leaf) is _Named else leaf
        for step in self._steps:
            args, kwargs = tree_unflatten([real(leaf) for leaf in step.leaves], step.shape)
            target = self.get_submodule(step.target) if isinstance(step.target, str) else step.target
            result = target(*args, **kwargs)
            for number, value in zip(step.results, tree_leaves(result)):
                if number is not None:
                    values[number] = value
        if self._gives is not None:
            return tuple(values[number] for number in self._gives)
        leaves, shape = self._result
        return tree_unflatten([real(leaf) for leaf in leaves], shape)

    def extra_repr(self):
        return f"{len(self._steps)} steps"


class PipeInfo(NamedTuple):
    """What `build_stage` needs to know of a `Pipe`."""
    graph: list
    num_stages: int
    has_loss_and_backward: bool


class Pipe(Module):
    """A model in stages, made by `pipeline`. Called, it runs them one after the other.

    Args:
        stages: modules, in order.
    """

    def __init__(self, stages):
        super().__init__()
        self.num_stages = len(stages)
        for i, stage in enumerate(stages):
            self.add_module(f"submod_{i}", stage)

    def get_stage_module(self, stage_idx):
        """Return one stage's module."""
        if not 0 <= stage_idx < self.num_stages:
            raise TensorValueError(f"Invalid stage index {stage_idx}!", op="get_stage_module")
        return self._modules[f"submod_{stage_idx}"]

    def forward(self, *args, **kwargs):
        """Run all stages."""
        value = self._modules["submod_0"](*args, **kwargs)
        for i in range(1, self.num_stages):
            value = self._modules[f"submod_{i}"](*value)
        return value

    def info(self):
        """Return what `build_stage` needs."""
        steps = [[str(getattr(step.target, "__name__", step.target)) for step in self.get_stage_module(i)._steps] for i in range(self.num_stages)]
        return PipeInfo(steps, self.num_stages, False)

    def build_stage(self, stage_index, device, group=None):
        """Return the `PipelineStage` of one stage; nothing keeps the others alive afterwards but this Pipe."""
        return build_stage(self.get_stage_module(stage_index), stage_index, self.info(), device, group)


def pipeline(module, mb_args, mb_kwargs=None, split_spec=None, split_policy=None):
    """Cut a model into stages, at the submodules that split_spec names and where its forward functions call `pipe_split`.

    Args:
        module: any Module. What lies between its cuts must not depend on values of tensors; submodules without a cut may do what they like.
        mb_args, mb_kwargs: example inputs, of the size of a micro-batch.
        split_spec: name of a submodule -> `SplitPoint`. split_policy: must be None.
    Returns:
        Pipe
    Raises:
        RuntimeError: the part of forward with the cuts reads values of tensors.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> pipeline(model, (torch.ones(4, 2),), split_spec={"2": SplitPoint.BEGINNING}).num_stages
        2
    """
    op = "pipeline"
    if split_spec is not None and split_policy is not None:
        raise TensorValueError("Cannot specify both `split_spec` and `split_policy`. Please use only one of them.", op=op)
    if split_policy is not None:
        raise TensorValueError(f"{op}: split_policy is not supported, must be None; name the cuts by split_spec", op=op)
    if not isinstance(module, Module):
        raise TensorTypeError(f"{op}: module: expected a Module, got {type(module).__name__}", op=op)
    spec, args, kwargs = split_spec or {}, tuple(mb_args), mb_kwargs or {}
    for name, where in spec.items():
        try:
            module.get_submodule(name)
        except AttributeError:
            raise AttributeError(f"Specified target {name} referenced nonexistent module {name}") from None
        if not isinstance(where, SplitPoint):
            raise TensorValueError(f"Unknown split point type. {op}: split_spec[{name!r}]: expected a SplitPoint, got {where!r}", op=op)
    entered = _entered(module, spec, args, kwargs)
    recorder = _Recorder(module)

    def make(name, part):
        where = spec.get(name)
        inner, whole = part.forward, name not in entered
        if name == "" or (not whole and where is None):
            return None

        def forward(*a, **k):
            if recorder.inside:
                return inner(*a, **k)
            if where is SplitPoint.BEGINNING:
                recorder.split()
            if whole:
                recorder.inside = True
                try:
                    result = recorder.record(name, a, k, inner)
                finally:
                    recorder.inside = False
            else:
                result = inner(*a, **k)
            if where is SplitPoint.END:
                recorder.split()
            return result
        return forward
    leaves, shape = tree_flatten((args, kwargs))
    _watching.append(recorder)
    try:
        with _forwards(module, make), _kept(module), recorder.own_tensors(module, entered):
            inputs = [recorder.wrap(leaf) if isinstance(leaf, _t.Tensor) else leaf for leaf in leaves]
            given, named = tree_unflatten(inputs, shape)
            result = module.forward(*given, **named)
    finally:
        _watching.pop()
    takes = [leaf._place.number if isinstance(leaf, _Traced) else None for leaf in inputs]
    final, final_shape = tree_flatten(result)
    final = [recorder.leaf(leaf) for leaf in final]
    return Pipe(_cut(module, recorder, takes, (final, final_shape)))


def _cut(module, recorder, takes, result):
    """Return the stages' modules."""
    steps = recorder.steps
    bounds = sorted({0, len(steps), *(cut for cut in recorder.cuts if 0 < cut < len(steps))})
    made, last_use = {number: -1 for number in takes if number is not None}, {}
    for i, step in enumerate(steps):
        made.update((number, i) for number in step.results if number is not None)
        last_use.update((leaf.number, i) for leaf in step.leaves if type(leaf) is _Value)
    last_use.update((leaf.number, len(steps)) for leaf in result[0] if type(leaf) is _Value)
    stages = []
    for begin, end in zip(bounds, bounds[1:]):
        gives = None if end == len(steps) else [n for n in made if made[n] < end and last_use.get(n, -1) >= end]
        stages.append(_StageModule(module, steps[begin:end], takes, gives, result))
        takes = gives
    _mark_tied(stages)
    return stages


def _mark_tied(stages):
    """Tell each stage which of its parameters others have too; a parameter's key is its name in the first of them."""
    count = Counter(id(p) for stage in stages for p in set(stage.parameters()))
    keys = {}
    for i, stage in enumerate(stages):
        for name, p in stage.named_parameters():
            if count[id(p)] > 1:
                keys.setdefault(id(p), f"{name} of stage {i}")
    for stage in stages:
        stage._tied_parameters = {keys[id(p)]: name for name, p in stage.named_parameters() if id(p) in keys}


def split_sequential(module, num_stages, weights=None):
    """Cut a Sequential into stretches of layers whose largest has as few parameters as possible.

    Args:
        module: nn.Sequential of at least num_stages layers.
        weights: a number for each layer, say its measured time, in place of its number of parameters.
    Returns:
        list of num_stages Sequentials; the layers keep their names, and shared parameters are known to `PipelineStage`.

    Example:
        >>> [len(part) for part in split_sequential(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2), nn.Linear(2, 2)), 2)]
        [2, 2]
    """
    op = "split_sequential"
    if not isinstance(module, Sequential):
        raise TensorTypeError(f"{op}: module: expected a Sequential, got {type(module).__name__}", op=op)
    layers = list(module.named_children())
    if not 1 <= num_stages <= len(layers):
        raise TensorValueError(f"{op}: num_stages: expected 1 to {len(layers)}, the number of layers, got {num_stages}", op=op)
    if weights is None:
        weights = [sum(p.numel() for p in layer.parameters()) for _, layer in layers]
    if len(weights) != len(layers):
        raise TensorValueError(f"{op}: weights: expected {len(layers)}, one a layer, got {len(weights)}", op=op)
    bounds = _balanced([float(w) for w in weights], num_stages)
    stages = []
    for begin, end in zip(bounds, bounds[1:]):
        part = Sequential(OrderedDict(layers[begin:end]))
        part.training = module.training
        stages.append(part)
    _mark_tied(stages)
    return stages


def _balanced(weights, parts):
    """Return the bounds of non-empty stretches whose largest sum is smallest, then the squares' sum, then the latest (dynamic programming)."""
    n = len(weights)
    sums = [0.0]
    for w in weights:
        sums.append(sums[-1] + w)
    best = {(0, 0): (0.0, 0.0, [0])}
    for k in range(1, parts + 1):
        for end in range(k, n - (parts - k) + 1):
            options = []
            for begin in range(k - 1, end):
                if (k - 1, begin) in best:
                    largest, squares, bounds = best[k - 1, begin]
                    own = sums[end] - sums[begin]
                    options.append((max(largest, own), squares + own * own, bounds + [end]))
            best[k, end] = min(options, key=lambda option: (*option[:2], [-bound for bound in option[2]]))
    return best[parts, n][2]
