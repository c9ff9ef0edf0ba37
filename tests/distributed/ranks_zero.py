"""Checks of ZeroRedundancyOptimizer: the steps of one process with the whole state."""
import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py import nn, optim
from rustorch_py.distributed.optim import ZeroRedundancyOptimizer as Zero
from rustorch_py.nn.parallel import DistributedDataParallel as DDP

R, N = dist.get_rank(), dist.get_world_size()


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def batch(step):
    g = torch.Generator().manual_seed(step)
    x, y = (torch.randn(2 * N, k, generator=g, dtype=torch.float64) for k in (6, 2))
    return (x, y), (x[2 * R:2 * R + 2], y[2 * R:2 * R + 2])


def step(module, optimizer, data, scheduler=None):
    optimizer.zero_grad()
    nn.functional.mse_loss(module(data[0]), data[1]).backward()
    optimizer.step()
    if scheduler:
        scheduler.step()


def close(a, b):
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-11, atol=1e-11)


def steps_as_one_process():
    for make, options in ((optim.Adam, {"lr": 0.02}), (optim.SGD, {"lr": 0.1, "momentum": 0.9}), (optim.AdamW, {"lr": 0.02, "weight_decay": 0.1})):
        for view in (False, True):
            alone, wrapped = model(), DDP(model())
            plain, zero = make(alone.parameters(), **options), Zero(wrapped.parameters(), make, parameters_as_bucket_view=view, **options)
            schedulers = [optim.lr_scheduler.StepLR(o, 2, 0.5) for o in (plain, zero)]
            for i in range(5):
                whole, part = batch(i)
                step(alone, plain, whole, schedulers[0])
                step(wrapped, zero, part, schedulers[1])
            close(wrapped.module, alone)
            assert zero.param_groups[0]["lr"] == plain.param_groups[0]["lr"]


def state_is_spread():
    wrapped = DDP(model())
    zero = Zero(wrapped.parameters(), optim.Adam, lr=0.01)
    step(wrapped, zero, batch(0)[1])
    mine = len(zero.optim.state) if zero.optim else 0
    counts = [None] * N
    dist.all_gather_object(counts, mine)
    assert sum(counts) == 6 and max(counts) <= 6 // N + 2 and not zero.state


def state_travels():
    for end in range(min(N, 2)):
        wrapped, alone = DDP(model()), model()
        zero, plain = Zero(wrapped.parameters(), optim.Adam, lr=0.01), optim.Adam(alone.parameters(), lr=0.01)
        for i in range(2):
            step(wrapped, zero, batch(i)[1])
            step(alone, plain, batch(i)[0])
        zero.consolidate_state_dict(to=end)
        box = [None]
        if R == end:
            box = [zero.state_dict()]
            ours, theirs = box[0], plain.state_dict()
            assert ours["state"].keys() == theirs["state"].keys() and ours["param_groups"] == theirs["param_groups"]
            for key, value in theirs["state"].items():
                torch.testing.assert_close(ours["state"][key]["exp_avg"], value["exp_avg"], rtol=1e-11, atol=1e-11)
        else:
            _checks.raises(RuntimeError, zero.state_dict, match="consolidate_state_dict")
        dist.broadcast_object_list(box, end)
        fresh = DDP(model())
        fresh.load_state_dict(wrapped.state_dict())
        again = Zero(fresh.parameters(), optim.Adam, lr=0.5)
        again.load_state_dict(box[0])
        assert again.param_groups[0]["lr"] == 0.01
        for i in range(2, 4):
            step(fresh, again, batch(i)[1])
            step(alone, plain, batch(i)[0])
        close(fresh.module, alone)


def groups_come_later():
    alone, wrapped = model(), DDP(model())
    first = [list(m[0].parameters()) for m in (alone, wrapped.module)]
    plain, zero = optim.Adam(first[0], lr=0.02), Zero(first[1], optim.Adam, lr=0.02)
    step(alone, plain, batch(0)[0])
    step(wrapped, zero, batch(0)[1])
    for o, m in ((plain, alone), (zero, wrapped.module)):
        o.add_param_group({"params": list(m[2].parameters()), "lr": 0.1})
    for i in range(1, 3):
        step(alone, plain, batch(i)[0])
        step(wrapped, zero, batch(i)[1])
    close(wrapped.module, alone)


def misuse():
    _checks.raises(ValueError, Zero, model().parameters(), optim.Adam, overlap_with_ddp=True, match="overlap")
    _checks.raises(TypeError, Zero, model().parameters(), "adam", match="optimizer_class")
    _checks.raises(ValueError, Zero, [], optim.Adam, match="empty")


CHECKS = [steps_as_one_process, state_is_spread, state_travels, groups_come_later, misuse]
