"""Nested containers as a list of leaves and a shape to build them from again.

Containers are tuple, list, dict, OrderedDict, defaultdict, deque, named tuples and classes that `register_pytree_node` names;
everything else, None too, is a leaf.
"""
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass

__all__ = ["TreeSpec", "LeafSpec", "register_pytree_node", "tree_flatten", "tree_unflatten", "tree_map", "tree_map_", "tree_map_only", "tree_map_only_",
           "tree_leaves", "tree_iter", "tree_structure", "tree_is_leaf", "tree_any", "tree_all", "tree_any_only", "tree_all_only", "tree_flatten_with_path",
           "tree_leaves_with_path", "tree_map_with_path", "keystr", "SequenceKey", "MappingKey", "GetAttrKey", "broadcast_to_and_flatten"]

_registered = {}                         # class -> (flatten, unflatten, flatten with keys or None)


def register_pytree_node(cls, flatten_fn, unflatten_fn, *, serialized_type_name=None, to_dumpable_context=None, from_dumpable_context=None,
                         flatten_with_keys_fn=None):
    """Make a class a container.

    Args:
        cls: the class itself; its subclasses stay leaves.
        flatten_fn: from an instance to (list of parts, context).
        unflatten_fn: from parts and context to an instance.
        flatten_with_keys_fn: from an instance to (list of (key, part), context).
        serialized_type_name, to_dumpable_context, from_dumpable_context: of PyTorch's exported programs; there are none here.
    """
    if cls in _registered or cls in (tuple, list, dict, OrderedDict, defaultdict, deque):
        raise ValueError(f"{cls} is already registered as pytree node.")
    _registered[cls] = flatten_fn, unflatten_fn, flatten_with_keys_fn


class TreeSpec:
    """The shape of a nested container.

    Args:
        type: class of this container; None for a leaf.
        context: keys of a dictionary, class of a named tuple, (factory, keys) of a defaultdict, greatest length of a deque.
        children_specs: shapes of the parts.
    """
    __slots__ = ("type", "context", "children_specs", "num_leaves", "num_nodes")

    def __init__(self, type, context=None, children_specs=()):
        self.type, self.context, self.children_specs = type, context, list(children_specs)
        self.num_leaves = 1 if type is None else sum(c.num_leaves for c in children_specs)
        self.num_nodes = 1 + sum(c.num_nodes for c in children_specs)

    @property
    def num_children(self):
        return len(self.children_specs)

    def is_leaf(self):
        return self.type is None

    def children(self):
        """Return the shapes of the parts."""
        return list(self.children_specs)

    def child(self, index):
        """Return the shape of one part."""
        return self.children_specs[index]

    def unflatten(self, leaves):
        """Build the container from its leaves."""
        return tree_unflatten(leaves, self)

    def flatten_up_to(self, tree):
        """Return what stands in a container where this shape has leaves: leaves, or containers that go further down."""
        return _flat_as(tree, self)

    def __eq__(self, other):
        return (isinstance(other, TreeSpec) and self.type is other.type and self.context == other.context
                and self.children_specs == other.children_specs)

    def __hash__(self):
        keys = _keys(self.type, self.context)             # a registered class's context may have no hash: equal shapes agree without it
        return hash((self.type, self.context if self.type in (tuple_with_names, deque) else keys and tuple(keys), tuple(self.children_specs)))

    def __repr__(self, indent=0):
        if self.type is None:
            return "*"
        parts = [c.__repr__(indent + 2) for c in self.children_specs]
        name = "namedtuple" if self.type is tuple_with_names else self.type.__name__
        return f"TreeSpec({name}, {self.context}, [{(',' + chr(10) + ' ' * (indent + 2)).join(parts)}])"


LEAF = TreeSpec(None)


def LeafSpec():
    """Return the shape of a leaf."""
    return LEAF


def _parts(tree):
    """Return (type, context, parts) of a container; type None for a leaf."""
    kind = type(tree)
    if kind is tuple or kind is list:
        return kind, None, tree
    if kind is dict or kind is OrderedDict:
        return kind, list(tree), list(tree.values())
    if kind is defaultdict:
        return kind, [tree.default_factory, list(tree)], list(tree.values())
    if kind in _registered:
        parts, context = _registered[kind][0](tree)
        return kind, context, parts
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return tuple_with_names, kind, tree
    if kind is deque:
        return kind, tree.maxlen, tree
    return None, None, ()


def _keys(kind, context):
    """The keys of a dictionary's shape; None for other shapes."""
    return context if kind is dict or kind is OrderedDict else context[1] if kind is defaultdict else None


class tuple_with_names:
    """Mark of a named tuple in a `TreeSpec`; the class itself is the context."""


def rebuilt(kind, parts):
    """Return an instance of a tuple with names (a namedtuple, or an operator's named result)."""
    return kind._make(parts) if hasattr(kind, "_make") else kind(parts)


def tree_flatten(tree, is_leaf=None):
    """Return (list of leaves, TreeSpec) of a nested container.

    Args:
        is_leaf: tells what is a leaf although it is a container.
    """
    leaves = []

    def walk(node):
        kind, context, parts = _parts(node) if is_leaf is None or not is_leaf(node) else (None, None, ())
        if kind is None:
            leaves.append(node)
            return LEAF
        return TreeSpec(kind, context, [walk(p) for p in parts])
    spec = walk(tree)
    return leaves, spec


def _built(kind, context, parts):
    if kind is tuple_with_names:
        return rebuilt(context, parts)
    if kind is dict or kind is OrderedDict:
        return kind(zip(context, parts))
    if kind is defaultdict:
        return defaultdict(context[0], zip(context[1], parts))
    if kind is deque:
        return deque(parts, context)
    if kind in _registered:
        return _registered[kind][1](parts, context)
    return kind(parts)


def tree_unflatten(leaves, spec):
    """Build the container of a `TreeSpec` from its leaves."""
    leaves = list(leaves)
    if len(leaves) != spec.num_leaves:
        raise ValueError(f"tree_unflatten: `leaves` has length {len(leaves)} but the spec refers to a pytree that holds {spec.num_leaves} items ({spec}).")
    it = iter(leaves)

    def build(s):
        return next(it) if s.type is None else _built(s.type, s.context, [build(c) for c in s.children_specs])
    return build(spec)


def tree_leaves(tree, is_leaf=None):
    """Return the leaves of a nested container."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree, is_leaf=None):
    """Yield the leaves of a nested container."""
    yield from tree_leaves(tree, is_leaf)


def tree_structure(tree, is_leaf=None):
    """Return the `TreeSpec` of a nested container."""
    return tree_flatten(tree, is_leaf)[1]


def tree_is_leaf(tree, is_leaf=None):
    """Tell whether something is no container."""
    return is_leaf is not None and is_leaf(tree) or _parts(tree)[0] is None


def _flat_as(tree, spec):
    """The parts of a container, as many as a spec has leaves: a leaf of the spec stands for all below it."""
    if spec.type is None:
        return [tree]
    kind, context, parts = _parts(tree)
    keys, expected = _keys(kind, context), _keys(spec.type, spec.context)
    dicts = keys is not None and expected is not None      # each of the three stands for the others, with its keys in any order
    if kind is not spec.type and not dicts or len(parts) != len(spec.children_specs):
        found = "a leaf" if kind is None else f"a {kind.__name__} of {len(parts)}"
        raise ValueError(f"Node type mismatch; expected {spec.type.__name__} of {len(spec.children_specs)}, but got {found}.")
    if dicts:
        if set(keys) != set(expected):
            raise ValueError(f"Node keys mismatch; expected {expected}, but got {keys}.")
        parts = [tree[key] for key in expected]
    elif context != spec.context and kind is not deque:
        raise ValueError(f"Node context mismatch; expected {spec.context}, but got {context}.")
    return [leaf for part, child in zip(parts, spec.children_specs) for leaf in _flat_as(part, child)]


def tree_map(fn, tree, *rests, is_leaf=None):
    """Return the container with every leaf replaced by ``fn(leaf, ...)``, the others being what stands in its place in further containers."""
    leaves, spec = tree_flatten(tree, is_leaf)
    return tree_unflatten(map(fn, leaves, *[_flat_as(r, spec) for r in rests]), spec)


def tree_map_(fn, tree, *rests, is_leaf=None):
    """Call ``fn(leaf, ...)`` for every leaf; return the container as it is."""
    leaves, spec = tree_flatten(tree, is_leaf)
    deque(map(fn, leaves, *[_flat_as(r, spec) for r in rests]), maxlen=0)
    return tree


def _is_a(kind):
    """The test of `tree_map_only` and its like: a type, several, or a function that tells."""
    return (lambda x: isinstance(x, kind)) if isinstance(kind, (type, tuple)) or not callable(kind) else kind


def tree_map_only(kind, fn, tree, is_leaf=None):
    """Return the container with every leaf of a type, of one of several, or of which a function says so, replaced by ``fn(leaf)``."""
    wanted = _is_a(kind)
    return tree_map(lambda x: fn(x) if wanted(x) else x, tree, is_leaf=is_leaf)


def tree_map_only_(kind, fn, tree, is_leaf=None):
    """Call ``fn(leaf)`` for every leaf of a type; return the container as it is."""
    wanted = _is_a(kind)
    return tree_map_(lambda x: fn(x) if wanted(x) else x, tree, is_leaf=is_leaf)


def tree_any(pred, tree, is_leaf=None):
    """Tell whether a test holds for some leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all(pred, tree, is_leaf=None):
    """Tell whether a test holds for every leaf."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any_only(kind, pred, tree, is_leaf=None):
    """Tell whether a test holds for some leaf of a type."""
    wanted = _is_a(kind)
    return any(pred(x) for x in tree_leaves(tree, is_leaf) if wanted(x))


def tree_all_only(kind, pred, tree, is_leaf=None):
    """Tell whether a test holds for every leaf of a type."""
    wanted = _is_a(kind)
    return all(pred(x) for x in tree_leaves(tree, is_leaf) if wanted(x))


# ---- where leaves are ----
@dataclass(frozen=True)
class SequenceKey:
    """Place in a tuple, list or deque."""
    idx: int

    def __str__(self):
        return f"[{self.idx!r}]"

    def get(self, sequence):
        return sequence[self.idx]


@dataclass(frozen=True)
class MappingKey:
    """Key of a dictionary."""
    key: object

    def __str__(self):
        return f"[{self.key!r}]"

    def get(self, mapping):
        return mapping[self.key]


@dataclass(frozen=True)
class GetAttrKey:
    """Attribute of a named tuple."""
    name: str

    def __str__(self):
        return f".{self.name}"

    def get(self, obj):
        return getattr(obj, self.name)


def keystr(kp):
    """Return the way to a leaf as text: ``[0]['a'].x``."""
    return "".join(map(str, kp))


def tree_flatten_with_path(tree, is_leaf=None):
    """Return (list of (way, leaf), TreeSpec); a way is a tuple of keys."""
    found = []

    def walk(node, way):
        kind, context, parts = _parts(node) if is_leaf is None or not is_leaf(node) else (None, None, ())
        if kind is None:
            found.append((way, node))
            return LEAF
        if kind is tuple_with_names:
            keys = map(GetAttrKey, context._fields)
        elif kind in (tuple, list, deque):
            keys = map(SequenceKey, range(len(parts)))
        elif kind in _registered:
            if _registered[kind][2] is None:
                raise ValueError(f"Did not find a flatten_with_keys_fn for type: {kind}. Please pass a flatten_with_keys_fn argument to register_pytree_node.")
            pairs, context = _registered[kind][2](node)
            keys, parts = [key for key, _ in pairs], [part for _, part in pairs]
        else:
            keys = map(MappingKey, node)
        return TreeSpec(kind, context, [walk(p, (*way, key)) for p, key in zip(parts, keys)])
    spec = walk(tree, ())
    return found, spec


def tree_leaves_with_path(tree, is_leaf=None):
    """Return the list of (way, leaf)."""
    return tree_flatten_with_path(tree, is_leaf)[0]


def tree_map_with_path(fn, tree, *rests, is_leaf=None):
    """Return the container with every leaf replaced by ``fn(way, leaf, ...)``."""
    found, spec = tree_flatten_with_path(tree, is_leaf)
    return tree_unflatten(map(fn, [way for way, _ in found], [leaf for _, leaf in found], *[_flat_as(r, spec) for r in rests]), spec)


def broadcast_to_and_flatten(tree, spec):
    """Return one value for each leaf of ``spec``: a leaf of ``tree`` stands for all below it. None where the two do not fit."""
    kind, context, parts = _parts(tree)
    if kind is None:
        return [tree] * spec.num_leaves
    if spec.type is not kind or spec.context != context or len(spec.children_specs) != len(parts):
        return None
    out = []
    for part, child in zip(parts, spec.children_specs):
        got = broadcast_to_and_flatten(part, child)
        if got is None:
            return None
        out += got
    return out
