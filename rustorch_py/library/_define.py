"""Libraries of operators given by schema: Library, define, impl and the register_* functions by name."""
import re
import weakref

from ..errors import TensorError
from . import _registry
from ._registry import DEFAULT, DEVICES, KEYS, OpOverload, OpOverloadPacket, Tag, as_tags, caller, parse_qualname
from ._schema import parse_schema

_NAMELESS = re.compile(r"\(.*\)\s*->\s*.+", re.S)
_owners = {}                   # namespace -> where its "DEF" library was made
_kept = []                     # libraries made by define() and impl(): they live for ever


def fallthrough_kernel():
    """Stand for "no kernel here" in Library.impl: the next key is asked."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


def key_of(name):
    """Return where the kernel of a dispatch key ("CPU") or device type ("cpu", "default") is kept.

    Raises:
        RuntimeError: neither.
    """
    if name in KEYS:
        return KEYS[name]
    if name in DEVICES or name == DEFAULT:
        return name
    if name[:1].isupper():
        raise TensorError(f"could not parse dispatch key: {name}")
    raise TensorError(f"Expected one of {', '.join(DEVICES)} device type at start of device string: {name}")


def _forget(library_state):
    for op, key, kernel in library_state["kernels"]:
        if op._kernels.get(key) is kernel:
            del op._kernels[key]
    for op in library_state["operators"]:
        _registry.remove(op)
    if library_state["owns"] is not None:
        _owners.pop(library_state["owns"], None)
    library_state.update(operators=[], kernels=[], owns=None)


class Library:
    """Operators of one namespace, given by schemas; they exist as long as the library does.

    Args:
        ns: the namespace.
        kind: "DEF" (the one that defines the namespace), "FRAGMENT" (adds to it) or "IMPL" (kernels only).
        dispatch_key: "CPU", "CUDA", ...: what impl() takes if it is given none.
    Raises:
        ValueError: another kind, or a reserved namespace.
        TensorError: a second "DEF" library of one namespace (a RuntimeError, as in PyTorch).

    Example:
        >>> lib = Library("doc_library", "DEF")
        >>> lib.define("twice(Tensor x) -> Tensor")
        'twice'
        >>> lib.impl("twice", lambda x: x * 2, "CPU")
        >>> import rustorch_py as torch
        >>> torch.ops.doc_library.twice(torch.ones(2))
        tensor([2., 2.])
    """

    def __init__(self, ns, kind, dispatch_key=""):
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        if not isinstance(ns, str) or not ns.isidentifier():
            raise ValueError(f"Library: expected an identifier as namespace, got {ns!r}")
        if ns in _registry.RESERVED and kind != "IMPL":
            raise ValueError(f"{ns} is a reserved namespace. Please try creating a library with another name.")
        if dispatch_key:
            key_of(dispatch_key)
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key
        self._state = {"operators": [], "kernels": [], "owns": None}
        source = caller(1)
        if kind == "DEF":
            with _registry.lock:
                if ns in _owners:
                    raise TensorError(f"Only a single Library of kind \"DEF\" can be used to register the namespace {ns}; please put all of your definitions "
                                      f"in it, or use kind \"FRAGMENT\". Previous registration of the library was at {_owners[ns]}; this one is at {source}")
                _owners[ns] = source
                self._state["owns"] = ns
        self._finalizer = weakref.finalize(self, _forget, self._state)

    def __repr__(self):
        return f"Library(kind={self.kind}, ns={self.ns}, dispatch_key={self.dispatch_key})>"

    def define(self, schema, alias_analysis="", *, tags=()):
        """Define an operator by its schema; return its name.

        Raises:
            TensorError: the schema does not parse, names another namespace, or is taken (a RuntimeError, as in PyTorch).
        """
        if alias_analysis not in ("", "FROM_SCHEMA", "CONSERVATIVE"):
            raise TensorError(f"Invalid alias_analysis type {alias_analysis}")
        self._alive("define")
        if self.kind == "IMPL":
            raise TensorError(f"def(\"{schema.partition('(')[0]}\"): Cannot define an operator inside of a Library of kind \"IMPL\". All definitions should be "
                              f"placed in the \"DEF\" Library of their namespace, or in a \"FRAGMENT\".")
        op = OpOverload(self.ns, _qualified(self.ns, parse_schema(schema)), as_tags(tags), caller(1))
        _validate_tags(op)
        _registry.add(op)
        self._state["operators"].append(op)
        return schema.partition("(")[0].strip()

    def impl(self, op_name, fn, dispatch_key="", *, with_keyset=False, allow_override=False):
        """Register a kernel.

        Args:
            op_name: name in this namespace ("foo", "foo.out"), or an overload.
            fn: called with the schema's arguments; fallthrough_kernel takes a kernel out of the way.
            dispatch_key: "CPU", "CUDA", "CompositeExplicitAutograd" (every device), "CompositeImplicitAutograd" (the default: made of
                operators that record themselves), "Autograd" (runs first; a call from inside reaches the device's kernel).
            with_keyset: fn's first argument is a set of dispatch keys; there are none here, so True is refused.
        Raises:
            TypeError: fn is not callable.
            TensorError: no such operator or key (a RuntimeError, as in PyTorch).
        """
        self._alive("impl")
        if not callable(fn):
            raise TypeError(f"Input function is required to be a callable but found type {type(fn)}")
        if with_keyset:
            raise TensorError("impl: with_keyset=True needs a dispatcher with sets of keys; write a kernel for one key at a time")
        key = key_of(dispatch_key or self.dispatch_key)
        name = op_name.name() if isinstance(op_name, OpOverload) else op_name
        ns, colons, rest = name.partition("::")
        if colons and ns != self.ns:
            raise TensorError(f"impl(\"{name}\", ...): Explicitly provided namespace ({ns}) in operator name does not match namespace of enclosing Library "
                              f"({self.ns}).")
        op = _find(f"{self.ns}::{rest if colons else name}")
        if fn is fallthrough_kernel:
            op._kernels.pop(key, None)
            return
        op._kernels[key] = fn
        self._state["kernels"].append((op, key, fn))

    def _register_fake(self, op_name, fn, _stacklevel=1, *, allow_override=True):
        self._alive("register_fake")
        _find(f"{self.ns}::{op_name}")._fake = fn

    def _alive(self, what):
        if not self._finalizer.alive:
            raise TensorError(f"{what}: this Library object has been destroyed")

    def _destroy(self):
        """Take the library's operators and kernels out of the registry."""
        self._finalizer()


def _qualified(ns, schema):
    given, colons, rest = schema.name.partition("::")
    if colons and given != ns:
        raise TensorError(f"Explicitly provided namespace ({given}) in schema string does not match namespace of enclosing Library ({ns}).")
    schema.name = f"{ns}::{rest if colons else schema.name}"
    return schema


def _validate_tags(op):
    """An operator tagged inplace or out says so in its schema."""
    schema = op._schema
    written = [a for a in schema.arguments if a.is_write]

    def fail(what):
        raise ValueError(f"{what} Got: {schema}")
    if Tag.inplace in op.tags:
        if not schema.positional or written != schema.positional[:1] or schema.positional[0].type.text() != "Tensor":
            fail("Schema tagged with Tag.inplace requires exactly the first positional argument to be mutable, a Tensor(a!).")
        if len(schema.returns) != 1 or not _aliases(schema.returns[0], written[0]):
            fail("Schema tagged with Tag.inplace must return the first mutable argument.")
    if Tag.out in op.tags:
        if not written or any(not a.kwarg_only or a.type.text() != "Tensor" for a in written):
            fail("Schema tagged with Tag.out requires mutable arguments, all of them keyword-only Tensors.")
        if len(schema.returns) != len(written) or not all(_aliases(r, a) for r, a in zip(schema.returns, written)):
            fail("Schema tagged with Tag.out must return all mutable arguments, in order.")


def _aliases(result, argument):
    return result.is_write and result.alias_info.before_set == argument.alias_info.before_set


def _find(name):
    try:
        return _registry.find(name)
    except AttributeError:
        raise TensorError(f"operator {name} does not exist") from None


def resolve(op, who):
    """Return the overload that a name, overload, packet or CustomOpDef means."""
    from ._custom import CustomOpDef
    if isinstance(op, CustomOpDef):
        return op._opoverload
    if isinstance(op, OpOverload):
        return op
    if isinstance(op, OpOverloadPacket):
        return op.default
    if not isinstance(op, str):
        raise ValueError(f"{who}({op}): got unexpected type for op: {type(op)}")
    parse_qualname(op)
    return _find(op)


def define(qualname, schema, *, lib=None, tags=()):
    """Define an operator by name and schema; its kernels come by impl().

    Args:
        qualname: "ns::name".
        schema: without a name: "(Tensor x) -> Tensor".
        lib: keeps the operator alive; without one it stays for ever.

    Also ``@define(lib, "name(Tensor x) -> Tensor")`` over the kernel for every device.

    Example:
        >>> import rustorch_py as torch
        >>> define("doc_define::twice", "(Tensor x) -> Tensor")
        >>> impl("doc_define::twice", "cpu", lambda x: x * 2)
        >>> torch.ops.doc_define.twice(torch.ones(2))
        tensor([2., 2.])
    """
    if isinstance(qualname, Library):
        library = qualname

        def wrap(fn):
            name = library.define(schema, tags=tags)
            library.impl(name, fn)
            return fn
        return wrap
    if not isinstance(qualname, str):
        raise ValueError(f"define(qualname, schema): expected qualname to be instance of str, got {type(qualname)}")
    ns, name = parse_qualname(qualname)
    if not isinstance(schema, str) or not _NAMELESS.fullmatch(schema):
        raise ValueError(f"define(qualname, schema, ...): expected schema to look like e.g. \"(Tensor x) -> Tensor\" but got \"{schema}\"")
    _library(ns, lib).define(name + schema, tags=tags)


def _library(ns, lib):
    if lib is None:
        lib = Library(ns, "FRAGMENT")
        _kept.append(lib)
    return lib


def impl(qualname, types, func=None, *, lib=None):
    """Register a kernel for device types; decorates the kernel when func is left out.

    Args:
        qualname: "ns::name", or a Library (then types is the name and func the dispatch key, as a decorator).
        types: "cpu", "cuda", "default" (every device), a dispatch key, or several.
    """
    if isinstance(qualname, Library):
        library, name, key = qualname, types, func or ""

        def wrap(fn):
            library.impl(name, fn, key)
            return fn
        return wrap
    names = (types,) if isinstance(types, str) else tuple(types)
    for name in names:
        key_of(name)
    ns = parse_qualname(qualname)[0]

    def register(fn):
        library = _library(ns, lib)
        for name in names:
            library.impl(qualname, fn, name)
        return fn
    if func is None:
        return register
    register(func)
    return None


def register_kernel(op, device_types, func=None, /, *, lib=None):
    """Register a kernel of an operator for a device type ("cpu", "cuda"), several, or all (None)."""
    from ._custom import CustomOpDef, custom_of
    found = resolve(op, "register_kernel")
    custom = op if isinstance(op, CustomOpDef) else custom_of(found)
    if custom is not None:
        return custom.register_kernel(device_types, func)
    names = ("default",) if device_types is None else device_types
    if func is None:
        return lambda fn: impl(found._schema.name, names, fn, lib=lib) or fn
    impl(found._schema.name, names, func, lib=lib)
    return func


def register_fake(op, func=None, /, *, lib=None, _stacklevel=1, allow_override=True):
    """Register what an operator does to shapes: called with its arguments, returns empty tensors like the results.

    opcheck() compares it with the operator. A tensor's own values must not be read; sizes that depend on them come from
    ``get_ctx().new_dynamic_size()``.
    """
    found = resolve(op, "register_fake")

    def register(fn):
        if not callable(fn):
            raise TypeError(f"register_fake: expected a callable, got {type(fn).__name__}")
        if found._fake is not None and not allow_override:
            raise TensorError(f"register_fake(...): the operator {found._schema.name} already has an fake impl registered")
        found._fake = fn
        return fn
    return register if func is None else register(func)


def register_autograd(op, backward, /, *, setup_context=None, lib=None):
    """Register an operator's gradient.

    Args:
        backward: called with (ctx, one gradient a result); returns one gradient (or None) a positional argument, a list for a list.
        setup_context: called in forward with ctx=, inputs=, output= (and keyword_only_inputs= if there are such arguments): saves
            what backward reads by ctx.save_for_backward or as attributes of ctx.
    Raises:
        AutogradError: the operator writes to or aliases its arguments (a RuntimeError, as in PyTorch).
        AttributeError: there is no such operator.
    """
    if isinstance(op, str):
        parse_qualname(op)
        found = _registry.find(op)
    else:
        found = resolve(op, "register_autograd")
    found._register_autograd(backward, setup_context)


def impl_abstract(qualname, func=None, *, lib=None):
    """Register a fake kernel: the name of register_fake before PyTorch 2.4."""
    import warnings
    warnings.warn("impl_abstract was renamed to register_fake", FutureWarning, stacklevel=2)
    return register_fake(qualname, func, lib=lib)
