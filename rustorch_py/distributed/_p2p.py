"""Messages from one rank to another."""
from __future__ import annotations

import time

from .. import tensor as _t
from ..autograd.graph import increment_version
from ..errors import DistBackendError, TensorTypeError, TensorValueError
from ._group import default, member, root
from ._collectives import Stage
from ._mpi import memory, mpi
from ._store import seconds
from ._work import Work, blocking

__all__ = ["P2POp", "batch_isend_irecv", "irecv", "isend", "monitored_barrier", "recv", "send"]


def _peer(op, pg, rank, group_rank, name):
    peer = root(op, pg, rank, group_rank, name)
    if peer == pg.rank():
        side, verb = ("destination", "dst") if name == "dst" else ("source", "src")
        raise TensorValueError(f"{op}: Invalid {side} rank: {verb} is {pg.ranks[peer]}, the rank of the current process", op=op)
    return peer


def _tag(op, tag):
    if isinstance(tag, bool) or not isinstance(tag, int):
        raise TensorTypeError(f"{op}: tag: expected an int, got {type(tag).__name__}", op=op)
    limit = mpi().COMM_WORLD.Get_attr(mpi().TAG_UB)
    if not 0 <= tag <= limit:
        raise TensorValueError(f"{op}: tag: expected 0 to {limit}, got {tag}", op=op)
    return tag


def send(tensor, dst=None, group=None, tag=0, group_dst=None):
    """Send a tensor to a rank; wait until its memory may be changed again.

    Args:
        dst: rank in the default group; group_dst: in the group.
        tag: number that the receiver asks for.
    """
    pg = member("send", group)
    if pg is None:
        return
    lane = pg.lane("send", "tensor", tensor)
    peer = _peer("send", pg, dst, group_dst, "dst")
    if lane.device.type == "cuda":
        _submit("send", lane, False, [("send", tensor, peer)])
        return
    flat = tensor.detach().contiguous()
    blocking("send", pg.timeout, [(pg.p2p.Send, (memory(flat), peer, _tag("send", tag)))])


def isend(tensor, dst=None, group=None, tag=0, group_dst=None):
    """Start to send a tensor; its memory must not change before the Work returned is done."""
    pg = member("isend", group)
    if pg is None:
        return None
    lane = pg.lane("isend", "tensor", tensor)
    peer = _peer("isend", pg, dst, group_dst, "dst")
    if lane.device.type == "cuda":
        return _submit("isend", lane, True, [("send", tensor, peer)])
    flat = tensor.detach().contiguous()
    return Work("isend", [pg.p2p.Isend(memory(flat), peer, _tag("isend", tag))], [tensor], None, pg.timeout, flat)


def _submit(op, lane, async_op, messages):
    """Start messages through NCCL together, given as ("send" or "recv", tensor, peer); returns their Work with async_op. Tags are not looked at."""
    stage, calls, tensors, source = Stage(), [], [], None
    for verb, tensor, peer in messages:
        if verb == "send":
            calls.append(lane.send_call(stage.read(tensor), peer))
        else:
            calls.append(lane.receive_call(stage.write(tensor), peer))
            source = lane.pg.ranks[peer]
        tensors.append(tensor)
    return lane.run(op, async_op, calls, stage, tensors, source=source)


def irecv(tensor, src=None, group=None, tag=0, group_src=None):
    """Start to receive into a tensor; from any rank if neither src nor group_src is given. Returns a Work."""
    op = "irecv"
    pg = member(op, group)
    if pg is None:
        return None
    lane = pg.lane(op, "tensor", tensor)
    if lane.device.type == "cuda":
        return _submit(op, lane, True, [("recv", tensor, _peer(op, pg, src, group_src, "src"))])
    peer = mpi().ANY_SOURCE if src is None and group_src is None else _peer(op, pg, src, group_src, "src")
    flat = tensor.detach() if tensor.is_contiguous() else _t.empty(tensor.shape, dtype=tensor.dtype)

    def finish():
        if tensor.is_contiguous():
            increment_version(tensor)
        else:
            tensor.detach().copy_(flat)

    def sender(statuses):
        _whole(op, statuses[0], flat)
        return pg.ranks[statuses[0].Get_source()]
    return Work(op, [pg.p2p.Irecv(memory(flat), peer, _tag(op, tag))], [tensor], finish, pg.timeout, flat, sender)


def _whole(op, status, flat):
    """Refuse a message that is shorter than the tensor; MPI itself refuses longer ones."""
    got, expected = status.Get_elements(mpi().BYTE), flat.numel() * flat.element_size()
    if got != expected:
        raise DistBackendError(f"{op}: the message has {got} bytes, the tensor to receive into {expected}", op=op)


def recv(tensor, src=None, group=None, tag=0, group_src=None):
    """Receive into a tensor; from any rank if neither src nor group_src is given. Returns the sender's rank, -1 outside of the group."""
    work = irecv(tensor, src, group, tag, group_src)
    if work is None:
        return -1
    work.op = "recv"
    work.wait()
    return work.source_rank()


class P2POp:
    """One message of `batch_isend_irecv`.

    Args:
        op: `isend` or `irecv`.
        tensor: what is sent or filled.
        peer: the other rank, in the default group; group_peer: in the group.
    """

    def __init__(self, op, tensor, peer=None, group=None, tag=0, group_peer=None):
        if op not in (isend, irecv):
            raise TensorValueError("Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or ``torch.distributed.irecv``.", op="P2POp")
        self.op, self.tensor, self.group, self.tag = op, tensor, group, tag
        pg = default("P2POp") if group is None else member("P2POp", group)
        if not isinstance(tensor, _t.Tensor):
            raise TensorTypeError(f"P2POp: Invalid function argument. Expected parameter `tensor` of type torch.Tensor, got {type(tensor).__name__}", op="P2POp")
        self.group_peer = root("P2POp", pg, peer, group_peer, "peer")
        self.peer = pg.ranks[self.group_peer]

    def __repr__(self):
        return f"P2POp({self.op.__name__} {'to' if self.op is isend else 'from'} {self.peer}, {tuple(self.tensor.shape)}, {self.tensor.dtype})"


def batch_isend_irecv(p2p_op_list):
    """Start several messages; returns their Works, with NCCL one for all."""
    if not isinstance(p2p_op_list, list) or not p2p_op_list or not all(isinstance(p, P2POp) for p in p2p_op_list):
        raise TensorValueError("Invalid ``p2p_op_list``. Each op is expected to to be of type ``torch.distributed.P2POp``.", op="batch_isend_irecv")
    if len({id(p.group) for p in p2p_op_list}) > 1:
        raise TensorValueError("All ops need to use the same group.", op="batch_isend_irecv")
    works = []
    pg = member("batch_isend_irecv", p2p_op_list[0].group)
    lane = pg.lane("batch_isend_irecv", "tensor", p2p_op_list[0].tensor)
    if lane.device.type == "cuda":
        # All at once, over the group's communicator, which all members make together if it is the group's first call.
        if any(pg.lane("batch_isend_irecv", "tensor", p.tensor) is not lane for p in p2p_op_list):
            raise TensorValueError("batch_isend_irecv: expected tensors of one device", op="batch_isend_irecv")
        lane.ready()
        return [_submit("batch_isend_irecv", lane, True, [("send" if p.op is isend else "recv", p.tensor, p.group_peer) for p in p2p_op_list])]
    for p in p2p_op_list:
        kind = {"group_dst": p.group_peer} if p.op is isend else {"group_src": p.group_peer}
        works.append(p.op(p.tensor, group=p.group, tag=p.tag, **kind))
    return works


def monitored_barrier(group=None, timeout=None, wait_all_ranks=False):
    """Wait until all members are here; rank 0 raises an error that names who is not.

    Args:
        timeout: timedelta or seconds; None: the group's.
        wait_all_ranks: name all that are missing, not the first.
    Raises:
        DistBackendError: on rank 0, the ranks that did not come; elsewhere, that rank 0 did not answer.
    """
    op = "monitored_barrier"
    pg = member(op, group)
    if pg is None:
        return
    limit = pg.timeout if timeout is None else seconds(timeout)
    end = time.monotonic() + limit
    tag = mpi().COMM_WORLD.Get_attr(mpi().TAG_UB)          # no message of a program is likely to carry it
    if pg.rank():
        # The answer may never come, and a request must not be left over: probe for it.
        pg.p2p.isend(None, 0, tag).wait()
        while not pg.p2p.iprobe(0, tag):
            if time.monotonic() > end:
                raise DistBackendError(f"Rank {pg.ranks[pg.rank()]} successfully reached monitoredBarrier, but received errors while waiting for send/recv "
                                       f"from rank {pg.ranks[0]}. Please check rank {pg.ranks[0]} logs for faulty rank. ({limit:g} s)", op=op)
            time.sleep(0.0005)
        pg.p2p.recv(source=0, tag=tag)
        return
    missing = list(range(1, pg.size()))
    while missing:
        for i in list(missing):
            if pg.p2p.iprobe(i, tag):
                pg.p2p.recv(source=i, tag=tag)
                missing.remove(i)
        if missing and time.monotonic() > end:
            shown = missing if wait_all_ranks else missing[:1]
            names = ", ".join(str(pg.ranks[i]) for i in shown)
            raise DistBackendError(f"Rank{'s' if len(shown) > 1 else ''} {names} failed to pass monitoredBarrier in {1000 * limit:g} ms", op=op)
        if missing:
            time.sleep(0.0005)
    for i in range(1, pg.size()):
        pg.p2p.send(None, i, tag)
