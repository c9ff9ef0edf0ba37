"""What every method must do: go downhill, continue after saving, respect groups, refuse bad options."""
import copy
import math

import pytest

import rustorch_py as torch
from rustorch_py import optim

METHODS = {
    "SGD": dict(lr=0.05, momentum=0.5), "Adam": dict(lr=0.1), "AdamW": dict(lr=0.1), "RMSprop": dict(lr=0.03),
    "Adagrad": dict(lr=0.5), "Adadelta": dict(lr=2.0, rho=0.5), "Adamax": dict(lr=0.1), "NAdam": dict(lr=0.1),
    "RAdam": dict(lr=0.1), "ASGD": dict(lr=0.05), "Rprop": dict(lr=0.05), "Adafactor": dict(lr=0.2),
    "Muon": dict(lr=0.05, weight_decay=0.0),
}


def problem(seed=0):
    """A convex function of a matrix (and, but for Muon, of a vector), zero at its minimum."""
    torch.manual_seed(seed)
    matrix = torch.randn(3, 4, dtype=torch.float64).requires_grad_()
    vector = torch.randn(5, dtype=torch.float64).requires_grad_()
    goal = torch.randn(3, 4, dtype=torch.float64)

    def loss():
        return (matrix - goal).pow(2).sum() + 0.5 * (vector + 1).pow(2).sum()

    return [matrix, vector], loss


def run(optimizer, loss, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
    return loss().item()


@pytest.mark.parametrize("name", METHODS)
def test_goes_downhill(name):
    params, loss = problem()
    used = params[:1] if name == "Muon" else params
    first = loss().item()
    last = run(getattr(optim, name)(used, **METHODS[name]), loss, 200)
    rest = 0.5 * (params[1].detach() + 1).pow(2).sum().item() if name == "Muon" else 0.0
    assert last - rest < 0.05 * (first - rest)


@pytest.mark.parametrize("name", METHODS)
def test_goes_uphill_when_maximizing(name):
    if name == "Muon":
        with pytest.raises(TypeError):
            optim.Muon(problem()[0][:1], maximize=True)
        return
    params, loss = problem()
    first = loss().item()
    assert run(getattr(optim, name)(params, maximize=True, **METHODS[name]), loss, 5) > first


@pytest.mark.parametrize("name", METHODS)
def test_continues_after_saving(name, tmp_path):
    ends = []
    for interrupted in (False, True):
        params, loss = problem()
        used = params[:1] if name == "Muon" else params
        optimizer = getattr(optim, name)(used, **METHODS[name])
        run(optimizer, loss, 4)
        if interrupted:
            torch.save({"optimizer": optimizer.state_dict(), "params": used}, tmp_path / "state")
            saved = torch.load(tmp_path / "state")
            with torch.no_grad():
                for p, q in zip(used, saved["params"]):
                    p.copy_(q)
            optimizer = getattr(optim, name)(used, **METHODS[name])
            optimizer.load_state_dict(saved["optimizer"])
        run(optimizer, loss, 4)
        ends.append([x for p in used for x in p.flatten().tolist()])
    if name in ("NAdam", "ASGD"):      # loading casts their scalar state to the parameters' dtype, as in PyTorch
        assert ends[0] == pytest.approx(ends[1], rel=1e-7)
    else:
        assert ends[0] == ends[1]


@pytest.mark.parametrize("name", [n for n in METHODS if n != "Muon"])
def test_groups_have_their_own_rate(name):
    params, loss = problem()
    before = params[1].tolist()
    optimizer = getattr(optim, name)([{"params": params[:1]}, {"params": params[1:], "lr": 0.0}], **METHODS[name])
    run(optimizer, loss, 3)
    if name != "Rprop":      # its lr is only the first step's size, and 1e-6 the smallest
        assert params[1].tolist() == before
    late = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer.add_param_group({"params": [late]})
    late.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    assert late.tolist() != [0, 0]


@pytest.mark.parametrize("name", METHODS)
def test_deepcopy_is_independent(name):
    params, loss = problem()
    used = params[:1] if name == "Muon" else params
    optimizer = getattr(optim, name)(used, **METHODS[name])
    run(optimizer, loss, 2)
    twin = copy.deepcopy(optimizer)
    values = [p.tolist() for p in twin.param_groups[0]["params"]]
    run(optimizer, loss, 2)
    assert [p.tolist() for p in twin.param_groups[0]["params"]] == values


@pytest.mark.parametrize("name", [n for n in METHODS if n not in ("SGD", "Adagrad", "Adafactor", "Muon")])
def test_capturable_is_refused_on_the_cpu(name):
    params, loss = problem()
    optimizer = getattr(optim, name)(params, capturable=True)
    loss().backward()
    with pytest.raises(RuntimeError, match="capturable=True is for parameters on cuda"):
        optimizer.step()


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_on_rosenbrock(search):
    x = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = optim.LBFGS([x], lr=1.0 if search else 0.1, max_iter=100, line_search_fn=search)

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    for _ in range(1 if search else 20):
        optimizer.step(closure)
    assert x.tolist() == pytest.approx([1.0, 1.0], abs=1e-4)


def test_lbfgs_refusals():
    x = torch.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="per-parameter options"):
        optim.LBFGS([{"params": [x]}, {"params": [torch.zeros(1, requires_grad=True)]}])
    with pytest.raises(RuntimeError, match="only 'strong_wolfe'"):
        optim.LBFGS([x], line_search_fn="armijo").step(lambda: (x * x).sum())


BAD = {"lr": -1.0, "eps": -1.0, "weight_decay": -1.0, "betas": (1.0, 0.9), "momentum": -1.0, "rho": 2.0,
       "alpha": -1.0, "lr_decay": -1.0, "momentum_decay": -1.0, "etas": (1.1, 1.2)}


@pytest.mark.parametrize("name", METHODS)
def test_bad_options(name):
    import inspect
    method = getattr(optim, name)
    for option in inspect.signature(method).parameters:
        if option not in BAD or (name, option) in (("Muon", "eps"), ("ASGD", "alpha")):
            continue
        value = (-1.0, 1e-3) if (name, option) == ("Adafactor", "eps") else BAD[option]
        with pytest.raises(ValueError):
            method([torch.zeros(2, 2, requires_grad=True)], **{option: value})
    with pytest.raises(ValueError, match="1-element"):
        method([torch.zeros(2, 2, requires_grad=True)], lr=torch.tensor([0.1, 0.2]))


def test_muon_wants_matrices():
    with pytest.raises(ValueError, match="2D parameters"):
        optim.Muon([torch.zeros(3, requires_grad=True)])
    from rustorch_py.optim.muon import orthogonalize
    torch.manual_seed(0)
    x = orthogonalize(torch.randn(8, 4), (3.4445, -4.7750, 2.0315), 5, 1e-7).float()
    singular = torch.linalg.svdvals(x)
    assert x.shape == (8, 4) and 0.6 < singular.min().item() and singular.max().item() < 1.3


def test_asgd_keeps_the_average():
    p = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    optimizer = optim.ASGD([p], lr=0.1, t0=0, lambd=0.0)
    path = []
    for _ in range(6):
        p.grad = torch.ones_like(p)
        optimizer.step()
        path.append(p.item())
    assert optimizer.state[p]["ax"].item() == pytest.approx(math.fsum(path[1:]) / len(path[1:]), rel=1e-6)
