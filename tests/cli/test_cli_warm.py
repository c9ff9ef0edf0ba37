"""`rustorch warm`: kernels are compiled ahead, once."""
import os
import subprocess
import sys

import pytest

from rustorch_py.cuda import _compile


def warm(tmp_path, *arguments, **environment):
    return subprocess.run([sys.executable, "-m", "rustorch_py.cli", "warm", *arguments], capture_output=True, text=True, timeout=200,
                          env={**os.environ, "RUSTORCH_CACHE_DIR": str(tmp_path), **environment})


@pytest.mark.skipif(_compile.host_compiler() is None, reason="the software device needs a C++ compiler")
def test_images_are_made_once(tmp_path):
    for compiled in ("1 compiled", "0 compiled"):
        done = warm(tmp_path, "--only", "^put", RUSTORCH_CUDA_SOFTWARE="1")
        assert done.returncode == 0 and "1 images for software" in done.stdout and compiled in done.stdout, done.stdout + done.stderr
    done = warm(tmp_path, "--only", "^(put|loss)", "--processes", "2", RUSTORCH_CUDA_SOFTWARE="1")
    assert "2 images for software: 1 compiled" in done.stdout, done.stdout + done.stderr
    program = ("import rustorch_py as rt; from rustorch_py.cuda import _backend; rt.tensor([1.0], device='cuda')\n"
               "c = _backend.compiler_of(0); print(c.compiled, c.found)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**os.environ, "RUSTORCH_CACHE_DIR": str(tmp_path), "RUSTORCH_CUDA_SOFTWARE": "1"})
    assert done.stdout.split() == ["0", "1"], done.stdout + done.stderr


def test_what_cannot_be(tmp_path):
    for arguments, text in ((("--arch", "hopper"), "sm_90"), (("--arch", "sm_90", "--only", "("), "regular expression"), (("--arch", "sm_90", "--only", "no such"), "matches")):
        done = warm(tmp_path, *arguments)
        assert done.returncode == 2 and text in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    if not any(os.path.exists(path) for path in ("/dev/nvidia0", "/dev/nvidiactl")):
        done = warm(tmp_path, RUSTORCH_CUDA_SOFTWARE="0")
        assert done.returncode == 2 and "--arch" in done.stderr, done.stderr


def test_for_an_architecture_without_a_device(tmp_path):
    pytest.importorskip("cuda.bindings.nvrtc", reason="pip install 'rustorch_py[cuda]'")
    done = warm(tmp_path, "--arch", "sm_80", "sm_90", "--only", "^put")
    assert done.returncode == 0 and "2 images for sm_80, sm_90: 2 compiled" in done.stdout, done.stdout + done.stderr
