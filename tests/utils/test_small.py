"""Seeds, atomic files, hook handles and DLPack's names."""
import os
import random
import stat
from collections import OrderedDict

import pytest

import rustorch_py as torch
from rustorch_py.utils.atomic import atomic_write
from rustorch_py.utils.hooks import RemovableHandle
from rustorch_py.utils.seeding import seed_everything


def test_seed_everything():
    numpy = pytest.importorskip("numpy")
    draws = []
    for _ in range(2):
        assert seed_everything(3) == 3
        draws.append((random.random(), numpy.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
    with pytest.raises(TypeError):
        seed_everything(1.5)
    with pytest.raises(ValueError):
        seed_everything(-1)


def test_atomic_write(tmp_path):
    path = tmp_path / "f"
    with atomic_write(path, "w", encoding="utf-8") as f:
        f.write("one")
        assert not path.exists()
    os.chmod(path, 0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    with atomic_write(link, "w") as f:
        f.write("two")
    assert path.read_text() == "two" and link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(ZeroDivisionError):
        with atomic_write(path) as f:
            f.write(b"three")
            1 / 0
    assert path.read_text() == "two" and sorted(os.listdir(tmp_path)) == ["f", "link"]
    with atomic_write(os.devnull) as f:
        f.write(b"x")


def test_handles():
    hooks, extra = OrderedDict(), OrderedDict()
    with RemovableHandle(hooks, extra_dict=extra) as handle:
        hooks[handle.id] = extra[handle.id] = print
    assert not hooks and not extra
    handle.remove()
    other = RemovableHandle(hooks)
    assert other.id == handle.id + 1


def test_dlpack():
    from rustorch_py.utils.dlpack import from_dlpack, to_dlpack
    x = torch.arange(4)
    y = from_dlpack(to_dlpack(x))
    y[0] = 9
    assert x[0] == 9
