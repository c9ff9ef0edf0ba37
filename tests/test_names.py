"""COVERAGE.md says what the package has: PyTorch's names in tests/names/pytorch.txt, reasons in tests/names/left_out.txt."""
import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("names_table", HERE / "names" / "table.py")
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)


def test_page_is_up_to_date():
    if not table.PAGE.exists():
        pytest.skip("an installed package has no COVERAGE.md")
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), "run `make docs`"


def test_every_reason_is_needed():
    _, idle = table.sorted_out()
    assert not idle, f"nothing is left out by these patterns of left_out.txt: {idle}"


def test_most_names_are_there():
    """Of what the namespaces that programs use lack without a reason, there is little."""
    found, _ = table.sorted_out()
    for space in ("torch.nn", "torch.nn.functional", "torch.nn.init", "torch.optim.lr_scheduler", "torch.linalg", "torch.fft", "torch.special",
                  "torch.distributions", "torch.nn.utils.rnn", "torch.nn.Module", "torch.Tensor"):
        have, _, missing = found[space]
        assert len(missing) <= 0.02 * len(have), f"{space}: {missing}"
