"""Starts programs under mpirun. A file ``ranks_*.py`` holds checks that every rank runs; one start runs them all."""
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
    # Unbuffered, print("a", 4) is four writes, and MPICH's launcher puts other ranks' writes between them.
    drop = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "PYTHONUNBUFFERED")
    env = {k: v for k, v in os.environ.items() if k not in drop and not k.startswith(("OMPI_COMM", "PMIX_", "PMI_"))}
    return {**env, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1]), "OMPI_MCA_mpi_yield_when_idle": "1"}


def mpirun(ranks, *arguments, timeout=120, env=None, python=()):
    """Run this Python under mpirun; returns the completed process."""
    from rustorch_py.distributed._bootstrap import launcher_command
    command, given = launcher_command(ranks)
    return subprocess.run([*command, sys.executable, *python, *map(str, arguments)], env={**given, **environment(), **(env or {})}, text=True,
                          capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)


_results = {}


def run_checks(file, ranks):
    """Run all checks of a file on a number of ranks, once a session; returns {check: [traceback of each rank that failed]}."""
    key = file, ranks
    if key not in _results:
        done = mpirun(ranks, HERE / file)
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
        _results[key] = (json.loads(lines[-1][8:]) if lines else None, done)
    results, done = _results[key]
    if results is None:
        pytest.fail(f"{file} on {ranks} ranks ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return results


def checks_of(file):
    """The names in a file's list of checks, without running it."""
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    return next([n.id for n in node.value.elts] for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "CHECKS")
