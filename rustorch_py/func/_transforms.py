"""Derivatives of functions: grad, vjp (reverse), jvp, linearize (forward).

Note [Functional derivatives]
    A transform gives the function new inputs: leaves of their own, or views joined to what the caller already records,
    so that transforms nest and captured tensors keep their gradients. What it returns is recorded only where something
    outside can ask for it: an input that requires a gradient, or another leaf that the function captured.

    Forward mode is two reverse passes (J. Townsend, "A new trick for calculating Jacobian vector products", 2017): the
    vjp is linear in its cotangent u, and the derivative of that linear map, pulled back along v, is J v. The first pass
    is made once for all v.

    Inside vmap, inputs are first spread over every level that is open, so that each example has gradients of its own;
    the plain tensors below do the work (`_batched.to_plain`).
"""
from functools import wraps

from .. import tensor as _t
from ..autograd import grad as _grad
from ..autograd._engine import reaches_other_leaves
from ..tensor import Tensor
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from ._batched import from_plain, level_stack, outside, to_plain


def _check_inputs(leaves):
    for x in leaves:
        if not isinstance(x, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")


def check_argnums(argnums, count):
    """Return argnums (an int or a tuple of ints) without negative numbers."""
    def one(i):
        if not isinstance(i, int):
            raise RuntimeError(f"argnum must be int, got: {type(i)}")
        if not -count <= i < count:
            raise RuntimeError(f"Got argnum={i}, but only {count} positional inputs")
        return i % count
    if isinstance(argnums, int):
        return one(argnums)
    if not isinstance(argnums, tuple):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if not argnums:
        raise RuntimeError("argnums must be non-empty")
    out = tuple(one(i) for i in argnums)
    if len(set(out)) != len(out):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return out


def _replaced(args, argnums, new):
    """args with those at argnums replaced; new has the structure of the selection."""
    if isinstance(argnums, int):
        return tuple(new if i == argnums else a for i, a in enumerate(args))
    at = dict(zip(argnums, new))
    return tuple(at.get(i, a) for i, a in enumerate(args))


class Record:
    """One run of a function at given inputs, recorded: what grad, vjp, jvp and the Jacobians share.

    Args:
        api: name of the transform, for messages.
        func: the function.
        args: its positional arguments.
        argnums: which of them to differentiate; None: all.
        kwargs: keyword arguments.
        has_aux: func returns (output, aux).
        cast: turn the run's error for a wrong (output, aux) into a message.
    """

    def __init__(self, api, func, args, argnums=None, kwargs=None, has_aux=False):
        self.wanted = _t.is_grad_enabled()
        self.levels = tuple(level_stack())
        chosen = args if argnums is None else args[argnums] if isinstance(argnums, int) else tuple(args[i] for i in argnums)
        given, self.in_spec = tree_flatten(chosen)
        _check_inputs(given)
        with _t.enable_grad():
            plain = [to_plain(x, self.levels) for x in given]
            self.joined = self.wanted and any(p.requires_grad for p in plain)
            self.inputs = [p.view_as(p) if p.requires_grad and self.wanted else p.detach().requires_grad_() for p in plain]
            fresh = tree_unflatten([from_plain(p, self.levels) for p in self.inputs], self.in_spec)
            out = self._call(func, fresh if argnums is None else _replaced(args, argnums, fresh), kwargs or {})
        self.aux = None
        if has_aux:
            if not (isinstance(out, tuple) and len(out) == 2):
                raise RuntimeError(f"{api}: output of function f should be a tuple: (output, aux) if has_aux is True")
            out, self.aux = out
        self.out = out

    def _call(self, func, args, kwargs):
        if not self.levels:
            return func(*args, **kwargs)
        self.levels[-1].records += 1
        try:
            return func(*args, **kwargs)
        finally:
            self.levels[-1].records -= 1

    def plain_outputs(self, leaves):
        """Output tensors as plain ones, batched over all levels."""
        with _t.enable_grad():
            return [to_plain(x, self.levels) for x in leaves]

    def is_tracked(self, plain):
        """Whether something outside can ask for gradients through these plain tensors."""
        if not self.wanted:
            return False
        live = [p for p in plain if p.requires_grad]
        return bool(live) and (self.joined or reaches_other_leaves(live, self.inputs))

    def shown(self, tree):
        """A container of tensors as the caller gets it: without the history that is only ours."""
        def one(x):
            if not isinstance(x, Tensor):
                return x
            inner = outside(x)
            return x.detach() if inner.requires_grad and not self.is_tracked([inner]) else x
        return tree_map(one, tree)

    def pull(self, outs, cotangents, tracked, retain, many=False):
        """Gradients of the inputs as plain tensors, zeros where an input was not used.

        Args:
            outs, cotangents: plain tensors.
            tracked: record the gradients' own graph.
            retain: keep the graph for another pass.
            many: cotangents, and what is returned, have many of them along a dimension 0 of their own.
        """
        live = [(o, c) for o, c in zip(outs, cotangents) if o.requires_grad]
        if not live:
            return [x.new_zeros((len(cotangents[0]),) + tuple(x.shape)) if many else _t.zeros_like(x) for x in self.inputs]
        return list(_grad([o for o, _ in live], self.inputs, [c for _, c in live], retain_graph=retain, create_graph=tracked,
                          is_grads_batched=many, materialize_grads=True))

    def wrap_inputs(self, plain):
        """Plain gradients in the structure of the differentiated inputs."""
        return tree_unflatten([from_plain(p, self.levels) for p in plain], self.in_spec)


def grad_and_value(func, argnums=0, has_aux=False):
    """Return a function that computes ``(gradient, value)`` of a scalar function; ``(gradient, (value, aux))`` with aux.

    Args:
        func: function of tensors that returns a scalar tensor, or (scalar, aux) with has_aux.
        argnums: number of the argument to differentiate, or a tuple of numbers; an argument may be a nested container.
        has_aux: func returns something more, handed through.
    Raises:
        RuntimeError: the output is not a scalar tensor.

    Example:
        >>> grad_and_value(lambda x: (x * x).sum())(rustorch_py.tensor([1., 2.]))
        (tensor([2., 4.]), tensor(5.))
    """
    api = "grad_and_value(f)(*args)"

    @wraps(func)
    def wrapper(*args, **kwargs):
        run = Record(api, func, args, check_argnums(argnums, len(args)), kwargs, has_aux)
        out = run.out
        if not isinstance(out, Tensor):
            raise RuntimeError(f"{api}: Expected f(*args) to return a Tensor, got {type(out)}")
        if out.dim() != 0:
            raise RuntimeError(f"{api}: Expected f(*args) to return a scalar Tensor, got tensor with {out.dim()} dims. Maybe you wanted to "
                               f"use the vjp or jacrev APIs instead?")
        plain = run.plain_outputs([out])
        tracked = run.is_tracked(plain)
        grads = run.pull(plain, [_t.ones_like(plain[0])], tracked, tracked)
        value = run.shown(out)
        return run.wrap_inputs(grads), (value, run.shown(run.aux)) if has_aux else value
    return wrapper


def grad(func, argnums=0, has_aux=False):
    """Return a function that computes the gradient of a scalar function; ``(gradient, aux)`` with aux.

    Args:
        func: function of tensors that returns a scalar tensor, or (scalar, aux) with has_aux.
        argnums: number of the argument to differentiate, or a tuple of numbers; an argument may be a nested container.
        has_aux: func returns something more, handed through.

    Example:
        >>> grad(grad(lambda x: x ** 3))(rustorch_py.tensor(2.))
        tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def wrapper(*args, **kwargs):
        grads, value = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads
    return wrapper


def _flat_outputs(api, out):
    leaves, spec = tree_flatten(out)
    if not leaves or (len(leaves) == 1 and leaves[0] is None):
        raise RuntimeError(f"{api}: Expected f to be a function that has non-empty output (got output = {leaves})")
    for o in leaves:
        if not isinstance(o, Tensor):
            raise RuntimeError(f"{api}: expected f(*primals) to return only tensors, got unsupported type {type(o)}")
    return leaves, spec


def pull_batched(run, outs, cotangents, tracked):
    """Gradients for cotangents that may carry vmap levels opened after the run: all examples of those in one pass.

    Returns:
        (plain gradients with the new levels' sizes after the run's, all levels)
    """
    now = tuple(level_stack())
    if now[:len(run.levels)] != run.levels:
        raise RuntimeError("vjp: the vmap in which the function was recorded has ended")
    new = now[len(run.levels):]
    plain = [to_plain(c, now) for c in cotangents]
    if not new:
        return run.pull(outs, plain, tracked, True), now
    at, sizes = len(run.levels), [level.size for level in new]
    count = 1
    for s in sizes:
        count *= s
    rows = [p.movedim(tuple(range(at, at + len(new))), tuple(range(len(new)))).reshape((count,) + p.shape[:at] + p.shape[at + len(new):])
            for p in plain]
    return [_placed(g, at, sizes) for g in run.pull(outs, rows, tracked, True, many=True)], now


def _placed(many, at, sizes):
    """Results along dimension 0 as the levels have them: at dimension `at`, of these sizes."""
    return many.movedim(0, at).unflatten(at, sizes)


def vjp(func, *primals, has_aux=False):
    """Return (output, vjp_fn) or (output, vjp_fn, aux): ``vjp_fn(cotangents)`` gives a tuple of one gradient a primal.

    Args:
        func: function of tensors that returns tensors, nested as you like.
        primals: its arguments.
        has_aux: func returns (output, aux).
    Raises:
        RuntimeError: an output that is no floating-point or complex tensor; cotangents of another structure.
    """
    api = "vjp(f, *primals)"
    run = Record(api, func, primals, None, None, has_aux)
    leaves, spec = _flat_outputs(api, run.out)
    for o in leaves:
        if not (o.is_floating_point() or o.is_complex()):
            raise RuntimeError(f"vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype {o.dtype}")
    outs = run.plain_outputs(leaves)
    tracked = run.is_tracked(outs)

    def vjp_fn(cotangents, retain_graph=True, create_graph=None):
        flat, got = tree_flatten(cotangents)
        if got != spec:
            raise RuntimeError(f"Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function. "
                               f"cotangents: {got}, primal output: {spec}")
        for o, c in zip(leaves, flat):
            if not isinstance(c, Tensor) or c.shape != o.shape:
                raise RuntimeError(f"vjp: expected a cotangent of shape {list(o.shape)}, got "
                                   f"{list(c.shape) if isinstance(c, Tensor) else type(c).__name__}")
        keep = create_graph
        if keep is None:
            keep = _t.is_grad_enabled() and (tracked or any(outside(c).requires_grad for c in flat))
        grads, levels = pull_batched(run, outs, flat, keep)
        return tree_unflatten([from_plain(g, levels) for g in grads], run.in_spec)

    shown = run.shown(run.out)
    return (shown, vjp_fn, run.shown(run.aux)) if has_aux else (shown, vjp_fn)


class Forward:
    """The linear map of a run, pushed forward: ``push(tangents)`` is J v.

    Args:
        run: a `Record`.
        leaves: its output tensors.
    """

    def __init__(self, run, leaves):
        self.run, self.leaves = run, leaves
        self.outs = run.plain_outputs(leaves)
        with _t.enable_grad():
            self.live = [o for o in self.outs if o.requires_grad]
            self.cotangents = [_t.zeros_like(o).requires_grad_() for o in self.live]
            self.back = run.pull(self.live, self.cotangents, True, True) if self.live else []
        self.tracked = run.is_tracked(self.live)

    def push(self, tangents, strict=False, many=False):
        """Return one plain tangent an output; zeros where an output does not depend on the inputs.

        Args:
            tangents: one plain tensor an input.
            strict: raise instead of zeros.
            many: tangents, and what is returned, have many of them along a dimension 0 of their own.
        """
        pairs = [(b, v) for b, v in zip(self.back, tangents) if b.requires_grad]
        keep = self.run.wanted and (self.tracked or any(v.requires_grad for v in tangents))
        got = _grad([b for b, _ in pairs], self.cotangents, [v for _, v in pairs], retain_graph=True, create_graph=keep,
                    allow_unused=True, is_grads_batched=many) if pairs else [None] * len(self.cotangents)
        it = iter(got)
        out = []
        for o in self.outs:
            t = next(it) if o.requires_grad else None
            if t is None and strict:
                raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not "
                                   "allowed with strict=True.")
            if t is None:
                t = o.new_zeros((len(tangents[0]),) + tuple(o.shape)) if many else _t.zeros_like(o)
            out.append(t)
        return out


def _check_tangents(api, primals, tangents):
    flat, spec = tree_flatten(primals)
    flat_tangents, tangents_spec = tree_flatten(tangents)
    if spec != tangents_spec:
        raise RuntimeError(f"{api}: Expected primals and tangents to have the same python structure. For example, if primals is a tuple of 3 "
                           f"tensors, tangents also must be. Got primals with structure {spec} and tangents with structure {tangents_spec}")
    for name, values in (("primals", flat), ("tangents", flat_tangents)):
        if not values:
            raise RuntimeError(f"{api}: Expected {name} to contain at least one Tensor.")
        for x in values:
            if not isinstance(x, Tensor):
                raise RuntimeError(f"{api}: Expected {name} to only contain Tensors, got {type(x)}")
    for p, v in zip(flat, flat_tangents):
        if p.shape != v.shape:
            raise RuntimeError(f"{api}: Expected tangents of the primals' shapes: primal has {list(p.shape)}, tangent {list(v.shape)}")
    return flat_tangents


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """Return (output, J v), or (output, J v, aux): the derivative of a function along a direction.

    Args:
        func: function of tensors that returns tensors, nested as you like.
        primals: tuple of its arguments.
        tangents: the direction; the structure and shapes of primals.
        strict: raise where an output does not depend on the inputs, instead of zeros.
        has_aux: func returns (output, aux).

    Example:
        >>> jvp(rustorch_py.sin, (rustorch_py.tensor(0.),), (rustorch_py.tensor(2.),))
        (tensor(0.), tensor(2.))
    """
    api = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{api}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    flat_tangents = _check_tangents(api, primals, tangents)
    run = Record(api, func, primals, None, None, has_aux)
    leaves, spec = _flat_outputs(api, run.out)
    pushed = Forward(run, leaves).push([to_plain(v, run.levels) for v in flat_tangents], strict)
    result = run.shown(run.out), tree_unflatten([from_plain(t, run.levels) for t in pushed], spec)
    return (*result, run.shown(run.aux)) if has_aux else result


def linearize(func, *primals):
    """Return (output, jvp_fn): the value at primals, and the derivative there as a function of the tangents.

    Args:
        func: function of tensors that returns tensors, nested as you like.
        primals: its arguments; ``jvp_fn(*tangents)`` takes the same structure.
    """
    api = "linearize(f, *primals)"
    run = Record(api, func, primals)
    leaves, spec = _flat_outputs(api, run.out)
    forward = Forward(run, leaves)

    def jvp_fn(*tangents):
        flat = _check_tangents(api, primals, tangents)
        now = tuple(level_stack())
        new = now[len(run.levels):]
        if not new:
            return tree_unflatten([from_plain(t, run.levels) for t in forward.push([to_plain(v, run.levels) for v in flat])], spec)
        # levels opened since: all their examples in one pass
        plain = [to_plain(v, now) for v in flat]
        at, sizes = len(run.levels), [level.size for level in new]
        rows = [p.flatten(at, at + len(new) - 1).movedim(at, 0) for p in plain]
        return tree_unflatten([from_plain(_placed(g, at, sizes), now) for g in forward.push(rows, many=True)], spec)

    return run.shown(run.out), jvp_fn


def functionalize(func, *, remove="mutations"):
    """Return a function of ``func``'s results.

    In PyTorch it rewrites in-place operators in the graph that a tracer records. Functions are not traced into such graphs here, and
    the results, writes to inputs included, are those of ``func``; gradients see through its in-place writes.

    Args:
        func: function of tensors.
        remove: "mutations" or "mutations_and_views".

    Raises:
        RuntimeError: an unknown ``remove``.
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid options are: "
                           f"remove='mutations', remove='mutations_and_views'")

    @wraps(func)
    def wrapped(*args, **kwargs):
        return func(*args, **kwargs)
    return wrapped
