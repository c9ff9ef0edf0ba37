"""Attention."""

from __future__ import annotations

import math

from ... import tensor as _t
from ...errors import ShapeError, TensorError, TensorTypeError
from ...tensor import Tensor
from ...tensor._attention_steps import attention
from ._util import warn
from ._padding import pad

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """Return ``softmax(query @ key.T * scale + mask) @ value``.

    Args:
        query: (N, ..., heads, L, E).
        key: (N, ..., heads, S, E).
        value: (N, ..., heads, S, Ev).
        attn_mask: bool (True takes part) or added floats, broadcast to (N, ..., L, S).
        dropout_p: probability of dropping a weight; always applied.
        is_causal: position i sees positions up to i only.
        scale: 1 / sqrt(E) if absent.
        enable_gqa: let groups of query heads share key and value heads.

    No matrix of scores is kept in memory, forward or backward, unless there is dropout or the mask wants a gradient.

    Sources: Vaswani et al. (2017), Attention is all you need, section 3.2.1; Dao et al. (2022), FlashAttention.
    """
    if dropout_p == 0.0 and (attn_mask is None or not is_causal) and _t.can_attend(query, key, value, attn_mask, enable_gqa):
        return _t.tiled_attention(query, key, value, attn_mask, is_causal, scale)
    if is_causal and attn_mask is not None and query.dim() == 4 and key.dim() == 4 and dropout_p == 0.0 and not attn_mask.requires_grad:
        # PyTorch's kernel for four dimensions takes both
        causal = _t.ones(query.shape[-2], key.shape[-2], dtype=_t.bool, device=query.device).tril()
        both = attn_mask & causal if attn_mask.dtype == _t.bool else attn_mask.masked_fill(~causal, -math.inf)
        return scaled_dot_product_attention(query, key, value, both, scale=scale, enable_gqa=enable_gqa)
    if is_causal and attn_mask is not None:
        raise TensorError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True",
            op="scaled_dot_product_attention",
        )
    if query.dim() < 2 or key.dim() < 2 or value.dim() < 2:
        raise ShapeError(
            "scaled_dot_product_attention: query, key and value must be at least 2-dimensional, got "
            f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}",
            op="scaled_dot_product_attention",
        )
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    return attention(query, key, value, attn_mask, dropout_p, is_causal, factor, enable_gqa)


def _mha_shape_check(query, key, value, key_padding_mask, attn_mask, num_heads):
    """Check the numbers of dimensions; return whether there is a batch."""
    n_dims = query.dim()
    if n_dims not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {n_dims}-D query tensor"
        )
    kind = "batched (3-D)" if n_dims == 3 else "unbatched (2-D)"
    if key.dim() != n_dims or value.dim() != n_dims:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {n_dims}-D "
            f"but found {key.dim()}-D and {value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != n_dims - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {n_dims - 1}-D "
            f"but found {key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D "
                f"but found {attn_mask.dim()}-D tensor instead"
            )
        if n_dims == 2 and attn_mask.dim() == 3:
            expected = (num_heads, query.shape[0], key.shape[0])
            if tuple(attn_mask.shape) != expected:
                raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return n_dims == 3


def _none_or_dtype(input):
    """Return a tensor's dtype, None for None."""
    if input is None:
        return None
    if isinstance(input, Tensor):
        return input.dtype
    raise TensorTypeError(f"attention: a mask must be a Tensor or None, not {type(input).__name__}")


def _canonical_mask(mask, mask_name, other_type, other_name, target_type, check_other=True):
    """Turn a bool mask (True is left out) into floats to add."""
    if mask is None:
        return None
    if not isinstance(mask, Tensor):
        raise TensorTypeError(f"attention: {mask_name} must be a Tensor or None, not {type(mask).__name__}")
    is_float = mask.is_floating_point()
    if mask.dtype != _t.bool and not is_float:
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=4,
        )
    if not is_float:
        mask = _t.zeros(mask.shape, dtype=target_type, device=mask.device).masked_fill(mask, -math.inf)
    return mask


def _in_projection_packed(q, k, v, w, b=None):
    """Project with weights stacked in the order q, k, v."""
    size = q.shape[-1]
    if k is v:
        if q is k:
            return _t.linear(q, w, b).chunk(3, -1)
        w_q, w_kv = w.split([size, 2 * size])
        b_q, b_kv = (None, None) if b is None else b.split([size, 2 * size])
        return (_t.linear(q, w_q, b_q), *_t.linear(k, w_kv, b_kv).chunk(2, -1))
    w_q, w_k, w_v = w.chunk(3)
    b_q, b_k, b_v = (None, None, None) if b is None else b.chunk(3)
    return _t.linear(q, w_q, b_q), _t.linear(k, w_k, b_k), _t.linear(v, w_v, b_v)


def _in_projection(q, k, v, w_q, w_k, w_v, b_q=None, b_k=None, b_v=None):
    """Project with separate weights."""
    size = q.shape[-1]
    for name, w, x in (("query", w_q, q), ("key", w_k, k), ("value", w_v, v)):
        expected = (size, x.shape[-1])
        if tuple(w.shape) != expected:
            raise AssertionError(f"expecting {name} weights shape of {expected}, but got {w.shape}")
    return _t.linear(q, w_q, b_q), _t.linear(k, w_k, b_k), _t.linear(v, w_v, b_v)


def _padding_of(mask, batch, keys):
    """Return a padding mask (N, S) as (N, 1, 1, S)."""
    if tuple(mask.shape) != (batch, keys):
        raise AssertionError(f"Expected key_padding_mask of shape {(batch, keys)}, but got {tuple(mask.shape)}")
    return mask.reshape(batch, 1, 1, keys)


def _with_extra_column(*masks):
    return tuple(None if m is None else pad(m, (0, 1)) for m in masks)


def _attend_plainly(q, k, v, num_heads, mask, dropout_p, causal_hint, weights, biases, out_weight, out_bias, training):
    """Attend without copies: heads are views of the projections, in whichever order, (L, N) or (N, L), memory has them.

    In training the output lies in memory as (L, N, E), as PyTorch's does: the order in which a dropout after it draws its numbers.

    Args:
        q, k, v: (L, N, E) or (S, N, E).
        mask: floats to add, broadcast to (N, heads, L, S), or None.
        weights, biases: the packed ones in tuples of one, or those of q, k and v.

    Returns:
        output (L, N, E); seen from (N, L, E) if the query is.
    """
    turned = q.stride(0) < q.stride(1)
    if turned:
        same = q is k, k is v
        q = q.transpose(0, 1)
        k = q if same[0] else k.transpose(0, 1)
        v = k if same[1] else v.transpose(0, 1)
    project = _in_projection_packed if len(weights) == 1 else _in_projection
    order = (0, 2, 1, 3) if turned else (1, 2, 0, 3)
    heads = [x.view(x.shape[0], x.shape[1], num_heads, -1).permute(order) for x in project(q, k, v, *weights, *biases)]
    out = scaled_dot_product_attention(*heads, mask, dropout_p, causal_hint)
    if turned and training:
        turned, q = False, q.transpose(0, 1)
    out = out.permute((0, 2, 1, 3) if turned else (2, 0, 1, 3)).reshape(q.shape)
    out = _t.linear(out, out_weight, out_bias)
    return out.transpose(0, 1) if turned else out


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
):
    """Compute multi-head attention from its parameters (see ``nn.MultiheadAttention``).

    Shape:
        query (L, N, E) or (L, E), key and value (S, N, ...) or (S, ...); attn_mask (L, S) or
        (N * heads, L, S); key_padding_mask (N, S) or (S).

    Returns:
        output (L, N, E) or (L, E), and the weights (N, L, S), with heads if not averaged, or None.
    """
    is_batched = _mha_shape_check(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not is_batched:
        same_kv, same_qk = key is value, query is key
        query = query.unsqueeze(1)
        key = query if same_qk else key.unsqueeze(1)
        value = key if same_kv else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)

    tgt_len, bsz, embed_dim = query.shape
    src_len = key.shape[0]
    key_padding_mask = _canonical_mask(
        key_padding_mask, "key_padding_mask", _none_or_dtype(attn_mask), "attn_mask", query.dtype
    )
    if is_causal and attn_mask is None:
        raise TensorError(
            "Need attn_mask if specifying the is_causal hint.", op="multi_head_attention_forward"
        )
    causal_hint = False
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask, causal_hint = None, True  # the hint says what the mask holds
    else:
        attn_mask = _canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, check_other=False)
    if embed_dim != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}")
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")

    if use_separate_proj_weight:
        for name, weight in (("q_proj_weight", q_proj_weight), ("k_proj_weight", k_proj_weight), ("v_proj_weight", v_proj_weight)):
            if weight is None:
                raise AssertionError(f"use_separate_proj_weight is True but {name} is None")
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    elif in_proj_weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    else:
        weights, biases = (in_proj_weight,), (in_proj_bias,)
    if not training:
        dropout_p = 0.0

    if attn_mask is not None:
        if attn_mask.dim() == 2:
            if tuple(attn_mask.shape) != (tgt_len, src_len):
                raise ShapeError(
                    f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be {(tgt_len, src_len)}."
                )
            attn_mask = attn_mask.unsqueeze(0)
        elif attn_mask.dim() == 3:
            expected = (bsz * num_heads, tgt_len, src_len)
            if tuple(attn_mask.shape) != expected:
                raise ShapeError(f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be {expected}.")

    if not need_weights and not add_zero_attn and bias_k is None and bias_v is None and static_k is None and static_v is None:
        mask = attn_mask
        if mask is not None:
            mask = mask.unsqueeze(0) if mask.shape[0] == 1 else mask.reshape(bsz, num_heads, tgt_len, src_len)
        if key_padding_mask is not None:
            padding = _padding_of(key_padding_mask, bsz, src_len)
            mask = padding if mask is None else mask + padding
        out = _attend_plainly(
            query, key, value, num_heads, mask, dropout_p, causal_hint, weights, biases, out_proj_weight, out_proj_bias, training
        )
        return (out if is_batched else out.squeeze(1)), None

    project = _in_projection if use_separate_proj_weight else _in_projection_packed
    q, k, v = project(query, key, value, *weights, *biases)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must be given together")
    if bias_k is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value.")
        k = _t.cat([k, bias_k.repeat(1, bsz, 1)])
        v = _t.cat([v, bias_v.repeat(1, bsz, 1)])
        attn_mask, key_padding_mask = _with_extra_column(attn_mask, key_padding_mask)

    def by_head(x):  # (S, N, E) -> (N * heads, S, E / heads)
        return x.reshape(x.shape[0], bsz * num_heads, head_dim).transpose(0, 1)

    q = by_head(q)
    for name, static in (("static_k", static_k), ("static_v", static_v)):
        if static is not None and (static.shape[0] != bsz * num_heads or static.shape[2] != head_dim):
            raise AssertionError(
                f"expecting {name} of sizes ({bsz * num_heads}, S, {head_dim}), but got {tuple(static.shape)}"
            )
    k = by_head(k) if static_k is None else static_k
    v = by_head(v) if static_v is None else static_v

    if add_zero_attn:
        zeros = k.new_zeros((bsz * num_heads, 1, head_dim))
        k, v = _t.cat([k, zeros], 1), _t.cat([v, zeros], 1)
        attn_mask, key_padding_mask = _with_extra_column(attn_mask, key_padding_mask)
    src_len = k.shape[1]

    if key_padding_mask is not None:
        spread = _padding_of(key_padding_mask, bsz, src_len).expand(bsz, num_heads, 1, src_len).reshape(bsz * num_heads, 1, src_len)
        attn_mask = spread if attn_mask is None else attn_mask + spread

    if need_weights:
        score = _t.matmul(q * math.sqrt(1.0 / head_dim), k.transpose(-2, -1))
        if attn_mask is not None:
            score = score + attn_mask
        weights = _t.softmax(score, -1)
        if dropout_p > 0.0:
            weights = _t.dropout(weights, dropout_p, True)
        out = _t.matmul(weights, v).transpose(0, 1).reshape(tgt_len, bsz, embed_dim)
        out = _t.linear(out, out_proj_weight, out_proj_bias)
        weights = weights.reshape(bsz, num_heads, tgt_len, src_len)
        if average_attn_weights:
            weights = weights.mean(1)
        return (out, weights) if is_batched else (out.squeeze(1), weights.squeeze(0))

    if attn_mask is not None:
        if attn_mask.shape[0] == 1:
            attn_mask = attn_mask.unsqueeze(0)
        else:
            attn_mask = attn_mask.reshape(bsz, num_heads, -1, src_len)
    shape = (bsz, num_heads, -1, head_dim)
    out = scaled_dot_product_attention(
        q.reshape(shape), k.reshape(shape), v.reshape(shape), attn_mask, dropout_p, causal_hint
    )
    out = out.permute(2, 0, 1, 3).reshape(tgt_len, bsz, embed_dim)
    out = _t.linear(out, out_proj_weight, out_proj_bias)
    return (out if is_batched else out.squeeze(1)), None
