"""Checks of the communication core; NumPy says what every rank must hold."""
from datetime import timedelta

import numpy as np

import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py.distributed import _mpi

R, N = dist.get_rank(), dist.get_world_size()
OP = dist.ReduceOp
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
COMPLEX = (torch.complex64, torch.complex128)
ALL = FLOATS + INTEGERS + COMPLEX + (torch.bool,)


def values(dtype, rank, shape=(5, 7), seed=0):
    """A rank's tensor: small whole numbers, exact in every dtype."""
    rng = np.random.default_rng([seed, rank])
    x = rng.integers(1, 3, shape)
    if dtype is torch.bool:
        return torch.tensor(x == 1)
    if dtype.is_complex:
        return torch.tensor(x + 1j * rng.integers(-2, 3, shape)).to(dtype)
    return torch.tensor(x).to(dtype)


def combined(dtype, fold, shape=(5, 7), seed=0):
    """All ranks' tensors folded in a wide type."""
    wide = torch.complex128 if dtype.is_complex else torch.bool if dtype is torch.bool else torch.float64 if dtype.is_floating_point else torch.int64
    parts = [values(dtype, r, shape, seed).to(wide).numpy() for r in range(N)]
    out = parts[0]
    for part in parts[1:]:
        out = fold(out, part)
    return torch.tensor(np.asarray(out)).to(dtype)


def same(a, b):
    assert a.dtype is b.dtype and a.shape == b.shape, (a.dtype, b.dtype, a.shape, b.shape)
    assert torch.equal(a.contiguous(), b.contiguous()), f"{a}\n{b}"


FOLDS = {OP.SUM: lambda a, b: a | b if a.dtype == bool else a + b, OP.PRODUCT: lambda a, b: a & b if a.dtype == bool else a * b,
         OP.MIN: np.minimum, OP.MAX: np.maximum, OP.BAND: np.bitwise_and, OP.BOR: np.bitwise_or, OP.BXOR: np.bitwise_xor}


def dtypes_of(op):
    if op in (OP.BAND, OP.BOR, OP.BXOR):
        return INTEGERS + (torch.bool,)
    return tuple(d for d in ALL if not (d.is_complex and op in (OP.MIN, OP.MAX)))


def all_reduce_every_op_and_dtype():
    for op, fold in FOLDS.items():
        for dtype in dtypes_of(op):
            x = values(dtype, R)
            assert dist.all_reduce(x, op) is None
            same(x, combined(dtype, fold))


def reductions_without_meaning_are_refused():
    _checks.raises(torch.errors.DTypeError, dist.all_reduce, torch.ones(2), OP.BAND, match="integer")
    _checks.raises(torch.errors.DTypeError, dist.all_reduce, torch.ones(2, dtype=torch.complex64), OP.MAX, match="order")
    _checks.raises(TypeError, dist.all_reduce, torch.ones(2), "sum", match="ReduceOp")
    _checks.raises(TypeError, dist.all_reduce, [1.0], match="torch.Tensor")


def mean_and_scaled_sum():
    x = torch.full((4,), float(R))
    dist.all_reduce(x, OP.AVG)
    same(x, torch.full((4,), (N - 1) / 2))
    x = torch.full((3,), 2 * R + 1)
    dist.all_reduce(x, OP.AVG)
    same(x, torch.full((3,), N))
    for factor in (0.5, torch.tensor([0.5, 1.0, 2.0])):
        x = torch.full((3,), float(R + 1))
        dist.all_reduce(x, dist._make_nccl_premul_sum(factor))
        torch.testing.assert_close(x, torch.ones(3) * factor * N * (N + 1) / 2)


def sixteen_bit_sums_round_once_a_hop():
    x = torch.full((1000,), 1 / 3, dtype=torch.bfloat16)
    dist.all_reduce(x)
    torch.testing.assert_close(x.float(), torch.full((1000,), N / 3), rtol=0.01 * N, atol=0)


def other_layouts_are_staged():
    base = values(torch.float32, R, (6, 8))
    for view, whole in ((base.t(), True), (base[::2, 1:7:2], False), (base[:, 3], False), (base[2, 2], False)):
        expected = torch.tensor(sum(np.asarray(values(torch.float32, r, (6, 8)).numpy()) for r in range(N)))
        keep = base.clone()
        for async_op in (False, True):
            base.copy_(keep)
            work = dist.all_reduce(view, async_op=async_op)
            if work is not None:
                assert work.wait() is True
            if whole:
                same(base, expected)
        base.copy_(keep)
    image = torch.full((2, 3, 4, 5), float(R)).to(memory_format=torch.channels_last)
    dist.all_reduce(image)
    assert image.is_contiguous(memory_format=torch.channels_last) and (image == N * (N - 1) / 2).all()
    x = torch.zeros(3, 4)
    dist.all_reduce(x[:, :0])
    out = torch.zeros(N, 8, 6).permute(0, 2, 1)
    dist.all_gather_into_tensor(out, values(torch.float32, R, (8, 6)).t().contiguous())
    same(out, torch.stack([values(torch.float32, r, (8, 6)).t() for r in range(N)]))


def a_reduced_tensor_counts_as_written():
    x = torch.ones(3)
    before = x._version
    dist.all_reduce(x)
    assert x._version > before
    w = torch.ones(3, requires_grad=True)
    dist.broadcast(w, 0)
    assert w.is_leaf and w.requires_grad


def reduce_to_each_rank():
    for dst in range(N):
        for dtype in ALL:
            x = values(dtype, R)
            dist.reduce(x, dst)
            same(x, combined(dtype, FOLDS[OP.SUM]) if R == dst else values(dtype, R))
        x = torch.full((3,), float(R))
        dist.reduce(x, group_dst=dst, op=OP.AVG)
        assert R != dst or (x == (N - 1) / 2).all()


def broadcast_from_each_rank():
    for src in range(N):
        for dtype in ALL:
            x = values(dtype, R)
            dist.broadcast(x, src)
            same(x, values(dtype, src))
    _checks.raises(ValueError, dist.broadcast, torch.ones(1), match="Must specify src")
    _checks.raises(ValueError, dist.broadcast, torch.ones(1), N, match="not part of group")


def all_gather_of_every_kind():
    for dtype in ALL:
        parts = [torch.empty(5, 7, dtype=dtype) for _ in range(N)]
        dist.all_gather(parts, values(dtype, R))
        for r in range(N):
            same(parts[r], values(dtype, r))
        whole = torch.empty(5 * N, 7, dtype=dtype)
        dist.all_gather_into_tensor(whole, values(dtype, R))
        same(whole, torch.cat([values(dtype, r) for r in range(N)]))
        work = dist.all_gather_into_tensor(whole.zero_(), values(dtype, R), async_op=True)
        work.wait()
        same(whole, torch.cat([values(dtype, r) for r in range(N)]))
    uneven = [torch.empty(r + 1) for r in range(N)]
    dist.all_gather(uneven, torch.full((R + 1,), float(R)))
    for r in range(N):
        same(uneven[r], torch.full((r + 1,), float(r)))
    _checks.raises(torch.ShapeError, dist.all_gather_into_tensor, torch.empty(N + 1, 3), torch.empty(1, 3), match="world_size")
    _checks.raises(ValueError, dist.all_gather, [torch.empty(1)] * (N + 1), torch.empty(1))


def reduce_scatter_of_every_kind():
    for dtype in ALL:
        out = torch.empty(2, 7, dtype=dtype)
        dist.reduce_scatter_tensor(out, values(dtype, R, (2 * N, 7)))
        same(out, combined(dtype, FOLDS[OP.SUM], (2 * N, 7))[2 * R:2 * R + 2])
    whole = [torch.full((r + 1,), float(R + r)) for r in range(N)]
    out = torch.empty(R + 1)
    work = dist.reduce_scatter(out, whole, async_op=True)
    work.wait()
    same(out, torch.full((R + 1,), float(sum(r + R for r in range(N)))))
    out = torch.empty(4)
    dist.reduce_scatter(out, [torch.full((4,), float(r + 2 * R)) for r in range(N)], OP.AVG)
    torch.testing.assert_close(out, torch.full((4,), R + N - 1.0))


def all_to_all_of_every_kind():
    for dtype in ALL:
        out = torch.empty(2 * N, 3, dtype=dtype)
        dist.all_to_all_single(out, values(dtype, R, (2 * N, 3)))
        same(out, torch.cat([values(dtype, r, (2 * N, 3))[2 * R:2 * R + 2] for r in range(N)]))
    sent = torch.cat([torch.full((i + 1, 2), 10.0 * R + i) for i in range(N)])
    out = torch.empty(N * (R + 1), 2)
    work = dist.all_to_all_single(out, sent, [R + 1] * N, [i + 1 for i in range(N)], async_op=True)
    work.wait()
    same(out, torch.cat([torch.full((R + 1, 2), 10.0 * r + R) for r in range(N)]))
    outs = [torch.empty(r + R) for r in range(N)]
    dist.all_to_all(outs, [torch.full((r + R,), float(R)) for r in range(N)])
    for r in range(N):
        same(outs[r], torch.full((r + R,), float(r)))
    _checks.raises(torch.ShapeError, dist.all_to_all_single, torch.empty(N), torch.empty(N), [2] * N, match="Split sizes")


def gather_and_scatter():
    for root in range(N):
        for dtype in ALL:
            parts = [torch.empty(5, 7, dtype=dtype) for _ in range(N)] if R == root else None
            dist.gather(values(dtype, R), parts, root)
            if R == root:
                for r in range(N):
                    same(parts[r], values(dtype, r))
            out = torch.empty(5, 7, dtype=dtype).t().contiguous().t()
            dist.scatter(out, [values(dtype, r, seed=9) for r in range(N)] if R == root else None, src=root)
            same(out, values(dtype, R, seed=9))
    _checks.raises(ValueError, dist.gather, torch.ones(1), None if R == 0 else [torch.ones(1)], match="gather_list")


def messages_between_neighbours():
    if N == 1:
        _checks.raises(ValueError, dist.send, torch.ones(1), 0, match="current process")
        return
    right, left = (R + 1) % N, (R - 1) % N
    for dtype in ALL:
        out = torch.empty(4, 4, dtype=dtype).t()
        works = dist.batch_isend_irecv([dist.P2POp(dist.isend, values(dtype, R, (4, 4)).t(), right), dist.P2POp(dist.irecv, out, left)])
        for work in works:
            work.wait()
        same(out, values(dtype, left, (4, 4)).t())
        assert works[1].source_rank() == left
    if R == 0:
        for i in range(1, N):
            x = torch.empty(2)
            source = dist.recv(x)
            same(x, torch.full((2,), float(source)))
        dist.send(torch.arange(3), 1, tag=5)
        dist.send(torch.arange(4), 1, tag=6)
    else:
        dist.send(torch.full((2,), float(R)), 0)
        if R == 1:
            x, y = torch.zeros(4, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)
            assert dist.recv(x, 0, tag=6) == 0
            work = dist.irecv(y, group_src=0, tag=5)
            work.wait()
            same(x, torch.arange(4))
            same(y, torch.arange(3))
    _checks.raises(TypeError, dist.isend, torch.ones(1), right, tag=1.5, match="tag")
    if R == 0:
        dist.send(torch.ones(2), 1)
    elif R == 1:
        _checks.raises(dist.DistBackendError, dist.recv, torch.ones(3), 0, match="8 bytes")


def works_and_futures():
    x = torch.full((1000,), float(R + 1))
    work = dist.all_reduce(x, async_op=True)
    doubled = work.get_future().then(lambda f: 2 * f.value()[0])
    total = torch.full((1000,), N * (N + 1) / 2)
    same(doubled.wait(), 2 * total)
    assert work.is_completed() and work.is_success() and work.exception() is None
    same(work.result()[0], total)
    same(work.get_future().wait()[0], total)
    works = [dist.all_reduce(torch.full((50,), float(i)), async_op=True) for i in range(10)]
    got = torch.futures.wait_all([w.get_future() for w in works])
    for i, (result,) in enumerate(got):
        same(result, torch.full((50,), float(i * N)))
    work = dist.barrier(async_op=True)
    assert work.wait(timeout=timedelta(seconds=30))


def pieces_beyond_one_call():
    """With a small limit every collective goes the way of more than 2**30 elements."""
    global ALL
    old, _mpi.MAX_COUNT, every = _mpi.MAX_COUNT, 7, ALL
    ALL = (torch.float32, torch.bfloat16, torch.int64, torch.complex64, torch.bool)
    try:
        for check in (all_reduce_every_op_and_dtype, reduce_to_each_rank, broadcast_from_each_rank, all_gather_of_every_kind, reduce_scatter_of_every_kind,
                      all_to_all_of_every_kind, gather_and_scatter, works_and_futures):
            check()
        if N > 1:
            messages_between_neighbours()
    finally:
        _mpi.MAX_COUNT, ALL = old, every


def objects():
    got = [None] * N
    dist.all_gather_object(got, {"rank": R, "tensor": torch.full((2,), float(R))})
    assert [g["rank"] for g in got] == list(range(N)) and all((g["tensor"] == i).all() for i, g in enumerate(got))
    for root in range(N):
        things = [R, "text", None] if R == root else [None] * 3
        dist.broadcast_object_list(things, src=root)
        assert things == [root, "text", None]
        out = [None]
        dist.scatter_object_list(out, [f"for {i}" for i in range(N)] if R == root else None, src=root)
        assert out == [f"for {R}"]
        got = [None] * N if R == root else None
        dist.gather_object((R, root), got, dst=root)
        assert R != root or got == [(i, root) for i in range(N)]
    if N > 1:
        if R == 0:
            dist.send_object_list([1, {"a": 2}], dst=1)
        elif R == 1:
            things = [None, None]
            assert dist.recv_object_list(things, src=0) == 0 and things == [1, {"a": 2}]


def groups():
    everyone = dist.new_group()
    assert dist.get_world_size(everyone) == N and dist.get_process_group_ranks(None) == list(range(N))
    even = dist.new_group(list(range(0, N, 2)))
    x = torch.ones(1)
    if R % 2 == 0:
        dist.all_reduce(x, group=even)
        assert x.item() == (N + 1) // 2 and dist.get_rank(even) == R // 2 and dist.get_global_rank(even, R // 2) == R
        dist.broadcast(x.fill_(R), src=0, group=even)
        assert x.item() == 0
        last = dist.get_world_size(even) - 1
        dist.broadcast(x.fill_(R), group=even, group_src=last)
        assert x.item() == 2 * last and dist.get_group_rank(even, R) == R // 2
        dist.destroy_process_group(even)
        _checks.raises(ValueError, dist.all_reduce, x, group=even, match="destroyed")
    else:
        import warnings
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert dist.all_reduce(x, group=even) is None and x.item() == 1
        assert "does not belong" in str(told[0].message) and dist.get_rank(even) == -1
    local = dist.new_group([R], use_local_synchronization=True)
    dist.all_reduce(x, group=local)
    backward = dist.new_group(list(range(N))[::-1], sort_ranks=False)
    assert dist.get_rank(backward) == N - 1 - R
    own, made = dist.new_subgroups(1)
    assert len(made) == N and dist.get_process_group_ranks(own) == [R]
    _checks.raises(ValueError, dist.new_group, [0, N], match="within the world_size")
    _checks.raises(ValueError, dist.new_group, [0, 0], match="once")
    dist.destroy_process_group(everyone)


def facts_and_misuse():
    assert dist.is_initialized() and dist.get_backend() == "mpi" and dist.is_backend_available("gloo")
    assert dist.get_node_local_rank() == R
    _checks.raises(ValueError, dist.init_process_group, "mpi", match="twice")
    assert dist.group.WORLD is not None and dist.group.WORLD.size() == N and dist.group.WORLD.rank() == R
    assert dist.ReduceOp.SUM == dist.ReduceOp.RedOpType.SUM and dist.ReduceOp(dist.ReduceOp.MAX) == dist.ReduceOp.MAX
    import copy
    import pickle
    assert pickle.loads(pickle.dumps(OP.MAX)) is OP.MAX and copy.deepcopy(OP.MIN) is OP.MIN


def monitored_barrier_names_who_is_missing():
    dist.monitored_barrier(timeout=timedelta(seconds=30))
    dist.monitored_barrier(timeout=timedelta(seconds=30), wait_all_ranks=True)
    if N > 1:
        late = N - 1
        side = dist.new_group(list(range(N)))
        if R == 0:
            _checks.raises(dist.DistBackendError, dist.monitored_barrier, side, timedelta(seconds=0.3), match=f"Rank {late} failed")
        elif R != late:
            _checks.raises(dist.DistBackendError, dist.monitored_barrier, side, timedelta(seconds=0.3), match="rank 0")
        dist.barrier()


def debug_mode_names_the_difference():
    dist.set_debug_level(dist.DebugLevel.DETAIL)
    try:
        dist.all_reduce(torch.ones(3))
        if N > 1:
            _checks.raises(dist.DistBackendError, dist.all_reduce, torch.ones(3 + (R == 1)), match=r"shape is \(3,\) on rank 0 .* but \(4,\) on rank 1")
            _checks.raises(dist.DistBackendError, dist.all_reduce, torch.ones(3, dtype=torch.float64 if R == N - 1 else torch.float32), match=f"dtype .* rank {N - 1}")
            if R == 0:
                _checks.raises(dist.DistBackendError, dist.barrier, match="barrier on rank 0 .* all_reduce")
            else:
                _checks.raises(dist.DistBackendError, dist.all_reduce, torch.ones(2), match="barrier on rank 0 .* all_reduce .*on rank 1")
            _checks.raises(dist.DistBackendError, dist.new_group, [R], match="ranks")
        dist.barrier()
    finally:
        dist.set_debug_level_from_env()


def again_after_destroy():
    dist.destroy_process_group()
    assert not dist.is_initialized()
    _checks.raises(ValueError, dist.get_rank, match="not been initialized")
    _checks.raises(ValueError, dist.init_process_group, "mpi", world_size=N + 1, match="mpirun -n")
    _checks.raises(ValueError, dist.init_process_group, "mpi", rank=(R + 1) % N if N > 1 else 5, match="rank")
    _checks.raises(torch.DeviceError, dist.init_process_group, "nccl", match="NVIDIA")
    _checks.raises(ValueError, dist.init_process_group, "smoke", match="expected 'mpi'")
    dist.init_process_group("gloo", rank=R, world_size=N)
    assert dist.get_backend() == "gloo"
    x = torch.ones(1)
    dist.all_reduce(x)
    assert x.item() == N


CHECKS = [all_reduce_every_op_and_dtype, reductions_without_meaning_are_refused, mean_and_scaled_sum, sixteen_bit_sums_round_once_a_hop, other_layouts_are_staged,
          a_reduced_tensor_counts_as_written, reduce_to_each_rank, broadcast_from_each_rank, all_gather_of_every_kind, reduce_scatter_of_every_kind,
          all_to_all_of_every_kind, gather_and_scatter, messages_between_neighbours, works_and_futures, pieces_beyond_one_call, objects, groups,
          facts_and_misuse, monitored_barrier_names_who_is_missing, debug_mode_names_the_difference, again_after_destroy]
