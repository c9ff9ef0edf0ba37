"""DistributedDataParallel beside PyTorch's over gloo, in the same processes, in turns; and what communication costs.

    rustorch launch -n 2 benchmarks/distributed/ddp.py

Each rank has one thread (OMP_NUM_THREADS says otherwise). Needs PyTorch for its column. One line a model: milliseconds a step, the
best and the median of the rounds, of both libraries alone, alone with one bare all-reduce of as many numbers as the model has, and with
DistributedDataParallel; and the all-reduce of 25 MB by itself. A time is the slowest rank's, which in step with the others everybody waits for.
"""
import os
import socket
import statistics
import sys
import time
from datetime import timedelta

os.environ.setdefault("OMP_NUM_THREADS", "1")
import rustorch_py as rt
import rustorch_py.distributed as rdist

rdist.init_process_group("mpi", timeout=timedelta(seconds=120))
RANK, SIZE = rdist.get_rank(), rdist.get_world_size()
ROUNDS, STEPS = int(os.environ.get("ROUNDS", 7)), int(os.environ.get("STEPS", 5))


def lenet(t):
    nn = t.nn
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)), (64, 1, 28, 28)


def mlp(t):
    nn = t.nn
    layers = [nn.Linear(784, 1024), nn.ReLU()]
    for _ in range(5):
        layers += [nn.Linear(1024, 1024), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(1024, 10)), (64, 784)


class Side:
    """One library's model, with and without communication."""

    def __init__(self, t, build):
        self.t = t
        t.manual_seed(0)
        model, shape = build(t)
        self.numbers = sum(p.numel() for p in model.parameters())
        self.plain = model
        self.model = t.nn.parallel.DistributedDataParallel(build(t)[0])
        self.x, self.y = t.randn(*shape), t.randint(0, 10, (shape[0],))
        self.flat = t.zeros(self.numbers)
        self.optimizers = {m: t.optim.SGD(m.parameters(), lr=0.01, momentum=0.9) for m in (self.plain, self.model)}

    def steps(self, model, reduces=False):
        """Return milliseconds a step over a few steps; with reduces, each has a bare all-reduce of the gradients' length."""
        optimizer = self.optimizers[model]
        rdist.barrier()
        began = time.perf_counter()
        for _ in range(STEPS):
            optimizer.zero_grad()
            self.t.nn.functional.cross_entropy(model(self.x), self.y).backward()
            if reduces:
                self.t.distributed.all_reduce(self.flat)
            optimizer.step()
        return 1e3 * (time.perf_counter() - began) / STEPS


def peer():
    """Return PyTorch with a gloo group over the same ranks, or None."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    port = [None]
    if RANK == 0:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port[0] = server.getsockname()[1]
    rdist.broadcast_object_list(port, 0)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port[0]}", rank=RANK, world_size=SIZE)
    return torch


def slowest(values):
    """Return a list of times, each the slowest rank's."""
    t = rt.tensor(values, dtype=rt.float64)
    rdist.all_reduce(t, rdist.ReduceOp.MAX)
    return t.tolist()


def show(values):
    return f"{min(values):8.2f} {statistics.median(values):8.2f}"


def main():
    torch = peer()
    libraries = [rt] + ([torch] if torch else [])
    if RANK == 0:
        print(f"{SIZE} ranks, OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}; milliseconds a step: best, median")
    for build in (lenet, mlp):
        sides = [Side(t, build) for t in libraries]
        times = {}
        rounds = ROUNDS * (4 if build is lenet else 1)          # its steps are short
        for turn in range(rounds + 1):
            for side in sides:
                for kind, model in (("alone", side.plain), ("reduced", side.plain), ("DDP", side.model)):
                    took = side.steps(model, kind == "reduced")
                    if turn:                   # the first is a warm-up
                        times.setdefault((side, kind), []).append(took)
        times = {key: slowest(values) for key, values in times.items()}
        if RANK == 0:
            print(f"{build.__name__}, {sides[0].numbers:,} parameters, {rounds} rounds")
            for side, name in zip(sides, ("rustorch_py/mpi", "torch/gloo")):
                print(f"  {name:<16} alone {show(times[side, 'alone'])}   with a bare all-reduce {show(times[side, 'reduced'])}   DDP {show(times[side, 'DDP'])}")
                best, median = ([choose(times[side, kind]) for kind in ("alone", "reduced", "DDP")] for choose in (min, statistics.median))
                print(f"  {'':<16} DDP over alone: best {best[2] / best[0] - 1:+.1%}, median {median[2] / median[0] - 1:+.1%}; beyond the all-reduce: "
                      f"best {(best[2] - best[1]) / best[0]:+.1%}, median {(median[2] - median[1]) / median[0]:+.1%}")
            if torch:
                ours, theirs = times[sides[0], "DDP"], times[sides[1], "DDP"]
                print(f"  throughput of DDP over torch/gloo: best {min(theirs) / min(ours):.2f}, median {statistics.median(theirs) / statistics.median(ours):.2f}")
    columns = []
    for t in libraries:
        flat, took = t.zeros(25 * 2**18), []
        for _ in range(ROUNDS):
            rdist.barrier()
            began = time.perf_counter()
            t.distributed.all_reduce(flat)
            took.append(1e3 * (time.perf_counter() - began))
        columns.append(show(slowest(took)))
    if RANK == 0:
        print("all_reduce of 25 MB: " + ", ".join(f"{name} {column} ms" for name, column in zip(("rustorch_py/mpi", "torch/gloo"), columns)))
    if torch:
        torch.distributed.destroy_process_group()
    rdist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
