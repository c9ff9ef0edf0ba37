"""Checks of Join: ranks with different numbers of batches train as one process that sums what the ranks still have."""
import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py import nn, optim
from rustorch_py.distributed.algorithms import ddp_comm_hooks as hooks
from rustorch_py.distributed.algorithms.join import Join, Joinable, JoinHook
from rustorch_py.distributed.optim import ZeroRedundancyOptimizer
from rustorch_py.nn.parallel import DistributedDataParallel as DDP

R, N = dist.get_rank(), dist.get_world_size()
COUNTS = ([3, 1, 4, 2], [0, 2, 5, 1], [2, 2, 2, 2], [4, 3, 0, 0])


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def batch(rank, step):
    g = torch.Generator().manual_seed(100 * rank + step)
    return torch.randn(3, 4, generator=g, dtype=torch.float64), torch.randn(3, 2, generator=g, dtype=torch.float64)


def alone(counts, make, by_all=True):
    """One process with the gradients of the ranks that are not done, over the number of all or of those."""
    model = mlp()
    optimizer = make(model.parameters())
    for step in range(max(counts[:N])):
        active = [rank for rank in range(N) if step < counts[rank]]
        optimizer.zero_grad()
        for rank in active:
            x, y = batch(rank, step)
            (nn.functional.mse_loss(model(x), y) / (N if by_all else len(active))).backward()
        optimizer.step()
    return model


def close(model, reference):
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-11, atol=1e-11)


def sgd(params):
    return optim.SGD(params, 0.1, momentum=0.9)


def uneven_inputs():
    for counts in COUNTS:
        for by_all in (True, False):
            for options in ({}, {"gradient_as_bucket_view": True}, {"find_unused_parameters": True}, {"static_graph": True}):
                model = DDP(mlp(), bucket_cap_mb=1e-4, **options)
                optimizer = sgd(model.parameters())
                with model.join(divide_by_initial_world_size=by_all):
                    for step in range(counts[R]):
                        optimizer.zero_grad()
                        x, y = batch(R, step)
                        nn.functional.mse_loss(model(x), y).backward()
                        optimizer.step()
                close(model.module, alone(counts, sgd, by_all))
                x, y = batch(0, 0)                                   # afterwards all go on together
                optimizer.zero_grad()
                nn.functional.mse_loss(model(x), y).backward()
                assert not model._join_config.enable and model.reducer.divisor == N


def with_hooks_and_without_sync():
    counts = COUNTS[0]
    model = DDP(mlp(), bucket_cap_mb=1e-4)
    model.register_comm_hook(None, hooks.default_hooks.allreduce_hook)
    optimizer = sgd(model.parameters())
    with model.join():
        for step in range(counts[R]):
            x, y = batch(R, step)
            optimizer.zero_grad()
            with model.no_sync():
                (nn.functional.mse_loss(model(x), y) / 2).backward()
            (nn.functional.mse_loss(model(x), y) / 2).backward()
            with torch.no_grad():
                model(x)
            optimizer.step()
    close(model.module, alone(counts, sgd))


def spread_optimizer():
    """The ranks that are done step their share of the state."""
    def adam(params):
        return optim.Adam(params, 0.02)
    for counts in COUNTS:
        model = DDP(mlp())
        zero = ZeroRedundancyOptimizer(model.parameters(), optim.Adam, lr=0.02)
        with Join([model, zero]):
            for step in range(counts[R]):
                model.zero_grad()
                x, y = batch(R, step)
                nn.functional.mse_loss(model(x), y).backward()
                zero.step()
        close(model.module, alone(counts, adam))


def buffers_of_a_rank_that_goes_on():
    model = DDP(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double())
    with model.join():
        for step in range(COUNTS[0][R]):
            model(batch(R, step)[0]).sum().backward()
    assert model.module[1].num_batches_tracked.item() == max(COUNTS[0][:N])
    every = [None] * N
    dist.all_gather_object(every, model.module[1].running_mean.tolist())
    assert all(mean == every[0] for mean in every)


def early_end_raises_everywhere():
    counts, steps = COUNTS[0], 0
    model = DDP(mlp())
    def train():
        nonlocal steps
        with model.join(throw_on_early_termination=True):
            for step in range(counts[R]):
                model(batch(R, step)[0]).sum().backward()
                steps += 1
    first = min(counts[:N])
    if N == 1:
        train()
    else:
        _checks.raises(RuntimeError, train, match=f"Rank {R} exhausted" if counts[R] == first else "Detected at least one rank that exhausted")
    assert steps == first and not model._join_config.enable
    def breaks():
        with model.join():
            raise KeyError("stop")
    _checks.raises(KeyError, breaks)
    for step in range(2 if N == 4 else 0):
        with model.join(enable=False):
            model(batch(R, step)[0]).sum().backward()


class Counter(Joinable):
    """Counts all ranks' iterations, as PyTorch's tutorial has it."""

    def __init__(self):
        super().__init__()
        self.total, self.last = 0, None

    def __call__(self):
        Join.notify_join_context(self)
        one = torch.ones(1)
        dist.all_reduce(one)
        self.total += int(one.item())

    def join_hook(self, **kwargs):
        counter = self

        class Hook(JoinHook):
            def main_hook(self):
                zero = torch.zeros(1)
                dist.all_reduce(zero)
                counter.total += int(zero.item())

            def post_hook(self, is_last_joiner):
                counter.last = is_last_joiner
        return Hook()

    @property
    def join_device(self):
        return torch.device("cpu")

    @property
    def join_process_group(self):
        return dist.group.WORLD


def own_joinables():
    counter = Counter()
    with Join([counter]):
        for _ in range(COUNTS[0][R]):
            counter()
    assert counter.total == sum(COUNTS[0][:N]) and counter.last == (COUNTS[0][R] == max(COUNTS[0][:N]))
    _checks.raises(ValueError, Join, [], match="at least one joinable")
    other = DDP(mlp(), process_group=dist.new_subgroups(1)[0])
    _checks.raises(ValueError, Join, [counter, other], match="multiple process groups")


CHECKS = [uneven_inputs, with_hooks_and_without_sync, spread_optimizer, buffers_of_a_rank_that_goes_on, early_end_raises_everywhere, own_joinables]
