"""Checks of fully_shard, alone, with copies, with tensor parallel: the curve of one process, with a share of the memory."""
import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
import rustorch_py.distributed.checkpoint as dcp
import rustorch_py.nn.functional as F
from ranks_checkpoint import folder
from ranks_tensor import GPT, PLAN
from rustorch_py import nn, optim
from rustorch_py.distributed.checkpoint.state_dict import get_model_state_dict, get_optimizer_state_dict, set_state_dict
from rustorch_py.distributed.device_mesh import init_device_mesh
from rustorch_py.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard, register_fsdp_forward_method
from rustorch_py.distributed.tensor import DTensor, Replicate, Shard
from rustorch_py.distributed.tensor.parallel import parallelize_module

R, N = dist.get_rank(), dist.get_world_size()
LINE = init_device_mesh("cpu", (N,), mesh_dim_names=("dp",))
GRID = init_device_mesh("cpu", (N // 2, 2), mesh_dim_names=("dp", "tp")) if N % 2 == 0 else None


def gpt(seed=1):
    torch.manual_seed(seed)
    return GPT().double()


def sharded(seed=1, mesh=None, model=None, **options):
    model = model or gpt(seed)
    for block in model.blocks:
        fully_shard(block, mesh=mesh, **options)
    return fully_shard(model, mesh=mesh, **options)


def words(i, group, size):
    g = torch.Generator().manual_seed(i)
    x = torch.randint(0, 13, (2 * size, 6), generator=g)
    return x, x[2 * group:2 * group + 2]


def loss_of(model, x):
    return F.cross_entropy(model(x).flatten(0, 1), x.roll(-1, 1).flatten())


def compare(model, group=R, size=N, steps=4):
    """Train the model on this rank's share, and a plain one on all; both must end alike. Returns the optimizers."""
    alone = gpt()
    opts = [optim.AdamW(m.parameters(), 0.01) for m in (alone, model)]
    for i in range(steps):
        for m, o, x in zip((alone, model), opts, words(i, group, size)):
            o.zero_grad()
            loss_of(m, x).backward()
            total = nn.utils.clip_grad_norm_(m.parameters(), 0.5)
            o.step()
            if m is alone:
                expected = float(total)
        assert abs(float(total) - expected) < 1e-9
    same(model, alone)
    return opts


def same(model, alone, tight=1e-9):
    state, expected = model.state_dict(), alone.state_dict()
    assert list(state) == list(expected)
    for key, value in expected.items():
        got = state[key]
        torch.testing.assert_close((got.full_tensor() if isinstance(got, DTensor) else got).detach(), value.detach(), rtol=tight, atol=tight, msg=key)


def trains_as_one_process():
    for options in ({}, {"reshard_after_forward": False}, {"reshard_after_forward": True}, {"shard_placement_fn": lambda p: Shard(p.dim() - 1)},
                    {"reshard_after_forward": N}, {"offload_policy": CPUOffloadPolicy()}):
        compare(sharded(mesh=LINE, **options))


def smaller_groups_keep_what_backward_needs():
    if N != 4:
        _checks.raises(ValueError, fully_shard, nn.Linear(2, 2), reshard_after_forward=N + 1, match=f"a factor of {N}")
        return
    model = sharded(mesh=LINE, reshard_after_forward=2)
    loss = loss_of(model, words(0, R, N)[1])
    units = [m._fsdp_unit for m in model.modules() if isinstance(m, FSDPModule)]
    assert all(u.kept.numel() == -(-u.total // 2) and dist.get_process_group_ranks(u.small) == [R // 2 * 2, R // 2 * 2 + 1] for u in units)
    loss.backward()
    assert all(u.kept is None and u.whole is None for u in units)
    compare(sharded(mesh=LINE, reshard_after_forward=2))
    model = sharded(mesh=LINE)
    model.set_reshard_after_forward(2)
    compare(model)


def memory_is_shared_out():
    model = sharded(reshard_after_forward=True)
    assert isinstance(model, FSDPModule) and isinstance(model, GPT) and type(model).__name__ == "FSDPGPT"
    whole = sum(p.numel() for p in gpt().parameters())
    mine = sum(p._local_tensor.numel() for p in model.parameters())
    assert mine <= whole / N + 40 * N and all(p.placements == (Shard(0),) and p.is_leaf for p in model.parameters())
    loss = loss_of(model, words(0, R, N)[1])
    assert "weight" not in model.head.__dict__ and all(m._fsdp_unit.whole is None for m in model.modules() if isinstance(m, FSDPModule))
    loss.backward()
    assert all(m._fsdp_unit.whole is None for m in model.modules() if isinstance(m, FSDPModule))
    assert all(isinstance(p.grad, DTensor) and p.grad.placements == (Shard(0),) for p in model.parameters())
    with torch.no_grad():
        assert not model(words(0, R, N)[1]).requires_grad
    model.unshard()
    assert model._fsdp_unit.ready is not None
    model(words(0, R, N)[1])
    assert model._fsdp_unit.ready is None
    model.unshard(async_op=True).wait()
    model.reshard()


def gradients_add_up():
    alone, model = gpt(), sharded()
    for i in range(3):
        model.set_requires_gradient_sync(i == 2)
        a, b = words(i, R, N)
        loss_of(alone, a).backward()
        loss_of(model, b).backward()
        assert (next(model.parameters()).grad is None) == (i < 2)
    for p, q in zip(alone.parameters(), model.parameters()):
        torch.testing.assert_close(q.grad.full_tensor(), p.grad, rtol=1e-9, atol=1e-10)
    model.zero_grad()
    loss = loss_of(model, b)
    loss.backward(retain_graph=True)
    loss.backward()


def copies_and_tensor_parallel():
    if GRID is None:
        return
    model = sharded(mesh=GRID)                          # a mesh of two dimensions: (copies, pieces)
    assert next(model.parameters()).placements == (Replicate(), Shard(0))
    compare(model)
    for options in ({}, {"reshard_after_forward": True}):
        model = sharded(mesh=GRID["dp"], model=parallelize_module(gpt(), GRID["tp"], PLAN), **options)
        assert model.blocks[0].up.weight.placements == (Shard(0), Shard(0)) and model.blocks[0].down.weight.placements == (Shard(1), Shard(0))
        assert model.blocks[0].up.weight._local_tensor.shape[0] == 96 // N
        opts = compare(model, GRID.get_local_rank("dp"), N // 2)
    with folder() as path:
        dcp.save({"m": get_model_state_dict(model), "o": get_optimizer_state_dict(model, opts[1])}, checkpoint_id=path)
        other = sharded(seed=7, mesh=LINE)
        opt = optim.AdamW(other.parameters(), 0.01)
        state = {"m": get_model_state_dict(other), "o": get_optimizer_state_dict(other, opt)}
        dcp.load(state, checkpoint_id=path)
        set_state_dict(other, opt, model_state_dict=state["m"], optim_state_dict=state["o"])
    plain = gpt()
    plain.load_state_dict({k: v.full_tensor() for k, v in get_model_state_dict(model).items()})
    same(other, plain, 0)
    old, new = (get_optimizer_state_dict(m, o)["state"] for m, o in ((model, opts[1]), (other, opt)))
    for name in old:
        torch.testing.assert_close(old[name]["exp_avg_sq"].full_tensor(), new[name]["exp_avg_sq"].full_tensor(), rtol=0, atol=0)


def mixed_precision():
    seen = []

    class Probe(nn.Linear):
        def forward(self, x):
            seen.append((x.dtype, self.weight.dtype))
            return super().forward(x)
    torch.manual_seed(0)
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, torch.float32)
    model = nn.Sequential(Probe(6, 5), nn.Tanh(), Probe(5, 3))
    exact = [p.detach().clone() for p in model.parameters()]
    fully_shard(model[0], mp_policy=MixedPrecisionPolicy(torch.bfloat16))
    fully_shard(model, mp_policy=policy)
    out = model(torch.ones(4, 6) * (R + 1))
    out.sum().backward()
    assert out.dtype is torch.float32 and seen == [(torch.bfloat16, torch.bfloat16)] * 2
    for p, e in zip(model.parameters(), exact):
        assert p.dtype is torch.float32 and p.grad.dtype is torch.float32 and torch.equal(p.full_tensor().detach(), e)


def odd_modules():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.extra = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Parameter(torch.ones(3))
            self.b.weight = self.a.weight
            self.frozen = nn.Parameter(torch.arange(5.0), requires_grad=False)

        def forward(self, x):
            return self.b(self.a(x).tanh()) + self.extra.sum()

        def twice(self, x):
            return self.a(x) * 2
    torch.manual_seed(2)
    plain = Tied()
    torch.manual_seed(2)
    model = Tied()
    fully_shard(model, ignored_params={model.extra})
    assert model.a.weight is model.b.weight and not isinstance(model.extra, DTensor) and isinstance(model.frozen, DTensor)
    register_fsdp_forward_method(model, "twice")
    x = torch.ones(2, 4)
    for m in (plain, model):
        (m(x).sum() + m.twice(x).sum()).backward()
    torch.testing.assert_close(model.a.weight.grad.full_tensor(), plain.a.weight.grad)
    assert model.frozen.grad is None
    try:
        with torch.no_grad():
            model(torch.ones(2, 3))
    except RuntimeError:
        assert "weight" not in model.a.__dict__
    _checks.raises(RuntimeError, fully_shard, model, match="already")
    pair = Tied()
    fully_shard(pair.a)
    other = nn.Sequential(pair.a, Tied())
    fully_shard(other)
    tied = Tied()
    shared = tied.a.weight
    fully_shard(tied.a)
    tied.b.weight = shared
    _checks.raises(RuntimeError, fully_shard, tied, match="shared with a module")
    _checks.raises(TypeError, fully_shard, Tied(), reshard_after_forward="yes", match="bool")
    _checks.raises(TypeError, fully_shard, Tied(), offload_policy=3, match="OffloadPolicy")
    _checks.raises(RuntimeError, fully_shard, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), match="uniform")
    assert isinstance(OffloadPolicy(), OffloadPolicy)


CHECKS = [trains_as_one_process, smaller_groups_keep_what_backward_needs, memory_is_shared_out, gradients_add_up, copies_and_tensor_parallel, mixed_precision, odd_modules]
