"""What a small call costs."""
from .._case import task

FAST = {"family": "dispatch", "wants": 5.0}


def of(make, *shapes, numpy=True, **options):
    """``make(m, *tensors)`` gives the function; NumPy, JAX and MLX (operator by operator) take part where they spell the call the same."""
    def torch_like(t):
        return make(t, *(t.ones(*shape) for shape in shapes))

    def numpy_like(np):
        return make(np, *(np.ones(shape, "float32") for shape in shapes))

    def like_numpy(m):
        return make(m, *(m.ones(shape) for shape in shapes))
    return torch_like, ({"numpy": numpy_like, "jax": like_numpy, "mlx": like_numpy} if numpy else {})


def row(name, make, *shapes, numpy=True, **options):
    torch_like, others = of(make, *shapes, numpy=numpy)
    task(name=name, make=torch_like, others=others, **{**FAST, **options})


row("a + b, 8 floats", lambda m, a, b: lambda: a + b, (8,), (8,))
row("a + 1.0, 8 floats", lambda m, a: lambda: a + 1.0, (8,))
row("a * 2, 8 floats", lambda m, a: lambda: a * 2, (8,))
row("a > 0, 8 floats", lambda m, a: lambda: a > 0, (8,))
row("m + row, 4x8 and 8", lambda m, a, b: lambda: a + b, (4, 8), (8,))
row("add(a, b), 8 floats", lambda m, a, b: (lambda add: lambda: add(a, b))(m.add), (8,), (8,))
row("a += b, 8 floats", lambda m, a, b: lambda: a.__iadd__(b), (8,), (8,), rtol=None)
row("exp(a), 8 floats", lambda m, a: (lambda exp: lambda: exp(a))(m.exp), (8,))
row("a.sum(), 8 floats", lambda m, a: lambda: a.sum(), (8,))
row("a.max(), 8 floats", lambda m, a: lambda: a.max(), (8,))
row("m @ m, 4x4", lambda m, a: lambda: a @ a, (4, 4))
row("m[1:3]", lambda m, a: lambda: a[1:3], (4, 4))
row("m[1, 2]", lambda m, a: lambda: a[1, 2], (4, 4))
row("m.reshape(16)", lambda m, a: lambda: a.reshape(16), (4, 4))
row("zeros(8)", lambda m, a: (lambda zeros: lambda: zeros(8))(m.zeros), (8,))
row("m.t()", lambda m, a: lambda: a.t(), (4, 4), numpy=False)
row("a.item()", lambda m, a: lambda: a.item(), (1,))
row("relu(a)", lambda m, a: (lambda relu: lambda: relu(a))(m.relu), (8,), numpy=False)
row("cat of two, 8 floats", lambda m, a: (lambda cat: lambda: cat([a, a]))(m.cat), (8,), numpy=False)
row("tensor([1., 2., 3.])", lambda m, a: (lambda tensor: lambda: tensor([1.0, 2.0, 3.0]))(m.tensor), (8,), numpy=False)
row("tensor(1000 floats)", lambda m, a: (lambda tensor, data: lambda: tensor(data))(m.tensor, [float(i) for i in range(1000)]), (8,),
    numpy=False)
row("a.numpy()", lambda m, a: lambda: a.numpy(), (8,), numpy=False)
row("F.relu(a)", lambda m, a: (lambda f: lambda: f(a))(m.nn.functional.relu), (8,), numpy=False)
row("F.linear, 8 -> 8", lambda m, x, w, b: (lambda f: lambda: f(x, w, b))(m.nn.functional.linear), (1, 8), (8, 8), (8,), numpy=False)
row("F.mse_loss, 8 floats", lambda m, a, b: (lambda f: lambda: f(a, b))(m.nn.functional.mse_loss), (8,), (8,), numpy=False)
row("F.softmax, 8 floats", lambda m, a: (lambda f: lambda: f(a, dim=0))(m.nn.functional.softmax), (8,), numpy=False)


def module(t):
    layer, x = t.nn.Linear(8, 8), t.ones(1, 8)
    return lambda: layer(x)


def identity(t):
    layer, x = t.nn.Identity(), t.ones(1, 8)
    return lambda: layer(x)


def sequential(t):
    nn = t.nn
    model, x = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)), t.ones(1, 8)
    return lambda: model(x)


def parameter(t):
    layer = t.nn.Linear(8, 8)
    return lambda: layer.weight


def parameters(t):
    nn = t.nn
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    return lambda: list(model.parameters())


def recorded(t):
    a, b = t.ones(8, requires_grad=True), t.ones(8, requires_grad=True)
    return lambda: a * b


def backward(t):
    a, b = t.ones(8, requires_grad=True), t.ones(8, requires_grad=True)

    def run():
        a.grad = b.grad = None
        (a * b).sum().backward()
        return a.grad, b.grad
    return run


def gradients(t):
    a, b = t.ones(8, requires_grad=True), t.ones(8, requires_grad=True)
    grad = t.autograd.grad
    return lambda: grad((a * b).tanh().sum(), (a, b))


def no_grad(t):
    guard = t.no_grad

    def run():
        with guard():
            return None
    return run


def zero_grad(t):
    nn = t.nn
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    optimizer = t.optim.SGD(model.parameters(), lr=0.1)
    return optimizer.zero_grad


def optimizer_step(t):
    parameters = [t.ones(8, requires_grad=True) for _ in range(4)]
    for p in parameters:
        p.grad = t.zeros(8)
    return t.optim.SGD(parameters, lr=0.1).step


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
