"""Helpers for layers' size arguments."""

from __future__ import annotations

from ..functional._util import pair as _pair
from ..functional._util import single as _single
from ..functional._util import triple as _triple

__all__ = ["_ntuple", "_pair", "_quadruple", "_reverse_repeat_tuple", "_single", "_triple"]


def _ntuple(n, name="parse"):
    """Build a function that repeats a number n times and leaves a sequence as a tuple."""

    def parse(x):
        return tuple(x) if hasattr(x, "__len__") or hasattr(x, "__iter__") else (x,) * n

    parse.__name__ = name
    return parse


_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t, n):
    """Return the elements in reverse order, each n times."""
    return tuple(x for x in reversed(t) for _ in range(n))


def _list_with_default(out_size, defaults):
    """Fill None entries of a size from the defaults' end."""
    if isinstance(out_size, (int, float)):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    tail = defaults[-len(out_size) :]
    return [v if v is not None else d for v, d in zip(out_size, tail)]


def consume_prefix_in_state_dict_if_present(state_dict, prefix):
    """Take a prefix off the names in a state dict that begin with it, in place; others stay."""
    for name in [n for n in state_dict if n.startswith(prefix)]:
        state_dict[name[len(prefix):]] = state_dict.pop(name)
    metadata = getattr(state_dict, "_metadata", None)
    for name in list(metadata or ()):
        # the wrapper itself stands without its point, its parts with it
        if name and (name == prefix.replace(".", "") or name.startswith(prefix)):
            metadata[name[len(prefix):]] = metadata.pop(name)
