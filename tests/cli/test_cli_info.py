"""`rustorch info` and the frame of the console script."""
import subprocess
import sys

import pytest

import rustorch_py
from rustorch_py.cli import main


def test_info_tells_what_is_there(capsys):
    assert main(["info"]) == 0
    lines = dict(line.split(None, 1) if not line.startswith(("device", "extra")) else
                 (" ".join(line.split()[:2]), line.split(None, 2)[2]) for line in capsys.readouterr().out.splitlines())
    assert lines["rustorch_py"].startswith(rustorch_py.__version__)
    assert lines["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert lines["SIMD"] == rustorch_py.config.simd_level()
    assert int(lines["threads"]) == rustorch_py.get_num_threads()
    assert "OpenBLAS" in lines["BLAS"] and "kernels" in lines["BLAS"]
    assert lines["device cpu"] == "available"
    for name in ("cuda", "metal"):
        assert lines[f"device {name}"].startswith("available" if getattr(rustorch_py, name).is_available() else "not available")
    for extra in ("cuda", "mpi", "viz", "torch", "onnx", "notebooks", "automl", "test", "demo"):
        assert lines[f"extra {extra}"].startswith(("installed", "not installed: pip install rustorch_py["))


def test_version_and_missing_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0 and rustorch_py.__version__ in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_help_needs_no_libraries():
    """`rustorch --help` answers fast: nothing but argparse is imported for it."""
    code = ("import sys\nfrom rustorch_py.cli import main\ntry:\n    main(['train', '--help'])\nexcept SystemExit:\n    pass\n"
            "assert not {'numpy', 'matplotlib', 'sklearn', 'tqdm'} & set(sys.modules), sorted(sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "IMAGES LABELS" in done.stdout


def test_closed_pipe_is_no_error():
    process = subprocess.Popen([sys.executable, "-m", "rustorch_py.cli", "info"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(60) == 0 and "Traceback" not in err
