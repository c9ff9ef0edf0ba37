"""Shared libraries of operators (include/rustorch/plugin.h) enter the registry."""
import os

from ..errors import PluginError, RustorchError
from . import _registry
from ._define import _qualified
from ._native import NativeLibrary
from ._registry import OpOverload
from ._schema import parse_schema

_LETTERS = {"Tensor": b"t", "Tensor?": b"o", "float": b"d", "int": b"i", "SymInt": b"i", "bool": b"b"}
loaded_libraries = set()
_open = {}                     # real path -> namespace


def load(path):
    """Load a shared library of operators written in C; return the namespace they are in.

    The library is built against the headers of ``rustorch_py.get_include()`` and exports the table that
    ``rustorch/plugin.h`` describes. Its elementwise operators run through the package's own loops: broadcasting, promotion,
    strides, threads. A second load of the same file does nothing.

    Args:
        path: the file.
    Returns:
        _OpNamespace: ``rustorch_py.ops.<ns>``.
    Raises:
        PluginError: not a library, no table, built for another ABI, or an operator that is not whole (an OSError, as in PyTorch).
        TensorError: an operator of that name exists (a RuntimeError).
    """
    path = os.fspath(path)
    real = os.path.realpath(path)
    with _registry.lock:
        if real not in _open:
            library = NativeLibrary(real if os.path.exists(path) else path)
            try:
                operators = _read(library)
                for op in operators:
                    if f"{op._schema.name}" in _registry._table:
                        _registry.add(op)                # raises, naming both places
            except BaseException:
                library.close()
                raise
            for op in operators:
                _registry.add(op)
            _open[real] = library.ns
            loaded_libraries.add(path)
        return _registry.namespace(_open[real])


def _read(library):
    operators, by_name = [], {}
    for i, text in enumerate(library.schemas()):
        try:
            schema = _qualified(library.ns, parse_schema(text))
        except RustorchError as error:
            raise PluginError(f"{library.path}: operator {i}: {error}") from error
        where = f"{library.path}: {schema.name}"
        if schema.overload_name:
            raise PluginError(f"{where}: overload names are not supported in libraries, got {schema.overload_name!r}")
        if schema.keywords or schema.is_mutable or any(a.alias_info is not None for a in (*schema.arguments, *schema.returns)):
            raise PluginError(f"{where}: keyword-only and aliased arguments are not supported in libraries. Got: {schema}")
        kinds = b""
        for argument in schema.arguments:
            letter = _LETTERS.get(argument.type.text())
            if letter is None:
                raise PluginError(f"{where}: argument {argument.name} has type {argument.type.text()}, expected {', '.join(_LETTERS)}")
            if letter in b"to" and kinds.strip(b"to"):
                raise PluginError(f"{where}: tensors come before numbers. Got: {schema}")
            kinds += letter
        if any(r.type.text() != "Tensor" for r in schema.returns) or not schema.returns:
            raise PluginError(f"{where}: results are tensors. Got: {schema}")
        if schema.name in by_name:
            raise PluginError(f"{where}: the library defines it twice")
        op = OpOverload(library.ns, schema, source=library.path)
        op._native = library.bind(i, schema.name, tuple(a.name for a in schema.arguments), kinds, len(schema.returns))
        op._fake = op._native.fake
        by_name[schema.name] = op
        operators.append(op)
    for i, op in enumerate(operators):
        name = library.backward_name(i)
        if name is not None:
            _link(library, op, by_name.get(f"{library.ns}::{name}"), name)
    return operators


def _link(library, op, gradient, name):
    """Check that an operator's gradient takes what there is and returns one tensor for each tensor."""
    schema = op._schema
    where = f"{library.path}: {schema.name}: backward"
    if gradient is None:
        raise PluginError(f"{where} names {name!r}, which is not an operator of the library")
    several = len(schema.returns) > 1
    known = {a.name for a in schema.arguments}
    known |= {f"{word}{i}" for word in ("grad", "result") for i in range(len(schema.returns))} if several else {"grad", "result"}
    strange = [a.name for a in gradient._schema.arguments if a.name not in known]
    if strange:
        raise PluginError(f"{where}: {gradient._schema} takes {', '.join(strange)}; known names are {', '.join(sorted(known))}")
    tensors = sum(a.type.base == "Tensor" for a in schema.arguments)
    if len(gradient._schema.returns) != tensors:
        raise PluginError(f"{where}: {gradient._schema} returns {len(gradient._schema.returns)} tensors, expected {tensors}, one for each tensor of {schema}")
    op._native.set_backward(gradient, [a.name for a in gradient._schema.arguments])
