"""The mean, and the mean sent in 16 bits."""
from __future__ import annotations

from .... import tensor as _t
from ..._collectives import all_reduce
from ..._group import default

__all__ = ["allreduce_hook", "bf16_compress_hook", "bf16_compress_wrapper", "fp16_compress_hook", "fp16_compress_wrapper"]


def mean(group, flat):
    """Start the mean of a tensor over a group, in place; returns its future."""
    group = default("DistributedDataParallel") if group is None else group
    flat.mul_(1 / group.size())
    return all_reduce(flat, group=group, async_op=True).get_future().then(lambda f: f.value()[0])


def allreduce_hook(process_group, bucket):
    """Reduce a bucket to its mean over the ranks, as without a hook."""
    with _t.no_grad():
        return mean(process_group, bucket.buffer())


def _compressed(process_group, bucket, dtype):
    buffer = bucket.buffer()
    with _t.no_grad():
        small = mean(process_group, buffer.to(dtype))

    def widen(future):
        with _t.no_grad():
            return buffer.copy_(future.value())
    return small.then(widen)


def fp16_compress_hook(process_group, bucket):
    """Send a bucket as float16."""
    return _compressed(process_group, bucket, _t.float16)


def bf16_compress_hook(process_group, bucket):
    """Send a bucket as bfloat16."""
    return _compressed(process_group, bucket, _t.bfloat16)


def _wrapped(hook, dtype):
    def compressed(state, bucket):
        buffer = bucket.buffer()
        with _t.no_grad():
            bucket._bucket.flat = buffer.to(dtype)
        try:
            future = hook(state, bucket)
        finally:
            bucket._bucket.flat = buffer

        def widen(done):
            value = done.value()
            with _t.no_grad():
                return buffer.copy_(value[0] if isinstance(value, list) else value)
        return future.then(widen)
    return compressed


def fp16_compress_wrapper(hook):
    """Return a hook that gives another one the bucket as float16."""
    return _wrapped(hook, _t.float16)


def bf16_compress_wrapper(hook):
    """Return a hook that gives another one the bucket as bfloat16."""
    return _wrapped(hook, _t.bfloat16)
