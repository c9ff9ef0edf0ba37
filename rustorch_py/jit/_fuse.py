"""Functions of elementwise operators as one loop over memory: what ``jit.script``, ``jit.trace`` and ``compile`` make of a function.

The first call with arguments of some kinds (dtypes, which of them have one element, the values of numbers) records what the function
launches on six elements, makes a program of it and compares the program with the function on random numbers, bit for bit. Later calls run
the program: one pass over memory, forward, and one backward, which recomputes what lies between instead of keeping it. A call that does not
fit (few elements, other devices or strides, a subclass, autocast) runs the function as it stands.

Note [Kept between the passes]
Where all arrays of a call fit into the last cache, forward writes its costliest values (tanh, exp, ...) beside the result and backward reads
them: of tanh's gelu a third of backward is tanh. Larger arrays go through memory, which is no faster than to compute them again.
"""
import functools
import inspect
import threading
import types

from ..autograd import Function, grad as gradients
from ..tensor import Tensor, _fuse, enable_grad, get_default_dtype, is_autocast_enabled, is_grad_enabled, is_inference_mode_enabled, no_grad, ones, randn
from ..tensor._overrides import modes
from ._program import Unfit, build, build_kept
from ._source import NUMBERS, is_plain, read

FEWEST = 32768            # elements: below, what lies between operators stays in the cache anyway
MOST_KINDS = 64           # of arguments; a function with more runs as it stands


_eager = False


def set_eager(on):
    """Let fused functions run as they stand, or not; return what held before."""
    global _eager
    _eager, before = on, _eager
    return before


def fused(fn):
    """Return a function that does what `fn` does, in one loop where Note [Straight-line functions] allows it."""
    if not isinstance(fn, types.FunctionType):
        return fn
    run = _Fused(fn)

    @functools.wraps(fn)
    def call(*args, **kwargs):
        return run(*args, **kwargs)
    call.fused_from, call.fused = fn, run
    return call


class _Fused:
    """A fused function.

    Attributes:
        reading: the names from outside that the programs depend on; None: the function runs as it stands.
        kinds: kinds of arguments -> _Kind, or None where the function runs as it stands.
    """

    def __init__(self, fn):
        self.fn, self.reading, self.kinds, self.unread, self.signature, self.lock = fn, None, {}, True, None, threading.Lock()

    def __call__(self, *args, **kwargs):
        fn = self.fn
        if self.unread:
            self.reading, self.unread = read(fn), False
        if self.reading is None or _eager:
            return fn(*args, **kwargs)
        if kwargs:
            if self.signature is None:
                self.signature = inspect.signature(fn)
            bound = self.signature.bind(*args, **kwargs)
            if bound.kwargs:                           # keyword only
                return fn(*args, **kwargs)
            args = bound.args
        tensors, most = [a for a in args if isinstance(a, Tensor)], 0
        for t in tensors:
            most = max(most, t.numel())
            if not is_plain(t) or t.device.type != "cpu" or not t.is_contiguous() or t.layout is not _strided:
                return fn(*args)
        if most < FEWEST or is_autocast_enabled("cpu") or is_inference_mode_enabled() or modes():
            return fn(*args)
        key = (get_default_dtype(), *map(_kind_of, args))
        if None in key:
            return fn(*args)
        if not self.reading.holds():
            self.kinds.clear()
            self.reading = read(fn)
            if self.reading is None:
                return fn(*args)
        kind = self.kinds.get(key, _unknown)
        if kind is _unknown:
            with self.lock:
                if key not in self.kinds and len(self.kinds) < MOST_KINDS:
                    try:
                        self.kinds[key] = _Kind(fn, args)
                    except Unfit:
                        self.kinds[key] = None
            kind = self.kinds.get(key)
        if kind is None:
            return fn(*args)
        if is_grad_enabled() and any(t.requires_grad for t in tensors):
            needs = tuple(i for i, t in enumerate(tensors) if t.requires_grad)
            if kind.backward(needs) is None:
                return fn(*args)
            return CompiledFunction.apply(kind, needs, *tensors)
        return kind.forward(*tensors)[0]


def _kind_of(a):
    """What a program depends on of an argument; None: something else than tensors and numbers."""
    if isinstance(a, Tensor):
        return a.dtype, a.dim() == 0
    return (type(a), a or repr(a)) if isinstance(a, NUMBERS) else None         # 0.0 and -0.0 are equal


_unknown = object()
_strided = ones(()).layout


class _Kind:
    """The programs of a function for one kind of arguments.

    Attributes:
        forward: the program of the result.
    """

    def __init__(self, fn, args):
        self.fn, self.back, self.kept = fn, {}, {}
        self.args = [_six(a) if isinstance(a, Tensor) else a for a in args]         # stand-ins: the caller's memory is not kept
        with no_grad():
            given = self.samples(_six)
            try:
                with _fuse.Recording() as recording:
                    result = fn(*self.place(given))
            except Exception:
                raise Unfit from None                  # it is the function's to raise, on the arguments that it was given
            if type(result) is not Tensor or result.shape != (6,):
                raise Unfit
            self.forward, where = build(recording, [_spot(t) for t in given], [(_fuse.address(result), _fuse.code(result))])
            if where != [0]:
                raise Unfit
            for draw in (_normal, _wide):
                given = self.samples(draw)
                _same(fn(*self.place(given)), self.forward(*given)[0])

    def samples(self, draw):
        """A small array for each tensor among the arguments."""
        return [draw(a) for a in self.args if isinstance(a, Tensor)]

    def place(self, given):
        """The arguments with other tensors."""
        rest = iter(given)
        return [next(rest) if isinstance(a, Tensor) else a for a in self.args]

    def record(self, needs, draw):
        """Run the function and its gradients on samples. Return (recording, inputs and the incoming gradient, gradients)."""
        given = self.samples(draw)
        for i in needs:
            given[i].requires_grad_()
        with enable_grad():
            g = draw(self.fn(*self.place(given))).detach()
            with _fuse.Recording() as recording:
                made = self.fn(*self.place(given))
                got = gradients(made, [given[i] for i in needs], g)
        return recording, [*(t.detach() for t in given), g], made.detach(), got

    def backward(self, needs):
        """Return (program, where) of the gradients of these tensors; None: they must be taken operator by operator."""
        if needs not in self.back:
            self.back[needs] = None
            try:
                recording, given, made, got = self.record(needs, _six)
                spots, grads = [_spot(t) for t in given], [_spot(t)[:2] for t in got]
                program, where = build(recording, spots, grads)
                kept = _kept(recording, spots, _spot(made)[:2], grads)
                for draw in (_normal, _wide):
                    _, given, made, got = self.record(needs, draw)
                    _same_all(got, program(*given), where, given)
                    if kept:
                        first = kept[0](*given[:-1])
                        _same(made, first[0])
                        _same_all(got, kept[1](*given, *first[1:]), where, given)
                self.kept[needs] = kept                # first: another thread looks for it where there is a program
                self.back[needs] = program, where
            except (Unfit, RuntimeError):
                pass                                   # stays None
        return self.back[needs]


class CompiledFunction(Function):
    """A call of a fused function with history. Arguments: (kind, numbers of the tensors with gradients, *tensors)."""

    @staticmethod
    def forward(ctx, kind, needs, *tensors):
        ctx.kind, ctx.needs, ctx.n = kind, needs, len(tensors)
        kept = kind.kept[needs]
        if kept and max(t.nbytes for t in tensors) * (len(tensors) + len(needs) + 3) > _fuse.last_cache():     # two more, and what is kept
            kept = None
        made = (kept[0] if kept else kind.forward)(*tensors)
        ctx.save_for_backward(*tensors, *made[1:])
        return made[0]

    @staticmethod
    def backward(ctx, g):
        kind, got = ctx.kind, [None] * ctx.n
        tensors, more = ctx.saved_tensors[:ctx.n], ctx.saved_tensors[ctx.n:]
        if is_grad_enabled():                          # to be differentiated again: operator by operator
            again = kind.fn(*kind.place(tensors))
            made = gradients(again, [tensors[i] for i in ctx.needs], g, create_graph=True)
        else:
            program, where = kind.backward(ctx.needs)
            results = kind.kept[ctx.needs][1](*tensors, g, *more) if more else program(*tensors, g)
            made = [results[at] if at >= 0 else g if ~at == ctx.n else tensors[~at] for at in where]
        for i, t in zip(ctx.needs, made):
            got[i] = t if t.shape == tensors[i].shape else t.sum_to_size(tensors[i].shape)
        return (None, None, *got)


def _kept(*what):
    try:
        return build_kept(*what)
    except Unfit:
        return None                                    # too many operands for one loop


def _same_all(wanted, made, where, given):
    for t, at in zip(wanted, where):
        _same(t, made[at] if at >= 0 else given[~at])


def _spot(t):
    return _fuse.address(t), _fuse.code(t), t.numel() > 1


def _six(like):
    """Six ones, where there is more than one element."""
    return ones((6,) if like.dim() else (), dtype=like.dtype)


def _random(like, spread):
    made = randn((512,) if like.dim() else (), generator=_generator()) * spread
    return (made > 0) if str(like.dtype).endswith("bool") else made.to(like.dtype)


def _normal(like):
    return _random(like, 1.0)


def _wide(like):
    return _random(like, 20.0)


@functools.cache
def _generator():
    """Numbers of our own, so that nobody's change."""
    from ..tensor import Generator
    return Generator().manual_seed(0)


def _same(a, b):
    """Raise Unfit unless two results have the same bits; NaN is NaN."""
    if a.dtype != b.dtype or a.shape != b.shape or not bool(((a == b) | ((a != a) & (b != b))).all()):
        raise Unfit
