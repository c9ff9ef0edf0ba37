"""ZeRO, stage 1: each rank keeps the optimizer state of some of the parameters, steps those, and sends them to the others.

Source: Rajbhandari, Rasley, Ruwase, He, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", SC 2020.
"""
from __future__ import annotations

from ... import tensor as _t
from ...errors import DistError, TensorTypeError, TensorValueError
from ...optim.optimizer import Optimizer
from .._collectives import broadcast
from .._group import default, member
from .._objects import gather_object
from ..algorithms.join import Join, Joinable, JoinHook

__all__ = ["ZeroRedundancyOptimizer"]


class _ZeroJoinHook(JoinHook):
    """A rank that is done goes on stepping its share of the parameters, by the gradients that DistributedDataParallel's hook leaves."""

    def __init__(self, zero):
        self.zero = zero

    def main_hook(self):
        self.zero.step()


class ZeroRedundancyOptimizer(Optimizer, Joinable):
    """Spread an optimizer's state over the ranks of a group. Gradients must be the same on all ranks (DistributedDataParallel).

    Args:
        params: as of any optimizer; the same on all ranks.
        optimizer_class: the optimizer that makes the steps.
        process_group: None: the default group.
        parameters_as_bucket_view: lay the parameters out in flat buckets, which saves two copies a step.
        overlap_with_ddp: must be False.
        **defaults: options of optimizer_class.

    Example:
        >>> ZeroRedundancyOptimizer(model.parameters(), optim.Adam, lr=0.01)          # doctest: +SKIP
    """

    def __init__(self, params, optimizer_class, process_group=None, parameters_as_bucket_view=False, overlap_with_ddp=False, **defaults):
        op = "ZeroRedundancyOptimizer"
        Joinable.__init__(self)
        if overlap_with_ddp:
            raise TensorValueError(f"{op}: overlap_with_ddp is not supported, must be False", op=op)
        if not (isinstance(optimizer_class, type) and issubclass(optimizer_class, Optimizer)):
            raise TensorTypeError(f"{op}: optimizer_class: expected a class of optimizers, got {optimizer_class!r}", op=op)
        self.process_group = default(op) if process_group is None else member(op, process_group)
        self.rank, self.world_size = self.process_group.rank(), self.process_group.size()
        self.parameters_as_bucket_view = parameters_as_bucket_view
        self._class, self._options = optimizer_class, defaults
        self._loads = [0] * self.world_size          # numbers of parameters given to each rank
        self._owner = {}                             # id of a parameter -> rank
        self._all_state_dicts = []
        self.optim = self._buckets = None
        super().__init__(params, defaults)
        self._lay_out()

    # -- who has what ----------------------------------------------------------------------------

    def add_param_group(self, param_group):
        """Add one group of parameters; its parameters are dealt out to the ranks with the least so far, largest first."""
        super().add_param_group(param_group)
        for p in sorted(self.param_groups[-1]["params"], key=lambda p: -p.numel()):
            rank = min(range(self.world_size), key=self._loads.__getitem__)
            self._owner[id(p)] = rank
            self._loads[rank] += p.numel() if p.requires_grad else 0
        if self._buckets is not None:            # not while the constructor adds its groups
            self._lay_out()

    def _own(self, group, rank):
        return [p for p in group["params"] if self._owner[id(p)] == rank]

    def _lay_out(self):
        """Make this rank's optimizer, keeping what it has, and the buckets that are sent."""
        before = self.optim.state if self.optim is not None else {}
        self._sync_groups = [group for group in self.param_groups if self._own(group, self.rank)]
        local = [{**{k: v for k, v in group.items() if k not in ("params", "param_names")}, "params": self._own(group, self.rank)} for group in self._sync_groups]
        self.optim = self._class(local, **self._options) if local else None
        if self.optim is not None:
            self.optim.state.update(before)
            for whole, mine in zip(self._sync_groups, self.optim.param_groups):
                for key, value in mine.items():       # options that the optimizer's own defaults bring
                    if key != "params":
                        whole.setdefault(key, value)
        self._buckets = []                            # (rank, its parameters of one dtype, flat tensor or None)
        for rank in range(self.world_size):
            by_dtype = {}
            for group in self.param_groups:
                for p in self._own(group, rank):
                    by_dtype.setdefault(p.dtype, []).append(p)
            for params in by_dtype.values():
                flat = None
                if self.parameters_as_bucket_view:
                    with _t.no_grad():
                        flat = _t.cat([p.detach().reshape(-1) for p in params])
                    for p, part in zip(params, flat.split([p.numel() for p in params])):
                        p.data = part.view(p.shape)
                self._buckets.append((rank, params, flat))

    # -- a step ----------------------------------------------------------------------------------

    def step(self, closure=None):
        """Step this rank's parameters and exchange all; returns what the closure returned, or None."""
        Join.notify_join_context(self)
        loss = None
        if self.optim is None:
            if closure is not None:
                with _t.enable_grad():
                    loss = closure()
        else:
            self._copy_options(self._sync_groups, self.optim.param_groups)
            loss = self.optim.step(closure) if closure is not None else self.optim.step()
            self._copy_options(self.optim.param_groups, self._sync_groups)
        self._send()
        return loss

    @staticmethod
    def _copy_options(source, target):
        for a, b in zip(source, target):
            b.update({key: value for key, value in a.items() if key not in ("params", "param_names")})

    def join_hook(self, **kwargs):
        """Return what `algorithms.join.Join` calls; it belongs behind the DistributedDataParallel in the list of joinables."""
        return _ZeroJoinHook(self)

    @property
    def join_device(self):
        """The device of the parameters."""
        return self.param_groups[0]["params"][0].device

    @property
    def join_process_group(self):
        """The group over which the state is spread."""
        return self.process_group

    def _send(self):
        """Give all ranks every rank's parameters."""
        with _t.no_grad():
            flats = []
            for rank, params, flat in self._buckets:
                if flat is None:
                    flat = (_t.cat([p.detach().reshape(-1) for p in params]) if rank == self.rank
                            else _t.empty(sum(p.numel() for p in params), dtype=params[0].dtype, device=params[0].device))
                flats.append((flat, broadcast(flat, group=self.process_group, group_src=rank, async_op=True)))
            for (rank, params, view), (flat, work) in zip(self._buckets, flats):
                work.wait()
                if view is None and rank != self.rank:
                    for p, part in zip(params, flat.split([p.numel() for p in params])):
                        p.copy_(part.view(p.shape))

    # -- state -----------------------------------------------------------------------------------

    def consolidate_state_dict(self, to=0):
        """Gather the state of all ranks on one, whose `state_dict` then gives it; all ranks call this."""
        target = self.process_group.place.get(to)
        if target is None:
            raise TensorValueError(f"consolidate_state_dict: to: rank {to} is not in the group", op="consolidate_state_dict")
        numbers = self._numbers()
        mine = {numbers[id(p)]: value for p, value in self.optim.state.items()} if self.optim is not None else {}
        gathered = [None] * self.world_size if self.rank == target else None
        gather_object(mine, gathered, group=self.process_group, group_dst=target)
        self._all_state_dicts = gathered or []

    def _numbers(self):
        numbers = {}
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
        return numbers

    def state_dict(self):
        """Return the whole state as consolidated last, in the form of any optimizer's.

        Raises:
            RuntimeError: it was not consolidated on this rank.
        """
        if not self._all_state_dicts:
            raise DistError(f"Optimizer state has not been consolidated on this rank. Please call `consolidate_state_dict(to={self.rank})` on all ranks beforehand "
                            "if you meant to save the global state.", op="state_dict")
        numbers = self._numbers()
        groups = [{**{k: v for k, v in group.items() if k != "params"}, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups]
        state = {}
        for part in self._all_state_dicts:
            state.update(part)
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Take over a whole state, as `state_dict` or a plain optimizer gave it; each rank keeps its own parameters' part."""
        super().load_state_dict(state_dict)
        whole, self.state = self.state, type(self.state)(dict)
        self._lay_out()
        if self.optim is not None:
            self.optim.state.clear()
            for p, value in whole.items():
                if isinstance(p, _t.Tensor) and self._owner[id(p)] == self.rank:
                    self.optim.state[p] = value
            self._copy_options(self._sync_groups, self.optim.param_groups)
