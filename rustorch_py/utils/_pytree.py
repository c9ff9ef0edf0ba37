"""Nested containers as a list of leaves and a shape to build them from again.

Containers are tuple, list, dict, OrderedDict, defaultdict and named tuples; everything else, None too, is a leaf.
"""
from collections import OrderedDict, defaultdict

__all__ = ["TreeSpec", "tree_flatten", "tree_unflatten", "tree_map", "tree_leaves", "broadcast_to_and_flatten"]


class TreeSpec:
    """The shape of a nested container.

    Args:
        type: class of this container; None for a leaf.
        context: keys of a dictionary, class of a named tuple, (factory, keys) of a defaultdict.
        children: shapes of the parts.
    """
    __slots__ = ("type", "context", "children", "num_leaves")

    def __init__(self, type, context=None, children=()):
        self.type, self.context, self.children = type, context, children
        self.num_leaves = 1 if type is None else sum(c.num_leaves for c in children)

    def __eq__(self, other):
        return (isinstance(other, TreeSpec) and self.type is other.type and self.context == other.context
                and self.children == other.children)

    __hash__ = None

    def __repr__(self):
        if self.type is None:
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context}, {list(self.children)})"


LEAF = TreeSpec(None)


def _parts(tree):
    """Return (type, context, parts) of a container; type None for a leaf."""
    kind = type(tree)
    if kind is tuple or kind is list:
        return kind, None, tree
    if kind is dict or kind is OrderedDict:
        return kind, list(tree), list(tree.values())
    if kind is defaultdict:
        return kind, [tree.default_factory, list(tree)], list(tree.values())
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return tuple_with_names, kind, tree
    return None, None, ()


class tuple_with_names:
    """Mark of a named tuple in a `TreeSpec`; the class itself is the context."""


def rebuilt(kind, parts):
    """Return an instance of a tuple with names (a namedtuple, or an operator's named result)."""
    return kind._make(parts) if hasattr(kind, "_make") else kind(parts)


def tree_flatten(tree):
    """Return (list of leaves, TreeSpec) of a nested container."""
    leaves = []

    def walk(node):
        kind, context, parts = _parts(node)
        if kind is None:
            leaves.append(node)
            return LEAF
        return TreeSpec(kind, context, tuple([walk(p) for p in parts]))
    spec = walk(tree)
    return leaves, spec


def tree_unflatten(leaves, spec):
    """Build the container of a `TreeSpec` from its leaves."""
    it = iter(leaves)

    def build(s):
        if s.type is None:
            return next(it)
        parts = [build(c) for c in s.children]
        if s.type is tuple_with_names:
            return rebuilt(s.context, parts)
        if s.type is dict or s.type is OrderedDict:
            return s.type(zip(s.context, parts))
        if s.type is defaultdict:
            return defaultdict(s.context[0], zip(s.context[1], parts))
        return s.type(parts)
    leaves = list(leaves)
    if len(leaves) != spec.num_leaves:
        raise ValueError(f"tree_unflatten: expected {spec.num_leaves} leaves, got {len(leaves)}")
    return build(spec)


def tree_leaves(tree):
    """Return the leaves of a nested container."""
    return tree_flatten(tree)[0]


def tree_map(fn, tree):
    """Return the container with every leaf replaced by ``fn(leaf)``."""
    leaves, spec = tree_flatten(tree)
    return tree_unflatten([fn(x) for x in leaves], spec)


def tree_map_only(kind, fn, tree):
    """Return the container with every leaf of a type, or of one of several, replaced by ``fn(leaf)``."""
    return tree_map(lambda x: fn(x) if isinstance(x, kind) else x, tree)


def broadcast_to_and_flatten(tree, spec):
    """Return one value for each leaf of ``spec``: a leaf of ``tree`` stands for all below it. None where the two do not fit."""
    kind, context, parts = _parts(tree)
    if kind is None:
        return [tree] * spec.num_leaves
    if spec.type is not kind or spec.context != context or len(spec.children) != len(parts):
        return None
    out = []
    for part, child in zip(parts, spec.children):
        got = broadcast_to_and_flatten(part, child)
        if got is None:
            return None
        out += got
    return out
