"""What ARCHITECTURE.md names is there."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_named_files_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    missing = []
    for name in re.findall(r"`([\w./]+\.(?:py|pyx|c|h|md|toml)|(?:tensor|autograd|nn|include|utils|optim|data|tests)/[\w./]*)`", text):
        if name in ("tensor/_rows.pyx",) or "_gen" in name:
            continue                         # printed by the build
        places = (ROOT / name, ROOT / "rustorch_py" / name, ROOT / "rustorch_py" / "tensor" / name)
        if not any(p.exists() for p in places):
            missing.append(name)
    assert not missing, missing


def test_module_order_is_the_face():
    """Every module in the order of tensor/ is a module."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    order = text[text.index("Inside `tensor/`"):text.index("## Build")]
    for name in re.findall(r"`(_\w+)`", order):
        assert list((ROOT / "rustorch_py" / "tensor").glob(name + ".*")), name
