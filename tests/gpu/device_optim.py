"""Optimizers, clipping and loss scaling on the device: the CPU's numbers, a launch a list, nothing waited for."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.cuda import _backend

assert rt.cuda.is_available()
rng = np.random.default_rng(0)
SHAPES = [(5, 3), (17,), (), (130, 129)]
METHODS = {
    "SGD": [dict(lr=0.1), dict(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)], "Adam": [dict(lr=0.01), dict(lr=0.01, amsgrad=True, weight_decay=0.1)],
    "AdamW": [dict(lr=0.01)], "RMSprop": [dict(lr=0.01, momentum=0.5, centered=True), dict(lr=0.01)], "Adagrad": [dict(lr=0.1, lr_decay=0.01)],
    "Adamax": [dict(lr=0.01)], "NAdam": [dict(lr=0.01)], "RAdam": [dict(lr=0.05)], "Adadelta": [dict(lr=1.0)], "ASGD": [dict(lr=0.1)], "Rprop": [dict(lr=0.1)],
}
CASES = [(name, options) for name, sets in METHODS.items() for options in sets]


def parameters(device, dtype=rt.float32):
    rng = np.random.default_rng(1)
    return [rt.from_numpy(np.asarray(rng.standard_normal(s))).to(dtype).to(device).requires_grad_() for s in SHAPES]


def give_gradients(params, step, dtype=rt.float32):
    rng = np.random.default_rng(100 + step)
    for p in params:
        p.grad = rt.from_numpy(np.asarray(rng.standard_normal(p.shape))).to(dtype).to(p.device)


@pytest.mark.parametrize("name, options", CASES, ids=[f"{n}{i}" for i, (n, _) in enumerate(CASES)])
def test_steps_are_the_cpus(name, options):
    results = []
    for device in ("cpu", "cuda"):
        params = parameters(device)
        optimizer = getattr(rt.optim, name)(params, **options)
        for step in range(8):
            give_gradients(params, step)
            before = _backend.launches() if device == "cuda" else 0
            optimizer.step()
        if device == "cuda" and name != "ASGD":                       # whose numbers of a step lie on the device
            assert _backend.launches() - before == 1                  # one launch for the list
        results.append([p.detach().cpu().numpy() for p in params])
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_the_first_step_is_one_launch_too():
    params = [rt.nn.Parameter(rt.ones(5, device="cuda")) for _ in range(3)]
    give_gradients(params, 0)
    optimizer = rt.optim.AdamW(params, lr=0.01)
    before = _backend.launches()
    optimizer.step()
    assert _backend.launches() - before <= 2 * len(params) + 1            # zeros of the state, and the step


def test_parameters_that_packs_do_not_fit():
    results = []
    for device in ("cpu", "cuda"):
        room = rt.linspace(-1, 1, 5010).to(device)
        params = [room[1:4099].detach().requires_grad_(), room[4100:4107].detach().requires_grad_()]
        optimizer = rt.optim.AdamW(params, lr=0.01)
        for step in range(3):
            give_gradients(params, step)
            optimizer.step()
        assert rt.nn.utils.clip_grad_norm_(params, 1e9).item() == pytest.approx(64.0, rel=0.1)
        results.append(room.cpu().numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Adamax", "RAdam", "Adadelta"])
def test_capturable_counts_on_the_device(name):
    results = []
    for device, more in (("cpu", {}), ("cuda", {} if name == "SGD" else {"capturable": True})):
        if name == "Adagrad":
            more = {}
        params = parameters(device)
        optimizer = getattr(rt.optim, name)(params, lr=0.05, **more)
        for step in range(7):
            give_gradients(params, step)
            optimizer.step()
        if more:
            assert all(optimizer.state[p]["step"].is_cuda and optimizer.state[p]["step"].item() == 7 for p in params)
        results.append([p.detach().cpu().numpy() for p in params])
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_sixteen_bits_many_parameters_and_fused():
    results = []
    for device in ("cpu", "cuda"):
        params = parameters(device, rt.bfloat16)
        optimizer = rt.optim.AdamW(params, lr=0.01)
        for step in range(3):
            give_gradients(params, step, rt.bfloat16)
            optimizer.step()
        results.append([p.detach().float().cpu().numpy() for p in params])
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-2)
    params = [rt.full((3,), float(i), device="cuda", requires_grad=True) for i in range(500)]
    optimizer = rt.optim.SGD(params, lr=1.0, fused=True)
    for p in params:
        p.grad = rt.ones_like(p)
    before = _backend.launches()
    optimizer.step()
    assert _backend.launches() - before == 2 and [p[0].item() for p in params] == [i - 1 for i in range(500)]


def test_clipping():
    results = []
    for device in ("cpu", "cuda"):
        params = parameters(device)
        give_gradients(params, 0)
        total = rt.nn.utils.clip_grad_norm_(params, 1.5)
        assert total.device.type == device
        results.append([total.item()] + [p.grad.cpu().numpy() for p in params])
    for got, want in zip(results[1], results[0]):
        np.testing.assert_allclose(got, want, rtol=1e-5)
    again = rt.nn.utils.clip_grad_norm_(params, 100.0, norm_type=float("inf"))
    assert abs(again.item() - max(p.grad.abs().max().item() for p in params)) < 1e-6
    rt.nn.utils.clip_grad_value_(params, 0.01)
    assert max(p.grad.abs().max().item() for p in params) <= 0.0101


def test_loss_scaling():
    model = rt.nn.Linear(4, 3).cuda()
    optimizer = rt.optim.SGD(model.parameters(), lr=0.1)
    scaler = rt.amp.GradScaler("cuda", init_scale=8.0, growth_interval=2)
    x = rt.ones(2, 4, device="cuda")
    before = model.weight.detach().clone()
    for step in range(2):
        optimizer.zero_grad()
        scaler.scale(model(x).sum()).backward()
        scaler.unscale_(optimizer)
        assert rt.allclose(model.weight.grad, rt.full_like(model.weight, 2.0))
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 16.0 and rt.allclose(model.weight, before - 0.4, atol=1e-5)
    optimizer.zero_grad()
    scaler.scale((model(x) * float("inf")).sum()).backward()
    kept = model.weight.detach().clone()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 8.0 and rt.equal(model.weight, kept)


def test_autocast():
    a, b = rt.randn(4, 5, device="cuda"), rt.randn(5, 3, device="cuda")
    with rt.autocast("cuda"):
        assert (a @ b).dtype == rt.float16 and (a @ b).softmax(1).dtype == rt.float32
        assert rt.get_autocast_dtype("cuda") == rt.float16
    with rt.autocast("cuda", dtype=rt.bfloat16):
        out = rt.nn.functional.linear(a, b.t())
        assert out.dtype == rt.bfloat16 and rt.nn.functional.mse_loss(out, out).dtype == rt.float32
        assert (rt.randn(4, 5) @ rt.randn(5, 3)).dtype == rt.float32           # the CPU's is another switch
    weight = b.clone().requires_grad_()
    with rt.autocast("cuda", dtype=rt.bfloat16):
        (a @ weight).sum().backward()
    assert weight.grad.dtype == rt.float32


def test_lists():
    xs = [rt.ones(3, device="cuda"), rt.full((2, 2), 2.0, device="cuda")]
    rt._foreach_mul_(xs, 3.0)
    assert [x.sum().item() for x in xs] == [9.0, 24.0]
    assert [round(n.item(), 4) for n in rt._foreach_norm(xs)] == [round(27 ** 0.5, 4), 12.0]
