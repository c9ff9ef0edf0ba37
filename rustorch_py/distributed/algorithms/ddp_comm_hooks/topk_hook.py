"""Only the largest gradients travel; what is left out is added to the next step's (error feedback).

Source: Stich, Cordonnier, Jaggi, "Sparsified SGD with Memory", NeurIPS 2018.
"""
from __future__ import annotations

from .... import tensor as _t
from ....errors import TensorValueError
from ....futures import collect_all
from ..._collectives import all_gather_into_tensor
from ..._group import default

__all__ = ["TopKState", "topk_hook"]


class TopKState:
    """What `topk_hook` keeps.

    Args:
        process_group: None: the default group.
        ratio: share of each bucket's entries that is sent, above 0 and at most 1.
    """

    def __init__(self, process_group=None, ratio=0.01):
        if not 0 < ratio <= 1:
            raise TensorValueError(f"TopKState: ratio: expected a number above 0 and at most 1, got {ratio}", op="TopKState")
        self.process_group, self.ratio = process_group, ratio
        self.error_dict = {}            # bucket index -> what was not sent yet


def topk_hook(state, bucket):
    """Send the entries of a bucket that are largest in size; returns a future of the mean of what was sent."""
    group = default("topk_hook") if state.process_group is None else state.process_group
    buffer, n = bucket.buffer(), group.size()
    k = max(1, round(state.ratio * buffer.numel()))
    with _t.no_grad():
        error = state.error_dict.get(bucket.index())
        if error is not None and error.numel() == buffer.numel():
            buffer.add_(error)
        places = buffer.abs().topk(k, sorted=False).indices
        values = buffer[places]
        left = buffer.clone()
        left[places] = 0
        state.error_dict[bucket.index()] = left
    all_places, all_values = (_t.empty(k * n, dtype=x.dtype, device=x.device) for x in (places, values))
    works = [all_gather_into_tensor(all_places, places, group, True), all_gather_into_tensor(all_values, values, group, True)]

    def spread(futures):
        futures.value()
        with _t.no_grad():
            return buffer.zero_().index_add_(0, all_places, all_values / n)
    return collect_all([work.get_future() for work in works]).then(spread)
