"""One wrong argument for each module, optimizer, scheduler, data loader and distribution, at its making and at each use.

A sixteenth of the classes is swept by default; RUSTORCH_SWEEP=1 sweeps all of them (some minutes). Differences that are left stand in
wrong_class_arguments.txt with their reasons: it may only become shorter (``python tests/parity/class_mutations.py --write``).
"""
import os

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")                    # PyTorch's module database imports it

import class_mutations  # noqa: E402
import mutations  # noqa: E402


def test_nothing_new_differs():
    new = mutations.new_differences(class_mutations.sweep, int(os.environ.get("RUSTORCH_SWEEP", 16)), 200, class_mutations.LIST)
    assert not new, "\n".join(new)


def test_each_difference_has_a_reason():
    assert not [key for key, (reason, _) in mutations.listed(class_mutations.LIST).items() if reason == mutations.UNEXPLAINED]
