"""What types and functions are called: reprs, modules and pickles, with the package's name for torch."""
import copy
import inspect
import pickle
import re

import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

VALUES = {
    "dtype": lambda m: m.float32, "layout": lambda m: m.strided, "memory_format": lambda m: m.channels_last, "device": lambda m: m.device("cpu"),
    "Size": lambda m: m.Size([2]), "Generator": lambda m: m.Generator(), "Tensor": lambda m: m.ones(2), "Parameter": lambda m: m.nn.Parameter(m.ones(2)),
    "UntypedStorage": lambda m: m.ones(2).untyped_storage(), "TypedStorage": lambda m: m.storage.TypedStorage(2), "finfo": lambda m: m.finfo(m.float32),
    "iinfo": lambda m: m.iinfo(m.int8), "max": lambda m: m.max(m.ones(2, 2), 0), "no_grad": lambda m: m.no_grad(), "enable_grad": lambda m: m.enable_grad(),
    "inference_mode": lambda m: m.inference_mode(), "set_grad_enabled": lambda m: m.set_grad_enabled(True),
}
CLASSES = ["dtype", "device", "Size", "Tensor", "Generator", "layout", "memory_format", "finfo", "iinfo", "no_grad", "Stream", "Event", "storage.UntypedStorage",
           "storage.TypedStorage", "autograd.Function", "nn.Parameter", "nn.Linear", "optim.SGD", "autograd.no_grad"]


@pytest.mark.parametrize("name", VALUES)
def test_types(name):
    theirs, ours = (type(VALUES[name](m)) for m in (torch, rt))
    assert repr(ours) == repr(theirs).replace("torch", "rustorch_py")
    for part in ("__module__", "__qualname__", "__name__"):
        assert getattr(ours, part) == getattr(theirs, part).replace("torch", "rustorch_py")


@pytest.mark.parametrize("name", CLASSES)
def test_classes_go_through_pickle_by_name(name):
    found = rt
    for part in name.split("."):
        found = getattr(found, part)
    assert pickle.loads(pickle.dumps(found)) is found


@pytest.mark.parametrize("name", ["float32", "bool", "uint16", "float8_e5m2", "complex32", "strided", "sparse_coo", "sparse_csr", "channels_last", "preserve_format"])
def test_named_objects_stay_themselves(name):
    x = getattr(rt, name)
    assert b"rustorch_py" in pickle.dumps(x) and b"_dtype" not in pickle.dumps(x)
    for protocol in range(2, 6):
        assert pickle.loads(pickle.dumps(x, protocol)) is x
    assert copy.deepcopy(x) is x and copy.copy(x) is x


def test_storages_through_pickle():
    x = rt.arange(4.0)
    s, t, same = pickle.loads(pickle.dumps([x.untyped_storage(), x.storage(), x.untyped_storage()]))
    assert s.tolist() == x.untyped_storage().tolist() and type(s) is rt.UntypedStorage and s == same
    assert t.tolist() == [0, 1, 2, 3] and type(t) is rt.storage.TypedStorage


def test_functions():
    for name in ("add", "matmul", "relu", "clone", "where", "empty", "reshape", "split", "alias_copy", "unsafe_split", "manual_seed", "conv2d", "tensor", "as_strided",
                 "nn.functional.relu", "nn.functional.conv2d", "nn.functional.gelu", "linalg.svd", "special.erf", "fft.fft", "Tensor.add", "Tensor.clone", "Tensor.sparse_dim",
                 "Tensor.type", "Tensor.contiguous"):
        found = rt
        for part in name.split("."):
            found = getattr(found, part)
        assert pickle.loads(pickle.dumps(found)) is found, name
        if name != "tensor":
            assert found.__name__ == found.__qualname__ and "._" not in found.__module__, name
            assert found.__name__ == name.split(".")[-1] or name.startswith(("linalg", "special")), name
    assert rt.add.__module__ == "rustorch_py" and rt.nn.functional.relu.__module__ in ("rustorch_py", "rustorch_py.nn.functional")
    bound = pickle.loads(pickle.dumps(rt.ones(2).add))
    assert bound(1).tolist() == [2, 2]


def test_names_of_functions_are_their_own():
    functions = [(name, f) for name, f in vars(rt).items() if type(f) is type(rt.add)]
    known = {f.__name__ for _, f in functions} | {name for name, _ in functions} | set(dir(rt.Tensor))
    assert len(functions) > 500
    for name, f in functions:
        assert f.__name__ in known and "<" not in f.__qualname__, name
        inspect.signature(f)


def test_modules_of_autograd():
    from rustorch_py.autograd.function import Function, once_differentiable  # noqa: F401
    from rustorch_py.autograd.grad_mode import no_grad, set_grad_enabled  # noqa: F401
    assert Function is rt.autograd.Function and no_grad is rt.no_grad and rt.autograd.function.Function is Function
    assert all(hasattr(rt, name) for name in dir(rt) if not name.startswith("_"))


def test_modules_that_programs_import_by_path():
    import torch.nn.common_types

    import rustorch_py.nn.common_types
    for name in dir(torch.nn.common_types):
        if name.endswith("_t"):
            theirs, ours = (re.sub("(rus)?torch(_py)?[.]|~", "", str(getattr(m.nn.common_types, name))) for m in (torch, rt))
            assert ours == theirs, name
