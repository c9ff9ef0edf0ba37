"""Indexing, printing and data beside a live PyTorch: random keys, random values, random nested data."""
import random
import warnings

import numpy as np
import pytest

pytorch = pytest.importorskip("torch", reason="parity needs PyTorch")

import rustorch_py as rt

DTYPES = ["float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool", "float16", "bfloat16", "complex64", "complex128"]


def ours(t):
    """The same tensor here, memory shared."""
    return rt.from_torch(t)


def same(a, b):
    assert tuple(a.shape) == tuple(b.shape) and str(a.dtype) == str(b.dtype)
    assert repr(a.tolist()) == repr(b.tolist())


def attempt(fn):
    try:
        return fn()
    except Exception as error:
        return error


def random_key(rng, shape):
    key, d = [], 0
    while d < len(shape) and len(key) < 6:
        kind, size = rng.random(), shape[d]
        if kind < 0.2:
            key.append(rng.randrange(-size, size) if size else 0)
        elif kind < 0.45:
            ends = [rng.choice([None, rng.randrange(-size - 2, size + 3)]) for _ in range(2)]
            key.append(slice(*ends, rng.choice([None, 1, 2, 3])))
        elif kind < 0.55:
            key.append(None)
            continue
        elif kind < 0.62:
            key.append(rng.choice([True, False, True]))
            continue
        elif kind < 0.85 and size:
            index = pytorch.randint(-size, size, rng.choice([(), (1,), (3,), (2, 1), (1, 3), (2, 3)]))
            key.append(rng.choice([index, index.int(), index.tolist() if index.ndim else index]))
        elif kind < 0.95:
            width = rng.choice([1, 1, 2])
            if d + width > len(shape):
                continue
            key.append(pytorch.rand(shape[d:d + width]) > 0.4)
            d += width - 1
        else:
            break
        d += 1
    if d == len(shape) and rng.random() < 0.2:
        key.append(Ellipsis)
    return tuple(key) if len(key) != 1 or rng.random() < 0.5 else key[0]


def convert(key):
    if isinstance(key, tuple):
        return tuple(convert(k) for k in key)
    return ours(key) if isinstance(key, pytorch.Tensor) else key


@pytest.mark.parametrize("seed", range(8))
def test_get_and_set(seed):
    rng = random.Random(seed)
    pytorch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(300):
            shape = [rng.choice([1, 2, 3, 4, 5]) if rng.random() < 0.95 else 0 for _ in range(rng.randrange(5))]
            dtype = getattr(pytorch, rng.choice(DTYPES))
            t = pytorch.randint(0, 2 if dtype == pytorch.bool else 100, shape).to(dtype)
            if t.ndim > 1 and rng.random() < 0.4:
                t = t.transpose(0, rng.randrange(1, t.ndim))
            key = random_key(rng, list(t.shape))
            theirs, mine = attempt(lambda: t[key]), attempt(lambda: ours(t)[convert(key)])
            if isinstance(theirs, Exception):
                assert isinstance(mine, type(theirs)), (key, theirs, mine)
                continue
            same(mine, theirs)
            a, b = t.clone(), ours(t.clone())
            value = rng.choice([0, 1, pytorch.ones([n if rng.random() < 0.8 else 1 for n in theirs.shape]).to(dtype)])
            a[key] = value
            b[convert(key)] = ours(value) if isinstance(value, pytorch.Tensor) else value
            same(b, a)


def random_values(rng, shape, dtype):
    if dtype == pytorch.bool:
        return pytorch.rand(shape) > 0.5
    if not (dtype.is_floating_point or dtype.is_complex):
        return pytorch.randint(0 if dtype == pytorch.uint8 else -100, 100, shape).to(dtype)

    def reals():
        t = pytorch.randn(shape, dtype=pytorch.float64)
        kind = rng.randrange(7)
        t = [t, t.round() * 10, t * 10.0 ** rng.randrange(-12, 12), pytorch.exp(t * 5), t * 0, t.round() * 1e7, t.round()][kind]
        if rng.random() < 0.3 and t.numel():
            t.view(-1)[rng.randrange(t.numel())] = rng.choice([float("inf"), float("-inf"), float("nan"), 0.0, -0.0])
        return t

    return pytorch.complex(reals(), reals()).to(dtype) if dtype.is_complex else reals().to(dtype)


@pytest.mark.parametrize("seed", range(6))
def test_repr(seed):
    rng = random.Random(seed)
    pytorch.manual_seed(seed)
    try:
        for _ in range(200):
            shape = [rng.choice([0, 1, 2, 3, 5, 8, 20]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))]
            if rng.random() < 0.1:
                shape = rng.choice([[1001], [40, 50], [2, 600], [11, 10, 10], [600, 2]])
            t = random_values(rng, shape, getattr(pytorch, rng.choice(DTYPES)))
            if t.is_floating_point() and rng.random() < 0.3:
                t.requires_grad_()
            options = {}
            if rng.random() < 0.4:
                options = dict(precision=rng.choice([None, 2, 0, 8]), threshold=rng.choice([None, 5, 0]), edgeitems=rng.choice([None, 1, 2, 5]),
                               linewidth=rng.choice([None, 20, 40, 120]), sci_mode=rng.choice([None, None, True, False]))
            pytorch.set_printoptions(**options)
            rt.set_printoptions(**options)
            assert repr(ours(t)) == repr(t)
            pytorch.set_printoptions(profile="default")
            rt.set_printoptions(profile="default")
    finally:
        pytorch.set_printoptions(profile="default")
        rt.set_printoptions(profile="default")


def random_data(rng, depth):
    if depth == 0 or rng.random() < 0.1:
        odd = [1, 2.5, True, -3, 1j, np.float32(2), np.int16(3), "a", None, 2**40, 1e300, float("nan")]
        return rng.choice(odd) if rng.random() < 0.2 else rng.choice([1, 2, 3.5])
    items = [random_data(rng, depth - 1) for _ in range(rng.choice([0, 1, 2, 2, 3]))]
    return items if rng.random() < 0.8 else tuple(items)


@pytest.mark.parametrize("seed", range(4))
def test_tensor_of_nested_data(seed):
    rng = random.Random(seed)
    for _ in range(1000):
        data, dtype = random_data(rng, rng.randrange(4)), rng.choice([None, None, *DTYPES])
        theirs = attempt(lambda: pytorch.tensor(data, dtype=dtype and getattr(pytorch, dtype)))
        mine = attempt(lambda: rt.tensor(data, dtype=dtype and getattr(rt, dtype)))
        if isinstance(theirs, Exception):
            # a NumPy float by itself is taken where integers are asked for
            assert isinstance(mine, type(theirs)) or "numpy.float32" in str(theirs), (data, dtype, theirs, mine)
        else:
            assert repr(mine) == repr(theirs), (data, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_shares_memory(dtype):
    theirs = pytorch.arange(6).reshape(2, 3).to(getattr(pytorch, dtype)).t()
    mine = rt.from_torch(theirs)
    assert mine.data_ptr() == theirs.data_ptr() and mine.stride() == theirs.stride()
    back = mine.to_torch()
    assert back.data_ptr() == theirs.data_ptr() and back.dtype == theirs.dtype and back.stride() == theirs.stride()
    leaf = pytorch.ones(2, requires_grad=True)
    assert rt.from_torch(leaf).requires_grad and rt.from_torch(leaf).to_torch().requires_grad
