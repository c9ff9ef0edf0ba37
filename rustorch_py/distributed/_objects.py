"""Collectives on Python objects, which travel as pickles: use them between processes that trust each other, as MPI ranks do."""
from __future__ import annotations

from ..errors import DistBackendError, TensorTypeError, TensorValueError
from ._debug import compare
from ._group import member, root
from ._mpi import fail, mpi
from ._p2p import _peer
from ._store_comm import StoreComm
from ._work import watched

__all__ = ["all_gather_object", "broadcast_object_list", "gather_object", "recv_object_list", "scatter_object_list", "send_object_list"]


def _call(op, pg, call, *arguments, **keywords):
    errors = () if isinstance(pg.comm, StoreComm) else mpi().Exception
    with watched(op, pg.timeout):
        try:
            return call(*arguments, **keywords)
        except errors as error:
            fail(op, error)


def _host(op, device, pg):
    """Refuse a device that the group does not carry; pickles themselves go through host memory by any of them."""
    from .. import tensor as _t
    if device is not None and _t.device(device).type not in ("cpu", *pg.carries):
        raise DistBackendError(f"{op}: device: objects travel through host memory, got {device}", op=op)


def all_gather_object(object_list, obj, group=None):
    """Fill a list, which has one place a rank, with the ranks' objects."""
    op = "all_gather_object"
    pg = member(op, group)
    if pg is None:
        return
    if len(object_list) != pg.size():
        raise TensorValueError(f"{op}: object_list: expected one place for each of {pg.size()} ranks, got {len(object_list)}", op=op)
    compare(pg, op, {})
    object_list[:] = _call(op, pg, pg.comm.allgather, obj)


def gather_object(obj, object_gather_list=None, dst=None, group=None, group_dst=None):
    """Fill a list on dst (default 0) with the ranks' objects."""
    op = "gather_object"
    pg = member(op, group)
    if pg is None:
        return
    target = root(op, pg, dst, group_dst, "dst", 0)
    if pg.rank() == target:
        if not isinstance(object_gather_list, list) or len(object_gather_list) != pg.size():
            raise TensorValueError(f"{op}: Argument ``object_gather_list`` must be a list with one place a rank on the destination rank.", op=op)
    elif object_gather_list:
        raise TensorValueError(f"{op}: Argument ``object_gather_list`` must NOT be specified on non-destination ranks.", op=op)
    compare(pg, op, {"dst": pg.ranks[target]})
    got = _call(op, pg, pg.comm.gather, obj, target)
    if got is not None:
        object_gather_list[:] = got


def broadcast_object_list(object_list, src=None, group=None, device=None, group_src=None):
    """Give all ranks the objects of src's list; the lists are of one length."""
    op = "broadcast_object_list"
    pg = member(op, group)
    if pg is None:
        return
    _host(op, device, pg)
    source = root(op, pg, src, group_src, "src", 0)
    compare(pg, op, {"src": pg.ranks[source], "length": len(object_list)})
    got = _call(op, pg, pg.comm.bcast, list(object_list) if pg.rank() == source else None, source)
    if len(got) != len(object_list):
        raise TensorValueError(f"{op}: object_list has {len(object_list)} places, rank {pg.ranks[source]} sent {len(got)} objects", op=op)
    object_list[:] = got


def scatter_object_list(scatter_object_output_list, scatter_object_input_list=None, src=None, group=None, group_src=None):
    """Put object i of src's list into the first place of rank i's output list."""
    op = "scatter_object_list"
    pg = member(op, group)
    if pg is None:
        return
    if not isinstance(scatter_object_output_list, list) or len(scatter_object_output_list) < 1:
        raise TensorTypeError("Expected argument scatter_object_output_list to be a list of size at least 1.", op=op)
    source = root(op, pg, src, group_src, "src", 0)
    if pg.rank() == source and (not scatter_object_input_list or len(scatter_object_input_list) != pg.size()):
        raise TensorValueError(f"{op}: scatter_object_input_list: expected one object for each of {pg.size()} ranks", op=op)
    compare(pg, op, {"src": pg.ranks[source]})
    scatter_object_output_list[0] = _call(op, pg, pg.comm.scatter, scatter_object_input_list if pg.rank() == source else None, source)


def send_object_list(object_list, dst=None, group=None, device=None, group_dst=None, use_batch=False):
    """Send a list of objects to a rank. ``use_batch`` is about NCCL's channels; a message is a message here."""
    op = "send_object_list"
    pg = member(op, group)
    if pg is None:
        return
    _host(op, device, pg)
    _call(op, pg, pg.p2p.send, list(object_list), _peer(op, pg, dst, group_dst, "dst"))


def recv_object_list(object_list, src=None, group=None, device=None, group_src=None, use_batch=False):
    """Receive a list of objects of the same length; from any rank if no source is given. Returns the sender's rank, -1 outside of the group."""
    op = "recv_object_list"
    pg = member(op, group)
    if pg is None:
        return -1
    _host(op, device, pg)
    if isinstance(pg.comm, StoreComm):
        peer = _peer(op, pg, src, group_src, "src")
        got, source = _call(op, pg, pg.p2p.recv, source=peer), peer
    else:
        got, source = _from_any(op, pg, src, group_src)
    if len(got) != len(object_list):
        raise TensorValueError(f"{op}: object_list has {len(object_list)} places, got {len(got)} objects", op=op)
    object_list[:] = got
    return pg.ranks[source]


def _from_any(op, pg, src, group_src):
    """Receive from a rank, or from any, over MPI; returns (objects, number of the sender)."""
    MPI = mpi()
    peer = MPI.ANY_SOURCE if src is None and group_src is None else _peer(op, pg, src, group_src, "src")
    status = MPI.Status()
    got = _call(op, pg, pg.p2p.recv, source=peer, status=status)
    return got, status.Get_source()
