"""Calls with one wrong argument, made under both libraries.

The calls are PyTorch's own samples (``op_db``): the first and the one with most arguments of each operator. In each,
one argument at a time is replaced: by another type, dtype, shape or value, or left out; `out=` and unknown keywords
are added. What the two libraries make of it is compared: raise or not; whether an ``except`` clause written for PyTorch
catches what is raised here; and the value where neither raises.

    python tests/parity/mutations.py [REGEX]          print the differences and their number
    python tests/parity/mutations.py --write          rewrite wrong_arguments.txt, the list of those that are left
    python tests/parity/mutations.py --here-only      make the calls here only (for a build with sanitizers)
"""
import argparse
import collections
import itertools
import re
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch

import rustorch_py as rt

LIST = Path(__file__).with_name("wrong_arguments.txt")
ORDER = ["float32", "int64", "complex64", "bool", "float64"]
PRIVATE = re.compile(r"^_(?!_)|^torch\.|jiterator|^(slice|native_dropout_backward|max_pool2d_with_indices_backward|hash_tensor|resize_|resize_as_)$|sparse")
RANDOM = set("""bernoulli cauchy exponential geometric log_normal normal uniform multinomial rand rand_like randn randn_like randint randint_like randperm
    nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d nn.functional.alpha_dropout nn.functional.feature_alpha_dropout nn.functional.rrelu
    nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d nn.functional.scaled_dot_product_attention svd_lowrank pca_lowrank
    empty empty_like empty_strided empty_permuted new_empty new_empty_strided""".split())
UP_TO_SIGN = re.compile(r"svd|eig|qr$|geqrf|ormqr|householder|ldl|lu|pinv|lobpcg|sort|topk|kthvalue|median|mode|unique|lstsq")

# Calls that end the process under PyTorch, and operators in which it reads past wrong arguments, which ends it later
CRASHES = {f"index_put{form} 1 {what}" for form in ("", ".method", ".inplace") for what in ("empty", "nones")}
READS_PAST = {"lu_unpack", "native_batch_norm"}


class Tensors:
    """A PyTorch tensor of a dtype and shape, made anew for each call."""

    def __init__(self, change):
        self.change = change


# ---- what replaces an argument ----------------------------------------------------------------------------
def wrong_values(value, dtype, large=1000):
    """(name, replacement) for an argument; a function replaces a tensor by what it makes of it."""
    if isinstance(value, torch.Tensor):
        yield from (("none", None), ("str", "a"), ("int", 3), ("float", 1.5), ("list", [1.0, 2.0]), ("tensors", Tensors(lambda t: [t, t])))
        for other in ("int64", "complex64", "bool", "float16", "float64", "float32", "int8"):
            if str(value.dtype)[6:] != other:
                yield other, Tensors(lambda t, other=other: t.to(getattr(torch, other)))
        yield "one_dim_more", Tensors(lambda t: t[None])
        yield "no_dim", Tensors(lambda t: torch.ones((), dtype=t.dtype))
        yield "no_element", Tensors(lambda t: torch.ones(0, dtype=t.dtype))
        yield "sizes", Tensors(lambda t: torch.ones([n + 2 for n in t.shape] or [3], dtype=t.dtype))
        yield "five_dims", Tensors(lambda t: torch.ones(2, 1, 3, 1, 2, dtype=t.dtype))
    elif isinstance(value, bool):
        yield from (("int", 1), ("none", None), ("str", "a"), ("float", 1.0), ("list", [True]), ("no_dim", Tensors(lambda t: torch.tensor(True))))
    elif isinstance(value, int):
        yield from (("float", 1.5), ("whole_float", 1.0), ("str", "a"), ("none", None), ("bool", True), ("minus", -7), ("large", large), ("huge", 2 ** 70), ("list", [value]),
                    ("strs", ["a"]), ("complex", 1j), ("no_dim", Tensors(lambda t: torch.tensor(1))), ("no_dim_float", Tensors(lambda t: torch.tensor(1.5))), ("numpy", np.int64(1)),
                    ("numpy_float", np.float64(1.5)), ("zero", 0), ("tensor", Tensors(lambda t: torch.ones(2))))
    elif isinstance(value, float):
        yield from (("str", "a"), ("none", None), ("bool", True), ("int", 1), ("complex", 1j), ("list", [value]), ("no_dim", Tensors(lambda t: torch.tensor(0.5))),
                    ("tensor", Tensors(lambda t: torch.ones(2))), ("minus", -1.0), ("nan", float("nan")), ("numpy", np.float64(0.5)), ("huge", 2 ** 70))
    elif isinstance(value, complex):
        yield from (("str", "a"), ("none", None), ("list", [value]))
    elif isinstance(value, str):
        yield from (("int", 3), ("none", None), ("other", "nonsense"), ("list", [value]), ("empty", ""))
    elif isinstance(value, torch.dtype):
        yield from (("str", "float32"), ("int", 3), ("complex64", torch.complex64), ("int64", torch.int64), ("bool", torch.bool), ("float16", torch.float16), ("float", float), ("none", None))
    elif isinstance(value, (list, tuple)) and all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        value = list(value)
        yield from (("none", None), ("str", "a"), ("int", 1), ("float", 1.5), ("floats", [1.5] * len(value)), ("strs", ["a"] * len(value)), ("longer", value + [1]),
                    ("shorter", value[:-1]), ("empty", []), ("minus", [-7] * len(value)), ("nones", [None] * len(value)), ("bools", [True] * len(value)),
                    ("tensor", Tensors(lambda t: torch.tensor(value))), ("floats_tensor", Tensors(lambda t: torch.ones(len(value)))), ("zeros", [0] * len(value)), ("nested", [value]))
    elif isinstance(value, (list, tuple)) and value and all(isinstance(v, torch.Tensor) for v in value):
        first = value[0]
        yield from (("none", None), ("str", "a"), ("int", 1), ("empty", []), ("nones", [None] * len(value)), ("ints", [1] * len(value)), ("tensor", Tensors(lambda t: first)),
                    ("mixed", Tensors(lambda t: [*value, 1])), ("dtypes", Tensors(lambda t: [first.to(torch.complex64), *value[1:]])),
                    ("sizes", Tensors(lambda t: [torch.ones([n + 2 for n in first.shape] or [3], dtype=first.dtype), *value[1:]])))
    elif value is None:
        yield from (("str", "a"), ("float", 1.5), ("strs", ["a"]))
    else:
        yield from (("str", "a"), ("none", None), ("float", 1.5))


def wrong_calls(args, kwargs, dtype, out, large=1000):
    """(what is wrong, args, kwargs) for a call; `out`: the tensors that the call gives, or None where it takes no `out`."""
    for i, value in enumerate(args):
        for name, other in wrong_values(value, dtype, large):
            yield f"{i} {name}", (*args[:i], other, *args[i + 1:]), kwargs
    for key, value in kwargs.items():
        for name, other in wrong_values(value, dtype, large):
            yield f"{key} {name}", args, {**kwargs, key: other}
    if len(args) > 0:
        yield "last left_out", args[:-1], kwargs
        yield "first left_out", args[1:], kwargs
    yield "last more", (*args, "a"), kwargs
    yield "unknown keyword", args, {**kwargs, "nonsense": 1}
    if out:
        one = len(out) == 1
        for name, other in (("str", "a"), ("int", 3), ("none", None), ("bool", Tensors(lambda t: torch.zeros(out[0].shape, dtype=torch.bool))),
                            ("int64", Tensors(lambda t: torch.zeros(out[0].shape, dtype=torch.int64))),
                            ("complex64", Tensors(lambda t: torch.zeros(out[0].shape, dtype=torch.complex64))),
                            ("float64", Tensors(lambda t: torch.zeros(out[0].shape, dtype=torch.float64))),
                            ("no_element", Tensors(lambda t: torch.zeros(0, dtype=out[0].dtype))), ("pair", Tensors(lambda t: [torch.zeros_like(o) for o in out] + [torch.zeros(2)]))):
            yield f"out {name}", args, {**kwargs, "out": other if one or not isinstance(other, Tensors) or name == "pair" else
                                       Tensors(lambda t, other=other: [other.change(t), *(torch.zeros_like(o) for o in out[1:])])}


# ---- one call ---------------------------------------------------------------------------------------------
def for_torch(x, original):
    """An argument for PyTorch: tensors are new ones."""
    if isinstance(x, Tensors):
        return for_torch(x.change(original), None)
    if isinstance(x, torch.Tensor):
        return x.detach().clone(memory_format=torch.preserve_format)
    if isinstance(x, (list, tuple)) and type(x) in (list, tuple):
        return type(x)(for_torch(v, original) for v in x)
    return x


def for_here(x):
    """The same argument for this package."""
    if isinstance(x, torch.Tensor):
        if x.layout != torch.strided:
            raise LookupError("layout")
        x = x.detach().resolve_conj().resolve_neg()
        wide = {torch.bfloat16: torch.float32, torch.complex32: torch.complex64}.get(x.dtype)
        found = rt.from_numpy((x if wide is None else x.to(wide)).clone(memory_format=torch.contiguous_format).numpy()).clone()      # memory of its own, that may be resized
        found = found if wide is None else found.to(getattr(rt, str(x.dtype)[6:]))
        if not x.is_contiguous() and x.numel():
            found = rt.empty_strided(x.shape, [max(n, 1) if s > 1 else n for n, s in zip(x.stride(), x.shape)], dtype=found.dtype).copy_(found) if 0 not in x.stride() else found
        return found
    if isinstance(x, torch.dtype):
        return getattr(rt, str(x)[6:])
    if isinstance(x, torch.Size):
        return rt.Size(x)
    if isinstance(x, torch.device):
        return rt.device(str(x))
    if isinstance(x, (torch.memory_format, torch.layout)):
        return getattr(rt, str(x)[6:])
    if isinstance(x, (list, tuple)) and type(x) in (list, tuple):
        return type(x)(for_here(v) for v in x)
    if isinstance(x, slice) or x is None or x is Ellipsis or isinstance(x, (bool, int, float, complex, str, type, np.generic)):
        return x
    raise LookupError(type(x).__name__)


def outcome(function, args, kwargs):
    try:
        return function(*args, **kwargs), None
    except Exception as error:  # compared by the caller
        return None, error


def catches(expected, got):
    """Whether an except clause for what PyTorch raises catches what is raised here."""
    kinds = [c for c in type(expected).__mro__ if c.__module__ == "builtins"]
    kind = kinds[0]
    if kind in (AttributeError, UnboundLocalError, KeyError, NameError):
        kind = TypeError if isinstance(got, TypeError) else Exception       # accidents in PyTorch's own Python, which nobody catches by name
    return isinstance(got, kind)


def same(a, b, values):
    """None, or how two results differ."""
    if isinstance(a, torch.Tensor):
        if not isinstance(b, rt.Tensor):
            return f"a tensor, here {type(b).__name__}"
        if str(a.dtype)[6:] != str(b.dtype).split(".")[-1]:
            return f"{a.dtype}, here {b.dtype}"
        if tuple(a.shape) != tuple(b.shape):
            return f"shape {tuple(a.shape)}, here {tuple(b.shape)}"
        if not values or not a.numel() or a.layout != torch.strided:
            return None
        wide = torch.complex128 if a.is_complex() else torch.float64 if a.is_floating_point() else None
        x = a.detach().resolve_conj().resolve_neg()
        x = (x.to(wide) if wide else x).numpy()
        y = b.detach()
        y = (y.to(getattr(rt, str(wide)[6:])) if wide else y).numpy()
        if wide is None:
            return None if (x == y).all() else "values"
        loose = 2e-2 if "16" in str(a.dtype) else 1e-3
        return None if np.isclose(y, x, rtol=loose, atol=loose, equal_nan=True).all() else "values"
    if isinstance(a, (list, tuple)):
        if not isinstance(b, (list, tuple)) or len(a) != len(b):
            return "structure"
        return next((d for d in (same(x, y, values) for x, y in zip(a, b)) if d), None)
    if isinstance(a, float) and isinstance(b, float) and values:
        return None if np.isclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True) else "values"
    if isinstance(a, (bool, int, str)) and values:
        return None if a == b and type(a) is type(b) else f"{a!r}, here {b!r}"
    return None


def lookup(root, path):
    for part in path.split("."):
        root = getattr(root, part, None)
    return root


def chosen(op):
    """The dtype and at most two samples of an operator."""
    supported = {str(d)[6:] for d in op.dtypes}
    dtype = next((d for d in ORDER if d in supported), None)
    if dtype is None:
        return None, []
    torch.manual_seed(zlib.crc32(op.name.encode()))
    np.random.seed(7)
    try:
        found = list(itertools.islice(op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=False), 24))
    except Exception:  # no sample without a device
        return None, []
    found = [s for s in found if sum(v.numel() for v in (s.input, *s.args) if isinstance(v, torch.Tensor)) < 20000]
    if not found:
        return None, []
    most = max(found, key=lambda s: (len(s.args) + len(s.kwargs), -sum(v.numel() for v in (s.input, *s.args) if isinstance(v, torch.Tensor))))
    return dtype, [found[0]] if most is found[0] or len(most.args) + len(most.kwargs) == len(found[0].args) + len(found[0].kwargs) else [found[0], most]


def forms(op):
    """(form, PyTorch's function, function here) of an operator."""
    for form, here in (("", lookup(rt, op.name)), ("method", None), ("inplace", None)):
        there = lookup(torch, op.name) if form == "" else getattr(op, form + "_variant")
        if form and there is not None:
            name = getattr(there, "__name__", "<")
            there, here = getattr(torch.Tensor, name, None), getattr(rt.Tensor, name, None)
        if callable(there) and callable(here) and not isinstance(there, torch.dtype):
            yield form, there, here


def sweep(pattern="", here_only=False, note=None, part=(0, 1)):
    """Yield (operator and form, what is wrong, class of difference, text); class None: alike. `part`: (i, n), the i-th of n parts of the operators."""
    from torch.testing._internal.common_methods_invocations import op_db
    seen = set()
    for op in op_db:
        if not re.search(pattern, op.name) or PRIVATE.search(op.name) or zlib.crc32(op.name.encode()) % part[1] != part[0]:
            continue
        dtype, samples = chosen(op)
        values = op.name not in RANDOM and not UP_TO_SIGN.search(op.name)
        for form, there, here in forms(op):
            for number, s in enumerate(samples):
                args, kwargs = (s.input, *s.args), dict(s.kwargs)
                if any(callable(v) and not isinstance(v, torch.dtype) for v in (*args, *kwargs.values())):
                    continue
                right, error = outcome(there, for_torch(args, None), {k: for_torch(v, None) for k, v in kwargs.items()})
                if error is not None:
                    continue
                results = [right] if isinstance(right, torch.Tensor) else list(right) if isinstance(right, (list, tuple)) and all(isinstance(r, torch.Tensor) for r in right) else None
                for wrong, a, k in wrong_calls(args, kwargs, dtype, results if form == "" and op.supports_out else None):
                    key = (op.name, form, wrong)
                    if key in seen:
                        continue
                    seen.add(key)
                    label = op.name + ("." + form if form else "")
                    if not here_only and (op.name in READS_PAST or f"{label} {wrong}" in CRASHES):
                        continue
                    if note is not None:
                        note(f"{label} {wrong}")
                    if form and wrong[:2] in ("0 ", "fi") and not isinstance(a[0] if a else None, (torch.Tensor, Tensors)):
                        continue                     # a method of no tensor
                    try:
                        i = wrong.split()[0]
                        original = args[int(i)] if i.isdigit() else kwargs.get(i)
                        ta, tk = [for_torch(v, original) for v in a], {n: for_torch(v, original) for n, v in k.items()}
                        ra, rk = [for_here(v) for v in ta], {n: for_here(v) for n, v in tk.items()}
                    except Exception:  # no such tensor: float of complex, narrow of nothing
                        continue
                    got, mine = outcome(here, ra, rk)
                    if here_only:
                        yield label, wrong, None, repr(mine)[:200]
                        continue
                    torch.manual_seed(0)
                    want, theirs = outcome(there, ta, tk)
                    if theirs is not None and mine is not None:
                        kind = None if catches(theirs, mine) else "type"
                        text = f"PyTorch {theirs!r}"[:160] + f", here {mine!r}"[:160]
                    elif theirs is not None:
                        kind, text = "silent", f"PyTorch {theirs!r}"[:200]
                    elif mine is not None:
                        kind, text = "refused", f"here {mine!r}"[:200]
                    else:
                        difference = same(want, got, values)
                        kind, text = ("value" if difference else None), str(difference)
                    yield label, wrong, kind, text.replace("\n", " ")


UNEXPLAINED = "Without a reason yet."


def listed(path=LIST):
    """What wrong_arguments.txt says: {(operator and form, place, class): (reason, what is wrong)}; a reason stands above its lines."""
    found, reason = {}, UNEXPLAINED
    for line in (path.read_text().splitlines() if path.exists() else ()):
        if line.startswith("## "):
            reason = line[3:]
        elif line and not line.startswith("#"):
            label, place, kind, whats = line.split()
            found[label, place, kind] = reason, whats.split(",")
    return found


def known(path=LIST):
    """The calls of wrong_arguments.txt: a set of (operator and form, what is wrong, class)."""
    return {(label, f"{place} {what}", kind) for (label, place, kind), (reason, whats) in listed(path).items() for what in whats}


def write(left, path=LIST):
    """Rewrite wrong_arguments.txt; its comments and reasons are kept."""
    lines = collections.defaultdict(list)
    for label, wrong, kind in left:
        place, what = wrong.split(" ", 1)
        lines[label, place, kind].append(what)
    old, sections = listed(path), collections.defaultdict(list)
    head = list(itertools.takewhile(lambda line: not line.startswith("## "), (path.read_text().splitlines() if path.exists() else ())))
    for key, whats in sorted(lines.items()):
        sections[old[key][0] if key in old else UNEXPLAINED].append(f"{' '.join(key)} {','.join(sorted(whats))}")
    order = [reason for reason in dict.fromkeys(reason for reason, _ in old.values()) if reason in sections]
    text = [line for reason in dict.fromkeys([*order, *sections]) for line in ("## " + reason, *sections[reason])]
    path.write_text("\n".join([*(line for line in head if line.startswith("#")), *text]) + "\n")


def new_differences(sweep, parts, least, path=LIST):
    """Differences of a part of a sweep, one of `parts`, that its list does not have; the part has more than `least` calls."""
    allowed, calls, new = known(path), 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for label, wrong, kind, text in sweep(part=(0, parts)):
            calls += 1
            if kind and (label, wrong, kind) not in allowed:
                new.append(f"{kind} {label}: {wrong}: {text}")
    assert calls > least
    return new


def main(sweep=sweep, path=LIST, doc=__doc__):
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    p.add_argument("pattern", nargs="?", default="")
    p.add_argument("--write", action="store_true")
    p.add_argument("--here-only", action="store_true")
    p.add_argument("--part", default="0/1")
    p.add_argument("--note", help="file that names the call under way")
    p.add_argument("--skip", help="file of calls to leave out, one a line")
    o = p.parse_args()
    if o.skip:
        CRASHES.update(Path(o.skip).read_text().splitlines())
    note = None
    if o.note:
        file = open(o.note, "w")

        def note(text):
            file.seek(0)
            file.write(text + "\n" + " " * 100)
            file.flush()
    counts, left = collections.Counter(), []
    for label, wrong, kind, text in sweep(o.pattern, note=note, part=tuple(int(n) for n in o.part.split("/")), **({"here_only": True} if o.here_only else {})):
        counts[kind] += 1
        if kind:
            left.append((label, wrong, kind))
            if not o.write:
                print(f"{kind:8}{label}: {wrong}: {text}")
    if o.write:
        write(left, path)
    print(f"{sum(counts.values())} calls, alike {counts[None]}, " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items(), key=str) if k))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sys.exit(main())
