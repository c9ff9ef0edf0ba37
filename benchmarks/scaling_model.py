"""Predict the time of a data parallel training step on N ranks from what is measured here: an alpha-beta model, checked where it can be.

    python benchmarks/scaling_model.py --out benchmarks/results

Measured: latency and bandwidth between two ranks (ping-pong), the speed of adding, and the compute of a step on one core and on all cores at once; the
script starts itself under mpirun for that, one thread a rank. Predicted from those alone: all-reduces and steps of DistributedDataParallel on 1, 2 and 4
ranks, set beside what they take; then a GPT of 125 M parameters on up to 4,096 ranks, from one of its blocks as measured here.

The cost of n bytes on N ranks (Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 2005; the
hierarchical form as in Jia et al., 2018), where t(m) = a + b m seconds send a message of m bytes and c seconds add a byte. Between ranks of one machine b depends
on whether a message fits a cache, so t is interpolated between the sizes measured.

    ring                  2 (N - 1) t(n / N) + n c (N - 1) / N
    recursive doubling    log2(N) (t(n) + n c)
    halving and doubling  2 (t(n / 2) + t(n / 4) + ... + t(n / N)) + n c (N - 1) / N
    hierarchical          a sum in each node, a ring of the nodes, and the result to all in a node
"""
import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py import nn, optim
from rustorch_py.distributed._bootstrap import launcher_command
from rustorch_py.distributed._ddp import DEFAULT_CAP_MB
from rustorch_py.distributed._reducer import plan_buckets
from rustorch_py.utils.atomic import atomic_write

SIZES = [4, 2**10, 2**14, 2**17, 2**20, 2**22, 25 * 2**20]          # bytes
RANKS = (1, 2, 4)
GPT_125M = {"vocabulary": 50257, "context": 1024, "width": 768, "heads": 12, "blocks": 12}
SMALL = {"vocabulary": 2000, "context": 64, "width": 256, "heads": 4, "blocks": 4}


# ---- the model ------------------------------------------------------------------------------------------------
class Link(NamedTuple):
    """Messages between two ranks, and the seconds that adding a byte takes.

    Args:
        times: {bytes of a message: seconds}; between them, and beyond the last, straight lines.
    """
    times: dict
    add: float

    def send(self, nbytes):
        """Return the seconds of a message."""
        sizes = sorted(self.times)
        upper = next((i for i, size in enumerate(sizes) if size >= nbytes), len(sizes) - 1)
        low, high = sizes[max(0, upper - 1)], sizes[max(1, upper)]
        slope = (self.times[high] - self.times[low]) / (high - low)
        return max(min(self.times.values()), self.times[low] + slope * (nbytes - low))


def ring(n, nbytes, link):
    return 2 * (n - 1) * link.send(nbytes / n) + (n - 1) / n * nbytes * link.add


def recursive_doubling(n, nbytes, link):
    return math.ceil(math.log2(n)) * (link.send(nbytes) + nbytes * link.add)


def halving_doubling(n, nbytes, link):
    return 2 * sum(link.send(nbytes / 2**k) for k in range(1, math.ceil(math.log2(n)) + 1)) + (n - 1) / n * nbytes * link.add


def hierarchical(n, nbytes, link, network, a_node):
    """Within nodes by `link`, between them by `network`."""
    steps = math.ceil(math.log2(min(n, a_node)))
    return steps * (2 * link.send(nbytes) + nbytes * link.add) + ring(max(1, n // a_node), nbytes, network)


FLAT = {"ring": ring, "recursive doubling": recursive_doubling, "halving and doubling": halving_doubling}


def best_flat(n, nbytes, link):
    """The cheapest of the flat algorithms: MPI libraries choose by size."""
    return min(cost(n, nbytes, link) for cost in FLAT.values())


def step_time(compute, bucket_bytes, cost, overlap):
    """Seconds of a step.

    Args:
        compute: (forward, backward, optimizer) seconds.
        bucket_bytes: in the order in which backward fills them. cost: function of bytes, the seconds of one all-reduce.
        overlap: whether messages move while backward computes (a network card does that); else they take the core's time.
    """
    forward, backward, optimizer = compute
    if not overlap:
        return forward + backward + sum(map(cost, bucket_bytes)) + optimizer
    total, filled, free = sum(bucket_bytes), 0, 0.0
    for nbytes in bucket_bytes:
        filled += nbytes
        free = max(free, backward * filled / total) + cost(nbytes)
    return forward + max(backward, free) + optimizer


# ---- a GPT ----------------------------------------------------------------------------------------------------
class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, self.heads, c // self.heads).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(c, 2))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary, context, width, heads, blocks):
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.words.weight

    def forward(self, ids):
        x = self.words(ids) + self.places.weight[:ids.shape[1]]
        return self.head(self.norm(self.blocks(x)))


class Shape(NamedTuple):
    """What `plan_buckets` asks of a parameter, without the memory."""
    count: int
    dtype: object = torch.float32

    def numel(self):
        return self.count

    def element_size(self):
        return 4


def gpt_parameters(vocabulary, context, width, heads, blocks):
    """The sizes of a GPT's parameters in the order of named_parameters()."""
    w = width
    block = [w, w, 3 * w * w, 3 * w, w * w, w, w, w, 4 * w * w, 4 * w, 4 * w * w, w]
    return [vocabulary * w, context * w] + block * blocks + [w, w]


def bucket_bytes(sizes):
    shapes = [Shape(size) for size in sizes]
    return [4 * sum(sizes[i] for i in numbers) for numbers in plan_buckets(shapes, range(len(sizes) - 1, -1, -1), DEFAULT_CAP_MB["cpu"])]


# ---- measuring ------------------------------------------------------------------------------------------------
def timed(call, repeats, together=True):
    """Median seconds of a call on the slowest rank."""
    call()
    took = []
    for _ in range(repeats):
        if together:
            dist.barrier()
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    t = torch.tensor([statistics.median(took)], dtype=torch.float64)
    if together:
        dist.all_reduce(t, dist.ReduceOp.MAX)
    return t.item()


def ping_pong(nbytes, repeats):
    """Median seconds of one way between ranks 0 and 1."""
    t, rank = torch.zeros(nbytes // 4), dist.get_rank()

    def there_and_back():
        if rank == 0:
            dist.send(t, 1)
            dist.recv(t, 1)
        else:
            dist.recv(t, 0)
            dist.send(t, 0)
    return timed(there_and_back, repeats) / 2


def train_parts(model, ids, targets):
    """Median seconds of (forward, backward, optimizer), and of a whole step, alike for a plain model and one in DistributedDataParallel."""
    optimizer = optim.AdamW(model.parameters(), 1e-3)
    parts = []
    for i in range(9):
        if dist.is_initialized():
            dist.barrier()
        at = [time.perf_counter()]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        at.append(time.perf_counter())
        loss.backward()
        at.append(time.perf_counter())
        optimizer.step()
        at.append(time.perf_counter())
        if i > 1:
            parts.append([b - a for a, b in zip(at, at[1:])] + [at[-1] - at[0]])
    t = torch.tensor([statistics.median(column) for column in zip(*parts)], dtype=torch.float64)
    dist.all_reduce(t, dist.ReduceOp.MAX)
    return t.tolist()


def measure():
    """What one start measures; every rank takes part, rank 0 prints it."""
    dist.init_process_group("mpi")
    ranks, found = dist.get_world_size(), {}
    torch.manual_seed(0)
    ids, targets = (torch.randint(0, SMALL["vocabulary"], (4, SMALL["context"])) for _ in range(2))
    *found["compute"], found["compute_step"] = train_parts(GPT(**SMALL), ids, targets)
    *_, found["ddp_step"] = train_parts(nn.parallel.DistributedDataParallel(GPT(**SMALL)), ids, targets)
    tensors = {nbytes: torch.zeros(nbytes // 4) for nbytes in SIZES}
    found["all_reduce"] = {nbytes: timed(lambda t=t: dist.all_reduce(t), 15 if nbytes > 2**20 else 60) for nbytes, t in tensors.items()}
    if ranks == 2:
        found["ping_pong"] = {nbytes: ping_pong(nbytes, 15 if nbytes > 2**20 else 100) for nbytes in SIZES}
    if ranks == 1:
        a, b = torch.zeros(2**18), torch.zeros(2**18)
        found["add_byte"] = timed(lambda: a.add_(b), 50) / 2**20
        found["gpt"] = one_block()
    if dist.get_rank() == 0:
        print("FOUND " + json.dumps(found), flush=True)
    dist.destroy_process_group()


def one_block():
    """Seconds of forward, backward and optimizer of the 125 M GPT on one sequence: a block, and the last layer on a quarter of a sequence."""
    g = GPT_125M
    block, x = Block(g["width"], g["heads"]), torch.randn(1, g["context"], g["width"], requires_grad=True)
    head, y, t = nn.Linear(g["width"], g["vocabulary"], bias=False), torch.randn(g["context"] // 4, g["width"], requires_grad=True), torch.zeros(g["context"] // 4).long()
    adam = optim.AdamW(block.parameters(), 1e-3)
    columns = {"block": [], "head": [], "adam": []}
    for _ in range(3):
        for name, forward in (("block", lambda: block(x).sum()), ("head", lambda: nn.functional.cross_entropy(head(y), t))):
            at = [time.perf_counter()]
            loss = forward()
            at.append(time.perf_counter())
            loss.backward()
            at.append(time.perf_counter())
            columns[name].append([b - a for a, b in zip(at, at[1:])])
        began = time.perf_counter()
        adam.step()
        columns["adam"].append([time.perf_counter() - began])
    best = {name: [min(column) for column in zip(*rows)] for name, rows in columns.items()}
    numbers = sum(p.numel() for p in block.parameters())
    forward, backward = (g["blocks"] * best["block"][i] + 4 * best["head"][i] for i in range(2))
    return [forward, backward, best["adam"][0] / numbers * sum(gpt_parameters(**g))]


def start(ranks):
    """Start this script's measuring part on a number of ranks; returns what it found."""
    command, env = launcher_command(ranks)
    env["OMP_NUM_THREADS"] = "1"
    done = subprocess.run([*command, sys.executable, __file__, "--measure"], env=env, capture_output=True, text=True, timeout=300)
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND ")), None)
    if line is None:
        raise SystemExit(f"measuring on {ranks} ranks ended with {done.returncode}\n{done.stderr}")
    return json.loads(line[6:])


# ---- predictions ----------------------------------------------------------------------------------------------
def check(found, link, cores):
    """Rows of predicted and measured seconds on the ranks that are here."""
    rows, sizes = [], [p.numel() for p in GPT(**SMALL).parameters()]
    for ranks in RANKS:
        # More ranks than cores share them; what a rank computes on a busy machine was measured on as many ranks as cores.
        share = max(1.0, ranks / cores)
        busy = found[min(cores, 2)] if ranks > 1 else found[1]
        compute = [share * part for part in busy["compute"]]
        rows.append((f"step of a GPT of {sum(sizes) / 1e6:.1f} M", ranks, step_time(compute, bucket_bytes(sizes), lambda n: share * best_flat(ranks, n, link), False),
                     found[ranks]["ddp_step"]))
        if ranks > 1:
            for nbytes in SIZES:
                rows.append((f"all_reduce of {nbytes:,} bytes", ranks, share * best_flat(ranks, nbytes, link), found[ranks]["all_reduce"][str(nbytes)]))
    return rows


def table(compute, link, network, a_node):
    """Rows for the 125 M GPT: ranks, each algorithm's seconds for all gradients, the best step without and with overlap."""
    sizes = gpt_parameters(**GPT_125M)
    buckets, nbytes = bucket_bytes(sizes), 4 * sum(sizes)
    rows = []
    for power in range(13):
        n = 2**power
        costs = {name: sum(cost(n, b, network) for b in buckets) for name, cost in FLAT.items()}
        costs["hierarchical"] = sum(hierarchical(n, b, link, network, a_node) for b in buckets)
        best = min(costs, key=costs.get)
        cost = (lambda b, n=n: hierarchical(n, b, link, network, a_node)) if best == "hierarchical" else (lambda b, n=n, best=best: FLAT[best](n, b, network))
        rows.append({"ranks": n, **costs, "best": best, "step": step_time(compute, buckets, cost, False), "step overlapped": step_time(compute, buckets, cost, True)})
    return rows, nbytes, len(buckets)


def report(found, arguments):
    """The report as Markdown, and its numbers."""
    cores = os.cpu_count()
    link = Link({int(size): seconds for size, seconds in found[2]["ping_pong"].items()}, found[1]["add_byte"])
    network = Link({0: arguments.latency_us * 1e-6, 2**30: arguments.latency_us * 1e-6 + 8e-9 * 2**30 / arguments.gbit}, link.add)
    rows, compute = check(found, link, cores), found[1]["gpt"]
    lines = ["# Steps on many ranks, predicted", "",
             f"`{' '.join(['python', os.path.relpath(__file__), *sys.argv[1:]])}` on {platform.processor() or platform.machine()}, {cores} cores, {arguments.mpi}, one thread a rank. "
             "The script's first lines say how.", "",
             f"Measured between two ranks: latency {1e6 * link.send(4):.1f} us, 1 MB in {1e6 * link.send(2**20):.0f} us, 25 MB at {25e-9 * 2**20 / link.send(25 * 2**20):.1f} GB/s; adding {1e-9 / link.add:.1f} GB/s; one sequence of "
             f"{GPT_125M['context']} tokens through a GPT of {sum(gpt_parameters(**GPT_125M)) / 1e6:.0f} M parameters on one core: forward {compute[0]:.2f} s, backward {compute[1]:.2f} s, "
             f"AdamW {compute[2]:.2f} s.", "", "## Checked here", "",
             f"With more than {cores} ranks the cores are shared: times are multiplied by ranks / cores, which says nothing of waiting for the scheduler.", "",
             "| what | ranks | predicted ms | measured ms | predicted / measured |", "|---|---|---|---|---|"]
    lines += [f"| {what} | {n} | {1e3 * p:.3f} | {1e3 * m:.3f} | {p / m:.2f} |" for what, n, p, m in rows]
    data = {"command": " ".join(sys.argv), "cores": cores, "mpi": arguments.mpi, "found": found,
            "checks": [dict(zip(("what", "ranks", "predicted_s", "measured_s"), row)) for row in rows], "tables": {}}
    for title, wire, a_node in ((f"the link measured here between all ranks, {cores} ranks a node", link, cores),
                                (f"nodes of {cores} ranks, a network of {arguments.latency_us:g} us and {arguments.gbit:g} Gbit/s a rank between them (assumed)", network, cores)):
        predicted, nbytes, buckets = table(compute, link, wire, a_node)
        alone = predicted[0]["step"]
        data["tables"][title] = predicted
        lines += ["", f"## 125 M parameters: {title}", "",
                  f"{nbytes / 2**20:.0f} MB of gradients in {buckets} buckets; one sequence a rank. Seconds for the all-reduces of a step by algorithm; the step with the cheapest, "
                  "when messages take the core's time and when a network card moves them during backward; efficiency is one rank's step over this one.", "",
                  "| ranks | ring | recursive doubling | halving and doubling | hierarchical | cheapest | step s | efficiency | step s, overlapped | efficiency | tokens/s |",
                  "|---|---|---|---|---|---|---|---|---|---|---|"]
        for row in predicted:
            costs = " | ".join(f"{row[name]:.3f}" for name in (*FLAT, "hierarchical"))
            lines.append(f"| {row['ranks']:,} | {costs} | {row['best'] if row['ranks'] > 1 else ''} | {row['step']:.2f} | {alone / row['step']:.1%} | "
                         f"{row['step overlapped']:.2f} | {alone / row['step overlapped']:.1%} | {row['ranks'] * GPT_125M['context'] / row['step overlapped']:,.0f} |")
    return "\n".join(lines) + "\n", data


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="one start's part, under mpirun")
    parser.add_argument("--out", help="folder for scaling-model.md and scaling-model.json; else the report is printed")
    parser.add_argument("--found", help="the JSON of an earlier run: predict from its measurements")
    parser.add_argument("--latency-us", type=float, default=10.0, help="of the network between nodes that the second table assumes")
    parser.add_argument("--gbit", type=float, default=25.0, help="its bandwidth")
    arguments = parser.parse_args()
    if arguments.measure:
        return measure()
    if arguments.found:
        with open(arguments.found) as file:
            earlier = json.load(file)
        found, arguments.mpi = {int(n): values for n, values in earlier["found"].items()}, earlier["mpi"]
    else:
        found = {ranks: start(ranks) for ranks in RANKS}
        version = subprocess.run([launcher_command(1)[0][0], "--version"], capture_output=True, text=True).stdout.split("\n")[0]
        arguments.mpi = version or "MPI"
    text, data = report(found, arguments)
    if not arguments.out:
        print(text)
        return 0
    for name, content in (("scaling-model.md", text), ("scaling-model.json", json.dumps(data, indent=1) + "\n")):
        with atomic_write(os.path.join(arguments.out, name), "w", encoding="utf-8") as file:
            file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
