"""Single operators: products, memory-bound operators against a copy, the cost of a small call."""
import statistics

from ._measure import device_times, host_times, in_turns

SIZES = {"full": {"product": 8192, "bytes": 1 << 30, "row": 4096, "calls": 2000, "repeats": 20, "rounds": 3},
         "tiny": {"product": 32, "bytes": 1 << 12, "row": 32, "calls": 3, "repeats": 1, "rounds": 1}}


def product(libs, size):
    """bfloat16 matrix product; TFLOP/s."""
    n = size["product"]

    def make(lib):
        a, b = (lib.rand(n, n, device="cuda").to(lib.bfloat16) for _ in range(2))
        return lambda: a @ b

    found = in_turns(libs, make, lambda lib, fn: device_times(lib, fn, size["repeats"]), size["rounds"])
    return [("bf16 matmul", f"{n}x{n}x{n}", "TFLOP/s", {name: _rate(t, 2 * n ** 3 / 1e9) for name, t in found.items()})]


def memory(libs, size):
    """Operators that move memory, float32; GB/s of what they must read and write. A copy comes first: it is the measure."""
    n, row = size["bytes"] // 4, size["row"]
    cases = {
        "copy": (2, lambda lib, x, y, w: lambda: y.copy_(x)), "add": (3, lambda lib, x, y, w: lambda: lib.add(x, y, out=w)),
        "relu": (2, lambda lib, x, y, w: lambda: lib.nn.functional.relu(x)), "gelu": (2, lambda lib, x, y, w: lambda: lib.nn.functional.gelu(x)),
        "softmax": (2, lambda lib, x, y, w: lambda: x.softmax(-1)), "layer_norm": (2, lambda lib, x, y, w: lambda: lib.nn.functional.layer_norm(x, (row,))),
        "sum": (1, lambda lib, x, y, w: lambda: x.sum(-1)), "dropout": (2.25, lambda lib, x, y, w: lambda: lib.nn.functional.dropout(x, 0.1)),
    }
    rows = []
    for name, (moves, call) in cases.items():
        def make(lib, call=call):
            x, y, w = (lib.rand(n // row, row, device="cuda") for _ in range(3))
            return call(lib, x, y, w)

        found = in_turns(libs, make, lambda lib, fn: device_times(lib, fn, size["repeats"]), size["rounds"])
        rows.append((name, f"{n // row}x{row} float32", "GB/s", {lib: _rate(t, moves * n * 4 / 1e6) for lib, t in found.items()}))
    return rows


def dispatch(libs, size):
    """What a call of a small operator costs the host; µs."""
    cases = {
        "add": lambda lib, x, m: lambda: x + x, "relu": lambda lib, x, m: lambda: lib.relu(x), "sum": lambda lib, x, m: lambda: x.sum(),
        "matmul": lambda lib, x, m: lambda: m @ m, "view": lambda lib, x, m: lambda: x.view(2, 4), "rand": lambda lib, x, m: lambda: lib.rand(8, device="cuda"),
    }
    rows = [_floor("launch alone", size, False), _floor("launch alone", size, True)]
    for name, call in cases.items():
        def make(lib, call=call):
            return call(lib, lib.ones(8, device="cuda"), lib.ones(8, 8, device="cuda"))

        found = in_turns(libs, make, lambda lib, fn: host_times(lib, fn, size["repeats"], size["calls"]), size["rounds"])
        rows.append((f"dispatch {name}", "8 float32", "µs", found))
    return rows


def _floor(name, size, plain):
    """What no call comes below: the driver's own launch, in a C loop of this process."""
    from rustorch_py.cuda import _backend, synchronize
    times = []
    for _ in range(size["repeats"]):
        times.append(_backend.launch_cost(size["calls"], plain))
        synchronize()
    return name, "cuLaunchKernel, C loop" if plain else "as ours, C loop", "µs", {"rustorch_py": {"median": statistics.median(times), "best": min(times), "count": len(times)}}


def _rate(times, work):
    """Times in ms to `work` (in thousandths of a unit) a second."""
    if "error" in times:
        return times
    return {"median": work / times["median"], "best": work / times["best"], "count": times["count"]}
