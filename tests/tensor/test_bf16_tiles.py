"""bfloat16 products by tile registers (Note [Tiles of pairs] in kernels/bf16_tiles.h), on a model of the registers where the processor has none."""
import ctypes
import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FLAGS = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64" or "avx512_bf16" not in FLAGS, reason="rounds by AVX512_BF16, which this processor lacks")
I64, F64, P = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    words = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    compiler = next((w for w in words if shutil.which(w) and "ccache" not in w), None)
    version = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True).stdout if compiler else ""
    if not version or int(version.split(".")[0]) < 11:
        pytest.skip("needs GCC 11, which has the tile registers' functions")
    kernels, target = ROOT / "rustorch_py" / "tensor" / "kernels", tmp_path_factory.mktemp("tiles") / "tiles.so"
    sets = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mbmi2", "-DRT_ISA=avx512", "-DRT_BUILD_AVX512"]
    done = subprocess.run([compiler, "-std=gnu11", "-O2", "-shared", "-fPIC", *sets, "-I", str(ROOT / "include"), "-I", str(kernels),
                           str(HERE / "tiles_model.c"), "-o", str(target)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    function = ctypes.CDLL(str(target)).run
    function.argtypes = [I64, I64, I64, P, I64, I64, P, I64, I64, P, I64, F64, F64, P]
    return function


def rounded(x):
    """Nearest bfloat16 values, ties to even, as float32."""
    bits = np.ascontiguousarray(x, "float32").view("uint32").astype("uint64")
    return (((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16) & 0xFFFFFFFF).astype("uint32").view("float32")


def halves(x):
    return (np.ascontiguousarray(x, "float32").view("uint32") >> 16).astype("uint16")


def laid(rng, rows, cols, layout):
    """Values, the memory they lie in, and its steps in elements."""
    values = rounded(rng.standard_normal((rows, cols)))
    if layout == "rows":
        room = np.full((rows, cols + 3), 0x7FC0, "uint16")                # what lies between rows is NaN
        room[:, :cols] = halves(values)
        return values, room, cols + 3, 1
    if layout == "columns":
        room = np.full((cols, rows + 5), 0x7FC0, "uint16")
        room[:, :rows] = halves(values).T
        return values, room, 1, rows + 5
    room = np.full((rows, 2 * cols), 0x7FC0, "uint16")
    room[:, ::2] = halves(values)
    return values, room, 2 * cols, 2


@pytest.mark.parametrize("m,k,n", [(1, 64, 64), (16, 32, 16), (17, 33, 65), (32, 64, 32), (33, 100, 31), (100, 257, 130), (40, 1, 40), (40, 31, 50), (7, 64, 200),
                                   (20, 2100, 70), (70, 4500, 33), (130, 2048, 96), (200, 64, 600)])
@pytest.mark.parametrize("la", ["rows", "columns", "steps"])
@pytest.mark.parametrize("lb", ["rows", "columns", "steps"])
def test_products(run, m, k, n, la, lb):
    rng = np.random.default_rng(m + k + n)
    a, at, a_m, a_k = laid(rng, m, k, la)
    b, bt, b_k, b_n = laid(rng, k, n, lb)
    exact = a.astype("float64") @ b.astype("float64")
    bound = np.abs(a).astype("float64") @ np.abs(b).astype("float64") * 2.0 ** -20
    bias, before = rounded(rng.standard_normal(n)), rounded(rng.standard_normal((m, n)))
    for alpha, beta, row in ((1.0, 0.0, None), (1.0, 0.0, bias), (-2.0, 0.5, None)):
        c = np.full((m + 1, n + 2), 0x1234, "uint16")
        c[:m, :n] = halves(before) if beta else 0x7FC0
        held = halves(row) if row is not None else None
        assert run(m, n, k, at.ctypes.data, a_m, a_k, bt.ctypes.data, b_k, b_n, c.ctypes.data, n + 2, alpha, beta, held.ctypes.data if row is not None else None) == 0
        assert (c[m] == 0x1234).all() and (c[:, n:] == 0x1234).all()
        want = alpha * exact + beta * before.astype("float64") + (row.astype("float64") if row is not None else 0)
        got = (c[:m, :n].astype("uint32") << 16).view("float32").astype("float64")
        assert (np.abs(got - want) <= np.abs(want) * 2.0 ** -8 + bound * 4).all()
