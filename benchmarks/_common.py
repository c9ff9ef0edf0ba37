"""Side-by-side timing: ratios of medians, taken in turns so that a noisy machine hits both."""
import json
import os
import platform
import statistics
import time


def median_seconds(functions, repeats=9, budget_s=0.25):
    """Median seconds per call of each function; the functions take turns."""
    counts = []
    for fn in functions:
        fn()
        start = time.perf_counter()
        fn()
        once = max(time.perf_counter() - start, 1e-8)
        counts.append(max(1, int(budget_s / repeats / once)))
    samples = [[] for _ in functions]
    for _ in range(repeats):
        for fn, n, out in zip(functions, counts, samples):
            start = time.perf_counter()
            for _ in range(n):
                fn()
            out.append((time.perf_counter() - start) / n)
    return [statistics.median(s) for s in samples]


def report(name, ours, theirs, unit="us"):
    """Print a row and its JSON line: our time, PyTorch's, and how many times faster we are."""
    scale = {"us": 1e6, "ns": 1e9, "ms": 1e3}[unit]
    if theirs is None:
        print(f"{name:44s} {ours * scale:10.2f} {unit}")
    else:
        print(f"{name:44s} {ours * scale:10.2f} {unit}   torch {theirs * scale:10.2f} {unit}   x{theirs / ours:5.2f}")
    if os.environ.get("BENCH_JSON"):
        with open(os.environ["BENCH_JSON"], "a", encoding="utf-8") as f:
            f.write(json.dumps({"case": name, "ours_s": ours, "torch_s": theirs, "machine": platform.processor() or platform.machine(),
                                "threads": os.environ.get("OMP_NUM_THREADS", "default")}) + "\n")


def load_torch():
    """PyTorch, or None when it is not installed."""
    try:
        import torch
    except ImportError:
        print("torch is not installed: our times only (pip install torch==2.13.0 for the comparison)")
        return None
    return torch
