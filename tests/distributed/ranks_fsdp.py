"""Checks of FullyShardedDataParallel: the curve of one process, with a share of the memory."""
from functools import partial

import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py import nn, optim
from rustorch_py.distributed.fsdp import FullyShardedDataParallel as FSDP, ModuleWrapPolicy, ShardingStrategy, size_based_auto_wrap_policy

R, N = dist.get_rank(), dist.get_world_size()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(7, 9), nn.LayerNorm(9), nn.Linear(9, 7)

    def forward(self, x):
        return x + self.b(self.norm(self.a(x)).tanh())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.blocks, self.last = nn.Linear(5, 7), nn.Sequential(Block(), Block()), nn.Linear(7, 5, bias=False)
        self.register_buffer("scale", torch.tensor(2.0))
        self.last.weight = nn.Parameter(self.last.weight)

    def forward(self, x):
        return self.last(self.blocks(self.first(x))) * self.scale


def net(seed=0):
    torch.manual_seed(seed)
    return Net().double()


def batch(step):
    g = torch.Generator().manual_seed(step)
    x, y = (torch.randn(2 * N, 5, generator=g, dtype=torch.float64) for _ in range(2))
    return (x, y), (x[2 * R:2 * R + 2], y[2 * R:2 * R + 2])


def step(module, optimizer, data, clip=None):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(module(data[0]), data[1])
    loss.backward()
    if clip:
        clip()
    optimizer.step()


def close(module, alone):
    state, expected = module.state_dict(), alone.state_dict()
    assert list(state) == list(expected) or set(state) == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=1e-10, atol=1e-10)


POLICIES = (None, ModuleWrapPolicy({Block}), partial(size_based_auto_wrap_policy, min_num_params=60))


def trains_as_one_process():
    for strategy in ShardingStrategy:
        for policy in POLICIES:
            alone, model = net(), FSDP(net(seed=R), sharding_strategy=strategy, auto_wrap_policy=policy, sync_module_states=True)
            assert len(FSDP.fsdp_modules(model)) >= (3 if policy else 1)
            optimizers = [optim.Adam(m.parameters(), 0.02) for m in (alone, model)]
            for i in range(4):
                step(alone, optimizers[0], batch(i)[0], lambda: nn.utils.clip_grad_norm_(alone.parameters(), 0.5))
                step(model, optimizers[1], batch(i)[1], lambda: model.clip_grad_norm_(0.5))
            close(model, alone)


def memory_is_shared_out():
    model = FSDP(net(), auto_wrap_policy=POLICIES[1])
    whole, mine = sum(p.numel() for p in net().parameters()), sum(p.numel() for p in model.parameters())
    assert whole / N <= mine <= whole / N + 3
    units = [m._unit for m in FSDP.fsdp_modules(model)]
    model(batch(0)[1][0]).sum().backward()
    assert all(unit.whole is None for unit in units) and all(p.grad.shape == p.shape for p in model.parameters())
    assert not hasattr(model.module.first, "weight")


def gradients_add_up_and_graphs_repeat():
    alone, model = net(), FSDP(net(), auto_wrap_policy=POLICIES[1])
    for i in range(2):
        (whole, part) = batch(i)
        nn.functional.mse_loss(alone(whole[0]), whole[1]).backward()
        nn.functional.mse_loss(model(part[0]), part[1]).backward()
    loss = nn.functional.mse_loss(model(part[0]), part[1])
    loss.backward(retain_graph=True)
    loss.backward()
    for _ in range(2):
        nn.functional.mse_loss(alone(whole[0]), whole[1]).backward()
    for m, o in ((alone, optim.SGD(alone.parameters(), 0.1)), (model, optim.SGD(model.parameters(), 0.1))):
        o.step()
    close(model, alone)
    with torch.no_grad():
        assert model(part[0]).shape == (2, 5)


def state_of_any_world():
    alone = net(seed=3)
    model = FSDP(net(), auto_wrap_policy=POLICIES[2])
    model.load_state_dict(alone.state_dict())
    close(model, alone)
    other = FSDP(net(seed=1))
    other.load_state_dict(model.state_dict())
    close(other, alone)
    wrong = dict(alone.state_dict())
    del wrong["first.weight"]
    _checks.raises(RuntimeError, model.load_state_dict, wrong, match="first.weight")
    close(model, alone)
    with FSDP.summon_full_params(model):
        for p, q in zip(model.module.first.parameters(), alone.first.parameters(), strict=True):
            torch.testing.assert_close(p.detach(), q.detach())
            torch.nn.init.zeros_(p)
    assert (model.state_dict()["first.weight"] == 0).all()


def tied_weights():
    def build():
        torch.manual_seed(2)
        m = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5)).double()
        m[2].weight = m[0].weight
        return m
    alone, model = build(), FSDP(build())
    optimizers = [optim.SGD(m.parameters(), 0.1) for m in (alone, model)]
    for i in range(3):
        step(alone, optimizers[0], batch(i)[0])
        step(model, optimizers[1], batch(i)[1])
    close(model, alone)


def misuse():
    _checks.raises(RuntimeError, FSDP, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), match="uniform dtype")
    _checks.raises(torch.DeviceError, FSDP, nn.Linear(2, 2), device_id=0, match="cuda")
    _checks.raises(ValueError, FSDP, nn.Linear(2, 2), cpu_offload=True, match="cpu_offload")


CHECKS = [trains_as_one_process, memory_is_shared_out, gradients_add_up_and_graphs_repeat, state_of_any_world, tied_weights, misuse]
