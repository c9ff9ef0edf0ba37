"""__torch_function__: classes and modes that take calls of the package's functions into their own hands.

Note [Overrides]
    Every public function and method stands behind `rustorch_py.tensor.function` (kernels/function.h). As long as no class
    with a ``__torch_function__`` exists and no mode is entered, that costs a test of two ints. After that, the arguments'
    types are looked up, and a relevant argument, or a mode, gets the call. Operators and properties pay nothing at all: a
    subclass of Tensor is given overriding ones when it is made, and Python itself prefers a subclass's operator. So a mode
    sees functions and methods, but operators and properties only where such a subclass takes part.
"""
import threading

from ._function import count_overriding, overriding_state, relevant_args, set_override_entry
from ._ops import set_overriding
from ._tensor import Tensor, install

_here = threading.local()

_UNARY = "__neg__ __pos__ __abs__ __invert__ __bool__ __float__ __int__ __index__ __complex__ __len__ __iter__ __repr__".split()
_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
_OTHER = "__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __getitem__ __setitem__ __contains__ __divmod__ __format__".split()
_PROPERTIES = """shape dtype device layout ndim itemsize nbytes requires_grad grad grad_fn is_leaf name output_nr retains_grad _version _base
                 data T mT H mH real imag is_cpu is_cuda is_mps is_metal is_meta is_sparse is_quantized is_nested is_mkldnn names""".split()
# The method that a class is told of where its instances meet in an operator, as in PyTorch, and what may stand on the other side.
_TOLD = {**{f"__{n}__": n for n in "add sub mul matmul pow ne lt le gt ge neg abs".split()}, "__radd__": "add", "__rmul__": "mul", "__truediv__": "div", "__mod__": "remainder",
         "__pos__": "positive", "__rand__": "bitwise_and", "__ror__": "bitwise_or", "__rxor__": "bitwise_xor", **{f"__i{n}__": n + "_" for n in "add sub mul pow".split()},
         "__itruediv__": "div_", "__ifloordiv__": "floor_divide_", "__imod__": "remainder_"}
_OPERANDS = (Tensor, int, float, complex)
# Properties whose values a subclass does not get converted to itself
_PLAIN = {"_base", "grad", "grad_fn"}


def _disabled_torch_function_impl(func, types, args=(), kwargs=None):
    """Make the call as if no class had a ``__torch_function__``: what classes set that want none."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


class DisableTorchFunctionSubclass:
    """Context manager: in this thread, classes are not asked; modes still are."""

    def __enter__(self):
        self.old = overriding_state(subclass_off=True)[0]

    def __exit__(self, *exc):
        overriding_state(subclass_off=self.old)


class DisableTorchFunction:
    """Context manager: in this thread, neither classes nor modes are asked."""

    def __enter__(self):
        self.old = overriding_state(subclass_off=True, modes=0)

    def __exit__(self, *exc):
        overriding_state(*self.old)


def _as_class(value, cls):
    if isinstance(value, Tensor) and not isinstance(value, cls):
        return value.as_subclass(cls)
    if type(value) in (tuple, list):
        return type(value)(_as_class(v, cls) for v in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = [_as_class(v, cls) for v in value]
        return type(value)._make(parts) if hasattr(value, "_make") else type(value)(parts)
    return value


def _tensor_torch_function(cls, func, types, args=(), kwargs=None):
    """Make the call; tensors that come out become instances of the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        got = func(*args, **(kwargs or {}))
        return got if func in _plain_getters else _as_class(got, cls)


def asks(cls):
    """Tell whether a type's __torch_function__ is to be asked."""
    if cls is Tensor or any(c.__name__ == "Tensor" and c.__module__.partition(".")[0] == "torch" for c in cls.__mro__):
        return False                     # PyTorch's own tensors, handed to from_torch and the like, speak of PyTorch's functions
    fn = getattr(cls, "__torch_function__", None)
    return fn is not None and getattr(fn, "__func__", fn) is not _disabled_torch_function_impl


def modes():
    """Return the stack of modes entered in this thread."""
    try:
        return _here.modes
    except AttributeError:
        _here.modes = []
        return _here.modes


def ordered(relevant):
    """Relevant arguments, one a type, subclasses before their bases, else from left to right."""
    out, types = [], []
    for x in relevant:
        if type(x) in types:
            continue
        at = len(out)
        for i, t in enumerate(types):
            if issubclass(type(x), t):
                at = i
                break
        out.insert(at, x)
        types.insert(at, type(x))
    return out, types


def dispatch(func, relevant, args, kwargs):
    """Make a call that is overridden: ask the innermost mode, then the relevant arguments' classes.

    Raises:
        TypeError: all of them return NotImplemented.
    """
    func = _slots.get(func, func)
    chain, types = ordered(relevant)
    stack = modes()
    if stack and overriding_state()[1]:
        mode = stack.pop()
        overriding_state(modes=len(stack))
        try:
            got = mode.__torch_function__(func, types, args, kwargs)
        finally:
            stack.append(mode)
            overriding_state(modes=len(stack))
        if got is not NotImplemented:
            return got
    for x in chain:
        got = x.__torch_function__(func, types, args, kwargs)
        if got is not NotImplemented:
            return got
    name = f"{getattr(func, '__module__', None)}.{getattr(func, '__name__', func)}"
    raise TypeError(f"no implementation found for '{name}' on types that implement __torch_function__: {types}")


def has_torch_function(relevant):
    """Tell whether one of some arguments overrides calls, or a mode is entered."""
    return bool(modes()) or bool(relevant_args(tuple(relevant)))


def has_torch_function_unary(arg):
    """`has_torch_function` of one argument."""
    return has_torch_function((arg,))


def has_torch_function_variadic(*args):
    """`has_torch_function` of the arguments given."""
    return has_torch_function(args)


def handle_torch_function(public_api, relevant, *args, **kwargs):
    """Make the call ``public_api(*args, **kwargs)`` as the relevant arguments, or a mode, override it.

    Raises:
        TypeError: each of them returns NotImplemented.
    """
    return dispatch(public_api, relevant_args(tuple(relevant)), args, kwargs)


def public_names(rules, *spaces):
    """Return a dictionary of Tensor's methods, and functions of some modules, to their names.

    Args:
        rules: of several names of one function, one that is here is chosen.
        *spaces: (module, what stands before its names).
    """
    out = {}
    for space, prefix in ((Tensor, ""), *spaces):
        for name in dir(space) if space is not Tensor else Tensor.__dict__:
            fn = getattr(space, name, None)
            if callable(fn) and not isinstance(fn, type) and (space is Tensor or not name.startswith("_")):
                try:
                    if fn not in out or prefix + name in rules and out[fn] not in rules:
                        out[fn] = prefix + name
                except TypeError:
                    continue                 # not hashable
    return out


def _operator(name):
    base = getattr(Tensor, name)
    told = getattr(Tensor, _TOLD.get(name, name))
    # Python asks a subclass's reflected operator before Tensor's own; a class is told what the program wrote
    forward = "__" + name[3:] if name[:3] == "__r" and hasattr(Tensor, "__" + name[3:]) and name != "__repr__" else None
    written = forward and getattr(Tensor, _TOLD.get(forward, forward))

    def operator(self, *args):
        relevant = relevant_args((self, *args))
        if not relevant:
            return base(self, *args)
        if written is not None and isinstance(args[0], Tensor):
            return dispatch(written, relevant, (args[0], self), {})
        return dispatch(told if not args or isinstance(args[0], _OPERANDS) else base, relevant, (self, *args), {})
    operator.__name__ = name
    return operator


def _property(name):
    base = getattr(Tensor, name)

    def get(self):
        relevant = relevant_args((self,))
        return dispatch(_getters[name], relevant, (self,), {}) if relevant else base.__get__(self)

    def put(self, value):
        relevant = relevant_args((self, value))
        return dispatch(base.__set__, relevant, (self, value), {}) if relevant else base.__set__(self, value)

    def drop(self):
        base.__delete__(self)
    return property(get, put, drop)


def _taken(cls, name):
    """Whether a class between cls and Tensor has the name."""
    return any(name in c.__dict__ for c in cls.__mro__[:cls.__mro__.index(Tensor)])


def _prepare(cls, count=True):
    """Give a subclass of Tensor operators and properties that ask its __torch_function__."""
    if not asks(cls):
        return
    if count:
        count_overriding(1, True)
    for name in _OPERATORS:
        if not _taken(cls, name):
            setattr(cls, name, _operators[name])
    for name in _PROPERTIES:
        if hasattr(Tensor, name) and not _taken(cls, name):
            setattr(cls, name, _properties[name])


def _init_subclass(cls, **kwargs):
    super(Tensor, cls).__init_subclass__(**kwargs)
    _prepare(cls, not cls.__dict__.get("_overrides_counted_elsewhere", False))


_OPERATORS = _UNARY + _OTHER + [f"__{p}{n}__" for n in _BINARY for p in ("", "r", "i") if hasattr(Tensor, f"__{p}{n}__")]
_operators, _properties, _getters, _plain_getters, _slots = {}, {}, {}, set(), {}


def ready(getitem, setitem):
    """Make the overriding operators and properties, once Tensor has all its methods; install the entry points.

    Args:
        getitem, setitem: the functions behind ``Tensor.__getitem__`` and ``Tensor.__setitem__``.
    """
    _slots.update({getitem: Tensor.__getitem__, setitem: Tensor.__setitem__})
    _operators.update({name: _operator(name) for name in _OPERATORS})
    for name in _PROPERTIES:
        if hasattr(Tensor, name):
            _getters[name] = getattr(Tensor, name).__get__
            _properties[name] = _property(name)
    _plain_getters.update(_getters[name] for name in _PLAIN)
    install({"__torch_function__": classmethod(_tensor_torch_function), "__init_subclass__": classmethod(_init_subclass)})
    set_override_entry(asks, dispatch)
    set_overriding(Tensor, relevant_args)


class Shell:
    """Attributes of a tensor class whose instances have a shape and no elements (`_function.shell`), by way of its methods."""

    __slots__ = ()

    @property
    def T(self):
        return self.permute(tuple(range(self.dim())[::-1]))

    @property
    def mT(self):
        return self.transpose(-2, -1)

    @property
    def H(self):
        return self.T.conj()

    @property
    def mH(self):
        return self.mT.conj()

    def __iter__(self):
        if self.dim() == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))
