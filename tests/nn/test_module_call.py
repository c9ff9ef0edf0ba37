"""The compiled call of a module and its walk over parameters take every turn that the Python ones took."""
import copy
import pickle

import pytest

import rustorch_py as rt
from rustorch_py import nn


class Echo(nn.Module):
    def forward(self, *args, **kwargs):
        return args, kwargs


def test_arguments_arrive():
    echo = Echo()
    for n in (0, 1, 8, 9, 20):
        assert echo(*range(n)) == (tuple(range(n)), {})
    assert echo(1, b=2) == ((1,), {"b": 2})


def test_forward_is_looked_up_at_each_call():
    echo = Echo()
    echo.forward = lambda x: x + 1
    assert echo(1) == 2
    del echo.forward
    assert echo(1) == ((1,), {})
    assert nn.Module.__call__(echo, 3) == echo._call_impl(3) == ((3,), {})


def test_hooks_however_they_come():
    echo, seen = Echo(), []
    handle = echo.register_forward_hook(lambda m, args, out: seen.append(args))
    echo(1)
    handle.remove()
    echo(2)
    echo._forward_pre_hooks[0] = lambda m, args: (args[0] * 10,)
    assert echo(3) == ((30,), {})
    echo._forward_pre_hooks.clear()
    shared = nn.modules.module.register_module_forward_hook(lambda m, args, out: seen.append("all"))
    echo(4)
    shared.remove()
    echo(5)
    assert seen == [(1,), "all"]


def test_a_subclass_may_override_the_call():
    class Doubled(Echo):
        def __call__(self, *args, **kwargs):
            return super().__call__(*args, *args, **kwargs)
    assert Doubled()(1) == ((1, 1), {})


def test_errors():
    class Bare(nn.Module):
        def __init__(self):
            self.value = 1

        def forward(self):
            return 1
    with pytest.raises(AttributeError, match="call super"):
        Bare()()
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()()

    class Failing(nn.Module):
        def forward(self):
            raise KeyError("inside")
    with pytest.raises(KeyError, match="inside"):
        Failing()()


def test_copies_and_pickles_are_whole():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    x = rt.randn(5, 3)
    for other in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert rt.equal(other(x), net(x))


def test_bases_mix():
    class Mixin:
        def extra(self):
            return 7

    class Listed(nn.Module, list):
        def forward(self):
            return len(self)
    kind = type("Both", (Mixin, Echo), {})
    both = kind()
    assert both.extra() == 7 and both(1) == ((1,), {})
    assert type(kind.__new__(kind)) is kind
    assert Listed()() == 0


def test_parameters_in_order_each_once():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.Sequential(nn.Linear(2, 3), shared), nn.ParameterList([shared.weight, nn.Parameter(rt.ones(1))]), nn.ReLU())
    net.register_parameter("own", nn.Parameter(rt.ones(2)))
    net.register_parameter("none", None)
    expected = [p for _, p in net.named_parameters()]
    found = list(net.parameters())
    assert len(found) == len(expected) == 6 and all(a is b for a, b in zip(found, expected))
    assert [p for p in net.parameters(recurse=False)] == [net.own]
    assert next(net.parameters()) is net.own


def test_a_class_may_walk_its_own_way():
    class Hidden(nn.Linear):
        def named_parameters(self, *args, **kwargs):
            yield "weight", self.weight

    class Closed(nn.Sequential):
        def named_modules(self, *args, **kwargs):
            yield kwargs.get("prefix", ""), self
    assert [p.shape for p in Hidden(2, 3).parameters()] == [(3, 2)]
    assert list(Closed(nn.Linear(2, 3)).parameters()) == []
    net = nn.Sequential(Closed(nn.Linear(2, 3)), nn.Linear(1, 1))
    assert [id(p) for p in net.parameters()] == [id(p) for _, p in net.named_parameters()]


def test_parameters_of_many_modules_and_of_modules_that_are_equal():
    import collections
    wide = nn.ModuleList([nn.Linear(1, 1) for _ in range(100)])
    net = nn.Sequential(wide, nn.Sequential(*wide), wide[3])
    expected = [p for layer in wide for p in (layer.weight, layer.bias)]
    assert [id(p) for p in net.parameters()] == [id(p) for p in expected]

    class Alike(nn.Linear):
        def __eq__(self, other):
            return type(other) is Alike

        def __hash__(self):
            return 1
    pair = nn.ModuleList([Alike(1, 1), nn.Linear(1, 1)])
    pair.append(Alike(1, 1))
    assert [id(p) for p in pair.parameters()] == [id(p) for _, p in pair.named_parameters()] and len(list(pair.parameters())) == 4
    turned = nn.Linear(1, 1)
    turned.__dict__["_parameters"] = collections.OrderedDict(turned._parameters)
    turned._parameters.move_to_end("weight")
    assert [id(p) for p in turned.parameters()] == [id(turned.bias), id(turned.weight)]
