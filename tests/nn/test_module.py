"""Module's contract: registration, attributes, hooks, state, copies, text. Needs no PyTorch."""

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.nn import Parameter


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(4, 2))
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.scale = Parameter(torch.ones(1))

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


class Holder(nn.Module):
    """Module at top level, so that pickle finds it."""


# ---- attributes and the member dictionaries ------------------------------------------------------


def test_parameters_are_found_by_attribute_and_registered():
    net = Net()
    assert net.first.weight is net.first._parameters["weight"]
    assert [n for n, _ in net.named_parameters()] == [
        "scale", "first.weight", "first.bias", "rest.1.weight", "rest.1.bias"]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [n for n, _ in net.named_children()] == ["first", "rest"]


def test_direct_edits_of_the_dictionaries_show_as_attributes():
    layer = nn.Linear(2, 2)
    new = Parameter(torch.zeros(2, 2))
    layer._parameters["weight"] = new
    assert layer.weight is new
    old = layer._parameters.pop("bias")
    assert not hasattr(layer, "bias")
    layer._parameters.update(bias=old)
    assert layer.bias is old
    del layer._parameters["bias"]
    assert not hasattr(layer, "bias")
    assert layer._parameters.setdefault("bias", old) is old and layer.bias is old
    assert layer._parameters.popitem() == ("bias", old)
    layer._parameters |= {"extra": new}
    assert layer.extra is new
    layer._parameters.clear()
    assert not hasattr(layer, "weight") and not hasattr(layer, "extra")


def test_replacing_a_whole_dictionary():
    layer = nn.Linear(2, 2)
    kept = layer.weight
    layer._parameters = {"other": kept}
    assert not hasattr(layer, "weight") and layer.other is kept
    layer._parameters["third"] = kept
    assert layer.third is kept
    seq = nn.Sequential(nn.ReLU())
    seq._modules = OrderedDict(a=nn.Tanh())
    assert list(seq._modules) == ["a"] and isinstance(seq.a, nn.Tanh)


def test_shallow_copies_share_the_dictionaries():
    a = nn.Linear(2, 2)
    b = copy.copy(a)
    assert b.weight is a.weight and b._parameters is a._parameters
    new = Parameter(torch.zeros(2, 2))
    b.weight = new
    assert a.weight is new and b.weight is new


def test_dict_replacement_mirrors_members():
    a, b = nn.Linear(2, 2), nn.Linear.__new__(nn.Linear)
    b.__dict__ = a.__dict__.copy()
    new = Parameter(torch.zeros(2))
    a._parameters["bias"] = new
    assert b.bias is new


def test_lookup_without_the_mirror_still_finds_members():
    layer = nn.Linear(2, 2)
    other = Holder.__new__(Holder)
    other.__dict__.update(layer.__getstate__())
    assert "weight" not in other.__dict__
    assert other.weight is layer.weight
    with pytest.raises(AttributeError, match="'Holder' object has no attribute 'nothing'"):
        other.nothing  # noqa: B018


def test_modules_are_no_reference_cycles():
    gc.disable()
    try:
        net = Net()
        alive = weakref.ref(net)
        del net
        assert alive() is None
    finally:
        gc.enable()


def test_setattr_rules():
    net = Net()
    with pytest.raises(TypeError, match="cannot assign '.*' as parameter 'scale'"):
        net.scale = torch.ones(1)
    with pytest.raises(TypeError, match="as child module 'first'"):
        net.first = 3
    with pytest.raises(TypeError, match="as buffer 'count'"):
        net.count = "x"
    net.scale = None
    assert net.scale is None and "scale" not in dict(net.named_parameters())
    net.first = None
    assert net._modules["first"] is None
    net.count = torch.tensor(5)
    assert net._buffers["count"].item() == 5
    # a parameter takes the place of a buffer, a module that of a parameter
    net.count = Parameter(torch.ones(2))
    assert "count" in net._parameters and "count" not in net._buffers
    net.plain = 3
    net.plain = Parameter(torch.ones(1))
    assert isinstance(net.plain, Parameter)
    net.other = nn.ReLU()
    assert "other" in net._modules


def test_delattr():
    net = Net()
    del net.first, net.scale, net.scratch
    assert "first" not in net._modules and "scratch" not in net._non_persistent_buffers_set
    with pytest.raises(AttributeError):
        del net.first
    net.plain = 1
    del net.plain
    assert not hasattr(net, "plain")


def test_assignment_before_init():
    class Early(nn.Module):
        def __init__(self, what):
            self.x = what

    for what, name in ((Parameter(torch.ones(1)), "parameters"), (nn.ReLU(), "module")):
        with pytest.raises(AttributeError, match=f"cannot assign {name} before Module.__init__"):
            Early(what)
    assert Early(3).x == 3
    with pytest.raises(AttributeError):
        Early(3)(1)


def test_register_checks():
    net = Net()
    for register, make in ((net.register_parameter, lambda: Parameter(torch.ones(1))),
                           (net.register_buffer, lambda: torch.ones(1)), (net.add_module, nn.ReLU)):
        with pytest.raises(TypeError):
            register(3, make())
        with pytest.raises(KeyError):
            register("a.b", make())
        with pytest.raises(KeyError):
            register("", make())
        with pytest.raises(KeyError):
            register("forward", make())
        with pytest.raises(TypeError):
            register("new", object())
    x = torch.ones(1, requires_grad=True)
    with pytest.raises(TypeError):
        net.register_parameter("new", x * 2)
    net.register_module("m", nn.ReLU())
    assert isinstance(net.m, nn.ReLU)


def test_buffer_class():
    net = Holder()
    net.kept = nn.Buffer(torch.ones(2))
    net.hidden = nn.Buffer(torch.ones(2), persistent=False)
    assert list(net.state_dict()) == ["kept"]
    assert isinstance(net.kept, nn.Buffer) and not isinstance(net.kept, Parameter)


def test_property_wins_over_nothing_and_dir():
    class WithProperty(nn.Linear):
        @property
        def twice(self):
            return self.weight * 2

    layer = WithProperty(2, 2)
    assert torch.equal(layer.twice, layer.weight * 2)
    assert "weight" in dir(layer) and "forward" in dir(layer)
    assert "0" not in dir(nn.Sequential(nn.ReLU()))


def test_init_arguments():
    with pytest.raises(TypeError, match="unexpected keyword argument 'a'"):
        nn.Module(a=1)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        nn.Module(1)
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)


def test_super_init_with_other_bases():
    class Other:
        def __init__(self, tag):
            self.tag = tag

    class Both(nn.Module, Other):
        call_super_init = True

        def __init__(self):
            super().__init__("x")

    assert Both().tag == "x"


# ---- paths ------------------------------------------------------------------------------------------


def test_paths():
    net = Net()
    assert net.get_submodule("") is net and net.get_submodule("rest.1") is net.rest[1]
    assert net.get_parameter("rest.1.weight") is net.rest[1].weight
    assert net.get_buffer("count") is net.count
    with pytest.raises(AttributeError, match="has no attribute `nope`"):
        net.get_submodule("rest.nope")
    with pytest.raises(AttributeError, match="is not an nn.Module"):
        net.get_submodule("first.weight")
    with pytest.raises(AttributeError, match="is not an nn.Parameter"):
        net.get_parameter("count")
    with pytest.raises(AttributeError, match="is not a buffer"):
        net.get_buffer("scale")
    net.set_submodule("rest.0", nn.Tanh())
    assert isinstance(net.rest[0], nn.Tanh)
    with pytest.raises(AttributeError):
        net.set_submodule("rest.7", nn.Tanh(), strict=True)
    with pytest.raises(ValueError):
        net.set_submodule("rest.0", 3)


# ---- hooks ------------------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace():
    layer, seen = nn.Identity(), []
    a = layer.register_forward_pre_hook(lambda m, args: seen.append("pre") or (args[0] + 1,))
    b = layer.register_forward_pre_hook(lambda m, args: seen.append("first"), prepend=True)
    c = layer.register_forward_hook(lambda m, args, out: seen.append("post") or out * 10)
    assert layer(torch.ones(1)).item() == 20
    assert seen == ["first", "pre", "post"]
    for handle in (a, b, c):
        handle.remove()
    assert layer(torch.ones(1)).item() == 1 and not layer._forward_hooks


def test_hooks_with_keywords():
    class Two(nn.Module):
        def forward(self, x, *, k):
            return x * k

    layer, seen = Two(), []
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"k": kwargs["k"] + 1}), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs["k"]), with_kwargs=True)
    assert layer(torch.ones(1), k=2).item() == 3 and seen == [3]
    layer.register_forward_pre_hook(lambda m, args, kwargs: 5, with_kwargs=True)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        layer(torch.ones(1), k=2)


def test_always_called_hook():
    class Bad(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    layer, seen = Bad(), []
    layer.register_forward_hook(lambda m, args, out: seen.append("plain"))
    layer.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ZeroDivisionError):
        layer(1)
    assert seen == [None]


def test_full_backward_hooks():
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(3.0)
    seen = {}
    layer.register_full_backward_pre_hook(lambda m, g: (g[0] * 2,))
    layer.register_full_backward_hook(lambda m, gi, go: seen.update(gi=gi, go=go) or (gi[0] * 10,))
    x = torch.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert seen["go"][0].tolist() == [[2.0]] and seen["gi"][0].tolist() == [[6.0, 6.0]]
    assert x.grad.tolist() == [[60.0, 60.0]] and layer.weight.grad.tolist() == [[2.0, 2.0]]
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full"):
        layer.register_backward_hook(lambda *a: None)


def test_full_backward_hook_without_input_gradient():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].shape)))
    layer(torch.ones(3, 2)).sum().backward()
    assert len(seen) == 1 and tuple(seen[0][1]) == (3, 1)
    with torch.no_grad():
        assert layer(torch.ones(3, 2)).requires_grad is False


def test_global_hooks():
    from rustorch_py.nn.modules import module as m

    seen = []
    handles = [m.register_module_forward_pre_hook(lambda mod, args: seen.append("pre")),
               m.register_module_forward_hook(lambda mod, args, out: seen.append("post")),
               m.register_module_parameter_registration_hook(lambda mod, name, p: seen.append(name))]
    try:
        nn.Linear(1, 1)(torch.ones(1))
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["weight", "bias", "pre", "post"]
    nn.Linear(1, 1)(torch.ones(1))
    assert len(seen) == 4


# ---- state ------------------------------------------------------------------------------------------


def test_state_dict_round_trip():
    a, b = Net(), Net()
    state = a.state_dict()
    assert list(state) == ["scale", "count", "first.weight", "first.bias", "rest.1.weight", "rest.1.bias"]
    assert not state["scale"].requires_grad and a.state_dict(keep_vars=True)["scale"] is a.scale
    assert state._metadata[""] == {"version": 1} and "rest.1" in state._metadata
    assert repr(b.load_state_dict(state)) == "<All keys matched successfully>"
    x = torch.ones(2, 3)
    assert torch.equal(a(x), b(x))
    assert list(a.state_dict(prefix="p."))[0] == "p.scale"


def test_state_dict_mismatches():
    net = Net()
    state = net.state_dict()
    state["extra"] = torch.ones(1)
    del state["scale"]
    state["first.bias"] = torch.ones(7)
    with pytest.raises(RuntimeError) as info:
        net.load_state_dict(state)
    text = str(info.value)
    assert text.startswith("Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: \"scale\". ")
    assert '\n\tUnexpected key(s) in state_dict: "extra". ' in text
    assert "size mismatch for first.bias: copying a param with shape torch.Size([7]) from checkpoint" in text
    del state["first.bias"]
    keys = net.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["scale", "first.bias"] and keys.unexpected_keys == ["extra"]
    with pytest.raises(TypeError):
        net.load_state_dict([1])


def test_load_by_assignment():
    a, b = Net(), Net()
    state = a.state_dict()
    b.load_state_dict(state, assign=True)
    assert isinstance(b.scale, Parameter) and b.scale.requires_grad
    assert b.scale.data_ptr() == a.scale.data_ptr()


def test_extra_state_and_state_hooks():
    class Extra(nn.Module):
        value = 1

        def get_extra_state(self):
            return self.value

        def set_extra_state(self, state):
            self.value = state

    a, b, seen = Extra(), Extra(), []
    a.value = 7
    a.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append("pre"))
    a.register_state_dict_post_hook(lambda m, state, prefix, meta: seen.append("post"))
    b.register_load_state_dict_pre_hook(lambda m, *rest: seen.append(type(m).__name__))
    b.register_load_state_dict_post_hook(lambda m, keys: seen.append("loaded"))
    b.load_state_dict(a.state_dict())
    assert b.value == 7 and seen == ["pre", "post", "Extra", "loaded"]


def test_batchnorm_accepts_old_state():
    net = nn.BatchNorm1d(2)
    state = OrderedDict((k, v) for k, v in net.state_dict().items() if k != "num_batches_tracked")
    net.load_state_dict(state)


# ---- copies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_deep_copies(clone):
    net = Net()
    net.tied = net.first.weight
    new = clone(net)
    assert new.first.weight is not net.first.weight and torch.equal(new.first.weight, net.first.weight)
    assert new.tied is new.first.weight
    assert new.scratch is not net.scratch and new._non_persistent_buffers_set == {"scratch"}
    fresh = Parameter(torch.zeros(4, 3))
    new.first._parameters["weight"] = fresh
    assert new.first.weight is fresh
    x = torch.ones(1, 3)
    assert torch.equal(clone(net)(x), net(x))


def test_named_parameters_in_one_walk_and_step_by_step():
    """The usual walk and the one of classes with a `named_parameters` of their own: same names, same order, each once."""
    class Own(nn.Sequential):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            yield from super().named_parameters(prefix, recurse, remove_duplicate)

    shared = nn.Linear(2, 2)
    parts = [shared, nn.Sequential(nn.BatchNorm1d(2), shared, nn.Linear(2, 2, bias=False)), nn.ReLU()]
    plain, own = nn.Sequential(*parts), Own(*parts)
    plain.tied = own.tied = shared.weight
    for prefix in ("", "net"):
        names = [n for n, _ in plain.named_parameters(prefix)]
        lead = prefix + "." if prefix else ""
        assert names == [lead + n for n in ("tied", "0.bias", "1.0.weight", "1.0.bias", "1.2.weight")]
        assert [(n, id(p)) for n, p in own.named_parameters(prefix)] == [(n, id(p)) for n, p in plain.named_parameters(prefix)]
    assert [p is q for (_, p), q in zip(plain.named_parameters(), plain.parameters())] == [True] * 5
    assert len(list(plain.named_parameters(remove_duplicate=False))) > 5
    assert [n for n, _ in plain.named_parameters(recurse=False)] == ["tied"]


class Reduced(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.k = k

    def __reduce__(self):
        return Reduced, (self.k + 1,)


class Stated(nn.Module):
    def __getstate__(self):
        return {**super().__getstate__(), "one": {}, "two": {}}


def test_deep_copies_of_unusual_modules():
    """What the short way of `Module.__deepcopy__` leaves to copy.deepcopy, and what both must agree on."""
    assert copy.deepcopy(Reduced(1)).k == 2
    new = copy.deepcopy(Stated())
    assert new.one == {} == new.two and new.one is not new.two
    net = nn.Linear(2, 2)
    net.a = net.b = {}
    net.c, net.me, net.words, net.many = set(), [net], OrderedDict(), torch.ones(2)
    net.words.note = [1]
    both = copy.deepcopy([net, net.a, net])
    new = both[0]
    assert new.a is new.b is both[1] and new.a is not net.a and new.c is not net.c and both[2] is new
    assert new.me[0] is new and new.words.note == [1] and new.words.note is not net.words.note
    assert new.many is not net.many and new.many.tolist() == [1, 1]
    new.register_forward_hook(lambda *_: torch.zeros(1))
    assert new(torch.ones(2)).shape == (1,) and net(torch.ones(2)).shape == (2,)


def test_old_pickles_get_the_newer_fields():
    net = nn.Linear(2, 2)
    state = net.__getstate__()
    for key in list(state):
        if "hooks" in key:
            del state[key]
    new = nn.Linear.__new__(nn.Linear)
    new.__setstate__(state)
    new(torch.ones(2))
    assert new.weight is net.weight


def test_parameter():
    p = Parameter(torch.ones(2))
    assert p.requires_grad and isinstance(p, torch.Tensor) and p.is_leaf
    assert not Parameter(torch.ones(2), requires_grad=False).requires_grad
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert type(p + 1) is torch.Tensor and type(p.detach()) is torch.Tensor
    for q in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(q) is Parameter and torch.equal(p, q) and q.data_ptr() != p.data_ptr()
    with torch.no_grad():
        assert Parameter(torch.ones(1)).requires_grad
    with pytest.raises(TypeError):
        Parameter([1.0])
    with pytest.raises(RuntimeError):
        Parameter(torch.ones(2, dtype=torch.int64))


# ---- conversions and modes --------------------------------------------------------------------------


def test_conversions_keep_the_parameter_objects():
    net = Net()
    weight = net.first.weight
    net(torch.ones(1, 3)).sum().backward()
    assert net.double() is net and net.first.weight is weight
    assert weight.dtype == torch.float64 and weight.grad.dtype == torch.float64
    assert net.count.dtype == torch.int64
    assert net.to(torch.float16).first.weight.dtype == torch.float16
    assert net.to("cpu", torch.float32).first.weight.dtype == torch.float32
    assert net.to(torch.ones(1, dtype=torch.float64)).scale.dtype == torch.float64
    assert net.to(dtype=torch.bfloat16).scale.dtype == torch.bfloat16
    assert net.float().scale.dtype == torch.float32 and net.half().bfloat16().cpu() is net
    with pytest.raises(TypeError, match="only accepts floating point or complex dtypes"):
        net.to(torch.int64)
    assert net.requires_grad_(False).scale.requires_grad is False


def test_apply_train_eval_zero_grad():
    net, names = Net(), []
    net.apply(lambda m: names.append(type(m).__name__))
    assert names == ["Linear", "ReLU", "Linear", "Sequential", "Net"]
    assert net.eval() is net and not net.rest[0].training
    net.train()
    assert net.rest[0].training
    with pytest.raises(ValueError):
        net.train(1)
    net(torch.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.item() == 0
    net.zero_grad()
    assert net.scale.grad is None


def test_shared_parameters_are_listed_once():
    net = Holder()
    net.a, net.b = nn.Linear(2, 2), nn.Linear(2, 2)
    net.b.weight = net.a.weight
    assert len(list(net.parameters())) == 3
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4


def test_repr():
    assert repr(Net()) == (
        "Net(\n  (first): Linear(in_features=3, out_features=4, bias=True)\n  (rest): Sequential(\n    (0): ReLU()\n"
        "    (1): Linear(in_features=4, out_features=2, bias=True)\n  )\n)")
    assert repr(Holder()) == "Holder()"


def test_linear_in_the_other_spelling():
    layer = nn.Linear(input_size=3, output_size=5)
    assert tuple(layer.weight.shape) == (5, 3)
    for bad in ({}, {"in_features": 1, "input_size": 1, "out_features": 1}, {"in_features": 2}):
        with pytest.raises(TypeError):
            nn.Linear(**bad)


def test_data_parallel_is_the_module_here():
    net = nn.Linear(2, 2)
    wrapped = nn.DataParallel(net, device_ids=[0, 1])
    x = torch.ones(1, 2)
    assert torch.equal(wrapped(x), net(x)) and list(wrapped.state_dict()) == ["module.weight", "module.bias"]


class TestTrainingMode:
    def test_reaches_all_and_asks_those_with_a_way_of_their_own(self):
        class Frozen(nn.Linear):
            def train(self, mode=True):
                return super().train(False)

        class Marked(nn.ReLU):
            def __setattr__(self, name, value):
                super().__setattr__(name, value)
                if name == "training":
                    self.__dict__.setdefault("told", []).append(value)

        class Hidden(nn.Module):
            def __init__(self):
                super().__init__()
                self.kept, self.aside = nn.ReLU(), nn.ReLU()

            def children(self):
                return iter([self.kept])

        shared = nn.Dropout()
        net = nn.Sequential(Net(), Frozen(2, 2), Marked(), nn.ModuleList([shared, shared]), Hidden(), nn.Sequential())
        net.own = nn.ReLU()
        calls = []
        object.__setattr__(net.own, "train", calls.append)
        assert net.eval() is net and calls == [False]
        assert not any(m.training for m in net.modules() if m not in (net.own, net[4].aside)) and net[4].aside.training
        assert net.train() is net and calls == [False, True] and net[2].told[-2:] == [False, True]
        assert not net[1].training and shared.training and net[0].rest[1].training
        with pytest.raises(ValueError):
            net.train(1)

    def test_plain_values_do_not_hide_members(self):
        net = Net()
        for name in ("scale", "first", "count"):
            with pytest.raises(TypeError):
                setattr(net, name, 3)
        net.note = 1
        net.note = "two"
        assert net.note == "two" and nn.Sequential(nn.ReLU(), nn.Tanh())[-2].__class__ is nn.ReLU
        with pytest.raises(IndexError, match="index 2 is out of range"):
            nn.Sequential(nn.ReLU(), nn.Tanh())[2]
        with pytest.raises(AttributeError):
            nn.Sequential().__class__.__new__(nn.Sequential).x
