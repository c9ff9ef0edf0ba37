"""PyTorch's operator database under vmap, in both libraries.

The first samples of each operator are made examples of a batch: all tensors mapped at dimension 0, the first only, all but the first, all at
the last dimension (results too), twice nested, and the in-place form. Random operators run under each `randomness`. Compared are: raise or
not and by what, values, dtypes, shapes; and whether we loop over the examples, with a warning, where PyTorch does not.

    python tests/parity/vmap_sweep.py [REGEX]     print the differences and their number
    python tests/parity/vmap_sweep.py --write     rewrite vmap_differences.txt, the list of those that are left
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
from mutations import ORDER, PRIVATE, RANDOM, UP_TO_SIGN, catches, for_here, lookup, same

LIST = Path(__file__).with_name("vmap_differences.txt")
MODES = ("all", "first", "rest", "last", "nested", "inplace", "inplace rest")
LARGEST = 4000


def two_examples(op, dtype, count):
    """Pairs of calls that differ in their tensors' values only, as (args, kwargs) each."""
    rows = []
    for seed in (1, 2):
        torch.manual_seed(seed + zlib.crc32(op.name.encode()))
        np.random.seed(seed)
        try:
            rows.append([((s.input, *s.args), dict(s.kwargs)) for s in itertools.islice(op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=False), count)])
        except Exception:  # no sample without a device
            return []
    return [(a, b if alike(a, b) else a) for a, b in zip(*rows)]


def alike(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.shape == b.shape and a.is_floating_point()
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    return type(a) is type(b) and (a is b or a == b)


def leaves(tree, found):
    """The tensors of a call, in order."""
    if isinstance(tree, torch.Tensor):
        found.append(tree)
    elif isinstance(tree, (list, tuple)):
        for x in tree:
            leaves(x, found)
    elif isinstance(tree, dict):
        for x in tree.values():
            leaves(x, found)
    return found


def rebuilt(tree, given):
    """A call with its tensors replaced by those that `given` yields, and other values as one library's `of` makes them."""
    if isinstance(tree, torch.Tensor):
        return next(given)
    if isinstance(tree, (list, tuple)) and type(tree) in (list, tuple):
        return type(tree)(rebuilt(x, given) for x in tree)
    if isinstance(tree, dict):
        return {k: rebuilt(x, given) for k, x in tree.items()}
    return tree


def without_tensors(tree, here):
    """The call for a library: its tensors are left, for `rebuilt`."""
    if isinstance(tree, torch.Tensor):
        return tree
    if isinstance(tree, (list, tuple)) and type(tree) in (list, tuple):
        return type(tree)(without_tensors(x, here) for x in tree)
    if isinstance(tree, dict):
        return {k: without_tensors(x, here) for k, x in tree.items()}
    return for_here(tree) if here else tree


def run(T, function, call, tensors, dims, out_dim, nested, randomness):
    """(result, error, whether it looped) of a call under a library's vmap."""
    def one(*given):
        args, kwargs = rebuilt(call, iter(given))
        got = function(*args, **kwargs)
        kept = [x for x in got if isinstance(x, T.Tensor)] if isinstance(got, (list, tuple)) else got
        return tuple(kept) if isinstance(kept, list) else kept

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            mapped = T.func.vmap(one, in_dims=tuple(dims), out_dims=out_dim, randomness=randomness)
            if nested:
                mapped = T.func.vmap(mapped, in_dims=tuple(dims), out_dims=out_dim, randomness=randomness)
            got, error = mapped(*tensors), None
        except Exception as e:  # compared by the caller
            got, error = None, e
    return got, error, any("performance drop" in str(w.message) for w in seen)


def batches(first, second, mode):
    """(tensors with a batch, their dims) of two examples, or None where the mode does not apply."""
    a, b = leaves(first, []), leaves(second, [])
    if mode in ("rest", "inplace rest") and len(a) < 2 or mode == "first" and len(a) < 2:
        return None
    tensors, dims = [], []
    for i, (x, y) in enumerate(zip(a, b)):
        mapped = mode in ("all", "last", "nested", "inplace") or (i == 0) == (mode == "first")
        if not mapped:
            tensors.append(x.detach().clone())
            dims.append(None)
            continue
        at = -1 if mode == "last" else 0
        t = torch.stack([x.detach(), y.detach(), x.detach()], at)
        if mode == "nested":
            t = torch.stack([t, t.flip(0)])
        tensors.append(t)
        dims.append(at)
    return tensors, dims


def compare(there, here, first, second, mode, values, randomness="error"):
    """(class of difference or None, text), or None where the mode does not apply."""
    made = batches(first, second, mode)
    if made is None:
        return None
    tensors, dims = made
    out_dim = -1 if mode == "last" else 0
    try:
        mine = [for_here(t) for t in tensors]
        call_here = without_tensors(first, True)
    except Exception:  # no such value here
        return None
    nested = mode == "nested"
    want, theirs, looped_there = run(torch, there, without_tensors(first, False), [t.clone() for t in tensors], dims, out_dim, nested, randomness)
    got, error, looped = run(rt, here, call_here, mine, dims, out_dim, nested, randomness)
    if theirs is not None:
        if error is None:
            return ("silent" if "inplace arithmetic" in str(theirs) or randomness == "error" and "randomness" in str(theirs) else None), f"PyTorch {theirs!r}"[:160]
        return (None if catches(theirs, error) else "type"), f"PyTorch {theirs!r}"[:160] + f", here {error!r}"[:160]
    if error is not None:
        return "refused", f"here {error!r}"[:200]
    if any(hasattr(x, "_level") for x in (got if isinstance(got, (list, tuple)) else [got])):
        return "value", "a tensor of vmap's own came out"
    try:
        difference = same(want, got, values)
    except TypeError as error:                       # a tensor without memory: one of vmap's own came out in a view
        difference = str(error)
    if difference:
        return "value", difference
    return ("loop" if looped and not looped_there else None), "loops over the examples"


def sweep(pattern="", count=8, part=(0, 1)):
    """Yield (operator, mode, class of difference or None, text), once for each class of a mode."""
    from torch.testing._internal.common_methods_invocations import op_db
    for op in op_db:
        if not re.search(pattern, op.name) or PRIVATE.search(op.name) or zlib.crc32(op.name.encode()) % part[1] != part[0]:
            continue
        supported = {str(d)[6:] for d in op.dtypes}
        dtype = next((d for d in ("float64", *ORDER) if d in supported), None)
        here = lookup(rt, op.name)
        there = lookup(torch, op.name)
        in_place = op.inplace_variant
        if dtype is None or not callable(here) or not callable(there):
            continue
        label = op.name + ("." + op.variant_test_name if op.variant_test_name else "")
        random = op.name in RANDOM
        values = not random and not UP_TO_SIGN.search(op.name)
        seen = set()
        for first, second in two_examples(op, dtype, count):
            if sum(t.numel() for t in leaves(first, [])) > LARGEST or not leaves(first, []):
                continue
            for mode in MODES:
                f, g = there, here
                if mode.startswith("inplace"):
                    name = getattr(in_place, "__name__", None)
                    f, g = getattr(torch.Tensor, name or "", None), getattr(rt.Tensor, name or "", None)
                    if f is None or g is None:
                        continue
                for randomness in ("error", "same", "different") if random else ("error",):
                    got = compare(f, g, first, second, mode, values, randomness)
                    if got is None:
                        continue
                    how = mode if not random else f"{mode} {randomness}"
                    if got[0] is None:
                        yield label, how, None, ""
                    elif (how, got[0]) not in seen:
                        seen.add((how, got[0]))
                        yield label, how, got[0], got[1].replace("\n", " ")


def known():
    """The differences of vmap_differences.txt: a set of (operator, mode, class)."""
    found = set()
    for line in LIST.read_text().splitlines():
        if line and not line.startswith("#"):
            label, kind, modes = line.split(" ", 2)
            found.update((label, mode, kind) for mode in modes.split(","))
    return found


def write(left):
    """Rewrite vmap_differences.txt, its comments kept."""
    lines = collections.defaultdict(set)
    for label, mode, kind in left:
        lines[label, kind].add(mode)
    head = [line for line in LIST.read_text().splitlines() if line.startswith("#")] if LIST.exists() else []
    LIST.write_text("\n".join([*head, *(f"{label} {kind} {','.join(sorted(modes))}" for (label, kind), modes in sorted(lines.items()))]) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("pattern", nargs="?", default="")
    p.add_argument("--write", action="store_true")
    p.add_argument("--part", default="0/1")
    o = p.parse_args()
    counts, left = collections.Counter(), []
    for label, mode, kind, text in sweep(o.pattern, part=tuple(int(n) for n in o.part.split("/"))):
        counts[kind] += 1
        if kind:
            left.append((label, mode, kind))
            if not o.write:
                print(f"{kind:8}{label}: {mode}: {text}", flush=True)
    if o.write:
        write(left)
    print(f"{sum(counts.values())} calls, alike {counts[None]}, " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items(), key=str) if k))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sys.exit(main())
