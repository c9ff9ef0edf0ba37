"""Tensors from Python data and back: NumPy, buffers, DLPack, pickle, copy, storage."""
import array
import copy
import gc
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.errors import MissingDependencyError

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128"]


# ---- from data ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("data, dtype, values", [
    (3, "int64", 3), (2.5, "float32", 2.5), (True, "bool", True), (1j, "complex64", 1j),
    ([1, 2.0, True], "float32", [1.0, 2.0, 1.0]), ([[1], [2]], "int64", [[1], [2]]), ((True, 2), "int64", [1, 2]), ([], "float32", []),
    ([[], [1]], "float32", [[], []]), (range(3), "int64", [0, 1, 2]), (np.float64(1), "float64", 1.0), ([np.int16(4), 5], "int64", [4, 5]),
    (array.array("f", [1, 2]), "float32", [1.0, 2.0]), (np.arange(3, dtype="int8"), "int8", [0, 1, 2]),
    ([np.array([1, 2]), np.array([3, 4])], "int64", [[1, 2], [3, 4]]), (bytearray(b"ab"), "int64", [97, 98]),
])
def test_tensor(data, dtype, values):
    t = rt.tensor(data)
    assert str(t.dtype) == "torch." + dtype and t.tolist() == values


@pytest.mark.parametrize("data, kwargs, error, message", [
    ([[1, 2], [1, 2, 3]], {}, ValueError, "expected sequence of length 2 at dim 1 (got 3)"),
    ([[1, 2], 3], {}, TypeError, "not a sequence"),
    ("a", {}, TypeError, "invalid data type 'str'"),
    (["a"], {}, ValueError, "too many dimensions 'str'"),
    ([None], {}, RuntimeError, "Could not infer dtype of NoneType"),
    ({1}, {}, RuntimeError, "Could not infer dtype of set"),
    (300, {"dtype": rt.int8}, RuntimeError, "without overflow"),
    (float("nan"), {"dtype": rt.int64}, RuntimeError, "without overflow"),
    (2**63, {}, ValueError, "Overflow when unpacking long long"),
    (1, {"requires_grad": True}, RuntimeError, "floating point and complex"),
    ([1], {"dtype": "float32"}, TypeError, "must be torch.dtype"),
    ([1, [2]], {}, TypeError, "integer"),
])
def test_tensor_errors(data, kwargs, error, message):
    with pytest.raises(error) as info:
        rt.tensor(data, **kwargs)
    assert message in str(info.value)


def test_tensor_copies_and_as_tensor_shares():
    a = np.zeros(3, "float32")
    copied, shared = rt.tensor(a), rt.as_tensor(a)
    a[0] = 5
    assert copied[0].item() == 0 and shared[0].item() == 5
    assert rt.as_tensor(shared) is shared
    assert rt.asarray(a).data_ptr() == shared.data_ptr() != rt.asarray(a, copy=True).data_ptr()
    with pytest.raises(ValueError, match="can't alias"):
        rt.asarray([1, 2], copy=False)
    with pytest.warns(UserWarning, match="copy construct"):
        rt.tensor(shared)


# ---- NumPy ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_round_trip(dtype):
    a = np.arange(12).reshape(3, 4).astype(dtype)[:, ::2]
    t = rt.from_numpy(a)
    assert t.stride() == (4, 2) and t.tolist() == a.tolist()
    back = t.numpy()
    assert back.dtype == a.dtype and back.strides == a.strides and np.shares_memory(a, back)
    assert np.asarray(t).dtype == a.dtype and np.shares_memory(np.asarray(t), a)
    back[0, 0] = 1
    assert t[0, 0].item() == a[0, 0] == 1


def test_numpy_keeps_memory_alive():
    t = rt.arange(5)
    a = t.numpy()
    del t
    gc.collect()
    assert a.tolist() == [0, 1, 2, 3, 4]
    a = np.ones(3)
    t, alive = rt.from_numpy(a), weakref.ref(a)
    del a
    assert alive() is not None and t.tolist() == [1, 1, 1]
    del t
    assert alive() is None


def test_numpy_refusals():
    leaf = rt.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        leaf.numpy()
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        np.asarray(leaf)
    assert leaf.numpy(force=True).tolist() == [1, 1]
    with pytest.raises(TypeError, match="BFloat16"):
        rt.ones(2, dtype=rt.bfloat16).numpy()
    with pytest.raises(TypeError, match=r"expected np.ndarray \(got list\)"):
        rt.from_numpy([1])
    with pytest.raises(ValueError, match="negative"):
        rt.from_numpy(np.arange(3)[::-1])
    with pytest.raises(ValueError, match="byte order"):
        rt.from_numpy(np.arange(3).astype(">i4"))
    for bad in (np.array(["a"]), np.array([object()]), np.array([1], "M8[s]")):
        with pytest.raises(TypeError, match="can't convert np.ndarray"):
            rt.from_numpy(bad)
    fixed = np.arange(3)
    fixed.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        t = rt.from_numpy(fixed)
    assert not t.numpy().flags.writeable


def test_numpy_functions_return_tensors():
    t = rt.tensor([0.0, 1.0])
    for got in (np.sin(t), np.add(t, 1), t + np.ones(2, "float32")):
        assert isinstance(got, rt.Tensor)
    assert np.concatenate([t, t]).shape == (4,)
    assert memoryview(t).format == "f" and bytes(memoryview(t)) == np.array([0, 1], "float32").tobytes()
    assert np.array(t, dtype="int64").tolist() == [0, 1]


def test_frombuffer():
    data = bytearray(b"abcdefgh")
    t = rt.frombuffer(data, dtype=rt.int16, count=2, offset=2)
    assert t.tolist() == np.frombuffer(data, "int16", 2, 2).tolist()
    data[2] = 0
    assert t[0].item() == np.frombuffer(data, "int16", 1, 2)[0]
    with pytest.raises(BufferError):
        data.extend(b"more")                               # exported memory must not move
    with pytest.raises(ValueError, match="multiple of element size"):
        rt.frombuffer(data, dtype=rt.int16, offset=1)
    with pytest.raises(ValueError, match="must not be greater"):
        rt.frombuffer(data, dtype=rt.int16, count=9)
    with pytest.warns(UserWarning, match="not writable"):
        rt.frombuffer(b"ab", dtype=rt.uint8)


# ---- DLPack ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_round_trip(dtype):
    a = np.arange(6).reshape(2, 3).astype(dtype)
    t = rt.from_dlpack(a)
    assert t.tolist() == a.tolist() and str(t.dtype) == "torch." + dtype
    back = np.from_dlpack(t)
    assert np.shares_memory(a, back) and back.dtype == a.dtype
    again = rt.from_dlpack(rt.to_dlpack(t.t()))
    assert again.data_ptr() == t.data_ptr() and again.stride() == (1, 3)


def test_dlpack_rules():
    t = rt.arange(3)
    assert t.__dlpack_device__() == (1, 0)
    capsule = t.__dlpack__()
    rt.from_dlpack(capsule)
    with pytest.raises(RuntimeError, match="only once"):
        rt.from_dlpack(capsule)
    with pytest.raises(BufferError, match="require gradient"):
        rt.ones(1, requires_grad=True).__dlpack__()
    assert rt.from_dlpack(t.__dlpack__(copy=True, max_version=(1, 0))).data_ptr() != t.data_ptr()
    assert "versioned" in repr(t.__dlpack__(max_version=(1, 1))) and "versioned" not in repr(t.__dlpack__(max_version=(0, 8)))
    with pytest.raises(TypeError):
        rt.from_dlpack(3)
    array = np.ones(3)
    alive = weakref.ref(array)
    holder = rt.from_dlpack(rt.from_numpy(array))
    del array
    gc.collect()
    assert alive() is not None
    del holder
    gc.collect()
    assert alive() is None
    bf = rt.tensor([1.5], dtype=rt.bfloat16)
    assert rt.from_dlpack(bf).dtype == rt.bfloat16


# ---- pickle and copy ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickle(protocol):
    t = rt.arange(12.0).reshape(3, 4)
    row, turned = t[1], t.t()
    a, b, c = pickle.loads(pickle.dumps((t, row, turned), protocol))
    assert a.tolist() == t.tolist() and c.stride() == (1, 4)
    b.fill_(7)
    assert a[1].tolist() == [7, 7, 7, 7] == c[:, 1].tolist()
    leaf = rt.ones(2, dtype=rt.bfloat16, requires_grad=True)
    leaf.note = "kept"
    got = pickle.loads(pickle.dumps(leaf, protocol))
    assert got.requires_grad and got.dtype == rt.bfloat16 and got.note == "kept" and got.is_leaf


def test_damaged_pickle_is_refused():
    rebuild, args = rt.arange(4).__reduce_ex__(2)
    for position, value in ((3, 2), (4, (9,)), (4, (-1,)), (5, (3,)), (5, (-1,))):
        bad = list(args)
        bad[position] = value
        with pytest.raises(ValueError, match="unpickle"):
            rebuild(*bad)


class Named(rt.Tensor):
    pass


def test_deepcopy():
    t = rt.arange(4.0)
    a, b = copy.deepcopy([t, t[1:]])
    b[0] = 9
    assert a.tolist() == [0, 9, 2, 3] and t.tolist() == [0, 1, 2, 3]
    leaf = rt.ones(2, requires_grad=True)
    leaf.sum().backward()
    got = copy.deepcopy(leaf)
    assert got.requires_grad and got.grad.tolist() == [1, 1] and got.grad is not leaf.grad
    with pytest.raises(RuntimeError, match="deepcopy protocol"):
        copy.deepcopy(leaf * 2)
    named = t.as_subclass(Named)
    named.extra = [1]
    got = copy.deepcopy(named)
    assert type(got) is Named and got.extra == [1] and got.extra is not named.extra
    assert type(pickle.loads(pickle.dumps(named))) is Named
    assert copy.deepcopy((t, t))[0] is not t
    p, q = copy.deepcopy((t, t))
    assert p is q


# ---- storage ------------------------------------------------------------------------------------------------------
def test_storage():
    t = rt.tensor([[1.0, 2.0], [3.0, 4.0]])
    s = t.untyped_storage()
    assert s.nbytes() == len(s) == 16 and s.data_ptr() == t.data_ptr() and s == t[1].untyped_storage()
    assert t.storage().tolist() == [1, 2, 3, 4] and t[1].storage().data_ptr() == s.data_ptr()
    assert t.storage().element_size() == t.element_size() == 4 and t.nbytes == 16
    assert bytes(s.tolist()) == t.numpy().tobytes()
    s[0] = 255
    assert t.numpy().tobytes()[0] == 255
    assert s.clone() != s
    with pytest.raises(RuntimeError, match="belongs to another"):
        rt.from_numpy(np.ones(2)).untyped_storage().resize_(0)


def test_numpy_and_torch_are_not_imported():
    code = ("import sys, rustorch_py as rt; t = rt.tensor([[1, 2]]); repr(t); t[0].tolist(); "
            "assert 'numpy' not in sys.modules and 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torch_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"\[torch\]"):
        rt.ones(2).to_torch()


def test_numpy_of_a_tensor_that_requires_grad_under_no_grad():
    x = rt.ones(2, requires_grad=True)
    with rt.no_grad():
        assert x.numpy().tolist() == [1, 1]


@pytest.mark.parametrize("move", [lambda t: setattr(t, "data", rt.zeros(3)), lambda t: t.set_(rt.zeros(3)), lambda t: t.resize_(500_000)], ids=["data", "set_", "resize_"])
@pytest.mark.parametrize("take", [lambda t: t.numpy(), np.asarray, np.from_dlpack, memoryview, lambda t: t[2:]], ids=["numpy", "asarray", "dlpack", "memoryview", "view"])
def test_memory_lives_as_long_as_it_is_seen(take, move):
    """Whatever else its tensor gets: the block is not given to others."""
    t = rt.ones(1000)
    seen = take(t)
    move(t)
    others = [rt.full((1000,), 7.0) for _ in range(20)]
    assert list(seen[:3]) == [1.0, 1.0, 1.0] and len(others) == 20


def test_resize_keeps_what_fits():
    t = rt.arange(4.0)
    t.resize_(2, 3)
    assert t.flatten()[:4].tolist() == [0.0, 1.0, 2.0, 3.0]
    base = rt.arange(4.0)
    weak = [base[1:]]
    base.resize_(100_000)
    assert weak[0].tolist() == [1.0, 2.0, 3.0] and base[:4].tolist() == [0.0, 1.0, 2.0, 3.0]
