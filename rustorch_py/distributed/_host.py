"""What carries tensors in host memory: MPI, on the memory as it lies."""
from __future__ import annotations

from .. import tensor as _t
from . import _mpi
from ._mpi import counted, element_types, memory, mpi, pieces, reduction
from ._work import Work, blocking


class HostLane:
    """Collectives of one group over MPI. A method takes contiguous tensors and returns MPI calls, (name, arguments), for `run`.

    Args:
        pg: ProcessGroup.
    """
    device = _t.device("cpu")

    def __init__(self, pg):
        self.pg = pg

    def run(self, op, async_op, calls, stage, tensors):
        """Carry out MPI calls and finish; with async_op start them and return their Work."""
        pg = self.pg
        if async_op:
            requests = [getattr(pg.comm, "I" + name.lower())(*arguments) for name, arguments in calls]
            return Work(op, requests, tensors, stage.finish, pg.timeout, (stage, calls))
        blocking(op, pg.timeout, [(getattr(pg.comm, name), arguments) for name, arguments in calls])
        with _t.no_grad():
            stage.finish()
        return None

    def refuse(self, name, dtype):
        """Raise if a reduction has no meaning for a dtype."""
        reduction(name, dtype)

    def _scale(self, stage, name, factor, sent, result):
        """Arrange the factor of PREMUL_SUM before and of AVG after; returns what to send."""
        if name == "PREMUL_SUM":
            with _t.no_grad():
                sent = (sent * factor).to(sent.dtype)
            stage.keep.append(sent)
        elif name == "AVG" and result is not None:
            def divide():
                if result.dtype.is_floating_point or result.dtype.is_complex:
                    result.div_(self.pg.size())
                else:
                    result.div_(self.pg.size(), rounding_mode="trunc")
            stage.after.insert(0, divide)
        return sent

    def _scale_in_place(self, stage, name, factor, flat):
        if name == "PREMUL_SUM":
            with _t.no_grad():
                flat.copy_(flat * factor)
        else:
            self._scale(stage, name, None, flat, flat)

    def all_reduce(self, stage, flat, name, factor):
        combine = reduction(name, flat.dtype)
        self._scale_in_place(stage, name, factor, flat)
        return [("Allreduce", (mpi().IN_PLACE, memory(flat, at, n), combine)) for at, n in pieces(flat.numel())]

    def reduce(self, stage, flat, name, factor, target):
        combine = reduction(name, flat.dtype)
        if self.pg.rank() == target:
            self._scale_in_place(stage, name, factor, flat)
            return [("Reduce", (mpi().IN_PLACE, memory(flat, at, n), combine, target)) for at, n in pieces(flat.numel())]
        flat = self._scale(stage, name, factor, flat, None)
        return [("Reduce", (memory(flat, at, n), None, combine, target)) for at, n in pieces(flat.numel())]

    def broadcast(self, flat, source):
        return [("Bcast", (memory(flat), source))]

    def all_gather(self, sent, flat, counts):
        """Gather counts[i] elements of rank i."""
        if len(set(counts)) == 1:
            count, kind = counted(counts[0], element_types()[sent.dtype])
            return [("Allgather", (memory(sent), [memory(flat)[0], count, kind]))]
        if flat.numel() <= _mpi.MAX_COUNT:
            return [("Allgatherv", (memory(sent), _vector(flat, counts)))]
        at = places(counts)
        with _t.no_grad():
            flat[at[self.pg.rank()]:][:sent.numel()].copy_(sent.view(-1))
        return [("Bcast", (memory(flat, at[i], n), i)) for i, n in enumerate(counts)]

    def reduce_scatter(self, stage, sent, flat, counts, name, factor):
        """Sum and keep the own slice, of counts[i] elements on rank i."""
        combine = reduction(name, sent.dtype)
        sent = self._scale(stage, name, factor, sent, flat)
        if sent.numel() > _mpi.MAX_COUNT:
            return [("Reduce", (memory(sent, first + at, n), memory(flat, at, n) if i == self.pg.rank() else None, combine, i))
                    for i, (first, count) in enumerate(zip(places(counts), counts)) for at, n in pieces(count)]
        if len(set(counts)) == 1:
            return [("Reduce_scatter_block", ([memory(sent)[0], counts[0], element_types()[sent.dtype]], memory(flat), combine))]
        return [("Reduce_scatter", (memory(sent), memory(flat), counts, combine))]

    def gather(self, sent, flat, target):
        """Gather equal parts on one rank; flat is None elsewhere."""
        return [("Gather", (memory(sent), flat if flat is None else _parts(flat, sent), target))]

    def scatter(self, sent, flat, source):
        """Scatter equal parts from one rank; sent is None elsewhere."""
        return [("Scatter", (sent if sent is None else _parts(sent, flat), memory(flat), source))]

    def exchange(self, op, async_op, sent, received, send_counts, receive_counts, stage, tensors):
        """Send slice i of one contiguous tensor to rank i and receive slice i of another from it; a count 0 sends nothing.

        Pairs of messages, not MPI's Alltoallv: that counts in 32 bits, and no rank knows of another's counts whether it may be used.
        """
        comm = self.pg.comm
        requests = [comm.Irecv(memory(received, at, n), i) for i, (at, n) in enumerate(zip(places(receive_counts), receive_counts)) if n]
        requests += [comm.Isend(memory(sent, at, n), i) for i, (at, n) in enumerate(zip(places(send_counts), send_counts)) if n]
        work = Work(op, requests, tensors, stage.finish, self.pg.timeout, stage)
        if async_op:
            return work
        work.wait()
        return None

    def barrier(self, async_op, limit):
        """Wait until all members are here."""
        comm = self.pg.comm
        if async_op:
            return Work("barrier", [comm.Ibarrier()], (), None, limit)
        blocking("barrier", limit, [(comm.Barrier, ())])
        return None


def places(counts):
    """Return where slices of these lengths begin, one after the other."""
    out, at = [], 0
    for n in counts:
        out.append(at)
        at += n
    return out


def _vector(flat, counts):
    """Return a contiguous tensor as one side of a collective with a count a rank."""
    size = flat.numel() * flat.element_size()
    return [mpi().buffer.fromaddress(flat.data_ptr(), size) if size else None, (counts, places(counts)), element_types()[flat.dtype]]


def _parts(flat, part):
    """Return a contiguous tensor as one side of a collective of parts as large as another tensor."""
    count, kind = counted(part.numel(), element_types()[part.dtype])
    return [memory(flat)[0], count, kind]
