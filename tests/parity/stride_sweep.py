"""Strides of results over PyTorch's operator database, in both libraries: samples as they are, transposed, and with channels innermost.

    python tests/parity/stride_sweep.py [REGEX]     print the operators whose results lie otherwise than PyTorch's, by number of calls
"""
import collections
import itertools
import re
import sys
import warnings
import zlib

import torch
from torch.testing._internal.common_methods_invocations import op_db

import rustorch_py as rt
from mutations import PRIVATE, RANDOM, for_here, lookup


def laid(x, how):
    """The same values in another order of memory; nested arguments too."""
    if isinstance(x, torch.Tensor):
        if how == "transposed" and x.dim() > 1:
            return x.transpose(-1, -2).contiguous().transpose(-1, -2)
        if how == "last" and x.dim() == 4:
            return x.contiguous(memory_format=torch.channels_last)
        return x.contiguous() if how else x
    if isinstance(x, (list, tuple)) and type(x) in (list, tuple):
        return type(x)(laid(v, how) for v in x)
    return x


def leaves(x):
    if hasattr(x, "stride") and hasattr(x, "layout"):
        yield x
    elif isinstance(x, (list, tuple)):
        for v in x:
            yield from leaves(v)


def geometry(x):
    """Strides of every result; those of dimensions of one element say nothing, and of empty tensors."""
    return [tuple(s for s, n in zip(t.stride(), t.shape) if n > 1) if str(t.layout) == "torch.strided" and t.numel() else None for t in leaves(x)]


def sweep(pattern, parts=1):
    """({how: (number of calls, {operator: [number that differ, an example]})}, names of the operators called); parts: of how many parts of the operators the first."""
    found, names = {how: [0, collections.defaultdict(lambda: [0, None])] for how in ("", "transposed", "last")}, set()
    for op in op_db:
        if PRIVATE.search(op.name) or op.name in RANDOM or not re.search(pattern, op.name) or torch.float32 not in op.dtypes:
            continue
        if zlib.crc32(op.name.encode()) % parts:
            continue
        here = lookup(rt, op.name)
        here = here or lookup(rt, "Tensor." + op.name)
        theirs = lookup(torch, op.name) or lookup(torch, "Tensor." + op.name)
        if here is None or theirs is None:
            continue
        torch.manual_seed(zlib.crc32(op.name.encode()))
        try:
            samples = list(itertools.islice(op.sample_inputs("cpu", torch.float32, requires_grad=False), 12))
        except Exception:  # no sample without a device
            continue
        for s, how in itertools.product(samples, found):
            args = (s.input, *s.args)
            if how == "last" and not any(t.dim() == 4 for t in leaves(args)):
                continue
            args, kwargs = laid(args, how), {k: laid(v, how) for k, v in s.kwargs.items()}
            try:
                mine = for_here(args), {k: for_here(v) for k, v in kwargs.items()}
                a, b = theirs(*args, **kwargs), here(*mine[0], **mine[1])
            except Exception:  # other tests look at refusals
                continue
            found[how][0] += 1
            names.add(op.name)
            one, two = geometry(a), geometry(b)
            if one != two:
                row = found[how][1][op.name]
                row[0] += 1
                row[1] = row[1] or ([tuple(t.shape) for t in leaves(a)], one, two)
    return found, names


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for how, (calls, rows) in sweep(sys.argv[1] if len(sys.argv) > 1 else "")[0].items():
        print(f"{how or 'as they are'}: {sum(n for n, _ in rows.values())} of {calls} calls")
        for name, (n, example) in sorted(rows.items(), key=lambda r: -r[1][0]):
            print(f"    {n:3d} {name}", str(example)[:170])
