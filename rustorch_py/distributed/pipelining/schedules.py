"""Schedules: in which order a rank runs the forward and backward passes of micro-batches through its stages.

A schedule lays out the actions of all ranks at the start; a step carries out this rank's. Receiving waits, sending does not, so a step
ends for every order in which each action comes after those it needs.
"""
from __future__ import annotations

from typing import NamedTuple

from ... import tensor as _t
from ...errors import AutogradError, TensorTypeError, TensorValueError
from .microbatch import TensorChunkSpec, merge_chunks, split_args_kwargs_into_chunks, split_tensor
from .stage import PipelineStage, TiedParameters

__all__ = ["PipelineScheduleMulti", "PipelineScheduleSingle", "Schedule1F1B", "ScheduleGPipe", "ScheduleInterleaved1F1B", "ScheduleLoopedBFS", "get_schedule_class"]


class _Action(NamedTuple):
    """A pass of a micro-batch through a stage."""
    stage_index: int
    computation_type: str          # F or B
    microbatch_index: int

    def __str__(self):
        return f"{self.stage_index}{self.computation_type}{self.microbatch_index}"


class _PipelineSchedule:
    """What all schedules share.

    Args:
        stages: this rank's. n_microbatches: into how many parts a batch is cut.
        loss_fn: ``loss_fn(output, target)`` of a micro-batch, one number; None: forward only.
        args_chunk_spec, kwargs_chunk_spec: how arguments are cut; None: tensors along dimension 0. output_merge_spec: how outputs are put together.
        scale_grads: divide gradients by the number of micro-batches, as a loss that is a mean needs it.
    """

    def __init__(self, stages, n_microbatches, loss_fn=None, args_chunk_spec=None, kwargs_chunk_spec=None, output_merge_spec=None, scale_grads=True):
        op = type(self).__name__
        if not stages or not all(isinstance(stage, PipelineStage) for stage in stages):
            raise TensorTypeError(f"{op}: expected a PipelineStage, got {[type(stage).__name__ for stage in stages]}", op=op)
        if isinstance(n_microbatches, bool) or not isinstance(n_microbatches, int) or n_microbatches < 1:
            raise TensorValueError(f"{op}: n_microbatches: expected an int above 0, got {n_microbatches!r}", op=op)
        first = stages[0]
        if any(stage.group is not first.group or stage.num_stages != first.num_stages for stage in stages):
            raise TensorValueError(f"{op}: the stages belong to different pipelines", op=op)
        self._stages, self._by_index = list(stages), {stage.stage_index: stage for stage in stages}
        self._num_stages, self.pp_group_size, self.rank = first.num_stages, first.group_size, first.group_rank
        expected = [i for i, rank in first.stage_index_to_group_rank.items() if rank == self.rank]
        if sorted(self._by_index) != expected:
            raise TensorValueError(f"{op}: rank {self.rank} of {self.pp_group_size} needs the stages {expected} of {self._num_stages}, got {sorted(self._by_index)}", op=op)
        self._n_microbatches, self._loss_fn, self.scale_grads = n_microbatches, loss_fn, scale_grads
        self._args_chunk_spec, self._kwargs_chunk_spec, self._output_merge_spec = args_chunk_spec, kwargs_chunk_spec, output_merge_spec
        self._has_backward = loss_fn is not None
        self._tied = None
        mail = {}
        for stage in self._stages:
            stage._mail = mail
        self._check_counts(op)
        self.pipeline_order = {rank: self._order(rank) for rank in range(self.pp_group_size)}

    def _check_counts(self, op):
        """Refuse numbers of stages and micro-batches that the schedule cannot lay out."""

    def _order(self, rank):
        """Return the list of a rank's actions."""
        raise NotImplementedError

    def step(self, *args, target=None, losses=None, return_outputs=True, loss_kwargs=None, **kwargs):
        """Run one batch through the pipeline, forward and, with a loss_fn, backward. All ranks call it.

        Args:
            *args: the model's inputs, on the rank of the first stage. **kwargs: given to this rank's stages.
            target: of the whole batch, on the rank of the last stage.
            losses: a list to be filled, there, with the micro-batches' losses.
            return_outputs: put the outputs together. loss_kwargs: given to loss_fn.
        Returns:
            The outputs of the whole batch on the rank of the last stage, None elsewhere.
        """
        op = type(self).__name__
        if self._has_backward and not _t.is_grad_enabled():
            raise AutogradError(f"{op}: step() requires gradients to be enabled for backward computation; it should not be used under torch.no_grad() context. "
                                "Please call eval() instead.", op=op)
        if losses is not None and not isinstance(losses, list):
            raise TensorTypeError(f"{op}: losses must be a list but got a {type(losses).__name__}", op=op)
        n = self._n_microbatches
        inputs, keywords = split_args_kwargs_into_chunks(args, kwargs, n, self._args_chunk_spec, self._kwargs_chunk_spec)
        targets = None
        if self._loss_fn is not None and self._num_stages - 1 in self._by_index:
            if target is None and self._has_backward:
                raise TensorValueError(f"{op}: step: target: the rank of the last stage needs it for loss_fn", op=op)
            targets = split_tensor(target, TensorChunkSpec(0), n) if target is not None else None
        if self._has_backward:
            if self._tied is None:
                self._tied = TiedParameters(self._stages)
            self._tied.begin()
        for stage in self._stages:
            stage.clear_runtime_states()
            stage.has_backward = self._has_backward
        found = {}
        for action in self.pipeline_order[self.rank]:
            stage, number = self._by_index[action.stage_index], action.microbatch_index
            if action.computation_type == "F":
                output = stage.forward_one_chunk(number, inputs[number], keywords[number])
                if stage.is_last and targets is not None:
                    found[number] = self._loss_fn(output, targets[number], **(loss_kwargs or {}))
            elif self._has_backward:
                stage.backward_one_chunk(number, found.get(number) if stage.is_last else None, 1 / n if self.scale_grads else 1.0, number == n - 1)
                if stage.is_last:
                    found[number] = found[number].detach()
        for stage in self._stages:
            stage.finish_sends()
        if self._has_backward:
            self._tied.finish()
        if losses is not None and targets is not None:
            losses[:] = [found[i] for i in range(n)]
        last = self._by_index.get(self._num_stages - 1)
        return merge_chunks(last.output_chunks, self._output_merge_spec) if last is not None and return_outputs else None

    def eval(self, *args, target=None, losses=None, **kwargs):
        """Run one batch forward only, as `step` does; with a target the losses are found too."""
        before = self._has_backward
        self._has_backward = False
        try:
            return self.step(*args, target=target, losses=losses, **kwargs)
        finally:
            self._has_backward = before


class PipelineScheduleSingle(_PipelineSchedule):
    """A schedule for one stage a rank."""

    def __init__(self, stage, n_microbatches, loss_fn=None, args_chunk_spec=None, kwargs_chunk_spec=None, output_merge_spec=None, scale_grads=True):
        super().__init__([stage], n_microbatches, loss_fn, args_chunk_spec, kwargs_chunk_spec, output_merge_spec, scale_grads)


class PipelineScheduleMulti(_PipelineSchedule):
    """A schedule for several stages a rank: rank r of n has the stages r, r + n, r + 2 n, ..."""


class ScheduleGPipe(PipelineScheduleSingle):
    """Run all micro-batches forward, then all backward.

    Source: Huang et al., "GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism", NeurIPS 2019.

    Args:
        stage: this rank's `PipelineStage`. n_microbatches: into how many parts a batch is cut.
        loss_fn: ``loss_fn(output, target)`` of a micro-batch, one number; None: forward only.
        args_chunk_spec, kwargs_chunk_spec: how arguments are cut; None: tensors along dimension 0. output_merge_spec: how outputs are put together.
        scale_grads: divide gradients by the number of micro-batches, as a loss that is a mean needs it.
    """

    def _order(self, rank):
        n = range(self._n_microbatches)
        return [_Action(rank, "F", i) for i in n] + [_Action(rank, "B", i) for i in n]


class Schedule1F1B(PipelineScheduleSingle):
    """Run one forward and one backward in turn, once the pipeline is full: a stage holds few micro-batches' activations.

    Source: Narayanan et al., "PipeDream: Generalized Pipeline Parallelism for DNN Training", SOSP 2019.

    Args:
        stage, n_microbatches, ...: as of `ScheduleGPipe`; at least as many micro-batches as stages.
    """

    def _check_counts(self, op):
        if self._n_microbatches < self._num_stages:
            raise TensorValueError(f"Number of microbatches ({self._n_microbatches}) must be greater than or equal to the number of stages ({self._num_stages}).", op=op)

    def _order(self, rank):
        n, ahead = self._n_microbatches, min(self._n_microbatches, self._num_stages - rank)
        order = [_Action(rank, "F", i) for i in range(ahead)]
        for i in range(n):
            order.append(_Action(rank, "B", i))
            if ahead + i < n:
                order.append(_Action(rank, "F", ahead + i))
        return order


class ScheduleLoopedBFS(PipelineScheduleMulti):
    """Run all micro-batches through a stage before the next of the rank's stages; then backward in the opposite order.

    Source: Lamy-Poirier, "Breadth-First Pipeline Parallelism", MLSys 2023.

    Args:
        stages: list of this rank's stages; the rest as of `ScheduleGPipe`.
    """

    def _order(self, rank):
        mine, n = range(rank, self._num_stages, self.pp_group_size), range(self._n_microbatches)
        return [_Action(s, "F", i) for s in mine for i in n] + [_Action(s, "B", i) for s in reversed(mine) for i in n]


class ScheduleInterleaved1F1B(PipelineScheduleMulti):
    """One forward and one backward in turn over several stages a rank, which makes the idle times at both ends shorter.

    The micro-batches go through the stages in rounds of about as many as there are ranks.
    Source: Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM", SC 2021, section 2.2.

    Args:
        stages: list of this rank's stages; the rest as of `ScheduleGPipe`. n_microbatches must be a multiple of the number of rounds,
            n_microbatches // number of ranks (at least 1).
    """

    def _check_counts(self, op):
        rounds = max(1, self._n_microbatches // self.pp_group_size)
        if self._n_microbatches % rounds:
            raise TensorValueError(f"Interleaved 1F1B requires the number of microbatches to be a multiple of the number of rounds ({rounds}), but got "
                                   f"{self._n_microbatches}.", op=op)
        if self._num_stages % self.pp_group_size:
            raise TensorValueError(f"{op}: expected as many stages on each rank, got {self._num_stages} on {self.pp_group_size} ranks", op=op)
        self._in_round = self._n_microbatches // rounds

    def _order(self, rank):
        size, width = self.pp_group_size, self._in_round
        chunks = self._num_stages // size
        total = chunks * self._n_microbatches

        def passes(kind, chunk_order):
            """All passes of a kind: a round of micro-batches through one stage after the other, then the next round."""
            return [_Action(chunk * size + rank, kind, start + i)
                    for start in range(0, self._n_microbatches, width) for chunk in chunk_order for i in range(width)]
        forward, backward = passes("F", range(chunks)), passes("B", range(chunks - 1, -1, -1))
        ahead = min(total, (chunks - 1) * width + 2 * (size - 1 - rank))
        order = forward[:ahead]
        for i in range(total):
            order += forward[ahead + i:ahead + i + 1]
            order.append(backward[i])
        return order


def get_schedule_class(schedule_name):
    """Return a schedule's class by its name: 1F1B, GPipe, Interleaved1F1B, LoopedBFS, in any case of letters."""
    names = {"1F1B": Schedule1F1B, "Interleaved1F1B": ScheduleInterleaved1F1B, "GPipe": ScheduleGPipe, "LoopedBFS": ScheduleLoopedBFS,
             "PipelineScheduleSingle": PipelineScheduleSingle, "PipelineScheduleMulti": PipelineScheduleMulti}
    found = {name.lower(): kind for name, kind in names.items()}.get(schedule_name.lower())
    if found is None:
        raise TensorValueError(f"Unknown schedule name '{schedule_name}'. The valid options are {list(names)}", op="get_schedule_class")
    return found
