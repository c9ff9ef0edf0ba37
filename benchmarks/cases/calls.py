"""What a small call costs."""
from operator import attrgetter

from .._case import task
from .._statement import Statement

FAST = {"family": "dispatch", "wants": 5.0}


def row(name, text, numpy=True, functions=None, result="", **shapes):
    """Time the statement `text` on arrays of ones of `shapes`, and on `functions`: the place in a library's namespace, by name.

    NumPy, JAX and MLX (operator by operator) take part where they spell the call the same.
    """
    def maker(ones):
        def make(m):
            names = {name: ones(m, shape) for name, shape in shapes.items()}
            for short, place in (functions or {}).items():
                names[short] = attrgetter(place)(m)
            return Statement(text, names, result)
        return make
    others = {"numpy": maker(lambda np, shape: np.ones(shape, "float32"))} if numpy else {}
    if numpy:
        others["jax"] = others["mlx"] = maker(lambda m, shape: m.ones(shape))
    task(name=name, make=maker(lambda t, shape: t.ones(*shape)), others=others, rtol=None if result else 1e-4, **FAST)


row("a + b, 8 floats", "a + b", a=(8,), b=(8,))
row("a + 1.0, 8 floats", "a + 1.0", a=(8,))
row("a * 2, 8 floats", "a * 2", a=(8,))
row("a > 0, 8 floats", "a > 0", a=(8,))
row("m + row, 4x8 and 8", "a + b", a=(4, 8), b=(8,))
row("add(a, b), 8 floats", "add(a, b)", functions={"add": "add"}, a=(8,), b=(8,))
row("a += b, 8 floats", "a += b", result="a", a=(8,), b=(8,))
row("exp(a), 8 floats", "exp(a)", functions={"exp": "exp"}, a=(8,))
row("a.sum(), 8 floats", "a.sum()", a=(8,))
row("a.max(), 8 floats", "a.max()", a=(8,))
row("m @ m, 4x4", "m @ m", m=(4, 4))
row("m[1:3]", "m[1:3]", m=(4, 4))
row("m[1, 2]", "m[1, 2]", m=(4, 4))
row("m.reshape(16)", "m.reshape(16)", m=(4, 4))
row("zeros(8)", "zeros(8)", functions={"zeros": "zeros"})
row("m.t()", "m.t()", numpy=False, m=(4, 4))
row("a.item()", "a.item()", a=(1,))
row("relu(a)", "relu(a)", numpy=False, functions={"relu": "relu"}, a=(8,))
row("cat of two, 8 floats", "cat([a, a])", numpy=False, functions={"cat": "cat"}, a=(8,))
row("tensor([1., 2., 3.])", "tensor([1.0, 2.0, 3.0])", numpy=False, functions={"tensor": "tensor"})
row("a.numpy()", "a.numpy()", numpy=False, a=(8,))
row("F.relu(a)", "f(a)", numpy=False, functions={"f": "nn.functional.relu"}, a=(8,))
row("F.linear, 8 -> 8", "f(x, w, b)", numpy=False, functions={"f": "nn.functional.linear"}, x=(1, 8), w=(8, 8), b=(8,))
row("F.mse_loss, 8 floats", "f(a, b)", numpy=False, functions={"f": "nn.functional.mse_loss"}, a=(8,), b=(8,))
row("F.softmax, 8 floats", "f(a, dim=0)", numpy=False, functions={"f": "nn.functional.softmax"}, a=(8,))


def thousand(t):
    return Statement("tensor(data)", {"tensor": t.tensor, "data": [float(i) for i in range(1000)]})


def module(t):
    layer, x = t.nn.Linear(8, 8), t.ones(1, 8)
    return Statement("layer(x)", {"layer": layer, "x": x})


def identity(t):
    layer, x = t.nn.Identity(), t.ones(1, 8)
    return Statement("layer(x)", {"layer": layer, "x": x})


def sequential(t):
    nn = t.nn
    model, x = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)), t.ones(1, 8)
    return Statement("model(x)", {"model": model, "x": x})


def parameter(t):
    layer = t.nn.Linear(8, 8)
    return Statement("layer.weight", {"layer": layer})


def parameters(t):
    nn = t.nn
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    return Statement("list(model.parameters())", {"model": model})


def recorded(t):
    a, b = t.ones(8, requires_grad=True), t.ones(8, requires_grad=True)
    return Statement("a * b", {"a": a, "b": b})


def backward(t):
    a, b = t.ones(8, requires_grad=True), t.ones(8, requires_grad=True)

    return Statement("a.grad = b.grad = None; (a * b).sum().backward()", {"a": a, "b": b}, result="(a.grad, b.grad)")


def gradients(t):
    a, b = t.ones(8, requires_grad=True), t.ones(8, requires_grad=True)
    grad = t.autograd.grad
    return Statement("grad((a * b).tanh().sum(), (a, b))", {"grad": grad, "a": a, "b": b})


def no_grad(t):
    return Statement("with no_grad(): pass", {"no_grad": t.no_grad}, result="None")


def zero_grad(t):
    nn = t.nn
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    optimizer = t.optim.SGD(model.parameters(), lr=0.1)
    return Statement("zero_grad()", {"zero_grad": optimizer.zero_grad})


def optimizer_step(t):
    parameters = [t.ones(8, requires_grad=True) for _ in range(4)]
    for p in parameters:
        p.grad = t.zeros(8)
    return Statement("step()", {"step": t.optim.SGD(parameters, lr=0.1).step})


task("dispatch", "tensor(1000 floats)", thousand, wants=5.0)
task("dispatch", "Linear(8, 8)(x)", module, wants=5.0)
task("dispatch", "Identity()(x)", identity, wants=5.0)
task("dispatch", "Sequential(Linear, ReLU, Linear)(x)", sequential, wants=5.0)
task("dispatch", "layer.weight", parameter, rtol=None, wants=5.0)
task("dispatch", "list(model.parameters())", parameters, rtol=None, wants=5.0)
task("dispatch", "a * b, recorded", recorded, wants=5.0)
task("dispatch", "(a * b).sum().backward()", backward, wants=5.0)
task("dispatch", "autograd.grad of three nodes", gradients, wants=5.0)
task("dispatch", "with no_grad()", no_grad, wants=5.0)
task("dispatch", "optimizer.zero_grad()", zero_grad, wants=5.0)
task("dispatch", "SGD step, four tensors of 8", optimizer_step, rtol=None, wants=5.0)
