"""The committed stubs are those of the built package, and valid Python."""
import ast
from pathlib import Path

import rustorch_py
from rustorch_py.tensor import _stubgen

PACKAGE = Path(rustorch_py.__file__).resolve().parent


def test_stubs_are_up_to_date():
    stale = []
    for name, text in _stubgen.stubs().items():
        ast.parse(text)
        if (PACKAGE / name).read_text(encoding="utf-8") != text:
            stale.append(name)
    assert not stale, f"run python -m rustorch_py.tensor._stubgen: {stale} differ from the built package"


def test_stubs_name_every_public_function():
    text = (PACKAGE / "tensor" / "__init__.pyi").read_text(encoding="utf-8")
    for name in ("add", "matmul", "softmax", "topk", "zeros", "randn"):
        assert f"def {name}(" in text
    for method in ("backward", "reshape", "add_", "requires_grad_", "numpy"):
        assert f"    def {method}(" in text
