"""Cost of small calls: python benchmarks/bench_dispatch.py"""
from _common import load_torch, median_seconds, report

import rustorch_py as rt

torch = load_torch()


def cases(lib):
    a, b = lib.ones(8), lib.ones(8)
    ga, gb = lib.ones(8).requires_grad_(), lib.ones(8).requires_grad_()
    m = lib.ones(4, 4)

    def backward():
        (ga * gb).sum().backward()

    return {
        "a + b (8 floats)": lambda: a + b,
        "a * 2.0 (8 floats)": lambda: a * 2.0,
        "a * b, recorded": lambda: ga * gb,
        "(a * b).sum().backward()": backward,
        "a.sum()": lambda: a.sum(),
        "m @ m (4 x 4)": lambda: m @ m,
        "m[1:3]": lambda: m[1:3],
        "m.t()": lambda: m.t(),
        "relu(a)": lambda: lib.relu(a),
        "zeros(8)": lambda: lib.zeros(8),
    }


def main():
    ours = cases(rt)
    theirs = cases(torch) if torch else {}
    for name, fn in ours.items():
        got = median_seconds([fn] + ([theirs[name]] if torch else []))
        report(name, got[0], got[1] if torch else None, "ns")


if __name__ == "__main__":
    main()
