"""DistributedDataParallel, its hooks, its sampler the optimizer with spread state and FullyShardedDataParallel, on 1 to 4 ranks."""
import pytest
from _launch import checks_of, run_checks


@pytest.mark.parametrize("check", checks_of("ranks_ddp.py"))
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_ddp(ranks, check):
    failures = run_checks("ranks_ddp.py", ranks)[check]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("check", checks_of("ranks_zero.py"))
@pytest.mark.parametrize("ranks", [1, 3])
def test_zero(ranks, check):
    failures = run_checks("ranks_zero.py", ranks)[check]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("check", checks_of("ranks_fsdp.py"))
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_fsdp(ranks, check):
    failures = run_checks("ranks_fsdp.py", ranks)[check]
    assert not failures, "\n".join(failures)
