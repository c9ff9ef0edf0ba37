"""COVERAGE.md: which of PyTorch's public names are there, and which are left out on purpose, and why.

    python tests/names/table.py          write COVERAGE.md (``make docs``)
    python tests/names/table.py --walk   list PyTorch's names anew in pytorch.txt; the only step that needs torch

left_out.txt holds one pattern a line (shell wildcards over full names, "torch.cuda.*") and, after a tab, the reason.
"""
import fnmatch
import functools
import importlib
import inspect
import sys
import types
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "COVERAGE.md"

SPACES = """
torch torch.Tensor torch.autograd torch.autograd.functional torch.autograd.forward_ad torch.autograd.graph torch.autograd.profiler torch.linalg torch.fft
torch.special torch.signal.windows torch.masked torch.sparse torch.func torch.random torch.nn torch.nn.Module torch.nn.functional torch.nn.init torch.nn.utils
torch.nn.utils.rnn torch.nn.utils.parametrize torch.nn.utils.parametrizations torch.nn.utils.prune torch.nn.utils.stateless torch.nn.attention
torch.nn.attention.flex_attention torch.nn.parallel torch.nn.quantized torch.optim torch.optim.Optimizer torch.optim.lr_scheduler torch.optim.swa_utils
torch.distributions torch.distributions.constraints torch.distributions.transforms torch.distributions.kl torch.utils torch.utils.data torch.utils.checkpoint
torch.utils.dlpack torch.utils.flop_counter torch.utils.module_tracker torch.utils.benchmark torch.utils.hooks torch.serialization torch.storage torch.amp torch.cpu torch.accelerator
torch.compiler torch.jit torch.library torch.overrides torch.profiler torch.testing torch.types torch.futures torch.hub torch.quasirandom torch.nested
torch.backends.cpu torch.backends.mkl torch.backends.openmp torch.backends.cuda torch.cuda torch.cuda.amp torch.mps torch.xpu torch.mtia torch.distributed
torch.distributed.pipelining torch.distributed.algorithms.join
torch.distributed.tensor torch.distributed.tensor.parallel torch.distributed.tensor.experimental torch.distributed.fsdp torch.distributed.checkpoint
torch.distributed.checkpoint.state_dict torch.multiprocessing torch.fx torch.export torch.onnx torch.package torch.monitor torch.ao.quantization torch.Generator torch.Size
torch.dtype
""".split()


def find(root, path):
    """The object at a dotted path below a package; its modules are imported on the way. Raises AttributeError."""
    found = root
    for i, part in enumerate(path):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(".".join([root.__name__, *path[:i + 1]]))
            except ImportError:
                raise AttributeError(".".join(path)) from None
    return found


# Where a function that is there gives something else than PyTorch's, on purpose.
DIFFERENCES = """
* `as_strided_scatter`: the gradient of the input is zero where it was overwritten and passes elsewhere. PyTorch's is the reverse and fails its own `gradcheck`.
* `conj`, `H`, `mH`, `adjoint`: the conjugate is computed at once and has memory of its own; in PyTorch it is a view that computes later. `is_conj()` is always False.
* `copy_`, indexed assignment and operators that look elements up (`gather`, `take`, `index_select`, `cat`, `masked_select`, ...), where the tensor written shares memory
  with one read: done as if that were copied first; PyTorch raises. Elementwise operators raise as PyTorch's do.
* Truth values are taken where PyTorch insists on `bool` arguments (`keepdim=1`).
"""


# ---- PyTorch's side -------------------------------------------------------------------------------------------
def public_names(space):
    """The public names of one of PyTorch's namespaces: a class's attributes, or a module's own functions, classes and constants."""
    import torch
    parts = space.split(".")[1:]
    found = find(torch, parts)
    if inspect.isclass(found):
        return [n for n in dir(found) if not n.startswith("_")]
    names = list(getattr(found, "__all__", None) or [])
    if not names or space in ("torch", "torch.nn.functional", "torch.special", "torch.linalg", "torch.fft"):
        for name, value in vars(found).items():
            home = getattr(value, "__module__", None) or ""
            if isinstance(value, types.ModuleType):
                continue
            if inspect.isclass(value) or inspect.isroutine(value):
                ours = home in ("", "builtins") or home == space or home.startswith((space + ".", "torch._C")) or home.startswith("torch") and not parts
                if not ours:
                    continue
            elif not isinstance(value, (torch.dtype, torch.layout, torch.memory_format, int, float)):
                continue
            names.append(name)
    typing_names = set(dir(importlib.import_module("typing"))) | {"annotations", "deprecated", "partial", "lru_cache", "wraps", "dataclass", "contextmanager",
                                                                  "namedtuple", "OrderedDict", "chain", "reduce", "ParamSpec", "TypeIs"}
    return [n for n in names if not n.startswith("_") and n not in typing_names and hasattr(found, n)]


def walk():
    """Write pytorch.txt."""
    import torch
    warnings.simplefilter("ignore")
    lines = [f"# The public names of PyTorch {torch.__version__.partition('+')[0]}, a namespace a line; written by `python tests/names/table.py --walk`."]
    for space in SPACES:
        lines.append(f"{space}: {' '.join(sorted(set(public_names(space)), key=lambda n: (n.lower(), n)))}")
    (HERE / "pytorch.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


# ---- this side ------------------------------------------------------------------------------------------------
def read_names():
    """{namespace: [name, ...]} as PyTorch has them."""
    lines = (HERE / "pytorch.txt").read_text(encoding="utf-8").splitlines()
    return {space: names.split() for space, _, names in (line.partition(": ") for line in lines if line and line[0] != "#")}


def read_reasons():
    """[(pattern, reason), ...]"""
    lines = (HERE / "left_out.txt").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t", 1)) for line in lines if line and line[0] != "#"]


def there(space, name):
    """Does this package have the name?"""
    import rustorch_py
    try:
        value = find(rustorch_py, [*space.split(".")[1:], name])
    except AttributeError:
        return False
    return "<locals>.unavailable" not in getattr(value, "__qualname__", "")          # what `torch.cuda` says without its back end


@functools.lru_cache(maxsize=None)
def sorted_out():
    """{namespace: (names there, {reason: names left out}, names missing without a reason)} and the patterns that say nothing."""
    reasons, used, table = read_reasons(), set(), {}
    for space, names in read_names().items():
        have, left, missing = [], {}, []
        for name in names:
            if there(space, name):
                have.append(name)
                continue
            pattern, reason = next(((p, r) for p, r in reasons if fnmatch.fnmatchcase(f"{space}.{name}", p)), (None, None))
            if reason is None:
                missing.append(name)
            else:
                used.add(pattern)
                left.setdefault(reason, []).append(name)
        table[space] = have, left, missing
    return table, [p for p, _ in reasons if p not in used]


def page():
    """The text of COVERAGE.md."""
    table, _ = sorted_out()
    version = (HERE / "pytorch.txt").read_text(encoding="utf-8").split("PyTorch ")[1].split(",")[0]
    have, left, missing = (sum(len(row[i]) if i != 1 else sum(map(len, row[1].values())) for row in table.values()) for i in range(3))
    lines = ["# Coverage", "",
             f"The public names of PyTorch {version} by namespace: what is there, what is left out on purpose and why, what is not there yet.",
             f"{have} names are there, {left} are left out on purpose, {missing} are not there yet. What the names do is measured by the tests in",
             "`tests/parity/` and `tests/fuzz/`. Written by `make docs`; a test compares it with the package.", "",
             "| namespace | there | left out on purpose | not there yet |", "|---|---|---|---|"]
    lines += [f"| [{space}](#{space.lower().replace('.', '')}) | {len(h)} | {sum(map(len, l.values())) or ''} | {len(m) or ''} |" for space, (h, l, m) in table.items()]
    for space, (h, l, m) in table.items():
        lines += ["", f"## {space}", ""]
        if h:
            lines += [" ".join(f"`{n}`" for n in h), ""]
        lines += [f"* Left out: {' '.join(f'`{n}`' for n in names)}. {reason}" for reason, names in l.items()]
        if m:
            lines.append(f"* Not there yet: {' '.join(f'`{n}`' for n in m)}")
        if not lines[-1]:
            lines.pop()
    return "\n".join(lines + ["", "## Differences", "", DIFFERENCES.strip()]) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(PAGE.parent))
    if "--walk" in sys.argv:
        walk()
    else:
        PAGE.write_text(page(), encoding="utf-8")
