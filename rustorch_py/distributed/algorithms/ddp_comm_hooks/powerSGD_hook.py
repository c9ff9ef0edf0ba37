"""PowerSGD: gradients of matrices travel as two thin factors; what the factors miss is added to the next step's gradients.

Source: Vogels, Karimireddy, Jaggi, "PowerSGD: Practical Low-Rank Gradient Compression for Distributed Optimization", NeurIPS 2019.
"""
from __future__ import annotations

import math

from .... import tensor as _t
from ....linalg import qr
from ....errors import TensorValueError
from ....futures import Future
from ..._collectives import all_reduce
from ..._group import default, duplicate
from .default_hooks import mean

__all__ = ["PowerSGDState", "batched_powerSGD_hook", "powerSGD_hook"]


class PowerSGDState:
    """What `powerSGD_hook` keeps.

    Args:
        process_group: None: the default group.
        matrix_approximation_rank: columns of the factors.
        start_powerSGD_iter: steps with a plain mean before compression begins; at least 2 with error feedback or warm start.
        min_compression_rate: matrices that would shrink by less are sent whole.
        use_error_feedback: add what was lost to the next step. warm_start: begin with the last step's factor.
        orthogonalization_epsilon: added to norms; for gradients that vanish.
        random_seed: of the first factors; the same on all ranks.
        compression_stats_logging_frequency: steps between log messages of the compression rate.
        batch_tensors_with_same_shape: multiply matrices of one shape in one call.
    """

    def __init__(self, process_group=None, matrix_approximation_rank=1, start_powerSGD_iter=1000, min_compression_rate=2, use_error_feedback=True,
                 warm_start=True, orthogonalization_epsilon=0, random_seed=0, compression_stats_logging_frequency=10_000,
                 batch_tensors_with_same_shape=False):
        if (use_error_feedback or warm_start) and start_powerSGD_iter <= 1:
            raise TensorValueError("Expect `start_powerSGD_iter` > 1 if `use_error_feedback` or `warm_start` is enabled, because PowerSGD can only be applied "
                                   "after the first two iterations in DDP.", op="PowerSGDState")
        self.process_group, self.matrix_approximation_rank = process_group, matrix_approximation_rank
        self.start_powerSGD_iter, self.min_compression_rate = start_powerSGD_iter, min_compression_rate
        self.use_error_feedback, self.warm_start = use_error_feedback, warm_start
        self.orthogonalization_epsilon, self.batch_tensors_with_same_shape = orthogonalization_epsilon, batch_tensors_with_same_shape
        self.rng = _t.Generator().manual_seed(random_seed)
        self.error_dict, self.q_memory_dict = {}, {}
        self.iter = 0
        self.total_numel_before_compression = self.total_numel_after_compression = 0
        self.compression_stats_logging_frequency = max(1, compression_stats_logging_frequency)
        self.next_stats_report = 0
        self._groups = {}

    def group(self):
        """Return the process group."""
        return default("powerSGD_hook") if self.process_group is None else self.process_group

    def channel(self, index):
        """Return a group of a bucket's own: its second message starts whenever its first is complete, which is not the same moment on all ranks."""
        if index not in self._groups:
            self._groups[index] = duplicate(self.group(), f"PowerSGD {index}")
        return self._groups[index]

    def maybe_increase_iter(self, bucket):
        """Count a step at its last bucket."""
        if bucket.is_last():
            self.iter += 1

    def compression_stats(self):
        """Return (rate, numbers before, numbers after) of compression."""
        after = self.total_numel_after_compression
        return (self.total_numel_before_compression / after if after else 0, self.total_numel_before_compression, after)

    def count(self, bucket, before, after):
        """Add to the statistics and log them now and then."""
        self.total_numel_before_compression += before
        self.total_numel_after_compression += after
        if bucket.is_last() and self.iter >= self.next_stats_report:
            from ...._log import logger
            logger.info("PowerSGD: step %d: compression rate %.2f (%d numbers before, %d after)", self.iter, *self.compression_stats())
            self.next_stats_report = self.iter + self.compression_stats_logging_frequency


def _orthogonalize(p, epsilon):
    """Make the columns of each of a stack of matrices orthonormal, in place: by QR, or Gram-Schmidt with an epsilon or in 16 bits."""
    if epsilon == 0 and p.element_size() > 2:
        p.copy_(qr(p)[0])
        return
    for i in range(p.shape[-1]):
        column = p[..., i:i + 1]
        norm = column.norm(dim=-2, keepdim=True)
        column.div_(_t.where(norm + epsilon > 0, norm + epsilon, 1.0))
        if i + 1 < p.shape[-1]:
            rest = p[..., i + 1:]
            rest.sub_((column * rest).sum(-2, keepdim=True) * column)


def _stacks(state, matrices):
    """Return the matrices as stacks (count, n, m) to be multiplied in one call each, with a function that writes results back."""
    if not state.batch_tensors_with_same_shape:
        return [(m.unsqueeze(0), [m]) for m in matrices]
    by_shape = {}
    for m in matrices:
        by_shape.setdefault(tuple(m.shape), []).append(m)
    return [(_t.stack(group), group) for group in by_shape.values()]


def _run(state, bucket, flat, matrices, whole):
    """Reduce matrices by their factors and other tensors as they are; the future's value is flat."""
    index, group = bucket.index(), state.channel(bucket.index())
    n = group.size()
    before = None
    if state.use_error_feedback:
        error = state.error_dict.get(index)
        if error is None or error.numel() != flat.numel():
            error = state.error_dict[index] = _t.zeros_like(flat)
        flat.add_(error)
        before = flat.clone()
    stacks = _stacks(state, matrices)
    ranks = [min(state.matrix_approximation_rank, s.shape[1], s.shape[2]) for s, _ in stacks]
    qs = state.q_memory_dict.get(index) if state.warm_start else None
    if qs is None or [q.shape for q in qs] != [_t.Size([s.shape[0], s.shape[2], r]) for (s, _), r in zip(stacks, ranks)]:
        qs = [_t.randn(s.shape[0], s.shape[2], r, generator=state.rng).to(flat.dtype) for (s, _), r in zip(stacks, ranks)]
    for q in qs:
        _orthogonalize(q, state.orthogonalization_epsilon)
    ps = [s @ q for (s, _), q in zip(stacks, qs)]
    state.count(bucket, flat.numel(), sum(t.numel() for t in whole) + sum(p.numel() + q.numel() for p, q in zip(ps, qs)))
    result = Future()

    def guarded(step):
        def run(future):
            try:
                with _t.no_grad():
                    future.value()
                    step()
            except Exception as problem:
                result.set_exception(problem)
        return run

    def second():
        parts = first.split([t.numel() for t in whole] + [p.numel() for p in ps])
        for t, part in zip(whole, parts):
            t.copy_(part.view(t.shape)).mul_(1 / n)
        for p, part in zip(ps, parts[len(whole):]):
            p.copy_(part.view(p.shape))
            _orthogonalize(p, state.orthogonalization_epsilon)
        for (s, _), p, q in zip(stacks, ps, qs):
            q.copy_(s.transpose(1, 2) @ p)
        if not qs:
            return last(None)
        flat_q = _t.cat([q.reshape(-1) for q in qs])
        all_reduce(flat_q, group=group, async_op=True).get_future().add_done_callback(guarded(lambda: last(flat_q)))

    def last(flat_q):
        if qs:
            for q, part in zip(qs, flat_q.split([q.numel() for q in qs])):
                q.copy_(part.view(q.shape)).mul_(1 / n)
        for (_, group_), p, q in zip(stacks, ps, qs):
            for m, close in zip(group_, p @ q.transpose(1, 2)):
                m.copy_(close)
        if state.use_error_feedback:
            _t.sub(before, flat, out=state.error_dict[index])
            for t in whole:                 # sent whole: nothing was lost
                at = t.storage_offset() - flat.storage_offset()
                state.error_dict[index][at:at + t.numel()].zero_()
        if state.warm_start:
            state.q_memory_dict[index] = qs
        result.set_result(flat)

    first = _t.cat([t.reshape(-1) for t in (*whole, *ps)])
    all_reduce(first, group=group, async_op=True).get_future().add_done_callback(guarded(second))
    return result


def powerSGD_hook(state, bucket):
    """Reduce a bucket's matrices by factors of low rank, its vectors by a plain mean."""
    buffer = bucket.buffer()
    with _t.no_grad():
        if state.iter < state.start_powerSGD_iter:
            state.maybe_increase_iter(bucket)
            return mean(state.group(), buffer)
        matrices, whole = [], []
        for gradient in bucket.gradients():
            if gradient.dim() > 1 and gradient.is_contiguous():
                n, m = gradient.shape[0], gradient.numel() // gradient.shape[0]
                rank = min(n, m, state.matrix_approximation_rank)
                if (n + m) * rank * state.min_compression_rate < n * m:
                    matrices.append(gradient.view(n, m))
                    continue
            whole.append(gradient)
        future = _run(state, bucket, buffer, matrices, whole)
    state.maybe_increase_iter(bucket)
    return future


def batched_powerSGD_hook(state, bucket):
    """Reduce a bucket as one square matrix: faster than `powerSGD_hook`, and less exact."""
    buffer = bucket.buffer()
    with _t.no_grad():
        if state.iter < state.start_powerSGD_iter:
            state.maybe_increase_iter(bucket)
            return mean(state.group(), buffer)
        side = math.ceil(math.sqrt(buffer.numel()))
        square = _t.zeros(side * side, dtype=buffer.dtype, device=buffer.device)
        square[:buffer.numel()].copy_(buffer)
        future = _run(state, bucket, square, [square.view(side, side)], [])
    state.maybe_increase_iter(bucket)

    def cut(done):
        with _t.no_grad():
            return buffer.copy_(done.value()[:buffer.numel()])
    return future.then(cut)
