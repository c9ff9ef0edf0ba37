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


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    """Run the test on one, two and three threads."""
    import rustorch_py as rt

    before = rt.get_num_threads()
    rt.set_num_threads(request.param)
    yield request.param
    rt.set_num_threads(before)


@pytest.fixture
def same_on_threads():
    """A check that the arrays that a function returns are the same bits on one, two and three threads."""
    import rustorch_py as rt

    def check(make):
        found = []
        for threads in (1, 2, 3):
            rt.set_num_threads(threads)
            found.append(make())
        for other in found[1:]:
            assert all((a == b).all() for a, b in zip(found[0], other, strict=True))

    before = rt.get_num_threads()
    yield check
    rt.set_num_threads(before)
