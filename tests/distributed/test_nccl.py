"""The back end nccl, short of the hardware: a stand-in for NVIDIA's library over the software CUDA device, on 1 to 3 ranks."""
import os
import shutil
import subprocess
import sys

import pytest
from _launch import HERE, each_check, environment, run_alone
from test_core import free_port

_seen = {}


@pytest.fixture(scope="session")
def device(tmp_path_factory):
    """The environment in which there are devices and the stand-in."""
    compiler = next((c for c in (os.environ.get("CC", "").split(), ["cc"], ["gcc"], ["clang"]) if c and shutil.which(c[0])), None)
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("nccl") / "libnccl.so.2"
    subprocess.run([*compiler, "-O1", "-w", "-fPIC", "-shared", HERE / "nccl_standin.c", "-o", library, "-ldl", "-lrt"], check=True)
    return {"RUSTORCH_CUDA_SOFTWARE": "1", "RUSTORCH_NCCL": str(library), "CHECKS_BACKEND": "cpu:mpi,cuda:nccl"}


@each_check("ranks_nccl")
def test_on_devices(ranks, check, device):
    if ranks not in _seen:
        _seen[ranks] = run_alone("ranks_nccl", ranks, device, timeout=300)[0]
    assert not _seen[ranks][check], "\n".join(_seen[ranks][check])


# Without mpi4py, as on a cluster where torchrun or Kubernetes starts the processes.
START = """
import os, sys, time
sys.modules['mpi4py'] = None
import importlib.util as u; find = u.find_spec; u.find_spec = lambda n, *a: None if n == 'mpi4py' else find(n, *a)
from datetime import timedelta
import rustorch_py as torch, rustorch_py.distributed as dist
dist.init_process_group("nccl", timeout=timedelta(seconds={timeout}))
R, N = dist.get_rank(), dist.get_world_size()
x = torch.full((3,), float(R + 1), device="cuda")
"""


def start_without_mpi(device, body, ranks=2, timeout=60):
    port = free_port()
    jobs = [subprocess.Popen([sys.executable, "-c", START.format(timeout=timeout) + body], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**environment(), **device, "RANK": str(r), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
            for r in range(ranks)]
    try:
        return [(*job.communicate(timeout=60), job.returncode) for job in jobs]
    finally:
        for job in jobs:
            job.kill()


def test_processes_without_mpi(device):
    done = start_without_mpi(device, """
dist.all_reduce(x)
assert x.cpu().tolist() == [6.0] * 3
things = [R, "text"] if R == 1 else [None, None]
dist.broadcast_object_list(things, src=1)
assert things == [1, "text"]
got = [None] * N
dist.all_gather_object(got, {"rank": R})
assert [g["rank"] for g in got] == [0, 1, 2]
out = [None]
dist.scatter_object_list(out, list("abc") if R == 2 else None, src=2)
assert out == ["abc"[R]]
got = [None] * N if R == 0 else None
dist.gather_object(R, got, dst=0)
assert R or got == [0, 1, 2]
side = dist.new_group([0, 2])
if R != 1:
    dist.all_reduce(x, group=side)
    assert x.cpu().tolist() == [12.0] * 3 and dist.get_rank(side) == R // 2
    dist.send(x, 2) if R == 0 else dist.recv(x, 0)
    dist.send_object_list([R], 2) if R == 0 else dist.recv_object_list(out, 0)
    assert R == 0 or out == [0]
local, _ = dist.new_subgroups()
assert dist.get_world_size(local) == 3
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2).cuda())
model(x).sum().backward()
try:
    dist.all_reduce(torch.ones(1))
except dist.DistBackendError as error:
    assert "device type cpu" in str(error)
dist.barrier()
dist.destroy_process_group()
dist.init_process_group("nccl")
dist.all_reduce(x)
print("rank", R, "done")
""", 3)
    for r, (out, err, code) in enumerate(done):
        assert code == 0 and f"rank {r} done" in out, err


def test_a_rank_that_fails_ends_all_without_mpi(device):
    done = start_without_mpi(device, """
if R == 1:
    raise ValueError("rank one has had enough")
time.sleep(50)
""")
    assert done[0][2] == 1 and done[1][2] == 1
    assert "rank 1 of 2" in done[1][1] and "ValueError: rank one has had enough" in done[1][1]
    assert "rank 0 of 2" in done[0][1] and "rank one has had enough" in done[0][1]


def test_a_call_that_never_comes_ends_all_without_mpi(device):
    done = start_without_mpi(device, """
dist.all_reduce(x)
if R == 0:
    dist.all_reduce(x)
time.sleep(50)
""", timeout=3)
    assert done[0][2] == 1 and "all_reduce: not complete after 3 s" in done[0][1]
    assert done[1][2] == 1 and "ended because of rank 0" in done[1][1]


def test_what_is_missing_is_named_without_mpi(device):
    text = """
import rustorch_py as torch, rustorch_py.distributed as dist
try: dist.init_process_group("nccl")
except torch.BackendUnavailableError as error: print(error)
"""
    for library, said in (("/nowhere/libnccl.so.2", "/nowhere/libnccl.so.2 cannot be used"), ("libc.so.6", "ncclGetVersion")):
        done = subprocess.run([sys.executable, "-c", text], env={**environment(), **device, "RUSTORCH_NCCL": library}, capture_output=True, text=True, check=True)
        assert said in done.stdout and "pip install 'rustorch_py[nccl]'" in done.stdout, done.stdout


def test_errors_of_work_under_way_without_mpi(device):
    text = """
import os, time
import rustorch_py as torch, rustorch_py.distributed as dist
dist.init_process_group("nccl")
dist.all_reduce(torch.ones(1, device="cuda"))
lane = dist.group.WORLD.lane("", "", torch.ones(1, device="cuda"))
assert lane.problem() is None
open(os.environ["NCCL_STANDIN_ERROR_FILE"], "w").close()
assert "remote process exited" in lane.problem()
"""
    where = os.path.join(os.path.dirname(device["RUSTORCH_NCCL"]), "failed")
    done = subprocess.run([sys.executable, "-c", text], env={**environment(), **device, "NCCL_STANDIN_ERROR_FILE": where}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
