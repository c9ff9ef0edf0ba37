"""One stage of a pipeline: a module, what comes from the stage before it, and what goes to the one after it.

Every message is a header (shapes, dtypes, who wants a gradient) and the tensors, on the group's communicator for pairs of ranks. Between the same two
stages the micro-batches travel in order, so a tag for each stage and direction is enough.
"""
from __future__ import annotations

from ... import cuda
from ... import tensor as _t
from ...autograd import backward as _backward
from ...errors import DeviceError, DistError, ShapeError, TensorTypeError, TensorValueError
from ...nn.modules.module import Module
from .._ddp import DistributedDataParallel
from .._group import default, member
from .._work import Work, watched
from . import _messages

__all__ = ["PipelineStage", "build_stage"]

_TAG = 16384                     # below 2**15 - 1, which every MPI has; programs' own tags are likely to be small
FORWARD, BACKWARD = 0, 1


def _as_tuple(op, name, value):
    if value is None:
        return None
    found = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not all(v is None or isinstance(v, _t.Tensor) for v in found):
        raise TensorTypeError(f"{op}: {name}: expected a tensor or a tuple of tensors", op=op)
    return found


class PipelineStage:
    """Wrap the part of a model that runs on this rank; a schedule runs it.

    A module in DistributedDataParallel is one stage in each of several pipelines: its gradients are averaged once a step, while the last
    micro-batch's backward runs.

    Args:
        submodule: takes the tensors that the stage before it returns, and returns a tensor or a tuple of tensors.
        stage_index: its number, from 0. num_stages: of all stages, on all ranks of the group.
        device: where the submodule is and what it is given lies: "cpu", or a GPU, whose messages go through page-locked host memory.
        input_args, output_args: examples of a micro-batch's inputs and outputs; shapes and dtypes that differ are errors. None: whatever comes.
        output_grads, input_grads: examples of gradients, checked in the same way.
        group: the pipeline's ranks; None: the default group. Stage i runs on rank i of it, or with several stages a rank on rank i modulo its size.
    Raises:
        ValueError: stage_index or num_stages do not fit the group.

    Example:
        >>> stage = PipelineStage(part, rank, world_size, "cpu")                            # doctest: +SKIP
        >>> schedule = ScheduleGPipe(stage, n_microbatches=4, loss_fn=nn.MSELoss())         # doctest: +SKIP
    """

    def __init__(self, submodule, stage_index, num_stages, device, input_args=None, output_args=None, output_grads=None, input_grads=None, group=None,
                 dw_builder=None, get_mesh=None):
        op = "PipelineStage"
        if not isinstance(submodule, Module):
            raise TensorTypeError(f"{op}: submodule: expected a Module, got {type(submodule).__name__}", op=op)
        for name, value in (("dw_builder", dw_builder), ("get_mesh", get_mesh)):
            if value is not None:
                raise TensorValueError(f"{op}: {name}: not supported, must be None", op=op)
        if not 0 <= stage_index < num_stages:
            raise TensorValueError(f"{op}: Stage index {stage_index} is out of range of {num_stages}", op=op)
        self.device = _t.device(device)
        if self.device.type not in ("cpu", "cuda"):
            raise DeviceError(f"{op}: device: expected cpu or cuda, got {self.device}", op=op)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = _t.device("cuda", cuda.current_device())
        self.group = default(op) if group is None else member(op, group)
        if self.group is None:
            raise TensorValueError(f"{op}: group: this rank is no member of it", op=op)
        _messages.check(op, self.group)
        self.group_rank, self.group_size = self.group.rank(), self.group.size()
        if self.group_size > num_stages:
            raise TensorValueError(f"{op}: Pipeline group size {self.group_size} cannot be larger than number of stages {num_stages}", op=op)
        self.submod, self.stage_index, self.num_stages = submodule, stage_index, num_stages
        self.name = f"Stage {stage_index}"
        self.stage_index_to_group_rank = {i: i % self.group_size for i in range(num_stages)}
        self.has_backward = False
        self._examples = {what: _as_tuple(op, what, value) for what, value in (
            ("input_args", input_args), ("output_args", output_args), ("output_grads", output_grads), ("input_grads", input_grads))}
        self._tied = {}
        inner = submodule.module if isinstance(submodule, DistributedDataParallel) else submodule
        for key, name in getattr(inner, "_tied_parameters", {}).items():
            self.tie(key, inner.get_parameter(name))
        self._mail = {}                       # messages between stages of one rank; schedules give their stages one box
        self.clear_runtime_states()

    @property
    def is_first(self):
        """Whether the model's inputs enter here."""
        return self.stage_index == 0

    @property
    def is_last(self):
        """Whether the model's outputs leave here."""
        return self.stage_index == self.num_stages - 1

    def tie(self, key, parameter):
        """Declare that other stages hold the same parameter under the same key: values start as the first stage's, gradients are summed.

        Stages cut by `pipeline` and `split_sequential` know theirs.
        """
        if not any(parameter is p for p in self.submod.parameters()):
            raise TensorValueError(f"tie: {key!r}: not a parameter of stage {self.stage_index}", op="tie")
        self._tied[key] = parameter

    def clear_runtime_states(self):
        """Forget the micro-batches of the last step."""
        self._inputs, self._outputs = {}, {}             # of micro-batches whose backward is to come
        self.output_chunks = []
        self._sent = []

    # -- messages --------------------------------------------------------------------------------

    def _tag(self, stage, direction):
        return _TAG + 2 * stage + direction

    def _send(self, stage, direction, tensors, wants=None):
        """Start to send tensors (None among them for "no gradient") to a stage."""
        peer = self.stage_index_to_group_rank[stage]
        tensors = [t if t is None else t.detach() for t in tensors]
        if peer == self.group_rank:
            self._mail.setdefault((stage, direction), []).append((tensors, wants))
            return
        tag = self._tag(stage, direction)
        header = [(t if t is None else (tuple(t.shape), t.dtype)) for t in tensors], wants
        self._sent.append(Work("isend", [self.group.p2p.isend(header, peer, tag)], [], None, self.group.timeout))
        self._sent += [_messages.isend(self.group, t, peer, tag) for t in tensors if t is not None]

    def _receive(self, stage, direction):
        """Return the next tensors from a stage, and which of them want a gradient."""
        peer = self.stage_index_to_group_rank[stage]
        if peer == self.group_rank:
            tensors, wants = self._mail[self.stage_index, direction].pop(0)
            return [t if t is None else t.to(self.device) for t in tensors], wants
        tag = self._tag(self.stage_index, direction)
        with watched(f"PipelineStage {self.stage_index}: receiving from stage {stage}", self.group.timeout):
            kinds, wants = self.group.p2p.recv(source=peer, tag=tag)
        return [None if kind is None else _messages.recv(self.group, _t.empty(kind[0], dtype=kind[1], device=self.device), peer, tag) for kind in kinds], wants

    def finish_sends(self):
        """Wait until all that was sent is out of this rank's memory."""
        for work in self._sent:
            work.wait()
        self._sent = []

    def _check(self, what, tensors):
        examples = self._examples[what]
        if examples is None:
            return
        def kind(t):
            return t if t is None else (tuple(t.shape), t.dtype)
        if [kind(t) for t in examples] != [kind(t) for t in tensors]:
            raise ShapeError(f"PipelineStage {self.stage_index}: {what}: expected {[kind(t) for t in examples]}, got {[kind(t) for t in tensors]}",
                             op="PipelineStage")

    # -- a micro-batch ---------------------------------------------------------------------------

    def forward_one_chunk(self, fwd_chunk_id, args, kwargs=None):
        """Run a micro-batch: its arguments on the first stage, elsewhere what the stage before sends. Returns what the module returned."""
        if self.is_first:
            inputs = tuple(args)
        else:
            tensors, wants = self._receive(self.stage_index - 1, FORWARD)
            inputs = tuple(t.requires_grad_() if want and self.has_backward else t for t, want in zip(tensors, wants))
        self._check("input_args", [t for t in inputs if isinstance(t, _t.Tensor)])
        if isinstance(self.submod, DistributedDataParallel) and self.has_backward:
            with self.submod.no_sync():
                output = self.submod(*inputs, **(kwargs or {}))
        else:
            output = self.submod(*inputs, **(kwargs or {}))
        outputs = tuple(output) if isinstance(output, (tuple, list)) else (output,)
        if not self.is_last:
            if not all(isinstance(t, _t.Tensor) for t in outputs):
                raise TensorTypeError(f"PipelineStage {self.stage_index}: a stage must return a tensor or a tuple of tensors, got "
                                      f"{[type(t).__name__ for t in outputs]}", op="PipelineStage")
            self._check("output_args", outputs)
            self._send(self.stage_index + 1, FORWARD, outputs, [t.requires_grad for t in outputs])
        else:
            self._check("output_args", [t for t in outputs if isinstance(t, _t.Tensor)])
            self.output_chunks.append(output)
        if self.has_backward:
            self._inputs[fwd_chunk_id], self._outputs[fwd_chunk_id] = inputs, outputs
        return output

    def backward_one_chunk(self, bwd_chunk_id, loss=None, scale=1.0, last_backward=False):
        """Run a micro-batch's backward: of the loss on the last stage, elsewhere of the gradients that the next stage sends.

        Args:
            scale: factor of the loss. last_backward: this step's last; DistributedDataParallel averages gradients in it.
        """
        inputs, outputs = self._inputs.pop(bwd_chunk_id), self._outputs.pop(bwd_chunk_id)
        if self.is_last:
            ends, grads = [loss], [_t.full_like(loss.detach(), scale)]
            if loss.numel() != 1:
                raise ShapeError(f"PipelineStage {self.stage_index}: loss_fn must return one number, got shape {tuple(loss.shape)}", op="PipelineStage")
        else:
            given, _ = self._receive(self.stage_index + 1, BACKWARD)
            self._check("output_grads", given)
            pairs = [(t, g) for t, g in zip(outputs, given) if t.requires_grad and g is not None]
            ends, grads = [t for t, _ in pairs], [g for _, g in pairs]
        if last_backward and isinstance(self.submod, DistributedDataParallel):
            self.submod.reducer.sync = True
            self.submod.reducer.prepare(ends if self.submod.find_unused_parameters and not self.submod.static_graph else ())
        if any(t.requires_grad for t in ends):
            _backward(ends, grads)
        if not self.is_first:
            back = [t.grad if t.requires_grad else None for t in inputs]
            self._check("input_grads", back)
            self._send(self.stage_index - 1, BACKWARD, back)

    def __repr__(self):
        return f"PipelineStage({self.stage_index} of {self.num_stages}, rank {self.group_rank} of {self.group_size}, {type(self.submod).__name__})"


def build_stage(stage_module, stage_index, pipe_info, device, group=None):
    """Return the `PipelineStage` of one part of a `Pipe`.

    Args:
        stage_module: from ``pipe.get_stage_module(stage_index)``. pipe_info: from ``pipe.info()``.
        device, group: as of `PipelineStage`; the module is moved to the device.
    """
    if not any(p.device.type == "meta" for p in stage_module.parameters()):
        stage_module.to(device)
    return PipelineStage(stage_module, stage_index, pipe_info.num_stages, device, group=group)


class TiedParameters:
    """The parameters that stages on several ranks share: equal values at the start, summed gradients after each step.

    Sums are made on the first rank that holds a parameter, in the order of ranks, and sent to the others: all replicas get the same bits.
    Keys are treated in one order on all ranks, so the blocking messages cannot wait for each other in a ring.
    """
    TAG = _TAG - 1

    def __init__(self, stages):
        self.group, self.own = stages[0].group, {}
        for stage in stages:
            for key, parameter in stage._tied.items():
                held = self.own.setdefault(key, [])
                if not any(parameter is p for p in held):
                    held.append(parameter)
        with watched("TiedParameters", self.group.timeout):
            every = self.group.comm.allgather({key: (tuple(held[0].shape), held[0].dtype) for key, held in self.own.items()})
        self.holders = {}
        for rank, keys in enumerate(every):
            for key, kind in keys.items():
                ranks = self.holders.setdefault(key, [])
                if ranks and every[ranks[0]][key] != kind:
                    raise DistError(f"tie: {key!r} is {every[ranks[0]][key]} on rank {ranks[0]} and {kind} on rank {rank}", op="tie")
                ranks.append(rank)
        self.keys = [key for key in sorted(self.own) if len(self.holders[key]) > 1 or len(self.own[key]) > 1]
        with _t.no_grad():
            for key in self.keys:
                first, *rest = self.own[key]
                self._agree(key, first.detach())
                for p in rest:
                    p.copy_(first)

    def _agree(self, key, tensor):
        """Give all holders the first one's values."""
        root, *others = self.holders[key]
        if self.group.rank() == root:
            for rank in others:
                _messages.isend(self.group, tensor, rank, self.TAG).wait()
        else:
            _messages.recv(self.group, tensor, root, self.TAG)

    def begin(self):
        """Set aside what .grad holds from earlier steps: it is summed already."""
        self.earlier = [[p.grad for p in self.own[key]] for key in self.keys]
        for key in self.keys:
            for p in self.own[key]:
                p.grad = None

    def finish(self):
        """Sum the step's gradients over all holders."""
        with _t.no_grad():
            for key, earlier in zip(self.keys, self.earlier):
                held = self.own[key]
                total = _t.zeros_like(held[0], memory_format=_t.contiguous_format)
                for p in held:
                    if p.grad is not None:
                        total += p.grad.to(total.device)
                root, *others = self.holders[key]
                if self.group.rank() == root:
                    part = _t.empty_like(total)
                    for rank in others:
                        total += _messages.recv(self.group, part, rank, self.TAG)
                else:
                    _messages.isend(self.group, total, root, self.TAG).wait()
                self._agree(key, total)
                for p, before in zip(held, earlier):
                    if p.grad is None:
                        p.grad = total.to(p.device, copy=True)
                    else:
                        p.grad.copy_(total)
                    if before is not None:
                        p.grad += before
        self.earlier = None
