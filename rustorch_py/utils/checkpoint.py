"""Trade computing for memory: drop what a function saved for backward, and compute it again there.

Note [Two ways to checkpoint]
    `use_reentrant=False` records the function as usual, but what it saves goes to a frame that
    keeps nothing; the first backward step that asks for a saved tensor runs the function again and
    takes the tensors, in the order in which they were saved. It works with autograd.grad, keyword
    arguments, nested structures and inputs that need no gradient.
    `use_reentrant=True` runs the function without recording, as one node whose backward runs it
    again and starts a backward of its own: so it needs backward() for all leaves, and an input
    that requires a gradient.
"""
from __future__ import annotations

import weakref
from contextlib import ExitStack, contextmanager, nullcontext

from .. import tensor as _t
from ..amp import autocast
from ..autograd import Function, _engine, backward
from ..autograd.graph import saved_tensors_hooks
from ..errors import AutogradError, TensorError, TensorTypeError, TensorValueError
from ..tensor import Tensor
from ..tensor._random import device_generator, used_generators

__all__ = ["checkpoint", "checkpoint_sequential", "CheckpointError", "CheckpointFunction", "DefaultDeviceType", "GraphExecGroup", "check_backward_validity",
           "detach_variable", "get_device_states", "noop_context_fn", "set_device_states", "set_checkpoint_early_stop", "set_checkpoint_debug_enabled"]


class CheckpointError(AutogradError):
    """The function saved other tensors when it was run again."""


_early_stop = None      # overrides the argument of all calls while set_checkpoint_early_stop is active
_debug = None


@contextmanager
def set_checkpoint_early_stop(enable):
    """Choose, inside a ``with`` block, whether running again stops at the last tensor that is needed."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


@contextmanager
def set_checkpoint_debug_enabled(enabled):
    """Switch ``debug`` of all checkpoints inside a ``with`` block; None leaves it to their argument."""
    global _debug
    before, _debug = _debug, enabled
    try:
        yield
    finally:
        _debug = before


class DefaultDeviceType:
    """The kind of device whose random stream a checkpoint puts back when its arguments do not tell."""

    _kind = None

    @classmethod
    def set_device_type(cls, device="cuda"):
        """Set the kind."""
        cls._kind = device

    @classmethod
    def get_device_type(cls):
        """Return the kind: as set, else that of the accelerator in use, else the CPU."""
        if cls._kind is None:
            from ..tensor._backend import is_registered
            cls._kind = next((kind for code, kind in ((1, "cuda"), (2, "mps")) if is_registered(code)), "cpu")
        return cls._kind


class GraphExecGroup:
    """Several backward calls inside a ``with`` block that run a checkpointed call again once between them.

    A call that was run again keeps what no backward has used yet, inside a group and outside; the group says that it may be
    relied on. The backward calls must not use the same saved tensors.
    """

    _current = None

    def __enter__(self):
        if GraphExecGroup._current is not None:
            raise TensorError(f"GraphExecGroup contexts cannot be nested. Already inside group {GraphExecGroup._current}", op="GraphExecGroup")
        GraphExecGroup._current = self
        return self

    def __exit__(self, *exc):
        GraphExecGroup._current = None

    @classmethod
    def _get_current_group(cls):
        return cls._current


def noop_context_fn():
    """Return two contexts that do nothing."""
    return nullcontext(), nullcontext()


def detach_variable(inputs):
    """Detach the tensors of a tuple, keeping whether each requires a gradient."""
    if not isinstance(inputs, tuple):
        raise TensorError("Only tuple of tensors is supported. Got Unsupported input type: " + type(inputs).__name__)
    return tuple(_detached(x) for x in inputs)


def _detached(value):
    if not isinstance(value, Tensor):
        return value
    result = value.detach()
    result.requires_grad_(value.requires_grad)
    return result


def check_backward_validity(inputs):
    """Warn when none of the inputs requires a gradient."""
    if not any(x.requires_grad for x in inputs if isinstance(x, Tensor)):
        import warnings
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=3)


def _random_states(args):
    """Return the default random streams in use, those of the arguments' devices among them, each with its state."""
    for x in args:
        if isinstance(x, Tensor) and x.device.type not in ("cpu", "meta"):
            device_generator(x.device)                   # is in use from now on
    return [(g, g.get_state()) for g in (_t.default_generator, *used_generators())]


@contextmanager
def _random_state(states):
    """Run a block with random streams in given states (None: as they are), then put them back."""
    if states is None:
        yield
        return
    now = [(g, g.get_state()) for g, _ in states]
    for generator, state in states:
        generator.set_state(state)
    try:
        yield
    finally:
        for generator, state in now:
            generator.set_state(state)


def _autocast_regions():
    """Return, as arguments of `autocast`, what is on in this thread, for the second run."""
    cached = _t.is_autocast_cache_enabled()
    return [dict(device_type=kind, dtype=_t.get_autocast_dtype(kind), enabled=_t.is_autocast_enabled(kind), cache_enabled=cached)
            for kind in ("cpu", "cuda")]


@contextmanager
def _autocast_as(regions):
    """Run a block with autocast as it was when `_autocast_regions` was called."""
    with ExitStack() as stack:
        for region in regions:
            stack.enter_context(autocast(**region))
        yield


def get_device_states(*args):
    """Return the accelerators that hold some of the arguments, and the states of their random streams.

    Raises:
        BackendUnavailableError: an argument is on a device that has no random stream here.
    """
    devices = sorted({x.device for x in args if isinstance(x, Tensor) and x.device.type not in ("cpu", "meta")}, key=str)
    return [d.index for d in devices], [device_generator(d).get_state() for d in devices]


def set_device_states(devices, states, *, device_type=None):
    """Put the random streams of accelerators back to given states; the CPU's is not among them.

    Args:
        devices: numbers or names.
        states: of each, as `get_device_states` returns them.
        device_type: of devices given as numbers; "cuda" if None.

    Raises:
        BackendUnavailableError: a device has no random stream.
    """
    for device, state in zip(devices, states):
        device_generator(f"{device_type or 'cuda'}:{device}" if isinstance(device, int) else device).set_state(state)


class CheckpointFunction(Function):
    """The node of a reentrant checkpoint; see Note [Two ways to checkpoint]."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.rng_state = _random_states(args) if preserve_rng_state else None
        ctx.autocast = _autocast_regions()
        ctx.inputs = [None if isinstance(x, Tensor) else x for x in args]
        ctx.places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        with _t.no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx, *grads):
        if not _engine._is_checkpoint_valid():
            raise AutogradError("When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing "
                                "an `inputs` parameter to .backward(). To resolve this error, you can either set "
                                "use_reentrant=False, or call .backward() without passing the `inputs` argument.")
        inputs = list(ctx.inputs)
        for place, tensor in zip(ctx.places, ctx.saved_tensors):
            inputs[place] = _detached(tensor)
        with _random_state(ctx.rng_state), _t.enable_grad(), _autocast_as(ctx.autocast):
            outputs = ctx.run_function(*inputs)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        pairs = [(out, grad) for out, grad in zip(outputs, grads)
                 if isinstance(out, Tensor) and out.requires_grad and grad is not None]
        if not pairs:
            raise AutogradError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([out for out, _ in pairs], [grad for _, grad in pairs])
        return (None, None, *(x.grad if isinstance(x, Tensor) else None for x in inputs))


class _Slot:
    """Stands for one saved tensor; holds it between running again and its use."""

    __slots__ = ("tensor", "__weakref__")

    def __init__(self):
        self.tensor = None


class _Stop(Exception):
    """All tensors that are needed have been computed."""


def _description(tensor):
    return {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}


class _Frame:
    """One checkpointed call: how to run it again, and a slot for each tensor that it saved."""

    def __init__(self, rerun, describe, early_stop):
        self.rerun = rerun
        self.describe = describe      # None: recomputed tensors are not compared
        self.early_stop = early_stop
        self.slots = []               # weak: a slot lives as long as its node needs it
        self.descriptions = []

    # while the function runs for the first time

    def pack(self, tensor):
        slot = _Slot()
        self.slots.append(weakref.ref(slot))
        if self.describe is not None:
            self.descriptions.append(self.describe(tensor))
        return slot, self

    # in backward

    @staticmethod
    def unpack(packed):
        slot, frame = packed
        if slot.tensor is None:
            frame.recompute()
        tensor, slot.tensor = slot.tensor, None
        return tensor

    def recompute(self):
        count = 0

        def fill(tensor):
            nonlocal count
            if count >= len(self.slots):
                raise CheckpointError("torch.utils.checkpoint: trying to save more tensors during recomputation than "
                                      "during the original forward pass.")
            slot = self.slots[count]()
            tensor = tensor.detach()
            if self.describe is not None and self.describe(tensor) != self.descriptions[count]:
                raise CheckpointError("torch.utils.checkpoint: Recomputed values for the following tensors have "
                                      "different metadata than during the forward pass.\n"
                                      f"tensor at position {count}:\nsaved metadata: {self.descriptions[count]}\n"
                                      f"recomputed metadata: {self.describe(tensor)}")
            if slot is not None:
                slot.tensor = tensor
            count += 1
            if self.early_stop and count == len(self.slots):
                raise _Stop
            return tensor

        try:
            with saved_tensors_hooks(fill, lambda tensor: tensor), _t.enable_grad():
                self.rerun()
        except _Stop:
            pass
        if count != len(self.slots):
            raise CheckpointError("torch.utils.checkpoint: A different number of tensors was saved during the original "
                                  f"forward and recomputation.\nNumber of tensors saved during forward: "
                                  f"{len(self.slots)}\nNumber of tensors saved during recomputation: {count}")


_CHECKS = {"default": _description, "none": None}


def checkpoint(function, *args, use_reentrant=None, context_fn=noop_context_fn, determinism_check="default",
               debug=False, early_stop=True, **kwargs):
    """Call a function without keeping what it saves for backward; backward runs it again.

    The function must do the same when it is run again: the random stream is put back for it.

    Args:
        function: callable of tensors and other arguments.
        *args: its arguments.
        use_reentrant: see Note [Two ways to checkpoint]; give it, False is the better one.
        context_fn: function that returns two context managers, for the first run and for the second.
        determinism_check: ``"default"`` compares shapes, dtypes and devices of the recomputed
            tensors, ``"none"`` does not.
        debug: name the function in the error if the two runs differ.
        early_stop: stop running again at the last tensor that is needed.
        preserve_rng_state (bool): put the random stream back for the second run (True).
        **kwargs: further arguments of the function (``use_reentrant=False`` only).

    Returns:
        What the function returns.

    Source:
        Chen et al., Training deep nets with sublinear memory cost, 2016.
    """
    if use_reentrant is None:
        import warnings
        warnings.warn("torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting in "
                      "PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception. "
                      "use_reentrant=False is recommended, but if you need to preserve the current default behavior, "
                      "you can pass use_reentrant=True.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise TensorValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise TensorValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)

    if determinism_check not in _CHECKS:
        raise TensorValueError(f"determinism_check should be one of {list(_CHECKS)} but got {determinism_check}")
    if not callable(context_fn):
        raise TensorTypeError(f"checkpoint: context_fn must be callable, got {type(context_fn).__name__}")
    first_context, second_context = context_fn()
    if not _t.is_grad_enabled():
        with first_context:
            return function(*args, **kwargs)
    state = _random_states((*args, *kwargs.values())) if preserve else None
    regions = _autocast_regions()
    tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
    versions = [x._version for x in tensors]

    def rerun():
        for tensor, version in zip(tensors, versions):
            if tensor._version != version:
                raise CheckpointError("torch.utils.checkpoint: an input of shape "
                                      f"{tuple(tensor.shape)} was changed in place after the checkpointed call")
        with _random_state(state), _autocast_as(regions), second_context:
            function(*(_detached(x) for x in args), **{k: _detached(v) for k, v in kwargs.items()})

    frame = _Frame(rerun, _CHECKS[determinism_check], early_stop if _early_stop is None else _early_stop)
    if debug if _debug is None else _debug:
        frame.recompute = _explained(frame.recompute, function)
    with saved_tensors_hooks(frame.pack, frame.unpack), first_context:
        return function(*args, **kwargs)


def _explained(recompute, function):
    """Name the function in the error of a recomputation that differs."""
    def explained():
        try:
            recompute()
        except CheckpointError as error:
            code = getattr(function, "__code__", None)
            place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
            raise CheckpointError(f"{error}\nin the checkpointed function {function!r}{place}") from error
    return explained


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """Checkpoint a chain of functions in segments; the last segment keeps what it saves.

    Args:
        functions: Sequential, or list of callables, applied one after the other.
        segments: number of segments.
        input: argument of the first function.
        use_reentrant: as for :func:`checkpoint`.
        preserve_rng_state (bool): as for :func:`checkpoint`.

    Returns:
        The output of the last function.
    """
    if use_reentrant is None:
        import warnings
        warnings.warn("torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be passed "
                      "explicitly. In version 2.9 we will raise an exception if use_reentrant is not passed. "
                      "use_reentrant=False is recommended, but if you need to preserve the current default behavior, "
                      "you can pass use_reentrant=True.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise TensorValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    # A Sequential is not iterable by class here: nn lies above this floor.
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(functions) // segments

    def run(part):
        def forward(value):
            for fn in part:
                value = fn(value)
            return value
        return forward

    start = 0
    for _ in range(segments - 1):
        input = checkpoint(run(functions[start:start + size]), input, use_reentrant=use_reentrant,
                           preserve_rng_state=preserve)
        start += size
    return run(functions[start:])(input)
