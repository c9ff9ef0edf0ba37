"""Random kills of a random rank: python kills.py [HOW_MANY [FIRST_SEED]].

Each time a job of 2 or 3 ranks trains, one of them is killed at a random moment, and `rustorch launch` starts it again. Said of each: the
seconds from the kill to the end of the job, and whether the curve is that of a single process that nobody disturbed.
"""
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _launch import HERE, environment
from test_ranks_train import curve, same

LIMIT = 10.0          # seconds from a kill to the end of the job


def alone(folder):
    """Return the curve of one process."""
    subprocess.run([sys.executable, HERE / "trainee.py", folder, "plain"], env=environment(), check=True, timeout=60, stdout=subprocess.DEVNULL)
    return curve(folder)


def kill(seed, folder, expected):
    """Train with one kill; returns the seconds until the job ended, and raises AssertionError if the curve is another one."""
    rng = random.Random(seed)
    ranks = rng.choice((2, 3))
    victim, epoch, batch, delay = rng.randrange(ranks), rng.randrange(1, 4), rng.randrange(3), rng.uniform(0, 0.01)
    command = [sys.executable, "-m", "rustorch_py.cli", "launch", "-n", ranks, "--max-restarts", "1", "--pause", "0", HERE / "trainee.py", folder,
               "kill", victim, epoch, batch, delay]
    job = subprocess.Popen(list(map(str, command)), env=environment(), text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    ended, said = None, []
    for line in job.stderr:
        said.append(line)
        if "restart 1 of 1" in line:
            ended = time.time()
    assert job.wait(60) == 0 and ended is not None, "".join(said)
    same(curve(folder), expected)
    return ended - float((folder / "killed").read_text())


def run(count, first=0):
    """Yield (seed, seconds) of one kill after the other."""
    with tempfile.TemporaryDirectory() as root:
        expected = alone(Path(root, "alone"))
        for seed in range(first, first + count):
            yield seed, kill(seed, Path(root, str(seed)), expected)


if __name__ == "__main__":
    times = []
    for seed, seconds in run(*map(int, sys.argv[1:])):
        times.append(seconds)
        print(f"kill {seed}: ended after {seconds:.2f} s, same curve" + ("" if seconds < LIMIT else f"  MORE THAN {LIMIT:g} s"), flush=True)
    print(f"{len(times)} kills: longest {max(times):.2f} s, median {sorted(times)[len(times) // 2]:.2f} s")
    sys.exit(max(times) >= LIMIT)
