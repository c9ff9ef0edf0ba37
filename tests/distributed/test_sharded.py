"""DTensor, tensor parallel layers, fully_shard and ring attention, on 1 to 4 ranks."""
from _launch import each_check, run_checks


@each_check("ranks_tensor")
def test_tensor(ranks, check):
    failures = run_checks("ranks_tensor", ranks)[check]
    assert not failures, "\n".join(failures)


@each_check("ranks_layers")
def test_layers(ranks, check):
    failures = run_checks("ranks_layers", ranks)[check]
    assert not failures, "\n".join(failures)


@each_check("ranks_fully_shard")
def test_fully_shard(ranks, check):
    failures = run_checks("ranks_fully_shard", ranks)[check]
    assert not failures, "\n".join(failures)


@each_check("ranks_ring")
def test_ring(ranks, check):
    failures = run_checks("ranks_ring", ranks)[check]
    assert not failures, "\n".join(failures)
