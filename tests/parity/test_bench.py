"""`rustorch bench` beside PyTorch: results are compared, ratios told."""
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")


def test_rows_beside_torch(tmp_path):
    done = subprocess.run([sys.executable, "-m", "rustorch_py.cli", "bench", "--quick", "--threads", "1", "--only", r"^XOR 2-8-1|^mm 16$|^sort rows|^randn",
                           "--out", str(tmp_path)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert [row["family"] for row in result["rows"]] == ["kernels", "gemm", "training", "random"]
    assert all(row["seconds"]["torch"] > 0 for row in result["rows"])
    assert result["summary"]["geometric_mean"] > 0 and not result["summary"]["failed"]
    assert next(tmp_path.glob("*.png")).read_bytes()[:4] == b"\x89PNG"
