"""Custom operators: class Function with its context, which is the recorded node itself."""
cimport cython
from ..tensor._base cimport (TensorBase, grad_mode, set_grad_mode, attach_outputs, alias, save, save_output, saved, bump, history, rt_kind,
                             RT_KIND_FLOAT, empty)
from ..tensor._node cimport Node
from ..tensor._ops cimport inplace_end
from ..errors import AutogradError, TensorTypeError


cdef class FunctionCtx(Node):
    """Context of a custom Function: passed to forward and backward, may carry any attribute."""
    cdef dict __dict__
    cdef object cls
    cdef tuple to_save, dirty, non_diff
    cdef public bint materialize_grads
    cdef public tuple needs_input_grad
    cdef list saved_kinds                 # a slot number, or a value kept as it is
    cdef list out_meta                    # (shape, dtype code, device) of each output
    cdef list tensor_at                   # position of each edge among forward's arguments
    cdef int n_args

    def __cinit__(self):
        self.materialize_grads = True

    cdef object own_name(self):
        return self.cls.__name__ + "Backward" if self.cls is not None else "FunctionBackward"

    def __repr__(self):
        return f"<{Function.__module__}.{self.name()} object at {hex(id(self))}>"

    def save_for_backward(self, *tensors):
        """Keep tensors (inputs, outputs or others; None allowed) for backward's ``saved_tensors``."""
        for t in tensors:
            if t is not None and not isinstance(t, TensorBase):
                raise TensorTypeError(f"save_for_backward can only save variables, but argument is of type {type(t).__name__}")
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """Accept tensors for forward-mode derivatives; kept like save_for_backward's."""
        self.save_for_backward(*tensors)

    def mark_dirty(self, *tensors):
        """Name inputs that forward changed in place."""
        self.dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """Name outputs without a gradient."""
        self.non_diff = tensors

    def set_materialize_grads(self, value):
        """Choose whether missing gradients arrive as zeros (default) or None."""
        self.materialize_grads = value

    @property
    def saved_tensors(self):
        """The saved tensors, checked for in-place changes."""
        cdef int i
        if self.saved_kinds is None:
            return self.to_save or ()
        return tuple([None if k is None else saved(self, <int>k) for k in self.saved_kinds])

    @property
    def saved_variables(self):
        return self.saved_tensors

    cdef object apply(self, object g):
        cdef list grads
        cdef object got
        cdef int i
        if self.n_outputs == 1:
            grads = [g]
        else:
            grads = list(g)
        if self.materialize_grads:
            for i in range(len(grads)):
                if grads[i] is None and self.out_meta[i] is not None:
                    grads[i] = make_zeros(self.out_meta[i])
        got = self.cls.backward(self, *grads)
        if not isinstance(got, tuple):
            got = tuple(got) if isinstance(got, list) else (got,)
        if len(got) > self.n_args and all(x is None for x in got[self.n_args:]):
            got = got[:self.n_args]
        if len(got) != self.n_args:
            raise AutogradError(f"function {self.name()} returned an incorrect number of gradients (expected {self.n_args}, got {len(got)})")
        out = []
        for i in self.tensor_at:
            x = got[i]
            if x is not None and not isinstance(x, TensorBase):
                raise TensorTypeError(f"expected Variable or None (got {type(x).__name__}) as gradient {i} of {self.name()}")
            out.append(x)
        return out[0] if self.n_edges == 1 else tuple(out)

    cdef int release(self) except -1:
        self.to_save = None
        return Node.release(self)


cdef object make_zeros(tuple meta):
    return meta[0].new_zeros(meta[1])


def by_place(forward, tuple args, dict kwargs, bint defaults=True):
    """The arguments in the order of forward's list, with its defaults or as given, and those that have to go by name, in that order too."""
    import inspect
    bound = inspect.signature(forward).bind(*args, **kwargs)
    if defaults:
        bound.apply_defaults()
    return bound.args, bound.kwargs


cdef object run_function(object cls, tuple args, dict kwargs):
    cdef FunctionCtx ctx = FunctionCtx.__new__(FunctionCtx)
    cdef bint mode = grad_mode(), any_grad = False
    cdef TensorBase t
    cdef list tensors = [], places = [], outs
    cdef tuple inputs
    cdef int i
    cdef bint apart = cls.setup_context is not Function.setup_context
    if apart and (kwargs or getattr(cls.forward, "__defaults__", None) or getattr(cls.forward, "__kwdefaults__", None)):
        args, kwargs = by_place(cls.forward, args, kwargs)
    inputs = args                                         # what setup_context is not shown has no gradient
    if kwargs and not apart:
        placed, kwargs = by_place(cls.forward, (ctx, *args), kwargs, False)
        args = placed[1:]
        inputs = (*args, *kwargs.values())
    for i in range(len(inputs)):
        x = inputs[i]
        if isinstance(x, TensorBase):
            t = <TensorBase>x
            tensors.append(t)
            places.append(i)
            any_grad |= t.rg
    any_grad = any_grad and mode
    ctx.cls = cls
    ctx.n_args = <int>len(inputs)
    ctx.tensor_at = places
    ctx.needs_input_grad = tuple([isinstance(x, TensorBase) and (<TensorBase>x).rg and mode for x in inputs])
    set_grad_mode(False)
    try:
        if apart:
            result = cls.forward(*args, **kwargs)
            cls.setup_context(ctx, args, result)
        else:
            result = cls.forward(ctx, *args, **kwargs)
    finally:
        set_grad_mode(mode)
    single = not isinstance(result, (tuple, list))
    outs = [result] if single else list(result)
    dirty = {id(x) for x in ctx.dirty or ()}
    non_diff = {id(x) for x in ctx.non_diff or ()}
    given = {id(x) for x in tensors}
    for i in range(len(outs)):
        x = outs[i]
        if isinstance(x, TensorBase) and id(x) in given and id(x) not in dirty:
            outs[i] = alias(<TensorBase>x)                # an input handed through becomes a tensor of its own
    for x in ctx.dirty or ():
        if any_grad and isinstance(x, TensorBase) and (<TensorBase>x).rg and history(<TensorBase>x) is None:
            raise AutogradError("a leaf Variable that requires grad is being used in an in-place operation.", op=cls.__name__)
    if any_grad:
        targets = []
        ctx.out_meta = []
        for x in outs:
            ok = isinstance(x, TensorBase) and id(x) not in non_diff and rt_kind((<TensorBase>x).dt) >= RT_KIND_FLOAT
            targets.append(x if ok else None)
            ctx.out_meta.append((empty(0, NULL, (<TensorBase>x).dt, (<TensorBase>x).dev), tuple(x.shape)) if isinstance(x, TensorBase) else None)
        attach_outputs(targets, ctx, tuple(tensors))
        for x in ctx.dirty or ():
            inplace_end(<TensorBase?>x, ctx)
    else:
        for x in ctx.dirty or ():
            inplace_end(<TensorBase?>x, None)
    if any_grad and ctx.to_save is not None:
        ctx.saved_kinds = []
        out_ids = {id(x): n for n, x in enumerate(outs) if isinstance(x, TensorBase)}
        for i in range(len(ctx.to_save)):
            x = ctx.to_save[i]
            if x is None:
                ctx.saved_kinds.append(None)
                continue
            if id(x) in out_ids or (id(x) in {id(r) for r in ([result] if single else result)} and id(x) not in given):
                save_output(ctx, i, <TensorBase>x)
            else:
                save(ctx, i, <TensorBase>x)
            ctx.saved_kinds.append(i)
        ctx.to_save = None
    elif not any_grad:
        ctx.to_save = None
    return outs[0] if single else tuple(outs)


class Function:
    """Base of custom operators: write static ``forward(ctx, ...)`` and ``backward(ctx, *grads)``, call ``apply``.

    ``forward`` may also be written without ctx beside a static ``setup_context(ctx, inputs, output)``.

    Example:
        >>> class Square(Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x
        ...     @staticmethod
        ...     def backward(ctx, g):
        ...         x, = ctx.saved_tensors
        ...         return 2 * x * g
    """
    __module__ = "rustorch_py.autograd.function"

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function to use it with "
                                  "backward mode AD.")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run forward and record backward, which gives a gradient for each argument that is given, in forward's order, be it by name.

        Where `setup_context` stands apart it sees the arguments, given or default, in that order, and each has a gradient; what forward takes
        by name only has none.
        """
        if "vjp" in cls.__dict__ and "backward" not in cls.__dict__:
            cls.backward = cls.vjp
        return run_function(cls, args, kwargs)

    def __init__(self):
        raise AutogradError(f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke "
                            f"them on the class itself.")


def increment_version(tensor):
    """Count a write that the package did not see: saved tensors on this memory become stale.

    Args:
        tensor: a tensor or several.
    """
    cdef TensorBase t
    for x in ([tensor] if isinstance(tensor, TensorBase) else tensor):
        if x is not None:
            t = <TensorBase?>x
            bump(t)


def once_differentiable(fn):
    """Decorate a backward whose result must not be differentiated again."""
    import functools

    @functools.wraps(fn)
    def wrapper(ctx, *args):
        cdef bint mode = grad_mode()
        set_grad_mode(False)
        try:
            got = fn(ctx, *args)
        finally:
            set_grad_mode(mode)
        if not mode or not any(isinstance(a, TensorBase) and (<TensorBase>a).rg for a in args):
            return got
        outs = got if isinstance(got, tuple) else (got,)
        blocked = tuple(_Blocked.apply(o, *[a for a in args if isinstance(a, TensorBase)]) if isinstance(o, TensorBase) else o for o in outs)
        return blocked if isinstance(got, tuple) else blocked[0]
    return wrapper


class _Blocked(Function):
    @staticmethod
    def forward(ctx, out, *inputs):
        return out.clone()

    @staticmethod
    def backward(ctx, *grads):
        raise AutogradError("trying to differentiate twice a function that was marked with @once_differentiable")
