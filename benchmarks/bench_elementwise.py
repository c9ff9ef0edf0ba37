"""Elementwise operators and reductions on large tensors: python benchmarks/bench_elementwise.py"""
from _common import load_torch, median_seconds, report

import rustorch_py as rt

torch = load_torch()
N = 1 << 20


def cases(lib):
    x, y = lib.linspace(0.01, 1, N), lib.linspace(1, 2, N)
    m = x.reshape(1024, 1024)
    out = {f"{op} (1 M)": (lambda f=getattr(lib, op): f(x)) for op in ("exp", "log", "tanh", "sigmoid", "sqrt", "erf", "sin", "abs", "relu")}
    out.update({"x + y (1 M)": lambda: x + y, "x * y (1 M)": lambda: x * y, "x / y (1 M)": lambda: x / y, "x.sum()": lambda: x.sum(),
                "m.sum(0)": lambda: m.sum(0), "m.sum(1)": lambda: m.sum(1), "m.amax(1)": lambda: m.amax(1),
                "softmax(m, 1)": lambda: lib.softmax(m, 1), "m + row": lambda: m + m[0], "m.t() + m": lambda: m.t() + m})
    return out


def main():
    ours, theirs = cases(rt), cases(torch) if torch else {}
    for name, fn in ours.items():
        got = median_seconds([fn] + ([theirs[name]] if torch else []))
        report(name, got[0], got[1] if torch else None)


if __name__ == "__main__":
    main()
