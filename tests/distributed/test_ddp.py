"""DistributedDataParallel, its hooks and its sampler on 1 to 4 ranks."""
import pytest
from _launch import checks_of, run_checks


@pytest.mark.parametrize("check", checks_of("ranks_ddp.py"))
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_ddp(ranks, check):
    failures = run_checks("ranks_ddp.py", ranks)[check]
    assert not failures, "\n".join(failures)
