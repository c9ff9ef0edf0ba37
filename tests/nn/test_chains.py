"""Convolution, batch normalization and ReLU of a Sequential as one pass in evaluation: the numbers against their definition in float64, over
dtypes, memory orders, groups and instruction sets; and that every change to a module is seen."""

import copy
import itertools

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import nn
from rustorch_py.nn.modules import _call
from rustorch_py.tensor import _conv

RNG = np.random.default_rng(11)
TOL = {rt.float32: 2e-5, rt.float64: 1e-12, rt.bfloat16: 3e-2, rt.float16: 4e-3}


@pytest.fixture
def passes():
    """The results that were one pass, as (dimensions, normalized, cut)."""
    seen = []

    def spy(n, input, weight, bias, stride, padding, dilation, groups, mean, var, gamma, beta, eps, cut):
        out = _conv.normalized(n, input, weight, bias, stride, padding, dilation, groups, mean, var, gamma, beta, eps, cut)
        if out is not NotImplemented:
            seen.append((n, mean is not None, cut))
        return out

    def share(fused):
        _call.share_layers({nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}, {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}, nn.ReLU,
                           rt.Tensor, nn.Parameter, fused)

    share(spy)
    yield seen
    share(_conv.normalized)


def numbers(t):
    return t.detach().to(rt.float64).numpy()


def oracle(conv, x, norm, cut):
    """conv, norm and max(0, .) by their definitions, a tap at a time, in float64."""
    x, w = numbers(x), numbers(conv.weight)
    nd, groups = x.ndim - 2, conv.groups
    xp = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in conv.padding)])
    out = [(xp.shape[2 + d] - conv.dilation[d] * (w.shape[2 + d] - 1) - 1) // conv.stride[d] + 1 for d in range(nd)]
    y = np.zeros((len(x), len(w), *out))
    og, cg = len(w) // groups, w.shape[1]
    for tap in itertools.product(*map(range, w.shape[2:])):
        window = tuple(slice(t * dl, t * dl + (o - 1) * st + 1, st) for t, dl, o, st in zip(tap, conv.dilation, out, conv.stride))
        for k in range(groups):
            outs = slice(k * og, (k + 1) * og)
            y[:, outs] += np.einsum("nc...,oc->no...", xp[(slice(None), slice(k * cg, (k + 1) * cg), *window)], w[(outs, slice(None), *tap)])
    column = (-1,) + (1,) * nd
    if conv.bias is not None:
        y += numbers(conv.bias).reshape(column)
    if norm is not None:
        y = (y - numbers(norm.running_mean).reshape(column)) / np.sqrt(numbers(norm.running_var).reshape(column) + norm.eps)
        if norm.weight is not None:
            y = y * numbers(norm.weight).reshape(column)
        if norm.bias is not None:
            y = y + numbers(norm.bias).reshape(column)
    return np.maximum(y, 0) if cut else y


def filled(conv, norm):
    """Give the normalization statistics and weights that are no identity."""
    with rt.no_grad():
        for t, low in ((norm.running_mean, -1.0), (norm.running_var, 0.25), (norm.weight, -1.5), (norm.bias, -0.5)):
            if t is not None:
                t.copy_(rt.tensor(RNG.uniform(low, 2, len(t))))
    return nn.Sequential(conv, norm, nn.ReLU()).eval()


# input shape, output channels, kernel, stride, padding, dilation, groups: each of the products' ways
CASES = [
    ((2, 3, 9, 11), 7, (3, 3), (1, 1), (1, 1), (1, 1), 1),              # windows of padded planes
    ((2, 16, 5, 5), 24, (3, 3), (2, 2), (1, 1), (1, 1), 1),             # stored windows
    ((3, 32, 12, 12), 64, (3, 3), (1, 1), (1, 1), (1, 1), 1),           # Winograd
    ((2, 32, 14, 14), 32, (5, 5), (1, 1), (2, 2), (1, 1), 1),
    ((2, 40, 6, 6), 33, (3, 3), (1, 1), (1, 1), (1, 1), 1),             # channels in tiles
    ((2, 64, 9, 9), 48, (1, 1), (1, 1), (0, 0), (1, 1), 1),             # a plain product
    ((2, 64, 40, 40), 48, (1, 1), (1, 1), (0, 0), (1, 1), 1),           # by BLAS
    ((2, 20, 8, 8), 36, (1, 1), (2, 2), (0, 0), (1, 1), 1),             # pixels that are skipped
    ((2, 24, 10, 10), 24, (3, 3), (1, 1), (1, 1), (1, 1), 24),          # a channel a group
    ((2, 24, 9, 7), 24, (3, 3), (2, 1), (1, 1), (1, 1), 24),
    ((2, 20, 9, 9), 20, (5, 5), (1, 1), (2, 2), (1, 1), 10),            # two channels a group
    ((2, 32, 8, 8), 64, (3, 3), (1, 1), (2, 2), (2, 2), 4),
    ((1, 300, 4, 4), 17, (3, 3), (1, 1), (1, 1), (1, 1), 1),            # sums in several blocks
    ((2, 12, 33), 20, (5,), (2,), (2,), (1,), 2),
    ((2, 4, 5, 6, 7), 10, (3, 3, 3), (1, 2, 1), (1, 1, 1), (1, 1, 1), 2),
]


@pytest.mark.parametrize("last", [False, True], ids=["planes", "channels last"])
@pytest.mark.parametrize("dtype", [rt.float32, rt.float64, rt.bfloat16, rt.float16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers(case, dtype, last, level, passes):
    shape, cout, kernel, stride, padding, dilation, groups = case
    nd = len(shape) - 2
    conv = getattr(nn, f"Conv{nd}d")(shape[1], cout, kernel, stride, padding, dilation, groups)
    net = filled(conv, getattr(nn, f"BatchNorm{nd}d")(cout)).to(dtype)
    x = rt.tensor(RNG.standard_normal(shape)).to(dtype)
    if last and nd == 1:                              # signals whose channels are innermost go the images' way
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
        conv.weight = nn.Parameter(conv.weight.detach().transpose(1, 2).contiguous().transpose(1, 2))
    elif last:
        form = rt.channels_last if nd == 2 else rt.channels_last_3d
        x = x.contiguous(memory_format=form)
        net = net.to(memory_format=form)
    with rt.no_grad():
        for part, normalized, cut in ((net, True, True), (net[:2], True, False), (nn.Sequential(conv, nn.ReLU()), False, True)):
            passes.clear()
            got = part(x)
            assert passes == [(nd, normalized, cut)] and got.dtype == dtype
            want = oracle(conv, x, net[1] if normalized else None, cut)
            np.testing.assert_allclose(numbers(got), want, rtol=0, atol=TOL[dtype] * (1 + np.abs(want).max()))
            step = conv(x)                            # the memory order is that of the steps
            assert got.stride() == step.stride() and (not cut or float(got.min()) >= 0)


def test_nan_and_infinity_pass(level):
    for groups in (1, 8):
        conv = nn.Conv2d(8, 8, 3, padding=1, groups=groups)
        net = nn.Sequential(conv, nn.ReLU()).eval()
        x = rt.zeros(1, 8, 5, 6)
        x[0, :, 2, 2] = float("nan")
        with rt.no_grad():
            for a in (x, x.contiguous(memory_format=rt.channels_last), x.double()):
                got = net.to(a.dtype)(a)
                assert bool(got[0, :, 1:4, 1:4].isnan().all()) and not bool(got[0, :, 4].isnan().any())


def small(**bn):
    rt.manual_seed(3)
    net = filled(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6, **bn))
    return net, rt.randn(2, 4, 7, 7)


def by_steps(net, x):
    for module in net:
        x = module(x)
    return x


def test_statistics_without_weights_and_convolution_without_bias(passes):
    for affine, bias in itertools.product((False, True), repeat=2):
        net = filled(nn.Conv2d(4, 6, 3, bias=bias), nn.BatchNorm2d(6, affine=affine))
        x = rt.randn(2, 4, 7, 7)
        with rt.no_grad():
            rt.testing.assert_close(net(x), by_steps(net, x))
    assert len(passes) == 4


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"])
@pytest.mark.parametrize("how", ["in place", "data", "replaced", "loaded"])
def test_a_changed_tensor_is_seen(name, how, passes):
    net, x = small()
    with rt.inference_mode():
        before = net(x)
    module, _, key = name.partition(".")
    owner = net[int(module)]
    value = getattr(owner, key).detach() * 1.5 + 0.25
    with rt.no_grad():
        if how == "in place":
            getattr(owner, key).copy_(value)
        elif how == "data":
            getattr(owner, key).data = value
        elif how == "replaced":
            setattr(owner, key, nn.Parameter(value) if key in owner._parameters else value)
        else:
            net.load_state_dict({**net.state_dict(), name: value})
        got = net(x)
        rt.testing.assert_close(got, by_steps(net, x))
    assert not rt.equal(got, before) and len(passes) == 2


def test_settings_that_change_are_seen(passes):
    net, x = small()
    with rt.no_grad():
        for module, key, value in ((net[1], "eps", 0.5), (net[0], "stride", (2, 2)), (net[0], "padding", (0, 0)), (net[0], "dilation", (2, 2))):
            setattr(module, key, value)
            rt.testing.assert_close(net(x), by_steps(net, x))
        assert len(passes) == 4
        net[2] = nn.Identity()
        rt.testing.assert_close(net(x), by_steps(net, x))
        assert passes[-1] == (2, True, False)
        net[0] = nn.Conv2d(4, 6, 1)
        rt.testing.assert_close(net(x), by_steps(net, x))
        net.double()
        rt.testing.assert_close(net(x.double()), by_steps(net, x.double()))
    assert len(passes) == 7


def test_training_and_recording_take_single_steps(passes):
    net, x = small()
    net(x).sum().backward()                             # in evaluation mode, with gradients
    assert not passes and net[0].weight.grad is not None and net[1].weight.grad is not None
    net.train()
    mean = net[1].running_mean.clone()
    with rt.no_grad():
        net(x)                                          # the batch's own statistics, and the running ones follow
    assert not passes and not rt.equal(mean, net[1].running_mean) and int(net[1].num_batches_tracked) == 1
    net.eval()
    for p in net.parameters():
        p.requires_grad_(False)
    net(x)                                              # frozen: nothing to record
    assert len(passes) == 1
    x.requires_grad_()
    net(x).sum().backward()
    assert len(passes) == 1 and x.grad is not None
    net[1].weight.requires_grad_()
    net(x.detach()).sum().backward()
    assert len(passes) == 1 and net[1].weight.grad is not None


@pytest.mark.parametrize("which", [0, 1, 2])
def test_hooks_are_called(which, passes):
    net, x = small()
    seen = []
    with rt.no_grad():
        want = net(x)
        for register in (net[which].register_forward_hook, net[which].register_forward_pre_hook):
            handle = register(lambda module, *rest: seen.append(module))
            rt.testing.assert_close(net(x), want)
            handle.remove()
        assert seen == [net[which]] * 2
        handle = nn.modules.module.register_module_forward_hook(lambda module, args, out: seen.append(module))
        rt.testing.assert_close(net(x), want)
        handle.remove()
    assert seen[2:] == [*net, net]
    assert passes.count((2, True, True)) == 1


def test_other_forwards_are_called(passes):
    class Mine(nn.Conv2d):
        def forward(self, input):
            return super().forward(input) + 1

    class Scaled(nn.BatchNorm2d):
        def forward(self, input):
            return super().forward(input) * 2

    with rt.no_grad():
        for at, module in ((0, Mine(4, 6, 3, padding=1)), (1, Scaled(6).eval())):
            net, x = small()
            net[at] = module
            rt.testing.assert_close(net(x), by_steps(net, x))
        net, x = small()
        net[2].forward = lambda input: input * 3
        rt.testing.assert_close(net(x), by_steps(net, x))
        assert passes == [(2, True, False)]              # the ReLU's place is taken by its own forward
        net[0].forward = lambda input: rt.ones(2, 6, 7, 7)
        rt.testing.assert_close(net(x), by_steps(net, x))
    assert len(passes) == 1


def test_normalization_that_does_not_fit_is_refused_as_by_steps(passes):
    with rt.no_grad():
        for net in (nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(5)), nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm1d(6))):
            net.eval()
            for call in (net, lambda x: by_steps(net, x)):
                with pytest.raises((RuntimeError, ValueError)):
                    call(rt.randn(2, 4, 7, 7))
        net = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)).eval()
        with pytest.raises(ValueError, match="expected 4D input"):
            net(rt.randn(4, 7, 7))
        untracked = filled(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, track_running_stats=False))
        x = rt.randn(2, 4, 7, 7)
        rt.testing.assert_close(untracked(x), by_steps(untracked, x))
    assert not passes


def test_padding_modes_parametrizations_and_switches(passes):
    net, x = small()
    with rt.no_grad():
        net[0] = nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular")
        rt.testing.assert_close(net(x), by_steps(net, x))
        net[0] = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 3, padding="same"))
        rt.testing.assert_close(net(x), by_steps(net, x))
        net[0] = nn.Conv2d(4, 6, 3, padding="same")
        with rt.autocast("cpu", dtype=rt.bfloat16):
            assert net(x).dtype == rt.bfloat16
        rt.config.set_fast_convolution(False)
        try:
            assert rt.equal(net(x), by_steps(net, x))
        finally:
            rt.config.set_fast_convolution(True)
        assert not passes
        rt.testing.assert_close(net(x), by_steps(net, x))
    assert len(passes) == 1


def test_modes_and_profiles_see_single_steps(passes):
    net, x = small()
    seen = []

    class Log(rt.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with rt.no_grad():
        with Log():
            got = net(x)
        assert {rt.conv2d, rt.relu} <= set(seen)
        with rt.profiler.profile():
            net(x)
        assert not passes
        rt.testing.assert_close(net(x), got)              # a class that overrides functions was made: no reason to take single steps
    assert len(passes) == 1


def test_copies_and_state_know_nothing_of_it(passes):
    net, x = small()
    keys = list(net.state_dict())
    with rt.no_grad():
        want = net(x)
        twin = copy.deepcopy(net)
        assert rt.equal(twin(x), want) and list(net.state_dict()) == keys
        empty = net(x[:0])
    assert empty.shape == (0, 6, 7, 7)
