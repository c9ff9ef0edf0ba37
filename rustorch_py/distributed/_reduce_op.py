"""How collectives combine the ranks' values."""
from __future__ import annotations

import enum

from ..errors import TensorTypeError

__all__ = ["RedOpType", "ReduceOp"]


class RedOpType(enum.Enum):
    """The kinds of `ReduceOp`."""
    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8


class ReduceOp:
    """A kind of reduction, with its factor if it has one. ``ReduceOp.SUM`` and its siblings are the kinds themselves.

    AVG divides the sum by the number of ranks (integers are cut towards zero); PREMUL_SUM, made by `_make_nccl_premul_sum`,
    multiplies each rank's values first.
    """
    RedOpType = RedOpType
    SUM, AVG, PRODUCT, MIN, MAX = RedOpType.SUM, RedOpType.AVG, RedOpType.PRODUCT, RedOpType.MIN, RedOpType.MAX
    BAND, BOR, BXOR, PREMUL_SUM = RedOpType.BAND, RedOpType.BOR, RedOpType.BXOR, RedOpType.PREMUL_SUM

    def __init__(self, op, factor=None):
        self.op = op.op if isinstance(op, ReduceOp) else RedOpType(op)
        self.factor = op.factor if isinstance(op, ReduceOp) else factor

    def __eq__(self, other):
        if isinstance(other, RedOpType):
            return self.op is other
        return self.op is other.op and self.factor is other.factor if isinstance(other, ReduceOp) else NotImplemented

    def __hash__(self):
        return hash(self.op)

    def __repr__(self):
        return repr(self.op)


def _make_nccl_premul_sum(factor):
    """Return the reduction that multiplies by a number or a tensor, then sums."""
    return ReduceOp(RedOpType.PREMUL_SUM, factor)


def parse(op, what):
    """Return (name, factor) of a reduction."""
    if isinstance(what, ReduceOp):
        name, factor = what.op.name, what.factor
    elif isinstance(what, RedOpType):
        name, factor = what.name, None
    else:
        raise TensorTypeError(f"{op}: op: expected a ReduceOp, got {type(what).__name__}", op=op)
    if name == "PREMUL_SUM" and factor is None:
        raise TensorTypeError(f"{op}: ReduceOp.PREMUL_SUM needs its factor: _make_nccl_premul_sum(factor)", op=op)
    return name, factor
