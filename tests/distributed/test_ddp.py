"""DistributedDataParallel, its hooks, its sampler, uneven inputs, the optimizer with spread state and FullyShardedDataParallel, on 1 to 4 ranks."""
from _launch import each_check, run_checks


@each_check("ranks_ddp")
def test_ddp(ranks, check):
    failures = run_checks("ranks_ddp", ranks)[check]
    assert not failures, "\n".join(failures)


@each_check("ranks_join")
def test_join(ranks, check):
    failures = run_checks("ranks_join", ranks)[check]
    assert not failures, "\n".join(failures)


@each_check("ranks_zero")
def test_zero(ranks, check):
    failures = run_checks("ranks_zero", ranks)[check]
    assert not failures, "\n".join(failures)


@each_check("ranks_fsdp")
def test_fsdp(ranks, check):
    failures = run_checks("ranks_fsdp", ranks)[check]
    assert not failures, "\n".join(failures)
