"""Collectives on tensors. Contiguous tensors travel as they lie in memory; others are copied into and out of a contiguous one."""
from __future__ import annotations

import warnings

from .. import tensor as _t
from ..autograd.graph import increment_version
from ..errors import DistBackendError, ShapeError, TensorTypeError, TensorValueError
from . import _mpi
from ._debug import compare
from ._group import member, root
from ._mpi import check, counted, element_types, memory, mpi, pieces, reduction
from ._reduce_op import ReduceOp, parse
from ._work import Work, blocking

__all__ = ["all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_single", "all_reduce", "all_reduce_coalesced", "all_to_all",
           "all_to_all_single", "barrier", "broadcast", "gather", "reduce", "reduce_scatter", "reduce_scatter_single", "reduce_scatter_tensor", "scatter"]


class _Stage:
    """The contiguous memory behind the tensors of one call, and what is left to do when the messages have come."""

    def __init__(self):
        self.after, self.keep = [], []

    def read(self, tensor):
        """Return contiguous memory with the tensor's values."""
        flat = tensor.detach().contiguous()
        self.keep.append(flat)
        return flat

    def write(self, tensor, load=False):
        """Return contiguous memory that becomes the tensor's values; with load it holds them already."""
        self.keep.append(tensor)
        if tensor.is_contiguous():
            self.after.append(lambda: increment_version(tensor))
            return tensor.detach()
        flat = tensor.detach().contiguous() if load else _t.empty(tensor.shape, dtype=tensor.dtype)
        self.after.append(lambda: tensor.detach().copy_(flat))
        self.keep.append(flat)
        return flat

    def finish(self):
        for act in self.after:
            act()


def start(pg, op, async_op, calls, stage, tensors):
    """Carry out MPI calls, given as (name, arguments), and finish; with async_op start them and return their Work."""
    if async_op:
        requests = [getattr(pg.comm, "I" + name.lower())(*arguments) for name, arguments in calls]
        return Work(op, requests, tensors, stage.finish, pg.timeout, (stage, calls))
    blocking(op, pg.timeout, [(getattr(pg.comm, name), arguments) for name, arguments in calls])
    with _t.no_grad():
        stage.finish()
    return None


def _facts(tensor, async_op, **more):
    return {"shape": tuple(tensor.shape), "dtype": str(tensor.dtype), "async_op": bool(async_op), **more}


def _scale(stage, pg, name, factor, sent, result):
    """Arrange the factor of PREMUL_SUM before and of AVG after; returns what to send."""
    if name == "PREMUL_SUM":
        with _t.no_grad():
            sent = (sent * factor).to(sent.dtype)
        stage.keep.append(sent)
    elif name == "AVG" and result is not None:
        def divide():
            if result.dtype.is_floating_point or result.dtype.is_complex:
                result.div_(pg.size())
            else:
                result.div_(pg.size(), rounding_mode="trunc")
        stage.after.insert(0, divide)
    return sent


def all_reduce(tensor, op=ReduceOp.SUM, group=None, async_op=False):
    """Combine the ranks' tensors, in place on all.

    Args:
        tensor: any dtype and layout in memory; the same shape and dtype on all ranks.
        op: a ReduceOp.
    Returns:
        None, or with async_op a Work.
    """
    pg = member("all_reduce", group)
    if pg is None:
        return None
    name, factor = parse("all_reduce", op)
    check("all_reduce", "tensor", tensor)
    combine = reduction(name, tensor.dtype)
    compare(pg, "all_reduce", _facts(tensor, async_op, op=name))
    stage = _Stage()
    flat = stage.write(tensor, load=True)
    if name == "PREMUL_SUM":
        with _t.no_grad():
            flat.copy_(flat * factor)
    _scale(stage, pg, name if name == "AVG" else "SUM", None, flat, flat)
    calls = [("Allreduce", (mpi().IN_PLACE, memory(flat, at, n), combine)) for at, n in pieces(flat.numel())]
    return start(pg, "all_reduce", async_op, calls, stage, [tensor])


def reduce(tensor, dst=None, op=ReduceOp.SUM, group=None, async_op=False, group_dst=None):
    """Combine the ranks' tensors, in place on dst only."""
    pg = member("reduce", group)
    if pg is None:
        return None
    name, factor = parse("reduce", op)
    check("reduce", "tensor", tensor)
    combine = reduction(name, tensor.dtype)
    target = root("reduce", pg, dst, group_dst, "dst")
    compare(pg, "reduce", _facts(tensor, async_op, op=name, dst=pg.ranks[target]))
    stage = _Stage()
    here = pg.rank() == target
    if here:
        flat = stage.write(tensor, load=True)
        if name == "PREMUL_SUM":
            with _t.no_grad():
                flat.copy_(flat * factor)
        _scale(stage, pg, name if name == "AVG" else "SUM", None, flat, flat)
        calls = [("Reduce", (mpi().IN_PLACE, memory(flat, at, n), combine, target)) for at, n in pieces(flat.numel())]
    else:
        flat = _scale(stage, pg, name, factor, stage.read(tensor), None)
        calls = [("Reduce", (memory(flat, at, n), None, combine, target)) for at, n in pieces(flat.numel())]
    return start(pg, "reduce", async_op, calls, stage, [tensor])


def broadcast(tensor, src=None, group=None, async_op=False, group_src=None):
    """Give all ranks src's values, in place."""
    pg = member("broadcast", group)
    if pg is None:
        return None
    check("broadcast", "tensor", tensor)
    source = root("broadcast", pg, src, group_src, "src")
    compare(pg, "broadcast", _facts(tensor, async_op, src=pg.ranks[source]))
    stage = _Stage()
    flat = stage.read(tensor) if pg.rank() == source else stage.write(tensor)
    return start(pg, "broadcast", async_op, [("Bcast", (memory(flat), source))], stage, [tensor])


def _check_list(op, name, tensors, like=None, size=None):
    if not isinstance(tensors, (list, tuple)) or not tensors or not all(isinstance(t, _t.Tensor) for t in tensors):
        raise TensorTypeError(f"{op}: Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]", op=op)
    for t in tensors:
        check(op, name, t)
        if like is not None and t.dtype is not like.dtype:
            raise TensorValueError(f"{op}: Invalid usage of tensors with different dtypes: Found {like.dtype} and {t.dtype}", op=op)
    if size is not None and len(tensors) != size:
        raise TensorValueError(f"{op}: {name}: expected one tensor for each of {size} ranks, got {len(tensors)}", op=op)


def _rows(op, outer, name, inner, size):
    """Check that one tensor holds `size` times the elements of another."""
    if outer.dtype is not inner.dtype:
        raise TensorTypeError(f"{op}: output and input tensor must have the same dtype, got {outer.dtype} and {inner.dtype}", op=op)
    if outer.numel() != inner.numel() * size:
        raise ShapeError(f"{op}: {name} size must be equal to world_size times the other's: shapes {tuple(outer.shape)} and {tuple(inner.shape)}, "
                         f"{size} ranks", op=op)


def _places(counts):
    out, at = [], 0
    for n in counts:
        out.append(at)
        at += n
    return out


def _vector(flat, counts):
    """Return a contiguous tensor as one side of a collective with a count a rank."""
    element = element_types()[flat.dtype]
    size = flat.numel() * flat.element_size()
    return [mpi().buffer.fromaddress(flat.data_ptr(), size) if size else None, (counts, _places(counts)), element]


def _exchange(pg, op, async_op, sent, received, send_counts, receive_counts, stage, tensors):
    """Send slice i of one contiguous tensor to rank i and receive slice i of another from it; a count 0 sends nothing.

    Pairs of messages, not MPI's Alltoallv: that counts in 32 bits, and no rank knows of another's counts whether it may be used.
    """
    requests = [pg.comm.Irecv(memory(received, at, n), i) for i, (at, n) in enumerate(zip(_places(receive_counts), receive_counts)) if n]
    requests += [pg.comm.Isend(memory(sent, at, n), i) for i, (at, n) in enumerate(zip(_places(send_counts), send_counts)) if n]
    work = Work(op, requests, tensors, stage.finish, pg.timeout, stage)
    if async_op:
        return work
    work.wait()
    return None


def all_gather_into_tensor(output_tensor, input_tensor, group=None, async_op=False):
    """Gather the ranks' tensors into one, in the order of ranks.

    Args:
        output_tensor: with as many elements as all inputs: concatenated or stacked.
    """
    op = "all_gather_into_tensor"
    pg = member(op, group)
    if pg is None:
        return None
    check(op, "input_tensor", input_tensor)
    check(op, "output_tensor", output_tensor)
    _rows(op, output_tensor, "output tensor", input_tensor, pg.size())
    compare(pg, op, _facts(input_tensor, async_op))
    stage = _Stage()
    sent, flat = stage.read(input_tensor), stage.write(output_tensor)
    count, kind = counted(sent.numel(), element_types()[sent.dtype])
    calls = [("Allgather", (memory(sent), [memory(flat)[0], count, kind]))]
    return start(pg, op, async_op, calls, stage, [output_tensor])


def all_gather(tensor_list, tensor, group=None, async_op=False):
    """Gather the ranks' tensors into a list, one a rank; they may differ in size."""
    op = "all_gather"
    pg = member(op, group)
    if pg is None:
        return None
    check(op, "tensor", tensor)
    _check_list(op, "tensor_list", tensor_list, tensor, pg.size())
    compare(pg, op, {"dtype": str(tensor.dtype), "async_op": bool(async_op), "shapes": [tuple(t.shape) for t in tensor_list]})
    own = tensor_list[pg.rank()]
    if own.numel() != tensor.numel():
        raise ShapeError(f"{op}: tensor has shape {tuple(tensor.shape)}, but tensor_list[{pg.rank()}] has {tuple(own.shape)}", op=op)
    stage = _Stage()
    sent = stage.read(tensor)
    counts = [t.numel() for t in tensor_list]
    flat = _t.empty(sum(counts), dtype=tensor.dtype)
    stage.keep.append(flat)
    stage.after.append(lambda: _deal_out(flat, tensor_list))
    if len(set(counts)) == 1:
        count, kind = counted(counts[0], element_types()[sent.dtype])
        return start(pg, op, async_op, [("Allgather", (memory(sent), [memory(flat)[0], count, kind]))], stage, list(tensor_list))
    if flat.numel() <= _mpi.MAX_COUNT:
        return start(pg, op, async_op, [("Allgatherv", (memory(sent), _vector(flat, counts)))], stage, list(tensor_list))
    return start(pg, op, async_op, [("Bcast", (_own_slice(flat, counts, i, sent, pg.rank()), i)) for i in range(pg.size())], stage, list(tensor_list))


def _own_slice(flat, counts, i, sent, rank):
    at = sum(counts[:i])
    if i == rank:
        with _t.no_grad():
            flat[at:at + counts[i]].copy_(sent.view(-1))
    return memory(flat, at, counts[i])


def _deal_out(flat, tensors):
    """Copy consecutive slices of a flat tensor into tensors."""
    at = 0
    for t in tensors:
        t.detach().copy_(flat[at:at + t.numel()].view(t.shape))
        at += t.numel()


def _gathered(stage, tensors):
    """Return the values of several tensors one after the other."""
    with _t.no_grad():
        flat = _t.cat([t.detach().reshape(-1) for t in tensors])
    stage.keep.append(flat)
    return flat


def reduce_scatter_tensor(output, input, op=ReduceOp.SUM, group=None, async_op=False):
    """Combine the ranks' inputs and give rank i the i-th part."""
    what = "reduce_scatter_tensor"
    pg = member(what, group)
    if pg is None:
        return None
    name, factor = parse(what, op)
    check(what, "output", output)
    check(what, "input", input)
    _rows(what, input, "input tensor", output, pg.size())
    compare(pg, what, _facts(output, async_op, op=name))
    stage = _Stage()
    return _reduce_scatter(pg, what, name, factor, stage, stage.read(input), output, [output.numel()] * pg.size(), async_op)


def reduce_scatter(output, input_list, op=ReduceOp.SUM, group=None, async_op=False):
    """Combine the ranks' lists and give rank i the i-th element; elements may differ in size."""
    what = "reduce_scatter"
    pg = member(what, group)
    if pg is None:
        return None
    name, factor = parse(what, op)
    check(what, "output", output)
    _check_list(what, "input_list", input_list, output, pg.size())
    compare(pg, what, {"dtype": str(output.dtype), "async_op": bool(async_op), "op": name, "shapes": [tuple(t.shape) for t in input_list]})
    if input_list[pg.rank()].numel() != output.numel():
        raise ShapeError(f"{what}: output has shape {tuple(output.shape)}, but input_list[{pg.rank()}] has {tuple(input_list[pg.rank()].shape)}", op=what)
    stage = _Stage()
    return _reduce_scatter(pg, what, name, factor, stage, _gathered(stage, input_list), output, [t.numel() for t in input_list], async_op)


def _reduce_scatter(pg, what, name, factor, stage, sent, output, counts, async_op):
    combine = reduction(name, sent.dtype)
    flat = stage.write(output)
    sent = _scale(stage, pg, name, factor, sent, flat)
    if sent.numel() > _mpi.MAX_COUNT:
        calls = [("Reduce", (memory(sent, first + at, n), memory(flat, at, n) if i == pg.rank() else None, combine, i))
                 for i, (first, count) in enumerate(zip(_places(counts), counts)) for at, n in pieces(count)]
    elif len(set(counts)) == 1:
        calls = [("Reduce_scatter_block", ([memory(sent)[0], counts[0], element_types()[sent.dtype]], memory(flat), combine))]
    else:
        calls = [("Reduce_scatter", (memory(sent), memory(flat), counts, combine))]
    return start(pg, what, async_op, calls, stage, [output])


def all_to_all_single(output, input, output_split_sizes=None, input_split_sizes=None, group=None, async_op=False):
    """Send part i of the input, cut along dimension 0, to rank i, and receive part i of the output from it.

    Args:
        output_split_sizes, input_split_sizes: rows a rank; None: equal parts.
    """
    op = "all_to_all_single"
    pg = member(op, group)
    if pg is None:
        return None
    check(op, "output", output)
    check(op, "input", input)
    if output.dtype is not input.dtype:
        raise TensorTypeError(f"{op}: output and input tensor must have the same dtype, got {output.dtype} and {input.dtype}", op=op)
    stage = _Stage()
    send_counts = _split(op, "input", input, input_split_sizes, pg.size())
    receive_counts = _split(op, "output", output, output_split_sizes, pg.size())
    compare(pg, op, {"dtype": str(input.dtype), "async_op": bool(async_op)})
    return _exchange(pg, op, async_op, stage.read(input), stage.write(output), send_counts, receive_counts, stage, [output])


def _split(op, name, tensor, sizes, n):
    if tensor.dim() == 0:
        raise ShapeError(f"{op}: {name} must have a dimension to split", op=op)
    rows = tensor.shape[0]
    if not sizes:
        if rows % n:
            raise ShapeError(f"{op}: {name}'s dim 0 ({rows}) does not divide equally across group size {n}", op=op)
        sizes = [rows // n] * n
    if len(sizes) != n:
        raise ShapeError(f"{op}: {name}_split_sizes: expected {n} numbers, got {len(sizes)}", op=op)
    if sum(sizes) != rows:
        raise ShapeError(f"{op}: {name}_split_sizes: Split sizes doesn't match total dim 0 size: {list(sizes)}, {rows} rows", op=op)
    row = tensor.numel() // rows if rows else 0
    return [int(s) * row for s in sizes]


def all_to_all(output_tensor_list, input_tensor_list, group=None, async_op=False):
    """Send element i of one list to rank i and receive element i of the other from it."""
    op = "all_to_all"
    pg = member(op, group)
    if pg is None:
        return None
    _check_list(op, "input_tensor_list", input_tensor_list, input_tensor_list[0] if input_tensor_list else None, pg.size())
    _check_list(op, "output_tensor_list", output_tensor_list, input_tensor_list[0], pg.size())
    compare(pg, op, {"dtype": str(input_tensor_list[0].dtype), "async_op": bool(async_op)})
    stage = _Stage()
    sent = _gathered(stage, input_tensor_list)
    counts = [t.numel() for t in output_tensor_list]
    flat = _t.empty(sum(counts), dtype=sent.dtype)
    stage.after.append(lambda: _deal_out(flat, output_tensor_list))
    return _exchange(pg, op, async_op, sent, flat, [t.numel() for t in input_tensor_list], counts, stage, list(output_tensor_list))


def gather(tensor, gather_list=None, dst=None, group=None, async_op=False, group_dst=None):
    """Gather the ranks' tensors into a list on dst (default 0).

    Args:
        gather_list: on dst, one tensor a rank; elsewhere None.
    """
    op = "gather"
    pg = member(op, group)
    if pg is None:
        return None
    check(op, "tensor", tensor)
    target = root(op, pg, dst, group_dst, "dst", 0)
    here = pg.rank() == target
    if here:
        if not gather_list:
            raise TensorValueError("Argument ``gather_list`` must be specified on destination rank.", op=op)
        _check_list(op, "gather_list", gather_list, tensor, pg.size())
        for i, t in enumerate(gather_list):
            if t.numel() != tensor.numel():
                raise ShapeError(f"{op}: gather_list[{i}] has shape {tuple(t.shape)}, the tensors sent have {tuple(tensor.shape)}", op=op)
    elif gather_list:
        raise TensorValueError("Argument ``gather_list`` must NOT be specified on non-destination ranks.", op=op)
    compare(pg, op, _facts(tensor, async_op, dst=pg.ranks[target]))
    stage = _Stage()
    sent = stage.read(tensor)
    into = None
    if here:
        flat = _t.empty(sent.numel() * pg.size(), dtype=tensor.dtype)
        stage.after.append(lambda: _deal_out(flat, gather_list))
        count, kind = counted(sent.numel(), element_types()[sent.dtype])
        into = [memory(flat)[0], count, kind]
    return start(pg, op, async_op, [("Gather", (memory(sent), into, target))], stage, list(gather_list or ()))


def scatter(tensor, scatter_list=None, src=None, group=None, async_op=False, group_src=None):
    """Give rank i element i of the list on src (default 0).

    Args:
        scatter_list: on src, one tensor a rank; elsewhere None.
    """
    op = "scatter"
    pg = member(op, group)
    if pg is None:
        return None
    check(op, "tensor", tensor)
    source = root(op, pg, src, group_src, "src", 0)
    here = pg.rank() == source
    if here:
        if not scatter_list:
            raise TensorValueError("Argument ``scatter_list`` must be specified on source rank.", op=op)
        _check_list(op, "scatter_list", scatter_list, tensor, pg.size())
        for i, t in enumerate(scatter_list):
            if t.numel() != tensor.numel():
                raise ShapeError(f"{op}: scatter_list[{i}] has shape {tuple(t.shape)}, tensor has {tuple(tensor.shape)}", op=op)
    elif scatter_list:
        raise TensorValueError("Argument ``scatter_list`` must NOT be specified on non-source ranks.", op=op)
    compare(pg, op, _facts(tensor, async_op, src=pg.ranks[source]))
    stage = _Stage()
    flat = stage.write(tensor)
    given = None
    if here:
        sent = _gathered(stage, scatter_list)
        count, kind = counted(flat.numel(), element_types()[flat.dtype])
        given = [memory(sent)[0], count, kind]
    return start(pg, op, async_op, [("Scatter", (given, memory(flat), source))], stage, [tensor])


def barrier(group=None, async_op=False, device_ids=None, timeout=None):
    """Wait until all members are here.

    Args:
        device_ids: for NCCL only; must be None.
        timeout: timedelta after which the job is ended; None: the group's.
    """
    pg = member("barrier", group)
    if pg is None:
        return None
    if device_ids is not None:
        raise DistBackendError(f"barrier: Function argument device_ids not supported for the selected backend {pg.backend}", op="barrier")
    compare(pg, "barrier", {"async_op": bool(async_op)})
    limit = pg.timeout if timeout is None else timeout.total_seconds()
    if async_op:
        return Work("barrier", [pg.comm.Ibarrier()], (), None, limit)
    blocking("barrier", limit, [(pg.comm.Barrier, ())])
    return None


class _Works:
    """Several Works that are waited for as one."""

    def __init__(self, works):
        self.works = works

    def wait(self, timeout=None):
        """Wait for all."""
        return all([work.wait(timeout) for work in self.works])

    def is_completed(self):
        """Tell whether all are done."""
        return all([work.is_completed() for work in self.works])

    def get_future(self):
        """Return a future of all tensors in one list."""
        from ..futures import collect_all
        return collect_all([work.get_future() for work in self.works]).then(lambda all_: [t for f in all_.wait() for t in f.value()])


def all_reduce_coalesced(tensors, op=ReduceOp.SUM, group=None, async_op=False):
    """Combine several tensors of the ranks, in place."""
    _old("all_reduce_coalesced")
    pg = member("all_reduce_coalesced", group)
    if pg is None:
        return None
    tensors = [tensors] if isinstance(tensors, _t.Tensor) else list(tensors)
    works = _Works([all_reduce(t, op, pg, True) for t in tensors])
    return works if async_op else works.wait() and None


def all_gather_coalesced(output_tensor_lists, input_tensor_list, group=None, async_op=False):
    """Gather several tensors of the ranks: output_tensor_lists[rank][i] becomes that rank's input_tensor_list[i]."""
    _old("all_gather_coalesced")
    pg = member("all_gather_coalesced", group)
    if pg is None:
        return None
    works = _Works([all_gather([outputs[i] for outputs in output_tensor_lists], t, pg, True) for i, t in enumerate(input_tensor_list)])
    return works if async_op else works.wait() and None


def _old(name):
    warnings.warn(f"torch.distributed.{name} will be deprecated.", FutureWarning, stacklevel=3)


def all_gather_single(output, input, group=None, async_op=False):
    """Gather the ranks' tensors into one (`all_gather_into_tensor`)."""
    return all_gather_into_tensor(output, input, group, async_op)


def reduce_scatter_single(output, input, op=ReduceOp.SUM, group=None, async_op=False):
    """Combine the ranks' inputs and give rank i the i-th part (`reduce_scatter_tensor`)."""
    return reduce_scatter_tensor(output, input, op, group, async_op)
