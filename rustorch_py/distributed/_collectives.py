"""Collectives on tensors. Contiguous tensors travel as they lie in memory; others are copied into and out of a contiguous one."""
from __future__ import annotations

import warnings

from .. import tensor as _t
from ..autograd.graph import increment_version
from ..errors import DeviceError, DistBackendError, ShapeError, TensorTypeError, TensorValueError
from ._debug import compare
from ._group import member, root
from ._reduce_op import ReduceOp, parse

__all__ = ["all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_single", "all_reduce", "all_reduce_coalesced", "all_to_all",
           "all_to_all_single", "barrier", "broadcast", "gather", "reduce", "reduce_scatter", "reduce_scatter_single", "reduce_scatter_tensor", "scatter"]


class Stage:
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
        flat = tensor.detach().contiguous() if load else _t.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
        self.after.append(lambda: tensor.detach().copy_(flat))
        self.keep.append(flat)
        return flat

    def room(self, n, like):
        """Return n elements of memory, of a tensor's dtype and device."""
        flat = _t.empty(n, dtype=like.dtype, device=like.device)
        self.keep.append(flat)
        return flat

    def finish(self):
        for act in self.after:
            act()


def _facts(tensor, async_op, **more):
    return {"shape": tuple(tensor.shape), "dtype": str(tensor.dtype), "async_op": bool(async_op), **more}


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
    lane = pg.lane("all_reduce", "tensor", tensor)
    lane.refuse(name, tensor.dtype)
    compare(pg, "all_reduce", _facts(tensor, async_op, op=name))
    stage = Stage()
    return lane.run("all_reduce", async_op, lane.all_reduce(stage, stage.write(tensor, load=True), name, factor), stage, [tensor])


def reduce(tensor, dst=None, op=ReduceOp.SUM, group=None, async_op=False, group_dst=None):
    """Combine the ranks' tensors, in place on dst only."""
    pg = member("reduce", group)
    if pg is None:
        return None
    name, factor = parse("reduce", op)
    lane = pg.lane("reduce", "tensor", tensor)
    lane.refuse(name, tensor.dtype)
    target = root("reduce", pg, dst, group_dst, "dst")
    compare(pg, "reduce", _facts(tensor, async_op, op=name, dst=pg.ranks[target]))
    stage = Stage()
    flat = stage.write(tensor, load=True) if pg.rank() == target else stage.read(tensor)
    return lane.run("reduce", async_op, lane.reduce(stage, flat, name, factor, target), stage, [tensor])


def broadcast(tensor, src=None, group=None, async_op=False, group_src=None):
    """Give all ranks src's values, in place."""
    pg = member("broadcast", group)
    if pg is None:
        return None
    lane = pg.lane("broadcast", "tensor", tensor)
    source = root("broadcast", pg, src, group_src, "src")
    compare(pg, "broadcast", _facts(tensor, async_op, src=pg.ranks[source]))
    stage = Stage()
    flat = stage.read(tensor) if pg.rank() == source else stage.write(tensor)
    return lane.run("broadcast", async_op, lane.broadcast(flat, source), stage, [tensor])


def _check_list(op, name, tensors, lane, pg, like=None):
    """Check that a list has one tensor a rank, all of them where lane carries them."""
    if not isinstance(tensors, (list, tuple)) or not tensors or not all(isinstance(t, _t.Tensor) for t in tensors):
        raise TensorTypeError(f"{op}: Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]", op=op)
    for t in tensors:
        _same_lane(op, name, t, lane, pg)
        if like is not None and t.dtype is not like.dtype:
            raise TensorValueError(f"{op}: Invalid usage of tensors with different dtypes: Found {like.dtype} and {t.dtype}", op=op)
    if len(tensors) != pg.size():
        raise TensorValueError(f"{op}: {name}: expected one tensor for each of {pg.size()} ranks, got {len(tensors)}", op=op)


def _same_lane(op, name, tensor, lane, pg):
    if pg.lane(op, name, tensor) is not lane:
        raise DeviceError(f"{op}: {name}: expected all tensors on {lane.device}, got {tensor.device}", op=op)


def _root_list(op, name, tensors, tensor, lane, pg, root_name, here):
    """Check the list of gather and scatter: on the root one tensor a rank, each as large as `tensor`; nothing elsewhere."""
    if not here:
        if tensors:
            raise TensorValueError(f"Argument ``{name}`` must NOT be specified on non-{root_name} ranks.", op=op)
        return
    if not tensors:
        raise TensorValueError(f"Argument ``{name}`` must be specified on {root_name} rank.", op=op)
    _check_list(op, name, tensors, lane, pg, tensor)
    for i, t in enumerate(tensors):
        if t.numel() != tensor.numel():
            raise ShapeError(f"{op}: {name}[{i}] has shape {tuple(t.shape)}, tensor has {tuple(tensor.shape)}", op=op)


def _rows(op, outer, name, inner, size):
    """Check that one tensor holds `size` times the elements of another."""
    if outer.dtype is not inner.dtype:
        raise TensorTypeError(f"{op}: output and input tensor must have the same dtype, got {outer.dtype} and {inner.dtype}", op=op)
    if outer.numel() != inner.numel() * size:
        raise ShapeError(f"{op}: {name} size must be equal to world_size times the other's: shapes {tuple(outer.shape)} and {tuple(inner.shape)}, "
                         f"{size} ranks", op=op)


def all_gather_into_tensor(output_tensor, input_tensor, group=None, async_op=False):
    """Gather the ranks' tensors into one, in the order of ranks.

    Args:
        output_tensor: with as many elements as all inputs: concatenated or stacked.
    """
    op = "all_gather_into_tensor"
    pg = member(op, group)
    if pg is None:
        return None
    lane = pg.lane(op, "input_tensor", input_tensor)
    _same_lane(op, "output_tensor", output_tensor, lane, pg)
    _rows(op, output_tensor, "output tensor", input_tensor, pg.size())
    compare(pg, op, _facts(input_tensor, async_op))
    stage = Stage()
    sent, flat = stage.read(input_tensor), stage.write(output_tensor)
    return lane.run(op, async_op, lane.all_gather(sent, flat, [sent.numel()] * pg.size()), stage, [output_tensor])


def all_gather(tensor_list, tensor, group=None, async_op=False):
    """Gather the ranks' tensors into a list, one a rank; they may differ in size."""
    op = "all_gather"
    pg = member(op, group)
    if pg is None:
        return None
    lane = pg.lane(op, "tensor", tensor)
    _check_list(op, "tensor_list", tensor_list, lane, pg, tensor)
    compare(pg, op, {"dtype": str(tensor.dtype), "async_op": bool(async_op), "shapes": [tuple(t.shape) for t in tensor_list]})
    own = tensor_list[pg.rank()]
    if own.numel() != tensor.numel():
        raise ShapeError(f"{op}: tensor has shape {tuple(tensor.shape)}, but tensor_list[{pg.rank()}] has {tuple(own.shape)}", op=op)
    stage = Stage()
    sent = stage.read(tensor)
    counts = [t.numel() for t in tensor_list]
    flat = stage.room(sum(counts), tensor)
    stage.after.append(lambda: _deal_out(flat, tensor_list))
    return lane.run(op, async_op, lane.all_gather(sent, flat, counts), stage, list(tensor_list))


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
    lane = pg.lane(what, "output", output)
    _same_lane(what, "input", input, lane, pg)
    lane.refuse(name, output.dtype)
    _rows(what, input, "input tensor", output, pg.size())
    compare(pg, what, _facts(output, async_op, op=name))
    stage = Stage()
    calls = lane.reduce_scatter(stage, stage.read(input), stage.write(output), [output.numel()] * pg.size(), name, factor)
    return lane.run(what, async_op, calls, stage, [output])


def reduce_scatter(output, input_list, op=ReduceOp.SUM, group=None, async_op=False):
    """Combine the ranks' lists and give rank i the i-th element; elements may differ in size."""
    what = "reduce_scatter"
    pg = member(what, group)
    if pg is None:
        return None
    name, factor = parse(what, op)
    lane = pg.lane(what, "output", output)
    _check_list(what, "input_list", input_list, lane, pg, output)
    lane.refuse(name, output.dtype)
    compare(pg, what, {"dtype": str(output.dtype), "async_op": bool(async_op), "op": name, "shapes": [tuple(t.shape) for t in input_list]})
    if input_list[pg.rank()].numel() != output.numel():
        raise ShapeError(f"{what}: output has shape {tuple(output.shape)}, but input_list[{pg.rank()}] has {tuple(input_list[pg.rank()].shape)}", op=what)
    stage = Stage()
    calls = lane.reduce_scatter(stage, _gathered(stage, input_list), stage.write(output), [t.numel() for t in input_list], name, factor)
    return lane.run(what, async_op, calls, stage, [output])


def all_to_all_single(output, input, output_split_sizes=None, input_split_sizes=None, group=None, async_op=False):
    """Send part i of the input, cut along dimension 0, to rank i, and receive part i of the output from it.

    Args:
        output_split_sizes, input_split_sizes: rows a rank; None: equal parts.
    """
    op = "all_to_all_single"
    pg = member(op, group)
    if pg is None:
        return None
    lane = pg.lane(op, "output", output)
    _same_lane(op, "input", input, lane, pg)
    if output.dtype is not input.dtype:
        raise TensorTypeError(f"{op}: output and input tensor must have the same dtype, got {output.dtype} and {input.dtype}", op=op)
    stage = Stage()
    send_counts = _split(op, "input", input, input_split_sizes, pg.size())
    receive_counts = _split(op, "output", output, output_split_sizes, pg.size())
    compare(pg, op, {"dtype": str(input.dtype), "async_op": bool(async_op)})
    return lane.exchange(op, async_op, stage.read(input), stage.write(output), send_counts, receive_counts, stage, [output])


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
    if not isinstance(input_tensor_list, (list, tuple)) or not input_tensor_list:
        raise TensorTypeError(f"{op}: Invalid function argument. Expected parameter `input_tensor_list` of type List[torch.Tensor]", op=op)
    first = input_tensor_list[0]
    lane = pg.lane(op, "input_tensor_list", first)
    _check_list(op, "input_tensor_list", input_tensor_list, lane, pg, first)
    _check_list(op, "output_tensor_list", output_tensor_list, lane, pg, first)
    compare(pg, op, {"dtype": str(first.dtype), "async_op": bool(async_op)})
    stage = Stage()
    sent = _gathered(stage, input_tensor_list)
    counts = [t.numel() for t in output_tensor_list]
    flat = stage.room(sum(counts), sent)
    stage.after.append(lambda: _deal_out(flat, output_tensor_list))
    return lane.exchange(op, async_op, sent, flat, [t.numel() for t in input_tensor_list], counts, stage, list(output_tensor_list))


def gather(tensor, gather_list=None, dst=None, group=None, async_op=False, group_dst=None):
    """Gather the ranks' tensors into a list on dst (default 0).

    Args:
        gather_list: on dst, one tensor a rank; elsewhere None.
    """
    op = "gather"
    pg = member(op, group)
    if pg is None:
        return None
    lane = pg.lane(op, "tensor", tensor)
    target = root(op, pg, dst, group_dst, "dst", 0)
    here = pg.rank() == target
    _root_list(op, "gather_list", gather_list, tensor, lane, pg, "destination", here)
    compare(pg, op, _facts(tensor, async_op, dst=pg.ranks[target]))
    stage = Stage()
    sent, flat = stage.read(tensor), None
    if here:
        flat = stage.room(sent.numel() * pg.size(), tensor)
        stage.after.append(lambda: _deal_out(flat, gather_list))
    return lane.run(op, async_op, lane.gather(sent, flat, target), stage, list(gather_list or ()))


def scatter(tensor, scatter_list=None, src=None, group=None, async_op=False, group_src=None):
    """Give rank i element i of the list on src (default 0).

    Args:
        scatter_list: on src, one tensor a rank; elsewhere None.
    """
    op = "scatter"
    pg = member(op, group)
    if pg is None:
        return None
    lane = pg.lane(op, "tensor", tensor)
    source = root(op, pg, src, group_src, "src", 0)
    here = pg.rank() == source
    _root_list(op, "scatter_list", scatter_list, tensor, lane, pg, "source", here)
    compare(pg, op, _facts(tensor, async_op, src=pg.ranks[source]))
    stage = Stage()
    flat = stage.write(tensor)
    sent = _gathered(stage, scatter_list) if here else None
    return lane.run(op, async_op, lane.scatter(sent, flat, source), stage, [tensor])


def barrier(group=None, async_op=False, device_ids=None, timeout=None):
    """Wait until all members are here.

    Args:
        device_ids: with NCCL, the number of the GPU it goes through, in a list; None: the current one. Else None.
        timeout: timedelta after which the job is ended; None: the group's.
    """
    pg = member("barrier", group)
    if pg is None:
        return None
    if device_ids is not None and "cuda" not in pg.carries:
        raise DistBackendError(f"barrier: Function argument device_ids not supported for the selected backend {pg.backend}", op="barrier")
    if device_ids is not None and not isinstance(device_ids, list):
        raise TensorTypeError(f"barrier: device_ids: expected a list of numbers, got {type(device_ids).__name__}", op="barrier")
    compare(pg, "barrier", {"async_op": bool(async_op)})
    return pg.barrier_lane(device_ids).barrier(async_op, pg.timeout if timeout is None else timeout.total_seconds())


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
