"""Walking a recorded graph, as torchviz-like tools and gradient reducers do."""
import gc

import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402


def walk(library):
    """Nodes by depth-first search: (name, number of edges, size of the leaf)."""
    library.manual_seed(0)
    a, b, w = (library.nn.Parameter(library.rand(*size)) for size in ((3, 4), (4,), (4, 2)))
    y = (library.ones(2, 3).mm(a) + b).tanh().mm(w)
    out = (y * y).mean() + a.sum() - w[0].exp().sum()
    found, seen, names = [], set(), {id(a): "a", id(b): "b", id(w): "w"}

    def visit(node):
        if node is None or node in seen:
            return
        seen.add(node)
        leaf = getattr(node, "variable", None)
        found.append((type(node).__name__ if leaf is not None else node.name(), node.name(), len(node.next_functions),
                      None if leaf is None else names[id(leaf)]))
        for edge, number in node.next_functions:
            assert number == 0
            visit(edge)

    visit(out.grad_fn)
    return found


def test_walk():
    assert walk(rt) == walk(torch)


def hooks(library):
    p = library.nn.Parameter(library.ones(2))
    seen = []
    node = p.expand_as(p).grad_fn.next_functions[0][0]
    same = node is p.view(-1).grad_fn.next_functions[0][0], node.variable is p, library.autograd.graph.get_gradient_edge(p).node is node
    after = node.register_hook(lambda into, out: seen.append((len(into), [g.tolist() for g in out], p.grad.tolist())))
    before = node.register_prehook(lambda out: (out[0] * 2,))
    (p * 3).sum().backward()
    before.remove()
    (p * 3).sum().backward()
    after.remove()
    (p * 3).sum().backward()
    return same, seen, p.grad.tolist()


def test_hooks_of_accumulators():
    assert hooks(rt) == hooks(torch)


def test_edges():
    for library in (torch, rt):
        x = library.ones(2, requires_grad=True)
        edge = library.autograd.graph.get_gradient_edge(x * 2)
        assert (edge.node.name(), edge.output_nr) == ("MulBackward0", 0)
        with pytest.raises(RuntimeError):
            library.autograd.graph.get_gradient_edge(library.ones(2))


def test_no_cycle_between_leaf_and_node():
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            p = rt.ones(2, requires_grad=True)
            node = (p * 2).grad_fn.next_functions[0][0]
            node.register_hook(lambda a, b: None)
            p.register_hook(lambda g: g)
            del p, node
        assert gc.collect() == 0
    finally:
        gc.enable()
