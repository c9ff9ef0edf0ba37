"""One wrong argument in each call of PyTorch's operator database: raises where PyTorch raises, and what its except clauses catch.

A quarter of the operators is swept by default; RUSTORCH_SWEEP=1 sweeps all of them (half a minute). Differences that are
left stand in wrong_arguments.txt with their reasons: it may only become shorter (``python tests/parity/mutations.py --write``).
"""
import os

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")                    # PyTorch's operator database imports it

import mutations  # noqa: E402


def test_nothing_new_differs():
    new = mutations.new_differences(mutations.sweep, int(os.environ.get("RUSTORCH_SWEEP", 4)), 2000)
    assert not new, "\n".join(new)


def test_each_difference_has_a_reason():
    assert not [key for key, (reason, _) in mutations.listed().items() if reason == mutations.UNEXPLAINED]


@pytest.mark.parametrize("name, text", [
    ("TypeError", "m.ones(2, 3).sum(1.5)"), ("TypeError", "m.ones(2, 3).sum(0, keepdim=1)"), ("TypeError", "m.softmax(m.ones(2), True)"), ("TypeError", "m.cat([m.ones(2), 1])"),
    ("TypeError", "m.cat((m.ones(2),), dim=0.0)"), ("TypeError", "m.ones(2, 3).transpose(0, 1.0)"), ("TypeError", "m.nn.functional.conv2d(m.ones(1, 1, 3, 3), m.ones(1, 1, 2, 2), stride=[True, True])"),
    ("TypeError", "m.sum(m.ones(2), dtype='float32')"), ("TypeError", "m.norm(m.ones(2), p=[2])"), ("ValueError", "m.ones(2).cumsum(2 ** 70)"), ("OverflowError", "m.add(m.ones(2), m.ones(2), alpha=2 ** 70)"),
    ("RuntimeError", "m.matmul(m.ones(2, 2), m.ones(2, 2), out=m.ones(2, 2, dtype=m.float64))"), ("NotImplementedError", "m.linalg.cholesky(m.eye(2).half())"),
])
def test_kind_of_error(name, text):
    import rustorch_py as rt
    kind = getattr(__builtins__, name, None) or __builtins__[name]
    for package in (torch, rt):
        with pytest.raises(kind):
            eval(text, {"m": package})


@pytest.mark.parametrize("text", [
    "m.ones(2, 3).sum(m.tensor(1))", "m.ones(2, 3).sum((0, m.tensor(1)))", "m.ones(2, 3).cumsum(n.int64(1))", "m.ones(2, 3).sum(None)",
    "m.add(m.ones(2), m.ones(2), alpha=m.tensor(2.0))", "m.clamp(m.ones(2), None, 3)", "m.cumsum(m.ones(2), 0, dtype=float)", "m.nn.functional.dropout(m.ones(2), 0, False)",
    "m.nn.functional.max_pool1d(m.ones(1, 1, 4), 2, padding=m.tensor(1))", "m.add(2, m.ones(2))", "m.nn.functional.batch_norm(m.ones(2, 2), None, None, training=True)",
])
def test_what_pytorch_takes_is_taken(text):
    import numpy as n

    import rustorch_py as rt
    assert eval(text, {"m": torch, "n": n}).tolist() == eval(text, {"m": rt, "n": n}).tolist()
