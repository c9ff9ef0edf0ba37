"""The communication core on 1 to 4 ranks, stores, and starts without mpirun."""
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import rustorch_py.distributed as dist
from _launch import each_check, environment, run_checks


@each_check("ranks_core")
def test_core(ranks, check):
    failures = run_checks("ranks_core", ranks)[check]
    assert not failures, "\n".join(failures)


def free_port():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


PROGRAM = """
import sys
import rustorch_py as torch
import rustorch_py.distributed as dist
dist.init_process_group({arguments})
x = torch.full((3,), float(dist.get_rank() + 1))
dist.all_reduce(x)
assert x.tolist() == [6.0] * 3 and dist.get_world_size() == 3, x
if {dies} and dist.get_rank() == 1:
    raise ValueError("rank one has had enough")
if {dies}:
    dist.barrier()
print("rank", dist.get_rank(), "done")
"""


def start_without_mpirun(env_of, arguments, dies=False):
    text = PROGRAM.format(arguments=arguments, dies=dies)
    jobs = [subprocess.Popen([sys.executable, "-c", text.replace("RANK", str(r))], env={**environment(), **env_of(r)}, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for r in range(3)]
    try:
        return [(*job.communicate(timeout=60), job.returncode) for job in jobs]
    finally:
        for job in jobs:
            job.kill()


def test_env_launcher():
    port = free_port()
    done = start_without_mpirun(lambda r: {"RANK": str(r), "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(r)},
                                '"gloo"')
    for r, (out, err, code) in enumerate(done):
        assert code == 0 and f"rank {r} done" in out, err


def test_file_and_rank_arguments(tmp_path):
    done = start_without_mpirun(lambda r: {}, f'"mpi", init_method="file://{tmp_path}/meet", rank=RANK, world_size=3', dies=True)
    assert all(code != 0 for _, _, code in done)
    assert "rank 1 of 3" in done[1][1] and "rank one has had enough" in done[1][1] and "ValueError" in done[1][1]


def test_launcher_leaves_networks_alone_on_several_machines(monkeypatch):
    from rustorch_py.distributed._bootstrap import launcher_command
    monkeypatch.setenv("OMPI_MCA_btl", "mine")
    assert launcher_command(2)[1]["OMPI_MCA_btl"] == "mine"
    monkeypatch.delenv("OMPI_MCA_btl")
    command, given = launcher_command(2)
    assert command[-2:] == ["-n", "2"] and given.get("OMPI_MCA_btl") == ("^ofi" if "--oversubscribe" in command else None)
    assert "OMPI_MCA_btl" not in launcher_command(2, local=False)[1]


def test_rendezvous_errors():
    text = "import rustorch_py.distributed as d; d.init_process_group('mpi', init_method='tcp://127.0.0.1:1', world_size=2)"
    done = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "rank parameter missing" in done.stderr
    text = "import rustorch_py.distributed as d; d.init_process_group('mpi')"
    done = subprocess.run([sys.executable, "-c", text], env={**environment(), "WORLD_SIZE": "2"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "RANK expected, but not set" in done.stderr


def test_srun_without_pmi_is_named():
    text = "import rustorch_py.distributed as d; d.init_process_group('mpi'{})"
    env = {**environment(), "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}
    done = subprocess.run([sys.executable, "-c", text.format("")], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "srun started 4 processes" in done.stderr and "--mpi=pmix" in done.stderr
    subprocess.run([sys.executable, "-c", text.format(", world_size=1")], env=env, check=True, timeout=60)


def test_without_mpi_the_extra_is_named():
    text = ("import sys; sys.modules['mpi4py'] = None\n"
            "import importlib.util as u; find = u.find_spec; u.find_spec = lambda n, *a: None if n == 'mpi4py' else find(n, *a)\n"
            "import rustorch_py as torch, rustorch_py.distributed as dist\n"
            "assert not dist.is_available() and not dist.is_initialized()\n"
            "for name, said in (('mpi', 'pip install'), ('gloo', \"'rustorch_py[mpi]'\"), ('nccl', 'NVIDIA')):\n"
            "    try: dist.init_process_group(name)\n"
            "    except torch.DeviceError as e: assert said in str(e), e\n"
            "    else: raise SystemExit(3)\n"
            "assert 'mpi4py' not in [m for m in sys.modules if sys.modules[m] is not None]\n")
    subprocess.run([sys.executable, "-c", text], env=environment(), check=True, timeout=60)


def make_store(kind, tmp_path):
    if kind == "hash":
        return dist.HashStore()
    if kind == "file":
        return dist.FileStore(str(tmp_path / "store"), 1)
    if kind == "prefix":
        return dist.PrefixStore("mine", dist.HashStore())
    return dist.TCPStore("127.0.0.1", 0, 1, True)


@pytest.mark.parametrize("kind", ["hash", "file", "prefix", "tcp"])
def test_store_without_mpi(kind, tmp_path):
    store = make_store(kind, tmp_path)
    store.set_timeout(timedelta(seconds=5))
    store.set("a", "1")
    assert store.get("a") == b"1" and store.check(["a"]) and not store.check(["a", "b"])
    assert store.add("n", 3) == 3 and store.add("n", -1) == 2
    store.append("a", b"\x00\xff")
    assert store.get("a") == b"1\x00\xff"
    assert store.compare_set("c", "", "new") == b"new" and store.compare_set("c", "other", "no") == b"new"
    assert store.delete_key("c") and not store.delete_key("c")
    threading.Timer(0.05, lambda: store.set("late", "x")).start()
    assert store.get("late") == b"x"
    with pytest.raises(dist.DistStoreError, match="never"):
        store.wait(["never"], timedelta(seconds=0.05))


def test_tcp_store_without_mpi_between_processes():
    store = dist.TCPStore("127.0.0.1", 0, None, True)
    text = f"import rustorch_py.distributed as d; s = d.TCPStore('127.0.0.1', {store.port}); s.set('from', 'there'); print(s.add('n', 5))"
    done = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "5" and store.get("from") == b"there"
    with pytest.raises(dist.DistNetworkError, match="cannot listen"):
        dist.TCPStore("127.0.0.1", store.port, None, True)
    with pytest.raises(dist.DistNetworkError, match="no server"):
        dist.TCPStore("127.0.0.1", free_port(), None, False, timeout=timedelta(seconds=0.2))
