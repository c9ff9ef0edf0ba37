"""Which functions may be recorded once and run as a program afterwards: those whose text says that they only do arithmetic.

Note [Straight-line functions]
A recording is the function only if nothing decides between calls what it does. So its text must be assignments and one result, made of
arithmetic, comparisons and calls of elementwise operators (:data:`NAMES`) on its arguments, and on names from outside that are modules,
functions, dtypes or numbers. What those names stood for is kept and looked at before each call (:meth:`Reading.holds`); numbers and dtypes
among the arguments belong to the key of the recording. No branches, loops, attributes of tensors (shapes), in-place operators or random
numbers: such a function runs as it stands.
"""
import ast
import builtins
import inspect
import textwrap
import types

from ..tensor import Tensor, dtype as DType
from ..tensor.optable import ROWS

NUMBERS = (bool, int, float, complex, type(None), DType)
_OTHERS = """add sub subtract mul multiply div divide true_divide rsub pow float_power square clamp clip clamp_min clamp_max where gelu silu relu relu6
    softplus elu leaky_relu selu celu hardtanh hardswish hardsigmoid hardshrink softshrink tanhshrink softsign logsigmoid mish threshold sigmoid tanh exp
    addcmul addcdiv lerp rsqrt sqrt reciprocal maximum minimum nan_to_num copysign xlogy logit float double half bfloat16""".split()
NAMES = frozenset(_OTHERS) | {name for row in ROWS if row.public for name in (row.name, *row.aliases)}
_KEYWORDS = frozenset({"out", "inplace", "generator"})
_MISSING = object()


class _Refused(Exception):
    """The function does something that a recording cannot stand for."""


class Reading:
    """A function that may be recorded.

    Attributes:
        seen: (where to look, name, what was there) of each name from outside.
    """

    def __init__(self):
        self.seen = []

    def holds(self):
        """Tell whether the names from outside still stand for the same objects."""
        for get, name, was in self.seen:
            if get(name, _MISSING) is not was:
                return False
        return True


def read(fn):
    """Return the Reading of a plain Python function, or None where it must run as it stands."""
    reading = Reading()
    try:
        _function(fn, reading, 0)
    except _Refused:
        return None
    return reading


def _tree(fn):
    try:
        text = textwrap.dedent(inspect.getsource(fn))
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError):
        raise _Refused from None
    if fn.__name__ != "<lambda>":
        found = tree.body[0]
        if len(tree.body) != 1 or not isinstance(found, ast.FunctionDef) or found.name != fn.__name__:
            raise _Refused
        return found.args, found.body
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    if len(lambdas) != 1:                              # several on one line: which is it?
        raise _Refused
    return lambdas[0].args, [ast.Return(lambdas[0].body)]


def _function(fn, reading, depth):
    if not isinstance(fn, types.FunctionType) or depth > 4 or fn.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise _Refused
    arguments, body = _tree(fn)
    if arguments.vararg or arguments.kwarg:
        raise _Refused
    defaults = (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values())
    if not all(isinstance(d, NUMBERS) for d in defaults):
        raise _Refused
    reading.seen.append((lambda name, default: getattr(fn, name), "__defaults__", fn.__defaults__))
    reading.seen.append((lambda name, default: getattr(fn, name), "__code__", fn.__code__))
    outside = dict(zip(fn.__code__.co_freevars, fn.__closure__ or ()))
    local = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    scope = _Scope(fn, outside, local, reading, depth)
    for i, statement in enumerate(body):
        last = i == len(body) - 1
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and not last:
            continue                                   # a docstring
        if isinstance(statement, ast.Return) and last and statement.value is not None:
            scope.value(statement.value)
        elif isinstance(statement, ast.Assign) and not last and all(isinstance(t, ast.Name) for t in statement.targets):
            scope.value(statement.value)
            local.update(t.id for t in statement.targets)
        elif isinstance(statement, ast.AnnAssign) and not last and isinstance(statement.target, ast.Name) and statement.value is not None:
            scope.value(statement.value)
            local.add(statement.target.id)
        else:
            raise _Refused


class _Scope:
    def __init__(self, fn, outside, local, reading, depth):
        self.fn, self.outside, self.local, self.reading, self.depth = fn, outside, local, reading, depth

    def value(self, node):
        """Look at an expression that gives a tensor or a number."""
        if isinstance(node, ast.BinOp):
            self.value(node.left)
            self.value(node.right)
        elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
            self.value(node.operand)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)):
            self.value(node.left)
            self.value(node.comparators[0])
        elif isinstance(node, ast.Constant):
            if not isinstance(node.value, (*NUMBERS, str)):
                raise _Refused
        elif isinstance(node, ast.Call):
            self.call(node)
        elif isinstance(node, ast.Name) and node.id in self.local:
            return
        elif not isinstance(self.object(node), NUMBERS):
            raise _Refused

    def call(self, node):
        if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None or k.arg in _KEYWORDS for k in node.keywords):
            raise _Refused
        for a in (*node.args, *(k.value for k in node.keywords)):
            self.value(a)
        f = node.func
        if isinstance(f, ast.Attribute):
            root = f.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if not isinstance(root, ast.Name) or root.id in self.local:            # a method of a tensor
                self.value(f.value)
                if f.attr not in NAMES:
                    raise _Refused
                return
        found = self.object(f)
        if found is builtins.abs or found is builtins.pow:
            return
        found = getattr(found, "fused_from", found)
        if _is_ours(found):
            if found.__name__ not in NAMES:
                raise _Refused
        else:
            _function(found, self.reading, self.depth + 1)

    def object(self, node):
        """What a name from outside, or an attribute of modules, stands for."""
        if isinstance(node, ast.Name) and node.id not in self.local:
            cell = self.outside.get(node.id)
            if cell is not None:
                return self.see(lambda name, default: _contents(cell, default), node.id)
            where = self.fn.__globals__ if node.id in self.fn.__globals__ else vars(builtins)
            return self.see(where.get, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.object(node.value)
            if isinstance(owner, types.ModuleType):
                return self.see(lambda name, default: getattr(owner, name, default), node.attr)
        raise _Refused

    def see(self, get, name):
        found = get(name, _MISSING)
        if found is _MISSING:
            raise _Refused
        self.reading.seen.append((get, name, found))
        return found


def _contents(cell, default):
    try:
        return cell.cell_contents
    except ValueError:                                 # empty
        return default


def _is_ours(fn):
    return callable(fn) and not isinstance(fn, type) and (getattr(fn, "__module__", None) or "").split(".")[0] == __package__.split(".")[0] and hasattr(fn, "__name__")


def is_plain(x):
    """Tell whether an argument may be an input of a program: a Tensor itself or a Parameter, no other subclass."""
    return type(x) is Tensor or type(x).__name__ == "Parameter" and type(x).__module__.startswith(__package__.split(".")[0])
