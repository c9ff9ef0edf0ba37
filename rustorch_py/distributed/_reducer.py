"""Averages gradients over ranks while backward still runs.

Parameters lie in buckets, in the order in which their gradients become final; when the last gradient of a bucket is there its
all-reduce starts, and later gradients move it on (`_work.progress`): see Note [Leaves that are final early] in autograd/_engine.pyx.
Source of the design: Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020.
"""
from __future__ import annotations

from .. import tensor as _t
from ..autograd._engine import queue_callback, reachable_leaves
from ..errors import DistError, TensorValueError
from ..tensor._leaf import accumulator_of
from . import _gradients
from ._collectives import all_reduce
from ._mpi import mpi
from ._reduce_op import ReduceOp
from ._work import progress, watched

# Note [Waiting can be faster]
# Between processes of one machine the cores themselves copy the messages, so an all-reduce that is not waited for hides nothing, and costs more. Open MPI's
# non-blocking one (libnbc) takes 2 to 3 times the blocking one (24 MB between two ranks: 17.6 ms and 6.6 ms); over MPICH, whose own is as fast, a step of an MLP of
# 6 M parameters took 56 ms and with blocking ones 53. So there buckets are reduced at once. The choice is made by where the ranks are and not by a
# measurement, because the two may sum in another order and runs shall be repeatable.


def waiting_pays(group):
    """Tell whether a group's all-reduces are to be waited for: Note [Waiting can be faster]. All members call it."""
    if group.size() == 1:
        return True
    with watched("DistributedDataParallel", group.timeout):
        here = group.comm.Split_type(mpi().COMM_TYPE_SHARED)
        alone = group.comm.allreduce(int(here.Get_size() == group.size()), mpi().MIN)
        here.Free()
    return bool(alone)


FIRST_CAP_MB = 1.0          # a small first bucket, so that sending begins early


class GradBucket:
    """What a communication hook gets: the gradients of one bucket.

    The hook returns a future of the reduced buffer; it also divides, if a mean is wanted.
    """

    def __init__(self, bucket, last):
        self._bucket, self._last = bucket, last

    def index(self):
        """Return the bucket's number; buckets start in this order."""
        return self._bucket.index

    def buffer(self):
        """Return all gradients as one flat tensor."""
        return self._bucket.flat

    def set_buffer(self, tensor):
        """Put another flat tensor in place of the buffer."""
        if tensor.numel() != self._bucket.flat.numel():
            raise TensorValueError(f"set_buffer: expected {self._bucket.flat.numel()} elements, got {tensor.numel()}", op="set_buffer")
        self._bucket.flat.copy_(tensor.reshape(-1))

    def gradients(self):
        """Return the gradients, as views of the buffer, in the order of parameters()."""
        return list(self._bucket.views)

    def parameters(self):
        """Return the bucket's parameters."""
        return list(self._bucket.parameters)

    def is_last(self):
        """Tell whether this is the step's last bucket."""
        return self._last


class _Bucket:
    """Parameters of one dtype, and one flat tensor that holds their gradients."""

    def __init__(self, index, numbers, parameters):
        self.index, self.numbers = index, numbers
        self.parameters = [parameters[i] for i in numbers]
        first = self.parameters[0]
        self.own = self.flat = _t.zeros(sum(p.numel() for p in self.parameters), dtype=first.dtype, device=first.device)
        self.views, at = [], 0
        for p in self.parameters:
            self.views.append(_shaped(self.flat[at:at + p.numel()], p))
            at += p.numel()
        self.pending = len(numbers)
        self.future = None

    def without(self, numbers):
        """Return the parameters and the views of all but these numbers."""
        kept = [i for i, number in enumerate(self.numbers) if number not in numbers]
        return [self.parameters[i] for i in kept], [self.views[i] for i in kept]


def _shaped(piece, parameter):
    """Return a flat piece in a parameter's shape, and in its strides where those fill a piece without gaps."""
    ends = sorted((stride, size) for size, stride in zip(parameter.shape, parameter.stride()) if size > 1)
    expected = 1
    for stride, size in ends:
        if stride != expected:
            return piece.view(parameter.shape)
        expected *= size
    return piece.as_strided(parameter.shape, parameter.stride(), piece.storage_offset())


def plan_buckets(parameters, order, cap_mb):
    """Return lists of parameter numbers in the given order: one dtype each, closed at cap_mb (the first earlier); a parameter of that size has its own."""
    open_buckets, done = {}, []
    for number in order:
        p = parameters[number]
        key = p.dtype
        if p.numel() * p.element_size() >= 2**20 * cap_mb:
            done.append([number])          # reduced where its gradient lies, see Reducer.fill
            continue
        numbers, size = open_buckets.get(key, ([], 0))
        numbers.append(number)
        size += p.numel() * p.element_size()
        open_buckets[key] = numbers, size
        if size >= 2**20 * (min(FIRST_CAP_MB, cap_mb) if not done else cap_mb):
            done.append(numbers)
            del open_buckets[key]
    # Buckets that never filled up come where their last parameter does.
    place = {number: i for i, number in enumerate(order)}
    return sorted(done + [numbers for numbers, _ in open_buckets.values()], key=lambda numbers: place[numbers[-1]])


class Reducer:
    """The buckets of one model and the hooks that fill them.

    Args:
        parameters: those that require gradients, with the same shapes in the same order on all ranks. names: theirs.
        group: ProcessGroup. cap_mb: size of a bucket.
        find_unused: look in each forward's graph for parameters that get no gradient.
        as_view: let .grad be a view of the bucket. static: the graph is the same in each step.
    """

    def __init__(self, parameters, names, group, cap_mb, find_unused, as_view, static):
        self.parameters, self.names, self.group, self.cap_mb = parameters, names, group, cap_mb
        self.device = parameters[0].device
        self.waits = self.device.type == "cpu" and waiting_pays(group)
        self.find_unused, self.as_view, self.static = find_unused, as_view, static
        self.hook, self.hook_state = None, None
        self.sync = True
        self.steps = 0                       # backward passes reduced so far
        self.ready_order = []                # measured in the first one
        self.rebuilt = False
        self.expected = None                 # static graph: how often each gradient is added to in a step
        self.unused_everywhere = frozenset()
        self.active = False                  # between a forward and the end of its backward
        self.divisor = group.size()          # of sums; fewer where ranks that are done do not count (Join)
        self.build(range(len(parameters) - 1, -1, -1))
        self.handles = []
        for number, p in enumerate(parameters):
            node = accumulator_of(p)
            self.handles.append((node, node.register_hook(self.make_hook(number))))

    def build(self, order):
        """Lay out the buckets anew."""
        self.buckets = [_Bucket(i, numbers, self.parameters) for i, numbers in enumerate(plan_buckets(self.parameters, order, self.cap_mb))]
        self.bucket_of = {number: (bucket, bucket.views[i]) for bucket in self.buckets for i, number in enumerate(bucket.numbers)}
        if self.as_view:
            for number, (_, view) in self.bucket_of.items():
                p = self.parameters[number]
                if p.grad is not None:
                    view.copy_(p.grad)
                    p.grad = view

    # -- a step ----------------------------------------------------------------------------------

    def prepare(self, outputs):
        """Begin a step, after the forward pass.

        Args:
            outputs: tensors the loss is computed from; looked at if unused parameters are to be found.
        Raises:
            DistError: the last step is not complete.
        """
        if self.active and self.fired:
            missing = [number for number in range(len(self.parameters)) if number not in self.fired and number not in self.absent]
            raise DistError(
                "Expected to have finished reduction in the prior iteration before starting a new one. This error indicates that your module has parameters "
                "that were not used in producing loss. You can enable unused parameter detection by passing the keyword argument "
                "`find_unused_parameters=True` to `torch.nn.parallel.DistributedDataParallel`, and by making sure all `forward` function outputs participate "
                f"in calculating loss. Parameters which did not receive grad for rank {self.group.rank()}: "
                f"{', '.join(self.names[i] for i in missing)}; parameter indices: {' '.join(map(str, missing))}", op="DistributedDataParallel")
        if self.steps == 1 and not self.rebuilt and (self.static or not self.find_unused):
            self.rebuild()
        self.active, self.fired, self.next_bucket, self.queued = True, {}, 0, False
        self.absent, self.used_work = set(), None
        for bucket in self.buckets:
            bucket.pending, bucket.future, bucket.flat = len(bucket.numbers), None, bucket.own
        if self.static:
            if self.expected is not None:
                self.absent = {n for n, times in enumerate(self.expected) if times == 0}
                for n in self.absent:
                    self.absent_from_bucket(n)
        elif self.find_unused:
            reached = {id(leaf) for leaf in reachable_leaves([t for t in outputs if t.requires_grad])}
            self.absent = {n for n, p in enumerate(self.parameters) if id(p) not in reached}
            self.start_used_map()
            for n in self.absent:
                self.absent_from_bucket(n)

    def join_step(self):
        """Answer the collectives of a step of the ranks that are not done, with gradients of zero; .grad becomes the others' mean."""
        if self.steps == 1 and not self.rebuilt and (self.static or not self.find_unused):
            self.rebuild()
        self.next_bucket, self.queued, self.used_work, self.fired = 0, True, None, {}
        self.absent = set(range(len(self.parameters)))
        if not self.steps if self.static else self.find_unused:
            self.start_used_map()
        with _t.no_grad():
            for bucket in self.buckets:
                bucket.pending, bucket.future, bucket.flat = 0, None, bucket.own
                bucket.flat.zero_()
        self.launch()
        self.finish()

    def start_used_map(self):
        """Begin to find out which parameters no rank uses: their .grad stays as it is."""
        self.used = _t.tensor([int(n not in self.absent) for n in range(len(self.parameters))], dtype=_t.int32, device=self.device)
        self.used_work = all_reduce(self.used, ReduceOp.MAX, self.group, True)

    def absent_from_bucket(self, number):
        """Count a parameter without gradient as ready; its part of the bucket is zero."""
        bucket, view = self.bucket_of[number]
        with _t.no_grad():
            p = self.parameters[number]
            if p.grad is None or p.grad.data_ptr() != view.data_ptr():
                view.zero_()
            elif self.hook is None:
                view.mul_(1 / self.divisor)
        bucket.pending -= 1

    def rebuild(self):
        """Lay the buckets out in the order in which rank 0 saw the gradients of the first step."""
        self.rebuilt = True
        order = self.ready_order if len(self.ready_order) == len(self.parameters) else self.ready_order + [
            n for n in range(len(self.parameters) - 1, -1, -1) if n not in set(self.ready_order)]
        with watched("DistributedDataParallel", self.group.timeout):
            order = self.group.comm.bcast(order, 0)
        self.build(order)

    def make_hook(self, number):
        def ready(_, grads):
            if self.sync and self.active:
                self.mark(number)
        return ready

    def mark(self, number):
        """A gradient was added to .grad; if it is final, put it into its bucket."""
        times = self.fired[number] = self.fired.get(number, 0) + 1
        if self.static and self.expected is None:
            # The first step of a static graph only counts; everything is sent at its end.
            if times == 1:
                self.ready_order.append(number)
            if not self.queued:
                self.queued = True
                queue_callback(self.finish_first_static)
            return
        if number in self.absent or times > (self.expected[number] if self.static else 1):
            raise DistError(
                f"Expected to mark a variable ready only once: parameter {self.names[number]} (index {number}) has been marked as ready twice. It is used by several "
                "reentrant backward passes (checkpoint with use_reentrant=True around parts that share it), or it was reported unused by find_unused_parameters. "
                "If the graph does not change between iterations, pass static_graph=True", op="DistributedDataParallel")
        if self.static and times < self.expected[number]:
            return
        if not self.steps:
            self.ready_order.append(number)
        bucket = self.bucket_of[number][0]
        bucket.pending -= 1
        if bucket.pending == 0:
            self.launch()
        progress()

    def fill(self, bucket):
        """Copy a bucket's gradients into it, divided by the number of ranks unless a hook does that."""
        scale = 1 / self.divisor if self.hook is None else 1.0
        with _t.no_grad():
            parameters, views = bucket.parameters, bucket.views
            if len(parameters) == 1 and not self.as_view and self.hook is None and bucket.numbers[0] not in self.absent:
                grad = parameters[0].grad
                if grad.is_contiguous() and grad.dtype == bucket.own.dtype:
                    bucket.flat = grad.detach().mul_(scale)          # no copy in, none out
                    return
            elif self.absent:
                parameters, views = bucket.without(self.absent)
            for i in _gradients.fill(parameters, views, scale):
                views[i].copy_(parameters[i].grad.detach() * scale)
            if self.as_view:
                for p, view in zip(parameters, views):
                    p.grad = view

    def launch(self):
        """Start the buckets that are full, in order; with the last one, arrange for the end of the step."""
        while self.next_bucket < len(self.buckets) and self.buckets[self.next_bucket].pending == 0:
            bucket = self.buckets[self.next_bucket]
            self.next_bucket += 1
            self.fill(bucket)
            if self.hook is None:
                bucket.future = all_reduce(bucket.flat, group=self.group, async_op=not self.waits)
            else:
                bucket.future = self.hook(self.hook_state, GradBucket(bucket, self.next_bucket == len(self.buckets)))
            if self.next_bucket == len(self.buckets) and not self.queued:
                self.queued = True
                queue_callback(self.finish)

    def finish_first_static(self):
        """End the first step of a static graph."""
        self.expected = [self.fired.get(n, 0) for n in range(len(self.parameters))]
        self.absent = {n for n, times in enumerate(self.expected) if times == 0}
        if not self.steps:                   # other ranks' first step was an earlier one, where this one had no batch (Join)
            self.start_used_map()
        for n in range(len(self.parameters)):
            if n in self.absent:
                self.absent_from_bucket(n)
            else:
                self.bucket_of[n][0].pending -= 1
        self.launch()
        self.finish()

    def finish(self):
        """Wait for all buckets and give the parameters their gradients."""
        if self.used_work is not None:
            self.used_work.wait()
            self.unused_everywhere = frozenset(n for n, used in enumerate(self.used.tolist()) if not used)
        with _t.no_grad():
            for bucket in self.buckets:
                result = bucket.future.wait() if bucket.future is not None else None
                bucket.future = None
                if self.hook is not None:
                    result = result[0] if isinstance(result, (list, tuple)) else result
                    if result.data_ptr() != bucket.flat.data_ptr():
                        bucket.flat.copy_(result.reshape(-1))
                self.give(bucket)
        self.active = False
        self.steps += 1

    def give(self, bucket):
        """Put a reduced bucket into the parameters' .grad."""
        if bucket.flat is not bucket.own:
            return
        parameters, views = bucket.parameters, bucket.views
        if self.unused_everywhere and (self.find_unused or self.static):
            parameters, views = bucket.without(self.unused_everywhere)
        if self.as_view:
            for p, view in zip(parameters, views):
                p.grad = view
            return
        for i in _gradients.give(parameters, views):
            if parameters[i].grad is None:
                parameters[i].grad = views[i].clone()
            else:
                parameters[i].grad.copy_(views[i])

    def remove_hooks(self):
        """Take the hooks off the parameters."""
        for _, handle in self.handles:
            handle.remove()
        self.handles = []
