"""Prints the type stubs from the built package: ``python -m rustorch_py.tensor._stubgen`` rewrites them in a checkout.

Types are told where the argument's name tells them (``dim: int``, ``out: Tensor | None``); elsewhere Any.
"""
from __future__ import annotations

import inspect
import keyword
import sys
from pathlib import Path

HEADER = '''# printed by rustorch_py/tensor/_stubgen.py; a test compares
from __future__ import annotations

import builtins
from typing import Any, Iterator
'''
TENSORS = {"input", "other", "self", "tensor1", "tensor2", "mat1", "mat2", "vec1", "vec2", "src", "condition", "mask", "batch1", "batch2", "target"}
TYPES = {"out": "Tensor | None", "dtype": "dtype | None", "device": "Any", "requires_grad": "bool", "keepdim": "bool", "keepdims": "bool",
         "generator": "Any", "layout": "Any", "memory_format": "Any", "pin_memory": "bool", "descending": "bool", "stable": "bool",
         "largest": "bool", "sorted": "bool", "inplace": "bool", "training": "bool", "alpha": "Any", "eps": "Any"}
# modules whose functions each return one tensor, and the exceptions
RETURN_TENSORS = {f"rustorch_py.tensor.{m}" for m in ("_rows", "_pointwise", "_addmm", "_create", "_matmul", "_reduce", "_scatter", "_softmax")}
NOT_TENSORS = {"run_row"}
NUMBERS_TOO = {"other", "end", "value"}
SPECIAL = ("add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv floordiv rfloordiv ifloordiv mod rmod imod pow rpow ipow matmul "
           "and rand iand or ror ior xor rxor ixor lshift rshift eq ne lt le gt ge").split()


def annotate(name):
    """Builtins and dtype by names that no method of Tensor hides."""
    if name in TYPES:
        return TYPES[name].replace("bool", "builtins.bool").replace("dtype", "_dtype")
    if name in TENSORS:
        return "Tensor | builtins.complex" if name in NUMBERS_TOO else "Tensor"
    return "Any"


def default(value):
    return repr(value) if value is None or isinstance(value, (bool, int, str)) else "..."


def signature(fn, method):
    """The text between the parentheses."""
    try:
        params = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return "self, *args: Any, **kwargs: Any" if method else "*args: Any, **kwargs: Any"
    out, starred, positional_only = [], False, False
    for i, p in enumerate(params):
        if keyword.iskeyword(p.name):
            return "self, *args: Any, **kwargs: Any" if method else "*args: Any, **kwargs: Any"
        if p.kind is p.KEYWORD_ONLY and not starred:
            out.append("*")
            starred = True
        if positional_only and p.kind is not p.POSITIONAL_ONLY:
            out.append("/")
        positional_only = p.kind is p.POSITIONAL_ONLY
        if i == 0 and method and p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY):
            out.append("self")
            continue
        if p.kind is p.VAR_POSITIONAL:
            starred = True
            out.append(("self, " if i == 0 and method else "") + f"*{p.name}: Any")
        elif p.kind is p.VAR_KEYWORD:
            out.append(f"**{p.name}: Any")
        elif p.default is p.empty:
            out.append(f"{p.name}: {annotate(p.name)}")
        else:
            kind = annotate(p.name)
            if p.default is None and "Any" not in kind and "None" not in kind:
                kind += " | None"
            out.append(f"{p.name}: {kind} = {default(p.default)}")
    if positional_only:
        out.append("/")
    return ", ".join(out)


def function(name, fn, method=False, indent=""):
    if keyword.iskeyword(name) or not name.isidentifier():
        return None
    plain = getattr(getattr(fn, "__wrapped__", fn), "__module__", None) in RETURN_TENSORS and name not in NOT_TENSORS
    result = "Tensor" if plain or (name.endswith("_") and not name.startswith("_")) else "Any"
    return f"{indent}def {name}({signature(fn, method)}) -> {result}: ..."


def tensor_class(cls):
    lines = ["class Tensor:"]
    lines += [f"    def __{n}__(self, other: Any) -> Tensor: ...{'  # type: ignore[override]' if n in ('eq', 'ne') else ''}" for n in SPECIAL]
    lines += [f"    def __{n}__(self) -> Tensor: ..." for n in ("neg", "pos", "abs", "invert")]
    lines += ["    def __bool__(self) -> builtins.bool: ...", "    def __int__(self) -> builtins.int: ...", "    def __float__(self) -> builtins.float: ...",
              "    def __len__(self) -> builtins.int: ...", "    def __iter__(self) -> Iterator[Tensor]: ...", "    def __hash__(self) -> builtins.int: ...",
              "    def __getitem__(self, key: Any) -> Tensor: ...", "    def __setitem__(self, key: Any, value: Any) -> None: ..."]
    known = {"shape": "Size", "dtype": "_dtype", "device": "_device", "ndim": "builtins.int", "requires_grad": "builtins.bool", "grad": "Tensor | None", "T": "Tensor",
             "mT": "Tensor", "H": "Tensor", "mH": "Tensor", "data": "Tensor", "is_leaf": "builtins.bool", "real": "Tensor", "imag": "Tensor",
             "itemsize": "builtins.int", "nbytes": "builtins.int"}
    for name in sorted(dir(cls)):
        if name.startswith("__"):
            continue
        value = inspect.getattr_static(cls, name)
        if inspect.isgetsetdescriptor(value) or isinstance(value, property):
            lines.append(f"    {name}: {known.get(name, 'Any')}")
        elif isinstance(value, staticmethod):
            lines.append(f"    @staticmethod\n    def {name}(*args: Any, **kwargs: Any) -> Any: ...")
        elif callable(value):
            text = function(name, value, True, "    ")
            if text:
                lines.append(text)
    return lines


def stubs():
    """file name inside the package -> text."""
    import rustorch_py as rt
    from rustorch_py import tensor as t
    from rustorch_py.tensor import _dtype
    top = [HEADER, "class Size(tuple[builtins.int, ...]):\n    def numel(self) -> builtins.int: ...\n",
           "class dtype:\n    name: str\n    itemsize: builtins.int\n    is_floating_point: builtins.bool\n    is_complex: builtins.bool\n    is_signed: builtins.bool\n",
           "class device:\n    type: str\n    index: builtins.int | None\n    def __init__(self, type: Any, index: builtins.int | None = None) -> None: ...\n\n_dtype = dtype\n_device = device\n"]
    top += tensor_class(rt.Tensor) + [""]
    names = t._face_names()
    functions = [function(n, f) for n, f in sorted(names.items()) if callable(f) and not isinstance(f, type) and n not in _dtype.NAMED and n != "tensor"]
    types = [f"{n}: dtype" for n in sorted(_dtype.NAMED)]
    ground = top + [f for f in functions if f] + ["", "def __call__(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: builtins.bool = False) -> Tensor: ...", ""] + types + [""]
    modules = [n for n in rt._SUBMODULES if (Path(rt.__file__).parent / n).is_dir() or (Path(rt.__file__).parent / (n + ".py")).is_file()]
    face = [HEADER, "from . import " + ", ".join(f"{n} as {n}" for n in sorted(modules)), "from . import errors as errors, tensor as tensor",
            "from .errors import BackendUnavailableError as BackendUnavailableError, DeviceError as DeviceError, RustorchError as RustorchError, "
            "TensorError as TensorError", "from .tensor import Size as Size, Tensor as Tensor, device as device, dtype as dtype"]
    face += [f"from .tensor import {n} as {n}" for n in sorted([*(n for n, f in names.items() if callable(f) and not isinstance(f, type) and n != "tensor" and n.isidentifier()
                                                                   and not keyword.iskeyword(n)), *_dtype.NAMED]) if n not in ("dtype", "device")]
    face += ["", "inf: builtins.float", "nan: builtins.float", "pi: builtins.float", "e: builtins.float", "__version__: str", "def __getattr__(name: str) -> Any: ...", ""]
    return {"tensor/__init__.pyi": "\n".join(ground), "__init__.pyi": "\n".join(face)}


def main():
    package = Path(__file__).resolve().parent.parent
    for name, text in stubs().items():
        (package / name).write_text(text, encoding="utf-8")
        print(package / name, file=sys.stderr)


if __name__ == "__main__":
    main()
