"""Tensors from stage to stage: over MPI out of host memory. Those of a GPU go through page-locked memory on both sides.

NCCL would wait in a stream until the receiver's call is in its own, and two neighbours that first send to each other would wait for ever: MPI's messages
start whatever the other side does, so schedules need no order of calls that all ranks agree on.
"""
from __future__ import annotations

from ... import cuda
from ... import tensor as _t
from ...autograd.graph import increment_version
from ...errors import DistBackendError
from .._mpi import memory
from .._p2p import _whole
from .._store_comm import StoreComm
from .._work import Work

__all__ = ["check", "isend", "recv"]


def check(op, group):
    """Refuse groups whose ranks have no MPI between them."""
    if isinstance(group.comm, StoreComm):
        raise DistBackendError(f"{op}: group: the messages between stages go over MPI, and these ranks were joined without it; "
                               "start them with mpirun or rustorch launch, or init_process_group('cpu:mpi,cuda:nccl')", op=op)


def _host(shape, dtype, device):
    return _t.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


def isend(group, tensor, peer, tag):
    """Start to send a tensor to a rank of the group; its memory must not change before the Work returned is done, unless it is a GPU's."""
    flat = tensor.detach().contiguous()
    if flat.device.type != "cpu":
        host = _host(flat.shape, flat.dtype, flat.device)
        host.copy_(flat, non_blocking=True)
        cuda.current_stream(flat.device).synchronize()
        flat = host
    return Work("isend", [group.p2p.Isend(memory(flat), peer, tag)], [tensor], None, group.timeout, flat)


def recv(group, tensor, peer, tag):
    """Receive into a tensor; returns it when it is there (a GPU's: when the copy is in the current stream)."""
    flat, here = tensor.detach(), tensor.device.type == "cpu" and tensor.is_contiguous()
    if not here:
        flat = _host(tensor.shape, tensor.dtype, tensor.device)

    def sender(statuses):
        _whole("recv", statuses[0], flat)
        return statuses[0].Get_source()
    Work("recv", [group.p2p.Irecv(memory(flat), peer, tag)], [tensor], None, group.timeout, flat, sender).wait()
    if here:
        increment_version(tensor)
    else:
        with _t.no_grad():
            tensor.copy_(flat, non_blocking=True)
    return tensor
