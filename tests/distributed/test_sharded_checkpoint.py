"""Checkpoints of several ranks: the checks of ranks_checkpoint.py, other numbers of ranks, kills while one is written."""
import os
import subprocess
import sys

import pytest
import rustorch_py as torch
import rustorch_py.distributed.checkpoint as dcp
from _launch import HERE, each_check, environment, mpirun, run_checks


@each_check("ranks_checkpoint")
def test_checkpoint(ranks, check):
    failures = run_checks("ranks_checkpoint", ranks)[check]
    assert not failures, "\n".join(failures)


def whole(folder):
    """Load the checkpoint in this process; returns its number."""
    state = {"w": torch.zeros(7, 3), "n": 0}
    dcp.load(state, checkpoint_id=str(folder), no_dist=True)
    assert state["w"].eq(state["n"]).all(), state
    return state["n"]


LOAD = """
import sys
import rustorch_py as torch, rustorch_py.distributed as dist, rustorch_py.distributed.checkpoint as dcp
from rustorch_py.distributed.device_mesh import init_device_mesh
from rustorch_py.distributed.tensor import Shard, zeros
dist.init_process_group("mpi")
state = {"w": zeros(7, 3, device_mesh=init_device_mesh("cpu", (dist.get_world_size(),)), placements=[Shard(1)]), "n": 0}
dcp.load(state, checkpoint_id=sys.argv[1])
assert state["n"] == 2 and state["w"].full_tensor().eq(2).all()
"""


def test_another_number_of_ranks(tmp_path):
    done = mpirun(4, HERE / "saver.py", tmp_path / "c", 0, 0)
    assert done.returncode == 0, done.stderr
    assert whole(tmp_path / "c") == 2 and len(os.listdir(tmp_path / "c")) == 5
    done = mpirun(3, "-c", LOAD, tmp_path / "c")
    assert done.returncode == 0, done.stderr


# System calls of rank 0 in the second save: its file is opened, flushed and renamed, the folder opened and flushed; the same for
# .metadata; then the folder is listed and the files of the first save are removed. Other ranks have the first five.
@pytest.mark.parametrize("rank, event, expected", [(0, 2, 1), (1, 3, 1), (1, 1, 1), (0, 6, 1), (0, 8, 1), (0, 9, 2), (0, 12, 2)])
def test_a_kill_leaves_a_whole_checkpoint(rank, event, expected, tmp_path):
    done = mpirun(2, HERE / "saver.py", tmp_path / "c", rank, event)
    assert done.returncode != 0 and "saved" not in done.stdout
    assert whole(tmp_path / "c") == expected
    done = subprocess.run([sys.executable, HERE / "saver.py", tmp_path / "c", "0", "0"], env=environment(), text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert whole(tmp_path / "c") == 2 and len(os.listdir(tmp_path / "c")) == 2
