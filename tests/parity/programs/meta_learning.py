"""MAML on sine waves by torch.func, per-sample gradients by vmap, an ensemble by stack_module_state, influence by Hessian products, implicit layers by a custom Function."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, grad_and_value, hessian, jacrev, jvp, stack_module_state, vjp, vmap

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
params = {k: v.detach().clone() for k, v in net.named_parameters()}


def loss_of(params, x, y):
    return F.mse_loss(functional_call(net, params, (x,)), y)


def adapted(params, x, y, steps=2, lr=0.1):
    for _ in range(steps):
        g = grad(loss_of)(params, x, y)
        params = {k: params[k] - lr * g[k] for k in params}
    return params


def outer(params, task):
    sx, sy, qx, qy = task
    return loss_of(adapted(params, sx, sy), qx, qy)


amp, phase = torch.rand(5) * 4 + 0.1, torch.rand(5) * 3
x = torch.rand(5, 12, 1) * 10 - 5
y = amp[:, None, None] * torch.sin(x + phase[:, None, None])
tasks = (x[:, :6], y[:, :6], x[:, 6:], y[:, 6:])
m = {k: torch.zeros_like(v) for k, v in params.items()}
for step in range(4):
    g, loss = vmap(grad_and_value(outer), in_dims=(None, 0))(params, tasks)
    for k in params:
        m[k] = 0.9 * m[k] + g[k].mean(0)
        params[k] = params[k] - 0.01 * m[k]
    print(step, [f"{v:.4f}" for v in loss.tolist()], f"{m['0.weight'].norm().item():.4f}")
per = vmap(grad(loss_of), in_dims=(None, 0, 0))(params, x[0], y[0])
print({k: tuple(v.shape) for k, v in per.items()}, per["2.bias"].flatten()[:4])
full = grad(loss_of)(params, x[0], y[0])
print(all(torch.allclose(per[k].mean(0), full[k], atol=1e-5) for k in full))
models = [nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(3)]
stacked, buffers = stack_module_state(models)
base = copy.deepcopy(models[0]).to("meta")
out = vmap(lambda p, b, x: functional_call(base, (p, b), (x,)), in_dims=(0, 0, None))(stacked, buffers, x[1])
print(out.shape, out.var(0).mean(), [torch.allclose(out[i], models[i](x[1]), atol=1e-6) for i in range(3)])


def energy(q):
    return (q ** 4).sum() / 4 - q.prod()


q = torch.tensor([0.5, -1.0, 2.0])
print(hessian(energy)(q), jacrev(grad(energy))(q).diag(), jvp(grad(energy), (q,), (torch.ones(3),))[1], vjp(grad(energy), q)[1](torch.ones(3))[0])
J = vmap(jacrev(lambda z: torch.stack([z[0] * z[1], z.sin().sum()])))(torch.arange(6.0).view(3, 2))
print(J)


class Fixed(torch.autograd.Function):
    """z = tanh(W z + x), found by iteration; the gradient by the implicit function theorem."""

    @staticmethod
    def forward(W, x):
        z = torch.zeros_like(x)
        for _ in range(60):
            z = torch.tanh(z @ W.T + x)
        return z

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx, g):
        W, z = ctx.saved_tensors
        d = 1 - z ** 2
        A = torch.eye(W.size(0), dtype=W.dtype) - d.unsqueeze(-1) * W
        u = torch.linalg.solve(A.transpose(-1, -2), g.unsqueeze(-1)).squeeze(-1) * d
        return u.T @ z, u


W = (torch.randn(4, 4) * 0.2).requires_grad_()
b = torch.randn(3, 4, requires_grad=True)
z = Fixed.apply(W, b)
z.pow(2).sum().backward()
print(z, W.grad.norm(), b.grad.sum())
print(torch.autograd.gradcheck(lambda W, b: Fixed.apply(W, b), (W.detach().double().requires_grad_() * 1, b.detach().double().requires_grad_()), atol=1e-4))
