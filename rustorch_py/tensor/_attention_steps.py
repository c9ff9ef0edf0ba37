"""Attention from recorded operators: for dropout, for masks with gradients and for gradients of gradients."""
import math

from ._create import ones as _ones
from ._dropout import dropout as _dropout
from ._dtype import _dtype_by_name
from ._matmul import matmul as _matmul
from ._softmax import softmax as _softmax

_bool, _halves = _dtype_by_name("bool"), (_dtype_by_name("float16"), _dtype_by_name("bfloat16"))


def attention(query, key, value, attn_mask, dropout_p, is_causal, scale, grouped=False):
    """Return dropout(softmax(query @ key.T * scale + mask)) @ value.

    Args:
        query: (..., heads, L, E).
        key, value: (..., heads, S, E) and (..., heads, S, Ev); fewer heads if ``grouped``.
        attn_mask: bool (True takes part) or floats to add, or None.
        scale: a number.
    """
    if grouped and query.dim() > 2 and key.shape[-3] != query.shape[-3]:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    if query.dtype in _halves and scale >= 0:
        # Scaling both sides by the root keeps half-precision products in range.
        root = math.sqrt(scale)
        score = _matmul(query * root, (key * root).transpose(-2, -1))
    else:
        score = _matmul(query * scale, key.transpose(-2, -1))
    # The product's gradient does not read its result: masks go into it in place.
    if is_causal:
        n_query, n_key = query.shape[-2], key.shape[-2]
        hidden = _ones(n_query, n_key, dtype=_bool, device=query.device).triu(1)
        score = score.masked_fill_(hidden, -math.inf)
    dead = None
    if attn_mask is not None:
        if attn_mask.dtype == _bool:
            score = score.masked_fill(attn_mask.logical_not(), -math.inf)
            dead = attn_mask.logical_not().all(-1, keepdim=True)
        else:
            score = score + attn_mask
            dead = (attn_mask == -math.inf).all(-1, keepdim=True)
    weights = _softmax(score, -1)
    if dead is not None and bool(dead.any()):
        weights = weights.masked_fill(dead, 0.0)  # rows that see nothing give zeros
    if dropout_p > 0.0:
        weights = _dropout(weights, dropout_p, True)
    return _matmul(weights, value)
