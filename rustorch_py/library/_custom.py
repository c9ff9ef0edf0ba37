"""custom_op: a function with type hints becomes an operator."""
import contextlib
import warnings

from ..errors import UnsupportedOpError
from . import _registry
from ._define import _qualified, _validate_tags, key_of
from ._registry import DEFAULT, OpOverload, Tag, as_tags, caller, parse_qualname
from ._schema import infer_schema, parse_schema


def custom_of(op):
    """Return the CustomOpDef of an overload, or None."""
    return op._custom


def custom_op(name, fn=None, /, *, mutates_args, device_types=None, schema=None, tags=None):
    """Make an operator of a function.

    The function runs as one operator: nothing inside it is recorded, its results are new tensors, its gradient is what
    register_autograd gives.

    Args:
        name: "namespace::name".
        fn: its parameters and result carry type hints (see infer_schema), unless a schema is given. Left out: a decorator.
        mutates_args: names of the tensors that fn writes; "unknown" for all.
        device_types: "cpu", "cuda" or several: where fn runs; None: everywhere.
        schema: "(Tensor x, float k) -> Tensor" instead of the hints.
        tags: Tag.inplace for a function that writes its first argument and returns it, Tag.out for one with out= tensors.
    Returns:
        CustomOpDef: call it, or ``rustorch_py.ops.namespace.name``.
    Raises:
        ValueError: a hint that has no schema type, or a name without namespace.

    Example:
        >>> import rustorch_py as torch
        >>> @custom_op("doc_custom::scale", mutates_args=())
        ... def scale(x: torch.Tensor, k: float) -> torch.Tensor:
        ...     return x * k
        >>> def setup(ctx, inputs, output):
        ...     ctx.k = inputs[1]
        >>> scale.register_autograd(lambda ctx, g: (g * ctx.k, None), setup_context=setup)
        >>> x = torch.ones(2, requires_grad=True)
        >>> scale(x, 3.0).sum().backward()
        >>> x.grad
        tensor([3., 3.])
    """
    source = caller(1)

    def make(fn):
        if not callable(fn):
            raise TypeError(f"custom_op({name!r}): expected a function, got {type(fn).__name__}")
        given = as_tags(tags)
        text = schema if schema is not None else infer_schema(fn, mutates_args=mutates_args, tags=given)
        result = CustomOpDef(*parse_qualname(name), text, fn, given, source)
        if schema is not None:
            expected = {a.name for a in result._opoverload._schema.arguments if a.is_write}
            if mutates_args != "unknown" and expected != set(mutates_args):
                raise ValueError(f"Attempted to create a custom op with `mutates_args={mutates_args}` and `schema={schema}. The schema suggests that the op "
                                 f"mutates {expected} which is different from what was provided to us in `mutates_args`. Please make these consistent.")
        result.register_kernel(device_types)(fn)
        _registry.add(result._opoverload, overwrite=True)
        return result
    return make if fn is None else make(fn)


class CustomOpDef:
    """What custom_op returns: the operator, and where its kernels and its gradient are registered."""

    def __init__(self, namespace, name, schema, fn, tags=(), source=""):
        self._namespace, self._name, self._schema, self._init_fn, self._tags = namespace, name, schema, fn, tags
        read = _qualified(namespace, parse_schema(name + schema))
        if Tag.out not in tags and any(a.kwarg_only and a.type.base == "Tensor" for a in read.arguments):
            raise UnsupportedOpError(f"custom_op with kwarg-only Tensor args. Please make your tensors not kwarg-only. Got: {name}{schema}", op=name)
        self._opoverload = OpOverload(namespace, read, tags, source, custom=self)
        _validate_tags(self._opoverload)
        self.__name__ = name
        self.__doc__ = fn.__doc__
        self.__module__ = getattr(fn, "__module__", None)

    @property
    def _qualname(self):
        return f"{self._namespace}::{self._name}"

    def __repr__(self):
        return f"<CustomOpDef({self._qualname})>"

    def __call__(self, /, *args, **kwargs):
        return self._opoverload(*args, **kwargs)

    def __reduce__(self):
        return _custom_by_name, (self._qualname,)

    def register_kernel(self, device_types, fn=None, /):
        """Register another function for a device type ("cpu", "cuda"), several, or all (None); a decorator without fn."""
        schema = self._opoverload._schema
        names = [DEFAULT] if device_types is None else [device_types] if isinstance(device_types, str) else list(device_types)
        keys = [key_of(n) for n in names]
        if device_types is not None and not any(a.type.base == "Tensor" for a in schema.arguments) and not any(a.type.base == "Device" for a in schema.arguments):
            raise ValueError("Functions without tensor inputs are required to have a `device: torch.device` argument")

        def register(fn):
            if not callable(fn):
                raise TypeError(f"register_kernel: expected a callable, got {type(fn).__name__}")
            for key in keys:
                self._opoverload._kernels[key] = fn
            return fn
        return register if fn is None else register(fn)

    def register_fake(self, fn, /):
        """Register what the operator does to shapes; see :func:`register_fake`."""
        if Tag.inplace in self._tags or Tag.out in self._tags:
            warnings.warn(f"The fake registration for {self} is unnecessary: its results are its arguments.", stacklevel=2)
        self._opoverload._fake = fn
        return fn

    def register_autograd(self, backward, /, *, setup_context=None):
        """Register the gradient; see :func:`register_autograd`."""
        self._opoverload._register_autograd(backward, setup_context)

    def register_vmap(self, fn=None):
        """Register what the operator does with all examples of a vmap; see :func:`rustorch_py.library.register_vmap`."""
        from ._modes import register_vmap
        return register_vmap(self, fn)

    def register_autocast(self, device_type, cast_inputs):
        """Register the dtype in which the operator runs under autocast; see :func:`rustorch_py.library.register_autocast`."""
        from ._modes import register_autocast
        register_autocast(self, device_type, cast_inputs)

    @contextlib.contextmanager
    def set_kernel_enabled(self, device_type, enabled=True):
        """Switch a device's kernel off (the function given to custom_op runs instead) or on, in a with block."""
        disabled = self._opoverload._disabled
        before = device_type in disabled
        if device_type not in self._opoverload._kernels:
            warnings.warn(f"Attempted to {'enable' if enabled else 'disable'} kernel for {device_type} but no kernel was registered for this device type.",
                          stacklevel=3)
        (disabled.discard if enabled else disabled.add)(device_type)
        try:
            yield
        finally:
            (disabled.add if before else disabled.discard)(device_type)


def _custom_by_name(qualname):
    op = _registry.find(qualname)
    return op._custom or op
