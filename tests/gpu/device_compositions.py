"""Hand-written operators on the device: the compositions that stand in for them against the CPU's kernels, with gradients."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.tensor import _devices

assert rt.cuda.is_available()
F = rt.nn.functional


def made(*shape, seed=0):
    return rt.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


X, IMAGE, LOGITS = made(5, 7), made(3, 4, 5, 6), made(6, 5, seed=1)
TARGET, PIXELS = rt.tensor([0, 3, 1, 4, 2, 2]), rt.from_numpy(np.random.default_rng(2).integers(0, 4, (3, 5, 6)))
W, B, CW = made(7, seed=3), made(7, seed=4), made(4, seed=5).abs()

CASES = {
    "softmax": (lambda x: x.softmax(1), X), "log_softmax": (lambda x: F.log_softmax(x, 0), X),
    "logsumexp": (lambda x: x.logsumexp((0, 1)), X), "logsumexp keepdim": (lambda x: x.logsumexp(1, keepdim=True), X),
    "var": (lambda x: x.var(), X), "std": (lambda x: x.std(1, keepdim=True), X), "var correction": (lambda x: x.var((0, 1), correction=0), X),
    "var_mean": (lambda x: rt.cat([t.reshape(-1) for t in rt.var_mean(x, 0)]), X), "std_mean": (lambda x: rt.cat([t.reshape(-1) for t in rt.std_mean(x, 1)]), X),
    "layer_norm": (lambda x: F.layer_norm(x, (7,), W.to(x.device), B.to(x.device)), X), "rms_norm": (lambda x: F.rms_norm(x, (7,), W.to(x.device)), X),
    "group_norm": (lambda x: F.group_norm(x, 2, CW.to(x.device), CW.to(x.device)), IMAGE), "instance_norm": (lambda x: F.instance_norm(x), IMAGE),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, CW.to(x.device), CW.to(x.device), training=True), IMAGE),
    "batch_norm eval": (lambda x: F.batch_norm(x, CW.to(x.device), CW.to(x.device) + 1, CW.to(x.device)), IMAGE),
    "max": (lambda x: x.max(1).values, X), "min": (lambda x: x.min(), X), "max keepdim": (lambda x: x.max(0, keepdim=True)[0], X),
    "maximum": (lambda x: rt.max(x, x * 2 - 1), X),
    "masked_fill": (lambda x: x.masked_fill(x > 0, -3.0), X), "tril": (lambda x: x.tril(1), X), "triu": (lambda x: x.triu(-1), X),
    "repeat": (lambda x: x.repeat(2, 1, 3), X), "tile": (lambda x: x.tile((2,)), X),
    "cross_entropy": (lambda x: F.cross_entropy(x, TARGET.to(x.device)), LOGITS),
    "cross_entropy smoothed": (lambda x: F.cross_entropy(x, TARGET.to(x.device), label_smoothing=0.1, ignore_index=2), LOGITS),
    "cross_entropy weighted": (lambda x: F.cross_entropy(x, PIXELS.to(x.device), CW.to(x.device)), IMAGE),
    "cross_entropy of shares": (lambda x: F.cross_entropy(x, LOGITS.softmax(1).to(x.device), reduction="sum"), LOGITS),
    "nll_loss": (lambda x: F.nll_loss(F.log_softmax(x, 1), PIXELS.to(x.device), reduction="none"), IMAGE),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    fn, x = CASES[name]
    results = []
    for device in ("cpu", "cuda"):
        leaf = x.clone().to(device).requires_grad_()
        out = fn(leaf)
        assert out.device.type == device
        out.backward(rt.linspace(-1, 1, out.numel()).reshape(out.shape).to(device))
        results.append((out.detach().cpu().numpy(), leaf.grad.cpu().numpy()))
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_places_of_extremes():
    x = X.clone()
    x[2, 3] = float("nan")
    for dim, keepdim in ((None, False), (0, False), (1, True), (-1, False)):
        for fn in (rt.argmax, rt.argmin):
            got = fn(x.cuda(), dim, keepdim)
            assert got.dtype == rt.int64 and rt.equal(got.cpu(), fn(x, dim, keepdim))
    ties = rt.tensor([[1, 3, 3], [2, 2, 0]])
    assert ties.cuda().argmax(1).cpu().tolist() == [1, 0] and ties.cuda().max(1).indices.cpu().tolist() == [1, 0]
    with pytest.raises(IndexError):
        rt.zeros(0, device="cuda").argmax()


def test_running_statistics():
    layers = [rt.nn.BatchNorm2d(4).to(device) for device in ("cpu", "cuda")]
    for layer in layers:
        layer(IMAGE.to(layer.weight.device))
    assert rt.allclose(layers[0].running_mean, layers[1].running_mean.cpu(), atol=1e-6)
    assert rt.allclose(layers[0].running_var, layers[1].running_var.cpu(), atol=1e-6)


def test_in_place_and_out():
    x = X.cuda()
    out = rt.empty(0, device="cuda")
    assert rt.softmax(x, 1, out=out) is out and rt.allclose(out.cpu(), X.softmax(1), atol=1e-6)
    y = x.clone()
    assert y.masked_fill_(x > 0, 0.0) is y and rt.equal(y.cpu(), X.masked_fill(X > 0, 0.0))


def test_what_is_missing_says_so():
    with pytest.raises(NotImplementedError, match="device|cuda"):
        _devices.run("no such kernel", X.cuda())


def test_every_composition_is_for_a_host_only_operator():
    assert _devices._composed and set(_devices._composed) <= _devices.HOST_ONLY
