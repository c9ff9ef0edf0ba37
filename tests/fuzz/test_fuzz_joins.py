"""Random joins, products, pads and reductions with out=: dtypes, layouts (expanded, stepped), empty and 0-dim inputs, and errors as PyTorch's."""
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, strategies as st

import rustorch_py as rt

from .pairs import COMPLEX, DTYPES, FLOATS, INTS, call, fuzz, pairs, same

DIM = st.integers(-4, 3)
JOINS = ["cat", "stack", "hstack", "vstack", "dstack", "column_stack", "block_diag", "broadcast_tensors", "cartesian_prod", "meshgrid"]


@st.composite
def alike(draw, dtypes=DTYPES):
    """One to three tensors whose shapes differ in one size at most, most of the time."""
    first = draw(pairs(dtypes))
    found = [first]
    for _ in range(draw(st.integers(0, 2))):
        shape = list(first.t.shape)
        if shape and draw(st.booleans()):
            shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(0, 3))
        found.append(draw(pairs(dtypes if draw(st.booleans()) else [str(first.t.dtype)[6:]], shape=tuple(shape), layouts=["plain", "plain", "transposed"])))
    return found


@fuzz
@given(st.sampled_from(JOINS), alike(), DIM)
def test_joins(name, parts, dim):
    def run(m, tensors):
        if name in ("cat", "stack"):
            return getattr(m, name)(tensors, dim)
        if name in ("block_diag", "broadcast_tensors", "cartesian_prod"):
            return getattr(m, name)(*tensors)
        return m.meshgrid(*tensors, indexing="ij") if name == "meshgrid" else getattr(m, name)(tensors)
    same(call(lambda: run(torch, [p.t for p in parts])), call(lambda: run(rt, [p.r for p in parts])), f"{name}({parts}, {dim})")


@st.composite
def factors(draw):
    """Two tensors that can be multiplied as matrices, most of the time, or vectors or stacks of them."""
    n, k, m = (draw(st.integers(0, 4)) for _ in range(3))
    batch = draw(st.lists(st.integers(1, 3), max_size=2))
    other = [draw(st.sampled_from([b, b, 1])) for b in batch][draw(st.integers(0, len(batch))):]
    left = draw(st.sampled_from([[k], [n, k], [*batch, n, k]]))
    right = draw(st.sampled_from([[k], [k, m], [*other, k, m]]))
    if draw(st.integers(0, 11)) == 0:
        right = [2] + right
    dtype = draw(st.sampled_from(DTYPES))
    layouts = ["plain", "plain", "transposed", "stepped"]
    a = draw(pairs([dtype], shape=tuple(left), layouts=layouts))
    if tuple(a.t.shape) != tuple(left):                     # a layout changed the shape: fit the other side to it
        right = [a.t.shape[-1]] + right[1:] if len(right) == 1 else right[:-2] + [a.t.shape[-1], right[-1]]
    b = draw(pairs([dtype if draw(st.integers(0, 9)) else draw(st.sampled_from(DTYPES))], shape=tuple(right), layouts=["plain"]))
    return a, b


@fuzz
@given(factors(), st.sampled_from(["matmul", "matmul", "mm", "bmm", "mv", "dot", "outer", "inner", "vdot", "kron", "tensordot"]))
def test_products(ab, name):
    a, b = ab
    if torch.bool in (a.t.dtype, b.t.dtype):
        return                                              # which products of bool there are depends on the path that PyTorch takes
    if name == "kron" and not (a.t.is_contiguous() and b.t.is_contiguous()):
        return                                              # PyTorch trips over its own view there
    if a.t.dtype != b.t.dtype and not (a.t.numel() and b.t.numel()):
        return                                              # PyTorch returns before it looks at the dtypes

    def run(m, x, y):
        x, y = (v.nan_to_num(1, 2, -2) if v.is_floating_point() else v for v in (x, y))
        return m.tensordot(x, y, 1) if name == "tensordot" else getattr(m, name)(x, y)
    got = call(lambda: run(torch, a.t, b.t)), call(lambda: run(rt, a.r, b.r))
    if got[0][0] == "error" and "not implemented for" in str(got[0][1]):
        return                                              # bool and 16-bit products that PyTorch has no loop for
    low = str(a.t.dtype)[6:] in ("float16", "bfloat16")
    same(*got, f"{name}({a}, {b})", {"torch.float16": 2e-2, "torch.bfloat16": 0.2}[str(a.t.dtype)] if low else 1e-4)


@fuzz
@given(pairs(), st.lists(st.integers(-2, 3), max_size=6), st.sampled_from(["constant", "constant", "reflect", "replicate", "circular"]))
def test_pad(a, pad, mode):
    if mode != "constant" and (str(a.t.dtype)[6:] not in FLOATS + COMPLEX or len(pad) < 2):
        return                                              # PyTorch has float loops only; and no pad of nothing
    sides = list(zip(reversed(a.t.shape), pad[::2], pad[1::2]))
    if mode == "circular" and any(max(before, after) > size + min(before, 0) + min(after, 0) for size, before, after in sides):
        if all(size + before + after > 0 for size, before, after in sides):
            return                                          # PyTorch repeats memory that it has not written
    if mode != "constant" and any(size + before + after < 0 for size, before, after in sides) and not a.t.numel():
        return                                              # PyTorch makes a tensor of a negative size of an empty one

    def run(m, x):
        return m.nn.functional.pad(x, tuple(pad), mode) if mode != "constant" else m.nn.functional.pad(x, tuple(pad), value=1)
    same(call(lambda: run(torch, a.t)), call(lambda: run(rt, a.r)), f"pad({a}, {pad}, {mode})")


@fuzz
@given(st.sampled_from(["sum", "mean", "prod", "amax", "cumsum", "all", "logsumexp", "softmax", "norm", "var"]), pairs(FLOATS + INTS), DIM, st.booleans(), pairs(layouts=["plain"]))
def test_reductions_into_out(name, a, dim, keep, o):
    if name in ("softmax", "cumsum") and not a.t.numel():
        return                                              # PyTorch returns before its checks
    if name == "all" and o.t.dtype == torch.uint8 and a.t.is_floating_point():
        return                                              # PyTorch casts to uint8 first: 0.5 counts as 0 there, and a negative number is undefined

    def run(m, x, out):
        x = x.nan_to_num(1, 2, -2) if x.is_floating_point() else x
        if name == "all" and out.dtype == m.uint8:
            x = x != 0                                      # PyTorch converts to the type of `out` first: all(0.5) and all(256) are 0
        if name == "norm":
            return m.norm(x, 2, dim, keep, out=out)
        return getattr(m, name)(x, dim, out=out) if name in ("cumsum", "softmax") else getattr(m, name)(x, dim, keepdim=keep, out=out)
    got = call(lambda: run(torch, a.t, o.t)), call(lambda: run(rt, a.r, o.r))
    about = f"{name}({a}, {dim}, {keep}, out={o})"
    loose = 0.1 if any(str(x.t.dtype)[6:] in ("float16", "bfloat16") for x in (a, o)) else 1e-4
    if got[0][0] == "error" and ("not implemented for" in str(got[0][1]) or "dtype" in str(got[0][1])):
        return                                              # which dtypes of `out` are taken differs from one reduction to the next in PyTorch
    if got[1][0] == "error" and isinstance(got[1][1], rt.errors.DTypeError):
        return                                              # sums into bool and the like, which PyTorch takes in some reductions
    same(*got, about, loose)


MOVES = {
    "tril": lambda d: (d(st.integers(-3, 3)),), "triu": lambda d: (d(st.integers(-3, 3)),), "diag": lambda d: (d(st.integers(-2, 2)),), "trace": lambda d: (),
    "roll": lambda d: (d(st.integers(-3, 3)), d(DIM)), "flip": lambda d: (d(st.lists(DIM, max_size=2)),), "repeat_interleave": lambda d: (d(st.integers(0, 3)), d(DIM)),
    "tile": lambda d: (d(st.lists(st.integers(0, 2), max_size=3)),), "sort": lambda d: (d(DIM),), "msort": lambda d: (), "argwhere": lambda d: (), "nonzero": lambda d: (),
    "diff": lambda d: (d(st.integers(0, 2)), d(DIM)), "unique": lambda d: (), "cumsum": lambda d: (d(DIM),), "rot90": lambda d: (d(st.integers(-2, 3)), [0, 1]),
    "diag_embed": lambda d: (d(st.integers(-2, 2)), d(DIM), d(DIM)), "unfold": lambda d: (d(DIM), d(st.integers(0, 3)), d(st.integers(1, 2))),
    "index_select": lambda d: (d(DIM), [d(st.integers(-1, 2)) for _ in range(d(st.integers(0, 3)))]), "swapdims": lambda d: (d(DIM), d(DIM)),
    "as_strided": lambda d: (d(st.lists(st.integers(0, 3), max_size=3)), d(st.lists(st.integers(0, 20), max_size=3)), d(st.integers(0, 3))),
}


@st.composite
def moves(draw):
    name = draw(st.sampled_from(sorted(MOVES)))
    return name, MOVES[name](draw)


@fuzz
@given(pairs(), moves())
def test_moves(a, move):
    name, arguments = move

    if name == "repeat_interleave" and not a.t.dim():
        return                                              # PyTorch finds no dimension 0 there

    def run(m, x):
        x = x.nan_to_num(1, 2, -2) if x.is_floating_point() else x
        if name == "index_select":
            return x.index_select(arguments[0], m.tensor(arguments[1], dtype=m.int64))
        if name in ("sort", "msort"):
            return m.sort(x, dim=arguments[0], stable=True) if name == "sort" else x.msort()
        return getattr(x, name)(*arguments)
    same(call(lambda: run(torch, a.t)), call(lambda: run(rt, a.r)), f"{a}.{name}{arguments}", 2e-2 if "16" in str(a.t.dtype) and "int" not in str(a.t.dtype) else None)


STORED = ["complex32", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


@fuzz
@given(pairs(["float32", "int64", "float16", "complex64", "bool"]), st.sampled_from(STORED), st.sampled_from(STORED + DTYPES), st.sampled_from(["t", "reshape", "index", "cat", "copy", "eq", "mul"]))
def test_stored_types(a, first, second, step):
    """Conversions to a stored type, an operator that takes it, and on to another type."""
    def run(m, x):
        x = x.nan_to_num(1, 2, 3).abs() if x.is_floating_point() else x.abs() if not x.is_complex() and x.dtype is not m.bool else x
        x = x.to(getattr(m, first))
        if step == "t":
            x = x.mT if x.dim() > 1 else x
        elif step == "index":
            x = x[..., None, :1] if x.dim() else x[None]
        elif step == "cat":
            x = m.cat([x, x]) if x.dim() else m.stack([x, x])
        elif step == "copy":
            x = m.zeros(x.shape, dtype=x.dtype).copy_(x)
        elif step == "eq":
            x = x == x
        elif step == "mul":
            x = x * x
        else:
            x = x.reshape(-1)
        return x.to(getattr(m, second)).to(m.complex128)
    if second[0] == "u" and (a.t.is_complex() or a.t.numel() and a.t.to(torch.complex128).real.abs().nan_to_num(9, 9).max() > 8) or "8" in second and step == "mul":
        return                                              # out of range is not defined
    got = call(lambda: run(torch, a.t)), call(lambda: run(rt, a.r))
    if got[0][0] == "error" and "not implemented for" in str(got[0][1]):
        return                                              # products of 0-dim 8-bit floats, which PyTorch takes with dimensions only
    same(*got, f"{a}.to({first}), {step}, to({second})")
