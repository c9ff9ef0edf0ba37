"""Names that older scripts use."""
import inspect
import pickle

import pytest

import rustorch_py as rt


def test_typed_constructors():
    x = rt.LongTensor([[1, 2], [3, 4]])
    assert x.dtype is rt.int64 and isinstance(x, rt.LongTensor) and not isinstance(x, rt.FloatTensor)
    assert rt.FloatTensor(2, 3).shape == (2, 3) and rt.FloatTensor().shape == (0,)
    assert x.type(rt.FloatTensor).dtype is rt.float32 and x.type("torch.ByteTensor").dtype is rt.uint8
    assert repr(rt.BoolTensor) == "<class 'torch.BoolTensor'>"
    with pytest.raises(TypeError):
        rt.FloatTensor(x)


def test_new_keeps_the_dtype():
    x = rt.ones(2, dtype=rt.float64)
    assert x.new([1, 2]).dtype is rt.float64 and x.new(3, 4).shape == (3, 4)


def test_python_callables():
    x = rt.tensor([[1, 2], [3, 4]])
    assert x.t().apply_(lambda v: v * 10) is not None and x.tolist() == [[10, 20], [30, 40]]
    assert x.map_(rt.tensor([1, 2]), lambda a, b: a + b).tolist() == [[11, 22], [31, 42]]
    with pytest.raises(TypeError):
        rt.ones(2, requires_grad=True).apply_(abs)


def test_fill_diagonal():
    assert rt.zeros(7, 2).fill_diagonal_(1, wrap=True).nonzero().tolist() == [[0, 0], [1, 1], [3, 0], [4, 1], [6, 0]]
    assert rt.zeros(3, 3, 3).fill_diagonal_(2).sum().item() == 6
    with pytest.raises(RuntimeError):
        rt.zeros(2, 3, 3).fill_diagonal_(1)


def test_default_tensor_type():
    rt.set_default_tensor_type(rt.DoubleTensor)
    try:
        assert rt.ones(1).dtype is rt.float64
    finally:
        rt.set_default_tensor_type("torch.FloatTensor")
    with pytest.raises(TypeError):
        rt.set_default_tensor_type(rt.LongTensor)


def test_numpy_argument_names():
    x = rt.arange(6.0).reshape(2, 3)
    assert x.sum(axis=1).tolist() == [3, 12] and rt.mean(x, axis=0, keepdims=True).shape == (1, 3)
    assert rt.cat([x, x], axis=1).shape == (2, 6) and x.max(axis=0).values.tolist() == [3, 4, 5]
    assert rt.sum.__name__ == "sum" and pickle.loads(pickle.dumps(rt.sum))(x, axis=0).tolist() == [3, 5, 7]
    assert inspect.signature(rt.sum).parameters["keepdim"].default is False
    for wrong in (dict(dim=0, axis=1), dict(axes=0)):
        with pytest.raises(TypeError):
            x.sum(**wrong)


def test_back_ends_tell_what_they_are():
    assert rt.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2", "AVX512")
    assert rt.backends.mps.is_available() is rt.metal.is_available() and rt.backends.cudnn.version() is None
    with rt.backends.cudnn.flags(benchmark=True):
        assert rt.backends.cudnn.benchmark
    assert not rt.backends.cudnn.benchmark and not rt.backends.mkl.is_available() and rt.version.cuda is None
    assert isinstance(rt.backends.openmp.is_available(), bool)
    assert rt.backends.cuda.is_built() is rt.cuda.is_available()
    if not rt.cuda.is_available():
        assert rt.backends.cuda.preferred_blas_library() == rt.backends.cuda.preferred_blas_library("default") and rt.backends.cuda.preferred_blas_library().name == "Own"


def test_switches():
    rt.use_deterministic_algorithms(True, warn_only=True)
    assert rt.are_deterministic_algorithms_enabled() and rt.get_deterministic_debug_mode() == 1
    rt.set_deterministic_debug_mode("default")
    assert not rt.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError):
        rt.set_deterministic_debug_mode(3)
    rt.set_float32_matmul_precision("high")
    assert rt.get_float32_matmul_precision() == "high" and rt.backends.cuda.matmul.allow_tf32
    rt.set_float32_matmul_precision("highest")
