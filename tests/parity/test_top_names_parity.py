"""The names that programs use most (top_names.txt, more_names.txt), used as programs use them: same values, dtypes, shapes, texts and refusals as PyTorch."""
import ast
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402


def read_uses():
    """Read {name: [(kind, code), ...]} from the tables; kind is '!', '~', '?' or ''."""
    table = {}
    for line in [line for name in ("top_names.txt", "more_names.txt") for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()]:
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            assert line not in table, f"{line} stands twice in the table"
            uses = table[line] = []
        elif line.startswith("  |"):
            uses[-1][1] += "\n" + line[4:]
        else:
            kind = line[2] if line[2] in "!~?" else ""
            uses.append([kind, line[2:].removeprefix(kind).strip()])
    return table


TABLE = read_uses()
RNG = np.random.default_rng(5)
DATA = {
    "x": RNG.standard_normal((2, 3, 4)).astype("float32"),
    "m": RNG.standard_normal((3, 4)).astype("float32"),
    "sq": RNG.standard_normal((3, 3)).astype("float32"),
    "v": RNG.standard_normal(5).astype("float32"),
    "i": RNG.integers(0, 5, (2, 3)),
    "b": RNG.random((3, 4)) > 0.5,
    "d": RNG.standard_normal((3, 4)),
    "h": RNG.standard_normal((3, 4)).astype("float16"),
    "img": RNG.standard_normal((2, 3, 8, 8)).astype("float32"),
    "seq": RNG.standard_normal((2, 2, 6)).astype("float32"),
    "labels": np.array([3, 0, 2]),
    "g": RNG.standard_normal((3, 4)).astype("float32"),
}


def space(library, folder):
    have = {key: library.from_numpy(value.copy()) for key, value in DATA.items()}
    have["g"].requires_grad_()
    library.manual_seed(0)
    return {**have, "torch": library, "nn": library.nn, "F": library.nn.functional, "np": np, "path": str(folder / "file.pt"),
            "folder": str(folder / "runs"), "__name__": "use"}


def run(code, library, folder):
    """Run the statements of a use; return what its last one gives, or the error. A plain list of expressions is run one by one on fresh data."""
    body = ast.parse(code).body
    last = body.pop()
    alone = not body and isinstance(last, ast.Expr) and isinstance(last.value, ast.Tuple) \
        and not any(isinstance(e, ast.Starred) for e in last.value.elts)
    results = []
    for part in last.value.elts if alone else [last]:
        names = space(library, folder)
        try:
            exec(compile(ast.Module(body, []), "use", "exec"), names)
            if isinstance(part, ast.Expr):
                part = part.value
            if isinstance(part, ast.expr):
                results.append((ast.unparse(part), eval(compile(ast.Expression(part), "use", "eval"), names)))
            else:
                exec(compile(ast.Module([part], []), "use", "exec"), names)
                results.append((ast.unparse(part), None))
        except Exception as error:
            results.append((ast.unparse(part), error))
        finally:
            library.set_grad_enabled(True)
    return results


def differ(a, b, text, where=""):
    """Say how b (ours) differs from a (PyTorch's), or return None."""
    if isinstance(a, Exception):
        if not isinstance(b, Exception):
            return f"{where}: not refused, PyTorch raises {type(a).__name__}: {str(a)[:200]}"
        kind = type(a)
        kind = kind if kind.__module__ == "builtins" else kind.__mro__[1]
        return None if isinstance(b, kind) else f"{where}: raises {type(b).__name__} ({b}), PyTorch {type(a).__name__}: {str(a)[:200]}"
    if isinstance(b, Exception):
        return f"{where}: raises {type(b).__name__}: {b}"
    if isinstance(a, torch.Tensor):
        if not isinstance(b, rt.Tensor):
            return f"{where}: {type(b)} for a tensor"
        first, second = ((type(t).__name__, str(t.dtype).split(".")[-1], tuple(t.shape), t.requires_grad, t.is_leaf,
                          t.stride() if text and str(t.layout) == "torch.strided" and t.numel() else None) for t in (a, b))
        if first != second:
            return f"{where}: {second}, PyTorch {first}"
        one, two = (t.detach().resolve_conj().to(m.float64 if t.dtype.is_floating_point else t.dtype).numpy() for t, m in ((a, torch), (b, rt)))
        tiny = dict(float32=2e-6, float64=1e-12, float16=2e-3, bfloat16=1.6e-2).get(str(a.dtype).split(".")[-1], 2e-6)
        if not np.allclose(two, one, rtol=tiny, atol=tiny, equal_nan=True):
            return f"{where}: {two.tolist()}, PyTorch {one.tolist()}"
        if text and np.array_equal(one, two, equal_nan=True) and repr(a) != repr(b):
            return f"{where}: prints {b!r}, PyTorch {a!r}"
        return None
    if isinstance(a, np.ndarray):
        same = isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and np.allclose(a, b, rtol=2e-6, atol=2e-6)
        return None if same else f"{where}: {b!r}, PyTorch {a!r}"
    if isinstance(a, torch.nn.Module):
        if text and repr(a) != repr(b):
            return f"{where}: prints {b!r}, PyTorch {a!r}"
        return differ(a.state_dict(), b.state_dict(), text, where + ".state_dict()")
    if isinstance(a, (tuple, list, dict)):
        if type(a).__name__.split(".")[-1] != type(b).__name__.split(".")[-1] or len(a) != len(b):
            return f"{where}: {type(b)} of {len(b) if hasattr(b, '__len__') else b}, PyTorch {type(a)} of {len(a)}"
        if isinstance(a, dict) and list(a) != list(b):
            return f"{where}: keys {list(b)}, PyTorch {list(a)}"
        keys = a if isinstance(a, dict) else range(len(a))
        return next(filter(None, (differ(a[k], b[k], text, f"{where}[{k!r}]") for k in keys)), None)
    if isinstance(a, (float, complex)) and type(a) is type(b):
        return None if b == pytest.approx(a, rel=2e-6, abs=2e-6, nan_ok=True) else f"{where}: {b!r}, PyTorch {a!r}"
    if isinstance(a, (bool, int, str, bytes, type(None))):
        return None if type(a) is type(b) and a == b else f"{where}: {b!r}, PyTorch {a!r}"
    if type(a).__name__ != type(b).__name__:
        return f"{where}: {type(b)}, PyTorch {type(a)}"
    return f"{where}: prints {b!r}, PyTorch {a!r}" if text and type(a).__repr__ is not object.__repr__ and repr(a) != repr(b) else None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TABLE)
def test_name(name, tmp_path):
    assert any(kind != "!" for kind, _ in TABLE[name])
    wrong = []
    for kind, code in TABLE[name]:
        theirs, ours = (run(code, library, tmp_path) for library in (torch, rt))
        for (use, a), (_, b) in zip(theirs, ours):
            assert kind == "?" or isinstance(a, Exception) == (kind == "!"), f"the table is wrong about PyTorch: {use}: {a!r}"
            wrong.append(differ(a, b, kind != "~", use))
    wrong = [w for w in wrong if w]
    assert not wrong, "\n".join(wrong)
