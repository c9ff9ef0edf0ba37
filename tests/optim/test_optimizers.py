"""Optimizers: updates against formulas written out in plain Python, and the contract of the base."""
import copy
import math
import pickle

import pytest

import rustorch_py as torch
from rustorch_py import optim


def parameter(values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def run(make, grads, start=(1.0, -2.0, 0.5)):
    p = parameter(list(start))
    optimizer = make([p])
    for grad in grads:
        p.grad = torch.tensor(grad, dtype=torch.float64)
        optimizer.step()
    return p.detach().tolist(), optimizer


GRADS = [[0.1 * (i + 1), -0.2 * i, 0.3 * (-1) ** i] for i in range(10)]


@pytest.mark.parametrize("momentum, dampening, nesterov", [(0, 0, False), (0.9, 0, False), (0.9, 0.5, False),
                                                           (0.8, 0, True)])
@pytest.mark.parametrize("weight_decay", [0, 0.1])
@pytest.mark.parametrize("maximize", [False, True])
def test_sgd_formula(momentum, dampening, nesterov, weight_decay, maximize):
    got, _ = run(lambda p: optim.SGD(p, 0.1, momentum, dampening, weight_decay, nesterov, maximize=maximize), GRADS)
    for i, x in enumerate((1.0, -2.0, 0.5)):
        buf = None
        for grad in GRADS:
            d = (-grad[i] if maximize else grad[i]) + weight_decay * x
            if momentum:
                buf = d if buf is None else momentum * buf + (1 - dampening) * d
                d = d + momentum * buf if nesterov else buf
            x -= 0.1 * d
        assert math.isclose(got[i], x, rel_tol=1e-12)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("weight_decay", [0, 0.1])
def test_adam_formula(decoupled, amsgrad, weight_decay):
    make = optim.AdamW if decoupled else optim.Adam
    got, _ = run(lambda p: make(p, 0.05, (0.8, 0.95), 1e-6, weight_decay, amsgrad), GRADS)
    for i, x in enumerate((1.0, -2.0, 0.5)):
        m = v = top = 0.0
        for step, grad in enumerate(GRADS, 1):
            d = grad[i]
            if decoupled:
                x *= 1 - 0.05 * weight_decay
            else:
                d += weight_decay * x
            m = 0.8 * m + 0.2 * d
            v = 0.95 * v + 0.05 * d * d
            top = max(top, v)
            denom = math.sqrt(top if amsgrad else v) / math.sqrt(1 - 0.95 ** step) + 1e-6
            x -= 0.05 / (1 - 0.8 ** step) * m / denom
        assert math.isclose(got[i], x, rel_tol=1e-10)


@pytest.mark.parametrize("fused", [None, True, False])
@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW])
def test_fused_and_plain_agree(make, fused):
    got, optimizer = run(lambda p: make(p, lr=0.01, fused=fused), GRADS)
    plain, _ = run(lambda p: make(p, lr=0.01, foreach=False), GRADS)
    assert got == pytest.approx(plain, rel=1e-12)
    assert optimizer.param_groups[0]["fused"] is fused


def test_repr_lists_groups_sorted():
    text = repr(optim.SGD([parameter([1.0])], lr=0.5))
    assert text.splitlines()[:4] == ["SGD (", "Parameter Group 0", "    dampening: 0", "    differentiable: False"]
    assert text.endswith("    weight_decay: 0\n)")


def test_state_dict_round_trip_continues_the_same_numbers():
    p, q = parameter([1.0, 2.0]), parameter([3.0])
    make = lambda: optim.Adam([{"params": [p]}, {"params": [q], "lr": 0.5}], lr=0.1)
    optimizer = make()
    for _ in range(3):
        p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
        optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    assert [g["params"] for g in state["param_groups"]] == [[0], [1]]
    assert set(state["state"][1]) == {"step", "exp_avg", "exp_avg_sq"}
    before = (p.detach().clone(), q.detach().clone())
    optimizer.step()
    wanted = (p.tolist(), q.tolist())
    with torch.no_grad():
        p.copy_(before[0])
        q.copy_(before[1])
    other = make()
    other.load_state_dict(state)
    other.step()
    assert (p.tolist(), q.tolist()) == wanted
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optim.Adam([p]).load_state_dict(state)
    with pytest.raises(ValueError, match="size of optimizer's group"):
        optim.Adam([{"params": [p, parameter([0.0])]}, {"params": [q]}]).load_state_dict(state)


def test_sgd_without_momentum_keeps_no_state():
    _, optimizer = run(lambda p: optim.SGD(p, lr=0.1), GRADS)
    assert optimizer.state_dict()["state"] == {}


def test_closure_and_zero_grad():
    p = parameter([2.0])
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert p.item() == pytest.approx(1.6)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert p.item() == pytest.approx(1.6)


def test_hooks_run_in_order_and_can_be_removed():
    p = parameter([1.0])
    p.grad = torch.ones_like(p)
    optimizer = optim.SGD([p], lr=0.1)
    seen = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("pre", o is optimizer, args[1:]))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("post")),
        optim.optimizer.register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("global pre")),
        optim.optimizer.register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append("global post")),
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("before")),
        optimizer.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, state: {k: v for k, v in state.items() if k != "extra"}),
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    optimizer.step()
    assert seen == ["global pre", ("pre", True, ()), "post", "global post"]
    state = optimizer.state_dict()
    assert state["extra"] == 1
    optimizer.load_state_dict(state)
    assert seen[4:] == ["before", "loaded"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert "extra" not in optimizer.state_dict()
    assert len(seen) == 6


def test_pre_hook_may_replace_arguments():
    p = parameter([1.0])
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7), {}))
    assert optimizer.step() == 7
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="new_args, new_kwargs"):
        optimizer.step()


def test_pickle_and_deepcopy():
    got, optimizer = run(lambda p: optim.AdamW(p, lr=0.1), GRADS)
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert repr(other) == repr(optimizer)
        p = other.param_groups[0]["params"][0]
        assert p.tolist() == got
        assert other.state[p]["step"].item() == 10
        p.grad = torch.ones_like(p)
        other.step()


@pytest.mark.parametrize("kwargs, text", [
    (dict(lr=-1.0), "Invalid learning rate"), (dict(lr=0.1, momentum=-1), "Invalid momentum"),
    (dict(lr=0.1, weight_decay=-1), "Invalid weight_decay"), (dict(lr=0.1, nesterov=True), "Nesterov momentum"),
])
def test_sgd_refuses(kwargs, text):
    with pytest.raises(ValueError, match=text):
        optim.SGD([parameter([1.0])], **kwargs)


def test_parameters_are_checked():
    p = parameter([1.0])
    with pytest.raises(TypeError, match="iterable of Tensors"):
        optim.SGD(p, lr=0.1)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([], lr=0.1)
    with pytest.raises(TypeError, match="can only optimize Tensors"):
        optim.SGD([1.0], lr=0.1)
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([p * 2], lr=0.1)
    with pytest.raises(TypeError, match="ordered collections"):
        optim.SGD([{"params": {p}}], lr=0.1)
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [p]}], lr=0.1)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([p, p], lr=0.1)
    with pytest.raises(RuntimeError, match="cannot be `True` together"):
        optim.Adam([p], fused=True, foreach=True)


def test_named_parameters():
    p, q = parameter([1.0]), parameter([2.0])
    optimizer = optim.SGD([("p", p), ("q", q)], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["p", "q"]
    with pytest.raises(ValueError, match="names are missing"):
        optim.SGD([("p", p), q], lr=0.1)
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": [parameter([3.0])]})


def test_tensor_lr_and_capturable():
    lr = torch.tensor(0.1, dtype=torch.float64)
    got, _ = run(lambda p: optim.Adam(p, lr=lr), GRADS)
    plain, _ = run(lambda p: optim.Adam(p, lr=0.1), GRADS)
    assert got == pytest.approx(plain, rel=1e-12)
    p = parameter([1.0])
    p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError, match="capturable"):
        optim.Adam([p], capturable=True).step()


def test_differentiable_step_lets_gradients_through():
    start = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    p = start.clone()
    p.retain_grad()
    p.grad = torch.tensor([0.5, -0.5], dtype=torch.float64)
    optimizer = optim.SGD([p], lr=lr, momentum=0.9, differentiable=True)
    optimizer.step()
    optimizer.step()
    p.sum().backward()
    assert start.grad.tolist() == [1.0, 1.0]
    assert lr.grad.item() == pytest.approx(0.0)      # the two gradients cancel in the sum


@pytest.mark.parametrize("name, options", [
    ("SGD", dict(momentum=0.9, nesterov=True, weight_decay=0.1)), ("Adam", {}), ("Adam", dict(amsgrad=True)),
    ("AdamW", {}), ("RMSprop", dict(momentum=0.9, centered=True)), ("Adagrad", {}), ("Adadelta", {}), ("Adamax", {}),
    ("NAdam", {}), ("RAdam", dict(betas=(0.6, 0.7))), ("ASGD", {}), ("Rprop", {})])
def test_recorded_steps_have_the_right_gradient(name, options):
    """d(result)/d(start), against central differences."""
    def result(value):
        start = torch.tensor([value, -2.0], dtype=torch.float64, requires_grad=True)
        p = start.clone()
        p.retain_grad()
        optimizer = getattr(optim, name)([p], lr=0.1, differentiable=True, **options)
        for i in range(4):
            p.grad = p * torch.tensor([0.3, 0.1 + i], dtype=torch.float64)
            optimizer.step()
        (grad,) = torch.autograd.grad((p * p).sum(), start)
        return (p * p).sum().item(), grad[0].item()

    h = 1e-5
    numeric = (result(1.0 + h)[0] - result(1.0 - h)[0]) / (2 * h)
    found = result(1.0)[1]
    if name == "SGD":
        # The first momentum is a detached copy of the gradient, as in PyTorch.
        assert math.isfinite(found)
    else:
        assert found == pytest.approx(numeric, rel=1e-4)
