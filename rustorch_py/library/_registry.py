"""The table of operators by name, and what a call of one does: arguments, device, gradient, aliasing."""
import enum
import sys
import threading

from ..autograd import Function
from ..autograd.graph import increment_version
from ..errors import AutogradError, SchemaError, TensorError, UnsupportedOpError
from ..tensor import Tensor
from ..tensor._ops import get_profiler
from . import _native

DEFAULT, IMPLICIT, AUTOGRAD = "default", "implicit", "autograd"
# PyTorch's dispatch keys -> where a kernel is kept
KEYS = {"CPU": "cpu", "CUDA": "cuda", "MPS": "mps", "Meta": "meta", "CompositeExplicitAutograd": DEFAULT, "CompositeImplicitAutograd": IMPLICIT, "": IMPLICIT,
        "Autograd": AUTOGRAD, "AutogradCPU": AUTOGRAD, "AutogradCUDA": AUTOGRAD}
DEVICES = ("cpu", "cuda", "mps", "metal", "meta")
# namespaces that PyTorch keeps for itself
RESERVED = ("prim",)

lock = threading.RLock()
_table = {}                    # "ns::name" -> OpOverloadPacket
_namespaces = {}               # name -> _OpNamespace
_nested = threading.local()    # operators whose "Autograd" kernel runs in this thread


class Tag(enum.Enum):
    """Properties of an operator.

    ``inplace``: it writes its first argument and returns it. ``out``: it writes its keyword-only tensors and returns them. The
    others are kept with the operator and change nothing here.
    """
    inplace = "inplace"
    out = "out"
    core = "core"
    pointwise = "pointwise"
    view_copy = "view_copy"
    generated = "generated"
    data_dependent_output = "data_dependent_output"
    dynamic_output_shape = "dynamic_output_shape"
    nondeterministic_seeded = "nondeterministic_seeded"
    needs_fixed_stride_order = "needs_fixed_stride_order"
    flexible_layout = "flexible_layout"
    pt2_compliant_tag = "pt2_compliant_tag"


def as_tags(tags):
    """Return a tuple of tags from None, one tag or several."""
    if tags is None:
        return ()
    if isinstance(tags, Tag):
        return (tags,)
    tags = tuple(dict.fromkeys(tags))
    for tag in tags:
        if not isinstance(tag, Tag):
            raise TypeError(f"tags: expected Tag, got {type(tag).__name__}")
    return tags


def caller(depth):
    """Return "file:line" of the code that registers."""
    frame = sys._getframe(depth + 1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def parse_qualname(qualname):
    """Split "ns::name".

    Raises:
        ValueError: there is no "::", or more than one.
    """
    parts = qualname.split("::") if isinstance(qualname, str) else ()
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"expected the operator's name to look like \"{{namespace}}::{{name}}\", got {qualname!r}")
    if "." in parts[1]:
        raise ValueError(f"The torch.library custom ops API does not take operator names with a '.', got {qualname!r}")
    return parts


# ---- one overload -------------------------------------------------------------------------------------
class _Call:
    """How one call's lists were flattened, for the way back."""
    __slots__ = ("named", "lengths", "result_lengths", "is_tuple")


class OpOverload:
    """An operator: called with its schema's arguments, on the device of its tensors.

    Made by :func:`custom_op`, :meth:`Library.define` and :func:`load`; reached as ``rustorch_py.ops.<ns>.<name>.<overload>``.
    """

    def __init__(self, namespace, schema, tags=(), source="", custom=None):
        self.namespace, self._schema, self.tags, self._source, self._custom = namespace, schema, tags, source, custom
        self._opname = schema.name.partition("::")[2]
        self._overloadname = schema.overload_name or "default"
        self.__name__ = f"{self._opname}.{self._overloadname}"
        self.__qualname__ = self.__name__
        self.__module__ = f"rustorch_py.ops.{namespace}"
        self._kernels = {}             # device type, DEFAULT, IMPLICIT or AUTOGRAD -> function
        self._disabled = set()         # device types whose kernel is switched off
        self._fake = None
        self._vmap, self._autocast = None, {}
        self._backward = self._setup_context = None
        self._records = custom is not None     # one node of its own, its kernel does not record
        self._native = None
        self._function = None
        self._written = [i for i, a in enumerate(schema.positional) if a.is_write]
        self._written_names = [a.name for a in schema.keywords if a.is_write]
        self._has_lists = any(a.type.is_tensor_list for a in (*schema.arguments, *schema.returns))

    # ---- what it is ----
    def name(self):
        """Return "ns::name" or "ns::name.overload"."""
        return self._schema.name + ("." + self._schema.overload_name if self._schema.overload_name else "")

    @property
    def overloadpacket(self):
        """The overloads of this name together."""
        return _table[self._schema.name]

    def __str__(self):
        return f"{self.namespace}.{self._opname}.{self._overloadname}"

    def __repr__(self):
        return f"<OpOverload(op='{self.namespace}.{self._opname}', overload='{self._overloadname}')>"

    def __reduce__(self):
        return find, (self.name(),)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def has_kernel_for(self, device_type):
        """Tell whether a call on this device type has something to run."""
        return any(k in self._kernels for k in (device_type, DEFAULT, IMPLICIT)) or self._native is not None and device_type == "cpu"

    # ---- a call ----
    def __call__(self, /, *args, **kwargs):
        values, named = self._schema.bind(args, kwargs)
        if self._vmap is not None or self._autocast:
            from ._modes import special_call
            result = special_call(self, values, named)
            if result is not NotImplemented:
                return result
        profiler = get_profiler()
        if profiler is None:
            return self._dispatch(values, named)
        token = profiler[0](self._schema.name)
        try:
            return self._dispatch(values, named)
        finally:
            profiler[1](token)

    def _dispatch(self, values, named):
        if self._native is not None and self._backward is None:
            return self._native(*values)
        kernel = self._kernels.get(AUTOGRAD)
        if kernel is not None:
            running = _nested.__dict__.setdefault("ops", [])
            if self not in running:
                running.append(self)           # a call from inside goes below, to the device's kernel
                try:
                    return self._schema.check_result(kernel(*values, **named))
                finally:
                    running.pop()
        if not self._records:
            return self._run(values, named)
        if Tag.out in self.tags:
            if _native.wants_grad([*values, *named.values()]):
                raise AutogradError(f"{self._opname}(): functions with out=... arguments don't support automatic differentiation, but one of the "
                                    f"arguments requires grad.", op=self._schema.name)
        elif _native.wants_grad(values):
            return self._record(values, named)
        return _native.below(self._run, (values, named), {})

    def _device_type(self, values, named):
        found = None
        for v in values:
            for t in (v if type(v) is list else (v,)):
                if isinstance(t, Tensor):
                    if t.device.type != "cpu":
                        return t.device.type
                    found = "cpu"
        if found is None:
            for argument, v in zip(self._schema.positional, values):
                if argument.type.base == "Device" and v is not None:
                    return v.type
            for argument in self._schema.keywords:
                if argument.type.base == "Device" and named[argument.name] is not None:
                    return named[argument.name].type
        return found

    def _kernel(self, values, named):
        device_type = self._device_type(values, named)
        kernels = self._kernels
        wanted = device_type or "cpu"
        kernel = kernels.get(wanted)
        if kernel is not None and wanted not in self._disabled:
            return kernel
        if kernel is not None and self._custom is not None:
            return self._custom._init_fn
        kernel = kernels.get(DEFAULT)
        if kernel is None and wanted == "meta":
            kernel = self._fake
        if kernel is None:
            kernel = kernels.get(IMPLICIT)
        if kernel is None and self._native is not None and wanted == "cpu":
            kernel = self._native
        if kernel is None:
            have = sorted({"cpu": "CPU", "cuda": "CUDA", "mps": "MPS", "meta": "Meta"}.get(k, k) for k in kernels if k != AUTOGRAD)
            if device_type not in (None, "cpu") and self._custom is not None and not any(isinstance(v, Tensor) for v in values):
                raise UnsupportedOpError(f"{self._opname} does not have a kernel registered for {device_type}. Please use register_kernel to do so.",
                                         op=self._schema.name)
            raise UnsupportedOpError(f"Could not run '{self.name()}' with arguments from the '{wanted.upper()}' backend: no kernel is registered for it. "
                                     f"'{self.name()}' is only available for these backends: [{', '.join(have)}].", op=self._schema.name)
        return kernel

    def _run(self, values, named):
        kernel = self._kernel(values, named)
        if self._custom is None:
            return self._schema.check_result(kernel(*values, **named))
        for i in self._written:
            increment_version(values[i])
        for name in self._written_names:
            increment_version(named[name])
        result = self._schema.check_result(kernel(*values, **named))
        self._check_aliasing(values, named, result)
        return result

    def _check_aliasing(self, values, named, result):
        """A custom operator's results are new tensors, unless it says otherwise."""
        where = f"{self._opname} (with implementation in {getattr(self._custom._init_fn, '__module__', None)})"
        if Tag.inplace in self.tags:
            if result is not values[0]:
                raise TensorError(f"{where}: An operator tagged with Tag.inplace must return its first argument.", op=self._schema.name)
            return
        if Tag.out in self.tags:
            wanted = [named[n] for n in self._written_names]
            got = [result] if len(wanted) == 1 else list(result)
            if any(a is not b for a, b in zip(wanted, got)):
                raise TensorError(f"{where}: An operator tagged with Tag.out must return its mutable keyword-only arguments.", op=self._schema.name)
            return
        if self._schema.is_view():
            return
        seen = {_native.storage_id(t) for t in _tensors([*values, *named.values()])} - {None}
        for t in _tensors(result if isinstance(result, tuple) else (result,)):
            where_it_lives = _native.storage_id(t)
            if where_it_lives in seen:
                raise TensorError(f"{where}: The output of this custom operator (1) must not also be an input to this custom operator and (2) may not "
                                  f"alias any inputs to this custom operator or other returns. The most common way to trigger this error is if we "
                                  f"have y = custom_op(x) and y and x are the same Tensor. Please instead return a clone of the offending output "
                                  f"tensor(s) (e.g. return x.clone()) or refactor the custom operator to not return y.", op=self._schema.name)
            if where_it_lives is not None:
                seen.add(where_it_lives)

    # ---- gradient ----
    def _register_autograd(self, backward, setup_context):
        schema = self._schema
        who = self._custom or self
        if Tag.out in self.tags:
            raise AutogradError(f"Cannot register autograd formula for operator tagged with Tag.out: {who}. Out variants do not support autograd.",
                                op=schema.name)
        if schema.is_mutable or schema.is_view():
            raise AutogradError(f"Cannot register autograd formula for non-functional operator {who} with schema {schema}. Please create a functional "
                                f"operator and register an autograd formula for that.", op=schema.name)
        if not callable(backward) or not (setup_context is None or callable(setup_context)):
            raise TypeError(f"register_autograd({self.name()}): expected callables, got {backward!r} and setup_context={setup_context!r}")
        self._backward, self._setup_context, self._records = backward, setup_context, True

    def _record(self, values, named):
        if self._function is None:
            self._function = _make_function(self)
        call = _Call()
        call.named, call.lengths = named, None
        if not self._has_lists:
            return self._function.apply(*values, call)
        flat, call.lengths = [], []
        for argument, v in zip(self._schema.positional, values):
            if argument.type.is_tensor_list and v is not None:
                flat.extend(v)
                call.lengths.append(len(v))
            else:
                flat.append(v)
                call.lengths.append(None)
        result = self._function.apply(*flat, call)
        if call.result_lengths is None:
            return result
        result = _gather(result, call.result_lengths)
        return tuple(result) if call.is_tuple else result[0]


def _tensors(values):
    for v in values:
        if isinstance(v, Tensor):
            yield v
        elif isinstance(v, (list, tuple)):
            yield from (t for t in v if isinstance(t, Tensor))


def _gather(flat, lengths):
    out, at = [], 0
    for n in lengths:
        if n is None:
            out.append(flat[at])
            at += 1
        else:
            out.append(list(flat[at:at + n]))
            at += n
    return out


def _make_function(op):
    """A Function class whose backward asks the operator for what is registered when it runs."""

    def forward(ctx, *args):
        call, values = args[-1], list(args[:-1])
        ctx.needs_input_grad = ctx.needs_input_grad[:-1]
        if call.lengths is not None:
            values = _gather(values, call.lengths)
        result = op._run(values, call.named)
        if op._setup_context is not None:
            if op._schema.keywords:
                op._setup_context(ctx=ctx, inputs=tuple(values), keyword_only_inputs=call.named, output=result)
            else:
                op._setup_context(ctx=ctx, inputs=tuple(values), output=result)
        ctx._rt_call = call
        call.result_lengths = None
        if call.lengths is None:
            return result
        ctx.needs_input_grad = tuple(_gather(ctx.needs_input_grad, call.lengths))
        call.is_tuple = isinstance(result, tuple)
        parts = result if call.is_tuple else (result,)
        if any(isinstance(p, list) for p in parts):
            call.result_lengths = [len(p) if isinstance(p, list) else None for p in parts]
            return tuple(t for p in parts for t in (p if isinstance(p, list) else (p,)))
        return result

    def backward(ctx, *grads):
        call = ctx._rt_call
        if op._backward is None:
            raise AutogradError(f"Trying to backward through {op} but no autograd formula was registered. Please use register_autograd to add one.",
                                op=op._schema.name)
        if call.result_lengths is not None:
            grads = _gather(grads, call.result_lengths)
        got = op._backward(ctx, *grads)
        got = got if isinstance(got, tuple) else (got,)
        if call.lengths is None:
            return (*got, None)
        if len(got) < len(call.lengths):
            raise AutogradError(f"Expected the return from backward to be of the same structure as the inputs. {op}: {len(call.lengths)} inputs, "
                                f"{len(got)} gradients", op=op._schema.name)
        flat = []
        for n, g in zip(call.lengths, got):
            if n is None:
                flat.append(g)
            elif g is None:
                flat.extend([None] * n)
            elif isinstance(g, (list, tuple)) and len(g) == n:
                flat.extend(g)
            else:
                raise AutogradError(f"Expected the return from backward to be of the same structure as the inputs. {op}: a list of {n} tensors needs "
                                    f"a list of {n} gradients, got {type(g).__name__}", op=op._schema.name)
        return (*flat, None)

    return type(f"GeneratedBackwardFor_{op.namespace}_{op._opname}_{op._overloadname}", (Function,),
                {"forward": staticmethod(forward), "backward": staticmethod(backward), "__module__": __name__})


# ---- names -------------------------------------------------------------------------------------------------
class OpOverloadPacket:
    """The overloads of one name; called, the first whose schema takes the arguments runs."""

    def __init__(self, namespace, name):
        self._namespace, self.__name__ = namespace, name
        self._qualified_op_name = f"{namespace}::{name}"
        self._overloads = {}

    def overloads(self):
        """Return the overloads' names."""
        return list(self._overloads)

    @property
    def _schemas(self):
        return {n if n != "default" else "": op._schema for n, op in self._overloads.items()}

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.__dict__["_overloads"][name]
        except KeyError:
            raise AttributeError(f"The underlying op of '{self}' has no overload name '{name}'") from None

    def __call__(self, /, *args, **kwargs):
        overloads = self._overloads
        if len(overloads) == 1:
            for op in overloads.values():
                return op(*args, **kwargs)
        errors = []
        for op in overloads.values():
            try:
                values, named = op._schema.bind(args, kwargs)
            except SchemaError as error:
                errors.append(str(error))
                continue
            return op(*args, **kwargs)
        raise SchemaError("No overload fits the arguments:\n" + "\n".join(errors), op=self._qualified_op_name)

    def __dir__(self):
        return [*super().__dir__(), *self._overloads]

    def __str__(self):
        return f"{self._namespace}.{self.__name__}"

    def __repr__(self):
        return f"<OpOverloadPacket(op='{self}')>"

    def __reduce__(self):
        return packet, (self._qualified_op_name,)


class _OpNamespace:
    """Operators of one namespace, as attributes."""

    def __init__(self, name):
        self.__name__ = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        found = _table.get(f"{self.__name__}::{name}")
        if found is None:
            raise AttributeError(f"'_OpNamespace' '{self.__name__}' object has no attribute '{name}'")
        return found

    def __dir__(self):
        return sorted(q.partition("::")[2] for q in list(_table) if q.startswith(self.__name__ + "::"))

    def __repr__(self):
        return f"<operators 'rustorch_py.ops.{self.__name__}'>"


def namespace(name):
    """Return the namespace of that name, empty or not."""
    with lock:
        if name not in _namespaces:
            _namespaces[name] = _OpNamespace(name)
        return _namespaces[name]


def has_operators(name):
    """Tell whether a namespace has operators."""
    return any(q.startswith(name + "::") for q in list(_table))


def packet(qualname):
    """Return the overloads of "ns::name"; a plugin of that namespace is loaded first if need be.

    Raises:
        AttributeError: there is no such operator.
    """
    if qualname not in _table:
        from ._plugins import load_namespace
        load_namespace(qualname.partition("::")[0])
    found = _table.get(qualname)
    if found is None:
        raise AttributeError(f"operator {qualname} does not exist")
    return found


def find(name):
    """Return the overload "ns::name" (default) or "ns::name.overload"."""
    base, _, overload = name.partition(".")
    return getattr(packet(base), overload or "default")


def add(op, overwrite=False):
    """Enter an operator.

    Raises:
        TensorError: the name and overload name are taken (a RuntimeError, as in PyTorch).
    """
    with lock:
        found = _table.get(op._schema.name)
        old = found._overloads.get(op._overloadname) if found is not None else None
        if old is not None and not (overwrite and old._custom is not None):
            raise TensorError(f"Tried to register an operator ({op._schema}) with the same name and overload name multiple times. Each overload's schema "
                              f"should only be registered with a single call to def(). Duplicate registration: registered at {op._source}. Original "
                              f"registration: registered at {old._source}", op=op._schema.name)
        if found is None:
            found = _table[op._schema.name] = OpOverloadPacket(op.namespace, op._opname)
        found._overloads[op._overloadname] = op


def remove(op):
    """Take an operator out again."""
    with lock:
        found = _table.get(op._schema.name)
        if found is not None and found._overloads.get(op._overloadname) is op:
            del found._overloads[op._overloadname]
            if not found._overloads:
                del _table[op._schema.name]
