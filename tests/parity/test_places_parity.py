"""Modules that PyTorch has in more than one place."""
import importlib

import pytest

import rustorch_py as rt


@pytest.mark.parametrize("place,name,same", [
    ("utils.data.distributed", "DistributedSampler", "utils.data"), ("distributed._tensor", "Shard", "distributed.tensor"), ("distributed._tensor", "DTensor", "distributed.tensor"),
    ("distributed._composable.fsdp", "fully_shard", "distributed.fsdp"), ("distributed.fsdp.fully_sharded_data_parallel", "FullyShardedDataParallel", "distributed.fsdp")])
def test_same_thing(place, name, same):
    first, second = (importlib.import_module("rustorch_py." + p) for p in (place, same))
    assert getattr(first, name) is getattr(second, name)


def test_overloads_and_tree_map_only():
    @rt.jit._overload
    def f(x: int) -> int:
        ...

    def f(x):  # noqa: F811
        return x * 2
    assert f(3) == 6 and f("a") == "aa"
    assert rt.utils._pytree.tree_map_only(int, lambda x: x + 1, [1, "a", (2, {"k": 3})]) == [2, "a", (3, {"k": 4})]
