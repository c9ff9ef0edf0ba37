"""nn.utils: clipping, vectors, reparametrizations, packed sequences, functional calls, lazy layers."""

import copy
import math
import warnings

import pytest

import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.nn import utils
from rustorch_py.nn.utils import parametrizations, parametrize
from rustorch_py.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)


def with_grads(*grads):
    params = []
    for grad in grads:
        p = nn.Parameter(torch.zeros(len(grad)))
        p.grad = torch.tensor(grad)
        params.append(p)
    return params


def test_clip_grad_norm():
    params = with_grads([3.0], [4.0])
    total = utils.clip_grad_norm_(params, 1.0)
    assert total.item() == pytest.approx(5.0)
    assert [p.grad.item() for p in params] == pytest.approx([0.6, 0.8], rel=1e-4)
    params = with_grads([3.0, -4.0])
    assert utils.clip_grad_norm_(params, 100.0).item() == pytest.approx(5.0)
    assert params[0].grad.tolist() == [3.0, -4.0]
    assert utils.get_total_norm([p.grad for p in params], math.inf).item() == 4.0
    assert utils.clip_grad_norm_([], 1.0).item() == 0.0
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_(with_grads([math.inf]), 1.0, error_if_nonfinite=True)


def test_clip_grad_value():
    params = with_grads([3.0, -4.0, 0.5])
    utils.clip_grad_value_(params, 1.0)
    assert params[0].grad.tolist() == [1.0, -1.0, 0.5]


def test_parameter_vector():
    net = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(net.parameters())
    assert tuple(vector.shape) == (9,)
    utils.vector_to_parameters(torch.arange(9.0), net.parameters())
    assert net.weight.tolist() == [[0, 1], [2, 3], [4, 5]] and net.bias.tolist() == [6, 7, 8]
    with pytest.raises(TypeError):
        utils.vector_to_parameters([1.0], net.parameters())


def test_older_weight_norm():
    net = nn.Linear(3, 2)
    before = net.weight.detach().clone()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils.weight_norm(net)
    assert sorted(dict(net.named_parameters())) == ["bias", "weight_g", "weight_v"]
    assert torch.allclose(net.weight, before)
    net(torch.ones(1, 3)).sum().backward()
    assert net.weight_g.grad is not None and net.weight_v.grad is not None
    utils.remove_weight_norm(net)
    assert isinstance(net.weight, nn.Parameter) and torch.allclose(net.weight, before)
    with pytest.raises(ValueError):
        utils.remove_weight_norm(net)


def test_spectral_norms_make_the_largest_singular_value_one():
    torch.manual_seed(0)
    x = torch.randn(2, 5)
    old = utils.spectral_norm(nn.Linear(5, 4), n_power_iterations=30)
    old(x)
    new = parametrizations.spectral_norm(nn.Linear(5, 4), n_power_iterations=30)
    new(x)
    for layer in (old, new):
        w = layer.weight.detach()
        v = torch.ones(5)
        for _ in range(100):
            v = w.t().mv(w.mv(v))
            v = v / v.norm()
        assert w.mv(v).norm().item() == pytest.approx(1.0, abs=1e-3)
    assert set(old.state_dict()) == {"bias", "weight_orig", "weight_u", "weight_v"}
    copied = copy.deepcopy(new)
    assert torch.equal(copied.eval()(x), new.eval()(x))
    utils.remove_spectral_norm(old)
    assert set(old.state_dict()) == {"bias", "weight"}


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)

    def right_inverse(self, a):
        return a.triu()


def test_parametrize():
    net = nn.Linear(3, 3)
    parametrize.register_parametrization(net, "weight", Symmetric())
    assert parametrize.is_parametrized(net, "weight") and type(net).__name__ == "ParametrizedLinear"
    assert torch.equal(net.weight, net.weight.t())
    assert list(net.state_dict()) == ["bias", "parametrizations.weight.original"]
    net.weight = torch.eye(3)
    assert torch.equal(net.weight, torch.eye(3))
    net(torch.ones(1, 3)).sum().backward()
    assert net.parametrizations.weight.original.grad is not None
    with parametrize.cached():
        assert net.weight is net.weight
    twin = copy.deepcopy(net)
    assert torch.equal(twin.weight, net.weight)
    assert parametrize.type_before_parametrizations(net) is nn.Linear
    parametrize.remove_parametrizations(net, "weight")
    assert type(net) is nn.Linear and torch.equal(net.weight, torch.eye(3)) and isinstance(net.weight, nn.Parameter)
    with pytest.raises(ValueError):
        parametrize.register_parametrization(net, "nothing", Symmetric())


def test_parametrized_weight_norm_and_its_older_keys():
    net = parametrizations.weight_norm(nn.Linear(3, 2))
    assert list(net.state_dict()) == [
        "bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    old = nn.Linear(3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils.weight_norm(old)
    net.load_state_dict(old.state_dict())
    assert torch.allclose(net.weight, old.weight)


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_orthogonal_stays_orthogonal(kind, shape):
    torch.manual_seed(1)
    net = nn.Linear(shape[1], shape[0])
    parametrizations.orthogonal(net, orthogonal_map=kind)
    for _ in range(2):
        w = net.weight
        gram = w @ w.t() if shape[0] <= shape[1] else w.t() @ w
        assert torch.allclose(gram, torch.eye(min(shape)), atol=1e-4)
        net(torch.ones(1, shape[1])).pow(2).sum().backward()
        with torch.no_grad():
            original = net.parametrizations.weight.original
            original.sub_(0.1 * original.grad)


def test_fusion():
    conv, bn = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    bn(torch.randn(4, 3, 5, 5))
    conv.eval(), bn.eval()
    x = torch.randn(1, 2, 6, 6)
    assert torch.allclose(utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-5)
    linear, bn = nn.Linear(2, 3).eval(), nn.BatchNorm1d(3)
    bn(torch.randn(4, 3))
    bn.eval()
    x = torch.randn(4, 2)
    assert torch.allclose(utils.fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), atol=1e-5)


def test_functional_call():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    new = {"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(2)}
    out = utils.stateless.functional_call(net, new, torch.ones(1, 2))
    assert torch.equal(out[0], net[1].bias) and net[0].weight.abs().sum().item() > 0
    x = torch.zeros(2, 2, requires_grad=True)
    utils.stateless.functional_call(net, {"0.weight": x}, (torch.ones(1, 2),)).sum().backward()
    assert x.grad is not None and net[0].weight.grad is None
    with pytest.raises(RuntimeError, match="Missing key"):
        utils.stateless.functional_call(net, new, torch.ones(1, 2), strict=True)


def test_skip_init_leaves_the_random_stream():
    torch.manual_seed(3)
    before = torch.rand(1).item()
    torch.manual_seed(3)
    utils.skip_init(nn.Linear, 10, 10)
    assert torch.rand(1).item() == before


# ---- sequences ----------------------------------------------------------------------------------------


def sequences():
    return [torch.arange(0.0, 3).reshape(3, 1), torch.arange(10.0, 11).reshape(1, 1), torch.arange(20.0, 22).reshape(2, 1)]


def test_pad_and_pack():
    seqs = sequences()
    padded = pad_sequence(seqs, batch_first=True, padding_value=-1)
    assert padded.squeeze(-1).tolist() == [[0, 1, 2], [10, -1, -1], [20, 21, -1]]
    left = pad_sequence(seqs, batch_first=True, padding_side="left")
    assert left.squeeze(-1).tolist() == [[0, 1, 2], [0, 0, 10], [0, 20, 21]]
    assert [s.flatten().tolist() for s in unpad_sequence(padded, [3, 1, 2], batch_first=True)] == [[0, 1, 2], [10], [20, 21]]
    packed = pack_sequence(seqs, enforce_sorted=False)
    assert packed.data.flatten().tolist() == [0, 20, 10, 1, 21, 2] and packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [0, 2, 1] and packed.unsorted_indices.tolist() == [0, 2, 1]
    again, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    assert torch.equal(again, padded) and lengths.tolist() == [3, 1, 2]
    assert [s.flatten().tolist() for s in unpack_sequence(packed)] == [[0, 1, 2], [10], [20, 21]]
    wide, _ = pad_packed_sequence(packed, total_length=5)
    assert tuple(wide.shape) == (5, 3, 1)
    assert packed.double().data.dtype == torch.float64 and packed.to("cpu") is packed
    for lengths in ([1, 3, 2], [3, 2, 0], [3, 2], [4, 2, 1]):
        with pytest.raises(RuntimeError):
            pack_padded_sequence(padded, lengths, batch_first=True)
    with pytest.raises(ValueError):
        pad_packed_sequence(packed, total_length=2)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_runs_equal_runs_of_each_sequence(kind, bidirectional):
    torch.manual_seed(0)
    net = getattr(nn, kind)(1, 4, num_layers=2, bidirectional=bidirectional)
    seqs = sequences()
    packed, state = net(pack_sequence(seqs, enforce_sorted=False))
    assert isinstance(packed, PackedSequence)
    outs, _ = pad_packed_sequence(packed)
    hidden = state[0] if kind == "LSTM" else state
    for i, s in enumerate(seqs):
        alone, last = net(s)
        last = last[0] if kind == "LSTM" else last
        assert torch.allclose(outs[: len(s), i], alone, atol=1e-6)
        assert torch.allclose(hidden[:, i], last, atol=1e-6)


def test_recurrent_checks():
    net = nn.LSTM(3, 4)
    with pytest.raises(ValueError):
        net(torch.ones(2))
    with pytest.raises(RuntimeError, match="Expected 3, got 5"):
        net(torch.ones(2, 1, 5))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \(1, 2, 4\), got \[1, 1, 4\]"):
        net(torch.ones(2, 2, 3), (torch.zeros(1, 1, 4), torch.zeros(1, 2, 4)))
    with pytest.raises(ValueError, match="dtype"):
        net(torch.ones(2, 1, 3, dtype=torch.float64))
    with pytest.raises(ValueError):
        nn.GRU(3, 4, dropout=2.0)
    assert len(net.all_weights[0]) == 4 and net.flatten_parameters() is None


# ---- lazy layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy, plain, args, shape", [
    ("LazyLinear", "Linear", (3,), (2, 5)),
    ("LazyConv1d", "Conv1d", (3, 2), (1, 4, 6)),
    ("LazyConv2d", "Conv2d", (3, 2), (1, 4, 6, 6)),
    ("LazyConv3d", "Conv3d", (3, 2), (1, 2, 4, 4, 4)),
    ("LazyConvTranspose2d", "ConvTranspose2d", (3, 2), (1, 4, 6, 6)),
    ("LazyBatchNorm1d", "BatchNorm1d", (), (3, 4)),
    ("LazyBatchNorm2d", "BatchNorm2d", (), (2, 4, 3, 3)),
    ("LazyInstanceNorm2d", "InstanceNorm2d", (), (2, 4, 3, 3)),
])
def test_lazy_layers_become_plain_ones(lazy, plain, args, shape):
    layer = getattr(nn, lazy)(*args)
    assert layer.has_uninitialized_params()
    with pytest.raises(RuntimeError):
        layer.weight.shape  # noqa: B018
    assert repr(layer.weight) == "<UninitializedParameter>"
    out = layer(torch.randn(*shape))
    assert type(layer) is getattr(nn, plain) and not layer._forward_pre_hooks
    assert torch.equal(layer.eval()(torch.zeros(*shape)), layer(torch.zeros(*shape))) and out.requires_grad
    assert isinstance(layer.weight, nn.Parameter)


def test_lazy_layers_take_shapes_from_a_state_dict():
    full = nn.Linear(5, 3)
    lazy = nn.LazyLinear(3)
    lazy.load_state_dict(full.state_dict())
    x = torch.ones(1, 5)
    assert torch.equal(lazy(x), full(x)) and lazy.in_features == 5
