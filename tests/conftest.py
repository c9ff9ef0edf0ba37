"""Fixtures of tests everywhere."""
import pytest

LEVELS = ("baseline", "avx2", "avx512")


@pytest.fixture(params=LEVELS)
def level(request):
    """Run the test at one instruction set."""
    from rustorch_py.tensor import _cpu      # not before a test asks: some decide about the environment first

    before = _cpu.simd_level()
    if LEVELS.index(request.param) > LEVELS.index(_cpu.best_simd_level()):
        pytest.skip(f"this processor has no {request.param}")
    _cpu.set_simd_level(request.param)
    yield request.param
    _cpu.set_simd_level(before)
