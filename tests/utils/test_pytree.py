"""Nested containers: dictionaries that stand for each other, and what a TreeSpec can be asked."""
from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

from rustorch_py.utils import _pytree as tree

Pair = namedtuple("Pair", "a b")


def test_dictionaries_stand_for_each_other():
    kinds = {"a": 1, "b": 2}, OrderedDict(b=2, a=1), defaultdict(list, a=1, b=2)
    for first in kinds:
        for second in kinds:
            got = tree.tree_map(lambda x, y: (x, y), first, second)
            assert type(got) is type(first) and dict(got) == {"a": (1, 1), "b": (2, 2)} and list(got) == list(first)
    with pytest.raises(ValueError, match="keys mismatch"):
        tree.tree_map(lambda x, y: x, {"a": 1}, OrderedDict(b=1))
    for other in ([1, 2], (1, 2, 3), {0: 1, 1: 2}, Pair(1, 2), 3):
        with pytest.raises(ValueError):
            tree.tree_map(lambda x, y: x, (1, 2), other)


def test_shapes_are_keys_of_dictionaries():
    made = [{"a": [1, (2, 3)]}, OrderedDict(a=1), defaultdict(list, a=1), Pair(1, deque([2], 3)), (1, 2), 4]
    specs = {tree.tree_structure(x): x for x in made}
    assert len(specs) == len(made)
    for x in made:
        assert specs[tree.tree_structure(tree.tree_map(lambda leaf: leaf + 1, x))] is x


def test_parts_of_a_shape():
    leaves, spec = tree.tree_flatten({"a": [1, (2, 3)], "b": 4})
    assert (spec.num_nodes, spec.num_leaves, spec.num_children) == (7, 4, 2)
    assert spec.children() == spec.children_specs == [spec.child(0), tree.LeafSpec()] and spec.child(0).child(1) == tree.tree_structure((0, 0))
    assert spec.unflatten(leaves) == {"a": [1, (2, 3)], "b": 4}
    assert spec.flatten_up_to({"a": [[5], (6, {7: 8})], "b": None}) == [[5], 6, {7: 8}, None]
