"""A Trainer on several ranks: the program is the one of a single process, started by mpirun.

Every rank reads the same batches and takes its share of each one's rows; gradients are averaged by DistributedDataParallel with weights
that make the step that of the whole batch; numbers are those of all rows. A loader with a DistributedSampler is taken as it is:
its batches are this rank's share already. The generators that a loader draws its order from are rank 0's on all ranks, set at each
epoch; what a forward pass draws (dropout) comes from a stream of the rank's own.
"""
from __future__ import annotations

import contextlib
import os
import sys
import zlib

from .. import tensor as _t
from ..tensor._cpu import set_num_threads
from ._checkpoint import rng_state, set_rng_state

_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")

_LOCAL_SIZES = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE")


def join():
    """Return this process's `Team`, or None if it is alone. Joins the default process group if MPI started several ranks."""
    module = sys.modules.get("rustorch_py.distributed")
    started = any(int(os.environ.get(name, "1")) > 1 for name in _SIZES)
    if module is None and not started:
        return None
    from .. import distributed as dist
    if not dist.is_initialized():
        from ..distributed._mpi import launched
        if not (started and launched() and dist.is_available()):
            return None
        dist.init_process_group("mpi")
        here = next((int(os.environ[name]) for name in _LOCAL_SIZES if name in os.environ), 1)
        if "OMP_NUM_THREADS" not in os.environ and here > 1:
            set_num_threads(max(1, (os.cpu_count() or 1) // here))      # the ranks of a machine share its cores
    return Team(dist) if dist.get_world_size() > 1 else None


def is_first():
    """Tell whether this process owns the terminal and the files: alone, or rank 0."""
    module = sys.modules.get("rustorch_py.distributed")
    return module is None or not module.is_initialized() or module.get_rank() == 0


def text():
    """Return ', N ranks' where there are several, else nothing."""
    module = sys.modules.get("rustorch_py.distributed")
    several = module is not None and module.is_initialized() and module.get_world_size() > 1
    return f", {module.get_world_size()} ranks" if several else ""


def restarted():
    """Tell whether `rustorch launch` started this run again after a failure."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


class Team:
    """What a Trainer asks of the other ranks.

    Args:
        dist: the module rustorch_py.distributed, with its default group.
    """

    def __init__(self, dist):
        self.dist, self.rank, self.size = dist, dist.get_rank(), dist.get_world_size()
        self._own = None
        self._wrapped = None

    def wrap(self, model):
        """Return the model as DistributedDataParallel: itself if it is one, else one that is made once."""
        from ..nn.parallel import DistributedDataParallel
        if isinstance(model, DistributedDataParallel):
            return model
        if self._wrapped is None or self._wrapped.module is not model:
            self._wrapped = DistributedDataParallel(model)
        return self._wrapped

    def begin_epoch(self, loader):
        """Give all ranks rank 0's generators, and this rank a stream of its own for what models draw."""
        state = [rng_state(loader) if self.rank == 0 else None]
        self.dist.broadcast_object_list(state, 0)
        set_rng_state(state[0], loader)
        self._own = None

    @contextlib.contextmanager
    def own_random(self):
        """Draw from this rank's stream within the context."""
        shared = _t.get_rng_state()
        if self._own is None:
            seed = zlib.crc32(bytes(shared.tolist()))
            _t.set_rng_state(_t.Generator().manual_seed(seed * self.size + self.rank).get_state())
        else:
            _t.set_rng_state(self._own)
        try:
            yield
        finally:
            self._own = _t.get_rng_state()
            _t.set_rng_state(shared)

    def sharded(self, loader):
        """Tell whether a loader gives each rank samples of its own."""
        from ..data import DistributedSampler
        samplers = (getattr(loader, "sampler", None), getattr(getattr(loader, "batch_sampler", None), "sampler", None))
        return any(isinstance(s, DistributedSampler) for s in samplers)

    def share(self, inputs, target, rows, sharded):
        """Return (inputs, target, own rows, rows of all ranks) of a batch.

        A rank without a row of a small last batch gets one row that counts nothing: collectives need all ranks.
        """
        if sharded:
            return inputs, target, rows, int(self.sum(float(rows))[0])
        low, high = self.rank * rows // self.size, (self.rank + 1) * rows // self.size
        at = slice(low, high) if high > low else slice(0, 1)
        return _rows(inputs, rows, at), _rows(target, rows, at), high - low, rows

    def gather(self, value, rows):
        """Return all ranks' rows of outputs or targets, in the order of the batch."""
        if isinstance(value, (list, tuple)):
            return type(value)(self.gather(item, rows) for item in value)
        if isinstance(value, dict):
            return {name: self.gather(item, rows) for name, item in value.items()}
        if not isinstance(value, _t.Tensor) or value.ndim == 0:
            return value
        value = value.detach()[:rows]
        counts = [None] * self.size
        self.dist.all_gather_object(counts, rows)
        parts = [_t.empty((n, *value.shape[1:]), dtype=value.dtype) for n in counts]
        self.dist.all_gather(parts, value)
        return _t.cat(parts)

    def sum(self, *numbers):
        """Return the ranks' sums of numbers."""
        flat = _t.tensor(numbers, dtype=_t.float64)
        self.dist.all_reduce(flat)
        return flat.tolist()

    def from_first(self, value):
        """Return rank 0's value."""
        box = [value]
        self.dist.broadcast_object_list(box, 0)
        return box[0]

    def barrier(self):
        """Wait for all ranks."""
        self.dist.barrier()


def _rows(value, rows, at):
    """Return some rows of every tensor that has the batch's number of rows."""
    if isinstance(value, _t.Tensor):
        return value[at] if value.ndim and value.shape[0] == rows else value
    if isinstance(value, (list, tuple)):
        return type(value)(_rows(item, rows, at) for item in value)
    if isinstance(value, dict):
        return {name: _rows(item, rows, at) for name, item in value.items()}
    return value
