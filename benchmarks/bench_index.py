"""Indexing, gather and scatter, joins and data from Python: python benchmarks/bench_index.py"""
from _common import load_torch, median_seconds, report

import rustorch_py as rt

torch = load_torch()


def cases(lib):
    lib.manual_seed(0)
    x, big = lib.randn(100, 50), lib.randn(20000, 256)
    i, rows = lib.randint(0, 100, (64,)), lib.randint(0, 20000, (4096,))
    columns = lib.randint(0, 50, (100, 20))
    wide = lib.randint(0, 256, (20000, 256))
    mask, big_mask = x > 0, big > 0
    leaf = lib.randn(100, 50, requires_grad=True)
    numbers, nested = [float(k) for k in range(1000)], [[1, 2, 3]] * 100

    def assign():
        x[3] = 1.0

    return {
        "t[3]": lambda: x[3], "t[2:5]": lambda: x[2:5], "t[:, 3]": lambda: x[:, 3], "t[1, 2]": lambda: x[1, 2], "t[idx]": lambda: x[i],
        "t[mask]": lambda: x[mask], "t[3] = 1.0": assign, "t[idx].sum().backward()": lambda: leaf[i].sum().backward(),
        "nonzero": lambda: lib.nonzero(mask), "cat": lambda: lib.cat([x, x]), "cat dim 1": lambda: lib.cat([x, x], 1),
        "stack": lambda: lib.stack([x, x, x]), "gather": lambda: x.gather(1, columns), "scatter_add": lambda: x.scatter_add(1, columns, x),
        "index_select": lambda: x.index_select(0, i), "index_add": lambda: x.index_add(0, i, x[:64]), "tril": lambda: x.tril(),
        "flip": lambda: x.flip(0), "roll": lambda: x.roll(3, 0), "repeat": lambda: x.repeat(2, 3),
        "tensor(1000 floats)": lambda: lib.tensor(numbers), "tensor(100 x 3 ints)": lambda: lib.tensor(nested), "tolist": lambda: x.tolist(),
        "numpy()": lambda: x.numpy(), "repr": lambda: repr(x),
        "20000 x 256: t[idx]": lambda: big[rows], "20000 x 256: t[mask]": lambda: big[big_mask],
        "20000 x 256: cat dim 1": lambda: lib.cat([big, big], 1), "20000 x 256: flip dim 1": lambda: big.flip(1),
        "20000 x 256: scatter_add": lambda: big.scatter_add(1, wide, big),
        "20000 x 256: masked_fill": lambda: big.masked_fill(big_mask, 0.0),
    }


def main():
    ours, theirs = cases(rt), cases(torch) if torch else {}
    for name, fn in ours.items():
        got = median_seconds([fn] + ([theirs[name]] if torch else []))
        report(name, got[0], got[1] if torch else None)


if __name__ == "__main__":
    main()
