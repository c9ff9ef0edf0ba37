"""What grad_fn is called, over PyTorch's operator database: names that differ stand in node_names.txt, which may only become shorter.

``python tests/parity/test_node_names.py`` rewrites it.
"""
import itertools
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")                    # PyTorch's operator database imports it

import rustorch_py as rt  # noqa: E402

from mutations import PRIVATE, for_here, lookup  # noqa: E402

LIST = Path(__file__).with_name("node_names.txt")


def made_for(m, x):
    if isinstance(x, torch.Tensor):
        y = x.detach().clone() if m is torch else for_here(x)
        return y.requires_grad_() if x.requires_grad else y
    if isinstance(x, (list, tuple)) and type(x) in (list, tuple):
        return type(x)(made_for(m, v) for v in x)
    return x if m is torch else for_here(x)


def names(got):
    if hasattr(got, "grad_fn"):
        return [got.grad_fn.name() if got.grad_fn is not None else None]
    return [n for g in got for n in names(g)] if isinstance(got, (list, tuple)) else []


def differences():
    """({operator: set of "PyTorch's name/ours"}, number of operators that were called)."""
    from torch.testing._internal.common_methods_invocations import op_db
    found, called = {}, set()
    for op in op_db:
        functions = [lookup(m, op.name) for m in (torch, rt)]
        dtype = next((d for d in (torch.float32, torch.float64, torch.complex64) if d in op.dtypes), None)
        if PRIVATE.search(op.name) or not op.supports_autograd or not all(map(callable, functions)) or dtype is None:
            continue
        torch.manual_seed(0)
        np.random.seed(0)
        try:
            samples = list(itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=True), 12))
        except Exception:  # no sample without a device
            continue
        for s in samples:
            try:
                theirs, ours = (names(f(*made_for(m, (s.input, *s.args)), **{k: made_for(m, v) for k, v in s.kwargs.items()})) for m, f in zip((torch, rt), functions))
            except Exception:  # refusals are compared elsewhere
                continue
            called.add(op.name)
            pairs = {f"{a}/{b}" for a, b in itertools.zip_longest(theirs, ours) if a != b}
            if pairs:
                found.setdefault(op.name, set()).update(pairs)
    return found, len(called)


UNEXPLAINED = "Without a reason yet."


def listed():
    """What node_names.txt says: {operator: (reason, set of pairs)}; a reason stands above its lines."""
    found, reason = {}, UNEXPLAINED
    for line in LIST.read_text().splitlines():
        if line.startswith("## "):
            reason = line[3:]
        elif line and not line.startswith("#"):
            op, *pairs = line.split()
            found[op] = reason, set(pairs)
    return found


def known():
    return {op: pairs for op, (reason, pairs) in listed().items()}


def test_no_other_name():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, called = differences()
    allowed = known()
    assert called > 400
    assert not {op: pairs - allowed.get(op, set()) for op, pairs in found.items() if pairs - allowed.get(op, set())}
    assert not set(allowed) - set(found), "their names are PyTorch's now: take them out of node_names.txt"
    assert not [op for op, (reason, pairs) in listed().items() if reason == UNEXPLAINED]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found, called = differences()
    head = [line for line in LIST.read_text().splitlines() if line.startswith("# ")]
    old, sections = listed(), {}
    for op, pairs in sorted(found.items()):
        sections.setdefault(old[op][0] if op in old else UNEXPLAINED, []).append(" ".join([op, *sorted(pairs)]))
    LIST.write_text("\n".join([*head, *(line for reason, rows in sections.items() for line in ("## " + reason, *rows))]) + "\n")
    sys.exit(print(f"{called} operators, of {len(found)} a name differs"))
