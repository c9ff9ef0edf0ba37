"""Checks of DistributedDataParallel: on every number of ranks it trains as one process does on the whole batch."""
import _checks
import numpy as np
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py import nn, optim
from rustorch_py.distributed.algorithms import ddp_comm_hooks as hooks
from rustorch_py.nn.parallel import DistributedDataParallel as DDP
from rustorch_py.utils.checkpoint import checkpoint

R, N = dist.get_rank(), dist.get_world_size()


def data(seed=0, rows=3, features=6):
    """A global batch and this rank's part of it."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows * N, features, generator=g, dtype=torch.float64)
    y = torch.randn(rows * N, 2, generator=g, dtype=torch.float64)
    return (x, y), (x[R * rows:(R + 1) * rows], y[R * rows:(R + 1) * rows])


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 2)).double()


def train(model, batches, make=lambda p: optim.SGD(p, lr=0.1, momentum=0.9), forward=None):
    optimizer = make(model.parameters())
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss((forward or model)(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


def close(a, b, tol=1e-12):
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=tol, atol=tol)


def same_on_all_ranks(model):
    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    every = torch.empty(N, flat.numel(), dtype=flat.dtype)
    dist.all_gather_into_tensor(every, flat)
    assert all(torch.equal(every[0], row) for row in every)


def fell(losses):
    ends = torch.stack([losses[0], losses[-1]])
    dist.all_reduce(ends)
    assert ends[1] < ends[0]


def trains_as_one_process():
    for view in (False, True):
        for cap in (1e-4, 25):
            alone, model = mlp(), DDP(mlp(seed=R), bucket_cap_mb=cap, gradient_as_bucket_view=view)
            batches = [data(step) for step in range(5)]
            train(alone, [whole for whole, _ in batches])
            losses = train(model, [part for _, part in batches])
            close(model.module, alone)
            same_on_all_ranks(model)
            assert cap == 25 or len(model.reducer.buckets) > 2
            assert losses[-1].isfinite()


def every_optimizer():
    makes = [lambda p: optim.Adam(p, 0.01), lambda p: optim.AdamW(p, 0.01), lambda p: optim.RMSprop(p, 0.01), lambda p: optim.Adagrad(p, 0.05),
             lambda p: optim.NAdam(p, 0.01), lambda p: optim.Adadelta(p), lambda p: optim.Rprop(p, 0.01), lambda p: optim.ASGD(p, 0.01)]
    for make in makes:
        alone, model = mlp(), DDP(mlp())
        batches = [data(step) for step in range(3)]
        train(alone, [whole for whole, _ in batches], make)
        train(model, [part for _, part in batches], make)
        close(model.module, alone, 1e-9)
    alone, model = mlp(), DDP(mlp())
    for module, (x, y) in zip((alone, model), data()):
        optimizer = optim.LBFGS(module.parameters(), lr=0.5, max_iter=3)

        def closure():
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(module(x), y)
            loss.backward()
            return loss
        optimizer.step(closure)
    if N == 1:               # the stopping rule reads the rank's own loss
        close(model.module, alone)


def buckets_start_before_backward_ends():
    model = DDP(mlp(), bucket_cap_mb=1e-4)
    said = []

    def hook(state, bucket):
        said.append(("bucket", bucket.index(), bucket.is_last()))
        assert sum(g.numel() for g in bucket.gradients()) == bucket.buffer().numel() == sum(p.numel() for p in bucket.parameters())
        return hooks.default_hooks.allreduce_hook(state, bucket)
    model.register_comm_hook(None, hook)
    next(model.module.parameters()).register_hook(lambda g: said.append(("first layer",)))
    (_, (x, y)) = data()
    for _ in range(2):
        del said[:]
        nn.functional.mse_loss(model(x), y).backward()
    assert said[0] == ("bucket", 0, False) and said[-1][0] == "bucket" and said[-1][2]
    assert said.index(("first layer",)) >= 3, said
    _checks.raises(RuntimeError, model.register_comm_hook, None, hook, match="only be called once")


def no_sync_adds_up_locally():
    for view in (False, True):
        alone, model = mlp(), DDP(mlp(), gradient_as_bucket_view=view)
        (whole, part), (whole2, part2) = data(1), data(2)
        for step in range(2):
            with model.no_sync():
                nn.functional.mse_loss(model(part[0]), part[1]).backward()
            nn.functional.mse_loss(model(part2[0]), part2[1]).backward()
            (nn.functional.mse_loss(alone(whole[0]), whole[1]) + nn.functional.mse_loss(alone(whole2[0]), whole2[1])).backward()
            for p, q in zip(model.parameters(), alone.parameters()):
                torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-12)
                if step:
                    p.grad = q.grad = None


class Branches(nn.Module):
    """Which branch runs depends on the rank; `never` runs nowhere."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.never = (nn.Linear(6, 2).double() for _ in range(3))

    def forward(self, x, branch):
        return {"a": self.a, "b": self.b}[branch](x)


def unused_parameters():
    (x, y) = data()[1]
    for view in (False, True):
        torch.manual_seed(3)
        model = DDP(Branches(), find_unused_parameters=True, gradient_as_bucket_view=view)
        branch = "a" if R == 0 else "b"
        for _ in range(2):
            model.zero_grad()
            model(x, branch).sum().backward()
        used = {"a": 1, "b": N - 1}
        for name, p in model.module.named_parameters():
            kind = name.split(".")[0]
            if kind == "never" or (kind == "b" and N == 1):
                assert p.grad is None
            elif name.endswith("bias"):
                torch.testing.assert_close(p.grad, torch.full((2,), 3.0 * used[kind] / N, dtype=torch.float64))
    model = DDP(Branches())
    model(x, "a").sum().backward()
    _checks.raises(RuntimeError, model, x, "a", match="Expected to have finished reduction in the prior iteration .* b.weight, b.bias, never")


class Checkpointed(nn.Module):
    def __init__(self, reentrant, twice):
        super().__init__()
        self.first, self.shared, self.last = nn.Linear(6, 6).double(), nn.Linear(6, 6).double(), nn.Linear(6, 2).double()
        self.reentrant, self.twice = reentrant, twice

    def forward(self, x):
        x = self.first(x).tanh()
        for _ in range(1 + self.twice):
            x = checkpoint(lambda t: self.shared(t).tanh(), x, use_reentrant=self.reentrant) if self.reentrant is not None else self.shared(x).tanh()
        return self.last(x)


def checkpointed_models():
    for reentrant, twice, static in ((False, False, False), (False, True, False), (True, False, False), (True, True, True), (False, True, True)):
        torch.manual_seed(1)
        alone = Checkpointed(None, twice)
        torch.manual_seed(1)
        model = DDP(Checkpointed(reentrant, twice), static_graph=static, bucket_cap_mb=1e-4)
        batches = [data(step) for step in range(3)]
        train(alone, [whole for whole, _ in batches])
        train(model, [part for _, part in batches])
        close(model.module, alone)
    model = DDP(Checkpointed(True, True))
    (x, y) = data()[1]
    _checks.raises(RuntimeError, lambda: model(x).sum().backward(), match="marked as ready twice")


def static_graph_finds_unused_ones():
    model = DDP(Branches(), static_graph=True)
    (x, _) = data()[1]
    for _ in range(3):
        model.zero_grad()
        model(x, "a").sum().backward()
    assert model.module.b.weight.grad is None and model.module.a.weight.grad is not None


def buffers_follow_rank_zero():
    torch.manual_seed(R)
    model = DDP(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4, 2)))
    x = torch.randn(4, 2, 4, 4) + R
    model(x).sum().backward()
    mine = model.module[1].running_mean.clone()
    every = [torch.empty(3) for _ in range(N)]
    dist.all_gather(every, mine)
    assert N == 1 or not torch.equal(every[0], every[1])
    model(x)
    assert model.module[1].num_batches_tracked.item() == 2
    model.eval()
    model(x)
    dist.all_gather(every, model.module[1].running_mean)
    assert all(torch.equal(every[0], e) for e in every)
    plain = DDP(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), broadcast_buffers=False)
    plain(x).sum().backward()
    plain.eval()
    plain(x)
    dist.all_gather(every, plain.module[1].running_mean)
    assert N == 1 or not torch.equal(every[0], every[1])


def state_and_start():
    model = DDP(mlp(seed=R))
    same_on_all_ranks(model)
    assert all(key.startswith("module.") for key in model.state_dict())
    other = DDP(mlp(seed=7))
    other.load_state_dict(model.state_dict())
    close(other, model)
    assert not DDP(nn.Linear(2, 2)).eval().module.training
    _checks.raises(RuntimeError, DDP, nn.Tanh(), match="not needed")
    frozen = nn.Linear(2, 2).requires_grad_(False)
    _checks.raises(RuntimeError, DDP, frozen, match="not needed")
    _checks.raises(ValueError, DDP, nn.Linear(2, 2), device_ids=[0], match="only work with")
    _checks.raises(ValueError, DDP, nn.Linear(2, 2), bucket_cap_mb=0, match="bucket_cap_mb")
    if N > 1:
        _checks.raises(RuntimeError, DDP, nn.Linear(2, 2 + (R == 1)), match="models differ: rank 1")
    ignoring = nn.Linear(2, 2)
    torch.nn.init.constant_(ignoring.bias, R)
    DDP._set_params_and_buffers_to_ignore_for_model(ignoring, ["bias"])
    ignoring = DDP(ignoring)
    assert (ignoring.module.bias == R).all()
    ignoring(torch.ones(1, 2)).sum().backward()
    alone = DDP(mlp(), process_group=dist.new_subgroups(1)[0])
    assert alone.process_group.size() == 1
    alone(data()[1][0]).sum().backward()


def sixteen_bit_hooks():
    for hook, tol in ((hooks.default_hooks.fp16_compress_hook, 2e-3), (hooks.default_hooks.bf16_compress_hook, 2e-2),
                      (hooks.default_hooks.bf16_compress_wrapper(hooks.default_hooks.allreduce_hook), 2e-2)):
        alone, model = mlp(), DDP(mlp())
        model.register_comm_hook(None, hook)
        whole, part = data()
        nn.functional.mse_loss(alone(whole[0]), whole[1]).backward()
        nn.functional.mse_loss(model(part[0]), part[1]).backward()
        for p, q in zip(model.parameters(), alone.parameters()):
            assert p.grad.dtype is torch.float64
            torch.testing.assert_close(p.grad, q.grad, rtol=tol, atol=tol)
    model = DDP(mlp().bfloat16())
    model(torch.randn(3, 6).bfloat16()).sum().backward()
    same = [p.grad.float() for p in model.parameters()]
    assert all(g.isfinite().all() for g in same)


def top_k_hook():
    alone, model = mlp(), DDP(mlp())
    hooks.register_ddp_comm_hook(hooks.DDPCommHookType.TOP_K, model, hooks.topk_hook.TopKState(ratio=1.0))
    batches = [data(step) for step in range(3)]
    train(alone, [whole for whole, _ in batches])
    train(model, [part for _, part in batches])
    close(model.module, alone)
    state = hooks.topk_hook.TopKState(ratio=0.1)
    model = DDP(mlp())
    model.register_comm_hook(state, hooks.topk_hook.topk_hook)
    part = data()[1]
    losses = train(model, [part] * 30, lambda p: optim.SGD(p, 0.05))
    fell(losses)
    assert state.error_dict[0].abs().sum() > 0
    same_on_all_ranks(model)
    _checks.raises(ValueError, hooks.topk_hook.TopKState, ratio=0, match="ratio")


def power_sgd_hooks():
    for batched in (False, True):
        for same_shape in (False, True):
            alone, model = mlp(), DDP(mlp(), bucket_cap_mb=1e-4)
            state = hooks.powerSGD_hook.PowerSGDState(matrix_approximation_rank=9 if not batched else 64, start_powerSGD_iter=2, min_compression_rate=0.1,
                                                      batch_tensors_with_same_shape=same_shape)
            model.register_comm_hook(state, hooks.powerSGD_hook.batched_powerSGD_hook if batched else hooks.powerSGD_hook.powerSGD_hook)
            batches = [data(step) for step in range(4)]
            train(alone, [whole for whole, _ in batches])
            train(model, [part for _, part in batches])
            assert state.iter == 4
            close(model.module, alone, 1e-6)         # factors of full rank lose nothing
    model = DDP(mlp())
    state = hooks.powerSGD_hook.PowerSGDState(start_powerSGD_iter=2, min_compression_rate=1)
    model.register_comm_hook(state, hooks.powerSGD_hook.powerSGD_hook)
    losses = train(model, [data()[1]] * 40, lambda p: optim.SGD(p, 0.05))
    fell(losses)
    assert state.compression_stats()[0] > 1
    same_on_all_ranks(model)
    _checks.raises(ValueError, hooks.powerSGD_hook.PowerSGDState, start_powerSGD_iter=1, match="> 1")


def random_models():
    """Random layers, bucket sizes and modes, three steps each: the single-process curve."""
    rng = np.random.default_rng(11)
    for case in range(50):
        widths = [6, *rng.integers(1, 20, rng.integers(0, 4)), 2]
        kinds = rng.integers(0, 3, len(widths))

        def build():
            torch.manual_seed(case)
            layers = []
            for a, b, kind in zip(widths, widths[1:], kinds):
                layers += [nn.Linear(int(a), int(b), bias=bool(kind)), (nn.Tanh, nn.GELU, nn.Sigmoid)[kind]()]
            return nn.Sequential(*layers[:-1]).double()
        view, cap, static = bool(rng.integers(2)), float(10.0 ** rng.integers(-5, 1)), bool(rng.integers(2))
        alone, model = build(), DDP(build(), gradient_as_bucket_view=view, bucket_cap_mb=cap, static_graph=static, find_unused_parameters=bool(rng.integers(2)))
        batches = [data(case + step) for step in range(3)]
        train(alone, [whole for whole, _ in batches])
        train(model, [part for _, part in batches])
        close(model.module, alone, 1e-11)


def sampler_deals_out_the_dataset():
    from rustorch_py.data import DistributedSampler
    sampler = DistributedSampler(range(10), shuffle=True, seed=4)
    sampler.set_epoch(2)
    got = [None] * N
    dist.all_gather_object(got, list(sampler))
    assert {i for part in got for i in part} == set(range(10)) and len({len(part) for part in got}) == 1


def meshes():
    shape = {1: (1, 1), 2: (1, 2), 3: (3, 1), 4: (2, 2)}[N]
    mesh = dist.init_device_mesh("cpu", shape, mesh_dim_names=("dp", "tp"))
    row, column = divmod(R, shape[1])
    assert mesh.get_coordinate() == [row, column] and mesh.ndim == 2 and mesh.shape == shape and mesh.size() == N and mesh.size(1) == shape[1]
    assert repr(mesh) == f"DeviceMesh((dp={shape[0]}, tp={shape[1]}), 'cpu', stride=({shape[1]}, 1))"
    dp, tp = mesh["dp"], mesh["tp"]
    assert dp.mesh.tolist() == list(range(column, N, shape[1])) and tp.mesh.tolist() == [row * shape[1] + i for i in range(shape[1])]
    assert dist.get_process_group_ranks(mesh.get_group("dp")) == dp.mesh.tolist() == dist.get_process_group_ranks(dp.get_group())
    assert mesh.get_local_rank("tp") == tp.get_local_rank() == column and mesh["tp", "dp"].mesh.shape == shape[::-1]
    x = torch.tensor(float(R))
    dist.all_reduce(x, group=mesh.get_group("dp"))
    assert x.item() == sum(dp.mesh.tolist())
    alone, model = mlp(), DDP(mlp(), device_mesh=dp)
    (whole, part) = data()
    nn.functional.mse_loss(model(part[0]), part[1]).backward()
    rows = [i for r in dp.mesh.tolist() for i in range(3 * r, 3 * r + 3)]
    nn.functional.mse_loss(alone(whole[0][rows]), whole[1][rows]).backward()
    for p, q in zip(model.parameters(), alone.parameters()):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-12)
    _checks.raises(RuntimeError, mesh.get_group, match="mesh_dim")
    _checks.raises(KeyError, mesh.__getitem__, "pp")
    _checks.raises(RuntimeError, dist.init_device_mesh, "cpu", (N + 1,), match="bigger than")
    _checks.raises(torch.DeviceError, dist.init_device_mesh, "cuda", (N,), match="carries tensors on cpu, got 'cuda'")


def synchronized_norms():
    """SyncBatchNorm under DDP is BatchNorm on the whole batch; the ranks' shares differ in size."""
    g = torch.Generator().manual_seed(5)
    sizes = [r + 1 for r in range(N)]
    x = torch.randn(sum(sizes), 3, 4, 5, generator=g, dtype=torch.float64) * 3 + 7
    at = sum(sizes[:R])
    for affine, momentum in ((True, 0.1), (False, 0.3), (True, None)):
        torch.manual_seed(0)
        alone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=affine, momentum=momentum)).double()
        torch.manual_seed(0)
        model = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=affine, momentum=momentum)).double())
        for _ in range(2):
            whole = x.clone().requires_grad_()
            part = x[at:at + sizes[R]].clone().requires_grad_()
            out = alone(whole)
            mine = model(part)
            torch.testing.assert_close(mine, out[at:at + sizes[R]], rtol=1e-10, atol=1e-10)
            alone.zero_grad()
            model.zero_grad()
            (out.square() * out.sin()).sum().backward()
            (mine.square() * mine.sin()).sum().backward()
            torch.testing.assert_close(part.grad, whole.grad[at:at + sizes[R]], rtol=1e-9, atol=1e-9)
        for p, q in zip(model.parameters(), alone.parameters(), strict=True):
            dist.all_reduce(p.grad)
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-9)
        for p, q in zip(model.buffers(), alone.buffers(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-10)
        model.eval(), alone.eval()
        torch.testing.assert_close(model(x), alone(x), rtol=1e-10, atol=1e-10)
    half = nn.SyncBatchNorm(3).bfloat16()
    assert half(x.bfloat16()).dtype is torch.bfloat16


CHECKS = [meshes, synchronized_norms, trains_as_one_process, every_optimizer, buckets_start_before_backward_ends, no_sync_adds_up_locally, unused_parameters, checkpointed_models,
          static_graph_finds_unused_ones, buffers_follow_rank_zero, state_and_start, sixteen_bit_hooks, top_k_hook, power_sgd_hooks, random_models,
          sampler_deals_out_the_dataset]
