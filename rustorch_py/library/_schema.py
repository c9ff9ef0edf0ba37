"""Schemas of operators: PyTorch's text form, read from a string or from a function's type hints."""
import collections.abc
import inspect
import re
import types
import typing
from numbers import Number as _AnyNumber

from ..errors import SchemaError
from ..tensor import Tensor, device, dtype, layout, memory_format

Number = typing.Union[int, float, bool]


class _Mismatch(Exception):
    """A value of the wrong type; bind() says for which argument."""


# ---- types --------------------------------------------------------------------------------------------
def _number(value):
    if isinstance(value, (int, float, complex)):
        return value
    if type(value).__module__ == "numpy" and isinstance(value, _AnyNumber):
        return value.item()
    raise _Mismatch


def _tensor(value):
    if isinstance(value, Tensor):
        return value
    raise _Mismatch


def _int(value):
    if type(value) is int:
        return value
    if isinstance(value, (float, str)) or not hasattr(value, "__index__") or isinstance(value, Tensor):
        raise _Mismatch
    return int(value)


def _float(value):
    if type(value) is float:
        return value
    value = _number(value)
    if isinstance(value, complex):
        raise _Mismatch
    return float(value)


def _bool(value):
    if isinstance(value, (bool, int)):
        return bool(value)
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise _Mismatch


def _complex(value):
    return complex(_number(value))


def _device(value):
    return device(value) if isinstance(value, str) else _instance(device, value)


def _instance(cls, value):
    if isinstance(value, cls):
        return value
    raise _Mismatch


# name in a schema: (name in messages, reader of a value)
_BASES = {
    "Tensor": ("Tensor", _tensor), "int": ("int", _int), "SymInt": ("int", _int), "float": ("float", _float), "bool": ("bool", _bool),
    "complex": ("complex", _complex), "Scalar": ("number", _number), "str": ("str", lambda v: _instance(str, v)),
    "ScalarType": ("dtype", lambda v: _instance(dtype, v)), "Device": ("Device", _device), "Layout": ("Layout", lambda v: _instance(layout, v)),
    "MemoryFormat": ("MemoryFormat", lambda v: _instance(memory_format, v)),
}


class SchemaType:
    """Type of an argument or result: a base, optional or a list, itself perhaps optional.

    Attributes:
        base: "Tensor", "int", "float", ...
        optional: None is allowed (for a list: instead of the list).
        is_list, element_optional, size: a list; of optional elements; a number stands for ``size`` equal ones.
    """
    __slots__ = ("base", "optional", "is_list", "element_optional", "size", "read")

    def __init__(self, base, optional=False, is_list=False, element_optional=False, size=None):
        self.base, self.optional, self.is_list, self.element_optional, self.size = base, optional, is_list, element_optional, size
        self.read = self._reader()

    def _reader(self):
        read = _BASES[self.base][1]
        if self.is_list:
            one, size, nullable = read, self.size, self.element_optional

            def read(value):
                if isinstance(value, (list, tuple)):
                    return [None if v is None and nullable else one(v) for v in value]
                if size is not None:
                    return [one(value)] * size
                if hasattr(value, "__iter__") and not isinstance(value, (str, Tensor, dict)) and hasattr(value, "__len__"):
                    return [one(v) for v in value]
                raise _Mismatch
        if not self.optional:
            return read
        return lambda value: None if value is None else read(value)

    def text(self, alias=None):
        """Return the type as a schema spells it."""
        mark = "" if alias is None else str(alias)
        out = self.base + mark
        if self.is_list:
            out += ("?" if self.element_optional else "") + f"[{self.size if self.size is not None else ''}]"
        return out + ("?" if self.optional else "")

    def __str__(self):
        name = _BASES[self.base][0]
        if self.element_optional:
            name = f"Optional[{name}]"
        if self.is_list:
            name = f"List[{name}]"
        return f"Optional[{name}]" if self.optional else name

    def __repr__(self):
        return f"SchemaType({self.text()})"

    def __eq__(self, other):
        return isinstance(other, SchemaType) and self.text() == other.text()

    def __hash__(self):
        return hash(self.text())

    @property
    def is_tensor_list(self):
        return self.base == "Tensor" and self.is_list


class AliasInfo:
    """The mark ``(a)`` or ``(a!)``: which set of tensors shares memory, and whether it is written."""
    __slots__ = ("before_set", "is_write")

    def __init__(self, name, is_write):
        self.before_set, self.is_write = {name}, is_write

    def __str__(self):
        return f"({next(iter(self.before_set))}{'!' if self.is_write else ''})"


class Argument:
    """An argument or result of a schema.

    Attributes:
        name, type, alias_info (or None), kwarg_only, default_value (None when there is none).
    """
    __slots__ = ("name", "type", "alias_info", "kwarg_only", "has_default", "default_value", "read")

    def __init__(self, name, type, alias_info=None, kwarg_only=False, has_default=False, default_value=None):
        self.name, self.type, self.alias_info, self.kwarg_only = name, type, alias_info, kwarg_only
        self.has_default, self.default_value = has_default, default_value
        self.read = type.read

    def has_default_value(self):
        """Tell whether the argument may be left out."""
        return self.has_default

    @property
    def is_write(self):
        return self.alias_info is not None and self.alias_info.is_write

    def __str__(self):
        out = self.type.text(self.alias_info)
        if self.name:
            out += " " + self.name
        return out + ("=" + _default_text(self.default_value) if self.has_default else "")


def _default_text(value):
    if isinstance(value, float):
        text = repr(value)
        return text[:-1] if text.endswith(".0") else text
    if isinstance(value, (str, device)):
        return f'"{value}"'
    if isinstance(value, dtype):
        return value.name
    if isinstance(value, list):
        return "[" + ", ".join(_default_text(v) for v in value) + "]"
    return str(value)


class FunctionSchema:
    """Signature of an operator: name, arguments, results; str() gives the text back."""
    __slots__ = ("name", "overload_name", "arguments", "returns", "positional", "keywords", "index", "is_mutable")

    def __init__(self, name, overload_name, arguments, returns):
        self.name, self.overload_name, self.arguments, self.returns = name, overload_name, arguments, returns
        self.positional = [a for a in arguments if not a.kwarg_only]
        self.keywords = [a for a in arguments if a.kwarg_only]
        self.index = {a.name: i for i, a in enumerate(self.positional)}
        self.is_mutable = any(a.is_write for a in arguments)

    def __str__(self):
        parts = [str(a) for a in self.positional]
        if self.keywords:
            parts += ["*", *[str(a) for a in self.keywords]]
        if len(self.returns) == 1:
            out = str(self.returns[0])
            out = f"({out})" if self.returns[0].name else out
        else:
            out = "(" + ", ".join(str(r) for r in self.returns) + ")"
        name = self.name + ("." + self.overload_name if self.overload_name else "")
        return f"{name}({', '.join(parts)}) -> {out}"

    __repr__ = __str__

    def is_view(self):
        """Tell whether a result shares memory with an argument that is not written."""
        return any(r.alias_info is not None and not r.alias_info.is_write for r in self.returns)

    # ---- arguments of a call ----
    def bind(self, args, kwargs):
        """Return (positional values, keyword-only values by name), checked, with defaults filled in.

        Raises:
            SchemaError: a value is missing, surplus or of another type (a RuntimeError, as in PyTorch).
        """
        positional = self.positional
        if len(args) > len(positional):
            raise SchemaError(f"{self.name}() takes {len(positional)} positional argument(s) but {len(args)} was/were given.  "
                              f"Declaration: {self}", op=self.name)
        values = []
        used = 0
        for i, argument in enumerate(positional):
            if i < len(args):
                value = args[i]
                if kwargs and argument.name in kwargs:
                    raise SchemaError(f"Argument '{argument.name}' specified both as positional and keyword argument. Schema: {self}", op=self.name)
            elif kwargs and argument.name in kwargs:
                value = kwargs[argument.name]
                used += 1
            elif argument.has_default:
                values.append(_fresh(argument.default_value))
                continue
            else:
                self._missing(argument, kwargs)
            try:
                values.append(argument.read(value))
            except _Mismatch:
                self._mismatch(argument, i, value)
        named = {}
        for i, argument in enumerate(self.keywords):
            if argument.name in kwargs:
                used += 1
                try:
                    named[argument.name] = argument.read(kwargs[argument.name])
                except _Mismatch:
                    self._mismatch(argument, len(positional) + i, kwargs[argument.name])
            elif argument.has_default:
                named[argument.name] = _fresh(argument.default_value)
            else:
                self._missing(argument, kwargs)
        if used != len(kwargs):
            self._unknown(kwargs)
        return values, named

    def _missing(self, argument, kwargs):
        self._unknown(kwargs)
        raise SchemaError(f"{self.name}() is missing value for argument '{argument.name}'. Declaration: {self}", op=self.name)

    def _unknown(self, kwargs):
        known = {a.name for a in self.arguments}
        for name in kwargs:
            if name not in known:
                raise SchemaError(f"Unknown keyword argument '{name}' for operator '{self.name}'. Schema: {self}", op=self.name)

    def _mismatch(self, argument, position, value):
        raise SchemaError(f"{self.name}() Expected a value of type '{argument.type}' for argument '{argument.name}' but instead found type "
                          f"'{type(value).__name__}'.\nPosition: {position}\nValue: {value!r}\nDeclaration: {self}", op=self.name) from None

    def check_result(self, result):
        """Return the result as the schema says, lists and tuples made so.

        Raises:
            SchemaError: the kernel returned something else.
        """
        returns = self.returns
        if not returns:
            if result is not None:
                raise SchemaError(f"{self.name}: the schema has no results, the kernel returned {type(result).__name__}. Declaration: {self}",
                                  op=self.name)
            return None
        if len(returns) == 1:
            return self._read_result(0, result)
        if not isinstance(result, (tuple, list)):
            raise TypeError(f"{self.name}: Object of type '{type(result).__name__}' is not an instance of 'sequence'; the schema has "
                            f"{len(returns)} results. Declaration: {self}")
        if len(result) != len(returns):
            raise SchemaError(f"{self.name}: expected {len(returns)} results, the kernel returned {len(result)}. Declaration: {self}", op=self.name)
        return tuple([self._read_result(i, r) for i, r in enumerate(result)])

    def _read_result(self, i, value):
        try:
            return self.returns[i].read(value)
        except _Mismatch:
            raise SchemaError(f"{self.name}: Unable to cast {value!r} to {self.returns[i].type} (result {i}). Declaration: {self}",
                              op=self.name) from None


def _fresh(value):
    return list(value) if type(value) is list else value


# ---- reading text ------------------------------------------------------------------------------------------
_TOKEN = re.compile(r"""\s*(?:(?P<arrow>->)|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<ident>[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)
                        |(?P<string>"[^"]*"|'[^']*')|(?P<op>[()\[\],=?*!.|]))""", re.X)


class _Parser:
    def __init__(self, text):
        self.text, self.at = text, 0
        self.tokens = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                self.at = at
                raise SchemaError(f"unexpected character {text[at:].lstrip()[0]!r} here:\n{self._show(at)}")
            self.tokens.append((match.lastgroup if match.lastgroup != "op" else match.group("op"), match.group(match.lastgroup),
                                match.start(match.lastgroup)))
            at = match.end()
        self.tokens.append(("eof", "", len(text)))

    def _show(self, at, width=1):
        return f"{self.text}\n{' ' * at}{'~' * max(width, 1)} <--- HERE"

    def fail(self, expected):
        kind, value, at = self.tokens[self.at]
        raise SchemaError(f"expected {expected} but found {kind!r} here:\n{self._show(at, len(value))}")

    def peek(self):
        return self.tokens[self.at][0]

    def take(self, kind, name=None):
        if self.tokens[self.at][0] != kind:
            self.fail(name or kind)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def maybe(self, kind):
        if self.tokens[self.at][0] == kind:
            self.at += 1
            return True
        return False

    def schema(self):
        name = self.take("ident")
        overload = self.take("ident") if self.maybe(".") else ""
        if self.peek() != "(":
            self.fail("eof" if self.peek() != "eof" else "(")
        self.take("(")
        arguments, keyword = [], False
        seen_default = None
        while not self.maybe(")"):
            if arguments or keyword:
                self.take(",", "," if self.peek() != "eof" else ")")
            if self.maybe("*"):
                if keyword:
                    self.fail("a single *")
                keyword = True
                if self.peek() not in (",", ")"):
                    self.fail(",")
                continue
            argument = self.argument(keyword)
            if not keyword:
                if seen_default and not argument.has_default:
                    raise SchemaError(f"Non-default positional argument follows default argument. Parameter {argument.name} in {self.text}")
                seen_default = argument.has_default
            if any(a.name == argument.name for a in arguments):
                raise SchemaError(f"two arguments are named {argument.name!r} in {self.text}")
            arguments.append(argument)
        self.take("arrow")
        returns = []
        if self.maybe("("):
            while not self.maybe(")"):
                if returns:
                    self.take(",", "," if self.peek() != "eof" else ")")
                nested = self.maybe("(")
                returns.append(self.result())
                if nested:
                    self.take(")")
        else:
            returns.append(self.result())
        if self.peek() != "eof":
            self.fail("eof")
        return FunctionSchema(name, overload, arguments, returns)

    def type(self):
        at = self.tokens[self.at][2]
        base = self.take("ident")
        if base not in _BASES:
            raise SchemaError(f"unknown type specifier {base!r}. Schema types are {', '.join(_BASES)}, with ?, [], [N]:\n"
                              f"{self._show(at, len(base))}")
        alias = None
        if self.maybe("("):
            alias_name = self.take("ident")
            alias = AliasInfo(alias_name, self.maybe("!"))
            self.take(")")
        first = self.maybe("?")
        if not self.maybe("["):
            return SchemaType(base, optional=first), alias
        size = None
        if self.peek() == "number":
            size = int(self.take("number"))
        self.take("]")
        return SchemaType(base, self.maybe("?"), True, first, size), alias

    def argument(self, keyword):
        type_, alias = self.type()
        name = self.take("ident")
        if not self.maybe("="):
            return Argument(name, type_, alias, keyword)
        return Argument(name, type_, alias, keyword, True, self.default(type_))

    def result(self):
        type_, alias = self.type()
        return Argument(self.take("ident") if self.peek() == "ident" else "", type_, alias)

    def default(self, type_):
        kind, value, at = self.tokens[self.at]
        if value == "None":
            self.at += 1
            return None
        if type_.is_list:
            if type_.size is not None and kind == "number":
                return [self.scalar(type_.base)] * type_.size
            if type_.base not in ("int", "SymInt", "float", "complex", "bool", "Scalar"):
                raise SchemaError(f"lists are only supported for float, int and complex types:\n{self._show(at, len(value))}")
            self.take("[")
            values = []
            while not self.maybe("]"):
                if values:
                    self.take(",")
                values.append(self.scalar(type_.base))
            return values
        return self.scalar(type_.base)

    def scalar(self, base):
        kind, value, at = self.tokens[self.at]
        if base == "Tensor":
            self.fail("None")
        if base in ("str", "Device"):
            text = self.take("string")[1:-1]
            return device(text) if base == "Device" else text
        if base in ("ScalarType", "Layout", "MemoryFormat"):
            self.at += 1
            from .. import tensor
            found = getattr(tensor, value, None) if kind == "ident" else None
            if found is None:
                raise SchemaError(f"invalid default value {value!r} of type {base}:\n{self._show(at, len(value))}")
            return found
        self.at += 1
        if kind == "ident" and value in ("True", "False"):
            return value == "True"
        if kind != "number" or base == "bool":
            raise SchemaError(f"invalid numeric default value:\n{self._show(at, len(value))}")
        if base == "float" or not value.lstrip("+-").isdigit():
            if base in ("int", "SymInt"):
                raise SchemaError(f"invalid numeric default value, an int is needed:\n{self._show(at, len(value))}")
            return float(value)
        return int(value)


def parse_schema(text):
    """Read a schema such as ``"name.overload(Tensor x, int k=1) -> Tensor"``.

    Raises:
        SchemaError: the text is not a schema; the message points at the place.
    """
    return _Parser(text).schema()


# ---- reading type hints -------------------------------------------------------------------------------------
def _hint_table():
    table = {}
    for hint, name, lists, optional_elements, optional_lists in (
            (Tensor, "Tensor", True, True, False), (int, "SymInt", True, False, True), (float, "float", True, False, True),
            (bool, "bool", True, False, True), (str, "str", False, False, False), (Number, "Scalar", True, False, False),
            (dtype, "ScalarType", False, False, False), (device, "Device", False, False, False)):
        table[hint] = name
        table[typing.Optional[hint]] = name + "?"
        for sequence in (typing.Sequence, typing.List, collections.abc.Sequence, list):
            if lists:
                table[sequence[hint]] = name + "[]"
            if optional_elements:
                table[sequence[typing.Optional[hint]]] = name + "?[]"
            if optional_lists:
                table[typing.Optional[sequence[hint]]] = name + "[]?"
    return table


_HINTS = _hint_table()
_RESULT_HINTS = {Tensor: "Tensor", typing.List[Tensor]: "Tensor[]", list[Tensor]: "Tensor[]", int: "SymInt", float: "float", bool: "bool", Number: "Scalar"}


def infer_schema(prototype_function, /, *, mutates_args, op_name=None, tags=()):
    """Make a schema text of a function's type hints.

    Args:
        prototype_function: every parameter and the result carry hints: Tensor, int, float, bool, str, Number, dtype, device, lists of
            these and Optional.
        mutates_args: names of the tensors that are written, or "unknown" for all.
        op_name: put before the arguments if given.
        tags: Tag.inplace or Tag.out give the result the alias of what is written.
    Raises:
        ValueError: a hint is missing or has no schema type.

    Example:
        >>> def scale(x: Tensor, k: float = 2.0) -> Tensor:
        ...     return x * k
        >>> infer_schema(scale, mutates_args=())
        '(Tensor x, float k=2.0) -> Tensor'
    """
    from ._registry import Tag, as_tags
    tags = as_tags(tags)
    signature = inspect.signature(prototype_function)

    def fail(what):
        raise ValueError(f"infer_schema(func): {what} Got func with signature {signature})")

    if isinstance(mutates_args, str):
        if mutates_args != "unknown":
            raise ValueError("mutates_args must either be a sequence of the names of the arguments that are mutated or the string 'unknown'. ")
        written = None
    else:
        written = tuple(mutates_args)
    if Tag.inplace in tags and Tag.out in tags:
        raise ValueError("infer_schema: Tag.inplace and Tag.out are mutually exclusive")

    def hint_of(hint):
        if isinstance(hint, str):
            space = {"Tensor": Tensor, "device": device, "dtype": dtype, "Optional": typing.Optional, "List": typing.List,
                     "Sequence": typing.Sequence, "Union": typing.Union, **prototype_function.__globals__}
            try:
                return eval(hint, space)
            except Exception as error:
                fail(f"Unsupported type annotation {hint}. It is not a type. ({type(error).__name__}: {error})")
        origin = typing.get_origin(hint)
        if origin is None:
            return hint
        parts = typing.get_args(hint)
        read = tuple(hint_of(p) if isinstance(p, str) or typing.get_origin(p) else p for p in parts)
        if origin in (typing.Union, types.UnionType):
            return typing.Union[tuple(hint_of(p.__forward_arg__) if isinstance(p, typing.ForwardRef) else p for p in read)]
        return types.GenericAlias(origin, read) if read != parts else hint

    parts, keyword, out_marks = [], False, []
    first = None
    for i, (name, parameter) in enumerate(signature.parameters.items()):
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            fail("We do not support positional-only args, varargs, or varkwargs.")
        only = parameter.kind == inspect.Parameter.KEYWORD_ONLY
        if only and not keyword:
            parts.append("*")
            keyword = True
        if parameter.annotation is inspect.Parameter.empty:
            fail(f"Parameter {name} must have a type annotation.")
        hint = hint_of(parameter.annotation)
        try:
            text = _HINTS.get(hint)
        except TypeError:
            text = None
        if text is None:
            if typing.get_origin(hint) is tuple:
                fail(f"Parameter {name} has unsupported type {parameter.annotation}. We do not support Tuple inputs in schema. As a workaround, "
                     f"please try to use List instead.")
            fail(f"Parameter {name} has unsupported type {parameter.annotation}. The valid types are: {list(_HINTS)}.")
        if first is None and not only:
            first = (name, text, i)
        if (written is None and text.startswith("Tensor")) or (written is not None and name in written):
            if not text.startswith("Tensor"):
                fail(f"Parameter {name} is in mutable_args but only Tensors or collections of Tensors can be mutated")
            if Tag.out in tags:
                if not only or text != "Tensor":
                    fail("Tag.out only supports mutable keyword-only Tensor arguments.")
                out_marks.append(f"Tensor(a{i}!)")
            text = f"Tensor(a{i}!){text[len('Tensor'):]}"
        value = parameter.default
        if value is inspect.Parameter.empty:
            parts.append(f"{text} {name}")
        elif value is None or isinstance(value, (int, float, bool)):
            parts.append(f"{text} {name}={value}")
        elif isinstance(value, (str, device)):
            parts.append(f'{text} {name}="{value}"')
        elif isinstance(value, dtype):
            parts.append(f"{text} {name}={value.name}")
        else:
            fail(f"Parameter {name} has an unsupported default value type {type(value)}.")
    if written is not None:
        strange = set(written) - set(signature.parameters)
        if strange:
            fail(f"{strange} in mutates_args were not found in the custom op's signature. mutates_args should contain the names of all args that "
                 f"the custom op mutates, or just the string 'unknown' if you don't know.")
    result = _result_text(hint_of(signature.return_annotation), fail)
    if Tag.inplace in tags:
        if first is None or first[1] != "Tensor" or written is None or set(written) != {first[0]}:
            fail(f"Tag.inplace requires the first positional argument to be a Tensor and the only one in mutates_args, got {mutates_args}.")
        if result != "Tensor":
            fail("Tag.inplace requires the return annotation to be Tensor.")
        result = f"Tensor(a{first[2]}!)"
    if Tag.out in tags:
        if not out_marks:
            fail("Tag.out requires at least one mutable keyword-only Tensor argument.")
        plain = ["Tensor"] * len(out_marks)
        if result != (plain[0] if len(plain) == 1 else f"({', '.join(plain)})"):
            fail("Tag.out requires the return annotation to match the mutable keyword-only Tensor arguments.")
        result = out_marks[0] if len(out_marks) == 1 else f"({', '.join(out_marks)})"
    return f"{op_name or ''}({', '.join(parts)}) -> {result}"


def _result_text(hint, fail):
    if hint is None or hint is type(None):
        return "()"
    if hint is inspect.Parameter.empty:
        fail("No return type annotation was provided. Please add one.")
    if typing.get_origin(hint) is not tuple:
        if hint not in _RESULT_HINTS:
            fail(f"Return has unsupported type {hint}. The valid types are: {_RESULT_HINTS}.")
        return _RESULT_HINTS[hint]
    inner = typing.get_args(hint)
    for part in inner:
        if part not in _RESULT_HINTS:
            fail(f"Return has unsupported type {hint}. The valid types are: {_RESULT_HINTS}.")
    text = ", ".join(_RESULT_HINTS[p] for p in inner)
    return f"(({text}))" if len(inner) == 1 else f"({text})"
