"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from collections import OrderedDict

import pytest

import rustorch_py as torch
from rustorch_py import nn


def test_sequential_from_modules_list_and_dict():
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    x = torch.ones(4, 2)
    for seq in (nn.Sequential(*layers), nn.Sequential(layers), nn.Sequential(tuple(layers))):
        assert len(seq) == 3 and list(seq) == layers
        assert torch.equal(seq(x), layers[2](layers[1](layers[0](x))))
    named = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
    assert [n for n, _ in named.named_children()] == ["a", "b"] and isinstance(named.b, nn.Tanh)
    assert len(nn.Sequential()) == 0
    with pytest.raises(TypeError):
        nn.Sequential(nn.ReLU(), 3)


def test_sequential_editing():
    seq = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    assert isinstance(seq[-1], nn.Sigmoid) and isinstance(seq[1:], nn.Sequential) and len(seq[1:]) == 2
    seq[0] = nn.GELU()
    assert isinstance(seq[0], nn.GELU)
    del seq[1]
    assert [n for n, _ in seq.named_children()] == ["0", "1"]
    seq.append(nn.ELU()).insert(0, nn.Mish()).extend([nn.SELU()])
    assert [type(m).__name__ for m in seq] == ["Mish", "GELU", "Sigmoid", "ELU", "SELU"]
    assert isinstance(seq.pop(0), nn.Mish) and len(seq) == 4
    assert len(seq + nn.Sequential(nn.ReLU())) == 5 and len(seq * 2) == 8 and len(2 * seq) == 8
    seq += nn.Sequential(nn.ReLU())
    assert len(seq) == 5
    seq *= 2
    assert len(seq) == 10 and seq[0] is seq[5]
    del seq[2:]
    assert len(seq) == 2
    for bad, error in ((lambda: seq[7], IndexError), (lambda: seq + 3, ValueError), (lambda: seq * 1.5, TypeError),
                       (lambda: seq * 0, ValueError), (lambda: seq.insert(9, nn.ReLU()), IndexError)):
        with pytest.raises(error):
            bad()


def test_module_list():
    group = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    group.append(nn.ReLU())
    group.insert(0, nn.Tanh())
    assert [type(m).__name__ for m in group] == ["Tanh", "Linear", "Linear", "ReLU"]
    assert list(group.state_dict()) == ["1.weight", "1.bias", "2.weight", "2.bias"]
    assert len(group[1:3]) == 2 and isinstance(group[1:3], nn.ModuleList) and group[-1] is group[3]
    group[0] = nn.ELU()
    del group[1]
    assert len(group) == 3 and [n for n, _ in group.named_children()] == ["0", "1", "2"]
    del group[1:]
    group += [nn.ReLU()]
    assert len(group + [nn.ReLU()]) == 3 and isinstance(group.pop(-1), nn.ReLU)
    assert repr(nn.ModuleList([nn.ReLU()] * 3 + [nn.Tanh()])) == (
        "ModuleList(\n  (0-2): 3 x ReLU()\n  (3): Tanh()\n)")
    assert repr(nn.ModuleList()) == "ModuleList()"
    with pytest.raises(IndexError):
        group[5]  # noqa: B018
    with pytest.raises(TypeError):
        group.extend(3)


def test_module_dict():
    group = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 1)})
    group["c"] = nn.Tanh()
    group.update([["d", nn.ELU()]])
    assert list(group) == list(group.keys()) == ["a", "b", "c", "d"] and "a" in group and len(group) == 4
    assert [k for k, _ in group.items()] == list(group) and list(group.values())[0] is group["a"]
    assert isinstance(group.pop("a"), nn.ReLU)
    del group["c"]
    assert list(group.state_dict()) == ["b.weight", "b.bias"]
    group.clear()
    assert len(group) == 0
    with pytest.raises(KeyError):
        group["a"]  # noqa: B018
    with pytest.raises(ValueError):
        group.update([["a"]])


def test_parameter_list():
    group = nn.ParameterList([torch.ones(2), nn.Parameter(torch.ones(3)), "text"])
    assert isinstance(group[0], nn.Parameter) and len(list(group.parameters())) == 2 and group[2] == "text"
    group.append(torch.zeros(1))
    group += [torch.zeros(2)]
    assert len(group) == 5 and len(group[1:3]) == 2 and [type(p).__name__ for p in group][2] == "str"
    group[0] = torch.zeros(4)
    assert tuple(group[0].shape) == (4,)
    assert list(group.state_dict()) == ["0", "1", "3", "4"]
    assert "Parameter containing: [torch.float32 of size 4]" in repr(group)
    with pytest.raises(TypeError):
        group.extend(torch.ones(2))
    with pytest.raises(RuntimeError):
        group()


def test_parameter_dict():
    group = nn.ParameterDict({"b": torch.ones(2), "a": torch.ones(3)})
    assert list(group) == ["a", "b"] and isinstance(group["a"], nn.Parameter)
    group["c"] = torch.ones(1)
    assert group.get("x") is None and group.setdefault("d", torch.ones(1)) is group["d"]
    assert list(reversed(group)) == ["d", "c", "b", "a"]
    assert group.popitem()[0] == "d" and tuple(group.pop("c").shape) == (1,)
    merged = group | nn.ParameterDict({"z": torch.ones(1)})
    assert list(merged) == ["a", "b", "z"] and list(group) == ["a", "b"]
    group |= {"q": torch.ones(1)}
    assert "q" in group and len(list(group.parameters())) == 3
    assert group.copy()["a"] is group["a"]
    del group["a"]
    assert list(group.state_dict()) == ["b", "q"]
    group.clear()
    assert len(group) == 0 and not list(group.parameters())
    with pytest.raises(TypeError):
        group[3] = 1
