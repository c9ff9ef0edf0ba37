"""Counting floating-point operations: a door to `profiler._flops`."""
from ..profiler._flops import FlopCounterMode, flop_registry, register_flop_formula

__all__ = ["FlopCounterMode", "flop_registry", "register_flop_formula"]
