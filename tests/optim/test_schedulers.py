"""Schedules: chained steps against closed forms, saving, warm-up chains, the contract of the base."""
import math
import warnings

import pytest

import rustorch_py as torch
from rustorch_py import optim
from rustorch_py.optim import lr_scheduler as s


def optimizer(lr=0.4, **options):
    return optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9, **options)


def rates(scheduler, opt, n):
    found = [opt.param_groups[0]["lr"]]
    for _ in range(n):
        opt.step()
        scheduler.step()
        found.append(opt.param_groups[0]["lr"])
        assert scheduler.get_last_lr() == [found[-1]]
    return found


FORMULAS = {
    "StepLR": (dict(step_size=3, gamma=0.5), lambda e: 0.5 ** (e // 3)),
    "MultiStepLR": (dict(milestones=[2, 2, 5], gamma=0.5), lambda e: 0.5 ** (2 * (e >= 2) + (e >= 5))),
    "ConstantLR": (dict(factor=0.25, total_iters=4), lambda e: 0.25 if e < 4 else 1.0),
    "LinearLR": (dict(start_factor=0.2, end_factor=0.8, total_iters=6), lambda e: 0.2 + 0.6 * min(e, 6) / 6),
    "ExponentialLR": (dict(gamma=0.8), lambda e: 0.8 ** e),
    "PolynomialLR": (dict(total_iters=5, power=2), lambda e: (1 - min(e, 5) / 5) ** 2),
    "CosineAnnealingLR": (dict(T_max=5), lambda e: (1 + math.cos(math.pi * e / 5)) / 2),
    "CosineAnnealingWarmRestarts": (dict(T_0=4), lambda e: (1 + math.cos(math.pi * (e % 4) / 4)) / 2),
    "LambdaLR": (dict(lr_lambda=lambda e: 1 / (e + 1)), lambda e: 1 / (e + 1)),
    "MultiplicativeLR": (dict(lr_lambda=lambda e: 0.9), lambda e: 0.9 ** e),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name):
    options, formula = FORMULAS[name]
    opt = optimizer()
    found = rates(getattr(s, name)(opt, **options), opt, 14)
    assert found == pytest.approx([0.4 * formula(e) for e in range(15)], abs=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_saved_schedules_go_on(name):
    options, _ = FORMULAS[name]
    opt = optimizer()
    scheduler = getattr(s, name)(opt, **options)
    rates(scheduler, opt, 5)
    twin = optimizer()
    other = getattr(s, name)(twin, **options)
    other.load_state_dict(scheduler.state_dict())
    twin.load_state_dict(opt.state_dict())
    assert rates(other, twin, 5) == rates(scheduler, opt, 5)


def test_states_travel_through_files(tmp_path):
    opt = optimizer()
    scheduler = s.MultiStepLR(opt, [2, 4])
    rates(scheduler, opt, 3)
    torch.save({"opt": opt.state_dict(), "scheduler": scheduler.state_dict()}, tmp_path / "f")
    saved = torch.load(tmp_path / "f")
    twin = optimizer()
    other = s.MultiStepLR(twin, [7])
    other.load_state_dict(saved["scheduler"])
    twin.load_state_dict(saved["opt"])
    assert rates(other, twin, 3) == rates(scheduler, opt, 3)


def test_warm_up_chain():
    opt = optimizer()
    chain = s.SequentialLR(opt, [s.LinearLR(opt, 0.25, total_iters=3), s.CosineAnnealingLR(opt, 4)], [3])
    expected = [0.1, 0.2, 0.3] + [0.2 * (1 + math.cos(math.pi * e / 4)) for e in range(5)]
    assert rates(chain, opt, 7) == pytest.approx(expected)


def test_effects_multiply():
    opt = optimizer()
    both = s.ChainedScheduler([s.ConstantLR(opt, 0.5, 2), s.ExponentialLR(opt, 0.5)])
    assert rates(both, opt, 3) == pytest.approx([0.2, 0.1, 0.1, 0.05])


def test_one_cycle():
    opt = optimizer()
    cycle = s.OneCycleLR(opt, max_lr=1.0, total_steps=10, pct_start=0.3, div_factor=10, final_div_factor=10)
    found = rates(cycle, opt, 9)
    assert found[0] == pytest.approx(0.1) and max(found) == pytest.approx(1.0) and found[-1] == pytest.approx(0.01)
    assert opt.param_groups[0]["momentum"] == pytest.approx(0.95)
    opt.step()
    cycle.step()
    opt.step()
    with pytest.raises(ValueError, match="Tried to step 11 times"):
        cycle.step()


def test_cyclic_moves_momentum_the_other_way():
    opt = optimizer()
    cycle = s.CyclicLR(opt, 0.1, 0.5, step_size_up=2)
    momenta = []
    found = [0.1]
    for _ in range(4):
        momenta.append(opt.param_groups[0]["momentum"])
        opt.step()
        cycle.step()
        found.append(opt.param_groups[0]["lr"])
    assert found == pytest.approx([0.1, 0.3, 0.5, 0.3, 0.1])
    assert momenta == pytest.approx([0.9, 0.85, 0.8, 0.85])


def test_plateau():
    opt = optimizer()
    plateau = s.ReduceLROnPlateau(opt, factor=0.5, patience=1, min_lr=0.15)
    found = []
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0, torch.tensor(1.0)):
        plateau.step(loss)
        found.append(opt.param_groups[0]["lr"])
    assert found == pytest.approx([0.4, 0.4, 0.4, 0.2, 0.2, 0.15, 0.15])
    assert plateau.best == 1.0


def test_swalr():
    from rustorch_py.optim.swa_utils import SWALR
    opt = optimizer()
    assert rates(SWALR(opt, 0.1, anneal_epochs=3, anneal_strategy="linear"), opt, 4) == pytest.approx(
        [0.4, 0.3, 0.2, 0.1, 0.1])


def test_resuming_needs_the_initial_rate():
    with pytest.raises(KeyError, match="initial_lr"):
        s.StepLR(optimizer(), 3, last_epoch=4)
    opt = optimizer()
    opt.param_groups[0]["initial_lr"] = 0.4
    assert s.CosineAnnealingLR(opt, 10, last_epoch=4).last_epoch == 5


def test_order_is_watched():
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        s.StepLR(optimizer(), 1).step()
    opt = optimizer()
    scheduler = s.StepLR(opt, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.step()
        scheduler.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(5)
    with pytest.raises(TypeError, match="is not an Optimizer"):
        s.StepLR(torch.zeros(1), 1)


def test_no_cycle_keeps_the_optimizer_alive():
    import gc
    import weakref
    gc.disable()
    try:
        opt = optimizer()
        scheduler = s.StepLR(opt, 1)
        opt.step()
        ref = weakref.ref(opt)
        del opt, scheduler
        assert ref() is None
    finally:
        gc.enable()


def test_averaged_model():
    from rustorch_py.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
    model = torch.nn.Linear(1, 1)
    mean, ema = AveragedModel(model), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    for value in (1.0, 2.0, 6.0):
        with torch.no_grad():
            model.weight.fill_(value)
        mean.update_parameters(model)
        ema.update_parameters(model)
    assert mean.module.weight.item() == pytest.approx(3.0) and ema.module.weight.item() == pytest.approx(3.75)
    assert mean.n_averaged.item() == 3
    assert mean(torch.ones(1, 1)).shape == (1, 1)
    with pytest.raises(ValueError, match=r"\[0,1\]"):
        get_ema_multi_avg_fn(1.5)
