"""Dtypes without loops of their own, and storage objects, beside PyTorch's."""
import itertools
import operator
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

STORED = ["complex32", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128", *STORED]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def outcome(call):
    try:
        return call()
    except Exception as error:
        return [c for c in type(error).__mro__ if c.__module__ == "builtins"][0]


def agree(theirs, ours):
    return theirs == ours if not isinstance(theirs, type) else isinstance(ours, type) and (issubclass(ours, theirs) or issubclass(theirs, ours))


@pytest.mark.parametrize("first", NAMES)
def test_promotion(first):
    for second in NAMES:
        for f in ("promote_types", "can_cast"):
            got = [outcome(lambda: str(getattr(m, f)(getattr(m, first), getattr(m, second)))) for m in (torch, rt)]
            assert agree(*got), f"{f}({first}, {second}): {got}"


@pytest.mark.parametrize("first", NAMES)
def test_conversion(first):
    for second in NAMES:
        if first not in STORED and second not in STORED:
            continue
        values = np.array([0, 1, 2, 3.5, 100, 200, 0.1, -1])
        if first[0] == "u" or second[0] == "u":
            values = values[:4]                                            # out of range is not defined
        a, b = (m.from_numpy(values.copy()).to(getattr(m, first)).to(getattr(m, second)) for m in (torch, rt))
        wide = [x.to(m.complex128).tolist() for x, m in ((a, torch), (b, rt))]
        assert str(wide[0]) == str(wide[1]), f"{first} to {second}"
        assert b.dtype is getattr(rt, second)


@pytest.mark.parametrize("name", STORED)
def test_texts_and_limits(name):
    for values in ([1, 2], [[1.5, 2], [3, 4]], 3, []):
        a, b = (m.tensor(values, dtype=m.float32).to(getattr(m, name)) for m in (torch, rt))
        assert repr(a) == repr(b) and a.type() == b.type() and a.tolist() == b.tolist()
    f = "iinfo" if "int" in name else "finfo"
    assert repr(getattr(torch, f)(getattr(torch, name))) == repr(getattr(rt, f)(getattr(rt, name)))
    ours, theirs = getattr(rt, name), getattr(torch, name)
    assert (ours.itemsize, ours.is_signed, ours.is_floating_point, ours.is_complex) == \
        (theirs.itemsize, theirs.is_signed, theirs.is_floating_point, theirs.is_complex)


@pytest.mark.parametrize("name", STORED)
def test_pytorch_files(name, tmp_path):
    torch.save([torch.tensor([[1.0, 2], [4, 8]]).to(getattr(torch, name)).t()], tmp_path / "x.pt")
    x, = rt.load(tmp_path / "x.pt")
    assert x.dtype is getattr(rt, name) and x.tolist() == [[1, 4], [2, 8]] and x.stride() == (1, 2)


CALLS = """
UntypedStorage(4).size()
UntypedStorage([1, 2, 3]).tolist()
UntypedStorage().nbytes()
UntypedStorage([1, 2, 3])
TypedStorage(3, dtype=m.float32).size()
TypedStorage([1, 2.5])
FloatStorage(3).nbytes()
FloatStorage([1, 2])
FloatStorage([1, 2]).double()
LongStorage([1, 2]).float().tolist()
FloatStorage
ByteStorage.from_buffer(b'abc')
ByteStorage.from_buffer(bytearray(b'abc')).tolist()
UntypedStorage.from_buffer(b'abcd', dtype=m.uint8)
FloatStorage.from_buffer(bytes(8), 'native')
ShortStorage.from_buffer(bytes([1, 2, 3, 4]), 'big').tolist()
ShortStorage.from_buffer(bytes([1, 2, 3, 4]), 'little').tolist()
ShortStorage.from_buffer(bytes([1, 2, 3, 4, 5, 6]), 'little', 2, 2).tolist()
ByteTensor(m.ByteStorage.from_buffer(b'abc'))
FloatTensor(m.FloatStorage([1, 2]))
tensor([1, 2]).new(m.LongStorage([1, 2]))
tensor([1.0, 2]).storage().fill_(3).tolist()
tensor([1.0, 2]).storage().type()
tensor([1.0, 2]).storage().clone().tolist()
tensor([1.0, 2]).storage().copy_(m.tensor([5.0, 6]).storage()).tolist()
tensor([1.0, 2]).untyped_storage().copy_(m.tensor([5.0, 6]).untyped_storage()).tolist()
tensor([1.0, 2]).untyped_storage().fill_(3).tolist()
tensor([1.0, 2]).storage().dtype
tensor([1.0, 2]).storage()[-1]
TypedStorage(wrap_storage=m.tensor([1.0, 2]).untyped_storage(), dtype=m.int32).tolist()
is_storage(m.FloatStorage(2))
FloatStorage(2).is_shared()
FloatStorage.from_buffer(bytes(7), byte_order='little')
FloatStorage.from_buffer(b'', byte_order='little')
FloatStorage.from_buffer(bytes(8), byte_order='middle')
tensor([1.0]).storage()[3]
FloatStorage([1, 2]).copy_(m.FloatStorage(3))
FloatTensor(m.LongStorage([1, 2]))
"""


@pytest.mark.parametrize("call", CALLS.strip().splitlines())
def test_storages(call):
    got = [outcome(lambda: str(eval("m." + call))) for m in (torch, rt)]
    assert agree(*got), got


def test_storage_kinds():
    for m in (torch, rt):
        s = m.tensor([1.0, 2.0]).storage()
        assert isinstance(s, m.FloatStorage) and not isinstance(s, m.LongStorage) and isinstance(s, m.TypedStorage)
        x = m.FloatTensor(s)
        x[0] = 7
        assert s[0] == 7.0
        s[1] = 8
        assert x.tolist() == [7.0, 8.0]


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_other_dtypes_are_rounded_before_16_bit_arithmetic(name):
    """A number, a 0-dim float64 or an int64 tensor beside a 16-bit tensor: the product keeps the number's precision, the rest does not."""
    x = (np.random.RandomState(0).rand(500) * 6 + 0.5).astype("float32")
    for op, k, first in itertools.product(("add", "sub", "mul", "mod", "pow", "eq", "lt", "floordiv"), (2.7183, 2000.5, 4097), (True, False)):
        got = []
        for m in (torch, rt):
            t, f = m.from_numpy(x.copy()).to(getattr(m, name)), getattr(operator, op)
            for other in (k, m.tensor(k, dtype=m.float64), m.tensor([int(k)] * 500)):
                got.append(outcome(lambda: (f(t, other) if first else f(other, t)).double().tolist()))
        for theirs, ours in zip(got[:3], got[3:]):
            if not isinstance(theirs, type):                               # a power with a number beyond float16 is refused there
                np.testing.assert_allclose(ours, theirs, rtol=1e-3 if name == "float16" else 8e-3, atol=0, err_msg=f"{op} {k} {first}")
