"""Matrix products and convolution: python benchmarks/bench_gemm.py"""
import importlib

from _common import load_torch, median_seconds, report

import rustorch_py as rt

torch = load_torch()


def cases(name, lib):
    F = importlib.import_module(name + ".nn.functional")
    out = {}
    for n in (16, 64, 256, 1024):
        a, b = lib.ones(n, n), lib.ones(n, n)
        out[f"mm {n} x {n}"] = lambda a=a, b=b: lib.mm(a, b)
    x, w, b = lib.ones(32, 784), lib.ones(128, 784), lib.ones(128)
    out["linear 32 x 784 -> 128"] = lambda: F.linear(x, w, b)
    image, kernel = lib.ones(16, 64, 32, 32), lib.ones(64, 64, 3, 3)
    out["conv2d (16,64,32,32) 3x3"] = lambda: F.conv2d(image, kernel, padding=1)
    return out


def main():
    ours, theirs = cases("rustorch_py", rt), cases("torch", torch) if torch else {}
    for name, fn in ours.items():
        got = median_seconds([fn] + ([theirs[name]] if torch else []))
        report(name, got[0], got[1] if torch else None)


if __name__ == "__main__":
    main()
