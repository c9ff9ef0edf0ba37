"""Every row and reduction of the table on the device against the CPU's loops: dtypes, layouts, gradients."""
import os

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.errors import UnsupportedOpError
from rustorch_py.tensor import _cpu, optable, render
from tests import samples
from tests.gpu.place import DEVICE, SOFTWARE, backend, text as printed

DTYPES = {"f": ("float32", "float64"), "i": ("uint8", "int8", "int16", "int32", "int64"), "b": ("bool",), "c": ("complex64", "complex128")}
if SOFTWARE and not os.environ.get("RUSTORCH_LONG_TESTS"):
    DTYPES = {"f": ("float32",), "i": ("int64",), "b": ("bool",), "c": ("complex64",)}
if DEVICE == "metal":
    DTYPES = {"f": ("float32",), "i": DTYPES["i"], "b": ("bool",), "c": ()}
LAYOUTS = {"contiguous": lambda t: t, "transposed": lambda t: t.t().contiguous().t(), "sliced": lambda t: rt.cat([t, t], 1)[:, : t.shape[1]]}


@pytest.fixture(scope="module", autouse=True)
def plain():
    """The CPU computes as the software device does: without fused products."""
    if SOFTWARE:
        _cpu.set_simd_level("baseline")


def prepare(dtype, mode, done=set()):
    """All kernels of a dtype at once: one by one they would take minutes."""
    loop = printed.TAGS.index({"bool": "b8", "uint8": "u8", "complex64": "c64", "complex128": "c128"}.get(dtype, dtype[0] + dtype.lstrip("intfloa")))
    if (loop, mode) not in done:
        backend.prepare(printed.all_keys([loop], mode))
        done.add((loop, mode))


def inputs(row, shape, dtype, seed):
    made = samples.values(row.name, row.arity, shape, np.float64, seed)
    out = []
    for a, kind in zip(made, row.types):
        if kind == "b":
            out.append(rt.from_numpy(a.astype(bool)))
        elif dtype.startswith("complex"):
            t = rt.from_numpy(a + 0.5j * a[::-1].copy()).to(getattr(rt, dtype))
            out.append(t.real.contiguous() if kind == "r" else t)
        elif dtype == "bool":
            out.append(rt.from_numpy(a > 0))
        elif "int" in dtype:
            out.append(rt.from_numpy(np.abs(np.rint(a * 3)) + (1 if row.arity > 1 else 0)).to(getattr(rt, dtype)))
        else:
            out.append(rt.from_numpy(a).to(getattr(rt, dtype)))
    return out


def refused(row, which, kind):
    """Whether the device has no kernel of a row because it has not one of its functions."""
    return DEVICE == "metal" and bool(printed.MISSING & render.calls_in(row, render.kernel_text(row, which, kind)[0]))


def close(got, want, dtype):
    """Equal but for the last bits: the CPU has vector functions of its own."""
    got, want = got.cpu().numpy(), want.numpy()
    assert got.shape == want.shape and got.dtype == want.dtype
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
        return
    tol = {"float32": 3e-6, "complex64": 1e-4, "float64": 1e-13, "complex128": 1e-12}[dtype]
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol, equal_nan=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [d for names in DTYPES.values() for d in names])
def test_rows(dtype, layout):
    kind = next(k for k, names in DTYPES.items() if dtype in names)
    prepare(dtype, printed.DENSE if layout == "contiguous" else printed.STRIDED)
    ran = 0
    for row in optable.ROWS:
        if kind not in row.kinds or render.kernel_text(row, 0, kind) is None:
            continue
        params = samples.PARAMS.get(row.name, (0, 0))
        host = inputs(row, (7, 37), dtype, 3)
        want = rt.tensor._run_row(row.index, tuple(host), *params)
        if refused(row, 0, kind):
            with pytest.raises(UnsupportedOpError, match="on metal:0"):
                rt.tensor._run_row(row.index, tuple(t.to(DEVICE) for t in host), *params)
            continue
        got = rt.tensor._run_row(row.index, tuple(LAYOUTS[layout](t.to(DEVICE)) for t in host), *params)
        assert got.device.type == DEVICE
        try:
            close(got, want, dtype)
        except AssertionError as error:
            raise AssertionError(f"{row.name}: {error}") from None
        ran += 1
    assert ran > 3


@pytest.mark.parametrize("dtype", DTYPES["f"] + DTYPES["c"])
def test_gradients(dtype):
    kind = "c" if dtype.startswith("complex") else "f"
    prepare(dtype, printed.DENSE)
    ran = 0
    for row in optable.ROWS:
        if kind not in row.kinds or not any(render.kernel_text(row, i + 1, kind) for i in range(row.arity)) or row.name in samples.REFUSED:
            continue
        if any(refused(row, i, kind) for i in range(row.arity + 1) if render.kernel_text(row, i, kind)):
            continue
        params = samples.PARAMS.get(row.name, (0, 0))
        grads = {}
        for device in ("cpu", DEVICE):
            ins = [t.to(device) for t in inputs(row, (5, 9), dtype, 4)]
            ins = [t.requires_grad_() if t.dtype.is_floating_point or t.dtype.is_complex else t for t in ins]
            out = rt.tensor._run_row(row.index, tuple(ins), *params)
            if not out.requires_grad:
                break
            out.backward(rt.ones_like(out))
            grads[device] = [t.grad for t in ins]
        for a, b in zip(grads.get("cpu", []), grads.get(DEVICE, [])):
            assert (a is None) == (b is None), row.name
            if a is not None:
                try:
                    close(b, a, dtype)
                except AssertionError as error:
                    raise AssertionError(f"gradient of {row.name}: {error}") from None
                ran += 1
    assert ran > 20


@pytest.mark.parametrize("dtype", [d for names in DTYPES.values() for d in names])
def test_reductions(dtype):
    x = rt.from_numpy(np.random.default_rng(0).standard_normal((5, 33, 7)) * 3)
    x = (x > 0) if dtype == "bool" else x.to(getattr(rt, dtype))
    names = ["sum", "prod", "count_nonzero"] + (["amax", "amin"] if not dtype.startswith("complex") else []) + (["any", "all"] if dtype == "bool" else [])
    for name in names:
        if name == "prod" and "int" in dtype:
            continue
        for view in (x, x.transpose(0, 2), x[:, ::2]):
            for dim in (0, 1, 2, (0, 2), (0, 1, 2)):
                fn = getattr(rt, name)
                if name == "prod" and not isinstance(dim, int):
                    continue
                on_device = view.to(DEVICE) if view is x else (x.to(DEVICE).transpose(0, 2) if view.shape[0] == 7 else x.to(DEVICE)[:, ::2])
                close(fn(on_device, dim=dim), fn(view, dim=dim), dtype)


def test_long_reductions_share_their_outputs():
    x = rt.from_numpy(np.random.default_rng(1).standard_normal((3, 40000)).astype(np.float32))
    got = x.to(DEVICE).sum(1).cpu()
    np.testing.assert_allclose(got.numpy(), x.double().sum(1).numpy(), rtol=1e-5, atol=1e-3)
    assert x.to(DEVICE).amax().item() == x.amax().item()
    assert rt.zeros(0, 3).to(DEVICE).sum(0).cpu().tolist() == [0, 0, 0]
