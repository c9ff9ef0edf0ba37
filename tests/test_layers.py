"""The house stands: imports between floors point down only, and no two files import each other in a loop."""
import re
from pathlib import Path

PKG = Path(__file__).resolve().parent.parent / "rustorch_py"

# lowest first; a floor may import itself and the floors below
FLOORS = ["errors", "_version", "_log", "version", "tensor", "return_types", "_info", "autograd", "random", "memory", "storage", "types", "_more", "linalg", "sparse", "special", "fft", "functional", "signal", "quasirandom", "masked", "futures", "amp", "cuda", "metal", "cpu", "mps", "xpu", "accelerator", "multiprocessing",
          "backends", "config", "operations", "_seed", "utils", "serialization", "hub", "nn", "ao", "jit", "compiler", "_dynamo", "overrides", "_C", "func", "optim", "data", "distributions", "testing", "profiler", "fx", "onnx",
          "library", "ops", "distributed", "callbacks", "_trace", "visualization", "training", "cli", "__init__"]
IMPORT = re.compile(r"^\s*(?:from\s+(\.+[\w.]*)\s+c?import\s+([^#\n]*)|c?import\s+(rustorch_py[\w.]*))", re.M)


def module_name(path):
    parts = path.relative_to(PKG).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


def imports(path):
    """(target module parts, inside a function?) of each relative import."""
    text = path.read_text(encoding="utf-8")
    here = list(path.relative_to(PKG).with_suffix("").parts)
    package = here[:-1]
    for match in IMPORT.finditer(text):
        dots, names, _ = match.groups()
        if dots is None:
            continue
        level = len(dots) - len(dots.lstrip("."))
        rest = [p for p in dots.lstrip(".").split(".") if p]
        base = package[: len(package) - (level - 1)] if level > 1 else package
        inside = text[match.start():match.end()].lstrip("\n").startswith((" ", "\t"))
        if rest:
            yield base + rest, inside
        else:
            for name in names.strip("() ").replace("(", "").split(","):
                name = name.strip().split(" as ")[0]
                if name:
                    yield base + [name], inside


def sources():
    return [p for p in PKG.rglob("*") if p.suffix in (".py", ".pyx", ".pxd") and "_gen" not in p.parts and p.name != "_rows.pyx"]


def floor(parts):
    name = parts[0] if parts else "__init__"
    return FLOORS.index(name) if name in FLOORS else None


def test_every_module_has_a_floor():
    unknown = {p.name for p in PKG.iterdir() if p.suffix == ".py" or (p.is_dir() and (p / "__init__.py").exists())}
    unknown = {n.removesuffix(".py") for n in unknown} - set(FLOORS)
    assert not unknown, f"give these a place in FLOORS: {sorted(unknown)}"


def test_imports_point_down():
    wrong = []
    for path in sources():
        parts = list(module_name(path))
        mine = floor(parts)
        for target, inside in imports(path):
            if parts in (["utils", "data"], ["utils", "flop_counter"], ["utils", "module_tracker"], ["autograd", "profiler"]):
                continue                       # PyTorch's names of the data and profiler floors: doors, loaded when asked for
            theirs = floor(target)
            if theirs is not None and theirs > mine:
                wrong.append(f"{'/'.join(parts)} imports {'.'.join(target)}")
    assert not wrong, "\n".join(wrong)


def test_no_import_loops_between_tensor_files():
    """The ground floor is flat: following imports from file to file never comes back."""
    graph = {}
    for path in (PKG / "tensor").rglob("*"):
        if path.suffix not in (".py", ".pyx", ".pxd") or path.stem in ("__init__", "_rows") or "_gen" in path.parts:
            continue
        edges = graph.setdefault(path.stem, set())
        for target, inside in imports(path):
            if target[:1] == ["tensor"] and len(target) > 1 and not inside and target[1] != path.stem:
                edges.add(target[1])
    state = {}

    def visit(node, trail):
        if state.get(node) == 2 or node not in graph:
            return
        assert state.get(node) != 1, " -> ".join(trail + [node])
        state[node] = 1
        for nxt in sorted(graph[node]):
            visit(nxt, trail + [node])
        state[node] = 2

    for name in sorted(graph):
        visit(name, [])
