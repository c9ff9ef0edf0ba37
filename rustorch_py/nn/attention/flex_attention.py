"""Attention whose scores and mask are Python functions of positions.

PyTorch compiles these functions into a kernel. Here they are called once, with tensors of indices that
broadcast to (batch, heads, queries, keys), so any function of tensor operators works.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypedDict

from ... import tensor as _t
from ...errors import ShapeError, TensorValueError
from ...tensor import Tensor

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "FlexKernelOptions",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

_DEFAULT_SPARSE_BLOCK_SIZE = 128


def noop_mask(batch, head, token_q, token_kv):
    """Return True everywhere: no mask."""
    return batch.new_ones((), dtype=_t.bool)


def and_masks(*mask_mods):
    """Return the mask function that is true where all the given ones are."""
    _check_callables(mask_mods)

    def both(b, h, q, kv):
        out = noop_mask(b, h, q, kv)
        for mask in mask_mods:
            out = out & mask(b, h, q, kv)
        return out

    return both


def or_masks(*mask_mods):
    """Return the mask function that is true where any of the given ones is."""
    _check_callables(mask_mods)

    def either(b, h, q, kv):
        out = b.new_zeros((), dtype=_t.bool)
        for mask in mask_mods:
            out = out | mask(b, h, q, kv)
        return out

    return either


def _check_callables(functions):
    if not all(callable(f) for f in functions):
        raise TensorValueError(f"All inputs should be callable mask_mods: {functions}")


def _positions(batch, heads, n_query, n_key, device):
    """Return index tensors of batch, head, query and key that broadcast to four dimensions."""

    def line(n, dim):
        shape = [1, 1, 1, 1]
        shape[dim] = n
        return _t.arange(n, device=device).reshape(shape)

    return line(batch, 0), line(heads, 1), line(n_query, 2), line(n_key, 3)


def create_mask(mod_fn, B, H, Q_LEN, KV_LEN, device="cpu"):
    """Evaluate a mask function at all positions.

    Args:
        mod_fn: function of (batch, head, query, key) to bool.
        B, H, Q_LEN, KV_LEN: sizes; None counts as one for batch and heads.
        device: where the mask is made.

    Returns:
        bool (B, H, Q_LEN, KV_LEN).
    """
    b, h = B or 1, H or 1
    out = mod_fn(*_positions(b, h, Q_LEN, KV_LEN, device))
    return out.expand(b, h, Q_LEN, KV_LEN)


class BlockMask:
    """Hold a mask function and, by blocks of queries and keys, where it lets anything through.

    Made by ``create_block_mask``.

    Attributes:
        kv_num_blocks: (B, H, query blocks), how many key blocks each query block needs partly.
        kv_indices: (B, H, query blocks, key blocks), their numbers first.
        full_kv_num_blocks, full_kv_indices: the same for blocks that are wholly let through.
        BLOCK_SIZE: (queries, keys) of a block.
        mask_mod: the function.
        seq_lengths: (queries, keys).
    """

    def __init__(
        self, kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, BLOCK_SIZE, mask_mod, seq_lengths
    ):
        self.kv_num_blocks = kv_num_blocks
        self.kv_indices = kv_indices
        self.full_kv_num_blocks = full_kv_num_blocks
        self.full_kv_indices = full_kv_indices
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod
        self.seq_lengths = seq_lengths

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks,
        kv_indices,
        full_kv_num_blocks=None,
        full_kv_indices=None,
        BLOCK_SIZE=_DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod=None,
        seq_lengths=None,
    ):
        """Make a BlockMask from block lists (see the attributes)."""
        if kv_indices.dim() < 2:
            raise ShapeError("BlockMask must have at least 2 dimensions")
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise TensorValueError("full_kv_num_blocks and full_kv_indices must be both provided or omitted")
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
        if seq_lengths is None:
            seq_lengths = (kv_indices.shape[-2] * size[0], kv_indices.shape[-1] * size[1])
        mask_mod = noop_mask if mask_mod is None else mask_mod
        return cls(kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, size, mask_mod, seq_lengths)

    @property
    def shape(self):
        """(B, H, queries, keys)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self):
        """Return the number of (query, key) pairs, over batch and heads."""
        return math.prod(self.shape)

    def to_dense(self):
        """Return (B, H, query blocks, key blocks): 1 where a block is needed."""
        out = _spread(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is not None:
            out = out | _spread(self.full_kv_num_blocks, self.full_kv_indices)
        return out.to(_t.int32)

    def sparsity(self):
        """Return the percentage of pairs outside the needed blocks (blocks over the edge count whole)."""
        needed = int(self.to_dense().sum()) * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1]
        return 100 * (1 - needed / self.numel())

    def to(self, device):
        """Return the mask with its lists on a device."""

        def move(t):
            return None if t is None else t.to(device)

        return BlockMask(
            move(self.kv_num_blocks),
            move(self.kv_indices),
            move(self.full_kv_num_blocks),
            move(self.full_kv_indices),
            self.BLOCK_SIZE,
            self.mask_mod,
            self.seq_lengths,
        )

    def allowed(self, batch, heads, n_query, n_key, device):
        """Return the bool mask (batch, heads, queries, keys): the function, within the blocks listed."""
        mask = self.mask_mod(*_positions(batch, heads, n_query, n_key, device))
        partial = _pixels(_spread(self.kv_num_blocks, self.kv_indices), self.BLOCK_SIZE, n_query, n_key)
        mask = mask & partial
        if self.full_kv_num_blocks is not None:
            mask = mask | _pixels(
                _spread(self.full_kv_num_blocks, self.full_kv_indices), self.BLOCK_SIZE, n_query, n_key
            )
        return mask

    def __repr__(self):
        return f"BlockMask(shape={tuple(self.shape)}, sparsity={self.sparsity():.2f}%)"


def _spread(counts, indices):
    """Turn lists of block numbers into a bool table (..., query blocks, key blocks)."""
    n = indices.shape[-1]
    valid = _t.arange(n, device=indices.device) < counts.unsqueeze(-1)
    table = _t.zeros(indices.shape, dtype=_t.int64, device=indices.device)
    return table.scatter_add(-1, indices.to(_t.int64), valid.to(_t.int64)) > 0


def _pixels(blocks, size, n_query, n_key):
    """Enlarge a table of blocks to positions."""
    out = blocks.repeat_interleave(size[0], -2).repeat_interleave(size[1], -1)
    return out[..., :n_query, :n_key]


def _lists(table):
    """Turn a bool table of blocks into (counts, indices), needed blocks first."""
    table = table.to(_t.int32)
    order = _t.argsort(table, dim=-1, descending=True, stable=True)
    return table.sum(-1).to(_t.int32), order.to(_t.int32)


class FlexKernelOptions(TypedDict, total=False):
    """Names of the options by which PyTorch's GPU kernels are tuned, for annotations: sizes of tiles, threads, stages. None has a meaning on a CPU."""

    num_warps: int
    num_stages: int
    BLOCK_M: int
    BLOCK_N: int
    BLOCK_M1: int
    BLOCK_N1: int
    BLOCK_M2: int
    BLOCK_N2: int
    PRESCALE_QK: bool
    ROWS_GUARANTEED_SAFE: bool
    BLOCKS_ARE_CONTIGUOUS: bool
    WRITE_DQ: bool
    FORCE_USE_FLEX_ATTENTION: bool
    USE_TMA: bool
    kpack: int
    matrix_instr_nonkdim: int
    waves_per_eu: int
    BACKEND: Any


class AuxRequest(NamedTuple):
    """Which statistics of the scores `flex_attention` is to return: the logarithm of each row's sum of exponentials, its largest score."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """The statistics asked for by an `AuxRequest`; None where not."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def create_block_mask(
    mask_mod, B, H, Q_LEN, KV_LEN, device="cpu", BLOCK_SIZE=_DEFAULT_SPARSE_BLOCK_SIZE, _compile=False
):
    """Evaluate a mask function and note which blocks it needs.

    Args:
        mask_mod: function of (batch, head, query, key) to bool.
        B, H, Q_LEN, KV_LEN: sizes; None counts as one for batch and heads.
        device: where the lists are made.
        BLOCK_SIZE: edge of a block, a number or a pair for queries and keys.
    """
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    b, h = mask.shape[:2]
    rows, cols = -(-Q_LEN // size[0]), -(-KV_LEN // size[1])
    padded = _t.zeros(b, h, rows * size[0], cols * size[1], dtype=_t.int64, device=device)
    padded[:, :, :Q_LEN, :KV_LEN] = mask.to(_t.int64)
    count = padded.reshape(b, h, rows, size[0], cols, size[1]).sum((3, 5))
    full = count == size[0] * size[1]
    return BlockMask(*_lists((count > 0) & ~full), *_lists(full), size, mask_mod, (Q_LEN, KV_LEN))


def flex_attention(
    query,
    key,
    value,
    score_mod=None,
    block_mask=None,
    scale=None,
    enable_gqa=False,
    return_lse=False,
    kernel_options=None,
    *,
    return_aux=None,
):
    """Return attention with scores changed by a function and masked by another.

    Args:
        query: (B, heads, L, E).
        key: (B, heads, S, E).
        value: (B, heads, S, Ev).
        score_mod: function of (score, batch, head, query, key) to the new score.
        block_mask: what may be seen (see ``create_block_mask``).
        scale: 1 / sqrt(E) if absent.
        enable_gqa: let groups of query heads share key and value heads.
        return_lse: return the logarithm of each row's sum of exponentials too; an older form of return_aux.
        kernel_options: kept from PyTorch's signature; there is no kernel to tune.
        return_aux: an `AuxRequest`; return (output, `AuxOutput`), each statistic (B, heads, L) float32.

    Source: Dong et al. (2024), Flex attention.
    """
    if not query.dim() == key.dim() == value.dim() == 4:
        raise ShapeError(
            f"flex_attention: query, key and value must be 4-dimensional, got {tuple(query.shape)}, "
            f"{tuple(key.shape)} and {tuple(value.shape)}",
            op="flex_attention",
        )
    if key.shape[1] != query.shape[1]:
        if not enable_gqa or query.shape[1] % key.shape[1]:
            raise TensorValueError(
                f"Expect query and key/value to have the same number of heads but got Hq={query.shape[1]} and "
                f"Hkv={key.shape[1]}. Try setting enable_gqa=True for GQA."
            )
        times = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    if return_lse and return_aux is not None:
        raise TensorValueError("Cannot specify both return_lse and return_aux. return_lse is deprecated, please use return_aux=AuxRequest(lse=True) instead.")
    batch, heads, n_query, width = query.shape
    n_key = key.shape[2]
    factor = 1.0 / math.sqrt(width) if scale is None else scale
    score = _t.matmul(query, key.transpose(-2, -1)) * factor
    if score_mod is not None:
        score = score_mod(score, *_positions(batch, heads, n_query, n_key, query.device))
    if block_mask is not None:
        if n_query > block_mask.seq_lengths[0] or n_key > block_mask.seq_lengths[1]:
            raise TensorValueError(
                f"block_mask was created for block_mask.shape={tuple(block_mask.shape)} but got q_len={n_query} and "
                f"kv_len={n_key}. As the block mask was created for a smaller length than you're using it for, you "
                "likely need to create a new block mask."
            )
        score = score.masked_fill(~block_mask.allowed(batch, heads, n_query, n_key, query.device), -math.inf)
    highest = score.detach().amax(-1, keepdim=True)
    top = _t.where(highest == -math.inf, _t.zeros_like(highest), highest)  # rows that see nothing give zeros
    weight = _t.exp(score - top)
    total = weight.sum(-1, keepdim=True)
    out = _t.matmul(weight / _t.where(total == 0, _t.ones_like(total), total), value).to(query.dtype)
    if not return_lse and return_aux is None:
        return out
    lse = (_t.log(total) + top).squeeze(-1)
    if return_aux is None:
        return out, lse
    return out, AuxOutput(lse if return_aux.lse else None, highest.squeeze(-1) if return_aux.max_scores else None)
