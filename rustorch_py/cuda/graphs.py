"""CUDA graphs: work recorded once and done again with one launch.

Note [Graphs]
    What a stream is given between `capture_begin` and `capture_end` is recorded, not done, addresses and numbers included. Memory that
    is allocated meanwhile is the graph's own (Note [Memory of graphs] in device_memory.c). Random numbers are drawn through two words on the
    device, seed and offset, which `replay` sets from the generator, so each replay draws anew. What waits for the device - reading a
    number, copies from memory that is not page-locked - cannot be recorded: the driver says so.
"""
import gc

from .. import tensor as _t
from ..autograd import Function, grad as _grad
from ..errors import DeviceError, TensorValueError
from ..tensor import Tensor
from ..tensor._devices import run
from ..tensor._random import device_generator
from . import _need, current_device
from ._runtime import Stream, StreamContext, current_stream, empty_cache, synchronize

__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing", "make_graphed_callables", "make_graphed_step"]

_MODES = {"global": 0, "thread_local": 1, "relaxed": 2}
_handles = 0


class _PoolHandle(tuple):
    """Names memory that several graphs share; the memory is there as long as one of them or the handle is."""

    pool = None


def graph_pool_handle():
    """Return a name for memory that graphs may share: graphs that are replayed in the order of their capture."""
    global _handles
    _handles += 1
    return _PoolHandle((_handles, 0))


def is_current_stream_capturing():
    """Tell whether what this thread's current stream is given is being recorded."""
    stream = current_stream()
    return _need("is_current_stream_capturing").is_capturing(stream.device_index, stream.cuda_stream)


class CUDAGraph:
    """Recorded work of a stream.

    Args:
        keep_graph: accepted for PyTorch's sake; what is recorded is made ready to run at the end of the capture.

    Example:
        >>> g = rustorch_py.cuda.CUDAGraph()                # doctest: +SKIP
        >>> with rustorch_py.cuda.graph(g):
        ...     y = model(x)
        >>> x.copy_(batch)
        >>> g.replay()                                      # y holds model(batch)
    """

    def __init__(self, keep_graph=False):
        self._backend = _need("CUDAGraph")
        self._executable = self._stream = None
        self._handle, self._device, self._generators = None, 0, {}

    def register_generator_state(self, generator):
        """Let a generator besides the device's default one be drawn from while the graph is captured."""
        self._generators[generator] = None

    def capture_begin(self, pool=None, capture_error_mode="global"):
        """Record from now on what this thread's current stream is given.

        Args:
            pool: memory to share, from :func:`graph_pool_handle` or :meth:`pool` of another graph.
            capture_error_mode: "global", "thread_local" or "relaxed": which threads' calls that cannot be recorded are errors.

        Raises:
            DeviceError: the current stream is the default one, or another capture is under way.
        """
        if self._executable is not None:
            raise DeviceError("This CUDAGraph instance already owns a captured graph. To capture a new graph, create a new instance.", op="capture_begin")
        if capture_error_mode not in _MODES:
            raise TensorValueError(f"Unknown capture error mode. Expected `global`, `thread_local`, or `relaxed`, got {capture_error_mode}")
        stream = current_stream()
        if not stream.cuda_stream:
            raise DeviceError("CUDA graphs must be captured on a non-default stream. (However, after capture, it's ok to replay them on the default stream.)",
                              op="capture_begin")
        self._device, self._stream = stream.device_index, stream
        self._handle = graph_pool_handle() if pool is None else pool
        if self._handle.pool is None:
            self._handle.pool = self._backend.Pool(self._device)
        self._generators.setdefault(device_generator(_t.device("cuda", self._device)), None)
        for generator in self._generators:
            words = _t.zeros(2, dtype=_t.int64, device=_t.device("cuda", self._device))
            self._generators[generator] = [words, words[0:1], words[1:2], 0]
        self._backend.begin_capture(self._device, stream.cuda_stream, self._handle.pool, _MODES[capture_error_mode])
        for generator, kept in self._generators.items():
            generator._capture(kept[0])

    def capture_end(self):
        """End the recording."""
        if self._stream is None:
            raise DeviceError("capture_end: no capture is under way; call capture_begin first", op="capture_end")
        for generator, kept in self._generators.items():
            kept[3] = generator._capture(None)
        stream, self._stream = self._stream, None
        self._executable = self._backend.end_capture(self._device, stream.cuda_stream)

    def replay(self):
        """Do the recorded work on the current stream, with new random numbers."""
        if self._executable is None:
            raise DeviceError("Called CUDAGraph::replay without a preceding successful capture.", op="replay")
        for generator, (_, seed, offset, went) in self._generators.items():
            if went:
                start, at, _ = generator._take(went)
                seed.fill_(start - (1 << 64) if start >= 1 << 63 else start)
                offset.fill_(at)
        self._backend.launch_graph(self._device, self._executable, self._backend.get_stream(self._device))

    def reset(self):
        """Forget the recorded work; its memory goes back when no tensor of it is left."""
        if self._executable is not None:
            self._backend.drop_graph(self._device, self._executable)
        self._executable = self._handle = None

    def pool(self):
        """Return the name of the graph's memory, for another graph's `pool`."""
        return self._handle

    def __del__(self):
        if getattr(self, "_executable", None) is not None:
            self._backend.drop_graph(self._device, self._executable)


class graph:
    """Context manager that captures what its block does into a graph.

    Args:
        cuda_graph: a new :class:`CUDAGraph`.
        pool: memory to share, as for :meth:`CUDAGraph.capture_begin`.
        stream: to capture on; one of its own if None.
        capture_error_mode: as for :meth:`CUDAGraph.capture_begin`.
    """

    default_capture_stream = None

    def __init__(self, cuda_graph, pool=None, stream=None, capture_error_mode="global"):
        if stream is None:
            own = graph.default_capture_stream
            if own is None or own.device_index != current_device():
                own = graph.default_capture_stream = Stream()
            stream = own
        self.pool, self.capture_stream, self.cuda_graph, self.capture_error_mode = pool, stream, cuda_graph, capture_error_mode
        self.stream_ctx = StreamContext(stream)

    def __enter__(self):
        synchronize()                              # what was given before is not part of the capture
        gc.collect()
        empty_cache()
        self.stream_ctx.__enter__()
        try:
            self.cuda_graph.capture_begin(self.pool, self.capture_error_mode)
        except BaseException:
            self.stream_ctx.__exit__(None, None, None)
            raise

    def __exit__(self, *exc):
        try:
            self.cuda_graph.capture_end()
        except DeviceError:
            if exc[0] is None:                     # else the block's own error says more
                raise
        finally:
            self.stream_ctx.__exit__(*exc)
        return False


class _aside:
    """Run a block on a stream of its own, behind and before what the current one is given: warm-up before a capture."""

    def __enter__(self):
        self.stream, before = Stream(), current_stream()
        self.stream.wait_stream(before)
        self.context = StreamContext(self.stream)
        self.context.__enter__()

    def __exit__(self, *exc):
        self.context.__exit__(*exc)
        current_stream().wait_stream(self.stream)
        synchronize()
        return False


def _tensors(x):
    """The tensors in nested lists, tuples and dicts, in order."""
    if isinstance(x, Tensor):
        return [x]
    if isinstance(x, (list, tuple)):
        return [t for part in x for t in _tensors(part)]
    if isinstance(x, dict):
        return [t for part in x.values() for t in _tensors(part)]
    return []


def _rebuilt(like, found):
    """`like` with its tensors taken from an iterator."""
    if isinstance(like, Tensor):
        return next(found)
    if isinstance(like, (list, tuple)):
        parts = [_rebuilt(part, found) for part in like]
        return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)
    if isinstance(like, dict):
        return type(like)((key, _rebuilt(part, found)) for key, part in like.items())
    return like


class _Graphed:
    """One callable's two graphs, and what they read and write."""

    def __init__(self, fn, args, warmups, allow_unused):
        self.fn, self.args, self.allow_unused = fn, args, allow_unused
        self.user = _tensors(args)
        self.inputs = self.user + (list(fn.parameters()) if hasattr(fn, "parameters") else [])
        self.wanted = [x for x in self.inputs if x.requires_grad]
        with _aside():
            for _ in range(warmups):
                outputs = [t for t in _tensors(fn(*args)) if t.requires_grad]
                if outputs and self.wanted:
                    _grad(outputs, self.wanted, [_t.empty_like(t) for t in outputs], allow_unused=allow_unused)

    def capture_forward(self, pool):
        self.forward = CUDAGraph()
        with graph(self.forward, pool=pool):
            self.result = self.fn(*self.args)
        self.outputs = _tensors(self.result)

    def capture_backward(self, pool):
        outputs = [t for t in self.outputs if t.requires_grad]
        self.backward = None
        self.grad_outputs = [_t.empty_like(t) if t.requires_grad else None for t in self.outputs]
        self.grad_inputs = [None] * len(self.inputs)
        if outputs and self.wanted:
            self.backward = CUDAGraph()
            with graph(self.backward, pool=pool):
                found = iter(_grad(outputs, self.wanted, [g for g in self.grad_outputs if g is not None], allow_unused=self.allow_unused))
            self.grad_inputs = [next(found) if x.requires_grad else None for x in self.inputs]

    def function(self):
        """The callable that replays."""
        own = self

        class Graphed(Function):
            @staticmethod
            def forward(ctx, *inputs):
                for static, given in zip(own.user, inputs):
                    if static.data_ptr() != given.data_ptr():
                        static.detach().copy_(given)
                own.forward.replay()
                return tuple(t.detach() for t in own.outputs)

            @staticmethod
            def backward(ctx, *grads):
                for static, given in zip(own.grad_outputs, grads):
                    if static is not None and given is not None and static.data_ptr() != given.data_ptr():
                        static.copy_(given)
                if own.backward is not None:
                    own.backward.replay()
                return tuple(None if g is None else g.detach() for g in own.grad_inputs)

        def call(*args):
            outputs = Graphed.apply(*_tensors(args), *self.inputs[len(self.user):])
            return _rebuilt(self.result, iter(outputs if isinstance(outputs, tuple) else (outputs,)))

        return call


def make_graphed_callables(callables, sample_args, num_warmup_iters=3, allow_unused_input=False, pool=None):
    """Capture functions or modules as graphs, forward and backward; calls replay them and take part in autograd as before.

    Args:
        callables: a function or module, or a tuple of them in the order in which they are called.
        sample_args: a tuple of tensors (or nested tuples and dicts of them), or a tuple of such: they stay in use as the graphs' inputs,
            so calls must have their shapes, dtypes and requires_grad.
        num_warmup_iters: runs before the capture.
        allow_unused_input: whether inputs may have no gradient.
        pool: memory to share with other graphs.

    Returns:
        The callable (a module itself, its forward replaced while it is in the mode that it was captured in), or a tuple of them.
    """
    single = not isinstance(callables, tuple)
    if single:
        callables, sample_args = (callables,), (sample_args,)
    for fn in callables:
        if hasattr(fn, "parameters") and any(b.requires_grad for b in fn.buffers()):
            raise DeviceError("In any :class:`~torch.nn.Module` passed to :func:`~make_graphed_callables`, only parameters may be trainable. "
                              "All buffers must have ``requires_grad=False``.", op="make_graphed_callables")
    pool = graph_pool_handle() if pool is None else pool
    graphed = [_Graphed(fn, tuple(args), num_warmup_iters, allow_unused_input) for fn, args in zip(callables, sample_args)]
    for one in graphed:                            # in the order in which they are called, as the memory is shared
        one.capture_forward(pool)
    for one in reversed(graphed):
        one.capture_backward(pool)
    results = []
    for one in graphed:
        call = one.function()
        if hasattr(one.fn, "parameters"):
            results.append(_with_forward(one.fn, call))
        else:
            results.append(call)
    return results[0] if single else tuple(results)


def _with_forward(module, call):
    """The module, its forward replaying in the mode in which it was captured."""
    captured, plain = module.training, module.forward

    def forward(*args):
        return call(*args) if module.training == captured else plain(*args)

    module.forward = forward
    return module


def make_graphed_step(loss_of, optimizer, *sample_args, num_warmup_iters=3, max_norm=None):
    """Capture a training step: ``step = make_graphed_step(lambda x, y: criterion(model(x), y), optimizer, x, y)``.

    Forward, loss and backward are one graph. The optimizer's step follows it as its one launch a list of parameters, so learning rates
    may change from step to step.

    Args:
        loss_of: function of the batch's tensors that returns the loss, a 0-dim tensor.
        optimizer: of the parameters that learn.
        sample_args: tensors on the device, a batch: they stay in use as the graph's inputs.
        num_warmup_iters: runs before the capture, forward and backward; buffers, random streams and gradients are put back after them.
        max_norm: gradients are clipped to this norm; None: they are not.

    Returns:
        Function of a batch (of the shapes and dtypes of the samples, on any device) that makes a step and returns the loss; the next
        step writes into the same tensor.
    """
    params = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    grads_before = [p.grad for p in params]
    device = sample_args[0].device
    generator = device_generator(device)
    state = generator.get_state()
    modules = {id(m): m for m in _modules_of(loss_of)}
    buffers = [(b, b.clone()) for m in modules.values() for b in m.buffers()]
    with _aside():
        for _ in range(num_warmup_iters):
            for p in params:
                p.grad = None
            loss_of(*sample_args).backward()
    with _t.no_grad():
        for buffer, value in buffers:
            buffer.copy_(value)
    generator.set_state(state)
    captured = CUDAGraph()
    for p in params:
        p.grad = None                              # so that backward writes its gradients, and does not add to them
    with graph(captured):
        loss = loss_of(*sample_args)
        loss.backward()
    grads = [p.grad for p in params]
    loss = loss.detach()
    for p, g in zip(params, grads_before):
        p.grad = g

    def step(*batch):
        """Make a training step; returns the loss."""
        with _t.no_grad():
            for static, given in zip(sample_args, batch):
                if given is not static:
                    static.copy_(given, non_blocking=True)
        captured.replay()
        for p, g in zip(params, grads):
            p.grad = g
        if max_norm is not None:
            _clip([g for g in grads if g is not None], max_norm)
        optimizer.step()
        return loss

    return step


def _clip(grads, max_norm):
    """Scale gradients to a joint norm of at most max_norm without waiting for the device."""
    with _t.no_grad():
        norm = _t._fused_norm(grads)
        if norm is None:
            norm = _t.stack([g.norm().float() for g in grads]).norm()
        factor = run("clip_factor", norm, float(max_norm))
        if not _t._fused_scale(grads, factor):
            for g in grads:
                g.mul_(factor)


def _modules_of(fn):
    """Modules that a function reaches: itself, its object, its closure, its defaults and the globals that it names."""
    found = [fn, getattr(fn, "__self__", None), *(getattr(fn, "__defaults__", None) or ()), *(getattr(fn, "args", None) or ())]
    for cell in getattr(fn, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:                         # not filled yet
            pass
    code = getattr(fn, "__code__", None)
    if code is not None:
        found += [fn.__globals__[name] for name in code.co_names if name in fn.__globals__]
    return [m for m in found if callable(getattr(m, "named_buffers", None)) and callable(getattr(m, "named_parameters", None)) and not isinstance(m, type)]
