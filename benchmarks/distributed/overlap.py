"""A picture of what overlaps in a step of DistributedDataParallel: backward, layer by layer, and the all-reduces of its buckets.

    rustorch launch -n 2 benchmarks/distributed/overlap.py --out benchmarks/results

Writes ddp-overlap.png (needs matplotlib) and ddp-overlap.json, a Chrome trace (chrome://tracing, ui.perfetto.dev) with a process for each rank. An all-reduce
lasts from its start to when a rank learns that it is complete; they are started by the hook `allreduce_hook`, which never waits. Says how much of that time
lies within backward.
"""
import argparse
import json
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py import nn, optim
from rustorch_py.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from rustorch_py.utils.atomic import atomic_write


def model():
    layers = [nn.Linear(784, 1024), nn.ReLU()]
    for _ in range(5):
        layers += [nn.Linear(1024, 1024), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(1024, 10))


class Recorder:
    """Spans of one step: (lane, name, begin, end) in seconds since the step's begin."""

    def __init__(self, ddp):
        self.spans, self.begun = [], {}
        ddp.register_comm_hook(None, self.bucket)
        for name, layer in ddp.module.named_children():
            if next(layer.parameters(), None) is not None:
                layer.register_full_backward_pre_hook(lambda layer, grads, name=name: self.begin(f"layer {name}"))
                layer.register_full_backward_hook(lambda layer, inputs, grads, name=name: self.end("backward", f"layer {name}"))

    def now(self):
        return time.perf_counter() - self.zero

    def begin(self, name):
        self.begun[name] = self.now()

    def end(self, lane, name):
        if name in self.begun:
            self.spans.append((lane, name, self.begun.pop(name), self.now()))

    def bucket(self, state, bucket):
        name, nbytes = f"bucket {bucket.index()}", bucket.buffer().numel() * bucket.buffer().element_size()
        self.begin(name)

        def done(future):
            self.end("all_reduce", name)
            return future.value()
        future = allreduce_hook(state, bucket).then(done)
        self.spans.append(("start", f"{name}: {nbytes / 2**20:.1f} MB", self.begun.get(name, self.now()), None))
        return future

    def step(self, ddp, optimizer, x, y):
        self.spans, self.begun = [], {}
        dist.barrier()
        self.zero = time.perf_counter()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(ddp(x), y)
        self.spans.append(("compute", "forward", 0.0, self.now()))
        before = self.now()
        loss.backward()
        ends = [end for lane, _, _, end in self.spans if lane == "backward"]
        self.spans.append(("compute", "backward", before, max(ends)))
        self.spans.append(("compute", "waiting", max(ends), self.now()))
        before = self.now()
        optimizer.step()
        self.spans.append(("compute", "optimizer", before, self.now()))
        return self.spans


def covered(spans, begin, end):
    """Seconds between begin and end in which at least one of the spans lasts."""
    total, at = 0.0, begin
    for left, right in sorted((max(a, begin), min(b, end)) for a, b in spans):
        if right > max(at, left):
            total += right - max(at, left)
            at = right
    return total


def picture(every, path, title):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11, 1.2 + 1.5 * len(every)))
    FigureCanvasAgg(figure)
    axes, labels = figure.add_subplot(), []
    colours = {"forward": "#9ecae1", "backward": "#3182bd", "waiting": "#de2d26", "optimizer": "#31a354", "all_reduce": "#fd8d3c"}
    for rank, spans in enumerate(every):
        y = -3 * rank
        labels += [(y, f"rank {rank} computes"), (y - 1, "all-reduces under way")]
        for lane, name, begin, end in spans:
            if lane in ("compute", "all_reduce"):
                kind = name if lane == "compute" else lane
                axes.barh(y - (lane == "all_reduce"), 1e3 * (end - begin), left=1e3 * begin, color=colours[kind], height=0.8, edgecolor="white", linewidth=0.5)
    for kind, colour in colours.items():
        axes.barh(0, 0, color=colour, label=kind.replace("_", "-"))
    axes.set_yticks([y for y, _ in labels], [text for _, text in labels])
    axes.set_xlabel("ms")
    axes.set_title(title, fontsize=10)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=5, frameon=False)
    figure.tight_layout()
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=".", help="folder")
    out = parser.parse_args().out
    dist.init_process_group("mpi")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    ddp = nn.parallel.DistributedDataParallel(model())
    recorder, optimizer = Recorder(ddp), optim.SGD(ddp.parameters(), 0.01, momentum=0.9)
    x, y = torch.randn(64, 784), torch.randint(0, 10, (64,))
    steps = [list(recorder.step(ddp, optimizer, x, y)) for _ in range(12)][2:]
    took = torch.tensor([max(end for _, _, _, end in spans if end is not None) for spans in steps], dtype=torch.float64)
    dist.all_reduce(took, dist.ReduceOp.MAX)
    chosen = int(took.argsort()[len(steps) // 2])                    # the step of median length, the same on all ranks
    every = [None] * size
    dist.all_gather_object(every, steps[chosen])
    dist.destroy_process_group()
    if rank:
        return 0
    shares = []
    for spans in every:
        messages = [(begin, end) for lane, _, begin, end in spans if lane == "all_reduce"]
        backward = next((begin, end) for _, name, begin, end in spans if name == "backward")
        whole = covered(messages, 0.0, max(end for _, end in messages))
        shares.append(covered(messages, *backward) / whole)
    text = f"{size} ranks, an MLP of {sum(p.numel() for p in ddp.parameters()) / 1e6:.1f} M parameters; all-reduce time within backward: " + ", ".join(
        f"rank {i} {share:.0%}" for i, share in enumerate(shares))
    print(text)
    events = [{"name": f"rank {i}", "ph": "M", "pid": i, "tid": 0, "cat": "__metadata", "args": {"name": f"rank {i}"}} for i in range(size)]
    lanes = {"compute": 0, "backward": 1, "all_reduce": 2, "start": 2}
    for i, spans in enumerate(every):
        for lane, name, begin, end in spans:
            event = {"name": name, "cat": lane, "pid": i, "tid": lanes[lane], "ts": 1e6 * begin}
            events.append({**event, "ph": "i", "s": "t"} if end is None else {**event, "ph": "X", "dur": 1e6 * (end - begin)})
    with atomic_write(os.path.join(out, "ddp-overlap.json"), "w") as file:
        json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)
    picture(every, os.path.join(out, "ddp-overlap.png"), text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
