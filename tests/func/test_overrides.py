"""__torch_function__ on subclasses of Tensor and on other classes, modes, and the helpers around them."""
import pytest

import rustorch_py as torch
import rustorch_py.nn.functional as F
from rustorch_py.overrides import (DisableTorchFunctionSubclass, TorchFunctionMode, handle_torch_function, has_torch_function, has_torch_function_unary,
                                   has_torch_function_variadic, is_tensor_like, is_tensor_method_or_property, wrap_torch_function)


class Named(torch.Tensor):
    """No __torch_function__ of its own: results become Named."""


class Logged(torch.Tensor):
    log = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.log.append(getattr(func, "__name__", str(func)))
        return super().__torch_function__(func, types, args, kwargs or {})


class Scalar:
    """Tensor-like without being a tensor."""

    def __init__(self, value):
        self.value = value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.add:
            return Scalar(sum(a.value if isinstance(a, Scalar) else a for a in args))
        return NotImplemented


def test_results_are_of_the_subclass():
    x = torch.ones(2, 3).as_subclass(Named)
    for y in (x + 1, 1 - x, torch.exp(x), x.sum(), x[0], x.T, F.relu(x), x @ x.mT, -x, x.view(-1), torch.cat([x, torch.ones(1, 3)]), torch.ones(2, 3) * x):
        assert type(y) is Named
    assert all(type(y) is Named for y in x.unbind()) and type(x.max(0).values) is Named
    assert type(x.shape) is torch.Size and x.sum().item() == 6 and (x == 1).all()
    x += 1
    assert type(x) is Named and x[0, 0] == 2
    z = x.clone().requires_grad_()
    (z * 2).sum().backward()
    assert (z.grad == 2).all()


def test_a_class_sees_functions_methods_operators_and_properties():
    x = torch.ones(2).as_subclass(Logged)
    for call, name in ((lambda: torch.add(x, 1), "add"), (lambda: x.exp(), "exp"), (lambda: x + 1, "add"), (lambda: x[0], "__getitem__"),
                       (lambda: F.cross_entropy(x, torch.tensor(0)), "cross_entropy"), (lambda: torch.stack([x]), "stack"), (lambda: x.shape, "__get__"),
                       (lambda: torch.ones(3)[x.long().as_subclass(torch.Tensor)], "long"), (lambda: torch.linalg.norm(x), None)):
        Logged.log.clear()
        call()
        assert Logged.log and (name is None or name in Logged.log)
    with DisableTorchFunctionSubclass():
        Logged.log.clear()
        assert type(x + 1) is torch.Tensor and not Logged.log


def test_another_class_and_not_implemented():
    assert torch.add(Scalar(2), 3).value == 5
    with pytest.raises(TypeError, match="no implementation found for"):
        torch.mul(Scalar(2), torch.ones(1))
    assert is_tensor_like(Scalar(1)) and is_tensor_like(torch.ones(1)) and not is_tensor_like(3)


def test_subclasses_are_asked_before_their_bases():
    asked = []

    class Base(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            asked.append(cls.__name__)
            return NotImplemented

    class Derived(Base):
        pass
    a, b = torch.ones(1).as_subclass(Base), torch.ones(1).as_subclass(Derived)
    with pytest.raises(TypeError):
        torch.add(a, b)
    assert asked == ["Derived", "Base"]


def test_parameters_are_left_alone():
    p = torch.nn.Parameter(torch.ones(2))
    assert type(p + 1) is torch.Tensor and not has_torch_function((p, torch.ones(1)))
    assert type(torch.nn.Linear(2, 1)(torch.ones(2))) is torch.Tensor


def test_modes():
    class Count(TorchFunctionMode):
        def __init__(self):
            self.seen = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.append(func.__name__)
            return func(*args, **(kwargs or {}))
    with Count() as outer, Count() as inner:
        torch.zeros(2).add(1)
        assert has_torch_function_unary(torch.ones(1))
    assert inner.seen[:2] == ["zeros", "add"] and outer.seen[:2] == ["zeros", "add"]
    seen = len(inner.seen)
    torch.zeros(2)
    assert len(inner.seen) == seen and not has_torch_function_variadic(torch.ones(1), 2)


def test_own_functions():
    def double(x):
        if has_torch_function((x,)):
            return handle_torch_function(double, (x,), x)
        return x * 2

    @wrap_torch_function(lambda a, b: (a, b))
    def mix(a, b):
        return a + b

    class Any:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__, types
    assert double(Any()) == ("double", [Any]) and mix(1, Any()) == ("mix", [Any])
    assert double(torch.ones(1)) == 2 and mix(1, 2) == 3
    assert is_tensor_method_or_property(torch.Tensor.sum) and is_tensor_method_or_property(torch.Tensor.shape.__get__)
    assert not is_tensor_method_or_property(len)
