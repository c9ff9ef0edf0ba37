"""Keys and values of a sequence that grows."""

from __future__ import annotations

from ... import tensor as _t
from ...errors import ShapeError
from ..functional import scaled_dot_product_attention
from .bias import causal_lower_right


class KVCache:
    """Keep the keys and values of a sequence that is generated piece by piece, so that each piece is projected once.

    PyTorch has no counterpart. Room is taken when the first piece comes; no gradient flows through what is kept.

    Args:
        max_length: most positions.

    Example:
        >>> import rustorch_py as torch
        >>> cache = torch.nn.attention.KVCache(16)
        >>> prompt, token = torch.randn(1, 2, 5, 8), torch.randn(1, 2, 1, 8)
        >>> cache.attend(prompt, prompt, prompt).shape
        torch.Size([1, 2, 5, 8])
        >>> cache.attend(token, token, token).shape, len(cache)
        (torch.Size([1, 2, 1, 8]), 6)
    """

    def __init__(self, max_length):
        self.max_length = int(max_length)
        if self.max_length < 1:
            raise ValueError(f"KVCache: max_length must be at least 1, got {max_length}")
        self._length = 0
        self._keys = self._values = None

    def __len__(self):
        return self._length

    def __repr__(self):
        return f"KVCache({self._length} of {self.max_length} positions)"

    def reset(self, length=0):
        """Forget the positions from ``length`` on (all of them by default)."""
        if not 0 <= length <= self._length:
            raise ValueError(f"KVCache.reset: length must be from 0 to {self._length}, got {length}")
        self._length = length
        if length == 0:
            self._keys = self._values = None

    def append(self, key, value):
        """Add positions; return the keys and values of all positions, views that the next call leaves as they are.

        Args:
            key: (N, heads, new positions, E).
            value: (N, heads, new positions, Ev).
        """
        if key.dim() != 4 or value.dim() != 4 or key.shape[:3] != value.shape[:3]:
            raise ShapeError(
                f"KVCache.append: expected key (N, heads, L, E) and value (N, heads, L, Ev), got {tuple(key.shape)} and "
                f"{tuple(value.shape)}",
                op="KVCache.append",
            )
        end = self._length + key.shape[2]
        if end > self.max_length:
            raise ShapeError(
                f"KVCache.append: {self._length} positions and {key.shape[2]} more exceed max_length {self.max_length}",
                op="KVCache.append",
            )
        with _t.no_grad():
            if self._keys is None:
                self._keys, self._values = (
                    _t.empty((*x.shape[:2], self.max_length, x.shape[3]), dtype=x.dtype, device=x.device) for x in (key, value)
                )
            for kept, new in ((self._keys, key), (self._values, value)):
                if kept.shape[:2] != new.shape[:2] or kept.shape[3] != new.shape[3]:
                    raise ShapeError(
                        f"KVCache.append: expected shape ({kept.shape[0]}, {kept.shape[1]}, L, {kept.shape[3]}) as before, "
                        f"got {tuple(new.shape)}",
                        op="KVCache.append",
                    )
                kept[:, :, self._length : end] = new.detach()
        self._length = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def attend(self, query, key, value, scale=None, enable_gqa=False):
        """Append a piece and let its queries attend to all positions up to their own.

        Args:
            query: (N, heads, new positions, E).
            key, value: as for ``append``.
            scale, enable_gqa: as for ``scaled_dot_product_attention``.

        Returns:
            (N, heads, new positions, Ev).
        """
        first, new = self._length == 0, query.shape[2]
        key, value = self.append(key, value)
        mask = None if first or new == 1 else causal_lower_right(new, self._length)
        return scaled_dot_product_attention(query, key, value, mask, 0.0, first, scale, enable_gqa)
