"""The CPU back end."""
from ..tensor import _cpu


def get_cpu_capability():
    """Return the instruction set in force: "DEFAULT", "AVX2" or "AVX512"."""
    return {"baseline": "DEFAULT"}.get(_cpu.simd_level(), _cpu.simd_level().upper())
