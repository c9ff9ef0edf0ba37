"""Programs for tests of fx: each gets a library and its fx and yields lines of text."""


def traced_module(torch, fx):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.register_buffer("shift", torch.ones(3))
            self.rest = nn.Sequential(nn.ReLU(), nn.Linear(3, 2))
            self.weight = nn.Parameter(torch.ones(3))
            self.constant = torch.ones(3)

        def forward(self, x, y=2, *, flag=True):
            z = self.layer(x) + self.shift
            z = torch.relu(z) * y
            a, b = z.size(0), z.shape[1]
            z = z.view(a, -1)
            z += 1
            z = self.weight + z + self.constant
            q = torch.cat([z, z], dim=1)[:, :3]
            if flag:
                q = -q
            u, v = q.split(2, 1)
            w = x.new_zeros(a, 3).to(x.device)
            return {"out": self.rest(q), "more": (z.float().sum(-1, keepdim=True), z @ z.T, 3 - z, z is None, z ** 2, abs(z), w, u, v.max(-1)[0], [b])}
    torch.manual_seed(0)
    model = Net()
    traced = fx.symbolic_trace(model, concrete_args={"flag": True})
    yield traced.graph
    yield traced.code
    yield traced
    for node in traced.graph.nodes:
        yield node.op, node.name, node.args, node.kwargs, list(node.users)
    x = torch.randn(2, 4)
    yield torch.equal(traced(x)["out"], model(x)["out"]), torch.equal(traced(x)["more"][1], model(x)["more"][1])
    try:
        traced(x, 2, False)
    except AssertionError as error:
        yield error
    import copy
    again = copy.deepcopy(traced)
    yield again.code == traced.code, torch.equal(again(x)["out"], traced(x)["out"]), type(again).__name__


def traced_functions(torch, fx):
    def stars(x, *args, **kw):
        return torch.relu(x) + args[0] + kw["z"]
    yield fx.symbolic_trace(stars).code

    def annotated(x: torch.Tensor, k: int = 3) -> torch.Tensor:
        return x.repeat(k, 1).to(torch.float64) + float("inf")
    traced = fx.symbolic_trace(annotated)
    yield traced.code
    yield traced.graph
    yield traced(torch.ones(1))

    def decides(x):
        return 1 if x.sum() > 0 else 2

    def loops(x):
        for i in x:
            pass

    def measures(x):
        return len(x)
    for bad in (decides, loops, measures):
        try:
            fx.symbolic_trace(bad)
        except (ValueError, RuntimeError) as error:
            yield type(error).__name__, str(error)[:50]


def changed_graphs(torch, fx):
    def f(x):
        return torch.relu(x).neg() + torch.relu(x)
    traced = fx.symbolic_trace(f)
    for n in traced.graph.nodes:
        if n.target is torch.relu:
            n.target = torch.tanh
    traced.recompile()
    yield traced.code
    for n in list(traced.graph.nodes):
        if n.op == "call_function" and n.target is torch.tanh:
            with traced.graph.inserting_after(n):
                n.replace_all_uses_with(traced.graph.call_function(torch.sigmoid, (n.args[0],)))
            traced.graph.erase_node(n)
    traced.graph.lint()
    traced.recompile()
    yield traced.code
    yield traced(torch.ones(2)), fx.Interpreter(traced).run(torch.ones(2))
    try:
        traced.graph.erase_node(next(iter(traced.graph.nodes)))
    except RuntimeError as error:
        yield error

    def idle(x):
        x.add(1)
        x.relu()
        return x
    traced = fx.symbolic_trace(idle)
    yield traced.code
    yield traced.graph.eliminate_dead_code()
    traced.recompile()
    yield traced.code


def replaced(torch, fx):
    def old(x):
        return torch.sigmoid(x)

    def new(x):
        return torch.exp(x) * 2

    def f(x):
        return torch.sigmoid(x).neg() + torch.sigmoid(x + 1)
    traced = fx.symbolic_trace(f)
    yield len(fx.replace_pattern(traced, old, new))
    yield traced(torch.ones(2))

    def old2(x, y):
        return torch.cat([x, y]).sum()

    def new2(x, y):
        return torch.stack([x, y])

    def f2(a, b, c):
        return torch.cat([a, b]).sum() + torch.cat([b, c]).sum()
    traced = fx.symbolic_trace(f2)
    yield len(fx.replace_pattern(traced, old2, new2))
    yield traced.code


def built(torch, fx):
    nn = torch.nn
    graph = fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_method("relu", (graph.call_module("linear_modules.0", args=(x,)),)))
    torch.manual_seed(0)
    gm = fx.GraphModule(nn.ModuleDict({"linear_modules": nn.ModuleList([nn.Linear(4, 4)])}), graph)
    yield gm.code
    yield gm
    yield fx.GraphModule({"linear_modules.0": nn.Linear(4, 4)}, graph)
    import pickle
    back = pickle.loads(pickle.dumps(gm))
    yield back.code, torch.equal(back(torch.ones(1, 4)), gm(torch.ones(1, 4)))
    traced = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 1))))
    yield traced.code
    yield traced.graph
    try:
        fx.GraphModule({}, graph)
    except RuntimeError as error:
        yield type(error)


def transformed(torch, fx):
    class Swap(fx.Transformer):
        def call_function(self, target, args, kwargs):
            if target is torch.exp:
                return torch.tanh(*args)
            return super().call_function(target, args, kwargs)

    def f(x, y=1):
        return torch.exp(x) + y
    yield Swap(fx.symbolic_trace(f)).transform().code


def shapes(torch, fx):
    from importlib import import_module
    ShapeProp = import_module(fx.__name__ + ".passes.shape_prop").ShapeProp
    traced = fx.symbolic_trace(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten()))
    ShapeProp(traced).propagate(torch.ones(2, 3, 5, 5))
    for n in traced.graph.nodes:
        yield n.name, n.meta["tensor_meta"]


def tracers(torch, fx):
    class Whole(fx.Tracer):
        def is_leaf_module(self, m, name):
            return False

    class Own(torch.nn.Module):
        def forward(self, x):
            return x + 1

    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.own = Own()

        def forward(self, x):
            return self.own(x) * 2
    outer = Outer()
    yield fx.symbolic_trace(outer).code

    class Leaf(fx.Tracer):
        def is_leaf_module(self, m, name):
            return isinstance(m, Own)
    graph = Leaf().trace(outer)
    yield graph
    yield fx.GraphModule(outer, graph)(torch.ones(2))
    x = fx.Graph().placeholder("x")
    proxy = fx.Proxy(x)
    yield torch.add(proxy, 1).node.format_node(), proxy.shape[0].node.name


CASES = {f.__name__: f for f in (traced_module, traced_functions, changed_graphs, replaced, built, transformed, shapes, tracers)}
