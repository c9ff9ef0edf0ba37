"""The all-reduce of 25 MB of floats between two ranks, beside a plain C program over the same MPI, started in turns.

    python benchmarks/distributed/all_reduce.py [RANKS [TURNS]]

Needs the mpicc that belongs to the MPI in use. Prints milliseconds of both, best and median of all calls, and the share of the C program's speed.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROUNDS = 20


def ours():
    """Print the seconds of each call, as the C program does."""
    import rustorch_py as torch
    import rustorch_py.distributed as dist
    dist.init_process_group("mpi")
    x = torch.zeros(25 * 2**18)
    for _ in range(ROUNDS):
        dist.barrier()
        began = time.perf_counter()
        dist.all_reduce(x)
        took = torch.tensor(time.perf_counter() - began, dtype=torch.float64)
        dist.reduce(took, 0, dist.ReduceOp.MAX)
        if dist.get_rank() == 0:
            print(f"{took.item():.9f}")
    dist.destroy_process_group()


def main(ranks=2, turns=5):
    from rustorch_py.distributed._bootstrap import find_launcher, launcher_command
    command, env = launcher_command(ranks)
    here = Path(__file__).resolve()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "all_reduce")
        subprocess.run([Path(find_launcher()).with_name("mpicc"), "-O2", here.with_suffix(".c"), "-o", program], check=True)
        times = {"C": [], "rustorch_py": []}
        for turn in range(turns):
            for name, start in (("C", [program, str(ROUNDS)]), ("rustorch_py", [sys.executable, here, "--one"])):
                said = subprocess.run([*command, *start], env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
                times[name] += [1e3 * float(line) for line in said.split()[1:]]          # the first is a warm-up
    best, median = ([choose(times[name]) for name in times] for choose in (min, statistics.median))
    print(f"25 MB, {ranks} ranks, {len(times['C'])} calls each: C best {best[0]:.2f} ms, median {median[0]:.2f}; rustorch_py best {best[1]:.2f}, median {median[1]:.2f}; "
          f"share of C's speed: best {best[0] / best[1]:.0%}, median {median[0] / median[1]:.0%}")


if __name__ == "__main__":
    sys.exit(ours() if sys.argv[1:] == ["--one"] else main(*map(int, sys.argv[1:])))
