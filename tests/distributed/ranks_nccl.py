"""Checks of collectives on devices: NCCL's stand-in over the software CUDA device; NumPy says what every rank must hold."""
from datetime import timedelta

import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
from ranks_core import COMPLEX, FLOATS, FOLDS, INTEGERS, N, OP, R, combined, same, values
from rustorch_py import nn, optim
from rustorch_py.distributed.algorithms.ddp_comm_hooks import default_hooks
from rustorch_py.distributed.device_mesh import init_device_mesh
from rustorch_py.distributed.fsdp import CPUOffloadPolicy, FullyShardedDataParallel as FSDP, fully_shard
from rustorch_py.distributed.tensor import Shard, distribute_tensor
from rustorch_py.nn.parallel import DistributedDataParallel as DDP

MESH = init_device_mesh("cuda", (N,))
REDUCED = FLOATS + tuple(d for d in INTEGERS if d is not torch.int16) + (torch.bool,)
MOVED = (torch.float32, torch.bfloat16, torch.int16, torch.complex64, torch.bool)


def on(dtype, rank=R, shape=(5, 7), seed=0):
    return values(dtype, rank, shape, seed).to("cuda")


def equal(a, b):
    """A device's tensor, and what it must hold."""
    assert a.is_cuda
    same(a.cpu(), b)


def messages_before_any_collective():
    """Two ranks need no other for a message."""
    if N == 1:
        return
    if R < 2:
        x = torch.empty(4, 4, device="cuda")
        if R == 0:
            dist.send(on(torch.float32, 0, (4, 4)), 1)
            assert dist.recv(x, 1) == 1
        else:
            work = dist.irecv(x, 0)
            work.wait()
            assert work.source_rank() == 0
            dist.isend(on(torch.float32, 1, (4, 4)), 0).wait()
        equal(x, values(torch.float32, 1 - R, (4, 4)))
    _checks.raises(ValueError, dist.recv, torch.empty(1, device="cuda"), match="src")
    dist.barrier(device_ids=[0])


def all_reduce_every_op_and_dtype():
    for op in (OP.SUM, OP.PRODUCT, OP.MIN, OP.MAX):
        for dtype in REDUCED:
            x = on(dtype)
            assert dist.all_reduce(x, op) is None
            equal(x, combined(dtype, FOLDS[op]))
    for dtype in COMPLEX:
        x = on(dtype)
        dist.all_reduce(x)
        equal(x, combined(dtype, FOLDS[OP.SUM]))


def means_and_scaled_sums():
    x = torch.full((4,), float(R), device="cuda")
    dist.all_reduce(x, OP.AVG)
    equal(x, torch.full((4,), (N - 1) / 2))
    x = torch.full((3,), 2 * R + 1, device="cuda")
    dist.all_reduce(x, OP.AVG)
    equal(x, torch.full((3,), N))
    for factor in (0.5, torch.tensor([0.5], device="cuda"), *[0.25] * 20):
        x = torch.full((3,), float(R + 1), device="cuda")
        dist.all_reduce(x, dist._make_nccl_premul_sum(factor))
        equal(x, torch.full((3,), float(factor) * N * (N + 1) / 2))
    x = torch.full((3,), float(R + 1), device="cuda").half()
    dist.reduce(x, 0, dist._make_nccl_premul_sum(2.0))
    assert R != 0 or x.float().tolist() == [N * (N + 1)] * 3


def what_nccl_lacks_is_refused():
    x = torch.ones(2, device="cuda")
    _checks.raises(ValueError, dist.all_reduce, x.int(), OP.BAND, match="Cannot use ReduceOp.BAND with NCCL")
    _checks.raises(torch.errors.DTypeError, dist.all_reduce, torch.ones(2, dtype=torch.int16).cuda(), match="int16")
    _checks.raises(torch.errors.DTypeError, dist.all_reduce, torch.ones(2, dtype=torch.complex64).cuda(), OP.PRODUCT, match="complex64")
    _checks.raises(torch.errors.DTypeError, dist.all_reduce, torch.ones(2, dtype=torch.bool).cuda(), OP.AVG, match="bool")
    _checks.raises(ValueError, dist.all_reduce, x, dist._make_nccl_premul_sum(torch.ones(2)), match="factor")
    _checks.raises(torch.DeviceError, dist.all_gather, [torch.ones(2)] * N, x, match="expected all tensors on cuda:0, got cpu")
    _checks.raises(torch.DeviceError, dist.all_gather_into_tensor, torch.ones(2 * N, device="cuda:1"), x, match="cuda:1")


def the_rest_moves_every_dtype():
    for dtype in MOVED:
        for root in range(N):
            x = on(dtype)
            dist.broadcast(x, root)
            equal(x, values(dtype, root))
            parts = [torch.empty(5, 7, dtype=dtype, device="cuda") for _ in range(N)] if R == root else None
            dist.gather(on(dtype), parts, root)
            for r in range(N if R == root else 0):
                equal(parts[r], values(dtype, r))
            out = torch.empty(5, 7, dtype=dtype, device="cuda")
            dist.scatter(out, [on(dtype, r, seed=9) for r in range(N)] if R == root else None, src=root)
            equal(out, values(dtype, R, seed=9))
        parts = [torch.empty(5, 7, dtype=dtype, device="cuda") for _ in range(N)]
        dist.all_gather(parts, on(dtype))
        for r in range(N):
            equal(parts[r], values(dtype, r))
        whole = torch.empty(5 * N, 7, dtype=dtype, device="cuda")
        dist.all_gather_into_tensor(whole, on(dtype))
        equal(whole, torch.cat([values(dtype, r) for r in range(N)]))
        out = torch.empty(2 * N, 3, dtype=dtype, device="cuda")
        dist.all_to_all_single(out, on(dtype, R, (2 * N, 3)))
        equal(out, torch.cat([values(dtype, r, (2 * N, 3))[2 * R:2 * R + 2] for r in range(N)]))
    large = torch.full((100_000,), float(R), device="cuda")               # more than one piece of the stand-in's memory
    dist.broadcast(large, N - 1)
    equal(large, torch.full((100_000,), N - 1.0))


def parts_of_different_sizes():
    uneven = [torch.empty(r + 1, device="cuda") for r in range(N)]
    dist.all_gather(uneven, torch.full((R + 1,), float(R), device="cuda"))
    for r in range(N):
        equal(uneven[r], torch.full((r + 1,), float(r)))
    out = torch.empty(R + 1, device="cuda")
    work = dist.reduce_scatter(out, [torch.full((r + 1,), float(R + r), device="cuda") for r in range(N)], async_op=True)
    work.wait()
    equal(out, torch.full((R + 1,), float(sum(r + R for r in range(N)))))
    out = torch.empty(2, 7, device="cuda")
    dist.reduce_scatter_tensor(out, on(torch.float32, R, (2 * N, 7)), OP.MAX)
    equal(out, combined(torch.float32, FOLDS[OP.MAX], (2 * N, 7))[2 * R:2 * R + 2])
    outs = [torch.empty(r + R, device="cuda") for r in range(N)]
    dist.all_to_all(outs, [torch.full((r + R,), float(R), device="cuda") for r in range(N)])
    for r in range(N):
        equal(outs[r], torch.full((r + R,), float(r)))


def other_layouts_are_staged():
    base = on(torch.float32, R, (6, 8))
    expected = combined(torch.float32, FOLDS[OP.SUM], (6, 8))
    for async_op in (False, True):
        x = base.clone()
        work = dist.all_reduce(x.t(), async_op=async_op)
        if work is not None:
            work.wait()
        equal(x, expected)
    x = base.clone()
    dist.broadcast(x[:, 3], 0)
    assert x[:, 3].cpu().tolist() == values(torch.float32, 0, (6, 8))[:, 3].tolist() and x[:, 4].cpu().tolist() == base[:, 4].cpu().tolist()
    w = torch.ones(3, device="cuda", requires_grad=True)
    before = w._version
    dist.all_reduce(w)
    assert w.is_leaf and w._version > before


def works_events_and_streams():
    x = torch.full((1000,), float(R + 1), device="cuda")
    work = dist.all_reduce(x, async_op=True)
    doubled = work.get_future().then(lambda f: 2 * f.value()[0])
    total = torch.full((1000,), N * (N + 1) / 2)
    assert work.wait() is True
    equal(doubled.wait(), 2 * total)
    assert work.is_completed() and work.is_success() and work.exception() is None
    equal(work.result()[0], total)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        y = torch.full((10,), float(R), device="cuda")
        dist.all_reduce(y)
        work = dist.all_reduce(y, OP.MAX, async_op=True)
        work.wait(timeout=timedelta(seconds=30))
    side.synchronize()
    equal(y, torch.full((10,), N * (N - 1) / 2))
    works = [dist.all_reduce(torch.full((50,), float(i), device="cuda"), async_op=True) for i in range(10)]
    for i, (result,) in enumerate(torch.futures.wait_all([w.get_future() for w in works])):
        equal(result, torch.full((50,), float(i * N)))
    dist.barrier(async_op=True).wait()


def messages_in_a_ring():
    if N == 1:
        return
    right, left = (R + 1) % N, (R - 1) % N
    for dtype in MOVED:
        out = torch.empty(4, 6, dtype=dtype, device="cuda").t()
        works = dist.batch_isend_irecv([dist.P2POp(dist.isend, on(dtype, R, (6, 4)), right), dist.P2POp(dist.irecv, out, left)])
        for work in works:
            work.wait()
        equal(out, values(dtype, left, (6, 4)))


def groups_devices_and_host_memory_together():
    pair = dist.new_group([0, N - 1] if N > 1 else [0])
    other = torch.full((3,), float(R), device="cuda:1")
    if R in (0, N - 1):
        dist.all_reduce(other, group=pair)
        equal(other, torch.full((3,), float(N - 1)))
    dist.all_reduce(other.fill_(1))
    equal(other, torch.full((3,), float(N)))
    host = torch.ones(3)
    dist.all_reduce(host)
    same(host, torch.full((3,), float(N)))
    assert dist.get_backend_config() == "cpu:mpi,cuda:nccl" and dist.is_nccl_available() and dist.is_backend_available("nccl")
    if R in (0, N - 1):
        dist.destroy_process_group(pair)


def net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


def train(model, batches, part, device, outputs=None):
    opt, losses = optim.SGD(model.parameters(), 0.1, momentum=0.9), []
    for x, y in batches:
        opt.zero_grad()
        loss = ((model(part(x).to(device)) - part(y).to(outputs or device)) ** 2).mean()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


def models_train_as_one_process_does():
    gen = torch.Generator().manual_seed(5)
    batches = [(torch.randn(4 * N, 6, generator=gen), torch.randn(4 * N, 2, generator=gen)) for _ in range(4)]
    alone = net()
    expected = train(alone, batches, lambda t: t, "cpu")
    for arguments, hook in (({}, None), ({"device_ids": [0], "gradient_as_bucket_view": True, "bucket_cap_mb": 0.0005}, None), ({"find_unused_parameters": True}, None),
                            ({}, default_hooks.allreduce_hook)):
        model = DDP(net().to("cuda"), **arguments)
        if hook is not None:
            model.register_comm_hook(None, hook)
        losses = torch.tensor(train(model, batches, lambda t: t[4 * R:4 * R + 4], "cpu" if "device_ids" in arguments else "cuda", "cuda"))
        dist.all_reduce(losses, OP.AVG)
        torch.testing.assert_close(losses, torch.tensor(expected), rtol=1e-5, atol=1e-6)
        for a, b in zip(model.module.parameters(), alone.parameters()):
            torch.testing.assert_close(a.detach().cpu(), b.detach(), rtol=1e-5, atol=1e-6)
    _checks.raises(ValueError, DDP, net().to("cuda"), device_ids=[1], match="where the module is")
    _checks.raises(ValueError, DDP, net(), device_ids=[0], match="only work with")


def sharded_models_train_so_too():
    gen = torch.Generator().manual_seed(5)
    batches = [(torch.randn(4 * N, 6, generator=gen), torch.randn(4 * N, 2, generator=gen)) for _ in range(3)]
    alone = net()
    expected = train(alone, batches, lambda t: t, "cpu")

    def by_layer(**options):
        model = net().to("cuda")
        for layer in model:
            if isinstance(layer, nn.Linear):
                fully_shard(layer, mesh=MESH, reshard_after_forward=True, **options)
        return fully_shard(model, mesh=MESH, **options)
    for make in (lambda: FSDP(net(), device_id=0), by_layer, lambda: by_layer(offload_policy=CPUOffloadPolicy())):
        model = make()
        losses = torch.tensor(train(model, batches, lambda t: t[4 * R:4 * R + 4], "cuda"))
        dist.all_reduce(losses, OP.AVG)
        torch.testing.assert_close(losses, torch.tensor(expected), rtol=1e-5, atol=1e-6)
    assert all(p._local_tensor.device.type == "cpu" for p in model.parameters()) and all(p.grad._local_tensor.device.type == "cpu" for p in model.parameters())
    assert all(t._local_tensor.is_pinned() for p in model.parameters() for t in (p, p.grad) if t._local_tensor.numel())
    spread = distribute_tensor(torch.arange(6.0, device="cuda"), MESH, [Shard(0)])
    assert spread._local_tensor.is_cuda and spread.full_tensor().cpu().tolist() == list(range(6)) and (spread + spread).sum().full_tensor().item() == 30


def nccl_alone_carries_no_host_memory():
    dist.destroy_process_group()
    dist.init_process_group("nccl", device_id=torch.device("cuda", 0))
    assert dist.get_backend() == "nccl" and dist.get_backend_config() == "cuda:nccl"
    x = torch.ones(2, device="cuda")
    dist.all_reduce(x)
    equal(x, torch.full((2,), float(N)))
    _checks.raises(dist.DistBackendError, dist.all_reduce, torch.ones(2), match="No backend type associated with device type cpu")
    got = [None] * N
    dist.all_gather_object(got, R)
    assert got == list(range(N))
    dist.barrier()


CHECKS = [messages_before_any_collective, all_reduce_every_op_and_dtype, means_and_scaled_sums, what_nccl_lacks_is_refused, the_rest_moves_every_dtype,
          parts_of_different_sizes, other_layouts_are_staged, works_events_and_streams, messages_in_a_ring, groups_devices_and_host_memory_together,
          models_train_as_one_process_does, sharded_models_train_so_too, nccl_alone_carries_no_host_memory]
