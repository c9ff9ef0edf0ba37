"""torch.func: grad, vmap, jacobians, functional_call, per-sample gradients, ensembles, MAML."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap

torch.manual_seed(0)
f = lambda w, x: (w * x).sin().sum()
w, x = torch.randn(3), torch.randn(4, 3)
print(grad(f)(w, x[0]), vmap(grad(f), (None, 0))(w, x).shape, grad_and_value(f)(w, x[0]))
print(jacrev(lambda t: t ** 2)(w), jacfwd(lambda t: t ** 2)(w), hessian(lambda t: (t ** 3).sum())(w))
out, pull = vjp(lambda a, b: (a * b, a + b), w, w)
print(pull((torch.ones(3), torch.ones(3))), jvp(torch.sin, (w,), (torch.ones(3),)))
print(vmap(torch.dot)(x, x), vmap(lambda a: a.sum(), in_dims=1)(x), vmap(lambda a, b: a @ b, in_dims=(0, None), out_dims=0)(x, w), vmap(lambda d: d["a"] * 2, in_dims=({"a": 0},))({"a": x}).shape)
model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
params = {k: v.detach() for k, v in model.named_parameters()}
targets = torch.tensor([0, 1, 1, 0])


def loss_fn(params, x, y):
    return F.cross_entropy(functional_call(model, params, (x.unsqueeze(0),)), y.unsqueeze(0))


per_sample = vmap(grad(loss_fn), in_dims=(None, 0, 0))(params, x, targets)
print({k: tuple(v.shape) for k, v in per_sample.items()})
total = grad(lambda p: F.cross_entropy(functional_call(model, p, x), targets))(params)
print(all(torch.allclose(per_sample[k].mean(0), total[k], atol=1e-6) for k in params))
models = [nn.Linear(3, 2) for _ in range(3)]
p, b = stack_module_state(models)
print({k: tuple(v.shape) for k, v in p.items()}, vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)), in_dims=(0, 0, None))(p, b, x).shape)


def inner(params, x, y):
    g = grad(lambda p: F.mse_loss(functional_call(model, p, x), y))(params)
    return {k: params[k] - 0.1 * g[k] for k in params}


def outer(params):
    fast = inner(params, x, torch.ones(4, 2))
    return F.mse_loss(functional_call(model, fast, x), torch.zeros(4, 2))


g = grad(outer)(params)
print({k: f"{v.norm():.4f}" for k, v in g.items()})
print(vmap(lambda t: torch.where(t > 0, t, -t))(x) .sum().item() == x.abs().sum().item(), vmap(vmap(lambda t: t * 2))(x).shape)
print(jacrev(lambda p: functional_call(model, p, x[0]))(params)["0.bias"].shape, grad(lambda t: grad(lambda s: s ** 3)(t))(torch.tensor(2.0)))
print(vmap(lambda t: torch.stack([t.min(), t.max()]), chunk_size=2)(x).shape, vmap(F.softmax, (0, None))(x, 0).sum(1))
torch.manual_seed(3)
print(vmap(lambda t: t + torch.rand(3), randomness="same")(x)[0].shape)
try:
    vmap(lambda t: t + torch.rand(3))(x)
except RuntimeError as e:
    print("RuntimeError", str(e)[:60])
try:
    vmap(lambda t: t.item())(torch.ones(2))
except RuntimeError as e:
    print("RuntimeError")
print(torch.vmap(lambda a, i: a.gather(0, i))(x, torch.zeros(4, 1, dtype=torch.long)).shape)
