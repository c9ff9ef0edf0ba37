"""Runs tests of devices (tests/gpu) and of Metal (``device_*.py`` here) in processes of their own: on the software device, or with
RUSTORCH_METAL_TESTS=device on a Mac's own.

The software device cannot check address spaces (test_text.py has clang look at them), data races, Metal's compiler or speed.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rustorch_py.metal import _software

HERE = Path(__file__).parent
FILES = [HERE.parent / "gpu" / "device_any.py", HERE.parent / "gpu" / "device_rows.py", *sorted(HERE.glob("device_*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_on_the_device(path):
    environment = dict(os.environ, OMP_NUM_THREADS="1", RUSTORCH_TEST_DEVICE="metal")
    if os.environ.get("RUSTORCH_METAL_TESTS") != "device":
        why = _software.missing()
        if why:
            pytest.skip(f"Metal's software device cannot be built: {why}")
        environment.update(RUSTORCH_METAL_SOFTWARE="1")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(path)], capture_output=True, text=True, env=environment,
                          cwd=HERE.parent.parent, timeout=280)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\d+ passed", done.stdout), done.stdout[-500:]
