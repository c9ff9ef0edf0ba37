"""torch.fx: what tracing leaves behind, wrapped functions, folders, errors."""
import math
import pickle

import pytest

import rustorch_py as torch
import rustorch_py.nn.functional as F
from rustorch_py import fx, nn


@fx.wrap
def branches(x, k):
    return x * k if x.sum() > 0 else x


fx.wrap("len")


class Net(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.conv, self.bn, self.att = nn.Conv2d(3, c, 3, padding=1), nn.BatchNorm2d(c), nn.MultiheadAttention(c, 2, batch_first=True)
        self.ln, self.fc = nn.LayerNorm(c), nn.Linear(c, 4)

    def forward(self, x):
        y = F.max_pool2d(F.relu(self.bn(self.conv(x))), 2)
        b, c, h, w = y.shape
        z = y.flatten(2).transpose(1, 2)
        z = self.ln(z + self.att(z, z, z)[0])
        q = F.interpolate(z.view(b, h, w, c).permute(0, 3, 1, 2), scale_factor=2, mode="bilinear", align_corners=False)
        return F.softmax(self.fc(q.mean((2, 3))) * math.sqrt(2.0), dim=-1)


def test_traced_is_the_model():
    model = Net().eval()
    traced, x = fx.symbolic_trace(model), torch.randn(2, 3, 8, 8)
    assert torch.equal(traced(x), model(x))
    assert torch.equal(fx.Interpreter(traced).run(x), model(x))
    assert set(traced.state_dict()) == set(model.state_dict())
    traced(x).sum().backward()
    assert model.fc.weight.grad is not None


def test_wrapped_functions_are_nodes_and_come_back():
    traced = fx.symbolic_trace(lambda x: branches(x, 3) + len(x) + math.floor(x.size(0)))
    assert [n.target for n in traced.graph.nodes if n.op == "call_function"][:2] == [branches, len]
    assert traced(torch.ones(2)).tolist() == [7.0, 7.0]
    assert branches(torch.ones(1), 2).item() == 2 and len([1, 2]) == 2 and math.floor(2.5) == 2


def test_nothing_of_tracing_stays():
    slot = nn.Module.__dict__["__call__"]
    with pytest.raises(ValueError, match="control flow"):
        fx.symbolic_trace(lambda x: 1 if x > 0 else 2)
    assert nn.Module.__dict__["__call__"] is slot
    import gc
    gc.collect()
    assert fx.proxy._alive == 0


def test_wrap_only_at_the_top():
    with pytest.raises(NotImplementedError, match="top level"):
        fx.wrap("len")


def test_folder(tmp_path, monkeypatch):
    model = Net().eval()
    traced, x = fx.symbolic_trace(model), torch.randn(1, 3, 4, 4)
    traced.to_folder(tmp_path / "folder_of_fx", "Again")
    monkeypatch.syspath_prepend(str(tmp_path))
    from folder_of_fx import Again
    assert torch.equal(Again().eval()(x), model(x))


def test_table(capsys):
    fx.symbolic_trace(lambda x: x + 1).graph.print_tabular()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["opcode", "-------------", "placeholder", "call_function", "output"]


def test_arguments_of_nodes_are_not_changed_in_place():
    graph = fx.symbolic_trace(lambda x: torch.cat([x, x])).graph
    cat = next(n for n in graph.nodes if n.op == "call_function")
    with pytest.raises(NotImplementedError):
        cat.args[0].append(1)
    x = cat.all_input_nodes[0]
    cat.args = ([x],)
    assert x.users == {cat: None} and cat.args == ([x],)
    with pytest.raises(RuntimeError, match="before it has been defined"):
        x.prev.append(cat)
        x.prepend(cat)
        graph.lint()


def test_modules_are_removed():
    traced = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    relu = next(n for n in traced.graph.nodes if n.target == "1")
    relu.replace_all_uses_with(relu.args[0])
    traced.graph.erase_node(relu)
    traced.delete_all_unused_submodules()
    traced.recompile()
    assert [name for name, _ in traced.named_modules()] == ["", "0"] and traced(torch.ones(1, 2)).shape == (1, 2)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.w = nn.Linear(2, 2), nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.fc(x).relu() + self.w.exp().sum()


def test_a_trace_within_a_trace():
    class Nested(fx.Tracer):
        def call_module(self, m, forward, args, kwargs):
            if isinstance(m, Scaled):
                self.inner = fx.Tracer().trace(m)
                return self.create_proxy("call_module", self.path_of_module(m), args, kwargs)
            return super().call_module(m, forward, args, kwargs)
    before = dict(vars(nn.Module))
    model, tracer = nn.Sequential(Scaled(), nn.Linear(2, 2)), Nested()
    graph = tracer.trace(model)
    assert [n.target for n in graph.nodes if n.op == "call_module"] == ["0", "1"]
    assert [n.target for n in tracer.inner.nodes if n.op in ("call_module", "get_attr")] == ["fc", "w"]
    assert {name: value for name, value in vars(nn.Module).items() if before.get(name) is not value} == {} and not fx._symbolic_trace.is_fx_tracing()
    x = torch.randn(3, 2)
    assert torch.equal(fx.GraphModule(model, graph)(x), model(x)) and torch.equal(fx.GraphModule(model[0], tracer.inner)(x), model[0](x))


def test_a_pickle_keeps_what_is_computed_of_parameters():
    traced, x = fx.symbolic_trace(Scaled()), torch.randn(3, 2)
    loaded = pickle.loads(pickle.dumps(traced))
    assert torch.equal(loaded(x), traced(x)) and set(loaded.state_dict()) == {"fc.weight", "fc.bias", "w"}
    loaded(x).sum().backward()
    assert torch.equal(loaded.w.grad, loaded.w.exp().detach() * 6)
