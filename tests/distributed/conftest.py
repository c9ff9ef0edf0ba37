"""Without an MPI the tests here are skipped, except those of what is told then."""
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(config, items):
    from importlib.util import find_spec
    from rustorch_py.distributed._bootstrap import find_launcher
    if find_spec("mpi4py") is None or find_launcher() is None:
        mark = pytest.mark.skip(reason="no MPI: pip install 'rustorch_py[mpi]'")
        for item in items:
            if Path(item.fspath).parent == HERE and "without_mpi" not in item.name:
                item.add_marker(mark)
