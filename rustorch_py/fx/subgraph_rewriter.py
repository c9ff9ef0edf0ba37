"""Patterns in graphs, found and replaced (``torch.fx.replace_pattern``)."""
from typing import NamedTuple

from ..nn import Module
from ._symbolic_trace import symbolic_trace
from .graph import Graph
from .graph_module import GraphModule, _copy_attr
from .node import Node

__all__ = ["Match", "replace_pattern"]


class Match(NamedTuple):
    """Where a pattern was found: the node of its result, and a dict from the pattern's nodes to the graph's."""
    anchor: Node
    nodes_map: dict


def _same(p, n, found):
    """Hold an argument of the pattern against one of the graph; fills `found`."""
    if isinstance(p, Node):
        return isinstance(n, Node) and _match(p, n, found) if p.op != "placeholder" else _bind(p, n, found)
    if isinstance(p, (list, tuple)):
        return isinstance(n, (list, tuple)) and len(p) == len(n) and all(_same(a, b, found) for a, b in zip(p, n))
    if isinstance(p, dict):
        return isinstance(n, dict) and p.keys() == n.keys() and all(_same(p[k], n[k], found) for k in p)
    if isinstance(p, slice):
        return isinstance(n, slice) and _same((p.start, p.stop, p.step), (n.start, n.stop, n.step), found)
    return type(p) is type(n) and p == n


def _bind(p, n, found):
    if p in found:
        return found[p] is n or (not isinstance(n, Node) and found[p] == n)
    found[p] = n
    return True


def _match(p, n, found):
    if p in found:
        return found[p] is n
    if p.op != n.op or p.target != n.target:
        return False
    found[p] = n
    return _same(p.args, n.args, found) and _same(p.kwargs, n.kwargs, found)


def _graph_of(what):
    if isinstance(what, GraphModule):
        return what.graph
    return what if isinstance(what, Graph) else symbolic_trace(what).graph


def replace_pattern(gm, pattern, replacement):
    """Replace every place of a graph that computes as pattern does; places do not overlap.

    Args:
        gm: the GraphModule, changed in place and recompiled.
        pattern: function or module, traced; its arguments stand for any values.
        replacement: function or module with as many arguments.
    Returns:
        a list of Match.

    Example:
        >>> def f(x): return rustorch_py.relu(x.neg())
        >>> traced = rustorch_py.fx.symbolic_trace(f)
        >>> def old(x): return x.neg()
        >>> def new(x): return x * 2
        >>> len(replace_pattern(traced, old, new)), float(traced(rustorch_py.tensor(3.)))
        (1, 6.0)
    """
    wanted, instead = _graph_of(pattern), _graph_of(replacement)
    given = [n for n in wanted.nodes if n.op == "placeholder"]
    taken = [n for n in instead.nodes if n.op == "placeholder"]
    if len(given) != len(taken):
        raise ValueError(f"replace_pattern: the pattern has {len(given)} arguments, the replacement {len(taken)}")
    ends = wanted.output_node().args[0]
    ends = list(ends) if isinstance(ends, (list, tuple)) else [ends]
    results = instead.output_node().args[0]
    results = list(results) if isinstance(results, (list, tuple)) else [results]
    if len(ends) != len(results):
        raise ValueError(f"replace_pattern: the pattern has {len(ends)} results, the replacement {len(results)}")
    graph, matches, used = gm.graph, [], set()
    inner = [n for n in wanted.nodes if n.op not in ("placeholder", "output")]
    if not inner:
        return matches
    for anchor in list(graph.nodes):
        if anchor.op in ("placeholder", "output"):
            continue
        found = {}
        if not _match(ends[-1], anchor, found) or not all(_complete(e, found, graph, used) for e in ends[:-1]):
            continue
        body = {found[p] for p in inner if p in found}
        if len(body) < len(inner) or body & used or set(found) != set(inner) | set(given):
            continue
        out = {found[e] for e in ends}
        if any(user not in body for n in body - out for user in n.users):
            continue                                       # a value inside is read outside: it must stay
        used |= body
        matches.append(Match(anchor, dict(found)))
    if isinstance(replacement, (GraphModule, Module)):
        root = replacement
        for node in instead.nodes:
            if node.op in ("call_module", "get_attr"):
                _copy_attr(root, gm, node.target)
    moved = {}                                             # nodes that went -> what stands for them
    for anchor, found in matches:
        def now(n):
            while n in moved:
                n = moved[n]
            return n
        values = {t: now(found[p]) if isinstance(found[p], Node) else found[p] for p, t in zip(given, taken)}
        last = max((found[e] for e in ends), key=lambda n: n._order())
        with graph.inserting_before(last):
            for node in instead.nodes:
                if node.op not in ("placeholder", "output"):
                    values[node] = graph.node_copy(node, lambda n: values[n])
        for e, r in zip(ends, results):
            new = values[r] if isinstance(r, Node) else r
            found[e].replace_all_uses_with(new)
            moved[found[e]] = new
        for p in reversed(inner):
            if not found[p].users:
                graph.erase_node(found[p])
    gm.recompile()
    return matches


def _complete(end, found, graph, used):
    """Find a node for another result of the pattern, among the readers of what is bound already."""
    if end in found:
        return True
    for n in graph.nodes:
        trial = dict(found)
        if n.op not in ("placeholder", "output") and n not in used and _match(end, n, trial):
            found.update(trial)
            return True
    return False
