"""The Trainer and the command line under mpirun: the curve of a single process, whatever the number of ranks, and after a kill."""
import json
import subprocess
import sys

import pytest
from _launch import HERE, environment, mpirun


def curve(folder):
    rows = json.loads((folder / "history.json").read_text())
    return [{k: v for k, v in row.items() if k != "seconds"} for row in (rows["epochs"] if isinstance(rows, dict) else rows)]


def same(a, b):
    assert len(a) == len(b)
    for left, right in zip(a, b):
        assert left == pytest.approx(right, rel=1e-9)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The curves of one process, plain and with accumulated gradients."""
    found = {}
    for word in ("plain", "accumulate"):
        folder = tmp_path_factory.mktemp(word)
        subprocess.run([sys.executable, HERE / "trainee.py", folder, word], env=environment(), check=True, timeout=60, stdout=subprocess.DEVNULL)
        found[word] = curve(folder)
    return found


@pytest.mark.parametrize("ranks, word", [(2, "plain"), (3, "accumulate")])
def test_same_curve(alone, ranks, word, tmp_path):
    done = mpirun(ranks, HERE / "trainee.py", tmp_path, word)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("done 4") == ranks, done.stdout
    same(curve(tmp_path), alone[word])
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["best.safetensors", "last.safetensors"]


@pytest.mark.parametrize("rank, epoch", [(1, 3), (0, 2)])
def test_a_kill_and_a_restart_give_the_same_curve(alone, rank, epoch, tmp_path):
    command = [sys.executable, "-m", "rustorch_py.cli", "launch", "-n", "2", "--max-restarts", "2", "--pause", "0"]
    done = subprocess.run([*command, HERE / "trainee.py", tmp_path, "kill", str(rank), str(epoch)], env=environment(), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "restart 1 of 2" in done.stderr and "restart 2 of 2" not in done.stderr
    same(curve(tmp_path), alone["plain"])


def test_launch_gives_up(tmp_path):
    program = tmp_path / "fails.py"
    program.write_text("import os, rustorch_py.distributed as d\nd.init_process_group('mpi')\nraise OSError('attempt ' + os.environ['TORCHELASTIC_RESTART_COUNT'])\n")
    command = [sys.executable, "-m", "rustorch_py.cli", "launch", "-n", "2", "--max-restarts", "1", "--pause", "0", program]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=100)
    assert done.returncode not in (0, 2) and "attempt 0" in done.stderr and "attempt 1" in done.stderr and "of 2 on" in done.stderr


def test_command_line_trains_on_two_ranks(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b,label\n" + "".join(f"{i % 7},{i % 5},{'high' if i % 7 > 3 else 'low'}\n" for i in range(60)))
    done = mpirun(2, "train", "--data", table, "--model", "linear", "--epochs", "2", "--out", tmp_path, "--no-pictures", "--threads", "1", python=("-m", "rustorch_py.cli"))
    assert done.returncode == 0, done.stderr
    assert "2 epochs, 2 ranks" in done.stdout and done.stdout.count("held-out accuracy") == 1 and done.stdout.count("epoch 2/2") == 1
    assert {"model.safetensors", "run.json", "history.csv"} <= {p.name for p in tmp_path.iterdir()}


def test_ranks_share_the_cores():
    text = ("from rustorch_py.training import _ranks; _ranks.join(); import os, rustorch_py as t; "
            "print('threads', t.get_num_threads() == max(1, os.cpu_count() // 2))")
    done = mpirun(2, "-c", text, env={"OMP_NUM_THREADS": None})
    assert done.stdout.split().count("True") == 2, done.stdout + done.stderr


def test_log_lines_carry_the_rank():
    text = ("import rustorch_py.distributed as d; d.init_process_group('mpi'); from rustorch_py import _log; _log.configure('info'); "
            "_log.logger.info('hello from %d', d.get_rank())")
    done = mpirun(2, "-c", text)
    for rank in (0, 1):
        assert f"[rank {rank} of 2] rustorch_py INFO: hello from {rank}" in done.stderr
