"""Debug mode: before each collective the ranks compare what they are about to call.

TORCH_DISTRIBUTED_DEBUG=DETAIL or RUSTORCH_DISTRIBUTED_DEBUG=DETAIL (or 1) turns it on; it costs one small collective a call.
"""
from __future__ import annotations

import enum
import os

from ..errors import DistBackendError, TensorValueError

__all__ = ["DebugLevel", "get_debug_level", "set_debug_level", "set_debug_level_from_env"]


class DebugLevel(enum.Enum):
    """How much is checked and told."""
    OFF = 0
    INFO = 1
    DETAIL = 2


def _from_env():
    text = os.environ.get("RUSTORCH_DISTRIBUTED_DEBUG") or os.environ.get("TORCH_DISTRIBUTED_DEBUG") or "OFF"
    level = {"0": "OFF", "1": "DETAIL"}.get(text.upper(), text.upper())
    if level not in DebugLevel.__members__:
        raise TensorValueError(f"TORCH_DISTRIBUTED_DEBUG: expected OFF, INFO or DETAIL, got {text!r}")
    return DebugLevel[level]


_level = _from_env()


def get_debug_level():
    """Return the level in force."""
    return _level


def set_debug_level(level):
    """Set the level; the same one on all ranks."""
    global _level
    _level = DebugLevel(level)


def set_debug_level_from_env():
    """Set the level that the environment names."""
    set_debug_level(_from_env())


def compare(pg, op, facts):
    """In debug mode, check that all members make this call with these facts.

    Raises:
        DistBackendError: they do not; names a rank and the difference.
    """
    pg.sequence += 1
    if _level is not DebugLevel.DETAIL or pg.size() == 1:
        return
    mine = {"collective": op, **facts}
    all_of_them = pg.comm.allgather(mine)
    for i, other in enumerate(all_of_them):
        first = all_of_them[0]
        if other != first:
            name = next((key for key in first if other.get(key) != first[key]), None) or next(key for key in other if key not in first)
            raise DistBackendError(
                f"{op}: collective {pg.sequence} of group {pg.group_name} differs between ranks: {name} is {first.get(name)} on rank {pg.ranks[0]} "
                f"({_spell(first)}) but {other.get(name)} on rank {pg.ranks[i]} ({_spell(other)})", op=op)


def _spell(facts):
    return ", ".join(f"{key}={value}" for key, value in facts.items())
