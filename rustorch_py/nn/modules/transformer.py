"""The Transformer and its layers."""

from __future__ import annotations

import math
from copy import deepcopy

from ... import tensor as _t
from ...errors import ShapeError, TensorError
from ...tensor._room import refuse_endless
from .. import functional as F
from ..functional import _canonical_mask, _none_or_dtype
from ..init import xavier_uniform_
from ._call import linear_then
from .activation import GELU, ReLU
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


def _generate_square_subsequent_mask(sz, device=None, dtype=None):
    """Return the float mask (sz, sz) with -inf above the diagonal."""
    return _t.full((sz, sz), -math.inf, dtype=dtype, device=device).triu(1)


def _get_seq_len(src, batch_first):
    """Return the length of a sequence tensor; None if it has no such dimension."""
    if src.dim() == 2:
        return src.shape[0]
    return src.shape[1 if batch_first else 0] if src.dim() == 3 else None


def _detect_is_causal_mask(mask, is_causal=None, size=None):
    """Tell whether a mask is the causal one, unless the caller said so."""
    if is_causal is not None or mask is None:
        return is_causal is True
    size = mask.shape[-2] if size is None else size
    causal = _generate_square_subsequent_mask(size, device=mask.device, dtype=mask.dtype)
    return mask.shape == causal.shape and bool((mask == causal).all())


def _get_clones(module, n):
    weights = sum(p.nbytes for p in module.parameters() if p.device.type == "cpu")
    refuse_endless(type(module).__name__, "num_layers", n, 10000 + weights)
    return ModuleList([deepcopy(module) for _ in range(n)])


def _get_activation_fn(activation):
    if activation == "relu":
        return F.relu
    if activation == "gelu":
        return F.gelu
    raise TensorError(f"activation should be relu/gelu, not {activation}")


_LAYER_ARGS = """
    Args:
        d_model: number of features.
        nhead: number of heads.
        dim_feedforward: width of the two-layer network after the attention.
        dropout: probability of dropping.
        activation: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: eps of the layer normalizations.
        batch_first: tensors are (N, L, E) instead of (L, N, E).
        norm_first: normalize before each block instead of after it.
        bias: learn offsets.
    """


class _TransformerLayer(Module):
    """What encoder and decoder layers share: the feed-forward block and the norms."""

    def _add_blocks(
        self, n_norms, d_model, dim_feedforward, dropout, activation, eps, norm_first, bias, device, dtype
    ):
        # The attentions are there already: they come first in state_dict() and in the order of draws.
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        for i in range(1, n_norms + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, eps, bias=bias, device=device, dtype=dtype))
        for i in range(1, n_norms + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _get_activation_fn(activation) if isinstance(activation, str) else activation

    def __setstate__(self, state):
        state.setdefault("activation", F.relu)
        super().__setstate__(state)

    def _feed_forward(self, x):
        return self.linear2(self.dropout(linear_then(self.linear1, self.activation, x)))


class TransformerEncoderLayer(_TransformerLayer):
    __doc__ = "Apply self-attention and a feed-forward network, each with residual and normalization.\n" + _LAYER_ARGS

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-05,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, device=device, dtype=dtype
        )
        self._add_blocks(
            2, d_model, dim_feedforward, dropout, activation, layer_norm_eps, norm_first, bias, device, dtype
        )

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        """Encode.

        Args:
            src: the sequences.
            src_mask, src_key_padding_mask, is_causal: as for ``MultiheadAttention``.
        """
        src_key_padding_mask = _canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", _none_or_dtype(src_mask), "src_mask", src.dtype
        )
        src_mask = _canonical_mask(src_mask, "src_mask", None, "", src.dtype, check_other=False)
        x = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._ff_block(x))

    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
        out = self.self_attn(
            x,
            x,
            x,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            need_weights=False,
            is_causal=is_causal,
        )
        return self.dropout1(out[0])

    def _ff_block(self, x):
        return self.dropout2(self._feed_forward(x))


class TransformerDecoderLayer(_TransformerLayer):
    __doc__ = (
        "Apply self-attention, attention to a memory, and a feed-forward network.\n" + _LAYER_ARGS
    )

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-05,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        for name in ("self_attn", "multihead_attn"):
            attention = MultiheadAttention(
                d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, device=device, dtype=dtype
            )
            setattr(self, name, attention)
        self._add_blocks(
            3, d_model, dim_feedforward, dropout, activation, layer_norm_eps, norm_first, bias, device, dtype
        )

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=False,
        memory_is_causal=False,
    ):
        """Decode.

        Args:
            tgt: the sequences.
            memory: the encoder's output.
            tgt_mask, tgt_key_padding_mask, tgt_is_causal: masks of the self-attention.
            memory_mask, memory_key_padding_mask, memory_is_causal: masks of the attention to the memory.
        """
        x = tgt
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory, memory_mask, memory_key_padding_mask, memory_is_causal)
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), *own)
            x = x + self._mha_block(self.norm2(x), *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, *own))
        x = self.norm2(x + self._mha_block(x, *other))
        return self.norm3(x + self._ff_block(x))

    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
        out = self.self_attn(
            x,
            x,
            x,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )
        return self.dropout1(out[0])

    def _mha_block(self, x, mem, attn_mask, key_padding_mask, is_causal=False):
        out = self.multihead_attn(
            x,
            mem,
            mem,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )
        return self.dropout2(out[0])

    def _ff_block(self, x):
        return self.dropout3(self._feed_forward(x))


class TransformerEncoder(Module):
    """Stack copies of an encoder layer.

    Args:
        encoder_layer: the layer to copy.
        num_layers: number of copies.
        norm: a module applied at the end.
        enable_nested_tensor: in evaluation without gradients, positions that ``src_key_padding_mask`` leaves out become zeros before ``norm``,
            as PyTorch's ragged tensors leave them.
        mask_check: do so only where the padding stands at the end of each sequence.
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        self.layers = _get_clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        """Encode; ``is_causal`` None finds out whether ``mask`` is the causal one."""
        src_key_padding_mask = _canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", _none_or_dtype(mask), "mask", src.dtype
        )
        mask = _canonical_mask(mask, "mask", None, "", src.dtype, check_other=False)
        first = self.layers[0]
        batch_first = first.self_attn.batch_first if hasattr(first, "self_attn") else False
        is_causal = _detect_is_causal_mask(mask, is_causal, _get_seq_len(src, batch_first))
        out = src
        for layer in self.layers:
            out = layer(out, src_mask=mask, is_causal=is_causal, src_key_padding_mask=src_key_padding_mask)
        if src_key_padding_mask is not None and mask is None and self._drops_padding(src, src_key_padding_mask):
            out = out.masked_fill(src_key_padding_mask.bool().unsqueeze(-1), 0.0)
        return out if self.norm is None else self.norm(out)

    def _drops_padding(self, src, padding):
        """Tell whether PyTorch would run the layers on ragged tensors, whose padding comes out as zeros."""
        first = self.layers[0]
        if not self.enable_nested_tensor or not isinstance(first, TransformerEncoderLayer) or first.training or first.norm_first or src.dim() != 3:
            return False
        attention = first.self_attn
        if (
            not attention.batch_first
            or not attention._qkv_same_embed_dim
            or attention.in_proj_bias is None
            or attention.num_heads % 2
            or first.activation not in (F.relu, F.gelu) and not isinstance(first.activation, (ReLU, GELU))
            or first.norm1.eps != first.norm2.eps
            or _t.is_autocast_enabled(src.device.type)
            or _t.is_grad_enabled() and any(p.requires_grad for p in (src, *first.parameters()))
        ):
            return False
        left_aligned = not self.mask_check or not bool((padding[:, :-1].bool() & ~padding[:, 1:].bool()).any())
        return left_aligned


class TransformerDecoder(Module):
    """Stack copies of a decoder layer.

    Args:
        decoder_layer: the layer to copy.
        num_layers: number of copies.
        norm: a module applied at the end.
    """

    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__()
        self.layers = _get_clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """Decode; ``tgt_is_causal`` None finds out whether ``tgt_mask`` is the causal one."""
        length = _get_seq_len(tgt, self.layers[0].self_attn.batch_first)
        tgt_is_causal = _detect_is_causal_mask(tgt_mask, tgt_is_causal, length)
        out = tgt
        for layer in self.layers:
            out = layer(
                out,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )
        return out if self.norm is None else self.norm(out)


class Transformer(Module):
    """Encode a source sequence and decode a target sequence.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: as
            for the layers.
        num_encoder_layers, num_decoder_layers: depth of the stacks.
        custom_encoder, custom_decoder: modules in place of the stacks.

    Source: Vaswani et al. (2017), Attention is all you need.
    """

    def __init__(
        self,
        d_model=512,
        nhead=8,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        custom_encoder=None,
        custom_decoder=None,
        layer_norm_eps=1e-05,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm():
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            prototype = TransformerEncoderLayer(*layer, device, dtype)
            self.encoder = TransformerEncoder(prototype, num_encoder_layers, norm())
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            prototype = TransformerDecoderLayer(*layer, device, dtype)
            self.decoder = TransformerDecoder(prototype, num_decoder_layers, norm())
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src,
        tgt,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        src_is_causal=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """Encode ``src`` and decode ``tgt``; masks as for the layers."""
        batch_dim = 0 if self.batch_first else 1
        if src.dim() == 3 and src.shape[batch_dim] != tgt.shape[batch_dim]:
            raise ShapeError("the batch number of src and tgt must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """Return the float mask (sz, sz) with -inf above the diagonal."""
        return _generate_square_subsequent_mask(sz, device=device, dtype=dtype)

    def _reset_parameters(self):
        for param in self.parameters():
            if param.dim() > 1:
                xavier_uniform_(param)
