"""Starts programs under mpirun. A file ``ranks_*.py`` holds checks that every rank runs; one start runs those of all files."""
import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def environment():
    """One thread a rank; waiting ranks yield the processor; this checkout's package."""
    return {**_kept(os.environ), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1]), "OMPI_MCA_mpi_yield_when_idle": "1"}


def _kept(env):
    """Return an environment without what tells of another job. Unbuffered, print("a", 4) is four writes, between which MPICH's launcher puts other ranks'."""
    drop = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "PYTHONUNBUFFERED")
    return {k: v for k, v in env.items() if k not in drop and not k.startswith(("OMPI_COMM", "PMIX_", "PMI_"))}


def mpirun(ranks, *arguments, timeout=120, env=None, python=()):
    """Run this Python under mpirun; returns the completed process. env: changes of the environment, None for a name that must not be there."""
    from rustorch_py.distributed._bootstrap import launcher_command
    command, given = launcher_command(ranks)
    whole = {name: value for name, value in {**_kept(given), **environment(), **(env or {})}.items() if value is not None}
    return subprocess.run([*command, sys.executable, *python, *map(str, arguments)], env=whole, text=True,
                          capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)


# On how many ranks the checks of a file run.
RANKS = {"ranks_core": (1, 2, 3, 4), "ranks_ddp": (1, 2, 3, 4), "ranks_zero": (1, 3), "ranks_fsdp": (1, 2, 3),
         "ranks_pipeline": (1, 2, 3, 4), "ranks_join": (1, 2, 4), "ranks_random": (1, 2, 3, 4),
         "ranks_tensor": (1, 2, 3, 4), "ranks_checkpoint": (1, 3), "ranks_fully_shard": (1, 2, 4), "ranks_ring": (1, 2, 3, 4),
         "ranks_layers": (1, 2, 3, 4)}
ALONE = {"ranks_nccl": (1, 2, 3), "ranks_stages": (1, 2, 3)}          # those that need another environment
_started = {}


def run_checks(file, ranks):
    """Run the checks of all files on a number of ranks, once a session; returns a file's {check: [traceback of each rank that failed]}."""
    if ranks not in _started:
        _started[ranks] = mpirun(ranks, HERE / "_checks.py", *(name for name, counts in RANKS.items() if ranks in counts), timeout=300)
    return _results(file, ranks, _started[ranks])


def run_alone(file, ranks, env, timeout):
    """Run one file's checks in a start of their own; returns the same, and what was printed."""
    done = mpirun(ranks, HERE / "_checks.py", file, env=env, timeout=timeout)
    return _results(file, ranks, done), "\n".join(line for line in done.stdout.splitlines() if not line.startswith("RESULTS "))


def _results(file, ranks, done):
    results = dict(json.loads(line[8:]) for line in done.stdout.splitlines() if line.startswith("RESULTS "))
    if file not in results or done.returncode != 0:
        pytest.fail(f"{file} on {ranks} ranks ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return results[file]


def each_check(file):
    """Return a decorator that calls a test with ``ranks`` and ``check``, for each number of ranks and name in a file's list of checks."""
    tree = ast.parse((HERE / f"{file}.py").read_text(encoding="utf-8"))
    names = next([n.id for n in node.value.elts] for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "CHECKS")
    return pytest.mark.parametrize("ranks, check", [(ranks, name) for ranks in (RANKS | ALONE)[file] for name in names])
