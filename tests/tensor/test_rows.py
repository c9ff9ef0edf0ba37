"""Every row of the operator table: values over dtype x layout x instruction set, gradients, double backward."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.tensor import _cpu, optable, render
from tests import samples

FLOAT_ROWS = [r for r in optable.ROWS if "f" in r.kinds]


def call(row, *args):
    """Run a row by id, with the sample table's parameters."""
    return rt.tensor._run_row(row.index, args, *samples.PARAMS.get(row.name, (0, 0)))


def arrays(row, shape, dtype, seed=0):
    got = samples.values(row.name, row.arity, shape, dtype, seed)
    return [a.astype(bool) if t == "b" else a for a, t in zip(got, row.types)]


LAYOUTS = {
    "contiguous": lambda a: rt.from_numpy(a),
    "transposed": lambda a: rt.from_numpy(np.ascontiguousarray(a.T)).t(),
    "sliced": lambda a: rt.from_numpy(np.repeat(a, 2, axis=1))[:, ::2],
}


def test_every_row_has_an_oracle():
    missing = [r.name for r in optable.ROWS if r.name not in samples.ORACLE and r.name not in samples.WITH_TORCH_ONLY]
    assert not missing, f"add these rows to tests/samples.py: {missing}"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_values(dtype, layout, level):
    bad = []
    for row in FLOAT_ROWS:
        if row.name not in samples.ORACLE:
            continue
        for shape in ((7, 37), (0, 3), (1, 1)):
            ins = arrays(row, shape, dtype)
            want = samples.ORACLE[row.name](*[a if a.dtype == bool else a.astype(dtype if row.name == "nextafter" else np.float64) for a in ins])
            got = call(row, *[LAYOUTS[layout](a) for a in ins]).numpy()
            tol = 2e-6 if dtype == np.float32 else 1e-12
            if not np.allclose(got, want, rtol=tol, atol=tol):
                bad.append((row.name, shape, float(np.max(np.abs(got - want)))))
    assert not bad, bad


def test_all_levels_give_the_same_bits(level):
    """Arithmetic to the bit; elementary functions, which each set may compute its own way, to a few ULP."""
    cases = [(row, [rt.from_numpy(a) for a in arrays(row, (5, 61), np.float32, 3)]) for row in FLOAT_ROWS]
    _cpu.set_simd_level("baseline")
    want = [call(row, *ins).numpy().copy() for row, ins in cases]
    _cpu.set_simd_level(level)
    got = [call(row, *ins).numpy() for row, ins in cases]
    different = [row.name for (row, _), g, w in zip(cases, got, want)
                 if not (np.array_equal(g, w, equal_nan=w.dtype != bool) if row.cost < render.HEAVY else
                         np.allclose(g, w, rtol=2e-6, atol=1e-6, equal_nan=True))]
    assert not different, different


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.int64])
def test_integer_values(dtype):
    bad = []
    for row in optable.ROWS:
        if "i" not in row.kinds or row.name not in samples.ORACLE or row.promote == "float":
            continue
        ins = arrays(row, (6, 19), dtype)
        if row.name in ("bitwise_left_shift", "bitwise_right_shift", "pow"):
            ins[1] = np.abs(ins[1]) % 4
        if row.name in ("floor_divide", "trunc_divide", "remainder", "fmod"):
            ins[1] = np.where(ins[1] == 0, 3, ins[1]).astype(dtype)
        k0, k1 = samples.PARAMS.get(row.name, (0, 0))
        if k0 != int(k0) or k1 != int(k1):
            continue
        with np.errstate(all="ignore"):
            want = np.asarray(samples.ORACLE[row.name](*ins))
        got = call(row, *[rt.from_numpy(a) for a in ins]).numpy()
        if not np.array_equal(got, want.astype(got.dtype)):
            bad.append(row.name)
    assert not bad, bad


def test_16_bit_floats_round_once():
    bad = []
    for row in FLOAT_ROWS:
        if row.name not in samples.ORACLE or row.name == "nextafter":
            continue
        ins = arrays(row, (3, 700), np.float32)
        for dtype, eps in ((rt.float16, 2.0 ** -10), (rt.bfloat16, 2.0 ** -7)):
            ts = [rt.from_numpy(a) if a.dtype == bool else rt.from_numpy(a).to(dtype) for a in ins]
            wide = call(row, *[t if t.dtype is rt.bool else t.float() for t in ts])
            got = call(row, *ts)
            if wide.dtype is rt.bool:
                same = bool((got == wide).all())
            else:
                same = got.dtype is dtype and bool(((got.float() - wide.to(dtype).float()).abs() <= eps * wide.abs() * 1e-3 + 1e-30).all())
            if not same:
                bad.append((row.name, dtype))
    assert not bad, bad


@pytest.mark.parametrize("row", [r for r in FLOAT_ROWS if any(r.grad) and r.name not in samples.REFUSED], ids=lambda r: r.name)
def test_gradients(row):
    ins = [rt.from_numpy(a) for a in arrays(row, (2, 3), np.float64, 5)]
    for i, t in enumerate(ins):
        if t.dtype is rt.float64 and row.grad[i] is not None:
            t.requires_grad_()
    assert rt.autograd.gradcheck(lambda *xs: call(row, *xs), ins)
    second = [g for g in row.grad if g]
    if any(render.reads(row, g) & {"x", "y", "z", "o"} for g in second):
        assert rt.autograd.gradgradcheck(lambda *xs: call(row, *xs), ins, atol=1e-4)


@pytest.mark.parametrize("row", [r for r in FLOAT_ROWS if r.arity == 2 and any(r.grad) and r.name not in samples.REFUSED], ids=lambda r: r.name)
def test_gradients_sum_over_broadcast_dimensions(row):
    a, b = arrays(row, (2, 3), np.float64, 7)
    x = rt.from_numpy(a).requires_grad_(row.grad[0] is not None)
    y = rt.from_numpy(np.ascontiguousarray(b[:1, :]))
    if row.grad[1] is not None:
        y.requires_grad_()
    assert rt.autograd.gradcheck(lambda p, q: call(row, p, q), (x, y))


def test_complex_gradients():
    rng = np.random.default_rng(1)
    bad = []
    for row in optable.ROWS:
        if "c" not in row.kinds or not any(row.grad) or row.name in ("where",):
            continue
        ins = [rt.from_numpy(0.3 + 0.5 * (rng.random((3,)) + 1j * rng.random((3,)))).requires_grad_() for _ in range(row.arity)]
        try:
            rt.autograd.gradcheck(lambda *xs: call(row, *xs), ins)
        except Exception as error:      # collected, so that one run names them all
            bad.append((row.name, str(error)[:150]))
    assert not bad, bad


def test_table_refuses_text_outside_its_language():
    for text in ("x ** 2", "x % y", "x < y < z", "x.y", "foo(x)", "exp(x, y)", "[x]", "q"):
        with pytest.raises(render.TableError, match="myrow"):
            render.Printer("myrow").render(text)


@pytest.mark.parametrize("name,fn", [("sum", np.sum), ("prod", np.prod), ("amax", np.max), ("amin", np.min), ("any", np.any), ("all", np.all)])
def test_reductions(name, fn, level):
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_):
        for shape in ((3, 5, 7), (300,), (1, 4000), (4000, 1), (513, 9), (2, 3, 1, 5)):
            a = (rng.random(shape) * 3 - 1).astype(dtype) if dtype not in (np.uint8, np.bool_) else rng.integers(0, 2, shape).astype(dtype)
            if name == "prod":
                a = np.where(a == 0, 1, np.sign(a) if np.issubdtype(dtype, np.signedinteger) else a).astype(dtype)
            for t, base in ((rt.from_numpy(a), a), (rt.from_numpy(a).transpose(0, -1), np.swapaxes(a, 0, -1))):
                for dim in (None, 0, -1) + (((0, 2),) if a.ndim > 2 and name != "prod" else ()):
                    got = getattr(rt, name)(t) if dim is None else getattr(rt, name)(t, dim)
                    want = fn(base if name not in ("any", "all") else base != 0, axis=dim)
                    assert np.allclose(got.numpy(), want, rtol=2e-4 if dtype == np.float32 else 1e-10), (dtype, shape, dim)


def test_long_sums_are_pairwise():
    """Error of a float32 sum of ten million numbers stays near the last place."""
    x = rt.full((10_000_000,), 0.1)
    assert abs(x.sum().item() - float(np.float32(0.1)) * 1e7) < 1.0
    assert abs(x.reshape(-1, 10).sum(0)[3].item() - float(np.float32(0.1)) * 1e6) < 0.2
