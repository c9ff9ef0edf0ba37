"""opcheck: does an operator do what it registered?"""
import threading

from .. import autograd, tensor
from ..errors import OpCheckError, TensorError
from ..tensor import Tensor
from . import _native
from ._registry import AUTOGRAD, OpOverload, OpOverloadPacket

_TESTS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_static", "test_aot_dispatch_dynamic")
_DEFAULT = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
_state = threading.local()


class FakeImplCtx:
    """What get_ctx() returns inside a fake kernel."""

    def __init__(self):
        self._sizes = {}

    def new_dynamic_size(self, *, min=0, max=None):
        """Return a size that stands for one only the values decide, between min and max."""
        for size in (7919, 7927, 7933, 7937, 7949, 7951, 7963, 7993, 8009, 8011):
            if size not in self._sizes:
                self._sizes[size] = (min, max)
                return size
        raise TensorError("new_dynamic_size: at most 10 sizes in one call")

    create_unbacked_symint = new_dynamic_size


def get_ctx():
    """Return the context of the fake kernel that runs.

    Raises:
        TensorError: no fake kernel runs (a RuntimeError).
    """
    found = getattr(_state, "ctx", None)
    if found is None:
        raise TensorError("get_ctx() can only be called inside a function given to register_fake, while opcheck() runs it")
    return found


def opcheck(op, args, kwargs=None, *, test_utils=_DEFAULT, raise_exception=True, atol=None, rtol=None):
    """Check what an operator registered against what it does, on these arguments.

    * test_schema: arguments that the schema does not call written keep their values; results alias only what it says.
    * test_autograd_registration: the gradient is registered so that it records one node.
    * test_faketensor: the fake kernel gives the results' shapes, dtypes and devices.
    * test_aot_dispatch_static, test_aot_dispatch_dynamic: nothing is traced here; forward and gradients, run twice on copies, agree.

    Args:
        op: a CustomOpDef, an overload or what ``rustorch_py.ops`` gives.
        args, kwargs: arguments of one call.
        test_utils: names of the tests to run.
        raise_exception: False: failures are returned instead.
        atol, rtol: tolerance of the comparison, by dtype if None.
    Returns:
        dict: test name -> "SUCCESS", or the exception.
    Raises:
        OpCheckError: a test failed.

    Example:
        >>> from rustorch_py.library import custom_op
        >>> @custom_op("doc_check::twice", mutates_args=())
        ... def twice(x: Tensor) -> Tensor:
        ...     return x * 2
        >>> _ = twice.register_fake(lambda x: tensor.empty_like(x))
        >>> opcheck(twice, (tensor.ones(2),))["test_faketensor"]
        'SUCCESS'
    """
    from ._custom import CustomOpDef
    if isinstance(op, CustomOpDef):
        op = op._opoverload
    if isinstance(op, OpOverloadPacket) and op.overloads() == ["default"]:
        op = op.default
    if not isinstance(op, OpOverload):
        raise ValueError(f"opcheck(op, ...): op must be instance of OpOverload, e.g. rustorch_py.ops.mylib.sin.default, got {type(op)}")
    if (rtol is None) != (atol is None):
        raise ValueError("opcheck(op, ...): either both of atol and rtol are given or none")
    names = (test_utils,) if isinstance(test_utils, str) else tuple(test_utils)
    if not names or set(names) - set(_TESTS):
        raise ValueError(f"opcheck(op, ..., test_utils={names}), expected test_utils to be subset of {_TESTS} but it was not")
    results = {}
    for name in names:
        try:
            _RUN[name](op, args, dict(kwargs or {}), {} if atol is None else {"atol": atol, "rtol": rtol})
            results[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise OpCheckError(f"opcheck(op, ...): {name} failed with {error} (scroll up for stack trace)", op=op.name()) from error
            results[name] = error
    return results


def _copied(value):
    """A copy with the same wish for gradients; lists and tuples of tensors as well."""
    if isinstance(value, Tensor):
        out = value.detach().clone()
        if value.layout is tensor.strided and out.stride() != value.stride():
            out = tensor.empty_strided(value.size(), value.stride(), dtype=value.dtype).copy_(value.detach()) if 0 not in value.stride() else out
        return out.requires_grad_(value.requires_grad)
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(v) for v in value)
    return value


def _flat(value):
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _flat(v)]
    if isinstance(value, dict):
        return _flat(list(value.values()))
    return [value]


def _tensors(value):
    return [t for t in _flat(value) if isinstance(t, Tensor)]


def _named(op, args, kwargs):
    values, named = op._schema.bind(args, kwargs)
    return list(zip(op._schema.positional, values)) + [(a, named[a.name]) for a in op._schema.keywords]


def _same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())


def _test_schema(op, args, kwargs, tolerance):
    args, kwargs = _copied(tuple(args)) if not isinstance(args, Tensor) else args, {k: _copied(v) for k, v in kwargs.items()}
    bound = _named(op, args, kwargs)
    before = [(argument, t, t.detach().clone()) for argument, v in bound for t in _tensors([v])]
    with tensor.no_grad():
        result = op(*args, **kwargs)
    for argument, t, old in before:
        if not argument.is_write and not _same(t.detach(), old):
            raise TensorError(f"Argument {argument.name} is not defined as mutable but was mutated")
    at_home = {}
    for argument, t, _ in before:
        at_home.setdefault(_native.storage_id(t), []).append(argument)
    at_home.pop(None, None)
    results = result if isinstance(result, tuple) else (result,)
    for i, (declared, got) in enumerate(zip(op._schema.returns, results)):
        for t in _tensors([got]):
            for argument in at_home.get(_native.storage_id(t), ()):
                if declared.alias_info is None or argument.alias_info is None or declared.alias_info.before_set != argument.alias_info.before_set:
                    raise TensorError(f"Argument {argument.name} is not defined to alias output {i} but was aliasing")


def _test_autograd_registration(op, args, kwargs, tolerance):
    wanting = [t for t in _tensors([list(args), kwargs]) if t.requires_grad]
    if not wanting or op._native is not None or op._records or AUTOGRAD in op._kernels or not set(op._kernels) & {"cpu", "cuda", "mps"}:
        return
    raise TensorError(f"{op.name()} has a kernel for a device and tensors that require gradients, but no gradient is registered: what its kernel is made of is "
                      f"recorded instead. Register one with register_autograd, or the kernel as CompositeImplicitAutograd.")


def _test_faketensor(op, args, kwargs, tolerance):
    schema = op._schema
    values, named = schema.bind(_copied(tuple(args)), {k: _copied(v) for k, v in kwargs.items()})
    real = op(*values, **named)
    if op._fake is None:
        if not schema.returns or all(r.is_write for r in schema.returns):
            return                                       # the results are the arguments, or nothing
        who = op._custom or op
        raise TensorError(f"There was no fake impl registered for {who}. Please use register_fake to add an fake impl.")
    values, named = schema.bind(_copied(tuple(args)), {k: _copied(v) for k, v in kwargs.items()})
    _state.ctx = ctx = FakeImplCtx()
    try:
        with tensor.no_grad():
            fake = schema.check_result(op._fake(*values, **named))
    finally:
        _state.ctx = None
    real, fake = _flat([real]), _flat([fake])
    if len(real) != len(fake):
        raise TensorError(f"the fake impl of {op.name()} returns {len(fake)} results, the operator {len(real)}")
    for i, (r, f) in enumerate(zip(real, fake)):
        if not isinstance(r, Tensor):
            if type(r) is not type(f):
                raise TensorError(f"result {i} of {op.name()} is {type(r).__name__}, the fake impl returns {type(f).__name__}")
            continue
        for what, a, b in (("dtype", r.dtype, f.dtype), ("device", r.device, f.device), ("number of dimensions", r.dim(), f.dim())):
            if a != b:
                raise TensorError(f"result {i} of {op.name()} has {what} {a}, the fake impl gives {b}")
        for d, (a, b) in enumerate(zip(r.shape, f.shape)):
            low, high = ctx._sizes.get(b, (b, b))
            if a < low or high is not None and a > high:
                raise TensorError(f"result {i} of {op.name()} has shape {list(r.shape)}, the fake impl gives {list(f.shape)} (dimension {d})")


def _test_twice(op, args, kwargs, tolerance):
    from ..testing import assert_close
    first, second = _run(op, args, kwargs), _run(op, args, kwargs)
    for a, b in zip(first, second):
        assert_close(a, b, equal_nan=True, **tolerance)


def _run(op, args, kwargs):
    """Results, written arguments and gradients of a call on copies."""
    args, kwargs = _copied(tuple(args)), {k: _copied(v) for k, v in kwargs.items()}
    inputs = _tensors([list(args), kwargs])
    # a leaf that asks for gradients may be written by the operator: it works on a value of its own
    results = _tensors([op(*args, **kwargs)])
    out = [t.detach().clone() for t in results + inputs]
    wanting = [t for t in inputs if t.requires_grad]
    roots = [t for t in results if t.requires_grad]
    if wanting and roots and (op._backward is not None or op._native is not None or not op._records):
        grads = autograd.grad(roots, wanting, [tensor.ones_like(t) for t in roots], allow_unused=True)
        out += [g for g in grads if g is not None]
    return out


_RUN = {"test_schema": _test_schema, "test_autograd_registration": _test_autograd_registration, "test_faketensor": _test_faketensor,
        "test_aot_dispatch_static": _test_twice, "test_aot_dispatch_dynamic": _test_twice}
