"""Runs the device's tests (``device_*.py``) in processes of their own, on the software device, or with RUSTORCH_CUDA_TESTS=device on a GPU.

A process has one CUDA back end for its life, and other tests ask what happens where there is none.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rustorch_py.cuda import _compile

HERE = Path(__file__).parent
FILES = sorted(p.name for p in HERE.glob("device_*.py"))


@pytest.fixture(scope="session")
def cublaslt(tmp_path_factory):
    """A stand-in for NVIDIA's library of products over the software device's memory."""
    compiler = next((c for c in (os.environ.get("CC", "").split(), ["cc"], ["gcc"], ["clang"]) if c and shutil.which(c[0])), None)
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("cublaslt") / "libcublasLt.so.13"
    subprocess.run([*compiler, "-O2", "-w", "-fPIC", "-shared", HERE / "cublaslt_standin.c", "-o", library, "-ldl", "-lm"], check=True)
    return str(library)


@pytest.mark.parametrize("name, products", [(name, "cublaslt") for name in FILES] + [("device_products.py", "own")])
def test_on_the_device(name, products, cublaslt):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if os.environ.get("RUSTORCH_CUDA_TESTS") != "device":
        if _compile.host_compiler() is None:
            pytest.skip("the software device compiles kernels with a C++ compiler, and there is none")
        environment.update(RUSTORCH_CUDA_SOFTWARE="1", RUSTORCH_CUBLASLT=cublaslt)
    if products == "own":
        environment["RUSTORCH_CUBLASLT"] = "0"
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE / name)], capture_output=True, text=True,
                          env=environment, cwd=HERE.parent.parent, timeout=280)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\d+ passed", done.stdout), done.stdout[-500:]
